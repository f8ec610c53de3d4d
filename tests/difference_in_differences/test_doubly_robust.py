"""Comparisons of two groups in two periods: by hand, as derivatives in the weights, and what each method promises."""

import numpy as np
import pytest

from pandas_causal.difference_in_differences.doubly_robust import (
    METHODS,
    calibrated_odds,
    compare_changes,
    compare_rows,
    propensity,
)
from pandas_causal.errors import OverlapError
from pandas_causal.models.linear import StandardisedMatrix

STEP = 1e-5


def data(n=80, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    treated = rng.random(n) < 1 / (1 + np.exp(-0.6 * X[:, 0]))
    dy = rng.normal(size=(n, 2)) + X[:, [0]] ** 2 + treated[:, None]
    post = rng.random(n) < 0.5
    return X, treated, dy, post, rng.uniform(0.5, 2, n)


def changes(X, treated, dy, w, method):
    design = StandardisedMatrix.of(X)
    fitted = None if method == "regression" else propensity(design, treated, w, improved=method == "dr_improved")
    return compare_changes(dy, treated, design, w, method=method, fitted=fitted)


def rows(X, treated, y, post, w, method):
    design = StandardisedMatrix.of(X)
    fitted = None if method == "regression" else propensity(design, treated, w)
    return compare_rows(y, treated, post, design, w, method=method, fitted=fitted)


def derivative(estimate, w, rows):
    """w_i times the derivative of an estimate in w_i, by central differences."""
    out = []
    for i in rows:
        up, down = w.copy(), w.copy()
        up[i], down[i] = w[i] * (1 + STEP), w[i] * (1 - STEP)
        out.append((estimate(up) - estimate(down)) / (2 * STEP))
    return np.array(out)


def test_means_by_hand():
    """Changes 3, 5 of the treated and 1, 1, 4 of the others: 4 - 2; deviations divided by 2 and by 3."""
    dy = np.array([[3.0], [1], [5], [1], [4]])
    found = compare_changes(dy, np.array([True, False, True, False, False]))
    assert found.att[0] == pytest.approx(2)
    np.testing.assert_allclose(found.contributions[:, 0], [-1 / 2, 1 / 3, 1 / 2, 1 / 3, -2 / 3])


def test_weights_by_hand():
    dy = np.array([[3.0], [1], [5], [1]])
    found = compare_changes(dy, np.array([True, False, True, False]), w=np.array([3.0, 1, 1, 4]))
    assert found.att[0] == pytest.approx(3.5 - 1)
    np.testing.assert_allclose(found.contributions[:, 0], [-0.5 * 3 / 4, 0, 1.5 / 4, 0])


@pytest.mark.parametrize("method", METHODS)
def test_contributions_of_changes_are_derivatives_in_the_weights(method):
    X, treated, dy, _, w = data()
    found = changes(X, treated, dy, w, method)
    expected = derivative(lambda v: changes(X, treated, dy, v, method).att, w, range(20))
    np.testing.assert_allclose(found.contributions[:20], expected, atol=1e-9)
    np.testing.assert_allclose(found.contributions.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("method", ["dr", "ipw", "regression"])
def test_contributions_of_rows_are_derivatives_in_the_weights(method):
    X, treated, dy, post, w = data(n=120)
    y = dy[:, 0] + post * X[:, 1]
    found = rows(X, treated, y, post, w, method)
    expected = derivative(lambda v: rows(X, treated, y, post, v, method).att, w, range(20))
    np.testing.assert_allclose(found.contributions[:20], expected, atol=1e-9)
    np.testing.assert_allclose(found.contributions.sum(axis=0), 0, atol=1e-12)


def test_rows_without_covariates_are_four_means():
    _, treated, dy, post, w = data()
    y = dy[:, 0]
    mean = {(d, t): np.average(y[(treated == d) & (post == t)], weights=w[(treated == d) & (post == t)])
            for d in (0, 1) for t in (0, 1)}  # fmt: skip
    found = compare_rows(y, treated, post, None, w)
    assert found.att[0] == pytest.approx(mean[1, 1] - mean[1, 0] - mean[0, 1] + mean[0, 0])


def test_a_linear_outcome_without_noise_is_found_by_regression_exactly():
    X, treated, _, post, w = data()
    dy = (1 + X @ [2, -1] + 3 * treated)[:, None]
    assert changes(X, treated, dy, w, "regression").att[0] == pytest.approx(3)
    for method in ("dr", "dr_improved"):
        assert changes(X, treated, dy, w, method).att[0] == pytest.approx(3)
    y = np.where(post, X @ [2, -1] + 3 * treated, X @ [1, 1] + treated)
    assert rows(X, treated, y, post, w, "dr").att[0] == pytest.approx(2)  # whatever X the rows of each period have


def test_calibrated_odds_balance_the_covariates():
    X, treated, _, _, w = data()
    odds = calibrated_odds(StandardisedMatrix.of(X), treated, w)
    control = np.where(treated, 0, w * odds)
    np.testing.assert_allclose(control @ X / control.sum(), w[treated] @ X[treated] / w[treated].sum(), atol=1e-9)
    assert control.sum() == pytest.approx(w[treated].sum())


def test_groups_apart_are_refused():
    X = np.linspace(-1, 1, 40)[:, None]
    treated = X[:, 0] > 0.3
    with pytest.raises(OverlapError, match="do not overlap"):
        calibrated_odds(StandardisedMatrix.of(X), treated, None)
    with pytest.raises(OverlapError):
        propensity(StandardisedMatrix.of(X), treated, None)


def test_untreated_units_like_no_other_are_trimmed():
    """One untreated unit far out: its odds would carry the comparison; e beyond 0.995 counts for nothing."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=2_000)
    treated = rng.random(2_000) < 1 / (1 + np.exp(-2 * x))
    x[~treated] = np.where(np.arange((~treated).sum()) == 0, 6.0, x[~treated])
    fitted = propensity(StandardisedMatrix.of(x[:, None]), treated, None)
    assert fitted.n_trimmed == 1
    assert (fitted.odds == 0).sum() == 1
