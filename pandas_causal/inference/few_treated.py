"""How many units stand behind a comparison: contributions of a side with one unit cannot show its noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from pandas_causal.kernels.arrays import Bools, Floats, Ints, Positions

__all__ = ["Joint", "Support", "Treated", "beside"]

_BITS = 62


class Support(Protocol):
    """Counts the independent units behind rows."""

    def behind(self, loadings: Floats) -> Floats:
        """Units behind each row, of the side that has fewer; infinite where none are counted."""
        ...

    def clustered(self, by: Sequence[Any]) -> Support:
        """Count clusters in place of units; of several ways the coarsest."""
        ...

    def compact(self) -> Support:
        """Drop what is as long as the data."""
        ...


@dataclass(frozen=True, eq=False)
class Treated:
    """Groups of treated units (cohorts), the parameters that rest on each, and the independent units they hold.

    The contributions of one treated unit are its deviations from itself, all zero: a standard error from them misses
    the unit's own noise. With few treated units it is too small, with one it does not exist.

    Attributes
    ----------
    source : ndarray (k,)
        Group behind each parameter, -1 for none, -2 for all of them.
    patterns : ndarray (p, groups) of bool
        Kinds of independent units (units or clusters), by the groups that they have treated members in.
    counts : ndarray (p,)
        Independent units of each kind.
    groups : ndarray (n,) or None
        Group of every row of the contributions, -1 for the untreated; None after ``compact()``.
    most, controls : ndarray (k,) or None
        Treated units and comparison units that each parameter itself was computed from. A row of several parameters
        rests on at most the sum of the former; the latter may be the same units throughout.
    untreated_only : bool
        Whether comparison units are of no group; otherwise they may be of any other.
    """

    source: Positions
    patterns: Bools
    counts: Positions
    groups: Positions | None = None
    most: Ints | None = None
    controls: Ints | None = None
    untreated_only: bool = False

    @classmethod
    def of(
        cls,
        source: Positions,
        groups: Positions,
        most: Ints | None = None,
        controls: Ints | None = None,
        *,
        untreated_only: bool = False,
    ) -> Treated:
        """Count the treated rows of every group."""
        n_groups = int(max(source.max(initial=-1), groups.max(initial=-1))) + 1
        counts = np.bincount(groups[groups >= 0], minlength=n_groups)
        return cls(source, np.eye(n_groups, dtype=bool), counts, groups, most, controls, untreated_only)

    def clustered(self, by: Sequence[Any]) -> Treated:
        """Count clusters in place of units; of several ways the coarsest."""
        return min((self._one_way(labels) for labels in by), key=lambda t: int(t.counts.sum()))

    def _one_way(self, labels: Any) -> Treated:
        if self.groups is None:
            return self
        codes = np.asarray(pd.factorize(pd.Series(labels, copy=False))[0])
        n_groups = self.patterns.shape[1]
        present = np.zeros((int(codes.max(initial=-1)) + 1, n_groups + 1), dtype=bool)
        present[codes, self.groups] = True  # the untreated in the last column
        controls = None if self.controls is None else np.minimum(self.controls, self._control_clusters(present))
        treated = present[:, :-1]
        if n_groups <= _BITS:
            key = treated @ (1 << np.arange(n_groups, dtype=np.int64))
            _, first, counts = np.unique(key, return_index=True, return_counts=True)
            return replace(self, patterns=treated[first], counts=counts, controls=controls)
        patterns, counts = np.unique(treated, axis=0, return_counts=True)
        return replace(self, patterns=patterns, counts=counts, controls=controls)

    def _control_clusters(self, present: Bools) -> Ints:
        """Most clusters that the comparison units of each parameter can lie in."""
        if self.untreated_only:
            return np.full(len(self.source), int(present[:, -1].sum()))
        others = [int(np.delete(present, s, axis=1).any(axis=1).sum()) for s in range(present.shape[1])]
        return np.where(self.source == -2, int(present[:, -1].sum()), np.array(others)[self.source])

    def behind(self, loadings: Floats) -> Floats:
        """Independent units behind each row reported, of the side that has fewer; infinite where it rests on none."""
        n = len(loadings)
        rests = np.zeros((n, self.patterns.shape[1]), dtype=bool)
        row, parameter = np.nonzero(loadings)
        of = self.source[parameter]
        rests[row[of >= 0], of[of >= 0]] = True
        rests[row[of == -2]] = True
        counts = (rests.astype(float) @ self.patterns.T.astype(float) > 0) @ self.counts
        row, parameter = row[of != -1], parameter[of != -1]
        if self.most is not None:
            counts = np.minimum(counts, np.bincount(row, self.most[parameter], minlength=n).astype(np.int64))
        if self.controls is not None:
            largest = np.zeros(n, dtype=np.int64)
            np.maximum.at(largest, row, self.controls[parameter])
            counts = np.minimum(counts, largest)
        return np.where(rests.any(axis=1), counts, np.inf)

    def compact(self) -> Treated:
        """Drop what is as long as the data."""
        return replace(self, groups=None)


@dataclass(frozen=True, eq=False)
class Joint:
    """Units behind the parameters of two fits side by side: a row rests on the fewer.

    Attributes
    ----------
    left, right : Support or None
    k : int
        Parameters of the left one.
    """

    left: Support | None
    right: Support | None
    k: int

    def behind(self, loadings: Floats) -> Floats:
        """Units behind each row, of the fit that has fewer."""
        out = np.full(len(loadings), np.inf)
        for support, part in ((self.left, loadings[:, : self.k]), (self.right, loadings[:, self.k :])):
            if support is not None:
                out = np.minimum(out, support.behind(part))
        return out

    def clustered(self, by: Sequence[Any]) -> Joint:
        """Keep the counts of units: rows of the two fits are not those that the labels name."""
        return self

    def compact(self) -> Joint:
        """Drop what is as long as the data."""
        left, right = (None if s is None else s.compact() for s in (self.left, self.right))
        return replace(self, left=left, right=right)


def beside(left: Support | None, right: Support | None, k: int) -> Support | None:
    """Support of two fits side by side, None where neither counts."""
    return None if left is None and right is None else Joint(left, right, k)
