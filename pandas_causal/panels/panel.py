"""The rows of a panel, validated and sorted: what every design on panels computes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalDataError, Problem
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.arms import plain
from pandas_causal.kernels.arrays import Bools, Floats, Ints, Positions, Values
from pandas_causal.panels.periods import Periods

__all__ = ["Panel", "mean_one"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Panel:
    """Validated rows of one fit, sorted by unit, then period (n rows, N units, T periods).

    Without a unit (repeated cross-sections) every row is a unit of its own, and rows keep the caller's order.

    Attributes
    ----------
    y : ndarray (n,)
        Outcome.
    unit, time : ndarray (n,), int64
        Codes of unit and period.
    units : RowIdentity (N,)
        Identity of the units, for contributions: the name of the labels is the unit's.
    axis : Periods
        Labels of the periods, and positions of further ones.
    cohort : ndarray (N,), int64
        Position of every unit's first treated period; NEVER where it is never treated. From T on: treated later than
        the last period seen.
    treated : ndarray (n,) of bool
        Treatment row by row, as given or as the cohort says.
    group : ndarray (N,) of int64 or None
        0 and 1 of the role `group`; `group_labels` names both.
    weight : ndarray (n,) or None
        Sample weights with mean 1.
    clusters : mapping of str to ndarray (n,)
        Cluster labels row by row; see :meth:`unit_clusters`.
    roles : mapping of str to Series (n,)
        Further roles of a design (the partition of a triple difference), sorted alike.
    X : ndarray (n, q)
        Encoded covariates, constant columns left out.
    covariates : list of str (q,)
    order : ndarray (n,)
        Position of every row in the rows given to ``fit``.
    row_labels : Index (n,)
        The caller's labels of these rows.
    names : mapping of str to str
        Role to column: outcome, unit, time, cohort, treatment, group.
    notes : tuple of str
        What was dropped, filled or read in a way the reader should know.
    facts : mapping of str to object
        Counts for ``glance``.
    """

    y: Floats
    unit: Ints
    time: Ints
    units: RowIdentity
    axis: Periods
    cohort: Ints
    treated: Bools
    group: Ints | None
    group_labels: tuple[Any, ...]
    weight: Floats | None
    clusters: Mapping[str, Values]
    roles: Mapping[str, pd.Series[Any]]
    X: Floats
    covariates: list[str]
    order: Positions
    row_labels: pd.Index
    names: Mapping[str, str]
    is_panel: bool
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def n_units(self) -> int:
        """Units, or rows of repeated cross-sections."""
        return len(self.cohort)

    @cached_property
    def n_periods(self) -> int:
        """Distinct periods T."""
        return len(self.axis)

    @property
    def periods(self) -> pd.Index:
        """Labels of the periods in order."""
        return self.axis.labels

    @cached_property
    def balanced(self) -> bool:
        """Whether every unit has a row in every period."""
        return self.is_panel and len(self) == self.n_units * self.n_periods

    @property
    def never(self) -> Bools:
        """Units (N,) that are untreated in every period seen."""
        return self.cohort >= self.n_periods

    @cached_property
    def treated_cohorts(self) -> Ints:
        """Positions of first treatment that occur within the periods seen, in order."""
        cohorts = np.unique(self.cohort)
        return cohorts[(cohorts >= 0) & (cohorts < self.n_periods)]

    @cached_property
    def starts(self) -> Positions:
        """First row (N,) of every unit."""
        return np.flatnonzero(np.r_[True, self.unit[1:] != self.unit[:-1]])

    @cached_property
    def event(self) -> Ints:
        """Periods since first treatment (n,), row by row; meaningless (hugely negative) where never treated."""
        return self.time - self.cohort[self.unit]

    def wide(self, values: Floats | None = None) -> Floats:
        """Outcome, or values (n,), as units by periods (N, T), NaN where a unit has no row; a view where balanced."""
        values = self.y if values is None else values
        if self.balanced:
            return values.reshape(self.n_units, self.n_periods)
        out = np.full((self.n_units, self.n_periods), np.nan)
        out[self.unit, self.time] = values
        return out

    def unit_clusters(self) -> dict[str, Values]:
        """Cluster labels unit by unit.

        Raises
        ------
        CausalDataError
            If a unit changes its cluster.
        """
        out = {}
        for name, labels in self.clusters.items():
            codes = np.asarray(pd.factorize(pd.Series(labels))[0])
            moved = self._changes(codes)
            if moved:
                raise CausalDataError(
                    [
                        Problem(
                            name,
                            f"cluster changes within {moved:,} units (the first is {self._first_changed(codes)!r})",
                            None,
                            "a unit belongs to one cluster: give each unit the cluster it had when treatment was"
                            " assigned",
                        )
                    ]
                )
            out[name] = np.asarray(labels)[self.starts]
        return out

    def unit_weights(self) -> Floats | None:
        """Weights unit by unit (of the first row), with mean 1."""
        return None if self.weight is None else mean_one(self.weight[self.starts])

    def take_units(self, keep: Bools, *notes: str) -> Panel:
        """Keep some units (N,), and say why in further notes."""
        return self._keep(keep[self.unit], notes)

    def until(self, stop: int, *notes: str) -> Panel:
        """Keep the periods before a position: cohorts from there on are untreated in them."""
        kept = self._keep(self.time < stop, notes)
        return replace(kept, axis=replace(self.axis, labels=self.axis.labels[:stop]))

    def _keep(self, rows: Bools, notes: tuple[str, ...]) -> Panel:
        """Keep some rows (n,), and the units that have one."""
        stays = np.bincount(self.unit[rows], minlength=self.n_units) > 0
        content = self.units.content
        return replace(
            self,
            y=self.y[rows],
            unit=(np.cumsum(stays) - 1)[self.unit[rows]],
            time=self.time[rows],
            units=RowIdentity(self.units.labels[stays], None if content is None else content[stays]),
            cohort=self.cohort[stays],
            treated=self.treated[rows],
            group=None if self.group is None else self.group[stays],
            weight=None if self.weight is None else mean_one(self.weight[rows]),
            clusters={name: labels[rows] for name, labels in self.clusters.items()},
            roles={role: values[rows] for role, values in self.roles.items()},
            X=self.X[rows],
            order=self.order[rows],
            row_labels=self.row_labels[rows],
            notes=(*self.notes, *notes),
        )

    def _changed(self, codes: Values) -> Bools:
        return np.bincount(self.unit, weights=codes != codes[self.starts][self.unit], minlength=self.n_units) > 0

    def _changes(self, codes: Values) -> int:
        return int(self._changed(codes).sum())

    def _first_changed(self, codes: Values) -> Any:
        return plain(self.units.labels[int(np.flatnonzero(self._changed(codes))[0])])

    def require_never_treated(self) -> None:
        """Refuse a panel in which everyone is treated at last.

        Raises
        ------
        CausalDataError
            Saying what a comparison with units not yet treated can do.
        """
        if self.never.any():
            return
        last = int(self.treated_cohorts[-1])
        n_cohorts = len(self.treated_cohorts)
        can = (
            f"control_group='not_yet_treated' compares with cohorts that are treated later: it estimates effects of"
            f" {n_cohorts - 1} of the {n_cohorts} cohorts, before {self.periods[last]}, when the last one starts"
            if n_cohorts > 1
            else "and as all start at once no unit is untreated afterwards: no comparison remains"
        )
        column = self.names.get("cohort") or self.names.get("treatment") or self.names.get("group") or "cohort"
        raise CausalDataError([Problem(column, "there is no never-treated unit", None, can)])


def mean_one(weight: Floats) -> Floats:
    """Weights with mean 1."""
    return weight / weight.mean()
