"""The arrays of one fit of a structural model."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, GraphError, Problem, suggest
from pandas_causal.graphs.node_columns import Column
from pandas_causal.kernels.arrays import Floats, Positions, Values
from pandas_causal.structural.interventions import Intervention, read_intervention
from pandas_causal.structural.learning import LearningSettings, learn
from pandas_causal.structural.mechanisms import Fitted
from pandas_causal.structural.simulation import Simulator

__all__ = ["FittedModel", "in_given_order"]


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedModel:
    """What a fitted :class:`StructuralModel` knows.

    Attributes
    ----------
    columns : mapping of node to Column
        In the order of the fitted frame.
    simulator : Simulator
        The fitted mechanisms, in causal order.
    factual : mapping of node to ndarray (n,)
        The fitted rows, sorted by their labels.
    index : Index (n,)
        Labels of the rows as given.
    row_order : ndarray (n,) or None
        Positions by which the given rows were sorted.
    specs : mapping of node to specification
        What was asked for every mechanism.
    settings : LearningSettings
    n_dropped : int
        Rows left out because a value is missing.
    """

    columns: Mapping[Hashable, Column]
    simulator: Simulator
    factual: Mapping[Hashable, Values]
    index: pd.Index
    row_order: Positions | None
    specs: Mapping[Hashable, Any]
    settings: LearningSettings
    n_dropped: int

    def __len__(self) -> int:
        return len(self.index)

    def node(self, node: Hashable) -> Hashable:
        """Return the node, or raise GraphError if the model has no such node."""
        order = self.simulator.order
        if not pd.api.types.is_hashable(node) or node not in order:
            raise GraphError(f"{node!r} is no node of the model{suggest(node, order)}; nodes: {list(order[:10])}")
        return node

    def numbers(self, node: Hashable, values: Values) -> Floats:
        """Values of a node as numbers; a node whose levels are none is refused, since it has no mean."""
        column = self.columns[node]
        if column.discrete and column.numbers is None:
            levels = column.plain_levels
            remedy = f"make it a number, e.g. (df[{node!r}] == {levels[-1]!r}).astype(int)"
            raise CausalDataError([Problem(str(node), f"has levels {levels[:5]} and no mean", None, remedy)])
        return np.asarray(values if column.numbers is None else column.numbers[values], dtype=float)

    def read(self, interventions: Mapping[Hashable, Any]) -> dict[Hashable, Intervention]:
        """Read what is done to every node."""
        if not isinstance(interventions, Mapping):
            raise CausalArgumentError(f'interventions are a dict: {{"node": value}}; got {interventions!r}')
        return {node: read_intervention(self.columns[self.node(node)], what) for node, what in interventions.items()}

    def learn(self, node: Hashable, spec: Any, values: Mapping[Hashable, Values], settings: LearningSettings) -> Fitted:
        """Learn the mechanism of a node from the values of it and its parents."""
        parents = self.simulator.parents_of(node, values, len(values[node]))
        names = [name for p in self.simulator.parents[node] for name in self.columns[p].feature_names]
        return learn(spec, self.columns[node], parents, values[node], names, settings)

    def as_given(self, sorted_rows: Values) -> Values:
        """Rows in the order of the frame that was fitted."""
        return sorted_rows if self.row_order is None else in_given_order(sorted_rows, self.row_order)

    def mechanism_table(self) -> pd.DataFrame:
        """What was chosen for every node, and how it predicts rows it has not seen."""
        order = self.simulator.order
        skills = [self.simulator.mechanisms[node].skill for node in order]
        table = pd.DataFrame(
            [(s.model, s.loss_kind, s.loss, s.baseline) for s in skills],
            index=pd.Index(order, name="node", tupleize_cols=False),
            columns=["model", "loss_kind", "loss", "baseline"],
        )
        some = table["baseline"] > 0
        table["skill"] = np.where(some, 1 - table["loss"] / table["baseline"].where(some), 0)
        return table


def in_given_order(sorted_rows: Values, order: Positions) -> Values:
    """Rows in the order they had before they were sorted."""
    out = np.empty_like(sorted_rows)
    out[order] = sorted_rows
    return out
