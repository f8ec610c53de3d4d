"""Effects of a structural model: exact where it is linear, resampled where it is not."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pandas_causal import CausalGraph, Shift, StructuralModel
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    CausalDataError,
    CausalError,
    CausalWarning,
    GraphError,
    OverlapWarning,
    StandardErrorWarning,
)
from pandas_causal.structural.effects import chain_rule
from tests.structural.test_model import CHAIN, linear_world, mixed_world

LINEAR = {"m": "linear", "y": "linear"}


def test_total_effect_along_paths_by_hand():
    """x -> m (2) -> y (3) and x -> y (5): 2 * 3 + 5 = 11 per unit of x; d total / d m is 3."""
    slopes = {"m": {"x": np.array([2.0])}, "y": {"m": np.array([3.0]), "x": np.array([5.0])}}
    total, changes, weight = chain_rule(slopes, {"x": np.array([1.0])}, ["m", "y"], "y")
    assert total == 11
    assert changes["m"] == 2
    assert weight == {"m": 3.0, "y": 1.0}


def test_one_regression_is_least_squares_with_hc2():
    sm = pytest.importorskip("statsmodels.api")
    df, _, _ = linear_world(300)
    peer = sm.OLS(df["y"], sm.add_constant(df[["w", "x", "m"]])).fit(cov_type="HC2")
    effect = StructuralModel(CHAIN, LINEAR).fit(df).effect({"m": (0, 1)}, outcome="y")
    assert effect.estimate == pytest.approx(peer.params["m"], rel=1e-10)
    assert effect.std_error == pytest.approx(peer.bse["m"], rel=1e-10)
    assert effect.conf_high == pytest.approx(peer.conf_int().loc["m", 1], rel=1e-10)


def test_effect_through_a_mediator_is_the_delta_method_over_both_regressions():
    """Total effect b_yx + b_ym b_mx; its variance by hand from the joint HC2 covariance of the three coefficients."""
    sm = pytest.importorskip("statsmodels.api")
    df, _, _ = linear_world(400)
    Zm, Zy = sm.add_constant(df[["w", "x"]]), sm.add_constant(df[["w", "x", "m"]])
    fm, fy = sm.OLS(df["m"], Zm).fit(), sm.OLS(df["y"], Zy).fit()

    def scores(fit, Z):
        h = fit.get_influence().hat_matrix_diag
        return (Z.to_numpy() * (fit.resid / np.sqrt(1 - h)).to_numpy()[:, None]) @ np.linalg.inv(Z.T @ Z).T

    sm_, sy = scores(fm, Zm), scores(fy, Zy)
    total = fy.params["x"] + fy.params["m"] * fm.params["x"]
    contribution = sy[:, 2] + sy[:, 3] * fm.params["x"] + fy.params["m"] * sm_[:, 2]
    effect = StructuralModel(CHAIN, LINEAR).fit(df).effect({"x": (1, 4)}, outcome="y")
    assert effect.estimate == pytest.approx(3 * total, rel=1e-10)
    assert effect.std_error == pytest.approx(3 * np.sqrt(np.square(contribution).sum()), rel=1e-10)
    assert effect.uncertainty.contributions.sum() == pytest.approx(
        3 * contribution.sum(), abs=1e-10 * np.abs(contribution).sum()
    )
    assert "HC2" in effect.std_error_method


def test_influence_and_bootstrap_agree_and_the_effect_is_like_any_other():
    df, _, _ = linear_world(500)
    model = StructuralModel(CHAIN, LINEAR).fit(df)
    exact = model.effect({"x": (0, 1)}, outcome="y")
    # a shift by one is the same effect, but its world is not one of set values: it is resampled
    drawn = model.effect({"x": (None, Shift(1))}, outcome="y", n_draws=200)
    assert drawn.estimate == pytest.approx(exact.estimate, rel=1e-10)
    assert list(drawn.table.index) == ["shift +1 - as is"]
    assert drawn.std_error == pytest.approx(exact.std_error, rel=0.25)
    assert "bootstrap" in drawn.std_error_method
    several = model.effect({"x": (0, 1, 3)}, outcome="y")
    assert list(several.table.index) == ["1 - 0", "3 - 0"]
    with pytest.warns(StandardErrorWarning, match="zero"):  # the two rows are one parameter
        none = several.linear([[3, -1]], index=["none"])
    assert abs(none.estimate) < 1e-10
    assert none.std_error < 1e-8
    blocks = exact.cluster(np.arange(500) // 2)
    assert blocks.std_error != exact.std_error
    text = repr(exact)
    assert "effect of x on y in the structural model" in text
    assert "the graph is right" in text


def test_contributions_stand_in_the_order_of_the_rows_given():
    """An array of cluster labels is used by position: a shuffled frame with its shuffled labels is the same answer."""
    df, _, _ = linear_world(300)
    labels = pd.Series(np.arange(300) // 3, index=df.index)
    shuffled = df.sample(frac=1, random_state=2)
    one, two = (StructuralModel(CHAIN, LINEAR).fit(f).effect({"x": (0, 1)}, outcome="y") for f in (df, shuffled))
    first = one.cluster(labels.to_numpy()).std_error
    assert two.cluster(labels[shuffled.index].to_numpy()).std_error == pytest.approx(first, rel=1e-10)
    assert two.cluster(labels).std_error == pytest.approx(first, rel=1e-10)
    assert first != pytest.approx(one.cluster(labels.sample(frac=1, random_state=0).to_numpy()).std_error, rel=1e-3)
    with pytest.warns(StandardErrorWarning, match="zero"):
        assert one.difference(two).std_error < 1e-7


def test_joint_interventions_cut_the_arrows_between_them():
    df, _, _ = linear_world(500)
    model = StructuralModel(CHAIN, LINEAR).fit(df)
    both = model.effect({"x": (0, 1), "m": (0, 2)}, outcome="y")
    alone = model.effect({"m": (0, 1)}, outcome="y").estimate
    coefficients = np.linalg.lstsq(
        np.column_stack([np.ones(500), df[["w", "x", "m"]]]), df["y"].to_numpy(), rcond=None
    )[0]
    assert both.estimate == pytest.approx(coefficients[2] + 2 * alone, rel=1e-8)
    assert list(both.table.index) == ["x=1, m=2 - x=0, m=0"]


def test_probability_of_a_discrete_outcome_is_the_g_formula():
    """With linear (logistic) mechanisms the estimate is the average of predicted probabilities, no draw in it."""
    graph, df = mixed_world(600)
    model = StructuralModel(graph, {"readmission": "linear", "pressure": "linear"}).fit(df)
    effect = model.effect({"medication": (0, 1)}, outcome="readmission", n_draws=40)
    mechanism = model.simulator_.mechanisms["readmission"]
    simulator, factual = model.simulator_, model.fitted_.factual
    slope = model.effect({"medication": (0, 1)}, outcome="pressure").estimate

    def mean(value):
        moved = factual["pressure"] + slope * (value - factual["medication"])
        parents = simulator.parents_of("readmission", {"pressure": moved}, len(df))
        return mechanism.predict(parents)[:, 1].mean()

    assert effect.estimate == pytest.approx(mean(1) - mean(0), rel=1e-8)
    assert effect.conf_low < effect.estimate < effect.conf_high
    assert len(effect.uncertainty.replicates) == 40


def test_discrete_mediator_against_the_sum_over_its_values():
    rng = np.random.default_rng(3)
    n = 1_000
    x = rng.integers(0, 2, n)
    m = (rng.random(n) < 0.2 + 0.6 * x).astype(int)
    y = 2.0 * m + x + rng.normal(size=n)
    df = pd.DataFrame({"x": x, "m": m, "y": y})
    model = StructuralModel(CausalGraph("x -> m -> y; x -> y"), {"y": "linear"}).fit(df)
    effect = model.effect({"x": (0, 1)}, outcome="y", n_draws=30)
    share = df.groupby("x")["m"].mean()
    b = np.linalg.lstsq(np.column_stack([np.ones(n), x, m]), y, rcond=None)[0]
    truth = b[1] + b[2] * (share[1] - share[0])
    # the mediator is drawn, in 200 passes over the rows
    assert effect.estimate == pytest.approx(truth, abs=4.5 * abs(b[2]) * np.sqrt(0.5 / (200 * n)) + 2e-3)


def test_no_effect_where_the_outcome_is_not_below():
    df, _, _ = linear_world(100)
    with pytest.warns(CausalWarning, match="m is not below y in the graph: the effect is 0 by assumption"):
        effect = StructuralModel(CHAIN, LINEAR).fit(df).effect({"y": (0, 1)}, outcome="m")
    assert effect.estimate == 0
    assert effect.std_error == 0


def test_same_draws_for_any_number_of_jobs_and_order_of_rows():
    graph, df = mixed_world(150)
    df.index = pd.RangeIndex(len(df))
    settings = {"outcome": "readmission", "n_draws": 12}
    mechanisms = {"pressure": "linear", "readmission": "linear"}
    one = StructuralModel(graph, mechanisms).fit(df).effect({"medication": (0, 1)}, **settings)
    two = StructuralModel(graph, mechanisms, n_jobs=2).fit(df.sample(frac=1, random_state=1))
    two = two.effect({"medication": (0, 1)}, **settings)
    np.testing.assert_array_equal(one.uncertainty.replicates, two.uncertainty.replicates)
    assert one.estimate == two.estimate


@pytest.mark.parametrize(
    ("contrast", "outcome", "error", "words"),
    [
        ({"x": 1}, "y", CausalArgumentError, "x: give at least two values"),
        ({"x": (1,)}, "y", CausalArgumentError, "x: give at least two values"),
        ({"x": "01"}, "y", CausalArgumentError, "x: give at least two values"),
        ({}, "y", CausalArgumentError, "effect takes a dict"),
        ({"x": (0, 1), "m": (0, 1, 2)}, "y", CausalArgumentError, "as many values each"),
        ({"y": (0, 1)}, "y", CausalArgumentError, "'y' is both treatment and outcome"),
        ({"z": (0, 1)}, "y", GraphError, "'z' is no node"),
        ({"x": (0, 1)}, "z", GraphError, "'z' is no node"),
        ({"x": (0, "a")}, "y", CausalArgumentError, "x is numeric"),
    ],
)
def test_bad_contrasts(contrast, outcome, error, words):
    df, _, _ = linear_world(60)
    with pytest.raises(error, match=words):
        StructuralModel(CHAIN, LINEAR).fit(df).effect(contrast, outcome=outcome)


def test_weak_overlap_is_said():
    rng = np.random.default_rng(0)
    w = rng.normal(size=800)
    x = (rng.logistic(size=800) < 8 * w).astype(int)
    df = pd.DataFrame({"w": w, "x": x, "y": w + x + rng.normal(size=800)})
    model = StructuralModel(CausalGraph("w -> x -> y; w -> y"), {"x": "linear", "y": "linear"}).fit(df)
    with pytest.warns(OverlapWarning, match="weak overlap of x"):
        effect = model.effect({"x": (0, 1)}, outcome="y")
    assert effect.diagnostics["overlap of x"].passed is False
    assert "weak overlap of x" in effect.warnings[0]
    assert "y linear" in effect.diagnostics["mechanisms"].summary


def test_flexible_mechanisms_are_said_to_shrink_the_effect():
    df, _, _ = linear_world(400)
    for flexible in ("boosting", KNeighborsRegressor()):
        model = StructuralModel(CHAIN, {"m": flexible, "y": "linear"}).fit(df)
        with pytest.warns(
            AssumptionWarning, match="flexible mechanisms .* m .*covers the truth too rarely; df.causal.ate"
        ):
            effect = model.effect({"x": (0, 1)}, outcome="y", n_draws=10)
        assert "shrink" in effect.warnings[0]
        assert model.effect({"m": (0, 1)}, outcome="y").warnings == ()  # it is not between
    known = {"m": lambda p: 1 + 2 * p["x"] - p["w"], "y": make_pipeline(StandardScaler(), LinearRegression())}
    assert StructuralModel(CHAIN, known).fit(df).effect({"x": (0, 1)}, outcome="y", n_draws=10).warnings == ()


def test_bad_outcomes_and_collinear_parents():
    graph, df = mixed_world()
    model = StructuralModel(graph).fit(df)
    with pytest.raises(CausalDataError, match="site: has levels .* and no mean"):
        StructuralModel(CausalGraph("severity -> site")).fit(df).effect({"severity": (0, 1)}, outcome="site")
    with pytest.raises(CausalArgumentError, match="n_draws"):
        model.effect({"medication": (0, 1)}, outcome="readmission", n_draws=3)
    twice = df.assign(same=2 * df["severity"])
    wrong = CausalGraph("severity -> pressure <- same")
    with pytest.raises(CausalError, match=r"parents of pressure \(severity, same\) are collinear"):
        StructuralModel(wrong, {"pressure": "linear"}).fit(twice).effect({"severity": (0, 1)}, outcome="pressure")
