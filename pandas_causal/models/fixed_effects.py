"""Absorbed effects: residuals of columns after one or several sets of dummies, without the dummies.

The factor with the most levels is concentrated out exactly (subtracting means). What is left is a system in the levels
of the other factors, solved directly where they are few (a panel's periods), by conjugate gradients otherwise: with one
factor beside the first these are the alternating projections, accelerated (Guimaraes and Portugal 2010, "A simple
feasible procedure to fit models with high-dimensional fixed effects", Stata Journal; Correia 2016, "A feasible
estimator for linear models with multi-way fixed effects").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pandas_causal.errors import CausalError
from pandas_causal.kernels.arrays import Bools, Codes, Floats, Ints

__all__ = ["Absorber", "counted_parameters", "is_nested", "pseudo_inverse", "singletons"]

_DIRECT_LEVELS = 1_000
_TOLERANCE = 1e-10  # of one round; rounds repeat until the residuals' sums by level are rounding
_EXACT = 1e-13
_ACCEPTED = 1e-10  # a level's mean residual below this share of the largest value counts as zero
_ROUNDS = 4
_MAX_STEPS = 5_000
_PATIENCE = 100  # steps without a gain: what is left is rounding


@dataclass(frozen=True, eq=False)
class Absorber:
    """Several factors to be absorbed by least squares.

    Attributes
    ----------
    codes : ndarray (K, n), int32
        Level of every row, the factor with the most levels first.
    sizes : ndarray (K,), int64
        Levels of every factor; each must occur with positive weight.
    weight : ndarray (n,) or (0,)
        Empty: every row counts once.
    """

    codes: NDArray[np.int32]
    sizes: Ints
    weight: Floats

    @classmethod
    def of(cls, factors: Sequence[Codes], weight: Floats | None = None) -> Absorber:
        """Arrange factors, given as codes 0, 1, ..., in which every level occurs."""
        sizes = np.array([int(f.max()) + 1 if len(f) else 0 for f in factors], dtype=np.int64)
        order = np.argsort(-sizes, kind="stable")
        codes = np.empty((len(factors), len(factors[0])), dtype=np.int32)
        for k, j in enumerate(order):
            codes[k] = factors[j]
        return cls(codes, sizes[order], np.empty(0) if weight is None else np.ascontiguousarray(weight, dtype=float))

    def residuals(self, columns: Floats) -> Floats:
        """Columns (n, m) less the effects that fit them best: a new array."""
        from pandas_causal.kernels.fixed_effects import level_sums, subtract_effects

        out = np.array(columns, dtype=np.float64, order="C")
        out -= out.mean(axis=0)
        scale = np.abs(out).max(axis=0, initial=0.0)
        for _ in range(_ROUNDS):
            sums = level_sums(self.codes, out, self.weight, self.sizes)
            off = (np.abs(sums) / self.mass[:, None]).max(axis=0, initial=0.0)
            if bool((off <= _EXACT * scale).all()):
                return out
            subtract_effects(out, self.codes, self._starts, self.solve(sums))
        sums = level_sums(self.codes, out, self.weight, self.sizes)
        if bool((np.abs(sums) > _ACCEPTED * scale * self.mass[:, None]).any()):
            raise CausalError(
                "the absorbed effects did not converge: their levels hardly overlap; absorb fewer or coarser effects"
            )
        return out

    def solve(self, sums: Floats) -> Floats:
        """Effects (levels, m) whose normal equations have these weighted sums by level (levels, m) on the right.

        Where factors leave effects undetermined (they always do, up to constants) one solution is returned.
        """
        if len(self.sizes) == 1:
            return sums / self.mass[:, None]
        n_first = int(self.sizes[0])
        first_mass = self.mass[:n_first, None]
        means = sums[:n_first] / first_mass
        if self._is_direct:
            others = self._inverse @ (sums[n_first:] - self._counts.T @ means)
            return np.vstack([means - self._counts @ others / first_mass, others])
        others = self._conjugate_gradients(sums[n_first:] - self._to_others(means))
        return np.vstack([means - self._to_first(others) / first_mass, others])

    @cached_property
    def mass(self) -> Floats:
        """Weight of every level."""
        if len(self.weight):
            return np.concatenate([np.bincount(c, self.weight, s) for c, s in zip(self.codes, self.sizes, strict=True)])
        parts = [np.bincount(c, minlength=s) for c, s in zip(self.codes, self.sizes, strict=True)]
        return np.concatenate(parts).astype(float)

    @property
    def _starts(self) -> Ints:
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)

    # -- directly ----------------------------------------------------------------------------------------------------

    @property
    def _is_direct(self) -> bool:
        others = int(self.sizes[1:].sum())
        return others <= _DIRECT_LEVELS and int(self.sizes[0]) * others <= max(8 * self.codes.shape[1], 1_000_000)

    @cached_property
    def _counts(self) -> Floats:
        from pandas_causal.kernels.fixed_effects import cross_counts

        counts: Floats = cross_counts(self.codes, self.weight, self.sizes)
        return counts

    @cached_property
    def _inverse(self) -> Floats:
        """Pseudo-inverse of the normal equations of the other factors, the first concentrated out."""
        n_first = int(self.sizes[0])
        gram = -self._counts.T @ (self._counts / self.mass[:n_first, None])
        gram += self._others_gram
        return pseudo_inverse(gram, self.mass[n_first:])

    @property
    def _others_gram(self) -> Floats:
        """Normal equations of the other factors among themselves."""
        from pandas_causal.kernels.fixed_effects import cross_counts

        n_first = int(self.sizes[0])
        gram = np.diag(self.mass[n_first:])
        start = 0
        for k in range(1, len(self.sizes) - 1):
            block = cross_counts(self.codes[k:], self.weight, self.sizes[k:])
            stop = start + int(self.sizes[k])
            gram[start:stop, stop:] = block
            gram[stop:, start:stop] = block.T
            start = stop
        return gram

    # -- by conjugate gradients --------------------------------------------------------------------------------------

    @cached_property
    def _by_first(self) -> tuple[NDArray[np.int32], Ints, Floats]:
        """Codes of the other factors and weights in the order of the first factor, and where its levels begin."""
        order = np.argsort(self.codes[0], kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(self.codes[0], minlength=self.sizes[0]))]).astype(np.int64)
        weight = self.weight[order] if len(self.weight) else self.weight
        return np.ascontiguousarray(self.codes[1:, order]), starts, weight

    def _to_others(self, effects: Floats) -> Floats:
        """Weighted sums by level of the other factors of the first factor's effects."""
        from pandas_causal.kernels.fixed_effects import level_sums

        sums: Floats = level_sums(self.codes[1:], effects[self.codes[0]], self.weight, self.sizes[1:])
        return sums

    def _to_first(self, effects: Floats) -> Floats:
        """Weighted sums by level of the first factor of the other factors' effects."""
        from pandas_causal.kernels.fixed_effects import level_sums

        starts = self._starts[1:] - self.sizes[0]
        fitted = sum(effects[start + c] for start, c in zip(starts, self.codes[1:], strict=True))
        sums: Floats = level_sums(self.codes[:1], fitted, self.weight, self.sizes[:1])
        return sums

    def _conjugate_gradients(self, right: Floats) -> Floats:
        """Solve by conjugate gradients, preconditioned by the levels' weights; the right side lies in the range."""
        from pandas_causal.kernels.fixed_effects import schur_product

        codes, first, weight = self._by_first
        starts, n_first = self._starts[1:] - self.sizes[0], int(self.sizes[0])
        mass, others = self.mass[:n_first], self.mass[n_first:, None]
        x, r = np.zeros_like(right), right.copy()
        z = r / others
        p, rz = z.copy(), (r * z).sum(axis=0)
        best, least, idle = x.copy(), rz.copy(), 0
        target = _TOLERANCE**2 * rz
        for _ in range(_MAX_STEPS):
            if bool((least <= target).all()) or idle > _PATIENCE:
                break
            s = schur_product(codes, starts, first, weight, mass, p)
            curvature = (p * s).sum(axis=0)
            # rounding puts a little of the right side where no effect reaches; there the curvature is rounding too
            real = curvature > 1e-12 * (p * others * p).sum(axis=0)
            step = np.where(real, rz / np.where(real, curvature, 1.0), 0.0)
            x += step * p
            r -= step * s
            z = r / others
            new = (r * z).sum(axis=0)
            p = z + np.where(rz > 0, new / np.where(rz > 0, rz, 1.0), 0.0) * p
            rz = new
            better = rz < least
            best[:, better], least = x[:, better], np.minimum(least, rz)
            idle = 0 if better.any() else idle + 1
        return best


