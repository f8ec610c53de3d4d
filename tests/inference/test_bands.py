import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pandas_causal.errors import CausalDataError, CausalError
from pandas_causal.inference.bands import joint_test, simultaneous_critical
from pandas_causal.inference.draws_and_variance import Draws, Variance
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.rows import RowIdentity
from tests.effect.examples import columns_effect

RNG = np.random.default_rng(5)


def identity(k, df=np.inf):
    return Influence.from_contributions(
        np.zeros(k), np.zeros((2, k)), RowIdentity(pd.RangeIndex(2)), components=(Component(np.eye(k), df),)
    )


def critical(u, level=0.95):
    return simultaneous_critical(u, level, 0, u.std_error())


def test_one_row_is_the_pointwise_critical_value():
    assert critical(identity(1)) == pytest.approx(1.96, abs=0.04)
    assert critical(identity(1, 4.0)) == pytest.approx(stats.t.ppf(0.975, 4), abs=0.1)


def test_independent_rows_are_sidak():
    sidak = stats.norm.ppf(0.5 + 0.95 ** (1 / 6) / 2)
    assert critical(identity(6)) == pytest.approx(sidak, abs=0.04)


def test_perfectly_correlated_rows_cost_nothing_and_order_does_not_matter():
    u = identity(2).linear(np.repeat([[1.0, 1.0]], 500, axis=0))
    assert critical(u) == pytest.approx(1.96, abs=0.04)
    loadings = RNG.normal(size=(50, 2))
    a, b = identity(2).linear(loadings), identity(2).linear(loadings[::-1])
    assert critical(a) == critical(b)


def test_rows_with_standard_error_zero_are_left_out():
    loadings = np.vstack([np.eye(2), np.zeros(2)])
    assert critical(identity(2).linear(loadings)) == critical(identity(2).linear(loadings[:2]))


def test_the_kernel_for_many_rows_equals_the_matrix_product():
    from pandas_causal.kernels.bands import largest_projection

    directions, draws = RNG.normal(size=(3_000, 7)), RNG.normal(size=(300, 7))
    expected = np.abs(directions @ draws.T).max(axis=0)
    np.testing.assert_allclose(largest_projection(directions, draws), expected, rtol=1e-5)


def test_draws_and_pointwise_variances():
    replicates = RNG.normal(size=(5_000, 4))
    sidak = stats.norm.ppf(0.5 + 0.95 ** (1 / 4) / 2)
    assert critical(Draws(replicates, np.eye(4))) == pytest.approx(sidak, abs=0.08)
    assert critical(Variance(np.array([2.0]))) == pytest.approx(1.959964, abs=1e-6)
    with pytest.raises(CausalError, match="joint statements"):
        critical(Variance(np.array([2.0, 1.0])))


def test_band_is_centred_and_reproducible():
    effect = columns_effect(RNG.normal(size=(50, 3)))
    a, b = effect.interval(simultaneous=True, random_state=1), effect.interval(simultaneous=True, random_state=1)
    pd.testing.assert_frame_equal(a, b)
    np.testing.assert_allclose(a.mean(axis=1), effect.table["estimate"])
    assert (a["conf_low"] < effect.table["conf_low"]).all()


def test_joint_test_is_wald_under_a_normal_law():
    effect = columns_effect(RNG.normal(size=(200, 3)) + [0.1, 0, 0])
    m, V = effect.table["estimate"].to_numpy(), effect.vcov.to_numpy()
    test = effect.test_zero()
    assert test.statistic == pytest.approx(m @ np.linalg.solve(V, m))
    assert test.p_value == pytest.approx(stats.chi2.sf(test.statistic, 3))


def test_joint_test_with_clusters_is_hotelling_with_the_factor_g_over_g_minus_1():
    matrix, labels = RNG.normal(size=(100, 4)), np.repeat(np.arange(20), 5)
    effect = columns_effect(matrix).cluster(labels)
    sums = ((matrix - matrix.mean(axis=0)) / 100).reshape(20, 5, 4).sum(axis=1)
    m, V = matrix.mean(axis=0), 20 / 19 * sums.T @ sums
    wald = m @ np.linalg.solve(V, m)
    test = effect.test_zero()
    assert test.statistic == pytest.approx(wald * (20 - 4) / (19 * 4))
    assert (test.df_num, test.df_denom) == (4, 16)
    assert test.p_value == pytest.approx(stats.f.sf(test.statistic, 4, 16))


def test_joint_test_of_independent_units_is_hotelling_too():
    """The sum of squares of contributions lacks G / (G - 1), which Hotelling's scale wants."""
    matrix = RNG.normal(size=(30, 4))
    effect = columns_effect(matrix)
    m, V = matrix.mean(axis=0), np.cov(matrix.T) / 30
    test = joint_test(effect.uncertainty, m, 30)
    assert test.statistic == pytest.approx(m @ np.linalg.solve(V, m) * (30 - 4) / (29 * 4))
    assert (test.df_num, test.df_denom) == (4, 26)


def test_joint_test_refuses_more_rows_than_clusters_and_singular_rows():
    effect = columns_effect(RNG.normal(size=(100, 8)))
    with pytest.raises(CausalDataError, match="more than 8 clusters|vary in only"):
        effect.cluster(np.repeat(np.arange(8), [12, 12, 12, 12, 13, 13, 13, 13])).test_zero()
    with pytest.raises(CausalDataError, match="vary in only 1 directions"):
        joint_test(identity(1).linear([[1.0], [2.0]]), np.array([1.0, 2.0]))


def test_a_variance_that_rounding_leaves_below_zero_is_zero():
    """numpy's warning of the root of a negative number leaked."""
    meat = np.array([[1.0, 0.0], [0.0, -1e-34]])
    u = Influence(np.ones(2), pd.RangeIndex(2), np.eye(2), (Component(meat),))
    with pytest.raises(CausalDataError, match="vary in only 1 directions"):
        joint_test(u, np.ones(2))
