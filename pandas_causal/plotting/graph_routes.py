"""The drawing of an acyclic graph in inches: boxes in columns, and curves that meet no box but those they join.

Within a column every curve is level, at a height that is its own; between columns there is no box. So no curve can meet
a box that it does not touch. Arrows leave and enter boxes at their sides, arcs at their tops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pandas_causal.plotting.graph_layers import place_nodes

__all__ = ["Box", "Curve", "Drawing", "lay_out"]

Point = tuple[float, float]
Curve = list[Point]
"""A start and three points for every cubic piece (two controls and where it ends), y upwards."""

_ROOM = 0.15  # inches above and below a box
_RISE, _APART, _TURN = 0.2, 0.06, 0.1  # an arc above its box, from arc to arc, and the radius of its turn
_PAD = 0.17  # beside the widest box of a column: a head of an arrow
_GAP, _SLOPE = 0.42, 0.42  # least inches between columns, and for each inch that a curve rises there
_PORTS = 0.11
_BULGE = 0.6


@dataclass(frozen=True)
class Box:
    """A node: its middle and its size, in inches."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Drawing:
    """Boxes and curves in inches, y upwards from the bottom.

    Attributes
    ----------
    boxes : list of Box
    arrows : list of Curve
        From the rim of the tail to that of the head.
    arcs : list of Curve
    width, height : float
    """

    boxes: list[Box]
    arrows: list[Curve]
    arcs: list[Curve]
    width: float
    height: float


def lay_out(
    sizes: Sequence[tuple[float, float]], arrows: Sequence[tuple[int, int]], arcs: Sequence[tuple[int, int]] = ()
) -> Drawing:
    """Place boxes of these sizes (width, height), in topological order, and draw what joins them.

    Parameters
    ----------
    sizes : sequence of (width, height)
        Inches.
    arrows : sequence of (tail, head)
    arcs : sequence of pairs
        Without a direction.
    """
    crowd = [sum(v in pair for pair in arcs) for v in range(len(sizes))]
    room = [
        (tall / 2 + _ROOM + (_RISE + _APART * crowd[v] if crowd[v] else 0.0), tall / 2 + _ROOM)
        for v, (_, tall) in enumerate(sizes)
    ]
    placed = place_nodes(room, arrows, arcs)
    edges = _edges(sizes, placed.layer, placed.layers, [*placed.routes, *placed.arcs])
    middles = [(left + right) / 2 for left, right in edges]
    top = max((above - y for y, (above, _) in zip(placed.height, room, strict=True)), default=0.0)
    every = [y for route in (*placed.routes, *placed.arcs) for _, y in route] + placed.height
    top = max([top, *(-y + _ROOM for y in every)])
    bottom = max((y + below for y, (_, below) in zip(placed.height, room, strict=True)), default=0.0)
    bottom = max([bottom, *(y + _ROOM for y in every)])

    def up(y: float) -> float:
        return bottom - y

    boxes = [Box(middles[k], up(y), *size) for k, y, size in zip(placed.layer, placed.height, sizes, strict=True)]
    out, into = _ports(boxes, arrows, placed.routes)
    curves = [
        _arrow(boxes[a], boxes[b], [(k, up(y)) for k, y in route], edges, out[e], into[e])
        for e, ((a, b), route) in enumerate(zip(arrows, placed.routes, strict=True))
    ]
    used = [0] * len(sizes)
    of_arcs = []
    for (a, b), route in zip(arcs, placed.arcs, strict=True):
        one, other = (a, b) if placed.layer[a] <= placed.layer[b] else (b, a)
        same = placed.layer[a] == placed.layer[b]
        if same and boxes[one].y < boxes[other].y:
            one, other = other, one
        between = [
            v for v, k in enumerate(placed.layer)
            if same and k == placed.layer[one] and boxes[other].y < boxes[v].y < boxes[one].y
        ]  # fmt: skip
        starts = tuple(_port(used[v], crowd[v], sizes[v][0]) for v in (one, other))
        rises = tuple(_RISE + _APART * used[v] for v in (one, other))
        used[one] += 1
        used[other] += 1
        if same and not between:
            of_arcs.append(_upright(boxes[one], boxes[other]))
            continue
        stops = [(k, up(y)) for k, y in route]
        of_arcs.append(_arc((boxes[one], boxes[other]), stops, edges, (starts[0], starts[1]), (rises[0], rises[1])))
    right = max([edges[-1][1], *(x for curve in of_arcs for x, _ in curve)], default=0.0) if edges else 0.0
    return Drawing(boxes, curves, of_arcs, right, top + bottom)


