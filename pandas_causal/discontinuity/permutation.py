"""Near enough to a cutoff assignment is as good as random: windows, permutation tests, intervals by inversion.

References
----------
CFT: Cattaneo, Frandsen and Titiunik (2015), Journal of Causal Inference 3, "Randomization inference in the regression
discontinuity design"; Cattaneo, Titiunik and Vazquez-Bare (2016), Stata Journal 16, for the choice of windows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Bools, Floats

__all__ = [
    "STATISTICS",
    "balance_p_values",
    "inverted_interval",
    "mean_differences",
    "nested_windows",
    "permuted_assignments",
]

_BATCH = 256


def mean_differences(y: Floats, treated: Floats) -> Floats:
    """Difference in means for every assignment (draws, n)."""
    n1 = treated.sum(axis=-1)
    total = treated @ y
    return total / n1 - (y.sum() - total) / (y.size - n1)


def ks_statistics(y: Floats, treated: Floats) -> Floats:
    """Largest distance of the two empirical distributions for every assignment (draws, n)."""
    order = np.argsort(y, kind="stable")
    last = np.append(y[order][1:] != y[order][:-1], True)
    d = treated[..., order]
    n1 = treated.sum(axis=-1, keepdims=True)
    gap = np.cumsum(d / n1 - (1 - d) / (y.size - n1), axis=-1)
    return np.asarray(np.abs(gap[..., last]).max(axis=-1))


def rank_sum(y: Floats, treated: Floats) -> Floats:
    """Wilcoxon's rank sum, standardised, for every assignment (draws, n)."""
    ranks = pd.Series(y).rank().to_numpy()
    n, n1 = y.size, treated.sum(axis=-1)
    centre = n1 * (n + 1) / 2
    spread = np.sqrt(n1 * (n - n1) * ranks.var(ddof=1) / n)  # 0 where all outcomes are equal, as all sums then are
    return np.asarray((treated @ ranks - centre) / np.where(spread > 0, spread, 1.0))


STATISTICS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "difference": mean_differences,
    "ks": ks_statistics,
    "rank_sum": rank_sum,
}


def permuted_assignments(treated: Bools, n_draws: int, rng: np.random.Generator) -> Floats:
    """Assignments (draws, n) with as many treated, each equally likely."""
    n, n1 = len(treated), int(treated.sum())
    out = np.zeros((n_draws, n))
    for start in range(0, n_draws, _BATCH):
        stop = min(start + _BATCH, n_draws)
        first = np.argpartition(rng.random((stop - start, n)), n1 - 1, axis=1)[:, :n1]
        np.put_along_axis(out[start:stop], first, 1.0, axis=1)
    return out


def p_value(observed: float, null: Floats) -> float:
    """Two-sided ``(1 + #{|null| >= |observed|}) / (draws + 1)``."""
    beyond = np.abs(null) >= abs(observed) * (1 - 1e-12) - 1e-300
    return float((1 + beyond.sum()) / (len(null) + 1))


def nested_windows(
    z: Floats,
    *,
    min_rows: int,
    n_windows: int,
    step: float | None = None,
    add_rows: int = 5,
    first: float | None = None,
) -> Floats:
    """Half-widths of symmetric windows around the cutoff, each inside the next.

    The first holds `min_rows` rows on each side (or is `first`); the next ones are wider by `step`, or so that each
    side gains `add_rows` rows.

    Parameters
    ----------
    z : ndarray (n,)
        Running variable minus cutoff.
    """
    left, right = np.sort(-z[z < 0]), np.sort(z[z >= 0])
    fewest = min(len(left), len(right))
    if fewest < min_rows:
        raise CausalDataError(
            f"a window needs {min_rows} rows on each side of the cutoff: there are {len(left):,} left and"
            f" {len(right):,} right"
        )
    start = max(left[min_rows - 1], right[min_rows - 1]) if first is None else float(first)
    if step is not None:
        return np.asarray(start + step * np.arange(n_windows))
    widths = [start]
    reach = max(left[-1], right[-1])
    while len(widths) < n_windows and widths[-1] < reach:
        counts = [int(np.searchsorted(side, widths[-1], side="right")) for side in (left, right)]
        wanted = [side[min(c + add_rows, len(side)) - 1] for side, c in zip((left, right), counts, strict=True)]
        if max(wanted) <= widths[-1]:
            break
        widths.append(float(max(wanted)))
    return np.asarray(widths)


def balance_p_values(X: Floats, treated: Bools, statistic: str, n_draws: int, rng: np.random.Generator) -> Floats:
    """Permutation p-value of every covariate (q,)."""
    assignments = permuted_assignments(treated, n_draws, rng)
    f, actual = STATISTICS[statistic], treated.astype(float)
    return np.array([p_value(float(f(x, actual)), f(x, assignments)) for x in X.T])


def inverted_interval(y: Floats, treated: Bools, assignments: Floats, level: float) -> tuple[float, float]:
    """Ends of the set of constant effects that the permutation test does not reject, for the difference in means.

    Under an effect tau the outcome without treatment is ``y - tau D``; an assignment D* then gives
    ``diff(y; D*) - tau diff(D; D*)``, beside ``diff(y; D) - tau``. Both are lines in tau, so that every draw is at
    least as extreme on an interval whose ends are known, and the p-value is a count of intervals.

    References
    ----------
    CFT (2015), section 3.3.
    """
    actual = treated.astype(float)
    centre = float(mean_differences(y, actual))
    a, c = mean_differences(y, assignments), mean_differences(actual, assignments)
    # |a - tau c| >= |centre - tau|: with u = tau - centre and e = a - c centre, |e - c u| >= |u|; |c| <= 1
    e = a - c * centre
    with np.errstate(divide="ignore", invalid="ignore"):
        upper = np.where(np.abs(c) < 1, np.maximum(e / (1 + c), -e / (1 - c)), np.inf)
        lower = np.where(np.abs(c) < 1, np.minimum(e / (1 + c), -e / (1 - c)), -np.inf)
    need = int(np.floor((1 - level) * (len(e) + 1)))  # rejected while 1 + # <= this
    if need < 1:
        return -np.inf, np.inf
    # tau - centre above `upper` of all but need - 1 draws is rejected
    high = float(np.sort(upper)[::-1][min(need - 1, len(e) - 1)])
    low = float(np.sort(lower)[min(need - 1, len(e) - 1)])
    return centre + low, centre + high
