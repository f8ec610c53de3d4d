"""Rankings: TOC, AUTOC and Qini by hand, their errors against simulation, the definitions of other packages."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import PolicyTree, metrics, treat_within_budget
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.heterogeneity.ranking import gain_curve, rank_areas
from tests.heterogeneity.designs import COVARIATES, confounded


def test_a_perfect_rule_on_eight_rows_by_hand():
    scores = np.array([8.0, 6, 4, 2, 0, -2, -4, -6])
    priority = scores
    mean = 1.0
    top = np.array([8, 7, 6, 5, 4, 3, 2, 1.0])  # means of the first k
    toc = top - mean
    values, contributions = rank_areas(scores, priority)
    assert values[0] == pytest.approx(toc.mean())  # 3.5
    assert values[1] == pytest.approx((np.arange(1, 9) / 8 * toc).mean())
    assert contributions.sum(axis=0) == pytest.approx(np.zeros(2), abs=1e-12)
    shuffled = np.random.default_rng(0).permutation(8)
    again, moved = rank_areas(scores[shuffled], priority[shuffled])
    assert again == pytest.approx(values)
    assert moved == pytest.approx(contributions[shuffled])
    curve = gain_curve(scores, priority, n_draws=10)
    assert curve.loc[0.5, "toc"] == pytest.approx(4.0)
    assert curve.loc[0.25, "gain"] == pytest.approx(14 / 8)
    assert curve.loc[0.5, "qini"] == pytest.approx(20 / 8 - 0.5)
    assert curve.loc[1.0, "toc"] == pytest.approx(0.0)


def test_ties_are_averaged():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=40)
    priority = np.repeat([3.0, 2.0, 1.0, 0.0], 10)
    orders = [rank_areas(scores, priority + 1e-9 * rng.random(40))[0] for _ in range(3_000)]
    assert rank_areas(scores, priority)[0] == pytest.approx(np.mean(orders, axis=0), abs=0.01)
    assert rank_areas(scores, np.zeros(40))[0] == pytest.approx([0.0, 0.0], abs=1e-12)


def test_weights_are_repeated_rows():
    rng = np.random.default_rng(2)
    scores, priority, times = rng.normal(size=300), rng.normal(size=300), rng.integers(1, 4, 300)
    weighted = rank_areas(scores, priority, times.astype(float))[0]
    repeated = rank_areas(np.repeat(scores, times), np.repeat(priority, times))[0]
    assert weighted == pytest.approx(repeated, abs=0.01)


def test_errors_are_those_of_simulation():
    rng = np.random.default_rng(3)
    values, errors = [], []
    for _ in range(300):
        priority = rng.normal(size=400)
        scores = 0.5 * priority + rng.normal(size=400)
        value, contributions = rank_areas(scores, priority)
        values.append(value)
        errors.append(np.sqrt(np.square(contributions).sum(axis=0)))
    assert np.mean(errors, axis=0) == pytest.approx(np.std(values, axis=0), rel=0.15)


def test_bands_agree_with_the_contributions():
    rng = np.random.default_rng(4)
    priority = rng.normal(size=2_000)
    scores = 1 + priority + rng.normal(size=2_000)
    curve = gain_curve(scores, priority, n_draws=400)
    assert curve.loc[1.0, "gain_std_error"] == pytest.approx(scores.std() / np.sqrt(2_000), rel=0.15)
    again = gain_curve(scores, priority, n_draws=400)
    pd.testing.assert_frame_equal(curve, again)
    assert not curve.equals(gain_curve(scores, priority, n_draws=400, random_state=1))


def test_rankings_are_compared_on_the_same_rows():
    rng = np.random.default_rng(5)
    good = pd.Series(rng.normal(size=1_500))
    scores = good + rng.normal(size=1_500)
    effect = metrics.rate(scores, {"good": good, "noise": rng.normal(size=1_500)})
    assert effect.table.index.tolist() == [
        ("good", "AUTOC"), ("good", "Qini"), ("noise", "AUTOC"), ("noise", "Qini"),
    ]  # fmt: skip
    assert effect.table["p_value"].iloc[0] < 1e-6
    gap = effect.linear([[1, 0, -1, 0]])
    assert gap.estimate == pytest.approx(effect.estimates.iloc[0] - effect.estimates.iloc[2])
    twice = metrics.rate(scores, {"a": good, "b": good}).vcov.to_numpy()
    assert twice[:2, :2] == pytest.approx(twice[:2, 2:], rel=1e-12)
    alone = metrics.rate(scores, good)
    assert alone.table.index.tolist() == ["AUTOC", "Qini"]
    clustered = metrics.rate(scores, good, cluster=np.arange(1_500) // 5)
    assert clustered.std_error_method.endswith("clustered (CR1)")


def test_costs_make_shares_of_the_budget():
    rng = np.random.default_rng(6)
    priority = rng.normal(size=500)
    scores = priority + rng.normal(size=500)
    plain = metrics.rate(scores, priority)
    same = metrics.rate(scores, priority, cost=np.full(500, 2.0))
    assert same.estimates.to_numpy() == pytest.approx(plain.estimates.to_numpy() / 2)
    cost = rng.uniform(0.5, 2, 500)
    by_cost = metrics.rate(scores, scores / cost, cost=cost)
    assert by_cost.estimates["Qini"] > metrics.rate(scores, scores, cost=cost).estimates["Qini"]
    with pytest.raises(CausalDataError, match="cost must be above 0, and is not in 500 rows"):
        metrics.rate(scores, priority, cost=np.zeros(500))


def test_calibration():
    rng = np.random.default_rng(7)
    tau = 1 + 0.5 * rng.normal(size=4_000)
    scores = tau + rng.normal(size=4_000)
    right = metrics.calibration(scores, tau)
    assert (np.abs(right.estimates - 1) < 4 * right.table["std_error"]).all()
    loud = metrics.calibration(scores, 1 + 3 * (tau - 1))
    assert loud.estimates["differential prediction"] == pytest.approx(
        right.estimates["differential prediction"] / 3, rel=1e-9
    )
    X = np.column_stack([np.full(4_000, tau.mean()), tau - tau.mean()])
    assert right.estimates.to_numpy() == pytest.approx(np.linalg.lstsq(X, scores, rcond=None)[0])
    groups = right.diagnostics["groups"].table
    assert groups["n"].tolist() == [800] * 5
    assert groups["predicted"].is_monotonic_increasing
    with pytest.raises(CausalDataError, match="all the same"):
        metrics.calibration(scores, np.ones(4_000))


def peers():
    """Treatment, outcome and a score with ties."""
    rng = np.random.default_rng(0)
    s = rng.normal(size=2_000).round(2)
    t = rng.integers(0, 2, 2_000)
    return (rng.random(2_000) < 0.3 + 0.1 * t * (s > 0)).astype(int), t, s


@pytest.mark.published
def test_scikit_uplifts_definitions():
    sklift = pytest.importorskip("sklift.metrics", reason="scikit-uplift is not installed")
    y, t, s = peers()
    for negative in (True, False):
        ours = metrics.qini(y, t, s, negative_effect=negative)
        assert ours == pytest.approx(sklift.qini_auc_score(y, s, t, negative_effect=negative), abs=1e-10)
    assert metrics.auuc(y, t, s) == pytest.approx(sklift.uplift_auc_score(y, s, t), abs=1e-10)
    for by_arm, strategy in ((False, "overall"), (True, "by_group")):
        found = metrics.uplift_at_k(y, t, s, k=0.2, by_arm=by_arm)
        assert found == pytest.approx(sklift.uplift_at_k(y, s, t, strategy, k=0.2), abs=1e-12)
    for kind, curve in (("qini", sklift.qini_curve), ("uplift", sklift.uplift_curve)):
        rows, value = curve(y, s, t)
        found = metrics.uplift_curve(y, t, s, kind=kind)
        assert found["rows"].to_numpy() == pytest.approx(rows)
        assert found["value"].to_numpy() == pytest.approx(value, abs=1e-10)


def test_definitions_by_hand():
    """Four rows; numbers of scikit-uplift 0.5.1 and CausalML 0.18 on them and on the 2,000 above."""
    y, t, s = np.array([1, 0, 1, 0]), np.array([1, 0, 0, 1]), np.array([4.0, 3, 2, 1])
    assert metrics.uplift_curve(y, t, s)["value"].tolist() == [0, 1, 1, 0.5, 0]
    assert metrics.uplift_curve(y, t, s, kind="uplift")["value"].tolist() == [0, 1, 2, 1.5, 0]
    assert metrics.uplift_at_k(y, t, s, k=0.5) == 1.0
    y, t, s = peers()
    assert metrics.qini(y, t, s) == pytest.approx(0.01592196232729859, abs=1e-10)
    assert metrics.qini(y, t, s, negative_effect=False) == pytest.approx(0.18235078983297676, abs=1e-10)
    assert metrics.auuc(y, t, s) == pytest.approx(0.016038865188287524, abs=1e-10)
    assert metrics.uplift_at_k(y, t, s, k=0.2) == pytest.approx(0.028822055137844582, abs=1e-10)
    assert metrics.uplift_at_k(y, t, s, k=0.2, by_arm=True) == pytest.approx(0.02541478129713426, abs=1e-10)
    fine = s + np.linspace(0, 1e-6, 2_000)  # CausalML's order of ties is that of its sort
    assert metrics.auuc(y, t, fine, definition="causalml") == pytest.approx(0.5890227529840231, abs=1e-10)
    assert metrics.qini(y, t, fine, definition="causalml") == pytest.approx(0.08796425429908232, abs=1e-10)


def test_wrong_calls():
    y, t, s = peers()
    for call, message in (
        (lambda: metrics.qini(y, t + 1, s), "treatment must be 0 and 1"),
        (lambda: metrics.qini(y * 2.5, t, s), "needs a 0/1 outcome"),
        (lambda: metrics.qini(y, t, s[:-1]), "score has 1,999 values for 2,000 rows"),
        (lambda: metrics.auuc(y, t, np.where(s > 2, np.nan, s)), "score is missing or infinite in"),
        (lambda: metrics.rate(np.ones((5, 2)), np.ones(5)), "one column"),
        (lambda: metrics.rate(["a"], [1.0]), "scores must be numbers"),
    ):
        with pytest.raises(CausalDataError, match=message):
            call()
    for call, message in (
        (lambda: metrics.qini(y, t, s, definition="mine"), "'scikit-uplift', 'causalml'"),
        (lambda: metrics.uplift_curve(y, t, s, kind="roc"), "'qini', 'uplift'"),
        (lambda: metrics.uplift_at_k(y, t, s, k=3), "between 0 and 1"),
    ):
        with pytest.raises(CausalArgumentError, match=message):
            call()


def test_the_question():
    frame = confounded(800).assign(rank=lambda f: f["a"], noise=lambda f: f["c"])
    models = {"outcome_model": "linear", "propensity_model": "linear"}
    call = {"treatment": "t", "outcome": "y", "covariates": COVARIATES, **models}
    effect = frame.causal.uplift(**call, score=["rank", "noise"])
    assert effect.table.loc[("rank", "AUTOC"), "p_value"] < 1e-4
    assert set(effect.diagnostics) == {"curve rank", "curve noise", "overlap", "nuisance"}
    scores = frame.causal.scores(**call)
    by_hand = metrics.rate(scores[1] - scores[0], frame["rank"])
    one = frame.causal.uplift(**call, score="rank")
    assert one.estimates.to_numpy() == pytest.approx(by_hand.estimates.to_numpy())
    experiment = frame.causal.uplift(treatment="t", outcome="y", score="rank", propensity=np.full(800, 0.5))
    assert np.isfinite(experiment.table.to_numpy()).all()
    clustered = frame.assign(site=np.arange(800) // 4).causal.uplift(**call, score="rank", cluster="site")
    assert "clustered" in clustered.std_error_method
    with pytest.raises(CausalArgumentError, match="uplift needs score="):
        frame.causal.uplift(treatment="t", outcome="y")
    with pytest.raises(CausalArgumentError, match="score='nope' is no column"):
        frame.causal.uplift(treatment="t", outcome="y", score="nope")
    three = frame.assign(t=np.arange(800) % 3)
    with pytest.raises(CausalArgumentError, match=r"name the arm to compare with 0, one of \[1, 2\]"):
        three.causal.uplift(treatment="t", outcome="y", score="rank")
    assert len(three.causal.uplift(treatment="t", outcome="y", score="rank", arm=2)) == 2


SHUFFLED = pd.Series(np.arange(6.0), index=list("fedcba"))
OUTCOME = pd.Series([0.0, 1, 0, 1, 0, 1], index=list("abcdef"))
ARM = pd.Series([0, 0, 0, 1, 1, 1], index=list("abcdef"))


@pytest.mark.parametrize(
    "judge",
    [
        lambda: metrics.rate(OUTCOME, SHUFFLED),
        lambda: metrics.rate(OUTCOME, {"one": SHUFFLED}),
        lambda: metrics.rate(OUTCOME, np.arange(6), cost=SHUFFLED + 1),
        lambda: metrics.rate(OUTCOME, np.arange(6), sample_weight=SHUFFLED + 1),
        lambda: metrics.rate(OUTCOME, np.arange(6), cluster=SHUFFLED),
        lambda: metrics.calibration(OUTCOME, SHUFFLED),
        lambda: metrics.qini(OUTCOME, ARM, SHUFFLED),
        lambda: metrics.auuc(OUTCOME, ARM, SHUFFLED),
        lambda: metrics.uplift_at_k(OUTCOME, ARM, SHUFFLED),
        lambda: metrics.uplift_curve(OUTCOME, SHUFFLED, ARM),
        lambda: treat_within_budget(OUTCOME, SHUFFLED + 1, 3.0),
    ],
)
def test_series_of_other_rows_are_never_used_by_position(judge):
    with pytest.raises(CausalDataError, match="same labels in another order"):
        judge()


def test_series_with_one_index_and_arrays_agree():
    assert metrics.qini(OUTCOME, ARM, SHUFFLED[::-1]) == metrics.qini(*map(np.asarray, (OUTCOME, ARM, SHUFFLED[::-1])))


def test_the_contrast_is_told_by_name():
    frame = confounded(300).assign(t=lambda f: np.where(f["t"] == 1, "placebo", "drug"))
    effect = frame.causal.uplift(treatment="t", outcome="y", score="a")
    assert "of t (placebo - drug) on y" in effect.estimand


def test_a_ranking_that_only_loses_says_so():
    scores = np.array([-1.0, -2, -3, -4] * 30)
    summary = metrics.rate(scores, -scores).diagnostics["curve"].summary
    assert "treating nobody does better" in summary
    assert "treating nobody" not in metrics.rate(-scores, scores).diagnostics["curve"].summary


def test_budgets_by_hand():
    scores = pd.Series([10.0, 3, 2, -4])
    cost = pd.Series([5.0, 1, 2, 2])
    curve = metrics.budget_curve(scores, scores, cost, n_draws=20)  # by effect per cost: 3, 2, 1, -2
    assert curve.index[-1] == pytest.approx(10)
    assert curve.loc[curve.index[9], "gain"] == pytest.approx(3)  # a tenth of 10: the second row
    assert curve.loc[curve.index[59], "gain"] == pytest.approx(13)
    assert curve.loc[curve.index[79], "gain"] == pytest.approx(15)
    assert curve.loc[curve.index[99], "gain"] == pytest.approx(11)
    assert curve.loc[curve.index[59], "qini"] == pytest.approx(13 - 0.6 * 11)
    doubled = metrics.budget_curve(scores, scores, cost, sample_weight=[2.0] * 4, n_draws=20)
    assert doubled["gain"].to_numpy() == pytest.approx(2 * curve["gain"].to_numpy())
    rising = np.arange(50.0)
    unit = metrics.budget_curve(rising, rising, np.ones(50), n_draws=20)
    assert unit["gain"].to_numpy() == pytest.approx(50 * gain_curve(rising, rising)["gain"].to_numpy())
    assert (unit["gain_low"] <= unit["gain"]).all()
    with pytest.raises(CausalDataError, match="cost must be above 0, and is not in 1 rows"):
        metrics.budget_curve(scores, scores, cost - 1)
    with pytest.raises(CausalDataError, match="priority: its index has the same labels in another order"):
        metrics.budget_curve(scores, scores[::-1], cost)


def test_bands_of_budgets_cover():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        tau, cost = rng.normal(size=300), rng.uniform(0.5, 2, 300)
        curve = metrics.budget_curve(tau + rng.normal(size=300), tau, cost, n_draws=60).iloc[49]
        big, price = rng.normal(size=20_000), rng.uniform(0.5, 2, 20_000)
        order = np.argsort(-big / price)
        first = order[np.cumsum(price[order]) <= 0.5 * price.sum()]
        truth = 300 * big[first].sum() / 20_000
        inside += curve["gain_low"] <= truth <= curve["gain_high"]
    assert 0.9 < inside / 200 <= 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda s, w: metrics.rate(s, s, sample_weight=w),
        lambda s, w: metrics.calibration(s, s, sample_weight=w),
        lambda s, w: metrics.budget_curve(s, s, np.ones(50), sample_weight=w),
        lambda s, w: PolicyTree(depth=1).fit(s[:, None], np.column_stack([0 * s, s]), sample_weight=w),
    ],
    ids=["rate", "calibration", "budget_curve", "PolicyTree"],
)
def test_weights_below_0_and_weights_that_count_no_row_are_refused(ask):
    scores = np.arange(50.0)
    with pytest.raises(CausalDataError, match="sample_weight is negative in 25 of 50 rows"):
        ask(scores, np.where(np.arange(50) % 2 == 0, 1.0, -1.0))
    with pytest.raises(CausalDataError, match="sample_weight is 0 in all 50 rows"):
        ask(scores, np.zeros(50))
