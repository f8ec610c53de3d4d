"""A graph as integers: what algorithms on graphs read."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from pandas_causal.errors import GraphError, suggest
from pandas_causal.graphs.projection import Projected
from pandas_causal.graphs.reachability import AdjacencyLists, Flags, indices
from pandas_causal.graphs.reading.builder import bounded

__all__ = ["IndexedGraph"]

MOST_COMPARED = 5_000  # names that a wrong one is compared with, for a suggestion


@dataclass(frozen=True, eq=False)
class IndexedGraph:
    """Nodes by position in the order of their sorted names, so that equal graphs get equal answers.

    Attributes
    ----------
    names : tuple of nodes (n,)
    positions : mapping of node to int
    written : tuple of nodes (n,)
        In the order in which the graph was written.
    hidden : Flags (n,)
        Latent nodes.
    lists : AdjacencyLists
    """

    names: tuple[Hashable, ...]
    positions: Mapping[Hashable, int]
    written: tuple[Hashable, ...]
    hidden: Flags
    lists: AdjacencyLists

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, node: object) -> bool:
        try:
            return node in self.positions
        except TypeError:
            return False

    @cached_property
    def projected(self) -> Projected:
        """The latent projection as lists."""
        return Projected(self.lists, self.hidden)

    def position(self, node: Hashable) -> int:
        """Position of a node.

        Raises
        ------
        GraphError
            For what is no node, naming the nearest.
        """
        try:
            return self.positions[node]
        except (KeyError, TypeError):
            known = ", ".join(map(str, self.written[:8])) + (", ..." if len(self) > 8 else "")
            near = suggest(node, self.written) if len(self) <= MOST_COMPARED else ""
            raise GraphError(f"{node!r} is no node of the graph{near}; its nodes: {known}") from None

    def members(self, nodes: Hashable | Iterable[Hashable]) -> list[Hashable]:
        """Return the list behind a node or an iterable of nodes; a tuple that is a node is one node."""
        if isinstance(nodes, str) or nodes in self or not isinstance(nodes, Iterable):
            return [cast("Hashable", nodes)]
        listed = list(bounded(nodes, "a set of nodes"))
        for name in listed:
            self.position(name)
        return list(dict.fromkeys(listed))

    def positions_of(self, nodes: Hashable | Iterable[Hashable]) -> list[int]:
        """Positions of a node or of several, in order."""
        return sorted({self.position(v) for v in self.members(nodes)})

    def named(self, flagged: Flags) -> frozenset[Hashable]:
        """Names of the flagged nodes."""
        return frozenset(self.names[v] for v in indices(flagged))
