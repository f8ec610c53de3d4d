"""What the pictures share: Axes to draw on, plain spines, labels that fit."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import floor, isfinite, log10
from textwrap import fill
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.errors import CausalArgumentError, MissingDependencyError
from pandas_causal.plotting.colours import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "WIDE",
    "answer",
    "axes",
    "folded",
    "ground",
    "ink",
    "label_rows",
    "legend_above",
    "n_lines",
    "number",
    "number_format",
    "panel_size",
    "require",
    "row_labels",
    "text_size",
    "tidy_up",
    "wrapped",
]

_LABEL_WIDTH, _LABEL_LINES = 34, 3
_PIECE = re.compile(r"[^\s_|/,.;:=-]+[\s_|/,.;:=-]*|[\s_|/,.;:=-]+")
WIDE = 5.0  # inches: a narrower panel has smaller texts, and legends above
_NARROWER = 4.0
_LETTERS_PER_INCH = {"medium": 10.6, "small": 12.6, "x-small": 14.8}
_SHARE_OF_LABELS = 0.45


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
    if ax is None:
        return pyplot.subplots(figsize=(width, height), layout="constrained")[1]
    figure: Any = ax.figure
    if figure.get_layout_engine() is None and all(one.get_subplotspec() is not None for one in figure.axes):
        figure.set_layout_engine("tight")  # or names of rows would be cut; gives way to any other layout
    return ax


def ink(ax: Axes) -> str:
    """Colour of the lines that are neither of two groups: that of the labels, which every style keeps readable."""
    return str(ax.xaxis.label.get_color())


def ground(ax: Axes) -> str:
    """Colour behind the drawing, which fills hollow markers: the figure's where the Axes have none of their own."""
    from matplotlib.colors import to_hex, to_rgba

    own = ax.get_facecolor()
    figure: Any = ax.figure
    return to_hex(own if to_rgba(own)[3] > 0 else figure.get_facecolor())


def panel_size(ax: Axes) -> tuple[float, float]:
    """Inches, width and height, that a panel has in its figure, labels included."""
    figure: Any = ax.figure
    spec = ax.get_subplotspec()
    width, height = figure.get_figwidth(), figure.get_figheight()
    if spec is None:
        place = ax.get_position()
        return float(width * place.width), float(height * place.height)
    grid = spec.get_gridspec()
    return float(width * len(spec.colspan) / grid.ncols), float(height * len(spec.rowspan) / grid.nrows)


def text_size(ax: Axes, usual: str = "medium") -> str:
    """Size of a text: one or two steps smaller in a panel that is under five or under four inches wide."""
    sizes = ("medium", "small", "x-small")
    width = panel_size(ax)[0]
    return sizes[min(sizes.index(usual) + (width < WIDE) + (width < _NARROWER), 2)]


def _letters(ax: Axes, upright: bool = False) -> int:
    """Letters of a line that a panel holds."""
    return max(20, int(panel_size(ax)[upright] * _LETTERS_PER_INCH[text_size(ax)]))


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
    size = text_size(ax)
    for label, upright in ((ax.xaxis.label, False), (ax.yaxis.label, True)):
        label.set_text(wrapped(label.get_text(), ax, upright=upright))
        label.set_parse_math(False)
    legend = ax.get_legend()
    if size != "medium":
        ax.tick_params(labelsize=size)
        of_legend: list[Any] = [] if legend is None else [*legend.get_texts(), legend.get_title()]
        for text in (ax.xaxis.label, ax.yaxis.label, *of_legend):
            text.set_fontsize(size)
    if title:
        ax.set_title(wrapped(title, ax), loc="left", fontsize=size, parse_math=False)


