"""What every estimator promises, whatever it estimates: scikit-learn's manners, one Effect, seeds."""

import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError

import pandas_causal
from pandas_causal.errors import CausalArgumentError
from tests.contract.data import COVARIATES, CROSS_FITTED, ESTIMATORS, NAMES, TABLE, fitted, make, numbers

every = pytest.mark.parametrize("estimator", ESTIMATORS, ids=NAMES)
cross_fitted = pytest.mark.parametrize("estimator", CROSS_FITTED, ids=[type(e).__name__ for e in CROSS_FITTED])


def test_all_estimators_are_found():
    classes = pandas_causal.all_estimators()
    assert {"AIPW", "IPW", "TMLE", "DifferenceInMeans", "RegressionAdjustment"} <= {c.__name__ for c in classes}
    assert all(getattr(pandas_causal, c.__name__) is c for c in classes)


def test_the_module_of_estimators_holds_them_and_nothing_else():
    names = {c.__name__ for c in pandas_causal.all_estimators()}
    space = {}
    exec("from pandas_causal.estimators import *", space)
    assert set(space) - {"__builtins__"} == names | {"all_estimators"}
    assert names <= set(dir(pandas_causal.estimators))
    assert not hasattr(pandas_causal.estimators, "Effect")


@every
def test_constructor_stores_settings_untouched(estimator):
    cls = type(estimator)
    parameters = list(inspect.signature(cls.__init__).parameters)[1:]
    assert sorted(parameters) == sorted(cls().get_params(deep=False))
    marks = {name: object() for name in parameters}
    made = cls(**marks)  # nothing is validated in __init__
    assert all(getattr(made, name) is mark for name, mark in marks.items())
    assert all(p.kind is p.KEYWORD_ONLY for p in list(inspect.signature(cls.__init__).parameters.values())[1:])


@every
def test_clone_and_set_params(estimator):
    fit = fitted(estimator)
    twin = clone(fit)
    assert repr(twin.get_params()) == repr(estimator.get_params()) == repr(fit.get_params())  # estimators are not equal
    assert not [name for name in vars(twin) if name.endswith("_")]
    name, value = next(iter(estimator.get_params().items()))
    assert clone(estimator).set_params(**{name: "other"}).get_params()[name] == "other"
    assert estimator.get_params()[name] == value


@every
def test_fit_returns_self_and_learned_attributes_end_in_underscore(estimator):
    frame = make()
    twin = clone(estimator)
    before = set(vars(twin))
    fit = twin.fit(frame[[*COVARIATES, "medication"]], frame["recovery"], treatment="medication")
    assert fit is twin
    learned = set(vars(twin)) - before
    assert "effect_" in learned
    assert not [name for name in learned if not name.endswith("_") and not name.startswith("_")]
    assert twin.covariates_ == (COVARIATES if type(twin).__name__ != "DifferenceInMeans" else [])  # those used
    assert twin.feature_names_in_.tolist() == [*COVARIATES, "medication"]
    assert twin.treatment_name_ == "medication"
    assert twin.arms_ == (0, 1)


@every
def test_pickle_round_trip(estimator):
    fit = fitted(estimator)
    again = pickle.loads(pickle.dumps(fit))
    pd.testing.assert_frame_equal(again.effect().table, fit.effect().table)
    effect = pickle.loads(pickle.dumps(fit.effect()))
    pd.testing.assert_frame_equal(effect.table, fit.effect().table)
    assert effect.warnings == fit.effect().warnings
    assert set(effect.diagnostics) == set(fit.effect().diagnostics)


@every
@pytest.mark.parametrize("method", ["effect", "predict", "score"])
def test_not_fitted(estimator, method):
    if not hasattr(estimator, method):
        pytest.skip("has no such method")
    frame = make()
    given = {"effect": (), "predict": (frame,), "score": (frame, frame["recovery"], frame["medication"])}[method]
    with pytest.raises(NotFittedError, match=type(estimator).__name__):
        getattr(clone(estimator), method)(*given)


@every
def test_fit_changes_nothing_of_the_callers(estimator):
    frame = make()
    frame.loc[frame.index[:5], "age"] = np.nan
    frame["region"] = frame["region"].astype("category")
    X, y = frame[[*COVARIATES, "medication", "weight"]], frame["recovery"]
    kept = X.copy(deep=True), y.copy(deep=True)
    fit = clone(estimator).fit(X, y, treatment="medication", sample_weight="weight")
    if hasattr(fit, "score"):
        fit.score(X, y)
    pd.testing.assert_frame_equal(X, kept[0])
    pd.testing.assert_series_equal(y, kept[1])
    arrays = [make()[COVARIATES[:2]].to_numpy(), make()["recovery"].to_numpy(), make()["medication"].to_numpy()]
    copies = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    clone(estimator).fit(arrays[0], arrays[1], treatment=arrays[2])
    assert all(np.array_equal(a, b) for a, b in zip(arrays, copies, strict=True))


