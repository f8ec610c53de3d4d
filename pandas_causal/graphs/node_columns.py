"""Nodes as columns: what values a node takes, how its parents' values become numbers, and how they are written back.

Inside a structural model a continuous node is a float64 array and a discrete one an array of positions in its levels,
so that a million rows of strings are never compared as strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalWarning, GraphError, Problem, suggest, warn
from pandas_causal.inputs.arms import plain
from pandas_causal.inputs.column_rules import as_float, infinite, is_numeric, rounded
from pandas_causal.inputs.parameters import is_word
from pandas_causal.inputs.plain_columns import plain_column, select_columns
from pandas_causal.inputs.roles import check_columns
from pandas_causal.kernels.arrays import Bools, Floats, Values

__all__ = ["Column", "chosen_rows", "read_columns", "select_nodes", "stack_features", "warn_of_dropped"]

MAX_DISCRETE_NUMBERS = 10
MAX_LEVELS = 50


@dataclass(frozen=True, eq=False)
class Column:
    """What is known of a node's values.

    Attributes
    ----------
    name : hashable
    dtype : dtype of the caller's column
    levels : Series or None
        Distinct values in category or sorted order, in the caller's dtype; None for a continuous node.
    numbers : ndarray or None
        The levels as numbers, where they are numbers or bools.
    """

    name: Any
    dtype: Any
    levels: pd.Series[Any] | None
    numbers: Floats | None

    @classmethod
    def learn(cls, x: pd.Series[Any], discrete: bool | None = None) -> Column:
        """Learn the levels of a column.

        Bools, categories and strings are discrete, and numbers with two distinct values, whichever they are, or at most
        10 whole ones; `discrete` says otherwise for numbers with more than 2.
        """
        text = not is_numeric(x) or pd.api.types.is_bool_dtype(x.dtype)
        if not text and not discrete:
            discrete = _few_whole_numbers(as_float(x), MAX_DISCRETE_NUMBERS if discrete is None else 2)
        if not text and not discrete:
            return cls(x.name, x.dtype, None, None)
        levels = _levels(x)
        if len(levels) > MAX_LEVELS:
            remedy = "merge rare levels, or leave the node out of the graph"
            if not text:
                remedy = "leave it continuous (no classifier), or merge values"
            raise CausalDataError(
                [Problem(str(x.name), f"has {len(levels):,} levels, over {MAX_LEVELS}", None, remedy)]
            )
        return cls(x.name, x.dtype, levels, as_float(levels) if is_numeric(levels) else None)

    @property
    def discrete(self) -> bool:
        """Whether the node takes one of a few levels."""
        return self.levels is not None

    @property
    def plain_levels(self) -> list[Any]:
        """The levels as Python objects."""
        return [] if self.levels is None else self.levels.astype(object).tolist()

    def read(self, x: pd.Series[Any]) -> Values:
        """Values (n,) as numbers or positions; a level never seen is an error."""
        if self.levels is None:
            return as_float(x)
        if self.numbers is not None:
            position = np.searchsorted(self.numbers, as_float(x)).clip(max=len(self.numbers) - 1)
            codes = np.where(self.numbers[position] == as_float(x), position, -1)
        else:
            codes = pd.Index(self.plain_levels, dtype=object).get_indexer(pd.Index(x.astype(object), dtype=object))
        unseen = codes < 0
        if unseen.any():
            first = plain(x[unseen].iloc[0])
            remedy = f"levels seen when the model was fitted: {self.plain_levels}"
            raise CausalDataError([Problem(str(self.name), f"holds {first!r}, never seen", int(unseen.sum()), remedy)])
        return np.asarray(codes, dtype=np.intp)

    def write(self, values: Values, index: pd.Index, *, exact: bool) -> pd.Series[Any]:
        """Values as a Series in the caller's dtype; with `exact` False, a continuous node becomes float64."""
        if self.levels is not None:
            return self.levels.take(values).set_axis(index).rename(self.name)
        out = pd.Series(values, index=index, name=self.name)
        if not exact or self.dtype == np.float64:
            return out
        back = out.astype(self.dtype) if bool(np.isfinite(values).all()) and self._fits(values) else out
        return back if np.array_equal(as_float(back), values) else out

    def _fits(self, values: Values) -> bool:
        """Whether a cast to a whole-number dtype would be exact; pandas' nullable dtypes raise otherwise."""
        return not pd.api.types.is_integer_dtype(self.dtype) or bool((values == np.round(values)).all())

    def features(self, values: Values) -> Floats:
        """Return the node as a regressor (n, q): its numbers, or an indicator of every level but the first."""
        if self.levels is None:
            return np.asarray(values, dtype=float)[:, None]
        if self.numbers is not None:
            return self.numbers[values][:, None]
        return (np.asarray(values)[:, None] == np.arange(1, len(self.levels))).astype(float)

    @property
    def feature_names(self) -> list[str]:
        """Names of the columns of `features`."""
        if self.levels is None or self.numbers is not None:
            return [str(self.name)]
        return [f"{self.name}_{level}" for level in self.plain_levels[1:]]

    def position(self, value: object) -> int:
        """Position of a value among the levels."""
        for k, level in enumerate(self.plain_levels):
            if level == value:
                return k
        hint = (
            "; to set a number between them, make the node continuous: mechanisms={...: 'linear'} (not with two levels)"
        )
        raise CausalArgumentError(
            f"{self.name}: {value!r} is no level of this discrete node{suggest(value, self.plain_levels)}; its levels:"
            f" {self.plain_levels}{hint if self.numbers is not None else ''}"
        )


