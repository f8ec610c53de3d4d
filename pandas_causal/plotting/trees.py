"""A picture of one tree: rules, shares of rows, effects with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pandas_causal.plotting.canvas import axes, ink, require
from pandas_causal.plotting.colours import BLUE, GREY, OKABE_ITO

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_tree"]


def draw_tree(table: pd.DataFrame, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Draw a tree from the root at the top: what leads to a node, its share of the rows, its effect and interval.

    Parameters
    ----------
    table : DataFrame
        ``forest.tree_table(0)``: parent, depth, rule, rows, share, effect, conf_low, conf_high; nodes by position.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.colors import to_rgb

    require(table, ("parent", "depth", "rule", "rows", "share"), "forest.tree_table(0)")
    effects = [str(c) for c in table if str(c).startswith("effect")]
    records = table.to_dict("records")
    children: dict[int, list[int]] = {}
    for node, row in enumerate(records):
        children.setdefault(row["parent"], []).append(node)
    x: dict[int, float] = {}
    leaves = 0

    def place(node: int) -> float:
        nonlocal leaves
        below = children.get(node, [])
        if not below:
            x[node] = float(leaves)
            leaves += 1
        else:
            x[node] = float(np.mean([place(b) for b in below]))
        return x[node]

    place(0)
    depth = int(table["depth"].max())
    ax = axes(ax, max(6.0, 1.75 * leaves), 0.8 + 0.95 * (depth + 1))
    colour = ink(ax)
    paper = to_rgb(ax.figure.get_facecolor())
    largest = float(np.nanmax(np.abs(table[effects].to_numpy(dtype=float)))) or 1.0
    for node, row in enumerate(records):
        at, level, parent = x[node], -float(row["depth"]), row["parent"]
        if parent >= 0:
            ax.plot([x[parent], at], [level + 1, level], color=GREY, linewidth=1, zorder=1)
        value = float(row[effects[0]])
        face = BLUE if value >= 0 else OKABE_ITO[1]
        lines = [str(row["rule"])] if row["rule"] else ["all rows"]
        lines.append(f"{row['rows']:,} rows ({100 * row['share']:.0f}%)")
        for c in effects:
            low, high = row[c.replace("effect", "conf_low")], row[c.replace("effect", "conf_high")]
            lines.append(f"{c.replace('effect', '').strip()} {row[c]:.3g} [{low:.3g}, {high:.3g}]".strip())
        strength = 0.08 + 0.35 * min(1.0, abs(value) / largest) if np.isfinite(value) else 0.05
        box = {"boxstyle": "round,pad=0.35", "facecolor": _mixed(face, paper, strength), "edgecolor": GREY}
        ax.text(at, level, "\n".join(lines), ha="center", va="center", fontsize=7.5, color=colour, bbox=box, zorder=2)
    ax.set_xlim(-0.6, leaves - 0.4)
    ax.set_ylim(-depth - 0.5, 0.5)
    ax.set_axis_off()
    if title:
        ax.set_title(title)
    return ax


def _mixed(colour: str, paper: tuple[float, float, float], strength: float) -> tuple[float, ...]:
    """``#rrggbb`` on paper: lines must not show through."""
    return tuple(strength * int(colour[1 + 2 * k : 3 + 2 * k], 16) / 255 + (1 - strength) * paper[k] for k in range(3))
