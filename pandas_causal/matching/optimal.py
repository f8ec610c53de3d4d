"""Optimal matching: the pairs, or the sets, whose distances sum to the least."""

from __future__ import annotations

import numpy as np

from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Bools, Floats, Positions
from pandas_causal.matching.distances import MatchingSpace
from pandas_causal.matching.matches import Matches, links_of_pairs

__all__ = ["optimal_full", "optimal_pairs"]

_MOST_CELLS = 25_000_000  # of the table of distances within one stratum: 200 MB
_MOST_EDGES = 20_000_000
_BLOCK = 1_000_000


def optimal_pairs(
    space: MatchingSpace, left: Positions, right: Positions, ratio: tuple[int, int], unit: Floats,
    ranks: tuple[Positions, Positions],
) -> Matches:  # fmt: skip
    """Pair every target with `high` donors of its own so that the sum of distances is least.

    The table of distances of one exact stratum must fit: targets x ratio x donors at most 25,000,000. Where calipers or
    a shortage of donors leave no complete matching, as many places for `low` donors as possible are filled before any
    target gets more, then as many others as possible: with ``low = 1``, as for a single number as ratio, as many
    targets as possible are matched, and a second donor never costs another target its first.

    Raises
    ------
    CausalDataError
        For a larger table.

    References
    ----------
    Rosenbaum (1989), "Optimal matching for observational studies", JASA. Solved by scipy's linear_sum_assignment.
    """
    from scipy.optimize import linear_sum_assignment

    low, high = ratio
    out = np.full((len(left), high), -1, dtype=np.intp)
    far = np.zeros((len(left), high))
    for group in np.unique(space.group[left]):
        rows = np.flatnonzero(space.group[left] == group)
        donors = np.flatnonzero(space.group[right] == group)
        if not len(donors):
            continue
        rows, donors = rows[np.argsort(ranks[0][rows])], donors[np.argsort(ranks[1][donors])]
        if len(rows) * high * len(donors) > _MOST_CELLS:
            raise CausalDataError(
                f"optimal pairs of {len(rows):,} rows x {high} with {len(donors):,} donors need a table of"
                f" {len(rows) * high * len(donors):,} distances, and {_MOST_CELLS:,} is the most; split the data with"
                " exact=, or use method='nearest' (or method='full', which lists near pairs only)"
            )
        cost = _table(space, left[rows], right[donors])
        allowed = np.isfinite(cost)
        i, j = linear_sum_assignment(_slots(cost, allowed, low, high))
        i = i // high
        good = allowed[i, j]
        for target, donor, d in zip(i[good], j[good], cost[i[good], j[good]], strict=True):
            slot = int((out[rows[target]] >= 0).sum())
            out[rows[target], slot], far[rows[target], slot] = donors[donor], d
    out[(out >= 0).sum(axis=1) < low] = -1
    return links_of_pairs(left, right, out, far, unit)


def _slots(cost: Floats, allowed: Bools, low: int, high: int) -> Floats:
    """Costs (l high, r) of the places of every target.

    A place beyond the first `low` costs more than all distances together, and a forbidden pair twice as much: sets of
    places that can be filled together are a matroid, so that no filled place is given up for one of the first `low`.
    """
    penalty = (cost[allowed].max(initial=0.0) + 1.0) * (min(len(cost) * high, cost.shape[1]) + 1)
    out = np.where(allowed, cost, 2 * penalty)
    if high == 1:
        return out
    out = np.repeat(out, high, axis=0)
    later = np.tile(np.arange(high) >= low, len(cost))[:, None] & np.repeat(allowed, high, axis=0)
    out[later] += penalty
    return out


