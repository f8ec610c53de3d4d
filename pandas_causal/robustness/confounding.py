"""How strong a confounder would have to be: robustness values, benchmarks by observed covariates, contours."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.summary import digits
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError, suggest
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.omitted_variables import (
    BiasBounds,
    ConfounderStrength,
    LinearCoefficient,
    ShortEstimate,
    benchmark_strength,
    short_estimate,
)
from pandas_causal.inputs.parameters import LEVEL, Legal, check_settings, number
from pandas_causal.plotting.confounding import draw_confounder_contour, draw_extreme_confounders
from pandas_causal.robustness.e_value import EValue, e_value_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ConfounderSensitivity", "confounder_sensitivity", "confounder_strength"]

_MOST_BENCHMARKS = 12
_STRENGTH = number(0, 1, "a share in [0, 1)")
_SHARE = number(0, float(np.nextafter(1.0, 2.0)), "a share in [0, 1]")
_NUMBER = number(-np.inf, np.inf, "a number", closed_low=False)
_RHO = Legal(lambda value: _NUMBER.holds(value) and 0 < abs(float(str(value))) <= 1, "a correlation other than 0")


class Confounded(Protocol):
    """An estimate that a confounder may bias."""

    @property
    def estimate(self) -> float:
        """Without the confounder."""
        ...

    @property
    def std_error(self) -> float:
        """Of the estimate."""
        ...

    def bounds(self, strength: ConfounderStrength, rho: float = 1.0) -> BiasBounds:
        """The estimate with a confounder of this strength, in either direction."""
        ...

    def robustness(self, null: float = 0.0, level: float | None = None, rho: float = 1.0) -> float:
        """Strength, of treatment and outcome alike, that moves the estimate, or its interval, to a value."""
        ...

    def extreme_robustness(self, null: float = 0.0, level: float | None = None, rho: float = 1.0) -> float:
        """Strength of the treatment where all of the outcome is explained."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class ConfounderSensitivity(Check):
    """What a confounder of any strength does to an estimate.

    Attributes
    ----------
    table : DataFrame
        A row per estimate. ``robustness_value``: the share of what is left of the treatment, and of the outcome, that a
        confounder must explain to move the estimate to `null`; ``robustness_value_interval``: to make its interval
        reach it. ``extreme_robustness_value``: the share of the treatment alone, where the confounder explains all that
        is left of the outcome. Of regression coefficients also ``partial_r2`` of treatment with outcome.
    benchmarks : DataFrame
        What a confounder as strong as an observed covariate (times 1, 2, 3) would do, by estimate, covariate and
        multiple: its shares of treatment and outcome, the estimate nearest to `null` with it, its error and interval.
    null : float
    level : float
        Of the intervals.
    rho : float
        Correlation of the errors that the confounder makes in outcome and in representer; 1 is the worst case.
    kind : str
        "partial R2" of a coefficient of least squares, or "debiased".
    e_value : EValue or None
        Of contrasts of arms, where their means have one.
    estimates : mapping of label to what is judged
    """

    benchmarks: pd.DataFrame = field(default_factory=pd.DataFrame)
    null: float = 0.0
    level: float = 0.95
    rho: float = 1.0
    kind: str = "partial R2"
    e_value: EValue | None = None
    estimates: Mapping[Any, Confounded] = field(default_factory=dict)

    def bounds(self, r2_treatment: float, r2_outcome: float, rho: float | None = None) -> pd.DataFrame:
        """What the estimates may be with a confounder that explains these shares.

        Parameters
        ----------
        r2_treatment, r2_outcome : float
            Shares of what is left of the treatment given the covariates (below 1), and of the outcome given these and
            treatment (at most 1).
        rho : float, optional
            The sensitivity's own by default.

        Returns
        -------
        DataFrame
            A row per estimate: ``low`` and ``high``, and ``conf_low`` and ``conf_high``, which hold at either end.
        """
        check_settings(
            {"r2_treatment": r2_treatment, "r2_outcome": r2_outcome, "rho": self.rho if rho is None else rho},
            {"r2_treatment": _STRENGTH, "r2_outcome": _SHARE, "rho": _RHO},
        )
        strength, rows = ConfounderStrength(float(r2_treatment), float(r2_outcome)), []
        for one in self.estimates.values():
            found = one.bounds(strength, self.rho if rho is None else rho)
            rows.append((found.low, found.high, *found.interval(self.level)))
        return pd.DataFrame(rows, columns=["low", "high", "conf_low", "conf_high"], index=self.table.index)

    def contour(self, row: Hashable = None, *, largest: float | None = None, n: int = 60) -> pd.DataFrame:
        """Estimate and nearest end of the interval over a grid of strengths, in the direction of `null`.

        Parameters
        ----------
        row : label, optional
            Which estimate, where there are several.
        largest : float, optional
            Largest share; by default so that robustness value and benchmarks are seen.
        n : int
            Steps of the grid, each way.

        Returns
        -------
        DataFrame
            r2_treatment, r2_outcome, estimate, limit.
        """
        label = self._label(row)
        one = self.estimates[label]
        if largest is None:
            own = self.benchmarks.loc[[label]] if len(self.benchmarks) else self.benchmarks
            seen = [one.robustness(self.null), *(own[c].max() for c in ("r2_treatment", "r2_outcome") if len(own))]
            largest = float(min(max(1.4 * np.nanmax(seen), 0.05), 0.95))
        check_settings({"largest": largest}, {"largest": _STRENGTH})
        shares = np.linspace(0.0, largest, n)
        rows = []
        for y in shares:
            for d in shares:
                estimate, _, limit = self._towards(one, ConfounderStrength(float(d), float(y)))
                rows.append((d, y, estimate, limit))
        return pd.DataFrame(rows, columns=["r2_treatment", "r2_outcome", "estimate", "limit"])

    def extreme(
        self,
        row: Hashable = None,
        *,
        r2_outcome: Sequence[float] = (1.0, 0.75, 0.5),
        largest: float = 0.3,
        n: int = 100,
    ) -> pd.DataFrame:
        """Estimate and nearest end of the interval where a confounder explains most or all of the outcome.

        Parameters
        ----------
        row : label, optional
        r2_outcome : sequence of float
            Shares of the outcome.
        largest : float
            Largest share of the treatment.
        n : int

        Returns
        -------
        DataFrame
            r2_outcome, r2_treatment, estimate, limit.
        """
        for y in r2_outcome:
            check_settings({"r2_outcome": y, "largest": largest}, {"r2_outcome": _SHARE, "largest": _STRENGTH})
        one, rows = self.estimates[self._label(row)], []
        for y in r2_outcome:
            for d in np.linspace(0.0, largest, n):
                estimate, _, limit = self._towards(one, ConfounderStrength(float(d), float(y)))
                rows.append((float(y), d, estimate, limit))
        return pd.DataFrame(rows, columns=["r2_outcome", "r2_treatment", "estimate", "limit"])

    def plot(
        self, kind: str = "contour", ax: Axes | None = None, *, row: Hashable = None, of: str = "estimate"
    ) -> Axes:
        """Draw the estimate over strengths of a confounder, with the benchmarks.

        Parameters
        ----------
        kind : {"contour", "extreme"}
        ax : matplotlib Axes, optional
        row : label, optional
        of : {"estimate", "limit"}
            The estimate, or the end of its interval that is nearest to `null`.
        """
        if kind not in ("contour", "extreme") or of not in ("estimate", "limit"):
            raise CausalArgumentError(
                f"plot draws kind='contour' or 'extreme', of='estimate' or 'limit'; got {kind!r} and {of!r}"
            )
        label = self._label(row)
        own = self.benchmarks.loc[label] if len(self.benchmarks) else None
        if kind == "contour":
            return draw_confounder_contour(
                self.contour(label), ax, benchmarks=own, null=self.null, of=of,
                estimate=self.estimates[label].estimate, title=f"{label}: {of} by the strength of a confounder",
            )  # fmt: skip
        return draw_extreme_confounders(
            self.extreme(label), ax, benchmarks=own, null=self.null, of=of, title=str(label)
        )

    def _label(self, row: Hashable) -> Any:
        labels = list(self.estimates)
        if row is None and len(labels) == 1:
            return labels[0]
        if row not in labels:
            raise CausalArgumentError(f"row={row!r}: there are {labels[:10]}{suggest(row, labels)}")
        return row

    def _towards(self, one: Confounded, strength: ConfounderStrength) -> tuple[float, float, float]:
        """Estimate, error and nearest end of the interval, the bias taken in the direction of `null`."""
        return towards(one, strength, self.null, self.level, self.rho)


