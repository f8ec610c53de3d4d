"""Teen employment (Callaway and Sant'Anna 2021): R's did to the digits printed, peers in the same run."""

import contextlib
import io
import itertools
import warnings

import numpy as np
import pandas as pd
import pytest

from pandas_causal import CallawaySantAnna
from tests.panels.designs import MPDTA, mpdta
from tests.reference_data import REFERENCE

NUMBERS = ["estimate", "std_error"]
# R's did 2.1.2: att_gt(yname = "lemp", tname = "year", idname = "countyreal", gname = "first.treat", xformla = ~1)
PRINTED = {
    (2004, 2004): (-0.0105, 0.0233),
    (2004, 2005): (-0.0704, 0.0310),
    (2004, 2006): (-0.1373, 0.0364),
    (2004, 2007): (-0.1008, 0.0344),
    (2006, 2004): (0.0065, 0.0233),
    (2006, 2005): (-0.0028, 0.0196),
    (2006, 2006): (-0.0046, 0.0178),
    (2006, 2007): (-0.0412, 0.0202),
    (2007, 2004): (0.0305, 0.0150),
    (2007, 2005): (-0.0027, 0.0164),
    (2007, 2006): (-0.0311, 0.0179),
    (2007, 2007): (-0.0261, 0.0167),
}
EVENTS = {-3: (0.0305, 0.0150), -2: (-0.0006, 0.0133), -1: (-0.0245, 0.0142), 0: (-0.0199, 0.0118),
          1: (-0.0510, 0.0169), 2: (-0.1373, 0.0364), 3: (-0.1008, 0.0344)}  # fmt: skip


def test_to_the_digits_printed():
    effect = mpdta().causal.did(**MPDTA)
    cells = effect.table.droplevel("event")[NUMBERS]
    assert list(cells.index) == list(PRINTED)
    np.testing.assert_allclose(cells, list(PRINTED.values()), atol=5.1e-5)
    for label, (estimate, se) in EVENTS.items():
        assert effect.aggregate("event").table.loc[label, NUMBERS].tolist() == pytest.approx([estimate, se], abs=1e-4)


def test_pre_trends_are_those_of_r_did():
    """R's did: Wald test of all cells before treatment, .16812; F(5, 495) here."""
    effect = mpdta().causal.did(**MPDTA)
    before = effect.table.index.get_level_values("event") < 0
    assert effect[before].test_zero().p_value == pytest.approx(0.16812, abs=5e-6)
    check = effect.diagnostics["pre_trends"]
    assert check.table.loc["cohorts and periods", "p_value"] == pytest.approx(0.175, abs=5e-4)


def test_pre_trends_of_the_vignette_of_r_did():
    """Its simulated data with xformla = ~ X: .60857; averages by event time first would say .966."""
    path = REFERENCE / "peers/did/basics.csv.gz"
    if not path.exists():
        pytest.skip("peers/did/basics.csv.gz is not there (PANDAS_CAUSAL_REFERENCE names its folder)")
    roles = {"outcome": "Y", "unit": "id", "time": "period", "cohort": "G", "covariates": ["X"]}
    effect = pd.read_csv(path).causal.did(**roles)
    before = effect.table.index.get_level_values("event") < 0
    assert effect[before].test_zero().p_value == pytest.approx(0.60857, abs=5e-6)
    table = effect.diagnostics["pre_trends"].table
    assert table["p_value"].tolist() == pytest.approx([0.60857, 0.966], abs=5e-4)
    assert table["decides"].tolist() == [True, False]


def test_averages_carry_the_estimated_shares():
    effect = mpdta().causal.did(**MPDTA)
    simple, event, cohort = (effect.aggregate(by) for by in ("simple", "event", "cohort"))
    assert [simple.estimate, simple.std_error] == pytest.approx([-0.03995, 0.012034], abs=5e-6)
    overall = event.aggregate("overall")
    assert [overall.estimate, overall.std_error] == pytest.approx([-0.07724, 0.0200], abs=5e-5)
    overall = cohort.aggregate("overall")
    assert [overall.estimate, overall.std_error] == pytest.approx([-0.03102, 0.0124], abs=5e-5)
    known = effect.linear(effect.weightings["simple"].weights.values * 0 + _shares(effect))
    assert known.estimate == pytest.approx(simple.estimate)
    assert known.std_error == pytest.approx(0.011747, abs=5e-7)  # with the shares taken as known


def _shares(effect):
    share = effect.weightings["simple"].weights.values.to_numpy().copy()
    share[effect.estimates.index.get_level_values("event") < 0] = 0
    return share / share.sum()


def test_with_the_covariate_of_the_paper():
    """R's did with xformla = ~ lpop: simple average -0.0418 (0.0115)."""
    simple = mpdta().causal.did(**MPDTA, covariates=["lpop"]).aggregate("simple")
    assert [simple.estimate, simple.std_error] == pytest.approx([-0.0418, 0.0115], abs=5e-5)


SETTINGS = list(
    itertools.product(["dr", "ipw", "regression"], ["never_treated", "not_yet_treated"], ["varying", "universal"])
)


def ours(frame, covariates=(), settings=None, **roles):
    names = {"unit": "countyreal", "time": "year", "cohort": "first_treat", **roles}
    names = {k: v for k, v in names.items() if v is not None}
    estimator = CallawaySantAnna(**(settings or {}))
    return estimator.fit(frame[[*covariates, *names.values()]], frame["lemp"], **names).effect()


