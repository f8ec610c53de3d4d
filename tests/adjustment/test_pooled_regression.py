"""One regression for all arms against statsmodels and numbers by hand: coefficients, weights, the g-formula."""

import pickle

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

import pandas_causal
from pandas_causal import RegressionAdjustment, bootstrap
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    CausalError,
    OverlapError,
    OverlapWarning,
    StandardErrorWarning,
)
from tests.adjustment.designs import confounded
from tests.experiments.test_difference_in_means import brute_force_cr2

PLAIN = RegressionAdjustment(interactions=False)


def plain_design(X, d, arms):
    return np.column_stack([np.ones(len(X)), (d[:, None] == np.arange(1, arms)).astype(float), X])


# -- the coefficient ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("arms", [2, 3])
def test_coefficients_and_their_joint_hc2_are_those_of_statsmodels(arms, weighted):
    X, y, d = confounded(300, seed=1, arms=arms)
    w = np.random.default_rng(0).uniform(0.5, 2, 300) if weighted else None
    model = RegressionAdjustment(interactions=False).fit(X, y, treatment=d, sample_weight=w)
    theirs = sm.WLS(y, plain_design(X, d, arms), weights=1.0 if w is None else w).fit(cov_type="HC2")
    effect = model.effect()
    np.testing.assert_allclose(effect.estimates, theirs.params[1:arms], rtol=1e-9)
    np.testing.assert_allclose(effect.uncertainty.covariance(), theirs.cov_params().iloc[1:arms, 1:arms], rtol=1e-7)
    order = [0, *range(arms, arms + 3), *range(1, arms)]
    np.testing.assert_allclose(model.coefficients_.iloc[0], theirs.params.iloc[order])
    assert (effect.uncertainty.df() == 300 - 3 - arms).all()
    assert "variance of treatment" in " ".join(effect.assumptions)
    assert "regression coefficient" in effect.estimand


def test_clusters_at_fit_are_cr2_and_afterwards_cr1():
    X, y, d = confounded(240, seed=2)
    g = np.arange(240) // 12
    effect = PLAIN.fit(X.assign(g=g), y, treatment=d, cluster="g").effect()
    Z = plain_design(X, d, 2)
    assert effect.std_error == pytest.approx(np.sqrt(brute_force_cr2(Z, y.to_numpy(), g)[1, 1]), rel=1e-8)
    after = RegressionAdjustment(interactions=False).fit(X, y, treatment=d).effect().cluster(g)
    raw = sm.OLS(y, Z).fit(cov_type="cluster", cov_kwds={"groups": g, "use_correction": False}).bse.iloc[1]
    assert after.std_error == pytest.approx(raw * np.sqrt(20 / 19 * 239 / 238), rel=1e-9)
    per_row = RegressionAdjustment(interactions=False).fit(X, y, treatment=d, cluster=np.arange(240)).effect()
    hc2 = RegressionAdjustment(interactions=False).fit(X, y, treatment=d).effect()
    assert per_row.std_error == pytest.approx(hc2.std_error, rel=1e-9)


def test_cr2_of_clusters_with_fewer_rows_than_coefficients():
    X, y, d = confounded(240, seed=2)
    site = np.random.default_rng(0).integers(12, size=240)
    g = np.arange(240) // 4
    effect = RegressionAdjustment(interactions=False).fit(
        X.assign(site=pd.Categorical(site)), y, treatment=d, cluster=g
    )
    dummies = pd.get_dummies(site, drop_first=True).to_numpy(float)
    Z = np.column_stack([plain_design(X, d, 2), dummies])
    expected = np.sqrt(brute_force_cr2(Z, y.to_numpy(), g)[1, 1])
    assert effect.effect().std_error == pytest.approx(expected, rel=1e-8)


