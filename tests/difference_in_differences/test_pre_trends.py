"""Power of pre-trend tests: against the normal probabilities it stands for, and by simulation."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from pandas_causal.difference_in_differences.pre_trends import pre_trend_power
from pandas_causal.errors import CausalArgumentError
from tests.difference_in_differences.test_honest_bounds import event_effect
from tests.effect.examples import with_rows


def rectangle(effect, slope, n_pre=3, reference=-1):
    """Probability that no period before treatment is significant, from the normal law itself."""
    events = effect.estimates.index[:n_pre].to_numpy()
    V = effect.vcov.to_numpy()[:n_pre, :n_pre]
    width = norm.ppf(0.975) * np.sqrt(np.diag(V))
    return multivariate_normal.cdf(width, slope * (events - reference), V, lower_limit=-width, abseps=1e-7)


def test_slopes_have_the_power_asked_for():
    effect = event_effect()
    table = pre_trend_power(effect, powers=[0.5, 0.8]).table
    for power, slope in zip([0.5, 0.8], table.index, strict=True):
        assert 1 - rectangle(effect, slope) == pytest.approx(power, abs=2e-3)
        assert table.loc[slope, "power_any"] == pytest.approx(power, abs=1e-3)
        assert table.loc[slope, "bias"] == pytest.approx(slope)  # one period after the reference


def test_joint_power_and_bias_after_passing_by_simulation():
    effect = event_effect()
    slope = 0.08
    row = pre_trend_power(effect, slopes=[slope], target="average").table.loc[slope]
    V = effect.vcov.drop(index=-1, columns=-1).to_numpy()
    rng = np.random.default_rng(5)
    trend = slope * np.array([-3, -2, -1, 1, 2, 3])
    beta = trend + rng.multivariate_normal(np.zeros(6), V, size=200_000)
    pre, V_pre = beta[:, :3], V[:3, :3]
    wald = np.einsum("ij,jk,ik->i", pre, np.linalg.inv(V_pre), pre)
    passed = (np.abs(pre) <= norm.ppf(0.975) * np.sqrt(np.diag(V_pre))).all(axis=1)
    assert row["power_joint"] == pytest.approx((wald > 7.814728).mean(), abs=4e-3)
    assert row["power_any"] == pytest.approx(1 - passed.mean(), abs=4e-3)
    assert row["bias"] == pytest.approx(2 * slope)
    assert row["bias_if_passed"] == pytest.approx(beta[passed][:, 3:].mean(), abs=2e-3)
    assert row["bias_if_passed"] > row["bias"]  # passing selects the samples that hide the trend


def test_no_trend_is_found_as_often_as_the_level_says():
    row = pre_trend_power(event_effect(events=(-2, -1, 0)), slopes=[0.0]).table.loc[0.0]
    assert row["power_any"] == pytest.approx(0.05, abs=1e-3)
    assert row["power_joint"] == pytest.approx(0.05, abs=1e-9)


def test_scale_and_summary():
    effect = event_effect()
    small = pre_trend_power(effect)
    scaled = with_rows(
        effect, values=1000 * effect.estimates, uncertainty=effect.uncertainty.linear(1000 * np.eye(len(effect)))
    )
    large = pre_trend_power(scaled)
    np.testing.assert_allclose(large.table.index, 1000 * small.table.index, rtol=1e-6)
    assert "goes unnoticed in 50% of samples" in small.summary


@pytest.mark.parametrize("setting", [{"powers": [0.0]}, {"powers": [1.2]}, {"level": 1.0}, {"slopes": [np.nan]}])
def test_wrong_settings(setting):
    with pytest.raises(CausalArgumentError, match=next(iter(setting))):
        pre_trend_power(event_effect(), **setting)
