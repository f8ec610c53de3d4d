"""Sizes of tests and joint coverage: Hotelling, sequences, bands, shrinkage."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pandas_causal import DifferenceInMeans
from pandas_causal.inference.reference import Anytime, anytime_rho
from tests.effect.examples import columns_effect, variance_effect
from tests.statistical.draws import DRAWS, FULL, refit, slack


@pytest.mark.slow
def test_joint_test_with_clusters_keeps_its_size():
    """20 clusters, 8 rows: 3% to 7% with Hotelling's scale, over 10% without."""
    rng = np.random.default_rng(0)
    draws = 3_000 if FULL else 1_000
    root = np.linalg.cholesky(0.3 + 0.7 * np.eye(8))
    g = np.repeat(np.arange(20), 5)
    scaled = unscaled = 0
    for _ in range(draws):
        matrix = ((rng.normal(size=(20, 8)) @ root.T)[g] + rng.normal(size=(100, 8))) * np.arange(1, 9)
        effect = columns_effect(matrix).cluster(g)
        test = effect.test_zero()
        assert (test.df_num, test.df_denom) == (8, 12)
        scaled += test.p_value < 0.05
        est = effect.estimates.to_numpy()
        wald = est @ np.linalg.solve(effect.vcov.to_numpy(), est)
        unscaled += stats.f.sf(wald / 8, 8, 19) < 0.05
    print(f"Hotelling: size {scaled / draws:.3f}, without the scale {unscaled / draws:.3f}")
    assert 0.03 < scaled / draws < 0.07
    assert unscaled / draws > 0.10


@pytest.mark.slow
def test_joint_test_of_nine_arms_in_twenty_clusters_keeps_its_size():
    """The same through an experiment: every cluster holds every arm, errors are CR2."""
    rng = np.random.default_rng(1)
    arm, g = np.tile(np.arange(9), 40), np.repeat(np.arange(20), 18)
    X = pd.DataFrame({"arm": arm, "g": g})
    rejected = 0
    for _ in range(DRAWS):
        y = rng.normal(size=20)[g] + rng.normal(size=(20, 9))[g, arm] + rng.normal(size=360)
        rejected += refit(DifferenceInMeans(), X, y, treatment="arm", cluster="g").test_zero().p_value < 0.05
    print(f"nine arms: size {rejected / DRAWS:.3f}")
    assert abs(rejected / DRAWS - 0.05) <= slack(DRAWS, 0.05)


@pytest.mark.slow
def test_sequence_keeps_its_level_under_peeking_and_the_fixed_test_does_not():
    """A look after every 10 rows from 100 to 3,000, no effect: how often is zero ever excluded?"""
    draws, n = (4_000 if FULL else 1_000), 3_000
    rng = np.random.default_rng(2)
    rho = anytime_rho(1_000, 0.05)
    looks = np.arange(100, n + 1, 10)
    ever = {"sequence": 0, "fixed": 0}
    for _ in range(draws):
        y = rng.normal(size=n) ** 3  # heavy tails: the sequence is asymptotic
        d = np.arange(n) % 2
        z = statistics_at(y, d, looks)
        boundary = np.array([Anytime(int(k), rho).critical(0.95, np.array([np.inf]))[0] for k in looks])
        ever["sequence"] += (np.abs(z) > boundary).any()
        ever["fixed"] += (np.abs(z) > 1.96).any()
    rates = {k: v / draws for k, v in ever.items()}
    print(rates)
    assert rates["sequence"] <= 0.05 + slack(draws, 0.05)
    assert rates["fixed"] > 0.25


def statistics_at(y, d, looks):
    """Welch statistics of the first k rows, for every look k."""
    parts = []
    for a in (0, 1):
        own = d == a
        count = np.cumsum(own)[looks - 1]
        mean = np.cumsum(y * own)[looks - 1] / count
        square = np.cumsum(y**2 * own)[looks - 1] / count
        parts.append((mean, (square - mean**2) / (count - 1)))
    return (parts[1][0] - parts[0][0]) / np.sqrt(parts[0][1] + parts[1][1])


def test_the_statistics_and_the_boundary_above_are_those_of_the_estimator():
    rng = np.random.default_rng(0)
    y, d = rng.normal(size=300), np.arange(300) % 2
    for k in (100, 300):
        effect = DifferenceInMeans(anytime_n=1_000).fit(None, y[:k], treatment=d[:k]).effect()
        assert effect.table["statistic"].iloc[0] == pytest.approx(statistics_at(y, d, np.array([k]))[0])
        boundary = Anytime(k, anytime_rho(1_000, 0.05)).critical(0.95, np.array([np.inf]))[0]
        assert (effect.conf_high - effect.estimate) / effect.std_error == pytest.approx(boundary)
        assert (effect.p_value < 0.05) == (abs(effect.table["statistic"].iloc[0]) > boundary)


@pytest.mark.slow
def test_sequence_finds_a_real_effect():
    rng = np.random.default_rng(3)
    rho, looks = anytime_rho(1_000, 0.05), np.arange(100, 2_001, 10)
    boundary = np.array([Anytime(int(k), rho).critical(0.95, np.array([np.inf]))[0] for k in looks])
    d = np.arange(2_000) % 2
    found = [(np.abs(statistics_at(rng.normal(size=2_000) + 0.2 * d, d, looks)) > boundary).any() for _ in range(DRAWS)]
    assert np.mean(found) > 0.85


@pytest.mark.slow
def test_simultaneous_bands_cover_jointly_and_pointwise_intervals_do_not():
    rng = np.random.default_rng(4)
    root = np.linalg.cholesky(0.4 + 0.6 * np.eye(12))
    joint = pointwise = 0
    for _ in range(DRAWS):
        effect = columns_effect(rng.standard_t(8, size=(400, 12)) @ root.T)
        for simultaneous in (True, False):
            band = effect.interval(simultaneous=simultaneous)
            covered = ((band["conf_low"] <= 0) & (0 <= band["conf_high"])).all()
            joint, pointwise = joint + covered * simultaneous, pointwise + covered * (not simultaneous)
    print(f"bands: joint {joint / DRAWS:.3f}, pointwise {pointwise / DRAWS:.3f}")
    assert abs(joint / DRAWS - 0.95) <= slack(DRAWS)
    assert pointwise / DRAWS < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_shrunk_intervals_cover_the_true_effects(spread):
    """Averaged over 25 effects and over draws (empirical Bayes coverage), and nearer to the truth than the raw ones.

    Where effects hardly differ, Morris's intervals allow for a spread they cannot rule out and cover more than asked.
    """
    rng = np.random.default_rng(5)
    v = rng.uniform(0.5, 2, 25)
    covered, gain = [], []
    for _ in range(DRAWS):
        theta = 1 + spread * rng.normal(size=25)
        raw = theta + np.sqrt(v) * rng.normal(size=25)
        table = variance_effect(raw, v).shrink().table
        covered.append(((table["conf_low"] <= theta) & (theta <= table["conf_high"])).mean())
        gain.append(np.square(table["estimate"] - theta).mean() - np.square(raw - theta).mean())
    error = np.std(covered, ddof=1) / np.sqrt(DRAWS)
    print(f"shrinkage, spread {spread}: coverage {np.mean(covered):.3f} ({error:.3f}), gain {np.mean(gain):+.3f}")
    assert np.mean(covered) > 0.95 - 0.01 - 3.5 * error
    assert np.mean(covered) < (0.995 if spread < 0.5 else 0.96 + 3.5 * error)
    assert np.mean(gain) < 0
