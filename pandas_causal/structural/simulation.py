"""A fitted structural model on arrays: draw units, change them, and follow the change down the graph."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.graphs.node_columns import Column, stack_features
from pandas_causal.kernels.arrays import Bools, Floats, Values
from pandas_causal.structural.interventions import Intervention
from pandas_causal.structural.mechanisms import Fitted, Parents

__all__ = ["Simulator"]

NodeValues = dict[Any, Values]


@dataclass(frozen=True, eq=False)
class Simulator:
    """Mechanisms in causal order.

    Attributes
    ----------
    order : tuple
        Nodes, parents before children.
    parents : mapping of node to tuple of nodes
    columns : mapping of node to Column
    mechanisms : mapping of node to Fitted
    """

    order: tuple[Any, ...]
    parents: Mapping[Any, tuple[Any, ...]]
    columns: Mapping[Any, Column]
    mechanisms: Mapping[Any, Fitted]

    def with_mechanisms(self, mechanisms: Mapping[Any, Fitted]) -> Simulator:
        """Return the same graph with some mechanisms exchanged."""
        return replace(self, mechanisms={**self.mechanisms, **mechanisms})

    def below(self, starts: Iterable[Any], passing: Iterable[Any] = ()) -> list[Any]:
        """Nodes that an intervention on some nodes can change, in causal order.

        The nodes intervened on are left out, but for those `passing` on what their own parents do (a shift does).
        """
        reached = set(starts)
        fixed = reached - set(passing)
        for node in self.order:
            if node not in fixed and any(p in reached for p in self.parents[node]):
                reached.add(node)
        return [node for node in self.order if node in reached - fixed]

    def between(self, starts: Iterable[Any], outcome: Hashable, passing: Iterable[Any] = ()) -> list[Any]:
        """Nodes through which an intervention reaches the outcome, the outcome included, in causal order."""
        below = self.below(list(starts), passing)
        reach = {outcome}
        for node in reversed(below):
            if node in reach:
                reach.update(self.parents[node])
        return [node for node in below if node in reach]

    def parents_of(self, node: Hashable, state: Mapping[Any, Values], n: int) -> Parents:
        """Values of a node's parents."""
        names = self.parents[node]
        features = stack_features((self.columns[p] for p in names), state, n)
        return Parents(features, lambda: self.frame(names, state, n))

    def frame(self, names: Iterable[Any], state: Mapping[Any, Values], n: int) -> pd.DataFrame:
        """Nodes as columns in the caller's dtypes."""
        index = pd.RangeIndex(n)
        columns = {name: self.columns[name].write(state[name], index, exact=True) for name in names}
        return pd.DataFrame(columns, index=index)

    def sample(self, n: int, interventions: Mapping[Any, Intervention], seed: int | None) -> NodeValues:
        """Draw n units, parents first; every node has a stream of random numbers of its own.

        A node's noise is the same whatever is done to other nodes, so that two worlds are comparable unit by unit.
        """
        state: NodeValues = {}
        streams = np.random.default_rng(seed).spawn(len(self.order))
        for k, (node, rng) in enumerate(zip(self.order, streams, strict=True)):
            done, mechanism = interventions.get(node), self.mechanisms[node]
            natural = None
            if done is None or done.needs_natural:
                parents = self.parents_of(node, state, n)
                natural = mechanism.value(parents, mechanism.draw(n, rng))
            state[node] = (
                natural
                if done is None and natural is not None
                else _need(done).apply(natural, self._before(k, state, n), n, rng)
            )
        return state

    def above(self, target: Hashable) -> list[Any]:
        """Nodes that the target is made of: those above it and itself, in causal order."""
        reached = {target}
        for node in reversed(self.order):
            if node in reached:
                reached.update(self.parents[node])
        return [node for node in self.order if node in reached]

    def from_noise(
        self, noise: Mapping[Any, Values], replaced: Mapping[Any, Values], targets: Iterable[Any], n: int
    ) -> NodeValues:
        """Values (n,) of some nodes from the noise of the nodes above them.

        Only what lies between is computed: what is above a node that is `replaced` by values of its own is not looked
        at, and has no need of noise.

        Parameters
        ----------
        noise : mapping of node to ndarray (n, ...)
        replaced : mapping of node to ndarray (n,)
            Nodes that are set, or whose values are known because nothing above them changes.
        targets : iterable of nodes
        n : int
        """
        wanted = list(targets)
        needed = set(wanted)
        for node in reversed(self.order):
            if node in needed and node not in replaced:
                needed.update(self.parents[node])
        state: NodeValues = {node: values for node, values in replaced.items() if node in needed}
        for node in self.order:
            if node in needed and node not in state:
                state[node] = self.mechanisms[node].value(self.parents_of(node, state, n), noise[node])
        return {node: state[node] for node in wanted}

    def counterfactual(
        self, factual: Mapping[Any, Values], interventions: Mapping[Any, Intervention], seed: int | None
    ) -> NodeValues:
        """Abduction, action, prediction for every row (Pearl 2009, theorem 7.1.7).

        Noise is recovered only where a parent's value changes; elsewhere the factual value stands, to the last digit.
        """
        n = len(next(iter(factual.values())))
        state: NodeValues = {}
        changed: dict[Any, Bools] = {}
        streams = np.random.default_rng(seed).spawn(len(self.order))
        for k, (node, rng) in enumerate(zip(self.order, streams, strict=True)):
            done = interventions.get(node)
            natural: Values | None = None
            if done is None or done.needs_natural:
                natural = self._moved(node, factual, state, changed, rng)
            state[node] = (
                natural
                if done is None and natural is not None
                else _need(done).apply(natural, self._before(k, state, n), n, rng)
            )
            changed[node] = state[node] != factual[node]
        return state

    def expected(
        self,
        outcome: Hashable,
        factual: Mapping[Any, Values],
        interventions: Mapping[Any, Intervention],
        seed: int | None,
        passes: int = 1,
    ) -> Floats:
        """Mean (n,) of the outcome of every row under the intervention, averaged over the outcome's own noise.

        Rows keep their noise: what the intervention does not reach stays as it was observed. Averaged over rows this is
        the g-formula (Robins 1986) with the fitted mechanisms.
        """
        n = len(factual[outcome])
        total = np.zeros(n)
        passing = [node for node, done in interventions.items() if done.needs_natural]
        needed = {*self.between(interventions, outcome, passing), *interventions} - {outcome}
        streams = np.random.default_rng(seed).spawn(passes)
        for stream in streams:
            state, changed = dict(factual), {node: np.zeros(n, dtype=bool) for node in self.order}
            for k, (node, rng) in enumerate(zip(self.order, stream.spawn(len(self.order)), strict=True)):
                if node not in needed:
                    continue
                done = interventions.get(node)
                natural = self._moved(node, factual, state, changed, rng) if _natural(done) else None
                if done is None and natural is not None:
                    state[node] = natural
                else:
                    state[node] = _need(done).apply(natural, self._before(k, state, n), n, rng)
                changed[node] = state[node] != factual[node]
            total += self._mean(outcome, factual, state, stream)
        return total / passes

    # -- private -----------------------------------------------------------------------------------------------------

    def _moved(
        self,
        node: Hashable,
        factual: Mapping[Any, Values],
        state: Mapping[Any, Values],
        changed: Mapping[Any, Bools],
        rng: np.random.Generator,
    ) -> Values:
        """Values of a node after its parents have changed, its noise the same."""
        rows = np.zeros(len(factual[node]), dtype=bool)
        for p in self.parents[node]:
            rows |= changed[p]
        if not rows.any():
            return factual[node]
        m, names = int(rows.sum()), self.parents[node]
        before = self.parents_of(node, {p: factual[p][rows] for p in names}, m)
        after = self.parents_of(node, {p: state[p][rows] for p in names}, m)
        mechanism = self.mechanisms[node]
        noise = mechanism.noise(before, factual[node][rows], rng)
        out = factual[node].copy()
        out[rows] = mechanism.value(after, noise)
        return out

    def _mean(
        self, outcome: Hashable, factual: Mapping[Any, Values], state: Mapping[Any, Values], rng: np.random.Generator
    ) -> Floats:
        n, mechanism = len(factual[outcome]), self.mechanisms[outcome]
        before, after = self.parents_of(outcome, factual, n), self.parents_of(outcome, state, n)
        return mechanism.expected(after, mechanism.noise(before, factual[outcome], rng))

    def _before(self, k: int, state: Mapping[Any, Values], n: int) -> Callable[[], pd.DataFrame]:
        return lambda: self.frame([node for node in self.order[:k] if node in state], state, n)


def _natural(done: Intervention | None) -> bool:
    return done is None or done.needs_natural


def _need(done: Intervention | None) -> Intervention:
    if done is None:
        raise AssertionError("a node is either natural or intervened on")
    return done
