import numpy as np
import pandas as pd
import pytest

from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inference.multiplicity import adjust_p_values
from pandas_causal.inference.shrinkage import empirical_bayes
from tests.effect.examples import columns_effect


@pytest.mark.parametrize(("ours", "theirs"), [("holm", "holm"), ("benjamini_hochberg", "fdr_bh")])
def test_adjusted_p_values_match_statsmodels(ours, theirs):
    from statsmodels.stats.multitest import multipletests

    p = np.array([0.04, 0.001, 0.3, 0.02, 0.02, 0.9])
    np.testing.assert_allclose(adjust_p_values(p, ours), multipletests(p, method=theirs)[1])


def test_unknown_correction_names_the_legal_ones():
    with pytest.raises(CausalArgumentError, match="'holm' or 'benjamini_hochberg'"):
        adjust_p_values(np.array([0.1]), "bonferroni")


def test_equal_variances_give_james_stein():
    y = np.array([1.0, 4.0, -2.0, 7.0, 3.0, 0.5])
    m, v = len(y), 2.0
    shrunk = empirical_bayes(y, np.full(m, v))
    # equal variances: A = sum (y - mean)^2 / (m - 1) - V, so B = (m - 3) V / sum (y - mean)^2: James-Stein
    pull = (m - 3) * v / np.square(y - y.mean()).sum()
    np.testing.assert_allclose(shrunk.mean, (1 - pull) * y + pull * y.mean(), rtol=1e-8)
    expected = v * (1 - (m - 1) / m * pull) + 2 / (m - 3) * pull**2 * np.square(y - y.mean())
    np.testing.assert_allclose(shrunk.variance, expected, rtol=1e-8)


def test_pure_noise_is_pulled_almost_to_the_mean():
    y = np.array([1.0, 1.1, 0.9, 1.05, 0.95])
    shrunk = empirical_bayes(y, np.full(5, 1.0))
    assert shrunk.spread == 0
    np.testing.assert_allclose(shrunk.mean - 1, (y - 1) * (1 - 2 / 4))


def test_shrink_on_an_effect_and_its_limits():
    effect = columns_effect(np.random.default_rng(0).normal(size=(30, 6)) + np.arange(6))
    shrunk = effect.shrink()
    assert shrunk.table["estimate"].std() < effect.table["estimate"].std()
    assert "Morris" in shrunk.std_error_method
    pd.testing.assert_index_equal(shrunk.table.index, effect.table.index)
    with pytest.raises(CausalDataError, match="at least 4 rows"):
        effect[[0, 1, 2]].shrink()
