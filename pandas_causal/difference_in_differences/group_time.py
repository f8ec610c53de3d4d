"""Group-time effects: which cells a staggered panel has, and each as a comparison of two groups in two periods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np

from pandas_causal.difference_in_differences.doubly_robust import (
    Propensity,
    compare_changes,
    compare_rows,
    propensity,
    separating_column,
)
from pandas_causal.errors import CausalDataError, OverlapError, Problem
from pandas_causal.kernels.arrays import Bools, Floats, Ints, Positions
from pandas_causal.models.linear import StandardisedMatrix
from pandas_causal.panels.panel import Panel

__all__ = [
    "Cell",
    "CellCounts",
    "CellSettings",
    "GroupTime",
    "ReferenceEvent",
    "Shares",
    "estimate_cells",
    "plan_cells",
]


class ReferenceEvent(int):
    """Periods since treatment of a reference row: equal to the number, and says what it is when printed."""

    def __repr__(self) -> str:
        return f"{int(self)} (reference)"

    __str__ = __repr__


class Cell(NamedTuple):
    """Positions of a cohort's first treated period, of the period looked at and of the period compared with."""

    cohort: int
    time: int
    base: int

    @property
    def is_reference(self) -> bool:
        """Whether the period is its own base."""
        return self.time == self.base


@dataclass(frozen=True, eq=False, kw_only=True)
class CellSettings:
    """Settings of the comparison.

    Attributes
    ----------
    control_group : {"never_treated", "not_yet_treated"}
    base_period : {"varying", "universal"}
    anticipation : int
    method : {"dr", "dr_improved", "ipw", "regression"}
    by_rows : bool
        Compare rows of two periods (cross-sections) instead of changes of units.
    """

    control_group: str = "never_treated"
    base_period: str = "varying"
    anticipation: int = 0
    method: str = "dr"
    by_rows: bool = False


@dataclass(frozen=True, eq=False)
class Shares:
    """Estimated shares of cohorts, by which averages weight their cells.

    Attributes
    ----------
    cohorts : ndarray (G,)
        Positions of first treatment.
    values : ndarray (G,)
    contributions : ndarray (N, G)
        ``(w_i 1[G_i = g] - share) / N`` of every unit.
    """

    cohorts: Ints
    values: Floats
    contributions: Floats

    def __len__(self) -> int:
        return len(self.values)


class CellCounts(NamedTuple):
    """Cells (K,), and how many units (in cross-sections rows) stand on both sides of each."""

    cells: list[Cell]
    n_treated: Ints
    n_control: Ints


@dataclass(frozen=True, eq=False, kw_only=True)
class GroupTime:
    """Estimated cells.

    Attributes
    ----------
    cells : list of Cell (K,)
    att : ndarray (K,)
    contributions : ndarray (N, K + G), column-major
        One row per unit: of the cells, then of the cohort shares.
    shares : Shares (G,)
        Of the cohorts that averages weight the cells by.
    n_treated, n_control : ndarray (K,)
        Units compared (in cross-sections: rows, of the period that has fewer).
    left_out : list of Cell
        Cells without a unit to compare.
    overlap : list of (cell, n_trimmed, share_extreme)
        Of every propensity fitted: untreated units beyond 0.995, weighted share of treated units beyond 0.99.
    """

    cells: list[Cell]
    att: Floats
    contributions: Floats
    shares: Shares
    n_treated: Ints
    n_control: Ints
    left_out: list[Cell]
    overlap: list[tuple[Cell, int, float]] = field(default_factory=list)

    @property
    def counts(self) -> CellCounts:
        """Units behind every cell."""
        return CellCounts(self.cells, self.n_treated, self.n_control)

    @classmethod
    def of(cls, panel: Panel, cells: list[Cell], shares: Shares, left_out: list[Cell]) -> GroupTime:
        """Cells without estimates yet, and the shares' contributions in place."""
        K = len(cells)
        contributions = np.zeros((panel.n_units, K + len(shares)), order="F")
        contributions[:, K:] = shares.contributions
        counts = np.zeros(K, dtype=np.int64)
        return cls(
            cells=cells,
            att=np.zeros(K),
            contributions=contributions,
            shares=shares,
            n_treated=counts,
            n_control=counts.copy(),
            left_out=left_out,
        )


