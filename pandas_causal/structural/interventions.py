"""Interventions: what is done to a node, whatever its parents say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.graphs.node_columns import Column
from pandas_causal.kernels.arrays import Positions, Values
from pandas_causal.structural.coupling import invert_cdf

__all__ = ["Intervention", "Shift", "describe", "in_order", "read_intervention"]


@dataclass(frozen=True)
class Shift:
    """Add an amount to what a node would have been: ``model.do({"dose": Shift(10)})``.

    Attributes
    ----------
    amount : float
        In the node's units.
    """

    amount: float


@dataclass(frozen=True, eq=False)
class Intervention:
    """An intervention on one node, read and checked.

    Attributes
    ----------
    column : Column
    constant : value or None
        Position or number that an atomic intervention sets.
    change : callable or None
        ``(natural values (n,), frame of the nodes before) -> values``, of a shift or a function.
    draw : callable or None
        ``(n, rng) -> values``, of a stochastic intervention.
    """

    column: Column
    constant: Any = None
    change: Callable[[Values, Callable[[], pd.DataFrame]], Values] | None = None
    draw: Callable[[int, np.random.Generator], Values] | None = None

    @property
    def needs_natural(self) -> bool:
        """Whether it depends on what the node would have been."""
        return self.change is not None

    @property
    def random(self) -> bool:
        """Whether it draws."""
        return self.draw is not None

    def apply(
        self, natural: Values | None, before: Callable[[], pd.DataFrame], n: int, rng: np.random.Generator
    ) -> Values:
        """Values (n,) under the intervention."""
        if self.draw is not None:
            return self.draw(n, rng)
        if self.change is not None and natural is not None:
            return self.change(natural, before)
        dtype = np.intp if self.column.discrete else np.float64
        return np.full(n, self.constant, dtype=dtype)


def read_intervention(column: Column, value: Any) -> Intervention:
    """Read what a user asked of a node: a value, a Shift, a function, or a distribution.

    Raises
    ------
    CausalArgumentError
        For anything else, and for values that the node cannot take.
    """
    name = column.name
    if isinstance(value, Shift):
        return Intervention(column, change=_shift(column, value))
    if isinstance(value, Mapping):
        return Intervention(column, draw=_by_levels(column, value))
    if hasattr(value, "rvs"):
        return Intervention(column, draw=lambda n, rng: _checked(column, value.rvs(size=n, random_state=rng), n))
    if callable(value):
        return Intervention(column, change=_function(column, value))
    if value is None or not pd.api.types.is_scalar(value) or pd.isna(value):
        raise CausalArgumentError(
            f"an intervention on {name!r} is a value, Shift(amount), a function of the natural values, a dict of level"
            f" to probability, or a distribution with rvs(size=, random_state=); got {type(value).__name__} {value!r}"
        )
    if column.discrete:
        return Intervention(column, constant=column.position(value))
    number = isinstance(value, int | float | np.number | np.bool_) and np.isfinite(float(value))
    if not number:
        raise CausalArgumentError(f"{name} is numeric; it cannot be set to {value!r}")
    return Intervention(column, constant=float(value))


def in_order(done: Intervention, order: Positions) -> Intervention:
    """Return the intervention for rows that were sorted: a function still meets them in the order they were given."""
    change = done.change
    if change is None:
        return done
    back = np.empty_like(order)
    back[order] = np.arange(len(order))

    def sorted_change(natural: Values, before: Callable[[], pd.DataFrame]) -> Values:
        return change(natural[back], lambda: before().iloc[back].reset_index(drop=True))[order]

    return replace(done, change=sorted_change)


def describe(value: Any) -> str:
    """Name an intervention in the row of an effect."""
    if value is None:
        return "as is"
    if isinstance(value, Shift):
        return f"shift {value.amount:+g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{level}: {p:g}" for level, p in value.items()) + "}"
    if hasattr(value, "rvs"):
        return str(getattr(getattr(value, "dist", None), "name", type(value).__name__))
    return getattr(value, "__name__", type(value).__name__) if callable(value) else str(value)


def _checked(column: Column, raw: Any, n: int) -> Values:
    """Values that a function or distribution gave, as the node's own."""
    if np.ndim(raw) == 0 or len(raw) != n:
        rows = "one value" if np.ndim(raw) == 0 else f"{len(raw):,} values"
        raise CausalDataError(f"{column.name}: the intervention gave {rows} for {n:,} rows")
    if column.discrete:
        series = raw if isinstance(raw, pd.Series) else pd.Series(np.asarray(raw))
        return column.read(series.rename(column.name))
    try:
        out = np.asarray(raw, dtype=float)
    except (TypeError, ValueError):
        raise CausalDataError(f"{column.name}: the intervention gave values that are no numbers") from None
    if not np.isfinite(out).all():
        raise CausalDataError(f"{column.name}: the intervention gave {int((~np.isfinite(out)).sum()):,} NaN or inf")
    return out


def _shift(column: Column, shift: Shift) -> Callable[..., Values]:
    amount = shift.amount
    if isinstance(amount, bool) or not isinstance(amount, int | float | np.number) or not np.isfinite(float(amount)):
        raise CausalArgumentError(f"Shift takes a finite number, got {amount!r}")
    if column.discrete and column.numbers is None:
        raise CausalArgumentError(f"{column.name} has levels {column.plain_levels} and cannot be shifted by a number")

    def change(natural: Values, _: Callable[[], pd.DataFrame]) -> Values:
        numbers = natural if column.numbers is None else column.numbers[natural]
        return _checked(column, numbers + float(amount), len(natural))

    return change


def _function(column: Column, function: Callable[..., Any]) -> Callable[..., Values]:
    try:
        positional = [
            p
            for p in signature(function).parameters.values()
            if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD) and p.default is Parameter.empty
        ]
        two = len(positional) == 2
    except (TypeError, ValueError):  # builtins and ufuncs tell nothing of their arguments
        two = False

    def change(natural: Values, before: Callable[[], pd.DataFrame]) -> Values:
        frame = before() if two else None
        series = column.write(natural, pd.RangeIndex(len(natural)) if frame is None else frame.index, exact=False)
        raw = function(series, frame) if two else function(series)
        return _checked(column, raw, len(natural))

    return change


def _by_levels(column: Column, weights: Mapping[Any, Any]) -> Callable[..., Values]:
    """Stochastic intervention on a few values: a dict of value to probability."""
    try:
        p = np.array([float(v) for v in weights.values()])
    except (TypeError, ValueError):
        p = np.array([-1.0])
    if not len(p) or not (p >= 0).all() or abs(p.sum() - 1) > 1e-9:
        raise CausalArgumentError(f"{column.name}: the probabilities must sum to 1, got {dict(weights)!r}")
    if column.discrete:
        values: Values = np.array([column.position(level) for level in weights], dtype=np.intp)
    else:
        values = np.array([read_intervention(column, level).constant for level in weights], dtype=float)
    return lambda n, rng: values[invert_cdf(np.broadcast_to(p, (n, len(p))), rng.random(n))]
