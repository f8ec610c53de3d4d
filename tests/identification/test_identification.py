"""Identification as a user meets it: the graphs of the literature, roles, words, data, invariances and cost."""

import sys
import time

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pandas_causal import CausalGraph
from pandas_causal.errors import CausalArgumentError, CausalDataError, GraphError, NotIdentifiedError
from pandas_causal.identification.functional import Functional, Hedge
from tests.graphs import brute

mpl.use("Agg")

HOSPITAL = CausalGraph("severity -> medication -> readmission <- severity; age -> severity; age -> readmission")
NAPKIN = CausalGraph("w1 -> w2 -> x -> y; w1 <-> x; w1 <-> y")
FRONT_DOOR = CausalGraph("x -> m -> y; x <-> y")

# Graphs whose answer is in the books and papers: (graph, treatment, outcome, identified).
KNOWN = {
    "no confounding": ("x -> y", "x", "y", True),
    "bow (Pearl 2009, figure 3.9a)": ("x -> y; x <-> y", "x", "y", False),
    "bow over a mediator": ("x -> z -> y; x <-> z", "x", "y", False),
    "confounded mediator": ("x -> z -> y; x <-> z; z <-> y", "x", "y", False),
    "instrument (Pearl 2009, p. 153)": ("z -> x -> y; x <-> y", "x", "y", False),
    "front door, mediator confounded with the outcome": ("x -> z -> y; x <-> y; z <-> y", "x", "y", False),
    "back door (Pearl 2009, p. 178)": ("x -> y; z -> x; z -> y", "x", "y", True),
    "back door with hidden causes of one side": ("x -> y; z -> x; z -> y; z <-> x", "x", "y", True),
    "front door (Pearl 2009, p. 81)": ("x -> z -> y; x <-> y", "x", "y", True),
    "napkin (Pearl and Mackenzie 2018, p. 240)": ("w1 -> w2 -> x -> y; w1 <-> x; w1 <-> y", "x", "y", True),
    "M-bias (Greenland, Pearl and Robins 1999)": ("x -> y; x <-> z; y <-> z", "x", "y", True),
    "Verma, third on last": ("a -> b -> c -> d; b <-> d", "c", "d", True),
    "Verma, first on last": ("a -> b -> c -> d; b <-> d", "a", "d", True),
    "Verma, second on last": ("a -> b -> c -> d; b <-> d", "b", "d", True),
    "Shpitser and Pearl 2008, line 6": ("x -> y; x -> z -> y; x <-> z", ["x", "z"], "y", True),
    "two outcomes whose districts hang together": (
        "w1 -> x -> y1; w2 -> y2; w1 <-> w2; w1 <-> y1; w1 <-> y2; x <-> w2",
        "x",
        ["y1", "y2"],
        True,
    ),
    "the same with a bow": (
        "w1 -> x -> y1; w2 -> y2; w2 -> w1; w1 <-> w2; w1 <-> y1; w1 <-> y2; x <-> w2; x <-> y1",
        "x",
        "y1",
        False,
    ),
    "Shpitser and Pearl 2008, figure 6a, conditional": ("x -> z -> y; x <-> z", "x", "y", True, "z"),
    "Shpitser and Pearl 2008, figure 6a, not conditional": ("x -> z -> y; x <-> z", "x", "y", False),
}


@pytest.mark.parametrize("name", KNOWN)
def test_graphs_of_the_literature(name):
    text, x, y, identified, *conditions = KNOWN[name]
    found = CausalGraph(text).identify(treatment=x, outcome=y, given=conditions)
    assert found.identified is identified
    assert isinstance(found.functional, Functional) is identified
    assert ("NOT identified" in found.explain()) is not identified


