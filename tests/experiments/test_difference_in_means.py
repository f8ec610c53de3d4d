"""DifferenceInMeans against scipy, statsmodels and formulas by hand."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from pandas_causal import DifferenceInMeans, RegressionAdjustment
from pandas_causal.errors import AssumptionWarning, CausalArgumentError, CausalDataError, CausalWarning
from pandas_causal.experiments.shares import compare_shares
from pandas_causal.inference.reference import anytime_rho

RNG = np.random.default_rng(11)
N = 300
FRAME = pd.DataFrame(
    {
        "arm": RNG.permutation(np.repeat([0, 1], [120, 180])),
        "x": RNG.normal(3, 2, N),
        "z": RNG.normal(size=N),
        "stratum": RNG.choice(["p", "q", "r"], N, p=[0.5, 0.3, 0.2]),
        "shop": RNG.integers(25, size=N),
        "day": RNG.integers(12, size=N),
        "w": RNG.uniform(0.5, 3, N),
        "visits": RNG.poisson(4, N) + 1.0,
    }
)
FRAME["y"] = 5 + FRAME["arm"] * (1 + 0.4 * FRAME["x"]) + FRAME["x"] + RNG.normal(size=N) * (1 + FRAME["arm"])
FRAME["y"] += 0.5 * RNG.normal(size=25)[FRAME["shop"]]
FRAME["clicks"] = FRAME["visits"] * 0.3 + 0.2 * FRAME["arm"] + RNG.normal(size=N)
FRAME["won"] = (FRAME["y"] > 9).astype(int)
Y = [FRAME.loc[FRAME["arm"] == a, "y"].to_numpy() for a in (0, 1)]
REL = 1e-9


def ab_test(outcome="y", frame=None, **more):
    return (FRAME if frame is None else frame).causal.ab_test(treatment="arm", outcome=outcome, **more)


def fit(roles, outcome="y", **settings):
    """Fit with roles that may be lists of names."""
    X = FRAME.drop(columns=["y", "won", "clicks"])
    keep = ["arm", *[n for v in roles.values() for n in np.atleast_1d(v)]]
    covariates = ["x", "z"] if settings.get("adjustment") else []
    return DifferenceInMeans(**settings).fit(X[[*keep, *covariates]], FRAME[outcome], treatment="arm", **roles).effect()


# -- plain means -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variance", ["welch", "pooled"])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_means_equal_scipy(variance, alternative):
    effect = ab_test(variance=variance, alternative=alternative)
    theirs = stats.ttest_ind(Y[1], Y[0], equal_var=variance == "pooled", alternative=alternative)
    interval = theirs.confidence_interval(0.95)
    row = effect.table.iloc[0]
    assert row["statistic"] == pytest.approx(theirs.statistic, rel=REL)
    assert row["p_value"] == pytest.approx(theirs.pvalue, rel=1e-7)
    assert (row["conf_low"], row["conf_high"]) == pytest.approx((interval.low, interval.high), rel=REL)
    assert effect.uncertainty.df()[0] == pytest.approx(theirs.df, rel=REL)


def test_proportions_equal_statsmodels():
    effect = ab_test("won", variance="proportion")
    counts = FRAME.groupby("arm")["won"].agg(["sum", "size"])
    low, high = confint_proportions_2indep(
        counts["sum"][1], counts["size"][1], counts["sum"][0], counts["size"][0], method="wald"
    )
    assert (effect.conf_low, effect.conf_high) == pytest.approx((low, high), rel=REL)
    with pytest.raises(CausalArgumentError, match="0/1"):
        ab_test(variance="proportion")


def test_parameters_are_the_arm_means():
    means = ab_test().parameters
    np.testing.assert_allclose(means.estimates, [v.mean() for v in Y])
    np.testing.assert_allclose(means.table["std_error"], [v.std(ddof=1) / np.sqrt(len(v)) for v in Y])


def test_weighted_means_equal_statsmodels_wls():
    effect = ab_test(sample_weight="w")
    theirs = sm.WLS(FRAME["y"], sm.add_constant(FRAME["arm"]), weights=FRAME["w"]).fit()
    assert effect.estimate == pytest.approx(theirs.params["arm"], rel=REL)


def test_variance_and_degrees_of_freedom_of_weighted_means_by_the_matrix_of_the_quadratic_form():
    """HC2 of weighted least squares misses what one row's weight takes from the others' residuals."""
    effect = ab_test(sample_weight="w")
    variance, df = [], []
    for a in (0, 1):
        y, w = (FRAME.loc[FRAME["arm"] == a, name].to_numpy() for name in ("y", "w"))
        h = w / w.sum()
        M = np.eye(len(h)) - np.outer(np.ones(len(h)), h)  # residuals of the weighted mean
        Q = M.T @ np.diag(h**2 / np.diag(M @ M.T)) @ M
        assert np.trace(Q) == pytest.approx(h @ h)  # unbiased
        variance.append(y @ Q @ y)
        df.append(np.trace(Q) ** 2 / np.trace(Q @ Q))
    assert effect.std_error**2 == pytest.approx(sum(variance), rel=REL)
    assert effect.uncertainty.df()[0] == pytest.approx(
        sum(variance) ** 2 / sum(v**2 / d for v, d in zip(variance, df, strict=True)), rel=REL
    )


def test_equal_weights_are_none():
    equal, none = ab_test(sample_weight="w", frame=FRAME.assign(w=2.5)), ab_test()
    assert equal.std_error == pytest.approx(none.std_error, rel=1e-12)
    assert equal.uncertainty.df()[0] == pytest.approx(none.uncertainty.df()[0], rel=1e-10)


KINDS = {
    "welch": {},
    "pooled": {"variance": "pooled"},
    "cuped": {"covariates": ["x"], "adjustment": "cuped"},
    "ratio": {"denominator": "one"},
    "ratio, cuped": {"denominator": "one", "covariates": ["x"], "adjustment": "cuped"},
}


@pytest.mark.parametrize(
    ("kind", "top"),
    [
        ("welch", 1.0),
        ("welch", 10.0),
        ("welch", 40.0),
        *(pytest.param(kind, 40.0, marks=pytest.mark.slow) for kind in KINDS if kind != "welch"),
    ],
)
@pytest.mark.slow
def test_a_weight_that_dominates_does_not_shrink_the_error(kind, top):
    rng, n = np.random.default_rng(1), 60
    frame = pd.DataFrame({"arm": np.arange(n) % 2, "w": np.where(np.arange(n) == 1, top, 1.0), "one": 1.0})
    effects = [
        frame.assign(y=rng.normal(size=n), x=rng.normal(size=n)).causal.ab_test(
            treatment="arm", outcome="y", sample_weight="w", **KINDS[kind]
        )
        for _ in range(300)
    ]
    assert np.mean([e.conf_low < 0 < e.conf_high for e in effects]) > 0.91  # 95% less three binomial errors
    ratio = np.mean([e.std_error**2 for e in effects]) / np.var([e.estimate for e in effects])
    assert 0.75 < ratio < 1.35


@pytest.mark.slow
def test_the_variance_of_weighted_shares_is_unbiased():
    """p = .3, one row worth a third of its arm: the mean variance is p (1 - p) sum h^2, here to 3.5 standard errors."""
    rng, n, p = np.random.default_rng(2), 42, 0.3
    frame = pd.DataFrame({"arm": np.arange(n) % 2, "w": np.where(np.arange(n) == 1, 10.0, 1.0)})
    y = rng.random((1_000, n)) < p
    settings = {"treatment": "arm", "outcome": "y", "sample_weight": "w", "variance": "proportion"}
    v = np.array([frame.assign(y=draw).causal.ab_test(**settings).std_error ** 2 for draw in y])
    h = [frame.loc[frame["arm"] == a, "w"] / frame.loc[frame["arm"] == a, "w"].sum() for a in (0, 1)]
    truth = p * (1 - p) * sum((part**2).sum() for part in h) * 20 / 21  # the convention p (1 - p) / n has n, not n - 1
    assert abs(v.mean() - truth) < 3.5 * v.std() / np.sqrt(len(v))


@pytest.mark.parametrize("kind", [*KINDS, "lin"])
def test_weights_worth_less_than_two_rows_are_refused(kind):
    frame = FRAME.assign(w=np.where(FRAME.index == FRAME.index[FRAME["arm"] == 1][0], 1e6, 1.0), one=1.0)
    settings = KINDS.get(kind, {"covariates": ["x"]})
    with pytest.raises(CausalDataError, match=r"sample_weight: the \d+ rows of arm 1 are worth 1.00, because"):
        ab_test(sample_weight="w", frame=frame, **settings)


def test_pooled_variance_with_weights_by_the_matrix_of_the_quadratic_form():
    effect = ab_test(variance="pooled", sample_weight="w")
    square, trace, of_square, S, means = 0.0, 0.0, 0.0, 0.0, []
    for a in (0, 1):
        y, w = (FRAME.loc[FRAME["arm"] == a, name].to_numpy() for name in ("y", "w"))
        h = w / w.sum()
        M = np.eye(len(h)) - np.outer(np.ones(len(h)), h)  # residuals of the weighted mean
        Q = M.T @ M
        square, trace, of_square = square + y @ Q @ y, trace + np.trace(Q), of_square + np.trace(Q @ Q)
        S += h @ h
        means.append(h @ y)
    assert effect.estimate == pytest.approx(means[1] - means[0], rel=REL)
    assert effect.std_error**2 == pytest.approx(square / trace * S, rel=REL)
    assert effect.uncertainty.df()[0] == pytest.approx(trace**2 / of_square, rel=REL)


def test_rows_of_weight_zero_are_as_good_as_absent():
    keep = np.arange(N) % 3 > 0
    weighted = FRAME.assign(w=keep.astype(float)).causal.ab_test(
        treatment="arm", outcome="y", covariates=["x"], sample_weight="w"
    )
    fewer = FRAME[keep].causal.ab_test(treatment="arm", outcome="y", covariates=["x"])
    pd.testing.assert_frame_equal(weighted.table, fewer.table, rtol=1e-9)
    with pytest.raises(CausalDataError, match="every row of arm 1"):
        FRAME.assign(w=1.0 - FRAME["arm"]).causal.ab_test(treatment="arm", outcome="y", sample_weight="w")


# -- adjustment ------------------------------------------------------------------------------------------------------


def interacted(columns, weights=None):
    """statsmodels' regression on treatment, centred covariates and their products, HC2."""
    centre = np.average(columns, axis=0, weights=weights)
    Z = np.asarray(columns) - centre
    d = FRAME["arm"].to_numpy()[:, None]
    design = np.column_stack([np.ones(N), d, Z, d * Z])
    return sm.WLS(FRAME["y"], design, weights=np.ones(N) if weights is None else weights), Z


