"""Known truth of what a confounder of known strength does."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import AIPW
from pandas_causal.robustness.confounding import short_estimates
from tests.statistical.draws import FULL, refit

pytestmark = pytest.mark.slow
FAST = AIPW(outcome_model="linear", propensity_model="linear", cv=2)
DRAWS = 400 if FULL else 150


def draw(rng, n=500):
    x, u = rng.normal(size=(2, n))
    d = (0.6 * x + 0.5 * u + rng.logistic(size=n) > 0).astype(int)
    return pd.DataFrame({"x": x}), d, 1.0 * d + x + 0.8 * u + rng.normal(size=n), u


def test_error_of_a_bound_is_what_it_varies_by():
    """Of estimate and size of the bias together: the sign of their covariance counts."""
    rng, rows = np.random.default_rng(3), []
    for _ in range(DRAWS):
        n = 300
        x = rng.normal(size=n)
        d = (rng.uniform(size=n) < 1 / (1 + np.exp(-0.6 * x))).astype(int)
        y = 0.5 * d + np.exp(0.8 * x) * (1 + d) + (0.3 + 1.5 * d) * rng.exponential(size=n)  # skewed: they covary
        effect = refit(FAST, pd.DataFrame({"x": x}), y, treatment=d)
        (one,) = short_estimates(effect, 0.0).values()
        rows.append((one.estimate, one.size, one.std_error, np.sqrt(one.size_variance), one.covariance))
    estimate, size, error, size_error, covariance = np.array(rows).T
    spread = np.cov(estimate, size)
    assert np.median(error) == pytest.approx(np.sqrt(spread[0, 0]), rel=0.25)
    assert np.median(covariance) * spread[0, 1] > 0
    assert np.corrcoef(estimate, size)[0, 1] == pytest.approx(
        np.median(covariance / (error * size_error)), abs=3.5 / np.sqrt(DRAWS)
    )


def test_bounds_hold_the_truth_with_the_confounders_own_strength():
    """Coverage of at least 95% where the confounder's gains are those of an effect fitted with it, in many rows."""
    rng, covered, naive = np.random.default_rng(5), [], []
    X, d, y, u = draw(rng, 100_000)
    long, short = (refit(FAST, Z, y, treatment=d) for Z in (X.assign(u=u), X))
    marks = long.sensitivity(benchmarks={"u": short}, times=[1]).benchmarks.iloc[0]
    own = marks["observed_r2_treatment"], marks["observed_r2_outcome"]
    for _ in range(DRAWS):
        X, d, y, _ = draw(rng)
        short = refit(FAST, X, y, treatment=d)
        found = short.sensitivity().bounds(*own).iloc[0]
        covered.append(found["conf_low"] <= 1.0 <= found["conf_high"])
        naive.append(short.conf_low <= 1.0 <= short.conf_high)
    assert np.mean(covered) >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / DRAWS)
    assert np.mean(naive) < 0.6
