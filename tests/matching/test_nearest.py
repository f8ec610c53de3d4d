"""The searches beside plain numpy: ties, windows, calipers, orders."""

import warnings

import numpy as np
import pandas as pd
import pytest

from pandas_causal.matching.distances import MatchingSpace, coordinates
from pandas_causal.matching.matches import links_of_pairs, links_of_strata
from pandas_causal.matching.nearest import TIE, canonical_rank, nearest_links, own_arm_means, without_replacement

SPACES = ["line", "lattice line", "plane", "lattice plane"]


def make_space(kind, rng, n, groups=1, filters=0, along=False):
    q = 1 if "line" in kind else 3
    points = rng.integers(0, 4, (n, q)) / 3 if "lattice" in kind else rng.normal(size=(n, q))
    columns = rng.normal(size=(n, filters))
    if along:  # a caliper on a monotone function of the line, as on the logit
        columns = np.column_stack([np.tanh(points[:, 0] / 2), columns])
    widths = np.r_[[0.2] if along else [], np.full(filters, 0.8)]
    group = rng.integers(0, groups, n)
    return MatchingSpace(points, group, columns, widths, columns[:, 0].copy() if along else None, q == 1 or not along)


def distances(space, left, right):
    D = np.sqrt(np.square(space.points[left][:, None] - space.points[right]).sum(axis=2))
    bad = space.group[left][:, None] != space.group[right]
    for k, width in enumerate(space.widths):
        bad |= np.abs(space.filters[left, k][:, None] - space.filters[right, k]) > width
    return np.where(bad, np.inf, D)


@pytest.mark.parametrize("along", [False, True])
@pytest.mark.parametrize(("groups", "filters"), [(1, 0), (3, 0), (1, 1), (2, 2)])
@pytest.mark.parametrize("kind", SPACES)
def test_nearest_with_ties_is_what_a_table_says(kind, groups, filters, along):
    rng = np.random.default_rng(groups + 10 * filters)
    for ratio in ((1, 1), (1, 3), (2, 4)):
        n = 90
        space = make_space(kind, rng, n, groups, filters, along)
        rows = rng.permutation(n)
        left, right = np.sort(rows[:40]), np.sort(rows[40:])
        unit = rng.uniform(0.5, 2, len(right))
        links = nearest_links(space, left, right, ratio, unit)
        D = distances(space, left, right)
        table = np.sort(D, axis=1)
        limit = np.where(np.isfinite(table[:, ratio[1] - 1]), table[:, ratio[1] - 1], 1e9) + TIE
        wanted = (limit[:, None] >= D) & (np.isfinite(D).sum(axis=1) >= ratio[0])[:, None]
        pairs = links.pairs()
        found = np.zeros_like(wanted)
        found[np.searchsorted(left, pairs.left), np.searchsorted(right, pairs.right)] = True
        assert np.array_equal(found, wanted)
        assert np.array_equal(links.matched, wanted.any(axis=1))
        assert np.array_equal(links.counts(), wanted.sum(axis=1))
        at = (np.searchsorted(left, pairs.left), np.searchsorted(right, pairs.right))
        np.testing.assert_allclose(pairs.distance, D[at], atol=1e-12)
        W = wanted * unit
        W = np.divide(W, W.sum(axis=1, keepdims=True), out=np.zeros_like(W), where=W.sum(axis=1, keepdims=True) > 0)
        np.testing.assert_allclose(pairs.weight, W[at], rtol=1e-12)
        values, v = rng.normal(size=len(right)), rng.uniform(size=len(left))
        matched = links.matched
        np.testing.assert_allclose(links.impute(values)[matched], (W @ values)[matched], rtol=1e-10)
        K, K2 = links.take(matched).received(v[matched])
        np.testing.assert_allclose(K, v @ W, atol=1e-12)
        np.testing.assert_allclose(K2, np.square(v) @ np.square(W), atol=1e-12)


def test_more_ties_than_the_search_has_room_for():
    line = np.r_[np.zeros(3), np.repeat([-1.0, 1.0], 30) * (1 + 1e-12 * np.arange(60))]
    space = MatchingSpace(line[:, None], np.zeros(63, dtype=int), np.empty((63, 0)), np.empty(0))
    links = nearest_links(space, np.arange(3), np.arange(3, 63), (1, 1), np.ones(60))
    assert links.counts().tolist() == [60.0] * 3
    # a nearer place that is found late throws all of them out again
    space = MatchingSpace(np.r_[line, 0.999][:, None], np.zeros(64, dtype=int), np.empty((64, 0)), np.empty(0))
    links = nearest_links(space, np.arange(3), np.arange(3, 64), (1, 1), np.ones(61))
    assert links.counts().tolist() == [1.0] * 3


