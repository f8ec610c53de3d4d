"""Balancing weights: exact balance, standard errors against numeric M-estimation, and what cannot be balanced."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import root

import pandas_causal
from pandas_causal import IPW, CovariateBalancingPropensity, EntropyBalancing, StableBalancing
from pandas_causal.adjustment.covariate_balancing import moment_covariance, moment_factors
from pandas_causal.arms.balance import largest_difference
from pandas_causal.arms.estimands import target_density
from pandas_causal.arms.overlap import effective_sample_size
from pandas_causal.errors import CausalArgumentError, CausalDataError, OverlapError, OverlapWarning
from pandas_causal.models.linear import StandardisedMatrix, softmax
from tests.adjustment.designs import confounded

ESTIMANDS = ["ATE", "ATT", "ATC"]
EXACT = [EntropyBalancing(), StableBalancing(tolerance=0), CovariateBalancingPropensity()]
every = pytest.mark.parametrize("estimator", EXACT, ids=lambda e: type(e).__name__)
estimands = pytest.mark.parametrize("estimand", ESTIMANDS)


def with_settings(estimator, **settings):
    return type(estimator)(**{**estimator.get_params(), **settings})


def targets_and_contrasts(estimand, K):
    """(population, arm) of every mean, and the pairs to subtract."""
    if estimand == "ATE":
        return [(None, a) for a in range(K)], [(a, 0) for a in range(1, K)]
    if estimand == "ATC":
        return [(0, a) for a in range(K)], [(a, 0) for a in range(1, K)]
    return [(t, a) for t in range(1, K) for a in (0, t)], [(2 * t + 1, 2 * t) for t in range(K - 1)]


# -- balance ---------------------------------------------------------------------------------------------------------


@every
@estimands
def test_weighted_means_are_those_of_the_target(estimator, estimand):
    X, y, d = confounded(600, seed=1)
    w = np.random.default_rng(0).uniform(0.5, 2, 600)
    fit = with_settings(estimator, estimand=estimand).fit(X, y, treatment=d, sample_weight=w)
    Z = X.to_numpy()
    s = w / w.mean()
    means = [np.average(Z[d == a], axis=0, weights=fit.weights_[d == a]) for a in (0, 1)]
    np.testing.assert_allclose(means[1], means[0], atol=1e-8)
    population = {"ATE": d >= 0, "ATT": d == 1, "ATC": d == 0}[estimand]
    if type(estimator) is not CovariateBalancingPropensity or estimand != "ATE":  # which balances the arms alone
        np.testing.assert_allclose(means[0], np.average(Z[population], axis=0, weights=s[population]), atol=1e-8)
        if type(estimator) is not CovariateBalancingPropensity:
            totals = np.bincount(d, weights=fit.weights_)
            np.testing.assert_allclose(totals, s[population].sum(), rtol=1e-9)
    balance = fit.effect().diagnostics["balance"]
    assert balance.passed
    assert balance.table["smd_after"].abs().max() < 1e-8 < balance.table["smd_before"].abs().max()


@every
def test_every_contrast_of_the_att_with_three_arms_is_balanced(estimator):
    X, y, d = confounded(900, seed=2, arms=3)
    fit = with_settings(estimator, estimand="ATT").fit(X, y, treatment=d)
    table = fit.effect().diagnostics["balance"].table
    assert len(table) == 6
    assert table["smd_after"].abs().max() < 1e-8
    assert fit.effect().table.index.tolist() == ["1 - 0", "2 - 0"]


@pytest.mark.parametrize("cls", [EntropyBalancing, StableBalancing])
def test_moments_and_interactions_are_balanced(cls):
    X, y, d = confounded(800, seed=3)
    X = X.assign(sex=(np.arange(800) % 2), region=np.array(["n", "s", "w"])[np.arange(800) % 3])
    settings = {"tolerance": 0.0} if cls is StableBalancing else {}
    fit = cls(estimand="ATT", moments=2, interactions=True, **settings).fit(X, y, treatment=d)
    w = np.where(d == 0, fit.weights_, 0.0)
    share = w / w.sum()
    for value in (X["a"] ** 2, X["b"] ** 2, X["a"] * X["sex"], X["c"] * (X["region"] == "s"), X["a"] * X["b"]):
        assert share @ value == pytest.approx(value[d == 1].mean(), abs=1e-8)
    names = fit.effect().diagnostics["balance"].table.index
    assert {"a^2", "a * b", "a * sex", "c * region_s"} <= set(names)
    assert "sex^2" not in names
    plain = cls(estimand="ATT", **settings).fit(X, y, treatment=d)
    assert plain.effect().facts["n_balanced"] == 6
    # balancing more leaves fewer effective rows
    assert effective_sample_size(fit.weights_[d == 0]) < effective_sample_size(plain.weights_[d == 0])


@pytest.mark.filterwarnings("ignore:.*corrected for it the answer moves")
def test_stable_weights_leave_at_most_the_tolerance_and_say_what_it_may_do():
    X, y, d = confounded(800, seed=3)
    exact, loose = (StableBalancing(estimand="ATT", tolerance=t).fit(X, y, treatment=d) for t in (0.0, 0.05))
    table = loose.effect().diagnostics["balance"].table
    assert 0.0499 < table["smd_after"].abs().max() <= 0.05
    assert effective_sample_size(loose.weights_[d == 0]) > effective_sample_size(exact.weights_[d == 0])
    check = loose.effect().diagnostics["tolerance"]
    assert check.table["largest_difference"].iloc[0] == pytest.approx(0.05)
    shift = loose.effect().estimate - exact.effect().estimate
    assert check.table["estimated_shift"].iloc[0] == pytest.approx(shift, abs=0.1 * abs(shift))
    assert abs(shift) > 0.02
    assert exact.effect().diagnostics["tolerance"].table["estimated_shift"].abs().iloc[0] < 1e-9


@pytest.mark.parametrize("estimand", ["ATT", "ATC"])
@pytest.mark.parametrize("arms", [2, 3])
def test_just_identified_cbps_is_entropy_balancing(estimand, arms):
    """Both weights are exp(lambda'z) and balance exactly; the errors are then the same too."""
    X, y, d = confounded(600, seed=4, arms=arms)
    one = EntropyBalancing(estimand=estimand).fit(X, y, treatment=d)
    two = CovariateBalancingPropensity(estimand=estimand).fit(X, y, treatment=d)
    pd.testing.assert_frame_equal(one.effect().table, two.effect().table, rtol=1e-8)
    if arms == 2:
        controls = d == 0
        ratio = one.weights_[controls] / two.weights_[controls]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-8)


