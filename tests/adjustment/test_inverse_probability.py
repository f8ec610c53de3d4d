"""IPW by hand, and its standard error against a stacked M-estimator whose Jacobian is numeric."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import IPW
from pandas_causal.adjustment.inverse_probability import hajek_means
from pandas_causal.arms.estimands import plan_estimand, target_density, target_density_slopes
from pandas_causal.arms.overlap import arm_weights
from pandas_causal.errors import OverlapError, OverlapWarning
from pandas_causal.inputs.arms import resolve_arms
from pandas_causal.models.linear import softmax
from tests.adjustment.designs import confounded

ESTIMANDS = ["ATE", "ATT", "ATC", "ATO", "ATM"]


def weights_of(estimand, e, d, a, population):
    """h(x) / e_a(x) of the rows of arm a; an arm's own rows for populations made of an arm."""
    if population is not None:
        h = e[:, population]
    else:
        h = {"ATO": 1 / (1 / e).sum(axis=1), "ATM": e.min(axis=1)}.get(estimand, np.ones(len(e)))
    return np.where(d == a, h / e[:, a], 0.0)


def targets_and_contrasts(estimand, K):
    """(population, arm) of every mean, and the pairs to subtract."""
    if estimand in ("ATE", "ATO", "ATM"):
        return [(None, a) for a in range(K)], [(a, 0) for a in range(1, K)]
    if estimand == "ATC":
        return [(0, a) for a in range(K)], [(a, 0) for a in range(1, K)]
    return [(t, a) for t in range(1, K) for a in (0, t)], [(2 * t + 1, 2 * t) for t in range(K - 1)]


def equations(theta, estimand, Z, y, d, K, w):
    """Stacked estimating functions (n, J p + k): multinomial scores, then the weighted means."""
    n, p = Z.shape
    eta = np.hstack([np.zeros((n, 1)), Z @ theta[: (K - 1) * p].reshape(K - 1, p).T])
    e = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    scores = [w[:, None] * Z * ((d == b) - e[:, b])[:, None] for b in range(1, K)]
    targets, _ = targets_and_contrasts(estimand, K)
    means = theta[(K - 1) * p :]
    rest = [w * weights_of(estimand, e, d, a, t) * (y - m) for (t, a), m in zip(targets, means, strict=True)]
    return np.hstack([*scores, np.column_stack(rest)])


def sandwich(estimand, X, y, d, K, w):
    """Estimates and standard errors of the contrasts from the numeric Jacobian of the stacked equations."""
    from scipy.optimize import root

    Z = np.column_stack([np.ones(len(X)), X])
    targets, pairs = targets_and_contrasts(estimand, K)
    start = np.zeros((K - 1) * Z.shape[1] + len(targets))
    start[-len(targets) :] = y.mean()
    total = lambda theta: equations(theta, estimand, Z, y, d, K, w).sum(axis=0)  # noqa: E731
    theta = root(total, start, tol=1e-12).x
    assert np.abs(total(theta)).max() < 1e-6
    steps = 1e-5 * np.eye(len(theta))
    bread = np.column_stack([(total(theta + s) - total(theta - s)) / 2e-5 for s in steps])
    influence = -equations(theta, estimand, Z, y, d, K, w) @ np.linalg.inv(bread).T
    means, influence = theta[-len(targets) :], influence[:, -len(targets) :]
    contrasts = np.column_stack([influence[:, i] - influence[:, j] for i, j in pairs])
    return np.array([means[i] - means[j] for i, j in pairs]), np.sqrt(np.square(contrasts).sum(axis=0))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_estimated_logistic_propensity_enters_the_error_exactly(estimand, arms, weighted):
    X, y, d = confounded(500, seed=arms, arms=arms)
    w = np.random.default_rng(0).uniform(0.5, 2, 500) if weighted else None
    effect = IPW(estimand=estimand).fit(X, y, treatment=d, sample_weight=w).effect()
    estimates, errors = sandwich(estimand, X.to_numpy(), y.to_numpy(), d, arms, np.ones(500) if w is None else w)
    np.testing.assert_allclose(effect.estimates, estimates, rtol=1e-7)
    # matching weights: near the kink of the minimum the slopes of its two sides are blended
    np.testing.assert_allclose(effect.table["std_error"], errors, rtol=1e-6 if estimand != "ATM" else 2e-3)
    assert "estimation of the logistic propensity included" in effect.std_error_method


