"""P(outcome | do(treatment), given) at the frequencies of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalDataError, GraphError, Problem, suggest
from pandas_causal.identification.formula import Conditional as Probability
from pandas_causal.identification.formula import Expression, Ratio, postorder
from pandas_causal.identification.frequencies import Frequencies, Table, evaluate_formula, multiply, total
from pandas_causal.kernels.arrays import Floats, Positions

if TYPE_CHECKING:
    from pandas_causal.graphs.graph import CausalGraph
    from pandas_causal.graphs.indexed import IndexedGraph

__all__ = ["columns_of", "plug_in"]


def columns_of(graph: CausalGraph, columns: Any) -> None:
    """Refuse a graph with a node that is neither a column nor latent.

    Raises
    ------
    GraphError
        Naming the nodes and the two remedies.
    """
    absent = [v for v in graph.nodes if v not in graph.latent and v not in columns]
    if absent:
        shown = ", ".join(f"{v!r}{suggest(v, columns)}" for v in absent[:6]) + (", ..." if len(absent) > 6 else "")
        are_nodes = "is a node" if len(absent) == 1 else f"are {len(absent)} nodes"
        latent = "[" + ", ".join(repr(v) for v in absent[:6]) + (", ...]" if len(absent) > 6 else "]")
        raise GraphError(
            f"{shown} {are_nodes} of the graph and no column of the frame; where nobody measured it, say so:"
            f" CausalGraph(..., latent={latent})"
        )


def plug_in(
    expression: Expression,
    graph: IndexedGraph,
    frame: pd.DataFrame,
    roles: Sequence[Sequence[Any]],
    weights: Any = None,
) -> pd.DataFrame:
    """Return a row per combination of values of treatments, outcomes and given nodes, with its probability.

    Parameters
    ----------
    expression : Expression
        The functional.
    graph : IndexedGraph
    frame : DataFrame
        With a column per observed node of the functional.
    roles : treatments, outcomes, given
        Names, in the order of the columns of the result.
    weights : name of a column, array or Series, optional
        How many rows a row stands for.

    Raises
    ------
    CausalDataError
        An absent column, a missing value, too many cells, or an empty cell, by name.
    """
    shown = tuple(graph.positions[v] for group in roles for v in group)
    variables = sorted(expression.free.union(shown, *(n.free for n in postorder(expression))))
    frequencies, levels = _frequencies(graph, frame, variables, weights)
    leaves = _leaves(expression, frequencies)
    table = _shaped(evaluate_formula(expression, leaves, frequencies), shown, expression.free, frequencies)
    if np.isnan(table.values).any():
        _refuse_empty(expression, leaves, shown, frequencies, levels)
    index = np.indices(table.values.shape).reshape(len(shown), -1)
    columns = {graph.names[v]: levels[v].take(index[k]) for k, v in enumerate(shown)}
    result = pd.DataFrame({**columns, "probability": table.values.ravel()})
    averaged = [graph.names[v] for v in sorted(expression.free.difference(shown))]
    if averaged:
        result.attrs["averaged_over"] = averaged
    return result


def _leaves(expression: Expression, frequencies: Frequencies) -> dict[int, Table]:
    return {
        id(n): frequencies.conditional(n.left, n.given) for n in postorder(expression) if isinstance(n, Probability)
    }


def _shaped(table: Table, shown: tuple[int, ...], free: frozenset[int], frequencies: Frequencies) -> Table:
    """Average free variables over their joint share in the frame, and give every shown variable an axis, in order."""
    other = tuple(sorted(free.difference(shown)))
    if other:
        table = total(multiply(table, frequencies.joint(other), frequencies), other)
    ones = Table(shown, np.ones(frequencies.room(shown)))
    return multiply(ones, table, frequencies)


def _frequencies(
    graph: IndexedGraph, frame: pd.DataFrame, variables: Sequence[int], weights: Any
) -> tuple[Frequencies, dict[int, pd.Index]]:
    """Code the columns by their sorted levels; categories that no row has are ignored."""
    problems: list[Problem] = []
    codes: dict[int, Positions] = {}
    levels: dict[int, pd.Index] = {}
    if not len(frame):
        raise CausalDataError("the frame has no rows")
    for v in variables:
        name = graph.names[v]
        if name not in frame.columns:
            message = f"is part of the functional but no column of the frame{suggest(name, frame.columns)}"
            problems.append(Problem(str(name), message, None, "give the column"))
            continue
        column = frame[name]
        if isinstance(column, pd.DataFrame):
            problems.append(Problem(str(name), "is the name of several columns", None, "give each its own name"))
            continue
        missing = int(column.isna().sum())
        if missing:
            problems.append(Problem(str(name), "is missing", missing, "drop these rows or fill them in"))
            continue
        try:
            codes[v], levels_of_column = _coded(column)
        except TypeError:
            problems.append(Problem(str(name), "holds values that are no single values", None, "give plain values"))
            continue
        levels[v] = pd.Index(levels_of_column)
    if problems:
        raise CausalDataError(problems)
    sizes = {v: len(x) for v, x in levels.items()}
    return Frequencies(codes, sizes, _weights(frame, weights), graph.names), levels


def _coded(column: pd.Series) -> tuple[Positions, Any]:
    """Codes and sorted levels; levels of mixed types keep the order in which they come."""
    try:
        return pd.factorize(column, sort=True)
    except TypeError:
        return pd.factorize(column)


def _weights(frame: pd.DataFrame, weights: Any) -> Floats:
    if weights is None:
        return np.ones(len(frame))
    if isinstance(weights, str):
        if weights not in frame.columns:
            message = f"is given as sample_weight but is no column of the frame{suggest(weights, frame.columns)}"
            raise CausalDataError([Problem(weights, message, None, "give the name of a column")])
        weights = frame[weights]
    elif isinstance(weights, pd.Series) and not weights.index.equals(frame.index):
        raise CausalDataError("sample_weight has another index than the frame; align it first")
    try:
        numbers = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise CausalDataError("sample_weight holds values that are no numbers") from None
    if numbers.shape != (len(frame),):
        raise CausalDataError(f"sample_weight has shape {numbers.shape}; it needs one number per row, {len(frame):,}")
    bad = int(np.sum(~np.isfinite(numbers) | (numbers < 0)))
    if bad or not numbers.sum() > 0:
        raise CausalDataError(
            [Problem("sample_weight", "is negative, missing or 0 throughout", bad, "give weights >= 0")]
        )
    return numbers


def _refuse_empty(
    expression: Expression,
    leaves: dict[int, Table],
    shown: tuple[int, ...],
    frequencies: Frequencies,
    levels: dict[int, pd.Index],
) -> None:
    """Raise the error that names an empty cell which the functional needs.

    A part of the formula is to blame where the result is known once every other unknown number is given. Within it, the
    cell is found by halving the unknown cells.
    """
    nodes = {id(n): n for n in postorder(expression)}

    def unknown(trial: dict[int, Table]) -> bool:
        table = _shaped(evaluate_formula(expression, trial, frequencies), shown, expression.free, frequencies)
        return bool(np.isnan(table.values).any())

    filled = {k: Table(t.axes, np.where(np.isnan(t.values), 0.5, t.values)) for k, t in leaves.items()}
    for key, table in leaves.items():
        holes = np.flatnonzero(np.isnan(table.values))
        node = nodes[key]
        if not holes.size or not isinstance(node, Probability) or not unknown({**filled, key: table}):
            continue
        while holes.size > 1:
            first = holes[: holes.size // 2]
            values = filled[key].values.copy()
            values.flat[first] = np.nan
            holes = first if unknown({**filled, key: Table(table.axes, values)}) else holes[holes.size // 2 :]
        at = np.unravel_index(int(holes[0]), table.values.shape)
        where = _cell(node.given, at[: len(node.given)], frequencies, levels)
        left = frequencies.names[node.left]
        raise CausalDataError(
            f"no row has {where}, so P({left} | {', '.join(str(frequencies.names[v]) for v in node.given)}) is unknown"
            " there and the functional needs it; merge rare values, or ask about a smaller part of the population"
        )
    for node in nodes.values():
        if isinstance(node, Ratio):
            below = evaluate_formula(node.below, leaves, frequencies)
            empty = np.argwhere(below.values == 0)
            if empty.size:
                where = _cell(below.axes, empty[0], frequencies, levels)
                raise CausalDataError(f"the functional divides by a probability that is 0 in this frame, at {where}")
    raise CausalDataError("the functional is unknown at the frequencies of this frame: it divides by 0")


def _cell(axes: Sequence[int], at: Sequence[Any], frequencies: Frequencies, levels: dict[int, pd.Index]) -> str:
    return ", ".join(f"{frequencies.names[v]} = {levels[v][int(k)]!s}" for v, k in zip(axes, at, strict=True))
