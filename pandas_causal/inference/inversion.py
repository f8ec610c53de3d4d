"""Sets of effects that a test accepts, where only its p-value can be computed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["accepted_pieces"]

_GRID = 80
_NEAR, _FAR = 8, 4_096
_HALVINGS = 40


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
