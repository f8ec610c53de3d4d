"""FrontDoor: its scores against the front-door formula and the published influence function, and honest folds."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from pandas_causal import FrontDoor, bootstrap
from pandas_causal.arms.estimands import plan_estimand
from pandas_causal.errors import OverlapError, OverlapWarning
from pandas_causal.inputs.arms import resolve_arms
from pandas_causal.mediation.front_door_scores import front_door_scores, mediator_overlap, mediator_weights
from pandas_causal.mediation.nested_regression import fit_nested, pairs
from pandas_causal.models.nuisance import TrainingRows
from tests.adjustment.designs import front_door

MODELS = ("outcome_model", "propensity_model", "mediator_model", "nested_model")
LINEAR = dict.fromkeys(MODELS, "linear")


def wide(shares):
    """A column per value of the last level."""
    return shares.unstack(fill_value=0.0)  # noqa: PD010 - a table has this shape, and no values to pivot


def saturated(seed=0, n=600, arms=3):
    """Discrete columns in which every cell is filled, and the four nuisances as the frequencies give them."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, n)
    a = (rng.random(n)[:, None] > np.array([[0.3, 0.7], [0.5, 0.8]])[x, : arms - 1]).sum(axis=1)
    m = (rng.random(n) < 0.2 + 0.2 * a + 0.1 * x).astype(int) + (rng.random(n) < 0.4)
    y = m + 0.5 * x - 0.7 * a + rng.normal(size=n)
    f = pd.DataFrame({"x": x, "a": a, "m": m, "y": y})
    mu = f.groupby(["a", "m", "x"])["y"].mean()
    pm = f.groupby(["a", "x"])["m"].value_counts(normalize=True).pipe(wide)
    pa = f.groupby("x")["a"].value_counts(normalize=True).pipe(wide)
    r = f.groupby(["m", "x"])["a"].value_counts(normalize=True).pipe(wide)
    assert mu.notna().all()
    assert len(mu) == arms * 3 * 2
    nu = {
        (s, t, v): sum(pm.loc[(s, v), k] * mu[t, k, v] for k in range(3))
        for s in range(arms)
        for t in range(arms)
        for v in range(2)
    }
    nuisances = {
        "outcome": np.array([[mu[t, k, v] for t in range(arms)] for k, v in zip(m, x, strict=True)]),
        "nested": np.array([[[nu[s, t, v] for t in range(arms)] for s in range(arms)] for v in x]),
        "propensity": pa.loc[x].to_numpy(),
        "given_mediators": r.loc[list(zip(m, x, strict=True))].to_numpy(),
    }
    return f, nuisances, mu, pm, pa


def front_door_formula(mu, pm, pa, px, a, among=None):
    """Sum over x, m, a' of P(m | a, x) E[Y | a', m, x] P(a', x), everyone or those of one arm."""
    total, weight = 0.0, 0.0
    for v, t in itertools.product(px.index, pa.columns):
        if among is None or t == among:
            share = px[v] * pa.loc[v, t]
            total += share * sum(pm.loc[(a, v), k] * mu[t, k, v] for k in pm.columns)
            weight += share
    return total / weight