def test_of_strata_the_coefficient_averages_effects_by_the_variance_of_treatment():
    """Angrist (1998), by hand: shares 1/2, 1/4; effects 2, 6; weights n p (1 - p) of 8 * 1/4 and 8 * 3/16."""
    x = np.repeat([0, 1], 8)
    d = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1])
    y = 1.0 * x + d * np.where(x == 1, 6, 2) + np.tile([-0.5, 0.5], 8)
    model = RegressionAdjustment(interactions=False).fit(pd.DataFrame({"x": x}), y, treatment=d)
    assert model.effect().estimate == pytest.approx((2 * 8 / 4 + 6 * 8 * 3 / 16) / (8 / 4 + 8 * 3 / 16))
    target = model.effect().diagnostics["target"].table
    share = (8 * 3 / 16) / (8 / 4 + 8 * 3 / 16)
    assert target.loc["x", ["target", "everyone", "treated", "control"]].tolist() == pytest.approx(
        [share, 0.5, 2 / 6, 6 / 10]
    )
    assert RegressionAdjustment().fit(pd.DataFrame({"x": x}), y, treatment=d).effect().estimate == pytest.approx(4)


@pytest.mark.parametrize("arms", [2, 3])
def test_weighted_means_of_any_outcome_differ_by_its_coefficient(arms):
    X, y, d = confounded(200, seed=3, arms=arms)
    w = np.random.default_rng(1).uniform(0.2, 3, 200)
    model = RegressionAdjustment(interactions=False).fit(X, y, treatment=d, sample_weight=w)
    weights = model.weights_.reshape(200, -1)
    other = np.random.default_rng(2).normal(size=200)
    coefficients = sm.WLS(other, plain_design(X, d, arms), weights=w).fit().params
    for a in range(1, arms):
        own = weights[:, a - 1]
        assert own[d == a].sum() == pytest.approx(1) == own[d == 0].sum()
        signed = np.where(d == a, own, -own)
        assert signed @ other == pytest.approx(coefficients[a])
        for rest in set(range(1, arms)) - {a}:
            assert own[d == rest].sum() == pytest.approx(0, abs=1e-12)
    if arms == 2:
        after = model.effect().diagnostics["balance"]
        assert after.passed
        np.testing.assert_allclose(after.table["smd_after"], 0, atol=1e-12)


def test_negative_weights_are_counted():
    """The treated at the high end of x: the line is extrapolated, and rows far out count with the wrong sign."""
    x = np.array([0.0, 1, 2, 3, 9, 8, 14, 15, 16, 17])
    d = np.repeat([0, 1], 5)
    y = x + d + np.tile([0.3, -0.2], 5)
    model = RegressionAdjustment(interactions=False).fit(pd.DataFrame({"x": x}), y, treatment=d)
    check = model.effect().diagnostics["weights"]
    assert not check.passed
    Z = np.column_stack([np.ones(10), d, x])
    row = np.linalg.pinv(Z)[1]
    own = np.where(d == 1, row, -row)
    np.testing.assert_allclose(model.weights_, own, rtol=1e-10)
    table = check.table.droplevel("contrast")
    for arm in (0, 1):
        assert table.loc[arm, "negative"] == (own[d == arm] < 0).sum()
        assert table.loc[arm, "share_negative"] == pytest.approx((own[d == arm] < 0).mean())
        assert table.loc[arm, "sum_of_negative"] == pytest.approx(own[d == arm].clip(max=0).sum())
    assert f"{(own < 0).sum()} of 10 weights are negative" in check.summary
    assert "weights (FAILED)" in model.effect().summary()


def test_the_effect_of_every_row_is_the_coefficient():
    X, y, d = confounded(200, arms=3)
    model = RegressionAdjustment(interactions=False).fit(X, y, treatment=d)
    np.testing.assert_allclose(model.predict(X[:4]), np.tile(model.effect().estimates, (4, 1)))
    rows = model.effect(X[:4], arm=2)
    np.testing.assert_allclose(rows.estimates, model.effect().estimates.iloc[1])
    np.testing.assert_allclose(rows.table["std_error"], model.effect().table["std_error"].iloc[1], rtol=1e-9)
    assert "same for every row" in " ".join(rows.assumptions)


def test_other_populations_have_no_plain_coefficient():
    X, y, d = confounded(100)
    for estimand in ("ATT", "ATC"):
        with pytest.raises(CausalArgumentError, match="weights of its own"):
            RegressionAdjustment(interactions=False, estimand=estimand).fit(X, y, treatment=d)


