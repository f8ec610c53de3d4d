"""``DataFrame.causal``: one short method per question. Names columns, delegates; no statistics, no state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.check import Check
from pandas_causal.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalDataError, MissingDependencyError, Problem, suggest

if TYPE_CHECKING:
    from pandas_causal.estimators.base import CausalEstimator

__all__ = ["CausalAccessor", "causal"]

_NOT_CAUSAL = (
    (
        "nothing: this is an association. To read it as an effect, treatment must have been assigned at random"
        " (ab_test), or the covariates that drive both treatment and outcome must be adjusted for (ate)"
    ),
)


class CausalAccessor:
    """Causal questions to a DataFrame.

    Columns are given by name. The frame is never changed. Every answer is an :class:`Effect` or a :class:`Check`.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        if not isinstance(frame, pd.DataFrame):
            raise CausalArgumentError(f"expected a pandas DataFrame, got {type(frame).__name__}")
        self._frame = frame

    def ab_test(
        self,
        *,
        treatment: Any,
        outcome: Any,
        covariates: Sequence[Any] = (),
        adjustment: str | None = None,
        variance: str = "welch",
        relative: bool = False,
        alternative: str = "two-sided",
        correction: str | None = None,
        allocation: Any = None,
        anytime_n: int | None = None,
        strata: Any = None,
        denominator: Any = None,
        cluster: Any = None,
        sample_weight: Any = None,
        control: Any = None,
        level: float = 0.95,
        missing: str = "raise",
    ) -> Effect:
        """Compare randomised arms; covariates sharpen the answer ("lin" unless `adjustment` says otherwise).

        Example: ``df.causal.ab_test(treatment="variant", outcome="revenue")``; see :class:`DifferenceInMeans`.
        """
        from pandas_causal.estimators import DifferenceInMeans

        covariates = _names(covariates)
        estimator = DifferenceInMeans(
            adjustment="lin" if covariates and adjustment is None else adjustment,
            variance=variance,
            relative=relative,
            alternative=alternative,
            correction=correction,
            allocation=allocation,
            anytime_n=anytime_n,
            level=level,
            control=control,
        )
        return self._fit(
            estimator,
            treatment=treatment,
            outcome=outcome,
            covariates=covariates,
            strata=strata,
            denominator=denominator,
            cluster=cluster,
            sample_weight=sample_weight,
            missing=missing,
        )

    def association(
        self,
        *,
        treatment: Any,
        outcome: Any,
        cluster: Any = None,
        sample_weight: Any = None,
        control: Any = None,
        level: float = 0.95,
        missing: str = "raise",
    ) -> Effect:
        """Rung one: the naive difference in means, labelled as not causal.

        Example: ``df.causal.association(treatment="medication", outcome="readmission")``; see
        :class:`DifferenceInMeans`.
        """
        from pandas_causal.estimators import DifferenceInMeans

        effect = self._fit(
            DifferenceInMeans(level=level, control=control),
            treatment=treatment,
            outcome=outcome,
            covariates=[],
            cluster=cluster,
            sample_weight=sample_weight,
            missing=missing,
        )
        named = treatment if pd.api.types.is_scalar(treatment) else "treatment"
        words = f"association of {named} with {outcome} (difference in means, NOT a causal effect)"
        return replace(effect, estimand=words, assumptions=_NOT_CAUSAL)

    def ate(
        self,
        *,
        treatment: Any,
        outcome: Any,
        covariates: Sequence[Any] | None = None,
        estimand: str | None = None,
        estimator: Any = "aipw",
        cluster: Any = None,
        sample_weight: Any = None,
        propensity: Any = None,
        control: Any = None,
        level: float | None = None,
        missing: str = "raise",
    ) -> Effect:
        """Average effect, adjusted for covariates; `estimator` is "aipw", "ipw", "regression", "tmle" or an instance.

        Example: ``df.causal.ate(treatment="medication", outcome="readmission", covariates=["age", "severity"])``; see
        :class:`AIPW`. `estimand` and `control` override an instance's own.
        """
        if covariates is None:
            raise CausalArgumentError(
                "ate adjusts for covariates, and none were given. If treatment was randomised ask"
                " df.causal.ab_test(...); for the unadjusted difference ask df.causal.association(...); covariates=[]"
                " says none on purpose"
            )
        chosen = _estimator(estimator, estimand, control)
        return self._fit(
            chosen,
            treatment=treatment,
            outcome=outcome,
            covariates=_names(covariates),
            level=level,
            cluster=cluster,
            sample_weight=sample_weight,
            propensity=propensity,
            missing=missing,
        )

    def fit(
        self,
        estimator: CausalEstimator,
        *,
        treatment: Any = None,
        outcome: Any,
        covariates: Sequence[Any] | None = None,
        level: float | None = None,
        **roles: Any,
    ) -> Effect:
        """Fit any estimator on columns of this frame and return its effect; `covariates` None means none.

        Example: ``df.causal.fit(IPW(estimand="ATO"), treatment="treat", outcome="re78", covariates=["age"])``.
        """
        if not hasattr(estimator, "fit") or isinstance(estimator, type):
            raise CausalArgumentError(f"fit takes an estimator instance, e.g. AIPW(); got {estimator!r}")
        return self._fit(
            estimator, treatment=treatment, outcome=outcome, covariates=_names(covariates or ()), level=level, **roles
        )

    def overlap(
        self,
        *,
        treatment: Any,
        covariates: Sequence[Any],
        estimand: str = "ATE",
        propensity_model: Any = "ridge",
        control: Any = None,
        bound: float = 0.01,
        sample_weight: Any = None,
        missing: str = "raise",
    ) -> Check:
        """Check positivity: propensities by arm, the share near 0 or 1, effective sample sizes.

        Example: ``df.causal.overlap(treatment="treat", covariates=["age", "educ"])``; see
        :func:`diagnostics.overlap.overlap`.
        """
        from pandas_causal.diagnostics.assess import assess_overlap

        X = self._select(treatment=treatment, covariates=_names(covariates), sample_weight=sample_weight)
        return assess_overlap(
            X,
            treatment,
            estimand=estimand,
            propensity_model=propensity_model,
            control=control,
            bound=bound,
            sample_weight=sample_weight,
            missing=missing,
        )

    def balance(
        self,
        *,
        treatment: Any,
        covariates: Sequence[Any],
        weights: Any = None,
        control: Any = None,
        missing: str = "raise",
    ) -> Check:
        """Compare covariates between arms, before and, given `weights` (a column or array), after weighting.

        Example: ``df.causal.balance(treatment="treat", covariates=["age", "educ"])``; see
        :func:`diagnostics.balance.balance`.
        """
        from pandas_causal.diagnostics.assess import assess_balance

        X = self._select(treatment=treatment, covariates=_names(covariates), weights=weights)
        return assess_balance(X, treatment, weights=weights, control=control, missing=missing)

    def validate(
        self,
        *,
        treatment: Any,
        outcome: Any = None,
        covariates: Sequence[Any] = (),
        cluster: Any = None,
        sample_weight: Any = None,
        propensity: Any = None,
    ) -> pd.DataFrame:
        """Check the columns before anything is estimated; return the frame, or raise one error with every problem.

        Example: ``df.causal.validate(treatment="treat", outcome="re78", covariates=["age"])``; see
        :func:`schemas.build_schema`.
        """
        from pandas_causal.schemas import build_schema, validate

        for role, name in (("treatment", treatment), ("outcome", outcome), ("sample_weight", sample_weight)):
            if name is not None and not pd.api.types.is_scalar(name):
                raise CausalArgumentError(f"validate takes the names of columns; {role} is a {type(name).__name__}")
        schema = build_schema(
            outcome=outcome,
            treatment=treatment,
            covariates=_names(covariates),
            cluster=cluster,
            sample_weight=sample_weight,
            propensity=propensity,
        )
        validate(self._frame, schema)
        return self._frame

    # -- private -----------------------------------------------------------------------------------------------------

    def rdd(
        self,
        *,
        running: Any,
        outcome: Any,
        cutoff: Any = 0.0,
        treatment: Any = None,
        covariates: Sequence[Any] | None = None,
        kernel: str = "triangular",
        bandwidth: Any = "mserd",
        bias_bandwidth: Any = None,
        order: int = 1,
        bias_order: int | None = None,
        derivative: int = 0,
        cluster: Any = None,
        donut: float = 0.0,
        vce: str = "nn",
        mass_points: str = "adjust",
        sharp_bandwidth: bool = False,
        by_cutoff: bool = False,
        sample_weight: Any = None,
        level: float = 0.95,
        missing: str = "raise",
    ) -> Effect:
        """Jump of the outcome where a running variable crosses a cutoff; fuzzy when `treatment` is given.

        Example: ``df.causal.rdd(running="margin", outcome="vote", cutoff=0)``; `cutoff` may name a column that holds
        every row's own. See :class:`RegressionDiscontinuity`.
        """
        from pandas_causal.estimators import RegressionDiscontinuity

        own = cutoff if isinstance(cutoff, str) and cutoff in self._frame.columns else None
        estimator = RegressionDiscontinuity(
            cutoff=cutoff if own is None else 0.0,
            kernel=kernel,
            bandwidth=bandwidth,
            bias_bandwidth=bias_bandwidth,
            order=order,
            bias_order=bias_order,
            derivative=derivative,
            donut=donut,
            vce=vce,
            mass_points=mass_points,
            sharp_bandwidth=sharp_bandwidth,
            by_cutoff=by_cutoff,
            level=level,
        )
        return self._fit(
            estimator,
            treatment=treatment,
            outcome=outcome,
            covariates=_names([] if covariates is None else covariates),
            running=running,
            cutoffs=own,
            cluster=cluster,
            sample_weight=sample_weight,
            missing=missing,
        )

    def _fit(
        self,
        estimator: Any,
        *,
        treatment: Any,
        outcome: Any,
        covariates: list[Any],
        level: float | None = None,
        missing: str = "raise",
        **roles: Any,
    ) -> Effect:
        given = {k: v for k, v in roles.items() if v is not None}
        X = self._select(treatment=treatment, covariates=covariates, outcome=outcome, **given)
        from sklearn.base import clone

        from pandas_causal.settings import check_settings

        check_settings({} if level is None else {"level": level})
        if treatment is not None:
            given["treatment"] = treatment
        if outcome is None:
            raise CausalArgumentError("outcome= needs the name of a column")
        legal = signature(estimator.fit).parameters
        unknown = [role for role in given if role not in legal]
        if unknown:
            known = [role for role in legal if role not in ("X", "y", "missing")]
            raise CausalArgumentError(f"{type(estimator).__name__} has no role {unknown[0]!r}; its roles: {known}")
        fitted = clone(estimator).fit(X, self._frame[outcome], missing=missing, **given)
        effect: Effect = fitted.effect()
        return effect if level is None or level == effect.level else replace(effect, level=level)

    def _select(self, *, covariates: list[Any], outcome: Any = None, **roles: Any) -> pd.DataFrame:
        """Columns of covariates and of roles given by name; every absent or doubled name is reported at once."""
        from pandas_causal.roles import check_columns

        check_columns(self._frame)
        named = [(role, name) for role, value in roles.items() for name in self._columns_of(role, value)]
        asked = [*([] if outcome is None else [("outcome", outcome)]), *named, *(("covariate", c) for c in covariates)]
        problems: list[Problem] = []
        used: dict[Any, str] = {}
        for role, name in asked:
            if not pd.api.types.is_hashable(name):
                what = f"is given as {role} but is no column name"
                problems.append(Problem(type(name).__name__, what, None, "give the name of a column"))
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
        several = role in ("cluster", "propensity") and isinstance(value, list | tuple)
        if not several or not all(isinstance(v, str) for v in value):
            return []
        values_of_rows = len(value) == len(self._frame) and not set(value) <= set(self._frame.columns)
        return [] if values_of_rows else list(value)

    def _absent(self, name: Any, role: str) -> Problem:
        columns = self._frame.columns
        known = ", ".join(map(str, columns[:8])) + (", ..." if len(columns) > 8 else "")
        return Problem(
            str(name),
            f"is given as {role} but is no column of the frame{suggest(name, columns)}",
            None,
            f"columns: {known}",
        )


