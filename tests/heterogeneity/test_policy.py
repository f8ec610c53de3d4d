"""Policies: exact trees against a scan of every tree, values with joint errors, budgets, bad input."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from pandas_causal import PolicyTree, treat_within_budget
from pandas_causal.errors import CausalArgumentError, CausalDataError, StandardErrorWarning
from pandas_causal.heterogeneity.policy import grow, policy_values, value_effect
from pandas_causal.inference.rows import RowIdentity
from tests.heterogeneity.designs import COVARIATES, confounded

MODELS = {"outcome_model": "linear", "propensity_model": "linear"}


def value_of(node, X, scores):
    return scores[np.arange(len(X)), node.arms(X)].sum()


def best_by_force(X, scores, depth, least=1):
    """Value of the best tree of a depth, by trying every one."""
    if len(X) < least:
        return -np.inf
    best = scores.sum(axis=0).max()
    if depth == 0:
        return best
    for j, cut in itertools.product(range(X.shape[1]), range(len(X))):
        below = X[:, j] <= X[cut, j]
        if below.sum() < least or (~below).sum() < least:
            continue
        parts = [best_by_force(X[side], scores[side], depth - 1, least) for side in (below, ~below)]
        best = max(best, sum(parts))
    return best


@pytest.mark.parametrize("seed", range(3))
def test_depth_one_and_two_are_exact(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(13, 2)).round(seed % 2)  # with ties and without
    scores = rng.normal(size=(13, 3))
    for depth in (0, 1, 2):
        for least in (1, 3):
            tree = grow(X, scores, depth, least)
            assert value_of(tree, X, scores) == pytest.approx(best_by_force(X, scores, depth, least), rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_skipping_loses_nothing(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(400, 3))
    scores = np.column_stack([np.zeros(400), 0.3 * X[:, 0] + rng.normal(size=400), rng.normal(size=400)])
    values = [value_of(grow(X, scores, 2, 5, skip=skip), X, scores) for skip in (True, False)]
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert value_of(grow(X, scores, 3, 5), X, scores) >= values[0]


def test_it_finds_a_rule_and_tells_it():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": rng.uniform(20, 80, 500), "sex": rng.choice(["f", "m"], 500)})
    best = np.where((X["age"] > 50) & (X["sex"] == "f"), "drug", "none")
    scores = pd.DataFrame({"none": np.zeros(500), "drug": np.where(best == "drug", 1.0, -1.0)}, index=X.index)
    tree = PolicyTree(depth=2).fit(X, scores)
    assert (tree.predict(X) == best).all()
    assert tree.value_ == pytest.approx((best == "drug").mean())
    assert "age <= 50" in tree.rules() or "age <= 49.9" in tree.rules()
    assert "give 'drug'" in tree.rules()
    assert PolicyTree(depth=0).fit(X, scores).rules() == "give 'none'"
    assert clone(tree).get_params() == {"depth": 2, "min_leaf": 1}
    weighted = PolicyTree(depth=0).fit(X, scores, sample_weight=np.where(best == "drug", 10.0, 1.0))
    assert weighted.rules() == "give 'drug'"


def test_values_of_policies_on_one_sample():
    frame = confounded(900, effect=lambda f: 2 * f["a"])
    call = {"treatment": "t", "outcome": "y", "covariates": COVARIATES, **MODELS}
    value = frame.causal.policy_value(
        {"tree": PolicyTree(1), "mine": lambda f: (f["a"] > 0).astype(int), "column": (frame["b"] > 0).astype(int)},
        **call,
    )
    assert value.table.index.tolist() == ["tree", "mine", "column", "all 0", "all 1"]
    scores = frame.causal.scores(**call)
    mine = np.where(frame["a"] > 0, scores[1], scores[0])
    assert value.estimates["mine"] == pytest.approx(mine.mean())
    assert value.table.loc["mine", "std_error"] == pytest.approx(mine.std() / np.sqrt(900), rel=1e-6)
    gain = value["mine"].difference(value["all 0"])
    assert gain.estimate == pytest.approx((mine - scores[0]).mean())
    assert gain.std_error == pytest.approx(np.std(mine - scores[0].to_numpy()) / 30, rel=1e-6)
    assert value.estimates["tree"] > value.estimates["all 1"]
    assert "cross-fitted" in value.std_error_method
    everybody = frame.causal.policy_value(1, **call)
    assert everybody.estimates["policy"] == everybody.estimates["all 1"]
    clustered = frame.assign(site=np.arange(900) // 3).causal.policy_value(1, **call, cluster="site", level=0.9)
    assert clustered.level == 0.9


def test_a_policy_is_judged_on_other_rows():
    frame = confounded(600, effect=lambda f: 2 * f["a"])
    call = {"treatment": "t", "outcome": "y", "covariates": COVARIATES, **MODELS}
    half, rest = frame.iloc[:300], frame.iloc[300:]
    tree = PolicyTree(1).fit(half[COVARIATES], half.causal.scores(**call))
    assert np.isfinite(rest.causal.policy_value(tree, **call).table.to_numpy()).all()
    with pytest.raises(CausalArgumentError, match="learned from 300 of these rows"):
        frame.causal.policy_value(tree, **call)


def test_budgets():
    effect, cost = np.array([4.0, 3.0, 2.0, -1.0]), np.array([4.0, 1.0, 1.0, 1.0])
    assert treat_within_budget(effect, cost, 2.0).tolist() == [False, True, True, False]
    assert treat_within_budget(effect, cost, 100.0).tolist() == [True, True, True, False]
    assert not treat_within_budget(effect, cost, 0.0).any()
    with pytest.raises(CausalDataError, match="cost must be above 0"):
        treat_within_budget(effect, cost - 1, 2.0)
    with pytest.raises(CausalArgumentError, match="budget must be a number"):
        treat_within_budget(effect, cost, -1)


def test_a_value_without_uncertainty_is_explained():
    index = pd.RangeIndex(4)
    rows, _ = policy_values(np.array([[1.0, 2], [1, 3], [1, 4], [1, 2]]), {}, (0, 1), RowIdentity(index), None)
    like = confounded(60).causal.ate(treatment="t", outcome="y", covariates=["a"], estimator="regression")
    with pytest.warns(StandardErrorWarning, match="1 of 2 standard errors are zero"):
        value_effect(rows, like, "y", cross_fitted=False)


def test_bad_input():
    frame = confounded(100)
    X, scores = frame[COVARIATES], pd.DataFrame(np.zeros((100, 2)), index=frame.index)
    call = {"treatment": "t", "outcome": "y", "covariates": COVARIATES, **MODELS}
    for X_, scores_, message in (
        (X.assign(a=np.nan), scores, r"covariates \['a'\] are missing"),
        (X, scores.to_numpy()[:, 0], "a column per arm"),
        (X, scores.iloc[1:], "different labels"),
        (X, scores.to_numpy()[1:], "a row per row"),
        (X, scores.where(frame["a"] > 0), "missing or infinite in"),
        (X, np.full((100, 2), "x"), "must be numbers"),
    ):
        with pytest.raises(CausalDataError, match=message):
            PolicyTree().fit(X_, scores_)
    with pytest.raises(CausalArgumentError, match="depth"):
        PolicyTree(depth=-1).fit(X, scores)
    with pytest.raises(CausalDataError, match=r"arms that the treatment has not: \['7'\]; arms: \[0, 1\]"):
        frame.causal.policy_value(7, **call)
    with pytest.raises(CausalDataError, match="one arm per row: shape"):
        frame.causal.policy_value(np.zeros(3), **call)
    with pytest.raises(CausalDataError, match="policy: its index has different labels than X"):
        frame.causal.policy_value(frame["t"].reset_index(drop=True), **call)
    with pytest.raises(CausalDataError, match=r"lacks the policy's covariates \['b'\]"):
        PolicyTree(1).fit(X, scores).predict(X.drop(columns="b"))


@pytest.mark.slow
def test_ten_thousand_rows_within_twenty_seconds():
    import time

    rng = np.random.default_rng(0)
    X = rng.normal(size=(10_000, 10))
    scores = np.column_stack(
        [np.zeros(10_000), X[:, 0] / 2 + 3 * rng.normal(size=10_000), (X[:, 1] > 0) - 0.4 + 3 * rng.normal(size=10_000)]
    )
    grow(X[:50], scores[:50], 2)
    start = time.process_time()
    grow(X, scores, 2)
    assert time.process_time() - start < 20


def test_what_would_tip_a_policys_value_must_be_said():
    frame = confounded(300)
    value = frame.causal.policy_value(1, treatment="t", outcome="y", covariates=COVARIATES, **MODELS)
    with pytest.raises(CausalArgumentError, match="means of the outcome"):
        value.sensitivity("tipping_point")
    gain = value[["policy"]].difference(value[["all 0"]])
    tips = gain.sensitivity("tipping_point", differences=[1.0]).table["tips_estimate"]
    assert tips.iloc[0] == pytest.approx(gain.estimate)


def test_weights_of_other_rows_are_refused():
    frame = confounded(60)
    scores = pd.DataFrame({0: 0.0, 1: frame["a"]})
    PolicyTree(1).fit(frame[COVARIATES], scores, sample_weight=frame["y"].abs())
    with pytest.raises(CausalDataError, match="sample_weight: its index has the same labels"):
        PolicyTree(1).fit(frame[COVARIATES], scores, sample_weight=frame["y"].abs()[::-1])
