"""RandomTiming: difference in differences as one of its kind, Fisher's test by hand, bad input."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import CallawaySantAnna, DifferenceInDifferences, RandomTiming
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    CausalError,
    FewTreatedWarning,
    StandardErrorWarning,
)
from tests.panels.designs import ROLES, staggered


@pytest.fixture(scope="module")
def frame():
    return staggered(n=100)


@pytest.mark.parametrize("average", ["simple", "event", "cohort", "calendar"])
def test_with_beta_one_it_is_callaway_and_sant_anna(frame, average):
    """Units not yet treated, at the same weights; errors differ, since timing and not units are drawn."""
    ours = frame.causal.did(**ROLES, estimator=RandomTiming(average=average, adjustment="did"))
    theirs = frame.causal.did(**ROLES, estimator=CallawaySantAnna(control_group="not_yet_treated")).aggregate(average)
    if average in ("cohort", "calendar"):
        theirs = theirs.aggregate("overall")
    expected = theirs.estimates.to_numpy()[np.array([average != "event" or e >= 0 for e in theirs.estimates.index])]
    np.testing.assert_allclose(ours.estimates, expected, rtol=1e-10)


def test_two_groups_are_the_change_of_units(frame):
    two = frame[frame["cohort"].isin([0, 4]) & frame["time"].isin([3, 4])].assign(group=lambda f: f["cohort"] == 4)
    names = {"outcome": "y", "unit": "unit", "time": "time", "group": "group", "post": 4}
    ours = two.causal.did(**names, estimator=RandomTiming(adjustment="did"))
    welch = two.causal.did(**names, estimator=DifferenceInDifferences())
    assert ours.estimate == pytest.approx(welch.estimate)
    assert ours.std_error == pytest.approx(welch.std_error)
    sharper = two.causal.did(**names, estimator="random_timing")
    assert sharper.std_error < ours.std_error
    assert sharper.estimator.beta_["ATT"] != 1


def test_the_errors_are_those_of_the_contributions(frame):
    effect = frame.causal.event_study(**ROLES, estimator="random_timing")
    assert effect.estimates.index.tolist() == [0, 1, 2, 3]
    u = effect.uncertainty
    np.testing.assert_allclose(np.sqrt(np.square(u.contributions).sum(axis=0)), u.std_error(), rtol=0.05)
    single = frame.causal.did(**ROLES, estimator=RandomTiming(average="event"))
    pd.testing.assert_frame_equal(single.table, effect.table)
    effect.plot()


def one_treated(n=12, effect=3.0):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"unit": np.repeat(np.arange(n), 4), "time": np.tile([1, 2, 3, 4], n)})
    frame["cohort"] = np.where(frame["unit"] == 5, 3.0, np.inf)
    frame["y"] = rng.normal(size=n)[frame["unit"]] + rng.normal(size=len(frame))
    frame["y"] += effect * (frame["time"] >= frame["cohort"])
    return frame


def test_fishers_test_of_one_treated_unit_by_hand():
    """Every unit plays the treated one; effects are accepted where it is not the most extreme of twelve."""
    frame = one_treated()
    fisher = RandomTiming(adjustment="did", inference="fisher")
    effect = frame.causal.did(**ROLES, estimator=fisher)
    wide = frame.pivot_table(index="unit", columns="time", values="y")

    def statistics(shift):
        y = wide.copy()
        y.loc[5, [3, 4]] -= shift
        change = y[[3, 4]].mean(axis=1) - y[2]
        return np.array([change[i] - change.drop(i).mean() for i in range(12)])

    found = statistics(0.0)
    assert effect.estimate == pytest.approx(found[5])
    assert effect.p_value == pytest.approx((np.abs(found) >= abs(found[5]) - 1e-12).mean())
    ((low, high),) = effect.confidence_set(0.9).to_numpy()
    for end, sign in ((low, 1), (high, -1)):
        for step, accepted in ((1e-4, True), (-1e-4, False)):
            t = np.abs(statistics(end + sign * step))
            assert ((t >= t[5] - 1e-12).mean() > 0.1) == accepted
    ((low, high),) = effect.confidence_set().to_numpy()  # twelve assignments reject nothing at 5%
    assert (effect.conf_low, effect.conf_high) == (low, high)
    assert not np.isfinite([low, high]).any()
    with pytest.raises(CausalError, match=r"no percentile interval.*confidence_set\(\)"):
        effect.interval()
    with pytest.raises(CausalDataError, match=r"1 cohorts have one unit \(the cohort of 3\).*inference='fisher'"):
        frame.causal.did(**ROLES, estimator="random_timing")


def test_the_warning_of_few_treated_names_what_there_is():
    with (
        pytest.warns(StandardErrorWarning),
        pytest.warns(FewTreatedWarning, match=r"RandomTiming\(adjustment='did', inference='fisher'\)"),
    ):
        one_treated().causal.did(**ROLES)
    fisher = one_treated().causal.did(**ROLES, estimator=RandomTiming(adjustment="did", inference="fisher"))
    assert fisher.warnings == ()


def test_studentised_tests_rank_t_statistics(frame):
    two = frame[frame["cohort"].isin([0, 4])]
    effect = two.causal.did(**ROLES, estimator=RandomTiming(inference="fisher", n_draws=200, random_state=7))
    assert "studentised estimates of 200 other assignments" in effect.std_error_method
    null = effect.uncertainty.values()[:, 0]
    normal = two.causal.did(**ROLES, estimator="random_timing")
    t = normal.estimate / normal.std_error
    assert np.std(null * t / effect.estimate) == pytest.approx(1, abs=0.15)  # of t statistics
    again = two.causal.did(**ROLES, estimator=RandomTiming(inference="fisher", n_draws=200, random_state=7))
    assert again.p_value == effect.p_value
    ((low, high),) = effect.confidence_set().to_numpy()
    assert low == pytest.approx(normal.conf_low, abs=0.2)
    assert high == pytest.approx(normal.conf_high, abs=0.2)


@pytest.mark.parametrize("average", ["simple", "event"])
@pytest.mark.parametrize("adjustment", ["efficient", "did"])
def test_the_table_shows_the_interval_of_fishers_test(frame, average, adjustment):
    fisher = RandomTiming(adjustment=adjustment, inference="fisher", average=average, n_draws=200, random_state=7)
    effect = frame.causal.did(**ROLES, estimator=fisher, level=0.9)
    ends = ["conf_low", "conf_high"]
    expected = effect.confidence_set(0.9).groupby(level=0, sort=False).agg({"conf_low": "min", "conf_high": "max"})
    assert np.isfinite(expected).to_numpy().all()
    np.testing.assert_array_equal(effect.table[ends], expected)
    assert (effect.table["conf_low"] < effect.table["estimate"]).all()
    assert (effect.table["estimate"] < effect.table["conf_high"]).all()
    by_rank = effect.uncertainty.p_value(effect.table["estimate"].to_numpy())
    np.testing.assert_array_equal(effect.table["p_value"], by_rank)
    zero_outside = (effect.table["conf_low"] > 0) | (effect.table["conf_high"] < 0)
    assert ((effect.table["p_value"] < 0.1) == zero_outside).all()
    assert "NaN" not in str(effect)
    if average == "event":
        np.testing.assert_array_equal(effect[1].table[ends], expected.loc[[1]])


@pytest.mark.parametrize("adjustment", ["efficient", "did"])
def test_outcomes_without_noise(frame, adjustment):
    """The effect itself is accepted and nothing beside it; rounding is no noise to divide by."""
    exact = frame.assign(y=0.3 * frame["time"] + 2.0 * frame["treated"])
    effect = exact.causal.did(**ROLES, estimator=RandomTiming(adjustment=adjustment, inference="fisher", n_draws=99))
    assert effect.p_value == pytest.approx(0.01)
    ((low, high),) = effect.confidence_set().to_numpy()
    assert (low, high) == pytest.approx((2, 2), abs=1e-6)


@pytest.mark.parametrize("adjustment", ["efficient", "did", "none"])
def test_invariances(frame, adjustment):
    def numbers(f, **roles):
        return f.causal.did(**{**ROLES, **roles}, estimator=RandomTiming(adjustment=adjustment)).table.to_numpy()[0, :2]

    plain = numbers(frame)
    np.testing.assert_allclose(numbers(frame.sample(frac=1, random_state=1)), plain, rtol=1e-9)
    np.testing.assert_allclose(numbers(frame.assign(y=-3 * frame["y"] + 5)), plain * [-3, 3], rtol=1e-9)
    late = frame.assign(cohort=frame["cohort"].replace(0, 99))  # later than the last period: untreated throughout
    np.testing.assert_allclose(numbers(late), plain, rtol=1e-9)
    moved = frame.assign(y=frame["y"] + 1e7 + frame["time"] ** 3)  # periods are taken out before anything is squared
    np.testing.assert_allclose(numbers(moved), plain, rtol=1e-5)


def test_random_timing_is_checked_by_levels_and_trends(frame):
    passed = frame.assign(y=np.random.default_rng(0).normal(size=len(frame))).causal.did(
        **ROLES, estimator="random_timing"
    )
    check = passed.diagnostics["random_timing"]
    assert check.passed
    assert check.table["effects"].tolist() == [
        9,
        4,
    ]  # periods before the starts 3, 4, 5
    apart = frame.assign(y=frame["y"] + 2 * (frame["cohort"] == 4))
    check = apart.causal.did(**ROLES, estimator="random_timing").diagnostics["random_timing"]
    assert check.passed is False
    assert "cohorts beside the last, 9 cells before treatment, jointly zero" in check.summary


def test_what_it_refuses(frame):
    holes = frame.drop(index=frame.index[:3])
    with pytest.raises(CausalDataError, match=r"unit: \d units lack periods.*keep the units that are seen"):
        holes.causal.did(**ROLES, estimator="random_timing")
    with pytest.raises(CausalArgumentError, match="takes no covariates"):
        frame.causal.did(**ROLES, covariates=["x"], estimator="random_timing")
    with pytest.raises(CausalArgumentError, match="has no role 'cluster'"):
        frame.causal.did(**ROLES, cluster="site", estimator="random_timing")
    with pytest.raises(CausalArgumentError, match="average='weeks' is not known"):
        frame.causal.did(**ROLES, estimator=RandomTiming(average="weeks"))
    with pytest.raises(CausalArgumentError, match="needs unit="):
        frame.causal.did(outcome="y", time="time", cohort="cohort", estimator="random_timing")


def test_everyone_treated_at_last(frame):
    treated = frame[frame["cohort"] > 0]
    effect = treated.causal.did(**ROLES, estimator=RandomTiming(adjustment="did"))
    theirs = treated.causal.did(**ROLES, estimator=CallawaySantAnna(control_group="not_yet_treated"))
    assert effect.estimate == pytest.approx(theirs.aggregate("simple").estimate)