def test_formulas_worked_by_hand():
    """The formulas of the books, letter by letter."""

    def text(graph, treatment, outcome, given=None):
        return CausalGraph(graph).identify(treatment=treatment, outcome=outcome, given=given).functional.text

    assert text("z -> x -> y <- z", "x", "y") == "P(y | do(x)) = Σ_{z} P(y | z, x) P(z)"
    assert text("x -> m -> y; x <-> y", "x", "y") == "P(y | do(x)) = Σ_{m} P(m | x) Σ_{x'} P(y | x', m) P(x')"
    assert text("x -> y; y -> w", "x", "y") == "P(y | do(x)) = P(y | x)"
    assert text("x -> y", "y", "x") == "P(x | do(y)) = P(x)"
    assert text("x -> a -> y", "x", "y", "a") == "P(y | do(x), a) = P(y | a)"
    assert text("x -> y <- z -> x", "x", ["y", "z"]) == "P(y, z | do(x)) = P(y | z, x) P(z)"
    assert NAPKIN.identify(treatment="x", outcome="y").functional.text == (
        "P(y | do(x)) = [Σ_{w1} P(y | w1, w2, x) P(x | w1, w2) P(w1)] / [Σ_{w1} P(x | w1, w2) P(w1)]\n"
        "  for any value of w2"
    )
    latex = CausalGraph('"a b" -> m_1 -> y%; "a b" <-> y%').identify(treatment="a b", outcome="y%").functional.latex
    assert latex == (
        r"P(\mathrm{y\%} \mid \mathrm{do}(\mathrm{a\ b})) = \sum_{\mathrm{m\_1}} P(\mathrm{m\_1} \mid \mathrm{a\ b})\, "
        r"\sum_{\mathrm{a\ b}'} P(\mathrm{y\%} \mid \mathrm{a\ b}', \mathrm{m\_1})\, P(\mathrm{a\ b}')"
    )


def test_long_parts_of_ratios_are_written_once():
    """Ratios inside ratios would double the text at every level; the definitions keep it short."""
    steps = 12
    chain = "; ".join(f"a{k} -> b{k} -> a{k + 1}" for k in range(steps)) + f"; a{steps} -> y"
    hidden = [(f"a{k}", f"a{k + 1}") for k in range(steps)] + [(f"a{k}", "y") for k in range(steps)]
    found = CausalGraph(chain, bidirected=hidden).identify(treatment=f"a{steps}", outcome="y")
    text = found.functional.text
    assert "where Q1(" in text or len(text) < 2_000
    assert len(text) < 20_000


def test_hedges_are_named():
    found = CausalGraph("x -> y; x <-> y; z -> x").identify(treatment="x", outcome="y")
    hedge = found.functional
    assert isinstance(hedge, Hedge)
    assert (hedge.larger, hedge.smaller, hedge.nodes) == ({"x", "y"}, {"y"}, {"x", "y"})
    assert "not identified" in hedge.latex
    with pytest.raises(NotIdentifiedError, match=r"effect of x on y is not identified: .*\{x, y\}"):
        found.distribution(pd.DataFrame({"x": [0, 1], "y": [0, 1], "z": [0, 1]}))


def test_m_bias_and_the_butterfly():
    m = CausalGraph("u1 -> z <- u2; u1 -> x -> y; u2 -> y", latent=["u1", "u2"])
    sets = m.identify(treatment="x", outcome="y").backdoor
    assert sets.is_valid([])
    assert not sets.is_valid("z")
    assert sets.minimal == sets.optimal == frozenset()
    butterfly = CausalGraph("a -> z <- b; a -> x; b -> y; z -> x; z -> y; x -> y")
    sets = butterfly.identify(treatment="x", outcome="y").backdoor
    assert set(sets.iter_sets()) == {frozenset("az"), frozenset("zb")}
    assert sets.optimal == frozenset("zb")
    assert not sets.is_valid("z")


def test_optimal_is_the_set_of_henckel_where_all_is_observed():
    """pa(cn) less cn and the treatments, on random graphs with a causal path."""
    rng = np.random.default_rng(3)
    compared = 0
    for _ in range(400):
        graph = brute.random_mixed(rng, 7, degree=0.4, confounding=0)
        xs = (0,) if rng.random() < 0.6 else (0, 2)
        causal = brute.on_causal_paths(graph, xs, (1,))
        found = brute.graph_of(graph).identify(treatment=list(xs), outcome=1).backdoor
        if causal and found.exists:
            compared += 1
            assert found.optimal == {a for a, b in graph[1] if b in causal} - causal - set(xs)
            assert "of all valid sets" in found.optimality
    assert compared > 60