def towards(
    one: Confounded, strength: ConfounderStrength, null: float, level: float, rho: float
) -> tuple[float, float, float]:
    """Estimate with a confounder that pulls it towards a value, its error, and the end of its interval on that side."""
    found = one.bounds(strength, rho)
    low, high = found.interval(level)
    return (found.low, found.std_error_low, low) if one.estimate >= null else (found.high, found.std_error_high, high)


# -- from numbers ------------------------------------------------------------------------------------------------------


def confounder_strength(
    estimate: float, std_error: float, df: float, *, null: float = 0.0, level: float = 0.95, name: str = "coefficient"
) -> ConfounderSensitivity:
    """Robustness of a regression coefficient that was published: estimate, classical standard error, residual df.

    Parameters
    ----------
    estimate, std_error : float
        Of a coefficient of least squares, in any units.
    df : float
        Residual degrees of freedom, more than 1.
    null : float
        What the confounder is to move the estimate to: ``0.5 * estimate`` asks for half of it.
    level : float
    name : str

    Returns
    -------
    ConfounderSensitivity

    References
    ----------
    Cinelli and Hazlett (2020), JRSS B 82.

    Examples
    --------
    >>> confounder_strength(0.0973, 0.0233, 783).table["robustness_value"].round(3).item()
    0.139
    """
    rules = {"estimate": _NUMBER, "std_error": _NUMBER, "df": _NUMBER, "null": _NUMBER, "level": LEVEL}
    check_settings({"estimate": estimate, "std_error": std_error, "df": df, "null": null, "level": level}, rules)
    if not (std_error > 0 and df > 1):
        raise CausalArgumentError(f"std_error must be above 0 and df above 1; got {std_error} and {df}")
    one = LinearCoefficient(float(estimate), float(std_error), float(df))
    return _arranged({name: one}, pd.Index([name]), {}, null=float(null), level=level, rho=1.0)


