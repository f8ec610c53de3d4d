"""The contract of FrontDoor, whose mediators keep it out of the cross-sectional contract: the same promises."""

import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import StandardScaler

import pandas_causal
from pandas_causal import CausalKFold, FrontDoor
from pandas_causal.errors import CausalArgumentError, CausalDataError
from tests.contract.test_invariances import SplitByCode
from tests.contract.test_settings import WRONG
from tests.mediation.test_front_door import LINEAR, MODELS

# few rows: warnings of weak overlap are right and not the point here
pytestmark = pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning")
COVARIATES, MEDIATORS = ["age", "region"], ["dose", "mood"]
ROLES = {"treatment": "medication", "mediators": MEDIATORS}
RIDGE = dict.fromkeys(MODELS, "ridge")
KINDS = [pytest.param(LINEAR, id="linear"), pytest.param(RIDGE, id="ridge")]


def make(n=160, seed=3, arms=2):
    """Rows in random order of treatment, unique labels that are not positions, mediators of two kinds."""
    rng = np.random.default_rng(seed)
    age, region = rng.normal(50, 10, n), rng.choice(["north", "south", "west"], n)
    medication = (0.03 * (age - 50) + rng.logistic(size=n) > 0).astype(int)
    if arms > 2:
        medication = np.where(rng.random(n) < 1 / 3, 2, medication)
    dose = 0.5 * medication + 0.02 * age + rng.normal(size=n)
    mood = np.where(rng.random(n) < 0.3 + 0.15 * medication, "good", np.where(rng.random(n) < 0.5, "fair", "bad"))
    recovery = dose + (mood == "good") + 0.05 * age + medication + rng.normal(size=n)
    columns = {
        "age": age,
        "region": region,
        "medication": medication,
        "dose": dose,
        "mood": mood,
        "site": np.arange(n) % 12,
        "weight": rng.integers(1, 4, n).astype(float),
        "recovery": recovery,
    }
    return pd.DataFrame(columns, index=pd.Index(np.arange(n) * 7 + 100, name="patient"))


def fitted(settings=LINEAR, frame=None, **roles):
    frame = make() if frame is None else frame
    return FrontDoor(**settings).fit(frame.drop(columns=drop(frame, roles)), frame["recovery"], **ROLES | roles)


def drop(frame, roles):
    return [c for c in ("recovery", "site", "weight") if c in frame and c not in roles.values()]


def numbers(settings=LINEAR, frame=None, **roles):
    return fitted(settings, frame, **roles).effect().table[["estimate", "std_error"]].to_numpy()


# -- scikit-learn's manners ------------------------------------------------------------


def test_it_is_found_and_is_no_cross_section():
    assert FrontDoor in pandas_causal.all_estimators()
    assert "mediators" in inspect.signature(FrontDoor.fit).parameters


def test_settings_are_stored_untouched():
    names = list(inspect.signature(FrontDoor.__init__).parameters)[1:]
    assert sorted(names) == sorted(FrontDoor().get_params(deep=False))
    marks = {name: object() for name in names}
    made = FrontDoor(**marks)
    assert all(getattr(made, name) is mark for name, mark in marks.items())


def test_clone_and_set_params():
    fit = fitted()
    twin = clone(fit)
    assert twin.get_params() == fit.get_params()
    assert not [name for name in vars(twin) if name.endswith("_")]
    assert clone(fit).set_params(clip=0.1).clip == 0.1
    assert fit.clip == 0.01


def test_learned_attributes():
    frame = make()
    model = FrontDoor(**LINEAR)
    before = set(vars(model))
    assert model.fit(frame.drop(columns=["recovery", "site", "weight"]), frame["recovery"], **ROLES) is model
    learned = set(vars(model)) - before
    assert {"effect_", "mediators_", "folds_", "propensity_", "given_mediators_", "nested_predictions_"} <= learned
    assert not [name for name in learned if not name.endswith("_") and not name.startswith("_")]
    assert (model.covariates_, model.mediators_, model.arms_) == (COVARIATES, MEDIATORS, (0, 1))
    assert model.feature_names_in_.tolist() == [*COVARIATES, "medication", *MEDIATORS]


@pytest.mark.parametrize("settings", KINDS)
def test_pickle(settings):
    fit = fitted(settings)
    again = pickle.loads(pickle.dumps(fit))
    pd.testing.assert_frame_equal(again.effect().table, fit.effect().table)
    frame = make()
    assert again.score(frame, frame["recovery"]) == fit.score(frame, frame["recovery"])


