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


def front_door(rng, n, *, arms=2, square=False):
    """x drives treatment, mediators and outcome; treatment and outcome share causes nobody measured.

    The hidden cause is drawn after treatment, which gives the joint law of one before it: then the arms are exactly
    logistic in x and in (x, mediators), and outcomes linear in (x, mediators) within arms. With `square` all four also
    hold the square of x. Returns the frame (x, square, d, m1, m2), y, and the effects.
    """
    x = rng.normal(size=n)
    s = np.minimum(x**2, 4) if square else np.zeros(n)
    eta = np.column_stack([np.zeros(n), 0.5 * x + 0.4 * s - 0.4 * square, -0.3 - 0.3 * x][:arms])
    p = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    d = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    push = np.array([0.0, 0.5, -0.3])[d]
    m1 = push + 0.5 * x + 0.5 * s + rng.normal(size=n)
    m2 = push + 0.3 * m1 - 0.3 * x + rng.normal(size=n)
    hidden = 1.5 * d + rng.normal(size=n)
    y = m1 + 0.7 * m2 + 0.5 * x + s + hidden + rng.normal(size=n)
    effects = [p + 0.7 * (p + 0.3 * p) for p in (0.5, -0.3)][: arms - 1]
    return pd.DataFrame({"x": x, "square": s, "d": d, "m1": m1, "m2": m2}), y, effects
