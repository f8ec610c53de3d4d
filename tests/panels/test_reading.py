"""Reading a panel: the same numbers for every coding, and one clear error for every kind of bad input."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import CallawaySantAnna
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.estimator import CausalEstimator
from pandas_causal.panels.periods import NEVER
from pandas_causal.panels.reading import read_panel
from tests.panels.designs import staggered

NAMES = {"unit": "unit", "time": "time", "cohort": "cohort"}


class Design(CausalEstimator):
    pass


def read(frame, missing="raise", settings=None, **roles):
    names = {k: v for k, v in {**NAMES, **roles}.items() if v is not None}
    columns = list(dict.fromkeys(v for v in names.values() if isinstance(v, str)))
    return read_panel(Design(), frame[columns], frame["y"], missing=missing, **names, **(settings or {}))


def small():
    """Units a, b, c over 2001 to 2003; a starts in 2002, b in 2003, c never."""
    index = pd.MultiIndex.from_product([["a", "b", "c"], [2001, 2002, 2003]], names=["unit", "time"])
    frame = pd.DataFrame({"y": np.arange(9.0) ** 1.5}, index=index).reset_index()
    frame["cohort"] = frame["unit"].map({"a": 2002, "b": 2003, "c": 0})
    frame["treated"] = ((frame["cohort"] > 0) & (frame["time"] >= frame["cohort"])).astype(int)
    return frame


def test_codes_and_order():
    frame = small().sample(frac=1, random_state=1)
    panel = read(frame)
    assert panel.unit.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert panel.time.tolist() == [0, 1, 2] * 3
    assert panel.cohort.tolist() == [1, 2, NEVER]
    assert panel.balanced
    assert panel.n_units == panel.n_periods == 3
    assert panel.units.labels.name == "unit"
    np.testing.assert_array_equal(panel.wide(), small()["y"].to_numpy().reshape(3, 3))
    assert frame.index[panel.order].equals(panel.row_labels)
    assert panel.treated.tolist() == [False, True, True, False, False, True, False, False, False]
    assert panel.event[:3].tolist() == [-1, 0, 1]


CODINGS = {
    "missing": lambda f: f.assign(cohort=f["cohort"].replace(0, np.nan)),
    "nullable missing": lambda f: f.assign(cohort=f["cohort"].replace(0, np.nan).astype("Int64")),
    "infinite": lambda f: f.assign(cohort=f["cohort"].replace(0, np.inf)),
    "nullable": lambda f: f.convert_dtypes(),
    "categories": lambda f: f.astype({"unit": "category", "time": "category", "cohort": "category"}),
    "texts": lambda f: f.astype({"time": str, "cohort": str}),
    "ordered": lambda f: f.assign(
        time=pd.Categorical(f["time"].map({2001: "z", 2002: "y", 2003: "x"}), ["z", "y", "x"], ordered=True),
        cohort=f["cohort"].map({2002: "y", 2003: "x"}),
    ),
    "dates": lambda f: f.assign(time=date(f["time"], "-06-30"), cohort=date(f["cohort"].replace(0, None), "-06-30")),
    "zoned": lambda f: f.assign(
        time=date(f["time"], "-06-30").dt.tz_localize("Europe/Paris"),
        cohort=date(f["cohort"].replace(0, None), "-06-30"),
    ),
    "months": lambda f: f.assign(
        time=pd.to_datetime("2001-" + (f["time"] - 2000).astype(str) + "-15"),
        cohort=pd.to_datetime("2001-" + (f["cohort"].replace(0, None) - 2000).astype("Int64").astype(str) + "-01",
                              errors="coerce"),
    ),
    "periods": lambda f: f.assign(
        time=pd.PeriodIndex(f["time"].astype(str), freq="Y"),
        cohort=pd.PeriodIndex(f["cohort"].replace(0, None).astype("Int64").astype("string"), freq="Y"),
    ),
    "dates beside periods": lambda f: f.assign(
        time=pd.PeriodIndex(f["time"].astype(str), freq="Y"), cohort=date(f["cohort"].replace(0, None), "-01-01")
    ),
    "every second year": lambda f: f.assign(time=2 * f["time"], cohort=2 * f["cohort"]),
    "around zero": lambda f: f.assign(time=f["time"] - 2002, cohort=(f["cohort"].replace(0, np.nan)) - 2002),
    "fractions": lambda f: f.assign(time=f["time"] / 10, cohort=f["cohort"] / 10),
}  # fmt: skip


def date(years, rest):
    return pd.to_datetime(years.astype("Int64").astype("string") + rest)


@pytest.mark.parametrize("coding", CODINGS)
def test_codings_of_time_and_never(coding):
    panel = read(CODINGS[coding](small()).sample(frac=1, random_state=0))
    assert panel.cohort.tolist() == [1, 2, NEVER]
    assert panel.time.tolist() == [0, 1, 2] * 3
    np.testing.assert_array_equal(panel.y, small()["y"])


INSIDE = {
    "numbers": (lambda y: y, lambda c: c + 0.5, "2002.5"),
    "dates": (lambda y: date(y, "-01-01"), lambda c: date(c, "-07-15"), "2002-07-15"),
    "other dates": (lambda y: date(y, "-06-30"), lambda c: date(c, "-07-15"), "2002-07-15"),
    "periods": (
        lambda y: pd.PeriodIndex(y.astype(str), freq="Y"),
        lambda c: date(c, "-05-05"),
        "2002-05-05",
    ),
    "longer periods": (
        lambda y: pd.PeriodIndex([f"2001-{v - 2000}" for v in y], freq="M"),
        lambda c: pd.PeriodIndex(c.astype("Int64").astype("string"), freq="Y"),
        "2002",
    ),
}


@pytest.mark.parametrize("kind", INSIDE)
def test_a_start_inside_a_period_is_refused_whatever_the_kind_of_time(kind):
    time, cohort, named = INSIDE[kind]
    frame = small()
    frame = frame.assign(time=time(frame["time"]), cohort=cohort(frame["cohort"].replace(0, None).astype(float)))
    with pytest.raises(CausalDataError, match=f"cohort: holds {named}, which is no period of time .* in 6 rows"):
        read(frame)


def test_a_date_inside_a_period_is_told_the_periods_beside_it():
    frame = small().assign(group=lambda f: f["unit"] == "a", time=lambda f: date(f["time"], "-01-01"))
    with pytest.raises(
        CausalArgumentError,
        match=r"'2002-03-01' is no period of time .*\(2002-01-01, the period it lies in or 2003-01-01, the next\)",
    ):
        read(frame, cohort=None, group="group", settings={"post": "2002-03-01"})


def test_starts_beyond_the_periods_seen_may_be_dated_as_those_are():
    """Ends of months lie 30 or 31 days into them."""
    frame = small()
    ends = pd.to_datetime(["2001-01-31", "2001-02-28", "2001-03-31"])
    frame["time"] = ends[frame["time"] - 2001]
    frame["cohort"] = frame["cohort"].map({2002: ends[1], 2003: pd.Timestamp("2001-04-30"), 0: pd.NaT})
    assert read(frame).cohort.tolist() == [1, 3, NEVER]


def grouped(**columns):
    return small().assign(group=lambda f: f["unit"] == "a", **columns)


@pytest.mark.parametrize("words", [{2001: "before", 2002: "after"}, {2001: "Pre", 2002: "Post"}])
def test_words_that_say_before_and_after_are_not_put_in_alphabetical_order(words):
    frame = grouped()[lambda f: f["time"] < 2003]
    frame["time"] = frame["time"].map(words)
    before, after = words.values()
    with pytest.raises(CausalDataError, match=rf"in alphabetical order: {after}, {before}\).*ordered=True"):
        read(frame, cohort=None, group="group", settings={"post": after})
    frame["time"] = pd.Categorical(frame["time"], [before, after], ordered=True)
    panel = read(frame, cohort=None, group="group", settings={"post": after})
    assert panel.cohort.tolist() == [1, NEVER, NEVER]
    assert panel.notes == ()


def test_an_alphabetical_order_of_words_is_said():
    frame = grouped(time=lambda f: f["time"].map({2001: "old", 2002: "new", 2003: "newest"}))
    panel = read(frame, cohort=None, group="group", settings={"post": "newest"})
    assert panel.notes == ("periods of time are words, taken in alphabetical order: new, newest, old",)
    with pytest.raises(CausalArgumentError, match=r"post= is the first period .*in alphabetical order: if that is not"):
        read(frame, cohort=None, group="group", settings={"post": "new"})


@pytest.mark.parametrize("flags", [True, [False, True], np.array([0, 1, 1] * 3), pd.Series([0.0, 1, 1] * 3)])
def test_flags_are_no_first_period(flags):
    with pytest.raises(CausalArgumentError, match=r"a value of time \(2001 to 2003\), and got flags"):
        read(grouped(), cohort=None, group="group", settings={"post": flags})
    zero = grouped(time=lambda f: f["time"] - 2001)
    assert read(zero, cohort=None, group="group", settings={"post": 1}).cohort.tolist() == [1, NEVER, NEVER]
    with pytest.raises(CausalArgumentError, match="post= is the first period"):
        read(zero, cohort=None, group="group", settings={"post": 0})


@pytest.mark.parametrize("post", ["soon", np.nan, 2002.5, np.inf])
def test_what_is_no_period(post):
    with pytest.raises(CausalArgumentError, match=r"is no period of time \(2001 to 2003\)"):
        read(grouped(), cohort=None, group="group", settings={"post": post})


def test_a_column_of_flags_is_answered_with_the_period_it_begins_in():
    frame = grouped(after=lambda f: f["time"] >= 2002)
    names = {"outcome": "y", "unit": "unit", "time": "time", "group": "group"}
    with pytest.raises(CausalArgumentError, match="'after' is a column of flags: give post=2002, the first that it"):
        frame.causal.did(**names, post="after")


def test_levels_of_the_index_are_no_columns():
    frame = small().set_index(["unit", "time"])
    names = {"unit": "unit", "time": "time", "cohort": "cohort"}
    with pytest.raises(CausalDataError, match=r"unit: is given as unit and is a level of the index.*reset_index\(\)"):
        frame.causal.did(outcome="y", **names)
    with pytest.raises(CausalDataError, match=r"X\.reset_index\(\), and y alike"):
        CallawaySantAnna().fit(frame[["cohort"]], frame["y"], **names)


def test_arrow():
    pytest.importorskip("pyarrow")
    for frame in (small(), CODINGS["dates"](small())):
        panel = read(frame.convert_dtypes(dtype_backend="pyarrow"))
        assert panel.cohort.tolist() == [1, 2, NEVER]


def test_treatment_gives_the_cohort():
    panel = read(small(), cohort=None, treatment="treated")
    assert panel.cohort.tolist() == [1, 2, NEVER]
    worded = small().assign(treated=np.where(small()["treated"] == 1, "on", "off"))
    panel = read(worded, cohort=None, treatment="treated")
    assert panel.cohort.tolist() == [1, 2, NEVER]
    assert panel.notes == ("treated: 'on' was read as treated, 'off' as untreated",)


@pytest.mark.parametrize("post", [2002, [2002, 2003], "2002-01-01", "2002"])
def test_group_and_post(post):
    frame = small().assign(group=lambda f: f["unit"] == "a")
    if isinstance(post, str):
        frame["time"] = date(frame["time"], "-01-01")
    panel = read(frame, cohort=None, group="group", settings={"post": post})
    assert panel.cohort.tolist() == [1, NEVER, NEVER]
    assert panel.group.tolist() == [1, 0, 0]
    assert panel.group_labels == (False, True)


def test_repeated_cross_sections():
    panel = read(small(), unit=None)
    assert not panel.is_panel
    assert not panel.balanced
    assert panel.n_units == 9
    assert panel.units.labels.equals(small().index)


def test_dropped_and_counted():
    frame = staggered(n=20, cohorts=(0, 1, 3, 9))
    panel = read(frame)
    assert panel.n_units == 15
    assert panel.facts["n_always_treated"] == 5
    assert any("5 units treated in the first period were left out" in note for note in panel.notes)
    assert any("5 units are first treated after the last period" in note for note in panel.notes)
    assert panel.never.sum() == 10
    assert read(frame, settings={"drop_always_treated": False}).n_units == 20
    y = frame["y"].where((frame["time"] != 2) | (frame["unit"] != "u00003"))
    panel = read(frame.assign(y=y), missing="drop")
    assert panel.facts["n_dropped"] == 1
    assert frame.index[panel.order].equals(panel.row_labels)
    np.testing.assert_array_equal(frame["y"].to_numpy()[panel.order], panel.y)


def test_gaps_of_a_unit_are_counted_not_refused():
    frame = small().drop(index=[4])
    panel = read(frame)
    assert panel.notes == ("the panel is unbalanced: 1 units lack 1 unit-periods",)
    assert np.isnan(panel.wide()[1, 1])
    assert not panel.balanced


@pytest.mark.filterwarnings("ignore:the clusters of .* are few or unequal")
def test_weights_and_clusters():
    frame = staggered(n=20)
    panel = read(frame, sample_weight="weight", cluster="site")
    assert panel.weight.mean() == pytest.approx(1)
    assert panel.unit_clusters()["site"].tolist() == np.repeat(np.arange(4), 5).tolist()
    some = frame.assign(weight=np.where(frame["unit"] == "u00003", 0, frame["weight"]))
    panel = read(some, sample_weight="weight")
    assert panel.n_units == 19
    assert "6 rows of weight 0 were left out" in panel.notes
    moving = read(frame.assign(site=frame["time"] % 2), cluster="site")
    with pytest.raises(CausalDataError, match="cluster changes within 20 units"):
        moving.unit_clusters()


BAD = {
    "two rows for a unit": (
        lambda f: pd.concat([f, f.iloc[[0, 0, 3]]], ignore_index=True), {},
        r"2 unit-period pairs have more than one row \(the first is 'a' in 2001\), surplus in 3 rows",
    ),
    "gap": (
        lambda f: f.assign(time=f["time"].replace(2003, 2004), cohort=0), {},
        "1 gap: no row lies between 2002 and 2004",
    ),
    "gap in dates": (
        lambda f: f.assign(time=date(f["time"].replace(2003, 2005), "-01-01")), {},
        "no row lies between 2002-01-01 and 2005-01-01",
    ),
    "one period": (lambda f: f[f["time"] == 2002], {}, "time has one period only"),
    "labels without order": (
        lambda f: f.assign(time=f["time"].map({2001: "t8", 2002: "t9", 2003: "t10"})), {}, "order is unclear",
    ),
    "cohort moves": (
        lambda f: f.assign(cohort=np.where(f.index == 4, 2002, f["cohort"])), {},
        r"cohort changes within 1 units \(the first is 'b'\)",
    ),
    "cohort between periods": (
        lambda f: f.assign(cohort=f["cohort"].replace(2002, 2002.5)), {}, "holds 2002.5, which is no period of time",
    ),
    "cohort of another kind": (
        lambda f: f.assign(cohort=date(f["cohort"].replace(0, None), "-01-01")), {}, "which is no period of time",
    ),
    "zero is ambiguous": (
        lambda f: f.assign(time=f["time"] - 2001, cohort=(f["cohort"] - 2001).clip(lower=0)), {},
        "0 may mean never treated or treated from period 0",
    ),
    "nobody treated": (lambda f: f.assign(cohort=0), {}, "no unit is first treated after the first period"),
    "all treated at once": (lambda f: f.assign(cohort=2001), {}, r"nothing to compare \(3 are treated in it already\)"),
    "switches off": (
        lambda f: f.assign(d=[0, 1, 0, 0, 0, 1, 0, 0, 0]), {"cohort": None, "treatment": "d"},
        r"switches off in 1 units \(the first is 'a' in 2003\), and Design is for .*; use DifferenceInDifferences",
    ),
    "a flag of units": (
        lambda f: f.assign(d=(f["unit"] == "a").astype(int)), {"cohort": None, "treatment": "d"},
        "treatment= never changes within any unit, so it flags treated units .*pass group= with post=",
    ),
    "three levels": (
        lambda f: f.assign(d=[0, 1, 2] * 3), {"cohort": None, "treatment": "d"}, "treatment has 3 levels",
    ),
    "group moves": (
        lambda f: f.assign(g=(f.index % 2)), {"cohort": None, "group": "g", "settings": {"post": 2002}},
        "group changes within 3 units",
    ),
    "missing outcome": (lambda f: f.assign(y=f["y"].where(f.index > 2)), {}, "outcome is missing .* in 3 rows"),
    "missing unit": (lambda f: f.assign(unit=f["unit"].where(f.index > 2)), {}, "unit is missing .* in 3 rows"),
    "missing time": (lambda f: f.assign(time=f["time"].where(f.index > 2)), {}, "time is missing .* in 3 rows"),
    "empty": (lambda f: f.iloc[:0], {}, "0 rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_data(case):
    change, roles, message = BAD[case]
    with pytest.raises(CausalDataError, match=message):
        read(change(small()), **roles)


ARGUMENTS = {
    "no timing": ({"cohort": None}, "needs exactly one of cohort= .*got none of them"),
    "two timings": ({"treatment": "treated"}, "got cohort= and treatment="),
    "group alone": ({"cohort": None, "group": "treated"}, "group= needs post="),
    "post alone": ({"settings": {"post": 2002}}, "post= goes with group="),
    "treatment of rows": ({"unit": None, "cohort": None, "treatment": "treated"}, "needs unit="),
    "missing": ({"missing": "ignore"}, "use 'raise' or 'drop'"),
    "post first": ({"cohort": None, "group": "g", "settings": {"post": 2001}}, "post= is the first period"),
    "post outside": ({"cohort": None, "group": "g", "settings": {"post": 2010}}, "post=2010 is outside"),
    "post with a hole": ({"cohort": None, "group": "g", "settings": {"post": [2002, 2002]}}, "2003 is missing"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_bad_arguments(case):
    roles, message = ARGUMENTS[case]
    frame = small().assign(g=lambda f: (f["unit"] == "a").astype(int))
    with pytest.raises(CausalArgumentError, match=message):
        read(frame, **roles)


def test_no_time():
    with pytest.raises(CausalArgumentError, match="needs time="):
        read_panel(Design(), small(), small()["y"], time=None, cohort="cohort")


def test_treatment_that_switches_off_is_kept_where_a_design_allows_it():
    frame = small().assign(d=[0, 1, 0, 0, 0, 1, 0, 0, 0])
    panel = read(frame, cohort=None, treatment="d", settings={"absorbing": False})
    assert panel.treated.tolist() == [bool(v) for v in frame["d"]]
    assert panel.cohort.tolist() == [1, 2, NEVER]


def test_no_never_treated_says_what_not_yet_treated_can_do():
    panel = read(small().iloc[:6])
    with pytest.raises(CausalDataError, match="effects of 1 of the 2 cohorts, before 2003, when the last one starts"):
        panel.require_never_treated()
    at_once = read(small().iloc[:6].assign(cohort=2002))
    with pytest.raises(CausalDataError, match="no comparison remains"):
        at_once.require_never_treated()


def test_a_start_that_was_not_seen_is_said():
    frame = small().assign(d=lambda f: f["treated"]).drop(index=[4])
    panel = read(frame, cohort=None, treatment="d")
    assert any("1 units are first seen treated after periods without a row" in note for note in panel.notes)
    late = small().drop(index=[3, 4])
    panel = read(late, cohort=None, treatment="treated")
    assert panel.n_units == 2
    assert any("1 units are treated in every row they have" in note for note in panel.notes)


def test_a_start_beyond_any_period_is_never_reached():
    """1e200 overflowed a whole number, with a warning of numpy."""
    frame = small()
    frame["cohort"] = frame["cohort"].astype(float).where(frame["unit"] != "a", 1e100)
    with pytest.raises(CausalDataError, match=r"cohort: holds 1\d*, which is no period of time"):
        read(frame)


def test_periods_of_more_digits_than_a_float_holds_are_labels():
    """As numbers they merged, and steps of 0 divided by 0."""
    frame = small()
    frame["time"] = [2**70 + int(t) for t in frame["time"]]
    frame["cohort"] = pd.Series([2**70 + int(c) if c else None for c in frame["cohort"]], dtype=object)
    assert read(frame).cohort.tolist() == [1, 2, NEVER]


def test_periods_that_print_alike_are_refused():
    frame = small()
    frame["time"] = [str(t) if k == 4 else t for k, t in enumerate(frame["time"])]
    with pytest.raises(CausalDataError, match="time: holds 2002 as int and as str, which print alike; give the column"):
        read(frame)
