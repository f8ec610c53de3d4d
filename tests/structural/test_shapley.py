"""Shapley values: by hand, by all orders of arrival, and their errors when drawn."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pandas_causal
from pandas_causal import shapley
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalWarning
from pandas_causal.structural import shapley as engine


class Table:
    """A set function read from a table; at module level, so that workers can be given it."""

    def __init__(self, values):
        self.values = values
        self.k = int(np.log2(len(values)))

    def __call__(self, masks):
        return self.values[masks @ (1 << np.arange(self.k))]


def by_all_orders(game, k):
    out = 0.0
    for order in itertools.permutations(range(k)):
        inside = np.zeros(k, dtype=bool)
        gains = [None] * k
        for player in order:
            before = game(inside[None])[0]
            inside[player] = True
            gains[player] = game(inside[None])[0] - before
        out = out + np.array(gains)
    return out / math.factorial(k)


def test_the_glove_game_by_hand():
    """One left glove, two right ones; a pair is worth 1. Shapley (1953): 2/3, 1/6, 1/6."""
    found = shapley(lambda s: s[:, 0] & (s[:, 1] | s[:, 2]), ["left", "right", "other"])
    np.testing.assert_allclose(found.values[:, 0], [2 / 3, 1 / 6, 1 / 6], atol=1e-15)
    assert found.exact
    assert found.n_subsets == 8
    assert list(found.table.index) == ["left", "right", "other"]
    assert (found.table["std_error"] == 0).all()


@given(st.integers(1, 6), st.integers(0, 10_000))
def test_exact_values_are_those_of_all_orders_and_sum_up(k, seed):
    rng = np.random.default_rng(seed)
    game = Table(rng.normal(size=(2**k, 2)) * 10 ** rng.uniform(-3, 3))
    found = shapley(game, k)
    scale = np.abs(game.values).max()
    np.testing.assert_allclose(found.values, by_all_orders(game, k), atol=1e-12 * scale)
    np.testing.assert_allclose(found.values.sum(axis=0), found.full - found.empty, atol=1e-12 * scale)
    assert found.n_subsets == 2**k  # every subset once


@given(st.integers(2, 7), st.integers(0, 10_000))
def test_exact_values_are_symmetric_and_ignore_who_does_nothing(k, seed):
    """Players that the function treats alike get the same, whoever adds nothing gets nothing, at any place."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=k)
    weight[1] = weight[0]
    if k > 2:
        weight[2] = 0.0
    game = lambda s: np.sin(3 * (s @ weight)) + np.square(s @ weight)  # noqa: E731
    found = shapley(game, k).values[:, 0]
    assert found[0] == pytest.approx(found[1], abs=1e-12)
    if k > 2:
        assert found[2] == pytest.approx(0.0, abs=1e-12)
    order = rng.permutation(k)
    moved = shapley(lambda s: game(s[:, np.argsort(order)]), k).values[:, 0]
    np.testing.assert_allclose(moved, found[order], atol=1e-12)


def test_twelve_players_exactly_and_the_largest_limit():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=12)
    found = shapley(lambda s: s @ weight, 12)
    assert found.exact
    np.testing.assert_allclose(found.values[:, 0], weight, atol=1e-12)
    assert found.n_subsets == 2**12
    with pytest.raises(CausalArgumentError, match=r"2\^21 subsets"):
        shapley(lambda s: s @ np.ones(21), 21, "exact")


@pytest.mark.parametrize("method", ["permutations", "kernel"])
def test_drawn_values_and_their_errors(method):
    """Over many seeds the errors divided by the standard errors have variance 1; the sum is exact at any draw."""
    game = Table(np.random.default_rng(3).normal(size=(2**6, 3)))
    exact = shapley(game, 6).values
    z = []
    for seed in range(40):
        with pytest.warns(CausalWarning, match="above tolerance"):
            found = shapley(game, 6, method, tolerance=1e-6, max_draws=80, random_state=seed)
        assert not found.exact
        np.testing.assert_allclose(found.values.sum(axis=0), found.full - found.empty, atol=1e-12)
        z.append((found.values - exact) / found.std_errors)
    assert 0.85 < np.std(z) < 1.15
    assert abs(np.mean(z)) < 4 / np.sqrt(np.size(z) / 3)


def test_the_stopping_rule_reaches_its_tolerance():
    rng = np.random.default_rng(1)
    weight = rng.normal(size=14)
    game = lambda s: np.tanh(s @ weight)  # noqa: E731
    loose, tight = (shapley(game, 14, tolerance=t) for t in (0.1, 0.02))
    for found, tolerance in ((loose, 0.1), (tight, 0.02)):
        assert found.std_errors.max() <= tolerance * np.abs(found.values).max()
    assert loose.n_draws < tight.n_draws
    # permutations of an additive function have no error at all
    sure = shapley(lambda s: s @ weight, 14)
    assert sure.n_draws == 16
    np.testing.assert_allclose(sure.values[:, 0], weight, atol=1e-12)