# -- from an effect ----------------------------------------------------------------------------------------------------


def confounder_sensitivity(
    effect: Effect,
    *,
    null: float = 0.0,
    level: float | None = None,
    benchmarks: Any = None,
    times: Sequence[float] = (1, 2, 3),
    times_outcome: Sequence[float] | None = None,
    rho: float = 1.0,
) -> ConfounderSensitivity:
    """How strong a confounder must be to overturn an effect.

    Regression coefficients (``RegressionAdjustment(interactions=False)``) are answered by partial R2, with classical
    standard errors; AIPW, TMLE, regressions in every arm and instruments in the debiased-ML form, from what was kept.
    With an instrument the rows are its effects on the outcome (less `null` times treatment) and on the treatment: the
    effect is `null` exactly where the first is zero (Cinelli and Hazlett 2025).

    Parameters
    ----------
    effect : Effect
    null : float
        What the confounder is to move the estimate to.
    level : float, optional
        Of the intervals; the effect's own by default.
    benchmarks : list of names, or mapping, optional
        Of a coefficient: covariates, or ``{"name": [covariates]}`` for groups; by default every covariate (the
        strongest 12). Of other estimates ``{"name": effect}``, the effect fitted without these covariates; or names
        again, where the effect still knows its data: they are left out and the rest is fitted anew.
    times, times_outcome : sequence of float
        How many times as strong as a benchmark, for treatment and outcome.
    rho : float
        Correlation of the confounder's errors in outcome and representer; 1 is the worst case.

    Returns
    -------
    ConfounderSensitivity

    Raises
    ------
    CausalError
        For an effect whose estimator keeps nothing to judge by.

    References
    ----------
    Cinelli and Hazlett (2020), JRSS B 82; Chernozhukov, Cinelli, Newey, Sharma and Syrgkanis (2022), NBER 30302.
    """
    level = effect.level if level is None else level
    check_settings({"null": null, "level": level, "rho": rho}, {"null": _NUMBER, "level": LEVEL, "rho": _RHO})
    multiples = _multiples(times, times_outcome)
    estimator, index = effect.estimator, effect.estimates.index
    coefficients = _coefficients(effect)
    if coefficients is not None:
        strengths = _covariate_strengths(estimator, effect, benchmarks)
        estimates: Mapping[Any, Confounded] = dict(zip(index, coefficients, strict=True))
        found = {
            (label, name, k): (observed, benchmark_strength(observed, k, k_y))
            for label, by_name in strengths.items()
            for name, observed in by_name.items()
            for k, k_y in multiples
        }
        judged = _arranged(estimates, index, found, null=float(null), level=level, rho=float(rho))
        return replace(judged, e_value=_e_value(effect, level))
    by_instrument = _instrument_coefficients(effect, float(null))
    if by_instrument is not None:
        if benchmarks is not None:
            raise CausalArgumentError("benchmarks of an instrument are not available; compare shares by hand")
        names = pd.Index(list(by_instrument), name=index.name)
        return _arranged(by_instrument, names, {}, null=0.0, level=level, rho=float(rho))
    short = short_estimates(effect, float(null))
    found = _refitted(short, _without(effect, benchmarks), multiples, float(null))
    if hasattr(estimator, "instrument_estimates"):  # what is asked of the ratio is asked of its numerator: is it zero?
        index, null = pd.Index(list(short), name=index.name), 0.0
    judged = _arranged(short, index, found, null=float(null), level=level, rho=float(rho))
    return replace(judged, e_value=_e_value(effect, level))


