"""Smooth learners: beside dense algebra and scikit-learn, invariances, what they can and cannot fit."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from pandas_causal.models.basis import (
    BoostedBasisClassifier,
    BoostedBasisRegressor,
    LogisticAIC,
    RidgeGCV,
    SplineBasis,
)

RNG = np.random.default_rng(1)
X = RNG.normal(size=(400, 4))
Y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.5 * RNG.normal(size=400)
W = RNG.uniform(0.2, 2, 400)


def gcv(Z, y, w, alpha):
    """Generalised cross-validation from the hat matrix."""
    root = np.sqrt(w / w.mean())[:, None]
    A = np.hstack([np.ones((len(Z), 1)), Z]) * root
    hat = A @ np.linalg.solve(A.T @ A + alpha * np.diag([0.0] + [1.0] * Z.shape[1]), A.T)
    left = root[:, 0] * y - hat @ (root[:, 0] * y)
    return (left @ left) / (1 - np.trace(hat) / len(y)) ** 2


@pytest.mark.parametrize("w", [None, W], ids=["plain", "weighted"])
def test_ridge_is_scikit_learns_at_the_penalty_with_the_least_gcv(w):
    ours = RidgeGCV().fit(X, Y, w)
    unit = np.ones(400) if w is None else w
    centre = np.average(X, axis=0, weights=unit)
    Z = (X - centre) / np.sqrt(np.average(np.square(X - centre), axis=0, weights=unit))
    losses = [gcv(Z, Y, unit, alpha) for alpha in ours.alphas]
    assert ours.alpha_ == ours.alphas[int(np.argmin(losses))]
    theirs = Ridge(ours.alpha_).fit(Z, Y, unit / unit.mean())
    np.testing.assert_allclose(ours.predict(X), theirs.predict(Z), atol=1e-9)


def test_ridge_with_more_columns_than_rows_and_constant_ones():
    wide = np.hstack([RNG.normal(size=(40, 90)), np.ones((40, 1))])
    fitted = RidgeGCV().fit(wide, wide[:, 0] + RNG.normal(size=40))
    assert np.isfinite(fitted.predict(wide)).all()
    assert fitted.coef_[-1] == 0
    none = RidgeGCV().fit(np.empty((5, 0)), np.arange(5.0))
    np.testing.assert_allclose(none.predict(np.empty((2, 0))), 2.0)


@pytest.mark.parametrize("w", [None, W], ids=["plain", "weighted"])
def test_logistic_is_scikit_learns_at_its_penalty(w):
    d = (RNG.random(400) < expit(X[:, 0])).astype(int)
    ours = LogisticAIC().fit(X, d, w)
    unit = np.ones(400) if w is None else w / w.mean()
    centre = np.average(X, axis=0, weights=unit)
    Z = (X - centre) / np.sqrt(np.average(np.square(X - centre), axis=0, weights=unit))
    theirs = LogisticRegression(C=1 / ours.alpha_, solver="newton-cholesky", tol=1e-10).fit(Z, d, unit)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(Z), atol=1e-5)


def test_logistic_of_three_classes_is_calibrated():
    chance = np.column_stack([np.ones(3_000), np.exp(RNG.normal(size=3_000)), np.exp(RNG.normal(size=3_000))])
    chance /= chance.sum(axis=1, keepdims=True)
    label = np.array(["a", "b", "c"])[(RNG.random((3_000, 1)) > np.cumsum(chance, axis=1)).sum(axis=1)]
    fitted = LogisticAIC().fit(np.log(chance[:, 1:] / chance[:, :1]), label)
    predicted = fitted.predict_proba(np.log(chance[:, 1:] / chance[:, :1]))
    np.testing.assert_allclose(predicted, chance, atol=0.08)
    np.testing.assert_allclose(predicted.mean(axis=0), [np.mean(label == k) for k in "abc"], atol=1e-4)
    assert set(fitted.predict(X[:, :2])) <= {"a", "b", "c"}


def test_splines_sum_to_1_with_the_one_left_out_and_do_not_see_monotone_maps():
    basis = SplineBasis().fit(X, Y)
    B = basis.transform(X)
    width = 4 + 4 + 4 * 6 + 6  # columns, their scores, splines, products
    assert B.shape == (400, width)
    splines = B[:, 8:32].reshape(400, 4, 6)
    assert splines.min() >= 0
    assert splines.sum(axis=2).max() <= 1 + 1e-12
    mapped = SplineBasis().fit(np.exp(X), Y).transform(np.exp(X))
    np.testing.assert_allclose(mapped[:, 4:], B[:, 4:], atol=1e-12)  # all but the columns themselves


def test_few_values_have_no_curve_and_products_are_of_the_related():
    mixed = np.column_stack([X, RNG.integers(3, size=(400, 14))])
    basis = SplineBasis(n_paired=3).fit(mixed, X[:, 1] ** 2 + mixed[:, 5])
    assert basis.curved_ == [0, 1, 2, 3]
    assert len(basis.pairs_) == 3
    assert {1, 5} <= set(basis.pairs_.ravel())


def test_new_rows_beyond_the_old_ones_stay_at_the_edge():
    fitted = make_pipeline(SplineBasis(n_paired=0), RidgeGCV()).fit(X, Y)
    far = np.full((1, 4), 1e6)
    assert np.abs(fitted.predict(far)) < 20


@pytest.mark.parametrize("weighted", [False, True])
def test_boosting_finds_the_jump_that_splines_smooth_over(weighted):
    jump = 3.0 * np.sign(X[:, 0] * X[:, 1]) + 0.5 * RNG.normal(size=400)
    new = RNG.normal(size=(2_000, 4))
    truth = 3.0 * np.sign(new[:, 0] * new[:, 1])
    w = W if weighted else None
    fitted = BoostedBasisRegressor(products=True, random_state=0).fit(X, jump, w)
    smooth = np.mean(np.square(fitted.part("splines").predict(new) - truth))
    both = np.mean(np.square(fitted.predict(new) - truth))
    alone = np.mean(np.square(fitted.part("boosted_products").predict(new) - truth))
    assert both < smooth / 2
    assert alone < smooth / 4
    separate = make_pipeline(SplineBasis(), RidgeGCV()).fit(X, jump, ridgegcv__sample_weight=w)
    if not weighted:
        np.testing.assert_allclose(fitted.part("splines").predict(new), separate.predict(new))


def test_a_classifier_with_few_rows_of_a_class():
    d = np.zeros(400, dtype=int)
    d[:5] = 1
    fitted = clone(BoostedBasisClassifier(products=True, random_state=0)).fit(X, d)
    for model in (fitted, fitted.part("splines"), fitted.part("boosted_products")):
        chance = model.predict_proba(X)
        np.testing.assert_allclose(chance.sum(axis=1), 1)
    assert fitted.predict_proba(X)[:, 1].mean() < 0.05
