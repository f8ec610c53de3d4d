"""Published sensitivity analyses, and peers on the same data and scores."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pandas_causal import AIPW, RegressionAdjustment, causal
from pandas_causal.errors import OverlapWarning
from pandas_causal.inference.omitted_variables import ConfounderStrength, partially_linear_estimate


@pytest.fixture(scope="module")
def darfur():
    """Effect of direct harm on wanting peace (Hazlett 2020), the example of Cinelli and Hazlett (2020)."""
    found = importlib.util.find_spec("sensemakr")
    if found is None:
        pytest.skip("the survey in Darfur comes with PySensemakr")
    frame = pd.read_csv(Path(found.origin).parent / "data" / "darfur.csv")
    assert len(frame) == 1_276
    covariates = ["age", "farmer_dar", "herder_dar", "pastvoted", "hhsize_darfur", "female", "village"]
    estimator = RegressionAdjustment(interactions=False)
    with pytest.warns(OverlapWarning):
        return causal(frame).ate(
            treatment="directlyharmed", outcome="peacefactor", covariates=covariates, estimator=estimator
        )


def test_darfur_robustness_values(darfur):
    """Table 1 of the paper to the digits of its software."""
    row = darfur.sensitivity(benchmarks=["female"]).table.iloc[0]
    assert row["estimate"] == pytest.approx(0.0973158, abs=5e-8)
    assert row["std_error"] == pytest.approx(0.0232565, abs=7e-8)
    assert row["estimate"] / row["std_error"] == pytest.approx(4.1844500, abs=5e-7)
    assert row["df"] == 783
    assert row["partial_r2"] == pytest.approx(0.0218731, abs=5e-8)
    assert row["robustness_value"] == pytest.approx(0.1387764, abs=5e-8)
    assert row["robustness_value_interval"] == pytest.approx(0.0762580, abs=5e-8)
    assert row["extreme_robustness_value"] == pytest.approx(row["partial_r2"], rel=1e-12)
    half = darfur.sensitivity(null=darfur.estimate / 2, benchmarks=["female"]).table.iloc[0]
    assert half["robustness_value"] == pytest.approx(0.0720270, abs=5e-8)
    assert half["robustness_value_interval"] == pytest.approx(0.0045628, abs=5e-8)


def test_darfur_confounder_as_strong_as_female(darfur):
    marks = darfur.sensitivity(benchmarks=["female"], times=[1]).benchmarks.iloc[0]
    assert marks["r2_treatment"] == pytest.approx(0.0091643, abs=5e-8)
    assert marks["r2_outcome"] == pytest.approx(0.1246409, abs=5e-8)
    assert marks["estimate"] == pytest.approx(0.0752203, abs=5e-8)
    assert marks["std_error"] == pytest.approx(0.0218733, abs=6e-8)
    assert marks["estimate"] / marks["std_error"] == pytest.approx(3.4389, abs=5e-5)


# -- the debiased form beside DoubleML and EconML ----------------------------------------------------------------------


def study(n=800, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    d = (X[:, 0] + rng.normal(size=n) > 0).astype(int)
    y = 0.5 * d + X.sum(axis=1) + rng.normal(size=n)
    return pd.DataFrame(X, columns=["a", "b", "c"]).assign(d=d, y=y)


@pytest.fixture(scope="module")
def aipw():
    estimator = AIPW(outcome_model="linear", propensity_model="linear", clip=0.02)
    return causal(study()).ate(treatment="d", outcome="y", covariates=["a", "b", "c"], estimator=estimator)


def test_doubleml_on_the_same_scores(aipw):
    doubleml = pytest.importorskip("doubleml", reason="DoubleML stands beside ours")
    from doubleml.utils import DMLDummyClassifier, DMLDummyRegressor

    frame, fitted = study(), aipw.estimator
    data = doubleml.DoubleMLData(frame, y_col="y", d_cols="d", x_cols=["a", "b", "c"])
    model = doubleml.DoubleMLIRM(
        data, DMLDummyRegressor(), DMLDummyClassifier(), ps_processor_config=doubleml.utils.PSProcessorConfig(
            clipping_threshold=1e-9
        ),
    )  # fmt: skip
    m, e = fitted.outcome_predictions_, fitted.propensity_
    given = {"ml_g0": m[:, [0]], "ml_g1": m[:, [1]], "ml_m": e[:, [1]]}
    model.fit(external_predictions={"d": given})
    assert aipw.estimate == pytest.approx(model.coef[0], rel=1e-10)
    model.sensitivity_analysis(cf_y=0.03, cf_d=0.03, level=0.975)  # one-sided there, 95% two-sided here
    theirs, found = model.sensitivity_params, aipw.sensitivity()
    ours = found.bounds(0.03, 0.03).iloc[0]
    assert ours["low"] == pytest.approx(theirs["theta"]["lower"][0], rel=1e-6)
    assert ours["high"] == pytest.approx(theirs["theta"]["upper"][0], rel=1e-6)
    row, (short,) = found.table.iloc[0], found.estimates.values()
    # their robustness values are found by a minimiser, to about 1e-5
    assert row["robustness_value"] == pytest.approx(theirs["rv"][0], abs=1e-5)
    # their influence function of the estimate is psi / psi_deriv, with the sign turned, so that its covariance with the
    # size of the bias has the wrong sign (0.11.4; EconML's is ours, and so are draws, in tests/statistical)
    turned = replace(short, covariance=-short.covariance)
    low, high = turned.bounds(ConfounderStrength(0.03, 0.03)).interval(0.95)
    assert low == pytest.approx(theirs["ci"]["lower"][0], rel=1e-6)
    assert high == pytest.approx(theirs["ci"]["upper"][0], rel=1e-6)
    assert turned.robustness(0.0, 0.95) == pytest.approx(theirs["rva"][0], abs=1e-5)


def test_econml_on_the_same_scores(aipw):
    analysis = pytest.importorskip("econml.validate.sensitivity_analysis", reason="EconML stands beside ours")
    frame, fitted = study(), aipw.estimator
    m, e, y, d = fitted.outcome_predictions_, fitted.propensity_, frame["y"].to_numpy(), frame["d"].to_numpy()
    arms = np.column_stack([d == 0, d == 1])
    corrected = m + arms / e * (y[:, None] - m)  # what its final stage is given
    values = analysis.dr_sensitivity_values(y, arms[:, [1]].astype(float), corrected, e)
    theirs = {name: getattr(values, name)[0] for name in ("theta", "sigma", "nu", "cov")}
    found = aipw.sensitivity()
    ours = found.bounds(0.03, 0.03).iloc[0]
    for kind, ends in (("theta", ("low", "high")), ("ci", ("conf_low", "conf_high"))):
        interval = analysis.sensitivity_interval(**theirs, alpha=0.05, c_y=0.03, c_t=0.03, rho=1.0, interval_type=kind)
        assert ours[list(ends)].to_numpy() == pytest.approx(interval, rel=1e-6)
    row = found.table.iloc[0]
    for kind, name in (("theta", "robustness_value"), ("ci", "robustness_value_interval")):
        assert row[name] == pytest.approx(analysis.RV(**theirs, alpha=0.05, interval_type=kind), abs=2e-6)


def test_partially_linear_model_beside_doubleml():
    """``partially_linear_estimate`` on the residuals of DoubleML's own nuisances."""
    doubleml = pytest.importorskip("doubleml", reason="DoubleML stands beside ours")
    from doubleml.utils import DMLDummyRegressor

    frame = study()
    y, d = frame["y"].to_numpy(), frame["d"].to_numpy()
    X = np.column_stack([np.ones(len(frame)), frame[["a", "b", "c"]]])
    means = [X @ np.linalg.lstsq(X, v, rcond=None)[0] for v in (y, d)]
    data = doubleml.DoubleMLData(frame, y_col="y", d_cols="d", x_cols=["a", "b", "c"])
    model = doubleml.DoubleMLPLR(data, DMLDummyRegressor(), DMLDummyRegressor())
    model.fit(external_predictions={"d": {"ml_l": means[0][:, None], "ml_m": means[1][:, None]}})
    model.sensitivity_analysis(cf_y=0.03, cf_d=0.03, level=0.975)
    theirs, ours = model.sensitivity_params, partially_linear_estimate(y - means[0], d - means[1])
    found = ours.bounds(ConfounderStrength(0.03, 0.03))
    assert (found.low, found.high) == pytest.approx(
        (theirs["theta"]["lower"][0], theirs["theta"]["upper"][0]), rel=1e-6
    )
    assert ours.robustness() == pytest.approx(theirs["rv"][0], abs=1e-5)
    turned = replace(ours, covariance=-ours.covariance)  # the sign, as above
    low, high = turned.bounds(ConfounderStrength(0.03, 0.03)).interval(0.95)
    assert (low, high) == pytest.approx((theirs["ci"]["lower"][0], theirs["ci"]["upper"][0]), rel=1e-6)
