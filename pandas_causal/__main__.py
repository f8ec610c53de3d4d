"""``python -m pandas_causal``: the main job on bundled data; ``python -m pandas_causal warm`` compiles every kernel."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import pandas_causal
from pandas_causal.datasets import load_lalonde


def main() -> None:
    """Print the naive difference, the adjusted effect, its overlap and its balance."""
    df = load_lalonde()
    covariates = ["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75"]
    ask = pandas_causal.causal(df)
    naive = ask.association(treatment="treat", outcome="re78")
    adjusted = ask.ate(treatment="treat", outcome="re78", covariates=covariates)
    print("Job training (NSW, LaLonde 1986): earnings in 1978, dollars\n")
    print(naive.summary(), "\n")
    print(adjusted.summary(), "\n")
    print(pandas_causal.compare({"naive": naive, "adjusted": adjusted}).iloc[:, :6].round(3).to_string(), "\n")
    for name in ("overlap", "balance"):
        print(f"{name}: {adjusted.diagnostics[name]!r}\n")


def warm() -> None:
    """Ask every question that compiles kernels, on small data, so that later first calls find them on disk."""
    rng = np.random.default_rng(0)
    n, N, T = 3_300, 24, 10
    df = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "t": np.arange(n) % 3 == 0})
    df["y"] = df["x"] + df["t"] + rng.normal(size=n)
    some = pandas_causal.causal(df[:300])
    panel = pd.DataFrame({"i": np.repeat(np.arange(N), T), "t": np.tile(np.arange(1, T + 1), N)})
    panel["g"] = np.select([panel["i"] % 4 == 1, panel["i"] % 4 == 2], [6.0, 8.0], np.inf)
    panel["y"] = rng.normal(size=N * T) + panel["i"]
    panel["x"], panel["z"] = rng.normal(size=(2, N * T))
    one = panel[(panel["i"] == 1) | np.isinf(panel["g"])]
    # units seen four times each over 600 periods: too many levels to solve for the effects directly
    sparse = pd.DataFrame({"i": np.repeat(np.arange(2_000), 4)})
    sparse["t"] = sparse["i"] % 597 + np.tile(np.arange(4), 2_000)
    sparse["g"] = np.where(sparse["i"] % 2 == 0, sparse["i"] % 597 + 2, np.inf)
    sparse["y"] = rng.normal(size=len(sparse))
    # over a million rows a side, which all cores share
    many = pd.DataFrame(rng.normal(size=(2_100_000, 2)), columns=["x", "y"])
    ask, staggered, few = (pandas_causal.causal(frame) for frame in (df, panel, one))
    arms: dict[str, Any] = {"treatment": "t", "outcome": "y", "covariates": ["x", "z"]}
    units: dict[str, Any] = {"outcome": "y", "unit": "i", "time": "t", "cohort": "g"}
    questions: dict[str, Callable[[], object]] = {
        "rdd": lambda: ask.rdd(outcome="y", running="x", cutoff=0.0).summary(),
        "rdd of many rows": lambda: pandas_causal.causal(many).rdd(outcome="y", running="x", cutoff=0.0).summary(),
        "match": lambda: some.match(**arms),
        "match of many rows": lambda: ask.match(**arms),
        "match without replacement": lambda: some.match(**arms, replace=False),
        "match on every covariate": lambda: some.match(**arms, distance="mahalanobis", bias_adjust=True),
        "full matching": lambda: some.match(**arms, method="full"),
        "match within calipers": lambda: some.match(**arms, replace=False, order="closest", caliper=1.0),
        "did": lambda: staggered.event_study(**units).interval(simultaneous=True),
        "imputation": lambda: staggered.did(**units, estimator="imputation"),
        "two-way effects": lambda: staggered.did(**units, estimator="two_way").summary(),
        "two-way effects, unbalanced": lambda: pandas_causal.causal(panel[1:]).did(**units, estimator="imputation"),
        "two-way effects, sparse": lambda: pandas_causal.causal(sparse).did(**units, estimator="two_way"),
        "honest bounds": lambda: staggered.event_study(**units).sensitivity(),
        "honest bounds, smoothness": lambda: staggered.event_study(**units).sensitivity("smoothness"),
        "synthetic control": lambda: few.synthetic_control(**units, estimator="sc"),
        "synthetic control with predictors": lambda: few.synthetic_control(
            **units, estimator="sc", covariates=["x", "z"]
        ),
        "curves of a ranking": lambda: ask.uplift(
            treatment="t", outcome="y", score="x", propensity_model="ridge"
        ).diagnostics["curve"],
        "forest": lambda: (
            ask.cate(
                **arms, learner=pandas_causal.CausalForest(n_estimators=4, min_samples_leaf=5, progress=False)
            ).table
        ),
        "forest, read": lambda: (
            pandas_causal.CausalForest(n_estimators=4, min_samples_leaf=5, progress=False)
            .fit(df[["x", "z", "t"]], df["y"], treatment="t")
            .weights(df[["x", "z"]][:2]),
            pandas_causal.CausalForest(n_estimators=4, min_samples_leaf=5, progress=False)
            .fit(df[["x", "z", "t"]], df["y"], treatment="t")
            .variable_importance_,
        ),
        "policy tree": lambda: pandas_causal.PolicyTree(2).fit(
            df[["x", "z"]][:200], np.column_stack([df["x"], df["z"]])[:200]
        ),
        "band over many rows": lambda: (
            pandas_causal.RegressionAdjustment()
            .fit(df[["x", "z"]], df["y"], treatment=df["t"])
            .effect(df[["x", "z"]])
            .interval(simultaneous=True)
        ),
        "bootstrap": lambda: pandas_causal.bootstrap(
            pandas_causal.DifferenceInMeans(), df[["t"]], df["y"], treatment="t", n_draws=20
        ),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the data are noise
        for name, question in questions.items():
            start = time.perf_counter()
            question()
            print(f"{name}: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    if sys.argv[1:] == ["warm"]:
        warm()
    elif sys.argv[1:]:
        sys.exit(f"unknown: {' '.join(sys.argv[1:])}; usage: python -m pandas_causal [warm]")
    else:
        main()
