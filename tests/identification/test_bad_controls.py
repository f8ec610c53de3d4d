"""Bad controls: kinds, paths and messages, against definitions searched through by brute force."""

import random

import numpy as np
import pytest

from pandas_causal import CausalGraph
from pandas_causal.errors import BadControlError, BadControlWarning, GraphError, NotIdentifiedError
from pandas_causal.identification.bad_controls import classify_controls, refuse_bad_controls, refuse_post_treatment
from tests.graphs import brute

# -- definitions, by exhaustive search ------------------------------------------------------------


def colliders(path):
    nodes, arrows = path
    return {nodes[k + 1] for k in range(len(arrows) - 1) if arrows[k].endswith(">") and arrows[k + 1].startswith("<")}


def defined(graph, a, y, held):
    """Kinds of the members of a set, and the paths that are open and not causal, from the definitions alone."""
    causal = brute.on_causal_paths(graph, [a], [y])
    forbidden = brute.below(graph, causal)
    kinds = {z: "mediator" if z in causal else "descendant" for z in held if z in forbidden}
    allowed = {z for z in held if z not in forbidden}
    opened = [p for p in brute.paths(graph, a, y) if not brute.is_causal(p) and brute.is_open(graph, p, allowed)]
    for z in allowed:
        if any(c in brute.above(graph, [z]) for p in opened for c in colliders(p)):
            kinds[z] = "collider"
    return kinds, opened


def check_path(graph, a, y, held, kinds, found):
    """Each path given runs from a to y and is what its kind says."""
    paths = list(brute.paths(graph, a, y))
    causal = {nodes for nodes, arrows in paths if brute.is_causal((nodes, arrows))}
    allowed = {z for z in held if kinds.get(z) not in ("mediator", "descendant")}
    for z, (kind, path) in found.items():
        if kind == "mediator":
            assert path in causal
            assert z in path
        elif kind == "descendant":
            assert path in causal
            assert z in brute.below(graph, path[1:])
        else:
            same = [p for p in paths if p[0] == path and brute.is_open(graph, p, allowed)]
            assert any(c in brute.above(graph, [z]) for p in same for c in colliders(p))


def useless(graph, a, y, held):
    """Consequences of treatment, and instruments, in a valid set, from the definitions."""
    n, edges, pairs = graph
    causal = brute.on_causal_paths(graph, [a], [y])
    cut = n, frozenset(e for e in edges if not (e[0] == a and e[1] in causal)), pairs
    out = {}
    for z in held:
        rest = set(held) - {z}
        if z in brute.below(graph, [a]):
            out[z] = "descendant"
        elif brute.separated(cut, [z], [y], rest) and not brute.separated(cut, [z], [a], rest):
            out[z] = "instrument"
    return out


def compare(graph, a, y):
    drawn = brute.graph_of(graph)
    for held in brute.subsets(set(range(graph[0])) - {a, y}):
        kinds, opened = defined(graph, a, y, held)
        found = classify_controls(drawn, a, y, sorted(held))
        said = f"{graph}, {a} on {y}, {set(held)}"
        assert found.valid == (not kinds and not opened) == brute.valid_adjustment(graph, [a], [y], held), said
        assert {z: kind for z, (kind, _) in found.controls.items()} == kinds, said
        check_path(graph, a, y, held, kinds, found.controls)
        still = {p[0] for p in defined(graph, a, y, held - set(kinds))[1]}
        assert found.open_path in still if still else found.open_path is None, said
        assert found.useless == (useless(graph, a, y, held) if found.valid else {}), said


def test_mixed_graphs_on_four_nodes():
    """All 34,752 in full; with every graph, labelled in every way, one question is enough."""
    for graph in brute.sample(brute.all_mixed(4), 700, 1):
        compare(graph, 0, 1)


def test_acyclic_graphs_on_five_nodes():
    """All 29,281 in full."""
    for edges in brute.sample(brute.all_dags(5), 150, 2):
        compare((5, edges, frozenset()), 0, 1)


def test_random_mixed_graphs():
    rng = np.random.default_rng(3)
    for _ in range(3_000 if brute.FULL else 60):
        n = int(rng.choice([5, 6]))
        compare(brute.random_mixed(rng, n), *map(int, rng.choice(n, 2, replace=False)))


# -- the kinds, by name ------------------------------------------------------------

WARD = "medication -> recovery -> readmission -> cost, severity -> medication, severity -> readmission"
M_BIAS = "medication -> readmission, income -> medication, income -> visits, genes -> visits, genes -> readmission"


