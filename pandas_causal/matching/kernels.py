"""Searches for the nearest donors: along a sorted line, with pruning, windows and calipers."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numba import prange

from pandas_causal.kernels import inner_kernel, kernel, serial_kernel
from pandas_causal.kernels.arrays import Values

__all__ = ["greedy_closest", "greedy_in_order", "nearest", "within"]

_CHUNK = 1_024
_FAR = 1e150  # not infinity: the kernels are compiled with fast mathematics; its square is a number


def nearest(
    targets: Values,
    donors: Values,
    rows: Values,
    start: Values,
    stop: Values,
    need: int,
    tolerance: float,
    monotone: bool,
    target_filters: Values,
    donor_filters: Values,
    widths: Values,
) -> tuple[Any, Any, Any]:
    """Nearest donors of every target, ties included.

    A donor is a place where `rows` rows stand. The places kept for a target are those no farther than the nearest ones
    that hold `need` rows together, plus `tolerance`.

    Parameters
    ----------
    targets : ndarray (t, q), float64
    donors : ndarray (d, q), float64
        Places, sorted within every target's window; by the first coordinate where `monotone`.
    rows : ndarray (d,), int64
    start, stop : ndarray (t,), int64
        Window of places allowed.
    need : int
        Rows wanted.
    tolerance : float
        Distances that differ by no more are equal.
    monotone : bool
        Whether the first coordinate bounds the search.
    target_filters, donor_filters : ndarray (t, f), (d, f)
    widths : ndarray (f,)
        Largest difference allowed in every filter.

    Returns
    -------
    places : ndarray (t, c), int64
        Nearest first; -1 beyond the last.
    distances : ndarray (t, c)
    overflow : ndarray (t,) of bool
        More places tie than there is room for: ask :func:`within` with the last distance.
    """
    room = need + 6
    places = np.full((len(targets), room), -1, dtype=np.int64)
    distances = np.full((len(targets), room), _FAR)
    overflow = np.zeros(len(targets), dtype=np.bool_)
    arguments = (
        targets, donors, rows, start, stop, need, tolerance, monotone, target_filters, donor_filters, widths, places,
        distances, overflow,
    )  # fmt: skip
    if len(targets) <= _CHUNK:
        _nearest_some(*arguments, 0, len(targets))
    else:
        _nearest_all(*arguments)
    return places, distances, overflow


@kernel
def _nearest_all(
    targets: Values,
    donors: Values,
    rows: Values,
    start: Values,
    stop: Values,
    need: int,
    tolerance: float,
    monotone: bool,
    target_filters: Values,
    donor_filters: Values,
    widths: Values,
    places: Values,
    distances: Values,
    overflow: Values,
) -> None:
    n = len(targets)
    for chunk in prange((n + _CHUNK - 1) // _CHUNK):
        last = min((chunk + 1) * _CHUNK, n)
        _nearest_some(
            targets, donors, rows, start, stop, need, tolerance, monotone, target_filters, donor_filters, widths,
            places, distances, overflow, chunk * _CHUNK, last,
        )  # fmt: skip


@inner_kernel
def _position(donors: Values, x: float, low: int, high: int) -> int:
    """First place in [low, high) whose first coordinate is at least x."""
    while low < high:
        middle = (low + high) // 2
        if donors[middle, 0] < x:
            low = middle + 1
        else:
            high = middle
    return low


@inner_kernel
def _distance(
    targets: Values,
    t: int,
    donors: Values,
    j: int,
    target_filters: Values,
    donor_filters: Values,
    widths: Values,
    limit: float,
) -> float:
    """Euclidean distance, or a number beyond `limit` as soon as it is known to be farther or outside a caliper."""
    for f in range(len(widths)):
        if abs(target_filters[t, f] - donor_filters[j, f]) > widths[f]:
            return _FAR
    q = targets.shape[1]
    if q == 1:
        return abs(targets[t, 0] - donors[j, 0])
    bound = limit * limit * (1 + 1e-12)
    total = 0.0
    for k in range(q):
        step = targets[t, k] - donors[j, k]
        total += step * step
        if total > bound:
            return _FAR
    return np.sqrt(total)


@inner_kernel
def _limit(
    rows: Values, need: int, tolerance: float, places: Values, distances: Values, found: int, before: float
) -> float:
    """Largest distance still wanted: of the nearest places that hold `need` rows together, plus `tolerance`."""
    total = 0
    for k in range(found):
        total += rows[places[k]]
        if total >= need:
            return distances[k] + tolerance
    return before


@inner_kernel
def _admit(
    j: int, d: float, rows: Values, need: int, tolerance: float, places: Values, distances: Values, found: int
) -> tuple[int, int]:
    """Put a place among those found, by distance, and drop those beyond the limit.

    Returns how many there are, and 1 where one too many had to give way, -1 where those dropped show that any that gave
    way before were too far anyhow, else 0.
    """
    full = 0
    if found == len(places):
        full = 1
        found -= 1
        if distances[found] <= d:
            return found + 1, full
    k = found
    while k > 0 and distances[k - 1] > d:
        distances[k] = distances[k - 1]
        places[k] = places[k - 1]
        k -= 1
    distances[k] = d
    places[k] = j
    found += 1
    limit = _limit(rows, need, tolerance, places, distances, found, _FAR)
    while found > 0 and distances[found - 1] > limit:
        found -= 1
        full = -1
    return found, full


@serial_kernel
def _nearest_some(
    targets: Values,
    donors: Values,
    rows: Values,
    start: Values,
    stop: Values,
    need: int,
    tolerance: float,
    monotone: bool,
    target_filters: Values,
    donor_filters: Values,
    widths: Values,
    places: Values,
    distances: Values,
    overflow: Values,
    first: int,
    last: int,
) -> None:
    room = places.shape[1]
    for t in range(first, last):
        x = targets[t, 0]
        high = _position(donors, x, start[t], stop[t]) if monotone else start[t]
        low = high - 1
        found = 0
        limit = _FAR  # of the distances still wanted
        while True:
            up = high < stop[t]
            down = monotone and low >= start[t]
            if up and monotone and donors[high, 0] - x > limit:
                up = False
            if down and x - donors[low, 0] > limit:
                down = False
            if not up and not down:
                break
            if up and (not down or donors[high, 0] - x <= x - donors[low, 0]):
                j = high
                high += 1
            else:
                j = low
                low -= 1
            d = _distance(targets, t, donors, j, target_filters, donor_filters, widths, limit)
            if d > limit or d >= _FAR:
                continue
            found, full = _admit(j, d, rows, need, tolerance, places[t], distances[t], found)
            if full == 1:
                overflow[t] = True
            elif full == -1:
                overflow[t] = False
            limit = _limit(rows, need, tolerance, places[t], distances[t], found, limit)
        for k in range(found, room):
            places[t, k] = -1
            distances[t, k] = _FAR


@serial_kernel
def within(
    targets: Values,
    donors: Values,
    start: Values,
    stop: Values,
    limits: Values,
    monotone: bool,
    target_filters: Values,
    donor_filters: Values,
    widths: Values,
    counts: Values,
    out: Values,
    distances: Values,
) -> None:
    """Places no farther than every target's limit: counted into `counts`, and written to `out` where it has room.

    Called twice: with an empty `out` to count, then with as much room as was counted.
    """
    at = 0
    write = len(out) > 0
    for t in range(len(targets)):
        x = targets[t, 0]
        j = _position(donors, x - limits[t], start[t], stop[t]) if monotone else start[t]
        n = 0
        while j < stop[t]:
            if monotone and donors[j, 0] - x > limits[t]:
                break
            d = _distance(targets, t, donors, j, target_filters, donor_filters, widths, limits[t])
            if d <= limits[t]:
                if write:
                    out[at] = j
                    distances[at] = d
                    at += 1
                n += 1
            j += 1
        counts[t] = n


# -- without replacement -----------------------------------------------------------------------------------------------


@inner_kernel
def _next_free(after: Values, j: int) -> int:
    """First free donor at or after j, with path halving; one beyond the last where there is none."""
    while after[j] != j:
        after[j] = after[after[j]]
        j = after[j]
    return j


@inner_kernel
def _last_free(before: Values, j: int) -> int:
    """Last free donor before j, as its position plus one; 0 where there is none."""
    while before[j] != j:
        before[j] = before[before[j]]
        j = before[j]
    return j


@inner_kernel
def _best_free(
    t: int,
    targets: Values,
    donors: Values,
    rank: Values,
    start: Values,
    stop: Values,
    tolerance: float,
    monotone: bool,
    target_filters: Values,
    donor_filters: Values,
    widths: Values,
    run_start: Values,
    run_stop: Values,
    after: Values,
    before: Values,
) -> tuple[int, float]:
    """Nearest free donor of one target; of donors equally near the one with the lowest rank.

    Donors of one place stand together, from run_start to run_stop, the lowest rank first.
    """
    x = targets[t, 0]
    high = _position(donors, x, start[t], stop[t]) if monotone else start[t]
    low = _last_free(before, high) - 1
    high = _next_free(after, high)
    best, chosen, near = -1, _FAR, _FAR
    while True:
        up = high < stop[t]
        down = monotone and low >= start[t]
        if up and monotone and donors[high, 0] - x > near + tolerance:
            up = False
        if down and x - donors[low, 0] > near + tolerance:
            down = False
        if not up and not down:
            break
        if up and (not down or donors[high, 0] - x <= x - donors[low, 0]):
            j = high
            high = _next_free(after, run_stop[j])
        else:  # the first free one of those that stand there
            j = _next_free(after, run_start[low])
            low = _last_free(before, run_start[low]) - 1
        d = _distance(targets, t, donors, j, target_filters, donor_filters, widths, near + tolerance)
        if d > near + tolerance or d >= _FAR:
            continue
        near = min(near, d)
        if best < 0 or chosen > near + tolerance or rank[j] < rank[best]:
            best, chosen = j, d
    return best, chosen


@serial_kernel
def greedy_in_order(
    order: Values,
    targets: Values,
    donors: Values,
    rank: Values,
    start: Values,
    stop: Values,
    tolerance: float,
    monotone: bool,
    target_filters: Values,
    donor_filters: Values,
    widths: Values,
    run_start: Values,
    run_stop: Values,
    ratio: int,
    out: Values,
    distances: Values,
) -> None:
    """Give every target in turn its nearest free donor, in `ratio` rounds; -1 where none is left or near enough.

    Parameters
    ----------
    order : ndarray (t,), int64
        Targets, the first to choose first.
    rank : ndarray (d,), int64
        Which donor is taken of those equally near.
    out, distances : ndarray (t, ratio)
        Written to.
    """
    d = len(donors)
    after, before = np.arange(d + 2), np.arange(d + 1)
    for r in range(ratio):
        for t in order:
            if r > 0 and out[t, r - 1] < 0:
                continue
            j, near = _best_free(
                t, targets, donors, rank, start, stop, tolerance, monotone, target_filters, donor_filters, widths,
                run_start, run_stop, after, before,
            )  # fmt: skip
            if j >= 0:
                out[t, r] = j
                distances[t, r] = near
                after[j] = j + 1
                before[j + 1] = j


@serial_kernel
def greedy_closest(
    order: Values,
    targets: Values,
    donors: Values,
    rank: Values,
    start: Values,
    stop: Values,
    tolerance: float,
    monotone: bool,
    target_filters: Values,
    donor_filters: Values,
    widths: Values,
    run_start: Values,
    run_stop: Values,
    ratio: int,
    out: Values,
    distances: Values,
) -> None:
    """Match the closest pair of all, then the closest of the rest, in `ratio` rounds; `order` breaks ties.

    Distances are compared in whole units of `tolerance`.
    """
    d = len(donors)
    after, before = np.arange(d + 2), np.arange(d + 1)
    for r in range(ratio):
        heap = [(0.0, 0, 0) for _ in range(0)]
        for place in range(len(order)):
            t = order[place]
            if r > 0 and out[t, r - 1] < 0:
                continue
            j, near = _best_free(
                t, targets, donors, rank, start, stop, tolerance, monotone, target_filters, donor_filters, widths,
                run_start, run_stop, after, before,
            )  # fmt: skip
            if j >= 0:
                heapq.heappush(heap, (np.rint(near / tolerance), place, j))
        while len(heap) > 0:
            _, place, j = heapq.heappop(heap)
            t = order[place]
            if after[j] != j:  # taken meanwhile
                j, near = _best_free(
                    t, targets, donors, rank, start, stop, tolerance, monotone, target_filters, donor_filters, widths,
                    run_start, run_stop, after, before,
                )  # fmt: skip
                if j >= 0:
                    heapq.heappush(heap, (np.rint(near / tolerance), place, j))
                continue
            out[t, r] = j
            distances[t, r] = _distance(targets, t, donors, j, target_filters, donor_filters, widths, _FAR)
            after[j] = j + 1
            before[j + 1] = j