@pytest.mark.parametrize("weights", [None, "w"])
def test_lin_equals_statsmodels_with_the_sampling_of_the_covariates_added(weights):
    w = None if weights is None else FRAME["w"].to_numpy()
    model, Z = interacted(FRAME[["x", "z"]], w)
    theirs = model.fit(cov_type="HC2")
    effect = ab_test(covariates=["x", "z"], sample_weight=weights)
    assert effect.estimate == pytest.approx(theirs.params.iloc[1], rel=REL)
    # estimated means: each row moves the mean of the covariates, and with it the effect by its slopes
    share = np.full(N, 1 / N) if w is None else w / w.sum()
    slopes = theirs.params.to_numpy()[4:]
    sampling = share * (Z @ slopes)
    d = FRAME["arm"].to_numpy()
    assert np.cov(d, rowvar=False) > 0
    known, estimated = theirs.bse.iloc[1] ** 2, np.square(sampling).sum()
    cross = 2 * (coefficient_contributions(model, theirs) * sampling).sum()
    assert effect.std_error**2 == pytest.approx(known + estimated + cross, rel=1e-8)
    assert effect.std_error > theirs.bse.iloc[1]
    assert effect.uncertainty.df()[0] == theirs.df_resid


def coefficient_contributions(model, fitted):
    """Contribution of every row to the coefficient of treatment."""
    return (np.linalg.pinv(model.wexog) * fitted.wresid.to_numpy())[1]


