"""Bad controls: kinds, paths and messages, against definitions searched through by brute force."""

import itertools
import os
import random

import pytest

from pandas_causal import CausalGraph
from pandas_causal.errors import BadControlError, BadControlWarning, GraphError, NotIdentifiedError
from pandas_causal.graph.bad_controls import guard, judge, refuse_post_treatment

FULL = os.environ.get("PANDAS_CAUSAL_MONTE_CARLO") == "full"


# -- definitions, by exhaustive search ---------------------------------------------------------------------------------


def simple_paths(edges, pairs, a, y):
    """Every path without a repeated node, as a list of nodes with the marks between them."""
    steps = {}
    for u, v in edges:
        steps.setdefault(u, []).append((v, "->"))
        steps.setdefault(v, []).append((u, "<-"))
    for u, v in pairs:
        steps.setdefault(u, []).append((v, "<->"))
        steps.setdefault(v, []).append((u, "<->"))
    found = []

    def extend(nodes, marks):
        if nodes[-1] == y:
            found.append((nodes, marks))
            return
        for w, mark in steps.get(nodes[-1], []):
            if w not in nodes:
                extend([*nodes, w], [*marks, mark])

    extend([a], [])
    return found


def above(edges, nodes):
    """Nodes and their ancestors."""
    out = set(nodes)
    while True:
        more = {u for u, v in edges if v in out} - out
        if not more:
            return out
        out |= more


def below(edges, nodes):
    return above([(v, u) for u, v in edges], nodes)


def colliders(nodes, marks):
    return {
        nodes[k + 1]
        for k in range(len(marks) - 1)
        if marks[k] in ("->", "<->") and marks[k + 1] in ("<-", "<->")
    }


def is_open(edges, nodes, marks, held):
    turning = colliders(nodes, marks)
    opened = above(edges, held)
    return all(v in opened if v in turning else v not in held for v in nodes[1:-1])


def defined(edges, pairs, a, y, held):
    """(valid, kinds) of a set, from the definitions alone."""
    paths = simple_paths(edges, pairs, a, y)
    causal = {v for nodes, marks in paths if set(marks) == {"->"} for v in nodes[1:]}
    forbidden = below(edges, causal)
    kinds = {z: "mediator" if z in causal else "descendant" for z in held if z in forbidden}
    allowed = [z for z in held if z not in forbidden]
    opened = [(n, m) for n, m in paths if set(m) != {"->"} and is_open(edges, n, m, allowed)]
    for z in allowed:
        if any(c in above(edges, [z]) for n, m in opened for c in colliders(n, m)):
            kinds[z] = "collider"
    return not kinds and not opened, kinds, opened


def check_path(edges, pairs, a, y, held, kinds, found):
    """Each path given runs from a to y and is what its kind says."""
    paths = simple_paths(edges, pairs, a, y)
    causal = {tuple(n) for n, m in paths if set(m) == {"->"}}
    allowed = [z for z in held if kinds.get(z) not in ("mediator", "descendant")]
    for z, (kind, path) in found.items():
        if kind == "mediator":
            assert path in causal
            assert z in path
        elif kind == "descendant":
            assert path in causal
            assert z in below(edges, path[1:])
        else:
            same = [(n, m) for n, m in paths if tuple(n) == path and is_open(edges, n, m, allowed)]
            assert any(c in above(edges, [z]) for n, m in same for c in colliders(n, m))


def useless(edges, pairs, a, y, held):
    """Descendants of treatment, and instruments, of a valid set, from the definitions."""
    causal = {v for n, m in simple_paths(edges, pairs, a, y) if set(m) == {"->"} for v in n[1:]}
    cut = [(u, v) for u, v in edges if not (u == a and v in causal)]
    out = {}
    for z in held:
        rest = [w for w in held if w != z]

        def related(other, z=z, rest=rest):
            return any(is_open(cut, n, m, rest) for n, m in simple_paths(cut, pairs, z, other))

        if z in below(edges, [a]):
            out[z] = "descendant"
        elif not related(y) and related(a):
            out[z] = "instrument"
    return out


def compare(edges, pairs, nodes, a, y):
    graph = CausalGraph({v: [] for v in nodes} | {u: [v for x, v in edges if x == u] for u in nodes}, bidirected=pairs)
    others = [v for v in nodes if v not in (a, y)]
    for size in range(len(others) + 1):
        for held in itertools.combinations(others, size):
            valid, kinds, opened = defined(edges, pairs, a, y, held)
            found = judge(graph, a, y, held)
            assert found.valid == valid
            assert {z: kind for z, (kind, _) in found.controls.items()} == kinds
            check_path(edges, pairs, a, y, held, kinds, found.controls)
            rest = [z for z in held if z not in kinds]
            still = defined(edges, pairs, a, y, rest)[2]
            assert (found.open_path is not None) == bool(still)
            if found.open_path is not None:
                assert found.open_path in {tuple(n) for n, _ in still}
            assert found.useless == (useless(edges, pairs, a, y, held) if valid else {})
            assert valid == graph.identify(treatment=a, outcome=y).backdoor.is_valid(held)


def random_graph(rng, n):
    order = list(range(n))
    rng.shuffle(order)
    density = rng.choice([0.3, 0.5, 0.7])
    edges = [(u, v) for i, u in enumerate(order) for v in order[i + 1 :] if rng.random() < density]
    pairs = [p for p in itertools.combinations(range(n), 2) if rng.random() < rng.choice([0.0, 0.2, 0.4])]
    return edges, pairs


def mixed_graphs(n):
    """Every mixed graph on n ordered nodes: any pair is joined by an edge, by a hidden cause, by both, or not at all."""
    pairs = list(itertools.combinations(range(n), 2))
    for code in itertools.product(range(4), repeat=len(pairs)):
        yield [p for p, c in zip(pairs, code, strict=True) if c & 1], [p for p, c in zip(pairs, code, strict=True) if c & 2]


def test_every_graph_on_four_ordered_nodes_agrees_with_the_definitions():
    """4,096 graphs whose edges follow one order (every acyclic graph is one of them, relabelled), every pair of ends."""
    graphs = list(mixed_graphs(4))
    assert len(graphs) == 4_096
    sample = graphs if FULL else random.Random(1).sample(graphs, 250)
    for edges, pairs in sample:
        for a, y in itertools.permutations(range(4), 2):
            compare(edges, pairs, range(4), a, y)


@pytest.mark.parametrize("n", [5, 6])
def test_random_graphs_agree_with_the_definitions(n):
    rng = random.Random(n)
    for _ in range((3_000 if n == 5 else 1_000) if FULL else (60 if n == 5 else 12)):
        edges, pairs = random_graph(rng, n)
        a, y = rng.sample(range(n), 2)
        compare(edges, pairs, range(n), a, y)
