"""Power, sample size and sample-ratio mismatch against statsmodels and scipy."""

import numpy as np
import pytest
import scipy
from scipy import stats
from statsmodels.stats.power import TTestIndPower

from pandas_causal.errors import CausalArgumentError
from pandas_causal.experiments.planning import minimum_detectable_effect, power, sample_ratio, sample_size

NAMES = {"two-sided": "two-sided", "greater": "larger", "less": "smaller"}


@pytest.mark.skipif(
    tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 13),
    reason="statsmodels' power reads scipy's special.nctdtr, which scipy 1.12 gets wrong in the tails",
)
@pytest.mark.parametrize("alternative", NAMES)
@pytest.mark.parametrize("effect", [0.2, -0.3, 0.5])
@pytest.mark.parametrize(("n", "share"), [(60, 0.5), (200, 0.25), (900, 0.8)])
def test_power_equals_statsmodels(alternative, effect, n, share):
    n1, n0 = share * n, (1 - share) * n
    theirs = TTestIndPower().power(effect, n1, 0.05, ratio=n0 / n1, alternative=NAMES[alternative])
    assert power(effect * 3, 3.0, n, share=share, alternative=alternative) == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("target", [0.8, 0.9])
@pytest.mark.parametrize("effect", [0.1, 0.4, 1.0])
def test_sample_size_equals_statsmodels_and_is_the_smallest(effect, target):
    n = sample_size(effect, 1.0, target=target)
    theirs = 2 * TTestIndPower().solve_power(effect, power=target, alpha=0.05)
    assert n == int(np.ceil(theirs - 1e-6))
    assert power(effect, 1.0, n) >= target > power(effect, 1.0, n - 1)


@pytest.mark.parametrize("alternative", NAMES)
@pytest.mark.parametrize(("n", "share"), [(12, 0.5), (200, 0.25), (9_000, 0.8)])
def test_minimum_detectable_effect_reaches_the_power_and_equals_statsmodels(alternative, n, share):
    mde = minimum_detectable_effect(n, 3.0, share=share, alternative=alternative, target=0.9)
    assert power(mde, 3.0, n, share=share, alternative=alternative) == pytest.approx(0.9, rel=1e-9)
    assert (mde < 0) == (alternative == "less")
    if n == 9_000 and alternative != "greater":
        return  # statsmodels' solver meets a NaN of scipy's far tail
    theirs = TTestIndPower().solve_power(
        None, nobs1=share * n, alpha=0.05, power=0.9, ratio=(1 - share) / share, alternative=NAMES[alternative]
    )
    assert mde == pytest.approx(3 * theirs, rel=1e-4)


def test_minimum_detectable_effect_knows_covariates_and_clusters():
    plain = minimum_detectable_effect(4_000, 2.0)
    assert minimum_detectable_effect(4_000, 2.0, r_squared=0.75) == pytest.approx(plain / 2, rel=1e-3)
    wide = minimum_detectable_effect(4_000, 2.0, cluster_size=20, icc=0.05)
    assert power(wide, 2.0, 4_000, cluster_size=20, icc=0.05) == pytest.approx(0.8)
    assert sample_size(plain, 2.0) in (4_000, 4_001)  # rounding
    for wrong in ({"target": 0.05}, {"target": "much"}, {"n": 2}, {"std": 0}, {"alternative": "up"}, {"share": 1}):
        with pytest.raises(CausalArgumentError):
            minimum_detectable_effect(**{"n": 100, "std": 1.0, **wrong})


def test_covariates_and_clusters_change_the_variance():
    assert power(0.3, 1.0, 200, r_squared=0.4) == pytest.approx(power(0.3 / np.sqrt(0.6), 1.0, 200))
    clustered = power(0.3, 1.0, 400, cluster_size=20, icc=0.05)
    ncp = 0.3 * np.sqrt(400 / 4 / (1 + 19 * 0.05))
    critical = stats.t.ppf(0.975, 18)
    assert clustered == pytest.approx(stats.nct.sf(critical, 18, ncp) + stats.nct.cdf(-critical, 18, ncp))
    assert sample_size(0.3, 1.0, cluster_size=20, icc=0.05) > 1.9 * sample_size(0.3, 1.0)


