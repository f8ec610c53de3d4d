"""Instruments against every node and every set of covariates of every small graph, by the definition."""

import numpy as np
import pytest

from tests.graphs import brute


def check(graph, latent=frozenset()):
    x, y = 0, 1
    nodes = set(range(graph[0])) - latent - {x, y}
    found = brute.graph_of(graph, latent).identify(treatment=x, outcome=y).instruments
    said = f"{graph}, latent {latent}: {found}"
    for one in found:
        assert one == (one.instrument, one.given), said
        assert one.given <= nodes - {one.instrument}, said
        assert brute.valid_instrument(graph, x, y, one.instrument, one.given), said
        ancestral = brute.above(graph, {one.instrument, y})
        assert one.given <= ancestral, said
    exists = any(brute.valid_instrument(graph, x, y, z, w) for z in nodes for w in brute.subsets(nodes - {z}))
    assert bool(found) == exists, said
    return bool(found)


def test_mixed_graphs_on_four_nodes():
    assert sum(check(g) for g in brute.sample(brute.all_mixed(4), 1500, 1)) > 100


def test_mixed_graphs_on_four_nodes_with_a_latent_one():
    assert sum(check(g, latent=frozenset({3})) for g in brute.sample(brute.all_mixed(4), 600, 2)) > 20


def test_acyclic_graphs_on_five_nodes():
    graphs = ((5, edges, frozenset()) for edges in brute.all_dags(5))
    assert sum(check(g) for g in brute.sample(graphs, 200, 5)) > 20


@pytest.mark.parametrize("n", [5, 6, 7])
def test_random_mixed_graphs(n):
    rng = np.random.default_rng(20 + n)
    total = 0
    for _ in range(7000 if brute.FULL else {5: 200, 6: 60, 7: 20}[n]):
        graph = brute.random_mixed(rng, n, degree=rng.uniform(0.2, 0.45), confounding=rng.uniform(0, 0.2))
        total += check(graph, latent=frozenset({int(rng.integers(2, n))} if rng.random() < 0.4 else ()))
    assert total > 5
