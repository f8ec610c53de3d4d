"""Smooth learners for nuisances: splines and products with a penalty, and boosting of what they leave.

All are scikit-learn estimators of a plain float matrix, settled by closed-form criteria: no inner folds.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Self

import numpy as np
from scipy import special
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from pandas_causal.kernels.arrays import Floats, Values
from pandas_causal.models.folds import sample_of_groups

__all__ = ["BoostedBasisClassifier", "BoostedBasisRegressor", "LogisticAIC", "RidgeGCV", "SplineBasis"]

_FEW_VALUES = 8  # a column of so many values or fewer has no curve
_PRODUCTS_ADDED = 6
_ROWS_OF_A_CLASS = 10
_CHOOSE_ON = 4_000  # rows
_SCORED = 1_000  # values of a column whose scores are kept
_FURTHEST = 3.5  # scores beyond it, one row in 4,000, are counted as this far


class SplineBasis(TransformerMixin, BaseEstimator):
    """Standardised columns, cubic splines of those with over eight values, and products of pairs.

    Parameters
    ----------
    n_knots : int
        At quantiles, the outer ones at 3.5 standard deviations.
    n_paired : int
        Columns whose products are formed: with more of them, those most related to the target, through themselves or
        their squares.
    clip : float
        Standard deviations at which columns are cut off, so that no row has leverage without bound.
    """

    def __init__(self, n_knots: int = 5, n_paired: int = 12, clip: float = 3.5) -> None:
        self.n_knots = n_knots
        self.n_paired = n_paired
        self.clip = clip

    def fit(self, X: Floats, y: Values, sample_weight: Floats | None = None) -> Self:
        """Learn scales, scores and which pairs are multiplied."""
        X = np.asarray(X, dtype=float)
        self.n_features_in_ = X.shape[1]
        self.centre_ = np.average(X, axis=0, weights=sample_weight)
        scale = np.sqrt(np.average(np.square(X - self.centre_), axis=0, weights=sample_weight))
        self.scale_ = np.where(scale > 0, scale, 1.0)
        columns = [_scores(X[:, j]) for j in range(X.shape[1])]
        self.curved_ = [j for j, (values, _) in enumerate(columns) if len(values) > _FEW_VALUES]
        self.scores_ = [columns[j] for j in self.curved_]
        paired = np.arange(X.shape[1])
        if len(paired) > self.n_paired:
            Z = self.scored(X)
            related = np.maximum(_correlation(Z, y), _correlation(np.square(Z), y))
            paired = np.sort(np.argsort(-related, kind="stable")[: self.n_paired])
        # a column beside its own mirror image (two levels of one category) has no product of its own
        self.pairs_ = np.array(list(combinations(paired, 2)), dtype=np.intp).reshape(-1, 2)
        return self

    def standardised(self, X: Floats) -> Floats:
        """Columns in standard deviations, cut off."""
        return np.clip((np.asarray(X, dtype=float) - self.centre_) / self.scale_, -self.clip, self.clip)

    def scored(self, X: Floats) -> Floats:
        """Normal scores, which no monotone map changes, of columns with many values; the others standardised."""
        out = self.standardised(X)
        for j, (values, scores) in zip(self.curved_, self.scores_, strict=True):
            out[:, j] = np.interp(X[:, j], values, scores)
        return out

    def transform(self, X: Floats) -> Floats:
        """The basis (n, m); the products stand last."""
        check_is_fitted(self, "pairs_")
        X = np.asarray(X, dtype=float)
        Z = self.scored(X)
        curved = Z[:, self.curved_]
        parts = [self.standardised(X), curved]
        if self.curved_:
            parts.append(_cubic_splines(curved, self.n_knots))
        parts.append(Z[:, self.pairs_[:, 0]] * Z[:, self.pairs_[:, 1]])
        return np.hstack(parts)


def _cubic_splines(scores: Floats, n_knots: int) -> Floats:
    """Cubic B-splines (n, m (n_knots + 1)) of normal scores (n, m), knots at their quantiles, the first left out.

    The quantiles of normal scores are known, so that nothing has to be learned.
    """
    from scipy.interpolate import BSpline

    inner = special.ndtri(np.arange(1, n_knots - 1) / (n_knots - 1))
    bounds = _FURTHEST * np.array([-1.0, 1.0])
    knots = np.concatenate([np.repeat(bounds[0], 4), inner, np.repeat(bounds[1], 4)])
    n_splines = n_knots + 2
    values = BSpline(knots, np.eye(n_splines), 3)(np.clip(scores, *bounds).ravel())
    return np.asarray(values[:, 1:]).reshape(len(scores), -1)


def _scores(x: Floats) -> tuple[Floats, Floats]:
    """Values of a column and their normal scores, at most 1,000 of them."""
    values, counts = np.unique(x, return_counts=True)
    rank = (np.cumsum(counts) - counts / 2) / counts.sum()
    if len(values) > _SCORED:
        at = np.unique(np.searchsorted(rank, np.linspace(rank[0], rank[-1], _SCORED)).clip(0, len(rank) - 1))
        values, rank = values[at], rank[at]
    return values, np.asarray(special.ndtri(rank))


def _correlation(Z: Floats, y: Values) -> Floats:
    """Absolute correlation of every column with a target."""
    centred, target = Z - Z.mean(axis=0), np.asarray(y, dtype=float) - np.mean(y)
    scale = np.sqrt(np.square(centred).sum(axis=0) * np.square(target).sum())
    return np.abs(centred.T @ target) / np.where(scale > 0, scale, 1.0)


class RidgeGCV(RegressorMixin, BaseEstimator):
    """Ridge regression of standardised columns, its penalty by generalised cross-validation.

    One eigendecomposition of the Gram matrix serves all penalties: ``GCV = RSS / (1 - df / n)^2`` (Golub, Heath and
    Wahba 1979, Technometrics 21, eq. 1.4).

    Parameters
    ----------
    alphas : sequence of float
        Penalties, in units of rows.
    standardise : bool
        False leaves the columns' scales, where these say how smooth they are.
    """

    def __init__(self, alphas: tuple[float, ...] = tuple(np.logspace(-2, 4, 13)), standardise: bool = True) -> None:
        self.alphas = alphas
        self.standardise = standardise

    def fit(self, X: Floats, y: Values, sample_weight: Floats | None = None) -> Self:
        """Fit."""
        X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
        w = np.ones(len(y)) if sample_weight is None else sample_weight / np.mean(sample_weight)
        n = float(w.sum())
        self.centre_ = w @ X / n
        Z = X - self.centre_
        scale = np.sqrt(w @ np.square(Z) / n) if self.standardise else np.ones(Z.shape[1])
        self.scale_ = np.where(scale > 1e-12, scale, np.inf)
        Z /= self.scale_
        mean = float(w @ y / n)
        left = w * (y - mean)
        values, vectors = np.linalg.eigh((Z * w[:, None]).T @ Z)
        values = np.maximum(values, 0.0)
        moment = vectors.T @ (Z.T @ left)
        total = float(left @ (y - mean))
        best, chosen = np.inf, 0.0
        for alpha in self.alphas:
            b = moment / (values + alpha)
            rss = max(total - 2 * float(b @ moment) + float(np.square(b) @ values), 0.0)
            free = 1 - (1 + float((values / (values + alpha)).sum())) / n
            if free > 0 and rss / free**2 < best:
                best, chosen = rss / free**2, alpha
        self.alpha_ = chosen if np.isfinite(best) else self.alphas[-1]
        self.coef_ = vectors @ (moment / (values + self.alpha_)) / self.scale_
        self.intercept_ = mean - float(self.centre_ @ self.coef_)
        self.slopes_ = vectors @ (moment / (values + self.alpha_))
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Floats) -> Floats:
        """Predictions (n,)."""
        check_is_fitted(self, "coef_")
        return np.asarray(np.asarray(X, dtype=float) @ self.coef_ + self.intercept_)


class LogisticAIC(ClassifierMixin, BaseEstimator):
    """Penalised logistic regression of standardised columns, its penalty by deviance and effective parameters.

    Minimises ``deviance + 2 df``, df the trace of the smoother at the fit, class by class where there are several.

    Parameters
    ----------
    alphas : sequence of float
        Penalties, in units of rows.
    """

    def __init__(self, alphas: tuple[float, ...] = (300.0, 30.0, 3.0, 0.3)) -> None:
        self.alphas = alphas

    def fit(self, X: Floats, y: Values, sample_weight: Floats | None = None) -> Self:
        """Fit by Newton's method, from the largest penalty down."""
        X = np.asarray(X, dtype=float)
        self.classes_, label = np.unique(y, return_inverse=True)
        w = np.ones(len(label)) if sample_weight is None else sample_weight / np.mean(sample_weight)
        self.centre_ = np.average(X, axis=0, weights=w)
        scale = np.sqrt(np.average(np.square(X - self.centre_), axis=0, weights=w))
        self.scale_ = np.where(scale > 1e-12, scale, np.inf)
        A = np.hstack([np.ones((len(X), 1)), (X - self.centre_) / self.scale_])
        # many rows: the penalty is chosen on some of them, which all follow from there
        some = np.arange(len(A)) if len(A) <= _CHOOSE_ON else sample_of_groups(label, _CHOOSE_ON)
        share = len(some) / len(A)
        J = len(self.classes_) - 1
        beta, best = np.zeros((J, A.shape[1])), np.inf
        for alpha in sorted(self.alphas, reverse=True):
            beta, df = _newton(A[some], label[some], w[some], beta, _penalty(A, alpha * share))
            eta = np.hstack([np.zeros((len(some), 1)), A[some] @ beta.T])
            chance = log_softmax(eta, axis=1)[np.arange(len(some)), label[some]]
            criterion = -2 * float(w[some] @ chance) + 2 * df
            if criterion < best:
                best, self.alpha_, self.beta_ = criterion, alpha, beta.copy()
        if share < 1:
            self.beta_, _ = _newton(A, label, w, self.beta_, _penalty(A, self.alpha_))
        self.n_features_in_ = X.shape[1]
        return self

    @property
    def slopes_(self) -> Floats:
        """Of standardised columns (J, m)."""
        return self.beta_[:, 1:]

    def decision_function(self, X: Floats) -> Floats:
        """Log odds (n, J) beside the first class."""
        check_is_fitted(self, "beta_")
        Z = (np.asarray(X, dtype=float) - self.centre_) / self.scale_
        return np.asarray(Z @ self.beta_[:, 1:].T + self.beta_[:, 0])

    def predict_proba(self, X: Floats) -> Floats:
        """Probabilities (n, J + 1)."""
        eta = self.decision_function(X)
        return np.asarray(softmax(np.hstack([np.zeros((len(eta), 1)), eta]), axis=1))

    def predict(self, X: Floats) -> Values:
        """The likeliest class."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _penalty(A: Floats, alpha: float) -> Floats:
    return np.append(1e-8, np.full(A.shape[1] - 1, alpha))


def _newton(A: Floats, label: Values, w: Floats, beta: Floats, penalty: Floats) -> tuple[Floats, float]:
    """Penalised multinomial fit, by Newton steps class by class, and its effective number of parameters."""
    beta, df = beta.copy(), 0.0
    for _ in range(50):
        largest, df = 0.0, 0.0
        for j in range(len(beta)):
            chance = softmax(np.hstack([np.zeros((len(A), 1)), A @ beta.T]), axis=1)[:, j + 1]
            gradient = A.T @ (w * ((label == j + 1) - chance)) - penalty * beta[j]
            half = A * np.sqrt(w * np.maximum(chance * (1 - chance), 1e-9))[:, None]
            hessian = half.T @ half
            solved = np.linalg.solve(hessian + np.diag(penalty), np.column_stack([gradient, hessian]))
            df += float(np.trace(solved[:, 1:]))
            step = solved[:, 0]
            size = float(np.abs(step).max())
            beta[j] += step if size <= 5 else step * (5 / size)
            largest = max(largest, size)
        if largest < 1e-4:  # the next step would move the squares of these
            break
    return beta, df


class _Boosted(BaseEstimator):
    """What the two share: a smooth fit first, then boosting on the columns and the products that mattered.

    Parameters
    ----------
    products : bool
        Fit beside it boosting alone, of the target itself, on the same columns: what jumps is learned better without
        what smooth curves make of it.
    random_state : int, optional
    """

    def __init__(self, products: bool = False, random_state: int | None = None) -> None:
        self.products = products
        self.random_state = random_state

    def part(self, name: str) -> Any:
        """A part of the fit as a model of its own: "splines" or "boosted_products"."""
        from sklearn.pipeline import Pipeline

        if name == "splines":
            return Pipeline([("basis", self.basis_), ("linear", self.smooth_)])
        return Pipeline([("products", _WithProducts(self.basis_, self.added_)), ("boosting", self.alone_)])

    def _smooth(self, X: Floats, y: Values, sample_weight: Floats | None, linear: Any) -> Floats:
        """Fit the smooth part; returns the columns (n, m) that boosting is given."""
        self.basis_ = SplineBasis().fit(X, y, sample_weight)
        B = self.basis_.transform(X)
        self.smooth_ = linear.fit(B, y, sample_weight)
        of_products = np.atleast_2d(self.smooth_.slopes_)[:, B.shape[1] - len(self.basis_.pairs_) :]
        self.added_ = np.argsort(-np.abs(of_products).max(axis=0), kind="stable")[:_PRODUCTS_ADDED]
        self.n_features_in_ = X.shape[1]
        return B

    def _with_products(self, X: Floats, B: Floats) -> Floats:
        return np.hstack([X, B[:, B.shape[1] - len(self.basis_.pairs_) :][:, self.added_]])

    def _fit_alone(self, kind: Any, X: Floats, B: Floats, y: Values, sample_weight: Floats | None) -> None:
        if self.products:
            self.alone_ = kind(
                max_iter=100, learning_rate=0.1, max_leaf_nodes=6, early_stopping=False, random_state=self.random_state
            ).fit(self._with_products(X, B), y, sample_weight=sample_weight)


class _WithProducts(TransformerMixin, BaseEstimator):
    """Columns and some products of a fitted basis."""

    def __init__(self, basis: SplineBasis, added: Values) -> None:
        self.basis = basis
        self.added = added

    def fit(self, X: Floats, y: Values | None = None) -> Self:
        """Nothing is learned."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: Floats) -> Floats:
        """The columns and the products (n, q + 6)."""
        X = np.asarray(X, dtype=float)
        Z, pairs = self.basis.scored(X), self.basis.pairs_[self.added]
        return np.hstack([X, Z[:, pairs[:, 0]] * Z[:, pairs[:, 1]]])


