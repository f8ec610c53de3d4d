"""A role is a column name or an array: resolved here, once, for everyone.

``fit(X, y, treatment=...)`` accepts for every role either an array aligned with X or the name of a column of X, which
is then taken out of the covariates. What comes out is a set of pandas objects on one index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem, suggest
from pandas_causal.inputs.column_rules import (
    Rule,
    all_missing,
    as_float,
    constant,
    enough_arms,
    few_clusters,
    few_repeats,
    infinite,
    labels,
    missing,
    non_negative,
    numeric,
    one_value,
    positive,
    probability,
    rounded,
)
from pandas_causal.inputs.parameters import is_word
from pandas_causal.inputs.plain_columns import plain_column, plain_frame, select_columns
from pandas_causal.inputs.types import Covariates, Outcome
from pandas_causal.kernels.arrays import Bools, Values

__all__ = [
    "COVARIATE",
    "ROLES",
    "Inputs",
    "Role",
    "are_labels",
    "as_frame",
    "check_columns",
    "common_index",
    "resolve",
    "spelled_column",
    "taken_twice",
]

_PIPELINE = (
    "inside a Pipeline a name meets the transformed columns: use set_output(transform='pandas') and "
    "verbose_feature_names_out=False, and let the treatment pass through (remainder='passthrough'); or pass an array"
)


@dataclass(frozen=True)
class Role:
    """What a column can be to a question, and what its values must hold.

    Attributes
    ----------
    rules : tuple of Rule
        Checked before anything is estimated.
    several : bool
        Whether the role may be several columns.
    copied : bool
        Whether covariates are compared with it: a copy of it among them is refused.
    may_miss : bool
        Whether a missing value means something, so that ``missing="drop"`` keeps the row.
    held_out : tuple of Rule or None
        Rules for rows that only score a fitted model, where they differ.
    numbers : tuple of Rule or None
        Rules where the role is read as numbers and not as arms.
    """

    rules: tuple[Rule, ...]
    several: bool = False
    copied: bool = False
    may_miss: bool = False
    held_out: tuple[Rule, ...] | None = None
    numbers: tuple[Rule, ...] | None = None


# Every role, once: schemas, the accessor and scikit-learn's routing of metadata read this table.
ROLES: Mapping[str, Role] = {
    "outcome": Role(
        (numeric("outcome"), missing("outcome"), infinite("outcome"), rounded("outcome"), constant("outcome")),
        copied=True,
        held_out=(
            numeric("outcome"),
            missing("outcome"),
            infinite("outcome"),
            rounded("outcome"),
        ),  # a fold may well have one outcome
    ),
    # arms, or numbers where a design takes them (one column or several): see inputs/treatments.py
    "treatment": Role(
        (labels("treatment"), missing("treatment"), infinite("treatment"), enough_arms),
        several=True,
        copied=True,
        held_out=(missing("treatment"),),
        numbers=(
            numeric("treatment"),
            missing("treatment"),
            infinite("treatment"),
            rounded("treatment"),
            constant("treatment"),
        ),
    ),
    "instrument": Role(
        (
            labels("instrument"),
            missing("instrument"),
            infinite("instrument"),
            rounded("instrument"),
            one_value("instrument"),
        ),
        several=True,
        copied=True,
    ),
    "absorb": Role((labels("absorb", dates=True), missing("absorb"), infinite("absorb")), several=True),
    "running": Role(
        (numeric("running"), missing("running"), infinite("running"), rounded("running"), constant("running")),
        copied=True,
    ),
    "cutoffs": Role((numeric("cutoffs"), missing("cutoffs"), infinite("cutoffs"), rounded("cutoffs"))),
    "mediators": Role(
        (labels("mediator"), missing("mediator"), infinite("mediator"), rounded("mediator"), one_value("mediator")),
        several=True,
    ),
    "unit": Role((labels("unit", dates=True), missing("unit"), infinite("unit"))),
    "time": Role((labels("time", dates=True), missing("time"), infinite("time"), rounded("time"))),
    "cohort": Role((labels("cohort", dates=True), rounded("cohort")), may_miss=True),  # missing: never treated
    "group": Role((labels("group"), missing("group"))),
    "partition": Role((labels("partition"), missing("partition"))),
    "strata": Role((labels("strata", dates=True), missing("strata")), several=True),
    "denominator": Role(
        (numeric("denominator"), missing("denominator"), infinite("denominator"), rounded("denominator"))
    ),
    "cluster": Role((labels("cluster", dates=True), missing("cluster"), few_clusters), several=True),
    "sample_weight": Role(
        (numeric("sample_weight"), missing("sample_weight"), infinite("sample_weight"), non_negative)
    ),
    "propensity": Role((numeric("propensity"), missing("propensity"), probability), several=True),
    "base_weight": Role(
        (numeric("base_weight"), missing("base_weight"), infinite("base_weight"), positive("base_weight"))
    ),
}
COVARIATE: tuple[Rule, ...] = (
    all_missing,
    labels("covariate"),
    few_repeats,
    infinite("covariate"),
    rounded("covariate"),
)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything one fit was given, on one index.

    Attributes
    ----------
    covariates : DataFrame (n, p)
        Columns of X without those taken out as roles.
    outcome : Series (n,) or None
    roles : mapping of str to Series (n,) or DataFrame (n, q)
        Values of every role given; ``.name`` is the column's name or the role's own word.
    taken : mapping of str to tuple of str
        Role to the names of the columns of X that it took.
    columns : Index
        All columns of X.
    named : bool
        Whether X came with column names.
    kept : ndarray (rows of X,) of bool
        Which rows of X these are.
    n_zero_weight : int
        Rows left out because their weight is 0.
    """

    covariates: pd.DataFrame
    outcome: pd.Series[Any] | None
    roles: Mapping[str, Any]
    taken: Mapping[str, tuple[Any, ...]]
    columns: pd.Index
    named: bool
    kept: Bools
    n_zero_weight: int = 0

    @property
    def index(self) -> pd.Index:
        """Labels of the rows."""
        return self.covariates.index

    @property
    def frame(self) -> pd.DataFrame:
        """Covariates, and the columns of X that were taken out as roles."""
        named = [self.roles[role] for role in self.taken]
        return pd.concat([self.covariates, *named], axis=1) if named else self.covariates

    @property
    def n_dropped(self) -> int:
        """Rows left out because a value is missing."""
        return len(self.kept) - int(self.kept.sum()) - self.n_zero_weight

    def ways(self, role: str) -> dict[str, Values]:
        """Values of a role that may be several columns, by name; none where it was not given."""
        values = self.roles.get(role)
        if values is None:
            return {}
        columns = [values] if isinstance(values, pd.Series) else [values[name] for name in values]
        return {str(column.name): column.to_numpy() for column in columns}

    def joint(self, role: str) -> pd.Series[Any] | None:
        """A role as one column: of several the combinations of their values; None where it was not given."""
        values = self.roles.get(role)
        if values is None or isinstance(values, pd.Series):
            return values
        combined = pd.Series(list(zip(*(values[name] for name in values), strict=True)), index=values.index)
        return combined.rename(" x ".join(map(str, values.columns)))

    def held_out_problems(self) -> list[Problem]:
        """What is wrong with rows that only score a fitted model."""
        columns = {"outcome": self.outcome, **self.roles}
        rules = {role: ROLES[role].held_out or ROLES[role].rules for role in columns}
        problems = [rule(columns[role]) for role in columns if columns[role] is not None for rule in rules[role]]
        return [problem for problem in problems if problem is not None]

    def complete(self, missing: str, *, covariates: bool = False) -> Inputs:
        """Drop rows without outcome or another role where `missing` is "drop"; with "raise" the checks report them.

        Parameters
        ----------
        missing : {"raise", "drop"}
        covariates : bool
            Drop rows with a missing covariate too, for methods that never impute.

        Raises
        ------
        CausalArgumentError
            For another `missing`.
        """
        if not is_word(missing, ("raise", "drop")):
            raise CausalArgumentError(f"missing={missing!r} is not known; use 'raise' or 'drop'")
        if missing == "raise":
            return self
        columns = [self.outcome, *(v for role, v in self.roles.items() if not ROLES[role].may_miss)]
        if covariates and self.covariates.shape[1]:
            columns.append(self.covariates)
        keep = np.ones(len(self.index), dtype=bool)
        for values in columns:
            if values is not None:
                absent = values.isna()
                keep &= ~(absent.any(axis=1) if isinstance(values, pd.DataFrame) else absent).to_numpy(dtype=bool)
        return self if keep.all() else self.take(keep)

    def with_covariates(self, names: Sequence[Any]) -> Inputs:
        """Keep some of the covariates."""
        return replace(self, covariates=select_columns(self.covariates, names))

    def without_covariates(self) -> Inputs:
        """Leave the covariates out, for methods that read none."""
        return replace(self, covariates=self.covariates.iloc[:, :0])

    def weighted(self) -> Inputs:
        """Leave out rows of weight 0, which tell nothing, and count them."""
        weight = self.roles.get("sample_weight")
        if weight is None:
            return self
        keep = as_float(weight) > 0
        return self if keep.all() else replace(self.take(keep), n_zero_weight=int((~keep).sum()))

    def take(self, keep: Bools) -> Inputs:
        """Keep some rows."""
        kept = self.kept.copy()
        kept[self.kept] = keep
        return replace(
            self,
            covariates=self.covariates[keep],
            outcome=None if self.outcome is None else self.outcome[keep],
            roles={role: values[keep] for role, values in self.roles.items()},
            kept=kept,
        )