@pytest.mark.parametrize("call", [lambda m: m.effect(), lambda m: m.score(make(), make()["recovery"])])
def test_not_fitted(call):
    with pytest.raises(NotFittedError, match="FrontDoor"):
        call(FrontDoor())


def test_nothing_of_the_callers_is_changed():
    frame = make()
    kept = frame.copy(deep=True)
    fitted(LINEAR, frame, sample_weight="weight").score(frame, frame["recovery"])
    pd.testing.assert_frame_equal(frame, kept)


def test_new_rows_have_no_effect_of_their_own():
    with pytest.raises(CausalArgumentError, match="estimates an average"):
        fitted().effect(make())


# -- roles and dtypes ------------------------------------------------------------


def test_roles_by_name_and_by_array():
    frame = make()
    named = numbers()
    X, y = frame[COVARIATES], frame["recovery"]
    for mediators in (frame[MEDIATORS], frame[MEDIATORS].to_numpy()):
        fit = FrontDoor(**LINEAR).fit(X, y, treatment=frame["medication"], mediators=mediators)
        np.testing.assert_allclose(fit.effect().table[["estimate", "std_error"]].to_numpy(), named, rtol=1e-12)
    one = FrontDoor(**LINEAR).fit(
        frame[[*COVARIATES, "medication", "dose"]], y, treatment="medication", mediators="dose"
    )
    for mediators in (frame["dose"], frame["dose"].to_numpy(), frame["dose"].tolist(), frame[["dose"]], ("dose",)):
        X = frame[[*COVARIATES, "medication", "dose"]]
        X = X if isinstance(mediators, tuple) else X.drop(columns="dose")
        same = FrontDoor(**LINEAR).fit(X, y, treatment="medication", mediators=mediators).effect()
        assert same.estimate == one.effect().estimate


def test_names_that_are_no_strings():
    names = {"age": 1, "region": 2, "medication": 0, "dose": 3, "mood": 4, "recovery": 5}
    frame = make().rename(columns=names)
    X, y = frame[[1, 2, 0, 3, 4]], frame[5]
    fit = FrontDoor(**LINEAR).fit(X, y, treatment=0, mediators=3)
    strings = make()[["age", "region", "mood", "medication", "dose"]]
    plain = FrontDoor(**LINEAR).fit(strings, y, treatment="medication", mediators="dose")
    assert fit.effect().estimate == pytest.approx(plain.effect().estimate, rel=1e-12)
    assert fit.score(X, y) == pytest.approx(plain.score(strings, y), rel=1e-12)


NULLABLE = {
    "age": "Float64",
    "region": "string",
    "medication": "Int64",
    "dose": "Float64",
    "mood": "string",
    "recovery": "Float64",
}
ARROW = {
    "age": "double[pyarrow]",
    "region": "string[pyarrow]",
    "medication": "int64[pyarrow]",
    "dose": "double[pyarrow]",
    "mood": "string[pyarrow]",
    "recovery": "double[pyarrow]",
}
CODINGS = {
    "nullable": lambda f: f.astype(NULLABLE),
    "arrow": lambda f: f.astype(ARROW),
    "object": lambda f: f.astype(object).astype({"recovery": float}),
    "categories": lambda f: f.astype({"region": "category", "mood": "category"}),
    "unused categories": lambda f: f.assign(mood=pd.Categorical(f["mood"], categories=["bad", "fair", "good", "none"])),
    "string treatment": lambda f: f.assign(medication=f["medication"].map({0: "control", 1: "drug"})),
    "bool treatment": lambda f: f.astype({"medication": bool}),
    "float treatment": lambda f: f.astype({"medication": float}),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_coding_changes_no_number(coding):
    if coding == "arrow":
        pytest.importorskip("pyarrow", reason="Arrow-backed columns")
    np.testing.assert_allclose(numbers(LINEAR, CODINGS[coding](make())), numbers(), rtol=1e-10)


def test_bool_mediators_are_numbers():
    frame = make().assign(mood=lambda f: f["mood"] == "good")
    np.testing.assert_allclose(
        numbers(LINEAR, frame), numbers(LINEAR, frame.assign(mood=frame["mood"].astype(int))), rtol=1e-12
    )


def test_without_covariates():
    frame = make()[["medication", *MEDIATORS, "recovery"]]
    effect = fitted(RIDGE, frame).effect()
    assert np.isfinite(effect.table.to_numpy()).all()
    assert effect.std_error > 0


@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
def test_one_row_per_arm(arms, estimand):
    effect = fitted(LINEAR | {"estimand": estimand}, make(n=300, arms=arms)).effect()
    assert effect.table.index.tolist() == ["1 - 0", "2 - 0"][: arms - 1]
    assert np.isfinite(effect.table.to_numpy()).all()
    assert (effect.table["std_error"] > 0).all()
    assert effect.estimand.startswith("average treatment effect")


# -- rows ------------------------------------------------------------


@pytest.mark.parametrize("settings", [*KINDS, pytest.param(LINEAR | {"nested_model": "boosting"}, id="boosting")])
def test_row_order(settings):
    roles = {"cluster": "site", "sample_weight": "weight"}
    frame = make()
    shuffled = frame.sample(frac=1, random_state=1)
    np.testing.assert_allclose(numbers(settings, shuffled, **roles), numbers(settings, frame, **roles), rtol=1e-10)
    relabelled = shuffled.set_axis([f"p{v:06d}" for v in shuffled.index])
    np.testing.assert_allclose(numbers(settings, relabelled, **roles), numbers(settings, frame, **roles), rtol=1e-10)


def test_learned_arrays_follow_the_rows_given():
    frame = make()
    shuffled = frame.sample(frac=1, random_state=1)
    one, two = fitted(RIDGE, frame), fitted(RIDGE, shuffled)
    at = frame.index.get_indexer(shuffled.index)
    for name in ("propensity_", "given_mediators_", "outcome_predictions_", "nested_predictions_", "folds_"):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name)[at], rtol=1e-10, err_msg=name)


