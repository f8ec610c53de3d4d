"""Attribution of a change by simulation: by hand, by peers of ours, invariances, bad input."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import parallel_config

from pandas_causal import StructuralModel
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    CausalDataError,
    CausalWarning,
    GraphError,
    StandardErrorWarning,
)
from tests.structural.chains import CHAIN, KNOWN, LINEAR, MIXED, chain, exact_chain, known_chain, mixed

FEW = {"n_draws": 12}
OLD = exact_chain(200, 0)
NEW = exact_chain(150, 1, mean=1.0, intercept=2.0, slope=4.0)


@pytest.fixture(scope="module")
def linear():
    return StructuralModel(CHAIN, LINEAR).fit(OLD)


def test_mean_change_of_the_chain_by_all_orders_of_swaps(linear):
    """E X3 from 0 to 16; averages over the 3! orders, by hand: X1 gains 6, 8, 6, 8, 6, 8; the values are 7, 7, 2."""
    effect = linear.attribute_change(OLD, NEW, "x3", **FEW)
    np.testing.assert_allclose(effect.estimates, [7, 7, 2], atol=1e-10)
    np.testing.assert_allclose(effect.diagnostics["waterfall"].table["value"], [0, 7, 7, 2, 16], atol=1e-10)
    assert list(effect.table.index) == ["x1", "x2", "x3"]
    assert effect.table.index.name == "mechanism"
    assert (effect.diagnostics["simulation"].table["simulation_error"] == 0).all()
    assert effect.linear([[1, 1, 1]], ["total"]).estimate == pytest.approx(16, abs=1e-10)
    assert effect.estimator is linear


def test_other_statistics_in_closed_form(linear):
    variance = linear.attribute_change(OLD, NEW, "x3", of="variance", **FEW)
    np.testing.assert_allclose(variance.estimates, [0, 0, 81 - 46], atol=1e-10)
    deviation = linear.attribute_change(OLD, NEW, "x3", of="std", **FEW)
    np.testing.assert_allclose(deviation.estimates, [0, 0, 9 - np.sqrt(46)], atol=1e-10)
    divergence = linear.attribute_change(OLD, NEW, "x3", of="gaussian_kl", **FEW)
    total = 0.5 * (81 / 46 - 1 - np.log(81 / 46) + 256 / 46)
    assert divergence.estimates.sum() == pytest.approx(total, abs=1e-10)


def test_fifteen_linear_mechanisms_are_exact():
    """A sum of fourteen inputs: each contributes its slope times the shift of its mean, which nothing else touches."""
    rng = np.random.default_rng(0)
    names = [f"c{k}" for k in range(14)]
    old, new = (pd.DataFrame(rng.normal(size=(80, 14)), columns=names) for _ in range(2))
    for df in (old, new):
        df["t"] = df[names] @ np.arange(1.0, 15.0) + rng.normal(size=80)
    known = {"t": lambda p: sum((k + 1) * p[f"c{k}"] for k in range(14))}
    model = StructuralModel("; ".join(f"{c} -> t" for c in names), known).fit(old)
    effect = model.attribute_change(old, new, "t", n_draws=10)
    expected = np.arange(1, 15) * (new[names].mean() - old[names].mean())
    np.testing.assert_allclose(effect.estimates[names], expected, atol=1e-10)
    assert (effect.diagnostics["simulation"].table["simulation_error"] == 0).all()


def test_simulation_agrees_with_the_closed_form(linear):
    for of, exact in ((lambda x: float(np.mean(x)), [7, 7, 2]), (lambda x: float(np.var(x)), [0, 0, 35])):
        effect = linear.attribute_change(OLD, NEW, "x3", of=of, n_samples=20_000, **FEW)
        error = effect.diagnostics["simulation"].table["simulation_error"]
        assert (np.abs(effect.estimates - exact) < 3.5 * error + 1e-3).all()
    median = linear.attribute_change(OLD, NEW, "x3", of="median", n_samples=20_000, **FEW)
    np.testing.assert_allclose(median.estimates, [7, 7, 2], atol=0.6)
    divergence = linear.attribute_change(OLD, NEW, "x3", of="kl", **FEW)
    assert divergence.estimates.sum() > 0.5


@pytest.mark.slow
def test_the_error_of_the_simulation_is_the_spread_over_seeds(linear):
    found = [
        linear.attribute_change(OLD, NEW, "x3", of=np.median, n_samples=500, random_state=seed, n_draws=10)
        for seed in range(20)
    ]
    spread = np.std([e.estimates for e in found], axis=0, ddof=1)
    told = np.sqrt(np.mean([np.square(e.diagnostics["simulation"].table["simulation_error"]) for e in found], axis=0))
    np.testing.assert_allclose(told, spread, rtol=0.6)  # of groups of draws, rather too large than too small


def test_the_bootstrap_is_the_sampling_error(linear):
    """Mean of x1 alone: its mechanism's error is the standard error of a difference of means."""
    with pytest.warns(CausalWarning, match="no causes"):
        effect = linear.attribute_change(OLD, NEW, "x1", n_draws=400)
    truth = np.sqrt(OLD["x1"].var() / len(OLD) + NEW["x1"].var() / len(NEW))
    assert effect.std_error == pytest.approx(truth, rel=0.12)
    assert effect.conf_low < 1 < effect.conf_high
    assert effect.estimate == pytest.approx(1.0, abs=1e-10)


