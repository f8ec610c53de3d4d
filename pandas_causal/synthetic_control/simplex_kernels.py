"""Least squares with weights on the simplex: the point of smallest norm in a hull of points (Wolfe 1976)."""

from __future__ import annotations

from typing import Any

import numpy as np

from pandas_causal.kernels import inner_kernel, serial_kernel
from pandas_causal.kernels.arrays import Values

__all__ = ["min_norm_weights"]

_GAP = 1e-14  # duality gap, beside the mean squared length of the points, at which the search ends
_FACE = 1e-9  # points this near to the supporting plane may share the weight
_TIE = 1e-9  # ridge, beside the same length, that picks the smallest weights among equals
_SPOILT = 1e-8  # beside the same length: a tie is broken only if the fit stays as good as this
_STRONG = 1e-6  # ridge, beside the same length, from which small systems lose no digits that matter


@serial_kernel
def min_norm_weights(points: Values, ridge: float, weights: Values) -> float:  # noqa: PLR0912 - inlined: every call of a kernel is compiled again in its caller
    """Weights w >= 0, sum(w) = 1, that minimise ``|w' points|^2 + ridge |w|^2``; returns the relative duality gap.

    Where several weights are optimal, those of smallest norm, found by a ridge of 1e-9 on the optimal face.

    Parameters
    ----------
    points : ndarray (n, d), float64
        C-contiguous.
    ridge : float
        Zero or more.
    weights : ndarray (n,), float64
        Filled.

    References
    ----------
    Wolfe (1976), "Finding the nearest point in a polytope", Mathematical Programming 11.
    """
    n, d = points.shape
    scale = 0.0
    for j in range(n):
        for t in range(d):
            scale += points[j, t] * points[j, t]
    scale = scale / n + ridge
    if scale == 0.0:  # every point is the target
        for j in range(n):
            weights[j] = 1.0 / n
        return 0.0
    gradient, face = np.empty(n), np.empty(n, dtype=np.int64)
    part, share, level = points, weights, ridge
    first = ridge >= _STRONG * scale and d < n
    for attempt in range(2):  # all points; then, where weights may tie, the optimal face under a tiny ridge
        solved = first and _pivot(part, level, scale, share)
        if attempt == 1 and solved:
            solved = _gap(part, 0.0, share, gradient) <= _SPOILT * scale
        size = n
        if not solved:
            size = _wolfe(part, level, scale, share, gradient)
        if attempt == 1:
            if _gap(part, 0.0, share, gradient) <= _SPOILT * scale:  # else rounding has spoilt the fit
                for j in range(n):
                    weights[j] = 0.0
                for i in range(len(share)):
                    weights[face[i]] = share[i]
            break
        if solved or ridge > _TIE * scale or size >= n:  # a smaller ridge is lost in rounding, and means the same
            break
        value = 0.0
        for j in range(n):
            value += weights[j] * gradient[j]
        k = 0
        for j in range(n):
            if gradient[j] <= value + _FACE * scale:
                face[k] = j
                k += 1
        if k <= size:
            break
        part, share, level = np.empty((k, d)), np.zeros(k), _TIE * scale
        for i in range(k):
            for t in range(d):
                part[i, t] = points[face[i], t]
        first = value <= _FACE * scale and d < k
    return _gap(points, ridge, weights, gradient) / scale


@inner_kernel
def _pivot(points: Values, ridge: float, scale: float, weights: Values) -> bool:
    """Block pivoting (Judice and Pires 1994) with d x d systems: fast where many points carry weight.

    On a set S the best weights are proportional to ``1 - P (P'P + ridge I)^-1 P'1``. Returns False where it does not
    end, and then another way must be found.
    """
    n, d = points.shape
    inside, wrong, gradient = np.ones(n, dtype=np.bool_), np.empty(n, dtype=np.bool_), np.empty(n)
    best, patience = n + 1, 3
    for _ in range(200):
        x = _ridge_weights(points, inside, ridge, weights)
        level = 0.0
        for j in range(n):
            g = ridge * weights[j]
            for t in range(d):
                g += points[j, t] * x[t]
            gradient[j] = g
            level += weights[j] * g
        count, last, held = 0, -1, 0
        for j in range(n):
            wrong[j] = weights[j] < 0.0 if inside[j] else gradient[j] < level - 1e-13 * scale
            if wrong[j]:
                count += 1
                last = j
        if count == 0:
            return True
        single = False
        if count < best:
            best, patience = count, 3
        elif patience > 0:
            patience -= 1
        else:  # Murty's rule: one at a time ends for certain
            single = True
        for j in range(n):
            if wrong[j] and (j == last or not single):
                inside[j] = not inside[j]
            held += inside[j]
        if held == 0:
            return False
    return False