@pytest.mark.parametrize("along", [False, True])
@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("order", ["largest", "smallest", "closest", "random"])
def test_without_replacement_every_step_is_greedy_nearest(order, kind, along):
    rng = np.random.default_rng(7)
    for ratio in (1, 2):
        n = 80
        space = make_space(kind, rng, n, 2, 0, along)
        rows = rng.permutation(n)
        left, right = np.sort(rows[:25]), np.sort(rows[25:])
        X, labels = space.points, np.arange(n)
        ranks = tuple(canonical_rank(space, X, pd.Index(labels), r) for r in (left, right))
        hardness = rng.uniform(size=len(left))
        links = without_replacement(
            space, left, right, (1, ratio), np.ones(len(right)), order=order, hardness=hardness, ranks=ranks,
            rng=np.random.default_rng(3),
        )  # fmt: skip
        D = distances(space, left, right)
        turn = {
            "largest": np.argsort(-hardness),
            "smallest": np.argsort(hardness),
            "random": np.random.default_rng(3).permutation(np.argsort(ranks[0])),
        }.get(order)
        pairs = links.pairs()
        found = {}
        for i, j in zip(pairs.left, pairs.right, strict=True):
            found.setdefault(int(np.searchsorted(left, i)), []).append(int(np.searchsorted(right, j)))
        assert len(set(pairs.right)) == len(pairs.right)
        by_hand, free = {}, np.ones(len(right), dtype=bool)
        for r in range(ratio):
            waiting = [i for i in range(len(left)) if r == 0 or len(by_hand.get(i, [])) == r]
            steps = (
                [i for i in turn if i in waiting] if turn is not None else sorted(waiting, key=lambda i: ranks[0][i])
            )
            while steps:
                free_D = np.where(free, D, np.inf)
                if turn is None:
                    least = {i: free_D[i].min() for i in steps}
                    i = min(steps, key=lambda i: (np.rint(least[i] / TIE), ranks[0][i]))
                else:
                    i = steps[0]
                steps.remove(i)
                near = free_D[i].min()
                if not np.isfinite(near):
                    continue
                tied = np.flatnonzero(free_D[i] <= near + TIE)
                j = int(tied[np.argmin(ranks[1][tied])])
                by_hand.setdefault(i, []).append(j)
                free[j] = False
        assert {i: sorted(v) for i, v in found.items()} == {i: sorted(v) for i, v in by_hand.items()}


@pytest.mark.parametrize("kind", SPACES)
def test_neighbours_in_the_own_arm(kind):
    rng = np.random.default_rng(2)
    space = make_space(kind, rng, 60, 3)
    arm = np.arange(10, 60)
    lonely = space.group[arm] == 2
    space.group[arm[lonely][1:]] = 1  # one row is alone in its stratum: it looks at the whole arm
    rows, values = np.flatnonzero(rng.random(50) < 0.7) | 0, rng.normal(size=(50, 2))
    rows = np.union1d(rows, np.flatnonzero(lonely)[:1])
    means, J = own_arm_means(space, arm, rows, values, 3)
    for k, i in enumerate(rows):
        D = np.sqrt(np.square(space.points[arm] - space.points[arm[i]]).sum(axis=1))
        others = (space.group[arm] == space.group[arm[i]]) & (np.arange(50) != i)
        if not others.any():
            others = np.arange(50) != i
        D = np.where(others, D, np.inf)
        near = np.sort(D)[: min(3, others.sum())].max()
        picked = D <= near + TIE
        assert J[k] == picked.sum()
        np.testing.assert_allclose(means[k], values[picked].mean(axis=0), atol=1e-12)


