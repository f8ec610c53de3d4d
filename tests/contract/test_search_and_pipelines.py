"""scikit-learn's searches and pipelines: roles by name with its defaults, by array with metadata routing."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.metrics import get_scorer, make_scorer, r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pandas_causal import AIPW, IPW, CausalKFold, DRLearner, LinearDML, metrics
from pandas_causal.errors import CausalArgumentError, CausalDataError
from tests.contract.data import COVARIATES, ESTIMATORS, NAMES, make
from tests.contract.twins import fast

SCORED = [estimator for estimator in ESTIMATORS if hasattr(estimator, "score")]
EFFECTS = ("LinearDML", "SparseDML", "SLearner", "TLearner", "XLearner", "RLearner", "DRLearner")
EFFECTS += ("CausalStack", "NonparametricDML", "KernelDML")
FORESTS = ("CausalForest", "UpliftForest")
scored = pytest.mark.parametrize("estimator", SCORED, ids=[type(e).__name__ for e in SCORED])
every = pytest.mark.parametrize("estimator", ESTIMATORS, ids=NAMES)
GRIDS = {
    "AIPW": {"clip": [0.01, 0.1]},
    "TMLE": {"clip": [0.01, 0.1]},
    "IPW": {"propensity_model": ["linear", "ridge"]},
    "EntropyBalancing": {"moments": [1, 2]},
    "CovariateBalancingPropensity": {"over_identified": [False, True]},
    "StableBalancing": {"tolerance": [0.0, 0.05]},
    "DifferenceInMeans": {"adjustment": [None, "lin"]},
    "Matching": {"ratio": [1, 2]},
    "RegressionAdjustment": {"estimand": ["ATE", "ATT"]},
    **{name: {"n_repeats": [1, 2]} for name in EFFECTS[:2]},
    **{name: {"clip": [0.01, 0.1]} for name in EFFECTS[2:]},
    **{name: {"max_depth": [1, 2]} for name in FORESTS},
}


def grid(estimator):
    return GRIDS[type(estimator).__name__]


def parts(frame=None):
    frame = make() if frame is None else frame
    return frame[[*COVARIATES, "medication"]], frame["recovery"]


# -- names, with scikit-learn's defaults --------------------------------------------------------------------------


@scored
def test_grid_search_by_name(estimator):
    X, y = parts()
    search = GridSearchCV(clone(estimator), grid(estimator), cv=CausalKFold(3, treatment="medication"))
    search.fit(X, y, treatment="medication")
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.effect().table.index.tolist() == ["1 - 0"]
    best = clone(estimator).set_params(**search.best_params_).fit(X, y, treatment="medication")
    assert search.best_estimator_.effect().estimate == best.effect().estimate
    assert search.score(X, y) == best.score(X, y)


@scored
def test_cross_val_score_by_name(estimator):
    X, y = parts()
    folds = CausalKFold(3, treatment="medication")
    scores = cross_val_score(clone(estimator), X, y, params={"treatment": "medication"}, cv=folds)
    by_hand = []
    for train, test in folds.split(X, y):
        fit = clone(estimator).fit(X.iloc[train], y.iloc[train], treatment="medication")
        by_hand.append(fit.score(X.iloc[test], y.iloc[test]))
    assert scores == pytest.approx(by_hand, rel=1e-12)


@scored
@pytest.mark.parametrize("name", ["medication", "treatments"])
@pytest.mark.parametrize("covariates", [[], ["z"]], ids=["none", "one"])
@pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning")  # of seven rows
def test_a_name_with_one_letter_for_every_row(estimator, name, covariates):
    """scikit-learn slices a str role like an array when X has as many rows as it has letters."""
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"z": np.repeat(np.linspace(0, 1, 5), 2), name: [0, 1] * 5})  # every fold can be balanced
    X = X[[*covariates, name]]
    y = pd.Series(rng.normal(size=10), name="recovery")
    small = clone(estimator).set_params(**({"cv": 2} if estimator.get_params().get("cv") else {}))
    sliced = clone(small).fit(X, y, treatment=list(name))
    named = clone(small).fit(X, y, treatment=name)
    assert sliced.effect().estimate == named.effect().estimate
    assert "treatment" not in named.covariates_
    if type(estimator).__name__ in EFFECTS + FORESTS:
        return  # two held-out rows are too few for a score that fits nuisances to them
    folds = CausalKFold(5, treatment=name)
    scores = cross_val_score(small, X, y, params={"treatment": name}, cv=folds, error_score="raise")
    assert np.isfinite(scores).all()


def test_letters_that_spell_two_columns_are_refused():
    frame = pd.DataFrame({"listen": [0, 1] * 3, "silent": [1, 0, 0] * 2, "z": np.arange(6.0)})
    with pytest.raises(CausalArgumentError, match=r"sliced into letters by scikit-learn.*\['listen', 'silent'\]"):
        IPW().fit(frame, np.arange(6.0), treatment=list("listen"))


# -- arrays -------------------------------------------------------------------------------------------------------


@scored
def test_grid_search_by_array_with_routing(estimator):
    X, y = parts()
    treatment = X["medication"]
    covariates = X[COVARIATES]
    folds = list(CausalKFold(3, treatment="medication").split(X))
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(clone(estimator), grid(estimator), cv=folds)
        search.fit(covariates, y, treatment=treatment, sample_weight=make()["weight"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    train, test = folds[0]
    weight = make()["weight"]
    first = clone(estimator).set_params(**search.cv_results_["params"][0])
    first.fit(covariates.iloc[train], y.iloc[train], treatment=treatment.iloc[train], sample_weight=weight.iloc[train])
    score = first.score(covariates.iloc[test], y.iloc[test], treatment.iloc[test], weight.iloc[test])
    assert search.cv_results_["split0_test_score"][0] == pytest.approx(score, rel=1e-12)


@scored
def test_array_role_with_routing_off_names_the_two_ways_out(estimator):
    X, y = parts()
    search = GridSearchCV(
        clone(estimator), grid(estimator), cv=CausalKFold(3, treatment=X["medication"].to_numpy()), error_score="raise"
    )
    with pytest.raises(CausalArgumentError) as error:
        search.fit(X[COVARIATES], y, treatment=X["medication"])
    assert "name a column of X (search.fit(frame, y, treatment='arm'))" in str(error.value)
    assert "sklearn.set_config(enable_metadata_routing=True)" in str(error.value)


@scored
def test_folds_with_one_arm_are_an_error_that_names_the_arm(estimator):
    """scikit-learn's KFold does not shuffle: on sorted data the first fold has untreated rows only."""
    frame = make()
    frame = frame.sort_values("medication").reset_index(drop=True)
    X, y = parts(frame)
    half = KFold(4)
    with pytest.raises(CausalDataError, match=r"arm 1 has no held-out row.*CausalKFold"):
        cross_val_score(clone(estimator), X, y, params={"treatment": "medication"}, cv=half, error_score="raise")


