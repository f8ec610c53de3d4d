"""Optimal pairs and full matching beside exhaustive search and a linear programme."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from pandas_causal.errors import CausalDataError
from pandas_causal.matching.optimal import optimal_full, optimal_pairs
from tests.matching.test_nearest import distances, make_space

KINDS = ["line", "lattice line", "plane", "lattice plane"]


def sides(rng, n, m):
    return np.arange(n), np.arange(n, n + m), (rng.permutation(n), rng.permutation(m))


@pytest.mark.parametrize("kind", KINDS)
def test_full_matching_has_the_least_total_distance_and_is_made_of_stars(kind):
    rng = np.random.default_rng(1)
    for trial in range(60):
        n, m = rng.integers(1, 8, 2)
        space = make_space(kind, rng, n + m, 1 + trial % 2, 0, along=trial % 3 == 0)
        left, right, ranks = sides(rng, n, m)
        D = distances(space, left, right)
        a, b = optimal_full(space, left, right, ranks)
        possible = np.isfinite(D)
        assert np.array_equal(a >= 0, possible.any(axis=1))
        assert np.array_equal(b >= 0, possible.any(axis=0))
        total = 0.0
        for k in range(max(a.max(), b.max()) + 1):
            i, j = np.flatnonzero(a == k), np.flatnonzero(b == k)
            assert min(len(i), len(j)) == 1
            total += D[np.ix_(i, j)].sum()
        assert total == pytest.approx(cheapest_cover(D), abs=1e-9)


def cheapest_cover(D):
    """Least cost of pairs that leave nobody out who has a partner: a linear programme with whole solutions."""
    edges = np.argwhere(np.isfinite(D))
    if not len(edges):
        return 0.0
    touch = np.vstack(
        [edges[:, 0] == i for i in np.unique(edges[:, 0])] + [edges[:, 1] == j for j in np.unique(edges[:, 1])]
    )
    return linprog(D[tuple(edges.T)], A_ub=-touch.astype(float), b_ub=-np.ones(len(touch)), bounds=(0, 1)).fun


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_have_the_least_total_distance(kind):
    rng = np.random.default_rng(2)
    for trial in range(25):
        n, m = 4, 6
        space = make_space(kind, rng, n + m, 1, 0, along=trial % 2 == 0)
        left, right, ranks = sides(rng, n, m)
        D = distances(space, left, right)
        links = optimal_pairs(space, left, right, (1, 1), np.ones(m), ranks)
        pairs = links.pairs()
        assert len(set(pairs.right)) == len(pairs.right)
        best = min(
            (-np.isfinite(D[range(n), p]).sum(), D[range(n), p][np.isfinite(D[range(n), p])].sum())
            for p in map(list, itertools.permutations(range(m), n))
        )
        assert (-len(pairs.left), pairs.distance.sum()) == pytest.approx(best, abs=1e-9)


def test_two_donors_each():
    rng = np.random.default_rng(3)
    space = make_space("plane", rng, 9)
    left, right, ranks = sides(rng, 3, 6)
    links = optimal_pairs(space, left, right, (2, 2), np.ones(6), ranks)
    D = distances(space, left, right)
    least = min(
        D[0, list(p[:2])].sum() + D[1, list(p[2:4])].sum() + D[2, list(p[4:])].sum()
        for p in itertools.permutations(range(6))
    )
    assert links.pairs().distance.sum() == pytest.approx(least, rel=1e-12)
    assert links.counts().tolist() == [2, 2, 2]


@pytest.mark.parametrize("ratio", [(1, 2), (1, 3), (2, 2)])
def test_a_second_donor_never_costs_another_target_its_first(ratio):
    """Most places among the first `low` filled, then most others, then the least distance: every choice is tried."""
    rng = np.random.default_rng(5)
    low, high = ratio
    short = 0
    for trial in range(40):
        n, m = (3, 4) if trial % 2 else (2, 5)
        space = make_space(KINDS[trial % 4], rng, n + m, 1, 0, along=trial % 3 == 0)
        left, right, ranks = sides(rng, n, m)
        D = distances(space, left, right)
        found = optimal_pairs(space, left, right, ratio, np.ones(m), ranks)
        best = (0, 0, 0.0)
        for owner in itertools.product(range(-1, n), repeat=m):
            pairs = [(i, j) for j, i in enumerate(owner) if i >= 0]
            held = np.bincount([i for i, _ in pairs], minlength=n)
            total = sum(D[pair] for pair in pairs)
            if held.max(initial=0) <= high and np.isfinite(total):
                first = np.minimum(held, low).sum()
                best = min(best, (-first, -(held.sum() - first), total))
        short += best[0] > -n * low
        if low == 1:
            pairs = found.pairs()
            matched = len(np.unique(pairs.left))
            assert (-matched, matched - len(pairs.left), pairs.distance.sum()) == pytest.approx(best, abs=1e-9)
        else:  # those that are short of `low` lose what they had
            assert set(found.counts().tolist()) <= {0, 2}
    assert short < 40


def test_a_table_that_is_too_large_is_refused():
    rng = np.random.default_rng(4)
    space = make_space("line", rng, 11_000)
    left, right, ranks = sides(rng, 5_100, 5_900)
    with pytest.raises(CausalDataError, match=r"5,100 rows x 1 with 5,900 donors need a table of 30,090,000 distances"):
        optimal_pairs(space, left, right, (1, 1), np.ones(5_900), ranks)
