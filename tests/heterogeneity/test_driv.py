"""DRIV: scores by hand, double robustness, effects that are not linear, EconML beside it, bad input."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from pandas_causal import DRIV, OrthoIV
from pandas_causal.errors import CausalArgumentError, CausalDataError, NotIdentifiedError
from pandas_causal.heterogeneity.driv import bounded_compliance, moved_scores

MODELS = dict.fromkeys(("outcome_model", "treatment_model", "instrument_model", "compliance_model"), "linear")


def offered(n=4_000, seed=0, effect=lambda a: 1 + a):
    """A randomised offer that 30% to 90% take up, the more the larger b; a hidden cause of take-up and outcome."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.uniform(-1, 1, size=(n, 2)), columns=["a", "b"])
    frame["z"] = (rng.random(n) < 0.5).astype(int)
    hidden = rng.normal(size=n)
    complies = rng.random(n) < 0.6 + 0.3 * frame["b"]
    frame["d"] = np.where(complies, frame["z"], (hidden > 0.3).astype(int))
    frame["effect"] = effect(frame["a"])
    frame["y"] = frame["d"] * frame["effect"] + frame["b"] + hidden + 0.5 * rng.normal(size=n)
    return frame


FRAME = offered()


def fit(frame=FRAME, cls=DRIV, roles=None, **settings):
    known = {k: v for k, v in MODELS.items() if k in cls().get_params()}
    X = frame[["a", "b", "d", "z", *(roles or {}).values()]]
    return cls(**{**known, **settings}).fit(X, frame["y"], treatment="d", instrument="z", **(roles or {}))


def test_scores_by_hand():
    one = np.array([2.0]), np.array([0.5]), np.array([-0.4]), np.array([0.2]), np.array([1.0])
    assert moved_scores(*one) == pytest.approx([1 + (2 - 0.5) * -0.4 / 0.2])
    found, n = bounded_compliance(np.array([1.0, 2.0, 0.01, -1.0]), 0.1)
    assert (found.tolist(), n) == (pytest.approx([1.0, 2.0, 0.05025, 0.05025]), 2)
    found, n = bounded_compliance(-np.array([1.0, 2.0, 0.01, -1.0]), 0.1)
    assert (found.tolist(), n) == (pytest.approx([-1.0, -2.0, -0.05025, -0.05025]), 2)


def test_scores_are_right_if_the_first_estimate_or_the_compliance_is():
    rng = np.random.default_rng(0)
    x, z = rng.uniform(size=200_000), rng.normal(size=200_000)
    beta, tau = 0.5 + x, 1 + x
    d = beta * z + rng.normal(size=len(x))
    y = tau * d + rng.normal(size=len(x))
    top = x > 0.5
    for compliance, first in ((beta, np.zeros_like(x)), (np.full_like(x, 2.0), tau)):
        assert moved_scores(y, d, z, compliance, first)[top].mean() == pytest.approx(1.75, abs=0.05)
    assert abs(moved_scores(y, d, z, np.full_like(x, 2.0), 0 * x)[top].mean() - 1.75) > 0.5


def test_it_is_the_projection_of_its_scores_and_near_the_truth():
    model = fit()
    X = np.column_stack([np.ones(len(FRAME)), FRAME[["a", "b"]] - FRAME[["a", "b"]].mean()])
    beta = np.linalg.lstsq(X, model.scores_, rcond=None)[0]
    assert model.coefficients_.estimates.to_numpy() == pytest.approx(beta, rel=1e-8)
    assert model.effect().estimate == pytest.approx(model.scores_.mean())
    assert model.effect().std_error == pytest.approx(model.scores_.std() / np.sqrt(len(FRAME)), rel=1e-6)
    tau = model.effect(FRAME)
    off = (tau.table["estimate"] - FRAME["effect"]) / tau.table["std_error"]
    assert np.abs(off).max() < 4
    assert tau.aggregate().std_error == pytest.approx(model.effect().std_error, rel=0.01)
    assert model.effect().diagnostics["compliance"].passed
    assert model.predict(FRAME) == pytest.approx(tau.table["estimate"].to_numpy())


