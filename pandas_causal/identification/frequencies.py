"""The value of a formula at the frequencies of a frame: arrays with named axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pandas_causal.errors import CausalDataError
from pandas_causal.identification.formula import Conditional, Expression, Product, Ratio, Sum, factors, postorder
from pandas_causal.kernels.arrays import Floats, Positions

__all__ = ["Frequencies", "Table", "evaluate_formula", "multiply", "total"]

_MOST_CELLS = 20_000_000


@dataclass(frozen=True)
class Table:
    """Numbers by the levels of some variables; NaN where the frame has no such rows; 0 times NaN is 0."""

    axes: tuple[int, ...]
    values: Floats


class Frequencies:
    """Weighted counts of a frame's rows by the levels of any columns.

    Parameters
    ----------
    codes : mapping from variable to array of int
        The level of every row.
    sizes : mapping from variable to int
        How many levels there are.
    weights : ndarray
        One per row.
    names : sequence
        Names of the variables, for errors.
    """

    def __init__(
        self,
        codes: Mapping[int, Positions],
        sizes: Mapping[int, int],
        weights: Floats,
        names: Sequence[Any],
    ) -> None:
        self.codes, self.sizes, self.weights, self.names = codes, sizes, weights, names

    def room(self, axes: Iterable[int]) -> tuple[int, ...]:
        """Return the shape of a table, or refuse one that is too large."""
        shape = tuple(self.sizes[v] for v in axes)
        cells = 1
        for size in shape:
            cells *= size
        if cells > _MOST_CELLS:
            listed = ", ".join(f"{self.names[v]} ({self.sizes[v]:,} values)" for v in axes)
            raise CausalDataError(
                f"the functional needs a table of {cells:,} cells, by {listed}; at most {_MOST_CELLS:,} are held. It is"
                " for discrete columns: bin those with many values first"
            )
        return shape

    def joint(self, axes: tuple[int, ...]) -> Table:
        """Return the shares of rows by the levels of `axes`."""
        shape = self.room(axes)
        if not axes:
            return Table((), np.array(1.0))
        cell = np.ravel_multi_index([self.codes[v] for v in axes], shape)
        counts = np.bincount(cell, weights=self.weights, minlength=int(np.prod(shape)))
        return Table(axes, (counts / self.weights.sum()).reshape(shape))

    def conditional(self, left: int, given: tuple[int, ...]) -> Table:
        """Return P(left | given); NaN for values of `given` that no row has."""
        both = self.joint((*given, left)).values
        below = both.sum(axis=-1, keepdims=True)
        with np.errstate(invalid="ignore"):
            return Table((*given, left), np.where(below > 0, both / below, np.nan))


def multiply(one: Table, other: Table, frequencies: Frequencies) -> Table:
    """Multiply two tables; 0 times what is not known is 0."""
    axes = (*one.axes, *(v for v in other.axes if v not in one.axes))
    frequencies.room(axes)
    a, b = _spread(one, axes), _spread(other, axes)
    values = a * b
    if np.isnan(values).any():
        values = np.where((a == 0) | (b == 0), 0.0, values)
    return Table(axes, values)


def divide(one: Table, other: Table, frequencies: Frequencies) -> Table:
    """Divide; NaN where the divisor is 0."""
    axes = (*one.axes, *(v for v in other.axes if v not in one.axes))
    frequencies.room(axes)
    a, b = _spread(one, axes), _spread(other, axes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Table(axes, np.where(b == 0, np.nan, a / np.where(b == 0, 1.0, b)))


def total(table: Table, over: Iterable[int]) -> Table:
    """Sum a table over some of its axes."""
    gone = set(over)
    drop = tuple(k for k, v in enumerate(table.axes) if v in gone)
    return Table(tuple(v for v in table.axes if v not in gone), table.values.sum(axis=drop)) if drop else table


def evaluate_formula(root: Expression, leaves: Mapping[int, Table], frequencies: Frequencies) -> Table:
    """Return the value of a formula, given the tables of its probabilities and of its ratios that are replaced.

    A sum of products is done variable by variable, the one whose product is smallest first.
    """
    done: dict[int, Table] = dict(leaves)
    bodies = {id(n.body) for n in postorder(root) if isinstance(n, Sum)}
    for node in postorder(root):
        if id(node) in done:
            continue
        if isinstance(node, Sum):
            parts = [done[id(f)] for f in factors(node.body)]
            done[id(node)] = _eliminated(parts, set(node.over), frequencies)
        elif isinstance(node, Ratio):
            done[id(node)] = divide(done[id(node.above)], done[id(node.below)], frequencies)
        elif isinstance(node, Product) and (id(node) not in bodies or node is root):
            done[id(node)] = _eliminated([done[id(f)] for f in node.parts], set(), frequencies)
        elif isinstance(node, Conditional):
            done[id(node)] = frequencies.conditional(node.left, node.given)
    return done[id(root)]


def _eliminated(parts: list[Table], over: set[int], frequencies: Frequencies) -> Table:
    left = list(parts)
    while over:
        together = {v: set().union(*(t.axes for t in left if v in t.axes)) for v in over}
        v = min(together, key=lambda w: (_cells(together[w], frequencies), w))
        joined = _all(sorted((t for t in left if v in t.axes), key=lambda t: t.values.size), frequencies)
        left = [t for t in left if v not in t.axes] + [total(joined, [v])]
        over = over - {v}
    return _all(left, frequencies)


def _all(parts: Sequence[Table], frequencies: Frequencies) -> Table:
    result = Table((), np.array(1.0))
    for part in parts:
        result = multiply(result, part, frequencies)
    return result


def _cells(axes: Iterable[int], frequencies: Frequencies) -> float:
    return float(np.prod([float(frequencies.sizes[v]) for v in axes]))


def _spread(table: Table, axes: tuple[int, ...]) -> Floats:
    """Return a table's values with its axes in this order, of length 1 where it has none."""
    order = sorted(range(len(table.axes)), key=lambda k: axes.index(table.axes[k]))
    values = table.values.transpose(order)
    has = set(table.axes)
    shape = iter(values.shape)
    return values.reshape([next(shape) if v in has else 1 for v in axes])
