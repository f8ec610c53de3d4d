"""Coverage of regression coefficients and of one model for all arms, where the truth is known."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import RegressionAdjustment
from tests.statistical.draws import DRAWS, coverage, refit, slack

PLAIN = RegressionAdjustment(interactions=False)


def share(x):
    return 1 / (1 + np.exp(-0.8 * x))


def check(name, result, least=None):
    bias, error, covered = result
    print(f"{name}: bias {bias:+.4f} ({error:.4f}), coverage {covered:.3f}")
    assert abs(bias) < 3.5 * error + 1e-3
    assert abs(covered - 0.95) < (slack(DRAWS) if least is None else least)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "least"), [(60, 0.05), (400, None)])
def test_the_coefficient_covers_a_constant_effect(n, least):
    """Errors three times as wide under treatment, which is rare: HC2, whose n - p degrees of freedom are many at 60."""

    def make(rng):
        x = rng.normal(size=n)
        d = (rng.random(n) < 0.15 + 0.3 * (x > 0)).astype(int)
        y = 1 + x + 0.5 * d + rng.normal(size=n) * (1 + 2 * d)
        return refit(PLAIN, pd.DataFrame({"x": x}), y, treatment=d)

    check(f"constant, n = {n}", coverage(make, DRAWS, 0.5), least)


@pytest.mark.slow
def test_the_coefficient_covers_the_variance_weighted_average_and_not_the_ate():
    """Strata of shares .5 and .1 with effects 0 and 2: Angrist's average is 2 * .09 / (.25 + .09), the ATE 1."""
    truth = 2 * 0.09 / (0.25 + 0.09)

    def make(rng):
        x = rng.integers(2, size=1_000)
        d = (rng.random(1_000) < np.where(x == 1, 0.1, 0.5)).astype(int)
        y = x + 2.0 * d * x + rng.normal(size=1_000)
        return refit(PLAIN, pd.DataFrame({"x": x}), y, treatment=d)

    check("variance-weighted", coverage(make, DRAWS, truth))
    assert coverage(make, 50, 1.0)[2] < 0.6


@pytest.mark.slow
def test_the_coefficient_covers_with_clusters_and_their_effects():
    """40 villages with effects of their own and a dummy each; errors of rows shared in half-villages: CR2."""

    def make(rng):
        village = np.repeat(np.arange(40), 10)
        half = village * 2 + np.tile([0, 1], 200)
        x = rng.normal(size=400)
        d = (rng.random(80) < 0.5).astype(int)[half]
        y = rng.normal(size=40)[village] + x + 0.5 * d + 0.7 * rng.normal(size=80)[half] + rng.normal(size=400)
        frame = pd.DataFrame({"x": x, "village": pd.Categorical(village), "half": half})
        return refit(PLAIN, frame, y, treatment=d, cluster="half")

    check("CR2 with village effects", coverage(make, DRAWS, 0.5))


@pytest.mark.slow
def test_the_coefficient_covers_with_sampling_weights():
    def make(rng):
        x = rng.normal(size=300)
        d = (rng.random(300) < share(x)).astype(int)
        w = np.exp(0.5 * rng.normal(size=300))
        y = x + 0.5 * d + rng.normal(size=300) * (1 + 0.5 * np.abs(x))
        return refit(PLAIN, pd.DataFrame({"x": x}), y, treatment=d, sample_weight=w)

    check("weights", coverage(make, DRAWS, 0.5))


@pytest.mark.slow
@pytest.mark.parametrize(("estimand", "truth"), [("ATE", 0.5), ("ATT", None)])
def test_one_model_of_all_arms_covers_the_estimand(estimand, truth):
    """Effects .5 + x; of the treated the mean of x is E[x e(x)] / E[e(x)]."""
    if truth is None:
        grid = np.random.default_rng(99).normal(size=2_000_000)
        truth = 0.5 + np.average(grid, weights=share(grid))
    estimator = RegressionAdjustment(estimand=estimand, interactions=["x"])

    def make(rng):
        X = pd.DataFrame(rng.normal(size=(300, 2)), columns=["x", "z"])
        d = (rng.random(300) < share(X["x"])).astype(int).to_numpy()
        y = X["x"] - X["z"] + d * (0.5 + X["x"]) + rng.normal(size=300)
        return refit(estimator, X, y, treatment=d)

    check(f"g-formula, {estimand}", coverage(make, DRAWS, truth))


@pytest.mark.slow
def test_one_logistic_model_of_all_arms_covers_the_difference_in_shares():
    grid = np.random.default_rng(99).normal(size=2_000_000)
    truth = float((1 / (1 + np.exp(-(0.2 + grid))) - 1 / (1 + np.exp(-(grid - 0.6)))).mean())
    estimator = RegressionAdjustment(outcome_model="logistic", interactions=False)

    def make(rng):
        x = rng.normal(size=400)
        d = (rng.random(400) < share(x)).astype(int)
        y = (rng.random(400) < 1 / (1 + np.exp(-(x - 0.6 + 0.8 * d)))).astype(int)
        return refit(estimator, pd.DataFrame({"x": x}), y, treatment=d)

    check("logistic g-formula", coverage(make, DRAWS, truth))
