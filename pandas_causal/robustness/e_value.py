"""The E-value: how strongly a confounder must be tied to treatment and outcome, as risk ratios, to explain an effect.

References
----------
VanderWeele and Ding (2017), "Sensitivity analysis in observational research: introducing the E-value", Annals of
Internal Medicine 167. Ding and VanderWeele (2016), "Sensitivity analysis without assumptions", Epidemiology 27.
VanderWeele (2020), "Optimal approximate conversions of odds ratios and hazard ratios to risk ratios", Biometrics 76.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalError
from pandas_causal.inference.influence import Influence, quadratic_forms
from pandas_causal.inference.reference import Student
from pandas_causal.inputs.parameters import FLAG, LEVEL, check_settings, number, one_of, or_none
from pandas_causal.kernels.arrays import Floats

__all__ = ["EValue", "confounder_pairs", "e_value", "e_value_of"]

_PER_DEVIATION, _PER_ERROR = 0.91, 1.78  # of the log risk ratio (VanderWeele and Ding 2017, table 2)
_POSITIVE = number(0, np.inf, "a number above 0", closed_low=False)
_NUMBER = number(-np.inf, np.inf, "a number", closed_low=False)
_RULES = {
    "measure": one_of("risk_ratio", "odds_ratio", "hazard_ratio", "mean_difference"),
    "rare": FLAG,
    "true": _POSITIVE,
    "sd": or_none(_POSITIVE),
    "std_error": or_none(_POSITIVE),
    "conf_low": or_none(_NUMBER),
    "conf_high": or_none(_NUMBER),
}


@dataclass(frozen=True, eq=False, repr=False)
class EValue(Check):
    """E-values of an estimate and of the end of its interval that is nearest to no effect.

    Attributes
    ----------
    table : DataFrame
        A row per estimate: ``risk_ratio`` with its ends ``conf_low`` and ``conf_high``, ``e_value`` and
        ``e_value_interval`` (1 where the interval holds no effect; NaN without an interval).
    """

    def curve(self, row: Any = None, *, n: int = 50) -> pd.DataFrame:
        """Pairs of risk ratios that suffice: of the confounder in the treated, and of the outcome by the confounder.

        Parameters
        ----------
        row : label, optional
            Which estimate, where there are several.
        n : int

        Returns
        -------
        DataFrame
            ``with_treatment`` and ``with_outcome``; the two are equal at the E-value.
        """
        if (row is None and len(self.table) != 1) or (row is not None and row not in self.table.index):
            raise CausalArgumentError(f"row={row!r}: there are {list(self.table.index[:10])}")
        ratio = float(self.table["risk_ratio"].iloc[0] if row is None else self.table.loc[row, "risk_ratio"])
        return confounder_pairs(ratio, n)


def confounder_pairs(ratio: float, n: int = 50) -> pd.DataFrame:
    """Risk ratios of a confounder with treatment and with outcome whose joint bias ``ab / (a + b - 1)`` is a ratio."""
    ratio = 1 / ratio if ratio < 1 else ratio
    if ratio == 1:
        return pd.DataFrame({"with_treatment": [1.0], "with_outcome": [1.0]})
    top = 3 * (ratio + np.sqrt(ratio * (ratio - 1)))
    least = ratio * (top - 1) / (top - ratio)
    a = np.geomspace(least, top, n)
    return pd.DataFrame({"with_treatment": a, "with_outcome": ratio * (a - 1) / (a - ratio)})


def _of_ratio(ratio: Floats) -> Floats:
    """``RR + sqrt(RR (RR - 1))``, of the inverse below 1."""
    above = np.where(ratio < 1, 1 / ratio, ratio)
    return np.asarray(above + np.sqrt(above * (above - 1)))


def _as_risk_ratio(value: Floats, measure: str, rare: bool) -> Floats:
    """Approximate risk ratio of an odds or hazard ratio (VanderWeele 2020: square root where the outcome is common)."""
    if measure == "risk_ratio" or rare:
        return value
    if measure == "odds_ratio":
        return np.sqrt(value)
    with np.errstate(divide="ignore"):  # a limit of 0 stays 0
        return np.where(value > 0, (1 - 0.5 ** np.sqrt(value)) / (1 - 0.5 ** np.sqrt(1 / value)), 0.0)


def e_value(
    estimate: float,
    *,
    measure: str = "risk_ratio",
    conf_low: float | None = None,
    conf_high: float | None = None,
    std_error: float | None = None,
    sd: float | None = None,
    rare: bool = False,
    true: float = 1.0,
    name: str = "estimate",
) -> EValue:
    """E-value of a published estimate.

    Parameters
    ----------
    estimate : float
        A ratio; or a difference of means, in units of `sd`'s.
    measure : {"risk_ratio", "odds_ratio", "hazard_ratio", "mean_difference"}
    conf_low, conf_high : float, optional
        Ends of the interval of a ratio; one may do, that nearest to 1.
    std_error : float, optional
        Of a difference of means.
    sd : float, optional
        Standard deviation of the outcome, which a difference of means is divided by; 1 where it was before.
    rare : bool
        Whether the outcome is rarer than 15% at the end of follow-up, so that odds and hazard ratios are risk ratios.
    true : float
        The risk ratio that the estimate is to be moved to.
    name : str

    Returns
    -------
    EValue

    Examples
    --------
    >>> e_value(3.9, conf_low=1.8).table[["e_value", "e_value_interval"]].round(2).iloc[0].tolist()
    [7.26, 3.0]
    """
    given = {"conf_low": conf_low, "conf_high": conf_high, "std_error": std_error, "sd": sd}
    check_settings({"measure": measure, "rare": rare, "true": true, **given}, _RULES)
    check_settings({"estimate": estimate}, {"estimate": _NUMBER if measure == "mean_difference" else _POSITIVE})
    if measure == "mean_difference":
        if conf_low is not None or conf_high is not None:
            raise CausalArgumentError("the interval of a mean difference is given by std_error=, its standard error")
        unit = 1.0 if sd is None else float(sd)
        error = np.nan if std_error is None else float(std_error) / unit
        ratio, low, high = _from_difference(float(estimate) / unit, error)
    else:
        if std_error is not None or sd is not None:
            raise CausalArgumentError(f"std_error= and sd= are for mean differences; give conf_low= of a {measure}")
        ends = [np.nan if end is None else float(end) for end in (conf_low, conf_high)]
        if ends[0] > estimate or ends[1] < estimate:
            raise CausalArgumentError(f"the interval [{conf_low}, {conf_high}] does not hold the estimate {estimate}")
        values = _as_risk_ratio(np.array([float(estimate), *np.maximum(ends, 0.0)]), measure, rare)
        ratio, low, high = map(float, values)
    return _arranged(pd.Index([name]), np.array([[ratio, low, high]]), true)


def _from_difference(d: float, error: float) -> tuple[float, float, float]:
    """Risk ratio and its ends of a standardised difference: ``exp(0.91 d -+ 1.78 se)``."""
    at = _PER_DEVIATION * d
    return float(np.exp(at)), float(np.exp(at - _PER_ERROR * error)), float(np.exp(at + _PER_ERROR * error))


def _arranged(index: pd.Index, ratios: Floats, true: float) -> EValue:
    """E-values of ratios (rows, 3) with their ends."""
    ratio, low, high = (ratios / true).T
    nearest = np.where(ratio >= 1, low, high)
    crossed = np.where(ratio >= 1, nearest <= 1, nearest >= 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_interval = np.where(np.isnan(nearest), np.nan, np.where(crossed, 1.0, _of_ratio(nearest)))
    table = pd.DataFrame(
        {
            "risk_ratio": ratios[:, 0],
            "conf_low": ratios[:, 1],
            "conf_high": ratios[:, 2],
            "e_value": _of_ratio(ratio),
            "e_value_interval": of_interval,
        },
        index=index,
    )
    least = int(np.argmin(table["e_value"].to_numpy()))
    row = table.iloc[least]
    which = "" if len(table) == 1 else f" (of {table.index[least]}, the least)"
    interval = "" if np.isnan(row["e_value_interval"]) else f"; {row['e_value_interval']:.2f} for the interval"
    text = (
        f"E-value {row['e_value']:.2f}{which}{interval}: a confounder tied to treatment and to outcome by risk ratios"
        " of so much each could explain the estimate away, a weaker one could not"
    )
    return EValue(None, table, text)


def e_value_of(effect: Effect, *, level: float | None = None, true: float = 1.0) -> EValue:
    """E-values of an effect that compares arms: of risk ratios for a 0/1 outcome, else of standardised differences.

    Parameters
    ----------
    effect : Effect
        Contrasts of arm means.
    level : float, optional
        Of the intervals; the effect's own by default.
    true : float
        The risk ratio that the estimate is to be moved to.

    Raises
    ------
    CausalError
        For an effect that compares no two means, or has lost the outcome.
    """
    level = effect.level if level is None else level
    check_settings({"level": level, "true": true}, {"level": LEVEL, "true": _POSITIVE})
    u, codes = effect.uncertainty, getattr(effect.estimator, "arm_codes_", None)
    y = u.rows.content if isinstance(u, Influence) and u.rows is not None else None
    of_means = getattr(effect.estimator, "compares_means", True)
    if not of_means or not isinstance(u, Influence) or y is None or codes is None or len(codes) != len(y):
        raise CausalError(
            "an E-value is asked of effects that compare arms of rows (ate, match, ab_test, association), as they were"
            " fitted; of a published number it is pandas_causal.e_value(estimate, measure=...)"
        )
    pairs = [_two_means(row) for row in u.loadings]
    if None in pairs or not np.allclose(u.loadings @ u.values, effect.rows.array):
        raise CausalError("these rows are no differences of two means; ask the effect before it was mapped")
    critical = Student().critical(level, u.df())
    rows = []
    if np.isin(y, (0.0, 1.0)).all():
        meat = u.meat()
        for (base, arm), c in zip([p for p in pairs if p is not None], critical, strict=True):
            if not (u.values[base] > 0 and u.values[arm] > 0):
                raise CausalError(
                    f"the estimated share of an arm is {min(u.values[base], u.values[arm]):.3g}, so that there is no"
                    " risk ratio; use an estimator whose means stay within 0 and 1 (TMLE)"
                )
            slope = np.zeros((1, len(u.values)))
            slope[0, [arm, base]] = 1 / u.values[arm], -1 / u.values[base]
            log, error = np.log(u.values[arm] / u.values[base]), float(np.sqrt(quadratic_forms(slope, meat)[0]))
            rows.append(np.exp([log, log - c * error, log + c * error]))
    else:
        w = effect.estimator.row_weights_
        unit = _within_arms(np.asarray(y, dtype=float), codes, np.ones(len(y)) if w is None else w)
        errors = np.asarray(u.std_error(), dtype=float)
        widths = _PER_ERROR * (critical / float(Student().critical(0.95, np.array([np.inf]))[0]))
        for estimate, error, width in zip(effect.rows.array / unit, errors / unit, widths, strict=True):
            rows.append(np.exp(_PER_DEVIATION * estimate + width * error * np.array([0.0, -1.0, 1.0])))
    return _arranged(effect.estimates.index, np.array(rows), true)


def _two_means(loadings: Floats) -> tuple[int, int] | None:
    """Positions of the mean subtracted and of the mean it is subtracted from."""
    used = np.flatnonzero(loadings)
    if len(used) != 2 or not np.allclose(np.sort(loadings[used]), [-1.0, 1.0]):
        return None
    return int(used[np.argmin(loadings[used])]), int(used[np.argmax(loadings[used])])


def _within_arms(y: Floats, codes: Any, w: Floats) -> float:
    """Standard deviation of the outcome within arms, pooled."""
    total = np.bincount(codes, weights=w)
    means = np.bincount(codes, weights=w * y) / total
    return float(np.sqrt(w @ np.square(y - means[codes]) / w.sum()))
