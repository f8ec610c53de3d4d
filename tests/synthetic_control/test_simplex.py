"""Least squares on the simplex: by hand, by the conditions of an optimum, and where many weights are optimal."""

import numpy as np
import pytest

from pandas_causal.errors import CausalError
from pandas_causal.synthetic_control.simplex import (
    check_gaps,
    kkt_residual,
    placebo_time_weights,
    placebo_unit_weights,
    simplex_weights,
)


def test_two_points_by_hand():
    w = simplex_weights(np.array([[0.0], [1.0]]), np.array([0.25]))
    np.testing.assert_allclose(w, [0.75, 0.25], atol=1e-14)
    outside = simplex_weights(np.array([[0.0], [1.0]]), np.array([-3.0]))
    np.testing.assert_allclose(outside, [1, 0], atol=1e-14)


def test_ridge_by_hand():
    """(w - 1/4)^2 + r (w^2 + (1 - w)^2): w = (1/4 + r) / (1 + 2 r)."""
    w = simplex_weights(np.array([[0.0], [1.0]]), np.array([0.25]), ridge=0.5)
    np.testing.assert_allclose(w, [0.625, 0.375], atol=1e-14)


def test_intercept_by_hand():
    """Without levels the second row has the target's slope; with levels the first is nearer."""
    points, target = np.array([[0.0, 0.0, 0.0], [100.0, 101.0, 102.0]]), np.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(simplex_weights(points, target, intercept=True), [0, 1], atol=1e-8)
    assert simplex_weights(points, target)[0] > 0.98


