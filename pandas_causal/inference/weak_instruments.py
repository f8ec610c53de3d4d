"""Tests that hold however weak the instruments are, and measures of how weak: moments in, numbers out.

`zw` (q, 1 + d) holds the moments of the instruments with outcome and treatments, all less their covariates; `scores`
(1 + d, 1 + d, q, q) the covariances of instruments times them, so that the moments at coefficients b are
``g = zw (1, -b)`` and their covariance is the quadratic form of `scores` in (1, -b).
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pandas_causal.kernels.arrays import Floats

__all__ = [
    "STOCK_YOGO_BIAS",
    "STOCK_YOGO_SIZE",
    "EffectiveF",
    "WeakTests",
    "anderson_rubin",
    "anderson_rubin_slope",
    "conditional_likelihood_ratio_p",
    "effective_f",
    "is_indefinite",
    "smallest_on_a_line",
    "tf_critical",
    "weak_tests",
]

# Stock and Yogo (2005), "Testing for weak instruments in linear IV regression", in Andrews and Stock (eds.),
# Identification and inference for econometric models, tables 5.1 and 5.2: two-stage least squares, by number of
# treatments and of instruments.
STOCK_YOGO_BIAS: dict[tuple[int, int], tuple[float, ...]] = {  # relative bias .05, .10, .20, .30
    (1, 3): (13.91, 9.08, 6.46, 5.39),
    (1, 4): (16.85, 10.27, 6.71, 5.34),
    (1, 5): (18.37, 10.83, 6.77, 5.25),
    (1, 6): (19.28, 11.12, 6.76, 5.15),
    (1, 7): (19.86, 11.29, 6.73, 5.07),
    (1, 8): (20.25, 11.39, 6.69, 4.99),
    (1, 9): (20.53, 11.46, 6.65, 4.92),
    (1, 10): (20.74, 11.49, 6.61, 4.86),
}
STOCK_YOGO_SIZE: dict[tuple[int, int], tuple[float, ...]] = {  # size of a nominal 5% Wald test .10, .15, .20, .25
    (1, 1): (16.38, 8.96, 6.66, 5.53),
    (1, 2): (19.93, 11.59, 8.75, 7.25),
    (1, 3): (22.30, 12.83, 9.54, 7.80),
    (1, 4): (24.58, 13.96, 10.26, 8.31),
    (1, 5): (26.87, 15.09, 10.98, 8.84),
    (1, 6): (29.18, 16.23, 11.72, 9.38),
    (1, 7): (31.50, 17.38, 12.48, 9.93),
    (1, 8): (33.84, 18.54, 13.24, 10.50),
    (1, 9): (36.19, 19.71, 14.01, 11.07),
    (1, 10): (38.54, 20.88, 14.78, 11.65),
    (2, 2): (7.03, 4.58, 3.95, 3.63),
    (2, 3): (13.43, 8.18, 6.40, 5.45),
    (2, 4): (16.87, 9.93, 7.54, 6.28),
    (2, 5): (19.45, 11.22, 8.38, 6.89),
    (2, 6): (21.68, 12.33, 9.10, 7.42),
    (2, 7): (23.72, 13.34, 9.77, 7.91),
    (2, 8): (25.64, 14.31, 10.41, 8.39),
    (2, 9): (27.51, 15.24, 11.03, 8.85),
    (2, 10): (29.32, 16.16, 11.65, 9.31),
}


_ROUNDING = 1e-13  # of the terms of a sum: what is left of it counts as zero
_INDEFINITE = 1e-10  # of the trace
_SHARES = (0.05, 0.10, 0.20, 0.30)  # of the worst-case bias
_ANGLES, _MINIMA, _ZOOMS = 160, 5, 5
_STEPS = np.linspace(-1, 1, 17)


def is_indefinite(V: Floats) -> bool:
    """Whether a covariance has negative variances beyond rounding, as several ways of clusters may leave."""
    return bool(np.linalg.eigvalsh((V + V.T) / 2)[0] < -_INDEFINITE * abs(np.trace(V)))


class EffectiveF(NamedTuple):
    """Effective first-stage F of one treatment.

    Attributes
    ----------
    statistic : float
    critical : dict of float to float
        5% critical values by share of the worst-case bias that is tolerated.
    df : dict of float to float
        Effective degrees of freedom of each.
    """

    statistic: float
    critical: dict[float, float]
    df: dict[float, float]


def effective_f(zd: Floats, zz: Floats, scores: Floats, level: float = 0.05) -> EffectiveF:
    """Effective F and its simplified critical values.

    Parameters
    ----------
    zd : ndarray (q,)
        Moments of instruments with the treatment.
    zz : ndarray (q, q)
    scores : ndarray (q, q)
        Covariance of instruments times first-stage residuals.
    level : float
        Of the test that the bias exceeds its share.

    References
    ----------
    Montiel Olea and Pflueger (2013), "A robust test for weak instruments", Journal of Business and Economic
    Statistics, section 3 and theorem 1, with the bound of the simplified test (noncentrality 1 / share).
    """
    from scipy import stats

    root = np.linalg.inv(np.linalg.cholesky(zz))
    W = root @ scores @ root.T
    if is_indefinite(W):
        unknown = dict.fromkeys(_SHARES, np.nan)
        return EffectiveF(np.nan, unknown, unknown)
    trace, square, largest = float(np.trace(W)), float(np.square(W).sum()), float(np.linalg.eigvalsh(W)[-1])
    statistic = float(np.square(root @ zd).sum()) / trace
    critical, df = {}, {}
    for share in _SHARES:
        x = 1 / share
        k = trace**2 * (1 + 2 * x) / (square + 2 * x * trace * largest)
        critical[share] = float(stats.ncx2.ppf(1 - level, k, k * x)) / k
        df[share] = k
    return EffectiveF(statistic, critical, df)


class WeakTests(NamedTuple):
    """Statistics at one hypothesis b: Anderson-Rubin (chi-squared q), K (chi-squared d), and the rank statistic."""

    ar: float
    k: float
    rank: float


def weak_tests(zw: Floats, scores: Floats, b: Floats) -> WeakTests:
    """Robust statistics of Anderson and Rubin, of Kleibergen, and what they are conditioned on.

    ``AR = g' V^-1 g`` (the S statistic of Stock and Wright 2000); ``K`` is its part along
    ``D = zd - cov(zd, g) V^-1 g``, which is independent of g; the rank statistic tests D = 0. For residuals of one
    variance they are Moreira's QS, QST^2 / QT and QT. NaN is what an indefinite covariance leaves unknown.

    References
    ----------
    Kleibergen (2005), "Testing parameters in GMM without assuming that they are identified", Econometrica, section 3.
    """
    d = len(b)
    a = np.r_[1.0, -b]
    g = zw @ a
    half = np.einsum("jkab,k->jab", scores, a)
    V = np.einsum("j,jab->ab", a, half)
    traces = np.abs(np.trace(scores, axis1=2, axis2=3))
    if np.trace(V) <= _ROUNDING * (np.abs(a) @ traces @ np.abs(a)):  # no noise: only the very coefficients are accepted
        moved = bool((np.abs(g) > 1e-9 * (np.abs(zw) @ np.abs(a))).any())
        return WeakTests(np.inf, np.inf, np.inf) if moved else WeakTests(0.0, 0.0, np.inf)
    if is_indefinite(V):
        return WeakTests(np.nan, np.nan, np.nan)
    solved = np.linalg.solve(V, g)
    D = zw[:, 1:] - np.stack([half[j] @ solved for j in range(1, d + 1)], axis=1)
    weighted = np.linalg.solve(V, D)
    along = weighted.T @ g
    try:
        k = float(along @ np.linalg.solve(D.T @ weighted, along))
    except np.linalg.LinAlgError:  # g tells all there is of D: there is no direction to look along
        k = float(g @ solved)
    rank = np.nan
    if d == 1:
        own = scores[1, 1] - half[1] @ np.linalg.solve(V, half[1].T)
        try:
            rank = np.nan if is_indefinite(own) else float(D[:, 0] @ np.linalg.solve(own, D[:, 0]))
        except np.linalg.LinAlgError:  # g tells all noise of the first stage
            rank = np.inf
    return WeakTests(float(g @ solved), k, rank)


def anderson_rubin(zw: Floats, scores: Floats, a: Floats) -> Floats:
    """Anderson and Rubin's robust statistic (m,) of residuals ``[outcome, treatments] a``, a row of a (m, 1 + d) each.

    NaN where the covariance of the moments is indefinite, infinite where there is none of a moment that is not zero.
    """
    g = a @ zw.T
    V = np.einsum("mj,jkab,mk->mab", a, scores, a, optimize=True)
    values, vectors = np.linalg.eigh((V + V.transpose(0, 2, 1)) / 2)
    size = np.abs(values).max(axis=1, keepdims=True)
    along = np.square(np.einsum("mab,ma->mb", vectors, g))
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(along > 0, along / np.where(values > 1e-14 * size, values, 0.0), 0.0)
    return np.where(values[:, 0] < -_INDEFINITE * np.abs(values.sum(axis=1)), np.nan, parts.sum(axis=1))


def anderson_rubin_slope(zw: Floats, scores: Floats, a: Floats) -> tuple[float, Floats]:
    """Value of :func:`anderson_rubin` at one a (1 + d,), and its derivatives; NaN if the covariance is indefinite."""
    half = np.einsum("jkab,j->kab", scores, a)
    V = np.einsum("kab,k->ab", half, a)
    if is_indefinite(V):
        return np.nan, np.full(len(a), np.nan)
    g = zw @ a
    solved = np.linalg.solve(V, g)
    return float(g @ solved), 2 * (solved @ zw) - 2 * np.einsum("kab,a,b->k", half, solved, solved)


def smallest_on_a_line(zw: Floats, scores: Floats, origin: Floats, direction: Floats) -> float:
    """Smallest :func:`anderson_rubin` of residuals ``origin + t direction`` over all t; NaN where one does not exist.

    The statistic may have several minima. It is computed at even angles, and the lowest are closed in on.

    Parameters
    ----------
    zw, scores : as in :func:`weak_tests`
    origin, direction : ndarray (1 + d,)
        Of unrelated residuals of about one size, so that the statistic is smooth in the angle between them.
    """
    angles = np.linspace(-np.pi / 2, np.pi / 2, _ANGLES + 2)[1:-1]

    def residuals(angle: Floats) -> Floats:
        return np.cos(angle)[:, None] * origin + np.sin(angle)[:, None] * direction

    found = anderson_rubin(zw, scores, residuals(angles))
    if np.isnan(found).any():
        return np.nan
    around = np.r_[found[-1], found, found[0]]  # both ends are one direction
    low = np.flatnonzero((found <= around[:-2]) & (found <= around[2:]))
    centres = angles[low[np.argsort(found[low])[:_MINIMA]]]
    width = np.full(len(centres), angles[1] - angles[0])
    best = found.min()
    for _ in range(_ZOOMS):
        grid = centres[:, None] + width[:, None] * _STEPS
        values = anderson_rubin(zw, scores, residuals(grid.ravel())).reshape(grid.shape)
        centres, width = grid[np.arange(len(grid)), values.argmin(axis=1)], width / 8
        best = min(best, values.min())
    return float(best)


@lru_cache(maxsize=1)
def _nodes() -> tuple[Floats, Floats]:
    return np.polynomial.legendre.leggauss(40)


def conditional_likelihood_ratio_p(tests: WeakTests, q: int) -> float:
    """P-value of the conditional likelihood ratio test of one treatment, given the rank statistic.

    ``LR = (AR - rank + sqrt((AR - rank)^2 + 4 K rank)) / 2``; its law given the rank statistic is an integral over the
    angle between two directions.

    References
    ----------
    Moreira (2003), "A conditional likelihood ratio test for structural models", Econometrica; Andrews, Moreira and
    Stock (2007), "Performance of conditional Wald tests in IV regression with weak instruments", Journal of
    Econometrics, for the integral (here in the angle); Kleibergen (2005), section 5, for its robust form.
    """
    from scipy import special

    if np.isnan(tests.rank):
        return np.nan
    if not np.isfinite(tests.rank):
        return float(special.chdtrc(1, tests.k))
    gap = tests.ar - tests.rank
    m = (gap + np.sqrt(gap**2 + 4 * tests.k * tests.rank)) / 2
    if m <= 0:
        return 1.0
    if q == 1:
        return float(special.chdtrc(1, tests.ar))
    ratio = tests.rank / m
    # the integrand turns within 1 / sqrt(ratio) of 0
    width = min(np.pi / 2, 1 / np.sqrt(max(ratio, 1e-12)))
    edges = [0.0, width]
    while edges[-1] < np.pi / 2:
        edges.append(min(3 * edges[-1], np.pi / 2))
    x, w = _nodes()
    total = 0.0
    for low, high in itertools.pairwise(edges):
        angle = (high + low) / 2 + (high - low) / 2 * x
        inside = special.chdtr(q, (tests.rank + m) / (1 + ratio * np.square(np.sin(angle))))
        total += (high - low) / 2 * float((w * inside * np.cos(angle) ** (q - 2)).sum())
    constant = 2 * np.exp(special.gammaln(q / 2) - special.gammaln((q - 1) / 2)) / np.sqrt(np.pi)
    return float(np.clip(1 - constant * total, 0.0, 1.0))


@lru_cache(maxsize=4)
def _tf_table(alpha: float) -> tuple[Floats, Floats]:
    """Square roots of F, and the reciprocal of the critical value of the absolute t there (0: nothing is rejected).

    The curve follows from its definition, point by point from the left: with correlation 1 between the errors, f is
    N(f0, 1) and ``t = f (f - f0) / f0``, and at every f0 the curve rejects with probability alpha. At each f the f0 is
    found for which values above f, together with those below it that the curve so far rejects, have probability alpha.
    """
    from scipy import optimize, special

    z = float(special.ndtri(1 - alpha / 2))
    first = z + (np.linspace(0, 1, 60)[1:] ** 2) * 0.5
    steps = (
        np.arange(first[-1] + 0.02, 6, 0.02),
        np.arange(6, 12, 0.04),
        np.arange(12, 20, 0.1),
        np.arange(20, 60, 0.4),
    )
    grid = np.concatenate([first, *steps])
    f, inverse = np.array([z]), np.array([0.0])
    for at in grid:
        xs = np.append(f, at)

        def excess(f0: float, xs: Floats = xs, at: float = at, inverse: Floats = inverse) -> float:
            curve = np.append(inverse, f0 / (at * (at - f0)))
            return _rejected(xs, curve, f0) + float(special.ndtr(f0 - at)) - alpha

        f0 = optimize.brentq(excess, 1e-9, at - 1e-9, xtol=1e-13)
        f, inverse = xs, np.append(inverse, min(f0 / (at * (at - f0)), 1 / z))
        if inverse[-1] == 1 / z:  # from here on the usual critical value holds
            break
    return f, inverse


def _rejected(f: Floats, inverse: Floats, f0: float) -> float:
    """Probability that f ~ N(f0, 1) lies at or below the last of `f` where the curve rejects."""
    from scipy import special

    total = 0.0
    for sign in (-1.0, 1.0):
        size = f * np.abs(sign * f - f0) / f0 * inverse - 1
        if sign > 0:
            size[f > f0] = -1.0  # values above f0 are counted by the caller, from the last of `f` on
        inside = size > 0
        edges = np.flatnonzero(np.diff(np.r_[False, inside, False].astype(int))).reshape(-1, 2)
        for a, b in edges:
            low, high = _crossing(f, size, a - 1, a), _crossing(f, size, b - 1, b)
            if sign < 0:
                total += float(special.ndtr(-low - f0)) - (0.0 if b == len(f) else float(special.ndtr(-high - f0)))
            else:
                total += float(special.ndtr(high - f0) - special.ndtr(low - f0))
    return total


def _crossing(f: Floats, size: Floats, i: int, j: int) -> float:
    """Where `size` crosses zero between two of `f`, of which one may lie outside."""
    if i < 0:
        return float(f[0])
    if j >= len(f):
        return float(f[-1])
    return float(f[i] + (f[j] - f[i]) * size[i] / (size[i] - size[j]))


def tf_critical(F: float, level: float = 0.95) -> float:
    """Critical value of the absolute t of one treatment, one instrument, given the first-stage F; infinite if F is low.

    Parameters
    ----------
    F : float
        With the covariance that the t statistic has.
    level : float

    References
    ----------
    Lee, McCrary, Moreira and Porter (2022), "Valid t-ratio inference for IV", American Economic Review 112, sections 2
    and 3; their table 3 rounds this curve up.
    """
    from scipy import special

    alpha = round(1 - level, 10)
    f, inverse = _tf_table(alpha)
    z = float(special.ndtri(1 - alpha / 2))
    if np.sqrt(F) <= f[0]:
        return np.inf
    value = 1 / float(np.interp(np.sqrt(F), f, inverse))
    return max(value, z)