@scored
def test_held_out_rows_with_an_unknown_arm(estimator):
    X, y = parts()
    fit = clone(estimator).fit(X, y, treatment="medication")
    with pytest.raises(CausalDataError, match=r"arms never seen at fit: \[7\]; known arms: \[0, 1\]"):
        fit.score(X.assign(medication=np.where(X["medication"] == 1, 7, 0)), y)


@scored
def test_score_checks_the_outcome(estimator):
    X, y = parts()
    fit = clone(estimator).fit(X, y, treatment="medication")
    wrong = {
        "same labels in another order": y.iloc[::-1],
        "has 119 values for 120 rows": y.to_numpy()[:-1],
        r"outcome is missing \(NaN\) in 1 row;": y.where(y > y.min()),
        "outcome is not numeric": y.astype(str) + "x",
    }
    for message, bad in wrong.items():
        with pytest.raises(CausalDataError, match=message):
            fit.score(X, bad)
    with pytest.raises(CausalDataError, match=r"sample_weight is negative in 120 rows"):
        fit.score(X, y, sample_weight=-np.ones(120))
    weighted = fit.score(X, y, sample_weight=np.full(120, 3.0))
    assert weighted == pytest.approx(fit.score(X, y), rel=1e-12)


# -- pipelines ----------------------------------------------------------------------------------------------------


