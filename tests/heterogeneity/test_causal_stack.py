"""CausalStack: weights by hand and against a scan, effects, the table of learners, bad input."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone

from pandas_causal import CausalStack, DRLearner, LinearDML, SLearner, TLearner, compare_learners
from pandas_causal.errors import CausalArgumentError
from pandas_causal.heterogeneity.causal_stack import q_weights
from tests.heterogeneity.designs import COVARIATES, confounded

FRAME = confounded(800)
X, Y = FRAME[[*COVARIATES, "t"]], FRAME["y"]
MODELS = {"outcome_model": "linear", "propensity_model": "linear"}
LEARNERS = {
    "linear": DRLearner(**MODELS, final_model="linear"),
    "constant": DRLearner(**MODELS, final_model="linear", effect_modifiers=[]),
    "trees": TLearner(outcome_model="boosting", propensity_model="linear"),
}


def loss(theta, predictions, scores, w, nu):
    own = np.array([np.average(np.square(p - scores).sum(axis=1), weights=w) for p in np.moveaxis(predictions, 1, 0)])
    joined = np.einsum("ijd,j->id", predictions, theta)
    return (1 - nu) * theta @ own + nu * np.average(np.square(joined - scores).sum(axis=1), weights=w)


@pytest.mark.parametrize("nu", [0.0, 0.3, 0.5, 1.0])
def test_weights_against_a_scan(nu):
    rng = np.random.default_rng(0)
    scores, w = rng.normal(size=(80, 2)), rng.uniform(0.5, 2, 80)
    predictions = 0.5 * scores[:, None, :] + rng.normal(size=(80, 3, 2)) * np.array([0.6, 0.7, 2])[None, :, None]
    grid = [(a, b, 1 - a - b) for a in np.linspace(0, 1, 101) for b in np.linspace(0, 1 - a, 101)]
    best = min(loss(np.array(theta), predictions, scores, w, nu) for theta in grid)
    found = q_weights(predictions, scores, w, nu)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    assert loss(found, predictions, scores, w, nu) <= best + 1e-9
    if not nu:
        assert sorted(found) == [0, 0, 1]


def test_two_members_by_hand():
    # losses 1 and 4, of opposite sign: joined (a - 2 (1 - a))^2; nu 1/2: the derivative is 3 (3 a - 2) - 3 / 2
    predictions = np.array([[[1.0], [-2.0]]])
    assert q_weights(predictions, np.zeros((1, 1)), None, 0.5) == pytest.approx([5 / 6, 1 / 6])
    assert q_weights(predictions, np.zeros((1, 1)), None, 1.0) == pytest.approx([2 / 3, 1 / 3])


def test_it_joins_and_tells():
    model = CausalStack(learners=LEARNERS, **MODELS).fit(X, Y, treatment="t")
    assert model.weights_.index.tolist() == list(LEARNERS)
    assert model.weights_["linear"] > 0.5
    parts = [clone(m).fit(X, Y, treatment="t").predict(X) for m in LEARNERS.values()]
    assert model.predict(X) == pytest.approx(np.column_stack(parts) @ model.weights_.to_numpy())
    table = model.table_
    assert table.index.tolist() == [*LEARNERS, "stack"]
    assert table["dr_score"].idxmax() in ("linear", "stack")
    assert table.loc["constant", "r_score"] == pytest.approx(0, abs=0.02)
    assert table.loc["linear", "outcome_skill"] > 0.3
    reference = DRLearner(**MODELS, final_model="linear").fit(X, Y, treatment="t").effect()
    assert model.effect().estimate == pytest.approx(reference.estimate)
    tau = model.effect(X)
    assert tau.table["std_error"].isna().all()
    assert tau.aggregate().std_error == pytest.approx(model.effect().std_error)
    assert np.isfinite(model.score(X, Y))


def test_several_arms_clusters_weights_categories_and_the_default_learners():
    rng = np.random.default_rng(1)
    frame = FRAME.assign(
        t=np.array(["c", "b", "a"])[rng.integers(3, size=800)], place=np.where(FRAME["b"] > 0, "north", None),
        w=1.0 + np.arange(800) % 2, site=np.arange(800) // 8,
    )  # fmt: skip
    call = {"treatment": "t", "cluster": "site", "sample_weight": "w"}
    rows = frame[["a", "place", "t", "w", "site"]]
    model = CausalStack(**MODELS, cv=2, control="b").fit(rows, Y, **call)
    assert model.weights_.index.tolist() == ["dr linear", "dr", "r", "x", "t", "s"]
    assert model.predict(rows).shape == (800, 2)
    assert model.effect().table.index.tolist() == ["a - b", "c - b"]
    assert "clustered by site" in model.effect().std_error_method


@pytest.mark.slow
def test_the_table_of_learners_has_both_scores():
    table = compare_learners(LEARNERS, X, Y, treatment="t", cv=2, **MODELS)
    assert table.columns.tolist() == ["r_score", "dr_score", "outcome_skill", "spread_of_effects"]
    assert table.loc["constant", "outcome_skill"] == pytest.approx(table.loc["linear", "outcome_skill"])
    assert table.loc["constant", "r_score"] < table.loc["linear", "r_score"]
    dml = compare_learners([LinearDML(outcome_model="linear", treatment_model="linear")], X, Y, treatment="t", cv=2)
    assert 0 < dml["outcome_skill"].iloc[0] < 1


class NoLearner(BaseEstimator):
    """Predicts, and estimates no effects."""

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X))


@pytest.mark.parametrize("learners", ["dr", 3, [], {}, [NoLearner()], [DRLearner], {"a": "dr"}])
def test_wrong_learners(learners):
    with pytest.raises(CausalArgumentError, match="learners must be None, or estimators of effects for rows"):
        CausalStack(learners=learners, **MODELS).fit(X, Y, treatment="t")


def test_wrong_settings_and_names_of_lists():
    with pytest.raises(CausalArgumentError, match="nu"):
        CausalStack(nu=1.5, **MODELS).fit(X, Y, treatment="t")
    model = CausalStack(learners=[LEARNERS["linear"], LEARNERS["constant"], SLearner(**MODELS)], **MODELS, cv=2)
    model.fit(X, Y, treatment="t")
    assert model.weights_.index.tolist() == ["DRLearner 1", "DRLearner 2", "SLearner"]
    assert pd.Series(clone(model).get_params())["nu"] == 0.5
