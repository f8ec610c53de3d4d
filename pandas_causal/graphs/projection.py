"""The latent projection (Verma and Pearl 1990; Pearl 2009, definition 2.6.1) on integer adjacency lists."""

from __future__ import annotations

from pandas_causal.graphs.reachability import AdjacencyLists, Flags

__all__ = ["Projected", "project"]

NodePairs = set[tuple[int, int]]


class Projected:
    """The projection on the nodes that are not hidden, hidden common causes kept as groups.

    A hidden cause of k nodes is one group of k nodes and not k (k - 1) / 2 pairs, so that the size stays linear.

    Parameters
    ----------
    graph : AdjacencyLists
    hidden : Flags

    Attributes
    ----------
    parents, children : list of lists
        a is a parent of b where a directed path leads from a to b through hidden nodes only. Hidden nodes have none.
    groups : list of lists
        Any two nodes of a group are joined by ``<->``: directed paths through hidden nodes lead to both from one hidden
        node, or from the two ends of a ``<->``.
    groups_of : list of lists
        The groups that a node is in.
    """

    def __init__(self, graph: AdjacencyLists, hidden: Flags) -> None:
        n = len(graph)
        below = [_felt(graph, hidden, v) if hidden[v] else [v] for v in range(n)]
        self.children: list[list[int]] = [[] for _ in range(n)]
        self.parents: list[list[int]] = [[] for _ in range(n)]
        self.groups: list[list[int]] = []
        self.groups_of: list[list[int]] = [[] for _ in range(n)]
        for v in range(n):
            if not hidden[v]:
                self.children[v] = sorted({w for c in graph.children[v] for w in below[c]})
                for w in self.children[v]:
                    self.parents[w].append(v)
            elif not any(hidden[p] for p in graph.parents[v]):  # a hidden parent reaches all of these too
                self._group(below[v])
            for s in graph.siblings[v]:
                if v < s and below[v] and below[s]:
                    self._group(sorted({*below[v], *below[s]}))

    def __len__(self) -> int:
        return len(self.parents)

    def _group(self, members: list[int]) -> None:
        if len(members) > 1:
            for v in members:
                self.groups_of[v].append(len(self.groups))
            self.groups.append(members)

    def ancestors(self, of: set[int], within: set[int]) -> set[int]:
        """Ancestors of `of` in the subgraph on `within`, themselves included."""
        above = set(of)
        stack = list(of)
        while stack:
            for p in self.parents[stack.pop()]:
                if p in within and p not in above:
                    above.add(p)
                    stack.append(p)
        return above

    def district(self, of: set[int], within: set[int]) -> set[int]:
        """The c-components of the subgraph on `within` that hold `of`, joined."""
        members = set(of)
        stack = list(of)
        walked: set[int] = set()
        while stack:
            for g in self.groups_of[stack.pop()]:
                if g not in walked:
                    walked.add(g)
                    for w in self.groups[g]:
                        if w in within and w not in members:
                            members.add(w)
                            stack.append(w)
        return members

    def districts(self, within: set[int]) -> list[set[int]]:
        """Every c-component of the subgraph on `within`, by its smallest member."""
        parts: list[set[int]] = []
        seen: set[int] = set()
        for v in sorted(within):
            if v not in seen:
                parts.append(self.district({v}, within))
                seen |= parts[-1]
        return parts


def project(graph: AdjacencyLists, hidden: Flags) -> tuple[NodePairs, NodePairs]:
    """Return the directed and the bidirected edges (smaller end first) among the nodes that are not hidden."""
    seen = Projected(graph, hidden)
    directed = {(v, w) for v, below in enumerate(seen.children) for w in below}
    pairs = {(a, b) for group in seen.groups for k, a in enumerate(group) for b in group[k + 1 :]}
    return directed, pairs


def _felt(graph: AdjacencyLists, hidden: Flags, start: int) -> list[int]:
    """Nodes not hidden that are reached from a hidden one through hidden ones."""
    seen = {start}
    stack, felt = [start], []
    while stack:
        for c in graph.children[stack.pop()]:
            if c not in seen:
                seen.add(c)
                if hidden[c]:
                    stack.append(c)
                else:
                    felt.append(c)
    return sorted(felt)
