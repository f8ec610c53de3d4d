"""Effects as contrasts of mean outcomes by cohort and period, under random timing of treatment.

With the timing random, the mean of a cohort in a period before its treatment estimates what every other cohort would
have had. An effect is then a contrast of means ``theta = sum_g A_g Ybar_g``, its double in the periods before treatment
``X = sum_g B_g Ybar_g`` has expectation zero, and ``theta - beta X`` is unbiased for every beta.

References
----------
Roth and Sant'Anna (2023), "Efficient estimation for staggered rollout designs", Journal of Political Economy
Microeconomics 1 (RS below).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Bools, Floats, Ints, Positions

__all__ = [
    "Adjusted",
    "Contrasts",
    "Moments",
    "Rollout",
    "adjusted",
    "average_contrasts",
    "permuted_moments",
    "rollout_moments",
]

_BATCH = 4_000_000  # numbers held at once by the permutations


@dataclass(frozen=True, eq=False)
class Rollout:
    """Who starts when: cohorts in order of their start, the untreated last if there are any.

    Attributes
    ----------
    starts : ndarray (C,)
        Positions of first treatment; the number of periods for units untreated throughout.
    codes : ndarray (N,)
        Cohort of every unit.
    n_periods : int
    """

    starts: Ints
    codes: Positions
    n_periods: int

    @classmethod
    def of(cls, cohort: Ints, n_periods: int) -> Rollout:
        """Units that start after the last period count as untreated."""
        starts, codes = np.unique(np.minimum(cohort, n_periods), return_inverse=True)
        return cls(starts.astype(np.int64), codes.astype(np.intp), n_periods)

    @property
    def sizes(self) -> Ints:
        """Units (C,) of every cohort."""
        return np.bincount(self.codes, minlength=len(self.starts))

    @property
    def treated(self) -> Bools:
        """Whether a unit is treated in a period (N, T)."""
        return np.asarray(self.starts[self.codes][:, None] <= np.arange(self.n_periods))


class Contrasts(NamedTuple):
    """Effects as contrasts of means.

    Attributes
    ----------
    level : ndarray (rows, C, T)
        Contrasts of the periods of interest.
    before : ndarray (rows, C, T)
        The same contrasts in the last period before treatment.
    labels : ndarray (rows,)
        Periods since treatment, or 0 for a single average.
    """

    level: Floats
    before: Floats
    labels: Ints


def average_contrasts(rollout: Rollout, average: str) -> Contrasts:
    """Contrasts of an average over the cells from treatment on that have untreated units to compare with.

    The cell of cohort g in period t compares it with all units that are untreated in t. Cells weigh by the size of
    their cohort ("simple", and within "event" times); "cohort" averages the mean cell of every cohort by size,
    "calendar" the periods alike, each by size.

    References
    ----------
    RS, on aggregate causal parameters.
    """
    starts, sizes, T = rollout.starts, rollout.sizes.astype(float), rollout.n_periods
    cells = [(c, t) for c, g in enumerate(starts) for t in range(int(g), T) if (starts > t).any()]
    if not cells:
        raise CausalDataError(
            "no period from treatment on has untreated units to compare with; include units that are never treated, or"
            " periods before the last cohort starts"
        )
    cohort, time = np.array(cells).T
    key = {
        "simple": np.zeros(len(cells), dtype=np.int64), "event": time - starts[cohort], "cohort": cohort,
        "calendar": time,
    }[average]  # fmt: skip
    labels, group = np.unique(key, return_inverse=True)
    within = np.ones(len(cells)) if average == "cohort" else sizes[cohort]
    weight = within / np.bincount(group, within)[group]
    if average in ("cohort", "calendar"):
        overall = sizes[labels] if average == "cohort" else np.ones(len(labels))
        weight = weight * (overall / overall.sum())[group]
        labels, group = np.zeros(1, dtype=np.int64), np.zeros(len(cells), dtype=np.intp)
    level, before = np.zeros((2, len(labels), len(starts), T))
    for row, c, t, w in zip(group, cohort, time, weight, strict=True):
        later = starts > t
        side = np.where(later, -sizes / sizes[later].sum(), 0.0)
        side[c] = 1.0
        level[row, :, t] += w * side
        before[row, :, starts[c] - 1] += w * side
    return Contrasts(level, before, labels.astype(np.int64))


class Moments(NamedTuple):
    """Contrast and its double before treatment, of outcomes and of treatment itself, in one or more assignments.

    Attributes
    ----------
    mean : ndarray (draws, 4)
        Of level and double of the outcome, then of the treatment: what an effect of one adds to them.
    variance : ndarray (draws, 4, 4)
        ``sum_g S_g / N_g``, S_g the covariance within cohort g (RS, without the term in effects that differ, which no
        data show); of cohorts of one unit nothing is known, and nothing counted.
    """

    mean: Floats
    variance: Floats


class Adjusted(NamedTuple):
    """Estimates with the adjustment that they use (draws,).

    Attributes
    ----------
    estimate, std_error, beta : ndarray (draws,)
    """

    estimate: Floats
    std_error: Floats
    beta: Floats


def adjusted(moments: Moments, beta: float | None, effect: float = 0.0) -> Adjusted:
    """``theta - beta X`` with an effect taken out of the treated outcomes; beta None: the one of least variance.

    References
    ----------
    RS: the plug-in efficient estimator, beta* = Var(X)^-1 Cov(X, theta), and Neyman's variance of it.
    """
    level, double = np.array([1.0, 0.0, -effect, 0.0]), np.array([0.0, 1.0, 0.0, -effect])
    own, other = moments.variance @ level, moments.variance @ double
    both, spread = own @ double, other @ double
    if beta is None:
        b = np.divide(both, spread, out=np.zeros_like(both), where=spread > 1e-14 * (own @ level))
    else:
        b = np.full(len(both), beta)
    variance = own @ level - 2 * b * both + b**2 * spread
    return Adjusted(moments.mean @ level - b * (moments.mean @ double), np.sqrt(np.maximum(variance, 0.0)), b)


def rollout_moments(Y: Floats, rollout: Rollout, contrasts: Contrasts, row: int) -> Moments:
    """Moments (one draw) of the assignment as it was."""
    order = np.argsort(rollout.codes, kind="stable")
    return _moments(_pieces(Y, rollout, contrasts, row), rollout.sizes, order[None, :])


def permuted_moments(
    Y: Floats, rollout: Rollout, contrasts: Contrasts, row: int, n_draws: int, rng: np.random.Generator
) -> Moments:
    """Moments had other units started when these did: all other assignments of two cohorts if few, else draws of them.

    Parameters
    ----------
    Y : ndarray (N, T)
    rollout : Rollout
    contrasts : Contrasts
    row : int
    n_draws : int
    rng : Generator
    """
    pieces, sizes = _pieces(Y, rollout, contrasts, row), rollout.sizes
    every = _every_other(rollout, n_draws)
    if every is not None:
        return _moments(pieces, sizes, every)
    n = len(Y)
    step = max(1, _BATCH // (4 * n))
    parts = []
    for start in range(0, n_draws, step):
        order = rng.permuted(np.tile(np.arange(n), (min(step, n_draws - start), 1)), axis=1)
        parts.append(_moments(pieces, sizes, order))
    return Moments(np.concatenate([p.mean for p in parts]), np.concatenate([p.variance for p in parts]))


def _every_other(rollout: Rollout, n_draws: int) -> Positions | None:
    """Orders of the units (draws, N) in which the first cohort comes first, for every assignment but the actual one."""
    n, first = len(rollout.codes), int(rollout.sizes[0])
    if len(rollout.starts) != 2 or math.comb(n, first) - 1 > n_draws:
        return None
    actual = tuple(np.flatnonzero(rollout.codes == 0).tolist())
    out = []
    for chosen in combinations(range(n), first):
        if chosen != actual:
            inside = np.isin(np.arange(n), chosen)
            out.append(np.concatenate([np.flatnonzero(inside), np.flatnonzero(~inside)]))
    return np.array(out, dtype=np.intp)


def _pieces(Y: Floats, rollout: Rollout, contrasts: Contrasts, row: int) -> list[Floats]:
    """What every unit (N, 4) would add to the mean of each cohort, were it in it."""
    A, B = contrasts.level[row], contrasts.before[row]
    centred = Y - Y.mean(axis=0)  # contrasts of one period add to zero over the cohorts
    D = rollout.treated.astype(float)
    return [np.column_stack([centred @ a, centred @ b, D @ a, D @ b]) for a, b in zip(A, B, strict=True)]


def _moments(pieces: list[Floats], sizes: Ints, order: Positions) -> Moments:
    """Sum means and covariances over the cohorts, which hold the units of an order (draws, N) one after the other."""
    mean, variance = np.zeros((len(order), 4)), np.zeros((len(order), 4, 4))
    stop = 0
    for values, size in zip(pieces, sizes.tolist(), strict=True):
        start, stop = stop, stop + size
        drawn = values[order[:, start:stop]]
        centre = drawn.mean(axis=1)
        mean += centre
        if size > 1:
            deviations = drawn - centre[:, None, :]
            variance += np.einsum("dni,dnj->dij", deviations, deviations) / (size * (size - 1))
    return Moments(mean, variance)
