"""Sums over resampled rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from pandas_causal.kernels import kernel
from pandas_causal.kernels.arrays import Values

__all__ = ["resampled_sums"]


def resampled_sums(values: Values, groups: Values, n_groups: int, n_draws: int, seed: int, bayesian: bool) -> Any:
    """Sums by group over n rows drawn with replacement, or under exponential weights, for every draw.

    A row is read at random, so rows are kept short: a group and what is summed, not a column for every group.

    Parameters
    ----------
    values : ndarray (n, m), float64, C-contiguous
    groups : ndarray (n,), int8
        Group of every row, below `n_groups`.
    n_groups, n_draws : int
    seed : int
        Every draw has a generator of its own, so the number of threads changes nothing.
    bayesian : bool

    Returns
    -------
    ndarray (n_draws, n_groups, 1 + m), float64
        Weight of the group, then sums of the values.
    """
    seeds = np.random.SeedSequence(seed).generate_state(n_draws, dtype=np.uint64)
    out = np.zeros((n_draws, n_groups, 1 + values.shape[1]))
    _sums(values, groups, seeds, bayesian, out)
    return out


@kernel
def _sums(values: Values, groups: Values, seeds: Values, bayesian: bool, out: Values) -> None:
    n, m = values.shape
    for draw in prange(len(seeds)):
        state = seeds[draw]
        total = np.zeros((out.shape[1], m + 1))
        for i in range(n):
            # splitmix64 (Steele, Lea and Flood 2014)
            state += np.uint64(0x9E3779B97F4A7C15)
            z = state
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
            if bayesian:
                row = np.int64(i)
                weight = -np.log((np.float64(z >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0))
            else:
                row = np.int64(((z >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))
                weight = 1.0
            group = groups[row]
            total[group, 0] += weight
            for j in range(m):
                total[group, j + 1] += weight * values[row, j]
        out[draw] = total
