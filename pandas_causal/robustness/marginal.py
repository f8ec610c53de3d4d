"""The marginal sensitivity model of weighted effects: the odds of treatment are off by at most a factor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalError
from pandas_causal.inference.identified_sets import IdentifiedSets
from pandas_causal.inputs.parameters import FLAG, LEVEL, check_settings, number
from pandas_causal.plotting.confounding import draw_sensitivity_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MarginalSensitivity", "marginal_sensitivity"]

_PRECISION = 0.002
_LARGEST = 50.0
_NULL = number(-np.inf, np.inf, "a number", closed_low=False)


@dataclass(frozen=True, eq=False, repr=False)
class MarginalSensitivity(Check):
    """Bounds of weighted effects while hidden confounding changes the odds of treatment by at most a factor.

    Attributes
    ----------
    table : DataFrame
        A row per effect and ``odds_factor``: ``low`` and ``high``, the bounds, and ``conf_low`` and ``conf_high``, an
        interval that holds the effect.
    breakdown : Series
        By effect, the largest factor at which the interval leaves out `null`, to two digits; 1 if it never does.
    sharp : bool
    null : float
    """

    breakdown: pd.Series[float] | None = None
    sharp: bool = True
    null: float = 0.0

    def plot(self, ax: Axes | None = None, *, row: object = None) -> Axes:
        """Draw bounds and intervals over the factor.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        row : label, optional
            Which effect, where there are several.
        """
        labels = list(dict.fromkeys(self.table.index.get_level_values(0)))
        if (row is None and len(labels) > 1) or (row is not None and row not in labels):
            raise CausalArgumentError(f"row={row!r}: there are {labels[:10]}")
        label = labels[0] if row is None else row
        part = self.table[self.table.index.get_level_values(0) == label].droplevel(0)
        return draw_sensitivity_band(
            part, ax, null=self.null, xlabel="factor by which the odds of treatment may be off", title=str(label)
        )


def marginal_sensitivity(
    effect: Effect,
    *,
    odds_factors: Sequence[float] = (1, 1.25, 1.5, 2, 3),
    sharp: bool = True,
    level: float | None = None,
    null: float = 0.0,
) -> MarginalSensitivity:
    """Bounds of an inverse-probability-weighted effect under hidden confounding of bounded strength.

    Parameters
    ----------
    effect : Effect
        Of ``IPW`` for the ATE, ATT or ATC.
    odds_factors : sequence of float
        By how much the odds of treatment given everything may differ from those given the covariates; 1 or more.
    sharp : bool
        Whether confounding must leave the covariates balanced (Dorn and Guo 2023): the tightest bounds, where quantiles
        of the outcome are linear in the covariates; elsewhere they are wider than need be, never too narrow. Else those
        of Zhao, Small and Bhattacharya (2019), which let weights move by themselves.
    level : float, optional
        Of the intervals; the effect's own by default.
    null : float
        For `breakdown`.

    Returns
    -------
    MarginalSensitivity

    Notes
    -----
    The papers draw intervals by a percentile bootstrap. Here every bound has an influence function (by the envelope
    theorem the choice of the worst weights adds nothing of first order; the estimation of a logistic propensity does
    and is in it), and intervals are those of Imbens and Manski (2004).

    References
    ----------
    Tan (2006), JASA; Zhao, Small and Bhattacharya (2019), JRSS B 81; Dorn and Guo (2023), JASA 118.
    """
    level = effect.level if level is None else level
    check_settings({"sharp": sharp, "level": level, "null": null}, {"sharp": FLAG, "level": LEVEL, "null": _NULL})
    factors = np.atleast_1d(np.asarray(odds_factors, dtype=float))
    if factors.ndim != 1 or not len(factors) or not np.isfinite(factors).all() or (factors < 1).any():
        raise CausalArgumentError(f"odds_factors={odds_factors!r}: give one or more numbers of at least 1")
    ask = getattr(effect.estimator, "bounded_means", None)
    if ask is None:
        raise CausalArgumentError(
            "the marginal sensitivity model is for weighted effects: df.causal.ate(..., estimator='ipw')"
        )
    means = ask()
    labels, own = list(effect.estimates.index), list(means.plan.index)
    if any(label not in own for label in labels):
        raise CausalError("these rows are no contrasts of arms any more; ask sensitivity() of the effect before")
    at = [own.index(label) for label in labels]
    clustering = getattr(effect.uncertainty, "clustering", None)

    def bounds(factor: float) -> pd.DataFrame:
        u = means.within(factor, sharp=sharp, clustered=False)
        u = u.cluster(clustering) if clustering else u
        rows = u.take(np.array([*at, *(len(own) + i for i in at)]))
        values, index = rows.loadings @ rows.values, effect.estimates.index
        ends = pd.DataFrame({"low": values[: len(at)], "high": values[len(at) :]}, index=index)
        return ends.join(IdentifiedSets(rows, index)(level)) if index.is_unique else ends

    known = {float(factor): bounds(float(factor)) for factor in factors}
    table = pd.concat(known, names=["odds_factor"])
    table = table.swaplevel().sort_index(level=0, sort_remaining=False, kind="stable").loc[labels]
    table.index = table.index.set_names(["estimand", "odds_factor"])
    breakdown = _breakdowns(bounds, known, null)
    least = str(breakdown.idxmin())
    which = "" if len(breakdown) == 1 else f" of {least}"
    found = float(breakdown.min())
    text = (
        f"the {100 * level:g}% interval{which} leaves out {null:g} while hidden confounding changes the odds of"
        f" treatment by a factor of {found:.2f} at most"
        if found > 1
        else f"the {100 * level:g}% interval{which} holds {null:g} even without hidden confounding"
    )
    return MarginalSensitivity(None, table, text, breakdown=breakdown, sharp=sharp, null=null)


def _breakdowns(
    bounds: Callable[[float], pd.DataFrame], known: Mapping[float, pd.DataFrame], null: float
) -> pd.Series[float]:
    """Largest factor, by effect, at which the interval leaves out a value: halved in on from the factors known."""

    def excluded(found: pd.DataFrame) -> list[bool]:
        return ((found["conf_low"] > null) | (found["conf_high"] < null)).tolist()

    tried = {factor: excluded(found) for factor, found in known.items()}
    index = next(iter(known.values())).index
    for end in (1.0, _LARGEST):
        tried.setdefault(end, excluded(bounds(end)))
    out = []
    for position in range(len(index)):
        low = max((f for f, found in tried.items() if found[position]), default=0.0)
        high = min((f for f, found in tried.items() if f > low and not found[position]), default=np.inf)
        while low and np.isfinite(high) and high / low > 1 + _PRECISION:
            middle = float(np.sqrt(low * high))
            tried[middle] = excluded(bounds(middle))
            low, high = (middle, high) if tried[middle][position] else (low, middle)
        out.append(1.0 if not low else low if np.isfinite(high) else np.inf)
    return pd.Series(out, index=index, name="breakdown", dtype=float)
