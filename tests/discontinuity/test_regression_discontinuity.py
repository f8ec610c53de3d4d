"""RegressionDiscontinuity: the mathematics by hand, invariances, bad input, several cutoffs, dates, clusters."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import pandas_causal
from pandas_causal import RegressionDiscontinuity
from pandas_causal.discontinuity.kernels import neighbour_residuals
from pandas_causal.discontinuity.local_polynomial import Side
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    CausalDataError,
    CausalError,
    StandardErrorWarning,
)
from tests.discontinuity.designs import make


def rdd(frame, **k):
    return frame.causal.rdd(running="x", outcome="y", **k)


# -- by hand -----------------------------------------------------------------------------------------------------------


def test_jump_of_lines_by_hand():
    """Exact lines on both sides: limits 1 and 4, whatever the bandwidth; the jump is 3 and its bias 0."""
    x = np.array([-4, -3, -2, -1, 0, 1, 2, 3, 4.0])
    noise = np.array([0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.1])
    frame = pd.DataFrame({"x": x, "y": np.where(x < 0, 1 + x, 4 - 2 * x) + 1e-9 * noise})
    effect = rdd(frame, bandwidth=4.5)
    assert effect.estimate == pytest.approx(3, abs=1e-8)
    assert effect.bias[0] == pytest.approx(0, abs=1e-7)


def test_equivalent_kernel_by_hand():
    """Uniform kernel, order 1, rows at 0, 1, 2: the intercept weights of least squares are 5/6, 2/6, -1/6."""
    side = Side(np.array([0, 1, 2.0]), np.array([[1.0], [3], [8]]), None, None, np.arange(3), 1)
    window = side.window(2.0, "uniform", 1)
    np.testing.assert_allclose(window.weights(1, 0), np.array([5, 2, -1]) / 6, atol=1e-14)
    np.testing.assert_allclose(window.weights(1, 1), np.array([-1, 0, 1]) / 2, atol=1e-14)
    np.testing.assert_allclose(window.coefficient(1, 0), [(5 + 6 - 8) / 6], atol=1e-14)


def test_nearest_neighbours_by_hand():
    """Places 0, 1, 2, 4 with two rows at 1; one match: the tie at 1 counts in full."""
    values = np.array([[1.0], [2], [4], [8], [16]])
    out = neighbour_residuals(np.array([0, 1, 3, 4, 5]), np.array([0.0, 1, 2, 4]), values, 1)[:, 0]
    half, two = np.sqrt(1 / 2), np.sqrt(2 / 3)
    np.testing.assert_allclose(out, [two * (1 - 3), half * (2 - 4), half * (4 - 2), two * (8 - 3), half * (16 - 8)])


def test_neighbours_within_a_window_are_those_of_its_rows_alone():
    rng = np.random.default_rng(0)
    d = np.sort(np.round(rng.random(300), 2))
    side = Side(d, rng.normal(size=(300, 1)), None, None, np.arange(300), 1)
    for n in (int(side.starts[30]), int(side.starts[-1])):
        alone = Side(d[:n], side.columns[:n], None, None, np.arange(n), 1)
        np.testing.assert_allclose(
            side.neighbour_residuals(n, np.ones(1), 3),
            neighbour_residuals(alone.starts, alone.places, alone.columns, 3)[:, 0],
            atol=1e-13,
        )


def test_high_orders_keep_their_digits():
    """A polynomial of order 6 is recovered: Gram matrices of powers would have lost it."""
    d = np.linspace(0, 1, 400)
    coefficients = np.array([1, -2, 3, 0.5, -1, 2, 1.0])
    side = Side(d, np.polynomial.polynomial.polyval(d, coefficients)[:, None], None, None, np.arange(400), 1)
    window = side.window(1.0, "triangular", 6)
    found = [window.coefficient(6, k)[0] for k in range(7)]
    np.testing.assert_allclose(found, coefficients, rtol=1e-8)


# -- the effect --------------------------------------------------------------------------------------------------------


def test_effect_carries_bias_contributions_and_limits():
    frame = make()
    effect = rdd(frame, vce="hc1")
    u = effect.uncertainty
    assert np.sqrt(np.square(u.contributions @ u.loadings[0]).sum()) == pytest.approx(effect.std_error, rel=1e-10)
    centre = effect.estimate - effect.bias[0]
    assert (effect.conf_low + effect.conf_high) / 2 == pytest.approx(centre, rel=1e-12)
    left, right = effect.parameters.estimates
    assert right - left == pytest.approx(centre, rel=1e-12)
    with pytest.warns(StandardErrorWarning, match="are zero"):
        same = effect.difference(rdd(frame.sample(frac=1, random_state=1), vce="hc1"))
    assert same.table["std_error"].iloc[0] < 1e-7
    assert "robust bias-corrected" in effect.std_error_method


def test_differences_of_fits_and_clusters_afterwards():
    frame = make().set_index(pd.Index(np.arange(800) * 3, name="unit"))
    narrow, wide = rdd(frame, bandwidth=0.2), rdd(frame, bandwidth=0.4)
    gap = narrow.difference(wide)
    assert 0 < gap.table["std_error"].iloc[0] < narrow.std_error + wide.std_error
    by = rdd(frame, vce="hc0").cluster(frame["group"])
    assert by.std_error == pytest.approx(rdd(frame, cluster="group").std_error, rel=0.1)
    kept = rdd(frame, cluster="group")
    assert kept.cluster("group").std_error == pytest.approx(kept.std_error, rel=0.1)


def test_covariates_sharpen():
    frame = make()
    assert rdd(frame, covariates=["z1", "z2"]).std_error < 0.8 * rdd(frame).std_error


def test_collinear_and_constant_covariates_change_nothing():
    frame = make().assign(z3=lambda f: 2 * f["z1"] - f["z2"] + 1, one=1.0)
    plain, more = rdd(frame, covariates=["z1", "z2"]), rdd(frame, covariates=["z1", "z2", "z3", "one"])
    assert more.estimate == pytest.approx(plain.estimate, rel=1e-7)
    assert any("constant" in text for text in more.warnings)


def test_donut_and_zero_weights_are_left_out_and_counted():
    frame = make()
    effect = rdd(frame, donut=0.05)
    near = frame["x"].abs() < 0.05
    assert effect.facts["n_left_out"] == near.sum()
    assert effect.estimate == pytest.approx(rdd(frame[~near]).estimate, rel=1e-12)
    zero = rdd(frame, sample_weight=np.where(near, 0.0, 1.0))
    assert zero.estimate == pytest.approx(effect.estimate, rel=1e-12)


def test_repeating_rows_is_weighting_for_the_estimate():
    frame = make(n=300)
    twice = pd.concat([frame, frame[frame["group"] < 20]], ignore_index=True)
    w = np.where(frame["group"] < 20, 2.0, 1.0)
    a, b = rdd(twice, bandwidth=0.3), rdd(frame, bandwidth=0.3, sample_weight=w)
    assert a.estimate == pytest.approx(b.estimate, rel=1e-10)


# -- invariances -------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    shift=st.floats(-1e4, 1e4),
    scale=st.floats(0.01, 100),
    bandwidth=st.sampled_from(["mserd", "certwo", 0.4]),
)
def test_units_order_and_labels_change_nothing(seed, shift, scale, bandwidth):
    frame = make(n=400, seed=seed)
    base = rdd(frame, bandwidth=bandwidth).table.iloc[0]
    other = frame.assign(y=shift + scale * frame["y"]).sample(frac=1, random_state=seed)
    other.index = [f"r{i}" for i in range(len(other))]
    moved = rdd(other, bandwidth=bandwidth).table.iloc[0]
    tolerance = 1e-6 + 1e-9 * abs(shift) / scale
    np.testing.assert_allclose(
        moved[["estimate", "std_error"]] / scale, base[["estimate", "std_error"]], rtol=tolerance
    )


@pytest.mark.parametrize("dtype", ["float32", "Float64", "Int64", "int8"])
def test_dtypes_give_the_same_numbers(dtype):
    frame = make(grid=64)
    frame["x"] = frame["x"] * 64
    cast = frame.assign(x=frame["x"].astype(dtype))
    assert rdd(cast).estimate == pytest.approx(rdd(frame).estimate, rel=1e-10)


def test_mirror_image():
    """Turning the running variable around changes the sign of the jump (no row lies at the cutoff)."""
    frame = make()
    turned = rdd(frame.assign(x=-frame["x"]))
    assert turned.estimate == pytest.approx(-rdd(frame).estimate, rel=1e-9)
    assert turned.std_error == pytest.approx(rdd(frame).std_error, rel=1e-9)


# -- dates and several cutoffs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", [None, "Europe/Vienna"])
def test_dates_are_read_in_days(zone):
    frame = make(grid=64)
    days = pd.Timestamp("2020-01-01", tz=zone) + pd.to_timedelta(frame["x"] * 64, unit="D")
    effect = rdd(frame.assign(x=days), cutoff="2020-01-01")
    number = rdd(frame.assign(x=frame["x"] * 64))
    assert effect.estimate == pytest.approx(number.estimate, rel=1e-8)
    assert effect.facts["h_left"] == pytest.approx(number.facts["h_left"], rel=1e-8)
    assert any("in days from 2020-01-01" in text for text in effect.warnings)
    with pytest.raises(CausalArgumentError, match="x holds dates, so cutoff must be one too"):
        rdd(frame.assign(x=days))


def test_several_cutoffs_pooled_and_by_cutoff():
    a, b = make(seed=1), make(seed=2)
    frame = pd.concat([a.assign(threshold=0.0), b.assign(x=b["x"] + 5, threshold=5.0)], ignore_index=True)
    pooled = rdd(frame, cutoff="threshold")
    normalised = rdd(frame.assign(x=frame["x"] - frame["threshold"]))
    assert pooled.estimate == pytest.approx(normalised.estimate, rel=1e-9)
    each = rdd(frame, cutoff="threshold", by_cutoff=True)
    assert each.estimates.tolist() == pytest.approx([rdd(a).estimate, rdd(b).estimate], rel=1e-7)
    np.testing.assert_allclose(each.vcov.to_numpy()[0, 1], 0, atol=1e-12)
    average = each.aggregate("pooled")
    assert min(each.estimates) <= average.estimate <= max(each.estimates)
    assert average.bias is not None
    assert len(each.diagnostics["inference"].table) == 6
    with pytest.raises(CausalArgumentError, match="by_cutoff=True needs cutoffs="):
        rdd(frame, by_cutoff=True)


# -- bad input ---------------------------------------------------------------------------------------------------------

GOOD = make(n=300, seed=5)
BAD = [
    (
        {"cutoff": 7},
        None,
        r"x: all rows are on one side .*300 left, 0 right; it runs from .*in 300 rows; give a cutoff=",
    ),
    ({"cutoff": -7}, None, r"x: all rows are on one side .*0 left, 300 right"),
    ({}, {"x": GOOD["x"].abs() + 0.1}, "x: all rows are on one side"),
    ({"bandwidth": 0.001}, None, r"within 0.001 left of the cutoff .*the smallest workable bandwidth there is 0\.0\d+"),
    ({}, {"x": (np.arange(300) % 5) - 2.0}, r"x: has 5 distinct values \(2 left, 3 right.*LocalRandomization"),
    (
        {"treatment": "coin"},
        {"coin": np.arange(300) % 2},
        "coin: the treatment does not jump at the cutoff .*rows; without a",
    ),
    ({}, {"x": GOOD["x"].mask(GOOD.index < 4)}, r"x: running is missing \(NaN\) in 4 rows; .*missing='drop'"),
    ({}, {"y": GOOD["y"].mask(GOOD.index < 3)}, r"y: outcome is missing \(NaN\) in 3 rows"),
    ({}, {"x": GOOD["x"].where(GOOD.index > 1, np.inf)}, r"x: running is infinite \(inf\) in 2 rows"),
    ({}, {"x": GOOD["x"].astype(str)}, "x: running is not numeric"),
    ({}, {"x": 1.0}, "x"),
    ({"covariates": ["z1"]}, {"z1": GOOD["z1"].mask(GOOD.index < 7)}, r"z1: covariate is missing \(NaN\).*in 7 rows"),
    (
        {"covariates": ["copy"]},
        {"copy": 3 * GOOD["x"] + 1},
        r"copy: covariate equals the running \(x\), possibly rescaled",
    ),
    ({"treatment": "took"}, {"took": np.resize(["a", "b", "c"], 300)}, "took: treatment has 3 labels"),
    ({"treatment": "took"}, {"took": 1.0}, "took"),
]


@pytest.mark.parametrize(("setting", "columns", "message"), BAD)
def test_bad_data_gets_one_clear_error(setting, columns, message):
    frame = GOOD.assign(**(columns or {}))
    before = frame.copy()
    with pytest.raises(CausalDataError, match=message):
        rdd(frame, **setting)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"kernel": "gaussian"}, "kernel='gaussian' is not known"),
        ({"bandwidth": "ik"}, "bandwidth='ik' is not known.*mserd"),
        ({"bandwidth": -1}, "bandwidth must be a positive number"),
        ({"bandwidth": (1, 2, 3)}, "bandwidth must be a positive number, or two"),
        ({"vce": "hc9"}, "vce='hc9' is not known"),
        ({"order": 2, "bias_order": 2}, "order < bias_order"),
        ({"derivative": 2}, "derivative <= order"),
        ({"order": 1.5}, "whole numbers"),
        ({"donut": -1}, "donut must be a distance"),
        ({"mass_points": "yes"}, "mass_points='yes' is not known"),
        ({"missing": "ignore"}, "missing='ignore' is not known"),
        ({"cutoff": "zero"}, "cutoff must be a number"),
        ({"level": 95}, "level must be a number between 0 and 1"),
    ],
)
def test_wrong_settings_are_answered_with_the_legal_ones(setting, message):
    with pytest.raises(CausalArgumentError, match=message):
        rdd(GOOD, **setting)


def test_smallest_workable_bandwidth_works():
    with pytest.raises(CausalDataError) as error:
        rdd(GOOD, bandwidth=(0.5, 0.001))
    least = float(str(error.value).split("there is ")[1].split(",")[0])
    assert np.isfinite(rdd(GOOD, bandwidth=(0.5, least * 1.01), bias_bandwidth=0.5, vce="hc0").estimate)


def test_missing_drop_drops_rows_and_counts_them():
    frame = GOOD.assign(x=GOOD["x"].mask(GOOD.index < 4), z1=GOOD["z1"].mask(GOOD.index > 297))
    effect = rdd(frame, covariates=["z1"], missing="drop")
    assert effect.facts["n_dropped"] == 6
    assert effect.n_obs == 294


def test_weak_jump_of_the_treatment_is_warned_of():
    rng = np.random.default_rng(0)
    frame = make(n=500, seed=4).assign(weak=lambda f: (rng.random(500) < 0.3 + 0.35 * (f["x"] >= 0)).astype(int))
    with pytest.warns(AssumptionWarning, match="jumps weakly at the cutoff"):
        effect = rdd(frame, treatment="weak", bandwidth=0.6)
    assert effect.diagnostics["first_stage"].passed is False


def test_treatment_in_words_is_the_treatment_in_numbers():
    frame = make()
    words = frame.assign(took=np.where(frame["took"] == 1, "yes", "no"))
    assert rdd(words, treatment="took").estimate == rdd(frame, treatment="took").estimate


# -- scikit-learn's manners --------------------------------------------------------------------------------------------


def test_clone_pickle_names_and_arrays():
    frame = make()
    model = RegressionDiscontinuity(kernel="uniform")
    fit = clone(model).fit(frame[["z1", "z2", "x"]], frame["y"], running="x")
    assert clone(fit).get_params() == model.get_params()
    assert fit.covariates_ == ["z1", "z2"]
    assert fit.feature_names_in_.tolist() == ["z1", "z2", "x"]
    again = pickle.loads(pickle.dumps(fit)).effect()
    by_array = clone(model).fit(frame[["z1", "z2"]].to_numpy(), frame["y"].to_numpy(), running=frame["x"].to_numpy())
    assert again.estimate == fit.effect().estimate == pytest.approx(by_array.effect().estimate, rel=1e-12)
    assert fit.bandwidths_.shape == (1, 4)
    assert RegressionDiscontinuity in pandas_causal.all_estimators()


def test_refusals():
    frame = make()
    fit = RegressionDiscontinuity().fit(frame[["x"]], frame["y"], running="x")
    with pytest.raises(CausalArgumentError, match="estimates an average"):
        fit.effect(frame)
    with pytest.raises(CausalArgumentError, match="needs running="):
        RegressionDiscontinuity().fit(frame[["x"]], frame["y"])
    with pytest.raises(CausalError, match="bootstrap of the rows is not valid"):
        pandas_causal.bootstrap(RegressionDiscontinuity(), frame[["x"]], frame["y"], running="x", n_draws=3)


def test_fit_through_the_accessor():
    frame = make()
    effect = frame.causal.fit(RegressionDiscontinuity(order=2), outcome="y", running="x", covariates=["z1"])
    assert effect.estimate == pytest.approx(rdd(frame, order=2, covariates=["z1"]).estimate)


def test_an_outcome_without_noise_is_answered_or_explained():
    x = np.linspace(-1, 1, 201)
    assert rdd(pd.DataFrame({"x": x, "y": 1 + x})).estimate == pytest.approx(0, abs=1e-9)
    with pytest.warns(StandardErrorWarning, match="standard errors are zero"):
        effect = rdd(pd.DataFrame({"x": x, "y": (x >= 0).astype(float)}))
    assert effect.estimate == pytest.approx(1, abs=1e-9)


# -- covariates that adjust nothing ------------------------------------------------------------------------------------


def jump_of_two(n=3_000):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, n)
    right = (x >= 0).astype(float)
    took = (rng.random(n) < 0.2 + 0.6 * right).astype(float)
    frame = pd.DataFrame({"x": x, "D": right, "took": took, "c": rng.normal(size=n)})
    return frame.assign(y=x + 2 * right + 0.3 * frame["c"] + rng.normal(size=n) * 0.5)


@pytest.mark.parametrize("scale", [1.0, -3.0])
@pytest.mark.parametrize("fuzzy", [False, True])
def test_a_covariate_that_equals_the_side_is_refused(fuzzy, scale):
    frame = jump_of_two().assign(D=lambda d: scale * d["D"] + 7)
    received = {"treatment": "took"} if fuzzy else {}
    with pytest.raises(CausalDataError, match="D: covariate equals the side of the cutoff"):
        frame.causal.rdd(outcome="y", running="x", covariates=["c", "D"], **received)


@pytest.mark.parametrize("fuzzy", [False, True])
@pytest.mark.parametrize("extra", ["copied", "bent", "far", "jumping copy"])
def test_covariates_without_variation_of_their_own_are_left_out_and_said(extra, fuzzy):
    frame = jump_of_two()
    frame["copied"] = 2 * frame["c"] - 1
    frame["bent"] = np.where(frame["x"] >= 0, frame["x"], 3 * frame["x"] + 5)  # a line on each side
    frame["far"] = (frame["x"].abs() > 0.97).astype(float)  # constant within the bandwidth
    frame["jumping copy"] = frame["c"] + frame["D"]
    question = {"outcome": "y", "running": "x", "bandwidth": 0.5} | ({"treatment": "took"} if fuzzy else {})
    alone = frame.causal.rdd(**question, covariates=["c"])
    both = frame.causal.rdd(**question, covariates=["c", extra])
    assert alone.warnings == ()
    assert both.estimate == pytest.approx(alone.estimate, rel=1e-8)
    assert both.std_error == pytest.approx(alone.std_error, rel=1e-8)
    assert "1 of 2 covariates were left out: within the bandwidth they do not vary" in both.warnings[0]
    assert both.warnings[0].endswith(f"({extra})")


@pytest.mark.parametrize(("vce", "cluster"), [("hc1", None), ("nn", "c")])
def test_as_many_coefficients_as_rows_leave_no_variance(vce, cluster):
    """It was a division by zero."""
    x = np.concatenate([[-0.3, -0.2, -0.1], np.linspace(0.1, 1, 40)])
    frame = pd.DataFrame({"x": x, "y": np.sin(9 * x), "c": np.arange(43) % 4})
    with pytest.raises(CausalDataError, match="3 rows on one side of the cutoff carry 3 coefficients, so no variance"):
        rdd(frame, vce=vce, cluster=cluster, bandwidth=2.0)


def test_a_treatment_of_lists_is_refused():
    frame = make().assign(d=lambda f: [[v] for v in f["x"]])
    with pytest.raises(CausalDataError, match="d: treatment is not numeric"):
        rdd(frame, treatment="d")


def test_a_donut_that_leaves_no_row_is_refused():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.uniform(-1, 1, 100) * 1e-9, "y": rng.normal(size=100)})
    with pytest.raises(CausalDataError, match="all rows are on one side .*0 left, 0 right"):
        frame.causal.rdd(outcome="y", running="x", cutoff=0.0, donut=0.1)
