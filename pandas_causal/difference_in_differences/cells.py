"""What staggered designs share: cells as an Effect with known weights, clustered errors of regressions, words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.difference_in_differences.group_time import Cell, CellCounts, GroupTime, ReferenceEvent, Shares
from pandas_causal.difference_in_differences.imputation import PanelRows
from pandas_causal.effect.estimates import Estimates, Weighting
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inference.few_treated import Treated
from pandas_causal.inference.influence import Component, Influence, cluster_sums
from pandas_causal.inputs.types import RoleLike
from pandas_causal.kernels.arrays import Bools, Floats, Ints, Values
from pandas_causal.models.fixed_effects import singletons
from pandas_causal.panels import checks
from pandas_causal.panels.panel import Panel

__all__ = [
    "UNTESTED",
    "CellWeights",
    "cell_index",
    "cell_text",
    "cell_uncertainty",
    "cohort_shares",
    "four_averages",
    "known_weights",
    "panel_checks",
    "panel_facts",
    "panel_rows",
    "reference_cells",
    "regression_component",
    "require_unit",
    "share_weights",
    "treated_units",
    "without_singletons",
]

_ATT = pd.Index(["ATT"])
UNTESTED = " (cannot be tested from treatment on; before it: diagnostics['pre_trends'])"


def require_unit(estimator: Any, unit: RoleLike) -> None:
    """Refuse repeated cross-sections where a design follows units."""
    if unit is None:
        raise CausalArgumentError(
            f"{type(estimator).__name__}.fit needs unit=: it follows units over time; for repeated cross-sections use"
            " CallawaySantAnna, or DifferenceInDifferences with group= and post="
        )


def panel_rows(panel: Panel) -> PanelRows:
    """Rows of a panel as plain arrays."""
    return PanelRows(
        y=panel.y,
        unit=panel.unit,
        time=panel.time,
        weight=np.ones(len(panel)) if panel.weight is None else panel.weight,
        X=panel.X,
        n_units=panel.n_units,
        n_periods=panel.n_periods,
    )


def without_singletons(panel: Panel) -> Panel:
    """Leave out units with one row, which their own effect fits exactly, with a count."""
    alone = singletons([panel.unit])
    if not alone.any():
        return panel
    if alone.all():
        raise CausalDataError("every unit has one row only, so that nothing is left after its own effect; see unit=")
    keep = np.bincount(panel.unit, minlength=panel.n_units) > 1
    n = int((~keep).sum())
    return panel.take_units(keep, f"{n:,} units with one row only were left out: their own effect fits them exactly")


def treated_units(
    panel: Panel,
    counts: CellCounts,
    *,
    n_shares: int = 0,
    leads: Sequence[int] = (),
    untreated_only: bool = False,
) -> Treated:
    """Treated and comparison units behind cells, then cohort shares and leads: those rest on no few units."""
    cohorts, n_further = panel.treated_cohorts, n_shares + len(leads)
    cohort_of_cell = np.searchsorted(cohorts, [c.cohort for c in counts.cells])
    source = np.concatenate([cohort_of_cell, np.full(n_further, -1)]).astype(np.intp)
    place = np.searchsorted(cohorts, panel.cohort)
    groups = np.where(np.append(cohorts, -1)[place] == panel.cohort, place, -1).astype(np.intp)
    most, controls = np.zeros(n_further, dtype=np.int64), np.zeros(n_further, dtype=np.int64)
    if leads:  # these pool the cohorts: all treated units seen so long before treatment
        source[-n_further:] = -2
        inside = panel.cohort[panel.unit] < panel.n_periods
        most = np.array([int((inside & (panel.event == e)).sum()) for e in leads], dtype=np.int64)
        controls = np.full(n_further, int(panel.never.sum()) or len(groups))
    behind, beside = np.concatenate([counts.n_treated, most]), np.concatenate([counts.n_control, controls])
    return Treated.of(source, groups, behind, beside, untreated_only=untreated_only)


@dataclass(frozen=True, eq=False)
class CellWeights:
    """Weights by which cells are averaged.

    Attributes
    ----------
    rows : ndarray (rows,) or Estimates
        Of every row: cells, then leads.
    within : ndarray (rows,), Estimates or None
        Of the cells within a cohort; None: equal.
    of_cohorts : callable
        Positions of cohorts and their labels to the cohorts' weights in the overall average.
    """

    rows: Floats | Estimates
    within: Floats | Estimates | None
    of_cohorts: Callable[[Ints, pd.Index], Floats | Estimates]


def known_weights(cells: Sequence[Cell], mass: Floats, n_leads: int = 0) -> CellWeights:
    """Weights known beforehand: of every cell (K,); a cohort's is that of its mean cell from treatment on."""
    cohort, time = np.array([c.cohort for c in cells]), np.array([c.time for c in cells])
    rows = np.concatenate([mass, np.ones(n_leads)])

    def of_cohorts(cohorts: Ints, labels: pd.Index) -> Floats:  # noqa: ARG001 - called as shares are
        return np.array([mass[(cohort == g) & (time >= cohort)].mean() for g in cohorts])

    return CellWeights(rows, rows, of_cohorts)


