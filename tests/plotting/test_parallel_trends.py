"""Honest bounds and the Bacon scatter draw what their tables hold."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting import bacon, honest_bounds


def test_bounds_are_drawn_as_intervals_and_open_ends_stay_inside():
    table = pd.DataFrame(
        {"conf_low": [0.1, -0.2, -np.inf], "conf_high": [0.4, 0.6, 0.9]},
        index=pd.Index([np.nan, 0.5, 1.0], name="bound"),
    )
    ax = honest_bounds(table)
    ends = [path.vertices[:, 1] for lines in ax.collections for path in lines.get_paths()]
    np.testing.assert_allclose(ends[:2], [[0.1, 0.4], [-0.2, 0.6]])
    assert ends[2][0] == ax.get_ylim()[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["parallel\ntrends", "0.5", "1"]
    with pytest.raises(CausalArgumentError, match="no columns"):
        honest_bounds(table.drop(columns="conf_low"))


def test_comparisons_are_points_and_their_average_a_line():
    table = pd.DataFrame(
        {
            "kind": ["never treated", "later treated", "already treated"],
            "weight": [0.5, 0.3, 0.2],
            "estimate": [1.0, 2.0, -1.0],
        }
    )
    _, given = plt.subplots()
    ax = bacon(table, given)
    assert ax is given
    points = [line for line in ax.lines if line.get_marker() in "o^X"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in points] == [(0.5, 1.0), (0.3, 2.0), (0.2, -1.0)]
    (dashed,) = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed.get_ydata()[0] == pytest.approx(0.9)
    assert "already treated (20% of the weight)" in ax.get_legend().get_texts()[-1].get_text()
