"""Pictures of a discontinuity: binned means, density, placebo cutoffs, bandwidths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pandas_causal.plotting.canvas import (
    answer,
    axes,
    ground,
    in_figures,
    ink,
    legend_above,
    number_format,
    require,
    tidy_up,
)
from pandas_causal.plotting.colours import BLUE, GREY, ORANGE, VERMILLION
from pandas_causal.plotting.picture import Picture, PlottedEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "PICTURES",
    "draw_bandwidths",
    "draw_density",
    "draw_discontinuity",
    "draw_first_stage",
    "draw_placebo_cutoffs",
]

_SIDES = (("left", BLUE), ("right", ORANGE))
_INTERVAL = ("estimate", "conf_low", "conf_high")


def draw_discontinuity(
    bins: pd.DataFrame,
    curve: pd.DataFrame | None = None,
    ax: Axes | None = None,
    *,
    cutoff: float = 0.0,
    bandwidth: tuple[float, float] | None = None,
    intervals: bool = False,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw binned means on both sides of the cutoff, and a curve on each side.

    The estimate is the distance at the cutoff of the local fits, which see the shaded rows only. A polynomial through
    all rows of a side shows more of the data, and is not the estimate.

    Parameters
    ----------
    bins : DataFrame
        ``effect.diagnostics["bins"].table``: side, x, mean, conf_low, conf_high.
    curve : DataFrame, optional
        ``effect.diagnostics["local_fit"].table`` or that of "polynomial": side, x, fit.
    ax : matplotlib Axes, optional
    cutoff : float
        Added to x, which counts from the cutoff.
    bandwidth : (left, right), optional
        Shaded.
    intervals : bool
        Draw the interval of every mean.
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
    Calonico, Cattaneo and Titiunik (2015), JASA 110, "Optimal data-driven regression discontinuity plots".
    """
    require(bins, ("side", "x", "mean", "conf_low", "conf_high"), 'effect.diagnostics["bins"].table')
    ax = axes(ax, 6.8, 4.0)
    ax.axvline(cutoff, color=GREY, linewidth=1, linestyle="--", zorder=0)
    if bandwidth is not None:
        reach = float(bins["x"].min()), float(bins["x"].max())
        shaded = max(-bandwidth[0], reach[0]) + cutoff, min(bandwidth[1], reach[1]) + cutoff
        ax.axvspan(*shaded, color=GREY, alpha=0.18, linewidth=0, zorder=0)
    for side, colour in _SIDES:
        part = bins[bins["side"] == side]
        if intervals:
            ax.vlines(part["x"] + cutoff, part["conf_low"], part["conf_high"], color=GREY, linewidth=0.8, zorder=1)
        ax.plot(part["x"] + cutoff, part["mean"], "o", markersize=4, color=colour, zorder=2)
        if curve is not None:
            require(curve, ("side", "x", "fit"), 'effect.diagnostics["local_fit"].table')
            line = curve[curve["side"] == side]
            ax.plot(line["x"] + cutoff, line["fit"], color=ink(ax), linewidth=2.0, zorder=3)
    _finish(ax, xlabel or "running variable", ylabel or "mean outcome by bin", title)
    return ax


