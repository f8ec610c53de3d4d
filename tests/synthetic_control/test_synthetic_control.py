"""Synthetic comparisons as estimators: contract, invariances, inference, checks, bad input."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from pandas_causal import (
    AIPW,
    AugmentedSyntheticControl,
    MatrixCompletion,
    SyntheticControl,
    SyntheticDiD,
    bootstrap,
)
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    CausalDataError,
    CausalError,
    CausalWarning,
    FewTreatedWarning,
)
from pandas_causal.synthetic_control.simplex import simplex_weights
from tests.synthetic_control.designs import ROLES, ask, factor_panel

PLAIN = {"unit_weights": "equal", "time_weights": "equal"}
ESTIMATORS = [
    SyntheticDiD(),
    SyntheticDiD(**PLAIN),
    SyntheticControl(),
    AugmentedSyntheticControl(),
    MatrixCompletion(n_penalties=4, folds=3),
]
IDS = ["sdid", "did", "sc", "augmented", "mcnnm"]
CLASSES = [SyntheticDiD, SyntheticControl, AugmentedSyntheticControl, MatrixCompletion]
X = ["unit", "time", "treated"]


def fit(estimator, frame, **more):
    roles = {"unit": "unit", "time": "time", "treatment": "treated", **more}
    return clone(estimator).fit(frame[X], frame["outcome"], **roles)


@pytest.fixture(scope="module")
def frame():
    return factor_panel(0, n=14, n_periods=14, starts=(9,), effect=2.0, alike=False)


each = pytest.mark.parametrize("estimator", ESTIMATORS, ids=IDS)


# The contract


@pytest.mark.parametrize("cls", CLASSES)
def test_parameters(cls):
    model = cls()
    params = model.get_params()
    assert clone(model).get_params() == params
    assert cls().set_params(**params).get_params() == params
    assert all(getattr(model, name) == value for name, value in params.items())


@each
def test_same_result_however_it_is_given(estimator, frame):
    """Arrays or names, shuffled rows, other indexes, other dtypes, relabelled in order: to 1e-10."""
    base = fit(estimator, frame).effect()
    shuffled = frame.sample(frac=1, random_state=1)
    arrays = clone(estimator).fit(
        None, frame["outcome"].to_numpy(), unit=frame["unit"].to_numpy(), time=frame["time"].to_numpy(),
        treatment=frame["treated"].to_numpy(),
    )  # fmt: skip
    cohort = clone(estimator).fit(
        frame[["unit", "time", "first"]], frame["outcome"], unit="unit", time="time", cohort="first"
    )
    others = [
        fit(estimator, shuffled),
        fit(estimator, frame.set_axis(frame.index[::-1] * 3)),
        fit(estimator, frame.drop(columns="first").convert_dtypes()),
        fit(estimator, frame.astype({"treated": bool, "time": float})),
        fit(estimator, frame.assign(time=pd.date_range("2020-01-01", periods=14, freq="MS")[frame["time"]])),
        fit(estimator, frame.assign(unit="s" + frame["unit"])),
        arrays,
        cohort,
    ]
    for other in others:
        found = other.effect()
        assert found.estimate == pytest.approx(base.estimate, rel=1e-10)
        assert found.std_error == pytest.approx(base.std_error, rel=1e-9)
        assert found.p_value == base.p_value


@each
def test_arrow_dtypes(estimator, frame):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    found = fit(estimator, frame.drop(columns="first").convert_dtypes(dtype_backend="pyarrow")).effect()
    assert found.estimate == pytest.approx(fit(estimator, frame).effect().estimate, rel=1e-10)


@each
def test_scale_and_shift_of_the_outcome(estimator, frame):
    base = fit(estimator, frame).effect()
    scaled = fit(estimator, frame.assign(outcome=1e6 - 1e3 * frame["outcome"])).effect()
    assert scaled.estimate == pytest.approx(-1e3 * base.estimate, rel=1e-5)
    assert scaled.p_value == base.p_value


@each
def test_pickle_and_refit(estimator, frame):
    model = fit(estimator, frame)
    again = pickle.loads(pickle.dumps(model))
    assert again.effect().estimate == model.effect().estimate
    assert fit(model, frame).effect().estimate == model.effect().estimate
    assert "average" in repr(model.effect())
    assert model.effect().compact().estimate == model.effect().estimate
    assert model.effect().glance()["n_donors"].item() == 13


@each
def test_frame_is_not_changed(estimator, frame):
    before = frame.copy(deep=True)
    fit(estimator, frame)
    pd.testing.assert_frame_equal(frame, before)


@each
def test_missing(estimator, frame):
    """A donor without its last outcome: an error; dropped, it is a gap, which matrix completion alone allows."""
    holed = frame.copy()
    holed.loc[holed.index[-1], "outcome"] = np.nan
    with pytest.raises(CausalDataError, match="outcome is missing"):
        fit(estimator, holed)
    if isinstance(estimator, MatrixCompletion):
        assert fit(estimator, holed, missing="drop").effect().facts["n_dropped"] == 1
        holed.loc[13, "outcome"] = np.nan  # the treated unit's last
        with pytest.raises(CausalDataError, match="1 treated units lack periods.*'u000'"):
            fit(estimator, holed, missing="drop")
    else:
        with pytest.raises(CausalDataError, match=r"1 units lack periods \(the first is 'u013', no row in 13\)"):
            fit(estimator, holed, missing="drop")


@each
def test_same_seed_same_result(estimator):
    several = factor_panel(1, n=14, n_periods=12, starts=(8, 8, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        settings = {"random_state": 3, "n_draws": 20}
        a, b = (fit(clone(estimator).set_params(**settings), several).effect() for _ in range(2))
        c = fit(clone(estimator).set_params(random_state=4, n_draws=20), several).effect()
    assert a.std_error == b.std_error
    assert a.std_error != c.std_error


def test_bootstrap_is_refused(frame):
    with pytest.raises(CausalArgumentError, match="placebo, permutation, jackknife or conformal"):
        bootstrap(SyntheticDiD(), frame[X], frame["outcome"], unit="unit", time="time", treatment="treated")


# Rows and averages


@each
def test_average_is_the_average_of_the_periods(estimator, frame):
    average = fit(estimator, frame).effect()
    rows = fit(clone(estimator).set_params(by_period=True), frame).effect()
    assert rows.estimates.index.tolist() == [9, 10, 11, 12, 13]
    assert rows.estimates.index.name == "time"
    assert rows.aggregate("average").estimate == pytest.approx(average.estimate)
    assert rows.aggregate("average").std_error == pytest.approx(average.std_error)
    gap = average.diagnostics["gap"].table
    np.testing.assert_allclose(gap.loc[9:, "gap"], rows.estimates, atol=1e-9)
    np.testing.assert_allclose(gap["actual"] - gap["synthetic"], gap["gap"])


@each
def test_several_starts_by_hand(estimator):
    """Separate fits of the cohorts, averaged by treated unit-periods (matrix completion fills both at once)."""
    both = factor_panel(2, n=16, n_periods=14, starts=(8, 8, 11), effect=1.0)
    early, late = both[both["first"] != 11], both[both["first"] != 8]
    if isinstance(estimator, MatrixCompletion):
        estimator = MatrixCompletion(penalty=1e3)  # effects alone
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        whole = fit(estimator, both).effect()
        parts = [fit(estimator, part).effect().estimate for part in (early, late)]
        rows = fit(clone(estimator).set_params(by_period=True), both).effect()
    expected = (12 * parts[0] + 3 * parts[1]) / 15
    assert whole.estimate == pytest.approx(expected, abs=0.3 if isinstance(estimator, MatrixCompletion) else 1e-9)
    assert rows.estimates.index.name == "event"
    assert rows.aggregate("average").estimate == pytest.approx(whole.estimate)


def test_pooled_or_one_each():
    several = factor_panel(4, n=16, n_periods=14, starts=(9, 9), alike=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        each_one, pooled = ask(several, estimator="sc"), ask(several, estimator=SyntheticControl(pooled=True))
    wide = several.pivot_table(index="unit", columns="time", values="outcome").to_numpy()
    gaps = [wide[i] - simplex_weights(wide[2:, :9], wide[i, :9]) @ wide[2:] for i in (0, 1)]
    assert each_one.estimate == pytest.approx(np.mean(gaps, axis=0)[9:].mean())
    mean = wide[:2].mean(axis=0)
    assert pooled.estimate == pytest.approx((mean - simplex_weights(wide[2:, :9], mean[:9]) @ wide[2:])[9:].mean())
    assert list(each_one.estimator.unit_weights_.columns) == ["u000, from 9", "u001, from 9"]
    assert list(pooled.estimator.unit_weights_.columns) == ["2 units, from 9"]


# Inference


def test_placebo_by_hand(frame):
    """Thirteen donors play in turn; p by rank; the set inverts the test."""
    effect = ask(frame, estimator="sc")
    wide = frame.pivot_table(index="unit", columns="time", values="outcome").to_numpy()
    null = []
    for i in range(1, 14):
        rest = [j for j in range(1, 14) if j != i]
        null.append((wide[i] - simplex_weights(wide[rest, :9], wide[i, :9]) @ wide[rest])[9:].mean())
    null = np.array(null)
    assert effect.p_value == (1 + (np.abs(null) >= abs(effect.estimate)).sum()) / 14
    assert effect.std_error == pytest.approx(null.std(ddof=1))
    low, high = effect.confidence_set(0.8).iloc[0]
    reach = np.sort(np.abs(null))[::-1][1]  # two of fourteen are needed for p over 0.2
    assert [low, high] == pytest.approx([effect.estimate - reach, effect.estimate + reach])
    assert np.isinf(effect.confidence_set(0.95).to_numpy()).all()  # no p-value is under 1/14
    assert np.isnan(effect.conf_low)
    with pytest.raises(CausalError, match="no percentile interval"):
        effect.interval()


@pytest.mark.parametrize("estimator", ["sc", "sdid", "augmented"])
def test_permutation_by_hand(frame, estimator):
    effect = ask(frame, estimator=estimator, inference="permutation")
    table = effect.diagnostics["rmspe_ratio"].table
    own = table.loc["(treated)", "ratio"]
    assert effect.p_value == pytest.approx((table["ratio"] >= own).mean())
    gap = effect.diagnostics["gap"].table
    after = np.sqrt(np.square(gap.loc[gap["treated"], "gap"]).mean())
    assert table.loc["(treated)", "after"] == pytest.approx(after)
    ratio_set = effect.confidence_set(0.8)
    ratios = np.sort(table["ratio"].iloc[1:])[::-1]
    before = table.loc["(treated)", "before"]
    for end in ratio_set.iloc[0]:  # at its ends the ratio is the second largest placebo's
        shifted = np.sqrt(np.square(gap.loc[gap["treated"], "gap"] - end).mean()) / before
        assert shifted == pytest.approx(ratios[1])
    rows = ask(frame, estimator=estimator, inference="permutation", by_period=True)
    assert len(rows.confidence_set(0.8)) == 5


@pytest.mark.parametrize("estimator", ["sc", "did", "augmented"])
def test_conformal_set_inverts_the_test(frame, estimator):
    effect = ask(frame, estimator=estimator, inference="conformal")
    level = 0.7
    pieces = effect.confidence_set(level).to_numpy()
    alpha = 1 - level

    def p_of(value):
        shifted = frame.assign(outcome=frame["outcome"] - value * frame["treated"])
        if estimator == "augmented":
            return ask(
                shifted,
                estimator=AugmentedSyntheticControl(ridge=float(effect.estimator.ridge_[0])),
                inference="conformal",
            ).p_value
        return ask(shifted, estimator=estimator, inference="conformal").p_value

    assert p_of(0.0) == pytest.approx(effect.p_value)
    for low, high in pieces:
        for end, inside in ((low, 1), (high, -1)):
            if np.isfinite(end):
                assert p_of(end + inside * 1e-5) > alpha
                assert p_of(end - inside * 1e-5) <= alpha
    rows = ask(frame, estimator=estimator, inference="conformal", by_period=True)
    assert rows.table["p_value"].min() >= 1 / 10


def test_joint_test_ranks_the_largest_period(frame):
    """Thirteen placebos cannot give less than 1/14, whatever a chi-squared law says."""
    effect = ask(frame, by_period=True)
    every = np.vstack([effect.estimates, effect.uncertainty.values()])
    largest = np.abs(every / np.sqrt(np.square(every).mean(axis=0))).max(axis=1)
    assert effect.test_zero().p_value == (largest >= largest[0]).mean() >= 1 / 14


def test_jackknife_is_a_contribution_of_every_unit():
    several = factor_panel(3, n=30, n_periods=12, starts=(8,) * 12, effect=1.0)
    effect = ask(several, estimator="sdid", inference="jackknife")
    u = effect.uncertainty
    assert u.contributions.shape == (30, 1)
    np.testing.assert_allclose(u.contributions.sum(axis=0), 0, atol=1e-12)
    assert effect.std_error == pytest.approx(np.sqrt(30 / 29 * np.square(u.contributions @ u.loadings[0]).sum()))
    halves = np.arange(30) // 2
    assert effect.cluster(halves).std_error > 0
    rows = ask(several, estimator="sdid", inference="jackknife", by_period=True)
    assert rows.aggregate("average").std_error == pytest.approx(effect.std_error)
    assert rows.interval(simultaneous=True).shape == (4, 2)
    assert np.isfinite(effect.conf_low)


def test_jackknife_of_few_units_is_warned_of():
    several = factor_panel(3, n=20, n_periods=12, starts=(8, 8, 8), alike=False)
    with pytest.warns(FewTreatedWarning, match="3 treated units.*inference='placebo'"):
        ask(several, estimator="did", inference="jackknife")


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.AssumptionWarning")
@pytest.mark.parametrize("estimator", ["sc", "augmented", "did"])
def test_one_donor_is_told_of_the_inference_that_works(frame, estimator):
    few = frame[frame["unit"].isin(["u000", "u001"])]
    with pytest.raises(CausalDataError, match="1 donors cannot play 1 treated units.*use inference='conformal', which"):
        ask(few, estimator=estimator)
    assert 0 < ask(few, estimator=estimator, inference="conformal").p_value <= 1


def test_inference_without_room_is_refused(frame):
    with pytest.raises(CausalDataError, match="two treated units at every start.*inference='placebo'"):
        ask(frame, inference="jackknife")
    few = frame[frame["unit"].isin(["u000", "u001"])]
    with pytest.raises(CausalDataError, match="1 donors cannot play 1 .*use SyntheticControl.inference='conformal'"):
        ask(few)
    with pytest.raises(CausalArgumentError, match="which time weights"):
        ask(frame, inference="conformal")
    several = factor_panel(4, n=16, n_periods=14, starts=(9, 9), alike=False)
    with pytest.raises(CausalDataError, match=r"one treated path, and there are 2.*pooled=True"):
        ask(several, estimator="sc", inference="conformal")
    with pytest.raises(CausalArgumentError, match="predictors are means from before"):
        ask(frame, estimator=SyntheticControl(lags=[3]), inference="conformal")


# Checks and warnings


def test_checks(frame):
    effect = ask(frame, estimator="sc")
    checks = effect.diagnostics
    assert checks["pre_fit"].passed
    assert checks["pre_fit"].table["rmspe"].iloc[0] == pytest.approx(effect.facts["pre_rmspe"])
    out = checks["leave_one_out"].table
    donor = out.index[0]
    assert donor == checks["unit_weights"].table.index[0]
    without = ask(frame[frame["unit"] != donor], estimator="sc")
    assert out.loc[donor, "estimate"] == pytest.approx(without.estimate)
    in_time = checks["in_time_placebo"].table
    early = frame[frame["time"] < 9].assign(treated=lambda d: ((d["unit"] == "u000") & (d["time"] >= 6)).astype(int))
    assert in_time.loc[6, "estimate"] == pytest.approx(ask(early, estimator="sc").estimate)
    paths = checks["placebo"].table
    assert paths.shape == (14, 14)
    np.testing.assert_allclose(paths.loc["(treated)"], checks["gap"].table["gap"])
    assert "Check pre_fit (passed)" in effect.summary()


def test_outside_the_hull_is_warned_of_with_the_pre_fit_error(frame):
    far = frame.assign(outcome=frame["outcome"] + 30 * (frame["unit"] == "u000"))
    with pytest.warns(AssumptionWarning, match=r"donors cannot match u000, from 9: before treatment the gap is \d+"):
        effect = ask(far, estimator="sc")
    assert effect.diagnostics["pre_fit"].passed is False
    assert any("cannot match" in text for text in effect.warnings)
    assert ask(far).diagnostics["pre_fit"].passed  # an intercept takes levels out
    trending = frame.assign(outcome=frame["outcome"] + 3.0 * frame["time"] * (frame["unit"] == "u000"))
    with pytest.warns(AssumptionWarning, match="of what noise leaves"):
        ask(trending)


def test_exact_fit_is_warned_of():
    short = factor_panel(5, n=40, n_periods=4, starts=(2,), alike=False)
    with pytest.warns(AssumptionWarning, match=r"39 donors fit u000, from 2 exactly before treatment \(2 periods\)"):
        ask(short, estimator="sc")


# Bad input


def test_bad_panels(frame):
    with pytest.raises(CausalDataError, match="no unit is never treated, so there is no donor"):
        ask(frame.assign(treated=(frame["time"] >= 9).astype(int)))
    with pytest.raises(CausalDataError, match="more than one row"):
        ask(pd.concat([frame, frame.iloc[:3]], ignore_index=True))
    off = frame.assign(treated=frame["treated"] * (frame["time"] != 12))
    with pytest.raises(CausalDataError, match="treatment switches off in 1 units"):
        ask(off)
    with pytest.raises(CausalDataError, match=r"13 units lack periods|units lack periods"):
        ask(frame[~((frame["unit"] == "u003") & (frame["time"] == 5))])
    with pytest.raises(CausalDataError, match="gap|no row"):
        ask(frame[frame["time"] != 5])
    with pytest.raises(CausalDataError, match="never changes within any unit"):
        ask(frame.assign(treated=(frame["unit"] == "u000").astype(int)))
    with pytest.raises(CausalDataError, match="outcome is not numeric"):
        ask(frame.assign(outcome=frame["outcome"].astype(str)))
    always = frame.assign(treated=frame["treated"] | (frame["unit"] == "u001"))
    assert any("1 units treated in the first period" in note for note in ask(always).warnings)


def test_one_period_before_treatment(frame):
    one = frame.assign(treated=((frame["unit"] == "u000") & (frame["time"] >= 1)).astype(int))
    for estimator in ("sdid", "sc", "augmented", "mcnnm"):
        with pytest.raises(CausalDataError, match=r"treated from 1, after 1 period.*estimator='did'"):
            ask(one, estimator=estimator)
    assert np.isfinite(ask(one, estimator="did").estimate)
    none = frame.assign(treated=(frame["unit"] == "u000").astype(int) * (frame["time"] >= 0))
    with pytest.raises(CausalDataError, match=r"never changes within any unit|first period"):
        ask(none)


def test_bad_arguments(frame):
    with pytest.raises(CausalArgumentError, match=r"use one of \['sdid', 'sc', 'augmented', 'mcnnm', 'did'\]"):
        ask(frame, estimator="synth")
    with pytest.raises(CausalArgumentError, match="needs unit="):
        SyntheticDiD().fit(frame[X], frame["outcome"], time="time", treatment="treated")
    with pytest.raises(CausalArgumentError, match="exactly one of cohort="):
        frame.causal.synthetic_control(outcome="outcome", unit="unit", time="time")
    with pytest.raises(CausalDataError, match="is no column"):
        ask(frame, unit="state")
    with pytest.raises(CausalArgumentError, match="takes no covariates, and got"):
        ask(frame.assign(x=frame["time"] + (frame["unit"] == "u003")), covariates=["x"])
    with pytest.raises(CausalArgumentError, match="has no setting 'inference'"):
        ask(frame, estimator=AIPW(), inference="placebo")


@pytest.mark.filterwarnings("ignore:donors cannot match")
def test_bad_predictors(frame):
    x = frame.assign(x=np.arange(len(frame)) % 7 + frame["time"] * 0.1, z=1.0, text="a")
    with pytest.raises(CausalArgumentError, match="windows names 'w'"):
        ask(x, covariates=["x"], estimator=SyntheticControl(windows={"w": [1]}))
    with pytest.raises(CausalArgumentError, match=r"holds 12, which is no period of time before treatment \(0 to 8\)"):
        ask(x, estimator=SyntheticControl(lags=[3, 12]))
    with pytest.raises(CausalDataError, match="z: is the same for every unit"):
        ask(x, covariates=["x", "z"], estimator="sc")
    with pytest.raises(CausalDataError, match="text: is no numeric predictor"):
        ask(x, covariates=["text"], estimator="sc")
    x.loc[x["unit"] == "u004", "x"] = np.nan
    with pytest.raises(CausalDataError, match="no value in its periods before treatment for 1 units.*'u004'"):
        ask(x, covariates=["x"], estimator="sc")
    x["x"] = x["x"].fillna(3.0) + (x["unit"] == "u004")
    x.loc[x.index[3], "x"] = np.nan  # left out of one mean
    effect = ask(x, covariates=["x"], estimator=SyntheticControl(lags=[3, [4, 5]]))
    assert effect.diagnostics["predictors"].table.index.tolist() == ["x", "outcome 3", "outcome 4 to 5"]
    given = SyntheticControl(lags=[3], predictor_weights={"x": 1.0, "outcome 3": 3.0})
    assert ask(x, covariates=["x"], estimator=given).estimator.predictor_weights_.iloc[:, 0].tolist() == [0.25, 0.75]
    with pytest.raises(CausalArgumentError, match="predictor_weights names 'q'"):
        ask(x, covariates=["x"], estimator=SyntheticControl(predictor_weights={"q": 1}))


WRONG = {
    "unit_weights": ["best", None, 1],
    "time_weights": ["best", None, 1],
    "zeta": [-1.0, np.inf, "big", True],
    "inference": ["bootstrap", None, 3],
    "by_period": ["yes", None, 2],
    "n_draws": [9, 10.5, "many", None],
    "level": [0, 1, 95, None],
    "random_state": [-1, 1.5, "seed"],
    "lags": [3, "1975"],
    "windows": [[1, 2], "x"],
    "predictor_weights": ["best", 1.0, {"x": -1}],
    "pooled": ["yes", None],
    "ridge": [0, -1.0, np.inf, "big", None],
    "penalty": [0, -1.0, np.inf, "big", None],
    "folds": [1, 2.5, None],
    "n_penalties": [1, 2.5, None],
}
CASES = [(cls, name, value) for cls in CLASSES for name in cls().get_params() for value in WRONG[name]]


@pytest.mark.parametrize(("cls", "name", "value"), CASES)
def test_wrong_setting(cls, name, value, frame):
    given = frame.assign(x=frame["time"] * 1.0 + (frame["unit"] == "u002")) if cls is SyntheticControl else frame
    columns = [*X, "x"] if cls is SyntheticControl else X
    with pytest.raises(CausalArgumentError) as error:
        cls(**{name: value}).fit(given[columns], given["outcome"], unit="unit", time="time", treatment="treated")
    assert name in str(error.value)
    assert error.value.__cause__ is None


def test_names_of_the_call_in_the_issue(frame):
    for estimator in ("sdid", "sc", "augmented", "mcnnm", "did", SyntheticControl(pooled=True)):
        assert np.isfinite(frame.causal.synthetic_control(**ROLES, estimator=estimator).estimate)


def test_jackknife_of_the_average_lets_the_starts_weights_change():
    """Leaving a unit out changes how much its start counts: equal to leaving it out of the double difference itself."""
    rng = np.random.default_rng(0)
    n, T = 30, 10
    start = np.full(n, np.inf)
    start[:6], start[6:8] = 5, 8
    frame = pd.DataFrame({"u": np.repeat(np.arange(n), T), "t": np.tile(np.arange(T), n)})
    frame["g"] = start[frame["u"]]
    frame["y"] = rng.normal(size=n)[frame["u"]] + (frame["t"] >= frame["g"]) * np.where(frame["g"] == 5, 1, 9.0)
    frame["y"] += 0.2 * rng.normal(size=n * T)

    def by_hand(some):
        wide, g = some.pivot_table(index="u", columns="t", values="y"), some.groupby("u")["g"].first()
        total, count = 0.0, 0
        for k in (5, 8):
            change = wide.loc[:, k:].mean(axis=1) - wide.loc[:, : k - 1].mean(axis=1)
            size = int((g == k).sum()) * (T - k)
            total, count = total + (change[g == k].mean() - change[np.isinf(g)].mean()) * size, count + size
        return total / count

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CausalWarning)
        effect = frame.causal.synthetic_control(
            outcome="y", unit="u", time="t", cohort="g", estimator="did", inference="jackknife"
        )
    left = np.array([by_hand(frame[frame["u"] != i]) for i in range(n)])
    assert effect.estimate == pytest.approx(by_hand(frame))
    assert effect.std_error == pytest.approx(np.sqrt((n - 1) / n * np.square(left - left.mean()).sum()))


def test_ridge_weights_do_not_see_the_level_of_the_outcome(frame):
    plain = ask(frame, estimator="augmented").estimate
    lifted = ask(frame.assign(outcome=frame["outcome"] + 1e8), estimator="augmented").estimate
    assert lifted == pytest.approx(plain, rel=1e-6)
