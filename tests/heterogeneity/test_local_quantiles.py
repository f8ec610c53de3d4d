"""Quantile effects of compliers: pieces by hand, the truth, DoubleML beside them, bad input."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor

from pandas_causal import LocalQuantileEffects
from pandas_causal.errors import CausalArgumentError, CausalDataError, WeakInstrumentWarning
from pandas_causal.heterogeneity.local_quantiles import signed_density, signed_quantile

QUANTILES = [0.25, 0.5, 0.75]
MODELS = {"outcome_model": "ridge", "treatment_model": "ridge", "instrument_model": "ridge"}


def encouraged(n=3_000, seed=0):
    """Six tenths comply with an instrument that moves with a; a hidden cause raises outcome, effect and take-up."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    frame["z"] = (rng.random(n) < 1 / (1 + np.exp(-0.5 * frame["a"]))).astype(int)
    hidden, frame["complies"] = rng.normal(size=n), rng.random(n) < 0.6
    frame["d"] = np.where(frame["complies"], frame["z"], (hidden > 0).astype(int))
    frame["without"] = frame["a"] + hidden + 0.5 * rng.normal(size=n)
    frame["y"] = frame["without"] + (1 + 0.5 * hidden) * frame["d"]
    frame["treated"] = frame["without"] + 1 + 0.5 * hidden
    return frame


FRAME = encouraged()


def truth():
    moved = encouraged(300_000, 1).query("complies")
    return np.quantile(moved["treated"], QUANTILES) - np.quantile(moved["without"], QUANTILES)


def fit(frame=FRAME, roles=None, **settings):
    model = LocalQuantileEffects(**{**MODELS, "quantiles": QUANTILES, **settings})
    X = frame[["a", "b", "d", "z", *(roles or {}).values()]]
    return model.fit(X, frame["y"], treatment="d", instrument="z", **(roles or {}))


def test_quantiles_of_signed_weights_by_hand():
    y, weights = np.array([3.0, 1, 2, 4, 2]), np.array([-0.5, 1, 0.5, 1, 0.5])
    # cumulated by value: 1, 2, 1.5, 2.5; their running maximum: 1, 2, 2, 2.5
    assert signed_quantile(y, weights, 1.0) == 1
    assert signed_quantile(y, weights, 1.2) == 2
    assert signed_quantile(y, weights, 2.0) == 2
    assert signed_quantile(y, weights, 2.2) == 4
    assert signed_quantile(y, weights, 99.0) == 4
    assert signed_density(np.zeros(5), np.ones(5), 0.0) == np.inf


def test_without_covariates_it_is_the_difference_of_instrument_arms():
    frame = FRAME.assign(d=lambda f: np.where(f["z"] == 0, 0, f["d"]))  # nobody is treated without the offer
    constant = DummyClassifier(strategy="prior")
    model = fit(frame, outcome_model=DummyRegressor(), treatment_model=DummyRegressor(), instrument_model=constant,
                quantiles=[0.5])  # fmt: skip
    z, d, y = (frame[c].to_numpy() for c in "zdy")
    share = d[z == 1].mean()
    treated = np.median(y[(z == 1) & (d == 1)])
    # untreated compliers: all without the offer, less the never-takers with it
    grid = np.sort(y)
    below = np.array([(y[z == 0] <= v).mean() - ((y <= v) & (d == 0))[z == 1].mean() for v in grid])
    untreated = grid[np.flatnonzero(np.maximum.accumulate(below) >= 0.5 * share - 1e-12)[0]]
    levels = model.effect().parameters.table["estimate"].to_numpy()
    assert levels == pytest.approx([untreated, treated], abs=0.02)
    assert model.effect().estimate == pytest.approx(levels[1] - levels[0])


