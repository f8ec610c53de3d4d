"""Pictures as inline SVG: text that can be searched, colours of the page, nothing loaded."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd

from pandas_causal.effect.summary import digits
from pandas_causal.plotting.graph_layers import place_nodes

__all__ = ["forest_svg", "graph_svg"]

_WIDTH, _ROW, _LEFT, _RIGHT = 660, 26, 210, 24
_MOST = 40
_NODE, _LAYER, _GAP = 34, 56, 46
_LETTER = 7.6


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

    height = _ROW * (len(shown) + 1) + 14
    parts = [
        f'<line class="null" x1="{x(null):.1f}" x2="{x(null):.1f}" y1="6" y2="{height - _ROW:.1f}"/>',
    ]
    for k, label in enumerate(shown.index):
        y = _ROW * (k + 0.5) + 8
        text = " | ".join(map(str, label)) if isinstance(label, tuple) else str(label)
        parts.append(f'<text class="label" x="{_LEFT - 12}" y="{y + 4:.1f}">{_cut(text, 28)}</text>')
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
    placed = place_nodes(len(nodes), arrows, arcs)
    labels = [_shortened(str(name), 24) for name in nodes["node"]]
    widths = [0.0] * placed.layers
    for label, (layer, _) in zip(labels, placed.at, strict=True):
        widths[int(layer)] = max(widths[int(layer)], 22 + _LETTER * len(label))
    middles, right = [], 8.0
    for width in widths:
        middles.append(right + width / 2)
        right += width + _LAYER
    top = 40 if arcs else 14
    middle = top + _GAP * (placed.tallest - 1) / 2 + _NODE / 2

    def spot(at: tuple[float, float]) -> tuple[float, float]:
        return middles[int(at[0])], middle + _GAP * at[1]

    places = placed.at
    half = [(22 + _LETTER * len(label)) / 2 for label in labels]
    parts = []
    for (a, b), route in zip(arrows, placed.routes, strict=True):
        points = [spot(p) for p in route]
        points[0] = _rim(points[0], points[1], half[a])
        points[-1] = _rim(points[-1], points[-2], half[b])
        parts.append(f'<polyline class="arrow" points="{" ".join(f"{u:.1f},{v:.1f}" for u, v in points)}"/>')
        parts.append(_head(points[-2], points[-1]))
    for a, b in arcs:
        (u, v), (r, s) = spot(places[a]), spot(places[b])
        peak = min(v, s) - 44
        parts.append(
            f'<path class="hidden" d="M{u:.1f},{v - _NODE / 2:.1f} Q{(u + r) / 2:.1f},{peak:.1f}'
            f' {r:.1f},{s - _NODE / 2:.1f}"/>'
        )
    for label, kind, at, wide in zip(labels, nodes["kind"], placed.at, half, strict=True):
        u, v = spot(at)
        parts.append(
            f'<rect class="node {escape(str(kind))}" x="{u - wide:.1f}" y="{v - _NODE / 2:.1f}" rx="6"'
            f' width="{2 * wide:.1f}" height="{_NODE}"/>'
            f'<text class="node-label {escape(str(kind))}" x="{u:.1f}" y="{v + 4.5:.1f}">{escape(label)}</text>'
        )
    width, height = right - _LAYER + 8, middle + _GAP * (placed.tallest - 1) / 2 + _NODE / 2 + 12
    return _svg(parts, width, height, title, natural=True)


def _rim(box: tuple[float, float], towards: tuple[float, float], half: float) -> tuple[float, float]:
    """Where the line from the middle of a box leaves it."""
    dx, dy = towards[0] - box[0], towards[1] - box[1]
    scale = min(half / abs(dx) if dx else np.inf, (_NODE / 2) / abs(dy) if dy else np.inf, 1.0)
    return box[0] + dx * scale, box[1] + dy * scale


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


def _shortened(text: str, most: int) -> str:
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def _cut(text: str, most: int) -> str:
    return escape(_shortened(text, most))


def _svg(parts: list[str], width: float, height: float, title: str, *, natural: bool = False) -> str:
    size = f' style="max-width:{width:.0f}px"' if natural else ""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}"{size}>'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
