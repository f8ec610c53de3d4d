"""The numerical tests of the design through the public estimators, to 1e-8."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

import pandas_causal
from pandas_causal import AIPW, DifferenceInMeans, RegressionAdjustment
from pandas_causal.errors import StandardErrorWarning
from tests.effect.examples import ARM, G, H, Y

FRAME = pd.DataFrame({"y": Y, "arm": ARM, "g": G, "h": H})
TIGHT = {"abs": 1e-8, "rel": 1e-8}


def ab_test(frame=FRAME, **more):
    return frame.causal.ab_test(treatment="arm", outcome="y", **more)


@pytest.mark.filterwarnings("ignore:the clusters of h are few")
def test_1_welch_clusters_and_two_ways():
    effect = ab_test()
    assert effect.estimate == pytest.approx(4.25, **TIGHT)
    assert effect.std_error == pytest.approx(1.0704360482, **TIGHT)
    assert effect.uncertainty.df()[0] == pytest.approx(5.5846153846, **TIGHT)
    assert effect.cluster(G).std_error == pytest.approx(0.9090593429, **TIGHT)
    assert effect.cluster([G, H]).std_error == pytest.approx(0.5803495115, **TIGHT)
    assert ab_test(cluster="g").std_error == pytest.approx(1.0307764064, **TIGHT)
    assert ab_test(cluster="g").cluster("g").std_error == pytest.approx(0.9090593429, **TIGHT)
    two_ways = DifferenceInMeans().fit(FRAME.drop(columns="y"), FRAME["y"], treatment="arm", cluster=["g", "h"])
    assert two_ways.effect().std_error == pytest.approx(0.5803495115, **TIGHT)


def test_1_repeated_labels_and_the_order_of_rows_change_nothing():
    doubled = FRAME.set_axis(np.repeat(np.arange(4), 2))
    assert ab_test(doubled).std_error == pytest.approx(1.0704360482, **TIGHT)
    shuffled = FRAME.sample(frac=1, random_state=3)
    effect = ab_test(shuffled)
    assert effect.std_error == pytest.approx(1.0704360482, **TIGHT)
    assert effect.cluster(shuffled["g"]).std_error == pytest.approx(0.9090593429, **TIGHT)
    assert ab_test(shuffled, cluster="g").std_error == pytest.approx(1.0307764064, **TIGHT)
    both = effect.cluster([shuffled["g"].to_numpy(), shuffled["h"].to_numpy()])
    assert both.std_error == pytest.approx(0.5803495115, **TIGHT)


class Constant(RegressorMixin, BaseEstimator):
    """Predicts one number."""

    def __init__(self, value=3.2):
        self.value = value

    def fit(self, X, y, sample_weight=None):
        self.n_features_in_ = np.shape(X)[1]
        return self

    def predict(self, X):
        return np.full(len(X), self.value)


def test_2a_the_estimated_share_of_treated_contributes():
    y = np.array([3, 5, 10, 1, 2, 3, 4, 6.0])
    d = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    X = pd.DataFrame({"x": [0.3, -1, 2, 0.5, 1, -0.7, 0.1, 1.4]})
    estimator = AIPW(estimand="ATT", outcome_model=Constant(3.2), cv=3)
    effect = estimator.fit(X, y, treatment=d, propensity=np.full(8, 3 / 8)).effect()
    assert effect.estimate == pytest.approx(2.8, **TIGHT)
    assert effect.std_error == pytest.approx(1.8657140426, **TIGHT)


def known_effect():
    """Outcome without noise, effect 1 + 2 x, x = -1, 0, 0, 1 in 25 copies; both arms hold every x."""
    x = np.tile([-1.0, 0, 0, 1], 50)
    d = np.repeat([0, 1], 100)
    X = pd.DataFrame({"x": x}, index=pd.Index([f"row {i}" for i in range(200)]))
    return X, 3 + x + d * (1 + 2 * x), d


def test_2c_average_over_the_population_or_over_these_rows():
    """200 rows here (each arm must hold every x): the standard error of the population's average is sqrt(2 / 200)."""
    X, y, d = known_effect()
    model = RegressionAdjustment().fit(X, y, treatment=d)
    expected = np.sqrt(2 / 200)
    assert model.effect().estimate == pytest.approx(1, **TIGHT)
    assert model.effect().std_error == pytest.approx(expected, **TIGHT)
    with pytest.warns(StandardErrorWarning, match="zero"):
        units = model.effect(X)
    np.testing.assert_allclose(units.estimates, 1 + 2 * X["x"], atol=1e-8)
    population = units.aggregate()
    assert population.estimate == pytest.approx(1, **TIGHT)
    assert population.std_error == pytest.approx(expected, **TIGHT)
    with pytest.warns(StandardErrorWarning, match="zero"):
        fixed = units.aggregate(population=False)
    assert fixed.std_error == pytest.approx(0, abs=1e-8)
    assert "these very units" in fixed.summary()
    assert "population" in population.summary()


