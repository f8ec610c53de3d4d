"""The marginal sensitivity model of weighted effects."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

from pandas_causal import IPW
from pandas_causal.errors import CausalArgumentError, CausalError


def clinic(n=800, seed=0, arms=2):
    rng = np.random.default_rng(seed)
    age, severity = rng.normal(size=(2, n))
    score = 0.7 * age + rng.logistic(size=n)
    arm = (score > 0).astype(int) if arms == 2 else np.digitize(score, [-0.5, 0.8])
    return pd.DataFrame({"age": age, "severity": severity, "arm": arm, "y": arm + age + severity + rng.normal(size=n)})


def ask(frame, estimator="ipw", **settings):
    covariates = ["age", "severity"]
    return frame.causal.ate(treatment="arm", outcome="y", covariates=covariates, estimator=estimator, **settings)


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
def test_without_confounding_it_is_the_effect_and_its_interval(estimand):
    effect = ask(clinic(), IPW(estimand=estimand))
    for sharp in (True, False):
        row = effect.sensitivity(odds_factors=[1], sharp=sharp).table.iloc[0]
        assert row[["low", "high"]].tolist() == pytest.approx([effect.estimate] * 2)
        assert row[["conf_low", "conf_high"]].tolist() == pytest.approx([effect.conf_low, effect.conf_high])


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
def test_sharp_bounds_are_within_those_of_zhao(estimand):
    for seed in range(3):
        effect = ask(clinic(300, seed), IPW(estimand=estimand))
        sharp, wide = (effect.sensitivity(odds_factors=[1.2, 2, 5], sharp=s).table for s in (True, False))
        assert (sharp["low"] > wide["low"]).all()
        assert (sharp["high"] < wide["high"]).all()
        assert (np.diff(sharp["high"]) > 0).all()


def test_clusters_trimming_and_weights():
    frame = clinic().assign(ward=np.arange(800) // 8, w=np.tile([1.0, 2.0], 400))
    for settings in ({"cluster": "ward"}, {"sample_weight": "w"}):
        effect = ask(frame, **settings)
        row = effect.sensitivity(odds_factors=[1]).table.iloc[0]
        assert row["low"] == pytest.approx(effect.estimate)
        assert row["conf_low"] == pytest.approx(effect.conf_low, abs=0.01)  # t of the clusters there, normal here
    effect = ask(frame, IPW(trim=0.1))
    assert effect.sensitivity(odds_factors=[1]).table.iloc[0]["low"] == pytest.approx(effect.estimate)
    twice = frame.loc[frame.index.repeat(frame["w"].astype(int))].reset_index(drop=True)
    for sharp in (True, False):
        one = ask(frame, sample_weight="w").sensitivity(odds_factors=[2], sharp=sharp).table
        other = ask(twice).sensitivity(odds_factors=[2], sharp=sharp).table
        np.testing.assert_allclose(one[["low", "high"]], other[["low", "high"]], rtol=5e-4)


def test_several_arms():
    effect = ask(clinic(arms=3))
    found = effect.sensitivity(odds_factors=[1, 2])
    assert list(found.table.index.get_level_values(0).unique()) == list(effect.estimates.index)
    np.testing.assert_allclose(found.table.xs(1, level=1)["low"], effect.estimates)
    np.testing.assert_allclose(found.table.xs(1, level=1)["conf_low"], effect.table["conf_low"], rtol=1e-8)
    one = effect[effect.estimates.index[1]].sensitivity(odds_factors=[1, 2])
    pd.testing.assert_frame_equal(one.table, found.table.iloc[2:])
    assert len(found.breakdown) == 2


def test_swapped_arms_turn_the_bounds():
    one = ask(clinic(), control=0).sensitivity(odds_factors=[2]).table.iloc[0]
    other = ask(clinic(), control=1).sensitivity(odds_factors=[2]).table.iloc[0]
    assert one["low"] == pytest.approx(-other["high"], rel=1e-6)


def test_breakdown_is_where_the_interval_reaches_the_null():
    effect = ask(clinic())
    found = effect.sensitivity()
    at = float(found.breakdown.iloc[0])
    ends = effect.sensitivity(odds_factors=[0.99 * at, 1.01 * at]).table["conf_low"]
    assert ends.iloc[0] > 0 > ends.iloc[1]
    assert f"{at:.2f}" in found.summary
    assert effect.sensitivity(null=effect.estimate).breakdown.iloc[0] == 1.0
    assert "even without hidden confounding" in effect.sensitivity(null=effect.estimate).summary


def test_picture():
    ax = ask(clinic()).sensitivity().plot()
    assert len(ax.lines) == 3
    with pytest.raises(CausalArgumentError, match="row='x'"):
        ask(clinic()).sensitivity().plot(row="x")


def test_known_propensities_and_learners_have_bounds_too():
    frame = clinic()
    effect = ask(frame.assign(e=1 / (1 + np.exp(-0.7 * frame["age"]))), propensity="e")
    assert effect.sensitivity(odds_factors=[1]).table.iloc[0]["conf_low"] == pytest.approx(effect.conf_low)
    effect = ask(frame, IPW(cv=3, propensity_model="ridge"))
    assert effect.sensitivity(odds_factors=[1]).table.iloc[0]["conf_low"] == pytest.approx(effect.conf_low)


def test_what_has_no_answer_says_so():
    with pytest.raises(CausalArgumentError, match="moves with them"):
        ask(clinic(), IPW(estimand="ATO")).sensitivity()
    with pytest.raises(CausalArgumentError, match="estimator='ipw'"):
        ask(clinic(), "regression").sensitivity("marginal")
    with pytest.raises(CausalArgumentError, match="at least 1"):
        ask(clinic()).sensitivity(odds_factors=[0.5])
    with pytest.raises(CausalArgumentError, match="sharp must be True or False"):
        ask(clinic()).sensitivity(sharp="yes")
    with pytest.raises(CausalError, match="no contrasts of arms"):
        ask(clinic()).linear([[2.0]], ["double"]).sensitivity("marginal")
