"""RegressionAdjustment against statsmodels and numeric M-estimation, for every estimand."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from pandas_causal import DifferenceInMeans, RegressionAdjustment, bootstrap
from pandas_causal.errors import CausalArgumentError, CausalDataError
from tests.adjustment.designs import confounded
from tests.experiments.test_difference_in_means import brute_force_cr2


def members(estimand, d, arm):
    """Who is averaged over."""
    return {"ATE": np.ones(len(d), bool), "ATT": d == arm, "ATC": d == 0}[estimand]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
def test_contrast_at_the_target_means_equals_statsmodels(estimand, arms, weighted):
    """HC2 of weighted least squares at known means, plus the sampling of the means, plus their covariance."""
    X, y, d = confounded(300, seed=1, arms=arms)
    n = len(y)
    w = np.random.default_rng(0).uniform(0.5, 2, n) if weighted else np.ones(n)
    effect = RegressionAdjustment(estimand=estimand).fit(X, y, treatment=d, sample_weight=w).effect()
    for arm, row in zip(range(1, arms), effect.table.itertuples(), strict=True):
        target = members(estimand, d, arm) * w
        Z = X.to_numpy() - np.average(X, axis=0, weights=target)
        D = (d[:, None] == np.arange(1, arms)).astype(float)
        design = np.column_stack([np.ones(n), D, Z, *[D[:, [k]] * Z for k in range(arms - 1)]])
        model = sm.WLS(y, design, weights=w)
        theirs = model.fit(cov_type="HC2")
        coefficient = np.linalg.pinv(model.wexog)[arm] * theirs.wresid.to_numpy()
        slopes = theirs.params.to_numpy()[arms + 3 * arm : arms + 3 * arm + 3]
        sampling = target / target.sum() * (Z @ slopes)
        assert row.estimate == pytest.approx(theirs.params.iloc[arm], rel=1e-9)
        expected = theirs.bse.iloc[arm] ** 2 + np.square(sampling).sum() + 2 * (coefficient * sampling).sum()
        assert row.std_error == pytest.approx(np.sqrt(expected), rel=1e-8)


def test_clusters_at_fit_are_cr2_with_the_sampling_of_the_means():
    X, y, d = confounded(240, seed=2)
    g = np.arange(240) // 12
    model = RegressionAdjustment().fit(X.assign(g=g), y, treatment=d, cluster="g")
    Z = X.to_numpy() - X.to_numpy().mean(axis=0)
    design = np.column_stack([np.ones(240), d, Z, d[:, None] * Z])
    fitted = sm.OLS(y, design).fit()
    # scores of clusters, with the means' own term added before they are squared
    bread = np.linalg.inv(design.T @ design)
    e, total, P = fitted.resid.to_numpy(), 0.0, np.zeros((240, 20))
    for k in range(20):
        own = g == k
        values, vectors = np.linalg.eigh(np.eye(12) - design[own] @ bread @ design[own].T)
        power = (vectors / np.sqrt(values)) @ vectors.T
        adjusted, P[own, k] = power @ e[own], power @ design[own] @ bread[1]
        total += ((bread @ design[own].T @ adjusted)[1] + (Z[own] @ fitted.params.to_numpy()[5:]).sum() / 240) ** 2
    effect = model.effect()
    assert effect.std_error == pytest.approx(np.sqrt(total), rel=1e-8)
    B = P.T @ P - P.T @ design @ bread @ design.T @ P
    assert effect.uncertainty.df()[0] == pytest.approx(np.trace(B) ** 2 / np.square(B).sum(), rel=1e-7)
    known = brute_force_cr2(design, y.to_numpy(), g)[1, 1]
    assert effect.std_error != pytest.approx(np.sqrt(known), rel=1e-3)


def test_effects_by_row_say_how_their_errors_are_clustered():
    X, y, d = confounded(240, seed=2)
    frame = X.assign(g=np.arange(240) // 12)
    model = RegressionAdjustment().fit(frame, y, treatment=d, cluster="g")
    assert "CR2" in model.effect().std_error_method
    assert "CR1" in model.effect(frame).std_error_method
    average = model.effect(frame).aggregate()
    assert average.estimate == pytest.approx(model.effect().estimate, rel=1e-9)
    assert average.std_error == pytest.approx(model.effect().std_error, rel=0.1)


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
def test_logistic_outcomes_equal_a_stacked_m_estimator(estimand):
    from scipy.optimize import root

    X, y, d = confounded(500, seed=3)
    y = (y > y.mean()).astype(float).to_numpy()
    w = np.random.default_rng(0).uniform(0.5, 2, 500)
    effect = (
        RegressionAdjustment(estimand=estimand, outcome_model="logistic")
        .fit(X, y, treatment=d, sample_weight=w)
        .effect()
    )
    Z = np.column_stack([np.ones(500), X])
    target = members(estimand, d, 1) * w

    def equations(theta):
        p = [1 / (1 + np.exp(-(Z @ theta[4 * a : 4 * a + 4]))) for a in (0, 1)]
        scores = [(w * (d == a) * (y - p[a]))[:, None] * Z for a in (0, 1)]
        return np.hstack([*scores, (target * (p[1] - p[0] - theta[8]))[:, None]])

    total = lambda theta: equations(theta).sum(axis=0)  # noqa: E731
    theta = root(total, np.zeros(9), tol=1e-13).x
    bread = np.column_stack([(total(theta + s) - total(theta - s)) / 2e-5 for s in 1e-5 * np.eye(9)])
    influence = equations(theta) @ np.linalg.inv(bread).T
    assert effect.estimate == pytest.approx(theta[8], rel=1e-8)
    assert effect.std_error == pytest.approx(np.sqrt(np.square(influence[:, 8]).sum()), rel=1e-6)


def test_wrong_outcome_models_are_refused():
    X, y, d = confounded(100)
    with pytest.raises(CausalArgumentError, match="AIPW"):
        RegressionAdjustment(outcome_model="boosting").fit(X, y, treatment=d)
    with pytest.raises(CausalArgumentError, match="0/1"):
        RegressionAdjustment(outcome_model="logistic").fit(X, y, treatment=d)
    with pytest.raises(CausalDataError, match="predict the outcome perfectly"):
        RegressionAdjustment(outcome_model="logistic").fit(X, (X["a"] > 0).astype(int), treatment=d)


def test_an_arm_of_few_rows_is_refused_with_the_counts():
    X, y, _ = confounded(40)
    d = (np.arange(40) < 4).astype(int)
    with pytest.raises(CausalDataError, match="arm 1 has 4 rows for 4 coefficients"):
        RegressionAdjustment().fit(X, y, treatment=d, propensity=np.full(40, 0.1))
    named = np.where(d == 1, "new drug", "old drug")  # its level, not its code; the control is the first level
    with pytest.raises(CausalDataError, match="arm 'new drug' has 4 rows for 4 coefficients"):
        RegressionAdjustment().fit(X, y, treatment=named, propensity=np.full(40, 0.9))
    with pytest.raises(CausalDataError, match="arm 'new drug' has 4 rows for 4 coefficients"):
        DifferenceInMeans(adjustment="lin").fit(X, y, treatment=named)


@pytest.mark.parametrize("interactions", [True, False, ["a"]])
def test_an_arm_that_one_weight_outweighs_is_refused(interactions):
    X, y, d = confounded(100)
    w = np.ones(100)
    w[np.flatnonzero(d == 1)[0]] = 1e6
    with pytest.raises(CausalDataError, match=r"sample_weight: the \d+ rows of arm 1 are worth 1.00 rows"):
        RegressionAdjustment(interactions=interactions).fit(X, y, treatment=d, sample_weight=w)
    bootstrap(RegressionAdjustment(interactions=interactions), X, y, treatment=d, n_draws=10, progress=False)


def test_collinear_covariates_are_left_out_and_counted():
    X, y, d = confounded(300)
    more = X.assign(sum=X["a"] + X["b"], twice=2 * X["c"])
    one, two = (RegressionAdjustment().fit(Z, y, treatment=d) for Z in (X, more))
    pd.testing.assert_frame_equal(one.effect().table, two.effect().table, rtol=1e-8)
    assert two.effect().facts["collinear_dropped"] == 2
    assert "sum, twice" in two.effect().summary()


def test_effects_by_row_equal_predictions():
    X, y, d = confounded(300, arms=3)
    model = RegressionAdjustment().fit(X, y, treatment=d)
    predicted = model.predict(X[:7])
    assert predicted.shape == (7, 2)
    for k, arm in enumerate((1, 2)):
        np.testing.assert_allclose(model.effect(X[:7], arm=arm).estimates, predicted[:, k], rtol=1e-10)
    with pytest.raises(CausalArgumentError, match="name the arm"):
        model.effect(X[:7])
