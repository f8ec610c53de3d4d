"""What is needed to run a study again: the estimator with its settings, the caller's columns, and what was done after.

An estimate says little of what it rests on; the same estimator on changed data (a permuted treatment, another outcome,
a covariate less) says more. A :class:`Study` refers to the columns that a fit was given, without a copy, and is the one
place that perturbs and refits.
"""

from __future__ import annotations

import pickle
import warnings
import zlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError, CausalWarning, Problem
from pandas_causal.inputs.column_rules import as_float
from pandas_causal.inputs.plain_columns import select_columns
from pandas_causal.inputs.roles import ROLES, Inputs, resolve
from pandas_causal.kernels.arrays import Floats, Positions

__all__ = ["Refitted", "Step", "Study"]

E = TypeVar("E")  # Effect, which knows this file


@dataclass(frozen=True, eq=False)
class Step:
    """A map of an effect's rows that is done again after a refit: a method of :class:`Effect` and what it was given."""

    method: str
    args: tuple[Any, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def of(self, effect: E) -> E:
        """The mapped effect."""
        mapped: E = getattr(effect, self.method)(*self.args, **self.settings)
        return mapped


@dataclass(frozen=True, eq=False)
class Refitted:
    """What is read of one refit.

    Attributes
    ----------
    estimates, std_errors, df : ndarray (rows,)
        By the rows of the effect; degrees of freedom are infinite under the normal law.
    """

    estimates: Floats
    std_errors: Floats
    df: Floats


@dataclass(frozen=True, eq=False, repr=False)
class Study(Generic[E]):
    """An estimator and the columns it was fitted to, by reference.

    Attributes
    ----------
    estimator : estimator
        Unfitted, with the settings of the fit.
    inputs : Inputs or None
        Covariates, outcome and roles as they were given. None where they were dropped (``compact()``, pickles): then
        :meth:`on` takes the frame again.
    missing : {"raise", "drop"}
        As given to ``fit``.
    marks : mapping of (role, column) to int
        Hash of every column, by which changed data are refused.
    by_name : bool
        Whether every role is a named column, so that a frame holds all of them.
    post : tuple of Step or None
        What was done to the rows of the effect since (slices, averages); None where a pickle could not hold it.
    frame : DataFrame or None
        The caller's whole frame, where it is known: further columns serve as negative controls.
    graph : CausalGraph or None
        The graph that chose, or judged, the covariates.
    verified : bool
        Whether the data were compared with the hashes already, as :meth:`ready` does before many refits.
    """

    estimator: Any
    inputs: Inputs | None
    missing: str
    marks: Mapping[tuple[str, Hashable], int]
    by_name: bool
    post: tuple[Step, ...] | None = ()
    frame: pd.DataFrame | None = None
    graph: Any = None
    verified: bool = False

    @classmethod
    def of(cls, estimator: Any, inputs: Inputs, missing: str) -> Study[Any]:
        """Study of an estimator about to be fitted to resolved inputs."""
        from sklearn.base import clone

        named = inputs.named and inputs.outcome is not None and set(inputs.roles) <= set(inputs.taken)
        return cls(clone(estimator, safe=False), inputs, missing, _marks(inputs), named)

    # -- what it holds -----------------------------------------------------------------------------------------------

    @property
    def data(self) -> Inputs:
        """Covariates, outcome and roles, unchanged since the fit.

        Raises
        ------
        CausalError
            They were dropped.
        CausalDataError
            They have changed since, with the columns that did.
        """
        if self.inputs is None:
            raise CausalError(
                "this effect was stored without the data it comes from (compact(), or a pickle); give them again:"
                " refute(study=frame)"
            )
        if self.verified:
            return self.inputs
        changed = [key for key, mark in _marks(self.inputs).items() if self.marks.get(key) != mark]
        if changed:
            raise CausalDataError([_changed(role, name) for role, name in changed[:20]])
        return self.inputs

    def names(self, role: str) -> list[Any]:
        """Names of the columns of "covariate", "outcome" or a role."""
        return [name for part, name in self.marks if part == role]

    @property
    def roles(self) -> list[str]:
        """Roles that the fit was given, beside covariates and outcome."""
        return list(dict.fromkeys(role for role, _ in self.marks if role in ROLES and role != "outcome"))

    @property
    def design(self) -> str:
        """What kind of comparison it is: "panel", "discontinuity", "instrument" or "rows"."""
        for role, design in (("running", "discontinuity"), ("time", "panel"), ("instrument", "instrument")):
            if role in self.roles:
                return design
        return "rows"

    def on(self, frame: pd.DataFrame) -> Study[E]:
        """The study with the frame that it was fitted to, where the data were dropped.

        Raises
        ------
        CausalArgumentError
            What is given is no DataFrame, or the fit was given arrays, which no frame holds.
        CausalDataError
            A column is absent or is not what was fitted.
        """
        if not isinstance(frame, pd.DataFrame):
            raise CausalArgumentError(f"study= takes the DataFrame that was fitted to; got {type(frame).__name__}")
        inputs = self._of_frame(frame)
        marks = _marks(inputs)
        changed = [key for key, mark in self.marks.items() if marks.get(key) != mark]
        if changed:
            raise CausalDataError([_changed(role, name) for role, name in changed[:20]])
        return replace(self, inputs=inputs, frame=frame)

    def then(self, method: str, *args: Any, **settings: Any) -> Study[E]:
        """The same study, with one more step after the fit."""
        steps = None if self.post is None else (*self.post, Step(method, args, settings))
        return replace(self, post=steps)

    def ready(self) -> Study[E]:
        """The study of its complete rows, compared with the hashes once and not at every refit."""
        return replace(self, inputs=self.data.complete(self.missing).weighted(), verified=True)

    def without_data(self) -> Study[E]:
        """What is left to store: settings, names and hashes."""
        return replace(self, inputs=None, frame=None, verified=False)

    # -- the one function that perturbs and refits -------------------------------------------------------------------

    def refit(
        self,
        frame: pd.DataFrame | None = None,
        *,
        outcome: Any = None,
        covariates: pd.DataFrame | None = None,
        rows: Positions | None = None,
        estimator: Any = None,
        checked: bool = True,
        **roles: Any,
    ) -> E:
        """Fit again, with a part replaced, and do again what was done to the rows of the effect.

        Parameters
        ----------
        frame : DataFrame, optional
            Other rows with the same columns. By default the rows of the fit.
        outcome : array-like (n,), optional
        covariates : DataFrame (n, p), optional
        rows : ndarray of positions or of bool, optional
            Rows to keep, after the other changes.
        estimator : estimator, optional
            In place of the study's.
        checked : bool
            Rows are not judged a second time. False: they are (other rows, another outcome).
        **roles
            Arrays (n,) in the place of roles; None leaves a role out.

        Returns
        -------
        Effect

        Raises
        ------
        CausalError
            Where the changed data cannot be estimated. Warnings of ours are silenced: they were given with the fit.
        """
        inputs = (self.data if frame is None else self._of_frame(frame)).weighted()
        if self.post is None:
            raise CausalError("what was done to this effect's rows cannot be stored; fit again, and refute that")
        X = inputs.covariates if covariates is None else covariates
        y = inputs.outcome if outcome is None else outcome
        held = {**inputs.roles, **roles}
        if rows is not None:
            X, y = X.iloc[rows], y.iloc[rows] if isinstance(y, pd.Series) else np.asarray(y)[rows]
            held = {role: _take(values, rows) for role, values in held.items()}
        from sklearn.base import clone

        copy = clone(self.estimator if estimator is None else estimator)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CausalWarning)
            fitted = (copy.trusting() if checked else copy).fit(
                X, y, missing=self.missing, **{role: v for role, v in held.items() if v is not None}
            )
            effect: E = fitted.effect()
            for step in self.post:
                effect = step.of(effect)
        return effect

    def __getstate__(self) -> dict[str, Any]:
        """Without the data, and without steps that cannot be stored (a lambda given to ``transform``)."""
        return {**self.__dict__, "inputs": None, "frame": None, "verified": False, "post": _storable(self.post)}

    def __repr__(self) -> str:
        held = "without its data" if self.inputs is None else f"{len(self.inputs.index):,} rows"
        parts = ", ".join(f"{role}={self.names(role)}" for role in ["outcome", *self.roles])
        steps = "" if not self.post else f", then {', '.join(step.method for step in self.post)}"
        return f"Study of {self.estimator!r}: {held}, {parts}, covariates={self.names('covariate')}{steps}"

    # -- private -----------------------------------------------------------------------------------------------------

    def _of_frame(self, frame: pd.DataFrame) -> Inputs:
        """Covariates, outcome and roles by name."""
        if not self.by_name:
            raise CausalArgumentError(
                "this fit was given arrays, which no frame holds: fit again with names of columns"
                " (df.causal.fit(estimator, ...)), or keep the effect itself"
            )
        absent = [(role, name) for role, name in self.marks if name not in frame.columns]
        if absent:
            raise CausalDataError(
                [Problem(str(name), f"was the {role} of the fit and is no column", None, "give the frame that was"
                         " fitted to") for role, name in absent[:20]]
            )  # fmt: skip
        roles = {role: self.names(role) for role in self.roles}
        (outcome,) = self.names("outcome")
        X = select_columns(frame, [*self.names("covariate"), *(n for listed in roles.values() for n in listed)])
        single = [role for role, listed in roles.items() if len(listed) == 1]
        asked = {role: listed[0] if role in single else listed for role, listed in roles.items()}
        return resolve(X, frame[outcome], asked)