def as_frame(X: Covariates, n_rows: int | None = None) -> tuple[pd.DataFrame, bool]:
    """Return X as a DataFrame (without a copy where it is one) and whether it had column names."""
    if X is None:
        if n_rows is None:
            raise CausalDataError("without X an outcome is needed, to know the rows")
        return pd.DataFrame(index=pd.RangeIndex(n_rows)), True
    if isinstance(X, pd.DataFrame):
        check_columns(X)
        return plain_frame(X), True
    if isinstance(X, pd.Series):
        raise CausalDataError("X must be two-dimensional, got a Series. Reshape your data: use series.to_frame()")
    from sklearn.utils import check_array

    try:
        array = check_array(X, dtype=None, ensure_all_finite=False, input_name="X")
    except TypeError as error:  # scikit-learn's type of error for sparse input is part of its contract
        raise TypeError(str(error)) from None
    except ValueError as error:
        raise CausalDataError(str(error)) from None
    if array.dtype.kind == "O":
        array = np.asarray(X, dtype=object)
    frame = pd.DataFrame(array, columns=[f"x{j}" for j in range(array.shape[1])], copy=False)
    return plain_frame(frame), False


def check_columns(X: pd.DataFrame) -> None:
    """Refuse MultiIndex columns and names that stand twice."""
    if isinstance(X.columns, pd.MultiIndex):
        raise CausalDataError(
            "the columns are a MultiIndex; flatten them: df.columns = ['_'.join(c) for c in df.columns]"
        )
    if X.columns.hasnans:
        raise CausalDataError("a column has no name (NaN); name it: df.columns = [...]")
    if not X.columns.is_unique or len({str(c) for c in X.columns}) < len(X.columns):
        texts = X.columns.map(str)
        twice = texts[texts.duplicated() | X.columns.duplicated()].unique().tolist()  # 1 and True are one label too
        raise CausalDataError(
            [Problem(str(c), "stands more than once among the columns", None, "rename one") for c in twice]
        )


