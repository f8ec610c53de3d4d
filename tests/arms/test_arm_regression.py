"""Least squares by arm: HC2 factors, means, on numbers that can be worked by hand."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from pandas_causal.arms.arm_means import mean_contributions, means_components
from pandas_causal.arms.arm_regression import fit_arm_regression
from pandas_causal.arms.estimands import plan_estimand
from pandas_causal.errors import CausalDataError
from pandas_causal.inputs.arms import resolve_arms
from pandas_causal.models.linear import StandardisedMatrix
from tests.effect.examples import ARM, Y

RNG = np.random.default_rng(4)
N = 90
CODES = RNG.integers(2, size=N)
X = RNG.normal(size=(N, 2))
OUTCOME = X @ [1, -2] + CODES * X[:, 0] + RNG.normal(size=N)
W = RNG.uniform(0.5, 2, N)


@pytest.mark.parametrize("w", [None, W])
def test_every_arm_is_statsmodels_regression(w):
    fit = fit_arm_regression(StandardisedMatrix.of(X), OUTCOME, CODES, 2, w)
    Z = fit.design.rows(slice(None))
    for a in (0, 1):
        own = CODES == a
        model = sm.WLS(OUTCOME[own], Z[own], weights=1.0 if w is None else w[own]).fit(cov_type="HC2")
        np.testing.assert_allclose(fit.coefficients[a], model.params, rtol=1e-9)
        np.testing.assert_allclose(fit.residuals[own], model.resid, rtol=1e-7, atol=1e-10)
        influence = model.model.wexog @ model.normalized_cov_params @ model.model.wexog.T
        np.testing.assert_allclose(fit.leverage[own], np.diag(influence), rtol=1e-9)
        scores = Z[own] * (fit.residuals * np.sqrt(fit.hc2) * (1.0 if w is None else w))[own, None]
        np.testing.assert_allclose(fit.bread[a] @ scores.T @ scores @ fit.bread[a], model.cov_params(), rtol=1e-8)
    assert fit.df == N - 6


def test_means_alone_are_divided_by_n_minus_1():
    fit = fit_arm_regression(StandardisedMatrix.of(np.empty((8, 0))), Y, ARM, 2)
    np.testing.assert_allclose(fit.hc2, 4 / 3)
    np.testing.assert_allclose(fit.predictions[0], [2.5, 6.75])


def test_blocks_of_rows_give_what_one_block_gives(monkeypatch):
    from pandas_causal.models import linear as linear_models

    plan = plan_estimand("ATT", resolve_arms(pd.Series(CODES)), "d")

    def all_of_it():
        fit = fit_arm_regression(StandardisedMatrix.of(X), OUTCOME, CODES, 2, W)
        return (*mean_contributions(fit, plan, CODES, W), means_components(fit, plan, CODES, W, ()).components[0].meat)

    whole = all_of_it()
    monkeypatch.setattr(linear_models, "_BLOCK", 17)
    for one, two in zip(whole, all_of_it(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-13)


def test_contributions_sum_to_zero_and_values_are_average_predictions():
    plan = plan_estimand("ATE", resolve_arms(pd.Series(CODES)), "d")
    fit = fit_arm_regression(StandardisedMatrix.of(X), OUTCOME, CODES, 2, W)
    values, first, second = mean_contributions(fit, plan, CODES, W)
    np.testing.assert_allclose(values, np.average(fit.predictions, axis=0, weights=W))
    np.testing.assert_allclose(first.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(second.sum(axis=0), 0, atol=1e-12)


def test_contributions_are_the_derivative_of_the_estimate_in_the_weights():
    """What a row contributes is what the estimate does when the row's weight grows a little."""
    plan = plan_estimand("ATE", resolve_arms(pd.Series(CODES)), "d")

    def values(w):
        fit = fit_arm_regression(StandardisedMatrix.of(X), OUTCOME, CODES, 2, w)
        return mean_contributions(fit, plan, CODES, w)

    _, first, second = values(W)
    for i in (0, 31, 77):
        step = 1e-5 * (np.arange(N) == i)
        numeric = (values(W + step)[0] - values(W - step)[0]) / 2e-5 * W[i]
        np.testing.assert_allclose((first + second)[i], numeric, rtol=1e-5, atol=1e-9)


def test_arms_without_a_residual_are_refused():
    with pytest.raises(CausalDataError, match="3 rows for 3 coefficients"):
        fit_arm_regression(StandardisedMatrix.of(X), OUTCOME, (np.arange(N) < 3).astype(int), 2)
    w = np.where((CODES == 1) & (np.cumsum(CODES) > 3), 0.0, 1.0)
    with pytest.raises(CausalDataError, match="3 rows for 3 coefficients"):
        fit_arm_regression(StandardisedMatrix.of(X), OUTCOME, CODES, 2, w)
