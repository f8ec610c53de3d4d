"""The correction of an outcome model by its own rows."""

import numpy as np
import pytest

from pandas_causal.adjustment.targeting import target_arm

RNG = np.random.default_rng(2)
N = 500
X = RNG.normal(size=N)
E1 = 1 / (1 + np.exp(-X))
E = np.column_stack([1 - E1, E1])
D = (RNG.random(N) < E1).astype(int)
Y = 2 * X + D + RNG.normal(size=N)
M = np.column_stack([X, X + 0.5 * X**2])


def test_weighted_residuals_are_orthogonal_to_predictions_and_log_odds():
    own = D == 1
    found = target_arm(Y, own, M, E, 1, 1 / E1)
    left = np.where(own, (Y - found.predictions) / E1, 0.0)
    for f in (np.ones(N), M[:, 0], M[:, 1], np.log(E1 / (1 - E1))):
        assert left @ f == pytest.approx(0, abs=1e-4)
    assert (found.leverage[~own] == 0).all()


def test_leverages_are_those_of_the_weighted_regression():
    own, v = D == 1, 1 / E1
    found = target_arm(Y, own, M, E, 1, v)
    A = np.column_stack([np.ones(N), M, np.log(E1 / (1 - E1))])[own] * np.sqrt(v[own])[:, None]
    hat = A @ np.linalg.pinv(A)
    np.testing.assert_allclose(found.leverage[own], np.diag(hat), atol=1e-5)


def test_few_rows_are_shifted_by_a_constant_only():
    own = np.zeros(N, dtype=bool)
    own[np.flatnonzero(D == 1)[:30]] = True
    found = target_arm(Y, own, M, E, 1, np.ones(N))
    np.testing.assert_allclose(found.predictions - M[:, 1], np.mean((Y - M[:, 1])[own]), atol=1e-6)


def test_features_without_variation_are_left_out():
    flat = np.full((N, 2), 0.5)
    found = target_arm(Y, D == 1, np.zeros((N, 2)), flat, 1, np.ones(N))
    np.testing.assert_allclose(found.predictions, Y[D == 1].mean(), atol=1e-6)
    trimmed = np.where(X > 0, 1.0, 0.0)
    kept = target_arm(Y, D == 1, np.zeros((N, 2)), flat, 1, trimmed)
    np.testing.assert_allclose(kept.predictions, Y[(D == 1) & (X > 0)].mean(), atol=1e-6)