def resolve(
    X: Covariates,
    y: Outcome,
    roles: Mapping[str, Any],
    *,
    single: Collection[str] = (),
    outcome: bool = True,
) -> Inputs:
    """Resolve every role against X and compare indexes.

    Parameters
    ----------
    X : DataFrame, array-like (n, p) or None
    y : array-like (n,) or None
    roles : mapping of str to name, array-like or None
        None: the role was not given.
    single : collection of str
        Roles that are one column here, though other questions take several.
    outcome : bool
        Whether y is required.

    Raises
    ------
    CausalDataError
        Unknown names, different lengths, different indexes.
    """
    if outcome and y is None:
        raise CausalDataError(
            "requires y to be passed, but the target y is None: pass the outcome, fit(X, y, treatment=...)"
        )
    frame, named = as_frame(X, None if y is None else _length(y))
    taken: dict[str, tuple[Any, ...]] = {}
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for role, value in roles.items():
        if value is None:
            continue
        several = ROLES[role].several and role not in single
        try:
            names = _names(frame, value, role, several)
        except KeyError as error:
            problems.append(_absent(error.args[0], role, frame))
            continue
        if several and isinstance(value, list | tuple) and names is None and _are_arrays(value, len(frame)):
            ways = {f"{role} {k}": _bare(way) for k, way in enumerate(value)}
            values[role] = pd.DataFrame(ways, index=frame.index)
        elif names is not None:
            taken[role] = tuple(names)
            values[role] = frame[names[0]] if len(names) == 1 else select_columns(frame, names)
        else:
            values[role] = _as_series(value, role, len(frame), problems, columns=several)
    problems += taken_twice(taken)
    if problems:
        raise CausalDataError(problems)
    y_series = None if y is None else _as_series(y, "outcome", len(frame), problems)
    if problems:
        raise CausalDataError(problems)
    index = _common_index(X, y, roles, frame)
    values = {r: v if r in taken else _relabel(v, index) for r, v in values.items()}
    drop = {name for names in taken.values() for name in names}
    covariates = select_columns(frame, [c for c in frame.columns if c not in drop]) if drop else frame
    if covariates.index is not index:
        covariates = covariates.set_axis(index)
        values = {r: _relabel(v, index) for r, v in values.items()}
    return Inputs(
        covariates=covariates,
        outcome=None if y_series is None else _relabel(y_series, index),
        roles=values,
        taken=taken,
        columns=frame.columns,
        named=named,
        kept=np.ones(len(covariates), dtype=bool),
    )