def test_a_treatment_that_the_covariates_explain_is_refused():
    X, y, _ = confounded(100)
    d = np.tile([0, 1], 50)
    with pytest.raises(OverlapError, match="explain arm 1 of treatment exactly"):
        RegressionAdjustment(interactions=False).fit(X.assign(u=X["a"] + d), y, treatment=d)
    with pytest.raises(OverlapError, match="in every row of arm 0"):
        RegressionAdjustment(interactions=False).fit(X.assign(a=np.where(d == 1, X["a"], 0.5)), y, treatment=d)


def test_categories_of_one_arm_get_no_weight_and_are_told():
    X, y, d = confounded(300, seed=5)
    site = np.where(d == 1, np.random.default_rng(0).choice(list("abc"), 300), "a")
    frame = X.assign(site=site)
    alone = int((site != "a").sum())
    with pytest.warns(OverlapWarning, match=rf"{alone} of 300 rows are in categories \(site\)"):
        model = RegressionAdjustment(interactions=False).fit(frame[["site"]], y, treatment=d)
    np.testing.assert_allclose(model.weights_[site != "a"], 0, atol=1e-14)
    left = site == "a"
    plain = y[left & (d == 1)].mean() - y[left & (d == 0)].mean()
    assert model.effect().estimate == pytest.approx(plain)
    first = np.where((d == 1) & (X["a"] > 0), "x", "m")  # of the rows in m the second splits the arms
    second = np.where((d == 1) & ((first == "m") | (X["b"] > 0)), "p", "q")
    with pytest.raises(OverlapError, match=r"no row of arm 1 shares its categories \(s, t\)"):
        RegressionAdjustment(interactions=False).fit(pd.DataFrame({"s": first, "t": second}), y, treatment=d)


def test_hundreds_of_categories_are_the_within_regression():
    rng = np.random.default_rng(0)
    n, villages = 2_000, 500
    village = rng.integers(villages, size=n)
    x, level = rng.normal(size=n), rng.normal(size=villages)[village]
    d = (rng.random(n) < 0.5).astype(int)
    y = pd.Series(level + x + d + rng.normal(size=n))
    with pytest.warns(OverlapWarning, match="village"):
        model = RegressionAdjustment(interactions=False).fit(
            pd.DataFrame({"x": x, "village": [f"v{k}" for k in village]}), y, treatment=d
        )
    within = pd.DataFrame({"d": d, "x": x, "y": y})
    within -= within.groupby(village).transform("mean")
    slopes = np.linalg.lstsq(within[["d", "x"]], within["y"], rcond=None)[0]
    assert model.effect().estimate == pytest.approx(slopes[0], rel=1e-9)
    assert model.coefficients_["x"].iloc[0] == pytest.approx(slopes[1], rel=1e-9)


# -- some interactions, all of them, logistic --------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
@pytest.mark.parametrize("arms", [2, 3])
def test_all_interactions_are_the_regressions_by_arm(arms, estimand):
    X, y, d = confounded(300, seed=1, arms=arms)
    w = np.random.default_rng(0).uniform(0.5, 2, 300)
    by_arm = RegressionAdjustment(estimand=estimand).fit(X, y, treatment=d, sample_weight=w)
    pooled = RegressionAdjustment(estimand=estimand, interactions=list(X)).fit(X, y, treatment=d, sample_weight=w)
    pd.testing.assert_frame_equal(pooled.effect().table, by_arm.effect().table, rtol=1e-7)
    np.testing.assert_allclose(pooled.predict(X[:5]), by_arm.predict(X[:5]))
    one, two = (m.effect(X[:5], arm=1).table for m in (pooled, by_arm))
    pd.testing.assert_frame_equal(one, two, rtol=1e-7)
    assert pooled.score(X, y, treatment=d) == pytest.approx(by_arm.score(X, y, treatment=d))