def _e_value(effect: Effect, level: float) -> EValue | None:
    """E-values of contrasts of arms; None where they have none."""
    try:
        return e_value_of(effect, level=level)
    except CausalError:
        return None


def _multiples(times: Any, times_outcome: Any) -> list[tuple[float, float]]:
    first = np.atleast_1d(np.asarray(times, dtype=float))
    second = first if times_outcome is None else np.atleast_1d(np.asarray(times_outcome, dtype=float))
    if first.shape != second.shape or first.ndim != 1 or not (first > 0).all() or not (second > 0).all():
        raise CausalArgumentError(
            f"times and times_outcome are positive numbers, as many of each; got {times!r} and {times_outcome!r}"
        )
    return [(float(a), float(b)) for a, b in zip(first, second, strict=True)]


def _coefficients(effect: Effect) -> list[LinearCoefficient] | None:
    """Coefficients of least squares behind the rows, None where the effect is none."""
    ask = getattr(effect.estimator, "linear_coefficient", None)
    if ask is None or ask(1) is None:
        return None
    out = []
    for position, label in enumerate(effect.estimates.index):
        one: LinearCoefficient = ask(_arm_of(effect, label))
        if not np.isclose(one.estimate, effect.rows.array[position], rtol=1e-6, atol=1e-300):
            raise CausalError(
                f"row {label!r} is no coefficient of the regression any more; ask sensitivity() of the effect before it"
                " was mapped"
            )
        out.append(one)
    return out


