"""Overlap of the cells of a group-time comparison."""

from __future__ import annotations

import pandas as pd

from pandas_causal.difference_in_differences.group_time import GroupTime
from pandas_causal.effect.check import Check
from pandas_causal.panels.panel import Panel

__all__ = ["cell_overlap"]

_EXTREME = 0.05  # share of a cohort beyond 0.99 from which promise 7 of overlap speaks


def cell_overlap(panel: Panel, group_time: GroupTime) -> dict[str, Check]:
    """Overlap of every comparison that a propensity was fitted for; fails where over 5% of the treated are extreme."""
    rows = [
        (panel.periods[cell.cohort], panel.periods[cell.time], panel.periods[cell.base], trimmed, extreme)
        for cell, trimmed, extreme in group_time.overlap
    ]
    table = pd.DataFrame(rows, columns=["cohort", "time", "base", "n_trimmed", "share_extreme"])
    worst = float(table["share_extreme"].max())
    summary = f"at most {100 * worst:.1f}% of a cohort have a propensity over 0.99 ({len(table)} models)"
    return {"overlap": Check(worst <= _EXTREME, table.set_index(["cohort", "time"]), summary)}