def test_integer_weights_equal_repeated_rows():
    frame = make().reset_index(drop=True).assign(code=np.arange(160) % 3)
    settings = LINEAR | {"cv": SplitByCode()}
    repeated = frame.loc[frame.index.repeat(frame["weight"].astype(int))].reset_index(drop=True)
    one, two = numbers(settings, frame, sample_weight="weight"), numbers(settings, repeated)
    np.testing.assert_allclose(one[:, 0], two[:, 0], rtol=1e-8)


def test_shifts_and_scales():
    frame, plain = make(), numbers()
    np.testing.assert_allclose(numbers(LINEAR, frame.assign(dose=frame["dose"] * -1e6 + 3)), plain, rtol=1e-8)
    np.testing.assert_allclose(numbers(LINEAR, frame.assign(age=frame["age"] + 1e6)), plain, rtol=1e-6)
    moved = numbers(LINEAR, frame.assign(recovery=5 - 3 * frame["recovery"]))
    np.testing.assert_allclose(moved, plain * [-3, 3], rtol=1e-8)


def test_swapping_the_control_flips_the_sign():
    np.testing.assert_allclose(numbers(LINEAR | {"control": 1}) * [-1, 1], numbers(), rtol=1e-9)


def test_seeds_and_jobs():
    forests = {
        "outcome_model": RandomForestRegressor(2, max_depth=3),
        "nested_model": RandomForestRegressor(2, max_depth=3),
        "propensity_model": RandomForestClassifier(2, min_samples_leaf=15),
        "mediator_model": RandomForestClassifier(2, min_samples_leaf=15),
        "cv": 2,
    }
    one = numbers(forests | {"n_jobs": 1})
    assert np.array_equal(numbers(forests | {"n_jobs": 2}), one)
    assert not np.array_equal(numbers(forests | {"random_state": 1}), one)


# -- score and search ------------------------------------------------------------


def test_score_ranks_nuisances_and_finds_the_mediators():
    frame = make(n=600)
    X, y = frame[[*COVARIATES, "medication", *MEDIATORS]], frame["recovery"]
    fit = fitted(LINEAR, frame)
    good = fit.score(X, y)
    assert 0.1 < good < 1
    assert good == pytest.approx(fit.score(X, y, treatment=X["medication"], mediators=X[MEDIATORS]), rel=1e-12)
    assert good == pytest.approx(fit.score(X, y, sample_weight=np.full(600, 2.0)), rel=1e-12)
    noise = X.assign(dose=np.random.default_rng(0).permutation(X["dose"]))
    assert good > fitted(LINEAR, noise.assign(recovery=y)).score(noise, y)
    with pytest.raises(CausalArgumentError, match=r"score needs the mediators \['dose'\] of the held-out rows"):
        fit.score(X.drop(columns="dose"), y)