class BoostedBasisRegressor(RegressorMixin, _Boosted):
    """Ridge regression on :class:`SplineBasis`, and boosting of its residuals."""

    def fit(self, X: Floats, y: Values, sample_weight: Floats | None = None) -> Self:
        """Fit."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
        B = self._smooth(X, y, sample_weight, RidgeGCV())
        self.boosting_ = HistGradientBoostingRegressor(
            max_iter=300, learning_rate=0.1, max_leaf_nodes=16, min_samples_leaf=10, early_stopping=True,
            validation_fraction=0.1, n_iter_no_change=20, random_state=self.random_state,
        ).fit(self._with_products(X, B), y - self.smooth_.predict(B), sample_weight=sample_weight)  # fmt: skip
        self._fit_alone(HistGradientBoostingRegressor, X, B, y, sample_weight)
        return self

    def predict(self, X: Floats) -> Floats:
        """Predictions (n,)."""
        check_is_fitted(self, "boosting_")
        X = np.asarray(X, dtype=float)
        B = self.basis_.transform(X)
        return np.asarray(self.smooth_.predict(B) + self.boosting_.predict(self._with_products(X, B)))


class BoostedBasisClassifier(ClassifierMixin, _Boosted):
    """Logistic regression on :class:`SplineBasis`, and boosting that has its log odds as a column."""

    def fit(self, X: Floats, y: Values, sample_weight: Floats | None = None) -> Self:
        """Fit."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        X = np.asarray(X, dtype=float)
        B = self._smooth(X, y, sample_weight, LogisticAIC())
        # rows set aside to stop early are drawn class by class
        enough = int(np.unique(y, return_counts=True)[1].min()) >= _ROWS_OF_A_CLASS
        self.boosting_ = HistGradientBoostingClassifier(
            max_iter=300 if enough else 30, learning_rate=0.1, max_leaf_nodes=8, early_stopping=enough,
            validation_fraction=0.15, n_iter_no_change=15, random_state=self.random_state,
        ).fit(self._features(X, B), y, sample_weight=sample_weight)  # fmt: skip
        self._fit_alone(HistGradientBoostingClassifier, X, B, y, sample_weight)
        self.classes_ = self.smooth_.classes_
        return self

    def _features(self, X: Floats, B: Floats) -> Floats:
        return np.hstack([self._with_products(X, B), self.smooth_.decision_function(B)])

    def predict_proba(self, X: Floats) -> Floats:
        """Probabilities (n, classes)."""
        check_is_fitted(self, "boosting_")
        X = np.asarray(X, dtype=float)
        return np.asarray(self.boosting_.predict_proba(self._features(X, self.basis_.transform(X))))

    def predict(self, X: Floats) -> Values:
        """The likeliest class."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
