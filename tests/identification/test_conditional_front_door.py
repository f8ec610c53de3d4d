"""Front doors given covariates: the formula against the truth of random discrete models, and what is not found."""

from itertools import product

import numpy as np

from pandas_causal import CausalGraph
from pandas_causal.identification.front_door_sets import conditional_front_door, opens
from tests.graphs import brute


def formula(joint, a, y, mediators, covariates):
    """P(y | do(a)) = sum over w, m of P(w) P(m | a, w) sum over a' of P(y | a', m, w) P(a' | w), axes a, y."""
    axes = [*covariates, a, *mediators, y]
    p = joint.sum(axis=tuple(v for v in range(joint.ndim) if v not in axes))
    p = p.transpose([sorted(axes).index(v) for v in axes])
    strata, between = p.shape[: len(covariates)], p.shape[len(covariates) + 1 : -1]
    p = p.reshape(int(np.prod(strata)), p.shape[len(covariates)], int(np.prod(between)), p.shape[-1])  # w, a, m, y
    w = p.sum(axis=(1, 2, 3))
    arm = p.sum(axis=(2, 3)) / w[:, None]
    m = p.sum(axis=3) / p.sum(axis=(2, 3))[:, :, None]
    outcome = p / p.sum(axis=3, keepdims=True)
    averaged = np.einsum("wamy,wa->wmy", outcome, arm)
    return np.einsum("w,wam,wmy->ay", w, m, averaged)


def check(rng, graph):
    found = brute.graph_of(graph).identify(treatment=0, outcome=1)
    pair = conditional_front_door(found.query)
    if pair is None:
        return False
    model = brute.Model(rng, graph)
    got = formula(model.joint(), 0, 1, sorted(pair[0]), sorted(pair[1]))
    np.testing.assert_allclose(got, model.truth((0,), (1,)), rtol=0, atol=1e-10, err_msg=f"{graph}: {pair}")
    return True


def with_mediator(rng, n):
    """A random mixed graph that holds 0 -> 2 -> 1 and 0 <-> 1, and no edge 0 -> 1."""
    order = [0, 2, 1]
    for v in range(3, n):
        order.insert(int(rng.integers(len(order) + 1)), v)
    p, q = rng.uniform(0.2, 0.7), rng.uniform(0, 0.3)
    couples = [(order[i], order[j]) for i in range(n) for j in range(i + 1, n)]
    edges = {c for c in couples if rng.random() < p} - {(0, 1)}
    pairs = {tuple(sorted(c)) for c in couples if rng.random() < q}
    return n, frozenset(edges | {(0, 2), (2, 1)}), frozenset(pairs | {(0, 1)})


def test_the_formula_is_the_truth_on_four_nodes():
    rng = np.random.default_rng(0)
    assert sum(check(rng, g) for g in brute.sample(brute.all_mixed(4), 1_000, 1)) > 10


def test_the_formula_is_the_truth_on_larger_graphs():
    rng = np.random.default_rng(1)
    graphs = [with_mediator(rng, int(n)) for n in rng.choice([4, 5, 6], 3_000 if brute.FULL else 300)]
    assert sum(check(rng, g) for g in graphs) > 60


def exists(graph):
    """Whether any mediators and covariates, of all subsets, satisfy the criterion."""
    lists = brute.graph_of(graph).indexed.lists
    others = [v for v in range(graph[0]) if v > 1]
    on = brute.on_causal_paths(graph, [0], [1]) - {1}
    return any(
        opens(lists, 0, 1, sorted(m), sorted(w))
        for m, w in product(brute.subsets(on), brute.subsets(others))
        if m and not m & w
    )


def test_what_the_candidates_miss():
    """On four nodes nothing; on five, where the back door is shut, under one in a hundred."""
    graphs = brute.sample(brute.all_mixed(4), 1_000, 2)
    rng = np.random.default_rng(3)
    for graph in graphs:
        found = brute.graph_of(graph).identify(treatment=0, outcome=1)
        assert (conditional_front_door(found.query) is not None) == exists(graph), graph
    missed = there = 0
    for _ in range(4_000 if brute.FULL else 400):
        graph = with_mediator(rng, int(rng.choice([5, 6])))
        found = brute.graph_of(graph).identify(treatment=0, outcome=1)
        if not found.backdoor.exists and exists(graph):
            there += 1
            missed += conditional_front_door(found.query) is None
    print(f"missed {missed} of {there}")
    assert there > 50
    assert missed <= 0.01 * there + 1


def test_covariates_that_are_not_needed_are_left_out():
    graph = CausalGraph(
        "smoking -> tar -> cancer, smoking <-> cancer, age -> smoking, age -> tar, age -> cancer, sex -> cancer"
    )
    found = graph.identify(treatment="smoking", outcome="cancer")
    assert not found.frontdoor.exists
    assert conditional_front_door(found.query) == (frozenset({"tar"}), frozenset({"age"}))


def test_none_where_the_mediator_is_confounded_out_of_sight():
    for text in ("a -> m -> y, a <-> y, a <-> m", "a -> m -> y, a <-> y, m <-> y", "a -> m -> y, a <-> y, a -> y"):
        assert conditional_front_door(CausalGraph(text).identify(treatment="a", outcome="y").query) is None
