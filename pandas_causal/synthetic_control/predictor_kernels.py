"""The outer search of synthetic control: predictor weights, on a logarithmic scale, by Nelder and Mead's simplex."""

from __future__ import annotations

import numpy as np

from pandas_causal.kernels import inner_kernel, serial_kernel
from pandas_causal.kernels.arrays import Values
from pandas_causal.synthetic_control.simplex_kernels import min_norm_weights

__all__ = ["outer_loss", "search"]


@serial_kernel
def outer_loss(
    differences: Values, paths: Values, position: Values, lowest: float, points: Values, weights: Values
) -> float:
    """Mean squared gap of the outcomes under log predictor weights, brought into [lowest, 0]; fills unit weights.

    Parameters
    ----------
    differences : ndarray (n, k), float64
    paths : ndarray (n, T0), float64
    position : ndarray (k,), float64
    lowest : float
    points : ndarray (n, k), float64
        Room to work in.
    weights : ndarray (n,), float64
    """
    n, k = differences.shape
    top = -np.inf
    for m in range(k):
        top = max(top, position[m])
    for m in range(k):
        root = np.exp(0.5 * max(position[m] - top, lowest))
        for j in range(n):
            points[j, m] = root * differences[j, m]
    min_norm_weights(points, 0.0, weights)
    total = 0.0
    for t in range(paths.shape[1]):
        gap = 0.0
        for j in range(n):
            gap += weights[j] * paths[j, t]
        total += gap * gap
    return total / paths.shape[1]


@serial_kernel
def search(differences: Values, paths: Values, starts: Values, n_best: int, lowest: float, best: Values) -> float:
    """Improve the best of the starts (s, k), twice each with a fresh simplex; fills the best position found.

    References
    ----------
    Nelder and Mead (1965), Computer Journal 7; Gao and Han (2012), Computational Optimization and Applications 51, for
    the coefficients that adapt to the dimension.
    """
    s, k = starts.shape
    points, weights, losses = np.empty(differences.shape), np.empty(len(differences)), np.empty(s)
    for i in range(s):
        losses[i] = outer_loss(differences, paths, starts[i], lowest, points, weights)
    order = np.argsort(losses)
    value = losses[order[0]]
    for m in range(k):
        best[m] = starts[order[0], m]
    for i in range(min(n_best, s)):
        at = starts[order[i]].copy()
        _nelder_mead(differences, paths, at, lowest, points, weights)
        found = _nelder_mead(differences, paths, at, lowest, points, weights)
        if found < value:
            value = found
            for m in range(k):
                best[m] = at[m]
    return value


@inner_kernel
def _nelder_mead(  # noqa: PLR0912 - one step of the algorithm, which has these branches
    differences: Values, paths: Values, at: Values, lowest: float, points: Values, weights: Values
) -> float:
    """Improve `at` in place; returns its loss."""
    k = len(at)
    grow, shrink_in, shrink_all = 1.0 + 2.0 / k, 0.75 - 0.5 / k, 1.0 - 1.0 / k
    corners, values = np.empty((k + 1, k)), np.empty(k + 1)
    for i in range(k + 1):
        for m in range(k):
            corners[i, m] = at[m] + (1.0 if m == i - 1 else 0.0)
        values[i] = outer_loss(differences, paths, corners[i], lowest, points, weights)
    centre, first, second = np.empty(k), np.empty(k), np.empty(k)
    for _ in range(150 * k):
        order = np.argsort(values)
        low, worst = order[0], order[k]
        if values[worst] - values[low] <= 1e-10 * values[low]:
            break
        for m in range(k):
            centre[m] = 0.0
            for i in range(k + 1):
                if i != worst:
                    centre[m] += corners[i, m] / k
            first[m] = 2.0 * centre[m] - corners[worst, m]
        f = outer_loss(differences, paths, first, lowest, points, weights)
        if values[low] <= f < values[order[k - 1]]:
            _put(corners, values, worst, first, f)
            continue
        step = grow if f < values[low] else (shrink_in if f < values[worst] else -shrink_in)
        for m in range(k):
            second[m] = centre[m] + step * (centre[m] - corners[worst, m])
        g = outer_loss(differences, paths, second, lowest, points, weights)
        if f < values[low]:
            if g < f:
                _put(corners, values, worst, second, g)
            else:
                _put(corners, values, worst, first, f)
        elif g < min(f, values[worst]):
            _put(corners, values, worst, second, g)
        else:
            for i in range(k + 1):
                if i != low:
                    for m in range(k):
                        corners[i, m] = corners[low, m] + shrink_all * (corners[i, m] - corners[low, m])
                    values[i] = outer_loss(differences, paths, corners[i], lowest, points, weights)
    low = np.argmin(values)
    for m in range(k):
        at[m] = corners[low, m]
    return values[low]


@inner_kernel
def _put(corners: Values, values: Values, i: int, position: Values, value: float) -> None:
    for m in range(len(position)):
        corners[i, m] = position[m]
    values[i] = value
