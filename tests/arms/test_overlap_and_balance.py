"""Overlap and balance by hand, against scipy and statsmodels, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

import pandas_causal
from pandas_causal import AIPW, IPW, Matching
from pandas_causal.arms.balance import (
    balance,
    balance_of_squares,
    largest_difference,
    standardized_differences,
    weighted_ks,
)
from pandas_causal.arms.overlap import (
    arm_weights,
    effective_sample_size,
    overlap_check,
    propensity_histogram,
    tail_of,
)
from pandas_causal.errors import AssumptionWarning, CausalArgumentError, OverlapError

RNG = np.random.default_rng(0)
N = 200
X = np.column_stack([RNG.normal(size=N), RNG.integers(0, 4, N), np.ones(N)])
D = RNG.integers(2, size=N)
X[:, 0] += 0.5 * D
W = RNG.uniform(0.2, 2, N)
A, B = D == 1, D == 0


# -- balance ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("w", [None, W])
def test_standardised_differences_by_hand(w):
    ours = standardized_differences(X, D, 1, 0, w)
    for j in (0, 1):
        unit = np.ones(N) if w is None else w
        gap = np.average(X[A, j], weights=unit[A]) - np.average(X[B, j], weights=unit[B])
        spread = np.sqrt((X[A, j].var(ddof=1) + X[B, j].var(ddof=1)) / 2)  # unweighted before and after
        assert ours[j] == pytest.approx(gap / spread)
    assert ours[2] == 0
    assert largest_difference(X, D, w) == pytest.approx(np.abs(ours).max())


def test_table_of_balance():
    check = balance(X[:, :2], ["x", "k"], D, ["no", "yes"], W)
    row = check.table.loc["x"]
    assert row["contrast"] == "yes - no"
    assert row["ks_before"] == pytest.approx(stats.ks_2samp(X[A, 0], X[B, 0]).statistic)
    assert row["variance_ratio_before"] == pytest.approx(X[A, 0].var(ddof=1) / X[B, 0].var(ddof=1))
    assert row["smd_after"] == pytest.approx(standardized_differences(X, D, 1, 0, W)[0])
    share = [W[m] / W[m].sum() for m in (A, B)]
    v = [
        DescrStatsW(X[m, 0], weights=s, ddof=0).var / (1 - np.square(s).sum())
        for m, s in zip((A, B), share, strict=True)
    ]
    assert row["variance_ratio_after"] == pytest.approx(v[0] / v[1])
    assert check.table.loc["k", "ks_before"] == pytest.approx(stats.ks_2samp(X[A, 1], X[B, 1]).statistic)
    assert not check.passed
    assert "(x)" in check.summary


def three_arms(n=90):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"arm": np.arange(n) % 3, "x": rng.normal(size=n)})
    return frame.assign(z=np.where(frame["arm"] == 0, 5.0, 6.0), m=frame["x"].where(frame["arm"] != 1))


def test_a_difference_without_spread_is_infinite_and_fails():
    check = three_arms().causal.balance(treatment="arm", covariates=["x", "z", "m"])
    assert check.passed is False
    assert np.isposinf(check.table.loc["z", "smd_before"]).all()
    missing = check.table[check.table.index == "m_missing"].set_index("contrast")["smd_before"]
    assert np.isposinf(missing["1 - 0"])
    assert missing["2 - 0"] == 0
    assert "infinite before weighting (z)" in check.summary


def test_a_difference_of_rounding_is_none():
    X = np.array([[0.1 + 0.2], [0.3], [0.1 + 0.2], [0.3], [0.3], [0.3]])
    assert standardized_differences(X, np.array([0, 0, 0, 1, 1, 1]), 1) == [0.0]


def test_of_one_row_an_arm_the_unit_is_the_spread_of_the_two():
    assert standardized_differences(np.array([[1.0], [2.0]]), np.array([0, 1]), 1) == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize("estimator", [IPW(propensity_model="ridge"), Matching()], ids=["IPW", "Matching"])
def test_a_search_is_told_the_column_that_no_weights_balance(estimator):
    frame = three_arms()
    X = frame[["x"]].assign(z=frame["x"] > 0)
    fitted = estimator.fit(X, np.arange(90.0) % 7, treatment=frame["arm"])
    apart = frame[["x"]].assign(z=frame["arm"] > 0)
    with pytest.raises(OverlapError, match=r"^z: constant within the arms of the held-out rows"):
        fitted.score(apart, treatment=frame["arm"])


def test_weighted_ks_counts_repeated_rows():
    counts = RNG.integers(1, 4, N)
    repeated = np.repeat(np.arange(N), counts)
    ours = weighted_ks(X[:, 1], A, B, counts.astype(float))[0]
    theirs = stats.ks_2samp(X[repeated, 1][A[repeated]], X[repeated, 1][B[repeated]]).statistic
    assert ours == pytest.approx(theirs)


def test_several_arms_are_each_compared_with_control():
    codes = RNG.integers(3, size=N)
    check = balance(X[:, :1], ["x"], codes, ["a", "b", "c"])
    assert list(check.table["contrast"]) == ["b - a", "c - a"]
    assert check.table["smd_before"].iloc[1] == pytest.approx(standardized_differences(X, codes, 2)[0])


def test_the_right_weights_balance():
    frame = pandas_causal.datasets.load_nhefs()
    covariates = ["sex", "race", "age", "smokeintensity", "smokeyrs", "wt71"]
    before = frame.causal.balance(treatment="qsmk", covariates=covariates)
    assert not before.passed
    fitted = IPW().fit(frame[["qsmk", *covariates]], frame["wt82_71"], treatment="qsmk")
    after = frame.assign(w=fitted.weights_).causal.balance(treatment="qsmk", covariates=covariates, weights="w")
    assert after.passed
    assert after.table["smd_after"].abs().max() < 0.05
    pd.testing.assert_frame_equal(after.table, fitted.effect().diagnostics["balance"].table)


# -- overlap ---------------------------------------------------------------------------------------------------------

E1 = np.clip(RNG.beta(2, 2, N), 0.02, 0.98)
E = np.column_stack([1 - E1, E1])


@pytest.mark.parametrize("w", [None, W])
def test_table_of_overlap_by_hand(w):
    table = overlap_check(E, D, ["no", "yes"], w=w).table
    for a, name in enumerate(["no", "yes"]):
        own = D == a
        assert table.loc[name, "n"] == own.sum()
        assert table.loc[name, "q25"] == pytest.approx(np.quantile(E1[own], 0.25))
        v = (1 / E[own, a]) * (1 if w is None else w[own])
        assert table.loc[name, "effective_n"] == pytest.approx(v.sum() ** 2 / (v**2).sum())
        assert table.loc[name, "effective_share"] == pytest.approx(v.sum() ** 2 / (v**2).sum() / own.sum())
    assert effective_sample_size(np.full(7, 3.0)) == pytest.approx(7)


def test_weights_by_estimand():
    np.testing.assert_allclose(arm_weights("ATE", D, E), 1 / E[np.arange(N), D])
    np.testing.assert_allclose(arm_weights("ATT", D, E), np.where(D == 1, 1, E1 / (1 - E1)))
    np.testing.assert_allclose(arm_weights("ATC", D, E), np.where(D == 1, (1 - E1) / E1, 1))
    np.testing.assert_allclose(arm_weights("ATO", D, E), np.where(D == 1, 1 - E1, E1))


def test_only_the_tail_that_matters_fails():
    """An eighth of the treated are near e = 1; an eighth of the controls near e = 0."""
    e1 = np.full(N, 0.5)
    e1[np.flatnonzero(A)[: A.sum() // 8 + 1]] = 0.995
    high = np.column_stack([1 - e1, e1])
    assert not overlap_check(high, D, [0, 1], estimand="ATT").passed
    assert overlap_check(high, D, [0, 1], estimand="ATC").passed
    e0 = np.full(N, 0.5)
    e0[np.flatnonzero(B)[: B.sum() // 8 + 1]] = 0.005
    low = np.column_stack([1 - e0, e0])
    assert overlap_check(low, D, [0, 1], estimand="ATT").passed
    assert not overlap_check(low, D, [0, 1], estimand="ATC").passed
    assert not overlap_check(low, D, [0, 1], estimand="ATE").passed


def test_one_weight_that_outweighs_the_rest_fails():
    e1 = np.full(N, 0.5)
    e1[np.flatnonzero(A)[0]] = 0.02 / N  # received treatment though it hardly could
    assert not overlap_check(np.column_stack([1 - e1, e1]), D, [0, 1]).passed


def test_perfect_separation_is_an_error():
    e1 = np.where(D == 1, 0.999, 0.001)
    with pytest.raises(OverlapError, match="perfect separation"):
        overlap_check(np.column_stack([1 - e1, e1]), D, [0, 1])
    with pytest.raises(CausalArgumentError, match="bound"):
        overlap_check(E, D, [0, 1], bound=0.6)


def test_histogram_counts_every_row():
    table = propensity_histogram(E, D, ["no", "yes"], bins=10).table
    assert table.groupby("arm")["count"].sum().to_dict() == {"no": B.sum(), "yes": A.sum()}
    expected = np.histogram(E1[A], bins=np.linspace(0, 1, 11))[0]
    np.testing.assert_array_equal(table.loc[table["arm"] == "yes", "count"], expected)
    three = np.column_stack([E, E1])
    assert set(propensity_histogram(three, D, ["a", "b", "c"]).table["propensity_of"]) == {"a", "b", "c"}


def lonely_frame(arm):
    """A category of 25 rows that hold one arm only."""
    kind = np.where(np.arange(N) < 25, "lonely", np.where(np.arange(N) % 2 == 0, "p", "q"))
    d = np.where(np.arange(N) < 25, arm, D)
    return pd.DataFrame({"kind": kind, "x": X[:, 0], "d": d, "y": RNG.normal(size=N)})


@pytest.mark.parametrize(
    ("arm", "estimand", "refused"),
    [(1, "ATE", True), (1, "ATT", True), (1, "ATC", False), (0, "ATE", True), (0, "ATT", False), (0, "ATC", True)],
)
@pytest.mark.filterwarnings("ignore:weak overlap")
def test_a_category_with_one_arm_is_refused_where_the_target_holds_it(arm, estimand, refused):
    frame = lonely_frame(arm)
    ask = lambda: frame.causal.ate(  # noqa: E731
        treatment="d",
        outcome="y",
        covariates=["kind", "x"],
        estimator=AIPW(estimand=estimand, outcome_model="ridge", propensity_model="ridge"),
    )
    if not refused:
        assert np.isfinite(ask().std_error)
        return
    with pytest.raises(OverlapError, match=r"category 'lonely' in 25 rows and never in arm \d"):
        ask()


def test_assessments_of_a_frame():
    frame = pandas_causal.datasets.load_lalonde()
    check = frame.causal.overlap(treatment="treat", covariates=["age", "educ", "re74"])
    assert check.passed
    assert check.table["n"].to_dict() == {"0": 260, "1": 185}
    with pytest.raises(CausalArgumentError, match="estimand"):
        frame.causal.overlap(treatment="treat", covariates=["age"], estimand="LATE")
    mistaken = frame.assign(copy=frame["treat"] + 1e-3 * np.arange(445) / 445)
    with pytest.raises(ValueError, match=r"determines|separates"):
        mistaken.causal.overlap(treatment="treat", covariates=["copy"])


def test_beside_an_outcome_model_differences_by_chance_pass():
    """At most one sample in twenty fails by chance alone; a difference that is there fails."""
    rng = np.random.default_rng(6)
    failed = 0
    for _ in range(100):
        X, codes = rng.normal(size=(200, 6)), rng.integers(2, size=200)
        failed += not balance(X, list("abcdef"), codes, [0, 1], np.ones(200), by_chance=True).passed
    assert failed <= 10
    assert not balance(X, list("abcdef"), codes, [0, 1], np.ones(200)).passed
    check = balance(X, list("abcdef"), codes, [0, 1], np.ones(200), by_chance=True)
    assert check.passed
    assert "by chance)" in check.summary
    apart = X + 0.6 * codes[:, None]
    assert not balance(apart, list("abcdef"), codes, [0, 1], np.ones(200), by_chance=True).passed


def test_tails_of_weights():
    rng = np.random.default_rng(7)
    for shape in (1.5, 4.0):
        tail, error = tail_of(rng.pareto(shape, 20_000) + 1)
        assert abs(tail - 1 / shape) < 4 * error
    assert tail_of(np.ones(100)) == (0.0, 0.0)
    e = 1 / (2 * (rng.pareto(0.4, 20_000) + 1))
    codes = (rng.random(20_000) < e).astype(int)
    check = overlap_check(np.column_stack([1 - e, e]), codes, [0, 1])
    assert "may have no variance" in check.summary
    assert check.passed is False


def test_squares_and_products_that_weights_leave_apart_are_shown():
    """Treatment follows the square of x and the product of a and b; logistic weights balance the means only."""
    rng = np.random.default_rng(3)
    n = 4_000
    X = pd.DataFrame(rng.normal(size=(n, 4)), columns=["x", "a", "b", "noise"])
    X["yes"] = (rng.random(n) < 0.4).astype(int)
    X["kind"] = rng.choice(["p", "q", "r"], n)
    d = (rng.random(n) < 1 / (1 + np.exp(-0.7 * (X["x"] ** 2 - 1) - 0.6 * X["a"] * X["b"]))).astype(int)
    with pytest.warns(AssumptionWarning, match="the weights leave structure"):
        fitted = pandas_causal.IPW().fit(X, X["x"] ** 2 + rng.normal(size=n), treatment=d)
    check = fitted.effect().diagnostics["squares"]
    assert list(check.table.index[:2]) == ["x\u00b2", "a x b"]
    assert "x\u00b2 is farthest apart" in check.summary
    assert fitted.effect().diagnostics["balance"].passed
    # by hand, on columns in standard deviations, cut off at 3.5
    z = np.clip((X["x"] - X["x"].mean()) / X["x"].std(ddof=0), -3.5, 3.5).to_numpy() ** 2
    w, on = fitted.weights_, d == 1
    gap = np.average(z[on], weights=w[on]) - np.average(z[~on], weights=w[~on])
    unit = np.sqrt((z[on].var(ddof=1) + z[~on].var(ddof=1)) / 2)
    assert check.table["smd_after"].iloc[0] == pytest.approx(gap / unit, rel=1e-10)
    # the square of a column of two values is the column again; two levels of a category are never both
    assert not {"yes\u00b2", "kind_p x kind_q", "kind_q x kind_r", "kind_p\u00b2"} & set(check.table.index)


def test_no_squares_of_columns_of_two_values():
    codes = np.array([0, 1] * 20)
    one = (np.arange(40) % 3 == 0).astype(float)[:, None]
    check = balance_of_squares(one, ["z"], codes, [0, 1], np.ones(40))
    assert check.passed is None
    assert not len(check.table)
    assert "no squares or products" in check.summary


def test_the_arm_whose_weights_have_no_variance_is_the_one_told():
    """Few controls have the larger tail estimate, beside an error that does not tell it from .5."""
    rng = np.random.default_rng(0)
    few, many = 1 / (1 + rng.pareto(1.5, 400)), 1 / (1 + rng.pareto(1.6, 12_000))
    e = np.concatenate([1 - few, many])
    codes = np.repeat([0, 1], [400, 12_000])
    tails = [tail_of(1 / few), tail_of(1 / many)]
    assert tails[0][0] > tails[1][0]
    assert [tail - 1.64 * error > 0.5 for tail, error in tails] == [False, True]
    check = overlap_check(np.column_stack([1 - e, e]), codes, [0, 1])
    assert f"tail {tails[1][0]:.2f}" in check.summary


def test_the_variance_of_a_level_without_weight_is_none():
    """No matched row has level d: 1e17 of rounding is no ratio of variances."""
    rng = np.random.default_rng(42)
    X = pd.DataFrame({"x": rng.normal(size=60), "cat": rng.choice(list("abcd"), 60, p=[0.5, 0.3, 0.14, 0.06])})
    t = (rng.random(60) < 0.5).astype(int)
    table = Matching(estimand="ATT").fit(X, rng.normal(size=60) + t, treatment=t).effect().diagnostics["balance"].table
    assert np.isnan(table.loc["cat_d", "variance_ratio_after"])
    assert table["variance_ratio_after"].max() < 100
