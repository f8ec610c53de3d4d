"""What set functions read: noise to values by the cone only, ways by subset, linear forms, tails, noise of rows."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import StructuralModel
from pandas_causal.graphs.node_columns import Column
from pandas_causal.structural.attribution import GROUPS, fresh_noise, jackknife_error, noise_of_rows, without
from pandas_causal.structural.linear_form import linear_form
from pandas_causal.structural.tail_statistics import kernel_log_density, tail_statistic
from pandas_causal.structural.two_ways import TwoWays, Way
from tests.structural.chains import MIXED, exact_chain, known_chain, mixed


def counted(model):
    """The simulator with mechanisms that count the rows they are asked for."""
    asked = dict.fromkeys(model.simulator_.order, 0)

    class Counting:
        def __init__(self, node, inner):
            self.node, self.inner = node, inner

        def value(self, parents, noise):
            asked[self.node] += len(noise)
            return self.inner.value(parents, noise)

    simulator = model.simulator_.with_mechanisms(
        {node: Counting(node, m) for node, m in model.simulator_.mechanisms.items()}
    )
    return simulator, asked


def test_from_noise_computes_the_cone_only():
    model = known_chain(exact_chain(50))
    simulator, asked = counted(model)
    noise = {"x1": np.ones(5), "x2": np.zeros(5), "x3": np.full(5, 0.5)}
    np.testing.assert_allclose(simulator.from_noise(noise, {}, ["x3"], 5)["x3"], 6.5)
    assert asked == {"x1": 5, "x2": 5, "x3": 5}
    out = simulator.from_noise({"x3": noise["x3"]}, {"x2": np.arange(5.0)}, ["x3"], 5)
    np.testing.assert_allclose(out["x3"], 3 * np.arange(5) + 0.5)
    assert asked == {"x1": 5, "x2": 5, "x3": 10}  # nothing above a node that is set
    both = simulator.from_noise(noise, {}, ["x2", "x1"], 5)
    assert list(both) == ["x2", "x1"]
    assert simulator.above("x2") == ["x1", "x2"]


def test_every_subset_as_if_it_were_simulated_alone_and_each_node_once():
    model = StructuralModel(MIXED, {"b": "ridge", "y": "ridge", "x": "linear"}).fit(mixed(300))
    simulator, asked = counted(model)
    rng = np.random.default_rng(0)
    noise = {node: [model.simulator_.mechanisms[node].draw(40, rng) for _ in range(2)] for node in simulator.order}
    off, on = ({n: Way(simulator.mechanisms[n], u[k][None]) for n, u in noise.items()} for k in range(2))
    ways = TwoWays(simulator, "y", tuple(simulator.order), off, on)
    masks = (np.arange(16)[:, None] >> np.arange(4)) & 1 == 1
    distinct, which = ways.outcomes(masks)
    for mask, u in zip(masks, which, strict=True):
        picked = {n: noise[n][int(m)] for n, m in zip(simulator.order, mask, strict=True)}
        alone = model.simulator_.from_noise(picked, {}, ["y"], 40)["y"]
        np.testing.assert_array_equal(np.broadcast_to(distinct[u][0], 40), alone)
    assert asked == {"a": 2 * 40, "b": 4 * 40, "x": 8 * 40, "y": 16 * 40}


def test_rows_and_draws_are_crossed_only_where_both_matter():
    model = known_chain(exact_chain(50))
    own = {n: Way(model.simulator_.mechanisms[n], np.arange(3.0)[:, None]) for n in model.simulator_.order}
    fresh = {n: Way(model.simulator_.mechanisms[n], np.arange(7.0)[None]) for n in model.simulator_.order}
    ways = TwoWays(model.simulator_, "x3", ("x1", "x2", "x3"), fresh, own)
    masks = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0]], dtype=bool)
    distinct, which = ways.outcomes(masks)
    assert [distinct[u].shape for u in which] == [(1, 7), (3, 1), (3, 7)]
    np.testing.assert_allclose(distinct[which[2]][2], 6 * 2 + 3 * np.arange(7) + np.arange(7))


def test_linear_forms_and_what_is_none():
    df = exact_chain(80)
    arrays = {name: df[name].to_numpy() for name in df}
    form = linear_form(known_chain(df).simulator_, "x3", arrays)
    assert form["x3"].slopes["x2"] == pytest.approx([3.0])
    assert form["x3"].intercept == pytest.approx(0.0, abs=1e-12)
    assert form["x1"].covariance == pytest.approx(np.ones((1, 1)))
    kink = StructuralModel("x1 -> x2", {"x2": lambda p: np.maximum(p["x1"], -3.0)}).fit(df)
    assert linear_form(kink.simulator_, "x2", arrays) is None  # straight where the rows are, and not beyond
    boosted = StructuralModel("x1 -> x2", {"x2": "boosting"}).fit(df)
    assert linear_form(boosted.simulator_, "x2", arrays) is None
    far = df + 1e7
    shifted = linear_form(
        StructuralModel("x1 -> x2", {"x2": "linear"}).fit(far).simulator_, "x2", {n: far[n].to_numpy() for n in far}
    )
    assert shifted["x2"].slopes["x1"] == pytest.approx([2.0], rel=1e-7)


def test_noise_is_spread_evenly_in_every_group():
    mechanism = known_chain(exact_chain(50)).simulator_.mechanisms["x1"]
    drawn = fresh_noise(mechanism, 500, np.random.SeedSequence(0))
    groups = drawn.reshape(GROUPS, 50)
    assert (np.sort(groups, axis=1) == np.sort(mechanism.pool)).all()  # 50 values in strata of one
    other = fresh_noise(mechanism, 500, np.random.SeedSequence(1))
    assert not np.array_equal(drawn, other)


def test_noise_of_levels_gives_the_level_and_does_not_depend_on_the_place():
    df = mixed(200)
    model = StructuralModel(MIXED, {"b": "ridge", "y": "ridge", "x": "linear"}).fit(df)
    fitted = model.fitted_
    values = {n: c.read(df[n])[:5] for n, c in fitted.columns.items()}
    noise = noise_of_rows(fitted, "y", values, 30, np.random.SeedSequence(0))
    assert noise.shape == (5, 30)
    for r in range(5):
        parents = fitted.simulator.parents_of("y", {"x": np.repeat(values["x"][r], 30)}, 30)
        assert (fitted.simulator.mechanisms["y"].value(parents, noise[r]) == values["y"][r]).all()
    last = noise_of_rows(fitted, "y", {n: v[4:] for n, v in values.items()}, 30, np.random.SeedSequence(0))
    np.testing.assert_array_equal(last[0], noise[4])


def test_the_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(0).normal(size=5_000)
    told = jackknife_error(np.array([part.mean() for part in without(x)[1:]]))
    by_groups = x.reshape(GROUPS, -1).mean(axis=1).std(ddof=1) / np.sqrt(GROUPS)
    assert told == pytest.approx(by_groups, rel=1e-10)


def test_tails_by_hand():
    column = Column("x", np.dtype(float), None, None)
    x = np.array([0.0, 1.0, 2.0, 3.0, 10.0])
    assert tail_statistic(column, x, "median").of(x).tolist() == [2, 1, 0, 1, 8]
    assert tail_statistic(column, x, "quantile").of(np.array([2.0, 10.0, 11.0])).tolist() == pytest.approx([0, 0.8, 1])
    assert tail_statistic(column, x, "lower").of(x).tolist() == (-x).tolist()
    odd = tail_statistic(column, x, "median")
    assert odd.at_least(np.array([10.0 - 1e-12]), np.array([8.0])).all()  # rounding is no difference


def test_kernel_density_is_a_density():
    x = np.random.default_rng(0).normal(size=2_000)
    log_density = kernel_log_density(x)
    grid = np.linspace(-6, 6, 4_001)
    assert np.exp(log_density(grid)).sum() * (grid[1] - grid[0]) == pytest.approx(1.0, abs=0.01)
    assert log_density(np.array([0.0]))[0] == pytest.approx(-0.5 * np.log(2 * np.pi), abs=0.1)
    far = log_density(np.array([8.0, 9.0, 10.0]))
    assert (np.diff(far) < 0).all()
    assert np.isfinite(kernel_log_density(np.ones(10))(np.array([0.0, 1.0]))).all()


def test_rank_scores_of_levels():
    column = Column.learn(pd.Series([1, 2, 2, 3, 3, 3], name="x"))
    codes = column.read(pd.Series([1, 2, 2, 3, 3, 3], name="x"))
    rare = tail_statistic(column, codes, "density").of(codes)
    assert rare[0] == rare.max()
    assert rare[-1] == rare.min()
    assert tail_statistic(column, codes, "upper").of(codes).tolist() == [1, 2, 2, 3, 3, 3]