def test_some_interactions_are_averaged_and_have_effects_by_row():
    X, y, d = confounded(300, seed=4)
    model = RegressionAdjustment(interactions=["a"]).fit(X, y, treatment=d)
    a = X["a"] - X["a"].mean()
    theirs = sm.OLS(y, np.column_stack([np.ones(300), d, X, d * a])).fit(cov_type="HC2")
    assert model.effect().estimate == pytest.approx(theirs.params.iloc[1])
    assert model.coefficients_["treatment[1]:a"].iloc[0] == pytest.approx(theirs.params.iloc[5])
    new = X[:6]
    rows = model.effect(new)
    at = np.column_stack([np.zeros(6), np.ones(6), np.zeros((6, 3)), new["a"] - X["a"].mean()])
    np.testing.assert_allclose(rows.estimates, at @ theirs.params)
    np.testing.assert_allclose(rows.table["std_error"], np.sqrt(np.diag(at @ theirs.cov_params() @ at.T)), rtol=1e-8)
    assert "regression coefficient" not in model.effect().estimand
    assert "weights" not in model.effect().diagnostics
    with pytest.raises(CausalArgumentError, match="'aa' is no covariate"):
        RegressionAdjustment(interactions=["aa"]).fit(X, y, treatment=d)


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
def test_one_logistic_regression_equals_a_stacked_m_estimator(estimand):
    X, y, d = confounded(500, seed=3)
    y = (y > y.mean()).astype(float).to_numpy()
    w = np.random.default_rng(0).uniform(0.5, 2, 500)
    model = RegressionAdjustment(estimand=estimand, outcome_model="logistic", interactions=["b"])
    effect = model.fit(X, y, treatment=d, sample_weight=w).effect()
    make = lambda arm: np.column_stack([np.ones(500), X, arm, arm * X["b"]])  # noqa: E731
    target = {"ATE": np.ones(500), "ATT": d == 1, "ATC": d == 0}[estimand] * w
    glm = sm.GLM(y, make(d), family=sm.families.Binomial(), freq_weights=w).fit(tol=1e-13)
    expected = np.average(glm.predict(make(np.ones(500))) - glm.predict(make(np.zeros(500))), weights=target)
    assert effect.estimate == pytest.approx(expected, rel=1e-7)

    def equations(theta):
        p = [1 / (1 + np.exp(-(make(np.full(500, v)) @ theta[:6]))) for v in (0, 1)]
        own = np.where(d == 1, p[1], p[0])
        return np.hstack([(w * (y - own))[:, None] * make(d), (target * (p[1] - p[0] - theta[6]))[:, None]])

    theta = np.append(glm.params, expected)
    total = lambda at: equations(at).sum(axis=0)  # noqa: E731
    bread = np.column_stack([(total(theta + s) - total(theta - s)) / 2e-5 for s in 1e-5 * np.eye(7)])
    influence = equations(theta) @ np.linalg.inv(bread).T
    assert effect.std_error == pytest.approx(np.sqrt(np.square(influence[:, 6]).sum()), rel=1e-6)


def test_a_logistic_regression_that_fits_perfectly_is_refused():
    X, _, d = confounded(100)
    with pytest.raises(CausalDataError, match="predict the outcome perfectly"):
        RegressionAdjustment(outcome_model="logistic", interactions=False).fit(X, X["a"] > 0, treatment=d)


# -- learners ----------------------------------------------------------------------------------------------------------


