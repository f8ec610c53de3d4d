"""How strong a confounder must be: what is reported, what is refused, what does not depend on units or order."""

from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

from pandas_causal import (
    AIPW,
    IPW,
    TMLE,
    InteractiveIV,
    PartialLinearIV,
    RegressionAdjustment,
    confounder_strength,
)
from pandas_causal.errors import CausalArgumentError, CausalError

COVARIATES = ["age", "severity", "site"]
PLAIN = RegressionAdjustment(interactions=False)
FAST = AIPW(outcome_model="linear", propensity_model="linear")


def clinic(n=600, seed=0, arms=2):
    rng = np.random.default_rng(seed)
    age, severity = rng.normal(50, 10, n), rng.normal(size=n)
    site = rng.choice(["north", "south", "west"], n)
    score = 0.05 * (age - 50) + 0.6 * severity + rng.normal(size=n)
    arm = np.digitize(score, np.linspace(-0.5, 0.5, arms - 1) if arms > 2 else [0.0])
    y = 2.0 * arm + 0.1 * age - severity + (site == "west") + 2 * rng.normal(size=n)
    return pd.DataFrame({"age": age, "severity": severity, "site": site, "arm": arm, "y": y})


def ask(frame, estimator=PLAIN, **settings):
    return frame.causal.ate(
        treatment="arm", outcome="y", covariates=COVARIATES, estimator=estimator, **settings
    )  # fmt: skip


@pytest.fixture(scope="module")
def frame():
    return clinic()


def test_coefficient_is_answered_by_partial_r2(frame):
    effect = ask(frame)
    found = effect.sensitivity()
    row = found.table.iloc[0]
    assert found.kind == "partial R2"
    assert found.passed is None
    assert row["estimate"] == pytest.approx(effect.estimate)
    same = confounder_strength(row["estimate"], row["std_error"], row["df"])
    assert same.table.iloc[0]["robustness_value"] == pytest.approx(row["robustness_value"])
    assert same.table.iloc[0]["robustness_value_interval"] == pytest.approx(row["robustness_value_interval"])
    assert list(dict.fromkeys(found.benchmarks.index.get_level_values("benchmark"))) == COVARIATES
    assert "one as strong as" in found.summary


def test_category_is_one_benchmark_of_all_its_levels(frame):
    found = ask(frame).sensitivity(benchmarks={"where": ["site"], "who": ["age", "severity"]}, times=[1]).benchmarks
    X = pd.get_dummies(frame[COVARIATES], drop_first=True, dtype=float).assign(one=1.0)
    rest = X[["one", "age", "severity"]]
    d, y = frame["arm"].to_numpy(dtype=float), frame["y"].to_numpy()

    def rss(target, columns):
        b = np.linalg.lstsq(columns.to_numpy(), target, rcond=None)[0]
        return float(np.square(target - columns.to_numpy() @ b).sum())

    where = found.xs("where", level="benchmark").iloc[0]
    assert where["observed_r2_treatment"] == pytest.approx(1 - rss(d, X) / rss(d, rest), rel=1e-8)
    assert where["observed_r2_outcome"] == pytest.approx(1 - rss(y, X.assign(d=d)) / rss(y, rest.assign(d=d)), rel=1e-8)


def test_units_of_the_outcome_change_no_strength(frame):
    one, other = (ask(f).sensitivity() for f in (frame, frame.assign(y=1000 * frame["y"] + 7)))
    pd.testing.assert_series_equal(one.table["robustness_value"], other.table["robustness_value"], rtol=1e-8)
    columns = ["r2_treatment", "r2_outcome"]
    pd.testing.assert_frame_equal(one.benchmarks[columns], other.benchmarks[columns], rtol=1e-8)
    np.testing.assert_allclose(1000 * one.benchmarks["estimate"], other.benchmarks["estimate"], rtol=1e-8)


@pytest.mark.parametrize("estimator", [PLAIN, RegressionAdjustment(), FAST], ids=["plain", "lin", "aipw"])
def test_swapped_arms_are_as_robust(frame, estimator):
    one = ask(frame, estimator, control=0).sensitivity()
    other = ask(frame, estimator, control=1).sensitivity()
    np.testing.assert_allclose(one.table["estimate"], -other.table["estimate"], rtol=1e-8)
    np.testing.assert_allclose(one.table.filter(like="value"), other.table.filter(like="value"), rtol=1e-6)