def test_known_means_are_told_apart_from_estimated_ones():
    """effect(X).aggregate(population=False) is the coefficient of treatment, HC2; effect() adds the covariates."""
    theirs = interacted(FRAME[["x", "z"]])[0].fit(cov_type="HC2")
    model = RegressionAdjustment().fit(FRAME[["x", "z"]], FRAME["y"], treatment=FRAME["arm"])
    units = model.effect(FRAME[["x", "z"]])
    fixed = units.aggregate(population=False)
    assert fixed.estimate == pytest.approx(theirs.params.iloc[1], rel=REL)
    assert fixed.std_error == pytest.approx(theirs.bse.iloc[1], rel=1e-8)
    assert fixed.p_value == pytest.approx(theirs.t_test(np.eye(6)[1], use_t=True).pvalue, rel=1e-6)
    assert units.aggregate().std_error == pytest.approx(model.effect().std_error, rel=1e-8)
    assert model.effect().std_error == pytest.approx(ab_test(covariates=["x", "z"]).std_error, rel=REL)
    at = np.column_stack([np.zeros((3, 1)), np.ones((3, 1)), np.zeros((3, 2)), np.eye(3)[:, :2] - [0, 0]])
    here = FRAME[["x", "z"]].mean().to_numpy() + np.eye(3)[:, :2]
    rows = model.effect(pd.DataFrame(here, columns=["x", "z"]))
    np.testing.assert_allclose(rows.table["std_error"], theirs.t_test(at).sd, rtol=1e-8)


def test_cuped_by_hand():
    """Deng et al. (2013), eq. (2): theta = cov(y, x) / var(x) from all rows, then Welch on y - theta (x - mean x)."""
    effect = ab_test(covariates=["x"], adjustment="cuped")
    x, y, d = FRAME["x"], FRAME["y"], FRAME["arm"]
    theta = np.cov(y, x)[0, 1] / np.var(x, ddof=1)
    adjusted = y - theta * (x - x.mean())
    theirs = stats.ttest_ind(adjusted[d == 1], adjusted[d == 0], equal_var=False)
    assert effect.estimate == pytest.approx(adjusted[d == 1].mean() - adjusted[d == 0].mean(), rel=REL)
    assert effect.table["statistic"].iloc[0] == pytest.approx(theirs.statistic, rel=REL)
    assert effect.uncertainty.df()[0] == pytest.approx(theirs.df, rel=REL)


def test_cuped_levels_know_that_the_mean_of_x_is_estimated():
    """The level of an arm does not get sharper than the mean of all rows' theta x allows."""
    levels = ab_test(covariates=["x"], adjustment="cuped").parameters.table["std_error"]
    x, y, d = FRAME["x"], FRAME["y"], FRAME["arm"]
    theta = np.cov(y, x)[0, 1] / np.var(x, ddof=1)
    shift = theta * (x - x.mean())
    for a in (0, 1):
        own = (y - shift)[d == a]
        part = np.where(d == a, (y - shift - own.mean()) / len(own), 0.0)
        scale = np.sqrt(len(own) / (len(own) - 1))
        level = shift / N
        expected = np.square(part * scale).sum() + np.square(level).sum() + 2 * (part * level).sum()
        assert levels.iloc[a] == pytest.approx(np.sqrt(expected), rel=1e-8)


