"""Imputation of untreated outcomes in a staggered panel: cells, contributions of units, leads before treatment.

The model of the untreated outcome is ``alpha_i + lambda_t + x_it' beta``, fitted to untreated rows only. The effect of
a treated row is what it exceeds the model by; effects are averaged by cell (cohort and period).

References
----------
Borusyak, Jaravel and Spiess (2024), "Revisiting event-study designs: robust and efficient estimation", Review of
Economic Studies 91: the variance is their Theorem 3 (eq. 7), with the average effects of appendix A.8 by cohort and
period; the leave-out version is that of appendix A.9, the test of pre-trends that of eq. (9).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pandas_causal.kernels.arrays import Bools, Floats, Ints
from pandas_causal.models.fixed_effects import Absorber, pseudo_inverse
from pandas_causal.models.linear import independent_columns

__all__ = ["CONSTANT", "Imputed", "Leads", "PanelRows", "impute", "lead_effects"]

CONSTANT = 1e-10
"""Share of a covariate's variance that must be left within units: less is rounding."""
_UNREACHED = 1e-8  # how far normal equations may be off before a cell counts as not imputable


@dataclass(frozen=True, eq=False, kw_only=True)
class PanelRows:
    """Rows of a panel, sorted by unit.

    Attributes
    ----------
    y : ndarray (n,)
    unit, time : ndarray (n,)
    weight : ndarray (n,)
    X : ndarray (n, q)
    n_units, n_periods : int
    """

    y: Floats
    unit: Ints
    time: Ints
    weight: Floats
    X: Floats
    n_units: int
    n_periods: int

    def take(self, keep: Bools) -> PanelRows:
        """Some of the rows."""
        return PanelRows(
            y=self.y[keep],
            unit=self.unit[keep],
            time=self.time[keep],
            weight=self.weight[keep],
            X=self.X[keep],
            n_units=self.n_units,
            n_periods=self.n_periods,
        )

    def by_unit(self, columns: Floats) -> Floats:
        """Weighted sums by unit (N, m)."""
        return _sums(self.unit, columns, self.weight, self.n_units)

    def by_time(self, columns: Floats) -> Floats:
        """Weighted sums by period (T, m)."""
        return _sums(self.time, columns, self.weight, self.n_periods)

    def wide(self, values: Floats) -> Floats:
        """Values as units by periods (N, T), zero where there is no row."""
        out = np.zeros((self.n_units, self.n_periods))
        out[self.unit, self.time] = values
        return out


def _sums(codes: Ints, columns: Floats, weight: Floats, size: int) -> Floats:
    from pandas_causal.kernels.fixed_effects import level_sums

    out: Floats = level_sums(codes[None].astype(np.int32), np.ascontiguousarray(columns), weight, np.array([size]))
    return out


@dataclass(frozen=True, eq=False, kw_only=True)
class Imputed:
    """Average effects of the cells.

    Attributes
    ----------
    effects : ndarray (k,)
    contributions : ndarray (N, k)
        Of units; not centred where rows have weights.
    reached : ndarray (k,) of bool
        Whether untreated rows determine the untreated outcome of the cell.
    excess : ndarray (m,)
        Outcome less imputed outcome of every treated row.
    """

    effects: Floats
    contributions: Floats
    reached: Bools
    excess: Floats


