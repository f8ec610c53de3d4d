"""What a graph claims, and how surely the data reject it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pandas_causal.plotting.canvas import axes, label_rows, legend_above, n_lines, require, row_labels, tidy_up
from pandas_causal.plotting.colours import BLUE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_independences"]

_MOST, _LEAST = 40, 1e-10


def draw_independences(table: pd.DataFrame, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Draw the adjusted p-value of every independence that a graph implies, the most doubtful at the top.

    Crosses are rejected. P-values under 1e-10 stand there; of more than 40 claims, the 40 most doubtful are drawn.

    Parameters
    ----------
    table : DataFrame (claims,)
        ``df.causal.check_graph(graph).table``: a, b, given, p_adjusted, rejected.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    CausalArgumentError
        If the table lacks a column or has no rows.
    """
    require(table, ("a", "b", "given", "p_adjusted", "rejected"), "df.causal.check_graph(graph).table")
    drawn = table.sort_values("p_adjusted", kind="stable").iloc[:_MOST]
    claims = zip(drawn["a"], drawn["b"], drawn["given"], strict=True)
    labels = row_labels(pd.Index([_claim(*claim) for claim in claims], dtype=object))
    ax = axes(ax, 6.8, 1.6 + 0.13 * len(drawn) + 0.19 * n_lines(labels))
    y = np.arange(len(drawn), 0, -1, dtype=float)
    p = drawn["p_adjusted"].to_numpy(dtype=float).clip(_LEAST, 1.0)
    rejected = drawn["rejected"].to_numpy(dtype=bool)
    for some, marker, colour, name in ((rejected, "X", VERMILLION, "rejected"), (~rejected, "o", BLUE, "not rejected")):
        if some.any():
            ax.plot(p[some], y[some], marker, color=colour, markersize=7, markeredgewidth=0, label=name)
    ax.set_xscale("log")
    ax.set_xlim(min(float(p.min()) / 2, 1e-3), 1.6)
    label_rows(ax, y, labels)
    ax.set_ylim(0.4, len(drawn) + 0.6)
    some_of = "" if len(drawn) == len(table) else f" ({len(drawn)} of {len(table):,} claims)"
    ax.set_xlabel(f"adjusted p-value of the independence{some_of}")
    tidy_up(ax, legend_above(ax, title))
    return ax


def _claim(a: object, b: object, given: object) -> str:
    held = ", ".join(map(str, given)) if isinstance(given, tuple | list | set | frozenset) else str(given)
    return f"{a} and {b}" + (f", given {held}" if held else "")