def test_strata_are_post_stratification_by_hand():
    effect = ab_test(strata="stratum")
    cells = FRAME.groupby(["stratum", "arm"])["y"].agg(["mean", "var", "size"]).unstack()  # noqa: PD010
    share = cells["size"].sum(axis=1) / N
    effects = cells["mean"][1] - cells["mean"][0]
    within = (share**2 * (cells["var"] / cells["size"]).sum(axis=1)).sum()
    between = (share * (effects - (share * effects).sum()) ** 2).sum() / N
    assert effect.estimate == pytest.approx((share * effects).sum(), rel=REL)
    assert effect.std_error == pytest.approx(np.sqrt(within + between), rel=REL)
    thin = FRAME.assign(stratum=np.where(np.arange(N) < 3, "rare", "common"))
    numbered = FRAME.assign(stratum=np.where(np.arange(N) < 3, 7, 1))
    with pytest.raises(CausalDataError, match="^stratum 7 has [01] rows of arm"):
        numbered.causal.ab_test(treatment="arm", outcome="y", strata="stratum")
    with pytest.raises(CausalDataError, match="rare"):
        thin.causal.ab_test(treatment="arm", outcome="y", strata="stratum")


# -- lift and ratios -------------------------------------------------------------------------------------------------


def test_relative_lift_by_hand():
    effect = ab_test(relative=True)
    m, v = [y.mean() for y in Y], [y.var(ddof=1) / len(y) for y in Y]
    assert effect.estimate == pytest.approx(m[1] / m[0] - 1, rel=REL)
    assert effect.std_error == pytest.approx(np.sqrt(v[1] / m[0] ** 2 + m[1] ** 2 * v[0] / m[0] ** 4), rel=1e-7)


def test_a_control_mean_near_zero_is_told():
    centred = FRAME.assign(y=FRAME["y"] - Y[0].mean() + 0.01)
    with pytest.warns(AssumptionWarning, match="close to zero"):
        centred.causal.ab_test(treatment="arm", outcome="y", relative=True)


@pytest.mark.filterwarnings("ignore:the control mean is close to zero:pandas_causal.errors.AssumptionWarning")
@pytest.mark.parametrize("outcome", [0.0, "centred"])
@pytest.mark.parametrize("relative", [True, "log"])
def test_a_control_mean_of_zero_has_no_lift(relative, outcome):
    """It leaked numpy's warnings and blamed few rows."""
    treated = FRAME["arm"] == 1
    own = 0.0 if outcome == 0.0 else FRAME["y"] - FRAME.loc[~treated, "y"].mean()
    frame = FRAME.assign(y=np.where(treated, FRAME["y"], own))
    with pytest.raises(CausalDataError, match="y: is 0 on average in the 120 rows of the control 0, .* relative=False"):
        ab_test(frame=frame, relative=relative)
    assert ab_test(frame=frame).estimate > 0


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.AssumptionWarning")
def test_a_log_needs_positive_means():
    with pytest.raises(CausalDataError, match=r"y: is -.* on average in the 180 rows of arm 1; a log needs"):
        ab_test(frame=FRAME.assign(y=FRAME["y"] * (1 - 2 * FRAME["arm"])), relative="log")


def test_log_scale_lift_of_shares_equals_statsmodels():
    """Katz et al. (1978): log ratio plus or minus z sqrt((1 - p1) / (n1 p1) + (1 - p0) / (n0 p0))."""
    effect = ab_test("won", variance="proportion", relative="log")
    counts = FRAME.groupby("arm")["won"].agg(["sum", "size"])
    theirs = (counts["sum"][1], counts["size"][1], counts["sum"][0], counts["size"][0])
    ends = np.array(confint_proportions_2indep(*theirs, compare="ratio", method="log"))
    assert (effect.conf_low, effect.conf_high) == pytest.approx(tuple(ends - 1), rel=REL)
    p = counts["sum"] / counts["size"]
    z = np.log(p[1] / p[0]) / np.sqrt(((1 - p) / counts["sum"]).sum())
    assert effect.table["statistic"].iloc[0] == pytest.approx(z, rel=REL)
    assert effect.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-7)
    plain = ab_test("won", variance="proportion", relative=True)
    assert (effect.estimate, effect.std_error) == (plain.estimate, plain.std_error)


def test_log_scale_belongs_to_the_rows_and_not_to_maps_of_them():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"arm": rng.choice(list("abc"), 300), "y": rng.gamma(1.0, 2.0, 300)})
    log, plain = (ab_test(frame=frame, relative=how) for how in ("log", True))
    one = log["b / a - 1"]
    assert one.conf_low == log.table["conf_low"].iloc[0] > plain.table["conf_low"].iloc[0]
    lower = ab_test(frame=frame, relative="log", alternative="less")
    assert (lower.table["conf_low"] == -1).all()  # a lift cannot be lower
    band, points = log.interval(simultaneous=True), log.interval()
    assert (band["conf_low"] < points["conf_low"]).all()
    assert (band["conf_low"] > -1).all()
    contrast = log.linear([[1.0, -1.0]])
    assert contrast.conf_high == pytest.approx(plain.linear([[1.0, -1.0]]).conf_high)
    logs = ab_test(frame=frame).parameters.transform(lambda m: np.log(m[1:] / m[0]))
    assert log.test_zero().statistic == pytest.approx(logs.test_zero().statistic, rel=1e-6)
    assert (log.cluster(np.arange(300) % 40).table["conf_low"] > -1).all()