@dataclass(frozen=True, eq=False)
class _Model:
    """The fit to untreated rows, unit effects concentrated out: effects of periods and covariates."""

    rows: PanelRows
    mass: Floats  # (N,) weight of a unit's untreated rows
    share: Floats  # (N, T) weights of a unit's untreated rows over periods, summing to 1
    mean_x: Floats  # (N, q) means of the covariates over a unit's untreated rows
    gram: Floats  # (T + q, T + q)
    inverse: Floats
    centre: Floats  # (q,)
    scale: Floats  # (q,)

    @classmethod
    def of(cls, rows: PanelRows) -> _Model:
        """Normal equations of periods and covariates."""
        weights = rows.wide(rows.weight)
        mass = np.maximum(weights.sum(axis=1), np.finfo(float).tiny)
        share = weights / mass[:, None]
        scale = rows.X.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        centre = rows.X.mean(axis=0)
        X = (rows.X - centre) / scale
        mean_x = rows.by_unit(X) / mass[:, None]
        within = X - mean_x[rows.unit]
        T, q = rows.n_periods, X.shape[1]
        gram = np.zeros((T + q, T + q))
        gram[:T, :T] = np.diag(weights.sum(axis=0)) - weights.T @ share
        if q:
            gram[:T, T:] = rows.by_time(within)
            gram[T:, :T] = gram[:T, T:].T
            gram[T:, T:] = (within * rows.weight[:, None]).T @ within
            constant = T + np.flatnonzero(np.diag(gram)[T:] < CONSTANT * weights.sum())
            gram[constant, :] = gram[:, constant] = 0.0
        mass_all = np.concatenate([weights.sum(axis=0), np.maximum(np.diag(gram)[T:], 0.0)])
        return cls(rows, mass, share, mean_x, gram, pseudo_inverse(gram, mass_all), centre, scale)

    def within(self, rows: PanelRows) -> Floats:
        """Covariates of rows less the mean of their unit's untreated rows, on the scale of the fit."""
        out: Floats = (rows.X - self.centre) / self.scale - self.mean_x[rows.unit]
        return out

    @cached_property
    def mean_y(self) -> Floats:
        """Mean untreated outcome (N,) of every unit."""
        return self.rows.by_unit(self.rows.y[:, None])[:, 0] / self.mass

    def fit(self) -> tuple[Floats, Floats]:
        """Coefficients (T + q,) and residuals (n,) of the untreated rows."""
        rows = self.rows
        within = rows.y - self.mean_y[rows.unit]
        X = self.within(rows)
        right = np.concatenate([rows.by_time(within[:, None])[:, 0], X.T @ (rows.weight * within)])
        coefficients = self.inverse @ right
        coefficients += self.inverse @ (right - self.gram @ coefficients)
        return coefficients, within - self.fitted(coefficients, rows, X)

    def fitted(self, coefficients: Floats, rows: PanelRows, X_within: Floats) -> Floats:
        """Deviation of rows from the untreated mean of their unit."""
        T = rows.n_periods
        periods, beta = coefficients[:T], coefficients[T:]
        level = self.share @ periods
        return periods[rows.time] - level[rows.unit] + X_within @ beta


def impute(untreated: PanelRows, treated: PanelRows, cell: Ints, n_cells: int, *, leave_out: bool = False) -> Imputed:
    """Average effects of cells of treated rows, with contributions of the units.

    Parameters
    ----------
    untreated, treated : PanelRows
        Every unit of `treated` has rows in `untreated`.
    cell : ndarray (m,)
        Cell of every treated row.
    n_cells : int
    leave_out : bool
        Compare every treated row with the average effect of the others of its cell (appendix A.9).
    """
    model = _Model.of(untreated)
    coefficients, residuals = model.fit()
    X = model.within(treated)
    excess = treated.y - model.mean_y[treated.unit] - model.fitted(coefficients, treated, X)
    total = np.bincount(cell, treated.weight, n_cells)
    within_cell = treated.weight / total[cell]
    effects = np.asarray(np.bincount(cell, within_cell * excess, n_cells), dtype=np.float64)
    targets = _targets(model, treated, cell, within_cell, X, n_cells)
    directions = model.inverse @ targets
    directions += model.inverse @ (targets - model.gram @ directions)
    reached = np.abs(model.gram @ directions - targets).max(axis=0) < _UNREACHED
    contributions = _untreated_part(model, residuals, directions)
    squares = np.bincount(cell, within_cell**2, n_cells)
    centre = np.bincount(cell, within_cell**2 * excess, n_cells) / squares
    deviation = within_cell * (excess - centre[cell])
    if leave_out:
        rest = 1.0 - within_cell**2 / squares[cell]
        deviation = np.divide(deviation, rest, out=np.zeros_like(deviation), where=rest > 0)
    contributions[treated.unit, cell] += deviation
    return Imputed(effects=effects, contributions=contributions, reached=reached, excess=excess)


