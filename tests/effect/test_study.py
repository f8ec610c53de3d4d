"""A study refers to the caller's columns, refuses changed ones, and its refits give the fit again."""

import pickle

import numpy as np
import pandas as pd
import pytest

import pandas_causal
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError
from tests.contract.data import COVARIATES, ESTIMATORS, NAMES, fitted, make


def effect_of(estimator, **roles):
    return make().causal.fit(estimator, treatment="medication", outcome="recovery", covariates=COVARIATES, **roles)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=NAMES)
def test_a_refit_without_a_change_is_the_fit(estimator):
    effect = fitted(estimator).effect()
    again = effect.study.refit()
    pd.testing.assert_frame_equal(again.table, effect.table, rtol=1e-12)


@pytest.mark.parametrize("role", ["cluster", "sample_weight", "strata"])
def test_roles_are_fitted_again(role):
    column = {"cluster": "site", "sample_weight": "weight", "strata": "region"}[role]
    frame = make()
    effect = frame.causal.ab_test(treatment="medication", outcome="recovery", **{role: column})
    pd.testing.assert_frame_equal(effect.study.refit().table, effect.table)


def test_rows_of_weight_zero_stay_out():
    frame = make()
    frame.loc[frame.index[:20], "weight"] = 0.0
    asked = {"treatment": "medication", "outcome": "recovery", "covariates": COVARIATES, "sample_weight": "weight"}
    effect = frame.causal.ate(estimator="regression", **asked)
    pd.testing.assert_frame_equal(effect.study.refit().table, effect.table)


def test_panels_and_discontinuities_are_fitted_again():
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(40), 6)
    panel = pd.DataFrame({"unit": units, "time": np.tile(np.arange(6), 40)})
    panel["cohort"] = np.where(units % 3 == 0, np.nan, 2 + units % 3)
    panel["y"] = rng.normal(size=240) + (panel.time >= panel.cohort)
    effect = panel.causal.event_study(outcome="y", unit="unit", time="time", cohort="cohort")
    assert [step.method for step in effect.study.post][-1:] == ["aggregate"] or not effect.study.post
    pd.testing.assert_frame_equal(effect.study.refit().table, effect.table)
    running = pd.DataFrame({"x": rng.uniform(-1, 1, 500)}).assign(y=lambda d: d.x + (d.x > 0) + rng.normal(size=500))
    jump = running.causal.rdd(running="x", outcome="y")
    pd.testing.assert_frame_equal(jump.study.refit().table, jump.table)


def test_what_was_done_to_the_rows_is_done_again():
    frame = make(arms=3)
    effect = frame.causal.ate(treatment="medication", outcome="recovery", covariates=COVARIATES, estimator="regression")
    last = effect[["2 - 0"]]
    assert last.study.post[-1].method == "__getitem__"
    pd.testing.assert_frame_equal(last.study.refit().table, last.table)
    average = effect.aggregate().cluster(frame["site"])
    pd.testing.assert_frame_equal(average.study.refit().table, average.table)
    assert effect[["1 - 0"]].difference(last).study is None
    assert effect.estimator.effect(frame[COVARIATES], arm=2).study is None


def test_a_part_is_replaced():
    frame = make()
    effect = effect_of(pandas_causal.RegressionAdjustment())
    turned = effect.study.refit(treatment=1 - frame["medication"])
    assert turned.estimate == pytest.approx(-effect.estimate)
    half = np.arange(len(frame)) % 2 == 0
    direct = frame[half].causal.ate(
        treatment="medication", outcome="recovery", covariates=COVARIATES, estimator="regression"
    )
    assert effect.study.refit(rows=half).estimate == pytest.approx(direct.estimate)
    assert effect.study.refit(frame[half]).estimate == pytest.approx(direct.estimate)
    fewer = effect.study.refit(covariates=frame[["age"]])
    alone = frame.causal.ate(treatment="medication", outcome="recovery", covariates=["age"], estimator="regression")
    assert fewer.estimate == pytest.approx(alone.estimate)
    tripled = effect.study.refit(outcome=3 * frame["recovery"])
    assert tripled.estimate == pytest.approx(3 * effect.estimate)


def test_arrays_are_referred_to_and_a_change_is_refused():
    frame = make()
    X, y = frame[["age", "severity"]].to_numpy().copy(), frame["recovery"].to_numpy().copy()
    t = frame["medication"].to_numpy().copy()
    effect = pandas_causal.RegressionAdjustment().fit(X, y, treatment=t).effect()
    assert effect.study.refit().estimate == effect.estimate
    X[3, 0] += 1
    with pytest.raises(CausalDataError, match="x0: .covariate"):
        effect.study.refit()
    with pytest.raises(CausalArgumentError, match="arrays"):
        effect.compact().study.on(frame)


