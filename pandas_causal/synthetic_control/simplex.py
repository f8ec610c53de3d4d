"""Least squares with weights that are not negative and sum to one, solved to optimality."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pandas_causal.errors import CausalError
from pandas_causal.kernels.arrays import Floats, Values

__all__ = ["check_gaps", "kkt_residual", "placebo_time_weights", "placebo_unit_weights", "simplex_weights"]

_UNSOLVED = 1e-7


def simplex_weights(points: Floats, target: Floats, *, ridge: float = 0.0, intercept: bool = False) -> Floats:
    """Weights w >= 0, sum(w) = 1, that minimise ``|w' points + a - target|^2 + ridge |w|^2``.

    Where several weights fit equally well, those of smallest norm. The algorithm is finite (Wolfe 1976; block pivoting
    where many weights are positive); no stopping rule decides the answer.

    Parameters
    ----------
    points : ndarray (n, d)
        One row per weight.
    target : ndarray (d,)
    ridge : float
        Zero or more.
    intercept : bool
        Whether a is free (else zero).

    Returns
    -------
    ndarray (n,)

    Raises
    ------
    CausalError
        If rounding leaves a duality gap that matters.
    """
    from pandas_causal.synthetic_control.simplex_kernels import min_norm_weights

    shifted = _shifted(points, target, intercept)
    weights = np.zeros(len(shifted))
    check_gaps(np.array([min_norm_weights(shifted, float(ridge), weights)]))
    return weights


def kkt_residual(
    points: Floats, target: Floats, weights: Floats, *, ridge: float = 0.0, intercept: bool = False
) -> float:
    """Largest violation of the conditions of an optimum, beside the mean squared length of the points.

    With gradient g, an optimum has ``g_j >= w'g`` for every j, and equality where ``w_j > 0``; w on the simplex.
    """
    shifted = _shifted(points, target, intercept)
    gradient = shifted @ (weights @ shifted) + ridge * weights
    level = float(weights @ gradient)
    scale = float(np.square(shifted).sum(axis=1).mean()) + ridge or 1.0
    stationary = np.where(weights > 0, np.abs(gradient - level), np.maximum(level - gradient, 0.0))
    return float(max(stationary.max() / scale, -weights.min(), abs(weights.sum() - 1)))


def check_gaps(gaps: Floats) -> None:
    """Refuse weights whose duality gap is not rounding."""
    worst = float(gaps.max(initial=0.0))
    if not worst <= _UNSOLVED:
        raise CausalError(
            f"the weights could not be solved to optimality (relative duality gap {worst:.1e}); the outcomes of some"
            " units are nearly identical or differ by many orders of magnitude: rescale it, or leave copies out"
        )


def _shifted(points: Floats, target: Floats, intercept: bool) -> Floats:
    """Points minus target, without their means over coordinates where an intercept takes them up."""
    shifted = np.asarray(points, dtype=np.float64) - np.asarray(target, dtype=np.float64)
    if intercept:
        shifted = shifted - shifted.mean(axis=1, keepdims=True)
    return np.ascontiguousarray(shifted)


_SERIAL = 256  # runs that one core does before the others are awake


_PARTS = 64


def placebo_unit_weights(
    pool: Values, target: Values, excluded: Values, ridge: float, weights: Values, gaps: Values
) -> None:
    """Unit weights of many placebo runs: the mean of some rows of the pool is fitted by rows not excluded.

    Parameters
    ----------
    pool : ndarray (n, d), float64
        Outcomes before treatment, one row per unit (centred by row for a fit with an intercept).
    target : ndarray (runs, m), int64
        Rows that play the treated.
    excluded : ndarray (runs, q), int64
        Rows that may have no weight, those in `target` among them.
    ridge : float
    weights : ndarray (runs, n), float64
        Filled; zero for excluded rows.
    gaps : ndarray (runs,), float64
        Filled with relative duality gaps.
    """
    _for_every_run(lambda run: _unit_run(pool, target[run], excluded[run], ridge, weights[run]), gaps)


def _for_every_run(fit: Callable[[int], float], gaps: Values) -> None:
    """Fill the gaps of many runs; the kernels behind `fit` leave the interpreter free, so that threads share them."""
    if len(gaps) <= _SERIAL:
        for run in range(len(gaps)):
            gaps[run] = fit(run)
        return
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        parts = [range(k, len(gaps), _PARTS) for k in range(_PARTS)]
        for part, values in zip(parts, threads.map(lambda part: [fit(run) for run in part], parts), strict=True):
            gaps[part.start :: part.step] = values


def _unit_run(pool: Values, target: Values, excluded: Values, ridge: float, weights: Values) -> float:
    from pandas_causal.synthetic_control.simplex_kernels import min_norm_weights

    rows = np.ones(len(pool), dtype=np.bool_)
    rows[excluded] = False
    points = pool[rows] - pool[target].mean(axis=0)
    share = np.zeros(len(points))
    gap = float(min_norm_weights(points, ridge, share))
    weights[:] = 0.0
    weights[rows] = share
    return gap


def placebo_time_weights(
    pool: Values, after: Values, excluded: Values, ridge: float, weights: Values, gaps: Values
) -> None:
    """Time weights of many placebo runs: the mean after treatment of rows not excluded is fitted, with an intercept.

    Parameters
    ----------
    pool : ndarray (n, d), float64
        Outcomes before treatment.
    after : ndarray (n,), float64
        Mean outcome after it.
    excluded : ndarray (runs, q), int64
    ridge : float
    weights : ndarray (runs, d), float64
        Filled.
    gaps : ndarray (runs,), float64
        Filled with relative duality gaps.
    """
    _for_every_run(lambda run: _time_run(pool, after, excluded[run], ridge, weights[run]), gaps)


def _time_run(pool: Values, after: Values, excluded: Values, ridge: float, weights: Values) -> float:
    from pandas_causal.synthetic_control.simplex_kernels import min_norm_weights

    rows = np.ones(len(pool), dtype=np.bool_)
    rows[excluded] = False
    points = (pool[rows] - after[rows, None]).T
    centred = np.ascontiguousarray(points - points.mean(axis=1, keepdims=True))
    return float(min_norm_weights(centred, ridge, weights))
