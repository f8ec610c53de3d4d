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


def test_auto_is_no_worse_than_its_members():
    """The weights are those with the least out-of-fold loss, arm by arm; of probabilities, the most likely."""
    for d, y, folds, Z in (jumps(), (D, Y, FOLDS, X)):
        auto = fit_outcome("auto", TrainingRows(Z, d, 2, y), folds)
        chances = fit_propensity("auto", TrainingRows(Z, d, 2), folds)
        for spec in ("ridge", "splines"):
            alone = fit_outcome(spec, TrainingRows(Z, d, 2, y), folds)
            assert all(a <= b + 1e-9 for a, b in zip(auto.losses, alone.losses, strict=True))
        assert chances.losses[0] <= fit_propensity("ridge", TrainingRows(Z, d, 2), folds).losses[0] + 1e-9
        assert chances.slopes[0] == pytest.approx(1, abs=1e-3)


def jumps():
    rng = np.random.default_rng(1)
    Z = rng.uniform(-2, 2, (1_500, 2))
    d = (rng.random(1_500) < np.where(Z[:, 0] * Z[:, 1] > 0, 0.85, 0.15)).astype(int)
    return d, 3 * np.sign(Z[:, 0] * Z[:, 1]) + rng.normal(size=1_500), rng.integers(3, size=1_500), Z


def test_auto_learns_jumps_by_boosting():
    d, y, folds, Z = jumps()
    auto = fit_outcome("auto", TrainingRows(Z, d, 2, y), folds)
    assert all("boost" in name for name in auto.chosen)
    assert max(auto.losses) < 1.5
    assert "boost" in fit_propensity("auto", TrainingRows(Z, d, 2), folds).chosen[0]
    assert auto.plain.shape == auto.predictions.shape
    table = report(auto, None, ["a", "b"]).table
    assert table["weights"].str.contains("boost").all()
    assert table["calibration"].between(0.9, 1.1).all()


def test_few_rows_have_few_members():
    few = fit_outcome("auto", TrainingRows(X, D, 2, Y), FOLDS)
    assert {part for stack in few.stacks for part in stack.members} == {"ridge", "splines", "pooled splines"}
    assert fit_propensity("auto", TrainingRows(X, D, 2), FOLDS).stacks[0].members == ("ridge",)
    one = fit_outcome("auto", TrainingRows(X, np.zeros(N, dtype=int), 1, Y), FOLDS)
    assert one.stacks[0].members == ("ridge", "pooled splines")


def test_arms_that_are_alike_are_learned_together():
    rng = np.random.default_rng(4)
    Z = rng.normal(size=(600, 4))
    d = (rng.random(600) < 0.15).astype(int)
    mu = np.sin(2 * Z[:, 0]) + Z[:, 1] * Z[:, 2]
    y = mu + d + 0.5 * rng.normal(size=600)
    folds = rng.integers(5, size=600)
    auto = fit_outcome("auto", TrainingRows(Z, d, 2, y), folds)
    alone = fit_outcome("splines", TrainingRows(Z, d, 2, y), folds)
    assert "pooled" in auto.chosen[1]
    assert (
        np.mean(np.square(auto.predictions[:, 1] - mu - 1)) < np.mean(np.square(alone.predictions[:, 1] - mu - 1)) / 2
    )


def test_a_later_split_keeps_the_members_that_had_a_say():
    d, y, folds, Z = jumps()
    rows = TrainingRows(Z, d, 2, y)
    first = fit_outcome("auto", rows, folds)
    again = fit_outcome("auto", rows, (folds + 1) % 3, before=first)
    heard = {name for stack in first.stacks for name in stack.heard()}
    kept = {name for stack in again.stacks for name in stack.members}
    assert kept == heard | {"ridge", "boosting"}  # the plainer answer is always at hand
    np.testing.assert_allclose(again.predictions, first.predictions, atol=1e-8)  # the same folds by another number
    new = np.random.default_rng(5).uniform(-2, 2, (7, 2))
    assert again.on(new).shape == (7, 2)


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
    """In sample boosting always has the smaller loss; out of fold ridge is believed most of a logistic propensity."""
    rng = np.random.default_rng(11)
    Z = rng.normal(size=(500, 3))
    t = (rng.random(500) < 1 / (1 + np.exp(0.5 - 0.7 * Z[:, 0]))).astype(int)
    y = Z[:, 0] + t + rng.normal(size=500)
    auto, ridge, boosting = (
        fit_propensity(spec, TrainingRows(Z, t, 2), None) for spec in ("auto", "ridge", "boosting")
    )
    assert boosting.losses[0] < ridge.losses[0]
    assert auto.stacks[0].weights[0] == max(auto.stacks[0].weights)
    assert auto.stacks[0].members[0] == "ridge"
    assert auto.losses[0] > ridge.losses[0]  # out of fold
    assert not auto.in_sample
    assert ridge.in_sample
    assert fit_propensity("linear", TrainingRows(Z, t, 2), None).in_sample
    assert "in-sample skill" in report(None, boosting, [0, 1]).summary
    assert "in-sample" not in report(None, auto, [0, 1]).summary
    outcome = fit_outcome("auto", TrainingRows(Z, t, 2, y), None)
    ridge_alone = fit_outcome("ridge", TrainingRows(Z, t, 2, y), None)
    np.testing.assert_allclose(outcome.predictions, ridge_alone.predictions, atol=1)
    assert min(outcome.losses) > min(ridge_alone.losses) * 0.9
    again = fit_propensity("auto", TrainingRows(Z, t, 2), None)
    np.testing.assert_array_equal(again.losses, auto.losses)


def test_folds_that_auto_draws_keep_clusters_whole():
    """Every cluster is its rows ten times over: a member that saw one of them would know the others' treatment."""
    rng = np.random.default_rng(5)
    Z, t = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    X, codes, groups = np.repeat(Z, 10, axis=0), np.repeat(t, 10), np.repeat(np.arange(60), 10)
    apart = fit_propensity("auto", TrainingRows(X, codes, 2), None)
    whole = fit_propensity("auto", TrainingRows(X, codes, 2, groups=groups), None)
    assert apart.losses[0] < 0.3  # learned by heart
    assert whole.losses[0] > 0.55
    fitted = IPW(propensity_model="auto").fit(X, codes + rng.normal(size=600), treatment=codes, cluster=groups)
    assert fitted.effect().diagnostics["nuisance"].table["loss"].iloc[0] > 0.55
    two = fit_propensity("auto", TrainingRows(X, codes, 2, groups=groups % 2), None)
    assert np.isfinite(two.losses[0])


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
