"""Weighted means by propensities, and what the estimation of the propensities adds to their variance."""

from __future__ import annotations

import numpy as np

from pandas_causal.arms.estimands import EstimandPlan, target_density, target_density_slopes
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.linear import Logistic, StandardisedMatrix, invert_gram

__all__ = ["contrast_weights", "hajek_means", "propensity_correction", "weight_slopes"]


def hajek_means(
    plan: EstimandPlan, y: Floats, codes: Codes, propensity: Floats, unit: Floats
) -> tuple[Floats, Floats, Floats]:
    """Normalised weighted means with their contributions at known propensities.

    ``mu = sum W y / sum W`` with ``W = unit 1{A = a} h(x) / e_a(x)``.

    Parameters
    ----------
    plan : EstimandPlan
    y : ndarray (n,)
    codes : ndarray (n,)
    propensity : ndarray (n, K)
    unit : ndarray (n,)
        Sample weight, zero for rows trimmed.

    Returns
    -------
    values : ndarray (k,)
    contributions : ndarray (n, k)
        ``W (y - mu) / sum W``.
    weights : ndarray (n, k)
        ``W / sum W``.

    References
    ----------
    Hajek (1971); Lunceford and Davidian (2004), Statistics in Medicine, eq. (5) and (18).
    """
    k = len(plan.targets)
    values, weights = np.empty(k), np.empty((len(y), k))
    for j, (population, a) in enumerate(plan.targets):
        w = np.where(codes == a, unit * target_density(plan.estimand, population, propensity) / propensity[:, a], 0.0)
        weights[:, j] = w / w.sum()
        values[j] = weights[:, j] @ y
    return values, weights * (y[:, None] - values), weights


def weight_slopes(plan: EstimandPlan, contributions: Floats, propensity: Floats, design: StandardisedMatrix) -> Floats:
    """How the means move with the coefficients of a multinomial logistic propensity: (k, J, p).

    The mean moves by ``sum contributions d log W / d eta_b x``, where ``d log W / d eta_b`` is that of h less that of
    ``e_a``, ``1{a = b} - e_b``; summed over rows.
    """
    k, J = len(plan.targets), propensity.shape[1] - 1
    G = np.zeros((k, J, design.p))
    for at, Z in design.blocks():
        e = propensity[at]
        for j, (population, a) in enumerate(plan.targets):
            slopes = target_density_slopes(plan.estimand, population, e) + e[:, 1:]
            for b in range(1, J + 1):
                G[j, b - 1] += (contributions[at, j] * (slopes[:, b - 1] - float(a == b))) @ Z
    return G


def propensity_correction(
    plan: EstimandPlan,
    contributions: Floats,
    codes: Codes,
    propensity: Floats,
    design: StandardisedMatrix,
    fit: Logistic,
    w: Floats | None,
) -> Floats:
    """Contributions (n, k) that the estimation of a logistic propensity by maximum likelihood adds.

    The slopes of the means times the influence of the coefficients, ``information^-1 x (1{A = b} - e_b)``.

    References
    ----------
    Lunceford and Davidian (2004), Statistics in Medicine, eq. (19): M-estimation of weights and means together.
    """
    k, J = len(plan.targets), propensity.shape[1] - 1
    G = weight_slopes(plan, contributions, propensity, design)
    path = G.reshape(k, -1) @ invert_gram(fit.information)
    out = np.empty((len(codes), k))
    for at, Z in design.blocks():
        residual = (codes[at][:, None] == np.arange(1, J + 1)) - propensity[at, 1:]
        if w is not None:
            residual *= w[at][:, None]
        projected = np.einsum("jbp,np->njb", path.reshape(k, J, design.p), Z)
        out[at] = np.einsum("njb,nb->nj", projected, residual)
    return out


def contrast_weights(weights: Floats, estimand: str, K: int) -> Floats:
    """Weights (n,), or (n, K - 1) where the contrasts with the control have weights of their own."""
    if estimand == "ATT" and K > 2:
        return np.column_stack([weights[:, 2 * t] + weights[:, 2 * t + 1] for t in range(K - 1)])
    return np.asarray(weights.sum(axis=1))
