"""AIPW and TMLE: scores by hand, the estimating equation, clipping, repeated splits, known propensities."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit

import pandas_causal
from pandas_causal import AIPW, TMLE
from pandas_causal.adjustment.doubly_robust import aipw_scores, fluctuate
from pandas_causal.adjustment.targeting import target_arm
from pandas_causal.arms.estimands import plan_estimand
from pandas_causal.errors import CausalArgumentError, StandardErrorWarning
from pandas_causal.inputs.arms import resolve_arms
from pandas_causal.models import members
from tests.adjustment.designs import confounded
from tests.adjustment.test_inverse_probability import TINY_D, TINY_E, TINY_Y, targets_and_contrasts

LINEAR = {"outcome_model": "linear", "propensity_model": "linear"}
TINY_M = np.array([[1, 2, 3], [2, 3, 5], [3, 4, 5], [2, 4, 6], [4, 6, 7], [5, 7, 9], [2, 3, 5], [5, 6, 8], [4, 6, 8.0]])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("trimming", [False, True])
@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
def test_scores_by_hand(estimand, trimming, weighted):
    plan = plan_estimand(estimand, resolve_arms(pd.Series(TINY_D)), "d")
    keep = np.arange(9) != 4 if trimming else None
    w = np.arange(1, 10) / 5 if weighted else None
    values, contributions = aipw_scores(plan, TINY_Y, TINY_D, TINY_M, TINY_E, keep, w)
    targets, _ = targets_and_contrasts(estimand, 3)
    assert list(plan.targets) == targets
    for j, (t, a) in enumerate(targets):
        terms, shares = [], []
        for i in range(9):
            unit = (0.0 if trimming and i == 4 else 1.0) * (1.0 if w is None else w[i])
            member = 1.0 if t is None else float(TINY_D[i] == t)
            odds = (1.0 if t is None else TINY_E[i, t]) / TINY_E[i, a]
            shares.append(unit * member)
            terms.append(unit * (member * TINY_M[i, a] + odds * (TINY_D[i] == a) * (TINY_Y[i] - TINY_M[i, a])))
        theta = sum(terms) / sum(shares)
        assert values[j] == pytest.approx(theta, rel=1e-12)
        by_hand = [(s - g * theta) / sum(shares) for s, g in zip(terms, shares, strict=True)]
        np.testing.assert_allclose(contributions[:, j], by_hand, atol=1e-14)
    np.testing.assert_allclose(contributions.sum(axis=0), 0, atol=1e-14)


@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
@pytest.mark.parametrize("estimator", [AIPW, TMLE])
def test_the_effect_is_its_scores_and_the_error_their_spread(estimator, estimand, arms):
    X, y, d = confounded(500, seed=7, arms=arms)
    fitted = estimator(estimand=estimand, **LINEAR).fit(X, y, treatment=d)
    effect = fitted.effect()
    u = effect.uncertainty
    np.testing.assert_allclose(u.contributions.sum(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(
        effect.table["std_error"], np.sqrt(np.square(u.contributions @ u.loadings.T).sum(axis=0)), rtol=1e-10
    )
    np.testing.assert_allclose(effect.estimates, u.loadings @ u.values)
    np.testing.assert_allclose(fitted.propensity_.sum(axis=1), 1, atol=0.02)


def solves_the_score(fitted, y, d, estimand, arms):
    """Targeted means less predicted ones: the weighted residuals sum to zero, the mean is the plug-in."""
    e = fitted.propensity_
    means = fitted.effect().parameters.estimates.to_numpy()
    low, high = y.min(), y.max()
    for (t, a), mean in zip(targets_and_contrasts(estimand, arms)[0], means, strict=True):
        weights = np.where(d == a, (1.0 if t is None else e[:, t]) / e[:, a], 0.0)
        targeted = fluctuate(y, fitted.outcome_predictions_[:, a], weights, low=low, high=high)
        assert abs((weights * (y - targeted)).sum()) / weights.sum() < 1e-8 * (high - low)
        assert low < targeted.min() <= targeted.max() < high
        members = np.ones(len(y), bool) if t is None else d == t
        assert mean == pytest.approx(targeted[members].mean(), rel=1e-9)
        assert low <= mean <= high


@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
def test_tmle_solves_its_equation_and_is_a_plug_in(estimand, arms):
    X, y, d = confounded(400, seed=8, arms=arms)
    fitted = TMLE(estimand=estimand, **LINEAR).fit(X, y, treatment=d)
    solves_the_score(fitted, y.to_numpy(), d, estimand, arms)


def test_tmle_stays_in_range_where_aipw_leaves_it():
    """A rare outcome and a bad outcome model: the mean under an arm is a probability for TMLE only."""
    rng = np.random.default_rng(7)
    n = 200
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)})
    d = (rng.random(n) < expit(1.5 * X["a"])).astype(int)
    y = (rng.random(n) < expit(-4 - 2 * X["a"])).astype(float)
    means = {}
    for estimator in (AIPW, TMLE):
        fitted = estimator(**LINEAR).fit(X, y, treatment=d)
        means[estimator] = fitted.effect().parameters.estimates
    assert (means[TMLE] >= 0).all()
    assert (means[TMLE] <= 1).all()


@pytest.mark.parametrize("seed", range(5))
def test_targeting_step_equals_a_root_finder(seed):
    rng = np.random.default_rng(seed)
    y, initial = rng.beta(2, 5, 80) * 10 - 3, rng.normal(0, 5, 80)
    weights = rng.exponential(size=80) * rng.integers(0, 2, 80) * 10.0**seed
    low, high = y.min(), y.max()
    start = logit(np.clip((initial - low) / (high - low), 0.005, 0.995))
    gap = lambda eps: (weights * ((y - low) / (high - low) - expit(start + eps))).sum()  # noqa: E731
    expected = low + (high - low) * expit(start + brentq(gap, -30, 30, xtol=1e-14))
    np.testing.assert_allclose(fluctuate(y, initial, weights, low=low, high=high), expected, rtol=1e-9, atol=1e-9)


# -- bounds and trimming ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [AIPW, TMLE])
def test_bounded_and_trimmed_propensities_are_counted(estimator):
    X, y, d = confounded(500, seed=3)
    free = estimator(**LINEAR, clip=0).fit(X, y, treatment=d)
    e = free.propensity_[:, 1]
    clipped = estimator(**LINEAR, clip=0.25).fit(X, y, treatment=d)
    out = (e < 0.25) | (e > 0.75)
    assert clipped.effect().facts["n_clipped"] == out.sum() > 0
    assert f"{out.sum():,} propensities bounded" in clipped.effect().diagnostics["overlap"].summary
    assert free.effect().facts["n_clipped"] == 0
    np.testing.assert_allclose(clipped.propensity_[:, 1], np.clip(e, 0.25, 0.75))
    trimmed = estimator(**LINEAR, trim=0.2).fit(X, y, treatment=d).effect()
    beyond = ((e <= 0.2) | (e >= 0.8)).sum()
    assert trimmed.facts["n_trimmed"] == beyond > 0
    assert f"{beyond:,} rows" in trimmed.summary()
    assert trimmed.population.startswith("rows whose propensity")


def test_trimming_looks_at_propensities_before_they_are_bounded():
    X, y, d = confounded(500, seed=3)
    e = AIPW(**LINEAR, clip=0).fit(X, y, treatment=d).propensity_[:, 1]
    fitted = AIPW(**LINEAR, clip=0.25, trim=0.2).fit(X, y, treatment=d)
    kept = (e > 0.2) & (e < 0.8)
    assert fitted.effect().facts["n_trimmed"] == (~kept).sum() > 0
    bounded = kept & ((e < 0.25) | (e > 0.75))
    assert fitted.effect().facts["n_clipped"] == bounded.sum() > 0
    terms = fitted.riesz_terms(np.asarray(y))
    assert (terms.weight[~kept] == 0).all()
    assert (terms.weight[kept] > 0).all()


def test_trimming_is_the_way_past_a_category_with_one_arm():
    """Thirty rows of one category hold no treated row; trimming leaves them out, and says so."""
    rng = np.random.default_rng(0)
    n = 900
    kind = np.where(np.arange(n) < 60, "z", np.where(np.arange(n) % 2 == 0, "p", "q"))
    d = (rng.random(n) < 0.5).astype(int)
    d[:60] = 0
    X = pd.DataFrame({"kind": kind, "x": rng.normal(size=n)})
    settings = {"outcome_model": "ridge", "propensity_model": "ridge"}
    effect = AIPW(**settings, trim=0.1).fit(X, rng.normal(size=n), treatment=d).effect()
    assert effect.facts["n_trimmed"] == 60


# -- known propensities, repeats -------------------------------------------------------------------------------------


def test_known_propensities_are_used_as_they_are():
    X, y, d = confounded(400, seed=1)
    e = 1 / (1 + np.exp(-(0.3 + 0.6 * X["a"] - 0.4 * X["b"])))
    fitted = AIPW(**LINEAR).fit(X, y, treatment=d, propensity=e)
    np.testing.assert_array_equal(fitted.propensity_, np.column_stack([1 - e, e]))
    assert fitted.effect().facts["n_clipped"] == 0
    m = fitted.outcome_predictions_
    scores = m[:, 1] - m[:, 0] + d * (y - m[:, 1]) / e - (1 - d) * (y - m[:, 0]) / (1 - e)
    assert fitted.effect().estimate == pytest.approx(scores.mean(), rel=1e-12)
    assert fitted.effect().std_error == pytest.approx(scores.std(ddof=0) / 20, rel=1e-12)


@pytest.mark.parametrize("clustered", [False, True])
def test_repeated_splits_add_the_variance_between_them(clustered):
    X, y, d = confounded(400, seed=2)
    frame = X.assign(g=np.arange(400) // 4)
    roles = {"cluster": "g"} if clustered else {}
    M = 6
    effect = AIPW(**LINEAR, n_repeats=M).fit(frame, y, treatment=d, **roles).effect()
    # The same six splits, one by one: given as folds.
    rng = np.random.default_rng(0)
    from pandas_causal.models.folds import assign_folds

    single, contributions = [], []
    for _ in range(M):
        cluster = frame["g"].to_numpy() if clustered else None
        folds = assign_folds(d, 5, rng, labels=frame.index, cluster=cluster)
        rng.integers(2**31 - 1)
        splits = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(5)]
        one = AIPW(**LINEAR, cv=splits).fit(frame, y, treatment=d, **roles).effect()
        single.append(one.estimate)
        contributions.append(one.uncertainty.contributions @ one.uncertainty.loadings[0])
    mean = np.mean(contributions, axis=0)
    B = np.var(single, ddof=1)
    if clustered:
        within = 100 / 99 * 399 / 398 * np.square(mean.reshape(100, 4).sum(axis=1)).sum()
        df = (within + (1 + 1 / M) * B) ** 2 / (within**2 / 99 + ((1 + 1 / M) * B) ** 2 / (M - 1))
    else:
        within = np.square(mean).sum()
        df = (within + (1 + 1 / M) * B) ** 2 / (((1 + 1 / M) * B) ** 2 / (M - 1))
    assert effect.estimate == pytest.approx(np.mean(single), rel=1e-10)
    assert effect.std_error == pytest.approx(np.sqrt(within + (1 + 1 / M) * B), rel=1e-8)
    assert effect.uncertainty.df()[0] == pytest.approx(df, rel=1e-6)


def test_clusters_keep_folds_whole_and_cluster_the_error():
    X, y, d = confounded(400, seed=2)
    g = np.arange(400) // 8
    fitted = AIPW(**LINEAR).fit(X.assign(g=g), y, treatment=d, cluster="g")
    np.testing.assert_array_equal(fitted.folds_, fitted.folds_[::8].repeat(8))
    effect = fitted.effect()
    psi = effect.uncertainty.contributions @ effect.uncertainty.loadings[0]
    expected = np.sqrt(50 / 49 * 399 / 398 * np.square(psi.reshape(50, 8).sum(axis=1)).sum())
    assert effect.std_error == pytest.approx(expected, rel=1e-10)
    assert effect.uncertainty.df()[0] == 49


# -- bundled data ----------------------------------------------------------------------------------------------------

COVARIATES = ["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75"]


@pytest.mark.parametrize("estimator", [AIPW, TMLE])
def test_att_on_lalonde_is_stable_over_seeds(estimator):
    """Other folds move the answer by a quarter of its standard error (445 rows, 20 seeds, unpenalised models).

    DoubleML moves as much, being equal on equal folds. Repeats bring it down.
    """
    frame = pandas_causal.datasets.load_lalonde()
    X, y = frame[["treat", *COVARIATES]], frame["re78"]

    def over_seeds(n_repeats, seeds):
        effects = [
            estimator(estimand="ATT", random_state=seed, n_repeats=n_repeats, **LINEAR)
            .fit(X, y, treatment="treat")
            .effect()
            for seed in range(seeds)
        ]
        estimates, error = [e.estimate for e in effects], np.mean([e.std_error for e in effects])
        spread = np.std(estimates, ddof=1)
        print(f"{estimator.__name__} x {n_repeats}: {np.mean(estimates):.0f}, sd {spread:.0f}, SE {error:.0f}")
        return np.array(estimates), error

    estimates, error = over_seeds(1, 20)
    assert np.std(estimates, ddof=1) < 0.5 * error
    assert np.mean(estimates) == pytest.approx(1794, abs=0.5 * error)  # the experiment's own difference
    repeated, error = over_seeds(10, 8)
    assert np.std(repeated, ddof=1) < 0.25 * error


def curved(seed=0, n=700):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    d = (rng.random(n) < 1 / (1 + np.exp(-X[:, 0] - 0.5 * X[:, 1] ** 2 + 0.5))).astype(int)
    return X, X[:, 0] + X[:, 1] ** 2 + d + rng.normal(size=n), d


@pytest.mark.filterwarnings("ignore:.*corrected for it the answer moves")
def test_the_honest_error_has_half_the_squared_distance_to_plainer_learners():
    X, y, d = curved()
    honest, plain = (AIPW(std_error=s).fit(X, y, treatment=d).effect() for s in (None, "influence"))
    told = honest.diagnostics["learners"].table
    gap = told["estimate"] - told["plain"]
    assert honest.estimate == plain.estimate
    assert honest.std_error**2 == pytest.approx(plain.std_error**2 + gap.iloc[0] ** 2 / 2)
    assert told["distance"].iloc[0] == pytest.approx(gap.iloc[0] / plain.std_error, rel=0.01)
    assert "widened by the choice of learners" in honest.std_error_method
    assert "widened" not in plain.std_error_method
    # it stays whatever rows are grouped by, and an effect less itself is still nothing
    clusters = np.arange(len(y)) // 2
    assert honest.cluster(clusters).std_error > plain.cluster(clusters).std_error
    with pytest.warns(StandardErrorWarning, match="leave nothing uncertain"):
        assert honest.difference(honest).std_error == 0
    with pytest.raises(CausalArgumentError, match="set outcome_model or propensity_model to 'auto'"):
        AIPW(**LINEAR, std_error="honest").fit(X, y, treatment=d)
    assert AIPW(**LINEAR).fit(X, y, treatment=d).effect().std_error_method.endswith("5 folds, normal law")


@pytest.mark.filterwarnings("ignore:.*corrected for it the answer moves")
def test_named_models_are_averaged_as_they_are_and_auto_is_corrected():
    X, y, d = curved(1)
    fit = AIPW(outcome_model="auto", propensity_model="linear", std_error="influence").fit(X, y, treatment=d)
    m, e = fit.outcome_predictions_, fit.propensity_
    shifted = m.copy()
    for a in (0, 1):
        shifted[:, a] = target_arm(y, d == a, m, e, a, 1 / e[:, a]).predictions
    received = np.arange(len(y)), d
    residual = (2 * d - 1) * (y - shifted[received]) / e[received]
    assert fit.effect().estimate == pytest.approx(np.mean(shifted[:, 1] - shifted[:, 0] + residual))
    named = AIPW(outcome_model="ridge", propensity_model="linear").fit(X, y, treatment=d)
    m = named.outcome_predictions_
    residual = (2 * d - 1) * (y - m[received]) / named.propensity_[received]
    assert named.effect().estimate == pytest.approx(np.mean(m[:, 1] - m[:, 0] + residual))


@pytest.mark.filterwarnings("ignore:.*corrected for it the answer moves")
def test_bounds_of_propensities_follow_the_rows():
    X, y, d = curved(2)
    fit = AIPW().fit(X, y, treatment=d)
    bound = 5 / (np.sqrt(700) * np.log(700))
    rarest = min(d.mean(), 1 - d.mean())
    assert fit.propensity_.min() >= bound * 2 * rarest - 1e-12
    assert AIPW(**LINEAR).fit(X, y, treatment=d).propensity_.min() < bound
    assert AIPW(clip=0.2).fit(X, y, treatment=d).propensity_.min() == pytest.approx(0.2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:ridge and boosting alone")
def test_members_that_are_found_out_on_some_rows_leave_the_honest_error_as_it_is(monkeypatch):
    X, y, d = curved(3, n=1_600)
    whole = AIPW().fit(X, y, treatment=d).effect()
    monkeypatch.setattr(members, "_SUBSAMPLE", 800)
    part = AIPW().fit(X, y, treatment=d).effect()
    assert part.std_error == pytest.approx(whole.std_error, rel=0.05)
    tiled = np.tile([0, 1], 800)  # arms that alternate are sampled alike
    assert np.isfinite(AIPW().fit(X, y, treatment=tiled).effect().std_error)


@pytest.mark.filterwarnings("ignore:weak overlap")
def test_a_rare_arm_is_not_bounded_in_every_row():
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(500, 2)), rng.normal(size=500)
    d = np.zeros(500, dtype=int)
    d[rng.permutation(500)[:15]] = 1
    effect = AIPW().fit(X, y, treatment=d).effect()
    assert effect.facts["n_clipped"] < 100
    assert effect.std_error > 0.8 * y[d == 1].std() / np.sqrt(15)


@pytest.mark.filterwarnings("ignore:.*corrected for it the answer moves")
def test_the_plainer_answer_is_averaged_over_the_splits_too():
    X, y, d = curved()
    several = AIPW(n_repeats=2).fit(X, y, treatment=d).effect().diagnostics["learners"].table
    one = AIPW().fit(X, y, treatment=d).effect().diagnostics["learners"].table
    assert several["plain"].iloc[0] != pytest.approx(one["plain"].iloc[0], abs=1e-9)


def test_an_honest_error_without_covariates_is_refused_for_what_it_is():
    d = np.array([0, 1] * 50)
    with pytest.raises(CausalArgumentError, match="without covariates"):
        AIPW(std_error="honest").fit(pd.DataFrame({"t": d}), np.arange(100.0), treatment="t")
