"""Nodes that get their values in one of two ways, and what a target becomes for every choice between them.

This is what the set functions of attributions read. A way is a mechanism with noise drawn once and shared by all
subsets: noise of a row or fresh noise, the mechanism of one time or of another. A node's values depend on the choices
above it alone, so that each is computed once for all subsets that agree there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pandas_causal.kernels.arrays import Bools, Positions, Values
from pandas_causal.structural.linear_form import StraightLine, straight_line
from pandas_causal.structural.mechanisms import Fitted
from pandas_causal.structural.simulation import Simulator

__all__ = ["TwoWays", "Way"]

_CELLS = 2**20  # values that one mechanism is asked for at once


@dataclass(frozen=True, eq=False)
class Way:
    """One way a node gets its values.

    Attributes
    ----------
    mechanism : Fitted
    noise : ndarray (R or 1, M or 1, ...)
        For R rows and M draws; an axis of length 1 is the same for all.
    line : StraightLine or None
        The mechanism as a linear function plus noise, where it is one: it then needs no call.
    """

    mechanism: Fitted
    noise: Values
    line: StraightLine | None = None

    @classmethod
    def of(
        cls, simulator: Simulator, node: Hashable, mechanism: Fitted, noise: Values, frame: Mapping[Any, Values]
    ) -> Way:
        """Build it, and find out if the mechanism is linear at parents such as those of a frame, and beyond them."""
        return cls(mechanism, noise, straight_line(simulator.with_mechanisms({node: mechanism}), node, frame))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and draws that the noise differs between."""
        return self.noise.shape[0], self.noise.shape[1]


@dataclass(frozen=True, eq=False)
class TwoWays:
    """The nodes above a target, each with two ways to its values.

    Attributes
    ----------
    simulator : Simulator
        Whose graph and columns count; its mechanisms are not read.
    target : node
    players : tuple of nodes
        Those whose way is chosen, in causal order.
    off, on : mapping of node to Way
        For a node out of a subset, and in it; nodes that are no players always have `off`.
    """

    simulator: Simulator
    target: Hashable
    players: tuple[Any, ...]
    off: Mapping[Any, Way]
    on: Mapping[Any, Way]

    def outcomes(self, masks: Bools, node: Hashable | None = None) -> tuple[list[Values], Positions]:
        """Distinct values of a node (the target) over subsets (m, k): arrays (R or 1, M or 1), and which is whose."""
        (asked,) = self.of_nodes(masks, [self.target if node is None else node])
        return asked

    def of_nodes(self, masks: Bools, nodes: list[Any]) -> list[tuple[list[Values], Positions]]:
        """The same for several nodes at once."""
        at = {player: k for k, player in enumerate(self.players)}
        values: dict[Any, list[Values]] = {}
        which: dict[Any, Positions] = {}
        reads: dict[Any, set[Any]] = {}
        needed = {above for node in nodes for above in self.simulator.above(node)}
        for node in [n for n in self.simulator.order if n in needed]:
            parents = self.simulator.parents[node]
            reads[node] = {node}.union(*(reads[p] for p in parents))
            columns = [at[player] for player in self.players if player in reads[node]]
            _, first, inverse = np.unique(masks[:, columns], axis=0, return_index=True, return_inverse=True)
            which[node] = inverse.reshape(-1)
            values[node] = self._computed(node, masks, at.get(node), first, values, which)
        return [(values[node], which[node]) for node in nodes]

    def _computed(
        self,
        node: Any,
        masks: Bools,
        column: int | None,
        first: Positions,
        values: Mapping[Any, list[Values]],
        which: Mapping[Any, Positions],
    ) -> list[Values]:
        """Values of a node for one subset of each kind, those of one shape in one call of its mechanism."""
        parents = self.simulator.parents[node]
        alike: dict[Any, list[int]] = defaultdict(list)
        for u, s in enumerate(first):
            inside = column is not None and bool(masks[s, column])
            shapes = tuple(values[p][which[p][s]].shape for p in parents)
            alike[inside, shapes].append(u)
        out: list[Values] = [np.empty((0, 0))] * len(first)
        for (inside, shapes), members in alike.items():
            way = (self.on if inside else self.off)[node]
            if way.line is not None:
                for u in members:
                    out[u] = self._on_line(way.line, way.noise, {p: values[p][which[p][first[u]]] for p in parents})
                continue
            shape = np.broadcast_shapes(way.shape, *shapes)
            cells = shape[0] * shape[1]
            step = max(1, _CELLS // cells)
            simulator = self.simulator.with_mechanisms({node: way.mechanism})
            noise = np.broadcast_to(way.noise, shape + way.noise.shape[2:]).reshape(cells, *way.noise.shape[2:])
            for start in range(0, len(members), step):
                some = members[start : start + step]
                known = {
                    p: np.concatenate([np.broadcast_to(values[p][which[p][first[u]]], shape).ravel() for u in some])
                    for p in parents
                }
                repeated = np.concatenate([noise] * len(some)) if len(some) > 1 else noise
                flat = simulator.from_noise({node: repeated}, known, [node], cells * len(some))[node]
                for u, part in zip(some, np.asarray(flat).reshape(len(some), *shape), strict=True):
                    out[u] = part
        return out

    def _on_line(self, line: StraightLine, noise: Values, parents: Mapping[Any, Values]) -> Values:
        """Values of a linear mechanism; rows and draws are crossed only where both matter."""
        total = noise + line.intercept
        for p, values in parents.items():
            column = self.simulator.columns[p]
            if column.discrete:
                total = total + (column.features(values.ravel()) @ line.slopes[p]).reshape(values.shape)
            else:
                total = total + line.slopes[p][0] * values
        return np.asarray(total)
