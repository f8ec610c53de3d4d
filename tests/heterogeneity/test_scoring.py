"""Scores of effects: by hand, and which of two candidates they prefer."""

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pandas_causal import AIPW, CausalKFold, DRLearner, LinearDML, SLearner, TLearner, metrics
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.heterogeneity.scoring import arm_scores, dr_loss_skill, r_loss_skill
from tests.heterogeneity.designs import COVARIATES, confounded

FRAME = confounded(500)
X, Y = FRAME[[*COVARIATES, "t"]], FRAME["y"]
MODELS = {"outcome_model": "linear", "propensity_model": "linear"}


def test_arm_scores_by_hand():
    y, codes = np.array([3.0, 5.0]), np.array([0, 1])
    outcome, e = np.array([[2.0, 4.0], [1.0, 4.0]]), np.array([[0.5, 0.5], [0.8, 0.2]])
    assert arm_scores(y, codes, outcome, e) == pytest.approx(np.array([[4.0, 4.0], [1.0, 9.0]]))


def test_skills_by_hand():
    y, D, tau = np.array([1.0, -1.0, 2.0]), np.array([[1.0], [-1.0], [1.0]]), np.array([[1.0], [1.0], [2.0]])
    # the best constant is 4/3: losses 1/9 + 1/9 + 4/9; the effects explain everything
    assert r_loss_skill(y, D, tau, None) == pytest.approx(1.0)
    assert r_loss_skill(y, D, np.full((3, 1), 4 / 3), None) == pytest.approx(0.0)
    assert r_loss_skill(y, D, np.zeros((3, 1)), None) == pytest.approx(1 - 6 / (2 / 3))
    scores = np.array([[1.0], [3.0]])
    assert dr_loss_skill(scores, scores, None) == pytest.approx(1.0)
    assert dr_loss_skill(scores, np.array([[2.0], [2.0]]), None) == pytest.approx(0.0)
    assert dr_loss_skill(scores, np.array([[0.0], [0.0]]), np.array([3.0, 1.0])) == pytest.approx(1 - 12 / 3)


def test_the_true_effect_beats_a_good_outcome_model():
    """One outcome error, two rankings: a model of y may predict well and know nothing of the effect."""
    big = confounded(3_000, seed=2)
    train, test = big.iloc[:2_000], big.iloc[2_000:]
    fit = LinearDML(outcome_model="linear", treatment_model="linear").fit(
        train[[*COVARIATES, "t"]], train["y"], treatment="t"
    )

    class Given(LinearDML):
        def predict(self, X):
            return self.given

    scored, doubly = {}, {}
    for name, tau in (("true", test["effect"]), ("outcome", test["a"] + test["b"]), ("none", 0 * test["a"])):
        fit.__class__ = Given
        fit.given = tau.to_numpy()
        scored[name] = metrics.r_score(fit, test[[*COVARIATES, "t"]], test["y"])
        doubly[name] = metrics.dr_score(fit, test[[*COVARIATES, "t"]], test["y"])
    assert scored["true"] > 0.1
    assert scored["outcome"] < 0
    assert scored["true"] > scored["none"]
    assert doubly["true"] > 0.05
    assert doubly["true"] > max(doubly["outcome"], doubly["none"])


@pytest.mark.parametrize("scorer", [metrics.r_score, metrics.dr_score, metrics.r_score.using("ridge", "ridge")])
def test_names_with_routing_off_and_arrays_with_it_on(scorer):
    grid = {"outcome_model": ["linear", "ridge"]}
    folds = list(CausalKFold(3, treatment="t").split(X))
    named = GridSearchCV(TLearner(**MODELS), grid, cv=folds, scoring=scorer, error_score="raise")
    named.fit(X, Y, treatment="t")
    assert np.isfinite(named.cv_results_["mean_test_score"]).all()
    with sklearn.config_context(enable_metadata_routing=True):
        routed = GridSearchCV(TLearner(**MODELS), grid, cv=folds, scoring=scorer, error_score="raise")
        routed.fit(X[COVARIATES], Y, treatment=X["t"])
    assert routed.cv_results_["mean_test_score"] == pytest.approx(named.cv_results_["mean_test_score"], rel=1e-9)
    array = GridSearchCV(TLearner(**MODELS), grid, cv=folds, scoring=scorer, error_score="raise")
    with pytest.raises(CausalArgumentError, match="score needs the treatment of the held-out rows"):
        array.fit(X[COVARIATES], Y, treatment=X["t"])


def test_the_scorer_of_a_pipeline():
    pipe = make_pipeline(StandardScaler(), TLearner(**MODELS))
    pipe.fit(X[COVARIATES].to_numpy(), Y.to_numpy(), tlearner__treatment=X["t"].to_numpy())
    found = metrics.r_score(pipe, X[COVARIATES].to_numpy(), Y.to_numpy(), treatment=X["t"].to_numpy())
    assert found > 0


def test_own_score_is_the_r_score():
    folds = CausalKFold(3, treatment="t")
    call = {"params": {"treatment": "t"}, "cv": folds}
    own = cross_val_score(SLearner(**MODELS), X, Y, **call)
    named = cross_val_score(SLearner(**MODELS), X, Y, scoring=metrics.r_score, **call)
    assert own == pytest.approx(named, rel=1e-12)


def test_what_cannot_be_scored():
    average = AIPW(**MODELS).fit(X, Y, treatment="t")
    with pytest.raises(CausalArgumentError, match="r_score judges effects for every row, and AIPW has none"):
        metrics.r_score(average, X, Y)
    model = DRLearner(**MODELS, final_model="linear").fit(X, Y, treatment="t")
    treated = X[X["t"] == 1]
    with pytest.raises(CausalDataError, match="arm 0 has no held-out row"):
        model.score(treated, Y[X["t"] == 1])
    few = X.groupby("t").head(1)
    with pytest.raises(CausalDataError, match="an arm has fewer than 2 held-out rows"):
        model.score(few, Y[few.index])
    assert repr(metrics.r_score) == "pandas_causal.metrics.r_score"
