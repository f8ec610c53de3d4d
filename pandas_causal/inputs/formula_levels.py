"""Every level of the categories of a formula, alone and in products, written from a matrix that leaves one out.

A matrix of full rank has no column for one level of a category, nor for that level times another term: a product's
column of the reference is the other term less the columns of the other levels. What looks at columns one by one
(penalties, balance, distances) needs them all, else its answer depends on how levels are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from pandas_causal.inputs.encoding import Remainder
from pandas_causal.kernels.arrays import Floats

if TYPE_CHECKING:
    from formulaic import ModelSpec

__all__ = ["LevelColumn", "every_level_of"]

FactorPart = tuple[str, int]
"""A factor, and one of its levels or columns."""
ColumnKey = frozenset[FactorPart]
"""A column as the product of its parts; of none, the intercept."""
SignedColumns = dict[int, int]
"""Columns of the matrix with their signs; -1 stands for the constant 1."""


@dataclass(frozen=True, eq=False)
class LevelColumn:
    """A column of the matrix in which every level has one.

    Attributes
    ----------
    name : str
    source : int or Remainder
        Of the columns used.
    other_of_two : bool
        Whether it mirrors the one column of a category of two levels.
    """

    name: str
    source: int | Remainder
    other_of_two: bool = False


def every_level_of(spec: ModelSpec, values: Floats, kept: tuple[int, ...]) -> tuple[LevelColumn, ...]:
    """Columns used, less those that products of every level hold already, and the columns of the references.

    Parameters
    ----------
    spec : ModelSpec
    values : ndarray (n, m)
        Its matrix.
    kept : tuple of int
        Columns used; the others are constant.

    Returns
    -------
    tuple of LevelColumn
    """
    reading = _Reading.of(spec)
    place = {k: at for at, k in enumerate(kept)}
    margins: set[int] = set()
    added = []
    for term, own in reading.terms.items():
        full = reading.every_product(term)
        sums = {key: reading.sum_of(key) for key in full}
        if not full or any(s is None for s in sums.values()):
            continue
        margins |= {k for key, k in own.items() if key not in sums}
        two = len(full) == 2 and len(own) == 1 and len(full[0]) == 1
        for key, found in sums.items():
            if key in reading.known or found is None:
                continue
            constant = sum(sign * (1.0 if k < 0 else values[0, k]) for k, sign in found.items() if k not in place)
            used = sorted(k for k in found if k in place)
            source = Remainder(float(constant), tuple(place[k] for k in used), tuple(found[k] for k in used))
            column = source.on(values[:, list(kept)])
            if not (column == column[0]).all():
                added.append(LevelColumn(reading.name_of(term, key), source, two))
    names = [str(name) for name in spec.column_names]
    return (*(LevelColumn(names[k], at) for k, at in place.items() if k not in margins), *added)


@dataclass(frozen=True, eq=False)
class _Reading:
    """The columns of a formula as products.

    Attributes
    ----------
    levels : mapping of factor to tuple of str
        Of categories.
    base : mapping of factor to int
        The level without a column, where the others are 0/1.
    terms : mapping of term to mapping of ColumnKey to position
        The columns of every term that can be read.
    widths : mapping of factor to int
        Columns of numbers.
    known : mapping of ColumnKey to position
    """

    levels: Mapping[str, tuple[str, ...]]
    base: Mapping[str, int]
    terms: Mapping[tuple[str, ...], Mapping[ColumnKey, int]]
    widths: Mapping[str, int]
    known: Mapping[ColumnKey, int]

    @classmethod
    def of(cls, spec: ModelSpec) -> _Reading:
        from formulaic.transforms.contrasts import TreatmentContrasts

        levels, base = {}, {}
        for factor, state in spec.factor_contrasts.items():
            levels[str(factor)] = tuple(map(str, state.levels))
            if isinstance(state.contrasts, TreatmentContrasts):
                rest = list(state.contrasts.get_coding_column_names(state.levels, reduced_rank=True))
                left_out = [k for k, v in enumerate(state.levels) if v not in rest]
                if len(left_out) == 1:
                    base[str(factor)] = left_out[0]
        terms: dict[tuple[str, ...], dict[ColumnKey, int]] = {}
        widths: dict[str, int] = {}
        known: dict[ColumnKey, int] = {}
        first = 0
        for encoded in spec.structure:
            at, width = first, len(encoded.columns)
            first += width
            sizes = [
                [len(levels[f]) - reduced if f in levels else widths.get(f, 0) for f, reduced in scoped]
                for scoped in (_factors(s) for s in encoded.scoped_terms)
            ]
            unknown = {f for s in encoded.scoped_terms for f, _ in _factors(s) if f not in levels and f not in widths}
            if len(unknown) == 1:
                per_column = sum(int(np.prod([w for w in size if w])) for size in sizes)
                widths[unknown.pop()] = width // per_column
            elif unknown and width == sum(int(np.prod([w for w in size if w])) for size in sizes):
                widths |= dict.fromkeys(unknown, 1)
            elif unknown:
                continue
            reducible = all(f in base for s in encoded.scoped_terms for f, reduced in _factors(s) if reduced)
            if not reducible or any(s.scale != 1 for s in encoded.scoped_terms):
                continue
            own: dict[ColumnKey, int] = {}
            for scoped in encoded.scoped_terms:
                parts = [
                    [(f, k) for k in range(len(levels[f]) if f in levels else widths[f]) if not reduced or k != base[f]]
                    for f, reduced in _factors(scoped)
                ]
                for backwards in product(*reversed(parts)):  # the first factor varies fastest
                    own[frozenset(backwards)] = at
                    at += 1
            if at != first:
                continue
            terms[tuple(str(f) for f in encoded.term.factors)] = own
            known = own | known
        return cls(levels, base, terms, widths, known)

    def every_product(self, term: tuple[str, ...]) -> list[ColumnKey]:
        """Columns of a term in which every level of every category has its part; none for numbers alone."""
        if not any(f in self.levels for f in term):
            return []
        parts = [[(f, k) for k in range(len(self.levels[f]) if f in self.levels else self.widths[f])] for f in term]
        return [frozenset(backwards) for backwards in product(*reversed(parts))]

    def sum_of(self, key: ColumnKey) -> SignedColumns | None:
        """Write a column as a sum of known ones; None where it is none."""
        if key in self.known:
            return {self.known[key]: 1}
        if not key:
            return {-1: 1}
        for factor, level in sorted(key):
            if self.base.get(factor) != level:
                continue
            others = [k for k in range(len(self.levels[factor])) if k != level]
            rest = key - {(factor, level)}
            pieces = [(1, self.sum_of(rest)), *((-1, self.sum_of(rest | {(factor, k)})) for k in others)]
            total: SignedColumns = {}
            for sign, piece in pieces:
                if piece is None:
                    break
                for k, coefficient in piece.items():
                    total[k] = total.get(k, 0) + sign * coefficient
            else:
                return {k: coefficient for k, coefficient in total.items() if coefficient}
        return None

    def name_of(self, term: tuple[str, ...], key: ColumnKey) -> str:
        """Name of a column as formulaic would write it."""
        part = dict(key)
        words = []
        for f in term:
            if f in self.levels:
                words.append(f"{f}[T.{self.levels[f][part[f]]}]")
            else:
                words.append(f if self.widths[f] == 1 else f"{f}[{part[f] + 1}]")
        return ":".join(words)


def _factors(scoped: object) -> list[tuple[str, bool]]:
    """Factors of a part of a term, and whether a level is left out."""
    return [(str(f.factor), bool(f.reduced)) for f in scoped.factors]  # type: ignore[attr-defined]
