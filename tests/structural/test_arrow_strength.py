"""Arrow strength: by hand, simulated beside the closed form, two definitions in nats, bad input."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import Mechanism, StructuralModel
from pandas_causal.errors import CausalArgumentError, CausalDataError, GraphError
from tests.structural.chains import CHAIN, LINEAR, MIXED, chain, exact_chain, known_chain, mixed

FEW = {"n_draws": 12}
# a curve so slight that no number changes, and that has to be simulated
CURVED = {"x2": lambda p: 2 * p["x1"] + 1e-7 * p["x1"] ** 2, "x3": lambda p: 3 * p["x2"] + 1e-7 * p["x2"] ** 2}


def test_the_chain_by_hand():
    """Var X1 = 1, Var X2 = 5: 2^2 * 1 = 4 and 3^2 * 5 = 45; in nats half the log of 45 / 1 + 1."""
    model = known_chain(exact_chain())
    strength = model.arrow_strength(**FEW)
    assert strength.estimates.to_dict() == pytest.approx({("x1", "x2"): 4.0, ("x2", "x3"): 45.0}, abs=1e-10)
    assert model.arrow_strength("x3", **FEW).estimate == pytest.approx(45, abs=1e-10)
    nats = model.arrow_strength("x3", of="gaussian_kl", **FEW)
    assert nats.estimate == pytest.approx(0.5 * np.log(46), abs=1e-10)
    shares = strength.diagnostics["strengths"].table["share"]
    np.testing.assert_allclose(shares, [4 / 5, 45 / 46], atol=1e-10)
    assert "not the effect of an intervention" in strength.assumptions[-1]


def test_simulation_beside_the_closed_form():
    df = exact_chain(400)
    model = StructuralModel(CHAIN, CURVED).fit(df)
    table = model.arrow_strength(n_samples=4_000, **FEW).diagnostics["strengths"].table
    assert (np.abs(table["strength"] - [4, 45]) < 3.5 * table["simulation_error"] + 0.02).all()
    nats = model.arrow_strength("x3", of="gaussian_kl", n_samples=4_000, **FEW)
    assert nats.estimate == pytest.approx(0.5 * np.log(46), abs=0.03)


def test_nats_from_densities_are_those_of_the_conditional_law():
    """E D(P(x | pa) || P_cut(x | pa)) of a normal chain is 0.5 log 46; the marginal laws are alike before and after."""
    found = [
        known_chain(exact_chain(400)).arrow_strength("x3", of="kl", random_state=seed, **FEW).estimate
        for seed in range(3)
    ]
    assert np.mean(found) == pytest.approx(0.5 * np.log(46), abs=0.15)


def test_levels_exactly():
    """Of a binary child with a binary parent everything is a sum of four probabilities."""
    rng = np.random.default_rng(0)
    a = (rng.random(3_000) < 0.4).astype(int)
    df = pd.DataFrame({"a": a, "b": (rng.random(3_000) < np.where(a == 1, 0.8, 0.3)).astype(int)})
    model = StructuralModel("a -> b", {"b": "ridge"}).fit(df)
    mechanism = model.simulator_.mechanisms["b"]
    p = mechanism.predict(model.simulator_.parents_of("b", {"a": np.array([0, 1])}, 2))[:, 1]
    share = df["a"].mean()
    cut = (1 - share) * p[0] + share * p[1]
    variance = cut * (1 - cut) - (1 - share) * p[0] * (1 - p[0]) - share * p[1] * (1 - p[1])
    found = model.arrow_strength("b", n_samples=5_000, **FEW)
    assert found.estimate == pytest.approx(variance, abs=0.004)
    nats = sum(
        w * (q * np.log(q / cut) + (1 - q) * np.log((1 - q) / (1 - cut))) for w, q in ((1 - share, p[0]), (share, p[1]))
    )
    assert model.arrow_strength("b", of="kl", **FEW).estimate == pytest.approx(nats, abs=0.02)


def test_a_mechanism_of_your_own():
    class Double(Mechanism):
        def draw(self, n, rng):
            return rng.normal(size=n)

        def value(self, parents, noise):
            return 2 * parents["x1"].to_numpy() + noise

        def noise(self, parents, values, rng):
            return values.to_numpy() - 2 * parents["x1"].to_numpy()

    df = exact_chain(300)[["x1", "x2"]]
    model = StructuralModel("x1 -> x2", {"x2": Double()}).fit(df)
    assert model.arrow_strength("x2", n_samples=4_000, **FEW).estimate == pytest.approx(4, abs=0.3)
    with pytest.raises(CausalArgumentError, match="has no density; use of='variance'"):
        model.arrow_strength("x2", of="kl", **FEW)


@pytest.mark.slow
def test_intervals_by_refits_cover():
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(30):
        effect = StructuralModel(CHAIN, LINEAR).fit(chain(150, rng)).arrow_strength("x3", n_draws=60)
        inside += effect.conf_low <= 45 <= effect.conf_high
    assert inside >= 24


def test_bad_input_is_named():
    df = exact_chain(100)
    model = known_chain(df)
    with pytest.raises(GraphError, match="'q' is no node"):
        model.arrow_strength("q")
    with pytest.raises(CausalArgumentError, match="of='nats' is not known"):
        model.arrow_strength("x3", of="nats")
    with pytest.raises(CausalArgumentError, match="no arrow leads into 'x1'"):
        model.arrow_strength("x1")
    lone = StructuralModel({"x1": [], "x2": []}).fit(df)
    with pytest.raises(CausalArgumentError, match="the graph has no arrow"):
        lone.arrow_strength()
    exact = StructuralModel("x1 -> d", {"d": lambda p: 2 * p["x1"]}).fit(df.assign(d=2 * df["x1"]))
    with pytest.raises(CausalDataError, match="d has no noise: its arrows have an infinite divergence"):
        exact.arrow_strength("d", of="gaussian_kl")
    levels = mixed(200)
    mixture = StructuralModel(MIXED, {"b": "ridge", "y": "ridge", "x": "linear"}).fit(levels)
    with pytest.raises(CausalArgumentError, match="b has no additive noise"):
        mixture.arrow_strength("b", of="gaussian_kl")
