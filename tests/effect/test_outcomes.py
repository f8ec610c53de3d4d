"""Several outcomes in one call: rows by outcome, with their joint covariance."""

import numpy as np
import pandas as pd
import pytest

import pandas_causal
from pandas_causal import AIPW
from pandas_causal.errors import CausalArgumentError, CausalDataError

DF = pandas_causal.datasets.load_lalonde()
DF["gap"] = DF["re78"] - DF["re75"]
DF["both"] = DF["re78"] + DF["re75"]
DF["dose"] = np.arange(len(DF)) % 3
OUTCOMES = ["re78", "re75"]
COVARIATES = ["age", "educ", "black"]
QUESTIONS = {
    "Welch": ("ab_test", {}),
    "pooled": ("ab_test", {"variance": "pooled"}),
    "Lin": ("ab_test", {"covariates": COVARIATES}),
    "CUPED": ("ab_test", {"covariates": COVARIATES, "adjustment": "cuped"}),
    "clusters": ("ab_test", {"cluster": "age"}),
    "weights": ("ab_test", {"sample_weight": "educ"}),
    "strata": ("ab_test", {"strata": "black"}),
    "lift": ("ab_test", {"relative": True}),
    "log lift": ("ab_test", {"relative": "log"}),
    "ratio": ("ab_test", {"denominator": "educ"}),
    "anytime": ("ab_test", {"anytime_n": 400}),
    "aipw": ("ate", {"covariates": COVARIATES, "estimator": AIPW(outcome_model="linear", propensity_model="linear")}),
    "ipw": ("ate", {"covariates": COVARIATES, "estimator": "ipw"}),
    "regression": ("ate", {"covariates": COVARIATES, "estimator": "regression"}),
    "match": ("match", {"covariates": COVARIATES}),
}
LINEAR = ("Welch", "weights", "strata", "clusters")  # estimates and variances are (quadratic) forms of the outcome


def ask(name, outcome, frame=DF, **more):
    question, settings = QUESTIONS[name]
    return getattr(frame.causal, question)(outcome=outcome, **{"treatment": "treat", **settings, **more})


@pytest.mark.parametrize(
    ("name", "treatment"),
    [*((name, "treat") for name in QUESTIONS), *((name, "dose") for name in QUESTIONS if name != "match")],
)
def test_rows_are_those_of_single_fits(name, treatment):
    joint = ask(name, OUTCOMES, treatment=treatment)
    single = {o: ask(name, o, treatment=treatment) for o in OUTCOMES}
    expected = pd.concat({o: e.table for o, e in single.items()}, names=["outcome"])
    pd.testing.assert_frame_equal(joint.table, expected, rtol=1e-7)
    for outcome, effect in single.items():
        pd.testing.assert_frame_equal(joint[outcome].table.droplevel(0), effect.table, rtol=1e-7)
    assert np.linalg.eigvalsh(joint.vcov / np.outer(*[np.sqrt(np.diag(joint.vcov))] * 2)).min() > -1e-9


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("treatment", ["treat", "dose"])
def test_a_difference_between_outcomes_is_the_effect_on_their_difference(name, treatment):
    joint, gap = ask(name, OUTCOMES, treatment=treatment), ask(name, "gap", treatment=treatment)
    difference = joint["re78"].difference(joint["re75"])
    rel = 1e-8 if name == "Welch" else 0.01  # exact for means of arms; HC2 and CR2 scale the covariance nearly
    columns = ["estimate", "std_error"] + ["p_value", "conf_low"] * (name == "Welch")
    pd.testing.assert_frame_equal(difference.table[columns], gap.table[columns], rtol=rel)
    np.testing.assert_allclose(difference.uncertainty.df(), gap.uncertainty.df(), rtol=rel)
    assert "re78 less re75" in difference.estimand