@pytest.mark.parametrize("relative", [False, True])
def test_ratio_metric_by_hand(relative):
    """Delta method (Deng, Knoblich and Lu 2018): residuals clicks - R visits, divided by the mean of visits."""
    effect = ab_test("clicks", denominator="visits", relative=relative)
    ratio, variance = [], []
    for a in (0, 1):
        part = FRAME[FRAME["arm"] == a]
        ratio.append(part["clicks"].sum() / part["visits"].sum())
        residual = part["clicks"] - ratio[a] * part["visits"]
        variance.append(residual.var(ddof=1) / len(part) / part["visits"].mean() ** 2)
    if relative:
        expected = ratio[1] / ratio[0] - 1
        se = np.sqrt(variance[1] / ratio[0] ** 2 + ratio[1] ** 2 / ratio[0] ** 4 * variance[0])
    else:
        expected, se = ratio[1] - ratio[0], np.sqrt(sum(variance))
    assert effect.estimate == pytest.approx(expected, rel=REL)
    assert effect.std_error == pytest.approx(se, rel=1e-6)


def test_weighted_ratio_metric_is_the_weighted_mean_of_the_linearised_metric():
    effect = ab_test("clicks", denominator="visits", sample_weight="w")
    ratio, variance = [], []
    for a in (0, 1):
        part = FRAME[FRAME["arm"] == a]
        ratio.append((part["w"] * part["clicks"]).sum() / (part["w"] * part["visits"]).sum())
        h = part["w"] / part["w"].sum()
        residual = (part["clicks"] - ratio[a] * part["visits"]) / (h * part["visits"]).sum()
        variance.append((h**2 * residual**2 / (1 - 2 * h + (h**2).sum())).sum())
    assert effect.estimate == pytest.approx(ratio[1] - ratio[0], rel=REL)
    assert effect.std_error == pytest.approx(np.sqrt(sum(variance)), rel=1e-9)


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("adjustment", ["lin", "cuped"])
def test_adjusted_ratio_metric_is_the_adjusted_linearised_metric(adjustment, weight):
    """Budylin et al. (2018): at the arms' own ratios the adjusted mean of clicks - R visits is 0, arm by arm."""
    effect = ab_test("clicks", denominator="visits", covariates=["x", "z"], adjustment=adjustment, sample_weight=weight)
    outcome, visits = effect.parameters.estimates.to_numpy().reshape(2, 2)
    ratio = outcome / visits
    assert effect.estimate == pytest.approx(ratio[1] - ratio[0], rel=REL)
    frame = FRAME.copy()
    for a in (0, 1):
        frame[f"l{a}"] = frame["clicks"] - ratio[a] * frame["visits"]
    more = {"frame": frame, "covariates": ["x", "z"], "adjustment": adjustment, "sample_weight": weight}
    fits = [ab_test(f"l{a}", **more).parameters for a in (0, 1)]
    for a in (0, 1):
        assert fits[a].estimates.iloc[a] == pytest.approx(0, abs=1e-10)
        own = fits[a].table["std_error"].iloc[a] / visits[a]
        lin = ab_test("clicks", denominator="visits", **{**more, "frame": FRAME}).parameters
        gradient = np.zeros(4)
        gradient[[a, 2 + a]] = 1 / visits[a], -ratio[a] / visits[a]
        assert lin.linear(gradient).std_error == pytest.approx(own, rel=1e-8)
    # the two arms meet in the covariates averaged over, or in the mean of x, so their covariance counts too
    contributions = [f.uncertainty.contributions[:, a] / visits[a] for a, f in enumerate(fits)]
    raw = np.sqrt(np.square(contributions[1] - contributions[0]).sum())
    assert effect.std_error == pytest.approx(raw, rel=0.05 if weight is None else 0.08)


def test_a_denominator_of_ones_makes_a_ratio_metric_of_a_mean():
    frame = FRAME.assign(one=1.0)
    for settings in ({}, {"covariates": ["x"], "adjustment": "lin"}, {"covariates": ["x"], "adjustment": "cuped"}):
        ratio, mean = ab_test(frame=frame, denominator="one", **settings), ab_test(frame=frame, **settings)
        assert ratio.estimate == pytest.approx(mean.estimate, rel=1e-9)
        assert ratio.std_error == pytest.approx(mean.std_error, rel=1e-8)
    blocks = ab_test(frame=frame, denominator="one", strata="stratum"), ab_test(frame=frame, strata="stratum")
    assert blocks[0].std_error == pytest.approx(blocks[1].std_error, rel=1e-8)


