"""What staggered designs share: cells as an Effect with known weights, clustered errors of regressions, words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pandas_causal.difference_in_differences.group_time import Cell, GroupTime, ReferenceEvent
from pandas_causal.difference_in_differences.imputation import Rows
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Weighting
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inference.few_treated import Treated
from pandas_causal.inference.influence import Component, Influence, cluster_sums
from pandas_causal.models.fixed_effects import singletons
from pandas_causal.panels import checks
from pandas_causal.panels.reading import Panel

__all__ = [
    "UNTESTED",
    "averages",
    "cell_index",
    "cell_text",
    "cell_uncertainty",
    "cohort_shares",
    "index_of",
    "known_weightings",
    "panel_checks",
    "panel_facts",
    "panel_rows",
    "regression_component",
    "require_unit",
    "share_weights",
    "treated_units",
    "without_singletons",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_ATT = pd.Index(["ATT"])
UNTESTED = " (cannot be tested from treatment on; before it: diagnostics['pre_trends'])"


def require_unit(estimator: Any, unit: Any) -> None:
    """Refuse repeated cross-sections where a design follows units."""
    if unit is None:
        raise CausalArgumentError(
            f"{type(estimator).__name__}.fit needs unit=: it follows units over time; for repeated cross-sections use"
            " CallawaySantAnna, or DifferenceInDifferences with group= and post="
        )


def panel_rows(panel: Panel) -> Rows:
    """Rows of a panel as plain arrays."""
    return Rows(
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
    panel: Panel, cells: Sequence[Cell], more: int, n_treated: Ints, n_control: Ints, leads: Sequence[int] = (),
    *, untreated_only: bool = False,
) -> Treated:  # fmt: skip
    """Treated units (and comparison units) behind cells, and further parameters that rest on no few units."""
    cohorts = panel.treated_cohorts
    source = np.concatenate([np.searchsorted(cohorts, [c.cohort for c in cells]), np.full(more, -1)]).astype(np.intp)
    place = np.searchsorted(cohorts, panel.cohort)
    groups = np.where(np.append(cohorts, -1)[place] == panel.cohort, place, -1).astype(np.intp)
    most, controls = np.zeros(more, dtype=np.int64), np.zeros(more, dtype=np.int64)
    if leads:  # these pool the cohorts: all treated units seen so long before treatment
        source[-more:] = -2
        inside = panel.cohort[panel.unit] < panel.n_periods
        most = np.array([int((inside & (panel.event == e)).sum()) for e in leads], dtype=np.int64)
        controls = np.full(more, int(panel.never.sum()) or len(groups))
    behind, beside = np.concatenate([n_treated, most]), np.concatenate([n_control, controls])
    return Treated.of(source, groups, behind, beside, untreated_only=untreated_only)


def known_weightings(
    panel: Panel, cells: Sequence[Cell], mass: Floats, leads: Sequence[int] = ()
) -> dict[str, Weighting]:
    """The four averages of cells at known weights; leads that pool the cohorts stand in the one by event.

    Parameters
    ----------
    panel : Panel
    cells : sequence of Cell (K,)
    mass : ndarray (K,)
        Weight of every cell; a cohort's in the overall average is that of its mean cell from treatment on.
    leads : sequence of int
        Periods since treatment of further rows after the cells.
    """
    n_rows, K = len(cells) + len(leads), len(cells)
    cohort, time = np.array([c.cohort for c in cells]), np.array([c.time for c in cells])
    post = time >= cohort
    weights = np.concatenate([mass, np.ones(n_rows - K)])
    what = f"effect on the treated of {panel.names['outcome']}"

    def averaged(values: NDArray[Any], used: NDArray[np.bool_], labels: Any, how: str, overall: Any) -> Weighting:
        levels, codes = np.unique(values[used], return_inverse=True)
        groups = np.full(n_rows, -1)
        groups[: len(used)][used] = codes
        then = {"overall": Weighting(overall(levels), labels=_ATT, estimand=f"{what}, overall average {how}")}
        return Weighting(weights, pd.Index(groups), then, labels(levels), f"{what}, {how}")

    events = np.concatenate([time - cohort, np.array(leads, dtype=int)])
    references = {c.time - c.cohort for c in cells if c.is_reference}
    simple = np.where(np.r_[post, np.zeros(n_rows - K, dtype=bool)], 0, -1)
    return {
        "simple": Weighting(weights, pd.Index(simple), labels=_ATT, estimand=what),
        "event": averaged(
            events, np.ones(n_rows, dtype=bool), lambda e: _event_labels(e, references), "by periods since treatment",
            lambda e: (e >= 0).astype(float),
        ),
        "cohort": averaged(
            cohort, post, lambda g: panel.periods[g].rename("cohort"), "by cohort",
            lambda g: np.array([mass[post & (cohort == k)].mean() for k in g]),
        ),
        "calendar": averaged(
            time, post, lambda t: panel.periods[t].rename("time"), f"by {panel.axis.name}", lambda _: None
        ),
    }  # fmt: skip


def _event_labels(events: NDArray[Any], references: set[int]) -> pd.Index:
    if not references:
        return pd.Index(events, name="event")
    marked = [ReferenceEvent(e) if int(e) in references else int(e) for e in events]
    return pd.Index(marked, dtype=object, name="event")


def regression_component(
    contributions: Floats,
    clusters: Sequence[NDArray[Any]],
    n_rows: int,
    n_parameters: int,
    coefficients: NDArray[np.bool_],
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
    return Component((sums.T @ sums) * np.outer(factor, factor), float(n - 1), extra)


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
        "trends": partial(checks.trends, panel),
    }


def index_of(panel: Panel, cells: Sequence[Cell], leads: Sequence[int] = ()) -> pd.MultiIndex:
    """Labels cohort, time, event of cells; leads that pool the cohorts have an event alone."""
    cohort = np.concatenate([[c.cohort for c in cells], np.full(len(leads), -1)]).astype(np.intp)
    time = np.concatenate([[c.time for c in cells], np.full(len(leads), -1)]).astype(np.intp)
    events = [c.time - c.cohort for c in cells] + list(leads)
    levels = sorted(set(events))
    event = np.searchsorted(levels, events)
    frame = [panel.periods, panel.periods, pd.Index(levels)]
    codes = [cohort, time, event]
    return pd.MultiIndex(frame, codes, names=["cohort", "time", "event"])  # type: ignore[arg-type]


def cohort_shares(panel: Panel, found: GroupTime, cohorts: NDArray[np.int64]) -> Floats:
    """Share of every cohort among all units, and its contributions (w_i 1[G_i = g] - share) / N in the last columns."""
    w = panel.unit_weights()
    n, K = panel.n_units, len(found.cells)
    shares = np.empty(len(cohorts))
    for j, g in enumerate(cohorts):
        column = (panel.cohort == g).astype(np.float64)
        if w is not None:
            column *= w
        shares[j] = column.mean()
        found.contributions[:, K + j] = (column - shares[j]) / n
    return shares


def cell_index(panel: Panel, found: GroupTime) -> tuple[pd.MultiIndex, NDArray[np.bool_]]:
    """Labels of the cells, the reference marked, and which cells are reference."""
    reference = np.array([c.is_reference for c in found.cells])
    events = [ReferenceEvent(c.time - c.cohort) if c.is_reference else c.time - c.cohort for c in found.cells]
    levels = [
        panel.periods[[c.cohort for c in found.cells]],
        panel.periods[[c.time for c in found.cells]],
        pd.Index(events, dtype=object if reference.any() else "int64"),
    ]
    return pd.MultiIndex.from_arrays(levels, names=["cohort", "time", "event"]), reference


def cell_uncertainty(
    panel: Panel, found: GroupTime, cohorts: NDArray[np.int64], shares: Floats, index: pd.MultiIndex
) -> Influence:
    """Cells, then cohort shares, with the contributions of every unit."""
    K = len(found.cells)
    names = [f"{g}, {t}" for g, t, _ in index] + [f"share of {panel.periods[g]}" for g in cohorts]
    return Influence.from_contributions(
        np.concatenate([found.att, shares]),
        found.contributions,
        panel.units,
        names=pd.Index(names, name="parameter"),
        loadings=np.eye(K, K + len(shares)),
    )


def averages(
    effect: Effect, found: GroupTime, cohorts: NDArray[np.int64], shares: Floats, panel: Panel
) -> dict[str, Weighting]:
    """The four averages, at estimated cohort shares, and the overall average that each but "simple" carries.

    Callaway and Sant'Anna (2021), eq. (3.4), (3.7), (3.8), (3.10), (3.11) and (3.12).
    """
    index = effect.estimates.index
    own = np.searchsorted(cohorts, [c.cohort for c in found.cells])
    time = np.array([c.time for c in found.cells])
    post = time >= cohorts[own]
    by_share = share_weights(effect, own, shares, index)
    events, event = np.unique(time - cohorts[own], return_inverse=True)
    marked = {int(e): e for e in index.get_level_values("event")}
    event_labels = pd.Index([marked[int(e)] for e in events], dtype=index.get_level_values("event").dtype, name="event")
    alive = np.unique(own[post])
    cohort_labels = panel.periods[cohorts[alive]].rename("cohort")
    by_cohort = share_weights(effect, alive, shares, cohort_labels)
    times = np.unique(time[post])

    def averaged(weights: Any, codes: Any, labels: pd.Index, how: str, overall: Any) -> Weighting:
        then = {"overall": Weighting(overall, labels=_ATT, estimand=f"{what}, overall average {how}")}
        return Weighting(weights, pd.Index(codes), then, labels, f"{what}, {how}")

    what = f"effect on the treated of {panel.names['outcome']}"
    after = np.where(post, 0, -1)
    return {
        "simple": Weighting(by_share, pd.Index(after), labels=_ATT, estimand=what),
        "event": averaged(by_share, event, event_labels, "by periods since treatment", (events >= 0).astype(float)),
        "cohort": averaged(
            None, np.where(post, np.searchsorted(alive, own), -1), cohort_labels, "by cohort", by_cohort
        ),
        "calendar": averaged(
            by_share,
            np.where(post, np.searchsorted(times, time), -1),
            panel.periods[times].rename("time"),
            f"by {panel.axis.name}",
            None,
        ),
    }


def share_weights(effect: Effect, own: NDArray[np.intp], shares: Floats, index: pd.Index) -> Effect:
    """Shares of the cohorts that rows belong to, as an Effect on the same parameters."""
    u = effect.uncertainty
    assert isinstance(u, Influence)  # noqa: S101 - built so above
    K = len(u.values) - len(shares)
    loadings = np.zeros((len(own), len(u.values)))
    loadings[np.arange(len(own)), K + own] = 1.0
    return Effect(
        estimates=pd.Series(shares[own], index=index, name="estimate"),
        uncertainty=replace(u, loadings=loadings),
        estimand="share of the cohort",
        n_obs=effect.n_obs,
    )
