"""Grouped effects over splits, and learners side by side."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import AIPW, DRLearner, LinearDML, TLearner, compare_learners, grouped_effects
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.heterogeneity.splits import median_over_splits
from tests.heterogeneity.designs import COVARIATES, confounded

FRAME = confounded(900)
X, Y = FRAME[[*COVARIATES, "t"]], FRAME["y"]
LINEAR = DRLearner(outcome_model="linear", propensity_model="linear", final_model="linear")


def test_medians_by_hand():
    estimates, errors = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [1.0], [1.0]])
    table = median_over_splits(estimates, errors, 0.95)
    assert table["estimate"].iloc[0] == 2.0
    assert table["conf_low"].iloc[0] == pytest.approx(2 - 2.2414, abs=1e-4)  # the 98.75% point of the normal
    assert table["p_value"].iloc[0] == pytest.approx(2 * 0.0455, abs=1e-4)
    assert median_over_splits(np.zeros((3, 1)), np.ones((3, 1)), 0.9)["p_value"].iloc[0] == 1.0


def test_groups_projection_and_who_they_are():
    found = grouped_effects(LINEAR, X, Y, treatment="t", n_splits=5, groups=4, progress=False)
    assert found.groups.index.tolist() == [
        "least affected", "group 2", "group 3", "most affected", "most less least",
    ]  # fmt: skip
    quarter = FRAME["effect"].groupby(pd.qcut(FRAME["effect"], 4), observed=True).mean().to_numpy()
    inside = (found.groups["conf_low"].iloc[:4] < quarter) & (quarter < found.groups["conf_high"].iloc[:4])
    assert inside.all()
    assert found.groups["estimate"].iloc[:4].is_monotonic_increasing
    assert found.groups.loc["most less least", "p_value"] < 0.01
    assert found.projection.loc["heterogeneity", "estimate"] == pytest.approx(1.0, abs=0.3)
    who = found.characteristics
    assert who.loc[("a", "difference"), "conf_low"] > 1.0
    assert abs(who.loc[("c", "difference"), "estimate"]) < 0.4
    assert who.loc[("a", "difference"), "estimate"] == pytest.approx(
        who.loc[("a", "most affected"), "estimate"] - who.loc[("a", "least affected"), "estimate"], abs=0.1
    )
    assert "medians over 5 splits" in repr(found)
    again = grouped_effects(LINEAR, X, Y, treatment="t", n_splits=5, groups=4, progress=False)
    pd.testing.assert_frame_equal(found.groups, again.groups)


def test_without_heterogeneity_none_is_found():
    flat = confounded(900, seed=3, effect=lambda _: 1.0)
    found = grouped_effects(LINEAR, flat[[*COVARIATES, "t"]], flat["y"], treatment="t", n_splits=5, progress=False)
    assert found.projection.loc["heterogeneity", "p_value"] > 0.05
    assert found.projection.loc["average", "conf_low"] < 1 < found.projection.loc["average", "conf_high"]


def test_learners_side_by_side():
    models = {"outcome_model": "linear", "propensity_model": "linear"}
    learners = {
        "right": LinearDML(outcome_model="linear", treatment_model="linear", effect_modifiers=["a"]),
        "by arm": TLearner(**models),
        "constant": LinearDML(outcome_model="linear", treatment_model="linear", effect_modifiers=[]),
    }
    table = compare_learners(learners, X, Y, treatment="t", cv=3, **models)
    assert table.index[-1] == "constant"
    assert table["r_score"].is_monotonic_decreasing
    assert table.loc["right", "dr_score"] > table.loc["constant", "dr_score"]
    assert table.loc["constant", "spread_of_effects"] == pytest.approx(0.0, abs=1e-12)
    assert compare_learners([LINEAR], X, Y, treatment="t", cv=2, **models).index.tolist() == ["DRLearner"]


def test_bad_input():
    for call, message in (
        (lambda: grouped_effects(AIPW(), X, Y, treatment="t"), "learner must estimate effects for rows"),
        (lambda: grouped_effects(LINEAR, X, Y, treatment="no"), "holds the treatment; treatment='no'"),
        (lambda: grouped_effects(LINEAR, X.assign(t=np.arange(900) % 3), Y, treatment="t"), "has 3 levels"),
        (lambda: grouped_effects(LINEAR, X, Y, treatment="t", n_splits=1), "n_splits must be"),
        (lambda: grouped_effects(LINEAR, X, Y, treatment="t", share=1.5), "share must be"),
    ):
        with pytest.raises(CausalArgumentError, match=message):
            call()
    constant = LinearDML(outcome_model="linear", treatment_model="linear", effect_modifiers=[])
    with pytest.raises(CausalDataError, match="all the same in 2 of 2 splits"):
        grouped_effects(constant, X, Y, treatment="t", n_splits=2, propensity_model="linear", progress=False)


def test_groups_need_rows_and_outcomes_the_rows_of_x():
    with pytest.raises(CausalArgumentError, match="groups=300 of 450 held-out rows"):
        grouped_effects(LINEAR, X, Y, treatment="t", n_splits=2, groups=300, progress=False)
    with pytest.raises(CausalDataError, match="y: its index has the same labels in another order than X's"):
        grouped_effects(LINEAR, X, Y[::-1], treatment="t", n_splits=2, progress=False)
    with pytest.raises(CausalDataError, match="y: its index has the same labels in another order than X's"):
        compare_learners([LINEAR], X, Y[::-1], treatment="t")
    with pytest.raises(CausalDataError, match="y must have one value for each of the 900 rows"):
        grouped_effects(LINEAR, X, Y.to_numpy()[:-1], treatment="t", n_splits=2, progress=False)