def _names(covariates: Any) -> list[Any]:
    if isinstance(covariates, str) or not pd.api.types.is_list_like(covariates):
        raise CausalArgumentError(f"covariates takes a list of column names: [{covariates!r}]")
    return list(covariates)


def _estimator(estimator: Any, estimand: str | None, control: Any) -> Any:
    """Return the estimator of a short name, or the instance given, with the call's estimand and control."""
    from sklearn.base import clone

    from pandas_causal.estimators import AIPW, IPW, TMLE, RegressionAdjustment

    classes = {"aipw": AIPW, "ipw": IPW, "regression": RegressionAdjustment, "tmle": TMLE}
    if isinstance(estimator, str) and estimator in classes:
        chosen = classes[estimator]()
    elif isinstance(estimator, str | type) or not hasattr(estimator, "fit"):
        raise CausalArgumentError(
            f"estimator={estimator!r} is not known; use one of {list(classes)} or an instance, e.g. AIPW()"
        )
    else:
        chosen = clone(estimator)
    asked = {name: value for name, value in (("estimand", estimand), ("control", control)) if value is not None}
    absent = [name for name in asked if name not in chosen.get_params()]
    if absent:
        raise CausalArgumentError(f"{type(chosen).__name__} has no setting {absent[0]!r}")
    return chosen.set_params(**asked)


