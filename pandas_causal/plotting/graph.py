"""The picture of a causal graph."""

from __future__ import annotations

from itertools import pairwise
from math import hypot
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting.canvas import axes, require, row_labels
from pandas_causal.plotting.colours import BLACK, BLUE, BLUISH_GREEN, GREY, ORANGE
from pandas_causal.plotting.graph_layers import Placed, place_nodes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_graph"]

_MOST_NODES = 150
ROW, GAP, PEAK = 0.75, 0.65, 0.5  # inches: from row to row, between layers, and how high an arc rises
_SOURCE = "the tables of a CausalGraph; call its plot()"
_FILL = {"treatment": BLUE, "outcome": ORANGE, "adjustment": BLUISH_GREEN, "observed": "white", "latent": "white"}
_INK = {"treatment": "white", "outcome": BLACK, "adjustment": "white", "observed": BLACK, "latent": "#555555"}
_LINE = "#333333"
_MEANING = {
    "treatment": "treatment",
    "outcome": "outcome",
    "adjustment": "adjusted for",
    "latent": "not observed",
}


def draw_graph(nodes: pd.DataFrame, edges: pd.DataFrame, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Draw a graph in layers from causes at the left to effects at the right.

    Treatment, outcome and adjustment set are coloured; latent nodes have a dashed rim, and a dashed arc with two heads
    is an unobserved common cause.

    Parameters
    ----------
    nodes : DataFrame
        node, kind ("treatment", "outcome", "adjustment", "observed", "latent"), causes before their effects.
    edges : DataFrame
        parent, child, kind ("directed", "bidirected"). With a column share (0 to 1) an arrow is as wide as its share.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    CausalArgumentError
        If a table lacks a column, or for more than 150 nodes.
    MissingDependencyError
        Where matplotlib is not installed.
    """
    require(nodes, ("node", "kind"), _SOURCE)
    if len(nodes) > _MOST_NODES:
        raise CausalArgumentError(
            f"the graph has {len(nodes):,} nodes; at most {_MOST_NODES} can be told apart in a picture: draw a part"
        )
    number = {name: k for k, name in enumerate(nodes["node"])}
    ends = [(number[a], number[b]) for a, b in zip(edges["parent"], edges["child"], strict=True)]
    straight = edges["kind"].eq("directed").tolist()
    arrows = [e for e, s in zip(ends, straight, strict=True) if s]
    arcs = [e for e, s in zip(ends, straight, strict=True) if not s]
    placed = place_nodes(len(nodes), arrows, arcs)
    labels = row_labels(pd.Index(nodes["node"], dtype=object))
    across = _columns(labels, placed)
    spots = [(across[int(x)], -ROW * y) for x, y in placed.at]
    top = ROW * (placed.tallest - 1) / 2 + 0.4
    ax = axes(ax, max(4.4, across[-1] + 0.3), 2 * top + 0.5 + (PEAK if arcs else 0))
    boxes = _nodes(ax, nodes["kind"].tolist(), labels, spots)
    widths = [1.2] * len(ends) if "share" not in edges else (0.7 + 5 * edges["share"].clip(0, 1)).tolist()
    of_arrows = [w for w, s in zip(widths, straight, strict=True) if s]
    for (a, b), route, width in zip(arrows, placed.routes, of_arrows, strict=True):
        _arrow(ax, boxes[a], boxes[b], [(across[int(x)], -ROW * y) for x, y in route], width)
    for a, b in arcs:
        _arc(ax, boxes[a], boxes[b], spots[a], spots[b])
    ax.set_xlim(-0.3, across[-1])
    ax.set_ylim(-top, top + (PEAK if arcs else 0))
    ax.axis("off")
    _legend(ax, nodes["kind"], bool(arcs))
    if title:
        ax.set_title(title, loc="left", fontsize="medium")
    return ax


def _columns(labels: list[str], placed: Placed) -> list[float]:
    """Middles of the layers in inches, each as wide as its longest label, and the right edge behind them."""
    widths = [0.0] * placed.layers
    for label, (layer, _) in zip(labels, placed.at, strict=True):
        widths[int(layer)] = max(widths[int(layer)], 0.25 + 0.09 * len(label))
    middles, right = [], 0.0
    for width in widths:
        middles.append(right + width / 2)
        right += width + GAP
    return [*middles, right - GAP + 0.3]


def _nodes(ax: Axes, kinds: list[str], labels: list[str], spots: list[tuple[float, float]]) -> list[Any]:
    boxes = []
    for kind, label, (x, y) in zip(kinds, labels, spots, strict=True):
        rim = {"linestyle": "--", "edgecolor": GREY} if kind == "latent" else {"edgecolor": _LINE}
        text = ax.text(
            x,
            y,
            label,
            ha="center",
            va="center",
            color=_INK[kind],
            parse_math=False,
            zorder=3,
            bbox={"boxstyle": "round,pad=0.45", "facecolor": _FILL[kind], "linewidth": 1, **rim},
        )
        boxes.append(text)
    return boxes


def _arrow(ax: Axes, tail: Any, head: Any, route: list[tuple[float, float]], width: float) -> None:
    """Draw an arrow from box to box; over several layers it bends through the places left for it."""
    from matplotlib.patches import FancyArrowPatch, PathPatch
    from matplotlib.path import Path

    look: dict[str, Any] = {"color": _LINE if width == 1.2 else GREY, "linewidth": width, "zorder": 1}
    points = list(route)
    start, first = points[0], tail.get_bbox_patch()
    if len(points) > 2:
        vertices, codes = [start], [Path.MOVETO]
        for (x, y), after in pairwise(points[1:]):
            start = (x + after[0]) / 2, (y + after[1]) / 2
            vertices += [(x, y), start]
            codes += [Path.CURVE3, Path.CURVE3]
        # It begins under the box, which hides that; the head is drawn last, straight on.
        ax.add_patch(PathPatch(Path(vertices, codes), fill=False, **look))
        first = None
    ax.add_patch(
        FancyArrowPatch(
            start,
            points[-1],
            arrowstyle="-|>",
            mutation_scale=10 + 2.5 * width,
            patchA=first,
            patchB=head.get_bbox_patch(),
            shrinkA=0,
            shrinkB=1,
            **look,
        )
    )


def _arc(ax: Axes, one: Any, other: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a dashed arc with two heads."""
    from matplotlib.patches import FancyArrowPatch

    (a, b), (c, d) = sorted([start, end])
    boxes = (one, other) if (a, b) == start else (other, one)
    bend = min(0.5, 2 * PEAK / hypot(c - a, d - b))
    ax.add_patch(
        FancyArrowPatch(
            (a, b),
            (c, d),
            arrowstyle="<|-|>",
            connectionstyle=f"arc3,rad={-bend}",
            mutation_scale=11,
            linestyle=(0, (4, 3)),
            patchA=boxes[0].get_bbox_patch(),
            patchB=boxes[1].get_bbox_patch(),
            color=GREY,
            linewidth=1.2,
            zorder=1,
        )
    )


def _legend(ax: Axes, kinds: pd.Series, arcs: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    present = set(kinds)
    handles: list[Any] = [
        Patch(facecolor=_FILL[k], edgecolor=GREY, linestyle="--" if k == "latent" else "-", label=_MEANING[k])
        for k in _MEANING
        if k in present
    ]
    if arcs:
        handles.append(Line2D([], [], color=GREY, linestyle=(0, (4, 3)), label="unobserved common cause"))
    if handles:
        ax.legend(
            handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False, fontsize="small"
        )