def test_pre_period_ratios_sharpen_a_ratio_metric():
    rng, n = np.random.default_rng(3), 4_000
    rate = rng.beta(2, 3, n)
    frame = pd.DataFrame({"arm": np.arange(n) % 2, "before_visits": rng.poisson(9, n), "visits": 1 + rng.poisson(9, n)})
    frame["before_clicks"] = rng.binomial(frame["before_visits"], rate)
    frame["clicks"] = rng.binomial(frame["visits"], rate)
    plain = ab_test("clicks", denominator="visits", frame=frame)
    for adjustment in ("lin", "cuped"):
        sharper = ab_test(
            "clicks",
            denominator="visits",
            frame=frame,
            covariates=["before_clicks", "before_visits"],
            adjustment=adjustment,
        )
        assert sharper.std_error < 0.8 * plain.std_error


def test_covariates_that_say_nothing_are_named():
    frame = FRAME.assign(flat=3.0)
    with pytest.raises(CausalDataError, match=r"'flat'\) hold the same value in all 300 rows"):
        ab_test(frame=frame, covariates=["flat"], adjustment="cuped")
    with pytest.raises(CausalArgumentError, match="needs covariates"):
        ab_test(adjustment="cuped")
    lin = ab_test(frame=frame, covariates=["flat"])  # the plain means, and says so
    assert any("constant covariates were left out: flat" in w for w in lin.warnings)


def test_a_denominator_without_a_positive_mean_is_named():
    frame = FRAME.assign(visits=np.where(FRAME["arm"] == 1, 0.0, FRAME["visits"]))
    with pytest.raises(CausalDataError, match=r"visits: the denominator's mean .* it is 0 in the 180 rows of arm 1"):
        ab_test("clicks", denominator="visits", frame=frame)


def test_ratio_metric_with_clusters():
    effect = ab_test("clicks", denominator="visits", cluster="shop")
    contribution = np.zeros(N)
    for a, sign in ((0, -1), (1, 1)):
        own = (FRAME["arm"] == a).to_numpy()
        part = FRAME[own]
        residual = part["clicks"] - part["clicks"].sum() / part["visits"].sum() * part["visits"]
        contribution[own] = sign * residual / part["visits"].sum()
    sums = pd.Series(contribution).groupby(FRAME["shop"]).sum()
    G = len(sums)
    expected = np.sqrt(G / (G - 1) * (N - 1) / (N - 4) * np.square(sums).sum())
    assert effect.std_error == pytest.approx(expected, rel=1e-6)


# -- clusters --------------------------------------------------------------------------------------------------------


def test_cr1_equals_statsmodels():
    theirs = sm.OLS(FRAME["y"], sm.add_constant(FRAME["arm"])).fit(
        cov_type="cluster", cov_kwds={"groups": FRAME["shop"]}
    )
    assert ab_test().cluster(FRAME["shop"]).std_error == pytest.approx(theirs.bse["arm"], rel=REL)


def test_two_way_clusters_equal_statsmodels():
    groups = FRAME[["shop", "day"]].to_numpy()
    theirs = sm.OLS(FRAME["y"], sm.add_constant(FRAME["arm"])).fit(cov_type="cluster", cov_kwds={"groups": groups})
    for effect in (ab_test().cluster([FRAME["shop"], FRAME["day"]]), fit({"cluster": ["shop", "day"]})):
        assert effect.std_error == pytest.approx(theirs.bse["arm"], rel=REL)
        assert effect.uncertainty.df()[0] == 11


def brute_force_cr2(design, y, groups, w=None):
    """Bell and McCaffrey: (I - H_gg)^(-1/2) of every cluster by a full eigendecomposition, in the weighted space."""
    root = np.ones(len(y)) if w is None else np.sqrt(w)
    A, b = design * root[:, None], y * root
    bread = np.linalg.inv(A.T @ A)
    e = b - A @ (bread @ A.T @ b)
    meat = np.zeros_like(bread)
    for g in np.unique(groups):
        own = groups == g
        values, vectors = np.linalg.eigh(np.eye(own.sum()) - A[own] @ bread @ A[own].T)
        score = A[own].T @ (vectors / np.sqrt(values)) @ vectors.T @ e[own]
        meat += np.outer(score, score)
    return bread @ meat @ bread


@pytest.mark.parametrize("weights", [None, "w"])
def test_cr2_of_means_equals_the_matrices(weights):
    roles = {"cluster": "shop"} if weights is None else {"cluster": "shop", "sample_weight": weights}
    design = np.column_stack([np.ones(N), FRAME["arm"]])
    w = None if weights is None else FRAME["w"].to_numpy()
    expected = brute_force_cr2(design, FRAME["y"].to_numpy(), FRAME["shop"].to_numpy(), w)
    effect = fit(roles)
    assert effect.std_error == pytest.approx(np.sqrt(expected[1, 1]), rel=1e-8)
    assert 15 < effect.uncertainty.df()[0] < 24


