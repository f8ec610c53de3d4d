"""Moment inequalities: the programmes against scipy's solver, the test against its definition, and its size."""

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import norm, truncnorm

from pandas_causal.errors import CausalError
from pandas_causal.inference.moment_inequalities import (
    Inequalities,
    confidence_set,
    least_favourable,
    rejects,
    union,
    upper_tail,
)
from pandas_causal.kernels.linear_programs import largest_values, truncation_points, vertex
from tests.statistical.draws import DRAWS, slack


def steps(n_pre, n_post, sign, s, bound):
    """Relative magnitudes, written out: |step| <= bound * sign * step s before treatment."""
    p = n_pre + n_post
    D = np.delete(np.eye(p + 1)[1:] - np.eye(p + 1)[:-1], n_pre, axis=1)
    after = D[n_pre:]
    return np.vstack([after - bound * sign * D[s], -after - bound * sign * D[s]])


def problem(seed, n_pre=3, n_post=3, bound=1.0):
    rng = np.random.default_rng(seed)
    p = n_pre + n_post
    A = steps(n_pre, n_post, 1.0, int(rng.integers(n_pre)), bound)
    root = rng.normal(size=(p, p)) / np.sqrt(p) + 0.3 * np.eye(p)
    loadings = np.vstack([np.zeros((n_pre, n_post)), np.eye(n_post)])
    return Inequalities.of(A, np.zeros(len(A)), rng.normal(size=p), root, loadings)


def by_scipy(cost, columns):
    found = linprog(-cost, A_eq=columns.T, b_eq=np.eye(columns.shape[1])[0], bounds=(0, None), method="highs")
    assert found.status == 0
    return -found.fun


@pytest.mark.parametrize("n_post", [1, 2, 4])
@pytest.mark.parametrize("seed", range(5))
def test_programmes_equal_scipy(seed, n_post):
    m = problem(seed, n_post=n_post)
    costs = np.random.default_rng(seed).normal(size=(20, len(m.y)))
    values, vertices, again = np.empty(20), np.empty_like(costs), np.empty(20)
    assert vertex(costs, m.columns, values, vertices)
    assert largest_values(costs, m.columns, again)
    np.testing.assert_allclose(values, [by_scipy(c, m.columns) for c in costs], atol=1e-9)
    np.testing.assert_allclose(again, values, atol=1e-12)
    np.testing.assert_allclose(vertices @ m.columns, np.eye(n_post)[[0] * 20], atol=1e-9)
    np.testing.assert_allclose((vertices * costs).sum(axis=1), values, atol=1e-9)
    assert (vertices >= 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_truncation_points_are_where_the_vertex_stops_being_optimal(seed):
    m = problem(seed, n_post=3)
    cost = m.y[None]
    value, x = np.empty(1), np.empty_like(cost)
    vertex(cost, m.columns, value, x)
    through = x @ m.root
    slope = through @ m.root.T / (through**2).sum()
    fixed = cost - slope * value
    low, high = np.empty(1), np.empty(1)
    assert truncation_points(fixed, slope, m.columns, value, np.array([50.0]), low, high)

    def excess(v):
        return by_scipy(fixed[0] + slope[0] * v, m.columns) - v

    assert low[0] <= value[0] + 1e-9
    assert high[0] >= value[0] - 1e-9
    for end, outwards in ((low[0], -1), (high[0], 1)):
        if abs(end) < 1e299:
            assert abs(excess(end)) < 1e-7
            assert excess(end + outwards * 1e-2) > 1e-6
        else:
            assert abs(excess(value[0] + outwards * 49)) < 1e-7


def test_constraints_that_cannot_hold_are_told():
    columns = np.array([[1.0, 1.0], [1.0, 1.0]])  # x1 + x2 = 1 and x1 + x2 = 0
    assert not vertex(np.ones((1, 2)), columns, np.empty(1), np.empty((1, 2)))
    moments = Inequalities(np.zeros(2), np.ones(2), columns, np.eye(2))
    with pytest.raises(CausalError, match="do not bound the target"):
        least_favourable(moments, np.zeros((3, 2)), 0.1)


def test_one_moment_is_the_one_sided_test_by_hand():
    """y <= theta with variance 4: eta = (y - theta) / 2, never truncated, so both stages are z tests."""
    moments = Inequalities.of(np.array([[1.0]]), np.zeros(1), np.zeros(1), np.array([[2.0]]), np.array([[1.0]]))
    alpha, first = 0.05, 0.005
    critical = norm.ppf(1 - first)
    second = (alpha - first) / (1 - first)
    # reject where 1 - Phi(z) < second * (probability below the first stage's critical value), given z below it
    edge = norm.ppf((1 - second) * (1 - first))
    theta = np.array([-edge * 2 - 1e-6, -edge * 2 + 1e-6, 1.0])
    np.testing.assert_array_equal(rejects(moments, theta, critical, alpha), [True, False, False])


def test_upper_tail_far_from_zero():
    np.testing.assert_allclose(
        upper_tail(np.array([9.5]), np.array([9.0]), np.array([10.0])), truncnorm.sf([9.5], 9, 10), rtol=1e-9
    )
    np.testing.assert_allclose(upper_tail(np.array([1.0]), np.array([-1e300]), np.array([1e300])), norm.sf(1.0))
    np.testing.assert_array_equal(upper_tail(np.array([2.0]), np.array([1.0]), np.array([2.0])), [0.0])


def test_least_favourable_value_of_independent_moments():
    """The largest of q independent normals."""
    q = 4
    moments = Inequalities.of(np.eye(q), np.zeros(q), np.zeros(q), np.eye(q), np.ones((q, 1)))
    draws = np.random.default_rng(0).standard_normal((40_000, q))
    assert least_favourable(moments, draws, 0.1) == pytest.approx(norm.ppf(0.9 ** (1 / q)), abs=0.02)


def test_confidence_set_finds_ends_beyond_the_first_range_and_says_empty_and_infinite():
    low, high = confidence_set(lambda t: (t > -7) & (t < 3), 0.0, 1.0)
    assert (low, high) == pytest.approx((-7, 3), abs=1e-4)
    assert np.isnan(confidence_set(lambda t: np.zeros(len(t), bool), 0.0, 1.0)).all()
    low, high = confidence_set(lambda t: t > 0.25, 0.0, 1.0)
    assert low == pytest.approx(0.25, abs=1e-6)
    assert high == np.inf


def test_union_asks_each_value_until_it_is_accepted():
    asked = []

    def test(edge):
        def accepts(t):
            asked.append(len(t))
            return t > edge

        return accepts

    np.testing.assert_array_equal(union([test(1), test(0)])(np.array([-1.0, 0.5, 2.0])), [False, True, True])
    assert asked == [3, 2]


@pytest.mark.slow
@pytest.mark.parametrize("n_post", [1, 3])
def test_size_at_the_least_favourable_point(n_post):
    """All moments bind (mean zero): rejected in about 5%, and not more."""
    rng = np.random.default_rng(0)
    shape = problem(1, n_post=n_post)
    z = rng.standard_normal((5_000, shape.root.shape[1]))
    critical = least_favourable(shape, z, 0.005)
    rejected = 0
    for _ in range(DRAWS):
        y = shape.root @ rng.standard_normal(shape.root.shape[1])
        rejected += rejects(Inequalities(y, shape.a, shape.columns, shape.root), np.zeros(1), critical, 0.05)[0]
    assert 0.02 <= rejected / DRAWS <= 0.05 + slack(DRAWS)