def transformer():
    encode = OneHotEncoder(sparse_output=False)
    return [("numbers", StandardScaler(), ["age", "severity"]), ("labels", encode, ["region"])]


def exactness(estimator):
    """What a column per level is to the estimator in place of the category.

    A lasso over columns that are collinear, as all levels of a category are, depends on which are left out; trees cut a
    category into sets of levels, and a column per level one by one.
    """
    name = type(estimator).__name__
    return 0.1 if name in FORESTS else 1e-2 if name == "SparseDML" else 1e-9


def settings(estimator):
    return {"adjustment": "lin"} if type(estimator).__name__ == "DifferenceInMeans" else {}


@every
def test_pipeline_with_an_array(estimator):
    frame = make()
    step = clone(estimator).set_params(**settings(estimator))
    name = type(step).__name__.lower()
    pipe = make_pipeline(ColumnTransformer(transformer()), step)
    pipe.fit(frame[COVARIATES], frame["recovery"].to_numpy(), **{f"{name}__treatment": frame["medication"].to_numpy()})
    direct = clone(step).fit(
        frame[COVARIATES].reset_index(drop=True), frame["recovery"].to_numpy(), treatment=frame["medication"].to_numpy()
    )
    assert pipe[-1].effect().estimate == pytest.approx(direct.effect().estimate, rel=exactness(estimator))


@every
def test_pipeline_with_a_name_through_the_step(estimator):
    frame = make()
    step = clone(estimator).set_params(**settings(estimator))
    name = type(step).__name__.lower()
    columns = ColumnTransformer(transformer(), remainder="passthrough", verbose_feature_names_out=False)
    pipe = make_pipeline(columns.set_output(transform="pandas"), step)
    X, y = parts(frame)
    pipe.fit(X, y, **{f"{name}__treatment": "medication"})
    direct = clone(step).fit(X, y, treatment="medication")
    assert pipe[-1].effect().estimate == pytest.approx(direct.effect().estimate, rel=exactness(estimator))
    assert pipe[-1].effect().table.index.tolist() == ["1 - 0"]


@scored
def test_grid_search_of_a_pipeline_by_name(estimator):
    columns = ColumnTransformer(transformer(), remainder="passthrough", verbose_feature_names_out=False)
    pipe = make_pipeline(columns.set_output(transform="pandas"), clone(estimator))
    name = type(estimator).__name__.lower()
    X, y = parts()
    search = GridSearchCV(
        pipe, {f"{name}__{k}": v for k, v in grid(estimator).items()}, cv=CausalKFold(3, treatment="medication")
    )
    search.fit(X, y, **{f"{name}__treatment": "medication"})
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@scored
@pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7),
    reason="in scikit-learn 1.6 a search does not pass score's metadata through a pipeline",
)
def test_grid_search_of_a_pipeline_by_array_with_routing(estimator):
    X, y = parts()
    folds = list(CausalKFold(3, treatment="medication").split(X))
    with sklearn.config_context(enable_metadata_routing=True):
        name = type(estimator).__name__.lower()
        search = GridSearchCV(
            make_pipeline(ColumnTransformer(transformer()), clone(estimator)),
            {f"{name}__{k}": v for k, v in grid(estimator).items()},
            cv=folds,
        )
        search.fit(X[COVARIATES], y.to_numpy(), treatment=X["medication"].to_numpy())
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    "columns",
    [
        ColumnTransformer(transformer(), remainder="passthrough"),
        ColumnTransformer(transformer(), remainder="passthrough").set_output(transform="pandas"),
        ColumnTransformer(transformer(), verbose_feature_names_out=False).set_output(transform="pandas"),
    ],
    ids=["arrays", "verbose names", "treatment dropped"],
)
def test_a_name_that_does_not_come_through_the_step(columns):
    X, y = parts()
    with pytest.raises(CausalDataError) as error:
        make_pipeline(clone(columns), IPW()).fit(X, y, ipw__treatment="medication")
    for word in (
        "medication: is given as treatment but is no column of X",
        "set_output(transform='pandas')",
        "verbose_feature_names_out=False",
        "remainder='passthrough'",
        "or pass an array",
    ):
        assert word in str(error.value)


