"""The covariate balancing propensity score: a logistic propensity fitted to the balance that its weights give.

Every moment is ``k_m(A, x) z`` with a scalar k of the arm and its propensities, z an intercept and the standardised
covariates: balance of an arm with the control, and, over-identified, the scores of maximum likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pandas_causal.linear_models import Design, softmax

__all__ = ["BalancingLogistic", "NotBalanced", "balancing_influence", "fit_balancing_logistic", "moment_factors"]

Floats = NDArray[np.float64]
Codes = NDArray[np.integer]


class NotBalanced(Exception):  # noqa: N818 - caught inside the package, where it becomes an OverlapError with names
    """No logistic propensity balances the covariates.

    Attributes
    ----------
    coefficients : ndarray (J, p)
        The nearest found.
    """

    def __init__(self, coefficients: Floats) -> None:
        super().__init__(coefficients)
        self.coefficients = coefficients


@dataclass(frozen=True, eq=False)
class BalancingLogistic:
    """A fitted covariate balancing propensity.

    Attributes
    ----------
    coefficients : ndarray (J, p)
        Of the rows of the design, the intercept first.
    projection : ndarray (J p, M p)
        ``(D' V D)^-1 D' V`` with D the derivative of the moments and V their weight: minus this times a row's moments
        is its influence on the coefficients.
    statistic : float
        Hansen's J of the moments beyond those needed; 0 where there are none.
    df : int
        Their number.
    """

    coefficients: Floats
    projection: Floats
    statistic: float
    df: int


def moment_factors(estimand: str, codes: Codes, propensity: Floats, over: bool) -> tuple[Floats, Floats]:
    """Factors k (n, M) of the moments and their slopes dk / d eta (n, M, J) in the linear predictors.

    Balance of arm a = 1, ..., J with the control: ``1{A = a} / e_a - 1{A = 0} / e_0`` (ATE),
    ``1{A = a} - 1{A = 0} e_a / e_0`` (ATT), ``1{A = 0} - 1{A = a} e_0 / e_a`` (ATC). With `over` the scores
    ``1{A = b} - e_b`` follow.

    References
    ----------
    Imai and Ratkovic (2014), JRSS B 76, eq. (8) to (10), and section 4.1 for several arms.
    """
    n, K = propensity.shape
    J = K - 1
    M = 2 * J if over else J
    k, slope = np.zeros((n, M)), np.zeros((n, M, J))
    e0, control = propensity[:, 0], (codes == 0).astype(float)
    for a in range(1, K):
        own, ea, at = (codes == a).astype(float), propensity[:, a], a - 1
        if estimand == "ATE":
            k[:, at] = own / ea - control / e0
            slope[:, at] = k[:, at, None] * propensity[:, 1:]
            slope[:, at, at] -= own / ea
        elif estimand == "ATT":
            k[:, at] = own - control * ea / e0
            slope[:, at, at] = -control * ea / e0
        else:
            k[:, at] = control - own * e0 / ea
            slope[:, at, at] = own * e0 / ea
        if over:
            k[:, J + at] = own - ea
            slope[:, J + at] = ea[:, None] * propensity[:, 1:]
            slope[:, J + at, at] -= ea
    return k, slope


def _moments(
    design: Design, codes: Codes, estimand: str, beta: Floats, over: bool, w: Floats | None
) -> tuple[Floats, Floats]:
    """Sums of the moments (M p,) and of their derivatives (M p, J p) at beta."""
    J, p = beta.shape
    M = 2 * J if over else J
    total, D = np.zeros((M, p)), np.zeros((M, p, J, p))
    for at, Z in design.blocks():
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # steps that lead too far are taken back
            k, slope = moment_factors(estimand, codes[at], softmax(Z @ beta.T), over)
        if w is not None:
            k, slope = k * w[at][:, None], slope * w[at][:, None, None]
        if not np.isfinite(k).all():
            return np.full(M * p, np.inf), np.full((M * p, J * p), np.nan)
        total += k.T @ Z
        for m in range(M):
            for b in range(J):
                D[m, :, b, :] += (Z * slope[:, m, b][:, None]).T @ Z
    return total.ravel(), D.reshape(M * p, J * p)


def moment_curvature(estimand: str, codes: Codes, propensity: Floats, u: Floats) -> Floats:
    """Second derivatives (n, J, J) in the linear predictors of ``sum_m u_m k_m``, u (n, M), scores included."""
    J = propensity.shape[1] - 1
    e = propensity[:, 1:]
    unit = np.eye(J)
    spread = e[:, :, None] * (unit - e[:, None, :])  # d e_b / d eta_c
    out = np.zeros((len(e), J, J))
    k, slope = moment_factors(estimand, codes, propensity, True)
    for a in range(J):
        own = codes == a + 1
        if estimand == "ATE":
            # 1 / e_a has slope (e_b - 1{a = b}) / e_a, the row's k being that of the arm it had
            left = e - np.where(own[:, None], unit[a], 0.0)
            out += (u[:, a] * k[:, a])[:, None, None] * (left[:, :, None] * left[:, None, :] + spread)
        else:
            out[:, a, a] += u[:, a] * slope[:, a, a] * (1.0 if estimand == "ATT" else -1.0)
        gap = unit[a] - e
        bend = e[:, a, None, None] * gap[:, :, None] * gap[:, None, :] - e[:, a, None, None] * spread
        out -= u[:, J + a, None, None] * bend
    return out


def moment_covariance(design: Design, estimand: str, beta: Floats, w: Floats | None) -> Floats:
    """Sum over rows of the covariance of all moments given x (2 J p, 2 J p), the arm averaged out.

    References
    ----------
    Imai and Ratkovic (2014), eq. (12): the weight of the moments uses the model's own distribution of the arm.
    """
    J, p = beta.shape
    out = np.zeros((2 * J, p, 2 * J, p))
    for at, Z in design.blocks():
        e = softmax(Z @ beta.T)
        factor = np.zeros((len(Z), 2 * J, 2 * J))
        for c in range(J + 1):
            k, _ = moment_factors(estimand, np.full(len(Z), c), e, True)
            factor += e[:, c, None, None] * k[:, :, None] * k[:, None, :]
        if w is not None:
            factor *= w[at][:, None, None]
        for m in range(2 * J):
            for j in range(m + 1):
                out[m, :, j, :] += (Z * factor[:, m, j][:, None]).T @ Z
                out[j, :, m, :] = out[m, :, j, :].T
    return out.reshape(2 * J * p, 2 * J * p)


def fit_balancing_logistic(
    design: Design, codes: Codes, estimand: str, start: Floats, over: bool = False, w: Floats | None = None
) -> BalancingLogistic:
    """Fit by the generalised method of moments.

    Just identified, the balance moments are solved by Newton steps, halved until the sum of their squares falls. Over-
    identified, Newton steps minimise ``g' V g`` with V the inverse of the moments' covariance at maximum
    likelihood (two-step, as the reference implementation does by default).

    Parameters
    ----------
    design : Design
    codes : ndarray (n,)
    estimand : {"ATE", "ATT", "ATC"}
    start : ndarray (J, p)
        The maximum likelihood coefficients.
    over : bool
    w : ndarray (n,), optional

    Raises
    ------
    NotBalanced
        If the moments have no solution.

    References
    ----------
    Imai and Ratkovic (2014), "Covariate balancing propensity score", JRSS B 76, section 2 and 3.
    """
    covariance = moment_covariance(design, estimand, start, w) if over else np.empty((0, 0))
    V = _inverse_covariance(covariance) if over else None
    beta = start
    g, D = _moments(design, codes, estimand, beta, over, w)
    value = _distance(g, V)
    for _ in range(100):
        if not np.isfinite(D).all() or np.abs(beta).max() > 200:
            break
        if V is None:
            step = -(_projection(D, V) @ g).reshape(beta.shape)
        else:
            step = _newton_step(design, codes, estimand, beta, g, D, V, w)
        size = float(np.abs(step).max())
        if size < 1e-8 * max(1.0, float(np.abs(beta).max())):
            beta = beta + step
            g, D = _moments(design, codes, estimand, beta, over, w)
            # moments that others repeat add no restriction
            extra = 0 if V is None else round(float(np.trace(V @ covariance))) - beta.size
            return BalancingLogistic(beta, _projection(D, V), _distance(g, V) if over else 0.0, extra)
        scale = 1.0
        while True:
            trial = _moments(design, codes, estimand, beta + scale * step, over, w)
            there = _distance(trial[0], V)
            if there < value or (over and size < 1e-6):
                break
            scale /= 2
            if scale < 1e-6:
                raise NotBalanced(beta)
        beta, (g, D), value = beta + scale * step, trial, there
    raise NotBalanced(beta)


def _distance(moments: Floats, V: Floats | None) -> float:
    """What the steps must lower."""
    if not np.isfinite(moments).all():
        return np.inf
    return float(moments @ moments if V is None else moments @ V @ moments)


def _newton_step(
    design: Design, codes: Codes, estimand: str, beta: Floats, g: Floats, D: Floats, V: Floats, w: Floats | None
) -> Floats:
    """Newton step of ``g' V g / 2``; without the curvature of the moments where that is no way down."""
    J, p = beta.shape
    H, price = D.T @ V @ D, (V @ g).reshape(2 * J, p)
    bent = np.zeros((J, p, J, p))
    for at, Z in design.blocks():
        curve = moment_curvature(estimand, codes[at], softmax(Z @ beta.T), Z @ price.T)
        if w is not None:
            curve *= w[at][:, None, None]
        for b in range(J):
            for c in range(J):
                bent[b, :, c, :] += (Z * curve[:, b, c][:, None]).T @ Z
    full = H + bent.reshape(H.shape)
    try:
        np.linalg.cholesky(full)
        H = full
    except np.linalg.LinAlgError:
        pass  # far from the minimum: Gauss and Newton's step
    return np.asarray(-(np.linalg.pinv(H, rcond=1e-14, hermitian=True) @ (D.T @ (V @ g))).reshape(J, p))


def _inverse_covariance(covariance: Floats) -> Floats:
    """Pseudo-inverse on the scale of correlations: moments that others repeat (no covariate at all) count once."""
    root = np.sqrt(np.diag(covariance))
    root = np.where(root > 0, root, 1.0)
    return np.asarray(
        np.linalg.pinv(covariance / np.outer(root, root), rcond=1e-11, hermitian=True) / np.outer(root, root)
    )


def _projection(D: Floats, V: Floats | None) -> Floats:
    if V is None:
        return np.asarray(np.linalg.pinv(D, rcond=1e-14))
    right = D.T @ V
    return np.asarray(np.linalg.pinv(right @ D, rcond=1e-14, hermitian=True) @ right)


def balancing_influence(
    design: Design,
    codes: Codes,
    estimand: str,
    fit: BalancingLogistic,
    propensity: Floats,
    slopes: Floats,
    w: Floats | None = None,
) -> Floats:
    """Contributions (n, k) that the estimation of the coefficients adds to means with these slopes (k, J, p).

    References
    ----------
    Hansen (1982), Econometrica 50: the influence of a GMM estimate, its weight matrix taken as fixed.
    """
    k, J, p = slopes.shape
    path = -(slopes.reshape(k, J * p) @ fit.projection).reshape(k, -1, p)
    out = np.empty((len(codes), k))
    for at, Z in design.blocks():
        factor, _ = moment_factors(estimand, codes[at], propensity[at], path.shape[1] > J)
        if w is not None:
            factor = factor * w[at][:, None]
        out[at] = np.einsum("nm,nkm->nk", factor, np.einsum("kmp,np->nkm", path, Z))
    return out
