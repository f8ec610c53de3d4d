"""Small linear programmes solved many times: only the objective changes, so each starts from the last one's basis."""

from __future__ import annotations

import numpy as np

from pandas_causal.kernels import inner_kernel, serial_kernel
from pandas_causal.kernels.arrays import Values

__all__ = ["largest_values", "truncation_points", "vertex"]

_TOLERANCE = 1e-9
_REFRESH = 64  # pivots after which the inverse is computed anew, against the drift of its updates
_BEYOND = 1e300  # stands for infinity, which fast arithmetic must not meet
_BLAND = 500  # pivots after which the lowest index enters, so that ties cannot cycle


@inner_kernel
def _pivot(inverse: Values, solution: Values, direction: Values, row: int) -> None:
    """Bring the column with ``direction = inverse @ column`` into the basis at `row`."""
    n = len(solution)
    pivot = direction[row]
    for j in range(n):
        inverse[row, j] /= pivot
    solution[row] /= pivot
    for i in range(n):
        if i != row and direction[i] != 0.0:
            for j in range(n):
                inverse[i, j] -= direction[i] * inverse[row, j]
            solution[i] -= direction[i] * solution[row]
    for i in range(n):
        solution[i] = max(solution[i], 0.0)


@inner_kernel
def _invert(columns: Values, basis: Values, inverse: Values, solution: Values) -> None:
    """Compute the inverse of the basis anew (Gauss-Jordan with partial pivoting), and the solution at it."""
    n = len(basis)
    A = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            A[i, j] = columns[basis[j], i]
            inverse[i, j] = 1.0 if i == j else 0.0
    for k in range(n):
        top = k
        for i in range(k + 1, n):
            if abs(A[i, k]) > abs(A[top, k]):
                top = i
        pivot = A[top, k]
        for j in range(n):
            a, b = A[k, j], inverse[k, j]
            A[k, j], inverse[k, j] = A[top, j] / pivot, inverse[top, j] / pivot
            if top != k:
                A[top, j], inverse[top, j] = a, b
        for i in range(n):
            factor = A[i, k]
            if i != k and factor != 0.0:
                for j in range(n):
                    A[i, j] -= factor * A[k, j]
                    inverse[i, j] -= factor * inverse[k, j]
    for i in range(n):
        solution[i] = max(inverse[i, 0], 0.0)


@inner_kernel
def _value(cost: Values, basis: Values, solution: Values) -> float:
    """Value of a cost at the basic solution."""
    total = 0.0
    for i in range(len(basis)):
        total += cost[basis[i]] * solution[i]
    return total


@inner_kernel
def _direction(inverse: Values, column: Values, out: Values) -> None:
    """``inverse @ column``."""
    n = len(out)
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += inverse[i, j] * column[j]
        out[i] = total


@inner_kernel
def _maximise(cost: Values, columns: Values, limit: int, basis: Values, inverse: Values, solution: Values) -> bool:  # noqa: PLR0912 - inlined: every call of a kernel is compiled again in its caller
    """Primal simplex from a feasible basis; columns from `limit` on may not enter. False if it is unbounded."""
    n = columns.shape[1]
    in_basis = np.zeros(len(columns), dtype=np.bool_)
    price, direction = np.empty(n), np.empty(n)
    for i in range(n):
        in_basis[basis[i]] = True
    scale = 1.0
    for j in range(len(cost)):
        scale = max(scale, abs(cost[j]))
    pivots = 0
    while True:
        for j in range(n):
            price[j] = 0.0
            for i in range(n):
                price[j] += cost[basis[i]] * inverse[i, j]
        entering = -1
        best = _TOLERANCE * scale
        for j in range(limit):
            if in_basis[j]:
                continue
            gain = cost[j]
            for i in range(n):
                gain -= price[i] * columns[j, i]
            if gain > best:
                entering = j
                best = gain
                if pivots > _BLAND:
                    break
        if entering < 0:
            return True
        _direction(inverse, columns[entering], direction)
        leaving = -1
        ratio = 0.0
        for i in range(n):
            if direction[i] > _TOLERANCE:
                step = solution[i] / direction[i]
                better = leaving < 0 or step < ratio - 1e-14
                tied = leaving >= 0 and not better and step <= ratio + 1e-14 and basis[i] < basis[leaving]
                if better or tied:
                    leaving = i
                    ratio = step
        if leaving < 0:
            return False
        in_basis[basis[leaving]] = False
        in_basis[entering] = True
        basis[leaving] = entering
        _pivot(inverse, solution, direction, leaving)
        pivots += 1
        if pivots % _REFRESH == 0:
            _invert(columns, basis, inverse, solution)


