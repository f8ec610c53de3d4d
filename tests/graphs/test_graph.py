"""CausalGraph: every way to write one, what it refuses, and what follows from it."""

import copy
import itertools
import pickle
import time

import networkx as nx
import numpy as np
import pandas as pd
import pytest

import pandas_causal
from pandas_causal import CausalGraph
from pandas_causal.errors import GraphError
from pandas_causal.graphs.reading import builder
from tests.graphs import brute

BACKDOOR = CausalGraph("severity -> medication -> readmission <- severity")

SAME = {
    "one chain": "severity -> medication -> readmission <- severity",
    "commas": "severity->medication, severity->readmission , medication->readmission",
    "semicolons and new lines": "\n medication -> readmission;\nseverity -> readmission\n;; severity -> medication;\n",
    "arrows backwards": "readmission <- medication <- severity; readmission <- severity",
    "a chain over lines": "severity ->\n medication ->\n readmission\nreadmission <- severity",
    "quotes": "\"severity\" -> 'medication' -> readmission <- severity",
    "repeated": "severity -> medication -> readmission; severity -> medication; severity -> readmission; medication",
    "DOT": "digraph {severity -> medication; severity -> readmission; medication -> readmission}",
    "DOT, as Graphviz may have it": """
        /* drawn */ // by hand
        strict DiGraph "x -> y" {
        # a line of the preprocessor
        graph [rankdir=LR]; node [shape=box, label="a -> b"] edge [color="#ff0000"]; rankdir = LR
        "severity" [label=<<b>bold</b> &amp; a -&gt; b>, pos="0,0!"];
        severity:s -> {medication readmission:n:w} [weight=2]
        subgraph cluster_1 { medi\
cation; } -> "readm" + "ission"
        }""".replace("medi\\\ncation", "medication"),
    "dagitty": "dag { severity -> { medication readmission } medication -> readmission }",
    "dagitty, as dagitty.net has it": """dag {
        bb="-3.687,-2.637,5.96,2.575"
        "severity" [pos="-0.929,-0.900"]
        medication [exposure,pos="4.259,0.627"]
        readmission [outcome,pos="-0.258,-2.137"]
        severity -> medication [pos="0.1,0.2"]
        { severity medication } -> readmission }""",
    "dict": {"severity": ["medication", "readmission"], "medication": "readmission"},
    "dict of sets": {"severity": {"readmission", "medication"}, "medication": {"readmission": {}}, "readmission": []},
    "pairs": [("severity", "medication"), ["severity", "readmission"], ("medication", "readmission")],
    "array of pairs": np.array(
        [("severity", "medication"), ("severity", "readmission"), ("medication", "readmission")]
    ),
    "generator": (e for e in BACKDOOR.edges),
    "networkx": nx.DiGraph([("severity", "medication"), ("severity", "readmission"), ("medication", "readmission")]),
    "networkx, several edges": nx.MultiDiGraph([*BACKDOOR.edges, ("severity", "medication")]),
    "a graph": BACKDOOR,
    "GML": "\n".join(nx.generate_gml(nx.DiGraph(list(BACKDOOR.edges)))),
}


@pytest.mark.parametrize("how", SAME)
def test_every_way_of_writing_is_the_same_graph(how):
    graph = CausalGraph(SAME[how])
    assert graph == BACKDOOR
    one, two = (g.identify(treatment="medication", outcome="readmission") for g in (graph, BACKDOOR))
    assert one.functional.text == two.functional.text
    assert one.explain() == two.explain()
    assert hash(graph) == hash(BACKDOOR)
    assert graph.identify(treatment="medication", outcome="readmission").backdoor.minimal == {"severity"}


