"""InstrumentalVariables: against plain matrices, invariances, messages, what an effect carries."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pandas_causal import InstrumentalVariables, causal
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    CausalError,
    NotIdentifiedError,
    StandardErrorWarning,
    WeakInstrumentWarning,
)
from pandas_causal.inference.weak_instruments import WeakTests, conditional_likelihood_ratio_p
from tests.instruments.designs import COVARIATES, linear

FRAME = linear()
Z = ["z1", "z2", "z3"]
METHODS = ("2sls", "liml", "fuller", "gmm", "cue", "jive", "ujive", "hful")


def fit(frame=FRAME, treatment="d", instrument=Z, covariates=COVARIATES, roles=None, **settings):
    estimator = InstrumentalVariables(**settings)
    return causal(frame).iv(
        treatment=treatment, outcome="y", instrument=instrument, covariates=covariates, estimator=estimator,
        **(roles or {}),
    )  # fmt: skip


def matrices(frame=FRAME, treatment=("d",), instrument=Z):
    one = np.ones((len(frame), 1))
    x = np.column_stack([one, frame[COVARIATES]])
    return (
        np.column_stack([frame[list(treatment)], x]),
        np.column_stack([frame[list(instrument)], x]),
        frame["y"].to_numpy(),
    )


def test_two_stage_least_squares_is_what_the_textbook_says():
    X, W, y = matrices(treatment=("d", "d2"))
    P = W @ np.linalg.solve(W.T @ W, W.T)
    A = np.linalg.inv(X.T @ P @ X)
    beta = A @ X.T @ P @ y
    e = y - X @ beta
    scores = (P @ X) * e[:, None]
    table = fit(treatment=["d", "d2"]).table
    assert table["estimate"].to_numpy() == pytest.approx(beta[:2], rel=1e-12)
    assert table["std_error"].to_numpy() == pytest.approx(np.sqrt(np.diag(A @ scores.T @ scores @ A))[:2], rel=1e-12)
    plain = fit(treatment=["d", "d2"], covariance="unadjusted").table["std_error"]
    assert plain.to_numpy() == pytest.approx(np.sqrt(np.diag(A))[:2] * np.sqrt(e @ e / len(y)), rel=1e-12)
    n, p = X.shape
    for covariance in ("robust", "unadjusted"):
        small = fit(treatment=["d", "d2"], covariance=covariance, small_sample=True)
        large = fit(treatment=["d", "d2"], covariance=covariance).table["std_error"]
        assert (small.table["std_error"] / large).to_numpy() == pytest.approx(np.sqrt(n / (n - p)), rel=1e-12)
        assert small.uncertainty.df() == pytest.approx(n - p)


def test_k_class_members_meet():
    ols = fit(method="k", k=0.0)
    X, _, y = matrices()
    assert ols.estimate == pytest.approx(np.linalg.lstsq(X, y, rcond=None)[0][0], rel=1e-12)
    two = fit()
    assert fit(method="k", k=1.0).estimate == pytest.approx(two.estimate, rel=1e-14)
    liml = fit(method="liml")
    assert fit(method="k", k=liml.estimator.kappa_).std_error == pytest.approx(liml.std_error, rel=1e-14)
    n, K = len(FRAME), 6
    assert fit(method="fuller", fuller=4.0).estimator.kappa_ == pytest.approx(liml.estimator.kappa_ - 4 / (n - K))
    one = [fit(instrument=["z1"], method=m).estimate for m in ("2sls", "liml", "gmm", "cue")]
    assert one == pytest.approx([one[0]] * 4, rel=1e-9)  # exactly identified: all the same


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.WeakInstrumentWarning")
def test_liml_does_not_depend_on_which_variable_is_the_outcome():
    forward = fit(method="liml", covariates=["a"]).estimate
    turned = FRAME.rename(columns={"d": "y", "y": "d"})
    assert fit(turned, method="liml", covariates=["a"]).estimate == pytest.approx(1 / forward, rel=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_invariances(method):
    base = fit(method=method)
    shuffled = fit(FRAME.sample(frac=1, random_state=3), method=method)
    assert shuffled.table.to_numpy() == pytest.approx(base.table.to_numpy(), rel=1e-7)
    scaled = FRAME.assign(y=1000 * FRAME["y"] - 5, d=0.01 * FRAME["d"] + 3, z1=50 * FRAME["z1"] + 1, a=FRAME["a"] / 7)
    table = fit(scaled, method=method).table
    assert table["estimate"].iloc[0] == pytest.approx(1e5 * base.estimate, rel=1e-7)
    assert table["std_error"].iloc[0] == pytest.approx(1e5 * base.std_error, rel=1e-6)
    mixed = FRAME.assign(z2=FRAME["z2"] + 2 * FRAME["z1"] - 3 * FRAME["a"], z3=FRAME["z3"] - FRAME["z2"])
    assert fit(mixed, method=method).estimate == pytest.approx(base.estimate, rel=1e-7)
    added = FRAME.assign(y=FRAME["y"] + 4 * FRAME["a"])
    assert fit(added, method=method).estimate == pytest.approx(base.estimate, rel=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_contributions_are_what_dropping_rows_does(method):
    """The sum over rows of (estimate without a row - estimate) squared is the robust variance, to order 1 / n."""
    frame = linear(n=150, seed=4, strength=1.2)
    effect = fit(frame, method=method)
    contributions = effect.uncertainty.contributions[:, 0]
    assert contributions.sum() == pytest.approx(0, abs=2e-2 if method in ("jive", "ujive") else 1e-8)
    some = np.arange(0, 150, 5)
    without = np.array([fit(frame.drop(frame.index[i]), method=method).estimate for i in some])
    assert np.corrcoef(effect.estimate - without, contributions[some])[0, 1] > (
        0.94 if method in ("gmm", "cue") else 0.985
    )
    slope = contributions[some] @ (effect.estimate - without) / (contributions[some] @ contributions[some])
    assert slope == pytest.approx(1, abs=0.12)


def test_weights_are_repeated_rows():
    counts = np.random.default_rng(2).integers(1, 4, len(FRAME))
    heavy = FRAME.assign(w=counts)
    repeated = FRAME.loc[FRAME.index.repeat(counts)].reset_index(drop=True)
    for method in ("2sls", "liml", "gmm"):
        a = fit(heavy, method=method, roles={"sample_weight": "w"})
        b = fit(repeated, method=method)
        if method != "gmm":  # its weights square those of the rows
            assert a.estimate == pytest.approx(b.estimate, rel=1e-10)
    clustered = fit(repeated, roles={"cluster": np.arange(len(FRAME)).repeat(counts)}, small_sample=False)
    assert fit(heavy, roles={"sample_weight": "w"}).std_error == pytest.approx(clustered.std_error, rel=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_one_change_nothing(method):
    ones = FRAME.assign(w=2.0)
    assert fit(ones, method=method, roles={"sample_weight": "w"}).std_error == pytest.approx(
        fit(method=method).std_error, rel=1e-8
    )


@pytest.mark.parametrize("method", ["2sls", "liml", "gmm", "cue"])
def test_absorbed_effects_are_dummies(method):
    dummies = pd.get_dummies(FRAME[["firm", "year"]].astype("category"), drop_first=True, dtype=float)
    wide = pd.concat([FRAME, dummies], axis=1)
    by_dummies = fit(wide, covariates=[*COVARIATES, *dummies], method=method)
    absorbed = fit(roles={"absorb": ["firm", "year"]}, method=method)
    tolerance = 1e-2 if method == "cue" else 1e-9  # its weights follow the coefficients that are searched
    assert absorbed.estimate == pytest.approx(by_dummies.estimate, rel=tolerance)
    assert absorbed.std_error == pytest.approx(by_dummies.std_error, rel=tolerance)
    if method == "2sls":
        small = [
            fit(roles={"absorb": ["firm", "year"]}, small_sample=True),
            fit(wide, covariates=[*COVARIATES, *dummies], small_sample=True),
        ]
        assert small[0].std_error == pytest.approx(small[1].std_error, rel=1e-9)
        for name in ("first_stage", "overidentification", "exogeneity", "effective_f", "cragg_donald"):
            a, b = (e.diagnostics[name].table.select_dtypes("number").to_numpy(dtype=float) for e in small)
            assert a == pytest.approx(b, rel=1e-7), name


def test_rows_alone_in_an_absorbed_level_are_left_out_and_counted():
    alone = FRAME.copy()
    alone["firm"] = alone["firm"].where(np.arange(len(alone)) != 5, 99)
    effect = fit(alone, roles={"absorb": "firm"})
    assert effect.n_obs == len(FRAME) - 1
    assert effect.facts["n_singletons"] == 1
    assert "1 rows alone in a level of firm were left out" in effect.warnings
    assert effect.estimate == pytest.approx(
        fit(alone.drop(alone.index[5]), roles={"absorb": "firm"}).estimate, rel=1e-12
    )


def test_clusters_at_fit_and_later():
    at_fit = fit(roles={"cluster": "g"})
    assert at_fit.std_error == pytest.approx(fit().cluster(FRAME["g"]).std_error, rel=1e-12)
    assert fit(roles={"cluster": "g"}, small_sample=False).std_error == pytest.approx(
        at_fit.cluster("g", small_sample=False).std_error, rel=1e-12
    )
    two = fit(roles={"cluster": ["g", "h"]})
    assert two.std_error_method == "clustered by g and h (CR1)"
    assert two.std_error == pytest.approx(fit().cluster([FRAME["g"], FRAME["h"]]).std_error, rel=1e-12)


def test_labels_as_an_instrument_are_a_level_each():
    group = FRAME.assign(judge=pd.qcut(FRAME["z1"], 4, labels=list("abcd")).astype(str))
    dummies = pd.get_dummies(group["judge"], dtype=float, prefix="is").iloc[:, 1:]
    wide = pd.concat([group, dummies], axis=1)
    assert fit(group, instrument="judge").estimate == pytest.approx(
        fit(wide, instrument=list(dummies)).estimate, rel=1e-10
    )


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.WeakInstrumentWarning")
def test_two_fits_compare():
    one, other = fit(instrument=["z1"]), fit(instrument=["z2"])
    gap = one.difference(other)
    assert gap.estimate == pytest.approx(one.estimate - other.estimate)
    contributions = one.uncertainty.contributions - other.uncertainty.contributions
    assert gap.std_error == pytest.approx(np.sqrt(np.square(contributions).sum()), rel=1e-10)
    with pytest.warns(StandardErrorWarning):
        assert fit().difference(fit()).std_error == pytest.approx(0, abs=1e-12)


def test_missing_rows():
    holes = FRAME.copy()
    holes.iloc[:3, holes.columns.get_loc("z1")] = np.nan
    holes.iloc[3:5, holes.columns.get_loc("d")] = np.nan
    with pytest.raises(CausalDataError, match="instrument is missing"):
        fit(holes)
    effect = causal(holes).iv(treatment="d", outcome="y", instrument=Z, covariates=COVARIATES, missing="drop")
    assert effect.n_obs == len(FRAME) - 5
    assert effect.estimate == pytest.approx(fit(FRAME.iloc[5:]).estimate, rel=1e-12)


# -- messages -----------------------------------------------------------------------------------------------------


def test_fewer_instruments_than_treatments():
    with pytest.raises(NotIdentifiedError, match=r"2 treatments \(d, d2\) and 1 instrument .*\(z1\); at least as many"):
        fit(treatment=["d", "d2"], instrument="z1")
    spanned = FRAME.assign(z2=2 * FRAME["a"] - FRAME["b"] + 1e-14)
    with pytest.raises(NotIdentifiedError, match=r"1 treatment \(d\) and 0 instruments .*\(z2 left out\)"):
        fit(spanned, instrument="z2")


def test_collinear_columns_are_left_out_and_named():
    more = FRAME.assign(z9=FRAME["z1"] + FRAME["z2"], c=FRAME["a"] - FRAME["b"])
    effect = fit(more, instrument=[*Z, "z9"], covariates=[*COVARIATES, "c"])
    assert effect.estimate == pytest.approx(fit().estimate, rel=1e-10)
    text = " ".join(effect.warnings)
    assert "instruments that covariates and those before them explain were left out: z9" in text
    assert "covariates that those before them explain were left out: c" in text


def test_a_treatment_that_covariates_explain():
    with pytest.raises(NotIdentifiedError, match="covariates explain the treatment d exactly"):
        fit(FRAME.assign(d=FRAME["a"] + 2 * FRAME["b"]))
    per_firm = FRAME.assign(d=FRAME["firm"] * 1.0)
    with pytest.raises(NotIdentifiedError, match="covariates and absorbed effects explain the treatment d"):
        fit(per_firm, roles={"absorb": "firm"})


def test_more_columns_than_rows():
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(20, 25)), columns=[f"x{j}" for j in range(25)])
    with pytest.raises(CausalDataError, match="20 covariates, 3 instruments and 1 effects .* for 20 rows"):
        causal(wide).iv(treatment="x0", outcome="x1", instrument=["x2", "x3", "x4"], covariates=list(wide.columns[5:]))


def test_settings_that_do_not_stand_together():
    with pytest.raises(CausalArgumentError, match="k= belongs to method='k'"):
        fit(k=0.5)
    with pytest.raises(CausalArgumentError, match="k= belongs to method='k'"):
        fit(method="k")
    with pytest.raises(CausalArgumentError, match="weak_set='clr' is for one treatment"):
        fit(treatment=["d", "d2"], weak_set="clr")
    with pytest.raises(CausalArgumentError, match="jackknifed first stages need every row's leverage"):
        fit(method="jive", roles={"absorb": "firm"})
    with pytest.raises(CausalArgumentError, match="weights of method='cue' are clustered one way, and 2 were given"):
        fit(method="cue", roles={"cluster": ["g", "h"]})
    with pytest.raises(CausalArgumentError, match=r"fit needs instrument="):
        InstrumentalVariables().fit(FRAME[["d"]], FRAME["y"], treatment="d")
    with pytest.raises(CausalArgumentError, match="method='ols' is not known"):
        fit(method="ols")


def test_weak_instruments_are_said():
    weak = linear(strength=0.02, seed=6)
    with pytest.warns(WeakInstrumentWarning, match=r"the effective F is \d+\.\d, below \d+\.\d.*confidence_set"):
        effect = fit(weak)
    assert any("weak instruments" in w for w in effect.warnings)


@pytest.mark.parametrize(("covariance", "name"), [("robust", "Kleibergen-Paap"), ("unadjusted", "Cragg-Donald")])
def test_weak_instruments_of_several_treatments_are_said(covariance, name):
    """Each is moved, by the same combination; no single first stage shows it."""
    rng = np.random.default_rng(3)
    same = FRAME.assign(d2=FRAME["d"] + rng.normal(size=len(FRAME)))
    said = rf"the {name} F of 2 treatments moved separately is \d\.\d, below 13\.4, Stock and Yogo.*confidence_set"
    with pytest.warns(WeakInstrumentWarning, match=said):
        effect = fit(same, treatment=["d", "d2"], covariance=covariance)
    assert effect.diagnostics["first_stage"].table["F"].min() > 20
    assert "set: d [" in effect.diagnostics["weak_sets"].summary
    assert "; d2 [" in effect.diagnostics["weak_sets"].summary


@pytest.mark.filterwarnings("ignore:the clusters of g are few")
def test_fewer_clusters_than_instruments():
    few = FRAME.assign(g=np.arange(len(FRAME)) % 3)
    effect = fit(few, roles={"cluster": "g"})
    assert "3 clusters for 3 instruments" in effect.warnings[-1]
    assert not {"weak_sets", "kleibergen_paap", "anderson_rubin"} & set(effect.diagnostics)
    assert "3 clusters" in effect.summary()
    with pytest.raises(CausalError, match="need more clusters than instruments"):
        effect.confidence_set()
    with pytest.raises(CausalDataError, match="need more clusters than instruments"):
        fit(few, roles={"cluster": "g"}, method="gmm")


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.StandardErrorWarning")
@pytest.mark.parametrize("covariance", ["robust", "unadjusted"])
def test_an_outcome_fitted_exactly(covariance):
    """What is left is rounding: sets are one value (they were the whole line), instruments agree (p was .008)."""
    exact = FRAME.assign(y=2 * FRAME["d"] + FRAME["a"])
    for weak_set in ("ar", "k", "clr"):
        effect = fit(exact, covariance=covariance, weak_set=weak_set)
        assert effect.confidence_set().to_numpy() == pytest.approx(np.array([[2.0, 2.0]]), abs=1e-6)
    over = effect.diagnostics["overidentification"]
    assert over.passed
    assert over.table["statistic"].to_numpy() == pytest.approx(0, abs=1e-6)


def test_columns_whose_labels_are_no_text():
    labels = {"z1": 1, "z2": 2.5, "z3": ("z", 3), "d": 7, "g": False, "h": 8}
    renamed = FRAME.set_axis(pd.Index([labels.get(c, c) for c in FRAME], dtype=object, tupleize_cols=False), axis=1)
    call = {"outcome": "y", "covariates": COVARIATES}
    effect = causal(renamed).iv(treatment=7, instrument=[1, 2.5, ("z", 3)], cluster=[False, 8], **call)
    plain = fit(roles={"cluster": ["g", "h"]})
    assert effect.std_error == pytest.approx(plain.std_error, rel=1e-12)
    again = causal(renamed).iv(treatment=[7], instrument=[1, 2.5, ("z", 3)], **call)
    assert again.estimate == pytest.approx(plain.estimate, rel=1e-12)
    by_name = InstrumentalVariables().fit(
        renamed[[*COVARIATES, 1, 2.5, 7]], FRAME["y"], treatment=7, instrument=[1, 2.5]
    )
    assert by_name.effect_.estimate == pytest.approx(fit(instrument=["z1", "z2"]).estimate, rel=1e-12)


def test_columns_named_twice_or_not_at_all():
    with pytest.raises(CausalDataError, match="z1: is given twice as instrument"):
        fit(instrument=["z1", "z1"])
    with pytest.raises(CausalArgumentError, match=r"instrument=\[\] names no column"):
        fit(instrument=[])
    both = FRAME[["y", "d"]].set_axis(pd.Index([1, True], dtype=object), axis=1)  # one label, as Python compares
    with pytest.raises(CausalDataError, match="True: stands more than once among the columns"):
        causal(both).iv(outcome="y", treatment="d", instrument="z1")


def test_instruments_that_floats_would_merge():
    ids = FRAME.assign(z1=2**60 + np.arange(len(FRAME)))
    with pytest.raises(CausalDataError, match=r"z1: instrument holds whole numbers beyond 2\*\*53"):
        fit(ids)
    near = FRAME.assign(z1=0.1 + 1e-16 * np.sign(FRAME["z1"]))
    with pytest.raises(CausalDataError, match="z1: instrument differs by no more than rounding"):
        fit(near)


# -- sets that hold however weak ------------------------------------------------------------------------------------


def test_the_set_is_where_the_test_accepts():
    for covariance in ("robust", "unadjusted"):
        for weak_set in ("ar", "k", "clr"):
            effect = fit(covariance=covariance, weak_set=weak_set)
            pieces = effect.confidence_set()
            for end in pieces.to_numpy().ravel():
                assert effect.inversion.p_value(end) == pytest.approx(0.05, abs=1e-6)
            inside = pieces.loc[[effect.table.index[0]]].mean(axis=1).iloc[0]
            assert effect.inversion.p_value(inside) > 0.05
            wider = effect.confidence_set(0.99)
            assert wider["conf_low"].iloc[0] < pieces["conf_low"].iloc[0]


def test_sets_can_be_unbounded_in_pieces_or_empty():
    weak = linear(strength=0.0, seed=2)
    with pytest.warns(WeakInstrumentWarning):
        effect = fit(weak, covariance="unadjusted", instrument=["z1"])
    pieces = effect.confidence_set()
    assert np.isinf(pieces.to_numpy()).any()
    wrong = FRAME.assign(y=FRAME["y"] + 3 * FRAME["z2"])
    empty = fit(wrong, covariance="unadjusted")
    assert len(empty.confidence_set()) == 0
    assert "empty" in empty.diagnostics["weak_sets"].summary


def test_two_treatments_are_projected():
    both = fit(treatment=["d", "d2"], covariance="unadjusted")
    sets = both.confidence_set()
    assert sets.index.tolist() == ["d", "d2"]
    X, W, y = matrices(treatment=("d", "d2"))
    M = np.eye(len(y)) - W @ np.linalg.solve(W.T @ W, W.T)
    x = X[:, 2:]
    Mx = np.eye(len(y)) - x @ np.linalg.solve(x.T @ x, x.T)
    grid = np.linspace(-4, 3, 2001)
    low = sets.loc["d", "conf_low"]

    def smallest(b):
        e0 = y - b * X[:, 0]
        found = []
        for c in grid:
            e = e0 - c * X[:, 1]
            found.append((e @ (Mx - M) @ e) / (e @ M @ e / (len(y) - 6)))
        return min(found)

    assert smallest(low) == pytest.approx(stats.chi2.ppf(0.95, 3), rel=2e-3)
    assert "projected" in both.diagnostics["weak_sets"].summary
    robust = fit(treatment=["d", "d2"]).confidence_set()
    assert np.isfinite(robust.to_numpy()).all()


# -- further checks ---------------------------------------------------------------------------------------------------


def test_plausible_exogeneity_is_the_fit_of_a_shifted_outcome():
    effect = fit(instrument=["z1"])
    band = effect.estimator.plausible_exogeneity(0.2)
    table = band.table.loc["d"]
    assert table.loc[0.0, ["conf_low", "conf_high"]].tolist() == pytest.approx([effect.conf_low, effect.conf_high])
    fits = [fit(FRAME.assign(y=FRAME["y"] - g * FRAME["z1"]), instrument=["z1"]) for g in (-0.2, 0.0, 0.2)]
    assert table.loc[1.0, "conf_low"] == pytest.approx(min(f.conf_low for f in fits), rel=1e-9)
    assert table.loc[1.0, "conf_high"] == pytest.approx(max(f.conf_high for f in fits), rel=1e-9)
    assert table["direct"].iloc[-1] == pytest.approx(0.2)
    local = effect.estimator.plausible_exogeneity(0.2, method="local").table.loc["d"].iloc[-1]
    pull = fits[0].estimate - fits[1].estimate
    half = 1.959963984540054 * np.hypot(effect.std_error, pull)
    assert [local["conf_low"], local["conf_high"]] == pytest.approx([effect.estimate - half, effect.estimate + half])
    with pytest.raises(CausalArgumentError, match="one for each of the 1 instruments"):
        effect.estimator.plausible_exogeneity([0.1, 0.2])
    with pytest.raises(CausalArgumentError, match="method='2sls'"):
        fit(method="liml").estimator.plausible_exogeneity(0.1)


def test_validity_needs_two_values_each():
    binary = FRAME.assign(z1=(FRAME["z1"] > 0).astype(int), d=(FRAME["d"] > 0).astype(int))
    check = fit(binary, instrument="z1").estimator.test_validity(n_draws=50)
    assert check.table.index.tolist() == ["Kitagawa"]
    with pytest.raises(CausalArgumentError, match="two values each"):
        fit().estimator.test_validity()


def test_tf_is_there_with_one_instrument_at_two_levels():
    effect = fit(instrument="z1")
    table = effect.diagnostics["tf"].table
    assert table["std_error"].iloc[0] >= effect.std_error
    assert "tf" in fit(instrument="z1", level=0.99).diagnostics
    assert "tf" not in fit(instrument="z1", level=0.9).diagnostics
    assert "tf" not in fit().diagnostics


def test_compact_keeps_the_set():
    effect = fit()
    small = effect.compact()
    pd.testing.assert_frame_equal(small.confidence_set(), effect.confidence_set())
    assert small.inversion.design is None


def test_short_names_and_settings_of_the_accessor():
    ask = causal(FRAME)
    call = {"treatment": "d", "outcome": "y", "instrument": Z, "covariates": COVARIATES}
    for name in METHODS:
        assert ask.iv(**call, estimator=name).estimate == pytest.approx(fit(method=name).estimate, rel=1e-12)
    assert ask.iv(**call, covariance="unadjusted").std_error == pytest.approx(fit(covariance="unadjusted").std_error)
    assert ask.iv(**call, level=0.9).level == 0.9
    with pytest.raises(CausalArgumentError, match="estimator='ols' is not known; use one of"):
        ask.iv(**call, estimator="ols")


def test_the_set_follows_the_clusters():
    at_fit, later = fit(roles={"cluster": "g"}), fit().cluster(FRAME["g"])
    pd.testing.assert_frame_equal(later.confidence_set(), at_fit.confidence_set(), atol=1e-8)
    assert not np.allclose(later.confidence_set(), fit().confidence_set(), atol=1e-4)
    units = fit().collapse(FRAME["g"].rename("g"))
    pd.testing.assert_frame_equal(units.confidence_set(), at_fit.confidence_set(), atol=1e-8)
    with pytest.raises(CausalError, match=r"dropped by compact\(\)"):
        fit().compact().cluster(FRAME["g"])


def test_several_outcomes_keep_their_sets():
    frame = FRAME.assign(y2=2 * FRAME["y"] + FRAME["a"])
    both = causal(frame).iv(treatment="d", outcome=["y", "y2"], instrument=Z, covariates=COVARIATES)
    sets = both.confidence_set()
    assert sets.index.tolist() == [("y", "d"), ("y2", "d")]
    assert sets.loc["y"].to_numpy() == pytest.approx(fit().confidence_set().to_numpy(), rel=1e-8)
    assert sets.loc["y2"].to_numpy() == pytest.approx(2 * fit().confidence_set().to_numpy(), rel=1e-6)


def test_one_variance_makes_the_rank_test_that_of_cragg_and_donald():
    checks = fit(treatment=["d", "d2"], covariance="unadjusted").diagnostics
    rank, cragg = checks["kleibergen_paap"].table["F"].iloc[0], checks["cragg_donald"].table["cragg_donald_F"].iloc[0]
    assert rank == pytest.approx(cragg, rel=1e-10)
    one = fit().diagnostics
    robust = one["first_stage"].table["robust_F"].iloc[0]
    assert one["kleibergen_paap"].table["F"].iloc[0] == pytest.approx(robust, rel=1e-10)


def test_validate_takes_numbers_and_instruments():
    ask = causal(FRAME)
    assert ask.validate(treatment=["d", "d2"], outcome="y", instrument=Z, numbers=True) is FRAME
    with pytest.raises(CausalDataError, match="instrument equals the treatment"):
        causal(FRAME.assign(z1=-FRAME["d"])).validate(treatment="d", outcome="y", instrument="z1", numbers=True)


def test_a_bootstrap_of_the_rows():
    from pandas_causal import bootstrap

    strong = linear(n=300, strength=1.5)
    roles = {"treatment": "d", "instrument": Z}
    drawn = bootstrap(InstrumentalVariables(), strong[["a", "b", "d", *Z]], strong["y"], n_draws=200, **roles)
    assert drawn.std_error == pytest.approx(fit(strong).std_error, rel=0.2)


def test_a_treatment_that_instruments_explain_needs_none():
    with pytest.raises(CausalDataError, match="d: is explained exactly by the instruments and covariates; it needs no"):
        fit(FRAME.assign(d=FRAME["z1"] - 2 * FRAME["z2"] + FRAME["a"]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("covariance", ["robust", "unadjusted"])
@pytest.mark.filterwarnings("ignore::pandas_causal.errors.StandardErrorWarning")
def test_an_outcome_without_noise(method, covariance):
    exact = FRAME.assign(y=2 * FRAME["d"] + FRAME["a"] - 1)
    if method in ("gmm", "cue", "hful"):
        with pytest.raises(CausalError, match="fit the outcome exactly, so that (HFUL|efficient weights) do"):
            fit(exact, method=method)
        return
    effect = fit(exact, method=method, covariance=covariance)
    assert effect.estimate == pytest.approx(2, rel=1e-8)
    assert effect.std_error < 1e-6
    assert "rows" in effect.summary()


def test_arrays_have_names_by_their_role():
    X, treatments, instruments = (FRAME[c].to_numpy() for c in (COVARIATES, ["d", "d2"], Z))
    effect = (
        InstrumentalVariables().fit(X, FRAME["y"].to_numpy(), treatment=treatments, instrument=instruments).effect()
    )
    assert effect.table.index.tolist() == ["treatment 0", "treatment 1"]
    assert "treatment 0 and treatment 1" in effect.estimand
    assert "instrument 0, instrument 1, instrument 2" in effect.estimand
    named = fit(treatment=["d", "d2"]).table["estimate"]
    assert effect.table["estimate"].to_numpy() == pytest.approx(named.to_numpy())


def test_bounds_where_everything_is_binary():
    binary = FRAME.assign(
        y=(FRAME["y"] > 3).astype(int), z1=(FRAME["z1"] > 0).astype(int), d=(FRAME["d"] > 0).astype(int)
    )
    table = fit(binary, instrument="z1").diagnostics["bounds"].table
    p = np.zeros((2, 2, 2))
    np.add.at(p, (binary["y"], binary["d"], binary["z1"]), 1.0)
    from pandas_causal.inference.instrument_validity import balke_pearl_bounds

    assert tuple(table.iloc[0]) == pytest.approx(balke_pearl_bounds(p / p.sum(axis=(0, 1))))
    assert "bounds" not in fit(binary, instrument=["z1", "z2"]).diagnostics


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.CausalWarning")
def test_projected_sets_of_uneven_noise():
    """The statistic has several minima over the other coefficient: a search that ends in one left pieces out."""
    rng = np.random.default_rng(7)
    Z, u = rng.normal(size=(80, 4)), rng.normal(size=80)
    D = 0.25 * Z @ rng.normal(size=(4, 2)) + u[:, None] + rng.normal(size=(80, 2))
    y = D.sum(axis=1) + u + rng.normal(size=80) * (1 + np.abs(Z[:, 0]))
    frame = pd.DataFrame(np.column_stack([Z, D, y]), columns=["z1", "z2", "z3", "z4", "d", "d2", "y"])
    effect = fit(frame, ["d", "d2"], ["z1", "z2", "z3", "z4"], [], {"cluster": np.arange(80) % 10}, level=0.8)
    pieces = effect.confidence_set(0.8)
    for j, name in enumerate(pieces.index.unique()):
        for end in pieces.loc[[name]].to_numpy().ravel():
            if np.isfinite(end):
                assert effect.inversion.p_value(end, j) == pytest.approx(0.2, abs=1e-3)
    # whatever is accepted with some value of the other coefficient lies in the set
    others = np.tan(np.linspace(-1.57, 1.57, 201)) * 3
    Zc, w = Z - Z.mean(axis=0), np.column_stack([y, D]) - np.column_stack([y, D]).mean(axis=0)
    for b in np.linspace(-6, 6, 13):
        smallest = np.inf
        for c in others:
            scores = Zc * (w[:, 0] - b * w[:, 1] - c * w[:, 2])[:, None]
            sums = np.array([scores[np.arange(80) % 10 == k].sum(axis=0) for k in range(10)])
            smallest = min(smallest, float(sums.sum(axis=0) @ np.linalg.solve(sums.T @ sums, sums.sum(axis=0))))
        inside = any(low <= b <= high for low, high in pieces.loc[["d"]].to_numpy())
        assert inside or smallest > stats.chi2.ppf(0.8, 4)


@pytest.mark.filterwarnings("ignore:the clusters of")
def test_two_ways_of_clusters_that_leave_no_covariance():
    """Inclusion and exclusion may leave negative variances: tests that need them do not exist, and say so."""
    rng = np.random.default_rng(0)
    frame = FRAME.assign(g=rng.permutation(len(FRAME)) // 2, h=rng.permutation(len(FRAME)) % 5)
    effect = fit(frame, roles={"cluster": ["g", "h"]}, weak_set="clr")
    with pytest.raises(CausalError, match="no covariance at .* 'clr' does not exist; cluster one way"):
        effect.confidence_set()
    for name in effect.diagnostics:
        check = effect.diagnostics[name]
        numbers = check.table.select_dtypes("number").to_numpy(dtype=float)
        assert "no covariance" in check.summary or "plain F" in check.summary or not np.isnan(numbers).any(), name
    said = [name for name in effect.diagnostics if "no covariance" in effect.diagnostics[name].summary]
    assert said
    with pytest.raises(CausalError, match="no Anderson-Rubin test to draw"):
        effect.plot("anderson_rubin")
    assert np.isnan(conditional_likelihood_ratio_p(WeakTests(1.0, 1.0, np.nan), 3))


@pytest.mark.filterwarnings(
    "ignore::pandas_causal.errors.WeakInstrumentWarning", "ignore::pandas_causal.errors.StandardErrorWarning"
)
@pytest.mark.parametrize(("b", "p"), [(-0.294, 0.0858), (3.72, 0.0314), (7.74, 0.0184)])
def test_k_with_clusters_by_hand(b, p):
    """The covariance of instruments times treatment with the moments is not symmetric where rows are clustered."""
    n, G = 40, 10
    rng = np.random.default_rng(3)
    Z = pd.DataFrame(rng.normal(size=(n, 2)), columns=["z0", "z1"])
    u = rng.normal(size=n)
    d = pd.Series(Z["z0"] * 0.5 + Z["z1"] * 0.3 + u, name="d")
    y = pd.Series(d + u + rng.normal(size=n), name="y")
    cluster = rng.integers(0, G, n)
    fitted = InstrumentalVariables(weak_set="k").fit(
        pd.DataFrame(index=Z.index), y, treatment=d, instrument=Z, cluster=cluster
    )
    z, dc, yc = (np.asarray(v - v.mean(axis=0)) for v in (Z, d, y))
    e = yc - b * dc

    def totals(values):
        return np.stack([(z * values[:, None])[cluster == c].sum(axis=0) for c in range(G)])

    V, C = totals(e).T @ totals(e), totals(dc).T @ totals(e)
    half = np.linalg.solve(V, z.T @ e)
    D = z.T @ dc - C @ half
    by_hand = stats.chi2.sf((D @ half) ** 2 / (D @ np.linalg.solve(V, D)), 1)
    assert by_hand == pytest.approx(p, abs=5e-5)
    assert fitted.effect().inversion.p_value(b) == pytest.approx(by_hand, rel=1e-8)
    assert "clr" in fitted.effect().diagnostics["anderson_rubin"].table
