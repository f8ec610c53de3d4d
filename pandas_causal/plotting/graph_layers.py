"""Places for the nodes of an acyclic graph: layers from causes to effects, few crossings (Sugiyama et al. 1981).

References
----------
Sugiyama, Tagawa and Toda (1981), IEEE Transactions on Systems, Man and Cybernetics 11, on layers and barycentres.
Gansner, Koutsofios, North and Vo (1993), IEEE Transactions on Software Engineering 19, on exchanging neighbours and on
straight long edges.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Placed", "place_nodes"]

_SWEEPS, _EXCHANGES, _SETTLINGS = 16, 6, 20
_STOP = 0.08  # inches on each side of a curve that passes a layer
_STRAIGHT = (1.0, 2.0, 6.0)  # pull of a link by how many of its ends are stops: long edges run straight


@dataclass(frozen=True)
class Placed:
    """Where nodes are, and the stops of every edge, its ends included; heights in inches, downwards.

    Attributes
    ----------
    layer : list of int (nodes,)
    height : list of float (nodes,)
    routes : list of lists of (layer, height)
        Of the edges.
    arcs : list of lists of (layer, height)
        Of the pairs that are joined; two places in one layer where both are in it.
    layers : int
    """

    layer: list[int]
    height: list[float]
    routes: list[list[tuple[int, float]]]
    arcs: list[list[tuple[int, float]]]
    layers: int


def place_nodes(
    room: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]], joined: Sequence[tuple[int, int]] = ()
) -> Placed:
    """Place nodes, which are in topological order.

    An edge over several layers gets a stop in each, which takes part in the ordering, so that it runs between nodes.

    Parameters
    ----------
    room : sequence of (above, below)
        Inches that every node needs on both sides of its middle.
    edges : sequence of (tail, head)
    joined : sequence of pairs
        Nodes that are joined without a direction.
    """
    count = len(room)
    layer = _layers(count, edges, joined)
    members: list[list[int]] = [[] for _ in range(max(layer, default=0) + 1)]
    for v in range(count):
        members[layer[v]].append(v)
    links: list[list[int]] = [[] for _ in range(count)]
    beside: list[list[int]] = [[] for _ in range(count)]
    paths: list[list[int]] = []
    for a, b in [*edges, *((v, w) if layer[v] <= layer[w] else (w, v) for v, w in joined)]:
        path = [a]
        for k in range(layer[a] + 1, layer[b]):
            layer.append(k)
            links.append([])
            beside.append([])
            members[k].append(len(layer) - 1)
            path.append(len(layer) - 1)
        path.append(b)
        paths.append(path)
        for v, w in pairwise(path):
            near = beside if layer[v] == layer[w] else links
            near[v].append(w)
            near[w].append(v)
    _order(members, layer, links, beside)
    above = {v for path in paths[len(edges) :] for v in path[1:-1]}
    if sum(k - (len(nodes) - 1) / 2 for nodes in members for k, v in enumerate(nodes) if v in above) > 0:
        for nodes in members:  # the mirror image has as many crossings, and its arcs above
            nodes.reverse()
    rooms = [*room, *[(_STOP, _STOP)] * (len(layer) - count)]
    height = _heights(members, links, rooms, count)
    stops = [[(layer[v], height[v]) for v in path] for path in paths]
    return Placed(layer[:count], height[:count], stops[: len(edges)], stops[len(edges) :], len(members))


def _layers(count: int, edges: Sequence[tuple[int, int]], joined: Sequence[tuple[int, int]]) -> list[int]:
    """Longest path from a root; then every node where its edges are shortest."""
    layer = [0] * count
    parents: list[list[int]] = [[] for _ in range(count)]
    children: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        parents[b].append(a)
        children[a].append(b)
    for v in range(count):
        layer[v] = max((layer[p] + 1 for p in parents[v]), default=0)
    for _ in range(3):
        for v in reversed(range(count)):
            if len(children[v]) > len(parents[v]):
                layer[v] = min(layer[c] for c in children[v]) - 1
        for v in range(count):
            if len(parents[v]) > len(children[v]):
                layer[v] = max(layer[p] for p in parents[v]) + 1
    for a, b in joined:
        for v, w in ((a, b), (b, a)):
            if not children[v] and not parents[v]:
                layer[v] = layer[w]
    used = {k: place for place, k in enumerate(sorted(set(layer)))}
    return [used[k] for k in layer]


def _order(members: list[list[int]], layer: list[int], links: list[list[int]], beside: list[list[int]]) -> None:
    """Order every layer: by the mean place of neighbours, then by exchanging two where that saves a crossing."""
    place = [0.0] * len(layer)
    met = _visits(links)
    for nodes in members:
        nodes.sort(key=lambda v: met[v])
        _number(nodes, place)
    best, fewest = [list(nodes) for nodes in members], _crossings(members, links, layer, place)
    for sweep in range(_SWEEPS):
        for nodes in members if sweep % 2 == 0 else reversed(members):
            middle = (len(nodes) - 1) / 2
            mean = {}
            for v in nodes:
                others = [place[w] for w in links[v]] + [place[w] / 2 + place[v] / 2 for w in beside[v]]
                mean[v] = sum(others) / len(others) if others else place[v]
            nodes.sort(key=lambda v: (mean[v], abs(place[v] - middle), place[v]))
            _number(nodes, place)
        for _ in range(_EXCHANGES):
            if not sum(_exchanged(nodes, links, layer, place) for nodes in members):
                break
        crossings = _crossings(members, links, layer, place)
        if crossings < fewest:
            best, fewest = [list(nodes) for nodes in members], crossings
    for nodes, order in zip(members, best, strict=True):
        nodes[:] = order


def _visits(links: list[list[int]]) -> list[int]:
    """When a walk that goes deep first meets every node: in this order trees have no crossings."""
    met: dict[int, int] = {}
    for start in range(len(links)):
        stack = [start]
        while stack:
            v = stack.pop()
            if v not in met:
                met[v] = len(met)
                stack += [w for w in reversed(links[v]) if w not in met]
    return [met[v] for v in range(len(links))]


def _number(nodes: Sequence[int], place: list[float]) -> None:
    for k, v in enumerate(nodes):
        place[v] = k - (len(nodes) - 1) / 2


def _exchanged(nodes: list[int], links: list[list[int]], layer: list[int], place: list[float]) -> bool:
    """Exchange neighbours of one layer where that saves crossings; whether one was."""
    some = False
    for k in range(len(nodes) - 1):
        v, w = nodes[k], nodes[k + 1]
        saved = 0
        for side in (-1, 1):
            of_v, of_w = ([place[u] for u in links[x] if layer[u] == layer[x] + side] for x in (v, w))
            saved += sum((a > b) - (a < b) for a in of_v for b in of_w)
        if saved > 0:
            nodes[k], nodes[k + 1] = w, v
            place[v], place[w] = place[w], place[v]
            some = True
    return some


def _crossings(members: list[list[int]], links: list[list[int]], layer: list[int], place: list[float]) -> int:
    crossings = 0
    for nodes in members:
        lines = sorted((place[v], place[w]) for v in nodes for w in links[v] if layer[w] == layer[v] + 1)
        seen: list[float] = []
        for _, end in lines:
            crossings += len(seen) - bisect_left(seen, end + 0.25)  # those that began above and end below
            insort(seen, end)
    return crossings


def _heights(
    members: list[list[int]], links: list[list[int]], rooms: Sequence[tuple[float, float]], count: int
) -> list[float]:
    """Heights near those of neighbours, in the order of every layer and with the room that each needs.

    Each layer in turn takes the heights that minimise the weighted squares of its links: isotonic regression, as the
    room that is needed is a shift of the order.
    """
    height = [0.0] * len(rooms)
    shifts = []
    for nodes in members:
        shift = [0.0]
        for v, w in pairwise(nodes):
            shift.append(shift[-1] + rooms[v][1] + rooms[w][0])
        shifts.append(shift)
        for v, down in zip(nodes, shift, strict=False):
            height[v] = down - shift[-1] / 2
    for turn in range(_SETTLINGS):
        for nodes, shift in list(zip(members, shifts, strict=True))[:: 1 if turn % 2 == 0 else -1]:
            wanted, pulls = [], []
            for v in nodes:
                pull = [_STRAIGHT[(v >= count) + (w >= count)] for w in links[v]]
                total = sum(pull)
                mean = sum(p * height[w] for p, w in zip(pull, links[v], strict=True)) / total if pull else height[v]
                wanted.append(mean)
                pulls.append(total or 0.05)
            fitted = _isotonic([y - down for y, down in zip(wanted, shift, strict=False)], pulls)
            for v, down, y in zip(nodes, shift, fitted, strict=False):
                height[v] = down + y
    middle = (min(height, default=0.0) + max(height, default=0.0)) / 2
    return [y - middle for y in height]


def _isotonic(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest ascending numbers, by pooling neighbours that descend."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] >= block[0]:
            mean, total, n = blocks.pop()
            together = total + block[1]
            block = ((mean * total + block[0] * block[1]) / together, together, n + block[2])
        blocks.append(block)
    return [mean for mean, _, n in blocks for _ in range(n)]