def share_weights(rows: Estimates, cells: Sequence[Cell], shares: Shares) -> CellWeights:
    """Estimated shares of the cohorts, whose uncertainty the averages take in.

    Parameters
    ----------
    rows : Estimates (K,)
        Of the cells; their parameters end with the shares.
    cells : sequence of Cell (K,)
    shares : Shares
    """

    def of_cohorts(cohorts: Ints, labels: pd.Index) -> Estimates:
        position = np.searchsorted(shares.cohorts, cohorts)
        u = rows.uncertainty
        assert isinstance(u, Influence)  # noqa: S101 - cells are built with contributions
        loadings = np.zeros((len(position), len(u.values)))
        loadings[np.arange(len(position)), len(u.values) - len(shares) + position] = 1.0
        values = pd.Series(shares.values[position], index=labels, name="estimate")
        return Estimates(values, replace(u, loadings=loadings))

    of_rows = of_cohorts(np.array([c.cohort for c in cells]), rows.index)
    return CellWeights(of_rows, None, of_cohorts)


def four_averages(
    panel: Panel, cells: Sequence[Cell], weights: CellWeights, leads: Sequence[int] = ()
) -> dict[str, Weighting]:
    """The averages "simple", "event", "cohort" and "calendar", and the overall average that each but "simple" carries.

    Parameters
    ----------
    panel : Panel
    cells : sequence of Cell (K,)
    weights : CellWeights
    leads : sequence of int
        Periods since treatment of further rows, which pool the cohorts: they are averaged in "event" alone.

    References
    ----------
    Callaway and Sant'Anna (2021), eq. (3.4), (3.7), (3.8), (3.10), (3.11) and (3.12).
    """
    cohort, time = np.array([c.cohort for c in cells]), np.array([c.time for c in cells])
    post = time >= cohort
    n_rows, effect_in_words = len(cells) + len(leads), f"effect on the treated of {panel.names['outcome']}"
    references = {c.time - c.cohort for c in cells if c.is_reference}
    events, event = np.unique(np.concatenate([time - cohort, np.array(leads, dtype=int)]), return_inverse=True)
    cohorts, of_cohort = _positions(cohort, post, n_rows)
    times, of_time = _positions(time, post, n_rows)
    cohort_labels = panel.periods[cohorts].rename("cohort")
    after = np.where(np.r_[post, np.zeros(len(leads), dtype=bool)], 0, -1)

    def average(
        of_rows: Floats | Estimates | None,
        groups: Ints,
        labels: pd.Index,
        averaging: str,
        overall: Floats | Estimates | None,
    ) -> Weighting:
        then = {"overall": Weighting(overall, labels=_ATT, estimand=f"{effect_in_words}, overall average {averaging}")}
        return Weighting(of_rows, pd.Index(groups), then, labels, f"{effect_in_words}, {averaging}")

    periods = panel.periods[times].rename("time")
    overall = weights.of_cohorts(cohorts, cohort_labels)
    return {
        "simple": Weighting(weights.rows, pd.Index(after), labels=_ATT, estimand=effect_in_words),
        "event": average(
            weights.rows,
            event,
            _event_labels(events, references),
            "by periods since treatment",
            (events >= 0).astype(float),
        ),
        "cohort": average(weights.within, of_cohort, cohort_labels, "by cohort", overall),
        "calendar": average(weights.rows, of_time, periods, f"by {panel.axis.name}", None),
    }


def _positions(values: Ints, used: Bools, n_rows: int) -> tuple[Ints, Ints]:
    """Distinct values among the cells used, and the position in them of every row, -1 where it is not used."""
    levels, codes = np.unique(values[used], return_inverse=True)
    groups = np.full(n_rows, -1)
    groups[: len(used)][used] = codes
    return levels, groups