def test_a_learner_of_all_arms_predicts_and_is_bootstrapped():
    X, y, d = confounded(200, seed=6)
    learner = RegressionAdjustment(interactions=False, outcome_model=LinearRegression())
    with pytest.warns(StandardErrorWarning, match=r"bootstrap\(\.\.\.\)"):
        model = learner.fit(X, y, treatment=d)
    plain = RegressionAdjustment(interactions=False).fit(X, y, treatment=d)
    assert model.effect().estimate == pytest.approx(plain.effect().estimate)
    assert np.isnan(model.effect().std_error)
    assert model.score(X, y, treatment=d) == pytest.approx(plain.score(X, y, treatment=d))
    with pytest.raises(CausalError, match=r"bootstrap\(\.\.\.\)"):
        model.effect().cluster(np.arange(200) // 4)
    with pytest.raises(CausalArgumentError, match="'linear'"):
        model.predict(X)
    settings = {"treatment": d, "n_draws": 60, "progress": False, "random_state": 1}
    drawn = bootstrap(learner, X, y, **settings)
    same = bootstrap(PLAIN, X, y, **settings)
    pd.testing.assert_frame_equal(drawn.table, same.table, rtol=1e-8)
    assert not any("bootstrap(...)" in text for text in drawn.warnings)


def test_the_bootstrap_of_a_learner_draws_whole_clusters():
    X, y, d = confounded(200, seed=6)
    frame = X.assign(g=np.arange(200) // 20)
    learner = RegressionAdjustment(interactions=False, outcome_model=LinearRegression())
    drawn = bootstrap(learner, frame, y, treatment=d, cluster="g", n_draws=30, progress=False)
    assert "whole clusters" in drawn.std_error_method


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.StandardErrorWarning")
@pytest.mark.parametrize("model", ["ridge", "boosting", GradientBoostingRegressor(n_estimators=20)])
def test_learners_standardise_to_the_estimand(model):
    X, y, d = confounded(400, seed=7)
    effects = {}
    for estimand in ("ATE", "ATT", "ATC"):
        fitted = RegressionAdjustment(interactions=False, outcome_model=model, estimand=estimand).fit(X, y, treatment=d)
        effects[estimand] = fitted.effect().estimate
    share = (d == 1).mean()
    assert effects["ATE"] == pytest.approx(share * effects["ATT"] + (1 - share) * effects["ATC"])
    assert 0.3 < effects["ATE"] < 2


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.StandardErrorWarning")
def test_a_classifier_predicts_shares():
    X, y, d = confounded(400, seed=7)
    y = (y > y.mean()).astype(int)
    learner = RegressionAdjustment(interactions=False, outcome_model=LogisticRegression(C=1e6, tol=1e-10))
    exact = RegressionAdjustment(interactions=False, outcome_model="logistic").fit(X, y, treatment=d)
    assert learner.fit(X, y, treatment=d).effect().estimate == pytest.approx(exact.effect().estimate, rel=1e-4)


def test_learners_without_a_place_are_refused():
    X, y, d = confounded(100)
    for model in ("forest", LinearRegression, 3):
        with pytest.raises(CausalArgumentError, match="'linear'"):
            RegressionAdjustment(interactions=False, outcome_model=model).fit(X, y, treatment=d)
    with pytest.raises(CausalArgumentError, match="interactions=False"):
        RegressionAdjustment(interactions=["a"], outcome_model=LinearRegression()).fit(X, y, treatment=d)


# -- like every estimator ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*corrected for it the answer moves")
def test_errors_by_influence_are_those_of_the_bootstrap():
    X, y, d = confounded(600, seed=8)
    yes = (y > y.mean()).astype(int)
    for settings, outcome in (
        ({}, y),
        ({"interactions": ["a"]}, y),
        ({"outcome_model": "logistic"}, yes),
        ({"outcome_model": "logistic", "interactions": ["a", "b"]}, yes),
    ):
        estimator = RegressionAdjustment(**{"interactions": False, **settings})
        drawn = bootstrap(estimator, X, outcome, treatment=d, n_draws=300, progress=False)
        analytic = estimator.fit(X, outcome, treatment=d).effect()
        assert drawn.std_error == pytest.approx(analytic.std_error, rel=0.15)


def test_it_is_pickled_and_prints():
    X, y, d = confounded(100)
    model = pickle.loads(pickle.dumps(RegressionAdjustment(interactions=False).fit(X, y, treatment=d)))
    assert model.predict(X[:2]) == pytest.approx([model.effect().estimate] * 2)
    assert "coefficient" in model.effect().summary()


def test_renaming_levels_changes_nothing():
    X, y, d = confounded(300, seed=9)
    site = np.random.default_rng(0).choice(list("abcd"), 300, p=[0.4, 0.3, 0.2, 0.1])
    one, two = (
        RegressionAdjustment(interactions=False).fit(X.assign(s=s), y, treatment=d).effect().table
        for s in (site, pd.Series(site).map(dict(zip("abcd", "zyxw", strict=True))).to_numpy())
    )
    pd.testing.assert_frame_equal(one, two, rtol=1e-8)


def test_the_accessor_takes_it():
    X, y, d = confounded(100)
    frame = X.assign(y=y, d=d)
    effect = frame.causal.ate(treatment="d", outcome="y", covariates=["a", "b", "c"], estimator=PLAIN)
    assert effect.estimate == pytest.approx(sm.OLS(y, plain_design(X, d, 2)).fit().params.iloc[1])
    assert pandas_causal.compare({"plain": effect}).shape[0] == 1
