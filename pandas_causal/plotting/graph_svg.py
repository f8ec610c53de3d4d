"""The picture of a graph as inline SVG: text that can be searched, colours of the page, nothing loaded."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd

from pandas_causal.plotting.canvas import folded, row_labels
from pandas_causal.plotting.graph_routes import lay_out

__all__ = ["graph_svg", "svg"]

_INCH, _NODE, _LINE, _MARGIN = 84, 34, 15, 10  # units of the picture: an inch of the lay-out, a node, a line, the rim
_LETTER, _LETTERS = 7.6, 24
_STYLE = (
    "<style>.causal-graph{color:#24292f;font:13px sans-serif}.causal-graph text{fill:currentColor;text-anchor:middle}"
    "@media(prefers-color-scheme:dark){.causal-graph{color:#d8dee4}}"
    ".causal-graph.inherits{color:inherit}"
    ".causal-graph .arrow,.causal-graph .hidden,.causal-graph .node{fill:none;stroke:currentColor;stroke-width:1.3}"
    ".causal-graph .head{fill:currentColor}.causal-graph .hidden{stroke-dasharray:5 4;opacity:.75}"
    ".causal-graph .node.latent{stroke-dasharray:4 3}.causal-graph .node.treatment{fill:#0072b2}"
    ".causal-graph .node.outcome{fill:#e69f00}.causal-graph .node.adjustment{fill:#00795a}"
    ".causal-graph text.treatment,.causal-graph text.adjustment{fill:#fff}.causal-graph text.outcome{fill:#000}</style>"
)


def graph_svg(nodes: pd.DataFrame, edges: pd.DataFrame, *, title: str, style: str | None = None) -> str:
    """A causal graph in layers from causes at the left to effects at the right.

    Parameters
    ----------
    nodes : DataFrame
        node, kind; causes before their effects.
    edges : DataFrame
        parent, child, kind ("directed" or "bidirected").
    title : str
        For readers who do not see the picture.
    style : {"inherits", "alone"}, optional
        Where no page gives the colours: those of the text around it, or its own.
    """
    number = {name: k for k, name in enumerate(nodes["node"])}
    ends = [(number[a], number[b]) for a, b in zip(edges["parent"], edges["child"], strict=True)]
    straight = [kind == "directed" for kind in edges["kind"]]
    arrows = [e for e, s in zip(ends, straight, strict=True) if s]
    arcs = [e for e, s in zip(ends, straight, strict=True) if not s]
    names = row_labels(pd.Index(nodes["node"], dtype=object, tupleize_cols=False))
    labels = ["\n".join(folded(line, _LETTERS, 9) for line in name.split("\n")).split("\n") for name in names]
    sizes = [
        ((22 + _LETTER * max(map(len, lines))) / _INCH, (_NODE + _LINE * (len(lines) - 1)) / _INCH) for lines in labels
    ]
    drawing = lay_out(sizes, arrows, arcs)
    height = drawing.height * _INCH + 2 * _MARGIN

    def spot(point: tuple[float, float]) -> tuple[float, float]:
        return _MARGIN + _INCH * point[0], height - _MARGIN - _INCH * point[1]

    parts = []
    for curve in drawing.arrows:
        points = [spot(p) for p in curve]
        parts += [f'<path class="arrow" d="{_path(points)}"/>', _head(points[-2], points[-1])]
    for curve in drawing.arcs:
        points = [spot(p) for p in curve]
        parts += [f'<path class="hidden" d="{_path(points)}"/>']
        parts += [_head(points[-2], points[-1]), _head(points[1], points[0])]
    for lines, kind, box in zip(labels, nodes["kind"], drawing.boxes, strict=True):
        u, v = spot((box.x, box.y))
        wide, tall = box.width * _INCH, box.height * _INCH
        first = v + 4.5 - _LINE * (len(lines) - 1) / 2
        spans = "".join(
            f'<tspan x="{u:.1f}" y="{first + _LINE * k:.1f}">{escape(line)}</tspan>' for k, line in enumerate(lines)
        )
        parts.append(
            f'<rect class="node {escape(str(kind))}" x="{u - wide / 2:.1f}" y="{v - tall / 2:.1f}" rx="6"'
            f' width="{wide:.1f}" height="{tall:.1f}"/>'
            f'<text class="node-label {escape(str(kind))}" x="{u:.1f}" y="{v + 4.5:.1f}">{spans}</text>'
        )
    return svg(parts, drawing.width * _INCH + 2 * _MARGIN, height, title, natural=True, style=style)


def _path(points: list[tuple[float, float]]) -> str:
    """Cubic pieces, in SVG's words."""
    (x, y), *rest = points
    return f"M{x:.1f},{y:.1f} C" + " ".join(f"{u:.1f},{v:.1f}" for u, v in rest)


def _head(before: tuple[float, float], at: tuple[float, float]) -> str:
    dx, dy = at[0] - before[0], at[1] - before[1]
    length = float(np.hypot(dx, dy)) or 1.0
    ux, uy = dx / length, dy / length
    left = at[0] - 9 * ux - 4 * uy, at[1] - 9 * uy + 4 * ux
    right = at[0] - 9 * ux + 4 * uy, at[1] - 9 * uy - 4 * ux
    points = " ".join(f"{u:.1f},{v:.1f}" for u, v in (at, left, right))
    return f'<polygon class="head" points="{points}"/>'


def svg(
    parts: list[str], width: float, height: float, title: str, *, natural: bool = False, style: str | None = None
) -> str:
    """Parts of a picture as one element; `natural` draws it no larger than it is."""
    size = f' style="max-width:{width:.0f}px"' if natural else ""
    own = "" if style is None else f' xmlns="http://www.w3.org/2000/svg" class="causal-graph {style}"'
    return (
        f'<svg{own} viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}"{size}>'
        f"<title>{escape(title)}</title>{_STYLE if own else ''}{''.join(parts)}</svg>"
    )
