"""Means of groups by Welch's law, and least squares with HC2 errors: by hand and beside statsmodels."""

import numpy as np
import pytest
from scipy import stats

from pandas_causal.difference_in_differences.group_means import group_means, regression_hc2
from pandas_causal.errors import CausalDataError


def test_welch_by_hand():
    """The example of effect.md: difference 4.25, standard error 1.0704360482, 5.5846153846 degrees of freedom."""
    y, group = np.array([1.0, 2, 4, 3, 7, 6, 5, 9]), np.repeat([0, 1], 4)
    found = group_means(y, group, ("a", "b"))
    terms = np.array([c.meat[k, k] for k, c in enumerate(found.components)])
    assert found.values[1] - found.values[0] == pytest.approx(4.25)
    assert np.sqrt(terms.sum()) == pytest.approx(1.0704360482, abs=1e-10)
    welch = stats.ttest_ind(y[4:], y[:4], equal_var=False)
    df = terms.sum() ** 2 / sum(t**2 / c.df for t, c in zip(terms, found.components, strict=True))
    assert df == pytest.approx(welch.df)


def test_weighted_means_keep_digits_far_from_zero():
    rng = np.random.default_rng(0)
    y, group, w = rng.normal(size=50) + 1e9, np.arange(50) % 3, rng.random(50)
    found = group_means(y, group, ("a", "b", "c"), w)
    for k in range(3):
        assert found.values[k] - 1e9 == pytest.approx(np.average(y[group == k] - 1e9, weights=w[group == k]), abs=1e-6)
    np.testing.assert_allclose(found.contributions.sum(axis=0), 0, atol=1e-6)


def test_a_weight_that_dominates():
    """Unbiased for even noise whatever the weights, and a t law that covers: one row is worth nearly half of all."""
    rng, truth, inside, variances, values = np.random.default_rng(2), 0.0, [], [], []
    group, w = np.repeat([0, 1], 15), np.r_[np.ones(15), 14.0, np.ones(14)]
    for _ in range(2_000):
        found = group_means(rng.normal(size=30), group, ("a", "b"), w)
        term = found.components[1]
        values.append(found.values[1])
        variances.append(term.meat[1, 1])
        inside.append(abs(found.values[1] - truth) <= stats.t.ppf(0.975, term.df) * np.sqrt(term.meat[1, 1]))
    share = w[15:] / w[15:].sum()
    assert np.mean(variances) == pytest.approx(np.square(share).sum(), rel=0.06)
    assert np.mean(inside) >= 0.93
    with pytest.raises(CausalDataError, match=r"15 rows of the b are worth 1\.00, because few of them outweigh"):
        group_means(rng.normal(size=30), group, ("a", "b"), np.where(np.arange(30) == 20, 1e6, 1.0))


@pytest.mark.parametrize("weighted", [False, True])
def test_hc2_beside_statsmodels(weighted):
    sm = pytest.importorskip("statsmodels.api", reason="the peer for HC2 errors")
    rng = np.random.default_rng(1)
    Z = np.column_stack([np.ones(80), rng.integers(0, 2, 80)])
    X = rng.normal(size=(80, 2)) * [1, 1e4]
    y, w = rng.normal(size=80) + X[:, 0] + 5, rng.random(80) + 0.5 if weighted else np.ones(80)
    found = regression_hc2(y, Z, np.column_stack([X, X[:, 0] * 2]), w if weighted else None)
    peer = sm.WLS(y, np.column_stack([Z, X]), weights=w).fit(cov_type="HC2")
    assert found.values[1] == pytest.approx(peer.params[1], rel=1e-9)
    assert np.sqrt(found.components[0].meat[1, 1]) == pytest.approx(peer.bse[1], rel=1e-9)
    assert found.components[0].df == 76