def draw_density(
    curve: pd.DataFrame,
    ax: Axes | None = None,
    *,
    cutoff: float = 0.0,
    xlabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the density of the running variable on each side of the cutoff, with its band.

    Parameters
    ----------
    curve : DataFrame
        ``effect.diagnostics["density_curve"].table``: side, z, density, conf_low, conf_high.
    ax : matplotlib Axes, optional
    cutoff : float
        Added to z.
    xlabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(curve, ("side", "z", "density", "conf_low", "conf_high"), 'effect.diagnostics["density_curve"].table')
    ax = axes(ax, 6.8, 3.6)
    ax.axvline(cutoff, color=GREY, linewidth=1, linestyle="--", zorder=0)
    for side, colour in _SIDES:
        part = curve[curve["side"] == side]
        at = part["z"] + cutoff
        ax.fill_between(at, part["conf_low"], part["conf_high"], color=colour, alpha=0.25, linewidth=0)
        ax.plot(at, part["density"], color=colour, linewidth=1.8)
    ax.set_ylim(bottom=min(0.0, float(np.nanmin(curve["conf_low"]))))
    _finish(ax, xlabel or "running variable", "density", title)
    return ax


def draw_bandwidths(
    table: pd.DataFrame, ax: Axes | None = None, *, ylabel: str | None = None, title: str | None = None
) -> Axes:
    """Draw the bias-corrected estimate and its interval over bandwidths; the one used is filled.

    Parameters
    ----------
    table : DataFrame
        ``effect.diagnostics["bandwidth_sensitivity"].table``: estimate, conf_low, conf_high, h; the index holds the
        ratio to the bandwidth used.
    ax : matplotlib Axes, optional
    ylabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, (*_INTERVAL, "h"), 'effect.diagnostics["bandwidth_sensitivity"].table')
    ax = axes(ax, 6.8, 3.6)
    done = table.dropna(subset=list(_INTERVAL))
    ax.axhline(0, color=GREY, linewidth=1, zorder=0)
    ax.plot(done["h"], done["estimate"], color=BLUE, linewidth=1, zorder=1)
    ax.vlines(done["h"], done["conf_low"], done["conf_high"], color=BLUE, linewidth=1.5, zorder=1)
    used = np.isclose(done.index.to_numpy(dtype=float), 1.0)
    for mask, face in ((used, BLUE), (~used, ground(ax))):
        ax.plot(done["h"][mask], done["estimate"][mask], "o", color=BLUE, markerfacecolor=face, zorder=2)
    _finish(ax, "bandwidth h (filled: the one used)", ylabel or "bias-corrected estimate", title)
    return ax


def draw_placebo_cutoffs(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    cutoff: float = 0.0,
    actual: tuple[float, float, float] | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw jumps at cutoffs where none should be, beside the actual one.

    Parameters
    ----------
    table : DataFrame
        ``effect.diagnostics["placebo_cutoffs"].table``: estimate, conf_low, conf_high; the index holds the cutoffs.
    ax : matplotlib Axes, optional
    cutoff : float
        The actual one.
    actual : (estimate, conf_low, conf_high), optional
    xlabel, ylabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, _INTERVAL, 'effect.diagnostics["placebo_cutoffs"].table')
    ax = axes(ax, 6.8, 3.6)
    ax.axhline(0, color=GREY, linewidth=1, zorder=0)
    done = table.dropna(subset=list(_INTERVAL))
    rows = [(done.index.to_numpy(dtype=float), done[list(_INTERVAL)].to_numpy(), BLUE, "placebo cutoffs")]
    if actual is not None:
        rows.append((np.array([cutoff]), np.array([actual]), VERMILLION, "the cutoff"))
    for at, values, colour, label in rows:
        ax.vlines(at, values[:, 1], values[:, 2], color=colour, linewidth=1.5)
        ax.plot(at, values[:, 0], "o", color=colour, label=label)
    title = legend_above(ax, title)
    _finish(ax, xlabel or "cutoff", ylabel or "bias-corrected jump", title)
    return ax


def _finish(ax: Axes, xlabel: str, ylabel: str, title: str | None) -> None:
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    number_format(ax.xaxis)
    number_format(ax.yaxis)
    tidy_up(ax, title)


def _of_effect(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    checks, facts = effect.diagnostics, effect.facts
    curve = checks["local_fit"].table
    by = ""
    if facts["treatment"] is not None:
        jumps = [in_figures(_jump(checks[name].table)) for name in ("local_fit", "first_stage_fit")]
        by = f" (jump of {facts['outcome']} {jumps[0]} / jump of {facts['treatment']} {jumps[1]})"
    return draw_discontinuity(
        checks["bins"].table,
        curve,
        ax,
        cutoff=facts["cutoff_value"],
        bandwidth=(facts["h_left"], facts["h_right"]),
        xlabel=str(facts["running"]),
        ylabel=f"mean {facts['outcome']} by bin",
        title=f"{answer(effect.table, effect.level, 'robust interval')}{by}\n{n}, shaded: {_within(effect)}",
    )


def _jump(curve: pd.DataFrame) -> float:
    """How far apart the curves of the two sides are at the cutoff."""
    at = curve[curve["x"] == 0].set_index("side")["fit"]
    return float(at["right"] - at["left"])


def _within(effect: PlottedEffect) -> str:
    """The bandwidth and the rows within it."""
    facts = effect.facts
    h = " / ".join(dict.fromkeys(in_figures(facts[f"h_{side}"]) for side in ("left", "right")))
    return f"bandwidth {h} ({facts['n_effective_left']:,} rows left, {facts['n_effective_right']:,} right)"


def _global_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    checks, facts = effect.diagnostics, effect.facts
    return draw_discontinuity(
        checks["bins"].table,
        checks["polynomial"].table,
        ax,
        cutoff=facts["cutoff_value"],
        xlabel=str(facts["running"]),
        ylabel=f"mean {facts['outcome']} by bin",
        title=f"{n}, {checks['polynomial'].summary}: not the estimate",
    )


def draw_first_stage(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    """Draw how the treatment of a fuzzy design jumps."""
    checks, facts = effect.diagnostics, effect.facts
    return draw_discontinuity(
        checks["first_stage_bins"].table,
        checks["first_stage_fit"].table,
        ax,
        cutoff=facts["cutoff_value"],
        bandwidth=(facts["h_left"], facts["h_right"]),
        xlabel=str(facts["running"]),
        ylabel=f"mean {facts['treatment']} by bin",
        title=f"{checks['first_stage'].summary} (bias-corrected)\n{n}, shaded: {_within(effect)}",
    )


def _density_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    checks, facts = effect.diagnostics, effect.facts
    title = f"{n}, {checks['density'].summary}"
    at = facts["cutoff_value"]
    return draw_density(checks["density_curve"].table, ax, cutoff=at, xlabel=str(facts["running"]), title=title)


def _bandwidths_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    title = f"{n}, {100 * effect.level:g}% robust intervals"
    ylabel = f"bias-corrected effect on {effect.facts['outcome']}"
    return draw_bandwidths(effect.diagnostics["bandwidth_sensitivity"].table, ax, ylabel=ylabel, title=title)


def _placebo_cutoffs_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    facts = effect.facts
    checks = effect.diagnostics
    row: Any = checks["inference"].table.loc["robust"]
    if facts["treatment"] is not None:  # placebo cutoffs jump in the outcome, and so does this one
        row = checks["reduced_form"].table.iloc[0]
    actual = (float(row["estimate"]), float(row["conf_low"]), float(row["conf_high"]))
    return draw_placebo_cutoffs(
        effect.diagnostics["placebo_cutoffs"].table,
        ax,
        cutoff=facts["cutoff_value"],
        actual=actual,
        xlabel=f"cutoff of {facts['running']}",
        ylabel=f"bias-corrected jump of {facts['outcome']}",
        title=f"{n}, {100 * effect.level:g}% robust intervals (placebos: 95%)"
        if effect.level != 0.95
        else f"{n}, 95% robust intervals",
    )


PICTURES = {
    "discontinuity": Picture(_of_effect, "bins", first=True),
    "global_polynomial": Picture(_global_of, "polynomial"),
    "density": Picture(_density_of, "density_curve"),
    "bandwidths": Picture(_bandwidths_of, "bandwidth_sensitivity"),
    "placebo_cutoffs": Picture(_placebo_cutoffs_of, "placebo_cutoffs"),
}
