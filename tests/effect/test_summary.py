import sys

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


def test_latex_holds_every_row_escaped(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    matrix = np.random.default_rng(0).normal(size=(30, 11))
    names = ["a_b", "5%", "x & y", "{z}", "~^\\", "$1", "#1", "[0, 5)", "*", "<1 | >2", "é"]
    effect = columns_effect(matrix, index=names)
    lines = effect.to_latex().splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrr}"
    assert lines[2] == r" & estimate & std. error & p & 95\% interval \\"
    rows = lines[4:15]
    assert [line.split(" & ")[0] for line in rows if r"\&" not in line] == [
        r"a\_b", r"5\%", r"\{z\}", r"\textasciitilde{}\textasciicircum{}\textbackslash{}", r"\$1", r"\#1", "{}[0, 5)",
        "{}*", r"$<$1 \textbar{} $>$2", "é",
    ]  # fmt: skip
    assert all(line.endswith(r" \\") and line.replace(r"\&", "").count("&") == 4 for line in rows)
    assert rows[0].split(" & ")[1] == digits(effect.table["estimate"].iloc[0])
    assert lines[15:] == [r"\bottomrule", r"\end{tabular}"]
    floating = effect.to_latex(caption="50% of it", label="tab:x").splitlines()
    assert floating[:4] == [r"\begin{table}", r"\centering", r"\caption{50\% of it}", r"\label{tab:x}"]
    assert floating[4:-1] == lines
    assert floating[-1] == r"\end{table}"
