"""Pictures of what difference-in-differences rests on: honest bounds, and the comparisons in two-way fixed effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pandas_causal.plotting.canvas import axes, ink, number_format, require, tidy_up
from pandas_causal.plotting.colours import BLUE, BLUISH_GREEN, GREY, ORANGE, VERMILLION
from pandas_causal.plotting.picture import Picture, PlottedEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PICTURES", "draw_bacon", "draw_honest_bounds"]

_KINDS = {"never treated": BLUE, "later treated": BLUISH_GREEN, "already treated": VERMILLION}


def draw_honest_bounds(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the interval under parallel trends, then one per bound on their violation.

    Parameters
    ----------
    table : DataFrame
        ``event_study.sensitivity().table``: conf_low and conf_high by bound, the first row without one.
    ax : matplotlib Axes, optional
    xlabel, ylabel, title : str, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    CausalArgumentError
        If the table lacks a column or has no rows.
    """
    require(table, ("conf_low", "conf_high"), "effect.sensitivity().table of an event study")
    ax = axes(ax, 6.4, 4.0)
    ax.axhline(0, color=GREY, linewidth=1, zorder=0)
    at = np.arange(len(table))
    exact = np.isnan(table.index.to_numpy(dtype=float))
    low, high = table["conf_low"].to_numpy(dtype=float), table["conf_high"].to_numpy(dtype=float)
    finite = np.concatenate([low, high, [0.0]])
    finite = finite[np.isfinite(finite)]
    room = 0.1 * float(np.ptp(finite)) or 1.0
    bottom, top = float(finite.min() - room), float(finite.max() + room)
    ax.set_ylim(bottom, top)
    for some, colour in ((exact, ink(ax)), (~exact, BLUE)):
        ax.vlines(at[some], np.maximum(low[some], bottom), np.minimum(high[some], top), colors=colour, linewidth=4)
    ax.set_xticks(at, ["parallel\ntrends" if e else f"{b:.3g}" for e, b in zip(exact, table.index, strict=True)])
    ax.set_xlim(-0.6, len(table) - 0.4)
    ax.set_xlabel(xlabel or "bound on the violation of parallel trends")
    ax.set_ylabel(ylabel or "interval of the effect")
    number_format(ax.yaxis)
    tidy_up(ax, title)
    return ax


def draw_bacon(
    table: pd.DataFrame, ax: Axes | None = None, *, ylabel: str | None = None, title: str | None = None
) -> Axes:
    """Draw every 2x2 comparison of two-way fixed effects by weight and estimate, and their weighted average.

    Parameters
    ----------
    table : DataFrame
        ``effect.diagnostics["bacon"].table``: kind, weight and estimate.
    ax : matplotlib Axes, optional
    ylabel, title : str, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    CausalArgumentError
        If the table lacks a column or has no rows.
    """
    require(table, ("kind", "weight", "estimate"), 'effect.diagnostics["bacon"].table')
    ax = axes(ax, 6.4, 4.0)
    ax.axhline(0, color=GREY, linewidth=1, zorder=0)
    average = float(np.dot(table["weight"].to_numpy(dtype=float), table["estimate"].to_numpy(dtype=float)))
    ax.axhline(average, color=ORANGE, linewidth=1.5, linestyle="--", label=f"two-way coefficient ({average:.3g})")
    for (kind, colour), marker in zip(_KINDS.items(), "o^X", strict=True):
        rows = table[table["kind"] == kind]
        if len(rows):
            share = rows["weight"].sum()
            ax.plot(
                rows["weight"], rows["estimate"], marker, color=colour, markersize=7, markeredgewidth=0,
                label=f"against {kind} ({share:.0%} of the weight)",
            )  # fmt: skip
    ax.set_xlim(left=0)
    ax.set_xlabel("weight of the comparison")
    ax.set_ylabel(ylabel or "estimate of the comparison")
    number_format(ax.xaxis)
    number_format(ax.yaxis)
    ax.legend(frameon=False, fontsize="small")
    tidy_up(ax, title)
    return ax


def _bacon_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    return draw_bacon(effect.diagnostics["bacon"].table, ax, title=f"Comparisons of cohorts, {n}")


PICTURES = {
    "bacon": Picture(_bacon_of, "bacon"),
}
