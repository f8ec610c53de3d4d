"""Attributions over many draws: faults are found, input shifts stay where they are, intervals cover."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from pandas_causal import CausalGraph, StructuralModel
from pandas_causal.errors import CausalWarning
from tests.statistical.draws import FULL, slack
from tests.structural.chains import CHAIN, LINEAR, chain, wide

# who calls whom: a service waits for those it calls
CALLS = {
    "site": ["cart", "search", "login"],
    "cart": ["stock", "price", "session"],
    "search": ["index", "rank"],
    "login": ["session", "users"],
    "stock": ["database"],
    "price": ["database"],
    "users": ["database"],
    "index": ["disk"],
}
SERVICES = [
    "disk",
    "database",
    "session",
    "rank",
    "index",
    "users",
    "price",
    "stock",
    "login",
    "search",
    "cart",
    "site",
]
GRAPH = CausalGraph([(callee, service) for service, callees in CALLS.items() for callee in callees])


def latencies(n, rng, fault=None, size=0.0):
    """Milliseconds, gamma noise; a fault adds to one service's own time."""
    out = {}
    for service in SERVICES:
        own = rng.gamma(4.0, 5.0, n) + (size if service == fault else 0.0)
        out[service] = own + sum(out[callee] for callee in CALLS.get(service, []))
    return pd.DataFrame(out)


def reach(service):
    """How often a millisecond of a service is waited for by the site."""
    if service == "site":
        return 1
    return sum(reach(caller) for caller, callees in CALLS.items() if service in callees)


def found_first(draws, size, seed=0):
    """Share of faults, by service, whose culprit has the largest attribution; `size` in deviations of the site."""
    rng = np.random.default_rng(seed)
    right = dict.fromkeys(SERVICES, 0)
    normal = latencies(1_000, rng)
    spread = normal["site"].std()
    model = StructuralModel(GRAPH, dict.fromkeys(CALLS, "linear")).fit(normal)
    for service in SERVICES:
        rows = latencies(draws, rng, service, size * spread / reach(service))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CausalWarning)  # scores that are bounds
            table = model.attribute_anomaly(rows, "site", n_samples=500, tolerance=0.1, max_draws=32)
        right[service] = (wide(table["attribution"]).idxmax(axis=1) == service).mean()
    return pd.Series(right)


@pytest.mark.slow
def test_the_culprit_is_first_for_each_service():
    draws = 200 if FULL else 12
    share = found_first(draws, 4.0)
    assert share.mean() >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / (12 * draws))
    assert share.min() >= 0.8 - 3.5 * np.sqrt(0.8 * 0.2 / draws)


NUISANCES = {"regression_model": "linear", "ratio_model": "linear"}


@pytest.mark.slow
def test_a_shift_of_an_input_is_not_laid_on_a_mechanism():
    """X1 moves and nothing else: p-values of the other mechanisms, and of their tests, are below 5% in 5% of draws."""
    draws = 500 if FULL else 120
    rng = np.random.default_rng(1)
    robust, tests = [], []
    for _ in range(draws):
        old, new = chain(250, rng), chain(250, rng, mean=0.5)
        model = StructuralModel(CHAIN, LINEAR).fit(old)
        effect = model.attribute_change(old, new, "x3", form="robust", **NUISANCES)
        robust.append(effect.table.loc[["x2", "x3"], "p_value"])
        tests.append(effect.diagnostics["mechanism changes"].table.loc[["x2", "x3"], "p_value"])
    for p in (robust, tests):
        rate = (np.array(p) <= 0.05).mean(axis=0)
        assert (np.abs(rate - 0.05) < slack(draws, 0.05, 0.05)).all(), rate


def four_means(n, rng, wrong):
    """y = x^2 in both mechanisms, whose four means are known; one nuisance, or none, wrong."""
    old = pd.DataFrame({"x": rng.normal(size=n)})
    new = pd.DataFrame({"x": rng.normal(size=n) + 0.5})
    old["y"] = old["x"] ** 2 + rng.normal(size=n)
    new["y"] = 1.5 * new["x"] ** 2 + rng.normal(size=n)
    square = make_pipeline(PolynomialFeatures(2), LogisticRegression(C=1e6, max_iter=500))
    models = {
        "nothing": {"regression_model": QUADRATIC, "ratio_model": square},
        "regression": {"regression_model": DummyRegressor(), "ratio_model": square},
        "ratio": {"regression_model": QUADRATIC, "ratio_model": DummyClassifier()},
    }[wrong]
    model = StructuralModel("x -> y", {"y": lambda p: p["x"] ** 2}).fit(old)
    return model.attribute_change(old, new, "y", form="robust", **models)


def _quadratic():
    from sklearn.linear_model import LinearRegression

    return make_pipeline(PolynomialFeatures(2), LinearRegression())


QUADRATIC = _quadratic()
TRUTH = {"x": 0.5 * (0.25 + 0.375), "y": 0.5 * (0.5 + 0.625)}


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["nothing", "regression", "ratio"])
def test_the_robust_form_is_unbiased_and_covers(wrong):
    draws = 500 if FULL else 60
    rng = np.random.default_rng(2)
    rows = [four_means(300, rng, wrong).table for _ in range(draws)]
    for name, truth in TRUTH.items():
        found = np.array([t.loc[name, ["estimate", "conf_low", "conf_high"]] for t in rows], dtype=float)
        bias, error = found[:, 0].mean() - truth, found[:, 0].std(ddof=1) / np.sqrt(draws)
        assert abs(bias) < 4 * error, (name, bias, error)
        if wrong != "nothing":  # consistent, and no more: its errors take both nuisances for right
            continue
        covered = ((found[:, 1] <= truth) & (truth <= found[:, 2])).mean()
        assert abs(covered - 0.95) < slack(draws) + 0.01, (name, covered)


@pytest.mark.slow
def test_intervals_by_refits_cover_a_change():
    draws = 300 if FULL else 30
    rng = np.random.default_rng(3)
    inside = np.zeros(3)
    for _ in range(draws):
        old, new = chain(200, rng), chain(200, rng, mean=1.0, intercept=2.0, slope=4.0)
        table = StructuralModel(CHAIN, LINEAR).fit(old).attribute_change(old, new, "x3", n_draws=40).table
        inside += (table["conf_low"] <= [7, 7, 2]) & (table["conf_high"] >= [7, 7, 2])
    assert (np.abs(inside / draws - 0.95) < slack(draws) + 0.03).all()  # percentiles of 40 refits
