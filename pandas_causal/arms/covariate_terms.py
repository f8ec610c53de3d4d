"""Columns, squares and products of covariates, seen through sums over rows: none is formed but those that stand out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pandas_causal.kernels.arrays import Bools, Floats, Positions

__all__ = ["LOOKED_AT", "PAIRED", "Case", "CovariateTerms"]

_CUT_OFF = 3.5  # standard deviations: no row alone is to make a statistic
_BLOCK = 16_384
LOOKED_AT, PAIRED = 50_000, 100  # rows and columns: products cost rows times columns squared


@dataclass(frozen=True, eq=False)
class CovariateTerms:
    """Columns, squares and products of covariates (n, q).

    Attributes
    ----------
    Z : ndarray (n, q)
        Standardised columns, cut off at 3.5 standard deviations.
    names : sequence of str (q,)
    at : ndarray or None
        Positions of the rows that are looked at, where these are not all.
    """

    Z: Floats
    names: Sequence[str]
    at: Positions | None = None

    @classmethod
    def of(cls, X: Floats, names: Sequence[str], most: int | None = None) -> CovariateTerms:
        """Standardise; constant columns are left out, and rows beyond the `most` that are to be looked at."""
        centre = X.mean(axis=0)
        squares = np.zeros(X.shape[1])
        for start in range(0, len(X), _BLOCK):
            squares += np.square(X[start : start + _BLOCK] - centre).sum(axis=0)
        scale = np.sqrt(squares / max(len(X), 1))
        used = np.flatnonzero(scale > 1e-12 * (1 + np.abs(centre)))
        at = None if most is None or len(X) <= most else _some(len(X), most)
        Z = np.clip(((X if at is None else X[at])[:, used] - centre[used]) / scale[used], -_CUT_OFF, _CUT_OFF)
        return cls(Z, [names[int(j)] for j in used], at)

    def statistics(self, values: Floats, target: Floats) -> tuple[Floats, Floats]:
        """T statistics ``sum v f / sqrt(sum v^2 f^2)`` of columns (q,) and products (q, q), f centred.

        Parameters
        ----------
        values : ndarray (n,)
            v: weighted residuals, or what weights put on a row less what it should have.
        target : ndarray (n,)
            Weights, of sum 1, of the mean that f is centred by.
        """
        Z, squares = self.Z, np.square(values)
        mean = target @ Z
        centred = Z - mean
        linear = _ratio(values @ centred, squares @ np.square(centred))
        means = (Z.T * target) @ Z
        sums = (Z.T * values) @ Z - means * values.sum()
        square_Z = np.square(Z)
        spread = (
            (square_Z.T * squares) @ square_Z - 2 * means * ((Z.T * squares) @ Z) + np.square(means) * squares.sum()
        )
        return linear, _ratio(sums, spread)

    def likeliest(self, cases: Sequence[Case], most: int) -> CovariateTerms:
        """The columns that, or whose squares, have the largest t statistics in any case."""
        largest = np.zeros(self.Z.shape[1])
        second = np.square(self.Z)
        for f, squared in ((self.Z, second), (second, np.square(second))):
            for case in cases:
                mean, squares = case.target @ f / case.target.sum(), np.square(case.values)
                spread = squares @ squared - 2 * mean * (squares @ f) + np.square(mean) * squares.sum()
                largest = np.maximum(largest, np.abs(_ratio(case.values @ f - case.values.sum() * mean, spread)))
        at = np.sort(np.argsort(-largest, kind="stable")[:most])
        return CovariateTerms(self.Z[:, at], [self.names[int(j)] for j in at], self.at)

    def by_cluster(self, j: int, k: int | None, values: Floats, target: Floats, labels: Positions) -> float:
        """The t statistic of one term from sums by cluster, labels (n,) counting from 0."""
        f = self.Z[:, j] if k is None else self.Z[:, j] * self.Z[:, k]
        sums = np.bincount(labels, values * (f - target @ f))
        G, spread = len(sums), float(np.square(sums).sum())
        return float(sums.sum() / np.sqrt(spread * G / (G - 1))) if G > 1 and spread > 0 else 0.0

    def column(self, j: int, k: int) -> Floats:
        """A product (n,), or a square."""
        return self.Z[:, j] * self.Z[:, k]

    def farthest(self, first: Bools, second: Bools, w: Floats, most: int) -> list[tuple[int, int]]:
        """The squares and products whose means under weights (n,) lie farthest apart between two sets of rows.

        Apart in standard deviations of the unweighted rows. Not counted is what says nothing beyond columns: the square
        of a column of two values, and the product of two columns of 0 and 1 that are never 1 together.
        """
        at = np.flatnonzero(first | second)
        if len(at) > LOOKED_AT:
            at = at[_some(len(at), LOOKED_AT)]
        Z = self.Z[at]
        columns = np.arange(Z.shape[1])
        if len(columns) > PAIRED:
            apart = np.maximum(*(np.abs(_gaps(f, first[at], second[at], w[at])) for f in (Z, np.square(Z))))
            columns = np.sort(np.argsort(-apart, kind="stable")[:PAIRED])
            Z = Z[:, columns]
        sums, spread = np.zeros((2, len(columns), len(columns)))
        for own, sign in ((first[at], 1.0), (second[at], -1.0)):
            share = w[at][own] / w[at][own].sum()
            half = Z[own]
            sums = sums + sign * (half.T * share) @ half
            mean = half.T @ half / len(half)
            spread = spread + (np.square(half).T @ np.square(half)) / len(half) - np.square(mean)
        apart = np.abs(_ratio(sums, spread / 2))
        lowest = Z.min(axis=0)
        two = ((lowest == Z) | (Z.max(axis=0) == Z)).all(axis=0)
        up = (lowest != Z).astype(float)
        apart[(up.T @ up == 0) & np.outer(two, two)] = 0.0
        apart[two, two] = 0.0
        upper = np.triu_indices(len(columns))
        order = np.argsort(-apart[upper], kind="stable")[:most]
        return [(int(columns[upper[0][i]]), int(columns[upper[1][i]])) for i in order if apart[upper][i] > 0]

    def name(self, j: int, k: int | None) -> str:
        """A term in words: a column, its square, or a product."""
        if k is None:
            return str(self.names[j])
        return f"{self.names[j]}²" if j == k else f"{self.names[j]} x {self.names[k]}"


def _ratio(sums: Floats, squares: Floats) -> Floats:
    """Sums over the roots of sums of squares; 0 where a term does not vary but for rounding."""
    # the square of a 0/1 column is the column again, and its product with another level of one category is constant
    least = 1e-9 * squares.max(initial=0.0)
    return np.divide(sums, np.sqrt(np.maximum(squares, 0.0)), out=np.zeros_like(sums), where=squares > least)


class Case(NamedTuple):
    """What one arm's model should leave no trace of: values (n,) that sum to 0 against every term, and a target.

    `values` are weighted residuals, or weights less the target's; `target` (n,) are weights of the mean that terms are
    centred by.
    """

    arm: str
    values: Floats
    target: Floats


def _some(n: int, most: int) -> Positions:
    """Positions of some rows, in order."""
    return np.sort(np.random.default_rng(0).permutation(n)[:most])


def _gaps(f: Floats, first: Bools, second: Bools, w: Floats) -> Floats:
    """Differences of weighted means (q,) of two sets of rows, in standard deviations of all."""
    gap = w[first] @ f[first] / w[first].sum() - w[second] @ f[second] / w[second].sum()
    return np.divide(gap, f.std(axis=0), out=np.zeros_like(gap), where=f.std(axis=0) > 0)