def test_the_ate_weights_of_entropy_balancing_are_one_plus_the_odds():
    X, y, d = confounded(600, seed=4)
    ate = EntropyBalancing().fit(X, y, treatment=d).weights_
    att, atc = (EntropyBalancing(estimand=e).fit(X, y, treatment=d).weights_ for e in ("ATT", "ATC"))
    np.testing.assert_allclose(ate, att + atc, rtol=1e-10)
    np.testing.assert_allclose(att[d == 1], 1)


# -- errors: stacked estimating equations with a numeric Jacobian -----------------------------------------------------


def sandwich(equations, start, pairs):
    """Contrasts of the last means and their errors, solved and differentiated numerically."""
    total = lambda theta: equations(theta).sum(axis=0)  # noqa: E731
    theta = root(total, start, tol=1e-13).x
    assert np.abs(total(theta)).max() < 1e-6
    bread = np.column_stack([(total(theta + s) - total(theta - s)) / 2e-5 for s in 1e-5 * np.eye(len(theta))])
    influence = -equations(theta) @ np.linalg.inv(bread).T
    k = max(max(pair) for pair in pairs) + 1
    means, influence = theta[-k:], influence[:, -k:]
    errors = [np.sqrt(np.square(influence[:, i] - influence[:, j]).sum()) for i, j in pairs]
    return [means[i] - means[j] for i, j in pairs], errors


def entropy_equations(estimand, Z, y, d, K, s, base):
    """Balance of every tilt, then the weighted means; tilts by (population, arm)."""
    targets, _ = targets_and_contrasts(estimand, K)
    tilts = [(t, a) for t in range(K) for a in range(K) if t != a]
    if estimand != "ATE":
        tilts = [pair for pair in targets if pair[0] != pair[1]]
    p = Z.shape[1]

    def equations(theta):
        w = {
            (t, a): (d == a) * s * base(t, a) * np.exp(Z @ theta[i * p : (i + 1) * p]) for i, (t, a) in enumerate(tilts)
        }
        rows = [w[t, a][:, None] * Z - ((d == t) * s)[:, None] * Z for t, a in tilts]
        for (t, a), mean in zip(targets, theta[len(tilts) * p :], strict=True):
            W = (d == a) * s if t in (None, a) else 0.0
            W = W + sum(v for (q, b), v in w.items() if b == a and q != a and t in (None, q))
            rows.append((W * (y - mean))[:, None])
        return np.hstack(rows)

    return equations, len(tilts) * p + len(targets)