def test_the_correction_makes_the_ate_sharper_and_other_models_go_without():
    X, y, d = confounded(500, seed=2)
    exact = IPW().fit(X, y, treatment=d).effect()
    known = IPW().fit(X, y, treatment=d, propensity=IPW().fit(X, y, treatment=d).propensity_[:, 1]).effect()
    assert known.estimate == pytest.approx(exact.estimate, rel=1e-10)
    assert exact.std_error < known.std_error
    for estimator in (IPW(cv=5), IPW(propensity_model="ridge")):
        effect = estimator.fit(X, y, treatment=d).effect()
        assert "taken as known" in effect.std_error_method
        assert effect.estimate == pytest.approx(exact.estimate, abs=exact.std_error)


# -- three arms on tiny data, by hand --------------------------------------------------------------------------------

TINY_Y = np.array([1, 2, 4, 3, 6, 8, 5, 9, 7.0])
TINY_D = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
TINY_E = np.array(
    [[5, 3, 2], [4, 4, 2], [2, 2, 6], [3, 3, 4], [2, 5, 3], [6, 2, 2], [1, 4, 5], [3, 3, 4], [2, 2, 6]]
) / 10.0  # fmt: skip


@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_three_arms_by_hand(estimand):
    X = pd.DataFrame({"x": np.arange(9.0) % 4})
    fitted = IPW(estimand=estimand).fit(X, TINY_Y, treatment=TINY_D, propensity=TINY_E)
    targets, pairs = targets_and_contrasts(estimand, 3)
    means, rows = [], []
    for t, a in targets:
        own = TINY_D == a
        if t is None:
            of_row = {"ATO": lambda e: 1 / sum(1 / v for v in e), "ATM": min}.get(estimand, lambda _: 1)
            h = [of_row(e) for e in TINY_E]
        else:
            h = [e[t] for e in TINY_E]
        w = np.array([hi / e[a] if o else 0.0 for hi, e, o in zip(h, TINY_E, own, strict=True)])
        means.append((w * TINY_Y).sum() / w.sum())
        rows.append(w * (TINY_Y - means[-1]) / w.sum())
    effect = fitted.effect()
    for row, (i, j) in zip(effect.table.itertuples(), pairs, strict=True):
        assert row.estimate == pytest.approx(means[i] - means[j], rel=1e-12)
        assert row.std_error == pytest.approx(np.sqrt(np.square(rows[i] - rows[j]).sum()), rel=1e-12)
    np.testing.assert_allclose(effect.parameters.estimates, means)


def test_the_treated_arms_own_mean_is_plain_for_att_and_atc():
    X, y, d = confounded(400, seed=9, arms=3)
    att = IPW(estimand="ATT").fit(X, y, treatment=d).effect().parameters.estimates
    assert att["1 among 1"] == pytest.approx(y[d == 1].mean())
    assert att["2 among 2"] == pytest.approx(y[d == 2].mean())
    atc = IPW(estimand="ATC").fit(X, y, treatment=d).effect().parameters.estimates
    assert atc["0 among 0"] == pytest.approx(y[d == 0].mean())


def test_overlap_weights_balance_exactly():
    """Li, Morgan and Zaslavsky (2018), Theorem 3: under a logistic propensity the weighted means are equal."""
    X, y, d = confounded(300, seed=1)
    fitted = IPW(estimand="ATO").fit(X, y, treatment=d)
    w = fitted.weights_
    gap = np.average(X[d == 1], axis=0, weights=w[d == 1]) - np.average(X[d == 0], axis=0, weights=w[d == 0])
    np.testing.assert_allclose(gap, 0, atol=1e-9)
    assert fitted.effect().diagnostics["balance"].passed


def test_matching_weights_by_hand_and_at_the_kink():
    """Li and Greene (2013): W = min(e, 1 - e) / P(arm received); the slope of log h jumps from 1 - e to -e at 1/2."""
    e = np.array([0.2, 0.5, 0.7, 0.4999, 0.5001])
    both = np.column_stack([1 - e, e])
    np.testing.assert_allclose(target_density("ATM", None, both), [0.2, 0.5, 0.3, 0.4999, 0.4999])
    np.testing.assert_allclose(arm_weights("ATM", np.array([0, 1, 1, 0, 1]), both)[:3], [0.25, 1, 3 / 7])
    slope = target_density_slopes("ATM", None, both)[:, 0]
    np.testing.assert_allclose(slope[[0, 2]], [0.8, -0.7])
    np.testing.assert_allclose(slope[1], 0, atol=1e-15)
    assert slope[3] + slope[4] == pytest.approx(0, abs=1e-12)
    # linear between the two sides, over a width of 0.004 in e
    assert slope[3] + e[3] == pytest.approx(0.5 + 0.0001 / 0.004, abs=1e-9)