def _table(space: MatchingSpace, left: Positions, right: Positions) -> Floats:
    """Distances (l, r), infinite outside a caliper."""
    out = np.empty((len(left), len(right)))
    step = max(1, _BLOCK // max(len(right), 1))
    for start in range(0, len(left), step):
        rows = left[start : start + step]
        total = np.zeros((len(rows), len(right)))
        for k in range(space.points.shape[1]):
            total += np.square(space.points[rows, k][:, None] - space.points[right, k])
        total = np.sqrt(total)
        for k in range(len(space.widths)):
            gap = np.abs(space.filters[rows, k][:, None] - space.filters[right, k])
            total[gap > space.widths[k]] = np.inf
        out[start : start + step] = total
    return out


def optimal_full(
    space: MatchingSpace, left: Positions, right: Positions, ranks: tuple[Positions, Positions]
) -> tuple[Positions, Positions]:
    """Full matching: sets of one target and its donors, or of one donor and its targets, with the least distance.

    Everyone with a possible partner is in a set. The sets are the stars of a minimum-cost edge cover, and a cover is
    everyone's nearest partner, improved by the matching that saves most: a pair saves what both would have paid by
    themselves, ``c_i + c_j - d_ij``. Only pairs that save are listed, so that no table of all distances is made.

    Raises
    ------
    CausalDataError
        Where more than 20,000,000 pairs save.

    Returns
    -------
    left_set, right_set : ndarray (l,), (r,)
        Set of every row; -1: of none.

    References
    ----------
    Rosenbaum (1991), "A characterization of optimal designs for observational studies", JRSS B: an optimal full
    matching is made of stars. Schrijver (2003), Combinatorial Optimization, section 19.3, for covers by matchings,
    solved by scipy's min_weight_full_bipartite_matching.
    """
    order = np.argsort(ranks[0]), np.argsort(ranks[1])
    rows, donors = left[order[0]], right[order[1]]
    near_left, at_left = _cheapest(space, rows, donors)
    near_right, at_right = _cheapest(space, donors, rows)
    i, j, d = _saving(space, rows, donors, near_left, near_right)
    chosen = _best_matching(i, j, near_left[i] + near_right[j] - d, len(rows), len(donors))
    i, j = i[chosen], j[chosen]
    lonely_left = np.setdiff1d(np.flatnonzero(np.isfinite(near_left)), i)
    lonely_right = np.setdiff1d(np.flatnonzero(np.isfinite(near_right)), j)
    i = np.concatenate([i, lonely_left, at_right[lonely_right]])
    j = np.concatenate([j, at_left[lonely_left], lonely_right])
    code = np.unique(i * len(donors) + j)
    i, j = _stars(code // len(donors), code % len(donors), len(rows), len(donors))
    sets = _components(i, j, len(rows), len(donors))
    left_set, right_set = np.empty(len(left), dtype=np.intp), np.empty(len(right), dtype=np.intp)
    left_set[order[0]], right_set[order[1]] = sets[: len(rows)], sets[len(rows) :]
    return left_set, right_set


def _cheapest(space: MatchingSpace, rows: Positions, donors: Positions) -> tuple[Floats, Positions]:
    """Distance to the nearest partner (infinite: none) and its position.

    Rows that stand together take turns among the partners that stand together: the distance is the same, and no single
    row gets them all.
    """
    from pandas_causal.matching.kernels import nearest

    targets, others = space.places(rows), space.places(donors)
    start, stop = space.windows(targets, others)
    places, distances, _ = nearest(
        targets.points, others.points, others.rows, start, stop, 1, 0.0, space.monotone, targets.filters,
        others.filters, space.widths,
    )  # fmt: skip
    near = places[targets.cell, 0]
    far = np.where(near >= 0, distances[targets.cell, 0], np.inf)
    near = np.maximum(near, 0)
    queue = np.argsort(targets.cell, kind="stable")
    turn = np.empty(len(rows), dtype=np.intp)
    turn[queue] = np.arange(len(rows)) - np.repeat(np.cumsum(targets.rows) - targets.rows, targets.rows)
    first = np.cumsum(others.rows) - others.rows
    partner = np.argsort(others.cell, kind="stable")[first[near] + turn % others.rows[near]]
    return far, partner


def _saving(
    space: MatchingSpace, rows: Positions, donors: Positions, near_left: Floats, near_right: Floats
) -> tuple[Positions, Positions, Floats]:
    """Pairs with ``d_ij < c_i + c_j``: each lies within twice the larger of its two costs."""
    first = _ball(space, rows, donors, 2 * near_left)
    second = _ball(space, donors, rows, 2 * near_right)
    i, j = np.concatenate([first[0], second[1]]), np.concatenate([first[1], second[0]])
    d = np.concatenate([first[2], second[2]])
    keep = near_left[i] + near_right[j] - d > 1e-12 * np.maximum(near_left[i], near_right[j])
    code, at = np.unique(i[keep] * len(donors) + j[keep], return_index=True)
    return code // len(donors), code % len(donors), d[keep][at]


def _ball(
    space: MatchingSpace, rows: Positions, donors: Positions, limits: Floats
) -> tuple[Positions, Positions, Floats]:
    """Pairs no farther apart than each row's limit, as positions."""
    from pandas_causal.matching.kernels import within

    targets, others = space.places(rows, merge=False), space.places(donors, merge=False)
    start, stop = space.windows(targets, others)
    at_row, at_donor = np.empty(len(rows), dtype=np.intp), np.empty(len(donors), dtype=np.intp)
    at_row[targets.cell], at_donor[others.cell] = np.arange(len(rows)), np.arange(len(donors))
    limit = np.where(np.isfinite(limits) & (limits > 0), limits, -1.0)[at_row]  # a row without cost cannot be improved
    stop = np.where(limit < 0, start, stop)
    counts = np.zeros(len(rows), dtype=np.int64)
    arrays = (
        targets.points, others.points, start, stop, limit, space.monotone, targets.filters, others.filters,
        space.widths, counts,
    )  # fmt: skip
    within(*arrays, np.empty(0, dtype=np.int64), np.empty(0))
    if int(counts.sum()) > _MOST_EDGES:
        raise CausalDataError(
            f"full matching would weigh {int(counts.sum()):,} near pairs, and {_MOST_EDGES:,} is the most; set"
            " caliper=, split the data with exact=, or use method='subclass'"
        )
    nearby, far = np.empty(int(counts.sum()), dtype=np.int64), np.empty(int(counts.sum()))
    if len(nearby):
        within(*arrays, nearby, far)
    return np.repeat(at_row, counts), at_donor[nearby], far


def _best_matching(i: Positions, j: Positions, profit: Floats, n: int, m: int) -> Bools:
    """Pairs of the matching with the largest total profit."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if not len(i):
        return np.zeros(0, dtype=bool)
    top = float(profit.max()) * 2
    rows = np.unique(i)
    place = np.zeros(n, dtype=np.intp)
    place[rows] = np.arange(len(rows))
    # a stand-in for every row, which costs as much as saving nothing
    r = np.concatenate([place[i], np.arange(len(rows))]).astype(np.int32)
    c = np.concatenate([j, m + np.arange(len(rows))]).astype(np.int32)
    weight = np.concatenate([top - profit, np.full(len(rows), top)])
    graph = csr_array((weight, (r, c)), shape=(len(rows), m + len(rows)))
    at, partner = min_weight_full_bipartite_matching(graph)
    mate = np.full(n, -1, dtype=np.intp)
    mate[rows[at]] = partner
    return np.asarray(mate[i] == j)


def _stars(i: Positions, j: Positions, n: int, m: int) -> tuple[Positions, Positions]:
    """Drop pairs whose two ends are covered without them (ties at distance 0 leave such)."""
    degree_left, degree_right = np.bincount(i, minlength=n), np.bincount(j, minlength=m)
    keep = np.ones(len(i), dtype=bool)
    for k in np.flatnonzero((degree_left[i] > 1) & (degree_right[j] > 1)):
        if degree_left[i[k]] > 1 and degree_right[j[k]] > 1:
            keep[k] = False
            degree_left[i[k]] -= 1
            degree_right[j[k]] -= 1
    return i[keep], j[keep]


def _components(i: Positions, j: Positions, n: int, m: int) -> Positions:
    """Number of the set of every target, then of every donor; -1 for those without a pair."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(i)), (i, n + j)), shape=(n + m, n + m))
    _, label = connected_components(graph, directed=False)
    alone = np.ones(n + m, dtype=bool)
    alone[i] = alone[n + j] = False
    _, number = np.unique(np.where(alone, -1, label), return_inverse=True)
    return np.asarray(np.where(alone, -1, number - bool(alone.any())), dtype=np.intp)
