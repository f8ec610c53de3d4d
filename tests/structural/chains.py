"""Worlds whose attributions are known by hand."""

import numpy as np
import pandas as pd

from pandas_causal import StructuralModel

CHAIN = "x1 -> x2 -> x3"
KNOWN = {"x2": lambda p: 2 * p["x1"], "x3": lambda p: 3 * p["x2"]}
LINEAR = {"x2": "linear", "x3": "linear"}


def exact_noise(n, k, seed):
    """Columns of mean 0, variance 1 and covariance 0 to the last digit, so that sample answers are those of the law."""
    u = np.random.default_rng(seed).normal(size=(n, k))
    u -= u.mean(axis=0)
    return u @ np.linalg.inv(np.linalg.cholesky(u.T @ u / n)).T


def exact_chain(n=200, seed=0, *, mean=0.0, intercept=0.0, slope=3.0):
    """X1 -> X2 -> X3 with coefficients 2 and `slope` and unit noises."""
    u = exact_noise(n, 3, seed)
    x1 = u[:, 0] + mean
    x2 = 2 * x1 + intercept + u[:, 1]
    return pd.DataFrame({"x1": x1, "x2": x2, "x3": slope * x2 + u[:, 2]})


def chain(n, rng, *, mean=0.0, intercept=0.0, slope=3.0):
    """The same with noises that are drawn."""
    u = rng.normal(size=(n, 3))
    x1 = u[:, 0] + mean
    x2 = 2 * x1 + intercept + u[:, 1]
    return pd.DataFrame({"x1": x1, "x2": x2, "x3": slope * x2 + u[:, 2]})


def mixed(n, seed=0, *, shift=0.0):
    """Levels, a binary node, a number and a binary target."""
    rng = np.random.default_rng(seed)
    a = rng.choice(["u", "v", "w"], n)
    b = (rng.random(n) < np.where(a == "u", 0.2, 0.7)).astype(int)
    x = 2 * b + (a == "w") + shift + rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(-x))).astype(int)
    return pd.DataFrame({"a": a, "b": b, "x": x, "y": y})


MIXED = "a -> b -> x -> y; a -> x"


def known_chain(df):
    return StructuralModel(CHAIN, KNOWN).fit(df)


def wide(values):
    """Rows by nodes."""
    return values.unstack(sort=False)  # noqa: PD010 - a Series has no pivot_table
