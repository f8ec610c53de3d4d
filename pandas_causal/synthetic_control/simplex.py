"""Least squares with weights that are not negative and sum to one, solved to optimality."""

from __future__ import annotations

import numpy as np

from pandas_causal.errors import CausalError
from pandas_causal.kernels.arrays import Floats

__all__ = ["check_gaps", "kkt_residual", "simplex_weights"]

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