def test_slopes_of_the_tilts_are_derivatives():
    rng = np.random.default_rng(0)
    eta = rng.normal(size=(50, 2))
    for estimand, population in [("ATE", None), ("ATT", 1), ("ATC", 0), ("ATO", None), ("ATM", None)]:
        log_h = lambda at: np.log(target_density(estimand, population, softmax(at)))  # noqa: E731, B023
        numeric = np.column_stack([(log_h(eta + s) - log_h(eta - s)) / 2e-6 for s in 1e-6 * np.eye(2)])
        far = np.diff(np.sort(softmax(eta), axis=1)[:, :2], axis=1)[:, 0] > 0.005
        exact = target_density_slopes(estimand, population, softmax(eta))
        np.testing.assert_allclose(exact[far], numeric[far], atol=1e-8)
        assert far.sum() > 40


def test_hajek_weights_ignore_the_scale_of_sample_weights():
    X, y, d = confounded(300, seed=1)
    one = IPW().fit(X, y, treatment=d, sample_weight=np.full(300, 1.0)).effect()
    ten = IPW().fit(X, y, treatment=d, sample_weight=np.full(300, 10.0)).effect()
    pd.testing.assert_frame_equal(one.table, ten.table, rtol=1e-9)


def test_trimmed_rows_are_counted_and_have_no_weight():
    X, y, d = confounded(400, seed=3)
    fitted = IPW(trim=0.2).fit(X, y, treatment=d)
    e = fitted.propensity_[:, 1]
    out = (e <= 0.2) | (e >= 0.8)
    effect = fitted.effect()
    assert 0 < effect.facts["n_trimmed"] == out.sum()
    assert (fitted.weights_[out] == 0).all()
    assert (fitted.weights_[~out] > 0).all()
    assert "trimmed" in effect.summary()
    assert f"{400 - out.sum():,} of 400" in effect.population
    arms = resolve_arms(pd.Series(d))
    plan = plan_estimand("ATE", arms, "d")
    values, _, _ = hajek_means(plan, y.to_numpy(), d, fitted.propensity_, (~out).astype(float))
    assert effect.estimate == pytest.approx(values[1] - values[0], rel=1e-12)


@pytest.mark.parametrize(("estimand", "tail"), [("ATT", "high"), ("ATC", "low"), ("ATE", "both")])
def test_trimming_follows_the_estimand(estimand, tail):
    X, y, d = confounded(400, seed=3)
    fitted = IPW(estimand=estimand, trim=0.25).fit(X, y, treatment=d)
    e = fitted.propensity_[:, 1]
    out = {"high": e >= 0.75, "low": e <= 0.25, "both": (e >= 0.75) | (e <= 0.25)}[tail]
    np.testing.assert_array_equal(fitted.weights_ == 0, out)


def test_separation_is_refused_and_ridge_is_named():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    d = (X["a"] + X["b"] > 0).astype(int)
    with pytest.raises(OverlapError, match="ridge"):
        IPW().fit(X, rng.normal(size=200), treatment=d)


def test_weak_overlap_warns_for_the_estimand_that_suffers():
    """Everyone may be treated; controls are hardly found at high x: only questions about the treated suffer."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=3_000)
    e = 0.2 + 0.799 / (1 + np.exp(-6 * x))
    d = (rng.random(3_000) < e).astype(int)
    X, y = pd.DataFrame({"x": x}), x + rng.normal(size=3_000)
    for estimand in ("ATT", "ATE"):
        with pytest.warns(OverlapWarning, match="weak overlap"):
            effect = IPW(estimand=estimand).fit(X, y, treatment=d, propensity=e).effect()
        assert not effect.diagnostics["overlap"].passed
        assert "weak overlap" in effect.summary()
    assert IPW(estimand="ATC").fit(X, y, treatment=d, propensity=e).effect().diagnostics["overlap"].passed
