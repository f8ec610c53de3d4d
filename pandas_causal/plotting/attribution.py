"""Attributions: bars with intervals, a waterfall from before to after, and arrows as wide as they are strong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pandas_causal.kernels.arrays import Floats
from pandas_causal.plotting.canvas import (
    axes,
    ink,
    interval_words,
    label_rows,
    n_lines,
    number_format,
    require,
    row_labels,
    tidy_up,
)
from pandas_causal.plotting.colours import BLUE, GREY, VERMILLION
from pandas_causal.plotting.graph import draw_graph
from pandas_causal.plotting.picture import Picture, PlottedEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PICTURES", "draw_bars", "draw_strengths", "draw_waterfall"]

_MOST_BARS = 30
_WIDTHS = "width of an arrow: its share of the effect's spread"


def draw_bars(
    table: pd.DataFrame, ax: Axes | None = None, *, xlabel: str | None = None, title: str | None = None
) -> Axes:
    """Draw contributions as bars with their intervals, the largest at the top.

    What adds is blue, what takes away vermillion. Of more than 30 rows, the 30 largest are drawn and the axis says so.

    Parameters
    ----------
    table : DataFrame (rows,)
        estimate, conf_low, conf_high: ``effect.table`` of an attribution.
    ax : matplotlib Axes, optional
    xlabel, title : str, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    CausalArgumentError
        If the table lacks a column or has no rows.
    """
    require(table, ("estimate", "conf_low", "conf_high"), "effect.table of an attribution")
    order = np.argsort(-table["estimate"].abs().to_numpy(dtype=float), kind="stable")[:_MOST_BARS]
    drawn = table.iloc[order]
    labels = row_labels(drawn.index)
    ax = axes(ax, 6.8, 1.4 + 0.17 * len(drawn) + 0.19 * n_lines(labels))
    y = np.arange(len(drawn), 0, -1, dtype=float)
    estimate, low, high = (drawn[c].to_numpy(dtype=float) for c in ("estimate", "conf_low", "conf_high"))
    ax.axvline(0, color=GREY, linewidth=1, zorder=0)
    ax.barh(y, estimate, height=0.62, color=_colours(estimate), zorder=1)
    ax.hlines(y, low, high, colors=ink(ax), linewidth=1.6, zorder=2)
    label_rows(ax, y, labels)
    ax.set_ylim(0.4, len(drawn) + 0.6)
    ax.margins(x=0.06)
    number_format(ax.xaxis)
    some = "" if len(drawn) == len(table) else f" ({len(drawn)} largest of {len(table):,} rows)"
    ax.set_xlabel(f"{xlabel or 'contribution'}{some}")
    tidy_up(ax, title)
    return ax


def draw_waterfall(
    table: pd.DataFrame, ax: Axes | None = None, *, xlabel: str | None = None, title: str | None = None
) -> Axes:
    """Draw how contributions lead from one value to another, step by step from the top.

    Parameters
    ----------
    table : DataFrame (steps,)
        With a column value: the first row where it starts, the last where it ends, and the contributions between
        (``effect.diagnostics["waterfall"].table``). Or with a column attribution, from 0 to their sum:
        ``model.attribute_anomaly(...).loc[row]``.
    ax : matplotlib Axes, optional
    xlabel, title : str, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    CausalArgumentError
        If the table lacks the column or has no rows.
    """
    if isinstance(table, pd.DataFrame) and "attribution" in table.columns and "value" not in table.columns:
        values = table["attribution"].to_numpy(dtype=float)
        table = pd.DataFrame(
            {"value": [0.0, *values, values.sum()]}, index=pd.Index(["start", *row_labels(table.index), "sum"])
        )
        xlabel = xlabel or "attribution"
    require(table, ("value",), 'effect.diagnostics["waterfall"].table, or attribute_anomaly(...).loc[row]')
    values = table["value"].to_numpy(dtype=float)
    steps = values[1:-1]
    reached = values[0] + np.concatenate([[0.0], np.cumsum(steps)])
    labels = row_labels(table.index)
    ax = axes(ax, 6.8, 1.4 + 0.17 * len(table) + 0.19 * n_lines(labels))
    y = np.arange(len(table), 0, -1, dtype=float)
    ends = np.concatenate([[values[0]], reached[1:], [values[-1]]])
    starts = np.concatenate([[values[0]], reached[:-1], [values[-1]]])
    ax.barh(y[1:-1], steps, left=reached[:-1], height=0.62, color=_colours(steps), zorder=2)
    ax.plot([values[0], values[-1]], y[[0, -1]], "D", color=ink(ax), markersize=7, zorder=3)
    for k in range(len(table) - 1):  # from each end to the next start
        ax.vlines(ends[k], y[k + 1] - 0.31, y[k] + 0.31, colors=GREY, linewidth=1, zorder=1)
    _write_values(ax, y, values, np.maximum(starts, ends))
    label_rows(ax, y, labels)
    ax.set_ylim(0.4, len(table) + 0.6)
    ax.use_sticky_edges = False
    ax.autoscale_view(scaley=False)
    ax.margins(x=0.14)
    number_format(ax.xaxis)
    ax.set_xlabel(xlabel or "value")
    tidy_up(ax, title)
    return ax


def draw_strengths(table: pd.DataFrame, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Draw a graph whose arrows are as wide as they are strong.

    Parameters
    ----------
    table : DataFrame (arrows,)
        parent, child and share (0 to 1), the arrows into causes first:
        ``effect.diagnostics["strengths"].table`` of :meth:`StructuralModel.arrow_strength`.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, ("parent", "child", "share"), 'effect.diagnostics["strengths"].table')
    seen: dict[object, str] = {}
    for child, group in table.groupby("child", sort=False):
        seen.update(dict.fromkeys([p for p in group["parent"] if p not in seen], "observed"))
        seen[child] = "observed"
    nodes = pd.DataFrame({"node": pd.Series(list(seen), dtype=object), "kind": list(seen.values())})
    edges = table[["parent", "child", "share"]].assign(kind="directed")
    return draw_graph(nodes, edges, ax, title=title or _WIDTHS)


def _colours(values: Floats) -> list[str]:
    return [BLUE if value >= 0 else VERMILLION for value in values]


def _write_values(ax: Axes, y: Floats, values: Floats, right: Floats) -> None:
    """Each value at the right of its bar; contributions with their sign."""
    largest = float(np.abs(values[1:-1]).max(initial=0.0)) or float(np.abs(values).max()) or 1.0
    digits = max(0, 2 - int(np.floor(np.log10(largest))))
    for k, (height, value, x) in enumerate(zip(y, values, right, strict=True)):
        sign = "" if k in {0, len(values) - 1} else "+"
        ax.annotate(
            f"{value:{sign},.{min(digits, 6)}f}",
            (x, height),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )


def _bars_of_effect(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    return draw_bars(effect.table, ax, xlabel=effect.estimand, title=f"{n}{interval_words(effect.table, effect.level)}")


def _waterfall_of_effect(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    return draw_waterfall(effect.diagnostics["waterfall"].table, ax, xlabel=effect.estimand, title=n)


def _strengths_of_effect(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    return draw_strengths(effect.diagnostics["strengths"].table, ax, title=f"{_WIDTHS}\n{n}")


def _is_attribution(effect: PlottedEffect) -> bool:
    return any(name in effect.diagnostics for name in ("waterfall", "shares", "strengths"))


PICTURES = {
    "bars": Picture(_bars_of_effect, available=_is_attribution, first=True),
    "waterfall": Picture(_waterfall_of_effect, "waterfall"),
    "strengths": Picture(_strengths_of_effect, "strengths"),
}
