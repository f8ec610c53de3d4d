"""One question to a graph: treatments, outcomes, and what may be adjusted for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pandas_causal.graphs.indexed import IndexedGraph
from pandas_causal.graphs.reachability import AdjacencyLists, Flags, connected, descendants, flags, indices, reach

__all__ = ["Query"]


@dataclass(frozen=True)
class Query:
    """What is asked of a graph, as integers.

    Attributes
    ----------
    graph : IndexedGraph
    treatments, outcomes : list of int
    given : list of int
        Nodes whose values are given.
    adjusted : list of int
        Nodes that every adjustment set must hold.
    """

    graph: IndexedGraph
    treatments: list[int]
    outcomes: list[int]
    given: list[int]
    adjusted: list[int] = field(default_factory=list)

    @property
    def lists(self) -> AdjacencyLists:
        """Adjacency lists of the graph."""
        return self.graph.lists

    @cached_property
    def causal(self) -> Flags:
        """Nodes on proper causal paths, without the treatments: the paths meet no second treatment."""
        treated = flags(len(self.lists), self.treatments)
        below = descendants(self.lists, self.treatments)
        above = reach(self.lists.parents, self.outcomes, treated)
        return bytearray(b and a and not t for b, a, t in zip(below, above, treated, strict=True))

    @cached_property
    def forbidden(self) -> Flags:
        """Nodes on proper causal paths and everything below them."""
        return descendants(self.lists, indices(self.causal))

    @cached_property
    def without_effect(self) -> AdjacencyLists:
        """Return the proper back-door graph: without the first edges of proper causal paths."""
        return self.lists.without((x, c) for x in self.treatments for c in self.lists.children[x] if self.causal[c])

    @cached_property
    def adjustable(self) -> Flags:
        """Observed nodes that an adjustment set may hold."""
        banned = self.forbidden
        if self.given:
            # A stratum by a consequence of treatment is no population; so nothing below the treatment is adjusted for.
            banned = descendants(self.lists, self.treatments)
        free = bytearray(not h and not b for h, b in zip(self.graph.hidden, banned, strict=True))
        for v in (*self.treatments, *self.outcomes):
            free[v] = 0
        return free

    @property
    def forced(self) -> list[int]:
        """Nodes that every adjustment set holds: those given, and those adjusted for in any case."""
        return sorted({*self.given, *self.adjusted})

    def is_valid(self, held: list[int]) -> bool:
        """Whether exactly these nodes are a valid adjustment set."""
        if not all(self.adjustable[v] for v in held):
            return False
        reached = connected(self.without_effect, self.treatments, held)
        return not any(reached[v] for v in self.outcomes)

    def names(self, flagged: Flags) -> frozenset[Any]:
        """Return flagged nodes by their names, with those that every set holds."""
        return self.graph.named(flagged) | {self.graph.names[v] for v in self.forced}
