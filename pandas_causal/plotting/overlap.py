"""Propensities by arm: whether every unit could have received every arm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pandas_causal.plotting.canvas import (
    WIDE,
    axes,
    folded,
    ground,
    label_rows,
    legend_above,
    number_format,
    panel_size,
    require,
    tidy_up,
)
from pandas_causal.plotting.colours import GREY, OKABE_ITO, looks_of_groups
from pandas_causal.plotting.picture import Picture, PlottedEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PICTURES", "draw_overlap"]

_COLUMNS = ("arm", "propensity_of", "low", "high", "count", "share")
_SOURCE = 'effect.diagnostics["propensity"].table'


def draw_overlap(
    table: pd.DataFrame, ax: Axes | None = None, *, treatment: str | None = None, title: str | None = None
) -> Axes:
    """Draw histograms of the propensity by arm.

    Two arms: the second arm's histogram above the line and the first's mirrored below; where one side has bars and the
    other none, units have nothing to be compared with. More arms: one band per arm whose probability is shown, and an
    outline for every arm in it.

    Parameters
    ----------
    table : DataFrame
        ``effect.diagnostics["propensity"].table``: arm, propensity_of, low, high, count, share.
    ax : matplotlib Axes, optional
    treatment : str, optional
        Name of the treatment, for the axis.
    title : str, optional

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
    require(table, _COLUMNS, _SOURCE)
    shown = list(dict.fromkeys(table["propensity_of"]))
    ax = axes(ax, 6.8, 3.6 if len(shown) == 1 else 1.6 + 1.1 * len(shown))
    if len(shown) == 1:
        _mirrored(ax, table)
        ax.set_xlabel(f"propensity: estimated P({treatment or 'arm'} = {shown[0]} | covariates)")
    else:
        _bands(ax, table, shown, treatment)
        narrow = panel_size(ax)[0] < WIDE
        ax.set_xlabel(
            "P(arm | covariates)" if narrow else "estimated probability of the arm at the left, given covariates"
        )
    ax.set_xlim(0, 1)
    ax.set_xticks(np.linspace(0, 1, 6))
    number_format(ax.xaxis)
    if panel_size(ax)[0] < WIDE:
        title = legend_above(ax, title)
    elif len(shown) > 1:
        title = legend_above(ax, title, treatment)
    else:
        ax.legend(frameon=False, fontsize="small", title=treatment, title_fontsize="small")
    tidy_up(ax, title)
    return ax


def _edges(part: pd.DataFrame) -> Any:
    return np.append(part["low"].to_numpy(dtype=float), float(part["high"].iloc[-1]))


def _of_arm(arm: object, treatment: str | None, ax: Axes) -> str:
    return folded(str(arm) if panel_size(ax)[0] < WIDE else f"P({treatment or 'arm'} = {arm})")


def _legend(arm: object, part: pd.DataFrame) -> str:
    return folded(f"{arm} (n = {int(part['count'].sum()):,})")


def _mirrored(ax: Axes, table: pd.DataFrame) -> None:
    groups = dict(list(table.groupby("arm", sort=False)))
    for k, (arm, part) in reversed(list(enumerate(groups.items()))):
        sign = -1 if k == 0 else 1
        heights = sign * 100 * part["share"].to_numpy(dtype=float)
        ax.stairs(heights, _edges(part), fill=True, color=OKABE_ITO[1 - k], label=_legend(arm, part))
    ax.axhline(0, color=GREY, linewidth=1)
    top = 110 * float(table["share"].max())
    ax.set_ylim(-top, top)
    ax.yaxis.set_major_formatter(lambda v, _: f"{abs(v):,.10g}%")
    ax.set_ylabel("share of the arm's rows")


def _bands(ax: Axes, table: pd.DataFrame, shown: list[str], treatment: str | None) -> None:
    for band, of in enumerate(shown):
        inside = table[table["propensity_of"] == of]
        base, scale = len(shown) - 1 - band, 0.85 / max(float(inside["share"].max()), 1e-12)
        ax.axhline(base, color=GREY, linewidth=0.8)
        arms = list(inside.groupby("arm", sort=False))
        for (arm, part), look in zip(arms, looks_of_groups(len(arms), ground(ax)), strict=True):
            heights = base + scale * part["share"].to_numpy(dtype=float)
            label = _legend(arm, part) if band == 0 else None
            ax.stairs(heights, _edges(part), baseline=base, fill=True, color=look.colour, alpha=0.15)
            ax.stairs(
                heights,
                _edges(part),
                baseline=base,
                color=look.colour,
                linewidth=1.6,
                linestyle=look.dashes,
                label=label,
            )
    taken = 0.02 + 0.06 * len(shown) if panel_size(ax)[0] < WIDE else 0.0
    label_rows(ax, np.arange(len(shown))[::-1] + 0.4, [_of_arm(of, treatment, ax) for of in shown], taken)
    ax.set_ylim(0, len(shown))


def _of_effect(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    treatment = effect.facts.get("treatment")
    table = effect.diagnostics["propensity"].table
    return draw_overlap(table, ax, treatment=None if treatment is None else str(treatment), title=f"Overlap, {n}")


PICTURES = {
    "overlap": Picture(_of_effect, "propensity"),
}
