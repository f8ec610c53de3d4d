"""Simulated samples that several tests share."""

import numpy as np
import pandas as pd


def confounded(n=400, seed=0, arms=2, tau=1.0):
    """Three covariates that drive treatment and outcome, effects that vary with the first."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    if arms == 2:
        e = 1 / (1 + np.exp(-(0.3 + 0.6 * X["a"] - 0.4 * X["b"])))
        d = (rng.random(n) < e).astype(int).to_numpy()
    else:
        eta = np.column_stack([np.zeros(n), 0.2 + 0.5 * X["a"], -0.1 - 0.5 * X["b"] + 0.2 * X["c"]])
        p = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
        d = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    y = 2 + X["a"] + 0.5 * X["b"] ** 2 - X["c"] + tau * d * (1 + 0.5 * X["a"]) + rng.normal(size=n) * (1 + 0.5 * d)
    return X, y.rename("y"), d
