"""The estimate at a cutoff, its bias, and the conventional and robust variances, as weighted sums of rows.

References
----------
CCT: Calonico, Cattaneo and Titiunik (2014), Econometrica 82, Theorems 1-3; CCFT: Calonico, Cattaneo, Farrell and
Titiunik (2019), Review of Economics and Statistics 101, for covariates.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np

from pandas_causal.discontinuity.bandwidths import (
    Bandwidths,
    LocalPolynomialSetting,
    adjusted_outcome,
    covariate_coefficients,
    row_residuals,
    row_sum_variance,
)
from pandas_causal.discontinuity.local_polynomial import Side, Window
from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Floats

__all__ = ["Estimate", "SideFit", "fit_side", "robust_estimate"]


@dataclass(frozen=True, eq=False)
class SideFit:
    """Fits of one side: the estimate's order within h and the bias's order within b.

    Attributes
    ----------
    side : Side
    main, wide : Window
        Within h and within b.
    weights : ndarray (n,)
        Of the estimate, n rows within the wider of the two bandwidths.
    corrected : ndarray (n,)
        Of the bias-corrected estimate.
    """

    side: Side
    main: Window
    wide: Window
    weights: Floats
    corrected: Floats

    @property
    def n(self) -> int:
        """Rows used by either fit."""
        return len(self.weights)

    def limits(self, weights: Floats) -> Floats:
        """Weighted sums (m,) of the columns."""
        return np.einsum("i,ij->j", weights, self.side.columns[: self.n])


def fit_side(side: Side, h: float, b: float, setting: LocalPolynomialSetting) -> SideFit:
    """Weights of the derivative's estimate and of its bias-corrected form.

    ``corrected = l - (sum l d^(p+1)) m``, with l the weights of the derivative at order p within h and m those of the
    coefficient of ``d^(p+1)`` at order q within b.

    References
    ----------
    CCT (2014), eq. (3) and Lemma A.1.
    """
    p, q, nu = setting.order, setting.bias_order, setting.derivative
    main = side.window(h, setting.kernel, p)
    wide = side.window(b, setting.kernel, q)
    n = max(main.n, wide.n)
    turn = float(side.sign**nu) * factorial(nu)
    weights, lead = np.zeros(n), np.zeros(n)
    weights[: main.n] = turn * main.weights(p, nu)
    lead[: wide.n] = wide.weights(q, p + 1)
    constant = float((weights * side.distance[:n] ** (p + 1)).sum())
    return SideFit(side, main, wide, weights, weights - constant * lead)


@dataclass(frozen=True, eq=False)
class Estimate:
    """What one estimation gives.

    Attributes
    ----------
    value, bias : float
        Conventional estimate; subtracting the bias gives the bias-corrected one.
    std_error, robust : float
        Conventional and robust standard error.
    limits : ndarray (4,) or (2,)
        Bias-corrected limits of the (covariate-adjusted) outcome left and right, then of the treatment.
    loadings : ndarray (len(limits),)
        Derivative of the value with respect to the limits.
    contributions : tuple of ndarray
        Of the rows of each side to the limits, (n, 1) or (n, 2): robust.
    meat : ndarray
        Robust variance of the limits.
    gamma : ndarray (z, 1 or 2)
        Coefficients of covariates.
    first_stage : tuple of float, or None
        Bias-corrected jump of the treatment and its robust standard error.
    """

    value: float
    bias: float
    std_error: float
    robust: float
    limits: Floats
    loadings: Floats
    contributions: tuple[Floats, Floats]
    meat: Floats
    gamma: Floats
    first_stage: tuple[float, float] | None


def robust_estimate(left: Side, right: Side, bandwidths: Bandwidths, setting: LocalPolynomialSetting) -> Estimate:
    """Estimate the jump (or kink), sharp or fuzzy.

    Parameters
    ----------
    left, right : Side
    bandwidths : Bandwidths
    setting : LocalPolynomialSetting

    References
    ----------
    CCT (2014), Theorems 1 to 3; CCFT (2019), eqs. (3) to (7).
    """
    fits = (
        fit_side(left, bandwidths.h_left, bandwidths.b_left, setting),
        fit_side(right, bandwidths.h_right, bandwidths.b_right, setting),
    )
    first = 1 + int(setting.fuzzy)
    # K(u / h) / h: with two bandwidths the sides pool with the kernels' heights
    gamma = np.empty((0, first))
    if left.columns.shape[1] > first:
        cross = [f.main.residual_moments(setting.order) / f.main.h for f in fits]
        gamma = covariate_coefficients(cross[0] + cross[1], first)
    adjust = np.vstack([np.eye(first), -gamma])  # columns -> adjusted outcome (and treatment)
    plain = np.stack([f.limits(f.weights) @ adjust for f in fits])
    corrected = np.stack([f.limits(f.corrected) @ adjust for f in fits])
    jump, jump_bc = plain[1] - plain[0], corrected[1] - corrected[0]
    if setting.fuzzy and abs(jump[1]) < 1e-10:
        raise CausalDataError("the treatment does not change at the cutoff within the bandwidth")
    s = adjusted_outcome(jump if len(gamma) == 0 else _raw_jump(fits), gamma, setting.fuzzy)
    slopes = s[:first]
    bias = float(slopes @ (jump - jump_bc))
    value = float(jump[0] / jump[1]) if setting.fuzzy else float(jump[0])
    parts = [_contributions(f, adjust, setting) for f in fits]
    conventional = sum(_variance(f, f.weights, f.main, setting.order, s, setting) for f in fits)
    meats = [_meat(f, c, setting) for f, c in zip(fits, parts, strict=True)]
    meat = np.zeros((2 * first, 2 * first))
    meat[::2, ::2], meat[1::2, 1::2] = meats
    loadings: Floats = np.kron(slopes, np.array([-1.0, 1.0])).astype(np.float64)
    stage = None
    if setting.fuzzy:
        stage = (float(jump_bc[1]), float(np.sqrt(meats[0][1, 1] + meats[1][1, 1])))
    return Estimate(
        value=value,
        bias=bias,
        std_error=float(np.sqrt(conventional)),
        robust=float(np.sqrt(max(float(loadings @ meat @ loadings), 0.0))),
        limits=corrected.T.ravel(),
        loadings=loadings,
        contributions=(parts[0], parts[1]),
        meat=meat,
        gamma=gamma,
        first_stage=stage,
    )


def _raw_jump(fits: tuple[SideFit, SideFit]) -> Floats:
    return fits[1].limits(fits[1].weights) - fits[0].limits(fits[0].weights)


def _variance(
    fit: SideFit, weights: Floats, window: Window, order: int, s: Floats, setting: LocalPolynomialSetting
) -> float:
    residual = row_residuals(window, order, s, fit.n, setting)
    return row_sum_variance(weights * residual, fit.side.cluster, order + 1, setting)


def _contributions(fit: SideFit, adjust: Floats, setting: LocalPolynomialSetting) -> Floats:
    """Robust contributions (n, 1 or 2) of the rows to this side's limits."""
    columns = [row_residuals(fit.wide, setting.bias_order, a, fit.n, setting) for a in adjust.T]
    return fit.corrected[:, None] * np.stack(columns, axis=1)


def _meat(fit: SideFit, contributions: Floats, setting: LocalPolynomialSetting) -> Floats:
    """Variance (k, k) of this side's limits: by polarisation of the variance of sums."""
    k = contributions.shape[1]
    variances = [row_sum_variance(c, fit.side.cluster, setting.bias_order + 1, setting) for c in contributions.T]
    meat = np.diag(variances)
    if k == 2:
        both = row_sum_variance(contributions.sum(axis=1), fit.side.cluster, setting.bias_order + 1, setting)
        meat[0, 1] = meat[1, 0] = (both - variances[0] - variances[1]) / 2
    return meat
