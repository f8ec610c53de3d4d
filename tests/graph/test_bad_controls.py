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
    return {nodes[k + 1] for k in range(len(marks) - 1) if marks[k] in ("->", "<->") and marks[k + 1] in ("<-", "<->")}


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
            valid, kinds, _ = defined(edges, pairs, a, y, held)
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
    """Every mixed graph on n ordered nodes: a pair is joined by an edge, by a hidden cause, by both, or not at all."""
    pairs = list(itertools.combinations(range(n), 2))
    for code in itertools.product(range(4), repeat=len(pairs)):
        yield (
            [p for p, c in zip(pairs, code, strict=True) if c & 1],
            [p for p, c in zip(pairs, code, strict=True) if c & 2],
        )


def test_every_graph_on_four_ordered_nodes_agrees_with_the_definitions():
    """4,096 graphs whose edges follow one order (every acyclic one is among them, relabelled), every pair of ends."""
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


# -- the kinds, by name --------------------------------------------------------------------------------------------------

WARD = "medication -> recovery -> readmission -> cost, severity -> medication, severity -> readmission"
M_BIAS = "medication -> readmission, income -> medication, income -> visits, genes -> visits, genes -> readmission"


def test_mediators_and_descendants_are_named_with_their_paths():
    graph = CausalGraph(WARD + ", recovery -> mood")
    with pytest.raises(BadControlError) as error:
        guard(graph, "medication", "readmission", ["recovery", "mood", "cost", "severity"])
    causal = ("medication", "recovery", "readmission")
    assert error.value.controls == {
        "recovery": ("mediator", causal),
        "mood": ("descendant", causal),
        "cost": ("descendant", causal),
    }
    text = str(error.value)
    assert "mood (descendant): it is caused by 'recovery', which carries the effect" in text
    assert "cost (descendant): it is caused by the outcome" in text
    assert "Without them the set is valid: covariates=['severity']" in text


def test_m_bias():
    graph = CausalGraph(M_BIAS, latent=["income", "genes"])
    with pytest.raises(BadControlError, match="opens medication <- income -> visits <- genes -> readmission") as error:
        guard(graph, "medication", "readmission", ["visits"])
    path = ("medication", "income", "visits", "genes", "readmission")
    assert error.value.controls == {"visits": ("collider", path)}
    assert "Without it the set is valid: covariates=[]" in str(error.value)
    assert guard(graph, "medication", "readmission", []) == ()
    observed = CausalGraph(M_BIAS)
    assert not judge(observed, "medication", "readmission", ["visits", "genes"]).controls


def test_what_a_collider_causes_is_a_collider_too():
    graph = CausalGraph(M_BIAS + ", visits -> bill", latent=["income", "genes"])
    with pytest.raises(BadControlError, match="bill .collider.: caused by 'visits', where two arrows meet;"):
        guard(graph, "medication", "readmission", ["bill"])


def test_a_confounder_that_is_a_collider_leaves_another_path_open():
    """The butterfly: the set needs visits, which opens a path that income or genes would close."""
    graph = CausalGraph(M_BIAS + ", visits -> medication, visits -> readmission", latent=["income"])
    with pytest.raises(BadControlError) as error:
        guard(graph, "medication", "readmission", ["visits"])
    assert error.value.controls["visits"][0] == "collider"
    assert "stays open; adjusting for ['genes', 'visits'] closes every such path" in str(error.value)
    assert guard(graph, "medication", "readmission", ["genes", "visits"]) == ()


def test_hidden_causes_are_drawn_in_the_path():
    graph = CausalGraph("a -> y, a <-> c, c <-> y")
    with pytest.raises(BadControlError, match="opens a <-> c <-> y"):
        guard(graph, "a", "y", ["c"])


@pytest.mark.parametrize("covariates", [[], ["age"]])
def test_an_open_path_is_named_with_what_closes_it(covariates):
    graph = CausalGraph(WARD + ", age -> readmission")
    with pytest.raises(NotIdentifiedError) as error:
        guard(graph, "medication", "readmission", covariates)
    text = str(error.value)
    assert "leave open medication <- severity -> readmission" in text
    assert f"covariates={[*covariates, 'severity']}" in text


def test_an_open_path_that_no_column_closes():
    with pytest.raises(NotIdentifiedError, match="leave open a <-> y.*no observed covariates close it: measure"):
        guard(CausalGraph("a -> y, a <-> y"), "a", "y", [])
    with pytest.raises(NotIdentifiedError, match=r"determines the effect otherwise: ate\(graph=...\) without covariates"):
        guard(CausalGraph("a -> m -> y, a <-> y"), "a", "y", [])


def test_covariates_that_do_no_good_are_warned_of():
    graph = CausalGraph(WARD + ", lottery -> medication -> nausea")
    with pytest.warns(BadControlWarning) as caught:
        notes = guard(graph, "medication", "readmission", ["severity", "lottery", "nausea"])
    assert len(caught) == len(notes) == 1
    assert "lottery (instrument): given the other covariates it is related to treatment alone" in notes[0]
    assert "nausea (descendant): treatment causes it, medication -> nausea, and it carries no effect" in notes[0]
    assert guard(graph, "medication", "readmission", ["severity"]) == ()


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        (["sevrity"], "'sevrity' is no node of the graph .did you mean 'severity'"),
        (["hidden"], "'hidden' is latent in the graph, so nothing can be adjusted for it"),
        (["readmission"], "'readmission' is treatment or outcome, and no covariate"),
    ],
)
def test_covariates_that_are_none(covariates, message):
    graph = CausalGraph(WARD + ", hidden -> severity", latent=["hidden"])
    with pytest.raises(GraphError, match=message):
        judge(graph, "medication", "readmission", covariates)


def test_the_marks_of_the_caller():
    refuse_post_treatment("medication", ["age"], ["cost"])
    with pytest.raises(BadControlError, match=r"\['cost'\] is marked as post_treatment.*covariates=\['age'\]") as error:
        refuse_post_treatment("medication", ["age", "cost"], ["cost", "mood"])
    assert error.value.controls == {"cost": ("descendant", ("medication", "cost"))}


def test_a_large_graph_is_judged_at_once():
    """1,000 nodes, 5,000 edges: every kind is found, and no path is searched for by enumeration."""
    rng = random.Random(0)
    names = [f"v{k}" for k in range(1_000)]
    edges = {tuple(sorted(rng.sample(range(1_000), 2))) for _ in range(5_100)}
    graph = CausalGraph([(names[a], names[b]) for a, b in sorted(edges)][:5_000])
    found = graph.identify(treatment="v400", outcome="v900")
    best = sorted(found.backdoor.optimal)
    assert judge(graph, "v400", "v900", best).valid
    everything = [v for v in names if v not in ("v400", "v900")]
    judged = judge(graph, "v400", "v900", everything)
    kinds = [kind for kind, _ in judged.controls.values()]
    assert {"mediator", "descendant"} <= set(kinds)
    assert set(judged.controls) >= graph.descendants("v400") & graph.ancestors("v900") - {"v400", "v900"}
    below = sorted(graph.descendants("v400") - found.backdoor.forbidden - {"v400"})
    assert {judge(graph, "v400", "v900", [*best, v]).useless.get(v) for v in below[:3]} <= {"descendant"}
