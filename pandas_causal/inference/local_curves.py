"""Curves by local polynomials: levels and slopes at points, with the contribution of every row to each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pandas_causal.kernels.arrays import Floats

__all__ = ["LocalCurve", "local_curve", "rule_of_thumb_bandwidth"]


class LocalCurve(NamedTuple):
    """A curve at points.

    Attributes
    ----------
    level, slope : ndarray (g,)
    by_level, by_slope : ndarray (n, g)
        Contributions: weight of the row in the estimate times its residual from the local polynomial.
    """

    level: Floats
    slope: Floats
    by_level: Floats
    by_slope: Floats


def _kernel(u: Floats) -> Floats:
    """Epanechnikov's."""
    return np.maximum(0.75 * (1 - np.square(u)), 0.0)


def local_curve(
    a: Floats, y: Floats, points: Floats, bandwidth: float, w: Floats | None = None, degree: int = 2
) -> LocalCurve:
    """Local polynomial regression of y on a, at points.

    Of degree 2 with the bandwidth of degree 1 it is the local linear estimate less its estimated bias, and the errors
    count the noise of that correction.

    Parameters
    ----------
    a, y : ndarray (n,)
    points : ndarray (g,)
    bandwidth : float
    w : ndarray (n,), optional
    degree : int

    References
    ----------
    Fan and Gijbels (1996), "Local polynomial modelling and its applications", section 3; Calonico, Cattaneo and Farrell
    (2018), "On the effect of bias estimation on coverage accuracy in nonparametric inference", JASA, remark 7.
    """
    n, g = len(a), len(points)
    level, slope = np.full(g, np.nan), np.full(g, np.nan)
    by_level, by_slope = np.zeros((n, g)), np.zeros((n, g))
    for k, at in enumerate(points):
        u = (a - at) / bandwidth
        used = np.flatnonzero(np.abs(u) < 1)
        weight = _kernel(u[used]) if w is None else _kernel(u[used]) * w[used]
        Z = np.vander(u[used], degree + 1, increasing=True)
        gram = (Z * weight[:, None]).T @ Z
        if len(np.unique(a[used])) <= degree or np.linalg.cond(gram) > 1e12:
            continue
        bread = np.linalg.inv(gram)
        beta = bread @ (Z.T @ (weight * y[used]))
        rows = (Z @ bread) * (weight * (y[used] - Z @ beta))[:, None]
        level[k], slope[k] = beta[0], beta[1] / bandwidth
        by_level[used, k], by_slope[used, k] = rows[:, 0], rows[:, 1] / bandwidth
    return LocalCurve(level, slope, by_level, by_slope)


def rule_of_thumb_bandwidth(a: Floats, y: Floats, w: Floats | None = None) -> float:
    """Bandwidth of a local linear fit by the curvature of a global polynomial of degree four.

    ``1.719 (sigma^2 range / sum m''(a_i)^2)^(1/5)`` for Epanechnikov's kernel, over the middle nine tenths of a; at
    most the standard deviation of a, where the polynomial is nearly straight.

    Parameters
    ----------
    a, y : ndarray (n,)
    w : ndarray (n,), optional

    References
    ----------
    Fan and Gijbels (1996), eq. (4.3).
    """
    unit = np.ones(len(a)) if w is None else w
    centre, spread = float(np.average(a, weights=unit)), float(a.std())
    u = (a - centre) / spread
    Z = np.vander(u, 5, increasing=True)
    root = np.sqrt(unit)
    beta = np.linalg.lstsq(Z * root[:, None], y * root, rcond=None)[0]
    low, high = np.quantile(u, [0.05, 0.95])
    inside = (u >= low) & (u <= high)
    residual = y - Z @ beta
    sigma2 = float(np.average(np.square(residual[inside]), weights=unit[inside]))
    curvature = 2 * beta[2] + 6 * beta[3] * u + 12 * beta[4] * np.square(u)
    total = float(np.square(curvature[inside]).sum())
    h = 1.719 * (sigma2 * (high - low) / total) ** 0.2 if total > 0 else 1.0
    return float(min(h, 1.0) * spread)