def test_common_causes_and_latent_nodes_in_every_language():
    graph = CausalGraph("a <-> b -> c; a -> c; u -> a", latent=["u"])
    for written in (
        CausalGraph({"a": ["c"], "b": ["c"], "u": ["a"]}, bidirected=[("b", "a")], observed=["a", "b", "c"]),
        CausalGraph("digraph { a <-> b; b -> c; a -> c; u [observed=no]; u -> a }"),
        CausalGraph('digraph { u [observed="no"] a -> b [dir="both"] {a b} -> c; u -> a }'),
        CausalGraph("digraph { a -> b [dir=both]; c -> b [dir=back]; a -> c; node [latent=true] u -> a }"),
        CausalGraph(
            "digraph { edge [dir=both]; a -> b; subgraph { edge [dir=forward] b -> c; a -> c; } }", bidirected=()
        ),
    ):
        if "u" in written:
            assert written == graph
        else:
            assert written == CausalGraph("a <-> b -> c; a -> c")
    drawn = nx.DiGraph([("b", "c"), ("a", "c"), ("u", "a")])
    drawn.nodes["u"]["observed"] = "no"
    drawn.add_edge("a", "b", dir="both")
    assert CausalGraph(drawn) == graph
    assert CausalGraph("\n".join(nx.generate_gml(drawn))) == graph
    assert CausalGraph(graph, bidirected=[("u", "c")]).bidirected == (("a", "b"), ("u", "c"))


def test_names():
    graph = CausalGraph('"body mass index" -> y; BMI(kg/m²) -> y; "patient\'s" <- "a \\"b\\"" -> x.1 -> 7')
    assert graph.nodes == ("body mass index", "y", "BMI(kg/m²)", "patient's", 'a "b"', "x.1", "7")
    numbers = CausalGraph([(1, 2), (2, ("a", 3))])
    assert numbers.children(2) == (("a", 3),)
    assert numbers.descendants(("a", 3)) == {("a", 3)}
    assert CausalGraph('"graph" -> y').nodes == ("graph", "y")
    assert CausalGraph("graph_score -> y").nodes == ("graph_score", "y")
    assert CausalGraph("a -> b", observed=pd.Index(["a", "b"])).observed == {"a", "b"}


