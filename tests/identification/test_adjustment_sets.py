"""Adjustment sets against every subset of every small graph, by the criterion's own words."""

import numpy as np
import pytest

from pandas_causal import CausalGraph
from tests.graphs import brute


def check(graph, xs=(0,), ys=(1,), latent=frozenset(), held=frozenset()):
    """Everything that `.backdoor` says, against the definition; `held` are members of every set."""
    free = set(range(graph[0])) - set(xs) - set(ys) - latent
    valid = {s for s in brute.subsets(free) if s >= held and brute.valid_adjustment(graph, xs, ys, s)}
    minimal = brute.minimal_only(valid)
    asked = brute.graph_of(graph, latent).identify(treatment=list(xs), outcome=list(ys), adjusted=sorted(held))
    found = asked.backdoor
    said = f"{graph}, {xs}, {ys}, latent {latent}, held {held}"
    assert {s for s in brute.subsets(free) if found.is_valid(s) and s >= held} == valid, said
    assert found.exists == bool(valid), said
    listed = list(found.iter_sets())
    assert len(listed) == len(set(listed)), said
    assert set(listed) == minimal, said
    if not valid:
        assert found.minimal is found.minimum is found.optimal is None, said
        assert found.sets == (), said
        return len(valid)
    assert found.minimal in minimal, said
    assert listed[0] == found.minimal, said
    assert found.minimum in minimal, said
    assert len(found.minimum) == min(map(len, minimal)), said
    assert found.optimal in valid, said
    assert set(found.sets) == minimal, said
    assert found.sets[0] == found.minimum, said
    return len(valid)


def test_mixed_graphs_on_four_nodes():
    assert sum(check(g) for g in brute.sample(brute.all_mixed(4), 1500, 1)) > 100


def test_mixed_graphs_on_four_nodes_with_a_latent_one():
    assert sum(check(g, latent=frozenset({3})) for g in brute.sample(brute.all_mixed(4), 200, 2)) > 10


def test_mixed_graphs_on_four_nodes_with_two_treatments():
    assert sum(check(g, xs=(0, 2)) for g in brute.sample(brute.all_mixed(4), 200, 3)) > 10


def test_mixed_graphs_on_four_nodes_with_two_outcomes():
    assert sum(check(g, ys=(1, 2)) for g in brute.sample(brute.all_mixed(4), 200, 4)) > 10


def test_acyclic_graphs_on_five_nodes():
    graphs = ((5, edges, frozenset()) for edges in brute.all_dags(5))
    assert sum(check(g) for g in brute.sample(graphs, 200, 5)) > 100


@pytest.mark.parametrize("n", [5, 6, 7])
def test_random_mixed_graphs(n):
    rng = np.random.default_rng(n)
    total = 0
    for _ in range(7000 if brute.FULL else {5: 100, 6: 60, 7: 25}[n]):
        sparse = {"degree": 0.35, "confounding": 0.12} if n == 7 else {}
        graph = brute.random_mixed(rng, n, **sparse)
        latent = frozenset({int(rng.integers(2, n))} if rng.random() < 0.4 else ())
        xs = (0, 2) if rng.random() < 0.3 and 2 not in latent else (0,)
        total += check(graph, xs=xs, latent=latent)
    assert total > 100


@pytest.mark.parametrize("n", [4, 5, 6])
def test_sets_that_must_hold_some_nodes(n):
    """Mediators among them leave no valid set, colliders force others in."""
    rng = np.random.default_rng(n + 50)
    valid, empty = 0, 0
    for _ in range(2_000 if brute.FULL else 100):
        graph = brute.random_mixed(rng, n)
        latent = frozenset({n - 1} if rng.random() < 0.3 else ())
        held = frozenset(v for v in range(2, n) if v not in latent and rng.random() < 0.4)
        count = check(graph, latent=latent, held=held)
        valid, empty = valid + count, empty + (not count)
    assert valid > 50
    assert empty > 10


def test_the_best_set_that_holds_some_nodes():
    """In linear models the variance of the coefficient is that of the rest of y over that of the rest of x."""
    rng = np.random.default_rng(7)
    larger = 0
    for _ in range(300):
        n, edges, _ = brute.random_mixed(rng, 6, confounding=0.0)
        B = np.zeros((n, n))
        for a, b in edges:
            B[b, a] = rng.uniform(0.5, 1.5) * rng.choice([-1, 1])
        root = np.linalg.inv(np.eye(n) - B)
        covariance = root @ root.T

        def variance(z, covariance=covariance):
            z = sorted(z)
            rest = covariance[:2, :2]
            if z:
                rest = rest - covariance[:2, z] @ np.linalg.solve(covariance[np.ix_(z, z)], covariance[z, :2])
            return (rest[1, 1] - rest[0, 1] ** 2 / rest[0, 0]) / rest[0, 0]

        held = frozenset(v for v in range(2, n) if rng.random() < 0.3)
        asked = brute.graph_of((n, edges, frozenset())).identify(treatment=0, outcome=1, adjusted=sorted(held))
        found = asked.backdoor
        if found.exists and asked.affects:
            every = [variance(s | held) for s in brute.subsets(set(range(2, n)) - held) if found.is_valid(s)]
            assert variance(found.optimal) == pytest.approx(min(every), rel=1e-9)
            larger += len(found.optimal) > len(held)
    assert larger > 20


def test_every_minimal_set_once_in_larger_graphs():
    """Ten nodes: hundreds of minimal sets, each once, against a search through all 256 by what is valid."""
    rng = np.random.default_rng(99)
    most = 0
    for _ in range(60):
        graph = brute.random_mixed(rng, 10, degree=0.45, confounding=0.0)
        found = brute.graph_of(graph).identify(treatment=0, outcome=1).backdoor
        listed = list(found.iter_sets())
        valid = {s for s in brute.subsets(range(2, 10)) if found.is_valid(s)}
        assert len(listed) == len(set(listed))
        assert set(listed) == brute.minimal_only(valid)
        most = max(most, len(listed))
    assert most > 2
    ladder = CausalGraph("; ".join(f"x <- a{k} -> b{k} -> c{k} -> y" for k in range(5)) + "; x -> y")
    sets = list(ladder.identify(treatment="x", outcome="y").backdoor.iter_sets())
    assert len(sets) == len(set(sets)) == 3**5
    # Rungs between the rails: a set may cross over, so that branches of the search share what they enclose.
    rungs = "; ".join(f"a{k} -> b{k}; a{k} -> a{k + 1}; b{k} -> b{k + 1}" for k in range(6))
    net = CausalGraph(f"x <- a0; {rungs}; b6 -> y; a6 -> b6; x -> y; b0 -> x; a6 -> y")
    found = net.identify(treatment="x", outcome="y").backdoor
    names = sorted(set(net.nodes) - {"x", "y"})
    sets = list(found.iter_sets())
    assert len(sets) == len(set(sets))
    small = [s for s in map(frozenset, ([a, b] for a in names for b in names)) if found.is_valid(s)]
    assert {s for s in sets if len(s) <= 2} == brute.minimal_only(set(small))