@inner_kernel
def _ridge_weights(points: Values, inside: Values, ridge: float, weights: Values) -> Any:
    """Fill the weights, of any sign, that minimise the norm over an affine hull; returns the point reached."""
    n, d = points.shape
    right = np.zeros(d)
    root = _gram_root(points, inside, ridge, right)
    slope, x, total = np.empty(d), np.zeros(d), 0.0
    _solve(root, d, right, slope)
    for j in range(n):
        weights[j] = 0.0
        if inside[j]:
            weights[j] = 1.0
            for t in range(d):
                weights[j] -= points[j, t] * slope[t]
            total += weights[j]
    for j in range(n):
        if inside[j]:
            weights[j] /= total
            for t in range(d):
                x[t] += weights[j] * points[j, t]
    return x


@inner_kernel
def _gap(points: Values, ridge: float, weights: Values, gradient: Values) -> float:
    """Duality gap ``w'g - min g`` of the gradient g = points x + ridge w, which it fills."""
    n, d = points.shape
    x = np.zeros(d)
    for j in range(n):
        if weights[j] > 0.0:
            for t in range(d):
                x[t] += weights[j] * points[j, t]
    level, least = 0.0, np.inf
    for j in range(n):
        g = ridge * weights[j]
        for t in range(d):
            g += points[j, t] * x[t]
        gradient[j] = g
        level += weights[j] * g
        least = min(least, g)
    return max(0.0, level - least)


@inner_kernel
def _dot(points: Values, i: int, j: int) -> float:
    total = 0.0
    for t in range(points.shape[1]):
        total += points[i, t] * points[j, t]
    return total


@inner_kernel
def _append(points: Values, ridge: float, shift: float, held: Values, k: int, new: int, root: Values) -> bool:
    """Add a row to the Cholesky factor of Gram + shift 11'; False where the point depends on those held."""
    own = _dot(points, new, new) + ridge + shift
    rest = own
    for i in range(k):
        value = _dot(points, new, held[i]) + shift
        for m in range(i):
            value -= root[i, m] * root[k, m]
        value /= root[i, i]
        root[k, i] = value
        rest -= value * value
    if rest <= 1e-14 * own:
        return False
    root[k, k] = np.sqrt(rest)
    held[k] = new
    return True


@inner_kernel
def _remove(held: Values, k: int, at: int, w: Values, root: Values) -> None:
    """Take a row out of the factor and restore its triangle by Givens rotations."""
    for i in range(at, k - 1):
        held[i] = held[i + 1]
        w[i] = w[i + 1]
        for m in range(i + 2):
            root[i, m] = root[i + 1, m]
    for i in range(at, k - 1):
        a, b = root[i, i], root[i, i + 1]
        length = np.sqrt(a * a + b * b)
        c, s = a / length, b / length
        for m in range(i, k - 1):
            a, b = root[m, i], root[m, i + 1]
            root[m, i], root[m, i + 1] = c * a + s * b, c * b - s * a
        root[i, i + 1] = 0.0


@inner_kernel
def _solve(root: Values, k: int, right: Values, out: Values) -> None:
    """Solve root root' out = right."""
    for i in range(k):
        value = right[i]
        for m in range(i):
            value -= root[i, m] * out[m]
        out[i] = value / root[i, i]
    for i in range(k - 1, -1, -1):
        value = out[i]
        for m in range(i + 1, k):
            value -= root[m, i] * out[m]
        out[i] = value / root[i, i]


