"""Intrinsic influence: closed forms, pick-freeze beside them, entropies by enumeration."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pandas_causal import StructuralModel
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    CausalDataError,
    CausalWarning,
    GraphError,
    StandardErrorWarning,
)
from pandas_causal.structural.mechanisms import DiscreteNoise
from tests.structural.chains import CHAIN, LINEAR, MIXED, chain, exact_chain, exact_noise, known_chain, mixed

FEW = {"n_draws": 12}


def test_the_chain_by_hand():
    """Var X3 = 46 = 6^2 + 3^2 + 1."""
    effect = known_chain(exact_chain()).intrinsic_influence("x3", **FEW)
    np.testing.assert_allclose(effect.estimates, [36, 9, 1], atol=1e-10)
    np.testing.assert_allclose(effect.diagnostics["shares"].table["share"], [36 / 46, 9 / 46, 1 / 46], atol=1e-12)
    assert (effect.diagnostics["shares"].table["simulation_error"] == 0).all()


@settings(max_examples=5)
@given(st.permutations(["x1", "x2", "x3"]), st.integers(0, 100))
def test_order_names_and_doubled_rows_change_nothing(order, seed):
    df = chain(60, np.random.default_rng(seed))
    names = dict(zip(order, ["zeta", 3, "alpha"], strict=True))
    back = {v: k for k, v in names.items()}
    plain = StructuralModel(CHAIN, LINEAR).fit(df)
    moved = StructuralModel(
        {names["x1"]: [names["x2"]], names["x2"]: [names["x3"]]}, {names["x2"]: "linear", names["x3"]: "linear"}
    ).fit(df[order].rename(columns=names).sample(frac=1, random_state=1))
    own = plain.intrinsic_influence("x3", n_draws=10).estimates
    found = moved.intrinsic_influence(names["x3"], n_draws=10).estimates.rename(back)
    # the folds that a mechanism's noise is held out of go by the order of labels, and not by names
    np.testing.assert_allclose(found[own.index], own, rtol=1e-9)
    strength = moved.arrow_strength(n_draws=10).estimates
    np.testing.assert_allclose(strength.to_numpy(), plain.arrow_strength(n_draws=10).estimates.to_numpy(), rtol=1e-9)
    twice = known_chain(pd.concat([df, df], ignore_index=True)).intrinsic_influence("x3", n_draws=10).estimates
    np.testing.assert_allclose(twice, known_chain(df).intrinsic_influence("x3", n_draws=10).estimates, rtol=1e-9)


def test_linear_models_of_any_size_need_no_draw():
    u = exact_noise(200, 16, 0)
    df = pd.DataFrame(u, columns=[f"c{k}" for k in range(16)])
    df["t"] = df @ np.arange(16) + 1.0
    known = {"t": lambda p: sum(k * p[f"c{k}"] for k in range(16))}
    model = StructuralModel("; ".join(f"c{k} -> t" for k in range(16)), known).fit(df)
    effect = model.intrinsic_influence("t", **FEW)
    np.testing.assert_allclose(effect.estimates, [*np.square(np.arange(16.0)), 0.0], atol=1e-9)


@pytest.mark.slow
def test_pick_freeze_within_its_error_and_its_error_is_the_spread():
    """An interaction, x * z + u with unit noises: 1 is shared by x and z, half each; u has 1."""
    u = exact_noise(400, 3, 1)
    df = pd.DataFrame({"x": u[:, 0], "z": u[:, 1]})
    df["y"] = df["x"] * df["z"] + u[:, 2]
    model = StructuralModel("x -> y <- z", {"y": lambda p: p["x"] * p["z"]}).fit(df)
    tables = [
        model.intrinsic_influence("y", n_samples=2_000, random_state=seed, n_draws=10).diagnostics["shares"].table
        for seed in range(15)
    ]
    found = np.array([t["estimate"] for t in tables])
    error = np.sqrt(np.mean([np.square(t["simulation_error"]) for t in tables], axis=0))
    assert (np.abs(found.mean(axis=0) - [0.5, 0.5, 1.0])[:2] < 4 * error[:2] / np.sqrt(15) + 0.01).all()
    np.testing.assert_allclose(found[:, 2], 1.0, atol=1e-10)  # its own noise meets the rest additively
    np.testing.assert_allclose(found.std(axis=0, ddof=1)[:2], error[:2], rtol=0.5)


def test_parts_that_meet_additively_are_games_of_their_own():
    """y = f(a) + g(b): each of a and b gets the variance of its own part, without a share of the other's error."""
    u = exact_noise(300, 5, 2)
    df = pd.DataFrame({"a": u[:, 0], "b": u[:, 1]})
    df["fa"], df["gb"] = df["a"] ** 2 + u[:, 2], np.abs(df["b"]) + u[:, 3]
    df["y"] = df["fa"] - 2 * df["gb"] + u[:, 4]
    known = {"fa": lambda p: p["a"] ** 2, "gb": lambda p: np.abs(p["b"]), "y": lambda p: p["fa"] - 2 * p["gb"]}
    model = StructuralModel("a -> fa -> y; b -> gb -> y", known).fit(df)
    effect = model.intrinsic_influence("y", n_samples=4_000, **FEW)
    truth = {"a": (df["a"] ** 2).var(ddof=0), "b": 4 * np.abs(df["b"]).var(ddof=0), "fa": 1.0, "gb": 4.0, "y": 1.0}
    error = effect.diagnostics["shares"].table["simulation_error"]
    truth = pd.Series(truth)[effect.table.index]
    assert (np.abs(effect.estimates - truth) < 4 * error + 0.02).all()


