"""Differences from the nearest neighbours on a sorted line."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from pandas_causal.kernels import kernel, serial_kernel

__all__ = ["neighbour_residuals"]

_CHUNK = 16_384
_SERIAL = 1_000_000  # rows one core does before the others are awake, on a busy machine


def neighbour_residuals(starts: Any, places: Any, values: Any, matches: int) -> Any:
    """Residuals (n, k) from the mean of the nearest neighbours, ``sqrt(J / (J + 1)) (y_i - mean_J)``.

    Rows that share a place are neighbours of each other, and enter as neighbours of others together; so do places at
    equal distance on the two sides. Hence J may exceed `matches`.

    Parameters
    ----------
    starts : ndarray (G + 1,), int64
        First row of every distinct place, and n.
    places : ndarray (G,), float64, ascending
    values : ndarray (n, k), float64
        Sorted by place.
    matches : int

    Returns
    -------
    ndarray (n, k)

    References
    ----------
    Calonico, Cattaneo and Titiunik (2014), Econometrica, section 5 (nearest-neighbour variance, Abadie and Imbens).
    """
    values = np.ascontiguousarray(values)
    sums = np.add.reduceat(values, starts[:-1], axis=0) if len(values) else values
    out = np.empty_like(values)
    tolerance = 8 * np.finfo(float).eps * (abs(places[-1]) if len(places) else 0.0)
    need = min(matches, len(values) - 1)
    if len(places) <= _SERIAL:
        _some(starts, places, values, sums, need, tolerance, 0, len(places), out)
    else:
        _all(starts, places, values, sums, need, tolerance, out)
    return out


@kernel
def _all(starts: Any, places: Any, values: Any, sums: Any, need: int, tolerance: float, out: Any) -> None:
    groups = len(places)
    for chunk in prange((groups + _CHUNK - 1) // _CHUNK):
        stop = min((chunk + 1) * _CHUNK, groups)
        _some(starts, places, values, sums, need, tolerance, chunk * _CHUNK, stop, out)


@serial_kernel
def _some(
    starts: Any, places: Any, values: Any, sums: Any, need: int, tolerance: float, first: int, stop: int, out: Any
) -> None:
    groups, k = sums.shape
    for g in range(first, stop):
        low, high = g, g
        while starts[high + 1] - starts[low] - 1 < need:
            if low == 0:
                high += 1
            elif high == groups - 1:
                low -= 1
            else:
                gap = (places[g] - places[low - 1]) - (places[high + 1] - places[g])
                if gap >= -tolerance:
                    high += 1
                if gap <= tolerance:
                    low -= 1
        J = starts[high + 1] - starts[low] - 1
        scale = np.sqrt(J / (J + 1.0))
        for j in range(k):
            total = 0.0
            for other in range(low, high + 1):
                total += sums[other, j]
            for i in range(starts[g], starts[g + 1]):
                out[i, j] = scale * (values[i, j] - (total - values[i, j]) / J) if J > 0 else 0.0
