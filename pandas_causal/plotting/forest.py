"""Estimates with their intervals, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pandas_causal.kernels.arrays import Floats
from pandas_causal.plotting.canvas import (
    axes,
    interval_words,
    label_rows,
    n_lines,
    number_format,
    require,
    row_labels,
    tidy_up,
)
from pandas_causal.plotting.colours import BLUE, GREY
from pandas_causal.plotting.picture import Picture, PlottedEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PICTURES", "draw_forest"]

MOST_LABELLED = 40
MOST_DRAWN = 2_000
_COLUMNS = ("estimate", "conf_low", "conf_high")


def draw_forest(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    xlabel: str | None = None,
    title: str | None = None,
    null: float = 0.0,
) -> Axes:
    """Draw estimates with their intervals from top to bottom, and a line at no effect.

    Above 40 rows (one per unit, say) rows are sorted by their estimate and not labelled; above 2,000, so many of them
    are drawn, evenly by rank, and the axis says so. An infinite end, of a one-sided interval, is an arrow.

    Parameters
    ----------
    table : DataFrame (rows,)
        With columns estimate, conf_low and conf_high: ``effect.table``, or the table of ``compare``. The index names
        the rows.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    xlabel : str, optional
        What is estimated, and its unit.
    title : str, optional
        By default the number of rows behind the estimates, where the table has a column ``n_obs``.
    null : float
        Where the line of no effect stands: 0, or 1 for ratios.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    CausalArgumentError
        If the table lacks a column or has no rows.
    MissingDependencyError
        Where matplotlib is not installed.
    """
    require(table, _COLUMNS, "effect.table, or the table of compare({...})")
    many = len(table) > MOST_LABELLED
    labels = [] if many else _labels(table)
    ax = axes(ax, 6.8, 5.0 if many else 1.5 + 0.13 * len(table) + 0.19 * n_lines(labels))
    ax.axvline(null, color=GREY, linewidth=1, zorder=0)
    drawn, y = _positions(table, many)
    estimate, low, high = (drawn[c].to_numpy(dtype=float) for c in _COLUMNS)
    left, right = _limits(estimate, low, high, null)
    ax.set_xlim(left, right)
    heavy = 0.6 if many else 1.8
    ax.hlines(y, np.maximum(low, left), np.minimum(high, right), colors=BLUE, linewidth=heavy, alpha=0.5 if many else 1)
    for end, at, marker in ((low, left, "<"), (high, right, ">")):
        open_ended = np.isinf(end)
        if open_ended.any():
            x = np.full(int(open_ended.sum()), at)
            ax.plot(x, y[open_ended], marker, color=BLUE, markersize=2 if many else 7, clip_on=False)
    ax.plot(estimate, y, "o", color=BLUE, markersize=1.5 if many else 6, markeredgewidth=0)
    _name_rows(ax, table, drawn, y, labels)
    number_format(ax.xaxis)
    ax.set_xlabel(xlabel or "estimate")
    tidy_up(ax, _count(table) if title is None else title)
    return ax


def _positions(table: pd.DataFrame, many: bool) -> tuple[pd.DataFrame, Floats]:
    """Rows drawn and their heights: in the table's order from the top, or sorted when there are many."""
    if not many:
        return table, np.arange(len(table), 0, -1, dtype=float)
    ranked = table.iloc[np.argsort(table["estimate"].to_numpy(dtype=float), kind="stable")]
    rank = np.arange(len(table))
    if len(table) > MOST_DRAWN:
        rank = np.linspace(0, len(table) - 1, MOST_DRAWN).round().astype(int)
    return ranked.iloc[rank], np.asarray(rank + 1, dtype=np.float64)


def _limits(estimate: Floats, low: Floats, high: Floats, null: float) -> tuple[float, float]:
    """Ends of the axis: every finite number and the line of no effect, with room; more where an end is open."""
    ends = np.concatenate([estimate, low, high, [null]])
    ends = ends[np.isfinite(ends)]
    span = float(np.ptp(ends)) or 1.0
    left, right = ends.min() - 0.06 * span, ends.max() + 0.06 * span
    return (
        float(left - 0.1 * span * np.isneginf(low).any()),
        float(right + 0.1 * span * np.isposinf(high).any()),
    )


def _labels(table: pd.DataFrame) -> list[str]:
    labels = row_labels(table.index)
    if "n_obs" in table.columns and _count(table) is None:
        labels = [f"{label} (n = {n:,})" for label, n in zip(labels, table["n_obs"], strict=True)]
    return labels


def _name_rows(ax: Axes, table: pd.DataFrame, drawn: pd.DataFrame, y: Floats, labels: list[str]) -> None:
    if not labels:
        ax.set_ylim(0, len(table) + 1)
        some = "" if len(drawn) == len(table) else f" ({len(drawn):,} drawn, evenly by rank)"
        ax.set_ylabel(f"{len(table):,} rows, sorted by estimate{some}")
        ax.set_yticks([])
        return
    label_rows(ax, y, labels)
    ax.set_ylim(0.4, len(table) + 0.6)


def _count(table: pd.DataFrame) -> str | None:
    """Title of a table whose rows all rest on the same number of observations."""
    if "n_obs" not in table.columns or not (table["n_obs"] == table["n_obs"].iloc[0]).all():
        return None
    return f"n = {int(table['n_obs'].iloc[0]):,}"


def _of_effect(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    sided = "" if effect.alternative == "two-sided" else "one-sided "
    title = f"{n}{interval_words(effect.table, effect.level, sided=sided)}"
    return draw_forest(effect.table, ax, xlabel=effect.estimand, title=title)


PICTURES = {
    "forest": Picture(_of_effect),
}
