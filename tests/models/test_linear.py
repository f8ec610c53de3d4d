"""Least squares and logistic regression from sums, against scikit-learn on every fold."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from pandas_causal.errors import OverlapError
from pandas_causal.models.linear import (
    StandardisedMatrix,
    fit_logistic,
    independent_columns,
    invert_gram,
    least_squares,
    logistic_probabilities,
    predict_by_fold,
    softmax,
    solve_gram,
)

N, FOLDS = 600, 4


def sample(arms=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, 4)) * [1, 1e3, 1e-3, 2] + [0, 1e4, 1, -7]
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    eta = np.column_stack([np.zeros(N), *[0.7 * Z[:, k] - 0.4 * Z[:, 3] for k in range(arms - 1)]])
    p = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    d = (rng.random(N)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    y = Z @ [1, 2, -1, 0.5] + d + rng.normal(size=N)
    return X, Z, y, d, rng.integers(FOLDS, size=N), rng.uniform(0.2, 3, N)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("arms", [2, 3])
def test_cross_fitted_least_squares_equal_scikit_learn(arms, weighted):
    X, Z, y, d, folds, w = sample(arms)
    w = w if weighted else None
    design = StandardisedMatrix.of(X)
    coefficients = least_squares(design, y, d, arms, folds, FOLDS, w)
    ours = predict_by_fold(design, coefficients, folds)
    for a in range(arms):
        for f in range(FOLDS):
            use = (folds != f) & (d == a)
            theirs = LinearRegression().fit(Z[use], y[use], None if w is None else w[use])
            np.testing.assert_allclose(ours[folds == f, a], theirs.predict(Z[folds == f]), rtol=1e-7, atol=1e-8)
        theirs = LinearRegression().fit(Z[d == a], y[d == a], None if w is None else w[d == a])
        np.testing.assert_allclose(predict_by_fold(design, coefficients)[:, a], theirs.predict(Z), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_cross_fitted_logistic_equals_scikit_learn(classes, weighted):
    X, Z, _, d, folds, w = sample(classes, seed=1)
    w = w if weighted else None
    design = StandardisedMatrix.of(X)
    fit = fit_logistic(design, d, classes, folds, FOLDS, w)
    ours = logistic_probabilities(design, fit.coefficients, folds)
    for f in range(FOLDS):
        use = folds != f
        model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000, solver="newton-cg")
        theirs = model.fit(Z[use], d[use], None if w is None else w[use])
        np.testing.assert_allclose(ours[~use], theirs.predict_proba(Z[~use]), atol=1e-7)
    np.testing.assert_allclose(ours.sum(axis=1), 1)


@pytest.mark.parametrize("classes", [2, 3])
def test_information_is_minus_the_hessian_of_the_likelihood(classes):
    X, _, _, d, _, w = sample(classes, seed=2)
    design = StandardisedMatrix.of(X)
    fit = fit_logistic(design, d, classes, w=w)
    Z, beta = design.rows(slice(None)), fit.coefficients[-1].ravel()

    def gradient(b):
        q = softmax(Z @ b.reshape(classes - 1, -1).T)[:, 1:]
        return (((d[:, None] == np.arange(1, classes)) - q) * w[:, None]).T @ Z

    np.testing.assert_allclose(gradient(beta), 0, atol=1e-6)
    steps = 1e-5 * np.eye(len(beta))
    numeric = np.stack([(gradient(beta + s) - gradient(beta - s)).ravel() / 2e-5 for s in steps])
    np.testing.assert_allclose(fit.information, -numeric, rtol=1e-6, atol=1e-5)


def test_a_shift_of_a_billion_and_a_tiny_scale_change_no_prediction():
    X, _, y, d, folds, _ = sample()
    moved = X * [1, 1, 1e-9, 1] + [1e9, 0, 0, 0]
    for arrays in ((X, moved),):
        one, two = (
            predict_by_fold(
                StandardisedMatrix.of(v), least_squares(StandardisedMatrix.of(v), y, d, 2, folds, FOLDS), folds
            )
            for v in arrays
        )
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-6)
    one, two = (
        logistic_probabilities(
            StandardisedMatrix.of(v), fit_logistic(StandardisedMatrix.of(v), d, 2, folds, FOLDS).coefficients, folds
        )
        for v in (X, moved)
    )
    np.testing.assert_allclose(one, two, atol=1e-7)


def test_collinear_columns_are_dropped_by_order_and_change_no_prediction():
    X, _, y, d, folds, _ = sample()
    more = np.column_stack([X[:, :2], X[:, 0] - 3 * X[:, 1] / 1e3, X[:, 2:], X[:, 3]])
    design = StandardisedMatrix.of(more)
    assert design.kept.tolist() == [0, 1, 3, 4]
    assert design.dropped.tolist() == [2, 5]
    for fit in (
        lambda D: predict_by_fold(D, least_squares(D, y, d, 2, folds, FOLDS), folds),
        lambda D: logistic_probabilities(D, fit_logistic(D, d, 2, folds, FOLDS).coefficients, folds),
    ):
        np.testing.assert_allclose(fit(design), fit(StandardisedMatrix.of(X)), rtol=1e-7, atol=1e-8)


def test_columns_that_are_collinear_in_one_arm_only():
    """A covariate that is constant among the treated has no slope there; predictions of that arm go without it."""
    rng = np.random.default_rng(0)
    d = np.repeat([0, 1], 50)
    X = np.column_stack([rng.normal(size=100), np.where(d == 1, 2.0, rng.normal(size=100))])
    y = X @ [1.0, 3.0] + rng.normal(size=100)
    coefficients = least_squares(StandardisedMatrix.of(X), y, d, 2)[-1]
    theirs = LinearRegression().fit(X[d == 1, :1], y[d == 1])
    own = StandardisedMatrix.of(X).rows(slice(None))[d == 1] @ coefficients[1]
    np.testing.assert_allclose(own, theirs.predict(X[d == 1, :1]), rtol=1e-8)


def test_gram_helpers():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(20, 3))
    gram = A.T @ A
    np.testing.assert_allclose(solve_gram(gram, np.ones(3)), np.linalg.solve(gram, np.ones(3)))
    np.testing.assert_allclose(invert_gram(gram), np.linalg.inv(gram))
    B = np.column_stack([A, A[:, 0] + A[:, 1]])
    assert independent_columns(B.T @ B).tolist() == [0, 1, 2]
    assert (invert_gram(B.T @ B)[3] == 0).all()
    assert independent_columns(np.zeros((2, 2))).tolist() == []


@pytest.mark.parametrize("classes", [2, 3])
def test_separation_names_ridge(classes):
    X, _, _, _, folds, _ = sample()
    d = np.digitize(X[:, 0], [0.0, 1.0][: classes - 1])
    with pytest.raises(OverlapError, match="ridge"):
        fit_logistic(StandardisedMatrix.of(X), d, classes, folds, FOLDS)


def test_a_small_category_with_one_arm_goes_to_the_limit_of_the_likelihood():
    """Its own rows reach probability 1 (the overlap check counts them), all others are predicted as without them."""
    rng = np.random.default_rng(0)
    d, x = rng.integers(2, size=200), rng.normal(size=200)
    lonely = np.zeros(200)
    lonely[np.flatnonzero(d == 1)[:8]] = 1
    design = StandardisedMatrix.of(np.column_stack([lonely, x]))
    ours = logistic_probabilities(design, fit_logistic(design, d, 2).coefficients)
    rest = lonely == 0
    np.testing.assert_allclose(ours[~rest, 1], 1, atol=1e-6)
    theirs = LogisticRegression(C=np.inf, tol=1e-12, solver="newton-cg").fit(x[rest, None], d[rest])
    np.testing.assert_allclose(ours[rest], theirs.predict_proba(x[rest, None]), atol=1e-6)


def test_separation_in_one_fold_only_names_ridge():
    rng = np.random.default_rng(0)
    x = np.sort(rng.normal(size=60))
    d, folds = (x > 0).astype(int), np.ones(60, dtype=int)
    d[[10, 50]], folds[[10, 50]] = [1, 0], 0  # without fold 0 the rest is separated
    with pytest.raises(OverlapError, match="ridge"):
        fit_logistic(StandardisedMatrix.of(x[:, None]), d, 2, folds, 2)


def test_strong_but_imperfect_prediction_still_converges():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2_000, 1))
    d = (rng.random(2_000) < 1 / (1 + np.exp(-15 * x[:, 0]))).astype(int)
    fit = fit_logistic(StandardisedMatrix.of(x), d, 2)
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000, solver="newton-cg").fit(x, d)
    ours = logistic_probabilities(StandardisedMatrix.of(x), fit.coefficients)
    np.testing.assert_allclose(ours, theirs.predict_proba(x), atol=1e-6)


def test_many_rows_start_from_a_spread_of_them():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(210_000, 1))
    d = (rng.random(210_000) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    fit = fit_logistic(StandardisedMatrix.of(x), d, 2)
    Z = StandardisedMatrix.of(x).rows(slice(None))
    score = Z.T @ (d - softmax(Z @ fit.coefficients[-1].T)[:, 1])
    np.testing.assert_allclose(score / 210_000, 0, atol=1e-9)


def test_softmax_does_not_overflow():
    np.testing.assert_allclose(softmax(np.array([[800.0, -800.0]])), [[0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(softmax(np.array([[-800.0], [800.0]])), [[1, 0], [0, 1]], atol=1e-12)


def test_no_covariates_are_arm_means_and_shares():
    _, _, y, d, folds, _ = sample()
    design = StandardisedMatrix.of(np.empty((N, 0)))
    coefficients = least_squares(design, y, d, 2, folds, FOLDS)
    assert coefficients[-1, 1, 0] == pytest.approx(y[d == 1].mean())
    assert logistic_probabilities(design, fit_logistic(design, d, 2).coefficients)[0, 1] == pytest.approx(d.mean())
