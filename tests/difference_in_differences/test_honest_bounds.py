"""Honest bounds: against the definition, another solver and coverage under violations of known size."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from pandas_causal.difference_in_differences import honest_bounds as pt
from pandas_causal.difference_in_differences.event_study import EventStudy, read_event_study
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inference.reference import BoundedBias
from tests.effect.examples import columns_effect, mean_effect
from tests.statistical.draws import DRAWS, slack


def study(seed=1, n_pre=4, n_post=3, target=None):
    rng = np.random.default_rng(seed)
    p = n_pre + n_post
    A = rng.normal(size=(p, p))
    V = 0.01 * (A @ A.T / p + 0.5 * np.eye(p) + 0.5)
    beta = np.r_[rng.normal(0, 0.05, n_pre), 0.6 + 0.1 * np.arange(n_post)]
    return EventStudy(beta, V, n_pre, np.eye(n_post)[0] if target is None else np.asarray(target, dtype=float))


def event_effect(n=400, events=(-4, -3, -2, -1, 0, 1, 2), seed=0, slope=0.0, effect=0.5, reference=-1):
    """An event study of n units about one reference period, its row marked."""
    rng = np.random.default_rng(seed)
    events = np.array(events)
    truth = np.where(events >= 0, effect, 0.0) + slope * (events - reference)
    values = truth + rng.normal(size=(n, 1)) * 0.5 + rng.normal(size=(n, len(events)))
    values -= values[:, [int(np.flatnonzero(events == reference)[0])]]
    return columns_effect(values, pd.Index(events, name="event"), reference_rows=events == reference)


# Smoothness


def test_second_differences_get_the_weights_of_the_docstring():
    """``w'delta`` equals the weighted second differences for every delta, once linear trends cancel."""
    s = study(n_pre=4, n_post=3, target=[0.2, 0.3, 0.5])
    weights, bend = pt.smoothness_frontier(s)(0.01)
    distance = np.r_[-4:0, 1:4]
    assert weights @ distance == pytest.approx(0, abs=1e-12)
    by_bends, *_ = np.linalg.lstsq(s.bends.T, weights, rcond=None)
    np.testing.assert_allclose(s.bends.T @ by_bends, weights, atol=1e-10)
    assert np.abs(by_bends).sum() == pytest.approx(bend, abs=1e-10)