def legend_above(
    ax: Axes, title: str | None, heading: str | None = None, labels: list[str] | None = None
) -> str | None:
    """Put the legend between title and drawing, where it lies on neither; return the title with the room for it."""
    handles, found = ax.get_legend_handles_labels()
    labels = found if labels is None else labels
    if not labels:
        return title
    letters, widest = _letters(ax), max(len(line) for label in labels for line in label.split("\n")) + 6
    columns = max(1, min(len(labels), letters // widest))
    rows = -(-len(labels) // columns) * max(label.count("\n") + 1 for label in labels) + (heading is not None)
    above = wrapped(title, ax).split("\n") if title else [""]
    beside = rows == 1 and len(above[-1]) + columns * widest <= letters
    ax.legend(
        handles, labels, frameon=False, fontsize=text_size(ax, "small"), handletextpad=0.3, ncols=columns,
        title=heading, title_fontsize=text_size(ax, "small"), borderaxespad=0.2, alignment="left",
        loc="lower right" if beside else "lower left", bbox_to_anchor=(1.0 if beside else 0.0, 1.0),
    )  # fmt: skip
    return title if beside or not title else title + "\n" * rows


def wrapped(text: str, ax: Axes, *, upright: bool = False) -> str:
    """Text in lines that the panel's width (its height, of upright text) holds; breaks that are there stay."""
    return "\n".join(fill(line, _letters(ax, upright)) for line in text.split("\n"))


def number(value: float, std_error: float = float("nan")) -> str:
    """A number whose decimals show its standard error with two digits; with three digits where there is none."""
    size = std_error if isfinite(std_error) and std_error > 0 else abs(value) / 10
    if not isfinite(value):
        return str(value)
    if size and (size < 1e-5 or abs(value) >= 1e9):
        return f"{value:.3g}"
    return f"{value:,.{max(0, 1 - floor(log10(size))) if size else 0}f}"


def answer(table: pd.DataFrame, level: float, kind: str = "interval") -> str:
    """The estimate and its interval in words, of a table of one row; of no more than the estimate if there is none."""
    row = table.iloc[0]
    estimate, low, high = (float(row[c]) for c in ("estimate", "conf_low", "conf_high"))
    error = float(row["std_error"]) if "std_error" in table else float("nan")
    text = number(estimate, error)
    if not (isfinite(low) or isfinite(high)):
        return text
    centre = (low + high) / 2
    off = isfinite(centre) and isfinite(error) and abs(centre - estimate) > 0.05 * error
    ends = f"[{number(low, error)}, {number(high, error)}]"
    return f"{text}, {100 * level:g}% {kind} {ends}" + (f" around {number(centre, error)}" if off else "")


def label_rows(ax: Axes, y: Any, labels: list[str]) -> None:
    """Name rows at the left, in lines of no more than half the panel."""
    room = int(_SHARE_OF_LABELS * _letters(ax))
    if room < _LABEL_WIDTH:
        labels = ["\n".join(_folded(label, max(room, 12))) for label in labels]
    ax.set_yticks(y, labels, parse_math=False)
    ax.tick_params(axis="y", length=0)


def row_labels(index: pd.Index) -> list[str]:
    """Return one text per row, levels of a MultiIndex joined, in at most three lines of 34 letters.

    What is longer loses its middle. Where two rows would then read alike, what the names share is left out of them, so
    that labels of different rows always differ.
    """
    texts = [" | ".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in index]
    labels = [folded(text) for text in texts]
    for alike in _alike(labels, index):
        shared = _shared([texts[k] for k in alike])
        for k in alike:
            labels[k] = folded(f"...{texts[k][shared:]}" if shared > _LABEL_WIDTH else texts[k])
    for alike in _alike(labels, index):  # 1 beside "1", or names that differ deep inside twice
        for k in alike:
            labels[k] += f"\n(row {k + 1:,})"
    return labels


def _shared(texts: list[str]) -> int:
    """Letters that different texts begin with."""
    first, last = min(texts), max(texts)
    return next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)


def _alike(labels: list[str], index: pd.Index) -> list[list[int]]:
    """Positions of rows of different names that have one label."""
    rows = pd.Series(range(len(labels))).groupby(labels, sort=False)
    groups = [list(of_label) for _, of_label in rows if len(of_label) > 1]
    return [g for g in groups if len({(type(index[k]), index[k]) for k in g}) > 1]


def folded(text: str, width: int = _LABEL_WIDTH, lines: int = _LABEL_LINES) -> str:
    """Text in lines of `width`, broken after spaces and signs where that is possible; too long, cut in the middle."""
    found = _folded(text, width)
    if len(found) > lines:
        half = (lines * width - 3) // 2
        while len(found) > lines:  # words leave room at the ends of lines
            found = _folded(f"{text[:half]}...{text[-half:]}", width)
            half -= 1
    return "\n".join(found)


def _folded(text: str, width: int) -> list[str]:
    lines = [""]
    for piece in _PIECE.findall(text.replace("\n", " ")):
        if len(lines[-1]) + len(piece.rstrip()) <= width:
            lines[-1] += piece
            continue
        if not lines[-1]:
            lines.pop()
        lines += [piece[k : k + width] for k in range(0, len(piece.rstrip()), width)]
    return [line.rstrip() for line in lines if line.strip()] or [""]


def n_lines(labels: Iterable[str]) -> int:
    """Lines that labels of rows take in all."""
    return sum(label.count("\n") + 1 for label in labels)


def number_format(axis: Any) -> None:
    """Write ticks with thousands separators and without rounding residue."""
    axis.set_major_formatter("{x:,.10g}")