@pytest.mark.parametrize("variant", ["plain", "weighted", "base", "propensity"])
@pytest.mark.parametrize("arms", [2, 3])
@estimands
def test_entropy_balancing_by_stacked_equations(estimand, arms, variant):
    n = 500
    X, y, d = confounded(n, seed=arms, arms=arms)
    rng = np.random.default_rng(0)
    s = rng.uniform(0.5, 2, n) if variant == "weighted" else np.ones(n)
    q = rng.uniform(0.5, 2, n)
    e = rng.dirichlet(np.full(arms, 20.0), size=n)
    roles = {"plain": {}, "weighted": {"sample_weight": s}, "base": {"base_weight": q}, "propensity": {"propensity": e}}
    base = {"base": lambda *_: q, "propensity": lambda t, a: e[:, t] / e[:, a]}.get(variant, lambda *_: 1.0)
    effect = EntropyBalancing(estimand=estimand).fit(X, y, treatment=d, **roles[variant]).effect()
    Z = np.column_stack([np.ones(n), X])
    equations, size = entropy_equations(estimand, Z, y.to_numpy(), d, arms, s, base)
    _, pairs = targets_and_contrasts(estimand, arms)
    estimates, errors = sandwich(equations, np.zeros(size), pairs)
    np.testing.assert_allclose(effect.estimates, estimates, rtol=1e-7)
    np.testing.assert_allclose(effect.table["std_error"], errors, rtol=1e-6)
    assert "estimated together" in effect.std_error_method


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("over", [False, True])
@estimands
def test_balancing_propensity_by_stacked_equations(estimand, over, arms, weighted):
    """Just identified, moments and means are solved together; over-identified, the moments are projected (GMM)."""
    n = 500
    X, y, d = confounded(n, seed=arms, arms=arms)
    w = np.random.default_rng(0).uniform(0.5, 2, n) if weighted else np.ones(n)
    fit = CovariateBalancingPropensity(estimand=estimand, over_identified=over)
    effect = fit.fit(X, y, treatment=d, sample_weight=w if weighted else None).effect()
    w = w / w.mean()
    Z = StandardisedMatrix.of(X.to_numpy()).rows(slice(None))
    J, p = arms - 1, Z.shape[1]
    targets, pairs = targets_and_contrasts(estimand, arms)

    def moments(beta):
        k, _ = moment_factors(estimand, d, softmax(Z @ beta.reshape(J, p).T), over)
        return (w[:, None, None] * k[:, :, None] * Z[:, None, :]).reshape(n, -1)

    def means(theta):
        e = softmax(Z @ theta[: J * p].reshape(J, p).T)
        parts = zip(targets, theta[J * p :], strict=True)
        return np.column_stack(
            [w * (d == a) * target_density(estimand, t, e) / e[:, a] * (y - m) for (t, a), m in parts]
        )

    if not over:
        start = np.concatenate([fit._fit.coefficients.ravel(), np.full(len(targets), y.mean())])
        estimates, errors = sandwich(lambda theta: np.hstack([moments(theta[: J * p]), means(theta)]), start, pairs)
    else:
        beta, found = fit._fit.coefficients.ravel(), effect.parameters.estimates.to_numpy()
        theta = np.concatenate([beta, found])
        assert np.abs(means(theta).sum(axis=0)).max() < 1e-8
        g = moments(beta)
        V = np.linalg.inv(moment_covariance(StandardisedMatrix.of(X.to_numpy()), estimand, beta.reshape(J, p), w))
        steps = 1e-6 * np.eye(len(theta))
        D = np.column_stack(
            [(moments(beta + s) - moments(beta - s)).sum(axis=0) / 2e-6 for s in steps[: J * p, : J * p]]
        )
        of_beta = -(g - g.mean(axis=0)) @ (np.linalg.inv(D.T @ V @ D) @ D.T @ V).T
        slope = np.column_stack([(means(theta + s) - means(theta - s)).sum(axis=0) / 2e-6 for s in steps])
        influence = -(means(theta) + of_beta @ slope[:, : J * p].T) / np.diag(slope[:, J * p :])
        estimates = [found[i] - found[j] for i, j in pairs]
        errors = [np.sqrt(np.square(influence[:, i] - influence[:, j]).sum()) for i, j in pairs]
    np.testing.assert_allclose(effect.estimates, estimates, rtol=1e-6)
    np.testing.assert_allclose(effect.table["std_error"], errors, rtol=1e-5)


