"""Numbers, dates and names, whatever type holds them."""

from datetime import date, datetime, time
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import pandas_causal
from pandas_causal.errors import CausalDataError
from pandas_causal.inputs.plain_columns import plain_column, plain_frame, select_columns
from tests.contract.data import COVARIATES, make


def objects(values):
    return pd.Series(values, dtype=object, name="v", index=range(5, 5 + len(values)))


@pytest.mark.parametrize(
    ("values", "dtype", "read"),
    [
        ([Decimal("1.5"), None, 2], "float64", [1.5, np.nan, 2.0]),
        ([Decimal("NaN"), Decimal("-0.25")], "float64", [np.nan, -0.25]),
        ([1, pd.NA], "float64", [1.0, np.nan]),
        ([Decimal(2**60 + 1), Decimal(3)], "int64", [2**60 + 1, 3]),
        ([Decimal(2**60 + 1), None], "Int64", [2**60 + 1, pd.NA]),
        ([2**63 + 1, 5], "uint64", [2**63 + 1, 5]),
        ([2**70 + 1, 2**70], "object", [2**70 + 1, 2**70]),
        ([date(2020, 2, 29), None], "datetime64[s]", [pd.Timestamp("2020-02-29"), pd.NaT]),
        (
            [date(9999, 12, 31)],
            "datetime64[s]",
            [pd.Timestamp("2000-01-01").as_unit("s").replace(year=9999, month=12, day=31)],
        ),
        (
            [date(2020, 1, 1), datetime(2020, 1, 2, 3)],
            "datetime64[us]",
            [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02 03:00")],
        ),
        (["a", 1.5], "object", ["a", 1.5]),
        ([[1], [2]], "object", [[1], [2]]),
    ],
)
def test_objects(values, dtype, read):
    given = objects(values)
    out = plain_column(given)
    assert str(out.dtype) == dtype
    assert out.index.equals(given.index)
    assert out.name == "v"
    assert all(a is b or (pd.isna(b) is True and pd.isna(a)) or a == b for a, b in zip(out, read, strict=True))
    assert given.dtype == object


def test_arrow():
    pa = pytest.importorskip("pyarrow", reason="Arrow columns need pyarrow")

    def column(values, kind=None):
        return plain_column(pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, type=kind))))

    assert column([Decimal("1.25"), None]).equals(pd.Series([1.25, np.nan]))
    assert pd.api.types.is_datetime64_any_dtype(column([date(2020, 1, 1), None]).dtype)
    assert column([[1], [2, 3]]).dtype == object
    assert column([{"a": 1}]).dtype == object
    assert column([b"ab"]).dtype == object
    assert column([time(3)]).dtype == object
    assert column([1, None]).dtype == pd.ArrowDtype(pa.int64())
    assert column(["a", "b"]).dtype == pd.ArrowDtype(pa.string())


def test_a_frame_is_itself_where_nothing_changes():
    frame = make()
    assert plain_frame(frame) is frame
    money = frame.assign(age=frame["age"].map(lambda v: Decimal(str(v))))
    assert plain_frame(money)["age"].equals(frame["age"])
    assert money["age"].dtype == object


@pytest.mark.parametrize("labels", [(True, False), (("a", "b"), "a"), (("y",), 3), (frozenset([1]), b"x")], ids=str)
def test_columns_of_any_name(labels):
    frame = pd.DataFrame(np.arange(6.0).reshape(2, 3))
    frame.columns = pd.Index([labels[0], "z", labels[1]], dtype=object, tupleize_cols=False)
    assert list(select_columns(frame, labels).columns) == list(labels)
    assert select_columns(frame, labels).to_numpy().tolist() == [[0.0, 2.0], [3.0, 5.0]]


# -- the same answer as from floats, in every role ----------------------------------------------------------


def money(s):
    return s.map(lambda v: Decimal(f"{v:.6f}"))


def numbers(effect):
    return effect.table[["estimate", "std_error"]].to_numpy()


@pytest.mark.parametrize("columns", [["age"], ["recovery"], ["medication"], ["weight"], ["site"], list("")], ids=str)
@pytest.mark.parametrize("arrow", [False, True], ids=["objects", "arrow"])
def test_decimals_are_numbers_in_every_role(columns, arrow):
    pa = pytest.importorskip("pyarrow", reason="Arrow columns need pyarrow") if arrow else None
    frame = make().round(6)
    other = frame.copy()
    for c in columns:
        values = money(frame[c])
        other[c] = (
            pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values.tolist())), index=frame.index) if pa else values
        )
    asked = {"treatment": "medication", "outcome": "recovery", "cluster": "site", "sample_weight": "weight"}
    for question in (
        lambda d: d.causal.ate(**asked, covariates=COVARIATES, estimator="regression"),
        lambda d: d.causal.ab_test(**asked),
        lambda d: d.causal.match(treatment="medication", outcome="recovery", covariates=COVARIATES),
        lambda d: d.causal.rdd(running="severity", outcome="recovery"),
    ):
        expected = question(frame)
        got = question(other)
        np.testing.assert_allclose(numbers(got), numbers(expected), rtol=1e-10)
        assert list(got.table.index) == list(expected.table.index)
    other.causal.validate(**asked, covariates=COVARIATES)


