"""The lasso less its bias: coefficients of many columns, each with contributions of the rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pandas_causal.kernels.arrays import Codes, Floats

__all__ = ["DebiasedLasso", "cross_validated_penalty", "debiased_lasso"]


class DebiasedLasso(NamedTuple):
    """Coefficients and contributions.

    Attributes
    ----------
    values : ndarray (k,)
    contributions : ndarray (n, k)
    lasso : ndarray (k,)
        Before the bias was taken out: zeros where a column was left out.
    """

    values: Floats
    contributions: Floats
    lasso: Floats


def debiased_lasso(
    R: Floats, y: Floats, penalty: float, nodewise_penalty: float, w: Floats | None = None
) -> DebiasedLasso:
    """Lasso of y on R, and one step of the estimating equation by an approximate inverse, found column by column.

    The lasso minimises ``|y - R b|^2 / (2 n) + penalty |b|_1``; row j of the inverse is that of a lasso of column j on
    the others, ``(1, -g) / tau_j^2`` with ``tau_j^2 = R_j' (R_j - R_-j g) / n``; then
    ``b + Theta R' (y - R b) / n``.

    Parameters
    ----------
    R : ndarray (n, k)
    y : ndarray (n,)
    penalty, nodewise_penalty : float
    w : ndarray (n,), optional
        With mean 1.

    References
    ----------
    van de Geer, Buhlmann, Ritov and Dezeure (2014), "On asymptotically optimal confidence regions and tests for
    high-dimensional models", Annals of Statistics 42, eq. (5) to (8).
    """
    from sklearn.linear_model import Lasso

    n, k = R.shape
    root = np.ones(n) if w is None else np.sqrt(w)
    Q, target = R * root[:, None], y * root

    def lasso(X: Floats, v: Floats, alpha: float) -> Floats:
        if not X.shape[1]:
            return np.zeros(0)
        model = Lasso(alpha=alpha, fit_intercept=False, tol=1e-9, max_iter=100_000, random_state=0)
        return np.asarray(model.fit(X, v).coef_, dtype=np.float64)

    beta = lasso(Q, target, penalty)
    inverse = np.eye(k)
    for j in range(k):
        others = np.delete(np.arange(k), j)
        gamma = lasso(Q[:, others], Q[:, j], nodewise_penalty)
        inverse[j, others] = -gamma
        inverse[j] /= Q[:, j] @ (Q[:, j] - Q[:, others] @ gamma) / n
    rest = target - Q @ beta
    values = beta + inverse @ (Q.T @ rest) / n
    final = target - Q @ values if k < n else rest
    return DebiasedLasso(values, (Q * final[:, None]) @ inverse.T / n, beta)


def cross_validated_penalty(R: Floats, y: Floats, folds: Codes, w: Floats | None = None) -> float:
    """The penalty of the lasso that predicts held-out folds best, of 50."""
    from sklearn.linear_model import lasso_path

    n = len(y)
    root = np.ones(n) if w is None else np.sqrt(w)
    Q, target = R * root[:, None], y * root
    largest = float(np.abs(Q.T @ target).max()) / n
    if largest == 0:
        return 1.0
    penalties = np.geomspace(largest, 1e-3 * largest, 50)
    losses = np.zeros(len(penalties))
    for fold in np.unique(folds):
        inside = folds == fold
        _, path, _ = lasso_path(
            Q[~inside], target[~inside], alphas=penalties, tol=1e-6, max_iter=20_000, random_state=0
        )
        losses += np.square(target[inside][:, None] - Q[inside] @ path).sum(axis=0)
    return float(penalties[int(losses.argmin())])
