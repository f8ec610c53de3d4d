"""Least squares on units, periods and every cell of treated cohorts: from moments by cohort and period.

Unit effects are concentrated out by subtracting means; what remains is a system in periods, cells and covariates whose
coefficients are sums over the units of a cohort. No dummy is ever formed.

References
----------
Sun and Abraham (2021), "Estimating dynamic treatment effects in event studies with heterogeneous treatment effects",
Journal of Econometrics 225, section 4 (the first step of the interaction-weighted estimator).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pandas_causal.difference_in_differences.imputation import CONSTANT, PanelRows
from pandas_causal.kernels.arrays import Bools, Floats, Ints, Positions
from pandas_causal.models.fixed_effects import pseudo_inverse
from pandas_causal.models.linear import independent_columns

__all__ = ["Saturated", "cohort_period_regression"]

_UNREACHED = 1e-7


@dataclass(frozen=True, eq=False, kw_only=True)
class Saturated:
    """Coefficients of the cells.

    Attributes
    ----------
    effects : ndarray (k,)
    contributions : ndarray (N, k)
    reached : ndarray (k,) of bool
        Whether the regression determines the cell.
    n_parameters : int
        Coefficients of cells and covariates.
    """

    effects: Floats
    contributions: Floats
    reached: Bools
    n_parameters: int


def cohort_period_regression(rows: PanelRows, cohort: Ints, cells: Sequence[tuple[int, int]]) -> Saturated:
    """Regress the outcome on units, periods, covariates and one indicator for every cell.

    Parameters
    ----------
    rows : PanelRows
    cohort : ndarray (N,)
        Cohort of every unit.
    cells : sequence of (cohort, period)
        The cells with an indicator; what is left out of a cohort is its reference.
    """
    T, k, q = rows.n_periods, len(cells), rows.X.shape[1]
    weights = rows.wide(rows.weight)
    mass = np.maximum(weights.sum(axis=1), np.finfo(float).tiny)
    scale = rows.X.std(axis=0)
    X = (rows.X - rows.X.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    within = np.column_stack([rows.y, X])
    within -= (rows.by_unit(within) / mass[:, None])[rows.unit]
    sums = [rows.wide(rows.weight * column) for column in within.T]  # outcome, then covariates
    place = _places(cohort, cells)
    system = _System.of(weights, mass, sums, place, q)
    common = np.arange(T, T + q)
    system.shared[T:, T:] = (within[:, 1:] * rows.weight[:, None]).T @ within[:, 1:]
    constant = common[np.diag(system.shared)[T:] < CONSTANT * weights.sum()]
    system.shared[constant, :] = system.shared[:, constant] = 0.0
    for block in system.blocks:
        block.cross[constant] = 0.0
    system.right[T:] = within[:, 1:].T @ (rows.weight * within[:, 0])
    solver = _Solver.of(system)
    effects = [np.zeros(len(block.own)) for block in system.blocks]
    level = np.zeros(T + q)
    for _ in range(2):  # the second time what rounding left
        left, of_blocks = system.left(level, effects)
        step, of_steps = solver.solve(left, of_blocks)
        level, effects = level + step, [e + d for e, d in zip(effects, of_steps, strict=True)]
    residuals = sums[0] - _fitted(weights, mass, sums[1:], level, effects, place)
    coefficients, reached = np.zeros(k), np.zeros(k, dtype=bool)
    for block, effect in zip(system.blocks, effects, strict=True):
        coefficients[block.own] = effect
    for block, fine in zip(system.blocks, solver.reached(system), strict=True):
        reached[block.own] = fine
    return Saturated(
        effects=coefficients,
        contributions=_scores(rows, residuals, within[:, 1:], solver, place, k),
        reached=reached,
        n_parameters=int(reached.sum()) + _rank(solver.rest, np.diag(system.shared)[T:], T),
    )


class _Place(NamedTuple):
    """A cohort: its units, which of the cells are its own, and their periods."""

    units: Positions
    own: Ints
    times: Ints


class _Block(NamedTuple):
    """Normal equations of one cohort's cells (m,): their Gram matrix, and (T + q, m) with periods and covariates."""

    own: Ints
    gram: Floats
    cross: Floats
    right: Floats


@dataclass(frozen=True, eq=False)
class _System:
    """Normal equations in periods and covariates (T + q), which all cohorts share, and cells, which they do not.

    Cells of different cohorts have no unit in common: their Gram matrix is one of blocks.
    """

    shared: Floats
    right: Floats
    blocks: list[_Block]

    @classmethod
    def of(cls, weights: Floats, mass: Floats, sums: list[Floats], place: Sequence[_Place], q: int) -> _System:
        """Without the products of covariates among themselves and with the outcome."""
        T = weights.shape[1]
        shared, right, blocks = np.zeros((T + q, T + q)), np.zeros(T + q), []
        for units, own, times in place:
            w = weights[units]
            gram = np.diag(w.sum(axis=0)) - w.T @ (w / mass[units, None])
            moments = np.column_stack([s[units].sum(axis=0) for s in sums])
            shared[:T, :T] += gram
            shared[:T, T:] += moments[:, 1:]
            right[:T] += moments[:, 0]
            cross = np.vstack([gram[:, times], moments[times, 1:].T])
            blocks.append(_Block(own, gram[np.ix_(times, times)], cross, moments[times, 0]))
        shared[T:, :T] = shared[:T, T:].T
        return cls(shared, right, blocks)

    def left(self, level: Floats, effects: Sequence[Floats]) -> tuple[Floats, list[Floats]]:
        """What a solution leaves of the right sides."""
        common = self.right - self.shared @ level
        of_blocks = []
        for block, effect in zip(self.blocks, effects, strict=True):
            common -= block.cross @ effect
            of_blocks.append(block.right - block.cross.T @ level - block.gram @ effect)
        return common, of_blocks


