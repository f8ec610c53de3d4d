"""Tests of independence: numbers by hand, peers, size and power."""

import numpy as np
import pytest
from scipy import stats

from pandas_causal.graphs.independence_tests import (
    Basis,
    Variable,
    feature_test,
    fisher_z,
    g_test,
    joint_cells,
    normal_scores,
    own_features,
    residuals,
    weighted_chi2_sf,
)


def kernel_p(x, y, Z, seed=0, index=12):
    rng = np.random.default_rng(seed)
    X, Y = own_features(x, 5, rng), own_features(y, 5, rng)
    if not Z:
        return feature_test(X, Y).p_value
    basis = Basis.draw(Z, int(np.clip(2 * np.sqrt(len(x)), 10, 100)), rng)
    (rx, used_x), (ry, used_y) = residuals(basis, [X, Y], 0 if len(Z) == 1 else index)
    return feature_test(rx, ry, max(used_x, used_y)).p_value


def test_partial_correlation_is_that_of_a_regression():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(60, 2))
    x, y = Z @ [1, 2] + rng.normal(size=60), Z @ [0, 1] + rng.normal(size=60)
    found = fisher_z(x, y, Z)
    # the t statistic of x in y ~ x + Z gives the same partial correlation
    A = np.column_stack([np.ones(60), x, Z])
    b, rss = np.linalg.lstsq(A, y, rcond=None)[:2]
    t = b[1] / np.sqrt(rss[0] / 56 * np.linalg.inv(A.T @ A)[1, 1])
    r = t / np.sqrt(t**2 + 56)
    assert found.statistic == pytest.approx(np.sqrt(60 - 2 - 3) * np.arctanh(r), rel=1e-10)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(found.statistic)), rel=1e-10)
    assert fisher_z(Z[:, 0], y, Z).p_value == 1.0  # nothing is left of x


@pytest.mark.parametrize(("shift", "scale"), [(1e9, 1.0), (0.0, 1e-9), (-1e6, 1e9)])
def test_partial_correlation_does_not_depend_on_units(shift, scale):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(400, 2))
    x, y = Z @ [1, 2] + rng.normal(size=400), Z @ [2, 1] + rng.normal(size=400)
    plain = fisher_z(x, y, Z)
    moved = Z.copy()
    moved[:, 0] = moved[:, 0] * scale + shift
    assert fisher_z(x, y, moved).statistic == pytest.approx(plain.statistic, abs=1e-5)
    assert fisher_z(x * scale + shift, y, Z).statistic == pytest.approx(plain.statistic, abs=1e-5)
    for idle in (np.full(400, 1e9 + 0.1), 3 * Z[:, 0] - 1):  # a constant or a copy says nothing, and costs no row
        assert fisher_z(x, y, np.column_stack([Z, idle])).statistic == pytest.approx(plain.statistic, rel=1e-8)


def test_g_test_is_that_of_scipy_summed_over_strata():
    rng = np.random.default_rng(1)
    x, y, z = rng.integers(0, 3, 900), rng.integers(0, 2, 900), rng.integers(0, 2, 900)
    found = g_test(x, y, z)
    peers = [
        stats.chi2_contingency(
            np.histogram2d(x[z == k], y[z == k], (3, 2))[0], correction=False, lambda_="log-likelihood"
        )
        for k in (0, 1)
    ]
    assert found.statistic == pytest.approx(sum(p.statistic for p in peers), rel=1e-10)
    assert found.df == sum(p.dof for p in peers) == 4
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 4), rel=1e-10)
    # a level that a stratum lacks takes no degree of freedom there
    sparse = g_test(np.where(z == 0, x % 2, x), y, z)
    assert sparse.df == 1 + 2


def test_tail_of_weighted_chi_squares():
    q = np.array([0.5, 2.0, 6.0, 12.0])
    for k in (1, 4):  # equal weights: exact
        found = [weighted_chi2_sf(2 * v, np.full(k, 2.0)) for v in q]
        np.testing.assert_allclose(found, stats.chi2.sf(q, k), rtol=1e-9)
    weights = np.array([3.0, 1.0, 0.5, 0.1])
    draws = np.random.default_rng(0).normal(size=(400_000, 4)) ** 2 @ weights
    for v in np.quantile(draws, [0.9, 0.95, 0.99]):
        assert weighted_chi2_sf(v, weights) == pytest.approx((draws > v).mean(), abs=0.006)