def causal(frame: Any) -> CausalAccessor:
    """Return the same accessor as ``frame.causal``, typed, and ours whatever else registers that name.

    Parameters
    ----------
    frame : DataFrame, or a polars, Arrow or DuckDB table
        Other tables are converted to pandas, once (``pip install 'pandas-causal[arrow]'``).

    Raises
    ------
    CausalArgumentError
        For anything that is no table.
    MissingDependencyError
        If narwhals, which converts, is not installed.

    Examples
    --------
    >>> causal(df).ate(treatment="treat", outcome="re78", covariates=["age"])  # doctest: +SKIP
    """
    return CausalAccessor(frame if isinstance(frame, pd.DataFrame) else _to_pandas(frame))


def _to_pandas(table: Any) -> pd.DataFrame:
    """Convert a polars, Arrow or DuckDB table."""
    try:
        import narwhals as nw
    except ImportError:
        raise MissingDependencyError("narwhals", "arrow") from None
    try:
        native = nw.from_native(table)
    except TypeError:
        raise CausalArgumentError(
            f"expected a table (pandas, polars, Arrow, DuckDB), got {type(table).__name__}"
        ) from None
    eager = native.collect() if isinstance(native, nw.LazyFrame) else native
    converted: pd.DataFrame = eager.to_pandas()
    return converted
