"""Conformal tests of an effect: refit under the hypothesis, compare residuals after treatment with those before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pandas_causal.kernels.arrays import Floats
from pandas_causal.synthetic_control.augmented import ridge_step
from pandas_causal.synthetic_control.simplex import simplex_weights

__all__ = ["Proxy", "accepted_pieces", "block_statistics", "conformal_p_value"]

_GRID = 80
_NEAR, _FAR = 8, 4_096
_HALVINGS = 40


@dataclass(frozen=True)
class Proxy:
    """How the counterfactual is refitted on all periods under the hypothesis.

    Attributes
    ----------
    kind : {"simplex", "difference", "ridge"}
        Simplex weights on outcomes, the donors' mean with an intercept, or ridge-augmented simplex weights.
    ridge : float
        Of "ridge", fixed.
    """

    kind: str
    ridge: float = 0.0

    def residuals(self, treated: Floats, donors: Floats) -> Floats:
        """Residuals (T,) of the treated path, its hypothesised effect taken out, beside donors (n, T)."""
        if self.kind == "difference":
            gap = treated - donors.mean(axis=0)
            return gap - gap.mean()
        mean = donors.mean(axis=0)
        X, y = donors - mean, treated - mean
        residual = y - simplex_weights(X, y) @ X
        return residual - ridge_step(X, residual, self.ridge) @ X if self.kind == "ridge" else residual


def block_statistics(residuals: Floats, n_after: int) -> Floats:
    """Mean absolute residual of the last `n_after` periods under every cyclic shift in time; the first is as observed.

    References
    ----------
    Chernozhukov, Wuthrich and Zhu (2021), JASA 116, eq. (6) with q = 1 and moving-block permutations.
    """
    size = np.abs(residuals)
    doubled = np.concatenate([size, size])
    sums = np.convolve(doubled, np.ones(n_after), "valid")[: len(size)]
    first = len(size) - n_after
    return np.roll(sums, -first) / n_after


def conformal_p_value(residuals: Floats, n_after: int) -> float:
    """Share of cyclic shifts whose statistic is at least the observed one, itself included."""
    statistics = block_statistics(residuals, n_after)
    return float((statistics >= statistics[0] * (1 - 1e-12)).mean())


def accepted_pieces(
    p_value: Callable[[float], float], centre: float, scale: float, alpha: float
) -> list[tuple[float, float]]:
    """Intervals of values whose p-value exceeds alpha.

    Values are tried on a grid, even near the centre and widening away from it, with zero among them, until both ends
    are refused; ends of pieces are then halved in on. What is not refused 4,096 scales from the centre is unbounded.
    """
    reach = _NEAR * scale
    while reach < _FAR * scale and max(p_value(centre - reach), p_value(centre + reach)) > alpha:
        reach *= 2
    near, far = np.linspace(0, _NEAR, _GRID + 1), np.geomspace(_NEAR, max(reach / scale, _NEAR), _GRID + 1)
    steps = scale * np.concatenate([near, far[1:]]) if reach > _NEAR * scale else scale * near
    grid = np.unique(np.concatenate([centre - steps, centre + steps, [0.0] if abs(centre) < reach else []]))
    accepted = np.array([p_value(v) > alpha for v in grid])
    edges = np.flatnonzero(np.diff(np.r_[False, accepted, False].astype(int)))
    pieces = []
    for first, after in edges.reshape(-1, 2):
        low = -np.inf if first == 0 else _edge(p_value, grid[first - 1], grid[first], alpha)
        high = np.inf if after == len(grid) else _edge(p_value, grid[after], grid[after - 1], alpha)
        pieces.append((low, high))
    return pieces


def _edge(p_value: Callable[[float], float], outside: float, inside: float, alpha: float) -> float:
    """Halve in on the last accepted value."""
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        if p_value(middle) > alpha:
            inside = middle
        else:
            outside = middle
    return float(inside)