def test_links_of_pairs_and_strata_by_hand():
    pairs = links_of_pairs(
        np.array([4, 5]), np.array([0, 1, 2]), np.array([[2, 0], [-1, -1]]), np.array([[0.1, 0.2], [0, 0]]), np.ones(3)
    )
    assert pairs.matched.tolist() == [True, False]
    assert pairs.impute(np.array([1.0, 7.0, 4.0]))[0] == 2.5
    assert pairs.subclass.tolist() == [0, -1]
    assert pairs.right_subclass.tolist() == [0, -1, 0]
    strata = links_of_strata(
        np.array([5, 6, 7]), np.arange(5), np.array([0, 0, 1]), np.array([0, 0, 2, -1, 0]), np.array([1.0, 3, 1, 1, 1])
    )
    assert strata.matched.tolist() == [True, True, False]
    assert strata.impute(np.array([1.0, 2.0, 9.0, 6.0]))[0] == (1 + 2 * 3 + 6) / 5
    K, K2 = strata.take(strata.matched).received(np.array([1.0, 1.0]))
    np.testing.assert_allclose(K, np.array([1, 3, 0, 1]) * 2 / 5)
    np.testing.assert_allclose(K2, np.square(np.array([1, 3, 0, 1])) * 2 / 25)


@pytest.mark.parametrize("distance", ["mahalanobis", "robust_mahalanobis", "euclidean"])
def test_coordinates_of_weights_are_those_of_repeated_rows(distance):
    rng = np.random.default_rng(1)
    X, codes, w = rng.normal(size=(60, 3)).round(1), np.arange(60) % 2, np.tile([1.0, 1, 2, 2], 15)
    Z, more = (coordinates(distance, X, codes, v) for v in (w, 3 * w))
    many = coordinates(distance, np.repeat(X, w.astype(int), axis=0), np.repeat(codes, w.astype(int)))
    many = many[np.cumsum(w.astype(int)) - 1]

    def gaps(points):  # but for one factor of all distances (n - 1 in place of n)
        far = np.linalg.norm(points[:, None] - points, axis=2)
        return far / far.max()

    np.testing.assert_allclose(gaps(Z), gaps(many), atol=1e-9)
    np.testing.assert_allclose(gaps(Z), gaps(more), atol=1e-9)


def test_coordinates():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3)) * [1e6, 1, 1e-6]
    codes = rng.integers(0, 2, 50)
    S = sum((np.cov(X[codes == a].T) * ((codes == a).sum() - 1)) for a in (0, 1)) / 48
    Z = coordinates("mahalanobis", X, codes)
    gap = X[0] - X[1]
    assert np.linalg.norm(Z[0] - Z[1]) == pytest.approx(np.sqrt(gap @ np.linalg.inv(S) @ gap), rel=1e-9)
    doubled = coordinates("mahalanobis", np.column_stack([X, X[:, 0] * 3 + X[:, 1]]), codes)
    far, again = (np.linalg.norm(points[:, None] - points, axis=2) for points in (Z, doubled))
    np.testing.assert_allclose(again, far, rtol=1e-6)
    sd = np.sqrt((X[codes == 1].var(axis=0, ddof=1) + X[codes == 0].var(axis=0, ddof=1)) / 2)
    E = coordinates("euclidean", X, codes)
    assert np.linalg.norm(E[0] - E[1]) == pytest.approx(np.linalg.norm(gap / sd), rel=1e-12)
    # ranks: a monotone transformation changes nothing, and a tied rank has the variance of one without ties
    R = coordinates("robust_mahalanobis", X, codes)
    np.testing.assert_allclose(R, coordinates("robust_mahalanobis", np.exp(X / X.std(axis=0)), codes), rtol=1e-9)
    one = coordinates("robust_mahalanobis", np.repeat([0.0, 1.0], 25)[:, None], codes)
    assert np.ptp(one) == pytest.approx(25 / np.sqrt(50 * 51 / 12), rel=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_rows_without_a_candidate_do_not_change_the_order_of_the_others(seed):
    """One infinite distance made all of them ties, so that `order=` was ignored."""
    rng = np.random.default_rng(seed)
    n = 24
    frame = pd.DataFrame({"x": rng.normal(size=n), "g": "a", "d": (np.arange(n) % 3 == 0).astype(int)})
    frame["y"] = frame["x"] + rng.normal(size=n)
    lone = pd.DataFrame({"x": [0.0], "g": ["z"], "d": [1], "y": [0.0]})
    more = pd.concat([frame, lone], ignore_index=True)
    settings = {"distance": "mahalanobis", "replace": False, "exact": ["g"], "order": "largest"}
    asked = {"treatment": "d", "outcome": "y", "covariates": ["x"]}
    one = frame.causal.match(**asked, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the lone row has no match
        two = more.causal.match(**asked, **settings)
    assert two.estimate == pytest.approx(one.estimate, rel=1e-12)
