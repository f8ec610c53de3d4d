"""Largest projection of draws on many directions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from pandas_causal.kernels import kernel
from pandas_causal.kernels.arrays import Values

__all__ = ["largest_projection"]

_DRAWS = 256


def largest_projection(directions: Values, draws: Values) -> Any:
    """Return ``max_j |directions[j] . draws[b]|`` for every draw b.

    Single precision: nothing is solved here, and every sum runs in one order, so that a processor's own rounding of the
    arguments changes a critical value by less than 1e-6 of it.

    Parameters
    ----------
    directions : ndarray (rows, k), float64
    draws : ndarray (n_draws, k), float64

    Returns
    -------
    ndarray (n_draws,), float64
    """
    n_draws = len(draws)
    padded = -(-n_draws // _DRAWS) * _DRAWS
    columns = np.zeros((draws.shape[1], padded), dtype=np.float32)
    columns[:, :n_draws] = draws.T
    out = np.zeros(padded, dtype=np.float32)
    _largest(directions.astype(np.float32), columns, out)
    return out[:n_draws].astype(np.float64)


@kernel
def _largest(directions: Values, columns: Values, out: Values) -> None:
    rows, k = directions.shape
    for block in prange(columns.shape[1] // _DRAWS):
        at = block * _DRAWS
        best = np.zeros(_DRAWS, dtype=np.float32)
        value = np.empty(_DRAWS, dtype=np.float32)
        local = np.empty((k, _DRAWS), dtype=np.float32)  # one block of draws, which stays in the cache
        for q in range(k):
            for b in range(_DRAWS):
                local[q, b] = columns[q, at + b]
        for j in range(rows):
            for b in range(_DRAWS):
                value[b] = 0.0
            for q in range(k):
                weight = directions[j, q]
                for b in range(_DRAWS):
                    value[b] += weight * local[q, b]
            for b in range(_DRAWS):
                best[b] = max(best[b], abs(value[b]))
        for b in range(_DRAWS):
            out[at + b] = best[b]
