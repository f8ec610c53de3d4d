"""Synthetic comparisons as matrices: numbers by hand and by brute force."""

import numpy as np
import pytest

from pandas_causal.synthetic_control.augmented import AugmentedControl, choose_ridge, ridge_step
from pandas_causal.synthetic_control.comparison import (
    Block,
    DoubleDifference,
    Layout,
    SimplexControl,
    backdated,
    draw_placebos,
    jackknife,
    layout_of,
    noise_level,
    rmspe,
)
from pandas_causal.synthetic_control.conformal import Proxy, block_statistics, conformal_p_value
from pandas_causal.synthetic_control.matrix_completion import (
    CompletionMethod,
    choose_penalty,
    complete,
    largest_penalty,
    untreated_cells,
)
from pandas_causal.synthetic_control.predictor_weights import (
    Predictor,
    PredictorControl,
    predictor_values,
    search_predictor_weights,
    weights_given,
)
from pandas_causal.synthetic_control.simplex import kkt_residual, simplex_weights


def panel(n=12, n_periods=10, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n, 1))
        + rng.normal(size=(n, 2)) @ rng.normal(size=(2, n_periods))
        + 0.3 * rng.normal(size=(n, n_periods))
    )


def blocks_of(*pairs):
    return [Block(start, np.array(rows)) for start, rows in pairs]


# Double differences


def test_plain_difference_in_differences_by_hand():
    Y = np.array([[1.0, 2.0, 3.0, 4.0], [3.0, 2.0, 5.0, 8.0], [0.0, 2.0, 9.0, 11.0]])
    method = DoubleDifference(Y[:2], optimal_units=False, optimal_times=False)
    run = method.actual(Y, blocks_of((2, [2])), np.array([0, 1]))[0]
    # treated minus donors: -2, 0, 5, 5; baseline -1
    np.testing.assert_allclose(run.gaps[0], [-1, 1, 6, 6])
    np.testing.assert_allclose(run.weights[0], [0.5, 0.5, 0])


def test_weights_of_synthetic_did_solve_the_paper_s_problems():
    Y, start = panel(), 7
    donors, treated = np.arange(10), np.array([10, 11])
    method = DoubleDifference(Y[donors])
    run = method.actual(Y, blocks_of((start, treated)), donors)[0]
    zeta = (2 * 3) ** 0.25 * noise_level(Y[donors, :start])
    steps = np.diff(Y[donors, :start], axis=1)
    assert noise_level(Y[donors, :start]) == pytest.approx(np.sqrt(np.square(steps - steps.mean()).sum() / (60 - 1)))
    w, target = run.weights[0, donors], Y[treated, :start].mean(axis=0)
    assert kkt_residual(Y[donors, :start], target, w, ridge=zeta**2 * start, intercept=True) < 1e-10
    times, after = run.time_weights[0], Y[donors, start:].mean(axis=1)
    assert kkt_residual(Y[donors, :start].T, after, times, intercept=True) < 1e-10
    gap = Y[treated].mean(axis=0) - w @ Y[donors]
    np.testing.assert_allclose(run.gaps[0], gap - times @ gap[:start])


def test_layout_by_hand():
    """Two units from period 1, one from period 2, of four periods."""
    layout = Layout((1, 2), (2, 1), 4)
    assert layout.counts.tolist() == [3, 3, 2]
    rows = layout.combine([np.array([0.0, 1, 2, 3]), np.array([0.0, 0, 10, 20])])
    np.testing.assert_allclose(rows, [(2 * 1 + 10) / 3, (2 * 2 + 20) / 3, 3])
    after, before = layout.rmspe_ratio([np.array([3.0, 1, 1, 1]), np.array([0.0, 4, 2, 2])], demeaned=False)
    assert after == pytest.approx(np.sqrt(2 / 3 * 1 + 1 / 3 * 4))
    assert before == pytest.approx(np.sqrt(2 / 3 * 9 + 1 / 3 * 8))
    assert rmspe(np.array([1.0, 3.0]), demeaned=True) == 1


def test_placebos_are_runs_among_donors():
    Y = panel()
    blocks, donors = blocks_of((5, [10]), (7, [11])), np.arange(10)
    drawn = np.array([[3, 8], [0, 1]])
    method = SimplexControl()
    gaps = method.placebos(Y[donors], blocks, drawn)
    for k, (first, second) in enumerate(drawn):
        others = np.setdiff1d(donors, [first, second])
        for b, (start, row) in enumerate([(5, first), (7, second)]):
            w = simplex_weights(Y[others, :start], Y[row, :start])
            np.testing.assert_allclose(gaps[b][k], Y[row] - w @ Y[others], atol=1e-9)


def test_draws_of_placebos():
    rng = np.random.default_rng(0)
    assert draw_placebos(4, 1, 500, rng).ravel().tolist() == [0, 1, 2, 3]
    drawn = draw_placebos(6, 3, 40, rng)
    assert drawn.shape == (40, 3)
    assert all(len(set(row)) == 3 for row in drawn.tolist())


