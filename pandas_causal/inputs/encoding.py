"""One preprocessor for mixed frames: covariates of any usable type to one float64 matrix."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pandas_causal.errors import CausalDataError, CausalWarning
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.kernels.arrays import Floats

__all__ = ["Encoder"]


@dataclass(frozen=True, eq=False)
class _Column:
    """Encoding of one covariate: a number with its mean for missing values, or levels, the first as reference."""

    name: Any
    mean: float
    levels: tuple[Any, ...] | None
    has_missing: bool

    @property
    def outputs(self) -> list[str]:
        if self.levels is not None:
            return [f"{self.name}_{level}" for level in self.levels[1:]] + (
                [f"{self.name}_missing"] if self.has_missing else []
            )
        return [str(self.name)] + ([f"{self.name}_missing"] if self.has_missing else [])

    def fill(self, x: pd.Series[Any], out: Floats) -> int:
        """Write this column's outputs; return the rows whose level was never seen."""
        absent = x.isna().to_numpy()
        if self.levels is None:
            values = as_float(x)
            out[:, 0] = np.where(absent, self.mean, values) if self.has_missing else values
            unseen = 0
        else:
            codes = pd.Index(self.levels, dtype=object).get_indexer(pd.Index(_plain(x), dtype=object))
            for k in range(1, len(self.levels)):
                out[:, k - 1] = codes == k
            unseen = int(((codes < 0) & ~absent).sum())
        if self.has_missing:
            out[:, -1] = absent
        elif self.levels is not None:
            unseen += int(absent.sum())
        return unseen


def _plain(x: pd.Series[Any]) -> NDArray[np.object_]:
    return x.astype(object).to_numpy()


@dataclass(frozen=True, eq=False)
class Encoder:
    """Encoding learned from one frame.

    Numbers stay as they are; missing ones become the mean, with an indicator. Bools become 0/1, categories and strings
    one column per level but the first (in category or sorted order), missing as a level of its own. Constant
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
                levels = _levels(x)
                if len(levels) + (n_missing > 0) < 2:
                    dropped.append(str(name))
                    continue
                columns.append(_Column(name, 0.0, levels, n_missing > 0))
            if n_missing:
                imputed[str(name)] = n_missing
        return cls(tuple(columns), tuple(dropped), imputed)

    @property
    def names(self) -> list[str]:
        """Names of the columns of the matrix."""
        return [o for c in self.columns for o in c.outputs]

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
        used = frame if list(frame.columns) == names else frame[names]
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
                    f" as the reference level {column.levels[0] if column.levels else 'mean'!r}",
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


def _levels(x: pd.Series[Any]) -> tuple[Any, ...]:
    if isinstance(x.dtype, pd.CategoricalDtype):
        return tuple(x.cat.remove_unused_categories().cat.categories.astype(object))
    levels = list(pd.unique(pd.Series(_plain(x.dropna()), dtype=object)))
    try:
        return tuple(sorted(levels))
    except TypeError:
        return tuple(sorted(levels, key=str))