SHAPES = [(5, 3), (38, 19), (8, 40), (200, 30), (60, 60), (500, 12), (3, 1)]


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("ridge", [0.0, 1e-7, 1e-3, 1.0, 300.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_conditions_of_an_optimum(shape, ridge, intercept):
    """Convex, so the conditions are sufficient; in and outside the hull, with few and many factors."""
    rng = np.random.default_rng(1)
    for k in range(4):
        points = rng.normal(size=(shape[0], 2)) @ rng.normal(size=(2, shape[1])) * 5 + rng.normal(size=shape)
        target = points[:5].mean(axis=0) + (k % 2) * rng.normal(size=shape[1]) * 4
        w = simplex_weights(points, target, ridge=ridge, intercept=intercept)
        assert kkt_residual(points, target, w, ridge=ridge, intercept=intercept) < 1e-8
        assert w.min() >= 0
        assert w.sum() == pytest.approx(1, abs=1e-12)


def test_residual_tells_a_wrong_answer():
    rng = np.random.default_rng(0)
    points, target = rng.normal(size=(20, 30)), rng.normal(size=30)
    w = simplex_weights(points, target)
    nearly = 0.99 * w + 0.01 / 20
    assert kkt_residual(points, target, nearly) > 1e-3
    assert kkt_residual(points, target, w * 1.001) > 1e-4


def test_no_feasible_direction_improves():
    """The optimum beats random feasible weights, and every small step towards a corner."""
    rng = np.random.default_rng(2)
    points, target = rng.normal(size=(30, 12)), rng.normal(size=12) * 2
    w = simplex_weights(points, target)
    best = np.square(w @ points - target).sum()
    for other in [*rng.dirichlet(np.ones(30), 200), *(0.999 * w + 0.001 * corner for corner in np.eye(30))]:
        assert np.square(other @ points - target).sum() >= best - 1e-12


def test_copies_share_their_weight_and_order_does_not_matter():
    rng = np.random.default_rng(3)
    points, target = rng.normal(size=(6, 4)), rng.normal(size=4)
    single, double = simplex_weights(points, target), simplex_weights(np.vstack([points, points]), target)
    np.testing.assert_allclose(double[:6], double[6:], atol=1e-7)
    np.testing.assert_allclose(double[:6] + double[6:], single, atol=1e-6)
    many = rng.normal(size=(80, 5))  # fits perfectly in many ways
    order = rng.permutation(80)
    w = simplex_weights(many, np.zeros(5))
    np.testing.assert_allclose(simplex_weights(many[order], np.zeros(5)), w[order], atol=1e-9)
    assert np.abs(w @ many).max() < 1e-6


def test_smallest_norm_among_perfect_fits():
    """By hand: -1, 1, 3 around 0 is fitted by (3/4 - a/4 ...); the smallest norm solves two linear conditions."""
    points = np.array([[-1.0], [1.0], [3.0]])
    A = np.vstack([points[:, 0], np.ones(3)])
    by_hand = A.T @ np.linalg.solve(A @ A.T, [0.0, 1.0])
    assert by_hand.min() > 0
    np.testing.assert_allclose(simplex_weights(points, np.zeros(1)), by_hand, atol=1e-7)


@pytest.mark.parametrize("ridge", [0.0, 1e-13, 1e-11])
def test_a_ridge_too_small_to_be_seen_means_the_smallest_norm(ridge):
    """More weights than coordinates, as time weights of few donors: by linear algebra, whatever the order."""
    rng = np.random.default_rng(7)
    points = rng.normal(size=(40, 4))
    points -= 0.9 * points.mean(axis=0)
    A = np.vstack([points.T, np.ones(40)])
    smallest = A.T @ np.linalg.solve(A @ A.T, np.r_[np.zeros(4), 1.0])
    assert smallest.min() > 0
    np.testing.assert_allclose(simplex_weights(points, np.zeros(4), ridge=ridge), smallest, atol=1e-7)


def test_scales_and_levels():
    rng = np.random.default_rng(4)
    points, target = rng.normal(size=(12, 9)), rng.normal(size=9)
    w = simplex_weights(points, target)
    for factor in (1e-9, 1e9):
        np.testing.assert_allclose(simplex_weights(points * factor, target * factor), w, atol=1e-10)
    np.testing.assert_allclose(simplex_weights(points + 1e6, target + 1e6), w, atol=1e-6)
    assert simplex_weights(np.ones((4, 3)), np.ones(3)).tolist() == [0.25] * 4
    assert simplex_weights(points[:1], target).tolist() == [1.0]


@pytest.mark.parametrize("runs", [30, 300])
@pytest.mark.parametrize("ridge", [0.0, 2.0])
def test_many_runs_are_single_runs(ridge, runs):
    """Serial and parallel kernels give what one at a time gives."""
    rng = np.random.default_rng(5)
    pool = rng.normal(size=(15, 8))
    target = rng.integers(0, 15, (runs, 1))
    excluded = np.hstack([target, (target + 1) % 15])
    weights, gaps = np.empty((runs, 15)), np.empty(runs)
    placebo_unit_weights(pool, target, excluded, ridge, weights, gaps)
    times, after = np.empty((runs, 8)), rng.normal(size=15)
    placebo_time_weights(pool, after, excluded, ridge, times, gaps)
    for k in (0, runs - 1):
        kept = np.delete(np.arange(15), excluded[k])
        alone = simplex_weights(pool[kept], pool[target[k, 0]], ridge=ridge)
        np.testing.assert_allclose(weights[k, kept], alone, atol=1e-12)
        assert not weights[k, excluded[k]].any()
        alone = simplex_weights(pool[kept].T, after[kept], ridge=ridge, intercept=True)
        np.testing.assert_allclose(times[k], alone, atol=1e-12)


def test_unsolved_weights_are_refused():
    check_gaps(np.array([1e-12]))
    for bad in (1e-3, np.nan):
        with pytest.raises(CausalError, match="could not be solved to optimality"):
            check_gaps(np.array([0.0, bad]))


def test_1000_placebo_refits_of_200_donors_take_no_longer_than_a_few_qp_solves():
    """A ratio, not a time: scipy's general solver needs longer for five of them."""
    import time

    from scipy.optimize import minimize

    rng = np.random.default_rng(6)
    pool = rng.normal(size=(201, 4)) @ rng.normal(size=(4, 30)) * 2 + rng.normal(size=(201, 30))
    target = (np.arange(1_000) % 201)[:, None]
    weights, gaps = np.empty((1_000, 201)), np.empty(1_000)
    placebo_unit_weights(pool, target, target, 0.0, weights, gaps)  # compiled
    start = time.perf_counter()
    placebo_unit_weights(pool, target, target, 0.0, weights, gaps)
    ours = time.perf_counter() - start
    assert gaps.max() < 1e-10

    def solve(k):
        kept = np.delete(np.arange(201), k)
        P = pool[kept] - pool[k]
        sums = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda _: np.ones(200)}
        start = np.full(200, 1 / 200)
        return minimize(
            lambda w: (w @ P) @ (w @ P), start, jac=lambda w: 2 * P @ (w @ P), bounds=[(0, 1)] * 200,
            constraints=[sums], method="SLSQP", options={"maxiter": 500, "ftol": 1e-12},
        )  # fmt: skip

    start = time.perf_counter()
    found = [solve(k) for k in range(5)]
    peer = time.perf_counter() - start
    assert ours < peer
    best = [np.square(weights[k] @ pool - pool[k]).sum() for k in range(5)]
    assert all(b <= f.fun * (1 + 1e-9) + 1e-9 for b, f in zip(best, found, strict=True))
