"""What a panel looks like: cohorts, their composition over time, raw trends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.kernels.arrays import Positions
from pandas_causal.panels.panel import Panel

__all__ = ["cohort_sizes", "composition", "raw_trends"]

_FEW = 10
_NEVER = "never treated"
_CHANGE = 0.05


def _codes(panel: Panel) -> tuple[Positions, list[Any]]:
    """Cohort of every unit as a position in a list of labels, the untreated last."""
    cohorts = np.unique(np.minimum(panel.cohort, panel.n_periods))
    codes = np.searchsorted(cohorts, np.minimum(panel.cohort, panel.n_periods))
    return codes, [_NEVER if g >= panel.n_periods else panel.periods[g] for g in cohorts]


def cohort_sizes(panel: Panel) -> Check:
    """Units and rows of every cohort; fails where a treated cohort has fewer than 10 units."""
    codes, labels = _codes(panel)
    units = np.bincount(codes, minlength=len(labels))
    rows = np.bincount(codes[panel.unit], minlength=len(labels))
    index = pd.Index(labels, dtype=object, name="cohort")
    table = pd.DataFrame({"n_units": units, "n_rows": rows, "share": units / units.sum()}, index=index)
    treated = units[: -1 if labels[-1] == _NEVER else None]
    kind = "units" if panel.is_panel else "rows"
    small = int((treated < _FEW).sum())
    summary = f"{len(treated)} cohorts of {int(treated.min()):,} to {int(treated.max()):,} {kind}"
    if small:
        summary += f"; {small} of fewer than {_FEW}, whose standard errors are too small"
    return Check(small == 0, table, summary)


def composition(panel: Panel) -> Check:
    """Rows of every cohort by period; in cross-sections a test that the shares of the cohorts do not change.

    References
    ----------
    Sant'Anna and Xu (2023), "Difference-in-differences with compositional changes", on why cross-sections need it.
    """
    codes, labels = _codes(panel)
    T = panel.n_periods
    counts = np.bincount(codes[panel.unit] * T + panel.time, minlength=len(labels) * T).reshape(-1, T)
    table = pd.DataFrame(counts, index=pd.Index(labels, dtype=object, name="cohort"), columns=panel.periods)
    if panel.balanced:
        return Check(True, table, "every unit is seen in every period")
    from scipy import special

    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    statistic = float((np.square(counts - expected) / expected).sum())
    df = (len(labels) - 1) * (T - 1)
    p = float(special.chdtrc(df, statistic))
    if not panel.is_panel:
        verdict = "do not change" if p >= _CHANGE else "change"
        return Check(
            p >= _CHANGE, table, f"shares of the cohorts {verdict} over time: chi2({df}) = {statistic:.1f}, p = {p:.3f}"
        )
    lost = 1 - len(panel) / (panel.n_units * T)
    return Check(None, table, f"{100 * lost:.1f}% of unit-periods are missing; compare cohorts period by period")


def raw_trends(panel: Panel) -> Check:
    """Mean outcome of every cohort by period: the raw trends."""
    codes, labels = _codes(panel)
    T = panel.n_periods
    key = codes[panel.unit] * T + panel.time
    w = np.ones(len(panel)) if panel.weight is None else panel.weight
    size = len(labels) * T
    n, total = np.bincount(key, minlength=size), np.bincount(key, weights=w, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(key, weights=w * panel.y, minlength=size) / total
    table = pd.DataFrame(
        {
            "cohort": np.repeat(np.array(labels, dtype=object), T),
            "time": np.tile(np.asarray(panel.periods, dtype=object), len(labels)),
            "mean": mean,
            "n": n,
        }
    )
    table["time"] = panel.periods.take(np.tile(np.arange(T), len(labels)))
    starts = np.unique(np.minimum(panel.cohort, T))
    table["treated"] = np.tile(np.arange(T), len(starts)) >= np.repeat(starts, T)
    return Check(None, table[table["n"] > 0].reset_index(drop=True), "mean outcome by cohort and period")