@pytest.mark.parametrize("estimator", [PLAIN, RegressionAdjustment(), FAST], ids=["plain", "lin", "aipw"])
def test_order_of_rows_changes_nothing(frame, estimator):
    shuffled = frame.sample(frac=1, random_state=1)
    settings = {"cv": [(np.arange(300), np.arange(300, 600)), (np.arange(300, 600), np.arange(300))]}
    if estimator is FAST:
        place = np.argsort(shuffled.index.to_numpy())
        moved = {"cv": [(place[a], place[b]) for a, b in settings["cv"]]}
        pair = [AIPW(**FAST.get_params() | s) for s in (settings, moved)]
    else:
        pair = [estimator, estimator]
    tables = [ask(f, e).sensitivity().table for f, e in zip((frame, shuffled), pair, strict=True)]
    pd.testing.assert_frame_equal(tables[0], tables[1], rtol=1e-6)


def test_regression_in_every_arm_without_effects_that_vary_is_near_the_plain_one(frame):
    plain, lin = ask(frame).sensitivity().table.iloc[0], ask(frame, RegressionAdjustment()).sensitivity().table.iloc[0]
    assert lin["robustness_value"] == pytest.approx(plain["robustness_value"], abs=0.03)


def test_weight_of_two_is_two_rows(frame):
    w = pd.Series(np.arange(len(frame)) % 2 + 1.0, index=frame.index)
    twice = frame.loc[frame.index.repeat(w.astype(int))].reset_index(drop=True)
    for estimator in (PLAIN, RegressionAdjustment()):
        one = ask(frame.assign(w=w), estimator, sample_weight="w").sensitivity()
        other = ask(twice, estimator).sensitivity()
        if estimator is PLAIN:
            columns = ["observed_r2_treatment", "observed_r2_outcome"]
            np.testing.assert_allclose(one.benchmarks[columns], other.benchmarks[columns], rtol=1e-8)
        else:
            np.testing.assert_allclose(one.table["robustness_value"], other.table["robustness_value"], rtol=1e-8)


def test_interval_without_confounder_is_the_effects_own(frame):
    for estimator in (FAST, TMLE(**FAST.get_params()), RegressionAdjustment()):
        effect = ask(frame, estimator)
        none = effect.sensitivity().bounds(0.0, 0.0).iloc[0]
        assert none["conf_low"] == pytest.approx(effect.conf_low)
        assert none["conf_high"] == pytest.approx(effect.conf_high)