def test_a_joint_test_between_outcomes_is_hotellings():
    joint = ask("Welch", OUTCOMES)
    values, V = joint.table["estimate"].to_numpy(), joint.vcov.to_numpy()
    wald = values @ np.linalg.solve(V, values)
    df = joint.uncertainty.df().min()
    assert joint.test_zero().statistic == pytest.approx(wald * (df - 1) / (2 * df))
    cross = sum(
        DF.loc[DF["treat"] == a, OUTCOMES].cov().iloc[0, 1] / (DF["treat"] == a).sum() for a in (0, 1)
    )  # by hand: the covariance of two differences in means
    assert V[0, 1] == pytest.approx(cross)


def test_outcomes_that_one_makes_of_the_others_are_not_tested_jointly():
    with pytest.raises(CausalDataError, match="vary in only 2 directions"):
        ask("Welch", [*OUTCOMES, "gap"]).test_zero()


def test_rows_that_lack_one_outcome_are_left_out_for_all():
    frame = DF.assign(re78=DF["re78"].where(DF.index > 4), old=DF["age"] > 30)
    with pytest.raises(CausalDataError, match="re78: outcome is missing"):
        ask("Welch", OUTCOMES, frame)
    joint = ask("Welch", ["re75", "re78", "old"], frame, missing="drop")
    rest = ask("Welch", ["re75", "re78", "old"], frame[frame.index > 4])
    pd.testing.assert_frame_equal(joint.table, rest.table)
    assert joint.facts["n_dropped"] == 5
    assert frame["re75"].notna().all()  # the caller's frame is as it was


def test_a_correction_is_over_all_rows():
    check = ask("Welch", OUTCOMES, treatment="dose", correction="holm").diagnostics["multiplicity"]
    assert len(check.table) == 4


def test_tests_of_shares_stay_with_their_rows():
    frame = DF.assign(rich=DF["re78"] > 9_000, poor=DF["re78"] == 0)
    joint = ask("Welch", ["rich", "poor"], frame, test="fisher")
    for outcome in ("rich", "poor"):
        assert joint[outcome].p_value == ask("Welch", outcome, frame, test="fisher").p_value


def test_checks_of_the_design_stand_once_and_the_others_by_outcome():
    joint = ask("aipw", OUTCOMES)
    shared, own = ["overlap", "propensity", "balance"], ["nuisance", "structure"]
    assert list(joint.diagnostics) == [*shared, *(f"{check} | {y}" for y in ("re78", "re75") for check in own)]
    assert joint.facts["outcome"] == "re78, re75"
    assert joint.summary().count("Check balance") == 1
    assert joint.plot() is not None


def test_it_can_be_clustered_stored_and_averaged():
    joint, single = ask("Welch", OUTCOMES), ask("Welch", "re75")
    by = np.arange(len(DF)) % 40
    assert joint.cluster(by)["re75"].std_error == pytest.approx(single.cluster(by).std_error)
    assert joint.compact().table.equals(joint.table)
    assert joint.aggregate().estimate == pytest.approx(ask("Welch", "both").estimate / 2)
    assert joint.aggregate().std_error == pytest.approx(ask("Welch", "both").std_error / 2)


@pytest.mark.parametrize("wrong", [[], ["re78", "re78"], [["re78"]]])
def test_wrong_lists_are_named(wrong):
    with pytest.raises(CausalArgumentError, match="a list of different ones"):
        ask("Welch", wrong)
    with pytest.raises(CausalDataError, match="re77: is given as outcome but is no column"):
        ask("Welch", ["re78", "re77"])


def test_what_belongs_to_one_outcome_is_refused():
    with pytest.raises(CausalArgumentError, match="a graph decides how one outcome is estimated"):
        DF.causal.ate(treatment="treat", outcome=OUTCOMES, graph="age -> treat; age -> re78; treat -> re78")
    panel = pd.DataFrame({"unit": np.repeat(np.arange(40), 2), "time": np.tile([0, 1], 40)})
    panel["cohort"] = np.where(panel["unit"] < 20, 1, np.nan)
    panel["y"], panel["z"] = np.random.default_rng(0).normal(size=(2, 80))
    with pytest.raises(CausalArgumentError, match="one outcome at a time"):
        panel.causal.did(outcome=["y", "z"], unit="unit", time="time", cohort="cohort")
