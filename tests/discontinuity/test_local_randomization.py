"""Local randomisation: windows, permutation tests, intervals by inversion, beside rdlocrand."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from pandas_causal import LocalRandomization
from pandas_causal.discontinuity.permutation import (
    STATISTICS,
    balance_p_values,
    inverted_interval,
    mean_differences,
    nested_windows,
    p_value,
    permuted_assignments,
)
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError
from tests.discontinuity.designs import make, senate


def fit(frame, covariates=(), **k):
    return LocalRandomization(**k).fit(frame[[*covariates, "margin"]], frame["vote"], running="margin").effect()


@pytest.fixture(scope="module")
def senators():
    return senate().dropna().reset_index(drop=True)  # rdlocrand joins by position


def test_permutations_keep_the_number_of_treated_and_are_even():
    treated = np.array([True] * 2 + [False] * 3)
    draws = permuted_assignments(treated, 5_000, np.random.default_rng(0))
    assert set(draws.sum(axis=1)) == {2.0}
    np.testing.assert_allclose(draws.mean(axis=0), 0.4, atol=4 * np.sqrt(0.24 / 5_000))


def test_statistics_by_hand():
    y, d = np.array([1.0, 2, 3, 4, 5, 6]), np.array([0.0, 0, 0, 1, 1, 1])
    assert STATISTICS["difference"](y, d) == 3
    assert STATISTICS["ks"](y, d) == 1
    assert STATISTICS["rank_sum"](y, d) == pytest.approx((15 - 10.5) / np.sqrt(9 * 3.5 / 6))
    assert p_value(3.0, np.array([3.0, -3, 1, 0])) == pytest.approx(3 / 5)


def test_interval_is_the_set_of_effects_the_test_does_not_reject():
    rng = np.random.default_rng(1)
    y, treated = rng.normal(size=30), rng.permutation(np.arange(30) < 12)
    y = y + 1.5 * treated
    draws = permuted_assignments(treated, 999, rng)
    low, high = inverted_interval(y, treated, draws, 0.95)
    d = treated.astype(float)

    def p(tau):
        return p_value(mean_differences(y - tau * d, d), mean_differences(y - tau * d, draws))

    for inside, outside in ((low + 1e-6, low - 1e-6), (high - 1e-6, high + 1e-6)):
        assert p(inside) > 0.05
        assert p(outside) <= 0.05
    grid = np.linspace(low - 1, high + 1, 60)
    for tau in grid:
        assert (p(tau) > 0.05) == (low < tau < high)


@pytest.mark.published
@pytest.mark.parametrize(
    ("statistic", "peer"), [("difference", "diffmeans"), ("ks", "ksmirnov"), ("rank_sum", "ranksum")]
)
def test_fisher_beside_rdlocrand(senators, statistic, peer):
    rdlocrand = pytest.importorskip("rdlocrand", reason="rdlocrand, the peer, is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = rdlocrand.rdrandinf(
            senators["vote"], senators["margin"], wl=-2.5, wr=2.5, statistic=peer, reps=2_000, quietly=True
        )
    effect = fit(senators, window=2.5, statistic=statistic, n_draws=2_000)
    p = max(effect.p_value, float(other["p.value"]), 1e-3)
    # two Monte Carlo p-values of 2,000 draws each
    assert abs(effect.p_value - float(other["p.value"])) <= 4.5 * np.sqrt(2 * p * (1 - p) / 2_000) + 1e-3
    if statistic == "difference":
        assert effect.estimate == pytest.approx(float(other["obs.stat"][0]), rel=1e-10)
        neyman = fit(senators, window=2.5, inference="neyman")
        z = neyman.estimate / neyman.std_error
        from scipy.stats import norm

        assert 2 * norm.sf(abs(z)) == pytest.approx(float(other["asy.pvalue"][0]), rel=1e-6)


@pytest.mark.published
def test_windows_beside_rdlocrand(senators):
    rdlocrand = pytest.importorskip("rdlocrand", reason="rdlocrand, the peer, is not installed")
    names = ["class", "termshouse", "termssenate", "population"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = rdlocrand.rdwinselect(
            senators["margin"], senators[names].copy(), wmin=0.5, wstep=0.25, nwindows=6, quietly=True
        )["results"]
    z = senators["margin"].to_numpy()
    widths = nested_windows(z, min_rows=5, n_windows=6, step=0.25, first=0.5)
    rng = np.random.default_rng(0)
    for width, (_, row) in zip(widths, other.iterrows(), strict=True):
        inside = np.abs(z) <= width
        above = z[inside] >= 0
        assert [(~above).sum(), above.sum()] == [row["Obs<c"], row["Obs>=c"]]
        X = senators[names].to_numpy(dtype=float)[inside]
        found = balance_p_values(X, above, "difference", 1_000, rng).min()
        p = max(found, row["p-value"])
        assert abs(found - row["p-value"]) <= 4.5 * np.sqrt(2 * p * (1 - p) / 1_000) + 2e-3


@pytest.mark.published
def test_window_chosen_by_covariates(senators):
    effect = fit(senators, ["class", "termshouse", "termssenate", "population"])
    windows = effect.diagnostics["windows"].table
    assert windows.index.is_monotonic_increasing
    assert (windows["n_left"].iloc[0] >= 10) & (windows["n_right"].iloc[0] >= 10)
    used = windows.index == effect.facts["window_left"]
    assert windows["balanced"][used].all()
    assert not windows["balanced"].iloc[int(np.flatnonzero(used)[0]) + 1 :].any()
    assert np.isnan(effect.conf_low)  # a null law has no percentile interval
    low, high = effect.confidence_set().iloc[0]
    assert low < effect.estimate < high
    assert effect.diagnostics["covariates"].table.shape == (4, 2)


@pytest.mark.published
def test_through_the_accessor(senators):
    effect = senators.causal.fit(LocalRandomization(window=1.0), outcome="vote", running="margin")
    assert effect.estimate == fit(senators, window=1.0).estimate


@pytest.mark.published
def test_same_seed_same_answer(senators):
    assert fit(senators, window=1.0).p_value == fit(senators, window=1.0).p_value


@pytest.mark.slow
def test_size_of_the_permutation_test():
    """Under no effect the test rejects at 5% in 5% of samples, within the binomial error of 200 draws."""
    rng = np.random.default_rng(4)
    rejected = 0
    for _ in range(200):
        frame = pd.DataFrame({"margin": rng.uniform(-1, 1, 40), "vote": rng.standard_exponential(40)})
        rejected += fit(frame, window=1.0, n_draws=199).p_value <= 0.05
    assert rejected <= binom.ppf(0.9995, 200, 0.05)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"window": None}, CausalArgumentError, "chosen by the balance of covariates"),
        ({"window": 0.0}, CausalArgumentError, "window must be a distance"),
        ({"window": 1e-6}, CausalDataError, "holds .* rows left and .* right; both sides need at least 2"),
        ({"window": 1.0, "inference": "bayes"}, CausalArgumentError, "inference='bayes' is not known"),
        ({"window": 1.0, "statistic": "t"}, CausalArgumentError, "statistic='t' is not known"),
        ({"window": 1.0, "n_draws": 0}, CausalArgumentError, "n_draws must be"),
    ],
)
def test_bad_settings(settings, error, message):
    frame = make(n=200).rename(columns={"x": "margin", "y": "vote"})
    with pytest.raises(error, match=message):
        fit(frame, **settings)


def test_unbalanced_everywhere_is_said():
    frame = make(n=200).rename(columns={"x": "margin", "y": "vote"})
    frame["sorted"] = np.sign(frame["margin"]) + 0.01 * frame["z1"]
    with pytest.raises(CausalError, match="even in the narrowest window.*sorted is out of balance"):
        fit(frame, ["sorted"])


def test_rank_sums_of_equal_outcomes_are_zero():
    from pandas_causal.discontinuity.permutation import rank_sum

    assert rank_sum(np.ones(4), np.array([[1.0, 1, 0, 0], [0, 1, 0, 1]])).tolist() == [0.0, 0.0]
