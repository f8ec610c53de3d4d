"""Tests with weak instruments, on numbers worked by hand and by their laws."""

import numpy as np
import pytest
from scipy import stats

from pandas_causal.inference.weak_instruments import (
    WeakTests,
    anderson_rubin,
    anderson_rubin_slope,
    conditional_likelihood_ratio_p,
    effective_f,
    smallest_on_a_line,
    tf_critical,
    weak_tests,
)


def test_effective_f_of_one_instrument_is_the_robust_f():
    found = effective_f(np.array([6.0]), np.array([[2.0]]), np.array([[3.0]]))
    assert found.statistic == pytest.approx(36 / 3)
    # one instrument: noncentral chi-squared with one degree of freedom and noncentrality 1 / share
    assert found.df[0.10] == pytest.approx(1.0)
    assert found.critical[0.10] == pytest.approx(stats.ncx2.ppf(0.95, 1, 10), rel=1e-10)
    assert found.critical[0.10] == pytest.approx(23.1, abs=0.05)  # the paper's number
    assert found.critical[0.05] == pytest.approx(37.4, abs=0.05)


def test_effective_f_under_one_variance_is_the_plain_f():
    zz = np.array([[2.0, 0.5], [0.5, 1.0]])
    zd = np.array([3.0, -1.0])
    found = effective_f(zd, zz, 0.7 * zz)
    assert found.statistic == pytest.approx(zd @ np.linalg.solve(zz, zd) / 2 / 0.7)
    assert found.df[0.2] == pytest.approx(2.0)


def test_moreiras_statistics_by_hand():
    """QS, QST and QT of Moreira (2003) in the textbook's own formulas."""
    rng = np.random.default_rng(0)
    n, q = 50, 3
    Z = np.linalg.qr(rng.normal(size=(n, q)))[0]
    Y = rng.normal(size=(n, 2)) + Z @ rng.normal(size=(q, 2))
    Omega = np.array([[1.0, 0.4], [0.4, 2.0]])
    b0 = 0.3
    b, a = np.array([1.0, -b0]), np.array([b0, 1.0])
    S = Z.T @ Y @ b / np.sqrt(b @ Omega @ b)
    T = Z.T @ Y @ np.linalg.solve(Omega, a) / np.sqrt(a @ np.linalg.solve(Omega, a))
    scores = Omega[:, :, None, None] * np.eye(q)
    found = weak_tests(Z.T @ Y, scores, np.array([b0]))
    assert found.ar == pytest.approx(S @ S)
    assert found.k == pytest.approx((S @ T) ** 2 / (T @ T))
    assert found.rank == pytest.approx(T @ T)


@pytest.mark.parametrize("q", [2, 3, 5])
def test_the_conditional_law(q):
    weak, strong = (WeakTests(7.0, 4.0, rank) for rank in (1e-9, 1e8))
    # no information on strength: LR is AR; much: LR is K
    assert conditional_likelihood_ratio_p(weak, q) == pytest.approx(stats.chi2.sf(7.0, q), abs=1e-6)
    assert conditional_likelihood_ratio_p(strong, q) == pytest.approx(stats.chi2.sf(4.0, 1), abs=1e-4)
    rng = np.random.default_rng(1)
    rank = 6.0
    S = rng.normal(size=(400_000, q))
    ar, k = np.square(S).sum(axis=1), S[:, 0] ** 2
    lr = (ar - rank + np.sqrt((ar - rank) ** 2 + 4 * k * rank)) / 2
    case = WeakTests(8.0, 5.0, rank)
    m = (2 + np.sqrt(4 + 4 * 5 * rank)) / 2
    assert conditional_likelihood_ratio_p(case, q) == pytest.approx((lr >= m).mean(), abs=2e-3)


def test_one_instrument_is_anderson_and_rubin():
    assert conditional_likelihood_ratio_p(WeakTests(5.0, 5.0, 3.0), 1) == pytest.approx(stats.chi2.sf(5.0, 1))
    assert conditional_likelihood_ratio_p(WeakTests(0.0, 0.0, 3.0), 2) == 1.0


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_tf_rejects_as_often_as_it_says_where_errors_are_one(level):
    """With correlation 1, f is N(f0, 1) and t = f (f - f0) / f0: its definition, by quadrature."""
    f = np.linspace(-12, 60, 60_001)
    critical = np.interp(np.abs(f), grid := np.linspace(1.5, 60, 4_000), [tf_critical(v**2, level) for v in grid])
    for f0 in (0.3, 1.0, 2.0, 4.0, 8.0, 15.0):
        rejected = np.abs(f * (f - f0) / f0) > critical
        size = (rejected * stats.norm.pdf(f - f0)).sum() * (f[1] - f[0])
        assert size == pytest.approx(1 - level, rel=0.06), f0
    assert tf_critical(3.0, level) == np.inf


def uneven_scores(seed, q=4, d=2, n=60):
    """Moments (q, 1 + d) and their covariances with weak instruments and noise that depends on them."""
    rng = np.random.default_rng(seed)
    z, noise = rng.normal(size=(n, q)), rng.normal(size=(n, 1 + d)) + rng.normal(size=(n, 1))
    w = 0.3 * z @ rng.normal(size=(q, 1 + d)) + noise * (0.3 + np.abs(z[:, :1]))
    products = np.einsum("na,nj->nja", z, w)
    return z.T @ w, np.einsum("nja,nkb->jkab", products, products)


def test_anderson_rubin_of_many_and_its_slope():
    zw, scores = uneven_scores(0)
    b = np.array([[0.3, -1.0], [2.0, 5.0]])
    a = np.column_stack([np.ones(2), -b])
    many = anderson_rubin(zw, scores, a)
    assert many == pytest.approx([weak_tests(zw, scores, row).ar for row in b], rel=1e-10)
    assert anderson_rubin(zw, scores, -7 * a) == pytest.approx(many, rel=1e-10)
    value, slope = anderson_rubin_slope(zw, scores, a[0])
    assert value == pytest.approx(many[0], rel=1e-10)
    steps = anderson_rubin(zw, scores, a[0] + 1e-6 * np.eye(3)) - anderson_rubin(zw, scores, a[0] - 1e-6 * np.eye(3))
    assert slope == pytest.approx(steps / 2e-6, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_the_smallest_on_a_line_is_found_among_several_minima(seed):
    zw, scores = uneven_scores(seed)
    for b in (-30.0, -1.0, 0.5, 20.0):
        origin, direction = np.array([1.0, -b, 0.0]), np.array([0.0, 0.0, 1.0])
        t = np.tan(np.linspace(-np.pi / 2, np.pi / 2, 40_003)[1:-1]) * 3
        dense = anderson_rubin(zw, scores, origin + t[:, None] * direction)
        assert smallest_on_a_line(zw, scores, origin / np.hypot(1, b), direction) <= dense.min() + 1e-6


def test_indefinite_covariances_leave_nothing_to_know():
    zw, scores = uneven_scores(1)
    scores[:, :, 0, 0] *= -1
    b = np.array([0.5, 1.0])
    assert np.isnan(weak_tests(zw, scores, b).ar)
    assert np.isnan(smallest_on_a_line(zw, scores, np.array([1.0, -0.5, 0.0]), np.array([0.0, 0.0, 1.0])))
    assert np.isnan(anderson_rubin_slope(zw, scores, np.r_[1.0, -b])[0])
    assert np.isnan(effective_f(zw[:, 1], np.eye(4), scores[1, 1]).statistic)