def test_one_product_by_hand():
    """One feature each: n mean^2 / variance is a chi-squared, the variance counted over what the regressions left."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 50, 1))
    product = (x * y)[:, 0].astype(float)
    found = feature_test(x, y, used=20.0)
    variance = (np.square(product).sum() - product.sum() ** 2 / 50) / (50 - 20)
    assert found.statistic == pytest.approx(product.sum() ** 2 / 50, rel=1e-12)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic / variance, 1), rel=1e-9)


def test_regression_on_cells_is_their_means():
    rng = np.random.default_rng(2)
    Z = [Variable(rng.integers(0, 2, 400), 2), Variable(rng.integers(0, 3, 400), 3)]
    x = rng.normal(size=(400, 1))
    basis = Basis.draw(Z, 40, rng)
    ((left, used),) = residuals(basis, [x], 0)
    cells = joint_cells(Z)
    means = np.bincount(cells, x[:, 0]) / np.bincount(cells)
    np.testing.assert_allclose(left[:, 0], x[:, 0] - means[cells], atol=1e-4)
    assert used == pytest.approx(6, abs=1e-3)


def test_units_and_monotone_maps_do_not_matter():
    rng = np.random.default_rng(3)
    z = rng.normal(size=500)
    x, y = z + rng.normal(size=500), z**2 + rng.normal(size=500)
    first = kernel_p(Variable(x), Variable(y), [Variable(z)])
    second = kernel_p(Variable(np.exp(x)), Variable(1e6 * y + 1e9), [Variable(z / 1e9)])
    assert first == pytest.approx(second, rel=1e-8)
    np.testing.assert_allclose(normal_scores(np.array([3.0, 1.0, 2.0, 2.0])), stats.norm.ppf([0.875, 0.125, 0.5, 0.5]))


SHAPES = {
    "quadratic": lambda z: z[:, 0] ** 2,
    "wave": lambda z: np.cos(2 * z[:, 0]),
    "product": lambda z: z[:, 0] * z[:, -1] + np.tanh(2 * z[:, 0]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_size_under_nonlinear_confounding_with_unequal_variance(shape):
    """Partial correlation raises false alarms here almost always; residual features 5%."""
    draws, rejected, naive = 200, 0, 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(400, 2))
        f = SHAPES[shape](z)
        x, y = f + rng.normal(size=400), f + (1 + np.abs(z[:, 0])) * rng.normal(size=400)
        rejected += kernel_p(Variable(x), Variable(y), [Variable(c) for c in z.T], seed) <= 0.05
        naive += fisher_z(x, y, z).p_value <= 0.05
    assert rejected / draws <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / draws)
    assert naive / draws > 0.5


def test_size_without_conditioning_and_between_types():
    draws, rejected = 300, 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        z = rng.normal(size=300)
        x = Variable((z + rng.logistic(size=300) > 0).astype(np.intp), 2)
        y = Variable(np.digitize(z + rng.logistic(size=300), [-1, 1]), 3)
        rejected += kernel_p(x, y, [Variable(z)], seed) <= 0.05
    assert 0.01 <= rejected / draws <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize("speed", [1, 3, 4])
def test_size_under_fast_waves_of_one_variable(speed):
    """With bends at random rows false alarms were 15% to 44%."""
    draws, rejected = 100, 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        z, u, v = rng.normal(size=(3, 300))
        wave = 2 * np.sin(speed * z)
        rejected += kernel_p(Variable(wave + u), Variable(wave + v), [Variable(z)], seed) <= 0.05
    assert rejected / draws <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / draws)


def test_power_against_dependence_that_no_correlation_sees():
    found = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        z, x = rng.normal(size=(2, 800))
        y = z + 0.5 * x**2 + rng.normal(size=800)
        found += kernel_p(Variable(x + z), Variable(y), [Variable(z)], seed) <= 0.05
    assert found >= 45


def test_power_against_a_correlation_is_near_that_of_the_correlation():
    ours = peer = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        z, x = rng.normal(size=(2, 400))
        y = z + 0.15 * x + rng.normal(size=400)
        ours += kernel_p(Variable(x + z), Variable(y), [Variable(z)], seed) <= 0.05
        peer += fisher_z(x + z, y, z[:, None]).p_value <= 0.05
    assert peer / 200 > 0.7
    assert ours > 0.85 * peer


def test_what_is_determined_leaves_nothing_to_test():
    """Rounding errors of two functions of z are no evidence of dependence."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=2_000)
    assert kernel_p(Variable(2 * z + 1), Variable(-z), [Variable(z)]) == 1.0
    assert kernel_p(Variable(np.zeros(2_000)), Variable(z), []) == 1.0
