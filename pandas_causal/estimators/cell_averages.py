"""Group-time cells as one Effect: their labels, cohort shares, joint uncertainty and averages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pandas_causal.algebra import Weighting
from pandas_causal.effect import Effect
from pandas_causal.group_time import GroupTime, ReferenceEvent
from pandas_causal.inference.influence import Influence
from pandas_causal.panel import Panel

__all__ = ["averages", "cell_index", "cell_uncertainty", "cohort_shares", "share_weights"]

Floats = NDArray[np.float64]
_ATT = pd.Index(["ATT"])


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
