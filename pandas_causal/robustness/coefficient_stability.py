"""Two simple readings of hidden confounding: Oster's delta, and tipping points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.summary import digits
from pandas_causal.errors import CausalArgumentError, CausalError
from pandas_causal.inputs.parameters import LEVEL, check_settings, number, or_none

__all__ = ["CoefficientStability", "coefficient_stability", "tipping_points"]

_NUMBER = number(-np.inf, np.inf, "a number", closed_low=False)
_SHARE = number(0, float(np.nextafter(1.0, 2.0)), "a share in (0, 1]", closed_low=False)
_TIMES = 1.3  # Oster's rule for the largest R2, from randomised studies


@dataclass(frozen=True, eq=False, repr=False)
class CoefficientStability(Check):
    """How much stronger selection on the unobserved must be than on the observed to overturn a coefficient.

    Attributes
    ----------
    table : DataFrame
        One row: coefficient and R2 without and with covariates, ``r2_max``, ``delta``, ``adjusted``.
    delta : float
        Relative strength of selection on the unobserved at which the true coefficient is `null`; above 1 it would have
        to be stronger than that on the observed. Below 0: in the opposite direction.
    adjusted : float
        Coefficient that would be true if both were alike (or in the proportion asked for); NaN where none would.
    others : tuple of float
        Further solutions of the same equation.
    """

    delta: float = np.nan
    adjusted: float = np.nan
    others: tuple[float, ...] = field(default=())


def coefficient_stability(
    effect: Effect, *, r2_max: float | None = None, proportion: float = 1.0, null: float = 0.0
) -> CoefficientStability:
    """Oster's delta and her bias-adjusted coefficient.

    Parameters
    ----------
    effect : Effect
        Coefficient of least squares of two arms, ``RegressionAdjustment(interactions=False)``, with covariates.
    r2_max : float, optional
        R2 of the regression if everything were observed; 1.3 times that with the covariates by default, at most 1.
    proportion : float
        Of selection on the unobserved to that on the observed, for ``adjusted``.
    null : float
        Coefficient that delta is asked for.

    Returns
    -------
    CoefficientStability

    Raises
    ------
    CausalArgumentError
        For another effect, or an `r2_max` below the R2 with covariates.

    References
    ----------
    Oster (2019), JBES 37, propositions 2 and 3.
    """
    check_settings(
        {"r2_max": r2_max, "proportion": proportion, "null": null},
        {"r2_max": or_none(_SHARE), "proportion": _NUMBER, "null": _NUMBER},
    )
    ask = getattr(effect.estimator, "selection_moments", None)
    found = None if ask is None or len(effect) != 1 else ask()
    if found is None:
        raise CausalArgumentError(
            "Oster's delta is for a coefficient of least squares of two arms with covariates:"
            " df.causal.ate(..., estimator=RegressionAdjustment(interactions=False))"
        )
    if not np.isclose(found.long, effect.rows.array[0], rtol=1e-6):
        raise CausalError("this row is no coefficient of the regression any more; ask the effect before it was mapped")
    largest = min(_TIMES * found.r2_long, 1.0) if r2_max is None else float(r2_max)
    if largest < found.r2_long:
        raise CausalArgumentError(f"r2_max={largest:g} is below the R2 of the regression, {found.r2_long:.4g}")
    delta, solutions = found.delta(null, largest), found.adjusted(proportion, largest)
    adjusted = solutions[0] if solutions else np.nan
    table = pd.DataFrame(
        {
            "short": found.short,
            "r2_short": found.r2_short,
            "long": found.long,
            "r2_long": found.r2_long,
            "r2_max": largest,
            "delta": delta,
            "adjusted": adjusted,
        },
        index=effect.estimates.index,
    )
    alike = "as strong as" if proportion == 1 else f"{proportion:g} times as strong as"
    text = (
        f"selection on the unobserved must be {abs(delta):.2f} times that on the covariates"
        f"{', in the opposite direction,' if delta < 0 else ''} for the true coefficient to be"
        f" {digits(null)} (R2 of everything {largest:.2f}); {alike} it, the coefficient is {digits(adjusted)}"
    )
    return CoefficientStability(None, table, text, delta=delta, adjusted=adjusted, others=solutions[1:])


def tipping_points(
    effect: Effect,
    *,
    differences: Sequence[float] = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0),
    level: float | None = None,
    null: float | None = None,
) -> Check:
    """What an unobserved confounder must do to the outcome to tip an effect, by how much the arms differ in it.

    A confounder whose mean differs between the arms by `difference` (given the covariates), and that moves the outcome
    by `effect` per unit, biases a difference of means by their product.

    Parameters
    ----------
    effect : Effect
        Any on the scale of the outcome.
    differences : sequence of float
        Differences of the confounder between the arms, in its standard deviations; of a 0/1 confounder differences of
        shares.
    level : float, optional
        Of the interval; the effect's own by default.
    null : float
        What the effect is tipped to: 0, unless rows are means of the outcome (under doses or policies), of which it
        must be given.

    Returns
    -------
    Check
        A row per estimate and difference: ``tips_estimate`` and ``tips_interval``, in units of the outcome per standard
        deviation; 0 where the interval holds `null` already.

    References
    ----------
    Lin, Psaty and Kronmal (1998), "Assessing the sensitivity of regression results to unmeasured confounders in
    observational studies", Biometrics 54.
    """
    level = effect.level if level is None else level
    if null is None:
        if getattr(effect.estimator, "estimates_levels", False) or effect.facts.get("levels", False):
            raise CausalArgumentError(
                "these rows are means of the outcome, which no confounder takes to 0: say what they should be tipped"
                " to, null=, or take their difference first: effect[[a]].difference(effect[[b]])"
            )
        null = 0.0
    check_settings({"level": level, "null": null}, {"level": LEVEL, "null": _NUMBER})
    sizes = np.atleast_1d(np.asarray(differences, dtype=float))
    if sizes.ndim != 1 or not len(sizes) or not np.isfinite(sizes).all() or (sizes <= 0).any():
        raise CausalArgumentError(f"differences={differences!r}: give one or more numbers above 0")
    if effect.rows.units is not None:
        raise CausalArgumentError("there is one row per unit; aggregate() first")
    ends = effect.confidence_set(level)
    if not ends.index.equals(effect.estimates.index):
        raise CausalError("a confidence set of several pieces has no tipping point; ask sensitivity('confounder')")
    rows, keys = [], []
    for position, label in enumerate(effect.estimates.index):
        estimate = float(effect.rows.array[position])
        low, high = ends.iloc[position]
        nearest = low if estimate >= null else high
        left = nearest - null if (nearest - null) * (estimate - null) > 0 else 0.0
        for size in sizes:
            rows.append(((estimate - null) / size, left / size))
            keys.append((*label, size) if isinstance(label, tuple) else (label, size))
    names = [*(n or "estimand" for n in effect.estimates.index.names), "difference"]
    index = pd.MultiIndex.from_tuples(keys, names=names)
    table = pd.DataFrame(rows, columns=["tips_estimate", "tips_interval"], index=index)
    size, (at_estimate, at_interval) = sizes[len(sizes) // 2], rows[len(sizes) // 2]
    which = "" if len(effect) == 1 else f" (of {effect.estimates.index[0]})"
    text = (
        f"a confounder that differs by {size:g} standard deviations between the arms must move the outcome by"
        f" {digits(at_estimate)} per standard deviation to take the estimate{which} to {digits(null)}, by"
        f" {digits(at_interval)} to make its {100 * level:g}% interval reach it"
    )
    return Check(None, table, text)