def _instrument_coefficients(effect: Effect, null: float) -> dict[str, LinearCoefficient] | None:
    """The instrument's coefficients, of least squares with one instrument and one treatment; None for other effects."""
    ask = getattr(effect.estimator, "instrument_coefficients", None)
    if ask is None:
        return None
    found: dict[str, LinearCoefficient] | None = ask(null)
    if found is None:
        raise CausalArgumentError(
            "how strong a confounder must be is known of one instrument and one treatment; combine the instruments, or"
            " use PartialLinearIV, which does"
        )
    if not np.allclose(effect.estimator.effect_.rows.array, effect.rows.array):
        raise CausalError("this is no effect of an instrument any more; ask sensitivity() before it was mapped")
    return found


def _arm_of(effect: Effect, label: Any) -> int:
    """Position of the arm that a row of an effect compares with the control."""
    own = list(effect.estimator.effect_.estimates.index)
    if label not in own:
        raise CausalError(
            f"row {label!r} is no contrast of an arm with the control; ask sensitivity() of the effect before it was"
            " mapped"
        )
    return own.index(label) + 1


def _covariate_strengths(estimator: Any, effect: Effect, benchmarks: Any) -> dict[Any, dict[str, ConfounderStrength]]:
    """Partial R2 of covariates or groups with treatment and outcome, by row."""
    if isinstance(benchmarks, Mapping):
        if any(isinstance(value, Effect) for value in benchmarks.values()):
            raise CausalArgumentError("benchmarks of a coefficient are covariates or groups of them, not effects")
        groups = {str(k): [v] if _is_name(v) else list(v) for k, v in benchmarks.items()}
    elif benchmarks is None:
        groups = {str(name): [name] for name in _every_covariate(estimator)}
    elif _is_name(benchmarks) or not isinstance(benchmarks, Iterable):
        groups = {str(benchmarks): [benchmarks]}
    else:
        groups = {str(name): [name] for name in benchmarks}
    out: dict[Any, dict[str, ConfounderStrength]] = {}
    for label in effect.estimates.index:
        arm = _arm_of(effect, label)
        found = {name: estimator.covariate_strength(members, arm) for name, members in groups.items()}
        gone = [name for name, strength in found.items() if strength is None]
        if gone and benchmarks is not None:
            raise CausalArgumentError(
                f"benchmark {gone[0]!r} is constant, or other covariates explain it; name another"
            )
        there = {name: strength for name, strength in found.items() if strength is not None}
        if benchmarks is None and len(there) > _MOST_BENCHMARKS:
            pull = {name: np.sqrt(s.r2_treatment * s.r2_outcome) for name, s in there.items()}
            there = {name: there[name] for name in sorted(pull, key=lambda n: -pull[n])[:_MOST_BENCHMARKS]}
        out[label] = there
    return out


def _is_name(value: object) -> bool:
    return isinstance(value, str) or not isinstance(value, Iterable)


def _every_covariate(estimator: Any) -> list[Any]:
    """Covariates as given; with a formula the columns that it makes."""
    return list(estimator.covariates_) if estimator.formula is None else list(estimator.encoder_.names)


def short_estimates(effect: Effect, null: float) -> dict[Any, ShortEstimate]:
    """Every row of an effect with the size that bounds its bias.

    Raises
    ------
    CausalError
        Where the estimator keeps no residuals and representers, or the rows were mapped otherwise than linearly.
    """
    u, estimator = effect.uncertainty, effect.estimator
    ask, instrumented = (getattr(estimator, name, None) for name in ("riesz_terms", "instrument_estimates"))
    if ask is None and instrumented is None:
        raise CausalArgumentError(_no_terms(estimator))
    if not isinstance(u, Influence) or u.contributions is None or u.rows is None:
        raise CausalError("the contributions of the rows are gone (compact()); refit to ask how strong a confounder")
    original: Influence = estimator.effect_.uncertainty
    if instrumented is not None:
        if not np.array_equal(original.loadings, u.loadings):
            raise CausalError("this is no effect of an instrument any more; ask sensitivity() before it was mapped")
        return _checked(dict(instrumented(u, null)))
    y = u.rows.content
    assert ask is not None  # noqa: S101 - one of the two is there
    if y is None:
        raise CausalError("the outcome of the rows is gone; refit to ask how strong a confounder")
    mapped = not np.array_equal(original.values, u.values) or not np.allclose(u.loadings @ u.values, effect.rows.array)
    if mapped or len(y) != len(estimator.arm_codes_):
        raise CausalError(
            "these rows are no linear contrasts of the means that were estimated; ask sensitivity() of the effect"
            " before it was transformed, collapsed or compared"
        )
    terms = ask(y)
    if terms is None:
        raise CausalArgumentError(_no_terms(estimator))
    errors, df = np.asarray(u.std_error(), dtype=float), np.asarray(u.df(), dtype=float)
    out = {}
    for position, label in enumerate(effect.estimates.index):
        loadings = np.asarray(u.loadings[position], dtype=float)
        out[label] = short_estimate(
            terms, loadings, estimate=float(effect.rows.array[position]), std_error=float(errors[position]),
            df=float(df[position]), contributions=u.contributions @ loadings, clustering=u.clustering or (),
        )  # fmt: skip
    return _checked(out)


