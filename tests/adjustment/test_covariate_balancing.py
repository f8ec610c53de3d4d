"""Moments of the covariate balancing propensity: by hand, their derivatives, and what solves them."""

import numpy as np
import pytest

from pandas_causal.adjustment.covariate_balancing import (
    NotBalanced,
    _moments,
    _objective,
    fit_balancing_logistic,
    moment_covariance,
    moment_factors,
)
from pandas_causal.models.linear import StandardisedMatrix, fit_logistic, softmax
from tests.adjustment.designs import confounded

ESTIMANDS = ["ATE", "ATT", "ATC"]


def test_factors_by_hand():
    e = np.array([[0.5, 0.3, 0.2]] * 3)
    arms = np.arange(3)
    k, _ = moment_factors("ATE", arms, e, True)
    np.testing.assert_allclose(k[:, 0], [-2, 1 / 0.3, 0])  # arm 1 beside the control
    np.testing.assert_allclose(k[:, 1], [-2, 0, 5])
    np.testing.assert_allclose(k[:, 2], [-0.3, 0.7, -0.3])  # scores
    np.testing.assert_allclose(moment_factors("ATT", arms, e, False)[0], [[-0.6, -0.4], [1, 0], [0, 1]])
    np.testing.assert_allclose(moment_factors("ATC", arms, e, False)[0], [[1, 1], [-0.5 / 0.3, 0], [0, -2.5]])


@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_factors_have_mean_zero_and_their_derivative(estimand):
    rng = np.random.default_rng(0)
    eta = rng.normal(size=(20, 2))
    mean = 0
    for c in range(3):
        codes = np.full(20, c)
        k, slope = moment_factors(estimand, codes, softmax(eta), True)
        mean = mean + softmax(eta)[:, c, None] * k
        for b, step in enumerate(1e-6 * np.eye(2)):
            up, down = (moment_factors(estimand, codes, softmax(eta + s), True)[0] for s in (step, -step))
            np.testing.assert_allclose(slope[:, :, b], (up - down) / 2e-6, atol=1e-7)
    np.testing.assert_allclose(mean, 0, atol=1e-12)


def test_the_weight_of_the_moments_is_the_papers():
    """Imai and Ratkovic (2014), eq. (12), two arms, ATE: blocks e (1 - e) xx', xx' and xx' / (e (1 - e))."""
    X, _, d = confounded(50)
    design = StandardisedMatrix.of(X.to_numpy())
    beta = np.array([[0.2, 0.5, -0.3, 0.1]])
    Z = design.rows(slice(None))
    e = softmax(Z @ beta.T)[:, 1]
    V = moment_covariance(design, "ATE", beta, None)
    assert d.sum() > 0
    np.testing.assert_allclose(V[4:, 4:], (Z * (e * (1 - e))[:, None]).T @ Z, rtol=1e-10)
    np.testing.assert_allclose(V[:4, 4:], Z.T @ Z, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(V[:4, :4], (Z / (e * (1 - e))[:, None]).T @ Z, rtol=1e-10)


@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_solutions(estimand, arms):
    X, _, d = confounded(500, seed=1, arms=arms)
    design = StandardisedMatrix.of(X.to_numpy())
    start = fit_logistic(design, d, arms).coefficients[-1]
    exact = fit_balancing_logistic(design, d, estimand, start)
    g, _ = _moments(design, d, estimand, exact.coefficients, False, None)
    assert np.abs(g).max() < 1e-9
    assert (exact.statistic, exact.df) == (0.0, 0)
    over = fit_balancing_logistic(design, d, estimand, start, True)

    def distance(beta):
        g, _ = _moments(design, d, estimand, beta, True, None)
        return g @ np.linalg.solve(moment_covariance(design, estimand, beta, None), g)

    assert over.df == 4 * (arms - 1)
    assert over.statistic == pytest.approx(distance(over.coefficients))
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert distance(over.coefficients + 1e-3 * rng.normal(size=start.shape)) > over.statistic
    near = start + 0.1 * rng.normal(size=start.shape)
    half, gradient, _, _ = _objective(design, d, estimand, near, None)
    assert half == pytest.approx(distance(near) / 2)
    for j in range(start.size):
        step = np.zeros(start.size)
        step[j] = 1e-6
        up, down = (distance(near + s * step.reshape(start.shape)) for s in (1, -1))
        assert gradient[j] == pytest.approx((up - down) / 4e-6, rel=1e-4, abs=1e-4)


def test_no_solution_is_said():
    """The mean of the treated, 3.9, lies beyond every control; the likelihood has a maximum all the same."""
    X = np.concatenate([np.linspace(0, 1, 40), np.full(3, 0.2), np.full(10, 5.0)])[:, None]
    d = np.repeat([0, 1], [40, 13])
    design = StandardisedMatrix.of(X)
    start = fit_logistic(design, d, 2).coefficients[-1]
    with pytest.raises(NotBalanced):
        fit_balancing_logistic(design, d, "ATT", start)
