"""Every constructor parameter with a wrong value: a CausalArgumentError that names it and what is legal."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

import pandas_causal
from pandas_causal.errors import CausalArgumentError, CausalError
from tests.contract.data import ESTIMATORS, fitted, make

WHOLE = [0, -1, 1.5, "2", True, None]
# parameter -> what the message says of the legal values -> wrong values
WRONG = {
    "estimand": {"'ATE'": ["ate", "LATE", None, 3, ["ATE"]]},
    "outcome_model": {"'linear'": ["forest", None, 3, LinearRegression, StandardScaler()]},
    "propensity_model": {"'linear'": ["logit", None, 3, RandomForestClassifier, LinearRegression()]},
    "treatment_model": {"'linear'": ["logit", None, 3, RandomForestClassifier, StandardScaler()]},
    "final_model": {"'linear'": ["forest", None, 3, LinearRegression, StandardScaler()]},
    "effect_modifiers": {"a list of covariates": ["age", 3, True], "no covariate": [["heigth"]]},
    "penalty": {"'cv' or a number above 0": [0, -1, "auto", None, True]},
    "nodewise_penalty": {"'cv' or a number above 0": [0, -1, "auto", None, True]},
    "bandwidth": {"'median' or a number above 0": [0, -1, "wide", None, True]},
    "n_landmarks": {"at least 1": WHOLE},
    "encode": {"True or False": ["yes", 2, None]},
    "nu": {r"\[0, 1\]": [-0.1, 1.5, "half", None]},
    "learners": {"in a list or by name": ["dr", 3, [], ["dr"]]},
    "combine": {"'median', 'mean'": ["Median", None, 3]},
    "memory": {"None, a folder": [3, True, ["folder"]]},
    "cv": {"at least 2 folds": [1, 0, -3, 2.5, "five", True, object]},
    "n_repeats": {"at least 1": WHOLE},
    "clip": {r"\[0, 0.5\)": [-0.1, 0.5, 1, np.nan, "0.1", True]},
    "std_error": {"'influence', 'honest'": ["bootstrap", "Honest", 3]},
    "trim": {r"\[0, 0.5\)": [-0.1, 0.5, 1, np.nan, "0.1", True]},
    "control": {r"levels: \[0, 1\]": ["nobody", 2, 0.5, [0, 1], {}]},
    "random_state": {"None or a whole number of at least 0": [-1, 1.5, "seed", np.nan, True, [1, 2]]},
    "n_jobs": {"None or a whole number other than 0": [0, 1.5, "two", np.nan]},
    "adjustment": {"'lin', 'cuped'": ["cupped", 3, True, ["lin"]]},
    "variance": {"'welch', 'pooled', 'proportion'": ["Welch", None, 3]},
    "relative": {"True or False, or 'log'": ["yes", 2, None]},
    "test": {"'pooled_z', 'fisher'": ["Fisher", True, 3]},
    "alternative": {"'two-sided', 'greater', 'less'": ["two_sided", None, 0]},
    "correction": {"'holm', 'benjamini_hochberg'": ["bonferroni", 3, True]},
    "allocation": {r"\[0, 1\]": ["half", 0.5, [0.5], {"a": 0.5}, {0: 0.5}, [-1, 2], {0: "x", 1: "y"}, [0, 0]]},
    "cluster_inference": {"'satterthwaite', 'wild'": ["cr1", None, 3]},
    "anytime_n": {"rows planned for": [0, -5, "many", np.nan, True]},
    "method": {"'nearest', 'pair'": ["Nearest", None, 3, ["pair"]]},
    "distance": {"'mahalanobis'": ["manhattan", None, 3, RandomForestClassifier, LinearRegression()]},
    "ratio": {"at least 1, or": [0, -1, 1.5, "2", True, None, (2, 1), (1, 2, 3), (0, 2)]},
    "replace": {"True or False": ["yes", 2, None]},
    "caliper": {
        "positive number": [0, -0.2, "0.2", True, np.inf, {}, {"age": -1}, {"age": "x"}],
        "'heigth'": [{"heigth": 1}],
    },
    "exact": {"a list of covariates": ["region", 3, True], "'heigth', which is no covariate": [["heigth"]]},
    "order": {"'largest', 'smallest'": ["data", None, 3]},
    "discard": {"'treated', 'control'": ["all", 3, True]},
    "bias_adjust": {"True or False": ["yes", 2, None]},
    "n_subclasses": {"at least 2": [1, 0, 2.5, "6", True, None]},
    "cutpoints": {"number of bins": [0, -1, 2.5, "few", True, {"age": -1}, {"age": "x"}, {"age": []}]},
    "variance_matches": {"at least 1": WHOLE},
    "moments": {"1, 2 or 3": [0, 4, 1.5, "2", None, True]},
    "interactions": {"True or False": ["yes", 1, None]},
    "over_identified": {"True or False": ["over", 1, None]},
    "tolerance": {"0 or more": [-0.1, np.inf, np.nan, "0.1", None, True]},
    "formula": {"right-hand side": ["", 3, True, ["age"]]},
    "n_estimators": {"trees, 2 or more": [0, 1, -4, 2.5, "many", True, None]},
    "min_samples_leaf": {"1 or more": [0, -1, 2.5, "few", True, None]},
    "max_depth": {"at least 1": [0, -1, 2.5, "deep", True]},
    "max_features": {"above 0": [0, -0.5, "sqrt", True]},
    "max_samples": {"up to 0.5": [0, 0.6, 1, "half", True, None]},
    "honesty": {"True or False": ["yes", 2, None]},
    "honesty_fraction": {"between 0 and 1": [0, 1, "half", True, None]},
    "prune_fraction": {r"\[0, 0.5\)": [-0.1, 0.5, "some", True]},
    "alpha": {r"\[0, 0.25\)": [-0.1, 0.25, "0.1", None, True]},
    "imbalance_penalty": {"0 or more": [-0.1, np.inf, "0.1", None, True]},
    "equalize_clusters": {"True or False": ["yes", 2, None]},
    "progress": {"True or False": ["yes", 2, None]},
    "criterion": {"'euclidean'": ["KL", None, 3]},
    "normalise": {"True or False": ["yes", 2, None]},
    "costs": {"a dict of arm to cost": [3, [1, 2], True]},
    "level": {"between 0 and 1": [0, 1, 95, -0.1, "high", np.nan, None, True]},
}
CASES = [
    pytest.param(estimator, name, legal, value, id=f"{type(estimator).__name__}-{name}-{str(value)[:20]}")
    for estimator in ESTIMATORS
    for name in estimator.get_params(deep=False)
    for legal, values in WRONG[name].items()
    for value in values
    if not (isinstance(value, str) and value == "forest" and estimator.get_params()[name] == "forest")
]


@pytest.mark.parametrize(("estimator", "name", "legal", "value"), CASES)
def test_wrong_setting(estimator, name, legal, value):
    with pytest.raises(CausalArgumentError, match=legal) as error:
        fitted(clone(estimator).set_params(**{name: value}), make(n=40))
    assert name in str(error.value)
    assert error.value.__cause__ is None
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_missing_argument(estimator):
    with pytest.raises(CausalArgumentError, match="missing='ignore' is not known; use 'raise' or 'drop'"):
        fitted(estimator, make(n=40), missing="ignore")


@pytest.mark.parametrize("value", [np.int64(3), np.float64(0.05), np.bool_(False)])
def test_numpy_scalars_are_numbers(value):
    """A setting read from an array is as good as a Python number."""
    name = {"i": "cv", "f": "clip", "b": "relative"}[np.asarray(value).dtype.kind]
    for estimator in ESTIMATORS:
        if estimator.get_params().get(name) is not None:
            model = fitted(clone(estimator).set_params(**{name: value}), make(n=60))
            assert np.isfinite(model.effect().estimates).all()


@pytest.mark.parametrize(
    "wrong", [pd.DataFrame({"x": [1]}), pd.Series([1.0]), np.array(["drop"]), {}, ["raise"]], ids=repr
)
def test_words_are_never_compared_with_frames(wrong):
    """`value in (...)` of a frame raises a ValueError of pandas."""
    frame = make()
    arms = {"treatment": "medication", "outcome": "recovery"}
    graph = "age -> medication; age -> recovery; medication -> recovery"
    for ask in (
        lambda: frame.causal.ate(**arms, covariates=["age"], missing=wrong),
        lambda: frame.causal.ate(**arms, covariates=["age"], estimand=wrong),
        lambda: frame.causal.ate(
            **arms, covariates=["age"], estimator=pandas_causal.RegressionAdjustment(outcome_model=wrong)
        ),
        lambda: frame.causal.overlap(treatment="medication", covariates=["age"], estimand=wrong),
        lambda: frame.causal.do(graph, {"medication": 1}, missing=wrong),
        lambda: frame.causal.counterfactual(graph, {"medication": 1}, coupling=wrong),
        lambda: frame.causal.check_graph(graph, test=wrong),
        lambda: frame.causal.check_graph(graph, correction=wrong),
        lambda: frame.causal.validate(**arms, cluster=wrong),
    ):
        with pytest.raises(CausalError):
            ask()