def _edges(
    sizes: Sequence[tuple[float, float]],
    layer: Sequence[int],
    layers: int,
    routes: Sequence[Sequence[tuple[int, float]]],
) -> list[tuple[float, float]]:
    """Left and right edges of the columns: as wide as their widest box, farther apart where curves rise much."""
    widths = [0.0] * layers
    for k, (width, _) in zip(layer, sizes, strict=True):
        widths[k] = max(widths[k], width)
    rise = [0.0] * layers
    for route in routes:
        for (k, y), (following, z) in pairwise(route):
            if following > k:
                rise[k] = max(rise[k], abs(z - y))
            else:
                rise[k] = max(rise[k], 0.5)  # an arc of one column turns beside it
    edges, left = [], 0.0
    for k, width in enumerate(widths):
        edges.append((left, left + width + 2 * _PAD))
        left += width + 2 * _PAD + max(_GAP, _SLOPE * rise[k])
    return edges


def _port(k: int, of: int, width: float) -> float:
    """Where the k-th arc of a box meets its top, from the middle."""
    return min(0.12, max(width - 0.2, 0.0) / max(of - 1, 1)) * (k - (of - 1) / 2)


def _ports(
    boxes: Sequence[Box], arrows: Sequence[tuple[int, int]], routes: Sequence[Sequence[tuple[int, float]]]
) -> tuple[list[float], list[float]]:
    """How far from the middle of a side every arrow leaves and enters: in the order of where they go and come from."""
    out, into = [0.0] * len(arrows), [0.0] * len(arrows)
    for end, stop, offsets in ((0, 1, out), (1, -2, into)):
        of_box: dict[int, list[int]] = {}
        for e, pair in enumerate(arrows):
            of_box.setdefault(pair[end], []).append(e)
        for v, ends in of_box.items():
            ends.sort(key=lambda e: routes[e][stop][1])
            reach = max(boxes[v].height / 2 - 0.08, 0.0)
            apart = min(_PORTS, 2 * reach / max(len(ends) - 1, 1))
            for k, e in enumerate(ends):
                offsets[e] = -apart * (k - (len(ends) - 1) / 2)
    return out, into


def _line(curve: Curve, to: Point) -> None:
    (x, y), (u, v) = curve[-1], to
    curve += [(x + (u - x) / 3, y + (v - y) / 3), (x + 2 * (u - x) / 3, y + 2 * (v - y) / 3), to]


def _rise(curve: Curve, to: Point) -> None:
    """A curve that is level at both ends."""
    (x, y), (u, v) = curve[-1], to
    third = (u - x) * 0.4
    curve += [(x + third, y), (u - third, v), to]


def _arrow(
    tail: Box, head: Box, stops: Sequence[tuple[int, float]], edges: Sequence[tuple[float, float]], out: float,
    into: float,
) -> Curve:  # fmt: skip
    curve = [(tail.x + tail.width / 2, tail.y + out)]
    heights = [(k, y) for k, y in stops]
    heights[0] = (stops[0][0], tail.y + out)
    heights[-1] = (stops[-1][0], head.y + into)
    for (k, y), (following, z) in pairwise(heights):
        _line(curve, (edges[k][1], y))
        _rise(curve, (edges[following][0], z))
    _line(curve, (head.x - head.width / 2, head.y + into))
    return curve


def _upright(above: Box, below: Box) -> Curve:
    """An arc between neighbours of one column."""
    curve = [(above.x, above.y - above.height / 2)]
    _line(curve, (below.x, below.y + below.height / 2))
    return curve


def _arc(
    boxes: tuple[Box, Box],
    stops: Sequence[tuple[int, float]],
    edges: Sequence[tuple[float, float]],
    ports: tuple[float, float],
    rises: tuple[float, float],
) -> Curve:
    """From the top of a box to that of another one, in the room above them and through the stops between."""
    one, other = boxes
    start, end = one.x + ports[0], other.x + ports[1]
    level, last = one.y + one.height / 2 + rises[0], other.y + other.height / 2 + rises[1]
    curve = [(start, one.y + one.height / 2)]
    _line(curve, (start, level - _TURN))
    curve += [(start, level), (start, level), (start + _TURN, level)]
    first, final = stops[0][0], stops[-1][0]
    _line(curve, (edges[first][1], level))
    if first == final:  # round what stands between, in the space beside the column
        x = edges[first][1]
        reach = min(_BULGE, 0.2 + 0.15 * abs(level - last))
        curve += [(x + reach, level), (x + reach, last), (x, last)]
        _line(curve, (end + _TURN, last))
        curve += [(end, last), (end, last), (end, last - _TURN)]
    else:
        heights = [level, *(y for _, y in stops[1:-1]), last]
        for k in range(1, len(stops)):
            _rise(curve, (edges[stops[k][0]][0], heights[k]))
            if k < len(stops) - 1:
                _line(curve, (edges[stops[k][0]][1], heights[k]))
        _line(curve, (end - _TURN, last))
        curve += [(end, last), (end, last), (end, last - _TURN)]
    _line(curve, (end, other.y + other.height / 2))
    return curve
