"""Sums over the rows near a cutoff, in shifted Legendre polynomials of t = distance / h."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from pandas_causal.kernels import kernel, serial_kernel

__all__ = ["equivalent_kernel", "weighted_moments"]

_CHUNK = 16_384
_SERIAL = 1_000_000  # rows one core does before the others are awake, on a busy machine


def weighted_moments(distance: Any, columns: Any, weight: Any, h: float, shape: int, order: int) -> tuple[Any, Any]:
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
    few = len(distance) <= _SERIAL
    parts = np.zeros((1 if few else -(-len(distance) // _CHUNK), k, k + m))
    if few:
        _some_moments(distance, columns, weight, 1.0 / h, shape, order, 0, len(distance), parts[0])
    else:
        _all_moments(distance, columns, weight, 1.0 / h, shape, order, parts)
    total = parts.sum(axis=0)
    gram = np.triu(total[:, :k])
    return gram + np.triu(gram, 1).T, np.ascontiguousarray(total[:, k:])


def equivalent_kernel(distance: Any, weight: Any, h: float, shape: int, coefficients: Any) -> Any:
    """Kernel weight times the polynomial with these Legendre coefficients, row by row (n,)."""
    out = np.empty(len(distance))
    if len(distance) <= _SERIAL:
        _some_equivalent(distance, weight, 1.0 / h, shape, coefficients, 0, len(distance), out)
    else:
        _all_equivalent(distance, weight, 1.0 / h, shape, coefficients, out)
    return out


@kernel
def _all_moments(distance: Any, columns: Any, weight: Any, scale: float, shape: int, order: int, parts: Any) -> None:
    for chunk in prange(parts.shape[0]):
        stop = min((chunk + 1) * _CHUNK, len(distance))
        _some_moments(distance, columns, weight, scale, shape, order, chunk * _CHUNK, stop, parts[chunk])


@serial_kernel
def _some_moments(
    distance: Any, columns: Any, weight: Any, scale: float, shape: int, order: int, first: int, stop: int, out: Any
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
    out[:, :] = local


@kernel
def _all_equivalent(distance: Any, weight: Any, scale: float, shape: int, coefficients: Any, out: Any) -> None:
    n = len(distance)
    for chunk in prange((n + _CHUNK - 1) // _CHUNK):
        stop = min((chunk + 1) * _CHUNK, n)
        _some_equivalent(distance, weight, scale, shape, coefficients, chunk * _CHUNK, stop, out)


@serial_kernel
def _some_equivalent(
    distance: Any, weight: Any, scale: float, shape: int, coefficients: Any, first: int, stop: int, out: Any
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