@estimands
def test_clusters_are_those_of_the_contributions(estimand):
    X, y, d = confounded(400, seed=5)
    g = np.arange(400) // 8
    for estimator in EXACT:
        one = with_settings(estimator, estimand=estimand).fit(X, y, treatment=d, cluster=g).effect()
        two = with_settings(estimator, estimand=estimand).fit(X, y, treatment=d).effect().cluster(g)
        assert one.std_error == pytest.approx(two.std_error, rel=1e-12)
        assert "CR1" in one.std_error_method


def test_the_stable_error_is_that_of_the_regression_it_implies():
    """Where no weight is 0 and balance is exact, stable weights are least squares in the arm: its g-computation."""
    from pandas_causal import RegressionAdjustment

    X, y, d = confounded(2_000, seed=6)
    d = np.random.default_rng(0).permutation(d)  # no confounding, so that no weight is cut at 0
    stable = StableBalancing(tolerance=0).fit(X, y, treatment=d)
    assert (stable.weights_ > 0).all()
    regression = RegressionAdjustment().fit(X, y, treatment=d).effect()
    assert stable.effect().estimate == pytest.approx(regression.estimate, rel=1e-9)
    assert stable.effect().std_error == pytest.approx(regression.std_error, rel=0.01)  # HC2 there


# -- rows, roles, scores ----------------------------------------------------------------------------------------------


@every
def test_weights_are_one_per_row_of_x_in_its_order(estimator):
    X, y, d = confounded(300, seed=7)
    y = y.copy()
    y.iloc[[3, 250]] = np.nan
    fit = type(estimator)().fit(X, y, treatment=d, missing="drop")
    assert fit.weights_.shape == (300,)
    assert np.flatnonzero(fit.weights_ == 0).tolist() == [3, 250]
    order = np.random.default_rng(0).permutation(300)
    again = type(estimator)().fit(X.iloc[order], y.iloc[order], treatment=d[order], missing="drop")
    np.testing.assert_allclose(again.weights_, fit.weights_[order], rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*corrected for it the answer moves")
@every
@pytest.mark.parametrize("arms", [2, 3])
@estimands
def test_the_score_of_the_fitted_rows_is_their_balance(estimator, estimand, arms):
    X, y, d = confounded(600, seed=8, arms=arms)
    fit = with_settings(estimator, estimand=estimand)
    if isinstance(estimator, StableBalancing):
        fit = with_settings(fit, tolerance=0.1)
    fit.fit(X, y, treatment=d)
    worst = fit.effect().diagnostics["balance"].table["smd_after"].abs().max()
    assert fit.score(X, y, treatment=d) == pytest.approx(-worst, abs=1e-9)
    other, z, b = confounded(600, seed=9, arms=arms)
    held_out = fit.score(other, z, treatment=b)
    assert -0.5 < held_out < -1e-3
    assert held_out > -largest_difference(other.to_numpy(), b, None)  # better than no weights


def test_known_propensities_are_calibrated():
    """Known probabilities give base weights; where they balance already, nothing moves."""
    X, y, d = confounded(500, seed=2)
    e = IPW(estimand="ATT").fit(X, y, treatment=d).propensity_[:, 1]
    fit = EntropyBalancing(estimand="ATT").fit(X, y, treatment=d, propensity=e)
    same = EntropyBalancing(estimand="ATT").fit(X, y, treatment=d, base_weight=np.where(d == 0, e / (1 - e), 1.0))
    np.testing.assert_allclose(fit.weights_, same.weights_, rtol=1e-9)
    solved = CovariateBalancingPropensity(estimand="ATT").fit(X, y, treatment=d).propensity_[:, 1]
    again = EntropyBalancing(estimand="ATT").fit(X, y, treatment=d, propensity=solved)
    np.testing.assert_allclose(again.coefficients_.to_numpy(), 0, atol=1e-8)
    with pytest.raises(CausalArgumentError, match="no weights to score"):
        fit.score(X, y, treatment=d)
    with pytest.raises(CausalArgumentError, match="pass one of them"):
        EntropyBalancing().fit(X, y, treatment=d, propensity=e, base_weight=np.ones(500))
    with pytest.raises(CausalArgumentError, match="calibrates them to balance"):
        CovariateBalancingPropensity().fit(X, y, treatment=d, propensity=e)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.r_[0.0, -1, np.ones(498)], "base_weight is not positive in 2 rows"),
        (np.r_[np.nan, np.ones(499)], r"base_weight is missing \(NaN\) in 1 row"),
        (np.r_[np.inf, np.ones(499)], r"base_weight is infinite \(inf\) in 1 row"),
        (np.array(["a"] * 500), "base_weight is not numeric"),
    ],
)
def test_bad_base_weights(values, message):
    X, y, d = confounded(500, seed=2)
    with pytest.raises(CausalDataError, match=message):
        EntropyBalancing().fit(X.assign(q=values), y, treatment=d, base_weight="q")
    assert "q" not in EntropyBalancing().fit(X.assign(q=1.5), y, treatment=d, base_weight="q").covariates_


