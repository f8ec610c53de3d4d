"""Who is matched to whom: rows in cells, and links from cells of targets to cells of donors.

Rows that a distance cannot tell apart share a cell, so that a million rows with a handful of different values stay
small. Matching with and without replacement, full matching and strata are all the same object.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Bools, Floats, Positions

__all__ = ["Matches", "Pairs", "links_of_pairs", "links_of_strata"]

_MOST_PAIRS = 50_000_000


@dataclass(frozen=True, eq=False)
class Pairs:
    """Matches one by one.

    Attributes
    ----------
    left, right : ndarray (m,)
        Rows: the target and a donor that it is matched to.
    weight : ndarray (m,)
        The donor's share in the mean that stands for the target.
    distance : ndarray (m,)
    """

    left: Positions
    right: Positions
    weight: Floats
    distance: Floats


@dataclass(frozen=True, eq=False)
class Matches:
    """Targets, donors, and which donors stand for which target.

    Attributes
    ----------
    left : ndarray (l,)
        Rows that need the outcome under another arm.
    left_cell : ndarray (l,)
    right : ndarray (r,)
        Rows of that arm.
    right_cell : ndarray (r,)
    starts : ndarray (cells of targets + 1,)
        Where the links of each cell begin.
    cells : ndarray (links,)
        Cells of donors.
    distance : ndarray (links,)
    unit : ndarray (r,)
        Sample weight of the donors: those of one target share by it.
    subclass : ndarray (l,) or None
        Where a target and its donors are a set of their own: its number.
    right_subclass : ndarray (r,) or None
        -1 for donors of no set.
    """

    left: Positions
    left_cell: Positions
    right: Positions
    right_cell: Positions
    starts: Positions
    cells: Positions
    distance: Floats
    unit: Floats
    subclass: Positions | None = None
    right_subclass: Positions | None = None

    @property
    def matched(self) -> Bools:
        """Whether every target has a donor (l,)."""
        return np.asarray(np.diff(self.starts)[self.left_cell] > 0)

    def take(self, keep: Bools) -> Matches:
        """Keep some of the targets."""
        if keep.all():
            return self
        subclass = None if self.subclass is None else self.subclass[keep]
        return replace(self, left=self.left[keep], left_cell=self.left_cell[keep], subclass=subclass)

    @property
    def _owner(self) -> Positions:
        """Cell of targets of every link."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def _by_cell(self, values: Floats) -> Floats:
        return np.asarray(np.bincount(self.right_cell, weights=values, minlength=1), dtype=float)

    def _totals(self, by_cell: Floats) -> Floats:
        """Sum over the linked cells (cells of targets,)."""
        n = len(self.starts) - 1
        return np.asarray(np.bincount(self._owner, weights=by_cell[self.cells], minlength=n), dtype=float)

    def counts(self) -> Floats:
        """Donors of every target (l,)."""
        return self._totals(self._by_cell(np.ones(len(self.right))))[self.left_cell]

    def impute(self, values: Floats) -> Floats:
        """Mean of `values` (r,) over the donors of every target (l,); NaN where there is none."""
        total, weight = self._totals(self._by_cell(self.unit * values)), self._totals(self._by_cell(self.unit))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((total / weight)[self.left_cell])

    def received(self, v: Floats) -> tuple[Floats, Floats]:
        """How often every donor is used (r,): ``K = sum v_i w_ij`` and ``K' = sum v_i^2 w_ij^2``.

        Parameters
        ----------
        v : ndarray (l,)
            Weight of every target.

        References
        ----------
        Abadie and Imbens (2006), Econometrica, section 2: how often a unit is used as a match; here with ties.
        """
        weight = self._totals(self._by_cell(self.unit))
        owner, n_cells = self._owner, int(self.right_cell.max(initial=0)) + 1
        out = []
        for power in (1, 2):
            mass = np.bincount(self.left_cell, weights=v**power, minlength=len(weight))
            share = np.divide(mass, weight**power, out=np.zeros_like(mass), where=weight > 0)
            by_cell = np.bincount(self.cells, weights=share[owner], minlength=n_cells)
            out.append(self.unit**power * by_cell[self.right_cell])
        return out[0], out[1]

    def pairs(self) -> Pairs:
        """Matches one by one.

        Raises
        ------
        CausalDataError
            Where ties make more than 50,000,000 of them.
        """
        order = np.argsort(self.right_cell, kind="stable")
        sizes = np.bincount(self.right_cell, minlength=1)
        first = np.concatenate([[0], np.cumsum(sizes)])
        n_links = np.diff(self.starts)[self.left_cell]
        at = _ranges(self.starts[self.left_cell], n_links)
        left = np.repeat(np.arange(len(self.left)), n_links)
        cells, distance = self.cells[at], self.distance[at]
        if int(sizes[cells].sum()) > _MOST_PAIRS:
            raise CausalDataError(
                f"ties make {int(sizes[cells].sum()):,} pairs, too many to list; weights_ holds what they amount to"
            )
        right = order[_ranges(first[cells], sizes[cells])]
        left, distance = np.repeat(left, sizes[cells]), np.repeat(distance, sizes[cells])
        total = np.bincount(left, weights=self.unit[right], minlength=len(self.left))
        by_rows = np.lexsort((self.right[right], left))
        left, right, distance = left[by_rows], right[by_rows], distance[by_rows]
        return Pairs(self.left[left], self.right[right], self.unit[right] / total[left], distance)


def _ranges(starts: Positions, lengths: Positions) -> Positions:
    """``start, start + 1, ...`` of every range, one after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - ends + lengths, lengths)


def links_of_pairs(
    left: Positions, right: Positions, donors: Positions, distances: Floats, unit: Floats, sets: bool = True
) -> Matches:
    """Links of targets to donors that serve one target each.

    Parameters
    ----------
    left : ndarray (l,)
        Rows of the targets.
    right : ndarray (r,)
        Rows of the donors.
    donors : ndarray (l, k)
        Positions in `right`; -1 for none, after those there are.
    distances : ndarray (l, k)
    unit : ndarray (r,)
    """
    used = donors >= 0
    starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    subclass = right_subclass = None
    if sets:
        subclass = np.where(used.any(axis=1), np.arange(len(left)), -1)
        right_subclass = np.full(len(right), -1)
        right_subclass[donors[used]] = np.repeat(np.arange(len(left)), used.sum(axis=1))
    return Matches(
        left, np.arange(len(left)), right, np.arange(len(right)), starts, donors[used], distances[used], unit,
        subclass, right_subclass,
    )  # fmt: skip


def links_of_strata(
    left: Positions, right: Positions, left_stratum: Positions, right_stratum: Positions, unit: Floats
) -> Matches:
    """Links of every target to all donors of its stratum (-1: in no stratum)."""
    n = int(max(left_stratum.max(initial=-1), right_stratum.max(initial=-1))) + 1
    inside = right_stratum >= 0
    right, right_stratum, unit = right[inside], right_stratum[inside], unit[inside]
    there = np.append(np.bincount(right_stratum, weights=unit, minlength=n) > 0, False)  # the last: of no stratum
    starts = np.concatenate([[0], np.cumsum(there)])
    stratum = np.where(left_stratum < 0, n, left_stratum)
    subclass = np.where(there[stratum], stratum, -1)
    present = np.zeros(n + 1, dtype=bool)
    present[stratum] = True
    return Matches(
        left, stratum, right, right_stratum, starts, np.flatnonzero(there), np.full(int(there.sum()), np.nan), unit,
        subclass, np.where(present[right_stratum], right_stratum, -1),
    )  # fmt: skip
