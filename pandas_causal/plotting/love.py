"""The love plot: how unlike the arms are, covariate by covariate, before and after weighting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pandas_causal.plotting.canvas import (
    WIDE,
    axes,
    ground,
    label_rows,
    legend_above,
    n_lines,
    number_format,
    panel_size,
    require,
    row_labels,
    tidy_up,
)
from pandas_causal.plotting.colours import BLUE, GREY, VERMILLION
from pandas_causal.plotting.picture import Picture, PlottedEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PICTURES", "draw_love"]

_LIMIT = 0.1
_MOST_COVARIATES = 40
_MARKERS = "os^Dv<>PX*hpd8"
_STAGES = (("before", VERMILLION, False), ("after", BLUE, True))


def draw_love(table: pd.DataFrame, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Draw standardised mean differences, hollow before weighting and filled after, with dashed lines at +-0.1.

    Covariates are sorted by their largest absolute difference before weighting, the worst at the top; of more than 40,
    the worst 40 are drawn and the axis says so. Several contrasts have a marker each. An infinite difference (constant
    within the arms, different between them) stands at the edge and says so.

    Parameters
    ----------
    table : DataFrame
        ``effect.diagnostics["balance"].table`` or ``df.causal.balance(...).table``: contrast, smd_before and, where
        rows were weighted, smd_after; the index names the covariates.
    ax : matplotlib Axes, optional
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

    References
    ----------
    Love, T. (2004), "Graphical display of covariate balance"; Austin (2009), Statistics in Medicine, for the limit 0.1.
    """
    require(table, ("contrast", "smd_before"), 'effect.diagnostics["balance"].table')
    worst = table["smd_before"].abs().groupby(level=0, sort=False).max().sort_values(ascending=False, kind="stable")
    drawn = worst.index[:_MOST_COVARIATES]
    contrasts = list(dict.fromkeys(table["contrast"]))
    labels, of_contrasts = row_labels(drawn), row_labels(pd.Index(contrasts, dtype=object))
    tall = 0.3 * len(drawn) * (1 + 0.25 * (len(contrasts) - 1))
    ax = axes(ax, 6.8, 1.5 + max(tall, 0.11 * len(drawn) + 0.19 * n_lines(labels), 0.4 * n_lines(of_contrasts)))
    ax.axvline(0, color=GREY, linewidth=1, zorder=0)
    for x in (-_LIMIT, _LIMIT):
        ax.axvline(x, color=GREY, linewidth=1, linestyle="--", zorder=0)
    edge = _edge(table)
    heights = pd.Series(np.arange(len(drawn), 0, -1, dtype=float), index=drawn)
    for k, contrast in enumerate(contrasts):
        part = table[(table["contrast"] == contrast) & table.index.isin(drawn)]
        offset = 0.0 if len(contrasts) == 1 else 0.5 * (0.5 - k / (len(contrasts) - 1))
        _contrast(ax, part, heights[part.index].to_numpy() + offset, k, of_contrasts[k], edge)
    label_rows(ax, heights.to_numpy(), labels)
    ax.set_ylim(0.4, len(drawn) + 0.6)
    ax.margins(x=0.08)
    number_format(ax.xaxis)
    note = "" if len(drawn) == len(worst) else f" (worst {len(drawn)} of {len(worst):,} covariates)"
    ax.set_xlabel(f"standardised mean difference{note}")
    title = _legend(ax, of_contrasts, "smd_after" in table.columns, title)
    tidy_up(ax, title)
    return ax


def _edge(table: pd.DataFrame) -> float:
    """Where infinite differences are drawn: beyond every finite one and the limits."""
    drawn = table.filter(regex="^smd_").to_numpy(dtype=float)
    return 1.3 * max(np.abs(drawn[np.isfinite(drawn)]).max(initial=0.0), 2 * _LIMIT)


def _contrast(ax: Axes, part: pd.DataFrame, y: Any, k: int, name: str, edge: float) -> None:
    """Markers of one contrast, joined from before to after."""
    after = "smd_after" in part.columns
    x = {stage: part[f"smd_{stage}"].clip(-edge, edge) for stage, _, _ in _STAGES[: 1 + after]}
    if after:
        ax.hlines(y, x["before"], x["after"], colors=GREY, linewidth=0.8, zorder=1)
    for stage, colour, filled in _STAGES[: 1 + after]:
        face = colour if filled else ground(ax)
        for height, value in zip(y, part[f"smd_{stage}"], strict=True):
            if np.isinf(value):
                side = np.sign(value)
                ax.annotate(
                    "infinite →" if side > 0 else "← infinite",
                    (side * edge, height),
                    xytext=(-6 * side, 0),
                    textcoords="offset points",
                    ha="right" if side > 0 else "left",
                    va="center",
                    fontsize="small",
                    color=colour,
                )
        ax.plot(
            x[stage],
            y,
            _MARKERS[k % len(_MARKERS)],
            markersize=6,
            color=colour,
            markerfacecolor=face,
            label=f"{name}, {stage}" if len(part) else None,
            zorder=2 + filled,
        )


def _legend(ax: Axes, contrasts: list[str], after: bool, title: str | None) -> str | None:
    """Outside the drawing, so that it never lies on a marker: above, or at the right for several contrasts."""
    handles, labels = ax.get_legend_handles_labels()
    if len(contrasts) == 1:
        labels = ["before weighting", "after weighting"] if after else [f"{contrasts[0]}, unweighted"]
        return legend_above(ax, title, named=(handles, labels))
    if panel_size(ax)[0] < WIDE:  # a line for each contrast
        if after:
            ax.set_xlabel(f"{ax.get_xlabel()} (hollow: before weighting)")
        return legend_above(ax, title, named=(handles[after :: 1 + after], contrasts))
    ax.legend(frameon=False, fontsize="small", handletextpad=0.3, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return title


def _of_effect(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    return draw_love(effect.diagnostics["balance"].table, ax, title=f"Balance, {n}")


PICTURES = {
    "love": Picture(_of_effect, "balance"),
}
