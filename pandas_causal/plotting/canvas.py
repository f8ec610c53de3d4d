"""What the pictures share: Axes to draw on, plain spines, labels that fit."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.errors import CausalArgumentError, MissingDependencyError
from pandas_causal.plotting.colours import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["axes", "ink", "number_format", "require", "row_labels", "tidy_up", "wrapped"]

_LABEL_WIDTH = 34
_TEXT_WIDTH = 72


def axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Return `ax`, or the Axes of a new figure of this size in inches.

    Raises
    ------
    MissingDependencyError
        Where matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        raise MissingDependencyError("matplotlib", "plot") from None
    return pyplot.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def ink(ax: Axes) -> str:
    """Colour of the lines that are neither of two groups: that of the labels, which every style keeps readable."""
    return str(ax.xaxis.label.get_color())


def require(table: pd.DataFrame, columns: Iterable[str], source: str) -> None:
    """Refuse what is no table of this picture, naming where one is found."""
    if not isinstance(table, pd.DataFrame):
        raise CausalArgumentError(f"expected a DataFrame, got {type(table).__name__}; the picture draws {source}")
    absent = [c for c in columns if c not in table.columns]
    if absent:
        raise CausalArgumentError(f"the table has no columns {absent}; the picture draws {source}")
    if not len(table):
        raise CausalArgumentError("the table has no rows, so there is nothing to draw")


def tidy_up(ax: Axes, title: str | None) -> None:
    """Leave the two spines that carry ticks; put the title at the left, where reading starts."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        ax.spines[side].set_color(GREY)
    if title:
        ax.set_title(wrapped(title), loc="left", fontsize="medium")


def wrapped(text: str) -> str:
    """Text in lines that a picture of the usual width holds."""
    return fill(text, _TEXT_WIDTH)


def row_labels(index: pd.Index) -> list[str]:
    """Return one short text per row: levels of a MultiIndex joined, long names cut in the middle (ends tell apart)."""
    parts = [" | ".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in index]
    half = (_LABEL_WIDTH - 3) // 2
    return [text if len(text) <= _LABEL_WIDTH else f"{text[:half]}...{text[-half:]}" for text in parts]


def number_format(axis: Any) -> None:
    """Write ticks with thousands separators and without rounding residue."""
    axis.set_major_formatter("{x:,.10g}")
