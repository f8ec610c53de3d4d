"""OrthoIV: by hand, the truth beside least squares, bad input."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import LinearDML, OrthoIV
from pandas_causal.errors import CausalArgumentError, CausalDataError, NotIdentifiedError, WeakInstrumentWarning
from pandas_causal.heterogeneity.ortho_iv import instrumented_fit
from pandas_causal.heterogeneity.projection import EffectBasis
from pandas_causal.inference.influence import standard_error

MODELS = dict.fromkeys(("outcome_model", "treatment_model", "instrument_model"), "linear")


def moved(n=2_000, seed=0):
    """An unmeasured cause of treatment and outcome, and an instrument; the effect is 1 + a."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    frame["z"] = 0.5 * frame["b"] + rng.normal(size=n)
    hidden = rng.normal(size=n)
    frame["d"] = frame["z"] + frame["a"] + hidden + rng.normal(size=n)
    frame["y"] = frame["d"] * (1 + frame["a"]) + frame["b"] + 2 * hidden + rng.normal(size=n)
    return frame


FRAME = moved()


def fit(frame=FRAME, instrument="z", roles=None, **settings):
    return OrthoIV(**{**MODELS, **settings}).fit(
        frame[["a", "b", "d", instrument, *(roles or {}).values()]], frame["y"], treatment="d", instrument=instrument,
        **(roles or {}),
    )  # fmt: skip


def test_by_hand():
    rng = np.random.default_rng(1)
    X, z, d, y, w = rng.normal(size=(60, 1)), *rng.normal(size=(3, 60)), rng.uniform(0.5, 2, 60)
    found = instrumented_fit(EffectBasis.of(X, ["x"]), z, d, y, w)
    phi = np.column_stack([np.ones(60), X[:, 0] - X.mean()])
    bread = np.linalg.inv((phi * (w * z)[:, None]).T @ (phi * d[:, None]))
    theta = bread @ (phi.T @ (w * z * y))
    assert found.values == pytest.approx(theta)
    assert found.contributions == pytest.approx((phi * (w * z * (y - d * (phi @ theta)))[:, None]) @ bread.T)


def test_it_finds_what_least_squares_does_not():
    model = fit()
    tau = model.effect(FRAME)
    assert tau.table.index.equals(FRAME.index)
    truth = pd.Series({"at the means": 1 + FRAME["a"].mean(), "a": 1.0, "b": 0.0})
    assert (np.abs(model.coefficients_.estimates - truth) < 4 * model.coefficients_.table["std_error"]).all()
    assert tau.aggregate().estimate == pytest.approx(model.effect().estimate, rel=1e-10)
    assert tau.aggregate().std_error == pytest.approx(model.effect().std_error, rel=1e-8)
    naive = LinearDML(outcome_model="linear", treatment_model="linear").fit(FRAME[["a", "b", "d"]], FRAME["y"],
                                                                           treatment="d")  # fmt: skip
    assert abs(naive.effect().estimate - 1) > 10 * naive.effect().std_error
    assert model.effect().diagnostics["first_stage"].passed


def test_arms_labels_clusters_and_weights():
    frame = FRAME.assign(
        d=(FRAME["d"] > 0).astype(int), offered=np.where(FRAME["z"] > 0, "yes", "no"), w=1.0 + np.arange(2_000) % 2,
        site=np.arange(2_000) // 10,
    )  # fmt: skip
    model = fit(frame, "offered", {"cluster": "site", "sample_weight": "w"})
    assert model.effect().table.index.tolist() == ["1 - 0"]
    assert "clustered by site" in model.effect().std_error_method
    assert (model.effect(frame).table["std_error"] > 0).all()


def test_bad_input():
    rng = np.random.default_rng(2)
    with pytest.warns(WeakInstrumentWarning, match="F .*, under 10"):
        fit(FRAME.assign(z=rng.normal(size=2_000)))
    with pytest.raises(CausalArgumentError, match="takes one instrument, and 2 were given"):
        OrthoIV(**MODELS).fit(FRAME[["a", "b", "d", "z"]], FRAME["y"], treatment="d", instrument=["z", "b"])
    with pytest.raises(CausalDataError, match="instrument has 3 labels"):
        fit(FRAME.assign(z=np.array(list("xyz"))[np.arange(2_000) % 3]))
    with pytest.raises(NotIdentifiedError, match="covariates explain the instrument exactly"):
        fit(FRAME.assign(z=FRAME["a"] + FRAME["b"]))
    with pytest.raises(CausalArgumentError, match="takes one contrast of a treatment, and 2 were given"):
        fit(FRAME.assign(d=np.array(list("xyz"))[np.arange(2_000) % 3]))
    few = pd.DataFrame(rng.normal(size=(6, 7)), columns=[*"abcdef", "z"])
    with pytest.raises(CausalDataError, match="gives .* coefficients for 6 rows"):
        OrthoIV(**dict.fromkeys(MODELS, "ridge"), cv=2).fit(few, np.arange(6.0) ** 2, treatment="f", instrument="z")
    with pytest.raises(CausalArgumentError, match="needs instrument="):
        OrthoIV().fit(FRAME[["a", "d"]], FRAME["y"], treatment="d")


def test_the_first_stage_is_clustered_where_the_errors_are():
    """An instrument and a taste of whole clusters: 600 rows say what 30 clusters do not."""
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(30), 20)
    z = (np.arange(30) % 2)[cluster].astype(float)
    d = 0.3 * z + rng.normal(size=30)[cluster] + 0.3 * rng.normal(size=600)
    X = pd.DataFrame(rng.normal(size=(600, 2)), columns=["a", "b"])
    models = {"outcome_model": "linear", "treatment_model": "linear", "instrument_model": "linear"}
    y = d + rng.normal(size=600)
    plain = OrthoIV(**models).fit(X, y, treatment=d, instrument=z).effect().diagnostics["first_stage"]
    assert plain.passed
    with pytest.warns(WeakInstrumentWarning, match="under 10"):
        fitted = OrthoIV(**models).fit(X, y, treatment=d, instrument=z, cluster=cluster)
    check = fitted.effect().diagnostics["first_stage"]
    assert not check.passed
    assert check.table["std_error"].iloc[0] > 3 * plain.table["std_error"].iloc[0]


def test_a_clustered_standard_error_of_one_parameter_is_cr1():
    rng = np.random.default_rng(0)
    psi, groups = rng.normal(size=60), np.arange(60) // 6
    by_hand = np.sqrt(10 / 9 * np.square(np.bincount(groups, psi)).sum())
    assert standard_error(psi, (groups,)) == pytest.approx(by_hand, rel=1e-12)
    assert standard_error(psi, ()) == pytest.approx(np.sqrt(np.square(psi).sum()), rel=1e-12)