def plan_cells(cohorts: list[int], n_periods: int, base_period: str, anticipation: int) -> list[Cell]:
    """Cells of all cohorts and their base periods.

    A period from treatment (less anticipation) on is compared with the last one before, g - 1 - a: what units do while
    they anticipate treatment is an effect of it. Earlier periods are compared with that one too ("universal") or each
    with the one before it ("varying").

    References
    ----------
    Callaway and Sant'Anna (2021), "Difference-in-differences with multiple time periods", Journal of Econometrics,
    eq. (2.2) to (2.6).
    """
    cells = []
    for g in cohorts:
        last_clean = g - 1 - anticipation
        if last_clean < 0:
            continue
        for t in range(n_periods):
            if base_period == "universal" or t >= g - anticipation:
                cells.append(Cell(g, t, last_clean))
            elif t > 0:
                cells.append(Cell(g, t, t - 1))
    return cells


@dataclass(frozen=True, eq=False)
class _Members:
    """Units by cohort: controls of a cell are one or two stretches of the units in order of cohort."""

    order: Positions
    cohort: Ints

    @classmethod
    def of(cls, cohort: Ints) -> _Members:
        order = np.argsort(cohort, kind="stable")
        return cls(order, cohort[order])

    def treated(self, g: int) -> Positions:
        low, high = np.searchsorted(self.cohort, [g, g + 1])
        return self.order[low:high]

    def controls(self, g: int, above: int) -> Positions:
        """Units first treated after the period `above`, without cohort g."""
        start = int(np.searchsorted(self.cohort, above, side="right"))
        low, high = np.searchsorted(self.cohort, [g, g + 1])
        if low < start:
            return self.order[start:]
        return np.concatenate([self.order[start:low], self.order[high:]])


def estimate_cells(panel: Panel, settings: CellSettings, shares: Shares) -> GroupTime:
    """Estimate every cell that has units to compare.

    Parameters
    ----------
    panel : Panel
    settings : CellSettings
    shares : Shares
        Of the cohorts, kept beside the cells.

    Raises
    ------
    CausalDataError
        If no cell from treatment on can be estimated, or covariates outnumber the units compared.
    OverlapError
        If the covariates separate a cohort from its comparison units.
    """
    cohorts = panel.treated_cohorts.tolist()
    planned = plan_cells(cohorts, panel.n_periods, settings.base_period, settings.anticipation)
    engine = _Rows(panel, settings) if settings.by_rows else _Changes(panel, settings)
    cells, left_out = _usable(engine, planned)
    if not any(cell.time >= cell.cohort for cell in cells):
        column = panel.names.get("cohort", panel.names.get("treatment", "cohort"))
        message = "no cell from treatment on has untreated units to compare with"
        remedy = "include never-treated units, or periods before the last cohort starts"
        raise CausalDataError([Problem(column, message, None, remedy)])
    group_time = GroupTime.of(panel, cells, shares, left_out)
    for batch, used in engine.batches(cells):
        comparison = engine.compare([cells[k] for k in batch], used)
        group_time.att[batch] = comparison.att
        group_time.n_treated[batch] = comparison.n_treated
        group_time.n_control[batch] = comparison.n_control
        for j, k in enumerate(batch):
            if engine.units_repeat:
                np.add.at(group_time.contributions[:, k], comparison.units, comparison.contributions[:, j])
            else:
                group_time.contributions[comparison.units, k] = comparison.contributions[:, j]
        if comparison.fitted is not None:
            group_time.overlap.append((cells[batch[0]], comparison.fitted.n_trimmed, comparison.extreme))
    return group_time


def _usable(engine: _Changes | _Rows, planned: list[Cell]) -> tuple[list[Cell], list[Cell]]:
    """Cells with units on both sides, of cohorts with at least one such cell from treatment on."""
    comparable = {cell for cell in planned if engine.has_units(cell)}
    alive = {cell.cohort for cell in comparable if cell.time >= cell.cohort}
    cells = [cell for cell in planned if cell in comparable and cell.cohort in alive]
    used = set(cells)
    return cells, [cell for cell in planned if cell not in used]


