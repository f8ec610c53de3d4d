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
    curves = [line for line in ax.lines if line.get_marker() == "None" and len(line.get_xdata()) > 2]
    at_cutoff = [line.get_ydata()[line.get_xdata() == 5][0] for line in curves]
    assert at_cutoff[1] - at_cutoff[0] == pytest.approx(effect.estimate)  # what is drawn is the estimate
    shaded = ax.patches[0]
    ends = shaded.get_extents().transformed(ax.transData.inverted()).intervalx  # a rectangle, or a polygon before 3.9
    assert min(ends) == pytest.approx(5 - effect.facts["h_left"])
    assert max(ends) == pytest.approx(5 + effect.facts["h_right"])
    title = ax.get_title(loc="left")
    assert f"{effect.estimate:.2f}" in title or f"{effect.estimate:.3f}" in title
    assert "robust interval [" in title


@pytest.mark.parametrize(
    "options",
    [
        {"treatment": "took"},
        {"covariates": ["z1", "z2"]},
        {"treatment": "took", "covariates": ["z1"], "order": 2, "kernel": "uniform"},
        {"sample_weight": "weight", "bandwidth": (0.3, 0.4)},
    ],
    ids=str,
)
def test_curves_meet_the_cutoff_as_far_apart_as_the_estimate(options):
    effect = make().causal.rdd(running="x", outcome="y", **options)

    def jump(name):
        table = effect.diagnostics[name].table
        at = table[table["x"] == 0].set_index("side")["fit"]
        return at["right"] - at["left"]

    whole = jump("local_fit") / (jump("first_stage_fit") if "treatment" in options else 1)
    assert whole == pytest.approx(effect.estimate, rel=1e-9)
    if "treatment" in options:
        ax = effect.plot("first_stage")
        assert ax.get_ylabel() == "mean took by bin"
        assert "jump of took" in effect.plot().get_title(loc="left").replace("\n", " ")
        placebo = effect.plot("placebo_cutoffs")
        assert [list(line.get_xdata()) for line in placebo.lines if line.get_label() == "the cutoff"] == [[0.0]]


def test_the_global_polynomial_is_drawn_by_request(effect):
    ax = effect.plot("global_polynomial")
    assert "not the estimate" in ax.get_title(loc="left").replace("\n", " ")
    assert max(max(line.get_xdata()) for line in ax.lines) > 5 + effect.facts["h_right"]


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