def _event_labels(events: Values, references: set[int]) -> pd.Index:
    if not references:
        return pd.Index(events, name="event")
    marked = [ReferenceEvent(e) if int(e) in references else int(e) for e in events]
    return pd.Index(marked, dtype=object, name="event")


def regression_component(
    contributions: Floats,
    clusters: Sequence[Values],
    n_rows: int,
    n_parameters: int,
    coefficients: Bools,
) -> Component:
    """Clustered variance of a regression on panel rows, from contributions of units.

    The factor is G / (G - 1) (n - 1) / (n - p): n rows, p as in :func:`counted_parameters`. Parameters that are no
    coefficients (shares of cohorts) carry none.

    Parameters
    ----------
    contributions : ndarray (N, k)
    clusters : sequence of ndarray (N,)
        Labels, one way; none: every unit is a cluster.
    n_rows, n_parameters : int
    coefficients : ndarray (k,) of bool
    """
    sums = cluster_sums(contributions, clusters[0]).to_numpy() if clusters else contributions
    n = len(sums)
    if n < 2:
        raise CausalDataError("there are fewer than 2 clusters; clustered errors need at least two")
    extra = (n_rows - 1) / (n_rows - n_parameters) if n_rows > n_parameters else 1.0
    factor = np.sqrt(np.where(coefficients, n / (n - 1) * extra, 1.0))
    return Component.of_sums(sums * factor, float(n - 1), extra)


def cell_text(panel: Panel, cell: Cell) -> str:
    """A cell in words."""
    return f"cohort {panel.periods[cell.cohort]} in {panel.periods[cell.time]}"


def panel_facts(panel: Panel) -> dict[str, Any]:
    """Facts of a panel for ``glance``."""
    sizes = {str(panel.periods[g]): int((panel.cohort == g).sum()) for g in panel.treated_cohorts}
    return {
        "outcome": panel.names["outcome"],
        "unit": panel.names.get("unit"),
        "time": panel.axis.name,
        "n_units": panel.n_units,
        "n_periods": panel.n_periods,
        "n_never_treated": int(panel.never.sum()),
        "cohort_sizes": sizes,
        "covariates": panel.covariates,
        **panel.facts,
    }


def panel_checks(panel: Panel) -> dict[str, Any]:
    """Cohort sizes, composition and raw trends, computed when read."""
    return {
        "cohorts": partial(checks.cohort_sizes, panel),
        "composition": partial(checks.composition, panel),
        "trends": partial(checks.raw_trends, panel),
    }


def cohort_shares(panel: Panel, cohorts: Ints) -> Shares:
    """Share of every cohort among all units."""
    w = panel.unit_weights()
    members = (panel.cohort[:, None] == cohorts).astype(np.float64)
    if w is not None:
        members *= w[:, None]
    values = members.mean(axis=0)
    return Shares(cohorts, values, (members - values) / panel.n_units)


def cell_index(panel: Panel, cells: Sequence[Cell], leads: Sequence[int] = ()) -> pd.MultiIndex:
    """Labels cohort, time, event of cells, reference events marked; leads that pool the cohorts have an event alone."""
    cohort = np.concatenate([[c.cohort for c in cells], np.full(len(leads), -1)]).astype(np.intp)
    time = np.concatenate([[c.time for c in cells], np.full(len(leads), -1)]).astype(np.intp)
    events = [c.time - c.cohort for c in cells] + list(leads)
    levels, event = np.unique(events, return_inverse=True)
    labels = _event_labels(levels, {c.time - c.cohort for c in cells if c.is_reference})
    frame: list[pd.Index] = [panel.periods, panel.periods, labels]
    codes: Any = [cohort, time, event]
    index = pd.MultiIndex(frame, codes, names=["cohort", "time", "event"])  # type: ignore[arg-type]
    return index.remove_unused_levels()


def reference_cells(cells: Sequence[Cell]) -> Bools | None:
    """Which cells are their own base; None where none is."""
    reference = np.array([c.is_reference for c in cells])
    return reference if reference.any() else None


def cell_uncertainty(panel: Panel, group_time: GroupTime, index: pd.MultiIndex) -> Influence:
    """Cells, then cohort shares, with the contributions of every unit."""
    shares, K = group_time.shares, len(group_time.cells)
    names = [f"{g}, {t}" for g, t, _ in index] + [f"share of {panel.periods[g]}" for g in shares.cohorts]
    return Influence.from_contributions(
        np.concatenate([group_time.att, shares.values]),
        group_time.contributions,
        panel.units,
        names=pd.Index(names, name="parameter"),
        loadings=np.eye(K, K + len(shares)),
    )
