"""Pictures of who benefits: effects of rows, curves of rankings."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting.canvas import axes, folded, ground, ink, legend_above, number_format, require, tidy_up
from pandas_causal.plotting.colours import BLUE, GREY, looks_of_groups
from pandas_causal.plotting.picture import Picture, PlottedEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PICTURES", "draw_dose", "draw_effects", "draw_uplift"]

MANY = 50
_CURVES = {
    "toc": "effect of those treated, beyond the mean",
    "qini": "gain per row, beyond treating at random",
    "gain": "gain per row",
}


def draw_effects(
    table: pd.DataFrame, ax: Axes | None = None, *, xlabel: str | None = None, title: str | None = None
) -> Axes:
    """Draw how effects of rows are distributed, with a line at none and one at their mean.

    The spread of estimated effects is not that of the effects: noise adds to it, shrinkage takes from it.

    Parameters
    ----------
    table : DataFrame (rows,)
        ``effect.table``, with a column estimate.
    ax : matplotlib Axes, optional
    xlabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, ("estimate",), "effect.table, one row per unit")
    ax = axes(ax, 6.8, 3.8)
    values = table["estimate"].to_numpy(dtype=float)
    bins = min(60, max(10, int(np.sqrt(len(values)))))
    heights, edges = np.histogram(values, bins=bins)
    ax.stairs(100 * heights / len(values), edges, fill=True, color=BLUE)
    ax.axvline(0.0, color=GREY, linewidth=1)
    ax.axvline(float(values.mean()), color=ink(ax), linewidth=1.5, linestyle="--", label=f"mean {values.mean():.3g}")
    ax.yaxis.set_major_formatter(lambda v, _: f"{v:,.10g}%")
    ax.set_ylabel("share of rows")
    ax.set_xlabel(xlabel or "effect")
    number_format(ax.xaxis)
    ax.legend(frameon=False, fontsize="small")
    tidy_up(ax, title)
    return ax


def draw_uplift(
    curves: pd.DataFrame | Mapping[str, pd.DataFrame],
    ax: Axes | None = None,
    *,
    kind: str = "toc",
    ylabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the curve of a ranking, or of several, with pointwise bands.

    Parameters
    ----------
    curves : DataFrame, or mapping of name to DataFrame
        ``effect.diagnostics["curve"].table``: index share, columns toc, qini, gain with ``_low`` and ``_high``.
    ax : matplotlib Axes, optional
    kind : {"toc", "qini", "gain"}
    ylabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    if kind not in _CURVES:
        raise CausalArgumentError(f"kind={kind!r} is not known; use one of {list(_CURVES)}")
    named = {"": curves} if isinstance(curves, pd.DataFrame) else dict(curves)
    for table in named.values():
        require(table, (kind, f"{kind}_low", f"{kind}_high"), 'effect.diagnostics["curve"].table')
    ax = axes(ax, 6.8, 4.0)
    ax.axhline(0.0, color=GREY, linewidth=1)
    looks = looks_of_groups(len(named), ground(ax))
    for look, (name, table) in zip(looks, named.items(), strict=True):
        share = 100 * table.index.to_numpy(dtype=float)
        # the first few rows alone say next to nothing, and would set the scale
        shown = slice(4 if kind == "toc" else 0, None)
        low, high = table[f"{kind}_low"].to_numpy(dtype=float), table[f"{kind}_high"].to_numpy(dtype=float)
        ax.fill_between(share[shown], low[shown], high[shown], color=look.colour, alpha=0.2, linewidth=0)
        line = table[kind].to_numpy(dtype=float)[shown]
        ax.plot(
            share[shown], line, color=look.colour, linestyle=look.dashes, linewidth=1.8, label=folded(str(name)) or None
        )
    if kind == "gain":
        last = max(float(table["gain"].iloc[-1]) for table in named.values())
        ax.plot([0, 100], [0, last], color=ink(ax), linewidth=1, linestyle=":", label="at random")
    if len(named) > 1 or kind == "gain":
        title = legend_above(ax, title)
    ax.set_xlim(0, 100)
    ax.xaxis.set_major_formatter(lambda v, _: f"{v:,.10g}%")
    ax.set_xlabel("share of rows treated, those ranked first")
    ax.set_ylabel(ylabel or _CURVES[kind])
    number_format(ax.yaxis)
    tidy_up(ax, title)
    return ax


def draw_dose(
    table: pd.DataFrame,
    band: pd.DataFrame | None = None,
    ax: Axes | None = None,
    *,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw a curve over doses with its pointwise interval, dark, and its uniform band, light.

    Parameters
    ----------
    table : DataFrame
        ``effect.table`` of a dose-response curve: the index holds the doses; estimate, conf_low, conf_high.
    band : DataFrame, optional
        ``effect.interval(simultaneous=True)``: the whole curve lies within it.
    ax : matplotlib Axes, optional
    xlabel, ylabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, ("estimate", "conf_low", "conf_high"), "effect.table of a dose-response curve")
    ax = axes(ax, 6.8, 4.0)
    dose = table.index.to_numpy(dtype=float)
    for shown, alpha in ((band, 0.15), (table, 0.25)):
        if shown is not None:
            low, high = shown["conf_low"].to_numpy(dtype=float), shown["conf_high"].to_numpy(dtype=float)
            ax.fill_between(dose, low, high, color=BLUE, alpha=alpha, linewidth=0)
    ax.plot(dose, table["estimate"].to_numpy(dtype=float), color=BLUE, linewidth=1.8)
    ax.set_xlabel(xlabel or str(table.index.name or "dose"))
    ax.set_ylabel(ylabel or "estimate")
    number_format(ax.xaxis)
    number_format(ax.yaxis)
    tidy_up(ax, title)
    return ax


def _curves_of(effect: PlottedEffect) -> dict[str, pd.DataFrame]:
    named = [name for name in effect.diagnostics if name.split(" ")[0] == "curve"]
    return {name.partition(" ")[2]: effect.diagnostics[name].table for name in named}


def _has_curves(effect: PlottedEffect) -> bool:
    return any(name.split(" ")[0] == "curve" for name in effect.diagnostics)


def _effects_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    return draw_effects(effect.table, ax, xlabel=effect.estimand, title=n)


def _toc_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    return draw_uplift(_curves_of(effect), ax, kind="toc", title=f"{n}, {100 * effect.level:g}% bands")


def _qini_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    return draw_uplift(_curves_of(effect), ax, kind="qini", title=f"{n}, {100 * effect.level:g}% bands")


def _gain_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    return draw_uplift(_curves_of(effect), ax, kind="gain", title=f"{n}, {100 * effect.level:g}% bands")


def _dose_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    band = effect.interval(simultaneous=True)
    words = "\n".join(wrap(effect.estimand, 40))
    title = f"{n}, {100 * effect.level:g}% intervals, and the band that holds the whole curve"
    return draw_dose(effect.table, band, ax, xlabel=str(effect.facts["dose"]), ylabel=words, title=title)


def _is_dose(effect: PlottedEffect) -> bool:
    return "dose" in effect.facts and len(effect.table) > 1


def _per_row(effect: PlottedEffect) -> bool:
    return bool(effect.facts.get("effects_of_rows")) and len(effect.table) > MANY


PICTURES = {
    "dose": Picture(_dose_of, available=_is_dose, first=True),
    "distribution": Picture(_effects_of, available=_per_row, first=True),
    "toc": Picture(_toc_of, available=_has_curves, first=True),
    "qini": Picture(_qini_of, available=_has_curves),
    "gain": Picture(_gain_of, available=_has_curves),
}