def test_each_watched_output_stops_by_itself():
    """What one output needs does not change another's answer, nor that of the companion that goes by it."""
    rng = np.random.default_rng(2)
    weight, hard = rng.normal(size=14), rng.normal(size=(14, 14))
    easy = lambda s: np.tanh(s @ weight / 10)  # noqa: E731
    both = lambda s: np.column_stack(  # noqa: E731
        [easy(s), np.tanh(np.einsum("mi,ij,mj->m", s, hard, s) / 5), 2 * easy(s), np.ones(len(s))]
    )
    settings = engine.SubsetSettings(tolerance=0.03, watched=2, max_draws=2_000)
    names = pandas_causal.shapley(easy, 14).players
    found = engine.shapley_arrays(both, names, settings)
    alone = engine.shapley_arrays(easy, names, engine.SubsetSettings(tolerance=0.03))
    assert found.n_draws > alone.n_draws
    np.testing.assert_array_equal(found.values[:, 0], alone.values[:, 0])
    np.testing.assert_allclose(found.values[:, 2], 2 * alone.values[:, 0], rtol=1e-12)


@pytest.mark.parametrize(("k", "method"), [(9, "exact"), (9, "permutations"), (9, "kernel")])
def test_the_number_of_jobs_changes_nothing(k, method):
    game = Table(np.random.default_rng(4).normal(size=2**k))
    one, two = (shapley(game, k, method, tolerance=0.2, n_jobs=jobs) for jobs in (1, 2))
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(one.std_errors, two.std_errors)
    again = shapley(game, k, method, tolerance=0.2)
    np.testing.assert_array_equal(one.values, again.values)


@pytest.mark.parametrize("method", ["exact", "permutations", "kernel"])
def test_an_interruption_returns_what_is_known(method, monkeypatch):
    monkeypatch.setattr(engine, "_BATCH", 64)
    settings = engine.SubsetSettings(method=method, batch=64, tolerance=1e-9)
    game = Table(np.random.default_rng(5).normal(size=2**11))
    exact = shapley(game, 11).values
    calls = []

    def value(masks):
        calls.append(len(masks))
        if sum(calls) > 600:
            raise KeyboardInterrupt
        return game(masks)

    with pytest.warns(CausalWarning, match="interrupted"):
        found = engine.shapley_arrays(value, engine.shapley(game, 11).players, settings)
    assert not found.complete
    assert not found.exact
    assert (found.std_errors > 0).all()
    assert (np.abs(found.values - exact) < 6 * found.std_errors).all()
    with pytest.raises(KeyboardInterrupt):  # nothing is known yet
        engine.shapley_arrays(stop, engine.shapley(game, 11).players, settings)


def stop(masks):
    raise KeyboardInterrupt


def test_several_outputs_have_a_row_each():
    found = shapley(lambda s: np.column_stack([s @ [1.0, 2.0], s @ [0.0, 5.0]]), ["a", "b"])
    assert found.table.loc[(1, "b"), "value"] == 5
    assert list(found.table.index.names) == ["output", "player"]


@pytest.mark.parametrize(
    ("value", "players", "settings", "words"),
    [
        (lambda s: s @ [1.0], 0, {}, "no players"),
        (lambda s: s @ [1.0], -2, {}, "no players"),
        (lambda s: s @ [1.0], [], {}, "no players"),
        (lambda s: s @ [1.0, 1.0], ["a", "a"], {}, "'a' is named more than once"),
        (lambda s: s @ [1.0], "ab", {}, "players takes names"),
        (lambda s: s @ [1.0], 3.5, {}, "players takes names"),
        (lambda s: s @ [1.0], 1, {"method": "fast"}, r"method='fast' is not known; use one of \['auto'"),
        (lambda s: s @ [1.0], 1, {"tolerance": 0}, "tolerance must be a number above 0"),
        (lambda s: s @ [1.0], 1, {"max_draws": 3}, "max_draws must be a whole number of pairs, 16 or more"),
        (lambda s: s @ [1.0], 1, {"random_state": -1}, "random_state"),
        (lambda s: s @ [1.0], 1, {"n_jobs": 0}, "n_jobs"),
    ],
)
def test_bad_settings_are_named(value, players, settings, words):
    with pytest.raises(CausalArgumentError, match=words):
        shapley(value, players, **settings)


def test_a_set_function_that_gives_no_number():
    with pytest.raises(CausalDataError, match=r"NaN or infinite for 1 of 2 subsets, first of \{b\}; make it finite"):
        shapley(lambda s: np.where(s[:, 1] & ~s[:, 0], np.nan, 0.0), ["a", "b"])
    with pytest.raises(CausalDataError, match="gave 1 values for 2 subsets"):
        shapley(lambda _: 3.0, ["a", "b"])


def test_a_single_player_has_it_all():
    for method in ("exact", "permutations", "kernel"):
        found = shapley(lambda s: 3.0 * s[:, 0] + 1, ["only"], method)
        assert found.values[0, 0] == pytest.approx(3.0)