def test_through_the_accessor():
    X, y, d = confounded(400, seed=2)
    frame = X.assign(d=d, y=y, q=np.linspace(0.5, 1.5, 400))
    question = {"treatment": "d", "outcome": "y", "covariates": ["a", "b", "c"]}
    effect = frame.causal.ate(**question, estimator=EntropyBalancing(moments=2), estimand="ATT")
    assert effect.estimator.estimand == "ATT"
    assert "EntropyBalancing" in effect.summary()
    assert effect.diagnostics["overlap"].table["effective_n"].iloc[0] == pytest.approx(
        effective_sample_size(effect.estimator.weights_[d == 0])
    )
    assert effect.diagnostics["weights"].table.loc["1", "effective_share"] == pytest.approx(1)
    based = frame.causal.fit(EntropyBalancing(), **question, base_weight="q")
    assert based.estimate != frame.causal.fit(EntropyBalancing(), **question).estimate
    matched = frame.causal.ate(**question, estimator="ipw", estimand="ATM")
    assert "matched population" in matched.population
    assert matched.diagnostics["overlap"].passed


# -- what cannot be balanced ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [EntropyBalancing, StableBalancing])
def test_a_target_out_of_reach_is_an_error_that_names_covariate_and_distance(cls):
    X, y, d = confounded(400, seed=2)
    far = X.assign(income=np.where(d == 1, 5.0, 0) + np.random.default_rng(0).uniform(0, 6, 400))
    assert far["income"][d == 1].mean() > far["income"][d == 0].max()
    with pytest.raises(OverlapError) as error:
        cls(estimand="ATT").fit(far, y, treatment=d)
    text = str(error.value)
    assert "arm 0" in text
    assert "income" in text
    distance = float(text.split("still differ by ")[1].split(" standard", maxsplit=1)[0])
    sd = np.sqrt((far["income"][d == 1].var() + far["income"][d == 0].var()) / 2)
    nearest = (far["income"][d == 1].mean() - far["income"][d == 0].max()) / sd
    assert nearest <= distance * 1.01
    assert distance < nearest + 0.5
    # the tolerance that the message offers is enough, and only just
    tolerance = float(text.split("tolerance=")[1].split(")", maxsplit=1)[0])
    with pytest.warns(OverlapWarning):
        StableBalancing(estimand="ATT", tolerance=tolerance).fit(far, y, treatment=d)
    with pytest.raises(OverlapError):
        StableBalancing(estimand="ATT", tolerance=0.95 * distance).fit(far, y, treatment=d)


@every
def test_perfect_separation_is_refused(estimator):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    d = (X["a"] + X["b"] > 0).astype(int)
    with pytest.raises(OverlapError, match="ATO"):
        type(estimator)().fit(X, rng.normal(size=200), treatment=d)


@every
def test_a_category_that_the_target_lacks_gets_no_weight(estimator):
    """ATT: controls of a region without treated rows cannot help; a logistic propensity only comes near 0."""
    X, y, d = confounded(400, seed=2)
    region = np.where((d == 0) & (np.arange(400) % 7 == 0), "empty", "full")
    X = X.assign(region=region)
    near = 1e-7 if isinstance(estimator, CovariateBalancingPropensity) else 1e-12
    fit = with_settings(estimator, estimand="ATT").fit(X, y, treatment=d)
    assert np.abs(fit.weights_[region == "empty"]).max() < near
    rest = region == "full"
    alone = with_settings(estimator, estimand="ATT").fit(X[rest].drop(columns="region"), y[rest], treatment=d[rest])
    assert fit.effect().estimate == pytest.approx(alone.effect().estimate, rel=max(near, 1e-9))
    assert fit.effect().std_error == pytest.approx(alone.effect().std_error, rel=max(near, 1e-9))
    if near < 1e-7:
        assert fit.score(X, y, treatment=d) == pytest.approx(0, abs=1e-9)