def test_levels_of_a_dimension_sum_to_the_mechanism():
    old, new = mixed(600, 0), mixed(500, 1, shift=0.7)
    model = StructuralModel(MIXED).fit(old)
    for of in ("mean", "variance"):
        whole = model.attribute_change(old, new, "x", of=of, **FEW)
        parts = model.attribute_change(old, new, "x", of=of, by="a", **FEW)
        sums = parts.estimates.groupby(level="mechanism", sort=False).sum()
        np.testing.assert_allclose(sums[whole.table.index], whole.estimates, atol=1e-12)
        assert parts.table.index.names == ["mechanism", "a"]
        np.testing.assert_allclose(
            parts.diagnostics["waterfall"].table["value"], whole.diagnostics["waterfall"].table["value"], atol=1e-12
        )
    # a node below the target splits it as well: the mechanisms of the split sum to nothing
    below = model.attribute_change(old, new, "x", by="y", **FEW).estimates.groupby(level=0, sort=False).sum()
    np.testing.assert_allclose(below["y"], 0, atol=1e-12)


def test_a_level_that_only_grew_is_credited_with_its_distance_from_the_mean():
    """Two stores, revenue 1 and 3; the share of the second goes from 1/2 to 3/4: +0.25 each, from the old mean 2."""
    old = pd.DataFrame({"store": ["a", "b"] * 50})
    new = pd.DataFrame({"store": ["a", "b", "b", "b"] * 25})
    for df in (old, new):
        df["revenue"] = np.where(df["store"] == "a", 1.0, 3.0) + np.resize([0.1, 0.1, -0.1, -0.1], len(df))
    model = StructuralModel("store -> revenue", {"revenue": "linear"}).fit(old)
    parts = model.attribute_change(old, new, "revenue", by="store", n_samples=2_000, **FEW).estimates
    assert parts["store"].to_dict() == pytest.approx({"a": 0.25, "b": 0.25}, abs=0.03)


def test_mechanism_tests_find_what_changed(linear):
    rng = np.random.default_rng(5)
    old, new = chain(800, rng), chain(800, rng, mean=0.5)
    check = linear.attribute_change(old, new, "x3", **FEW).diagnostics["mechanism changes"]
    assert check.table.loc["x1", "p_adjusted"] < 0.01
    assert (check.table.loc[["x2", "x3"], "p_adjusted"] > 0.01).all()
    assert "changed: x1 (at" in check.summary
    slope = linear.attribute_change(old, chain(800, rng, slope=3.3), "x3", **FEW).diagnostics["mechanism changes"]
    assert slope.table["p_adjusted"].idxmin() == "x3"


