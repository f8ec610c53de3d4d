"""Intervals of a parameter between two bounds."""

import numpy as np
import pandas as pd
import pytest
from scipy import special

from pandas_causal.inference.identified_sets import IdentifiedSets, imbens_manski
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.rows import RowIdentity


def test_a_point_is_two_sided_and_a_wide_set_one_sided():
    one = np.array([1.0])
    low, high = imbens_manski(one, one, (0.1 * one, 0.1 * one), 0.95)
    assert (low[0], high[0]) == pytest.approx((1 - 0.196, 1 + 0.196), abs=1e-4)
    low, high = imbens_manski(one, 5 * one, (0.1 * one, 0.2 * one), 0.95)
    assert (low[0], high[0]) == pytest.approx((1 - 0.16449, 5 + 0.2 * 1.6449), abs=1e-4)


def test_critical_value_solves_its_equation():
    low, _ = imbens_manski(np.array([0.0]), np.array([0.1]), (np.array([0.1]), np.array([0.08])), 0.9)
    c = -low[0] / 0.1
    assert special.ndtr(c + 1.0) - special.ndtr(-c) == pytest.approx(0.9, abs=1e-10)


def test_a_known_bound_has_no_error():
    low, high = imbens_manski(np.array([-1.0]), np.array([1.0]), (np.zeros(1), np.zeros(1)), 0.95)
    assert (low[0], high[0]) == (-1.0, 1.0)


def test_crossed_bounds_are_a_point():
    low, high = imbens_manski(np.array([0.2]), np.array([0.0]), (np.array([0.1]), np.array([0.1])), 0.95)
    assert (low[0], high[0]) == pytest.approx((0.1 - 0.196, 0.1 + 0.196), abs=1e-4)


def test_clustered_errors_are_those_of_the_clusters():
    contributions = np.array([[0.1, 0.0], [0.1, 0.0], [-0.1, 0.1], [-0.1, -0.1]])
    u = Influence.from_contributions(np.array([0.0, 2.0]), contributions, RowIdentity(pd.RangeIndex(4)))
    sets = IdentifiedSets(u, pd.Index(["a"]))
    again = sets.clustered([np.array([0, 0, 1, 1])], u)
    assert again(0.95).loc["a", "conf_low"] < sets(0.95).loc["a", "conf_low"]
    assert again(0.95).loc["a", "conf_high"] == pytest.approx(2.0)
