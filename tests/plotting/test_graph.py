"""The picture of a graph: what it draws is true of the graph, and no curve meets a box that it does not touch."""

import random

import numpy as np
import pandas as pd
import pytest

from pandas_causal import plotting
from pandas_causal.plotting.graph_layers import place_nodes
from pandas_causal.plotting.graph_routes import lay_out
from pandas_causal.plotting.graph_svg import graph_svg

matplotlib = pytest.importorskip("matplotlib", reason="pictures are drawn")
matplotlib.use("Agg")

T = np.linspace(0, 1, 25)[:, None]
CUBIC = np.hstack([(1 - T) ** 3, 3 * (1 - T) ** 2 * T, 3 * (1 - T) * T**2, T**3])


def points(curve):
    """Points along a curve of cubic pieces (m, 2)."""
    curve = np.asarray(curve)
    return np.vstack([CUBIC @ curve[k : k + 4] for k in range(0, len(curve) - 1, 3)])


def world(seed, most=40):
    """Sizes of boxes, arrows and arcs of a random graph."""
    rng = random.Random(seed)
    n = rng.randint(2, most)
    pairs = [(a, b) for b in range(n) for a in range(b)]
    arrows = rng.sample(pairs, min(len(pairs), rng.randint(1, 2 * n)))
    arcs = rng.sample(pairs, min(len(pairs), rng.randint(0, max(1, n // 4))))
    return [(rng.uniform(0.35, 2.6), rng.choice([0.38, 0.55, 0.72])) for _ in range(n)], arrows, arcs


def inside(at, box, rim=1e-9):
    """Whether points lie within a box."""
    return ((np.abs(at - [box.x, box.y]) < np.array([box.width, box.height]) / 2 - rim).all(axis=1)).any()


def met(drawing, ends, curves):
    """Boxes that curves meet without joining them; and boxes of their own whose inside they cross."""
    return [
        (pair, v)
        for pair, curve in zip(ends, curves, strict=True)
        for v, box in enumerate(drawing.boxes)
        if inside(points(curve), box)
    ]


@pytest.mark.parametrize("seed", range(30))
def test_no_curve_meets_the_box_of_a_node_it_does_not_touch(seed):
    sizes, arrows, arcs = world(seed)
    drawing = lay_out(sizes, arrows, arcs)
    assert not met(drawing, arrows, drawing.arrows)
    assert not met(drawing, arcs, drawing.arcs)
    for box, (width, height) in zip(drawing.boxes, sizes, strict=True):
        assert (box.width, box.height) == (width, height)
        assert width / 2 <= box.x <= drawing.width - width / 2
        assert height / 2 <= box.y <= drawing.height - height / 2
    for curve in (*drawing.arrows, *drawing.arcs):
        at = points(curve)
        assert (at >= -1e-9).all()
        assert (at <= [drawing.width + 1e-9, drawing.height + 1e-9]).all()
    for k, one in enumerate(drawing.boxes):
        for other in drawing.boxes[:k]:
            beside = abs(one.x - other.x) >= (one.width + other.width) / 2
            assert beside or abs(one.y - other.y) >= (one.height + other.height) / 2


@pytest.mark.parametrize("seed", range(30))
def test_curves_join_the_boxes_of_their_edge_and_long_ones_are_not_steep(seed):
    sizes, arrows, arcs = world(seed)
    drawing = lay_out(sizes, arrows, arcs)
    for (a, b), curve in zip(arrows, drawing.arrows, strict=True):
        tail, head = drawing.boxes[a], drawing.boxes[b]
        assert curve[0][0] == pytest.approx(tail.x + tail.width / 2)
        assert curve[-1][0] == pytest.approx(head.x - head.width / 2)
        assert abs(curve[0][1] - tail.y) < tail.height / 2
        assert abs(curve[-1][1] - head.y) < head.height / 2
        dx, dy = np.diff(points(curve), axis=0).T
        assert (dx > -1e-9).all()
        slope = np.abs(dy[dx > 1e-12] / dx[dx > 1e-12])
        assert slope.max() <= 5 or abs(curve[-1][1] - curve[0][1]) < 0.5
    for pair, curve in zip(arcs, drawing.arcs, strict=True):
        rims = {(round(box.x, 6), round(box.y, 6)) for box in (drawing.boxes[v] for v in pair)}
        for x, y in (curve[0], curve[-1]):
            near = [
                box for box in (drawing.boxes[v] for v in pair)
                if abs(abs(y - box.y) - box.height / 2) < 1e-9 and abs(x - box.x) < box.width / 2
            ]  # fmt: skip
            assert len(near) == 1
            rims.discard((round(near[0].x, 6), round(near[0].y, 6)))
        assert not rims  # both of them


def test_an_arc_over_a_box_goes_round_it():
    sizes = [(1.0, 0.4)] * 3
    drawing = lay_out(sizes, [(0, 1), (1, 2)], [(0, 2)])
    assert max(y for _, y in drawing.arcs[0]) > drawing.boxes[1].y + 0.2
    column = lay_out(sizes, [], [(0, 1), (1, 2), (0, 2)])  # three in one column: two upright, one round the middle one
    assert sum(len(curve) == 4 for curve in column.arcs) == 2


def test_a_graph_that_can_be_drawn_without_crossings_is():
    rng = random.Random(0)
    tree = [(rng.randrange(max(0, (v - 1) // 2 - 1), (v + 1) // 2), v) for v in range(1, 40)]
    placed = place_nodes([(0.35, 0.35)] * 40, tree)
    lines = [(placed.layer[a], placed.height[a], placed.height[b]) for a, b in tree]
    crossings = sum(k == m and (a - c) * (b - d) < 0 for i, (k, a, b) in enumerate(lines) for m, c, d in lines[:i])
    assert crossings == 0


def tables():
    nodes = pd.DataFrame({"node": list("abcd"), "kind": ["treatment", "observed", "outcome", "latent"]})
    edges = pd.DataFrame(
        {"parent": list("abda"), "child": list("bcbc"), "kind": ["directed", "directed", "directed", "bidirected"]}
    )
    return nodes, edges


@pytest.mark.parametrize("size", [None, (3, 2)])
def test_the_picture_draws_the_lay_out(size):
    plt = pytest.importorskip("matplotlib.pyplot")
    ax = plotting.graph(*tables(), None if size is None else plt.figure(figsize=size).add_subplot())
    ax.figure.canvas.draw()
    boxes = [p for p in ax.patches if isinstance(p, matplotlib.patches.FancyBboxPatch)]
    arrows = [p for p in ax.patches if isinstance(p, matplotlib.patches.FancyArrowPatch)]
    assert len(boxes) == 4
    assert len(arrows) == 4
    renderer = ax.figure.canvas.get_renderer()
    for text, box in zip(ax.texts, boxes, strict=True):
        words, rim = text.get_window_extent(renderer), box.get_window_extent(renderer)
        assert rim.x0 <= words.x0 <= words.x1 <= rim.x1
        assert rim.y0 - 1 <= words.y0 <= words.y1 <= rim.y1 + 1


def test_a_dark_style_keeps_every_line():
    style = pytest.importorskip("matplotlib.style")
    with style.context("dark_background"):
        ax = plotting.graph(*tables())
    to_hex = matplotlib.colors.to_hex
    assert not [p for p in ax.patches if to_hex(p.get_edgecolor()) in {"#000000", "#333333"}]
    boxes = [p for p in ax.patches if isinstance(p, matplotlib.patches.FancyBboxPatch)]
    assert to_hex(boxes[1].get_facecolor()) == "#000000"
    assert to_hex(ax.texts[1].get_color()) == "#ffffff"


def test_the_same_drawing_is_written_as_svg():
    picture = graph_svg(*tables(), title="g")
    assert picture.count('class="arrow"') == 3
    assert picture.count('class="hidden"') == 1
    names = [f"a name so long that it takes two lines, {end}" for end in ("one", "two")]
    long = pd.DataFrame({"node": names, "kind": "observed"})
    none = tables()[1].iloc[:0]
    assert "one" in graph_svg(long, none, title="g")
    assert "two" in graph_svg(long, none, title="g")