@inner_kernel
def _start(columns: Values, basis: Values, inverse: Values, solution: Values) -> bool:  # noqa: PLR0912 - inlined: every call of a kernel is compiled again in its caller
    """Find a feasible basis by artificial columns (phase one); False if there is none."""
    m, n = columns.shape
    extended = np.zeros((m + n, n))
    for j in range(m):
        for i in range(n):
            extended[j, i] = columns[j, i]
    cost = np.zeros(m + n)
    for i in range(n):
        extended[m + i, i] = 1.0
        cost[m + i] = -1.0
        basis[i] = m + i
        for j in range(n):
            inverse[i, j] = 1.0 if i == j else 0.0
        solution[i] = 1.0 if i == 0 else 0.0
    _maximise(cost, extended, m, basis, inverse, solution)
    in_basis, direction = np.zeros(m, dtype=np.bool_), np.empty(n)
    for i in range(n):
        if basis[i] < m:
            in_basis[basis[i]] = True
    for i in range(n):
        if basis[i] < m:
            continue
        if solution[i] > 1e-7:
            return False
        entering, most = -1, 0.0  # any column that moves this row replaces the artificial one, at no change
        for j in range(m):
            if not in_basis[j]:
                moved = 0.0
                for k in range(n):
                    moved += columns[j, k] * inverse[i, k]
                if abs(moved) > most:
                    entering, most = j, abs(moved)
        if most < _TOLERANCE:
            return False
        basis[i] = entering
        in_basis[entering] = True
        _direction(inverse, columns[entering], direction)
        _pivot(inverse, solution, direction, i)
    _invert(columns, basis, inverse, solution)
    return True


@serial_kernel
def vertex(costs: Values, columns: Values, values: Values, vertices: Values) -> bool:
    """Solve ``max cost'x`` subject to ``columns'x = (1, 0, ..., 0)``, ``x >= 0`` for every row of `costs`.

    Parameters
    ----------
    costs : ndarray (k, m), float64
    columns : ndarray (m, n), float64
        Row j is the column of variable j in the constraints; of full rank n.
    values : ndarray (k,), float64
        Filled with the maxima.
    vertices : ndarray (k, m), float64
        Filled with the maximisers.

    Returns
    -------
    bool
        False if the constraints hold nowhere or a maximum is infinite.
    """
    n = columns.shape[1]
    basis = np.empty(n, dtype=np.int64)
    inverse = np.empty((n, n))
    solution = np.empty(n)
    if not _start(columns, basis, inverse, solution):
        return False
    for k in range(len(costs)):
        if not _maximise(costs[k], columns, len(columns), basis, inverse, solution):
            return False
        for j in range(len(columns)):
            vertices[k, j] = 0.0
        for i in range(n):
            vertices[k, basis[i]] = solution[i]
        values[k] = _value(costs[k], basis, solution)
    return True


@serial_kernel
def largest_values(costs: Values, columns: Values, values: Values) -> bool:
    """Maxima of :func:`vertex` alone, for many costs."""
    n = columns.shape[1]
    basis = np.empty(n, dtype=np.int64)
    inverse = np.empty((n, n))
    solution = np.empty(n)
    if not _start(columns, basis, inverse, solution):
        return False
    for k in range(len(costs)):
        if not _maximise(costs[k], columns, len(columns), basis, inverse, solution):
            return False
        values[k] = _value(costs[k], basis, solution)
    return True


@serial_kernel
def truncation_points(
    fixed: Values, slopes: Values, columns: Values, values: Values, reach: Values, low: Values, high: Values
) -> bool:
    """Ends of the v for which v is still the maximum under the cost ``fixed + slope v``, for every row.

    The maximum less v is convex and piecewise linear in v and zero at ``values``; its zeros are found by Newton's
    method from either side, ``reach`` away at first (an end beyond that is given as 1e300).

    Parameters
    ----------
    fixed, slopes : ndarray (k, m), float64
    columns : ndarray (m, n), float64
    values, reach, low, high : ndarray (k,), float64
        The last two are filled.

    Returns
    -------
    bool
        False as in :func:`vertex`.
    """
    n = columns.shape[1]
    basis = np.empty(n, dtype=np.int64)
    inverse = np.empty((n, n))
    solution = np.empty(n)
    cost = np.empty(len(columns))
    if not _start(columns, basis, inverse, solution):
        return False
    for k in range(len(values)):
        for side in (-1.0, 1.0):
            v = values[k] + side * reach[k]
            first = True
            while True:
                for j in range(len(cost)):
                    cost[j] = fixed[k, j] + slopes[k, j] * v
                if not _maximise(cost, columns, len(columns), basis, inverse, solution):
                    return False
                constant = _value(fixed[k], basis, solution)
                slope = _value(slopes[k], basis, solution)
                excess = constant + slope * v - v
                if excess <= 1e-9 * max(1.0, abs(v)):
                    break
                first = False
                nearer = constant / (1.0 - slope)
                if side * (nearer - values[k]) <= 0.0 or side * (v - nearer) <= 0.0:
                    v = values[k] if side * (nearer - values[k]) <= 0.0 else nearer
                    break
                v = nearer
            if side < 0:
                low[k] = -_BEYOND if first else v
            else:
                high[k] = _BEYOND if first else v
    return True
