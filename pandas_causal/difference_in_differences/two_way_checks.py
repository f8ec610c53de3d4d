"""What two-way fixed effects averages when treatment is staggered: its 2x2 comparisons and its weights on effects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Floats, Ints

if TYPE_CHECKING:
    from pandas_causal.panels.panel import Panel

__all__ = ["bacon_decomposition", "two_way_checks", "two_way_weights"]


NEVER, LATER, EARLIER = "never treated", "later treated", "already treated"


def two_way_checks(panel: Panel) -> dict[str, Callable[[], Check]]:
    """What the two-way coefficient without covariates averages, computed when read; what the panel allows of it."""
    if not panel.is_panel:  # effects of cohorts are absorbed there, not of units
        return {}
    checks: dict[str, Callable[[], Check]] = {"two_way_weights": partial(two_way_weights, panel)}
    return checks if _obstacles(panel) else {"bacon": partial(bacon_decomposition, panel), **checks}


def bacon_decomposition(panel: Panel) -> Check:
    """Decompose two-way fixed effects into 2x2 comparisons of cohorts (Goodman-Bacon).

    Parameters
    ----------
    panel : Panel
        Balanced, treatment absorbing, weights constant within units.

    Returns
    -------
    Check
        ``table`` has a row per comparison: treated and control cohort, kind ("never treated", "later treated", "already
        treated" as control), weight and estimate; weights times estimates sum to the two-way coefficient without
        covariates. ``passed`` is False where already treated units carry weight: their effects are subtracted.

    Raises
    ------
    CausalDataError
        For an unbalanced panel, treatment that switches off, or weights that change within a unit.

    References
    ----------
    Goodman-Bacon (2021), "Difference-in-differences with variation in treatment timing", Journal of Econometrics,
    Theorem 1 and eq. (10).
    """
    problems = _obstacles(panel)
    if problems:
        raise CausalDataError("two-way fixed effects cannot be decomposed: " + "; ".join(problems))
    cohort = np.minimum(panel.cohort, panel.n_periods)
    starts, of_unit = np.unique(cohort, return_inverse=True)
    weight = np.ones(panel.n_units) if panel.weight is None else panel.weight[panel.starts]
    mass = np.bincount(of_unit, weight)
    means = np.empty((len(starts), panel.n_periods))
    wide = panel.wide()
    for t in range(panel.n_periods):
        means[:, t] = np.bincount(of_unit, weight * wide[:, t]) / mass
    rows = _comparisons(means, starts.astype(np.int64), mass / mass.sum())
    label = {int(g): (panel.periods[int(g)] if g < panel.n_periods else "never") for g in starts}
    columns = ["treated", "control", "kind", "weight", "estimate"]
    table = pd.DataFrame([(label[g], label[h], *rest) for g, h, *rest in rows], columns=columns)
    coefficient = sum(row[3] * row[4] for row in rows)
    share = float(table.loc[table["kind"] == EARLIER, "weight"].sum())
    summary = (
        f"{share:.0%} of the weight compares with already treated units; {len(table)} comparisons average to"
        f" {coefficient:.4g}"
    )
    return Check(share < 1e-12, table, summary)


def _comparisons(means: Floats, starts: Ints, share: Floats) -> list[tuple[int, int, str, float, float]]:
    """All 2x2 comparisons: (treated cohort, control cohort, kind, weight, estimate).

    With shares n and fractions of time treated D, the weights are proportional to ``n_k n_U D_k (1 - D_k)`` (never
    treated), ``n_k n_l (D_k - D_l)(1 - D_k)`` (k treated, l later) and ``n_k n_l D_l (D_k - D_l)`` (l treated, k
    already).
    """
    T = means.shape[1]
    time_treated = (T - starts) / T
    rows = []
    for k, first in enumerate(starts):
        for other, then in enumerate(starts):
            if first >= T or other == k:
                continue
            if then >= T:  # never treated: before and after k's start
                kind, window, weight = NEVER, (0, T), time_treated[k] * (1 - time_treated[k])
            elif first < then:  # l is not yet treated: the periods before l's start
                kind, window = LATER, (0, int(then))
                weight = (time_treated[k] - time_treated[other]) * (1 - time_treated[k])
            else:  # the control was treated before: the periods from its start on
                kind, window = EARLIER, (int(then), T)
                weight = time_treated[k] * (time_treated[other] - time_treated[k])
            if first <= window[0]:
                continue
            before, after = slice(window[0], int(first)), slice(int(first), window[1])
            change = means[:, after].mean(axis=1) - means[:, before].mean(axis=1)
            rows.append((int(first), int(then), kind, share[k] * share[other] * weight, change[k] - change[other]))
    total = sum(row[3] for row in rows)
    return [(g, h, kind, float(w / total), float(estimate)) for g, h, kind, w, estimate in rows]


def _obstacles(panel: Panel) -> list[str]:
    """Why the decomposition does not hold for this panel."""
    problems = []
    if not panel.balanced:
        missing = panel.n_units * panel.n_periods - len(panel)
        problems.append(f"the panel lacks {missing:,} unit-period rows; keep units seen in every period")
    if not np.array_equal(panel.treated, panel.event >= 0):
        problems.append("treatment switches off; the decomposition is that of absorbing treatment")
    if panel.weight is not None and not np.array_equal(panel.weight, panel.weight[panel.starts][panel.unit]):
        problems.append("sample weights change within units; give every unit one weight")
    return problems


def two_way_weights(panel: Panel) -> Check:
    """Weights that the two-way coefficient puts on the effects of treated cells (de Chaisemartin and D'Haultfoeuille).

    Under parallel trends the coefficient is ``sum w_gt TE_gt`` over treated cohort-period cells with weights that sum
    to one; a negative one means that the coefficient falls when that cell's effect grows.

    Parameters
    ----------
    panel : Panel
        May be unbalanced.

    Returns
    -------
    Check
        ``table`` has a row per treated cell: cohort, period, rows, weight. ``passed`` is False where a weight is
        negative. The summary gives the least standard deviation of effects under which their average could be zero,
        and under which all effects could have the opposite sign.

    References
    ----------
    de Chaisemartin and D'Haultfoeuille (2020), "Two-way fixed effects estimators with heterogeneous treatment effects",
    American Economic Review, Theorem 1 and Corollary 1.
    """
    from pandas_causal.models.fixed_effects import Absorber

    w = np.ones(len(panel)) if panel.weight is None else panel.weight
    treated = panel.treated.astype(float)
    absorber = Absorber.of([panel.unit, panel.time], panel.weight)
    pair = absorber.residuals(np.column_stack([treated, panel.y]))
    residual = pair[:, 0]
    denominator = float(w * treated @ residual)
    if denominator <= 1e-9 * float(w @ treated):
        raise CausalDataError("treatment does not vary once units and periods are absorbed")
    beta = float((w * residual) @ pair[:, 1]) / denominator
    cohort = np.minimum(panel.cohort, panel.n_periods)[panel.unit]
    cell = cohort * panel.n_periods + panel.time
    on = panel.treated
    cells, position = np.unique(cell[on], return_inverse=True)
    mass = np.bincount(position, w[on])
    weights = np.bincount(position, (w * residual)[on]) / denominator
    weights[np.abs(weights) < 1e-14] = 0.0
    table = pd.DataFrame(
        {
            "cohort": [panel.periods[int(c)] for c in cells // panel.n_periods],
            "period": panel.periods[cells % panel.n_periods],
            "rows": np.bincount(position),
            "weight": weights,
        }
    )
    negative = weights < 0
    share = mass / mass.sum()
    zero, opposite = _least_spread(beta, weights / share, share)
    summary = (
        f"{int(negative.sum())} of {len(weights)} treated cells weigh negatively ({weights[negative].sum():.3g} in"
        f" all); effects varying by {zero:.3g} suffice for an average of zero"
        + ("" if opposite is None else f", by {opposite:.3g} for all of the other sign")
    )
    return Check(not negative.any(), table, summary)


def _least_spread(beta: float, ratio: Floats, share: Floats) -> tuple[float, float | None]:
    """Least standard deviation of the cells' effects under which their average is zero, and all have another sign.

    ``|beta| / sd(w)``, and ``|beta| / sqrt(T_s + S_s^2 / (1 - P_s))`` with tail sums over the weights sorted downwards
    from the first s with ``w_(s) < -S_s / (1 - P_s)``; None where no weight is negative. `ratio` is w_gt, weight over
    share.
    """
    spread = float(np.sqrt(share @ (ratio - 1) ** 2))
    zero = abs(beta) / spread if spread > 1e-12 else np.inf
    if (ratio >= 0).all():
        return zero, None
    order = np.argsort(-ratio)
    r, p = ratio[order], share[order]
    tails = [np.cumsum(values[::-1])[::-1] for values in (p, p * r, p * r**2)]
    P, S, T = tails
    candidates = 1 + np.flatnonzero(r[1:] < -S[1:] / (1 - P[1:]))  # the first tail is everything, 1 - P nothing
    if not len(candidates):
        return zero, None
    s = candidates[0]
    return zero, abs(beta) / float(np.sqrt(T[s] + S[s] ** 2 / (1 - P[s])))
