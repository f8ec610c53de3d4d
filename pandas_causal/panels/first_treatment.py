"""When each unit is first treated: from a cohort, from treatment row by row, or from a group and a period."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.inputs.arms import plain, resolve_arms
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.kernels.arrays import Bools, Ints, Positions
from pandas_causal.panels.periods import NEVER, Periods

__all__ = ["Timing", "UnitPeriods", "first_treated_periods", "two_levels"]


@dataclass(frozen=True, eq=False)
class Timing:
    """First treated period of every unit.

    Attributes
    ----------
    cohort : ndarray (N,)
        Position of the period; NEVER where there is none.
    treated : ndarray (n,) of bool
        Treatment row by row.
    column : str
        The column it was read from.
    group : ndarray (N,) or None
    group_labels : tuple
    notes : tuple of str
    """

    cohort: Ints
    treated: Bools
    column: str
    group: Ints | None = None
    group_labels: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class UnitPeriods:
    """Rows by unit and period, in that order.

    Attributes
    ----------
    axis : Periods
    unit, time : ndarray (n,)
    labels : Index (N,)
        Of the units.
    """

    axis: Periods
    unit: Ints
    time: Ints
    labels: pd.Index

    @property
    def starts(self) -> Positions:
        """First row (N,) of every unit."""
        return np.flatnonzero(np.r_[True, self.unit[1:] != self.unit[:-1]])


def first_treated_periods(
    estimator: str,
    roles: Mapping[str, Any],
    rows: UnitPeriods,
    *,
    post: Hashable | Sequence[Hashable] = None,
    absorbing: bool = True,
) -> Timing:
    """Find the first treated period of every unit from rows sorted by unit and period.

    Parameters
    ----------
    estimator : str
        Name of the design, for messages.
    roles : mapping
        Holds one of cohort, treatment and group, in the order of `unit`.
    rows : UnitPeriods
    post : optional
        First treated period of the group, or all its treated periods.
    absorbing : bool
        Refuse treatment that switches off.

    Raises
    ------
    CausalDataError
        Values that change within a unit, or treatment that switches off, never starts or flags units.
    """
    if "cohort" in roles:
        values = roles["cohort"]
        position = rows.axis.positions(values)
        _refuse_change(str(values.name), "cohort", position, rows)
        cohort = position[rows.starts]
        return Timing(cohort, cohort[rows.unit] <= rows.time, str(values.name))
    if "group" in roles:
        return _from_group(roles["group"], post, rows)
    return _from_treatment(estimator, roles["treatment"], rows, absorbing=absorbing)


def _refuse_change(column: str, role: str, codes: Ints, rows: UnitPeriods) -> None:
    """Refuse a property of units that changes between their rows."""
    differs = codes != codes[rows.starts][rows.unit]
    if not differs.any():
        return
    changed = np.unique(rows.unit[differs])
    raise CausalDataError(
        [
            Problem(
                column,
                f"{role} changes within {len(changed):,} units (the first is {plain(rows.labels[changed[0]])!r})",
                None,
                f"give every row of a unit the same {role}: {_SAME[role]}",
            )
        ]
    )


_SAME = {
    "cohort": "the period of its first treatment, NaN, 0 or inf if never",
    "group": "whether the unit is ever treated; treatment that starts at some time goes to treatment=",
}


def _from_group(
    values: pd.Series[Any],
    post: Hashable | Sequence[Hashable],
    rows: UnitPeriods,
) -> Timing:
    """Two groups, one of them treated from the period `post` on, or in the periods listed."""
    column = str(values.name)
    codes, names, notes = two_levels(values, "group")
    axis, unit, time, starts = rows.axis, rows.unit, rows.time, rows.starts
    _refuse_change(column, "group", codes, rows)
    periods = list(post) if isinstance(post, list | tuple | set | np.ndarray | pd.Index | pd.Series) else [post]
    _refuse_flags(periods, axis)
    if not periods:
        raise CausalArgumentError("post= is empty; give the first treated period, or all treated periods")
    at = [axis.position(p) for p in periods]
    outside = [p for p, position in zip(periods, at, strict=True) if not 0 <= position < len(axis)]
    if outside or min(at) == 0:
        message = f"post={outside[0]!r} is outside the periods seen" if outside else "post= is the first period"
        order = (
            f" in alphabetical order: if that is not the order of time, make them ordered categories,"
            f" pd.Categorical(df[{axis.name!r}], [...], ordered=True)"
            if axis.alphabetical
            else ""
        )
        raise CausalArgumentError(
            f"{message} ({axis.labels[0]} to {axis.labels[-1]} of {axis.name}{order}); there must be periods before and"
            " after"
        )
    first = min(at)
    on = np.zeros(len(axis), dtype=bool)
    on[at if len(at) > 1 else slice(first, None)] = True
    if bool((~on[first:]).any()):
        gap = axis.labels[first:][~on[first:]]
        raise CausalArgumentError(
            f"post= must hold every period from {axis.labels[first]} on; {gap[0]} is missing (leave such rows out, or"
            " pass treatment= row by row)"
        )
    group = codes[starts]
    cohort = np.where(group == 1, first, NEVER).astype(np.int64)
    return Timing(cohort, cohort[unit] <= time, column, group, names, notes)


def _refuse_flags(periods: Sequence[Any], axis: Periods) -> None:
    """Refuse a flag, one per row or alone, where a period is wanted."""
    flags = all(isinstance(p, bool | np.bool_) for p in periods)
    if flags or (len(periods) > len(axis) and set(periods) <= {0, 1}):
        raise CausalArgumentError(
            f"post= takes the first treated period, a value of {axis.name} ({axis.labels[0]} to {axis.labels[-1]}), and"
            " got flags; give the first period that they mark, or treatment= row by row"
        )


def two_levels(values: pd.Series[Any], role: str) -> tuple[Ints, tuple[Any, ...], tuple[str, ...]]:
    """Code two levels 0 and 1: numbers 0/1 and bools as they are, others in category or sorted order, with a note."""
    column = str(values.name)
    arms = resolve_arms(values)
    if len(arms) != 2:
        raise CausalDataError(
            [
                Problem(
                    column,
                    f"{role} has {len(arms)} levels ({', '.join(map(repr, arms.levels[:4]))}), and two are needed",
                    None,
                    "code it as 0 (untreated) and 1 (treated)",
                )
            ]
        )
    codes = arms.codes.astype(np.int64)
    plain = is_numeric(values) and set(np.unique(as_float(values)).tolist()) == {0.0, 1.0}
    notes = () if plain else (f"{column}: {arms.levels[1]!r} was read as treated, {arms.levels[0]!r} as untreated",)
    return codes, arms.levels, notes


def _from_treatment(estimator: str, values: pd.Series[Any], rows: UnitPeriods, *, absorbing: bool) -> Timing:
    """Treatment row by row: the first treated period; afterwards it stays on."""
    column = str(values.name)
    axis, unit, time, labels = rows.axis, rows.unit, rows.time, rows.labels
    codes, _, notes = two_levels(values, "treatment")
    within = unit[1:] == unit[:-1]
    step = np.diff(codes)
    if not (within & (step != 0)).any():
        raise CausalDataError(
            [
                Problem(
                    column,
                    "treatment= never changes within any unit, so it flags treated units and does not say when"
                    " treatment starts",
                    None,
                    "pass group= with post= (the first treated period), or cohort= (each unit's first treated period)",
                )
            ]
        )
    off = np.flatnonzero(within & (step < 0))
    if absorbing and len(off):
        switched = np.unique(unit[off])
        raise CausalDataError(
            [
                Problem(
                    column,
                    f"treatment switches off in {len(switched):,} units (the first is {plain(labels[switched[0]])!r} in"
                    f" {axis.labels[time[off[0] + 1]]}), and {estimator} is for treatment that stays on",
                    None,
                    "use DifferenceInDifferences (estimator='two_way'), which allows it where effects are constant and"
                    " end with treatment, or the switchers' design of de Chaisemartin and D'Haultfoeuille (2020)",
                )
            ]
        )
    first = np.minimum.reduceat(np.where(codes == 1, time, NEVER), rows.starts).astype(np.int64)
    seen_off = np.zeros(len(labels), dtype=bool)
    seen_off[unit[codes == 0]] = True
    gap = within & (step > 0) & (np.diff(time) > 1)
    jumped = np.unique(unit[1:][gap])
    if len(jumped):
        text = f"{len(jumped):,} units are first seen treated after periods without a row"
        notes = (*notes, f"{text}; the first period seen treated was taken as the start")
    late = ~seen_off & (first > 0)
    if late.any():  # treated in every row: when it began cannot be known
        first[late] = 0
        notes = (*notes, f"{int(late.sum()):,} units are treated in every row they have, so their start is unknown")
    return Timing(first, codes == 1, column, notes=notes)
