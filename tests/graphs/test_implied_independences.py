"""Separators against search over all sets, and the implied independences of graphs whose answer is known."""

import itertools

import numpy as np
import pytest

from pandas_causal import CausalGraph
from pandas_causal.graphs.implied_independences import Claim, implied_independences


def test_small_graphs_by_hand():
    assert implied_independences(CausalGraph("a -> b -> c")) == [Claim("a", "c", ("b",))]
    assert implied_independences(CausalGraph("a -> b <- c")) == [Claim("a", "c", ())]
    assert implied_independences(CausalGraph("a -> b; b <-> c; d -> c")) == [
        Claim("a", "c", ()),
        Claim("a", "d", ()),
        Claim("b", "d", ()),
    ]
    assert implied_independences(CausalGraph("a -> b; a -> c; b -> c")) == []
    # Verma's graph: a and d have no separator, though no edge joins them
    assert Claim("a", "c", ("b",)) in implied_independences(CausalGraph("a -> b -> c -> d; b <-> d"))
    assert not [c for c in implied_independences(CausalGraph("a -> b -> c -> d; b <-> d")) if {c.a, c.b} == {"a", "d"}]


def random_mixed_graph(rng):
    n = int(rng.integers(4, 7))
    names = [f"v{k}" for k in rng.permutation(n)]
    edges = [(a, b) for a, b in itertools.combinations(names, 2) if rng.random() < 0.4]
    pairs = [(a, b) for a, b in itertools.combinations(names, 2) if rng.random() < 0.15]
    latent = [v for v in names if rng.random() < 0.15]
    text = "; ".join([*names, *(f"{a} -> {b}" for a, b in edges), *(f"{a} <-> {b}" for a, b in pairs)])
    return CausalGraph(text, latent=latent)


@pytest.mark.parametrize("seed", range(120))
def test_a_minimal_separator_is_found_exactly_where_one_exists(seed):
    graph = random_mixed_graph(np.random.default_rng(seed))
    observed = [v for v in graph.nodes if v in graph.observed]
    found = {frozenset((c.a, c.b)): c.given for c in implied_independences(graph)}
    for a, b in itertools.combinations(observed, 2):
        rest = [v for v in observed if v not in (a, b)]
        sets = itertools.chain.from_iterable(itertools.combinations(rest, k) for k in range(len(rest) + 1))
        exists = any(graph.d_separated(a, b, given) for given in sets)
        given = found.get(frozenset((a, b)))
        assert (given is not None) == exists
        if given is not None:
            assert graph.d_separated(a, b, given)
            for k in range(len(given)):  # no subset of it will do
                for smaller in itertools.combinations(given, k):
                    assert not graph.d_separated(a, b, smaller)