def test_jackknife_by_brute_force():
    """Algorithm 3: every unit out, weights rescaled, the double difference computed anew."""
    Y = panel(seed=2)
    blocks, donors = blocks_of((5, [8, 9]), (7, [10, 11])), np.arange(8)
    method = DoubleDifference(Y[donors])
    runs, layout = method.actual(Y, blocks, donors), layout_of(blocks, 10)
    total, counts = jackknife(Y, blocks, donors, runs, layout)
    out = total / counts
    assert out.shape == (12, 5)
    for i in range(12):
        gaps, sizes = [], []
        for block, run in zip(blocks, runs, strict=True):
            w = np.where(np.arange(12) == i, 0, run.weights[0])
            rows = block.rows[block.rows != i]
            gap = Y[rows].mean(axis=0) - w @ Y / w.sum()
            gaps.append(gap - run.time_weights[0] @ gap[: block.start])
            sizes.append(len(rows))
        expected = Layout((5, 7), tuple(sizes), 10).combine(gaps)
        np.testing.assert_allclose(out[i], expected, atol=1e-12)


def test_in_time_placebo_uses_periods_before_treatment_only():
    Y = panel()
    changed = Y.copy()
    changed[:, 7:] += 100 * np.arange(12)[:, None]
    blocks, donors = blocks_of((7, [11])), np.arange(11)
    method = SimplexControl()
    effects, gaps = backdated(method, Y, blocks, donors, 2)
    again, _ = backdated(method, changed, blocks, donors, 2)
    np.testing.assert_allclose(effects, again)
    w = simplex_weights(Y[donors, :5], Y[11, :5])
    np.testing.assert_allclose(effects, (Y[11] - w @ Y[donors])[5:7])
    assert len(gaps[0]) == 7


# The ridge


def test_ridge_step_by_normal_equations():
    rng = np.random.default_rng(0)
    X, m = rng.normal(size=(9, 4)), rng.normal(size=4)
    expected = m @ np.linalg.inv(X.T @ X + 2.5 * np.eye(4)) @ X.T
    np.testing.assert_allclose(ridge_step(X, m, 2.5), expected)


def test_augmented_weights_sum_to_one_and_close_the_gap_as_the_ridge_vanishes():
    Y = panel(20, 10)
    blocks, donors = blocks_of((6, [19])), np.arange(19)
    runs = [AugmentedControl(r).actual(Y, blocks, donors)[0] for r in (1e-9, 1.0, 1e12)]
    for run in runs:
        assert run.weights[0].sum() == pytest.approx(1)
    assert rmspe(runs[0].gaps[0, :6], False) < 1e-8
    plain = SimplexControl().actual(Y, blocks, donors)[0]
    np.testing.assert_allclose(runs[2].gaps, plain.gaps, atol=1e-8)


def test_choice_of_the_ridge_by_brute_force():
    Y = panel(12, 7)
    before, target = Y[:11], Y[11]
    ridge, grid, errors = choose_ridge(before, target)
    t, j = 3, 9
    rest = np.delete(np.arange(7), t)
    mean = before.mean(axis=0)
    X, y = before - mean, target - mean
    w = simplex_weights(X[:, rest], y[rest])
    w = w + ridge_step(X[:, rest], y[rest] - w @ X[:, rest], grid[j])
    assert errors[t, j] == pytest.approx((y[t] - w @ X[:, t]) ** 2)
    means = errors.mean(axis=0)
    bound = means.min() + errors[:, means.argmin()].std(ddof=1) / np.sqrt(7)
    assert means[grid == ridge] <= bound
    assert (means[grid > ridge] > bound).all()


# Predictors


def test_predictor_values_by_hand():
    C = np.array([[[1.0], [np.nan], [3.0]], [[5.0], [7.0], [100.0]]])
    Y = np.array([[1.0, 2.0, 9.0], [3.0, 5.0, 9.0]])
    predictors = (Predictor("x", 0), Predictor("y lag", -1, (1,)), Predictor("late", 0, (2,)))
    used, Z = predictor_values(predictors, C, Y, 2)
    assert [p.name for p in used] == ["x", "y lag"]
    np.testing.assert_allclose(Z, [[1, 2], [6, 5]])


def test_one_predictor_and_given_weights():
    rng = np.random.default_rng(0)
    D, paths = rng.normal(size=(15, 3)) + 1, rng.normal(size=(15, 8))
    v, w, loss = search_predictor_weights(D[:, :1], paths)
    assert v.tolist() == [1.0]
    assert loss == pytest.approx(np.square(w @ paths).mean())
    given, _ = weights_given(D, paths, np.array([0.5, 0.3, 0.2]))
    np.testing.assert_allclose(given, simplex_weights(D * np.sqrt([0.5, 0.3, 0.2]), np.zeros(3)), atol=1e-8)


