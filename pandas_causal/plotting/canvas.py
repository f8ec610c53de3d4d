"""What the pictures share: Axes to draw on, plain spines, labels that fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import ceil, floor, isfinite, log10
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
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
    "in_figures",
    "ink",
    "interval_words",
    "label_rows",
    "legend_above",
    "n_lines",
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
_POINTS, _POINTS_PER_INCH = 10.0, 106.0  # size of texts, and letters that an inch holds times their size
_TITLE_POINTS = {"medium": 10.0, "small": 8.33, "x-small": 6.94}
_SIZES = {name: (size, *(s for s in (8.0, 7.0, 6.0, 5.0, 4.0) if s < size)) for name, size in _TITLE_POINTS.items()}
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
    """Letters of a line that the drawing holds: its panel less the names at its left and a legend at its right."""
    width, height = panel_size(ax)
    per_inch = _LETTERS_PER_INCH[text_size(ax)]
    if upright:
        return max(16, int((height - 0.6) * per_inch))
    names = [t for label in ax.get_yticklabels() for t in label.get_text().split("\n")] if _is_named(ax.yaxis) else []
    size = float(ax.get_yticklabels()[0].get_fontsize()) if names else _POINTS
    left = max(6.0 / per_inch, max(map(len, names), default=0) * size / _POINTS_PER_INCH)
    left += 0.25 * (1 + ax.get_ylabel().count("\n")) if ax.get_ylabel() else 0.0
    legend, right = ax.get_legend(), 0.1
    if legend is not None and legend.get_bbox_to_anchor().x0 > ax.bbox.x1 - 1:
        right += (max(len(line) for t in legend.get_texts() for line in t.get_text().split("\n")) + 6) / 13.0
    return max(16, int((width - left - right) * per_inch))


def _is_named(axis: Any) -> bool:
    """Whether ticks have names, not numbers."""
    from matplotlib.ticker import FixedLocator

    return isinstance(axis.get_major_locator(), FixedLocator)


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
    for label, upright in ((ax.yaxis.label, True), (ax.xaxis.label, False)):
        label.set_text(wrapped(label.get_text(), ax, upright=upright))
        label.set_parse_math(False)
    if size != "medium":
        ax.tick_params(axis="x", labelsize=size)
        if not _is_named(ax.yaxis):
            ax.tick_params(axis="y", labelsize=size)
        for text in (ax.xaxis.label, ax.yaxis.label):
            text.set_fontsize(size)
    if title:
        ax.set_title(wrapped(title, ax), loc="left", fontsize=size, parse_math=False)


def legend_above(
    ax: Axes, title: str | None, heading: str | None = None, named: tuple[list[Any], list[str]] | None = None
) -> str | None:
    """Put the legend between title and drawing, where it lies on neither; return the title with the room for it."""
    handles, labels = named or ax.get_legend_handles_labels()
    if not labels:
        return title
    usual = _LETTERS_PER_INCH[text_size(ax)]
    inches, height = _letters(ax) / usual, panel_size(ax)[1]
    whole = [label.replace("\n", " ") for label in labels]
    columns, rows, size, widest, written = 1, len(labels), _POINTS, 0, whole
    for size in _SIZES[text_size(ax, "small")]:  # the largest with which the legend leaves room for the drawing
        letters = max(10, int(inches * _POINTS_PER_INCH / size) - 5)
        written = ["\n".join(_folded(label, min(letters, 2 * _LABEL_WIDTH))) for label in whole]
        widest = 5 + max(len(line) for label in written for line in label.split("\n"))
        columns = max(1, min(len(written), (letters + 5) // widest))
        tall = [label.count("\n") + 1 for label in written]
        rows = (sum(tall) if columns == 1 else -(-len(written) // columns) * max(tall)) + (heading is not None)
        if rows * size * 1.25 <= 0.22 * 72 * height:
            break
    above = wrapped(title, ax).split("\n") if title else [""]
    beside = rows == 1 and len(above[-1]) / usual + columns * widest * size / _POINTS_PER_INCH <= inches
    ax.legend(
        handles, written, frameon=False, fontsize=size, handletextpad=0.3, columnspacing=1.0, handlelength=1.6,
        ncols=columns, title=heading, title_fontsize=size, borderaxespad=0.2, alignment="left",
        loc="lower right" if beside else "lower left", bbox_to_anchor=(1.0 if beside else 0.0, 1.0),
    )  # fmt: skip
    if beside or not title:
        return title
    return title + "\n" * ceil((rows + 0.7 * (heading is not None)) * 1.15 * size / _TITLE_POINTS[text_size(ax)])


def wrapped(text: str, ax: Axes, *, upright: bool = False) -> str:
    """Text in lines that the panel's width (its height, of upright text) holds; breaks that are there stay."""
    return "\n".join(fill(line, _letters(ax, upright)) for line in text.split("\n"))


