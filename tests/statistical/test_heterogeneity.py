"""Who benefits, where it is known: intervals of rows, averages, rankings without effect, values of learned policies."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from pandas_causal import (
    DRIV,
    DoseResponse,
    DoubleML,
    DRLearner,
    LinearDML,
    LocalQuantileEffects,
    PolicyTree,
    RLearner,
    SparseDML,
    TLearner,
    XLearner,
    grouped_effects,
    metrics,
)
from tests.statistical.draws import FULL, slack

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning")]

DRAWS = 1_000 if FULL else 100
LINEAR = {"outcome_model": "linear", "treatment_model": "linear"}
ARMS = {"outcome_model": "linear", "propensity_model": "linear"}


def draw(rng, n=500, effect=lambda X: 1 + 0.5 * X[:, 0]):
    X = rng.normal(size=(n, 3))
    e = 1 / (1 + np.exp(-0.6 * X[:, 0]))
    t = (rng.random(n) < e).astype(int)
    y = X[:, 0] + X[:, 1] + t * effect(X) + rng.normal(size=n)
    return pd.DataFrame(X, columns=list("abc")).assign(t=t), pd.Series(y, name="y")


def trusting(model):
    return model.trusting()


def test_intervals_of_rows_cover_where_the_effect_lies_in_the_basis():
    rng = np.random.default_rng(0)
    points = pd.DataFrame(np.random.default_rng(1).normal(size=(10, 3)), columns=list("abc"))
    truth = 1 + 0.5 * points["a"].to_numpy()
    covered = {"LinearDML": [], "DRLearner": [], "SparseDML": []}
    for _ in range(DRAWS):
        X, y = draw(rng)
        for model in (LinearDML(**LINEAR), DRLearner(**ARMS, final_model="linear"), SparseDML(**LINEAR)):
            table = trusting(model).fit(X, y, treatment="t").effect(points).table
            inside = (table["conf_low"] <= truth) & (truth <= table["conf_high"])
            covered[type(model).__name__].append(inside.to_numpy())
    for name, inside in covered.items():
        rates = np.mean(inside, axis=0)
        assert np.abs(rates - 0.95).max() < slack(DRAWS) + 0.02, (name, rates)
        assert abs(rates.mean() - 0.95) < 0.025, (name, rates)


def test_averages_cover():
    rng = np.random.default_rng(2)
    inside = {"partially linear": 0, "group": 0, "average": 0}
    for _ in range(DRAWS):
        X, y = draw(rng)
        constant, z = draw(rng, effect=lambda X: np.full(len(X), 1.0))
        one = trusting(DoubleML(**LINEAR)).fit(constant, z, treatment="t").effect()
        inside["partially linear"] += one.conf_low <= 1.0 <= one.conf_high
        model = trusting(DRLearner(**ARMS, final_model="ridge")).fit(X, y, treatment="t")
        groups = model.effect(X).aggregate(by=np.where(X["b"] > 0, "high", "low"))["high"]
        inside["group"] += groups.conf_low <= 1.0 <= groups.conf_high  # the effect moves with a, not with b
        mean = trusting(LinearDML(**LINEAR)).fit(X, y, treatment="t").effect()
        inside["average"] += mean.conf_low <= 1.0 <= mean.conf_high
    for name, count in inside.items():
        assert abs(count / DRAWS - 0.95) < slack(DRAWS), name


def test_rankings_of_no_effect_have_the_size_of_the_test():
    rng = np.random.default_rng(3)
    rejected = np.zeros(2)
    draws = 4 * DRAWS
    for _ in range(draws):
        scores, priority = 1 + rng.standard_t(5, size=400), rng.normal(size=400).round(1)
        table = metrics.rate(scores, priority).table
        rejected += (table["p_value"] < 0.05).to_numpy()
    assert np.abs(rejected / draws - 0.05).max() < slack(draws, 0.05) + 0.01


def test_r_and_dr_beat_t_where_the_outcome_is_hard_and_the_effect_is_simple():
    """Nie and Wager (2021), set-ups A to D; root mean squared errors over draws, sums of ratios to the T-learner."""
    rng = np.random.default_rng(4)
    models = {"outcome_model": "boosting", "propensity_model": "boosting"}
    errors = {"T": [], "R": [], "DR": []}
    for setting in ("A", "B", "C", "D"):
        for _ in range(2):
            X, t, y, tau = nie_wager(setting, rng, 1_000)
            frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]).assign(t=t)
            for name, model in (
                ("T", TLearner(**models)),
                ("R", RLearner(**models, final_model="ridge")),
                ("DR", DRLearner(**models, final_model="ridge")),
            ):
                found = model.fit(frame, y, treatment="t").predict(frame)
                errors[name].append(np.sqrt(np.mean(np.square(found - tau))))
    ratios = {name: np.mean(np.array(e) / np.array(errors["T"])) for name, e in errors.items()}
    assert ratios["R"] < 0.9, ratios
    assert ratios["DR"] < 0.95, ratios


def test_the_doubly_robust_learner_beats_t_on_kennedys_design():
    """Kennedy (2023), figure 2: no effect, an outcome with a jump, a propensity of 0.1 or 0.9, smoothing splines."""
    rng = np.random.default_rng(7)
    models = {"outcome_model": "splines", "propensity_model": "boosting"}
    errors = {"T": [], "X": [], "R": [], "DR": []}
    for _ in range(5):
        x = rng.uniform(-1, 1, 1_000)
        base = (
            (x <= -0.5) * 0.5 * (x + 2) ** 2
            + (x / 2 + 0.875) * ((x > -0.5) & (x < 0))
            + ((x > 0) & (x < 0.5)) * (-5 * (x - 0.2) ** 2 + 1.075)
            + (x > 0.5) * (x + 0.125)
        )
        frame = pd.DataFrame({"x": x, "t": (rng.random(1_000) < 0.1 + 0.8 * (x > 0)).astype(int)})
        y = pd.Series(base + rng.normal(size=1_000) * (0.2 - 0.1 * np.cos(2 * np.pi * x)), name="y")
        for name, model in (
            ("T", TLearner(**models)),
            ("X", XLearner(**models, final_model="splines")),
            ("R", RLearner(**models, final_model="splines")),
            ("DR", DRLearner(**models, final_model="splines")),
        ):
            errors[name].append(np.sqrt(np.mean(np.square(model.fit(frame, y, treatment="t").predict(frame)))))
    means = {name: np.mean(found) for name, found in errors.items()}
    assert means["DR"] < 0.8 * means["T"], means
    assert means["R"] < 0.9 * means["T"], means


def test_intervals_of_doubly_robust_instruments_cover():
    rng = np.random.default_rng(8)
    points = pd.DataFrame({"a": [-1.0, 0.0, 1.0], "b": [0.5, 0.0, -1.0]})
    models = dict.fromkeys(("outcome_model", "treatment_model", "instrument_model", "compliance_model"), "linear")
    inside = []
    for _ in range(DRAWS):
        n = 1_000
        X = pd.DataFrame(rng.uniform(-1, 1, size=(n, 2)), columns=["a", "b"])
        X["z"] = (rng.random(n) < 0.5).astype(int)
        hidden = rng.normal(size=n)
        X["d"] = np.where(rng.random(n) < 0.7 + 0.2 * X["b"], X["z"], (hidden > 0.3).astype(int))
        y = X["d"] * (1 + X["a"]) + X["b"] + hidden + 0.5 * rng.normal(size=n)
        table = trusting(DRIV(**models)).fit(X, y.rename("y"), treatment="d", instrument="z").effect(points).table
        truth = 1 + points["a"].to_numpy()
        inside.append(((table["conf_low"] <= truth) & (truth <= table["conf_high"])).to_numpy())
    assert np.abs(np.mean(inside, axis=0) - 0.95).max() < slack(DRAWS) + 0.01, np.mean(inside, axis=0)


def nie_wager(setting, rng, n):
    """Covariates, treatment, outcome and effect of a set-up of Nie and Wager (2021), section 4."""
    X = rng.uniform(size=(n, 6)) if setting == "A" else rng.normal(size=(n, 6))
    a, b, c, d, f = X[:, :5].T
    if setting == "A":
        e = np.clip(np.sin(np.pi * a * b), 0.1, 0.9)
        base, tau = np.sin(np.pi * a * b) + 2 * (c - 0.5) ** 2 + d + 0.5 * f, (a + b) / 2
    elif setting == "B":
        e, base = np.full(n, 0.5), np.maximum(np.maximum(a + b, c), 0) + np.maximum(d + f, 0)
        tau = a + np.log1p(np.exp(b))
    elif setting == "C":
        e, base, tau = 1 / (1 + np.exp(b + c)), 2 * np.log1p(np.exp(a + b + c)), np.ones(n)
    else:
        e = 1 / (1 + np.exp(-a) + np.exp(-b))
        base = (np.maximum(a + b + c, 0) + np.maximum(d + f, 0)) / 2
        tau = np.maximum(a + b + c, 0) - np.maximum(d + f, 0)
    t = (rng.random(n) < e).astype(int)
    return X, t, base + (t - 0.5) * tau + 0.5 * rng.normal(size=n), tau


def test_grouped_effects_cover_at_least_nominally():
    rng = np.random.default_rng(6)
    inside, draws = [], 25 if not FULL else 200
    learner = DRLearner(**ARMS, final_model="linear")
    for _ in range(draws):
        X, y = draw(rng, 500, effect=lambda X: np.ones(len(X)))  # every group's effect is 1, whoever is in it
        found = grouped_effects(learner, X, y, treatment="t", n_splits=5, groups=3, progress=False)
        groups = found.groups.iloc[:3]
        inside.append(((groups["conf_low"] <= 1) & (groups["conf_high"] >= 1)).to_numpy())
    assert np.mean(inside) > 0.93


def test_the_value_of_a_learned_policy_covers():
    rng = np.random.default_rng(5)
    draws = max(DRAWS // 2, 40)
    truth_of = {}
    inside = 0
    big, _ = draw(np.random.default_rng(9), 50_000)
    base = big[["a", "b"]].sum(axis=1).to_numpy()
    gain = 2 * big["a"].to_numpy()
    for k in range(draws):
        X, y = draw(rng, 600, effect=lambda X: 2 * X[:, 0])
        half = X.iloc[:300].assign(y=y[:300])
        rest = X.iloc[300:].assign(y=y[300:])
        call = {"treatment": "t", "outcome": "y", "covariates": list("abc"), **ARMS}
        tree = PolicyTree(1).fit(half[list("abc")], half.causal.scores(**call))
        value = rest.causal.policy_value(tree, **call)["policy"]
        truth_of[k] = float((base + gain * tree.codes(big[list("abc")])).mean())
        inside += value.conf_low <= truth_of[k] <= value.conf_high
    assert abs(inside / draws - 0.95) < slack(draws)


def test_bands_of_dose_curves_cover_uniformly():
    rng = np.random.default_rng(10)
    points = np.linspace(-1, 1, 9)
    truth = np.sin(points) + 0.5
    draws, inside, pointwise = max(DRAWS // 2, 50), 0, []
    model = DoseResponse(outcome_model="ridge", treatment_model="ridge", points=points, cv=3)
    for _ in range(draws):
        X = pd.DataFrame(rng.normal(size=(700, 2)), columns=["a", "b"])
        X["dose"] = 0.5 * X["a"] + rng.normal(size=700)
        y = np.sin(X["dose"]) + 0.5 + 0.7 * X["a"] + 0.5 * rng.normal(size=700)
        effect = trusting(clone(model)).fit(X, y.rename("y"), treatment="dose").effect()
        band = effect.interval(simultaneous=True)
        inside += bool(((band["conf_low"] <= truth) & (truth <= band["conf_high"])).all())
        table = effect.table
        pointwise.append(((table["conf_low"] <= truth) & (truth <= table["conf_high"])).mean())
    assert inside / draws > 0.95 - slack(draws) - 0.02, inside / draws
    assert np.mean(pointwise) > 0.92, np.mean(pointwise)


def test_quantile_effects_of_compliers_cover():
    rng = np.random.default_rng(11)
    quantiles = [0.25, 0.5, 0.75]

    def compliers(n):
        X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
        X["z"] = (rng.random(n) < 1 / (1 + np.exp(-0.5 * X["a"]))).astype(int)
        hidden, moved = rng.normal(size=n), rng.random(n) < 0.6
        X["d"] = np.where(moved, X["z"], (hidden > 0).astype(int))
        without = X["a"] + hidden + 0.5 * rng.normal(size=n)
        gain = 1 + 0.5 * hidden
        return X, without, gain, moved

    _, without, gain, moved = compliers(300_000)
    truth = np.quantile((without + gain)[moved], quantiles) - np.quantile(without[moved], quantiles)
    draws, inside = max(DRAWS // 4, 25), []
    models = dict.fromkeys(("outcome_model", "treatment_model", "instrument_model"), "ridge")
    for _ in range(draws):
        X, without, gain, _ = compliers(1_500)
        y = (without + gain * X["d"]).rename("y")
        model = trusting(LocalQuantileEffects(**models, quantiles=quantiles, cv=3))
        table = model.fit(X, y, treatment="d", instrument="z").effect().table
        inside.append(((table["conf_low"] <= truth) & (truth <= table["conf_high"])).to_numpy())
    assert np.mean(inside) > 0.95 - slack(3 * draws) - 0.01, np.mean(inside, axis=0)