def test_effects_need_not_be_linear():
    frame = offered(8_000, effect=lambda a: 2.0 * (a > 0))
    model = fit(frame, final_model="boosting")
    found = model.predict(frame)
    assert np.sqrt(np.mean(np.square(found - frame["effect"]))) < 0.6
    assert np.sqrt(np.mean(np.square(fit(frame, OrthoIV).predict(frame) - frame["effect"]))) > 0.4
    tau = model.effect(frame)
    assert tau.table["std_error"].isna().all()
    groups = tau.aggregate(by=np.where(frame["a"] > 0, "high", "low")).table
    assert (np.abs(groups["estimate"] - [2, 0]) < 4 * groups["std_error"]).all()


def test_weights_clusters_and_numbers():
    frame = FRAME.assign(
        w=1.0 + np.arange(len(FRAME)) % 2, site=np.arange(len(FRAME)) // 10, d=FRAME["d"] * 1.5 + FRAME["b"]
    )
    model = fit(frame, roles={"cluster": "site", "sample_weight": "w"})
    assert "clustered by site" in model.effect().std_error_method
    assert model.effect().table.index.tolist() == ["d"]
    assert (model.effect(frame).table["std_error"] > 0).all()
    doubled = pd.concat([FRAME, FRAME], ignore_index=True)
    assert abs(fit(doubled).effect().estimate - fit().effect().estimate) < fit().effect().std_error


def test_bad_input():
    with pytest.raises(CausalArgumentError, match="clip"):
        fit(clip=0)
    with pytest.raises(CausalArgumentError, match="compliance_model must be one of"):
        fit(compliance_model="forest")
    with pytest.raises(NotIdentifiedError, match="explain the instrument exactly"):
        fit(FRAME.assign(z=FRAME["a"] + FRAME["b"]))
    with pytest.raises(CausalArgumentError, match="DRIV takes one contrast of a treatment, and 2 were given"):
        fit(FRAME.assign(d=np.array(list("xyz"))[np.arange(len(FRAME)) % 3]))
    with pytest.raises(CausalArgumentError, match="no covariate"):
        fit(effect_modifiers=["c"])
    with pytest.raises(CausalDataError, match="X lacks the covariates"):
        fit().effect(FRAME[["a"]])


@pytest.mark.published
@pytest.mark.filterwarnings("ignore")
def test_econml_with_the_same_folds():
    econml = pytest.importorskip("econml.iv.dr")
    frame = FRAME.iloc[:2_000]
    folds = np.arange(len(frame)) % 3
    pairs = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(3)]
    line = LinearRegression()
    peer = econml.LinearDRIV(
        model_y_xw=line, model_t_xw=line, model_z_xw=line, model_tz_xw=line, flexible_model_effect=line,
        prel_cate_approach="dmliv", model_t_xwz=line, cv=pairs, cov_clip=1e-6,
    )  # fmt: skip
    X = frame[["a", "b"]].to_numpy()
    y, d, z = (frame[c].to_numpy(dtype=float) for c in ("y", "d", "z"))
    peer.fit(y, d, Z=z, X=X, cache_values=True)
    first, y_rest, d_rest, z_rest, compliance = (np.ravel(part) for part in peer._cached_values.nuisances)
    number = frame.assign(d=frame["d"] * 1.0)
    ours = fit(number, cv=pairs, clip=1e-6)
    assert ours.compliance_ == pytest.approx(compliance, rel=1e-6)
    # their first estimate is another one, from models of the rows themselves; with it the scores are theirs
    scores = moved_scores(y_rest, d_rest, z_rest, ours.compliance_, first)
    design = np.column_stack([np.ones(len(X)), X])
    theirs = design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    assert peer.effect(X) == pytest.approx(theirs, rel=1e-6)
    found = ours.effect(frame).table
    assert np.abs(found["estimate"] - theirs).max() < 0.3 * found["std_error"].mean()
    assert found["std_error"].to_numpy() == pytest.approx(peer.effect_inference(X).stderr, rel=0.15)
