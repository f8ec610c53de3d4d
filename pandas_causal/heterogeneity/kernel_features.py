"""Ridge regression in the space of a Gaussian kernel, spanned by some rows."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from pandas_causal.kernels.arrays import Floats, Values
from pandas_causal.models.basis import RidgeGCV

__all__ = ["KernelRidge", "median_distance"]

_SOME = 500
_RANK = 1e-10
_PENALTIES = tuple(np.logspace(-3, 3, 13))


def _squares(A: Floats, B: Floats) -> Floats:
    """Squared distances (n, m) between rows."""
    out = np.square(A).sum(axis=1)[:, None] + np.square(B).sum(axis=1) - 2 * A @ B.T
    return np.asarray(np.maximum(out, 0.0))


def _spread(n: int, most: int) -> Values:
    """Positions of an even spread of rows."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.intp))


def median_distance(Z: Floats) -> float:
    """Median distance between rows (n, q), of an even spread of at most 500."""
    part = Z[_spread(len(Z), _SOME)]
    distances = np.sqrt(_squares(part, part))
    return float(np.median(distances[np.triu_indices(len(part), 1)])) if len(part) > 1 else 0.0


class KernelRidge(RegressorMixin, BaseEstimator):
    """Ridge regression in the space of the Gaussian kernel, spanned by an even spread of rows (Nystrom).

    Distances are Mahalanobis's, so that scales, the order of columns and collinear ones change nothing; the penalty is
    chosen by generalised cross-validation.

    Parameters
    ----------
    bandwidth : "median" or float
        Of the kernel, in Mahalanobis distances; by default the median distance of rows.
    n_landmarks : int
        Rows that span the space.

    References
    ----------
    Williams and Seeger (2001), "Using the Nystrom method to speed up kernel machines", NIPS.
    """

    def __init__(self, bandwidth: str | float = "median", n_landmarks: int = 200) -> None:
        self.bandwidth = bandwidth
        self.n_landmarks = n_landmarks

    def fit(self, X: Floats, y: Values, sample_weight: Floats | None = None) -> Self:
        """Fit."""
        X = np.asarray(X, dtype=float)
        self.centre_ = np.average(X, axis=0, weights=sample_weight)
        deviation = X - self.centre_
        unit = np.sqrt(np.average(np.square(deviation), axis=0, weights=sample_weight))
        unit = np.where(unit > 0, unit, np.inf)
        deviation /= unit
        w = np.ones(len(X)) if sample_weight is None else sample_weight
        sizes, vectors = np.linalg.eigh((deviation * w[:, None]).T @ deviation / w.sum())
        used = sizes > _RANK * max(float(sizes.max(initial=0.0)), np.finfo(float).tiny)
        self.whiten_ = vectors[:, used] / np.sqrt(sizes[used]) / unit[:, None]
        Z = (X - self.centre_) @ self.whiten_
        h = median_distance(Z) if isinstance(self.bandwidth, str) else float(self.bandwidth)
        self.width_ = h or 1.0
        self.landmarks_ = Z[_spread(len(Z), self.n_landmarks)]
        sizes, vectors = np.linalg.eigh(self._kernel(self.landmarks_))
        used = sizes > _RANK * float(sizes[-1])
        self.root_ = vectors[:, used] / np.sqrt(sizes[used])
        self.ridge_ = RidgeGCV(_PENALTIES, standardise=False).fit(self._kernel(Z) @ self.root_, y, sample_weight)
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Floats) -> Floats:
        """Predictions (n,)."""
        check_is_fitted(self, "ridge_")
        Z = (np.asarray(X, dtype=float) - self.centre_) @ self.whiten_
        return self.ridge_.predict(self._kernel(Z) @ self.root_)

    def _kernel(self, Z: Floats) -> Floats:
        """Gaussian kernel (n, landmarks)."""
        return np.asarray(np.exp(-_squares(Z, self.landmarks_) / (2 * self.width_**2)))
