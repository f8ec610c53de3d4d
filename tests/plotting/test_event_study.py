"""The pictures of staggered treatment draw what their tables hold."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

import pandas_causal  # noqa: F401 - registers df.causal
from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting import event_study, group_time, trends
from tests.panels.designs import ROLES, staggered


@pytest.fixture(scope="module")
def frame():
    return staggered(n=80)


@pytest.fixture(scope="module")
def effect(frame):
    return frame.causal.did(**ROLES)


def points(ax):
    """Event times and estimates drawn as points, in order."""
    drawn = [(x, y) for line in ax.lines if line.get_marker() == "o" for x, y in zip(*line.get_data(), strict=True)]
    return np.array(sorted(drawn))


def test_the_estimands_own_picture_is_the_event_study(effect):
    events = effect.aggregate("event")
    drawn = events.plot()
    at = points(drawn)
    assert at[:, 0].tolist() == list(events.estimates.index)
    np.testing.assert_allclose(at[:, 1], events.estimates)
    assert drawn.get_ylabel() == "effect on y"
    segments = np.vstack([c.get_segments() for c in drawn.collections])
    band, table = events.interval(simultaneous=True), events.table
    ends = {tuple(np.round(s[:, 1], 10)) for s in segments}
    for low, high in [*zip(band["conf_low"], band["conf_high"], strict=True),
                      *zip(table["conf_low"], table["conf_high"], strict=True)]:  # fmt: skip
        assert (round(low, 10), round(high, 10)) in ends


@pytest.mark.parametrize(
    "options",
    [{}, {"control_group": "not_yet_treated"}, {"anticipation": 1}, {"covariates": ["x"], "cluster": "site"}],
    ids=str,
)
def test_did_and_event_study_draw_one_picture(frame, options):
    """Whatever the base of the cells: pictures of one study compare every period with the last before treatment."""
    study = frame.causal.event_study(**ROLES, **options)
    pictures = [frame.causal.did(**ROLES, **options).plot(), study.plot()]
    for ax in pictures:
        np.testing.assert_allclose(points(ax), np.c_[study.estimates.index.map(int), study.estimates], atol=1e-12)
        base = -1 - options.get("anticipation", 0)
        assert ax.get_xlabel() == f"periods since first treatment (all compared with {base})"
    segments = [np.vstack([c.get_segments() for c in ax.collections]) for ax in pictures]
    np.testing.assert_allclose(*segments)


def test_a_picture_of_varying_bases_says_so(effect):
    assert effect.aggregate("event").plot().get_xlabel().replace("\n", " ") == (
        "periods since first treatment (before 0: each compared with the one before it)"
    )


def test_the_picture_follows_clusters(frame, effect):
    by = frame.groupby("unit")["site"].first()
    clustered, study = effect.cluster(by), frame.causal.event_study(**ROLES).cluster(by)
    segments = [np.vstack([c.get_segments() for c in e.plot().collections]) for e in (clustered, study, effect)]
    np.testing.assert_allclose(segments[0], segments[1])
    assert not np.allclose(segments[0], segments[2])


def test_the_reference_is_hollow(frame):
    ax = frame.causal.event_study(**ROLES).plot()
    hollow = [line for line in ax.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "#ffffff"]
    assert len(hollow) == 1
    assert (hollow[0].get_xdata()[0], hollow[0].get_ydata()[0]) == (-1, 0)


def test_group_time_grid(effect):
    ax = effect.plot("group_time")
    grid = ax.images[0].get_array()
    assert grid.shape == (3, 5)
    assert grid[0, 1] == pytest.approx(effect.estimates.loc[(3, 3, 0)])
    texts = {(t.get_position()): t for t in ax.texts}
    assert len(texts) == 15
    low, high = effect.table.loc[(3, 6, 3), ["conf_low", "conf_high"]]
    assert (texts[(4, 0)].get_fontweight() == "bold") == (low > 0 or high < 0)
    starts = [line.get_xdata()[0] for line in ax.lines]
    assert starts == [0.5, 1.5, 2.5]


def test_raw_trends(effect, frame):
    ax = effect.plot("trends")
    names = [t.get_text() for t in ax.get_legend().get_texts()]
    assert names == ["3", "4", "5", "never treated"]
    mean = frame.groupby(["cohort", "time"])["y"].mean()
    lines = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    np.testing.assert_allclose(lines["4"].get_ydata(), mean[4])
    np.testing.assert_allclose(lines["never treated"].get_ydata(), mean[0])


def test_dates_are_named_on_the_axes(frame):
    def date(months):
        return pd.to_datetime("2020-" + months.astype("Int64").astype("string").str.zfill(2) + "-01", errors="coerce")

    dated = frame.assign(time=date(frame["time"]), cohort=date(frame["cohort"].where(frame["cohort"] > 0)))
    effect = dated.causal.did(**ROLES)
    for kind, first, slant in (("trends", "2020-01-01", 30), ("group_time", "2020-02-01", 0)):
        ax = effect.plot(kind)
        assert ax.get_xticklabels()[0].get_text() == first
        assert ax.get_xticklabels()[0].get_rotation() == slant


def test_given_axes_and_titles(effect):
    for draw, table in ((event_study, effect.aggregate("event").table), (group_time, effect.table),
                        (trends, effect.diagnostics["trends"].table)):  # fmt: skip
        _, ax = plt.subplots()
        assert draw(table, ax, title="named") is ax
        assert ax.get_title(loc="left") == "named"
        with pytest.raises(CausalArgumentError, match="the picture draws effect"):
            draw(table.iloc[:, :0])


def test_wrong_kinds_are_answered_with_the_legal_ones(effect):
    with pytest.raises(CausalArgumentError, match="'forest', 'trends', 'event_study', 'group_time'"):
        effect.plot("events")
    with pytest.raises(CausalArgumentError, match="needs effects by cohort and period"):
        effect.aggregate("cohort").plot("group_time")
    assert effect.aggregate("cohort").plot().get_xlabel() == "effect on the treated of y, by cohort"