def _few_whole_numbers(values: Floats, most: int) -> bool:
    """Whether numbers are codes of levels: two values whatever they are (coding changes no number), or whole ones."""
    head = np.unique(values[:1_000])
    if len(head) > most or (len(head) > 2 and not _whole(head)):
        return False
    distinct = np.unique(values)
    return 1 < len(distinct) <= most and (len(distinct) == 2 or _whole(distinct))


def _whole(values: Floats) -> bool:
    return bool((values == np.round(values)).all())


def _levels(x: pd.Series[Any]) -> pd.Series[Any]:
    """Distinct values as a Series of the same dtype, in category or sorted order."""
    if isinstance(x.dtype, pd.CategoricalDtype):
        used = x.cat.categories[np.unique(x.cat.codes.to_numpy())]
        return pd.Series(pd.Categorical(used, dtype=x.dtype))
    distinct = x.drop_duplicates()
    values = distinct.astype(object).tolist()
    try:
        order = sorted(range(len(values)), key=values.__getitem__)
    except TypeError:
        order = sorted(range(len(values)), key=lambda k: str(values[k]))
    return distinct.iloc[order].reset_index(drop=True)  # sort_values makes text of an object column


def stack_features(columns: Iterable[Column], values: Mapping[Any, Values], n: int) -> Floats:
    """Features of several nodes side by side (n, q)."""
    parts = [column.features(values[column.name]) for column in columns]
    return np.hstack(parts) if parts else np.empty((n, 0))


def select_nodes(df: pd.DataFrame, nodes: Sequence[Any], missing: str) -> pd.DataFrame:
    """Columns of the nodes, in the order of df, without missing or infinite values.

    `missing` is the caller's "raise" or "drop"; "never" where the caller offers no way to leave rows out.

    Raises
    ------
    GraphError
        For nodes that are no columns.
    CausalDataError
        For no rows, missing values (with ``missing="raise"``) and infinite ones.
    """
    if not isinstance(df, pd.DataFrame):
        raise CausalArgumentError(f"expected a pandas DataFrame, got {type(df).__name__}")
    if not is_word(missing, ("raise", "drop", "never")):
        raise CausalArgumentError(f"missing={missing!r} is not known; use 'raise' or 'drop'")
    check_columns(df)
    absent = [node for node in nodes if node not in df.columns]
    if absent:
        hint = suggest(absent[0], df.columns)
        raise GraphError(
            f"the nodes {absent} are no columns of the frame{hint}; rename them, or declare what nobody measured:"
            f" CausalGraph(..., latent={absent})"
        )
    wanted = set(nodes)
    frame = select_columns(df, [c for c in df.columns if c in wanted])
    for k, read in enumerate(map(plain_column, (frame[c] for c in frame.columns))):
        if is_numeric(read) and not is_numeric(frame.iloc[:, k]):  # text stays what it was
            frame.isetitem(k, read.array)
    incomplete = frame.isna()
    if missing == "drop" and incomplete.to_numpy().any():
        frame = frame[~incomplete.any(axis=1).to_numpy()]
    problems = [] if missing == "drop" else _missing(incomplete, missing)
    problems += [p for name in frame for p in _not_usable(frame[name])]
    if not len(frame):
        problems = [Problem("the frame", "has no (complete) row", None, "give it some")]
    if problems:
        raise CausalDataError(problems)
    return frame


