"""Estimands: parameters, loadings, tilting functions, by hand."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.arms.estimands import (
    ESTIMANDS,
    common_support,
    in_words,
    plan_estimand,
    target_density,
    target_share,
)
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inputs.arms import resolve_arms

ARMS = resolve_arms(pd.Series(["a", "b", "c", "b", "a", "c"]))
E = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.1, 0.8]])


@pytest.mark.parametrize(
    ("estimand", "targets", "loadings"),
    [
        ("ATE", [(None, 0), (None, 1), (None, 2)], [[-1, 1, 0], [-1, 0, 1]]),
        ("ATO", [(None, 0), (None, 1), (None, 2)], [[-1, 1, 0], [-1, 0, 1]]),
        ("ATC", [(0, 0), (0, 1), (0, 2)], [[-1, 1, 0], [-1, 0, 1]]),
        ("ATT", [(1, 0), (1, 1), (2, 0), (2, 2)], [[-1, 1, 0, 0], [0, 0, -1, 1]]),
    ],
)
def test_parameters_and_loadings(estimand, targets, loadings):
    plan = plan_estimand(estimand, ARMS, "arm", tuple(ESTIMANDS))
    assert list(plan.targets) == targets
    np.testing.assert_array_equal(plan.loadings, loadings)
    assert list(plan.index) == ["b - a", "c - a"]
    assert plan.names.is_unique
    assert len(plan.names) == len(targets)


def test_unknown_estimands_name_the_legal_ones():
    with pytest.raises(CausalArgumentError, match="'ATE', 'ATT', 'ATC'"):
        plan_estimand("ATO", ARMS, "arm")


def test_tilting_functions_by_hand():
    np.testing.assert_allclose(target_density("ATE", None, E), 1)
    np.testing.assert_allclose(target_density("ATT", 2, E), E[:, 2])
    np.testing.assert_allclose(
        target_density("ATO", None, E), [1 / (2 + 10 / 3 + 5), 1 / (5 + 5 + 5 / 3), 1 / (10 + 10 + 1.25)]
    )
    two = np.array([[0.3, 0.7]])
    np.testing.assert_allclose(target_density("ATO", None, two), 0.21)  # e (1 - e) for two arms


def test_membership():
    codes = np.array([0, 1, 2])
    np.testing.assert_array_equal(target_share(1, codes, E, "ATT"), [0, 1, 0])
    np.testing.assert_array_equal(target_share(None, codes, E, "ATE"), [1, 1, 1])
    np.testing.assert_allclose(target_share(None, codes, E, "ATO"), target_density("ATO", None, E))


def test_common_support_looks_at_the_tail_that_matters():
    e1 = np.array([0.005, 0.01, 0.5, 0.985, 0.995])
    two = np.column_stack([1 - e1, e1])
    assert common_support("ATE", two, 0.02).tolist() == [False, False, True, False, False]
    assert common_support("ATT", two, 0.02).tolist() == [True, True, True, False, False]
    assert common_support("ATC", two, 0.02).tolist() == [False, False, True, True, True]
    assert common_support("ATE", two, 0.01).tolist() == [False, False, True, True, False]  # 0.01 itself is beyond
    assert common_support("ATO", E, 0.1).tolist() == [True, True, False]
    assert common_support("ATT", E, 0.1).tolist() == [True, True, False]
    assert common_support("ATC", E, 0.15).tolist() == [True, True, False]


def test_words():
    assert in_words("ATT", "treat", "re78") == "average treatment effect on the treated (ATT) of treat on re78"
