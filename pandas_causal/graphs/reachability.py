"""Reachability on integer adjacency lists: plain loops, linear in nodes and edges, no recursion.

A graph is :class:`AdjacencyLists`: parents, children and siblings (the other ends of ``<->``) of each node. Hidden
nodes are nodes like others here. Every function returns a ``bytearray`` of flags, one per node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

__all__ = ["AdjacencyLists", "Flags", "ancestors", "connected", "descendants", "flags", "indices", "ranks", "reach"]

Flags = bytearray
_UP, _DOWN = 1, 2  # how a walk arrived at a node: against an arrow (from a child), or at an arrow's head


@dataclass(frozen=True)
class AdjacencyLists:
    """A mixed graph: ``parents[v]``, ``children[v]`` and ``siblings[v]`` are lists of integers."""

    parents: Sequence[Sequence[int]]
    children: Sequence[Sequence[int]]
    siblings: Sequence[Sequence[int]]

    def __len__(self) -> int:
        return len(self.parents)

    def without(self, edges: Iterable[tuple[int, int]]) -> AdjacencyLists:
        """Return the graph without these directed edges."""
        gone = set(edges)
        if not gone:
            return self
        tails, heads = {a for a, _ in gone}, {b for _, b in gone}
        parents = [[p for p in ps if (p, v) not in gone] if v in heads else ps for v, ps in enumerate(self.parents)]
        children = [[c for c in cs if (v, c) not in gone] if v in tails else cs for v, cs in enumerate(self.children)]
        return AdjacencyLists(parents, children, self.siblings)

    def without_out_of(self, nodes: Iterable[int]) -> AdjacencyLists:
        """Return the graph without the edges out of `nodes`."""
        return self.without((v, c) for v in nodes for c in self.children[v])

    def without_into(self, nodes: Iterable[int]) -> AdjacencyLists:
        """Return the graph without the edges into `nodes`, ``<->`` included."""
        into = set(nodes)
        cut = self.without((p, v) for v in into for p in self.parents[v])
        siblings = [
            [] if v in into else [s for s in ss if s not in into] if any(s in into for s in ss) else ss
            for v, ss in enumerate(self.siblings)
        ]
        return AdjacencyLists(cut.parents, cut.children, siblings)


def flags(n: int, members: Iterable[int]) -> Flags:
    """Flag `members` among `n` nodes."""
    flagged = bytearray(n)
    for v in members:
        flagged[v] = 1
    return flagged


def indices(flagged: Flags) -> list[int]:
    """Return the flagged nodes, in order."""
    return [v for v, f in enumerate(flagged) if f]


def reach(neighbours: Sequence[Sequence[int]], start: Iterable[int], blocked: Flags | None = None) -> Flags:
    """Nodes on paths from `start` along `neighbours`, `start` included, that enter no blocked node."""
    reached = flags(len(neighbours), start)
    stack = indices(reached)
    while stack:
        for w in neighbours[stack.pop()]:
            if not reached[w] and not (blocked and blocked[w]):
                reached[w] = 1
                stack.append(w)
    return reached


def ancestors(graph: AdjacencyLists, of: Iterable[int], blocked: Flags | None = None) -> Flags:
    """Ancestors, themselves included; paths enter no blocked node."""
    return reach(graph.parents, of, blocked)


def descendants(graph: AdjacencyLists, of: Iterable[int], blocked: Flags | None = None) -> Flags:
    """Descendants, themselves included; paths enter no blocked node."""
    return reach(graph.children, of, blocked)


def ranks(graph: AdjacencyLists) -> list[int]:
    """Place of every node in one topological order, the smallest integer first among those that are ready."""
    waiting = [len(p) for p in graph.parents]
    ready = [v for v, count in enumerate(waiting) if not count]
    place = [0] * len(graph)
    for k in range(len(graph)):
        v = heappop(ready)
        place[v] = k
        for c in graph.children[v]:
            waiting[c] -= 1
            if not waiting[c]:
                heappush(ready, c)
    return place


def connected(graph: AdjacencyLists, start: Iterable[int], given: Iterable[int] = ()) -> Flags:
    """Nodes that are m-connected to `start` given `given` (Richardson 2003, section 2.1), `start` among them.

    A walk passes a node against an arrow or out of it unless the node is given, and turns round at an arrow's head
    where the node is an ancestor of a given one: Bayes ball (Shachter 1998) with ``<->``.
    """
    n = len(graph)
    blocked = flags(n, given)
    opens = ancestors(graph, indices(blocked))
    seen, reached = bytearray(n), bytearray(n)
    stack: list[tuple[int, int]] = [(v, _UP) for v in start]
    parents, children, siblings = graph.parents, graph.children, graph.siblings
    while stack:
        v, way = stack.pop()
        if seen[v] & way:
            continue
        seen[v] |= way
        if not blocked[v]:
            reached[v] = 1
            stack += [(c, _DOWN) for c in children[v] if not seen[c] & _DOWN]
        if (not blocked[v]) if way == _UP else opens[v]:
            stack += [(p, _UP) for p in parents[v] if not seen[p] & _UP]
            stack += [(s, _DOWN) for s in siblings[v] if not seen[s] & _DOWN]
    return reached
