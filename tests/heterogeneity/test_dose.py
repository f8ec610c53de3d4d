"""Dose and response: pieces by hand, curve and derivative beside the truth, bad input."""

import pickle

import numpy as np
import pytest
from scipy.integrate import trapezoid

from pandas_causal import DoseResponse
from pandas_causal.errors import CausalArgumentError, CausalDataError, OverlapError, StandardErrorWarning
from pandas_causal.heterogeneity.dose import residual_density
from tests.heterogeneity.designs import COVARIATES, dosed

FRAME = dosed(800)
POINTS = np.linspace(-1.5, 1.5, 7)
RIDGE = {"outcome_model": "ridge", "treatment_model": "ridge"}


def fit(frame=FRAME, roles=None, **settings):
    model = DoseResponse(**{**RIDGE, "points": POINTS, **settings})
    return model.fit(
        frame[[*COVARIATES, "price", *(roles or {}).values()]], frame["y"], treatment="price", **(roles or {})
    )


def test_density_of_residuals():
    u = np.random.default_rng(0).normal(size=5_000)
    at = np.array([-2.0, 0.0, 1.0, 50.0])
    normal = np.exp(-0.5 * at**2) / np.sqrt(2 * np.pi)
    assert residual_density(u, at) == pytest.approx(normal, abs=0.04)
    grid = np.linspace(-6, 6, 2_001)
    assert trapezoid(residual_density(u, grid), grid) == pytest.approx(1.0, abs=1e-3)


def test_the_curve_and_its_derivative():
    model = fit()
    effect = model.effect()
    assert effect.table.index.tolist() == POINTS.tolist()
    assert effect.table.index.name == "price"
    assert (np.abs(effect.estimates - POINTS) < 4 * effect.table["std_error"]).all()  # E[Y(a)] = a
    slope = model.derivative()
    assert (np.abs(slope.estimates - 1) < 4 * slope.table["std_error"]).all()
    band = effect.interval(simultaneous=True)
    assert (band["conf_low"] < effect.table["conf_low"]).all()
    assert (band["conf_high"] > effect.table["conf_high"]).all()
    gap = effect.linear([[-1, 0, 0, 0, 0, 0, 1]])
    assert abs(gap.estimate - 3) < 4 * gap.std_error
    assert pickle.loads(pickle.dumps(effect)).table.equals(effect.table)
    assert set(effect.diagnostics) == {"density", "nuisance"}
    assert effect.diagnostics["density"].table["n"].sum() == 800
    assert effect.diagnostics["nuisance"].table.index.tolist() == ["outcome", "price"]
    with pytest.raises(CausalArgumentError, match="has no effect for every row"):
        model.effect(FRAME)


def test_a_confounded_curve_is_unconfounded():
    naive = DoseResponse(**RIDGE, points=POINTS).fit(FRAME[["c", "price"]], FRAME["y"] + 2 * FRAME["a"],
                                                     treatment="price")  # fmt: skip
    assert np.abs(naive.effect().estimates.iloc[0] - POINTS[0]) > 6 * naive.effect().table["std_error"].iloc[0]
    adjusted = DoseResponse(**RIDGE, points=POINTS).fit(
        FRAME[[*COVARIATES, "price"]], FRAME["y"] + 2 * FRAME["a"], treatment="price"
    )
    error = adjusted.effect().estimates - POINTS
    assert (np.abs(error) < 4 * adjusted.effect().table["std_error"]).all()


def test_clusters_weights_and_defaults():
    frame = FRAME.assign(site=np.arange(800) // 8, w=1.0 + np.arange(800) % 2)
    clustered = fit(frame, roles={"cluster": "site"})
    assert "clustered by site" in clustered.effect().std_error_method
    assert clustered.derivative().std_error_method == clustered.effect().std_error_method
    weighted = fit(frame, roles={"sample_weight": "w"}).effect()
    assert not np.allclose(weighted.estimates, fit().effect().estimates)
    effect = FRAME.causal.dose(treatment="price", outcome="y", covariates=COVARIATES, **RIDGE, level=0.9)
    assert len(effect) == 40
    assert effect.level == 0.9
    narrow = fit(bandwidth=0.5)
    assert narrow.bandwidth_ == 0.5
    assert narrow.effect().table["std_error"].mean() > fit(bandwidth=1.0).effect().table["std_error"].mean()


def test_bad_input():
    for settings, message in (
        ({"points": ["low"]}, "points must be a list of doses"),
        ({"points": [99.0]}, "points must lie within the doses received"),
        ({"bandwidth": 0}, "bandwidth must be 'rule' or a number above 0"),
        ({"bandwidth": "cv"}, "bandwidth must be 'rule' or a number above 0"),
        ({"clip": 1.0}, r"\[0, 1\)"),
    ):
        with pytest.raises(CausalArgumentError, match=message):
            fit(**settings)
    with pytest.raises(OverlapError, match="no dose of the curve has enough rows"):
        fit(bandwidth=1e-6)
    with pytest.raises(CausalDataError, match="price: has 5 values, too few for a curve"):
        fit(FRAME.assign(price=np.arange(800) % 5))
    with pytest.raises(CausalDataError, match="explained exactly|equals the treatment"):
        fit(FRAME.assign(price=FRAME["a"] + FRAME["b"]), treatment_model="linear")
    with pytest.raises(CausalArgumentError, match="of one treatment, and 2 were given"):
        DoseResponse(**RIDGE).fit(FRAME[[*COVARIATES, "price"]], FRAME["y"], treatment=["price", "c"])
    with pytest.raises(CausalArgumentError, match=r"covariates=\[\] says none"):
        FRAME.causal.dose(treatment="price", outcome="y")


def test_the_picture():
    import matplotlib as mpl

    mpl.use("Agg")
    effect = fit().effect()
    ax = effect.plot()
    assert ax.lines[0].get_ydata() == pytest.approx(effect.estimates.to_numpy())
    assert len(ax.collections) == 2


def test_few_rows_near_a_dose_are_named():
    with pytest.warns(StandardErrorWarning, match=r"doses of the curve have fewer than 20 rows within the bandwidth"):
        effect = fit(dosed(24), points=[0.0, 0.5]).effect()
    assert "intervals there are too narrow" in " ".join(effect.warnings)
    assert not fit().effect().warnings


def test_what_would_tip_a_mean_must_be_said():
    effect = fit(points=[-0.5, 0.5]).effect()
    with pytest.raises(CausalArgumentError, match="means of the outcome, which no confounder takes to 0"):
        effect.sensitivity("tipping_point")
    low, high = effect.table["estimate"]
    found = effect.sensitivity("tipping_point", null=low, differences=[1.0]).table["tips_estimate"]
    assert found.to_numpy() == pytest.approx([0.0, high - low])
