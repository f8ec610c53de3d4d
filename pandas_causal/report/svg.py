"""Pictures as inline SVG: text that can be searched, colours of the page, nothing loaded."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd

from pandas_causal.effect.summary import digits
from pandas_causal.plotting.canvas import folded, n_lines, row_labels
from pandas_causal.plotting.graph_svg import svg

__all__ = ["forest_svg"]

_WIDTH, _ROW, _LEFT, _RIGHT = 660, 26, 210, 24
_MOST = 40
_LINE = 15


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
    return svg(parts, _WIDTH, height, title)


def _ticks(start: float, stop: float) -> list[float]:
    """About five round numbers."""
    raw = (stop - start) / 5
    size = 10.0 ** np.floor(np.log10(raw))
    step = float(min((m * size for m in (1, 2, 5, 10)), key=lambda s: abs(s - raw)))
    first = np.ceil(start / step) * step
    return [float(v) for v in np.round(np.arange(first, stop, step) / step) * step]
