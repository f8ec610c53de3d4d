"""One preprocessor: numbers stay, labels become columns, missing values get an indicator, constants go."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.errors import CausalDataError, CausalWarning
from pandas_causal.inputs.encoding import Encoder

FRAME = pd.DataFrame(
    {
        "age": [30.0, 40.0, np.nan, 50.0],
        "dose": [1, 2, 3, 4],
        "smoker": [True, False, True, True],
        "region": ["b", "a", None, "b"],
        "size": pd.Categorical(["m", "s", "l", "m"], categories=["xs", "s", "m", "l"]),
        "same": [7, 7, 7, 7],
    }
)


def test_by_hand():
    encoder = Encoder.fit(FRAME)
    assert encoder.names == ["age", "age_missing", "dose", "smoker", "region_a", "region_missing", "size_s", "size_l"]
    assert encoder.dropped == ("same",)
    assert encoder.imputed == {"age": 1, "region": 1}
    expected = [
        [30, 0, 1, 1, 0, 0, 0, 0],
        [40, 0, 2, 0, 1, 0, 1, 0],
        [40, 1, 3, 1, 0, 1, 0, 1],
        [50, 0, 4, 1, 0, 0, 0, 0],
    ]
    matrix = encoder.transform(FRAME)
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix, expected)


CODINGS = {
    "nullable": {"age": "Float64", "dose": "Int8", "smoker": "boolean", "region": "string", "same": "UInt8"},
    "arrow": {
        "age": "double[pyarrow]",
        "dose": "int16[pyarrow]",
        "smoker": "bool[pyarrow]",
        "region": "string[pyarrow]",
        "same": "uint8[pyarrow]",
    },
    "object": {"region": object, "size": object},
    "category": {"region": "category"},
    "float32": {"dose": "float32"},
}


@pytest.mark.parametrize("dtypes", CODINGS.values(), ids=CODINGS.keys())
def test_every_dtype_gives_the_same_numbers(dtypes):
    coded = FRAME.astype(dtypes)
    if "size" in dtypes:  # strings are sorted, categories keep their order: another reference, the same columns
        coded["size"] = pd.Categorical(coded["size"], ["xs", "s", "m", "l"])
    np.testing.assert_array_equal(Encoder.fit(coded).transform(coded), Encoder.fit(FRAME).transform(FRAME))


def test_every_level():
    encoder = Encoder.fit(FRAME)
    X = encoder.transform(FRAME)
    levels = encoder.every_level
    assert levels.names == (
        "age", "age_missing", "dose", "smoker", "region_a", "region_b", "region_missing", "size_s", "size_m", "size_l",
    )  # fmt: skip
    matrix = levels.on(X)
    np.testing.assert_array_equal(matrix[:, 4:], [
        [0, 1, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 1], [0, 1, 0, 0, 1, 0],
    ])  # fmt: skip
    # the most frequent level first; a tie stays in category order
    ordered = encoder.for_learners
    assert ordered.names[4:] == ("region_b", "region_a", "region_missing", "size_m", "size_s", "size_l")
    np.testing.assert_array_equal(ordered.on(X)[:, 4:], matrix[:, [5, 4, 6, 8, 7, 9]])
    two = Encoder.fit(pd.DataFrame({"x": [1.0, 2, 3], "sex": ["m", "f", "m"]}))
    assert two.for_distances.names == ("x", "sex_f")
    assert two.for_learners.names == ("x", "sex_m", "sex_f")
    beside = two.every_level.beside(two.for_distances, 2)
    Z = two.transform(pd.DataFrame({"x": [1.0, 2, 3], "sex": ["m", "f", "m"]}))
    np.testing.assert_array_equal(beside.on(np.hstack([Z, Z])), [[1, 0, 1, 1, 0], [2, 1, 0, 2, 1], [3, 0, 1, 3, 0]])
    assert np.shares_memory(Encoder.fit(FRAME[["dose"]]).every_level.on(X[:, 2:3]), X)


@pytest.mark.parametrize(
    ("column", "gone"),
    [
        ([1.5] * 4, True),
        (["a"] * 4, True),
        ([True] * 4, True),
        (pd.array([1, 1, 1, 1], dtype="Int64"), True),
        (pd.Categorical(["a"] * 4, categories=["a", "b"]), True),
        (pd.array([True] * 4, dtype="boolean"), True),
        ([1.5, 1.5, np.nan, 1.5], False),  # whether it is missing varies
        (["a", None, "a", "a"], False),
        (pd.array([True, None, True, True], dtype="boolean"), False),
    ],
)
def test_constants(column, gone):
    frame = pd.DataFrame({"c": column, "x": [1.0, 2, 3, 4]})
    encoder = Encoder.fit(frame)
    assert encoder.dropped == (("c",) if gone else ())
    matrix = encoder.transform(frame)
    assert np.isfinite(matrix).all()
    assert (np.ptp(matrix, axis=0) > 0).sum() == (1 if gone else 2)


def test_new_rows():
    encoder = Encoder.fit(FRAME)
    new = FRAME.iloc[[1, 3]][["size", "region", "smoker", "dose", "age"]].assign(extra=1)
    np.testing.assert_array_equal(encoder.transform(new), encoder.transform(FRAME)[[1, 3]])
    with pytest.raises(
        CausalDataError, match=r"covariates \['dose'\] are missing from this X; it needs \['age', 'dose'"
    ):
        encoder.transform(new.drop(columns="dose"))


def test_levels_never_seen_warn_with_their_count():
    encoder = Encoder.fit(FRAME)
    with pytest.warns(CausalWarning, match=r"region: 2 rows hold a level .*never seen at fit.* reference level 'b'"):
        matrix = encoder.transform(FRAME.assign(region=["z", "a", "y", "b"]))
    np.testing.assert_array_equal(matrix[:, encoder.names.index("region_a")], [0, 1, 0, 0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("extra", [{}, {"region": ["a", "b", "a", "b"]}], ids=["floats", "mixed"])
def test_values_never_seen_are_refused(value, extra):
    frame = pd.DataFrame({"x": [1.0, 2, 3, 4], "z": [0.5, 1, 2, 9], **extra})
    encoder = Encoder.fit(frame)
    with pytest.raises(CausalDataError, match=r"covariates \['z'\] hold missing \(NaN\) or infinite \(inf\) values"):
        encoder.transform(frame.assign(z=[0.5, value, 2, 9]))


def test_huge_finite_values_are_no_infinity():
    frame = pd.DataFrame({"x": [1e308, 1.5e308, -1.0, 1.7e308]})
    np.testing.assert_array_equal(Encoder.fit(frame).transform(frame)[:, 0], frame["x"])


def test_floats_are_not_copied_and_the_frame_is_left_alone():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(5, 3)), columns=list("abc"))
    assert np.shares_memory(Encoder.fit(frame).transform(frame), frame.to_numpy())
    before = FRAME.copy(deep=True)
    Encoder.fit(FRAME).transform(FRAME)
    pd.testing.assert_frame_equal(FRAME, before)


def test_no_columns():
    frame = pd.DataFrame(index=range(4))
    assert Encoder.fit(frame).transform(frame).shape == (4, 0)


def test_labels_of_mixed_types_and_dates_of_no_order():
    frame = pd.DataFrame({"c": pd.Series([1, "a", 2.5, "a"], dtype=object)})
    assert Encoder.fit(frame).transform(frame).sum(axis=1).tolist() == [1, 0, 1, 0]
