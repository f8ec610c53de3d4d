"""The picture of bounds: how far apart the ends are, and how surely."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pandas_causal.plotting.canvas import axes, ink, label_rows, n_lines, number_format, require, row_labels, tidy_up
from pandas_causal.plotting.colours import BLUE, GREY
from pandas_causal.plotting.picture import Picture, PlottedEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PICTURES", "draw_bounds"]


def draw_bounds(
    table: pd.DataFrame, ax: Axes | None = None, *, xlabel: str | None = None, title: str | None = None
) -> Axes:
    """Draw a bar from lower to upper bound for every effect, and a line to the ends of their intervals.

    Parameters
    ----------
    table : DataFrame
        ``effect.bounds().table``: estimate, conf_low and conf_high, the last level of the index "lower" or "upper".
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
    require(table, ("estimate", "conf_low", "conf_high"), "effect.bounds().table")
    last = table.index.nlevels - 1
    ends = table.index.get_level_values(last)
    lower, upper = (table[ends == end].droplevel(last) for end in ("lower", "upper"))
    labels = row_labels(lower.index)
    ax = axes(ax, 6.4, 1.4 + 0.31 * len(lower) + 0.19 * n_lines(labels))
    at = np.arange(len(lower))[::-1]
    ax.axvline(0, color=GREY, linewidth=1, zorder=0)
    ax.hlines(at, lower["conf_low"], upper["conf_high"], color=ink(ax), linewidth=1.2, zorder=1)
    ax.hlines(at, lower["estimate"], upper["estimate"], color=BLUE, linewidth=9, zorder=2)
    label_rows(ax, at, labels)
    ax.set_ylim(-0.6, len(lower) - 0.4)
    ax.set_xlabel(xlabel or "effect, in units of the outcome")
    number_format(ax.xaxis)
    tidy_up(ax, title)
    return ax


def _of_bounds(effect: PlottedEffect) -> bool:
    return effect.table.index.names[-1] == "end"


def _bounds_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    return draw_bounds(effect.table, ax, title=f"{effect.estimand}, {n}")


PICTURES = {"bounds": Picture(_bounds_of, available=_of_bounds, first=True)}
