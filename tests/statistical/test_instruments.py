"""Known truth with instruments: sets with weak ones, many weak ones, tests of the right size, complier effects."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pandas_causal import InstrumentalVariables, InteractiveIV
from pandas_causal.errors import CausalWarning
from pandas_causal.inference.instrument_validity import balke_pearl_bounds, kitagawa_test
from pandas_causal.inference.weak_instruments import tf_critical
from tests.statistical.draws import DRAWS, refit, slack

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pandas_causal.errors.CausalWarning")]

TRUTH = 0.0


def draw(rng, n, q, concentration, correlation, groups=None, skewed=False):
    """One treatment; instruments of equal strength whose concentration parameter is given."""
    z = rng.normal(size=(n, q))
    v = rng.normal(size=n)
    e = correlation * v + np.sqrt(1 - correlation**2) * rng.normal(size=n)
    if groups is not None:
        codes = rng.integers(0, groups, n)
        z += rng.normal(size=(groups, q))[codes]
        shock = rng.normal(size=groups)
        v, e = v + shock[codes], e + correlation * shock[codes]
    if skewed:
        size = np.exp(0.5 * z[:, 0]) / 1.3
        v, e = v * size, e * size
    d = z @ np.full(q, np.sqrt(concentration / (n * q))) + v
    frame = pd.DataFrame(z, columns=[f"z{j}" for j in range(q)]).assign(d=d)
    if groups is not None:
        frame["g"] = codes
    return frame, pd.Series(TRUTH * d + e, name="y")


def fits(frame, y, q, roles=None, **settings):
    names = [f"z{j}" for j in range(q)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CausalWarning)
        return refit(InstrumentalVariables(**settings), frame, y, treatment="d", instrument=names, **(roles or {}))


def accepts(effect, test, value=TRUTH):
    return effect.inversion.p_value(value, 0, test) > 0.05


@pytest.mark.parametrize("skewed", [False, True])
def test_sets_cover_where_two_stage_least_squares_does_not(skewed):
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(2 * DRAWS):
        frame, y = draw(rng, 400, 4, 2.0, 0.95, skewed=skewed)
        effect = fits(frame, y, 4, covariance="robust" if skewed else "unadjusted")
        rows.append([*(accepts(effect, t) for t in ("ar", "k", "clr")), effect.conf_low <= TRUTH <= effect.conf_high])
    ar, k, clr, wald = np.mean(rows, axis=0)
    most = slack(2 * DRAWS) + (0.02 if skewed else 0.005)  # the robust law holds in large samples only
    assert abs(ar - 0.95) < most
    assert abs(k - 0.95) < most
    assert abs(clr - 0.95) < most
    assert wald < 0.45
    if not skewed:
        assert wald == pytest.approx(0.34, abs=0.08)


def test_clustered_anderson_rubin_with_forty_clusters():
    rng = np.random.default_rng(2)
    rows = []
    for _ in range(2 * DRAWS):
        frame, y = draw(rng, 800, 2, 40.0, 0.8, groups=40)
        clustered = fits(frame, y, 2, roles={"cluster": "g"})
        rows.append([accepts(clustered, "ar"), accepts(fits(frame, y, 2), "ar")])
    right, wrong = np.mean(rows, axis=0)
    assert abs(right - 0.95) < slack(2 * DRAWS) + 0.02
    assert wrong < 0.8


def test_many_weak_instruments():
    """Median bias and coverage, not mean squares: JIVE has no moments."""
    rng = np.random.default_rng(3)
    methods = ("2sls", "jive", "ujive", "hful")
    found = {m: [] for m in methods}
    for _ in range(DRAWS):
        frame, y = draw(rng, 800, 50, 60.0, 0.6)
        for m in methods:
            effect = fits(frame, y, 50, method=m)
            found[m].append((effect.estimate, effect.conf_low <= TRUTH <= effect.conf_high))
    bias = {m: abs(np.median([b for b, _ in rows])) for m, rows in found.items()}
    cover = {m: np.mean([c for _, c in rows]) for m, rows in found.items()}
    assert bias["2sls"] > 0.2
    assert cover["2sls"] < 0.3
    for m in ("jive", "ujive", "hful"):
        assert bias[m] < 0.06, (m, bias)
        assert cover[m] > 0.95 - slack(DRAWS) - 0.02, (m, cover)


def test_the_tf_interval():
    rng = np.random.default_rng(4)
    rows = {0.95: [], 0.99: []}
    plain = []
    for _ in range(8 * DRAWS):
        frame, y = draw(rng, 200, 1, 7.0, 0.95)  # the first stage's F is 8 on average
        effect = fits(frame, y, 1, covariance="unadjusted")
        F = effect.diagnostics["first_stage"].table["F"].iloc[0]
        t = abs(effect.estimate - TRUTH) / effect.std_error
        plain.append(t <= 1.96)
        for level, kept in rows.items():
            kept.append(t <= tf_critical(F, level))
    for level, kept in rows.items():
        assert np.mean(kept) > level - slack(8 * DRAWS, level)
    assert np.mean(plain) < 0.94


def test_sizes_of_the_tests_of_overidentification_and_of_the_effective_f():
    rng = np.random.default_rng(5)
    rejected, j = [], []
    for _ in range(2 * DRAWS):
        frame, y = draw(rng, 600, 3, 300.0, 0.5, skewed=True)
        table = fits(frame, y, 3).diagnostics["overidentification"].table["p_value"]
        j.append([table["Hansen J"] < 0.05, table["robust score (Wooldridge)"] < 0.05, table["Sargan"] < 0.05])
        weak, u = draw(rng, 600, 3, 30.0, 0.5)  # bias at most a tenth of the worst case: concentration 3 / 0.1
        effect = fits(weak, u, 3, covariance="unadjusted")
        rejected.append(effect.diagnostics["effective_f"].passed)
    hansen, score, plain = np.mean(j, axis=0)
    assert abs(hansen - 0.05) < slack(2 * DRAWS, 0.05) + 0.015
    assert abs(score - 0.05) < slack(2 * DRAWS, 0.05) + 0.015
    assert plain > 0.07
    assert np.mean(rejected) == pytest.approx(0.05, abs=slack(2 * DRAWS, 0.05))


def take_up(rng, n):
    """Take-up confounded by a covariate, and an instrument that depends on it."""
    x = rng.normal(size=(n, 2))
    z = (rng.random(n) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    kind = rng.random(n) + 0.1 * x[:, 0]
    never, always = kind < 0.25, kind > 0.85
    d = np.where(never, 0, np.where(always, 1, z))
    y = d * (1 + 0.5 * (~never & ~always)) + np.square(x[:, 0]) + x[:, 1] + 0.8 * never + rng.normal(size=n)
    return pd.DataFrame(x, columns=["a", "b"]).assign(z=z, d=d), pd.Series(y, name="y")


def test_complier_effects_with_covariates():
    rng = np.random.default_rng(6)
    draws = max(DRAWS // 2, 100)
    estimator = InteractiveIV(outcome_model="boosting", treatment_model="ridge", instrument_model="ridge", cv=3)
    rows, naive = [], []
    for _ in range(draws):
        frame, y = take_up(rng, 1_500)
        effect = refit(estimator, frame, y, treatment="d", instrument="z")
        rows.append((effect.estimate, effect.conf_low <= 1.5 <= effect.conf_high))
        by = pd.concat([frame, y], axis=1).groupby("z")[["y", "d"]].mean().diff().iloc[1]
        naive.append(by["y"] / by["d"])
    bias = np.mean([b for b, _ in rows]) - 1.5
    assert abs(bias) < 0.06
    assert np.mean([c for _, c in rows]) > 0.95 - slack(draws) - 0.01
    assert stats.ttest_1samp(naive, 1.5).pvalue < 1e-3  # confounded by the covariate


def test_bounds_hold_the_truth_and_the_validity_test_its_size():
    rng = np.random.default_rng(7)
    held, rejected = [], []
    for _ in range(DRAWS):
        z = rng.integers(0, 2, 800)
        kind = rng.random(800)
        d = np.where(kind < 0.3, 0, np.where(kind < 0.5, 1, z))
        y1, y0 = (rng.random(800) < 0.7).astype(int), (rng.random(800) < 0.3 + 0.3 * (kind < 0.3)).astype(int)
        y = np.where(d == 1, y1, y0)
        p = np.zeros((2, 2, 2))
        np.add.at(p, (y, d, z), 1.0)
        low, high = balke_pearl_bounds(p / p.sum(axis=(0, 1)))
        held.append(low - 0.06 <= 0.7 - 0.39 <= high + 0.06)
        tested = kitagawa_test(y + rng.normal(size=800), d, z, n_draws=99, rng=rng)
        rejected.append(tested.p_value < 0.05)
    assert np.mean(held) > 0.97
    assert np.mean(rejected) < 0.05 + slack(DRAWS, 0.05)