def test_clustered_interval_without_confounder_is_the_effects_own(frame):
    effect = ask(frame.assign(ward=np.arange(len(frame)) // 10), FAST, cluster="ward")
    none = effect.sensitivity().bounds(0.0, 0.0).iloc[0]
    assert none["conf_low"] == pytest.approx(effect.conf_low)
    wider = effect.sensitivity().bounds(0.05, 0.05).iloc[0]
    assert wider["conf_low"] < wider["low"] < none["low"]


def test_robustness_is_where_the_bounds_touch(frame):
    for estimator in (PLAIN, FAST, RegressionAdjustment()):
        found = ask(frame, estimator).sensitivity(null=1.0)
        row = found.table.iloc[0]
        r = row["robustness_value"]
        assert found.bounds(r, r).iloc[0]["low"] == pytest.approx(1.0, abs=1e-9)
        r = row["robustness_value_interval"]
        if estimator is not PLAIN:  # least squares: within its shares, a weaker pull on the outcome may do more
            assert found.bounds(r, r).iloc[0]["conf_low"] == pytest.approx(1.0, abs=1e-9)
        extreme = row["extreme_robustness_value"]
        assert found.bounds(extreme, 1.0).iloc[0]["low"] == pytest.approx(1.0, abs=1e-9)


def test_several_arms_have_a_row_each():
    effect = ask(clinic(arms=3), FAST)
    found = effect.sensitivity()
    assert list(found.table.index) == list(effect.estimates.index)
    one = effect[effect.estimates.index[1]].sensitivity()
    pd.testing.assert_series_equal(found.table.iloc[1], one.table.iloc[0])
    plain = ask(clinic(arms=3)).sensitivity()
    assert len(plain.table) == 2
    assert plain.contour(plain.table.index[1])["estimate"].iloc[0] == pytest.approx(plain.table["estimate"].iloc[1])
    with pytest.raises(CausalArgumentError, match=r"row=None: there are \['1 - 0', '2 - 0'\]"):
        plain.contour()


def test_difference_of_two_arms_is_a_contrast_too():
    effect = ask(clinic(arms=3), FAST)
    between = effect.linear([[-1.0, 1.0]], ["2 - 1"])
    row = between.sensitivity().table.iloc[0]
    assert row["estimate"] == pytest.approx(between.estimate)
    assert 0 < row["robustness_value"] < 1
    with pytest.raises(CausalError, match="before it was mapped"):
        ask(clinic(arms=3)).linear([[-1.0, 1.0]], ["2 - 1"]).sensitivity()


def test_benchmarks_of_learners_are_effects_without_a_covariate(frame):
    effect = ask(frame, FAST)
    without = {
        "severity": frame.causal.ate(treatment="arm", outcome="y", covariates=["age", "site"], estimator=FAST),
        "site": frame.causal.ate(treatment="arm", outcome="y", covariates=["age", "severity"], estimator=FAST),
    }
    marks = effect.sensitivity(benchmarks=without, times=[1]).benchmarks
    assert marks.loc[("1 - 0", "severity", 1.0), "r2_outcome"] > 0.1
    assert marks.loc[("1 - 0", "severity", 1.0), "r2_treatment"] > 0.1
    assert marks.loc[("1 - 0", "site", 1.0), "r2_treatment"] < 0.05


def test_benchmarks_by_name_are_fitted_by_the_study(frame):
    """An effect that knows its data leaves the covariates out by itself."""
    effect = ask(frame, FAST)
    if getattr(effect, "study", None) is None:  # what the benchmarks read of a study

        def refit(covariates):
            return frame.causal.ate(treatment="arm", outcome="y", covariates=list(covariates), estimator=FAST)

        study = SimpleNamespace(
            data=SimpleNamespace(covariates=frame[COVARIATES]), refit=lambda covariates: refit(covariates)
        )
        object.__setattr__(effect, "study", study)
    without = frame.causal.ate(treatment="arm", outcome="y", covariates=["age", "site"], estimator=FAST)
    own = effect.sensitivity(benchmarks=["severity"]).benchmarks
    pd.testing.assert_frame_equal(own, effect.sensitivity(benchmarks={"severity": without}).benchmarks)
    group = effect.sensitivity(benchmarks={"both": ["age", "severity"]}, times=[1]).benchmarks
    assert group["r2_treatment"].iloc[0] > own["r2_treatment"].iloc[0]
    with pytest.raises(CausalArgumentError, match="'agee' is no covariate"):
        effect.sensitivity(benchmarks=["agee"])


def test_e_value_stands_beside(frame):
    for estimator in (PLAIN, FAST):
        effect = ask(frame, estimator)
        found = effect.sensitivity().e_value
        pd.testing.assert_frame_equal(found.table, effect.sensitivity("e_value").table)
    effect = encouraged().causal.iv(treatment="d", outcome="y", instrument="z", covariates=["x"])
    assert effect.sensitivity().e_value is None


def test_att_and_trimmed_rows(frame):
    for settings in ({"estimand": "ATT"}, {"trim": 0.1}, {"estimand": "ATC"}):
        effect = ask(frame, AIPW(**FAST.get_params() | settings))
        found = effect.sensitivity()
        none = found.bounds(0.0, 0.0).iloc[0]
        assert (none["conf_low"], none["conf_high"]) == pytest.approx((effect.conf_low, effect.conf_high))
        assert 0 < found.table["robustness_value"].iloc[0] < 1


def test_pictures(frame):
    found = ask(frame).sensitivity(benchmarks=["age"])
    ax = found.plot()
    assert any("age" in text.get_text() for text in ax.texts)
    points = next(line for line in ax.lines if line.get_marker() == "D")
    marks = found.benchmarks
    inside = (marks["r2_treatment"] <= ax.get_xlim()[1]) & (marks["r2_outcome"] <= ax.get_ylim()[1])
    np.testing.assert_allclose(points.get_xdata(), marks.loc[inside, "r2_treatment"])
    ax = found.plot("extreme", of="limit")
    assert len(ax.get_legend().get_texts()) == 4
    with pytest.raises(CausalArgumentError, match="kind='contour' or 'extreme'"):
        found.plot("love")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"benchmarks": ["agee"]}, r"'agee' is no covariate \(did you mean 'age'\?\)"),
        ({"null": np.nan}, "null must be a number"),
        ({"level": 2}, "level must be a number between 0 and 1"),
        ({"rho": 0}, "rho must be a correlation other than 0"),
        ({"times": [0]}, "times and times_outcome are positive numbers"),
        ({"times": [1, 2], "times_outcome": [1]}, "as many of each"),
        ({"null": 1, "n_simulations": 3}, "has no setting"),
    ],
)
def test_wrong_settings_are_refused(frame, settings, words):
    with pytest.raises((CausalArgumentError, TypeError), match=words):
        ask(frame).sensitivity("confounder", **settings)


