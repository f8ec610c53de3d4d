"""Diagnostics of panels: pre-trends by hand, cohort sizes, composition over time."""

import numpy as np
import pytest
from scipy import stats

from pandas_causal import CallawaySantAnna, ImputationDiD, StackedDiD, SunAbraham
from pandas_causal.difference_in_differences.pre_trends import pre_trends
from pandas_causal.errors import FewTreatedWarning
from tests.panels.designs import ROLES, staggered


@pytest.fixture(scope="module")
def frame():
    return staggered()


def test_pre_trends_are_hotellings_test_of_all_cells(frame):
    """W (G - r) / (G r) to F(r, G - r): the variance of influence functions brings no G / (G - 1)."""
    effect = frame.causal.did(**ROLES)
    rows = effect.table.index.get_level_values("event") < 0
    check = effect.diagnostics["pre_trends"]
    for name, tested in (
        ("cohorts and periods", effect[rows]),
        ("event times", effect.aggregate("event")[[-3, -2, -1]]),
    ):
        b, v = tested.estimates.to_numpy(), tested.vcov.to_numpy()
        r, G = len(b), 120
        statistic = b @ np.linalg.solve(v, b) * (G - r) / (G * r)
        row = check.table.loc[name]
        assert [row["statistic"], row["p_value"]] == pytest.approx([statistic, stats.f.sf(statistic, r, G - r)])
        words = f"F({r}, {G - r}) = {statistic:.2f}, " if name == "cohorts and periods" else "; by event "
        assert f"{words}p = {row['p_value']:.3f}" in check.summary
    assert check.table["effects"].tolist() == [6, 3]
    assert check.table["decides"].tolist() == [True, False]
    assert check.passed == (check.table["p_value"].iloc[0] >= 0.05)


EVERY = [CallawaySantAnna(), CallawaySantAnna(base_period="universal"),
         CallawaySantAnna(control_group="not_yet_treated"),
         SunAbraham(), ImputationDiD(), StackedDiD(pre_periods=3, post_periods=2)]  # fmt: skip


@pytest.mark.parametrize("estimator", EVERY, ids=str)
def test_trends_that_cancel_over_cohorts_fail(estimator):
    """Leads of +1 and -1 in two cohorts of one size: zero by event time, and plainly broken trends."""
    frame = staggered(n=300, periods=7, cohorts=(0, 4, 5))
    sign = frame["cohort"].map({0.0: 0, 4.0: 1, 5.0: -1})
    frame["y"] += sign * (frame["time"] - frame["cohort"] == -2)
    check = frame.causal.did(**ROLES, estimator=estimator).diagnostics["pre_trends"]
    assert check.passed is False
    assert check.table.loc["cohorts and periods", "p_value"] < 1e-6
    calm = staggered(n=300, periods=7, cohorts=(0, 4, 5)).causal.did(**ROLES, estimator=estimator)
    assert calm.diagnostics["pre_trends"].passed


def test_the_test_of_cells_is_one_whatever_the_estimator():
    """Without covariates in a balanced panel all estimators test the same restrictions."""
    frame = staggered(n=300, periods=7, cohorts=(0, 4, 5))
    same = [frame.causal.did(**ROLES, estimator=e).diagnostics["pre_trends"].table.iloc[0] for e in
            (EVERY[0], EVERY[1], EVERY[3], EVERY[4])]  # fmt: skip
    for row in same[1:]:
        assert row["statistic"] == pytest.approx(same[0]["statistic"])


@pytest.mark.parametrize("estimator", [EVERY[2], EVERY[4], EVERY[3]], ids=str)
def test_cohorts_that_are_each_others_comparison_are_counted_once(estimator):
    """Three cohorts, none never treated: nine changes of cohorts before treatment less four of periods leave five."""
    frame = staggered(n=90, periods=7, cohorts=(4, 5, 6))
    table = frame.causal.did(**ROLES, estimator=estimator).diagnostics["pre_trends"].table
    assert table.loc["cohorts and periods", "df_num"] == 5


def test_many_cells_of_few_units_leave_the_verdict_to_event_times():
    frame = staggered(n=48, periods=7, cohorts=(0, 4, 5, 6))
    check = frame.causal.did(**ROLES).diagnostics["pre_trends"]
    assert check.table["decides"].tolist() == [False, True]
    assert check.table["df_num"].tolist() == [9, 4]
    assert check.summary.startswith("9 cells are too many for 48 units; 4 event times, jointly zero: F(4, 44) = ")
    assert check.passed == (check.table.loc["event times", "p_value"] >= 0.05)


def test_a_broken_trend_fails(frame):
    drift = frame.assign(y=frame["y"] + 0.8 * frame["time"] * (frame["cohort"] > 0))
    check = drift.causal.did(**ROLES).diagnostics["pre_trends"]
    assert check.passed is False
    assert "p < 0.001" in check.summary


def test_reference_and_anticipated_periods_are_not_tested(frame):
    universal = frame.causal.event_study(**ROLES)
    assert pre_trends(universal).table["effects"].tolist() == [3]  # -4, -3, -2
    early = frame.causal.did(**ROLES, anticipation=1)
    assert early.diagnostics["pre_trends"].table["effects"].tolist() == [3, 2]


def test_a_panel_without_periods_before(frame):
    short = frame[frame["cohort"].isin([0, 3]) & frame["time"].isin([2, 3, 4])]
    check = short.causal.did(**ROLES).diagnostics["pre_trends"]
    assert check.passed is None
    assert "no period before treatment" in check.summary


@pytest.mark.filterwarnings("ignore:the clusters of .* are few or unequal")
def test_more_periods_than_clusters_cannot_be_tested():
    frame = staggered(n=40, periods=12, cohorts=(0, 9)).assign(block=lambda f: f["unit"].str[-1].astype(int) // 3)
    with pytest.warns(FewTreatedWarning):
        effect = frame.causal.did(**ROLES, cluster="block")
    check = effect.diagnostics["pre_trends"]
    assert check.passed is None
    assert check.table["p_value"].isna().all()
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