@pytest.mark.parametrize("covariates", [(), ("lpop",)])
@pytest.mark.parametrize(("method", "control_group", "base_period"), SETTINGS)
def test_beside_diff_diff(covariates, method, control_group, base_period):
    peer = pytest.importorskip("diff_diff", reason="the peer diff-diff is not installed")
    frame = mpdta().rename(columns={"first.treat": "first_treat"})
    settings = {"method": method, "control_group": control_group, "base_period": base_period}
    effect = ours(frame, covariates, settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peer.CallawaySantAnna(
            control_group=control_group,
            estimation_method={"regression": "reg"}.get(method, method),
            base_period=base_period,
            pscore_trim=1e-9,
        ).fit(frame, outcome="lemp", unit="countyreal", time="year", first_treat="first_treat",
              covariates=list(covariates) or None)  # fmt: skip
    # with covariates its "dr" divides the weights of the untreated by the number of treated units, R's did and ours by
    # their sum, which differ by the noise of the propensity
    tolerance = 2e-5 if method == "dr" and covariates else 1e-9
    compared = 0
    for (g, t, event), row in effect.table.iterrows():
        cell = theirs.group_time_effects.get((g, t))
        if cell is None or (event == -1 and base_period == "universal"):
            continue
        compared += 1
        assert [row["estimate"], row["std_error"]] == pytest.approx([cell["effect"], cell["se"]], abs=tolerance)
    assert compared == 12


CSDID = {
    "dr": ({}, {}),
    "not yet": ({"control_group": "not_yet_treated"}, {"control_group": ["notyettreated"]}),
    "universal": ({"base_period": "universal"}, {"base_period": "universal"}),
    "anticipation": ({"anticipation": 1}, {"anticipation": 1}),
    "not yet, anticipation": (
        {"anticipation": 1, "control_group": "not_yet_treated", "base_period": "universal"},
        {"anticipation": 1, "control_group": ["notyettreated"], "base_period": "universal"},
    ),
    "no never-treated": (
        {"everyone_treated": True, "control_group": "not_yet_treated"},
        {"control_group": ["notyettreated"]},
    ),
    "ipw": ({"method": "ipw"}, {"est_method": "ipw"}),
    "regression": ({"method": "regression"}, {"est_method": "reg"}),
    "weights": ({"sample_weight": "w"}, {"weights_name": "w"}),
    "cross-sections": ({"unit": None}, {"panel": False}),
    "cross-sections, ipw": ({"unit": None, "method": "ipw"}, {"panel": False, "est_method": "ipw"}),
    "cross-sections, regression": ({"unit": None, "method": "regression"}, {"panel": False, "est_method": "reg"}),
    "rows": ({"holes": True, "unbalanced": "rows"}, {"allow_unbalanced_panel": True}),
    "balance": ({"holes": True, "unbalanced": "balance"}, {}),
}


@pytest.mark.parametrize("covariates", [(), ("lpop",)])
@pytest.mark.parametrize("case", CSDID)
def test_beside_csdid(covariates, case):
    """All cells, averages and errors, for every way that csdid (a port of R's did) has."""
    peer = pytest.importorskip("csdid.att_gt", reason="the peer csdid is not installed")
    mine, his = (dict(part) for part in CSDID[case])
    frame = mpdta().rename(columns={"first.treat": "first_treat"})
    frame["w"] = np.random.default_rng(0).uniform(0.5, 2, 500)[pd.factorize(frame["countyreal"])[0]]
    if mine.pop("everyone_treated", False):
        frame = frame[frame["first_treat"] > 0]
    if mine.pop("holes", False):
        frame = frame.drop(index=frame.sample(100, random_state=1).index)
    roles = {role: mine.pop(role) for role in ("unit", "sample_weight") if role in mine}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        effect = ours(frame, covariates, mine, **roles)
        how = {k: his.pop(k) for k in ("est_method", "base_period") if k in his}
        arguments = {"panel": True, "control_group": ["nevertreated"], **his}
        with contextlib.redirect_stdout(io.StringIO()):
            theirs = peer.ATTgt(
                yname="lemp", tname="year", idname="countyreal" if arguments["panel"] else None, gname="first_treat",
                data=frame, xformla=f"lemp ~ {' + '.join(covariates)}" if covariates else None, **arguments,
            ).fit(bstrap=False, **how)  # fmt: skip
            averages = {
                by: theirs.aggte(kind, bstrap=False, cband=False).atte
                for by, kind in (
                    ("simple", "simple"),
                    ("event", "dynamic"),
                    ("cohort", "group"),
                    ("calendar", "calendar"),
                )
            }
    cells = pd.DataFrame({k: np.ravel(theirs.results[k]) for k in ("group", "year", "att", "se")})
    cells = cells.set_index(["group", "year"]).loc[list(effect.table.droplevel("event").index)]
    known = effect.table["std_error"].to_numpy() > 0
    np.testing.assert_allclose(effect.estimates, cells["att"], atol=1e-10)
    np.testing.assert_allclose(effect.table["std_error"][known], cells["se"][known], atol=1e-10)
    for by, found in averages.items():
        average = effect.aggregate(by)
        overall = average if by == "simple" else average.aggregate("overall")
        expected = [found["overall_att"], np.ravel(found["overall_se"])[0]]
        assert [overall.estimate, overall.std_error] == pytest.approx(expected, abs=1e-10)
