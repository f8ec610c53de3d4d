"""Cross-fitting, default models, losses."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pandas_causal import AIPW, IPW, Matching
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.models.cross_fitting import cross_fit, log_loss, make_model, skill, squared_loss, weighted_fit
from pandas_causal.models.nuisance import TrainingRows, fit_outcome, fit_propensity, report

RNG = np.random.default_rng(0)
N = 240
X = RNG.normal(size=(N, 3))
D = (RNG.random(N) < 1 / (1 + np.exp(-X[:, 0]))).astype(int)
Y = X @ [1, 2, 0] + D + RNG.normal(size=N)
FOLDS = RNG.integers(3, size=N)
W = RNG.uniform(0.5, 2, N)


def test_cross_fit_predicts_each_row_by_a_model_that_did_not_see_its_fold():
    out, models = cross_fit(Ridge(), X, Y, FOLDS, use=D == 1, w=W)
    assert len(models) == 3
    for f in range(3):
        learn = (FOLDS != f) & (D == 1)
        theirs = Ridge().fit(X[learn], Y[learn], W[learn])
        np.testing.assert_allclose(out[FOLDS == f, 0], theirs.predict(X[FOLDS == f]))


def test_no_row_informs_its_own_prediction():
    """Moving one outcome moves no prediction of its own fold."""
    moved = Y.copy()
    moved[7] += 100
    for spec in ("linear", "ridge", "boosting", LinearRegression()):
        one = fit_outcome(spec, TrainingRows(X, D, 2, Y), FOLDS).predictions
        two = fit_outcome(spec, TrainingRows(X, D, 2, moved), FOLDS).predictions
        own = FOLDS == FOLDS[7]
        np.testing.assert_allclose(one[own], two[own], rtol=1e-8)
        assert not np.allclose(one[~own], two[~own])


def test_without_folds_predictions_are_in_sample():
    out, models = cross_fit(LinearRegression(), X, Y, None)
    np.testing.assert_allclose(out[:, 0], LinearRegression().fit(X, Y).predict(X))
    assert len(models) == 1


def test_folds_that_leave_an_arm_out_are_refused():
    splits = [(np.flatnonzero(D != a), np.flatnonzero(D == a)) for a in (0, 1)]
    with pytest.raises(CausalDataError, match="row of arm"):
        AIPW(outcome_model=Ridge(), propensity_model=LogisticRegression(), cv=splits).fit(X, Y, treatment=D)


@pytest.mark.parametrize("spec", ["linear", "ridge", "boosting"])
def test_losses_are_those_of_the_predictions(spec):
    outcome = fit_outcome(spec, TrainingRows(X, D, 2, Y, W), FOLDS)
    for a in (0, 1):
        own = D == a
        gap = np.square(Y[own] - outcome.predictions[own, a])
        assert outcome.losses[a] == pytest.approx(np.average(gap, weights=W[own]))
        mean = np.average(Y[own], weights=W[own])
        assert outcome.baselines[a] == pytest.approx(np.average(np.square(Y[own] - mean), weights=W[own]))
    propensity = fit_propensity(spec, TrainingRows(X, D, 2, w=W), FOLDS)
    received = propensity.predictions[np.arange(N), D]
    assert propensity.losses[0] == pytest.approx(np.average(-np.log(received), weights=W))
    share = np.average(D, weights=W)
    assert propensity.baselines[0] == pytest.approx(-share * np.log(share) - (1 - share) * np.log(1 - share))
    check = report(outcome, propensity, ["a", "b"])
    np.testing.assert_allclose(check.table["skill"], 1 - check.table["loss"] / check.table["baseline"])


def test_auto_takes_the_smaller_out_of_fold_loss():
    linear_truth = fit_outcome("auto", TrainingRows(X, D, 2, Y), FOLDS)
    assert linear_truth.chosen == ("ridge", "ridge")
    rng = np.random.default_rng(1)
    Z, d = rng.uniform(-2, 2, (1_500, 2)), rng.integers(2, size=1_500)
    steps = 3 * np.sign(Z[:, 0] * Z[:, 1]) + rng.normal(size=1_500)
    folds = rng.integers(3, size=1_500)
    chosen = fit_outcome("auto", TrainingRows(Z, d, 2, steps), folds)
    assert chosen.chosen == ("boosting", "boosting")
    for a in (0, 1):
        assert chosen.losses[a] < fit_outcome("ridge", TrainingRows(Z, d, 2, steps), folds).losses[a]
    treated = (rng.random(1_500) < np.where(Z[:, 0] * Z[:, 1] > 0, 0.85, 0.15)).astype(int)
    assert fit_propensity("auto", TrainingRows(Z, treated, 2), folds).chosen == ("boosting",)


def test_new_rows_get_the_mean_of_the_folds_models():
    fitted = fit_outcome("ridge", TrainingRows(X, D, 2, Y), FOLDS)
    new = RNG.normal(size=(5, 3))
    expected = np.mean([p(new) for p in fitted.predict], axis=0)
    np.testing.assert_allclose(fitted.on(new), expected)
    assert fitted.on(new).shape == (5, 2)
    linear = fit_outcome("linear", TrainingRows(X, D, 2, Y), FOLDS)
    whole = LinearRegression().fit(X[D == 1], Y[D == 1]).predict(new)
    np.testing.assert_allclose(linear.on(new)[:, 1], whole)


def test_classifiers_of_0_1_outcomes_give_probabilities():
    y = (Y > 0).astype(float)
    fitted = fit_outcome(LogisticRegression(), TrainingRows(X, D, 2, y), FOLDS)
    learn = (FOLDS != 1) & (D == 0)
    theirs = LogisticRegression().fit(X[learn], y[learn]).predict_proba(X[FOLDS == 1])[:, 1]
    np.testing.assert_allclose(fitted.predictions[FOLDS == 1, 0], theirs)
    boosted = fit_outcome("boosting", TrainingRows(X, D, 2, y), FOLDS).predictions
    assert boosted.min() >= 0
    assert boosted.max() <= 1


def test_weights_reach_the_last_step_of_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), Ridge())
    fitted = weighted_fit(pipeline, X, Y, W)
    Z = StandardScaler().fit_transform(X)
    np.testing.assert_allclose(fitted[-1].coef_, Ridge().fit(Z, Y, W).coef_)
    with pytest.raises(CausalArgumentError, match="KNeighborsRegressor takes no sample_weight"):
        weighted_fit(KNeighborsRegressor(), X, Y, W)


def test_models_are_cloned_and_get_the_seed():
    class Seeded(RegressorMixin, BaseEstimator):
        """A model with a seed."""

        def __init__(self, random_state=None):
            self.random_state = random_state

        def fit(self, X, y):
            return self

    own = Seeded()
    made = make_model(own, classify=False, random_state=7)
    assert made is not own
    assert made.random_state == 7
    assert own.random_state is None
    assert make_model(Seeded(3), classify=False, random_state=7).random_state == 3
    assert isinstance(make_model("boosting", classify=True, random_state=0), HistGradientBoostingClassifier)


@pytest.mark.parametrize("wrong", ["forest", 3, None, LinearRegression])
def test_unknown_models_name_the_legal_ones(wrong):
    with pytest.raises(CausalArgumentError, match="'auto', 'linear', 'ridge', 'boosting'"):
        fit_outcome(wrong, TrainingRows(X, D, 2, Y), FOLDS)
    with pytest.raises(CausalArgumentError, match="'auto', 'linear', 'ridge', 'boosting'"):
        fit_propensity(wrong, TrainingRows(X, D, 2), FOLDS)


def test_a_regressor_is_no_propensity_model():
    with pytest.raises(CausalArgumentError, match="predict_proba"):
        fit_propensity(LinearRegression(), TrainingRows(X, D, 2), FOLDS)


def test_losses_by_hand():
    assert squared_loss(np.array([1.0, 2]), np.array([0.0, 4]), np.array([3.0, 1])) == pytest.approx(7 / 4)
    assert log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.8, 0.2]]), None) == pytest.approx(
        -(np.log(0.5) + np.log(0.2)) / 2
    )
    assert skill(1.0, 4.0) == 0.75
    assert skill(1.0, 0.0) == 0.0


def test_auto_without_folds_is_settled_on_folds_of_its_own():
    """In sample boosting always has the smaller loss; out of fold a logistic propensity is better served by ridge."""
    rng = np.random.default_rng(11)
    Z = rng.normal(size=(500, 3))
    t = (rng.random(500) < 1 / (1 + np.exp(0.5 - 0.7 * Z[:, 0]))).astype(int)
    y = Z[:, 0] + t + rng.normal(size=500)
    auto, ridge, boosting = (
        fit_propensity(spec, TrainingRows(Z, t, 2), None) for spec in ("auto", "ridge", "boosting")
    )
    assert boosting.losses[0] < ridge.losses[0]
    assert auto.chosen == ("ridge",)
    np.testing.assert_allclose(auto.predictions, ridge.predictions)
    assert auto.losses[0] > ridge.losses[0]  # out of fold
    assert not auto.in_sample
    assert ridge.in_sample
    assert fit_propensity("linear", TrainingRows(Z, t, 2), None).in_sample
    assert "in-sample skill" in report(None, boosting, [0, 1]).summary
    assert "in-sample" not in report(None, auto, [0, 1]).summary
    outcome = fit_outcome("auto", TrainingRows(Z, t, 2, y), None)
    assert outcome.chosen == ("ridge", "ridge")
    np.testing.assert_allclose(outcome.predictions, fit_outcome("ridge", TrainingRows(Z, t, 2, y), None).predictions)
    again = fit_propensity("auto", TrainingRows(Z, t, 2), None)
    np.testing.assert_array_equal(again.losses, auto.losses)


def test_weighting_and_matching_by_auto_without_folds_are_near_the_truth():
    answers = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        Z = rng.normal(size=(500, 3))
        t = (rng.random(500) < 1 / (1 + np.exp(0.5 - 0.7 * Z[:, 0]))).astype(int)
        y = Z[:, 0] + t + rng.normal(size=500)
        models = (IPW(propensity_model="auto"), Matching(propensity_model="auto"))
        answers.append([m.fit(Z, y, treatment=t).effect().estimate for m in models])
    assert np.abs(np.mean(answers, axis=0) - 1).max() < 0.15  # 0.62 and 1.27 where boosting was chosen in sample


def test_ridge_of_two_rows_warns_of_nothing_foreign():
    """Leave-one-out over two rows divides 0 by 0."""
    model = weighted_fit(
        make_model("ridge", classify=False, random_state=0), np.zeros((2, 1)), np.array([1.0, 2.0]), None
    )
    assert np.isfinite(model.predict(np.zeros((1, 1)))).all()
