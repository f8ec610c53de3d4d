"""Growing a tree on binned covariates, and reading a forest: one kernel for every kind of tree.

A row carries sums that no node owns (weight, treatment, outcome, their products, rows by arm); a bin of a histogram
holds their totals. A node's pseudo-outcomes are linear in them, so that the histogram of a child is its parent's less
its sibling's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pandas_causal.kernels import inlined_kernel, inner_kernel, serial_kernel
from pandas_causal.kernels.arrays import Values

__all__ = [
    "CATEGORY",
    "LEAF",
    "MISSING_LEFT",
    "draw_rows",
    "forest_moments",
    "forest_spread",
    "grow_nodes",
    "leaf_places",
    "used_features",
]

# flags of a node
LEAF, CATEGORY, MISSING_LEFT = 1, 2, 4
# kinds of trees
REGRESSION, CAUSAL, INSTRUMENTAL, UPLIFT = 0, 1, 2, 3
# criteria of uplift trees
KL, EUCLIDEAN, CHI, CTS, DDP, IDDP, INTERACTION = 0, 1, 2, 3, 4, 5, 6
_FULL = 256  # rows from which a node has a histogram of all bins, for its children to subtract from
_ROWS = 4096  # that a tree is read for while it stays in the cache
_TINY = 1e-10
_EDGE = 1e-6  # probabilities are kept this far from 0 and 1 before logarithms


@inner_kernel
def _random(state: Values) -> Any:
    """Uniform number in (0, 1): splitmix64 (Steele, Lea and Flood 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (np.float64(z >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0)


@serial_kernel
def draw_rows(n: int, k: int, seed: int) -> Any:
    """Positions of k of n rows, in order: selection sampling (Knuth, The Art of Computer Programming, 3.4.2, S).

    Parameters
    ----------
    n, k : int64
    seed : uint64
    """
    state = np.empty(1, dtype=np.uint64)
    state[0] = seed
    out = np.empty(k, dtype=np.int64)
    taken = 0
    for i in range(n):
        if (n - i) * _random(state) < k - taken:
            out[taken] = i
            taken += 1
            if taken == k:
                break
    return out


# -- criteria ---------------------------------------------------------------------------------------------------------


@inner_kernel
def _projection(  # noqa: PLR0912, PLR0915 - one formula a kind: a call of its own would be compiled for each
    total: Values, shape: Values, P: Values, theta: Values
) -> bool:
    """Write the pseudo-outcomes (R, S) of a node as linear functions of the sums; False where it has none.

    Athey, Tibshirani and Wager (2019), "Generalized random forests", eq. (8): ``rho = A^-1 psi`` at the node's own
    estimate, with residuals about the node's means.
    """
    mode, K, M = shape[0], shape[1], shape[2]
    w = total[0]
    for r in range(P.shape[0]):
        for q in range(P.shape[1]):
            P[r, q] = 0.0
    if mode == REGRESSION:
        for m in range(M):
            P[m, 1 + m] = 1.0
            P[m, 0] = -total[1 + m] / w
        return True
    if mode == INSTRUMENTAL:  # w, Z, T, Y, ZT, ZY, ZZ
        z, t, y = total[1] / w, total[2] / w, total[3] / w
        A = total[4] - z * total[2]
        scale = np.sqrt(max(total[6] - z * total[1], 0.0) * max(w, _TINY))
        if abs(A) <= _TINY * scale or A == 0.0:
            return False
        theta[0, 0] = (total[5] - z * total[3]) / A
        b = theta[0, 0]
        unit = w / A
        P[0, 0] = (z * y - b * z * t) * unit
        P[0, 1] = (-y + b * t) * unit
        P[0, 2] = b * z * unit
        P[0, 3] = -z * unit
        P[0, 4] = -b * unit
        P[0, 5] = unit
        return True
    # w, T, Y, TT, TY
    A = np.empty((K, K))
    inverse = np.empty((K, K))
    at = 1 + K + M
    for j in range(K):
        for k in range(j + 1):
            A[j, k] = total[at] - total[1 + j] * total[1 + k] / w
            A[k, j] = A[j, k]
            at += 1
    for j in range(K):
        for k in range(K):
            inverse[j, k] = 1.0 if j == k else 0.0
    for k in range(K):  # Gauss-Jordan on a positive definite matrix
        pivot = A[k, k]
        if pivot <= _TINY * w or pivot <= 0.0:
            return False
        for c in range(K):
            A[k, c] /= pivot
            inverse[k, c] /= pivot
        for r in range(K):
            if r != k:
                factor = A[r, k]
                for c in range(K):
                    A[r, c] -= factor * A[k, c]
                    inverse[r, c] -= factor * inverse[k, c]
    cross = 1 + K + M + K * (K + 1) // 2
    for k in range(K):
        for m in range(M):
            theta[k, m] = 0.0
            for j in range(K):
                theta[k, m] += inverse[k, j] * (total[cross + j * M + m] - total[1 + j] * total[1 + K + m] / w)
    for k in range(K):
        for m in range(M):
            r = k * M + m
            for j in range(K):
                unit = inverse[k, j] * w
                t = total[1 + j] / w
                y = total[1 + K + m] / w
                P[r, cross + j * M + m] += unit
                P[r, 1 + K + m] -= unit * t
                P[r, 1 + j] -= unit * y
                P[r, 0] += unit * t * y
                for i in range(K):
                    b = theta[i, m] * unit
                    s = total[1 + i] / w
                    high, low = max(i, j), min(i, j)
                    P[r, 1 + K + M + high * (high + 1) // 2 + low] -= b
                    P[r, 1 + i] += b * t
                    P[r, 1 + j] += b * s
                    P[r, 0] -= b * t * s
    return True


@inner_kernel
def _divergence(p: float, q: float, criterion: int) -> Any:
    """Distance of a treated mean from the control's (Rzepakowski and Jaroszewicz 2012, section 3.2)."""
    if criterion == EUCLIDEAN:
        return 2.0 * (p - q) * (p - q)
    q = min(max(q, _EDGE), 1.0 - _EDGE)
    if criterion == CHI:
        return (p - q) * (p - q) / q + (p - q) * (p - q) / (1.0 - q)
    out = 0.0
    if p > 0.0:
        out += p * np.log(p / q)
    if p < 1.0:
        out += (1.0 - p) * np.log((1.0 - p) / (1.0 - q))
    return out


@inner_kernel
def _entropy(share: float) -> Any:
    return 0.0 if share <= 0.0 else -share * np.log(share)


@inner_kernel
def _penalty(left: Values, total: Values, arms: int, criterion: int) -> Any:
    """How far a split tells the arms apart (Rzepakowski and Jaroszewicz 2012, eq. 7, 10 and 11)."""
    n, own = total[0], left[0, 0]
    n_control, n_treated = total[1], n - total[1]
    control, treated = left[0, 1] / n_control, (own - left[0, 1]) / n_treated
    share = n_treated / n
    if criterion in (KL, IDDP):
        out = (_entropy(share) + _entropy(1.0 - share)) * _divergence(treated, control, KL)
        for a in range(arms):
            p = left[0, 1 + 3 * a] / total[1 + 3 * a]
            out += total[1 + 3 * a] / n * (_entropy(p) + _entropy(1.0 - p))
        return out + 0.5
    out = (2.0 * share * (1.0 - share)) * _divergence(treated, control, criterion)
    for a in range(arms):
        p = left[0, 1 + 3 * a] / total[1 + 3 * a]
        out += total[1 + 3 * a] / n * 2.0 * p * (1.0 - p)
    return out + 0.5


@inner_kernel
def _uplift_gain(left: Values, total: Values, arms: int, criterion: int, normalise: bool, cost: Values) -> Any:
    """Gain of a split of arms' rows (w, then weight, sum and sum of squares by arm)."""
    own, n = left[0, 0], total[0]
    share = own / n
    most_left = most_right = most = 0.0
    c_left = c_right = c_whole = 0.0
    first = second = whole = 0.0
    variance = within = 0.0
    for a in range(arms):
        c = 1 + 3 * a
        w_left, w_right = left[0, c], total[c] - left[0, c]
        m_left = left[0, c + 1] / w_left - cost[a]
        m_right = (total[c + 1] - left[0, c + 1]) / w_right - cost[a]
        m = total[c + 1] / total[c] - cost[a]
        if a == 0:
            most_left, most_right, most = m_left, m_right, m
            c_left, c_right, c_whole = m_left, m_right, m
        else:
            most_left, most_right, most = max(most_left, m_left), max(most_right, m_right), max(most, m)
            if criterion <= CHI:
                first += _divergence(m_left, c_left, criterion)
                second += _divergence(m_right, c_right, criterion)
                whole += _divergence(m, c_whole, criterion)
            elif criterion != CTS:
                first += m_left - c_left
                second += m_right - c_right
                whole += m - c_whole
        if criterion == INTERACTION:
            within += left[0, c + 2] - left[0, c + 1] * left[0, c + 1] / w_left
            other = total[c + 1] - left[0, c + 1]
            within += total[c + 2] - left[0, c + 2] - other * other / w_right
            variance += 1.0 / w_left + 1.0 / w_right
    if criterion == CTS:
        return share * most_left + (1.0 - share) * most_right - most
    if criterion == DDP:
        return abs(first - second)
    if criterion == INTERACTION:
        difference = first - second
        within /= max(n - 2.0 * arms, 1.0)
        return difference * difference / max(within * variance, _TINY)
    apart = abs(first - second) - abs(whole)
    gain = apart if criterion == IDDP else share * first + (1.0 - share) * second - whole
    return gain / _penalty(left, total, arms, criterion) if normalise else gain


@inner_kernel
def _ruled(
    left: Values, total: Values, mode: int, K: int, M: int, R: int, alpha: float, penalty: float, gain: float
) -> Any:
    """The gain less its penalty, or -1 where a side has too little variation of the treatment about its own mean."""
    own, w = left[0, R], total[0]
    rest = w - own
    if mode == REGRESSION:
        return gain if min(own, rest) >= alpha * w else -1.0
    for d in range(K):
        first, second = 1 + d, _square(mode, K, M, d)
        value, square = left[0, R + 1 + 2 * d], left[0, R + 2 + 2 * d]
        other = total[first] - value
        size_left = square - value * value / own
        size_right = total[second] - square - other * other / rest
        size = total[second] - total[first] * total[first] / w
        if min(size_left, size_right) < alpha * size or min(size_left, size_right) <= 0.0:
            return -1.0
        gain -= penalty * (1.0 / size_left + 1.0 / size_right)
    return gain


@inlined_kernel
def _square(mode: int, K: int, M: int, d: int) -> Any:
    """Column of the squares of a treatment, or of the instrument."""
    return 6 if mode == INSTRUMENTAL else 1 + K + M + (d + 1) * (d + 2) // 2 - 1


@inlined_kernel
def _add(to: Values, b: int, rows: Values, i: int) -> None:
    """Add a row of sums. Views of rows: five times as fast as two indices."""
    h, v = to[b], rows[i]
    for q in range(to.shape[1]):
        h[q] += v[q]


@inlined_kernel
def _project(
    rows: Values, i: int, P: Values, to: Values, k: int, mode: int, K: int, M: int, moments: int, G: int
) -> None:
    """Write what a row adds to a side: pseudo-outcomes, weight, treatments with squares, groups.

    Of uplift trees, whose criteria are not sums, all of its sums.
    """
    out, own = to[k], rows[i]
    if mode == UPLIFT:
        for q in range(to.shape[1]):
            out[q] = own[q]
    else:
        R = P.shape[0]
        for r in range(R):
            value, weights = 0.0, P[r]
            for q in range(moments):
                value += weights[q] * own[q]
            out[r] = value
        out[R] = own[0]
        at = R + 1
        if mode != REGRESSION:
            for d in range(K):
                out[at], out[at + 1] = own[1 + d], own[_square(mode, K, M, d)]
                at += 2
        for g in range(G):
            out[at + g] = own[moments + g]


@inlined_kernel
def _set(to: Values, b: int, rows: Values, i: int) -> None:
    """Copy a row of sums."""
    h, v = to[b], rows[i]
    for q in range(to.shape[1]):
        h[q] = v[q]


@inner_kernel
def _lowest_bit(word: int, table: Values) -> Any:
    """Position of the lowest bit set, by de Bruijn's sequence."""
    lowest = word & (~word + np.uint64(1))
    return table[np.int64((lowest * np.uint64(0x03F79D71B4CB0A89)) >> np.uint64(58))]


# -- growing ----------------------------------------------------------------------------------------------------------


@serial_kernel
def grow_nodes(  # noqa: PLR0912, PLR0915 - one loop over nodes: every call of a kernel is compiled again in its caller
    codes: Values,
    bins: Values,
    kinds: Values,
    sums: Values,
    split_rows: Values,
    leaf_rows: Values,
    shape: Values,
    limits: Values,
    cost: Values,
    seed: int,
) -> Any:
    """Grow one tree on some rows, and sum others (honesty) in its leaves.

    Parameters
    ----------
    codes : ndarray (n, p), uint8
        Bin of every covariate; the last of a covariate's bins holds its missing values.
    bins : ndarray (p + 1,), int64
        Where each covariate's bins begin among all; the last of every covariate is the missing one.
    kinds : ndarray (p,), uint8
        1 for categories.
    sums : ndarray (n, S), float64
        What bins add up, exactly: multiples of a power of two, small enough.
    split_rows, leaf_rows : ndarray of int64
    shape : ndarray (9,), int64
        Kind of tree, treatments K, outcomes M, pseudo-outcomes R, first of the groups' columns, groups G, criterion,
        whether it is normalised, columns that pseudo-outcomes read.
    limits : ndarray (6,), float64
        Least rows of every group, alpha, imbalance penalty, expected covariates tried, greatest depth, least gain.
    cost : ndarray (G,), float64
        Of an arm, in units of the outcome.
    seed : uint64

    Returns
    -------
    feature int16, flags uint8, cut int32, child int32 : (nodes,)
        A node's children stand side by side from `child`; `cut` is the last bin to the left, the number of a mask, or
        of a leaf's moments.
    masks : ndarray (m, 32), uint8
        Bits of the levels to the left.
    leaves : ndarray (leaves, S), float64
        Sums over `leaf_rows`.
    gains : ndarray (nodes,), float64
        Of the splits, in units of the criterion.
    """
    b: Any  # whole numbers of any width
    k: Any
    n_left: Any
    n_right: Any
    low: Any
    high: Any
    few: Any
    many: Any
    at: Any
    room: Any
    p, S, m = codes.shape[1], sums.shape[1], len(split_rows)
    mode, R, K, M, moments = shape[0], shape[3], shape[1], shape[2], shape[8]
    groups_at, G = shape[4], shape[5]
    least = limits[0]
    table = np.zeros(64, dtype=np.int64)
    word = np.uint64(1)
    for i in range(64):
        table[np.int64((word * np.uint64(0x03F79D71B4CB0A89)) >> np.uint64(58))] = i
        word = word << np.uint64(1)
    state = np.empty(1, dtype=np.uint64)
    state[0] = seed
    columns = np.empty((p, m), dtype=np.uint8)
    V = np.empty((m, S))
    for i in range(m):
        row = split_rows[i]
        for j in range(p):
            columns[j, i] = codes[row, j]
        for q in range(S):
            V[i, q] = sums[row, q]
    room = 2 * m + 3
    for g in range(G):
        rows = 0.0
        for i in range(m):
            rows += V[i, groups_at + g]
        room = min(room, 2 * int(rows / max(least, 1.0)) + 3)
    feature = np.zeros(room, dtype=np.int16)
    flags = np.zeros(room, dtype=np.uint8)
    cut = np.zeros(room, dtype=np.int32)
    child = np.zeros(room, dtype=np.int32)
    gains = np.zeros(room)
    masks = np.zeros((8, 32), dtype=np.uint8)
    n_masks = 0
    n_nodes = 1

    subtract = p <= 2.0 * limits[3]
    depth_of_slots = 3
    rows_left = m
    while rows_left >= _FULL:
        rows_left //= 2
        depth_of_slots += 1
    n_slots = depth_of_slots if subtract else 1
    all_bins = bins[p]
    histograms = np.zeros((n_slots, all_bins, S))
    free = np.empty(n_slots, dtype=np.int64)
    for i in range(n_slots):
        free[i] = i
    n_free = n_slots
    first_group = moments if mode == UPLIFT else R + 1 + (0 if mode == REGRESSION else 2 * K)
    SU = S if mode == UPLIFT else (first_group + G + 3) // 4 * 4
    small = np.zeros((257, SU))

    stack_size = 160  # the smaller side is grown first
    stack = np.empty((stack_size, 5), dtype=np.int64)  # node, start, end, depth, slot
    totals = np.empty((stack_size, S))
    top = 1
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3], stack[0, 4] = 0, 0, m, 0, -1
    for q in range(S):
        totals[0, q] = 0.0
    for i in range(m):
        for q in range(S):
            totals[0, q] += V[i, q]

    P = np.zeros((max(R, 1), S))
    theta = np.zeros((max(K, 1), max(M, 1)))
    origin = np.zeros(max(R, 1))
    total = np.empty(S)
    left_row, left = np.zeros((1, SU)), np.zeros((1, S))  # matrices of one row, as _add takes them
    U = np.zeros((m, SU))
    seen = np.zeros(257, dtype=np.uint8)
    order = np.empty(257, dtype=np.int64)
    best_order = np.empty(257, dtype=np.int64)
    level_value = np.empty(257)
    occupied = np.zeros(4, dtype=np.uint64)
    permutation = np.empty(p, dtype=np.int64)
    for j in range(p):
        permutation[j] = j
    chosen = np.zeros(p, dtype=np.uint8)
    spare = np.empty(m, dtype=np.uint8)
    to_left_of, to_right_of = np.empty(m, dtype=np.uint32), np.empty(m, dtype=np.uint32)
    spare_places, place_of = np.empty(m, dtype=np.uint32), np.empty(m, dtype=np.uint32)  # rows of V in the nodes' order
    for i in range(m):
        place_of[i] = np.uint32(i)
    spare_rows = np.empty((m, S))
    goes_left = np.zeros(257, dtype=np.uint8)

    while top > 0:
        top -= 1
        node, start, end, depth, slot = stack[top, 0], stack[top, 1], stack[top, 2], stack[top, 3], stack[top, 4]
        for q in range(S):
            total[q] = totals[top, q]
        count = end - start
        possible = depth < limits[4] and count > 1
        for g in range(groups_at, groups_at + G):
            if total[g] < 2.0 * least:
                possible = False
        if possible and mode != UPLIFT:
            possible = _projection(total, shape, P, theta)
            for r in range(R):
                origin[r] = 0.0
                for q in range(moments):
                    origin[r] += P[r, q] * total[q]
        # covariates that are tried: a Poisson number of them
        if possible:
            tries = p
            if limits[3] < 200.0:
                bound, product = np.exp(-limits[3]), _random(state)
                tries = 0
                while product > bound:
                    tries += 1
                    product *= _random(state)
            tries = max(1, min(tries, p))
            for j in range(p):
                chosen[j] = 0
            for j in range(tries):
                k = j + np.int64(_random(state) * (p - j))
                swapped = permutation[j]
                permutation[j] = permutation[k]
                permutation[k] = swapped
                chosen[permutation[j]] = 1
        full = possible and subtract and count >= _FULL
        if full and slot < 0:
            n_free -= 1
            slot = free[n_free]
            _count(columns, V, place_of, start, end, bins, histograms[slot], spare_rows)
        best, best_feature, best_last, best_missing, best_size = limits[5], -1, 0, 0, 0
        if possible and not full:  # what a row adds to a side: pseudo-outcomes, weight, groups
            _project_rows(V, place_of, start, end, P, U, mode, K, M, moments, G)
        if possible:
            for j in range(p):
                if chosen[j] == 0:
                    continue
                width = bins[j + 1] - bins[j]
                missing_bin = width - 1
                category = kinds[j] == 1
                values = width if category else width - 1
                size = 0
                any_missing = False
                if full:
                    size, any_missing = _occupied_bins(
                        histograms[slot], bins[j], width, values, P, small, order, mode, K, M, moments, groups_at, G
                    )
                else:
                    _fill(columns, j, start, end, U, small, occupied)
                    for i in range(4):
                        word = occupied[i]
                        while word != np.uint64(0):
                            b = 64 * i + _lowest_bit(word, table)
                            word = word & (word - np.uint64(1))
                            if b < values:
                                order[size] = b
                                size += 1
                            else:
                                any_missing = True
                if size + (1 if any_missing else 0) < 2:
                    continue
                orders = (max(R, 1) if mode != UPLIFT else G - 1) if category else 1
                for r in range(orders):
                    if category:
                        for i in range(size):
                            b = order[i]
                            if mode == UPLIFT:
                                c = 4 + 3 * r
                                value = small[b, c + 1] / max(small[b, c], _TINY)
                                value -= small[b, 2] / max(small[b, 1], _TINY)
                            else:
                                value = small[b, r] / small[b, R]
                            k = i
                            while k > 0 and level_value[k - 1] > value:
                                level_value[k] = level_value[k - 1]
                                order[k] = order[k - 1]
                                k -= 1
                            level_value[k] = value
                            order[k] = b
                    for q in range(SU):
                        left_row[0, q] = 0.0
                    for i in range(size):
                        b = order[i]
                        for q in range(SU):
                            left_row[0, q] += small[b, q]
                        for option in range(2 if any_missing else 1):  # the missing to the right, then to the left
                            if i == size - 1 and (option == 1 or not any_missing):
                                continue
                            if option == 1:
                                for q in range(SU):
                                    left_row[0, q] += small[missing_bin, q]
                            allowed = True
                            for g in range(G):
                                rows = left_row[0, first_group + g]
                                if rows < least or total[groups_at + g] - rows < least:
                                    allowed = False
                            if allowed:
                                if mode == UPLIFT:
                                    gain = _uplift_gain(left_row, total, G, shape[6], shape[7], cost)
                                else:
                                    own = left_row[0, R]
                                    rest = total[0] - own
                                    gain = 0.0
                                    for pseudo in range(R):
                                        value = left_row[0, pseudo]
                                        other = origin[pseudo] - value
                                        gain += value * value * rest + other * other * own
                                    if gain > best * own * rest:  # most are not, and are spared the rest
                                        gain /= own * rest
                                        gain = _ruled(left_row, total, mode, K, M, R, limits[1], limits[2], gain)
                                    else:
                                        gain = -1.0
                                if gain > best:
                                    best, best_feature, best_last, best_missing = gain, j, order[i], option
                                    if category:
                                        best_size = i + 1
                                        for k in range(best_size):
                                            best_order[k] = order[k]
                            if option == 1:
                                for q in range(SU):
                                    left_row[0, q] -= small[missing_bin, q]
        if best_feature < 0:
            flags[node] = LEAF
            if slot >= 0:
                free[n_free] = slot
                n_free += 1
            continue
        # who goes left; rows whose level or missingness the node has not seen go with the larger part
        j = best_feature
        width = bins[j + 1] - bins[j]
        category = kinds[j] == 1
        for b in range(width):
            goes_left[b] = 0
        if category:
            for i in range(best_size):
                goes_left[best_order[i]] = 1
        else:
            for b in range(best_last + 1):
                goes_left[b] = 1
            goes_left[width - 1] = best_missing
        for b in range(width):
            seen[b] = 0
        for q in range(S):
            left[0, q] = 0.0
        n_left = n_right = 0
        column = columns[j]
        for i in range(start, end):
            code = column[i]
            seen[code] = 1
            to_left = np.int64(goes_left[code])
            to_left_of[n_left] = np.uint32(i)
            to_right_of[n_right] = np.uint32(i)
            n_left += to_left
            n_right += 1 - to_left
        _sum_rows(V, place_of, to_left_of, n_left, left)
        larger_left = left[0, 0] >= total[0] - left[0, 0]
        feature[node] = np.int16(j)
        gains[node] = best
        if category:
            if n_masks == len(masks):
                grown = np.zeros((2 * n_masks, 32), dtype=np.uint8)
                for i in range(n_masks):
                    for k in range(32):
                        grown[i, k] = masks[i, k]
                masks = grown
            for b in range(width):
                if goes_left[b] or (seen[b] == 0 and larger_left):
                    masks[n_masks, b >> 3] |= np.uint8(1 << (b & 7))
            cut[node] = np.int32(n_masks)
            flags[node] = CATEGORY
            n_masks += 1
        else:
            cut[node] = np.int32(best_last)
            missing_left = best_missing == 1 if seen[width - 1] else larger_left
            flags[node] = MISSING_LEFT if missing_left else 0
        child[node] = np.int32(n_nodes)
        left_node, right_node = n_nodes, n_nodes + 1
        n_nodes += 2
        middle = start + n_left
        # a side that no rule lets be split again needs no columns
        grows_left = grows_right = depth + 1 < limits[4]
        for g in range(groups_at, groups_at + G):
            if left[0, g] < 2.0 * least:
                grows_left = False
            if total[g] - left[0, g] < 2.0 * least:
                grows_right = False
        if grows_left or grows_right:
            for i in range(n_left):
                spare_places[i] = place_of[to_left_of[i]]
            for i in range(n_right):
                spare_places[n_left + i] = place_of[to_right_of[i]]
            for i in range(count):
                place_of[start + i] = spare_places[i]
            for k in range(p):
                column = columns[k]
                for i in range(n_left):
                    spare[i] = column[to_left_of[i]]
                for i in range(n_right):
                    spare[n_left + i] = column[to_right_of[i]]
                for i in range(count):
                    column[start + i] = spare[i]
        left_slot = right_slot = -1
        left_is_small = n_left <= count - n_left
        if full:
            grows_large = grows_right if left_is_small else grows_left
            grows_small = grows_left if left_is_small else grows_right
            few = n_left if left_is_small else count - n_left
            many = count - few
            low, high = (start, middle) if left_is_small else (middle, end)
            small_slot = large_slot = -1
            if grows_small and few >= _FULL:
                n_free -= 1
                small_slot = free[n_free]
                _count(columns, V, place_of, low, high, bins, histograms[small_slot], spare_rows)
            if grows_large and many >= _FULL:
                large_slot = slot
                if small_slot >= 0:
                    for b in range(all_bins):
                        for q in range(S):
                            histograms[slot, b, q] -= histograms[small_slot, b, q]
                else:
                    _uncount(columns, V, place_of, low, high, bins, histograms[slot], spare_rows)
            else:
                free[n_free] = slot
                n_free += 1
            left_slot, right_slot = (small_slot, large_slot) if left_is_small else (large_slot, small_slot)
        # the smaller side is on top: it is grown first
        for turn in range(2):
            is_left = (turn == 1) == left_is_small
            here = left_node if is_left else right_node
            if not (grows_left if is_left else grows_right):
                flags[here] = LEAF
                continue
            stack[top, 0] = here
            stack[top, 1] = start if is_left else middle
            stack[top, 2] = middle if is_left else end
            stack[top, 3] = depth + 1
            stack[top, 4] = left_slot if is_left else right_slot
            for q in range(S):
                totals[top, q] = left[0, q] if is_left else total[q] - left[0, q]
            top += 1

    # rows of the leaves
    rows_of = np.zeros(n_nodes, dtype=np.int64)
    place = np.empty(len(leaf_rows), dtype=np.int32)
    for i in range(len(leaf_rows)):
        row = leaf_rows[i]
        at = 0
        while not flags[at] & LEAF:
            code = np.int64(codes[row, feature[at]])
            f = feature[at]
            if flags[at] & CATEGORY:
                goes = (masks[cut[at], code >> 3] >> (code & 7)) & 1
            elif code == bins[f + 1] - bins[f] - 1:
                goes = 1 if flags[at] & MISSING_LEFT else 0
            else:
                goes = 1 if code <= cut[at] else 0
            at = child[at] + 1 - goes
        place[i] = np.int32(at)
        rows_of[at] += 1
    n_leaves = 0
    for at in range(n_nodes):
        if flags[at] & LEAF:
            cut[at] = np.int32(n_leaves)
            if rows_of[at] > 0:
                n_leaves += 1
    leaves = np.zeros((max(n_leaves, 1), S))
    for i in range(len(leaf_rows)):
        at = cut[place[i]]
        for q in range(S):
            leaves[at, q] += sums[leaf_rows[i], q]
    # a leaf without rows gives way to its sibling
    for back in range(n_nodes):
        at = n_nodes - 1 - back
        if flags[at] & LEAF:
            continue
        a, b = child[at], child[at] + 1
        rows_of[at] = rows_of[a] + rows_of[b]
        if rows_of[a] == 0 or rows_of[b] == 0:
            kept = b if rows_of[a] == 0 else a
            feature[at], flags[at], cut[at], child[at] = feature[kept], flags[kept], cut[kept], child[kept]
            gains[at] = gains[kept]
    # nodes that are still reached, in the order in which they are
    new = np.zeros(n_nodes, dtype=np.int32)
    queue = np.empty(n_nodes, dtype=np.int32)
    queue[0] = 0
    tail = 1
    at = 0
    while at < tail:
        old = queue[at]
        if not flags[old] & LEAF:
            new[old] = np.int32(tail)
            queue[tail] = child[old]
            queue[tail + 1] = child[old] + 1
            tail += 2
        at += 1
    out_feature, out_flags = np.empty(tail, dtype=np.int16), np.empty(tail, dtype=np.uint8)
    out_cut, out_child = np.empty(tail, dtype=np.int32), np.empty(tail, dtype=np.int32)
    out_gains = np.empty(tail)
    for at in range(tail):
        old = queue[at]
        out_feature[at], out_flags[at], out_cut[at], out_child[at] = feature[old], flags[old], cut[old], new[old]
        out_gains[at] = gains[old]
    out_masks = np.zeros((n_masks, 32), dtype=np.uint8)
    for i in range(n_masks):
        for k in range(32):
            out_masks[i, k] = masks[i, k]
    return out_feature, out_flags, out_cut, out_child, out_masks, leaves, out_gains


# loops over rows stand in functions of their own: in the long one numba counts references to every view of a row


@inner_kernel
def _occupied_bins(
    H: Values, base: int, width: int, values: int, P: Values, small: Values, order: Values, mode: int, K: int, M: int,
    moments: int, groups_at: int, G: int,
) -> Any:  # fmt: skip
    """Project a covariate's bins that hold rows; their number, and whether the missing one does."""
    size, any_missing = 0, False
    for b in range(width):
        rows = 0.0
        for g in range(groups_at, groups_at + G):
            rows += H[base + b, g]
        if rows > 0.0:
            _project(H, base + b, P, small, b, mode, K, M, moments, G)
            if b < values:
                order[size] = b
                size += 1
            else:
                any_missing = True
    return size, any_missing


@inner_kernel
def _fill(columns: Values, j: int, start: int, end: int, U: Values, small: Values, occupied: Values) -> None:
    """Fill the bins that a small node's rows hold, and mark them."""
    column = columns[j]
    for i in range(4):
        occupied[i] = np.uint64(0)
    for i in range(start, end):
        b = np.int64(column[i])
        bit = np.uint64(1) << np.uint64(b & 63)
        if occupied[b >> 6] & bit:
            _add(small, b, U, i)
        else:
            occupied[b >> 6] |= bit
            _set(small, b, U, i)


@inner_kernel
def _project_rows(
    V: Values, place_of: Values, start: int, end: int, P: Values, U: Values, mode: int, K: int, M: int, moments: int,
    G: int,
) -> None:  # fmt: skip
    for i in range(start, end):
        _project(V, place_of[i], P, U, i, mode, K, M, moments, G)


@inner_kernel
def _sum_rows(V: Values, place_of: Values, at: Values, n: int, out: Values) -> None:
    for i in range(n):
        _add(out, 0, V, place_of[at[i]])


@inner_kernel
def _uncount(
    columns: Values, V: Values, place_of: Values, start: int, end: int, bins: Values, H: Values, spare: Values
) -> None:
    """Take some rows out of a histogram."""
    n = end - start
    for i in range(n):
        _set(spare, i, V, place_of[start + i])
    for j in range(columns.shape[0]):
        column, own = columns[j], H[bins[j] : bins[j + 1]]
        for i in range(n):
            h, v = own[column[start + i]], spare[i]
            for q in range(spare.shape[1]):
                h[q] -= v[q]


@inner_kernel
def _count(
    columns: Values, V: Values, place_of: Values, start: int, end: int, bins: Values, H: Values, spare: Values
) -> None:
    """Fill the histogram of some rows, whose sums are brought together first."""
    S = V.shape[1]
    for b in range(H.shape[0]):
        for q in range(S):
            H[b, q] = 0.0
    n = end - start
    for i in range(n):
        _set(spare, i, V, place_of[start + i])
    for j in range(columns.shape[0]):
        column, own = columns[j], H[bins[j] : bins[j + 1]]
        for i in range(n):
            _add(own, column[start + i], spare, i)


# -- reading ----------------------------------------------------------------------------------------------------------


@inner_kernel
def _leaf(
    codes: Values, row: int, at: int, first: int, first_mask: int, bins: Values, feature: Values, flags: Values,
    cut: Values, child: Values, masks: Values,
) -> Any:  # fmt: skip
    """Node of the leaf that a row falls in."""
    while not flags[at] & LEAF:
        f = feature[at]
        code = np.int64(codes[row, f])
        if flags[at] & CATEGORY:
            goes = (masks[first_mask + cut[at], code >> 3] >> (code & 7)) & 1
        elif code == bins[f + 1] - bins[f] - 1:
            goes = 1 if flags[at] & MISSING_LEFT else 0
        else:
            goes = 1 if code <= cut[at] else 0
        at = first + child[at] + 1 - goes
    return at


@serial_kernel
def leaf_places(
    codes: Values, rows: Values, tree: int, starts: Values, bins: Values, feature: Values, flags: Values, cut: Values,
    child: Values, masks: Values,
) -> Any:  # fmt: skip
    """Leaf (its number in the tree) of some rows in one tree.

    Parameters
    ----------
    starts : ndarray (trees + 1, 3), int64
        First node, leaf and mask of every tree in the arrays of the forest.
    """
    out = np.empty(len(rows), dtype=np.int64)
    first, first_mask = starts[tree, 0], starts[tree, 2]
    for i in range(len(rows)):
        out[i] = cut[_leaf(codes, rows[i], first, first, first_mask, bins, feature, flags, cut, child, masks)]
    return out


@serial_kernel
def forest_moments(
    codes: Values, low: int, high: int, bag: Values, starts: Values, bins: Values, feature: Values, flags: Values,
    cut: Values, child: Values, masks: Values, leaves: Values, moments: Values, trees: Values,
) -> None:  # fmt: skip
    """Add up, over trees, the leaves' averages for the rows from `low` to `high`; those in a tree's bag are passed.

    Parameters
    ----------
    bag : ndarray (trees, bytes), uint8
        Bits of the rows that the tree was grown on; of no bytes where all trees count.
    leaves : ndarray (all leaves, S), float64
        Weight, then averages.
    moments : ndarray (n, S), float64
        Added to; the first column stays.
    trees : ndarray (n,), float64
        Trees that count.
    """
    S = leaves.shape[1]
    out_of_bag = bag.shape[1] > 0
    for begin in range(low, high, _ROWS):
        stop = min(begin + _ROWS, high)
        for t in range(len(starts) - 1):
            first, first_leaf, first_mask = starts[t, 0], starts[t, 1], starts[t, 2]
            for i in range(begin, stop):
                if out_of_bag and (bag[t, i >> 3] >> (i & 7)) & 1:
                    continue
                at = _leaf(codes, i, first, first, first_mask, bins, feature, flags, cut, child, masks)
                leaf = first_leaf + cut[at]
                trees[i] += 1.0
                for q in range(1, S):
                    moments[i, q] += leaves[leaf, q]


@serial_kernel
def forest_spread(
    codes: Values, low: int, high: int, bag: Values, starts: Values, bins: Values, feature: Values, flags: Values,
    cut: Values, child: Values, masks: Values, leaves: Values, influence: Values, between: Values, total: Values,
    groups: Values,
) -> None:  # fmt: skip
    """Add up squares of what trees, and pairs of trees, say of the rows from `low` to `high`.

    Parameters
    ----------
    influence : ndarray (n, R, S), float64
        An estimate's linear function of a leaf's averages; the first column is its constant.
    between, total : ndarray (n, R), float64
        Sums over pairs of the squared mean, and over their trees of squares.
    groups : ndarray (n,), float64
        Pairs that count: neither tree has the row in its bag.
    """
    S, R = leaves.shape[1], influence.shape[1]
    out_of_bag = bag.shape[1] > 0
    value = np.empty(R)
    for begin in range(low, high, _ROWS):
        stop = min(begin + _ROWS, high)
        for g in range((len(starts) - 1) // 2):
            for i in range(begin, stop):
                if out_of_bag:
                    first_in = (bag[2 * g, i >> 3] >> (i & 7)) & 1
                    if first_in or (bag[2 * g + 1, i >> 3] >> (i & 7)) & 1:
                        continue
                groups[i] += 1.0
                for r in range(R):
                    value[r] = 0.0
                for t in range(2 * g, 2 * g + 2):
                    first = starts[t, 0]
                    at = _leaf(codes, i, first, first, starts[t, 2], bins, feature, flags, cut, child, masks)
                    leaf = starts[t, 1] + cut[at]
                    for r in range(R):
                        psi = influence[i, r, 0]
                        for q in range(1, S):
                            psi += influence[i, r, q] * leaves[leaf, q]
                        value[r] += psi
                        total[i, r] += psi * psi
                for r in range(R):
                    between[i, r] += 0.25 * value[r] * value[r]


@serial_kernel
def used_features(starts: Values, feature: Values, flags: Values, child: Values, counts: Values) -> None:
    """Count splits by depth and covariate: `counts` (depths, p), float64, is filled."""
    for t in range(len(starts) - 1):
        first, n = starts[t, 0], starts[t + 1, 0] - starts[t, 0]
        depth = np.zeros(n, dtype=np.int64)
        for k in range(n):
            at = first + k
            if flags[at] & LEAF:
                continue
            depth[child[at]] = depth[k] + 1
            depth[child[at] + 1] = depth[k] + 1
            if depth[k] < counts.shape[0]:
                counts[depth[k], feature[at]] += 1.0