def test_2c_as_the_design_states_it():
    """100 rows whose average effect is asked for, from a fit on other rows: 0.1414213562."""
    X, y, d = known_effect()
    asked = pd.DataFrame({"x": np.tile([-1.0, 0, 0, 1], 25)}, index=pd.Index([f"new {i}" for i in range(100)]))
    with pytest.warns(StandardErrorWarning, match="zero"):
        units = RegressionAdjustment().fit(X, y, treatment=d).effect(asked)
    assert units.aggregate().std_error == pytest.approx(0.1414213562, **TIGHT)
    with pytest.warns(StandardErrorWarning, match="zero"):
        assert units.aggregate(population=False).std_error == pytest.approx(0, abs=1e-8)


def test_2c_the_same_for_subgroups():
    X, y, d = known_effect()
    with pytest.warns(StandardErrorWarning, match="zero"):
        units = RegressionAdjustment().fit(X, y, treatment=d).effect(X)
    groups = np.where(X["x"] < 0.5, "low", "high")
    with pytest.warns(StandardErrorWarning, match="zero"):  # every x of "high" is 1: nothing is sampled there
        by = units.aggregate(groups)
    low = X["x"][X["x"] < 0.5]
    expected = np.sqrt(np.square(2 * (low - low.mean())).sum()) / len(low)
    assert by.table.loc["low", "std_error"] == pytest.approx(expected, **TIGHT)
    assert by.table.loc["high", "std_error"] == pytest.approx(0, abs=1e-8)


def means_of(values, labels):
    """Mean of some values as the arm mean of a two-arm comparison, the other arm a few rows of its own."""
    own = [f"other {i}" for i in range(3)]
    frame = pd.DataFrame(
        {"y": [*map(float, values), 0.0, 1.0, 5.0], "arm": [1] * len(values) + [0] * 3}, index=pd.Index([*labels, *own])
    )
    # 3. compares fits by their raw contributions, without a small-sample factor
    return frame.causal.ab_test(treatment="arm", outcome="y").parameters[["1"]]


def test_3_comparisons_join_rows_on_labels():
    left = means_of([1, 2, 3, 4], ["a0", "a1", "a2", "a3"])
    right = means_of([3, 4, 5, 6], ["a2", "a3", "a4", "a5"])
    gap = left.difference(right)
    assert gap.estimate == pytest.approx(-2, **TIGHT)
    assert gap.std_error == pytest.approx(0.9013878189, **TIGHT)


def test_3_an_effect_minus_itself_with_permuted_rows():
    frame = pandas_causal.datasets.load_lalonde()
    effect = frame.causal.ab_test(treatment="treat", outcome="re78")
    shuffled = frame.sample(frac=1, random_state=0).causal.ab_test(treatment="treat", outcome="re78")
    with pytest.warns(StandardErrorWarning, match="zero"):
        assert effect.difference(shuffled).std_error < 1e-7


def test_3_collapse_to_units():
    frame = pd.DataFrame({"y": [1, 1, 5, 5, 0, 2.0], "arm": [1, 1, 1, 1, 0, 0], "unit": ["a", "a", "b", "b", "c", "d"]})
    mean = DifferenceInMeans().fit(frame[["arm"]], frame["y"], treatment="arm").effect().parameters[["1"]]
    raw = without_factors(mean)
    assert raw.std_error == pytest.approx(1.0, **TIGHT)
    assert mean.collapse(frame["unit"]).std_error == pytest.approx(1.4142135624, **TIGHT)


def without_factors(effect):
    """The effect with the raw outer product of its contributions for a variance: no small-sample factor."""
    return effect.cluster(np.arange(effect.n_obs), small_sample=False)