def _relabel(values: Any, index: pd.Index) -> Any:
    return values if values.index is index else values.set_axis(index)


def _length(y: Outcome) -> int:
    return len(y if isinstance(y, Sized) else np.asarray(y))


def _names(frame: pd.DataFrame, value: Any, role: str, multi: bool) -> list[Any] | None:
    """Return column names if `value` names some, None if it is an array; KeyError for an unknown name."""
    if isinstance(value, str):
        if value in frame.columns:
            return [value]
        raise KeyError(value)
    if pd.api.types.is_hashable(value) and value in frame.columns:  # a tuple may be a name
        return [value]
    spelled = spelled_column(value, frame)
    if spelled is not None:
        return [spelled]
    if _is_strings(value) and all(isinstance(g, str) for g in value):
        return _listed(frame, value, role, multi)
    if multi and isinstance(value, list | tuple) and not len(value):
        raise CausalArgumentError(f"{role}={value!r} names no column")
    if multi and are_labels(value, frame):
        return list(value)
    if np.isscalar(value):
        raise CausalArgumentError(f"{role}={value!r} is neither a column of X nor an array with one value per row")
    return None


def _listed(frame: pd.DataFrame, value: Sequence[str], role: str, multi: bool) -> list[Any] | None:
    """Column names if a list of strings names columns, None if it holds a value per row."""
    unknown = [g for g in value if g not in frame.columns]
    if unknown and (not multi or len(value) == len(frame)):
        return None
    if unknown:
        raise KeyError(unknown[0])
    if not multi and len(value) > 1 and len(value) != len(frame):
        raise CausalArgumentError(f"{role}={list(value)!r} names {len(value)} columns; this question takes one")
    return list(value) if multi or len(value) == 1 else None


def are_labels(value: Any, frame: pd.DataFrame) -> bool:
    """Whether a list names columns whose labels are no text (a list as long as the frame is a value per row)."""
    return (
        isinstance(value, list | tuple)
        and 0 < len(value) != len(frame)
        and all(pd.api.types.is_hashable(label) and label in frame.columns for label in value)
    )


def spelled_column(value: Any, frame: pd.DataFrame) -> str | None:
    """Column whose name scikit-learn sliced into characters, as it does when a name has one letter per row.

    scikit-learn takes a str of length n for an array of n samples and passes on a list of some of its letters. A list
    of single characters, one per row, that are letters of exactly one column's name (repeats counted) is that name.
    """
    if not isinstance(value, list | np.ndarray) or len(value) != len(frame):
        return None
    letters = value if isinstance(value, list) else value.tolist()
    if not letters or not all(isinstance(c, str) and len(c) == 1 for c in letters):
        return None
    need = Counter(letters)
    fits = [c for c in frame.columns if isinstance(c, str) and len(c) >= len(letters) and not need - Counter(c)]
    if len(fits) > 1:
        raise CausalArgumentError(
            f"a role's name with one letter for every row was sliced into letters by scikit-learn, and these fit the"
            f" columns {fits}: pass the role as an array, or rename one"
        )
    return fits[0] if fits else None


