"""Bounds against the linear program they solve; the validity test against loops."""

import numpy as np
import pytest
from scipy import optimize

from pandas_causal.inference.instrument_validity import balke_pearl_bounds, kitagawa_test


def by_linear_program(p):
    """Bounds over the 16 kinds of unit: how treatment follows the instrument, how the outcome follows treatment."""
    kinds = [(d0, d1, y0, y1) for d0 in (0, 1) for d1 in (0, 1) for y0 in (0, 1) for y1 in (0, 1)]
    rows, right = [], []
    for z in (0, 1):
        for y in (0, 1):
            for d in (0, 1):
                rows.append([float((k[z] == d) and (k[2 + d] == y)) for k in kinds])
                right.append(p[y, d, z])
    effect = np.array([k[3] - k[2] for k in kinds], dtype=float)
    ends = [optimize.linprog(s * effect, A_eq=rows, b_eq=right, bounds=(0, 1)) for s in (1, -1)]
    return (ends[0].fun, -ends[1].fun) if all(e.status == 0 for e in ends) else None


def test_bounds_are_those_of_the_linear_program():
    rng = np.random.default_rng(0)
    for _ in range(60):
        weights = rng.dirichlet(np.full(16, 0.3))
        kinds = [(d0, d1, y0, y1) for d0 in (0, 1) for d1 in (0, 1) for y0 in (0, 1) for y1 in (0, 1)]
        p = np.zeros((2, 2, 2))
        for share, k in zip(weights, kinds, strict=True):
            for z in (0, 1):
                p[k[2 + k[z]], k[z], z] += share
        expected = by_linear_program(p)
        truth = sum(s * (k[3] - k[2]) for s, k in zip(weights, kinds, strict=True))
        low, high = balke_pearl_bounds(p)
        assert (low, high) == pytest.approx(expected, abs=1e-7)
        assert low - 1e-9 <= truth <= high + 1e-9


def test_bounds_cross_where_the_assumptions_fail():
    p = np.zeros((2, 2, 2))
    p[0, 0, 0] = p[1, 0, 1] = 1.0  # nobody treated, yet the instrument moves the outcome
    assert by_linear_program(p) is None
    low, high = balke_pearl_bounds(p)
    assert low > high


def loops(y, d, z):
    """The statistic, interval by interval."""
    n1, n0 = (z == 1).sum(), (z == 0).sum()
    share, best = n1 / len(y), -np.inf
    values = np.unique(y)
    for i, a in enumerate(values):
        for b in values[i:]:
            inside = (y >= a) & (y <= b)
            for treated in (1, 0):
                p1 = (inside & (d == treated))[z == 1].mean()
                p0 = (inside & (d == treated))[z == 0].mean()
                spread = np.sqrt((1 - share) * p1 * (1 - p1) + share * p0 * (1 - p0))
                gap = (p0 - p1 if treated else p1 - p0) / max(spread, 0.07)
                best = max(best, np.sqrt(n1 * n0 / len(y)) * gap)
    return best


def sample(n, rng, broken=0.0):
    z = rng.integers(0, 2, n)
    kind = rng.random(n)
    d = np.where(kind < 0.3, 0, np.where(kind < 0.5, 1, z))
    y = np.round(d + (kind < 0.3) + broken * z + rng.normal(size=n), 1)
    return y, d, z


def test_the_statistic_against_loops():
    y, d, z = sample(120, np.random.default_rng(2))
    y = np.round(y)
    found = kitagawa_test(y, d, z, n_draws=20, rng=np.random.default_rng(0))
    assert found.statistic == pytest.approx(loops(y, d, z), rel=1e-12)
    inside = (y >= found.low) & (y <= found.high) & (d == found.treated)
    share = (z == 1).mean()
    p1, p0 = inside[z == 1].mean(), inside[z == 0].mean()
    spread = max(np.sqrt((1 - share) * p1 * (1 - p1) + share * p0 * (1 - p0)), 0.07)
    gap = (p0 - p1 if found.treated else p1 - p0) / spread * np.sqrt(share * (1 - share) * 120)
    assert gap == pytest.approx(found.statistic, rel=1e-12)


def test_violations_are_found_and_valid_instruments_pass():
    rng = np.random.default_rng(3)
    good = [kitagawa_test(*sample(400, rng), n_draws=99, rng=rng).p_value for _ in range(40)]
    assert np.mean(np.array(good) < 0.05) <= 0.15
    bad = [kitagawa_test(*sample(800, rng, broken=1.5), n_draws=99, rng=rng).p_value for _ in range(10)]
    assert max(bad) < 0.05
