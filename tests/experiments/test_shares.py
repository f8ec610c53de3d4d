"""Tests of shares against statsmodels, scipy and every table one by one."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest

from pandas_causal.errors import CausalArgumentError
from pandas_causal.experiments.shares import compare_shares

TABLES = [((3, 12), (8, 15)), ((9, 10), (2, 9)), ((5, 7), (5, 14)), ((0, 8), (4, 9))]  # (successes, rows): control, arm
STATSMODELS = {"two-sided": "two-sided", "greater": "larger", "less": "smaller"}


def p_value(table, test, alternative="two-sided"):
    (s0, n0), (s1, n1) = table
    return compare_shares(np.array([s0, s1]), np.array([n0, n1]), test, alternative)


@pytest.mark.parametrize("alternative", STATSMODELS)
@pytest.mark.parametrize("table", TABLES)
def test_pooled_z_equals_statsmodels(table, alternative):
    (s0, n0), (s1, n1) = table
    z, p = proportions_ztest([s1, s0], [n1, n0], alternative=STATSMODELS[alternative])
    ours = p_value(table, "pooled_z", alternative).iloc[0]
    assert (ours["statistic"], ours["p_value"]) == pytest.approx((z, p), rel=1e-10)


def hypergeometric(s0, n0, s1, n1):
    """Probability of every number of successes in the later arm, given all successes."""
    k = np.arange(n1 + 1)
    return k, stats.hypergeom(n0 + n1, s0 + s1, n1).pmf(k)


@pytest.mark.parametrize("table", TABLES)
def test_fisher_is_the_sum_of_hypergeometric_probabilities(table):
    (s0, n0), (s1, n1) = table
    k, q = hypergeometric(s0, n0, s1, n1)
    assert p_value(table, "fisher", "greater")["p_value"].iloc[0] == pytest.approx(q[k >= s1].sum())
    assert p_value(table, "fisher", "less")["p_value"].iloc[0] == pytest.approx(q[k <= s1].sum())
    expected = q[q <= q[s1] * (1 + 1e-7)].sum()
    assert p_value(table, "fisher")["p_value"].iloc[0] == pytest.approx(expected)


def largest_over_common_share(as_extreme, n0, n1):
    """Probability of the tables as extreme, at the common share where it is largest (a fine grid)."""
    share = np.linspace(0.0005, 0.9995, 2_000)[:, None, None]
    a, b = np.arange(n0 + 1)[:, None], np.arange(n1 + 1)[None, :]
    chance = stats.binom.pmf(a, n0, share) * stats.binom.pmf(b, n1, share)
    return (chance * as_extreme).sum(axis=(1, 2)).max()


def exact_square_of_z(a, n0, b, n1):
    """Pooled z squared, signed, without rounding: ties count, and floating point splits them."""
    gap, k, n = Fraction(b, n1) - Fraction(a, n0), a + b, n0 + n1
    if k in (0, n):
        return Fraction(0)
    return gap * abs(gap) / (Fraction(k, n) * Fraction(n - k, n) * (Fraction(1, n0) + Fraction(1, n1)))


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("table", TABLES)
def test_barnard_goes_through_every_table(table, alternative):
    (s0, n0), (s1, n1) = table
    z = np.array([[exact_square_of_z(a, n0, b, n1) for b in range(n1 + 1)] for a in range(n0 + 1)])
    side = {"two-sided": np.abs(z), "greater": z, "less": -z}[alternative]
    expected = largest_over_common_share((side >= side[s0, s1]).astype(bool), n0, n1)
    ours = p_value(table, "barnard", alternative)
    assert ours["p_value"].iloc[0] == pytest.approx(expected, rel=1e-5)
    assert ours["statistic"].iloc[0] ** 2 == pytest.approx(abs(float(z[s0, s1])))


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("test", ["barnard", "boschloo"])
def test_unconditional_tests_are_near_scipys(test, alternative):
    """scipy's Barnard splits ties of z by rounding, and so is up to a percent too small; its Boschloo is ours."""
    function = {"barnard": stats.barnard_exact, "boschloo": stats.boschloo_exact}[test]
    for (s1, n1), (s0, n0) in (((7, 15), (12, 15)), ((74, 105), (43, 75))):
        theirs = function([[s1, s0], [n1 - s1, n0 - s0]], alternative=alternative).pvalue
        ours = p_value(((s0, n0), (s1, n1)), test, alternative)["p_value"].iloc[0]
        assert theirs * (1 - 1e-6) <= ours <= theirs * (1.01 if test == "barnard" else 1 + 1e-6)


@pytest.mark.parametrize("alternative", ["greater", "less"])
@pytest.mark.parametrize("table", TABLES)
def test_boschloo_orders_tables_by_fishers_p_value(table, alternative):
    (s0, n0), (s1, n1) = table
    fisher = np.empty((n0 + 1, n1 + 1))
    for a in range(n0 + 1):
        for b in range(n1 + 1):
            k, q = hypergeometric(a, n0, b, n1)
            fisher[a, b] = q[k >= b].sum() if alternative == "greater" else q[k <= b].sum()
    expected = largest_over_common_share(fisher <= fisher[s0, s1] * (1 + 1e-9), n0, n1)
    ours = p_value(table, "boschloo", alternative)["p_value"].iloc[0]
    assert ours == pytest.approx(expected, rel=1e-5)
    assert ours <= p_value(table, "fisher", alternative)["p_value"].iloc[0] + 1e-12


@pytest.mark.parametrize("test", ["pooled_z", "fisher", "barnard", "boschloo"])
@pytest.mark.parametrize("successes", [(0, 0), (6, 9)])
def test_arms_without_a_difference_to_see_have_p_value_one(test, successes):
    assert p_value(((successes[0], 6), (successes[1], 9)), test)["p_value"].iloc[0] == 1


def test_an_unconditional_test_of_many_rows_is_refused():
    with pytest.raises(CausalArgumentError, match=r"3,001 x 3,001 possible tables .* test='pooled_z'"):
        p_value(((90, 3_000), (120, 3_000)), "barnard")