def pseudo_inverse(gram: Floats, mass: Floats) -> Floats:
    """Pseudo-inverse of normal equations, scaled to a unit diagonal first; directions without curvature get none."""
    root = np.sqrt(np.where(mass > 0, mass, 1.0))
    values, vectors = np.linalg.eigh(gram / np.outer(root, root))
    keep = values > 1e-10
    scaled = vectors[:, keep] / root[:, None]
    return (scaled / values[keep]) @ scaled.T


def singletons(factors: Sequence[Codes]) -> Bools:
    """Rows that are alone at a level of some factor, dropped again and again until none is left.

    Such a row is fitted exactly by its own dummy: it tells nothing, but it would count as a row and a cluster (Correia
    2015, "Singletons, cluster-robust standard errors and fixed effects").
    """
    alone = np.zeros(len(factors[0]), dtype=bool)
    while True:
        before = int(alone.sum())
        for factor in factors:
            left = np.bincount(factor[~alone], minlength=int(factor.max()) + 1 if len(factor) else 0)
            if (left == 1).any():
                alone |= (left == 1)[factor]
        if int(alone.sum()) == before:
            return alone


def is_nested(factor: Codes, cluster: Codes) -> bool:
    """Whether every level of a factor lies in one cluster."""
    last = np.empty(int(factor.max()) + 1, dtype=cluster.dtype)
    last[factor] = cluster
    return bool((last[factor] == cluster).all())


def counted_parameters(k: int, factors: Sequence[Codes], cluster: Codes | None = None) -> int:
    """Parameters that the small-sample factor counts: k coefficients and the absorbed effects.

    Of several factors all but the first lose a level. Effects nested in the clusters are not counted (their estimation
    is part of the cluster's own sum), but for one constant each: the convention of fixest and of reghdfe.
    """
    sizes = [int(f.max()) + 1 for f in factors]
    total = k + sum(sizes) - max(len(sizes) - 1, 0)
    if cluster is not None:
        total -= sum(size - 1 for f, size in zip(factors, sizes, strict=True) if is_nested(f, cluster))
    return total