def test_cr2_where_every_cluster_lies_in_one_arm():
    """Cluster-randomised: the variance of each arm's mean from its own clusters, Satterthwaite's degrees of freedom."""
    frame = FRAME.assign(arm=(FRAME["shop"] % 2).astype(int))
    effect = frame.causal.ab_test(treatment="arm", outcome="y", cluster="shop")
    design = np.column_stack([np.ones(N), frame["arm"]])
    expected = brute_force_cr2(design, frame["y"].to_numpy(), frame["shop"].to_numpy())
    assert effect.std_error == pytest.approx(np.sqrt(expected[1, 1]), rel=1e-8)
    v = np.square(effect.parameters.table["std_error"].to_numpy())
    per_arm = frame.groupby("arm")["shop"].nunique()
    assert effect.uncertainty.df()[0] == pytest.approx(
        v.sum() ** 2 / (v[0] ** 2 / (per_arm[0] - 1) + v[1] ** 2 / (per_arm[1] - 1)), rel=0.1
    )  # but for what clusters differ in size


# -- tests of shares -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("test", ["pooled_z", "fisher", "barnard", "boschloo"])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_p_values_of_shares_come_from_the_test_and_intervals_from_the_variance(test, alternative):
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"arm": np.repeat([0, 1, 2], [40, 30, 20]), "y": rng.random(90) < 0.4})
    effect = ab_test(frame=frame, test=test, alternative=alternative, variance="proportion")
    plain = ab_test(frame=frame, alternative=alternative, variance="proportion")
    s, n = frame.groupby("arm")["y"].agg(["sum", "size"]).to_numpy().T
    expected = compare_shares(s, n, test, alternative)
    np.testing.assert_allclose(effect.table["p_value"], expected["p_value"])
    pd.testing.assert_frame_equal(
        effect.table.drop(columns=["p_value", "statistic"]), plain.table.drop(columns=["p_value", "statistic"])
    )
    assert effect["2 - 0"].p_value == effect.table["p_value"].iloc[1]
    assert test.split("_")[0] in effect.summary().lower()
    contrast = effect.linear([[1.0, -1.0]])  # no test of it: back to the standard error
    assert contrast.p_value == pytest.approx(plain.linear([[1.0, -1.0]]).p_value)
    by = np.arange(90) % 30
    np.testing.assert_allclose(effect.cluster(by).table["p_value"], plain.cluster(by).table["p_value"])


def test_a_correction_adjusts_the_p_values_of_the_test():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"arm": np.repeat([0, 1, 2], [40, 30, 20]), "y": rng.random(90) < 0.4})
    effect = ab_test(frame=frame, test="fisher", correction="holm")
    np.testing.assert_array_equal(effect.diagnostics["multiplicity"].table["p_value"], effect.table["p_value"])


# -- several arms, sequences, sample ratio ---------------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "theirs"), [("holm", "holm"), ("benjamini_hochberg", "fdr_bh")])
def test_corrections_equal_statsmodels(ours, theirs):
    rng = np.random.default_rng(5)
    arm = rng.choice(list("abcde"), 400)
    frame = pd.DataFrame({"arm": arm, "y": rng.normal(size=400) + 0.3 * (arm == "c") + 0.5 * (arm == "e")})
    effect = frame.causal.ab_test(treatment="arm", outcome="y", correction=ours)
    table = effect.diagnostics["multiplicity"].table
    np.testing.assert_allclose(table["p_adjusted"], multipletests(effect.table["p_value"], method=theirs)[1])
    for label, level in zip(effect.table.index, "bcde", strict=True):
        pair = stats.ttest_ind(frame.y[frame.arm == level], frame.y[frame.arm == "a"], equal_var=False)
        assert effect.table.loc[label, "p_value"] == pytest.approx(pair.pvalue, rel=1e-7)


def test_sample_ratio_equals_scipy():
    check = ab_test(allocation={0: 0.4, 1: 0.6}).diagnostics["sample_ratio"]
    assert check.passed
    with pytest.warns(AssumptionWarning, match="sample-ratio mismatch"):
        effect = ab_test(allocation={0: 0.5, 1: 0.5})
    check = effect.diagnostics["sample_ratio"]
    theirs = stats.chisquare([120, 180], [150, 150])
    assert not check.passed
    assert f"chi-squared {theirs.statistic:.2f}, p {theirs.pvalue:.3g}" in check.summary


def test_anytime_boundary_is_the_closed_form():
    """Waudby-Smith et al. (2024), eq. (7): sigma sqrt(2 (n rho^2 + 1) / (n^2 rho^2) log(sqrt(n rho^2 + 1) / alpha))."""
    effect = ab_test(anytime_n=1_000, level=0.9)
    alpha = 0.1
    rho2 = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha)) + 1) / 1_000
    assert anytime_rho(1_000, alpha) == pytest.approx(np.sqrt(rho2))
    sigma = ab_test().std_error * np.sqrt(N)
    width = sigma * np.sqrt(2 * (N * rho2 + 1) / (N**2 * rho2) * np.log(np.sqrt(N * rho2 + 1) / alpha))
    assert (effect.conf_low, effect.conf_high) == pytest.approx(
        (effect.estimate - width, effect.estimate + width), rel=1e-9
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"adjustment": "ancova"},
        {"variance": "student"},
        {"alternative": "larger"},
        {"correction": "bonferroni"},
        {"level": 95},
        {"anytime_n": -1},
        {"anytime_n": 100, "alternative": "greater"},
        {"anytime_n": 100, "test": "fisher"},
        {"test": "fisher"},  # y is no share
        {"test": "fisher", "outcome": "won", "covariates": ["x"]},
        {"test": "fisher", "outcome": "won", "cluster": "shop"},
        {"test": "fisher", "outcome": "won", "sample_weight": "w"},
        {"variance": "pooled", "adjustment": "lin"},
        {"adjustment": "cuped"},
    ],
)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(CausalArgumentError):
        ab_test(**settings)


