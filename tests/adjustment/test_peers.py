"""Against other libraries, on the same data."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import StratifiedKFold

from pandas_causal import AIPW, IPW, TMLE, RegressionAdjustment
from tests.adjustment.designs import confounded


def quietly(f):
    """Call another library without its own deprecations failing our tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return f()


MODELS = {
    "linear": (LinearRegression(), LogisticRegression(max_iter=1_000, tol=1e-10)),
    "forest": (
        RandomForestRegressor(30, min_samples_leaf=5, random_state=1),
        # leaves of two rows give propensities of 0 and 1, so that the bound binds
        RandomForestClassifier(30, min_samples_leaf=2, random_state=1),
    ),
}


@pytest.mark.parametrize("models", MODELS)
@pytest.mark.parametrize(("estimand", "score"), [("ATE", "ATE"), ("ATT", "ATTE")])
@pytest.mark.filterwarnings("ignore:weak overlap")
def test_aipw_equals_doubleml_irm(models, estimand, score):
    dml = pytest.importorskip("doubleml", reason="DoubleML is not installable at the floors of the dependencies")
    from doubleml.utils.propensity_score_processing import PSProcessorConfig

    X, y, d = confounded(600)
    outcome, propensity = MODELS[models]
    splits = list(StratifiedKFold(4, shuffle=True, random_state=0).split(X, d))
    ours = AIPW(estimand=estimand, outcome_model=outcome, propensity_model=propensity, cv=splits, clip=0.02)
    effect = ours.fit(X, y, treatment=d).effect()

    def peer():
        data = dml.DoubleMLData.from_arrays(X.to_numpy(), y.to_numpy(), d)
        irm = dml.DoubleMLIRM(
            data,
            clone(outcome),
            clone(propensity),
            n_folds=4,
            score=score,
            draw_sample_splitting=False,
            ps_processor_config=PSProcessorConfig(clipping_threshold=0.02),
        )
        irm.set_sample_splitting([(train, test) for train, test in splits])
        return irm.fit()

    irm = quietly(peer)
    assert (effect.facts["n_clipped"] > 0) == (models == "forest")
    assert effect.estimate == pytest.approx(float(irm.coef[0]), rel=1e-6, abs=1e-6)
    assert effect.std_error == pytest.approx(float(irm.se[0]), rel=1e-6)


def peer_statsmodels(X, y, d):
    """Doubly robust estimators of statsmodels: unpenalised regressions in sample, no folds."""
    import statsmodels.api as sm
    from statsmodels.treatment.treatment_effects import TreatmentEffect

    Z = sm.add_constant(X)
    return TreatmentEffect(sm.OLS(y, Z), d, results_select=sm.Logit(d, Z).fit(disp=0))


def test_aipw_and_tmle_agree_with_statsmodels_doubly_robust():
    """statsmodels fits both models on all rows and predicts in sample; ours do not see the row predicted.

    The score is the same. In 2,000 rows overfitting by four coefficients is a small fraction of a standard error.
    """
    X, y, d = confounded(2_000, seed=4)
    theirs = quietly(lambda: peer_statsmodels(X, y, d).aipw(return_results=True))
    for estimator in (AIPW, TMLE):
        effect = estimator(outcome_model="linear", propensity_model="linear").fit(X, y, treatment=d).effect()
        assert effect.estimate == pytest.approx(theirs.effect[0], abs=0.2 * effect.std_error)
        assert effect.std_error == pytest.approx(theirs.results_gmm.bse[0], rel=0.05)


@pytest.mark.filterwarnings("ignore:.*corrected for it the answer moves")
@pytest.mark.parametrize(("name", "ours", "rel"), [("ipw", IPW(), 1e-4), ("ra", RegressionAdjustment(), 0.01)])
def test_ipw_and_regression_equal_statsmodels(name, ours, rel):
    """Hajek means, and regressions in every arm: equal. Errors too, but for HC2's factor in the regression."""
    X, y, d = confounded(800, seed=5)
    theirs = quietly(lambda: getattr(peer_statsmodels(X, y, d), name)(return_results=True))
    effect = ours.fit(X, y, treatment=d).effect()
    assert effect.estimate == pytest.approx(theirs.effect[0], rel=1e-6)
    assert effect.std_error == pytest.approx(theirs.results_gmm.bse[0], rel=rel)


def test_aipw_agrees_with_econml_doubly_robust_learner():
    """EconML regresses doubly robust scores of two folds on the covariates and averages; its models are pooled.

    Its outcome model is one regression on covariates and arms (without interactions), its folds are others, so the
    answers differ by a fraction of a standard error.
    """
    pytest.importorskip("econml", reason="EconML is not installable at the floors of the dependencies")
    X, y, d = confounded(2_000, seed=6)

    def peer():
        from econml.dr import LinearDRLearner

        learner = LinearDRLearner(
            model_propensity=LogisticRegression(C=1e6, max_iter=1_000),
            model_regression=LinearRegression(),
            min_propensity=0.01,
            cv=5,
            random_state=0,
        )
        learner.fit(y.to_numpy(), d, X=X.to_numpy())
        return learner.ate_inference(X=X.to_numpy())

    theirs = quietly(peer)
    effect = AIPW(outcome_model="linear", propensity_model="linear").fit(X, y, treatment=d).effect()
    assert effect.estimate == pytest.approx(np.ravel(theirs.mean_point)[0], abs=0.25 * effect.std_error)
    assert effect.std_error == pytest.approx(np.ravel(theirs.stderr_mean)[0], rel=0.1)
