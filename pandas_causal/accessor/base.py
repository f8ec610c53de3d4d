"""What every question does with a frame: select columns, fit an estimator on them, return its effect."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem, suggest
from pandas_causal.inputs.types import RoleLike

if TYPE_CHECKING:
    from pandas_causal.estimator import CausalEstimator

__all__ = ["Questions", "names", "need_treatment"]


class Questions:
    """A frame and the way from names of columns to an effect; the questions are in the subclasses."""

    def __init__(self, frame: pd.DataFrame) -> None:
        if not isinstance(frame, pd.DataFrame):
            raise CausalArgumentError(f"expected a pandas DataFrame, got {type(frame).__name__}")
        self._frame = frame

    def fit(
        self,
        estimator: CausalEstimator,
        *,
        treatment: RoleLike = None,
        outcome: Hashable | list[Any] = None,
        covariates: Sequence[Any] | None = None,
        graph: Any = None,
        level: float | None = None,
        missing: str = "raise",
        **roles: Any,
    ) -> Effect:
        """Fit any estimator on columns of this frame and return its effect; `covariates` None means none.

        Example: ``df.causal.fit(IPW(estimand="ATO"), treatment="treat", outcome="re78", covariates=["age"])``. `graph`
        is that of :meth:`ate`, for estimators that compare arms. A list of outcomes gives rows by outcome, with their
        joint covariance.
        """
        if not hasattr(estimator, "fit") or isinstance(estimator, type):
            raise CausalArgumentError(f"fit takes an estimator instance, e.g. AIPW(); got {estimator!r}")
        asked: dict[str, Any] = {
            "treatment": treatment,
            "outcome": outcome,
            "level": level,
            "missing": missing,
            **roles,
        }
        if graph is not None:
            return self._compared("fit", estimator, covariates=covariates, graph=graph, settings={}, **asked)
        return self._fit(estimator, covariates=names(covariates), **asked)

    def validate(
        self,
        *,
        treatment: Hashable | Sequence[Hashable],
        outcome: Hashable = None,
        covariates: Sequence[Any] = (),
        instrument: Hashable | Sequence[Hashable] = None,
        cluster: Hashable | Sequence[Hashable] = None,
        sample_weight: Hashable | Sequence[Hashable] = None,
        propensity: Hashable | Sequence[Hashable] = None,
        numbers: bool = False,
    ) -> pd.DataFrame:
        """Check the columns before anything is estimated; return the frame, or raise one error with every problem.

        The treatment is arms, or with `numbers` one or several columns of numbers.

        Example: ``df.causal.validate(treatment="treat", outcome="re78", covariates=["age"])``; see
        :func:`schemas.build_schema`.
        """
        from pandas_causal.inputs.schemas import build_schema, validate

        for role, name in (("treatment", treatment), ("outcome", outcome), ("sample_weight", sample_weight)):
            several = role == "treatment" and numbers and isinstance(name, list | tuple)
            named = pd.api.types.is_scalar(name) or self._is_column(name)
            if name is not None and not several and not named:
                raise CausalArgumentError(f"validate takes the names of columns; {role} is a {type(name).__name__}")
        schema = build_schema(
            outcome=outcome,
            treatment=[treatment] if self._is_column(treatment) else treatment,
            covariates=names(covariates),
            instrument=[instrument] if self._is_column(instrument) else instrument,
            cluster=[cluster] if self._is_column(cluster) else cluster,
            sample_weight=sample_weight,
            propensity=[propensity] if self._is_column(propensity) else propensity,
            numbers=numbers,
        )
        validate(self._frame, schema)
        return self._frame

    # -- private -----------------------------------------------------------------------------------------------------

    def _compared(
        self,
        question: str,
        estimator: CausalEstimator | str | None,
        *,
        treatment: RoleLike,
        outcome: Hashable | list[Any],
        covariates: Sequence[Any] | None,
        graph: Any,
        formula: str | None = None,
        post_treatment: Sequence[Any] = (),
        always: Sequence[Any] = (),
        settings: Mapping[str, Any],
        level: float | None,
        missing: str,
        **roles: RoleLike,
    ) -> Effect:
        """Arms of rows compared by covariates: those named, judged by a graph if there is one, or those of the graph.

        `formula` makes the covariates of the columns that it reads. `always` are columns that a set taken from the
        graph must hold, `settings` those of the estimator that the call
        gives (None: not given).
        """
        from pandas_causal.estimator import choose

        if formula is not None:
            covariates = self._of_formula(formula, covariates, treatment=treatment, outcome=outcome, **roles)
            settings = {**settings, "formula": formula}
        if graph is not None:
            from pandas_causal.graphs.graph import as_graph
            from pandas_causal.identification.routes import ate_from_graph, marked_ends

            graph = as_graph(graph)
            if not isinstance(outcome, list):
                treatment, outcome = marked_ends(graph, treatment, outcome)
            if covariates is None:
                outcome = one_outcome(outcome)
                self._select(treatment=treatment, covariates=[], outcome=outcome, **roles)
                return ate_from_graph(
                    self._frame,
                    graph,
                    post_treatment,
                    treatment=treatment,
                    outcome=outcome,
                    always=always,
                    estimator=estimator,
                    level=level,
                    missing=missing,
                    **settings,
                    **roles,
                )
        if covariates is None:
            raise CausalArgumentError(
                f"{question} adjusts for covariates, and none were given. If treatment was randomised ask"
                " df.causal.ab_test(...); for the unadjusted difference ask df.causal.association(...); covariates=[]"
                " says none on purpose, formula= makes them of columns, and graph= takes them from a causal graph"
            )
        need_treatment(question, treatment)
        chosen = choose("ate", "aipw" if estimator is None else estimator, settings)
        covariates = names(covariates)
        notes: tuple[str, ...] = ()
        if graph is not None or len(names(post_treatment)):
            from pandas_causal.identification.routes import check_controls

            for one in outcome if isinstance(outcome, list) else [outcome]:
                self._select(treatment=treatment, covariates=covariates, outcome=one)
                found = check_controls(self._frame, graph, treatment, one, covariates, names(post_treatment))
                notes = tuple(dict.fromkeys((*notes, *found)))
        effect = self._fit(
            chosen, treatment=treatment, outcome=outcome, covariates=covariates, level=level, missing=missing, **roles
        )
        if graph is not None and effect.study is not None:
            effect = replace(effect, study=replace(effect.study, graph=graph))
        return replace(effect, warnings=(*effect.warnings, *notes)) if notes else effect

    def _of_formula(
        self, formula: str, covariates: Sequence[Any] | None, *, outcome: Hashable | list[Any], **roles: Any
    ) -> list[Any]:
        """Columns that a formula reads; those with a role are refused by name."""
        from pandas_causal.inputs.formula import formula_covariates

        if covariates is not None and len(names(covariates)):
            raise CausalArgumentError("give covariates= or formula=, not both: a formula names its columns itself")
        taken = {name: role for role, value in roles.items() for name in self._columns_of(role, value)}
        outcomes = outcome if isinstance(outcome, list) else [outcome]
        taken |= {name: "outcome" for name in outcomes if pd.api.types.is_hashable(name)}
        return formula_covariates(formula, list(self._frame.columns), {k: r for k, r in taken.items() if k is not None})

    def _covariates(
        self, question: str, *, treatment: RoleLike, outcome: Hashable, covariates: Sequence[Any] | None, graph: Any
    ) -> tuple[RoleLike, list[Any]]:
        """Treatment and covariates of a question without an outcome, which a graph needs to say what they are."""
        if graph is None:
            if covariates is None:
                raise CausalArgumentError(f"{question} needs covariates=, a list of columns, or graph=")
            need_treatment(question, treatment)
            return treatment, names(covariates)
        from pandas_causal.graphs.graph import as_graph
        from pandas_causal.identification.routes import adjustment_columns, check_controls, marked_ends

        graph = as_graph(graph)
        treatment, outcome = marked_ends(graph, treatment, outcome)
        self._select(treatment=treatment, covariates=names(covariates), outcome=outcome)
        if covariates is None:
            return treatment, adjustment_columns(self._frame, graph, treatment, outcome)
        check_controls(self._frame, graph, treatment, outcome, names(covariates))
        return treatment, names(covariates)

    def _fit(
        self,
        estimator: Any,
        *,
        treatment: RoleLike,
        outcome: Hashable | list[Any],
        covariates: list[Any],
        level: float | None = None,
        missing: str = "raise",
        **roles: Any,
    ) -> Effect:
        from sklearn.base import clone

        from pandas_causal.estimator import fit_columns

        if isinstance(outcome, list):
            settings: dict[str, Any] = {"treatment": treatment, "covariates": covariates, "level": level}
            return self._fit_each(estimator, outcome, missing, {**settings, **roles})
        named = {k: v for k, v in roles.items() if v is not None}
        X = self._select(treatment=treatment, covariates=covariates, outcome=outcome, **named)
        if treatment is not None:
            named["treatment"] = treatment
        if outcome is None:
            raise CausalArgumentError("outcome= needs the name of a column")
        y = self._frame[outcome]
        return fit_columns(clone(estimator), X, y, named, level=level, missing=missing, frame=self._frame)

    def _fit_each(self, estimator: Any, outcomes: list[Any], missing: str, settings: dict[str, Any]) -> Effect:
        """Fit every outcome on the same rows, and put the fits in one effect."""
        from pandas_causal.effect.outcomes import by_outcome
        from pandas_causal.inputs.plain_columns import select_columns

        if not outcomes or not all(map(pd.api.types.is_hashable, outcomes)) or len(set(outcomes)) < len(outcomes):
            raise CausalArgumentError(f"outcome takes the name of a column, or a list of different ones: {outcomes!r}")
        for outcome in outcomes:
            self._select(covariates=[], outcome=outcome)
        questions, whole = self, select_columns(self._frame, outcomes).notna().all(axis=1)
        if missing == "drop" and not whole.all():  # a row that lacks one outcome is missing for all
            masked = {o: _numeric(self._frame[o]).where(whole) for o in outcomes}
            questions = type(self)(self._frame.copy(deep=False))
            for outcome, column in masked.items():
                questions._frame[outcome] = column
        fits = {o: questions._fit(estimator, outcome=o, missing=missing, **settings) for o in outcomes}
        return by_outcome(fits)

    def _select(self, *, covariates: list[Any], outcome: Hashable = None, **roles: Any) -> pd.DataFrame:
        """Columns of covariates and of roles given by name; every absent or doubled name is reported at once."""
        from pandas_causal.inputs.plain_columns import select_columns
        from pandas_causal.inputs.roles import check_columns

        check_columns(self._frame)
        named = [(role, name) for role, value in roles.items() for name in self._columns_of(role, value)]
        wanted = [*([] if outcome is None else [("outcome", outcome)]), *named, *(("covariate", c) for c in covariates)]
        problems: list[Problem] = []
        used: dict[Any, str] = {}
        for role, name in wanted:
            if not pd.api.types.is_hashable(name):
                message = f"is given as {role} but is no column name"
                problems.append(Problem(type(name).__name__, message, None, "give the name of a column"))
                continue
            if name not in self._frame.columns:
                problems.append(self._absent(name, role))
            elif used.get(name, role) != role:
                problems.append(Problem(str(name), f"is both {used[name]} and {role}", None, "a column has one role"))
            used[name] = role
        if problems:
            raise CausalDataError(problems[:20])
        return select_columns(self._frame, dict.fromkeys([*covariates, *(name for _, name in named)]))

    def _columns_of(self, role: str, value: Any) -> list[Any]:
        """Column names in a role: a name, or a list of names where a role may be several; an array names none."""
        if isinstance(value, str) or (value is not None and pd.api.types.is_scalar(value)):
            return [value]
        if self._is_column(value):
            return [value]
        from pandas_causal.inputs.roles import ROLES, are_labels

        several = role in ROLES and ROLES[role].several and isinstance(value, list | tuple)
        if several and are_labels(value, self._frame):
            return list(value)
        if not several or not all(isinstance(v, str) for v in value):
            return []
        values_of_rows = len(value) == len(self._frame) and not set(value) <= set(self._frame.columns)
        return [] if values_of_rows else list(value)

    def _is_column(self, value: Any) -> bool:
        """Whether it names a column; a tuple may."""
        return bool(pd.api.types.is_hashable(value)) and value in self._frame.columns

    def _absent(self, name: Hashable, role: str) -> Problem:
        columns = self._frame.columns
        if name in self._frame.index.names:
            message = f"is given as {role} and is a level of the index, not a column"
            return Problem(str(name), message, None, "make it a column: df.reset_index()")
        known = ", ".join(map(str, columns[:8])) + (", ..." if len(columns) > 8 else "")
        return Problem(
            str(name),
            f"is given as {role} but is no column of the frame{suggest(name, columns)}",
            None,
            f"columns: {known}",
        )


def one_outcome(outcome: Hashable | list[Any]) -> Hashable:
    """Refuse a list of outcomes where a graph decides how one is estimated."""
    if isinstance(outcome, list):
        raise CausalArgumentError(
            "a graph decides how one outcome is estimated, and outcome= is a list; give covariates= too, or ask for one"
            " outcome at a time"
        )
    return outcome


def need_treatment(question: str, treatment: RoleLike) -> None:
    """Refuse a question about arms without them."""
    if treatment is None:
        raise CausalArgumentError(
            f"{question} needs treatment=, the name of a column; a graph may mark it: dag {{ x [exposure] ... }}"
        )


def _numeric(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column of booleans as one that can be missing."""
    return column.astype("boolean") if column.dtype == bool else column


def names(covariates: Iterable[Hashable] | None) -> list[Any]:
    """Return a list of column names (None: none), or say that one is wanted."""
    if covariates is None:
        return []
    if isinstance(covariates, str) or not pd.api.types.is_list_like(covariates):
        raise CausalArgumentError(f"covariates takes a list of column names: [{covariates!r}]")
    return list(covariates)