def test_entropy_by_enumeration():
    """y = a xor b: given either alone y is a fair coin, so that log 2 is shared in halves."""
    a, b = np.resize([0, 1, 0, 1], 400), np.resize([0, 0, 1, 1], 400)
    df = pd.DataFrame({"a": a, "b": b, "y": a ^ b})
    known = DiscreteNoise(lambda p, _: p["a"] ^ p["b"], [0], [1.0])
    model = StructuralModel("a -> y <- b", {"y": known}).fit(df)
    with pytest.warns(StandardErrorWarning, match="zero"):  # y has no noise
        effect = model.intrinsic_influence("y", of="entropy", n_samples=200, **FEW)
    np.testing.assert_allclose(effect.estimates, [np.log(2) / 2, np.log(2) / 2, 0.0], atol=0.01)


def test_levels_sum_to_the_variance_and_the_entropy():
    df = mixed(600)
    model = StructuralModel(MIXED, {"b": "ridge", "y": "ridge", "x": "linear"}).fit(df)
    p = df["y"].mean()
    variance = model.intrinsic_influence("y", n_samples=5_000, n_draws=10)
    assert variance.estimates.sum() == pytest.approx(p * (1 - p), abs=0.01)
    entropy = model.intrinsic_influence("y", of="entropy", n_samples=200, n_draws=10)
    assert entropy.estimates.sum() == pytest.approx(-p * np.log(p) - (1 - p) * np.log(1 - p), abs=0.06)
    assert (entropy.estimates > 0).all()


def test_bad_input_is_named():
    df = exact_chain(100)
    model = known_chain(df)
    with pytest.raises(GraphError, match="'q' is no node"):
        model.intrinsic_influence("q")
    with pytest.raises(CausalArgumentError, match="of='mean' is not known"):
        model.intrinsic_influence("x3", of="mean")
    with pytest.raises(CausalArgumentError, match="x3 is continuous: given all noise its entropy is minus infinity"):
        model.intrinsic_influence("x3", of="entropy")
    with pytest.warns(CausalWarning, match="no causes"):
        alone = model.intrinsic_influence("x1", **FEW)
    assert alone.estimate == pytest.approx(1.0)
    with pytest.raises(CausalDataError, match="no mean"):
        StructuralModel(MIXED, {"b": "ridge", "y": "ridge"}).fit(mixed(200)).intrinsic_influence("a")


def test_flexible_mechanisms_are_warned_of():
    df = exact_chain(150)
    model = StructuralModel(CHAIN, {"x2": "boosting", "x3": "linear"}).fit(df)
    with pytest.warns(AssumptionWarning, match=r"flexible mechanisms, x2 \(boosting\)"):
        effect = model.intrinsic_influence("x3", n_samples=500, n_draws=10)
    assert "centred on the estimate" in effect.std_error_method
