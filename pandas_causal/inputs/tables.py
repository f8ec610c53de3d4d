"""Tables that are not pandas' (polars, Arrow, DuckDB), converted once by narwhals."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pandas_causal.errors import CausalArgumentError, MissingDependencyError

__all__ = ["is_table", "to_pandas"]

_PROTOCOLS = ("__dataframe__", "__arrow_c_stream__", "__narwhals_dataframe__")


def is_table(X: object) -> bool:
    """Whether it has named columns and is not pandas'."""
    if isinstance(X, pd.DataFrame | pd.Series) or not hasattr(X, "columns"):
        return False
    return any(hasattr(X, protocol) for protocol in _PROTOCOLS)


def to_pandas(table: object) -> pd.DataFrame:
    """Convert a table; its names stay, its rows are numbered.

    Raises
    ------
    CausalArgumentError
        For anything that is no table.
    MissingDependencyError
        If narwhals, which converts, is not installed.
    """
    try:
        import narwhals as nw
    except ImportError:
        raise MissingDependencyError("narwhals", "arrow") from None
    given: Any = table
    try:
        native = nw.from_native(given)
    except TypeError:
        raise CausalArgumentError(
            f"expected a table (pandas, polars, Arrow, DuckDB), got {type(table).__name__}"
        ) from None
    eager = native.collect() if isinstance(native, nw.LazyFrame) else native
    converted: pd.DataFrame = eager.to_pandas()
    return converted
