"""What a row of contributions stands for, and when the rows of two fits are the same units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.kernels.arrays import Floats, Positions

__all__ = ["Joined", "RowIdentity", "join_rows"]


@dataclass(frozen=True, eq=False)
class RowIdentity:
    """Identity of the rows of one input.

    Attributes
    ----------
    labels : Index (n,)
        Labels of the rows; the name says what a row is (None: a row of the frame).
    content : ndarray (n,) or None
        The outcome (or, without one, anything computed row by row from the input): with the labels it tells whether
        two fits saw the same rows.
    parent, positions : RowIdentity and ndarray (n,), or None
        For some rows of another input: which.
    """

    labels: pd.Index
    content: Floats | None = None
    parent: RowIdentity | None = None
    positions: Positions | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: Positions) -> RowIdentity:
        """Some of these rows, which remember where they come from."""
        content = None if self.content is None else self.content[positions]
        origin, at = (self, positions) if self.parent is None else (self.parent, self._at[positions])
        return RowIdentity(self.labels[positions], content, origin, at)

    @property
    def _at(self) -> Positions:
        return np.arange(len(self)) if self.positions is None else self.positions

    def positions_in(self, rows: RowIdentity) -> Positions | None:
        """Positions of these rows in others, None where they are not all there or labels cannot tell."""
        if self.parent is not None and self.parent.same_order(rows):
            return self._at
        if self.same_order(rows):
            return np.arange(len(self))
        if self.is_default or rows.is_default or not (self.labels.is_unique and rows.labels.is_unique):
            return None
        positions = rows.labels.get_indexer(self.labels)
        return np.asarray(positions) if (positions >= 0).all() else None

    @property
    def is_default(self) -> bool:
        """Whether the labels are pandas' own 0..n-1, which say nothing about identity."""
        labels = self.labels
        return isinstance(labels, pd.RangeIndex) and labels.start == 0 and labels.step == 1 and labels.name is None

    @cached_property
    def row_hashes(self) -> NDArray[np.uint64]:
        """Hash of label and content, row by row."""
        content = np.zeros(len(self.labels)) if self.content is None else self.content
        hashed = pd.util.hash_pandas_object(pd.Series(content, index=self.labels), index=True)
        return np.asarray(hashed, dtype=np.uint64)

    def same_order(self, other: RowIdentity) -> bool:
        """Whether both inputs hold the same rows in the same order."""
        if self is other:
            return True
        return len(self) == len(other) and bool(np.array_equal(self.row_hashes, other.row_hashes))

    def same_set(self, other: RowIdentity) -> bool:
        """Whether both inputs hold the same rows in any order."""
        if self is other:
            return True
        return len(self) == len(other) and bool(np.array_equal(np.sort(self.row_hashes), np.sort(other.row_hashes)))


class Joined(NamedTuple):
    """Positions of the rows of two fits in their common list of rows."""

    rows: RowIdentity
    left: Positions | None
    right: Positions | None


def join_rows(left: RowIdentity, right: RowIdentity, how: str | None = None) -> Joined:
    """Place the rows of two fits in one list.

    Parameters
    ----------
    left, right : RowIdentity
        The rows of each fit.
    how : {"labels", "independent"} or None
        How rows of *different* inputs relate; needed where labels cannot say it.

    Returns
    -------
    Joined
        ``left`` and ``right`` are None where both are already in the common order.

    Raises
    ------
    CausalArgumentError
        If `how` is unknown, needed, or contradicts the data.
    CausalDataError
        If labels repeat, so that rows cannot be matched.
    """
    if how not in (None, "labels", "independent"):
        raise CausalArgumentError(f"rows={how!r} is not known; use rows='labels' or rows='independent'")
    if left.labels.name != right.labels.name:
        raise CausalDataError(
            f"a row of one effect is {left.labels.name or 'a row of the frame'!r}, of the other "
            f"{right.labels.name or 'a row of the frame'!r}; bring both to the coarser one with collapse(unit)"
        )
    same = left.same_order(right)
    if (same or left.same_set(right)) and how == "independent":
        raise CausalArgumentError("rows='independent' was given, but both effects come from the same rows")
    if same:
        return Joined(left, None, None)
    if how == "independent":
        n, m = len(left), len(right)
        stacked = pd.RangeIndex(n + m).rename("independent rows")
        return Joined(RowIdentity(stacked), np.arange(n), np.arange(n, n + m))
    if not left.same_set(right) and how is None and (left.is_default or right.is_default):
        raise CausalArgumentError(
            "the two effects come from different data and a default index says nothing about which rows are the same "
            "units; pass rows='labels' if equal labels are the same unit, or rows='independent' if none is shared"
        )
    if left.same_set(right) and len(np.unique(left.row_hashes)) == len(left):
        at = np.empty(len(right), dtype=np.intp)
        at[np.argsort(right.row_hashes)] = np.argsort(left.row_hashes)
        return Joined(left, np.arange(len(left)), at)
    if not (left.labels.is_unique and right.labels.is_unique):
        raise CausalDataError(
            "the two effects come from different rows and their labels repeat, so rows cannot be matched; sum the "
            "contributions to a coarser unit first: effect.collapse(unit)"
        )
    union = left.labels.union(right.labels, sort=False)
    return Joined(RowIdentity(union), union.get_indexer(left.labels), union.get_indexer(right.labels))
