"""What the further panel designs keep: parameters, pickling, roles, coding, scales, order of rows, missing rows."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from pandas_causal import (
    DifferenceInDifferences,
    ImputationDiD,
    StackedDiD,
    SunAbraham,
    TripleDifference,
)
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    CausalError,
    FewTreatedWarning,
    StandardErrorWarning,
)
from tests.panels.designs import staggered

STAGGERED = {
    "imputation": ImputationDiD(),
    "leave_out": ImputationDiD(leave_out=True),
    "sun_abraham": SunAbraham(),
    "stacked": StackedDiD(pre_periods=2),
    "stacked_variance": StackedDiD(pre_periods=2, weighting="variance"),
    "two_way": DifferenceInDifferences(),
}
GROUPS = {"two_by_two": DifferenceInDifferences(post=4), "triple": TripleDifference(post=4)}
ALL = {**STAGGERED, **GROUPS}


def make(**k):
    """A staggered panel whose units also belong to a group treated from period 4 on and to a partition."""
    frame = staggered(**k)
    number = frame["unit"].str[1:].astype(int)
    frame["group"] = (number % 3 == 0).astype(int)
    frame["partition"] = (number % 2).astype(int)
    return frame


def roles(estimator, unit=True):
    if isinstance(estimator, TripleDifference):
        own = {"group": "group", "partition": "partition"}
    else:
        own = {"group": "group"} if getattr(estimator, "post", None) is not None else {"cohort": "cohort"}
    return {"time": "time", **({"unit": "unit"} if unit else {}), **own}


def fit(estimator, frame, covariates=(), unit=True, **more):
    own = roles(estimator, unit)
    named = [v for v in {**own, **more}.values() if isinstance(v, str) and v in frame]
    return clone(estimator).fit(frame[[*covariates, *dict.fromkeys(named)]], frame["y"], **own, **more)


def numbers(estimator, frame, **more):
    effect = fit(estimator, frame, **more).effect()
    if "event" in effect.weightings:
        events = effect.aggregate("event")
        tables = [effect.table, events.table, events.aggregate("overall").table]
    else:
        tables = [effect.table]
    return np.concatenate([t[["estimate", "std_error"]].to_numpy() for t in tables])


@pytest.fixture(scope="module")
def frame():
    return make()


@pytest.fixture(params=ALL, scope="module")
def estimator(request):
    return ALL[request.param]


@pytest.fixture(params=STAGGERED, scope="module")
def staggered_estimator(request):
    return STAGGERED[request.param]


# -- scikit-learn ------------------------------------------------------------------------------------------------------


def test_clone_params_and_pickle(frame, estimator):
    model = fit(estimator, frame)
    assert clone(model).get_params() == estimator.get_params()
    assert clone(model).set_params(level=0.9).level == 0.9
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(again.effect().table, model.effect().table)
    assert list(model.feature_names_in_) == list(dict.fromkeys(roles(estimator).values()))
    assert model.effect().estimator is model
    with pytest.raises(CausalArgumentError):
        model.effect(frame)


def test_fit_does_not_change_its_input(frame, estimator):
    before = frame.copy(deep=True)
    fit(estimator, frame)
    pd.testing.assert_frame_equal(frame, before)


def test_roles_as_arrays(frame, estimator):
    arrays = {role: frame[name].to_numpy() for role, name in roles(estimator).items()}
    found = clone(estimator).fit(None, frame["y"].to_numpy(), **arrays).effect()
    expected = fit(estimator, frame).effect()
    np.testing.assert_allclose(found.estimates, expected.estimates, rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("level", 95), ("level", None), ("anticipation", -1), ("anticipation", 1.5), ("pre_periods", -1),
        ("pre_periods", "two"), ("post_periods", None), ("post_periods", -1), ("leave_out", "yes"),
        ("weighting", "rows"), ("control_group", "never"), ("method", "ols"),
    ],
)  # fmt: skip
def test_wrong_setting(frame, estimator, name, value):
    if name not in estimator.get_params():
        pytest.skip(f"has no {name}")
    with pytest.raises(CausalArgumentError, match=name):
        fit(clone(estimator).set_params(**{name: value}), frame)


# -- invariances -------------------------------------------------------------------------------------------------------

CODINGS = {
    "rows permuted": lambda f: f.sample(frac=1, random_state=5),
    "index relabelled": lambda f: f.set_index(pd.Index([f"r{k}" for k in range(len(f))])),
    "default index": lambda f: f.reset_index(drop=True),
    "never as NaN": lambda f: f.assign(cohort=f["cohort"].where(f["cohort"] > 0)),
    "never as inf": lambda f: f.assign(cohort=f["cohort"].where(f["cohort"] > 0, np.inf)),
    "nullable": lambda f: f.convert_dtypes(),
    "float32 time": lambda f: f.assign(time=f["time"].astype("float32")),
    "units as categories": lambda f: f.assign(unit=f["unit"].astype("category")),
    "bool group": lambda f: f.assign(group=f["group"].astype(bool), partition=f["partition"].astype(bool)),
}


@pytest.mark.parametrize("change", CODINGS)
def test_coding_never_changes_a_number(frame, estimator, change):
    np.testing.assert_allclose(
        numbers(estimator, CODINGS[change](frame)), numbers(estimator, frame), rtol=1e-9, atol=1e-10
    )


def test_arrow(frame, estimator):
    pytest.importorskip("pyarrow", reason="Arrow dtypes")
    converted = frame.convert_dtypes(dtype_backend="pyarrow")
    np.testing.assert_allclose(numbers(estimator, converted), numbers(estimator, frame), rtol=1e-9, atol=1e-10)


def test_scales(frame, estimator):
    """Effects scale with the outcome and do not move with its level, 1e9 included."""
    base = numbers(estimator, frame)
    np.testing.assert_allclose(numbers(estimator, frame.assign(y=-3e-6 * frame["y"])) * [-1, 1], 3e-6 * base, rtol=1e-7)
    np.testing.assert_allclose(numbers(estimator, frame.assign(y=frame["y"] + 1e6)), base, rtol=1e-6, atol=1e-7)


def test_years_as_dates(frame, staggered_estimator):
    dated = frame.assign(
        time=pd.to_datetime((frame["time"] + 2000).astype(str)),
        cohort=pd.to_datetime((frame["cohort"] + 2000).where(frame["cohort"] > 0).astype("Int64").astype("string")),
    )
    np.testing.assert_allclose(
        numbers(staggered_estimator, dated), numbers(staggered_estimator, frame), rtol=1e-9, atol=1e-10
    )


def test_treatment_row_by_row_is_the_cohort(frame, staggered_estimator):
    own = {"time": "time", "unit": "unit", "treatment": "treated"}
    found = clone(staggered_estimator).fit(frame[list(own.values())], frame["y"], **own).effect()
    np.testing.assert_allclose(found.estimates, fit(staggered_estimator, frame).effect().estimates, rtol=1e-10)


def test_equal_weights_are_none(frame, estimator):
    weighted = fit(estimator, frame.assign(w=2.0), sample_weight="w").effect()
    plain = fit(estimator, frame).effect()
    columns = ["estimate", "std_error"]
    np.testing.assert_allclose(weighted.table[columns], plain.table[columns], rtol=1e-9, atol=1e-12)


def test_whole_weights_repeat_units(frame, estimator):
    """Units of weight 2 give the estimates of units that stand twice."""
    number = frame["unit"].str[1:].astype(int)
    twice = frame.assign(w=np.where(number % 4 == 0, 2.0, 1.0))
    copies = frame[(number % 4 == 0).to_numpy()]
    stacked = pd.concat([frame, copies.assign(unit=copies["unit"] + "b").set_index(copies.index + 1_000_001)])
    found, expected = fit(estimator, twice, sample_weight="w").effect(), fit(estimator, stacked).effect()
    np.testing.assert_allclose(found.estimates, expected.estimates, rtol=1e-9, atol=1e-11)
    for name in found.weightings:
        a, b = found.aggregate(name), expected.aggregate(name)
        np.testing.assert_allclose(a.estimates, b.estimates, rtol=1e-9, atol=1e-11)


def test_units_that_stand_twice_in_one_cluster_change_no_number(frame, estimator):
    """Clustering undoes the copy, but for the small-sample factor of the rows (and of the rows left out)."""
    if getattr(estimator, "leave_out", False):
        estimator = clone(estimator).set_params(leave_out=False)
    copied = frame.assign(unit=frame["unit"] + "b").set_index(frame.index + 1_000_001)
    both = pd.concat([frame.assign(c=frame["unit"]), copied.assign(c=frame["unit"].to_numpy())])
    found = fit(estimator, both, cluster="c").effect()
    plain = fit(estimator, frame.assign(c=frame["unit"]), cluster="c").effect()
    np.testing.assert_allclose(found.estimates, plain.estimates, rtol=1e-9, atol=1e-11)
    ratio = (found.table["std_error"] / plain.table["std_error"]).dropna()
    assert np.ptp(ratio) < 1e-8
    assert ratio.mean() == pytest.approx(1, abs=0.01)


def test_difference_of_two_fits(frame, estimator):
    """A fit minus itself, its rows in another order, is zero with no error left."""
    plain = frame.assign(unit=frame["unit"])
    first, second = fit(estimator, plain).effect(), fit(estimator, plain.sample(frac=1, random_state=3)).effect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StandardErrorWarning)
        gap = first.difference(second)
    assert np.abs(gap.estimates).max() < 1e-10
    assert np.nanmax(gap.table["std_error"]) < 1e-7


def test_contributions_are_the_standard_errors_and_sum_to_zero(frame, estimator):
    u = fit(estimator, frame).effect().uncertainty
    assert np.abs(u.contributions.sum(axis=0)).max() < 1e-10
    raw = np.sqrt(np.square(u.contributions @ u.loadings.T).sum(axis=0))
    if isinstance(estimator, DifferenceInDifferences) and estimator.post is None:
        sums = pd.DataFrame(u.contributions).groupby(u.clusters["unit"]).sum()
        raw = np.sqrt(np.square(sums.to_numpy() @ u.loadings.T).sum(axis=0))
    np.testing.assert_allclose(raw, u.std_error(), rtol=0.05, atol=1e-12)
    assert u.rows.labels.name in ("unit", "row")


def test_clusters_afterwards_are_those_at_fit(frame, estimator):
    """Up to the factor, which counts the rows of the regression at fit and those of the contributions afterwards."""
    at_fit = fit(estimator, frame, cluster="site").effect()
    after = at_fit.cluster("site")
    ratio = (after.table["std_error"] / at_fit.table["std_error"]).dropna()
    assert np.ptp(ratio) < 1e-8
    assert ratio.mean() == pytest.approx(1, abs=0.02)


def test_bands_and_joint_tests(frame, staggered_estimator):
    effect = fit(staggered_estimator, frame).effect()
    if "event" not in effect.weightings:
        return
    events = effect.aggregate("event")
    known = events.table["std_error"] > 0
    band, points = events.interval(simultaneous=True)[known], events.interval()[known]
    assert (band["conf_low"] < points["conf_low"]).all()
    assert (band["conf_high"] > points["conf_high"]).all()
    assert 0 <= effect.diagnostics["pre_trends"].table["p_value"].min() <= 1


# -- bad input ---------------------------------------------------------------------------------------------------------


def refused(frame, estimator, match, error=CausalDataError, **k):
    with pytest.raises(error, match=match) as caught:
        fit(estimator, frame, **k)
    assert caught.value.__cause__ is None
    assert len(str(caught.value)) < 900


def test_duplicate_rows_are_counted(frame, estimator):
    refused(pd.concat([frame, frame.iloc[:3]]), estimator, r"3 unit-period pairs have more than one row \(the first")


def test_gaps_in_time(frame, estimator):
    refused(frame[frame["time"] != 3], estimator, "gap")


def test_missing_rows(frame, estimator):
    holes = frame.copy()
    holes.iloc[:4, holes.columns.get_loc("y")] = np.nan
    refused(holes, estimator, "outcome is missing .* in 4 rows")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        effect = fit(estimator, holes, missing="drop").effect()
    assert effect.facts["n_dropped"] == 4
    expected = fit(estimator, holes.dropna(subset=["y"])).effect()
    np.testing.assert_allclose(effect.estimates, expected.estimates, rtol=1e-10)
    with pytest.raises(CausalArgumentError, match="missing='ignore'"):
        fit(estimator, frame, missing="ignore")


def test_treatment_that_switches_off(frame, staggered_estimator):
    off = frame.assign(treated=frame["treated"] * (frame["time"] < 6))
    own = {"time": "time", "unit": "unit", "treatment": "treated"}
    if isinstance(staggered_estimator, DifferenceInDifferences):
        effect = clone(staggered_estimator).fit(off[list(own.values())], off["y"], **own).effect()
        assert np.isfinite(effect.std_error)
        return
    with pytest.raises(CausalDataError, match="switches off in .*two_way"):
        clone(staggered_estimator).fit(off[list(own.values())], off["y"], **own)


def test_treatment_that_flags_units(frame, staggered_estimator):
    flag = frame.assign(treated=(frame["cohort"] > 0).astype(int))
    own = {"time": "time", "unit": "unit", "treatment": "treated"}
    with pytest.raises(CausalDataError, match="group= with post="):
        clone(staggered_estimator).fit(flag[list(own.values())], flag["y"], **own)


def test_needed_roles(frame, estimator):
    own = roles(estimator)
    without = {k: v for k, v in own.items() if k != "time"}
    with pytest.raises(CausalArgumentError, match="time="):
        clone(estimator).fit(frame[list(own.values())], frame["y"], **without)
    if not isinstance(estimator, DifferenceInDifferences | TripleDifference):
        with pytest.raises(CausalArgumentError, match="needs unit="):
            fit(estimator, frame, unit=False)


def test_clusters_that_split_units(frame, estimator):
    if isinstance(estimator, DifferenceInDifferences) and estimator.post is None:
        return  # rows have clusters of their own there
    refused(frame.assign(c=frame["time"] % 2), estimator, "cluster changes within 120 units", cluster="c")


def test_few_treated_units_are_warned_of(estimator):
    frame = make(n=12)
    with pytest.warns(FewTreatedWarning, match="randomisation inference"):
        fit(estimator, frame)


def test_a_cohort_of_one_unit_has_no_standard_error():
    frame = make(n=60, cohorts=(0,) * 6 + (3,) * 4)
    one = frame["unit"] == frame["unit"][frame["cohort"] == 0].iloc[0]
    frame.loc[one, "cohort"] = 5.0
    for estimator in (ImputationDiD(), SunAbraham(), StackedDiD()):
        with pytest.warns(StandardErrorWarning), pytest.warns(FewTreatedWarning):
            effect = fit(estimator, frame).effect()
        own = effect.table[effect.table.index.get_level_values("cohort") == 5]
        rest = effect.table[effect.table.index.get_level_values("cohort") == 3]
        assert own.loc[own["std_error"] != 0, "std_error"].isna().all()
        assert rest["std_error"].notna().all()


def test_one_treated_unit_has_no_standard_error():
    """The textbook's 2x2 with one treated state: clustered errors would be small, and wrong."""
    frame = make(n=30)
    frame["group"] = (frame["unit"] == "u00003").astype(int)
    with pytest.warns(StandardErrorWarning), pytest.warns(FewTreatedWarning):
        assert np.isnan(fit(DifferenceInDifferences(post=4), frame).effect().std_error)


def test_always_treated_units_are_dropped_and_counted(frame):
    frame = frame.assign(cohort=frame["cohort"].where(frame["unit"] != frame["unit"].iloc[0], 1.0))
    for estimator in (ImputationDiD(), SunAbraham(), StackedDiD()):
        effect = fit(estimator, frame).effect()
        assert any("always" in text or "first period" in text for text in effect.warnings), effect.warnings


def test_errors_are_ours(frame, estimator):
    for change in (
        {"time": 1},
        {"cohort": 0.0, "group": 0, "treated": 0},
        {"y": 1.0},
    ):
        with pytest.raises(CausalError):
            fit(estimator, frame.assign(**change))
