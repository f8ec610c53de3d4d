"""The checks of a discontinuity: what each finds where there is something, and nothing where there is nothing."""

import contextlib
import io
import warnings

import numpy as np
import pandas as pd
import pytest

import pandas_causal  # noqa: F401 - registers df.causal
from pandas_causal.discontinuity.binned_means import BIN_RULES, binned_means, global_polynomial, number_of_bins
from pandas_causal.discontinuity.checks import placebo_cutoff_table
from pandas_causal.discontinuity.density import density_bandwidths, density_curve, density_test, mccrary
from pandas_causal.errors import CausalArgumentError, CausalDataError
from tests.discontinuity.designs import make, senate


@pytest.fixture(scope="module")
def effect():
    return make().causal.rdd(running="x", outcome="y", covariates=["z1", "z2"])


def test_every_check_is_there_and_computed(effect):
    names = ["inference", "bandwidths", "mass_points", "density", "placebo_cutoffs", "bandwidth_sensitivity", "donut"]
    assert [*names, "power", "covariates", "bins", "local_fit", "polynomial", "density_curve"] == list(
        effect.diagnostics
    )
    for check in effect.diagnostics.values():
        assert len(check.table), check.summary
        assert "could not be computed" not in check.summary


def test_inference_holds_the_three_rows(effect):
    table = effect.diagnostics["inference"].table
    assert table.index.tolist() == ["conventional", "bias-corrected", "robust"]
    assert table["estimate"].tolist() == pytest.approx([effect.estimate, *[effect.estimate - effect.bias[0]] * 2])
    assert table["std_error"].iloc[0] == table["std_error"].iloc[1] < table["std_error"].iloc[2]
    assert table.loc["robust", "p_value"] == pytest.approx(effect.p_value)


def test_a_covariate_that_jumps_is_found():
    frame = make().assign(jumps=lambda f: f["z1"] * 0.2 + (f["x"] >= 0))
    check = frame.causal.rdd(running="x", outcome="y", covariates=["jumps", "z2"]).diagnostics["covariates"]
    assert check.passed is False
    assert check.table["p_value"].idxmin() == "jumps"
    assert check.table.loc["jumps", "estimate"] == pytest.approx(1, abs=0.3)


def test_covariate_continuity_is_the_estimator_on_the_covariate(effect):
    alone = make().causal.rdd(running="x", outcome="z2")
    row = effect.diagnostics["covariates"].table.loc["z2"]
    assert [row["estimate"], row["std_error"]] == pytest.approx([alone.estimate - alone.bias[0], alone.std_error])


def test_placebo_cutoffs_use_one_side_and_find_a_second_jump():
    frame = make(n=2_000).assign(y=lambda f: f["y"] + 3 * (f["x"] >= -0.4))
    effect = frame.causal.rdd(running="x", outcome="y", bandwidth=0.3)
    check = placebo_cutoff_table(effect.estimator._parts[0], at=[-0.4, 0.3])
    assert check.passed is False
    assert check.table.index.tolist() == [-0.4, 0.3]
    assert check.table.loc[-0.4, "estimate"] == pytest.approx(3, abs=0.6)
    left = frame[frame["x"] < 0].causal.rdd(running="x", outcome="y", cutoff=-0.4)
    assert check.table.loc[-0.4, "estimate"] == pytest.approx(left.estimate - left.bias[0], rel=1e-9)


def test_sensitivity_repeats_the_estimate_at_ratio_one(effect):
    for name, at in (("bandwidth_sensitivity", 1.0), ("donut", 0.0)):
        row = effect.diagnostics[name].table.loc[at]
        assert [row["estimate"], row["conf_low"]] == pytest.approx([effect.estimate - effect.bias[0], effect.conf_low])


def test_power_is_half_near_two_errors(effect):
    table = effect.diagnostics["power"].table
    assert np.interp(1.96 * effect.std_error, table.index, table["power"]) == pytest.approx(0.5, abs=0.03)
    assert table["power"].is_monotonic_increasing


def test_mass_points_are_counted():
    frame = make(grid=20)
    check = frame.causal.rdd(running="x", outcome="y").diagnostics["mass_points"]
    assert check.passed is False
    assert check.table["distinct"].sum() == frame["x"].nunique()


@pytest.mark.parametrize("dose", [1.0, 2.5])
def test_a_perfect_first_stage_is_a_sharp_design(dose):
    """It printed F 7520794140873352121774494961369088.0."""
    frame = make(600)
    frame["side"] = 1.0 + dose * (frame["x"] >= 0)
    fuzzy = frame.causal.rdd(running="x", outcome="y", treatment="side", bandwidth=0.4)
    sharp = frame.causal.rdd(running="x", outcome="y", bandwidth=0.4)
    assert fuzzy.estimate == pytest.approx(sharp.estimate / dose)
    assert fuzzy.std_error == pytest.approx(sharp.std_error / dose)
    check = fuzzy.diagnostics["first_stage"]
    assert check.passed
    assert check.summary.endswith("the same for every row within the bandwidth: the design is sharp")
    assert check.table["std_error"].iloc[0] == 0
    assert "the design is sharp" in fuzzy.summary()
    frame.loc[frame["x"].abs().idxmin(), "side"] += 0.5  # one row that does otherwise
    once = frame.causal.rdd(running="x", outcome="y", treatment="side", bandwidth=0.4)
    assert "smallest F" in once.diagnostics["first_stage"].summary
    assert "sharp" not in once.summary()