def test_optimal_with_latent_nodes():
    graph = CausalGraph("o -> y; z -> x -> y; u -> z; u -> y", latent=["u"])
    found = graph.identify(treatment="x", outcome="y").backdoor
    assert (found.minimal, found.optimal) == ({"z"}, {"o", "z"})
    assert "of all observed valid sets" in found.optimality
    # A node that is no ancestor of either: then no set need be the best of all, and the best minimal one is given.
    aside = CausalGraph(graph, bidirected=[("w", "y")]).identify(treatment="x", outcome="y").backdoor
    assert aside.optimal == aside.minimal == {"z"}
    assert "of the minimal sets" in aside.optimality


def test_variance_of_the_optimal_set():
    """The promise behind `optimal`, in a linear model: its least-squares variance is the smallest of all valid sets."""
    rng = np.random.default_rng(11)
    compared = 0
    while compared < 30:
        graph = brute.random_mixed(rng, 6, degree=0.45, confounding=0)
        if not brute.on_causal_paths(graph, [0], [1]):
            continue
        found = brute.graph_of(graph).identify(treatment=0, outcome=1).backdoor
        weights = np.zeros((6, 6))
        for a, b in graph[1]:
            weights[b, a] = rng.uniform(0.5, 1.5) * rng.choice([-1, 1])
        total = np.linalg.inv(np.eye(6) - weights)
        cov = total @ np.diag(rng.uniform(0.5, 2, 6)) @ total.T

        def variance(covariates, cov=cov):
            z = sorted(covariates)
            left = cov[np.ix_([1, 0], [1, 0])]
            if z:
                left = left - cov[np.ix_([1, 0], z)] @ np.linalg.solve(cov[np.ix_(z, z)], cov[np.ix_(z, [1, 0])])
            return (left[0, 0] - left[0, 1] ** 2 / left[1, 1]) / left[1, 1]

        valid = [s for s in brute.subsets(range(2, 6)) if found.is_valid(s)]
        if found.exists and len(valid) > 2:
            compared += 1
            assert variance(found.optimal) <= min(map(variance, valid)) * (1 + 1e-9)


def test_given_nodes():
    found = HOSPITAL.identify(treatment="medication", outcome="readmission", given="age")
    assert found.identified
    assert found.backdoor.minimal == {"age", "severity"}
    assert set(found.backdoor.sets) == {frozenset({"age", "severity"})}
    assert not found.frontdoor.exists
    assert found.instruments == ()
    below = CausalGraph("x -> y; x -> w").identify(treatment="x", outcome="y", given="w")
    assert not below.backdoor.exists
    assert below.identified  # P(y | do(x), w) = P(y | x)
    assert below.backdoor.sets == ()
    assert "a consequence of the treatment" in below.explain()


def test_given_sets_against_the_truth():
    """P(y | do(x), w) = sum_z P(y | x, w, z) P(z | w) for every set said to be valid, in random models."""
    rng = np.random.default_rng(12)
    checked = 0
    for _ in range(120):
        graph = brute.random_mixed(rng, 5, degree=0.4, confounding=0.1)
        found = brute.graph_of(graph).identify(treatment=0, outcome=1, given=2)
        listed = list(found.backdoor.iter_sets())
        model = brute.Model(rng, graph)
        truth = model.truth((0,), (1,), (2,))
        for held in listed:
            assert 2 in held
            kept = [0, 2, *sorted(held - {2}), 1]
            joint = model.joint().sum(axis=tuple(v for v in range(5) if v not in kept))
            joint = joint.transpose([sorted(kept).index(v) for v in kept])
            joint = joint.reshape(2, 2, -1, 2)
            outcome = joint / joint.sum(axis=-1, keepdims=True)
            share = joint.sum(axis=(0, 3))
            share = share / share.sum(axis=-1, keepdims=True)
            np.testing.assert_allclose(np.einsum("xwzy,wz->xwy", outcome, share), truth, atol=1e-10)
            checked += 1
    assert checked > 30


