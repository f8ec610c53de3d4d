"""Levels of a treatment."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inputs.arms import resolve_arms


def test_levels_that_print_alike_are_refused():
    mixed = pd.Series([0, 1, "0", 1, 0, 2], name="arm", dtype=object)
    with pytest.raises(CausalDataError, match="arm: holds 0 as int and as str, which print alike in 3 rows; give the"):
        resolve_arms(mixed)


@pytest.mark.parametrize("values", [[0, 1, 0.0], [True, False, 1], ["0", "1"], ["a", "b", "a"]], ids=str)
def test_equal_values_of_two_types_are_one_level(values):
    arms = resolve_arms(pd.Series(values, name="arm", dtype=object))
    assert len(arms.levels) == 2
    assert np.bincount(arms.codes).sum() == len(values)


@pytest.mark.parametrize(
    "control", [pd.DataFrame({"x": [1]}), np.array([1.0, 2.0]), pd.Series([0, 1]), [0], {0}], ids=repr
)
def test_a_control_that_is_no_label(control):
    with pytest.raises(CausalArgumentError, match="is no level of 'arm'"):
        resolve_arms(pd.Series([0, 1, 0, 1], name="arm"), control)


def test_a_control_of_another_type_is_told_the_type():
    with pytest.raises(CausalArgumentError, match=r"control='0' is no level of 'arm' \(did you mean 0 of type int\?"):
        resolve_arms(pd.Series([0, 1, 0, 1], name="arm"), "0")