def _checked(estimates: dict[Any, ShortEstimate]) -> dict[Any, ShortEstimate]:
    """The same, unless the size of a bias could not be told."""
    for label, one in estimates.items():
        if np.isfinite(one.size):
            continue
        if not one.outcome_variance > 0:
            raise CausalDataError(
                f"the outcome behind {label!r} is fitted exactly: a confounder has nothing to explain"
            )
        raise CausalDataError(
            f"the variance of the representer of {label!r} is estimated as negative: propensities are too extreme to"
            " judge a confounder by; bound them (clip=) or leave rows out (trim=)"
        )
    return estimates


def _no_terms(estimator: object) -> str:
    name = estimator.partition("(")[0] if isinstance(estimator, str) else type(estimator).__name__
    known = (
        "RegressionAdjustment (linear, with interactions=True or False), AIPW, TMLE, InstrumentalVariables (one"
        " instrument), InteractiveIV and PartialLinearIV"
        " have it"
    )
    return f"how strong a confounder must be is not known of {name}; {known}"


def _without(effect: Effect, benchmarks: Any) -> Any:
    """Effects without the covariates that benchmarks name, fitted by the study where the effect still has one."""
    if benchmarks is None or (isinstance(benchmarks, Mapping) and _are_effects(benchmarks.values())):
        return benchmarks
    study = getattr(effect, "study", None)
    if study is None:
        return benchmarks
    if isinstance(benchmarks, Mapping):
        groups = {str(k): [v] if _is_name(v) else list(v) for k, v in benchmarks.items()}
    else:
        groups = {str(name): [name] for name in ([benchmarks] if _is_name(benchmarks) else benchmarks)}
    covariates = study.data.covariates
    unknown = [name for members in groups.values() for name in members if name not in covariates.columns]
    if unknown:
        known = list(covariates.columns)
        raise CausalArgumentError(
            f"{unknown[0]!r} is no covariate{suggest(unknown[0], known)}; covariates: {known[:10]}"
        )
    return {name: study.refit(covariates=covariates.drop(columns=members)) for name, members in groups.items()}


def _are_effects(values: Iterable[object]) -> bool:
    return all(isinstance(value, Effect) for value in values)


def _refitted(
    long: Mapping[Any, ShortEstimate],
    benchmarks: Any,
    multiples: Sequence[tuple[float, float]],
    null: float,
) -> dict[tuple[Any, str, float], tuple[ConfounderStrength, ConfounderStrength]]:
    """Gains of covariates, by effects that were fitted without them."""
    if benchmarks is None:
        return {}
    effects = benchmarks if isinstance(benchmarks, Mapping) else {}
    if not effects or not _are_effects(effects.values()):
        raise CausalArgumentError(
            "benchmarks of this estimator are effects fitted without some covariates:"
            " benchmarks={'age': effect_without_age}"
        )
    out = {}
    for name, without in effects.items():
        short = short_estimates(without, null)
        for label, whole in long.items():
            if label not in short:
                raise CausalArgumentError(f"benchmark {name!r} has rows {list(short)[:5]}, the effect {list(long)[:5]}")
            part = short[label]
            gain = ConfounderStrength(
                float(np.clip(1 - part.representer_variance / whole.representer_variance, 0, 1)),
                float(np.clip(1 - whole.outcome_variance / part.outcome_variance, 0, 1)),
            )
            for k, k_y in multiples:
                d, y = gain
                strength = ConfounderStrength(k * d / (1 - d), min(k_y * y / (1 - y), 1.0))
                if not strength.r2_treatment < 1:
                    strength = ConfounderStrength(np.nan, np.nan)
                out[label, str(name), k] = (gain, strength)
    return out


