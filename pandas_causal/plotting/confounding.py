"""Pictures of what a confounder nobody measured would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pandas_causal.plotting.canvas import axes, ink, number_format, require, tidy_up
from pandas_causal.plotting.colours import BLUE, GREY, ORANGE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_confounder_contour", "draw_extreme_confounders", "draw_sensitivity_band"]

_STYLES = ("-", "--", ":", "-.")
_MOST_LABELS = 6


def draw_confounder_contour(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    benchmarks: pd.DataFrame | None = None,
    null: float = 0.0,
    of: str = "estimate",
    estimate: float | None = None,
    title: str | None = None,
) -> Axes:
    """Draw lines of equal estimates over what a confounder explains of treatment and of outcome.

    Parameters
    ----------
    table : DataFrame
        ``effect.sensitivity().contour()``: a grid of r2_treatment and r2_outcome, with estimate and limit.
    ax : matplotlib Axes, optional
    benchmarks : DataFrame, optional
        By covariate and multiple, with r2_treatment and r2_outcome: points.
    null : float
        The line at which the conclusion is gone, drawn in red.
    of : {"estimate", "limit"}
    estimate : float, optional
        Without a confounder; written at the origin.
    title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, ("r2_treatment", "r2_outcome", of), "effect.sensitivity().contour()")
    ax = axes(ax, 6.4, 4.8)
    grid = table.set_index(["r2_outcome", "r2_treatment"])[of].unstack()  # noqa: PD010 - every pair is there
    x, y, z = grid.columns.to_numpy(dtype=float), grid.index.to_numpy(dtype=float), grid.to_numpy(dtype=float)
    from matplotlib.ticker import MaxNLocator

    levels = [v for v in MaxNLocator(10).tick_values(float(z.min()), float(z.max())) if abs(v - null) > 1e-12]
    lines = ax.contour(x, y, z, levels=levels, colors=GREY, linewidths=0.9, linestyles="solid")
    ax.clabel(lines, fontsize="x-small", fmt="%.3g", colors=ink(ax))
    if z.min() < null < z.max():
        gone = ax.contour(x, y, z, levels=[null], colors=VERMILLION, linewidths=2)
        ax.clabel(gone, fontsize="small", fmt="%.3g")
    start = float(z[0, 0]) if estimate is None or of == "limit" else estimate
    ax.plot([0], [0], "^", color=ink(ax), markersize=7, clip_on=False, zorder=4)
    ax.annotate(f"none: {start:.3g}", (0, 0), xytext=(8, 6), textcoords="offset points", fontsize="small")
    _points(ax, benchmarks, float(x.max()), float(y.max()), of)
    ax.set_xlim(0, x.max())
    ax.set_ylim(0, y.max())
    ax.set_xlabel("share of what is left of treatment that the confounder explains")
    ax.set_ylabel("share of what is left of the outcome")
    tidy_up(ax, title)
    return ax


def _points(ax: Axes, benchmarks: pd.DataFrame | None, right: float, top: float, of: str) -> None:
    """Mark the benchmarks: the strongest are named, so that names stay readable."""
    if benchmarks is None or not len(benchmarks):
        return
    inside = benchmarks[(benchmarks["r2_treatment"] <= right) & (benchmarks["r2_outcome"] <= top)]
    if not len(inside):
        return
    ax.plot(inside["r2_treatment"], inside["r2_outcome"], "D", color=BLUE, markersize=5, zorder=4, clip_on=False)
    pull = inside["r2_treatment"] * inside["r2_outcome"]
    named = [(0.0, 0.0)]
    for name, times in pull.sort_values(ascending=False).index:  # the strongest first; of those that are close, one
        row = inside.loc[(name, times)]
        at = float(row["r2_treatment"]), float(row["r2_outcome"])
        if any(abs(at[0] - x) < 0.35 * right and abs(at[1] - y) < 0.05 * top for x, y in named):
            continue
        if len(named) > _MOST_LABELS:
            break
        named.append(at)
        near = at[0] > 0.65 * right
        ax.annotate(
            f"{times:g} x {name} ({row[of]:.3g})", at, xytext=(-6 if near else 6, 4), textcoords="offset points",
            fontsize="small", color=ink(ax), ha="right" if near else "left",
        )  # fmt: skip


def draw_extreme_confounders(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    benchmarks: pd.DataFrame | None = None,
    null: float = 0.0,
    of: str = "estimate",
    title: str | None = None,
) -> Axes:
    """Draw the estimate over what a confounder explains of treatment, where it explains most or all of the outcome.

    Parameters
    ----------
    table : DataFrame
        ``effect.sensitivity().extreme()``: r2_outcome, r2_treatment, estimate, limit.
    ax : matplotlib Axes, optional
    benchmarks : DataFrame, optional
        Ticks at what covariates explain of treatment.
    null : float
    of : {"estimate", "limit"}
    title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, ("r2_outcome", "r2_treatment", of), "effect.sensitivity().extreme()")
    ax = axes(ax, 6.4, 4.0)
    ax.axhline(null, color=VERMILLION, linewidth=1.2, zorder=0)
    for style, (share, part) in zip(_STYLES * 9, table.groupby("r2_outcome", sort=False), strict=False):
        ax.plot(part["r2_treatment"], part[of], style, color=ink(ax), linewidth=1.6, label=f"{share:.0%}")
    right = float(table["r2_treatment"].max())
    if benchmarks is not None and len(benchmarks):
        marks = benchmarks["r2_treatment"].to_numpy(dtype=float)
        bottom = ax.get_ylim()[0]
        ax.plot(marks[marks <= right], np.full(int((marks <= right).sum()), bottom), "|", color=ORANGE, markersize=14,
                markeredgewidth=2, clip_on=False, label="covariates, times 1, 2, ...")  # fmt: skip
        ax.set_ylim(bottom=bottom)
    ax.set_xlim(0, right)
    ax.set_xlabel("share of what is left of treatment that the confounder explains")
    ax.set_ylabel("estimate" if of == "estimate" else "end of the interval")
    number_format(ax.yaxis)
    ax.legend(frameon=False, fontsize="small", title="of the outcome it explains", title_fontsize="small")
    tidy_up(ax, title)
    return ax


def draw_sensitivity_band(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    null: float = 0.0,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw bounds and their intervals over how strong a violation may be.

    Parameters
    ----------
    table : DataFrame
        ``low``, ``high``, ``conf_low`` and ``conf_high``, the index the strength: of one row of
        ``effect.sensitivity("marginal").table``.
    ax : matplotlib Axes, optional
    null : float
    xlabel, ylabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, ("low", "high", "conf_low", "conf_high"), 'effect.sensitivity("marginal").table')
    ax = axes(ax, 6.4, 4.0)
    ax.axhline(null, color=VERMILLION, linewidth=1.2, zorder=0)
    at = table.index.to_numpy(dtype=float)
    ax.fill_between(at, table["conf_low"], table["conf_high"], color=BLUE, alpha=0.3, linewidth=0, label="interval")
    ax.fill_between(at, table["low"], table["high"], color=BLUE, alpha=0.5, linewidth=0, label="bounds")
    for side in ("low", "high"):
        ax.plot(at, table[side], "o-", color=BLUE, markersize=4, linewidth=1.5)
    ax.set_xlabel(xlabel or "strength of the violation")
    ax.set_ylabel(ylabel or "effect")
    number_format(ax.yaxis)
    ax.legend(frameon=False, fontsize="small", loc="upper left")
    tidy_up(ax, title)
    return ax
