"""Sums over the rows near a cutoff, in shifted Legendre polynomials of t = distance / h."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from pandas_causal.kernels import kernel, serial_kernel
from pandas_causal.kernels.arrays import Values

__all__ = ["equivalent_kernel", "neighbour_residuals", "weighted_moments"]

_CHUNK = 16_384
_SERIAL = 1_000_000  # rows one core does before the others are awake, on a busy machine


def weighted_moments(
    distance: Values, columns: Values, weight: Values, h: float, shape: int, order: int
) -> tuple[Any, Any]:
    """Gram matrix P'WP (order + 1, order + 1) and moments P'WD (order + 1, m).

    Parameters
    ----------
    distance : ndarray (n,), float64
    columns : ndarray (n, m), float64
    weight : ndarray (n,) or (0,), float64
        Empty: no weights.
    h : float
    shape : {0, 1, 2}
        Triangular, Epanechnikov, uniform.
    order : int
    """
    k, m = order + 1, columns.shape[1]
    columns = np.ascontiguousarray(columns)  # one kind of array, one compile
    few = len(distance) <= _SERIAL
    parts = np.zeros((1 if few else -(-len(distance) // _CHUNK), k, k + m))
    if few:
        _some_moments(distance, columns, weight, 1.0 / h, shape, order, 0, len(distance), parts[0])
    else:
        _all_moments(distance, columns, weight, 1.0 / h, shape, order, parts)
    total = parts.sum(axis=0)
    gram = np.triu(total[:, :k])
    return gram + np.triu(gram, 1).T, np.ascontiguousarray(total[:, k:])


def equivalent_kernel(distance: Values, weight: Values, h: float, shape: int, coefficients: Values) -> Any:
    """Kernel weight times the polynomial with these Legendre coefficients, row by row (n,)."""
    out = np.empty(len(distance))
    if len(distance) <= _SERIAL:
        _some_equivalent(distance, weight, 1.0 / h, shape, coefficients, 0, len(distance), out)
    else:
        _all_equivalent(distance, weight, 1.0 / h, shape, coefficients, out)
    return out


@kernel
def _all_moments(
    distance: Values, columns: Values, weight: Values, scale: float, shape: int, order: int, parts: Values
) -> None:
    for chunk in prange(parts.shape[0]):
        stop = min((chunk + 1) * _CHUNK, len(distance))
        _some_moments(distance, columns, weight, scale, shape, order, chunk * _CHUNK, stop, parts[chunk])


@serial_kernel
def _some_moments(
    distance: Values,
    columns: Values,
    weight: Values,
    scale: float,
    shape: int,
    order: int,
    first: int,
    stop: int,
    out: Values,
) -> None:
    m = columns.shape[1]
    k = order + 1
    P = np.ones(k)
    local = np.zeros((k, k + m))
    for i in range(first, stop):
        t = distance[i] * scale
        w = 1.0 if shape == 2 else (1.0 - t if shape == 0 else 1.0 - t * t)
        if len(weight) > 0:
            w *= weight[i]
        u = 2.0 * t - 1.0
        if order > 0:
            P[1] = u
        for j in range(2, k):
            P[j] = ((2 * j - 1) * u * P[j - 1] - (j - 1) * P[j - 2]) / j
        for j in range(k):
            wp = w * P[j]
            for q in range(j, k):
                local[j, q] += wp * P[q]
            for q in range(m):
                local[j, k + q] += wp * columns[i, q]
    for j in range(k):
        for q in range(k + m):
            out[j, q] = local[j, q]


@kernel
def _all_equivalent(
    distance: Values, weight: Values, scale: float, shape: int, coefficients: Values, out: Values
) -> None:
    n = len(distance)
    for chunk in prange((n + _CHUNK - 1) // _CHUNK):
        stop = min((chunk + 1) * _CHUNK, n)
        _some_equivalent(distance, weight, scale, shape, coefficients, chunk * _CHUNK, stop, out)


@serial_kernel
def _some_equivalent(
    distance: Values, weight: Values, scale: float, shape: int, coefficients: Values, first: int, stop: int, out: Values
) -> None:
    k = len(coefficients)
    for i in range(first, stop):
        t = distance[i] * scale
        w = 1.0 if shape == 2 else (1.0 - t if shape == 0 else 1.0 - t * t)
        if len(weight) > 0:
            w *= weight[i]
        u = 2.0 * t - 1.0
        before, now = 1.0, u
        total = coefficients[0]
        if k > 1:
            total += coefficients[1] * u
        for j in range(2, k):
            now, before = ((2 * j - 1) * u * now - (j - 1) * before) / j, now
            total += coefficients[j] * now
        out[i] = w * total


def neighbour_residuals(starts: Values, places: Values, values: Values, matches: int) -> Any:
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
def _all(
    starts: Values, places: Values, values: Values, sums: Values, need: int, tolerance: float, out: Values
) -> None:
    groups = len(places)
    for chunk in prange((groups + _CHUNK - 1) // _CHUNK):
        stop = min((chunk + 1) * _CHUNK, groups)
        _some(starts, places, values, sums, need, tolerance, chunk * _CHUNK, stop, out)


@serial_kernel
def _some(
    starts: Values,
    places: Values,
    values: Values,
    sums: Values,
    need: int,
    tolerance: float,
    first: int,
    stop: int,
    out: Values,
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
