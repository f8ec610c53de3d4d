"""Structural models and tests of graphs over many draws: coverage, false alarms, power."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import CausalGraph, StructuralModel
from pandas_causal.graphs.check_graph import check_graph
from tests.graphs.worlds import random_graph, simulate
from tests.statistical.draws import DRAWS, FULL, coverage, slack

GRAPHS = 500 if FULL else 60
KINDS = ("linear", "nonlinear", "discrete", "mixed")


@pytest.mark.slow
def test_coverage_of_a_linear_effect_with_unequal_variances():
    graph = CausalGraph("w -> x -> m -> y; w -> m; w -> y; x -> y")
    linear = dict.fromkeys("xmy", "linear")

    def make(rng):
        w = rng.normal(size=200)
        x = w + rng.normal(size=200)
        m = x - w + (0.5 + np.abs(x)) * rng.normal(size=200)
        y = 2 * m + x + w + (0.5 + np.abs(m)) * rng.normal(size=200)
        frame = pd.DataFrame({"w": w, "x": x, "m": m, "y": y})
        return StructuralModel(graph, linear).fit(frame).effect({"x": (0, 1)}, outcome="y")

    bias, error, covered = coverage(make, DRAWS, truth=3.0)
    assert abs(bias) < 4 * error
    assert abs(covered - 0.95) < slack(DRAWS) + 0.01  # 200 rows, normal law


@pytest.mark.slow
def test_coverage_of_the_bootstrap_for_a_discrete_outcome_through_a_mediator():
    graph = CausalGraph("w -> x; w -> m; x -> m -> y; x -> y")
    models = {"m": "linear", "y": "linear", "x": "linear"}

    def world(rng, n, x=None):
        w = rng.normal(size=n)
        x = (rng.logistic(size=n) < w).astype(int) if x is None else np.full(n, x)
        m = x + w + rng.normal(size=n)
        y = (rng.logistic(size=n) < m - 0.5 * x).astype(int)
        return pd.DataFrame({"w": w, "x": x, "m": m, "y": y})

    rng = np.random.default_rng(9)
    # E y(x) over the noise of y, so that the truth is known to four digits
    w, e = rng.normal(size=(2, 4_000_000))
    chance = [1 / (1 + np.exp(-(x + w + e - 0.5 * x))) for x in (0, 1)]
    truth = float((chance[1] - chance[0]).mean())

    def make(rng):
        model = StructuralModel(graph, models).fit(world(rng, 300))
        return model.effect({"x": (0, 1)}, outcome="y", n_draws=200 if FULL else 100)

    draws = 400 if FULL else 30
    bias, error, covered = coverage(make, draws, truth)
    assert abs(bias) < 4 * error + 0.002
    assert abs(covered - 0.95) < slack(draws) + 0.015  # percentiles of 200 refits


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_true_graph_fails_one_time_in_twenty_and_a_wrong_one_mostly(kind):
    """Families of tests with Holm's correction over random true graphs; and the same graphs less an arrow."""
    failed = judged = found = wrong = 0
    rng = np.random.default_rng(11)
    for _ in range(GRAPHS):
        graph, order, parents = random_graph(rng, int(rng.integers(4, 8)))
        frame = simulate(rng, order, parents, 500, kind)
        check = check_graph(frame, graph)
        judged += check.passed is not None
        failed += check.passed is False
        if graph.edges:
            left_out = graph.edges[rng.integers(len(graph.edges))]
            kept = {v: [b for b in graph.children(v) if (v, b) != left_out] for v in graph.nodes}
            found += check_graph(frame, CausalGraph(kept)).passed is False
            wrong += 1
    assert failed / judged <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / judged)
    assert found / wrong > 0.75
