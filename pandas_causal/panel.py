"""A panel read once for every design: units, periods, cohorts, outcome, weights, clusters and covariates, sorted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pandas_causal.encoding import Encoder
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.inference.rows import Rows
from pandas_causal.roles import Inputs, plain, resolve
from pandas_causal.rules import as_float
from pandas_causal.schemas import check_inputs
from pandas_causal.time_axis import NEVER, Axis, read_axis
from pandas_causal.timing import Timing, cohorts

__all__ = ["NEVER", "Panel", "read_panel"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
    units : Rows (N,)
        Identity of the units, for contributions: the name of the labels is the unit's.
    axis : Axis
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
    units: Rows
    axis: Axis
    cohort: Ints
    treated: NDArray[np.bool_]
    group: Ints | None
    group_labels: tuple[Any, ...]
    weight: Floats | None
    clusters: Mapping[str, NDArray[Any]]
    roles: Mapping[str, pd.Series[Any]]
    X: Floats
    covariates: list[str]
    order: NDArray[np.intp]
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

    @property
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
    def never(self) -> NDArray[np.bool_]:
        """Units (N,) that are untreated in every period seen."""
        return self.cohort >= self.n_periods

    @cached_property
    def treated_cohorts(self) -> Ints:
        """Positions of first treatment that occur within the periods seen, in order."""
        found = np.unique(self.cohort)
        return found[(found >= 0) & (found < self.n_periods)]

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """First row (N,) of every unit."""
        return np.flatnonzero(np.r_[True, self.unit[1:] != self.unit[:-1]])

    @property
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

    def unit_clusters(self) -> dict[str, NDArray[Any]]:
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

    def _changed(self, codes: NDArray[Any]) -> NDArray[np.bool_]:
        return np.bincount(self.unit, weights=codes != codes[self.starts][self.unit], minlength=self.n_units) > 0

    def _changes(self, codes: NDArray[Any]) -> int:
        return int(self._changed(codes).sum())

    def _first_changed(self, codes: NDArray[Any]) -> Any:
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


def read_panel(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    time: Any,
    unit: Any = None,
    cohort: Any = None,
    treatment: Any = None,
    group: Any = None,
    post: Any = None,
    cluster: Any = None,
    sample_weight: Any = None,
    missing: str = "raise",
    absorbing: bool = True,
    drop_always_treated: bool = True,
    anticipation: int = 0,
    extra: Mapping[str, Any] | None = None,
) -> Panel:
    """Resolve roles, drop rows if asked, validate, sort, and find every unit's first treated period.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_``, ``feature_names_in_`` and ``covariates_``; its name stands in messages.
    X, y, time, unit, cohort, treatment, group, cluster, sample_weight, missing : as in ``fit``
        One of `cohort`, `treatment` and `group` must be given.
    post : optional
        With `group`: first treated period, or a list of all treated periods.
    absorbing : bool
        Refuse treatment that switches off (else ``Panel.treated`` holds it, and the cohort is the first treated
        period).
    drop_always_treated : bool
        Leave out units treated in the first period (plus `anticipation`), with a count.
    anticipation : int
        Periods before treatment in which units may react already.
    extra : mapping of str to role, optional
        Further roles that must be complete, kept in ``Panel.roles``.

    Raises
    ------
    CausalDataError
        Every problem of the data: missing values, duplicate unit-period rows, gaps in time, cohorts that change within
        a unit, treatment that switches off or never changes, nobody treated, nobody untreated before.
    """
    name = type(estimator).__name__
    _check_arguments(name, time, unit, {"cohort": cohort, "treatment": treatment, "group": group}, post, missing)
    given = {
        "time": time, "unit": unit, "cohort": cohort, "treatment": treatment, "group": group, "cluster": cluster,
        "sample_weight": sample_weight, **(extra or {}),
    }  # fmt: skip
    inputs = resolve(X, y, given, multi=("cluster",))
    n_given = len(inputs.index)
    kept = np.arange(n_given, dtype=np.intp)
    if missing == "drop":
        keep = _complete(inputs)
        kept = np.flatnonzero(keep)
        inputs = inputs if keep.all() else inputs.take(keep)
    if not getattr(estimator, "_validated", False):  # refits of the bootstrap see rows that were checked
        check_inputs(inputs)
    _remember(estimator, inputs)
    ordered = _sort(inputs)
    order = ordered.order
    timing = cohorts(
        name, ordered.roles, ordered.axis, ordered.unit, ordered.time, ordered.labels, post=post, absorbing=absorbing
    )
    keep_rows, notes, counts = _usable(ordered, timing, drop_always_treated, anticipation)
    facts = {"n_dropped": n_given - len(order), **counts}
    return _assemble(inputs, ordered, timing, keep_rows, kept[order], [*timing.notes, *notes], facts)


@dataclass(frozen=True, eq=False)
class _Sorted:
    """Rows in the order of unit and period."""

    order: NDArray[np.intp]
    unit: Ints
    time: Ints
    labels: pd.Index
    axis: Axis
    roles: Mapping[str, Any]
    is_panel: bool


def _check_arguments(name: str, time: Any, unit: Any, how: Mapping[str, Any], post: Any, missing: str) -> None:
    if missing not in ("raise", "drop"):
        raise CausalArgumentError(f"missing={missing!r} is not known; use 'raise' or 'drop'")
    if time is None:
        raise CausalArgumentError(
            f"{name}.fit needs time=, the name of a column of X or an array with one value per row"
        )
    chosen = [role for role, value in how.items() if value is not None]
    if len(chosen) != 1:
        found = "none of them" if not chosen else " and ".join(f"{role}=" for role in chosen)
        raise CausalArgumentError(
            f"{name}.fit needs exactly one of cohort= (first treated period of every unit), treatment= (0/1 row by"
            f" row) and group= (treated units, with post=); got {found}"
        )
    if how["group"] is not None and post is None:
        raise CausalArgumentError("group= needs post=, the first treated period (or a list of all treated periods)")
    if how["group"] is None and post is not None:
        raise CausalArgumentError("post= goes with group=; cohort= and treatment= say themselves when treatment starts")
    if unit is None and how["treatment"] is not None:
        raise CausalArgumentError(
            "treatment= row by row needs unit=, to see when each unit is first treated; in repeated cross-sections pass"
            " cohort=, or group= and post="
        )


def _complete(inputs: Inputs) -> NDArray[np.bool_]:
    """Rows with outcome and all roles; a missing cohort means never treated, and missing covariates are imputed."""
    keep = np.ones(len(inputs.index), dtype=bool)
    for role, values in [("outcome", inputs.outcome), *inputs.roles.items()]:
        if values is not None and role != "cohort":
            absent = values.isna()
            keep &= ~(absent.any(axis=1) if isinstance(values, pd.DataFrame) else absent).to_numpy(dtype=bool)
    return keep


def _remember(estimator: Any, inputs: Inputs) -> None:
    estimator.n_features_in_ = len(inputs.columns)
    if inputs.named and all(isinstance(c, str) for c in inputs.columns):
        estimator.feature_names_in_ = np.asarray(inputs.columns, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    estimator.covariates_ = list(inputs.covariates.columns)


def _sort(inputs: Inputs) -> _Sorted:
    """Code periods and units and put the rows in their order; every unit has one row in a period at most."""
    axis, time = read_axis(inputs.roles["time"])
    values = inputs.roles.get("unit")
    n = len(time)
    if values is None:
        order = np.arange(n, dtype=np.intp)
        return _Sorted(order, order.astype(np.int64), time, inputs.index, axis, inputs.roles, False)
    labels, unit = _unit_codes(values)
    key = unit * len(axis) + time
    steps = np.diff(key)
    if bool((steps > 0).all()):
        return _Sorted(np.arange(n, dtype=np.intp), unit, time, labels, axis, inputs.roles, True)
    order = np.argsort(key, kind="stable")
    key = key[order]
    twice = np.flatnonzero(key[1:] == key[:-1])
    if len(twice):
        u, t = divmod(int(key[twice[0]]), len(axis))
        cells = len(np.unique(key[twice]))
        raise CausalDataError(
            [
                Problem(
                    f"{values.name}, {axis.name}",
                    f"{cells:,} unit-period pairs have more than one row (the first is {plain(labels[u])!r} in"
                    f" {axis.labels[t]}), surplus",
                    len(twice),
                    "keep one row per unit and period (df.groupby([unit, time]).mean()), or leave unit= out if the rows"
                    " are repeated cross-sections",
                )
            ]
        )
    roles = {r: v.iloc[order] for r, v in inputs.roles.items()}
    return _Sorted(order, unit[order], time[order], labels, axis, roles, True)


def _unit_codes(values: pd.Series[Any]) -> tuple[pd.Index, Ints]:
    """Labels of the units in sorted order, and the code of every row."""
    codes, uniques = pd.factorize(values, use_na_sentinel=True)
    labels = pd.Index(uniques, name=values.name if values.name is not None else "unit")
    if isinstance(labels, pd.CategoricalIndex):
        labels = pd.Index(labels.astype(labels.categories.dtype), name=labels.name)
    try:
        rank_order = labels.argsort()
    except TypeError:
        rank_order = np.argsort(labels.map(str), kind="stable")
    rank = np.empty(len(labels), dtype=np.int64)
    rank[rank_order] = np.arange(len(labels))
    return labels[rank_order], rank[codes]


def _usable(
    rows: _Sorted, timing: Timing, drop_always_treated: bool, anticipation: int
) -> tuple[NDArray[np.bool_] | None, list[str], dict[str, Any]]:
    """Rows of units that are not treated from the start, what to say of the others, and counts."""
    cohort, T = timing.cohort, len(rows.axis)
    column = timing.column
    always = cohort <= anticipation
    notes: list[str] = []
    counts: dict[str, Any] = {"n_always_treated": int(always.sum())}
    treated = (cohort > anticipation) & (cohort < T)
    if not treated.any():
        what = "no unit is first treated after the first period, so there is nothing to compare"
        if always.any():
            what += f" ({int(always.sum()):,} are treated in it already)"
        elif (cohort < NEVER).any():
            what += f" ({int((cohort < NEVER).sum()):,} are treated after the last period)"
        raise CausalDataError([Problem(column, what, None, "check the column, and the periods kept")])
    later = (cohort >= T) & (cohort < NEVER)
    if later.any():
        who = "units" if rows.is_panel else "rows"
        notes.append(
            f"{int(later.sum()):,} {who} are first treated after the last period, and untreated in every period seen"
        )
    if not always.any() or not drop_always_treated:
        return None, notes, counts
    who = "units" if rows.is_panel else "rows"
    by = "in the first period" if not anticipation else f"within {anticipation} periods of the first"
    notes.append(f"{int(always.sum()):,} {who} treated {by} were left out: they have no untreated period to compare")
    return ~always[rows.unit], notes, counts


def _assemble(
    inputs: Inputs,
    rows: _Sorted,
    timing: Timing,
    keep: NDArray[np.bool_] | None,
    positions: NDArray[np.intp],
    notes: Sequence[str],
    facts: Mapping[str, Any],
) -> Panel:
    """Arrays of the rows kept."""
    outcome = inputs.outcome
    assert outcome is not None  # noqa: S101 - resolve() has required it
    order, unit, time = rows.order, rows.unit, rows.time
    cohort, group, labels = timing.cohort, timing.group, rows.labels
    treated, roles, covariates = timing.treated, rows.roles, inputs.covariates
    sorted_already = bool((order[1:] > order[:-1]).all()) and len(order) == len(inputs.index)
    y = as_float(outcome) if sorted_already else as_float(outcome)[order]
    covariates = covariates if sorted_already else covariates.iloc[order]
    if keep is not None:
        stays = np.zeros(len(cohort), dtype=bool)
        stays[unit[keep]] = True
        renumber = np.cumsum(stays) - 1
        unit, time, y, treated, order = renumber[unit[keep]], time[keep], y[keep], treated[keep], order[keep]
        cohort, labels, positions = cohort[stays], labels[stays], positions[keep]
        group = None if group is None else group[stays]
        roles, covariates = {r: v[keep] for r, v in roles.items()}, covariates[keep]
    encoder = Encoder.fit(covariates)
    weight = roles.get("sample_weight")
    content: Floats = np.bincount(unit, weights=y, minlength=len(cohort)) if rows.is_panel else y
    if rows.is_panel and len(unit) < len(cohort) * len(rows.axis):
        notes = [*notes, _unbalanced(unit, len(rows.axis))]
    column: Any = roles.get("cluster")
    ways = [] if column is None else [column] if isinstance(column, pd.Series) else [column[c] for c in column]
    core = {"time", "unit", "cohort", "treatment", "group", "cluster", "sample_weight"}
    return Panel(
        y=y,
        unit=unit,
        time=time,
        units=Rows(labels, content),
        axis=rows.axis,
        cohort=cohort,
        treated=treated,
        group=group,
        group_labels=timing.group_labels,
        weight=None if weight is None else _mean_one(as_float(weight)),
        clusters={str(way.name): way.to_numpy() for way in ways},
        roles={r: v for r, v in roles.items() if r not in core},
        X=encoder.transform(covariates),
        covariates=encoder.names,
        order=positions,
        row_labels=inputs.index[order],
        names={"outcome": str(outcome.name), **{r: str(v.name) for r, v in roles.items() if isinstance(v, pd.Series)}},
        is_panel=rows.is_panel,
        notes=(*notes, *_encoding_notes(encoder)),
        facts=facts,
    )


def _mean_one(weight: Floats) -> Floats:
    return weight / weight.mean()


def _unbalanced(unit: Ints, n_periods: int) -> str:
    rows = np.bincount(unit)
    absent = n_periods * len(rows) - len(unit)
    return f"the panel is unbalanced: {int((rows < n_periods).sum()):,} units lack {absent:,} unit-periods"


def _encoding_notes(encoder: Encoder) -> list[str]:
    out = []
    if encoder.imputed:
        parts = ", ".join(f"{k} {v:,}" for k, v in list(encoder.imputed.items())[:5])
        out.append(f"missing covariates were imputed by the mean, with indicators: {parts}")
    if encoder.dropped:
        out.append(f"constant covariates were left out: {', '.join(encoder.dropped[:5])}")
    return out
