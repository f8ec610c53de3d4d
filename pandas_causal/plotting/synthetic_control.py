"""Pictures of a synthetic comparison: actual beside synthetic, placebo gaps, weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pandas_causal.plotting.canvas import (
    answer,
    axes,
    ink,
    label_rows,
    legend_above,
    n_lines,
    number_format,
    require,
    row_labels,
    tidy_up,
)
from pandas_causal.plotting.colours import BLUE, GREY, ORANGE, VERMILLION
from pandas_causal.plotting.picture import Picture, PlottedEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PICTURES", "draw_placebo_gaps", "draw_synthetic", "draw_unit_weights"]

_GAP = 'effect.diagnostics["gap"].table'
_FAINT = "#BBBBBB"
_MAX_BARS = 15


def draw_synthetic(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the actual and the synthetic outcome, the gap after treatment shaded.

    Parameters
    ----------
    table : DataFrame
        ``effect.diagnostics["gap"].table``: actual, synthetic, gap, treated; the index holds the periods.
    ax : matplotlib Axes, optional
    xlabel, ylabel, title : str, optional

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
    require(table, ("actual", "synthetic", "gap", "treated"), _GAP)
    ax = axes(ax, 6.8, 4.0)
    at, numeric = _positions(table.index)
    treated = table["treated"].to_numpy(dtype=bool)
    _start(ax, at, treated)
    after = np.flatnonzero(treated)
    shown = np.r_[after[0] - 1, after] if len(after) and after[0] > 0 else after
    low, high = table["actual"].to_numpy()[shown], table["synthetic"].to_numpy()[shown]
    ax.fill_between(at[shown], low, high, color=ORANGE, alpha=0.25, linewidth=0)
    ax.plot(at, table["synthetic"], color=BLUE, linewidth=1.8, linestyle=(0, (5, 2)), label="synthetic")
    ax.plot(at, table["actual"], color=ink(ax), linewidth=1.8, label="actual")
    title = legend_above(ax, title)
    _finish(ax, table.index, numeric, xlabel, ylabel or "outcome", title)
    return ax


def draw_placebo_gaps(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    start: Any = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the gap of the treated over the gaps of donors that play them.

    Parameters
    ----------
    table : DataFrame
        ``effect.diagnostics["placebo"].table``: the actual path in the first row; columns are periods.
    ax : matplotlib Axes, optional
    start : optional
        First treated period, as in the columns.
    xlabel, ylabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, (), 'effect.diagnostics["placebo"].table')
    ax = axes(ax, 6.8, 4.0)
    at, numeric = _positions(table.columns)
    treated = np.zeros(len(at), dtype=bool)
    if start is not None:
        treated[int(table.columns.get_indexer(pd.Index([start]))[0]) :] = True
    ax.axhline(0, color=GREY, linewidth=1, zorder=0)
    _start(ax, at, treated)
    paths = table.iloc[1:].to_numpy()
    ax.plot(at, paths[:200].T, color=_FAINT, linewidth=0.8, alpha=0.8, zorder=1)
    ax.plot([], [], color=_FAINT, linewidth=1.2, label="placebos")
    ax.plot(at, table.iloc[0], color=VERMILLION, linewidth=2, zorder=3, label="treated")
    title = legend_above(ax, title)
    _finish(ax, table.columns, numeric, xlabel, ylabel or "gap", title)
    return ax


def draw_unit_weights(
    table: pd.DataFrame, ax: Axes | None = None, *, xlabel: str | None = None, title: str | None = None
) -> Axes:
    """Draw the weights of the donors that have most, as bars.

    Parameters
    ----------
    table : DataFrame
        ``effect.diagnostics["unit_weights"].table``: donors in rows, treated units or groups in columns (averaged).
    ax : matplotlib Axes, optional
    xlabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, (), 'effect.diagnostics["unit_weights"].table')
    mean = table.mean(axis=1)
    mean = mean[mean.abs() > 1e-6]
    shown = mean.reindex(mean.abs().sort_values(ascending=False, kind="stable").index[:_MAX_BARS])
    labels = row_labels(shown.index)
    ax = axes(ax, 6.0, 0.9 + 0.09 * max(len(shown), 2) + 0.19 * max(n_lines(labels), 2))
    place = np.arange(len(shown))[::-1]
    colours = [BLUE if value > 0 else ORANGE for value in shown]
    ax.barh(place, shown, color=colours, height=0.7)
    ax.axvline(0, color=GREY, linewidth=1)
    label_rows(ax, place, labels)
    rest = len(mean) - len(shown)
    ax.set_xlabel((xlabel or "weight") + (f" ({rest:,} smaller weights not shown)" if rest else ""))
    number_format(ax.xaxis)
    tidy_up(ax, title)
    return ax


def _positions(index: pd.Index) -> tuple[Any, bool]:
    """Where to draw periods, and whether these are numbers; other labels stand at equal distances."""
    if pd.api.types.is_numeric_dtype(index.dtype):
        return index.to_numpy(dtype=float), True
    if pd.api.types.is_datetime64_any_dtype(index.dtype):
        return index.to_numpy(), False
    return np.arange(len(index), dtype=float), False


def _start(ax: Axes, at: Any, treated: Any) -> None:
    """Mark the last period before treatment."""
    first = np.flatnonzero(treated)
    if len(first) and first[0] > 0:
        ax.axvline(at[first[0] - 1], color=GREY, linewidth=1, linestyle="--", zorder=0)


def _finish(ax: Axes, index: pd.Index, numeric: bool, xlabel: str | None, ylabel: str, title: str | None) -> None:
    name = xlabel or (str(index.name) if index.name is not None else "period")
    ax.set_xlabel("periods since treatment" if name == "event" else name)
    ax.set_ylabel(ylabel)
    if numeric:
        if np.allclose(index.to_numpy(dtype=float), np.round(index.to_numpy(dtype=float))):
            ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        ax.xaxis.set_major_formatter("{x:.10g}")  # a year has no thousands separator
    elif pd.api.types.is_datetime64_any_dtype(index.dtype):
        from matplotlib.dates import ConciseDateFormatter

        ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
    else:
        step = max(1, -(-len(index) // 8))
        ax.set_xticks(np.arange(0, len(index), step), [str(v) for v in index[::step]])
    number_format(ax.yaxis)
    tidy_up(ax, title)


def _of_effect(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    check = effect.diagnostics["gap"]
    return draw_synthetic(check.table, ax, ylabel=str(effect.facts["outcome"]), title=_said(effect, n))


def _placebo_gaps_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    check, facts = effect.diagnostics["placebo"], effect.facts
    start = facts["first_treated"] if facts["first_treated"] in check.table.columns else None
    ylabel = f"gap in {facts['outcome']}"
    return draw_placebo_gaps(check.table, ax, start=start, ylabel=ylabel, title=f"{_said(effect, n)}\n{check.summary}")


def _said(effect: PlottedEffect, n: str) -> str:
    """The answer in words, as the print has it: the average where there are several rows."""
    table = effect.table
    if len(table) == 1:
        return f"effect {answer(table, effect.level)}, {n}"
    return n


def _unit_weights_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:  # noqa: ARG001 - called as the others are
    check = effect.diagnostics["unit_weights"]
    return draw_unit_weights(check.table, ax, title=check.summary.partition(":")[0])


PICTURES = {
    "synthetic": Picture(_of_effect, "gap", first=True),
    "placebo_gaps": Picture(_placebo_gaps_of, "placebo"),
    "unit_weights": Picture(_unit_weights_of, "unit_weights"),
}