def _absent(name: Any, role: str, frame: pd.DataFrame) -> Problem:
    if name in frame.index.names:
        message = f"is given as {role} and is a level of the index, not a column"
        return Problem(str(name), message, None, "make it a column: X.reset_index(), and y alike")
    hint = suggest(name, frame.columns)
    known = ", ".join(map(repr, frame.columns[:8]))
    return Problem(
        str(name),
        f"is given as {role} but is no column of X{hint}",
        None,
        f"columns are {known}{', ...' if frame.shape[1] > 8 else ''}; {_PIPELINE}",
    )


def taken_twice(taken: Mapping[str, Sequence[Any]]) -> list[Problem]:
    """Columns that stand in two roles."""
    seen: dict[Any, str] = {}
    problems = []
    for role, names in taken.items():
        for name in names:
            if seen.get(name) == role:
                problems.append(Problem(str(name), f"is given twice as {role}", None, "name it once"))
            elif name in seen:
                problems.append(Problem(str(name), f"is both {seen[name]} and {role}", None, "a column has one role"))
            seen[name] = role
    return problems


def _as_series(value: Any, role: str, n: int, problems: list[Problem], columns: bool = False) -> Any:
    """Return an array-like role as a Series (or a DataFrame where it may have several columns)."""
    if isinstance(value, pd.Series | pd.DataFrame):
        out = value.iloc[:, 0] if isinstance(value, pd.DataFrame) and value.shape[1] == 1 else value
    elif isinstance(value, pd.Index | pd.api.extensions.ExtensionArray):
        out = pd.Series(value, name=role)
    else:
        if hasattr(value, "toarray"):
            raise TypeError(f"Sparse {role} is not supported; pass a dense array")
        array = np.asarray(value) if not _is_strings(value) else np.asarray(value, dtype=object)
        if array.ndim == 2 and array.shape[1] == 1:
            from sklearn.utils import column_or_1d

            array = column_or_1d(array, warn=True)
        if array.ndim not in (1, 2):
            raise CausalDataError([Problem(role, f"has {array.ndim} dimensions", None, "pass one value per row")])
        out = pd.Series(array, name=role) if array.ndim == 1 else pd.DataFrame(array)
    if len(out) != n:
        problems.append(
            Problem(
                role,
                f"has {len(out):,} values for {n:,} rows (inconsistent numbers of samples)",
                None,
                "align it with X",
            )
        )
    if isinstance(out, pd.DataFrame) and not columns:
        problems.append(Problem(role, f"has {out.shape[1]} columns", None, "pass one value per row"))
    if isinstance(out, pd.Series) and out.name is None:
        out = out.rename(role)
    return plain_frame(out) if isinstance(out, pd.DataFrame) else plain_column(out)


def _are_arrays(values: Sequence[Any], n: int) -> bool:
    """Whether a list holds arrays with a value per row, not the values themselves."""
    return len(values) > 0 and all(not np.isscalar(g) and hasattr(g, "__len__") and len(g) == n for g in values)


def _bare(values: Any) -> Any:
    return values.array if isinstance(values, pd.Series | pd.Index) else np.asarray(values)


def _is_strings(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and any(isinstance(g, str) for g in value)


def _common_index(X: Covariates, y: Outcome, roles: Mapping[str, Any], frame: pd.DataFrame) -> pd.Index:
    """Index shared by all pandas inputs; two that differ, in order too, are refused, never used by position."""
    index = common_index({"X": X, "y": y, **roles})
    return frame.index if index is None else index


def common_index(values: Mapping[str, Any]) -> pd.Index | None:
    """Index shared by all pandas objects among named values; None where there is none.

    Raises
    ------
    CausalDataError
        Where two indexes differ, in order too: values are never used by position then.
    """
    labelled = {k: v.index for k, v in values.items() if isinstance(v, pd.Series | pd.DataFrame)}
    if not labelled:
        return None
    first, index = next(iter(labelled.items()))
    problems = []
    for name, other in labelled.items():
        if other is not index and not index.equals(other):
            hashes = [np.sort(pd.util.hash_pandas_object(i).to_numpy()) for i in (index, other)]
            same = bool(np.array_equal(hashes[0], hashes[1]))
            difference = "the same labels in another order" if same else "different labels"
            problems.append(
                Problem(
                    name,
                    f"its index has {difference} than {first}'s",
                    None,
                    f"align it: {name}.reindex({first}.index), or pass .to_numpy()",
                )
            )
    if problems:
        raise CausalDataError(problems)
    return index
