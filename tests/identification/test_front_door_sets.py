"""Front-door sets against every subset of every small graph, by the criterion's own words."""

import numpy as np
import pytest

from tests.graphs import brute


def check(graph, xs=(0,), ys=(1,), latent=frozenset()):
    free = set(range(graph[0])) - set(xs) - set(ys) - latent
    valid = {s for s in brute.subsets(free) if brute.valid_front_door(graph, xs, ys, s)}
    found = brute.graph_of(graph, latent).identify(treatment=list(xs), outcome=list(ys)).frontdoor
    said = f"{graph}, {xs}, {ys}, latent {latent}"
    listed = list(found.iter_sets())
    assert len(listed) == len(set(listed)), said
    assert set(listed) == valid, said
    assert {s for s in brute.subsets(free) if found.is_valid(s)} == valid, said
    assert found.exists == bool(valid), said
    if not valid:
        assert found.minimal is None, said
        assert found.sets == (), said
        return 0
    assert found.minimal in brute.minimal_only(valid), said
    assert found.sets[0] == min(found.sets, key=len), said
    assert set(found.sets) <= valid, said
    return any(brute.is_causal(p) for x in xs for y in ys for p in brute.paths(graph, x, y))


def test_mixed_graphs_on_four_nodes():
    assert sum(check(g) for g in brute.sample(brute.all_mixed(4), 1500, 1)) > 10


def test_mixed_graphs_on_four_nodes_with_a_latent_one():
    assert sum(check(g, latent=frozenset({3})) for g in brute.sample(brute.all_mixed(4), 1500, 2)) > 2


def test_mixed_graphs_on_four_nodes_with_two_treatments():
    assert sum(check(g, xs=(0, 2)) for g in brute.sample(brute.all_mixed(4), 1500, 3)) > 0


def test_acyclic_graphs_on_five_nodes():
    graphs = ((5, edges, frozenset()) for edges in brute.all_dags(5))
    assert sum(check(g) for g in brute.sample(graphs, 500, 5)) > 5


@pytest.mark.parametrize("n", [5, 6, 7])
def test_random_mixed_graphs(n):
    rng = np.random.default_rng(10 + n)
    total = 0
    for _ in range(7000 if brute.FULL else {5: 400, 6: 200, 7: 100}[n]):
        graph = brute.random_mixed(rng, n, degree=rng.uniform(0.2, 0.45), confounding=rng.uniform(0, 0.15))
        total += check(graph, latent=frozenset({int(rng.integers(2, n))} if rng.random() < 0.4 else ()))
    assert total > 1


def test_a_node_that_falls_lets_through_the_walks_it_held_up():
    """Node 3 stops the walk from 1 to 4 until a second walk, over the latent 2, shows that it is no member itself."""
    graph = (5, frozenset({(3, 1), (2, 1)}), frozenset({(2, 3), (3, 4)}))
    assert not brute.valid_front_door(graph, (0,), (1,), frozenset({4}))
    check(graph, latent=frozenset({2}))
    check((6, graph[1] | {(0, 5), (5, 1)}, graph[2]), latent=frozenset({2}))
