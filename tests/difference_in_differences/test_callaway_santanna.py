"""CallawaySantAnna: the contract of a panel estimator, invariances, averages, few units, bad input."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import pandas_causal
from pandas_causal import CallawaySantAnna
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    CausalError,
    FewTreatedWarning,
    OverlapError,
    OverlapWarning,
    StandardErrorWarning,
)
from tests.panels.designs import ROLES, staggered

NUMBERS = ["estimate", "std_error"]
NAMES = {"unit": "unit", "time": "time", "cohort": "cohort"}


def fit(frame, covariates=(), settings=None, **roles):
    names = {k: v for k, v in {**NAMES, **roles}.items() if v is not None}
    columns = [*covariates, *(v for v in names.values() if isinstance(v, str) and v in frame)]
    return CallawaySantAnna(**(settings or {})).fit(frame[columns], frame["y"], **names)


def numbers(*args, **kwargs):
    return fit(*args, **kwargs).effect().table[NUMBERS].to_numpy()


@pytest.fixture(scope="module")
def frame():
    return staggered()


@pytest.fixture(scope="module")
def effect(frame):
    return frame.causal.did(**ROLES)


# -- the contract ----------------------------------------------------------------------------------------------------


def test_one_row_per_cell(effect):
    assert effect.estimates.index.names == ["cohort", "time", "event"]
    assert len(effect) == 3 * 5
    assert effect.uncertainty.rows.labels.name == "unit"
    assert len(effect.uncertainty.rows) == 120
    np.testing.assert_allclose(effect.uncertainty.contributions.sum(axis=0), 0, atol=1e-12)
    assert list(effect.weightings) == ["simple", "event", "cohort", "calendar"]
    assert effect.parameters.estimates.tail(3).sum() == pytest.approx(0.75)
    assert str(effect).startswith('effect on the treated of y, by cohort and time (average "simple" of 15 rows)')


def test_clone_params_and_pickle(frame, effect):
    estimator = CallawaySantAnna(control_group="not_yet_treated", anticipation=1, level=0.9)
    assert clone(estimator).get_params() == estimator.get_params()
    assert estimator.set_params(method="ipw").method == "ipw"
    fitted = pickle.loads(pickle.dumps(fit(frame)))
    pd.testing.assert_frame_equal(fitted.effect().table, effect.table)
    again = pickle.loads(pickle.dumps(fitted.effect()))
    pd.testing.assert_frame_equal(again.aggregate("event").table, effect.aggregate("event").table)
    assert again.diagnostics["pre_trends"].summary == effect.diagnostics["pre_trends"].summary


def test_fit_does_not_change_its_input(frame):
    before = frame.copy()
    fit(frame, covariates=["x"], cluster="site", sample_weight="weight")
    pd.testing.assert_frame_equal(frame, before)


def test_roles_as_arrays(frame, effect):
    arrays = {role: frame[name].to_numpy() for role, name in NAMES.items()}
    fitted = CallawaySantAnna().fit(None, frame["y"].to_numpy(), **arrays)
    np.testing.assert_allclose(fitted.effect().table[NUMBERS], effect.table[NUMBERS])


def test_learned_names(frame):
    fitted = fit(frame, covariates=["x"])
    assert fitted.feature_names_in_.tolist() == ["x", "unit", "time", "cohort"]
    assert fitted.covariates_ == ["x"]
    assert fitted.cells_.loc[(3, 4, 1), ["base", "n_treated", "n_control"]].tolist() == [2, 30, 30]


WRONG = {
    "method": ["DR", None, 1, ["dr"]],
    "control_group": ["never", None, True],
    "base_period": ["long", 0],
    "unbalanced": ["drop", None],
    "anticipation": [-1, 1.5, "1", None, True],
    "level": [0, 1, 95, "high", None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_wrong_setting(frame, name, value):
    with pytest.raises(CausalArgumentError, match=name):
        fit(frame, settings={name: value})


def test_the_bootstrap_of_rows_is_refused(frame):
    with pytest.raises(CausalArgumentError, match="tears units apart"):
        pandas_causal.bootstrap(CallawaySantAnna(), frame[list(NAMES)], frame["y"], **NAMES)


# -- invariances -----------------------------------------------------------------------------------------------------

SAME = {
    "permuted": lambda f: f.sample(frac=1, random_state=9),
    "relabelled": lambda f: f.set_axis(pd.RangeIndex(len(f))),
    "nullable": lambda f: f.convert_dtypes(),
    "categories": lambda f: f.astype({"unit": "category", "time": "category", "cohort": "category"}),
    "float32 weights of one": lambda f: f.assign(one=np.float32(1)),
    "never is missing": lambda f: f.assign(cohort=f["cohort"].replace(0, np.nan)),
    "units renamed": lambda f: f.assign(unit=f["unit"].map(lambda u: f"z{99999 - int(u[1:])}")),
    "later years": lambda f: f.assign(time=f["time"] + 2000, cohort=f["cohort"] + 2000 * (f["cohort"] > 0)),
    "outcome shifted": lambda f: f.assign(y=f["y"] + 1e3),
}


@pytest.mark.parametrize("change", SAME)
@pytest.mark.parametrize("covariates", [(), ("x",)])
def test_coding_never_changes_a_number(frame, change, covariates):
    kept = numbers(frame, covariates=covariates)
    np.testing.assert_allclose(numbers(SAME[change](frame), covariates=covariates), kept, rtol=1e-8, atol=1e-10)


def test_arrow(frame):
    pytest.importorskip("pyarrow")
    arrow = frame.convert_dtypes(dtype_backend="pyarrow")
    np.testing.assert_allclose(numbers(arrow, covariates=["x"]), numbers(frame, covariates=["x"]), rtol=1e-10)


@pytest.mark.parametrize("settings", [{}, {"method": "ipw"}, {"control_group": "not_yet_treated"}])
def test_scales(frame, settings):
    kept = numbers(frame, covariates=["x"], settings=settings)
    np.testing.assert_allclose(numbers(frame.assign(y=-4 * frame["y"]), covariates=["x"], settings=settings),
                               kept * [-4, 4], rtol=1e-8)  # fmt: skip
    far = frame.assign(x=1e6 + 1e-3 * frame["x"])
    np.testing.assert_allclose(numbers(far, covariates=["x"], settings=settings), kept, rtol=1e-5)


def test_treatment_row_by_row_is_the_cohort(frame, effect):
    by_row = frame.causal.did(outcome="y", unit="unit", time="time", treatment="treated")
    np.testing.assert_allclose(by_row.table[NUMBERS], effect.table[NUMBERS])


def test_equal_weights_are_none_and_whole_ones_repeat_units(frame):
    np.testing.assert_allclose(numbers(frame.assign(w=2.5), sample_weight="w"), numbers(frame), rtol=1e-10)
    weight = frame["unit"].str[-1].astype(int) % 3 + 1
    copies = [frame[weight > k].assign(unit=lambda f, k=k: f["unit"] + f"-{k}") for k in range(3)]
    repeated = pd.concat(copies, ignore_index=True)
    estimates = numbers(repeated, covariates=["x"])[:, 0]
    np.testing.assert_allclose(numbers(frame.assign(w=weight), covariates=["x"], sample_weight="w")[:, 0], estimates)


def test_duplicated_units_in_clusters_change_nothing(frame):
    """Two copies of every unit, clustered by the original: the same errors but for the factor G / (G - 1)."""
    twice = pd.concat([frame, frame.assign(unit=frame["unit"] + "b")], ignore_index=True)
    twice["original"] = twice["unit"].str[:6]
    clustered = fit(twice, cluster="original").effect()
    single = fit(frame).effect().table[NUMBERS].to_numpy()
    factor = np.sqrt(120 / 119)
    np.testing.assert_allclose(clustered.table[NUMBERS], single * [1, factor], rtol=1e-10)
    assert set(clustered.uncertainty.df()) == {119}


# -- averages --------------------------------------------------------------------------------------------------------


def test_averages_by_hand(effect):
    theta = effect.estimates.reset_index()
    theta["share"] = 1.0  # three cohorts of 30
    post = theta[theta["event"] >= 0]
    assert effect.aggregate("simple").estimate == pytest.approx(post["estimate"].mean())
    assert effect.aggregate().estimate == pytest.approx(post["estimate"].mean())
    by_event = effect.aggregate("event")
    pd.testing.assert_series_equal(by_event.estimates, theta.groupby("event")["estimate"].mean(), check_names=False)
    by_cohort = effect.aggregate("cohort")
    pd.testing.assert_series_equal(by_cohort.estimates, post.groupby("cohort")["estimate"].mean(), check_names=False)
    calendar = effect.aggregate("calendar")
    pd.testing.assert_series_equal(calendar.estimates, post.groupby("time")["estimate"].mean(), check_names=False)
    after = by_event.estimates[[e for e in by_event.estimates.index if e >= 0]]
    assert by_event.aggregate("overall").estimate == pytest.approx(after.mean())
    assert by_cohort.aggregate("overall").estimate == pytest.approx(by_cohort.estimates.mean())
    assert calendar.aggregate("overall").estimate == pytest.approx(calendar.estimates.mean())


def test_standard_errors_of_averages_are_derivatives_in_the_weights(frame):
    """The whole way from weights to averages, estimated cohort shares included."""
    frame = frame.sort_values(["unit", "time"])
    units = frame["unit"].unique()

    def averages(w):
        weights = frame["unit"].map(dict(zip(units, w, strict=True)))
        effect = fit(frame.assign(w=weights), covariates=["x"], sample_weight="w").effect()
        parts = [effect.aggregate("simple"), effect.aggregate("event"), effect.aggregate("cohort").aggregate("overall")]
        return effect, np.concatenate([part.estimates for part in parts]), parts

    base = np.linspace(0.5, 1.5, len(units))
    effect, _, parts = averages(base)
    contributions = np.hstack([effect.uncertainty.contributions @ part.uncertainty.loadings.T for part in parts])
    for i in (0, 17, 60, 119):
        step = np.where(np.arange(len(units)) == i, 1e-4, 0)
        slope = (averages(base * (1 + step))[1] - averages(base * (1 - step))[1]) / 2e-4
        np.testing.assert_allclose(contributions[i], slope, atol=1e-7)


def test_averages_survive_clustering_and_collapse(frame, effect):
    labels = frame.drop_duplicates("unit").set_index("unit")["site"]
    clustered = effect.cluster(labels, small_sample=False)
    at_fit = fit(frame, cluster="site").effect()
    factor = np.sqrt(24 / 23)
    for by in ("simple", "event", "cohort", "calendar"):
        np.testing.assert_allclose(
            clustered.aggregate(by).table["std_error"] * factor, at_fit.aggregate(by).table["std_error"], rtol=1e-10
        )
    collapsed = effect.collapse(labels)
    np.testing.assert_allclose(
        collapsed.aggregate("simple").std_error, clustered.aggregate("simple").std_error, rtol=1e-10
    )


def test_difference_of_two_fits(frame, effect):
    other = frame.causal.did(**ROLES, control_group="not_yet_treated")
    gap = effect.aggregate("simple").difference(other.aggregate("simple"))
    assert gap.std_error < effect.aggregate("simple").std_error
    with pytest.warns(StandardErrorWarning, match="zero"):
        same = effect.aggregate("simple").difference(frame.causal.did(**ROLES).aggregate("simple"))
    assert same.estimate == pytest.approx(0, abs=1e-12)


def test_universal_base_has_reference_rows(frame):
    effect = frame.causal.event_study(**ROLES)
    table = effect.table
    assert [str(e) for e in table.index] == ["-4", "-3", "-2", "-1 (reference)", "0", "1", "2", "3"]
    reference = table.loc[-1]
    assert reference[["estimate", "std_error"]].tolist() == [0, 0]
    assert np.isnan(reference["p_value"])
    assert effect.reference_rows.sum() == 1
    assert not effect.warnings
    cells = frame.causal.did(**ROLES, base_period="universal")
    assert cells.reference_rows.sum() == 3
    assert str(cells.estimates.index[1][2]) == "-1 (reference)"
    after = [label for label in cells.estimates.index if label[2] >= 0]
    varying = frame.causal.did(**ROLES)
    np.testing.assert_allclose(cells[after].table[NUMBERS], varying[after].table[NUMBERS])
    early = frame.causal.event_study(**ROLES, anticipation=1)
    assert [str(e) for e in early.estimates.index if "ref" in str(e)] == ["-2 (reference)"]


def test_a_band_is_wider_than_the_intervals(effect):
    events = effect.aggregate("event")
    band, points = events.interval(simultaneous=True), events.interval()
    assert (band["conf_high"] > points["conf_high"]).all()
    assert (band["conf_low"] < points["conf_low"]).all()


# -- panels that are not whole ---------------------------------------------------------------------------------------


def test_unbalanced(frame):
    holes = frame.drop(index=frame.index[::11])
    pairs = fit(holes).effect()
    assert any("the panel is unbalanced" in w for w in pairs.warnings)
    wide = holes.pivot_table(index="unit", columns="time", values="y")
    cohort = holes.groupby("unit")["cohort"].first()
    change = wide[4] - wide[2]
    expected = change[cohort == 3].mean() - change[cohort == 0].mean()
    assert pairs[[(3, 4, 1)]].estimate == pytest.approx(expected)
    rows = fit(holes, settings={"unbalanced": "rows"}).effect()
    mean = holes.groupby(["cohort", "time"])["y"].mean()
    assert rows[[(3, 4, 1)]].estimate == pytest.approx(mean[3, 4] - mean[3, 2] - mean[0, 4] + mean[0, 2])
    assert len(rows.uncertainty.rows) == 120
    whole = holes.groupby("unit")["y"].transform("size") == 6
    balanced = fit(holes, settings={"unbalanced": "balance"}).effect()
    np.testing.assert_allclose(balanced.table[NUMBERS], numbers(holes[whole]))
    assert any("units that lack periods were left out" in w for w in balanced.warnings)


@pytest.mark.parametrize("setting", ["pairs", "rows", "balance"])
def test_a_whole_panel_is_the_same_whatever_is_said_of_others(frame, effect, setting):
    np.testing.assert_allclose(numbers(frame, settings={"unbalanced": setting}), effect.table[NUMBERS])


def test_repeated_cross_sections(frame):
    effect = frame.causal.did(outcome="y", time="time", cohort="cohort")
    panel = frame.causal.did(**ROLES)
    np.testing.assert_allclose(effect.estimates, panel.estimates)
    assert len(effect.uncertainty.rows) == len(frame)
    assert (effect.table["std_error"] > panel.table["std_error"]).all()
    assert effect.diagnostics["composition"].passed
    by_unit = frame.causal.did(outcome="y", time="time", cohort="cohort", cluster="unit")
    ratio = by_unit.table["std_error"] / panel.table["std_error"]
    np.testing.assert_allclose(ratio, np.sqrt(120 / 119), rtol=1e-10)
    with pytest.raises(CausalArgumentError, match="compares changes of units"):
        fit(frame, unit=None, settings={"method": "dr_improved"})


# -- few units, overlap, bad input -----------------------------------------------------------------------------------


def test_few_treated_units_are_warned_of():
    frame = staggered(n=60, cohorts=(0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 4))
    with pytest.warns(FewTreatedWarning, match="fewer than 10 treated .*the fewest, 5.*randomisation inference"):
        effect = frame.causal.did(**ROLES)
    assert effect.aggregate("simple").warnings == ()  # ten treated units in all
    with pytest.warns(FewTreatedWarning, match="2 of 2 rows"):
        effect.aggregate("cohort")


def test_a_cohort_of_one_unit_has_no_standard_error():
    frame = staggered(n=60, cohorts=(0, 3, 4))
    alone = frame[(frame["cohort"] != 4) | (frame["unit"] == frame.loc[frame["cohort"] == 4, "unit"].iloc[0])]
    with (
        pytest.warns(StandardErrorWarning, match="5 of 10 standard errors are missing"),
        pytest.warns(FewTreatedWarning),
    ):
        effect = alone.causal.did(**ROLES)
    assert effect.table["std_error"].isna().tolist() == [False] * 5 + [True] * 5
    assert effect.estimates.notna().all()
    simple = effect.aggregate("simple")
    assert np.isfinite(simple.std_error)
    with pytest.warns(FewTreatedWarning, match="1 of 2 rows"), pytest.warns(StandardErrorWarning):
        by_cohort = effect.aggregate("cohort")
    assert by_cohort.table["std_error"].isna().tolist() == [False, True]


def test_one_comparison_unit_leaves_no_standard_error():
    frame = staggered(n=60, cohorts=(0, 3, 4))
    lonely = frame[(frame["cohort"] != 0) | (frame["unit"] == frame.loc[frame["cohort"] == 0, "unit"].iloc[0])]
    with pytest.warns(FewTreatedWarning, match=r"\(or untreated\)"), pytest.warns(StandardErrorWarning):
        effect = lonely.causal.did(**ROLES)
    assert effect.table["std_error"].isna().all()
    with pytest.warns(FewTreatedWarning), pytest.warns(StandardErrorWarning):
        assert np.isnan(effect.aggregate("simple").std_error)


def test_few_clusters_are_counted(frame):
    with pytest.warns(FewTreatedWarning, match="fewer than 10 treated .* clusters"):
        frame.assign(big=frame["site"] // 6).causal.did(**ROLES, cluster="big")


@pytest.mark.filterwarnings("ignore:the clusters of .* are few or unequal")
def test_untreated_units_of_one_cluster(frame):
    """Sixty clusters of treated units, one of untreated: half of the comparison has no variance to speak of."""
    lumped = frame.assign(site=frame["unit"].where(frame["cohort"] > 0, "all"))
    with pytest.warns(FewTreatedWarning, match=r"\(or untreated\) clusters"), pytest.warns(StandardErrorWarning):
        effect = lumped.causal.did(**ROLES, cluster="site")
    assert effect.table["std_error"].isna().all()
    wider = lumped.causal.did(**ROLES, cluster="site", control_group="not_yet_treated")
    assert np.isfinite(wider[[(3, 3, 0)]].std_error)


def test_a_difference_from_a_cohort_of_one_unit_has_no_standard_error():
    frame = staggered(n=60, cohorts=(0, 3, 4))
    alone = frame[(frame["cohort"] != 4) | (frame["unit"] == frame.loc[frame["cohort"] == 4, "unit"].iloc[0])]
    with pytest.warns(StandardErrorWarning), pytest.warns(FewTreatedWarning):
        first = alone.causal.did(**ROLES)
    with pytest.warns(StandardErrorWarning), pytest.warns(FewTreatedWarning):
        second = alone.causal.did(**ROLES, covariates=["x"])
    gap = first.difference(second)  # whose warnings are the first fit's
    assert gap.table["std_error"].isna().tolist() == [False] * 5 + [True] * 5


def test_covariates_that_separate_are_refused(frame):
    apart = frame.assign(z=(frame["cohort"] == 3) + 0.01 * frame["x"])
    with pytest.raises(OverlapError, match="cohort 3.* in 2 .*separate the cohort.*method='regression'"):
        fit(apart, covariates=["z"])
    assert np.isfinite(numbers(apart, covariates=["z"], settings={"method": "regression"})).all()


def test_weak_overlap_is_warned_of():
    frame = staggered(n=400, cohorts=(0, 3))
    frame["z"] = frame["x"] + 2.2 * (frame["cohort"] == 3)
    with pytest.warns(OverlapWarning, match="weak overlap"):
        effect = fit(frame, covariates=["z"]).effect()
    assert effect.diagnostics["overlap"].passed is False


def test_more_covariates_than_comparison_units(frame):
    rng = np.random.default_rng(0)
    wide = frame.assign(**{f"z{j}": rng.normal(size=len(frame)) for j in range(35)})
    with pytest.raises(CausalDataError, match="30 untreated units to compare with and 35 covariates"):
        fit(wide, covariates=[f"z{j}" for j in range(35)])


def test_collinear_and_constant_covariates_change_nothing(frame):
    more = frame.assign(copy=2 * frame["x"] - 1, one=1.0)
    kept = numbers(frame, covariates=["x"])
    np.testing.assert_allclose(numbers(more, covariates=["x", "copy", "one"]), kept, rtol=1e-8)


def test_nobody_never_treated(frame):
    treated = frame[frame["cohort"] > 0]
    with pytest.raises(CausalDataError, match="no never-treated unit.*control_group='not_yet_treated'"):
        fit(treated)
    effect = fit(treated, settings={"control_group": "not_yet_treated"}).effect()
    assert effect.estimates.index.get_level_values("time").max() == 4
    assert any("cells have no untreated units" in w for w in effect.warnings)


def test_missing_rows(frame):
    holes = frame.assign(y=frame["y"].where(frame["unit"] != "u00001"))
    with pytest.raises(CausalDataError, match="outcome is missing .* in 6 rows"):
        fit(holes)
    dropped = fit(holes, missing="drop").effect()
    assert dropped.facts["n_dropped"] == 6
    np.testing.assert_allclose(dropped.table[NUMBERS], numbers(frame[frame["unit"] != "u00001"]))
    x = frame.assign(x=frame["x"].where(frame["unit"] != "u00001"))
    assert any("imputed" in w for w in fit(x, covariates=["x"]).effect().warnings)


def test_one_row_per_unit_is_a_refused_vcov_no_more(effect):
    assert effect.vcov.shape == (15, 15)
    with pytest.raises(CausalError, match="has 15 rows"):
        effect.estimate  # noqa: B018


def test_diagnostics(effect):
    check = effect.diagnostics["pre_trends"]
    assert check.passed
    assert check.table["effects"].tolist() == [6, 3]
    assert "6 cells before treatment" in check.summary
    sizes = effect.diagnostics["cohorts"].table
    assert sizes["n_units"].to_dict() == {3: 30, 4: 30, 5: 30, "never treated": 30}
    assert effect.diagnostics["composition"].table.to_numpy().tolist() == [[30] * 6] * 4


def test_an_effect_within_the_anticipation_window_is_found_whichever_base():
    """An effect of 1 from two periods before treatment on, and nothing else: 1 at events -2 and -1, 0 before."""
    frame = pd.DataFrame({"i": np.repeat(np.arange(40), 8), "t": np.tile(np.arange(8), 40)})
    frame["g"] = np.where(frame["i"] % 2 == 0, 5.0, np.inf)
    rng = np.random.default_rng(0)
    frame["y"] = frame["i"] + frame["t"] ** 2 + (frame["t"] >= frame["g"] - 2) + 1e-6 * rng.normal(size=len(frame))
    for base in ("varying", "universal"):
        effect = frame.causal.did(
            outcome="y", unit="i", time="t", cohort="g", anticipation=2, base_period=base
        ).aggregate("event")
        assert effect.estimates[[-2, -1, 0, 1, 2]].to_numpy() == pytest.approx(1, abs=1e-5)
        assert effect.estimates[[-4, -3]].to_numpy() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("missing", "who", "other"), [(0, "untreated", "treated"), (3, "treated", "untreated")])
def test_a_covariate_that_one_side_lacks_is_named(frame, missing, who, other):
    holes = frame.assign(x=frame["x"].where((frame["cohort"] != missing) | (frame["time"] != 2)))
    words = f"x is missing for all the {who} of this comparison and for none of the {other}: give its values there"
    with pytest.raises(OverlapError, match=words):
        fit(holes, covariates=["x"])


def test_a_covariate_that_splits_a_cohort_from_the_others_is_named(frame):
    apart = frame.assign(x2=frame["x"] + 100 * (frame["cohort"] == 4))
    with pytest.raises(OverlapError, match=r"cohort 4 in 2 .*x2 alone splits them: leave it out"):
        fit(apart, covariates=["x", "x2"])