@dataclass(frozen=True, eq=False)
class _Solver:
    """A generalised inverse of the system: cells are eliminated cohort by cohort, then periods and covariates solved.

    Attributes
    ----------
    rest : ndarray (T + q, T + q)
        Normal equations of periods and covariates without what cells explain.
    inverse : ndarray (T + q, T + q)
        Its pseudo-inverse.
    grams : list of ndarray (m, m)
        Pseudo-inverses of the cells' Gram matrices.
    slopes : list of ndarray (T + q, m)
        Of periods and covariates on cells.
    """

    rest: Floats
    inverse: Floats
    grams: list[Floats]
    slopes: list[Floats]

    @classmethod
    def of(cls, system: _System) -> _Solver:
        grams = [pseudo_inverse(b.gram, np.maximum(np.diag(b.gram), 0.0)) for b in system.blocks]
        slopes = [b.cross @ inverse for b, inverse in zip(system.blocks, grams, strict=True)]
        rest = system.shared - sum(s @ b.cross.T for s, b in zip(slopes, system.blocks, strict=True))
        return cls(rest, pseudo_inverse(rest, np.maximum(np.diag(system.shared), 0.0)), grams, slopes)

    def solve(self, right: Floats, of_blocks: Sequence[Floats]) -> tuple[Floats, list[Floats]]:
        """Solve for periods and covariates, and the cells of every cohort."""
        reduced = right - sum((s @ r for s, r in zip(self.slopes, of_blocks, strict=True)), np.zeros(len(right)))
        level = self.inverse @ reduced
        cells = [g @ r - s.T @ level for g, s, r in zip(self.grams, self.slopes, of_blocks, strict=True)]
        return level, cells

    def reached(self, system: _System) -> Iterator[Bools]:
        """Whether the regression determines the cells of every cohort: their unit vectors lie in its range."""
        for block, gram, slopes in zip(system.blocks, self.grams, self.slopes, strict=True):
            above = slopes - self.rest @ (self.inverse @ slopes)
            among = block.gram @ gram - np.eye(len(gram))
            departure = np.maximum(np.abs(above).max(axis=0, initial=0.0), np.abs(among).max(axis=0, initial=0.0))
            yield departure < _UNREACHED


def _rank(rest: Floats, own: Floats, T: int) -> int:
    """Covariates that periods, cells and the covariates before them do not explain.

    `rest` has what cells leave of periods and covariates, `own` (q,) the covariates' sums of squares.
    """
    if not len(own):
        return 0
    periods, cross = rest[:T, :T], rest[:T, T:]
    left = rest[T:, T:] - cross.T @ pseudo_inverse(periods, np.maximum(np.diag(periods), 0.0)) @ cross
    left[np.diag(left) < CONSTANT * own, :] = 0.0
    return len(independent_columns(left))


def _places(cohort: Ints, cells: Sequence[tuple[int, int]]) -> list[_Place]:
    first = np.array([g for g, _ in cells], dtype=np.int64)
    period = np.array([t for _, t in cells], dtype=np.int64)
    out = []
    for g in np.unique(cohort):
        at = np.flatnonzero(first == g)
        out.append(_Place(np.flatnonzero(cohort == g), at, period[at]))
    return out


def _fitted(
    weights: Floats,
    mass: Floats,
    X: list[Floats],
    level: Floats,
    effects: Sequence[Floats],
    place: Sequence[_Place],
) -> Floats:
    """Weighted fitted deviations from unit means (N, T)."""
    T = weights.shape[1]
    out = np.zeros_like(weights)
    for (units, _, times), effect in zip(place, effects, strict=True):
        of_cohort = level[:T].copy()
        of_cohort[times] += effect
        w = weights[units]
        out[units] = w * (of_cohort - (w @ of_cohort / mass[units])[:, None])
    for x, beta in zip(X, level[T:], strict=True):
        out += beta * x
    return out


def _scores(rows: PanelRows, residuals: Floats, X: Floats, solver: _Solver, place: Sequence[_Place], k: int) -> Floats:
    """Contributions (N, k): scores of the units times the columns of the inverse that belong to cells."""
    shared = np.empty((rows.n_units, len(solver.rest)))
    shared[:, : rows.n_periods] = residuals
    if X.shape[1]:
        weighted = X * residuals[rows.unit, rows.time][:, None]
        shared[:, rows.n_periods :] = np.column_stack(
            [np.bincount(rows.unit, column, rows.n_units) for column in weighted.T]
        )
    slopes = np.zeros((len(solver.rest), k))
    for (units, own, times), of_cells in zip(place, solver.slopes, strict=True):
        shared[units] -= residuals[np.ix_(units, times)] @ of_cells.T
        slopes[:, own] = of_cells
    out = -(shared @ (solver.inverse @ slopes))
    for (units, own, times), gram in zip(place, solver.grams, strict=True):
        out[np.ix_(units, own)] += residuals[np.ix_(units, times)] @ gram
    return out