@every
def test_zero_variance_and_collinear_columns_are_counted(estimator):
    X, y, d = confounded(300, seed=2)
    plain = type(estimator)().fit(X, y, treatment=d).effect()
    more = X.assign(one=1.0, twice=2 * X["a"] - X["b"])
    effect = type(estimator)().fit(more, y, treatment=d).effect()
    assert "constant covariates were left out: one" in effect.warnings
    if isinstance(estimator, StableBalancing):  # a tolerance holds for every column, whatever explains it
        assert not any("collinear" in text for text in effect.warnings)
        assert effect.diagnostics["balance"].table["smd_after"].abs().max() <= 0.002 + 1e-9
        return
    assert effect.estimate == pytest.approx(plain.estimate, rel=1e-9)
    assert effect.std_error == pytest.approx(plain.std_error, rel=1e-9)
    assert "collinear covariates were left out (explained by those before them): twice" in effect.warnings


@every
def test_one_treated_row_is_refused(estimator):
    X, y, _ = confounded(100, seed=2)
    d = (np.arange(100) == 5).astype(int)
    with pytest.raises(CausalDataError, match="arm 1 has fewer than 2 rows in 1 row"):
        with_settings(estimator, estimand="ATT").fit(X, y, treatment=d)


def test_two_treated_rows_can_be_matched_by_weights():
    X, y, _ = confounded(200, seed=2)
    d = np.isin(np.arange(200), [5, 60]).astype(int)
    fit = EntropyBalancing(estimand="ATT").fit(X, y, treatment=d)
    share = fit.weights_ / fit.weights_[d == 0].sum()
    np.testing.assert_allclose(share[d == 0] @ X.to_numpy()[d == 0], X.to_numpy()[d == 1].mean(axis=0), atol=1e-8)


def test_hansens_j_rejects_a_propensity_that_is_not_logistic_in_the_covariates():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3_000, 2))
    right = rng.random(3_000) < 1 / (1 + np.exp(-0.5 * x[:, 0]))
    wrong = rng.random(3_000) < 1 / (1 + np.exp(-0.5 * x[:, 0] - 0.5 * x[:, 0] ** 2 + 0.5))
    X, y = pd.DataFrame(x, columns=["a", "b"]), x[:, 0] + rng.normal(size=3_000)
    checks = [
        CovariateBalancingPropensity(over_identified=True).fit(X, y, treatment=d.astype(int)).effect().diagnostics
        for d in (right, wrong)
    ]
    assert checks[0]["specification"].passed
    assert not checks[1]["specification"].passed
    assert checks[0]["specification"].table["df"].iloc[0] == 3


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [EntropyBalancing(), StableBalancing()], ids=lambda e: type(e).__name__)
def test_the_bootstrap_agrees(estimator):
    """Draws give rows weight 0, and a draw's target is its own; 200 draws know a standard error to 5%."""
    X, y, d = confounded(500, seed=11)
    effect = type(estimator)(estimand="ATT").fit(X, y, treatment=d).effect()
    draws = pandas_causal.bootstrap(
        type(estimator)(estimand="ATT"), X, y, treatment=d, n_draws=200, progress=False, random_state=1
    )
    assert draws.estimate == effect.estimate
    assert draws.std_error == pytest.approx(effect.std_error, rel=0.2)


def test_stable_weights_of_a_copy_in_other_units_are_those_without_it():
    X, y, d = confounded(300, seed=2)
    plain = StableBalancing(tolerance=0.02).fit(X, y, treatment=d).effect()
    again = StableBalancing(tolerance=0.02).fit(X.assign(months=5 + 12 * X["a"]), y, treatment=d).effect()
    assert again.estimate == pytest.approx(plain.estimate, rel=1e-9)


def test_moments_that_are_a_column_are_refused():
    X, y, d = confounded(50, seed=2)
    with pytest.raises(CausalArgumentError, match="moments"):
        StableBalancing(moments=X["a"]).fit(X, y, treatment=d)