def test_adjustment_and_front_door_formulas_are_the_effect():
    """Sets are not only graphical: the two formulas give the truth of random models."""
    rng = np.random.default_rng(13)
    checked = 0
    for _ in range(600):
        graph = brute.random_mixed(rng, 5, degree=0.35, confounding=0.2, most=5)
        found = brute.graph_of(graph).identify(treatment=0, outcome=1)
        sets = list(found.frontdoor.iter_sets())
        if not sets or not found.affects:
            continue
        model = brute.Model(rng, graph)
        truth = model.truth((0,), (1,))
        for z in sets:
            kept = [0, *sorted(z), 1]
            joint = model.joint().sum(axis=tuple(v for v in range(5) if v not in kept))
            joint = joint.transpose([sorted(kept).index(v) for v in kept]).reshape(2, -1, 2)
            between = joint.sum(axis=2) / joint.sum(axis=(1, 2))[:, None]
            outcome = joint / joint.sum(axis=2, keepdims=True)
            inner = np.einsum("wzy,w->zy", outcome, joint.sum(axis=(1, 2)))
            np.testing.assert_allclose(between @ inner, truth, atol=1e-10)
            checked += 1
    assert checked > 20


BAD_QUESTIONS = {
    "unknown": ({"treatment": "medicaton", "outcome": "readmission"}, "no node .*did you mean 'medication'"),
    "latent treatment": ({"treatment": "u", "outcome": "y"}, "treatment 'u' is latent"),
    "latent outcome": ({"treatment": "x", "outcome": "u"}, "outcome 'u' is latent"),
    "latent given": ({"treatment": "x", "outcome": "y", "given": "u"}, "given 'u' is latent"),
    "twice": ({"treatment": "x", "outcome": "x"}, "'x' is both treatment and outcome"),
    "twice in lists": ({"treatment": ["x", "y"], "outcome": ["z", "y"]}, "'y' is both treatment and outcome"),
    "given twice": ({"treatment": "x", "outcome": "y", "given": ["x"]}, "'x' is both treatment and given"),
    "no treatment": ({"treatment": [], "outcome": "y"}, "treatment= is empty"),
    "None": ({"treatment": None, "outcome": "y"}, "treatment= needs"),
    "unhashable": ({"treatment": [["x"]], "outcome": "y"}, "no node"),
}


@pytest.mark.parametrize("what", BAD_QUESTIONS)
def test_bad_questions(what):
    asked, words = BAD_QUESTIONS[what]
    graph = HOSPITAL if what == "unknown" else CausalGraph("u -> x -> y; u -> y; z", latent=["u"])
    with pytest.raises(GraphError, match=words):
        graph.identify(**asked)


def test_bad_covariates():
    sets = CausalGraph("u -> x -> y; u -> y; z -> x", latent=["u"]).identify(treatment="x", outcome="y").backdoor
    with pytest.raises(GraphError, match="'u' is latent"):
        sets.is_valid(["u"])
    with pytest.raises(GraphError, match="no node"):
        sets.is_valid("w")
    assert not sets.is_valid(["x"])
    assert not sets.is_valid("y")


# -- data ------------------------------------------------------------------------------------------------------------


def front_door_frame():
    """Counts of a front door: 8 combinations."""
    index = np.indices((2, 2, 2)).reshape(3, -1)
    counts = [30, 10, 4, 6, 5, 5, 12, 28]
    return pd.DataFrame({"x": index[0], "m": index[1], "y": index[2]}).loc[np.repeat(np.arange(8), counts)]


def test_distribution_by_hand():
    frame = front_door_frame().reset_index(drop=True)
    found = FRONT_DOOR.identify(treatment="x", outcome="y").distribution(frame)
    assert list(found.columns) == ["x", "y", "probability"]
    # m: 10 of 50 where x = 0, 40 of 50 where x = 1. y: 1/4, 3/5 | 1/2, 7/10 by m, where x = 0 | 1.
    low, high = (1 / 4 + 1 / 2) / 2, (3 / 5 + 7 / 10) / 2
    expected = [0.8 * low + 0.2 * high, 0.2 * low + 0.8 * high]
    np.testing.assert_allclose(found["probability"], [1 - expected[0], expected[0], 1 - expected[1], expected[1]])
    with_weights = frame.value_counts().rename("n").reset_index()
    again = FRONT_DOOR.identify(treatment="x", outcome="y").distribution(with_weights, sample_weight="n")
    pd.testing.assert_frame_equal(found, again)


