"""Nearest-neighbour matching with and without replacement, and the neighbours behind its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pandas_causal.kernels.arrays import Bools, Floats, Positions
from pandas_causal.matching.distances import MatchingSpace, Places, distinct
from pandas_causal.matching.matches import Matches, links_of_pairs
from pandas_causal.models.folds import label_order

__all__ = ["TIE", "canonical_rank", "nearest_caliper", "nearest_links", "own_arm_means", "without_replacement"]

_CHUNK = 65_536
_LEAF = 32  # places in a leaf of a tree
TIE = 1e-10  # distances that differ by no more are equal (Abadie and Imbens average over ties)


def nearest_links(
    space: MatchingSpace, left: Positions, right: Positions, ratio: tuple[int, int], unit: Floats
) -> Matches:
    """Match with replacement: every target to its nearest donors, those equally far as the last one included.

    Parameters
    ----------
    space : MatchingSpace
    left, right : ndarray
        Rows of targets and of donors.
    ratio : (low, high)
        A target takes `high` donors, or as many as the calipers and its stratum allow; fewer than `low`: none.
    unit : ndarray (r,)
        Sample weight of the donors.
    """
    targets, donors = space.places(left), space.places(right)
    starts, cells, distance = _search(space, targets, donors, ratio[1])
    if ratio[0] > 1:
        owner = np.repeat(np.arange(len(targets)), np.diff(starts))
        enough = np.bincount(owner, weights=donors.rows[cells], minlength=len(targets)) >= ratio[0]
        cells, distance = cells[enough[owner]], distance[enough[owner]]
        starts = np.concatenate([[0], np.cumsum(np.where(enough, np.diff(starts), 0))])
    return Matches(left, targets.cell, right, donors.cell, starts, cells, distance, unit)


def _search(space: MatchingSpace, targets: Places, donors: Places, need: int) -> tuple[Positions, Positions, Floats]:
    """Links from places to the nearest places: starts (t + 1,), cells (links,), distances (links,).

    One coordinate: sorted, and searched outwards. Several: a tree per stratum, and a scan of the window for the targets
    whose neighbours in the tree are not near enough in a caliper, or tie in too large a number.
    """
    window = _Window(space, targets, donors, *space.windows(targets, donors), need)
    if space.points.shape[1] > 1:
        places, distances, resolved = _from_trees(space, targets, donors, need)
        places = np.where(resolved[:, None], places, -1)
        overflow = np.zeros(len(targets), dtype=bool)
        rest = np.flatnonzero(~resolved)
    else:
        places, distances = np.full((len(targets), need + 6), -1), np.empty((len(targets), need + 6))
        overflow = np.zeros(len(targets), dtype=bool)
        rest = np.arange(len(targets))
    if len(rest):
        places[rest], distances[rest], overflow[rest] = _scan(window, rest)
    if overflow.any():
        return _with_overflow(window, places, distances, overflow)
    keep = places >= 0
    return np.concatenate([[0], np.cumsum(keep.sum(axis=1))]), places[keep], distances[keep]


@dataclass(frozen=True, eq=False)
class _Window:
    """Targets, and for each the stretch of donors (start to stop) that its calipers allow; `need` are looked for."""

    space: MatchingSpace
    targets: Places
    donors: Places
    start: Positions
    stop: Positions
    need: int


def _scan(window: _Window, at: Positions) -> tuple[Positions, Floats, Bools]:
    """Search the windows of some targets."""
    from pandas_causal.matching.kernels import nearest

    space, targets, donors = window.space, window.targets, window.donors
    nearby: tuple[Positions, Floats, Bools] = nearest(
        targets.points[at], donors.points, donors.rows, window.start[at], window.stop[at], window.need, TIE,
        space.monotone, targets.filters[at], donors.filters, space.widths,
    )  # fmt: skip
    return nearby


def _from_trees(space: MatchingSpace, targets: Places, donors: Places, need: int) -> tuple[Positions, Floats, Bools]:
    """Nearest places by a tree per stratum (t, need + 6), and for which targets that settles it."""
    from scipy.spatial import cKDTree

    room = need + 6
    places, distances = np.full((len(targets), room), -1), np.full((len(targets), room), np.inf)
    resolved = np.zeros(len(targets), dtype=bool)
    groups = np.unique(targets.group)
    first, last = np.searchsorted(donors.group, groups), np.searchsorted(donors.group, groups, side="right")
    low, high = np.searchsorted(targets.group, groups), np.searchsorted(targets.group, groups, side="right")
    for g in range(len(groups)):
        size = last[g] - first[g]
        if not size:
            resolved[low[g] : high[g]] = True
            continue
        tree = cKDTree(donors.points[first[g] : last[g]], balanced_tree=False, leafsize=_LEAF)
        # one neighbour more than is needed shows that there is no tie; calipers want more, and so do ties
        tries = [max(64, room)] if len(space.widths) else [need + 1, room]
        rest = np.arange(low[g], high[g])
        for k in dict.fromkeys(min(n_neighbours, size) for n_neighbours in tries):
            for begin in range(0, len(rest), _CHUNK):
                part = rest[begin : begin + _CHUNK]
                found = _nearby(tree, int(first[g]), space, targets, donors, need, room, part, k)
                width = found.places.shape[1]
                places[part, :width], distances[part, :width] = found.places, found.distances
                resolved[part] = found.resolved
            rest = rest[~resolved[rest]]
    return places, distances, resolved


class _Nearby(NamedTuple):
    """Places and distances (m, width) of the nearest donors of some targets, and whether they are all (m,)."""

    places: Positions
    distances: Floats
    resolved: Bools


def _nearby(
    tree: Any, offset: int, space: MatchingSpace, targets: Places, donors: Places, need: int, room: int,
    part: Positions, k: int,
) -> _Nearby:  # fmt: skip
    """Ask a tree, whose first place is `offset`, for k neighbours of the targets in `part`."""
    d, j = tree.query(targets.points[part], k=np.arange(1, k + 1), workers=-1)
    j = j + offset
    allowed = np.ones(d.shape, dtype=bool)
    for f in range(len(space.widths)):
        gap = np.abs(targets.filters[part, f][:, None] - donors.filters[j, f])
        allowed &= gap <= space.widths[f]
    rows = np.cumsum(np.where(allowed, donors.rows[j], 0), axis=1)
    enough = rows >= need
    limit = np.where(enough.any(axis=1), d[np.arange(len(d)), enough.argmax(axis=1)], np.inf) + TIE
    keep = allowed & (d <= limit[:, None])
    resolved = ((d[:, -1] > limit) | (k == tree.n)) & (keep.sum(axis=1) <= room)
    order = np.argsort(~keep, axis=1, kind="stable")[:, :room]
    of = np.where(np.take_along_axis(keep, order, 1), np.take_along_axis(j, order, 1), -1)
    return _Nearby(of, np.take_along_axis(d, order, 1), resolved)


def _with_overflow(
    window: _Window, places: Positions, distances: Floats, overflow: Bools
) -> tuple[Positions, Positions, Floats]:
    """Ask again for the targets with more ties than the search has room for."""
    from pandas_causal.matching.kernels import within

    space, targets, donors = window.space, window.targets, window.donors
    again = np.flatnonzero(overflow)
    rows = np.where(places[again] >= 0, donors.rows[np.maximum(places[again], 0)], 0)
    last = (np.cumsum(rows, axis=1) >= window.need).argmax(axis=1)
    limits = distances[again, last] + TIE
    tied = np.zeros(len(again), dtype=np.int64)  # first counted, then filled
    arrays = (
        targets.points[again], donors.points, window.start[again], window.stop[again], limits, space.monotone,
        targets.filters[again], donors.filters, space.widths, tied,
    )  # fmt: skip
    within(*arrays, np.empty(0, dtype=np.int64), np.empty(0))
    tied_places, tied_distances = np.empty(int(tied.sum()), dtype=np.int64), np.empty(int(tied.sum()))
    within(*arrays, tied_places, tied_distances)
    counts = (places >= 0).sum(axis=1)
    counts[again] = tied
    starts = np.concatenate([[0], np.cumsum(counts)])
    cells, distance = np.empty(starts[-1], dtype=np.intp), np.empty(starts[-1])
    of_again = overflow[np.repeat(np.arange(len(targets)), counts)]
    keep = (places >= 0) & ~overflow[:, None]
    cells[~of_again], distance[~of_again] = places[keep], distances[keep]
    cells[of_again], distance[of_again] = tied_places, tied_distances
    return starts, cells, distance


# -- without replacement -----------------------------------------------------------------------------------------------


def canonical_rank(space: MatchingSpace, X: Floats, labels: pd.Index, rows: Positions) -> Positions:
    """Rank of rows that never looks at their order: by place, then by covariates in their order, then by label.

    Coordinates that differ by rounding only are one place. Labels that repeat leave the order of rows as the last
    resort.
    """
    order = label_order(labels)
    by_label = np.arange(len(labels))
    if order is not None:
        by_label[order] = np.arange(len(labels))
    first = space.points[rows, 0] if space.along is None else space.along[rows]
    table = np.column_stack([_snapped(first), X[rows], by_label[rows]])
    rank = np.empty(len(rows), dtype=np.intp)
    rank[distinct(table)[0]] = np.arange(len(rows))
    return rank


def _snapped(x: Floats) -> Floats:
    """Ranks of values, the same for values that differ by rounding only."""
    order = np.argsort(x, kind="stable")
    ordered = x[order]
    out = np.empty(len(x))
    size = float(np.abs(x[np.isfinite(x)]).max(initial=1.0))  # infinite: rows without a candidate
    with np.errstate(invalid="ignore"):
        out[order] = np.cumsum(np.diff(ordered, prepend=-np.inf) > 1e-13 * size)
    return out


def without_replacement(
    space: MatchingSpace, left: Positions, right: Positions, ratio: tuple[int, int], unit: Floats, *, order: str,
    hardness: Floats, ranks: tuple[Positions, Positions], rng: np.random.Generator,
) -> Matches:  # fmt: skip
    """Greedy matching: one target after the other takes the nearest donor that is still free.

    Donors equally near are taken by `ranks`, targets equally hard choose by theirs: row order plays no part.

    Parameters
    ----------
    order : {"largest", "smallest", "closest", "random"}
        Which target chooses first: by `hardness`, or the one with the nearest donor.
    hardness : ndarray (l,)
        Propensity of being a target: a large one has few donors like it.
    ranks : two ndarrays (l,), (r,)
        Of targets and of donors, see :func:`canonical_rank`.
    """
    from pandas_causal.matching.kernels import greedy_closest, greedy_in_order

    by_rank = np.argsort(ranks[1])
    targets, donors = space.places(left, merge=False), space.places(right[by_rank], merge=False)
    start, stop = space.windows(targets, donors)
    at_target, at_donor = _inverse(targets.cell), by_rank[_inverse(donors.cell)]
    run_start, run_stop = _runs(donors)
    if order in ("largest", "smallest"):
        hard = _snapped(hardness)
        turn = np.lexsort([ranks[0], -hard if order == "largest" else hard])
    else:
        turn = np.argsort(ranks[0])
        turn = rng.permutation(turn) if order == "random" else turn
    low, high = ratio
    out = np.full((len(left), high), -1, dtype=np.int64)
    far = np.zeros((len(left), high))
    greedy = greedy_closest if order == "closest" else greedy_in_order
    greedy(
        targets.cell[turn], targets.points, donors.points, ranks[1][at_donor], start, stop, TIE, space.monotone,
        targets.filters, donors.filters, space.widths, run_start, run_stop, high, out, far,
    )  # fmt: skip
    out = np.where(out >= 0, at_donor[np.maximum(out, 0)], -1)
    out[(out >= 0).sum(axis=1) < low] = -1
    by_row, distances = np.empty_like(out), np.empty_like(far)
    by_row[at_target], distances[at_target] = out, far
    return links_of_pairs(left, right, by_row, distances, unit)


def _runs(donors: Places) -> tuple[Positions, Positions]:
    """First and last + 1 of the donors that stand at the same place, for every donor."""
    new = np.ones(len(donors), dtype=bool)
    new[1:] = (donors.group[1:] != donors.group[:-1]) | (donors.along[1:] != donors.along[:-1])
    for table in (donors.points, donors.filters):
        new[1:] |= (table[1:] != table[:-1]).any(axis=1)
    first = np.append(np.flatnonzero(new), len(donors))
    sizes = np.diff(first)
    return np.repeat(first[:-1], sizes), np.repeat(first[1:], sizes)


def _inverse(cell: Positions) -> Positions:
    out = np.empty_like(cell)
    out[cell] = np.arange(len(cell))
    return out


# -- what the errors need ----------------------------------------------------------------------------------------------


def own_arm_means(
    space: MatchingSpace, arm: Positions, rows: Positions, values: Floats, matches: int
) -> tuple[Floats, Floats]:
    """Mean of the nearest other rows of the same arm, stratum by stratum where it holds another, else of the whole arm.

    Parameters
    ----------
    space : MatchingSpace
    arm : ndarray (m,)
        Rows of the arm.
    rows : ndarray (s,)
        Positions in `arm` of the rows that need it.
    values : ndarray (m, k)
    matches : int
        Neighbours, those equally far as the last one included.

    Returns
    -------
    means : ndarray (s, k)
        The row's own value where the arm has no other.
    neighbours : ndarray (s,)
    """
    means, neighbours = _leave_one_out(space.free(), arm, rows, values, matches)
    alone = neighbours == 0
    if alone.any() and space.group.any():
        means[alone], neighbours[alone] = _leave_one_out(space.without_groups(), arm, rows[alone], values, matches)
        alone = neighbours == 0
    means[alone] = values[rows[alone]]
    return means, neighbours


def _leave_one_out(
    space: MatchingSpace, arm: Positions, rows: Positions, values: Floats, matches: int
) -> tuple[Floats, Floats]:
    donors = space.places(arm)
    wanted = np.unique(donors.cell[rows])
    where = np.zeros(len(donors), dtype=np.intp)
    where[wanted] = np.arange(len(wanted))
    targets = replace(donors, points=donors.points[wanted], group=donors.group[wanted], filters=donors.filters[wanted])
    targets = replace(targets, along=donors.along[wanted])
    starts, cells, _ = _search(space, targets, donors, matches + 1)
    n = _sum_of(donors.rows[cells].astype(float), starts)[where[donors.cell[rows]]] - 1
    means = np.empty((len(rows), values.shape[1]))
    for k in range(values.shape[1]):
        by_cell = np.asarray(np.bincount(donors.cell, weights=values[:, k], minlength=len(donors)), dtype=float)
        total = _sum_of(by_cell[cells], starts)[where[donors.cell[rows]]]
        means[:, k] = (total - values[rows, k]) / np.maximum(n, 1)
    return means, n


def _sum_of(values: Floats, starts: Positions) -> Floats:
    """Sums over ranges, none of them empty."""
    return np.add.reduceat(values, starts[:-1]) if len(values) else np.zeros(len(starts) - 1)


def nearest_caliper(space: MatchingSpace, left: Positions, right: Positions, scale: Sequence[float]) -> dict[str, Any]:
    """How wide a caliper would have to be: the smallest that keeps a target, and the smallest that keeps all of them.

    Only for a single caliper, in its own coordinate: the nearest donor within the stratum.

    Parameters
    ----------
    scale : sequence of one float
        Width of one unit of the caliper.
    """
    line = replace(space.free(), points=np.ascontiguousarray(space.filters[:, :1]))
    starts, _, distance = _search(line, targets := line.places(left), line.places(right), 1)
    reached = np.diff(starts)[targets.cell] > 0
    if not reached.any():
        return {}
    near = distance[starts[:-1][targets.cell[reached]]] / scale[0]
    return {"some": float(near.min()), "all": float(near.max())}
