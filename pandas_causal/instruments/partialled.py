"""Treatments, instruments and outcome less covariates and absorbed effects, by one Gram matrix, block by block.

Everything that a k-class estimator, its errors and its tests need of the rows is a sum over them: the moments here.
What is as long as the data is read in blocks and never kept, but for columns that effects were absorbed from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalDataError, NotIdentifiedError, Problem
from pandas_causal.kernels.arrays import Codes, Floats, Positions
from pandas_causal.models.fixed_effects import Absorber
from pandas_causal.models.linear import independent_columns

__all__ = ["Columns", "Partialled", "PartialledRows", "partial_out"]

_BLOCK = 16_384
_NOTHING = 1e-10  # of a column's variance: what rounding leaves of one that others explain


class Columns(NamedTuple):
    """Columns of one fit as they were given."""

    X: Floats
    D: Floats
    Z: Floats
    y: Floats
    w: Floats | None


class PartialledRows(NamedTuple):
    """Some rows: treatments (m, d), instruments (m, q) and outcome (m,) less what explains them, and weights."""

    at: slice
    D: Floats
    Z: Floats
    y: Floats
    w: Floats | None
    X: Floats  # standardised covariates (m, p), without the constant


@dataclass(frozen=True, eq=False)
class Partialled:
    """Rows less their covariates, and the moments of what is left.

    Treatments and outcome are in units of their standard deviations, `scale_d` and `scale_y`.

    Attributes
    ----------
    parts : tuple of ndarray (n, .)
        Covariates, treatments, instruments, outcome; less absorbed effects where there are some.
    centre, scale : tuple of ndarray
        Of each part.
    X_at, Z_at : ndarray of int
        Covariates and instruments that those before them do not explain.
    B : ndarray (p, d + q + 1)
        Coefficients of treatments, instruments and outcome on covariates.
    gram_x : ndarray (p, p)
    S : ndarray (d + q + 1, d + q + 1)
        Moments of treatments, instruments and outcome less the covariates.
    w : ndarray (n,) or None
    scale_d : ndarray (d,)
        Units of the treatments.
    scale_z : ndarray (q,)
        Units of the instruments kept.
    scale_y : float
        Unit of the outcome.
    n_absorbed : int
        Parameters of the absorbed effects, the constant among them; 1 where none are.
    """

    parts: tuple[Floats, Floats, Floats, Floats]
    centre: tuple[Floats, Floats, Floats, Floats]
    scale: tuple[Floats, Floats, Floats, Floats]
    X_at: Positions
    Z_at: Positions
    B: Floats
    gram_x: Floats
    S: Floats
    w: Floats | None
    scale_d: Floats
    scale_z: Floats
    scale_y: float
    n_absorbed: int = 1

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.parts[0])

    @property
    def d(self) -> int:
        """Treatments."""
        return self.parts[1].shape[1]

    @property
    def q(self) -> int:
        """Instruments kept."""
        return len(self.Z_at)

    @property
    def p(self) -> int:
        """Coefficients of covariates, the constant or the absorbed effects among them."""
        return len(self.X_at) + self.n_absorbed

    @property
    def df(self) -> int:
        """Rows less the coefficients of a regression on covariates and instruments."""
        return self.n - self.p - self.q

    @property
    def unit(self) -> Floats:
        """Units of the coefficients (d,)."""
        return self.scale_y / self.scale_d

    @property
    def zz(self) -> Floats:
        """Moments of the instruments (q, q)."""
        return self.S[self.d : self.d + self.q, self.d : self.d + self.q]

    @property
    def outcome_first(self) -> Positions:
        """Positions of [outcome, treatments] in S."""
        return np.r_[self.d + self.q, np.arange(self.d)]

    @property
    def zw(self) -> Floats:
        """Moments of instruments with [outcome, treatments] (q, 1 + d)."""
        return self.S[self.d : self.d + self.q][:, self.outcome_first]

    @property
    def ww(self) -> Floats:
        """Moments of [outcome, treatments] (1 + d, 1 + d)."""
        return self.S[np.ix_(self.outcome_first, self.outcome_first)]

    @property
    def projected(self) -> Floats:
        """Moments of [outcome, treatments] projected on the instruments (1 + d, 1 + d)."""
        return self.zw.T @ np.linalg.solve(self.zz, self.zw)

    @property
    def first_stage(self) -> Floats:
        """Coefficients of the treatments on the instruments (q, d)."""
        return np.asarray(np.linalg.solve(self.zz, self.zw[:, 1:]), dtype=np.float64)

    def blocks(self) -> Iterator[PartialledRows]:
        """Rows less their covariates, in turn."""
        d, q = self.d, self.q
        for start in range(0, self.n, _BLOCK):
            at = slice(start, min(start + _BLOCK, self.n))
            X = _standardised(self.parts[0][at], self.centre[0], self.scale[0], self.X_at)
            R = np.concatenate(
                [
                    _standardised(self.parts[1][at], self.centre[1], self.scale[1]),
                    _standardised(self.parts[2][at], self.centre[2], self.scale[2], self.Z_at),
                    _standardised(self.parts[3][at], self.centre[3], self.scale[3]),
                ],
                axis=1,
            )
            if len(self.X_at):
                R -= X @ self.B
            yield PartialledRows(at, R[:, :d], R[:, d : d + q], R[:, d + q], None if self.w is None else self.w[at], X)

    def mapped(self, C: Floats) -> Floats:
        """Columns (n, m) that are combinations C (d + q + 1, m) of treatments, instruments and outcome."""
        out = np.empty((self.n, C.shape[1]))
        for b in self.blocks():
            out[b.at] = np.column_stack([b.D, b.Z, b.y]) @ C
        return out

    def combination(self, *, y: float = 0.0, D: Floats | None = None, Z: Floats | None = None) -> Floats:
        """Coefficients (d + q + 1,) of ``y * outcome + treatments @ D + instruments @ Z``."""
        out = np.zeros(self.d + self.q + 1)
        out[-1] = y
        if D is not None:
            out[: self.d] = D
        if Z is not None:
            out[self.d : self.d + self.q] = Z
        return out

    @property
    def outcome_and_treatments(self) -> Floats:
        """Coefficients (d + q + 1, 1 + d) of [outcome, treatments]."""
        return np.eye(self.d + self.q + 1)[:, self.outcome_first]

    @property
    def residuals_of_first_stage(self) -> Floats:
        """Coefficients (d + q + 1, d) of the treatments less their projection on the instruments."""
        Pi = self.first_stage
        return np.column_stack([self.combination(D=np.eye(self.d)[j], Z=-Pi[:, j]) for j in range(self.d)])

    def score_covariances(self, C: Floats, clusters: Sequence[Codes] = ()) -> Floats:
        """Sums ``z a (z b)'`` for every pair of the columns C (d + q + 1, m): (m, m, q, q).

        The block of the pair (b, a) is that of (a, b) transposed. With clusters the sums are of products of cluster
        totals, several ways by inclusion and exclusion (Cameron, Gelbach and Miller 2011, eq. 2.11), without factors.
        """
        m, q = C.shape[1], self.q
        if clusters:
            return self._clustered_scores(C, clusters)
        out = np.zeros((m, m, q, q))
        for b in self.blocks():
            a = np.column_stack([b.D, b.Z, b.y]) @ C
            if b.w is not None:
                a = a * b.w[:, None]
            for j in range(m):
                for k in range(j + 1):
                    out[j, k] += (b.Z * (a[:, j] * a[:, k])[:, None]).T @ b.Z
        for j in range(m):
            for k in range(j):
                out[k, j] = out[j, k]
        return out

    def _clustered_scores(self, C: Floats, clusters: Sequence[Codes]) -> Floats:
        m, q = C.shape[1], self.q
        total = np.zeros((m, m, q, q))
        for size in range(1, len(clusters) + 1):
            sign = 1.0 if size % 2 else -1.0
            for ways in combinations(clusters, size):
                codes = ways[0] if size == 1 else pd.factorize(pd.MultiIndex.from_arrays(list(ways)))[0]
                sums = np.zeros((int(codes.max()) + 1, m * q))
                for b in self.blocks():
                    a = np.column_stack([b.D, b.Z, b.y]) @ C
                    if b.w is not None:
                        a = a * b.w[:, None]
                    scores = (a[:, :, None] * b.Z[:, None, :]).reshape(len(a), -1)
                    own = codes[b.at]
                    for column in range(m * q):
                        sums[:, column] += np.bincount(own, scores[:, column], len(sums))
                total += sign * (sums.T @ sums).reshape(m, q, m, q).transpose(0, 2, 1, 3)
        return (total + total.transpose(1, 0, 3, 2)) / 2


def _standardised(raw: Floats, centre: Floats, scale: Floats, at: Positions | None = None) -> Floats:
    if at is not None and len(at) < raw.shape[1]:
        raw, centre, scale = raw[:, at], centre[at], scale[at]
    return (raw - centre) / scale


def partial_out(
    columns: Columns,
    factors: Sequence[Codes] = (),
    n_absorbed: int = 1,
    *,
    names: Sequence[str],
    treatments: Sequence[str],
) -> Partialled:
    """Centre, scale, absorb, and take the covariates out by one Gram matrix.

    Parameters
    ----------
    columns : Columns
    factors : sequence of ndarray (n,)
        Codes of the effects to absorb.
    n_absorbed : int
        Parameters that they count.
    names, treatments : sequences of str
        Of instruments and treatments, for the messages.

    Raises
    ------
    NotIdentifiedError
        Where covariates or absorbed effects explain a treatment or leave fewer instruments than treatments.
    CausalDataError
        More coefficients than rows.
    """
    n, d = columns.D.shape
    parts = (columns.X, columns.D, columns.Z, columns.y[:, None])
    centre, scale = _centres_and_scales(parts, columns.w)
    scale_d, scale_z, scale_y = scale[1], scale[2], float(scale[3][0])
    if factors:
        stacked = np.concatenate([(p - c) / s for p, c, s in zip(parts, centre, scale, strict=True)], axis=1)
        within = Absorber.of(factors, columns.w).residuals(stacked)
        edges = np.cumsum([0, *(p.shape[1] for p in parts)])
        parts = tuple(within[:, a:b] for a, b in pairwise(edges))  # type: ignore[assignment]
        centre = tuple(np.zeros(p.shape[1]) for p in parts)  # type: ignore[assignment]
        scale = tuple(np.ones(p.shape[1]) for p in parts)  # type: ignore[assignment]
    k = columns.X.shape[1]
    n_z = columns.Z.shape[1]
    if n_absorbed + k + n_z >= n:
        raise CausalDataError(
            [
                Problem(
                    "X",
                    f"{k} covariates, {n_z} instruments and {n_absorbed} effects (a constant is one) for {n:,} rows",
                    None,
                    "leave some out, or bring more rows",
                )
            ]
        )
    gram = _gram(parts, centre, scale, columns.w)
    small = np.diag(gram) < _NOTHING * n
    gram[small, :] = 0.0
    gram[:, small] = 0.0
    X_and_Z = np.r_[np.arange(k), np.arange(k + d, k + d + n_z)]
    kept = independent_columns(gram[np.ix_(X_and_Z, X_and_Z)])
    X_at, Z_at = kept[kept < k], kept[kept >= k] - k
    if len(Z_at) < d:
        gone = [str(names[j]) for j in range(n_z) if j not in set(Z_at.tolist())]
        raise NotIdentifiedError(
            f"{d} treatment{'s' if d > 1 else ''} ({', '.join(treatments)}) and {len(Z_at)} instrument"
            f"{'s' if len(Z_at) != 1 else ''} that covariates{', absorbed effects' if factors else ''} and each other"
            " do not explain"
            + (f" ({', '.join(gone)} left out)" if gone else f" ({', '.join(map(str, names))})")
            + "; at least as many instruments as treatments are needed"
        )
    rest = np.r_[np.arange(k, k + d), k + d + Z_at, k + d + n_z]
    gram_x, cross = gram[np.ix_(X_at, X_at)], gram[np.ix_(X_at, rest)]
    B: Floats = np.zeros((0, len(rest)))
    if len(X_at):
        B = np.asarray(np.linalg.solve(gram_x, cross), dtype=np.float64)
    S = gram[np.ix_(rest, rest)] - cross.T @ B
    S = (S + S.T) / 2
    explained = np.flatnonzero(np.diag(S)[:d] <= _NOTHING * n)
    if len(explained):
        raise NotIdentifiedError(
            f"covariates{' and absorbed effects' if factors else ''} explain the treatment {treatments[explained[0]]}"
            " exactly, so that nothing is left for the instruments to move"
        )
    out = Partialled(
        parts, centre, scale, X_at, Z_at, B, gram_x, S, columns.w, scale_d, scale_z[Z_at], scale_y, n_absorbed
    )
    left = np.diag(out.ww - out.projected)[1:] / np.diag(out.ww)[1:]
    if left.min() < _NOTHING:
        raise CausalDataError(
            [
                Problem(
                    treatments[int(left.argmin())],
                    "is explained exactly by the instruments and covariates",
                    None,
                    "it needs no instrument: compare its values directly (df.causal.ate)",
                )
            ]
        )
    root = np.sqrt(np.diag(out.S)[:d])
    strength = np.linalg.eigvalsh(out.projected[1:, 1:] / np.outer(root, root))[0]
    if strength < 1e-14:
        raise NotIdentifiedError(
            f"the instruments ({', '.join(str(names[j]) for j in Z_at)}) do not move"
            f" {'the treatment' if d == 1 else 'the treatments separately'} ({', '.join(treatments)}) at all in these"
            " rows, given the covariates"
        )
    return out


def _centres_and_scales(
    parts: tuple[Floats, ...], w: Floats | None
) -> tuple[tuple[Floats, Floats, Floats, Floats], tuple[Floats, Floats, Floats, Floats]]:
    centre, scale = [], []
    for part in parts:
        mean = part.mean(axis=0) if w is None else (w @ part) / w.sum()
        square = np.zeros(part.shape[1])
        # the spread first: squares of very large or small numbers leave the range of floats
        spread = np.maximum(part.max(axis=0, initial=-np.inf) - mean, mean - part.min(axis=0, initial=np.inf))
        spread = np.where(spread > 0, spread, 1.0)
        for start in range(0, len(part), _BLOCK):
            at = slice(start, start + _BLOCK)
            block = np.square((part[at] - mean) / spread)
            square += block.sum(axis=0) if w is None else w[at] @ block
        root = np.sqrt(square / len(part))
        centre.append(mean)
        scale.append(spread * np.where(root > 0, root, 1.0))
    return tuple(centre), tuple(scale)  # type: ignore[return-value]


def _gram(parts: tuple[Floats, ...], centre: tuple[Floats, ...], scale: tuple[Floats, ...], w: Floats | None) -> Floats:
    m = sum(p.shape[1] for p in parts)
    gram = np.zeros((m, m))
    for start in range(0, len(parts[0]), _BLOCK):
        at = slice(start, start + _BLOCK)
        block = np.concatenate([(p[at] - c) / s for p, c, s in zip(parts, centre, scale, strict=True)], axis=1)
        gram += block.T @ block if w is None else (block * w[at][:, None]).T @ block
    return gram