def test_checks_of_a_fuzzy_design():
    effect = make().causal.rdd(running="x", outcome="y", treatment="took")
    stage = effect.diagnostics["first_stage"]
    assert stage.passed is True
    assert stage.table["estimate"].iloc[0] == pytest.approx(0.4, abs=0.25)
    assert effect.diagnostics["placebo_cutoffs"].table["estimate"].notna().any()


# -- density -----------------------------------------------------------------------------------------------------------


def test_density_finds_bunching_and_only_bunching():
    rng = np.random.default_rng(0)
    even = rng.normal(size=4_000)
    bunched = np.where((even < 0) & (even > -0.2) & (rng.random(4_000) < 0.5), -even, even)
    for method in ("cattaneo_jansson_ma", "mccrary"):
        assert density_test(even, method=method).passed is True
        assert density_test(bunched, method=method).passed is False
    assert density_test(bunched).table.loc["difference", "estimate"] > 0


def test_density_of_a_uniform():
    """0.5 on both sides; the standard error is that of many samples."""
    rng = np.random.default_rng(1)
    found = [density_test(rng.uniform(-1, 1, 1_000), bandwidth=0.5).table for _ in range(150)]
    for side in ("left", "right"):
        values = np.array([t.loc[side, "estimate"] for t in found])
        assert values.mean() == pytest.approx(0.5, abs=4 * values.std() / np.sqrt(150))
        assert np.mean([t.loc[side, "std_error"] for t in found]) / values.std() == pytest.approx(1, abs=0.25)


def test_density_does_not_depend_on_units():
    z = np.random.default_rng(2).normal(size=600)
    one, other = density_test(z).table, density_test(1e3 * z).table
    assert other["statistic"].iloc[2] == pytest.approx(one["statistic"].iloc[2], rel=1e-7)
    assert density_bandwidths(1e3 * z)["bandwidth"].tolist() == pytest.approx(
        (1e3 * density_bandwidths(z)["bandwidth"]).tolist(), rel=1e-7
    )


def test_density_curve_meets_the_truth():
    z = np.random.default_rng(3).uniform(-1, 1, 5_000)
    curve = density_curve(z, h=(0.5, 0.5))
    assert curve["z"].is_monotonic_increasing
    inside = (curve["conf_low"] <= 0.5) & (curve["conf_high"] >= 0.5)
    assert inside.mean() > 0.8


def test_density_refuses():
    z = np.random.default_rng(0).normal(size=100)
    with pytest.raises(CausalArgumentError, match="method='ks'"):
        density_test(z, method="ks")
    with pytest.raises(CausalDataError, match="rows on both sides of the cutoff: 0 left, 100 right"):
        density_test(np.abs(z))
    with pytest.raises(CausalDataError, match="fewer than two bins"):
        mccrary(z, bandwidth=1e-3)


# -- bins --------------------------------------------------------------------------------------------------------------


@pytest.mark.published
@pytest.mark.parametrize("rule", BIN_RULES)
@pytest.mark.parametrize("sample", ["senate", "normal", "grid"])
def test_bins_beside_rdplot(sample, rule):
    peer = pytest.importorskip("rdrobust", reason="rdrobust, the peer, is not installed")
    rng = np.random.default_rng(0)
    if sample == "senate":
        frame = senate()[["margin", "vote"]].dropna()
        x, y = frame["margin"].to_numpy(), frame["vote"].to_numpy()
    else:
        x = rng.normal(size=800) * 2
        x = np.round(x * 5) / 10 if sample == "grid" else x
        y = np.sin(x) + rng.normal(size=800) + (x > 0)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        other = peer.rdplot(y, x, binselect=rule, hide=True)
    table = binned_means(x, y, rule=rule).table
    sides = ((x[x < 0], y[x < 0]), (x[x >= 0], y[x >= 0]))
    assert [number_of_bins(*side, rule, n_all=len(x)) for side in sides] == list(other.J)
    np.testing.assert_allclose(np.sort(table["mean"]), np.sort(other.vars_bins["rdplot_mean_y"]), rtol=1e-9)
    assert table["n"].sum() == len(x)


def test_polynomial_and_given_bins():
    x = np.linspace(-1, 1, 201)
    y = 1 + x - 2 * x**3 + (x >= 0)
    curve = global_polynomial(x, y).table
    np.testing.assert_allclose(
        curve["fit"], 1 + curve["x"] - 2 * curve["x"] ** 3 + (curve["side"] == "right"), atol=1e-10
    )
    table = binned_means(x, y, bins=(4, 5)).table
    assert table.groupby("side").size().tolist() == [4, 5]
    assert isinstance(table, pd.DataFrame)
    with pytest.raises(CausalArgumentError, match="rule='fd' is not known"):
        number_of_bins(x, y, "fd")


def test_checks_of_nothing_do_not_pass():
    """Where no jump can be tested a check informs: it passed (bandwidths, donuts) or raised (covariates) before."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": np.concatenate([-rng.uniform(0, 1, 8), rng.uniform(0, 1, 8)])})
    frame["y"], frame["z"] = rng.normal(size=16), rng.normal(size=16)
    effect = frame.causal.rdd(running="x", outcome="y", covariates=["z"], bandwidth=2.0)
    part_checks = {name: effect.diagnostics[name] for name in ("bandwidth_sensitivity", "donut", "covariates")}
    assert all(isinstance(check.summary, str) for check in part_checks.values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pandas_causal.discontinuity.checks._bias_corrected", lambda *_, **__: [np.nan] * 8)
        effect = frame.causal.rdd(running="x", outcome="y", covariates=["z"], bandwidth=2.0)
        for name in ("bandwidth_sensitivity", "donut", "covariates", "placebo_cutoffs"):
            check = effect.diagnostics[name]
            assert check.passed is None
            assert "nan" not in check.summary
