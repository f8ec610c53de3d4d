"""Panel designs beside their peers on the same data: pyfixest, diff-diff, statsmodels; and regressions on dummies."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from pandas_causal import (
    CallawaySantAnna,
    DifferenceInDifferences,
    ImputationDiD,
    StackedDiD,
    SunAbraham,
    TripleDifference,
)
from tests.panels.designs import staggered

ROLES = {"time": "time", "unit": "unit", "cohort": "cohort"}
DIFF_DIFF = {"outcome": "y", "unit": "unit", "time": "time", "first_treat": "cohort"}


def fit(estimator, frame, covariates=(), **more):
    own = {**ROLES, **more}
    named = [v for v in own.values() if isinstance(v, str)]
    return clone(estimator).fit(frame[[*covariates, *dict.fromkeys(named)]], frame["y"], **own)


def panel(unbalanced=False):
    frame = staggered(n=160)
    frame["z"] = np.random.default_rng(9).normal(size=len(frame)) + 0.1 * frame["time"] * frame["x"]
    frame["y"] += 0.4 * frame["z"]
    return frame[np.random.default_rng(4).random(len(frame)) > 0.2] if unbalanced else frame


def feols(formula, frame, cluster="unit", weights=None):
    pf = pytest.importorskip("pyfixest", reason="the peer for absorbed effects")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        demeaner = {"demeaner": pf.MapDemeaner(fixef_tol=1e-12)} if hasattr(pf, "MapDemeaner") else {"fixef_tol": 1e-12}
        return pf.feols(formula, frame, vcov={"CRV1": cluster}, weights=weights, **demeaner)


def peer(name, **settings):
    module = pytest.importorskip("diff_diff", reason="the peer for staggered designs")
    return getattr(module, name)(**settings)


# -- two-way fixed effects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unbalanced", [False, True])
@pytest.mark.parametrize("weights", [None, "weight"])
@pytest.mark.parametrize("covariates", [(), ("z",)])
@pytest.mark.parametrize("cluster", [None, "site"])
def test_two_way_beside_pyfixest(unbalanced, weights, covariates, cluster):
    frame = panel(unbalanced)
    effect = fit(DifferenceInDifferences(), frame, covariates, cluster=cluster, sample_weight=weights).effect()
    formula = " + ".join(["y ~ treated", *covariates]) + " | unit + time"
    found = feols(formula, frame, cluster or "unit", weights)
    assert effect.estimate == pytest.approx(found.coef()["treated"], rel=1e-8)
    assert effect.std_error == pytest.approx(found.se()["treated"], rel=1e-8)
    assert effect.p_value == pytest.approx(found.pvalue()["treated"], rel=1e-6, abs=1e-14)


def test_two_groups_with_units_that_lack_periods_is_two_way():
    frame = panel(unbalanced=True)
    frame = frame[frame["cohort"].isin([0, 4])].assign(g=lambda f: (f["cohort"] > 0).astype(int))
    own = {"time": "time", "unit": "unit", "group": "g"}
    effect = DifferenceInDifferences(post=4).fit(frame[list(own.values())], frame["y"], **own).effect()
    found = feols("y ~ treated | unit + time", frame)
    assert effect.estimate == pytest.approx(found.coef()["treated"], rel=1e-8)
    assert effect.std_error == pytest.approx(found.se()["treated"], rel=1e-8)


def test_cohorts_of_cross_sections_are_absorbed():
    frame = panel()
    own = {"time": "time", "cohort": "cohort", "cluster": "site"}
    effect = DifferenceInDifferences().fit(frame[list(own.values())], frame["y"], **own).effect()
    found = feols("y ~ treated | cohort + time", frame, "site")
    assert effect.estimate == pytest.approx(found.coef()["treated"], rel=1e-8)
    assert effect.std_error == pytest.approx(found.se()["treated"], rel=1e-8)


@pytest.mark.parametrize("covariates", [[], ["x", "z"]])
def test_two_by_two_cross_sections_beside_statsmodels(covariates):
    smf = pytest.importorskip("statsmodels.formula.api", reason="the peer for HC2 errors")
    frame = panel().assign(g=lambda f: (f["cohort"] > 0).astype(int), after=lambda f: (f["time"] >= 4).astype(int))
    own = {"time": "time", "group": "g"}
    effect = DifferenceInDifferences(post=4).fit(frame[[*covariates, *own.values()]], frame["y"], **own).effect()
    found = smf.ols(" + ".join(["y ~ g * after", *covariates]), frame).fit(cov_type="HC2")
    assert effect.estimate == pytest.approx(found.params["g:after"], rel=1e-9)
    assert effect.std_error == pytest.approx(found.bse["g:after"], rel=1e-9)


# -- imputation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unbalanced", [False, True])
@pytest.mark.parametrize("leave_out", [False, True])
@pytest.mark.parametrize("covariates", [(), ("z",)])
def test_imputation_beside_diff_diff(unbalanced, leave_out, covariates):
    frame = panel(unbalanced)
    effect = fit(ImputationDiD(leave_out=leave_out, pre_periods=2), frame, covariates).effect()
    model = peer("ImputationDiD", leave_one_out=leave_out)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = model.fit(frame.astype({"cohort": int}), covariates=list(covariates) or None, **DIFF_DIFF)
        events = found.aggregate("event_study").to_dataframe().set_index("event_time")
    simple = effect.aggregate("simple")
    assert simple.estimate == pytest.approx(found.overall_att, rel=1e-6)
    assert simple.std_error == pytest.approx(found.overall_se, rel=1e-6)
    ours = effect.aggregate("event").table
    for event in range(4):
        assert ours.loc[event, "estimate"] == pytest.approx(events.loc[event, "att"], rel=1e-6)
        assert ours.loc[event, "std_error"] == pytest.approx(events.loc[event, "se"], rel=1e-6)


@pytest.mark.parametrize("unbalanced", [False, True])
@pytest.mark.parametrize("covariates", [(), ("z",)])
def test_leads_are_a_regression_of_untreated_rows(unbalanced, covariates):
    """The paper's test regresses untreated outcomes on leads; earlier periods and never treated units are the rest."""
    frame = panel(unbalanced)
    ours = fit(ImputationDiD(pre_periods=2), frame, covariates).effect().aggregate("event").table
    data = frame[frame["treated"] == 0]
    event = np.where(data["cohort"] > 0, data["time"] - data["cohort"], -99)
    data = data.assign(m1=(event == -1).astype(float), m2=(event == -2).astype(float))
    found = feols(" + ".join(["y ~ m1 + m2", *covariates]) + " | unit + time", data)
    units, n = data["unit"].nunique(), found._N
    p = 2 + len(covariates) + 6
    factor = np.sqrt(found._G[0] / (found._G[0] - 1) * (n - 1) / (n - p)) if hasattr(found, "_G") else np.nan
    for event, name in ((-1, "m1"), (-2, "m2")):
        assert ours.loc[event, "estimate"] == pytest.approx(found.coef()[name], rel=1e-7)
        assert ours.loc[event, "std_error"] * factor == pytest.approx(found.se()[name], rel=1e-6)
    assert units > 100


