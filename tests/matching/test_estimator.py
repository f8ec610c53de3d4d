"""Matching: numbers by hand, the papers' variances by their formulas, designs without outcomes, rows left out."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import pandas_causal
from pandas_causal import Matching, bootstrap
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError, OverlapError, StandardErrorWarning
from pandas_causal.matching.strata import subclasses
from tests.adjustment.designs import confounded
from tests.contract.data import COVARIATES, make

METHODS = {
    "nearest": {},
    "mahalanobis": {"distance": "mahalanobis"},
    "without replacement": {"replace": False},
    "pair": {"method": "pair"},
    "full": {"method": "full"},
    "cem": {"method": "cem", "cutpoints": 3},
    "subclass": {"method": "subclass", "n_subclasses": 4},
}
every = pytest.mark.parametrize("settings", METHODS.values(), ids=METHODS.keys())


def smaller(d):
    """Estimand of the arm with fewer rows, which the other can serve without replacement."""
    return "ATT" if np.mean(d) < 0.5 else "ATC"


def fit(frame, y="recovery", **settings):
    roles = {k: settings.pop(k) for k in ("cluster", "sample_weight", "propensity") if k in settings}
    taken = [v for v in roles.values() if isinstance(v, str)]
    outcome = None if y is None else frame[y]
    return Matching(**settings).fit(
        frame[[*COVARIATES, "medication", *taken]], outcome, treatment="medication", **roles
    )


# -- by hand ---------------------------------------------------------------

# rows: places on a line, arms, outcomes. Treated at 1, 2, 6; controls at 0, 2, 2, 5, 7.
PLACE = np.array([1.0, 2, 6, 0, 2, 2, 5, 7])
ARM = np.array([1, 1, 1, 0, 0, 0, 0, 0])
Y = np.array([5.0, 6, 10, 1, 2, 4, 5, 9])


def line(**settings):
    given = {"distance": "euclidean", "propensity_model": "ridge", **settings}
    return Matching(**given).fit(PLACE[:, None], Y, treatment=ARM)


def test_ties_share_by_hand():
    """1 ties with 0 and both rows at 2; 2 with both rows at 2; 6 with 5 and 7."""
    model = line()
    assert model.effect().estimate == pytest.approx(np.mean([5 - 7 / 3, 6 - 3, 10 - 7]), rel=1e-12)
    pairs = model.matched_
    assert pairs[["target", "match"]].to_numpy().tolist() == [
        [0, 3], [0, 4], [0, 5], [1, 4], [1, 5], [2, 6], [2, 7],
    ]  # fmt: skip
    np.testing.assert_allclose(pairs["weight"], [1 / 3] * 3 + [1 / 2] * 4)
    np.testing.assert_allclose(model.weights_, [1, 1, 1, 1 / 3, 5 / 6, 5 / 6, 1 / 2, 1 / 2], rtol=1e-12)


def test_variance_of_abadie_and_imbens_by_hand():
    """Two neighbours in the control arm (four at the ties): 0: rows at 2, 2; a row at 2: the other and 0; 5: both at 2,
    and 7 at distance 2 does not tie with 3; 7: 5 and both rows at 2, which tie at 5.
    """
    model = line(variance_matches=2)
    J = {3: ([4, 5], 2), 4: ([3, 5], 2), 5: ([3, 4], 2), 6: ([7, 4, 5], 3), 7: ([6, 4, 5], 3)}
    s2 = {i: k / (k + 1) * (Y[i] - Y[near].mean()) ** 2 for i, (near, k) in J.items()}
    K = {3: 1 / 3, 4: 5 / 6, 5: 5 / 6, 6: 1 / 2, 7: 1 / 2}
    K2 = {3: 1 / 9, 4: 1 / 9 + 1 / 4, 5: 1 / 9 + 1 / 4, 6: 1 / 4, 7: 1 / 4}
    gaps = np.array([5 - 7 / 3, 6 - 3, 10 - 7])
    variance = (np.square(gaps - gaps.mean()).sum() + sum((K[i] ** 2 - K2[i]) * s2[i] for i in K)) / 9
    assert model.effect().std_error == pytest.approx(np.sqrt(variance), rel=1e-12)
    assert model.effect().std_error_method == "Abadie and Imbens (2006, 2008), 2 neighbours, normal law"


def test_methods_by_hand():
    greedy = line(replace=False, order="smallest").matched_.set_index("target")["match"]
    assert greedy.loc[2] == 6  # 5 and 7 are equally near: the smaller place
    assert set(greedy.loc[[0, 1]]) <= {3, 4, 5}
    pair = line(method="pair")
    assert pair.matched_["distance"].sum() == pytest.approx(2 / sd(), rel=1e-9)
    sets = line(method="full").matched_
    assert (
        sets.groupby("subclass")["arm"].agg(["min", "max"]).to_numpy().tolist() == [[0, 1]] * sets["subclass"].nunique()
    )
    cem = line(method="cem", cutpoints={"x0": [1.5, 4]})
    # cells below 1.5, up to 4, above: treated 1, 2, 6 with controls {0}, {2, 2}, {5, 7}
    assert cem.effect().estimate == pytest.approx(np.mean([5 - 1, 6 - 3, 10 - 7]), rel=1e-12)


def sd():
    return np.sqrt((PLACE[ARM == 1].var(ddof=1) + PLACE[ARM == 0].var(ddof=1)) / 2)


def test_pairs_have_the_paired_error():
    X, y, d = confounded(300, seed=4)
    model = Matching(replace=False, caliper=0.5, estimand=smaller(d)).fit(X, y, treatment=d)
    pairs = model.matched_
    gaps = y.loc[pairs["target"]].to_numpy() - y.loc[pairs["match"]].to_numpy()
    gaps = gaps if smaller(d) == "ATT" else -gaps
    effect = model.effect()
    G = len(gaps)
    assert effect.estimate == pytest.approx(gaps.mean(), rel=1e-10)
    paired = gaps.std(ddof=1) / np.sqrt(G)
    assert effect.std_error == pytest.approx(paired * np.sqrt((2 * G - 1) / (2 * G - 2)), rel=1e-10)
    assert effect.uncertainty.df()[0] == G - 1


# -- the papers' formulas, row by row ---------------------------------------------------------------


def loops(estimand, e, y, d, M, J, Z=None):
    """Abadie and Imbens (2006) by loops; with Z, (2016) for a logistic propensity and the ATE."""
    n = len(y)
    K, K2 = np.zeros(n), np.zeros(n)
    imputed = np.column_stack([y, y]).astype(float)
    for i in range(n):
        if estimand == "ATT" and d[i] == 0:
            continue
        others = np.flatnonzero(d != d[i])
        near = np.sort(np.abs(e[others] - e[i]))[M - 1]
        matched = others[np.abs(e[others] - e[i]) <= near + 1e-10]
        imputed[i, 1 - d[i]] = y[matched].mean()
        K[matched] += 1 / len(matched)
        K2[matched] += 1 / len(matched) ** 2
    s2, covariance = np.zeros(n), np.zeros((n, 0 if Z is None else Z.shape[1]))
    for i in range(n):
        others = np.flatnonzero((d == d[i]) & (np.arange(n) != i))
        gap = np.abs(e[others] - e[i])
        near = others[gap <= np.sort(gap)[J - 1] + 1e-10]
        r, m = y[i] - y[near].mean(), len(near)
        s2[i] = m / (m + 1) * r**2
        if Z is not None:
            covariance[i] = m / (m + 1) * r * (Z[i] - Z[near].mean(axis=0))
    gaps = imputed[:, 1] - imputed[:, 0]
    if estimand == "ATT":
        tau, m = gaps[d == 1].mean(), d.sum()
        return tau, (np.square(gaps[d == 1] - tau).sum() + ((K**2 - K2) * s2)[d == 0].sum()) / m**2
    tau = gaps.mean()
    variance = (np.square(gaps - tau).sum() + ((K**2 + 2 * K - K2) * s2).sum()) / n**2
    if Z is not None:  # c: the covariances given the propensity, averaged over the rows that are imputed
        c = (K[:, None] * covariance).sum(axis=0) / n
        variance -= c @ np.linalg.inv((Z * (e * (1 - e))[:, None]).T @ Z) @ c
    return tau, variance


@pytest.mark.parametrize("M", [1, 3])
@pytest.mark.parametrize("estimand", ["ATT", "ATE"])
def test_known_propensity_by_loops(estimand, M):
    X, y, d = confounded(150, seed=M)
    e = np.round(np.random.default_rng(0).uniform(0.2, 0.8, 150), 2)  # with ties
    effect = Matching(estimand=estimand, ratio=M, variance_matches=3).fit(X, y, treatment=d, propensity=e).effect()
    tau, variance = loops(estimand, e, y.to_numpy(), np.asarray(d), M, 3)
    assert effect.estimate == pytest.approx(tau, rel=1e-10)
    assert effect.std_error == pytest.approx(np.sqrt(variance), rel=1e-10)
    assert "propensity taken as known" in effect.std_error_method


def test_estimated_propensity_by_loops():
    X, y, d = confounded(200, seed=5)
    model = Matching(estimand="ATE").fit(X, y, treatment=d)
    Z = np.column_stack([np.ones(200), X])
    tau, variance = loops("ATE", model.propensity_[:, 1], y.to_numpy(), np.asarray(d), 1, 4, Z)
    assert model.effect().estimate == pytest.approx(tau, rel=1e-10)
    assert model.effect().std_error == pytest.approx(np.sqrt(variance), rel=1e-6)
    known = Matching(estimand="ATE").fit(X, y, treatment=d, propensity=model.propensity_[:, 1]).effect()
    assert known.estimate == pytest.approx(tau, rel=1e-12)
    assert known.std_error > model.effect().std_error
    assert "2016: estimation of the logistic propensity included" in model.effect().std_error_method


def test_contributions_add_up_to_zero_and_are_what_clusters_sum():
    frame = make(n=200)
    for settings in METHODS.values():
        u = fit(frame, bias_adjust=True, **settings).effect().uncertainty
        np.testing.assert_allclose(u.contributions.sum(axis=0), 0, atol=1e-10)
    effect = fit(frame, cluster="site").effect()
    by_hand = fit(frame).effect().cluster(frame["site"])
    assert effect.std_error == pytest.approx(by_hand.std_error, rel=1e-12)
    assert effect.std_error_method == "contributions of the rows (Abadie and Imbens 2012), clustered by site (CR1)"
    with pytest.warns(StandardErrorWarning, match="zero"):
        itself = fit(frame).effect().difference(fit(frame.sample(frac=1, random_state=1)).effect())
    assert itself.uncertainty.std_error()[0] < 1e-7


def test_pairs_and_clusters_together():
    frame = make(n=200)
    both = fit(
        frame, replace=False, estimand="ATC" if frame["medication"].mean() > 0.5 else "ATT", cluster="site"
    ).effect()
    assert "clustered by matched set and site (CR1" in both.std_error_method
    assert both.std_error > 0
    with pytest.raises(CausalArgumentError, match="one further way can be given"):
        Matching(replace=False, estimand=smaller(frame["medication"])).fit(
            frame[["age", "severity", "medication", "site", "region"]],
            frame["recovery"],
            treatment="medication",
            cluster=["site", "region"],
        )


def test_bias_adjustment_removes_what_is_linear():
    """An outcome that is linear without the treatment is met exactly, however coarse the matches."""
    X, _, d = confounded(200, seed=6)
    y = X.to_numpy() @ np.arange(1, X.shape[1] + 1) + 3.0 * np.asarray(d) + np.where(d, np.sin(np.arange(200)), 0)
    truth = 3 + np.sin(np.arange(200))[np.asarray(d) == 1].mean()
    for settings in METHODS.values():
        if settings.get("method") == "cem" or settings.get("replace") is False or settings.get("method") == "pair":
            continue
        adjusted = Matching(bias_adjust=True, **settings).fit(X, y, treatment=d).effect()
        plain = Matching(**settings).fit(X, y, treatment=d).effect()
        assert adjusted.estimate == pytest.approx(truth, abs=1e-9)
        assert abs(plain.estimate - truth) > 1e-3


def test_bias_adjustment_needs_more_matches_than_coefficients():
    X, y, d = confounded(60, seed=1)
    few = np.flatnonzero(np.asarray(d) == 1)[: X.shape[1]]
    keep = np.sort(np.concatenate([few, np.flatnonzero(np.asarray(d) == 0)]))
    model = Matching(bias_adjust=True, propensity_model="ridge")
    with pytest.raises(CausalDataError, match=r"bias_adjust fits \d coefficients to the \d rows of arm 0"):
        model.fit(X.iloc[keep], y.iloc[keep], treatment=np.asarray(d)[keep])


# -- design first ---------------------------------------------------------------


@every
def test_design_first_outcome_later(settings):
    frame = make(n=200)
    settings = {"estimand": smaller(frame["medication"]), **settings}
    design = fit(frame, None, **settings)
    whole = fit(frame, **settings)
    assert np.array_equal(design.weights_, whole.weights_)
    assert len(design.matched_) == len(whole.matched_) > 0
    assert not hasattr(design, "effect_")
    with pytest.raises(CausalError, match=r"design without an outcome: effect\(\) needs one, with_outcome\(y\)"):
        design.effect()
    answered = design.with_outcome(frame["recovery"])
    pd.testing.assert_frame_equal(answered.effect().table, whole.effect().table)
    assert answered.effect().facts["outcome"] == "recovery"
    assert not hasattr(design, "effect_")
    other = design.with_outcome(-frame["recovery"].to_numpy())
    assert other.effect().estimate == pytest.approx(-whole.effect().estimate, rel=1e-12)
    assert design.score(frame[[*COVARIATES, "medication"]]) <= 0
    with pytest.warns(StandardErrorWarning, match="zero"):
        assert answered.effect().difference(whole.effect()).std_error < 1e-12


def test_outcomes_that_do_not_fit_the_design():
    frame = make()
    design = fit(frame, None)
    wrong = {
        "has 119 values for 120 rows": frame["recovery"].iloc[:-1],
        "different labels than the design's rows": frame["recovery"].iloc[::-1],
        "outcome is missing": frame["recovery"].where(frame["age"] > 40),
        "outcome is not numeric": frame["region"],
        "equals the outcome": frame["age"] * 2,
        "has 2 dimensions": frame[["recovery"]],
    }
    for message, y in wrong.items():
        with pytest.raises(CausalDataError, match=message):
            design.with_outcome(y)


def test_the_design_of_dropped_rows_still_speaks_of_all_rows():
    frame = make().astype({"medication": float})
    frame.iloc[[3, 5], frame.columns.get_loc("medication")] = np.nan
    design = Matching().fit(frame[[*COVARIATES, "medication"]], None, treatment="medication", missing="drop")
    assert len(design.weights_) == 120
    assert design.weights_[[3, 5]].tolist() == [0, 0]
    assert np.isfinite(design.with_outcome(frame["recovery"]).effect().estimate)


@every
def test_weights_give_the_estimate_and_the_balance(settings):
    frame = make(n=300)
    settings = {"estimand": smaller(frame["medication"]), **settings}
    model = fit(frame, sample_weight="weight", **settings)
    w, y, d = model.weights_, frame["recovery"], frame["medication"]
    means = [np.average(y[d == a], weights=w[d == a]) for a in (0, 1)]
    assert model.effect().estimate == pytest.approx(means[1] - means[0], rel=1e-10)
    table = model.effect().diagnostics["balance"].table
    again = frame.causal.balance(treatment="medication", covariates=COVARIATES, weights=w).table
    pd.testing.assert_frame_equal(table, again)
    check = model.effect().diagnostics["matching"].table
    assert check["matched"].tolist() == [(w[d == a] > 0).sum() for a in (0, 1)]
    counted = model.unmatched_.groupby("arm")["n"].sum().to_dict()
    assert all(counted.get(a, 0) == (w[d == a] == 0).sum() for a in (0, 1))
    label = model._sample.inputs.index
    if "subclass" in model.matched_ and "target" not in model.matched_:
        assert set(model.matched_.index) == set(label[w > 0])
    model.effect().plot("love")


# -- strata, calipers, support ---------------------------------------------------------------


def test_exact_strata_and_calipers_hold_in_every_pair():
    frame = make(n=400)
    model = fit(frame, exact=["region"], caliper={"propensity": 0.5, "age": 0.8}, ratio=(1, 3), estimand="ATT")
    pairs = model.matched_
    left, right = frame.loc[pairs["target"]], frame.loc[pairs["match"]]
    assert (left["region"].to_numpy() == right["region"].to_numpy()).all()
    d = frame["medication"]
    sd = lambda x: np.sqrt((x[d == 1].var() + x[d == 0].var()) / 2)  # noqa: E731
    assert np.abs(left["age"].to_numpy() - right["age"].to_numpy()).max() <= 0.8 * sd(frame["age"])
    score = pd.Series(np.log(model.propensity_[:, 1] / model.propensity_[:, 0]), index=frame.index)
    assert np.abs(score[pairs["target"]].to_numpy() - score[pairs["match"]].to_numpy()).max() <= 0.5 * sd(score)
    assert pairs.groupby("target").size().max() >= 3


def test_a_covariate_named_as_strata_stays_one():
    frame = make(n=400)
    frame["strata site"] = frame["region"]
    frame["site"] = np.arange(len(frame)) % 2
    pairs = (
        pandas_causal.Matching(exact=["strata site"])
        .fit(frame[["age", "strata site", "site"]], frame["recovery"], treatment=frame["medication"], strata="site")
        .matched_
    )
    left, right = frame.loc[pairs["target"]], frame.loc[pairs["match"]]
    for name in ("strata site", "site"):
        assert (left[name].to_numpy() == right[name].to_numpy()).all()


def test_the_caliper_that_the_error_names_keeps_them():
    frame = make()
    with pytest.raises(
        CausalDataError, match=r"none of the 53 rows could be matched \(53 rows: no row of the other arm"
    ) as e:
        fit(frame, caliper=1e-9)
    words = str(e.value).split()
    some, everyone = (float(words[k + 1].rstrip(",")) for k, word in enumerate(words) if word == "is")
    assert fit(frame, None, caliper=everyone).unmatched_["arm"].tolist() == [0]
    assert (fit(frame, None, caliper=everyone * 0.999).unmatched_["arm"] == 1).any()
    assert some < everyone
    with pytest.raises(CausalDataError, match="only 1 of the 53 rows could be matched"):
        fit(frame, caliper=some)


def test_rows_left_out_are_counted_by_reason_and_the_population_says_so():
    frame = make(n=200)
    lonely = frame.index[frame["medication"] == 1][:3]
    frame.loc[lonely, "region"] = "nowhere"
    model = fit(frame, exact=["region"], caliper=0.05, propensity_model="ridge")
    effect, table = model.effect(), model.unmatched_
    reasons = table[table["arm"] == 1].set_index("reason")["n"]
    assert reasons["no row of the other arm in its exact stratum"] == 3
    assert reasons["no row of the other arm within the caliper"] > 0
    matched = int((model.weights_[frame["medication"] == 1] > 0).sum())
    assert effect.population == f"rows like the {matched} that could be matched"
    assert "3 rows were left out: no row of the other arm in its exact stratum" in effect.warnings
    assert effect.facts["n_matched"] == (model.weights_ > 0).sum()


def test_discard_leaves_out_what_is_beyond_the_other_arm():
    X, y, d = confounded(400, seed=8)
    d = np.asarray(d)
    base = Matching(estimand="ATE").fit(X, y, treatment=d)
    e = base.propensity_[:, 1]
    beyond = {
        "treated": (d == 1) & ((e > e[d == 0].max()) | (e < e[d == 0].min())),
        "control": (d == 0) & ((e > e[d == 1].max()) | (e < e[d == 1].min())),
    }
    beyond["both"] = beyond["treated"] | beyond["control"]
    for side, out in beyond.items():
        model = Matching(estimand="ATE", discard=side).fit(X, y, treatment=d)
        assert ((model.weights_ == 0) == out).all()
        assert out.any()


def test_bad_designs():
    frame = make()
    few = frame.assign(medication=(np.arange(120) == 3).astype(int))
    cases = [
        ({"replace": False, "estimand": "ATC"}, CausalDataError, "67 rows x 1 cannot .* among 53"),
        ({"replace": False, "ratio": 2}, None, None),
        ({"replace": False, "ratio": (2, 2)}, CausalDataError, "53 rows x 2 cannot each have"),
        ({"replace": False, "estimand": "ATE"}, CausalArgumentError, "use replace=True or method='full'"),
        ({"exact": ["age"]}, CausalDataError, "none of the 53 .*exact stratum.*leave some of exact="),
        ({"ratio": 100}, CausalDataError, "ratio=100 asks for more rows than the 67"),
        ({"method": "cem", "cutpoints": 200}, CausalDataError, "rows could be matched .*in its cell"),
        ({"method": "cem", "cutpoints": {"agee": 3}}, CausalArgumentError, "did you mean 'age'"),
        ({"method": "subclass", "n_subclasses": 90}, CausalDataError, "90 subclasses need as many rows"),
        ({"method": "subclass", "caliper": 0.2}, CausalArgumentError, "caliper= has no meaning"),
        ({"method": "full", "ratio": 2}, CausalArgumentError, "ratio= has no meaning"),
        ({"caliper": {"region": 0.2}}, CausalArgumentError, "'region' is categorical.*exact="),
    ]  # fmt: skip
    for settings, error, message in cases:
        if error is None:
            fit(frame, **settings)
            continue
        with pytest.raises(error, match=message):
            fit(frame, **settings)
    with pytest.raises(CausalDataError, match="arm 1 has fewer than 2 rows in 1 row"):
        fit(few)
    apart = frame.assign(severity=frame["age"] + 100 * frame["medication"], age=frame["age"] - 90 * frame["medication"])
    apart["age"] += 40 * np.sin(np.arange(120))
    apart["severity"] -= 40 * np.sin(np.arange(120))
    with pytest.raises((OverlapError, CausalDataError), match="separat"):
        fit(apart)


def test_constant_covariates_change_nothing():
    frame = make()
    plain = fit(frame, distance="mahalanobis").effect().estimate
    X = frame[[*COVARIATES, "medication"]].assign(same=1.0)
    model = Matching(distance="mahalanobis", caliper={"same": 1.0}).fit(X, frame["recovery"], treatment="medication")
    assert model.effect().estimate == plain


def test_the_bootstrap_refuses_matching_by_name():
    frame = make()
    with pytest.raises(CausalArgumentError, match=r"not valid for matching \(Abadie and Imbens 2008"):
        bootstrap(Matching(), frame[[*COVARIATES, "medication"]], frame["recovery"], treatment="medication")


# -- errors of sets, and what they hold ---------------------------------------------------------------


def varying(rng, n=300):
    """Logistic propensity, effects that vary with the first covariate, on average 1."""
    x = rng.normal(size=(n, 2))
    t = (rng.random(n) < 1 / (1 + np.exp(0.8 - 0.6 * x[:, 0] + 0.4 * x[:, 1]))).astype(int)
    y = x[:, 0] + 0.5 * x[:, 1] + t * (1 + x[:, 0]) + rng.normal(size=n)
    return pd.DataFrame(x, columns=["a", "b"]), y, t


@pytest.mark.slow
def test_errors_of_full_matching_where_effects_vary():
    """Clustered by set they were a fifth too wide."""
    rng = np.random.default_rng(3)
    model = Matching(method="full", estimand="ATE", distance="mahalanobis", bias_adjust=True)
    found = np.empty((200, 2))
    for k in range(200):
        X, y, t = varying(rng)
        effect = model.fit(X, y, treatment=t).effect()
        found[k] = effect.estimate, effect.std_error
    assert 0.87 < found[:, 1].mean() / found[:, 0].std(ddof=1) < 1.12
    assert "Abadie and Imbens" in effect.std_error_method


def test_errors_say_where_the_propensity_is_taken_as_known():
    X, y, t = varying(np.random.default_rng(4))
    known = "propensity taken as known"
    for settings in ({"method": "pair"}, {"replace": False}, {"method": "full"}, {"method": "subclass"}):
        assert known in Matching(**settings).fit(X, y, treatment=t).effect().std_error_method
    for settings in (
        {"method": "pair", "distance": "mahalanobis"}, {"method": "full", "distance": "mahalanobis"},
        {"method": "cem", "cutpoints": 4}, {},
    ):  # fmt: skip
        assert known not in Matching(**settings).fit(X, y, treatment=t).effect().std_error_method


@pytest.mark.parametrize(
    "settings", [{"distance": "mahalanobis"}, {"method": "cem", "cutpoints": 3}, {"distance": "euclidean"}]
)
@pytest.mark.filterwarnings("ignore:a linear score of the covariates splits the arms")
def test_separated_arms_read_as_unbalanced_where_no_propensity_is_fitted(settings):
    rng = np.random.default_rng(5)
    X = pd.DataFrame(rng.normal(size=(400, 2)), columns=["a", "b"])
    t = (X.sum(axis=1) > 0.8).astype(int)
    model = Matching(**settings).fit(X, X["a"] + t, treatment=t)
    assert model.propensity_ is None
    assert not model.effect().diagnostics["balance"].passed
    assert any("not balanced after matching" in text for text in model.effect().warnings)
    assert "propensity" not in model.effect().diagnostics
    with pytest.raises(OverlapError, match="separat"):
        Matching().fit(X, X["a"] + t, treatment=t)


@pytest.mark.filterwarnings("ignore:a linear score of the covariates splits the arms")
def test_no_propensity_is_fitted_that_nothing_uses():
    """Ten rows whose covariates split the arms: pairs by distance within g, difference 2."""
    frame = pd.DataFrame({"g": list("aabbccddee"), "x": [0.0, 1, 2, 3.5, 4, 5, 6, 7.5, 8, 9], "t": [0, 1] * 5})
    noise = np.array([0.1, 0.1, -0.2, 0.0, 0.3, 0.2, 0.0, -0.1, 0.1, 0.1])
    frame["y"] = frame["g"].map({"a": 1.0, "b": 4.0, "c": 2.0, "d": 0.0, "e": 7.0}) + 2 * frame["t"] + noise
    question = {"treatment": "t", "outcome": "y", "distance": "mahalanobis", "variance_matches": 1}
    for covariates in (["x"], ["x", "g"]):  # exact= need not be a covariate
        for more in ({}, {"replace": False}, {"replace": False, "order": "smallest"}):
            effect = frame.causal.match(**question, covariates=covariates, exact=["g"], **more)
            assert effect.estimate == pytest.approx(2.0, abs=1e-12)
            check = effect.diagnostics["overlap"]
            assert check.passed
            assert check.summary.startswith("0.0% of target rows have no match")
    with pytest.raises(CausalDataError, match="h: is given as strata but is no column"):
        frame.causal.match(**question, covariates=["x"], exact=["h"])
    far = frame.assign(g=["a", "a", "b", "b", "c", "c", "d", "d", "e", "f"])
    lost = far.causal.match(**question, covariates=["x"], exact=["g"]).diagnostics["overlap"]
    assert not lost.passed
    assert lost.table["share_unmatched"].tolist() == [0.2]


@pytest.mark.parametrize("bins", [8, 10, None])
def test_bins_of_equal_width_do_not_move_with_the_unit(bins):
    rng = np.random.default_rng(6)
    X = pd.DataFrame({"age": rng.integers(16, 57, 400).astype(float)})
    t = (rng.random(400) < 0.4).astype(int)
    model = Matching(method="cem", cutpoints=bins)
    first = model.fit(X, treatment=t).matched_["subclass"]
    for change in (lambda x: x * 1e-9, lambda x: x * 12, lambda x: x + 1e9, lambda x: x * 0.1):
        assert model.fit(change(X), treatment=t).matched_["subclass"].equals(first)


def test_clusters_across_pairs_never_make_the_error_smaller():
    X, y, t = varying(np.random.default_rng(7))
    model = Matching(method="pair", distance="mahalanobis")
    alone = model.fit(X, y, treatment=t).effect().std_error
    shares = [
        model.fit(X, y, treatment=t, cluster=np.random.default_rng(seed).integers(0, 5, 300)).effect().std_error / alone
        for seed in range(20)
    ]
    assert min(shares) >= 1 - 1e-12
    assert max(shares) > 1.05


@pytest.mark.parametrize("settings", [{"propensity_model": "boosting"}, {"distance": RandomForestClassifier(20)}])
def test_scores_of_learners_and_bad_balance_are_warned_of(settings):
    X, y, t = varying(np.random.default_rng(8))
    notes = " ".join(Matching(**settings).fit(X, y, treatment=t).effect().warnings)
    assert "overfits" in notes
    assert "bias_adjust=True" in notes
    for plain in ({}, {"propensity_model": "ridge"}, {"distance": LogisticRegression()}):
        assert "overfits" not in " ".join(Matching(**plain).fit(X, y, treatment=t).effect().warnings)
    coarse = Matching(method="cem", cutpoints=1).fit(X, y, treatment=t).effect()
    assert coarse.diagnostics["balance"].passed is False
    worst = coarse.diagnostics["balance"].table["smd_after"].abs().max()
    assert f"largest standardised difference is {worst:.2f}" in " ".join(coarse.warnings)
    fine = Matching(distance="mahalanobis").fit(X, y, treatment=t).effect()
    assert fine.diagnostics["balance"].passed
    assert "not balanced" not in " ".join(fine.warnings)


def test_a_design_refuses_an_outcome_with_holes_without_advice_that_cannot_be_followed():
    X, y, t = varying(np.random.default_rng(9))
    design = Matching().fit(X, treatment=t)
    with pytest.raises(CausalDataError, match=r"outcome is missing \(NaN\) in 2 rows of the design") as error:
        design.with_outcome(np.where(np.arange(300) > 1, y, np.nan))
    assert "missing='drop'" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cutpoints": 3}, "cutpoints= has no meaning for method='nearest'"),
        ({"order": "closest"}, "order='closest' has no meaning"),
        ({"order": "random", "method": "pair"}, "order='random' has no meaning"),
    ],
)
def test_settings_that_would_change_nothing_are_refused(settings, message):
    X, y, t = varying(np.random.default_rng(10))
    with pytest.raises(CausalArgumentError, match=message):
        Matching(**settings).fit(X, y, treatment=t)


def test_quantiles_of_nearly_equal_weights_are_nearly_those_of_equal_ones():
    rng = np.random.default_rng(12)
    score, everyone, group = rng.random(300), np.ones(300, dtype=bool), np.zeros(300, dtype=np.intp)
    plain = subclasses(score, everyone, 7, group, None)
    cuts = np.quantile(score, np.arange(1, 7) / 7)
    np.testing.assert_array_equal(plain, np.searchsorted(cuts, score, side="right"))
    near = 1 + 1e-9 * rng.random(300)
    np.testing.assert_array_equal(subclasses(score, everyone, 7, group, near), plain)
    double = rng.integers(1, 3, 300)
    many = subclasses(np.repeat(score, double), np.ones(double.sum(), dtype=bool), 7, np.zeros(double.sum(), int), None)
    assert (subclasses(score, everyone, 7, group, double * 1.0) != many[np.cumsum(double) - 1]).mean() < 0.02


# -- several arms, models, the accessor ---------------------------------------------------------------


@pytest.mark.parametrize("estimand", ["ATT", "ATC"])
@every
def test_every_arm_is_compared_as_if_there_were_no_others(settings, estimand):
    if settings.get("replace") is False or settings.get("method") == "pair":
        settings = {**settings, "caliper": 0.3, "ratio": 1}
        estimand = "ATT"
    more = make(n=400, arms=3, seed=4).set_axis(range(10_000, 10_400))
    frame = pd.concat([make(n=400, arms=3), more[more["medication"] == 0]])
    both = fit(frame, estimand=estimand, **settings)
    for arm in (1, 2):
        part = frame[frame["medication"].isin([0, arm])]
        alone = fit(part, estimand=estimand, **settings).effect()
        if estimand == "ATT":
            assert both.effect().table.loc[f"{arm} - 0", "estimate"] == pytest.approx(alone.estimate, rel=1e-8)
            assert both.effect().table.loc[f"{arm} - 0", "std_error"] == pytest.approx(alone.std_error, rel=1e-6)
    assert both.weights_.shape == (len(frame), 2)
    assert both.effect().diagnostics["balance"].table["contrast"].unique().tolist() == ["1 - 0", "2 - 0"]
    assert len(both.matched_) > 0


def test_the_ate_of_several_arms_is_each_arms_propensity():
    frame = make(n=300, arms=3)
    model = fit(frame, estimand="ATE")
    d, y, e = frame["medication"].to_numpy(), frame["recovery"].to_numpy(), model.propensity_
    means = []
    for a in range(3):
        D = np.where(d == a, np.abs(e[:, a][:, None] - e[:, a]), np.inf)
        tied = D <= D.min(axis=1, keepdims=True) + 1e-10
        imputed = np.where(d == a, y, tied @ y / tied.sum(axis=1))
        means.append(imputed.mean())
    assert model.effect().estimates.tolist() == pytest.approx([means[1] - means[0], means[2] - means[0]], rel=1e-9)
    for method in ("full", "cem", "subclass"):
        with pytest.raises(CausalArgumentError, match=f"method='{method}' has no ATE of several arms"):
            fit(frame, estimand="ATE", method=method)


def test_estimated_propensities_of_several_arms_beside_the_controls():
    """Each contrast's error is that of its two arms alone, though the controls' own mean is shared."""
    frame = make(n=400, arms=3)
    both = fit(frame, estimand="ATC").effect()
    assert "2016" in both.std_error_method
    for arm in (1, 2):
        alone = fit(frame[frame["medication"].isin([0, arm])], estimand="ATC").effect()
        assert both.table.loc[f"{arm} - 0", "std_error"] == pytest.approx(alone.std_error, rel=1e-8)
    assert np.linalg.eigvalsh(both.vcov).min() > 0


def test_weights_that_are_all_equal_change_nothing_and_others_keep_a_variance():
    frame = make(n=300)
    plain = fit(frame).effect()
    same = fit(frame.assign(weight=2.5), sample_weight="weight").effect()
    assert [same.estimate, same.std_error] == pytest.approx([plain.estimate, plain.std_error], rel=1e-10)
    assert 0.5 < fit(frame, sample_weight="weight").effect().std_error / plain.std_error < 2


@pytest.mark.parametrize("settings", [{"method": "full"}, {"method": "cem", "cutpoints": 3}, {"method": "subclass"}])
def test_sets_of_the_ate_are_one(settings):
    frame = make(n=300)
    model = fit(frame, estimand="ATE", **settings)
    sets = model.matched_.join(frame["recovery"])
    means = sets.pivot_table(index="subclass", columns="arm", values="recovery")
    share = sets.groupby("subclass").size()
    assert model.effect().estimate == pytest.approx(((means[1] - means[0]) * share).sum() / share.sum(), rel=1e-10)


def test_a_classifier_as_distance():
    frame = make(n=200)
    forest = RandomForestClassifier(20, min_samples_leaf=10, random_state=0)
    by_distance, by_model = fit(frame, distance=forest), fit(frame, propensity_model=forest)
    assert by_distance.effect().estimate == by_model.effect().estimate != fit(frame).effect().estimate
    assert "propensity taken as known" in by_distance.effect().std_error_method


def test_orders_differ_and_random_has_a_seed():
    frame = make(n=300)
    estimand = smaller(frame["medication"])
    estimates = {
        order: fit(frame, replace=False, order=order, estimand=estimand).effect().estimate
        for order in ("largest", "smallest", "closest", "random")
    }
    assert len(set(estimates.values())) > 2
    shuffled = fit(frame.sample(frac=1, random_state=3), replace=False, order="random", estimand=estimand)
    assert shuffled.effect().estimate == pytest.approx(estimates["random"], rel=1e-12)
    # on a line the donors used hardly depend on the order, but who gets whom does
    one, two = (fit(frame, replace=False, order="random", random_state=k, estimand=estimand).matched_ for k in (0, 5))
    assert not one.equals(two)


@every
def test_row_order_and_dtypes_with_many_ties(settings):
    """Coarse covariates: most distances tie, and rows that look the same have different outcomes."""
    frame = make(n=240)
    frame["age"] = frame["age"].round(-1)
    frame["severity"] = frame["severity"].round()
    settings = {"estimand": smaller(frame["medication"]), **settings}
    one = fit(frame, **settings).effect().table
    for seed in (1, 2):
        other = fit(frame.sample(frac=1, random_state=seed).astype({"age": "Int64"}), **settings).effect().table
        np.testing.assert_allclose(other, one, rtol=1e-8)


def test_accessor():
    frame = make(n=200)
    effect = frame.causal.match(
        treatment="medication", outcome="recovery", covariates=COVARIATES, distance="mahalanobis", ratio=2, caliper=1.0,
        exact=["region"], bias_adjust=True, variance_matches=3, level=0.9,
    )  # fmt: skip
    same = fit(
        frame, distance="mahalanobis", ratio=2, caliper=1.0, exact=["region"], bias_adjust=True, variance_matches=3
    )
    assert effect.estimate == same.effect().estimate
    assert effect.level == 0.9
    assert effect.estimator.matched_.equals(same.matched_)
    assert isinstance(effect.estimator, pandas_causal.Matching)
    with pytest.raises(CausalArgumentError, match=r"match: calipper= is not known \(did you mean 'caliper'\?\)"):
        frame.causal.match(treatment="medication", outcome="recovery", covariates=COVARIATES, calipper=0.1)


def test_score_ranks_a_caliper_above_none():
    frame = make(n=400)
    X = frame[[*COVARIATES, "medication"]]
    loose, tight = fit(frame), fit(frame, caliper=0.05)
    assert loose.score(X) < 0
    table = tight.effect().diagnostics["balance"].table
    assert tight.score(X) == pytest.approx(-table["smd_after"].abs().max(), rel=1e-10)
    known = fit(frame, propensity=np.full(400, 0.4) + 0.01 * np.arange(400) % 0.2)
    with pytest.raises(CausalArgumentError, match="no model to score"):
        known.score(X)


@pytest.mark.parametrize("settings", [{"method": "full"}, {"replace": False}, {}], ids=["full", "alone", "nearest"])
def test_thousands_of_rows_at_a_few_places(settings):
    """Eight different rows, 8,000 times: the answer is the stratified one, and nobody carries the weight of all."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.integers(0, 2, (8_000, 3)), columns=["a", "b", "c"])
    d = (rng.random(8_000) < 0.15 + 0.1 * X["a"] + 0.15 * X["b"]).astype(int)
    y = X["a"] + d + 0.1 * rng.normal(size=8_000)
    model = Matching(**settings).fit(X, y, treatment=d)
    assert model.effect().estimate == pytest.approx(1, abs=5 * model.effect().std_error)
    assert model.effect().std_error < 0.005
    assert model.effect().diagnostics["matching"].table["effective_n"].min() > 1_500
