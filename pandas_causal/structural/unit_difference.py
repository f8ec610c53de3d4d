"""Why two rows differ: their causes, and, under two models, the mechanisms that made them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalWarning, warn
from pandas_causal.kernels.arrays import Bools, Floats, Values
from pandas_causal.structural.attribution import (
    GROUPS,
    AttributionSettings,
    combine_errors,
    noise_of_rows,
    read_rows,
    sentence_of_a_root,
    streams_of,
    warn_of_coupling_of_noise,
    without,
)
from pandas_causal.structural.fitted import FittedModel
from pandas_causal.structural.linear_form import LinearForm, LinearNode, linear_form, means_and_variances
from pandas_causal.structural.shapley import shapley_arrays

__all__ = ["attribute_difference"]

_ROWS = 5
Row = Any


def attribute_difference(
    model: FittedModel,
    rows: tuple[Row, Row],
    target: Hashable,
    other: FittedModel | None,
    settings: AttributionSettings,
) -> pd.DataFrame:
    """Attribution of the difference of two rows; see :meth:`StructuralModel.attribute_difference`."""
    settings.checked()
    model.node(target)
    nodes = tuple(model.simulator.above(target))
    models = (model, model if other is None else other)
    if other is not None and (
        other.simulator.parents != model.simulator.parents or not _same_columns(model, other, nodes)
    ):
        raise CausalArgumentError("both models need the same graph, and columns of the same kinds and levels")
    values = tuple(
        _one_row(side, row, nodes, name) for side, row, name in zip(models, rows, ("row_a", "row_b"), strict=True)
    )
    model.numbers(target, values[0][target])
    if all(np.array_equal(values[0][n], values[1][n]) for n in nodes) and other is None:
        warn("the two rows are identical: there is no difference to attribute", CausalWarning)
    if not sentence_of_a_root(model, target):
        warn_of_coupling_of_noise(model, nodes)
    function = _Function.between(models, values, target, nodes, settings)
    forms = tuple(linear_form(side.simulator, target, side.factual) for side in models)
    inner = [node for node in nodes if model.simulator.parents[node]]
    players = [(node, "cause") for node in nodes] + [(node, "mechanism") for node in inner if other is not None]
    index = pd.MultiIndex.from_tuples(players, names=["node", "part"])
    if other is None and forms[0] is not None:
        table = {"attribution": _of_linear(model, target, nodes, forms[0], function), "std_error": np.zeros(len(nodes))}
        return pd.DataFrame(table, index=index)
    names = pd.Index(players, tupleize_cols=False)
    subsets = settings.of_subsets(len(players), function.size, watched=1)
    found = shapley_arrays(function, names, subsets)
    attribution, error = combine_errors(found, 1)
    return pd.DataFrame({"attribution": attribution[:, 0], "std_error": error[:, 0]}, index=index)


def _same_columns(one: FittedModel, other: FittedModel, nodes: tuple[Any, ...]) -> bool:
    return all(one.columns[n].plain_levels == other.columns[n].plain_levels for n in nodes)


def _one_row(model: FittedModel, row: Row, nodes: tuple[Any, ...], name: str) -> dict[Any, Values]:
    if isinstance(row, Mapping):
        row = pd.Series(dict(row), dtype=object)
    if not isinstance(row, pd.Series | pd.DataFrame):
        raise CausalArgumentError(
            f"{name} is a row: a Series (df.loc[label]), a frame of one row, or a dict; got {type(row).__name__}"
        )
    values, index = read_rows(model, row, nodes)
    if len(index) != 1:
        raise CausalDataError(f"{name} holds {len(index):,} rows; give one, e.g. df.loc[label]")
    return values


def _of_linear(
    model: FittedModel, target: Hashable, nodes: tuple[Any, ...], form: LinearForm, function: _Function
) -> Floats:
    """Change of each noise times its total effect on the target."""
    moved = {}
    for node in nodes:
        noise = (function.noise[0][node][:, 0], function.noise[1][node][:, 0])
        root = not model.simulator.parents[node]
        first, second = (model.columns[node].features(u) if root else u[:, None] for u in noise)
        moved[node] = (second - first)[0]
    still = {n: _with_mean(part, np.zeros_like(part.mean)) for n, part in form.items()}
    shifted = {n: _with_mean(part, moved[n]) for n, part in form.items()}
    alone = np.eye(len(nodes), dtype=bool)
    both = np.concatenate([np.zeros((1, len(nodes)), dtype=bool), alone])
    means, _ = means_and_variances(model.simulator, target, nodes, (still, shifted), both)
    return means[1:] - means[0]


def _with_mean(part: LinearNode, mean: Floats) -> LinearNode:
    return replace(part, mean=mean, intercept=0.0)


@dataclass(frozen=True, eq=False)
class _Function:
    """Mean of the target where a subset of causes (noises) and mechanisms is that of the second row.

    Attributes
    ----------
    models : pair of FittedModel
    noise : pair of mapping of node to ndarray (1, 1 or m, ...)
    target : node
    nodes : tuple of nodes
    size : int
        Draws where a noise is not determined by its row, else 1.
    """

    models: tuple[FittedModel, FittedModel]
    noise: tuple[Mapping[Any, Values], Mapping[Any, Values]]
    target: Any
    nodes: tuple[Any, ...]
    size: int

    @classmethod
    def between(
        cls,
        models: tuple[FittedModel, FittedModel],
        values: tuple[Mapping[Any, Values], ...],
        target: Any,
        nodes: tuple[Any, ...],
        settings: AttributionSettings,
    ) -> _Function:
        noise = []
        for model, row in zip(models, values, strict=True):
            # one seed for both: noise that two equal rows leave open is the same in both
            seeds = streams_of(models[0], settings.seed, _ROWS)
            noise.append({n: noise_of_rows(model, n, row, settings.size, seeds[n]) for n in nodes})
        size = max(u.shape[1] for part in noise for u in part.values())
        return cls(models, (noise[0], noise[1]), target, nodes, size)

    def __call__(self, masks: Bools) -> Floats:
        first, m = self.models[0].simulator, self.size
        n = len(masks) * m
        inner = [node for node in self.nodes if first.parents[node]]
        mechanism_at = {node: len(self.nodes) + j for j, node in enumerate(inner)}
        state: dict[Any, Values] = {}
        for k, node in enumerate(self.nodes):
            old, new = (np.broadcast_to(side[node], (1, m, *side[node].shape[2:]))[0] for side in self.noise)
            inside = masks[:, k].reshape(-1, *[1] * old.ndim)
            noise = np.where(inside, new[None], old[None]).reshape(n, *old.shape[1:])
            parents = first.parents_of(node, state, n)
            swapped = np.zeros(n, dtype=bool)
            if masks.shape[1] > len(self.nodes) and node in mechanism_at:
                swapped = np.repeat(masks[:, mechanism_at[node]], m)
            out = self.models[0].simulator.mechanisms[node].value(parents, noise)
            if swapped.any():
                again = self.models[1].simulator.mechanisms[node].value(parents, noise)
                out = np.where(swapped, again, out)
            state[node] = out
        numbers = self.models[0].numbers(self.target, state[self.target]).reshape(len(masks), m)
        if m == 1:
            return np.repeat(numbers, 1 + GROUPS, axis=1)
        return np.stack([part.mean(axis=1) for part in without(numbers)], axis=1)