BAD = {
    "a cycle": ("a -> b -> c -> a; c -> d", "cycle: a -> b -> c -> a"),
    "two-node cycle": ({"a": ["b"], "b": ["a"]}, "cycle: .*(a -> b -> a|b -> a -> b)"),
    "a self-loop": ("a -> b -> b", "'b' points to itself"),
    "a common cause of one": ("a <-> a", "'a' <-> 'a'"),
    "empty": ("", "empty"),
    "blank": (" \n\t", "empty"),
    "only separators": (";;\n,", "no nodes"),
    "two names": ("a -> b c", r"line 1, column 8: two names, 'b' and 'c'"),
    "a line that ends too soon": ("x -> y\na -> ;", r"line 2, column 6: '->' leads nowhere"),
    "text that ends too soon": ("x -> y\na -> ", r"line 2, column 6: '->' leads nowhere"),
    "no name before": ("a -> b\n-> c", r"line 2, column 1: '->' has no name"),
    "a wrong arrow": ("a -- b", r"line 1, column 3: unexpected '-'"),
    "a fat arrow": ("a => b", r"column 3: unexpected '='"),
    "an open quote": ('a -> "b', r"column 6: the quote .* never closed"),
    "an empty name": ('a -> ""', "an empty name"),
    "a set in braces": ("x -> { y z }", r"column 6: unexpected '{'; .* dagitty's dag"),
    "DOT without end": ("digraph {\n a -> b", r"malformed DOT, line 2, column 8: the text ends"),
    "DOT with a wrong sign": ("digraph {\n a ->; b }", r"malformed DOT, line 2, column 6"),
    "DOT that leads nowhere": ("digraph { a -> }", r"column 16: '->' leads nowhere"),
    "DOT arrow backwards": ("digraph { a <- b }", "no '<-'"),
    "DOT without braces": ("digraph a -> b", r"column 11"),
    "a node named graph": ("graph -> y", "put a node of that name in quotes"),
    "undirected DOT": ("graph { a -- b }", "undirected"),
    "undirected edge in DOT": ("digraph { a -- b }", "'--' is no direction"),
    "no direction in DOT": ("digraph { a -> b [dir=none] }", "dir='none'"),
    "a dotted name in DOT": ("digraph {\n a -> x.1 }", r"line 2, column 7: x.1 is no name in DOT.*quotes: .x.1."),
    "a name that begins with a digit": ("digraph { 1x -> y }", r"line 1, column 11: 1x is no name in DOT"),
    "two graphs": ("digraph { a -> b }\n digraph { c -> d }", "line 2, column 2: a second graph"),
    "rest after DOT": ("digraph { a -> b } c", "unexpected 'c' after the graph"),
    "empty DOT": ("digraph { }", "empty"),
    "word of DOT": ("digraph { a -> node }", "word of DOT"),
    "open comment": ("digraph { a -> b /* }", "never closed"),
    "open html": ("digraph { a [label=<<b>] }", "'<' is never closed"),
    "undirected networkx": (nx.Graph([("a", "b")]), "undirected"),
    "empty networkx": (nx.DiGraph(), "no nodes"),
    "undirected GML": ("\n".join(nx.generate_gml(nx.Graph([("a", "b")]))), "undirected"),
    "malformed GML": ("graph [ directed 1 node [ id 0 label ]", "malformed GML"),
    "nested GML": ("graph [ " + "a [ " * 50_000, "malformed GML"),
    "bytes": (b"a -> b", "bytes"),
    "a number": (3, "got int"),
    "None": (None, "got NoneType"),
    "a frame": (pd.DataFrame({"a": [1]}), "got DataFrame"),
    "an empty list": ([], "no nodes"),
    "an empty dict": ({}, "empty"),
    "a list of texts": (["a -> b"], "join texts"),
    "triples": ([("a", "b", "c")], "pairs"),
    "numbers": ([1, 2], "pairs"),
    "a dict of numbers": ({"a": 1}, "children"),
    "a name that is a list": ([(["a"], "b")], "needs a name"),
    "None as a name": ([("a", None)], "None is no name"),
    "NaN as a name": ([("a", float("nan"))], "nan is no name"),
    "NA as a name": ([("a", pd.NA)], "<NA> is no name"),
    "a path": ("/etc/passwd -> ", "leads nowhere"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_by_our_error(what, capfd):
    given, words = BAD[what]
    with pytest.raises(GraphError, match=words):
        CausalGraph(given)
    assert capfd.readouterr() == ("", "")


def test_iterators_without_end(monkeypatch):
    """They stop at 10,000,000 edges: here at fewer, so that the test is quick."""
    assert builder.MOST_EDGES == 10_000_000
    monkeypatch.setattr(builder, "MOST_EDGES", 10_000)
    endless = "more than 10,000 items; does it end"
    for given in (
        itertools.repeat(("a", "b")),
        ((k, k + 1) for k in itertools.count()),
        {"a": (f"v{k}" for k in itertools.count())},
    ):
        with pytest.raises(GraphError, match=f"a graph is given as an iterator of {endless}"):
            CausalGraph(given)
    for settings in (
        {"bidirected": itertools.repeat(("a", "b"))},
        {"latent": itertools.repeat("a")},
        {"observed": itertools.repeat("a")},
    ):
        with pytest.raises(GraphError, match=f"{next(iter(settings))} is given as an iterator of {endless}"):
            CausalGraph("a -> b", **settings)
    graph = CausalGraph("a -> b -> c")
    with pytest.raises(GraphError, match=f"a set of nodes is given as an iterator of {endless}"):
        graph.ancestors(itertools.repeat("b"))
    assert len(CausalGraph((k, k + 1) for k in range(10_000))) == 10_001


def test_deep_and_long_text():
    """Nested braces, a long chain and many ends neither exhaust the stack nor the clock."""
    assert len(CausalGraph("digraph {" + "{" * 100_000 + "a" + "}" * 100_000 + "-> b}")) == 2
    assert len(CausalGraph(" -> ".join(f"v{i}" for i in range(100_000)))) == 100_000
    assert len(CausalGraph("digraph { " + "/* */" * 190_000 + " a -> b }")) == 2
    with pytest.raises(GraphError, match="line 1, column 4"):
        CausalGraph("/* */" * 190_000 + " x -> y")
    with pytest.raises(GraphError, match="line 1, column 1"):
        CausalGraph('"' + "a" * 900_000)
    many = " ".join(f"n{i}" for i in range(60_000))
    with pytest.raises(GraphError, match="more than 1,000,000 edges"):
        CausalGraph(f"digraph {{ {{{many}}} -> {{{many.replace('n', 'm')}}} }}")


def test_text_over_a_megabyte_is_answered_at_once():
    texts = ["digraph {" + "a -> b;" * 200_000 + "}", "a" * 1_000_001, "é" * 600_000, '"' * 20_000_000]
    for text in texts:
        start = time.perf_counter()
        with pytest.raises(GraphError, match="at most 1,000,000 bytes"):
            CausalGraph(text)
        long = time.perf_counter() - start
        start = time.perf_counter()
        CausalGraph("digraph {" + "a -> b;" * 2_000 + "}")
        assert long < 2 * (time.perf_counter() - start)


def test_a_path_is_never_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "graph.gml").write_text("graph [ directed 1 node [ id 0 label 5 ] ]")
    with pytest.raises(GraphError, match="malformed DOT"):
        CausalGraph("graph.gml")
    assert CausalGraph("./my_graph.dot").nodes == ("./my_graph.dot",)


def test_latent_and_observed():
    assert CausalGraph("u -> a -> b", latent=["u"]) == CausalGraph("u -> a -> b", observed=["a", "b"])
    for wrong, words in (
        ({"latent": ["w"]}, "latent names 'w'"),
        ({"latent": "ab"}, "takes a list"),
        ({"observed": ["a", "bb"]}, "observed names 'bb'"),
        ({"latent": ["a"], "observed": ["a", "b"]}, "'a' is given as latent and as observed"),
        ({"latent": [["a"]]}, "no node"),
        ({"bidirected": ("a", "b")}, "pairs"),
        ({"bidirected": "ab"}, "pairs"),
        ({"bidirected": [("a", "b", "c")]}, "pairs"),
        ({"bidirected": [("a", "a")]}, "'a' <-> 'a'"),
        ({"bidirected": 3}, "pairs"),
    ):
        with pytest.raises(GraphError, match=words):
            CausalGraph("a -> b", **wrong)


def test_immutable_and_a_value():
    graph = CausalGraph("a -> b <-> c; u -> a; lonely", latent=["u"])
    for name in ("nodes", "_nodes", "new"):
        with pytest.raises(AttributeError, match="cannot be changed"):
            setattr(graph, name, ())
    with pytest.raises(AttributeError, match="cannot be changed"):
        del graph._nodes
    assert pickle.loads(pickle.dumps(graph)) == graph
    assert pickle.loads(pickle.dumps(graph)).nodes == graph.nodes
    assert copy.copy(graph) is copy.deepcopy(graph) is graph
    assert {graph: 1}[CausalGraph({"u": "a", "a": "b", "lonely": ()}, bidirected=[("c", "b")], latent=["u"])] == 1
    assert graph != CausalGraph("a -> b <-> c; u -> a; lonely")
    assert graph != CausalGraph("a -> b; u -> a; lonely; c", latent=["u"])
    assert graph != "a -> b"
    assert "u" in graph
    assert ["u"] not in graph
    assert len(graph) == 5
    assert repr(graph) == "<CausalGraph of 5 nodes: a -> b; u -> a; b <-> c; lonely; latent: u>"
    assert pandas_causal.CausalGraph is CausalGraph


def test_what_it_holds():
    graph = CausalGraph("u -> a -> b -> d <- c; c <-> a; e", latent=["u"])
    assert graph.nodes == ("u", "a", "b", "d", "c", "e")
    assert graph.edges == (("u", "a"), ("a", "b"), ("b", "d"), ("c", "d"))
    assert graph.bidirected == (("c", "a"),)
    assert graph.latent == {"u"}
    assert graph.observed == {"a", "b", "c", "d", "e"}
    assert graph.parents("d") == ("b", "c")
    assert graph.children("u") == ("a",)
    assert graph.siblings("a") == ("c",)
    assert graph.ancestors("b") == {"u", "a", "b"}
    assert graph.ancestors(["b", "c"]) == {"u", "a", "b", "c"}
    assert graph.descendants("a") == {"a", "b", "d"}
    assert graph.topological_order() == ("u", "a", "b", "c", "d", "e")
    assert set(graph.districts()) == {frozenset("ac"), frozenset("b"), frozenset("d"), frozenset("e")}
    for asked in (graph.parents, graph.ancestors, lambda v: graph.d_separated("a", v)):
        with pytest.raises(GraphError, match=r"'bb' is no node of the graph.*its nodes: u, a"):
            asked("bb")
    with pytest.raises(GraphError, match="two sides"):
        graph.d_separated("a", "b", ["a"])


def test_separation_against_every_path():
    rng = np.random.default_rng(8)
    separated = 0
    for _ in range(150):
        graph = brute.random_mixed(rng, 5, degree=0.35, confounding=0.15)
        drawn = brute.graph_of(graph, latent=(4,))
        for given in brute.subsets(range(2, 5)):
            truth = brute.separated(graph, [0], [1], given)
            assert drawn.d_separated(0, 1, given) == truth, (graph, given)
            separated += truth
    assert separated > 200


def test_projection_makes_the_same_claims():
    """Separations among observed nodes are kept, districts too; two latent nodes, one below the other at times."""
    rng = np.random.default_rng(9)
    for _ in range(150):
        graph = brute.random_mixed(rng, 6, degree=0.4, confounding=0.1)
        full = brute.graph_of(graph, latent=(4, 5))
        small = full.project()
        assert small.latent == frozenset()
        assert set(small.nodes) == {0, 1, 2, 3}
        assert set(small.districts()) == set(full.districts())
        for given in brute.subsets([2, 3]):
            assert small.d_separated(0, 1, given) == full.d_separated(0, 1, given), graph
        for v in range(4):
            assert small.ancestors(v) == full.ancestors(v) - {4, 5}
    chain = CausalGraph("x -> l -> y; l -> z; h -> k -> y; k -> w; h -> v", latent=["l", "h", "k"]).project()
    assert set(chain.edges) == {("x", "y"), ("x", "z")}
    assert {frozenset(p) for p in chain.bidirected} == {frozenset(p) for p in ("yz", "yw", "yv", "wv")}
    joined = CausalGraph("h <-> k; h -> a; h -> b; k -> c; k -> d", latent=["h", "k"])
    assert len(joined.project().bidirected) == 6
    assert joined.districts() == (frozenset("abcd"),)
    assert len(CausalGraph("h <-> e; h -> a; h -> b", latent=["h"]).project().bidirected) == 3
    assert BACKDOOR.project() is BACKDOOR
    with pytest.raises(GraphError, match="every node is latent"):
        CausalGraph("a -> b", latent=["a", "b"]).project()


def test_pydot_reads_the_same():
    """The reader of DOT is ours; pydot is the judge on what it reads rightly."""
    pydot = pytest.importorskip("pydot")
    texts = [
        "digraph { a -> b -> c; d; a -> c }",
        'strict digraph "g" { "a b" -> c [label="x -> y; z"]; c -> "d;e" /* no */ ; }',
        "digraph g {\n// f -> g\na -> b;\n b -> c [color=red, weight=2.5]\n x_1 -> 2.5 }",
    ]
    for text in texts:
        (judge,) = pydot.graph_from_dot_data(text)
        edges = {(e.get_source().strip('"'), e.get_destination().strip('"')) for e in judge.get_edges()}
        assert set(CausalGraph(text).edges) == edges
        assert set(CausalGraph(judge).edges) == edges