@pytest.mark.parametrize("dtype", ["string", "category", "Int64", "int64[pyarrow]", "bool", "float32", "object"])
def test_distribution_keeps_dtypes(dtype):
    if "arrow" in dtype:
        pytest.importorskip("pyarrow")
    frame = front_door_frame()
    typed = frame.astype(dtype if dtype not in ("string", "category", "object") else str)
    typed = typed.astype(dtype)
    plain = FRONT_DOOR.identify(treatment="x", outcome="y").distribution(frame)
    found = FRONT_DOOR.identify(treatment="x", outcome="y").distribution(typed)
    np.testing.assert_allclose(found["probability"], plain["probability"], rtol=1e-12)
    assert [str(v) for v in found["x"].astype(typed["x"].dtype)] == [str(v) for v in found["x"]]
    if dtype == "category":
        spare = typed.assign(x=typed["x"].cat.add_categories(["9"]))
        assert len(FRONT_DOOR.identify(treatment="x", outcome="y").distribution(spare)) == 4


def test_free_variables_are_averaged_and_said():
    rng = np.random.default_rng(5)
    graph = (4, frozenset({(0, 1), (1, 2), (2, 3)}), frozenset({(0, 2), (0, 3)}))
    model = brute.Model(rng, graph)
    found = brute.graph_of(graph).identify(treatment=2, outcome=3)
    assert found.functional.free == (1,)
    got = found.distribution(model.frame(), sample_weight="share")
    assert got.attrs["averaged_over"] == [1]
    np.testing.assert_allclose(got["probability"], model.truth((2,), (3,)).ravel(), atol=1e-10)
    # Away from the population's frequencies the value depends on it, and the average is over its share.
    frame = model.frame()
    frame["share"] = rng.dirichlet(np.ones(16))
    p = frame["share"].to_numpy().reshape(2, 2, 2, 2)
    w1, w2 = p.sum(axis=(1, 2, 3)), p.sum(axis=(0, 2, 3))
    y = p / p.sum(axis=(2, 3), keepdims=True)
    above = np.einsum("abxy,a->bxy", y, w1)
    expected = np.einsum("bxy,b->xy", above / above.sum(axis=-1, keepdims=True), w2)
    got = found.distribution(frame, sample_weight="share")
    np.testing.assert_allclose(got["probability"], expected.ravel(), atol=1e-12)


def test_empty_cells_are_named():
    graph = CausalGraph("z -> x -> y <- z")
    frame = pd.DataFrame({"z": ["a", "a", "b", "b", "a"], "x": [0, 1, 1, 1, 1], "y": [0, 1, 0, 1, 1]})
    with pytest.raises(CausalDataError, match=r"no row has z = b, x = 0, so P\(y \| z, x\) is unknown"):
        graph.identify(treatment="x", outcome="y").distribution(frame)
    # A cell that nothing needs: z = b never occurs with weight.
    weighted = frame.assign(n=[1, 1, 0, 0, 1])
    found = graph.identify(treatment="x", outcome="y").distribution(weighted, sample_weight="n")
    np.testing.assert_allclose(found["probability"], [1, 0, 0, 1])


def test_bad_frames():
    found = CausalGraph("z -> x -> y <- z").identify(treatment="x", outcome="y")
    frame = pd.DataFrame({"z": [0, 1, 0, 1], "x": [0, 1, 1, 0], "y": [0.0, 1, 0, np.nan]})
    for bad, words in (
        (frame, "y: is missing in 1 row"),
        (frame[["x", "y"]].dropna(), "z: is part of the functional but no column"),
        (frame.iloc[:0], "no rows"),
        (frame.dropna().assign(y=[["a"]] * 3), "y: .*"),
    ):
        with pytest.raises(CausalDataError, match=words):
            found.distribution(bad)
    whole = frame.fillna(0)
    for weights, words in (
        ("w", "no column"),
        ([1, 2], "shape"),
        ([1, -1, 1, 1], "negative"),
        ([0, 0, 0, 0], "0 throughout"),
        (["a"] * 4, "no numbers"),
        (pd.Series([1.0] * 4, index=[3, 2, 1, 0]), "another index"),
    ):
        with pytest.raises(CausalDataError, match=words):
            found.distribution(whole, sample_weight=weights)
    with pytest.raises(CausalArgumentError, match="DataFrame"):
        found.distribution({"x": [1]})
    with pytest.raises(CausalArgumentError, match="probability"):
        CausalGraph("x -> probability").identify(treatment="x", outcome="probability").distribution(whole)
    many = pd.DataFrame(np.random.default_rng(0).random((5_000, 3)), columns=["z", "x", "y"])
    with pytest.raises(CausalDataError, match=r"cells, by z \(5,000 values\).*bin those"):
        found.distribution(many)