def test_it_finds_what_comparing_treated_and_untreated_does_not():
    effect = fit().effect()
    table = effect.table
    assert (np.abs(table["estimate"] - truth()) < 3 * table["std_error"]).all()
    naive = FRAME.causal.quantiles(treatment="d", outcome="y", covariates=["a", "b"], quantiles=QUANTILES,
                                   propensity_model="ridge").table  # fmt: skip
    assert (np.abs(naive["estimate"] - truth()) > 5 * naive["std_error"]).all()
    asked = FRAME.causal.quantiles(treatment="d", outcome="y", covariates=["a", "b"], quantiles=QUANTILES,
                                   propensity_model="ridge", instrument="z", outcome_model="ridge")  # fmt: skip
    assert asked.table["estimate"].to_numpy() == pytest.approx(table["estimate"].to_numpy())
    assert "among those whom z moves" in effect.estimand
    assert effect.diagnostics["first_stage"].table["estimate"].iloc[0] == pytest.approx(0.6, abs=0.05)
    assert effect.interval(simultaneous=True)["conf_low"].lt(table["conf_low"]).all()
    assert "treatment | instrument 1" in effect.diagnostics["nuisance"].table.index
    pickle.loads(pickle.dumps(effect)).summary()


def test_an_instrument_that_lowers_treatment_and_an_affine_outcome():
    turned = fit(FRAME.assign(z=1 - FRAME["z"]), cv=3).effect().table
    plain = fit(cv=3).effect().table
    assert turned["estimate"].to_numpy() == pytest.approx(plain["estimate"].to_numpy(), abs=0.05)
    scaled = fit(FRAME.assign(y=10 - 2 * FRAME["y"]), cv=3).effect().table
    assert scaled["estimate"].to_numpy() == pytest.approx(-2 * plain["estimate"].to_numpy()[::-1], abs=0.1)


def test_weights_and_clusters():
    frame = FRAME.assign(w=1.0 + np.arange(len(FRAME)) % 2, site=np.arange(len(FRAME)) // 10)
    effect = fit(frame, {"cluster": "site", "sample_weight": "w"}).effect()
    assert "clustered by site" in effect.std_error_method
    assert (effect.table["std_error"] > 0).all()


def test_bad_input():
    with pytest.raises(CausalArgumentError, match="needs instrument="):
        LocalQuantileEffects().fit(FRAME[["a", "d"]], FRAME["y"], treatment="d")
    with pytest.raises(CausalDataError, match="z: has 3 levels, and LocalQuantileEffects takes two"):
        fit(FRAME.assign(z=np.arange(len(FRAME)) % 3))
    with pytest.raises(CausalDataError, match="y: has 2 values, so that its quantiles jump"):
        fit(FRAME.assign(y=FRAME["d"] * FRAME["z"]))
    with pytest.raises(CausalArgumentError, match="quantiles must be different numbers between 0 and 1"):
        fit(quantiles=[0.5, 1.5])
    with pytest.warns(WeakInstrumentWarning, match="F .*, under 10"):
        fit(FRAME.assign(z=np.random.default_rng(0).integers(2, size=len(FRAME))))
    with pytest.raises(CausalArgumentError, match="leave out estimand= and propensity="):
        FRAME.causal.quantiles(treatment="d", outcome="y", covariates=["a"], instrument="z", estimand="ATT")


@pytest.mark.published
@pytest.mark.filterwarnings("ignore")
def test_doubleml_local_quantiles():
    dml = pytest.importorskip("doubleml")
    from sklearn.linear_model import LogisticRegression

    frame = encouraged(4_000, 3)
    data = dml.DoubleMLData(frame[["a", "b", "y", "d", "z"]].astype(float), "y", "d", z_cols="z")
    logit = LogisticRegression()
    peer = dml.DoubleMLQTE(data, logit, logit, quantiles=QUANTILES, score="LPQ", n_folds=5)
    peer.fit()
    ours = fit(frame).effect().table
    assert np.abs(ours["estimate"] - peer.coef).max() < 0.5 * ours["std_error"].max()  # other folds, nested there
    assert ours["std_error"].to_numpy() == pytest.approx(peer.se, rel=0.2)
