"""One preprocessor for mixed frames: covariates of any usable type to one float64 matrix.

Models without a penalty need one level of a category left out: the most frequent, so that no name decides what a level
without rows (in one fold, in one arm) is taken for. What looks at levels one by one (balance, tolerances,
distances, penalties, trees) needs them all, else its answer depends on how levels are named: :class:`EveryLevel`
writes them from the same matrix.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pandas_causal.errors import CausalDataError, CausalWarning
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.inputs.plain_columns import select_columns
from pandas_causal.kernels.arrays import Floats

__all__ = ["Encoder", "EveryLevel", "Remainder"]


@dataclass(frozen=True)
class Remainder:
    """What a constant and other levels leave for a level without a column: constant + sum(sign * column).

    Attributes
    ----------
    constant : float
    positions : tuple of int
        Columns of the encoded matrix.
    signs : tuple of int
    """

    constant: float
    positions: tuple[int, ...]
    signs: tuple[int, ...]

    @classmethod
    def of_one(cls, positions: tuple[int, ...]) -> Self:
        """One less the other levels."""
        return cls(1.0, positions, (-1,) * len(positions))

    def on(self, X: Floats) -> Floats:
        """The column (n,)."""
        out = np.full(len(X), self.constant)
        for k, sign in zip(self.positions, self.signs, strict=True):
            out += sign * X[:, k]
        return out


@dataclass(frozen=True, eq=False)
class _Column:
    """Encoding of one covariate: a number with its mean for missing values, or levels, the most frequent as reference.

    `counts` are the rows of every level, and of the missing last where there are some.
    """

    name: Any
    mean: float
    levels: tuple[Any, ...] | None
    has_missing: bool
    counts: tuple[int, ...] = ()

    @cached_property
    def reference(self) -> int:
        """Position of the most frequent level, the first of several."""
        return int(np.argmax(self.counts[: len(self.levels)])) if self.levels else 0

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the columns it becomes."""
        absent = (f"{self.name}_missing",) if self.has_missing else ()
        if self.levels is None:
            return (str(self.name), *absent)
        reference = self.reference
        return (*(f"{self.name}_{level}" for k, level in enumerate(self.levels) if k != reference), *absent)

    def fill(self, x: pd.Series[Any], out: Floats) -> int:
        """Write this column's outputs; return the rows whose level was never seen."""
        absent = x.isna().to_numpy()
        if self.levels is None:
            values = as_float(x)
            out[:, 0] = np.where(absent, self.mean, values) if self.has_missing else values
            unseen = 0
        else:
            codes = pd.Index(self.levels, dtype=object).get_indexer(pd.Index(_plain(x), dtype=object))
            out[:, : len(self.levels) - 1] = 0.0
            known = np.flatnonzero((codes >= 0) & (codes != self.reference))
            out[known, codes[known] - (codes[known] > self.reference)] = 1.0
            unseen = int(((codes < 0) & ~absent).sum())
        if self.has_missing:
            out[:, -1] = absent
        elif self.levels is not None:
            unseen += int(absent.sum())
        return unseen


@dataclass(frozen=True, eq=False)
class EveryLevel:
    """The encoded matrix with a column for every level of a category, written from the one without references.

    Attributes
    ----------
    names : tuple of str (m,)
    columns : tuple (m,) of int or Remainder
        A column of the encoded matrix; or what the other levels leave, for a reference, which has none.
    """

    names: tuple[str, ...]
    columns: tuple[int | Remainder, ...]

    def beside(self, other: EveryLevel, width: int) -> EveryLevel:
        """Of a matrix of `width` columns of its own and those of another after them."""
        moved = (
            s + width if isinstance(s, int) else replace(s, positions=tuple(j + width for j in s.positions))
            for s in other.columns
        )
        return EveryLevel((*self.names, *other.names), (*self.columns, *moved))

    def on(self, X: Floats) -> Floats:
        """The matrix (n, m) of encoded covariates (n, q); X itself where nothing is added."""
        if self.columns == tuple(range(X.shape[1])):
            return X
        out = np.empty((len(X), len(self.columns)), order="F")
        for k, source in enumerate(self.columns):
            out[:, k] = X[:, source] if isinstance(source, int) else source.on(X)
        return out


def _plain(x: pd.Series[Any]) -> NDArray[np.object_]:
    return x.astype(object).to_numpy()


