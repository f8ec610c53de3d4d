"""Tilts on numbers worked by hand, against scipy's general solvers, and the hull that decides whether one exists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from pandas_causal.adjustment.balance_targets import Features, Infeasible, hull_gap
from pandas_causal.adjustment.balancing_weights import (
    _signed_quadratic,
    balancing_contributions,
    entropy_weights,
    linear_predictor,
    remaining_shift,
    stable_weights,
)
from pandas_causal.models.linear import StandardisedMatrix


def setting(n=80, q=3, seed=0):
    """A design, its first half as the arm, and a target inside the arm's hull."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, q))
    design = StandardisedMatrix.of(X)
    rows = np.arange(n // 2)
    base = rng.uniform(0.5, 2, n // 2)
    shares = rng.dirichlet(np.ones(n // 2))
    return design, rows, base, shares @ design.rows(rows), rng


# -- what is balanced ------------------------------------------------------------------------------------------------


def test_features_by_hand():
    X = np.column_stack([[0.0, 2, 4, 6], [0, 1, 0, 1], [1, 2, 3, 1]])
    plain = Features.of(X, ["a", "b", "c"])
    assert plain.names == ["a", "b", "c"]
    assert plain.on(X) is X
    f = Features.of(X, ["a", "b", "c"], moments=3, interactions=True)
    # two values have one power, three have two
    assert f.names == ["a", "b", "c", "a^2", "a^3", "c^2", "a * b", "a * c", "b * c"]
    z = (X[:, 0] - 3) / np.sqrt(5)
    np.testing.assert_allclose(f.on(X)[:, 3], z**2)
    np.testing.assert_allclose(f.on(X)[:, 4], z**3)
    np.testing.assert_allclose(f.on(X)[:, 6], z * (X[:, 1] - 0.5) / 0.5)
    np.testing.assert_allclose(f.on(X[2:])[:, 3], f.on(X)[2:, 3])


# -- the hull --------------------------------------------------------------------------------------------------------


def test_hull_gap_by_hand():
    square = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    assert hull_gap(square, np.array([0.3, 0.9]))[0] == pytest.approx(0, abs=1e-12)
    assert hull_gap(square, np.array([1.5, 0.5]))[0] == pytest.approx(0.5)
    assert hull_gap(square, np.array([1.5, 0.5]), np.array([2.0, 1.0]))[0] == pytest.approx(0.25)
    triangle = square[:3]  # x + y <= 1: from (1, 1) each coordinate gives way by half of the excess
    gap, direction = hull_gap(triangle, np.array([1.0, 1.0]))
    assert gap == pytest.approx(0.5)
    assert direction @ np.array([1.0, 1.0]) > (triangle @ direction).max()


def test_hull_gap_is_that_of_the_whole_programme():
    rng = np.random.default_rng(1)
    Z = rng.normal(size=(500, 6))
    target = np.full(6, 1.2)
    n, q = Z.shape
    A = np.vstack([np.hstack([Z.T, -np.ones((q, 1))]), np.hstack([-Z.T, -np.ones((q, 1))])])
    whole = linprog(
        np.append(np.zeros(n), 1),
        A,
        np.append(target, -target),
        np.append(np.ones(n), 0.0)[None],
        [1.0],
        method="highs",
    )
    gap, direction = hull_gap(Z, target)
    assert gap == pytest.approx(whole.fun, abs=1e-9)
    assert gap > 0.1
    assert (Z @ direction).max() < target @ direction


# -- entropy ---------------------------------------------------------------------------------------------------------


def test_entropy_tilt_by_hand():
    """One column of zeros and ones, target mean 3/4, total 8: the ones share 6, the zeros 2, in proportion to base."""
    X = np.array([0.0, 0, 1, 1, 1, 0, 1])
    design = StandardisedMatrix.of(X[:, None])
    rows = np.arange(5)
    base = np.array([1.0, 3, 1, 1, 2])
    target = np.array([1.0, (0.75 - X.mean()) / X.std()])
    tilt = entropy_weights(design, rows, base, target, 8.0, np.ones(1))
    np.testing.assert_allclose(tilt.weights, [0.5, 1.5, 1.5, 1.5, 3.0], rtol=1e-12)
    np.testing.assert_allclose(np.exp(linear_predictor(design, tilt.coefficients))[:5] * base, tilt.weights, rtol=1e-12)


def test_entropy_tilt_is_the_nearest_in_entropy():
    design, rows, base, target, _ = setting()
    tilt = entropy_weights(design, rows, base, target, 10.0, np.ones(3))
    Z = design.rows(rows)
    np.testing.assert_allclose(tilt.weights @ Z / 10, target, atol=1e-12)
    b = base / base.sum()
    peer = minimize(
        lambda w: (w * np.log(np.maximum(w, 1e-300) / b)).sum(),
        b,
        jac=lambda w: np.log(np.maximum(w, 1e-300) / b) + 1,
        bounds=[(0, 1)] * len(rows),
        constraints=[{"type": "eq", "fun": lambda w: w @ Z - target, "jac": lambda _: Z.T}],
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    np.testing.assert_allclose(tilt.weights / 10, peer.x, atol=2e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), pull=st.floats(0.0, 0.97))
def test_entropy_tilt_balances_wherever_the_target_lies_inside(seed, pull):
    """From the middle of the hull to 97% of the way to one of its rows."""
    design, rows, base, target, rng = setting(seed=seed)
    corner = design.rows(rows)[rng.integers(len(rows))]
    aim = (1 - pull) * target + pull * corner
    tilt = entropy_weights(design, rows, base, aim, 1.0, np.ones(3))
    assert (tilt.weights > 0).all()
    np.testing.assert_allclose(tilt.weights @ design.rows(rows), aim, atol=1e-8)


def test_a_target_at_the_end_of_a_column_leaves_the_other_rows_without_weight():
    design, rows, base, _, rng = setting(q=2)
    X = np.column_stack([design.X, rng.integers(0, 2, len(design))])
    design = StandardisedMatrix.of(X)
    Z = design.rows(rows)
    inside = X[rows, 2] == 0
    target = rng.dirichlet(np.ones(inside.sum())) @ Z[inside]
    tilt = entropy_weights(design, rows, base, target, 5.0, np.ones(3))
    assert (tilt.weights[~inside] == 0).all()
    assert (tilt.weights[inside] > 0).all()
    np.testing.assert_allclose(tilt.weights @ Z / 5, target, atol=1e-9)
    np.testing.assert_array_equal(tilt.admits(design)[rows], inside)


@pytest.mark.parametrize("stable", [False, True])
def test_targets_out_of_reach_name_the_columns_and_the_distance(stable):
    design, rows, base, _, _ = setting(n=2_000)
    Z = design.rows(rows)
    target = Z.mean(axis=0)
    target[2] = Z[:, 2].max() + 0.75
    arguments = (design, rows, base, target, 1.0, np.full(3, 0.5))
    with pytest.raises(Infeasible) as error:
        stable_weights(*arguments, 0.3) if stable else entropy_weights(*arguments)
    # the second column lacks 0.75 / 0.5 and the others a little where it is largest
    assert error.value.columns[0] == 1
    gap, _ = hull_gap(Z[:, 1:], target[1:], np.full(3, 0.5))
    assert error.value.gap == pytest.approx(gap)
    assert 1.5 <= gap < 2


# -- stable ----------------------------------------------------------------------------------------------------------


def test_stable_tilt_by_hand():
    """Values 0, 1, 2 with target 1.2: w = 1/3 + (x - 1) / 10; with target 1.8 the first row is out: 0, 0.2, 0.8."""
    X = np.array([0.0, 1, 2])
    design = StandardisedMatrix.of(X[:, None])
    for mean, weights in ((1.2, [7 / 30, 1 / 3, 13 / 30]), (1.8, [0, 0.2, 0.8])):
        target = np.array([1.0, (mean - 1) / X.std()])
        tilt = stable_weights(design, np.arange(3), np.ones(3), target, 1.0, np.ones(1))
        np.testing.assert_allclose(tilt.weights, weights, atol=1e-14)
    tight = stable_weights(design, np.arange(3), np.ones(3), target, 1.0, np.array([1 / X.std()]), 0.6)
    np.testing.assert_allclose(tight.weights, [7 / 30, 1 / 3, 13 / 30], atol=1e-14)  # 1.8 less 0.6 is enough
    loose = stable_weights(design, np.arange(3), np.ones(3), target, 1.0, np.array([1 / X.std()]), 0.8)
    np.testing.assert_allclose(loose.weights, [1 / 3] * 3, atol=1e-14)
    assert not loose.active[1]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), tolerance=st.sampled_from([0.0, 0.01, 0.1, 0.4]))
def test_stable_tilt_meets_the_conditions_of_the_optimum(seed, tolerance):
    """Karush, Kuhn and Tucker, which a convex programme's solution alone meets."""
    design, rows, base, target, rng = setting(seed=seed, q=5)
    unit = rng.uniform(0.5, 2, 5)
    tilt = stable_weights(design, rows, base, target, 1.0, unit, tolerance)
    Z, p, b = design.rows(rows), base / base.sum(), tilt.coefficients
    left = target - tilt.weights @ Z
    delta = np.append(0.0, tolerance * unit)
    assert (np.abs(left) <= delta + 1e-10).all()
    np.testing.assert_allclose(tilt.weights, p * np.maximum(1 + Z @ b, 0), atol=1e-14)
    bound = np.abs(b) > 0
    np.testing.assert_allclose(left[bound], (delta * np.sign(b))[bound], atol=1e-10)


def test_stable_weights_vary_least():
    design, rows, base, target, _ = setting(q=4)
    Z, p = design.rows(rows), base / base.sum()
    stable = stable_weights(design, rows, base, target, 1.0, np.ones(4), 0.05).weights
    peer = minimize(
        lambda w: 0.5 * (w * w / p).sum(),
        p,
        jac=lambda w: w / p,
        bounds=[(0, None)] * len(rows),
        constraints=[
            {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(len(w))},
            {"type": "ineq", "fun": lambda w: 0.05 - (w @ Z - target)[1:], "jac": lambda _: -Z[:, 1:].T},
            {"type": "ineq", "fun": lambda w: 0.05 + (w @ Z - target)[1:], "jac": lambda _: Z[:, 1:].T},
        ],
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-15},
    )
    np.testing.assert_allclose(stable, peer.x, atol=1e-6)
    entropy = entropy_weights(design, rows, base, target, 1.0, np.ones(4)).weights
    exact = stable_weights(design, rows, base, target, 1.0, np.ones(4)).weights
    assert (stable**2 / p).sum() < (exact**2 / p).sum() < (entropy**2 / p).sum()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_signed_quadratic_is_the_minimum(seed):
    rng = np.random.default_rng(seed)
    q = 6
    root = rng.normal(size=(12, q))
    H, linear = root.T @ root, rng.normal(size=q) * 5
    delta = np.where(rng.random(q) < 0.3, 0.0, rng.uniform(0, 5, q))
    b = _signed_quadratic(H, linear, delta, rng.normal(size=q))
    gradient = H @ b - linear
    used = b != 0
    np.testing.assert_allclose(gradient[used], -(delta * np.sign(b))[used], atol=1e-9)
    assert (np.abs(gradient[~used]) <= delta[~used] + 1e-9).all()


# -- contributions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solve", ["entropy", "stable"])
def test_contributions_are_the_derivative_in_the_rows_weights(solve):
    """The mean moves by a row's contribution when its weight does: s_i -> s_i + eps, solved anew."""
    rng = np.random.default_rng(3)
    n = 60
    X, y = rng.normal(size=(n, 2)), rng.normal(size=n)
    arm = np.arange(n) < 35
    design, rows = StandardisedMatrix.of(X), np.flatnonzero(arm)
    unit, tolerance = np.ones(2), 0.02

    def fit(s):
        population = np.where(arm, 0.0, s)
        target = population @ design.rows(slice(None)) / population.sum()
        arguments = (design, rows, s[rows], target, population.sum(), unit)
        tilt = entropy_weights(*arguments) if solve == "entropy" else stable_weights(*arguments, tolerance)
        return tilt, population, tilt.weights @ y[rows] / tilt.weights.sum()

    s = rng.uniform(0.5, 1.5, n)
    tilt, population, mean = fit(s)
    total = tilt.weights.sum()
    exact = balancing_contributions(design, tilt, y[rows] - mean, population, total)
    exact[rows] += tilt.weights * (y[rows] - mean) / total
    steps = 1e-5 * np.diag(s)
    numeric = np.array([(fit(s + e)[2] - fit(s - e)[2]) / 2e-5 for e in steps])
    np.testing.assert_allclose(exact, numeric, atol=1e-7)
    assert exact.sum() == pytest.approx(0, abs=1e-12)


def test_remaining_shift_by_hand():
    """Slope 2 per unit, and 0.3 of a unit left: 0.6."""
    X = np.array([0.0, 1, 2])
    design = StandardisedMatrix.of(X[:, None])
    target = np.array([1.0, (1.5 - 1) / X.std()])
    tilt = stable_weights(design, np.arange(3), np.ones(3), target, 1.0, np.array([1 / X.std()]), 0.3)
    assert remaining_shift(design, tilt, 2 * X - 2.4, target) == pytest.approx(0.6)
