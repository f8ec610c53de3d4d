"""Root-mean-square error of effects of rows, ours and EconML's learners with the same base models.

IHDP: the covariates and treatment of the simulated file that EconML ships, outcomes of Hill's (2011) surfaces A and B;
set-ups A to D of Nie and Wager (2021); Kennedy's (2023) design, no effect beside a rough outcome; and an ACIC-like
one: 25 covariates, targeted selection, an effect with a threshold. ``python benchmarks/effect_learners.py 5`` draws 5
of each and prints the table.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Draw = tuple[Floats, NDArray[np.int64], Floats, Floats]  # covariates, treatment, outcome, effect


def ihdp(surface: str) -> Callable[[np.random.Generator], Draw]:
    def draw(rng: np.random.Generator) -> Draw:
        from econml.data.dgps import ihdp_surface_A, ihdp_surface_B

        seed = int(rng.integers(2**31 - 1))
        y, t, X, effect = {"A": ihdp_surface_A, "B": ihdp_surface_B}[surface](random_state=seed)
        return np.asarray(X, dtype=float), np.asarray(t, dtype=np.int64).ravel(), np.ravel(y), np.ravel(effect)

    return draw


def nie_wager(setting: str, n: int = 1_000) -> Callable[[np.random.Generator], Draw]:
    def draw(rng: np.random.Generator) -> Draw:
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
        t = (rng.random(n) < e).astype(np.int64)
        return X, t, base + (t - 0.5) * tau + rng.normal(size=n), tau

    return draw


def kennedy(rng: np.random.Generator, n: int = 1_000) -> Draw:
    """One covariate: an outcome that is piecewise polynomial, a propensity of 0.1 or 0.9, no effect."""
    x = rng.uniform(-1, 1, n)
    base = (
        (x <= -0.5) * 0.5 * (x + 2) ** 2
        + (x / 2 + 0.875) * ((x > -0.5) & (x < 0))
        + ((x > 0) & (x < 0.5)) * (-5 * (x - 0.2) ** 2 + 1.075)
        + (x > 0.5) * (x + 0.125)
    )
    t = (rng.random(n) < 0.1 + 0.8 * (x > 0)).astype(np.int64)
    return x[:, None], t, base + rng.normal(size=n) * (0.2 - 0.1 * np.cos(2 * np.pi * x)), np.zeros(n)


def acic(rng: np.random.Generator, n: int = 1_000) -> Draw:
    """Selection on the expected outcome, and an effect with a threshold."""
    X = np.hstack([rng.normal(size=(n, 15)), rng.integers(0, 2, size=(n, 10))]).astype(float)
    base = X[:, 0] + 0.5 * X[:, 1] ** 2 + X[:, 15] * X[:, 2] + np.sin(X[:, 3])
    tau = 0.5 + (X[:, 0] > 0) + 0.5 * X[:, 16]
    e = 0.1 + 0.8 / (1 + np.exp(-(base - base.mean())))
    t = (rng.random(n) < e).astype(np.int64)
    return X, t, base + t * tau + rng.normal(size=n), tau


DESIGNS: dict[str, Callable[[np.random.Generator], Draw]] = {
    "IHDP A": ihdp("A"), "IHDP B": ihdp("B"), **{f"NW {s}": nie_wager(s) for s in "ABCD"}, "Kennedy": kennedy,
    "ACIC-like": acic,
}  # fmt: skip


def ours(X: pd.DataFrame, t: NDArray[np.int64], y: Floats) -> Iterator[tuple[str, Floats]]:
    import pandas_causal as pc

    arms = {"outcome_model": "boosting", "propensity_model": "ridge"}
    means = {"outcome_model": "boosting", "treatment_model": "ridge"}
    learners: dict[str, Any] = {
        "SLearner": pc.SLearner(**arms), "TLearner": pc.TLearner(**arms),
        "XLearner": pc.XLearner(**arms, final_model="boosting"),
        "RLearner": pc.RLearner(**arms, final_model="boosting"),
        "DRLearner": pc.DRLearner(**arms, final_model="boosting"),
        "DRLearner, linear": pc.DRLearner(**arms, final_model="linear"), "LinearDML": pc.LinearDML(**means),
        "NonparametricDML": pc.NonparametricDML(**means, final_model="boosting"), "KernelDML": pc.KernelDML(**means),
        "CausalStack": pc.CausalStack(**arms, cv=3),
        "DRLearner, as it comes": pc.DRLearner(), "RLearner, as it comes": pc.RLearner(),
    }  # fmt: skip
    frame, outcome = X.assign(t=t), pd.Series(y, name="y")
    for name, learner in learners.items():
        yield name, learner.fit(frame, outcome, treatment="t").predict(X)


def peers(X: pd.DataFrame, t: NDArray[np.int64], y: Floats) -> Iterator[tuple[str, Floats]]:
    from econml.dml import CausalForestDML, KernelDML, LinearDML, NonParamDML
    from econml.dr import DRLearner
    from econml.metalearners import SLearner, TLearner, XLearner
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    tree = HistGradientBoostingRegressor(max_iter=60, max_leaf_nodes=8, early_stopping=False, random_state=0)
    logit = make_pipeline(StandardScaler(), LogisticRegression())
    double = {"model_y": tree, "model_t": logit, "discrete_treatment": True, "cv": 5, "random_state": 0}
    learners: dict[str, Any] = {
        "SLearner": SLearner(overall_model=tree), "TLearner": TLearner(models=tree),
        "XLearner": XLearner(models=tree, cate_models=tree, propensity_model=logit),
        "RLearner": NonParamDML(**double, model_final=tree),
        "DRLearner": DRLearner(model_propensity=logit, model_regression=tree, model_final=tree, cv=5, random_state=0),
        "LinearDML": LinearDML(**double),
        "KernelDML": KernelDML(**double),
        "CausalForestDML": CausalForestDML(**double),
    }  # fmt: skip
    values = X.to_numpy()
    for name, learner in learners.items():
        yield f"{name} (EconML)", np.ravel(learner.fit(y, t, X=values).effect(values))


def main(draws: int) -> None:
    warnings.simplefilter("ignore")
    errors: dict[tuple[str, str], list[float]] = {}
    for design, draw in DESIGNS.items():
        rng = np.random.default_rng(0)
        for _ in range(draws):
            X, t, y, tau = draw(rng)
            frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
            for side in (ours, peers):
                for name, found in side(frame, t, y):
                    error = float(np.sqrt(np.mean(np.square(found - tau))))
                    errors.setdefault((name, design), []).append(error)
    print("| learner | " + " | ".join(DESIGNS) + " |\n| --- |" + " --- |" * len(DESIGNS))
    for name in dict.fromkeys(name for name, _ in errors):
        print(f"| {name} | " + " | ".join(f"{np.mean(errors[name, design]):.2f}" for design in DESIGNS) + " |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
