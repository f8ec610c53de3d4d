"""Columns as the rest of the package reads them: Decimals are numbers, dates are dates, whatever type holds them.

A database's money comes as Decimal and its days as ``datetime.date``, in columns of objects or of Arrow; both are
numbers and dates to every question. What has no such meaning (lists, structs, bytes) becomes a column of objects,
which the rules on columns refuse by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["plain_column", "plain_frame", "select_columns"]

_NUMBERS = (Decimal, int, float, np.integer, np.floating)


def plain_column(s: pd.Series[Any]) -> pd.Series[Any]:
    """Read numbers and dates from objects and from Arrow; other columns are returned as they are."""
    if s.dtype == object:
        return _from_objects(s.infer_objects())
    if isinstance(s.dtype, pd.ArrowDtype) and not _is_flat(s.dtype):
        return _from_objects(s.astype(object).infer_objects())
    return s


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Read every column as :func:`plain_column` does; the frame itself, where nothing changes."""
    out = frame
    for k, dtype in enumerate(frame.dtypes):
        if dtype != np.dtype(object) and not isinstance(dtype, pd.ArrowDtype):
            continue
        column = frame.iloc[:, k]
        read = plain_column(column)
        if read.dtype != column.dtype:
            out = frame.copy(deep=False) if out is frame else out
            out.isetitem(k, read.array)
    return out


def select_columns(frame: pd.DataFrame, names: Iterable[Any]) -> pd.DataFrame:
    """Columns by name, where a list of names such as True and False, or of tuples, would be read otherwise."""
    positions: list[Any] = [frame.columns.get_loc(name) for name in names]
    return frame.take(positions, axis=1)


def _is_flat(dtype: pd.ArrowDtype) -> bool:
    """Whether an Arrow type is a number, a bool, text or a moment, which pandas treats as its own."""
    import pyarrow as pa

    kind = dtype.pyarrow_dtype
    simple = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_timestamp)
    return any(test(kind) for test in simple) or pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _from_objects(s: pd.Series[Any]) -> pd.Series[Any]:
    if s.dtype != object:
        return s
    absent = s.isna().to_numpy()
    values = s.to_numpy()[~absent]
    kinds = set(map(type, values))
    if not kinds:
        return s
    if all(issubclass(kind, _NUMBERS) and not issubclass(kind, bool) for kind in kinds):
        return _numbers(s, values, absent)
    if all(issubclass(kind, date) for kind in kinds) and not any(getattr(v, "tzinfo", None) for v in values):
        # a date may lie beyond what nanoseconds hold
        resolution = "s" if kinds == {date} else "us"
        dates = np.full(len(s), np.datetime64("NaT"), dtype=f"datetime64[{resolution}]")
        dates[~absent] = np.array(values.tolist(), dtype=dates.dtype)
        return pd.Series(dates, index=s.index, name=s.name)
    return s


def _numbers(s: pd.Series[Any], values: Any, absent: Any) -> pd.Series[Any]:
    """Floats; whole numbers that floats would merge stay whole, as numbers of an account do."""
    floats = np.array([float(v) for v in values])
    whole = bool(np.isfinite(floats).all()) and all(v == int(v) for v in values)
    if whole and np.abs(floats).max() > 2**53:
        exact = np.array([None if gone else int(v) for gone, v in zip(absent, s, strict=True)], dtype=object)
        held = pd.Series(exact, index=s.index, name=s.name)
        for nullable, dtype in ((pd.Int64Dtype(), np.int64), (pd.UInt64Dtype(), np.uint64)):
            try:
                held = held.astype(nullable)
            except (OverflowError, TypeError, ValueError):  # beyond 64 bits they stay objects
                continue
            return held if absent.any() else held.astype(dtype)
        return held
    out = np.full(len(s), np.nan)
    out[~absent] = floats
    return pd.Series(out, index=s.index, name=s.name)
