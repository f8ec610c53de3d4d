"""Further panel designs one by one: numbers by hand, averages, anticipation, nobody never treated, what is left out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pandas_causal import DifferenceInDifferences, ImputationDiD, StackedDiD, SunAbraham, TripleDifference
from pandas_causal.errors import CausalArgumentError, CausalDataError, NotIdentifiedError
from tests.effect.examples import with_rows
from tests.panels.designs import staggered

FEW = pytest.mark.filterwarnings("ignore::pandas_causal.errors.FewTreatedWarning")  # numbers by hand are few
ROLES = {"time": "time", "unit": "unit", "cohort": "cohort"}


def fit(estimator, frame, covariates=(), **more):
    own = {**ROLES, **more}
    return estimator.fit(frame[[*covariates, *own.values()]], frame["y"], **own).effect()


def tiny():
    """Two units treated in period 2 of 2 and two never: changes 5, 3 and 1, 2."""
    y = {"a": (1, 6), "b": (2, 5), "c": (0, 1), "d": (4, 6)}
    rows = [
        (u, t, 2.0 if u in "ab" else 0.0, v) for u, values in y.items() for t, v in zip((1, 2), values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["unit", "time", "cohort", "y"]).assign(g=lambda f: (f["cohort"] > 0).astype(int))


# -- by hand -----------------------------------------------------------------------------------------------------------


@FEW
def test_two_by_two_by_hand():
    """4 - 1.5 = 2.5; variances of the changes 2 and 0.5, over two units each; Welch's 2 (1.25^2 / (1 + 1/16))."""
    own = {"time": "time", "unit": "unit", "group": "g"}
    effect = DifferenceInDifferences(post=2).fit(tiny()[list(own.values())], tiny()["y"], **own).effect()
    assert effect.estimate == pytest.approx(2.5)
    assert effect.std_error == pytest.approx(np.sqrt(2 / 2 + 0.5 / 2))
    assert effect.uncertainty.df()[0] == pytest.approx(1.25**2 / (1 + 0.0625))
    means = effect.parameters.estimates
    assert means["change, treated"] == pytest.approx(4)
    assert means["change, untreated"] == pytest.approx(1.5)


@FEW
def test_all_designs_agree_where_there_is_one_comparison():
    frame = tiny()
    for estimator in (ImputationDiD(), SunAbraham(), StackedDiD(post_periods=0), DifferenceInDifferences()):
        effect = fit(estimator, frame)
        value = effect.aggregate("simple").estimate if "simple" in effect.weightings else effect.estimate
        assert value == pytest.approx(2.5), estimator


@FEW
def test_imputation_standard_error_by_hand():
    """Contributions: (change - mean) / 2 of either group, as residuals of untreated rows are half of the controls'."""
    effect = fit(ImputationDiD(), tiny())
    u = effect.uncertainty
    np.testing.assert_allclose(np.sort(u.contributions[:, 0]), np.sort([0.5, -0.5, 0.25, -0.25]), atol=1e-12)
    assert effect.aggregate("simple").std_error == pytest.approx(np.sqrt(2 * 0.25 + 2 * 0.0625))
    spread = fit(ImputationDiD(leave_out=True), tiny()).uncertainty.contributions[:, 0]
    np.testing.assert_allclose(np.sort(spread), np.sort([1, -1, 0.25, -0.25]), atol=1e-12)