def test_outer_search_finds_the_predictor_that_matters():
    """The outcome follows the first predictor; the second is noise that would mislead equal weights."""
    rng = np.random.default_rng(1)
    Z = rng.normal(size=(30, 2)) * [1, 3]
    Z[-1] = [0.4, 9.0]
    Y = 10 + Z[:, :1] * np.linspace(1, 3, 9) + 0.02 * rng.normal(size=(30, 9))
    covariates = np.repeat(Z[:, None, :], 9, axis=1)
    predictors = (Predictor("a", 0), Predictor("b", 1))
    blocks, donors = blocks_of((6, [29])), np.arange(29)
    searched = PredictorControl(predictors, covariates).actual(Y, blocks, donors)[0]
    equal = PredictorControl(predictors, covariates, "equal").actual(Y, blocks, donors)[0]
    assert searched.tuning[0, 0] > 0.9
    assert rmspe(searched.gaps[0, :6], False) < rmspe(equal.gaps[0, :6], False) / 3
    again = PredictorControl(predictors, covariates).actual(Y, blocks, donors)[0]
    np.testing.assert_array_equal(searched.weights, again.weights)


# Matrix completion


def test_largest_penalty_leaves_effects_alone():
    """Above it L is zero, below it is not; then the answer is the plain double difference."""
    Y = panel(10, 8)
    blocks, donors = blocks_of((5, [9])), np.arange(9)
    seen = untreated_cells(Y, blocks)
    top = largest_penalty(Y, seen)
    assert complete(Y, seen, top * 1.0001).rank == 0
    assert complete(Y, seen, top * 0.99).rank == 1
    run = CompletionMethod(top * 1.01).actual(Y, blocks, donors)[0]
    plain = DoubleDifference(Y[:9], optimal_units=False, optimal_times=False).actual(Y, blocks, donors)[0]
    np.testing.assert_allclose(run.gaps[0, 5:].mean(), plain.gaps[0, 5:].mean(), atol=1e-7)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_completion_is_optimal(share):
    """No small change of L or the effects lowers the objective (convex, so that is all)."""
    rng = np.random.default_rng(0)
    Y = panel(14, 9)
    seen = untreated_cells(Y, blocks_of((6, [12, 13])))
    seen[0, 0] = False
    penalty = share * largest_penalty(Y, seen)
    found = complete(Y, seen, penalty)

    def objective(low, effects):
        residual = (Y - low - effects)[seen]
        return np.square(residual).mean() + penalty * np.linalg.norm(low, "nuc")

    effects = found.fitted - found.low_rank
    best = objective(found.low_rank, effects)
    u, _, vt = np.linalg.svd(found.low_rank)
    changes = [rng.normal(size=Y.shape) for _ in range(50)] + [np.outer(u[:, i], vt[i]) for i in range(5)]
    for change in changes:
        for size in (1e-3, -1e-3, 1e-2):
            assert objective(found.low_rank + size * change, effects) >= best - 1e-9
    for _ in range(50):
        step = 1e-3 * (rng.normal(size=(14, 1)) + rng.normal(size=(1, 9)))
        assert objective(found.low_rank, effects + step) >= best - 1e-9
    assert found.violation <= 1e-8


def test_completion_finds_a_low_rank_matrix():
    rng = np.random.default_rng(1)
    truth = (
        rng.normal(size=(40, 1)) @ rng.normal(size=(1, 30)) * 2 + rng.normal(size=(40, 1)) + rng.normal(size=(1, 30))
    )
    Y = truth + 0.1 * rng.normal(size=truth.shape)
    seen = untreated_cells(Y, blocks_of((20, [36, 37, 38, 39])))
    penalty, penalties, errors = choose_penalty(Y, seen, np.random.default_rng(0), 5, 12)
    fitted = complete(Y, seen, penalty).fitted
    assert np.sqrt(np.square((fitted - truth)[~seen]).mean()) < 0.15
    assert errors.shape == (5, 12)
    assert penalty in penalties


# Conformal


def test_block_statistics_by_hand():
    residuals = np.array([1.0, -2.0, 3.0, -4.0, 5.0])
    # the last two, then shifts: every pair of neighbours in the circle once
    found = block_statistics(residuals, 2)
    assert found[0] == 4.5
    assert sorted(found.tolist()) == [1.5, 2.5, 3.0, 3.5, 4.5]
    assert conformal_p_value(residuals, 2) == 0.2
    assert conformal_p_value(np.ones(5), 2) == 1


def test_proxies_by_hand():
    Y = panel(9, 12)
    treated, donors = Y[0], Y[1:]
    w = simplex_weights(donors, treated)
    np.testing.assert_allclose(Proxy("simplex").residuals(treated, donors), treated - w @ donors, atol=1e-8)
    gap = treated - donors.mean(axis=0)
    np.testing.assert_allclose(Proxy("difference").residuals(treated, donors), gap - gap.mean())
    near = Proxy("ridge", 1e9).residuals(treated, donors)
    np.testing.assert_allclose(near, treated - w @ donors, atol=1e-6)


def test_a_fold_without_a_cell_to_leave_out_is_passed_over():
    """The only cells of their rows are given back to training; means of no cell were NaN, and argmin took them."""
    rng = np.random.default_rng(4)
    Y = rng.normal(size=(3, 2))
    seen = np.array([[True, False], [True, True], [True, True]])
    penalty, penalties, errors = choose_penalty(Y, seen, rng, 5, 4)
    assert np.isfinite(errors).all()
    assert penalty in penalties