@every
@pytest.mark.parametrize("arms", [2, 3])
def test_effect_has_one_row_per_arm_compared_with_the_control(estimator, arms):
    if arms > 2 and getattr(estimator, "single_contrast", False):
        pytest.skip("takes one contrast")
    frame = make(n=200, arms=arms)
    several = estimator.treatments == "either" and arms > 2
    if several:  # 0, 1 and 2 are numbers to it
        frame["medication"] = frame["medication"].astype("category")
    effect = fitted(estimator, frame).effect()
    assert list(effect.table.columns) == TABLE
    assert effect.table.index.tolist() == ["1 - 0", "2 - 0"][: arms - 1]
    assert effect.table.index.name == "medication"
    table = effect.table
    assert np.isfinite(table.to_numpy()).all()
    assert (table["std_error"] > 0).all()
    assert (table["conf_low"] < table["estimate"]).all()
    assert (table["estimate"] < table["conf_high"]).all()
    assert effect.n_obs == 200
    assert (
        effect.facts["arm_sizes"]
        == make(n=200, arms=arms)["medication"].value_counts().sort_index().rename(str).to_dict()
    )
    assert effect.facts["control"] == 0
    assert effect.facts["control_chosen_by"] == "the first " + ("category" if several else "level in sorted order")


@every
def test_effect_finds_the_truth_and_its_rows(estimator):
    frame = make(n=2_000)
    table = fitted(estimator, frame).effect().table
    # DifferenceInMeans does not adjust: only that it is the difference
    if type(estimator).__name__ == "DifferenceInMeans":
        means = frame.groupby("medication")["recovery"].mean()
        assert table["estimate"].iloc[0] == pytest.approx(means[1] - means[0], rel=1e-12)
    else:
        assert abs(table["estimate"].iloc[0] - 2) < 4 * table["std_error"].iloc[0]
        assert table["std_error"].iloc[0] < 0.1


@every
def test_effect_of_new_rows_is_one_per_row_or_refused(estimator):
    frame = make()
    fit = fitted(estimator, frame)
    new = frame[["region", "severity", "age"]].iloc[:7]  # another order, no treatment
    if hasattr(fit, "predict"):
        effect = fit.effect(new)
        assert effect.table.index.equals(new.index)
        assert fit.predict(new) == pytest.approx(effect.estimates.to_numpy(), rel=1e-12)
        assert fit.predict(frame.iloc[:7]) == pytest.approx(fit.predict(new), rel=1e-12)
    else:
        with pytest.raises(CausalArgumentError, match="estimates an average and has no effect for every row of X"):
            fit.effect(new)


# -- seeds --------------------------------------------------------------------------------------------------------


@cross_fitted
def test_same_seed_same_result_for_any_n_jobs(estimator):
    forests = {
        "outcome_model": RandomForestRegressor(4, max_depth=3),  # unseeded: the estimator's seed is passed on
        "propensity_model": RandomForestClassifier(4, min_samples_leaf=10),
    }
    if "treatment_model" in estimator.get_params():
        forests["treatment_model"] = forests.pop("propensity_model")
    chosen = clone(estimator).set_params(**forests, cv=2)
    one = numbers(clone(chosen).set_params(n_jobs=1))
    assert np.array_equal(numbers(clone(chosen).set_params(n_jobs=2)), one)
    assert not np.array_equal(numbers(clone(chosen).set_params(random_state=1)), one)


@cross_fitted
def test_another_seed_another_split(estimator):
    one, two = (fitted(clone(estimator).set_params(random_state=seed)) for seed in (1, 2))
    assert not np.array_equal(one.folds_, two.folds_)
    assert one.effect().estimate != two.effect().estimate
    again = fitted(clone(estimator).set_params(random_state=1))
    assert again.effect().estimate == one.effect().estimate


@every
def test_global_random_state_is_neither_used_nor_moved(estimator):
    np.random.seed(1)  # noqa: NPY002 - the state that must not move
    one = numbers(estimator)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert np.array_equal(numbers(estimator), one)