def test_comparisons_of_clustered_fits_keep_their_clusters():
    """Plain and adjusted answers from the same clusters: their difference is clustered too."""
    a, b = fit({"cluster": "shop"}), fit({"cluster": "shop"}, adjustment="lin")
    expected = a.cluster("shop").difference(b.cluster("shop")).std_error
    assert a.difference(b).std_error == pytest.approx(expected, rel=1e-9)


# -- bootstrap -------------------------------------------------------------------------------------------------------


def boot(estimator, roles, n_draws=400, **more):
    from pandas_causal.effect.bootstrap import bootstrap

    names = ["arm", *[n for n in roles.values() if isinstance(n, str)]]
    X = FRAME[[*names, *(["x"] if estimator.get_params().get("adjustment") else [])]]
    return bootstrap(estimator, X, FRAME["y"], n_draws=n_draws, progress=False, treatment="arm", **roles, **more)


@pytest.mark.parametrize(("settings", "words"), [({"anytime_n": 500}, "anytime_n="), ({"test": "fisher"}, "test=")])
def test_a_bootstrap_that_would_break_a_promise_is_refused(settings, words):
    """It kept the anytime-valid reference over an interval that holds at one look only."""
    with pytest.raises(CausalArgumentError, match=words):
        boot(DifferenceInMeans(**settings), {})


@pytest.mark.parametrize("method", ["pairs", "bayesian"])
def test_bootstrap_errors_are_near_the_analytic_ones(method):
    """400 draws estimate a standard error to 3.5%: 3.5 of those is 12%."""
    fast = boot(DifferenceInMeans(), {}, method=method)
    assert fast.std_error == pytest.approx(ab_test().std_error, rel=0.13)
    refits = boot(DifferenceInMeans(adjustment="lin"), {}, n_draws=200, method=method)
    assert refits.std_error == pytest.approx(ab_test(covariates=["x"]).std_error, rel=0.18)


def test_the_fast_path_has_the_distribution_of_weighted_refits():
    class Slow(DifferenceInMeans):
        """The same estimator without its sums."""

        def sums_over_rows(self):
            return None

    fast = boot(DifferenceInMeans(), {}, n_draws=2_000).uncertainty.replicates[:, 0]
    slow = boot(Slow(), {}, n_draws=300).uncertainty.replicates[:, 0]
    assert stats.ks_2samp(fast, slow).pvalue > 0.001


def test_bootstrap_keeps_clusters_whole():
    """Outcomes that are the same within a shop: drawing rows instead would make errors a third of what they are."""
    from pandas_causal.effect.bootstrap import bootstrap

    shops = FRAME["shop"].to_numpy()
    y = np.random.default_rng(1).normal(size=25)[shops]
    X = pd.DataFrame({"arm": shops % 2, "shop": shops})
    clustered = bootstrap(DifferenceInMeans(), X, y, n_draws=1_000, treatment="arm", cluster="shop", progress=False)
    analytic = DifferenceInMeans().fit(X, y, treatment="arm", cluster="shop").effect()
    rows = bootstrap(DifferenceInMeans(), X[["arm"]], y, n_draws=1_000, treatment="arm", progress=False)
    assert clustered.std_error == pytest.approx(analytic.std_error, rel=0.25)  # CR2 is larger by about 1 / G
    assert rows.std_error < 0.5 * clustered.std_error


@pytest.mark.slow
def test_bootstrap_is_the_same_for_any_number_of_jobs():
    one, two = (boot(DifferenceInMeans(adjustment="lin"), {}, n_draws=24, n_jobs=j) for j in (1, 2))
    np.testing.assert_array_equal(one.uncertainty.replicates, two.uncertainty.replicates)


@pytest.mark.parametrize(
    ("adjustment", "treated"),
    [
        (None, 5),
        ("lin", 8),
    ],
)
def test_draws_without_rows_enough_in_an_arm_are_counted_and_left_out(adjustment, treated):
    """5 treated of 16: 0.3% of the draws hold none. 8 of 24: 0.6% hold at most 2 different ones."""
    from pandas_causal.effect.bootstrap import bootstrap

    n = 16 if treated == 5 else 24
    X = pd.DataFrame({"arm": (np.arange(n) < treated).astype(int), "x": np.arange(n) ** 2 % 7.0})
    y = np.random.default_rng(0).normal(size=n)
    with pytest.warns(CausalWarning, match="could not be estimated"):
        effect = bootstrap(
            DifferenceInMeans(adjustment=adjustment), X, y, n_draws=1_000, treatment="arm", progress=False
        )
    assert np.isfinite(effect.uncertainty.replicates).all()
    assert 970 <= len(effect.uncertainty.replicates) < 1_000