def test_triple_difference_by_hand():
    rng = np.random.default_rng(0)
    unit = np.arange(40)
    frame = pd.DataFrame({"unit": np.repeat(unit, 2), "time": np.tile([1, 2], 40)})
    frame["g"], frame["q"] = frame["unit"] % 2, frame["unit"] // 2 % 2
    frame["y"] = rng.normal(size=80) + frame["time"] * (frame["g"] + 2 * frame["q"] + 5 * frame["g"] * frame["q"])
    change = frame.pivot_table(index="unit", columns="time", values="y").diff(axis=1)[2]
    cells = change.groupby([unit % 2, unit // 2 % 2])
    own = {"time": "time", "group": "g", "partition": "q", "unit": "unit"}
    effect = TripleDifference(post=2).fit(frame[list(own.values())], frame["y"], **own).effect()
    m, v = cells.mean(), cells.var() / cells.size()
    assert effect.estimate == pytest.approx(m[1, 1] - m[1, 0] - m[0, 1] + m[0, 0])
    assert effect.std_error == pytest.approx(np.sqrt(v.sum()))


# -- averages ----------------------------------------------------------------------------------------------------------


def test_imputation_weighs_treated_rows():
    frame = staggered()
    model = ImputationDiD(pre_periods=1)
    effect = fit(model, frame)
    rows = model.imputed_["effect"]
    cohort, time = frame.loc[rows.index, "cohort"], frame.loc[rows.index, "time"]
    assert effect.aggregate("simple").estimate == pytest.approx(rows.mean())
    np.testing.assert_allclose(effect.aggregate("cohort").estimates, rows.groupby(cohort).mean())
    np.testing.assert_allclose(effect.aggregate("calendar").estimates, rows.groupby(time).mean())
    np.testing.assert_allclose(effect.aggregate("event").estimates.loc[0:], rows.groupby(time - cohort).mean())
    share = frame[frame["cohort"] > 0].groupby("cohort")["unit"].nunique()
    overall = effect.aggregate("cohort").aggregate("overall").estimate
    assert overall == pytest.approx(np.average(rows.groupby(cohort).mean(), weights=share))
    assert effect.aggregate("event").aggregate("overall").estimate == pytest.approx(
        rows.groupby(time - cohort).mean().mean()
    )


def test_leads_pool_the_cohorts_and_are_in_no_average_of_effects():
    effect = fit(ImputationDiD(pre_periods=2), staggered())
    lead = effect.estimates.index.get_level_values("cohort").isna()
    assert lead.sum() == 2
    assert list(effect.estimates.index.get_level_values("event")[lead]) == [-1, -2]
    none = fit(ImputationDiD(pre_periods=0), staggered())
    assert none.aggregate("simple").estimate == pytest.approx(effect.aggregate("simple").estimate, rel=1e-12)
    assert none.diagnostics["pre_trends"].passed is None
    assert effect.diagnostics["pre_trends"].table["effects"].tolist() == [5, 2]  # cohort 3 has one change before -1
    effect.plot("group_time")


def test_too_many_leads():
    with pytest.raises(CausalArgumentError, match="pre_periods=4 leaves no earlier period .* at most 3"):
        fit(ImputationDiD(pre_periods=4), staggered())


@pytest.mark.parametrize("estimator", [SunAbraham(), StackedDiD(), StackedDiD(weighting="variance")])
def test_weights_of_averages_are_estimates(estimator):
    """The errors of averages hold the derivative in the weights: dropping it changes them where effects differ."""
    effect = fit(estimator, staggered(effect=5.0))
    events = effect.aggregate("event")
    weights = effect.weightings["event"].weights.values.to_numpy()
    known = with_rows(effect, weightings={"event": replace(effect.weightings["event"], weights=weights)})
    fixed = known.aggregate("event")
    np.testing.assert_allclose(fixed.estimates, events.estimates, atol=1e-12)
    assert events.table.loc[0, "std_error"] > 1.02 * fixed.table.loc[0, "std_error"]


def test_stacks_are_differences_of_means():
    frame = staggered()
    model = StackedDiD(pre_periods=2, post_periods=1)
    effect = fit(model, frame)
    wide = frame.pivot_table(index="unit", columns="time", values="y")
    cohort = frame.groupby("unit")["cohort"].first()
    for g in (3, 4, 5):
        control = (cohort == 0) | (cohort > g + 1)
        gap = (wide[g + 1] - wide[g - 1])[cohort == g].mean() - (wide[g + 1] - wide[g - 1])[control].mean()
        assert effect.table.loc[(g, g + 1, 1), "estimate"] == pytest.approx(gap)
        assert model.stacks_.loc[g, "n_control"] == control.sum()
    never = fit(StackedDiD(pre_periods=2, control_group="never_treated"), frame)
    assert never.estimator.stacks_["n_control"].tolist() == [30, 30, 30]
    assert effect.reference_rows.sum() == 3


# -- anticipation, nobody never treated, gaps --------------------------------------------------------------------------


def anticipating():
    """Treatment works from one period before it starts; no noise."""
    frame = staggered(n=80, effect=0.0, noise=0.0)
    frame["y"] = frame["y"] - 0.3 * frame["x"] * frame["time"]
    frame.loc[(frame["cohort"] > 0) & (frame["time"] >= frame["cohort"] - 1), "y"] += 2.0
    frame["y"] += 1e-6 * np.random.default_rng(0).normal(size=len(frame))
    return frame


@pytest.mark.parametrize("estimator", [ImputationDiD, SunAbraham, StackedDiD])
def test_anticipation(estimator):
    frame = anticipating()
    effect = fit(estimator(anticipation=1), frame)
    events = effect.aggregate("event").table["estimate"]
    np.testing.assert_allclose(events.loc[[-1, 0, 1]], 2.0, atol=1e-4)
    assert effect.aggregate("simple").estimate == pytest.approx(2.0, abs=1e-4)
    naive = fit(estimator(), frame).aggregate("simple").estimate
    assert naive < 1.9


def test_nobody_never_treated():
    frame = staggered()
    frame = frame[frame["cohort"] > 0]
    sun = fit(SunAbraham(), frame)
    assert any("cohort of 5, treated last, serves" in text for text in sun.warnings)
    assert set(sun.estimates.index.get_level_values("cohort")) == {3, 4}
    assert max(sun.estimates.index.get_level_values("time")) == 4
    imputed = fit(ImputationDiD(), frame)
    assert any("cells have no untreated rows" in text for text in imputed.warnings)
    post = imputed.estimates[imputed.estimates.index.get_level_values("event") >= 0]
    assert max(post.index.get_level_values("time")) == 4
    one = frame[frame["cohort"] == 3]
    for estimator in (SunAbraham(), ImputationDiD(), StackedDiD()):
        with pytest.raises(CausalDataError):
            fit(estimator, one)


def test_units_with_one_row_and_units_without_untreated_rows():
    frame = staggered()
    lone = (frame["unit"] == "u00001") & (frame["time"] > 1)
    late = (frame["unit"] == frame.loc[frame["cohort"] == 4, "unit"].iloc[0]) & (frame["time"] < 4)
    thin = frame[~lone & ~late]
    assert any("1 units with one row only" in text for text in fit(SunAbraham(), thin).warnings)
    assert any("3 treated rows of 1 units without an untreated row" in t for t in fit(ImputationDiD(), thin).warnings)
    assert any("1 rows alone in their unit" in text for text in fit(DifferenceInDifferences(), thin).warnings)


def test_windows_that_are_not_seen():
    frame = staggered()
    effect = fit(StackedDiD(pre_periods=3, post_periods=1), frame)
    assert any("1 cohorts whose window (3 periods before and 1 after) is not seen" in t for t in effect.warnings)
    with pytest.raises(CausalDataError, match="no cohort has its window of 5 periods before and 5 after"):
        fit(StackedDiD(pre_periods=5, post_periods=5), frame)
    with pytest.raises(CausalArgumentError, match="takes no covariates"):
        fit(StackedDiD(), frame, ("x",))


# -- two-way and groups ------------------------------------------------------------------------------------------------


def test_treatment_residuals_are_the_weights():
    frame = staggered()
    model = DifferenceInDifferences()
    effect = fit(model, frame)
    residual = model.treatment_residual_
    y, d = frame.loc[residual.index, "y"], frame.loc[residual.index, "treated"]
    assert effect.estimate == pytest.approx((residual * y).sum() / (residual * d).sum())
    assert any("starts at 3 different times" in text for text in effect.warnings)
    own = {"time": "time", "unit": "unit", "group": "g"}
    grouped = frame.assign(g=(frame["cohort"] > 0).astype(int))
    model.set_params(post=4).fit(grouped[list(own.values())], grouped["y"], **own)
    assert not hasattr(model, "treatment_residual_")


def test_collinear_and_constant_covariates_change_nothing():
    frame = staggered().assign(z=lambda f: np.sin(np.arange(len(f))), fixed=lambda f: f["x"] * 3)
    frame = frame.assign(twice=2 * frame["z"] + frame["time"])
    for estimator in (DifferenceInDifferences(), ImputationDiD(), SunAbraham()):
        plain, more = fit(estimator, frame, ("z",)), fit(estimator, frame, ("z", "fixed", "twice"))
        np.testing.assert_allclose(more.estimates, plain.estimates, atol=1e-9)


def test_treatment_explained_by_covariates():
    frame = staggered().assign(copy=lambda f: 1.0 - 2 * f["treated"], noise=lambda f: np.sin(np.arange(len(f))))
    frame["copy"] += frame["time"]
    with pytest.raises(NotIdentifiedError, match="explain the treatment"):
        fit(DifferenceInDifferences(), frame, ("copy",))


def test_cross_sections_need_rows_in_every_cell():
    frame = staggered().assign(g=lambda f: (f["cohort"] == 3).astype(int))
    frame = frame[(frame["g"] == 0) | (frame["time"] < 3)]
    own = {"time": "time", "group": "g"}
    with pytest.raises(CausalDataError, match="no row of the treated group, after treatment"):
        DifferenceInDifferences(post=3).fit(frame[list(own.values())], frame["y"], **own)


def test_partition_must_not_change():
    frame = staggered().assign(g=lambda f: (f["cohort"] > 0).astype(int), q=lambda f: f["time"] % 2)
    own = {"time": "time", "unit": "unit", "group": "g", "partition": "q"}
    with pytest.raises(CausalDataError, match="partition changes within 120 units"):
        TripleDifference(post=4).fit(frame[list(own.values())], frame["y"], **own)
    with pytest.raises(CausalArgumentError, match="needs group= .* partition="):
        TripleDifference(post=4).fit(frame[["time", "g"]], frame["y"], time="time", group="g")
    frame["q"] = 1 - frame["g"]
    with pytest.raises(CausalDataError, match=r"nobody is in the|levels"):
        TripleDifference(post=4).fit(frame[list(own.values())], frame["y"], **own)


@pytest.mark.parametrize("method", ["dr", "ipw", "regression"])
def test_triple_difference_of_a_panel_with_covariates(method):
    """Covariates that move trends and differ between the groups: the plain contrast is off, the adjusted one is not."""
    rng = np.random.default_rng(0)
    n = 6_000
    g, q = rng.integers(0, 2, n), rng.integers(0, 2, n)
    x = rng.normal(size=n) + 0.8 * g * q
    frame = pd.DataFrame({"unit": np.repeat(np.arange(n), 2), "time": np.tile([1, 2], n)})
    frame["g"], frame["q"], frame["x"] = g[frame["unit"]], q[frame["unit"]], x[frame["unit"]]
    after = frame["time"] == 2
    trend = after * (frame["x"] + frame["g"] + frame["q"] + 2 * frame["g"] * frame["q"])
    frame["y"] = rng.normal(size=n)[frame["unit"]] + trend + 0.3 * rng.normal(size=2 * n)
    own = {"time": "time", "unit": "unit", "group": "g", "partition": "q"}
    plain = TripleDifference(post=2).fit(frame[list(own.values())], frame["y"], **own).effect()
    adjusted = TripleDifference(post=2, method=method).fit(frame[["x", *own.values()]], frame["y"], **own).effect()
    assert abs(plain.estimate - 2.8) < 0.2
    assert abs(adjusted.estimate - 2) < 4 * adjusted.std_error
    assert adjusted.std_error < 0.1


def test_two_way_beside_imputation():
    """Summed by unit, the contributions of a regression stand beside those of other designs: is the gap noise?"""
    frame = staggered(n=240, effect=0.0)
    regression = fit(DifferenceInDifferences(), frame)
    by_unit = regression.collapse("unit")
    imputed = fit(ImputationDiD(), frame).aggregate("simple")
    gap = imputed.difference(by_unit)
    assert by_unit.std_error == pytest.approx(regression.std_error, rel=0.01)
    assert gap.estimate == pytest.approx(imputed.estimate - regression.estimate)
    assert gap.std_error < imputed.std_error
    growing = staggered(n=240, effect=1.0)
    gap = (
        fit(ImputationDiD(), growing)
        .aggregate("simple")
        .difference(fit(DifferenceInDifferences(), growing).collapse("unit"))
    )
    assert gap.p_value < 1e-6


def test_imputation_with_covariates_and_no_lead_to_estimate():
    """No unit is seen twice before treatment: contributions of no lead had no rows, and would not stack."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"u": np.repeat(range(24), 3), "t": np.tile(range(3), 24), "k": np.repeat([1, 2] * 12, 3)})
    frame["x"], frame["y"] = rng.normal(size=24).repeat(3), rng.normal(size=72)
    asked = {"time": "t", "unit": "u", "cohort": "k", "outcome": "y"}
    effect = frame.causal.fit(ImputationDiD(), covariates=["x"], **asked)
    plain = frame.causal.fit(ImputationDiD(), covariates=[], **asked)
    assert np.isfinite(effect.table["estimate"]).all()
    cells = [label for label in plain.table.index if label in effect.table.index]
    np.testing.assert_allclose(effect.table.loc[cells, "estimate"], plain.table.loc[cells, "estimate"], rtol=1e-9)