def in_figures(value: float, std_error: float = float("nan")) -> str:
    """A number whose decimals show its standard error with two digits; with three digits where there is none."""
    size = std_error if isfinite(std_error) and std_error > 0 else abs(value) / 10
    if not isfinite(value):
        return str(value)
    if size and (size < 1e-5 or abs(value) >= 1e9):
        return f"{value:.3g}"
    return f"{value:,.{max(0, 1 - floor(log10(size))) if size else 0}f}"


def interval_words(table: pd.DataFrame, level: float, kind: str = "intervals", sided: str = "") -> str:
    """Words that follow a count (", 95% intervals"), where there is an interval."""
    there = np.isfinite(table[["conf_low", "conf_high"]].to_numpy(dtype=float)).any()
    return f", {sided}{100 * level:g}% {kind}" if there else ""


def answer(table: pd.DataFrame, level: float, kind: str = "interval") -> str:
    """The estimate and its interval in words, of a table of one row; of no more than the estimate if there is none."""
    row = table.iloc[0]
    estimate, low, high = (float(row[c]) for c in ("estimate", "conf_low", "conf_high"))
    error = float(row["std_error"]) if "std_error" in table else float("nan")
    text = in_figures(estimate, error)
    if not (isfinite(low) or isfinite(high)):
        return text
    centre = (low + high) / 2
    off = isfinite(centre) and isfinite(error) and abs(centre - estimate) > 0.05 * error
    ends = f"[{in_figures(low, error)}, {in_figures(high, error)}]"
    return f"{text}, {100 * level:g}% {kind} {ends}" + (f" around {in_figures(centre, error)}" if off else "")


def label_rows(ax: Axes, y: Any, labels: list[str], taken: float = 0.0) -> None:
    """Name rows at the left: in lines of no more than half the panel, and as small as rows are near to each other.

    `taken` is the height, in inches, of a legend above.
    """
    width, height = panel_size(ax)
    room = 72 * (max(height - 1.3, 0.38 * height) - taken) / max(len(labels), 1)
    size, lines = _POINTS, [label.split("\n") for label in labels]
    shares = [(size, _SHARE_OF_LABELS) for size in _SIZES[text_size(ax)]]
    for size, share in [*shares, (5.0, 0.6), (4.0, 0.6)]:
        letters = max(12, int(share * width * _POINTS_PER_INCH / size))
        if letters < _LABEL_WIDTH or size < _SIZES["x-small"][0]:
            lines = [_folded(label.replace("\n", " "), letters) for label in labels]
        if max(map(len, lines), default=1) * size * 1.2 <= room:
            break
    ax.set_yticks(y, ["\n".join(of_row) for of_row in lines], parse_math=False, fontsize=size)
    ax.tick_params(axis="y", length=0)


def row_labels(index: pd.Index) -> list[str]:
    """Return one text per row, levels of a MultiIndex joined, in at most three lines of 34 letters.

    What is longer loses its middle. Where two rows would then read alike, what the names share is left out of them, so
    that labels of different rows always differ.
    """
    texts = [_in_words(v, index.names) for v in index]
    labels = [folded(text) for text in texts]
    for alike in _alike(labels, index):
        shared = _shared([texts[k] for k in alike])
        for k in alike:
            labels[k] = folded(f"...{texts[k][shared:]}" if shared > _LABEL_WIDTH else texts[k])
    for alike in _alike(labels, index):  # 1 beside "1", or names that differ deep inside twice
        for k in alike:
            labels[k] += f"\n(row {k + 1:,})"
    return labels


def _in_words(row: Any, names: Sequence[Any]) -> str:
    """The parts of a name; numbers and dates with the name of their level (cohort 2004 | time 2006)."""
    parts = row if isinstance(row, tuple) else (row,)
    if len(names) != len(parts):
        names = [None] * len(parts)
    words = []
    for part, name in zip(parts, names, strict=True):
        text = f"{part:%Y-%m-%d}" if isinstance(part, pd.Timestamp) and part == part.normalize() else str(part)
        bare = isinstance(part, int | float | np.number | pd.Timestamp | pd.Period) and not isinstance(part, bool)
        words.append(f"{name} {text}" if bare and isinstance(name, str) else text)
    return " | ".join(words)


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