def _marks(inputs: Inputs) -> dict[tuple[str, Hashable], int]:
    """Hash of every column, by role and name."""
    marks: dict[tuple[str, Hashable], int] = {}
    for name in inputs.covariates.columns:
        marks["covariate", name] = _mark(inputs.covariates[name])
    if inputs.outcome is not None:
        marks["outcome", inputs.outcome.name] = _mark(inputs.outcome)
    for role, values in inputs.roles.items():
        for column in [values] if isinstance(values, pd.Series) else [values[name] for name in values.columns]:
            marks[role, column.name] = _mark(column)
    return marks


def _mark(column: pd.Series[Any]) -> int:
    """Hash of a column's values, a few hundred microseconds for 100,000 numbers."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _crc(column.cat.codes.to_numpy(), zlib.crc32(repr(list(column.cat.categories)).encode()))
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biufcmM":
        values = column.to_numpy()
        return _crc(values.view(np.int64) if values.dtype.kind in "mM" else values)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _crc(as_float(column))
    try:
        return _crc(pd.util.hash_array(np.asarray(column.array, dtype=object)))
    except TypeError:  # of values that cannot be hashed
        return _crc(pd.util.hash_array(np.array([str(v) for v in column.array], dtype=object)))


def _crc(values: Any, start: int = 0) -> int:
    plain: Any = np.ascontiguousarray(values)
    return zlib.crc32(plain, start)


def _changed(role: str, name: Hashable) -> Problem:
    return Problem(
        str(name), f"({role}) is not what it was when the effect was estimated", None, "give the data that were fitted"
        " to, or fit again",
    )  # fmt: skip


def _take(values: Any, rows: Positions) -> Any:
    if values is None:
        return None
    return values.iloc[rows] if isinstance(values, pd.Series | pd.DataFrame) else np.asarray(values)[rows]


def _storable(steps: Iterable[Step] | None) -> tuple[Step, ...] | None:
    if steps is None:
        return None
    kept = tuple(steps)
    try:
        pickle.dumps(kept)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    return kept