class _Compared(NamedTuple):
    """Cells of one batch: effects (k,), and contributions (m, k) of these units, which may repeat."""

    att: Floats
    units: Positions
    contributions: Floats
    n_treated: int
    n_control: int
    fitted: Propensity | None
    extreme: float


class _Used(NamedTuple):
    """Units (or rows) of a batch: treated ones first."""

    at: Positions
    n_treated: int
    covariate_period: int


def _above(panel: Panel, settings: CellSettings, cell: Cell) -> int:
    """Controls of a cell are first treated after this period."""
    if settings.control_group == "never_treated":
        return panel.n_periods - 1 + settings.anticipation
    return max(cell.time, cell.base) + settings.anticipation


@dataclass(eq=False)
class _Changes:
    """Cells as changes of the same units; all cells with the same units and covariates are computed at once."""

    units_repeat: ClassVar[bool] = False
    panel: Panel
    settings: CellSettings

    def __post_init__(self) -> None:
        panel = self.panel
        self.members = _Members.of(panel.cohort)
        self.y = panel.wide()
        self.seen = None if panel.balanced else ~np.isnan(self.y)
        self.weight = None if panel.weight is None else panel.wide(panel.weight)
        self.row = None
        if panel.X.shape[1]:
            self.row = np.zeros((panel.n_units, panel.n_periods), dtype=np.intp)
            self.row[panel.unit, panel.time] = np.arange(len(panel))
        first_row = panel.starts[panel.unit]
        constant = bool((panel.X[first_row] == panel.X).all())
        if panel.weight is not None:
            constant &= bool((panel.weight == panel.weight[first_row]).all())
        self.constant = constant

    def units(self, cell: Cell) -> _Used:
        """Units seen in both periods. Covariates and weights are those of the earlier one, as in R's did."""
        treated = self.members.treated(cell.cohort)
        control = self.members.controls(cell.cohort, _above(self.panel, self.settings, cell))
        if self.seen is not None:
            both = self.seen[:, cell.time] & self.seen[:, cell.base]
            treated, control = treated[both[treated]], control[both[control]]
        return _Used(np.concatenate([treated, control]), len(treated), min(cell.time, cell.base))

    def has_units(self, cell: Cell) -> bool:
        """Whether there are units on both sides."""
        used = self.units(cell)
        return 0 < used.n_treated < len(used.at)

    def batches(self, cells: list[Cell]) -> Iterator[tuple[list[int], _Used]]:
        """Positions of cells that share units, covariates and weights."""
        batches: dict[tuple[int, ...], list[int]] = {}
        for k, cell in enumerate(cells):
            if cell.is_reference:
                continue
            first = int(np.searchsorted(self.members.cohort, _above(self.panel, self.settings, cell), side="right"))
            period = -1 if self.constant else min(cell.time, cell.base)
            pair = () if self.seen is None else (cell.time, cell.base)
            batches.setdefault((cell.cohort, first, period, *pair), []).append(k)
        for batch in batches.values():
            yield batch, self.units(cells[batch[0]])

    def compare(self, cells: list[Cell], used: _Used) -> _Compared:
        """Effects of cells that share their units."""
        at = used.at
        y = self.y[at]
        dy = y[:, [c.time for c in cells]] - y[:, [c.base for c in cells]]
        treated = np.arange(len(at)) < used.n_treated
        w = None if self.weight is None else self.weight[at, used.covariate_period]
        X = None if self.row is None else self.panel.X[self.row[at, used.covariate_period]]
        design, fitted, extreme = _models(self.panel, self.settings, cells[0], X, treated, w)
        scores = compare_changes(dy, treated, design, w, method=self.settings.method, fitted=fitted)
        n_control = len(at) - used.n_treated
        return _Compared(scores.att, at, scores.contributions, used.n_treated, n_control, fitted, extreme)


