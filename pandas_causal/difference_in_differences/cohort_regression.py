"""Least squares on units, periods and every cell of treated cohorts: from moments by cohort and period.

Unit effects are concentrated out by subtracting means; what remains is a system in periods, cells and covariates whose
coefficients are sums over the units of a cohort. No dummy is ever formed.

References
----------
Sun and Abraham (2021), "Estimating dynamic treatment effects in event studies with heterogeneous treatment effects",
Journal of Econometrics 225, section 4 (the first step of the interaction-weighted estimator).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    S, right = np.zeros((T + k + q, T + k + q)), np.zeros(T + k + q)
    place = _places(cohort, cells, T)
    for units, own, times in place:
        w = weights[units]
        gram = np.diag(w.sum(axis=0)) - w.T @ (w / mass[units, None])
        moments = np.column_stack([s[units].sum(axis=0) for s in sums])
        S[:T, :T] += gram
        S[:T, own] += gram[:, times]
        S[own, :T] += gram[times]
        S[np.ix_(own, own)] = gram[np.ix_(times, times)]
        S[:T, T + k :] += moments[:, 1:]
        S[own, T + k :] = moments[times, 1:]
        right[:T] += moments[:, 0]
        right[own] = moments[times, 0]
    S[T + k :, : T + k] = S[: T + k, T + k :].T
    S[T + k :, T + k :] = (within[:, 1:] * rows.weight[:, None]).T @ within[:, 1:]
    constant = T + k + np.flatnonzero(np.diag(S)[T + k :] < CONSTANT * weights.sum())
    S[constant, :] = S[:, constant] = 0.0
    right[T + k :] = within[:, 1:].T @ (rows.weight * within[:, 0])
    inverse = pseudo_inverse(S, np.maximum(np.diag(S), 0.0))
    coefficients = inverse @ right
    coefficients += inverse @ (right - S @ coefficients)
    residuals = sums[0] - _fitted(weights, mass, sums[1:], coefficients, place)
    contributions = _scores(rows, residuals, within[:, 1:], inverse[:, T : T + k], place)
    departure = S @ inverse[:, T : T + k] - np.eye(len(S))[:, T : T + k]
    reached = np.abs(departure).max(axis=0, initial=0.0) < _UNREACHED
    return Saturated(
        effects=coefficients[T : T + k],
        contributions=contributions,
        reached=reached,
        n_parameters=int(reached.sum()) + _rank(S, T, k),
    )


def _rank(S: Floats, T: int, k: int) -> int:
    """Covariates that periods, cells and the covariates before them do not explain."""
    q = len(S) - T - k
    if not q:
        return 0
    others = S[: T + k, : T + k]
    cross = S[: T + k, T + k :]
    rest = S[T + k :, T + k :] - cross.T @ pseudo_inverse(others, np.maximum(np.diag(others), 0.0)) @ cross
    rest[np.diag(rest) < CONSTANT * np.diag(S)[T + k :], :] = 0.0
    return len(independent_columns(rest))


def _places(cohort: Ints, cells: Sequence[tuple[int, int]], n_periods: int) -> list[tuple[Positions, Ints, Ints]]:
    """For each cohort: its units, the positions of its cells among the coefficients, and their periods."""
    first = np.array([g for g, _ in cells], dtype=np.int64)
    period = np.array([t for _, t in cells], dtype=np.int64)
    out = []
    for g in np.unique(cohort):
        at = np.flatnonzero(first == g)
        out.append((np.flatnonzero(cohort == g), n_periods + at, period[at]))
    return out


def _fitted(
    weights: Floats, mass: Floats, X: list[Floats], coefficients: Floats, place: list[tuple[Ints, Ints, Ints]]
) -> Floats:
    """Weighted fitted deviations from unit means (N, T)."""
    T = weights.shape[1]
    out = np.zeros_like(weights)
    for units, own, times in place:
        level = coefficients[:T].copy()
        level[times] += coefficients[own]
        w = weights[units]
        out[units] = w * (level - (w @ level / mass[units])[:, None])
    for x, beta in zip(X, coefficients[len(coefficients) - len(X) :], strict=True):
        out += beta * x
    return out


def _scores(
    rows: PanelRows, residuals: Floats, X: Floats, directions: Floats, place: list[tuple[Ints, Ints, Ints]]
) -> Floats:
    """Contributions (N, k): scores of the units times the columns of the inverse."""
    T, q = rows.n_periods, X.shape[1]
    out = np.empty((rows.n_units, directions.shape[1]))
    for units, own, times in place:
        e = residuals[units]
        out[units] = e @ directions[:T] + e[:, times] @ directions[own]
    if q:
        weighted = X * residuals[rows.unit, rows.time][:, None]
        sums = np.column_stack([np.bincount(rows.unit, column, rows.n_units) for column in weighted.T])
        out += sums @ directions[len(directions) - q :]
    return out