def test_searches_by_name_and_by_array_with_routing():
    frame = make(n=300)
    X, y = frame[[*COVARIATES, "medication", *MEDIATORS]], frame["recovery"]
    folds = CausalKFold(3, treatment="medication")
    search = GridSearchCV(FrontDoor(**LINEAR), {"clip": [0.01, 0.05]}, cv=folds)
    search.fit(X, y, **ROLES)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert np.isfinite(cross_val_score(FrontDoor(**LINEAR), X, y, params=ROLES, cv=folds)).all()
    with sklearn.config_context(enable_metadata_routing=True):
        search.set_params(cv=list(folds.split(X)))
        search.fit(X[COVARIATES], y, treatment=X["medication"], mediators=X[MEDIATORS])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# -- bad input ------------------------------------------------------------


def test_missing_values():
    frame = make()
    frame.loc[frame.index[:5], "age"] = np.nan
    assert "age 5" in " ".join(fitted(LINEAR, frame).effect().warnings)  # covariates are imputed and counted
    frame.loc[frame.index[3:9], "mood"] = None
    frame.loc[frame.index[20], "dose"] = np.nan
    with pytest.raises(CausalDataError) as error:
        fitted(LINEAR, frame)
    assert "mood: mediator is missing (NaN) in 6 rows" in str(error.value)
    assert "dose: mediator is missing (NaN) in 1 row" in str(error.value)
    effect = fitted(LINEAR, frame, missing="drop").effect()
    assert (effect.n_obs, effect.facts["n_dropped"]) == (153, 7)
    with pytest.raises(CausalArgumentError, match="missing='ignore' is not known"):
        fitted(LINEAR, frame, missing="ignore")


BAD = {
    "infinite": (lambda f: f.assign(dose=f["dose"].where(f["dose"] > f["dose"].min(), np.inf)), "mediator is infinite"),
    "constant": (lambda f: f.assign(dose=1.0), r"dose: mediator is constant \(1\)"),
    "one label": (lambda f: f.assign(mood="good"), r"mood: mediator is constant \('good'\)"),
    "the treatment": (lambda f: f.assign(dose=2.0 * f["medication"] - 1), "dose: mediator equals the treatment"),
    "the outcome": (lambda f: f.assign(dose=3 - f["recovery"]), "dose: mediator equals the outcome"),
    "tells the arm": (lambda f: f.assign(mood=f["medication"].map({0: "x", 1: "y"})), "mood: mediator determines"),
    "dates": (lambda f: f.assign(dose=pd.Timestamp("2020-01-01")), "dose: mediator is a date"),
    "complex": (lambda f: f.assign(dose=f["dose"] + 1j), "dose: mediator holds complex numbers"),
    "objects": (lambda f: f.assign(mood=[[1]] * len(f)), "mood: mediator holds objects of type list"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_mediators(case):
    change, message = BAD[case]
    with pytest.raises(CausalDataError, match=message):
        fitted(LINEAR, change(make()))


def test_mediators_that_are_none():
    frame = make()
    X, y = frame[[*COVARIATES, "medication", *MEDIATORS]], frame["recovery"]
    for nothing in (None, [], ()):
        with pytest.raises(CausalArgumentError, match="FrontDoor.fit needs mediators="):
            FrontDoor().fit(X, y, treatment="medication", mediators=nothing)
    with pytest.raises(
        CausalDataError, match="dosis: is given as mediators but is no column of X .did you mean 'dose'"
    ):
        FrontDoor().fit(X, y, treatment="medication", mediators=["dosis"])
    with pytest.raises(CausalDataError, match="medication: is both treatment and mediators"):
        FrontDoor().fit(X, y, treatment="medication", mediators=["medication"])
    with pytest.raises(CausalDataError, match="has 159 values for 160 rows"):
        FrontDoor().fit(X, y, treatment="medication", mediators=np.ones(159))
    with pytest.raises(CausalDataError, match="same labels in another order"):
        FrontDoor().fit(X, y, treatment="medication", mediators=frame["dose"].iloc[::-1])
    with pytest.raises(CausalArgumentError, match="FrontDoor.fit needs treatment="):
        FrontDoor().fit(X, y, mediators=["dose"])


OF_MODELS = {
    "mediator_model": WRONG["propensity_model"],
    "nested_model": WRONG["outcome_model"] | {"'linear'": [None, 3, LinearRegression, StandardScaler(), "forest"]},
}
CASES = [
    pytest.param(name, legal, value, id=f"{name}-{str(value)[:20]}")
    for name in FrontDoor().get_params(deep=False)
    for legal, values in (OF_MODELS | WRONG)[name].items()
    for value in values
]


@pytest.mark.parametrize(("name", "legal", "value"), CASES)
def test_wrong_setting(name, legal, value):
    with pytest.raises(CausalArgumentError, match=legal) as error:
        fitted(LINEAR | {name: value}, make(n=40))
    assert name in str(error.value)
