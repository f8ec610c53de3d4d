"""Pictures as inline SVG: text that can be searched, colours of the page, nothing loaded."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd

from pandas_causal.effect.summary import digits
from pandas_causal.plotting.canvas import folded, n_lines, row_labels
from pandas_causal.plotting.graph_routes import lay_out

__all__ = ["forest_svg", "graph_svg"]

_WIDTH, _ROW, _LEFT, _RIGHT = 660, 26, 210, 24
_MOST = 40
_INCH, _NODE, _LINE, _MARGIN = 84, 34, 15, 10  # units of the picture: an inch of the lay-out, a node, a line, the rim
_LETTER, _LETTERS = 7.6, 24


def forest_svg(table: pd.DataFrame, *, null: float = 0.0, title: str) -> str:
    """Estimates with their intervals, one row each, and a line at no effect; at most 40 rows.

    Parameters
    ----------
    table : DataFrame
        With columns estimate, conf_low and conf_high; the index names the rows.
    null : float
    title : str
        For readers who do not see the picture.
    """
    shown = table.iloc[:_MOST]
    estimate, low, high = (shown[c].to_numpy(dtype=float) for c in ("estimate", "conf_low", "conf_high"))
    ends = np.concatenate([estimate, low, high, [null]])
    ends = ends[np.isfinite(ends)]
    span = float(np.ptp(ends)) or 1.0
    start, stop = float(ends.min()) - 0.04 * span, float(ends.max()) + 0.04 * span

    def x(value: float) -> float:
        return _LEFT + (min(max(value, start), stop) - start) / (stop - start) * (_WIDTH - _LEFT - _RIGHT)

    labels = ["\n".join(folded(line, 28, 9) for line in name.split("\n")) for name in row_labels(shown.index)]
    tall = [_ROW + _LINE * (n_lines([label]) - 1) for label in labels]
    height = sum(tall) + _ROW + 14
    parts = [
        f'<line class="null" x1="{x(null):.1f}" x2="{x(null):.1f}" y1="6" y2="{height - _ROW:.1f}"/>',
    ]
    for k, label in enumerate(labels):
        y = sum(tall[:k]) + tall[k] / 2 + 8
        first = y + 4 - _LINE * (n_lines([label]) - 1) / 2
        parts += [
            f'<text class="label" x="{_LEFT - 12}" y="{first + _LINE * j:.1f}">{escape(line)}</text>'
            for j, line in enumerate(label.split("\n"))
        ]
        if not np.isfinite(estimate[k]):
            continue
        if np.isfinite([low[k], high[k]]).any():
            left, right = (x(v if np.isfinite(v) else e) for v, e in ((low[k], start), (high[k], stop)))
            parts.append(f'<line class="interval" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<circle class="estimate" cx="{x(estimate[k]):.1f}" cy="{y:.1f}" r="4.5"/>')
    parts += [
        f'<text class="tick" x="{x(value):.1f}" y="{height - 6:.1f}">{escape(digits(value))}</text>'
        for value in _ticks(start, stop)
    ]
    return _svg(parts, _WIDTH, height, title)


def graph_svg(nodes: pd.DataFrame, edges: pd.DataFrame, *, title: str) -> str:
    """A causal graph in layers from causes at the left to effects at the right.

    Parameters
    ----------
    nodes : DataFrame
        node, kind; causes before their effects.
    edges : DataFrame
        parent, child, kind ("directed" or "bidirected").
    title : str
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
    return _svg(parts, drawing.width * _INCH + 2 * _MARGIN, height, title, natural=True)


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


def _ticks(start: float, stop: float) -> list[float]:
    """About five round numbers."""
    raw = (stop - start) / 5
    size = 10.0 ** np.floor(np.log10(raw))
    step = float(min((m * size for m in (1, 2, 5, 10)), key=lambda s: abs(s - raw)))
    first = np.ceil(start / step) * step
    return [float(v) for v in np.round(np.arange(first, stop, step) / step) * step]


def _svg(parts: list[str], width: float, height: float, title: str, *, natural: bool = False) -> str:
    size = f' style="max-width:{width:.0f}px"' if natural else ""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}"{size}>'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
