"""Whether instruments agree with one another, and whether the treatment needs them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pandas_causal.errors import CausalError
from pandas_causal.inference.weak_instruments import is_indefinite
from pandas_causal.instruments.k_class import Fit
from pandas_causal.instruments.partialled import Partialled
from pandas_causal.kernels.arrays import Floats

__all__ = ["ChiSquared", "basmann", "hansen_j", "sargan", "score_test", "wu_hausman"]

_ROUNDING = 1e-13  # of a sum of squares


class ChiSquared(NamedTuple):
    """A statistic, its degrees of freedom and p-value."""

    statistic: float
    df: int
    p_value: float


def _chi2(statistic: float, df: int) -> ChiSquared:
    from scipy import special

    return ChiSquared(statistic, df, float(special.chdtrc(df, statistic)))


class _Shares(NamedTuple):
    """Sums of squares of the residuals, and of their projection on the instruments."""

    total: float
    explained: float


def _shares(data: Partialled, fit: Fit) -> _Shares:
    """These sums of a fit; nothing is explained of residuals that are rounding."""
    b = np.r_[1.0, -fit.beta / data.unit]
    total, explained = float(b @ data.ww @ b), float(b @ data.projected @ b)
    if total <= _ROUNDING * float(data.ww[0, 0]):  # fitted exactly, so that the instruments agree
        return _Shares(1.0, 0.0)
    return _Shares(total, explained)


def sargan(data: Partialled, fit: Fit) -> ChiSquared:
    """Sargan (1958): n times the R2 of the residuals on the instruments."""
    total, explained = _shares(data, fit)
    return _chi2(data.n * explained / total, data.q - data.d)


def basmann(data: Partialled, fit: Fit) -> ChiSquared:
    """Basmann (1960): the same, with the residual variance of that regression."""
    total, explained = _shares(data, fit)
    return _chi2(data.df * explained / (total - explained), data.q - data.d)


def hansen_j(data: Partialled, fit: Fit, scores: Floats, first: Fit) -> ChiSquared:
    """Hansen (1982): the moments at two-step GMM, weighted as it was (at the first step).

    Raises
    ------
    CausalError
        Where several ways of clusters leave no weights.
    """
    a, b = np.r_[1.0, -first.beta / data.unit], np.r_[1.0, -fit.beta / data.unit]
    V = np.einsum("j,jkab,k->ab", a, scores, a)
    if is_indefinite(V):
        raise CausalError("clustered by several ways the moments have negative variances, so that there are no weights")
    g = data.zw @ b
    return _chi2(float(g @ np.linalg.solve(V, g)), data.q - data.d)


def score_test(data: Partialled, fit: Fit) -> ChiSquared:
    """Wooldridge (1995): robust to heteroskedasticity, no second step.

    The instruments beyond as many as there are treatments, less their projection on the fitted treatments, times the
    residuals: n less the residual sum of squares of 1 on these products.
    """
    d, q = data.d, data.q
    if not _shares(data, fit).explained:
        return _chi2(0.0, q - d)
    fitted = data.first_stage  # treatments on instruments
    moments = data.zz
    DD = fitted.T @ moments @ fitted
    extra = np.eye(q)[:, d:]
    slopes = np.linalg.solve(DD, fitted.T @ moments @ extra)
    own = extra - fitted @ slopes
    C = np.column_stack([data.combination(Z=v) for v in own.T])
    e = data.combination(y=1.0, D=-fit.beta / data.unit)
    gram, total = np.zeros((q - d, q - d)), np.zeros(q - d)
    for b in data.blocks():
        rows = np.column_stack([b.D, b.Z, b.y])
        weight = rows @ e if b.w is None else (rows @ e) * b.w
        products = (rows @ C) * weight[:, None]
        gram += products.T @ products
        total += products.sum(axis=0)
    return _chi2(float(total @ np.linalg.solve(gram, total)), q - d)


class _WuHausman(NamedTuple):
    """F, its degrees of freedom and p-value, and least squares (d,) for comparison."""

    statistic: float
    df: int
    df_residual: int
    p_value: float
    least_squares: Floats


def wu_hausman(data: Partialled) -> _WuHausman:
    """F of the first-stage residuals added to the outcome's regression (Wu 1973; Hausman 1978)."""
    from scipy import special

    d = data.d
    ww, pp = data.ww, data.projected
    DD, VV = ww[1:, 1:], (ww - pp)[1:, 1:]
    gram = np.block([[DD, VV], [VV, VV]])  # treatments, and their residuals
    moment = np.r_[ww[1:, 0], (ww - pp)[1:, 0]]
    ols = np.linalg.solve(DD, ww[1:, 0])
    short = float(ww[0, 0] - ww[1:, 0] @ ols)
    long = float(ww[0, 0] - moment @ np.linalg.solve(gram, moment))
    df = data.n - data.p - 2 * d
    if df <= 0:
        return _WuHausman(np.nan, d, df, np.nan, ols * data.unit)
    F = (short - long) / d / (long / df)
    return _WuHausman(F, d, df, float(special.fdtrc(d, df, F)), ols * data.unit)
