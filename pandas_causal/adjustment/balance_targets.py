"""What weights balance, and whether any weights can: functions of the covariates and the hull that rows span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pandas_causal.kernels.arrays import Floats

__all__ = ["Features", "Infeasible", "hull_gap", "unreachable"]

Names = Sequence[str]


# -- what is balanced --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Features:
    """Functions of the encoded covariates whose means are balanced: the columns, their powers and products.

    Powers and products are of centred and scaled columns. Beside the columns themselves that spans the same functions,
    so exact balance is the same, and it is solved accurately.

    Attributes
    ----------
    centre, scale : ndarray (q,)
    powers : tuple of (column, exponent)
        A column of k values has k - 1 powers that differ.
    products : tuple of (column, column)
    names : list of str
    """

    centre: Floats
    scale: Floats
    powers: tuple[tuple[int, int], ...]
    products: tuple[tuple[int, int], ...]
    names: list[str]

    @classmethod
    def of(cls, X: Floats, names: Names, moments: int = 1, interactions: bool = False) -> Features:
        """Lay out the functions of these columns (n, q)."""
        q = X.shape[1]
        if moments == 1 and not interactions:
            return cls(np.zeros(q), np.ones(q), (), (), list(names))
        centre, scale = X.mean(axis=0), X.std(axis=0)
        powers = []
        for j in range(q):
            distinct = len(np.unique(X[:1_000, j])) if moments > 1 else 2
            if distinct <= moments and len(X) > 1_000:
                distinct = len(np.unique(X[:, j]))
            powers += [(j, k) for k in range(2, min(moments, distinct - 1) + 1)]
        products = [(i, j) for i in range(q) for j in range(i + 1, q)] if interactions else []
        labels = [
            *names,
            *(f"{names[j]}^{k}" for j, k in powers),
            *(f"{names[i]} * {names[j]}" for i, j in products),
        ]
        return cls(centre, np.where(scale > 0, scale, 1.0), tuple(powers), tuple(products), labels)

    def on(self, X: Floats) -> Floats:
        """Values (n, m) of the functions; the matrix itself where they are its columns."""
        if not self.powers and not self.products:
            return X
        q = X.shape[1]
        out = np.empty((len(X), len(self.names)))
        out[:, :q] = X
        Z = (X - self.centre) / self.scale
        for at, (j, k) in enumerate(self.powers):
            out[:, q + at] = Z[:, j] ** k
        for at, (i, j) in enumerate(self.products):
            np.multiply(Z[:, i], Z[:, j], out=out[:, q + len(self.powers) + at])
        return out


# -- whether a target can be reached -----------------------------------------------------------------------------------


class Infeasible(Exception):  # noqa: N818 - caught inside the package, where it becomes an OverlapError with names
    """No weights reach the target.

    Attributes
    ----------
    gap : float
        Smallest largest difference, in units of `unit`, that nonnegative weights leave; 0 on the edge of what can be
        reached.
    columns : list of int
        Columns that stand in the way, the worst first.
    """

    def __init__(self, gap: float, columns: list[int]) -> None:
        super().__init__(gap, columns)
        self.gap, self.columns = gap, columns


def hull_gap(Z: Floats, target: Floats, unit: Floats | None = None) -> tuple[float, Floats]:
    """How far a target lies outside the convex hull of the rows.

    Solves ``min t`` over shares w >= 0 with ``|sum_i w_i z_ij - target_j| <= t unit_j``. Rows enter the linear
    programme as its dual prices ask for them, so that its size does not follow the number of rows.

    Parameters
    ----------
    Z : ndarray (m, p)
    target : ndarray (p,)
    unit : ndarray (p,), optional
        Units in which a difference counts; 1 by default.

    Returns
    -------
    gap : float
        t, 0 inside the hull.
    direction : ndarray (p,)
        Prices of the differences: where the gap is positive, ``direction'z < direction'target`` for every row.
    """
    from scipy.optimize import linprog

    unit = np.ones(len(target)) if unit is None else unit
    rows = np.unique(
        np.concatenate([Z.argmax(axis=0), Z.argmin(axis=0), [int((Z @ (target - Z.mean(axis=0))).argmax())]])
    )
    gap, direction = np.inf, np.zeros(len(target))
    for _ in range(200):
        z = Z[rows].T
        A = np.vstack([np.hstack([z, -unit[:, None]]), np.hstack([-z, -unit[:, None]])])
        equal = np.append(np.ones(len(rows)), 0.0)[None]
        cost = np.append(np.zeros(len(rows)), 1.0)
        solution = linprog(cost, A, np.concatenate([target, -target]), equal, [1.0], method="highs")
        if not solution.success:
            break
        gap = float(solution.fun)
        prices = -solution.ineqlin.marginals
        direction = prices[len(target) :] - prices[: len(target)]
        reduced = -Z @ direction - solution.eqlin.marginals[0]
        worst = np.argsort(reduced)[:20]
        entering = np.setdiff1d(worst[reduced[worst] < -1e-9], rows)
        if not len(entering) or gap < 1e-12:
            break
        rows = np.concatenate([rows, entering])
    return gap, direction


def unreachable(Z: Floats, target: Floats, unit: Floats, tolerance: float = 0.0) -> Infeasible:
    """Say what stands in the way: Z (m, p) without intercept."""
    gap, direction = hull_gap(Z, target, unit)
    if gap <= max(tolerance, 1e-9):
        low, high = Z.min(axis=0), Z.max(axis=0)
        edge = np.minimum(target - low, high - target) / np.maximum(high - low, np.finfo(float).tiny)
        return Infeasible(gap, [int(j) for j in np.argsort(edge, kind="stable")[:3]])
    part = np.abs(direction * unit)
    worst = np.argsort(-part, kind="stable")
    return Infeasible(gap, [int(j) for j in worst if part[j] > 0.05 * part.max()][:5])