@every
def test_a_scaler_that_rescaled_the_treatment_is_detected(estimator):
    X, y = parts()
    X = X[["age", "severity", "medication"]]
    name = type(estimator).__name__.lower()
    pipe = make_pipeline(StandardScaler().set_output(transform="pandas"), clone(estimator))
    with pytest.raises(CausalDataError, match=r"medication: treatment has the levels .*if a scaler in a pipeline"):
        pipe.fit(X, y, **{f"{name}__treatment": "medication"})


@pytest.mark.parametrize("levels", [(-1.0, 1.0), (-3, 2), (1, 2), (0.0, 1.0)])
def test_two_whole_numbers_are_arms(levels):
    X, y = parts()
    coded = X.assign(medication=np.asarray(levels)[X["medication"]])
    effect = IPW().fit(coded, y, treatment="medication").effect()
    assert effect.estimate == IPW().fit(X, y, treatment="medication").effect().estimate


# -- a splitter as a setting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [AIPW, IPW])
def test_folds_of_a_splitter_by_name_and_of_its_pairs(cls):
    X, y = parts()
    folds = CausalKFold(3, treatment="medication", random_state=4)
    by_splitter = fast(cls, cv=folds).fit(X, y, treatment="medication").effect()
    by_pairs = fast(cls, cv=list(folds.split(X))).fit(X, y, treatment="medication").effect()
    by_array = fast(cls, cv=CausalKFold(3, treatment=X["medication"], random_state=4)).fit(X, y, treatment="medication")
    assert by_splitter.estimate == by_pairs.estimate == by_array.effect().estimate
    assert by_splitter.estimate != fast(cls, cv=2).fit(X, y, treatment="medication").effect().estimate


# -- inspection -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [e for e in ESTIMATORS if hasattr(e, "predict")], ids=lambda e: type(e).__name__)
def test_effects_by_row_work_with_scikit_learns_inspection(estimator):
    X, y = parts()
    fit = clone(estimator).fit(X, y, treatment="medication")
    assert is_regressor(fit)
    effects = fit.predict(X)
    curve = partial_dependence(fit, X[COVARIATES], ["severity"], grid_resolution=3, kind="average")
    low = X.assign(severity=curve["grid_values"][0][0])
    assert curve["average"][0][0] == pytest.approx(fit.predict(low).mean(), rel=1e-12)
    assert effects.std() > 0


def test_averages_are_no_regressors():
    assert not [e for e in ESTIMATORS if is_regressor(e) and not hasattr(e, "predict")]


# -- scorers of outcomes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scoring", ["r2", "neg_mean_squared_error", make_scorer(r2_score), "accuracy", "neg_log_loss"])
@pytest.mark.parametrize("estimator", [AIPW(), IPW(), DRLearner(), LinearDML()], ids=lambda e: type(e).__name__)
def test_scorers_of_outcomes_are_answered_in_words(estimator, scoring):
    X, y = parts()
    model = fast(type(estimator)).fit(X, y, treatment="medication")
    if scoring == "neg_log_loss" and hasattr(model, "predict"):
        pytest.skip("asks a regressor for probabilities: scikit-learn's own answer")
    with pytest.raises(CausalArgumentError, match=r"does not predict the outcome, .* leave scoring out"):
        get_scorer(scoring)(model, X, y)
    search = GridSearchCV(model, {"random_state": [0]}, cv=CausalKFold(2, treatment="medication"), scoring=scoring,
                          error_score="raise")  # fmt: skip
    with pytest.raises(CausalArgumentError, match="does not predict the outcome"):
        search.fit(X, y, treatment="medication")


def test_effects_are_predicted_for_everybody_else():
    X, y = parts()
    model = fast(DRLearner).fit(X, y, treatment="medication")
    assert np.isfinite(permutation_importance(model, X, y, n_repeats=1, scoring=metrics.r_score).importances).all()
    assert np.isfinite(cross_val_predict(fast(DRLearner), X, y, params={"treatment": "medication"})).all()
    assert r2_score(model.predict(X), model.predict(X)) == 1
    assert not hasattr(AIPW(), "predict")
    with pytest.raises(AttributeError, match="'AIPW' object has no attribute 'nothing'"):
        AIPW().nothing  # noqa: B018
