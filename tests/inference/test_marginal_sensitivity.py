"""Extreme weighted means, beside every choice of weights and beside a linear programme."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

from pandas_causal.inference.marginal_sensitivity import WeightedArm, quantile_regression


def arm(m, base, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=m)
    y = x + (1 + 0.3 * x**2) * rng.normal(size=m)
    return WeightedArm(y, base, np.exp(-0.5 * x), rng.uniform(0.5, 2, m), np.column_stack([np.ones(m), x]))


@pytest.mark.parametrize("base", [0.0, 1.0])
@pytest.mark.parametrize("factor", [1.0, 1.7, 4.0])
def test_extreme_is_the_largest_of_all_weights(base, factor):
    one = arm(9, base)
    tried = []
    for q in product([1 / factor, factor], repeat=9):
        weight = one.w * (base + one.odds * np.array(q))
        tried.append(weight @ one.y / weight.sum())
    assert one.extreme(factor)[0] == pytest.approx(max(tried), rel=1e-12)
    assert -one.negative().extreme(factor)[0] == pytest.approx(min(tried), rel=1e-12)


@pytest.mark.parametrize("base", [0.0, 1.0])
@pytest.mark.parametrize("factor", [1.3, 3.0])
def test_sharp_is_the_largest_of_weights_that_balance(base, factor):
    one = arm(300, base, seed=1)
    u = one.w * one.odds
    found = linprog(
        -u * one.y, A_eq=(u[:, None] * one.Z).T, b_eq=u @ one.Z, bounds=(1 / factor, factor), method="highs"
    )
    largest = (base * one.w @ one.y - found.fun) / (one.w * (base + one.odds)).sum()
    assert one.sharp(factor)[0] == pytest.approx(largest, rel=2e-3)
    assert one.sharp(factor)[0] >= largest - 1e-9  # any line is a bound
    assert one.sharp(factor)[0] < one.extreme(factor)[0]


def test_without_confounding_both_are_the_weighted_mean():
    one = arm(50, 1.0)
    plain = np.average(one.y, weights=one.w * (1 + one.odds))
    assert one.sharp(1.0)[0] == pytest.approx(plain)
    assert one.extreme(1.0)[0] == pytest.approx(plain)


@pytest.mark.parametrize("kind", ["sharp", "extreme"])
def test_slopes_in_the_odds_are_those_of_differences(kind):
    one = arm(400, 1.0, seed=2)
    _, by_row, slope = getattr(one, kind)(2.0)
    assert by_row.sum() == pytest.approx(0, abs=1e-9)
    for i in (3, 77, 200):
        ends = []
        for step in (1e-4, -1e-4):
            odds = one.odds.copy()
            odds[i] += step
            ends.append(getattr(WeightedArm(one.y, 1.0, odds, one.w, one.Z), kind)(2.0)[0])
        assert (ends[0] - ends[1]) / 2e-4 == pytest.approx(slope[i], abs=2e-4)


@pytest.mark.parametrize("tau", [0.2, 0.5, 0.9])
def test_quantile_regression_has_the_least_loss(tau):
    sklearn = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(3)
    Z = np.column_stack([np.ones(500), rng.normal(size=(500, 2))])
    y, w = Z.sum(axis=1) + rng.exponential(size=500), rng.uniform(0.2, 2, 500)

    def loss(b):
        u = y - Z @ b
        return w @ np.where(u > 0, tau * u, (tau - 1) * u)

    theirs = sklearn.QuantileRegressor(quantile=tau, alpha=0.0).fit(Z[:, 1:], y, sample_weight=w)
    least = loss(np.r_[theirs.intercept_, theirs.coef_])
    assert loss(quantile_regression(Z, y, w, tau)) <= least * (1 + 1e-3)


def test_an_outcome_without_spread_is_no_trouble():
    Z = np.ones((10, 1))
    assert quantile_regression(Z, np.full(10, 2.0), np.ones(10), 0.8) == pytest.approx([2.0])