def _arranged(
    estimates: Mapping[Any, Confounded],
    index: pd.Index,
    found: Mapping[tuple[Any, str, float], tuple[ConfounderStrength, ConfounderStrength]],
    *,
    null: float,
    level: float,
    rho: float,
) -> ConfounderSensitivity:
    rows = []
    linear = all(isinstance(one, LinearCoefficient) for one in estimates.values())
    for one in estimates.values():
        row: dict[str, float] = {"estimate": one.estimate, "std_error": one.std_error}
        if isinstance(one, LinearCoefficient):
            row |= {"df": one.df, "partial_r2": one.partial_r2()}
        row |= {
            "robustness_value": one.robustness(null, None, rho),
            "robustness_value_interval": one.robustness(null, level, rho),
            "extreme_robustness_value": one.extreme_robustness(null, None, rho),
            "extreme_robustness_value_interval": one.extreme_robustness(null, level, rho),
        }
        rows.append(row)
    table = pd.DataFrame(rows, index=index)
    names = ["estimand", "benchmark", "times"]
    listed: list[dict[str, float]] = []
    for (label, _, _), (observed, strength) in found.items():
        estimate, error, limit = (
            (np.nan, np.nan, np.nan)
            if np.isnan(strength.r2_treatment)
            else towards(estimates[label], strength, null, level, rho)
        )
        listed.append(
            {
                "r2_treatment": strength.r2_treatment,
                "r2_outcome": strength.r2_outcome,
                "observed_r2_treatment": observed.r2_treatment,
                "observed_r2_outcome": observed.r2_outcome,
                "estimate": estimate,
                "std_error": error,
                "limit": limit,
            }
        )
    keys = (
        pd.MultiIndex.from_tuples(list(found), names=names)
        if found
        else pd.MultiIndex.from_arrays([[]] * 3, names=names)
    )
    marks = pd.DataFrame(listed, index=keys)
    return ConfounderSensitivity(
        None, table, _words(table, marks, null, level), benchmarks=marks, null=null, level=level, rho=rho,
        kind="partial R2" if linear else "debiased", estimates=dict(estimates),
    )  # fmt: skip


def _words(table: pd.DataFrame, marks: pd.DataFrame, null: float, level: float) -> str:
    least = int(np.argmin(table["robustness_value"].to_numpy()))
    label, row = table.index[least], table.iloc[least]
    which = "" if len(table) == 1 else f" of {label}, the least robust"
    text = (
        f"a confounder that explains {row['robustness_value']:.1%} of what is left of treatment and of outcome moves"
        f" the estimate{which} to {digits(null)}; {row['robustness_value_interval']:.1%} make its {100 * level:g}%"
        " interval reach it"
    )
    if not len(marks):
        return text
    own = marks.xs(label, level=0)
    once = own[own.index.get_level_values("times") == own.index.get_level_values("times").min()]
    pull = (once["estimate"] - row["estimate"]).abs()
    if not pull.notna().any():
        return text
    strongest = int(np.nanargmax(pull))
    name, times = once.index[strongest]
    multiple = "" if times == 1 else f"{times:g} times "
    return f"{text}; one {multiple}as strong as {name} leaves {digits(float(once['estimate'].to_numpy()[strongest]))}"
