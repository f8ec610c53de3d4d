"""How far out a value lies: statistics whose upper tail holds what is odd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.graphs.node_columns import Column
from pandas_causal.inputs.parameters import is_word
from pandas_causal.kernels.arrays import Floats, Values

__all__ = ["TAILS", "TailStatistic", "kernel_log_density", "tail_statistic"]

TAILS = ("median", "quantile", "density", "upper", "lower")
_GRID = 512


@dataclass(frozen=True, eq=False)
class TailStatistic:
    """A function of a node's values that is large where they are odd, and how much larger counts as larger.

    Attributes
    ----------
    of : callable
        Values, of any shape, to numbers.
    rounding : float
        Differences up to this one are rounding: a value is as odd as itself.
    """

    of: Callable[[Values], Floats]
    rounding: float

    def at_least(self, values: Values, observed: Floats) -> Any:
        """Whether values are as odd as those observed, or odder (both broadcast)."""
        return self.of(values) >= observed - self.rounding


def tail_statistic(column: Column, reference: Values, kind: Any) -> TailStatistic:
    """Build the statistic of a node from values that are taken as usual.

    Parameters
    ----------
    column : Column
    reference : ndarray (n,)
        Positions of levels, for a discrete node.
    kind : {"median", "quantile", "density", "upper", "lower"} or callable
        Distance from the median; how far out by rank, on either side; minus the log of a kernel density (of the share
        of a level); the value itself, up or down; or a function of the values as numbers.

    Raises
    ------
    CausalArgumentError
        For another kind.
    CausalDataError
        For a statistic of numbers where the levels are none.
    """
    if not callable(kind) and not is_word(kind, TAILS):
        raise CausalArgumentError(f"score={kind!r} is not known; use one of {list(TAILS)}, or a function of the values")
    if column.discrete:
        return _of_levels(column, reference, kind)
    numbers = np.asarray(reference, dtype=float)
    rounding = 1e-9 * max(float(np.abs(numbers).max(initial=0.0)), 1e-300)
    if callable(kind):
        return TailStatistic(lambda x: _given(kind, x), 1e-9 * max(float(np.ptp(_given(kind, numbers))), 1e-300))
    if kind == "quantile":
        return TailStatistic(_Rank(np.sort(numbers), rounding), 1e-12)
    if kind == "density":
        log_density = kernel_log_density(numbers)
        return TailStatistic(lambda x: -log_density(x), 1e-7)
    centre = float(np.median(numbers))
    simple: dict[str, Callable[[Values], Floats]] = {
        "median": lambda x: np.abs(x - centre),
        "upper": lambda x: x,
        "lower": lambda x: -x,
    }
    return TailStatistic(simple[kind], rounding)


def _of_levels(column: Column, reference: Values, kind: Any) -> TailStatistic:
    """A table of the levels."""
    levels = column.plain_levels
    share = np.bincount(reference, minlength=len(levels)) / max(len(reference), 1)
    if kind == "density":
        table = -np.log(np.maximum(share, 0.5 / max(len(reference), 1)))
    elif column.numbers is None:
        remedy = "use score='density', the rarity of a level"
        raise CausalDataError([Problem(str(column.name), f"has levels {levels[:5]} and no order", None, remedy)])
    else:
        x = column.numbers
        numbers = np.repeat(x, np.round(share * len(reference)).astype(int))
        plain = Column(column.name, column.dtype, None, None)
        inner = tail_statistic(plain, numbers, kind)
        table = inner.of(x)
    return TailStatistic(lambda codes: table[codes], 1e-9 * max(float(np.abs(table).max()), 1e-300))


def _given(function: Callable[[Values], Any], x: Values) -> Floats:
    out = np.asarray(function(np.asarray(x).ravel()), dtype=float)
    if out.size != np.size(x) or not np.isfinite(out).all():
        raise CausalArgumentError(f"the function given as score must give {np.size(x):,} finite numbers")
    return out.reshape(np.shape(x))


@dataclass(frozen=True, eq=False)
class _Rank:
    """How far a value's mid-rank is from the middle: 0 at the median, 1 beyond all values."""

    ordered: Floats
    rounding: float

    def __call__(self, x: Values) -> Floats:
        below = np.searchsorted(self.ordered, x - self.rounding, side="left")
        up_to = np.searchsorted(self.ordered, x + self.rounding, side="right")
        return np.abs((below + up_to) / len(self.ordered) - 1.0)


def kernel_log_density(numbers: Floats) -> Callable[[Values], Floats]:
    """Log of a Gaussian kernel density (Silverman 1986, eq. 3.31), linear between points of a grid.

    Beyond the grid, four bandwidths outside the values, it goes on falling as a normal tail does.
    """
    n = len(numbers)
    low, high = np.quantile(numbers, [0.25, 0.75])
    spread = min(float(numbers.std()), float(high - low) / 1.34) or float(numbers.std()) or 1.0
    width = 0.9 * spread * n**-0.2
    grid = np.linspace(numbers.min() - 4 * width, numbers.max() + 4 * width, _GRID)
    step = grid[1] - grid[0]
    width = max(width, step)
    at = np.clip((numbers - grid[0]) / step, 0, _GRID - 1.000001)
    left = at.astype(np.intp)
    weight = np.bincount(left, 1 - (at - left), _GRID) + np.bincount(left + 1, at - left, _GRID)
    kernel = np.exp(-0.5 * np.square((grid[:, None] - grid) / width))
    density = kernel @ weight / (n * width * np.sqrt(2 * np.pi))
    log = np.log(np.maximum(density, 1e-12 / width))

    def log_density(x: Values) -> Floats:
        beyond = np.maximum(np.maximum(grid[0] - x, x - grid[-1]), 0.0) / width
        return np.asarray(np.interp(x, grid, log) - 4 * beyond - 0.5 * np.square(beyond))

    return log_density
