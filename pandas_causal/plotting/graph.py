"""The picture of a causal graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting.canvas import axes, folded, ground, ink, panel_size, require, row_labels, text_size, wrapped
from pandas_causal.plotting.colours import BLACK, BLUE, BLUISH_GREEN, GREY, ORANGE
from pandas_causal.plotting.graph_routes import Box, Curve, lay_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_graph"]

_MOST_NODES = 150
_POINTS, _MARGIN, _NARROW = 10.0, 0.1, 16
_SOURCE = "the tables of a CausalGraph; call its plot()"
_FILL = {"treatment": BLUE, "outcome": ORANGE, "adjustment": BLUISH_GREEN}  # others: as what is behind them
_INK = {"treatment": "#FFFFFF", "outcome": BLACK, "adjustment": "#FFFFFF", "latent": GREY}
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
    labels = row_labels(pd.Index(nodes["node"], dtype=object, tupleize_cols=False))
    given = ax is not None
    ax = axes(ax, 1.0, 1.0)
    drawing = lay_out([_size(label) for label in labels], arrows, arcs)
    if given and drawing.width > panel_size(ax)[0]:
        labels = ["\n".join(folded(line, _NARROW, 9) for line in label.split("\n")) for label in labels]
        drawing = lay_out([_size(label) for label in labels], arrows, arcs)
    width, height = drawing.width + 2 * _MARGIN, drawing.height + 2 * _MARGIN
    scale = 1.0
    if given:
        room = panel_size(ax)
        scale = min(1.0, 0.95 * room[0] / width, 0.8 * room[1] / height)
    else:
        figure: Any = ax.figure
        figure.set_size_inches(max(4.4, width + 0.1), height + 0.4 + (0.35 if title else 0.0))
    ax.set_aspect("equal")
    ax.set_xlim(-_MARGIN, drawing.width + _MARGIN)
    ax.set_ylim(-_MARGIN, drawing.height + _MARGIN)
    shares = edges["share"].clip(0, 1).tolist() if "share" in edges else [None] * len(ends)
    of_arrows = [share for share, s in zip(shares, straight, strict=True) if s]
    for curve, share in zip(drawing.arrows, of_arrows, strict=True):
        _curve(ax, curve, scale, "-|>", color=ink(ax) if share is None else GREY,
               linewidth=1.2 if share is None else 0.7 + 5 * share)  # fmt: skip
    for curve in drawing.arcs:
        _curve(ax, curve, scale, "<|-|>", color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
    _nodes(ax, nodes["kind"].tolist(), labels, drawing.boxes, scale)
    ax.axis("off")
    _legend(ax, nodes["kind"], bool(arcs))
    if title:
        ax.set_title(wrapped(title, ax), loc="left", fontsize=text_size(ax), parse_math=False)
    return ax


def _size(label: str) -> tuple[float, float]:
    """Inches of a box around its label."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties()
    widths = [
        TextPath((0, 0), line.replace("$", r"\$"), size=_POINTS, prop=font).get_extents().width
        for line in label.split("\n")
        if line.strip()
    ]
    return max(widths, default=0.0) / 72 + 0.28, 0.22 + 0.165 * (label.count("\n") + 1)


def _nodes(ax: Axes, kinds: list[str], labels: list[str], boxes: list[Box], scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    for kind, label, box in zip(kinds, labels, boxes, strict=True):
        patch = FancyBboxPatch(
            (box.x - box.width / 2, box.y - box.height / 2),
            box.width,
            box.height,
            boxstyle="round,pad=0,rounding_size=0.1",
            facecolor=_FILL.get(kind) or ground(ax),
            linestyle="--" if kind == "latent" else "-",
            edgecolor=GREY if kind == "latent" else ink(ax),
            linewidth=max(scale, 0.5),
            zorder=2,
        )
        ax.add_patch(patch)
        ax.text(
            box.x, box.y, label, ha="center", va="center", color=_INK.get(kind) or ink(ax), parse_math=False, zorder=3,
            fontsize=_POINTS * scale, style="italic" if kind == "latent" else "normal", linespacing=1.1,
        )  # fmt: skip


def _curve(ax: Axes, curve: Curve, scale: float, style: str, **look: Any) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    codes = [Path.MOVETO] + [Path.CURVE4] * (len(curve) - 1)
    head = (10 + 2.5 * look["linewidth"]) * scale
    look["linewidth"] *= max(scale, 0.5)
    ax.add_patch(FancyArrowPatch(path=Path(curve, codes), arrowstyle=style, mutation_scale=head, zorder=1, **look))


def _legend(ax: Axes, kinds: pd.Series, arcs: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    present = set(kinds)
    handles: list[Any] = [
        Patch(
            facecolor=_FILL.get(k) or ground(ax),
            edgecolor=GREY,
            linestyle="--" if k == "latent" else "-",
            label=_MEANING[k],
        )
        for k in _MEANING
        if k in present
    ]
    if arcs:
        handles.append(Line2D([], [], color=GREY, linestyle=(0, (4, 3)), label="unobserved common cause"))
    if handles:
        ax.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            frameon=False,
            ncols=max(1, min(3, int(panel_size(ax)[0] / 1.5))),
            fontsize=text_size(ax, "small"),
        )