def test_the_frame_is_not_changed_and_rows_may_be_permuted():
    frame = front_door_frame()
    before = frame.copy(deep=True)
    found = FRONT_DOOR.identify(treatment="x", outcome="y")
    first = found.distribution(frame)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(found.distribution(frame.sample(frac=1, random_state=1)), first)


def test_the_accessor_checks_columns():
    frame = pd.DataFrame({"severity": [0], "medication": [1], "readmission": [0], "age": [50], "other": [1]})
    text = "severity -> medication -> readmission <- severity; age -> severity"
    asked = {"treatment": "medication", "outcome": "readmission"}
    assert frame.causal.identify(graph=text, **asked).backdoor.minimal == {"severity"}
    with pytest.raises(GraphError, match=r"'severty' \(did you mean 'severity'\?\) is a node .* latent=\['severty'\]"):
        frame.causal.identify(graph=text.replace("severity", "severty"), **asked)
    hidden = CausalGraph(text + "; u -> severity", latent=["u"])
    assert frame.causal.identify(graph=hidden, given="age", **asked).given == ("age",)


# -- words and pictures ----------------------------------------------------------------------------------------------


def test_explain_says_what_never_to_adjust_for_where_nothing_must_be():
    found = CausalGraph("x -> m -> y -> late; w -> x; m -> proxy").identify(treatment="x", outcome="y")
    assert (
        "Back door: nothing has to be adjusted for. Never for {late, m, proxy}: on or below the causal paths."
        in found.explain().splitlines()
    )
    plain = CausalGraph("x -> y").identify(treatment="x", outcome="y").explain()
    assert "Back door: nothing has to be adjusted for.\n" in plain


def test_explain():
    found = HOSPITAL.identify(treatment="medication", outcome="readmission")
    assert found.explain() == (
        "The effect of medication on readmission: identified.\n"
        "Back door: adjust for {age, severity} (smallest asymptotic variance of all valid sets, Henckel et al. 2022)."
        " A minimal set: {severity}.\n"
        "Front door: none.\n"
        "Functional: P(readmission | do(medication)) = Σ_{age, severity} P(readmission | age, severity, medication)"
        " P(severity | age) P(age)"
    )
    assert repr(found) == found.explain()
    bow = CausalGraph("z -> x -> y; x <-> y; c -> z; c -> y").identify(treatment="x", outcome="y").explain()
    assert "NOT identified" in bow
    assert "Instruments, which need assumptions beyond the graph: z given {c}." in bow
    nothing = CausalGraph("y -> x").identify(treatment="x", outcome="y")
    assert not nothing.affects
    assert "the effect is 0" in nothing.explain()


def test_plot():
    from matplotlib import pyplot as plt

    ax = (
        CausalGraph("x -> m -> y; z -> x; z -> y; x <-> w; u -> y", latent=["u"])
        .identify(treatment="x", outcome="y")
        .plot()
    )
    ax.get_figure().canvas.draw()
    assert {t.get_text() for t in ax.texts} == {"x", "m", "y", "z", "w", "u"}
    labels = {t.get_text() for t in ax.get_legend().get_texts()}
    assert labels == {"treatment", "outcome", "adjusted for", "not observed", "unobserved common cause"}
    boxes = [p for p in ax.patches if isinstance(p, mpl.patches.FancyBboxPatch)]
    colours = {t.get_text(): box.get_facecolor() for t, box in zip(ax.texts, boxes, strict=True)}
    assert colours["x"] != colours["y"] != colours["z"] != colours["m"]
    assert colours["m"] == colours["w"]
    places = {t.get_text(): t.get_position() for t in ax.texts}
    assert places["z"][0] < places["x"][0] < places["m"][0] < places["y"][0]
    assert len(set(places.values())) == 6
    own = plt.subplots()[1]
    assert HOSPITAL.plot(ax=own) is own
    with pytest.raises(GraphError, match="no node"):
        HOSPITAL.plot(treatment="w")
    with pytest.raises(CausalArgumentError, match="at most 150"):
        CausalGraph(" -> ".join(f"v{k}" for k in range(151))).plot()


# -- invariances -----------------------------------------------------------------------------------------------------

GRAPHS = st.integers(0, 10_000).map(lambda seed: brute.random_mixed(np.random.default_rng(seed), 5))