def chosen_rows(index: pd.Index, rows: Any) -> Bools:
    """Mask (n,) of the rows that a mask or labels choose; all of them where `rows` is None.

    Raises
    ------
    CausalArgumentError
        A mask of another length or index, labels that are none of the index, and rows of no number.
    """
    n = len(index)
    if rows is None:
        return np.ones(n, dtype=bool)
    if isinstance(rows, pd.DataFrame | str) or not pd.api.types.is_list_like(rows):
        what = "a DataFrame: give its index" if isinstance(rows, pd.DataFrame) else repr(rows)
        raise CausalArgumentError(f"rows takes a mask (one bool per row) or a list of labels of the index; got {what}")
    listed = (
        rows if isinstance(rows, pd.Series | pd.Index) else pd.Series(rows if hasattr(rows, "dtype") else list(rows))
    )
    if len(listed) and (
        pd.api.types.is_bool_dtype(listed.dtype) or all(isinstance(v, bool | np.bool_) for v in listed)
    ):
        if len(listed) != n:
            raise CausalArgumentError(f"rows is a mask of {len(listed):,} values for a frame of {n:,} rows")
        if isinstance(rows, pd.Series) and not rows.index.equals(index):
            raise CausalArgumentError("rows is a mask with another index than the frame's; build it from its columns")
        if pd.isna(listed).any():
            raise CausalArgumentError(f"rows is missing (NA) {int(pd.isna(listed).sum()):,} times; fill it with False")
        mask = np.asarray(listed, dtype=bool)
    else:
        labels = pd.Index(listed)
        absent = labels[~labels.isin(index)]
        if len(absent):
            raise CausalArgumentError(
                f"rows names {absent[0]!r}, which is no label of the index{suggest(absent[0], index)}"
            )
        mask = np.asarray(index.isin(labels), dtype=bool)
    if not mask.any():
        raise CausalArgumentError("rows chooses no row; give a mask with a True, or labels of the index")
    return mask


def warn_of_dropped(n: int) -> None:
    """Say how many rows ``missing="drop"`` left out, where no Effect holds the count."""
    if n:
        rows = f"{n:,} row{'s' if n != 1 else ''}"
        warn(f"{rows} with a missing value {'were' if n != 1 else 'was'} left out (missing='drop')", CausalWarning)


def _missing(incomplete: pd.DataFrame, missing: str) -> list[Problem]:
    counts = incomplete.sum()
    leave = "pass missing='drop' to leave these rows out" if missing == "raise" else "leave out these rows: df.dropna()"
    remedy = f"fill them, or {leave}"
    return [Problem(str(name), "is missing (NaN)", int(n), remedy) for name, n in counts.items() if n]


def _not_usable(x: pd.Series[Any]) -> list[Problem]:
    """Infinite values, and types that are neither numbers nor levels."""
    kinds = (pd.CategoricalDtype, pd.StringDtype)
    if is_numeric(x):
        bad = infinite("value")(x) or rounded("value")(x)
        return [bad] if bad else []
    remedy = "convert it to numbers or categories"
    if x.dtype == object:
        odd = int(sum(not pd.api.types.is_hashable(value) for value in x))
        return [Problem(str(x.name), "holds lists or other objects that are no levels", odd, remedy)] if odd else []
    if isinstance(x.dtype, kinds) or pd.api.types.is_string_dtype(x.dtype):
        return []
    return [Problem(str(x.name), f"is neither numeric nor categorical (dtype {x.dtype})", len(x), remedy)]


def read_columns(frame: pd.DataFrame, discrete: Mapping[Any, bool | None]) -> dict[Any, Column]:
    """Learn every column of a frame."""
    return {name: Column.learn(frame[name], discrete.get(name)) for name in frame.columns}
