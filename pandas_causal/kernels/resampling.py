"""Sums over resampled rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from pandas_causal.kernels import kernel

__all__ = ["resampled_sums"]


def resampled_sums(values: Any, n_draws: int, seed: int, bayesian: bool) -> Any:
    """Column sums over n rows drawn with replacement, or under exponential weights, for every draw.

    Parameters
    ----------
    values : ndarray (n, m), float64, C-contiguous
    n_draws : int
    seed : int
        Every draw has a generator of its own, so the number of threads changes nothing.
    bayesian : bool

    Returns
    -------
    ndarray (n_draws, m), float64
    """
    seeds = np.random.SeedSequence(seed).generate_state(n_draws, dtype=np.uint64)
    out = np.zeros((n_draws, values.shape[1]))
    _sums(values, seeds, bayesian, out)
    return out


@kernel
def _sums(values: Any, seeds: Any, bayesian: bool, out: Any) -> None:
    n, m = values.shape
    for draw in prange(len(seeds)):
        state = seeds[draw]
        total = np.zeros(m)
        for i in range(n):
            # splitmix64 (Steele, Lea and Flood 2014)
            state += np.uint64(0x9E3779B97F4A7C15)
            z = state
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
            if bayesian:
                weight = -np.log((np.float64(z >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0))
                for j in range(m):
                    total[j] += weight * values[i, j]
            else:
                row = np.int64(((z >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))
                for j in range(m):
                    total[j] += values[row, j]
        out[draw] = total