def test_imputation_beside_did2s():
    """Gardner's two-stage estimator has the same estimates (its errors let effects vary within cells)."""
    pf = pytest.importorskip("pyfixest", reason="the peer for two-stage differences in differences")
    frame = panel().reset_index(drop=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pf.did2s(
            frame, yname="y", first_stage="~ 0 | unit + time", second_stage="~ treated", treatment="treated",
            cluster="unit",
        )  # fmt: skip
    effect = fit(ImputationDiD(), frame).effect().aggregate("simple")
    assert effect.estimate == pytest.approx(float(found.coef().iloc[-1]), rel=2e-5)  # its first stage iterates to 1e-6


def test_imputation_is_a_regression_on_untreated_rows():
    """Outcomes less the predictions of a regression of untreated rows on all dummies and covariates."""
    frame = panel(unbalanced=True)
    dummies = pd.get_dummies(frame[["unit", "time"]].astype(str), dtype=float)
    Z = np.column_stack([dummies, frame["z"]])
    untreated = (frame["treated"] == 0).to_numpy()
    beta = np.linalg.lstsq(Z[untreated], frame["y"].to_numpy()[untreated], rcond=None)[0]
    expected = pd.Series(frame["y"] - Z @ beta)[~untreated]
    model = fit(ImputationDiD(), frame, ("z",))
    found = model.imputed_["effect"]
    np.testing.assert_allclose(found, expected.loc[found.index], atol=1e-9)
    known = frame["unit"].isin(frame["unit"][untreated])
    assert len(found) == (~untreated & known).sum()


# -- Sun and Abraham ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unbalanced", [False, True])
@pytest.mark.parametrize("covariates", [(), ("z",)])
@pytest.mark.parametrize("weights", [None, "weight"])
def test_sun_abraham_cells_beside_pyfixest(unbalanced, covariates, weights):
    frame = panel(unbalanced)
    effect = fit(SunAbraham(), frame, covariates, sample_weight=weights).effect()
    cells = [(g, t, int(e)) for g, t, e in effect.estimates.index if e != -1]
    names = [f"c_{g:.0f}_{t}" for g, t, _ in cells]
    wide = frame.assign(
        **{
            n: ((frame["cohort"] == g) & (frame["time"] == t)).astype(float)
            for n, (g, t, _) in zip(names, cells, strict=True)
        }
    )
    found = feols(f"y ~ {' + '.join([*names, *covariates])} | unit + time", wide, weights=weights)
    ours = effect.table[effect.table.index.get_level_values("event") != -1]
    np.testing.assert_allclose(ours["estimate"], found.coef()[names], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ours["std_error"], found.se()[names], rtol=1e-7)


def test_sun_abraham_beside_diff_diff():
    frame = panel().astype({"cohort": int})
    effect = fit(SunAbraham(), frame).effect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = peer("SunAbraham").fit(frame, **DIFF_DIFF)
    events = effect.aggregate("event").table
    for event, row in found.event_study_effects.items():
        assert events.loc[event, "estimate"] == pytest.approx(row["effect"], rel=1e-6, abs=1e-9)


def test_saturated_regression_of_pyfixest():
    pf = pytest.importorskip("pyfixest", reason="the peer for saturated event studies")
    frame = panel().reset_index(drop=True).astype({"cohort": int})
    frame["id"] = frame["unit"].str[1:].astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pf.event_study(
            frame, yname="y", idname="id", tname="time", gname="cohort", estimator="saturated", cluster="id", att=False
        )
        theirs = found.aggregate(weighting="shares")
    events = fit(SunAbraham(), frame).effect().aggregate("event").table
    for event, row in theirs.iterrows():
        assert events.loc[int(float(event)), "estimate"] == pytest.approx(float(row["Estimate"]), rel=1e-6, abs=1e-9)


def test_sun_abraham_is_callaway_santanna_where_both_are_means():
    """Balanced, without covariates, the regression's cells are differences of mean changes."""
    frame = panel()
    found = fit(SunAbraham(), frame).effect()
    cells = fit(CallawaySantAnna(base_period="universal"), frame).effect()
    np.testing.assert_allclose(found.estimates, cells.estimates, atol=1e-10)
    for name in ("simple", "event", "cohort", "calendar"):
        a, b = found.aggregate(name).table, cells.aggregate(name).table
        np.testing.assert_allclose(a["estimate"], b["estimate"], atol=1e-10)
        np.testing.assert_allclose(a["std_error"], b["std_error"], rtol=0.02)


# -- stacks ------------------------------------------------------------------------------------------------------------


def stacked(frame, pre, post):
    parts = []
    for g in sorted(set(frame["cohort"]) - {0.0}):
        low, high = g - pre, g + post
        if low < frame["time"].min() or high > frame["time"].max():
            continue
        own = frame[frame["time"].between(low, high)]
        own = own[(own["cohort"] == g) | (own["cohort"] == 0) | (own["cohort"] > high)]
        whole = own.groupby("unit")["time"].transform("size") == pre + post + 1
        parts.append(own[whole].assign(stack=int(g), event=own["time"] - g, d=(own["cohort"] == g).astype(float)))
    out = pd.concat(parts, ignore_index=True)
    out["us"], out["ts"] = out["unit"] + "_" + out["stack"].astype(str), out["time"] * 100 + out["stack"]
    return out


@pytest.mark.parametrize("unbalanced", [False, True])
def test_variance_weights_are_the_stacked_regression(unbalanced):
    """Estimates and errors of the pooled regression with unit by stack and period by stack effects."""
    frame = staggered(n=160)
    frame = frame[np.random.default_rng(4).random(len(frame)) > 0.05] if unbalanced else frame
    effect = fit(StackedDiD(pre_periods=2, post_periods=1, weighting="variance"), frame).effect()
    data = stacked(frame, 2, 1)
    names = {e: f"d{e}".replace("-", "m") for e in (-2, 0, 1)}
    data = data.assign(**{n: data["d"] * (data["event"] == e) for e, n in names.items()})
    found = feols(f"y ~ {' + '.join(names.values())} | us + ts", data)
    events = effect.aggregate("event").table
    assert effect.n_obs == len(data)
    for event, name in names.items():
        assert events.loc[event, "estimate"] == pytest.approx(found.coef()[name], rel=1e-8)
        assert events.loc[event, "std_error"] == pytest.approx(found.se()[name], rel=1e-8)


def test_weights_of_treated_units_beside_diff_diff():
    frame = staggered(n=160).astype({"cohort": int})
    effect = fit(StackedDiD(pre_periods=2, post_periods=1), frame).effect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = peer("StackedDiD", kappa_pre=2, kappa_post=1).fit(frame, **DIFF_DIFF)
    overall = effect.aggregate("event").aggregate("overall")
    assert overall.estimate == pytest.approx(found.overall_att, rel=1e-6)


# -- triple differences ------------------------------------------------------------------------------------------------


def eligible(n=1_500, seed=0):
    rng = np.random.default_rng(seed)
    f = pd.DataFrame({k: rng.integers(0, 2, n) for k in ("g", "q", "t")})
    f["x"] = rng.normal(size=n) + 0.3 * f["g"] + 0.2 * f["q"]
    trend = f["x"] * (1 + f["t"]) + f["g"] * f["t"] + 0.5 * f["q"] * f["t"] + f["g"] * f["q"]
    f["y"] = trend + 2 * f["g"] * f["q"] * f["t"] + rng.normal(size=n)
    return f


def test_triple_difference_is_the_interaction():
    smf = pytest.importorskip("statsmodels.formula.api", reason="the peer for HC2 errors")
    f = eligible()
    own = {"time": "t", "group": "g", "partition": "q"}
    effect = TripleDifference(post=1).fit(f[["t", "g", "q"]], f["y"], **own).effect()
    found = smf.ols("y ~ g * q * t", f).fit(cov_type="HC2")
    assert effect.estimate == pytest.approx(found.params["g:q:t"], rel=1e-9)
    assert effect.std_error == pytest.approx(found.bse["g:q:t"], rel=1e-9)


@pytest.mark.parametrize(
    ("method", "theirs", "close"), [("dr", "dr", 0.05), ("ipw", "ipw", 1e-3), ("regression", "reg", 1e-3)]
)
def test_triple_difference_beside_diff_diff(method, theirs, close):
    f = eligible()
    own = {"time": "t", "group": "g", "partition": "q"}
    effect = TripleDifference(post=1, method=method).fit(f[["x", "t", "g", "q"]], f["y"], **own).effect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = peer("TripleDifference", estimation_method=theirs).fit(
            f, outcome="y", group="g", partition="q", time="t", covariates=["x"]
        )
    assert effect.estimate == pytest.approx(found.att, rel=1e-6)
    # of the doubly robust one the peer leaves out terms that vanish in large samples; the two average the same
    assert effect.std_error == pytest.approx(found.se, rel=close)