def panel(kind):
    """24 units over five years; `kind` makes a year what the time column holds."""
    rng = np.random.default_rng(2)
    unit, year = np.repeat(np.arange(24), 5), np.tile(np.arange(2000, 2005), 24)
    y = rng.normal(size=120) + 2 * ((unit < 12) & (year >= 2003))
    return pd.DataFrame(
        {
            "unit": unit,
            "year": pd.Series([kind(v) for v in year], dtype=object),
            "first": pd.Series([kind(2003) if u < 12 else None for u in unit], dtype=object),
            "y": y,
            "group": unit < 12,
        }
    )


@pytest.mark.parametrize("kind", [lambda v: date(v, 1, 1), lambda v: Decimal(int(v))], ids=["date", "Decimal"])
def test_dates_and_decimals_are_periods(kind):
    asked = {"outcome": "y", "time": "year", "unit": "unit"}
    plain, other = panel(int), panel(kind)
    expected = plain.causal.did(**asked, cohort="first")
    np.testing.assert_allclose(numbers(other.causal.did(**asked, cohort="first")), numbers(expected), rtol=1e-12)
    two = plain.causal.did(**asked, group="group", post=2003)
    np.testing.assert_allclose(
        numbers(other.causal.did(**asked, group="group", post=kind(2003))), numbers(two), rtol=1e-12
    )
    as_categories = other.assign(year=other["year"].astype("category"), first=other["first"].astype("category"))
    np.testing.assert_allclose(
        numbers(as_categories.causal.did(**asked, cohort="first")), numbers(expected), rtol=1e-12
    )


