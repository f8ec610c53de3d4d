"""Pictures of staggered treatment: effects by event time, the grid of cohorts and periods, raw trends."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalError, CausalWarning
from pandas_causal.kernels.arrays import Floats
from pandas_causal.plotting.canvas import (
    WIDE,
    axes,
    folded,
    ground,
    ink,
    interval_words,
    legend_above,
    number_format,
    panel_size,
    require,
    tidy_up,
)
from pandas_causal.plotting.colours import BLUE, GREY, VERMILLION, Look, looks_of_groups
from pandas_causal.plotting.picture import Picture, PlottedEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PICTURES", "draw_event_study", "draw_group_time", "draw_trends"]

_COLUMNS = ("estimate", "conf_low", "conf_high")
_MOST_LABELLED = 90
_MOST_NAMED, _MOST_IN_COLUMN = 10, 18
_MOST_LETTERS, _LETTERS_PER_INCH = 55, 9.4
_NEVER = "never treated"


def draw_event_study(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    band: pd.DataFrame | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw effects by periods since treatment, with their intervals and a band that covers all of them at once.

    Parameters
    ----------
    table : DataFrame
        ``effect.aggregate("event").table``: estimate, conf_low, conf_high; the index holds the event times. A row
        without a p-value is the reference period and drawn hollow.
    ax : matplotlib Axes, optional
    band : DataFrame, optional
        ``effect.interval(simultaneous=True)``: conf_low, conf_high of the same rows.
    xlabel, ylabel, title : str, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    CausalArgumentError
        If a table lacks a column or has no rows.
    MissingDependencyError
        Where matplotlib is not installed.

    References
    ----------
    Freyaldenhoven, Hansen, Perez and Shapiro (2021), "Visualization, identification, and estimation in the linear panel
    event-study design", on pointwise and simultaneous intervals in one picture.
    """
    require(table, _COLUMNS, 'effect.aggregate("event").table')
    ax = axes(ax, 6.8, 4.0)
    at = np.array([int(e) for e in table.index], dtype=float)
    estimate, low, high = (table[c].to_numpy(dtype=float) for c in _COLUMNS)
    reference = low == high
    ax.axhline(0, color=GREY, linewidth=1, zorder=0)
    ax.axvline(-0.5, color=GREY, linewidth=1, linestyle="--", zorder=0)
    for before, colour in ((True, BLUE), (False, VERMILLION)):
        on_side = (at < 0) == before
        if band is not None:
            wide = band[["conf_low", "conf_high"]].to_numpy(dtype=float)
            ax.vlines(at[on_side], wide[on_side, 0], wide[on_side, 1], color=colour, linewidth=1.2, zorder=1)
        ax.vlines(at[on_side], low[on_side], high[on_side], color=colour, linewidth=4.0, alpha=0.45, zorder=2)
        solid = on_side & ~reference
        label = "before treatment" if before else "from treatment on"
        ax.plot(at[solid], estimate[solid], "o", color=colour, markersize=6, zorder=3, label=label)
    if reference.any():
        ax.plot(at[reference], estimate[reference], "o", color=BLUE, markerfacecolor=ground(ax), markersize=6, zorder=3)
    _integer_ticks(ax, at)
    number_format(ax.yaxis)
    ax.set_xlabel(xlabel or "periods since first treatment")
    ax.set_ylabel(ylabel or "effect on the treated")
    tidy_up(ax, title)
    return ax


def _integer_ticks(ax: Axes, at: Floats) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    ax.set_xlim(at.min() - 0.6, at.max() + 0.6)