def test_what_has_no_answer_says_who_has(frame):
    with pytest.raises(CausalArgumentError, match="AIPW, TMLE"):
        ask(frame, IPW()).sensitivity("confounder")
    with pytest.raises(CausalArgumentError, match="is not known of RegressionAdjustment"):
        ask(frame, RegressionAdjustment(interactions=["age"])).sensitivity("confounder")
    with pytest.raises(CausalArgumentError, match=r"sensitivity\('confunder'\) is not known \(did you mean"):
        ask(frame).sensitivity("confunder")
    with pytest.raises(CausalArgumentError, match="is for event studies"):
        ask(frame).sensitivity("smoothness")
    with pytest.raises(CausalError, match="refit|is not known of AIPW"):
        ask(frame, FAST).compact().sensitivity("confounder")
    with pytest.raises(CausalError, match="no linear contrasts"):
        ask(frame, FAST).transform(np.exp).sensitivity()
    with pytest.raises(CausalArgumentError, match="std_error must be above 0"):
        confounder_strength(1.0, 0.0, 10)


def test_scores_survive_pickling(frame):
    import pickle

    effect = ask(frame, FAST)
    again = pickle.loads(pickle.dumps(effect))
    pd.testing.assert_frame_equal(effect.sensitivity().table, again.sensitivity().table)


# -- instruments -------------------------------------------------------------------------------------------------------


def encouraged(n=800, seed=0):
    rng = np.random.default_rng(seed)
    x, u = rng.normal(size=(2, n))
    z = (0.5 * x + rng.normal(size=n) > 0).astype(int)
    d = (1.5 * z + 0.5 * u + rng.normal(size=n) > 0.7).astype(int)
    return pd.DataFrame({"x": x, "z": z, "d": d, "y": 1.0 * d + x + u + rng.normal(size=n)})


@pytest.mark.parametrize(
    "estimator",
    [
        InteractiveIV(outcome_model="linear", treatment_model="linear", instrument_model="linear"),
        PartialLinearIV(outcome_model="linear", treatment_model="linear", instrument_model="linear"),
    ],
    ids=["interactive", "partially linear"],
)
def test_instruments_are_judged_by_their_reduced_form(estimator):
    effect = encouraged().causal.iv(treatment="d", outcome="y", instrument="z", covariates=["x"], estimator=estimator)
    found = effect.sensitivity()
    assert len(found.table) == 2
    assert list(found.table["robustness_value"].between(0, 1)) == [True, True]
    first, second = found.table["estimate"]
    assert first / second == pytest.approx(effect.estimate)
    # at the estimate itself, nothing is needed; beyond it the sign turns
    at = effect.sensitivity(null=effect.estimate).table
    assert at["robustness_value"].iloc[0] == pytest.approx(0, abs=1e-6)
    assert at["estimate"].iloc[0] == pytest.approx(0, abs=1e-9)
    edge = effect.confidence_set().iloc[0]["conf_low"]
    inside = effect.sensitivity(null=edge * 1.001).table["robustness_value_interval"].iloc[0]
    outside = effect.sensitivity(null=edge * 0.95).table["robustness_value_interval"].iloc[0]
    assert outside > inside
    with pytest.raises(CausalError, match="before it was mapped"):
        effect.transform(lambda v: 2 * v).sensitivity()


def test_two_stage_least_squares_is_judged_by_least_squares_on_the_instrument():
    frame = encouraged()
    effect = frame.causal.iv(treatment="d", outcome="y", instrument="z", covariates=["x"])
    table = effect.sensitivity(null=0.5).table
    X = np.column_stack([np.ones(len(frame)), frame["z"], frame["x"]])
    for row, y in zip(table.itertuples(), (frame["y"] - 0.5 * frame["d"], frame["d"]), strict=True):
        b = np.linalg.lstsq(X, y, rcond=None)[0]
        rss = np.square(y - X @ b).sum()
        error = np.sqrt(np.linalg.inv(X.T @ X)[1, 1] * rss / (len(frame) - 3))
        same = confounder_strength(b[1], error, len(frame) - 3).table.iloc[0]
        assert (row.estimate, row.std_error, row.df) == pytest.approx((b[1], error, len(frame) - 3))
        assert row.robustness_value_interval == pytest.approx(same["robustness_value_interval"])
    assert list(table.index) == ["z on y less 0.5 d", "z on d"]
    two = frame.assign(z2=lambda f: (f["x"] > 0).astype(int) ^ f["z"])
    both = two.causal.iv(treatment="d", outcome="y", instrument=["z", "z2"], covariates=["x"])
    with pytest.raises(CausalArgumentError, match="one instrument and one treatment"):
        both.sensitivity()


def test_terms_that_cannot_be_judged_by_are_told_so(frame):
    """A propensity that is far off makes the estimated variance of the representer negative."""
    e = np.where(frame["arm"] == 1, 0.02, 0.98)  # the arm received was the least likely one, row by row
    effect = ask(frame.assign(e=e), FAST, propensity="e")
    with pytest.raises(CausalError, match="too extreme"):
        effect.sensitivity()
