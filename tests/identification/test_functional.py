"""The complete ID and IDC: against the truth of random discrete models, and against hedges found by search."""

import numpy as np
import pytest

from pandas_causal.identification.functional import Hedge
from tests.graphs import brute


def check(rng, graph, xs=(0,), ys=(1,), ws=(), latent=()):
    """One question: the answer is the truth to 1e-10, or there is a hedge. Returns whether it is identified."""
    found = brute.graph_of(graph, latent).identify(treatment=list(xs), outcome=list(ys), given=list(ws) or None)
    said = f"{graph}, {xs}, {ys}, {ws}, latent {latent}: {found.functional.text}"
    hedge = isinstance(found.functional, Hedge)
    assert found.identified is not hedge, said
    if not latent:
        acting, known = brute.exchanged(graph, xs, ys, ws)
        assert hedge == brute.has_hedge(graph, acting, {*ys, *known}), said
    if hedge:
        assert not found.backdoor.exists, said
        assert not found.frontdoor.exists, said
        return False
    model = brute.Model(rng, graph)
    got = found.distribution(model.frame(latent), sample_weight="share")
    assert list(got.columns) == [*xs, *ys, *ws, "probability"], said
    got = got.sort_values([*xs, *ws, *ys])
    truth = model.truth(xs, ys, ws)
    np.testing.assert_allclose(got["probability"], truth.ravel(), rtol=0, atol=1e-10, err_msg=said)
    return True


def test_mixed_graphs_on_four_nodes():
    rng = np.random.default_rng(0)
    answers = [check(rng, g) for g in brute.sample(brute.all_mixed(4), 500, 1)]
    assert 0.2 < np.mean(answers) < 0.8


def test_joint_interventions_on_four_nodes():
    rng = np.random.default_rng(1)
    answers = [check(rng, g, xs=(0, 2)) for g in brute.sample(brute.all_mixed(4), 200, 2)]
    assert 0.1 < np.mean(answers) < 0.9


def test_two_outcomes_on_four_nodes():
    rng = np.random.default_rng(2)
    answers = [check(rng, g, ys=(1, 2)) for g in brute.sample(brute.all_mixed(4), 200, 3)]
    assert 0.1 < np.mean(answers) < 0.9


def test_conditional_effects_on_four_nodes():
    rng = np.random.default_rng(3)
    answers = [check(rng, g, ws=(2,)) for g in brute.sample(brute.all_mixed(4), 200, 4)]
    assert 0.1 < np.mean(answers) < 0.9


def test_a_latent_node_on_four_nodes():
    rng = np.random.default_rng(4)
    answers = [check(rng, g, latent=(3,)) for g in brute.sample(brute.all_mixed(4), 200, 5)]
    assert 0.1 < np.mean(answers) < 0.9


def test_acyclic_graphs_on_five_nodes():
    rng = np.random.default_rng(5)
    graphs = ((5, edges, frozenset()) for edges in brute.all_dags(5))
    assert all(check(rng, g) for g in brute.sample(graphs, 100, 6))


@pytest.mark.parametrize("n", [5, 6, 7])
def test_random_mixed_graphs(n):
    rng = np.random.default_rng(100 + n)
    answers = []
    for k in range(7000 if brute.FULL else {5: 150, 6: 60, 7: 25}[n]):
        graph = brute.random_mixed(
            rng, n, degree=rng.uniform(0.2, 0.6), confounding={5: 0.4, 6: 0.3, 7: 0.22}[n], most=6
        )
        latent = (2,) if k % 3 == 1 else ()
        xs, ws = ((0, 3) if k % 4 == 1 else (0,)), ((4,) if k % 5 == 0 else ())
        answers.append(check(rng, graph, xs=xs, ws=ws, latent=latent))
    assert 0.1 < np.mean(answers) < 0.95
