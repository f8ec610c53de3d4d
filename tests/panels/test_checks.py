"""Diagnostics of panels: pre-trends by hand, cohort sizes, composition over time."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pandas_causal  # noqa: F401 - registers df.causal
from pandas_causal.difference_in_differences.pre_trends import pre_trends
from pandas_causal.errors import FewTreatedWarning
from tests.panels.designs import ROLES, staggered


@pytest.fixture(scope="module")
def frame():
    return staggered()


def test_pre_trends_are_walds_test(frame):
    effect = frame.causal.did(**ROLES)
    events = effect.aggregate("event")
    before = [e for e in events.estimates.index if e < 0]
    b, v = events.estimates[before].to_numpy(), events.vcov.loc[before, before].to_numpy()
    statistic = b @ np.linalg.solve(v, b)
    check = effect.diagnostics["pre_trends"]
    assert f"chi2({len(before)}) = {statistic:.2f}, p = {stats.chi2.sf(statistic, len(before)):.3f}" in check.summary
    assert check.passed == (stats.chi2.sf(statistic, len(before)) >= 0.05)
    pd.testing.assert_frame_equal(check.table, events.table.loc[before])


def test_a_broken_trend_fails(frame):
    drift = frame.assign(y=frame["y"] + 0.8 * frame["time"] * (frame["cohort"] > 0))
    check = drift.causal.did(**ROLES).diagnostics["pre_trends"]
    assert check.passed is False
    assert "p < 0.001" in check.summary


def test_reference_and_anticipated_periods_are_not_tested(frame):
    universal = frame.causal.event_study(**ROLES)
    assert [int(e) for e in pre_trends(universal).table.index] == [-4, -3, -2]
    early = frame.causal.did(**ROLES, anticipation=1)
    assert [int(e) for e in early.diagnostics["pre_trends"].table.index] == [-3, -2]


def test_a_panel_without_periods_before(frame):
    short = frame[frame["cohort"].isin([0, 3]) & frame["time"].isin([2, 3, 4])]
    check = short.causal.did(**ROLES).diagnostics["pre_trends"]
    assert check.passed is None
    assert "no period before treatment" in check.summary


def test_more_periods_than_clusters_cannot_be_tested():
    frame = staggered(n=40, periods=12, cohorts=(0, 9)).assign(block=lambda f: f["unit"].str[-1].astype(int) // 3)
    with pytest.warns(FewTreatedWarning):
        effect = frame.causal.did(**ROLES, cluster="block")
    check = effect.diagnostics["pre_trends"]
    assert check.passed is None
    assert "cannot be tested" in check.summary


def test_cohort_sizes(frame):
    check = frame.causal.did(**ROLES).diagnostics["cohorts"]
    assert check.passed
    assert check.table["share"].tolist() == [0.25] * 4
    few = staggered(n=60, cohorts=(0, 0, 0, 3, 3, 3, 4, 0, 0, 0))
    with pytest.warns(FewTreatedWarning):
        check = few.causal.did(**ROLES).diagnostics["cohorts"]
    assert check.passed is False
    assert "2 cohorts of 6 to 18 units; 1 of fewer than 10" in check.summary


def test_composition(frame):
    assert "every unit is seen in every period" in frame.causal.did(**ROLES).diagnostics["composition"].summary
    holes = frame.drop(index=frame.index[:36])
    check = holes.causal.did(**ROLES).diagnostics["composition"]
    assert check.passed is None
    assert "5.0% of unit-periods are missing" in check.summary
    sections = {k: v for k, v in ROLES.items() if k != "unit"}
    rng = np.random.default_rng(0)
    stable = frame[rng.random(len(frame)) < 0.7].causal.did(**sections).diagnostics["composition"]
    assert stable.passed
    frame = staggered(n=480)
    late = (frame["cohort"] == 3) & (frame["time"] >= 5)
    gone = frame[~late | (frame.groupby(["cohort", "time"]).cumcount() < 40)]
    check = gone.causal.did(**sections).diagnostics["composition"]
    assert check.passed is False
    assert check.table.to_numpy().sum() == len(gone) < len(frame)
    chi2 = stats.chi2_contingency(check.table)
    assert f"chi2({chi2.dof}) = {chi2.statistic:.1f}" in check.summary


def test_trends_are_weighted_means(frame):
    table = frame.causal.did(**ROLES, sample_weight="weight").diagnostics["trends"].table
    own = table[(table["cohort"] == 4) & (table["time"] == 5)].iloc[0]
    rows = frame[(frame["cohort"] == 4) & (frame["time"] == 5)]
    assert own["mean"] == pytest.approx(np.average(rows["y"], weights=rows["weight"]))
    assert own["n"] == 30
    assert own["treated"]
    assert not table[table["cohort"] == "never treated"]["treated"].any()
