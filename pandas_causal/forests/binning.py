"""Covariates as codes of one byte: numbers by quantiles, categories by level, missing values in a bin of their own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pandas_causal.errors import CausalDataError, CausalWarning, Problem
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.kernels.arrays import Floats, Ints

__all__ = ["MOST_BINS", "Binning", "ColumnBins", "Covariate8"]

MOST_BINS = 255
Covariate8 = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ColumnBins:
    """Bins of one covariate.

    Attributes
    ----------
    name : hashable
    edges : ndarray (bins,) or None
        Of numbers: the largest value in every bin, each a value of the data.
    levels : Index (bins,) or None
        Of categories.
    has_missing : bool
        Whether values were missing.
    """

    name: Any
    edges: Floats | None
    levels: pd.Index | None
    has_missing: bool = False

    @classmethod
    def of(cls, x: pd.Series[Any], w: Floats | None) -> ColumnBins | Problem:
        """Learn the bins of a covariate, or say why there are none."""
        if is_numeric(x) or pd.api.types.is_bool_dtype(x.dtype):
            values = as_float(x)
            there = ~np.isnan(values)
            return cls(x.name, _quantiles(values[there], None if w is None else w[there]), None, not there.all())
        levels = pd.Index(sorted_levels(x))
        if len(levels) > MOST_BINS:
            return Problem(
                str(x.name), f"has {len(levels):,} levels, and forests take at most {MOST_BINS}", None,
                "merge rare levels, or give their mean of something as a number",
            )  # fmt: skip
        return cls(x.name, None, levels, bool(x.isna().any()))

    @property
    def n_values(self) -> int:
        """Bins but the missing one."""
        known = self.edges if self.edges is not None else self.levels
        assert known is not None  # noqa: S101 - one of the two is there
        return len(known)

    def encode(self, x: pd.Series[Any], out: Covariate8) -> int:
        """Write codes (n,); return the rows whose level was never seen."""
        if self.edges is not None:
            values = as_float(x)
            missing = np.isnan(values)
            if len(self.edges):
                codes = np.minimum(np.searchsorted(self.edges, values), len(self.edges) - 1)
                out[:] = np.where(missing, len(self.edges), codes)
            else:
                out[:] = 0
            return 0
        assert self.levels is not None  # noqa: S101 - a category
        absent = x.isna().to_numpy()
        codes = self.levels.get_indexer(pd.Index(x.astype(object).to_numpy(), dtype=object))
        unseen = (codes < 0) & ~absent
        out[:] = np.where(codes < 0, self.n_values, codes)
        return int(unseen.sum())


def sorted_levels(x: pd.Series[Any]) -> list[Any]:
    """Levels in category or sorted order."""
    if isinstance(x.dtype, pd.CategoricalDtype):
        return list(x.cat.remove_unused_categories().cat.categories.astype(object))
    levels = list(pd.unique(x.dropna().astype(object)))
    try:
        return sorted(levels)
    except TypeError:
        return sorted(levels, key=str)


def _quantiles(values: Floats, w: Floats | None) -> Floats:
    """Largest value of every bin: all values where they are few, else weighted quantiles, which are values."""
    order = np.argsort(values, kind="stable") if w is not None else None
    ordered = np.sort(values) if order is None else values[order]
    if not len(ordered):
        return ordered
    new = np.flatnonzero(np.diff(ordered, append=np.inf) > 0)  # last row of every value
    if len(new) <= MOST_BINS:
        return ordered[new]
    mass = np.ones(len(ordered)) if order is None or w is None else w[order]
    reached = np.cumsum(mass)[new] / mass.sum()
    at = np.searchsorted(reached, np.arange(1, MOST_BINS) / MOST_BINS - 1e-12)
    return ordered[new[np.unique(np.append(np.minimum(at, len(new) - 1), len(new) - 1))]]


@dataclass(frozen=True, eq=False)
class Binning:
    """Bins of every covariate.

    Attributes
    ----------
    columns : tuple of ColumnBins (p,)
    """

    columns: tuple[ColumnBins, ...]

    @classmethod
    def fit(cls, frame: pd.DataFrame, w: Floats | None = None) -> Binning:
        """Learn bins.

        Raises
        ------
        CausalDataError
            For categories of more than 255 levels, naming all of them.
        """
        found = [ColumnBins.of(frame[name], w) for name in frame.columns]
        problems = [f for f in found if isinstance(f, Problem)]
        if problems:
            raise CausalDataError(problems)
        return cls(tuple(f for f in found if isinstance(f, ColumnBins)))

    @property
    def starts(self) -> Ints:
        """Where each covariate's bins begin among all (p + 1,); the last of each is the missing one."""
        return np.cumsum([0, *(c.n_values + 1 for c in self.columns)], dtype=np.int64)

    @property
    def kinds(self) -> Covariate8:
        """1 for categories (p,)."""
        return np.array([c.levels is not None for c in self.columns], dtype=np.uint8)

    @property
    def names(self) -> list[str]:
        """Names of the covariates (p,)."""
        return [str(c.name) for c in self.columns]

    def encode(self, frame: pd.DataFrame | Mapping[Any, pd.Series[Any]], n: int) -> Covariate8:
        """Codes (n, p) of rows that hold the columns seen at fit.

        Warns
        -----
        CausalWarning
            Levels never seen at fit: they are read as missing.
        """
        out = np.empty((n, len(self.columns)), dtype=np.uint8)
        own = np.empty(n, dtype=np.uint8)
        for j, column in enumerate(self.columns):
            unseen = column.encode(frame[column.name], own)
            out[:, j] = own
            if unseen:
                warnings.warn(
                    f"{column.name}: {unseen:,} rows hold a level never seen at fit; they are read as missing",
                    CausalWarning,
                    stacklevel=3,
                )
        return out
