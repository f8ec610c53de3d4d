"""How many units stand behind a comparison: an influence function knows nothing of a single one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Treated"]

_BITS = 62


@dataclass(frozen=True, eq=False)
class Treated:
    """Groups of treated units (cohorts), the parameters that rest on each, and the independent units they hold.

    The contributions of one treated unit are its deviations from itself, all zero: a standard error from them misses
    the unit's own noise. With few treated units it is too small, with one it does not exist.

    Attributes
    ----------
    source : ndarray (k,)
        Group behind each parameter, -1 for none.
    patterns : ndarray (p, groups) of bool
        Kinds of independent units (units or clusters), by the groups that they have treated members in.
    counts : ndarray (p,)
        Independent units of each kind.
    groups : ndarray (n,) or None
        Group of every row of the contributions, -1 for the untreated; None after ``compact()``.
    most, controls : ndarray (k,) or None
        Treated units and comparison units that each parameter itself was computed from. A row of several parameters
        rests on at most the sum of the former; the latter may be the same units throughout.
    """

    source: NDArray[np.intp]
    patterns: NDArray[np.bool_]
    counts: NDArray[np.intp]
    groups: NDArray[np.intp] | None = None
    most: NDArray[np.int64] | None = None
    controls: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        source: NDArray[np.intp],
        groups: NDArray[np.intp],
        most: NDArray[np.int64] | None = None,
        controls: NDArray[np.int64] | None = None,
    ) -> Treated:
        """Count the treated rows of every group."""
        n_groups = int(max(source.max(initial=-1), groups.max(initial=-1))) + 1
        counts = np.bincount(groups[groups >= 0], minlength=n_groups)
        return cls(source, np.eye(n_groups, dtype=bool), counts, groups, most, controls)

    def clustered(self, labels: Any) -> Treated:
        """Count clusters in place of rows."""
        if self.groups is None:
            return self
        codes = np.asarray(pd.factorize(pd.Series(labels, copy=False))[0])
        treated = self.groups >= 0
        n_groups = self.patterns.shape[1]
        present = np.zeros((int(codes.max(initial=-1)) + 1, n_groups), dtype=bool)
        present[codes[treated], self.groups[treated]] = True
        if n_groups <= _BITS:
            key = present @ (1 << np.arange(n_groups, dtype=np.int64))
            _, first, counts = np.unique(key, return_index=True, return_counts=True)
            return replace(self, patterns=present[first], counts=counts)
        patterns, counts = np.unique(present, axis=0, return_counts=True)
        return replace(self, patterns=patterns, counts=counts)

    def behind(self, loadings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Independent units behind each row reported, of the side that has fewer; infinite where it rests on none."""
        rests = np.zeros((len(loadings), self.patterns.shape[1]), dtype=bool)
        for j in np.flatnonzero(self.source >= 0):
            rests[:, self.source[j]] |= loadings[:, j] != 0
        found = (rests.astype(np.int64) @ self.patterns.T.astype(np.int64) > 0) @ self.counts
        used = (loadings != 0) & (self.source >= 0)
        if self.most is not None:
            found = np.minimum(found, used @ self.most)
        if self.controls is not None:
            found = np.minimum(found, (used * self.controls).max(axis=1, initial=0))
        return np.where(rests.any(axis=1), found, np.inf)

    def compact(self) -> Treated:
        """Drop what is as long as the data."""
        return replace(self, groups=None)
