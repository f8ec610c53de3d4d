"""Codes of one byte."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.errors import CausalDataError, CausalWarning
from pandas_causal.forests.binning import Binning


def test_few_values_are_their_own_bins_and_many_are_quantiles_that_are_values():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"few": rng.integers(0, 7, 5000), "many": rng.normal(size=5000)})
    few, many = Binning.fit(frame).columns
    assert few.edges.tolist() == list(range(7))
    assert len(many.edges) == 255
    assert np.isin(many.edges, frame["many"]).all()
    counts = np.bincount(Binning.fit(frame).encode(frame, 5000)[:, 1])
    assert counts.min() >= 15
    assert counts.max() <= 25


def test_weights_count():
    x = np.arange(1000.0)
    w = np.where(x < 500, 1e-6, 1.0)
    edges = Binning.fit(pd.DataFrame({"x": x}), w).columns[0].edges
    assert (edges < 500).sum() <= 2


@pytest.mark.parametrize("change", [np.exp, lambda x: x**3, lambda x: 2 * x - 7])
def test_monotone_maps_change_no_code(change):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=3000)})
    new = pd.DataFrame({"x": rng.normal(size=500)})
    one, two = Binning.fit(frame), Binning.fit(change(frame))
    np.testing.assert_array_equal(one.encode(frame, 3000), two.encode(change(frame), 3000))
    np.testing.assert_array_equal(one.encode(new, 500), two.encode(change(new), 500))


def test_missing_values_and_levels_have_bins():
    frame = pd.DataFrame({"x": [1.0, np.nan, 3.0], "c": ["b", None, "a"], "none": [np.nan] * 3})
    binning = Binning.fit(frame)
    assert binning.encode(frame, 3).tolist() == [[0, 1, 0], [2, 2, 0], [1, 0, 0]]
    assert binning.starts.tolist() == [0, 3, 6, 7]


def test_more_than_255_levels_are_refused_by_name():
    frame = pd.DataFrame(
        {"ok": np.arange(300) % 3, "town": [f"t{k}" for k in range(300)], "id": [f"{k}" for k in range(300)]}
    )
    with pytest.raises(CausalDataError, match=r"2 problems") as error:
        Binning.fit(frame)
    assert "town: has 300 levels, and forests take at most 255" in str(error.value)
    assert "id: has 300 levels" in str(error.value)
    Binning.fit(frame.iloc[:255])


def test_unseen_levels_are_read_as_missing_and_counted():
    binning = Binning.fit(pd.DataFrame({"c": list("aabb")}))
    with pytest.warns(CausalWarning, match="c: 2 rows hold a level never seen at fit; they are read as missing"):
        codes = binning.encode(pd.DataFrame({"c": ["a", "z", "y"]}), 3)
    assert codes[:, 0].tolist() == [0, 2, 2]