@settings(max_examples=60)
@given(GRAPHS, st.permutations(range(5)))
def test_relabelling_relabels_the_answer(graph, names):
    n, edges, pairs = graph
    other = n, frozenset((names[a], names[b]) for a, b in edges), frozenset((names[a], names[b]) for a, b in pairs)
    one = brute.graph_of(graph).identify(treatment=0, outcome=1)
    two = brute.graph_of(other).identify(treatment=names[0], outcome=names[1])
    assert one.identified == two.identified
    for a, b in ((one.backdoor, two.backdoor), (one.frontdoor, two.frontdoor)):
        assert {frozenset(names[v] for v in s) for s in a.iter_sets()} == set(b.iter_sets())
    assert (one.backdoor.optimal is None) == (two.backdoor.optimal is None)
    if one.backdoor.exists:
        assert {names[v] for v in one.backdoor.optimal} == two.backdoor.optimal
    assert {names[i.instrument] for i in one.instruments} == {i.instrument for i in two.instruments}


@settings(max_examples=60)
@given(GRAPHS, st.integers(0, 4), st.booleans())
def test_a_node_that_nothing_depends_on_changes_nothing(graph, parent, confounded):
    drawn = brute.graph_of(graph)
    more = CausalGraph(
        {**{v: drawn.children(v) for v in drawn.nodes}, parent: (*drawn.children(parent), "new")},
        bidirected=[*drawn.bidirected, *([("new", (parent + 1) % 5)] if confounded else [])],
    )
    one, two = (g.identify(treatment=0, outcome=1) for g in (drawn, more))
    assert one.identified == two.identified
    assert one.backdoor.minimum == two.backdoor.minimum
    assert list(one.backdoor.iter_sets()) == [s for s in two.backdoor.iter_sets() if "new" not in s]
    assert str(one.functional.text) == str(two.functional.text)


# -- cost ------------------------------------------------------------------------------------------------------------


def large(hidden, seed=0, nodes=1_000, edges=5_000):
    rng = np.random.default_rng(seed)
    order = rng.permutation(nodes)
    drawn = set()
    while len(drawn) < edges:
        i, j = sorted(rng.integers(0, nodes, 2))
        if i != j:
            drawn.add((f"v{order[i]}", f"v{order[j]}"))
    for k in range(hidden):
        drawn |= {(f"u{k}", f"v{v}") for v in rng.choice(nodes, 2, replace=False)}
    graph = CausalGraph(drawn, latent=[f"u{k}" for k in range(hidden)])
    return graph, f"v{order[nodes * 3 // 10]}", f"v{order[nodes * 8 // 10]}"


@pytest.mark.parametrize("hidden", [0, 300])
def test_cost_grows_with_the_size_of_the_graph(hidden):
    """Ten times the nodes and edges cost about ten times as much, not a hundred; the stack does not grow at all."""

    def cost(size):
        best = np.inf
        for seed in range(3):
            graph, x, y = large(hidden * size // 1_000, seed, size, 5 * size)
            start = time.perf_counter()
            found = graph.identify(treatment=x, outcome=y)
            _ = (
                found.identified,
                found.backdoor.minimal,
                found.backdoor.optimal,
                found.frontdoor.minimal,
                found.explain(),
            )
            best = min(best, time.perf_counter() - start)
        return best

    assert cost(3_000) < 40 * cost(300)


def test_a_long_chain_and_many_sets():
    chain = CausalGraph(" -> ".join(f"c{k}" for k in range(1_500)))
    ladder = CausalGraph("; ".join(f"x <- a{k} -> b{k} -> y" for k in range(20)) + "; x -> y")
    limit = sys.getrecursionlimit()
    depth = 0
    frame = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(depth + 150)
    try:
        found = chain.identify(treatment="c0", outcome="c1499")
        assert found.identified
        assert found.backdoor.minimal == frozenset()
        assert len(found.frontdoor.minimal) == 1
        assert found.functional.free == ()
        assert len(found.frontdoor.sets) == 100
        sets = ladder.identify(treatment="x", outcome="y").backdoor.sets  # 2^20 minimal ones
    finally:
        sys.setrecursionlimit(limit)
    assert len(set(sets)) == 100
    assert {len(s) for s in sets} == {20}
