"""E-values: the numbers of the paper, what an effect's own come from, what is refused."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import RegressionAdjustment, e_value
from pandas_causal.errors import CausalArgumentError, CausalError


def values(**settings):
    estimate = settings.pop("estimate")
    return e_value(estimate, **settings).table.iloc[0]


def test_of_a_risk_ratio():
    """VanderWeele and Ding (2017): breast feeding, RR 3.9 (1.8, 8.7): 7.26, 3.0."""
    row = values(estimate=3.9, conf_low=1.8, conf_high=8.7)
    assert row["e_value"] == pytest.approx(3.9 + np.sqrt(3.9 * 2.9), rel=1e-12)
    assert round(row["e_value"], 2) == 7.26
    assert row["e_value_interval"] == pytest.approx(3.0, abs=1e-12)


def test_of_a_protective_risk_ratio_is_that_of_the_inverse():
    row, inverse = values(estimate=1 / 3.9, conf_high=1 / 1.8), values(estimate=3.9, conf_low=1.8)
    assert row["e_value"] == pytest.approx(inverse["e_value"])
    assert row["e_value_interval"] == pytest.approx(inverse["e_value_interval"])


def test_interval_that_holds_no_effect_needs_no_confounder():
    assert values(estimate=1.3, conf_low=0.9)["e_value_interval"] == 1.0
    assert np.isnan(values(estimate=1.3)["e_value_interval"])


def test_of_a_mean_difference():
    """0.5 SD with SE 0.25: exp(0.91 d), limits exp(0.91 d -+ 1.78 SE)."""
    row = values(estimate=0.5, std_error=0.25, measure="mean_difference")
    ratio = np.exp(0.91 * 0.5)
    assert row["risk_ratio"] == pytest.approx(ratio)
    assert (row["conf_low"], row["conf_high"]) == pytest.approx(tuple(np.exp(0.455 + np.array([-1, 1]) * 1.78 * 0.25)))
    assert row["e_value"] == pytest.approx(ratio + np.sqrt(ratio * (ratio - 1)))
    scaled = values(estimate=5.0, std_error=2.5, sd=10.0, measure="mean_difference")
    pd.testing.assert_series_equal(row, scaled)


def test_of_odds_and_hazard_ratios():
    common = values(estimate=4.0, conf_low=2.25, measure="odds_ratio")
    assert (common["risk_ratio"], common["conf_low"]) == (2.0, 1.5)
    assert values(estimate=4.0, measure="odds_ratio", rare=True)["risk_ratio"] == 4.0
    hazard = values(estimate=2.0, measure="hazard_ratio")["risk_ratio"]
    assert hazard == pytest.approx((1 - 0.5 ** np.sqrt(2)) / (1 - 0.5 ** np.sqrt(0.5)))
    assert values(estimate=0.5, measure="hazard_ratio")["risk_ratio"] == pytest.approx(1 / hazard)


def test_of_another_true_ratio():
    assert values(estimate=3.9, true=1.5)["e_value"] == pytest.approx(values(estimate=3.9 / 1.5)["e_value"])


def test_pairs_of_the_curve_suffice():
    found = e_value(3.9, conf_low=1.8)
    curve = found.curve()
    a, b = curve["with_treatment"], curve["with_outcome"]
    np.testing.assert_allclose(a * b / (a + b - 1), 3.9)
    same = np.argmin(np.abs(a - b))
    assert a[same] == pytest.approx(7.26, rel=0.1)
    assert "E-value 7.26; 3.00 for the interval" in found.summary


def trial(n=2_000, seed=0):
    rng = np.random.default_rng(seed)
    x, arm = rng.normal(size=n), rng.integers(0, 2, n)
    died = (rng.uniform(size=n) < 0.1 + 0.15 * arm).astype(int)
    return pd.DataFrame({"x": x, "arm": arm, "died": died, "y": 3 * arm + 5 * rng.normal(size=n)})


def test_of_an_effect_on_a_binary_outcome():
    """Ratio of shares with the interval of its logarithm."""
    frame = trial()
    row = frame.causal.association(treatment="arm", outcome="died").sensitivity("e_value").table.iloc[0]
    p0, p1 = frame.groupby("arm")["died"].mean()
    n0, n1 = frame.groupby("arm").size()
    error = np.sqrt((1 - p0) / (n0 * p0) + (1 - p1) / (n1 * p1))
    assert row["risk_ratio"] == pytest.approx(p1 / p0)
    assert row["conf_low"] == pytest.approx(np.exp(np.log(p1 / p0) - 1.96 * error), rel=2e-3)
    assert row["e_value"] == pytest.approx(p1 / p0 + np.sqrt(p1 / p0 * (p1 / p0 - 1)))


def test_of_an_effect_on_a_number():
    frame = trial()
    effect = frame.causal.ate(treatment="arm", outcome="y", covariates=["x"], estimator=RegressionAdjustment())
    row = effect.sensitivity("e_value").table.iloc[0]
    sd = np.sqrt(np.mean(np.square(frame["y"] - frame.groupby("arm")["y"].transform("mean"))))
    same = values(estimate=effect.estimate, std_error=effect.std_error, sd=sd, measure="mean_difference")
    np.testing.assert_allclose(row[["risk_ratio", "e_value"]], same[["risk_ratio", "e_value"]])
    np.testing.assert_allclose(row["e_value_interval"], same["e_value_interval"], rtol=2e-3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"estimate": -1.0}, "estimate must be a number above 0"),
        ({"estimate": 2.0, "measure": "rr"}, "measure='rr' is not known"),
        ({"estimate": 2.0, "std_error": 1.0}, "are for mean differences"),
        ({"estimate": 2.0, "conf_low": 2.5}, "does not hold the estimate"),
        ({"estimate": 2.0, "conf_low": 1.0, "measure": "mean_difference"}, "is given by std_error="),
    ],
)
def test_wrong_settings_are_refused(settings, words):
    with pytest.raises(CausalArgumentError, match=words):
        values(**settings)


def test_effects_without_two_means_are_refused():
    frame = trial()
    effect = frame.causal.ate(treatment="arm", outcome="y", covariates=["x"], estimator=RegressionAdjustment())
    with pytest.raises(CausalError, match="no differences of two means"):
        effect.transform(np.exp).sensitivity("e_value")
    with pytest.raises(CausalError, match="pandas_causal.e_value"):
        effect.compact().sensitivity("e_value")
