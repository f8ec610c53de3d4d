"""Separating sets: one, the smallest, and all inclusion-minimal ones.

m-separation of sources and targets by Z, where Z lies among the ancestors of both and of what is forced into it, is
separation in the moral graph of these ancestors (Lauritzen et al. 1990; Richardson 2003). That graph is the union of
one clique per district, the district and its parents; it is kept as these cliques, so that a walk through it is linear
in the edges of the graph that was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pandas_causal.graphs.reachability import AdjacencyLists, Flags, ancestors, flags, indices

__all__ = ["MoralCliques", "Separation", "cut_nodes"]


class Separation:
    """Sets Z with forced ⊆ Z ⊆ allowed ∪ forced that separate sources from targets in a graph.

    Sets are found nearest to the targets first. Returned sets do not hold the forced nodes.

    Parameters
    ----------
    graph : AdjacencyLists
    sources, targets : list of int
    allowed : Flags
        Nodes that may be used; sources, targets and forced nodes are never.
    forced : list of int, optional
        Nodes that every set holds.
    moral : MoralCliques, optional
        Of the same graph, shared by queries whose ancestors are often the same.
    """

    def __init__(
        self,
        graph: AdjacencyLists,
        sources: list[int],
        targets: list[int],
        allowed: Flags,
        forced: list[int] | None = None,
        moral: MoralCliques | None = None,
    ) -> None:
        forced = forced or []
        self.sources, self.targets = sources, targets
        self.inside = ancestors(graph, [*sources, *targets, *forced])
        self.forced = flags(len(graph), forced)
        self.allowed = bytearray(a and i for a, i in zip(allowed, self.inside, strict=True))
        for v in (*sources, *targets, *forced):
            self.allowed[v] = 0
        self.cliques, self.cliques_of = (MoralCliques(graph) if moral is None else moral).of(self.inside)

    # -- one set -----------------------------------------------------------------------------------------------------

    def nearest(self) -> Flags | None:
        """Allowed nodes next to the targets, paths through other nodes counted as edges; None where nothing separates.

        It separates; it need not be minimal.
        """
        touched = self._spread(self.targets, _either(self.allowed, self.forced))
        return None if any(touched[v] for v in self.sources) else _both(touched, self.allowed)

    def minimal(self) -> Flags | None:
        """Return the inclusion-minimal set nearest to the targets (van der Zander and Liśkiewicz 2019, algorithm 2)."""
        near = self.nearest()
        return None if near is None else self._facing(near)

    def minimum(self) -> Flags | None:
        """Return a smallest set, of these the one nearest to the targets: a minimum cut at nodes."""
        if self.nearest() is None:
            return None

        usable = bytearray(i and not f for i, f in zip(self.inside, self.forced, strict=True))
        return cut_nodes(self.cliques, usable, self.allowed, self.targets, self.sources)

    # -- every minimal set -------------------------------------------------------------------------------------------

    def every_minimal(self) -> Iterator[Flags]:
        """Yield every inclusion-minimal set once, with polynomial delay.

        A minimal set is the rim of the nodes that it leaves on the targets' side. The search grows that side (Takata
        2010): either an allowed node of the rim joins it, and with it all that the nearest minimal set behind then
        encloses, or it never will. Both branches end in a set, and a node tried once on a branch is not tried again.
        """
        first = self._enclosed(bytearray(len(self.allowed)))
        if first is None:
            return
        stack = [(*first, bytearray(len(self.allowed)))]
        while stack:
            rim, side, barred = stack.pop()
            grown = None
            for v in indices(rim):
                if barred[v]:
                    continue
                wider = bytearray(side)
                wider[v] = 1
                grown = self._enclosed(wider)
                # A node that would enclose a source or a barred node stays out for good: adding nodes cannot undo this.
                if grown is None or any(_both(grown[1], barred)):
                    barred[v], grown = 1, None
                    continue
                without = bytearray(barred)
                without[v] = 1
                stack += [(*grown, barred), (rim, side, without)]
                break
            if grown is None:
                yield rim

    def _enclosed(self, side: Flags) -> tuple[Flags, Flags] | None:
        """Return the minimal set nearest to the targets that has `side` on their side, and all that is there then."""
        outside = bytearray(a and not s for a, s in zip(self.allowed, side, strict=True))
        touched = self._spread(self.targets, _either(outside, self.forced))
        if any(touched[v] for v in self.sources):
            return None
        rim = self._facing(_both(touched, outside))
        behind = self._spread(self.targets, _either(rim, self.forced))
        return rim, bytearray(a and b and not r for a, b, r in zip(self.allowed, behind, rim, strict=True))

    # -- walks -------------------------------------------------------------------------------------------------------

    def _facing(self, wall: Flags) -> Flags:
        """Members of a separating set that are met from the sources."""
        return _both(wall, self._spread(self.sources, _either(wall, self.forced)))

    def _spread(self, start: list[int], walls: Flags) -> Flags:
        """Nodes met on walks from `start` that stop at walls; the walls met are flagged too."""
        cliques, cliques_of = self.cliques, self.cliques_of
        met = flags(len(walls), start)
        entered = bytearray(len(cliques))
        stack = list(start)
        while stack:
            for k in cliques_of[stack.pop()]:
                if entered[k]:
                    continue
                entered[k] = 1
                for w in cliques[k]:
                    if not met[w]:
                        met[w] = 1
                        if not walls[w]:
                            stack.append(w)
        return met


class MoralCliques:
    """The cliques of one graph, for every set of ancestors that is asked about."""

    def __init__(self, graph: AdjacencyLists) -> None:
        self.graph = graph
        self._last: tuple[bytes, tuple[list[list[int]], list[list[int]]]] | None = None

    def of(self, inside: Flags) -> tuple[list[list[int]], list[list[int]]]:
        """Districts among some ancestors with their parents, and the districts of every node; the last are kept."""
        key = bytes(inside)
        if self._last is None or self._last[0] != key:
            self._last = (key, _cliques(self.graph, inside))
        return self._last[1]


def _cliques(graph: AdjacencyLists, inside: Flags) -> tuple[list[list[int]], list[list[int]]]:
    """Districts with their parents, and for every node the districts that it is in or a parent of."""
    district = [-1] * len(graph)
    cliques: list[list[int]] = []
    of: list[list[int]] = [[] for _ in range(len(graph))]
    for root in indices(inside):
        if district[root] >= 0:
            continue
        k = len(cliques)
        district[root] = k
        members, stack = {root}, [root]
        while stack:
            v = stack.pop()
            members.update(graph.parents[v])  # ancestors of an ancestor: inside
            for w in graph.siblings[v]:
                if inside[w] and district[w] < 0:
                    district[w] = k
                    members.add(w)
                    stack.append(w)
        cliques.append(sorted(members))
        for v in cliques[k]:
            of[v].append(k)
    return cliques, of


def _either(a: Flags, b: Flags) -> Flags:
    return bytearray((int.from_bytes(a) | int.from_bytes(b)).to_bytes(len(a)))


def _both(a: Flags, b: Flags) -> Flags:
    return bytearray((int.from_bytes(a) & int.from_bytes(b)).to_bytes(len(a)))


def cut_nodes(
    cliques: Sequence[Sequence[int]], usable: Flags, cuttable: Flags, start: Sequence[int], end: Sequence[int]
) -> Flags:
    """Return a smallest set of cuttable nodes between `start` and `end` in a union of cliques, nearest to `start`.

    A node is an arc of capacity 1 (cuttable) or unbounded, a clique a point that its members enter and leave (Menger's
    theorem; Ford and Fulkerson 1956). The caller knows that a cut exists.
    """
    import numpy as np
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    n, m = len(usable), len(cliques)
    unbounded = n + 1
    source, sink = 2 * n + m, 2 * n + m + 1  # v enters at v and leaves at n + v; a clique is 2 n + k
    arcs = [(v, n + v, 1 if cuttable[v] else unbounded) for v in range(n) if usable[v]]
    for k, members in enumerate(cliques):
        for v in members:
            if usable[v]:
                arcs += [(n + v, 2 * n + k, unbounded), (2 * n + k, v, unbounded)]
    arcs += [(source, v, unbounded) for v in start] + [(n + v, sink, unbounded) for v in end]
    tails, heads, capacities = (np.array(column, dtype=np.int32) for column in zip(*arcs, strict=True))
    network = csr_array((capacities, (tails, heads)), shape=(2 * n + m + 2,) * 2)
    residual = (network - maximum_flow(network, source, sink).flow).tocsr()
    starts, ends, left = residual.indptr.tolist(), residual.indices.tolist(), residual.data.tolist()
    seen = bytearray(2 * n + m + 2)
    seen[source] = 1
    stack = [source]
    while stack:
        v = stack.pop()
        for k in range(starts[v], starts[v + 1]):
            if left[k] > 0 and not seen[ends[k]]:
                seen[ends[k]] = 1
                stack.append(ends[k])
    return bytearray(cuttable[v] and seen[v] and not seen[n + v] for v in range(n))
