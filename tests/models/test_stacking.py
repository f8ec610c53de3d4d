"""Weights of a stack: beside general optimisers, and at the edges."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

from pandas_causal.models.stacking import Stack, calibration_slope, convex_weights, join_means, join_probabilities

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_convex_weights_minimise_the_loss(k, weighted):
    y = RNG.normal(size=300)
    predictions = 0.5 * y[:, None] + RNG.normal(size=(300, k)) * np.arange(1, k + 1) / 2
    w = RNG.uniform(0.2, 2, 300) if weighted else None
    found = convex_weights(predictions, y, w)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)

    def loss(b):
        return np.average(np.square(y - predictions @ b), weights=w)

    bounds, sums = [(0, 1)] * k, {"type": "eq", "fun": lambda b: b.sum() - 1}
    theirs = minimize(loss, np.full(k, 1 / k), bounds=bounds, constraints=[sums], method="SLSQP", tol=1e-12)
    assert loss(found) <= theirs.fun + 1e-9
    np.testing.assert_allclose(found, theirs.x, atol=1e-3)


def test_a_member_twice_shares_its_weight_and_a_useless_one_gets_none():
    y = RNG.normal(size=400)
    good, useless = y + RNG.normal(size=400), 5 * RNG.normal(size=400)
    both = convex_weights(np.column_stack([good, good, useless]), y, None)
    assert both[:2].sum() == pytest.approx(1, abs=0.05)
    assert np.isfinite(both).all()
    assert convex_weights(np.column_stack([y, useless]), y, None)[0] == pytest.approx(1)


def logits(n, J, k):
    eta = RNG.normal(size=(n, J))
    chance = softmax(np.hstack([np.zeros((n, 1)), eta]), axis=1)
    arms = (RNG.random((n, 1)) > np.cumsum(chance, axis=1)).sum(axis=1).astype(np.int8)
    members = {}
    for j in range(k):
        noisy = eta * (1.5 if j == 0 else 1) + j * RNG.normal(size=(n, J))
        members[f"m{j}"] = softmax(np.hstack([np.zeros((n, 1)), noisy]), axis=1)
    return members, arms


@pytest.mark.parametrize(("J", "k", "weighted"), [(1, 1, False), (1, 3, True), (2, 3, False), (3, 2, True)])
def test_probabilities_are_joined_by_likelihood(J, k, weighted):
    members, arms = logits(600, J, k)
    w = RNG.uniform(0.2, 2, 600) if weighted else None
    stack = join_probabilities(members, arms, w)

    def loss(parameters):
        odds = sum(
            b * (np.log(p[:, 1:]) - np.log(p[:, :1])) for b, p in zip(parameters[J:], members.values(), strict=True)
        )
        eta = np.hstack([np.zeros((600, 1)), odds + parameters[:J]])
        return -np.average(log_softmax(eta, axis=1)[np.arange(600), arms], weights=w)

    start = np.concatenate([np.zeros(J), np.full(k, 1 / k)])
    theirs = minimize(loss, start, bounds=[(None, None)] * J + [(0, None)] * k, method="L-BFGS-B", tol=1e-14)
    ours = np.concatenate([stack.intercepts, stack.weights])
    assert loss(ours) <= theirs.fun + 1e-9
    np.testing.assert_allclose(ours, theirs.x, atol=2e-3)
    joined = stack.join(members)
    np.testing.assert_allclose(joined.sum(axis=1), 1)
    assert calibration_slope(joined, arms, w) == pytest.approx(1, abs=1e-3)  # calibrated by construction
    shares = [np.average(arms == a, weights=w) for a in range(J + 1)]
    np.testing.assert_allclose(np.average(joined, axis=0, weights=w), shares, atol=1e-6)


def test_a_member_that_points_the_wrong_way_is_held_at_0():
    eta = RNG.normal(size=1_000)
    arms = (RNG.random(1_000) < expit(eta)).astype(np.int8)
    right, wrong = (np.column_stack([1 - p, p]) for p in (expit(eta), expit(-eta)))
    stack = join_probabilities({"right": right, "wrong": wrong}, arms, None)
    assert stack.weights[1] == 0
    assert stack.name == "right"
    assert stack.heard() == ("right",)


def test_members_without_a_say():
    stack = Stack(("a", "b", "c"), np.array([0.6, 0.39, 0.01]))
    assert stack.heard() == ("a", "b")
    assert stack.told() == "a 0.60, b 0.39, c 0.01"
    x = {"a": np.ones(3), "b": np.zeros(3), "c": np.zeros(3)}
    np.testing.assert_allclose(stack.join(x), 0.6)
    y = RNG.normal(size=50)
    assert join_means({"it": y, "zero": np.zeros(50)}, y, None).name == "it"
    nobody = Stack(("a", "b"), np.zeros(2), np.zeros(1))
    assert nobody.name == "shares"
    assert nobody.heard() == ("a",)