@pytest.mark.parametrize("bound", [0.0, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("target", [[1, 0, 0], [0, 0, 1], [1 / 3] * 3])
def test_shortest_interval_equals_a_general_minimiser(bound, target):
    s = study(3, target=target)
    low, high = pt.fixed_length_interval(s, bound, level=0.95)

    def half_length(k):
        weights = np.r_[k, target]
        bias = bound * np.abs(np.linalg.lstsq(s.bends.T, weights, rcond=None)[0]).sum()
        sd = np.sqrt(weights @ s.covariance @ weights)
        return sd * BoundedBias(bias / sd).critical(0.95, np.array([np.inf]))[0]

    linear = {"type": "eq", "fun": lambda k: k @ np.arange(-4, 0) + np.arange(1, 4) @ np.asarray(target)}
    rng = np.random.default_rng(0)
    found = [
        minimize(half_length, rng.normal(size=4), constraints=linear, method="SLSQP", options={"maxiter": 500})
        for _ in range(6)
    ]
    best = min(f.fun for f in found if f.success)
    assert (high - low) / 2 <= best + 1e-6  # SLSQP stops short at the kinks of the bias
    assert (high - low) / 2 == pytest.approx(best, rel=5e-3)


def test_linear_trend_is_extrapolated_exactly_under_no_bend():
    """One period before: the interval is the difference from the extrapolated line, by hand."""
    V = np.diag([0.04, 0.09])
    s = EventStudy(np.array([-0.3, 1.0]), V, 1, np.ones(1))
    low, high = pt.fixed_length_interval(s, 0.0, level=0.95)
    assert (low + high) / 2 == pytest.approx(1.0 - 0.3)
    assert (high - low) / 2 == pytest.approx(norm.ppf(0.975) * np.sqrt(0.13))


# Relative magnitudes


def test_bound_zero_is_the_usual_interval_up_to_the_hybrid():
    s = study(2)
    low, high = pt.relative_magnitudes_interval(
        s, 0.0, draws=np.random.default_rng(0).normal(size=(5000, 7)), level=0.95
    )
    assert (low + high) / 2 == pytest.approx(s.estimate, abs=0.1 * s.std_error)
    assert high - low == pytest.approx(2 * 1.96 * s.std_error, rel=0.15)


def test_identified_set_as_noise_vanishes():
    """With next to no noise the interval is estimate +- bound * largest change * periods."""
    beta = np.array([0.3, 0.1, 0.2, 1.0, 1.1])
    for target, reach in (([1.0, 0.0], 1), ([0.0, 1.0], 2), ([0.5, 0.5], 1.5)):
        s = EventStudy(beta, np.eye(5) * 1e-10, 3, np.array(target))
        draws = np.random.default_rng(0).normal(size=(1000, 5))
        low, high = pt.relative_magnitudes_interval(s, 0.5, draws=draws, level=0.95)
        assert (low, high) == pytest.approx((s.estimate - 0.1 * reach, s.estimate + 0.1 * reach), abs=2e-4)


def test_target_loadings_put_the_target_first():
    s = study(target=[0.2, 0.3, 0.5])
    loadings = pt.target_loadings(s)
    np.testing.assert_allclose(s.target @ loadings[s.n_pre :], [1, 0, 0], atol=1e-12)
    assert np.linalg.matrix_rank(loadings) == 3


def test_order_of_relative_bounds_and_scale():
    """Wider bounds, wider intervals; an outcome in other units, the same intervals in these."""
    s = study(5)
    draws = np.random.default_rng(0).normal(size=(2000, 7))
    intervals = [pt.relative_magnitudes_interval(s, b, draws=draws, level=0.95) for b in (0.5, 1, 2)]
    assert all(b[0] < a[0] and b[1] > a[1] for a, b in pairwise(intervals))
    scaled = EventStudy(1000 * s.beta, 1e6 * s.covariance, s.n_pre, s.target)
    np.testing.assert_allclose(
        pt.relative_magnitudes_interval(scaled, 1, draws=draws, level=0.95), 1000 * np.array(intervals[1]), rtol=1e-4
    )


# The public function


@pytest.mark.parametrize("restriction", pt.RESTRICTIONS)
def test_sensitivity_of_an_event_study(restriction):
    effect = event_effect()
    found = effect.sensitivity(restriction)
    assert isinstance(found, pt.HonestBounds)
    assert found.restriction == restriction
    first = found.table.iloc[0]
    row = effect.interval(0.95).loc[0]
    np.testing.assert_allclose(first.to_numpy(), row[["conf_low", "conf_high"]].to_numpy(dtype=float), rtol=1e-9)
    widths = (found.table["conf_high"] - found.table["conf_low"]).to_numpy()[1:]
    assert (np.diff(widths) > 0).all()
    # zero is excluded just below the breakdown value and not above it
    at = effect.sensitivity(restriction, bounds=[0.98 * found.breakdown, 1.05 * found.breakdown]).table
    assert at["conf_low"].iloc[1] > 0 > at["conf_low"].iloc[2]
    assert f"{found.breakdown:.3g}" in found.summary


def test_breakdown_of_no_effect_is_zero():
    found = event_effect(effect=0.0, seed=3).sensitivity("smoothness")
    assert found.breakdown == 0
    assert "not excluded under the smallest violation" in found.summary
    assert found.passed is False


def test_targets():
    effect = event_effect()
    one = read_event_study(effect, 2)
    np.testing.assert_array_equal(one.target, [0, 0, 1])
    np.testing.assert_allclose(read_event_study(effect, "average").target, [1 / 3] * 3)
    np.testing.assert_array_equal(read_event_study(effect, {0: 0.5, 2: 0.5}).target, [0.5, 0, 0.5])
    assert one.n_pre == 3
    np.testing.assert_allclose(one.covariance, effect.vcov.drop(index=-1, columns=-1))


def test_wrong_settings_and_data():
    effect = event_effect()
    with pytest.raises(CausalArgumentError, match="restriction='rm' is not known; use one of"):
        effect.sensitivity("rm")
    with pytest.raises(CausalArgumentError, match="bounds"):
        effect.sensitivity(bounds=[-1])
    with pytest.raises(CausalArgumentError, match=r"level=2.0 is not legal"):
        effect.sensitivity(level=2.0)
    with pytest.raises(CausalArgumentError, match="target=-2 names no period after treatment"):
        effect.sensitivity(target=-2)
    with pytest.raises(CausalArgumentError, match="finite number other than 0"):
        effect.sensitivity(target={0: 0.0})
    with pytest.raises(CausalArgumentError, match="no sensitivity analysis of its own"):
        mean_effect([1.0, 2.0, 3.0], [0, 1, 2]).sensitivity()
    with pytest.raises(CausalDataError, match="jump from 0 to 2"):
        effect[[-3, -2, -1, 0, 2]].sensitivity()
    with pytest.raises(CausalDataError, match="one reference period"):
        effect[[-3, -2, 0, 1]].sensitivity()
    with pytest.raises(CausalDataError, match="no period before the reference period"):
        effect[[-1, 0, 1]].sensitivity()


def coverage(restriction, bound, delta, draws, seed=0):
    """Share of intervals that hold the effect 0 when beta = delta + noise."""
    s = study(7, n_pre=3, n_post=2)
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(s.covariance)
    z = rng.standard_normal((2_000, 5))
    held = 0
    for _ in range(draws):
        one = EventStudy(delta + root @ rng.standard_normal(5), s.covariance, 3, s.target)
        if restriction == "smoothness":
            low, high = pt.fixed_length_interval(one, bound, level=0.95)
            held += low <= 0 <= high
        else:
            held += not pt.relative_magnitudes_excludes_zero(one, bound, draws=z, level=0.95)
    return held / draws


@pytest.mark.slow
def test_intervals_cover_under_the_worst_violation_and_usual_ones_do_not():
    draws, floor = DRAWS, 0.95 - slack(DRAWS)
    time = np.array([-3, -2, -1, 1, 2.0])
    bent = 0.15 * time + np.where(time > 0, 0.4 * time, 0)  # a slope that changes by 0.4 at the reference period
    assert coverage("smoothness", 0.4, bent, draws) >= floor
    assert coverage("smoothness", 0.0, bent, draws) < 0.9  # the linear trend alone is not enough
    stepped = np.array([0.5, 0.5, 0.0, 0.5, 1.0])  # changes by 0.5 before and after: at the bound 1
    assert coverage("relative_magnitudes", 1.0, stepped, draws) >= floor
    assert coverage("relative_magnitudes", 0.0, stepped, draws) < 0.5


def test_default_target_is_the_start_of_treatment():
    """With anticipation the reference period lies earlier, and periods before treatment follow it."""
    effect = event_effect(events=(-4, -3, -2, -1, 0, 1), reference=-2)
    np.testing.assert_array_equal(read_event_study(effect, None).target, [0, 1, 0])
