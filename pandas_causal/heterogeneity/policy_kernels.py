"""Best policy trees of depth one and two, exactly: columns sorted once, rewards cumulated."""

from __future__ import annotations

import numpy as np
from numba import prange

from pandas_causal.kernels import inner_kernel, kernel
from pandas_causal.kernels.arrays import Values

__all__ = ["best_pairs", "best_single"]


@inner_kernel
def _one_split(  # noqa: PLR0912 - a kernel is one loop
    X: Values, order: Values, scores: Values, side: Values, which: int, least: int, found: Values
) -> float:
    """Best tree of depth one on the rows of one side: its value; `found` holds column, threshold and two arms.

    Without a split that wins, or with too few rows, the column is -1 and the first arm is for all. `order` holds rows
    by column, and `side` which side of an earlier split each row is on.
    """
    n, K = scores.shape
    p = X.shape[1]
    total = np.zeros(K)
    rows = 0
    for i in range(n):
        if side[i] == which:
            rows += 1
            for a in range(K):
                total[a] += scores[i, a]
    best, arm = total[0], 0
    for a in range(1, K):
        if total[a] > best:
            best, arm = total[a], a
    found[0], found[1], found[2], found[3] = -1.0, 0.0, arm, arm
    left = np.zeros(K)
    for j in range(p):
        for a in range(K):
            left[a] = 0.0
        seen = 0
        last = 0.0
        for t in range(n):
            i = order[j, t]
            if side[i] != which:
                continue
            x = X[i, j]
            if seen >= least and rows - seen >= least and x > last:
                top, top_arm, low, low_arm = left[0], 0, total[0] - left[0], 0
                for a in range(1, K):
                    if left[a] > top:
                        top, top_arm = left[a], a
                    if total[a] - left[a] > low:
                        low, low_arm = total[a] - left[a], a
                if top + low > best + 1e-12 * abs(best):
                    best = top + low
                    found[0], found[1], found[2], found[3] = j, 0.5 * (last + x), top_arm, low_arm
            for a in range(K):
                left[a] += scores[i, a]
            last = x
            seen += 1
    return best


@kernel
def best_single(X: Values, order: Values, scores: Values, least: int, out: Values) -> None:
    """Write the best tree of depth one: value, column, threshold, arm at or below it, arm above."""
    for _ in prange(1):
        side = np.zeros(len(X), dtype=np.int8)
        found = np.zeros(4)
        value = _one_split(X, order, scores, side, 0, least, found)
        out[0] = value
        for k in range(4):
            out[1 + k] = found[k]


@inner_kernel
def _value_at(
    X: Values, order: Values, scores: Values, j: int, cut: int, least: int, side: Values, found: Values
) -> float:
    """Value of the best tree whose first split sends the first `cut` rows by column j to the left."""
    for t in range(len(X)):
        side[order[j, t]] = 0 if t < cut else 1
    left = _one_split(X, order, scores, side, 0, least, found[0])
    return left + _one_split(X, order, scores, side, 1, least, found[1])


@kernel
def best_pairs(  # noqa: PLR0912, PLR0915 - a kernel is one loop
    X: Values,
    order: Values,
    scores: Values,
    swing: Values,
    least: int,
    skip: bool,
    floor: float,
    most: int,
    out: Values,
    counts: Values,
) -> None:
    """Write, for every column of the first split, the best tree of depth two.

    Moving rows across the first split changes the best value by no more than the rows' swing, the distance of their
    best from their worst reward. Cuts between two that were tried therefore need no trial where neither's value and
    the swing between reach the best known: the search halves intervals and skips those.

    Parameters
    ----------
    X : ndarray (n, p)
    order : ndarray (p, n)
        Rows by column.
    scores : ndarray (n, K)
    swing : ndarray (p, n + 1)
        Cumulated swings by column.
    least : int
        Rows in a leaf.
    skip : bool
        False: try every cut.
    floor : float
        A value that some tree is known to reach: what cannot reach it is skipped.
    most : int
        Cuts tried in a column, the coarsest first.
    out : ndarray (p, 10)
        Value, cut's threshold, then column, threshold and two arms of the left and of the right branch.
    counts : ndarray (p,)
        Cuts tried.
    """
    n, p = X.shape
    for j in prange(p):
        side = np.zeros(n, dtype=np.int8)
        found = np.zeros((2, 4))
        cuts = np.zeros(n, dtype=np.int64)
        m = 0
        for t in range(1, n):
            if t >= least and n - t >= least and X[order[j, t], j] > X[order[j, t - 1], j]:
                cuts[m] = t
                m += 1
        best = -np.inf
        tried = 0
        if m > 0:
            low = np.zeros(2 * m + 4, dtype=np.int64)
            high = np.zeros(2 * m + 4, dtype=np.int64)
            value = np.zeros(m)
            done = np.zeros(m, dtype=np.int8)
            low[0], high[0] = 0, m - 1
            top, head = 1, 0
            ends = np.zeros(2, dtype=np.int64)
            ends[1] = m - 1
            for e in range(2):
                k = ends[e]
                if done[k] == 0:
                    v = _value_at(X, order, scores, j, cuts[k], least, side, found)
                    value[k] = v
                    done[k] = 1
                    tried += 1
                    if v > best:
                        best = v
                        out[j, 0] = v
                        out[j, 1] = 0.5 * (X[order[j, cuts[k] - 1], j] + X[order[j, cuts[k]], j])
                        for c in range(4):
                            out[j, 2 + c], out[j, 6 + c] = found[0, c], found[1, c]
            # breadth first: the whole column is seen coarsely before any part is seen finely
            while head < top and tried < most:
                a, b = low[head], high[head]
                head += 1
                if b - a < 2:
                    continue
                between = swing[j, cuts[b]] - swing[j, cuts[a]]
                bound = 0.5 * (value[a] + value[b] + between)
                if skip and (bound <= best or bound < floor):
                    continue
                k = (a + b) // 2
                v = _value_at(X, order, scores, j, cuts[k], least, side, found)
                value[k] = v
                tried += 1
                if v > best:
                    best = v
                    out[j, 0] = v
                    out[j, 1] = 0.5 * (X[order[j, cuts[k] - 1], j] + X[order[j, cuts[k]], j])
                    for c in range(4):
                        out[j, 2 + c], out[j, 6 + c] = found[0, c], found[1, c]
                low[top], high[top] = a, k
                low[top + 1], high[top + 1] = k, b
                top += 2
        else:
            out[j, 0] = -np.inf
        counts[j] = tried
