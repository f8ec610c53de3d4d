"""Levels of a treatment."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.errors import CausalDataError
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
