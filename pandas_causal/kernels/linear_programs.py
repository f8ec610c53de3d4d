"""Small linear programmes solved many times: only the objective changes, so each starts from the last one's basis."""

from __future__ import annotations

from typing import Any

import numpy as np

from pandas_causal.kernels import serial_kernel

__all__ = ["largest_values", "truncation_points", "vertex"]

_TOLERANCE = 1e-9
_REFRESH = 64  # pivots after which the inverse is computed anew, against the drift of its updates
_BEYOND = 1e300  # stands for infinity, which fast arithmetic must not meet
_BLAND = 500  # pivots after which the lowest index enters, so that ties cannot cycle


@serial_kernel
def _pivot(inverse: Any, solution: Any, direction: Any, row: int) -> None:
    """Bring the column with ``direction = inverse @ column`` into the basis at `row`."""
    n = len(solution)
    inverse[row] /= direction[row]
    solution[row] /= direction[row]
    for i in range(n):
        if i != row and direction[i] != 0.0:
            inverse[i] -= direction[i] * inverse[row]
            solution[i] -= direction[i] * solution[row]
    for i in range(n):
        solution[i] = max(solution[i], 0.0)


@serial_kernel
def _maximise(cost: Any, columns: Any, limit: int, basis: Any, inverse: Any, solution: Any) -> bool:
    """Primal simplex from a feasible basis; columns from `limit` on may not enter. False if it is unbounded."""
    n = columns.shape[1]
    in_basis = np.zeros(len(columns), dtype=np.bool_)
    in_basis[basis] = True
    scale = max(1.0, np.abs(cost).max())
    pivots = 0
    while True:
        price = np.dot(cost[basis], inverse)
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
        direction = np.dot(inverse, columns[entering])
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
            inverse[:] = np.linalg.inv(columns[basis].T.copy())
            solution[:] = np.maximum(inverse[:, 0], 0.0)


@serial_kernel
def _start(columns: Any, basis: Any, inverse: Any, solution: Any) -> bool:
    """Find a feasible basis by artificial columns (phase one); False if there is none."""
    m, n = columns.shape
    extended = np.zeros((m + n, n))
    extended[:m] = columns
    cost = np.zeros(m + n)
    for i in range(n):
        extended[m + i, i] = 1.0
        cost[m + i] = -1.0
        basis[i] = m + i
    inverse[:] = np.eye(n)
    solution[:] = 0.0
    solution[0] = 1.0
    _maximise(cost, extended, m, basis, inverse, solution)
    for i in range(n):
        if basis[i] < m:
            continue
        if solution[i] > 1e-7:
            return False
        row = np.dot(columns, inverse[i])  # any column that moves this row replaces the artificial one, at no change
        for k in range(n):
            if basis[k] < m:
                row[basis[k]] = 0.0
        j = np.argmax(np.abs(row))
        if abs(row[j]) < _TOLERANCE:
            return False
        basis[i] = j
        _pivot(inverse, solution, np.dot(inverse, columns[j]), i)
    inverse[:] = np.linalg.inv(columns[basis].T.copy())
    solution[:] = np.maximum(inverse[:, 0], 0.0)
    return True


@serial_kernel
def vertex(costs: Any, columns: Any, values: Any, vertices: Any) -> bool:
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
        vertices[k] = 0.0
        total = 0.0
        for i in range(n):
            vertices[k, basis[i]] = solution[i]
            total += costs[k, basis[i]] * solution[i]
        values[k] = total
    return True


@serial_kernel
def largest_values(costs: Any, columns: Any, values: Any) -> bool:
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
        values[k] = np.dot(costs[k][basis], solution)
    return True


@serial_kernel
def truncation_points(fixed: Any, slopes: Any, columns: Any, values: Any, reach: Any, low: Any, high: Any) -> bool:
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
    if not _start(columns, basis, inverse, solution):
        return False
    for k in range(len(values)):
        for side in (-1.0, 1.0):
            v = values[k] + side * reach[k]
            first = True
            while True:
                cost = fixed[k] + slopes[k] * v
                if not _maximise(cost, columns, len(columns), basis, inverse, solution):
                    return False
                constant = np.dot(fixed[k][basis], solution)
                slope = np.dot(slopes[k][basis], solution)
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