@pytest.mark.parametrize("effect", [0.3, 0.35, 0.45, 0.6, 1.1, -0.3, -0.6])
@pytest.mark.parametrize("n", [6, 40, 4_000])
def test_power_far_from_zero_is_a_number(effect, n):
    """scipy's lower tail of the noncentral t is NaN where it is next to nothing."""
    for scale in (1, 10, 100):
        assert 0 < power(effect * scale, 1.0, n) <= 1
    assert power(0.3, 1.0, 4_000) == pytest.approx(1)


def test_power_is_what_simulated_experiments_reach():
    rng = np.random.default_rng(0)
    draws, n1, n0 = 4_000, 30, 70
    a, b = rng.normal(0.6, 1, (draws, n1)), rng.normal(0, 1, (draws, n0))
    rejected = (stats.ttest_ind(a, b, axis=1).pvalue < 0.05).mean()
    expected = power(0.6, 1.0, 100, share=0.3)
    assert rejected == pytest.approx(expected, abs=3.5 * np.sqrt(expected * (1 - expected) / draws))


@pytest.mark.parametrize(
    "wrong",
    [
        {"std": 0.0},
        {"effect": np.inf},
        {"share": 1.0},
        {"alpha": 0.0},
        {"alternative": "both"},
        {"r_squared": 1.0},
        {"cluster_size": 0.5},
        {"icc": 2.0},
    ],
)
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(CausalArgumentError):
        power(**{"effect": 0.5, "std": 1.0, "n": 100, **wrong})
    with pytest.raises(CausalArgumentError):
        sample_size(**{"effect": 0.5, "std": 1.0, **wrong})


def test_samples_that_no_size_makes_large_enough_are_refused():
    for wrong in ({"effect": 0.0}, {"effect": -1.0, "alternative": "greater"}, {"effect": 1e-12}, {"target": 0.01}):
        with pytest.raises(CausalArgumentError):
            sample_size(**{"effect": 0.5, "std": 1.0, **wrong})
    with pytest.raises(CausalArgumentError, match="at least 4"):
        power(0.5, 1.0, 3)


@pytest.mark.parametrize("allocation", [[1, 2, 1], {"a": 0.25, "b": 0.5, "c": 0.25}])
def test_sample_ratio_equals_scipy(allocation):
    check = sample_ratio(np.array([260, 480, 230]), ["a", "b", "c"], allocation)
    theirs = stats.chisquare([260, 480, 230], np.array([0.25, 0.5, 0.25]) * 970)
    assert check.passed
    assert f"{theirs.statistic:.2f}, p {theirs.pvalue:.3g}" in check.summary
    np.testing.assert_allclose(check.table["expected"], [242.5, 485, 242.5])


def test_sample_ratio_fails_below_a_thousandth():
    n = 100_000
    shift = stats.norm.isf(0.0005) * np.sqrt(n) / 2
    for factor, passed in ((0.98, True), (1.02, False)):
        counts = np.array([n / 2 - factor * shift, n / 2 + factor * shift]).round().astype(int)
        assert sample_ratio(counts, [0, 1], [1, 1]).passed == passed


def test_wrong_allocations_are_refused():
    for wrong in ({0: 0.5, 2: 0.5}, [0.5, 0.25, 0.25], [1.0, 0.0]):
        with pytest.raises(CausalArgumentError, match="allocation"):
            sample_ratio(np.array([10, 10]), [0, 1], wrong)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_power_of_any_number_of_rows(alternative):
    """Where Student's law is the normal one, and on both sides of where we take it for that."""
    effect = -1e-4 if alternative == "less" else 1e-4
    below, above = (power(effect, 1.0, n, alternative=alternative) for n in (0.999e9, 1.001e9))
    assert above == pytest.approx(below, rel=2e-3)
    assert above > below
    assert power(effect, 1.0, 1e30, alternative=alternative) == 1
