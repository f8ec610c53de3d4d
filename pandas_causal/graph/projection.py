"""The latent projection (Verma and Pearl 1990; Pearl 2009, definition 2.6.1) on integer adjacency lists."""

from __future__ import annotations

from pandas_causal.graph.walks import Flags, Lists

__all__ = ["project"]

Pairs = set[tuple[int, int]]


def project(graph: Lists, hidden: Flags) -> tuple[Pairs, Pairs]:
    """Return the directed and the bidirected edges (smaller end first) among the nodes that are not hidden.

    a -> b where a directed path leads from a to b through hidden nodes only; a <-> b where such paths lead to both from
    one hidden node, or from the two ends of a ``<->``.
    """
    below = [_felt(graph, hidden, v) if hidden[v] else None for v in range(len(graph))]
    directed: Pairs = set()
    pairs: Pairs = set()
    for v in range(len(graph)):
        found = below[v]
        if found is None:
            for c in graph.children[v]:
                through = below[c]
                directed.update((v, w) for w in ([c] if through is None else through))
        elif not any(hidden[p] for p in graph.parents[v]):  # a hidden parent reaches all of these too
            pairs.update((a, b) for a in found for b in found if a < b)
        for s in graph.siblings[v]:
            if v < s:
                ones, others = found or ([] if hidden[v] else [v]), below[s] or ([] if hidden[s] else [s])
                pairs.update((min(a, b), max(a, b)) for a in ones for b in others if a != b)
    return directed, pairs


def _felt(graph: Lists, hidden: Flags, start: int) -> list[int]:
    """Nodes not hidden that are reached from a hidden one through hidden ones."""
    seen = {start}
    stack, found = [start], []
    while stack:
        for c in graph.children[stack.pop()]:
            if c not in seen:
                seen.add(c)
                if hidden[c]:
                    stack.append(c)
                else:
                    found.append(c)
    return sorted(found)
