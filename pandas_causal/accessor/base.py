"""What every question does with a frame: select columns, fit an estimator on them, return its effect."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem, suggest
from pandas_causal.inputs.types import RoleLike

if TYPE_CHECKING:
    from pandas_causal.estimator import CausalEstimator

__all__ = ["Questions", "names"]


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
        outcome: Hashable | list[Any],
        covariates: Sequence[Any] | None = None,
        level: float | None = None,
        **roles: Any,
    ) -> Effect:
        """Fit any estimator on columns of this frame and return its effect; `covariates` None means none.

        A list of outcomes gives rows by outcome, with their joint covariance.

        Example: ``df.causal.fit(IPW(estimand="ATO"), treatment="treat", outcome="re78", covariates=["age"])``.
        """
        if not hasattr(estimator, "fit") or isinstance(estimator, type):
            raise CausalArgumentError(f"fit takes an estimator instance, e.g. AIPW(); got {estimator!r}")
        return self._fit(
            estimator, treatment=treatment, outcome=outcome, covariates=names(covariates or ()), level=level, **roles
        )

    def validate(
        self,
        *,
        treatment: Hashable,
        outcome: Hashable = None,
        covariates: Sequence[Any] = (),
        cluster: Hashable | Sequence[Hashable] = None,
        sample_weight: Hashable | Sequence[Hashable] = None,
        propensity: Hashable | Sequence[Hashable] = None,
    ) -> pd.DataFrame:
        """Check the columns before anything is estimated; return the frame, or raise one error with every problem.

        Example: ``df.causal.validate(treatment="treat", outcome="re78", covariates=["age"])``; see
        :func:`schemas.build_schema`.
        """
        from pandas_causal.inputs.schemas import build_schema, validate

        for role, name in (("treatment", treatment), ("outcome", outcome), ("sample_weight", sample_weight)):
            if name is not None and not pd.api.types.is_scalar(name):
                raise CausalArgumentError(f"validate takes the names of columns; {role} is a {type(name).__name__}")
        schema = build_schema(
            outcome=outcome,
            treatment=treatment,
            covariates=names(covariates),
            cluster=cluster,
            sample_weight=sample_weight,
            propensity=propensity,
        )
        validate(self._frame, schema)
        return self._frame

    # -- private -----------------------------------------------------------------------------------------------------

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
        return fit_columns(clone(estimator), X, self._frame[outcome], named, level=level, missing=missing)

    def _fit_each(self, estimator: Any, outcomes: list[Any], missing: str, settings: dict[str, Any]) -> Effect:
        """Fit every outcome on the same rows, and put the fits in one effect."""
        from pandas_causal.effect.outcomes import by_outcome

        if not outcomes or not all(map(pd.api.types.is_hashable, outcomes)) or len(set(outcomes)) < len(outcomes):
            raise CausalArgumentError(f"outcome takes the name of a column, or a list of different ones: {outcomes!r}")
        for outcome in outcomes:
            self._select(covariates=[], outcome=outcome)
        questions, whole = self, self._frame[outcomes].notna().all(axis=1)
        if missing == "drop" and not whole.all():  # a row that lacks one outcome is missing for all
            masked = {o: _numeric(self._frame[o]).where(whole) for o in outcomes}
            questions = type(self)(self._frame.copy(deep=False))
            for outcome, column in masked.items():
                questions._frame[outcome] = column
        fits = {o: questions._fit(estimator, outcome=o, missing=missing, **settings) for o in outcomes}
        return by_outcome(fits)

    def _select(self, *, covariates: list[Any], outcome: Hashable = None, **roles: Any) -> pd.DataFrame:
        """Columns of covariates and of roles given by name; every absent or doubled name is reported at once."""
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
        return self._frame[list(dict.fromkeys([*covariates, *(name for _, name in named)]))]

    def _columns_of(self, role: str, value: Any) -> list[Any]:
        """Column names in a role: a name, or a list of names where a role may be several; an array names none."""
        if isinstance(value, str) or (value is not None and pd.api.types.is_scalar(value)):
            return [value]
        from pandas_causal.inputs.roles import ROLES

        several = role in ROLES and ROLES[role].several and isinstance(value, list | tuple)
        if not several or not all(isinstance(v, str) for v in value):
            return []
        values_of_rows = len(value) == len(self._frame) and not set(value) <= set(self._frame.columns)
        return [] if values_of_rows else list(value)

    def _absent(self, name: Hashable, role: str) -> Problem:
        columns = self._frame.columns
        known = ", ".join(map(str, columns[:8])) + (", ..." if len(columns) > 8 else "")
        return Problem(
            str(name),
            f"is given as {role} but is no column of the frame{suggest(name, columns)}",
            None,
            f"columns: {known}",
        )


def _numeric(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column of booleans as one that can be missing."""
    return column.astype("boolean") if column.dtype == bool else column


def names(covariates: Iterable[Hashable]) -> list[Any]:
    """Return a list of column names, or say that one is wanted."""
    if isinstance(covariates, str) or not pd.api.types.is_list_like(covariates):
        raise CausalArgumentError(f"covariates takes a list of column names: [{covariates!r}]")
    return list(covariates)
