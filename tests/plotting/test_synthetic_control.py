"""The pictures of a synthetic comparison draw what their tables hold."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting import placebo_gaps, synthetic, unit_weights
from tests.synthetic_control.designs import ask, factor_panel


@pytest.fixture(scope="module")
def effect():
    return ask(factor_panel(0, n=14, n_periods=14, starts=(9,), effect=2.0, alike=False), estimator="sc")


def lines(ax):
    return {line.get_label(): np.asarray(line.get_ydata()) for line in ax.lines if len(line.get_ydata()) > 2}


def test_its_own_picture_is_actual_beside_synthetic(effect):
    ax = effect.plot()
    table = effect.diagnostics["gap"].table
    np.testing.assert_allclose(lines(ax)["actual"], table["actual"])
    np.testing.assert_allclose(lines(ax)["synthetic"], table["synthetic"])
    assert ax.lines[0].get_xdata()[0] == 8  # the last period before treatment
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time", "outcome")


def test_placebo_gaps_and_weights(effect):
    _, ax = plt.subplots()
    assert effect.plot("placebo_gaps", ax=ax) is ax
    np.testing.assert_allclose(lines(ax)["treated"], effect.diagnostics["gap"].table["gap"])
    assert len([line for line in ax.lines if len(line.get_xdata()) == 14]) == 14
    bars = effect.plot("unit_weights")
    drawn = sorted(patch.get_width() for patch in bars.patches)
    weights = effect.estimator.unit_weights_.iloc[:, 0]
    np.testing.assert_allclose(drawn, sorted(weights[weights > 1e-6]))
    assert effect.plot("forest").get_xlabel()


@pytest.mark.parametrize("time", ["dates", "labels"])
def test_other_periods(time):
    frame = factor_panel(0, n=8, n_periods=6, starts=(3,), alike=False)
    dates = pd.date_range("2021-01-01", periods=6, freq="MS")
    labels = pd.Categorical([f"wave {t}" for t in frame["time"]], ordered=True)
    frame["time"] = dates[frame["time"]] if time == "dates" else labels
    found = ask(frame, estimator="did")
    ax = found.plot()
    assert len(lines(ax)["actual"]) == 6
    if time == "labels":
        assert [t.get_text() for t in ax.get_xticklabels()] == [f"wave {t}" for t in range(6)]
    else:
        assert "2021-04-01 to 2021-06-01" in found.estimates.index[0]
    found.plot("placebo_gaps")


def test_several_starts_are_drawn_by_periods_since_treatment():
    found = ask(factor_panel(2, n=16, n_periods=14, starts=(8, 8, 11)), estimator="did", by_period=True)
    ax = found.plot()
    assert ax.get_xlabel() == "periods since treatment"
    np.testing.assert_allclose(lines(ax)["actual"], found.diagnostics["gap"].table["actual"])
    assert found.plot("placebo_gaps").get_xlabel() == "periods since treatment"


def test_wrong_tables(effect):
    gap = effect.diagnostics["gap"].table
    for draw in (synthetic, placebo_gaps, unit_weights):
        with pytest.raises(CausalArgumentError, match="no rows"):
            draw(gap.iloc[:0])
    with pytest.raises(CausalArgumentError, match="the table has no columns"):
        synthetic(gap.drop(columns="actual"))
    with pytest.raises(
        CausalArgumentError, match=r"draw one of \['forest', 'synthetic', 'placebo_gaps', 'unit_weights'\]"
    ):
        effect.plot("love")
