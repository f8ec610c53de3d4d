"""A panel read once for every design: units, periods, cohorts, outcome, weights, clusters and covariates, sorted."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inference.effective_clusters import effective_clusters, few_clusters_note
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inference.weighted_means import refuse_dominating_weights
from pandas_causal.inputs.arms import plain
from pandas_causal.inputs.column_rules import as_float
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.inputs.roles import Inputs
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Bools, Ints, Positions
from pandas_causal.panels.first_treatment import Timing, UnitPeriods, first_treated_periods
from pandas_causal.panels.panel import Panel, mean_one
from pandas_causal.panels.periods import NEVER, Periods, read_axis

__all__ = ["read_panel"]

_OF_UNITS = "clusters as units, or RandomTiming(inference='fisher') where the timing was random, serve better"


def read_panel(
    estimator: CausalEstimator,
    X: Covariates,
    y: Outcome,
    *,
    time: RoleLike,
    unit: RoleLike = None,
    cohort: RoleLike = None,
    treatment: RoleLike = None,
    group: RoleLike = None,
    post: Hashable | Sequence[Hashable] = None,
    cluster: RoleLike = None,
    sample_weight: RoleLike = None,
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
    estimator.need("time", time)
    _check_arguments(name, unit, {"cohort": cohort, "treatment": treatment, "group": group}, post)
    roles = {
        "time": time, "unit": unit, "cohort": cohort, "treatment": treatment, "group": group, "cluster": cluster,
        "sample_weight": sample_weight, **(extra or {}),
    }  # fmt: skip
    inputs = estimator.read_inputs(X, y, roles, missing=missing).weighted()
    kept = np.flatnonzero(inputs.kept)
    ordered = _sort(inputs)
    order = ordered.order
    rows = UnitPeriods(ordered.axis, ordered.unit, ordered.time, ordered.labels)
    timing = first_treated_periods(name, ordered.roles, rows, post=post, absorbing=absorbing)
    keep, notes, counts = _usable(ordered, timing, drop_always_treated, anticipation)
    if ordered.axis.alphabetical:
        words = ", ".join(map(str, ordered.axis.labels[:5])) + (", ..." if len(ordered.axis) > 5 else "")
        notes = [f"periods of {ordered.axis.name} are words, taken in alphabetical order: {words}", *notes]
    facts = {"n_dropped": inputs.n_dropped, "n_zero_weight": inputs.n_zero_weight, **counts}
    if inputs.n_zero_weight:
        notes = [f"{inputs.n_zero_weight:,} rows of weight 0 were left out", *timing.notes, *notes]
    else:
        notes = [*timing.notes, *notes]
    panel = _assemble(inputs, ordered, timing, kept[order], notes, facts)
    if panel.weight is not None and estimator.checks_data:
        of_cohort, starts = pd.factorize(panel.cohort)
        of_unit = np.bincount(panel.unit, weights=panel.weight, minlength=len(panel.cohort)).astype(float)
        names = [f"units first treated in {_period(panel, int(g))}" for g in starts]
        refuse_dominating_weights(of_unit, of_cohort, names)
    if panel.clusters and estimator.checks_data:
        panel = replace(panel, notes=(*panel.notes, *_unequal_clusters(panel)))
    return panel if keep is None else panel.take_units(keep)


def _unequal_clusters(panel: Panel) -> list[str]:
    """What is to be said of clusters that are worth few because they are unequal; few equal ones FewTreated counts."""
    ever = panel.group if panel.group is not None else (~panel.never).astype(np.int64)
    sides = ever[panel.unit]
    counted = {name: effective_clusters(v, panel.weight, sides) for name, v in panel.clusters.items()}
    unequal = {name: panel.clusters[name] for name, (count, worth) in counted.items() if worth < 0.9 * count}
    return few_clusters_note(unequal, panel.weight, sides, remedy=_OF_UNITS)


def _period(panel: Panel, cohort: int) -> str:
    """Label of the period in which a cohort starts."""
    known = 0 <= cohort < len(panel.axis)
    return str(panel.axis.labels[int(cohort)]) if known else "no period"


@dataclass(frozen=True, eq=False)
class _Sorted:
    """Rows in the order of unit and period."""

    order: Positions
    unit: Ints
    time: Ints
    labels: pd.Index
    axis: Periods
    roles: Mapping[str, Any]
    is_panel: bool


def _check_arguments(name: str, unit: RoleLike, ways: Mapping[str, Any], post: Hashable | Sequence[Hashable]) -> None:
    chosen = [role for role, value in ways.items() if value is not None]
    if len(chosen) != 1:
        named = "none of them" if not chosen else " and ".join(f"{role}=" for role in chosen)
        raise CausalArgumentError(
            f"{name}.fit needs exactly one of cohort= (first treated period of every unit), treatment= (0/1 row by"
            f" row) and group= (treated units, with post=); got {named}"
        )
    if ways["group"] is not None and post is None:
        raise CausalArgumentError("group= needs post=, the first treated period (or a list of all treated periods)")
    if ways["group"] is None and post is not None:
        raise CausalArgumentError("post= goes with group=; cohort= and treatment= say themselves when treatment starts")
    if unit is None and ways["treatment"] is not None:
        raise CausalArgumentError(
            "treatment= row by row needs unit=, to see when each unit is first treated; in repeated cross-sections pass"
            " cohort=, or group= and post="
        )


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
) -> tuple[Bools | None, list[str], dict[str, Any]]:
    """Units (N,) that are not treated from the start (None: all), what to say of the others, and counts."""
    cohort, T = timing.cohort, len(rows.axis)
    column = timing.column
    always = cohort <= anticipation
    notes: list[str] = []
    counts: dict[str, Any] = {"n_always_treated": int(always.sum())}
    treated = (cohort > anticipation) & (cohort < T)
    if not treated.any():
        message = "no unit is first treated after the first period, so there is nothing to compare"
        if always.any():
            message += f" ({int(always.sum()):,} are treated in it already)"
        elif (cohort < NEVER).any():
            message += f" ({int((cohort < NEVER).sum()):,} are treated after the last period)"
        raise CausalDataError([Problem(column, message, None, "check the column, and the periods kept")])
    later = (cohort >= T) & (cohort < NEVER)
    if later.any():
        who = "units" if rows.is_panel else "rows"
        notes.append(
            f"{int(later.sum()):,} {who} are first treated after the last period, and untreated in every period seen"
        )
    if not always.any() or not drop_always_treated:
        return None, notes, counts
    who = "units" if rows.is_panel else "rows"
    by = "in the first period" if not anticipation else f"in the first {anticipation + 1} periods"
    notes.append(f"{int(always.sum()):,} {who} treated {by} were left out: they have no untreated period to compare")
    return ~always, notes, counts


def _assemble(
    inputs: Inputs,
    rows: _Sorted,
    timing: Timing,
    positions: Positions,
    notes: Sequence[str],
    facts: Mapping[str, Any],
) -> Panel:
    """Arrays of all rows."""
    outcome = inputs.outcome
    assert outcome is not None  # noqa: S101 - resolve() has required it
    order, unit, time = rows.order, rows.unit, rows.time
    cohort = timing.cohort
    roles, covariates = rows.roles, inputs.covariates
    sorted_already = bool((order[1:] > order[:-1]).all()) and len(order) == len(inputs.index)
    y = as_float(outcome) if sorted_already else as_float(outcome)[order]
    covariates = covariates if sorted_already else covariates.iloc[order]
    encoder = Encoder.fit(covariates)
    weight = roles.get("sample_weight")
    content = np.bincount(unit, weights=y, minlength=len(cohort)).astype(np.float64) if rows.is_panel else y
    if rows.is_panel and len(unit) < len(cohort) * len(rows.axis):
        notes = [*notes, _unbalanced(unit, len(rows.axis))]
    core = {"time", "unit", "cohort", "treatment", "group", "cluster", "sample_weight"}
    return Panel(
        y=y,
        unit=unit,
        time=time,
        units=RowIdentity(rows.labels, content),
        axis=rows.axis,
        cohort=cohort,
        treated=timing.treated,
        group=timing.group,
        group_labels=timing.group_labels,
        weight=None if weight is None else mean_one(as_float(weight)),
        clusters={name: way[order] for name, way in inputs.ways("cluster").items()},
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
