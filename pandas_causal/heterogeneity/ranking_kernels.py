"""Cumulated scores of ranked rows under random halves of the rows."""

from __future__ import annotations

import numpy as np
from numba import prange

from pandas_causal.kernels import kernel
from pandas_causal.kernels.arrays import Values

__all__ = ["half_sample_gains"]


@kernel
def half_sample_gains(scores: Values, weights: Values, seeds: Values, grid: Values, out: Values) -> None:
    """Write gains at shares of a grid for random halves of rows, which are ranked from the first on.

    A gain at share q is the weighted sum of the scores of the first rows that hold q of the weight, beside all weight.
    Between rows it is linear.

    Parameters
    ----------
    scores, weights : ndarray (n,), float64
        In the order of the ranking, ties averaged before.
    seeds : ndarray (draws,), uint64
    grid : ndarray (m,), float64, increasing, in (0, 1]
    out : ndarray (draws, m), float64
    """
    n, m = len(scores), len(grid)
    for draw in prange(len(seeds)):
        state = seeds[draw]
        total = 0.0
        bits = np.uint64(0)
        for i in range(n):
            if i % 64 == 0:
                state += np.uint64(0x9E3779B97F4A7C15)
                bits = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                bits = bits ^ (bits >> np.uint64(31))
            if (bits >> np.uint64(i % 64)) & np.uint64(1):
                total += weights[i]
        state = seeds[draw]
        reached, gain, k = 0.0, 0.0, 0
        for i in range(n):
            if i % 64 == 0:
                state += np.uint64(0x9E3779B97F4A7C15)
                bits = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                bits = bits ^ (bits >> np.uint64(31))
            if (bits >> np.uint64(i % 64)) & np.uint64(1):
                w = weights[i]
                while k < m and reached + w >= grid[k] * total:
                    out[draw, k] = (gain + (grid[k] * total - reached) * scores[i]) / total
                    k += 1
                gain += w * scores[i]
                reached += w
        while k < m:
            out[draw, k] = gain / total
            k += 1
