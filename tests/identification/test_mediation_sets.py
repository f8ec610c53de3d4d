"""Covariates of natural effects: the criterion by brute force on small graphs."""

from itertools import combinations

import numpy as np
import pytest

from pandas_causal import CausalGraph
from pandas_causal.errors import GraphError, NotIdentifiedError
from pandas_causal.identification.mediation_sets import mediation_covariates


def is_enough(graph, a, m, y, held):
    """The three conditions, by d-separation in graphs made by hand."""
    below = graph.descendants([a]) | graph.descendants([m])
    if set(held) & below:
        return False

    def without_out_of(node):
        edges = [e for e in graph.edges if e[0] != node]
        drawn = (
            "; ".join(f"{s} -> {t}" for s, t in edges) + "; " + "; ".join(f"{s} <-> {t}" for s, t in graph.bidirected)
        )
        return CausalGraph(f"{'; '.join(graph.nodes)}; {drawn}")

    cut = without_out_of(a)
    if not (cut.d_separated(a, m, held) and cut.d_separated(a, y, held)):
        return False
    return without_out_of(m).d_separated(m, y, [*held, a])


def random_graph(rng):
    names = ["a", "m", "y", "u", "v", "w"]
    order = list(rng.permutation(6))
    edges = [f"{names[i]} -> {names[j]}" for k, i in enumerate(order) for j in order[k + 1 :] if rng.random() < 0.4]
    both = [f"{names[i]} <-> {names[j]}" for i, j in combinations(range(6), 2) if rng.random() < 0.08]
    return CausalGraph("; ".join(names) + "; " + "; ".join(edges + both))


def test_finds_covariates_exactly_where_there_are_some():
    rng = np.random.default_rng(0)
    found, none = 0, 0
    for _ in range(250):
        graph = random_graph(rng)
        sets = [s for k in range(4) for s in combinations("uvw", k) if is_enough(graph, "a", "m", "y", s)]
        try:
            held = mediation_covariates(graph, "a", "m", "y")
        except NotIdentifiedError:
            assert not sets, graph
            none += 1
            continue
        assert is_enough(graph, "a", "m", "y", sorted(held)), graph
        found += 1
        for s in sets:
            assert mediation_covariates(graph, "a", "m", "y", s) == frozenset(s)
    assert min(found, none) > 30


def test_causes_of_treatment_alone_are_left_out():
    graph = CausalGraph("z -> a; x -> a; x -> m; x -> y; a -> m; a -> y; m -> y")
    assert mediation_covariates(graph, "a", "m", "y") == {"x"}


def test_a_confounder_that_treatment_moves_is_named():
    graph = CausalGraph("a -> l; l -> m; l -> y; a -> m; a -> y; m -> y")
    with pytest.raises(NotIdentifiedError, match="count it among the mediators"):
        mediation_covariates(graph, "a", "m", "y")
    assert mediation_covariates(graph, "a", ["l", "m"], "y") == frozenset()
    with pytest.raises(NotIdentifiedError, match="l is a consequence of treatment"):
        mediation_covariates(graph, "a", "m", "y", ["l"])


def test_hidden_causes_are_told_by_their_path():
    with pytest.raises(NotIdentifiedError, match="m <-> y stays open"):
        mediation_covariates(CausalGraph("a -> m; a -> y; m -> y; m <-> y"), "a", "m", "y")
    with pytest.raises(NotIdentifiedError, match="treatment and a mediator"):
        mediation_covariates(CausalGraph("a -> m; a -> y; m -> y; a <-> m"), "a", "m", "y")


def test_roles_are_different_observed_nodes():
    graph = CausalGraph("a -> m; a -> y; m -> y; u -> y", latent=["u"])
    with pytest.raises(GraphError, match="different nodes"):
        mediation_covariates(graph, "a", "a", "y")
    with pytest.raises(GraphError, match="is latent"):
        mediation_covariates(graph, "a", "u", "y")