@settings(max_examples=4)
@given(st.permutations(["x1", "x2", "x3"]), st.integers(0, 100))
def test_order_names_and_doubled_rows_change_nothing(order, seed):
    rng = np.random.default_rng(seed)
    old, new = chain(60, rng), chain(50, rng, mean=1.0, slope=2.0)
    names = dict(zip(order, ["zeta", 3, "alpha"], strict=True))
    plain = StructuralModel(CHAIN, LINEAR).fit(old).attribute_change(old, new, "x3", n_draws=10).estimates
    graph = {names["x1"]: [names["x2"]], names["x2"]: [names["x3"]]}
    specs = {names["x2"]: "linear", names["x3"]: "linear"}
    moved = [f[order].rename(columns=names).sample(frac=1, random_state=1) for f in (old, new)]
    other = StructuralModel(graph, specs).fit(moved[0]).attribute_change(*moved, names["x3"], n_draws=10).estimates
    np.testing.assert_allclose(other.rename({v: k for k, v in names.items()})[plain.index], plain, rtol=1e-9)
    twice = [pd.concat([f, f], ignore_index=True) for f in (old, new)]
    doubled = StructuralModel(CHAIN, LINEAR).fit(twice[0]).attribute_change(*twice, "x3", n_draws=10).estimates
    np.testing.assert_allclose(doubled, plain, rtol=1e-9, atol=1e-12)


def test_the_number_of_jobs_changes_nothing():
    one = StructuralModel(CHAIN, LINEAR, n_jobs=1).fit(OLD).attribute_change(None, NEW, "x3", n_draws=10)
    with parallel_config("threading"):
        two = StructuralModel(CHAIN, LINEAR, n_jobs=2).fit(OLD).attribute_change(None, NEW, "x3", n_draws=10)
    pd.testing.assert_frame_equal(one.table, two.table)


def test_the_old_frame_is_by_default_what_was_fitted(linear):
    a, b = (linear.attribute_change(old, NEW, "x3", n_draws=10) for old in (None, OLD))
    pd.testing.assert_frame_equal(a.table, b.table)


def test_an_interruption_keeps_the_replicates(linear, monkeypatch):
    from pandas_causal.structural import change

    calls = []
    values = change._values

    def stop(*given):
        calls.append(1)
        if len(calls) > 31:
            raise KeyboardInterrupt
        return values(*given)

    monkeypatch.setattr(change, "_values", stop)
    with pytest.warns(CausalWarning, match="interrupted: the interval rests on 30 of 100 refits"):
        effect = linear.attribute_change(OLD, NEW, "x3")
    assert len(effect.uncertainty.replicates) == 30
    np.testing.assert_allclose(effect.estimates, [7, 7, 2], atol=1e-10)


def test_identical_frames_have_nothing_to_attribute(linear):
    with pytest.warns(CausalWarning, match="both frames hold the same rows"):
        effect = linear.attribute_change(OLD, OLD.copy(), "x3", **FEW)
    assert (effect.estimates == 0).all()


def test_flexible_mechanisms_are_warned_of_and_centred():
    rng = np.random.default_rng(0)
    old, new = chain(200, rng), chain(200, rng, mean=1.0)
    model = StructuralModel(CHAIN, {"x2": "boosting", "x3": "linear"}).fit(old)
    with pytest.warns(AssumptionWarning, match=r"flexible mechanisms, x2 \(boosting\)"):
        effect = model.attribute_change(old, new, "x3", n_samples=500, n_draws=10)
    assert "centred on the estimate" in effect.std_error_method
    assert (effect.table["conf_low"] <= effect.estimates).all()


def test_a_constant_node_and_a_change_of_it():
    old, new = OLD.assign(c=1.0), OLD.assign(c=3.0)
    for df in (old, new):
        df["x3"] = df["x3"] + 2 * df["c"]
    known = {**KNOWN, "x3": lambda p: 3 * p["x2"] + 2 * p["c"]}
    model = StructuralModel(CHAIN + "; c -> x3", known).fit(old)
    with pytest.warns(StandardErrorWarning):  # all rows say the same of c
        effect = model.attribute_change(old, new, "x3", n_draws=10)
    assert effect.estimates["c"] == pytest.approx(4.0)
    assert np.abs(effect.estimates.drop("c")).max() < 1e-10