def test_scores_are_the_front_door_formula_on_saturated_data():
    f, nuisances, mu, pm, pa = saturated()
    px = f["x"].value_counts(normalize=True)
    plan = plan_estimand("ATE", resolve_arms(f["a"]), "a")
    values, contributions = front_door_scores(plan, f["y"].to_numpy(), f["a"].to_numpy(), **nuisances)
    want = [front_door_formula(mu, pm, pa, px, a) for a in range(3)]
    np.testing.assert_allclose(values, want, rtol=1e-12)
    np.testing.assert_allclose(contributions.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("estimand", ["ATT", "ATC"])
def test_means_within_an_arm_are_the_formula_within_it(estimand):
    f, nuisances, mu, pm, pa = saturated()
    px = f["x"].value_counts(normalize=True)
    plan = plan_estimand(estimand, resolve_arms(f["a"]), "a")
    values, contributions = front_door_scores(plan, f["y"].to_numpy(), f["a"].to_numpy(), **nuisances)
    want = [front_door_formula(mu, pm, pa, px, a, among) for among, a in plan.targets]
    np.testing.assert_allclose(values, want, rtol=1e-12)
    np.testing.assert_allclose(contributions.sum(axis=0), 0, atol=1e-12)


def test_contributions_are_the_published_influence_function():
    """Fulcher et al. (2020), theorem 1, written with the mediator's density, beside ours, written without it."""
    f, nuisances, mu, pm, pa = saturated()
    plan = plan_estimand("ATE", resolve_arms(f["a"]), "a")
    values, contributions = front_door_scores(plan, f["y"].to_numpy(), f["a"].to_numpy(), **nuisances)
    for a in range(3):
        published = []
        for row in f.itertuples():
            density = pm.loc[(a, row.x), row.m] / pm.loc[(row.a, row.x), row.m]
            averaged = {k: sum(pa.loc[row.x, t] * mu[t, k, row.x] for t in range(3)) for k in range(3)}
            inner = averaged[row.m] - sum(pm.loc[(a, row.x), k] * averaged[k] for k in range(3))
            outer = sum(pm.loc[(a, row.x), k] * mu[row.a, k, row.x] for k in range(3))
            published.append(
                density * (row.y - mu[row.a, row.m, row.x])
                + (row.a == a) / pa.loc[row.x, a] * inner
                + outer
                - values[a]
            )
        np.testing.assert_allclose(contributions[:, a] * len(f), published, atol=1e-10)


def test_weights_count_rows():
    f, nuisances, *_ = saturated()
    plan = plan_estimand("ATE", resolve_arms(f["a"]), "a")
    w = np.random.default_rng(1).integers(1, 4, len(f))
    y, codes = f["y"].to_numpy(), f["a"].to_numpy()
    weighted = front_door_scores(plan, y, codes, **nuisances, w=w / w.mean())[0]
    repeated = front_door_scores(
        plan, np.repeat(y, w), np.repeat(codes, w), **{k: np.repeat(v, w, axis=0) for k, v in nuisances.items()}
    )[0]
    np.testing.assert_allclose(weighted, repeated, rtol=1e-12)


def test_the_diagonal_of_the_nested_regressions_is_not_read():
    f, nuisances, *_ = saturated()
    plan = plan_estimand("ATE", resolve_arms(f["a"]), "a")
    given = [plan, f["y"].to_numpy(), f["a"].to_numpy()]
    other = nuisances["nested"].copy()
    other[:, range(3), range(3)] = np.nan
    np.testing.assert_array_equal(
        front_door_scores(*given, **{**nuisances, "nested": other})[0], front_door_scores(*given, **nuisances)[0]
    )


def test_weights_by_hand():
    """P(1 | x) = 1/4 and P(1 | m, x) = 3/4: densities stand as 9 to 1."""
    e, r = np.array([[0.75, 0.25]] * 2), np.array([[0.25, 0.75]] * 2)
    np.testing.assert_allclose(mediator_weights(e, r, np.array([0, 1]), 1), [9, 1])
    np.testing.assert_allclose(mediator_weights(e, r, np.array([0, 1]), 0), [1, 1 / 9])


def test_pairs_are_those_the_means_need():
    arms = resolve_arms(pd.Series([0, 1, 2]))
    assert set(pairs(plan_estimand("ATE", arms, "a"), 3)) == set(itertools.permutations(range(3), 2))
    assert set(pairs(plan_estimand("ATT", arms, "a"), 3)) == {(0, 1), (0, 2)}
    assert set(pairs(plan_estimand("ATC", arms, "a"), 3)) == {(1, 0), (2, 0)}


@pytest.mark.parametrize("spec", ["linear", LinearRegression()], ids=["linear", "scikit-learn"])
@pytest.mark.parametrize("weighted", [False, True])
def test_nested_regression_is_least_squares_of_the_other_folds(spec, weighted):
    rng = np.random.default_rng(0)
    n = 90
    X, codes, folds = rng.normal(size=(n, 2)), np.arange(n) % 2, np.arange(n) // 30
    goals = rng.normal(size=(3, n, 2))
    w = rng.random(n) + 0.5 if weighted else None
    nested = fit_nested(spec, TrainingRows(X, codes, 2, w=w), lambda k: goals[k], folds, [(0, 1)])
    for k in range(3):
        learn = (folds != k) & (codes == 0)
        root = np.sqrt(np.ones(n) if w is None else w)[learn]
        Z = np.column_stack([np.ones(n), X])
        slope = np.linalg.lstsq(Z[learn] * root[:, None], goals[k][learn, 1] * root, rcond=None)[0]
        np.testing.assert_allclose(nested.predictions[folds == k, 0, 1], Z[folds == k] @ slope, rtol=1e-9)
    assert not nested.predictions[:, 1].any()


@pytest.mark.parametrize("model", ["linear", "ridge", GradientBoostingRegressor(n_estimators=5)], ids=str)
def test_no_prediction_has_seen_its_own_fold(model):
    """Outcomes of a fold moved: neither regression moves for the rows of that fold, both do elsewhere."""
    X, y, _ = front_door(np.random.default_rng(0), 300)
    folds = [(np.flatnonzero(np.arange(300) % 3 != k), np.flatnonzero(np.arange(300) % 3 == k)) for k in range(3)]
    settings = LINEAR | {"outcome_model": model, "nested_model": model, "cv": folds}
    roles = {"treatment": "d", "mediators": ["m1", "m2"]}
    one = FrontDoor(**settings).fit(X, y, **roles)
    moved = y.copy()
    moved[folds[1][1]] += np.random.default_rng(1).normal(size=100) * 5
    two = FrontDoor(**settings).fit(X, moved, **roles)
    own, others = folds[1][1], folds[1][0]
    for name in ("outcome_predictions_", "nested_predictions_"):
        before, after = getattr(one, name), getattr(two, name)
        np.testing.assert_allclose(before[own], after[own], rtol=1e-9)  # "linear" leaves a fold out by subtraction
        assert not np.allclose(before[others], after[others])


def test_saturated_linear_models_reach_the_plug_in():
    """Cross-fitting on 20,000 discrete rows: what the formula gives on their frequencies, but for terms of 1 / n."""
    f, _, mu, pm, pa = saturated(seed=2, n=20_000, arms=2)
    px = f["x"].value_counts(normalize=True)
    want = front_door_formula(mu, pm, pa, px, 1) - front_door_formula(mu, pm, pa, px, 0)
    cells = pd.get_dummies(f["m"].astype(str) + f["x"].astype(str), drop_first=True).astype(float)
    X = pd.concat([f[["x", "a"]], cells], axis=1)
    effect = FrontDoor(**LINEAR).fit(X, f["y"], treatment="a", mediators=list(cells)).effect()
    assert abs(effect.estimate - want) < 0.05 * effect.std_error


@pytest.mark.slow
def test_influence_and_bootstrap_errors_agree():
    X, y, _ = front_door(np.random.default_rng(3), 800)
    roles = {"treatment": "d", "mediators": ["m1", "m2"]}
    effect = FrontDoor(**LINEAR).fit(X[["x", "d", "m1", "m2"]], y, **roles).effect()
    drawn = bootstrap(FrontDoor(**LINEAR), X[["x", "d", "m1", "m2"]], y, n_draws=200, progress=False, **roles)
    assert drawn.std_error == pytest.approx(effect.std_error, rel=0.15)  # three errors of 200 draws
    assert drawn.estimate == effect.estimate


def test_linear_gaussian_effect_is_the_product_of_two_slopes():
    """With one mediator and no covariates: (slope of m on d) times (slope of y on m given d), within half an SE."""
    rng = np.random.default_rng(4)
    n = 20_000
    d = rng.integers(0, 2, n)
    m = 0.6 * d + rng.normal(size=n)
    y = 1.5 * m + 2.0 * d + rng.normal(size=n)
    effect = FrontDoor(**LINEAR).fit(pd.DataFrame({"d": d, "m": m}), y, treatment="d", mediators="m").effect()
    first = m[d == 1].mean() - m[d == 0].mean()
    second = np.linalg.lstsq(np.column_stack([np.ones(n), d, m]), y, rcond=None)[0][2]
    assert abs(effect.estimate - first * second) < 0.5 * effect.std_error
    assert abs(effect.estimate - 0.9) < 4 * effect.std_error


@pytest.mark.slow
def test_what_the_result_says():
    X, y, effects = front_door(np.random.default_rng(5), 3_000, arms=3)
    fit = FrontDoor().fit(X[["x", "d", "m1", "m2"]], y, treatment="d", mediators=["m1", "m2"])
    effect = fit.effect()
    assert effect.table.index.tolist() == ["1 - 0", "2 - 0"]
    assert (np.abs(effect.table["estimate"] - effects) < 4 * effect.table["std_error"]).all()
    assert "by the front door through m1, m2" in effect.estimand
    assert "only through m1, m2 (cannot be tested)" in effect.assumptions[0]
    assert effect.facts["mediators"] == fit.mediators_ == ["m1", "m2"]
    assert fit.covariates_ == ["x"]
    mediators = effect.diagnostics["mediators"]
    assert mediators.passed
    assert len(mediators.table) == 6
    assert mediators.table["mean_weight"].to_numpy() == pytest.approx(1, abs=0.15)
    nuisance = effect.diagnostics["nuisance"].table
    assert nuisance.loc["outcome of 1 by mediators of 0", "skill"] > 0.1
    assert (nuisance["skill"] > -0.02).all()
    shares = fit.given_mediators_, fit.propensity_
    assert all(s.shape == (3_000, 3) and np.allclose(s.sum(axis=1), 1, atol=0.02) for s in shares)


def test_repeated_splits_are_averaged_and_their_spread_enters():
    X, y, _ = front_door(np.random.default_rng(6), 400)
    roles = {"treatment": "d", "mediators": ["m1", "m2"]}
    one, many = (FrontDoor(**LINEAR, n_repeats=k).fit(X, y, **roles).effect() for k in (1, 4))
    assert many.estimate != one.estimate
    assert len(many.uncertainty.components) == 2
    assert many.uncertainty.components[1].df == 3
    assert many.std_error == pytest.approx(
        np.sqrt(many.uncertainty.meat().sum() - 2 * many.uncertainty.meat()[0, 1] * 2)
    )


def test_clusters():
    X, y, _ = front_door(np.random.default_rng(7), 600)
    site = np.arange(600) // 6
    roles = {"treatment": "d", "mediators": ["m1", "m2"]}
    fit = FrontDoor(**LINEAR).fit(X.assign(site=site), y, cluster="site", **roles)
    folds_of_site = pd.DataFrame({"site": site, "fold": fit.folds_}).drop_duplicates()
    assert folds_of_site["site"].is_unique
    assert "clustered by site (CR1)" in fit.effect().std_error_method
    folds = [(np.flatnonzero(fit.folds_ != k), np.flatnonzero(fit.folds_ == k)) for k in range(5)]
    plain = FrontDoor(**LINEAR, cv=folds).fit(X, y, **roles).effect()
    assert plain.cluster(site).std_error == pytest.approx(fit.effect().std_error, rel=1e-9)


def test_mediators_that_tell_the_arm_are_refused():
    rng = np.random.default_rng(8)
    d = rng.integers(0, 2, 400)
    y = d + rng.normal(size=400)
    m = pd.DataFrame({"d": d, "m": d * 10 + rng.normal(size=400)})
    sure = np.column_stack([1 - d, d]) * 0.998 + 0.001
    with pytest.raises(OverlapError, match="perfect separation: the mediators tell the treatment of every row"):
        mediator_overlap(np.full((400, 2), 0.5), sure, d, [0, 1], [(0, 1), (1, 0)])
    with pytest.raises(ValueError, match="m: mediator separates the arms at one threshold"):
        FrontDoor(**LINEAR).fit(m, y, treatment="d", mediators="m")


def test_weak_overlap_of_mediators_is_warned_of():
    rng = np.random.default_rng(9)
    d = rng.integers(0, 2, 1_000)
    m = 3.5 * d + rng.normal(size=1_000)
    y = m + d + rng.normal(size=1_000)
    with pytest.warns(OverlapWarning, match="weak overlap in the mediators: smallest effective share"):
        effect = FrontDoor(**LINEAR).fit(pd.DataFrame({"d": d, "m": m}), y, treatment="d", mediators="m").effect()
    assert not effect.diagnostics["mediators"].passed
    assert any("weak overlap in the mediators" in w for w in effect.warnings)
    assert effect.facts["n_clipped"] > 0


def test_a_bound_of_zero_divides_by_no_zero():
    X, y, _ = front_door(np.random.default_rng(10), 400)
    effect = clone(FrontDoor(**LINEAR, clip=0.0)).fit(X, y, treatment="d", mediators=["m1", "m2"]).effect()
    assert np.isfinite(effect.std_error)
    assert effect.facts["n_clipped"] == 0


def test_an_array_of_one_mediator_may_have_one_or_two_dimensions():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 2, 200)
    m = a + rng.normal(size=200)
    y, X = m + rng.normal(size=200), rng.normal(size=(200, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flat, column = (FrontDoor(**LINEAR).fit(X, y, treatment=a, mediators=M) for M in (m, m[:, None]))
        assert column.score(X, y, treatment=a, mediators=m[:, None]) == flat.score(X, y, treatment=a, mediators=m)
    assert column.effect().estimate == flat.effect().estimate