def test_the_frame_is_not_copied():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=["a", "b", "y"])
    t = np.arange(50) % 2
    effect = pandas_causal.RegressionAdjustment().fit(frame[["a", "b"]], frame["y"], treatment=t).effect()
    assert np.shares_memory(effect.study.inputs.outcome.to_numpy(), frame["y"].to_numpy())


def test_storing_drops_the_data_and_a_frame_brings_them_back():
    frame = make()
    effect = effect_of(pandas_causal.RegressionAdjustment())
    for stored in (effect.compact(), pickle.loads(pickle.dumps(effect))):
        assert stored.study.inputs is None
        assert stored.study.frame is None
        with pytest.raises(CausalError, match="study=frame"):
            stored.study.refit()
        assert stored.study.on(frame).refit().estimate == effect.estimate
        with pytest.raises(CausalDataError, match="age"):
            stored.study.on(frame.assign(age=frame["age"] + 1))
        with pytest.raises(CausalDataError, match="is no column"):
            stored.study.on(frame.drop(columns="age"))
        with pytest.raises(CausalArgumentError, match="DataFrame"):
            stored.study.on([1])


def test_a_pickle_does_not_grow_with_the_study():
    from dataclasses import replace

    n = 2_000
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=n), "t": rng.integers(0, 2, n), "y": rng.normal(size=n)})
    effect = frame.causal.ate(treatment="t", outcome="y", covariates=["x"], estimator="regression")
    without = len(pickle.dumps(replace(effect, study=None)))
    assert len(pickle.dumps(effect)) < without + 2_000
    assert len(pickle.dumps(effect.compact())) < 20_000


def test_a_step_that_cannot_be_stored_is_named():
    effect = effect_of(pandas_causal.RegressionAdjustment()).transform(lambda v: 2 * v)
    assert effect.study.refit().estimate == pytest.approx(effect.estimate)
    stored = pickle.loads(pickle.dumps(effect))
    with pytest.raises(CausalError, match="cannot be stored"):
        stored.study.on(make()).refit()


def test_every_kind_of_column_is_marked():
    from datetime import date
    from decimal import Decimal

    frame = make().assign(
        day=pd.Timestamp("2020-01-01"), kind=lambda d: d["region"].astype("category"), whole=lambda d: d["site"]
    )
    frame["whole"] = frame["whole"].astype("Int64")
    frame["money"] = [Decimal(k) for k in range(len(frame))]
    frame["due"] = [date(2020, 1, 1 + k % 28) for k in range(len(frame))]
    covariates = ["age", "kind", "region", "whole", "money"]
    effect = frame.causal.ate(
        treatment="medication", outcome="recovery", covariates=covariates, estimator="regression", cluster="due"
    )
    stored = effect.compact()
    assert stored.study.on(frame).refit().estimate == pytest.approx(effect.estimate)
    with pytest.raises(CausalDataError, match="kind"):
        stored.study.on(frame.assign(kind=frame["kind"].cat.rename_categories({"north": "elsewhere"})))


@pytest.mark.parametrize("weights", [None, "weight"])
@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize(
    "estimator",
    [
        pandas_causal.RegressionAdjustment(interactions=False),
        pandas_causal.RegressionAdjustment(),
        pandas_causal.RegressionAdjustment(estimand="ATT"),
    ],
    ids=["coefficient", "by arm", "ATT"],
)
def test_shared_refits_are_refits(estimator, arms, weights):
    frame = make(arms=arms)
    effect = frame.causal.fit(
        estimator, treatment="medication", outcome="recovery", covariates=COVARIATES, sample_weight=weights
    )
    shared = effect.estimator.shared_refits()
    order = np.random.default_rng(0).permutation(len(frame))
    treatment = frame["medication"].to_numpy()[order]
    for found, wanted in (
        (shared.refit(codes=treatment), effect.study.refit(treatment=treatment)),
        (shared.refit(y=np.sin(frame["age"].to_numpy())), effect.study.refit(outcome=np.sin(frame["age"].to_numpy()))),
        (shared.refit(), effect),
    ):
        np.testing.assert_allclose(found.estimates, wanted.table["estimate"], rtol=1e-10)
        np.testing.assert_allclose(found.std_errors, wanted.table["std_error"], rtol=1e-9)
        np.testing.assert_allclose(found.df, wanted.uncertainty.df())


def test_a_model_without_shared_refits_says_so():
    assert effect_of(pandas_causal.RegressionAdjustment(), cluster="site").estimator.shared_refits() is None
    frame = make().assign(recovery=lambda d: (d["recovery"] > 4).astype(int))
    logistic = frame.causal.fit(
        pandas_causal.RegressionAdjustment(outcome_model="logistic"),
        treatment="medication",
        outcome="recovery",
        covariates=["age"],
    )
    assert logistic.estimator.shared_refits() is None