@inner_kernel
def _wolfe(points: Values, ridge: float, scale: float, weights: Values, gradient: Values) -> int:
    """Wolfe's algorithm; fills weights and gradient, returns how many points carry weight."""
    n = points.shape[0]
    start, least = 0, np.inf
    for j in range(n):
        length = _dot(points, j, j)
        if length < least:
            start, least = j, length
    # Points that carry weight are affinely independent, unless a ridge makes more of them so. What is not written is
    # never read, and costs no memory.
    room = n if ridge > 0.0 else min(n, points.shape[1] + 2)
    held, w, root = np.empty(room, dtype=np.int64), np.empty(room), np.empty((room, room))
    _append(points, ridge, scale, held, 0, start, root)
    w[0] = 1.0
    k = 1
    for j in range(n):
        weights[j] = 0.0
    weights[start] = 1.0
    before = np.inf
    for _ in range(20 * (n + points.shape[1]) + 100):
        gap = _gap(points, ridge, weights, gradient)
        new = 0
        for j in range(1, n):
            if gradient[j] < gradient[new]:
                new = j
        now = 0.0
        for i in range(k):
            now += w[i] * gradient[held[i]]
        if gap <= _GAP * scale or weights[new] > 0.0 or now >= before:
            break
        before = now
        if k == room or not _append(points, ridge, scale, held, k, new, root):
            break
        w[k] = 0.0
        k = _towards_affine(held, k + 1, w, root)
        for j in range(n):
            weights[j] = 0.0
        for i in range(k):
            weights[held[i]] = w[i]
    _refine(points, ridge, scale, held[:k], weights)
    _gap(points, ridge, weights, gradient)
    size = 0
    for j in range(n):
        size += weights[j] > 0.0
    return size


@inner_kernel
def _towards_affine(held: Values, k: int, w: Values, root: Values) -> int:
    """Minor cycles: move to the smallest point of the affine hull, dropping points whose weight reaches zero."""
    ones, v = np.ones(k), np.empty(k)
    while True:
        _solve(root, k, ones, v)
        total = 0.0
        for i in range(k):
            total += v[i]
        step, at = 1.0, -1
        for i in range(k):
            v[i] /= total
            if v[i] <= 0.0 and w[i] - v[i] > 0.0 and w[i] / (w[i] - v[i]) < step:
                step, at = w[i] / (w[i] - v[i]), i
        for i in range(k):
            w[i] += step * (v[i] - w[i])
        if at < 0:
            return k
        _remove(held, k, at, w, root)
        k -= 1


@inner_kernel
def _refine(points: Values, ridge: float, shift: float, held: Values, weights: Values) -> None:
    """Two Newton steps on a fresh factor, the gradient from the points themselves (corrected seminormal equations)."""
    k = len(held)
    root, index = np.zeros((k, k)), np.empty(k, dtype=np.int64)
    for i in range(k):
        if not _append(points, ridge, shift, index, i, held[i], root):
            return
    slope, ones, step, along = np.empty(k), np.ones(k), np.empty(k), np.empty(k)
    _solve(root, k, ones, along)
    for _ in range(2):
        x = np.zeros(points.shape[1])
        for i in range(k):
            for t in range(len(x)):
                x[t] += weights[held[i]] * points[held[i], t]
        for i in range(k):
            slope[i] = ridge * weights[held[i]]
            for t in range(len(x)):
                slope[i] += points[held[i], t] * x[t]
        _solve(root, k, slope, step)
        above, below = 0.0, 0.0
        for i in range(k):
            above += step[i]
            below += along[i]
        level = above / below
        least, total = np.inf, 0.0
        for i in range(k):
            step[i] = weights[held[i]] - step[i] + level * along[i]
            least = min(least, step[i])
            total += step[i]
        if least < 0.0:
            return
        for i in range(k):
            weights[held[i]] = step[i] / total


@inner_kernel
def _gram_root(points: Values, inside: Values, ridge: float, right: Values) -> Any:
    """Cholesky factor of P'P + ridge I over the points inside; fills P'1."""
    n, d = points.shape
    root = np.zeros((d, d))
    for j in range(n):
        if inside[j]:
            for t in range(d):
                right[t] += points[j, t]
                for u in range(t + 1):
                    root[t, u] += points[j, t] * points[j, u]
    for t in range(d):
        root[t, t] += ridge
        for u in range(t + 1):
            value = root[t, u]
            for m in range(u):
                value -= root[t, m] * root[u, m]
            root[t, u] = value / root[u, u] if u < t else np.sqrt(max(value, 1e-300))
    return root
