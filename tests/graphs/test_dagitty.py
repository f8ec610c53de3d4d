"""Text of dagitty.net and of R's dagitty: edges, marks, and what is refused."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from pandas_causal import CausalGraph
from pandas_causal.errors import GraphError, NotIdentifiedError

COPIED = "dag { D [exposure] Y [outcome] U [latent] A -> { E Z } Z <-> Y }"


def test_text_as_it_is_copied():
    graph = CausalGraph(COPIED)
    assert set(graph.nodes) == set("DYUAEZ")
    assert graph.edges == (("A", "E"), ("A", "Z"))
    assert graph.bidirected == (("Z", "Y"),)
    assert graph.latent == {"U"}
    assert (graph.treatment, graph.outcome, graph.adjusted) == (("D",), ("Y",), ())
    assert repr(graph).endswith("latent: U; treatment: D; outcome: Y>")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("dag { X V -> U; {Y V} -> W; W -> S2; X -> U }", "X -> U; V -> U; Y -> W; V -> W -> S2"),
        ("dag { S1 <- U <- {X V}; {Y V} -> W -> S2}", "S1 <- U <- X; U <- V; Y -> W; V -> W -> S2"),
        ("dag{x->y}", "x -> y"),
        ('DAG "a name" {\n x <- z -> y\n x <-> y ; ; }', "x <- z -> y; x <-> y"),
        ('dag { "body mass" -> x.1 -> 2nd -> étage }', '"body mass" -> x.1 -> 2nd -> étage'),
        ("dag { a -> b <-> c <- d [beta=0.3] e }", "a -> b <-> c <- d; e"),
        ("dag { {x [e] z} -> {y [o]} }", "x -> y; z -> y"),
        ("dag { { a -> b } -> c }", "a -> b; a -> c; b -> c"),
        ('dag { a [label="the a", weight=2]\n a -> b // why\n }', "a -> b"),
    ],
)
def test_edges(text, same):
    assert CausalGraph(text) == CausalGraph(same)


def test_marks_by_every_name():
    text = 'dag {{ t [{}] y [{}] z [{},pos="0,1"] u [{}] u -> t -> y <- z }}'
    for names in (
        ("exposure", "outcome", "adjusted", "latent"),
        ("e", "o", "a", "l"),
        ("source", "target", "adjusted", "unobserved"),
        ("exposure", "outcome", "adjusted", "u"),
    ):
        graph = CausalGraph(text.format(*names))
        assert (graph.treatment, graph.outcome, graph.adjusted) == (("t",), ("y",), ("z",))
        assert graph.latent == {"u"}
    for again in (
        CausalGraph(graph),
        copy.copy(graph),
        pickle.loads(pickle.dumps(graph)),
        graph.project(),
    ):
        assert (again.treatment, again.outcome, again.adjusted) == (("t",), ("y",), ("z",))
    # a mark is a question: the graph without it claims the same
    assert graph == CausalGraph("u -> t -> y <- z", latent=["u"])
    assert hash(graph) == hash(CausalGraph("u -> t -> y <- z", latent=["u"]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pdag { a -> b }", "line 1, column 1: a pdag, which has directions that are not known; only a dag"),
        ("mag { a -> b }", "a mag, which has"),
        ("pag { a @-> b }", "a pag, which has"),
        ("admg { a <-> b }", "a admg; only a dag"),
        ("dag { a -- b }", r"line 1, column 9: '--' is no direction"),
        ("dag {\n a @-> b }", r"line 2, column 4: '@->' is no direction"),
        ("dag { a @-@ b }", "'@-@' is no direction"),
        ("dag { a [exposur] a -> b }", r"\[exposur\] is no mark of a node \(did you mean 'exposure'\?\)"),
        ("dag { a -> b [outcome] }", r"\[outcome\] stands after an edge; .* of its own: b \[outcome\]"),
        ("dag { a -> b; b [selected] }", r"b is \[selected\]: .*leave it out"),
        ("dag { a -> b", "a '}' is missing"),
        ("dag { a -> }", r"column 12: '->' leads nowhere"),
        ("dag { a -> b -> a }", "cycle"),
        ("dag { a -> b } dag { c -> d }", "unexpected 'dag' after the graph"),
        ("dag { }", "the dagitty graph is empty"),
        ("dag { body-mass -> y }", "body-mass is no name in dagitty; put it in quotes"),
        ('dag { "a -> b }', "never closed"),
        ("dag { a, b -> c }", "unexpected ','"),
        ('g <- dagitty("dag { a -> b }")', "a call in R; give the text between its quotes"),
        ("dagitty::dagitty('dag { a -> b }')", "a call in R"),
        ("D 1 @-2.2,0.3\nE E @1,2\n\nD E", "dagitty's old language"),
    ],
)
def test_what_is_refused(text, words):
    with pytest.raises(GraphError, match=words):
        CausalGraph(text)


def test_nodes_that_are_called_like_the_language():
    assert CausalGraph("dag -> y").nodes == ("dag", "y")
    assert CausalGraph("mag <- y; pdag").nodes == ("mag", "y", "pdag")


def test_marks_are_the_defaults_of_a_question():
    graph = CausalGraph("dag { x [exposure] y [outcome] z [adjusted] w -> {x y} z -> y x -> m -> y }")
    found = graph.identify()
    assert (found.treatment, found.outcome, found.adjusted, found.given) == (("x",), ("y",), ("z",), ())
    assert found.backdoor.minimal == found.backdoor.minimum == {"w", "z"}
    assert "Every set holds {z}, as asked. Never for {m}" in found.explain()
    # what is named goes before what is marked, and a marked node may be asked about
    assert graph.identify(adjusted=[]).backdoor.minimal == {"w"}
    assert graph.identify(treatment="m").backdoor.minimal == {"w", "z"}
    assert graph.identify(treatment="z").backdoor.minimal == frozenset()
    assert graph.identify(treatment="z", outcome="y").adjusted == ()
    with pytest.raises(GraphError, match="'z' is both treatment and adjusted"):
        graph.identify(treatment="z", adjusted="z")
    with pytest.raises(GraphError, match=r"outcome= needs the name .* marks none as \[outcome\]"):
        CausalGraph("dag { x [exposure] x -> y }").identify()
    assert graph.plot().figure is not None


def test_members_that_leave_no_set():
    graph = CausalGraph("dag { x [exposure] y [outcome] m [adjusted] x -> m -> y; x <- w -> y }")
    found = graph.identify()
    assert not found.backdoor.exists
    assert found.identified
    words = "no set of observed covariates that holds {m} is valid; m lies on or below the causal paths"
    assert words in found.explain()
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=50) for name in "myw"}).assign(x=np.arange(50) % 2)
    with pytest.raises(NotIdentifiedError, match="holds m, which every set is to hold: m must not be adjusted for"):
        frame.causal.ate(graph=graph)
    with pytest.raises(NotIdentifiedError, match="every set is to hold"):
        frame.causal.match(graph=graph)


def test_an_effect_by_marks_alone():
    rng = np.random.default_rng(3)
    n = 1_500
    w, z = rng.normal(size=(2, n))
    x = (rng.random(n) < 1 / (1 + np.exp(-w))).astype(int)
    frame = pd.DataFrame({"w": w, "z": z, "x": x, "y": 2 * x + w + z + rng.normal(size=n)})
    text = "dag { x [exposure] y [outcome] z [adjusted] w -> {x y} x -> y }"
    effect = frame.causal.ate(graph=text, estimator="regression")
    by_hand = frame.causal.ate(treatment="x", outcome="y", covariates=["w", "z"], estimator="regression")
    assert (effect.estimate, effect.std_error) == (by_hand.estimate, by_hand.std_error)
    assert any("every set was to hold z" in line for line in effect.assumptions)
    assert frame.causal.identify(graph=text).treatment == ("x",)
    two = "dag { x [exposure] w [exposure] y [outcome] w -> {x y} x -> y }"
    with pytest.raises(GraphError, match="treatment= needs the name of a node; the graph marks 2: x, w"):
        frame.causal.ate(graph=two)