@dataclass(eq=False)
class _Rows:
    """Cells as rows of two periods: repeated cross-sections, or unbalanced panels whose contributions add by unit."""

    units_repeat: ClassVar[bool] = True
    panel: Panel
    settings: CellSettings

    def __post_init__(self) -> None:
        panel = self.panel
        cohort = panel.cohort[panel.unit]
        self.in_period = []
        for t in range(panel.n_periods):
            rows = np.flatnonzero(panel.time == t)
            members = _Members.of(cohort[rows])
            self.in_period.append(_Members(rows[members.order], members.cohort))

    def units(self, cell: Cell) -> _Used:
        """Rows of both periods, treated first."""
        above = _above(self.panel, self.settings, cell)
        both = [self.in_period[t] for t in dict.fromkeys((cell.base, cell.time))]
        treated = np.concatenate([m.treated(cell.cohort) for m in both])
        control = np.concatenate([m.controls(cell.cohort, above) for m in both])
        return _Used(np.concatenate([treated, control]), len(treated), -1)

    def has_units(self, cell: Cell) -> bool:
        """Whether there are rows of both groups in both periods."""
        above = _above(self.panel, self.settings, cell)
        both = [self.in_period[t] for t in (cell.base, cell.time)]
        return all(len(m.treated(cell.cohort)) and len(m.controls(cell.cohort, above)) for m in both)

    def batches(self, cells: list[Cell]) -> Iterator[tuple[list[int], _Used]]:
        """Every cell by itself: its rows are its own."""
        for k, cell in enumerate(cells):
            if not cell.is_reference:
                yield [k], self.units(cell)

    def compare(self, cells: list[Cell], used: _Used) -> _Compared:
        """Effect of one cell; both rows of a unit count for it."""
        panel, at = self.panel, used.at
        treated = np.arange(len(at)) < used.n_treated
        post = panel.time[at] == cells[0].time
        w = None if panel.weight is None else panel.weight[at]
        X = panel.X[at] if panel.X.shape[1] else None
        design, fitted, extreme = _models(panel, self.settings, cells[0], X, treated, w)
        scores = compare_rows(panel.y[at], treated, post, design, w, method=self.settings.method, fitted=fitted)
        n_treated, n_control = (min(int((g & post).sum()), int((g & ~post).sum())) for g in (treated, ~treated))
        units = panel.unit[at].astype(np.intp)
        return _Compared(scores.att, units, scores.contributions, n_treated, n_control, fitted, extreme)


def _models(
    panel: Panel, settings: CellSettings, cell: Cell, X: Floats | None, treated: Bools, w: Floats | None
) -> tuple[StandardisedMatrix | None, Propensity | None, float]:
    """Covariates and propensity of one comparison, and the share of the treated with a propensity above 0.99."""
    if X is None:
        return None, None, 0.0
    name = f"cohort {panel.periods[cell.cohort]} in {panel.periods[cell.time]}"
    design = StandardisedMatrix.of(X)
    n_control = int((~treated).sum()) // (2 if settings.by_rows else 1)
    if settings.method != "ipw" and n_control <= design.p:
        raise CausalDataError(
            f"{name} has {n_control:,} untreated units to compare with and {design.p - 1} covariates: give fewer"
            " covariates, or control_group='not_yet_treated' for more units"
        )
    if settings.method == "regression":
        return design, None, 0.0
    try:
        fitted = propensity(design, treated, w, improved=settings.method == "dr_improved")
    except OverlapError:
        why = separating_column(X, treated, panel.covariates) or "leave out the covariate that decides treatment"
        raise OverlapError(
            f"{name} ({int(treated.sum()):,} treated, {int((~treated).sum()):,} untreated): the covariates separate the"
            f" cohort from its comparison units, so that no weights make them alike; {why}, or use"
            " CallawaySantAnna(method='regression'), which extrapolates"
        ) from None
    weight = np.ones(len(treated)) if w is None else w
    extreme = float(weight[treated & (fitted.e > 0.99)].sum() / weight[treated].sum())
    return design, fitted, extreme
