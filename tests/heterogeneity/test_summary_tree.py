"""One tree that sums effects up: rules, honest means, clusters, wrong settings."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from pandas_causal import DRLearner, TLearner
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.heterogeneity.summary_tree import leaf_rules
from tests.heterogeneity.designs import COVARIATES, confounded

MODELS = {"outcome_model": "linear", "propensity_model": "linear"}


def fit(model, X, y, roles=None):
    return model.fit(X, y, treatment="t", **(roles or {}))


def test_a_tree_sums_effects_up_honestly():
    frame = confounded(3_000, effect=lambda f: 2.0 * (f["a"] > 0)).assign(
        place=lambda f: np.where(f["b"] > 0, "north", "south")
    )
    X = frame[["a", "place", "c", "t"]]
    model = fit(DRLearner(**MODELS, final_model="boosting"), X, frame["y"])
    leaves = model.summary_tree(1)
    assert len(leaves) == 2
    assert leaves.table.index[0].startswith("a <= ")
    assert leaves.table.index[1].startswith("a > ")
    assert (np.abs(leaves.table["estimate"] - [0, 2]) < 4 * leaves.table["std_error"] + 0.2).all()
    told = leaves.diagnostics["leaves"].table
    assert told["n"].sum() == 1_500
    other = model.summary_tree(2, columns=["place"])
    assert set(other.table.index) in (
        {"place_north <= 0.5", "place_north > 0.5"},
        {"place_south <= 0.5", "place_south > 0.5"},
    )
    gap = leaves[[leaves.table.index[1]]].difference(leaves[[leaves.table.index[0]]])
    assert gap.std_error == pytest.approx(np.hypot(*leaves.table["std_error"]), rel=1e-6)


def test_a_tree_of_clusters_weights_and_wrong_settings():
    frame = confounded(800).assign(w=1.0 + np.arange(800) % 2, site=np.arange(800) // 8)
    model = fit(TLearner(**MODELS), frame[[*COVARIATES, "t", "w", "site"]], frame["y"],
                {"cluster": "site", "sample_weight": "w"})  # fmt: skip
    leaves = model.summary_tree(2)
    assert "clustered" in leaves.std_error_method
    assert 2 <= len(leaves) <= 4
    with pytest.raises(CausalArgumentError, match="depth"):
        model.summary_tree(0)
    with pytest.raises(CausalArgumentError, match="columns must be None"):
        model.summary_tree(1, columns="a")
    with pytest.raises(CausalDataError, match="the same for all rows"):
        model.summary_tree(1, columns=[])


def test_rules_say_the_bounds_of_each_leaf():
    x = np.arange(8.0)
    tree = DecisionTreeRegressor(max_depth=2).fit(np.column_stack([x, 0 * x]), np.repeat([0.0, 1, 5, 9], 2))
    assert sorted(leaf_rules(tree, ["a", "b"]).values()) == ["1.5 < a <= 3.5", "3.5 < a <= 5.5", "a <= 1.5", "a > 5.5"]
    stump = DecisionTreeRegressor(max_depth=1).fit(x[:, None], 0 * x)
    assert list(leaf_rules(stump, ["a"]).values()) == ["everyone"]
