"""One question to a graph: treatments, outcomes, and what may be adjusted for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pandas_causal.graphs.indexed import IndexedGraph
from pandas_causal.graphs.reachability import AdjacencyLists, Flags, descendants, flags, indices, reach

__all__ = ["Query"]


@dataclass(frozen=True)
class Query:
    """What is asked of a graph, as integers: treatments, outcomes, and the nodes whose values are given."""

    graph: IndexedGraph
    treatments: list[int]
    outcomes: list[int]
    given: list[int]

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

    def names(self, flagged: Flags) -> frozenset[Any]:
        """Return flagged nodes by their names, with those that are given."""
        return self.graph.named(flagged) | {self.graph.names[v] for v in self.given}