def test_why_is_the_change_and_the_odd_rows():
    with pytest.warns(CausalWarning, match="3 of 3 rows are odder than all"):
        effect = NEW.causal.why(CHAIN, target="x3", before=OLD, mechanisms=KNOWN, n_draws=10, odd=3)
    model = effect.estimator
    rows = model.anomalies_.index.get_level_values(0).unique()
    assert len(rows) == 3
    assert NEW["x3"].sub(OLD["x3"].median()).abs().idxmax() == rows[0]
    same = known_chain(OLD).attribute_change(OLD, NEW, "x3", n_draws=10)
    pd.testing.assert_frame_equal(effect.table, same.table)
    none = NEW.causal.why(CHAIN, target="x3", before=OLD, mechanisms=KNOWN, n_draws=10, odd=0)
    assert not hasattr(none.estimator, "anomalies_")
    holes = NEW.astype(float).copy()
    holes.iloc[0, 0] = np.nan
    with pytest.warns(CausalWarning, match="1 row with a missing value was left out"):
        left = holes.causal.why(CHAIN, target="x3", before=OLD, mechanisms=KNOWN, n_draws=10, odd=0, missing="drop")
    assert left.n_obs == len(OLD) + len(NEW) - 1


@pytest.mark.parametrize(
    ("given_", "error", "words"),
    [
        ({"target": "x9"}, GraphError, "'x9' is no node of the model"),
        ({"of": "mode"}, CausalArgumentError, "of='mode' is not known; use one of"),
        ({"of": lambda x: x[:3]}, CausalArgumentError, "one finite number"),
        ({"form": "best"}, CausalArgumentError, r"form='best' is not known; use one of \['simulated', 'robust'\]"),
        ({"by": "x1"}, CausalArgumentError, "by='x1' must be a discrete node"),
        ({"by": "x3"}, CausalArgumentError, "must be a discrete node other than the target"),
        ({"new": NEW.iloc[:1]}, CausalArgumentError, "the new frame has 1 row"),
        ({"new": NEW.iloc[:0]}, CausalDataError, "no .*row"),
        ({"new": NEW.drop(columns="x2")}, GraphError, r"\['x2'\] are no columns"),
        ({"old": OLD.assign(x1=np.inf)}, CausalDataError, "x1: .*infinite"),
        ({"new": NEW.assign(x2="text")}, CausalDataError, "x2 was numeric when the model was fitted"),
        ({"n_draws": 1}, CausalArgumentError, "n_draws must be"),
        ({"level": 2}, CausalArgumentError, "level must be"),
        ({"n_samples": 1.5}, CausalArgumentError, "n_samples must be"),
    ],
)
def test_bad_input_is_named(linear, given_, error, words):
    call = {"old": OLD, "new": NEW, "target": "x3", "n_draws": 10, **given_}
    with pytest.raises(error, match=words):
        linear.attribute_change(call.pop("old"), call.pop("new"), call.pop("target"), **call)


def test_targets_without_a_mean_and_splits_of_what_does_not_add_up():
    old, new = mixed(200, 0), mixed(200, 1)
    model = StructuralModel(MIXED, {"b": "ridge", "y": "ridge", "x": "linear"}).fit(old)
    with pytest.raises(CausalDataError, match="a: has levels .* and no mean"):
        model.attribute_change(old, new, "a", n_draws=10)
    with pytest.raises(CausalArgumentError, match="of='median' does not add up"):
        model.attribute_change(old, new, "x", of="median", by="a", n_draws=10)
    with pytest.warns(CausalWarning, match="no causes"):
        shares = model.attribute_change(old, new, "a", of="kl", n_draws=10)
    assert shares.estimate >= 0