@dataclass(frozen=True, eq=False)
class Encoder:
    """Encoding learned from one frame.

    Numbers stay as they are; missing ones become the mean, with an indicator. Bools become 0/1, categories and strings
    one column per level (in category or sorted order) but the most frequent, missing as a level of its own. Constant
    covariates are left out.

    Attributes
    ----------
    columns : tuple
    dropped : tuple of str
        Constant covariates.
    imputed : dict of str to int
        Missing values filled, by covariate.
    """

    columns: tuple[_Column, ...]
    dropped: tuple[str, ...]
    imputed: dict[str, int]

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> Self:
        """Learn means, levels and constants."""
        columns, dropped, imputed = [], [], {}
        for name in frame.columns:
            x = frame[name]
            n_missing = int(x.isna().sum())
            if is_numeric(x) and not pd.api.types.is_bool_dtype(x.dtype):
                values = as_float(x)
                low, high = (np.nanmin(values), np.nanmax(values)) if n_missing < len(x) else (0.0, 0.0)
                if low == high and not n_missing:
                    dropped.append(str(name))
                    continue
                columns.append(_Column(name, float(np.nanmean(values)) if n_missing else 0.0, None, n_missing > 0))
            elif pd.api.types.is_bool_dtype(x.dtype) or is_numeric(x):
                if x.nunique() + (n_missing > 0) < 2:
                    dropped.append(str(name))
                    continue
                columns.append(_Column(name, float(as_float(x)[~x.isna().to_numpy()].mean()), None, n_missing > 0))
            else:
                levels, counts = _levels(x)
                if len(levels) + (n_missing > 0) < 2:
                    dropped.append(str(name))
                    continue
                columns.append(_Column(name, 0.0, levels, n_missing > 0, (*counts, *([n_missing] * (n_missing > 0)))))
            if n_missing:
                imputed[str(name)] = n_missing
        return cls(tuple(columns), tuple(dropped), imputed)

    @property
    def names(self) -> list[str]:
        """Names of the columns of the matrix."""
        return [o for c in self.columns for o in c.outputs]

    def positions(self, name: object) -> list[int] | None:
        """Columns of the matrix that a covariate, or one of its columns, became; None for another name."""
        if str(name) in self.dropped:
            return []
        at = 0
        for column in self.columns:
            if column.name == name:
                return list(range(at, at + len(column.outputs)))
            at += len(column.outputs)
        return [self.names.index(str(name))] if str(name) in self.names else None

    @property
    def every_level(self) -> EveryLevel:
        """Every level with a column of its own, in their order, as tables and pictures show them."""
        return self._with_references()

    @property
    def for_learners(self) -> EveryLevel:
        """Every level in the order of their counts, for penalised models and trees, which settle ties by position."""
        return self._with_references(ordered=True)

    @property
    def for_distances(self) -> EveryLevel:
        """As for learners, but a category of two values is one column: that of the rarer."""
        return self._with_references(ordered=True, pairs=False)

    def _with_references(self, *, ordered: bool = False, pairs: bool = True) -> EveryLevel:
        names: list[str] = []
        sources: list[int | Remainder] = []
        at = 0
        for column in self.columns:
            own = tuple(range(at, at + len(column.outputs)))
            at += len(own)
            if not column.levels:
                names += column.outputs
                sources += own
                continue
            labels, parts = list(column.outputs), cast("list[int | Remainder]", list(own))
            labels.insert(column.reference, f"{column.name}_{column.levels[column.reference]}")
            parts.insert(column.reference, Remainder.of_one(own))
            order = list(np.argsort(-np.asarray(column.counts), kind="stable")) if ordered else list(range(len(labels)))
            order = order if pairs or len(own) > 1 else order[1:]
            names += [labels[k] for k in order]
            sources += [parts[k] for k in order]
        return EveryLevel(tuple(names), tuple(sources))

    def transform(self, frame: pd.DataFrame) -> Floats:
        """Encode a frame that holds the columns seen at fit, as (n, q) float64; no copy where it is one float block.

        Warns
        -----
        CausalWarning
            Levels never seen at fit, with their count: they are read as the reference level.
        """
        absent = [c.name for c in self.columns if c.name not in frame.columns]
        if absent:
            raise CausalDataError(
                f"covariates {absent} are missing from this X; it needs {[c.name for c in self.columns]}"
            )
        names = [c.name for c in self.columns]
        used = frame if list(frame.columns) == names else select_columns(frame, names)
        if all(c.levels is None and not c.has_missing for c in self.columns) and all(
            d == np.float64 for d in used.dtypes
        ):
            return self._finite(used.to_numpy())
        out = np.empty((len(frame), len(self.names)), order="F")
        at = 0
        for column in self.columns:
            width = len(column.outputs)
            unseen = column.fill(frame[column.name], out[:, at : at + width])
            at += width
            if unseen:
                warnings.warn(
                    f"{column.name}: {unseen:,} rows hold a level (or a missing value) never seen at fit; they are read"
                    f" as the reference level {column.levels[column.reference] if column.levels else 'mean'!r}",
                    CausalWarning,
                    stacklevel=3,
                )
        return self._finite(out)

    def _finite(self, matrix: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(matrix.sum()):
                return matrix
        bad = [n for n, column in zip(self.names, matrix.T, strict=True) if not np.isfinite(column).all()]
        if not bad:  # finite values whose sum overflows
            return matrix
        raise CausalDataError(
            f"covariates {bad} hold missing (NaN) or infinite (inf) values that were not there at fit"
        )


def _levels(x: pd.Series[Any]) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Levels in category or sorted order, and the rows of each."""
    if isinstance(x.dtype, pd.CategoricalDtype):
        used = x.cat.remove_unused_categories().cat
        counts = np.bincount(used.codes[used.codes >= 0], minlength=len(used.categories))
        return tuple(used.categories.astype(object)), tuple(counts.tolist())
    count = dict(pd.Series(_plain(x.dropna()), dtype=object).value_counts(sort=False))
    try:
        levels = sorted(count)
    except TypeError:
        levels = sorted(count, key=str)
    return tuple(levels), tuple(int(count[level]) for level in levels)
