"""The pictures of a discontinuity draw what their tables hold."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

import pandas_causal  # noqa: F401 - registers df.causal
from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting import discontinuity
from tests.discontinuity.designs import make


@pytest.fixture(scope="module")
def effect():
    frame = make()
    return frame.assign(x=frame["x"] + 5).causal.rdd(running="x", outcome="y", cutoff=5)


def test_the_estimands_own_picture_is_the_discontinuity(effect):
    ax = effect.plot()
    bins = effect.diagnostics["bins"].table
    drawn = np.concatenate([line.get_ydata() for line in ax.lines if line.get_marker() == "o"])
    np.testing.assert_allclose(np.sort(drawn), np.sort(bins["mean"]))
    assert ax.lines[0].get_xdata()[0] == 5  # the cutoff, in units of the running variable
    assert ax.get_xlabel() == "x"


@pytest.mark.parametrize("kind", ["density", "bandwidths", "placebo_cutoffs", "forest"])
def test_other_pictures(effect, kind):
    _, ax = plt.subplots()
    assert effect.plot(kind, ax=ax) is ax
    assert ax.get_xlabel()


def test_placebo_picture_marks_the_actual_cutoff(effect):
    ax = effect.plot("placebo_cutoffs")
    points = [line.get_xdata() for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points[0], effect.diagnostics["placebo_cutoffs"].table.index)
    assert list(points[1]) == [5]


def test_intervals_and_wrong_tables(effect):
    bins = effect.diagnostics["bins"].table
    ax = discontinuity(bins, intervals=True)
    assert len(ax.collections) == 2
    with pytest.raises(CausalArgumentError, match="the table has no columns"):
        discontinuity(bins.drop(columns="mean"))
    with pytest.raises(CausalArgumentError, match="draw one of"):
        effect.plot("love")
