"""Sums by level and sweeps of absorbed effects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from pandas_causal.kernels import kernel, serial_kernel
from pandas_causal.kernels.arrays import Values

__all__ = ["cross_counts", "level_sums", "schur_product", "subtract_effects"]


@serial_kernel
def level_sums(codes: Values, columns: Values, weight: Values, sizes: Values) -> Any:
    """Weighted sums of the columns by level of every factor, one factor below the other.

    Parameters
    ----------
    codes : ndarray (K, n), int32
    columns : ndarray (n, m), float64
    weight : ndarray (n,) or (0,), float64
        Empty: every row counts once.
    sizes : ndarray (K,), int64
        Levels of every factor.

    Returns
    -------
    ndarray (sum of sizes, m), float64
    """
    n, m = columns.shape
    out = np.zeros((sizes.sum(), m))
    start = 0
    for k in range(len(codes)):
        for i in range(n):
            level = start + codes[k, i]
            w = weight[i] if len(weight) else 1.0
            for j in range(m):
                out[level, j] += w * columns[i, j]
        start += sizes[k]
    return out


@serial_kernel
def cross_counts(codes: Values, weight: Values, sizes: Values) -> Any:
    """Weight of the rows at every level of the first factor (rows) and of the others (columns).

    Returns
    -------
    ndarray (sizes[0], sum of the other sizes), float64
    """
    n = codes.shape[1]
    out = np.zeros((sizes[0], sizes[1:].sum()))
    start = 0
    for k in range(1, len(codes)):
        for i in range(n):
            out[codes[0, i], start + codes[k, i]] += weight[i] if len(weight) else 1.0
        start += sizes[k]
    return out


@kernel
def subtract_effects(columns: Values, codes: Values, starts: Values, effects: Values) -> None:
    """Subtract every row's effects from its columns, in place.

    Parameters
    ----------
    columns : ndarray (n, m), float64
    codes : ndarray (K, n), int32
    starts : ndarray (K,), int64
        First level of every factor among the effects.
    effects : ndarray (levels, m), float64
    """
    n, m = columns.shape
    for i in prange(n):
        for k in range(len(codes)):
            level = starts[k] + codes[k, i]
            for j in range(m):
                columns[i, j] -= effects[level, j]


@serial_kernel
def schur_product(codes: Values, starts: Values, first: Values, weight: Values, mass: Values, effects: Values) -> Any:
    """Normal equations of all factors but the first, the first concentrated out: their product with effects.

    Rows lie in the order of the first factor, so that one pass serves: a level's mean of the fitted values, then its
    rows' deviations from it, summed by level of the other factors.

    Parameters
    ----------
    codes : ndarray (K - 1, n), int32
    starts : ndarray (K - 1,), int64
        First level of every factor among the effects.
    first : ndarray (levels of the first factor + 1,), int64
        Where its levels begin.
    weight : ndarray (n,) or (0,), float64
    mass : ndarray (levels of the first factor,), float64
    effects : ndarray (levels, m), float64
    """
    m = effects.shape[1]
    out = np.zeros_like(effects)
    mean, fit = np.empty(m), np.empty(m)
    for u in range(len(mass)):
        mean[:] = 0.0
        for i in range(first[u], first[u + 1]):
            w = weight[i] if len(weight) else 1.0
            for k in range(len(codes)):
                level = starts[k] + codes[k, i]
                for j in range(m):
                    mean[j] += w * effects[level, j]
        for j in range(m):
            mean[j] /= mass[u]
        for i in range(first[u], first[u + 1]):
            w = weight[i] if len(weight) else 1.0
            for j in range(m):
                fit[j] = -mean[j]
            for k in range(len(codes)):
                level = starts[k] + codes[k, i]
                for j in range(m):
                    fit[j] += effects[level, j]
            for k in range(len(codes)):
                level = starts[k] + codes[k, i]
                for j in range(m):
                    out[level, j] += w * fit[j]
    return out
