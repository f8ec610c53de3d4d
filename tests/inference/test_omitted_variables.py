"""The algebra of a confounder, on numbers worked by hand and by least squares with the confounder in it."""

import numpy as np
import pytest

from pandas_causal.inference.omitted_variables import (
    ConfounderStrength,
    LinearCoefficient,
    RieszTerms,
    benchmark_strength,
    group_partial_r2,
    partially_linear_estimate,
    robustness_from_ratio,
    short_estimate,
)


def least_squares(y, *columns):
    """Coefficients, classical errors, residual sum of squares and df of y on an intercept and columns."""
    X = np.column_stack([np.ones(len(y)), *columns])
    inverse = np.linalg.inv(X.T @ X)
    b = inverse @ X.T @ y
    rss, df = float(np.square(y - X @ b).sum()), len(y) - X.shape[1]
    return b, np.sqrt(np.diag(inverse) * rss / df), rss, df, inverse


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    n = 300
    x, z = rng.normal(size=(2, n))
    d = 0.5 * x + 0.7 * z + rng.normal(size=n)
    y = d + x - 2 * z + rng.normal(size=n)
    return x, z, d, y


def test_bias_is_that_of_leaving_the_confounder_out(world):
    """With the confounder's own partial R2 the bound is the regression that has it, to rounding."""
    x, z, d, y = world
    b, se, _, df, _ = least_squares(y, d, x)
    short = LinearCoefficient(b[1], se[1], df)
    long_b, long_se, rss, _, inverse = least_squares(y, d, x, z)
    strength = group_partial_r2(inverse, long_b, rss, np.array([3]), 1)
    found = short.bounds(strength)
    assert long_b[1] == pytest.approx(found.high, rel=1e-10)
    assert long_se[1] == pytest.approx(found.std_error_high, rel=1e-10)


def test_group_partial_r2_is_that_of_dropping_the_group(world):
    x, z, d, y = world
    b, _, rss, _, inverse = least_squares(y, d, x, z)
    found = group_partial_r2(inverse, b, rss, np.array([2, 3]), 1)
    assert found.r2_outcome == pytest.approx(1 - rss / least_squares(y, d)[2], rel=1e-10)
    without = float(np.square(d - d.mean()).sum())
    assert found.r2_treatment == pytest.approx(1 - least_squares(d, x, z)[2] / without, rel=1e-10)


@pytest.mark.parametrize("level", [None, 0.95])
@pytest.mark.parametrize("rho", [1.0, 0.6])
@pytest.mark.parametrize("t", [3.0, 8.0, 40.0])
def test_robustness_is_where_the_strongest_confounder_reaches_the_null(t, rho, level):
    """At the value, no confounder within it goes beyond the null, and one reaches it."""
    one = LinearCoefficient(t * 0.2, 0.2, 50)
    r = one.robustness(0.0, level, rho)
    shares = np.linspace(0, r, 2_001)
    ends = [
        b.low if level is None else b.interval(level)[0]
        for b in (one.bounds(ConfounderStrength(r, y), rho) for y in shares)
    ]
    assert min(ends) == pytest.approx(0, abs=1e-5)
    extreme = one.extreme_robustness(0.0, level, rho)
    ends = [
        b.low if level is None else b.interval(level)[0]
        for b in (one.bounds(ConfounderStrength(extreme, y), rho) for y in np.linspace(0, 1, 20_001))
    ]
    assert min(ends) == pytest.approx(0, abs=1e-4)


def test_insignificant_estimate_has_no_robustness_left():
    one = LinearCoefficient(0.1, 0.2, 50)
    assert one.robustness(0.0, 0.95) == 0.0
    assert one.robustness() == pytest.approx(robustness_from_ratio(0.5 / np.sqrt(50)))


def test_ratio_and_robustness_are_inverse():
    for r in (1e-6, 0.2, 0.9, 0.999):
        assert robustness_from_ratio(r / np.sqrt(1 - r)) == pytest.approx(r, rel=1e-9)
    assert robustness_from_ratio(-1.0) == 0.0


def test_benchmark_as_strong_as_a_covariate():
    """Cinelli and Hazlett (2020), appendix: worked by hand from partial R2 of 0.2 and 0.5."""
    crossed = 0.2**2 / (0.8 * 0.8)
    eta = (1 + np.sqrt(crossed)) / np.sqrt(1 - crossed)
    found = benchmark_strength(ConfounderStrength(0.2, 0.5), 1.0)
    assert found == pytest.approx((0.25, min(eta**2, 1.0)))
    assert np.isnan(benchmark_strength(ConfounderStrength(0.5, 0.1), 2.0).r2_treatment)
    assert benchmark_strength(ConfounderStrength(0.1, 0.1), 1.0, 4.0).r2_outcome > 0.4


def test_size_of_a_bias_by_hand():
    """Two rows an arm, propensity 1/2: residuals 1, alpha -+2; sigma 1, nu 2, S 2."""
    terms = RieszTerms(
        residual=np.array([1.0, -1, 1, -1]),
        arms=np.array([0, 0, 1, 1]),
        arm_of=np.array([0, 1]),
        density=np.full((4, 2), 2.0),
        membership=np.ones((4, 2)),
        weight=np.ones(4),
    )
    one = short_estimate(
        terms, np.array([-1.0, 1.0]), estimate=3.0, std_error=0.5, df=np.inf, contributions=np.array([0.25] * 4)
    )
    assert (one.outcome_variance, one.representer_variance, one.size) == (1.0, 4.0, 2.0)
    assert one.size_variance == pytest.approx(0)
    found = one.bounds(ConfounderStrength(0.5, 0.25))
    assert (found.low, found.high) == (2.0, 4.0)
    assert one.robustness() == pytest.approx(robustness_from_ratio(1.5))
    z = 1.959963984540054
    assert one.robustness(0.0, 0.95) == pytest.approx(robustness_from_ratio((3 - z * 0.5) / 2))
    assert one.extreme_robustness() == pytest.approx(1.5**2 / (1 + 1.5**2))


def test_partially_linear_estimate_is_least_squares_of_residuals():
    rng = np.random.default_rng(2)
    d, e = rng.normal(size=(2, 200))
    y = 0.7 * d + e * (1 + np.abs(d))
    one = partially_linear_estimate(y, d)
    theta = d @ y / (d @ d)
    assert one.estimate == pytest.approx(theta)
    assert one.std_error == pytest.approx(np.sqrt(np.square(d * (y - theta * d)).sum()) / (d @ d))
    assert one.size**2 == pytest.approx(np.mean(np.square(y - theta * d)) / np.mean(d * d))
    weighted = partially_linear_estimate(y, d, np.full(200, 3.0))
    assert weighted.size == pytest.approx(one.size)
    twice = partially_linear_estimate(np.tile(y, 2), np.tile(d, 2), clustering=[np.tile(np.arange(200), 2)])
    assert twice.covariance == pytest.approx(one.covariance * 200 / 199 * 399 / 399, rel=1e-2)
