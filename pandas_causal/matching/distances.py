"""Where rows stand when they are matched: coordinates, calipers, exact strata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.kernels.arrays import Codes, Floats, Positions

__all__ = [
    "DISTANCES",
    "MatchingSpace",
    "Places",
    "coordinates",
    "distinct",
    "logit",
    "pooled_sd",
    "strata_of",
]

_COLLINEAR = 1e-10
DISTANCES = ("propensity", "mahalanobis", "robust_mahalanobis", "euclidean")


@dataclass(frozen=True, eq=False)
class MatchingSpace:
    """Coordinates of rows, and what two rows must share to be matched.

    Attributes
    ----------
    points : ndarray (n, q)
        Distances are Euclidean between them.
    group : ndarray (n,)
        Only rows of one group are matched.
    filters : ndarray (n, f)
        Coordinates that may differ by no more than `widths`.
    widths : ndarray (f,)
    along : ndarray (n,) or None
        Where the first filter is a caliper on the propensity: rows are sorted by it.
    monotone : bool
        Whether the order of `along` is that of the first coordinate of the points too.
    """

    points: Floats
    group: Positions
    filters: Floats
    widths: Floats
    along: Floats | None = None
    monotone: bool = True

    def free(self) -> MatchingSpace:
        """The same distances without calipers."""
        n = len(self.points)
        return MatchingSpace(self.points, self.group, np.empty((n, 0)), np.empty(0))

    def without_groups(self) -> MatchingSpace:
        """The same distances without calipers and strata."""
        return replace(self.free(), group=np.zeros(len(self.points), dtype=np.intp))

    def take(self, rows: Positions) -> MatchingSpace:
        """Some of the rows."""
        along = None if self.along is None else self.along[rows]
        return replace(self, points=self.points[rows], group=self.group[rows], filters=self.filters[rows], along=along)

    def places(self, rows: Positions, *, merge: bool = True) -> Places:
        """Different places of some rows, sorted by group and along the line; with `merge` off every row is a place."""
        axis = self.points[rows, :1] if self.along is None else self.along[rows, None]
        columns = [self.group[rows].astype(float)[:, None], axis, self.points[rows], self.filters[rows]]
        table = np.hstack(columns[1:] if not self.group.any() else columns)
        order, starts, cell = distinct(table)
        if not merge:
            starts = np.arange(len(rows) + 1)
            cell = np.empty(len(rows), dtype=np.intp)
            cell[order] = np.arange(len(rows))
        at = rows[order[starts[:-1]]]
        return Places(
            np.ascontiguousarray(self.points[at]), self.group[at], np.ascontiguousarray(self.filters[at]),
            self.points[at, 0] if self.along is None else self.along[at], np.diff(starts), cell, at,
        )  # fmt: skip

    def windows(self, targets: Places, donors: Places) -> tuple[Positions, Positions]:
        """Range of donors that a target may be matched to: its group, and nearer than the caliper along the line."""
        if self.along is None:
            start = np.searchsorted(donors.group, targets.group, side="left")
            return start, np.searchsorted(donors.group, targets.group, side="right")
        low = min(targets.along.min(initial=0.0), donors.along.min(initial=0.0))
        high = max(targets.along.max(initial=0.0), donors.along.max(initial=0.0))
        width = self.widths[0] + 1e-7  # the filter itself is exact
        span = (high - low) + 2 * width + 1
        line = donors.group * span + (donors.along - low)
        position = targets.group * span + (targets.along - low)
        start, stop = np.searchsorted(line, position - width), np.searchsorted(line, position + width, side="right")
        return start, np.asarray(stop)


@dataclass(frozen=True, eq=False)
class Places:
    """Different places of rows, sorted.

    Attributes
    ----------
    points, group, filters, along : ndarray (places, ...)
    rows : ndarray (places,)
        How many rows stand there.
    cell : ndarray (rows,)
        Place of every row.
    example : ndarray (places,)
        A row that stands there.
    """

    points: Floats
    group: Positions
    filters: Floats
    along: Floats
    rows: Positions
    cell: Positions
    example: Positions

    def __len__(self) -> int:
        return len(self.points)


def distinct(table: Floats) -> tuple[Positions, Positions, Positions]:
    """Sort rows by their columns: order (n,), starts of the different rows (d + 1,), place of every row."""
    n = len(table)
    order = np.argsort(table[:, 0], kind="stable") if table.shape[1] == 1 else np.lexsort(table.T[::-1])
    change = np.zeros(n, dtype=bool)
    for column in table.T:
        ordered = column[order]
        change[1:] |= ordered[1:] != ordered[:-1]
    if n:
        change[0] = True
    starts = np.append(np.flatnonzero(change), n)
    cell = np.empty(n, dtype=np.intp)
    cell[order] = np.cumsum(change) - 1
    return order, starts, cell


def coordinates(distance: str, X: Floats, codes: Codes, w: Floats | None = None) -> Floats:
    """Coordinates (n, r) whose Euclidean distance is the distance asked for.

    Mahalanobis distances use the covariance pooled within the arms; a covariate that those before it explain adds
    nothing. The robust form replaces values by their ranks and gives every rank the variance of ranks without ties, so
    that neither outliers nor rare values of a 0/1 covariate weigh too much. Euclidean distances count in pooled
    standard deviations, so that units never matter.

    Parameters
    ----------
    distance : {"mahalanobis", "robust_mahalanobis", "euclidean"}
    X : ndarray (n, q)
    codes : ndarray (n,)
        Arms.
    w : ndarray (n,), optional
        How much every row counts in means, covariances and ranks.

    References
    ----------
    Rubin (1980), Biometrics; Rosenbaum (2010), Design of Observational Studies, section 8.3, for ranks.
    """
    if not X.shape[1]:
        return np.zeros((len(X), 1))
    w = np.ones(len(X)) if w is None else w
    sd = pooled_sd(X, codes, w)
    scaled = (X - np.average(X, axis=0, weights=w)) / np.where(sd > 0, sd, 1.0)
    if distance == "euclidean":
        return scaled
    if distance == "robust_mahalanobis":
        ranks = np.column_stack([_ranks(x, w) for x in X.T])
        n = w.sum()
        centred = ranks - np.average(ranks, axis=0, weights=w)
        covariance = (centred.T * w) @ centred / max(n - 1, 1)
        spread = np.sqrt(np.diag(covariance))
        correlation = covariance / np.outer(spread, spread)
        return _whitened(centred / np.sqrt(n * (n + 1) / 12), correlation)
    covariance = np.zeros((X.shape[1], X.shape[1]))
    for a in np.unique(codes):
        inside, mass = scaled[codes == a], w[codes == a]
        deviation = inside - np.average(inside, axis=0, weights=mass)
        covariance += (deviation.T * mass) @ deviation
    return _whitened(scaled, covariance / max(w.sum() - len(np.unique(codes)), 1))


def _ranks(x: Floats, w: Floats) -> Floats:
    """Ranks from 1/2 on, by the mass below and half of that of the ties: with weights of 1, average ranks less 1/2."""
    _, cell = np.unique(x, return_inverse=True)
    mass = np.bincount(cell, weights=w)
    return np.asarray((np.cumsum(mass) - mass / 2)[cell])


def _whitened(Z: Floats, covariance: Floats) -> Floats:
    """Z times a root of the generalised inverse of a covariance, in which no column comes first.

    Directions of the correlation with a share of variance under 1e-10 are collinearity and count nothing.
    """
    spread = np.sqrt(np.diag(covariance))
    spread = np.where(spread > 0, spread, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(spread, spread))
    used = values > _COLLINEAR * len(values)
    return np.ascontiguousarray((Z / spread) @ (vectors[:, used] / np.sqrt(values[used])))


def pooled_sd(X: Floats, codes: Codes, w: Floats | None = None) -> Floats:
    """Square root of the mean of the arms' variances (q,), as standardised differences use.

    With weights of shares p every variance is divided by ``1 - sum p^2``, which is (n - 1) / n where they are equal.

    References
    ----------
    Austin (2011), "Optimal caliper widths for propensity-score matching", Pharmaceutical Statistics, section 2.
    """
    w = np.ones(len(X)) if w is None else w
    parts = []
    for a in np.unique(codes):
        values, share = X[codes == a], w[codes == a] / w[codes == a].sum()
        freedom = 1 - np.square(share).sum()
        squares = share @ np.square(values - share @ values)
        parts.append(squares / freedom if freedom > 1e-12 else np.zeros(X.shape[1:]))
    return np.asarray(np.sqrt(np.mean(parts, axis=0)))


def logit(p: Floats) -> Floats:
    """Log odds, bounded where a probability is 0 or 1 to rounding."""
    p = np.clip(p, 1e-300, 1 - 1e-16)
    return np.asarray(np.log(p) - np.log1p(-p))


def strata_of(columns: Sequence[Any], n: int) -> Positions:
    """Code each of n rows by its combination of values in these columns, in sorted order; missing counts as a value."""
    if not columns:
        return np.zeros(n, dtype=np.intp)
    codes = np.column_stack([_value_codes(pd.Series(column)) for column in columns]).astype(float)
    return distinct(codes)[2]


def _value_codes(x: pd.Series[Any]) -> Positions:
    """Codes of values in sorted order, whatever the dtype; -1 where missing."""
    values = x.astype(object)
    codes, uniques = pd.factorize(values, sort=False)
    try:
        order = sorted(range(len(uniques)), key=lambda i: uniques[i])
    except TypeError:
        order = sorted(range(len(uniques)), key=lambda i: str(uniques[i]))
    rank = np.empty(len(uniques) + 1, dtype=np.intp)
    rank[order] = np.arange(len(uniques))
    rank[-1] = -1
    return rank[codes]