def draw_group_time(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    xlabel: str | None = None,
    label: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the cells: a row per cohort, a column per period, colour and number for the effect.

    Numbers in bold have an interval without zero; the line is where treatment starts. Above 90 cells only colours are
    drawn.

    Parameters
    ----------
    table : DataFrame
        ``effect.table`` with index levels cohort, time and event.
    ax : matplotlib Axes, optional
    xlabel, label, title : str, optional
        `label` is what the colours mean.

    Returns
    -------
    matplotlib Axes
    """
    require(table, _COLUMNS, "effect.table of group-time effects")
    table = table[table.index.get_level_values("cohort").notna()]  # leads that pool the cohorts are no cells
    cohorts, periods = (table.index.unique(level).sort_values() for level in ("cohort", "time"))
    row = cohorts.get_indexer(table.index.get_level_values("cohort"))
    column = periods.get_indexer(table.index.get_level_values("time"))
    grid = np.full((len(cohorts), len(periods)), np.nan)
    grid[row, column] = table["estimate"]
    ax = axes(ax, min(1.6 + 0.85 * len(periods), 12.0), min(1.6 + 0.5 * len(cohorts), 9.0))
    largest = float(np.nanmax(np.abs(grid))) or 1.0
    image = ax.imshow(grid, cmap=_diverging(ground(ax)), vmin=-largest, vmax=largest, aspect="auto")
    if len(table) <= _MOST_LABELLED:
        low, high = table["conf_low"].to_numpy(), table["conf_high"].to_numpy()
        sure = (low > 0) | (high < 0)
        for i, j, value, bold in zip(row, column, table["estimate"], sure, strict=True):
            dark = abs(value) > 0.7 * largest
            ax.text(
                float(j), float(i), _three(value), ha="center", va="center", fontsize="small",
                color="#FFFFFF" if dark else ink(ax), fontweight="bold" if bold else "normal",
            )  # fmt: skip
    event = np.array([int(e) for e in table.index.get_level_values("event")])
    for i in np.arange(len(cohorts)):
        start = column[(row == i) & (event >= 0)]
        if len(start):
            ax.plot([float(start.min()) - 0.5] * 2, [i - 0.5, i + 0.5], color=ink(ax), linewidth=2, clip_on=False)
    _name_ticks(ax.xaxis, periods)
    _name_ticks(ax.yaxis, cohorts)
    ax.set_xlabel(xlabel or "time")
    ax.set_ylabel("first treated")
    ax.figure.colorbar(image, ax=ax, label=label or "effect", shrink=0.9)
    tidy_up(ax, title)
    return ax


def _diverging(middle: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("effect", [BLUE, middle, VERMILLION])


def _three(value: float) -> str:
    return f"{value:#.2g}".rstrip(".") if abs(value) < 100 else f"{value:,.0f}"


def _name_ticks(axis: Any, labels: pd.Index) -> None:
    """Name every row or column, or about ten of them; long names below slant."""
    most = 12
    if axis.axis_name == "x":
        longest = max(len(_text(v)) for v in labels)
        most = min(12, max(2, int(8 * panel_size(axis.axes)[0]) // (min(longest, 7) + 1)))
    step = max(1, int(np.ceil(len(labels) / most)))
    texts = [_text(v) for v in labels[::step]]
    axis.set_ticks(np.arange(0, len(labels), step), texts)
    if axis.axis_name == "x" and len(texts) * max(map(len, texts)) > min(
        _MOST_LETTERS, _LETTERS_PER_INCH * panel_size(axis.axes)[0]
    ):
        for text in axis.get_ticklabels():
            text.set(rotation=30, ha="right", rotation_mode="anchor")
    for line in axis.get_ticklines():
        line.set_markersize(0)


def _text(label: Any) -> str:
    if isinstance(label, pd.Timestamp):
        return f"{label:%Y-%m-%d}"
    return str(label)


def draw_trends(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the mean outcome of every cohort over time; filled points are treated.

    Parameters
    ----------
    table : DataFrame
        ``effect.diagnostics["trends"].table``: cohort, time, mean, treated.
    ax : matplotlib Axes, optional
    xlabel, ylabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, ("cohort", "time", "mean", "treated"), 'effect.diagnostics["trends"].table')
    ax = axes(ax, 6.8, 4.0)
    periods = pd.Index(table["time"].unique()).sort_values()
    cohorts = list(dict.fromkeys(table["cohort"]))
    treated = [c for c in cohorts if c != _NEVER]
    looks = looks_of_groups(len(treated), ground(ax))
    for cohort in cohorts:
        of_cohort = table[table["cohort"] == cohort]
        x = periods.get_indexer(of_cohort["time"])
        look = Look(ink(ax), "o", "--") if cohort == _NEVER else looks[treated.index(cohort)]
        mean, hollow = of_cohort["mean"].to_numpy(dtype=float), ~of_cohort["treated"].to_numpy(dtype=bool)
        ax.plot(
            x, mean, color=look.colour, linewidth=1.6, linestyle=look.dashes, marker=look.marker, markersize=4,
            label=folded(_text(cohort)), zorder=1,
        )  # fmt: skip
        ax.plot(
            x[hollow], mean[hollow], look.marker, color=look.colour, markerfacecolor=ground(ax), markersize=4, zorder=2
        )
    _name_ticks(ax.xaxis, periods)
    number_format(ax.yaxis)
    ax.set_xlabel(xlabel or "period")
    ax.set_ylabel(ylabel or "mean outcome")
    if panel_size(ax)[0] < WIDE:
        title = legend_above(ax, title, "first treated")
    else:
        size = "small" if len(cohorts) <= _MOST_NAMED else "x-small"
        ax.legend(
            title="first treated", frameon=False, fontsize=size, title_fontsize=size, loc="center left",
            bbox_to_anchor=(1.0, 0.5), ncols=-(-len(cohorts) // _MOST_IN_COLUMN),
        )  # fmt: skip
    tidy_up(ax, title)
    return ax


def _of_effect(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    with warnings.catch_warnings():  # said when the effect was estimated
        warnings.simplefilter("ignore", CausalWarning)
        shown = _pictured(effect)
        events = shown.aggregate("event") if "event" in shown.weightings else shown
    level, band = f"{100 * events.level:g}%", None
    title = f"{n}, thick: {level} pointwise" if interval_words(events.table, events.level) else n
    try:
        band = events.interval(simultaneous=True)
        title += f", thin: {level} for all at once"
    except CausalError:  # a law without bands: the pointwise intervals are all there is
        band = None
    xlabel = f"periods since first treatment{_base_in_words(events)}"
    ylabel = f"effect on {effect.facts.get('outcome', '')}"
    return draw_event_study(events.table, ax, band=band, xlabel=xlabel, ylabel=ylabel, title=title)


def _pictured(effect: PlottedEffect) -> PlottedEffect:
    """The same study with all periods compared with one, where it has such a twin."""
    if effect.pictured is None:
        return effect
    try:
        return effect.pictured()
    except CausalError:  # a comparison that only the twin makes cannot be made
        return effect


def _base_in_words(events: PlottedEffect) -> str:
    """What the periods before treatment are compared with."""
    table = events.table
    reference = [int(e) for e, fixed in zip(table.index, table["conf_low"] == table["conf_high"], strict=True) if fixed]
    if len(reference) == 1:
        return f" (all compared with {reference[0]})"
    if events.facts.get("base_period") == "varying" and any(int(e) < 0 for e in table.index):
        return " (before 0: each compared with the one before it)"
    return ""


def _base_of_cells(effect: PlottedEffect) -> str:
    """What the cells are compared with."""
    if "base_period" not in effect.facts:
        return ""
    base = f"event {-1 - int(effect.facts.get('anticipation', 0))}"
    if effect.facts["base_period"] == "varying":
        return f"\ncompared with {base}; cells before treatment each with the period before it"
    return f"\nall compared with {base}"


def _group_time_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    title = f"{n}, bold: {100 * effect.level:g}% interval without 0{_base_of_cells(effect)}"
    label = f"effect on {effect.facts.get('outcome', '')}"
    return draw_group_time(effect.table, ax, xlabel=effect.facts.get("time"), label=label, title=title)


def _trends_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    facts = effect.facts
    labels = {"xlabel": facts.get("time"), "ylabel": f"mean {facts.get('outcome', 'outcome')}"}
    return draw_trends(effect.diagnostics["trends"].table, ax, **labels, title=f"{n}, filled: treated")


def _has_events(effect: PlottedEffect) -> bool:
    return "event" in effect.weightings or effect.table.index.name == "event"


def _has_cells(effect: PlottedEffect) -> bool:
    return list(effect.table.index.names) == ["cohort", "time", "event"]


PICTURES = {
    "trends": Picture(_trends_of, "trends"),
    "event_study": Picture(_of_effect, available=_has_events, first=True),
    "group_time": Picture(_group_time_of, available=_has_cells),
}