def test_mediators_and_descendants_are_named_with_their_paths():
    graph = CausalGraph(WARD + ", recovery -> mood")
    with pytest.raises(BadControlError) as error:
        refuse_bad_controls(graph, "medication", "readmission", ["recovery", "mood", "cost", "severity"])
    causal = ("medication", "recovery", "readmission")
    assert error.value.controls == {
        "recovery": ("mediator", causal),
        "mood": ("descendant", causal),
        "cost": ("descendant", causal),
    }
    text = str(error.value)
    assert text.startswith("3 of 4 covariates must not be adjusted for")
    assert "mood (descendant): it is caused by what carries the effect, recovery -> mood; the effect runs medi" in text
    assert "cost (descendant): it is caused by the outcome, readmission -> cost; the effect runs medication" in text
    assert "Without them the set is valid: covariates=['severity']" in text


def test_m_bias():
    graph = CausalGraph(M_BIAS, latent=["income", "genes"])
    with pytest.raises(BadControlError, match="opens medication <- income -> visits <- genes -> readmission") as error:
        refuse_bad_controls(graph, "medication", "readmission", ["visits"])
    path = ("medication", "income", "visits", "genes", "readmission")
    assert error.value.controls == {"visits": ("collider", path)}
    assert "Without it the set is valid: covariates=[]" in str(error.value)
    assert refuse_bad_controls(graph, "medication", "readmission", []) == ()
    observed = CausalGraph(M_BIAS)
    assert not classify_controls(observed, "medication", "readmission", ["visits", "genes"]).controls


def test_what_a_collider_causes_is_a_collider_too():
    graph = CausalGraph(M_BIAS + ", visits -> bill", latent=["income", "genes"])
    with pytest.raises(BadControlError, match="bill .collider.: caused by 'visits', where two arrows meet;"):
        refuse_bad_controls(graph, "medication", "readmission", ["bill"])


def test_a_confounder_that_is_a_collider_leaves_another_path_open():
    """The butterfly: the set needs visits, which opens a path that income or genes would close."""
    graph = CausalGraph(M_BIAS + ", visits -> medication, visits -> readmission", latent=["income"])
    with pytest.raises(BadControlError) as error:
        refuse_bad_controls(graph, "medication", "readmission", ["visits"])
    assert error.value.controls["visits"][0] == "collider"
    assert "stays open; adjusting for ['genes', 'visits'] closes every such path" in str(error.value)
    assert refuse_bad_controls(graph, "medication", "readmission", ["genes", "visits"]) == ()


def test_hidden_causes_are_drawn_in_the_path():
    graph = CausalGraph("a -> y, a <-> c, c <-> y")
    with pytest.raises(BadControlError, match="opens a <-> c <-> y"):
        refuse_bad_controls(graph, "a", "y", ["c"])


@pytest.mark.parametrize("covariates", [[], ["age"]])
def test_an_open_path_is_named_with_what_closes_it(covariates):
    graph = CausalGraph(WARD + ", age -> readmission")
    with pytest.raises(NotIdentifiedError) as error:
        refuse_bad_controls(graph, "medication", "readmission", covariates)
    text = str(error.value)
    assert "leave open medication <- severity -> readmission" in text
    assert f"covariates={[*covariates, 'severity']}" in text


def test_an_open_path_that_no_column_closes():
    with pytest.raises(NotIdentifiedError, match="leave open a <-> y.*no observed covariates close it: measure"):
        refuse_bad_controls(CausalGraph("a -> y, a <-> y"), "a", "y", [])
    with pytest.raises(NotIdentifiedError, match=r"determines the effect otherwise: ate\(graph=...\)"):
        refuse_bad_controls(CausalGraph("a -> m -> y, a <-> y"), "a", "y", [])


def test_covariates_that_do_no_good_are_warned_of():
    graph = CausalGraph(WARD + ", lottery -> medication -> nausea")
    with pytest.warns(BadControlWarning) as caught:
        notes = refuse_bad_controls(graph, "medication", "readmission", ["severity", "lottery", "nausea"])
    assert len(caught) == len(notes) == 1
    assert "lottery (instrument): given the other covariates it is related to treatment alone" in notes[0]
    assert "nausea (descendant): treatment causes it, medication -> nausea, and it carries no effect" in notes[0]
    assert refuse_bad_controls(graph, "medication", "readmission", ["severity"]) == ()


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
        classify_controls(graph, "medication", "readmission", covariates)


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
    assert classify_controls(graph, "v400", "v900", best).valid
    everything = [v for v in names if v not in ("v400", "v900")]
    judged = classify_controls(graph, "v400", "v900", everything)
    kinds = [kind for kind, _ in judged.controls.values()]
    assert {"mediator", "descendant"} <= set(kinds)
    assert set(judged.controls) >= graph.descendants("v400") & graph.ancestors("v900") - {"v400", "v900"}
    below = sorted(graph.descendants("v400") - found.backdoor.forbidden - {"v400"})
    assert {classify_controls(graph, "v400", "v900", [*best, v]).useless.get(v) for v in below[:3]} <= {"descendant"}
