import numpy as np
import pandas as pd
import pytest

from pandas_causal import compare
from pandas_causal.effect.summary import digits, p_text
from pandas_causal.errors import CausalArgumentError
from tests.effect.examples import columns_effect, mean_effect


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1794.342, "1,790"),
        (0.0123456, "0.0123"),
        (-3.44, "-3.44"),
        (0, "0"),
        (1e-9, "1.00e-09"),
        (99.96, "100"),
        (12.34, "12.3"),
        (np.nan, "NaN"),
        (-np.inf, "-inf"),
    ],
)
def test_three_significant_digits(value, text):
    assert digits(value) == text


@pytest.mark.parametrize(("p", "text"), [(0.0004, "<0.001"), (0.0123, "0.012"), (np.nan, "NaN")])
def test_p_values_without_stars(p, text):
    assert p_text(p) == text


def test_compare_puts_single_effects_on_one_line_each():
    a, b = mean_effect([1, 2, 3], pd.RangeIndex(3)), mean_effect([2, 3, 5], pd.RangeIndex(3))
    table = compare({"naive": a, "adjusted": b})
    assert list(table.index) == ["naive", "adjusted"]
    assert table.loc["adjusted", "estimate"] == pytest.approx(10 / 3)
    several = compare({"a": columns_effect(np.eye(3))})
    assert several.index.nlevels == 2


@pytest.mark.parametrize("wrong", [[], {}, {"a": 1}])
def test_compare_takes_a_dict_of_effects(wrong):
    with pytest.raises(CausalArgumentError, match="dict of effects|not an Effect"):
        compare(wrong)