def _targets(model: _Model, treated: PanelRows, cell: Ints, share: Floats, X: Floats, n_cells: int) -> Floats:
    """Mean regressors of the cells (T + q, k), less those of their units' untreated rows."""
    T, q = treated.n_periods, X.shape[1]
    out = np.zeros((T + q, n_cells))
    order = np.argsort(cell, kind="stable")
    stops = np.cumsum(np.bincount(cell, minlength=n_cells))
    for k, at in enumerate(np.split(order, stops[:-1])):
        w = share[at]
        out[:T, k] = np.bincount(treated.time[at], w, T) - w @ model.share[treated.unit[at]]
        out[T:, k] = w @ X[at]
    return out


def _untreated_part(model: _Model, residuals: Floats, directions: Floats) -> Floats:
    """Contributions (N, k) of the untreated rows: minus the imputation weights times the residuals, by unit."""
    rows, T = model.rows, model.rows.n_periods
    scores = rows.wide(rows.weight * residuals)
    out = scores @ directions[:T]
    if directions.shape[0] > T:
        within = model.within(rows)
        out += rows.by_unit(within * residuals[:, None]) @ directions[T:]
    return np.negative(out, out=out)


@dataclass(frozen=True, eq=False)
class Leads:
    """Coefficients of leads of treatment among untreated rows.

    Attributes
    ----------
    events : list of int
        Periods since treatment, all negative; leads that are not identified are left out.
    effects : ndarray (k,)
    contributions : ndarray (N, k)
    n_parameters : int
        Coefficients fitted beside the absorbed effects.
    """

    events: list[int]
    effects: Floats
    contributions: Floats
    n_parameters: int


def lead_effects(untreated: PanelRows, event: Ints, events: Sequence[int]) -> Leads:
    """Regress untreated outcomes on units, periods, covariates and indicators of the periods before treatment.

    Parameters
    ----------
    untreated : PanelRows
    event : ndarray (n,)
        Periods since treatment.
    events : sequence of int
        Leads to estimate; the reference are all earlier periods and the never treated.
    """
    dummies = np.column_stack([(event == e).astype(float) for e in events])
    scale = untreated.X.std(axis=0)
    X = untreated.X / np.where(scale > 0, scale, 1.0)
    time = np.unique(untreated.time, return_inverse=True)[1]
    unit = np.unique(untreated.unit, return_inverse=True)[1]
    absorber = Absorber.of([unit, time], untreated.weight)
    within = absorber.residuals(np.column_stack([untreated.y, X, dummies]))
    y, Z = within[:, 0], within[:, 1:]
    raw = np.concatenate([np.ones(X.shape[1]), dummies.sum(axis=0)])
    gram = (Z * untreated.weight[:, None]).T @ Z
    # a lead that the absorbed effects explain leaves rounding only, and rounding must not count as variation
    gram[np.diag(gram) < 1e-9 * np.maximum(raw, 1.0), :] = 0.0
    kept = independent_columns(gram)
    inverse = np.linalg.inv(gram[np.ix_(kept, kept)]) if len(kept) else np.zeros((0, 0))
    Z = Z[:, kept]
    coefficients = inverse @ (Z.T @ (untreated.weight * y))
    scores = (
        untreated.by_unit(Z * (y - Z @ coefficients)[:, None]) @ inverse
        if len(kept)
        else np.zeros((untreated.n_units, 0))
    )
    leads = np.flatnonzero(kept >= X.shape[1])
    unidentified = [events[int(kept[j]) - X.shape[1]] for j in leads]
    return Leads(unidentified, coefficients[leads], scores[:, leads], len(kept))
