"""Rules say on which side every value lies, missing ones too."""

import numpy as np
import pandas as pd

from pandas_causal.forests.binning import Binning
from pandas_causal.forests.growing import REGRESSION, GrowthRules, Sampling, TreeShape, grow_forest, regression_sums
from pandas_causal.forests.trees import node_rows, rule_of


def rules(x, y):
    """Rules and rows of the children of the root of a tree that splits once."""
    frame = pd.DataFrame({"x": x})
    binning = Binning.fit(frame)
    n = len(frame)
    codes = binning.encode(frame, n)
    forest = grow_forest(
        codes, binning, regression_sums(np.ones(n), np.asarray(y, dtype=float)[:, None]),
        TreeShape(REGRESSION, 0, 1, 1), GrowthRules(1, depth=1), Sampling.of(n, 1.0, 1.0, pairs=False), 1, 0,
    )  # fmt: skip
    return {rule_of(forest, node): node.rows for node in node_rows(forest, codes, 0)[1:]}


def test_missing_values_of_a_category_are_in_a_rule():
    x = np.repeat(["p", "q", None], 20)
    found = rules(x, np.repeat([0, 1, 1], 20))
    assert sorted(found) == ["x in p", "x in q or missing"]
    found = rules(x, np.repeat([0, 0, 1], 20))
    assert sorted(found) == ["x in p, q", "x missing"]


def test_cuts_of_neighbours_have_digits_enough():
    x = np.repeat([100001.0, 100002.0, 100003.0], 20)
    found = rules(x, np.repeat([0, 1, 1], 20))
    assert sorted(found) == ["x <= 100001", "x > 100001"]
    assert (x[found["x <= 100001"]] <= 100001).all()
