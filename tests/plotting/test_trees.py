"""The picture of a tree."""

import pandas as pd
import pytest

from pandas_causal.errors import CausalError
from pandas_causal.plotting.trees import draw_tree

TABLE = pd.DataFrame(
    {
        "parent": [-1, 0, 0], "depth": [0, 1, 1], "rule": ["", "age <= 40", "age > 40"], "leaf": [False, True, True],
        "rows": [100, 60, 40], "share": [1.0, 0.6, 0.4], "effect": [0.1, 0.3, -0.2], "std_error": [0.1] * 3,
        "conf_low": [-0.1, 0.1, -0.4], "conf_high": [0.3, 0.5, 0.0],
    }
)  # fmt: skip


def test_a_box_a_node_and_a_line_a_branch():
    ax = draw_tree(TABLE)
    texts = [t.get_text() for t in ax.texts]
    assert texts[0] == "all rows\n100 rows (100%)\n0.1 [-0.1, 0.3]"
    assert texts[2] == "age > 40\n40 rows (40%)\n-0.2 [-0.4, 0]"
    assert len(ax.lines) == 2
    assert all(line.get_alpha() is None for line in ax.lines)


def test_another_table_is_refused():
    with pytest.raises(CausalError, match="tree_table"):
        draw_tree(TABLE.drop(columns="rule"))