def test_a_running_date():
    rng = np.random.default_rng(3)
    days = rng.permutation(200)
    y = rng.normal(size=200) + (days >= 100)
    stamps = pd.DataFrame({"day": pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D"), "y": y})
    dates = stamps.assign(day=pd.Series([d.date() for d in stamps["day"]], dtype=object))
    cutoff = date(2020, 4, 10)
    a, b = (f.causal.rdd(running="day", outcome="y", cutoff=cutoff) for f in (stamps, dates))
    np.testing.assert_allclose(numbers(a), numbers(b), rtol=1e-12)


@pytest.mark.parametrize("kind", ["list", "struct", "map", "binary"])
@pytest.mark.parametrize("role", ["covariate", "cluster", "treatment", "strata"])
def test_arrow_columns_that_are_neither_numbers_nor_labels(kind, role):
    pa = pytest.importorskip("pyarrow", reason="Arrow columns need pyarrow")
    frame = make()
    values = {
        "list": pa.array([[1]] * len(frame)),
        "struct": pa.array([{"a": 1}] * len(frame)),
        "map": pa.array([[(1, 2)]] * len(frame), type=pa.map_(pa.int64(), pa.int64())),
        "binary": pa.array([b"a", b"b"] * (len(frame) // 2)),
    }[kind]
    frame["bad"] = pd.Series(pd.arrays.ArrowExtensionArray(values), index=frame.index)
    arms = {"treatment": "medication", "outcome": "recovery"}
    questions = {
        "covariate": lambda: frame.causal.ate(**arms, covariates=["bad"]),
        "cluster": lambda: frame.causal.ate(**arms, covariates=["age"], cluster="bad"),
        "treatment": lambda: frame.causal.ab_test(treatment="bad", outcome="recovery"),
        "strata": lambda: frame.causal.ab_test(**arms, strata="bad"),
    }
    with pytest.raises(CausalDataError, match=f"bad: {role} holds objects of type .* in {len(frame)} rows"):
        questions[role]()


def test_arrow_lists_as_unit():
    pa = pytest.importorskip("pyarrow", reason="Arrow columns need pyarrow")
    frame = panel(int)
    frame["unit"] = pd.Series(pd.arrays.ArrowExtensionArray(pa.array([[int(u)] for u in frame["unit"]])))
    with pytest.raises(CausalDataError, match="unit: unit holds objects of type"):
        frame.causal.did(outcome="y", time="year", unit="unit", cohort="first")


# -- names ----------------------------------------------------------


@pytest.mark.parametrize("x", [True, ("a", "b"), frozenset([1]), b"x"], ids=str)
@pytest.mark.parametrize("role", ["age", "medication", "recovery", "site", "weight"])
def test_any_label_is_a_name(x, role):
    frame = make()
    columns = {
        "age": "age",
        "medication": "medication",
        "recovery": "recovery",
        "site": "site",
        "weight": "weight",
        role: x,
    }
    other = frame.set_axis(pd.Index([columns.get(c, c) for c in frame], dtype=object, tupleize_cols=False), axis=1)

    def ask(d, names):
        arms = {"treatment": names["medication"], "outcome": names["recovery"]}
        roles = {"cluster": names["site"], "sample_weight": names["weight"]}
        d.causal.validate(**arms, **roles, covariates=[names["age"]])
        return np.vstack(
            [
                numbers(d.causal.ate(**arms, **roles, covariates=[names["age"], "severity"], estimator="regression")),
                numbers(d.causal.ab_test(**arms, **roles)),
                numbers(d.causal.match(**arms, covariates=[names["age"]])),
                numbers(d.causal.association(**arms)),
            ]
        )

    np.testing.assert_allclose(ask(other, columns), ask(frame, {c: c for c in columns}), rtol=1e-12)


def test_columns_named_true_and_false():
    frame = make()
    other = frame.rename(columns={"age": True, "medication": False})
    expected = frame.causal.ate(treatment="medication", outcome="recovery", covariates=["age"])
    got = other.causal.ate(treatment=False, outcome="recovery", covariates=[True])
    assert got.estimate == expected.estimate
    graph = pandas_causal.CausalGraph([(True, False), (True, "recovery"), (False, "recovery")])
    by_graph = other.causal.ate(treatment=False, outcome="recovery", graph=graph)
    assert by_graph.estimate == pytest.approx(expected.estimate, rel=1e-9)
    assert len(other.causal.do(graph, {False: 1})) == len(other)
    rows = other.causal.counterfactual(graph, {False: 1})
    assert (rows[False] == 1).all()


def test_weights_in_a_column_of_any_name_are_resampled():
    frame = make().rename(columns={"weight": 3})
    estimator = pandas_causal.DifferenceInMeans()
    columns = frame[["medication", 3]]
    drawn = pandas_causal.bootstrap(
        estimator, columns, frame["recovery"], treatment="medication", sample_weight=3, n_draws=20
    )
    assert np.isfinite(drawn.std_error)


# -- beyond 2**53 ----------------------------------------------------------


@pytest.mark.parametrize("start", [np.int64(2**60), np.uint64(2**63)], ids=["int64", "uint64"])
def test_whole_numbers_that_floats_would_merge(start):
    frame = make()
    ids = start + np.arange(len(frame)).astype(start.dtype)
    frame["id"] = ids
    arms = {"treatment": "medication", "outcome": "recovery"}
    with pytest.raises(CausalDataError) as error:
        frame.causal.ate(**arms, covariates=["age", "id"])
    (problem,) = error.value.problems  # neither constant nor the outcome's copy
    assert (problem.column, problem.count) == ("id", len(frame) - 1)
    assert "s - s.min()" in str(error.value)
    shifted = frame.assign(id=frame["id"] - frame["id"].min())
    assert np.isfinite(shifted.causal.ate(**arms, covariates=["age", "id"]).estimate)
    with pytest.raises(CausalDataError, match="id: outcome holds whole numbers beyond 2\\*\\*53.*in 119 rows"):
        frame.causal.ab_test(treatment="medication", outcome="id")
    with pytest.raises(CausalDataError, match="id: value holds whole numbers beyond 2"):
        frame.causal.check_graph("id -> medication; medication -> recovery")


@pytest.mark.parametrize("start", [np.int64(2**60), np.uint64(2**63), 2**70], ids=["int64", "uint64", "object"])
def test_ids_stay_distinct(start):
    frame = make()
    frame["id"] = pd.Series([start + type(start)(s) for s in frame["site"]], index=frame.index)
    asked = {"treatment": "medication", "outcome": "recovery", "covariates": ["age"], "estimator": "regression"}
    assert frame["id"].nunique() == 12
    expected = frame.causal.ate(**asked, cluster="site").std_error
    assert frame.causal.ate(**asked, cluster="id").std_error == pytest.approx(expected, rel=1e-12)
    long = panel(int)
    expected = long.causal.did(outcome="y", time="year", unit="unit", cohort="first")
    ids = long.assign(unit=pd.Series([start + type(start)(u) for u in long["unit"]], index=long.index))
    got = ids.causal.did(outcome="y", time="year", unit="unit", cohort="first")
    np.testing.assert_allclose(numbers(got), numbers(expected), rtol=1e-12)


def test_exact_whole_numbers_beyond_are_allowed():
    frame = make().assign(when=lambda d: 1_700_000_000_000_000_000 + 10**9 * (d["site"] * 86_400))  # ns since 1970
    asked = {"treatment": "medication", "outcome": "recovery", "estimator": "regression"}
    expected = frame.causal.ate(**asked, covariates=["site"])
    assert frame.causal.ate(**asked, covariates=["when"]).estimate == pytest.approx(expected.estimate, rel=1e-6)


def test_differences_of_rounding_are_no_variation():
    frame = make()
    frame["sum"] = np.where(np.arange(len(frame)) % 2, 0.1 + 0.2, 0.3)
    arms = {"treatment": "medication", "outcome": "recovery"}
    with pytest.raises(CausalDataError, match="sum: covariate differs by no more than rounding"):
        frame.causal.ate(**arms, covariates=["sum"])
    with pytest.raises(CausalDataError, match="sum: outcome differs by no more than rounding"):
        frame.causal.ab_test(treatment="medication", outcome="sum")


def test_time_beyond():
    frame = panel(lambda v: 2**60 + int(v))
    with pytest.raises(CausalDataError, match="year: time holds whole numbers beyond"):
        frame.causal.did(outcome="y", time="year", unit="unit", cohort="first")
