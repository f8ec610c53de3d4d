"""Places for the nodes of an acyclic graph: layers from causes to effects, few crossings (Sugiyama et al. 1981)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

__all__ = ["Placed", "place_nodes"]

SWEEPS = 12


class Placed:
    """Where nodes are, and the points that every edge passes, its ends included.

    Attributes
    ----------
    at : list of (layer, height)
    routes : list of lists of (layer, height)
    layers : int
    tallest : int
        How many places the fullest layer has.
    """

    def __init__(
        self, at: list[tuple[float, float]], routes: list[list[tuple[float, float]]], sizes: list[int]
    ) -> None:
        self.at, self.routes = at, routes
        self.layers, self.tallest = len(sizes), max(sizes, default=0)


def place_nodes(count: int, edges: Sequence[tuple[int, int]], joined: Sequence[tuple[int, int]] = ()) -> Placed:
    """Place nodes 0 to count - 1, which are in topological order.

    An edge over several layers gets a stop in each, which takes part in the ordering, so that it runs between nodes.

    Parameters
    ----------
    count : int
    edges : sequence of (tail, head)
    joined : sequence of pairs
        Nodes that should be near each other too.
    """
    layer = _layers(count, edges, joined)
    members: list[list[int]] = [[] for _ in range(max(layer, default=0) + 1)]
    for v in range(count):
        members[layer[v]].append(v)
    links: list[list[int]] = [[] for _ in range(count)]
    paths: list[list[int]] = []
    for a, b in edges:
        path = [a]
        for k in range(layer[a] + 1, layer[b]):
            layer.append(k)
            links.append([])
            members[k].append(len(layer) - 1)
            path.append(len(layer) - 1)
        path.append(b)
        paths.append(path)
        for v, w in pairwise(path):
            links[v].append(w)
            links[w].append(v)
    near = [list(x) for x in links]
    for a, b in joined:
        near[a].append(b)
        near[b].append(a)
    height = _ordered(members, layer, near)
    at = [(float(layer[v]), height[v]) for v in range(len(layer))]
    return Placed(at[:count], [[at[v] for v in path] for path in paths], [len(m) for m in members])


def _layers(count: int, edges: Sequence[tuple[int, int]], joined: Sequence[tuple[int, int]]) -> list[int]:
    """Longest path from a root; nodes without parents move next to a child or what they are joined to."""
    layer = [0] * count
    parents: list[list[int]] = [[] for _ in range(count)]
    children: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        parents[b].append(a)
        children[a].append(b)
    for v in range(count):
        layer[v] = max((layer[p] + 1 for p in parents[v]), default=0)
    for v in reversed(range(count)):
        if children[v] and not parents[v]:
            layer[v] = min(layer[c] for c in children[v]) - 1
    for a, b in joined:
        for v, w in ((a, b), (b, a)):
            if not children[v] and not parents[v]:
                layer[v] = layer[w]
    return layer


def _ordered(members: list[list[int]], layer: list[int], near: list[list[int]]) -> list[float]:
    """Heights: sweeps forth and back put nodes at the mean height of their neighbours, in the order of these means."""
    height = [0.0] * len(layer)
    for nodes in members:
        _spread(nodes, height)
    best, fewest = list(height), _crossings(members, near, layer, height)
    for sweep in range(SWEEPS):
        for nodes in members if sweep % 2 == 0 else reversed(members):
            mean = {}
            for v in nodes:
                others = [height[w] for w in near[v]]
                mean[v] = sum(others) / len(others) if others else height[v]
            nodes.sort(key=lambda v: (mean[v], height[v]))
            _spread(nodes, height)
        crossings = _crossings(members, near, layer, height)
        if crossings < fewest:
            best, fewest = list(height), crossings
    return best


def _spread(nodes: Sequence[int], height: list[float]) -> None:
    for k, v in enumerate(nodes):
        height[v] = k - (len(nodes) - 1) / 2


def _crossings(members: list[list[int]], near: list[list[int]], layer: list[int], height: list[float]) -> int:
    crossings = 0
    for nodes in members:
        lines = [(height[v], height[w]) for v in nodes for w in near[v] if layer[w] == layer[v] + 1]
        crossings += sum((a - c) * (b - d) < 0 for k, (a, b) in enumerate(lines) for c, d in lines[:k])
    return crossings
