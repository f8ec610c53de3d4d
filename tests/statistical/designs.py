"""Observational designs with known truth, easy and hard, for answers that are to be right by default.

Every function draws a sample of n rows: covariates, treatment, outcome, and what an oracle knows of every row: the mean
outcome in both arms and the propensity. The truth is the effect averaged over the population (a number), or, for the
treated and the controls, over a very large draw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

__all__ = ["DESIGNS", "Sample", "truth"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One draw.

    Attributes
    ----------
    X : DataFrame (n, p)
    t, y : ndarray (n,)
    means : ndarray (n, 2)
        Mean outcome of every row in both arms.
    e : ndarray (n,)
    cluster : ndarray (n,) or None
    """

    X: pd.DataFrame
    t: np.ndarray
    y: np.ndarray
    means: np.ndarray
    e: np.ndarray
    cluster: np.ndarray | None = None


def _frame(x: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(x, columns=[f"x{j}" for j in range(x.shape[1])])


def _sample(rng, X, e, mu, tau, noise=1.0, cluster=None) -> Sample:
    """Normal outcomes around ``mu + t tau``."""
    t = (rng.random(len(e)) < e).astype(int)
    means = np.column_stack([mu, mu + tau])
    y = means[np.arange(len(t)), t] + noise * rng.normal(size=len(t))
    return Sample(X if isinstance(X, pd.DataFrame) else _frame(X), t, y, means, e, cluster)


def nonlinear(rng, n):
    """Confounding through a sine, a square and a product; the propensity's square has tails without end."""
    x = rng.normal(size=(n, 10))
    return _sample(
        rng, x, expit(-x[:, 0] + 0.5 * x[:, 1] ** 2), np.sin(x[:, 0]) + x[:, 1] ** 2 + x[:, 2] * x[:, 3], 1.0
    )


def kang_schafer(rng, n, flip=False):
    """Kang and Schafer (2007), Statistical Science 22: four normals seen through nonlinear maps; no effect."""
    z = rng.normal(size=(n, 4))
    mu = 210 + 27.4 * z[:, 0] + 13.7 * z[:, 1:].sum(axis=1)
    push = -z[:, 0] + 0.5 * z[:, 1] - 0.25 * z[:, 2] - 0.1 * z[:, 3]
    x = np.column_stack([
        np.exp(z[:, 0] / 2), z[:, 1] / (1 + np.exp(z[:, 0])) + 10,
        (z[:, 0] * z[:, 2] / 25 + 0.6) ** 3, (z[:, 1] + z[:, 3] + 20) ** 2,
    ])  # fmt: skip
    return _sample(rng, x, expit(-push if flip else push), mu, 0.0)


def kang_schafer_reversed(rng, n):
    """The same with the arms exchanged."""
    return kang_schafer(rng, n, flip=True)


def nie_wager_a(rng, n):
    """Nie and Wager (2021), Biometrika 108, setup A: hard confounding, an easy effect."""
    x = rng.random((n, 6))
    b = np.sin(np.pi * x[:, 0] * x[:, 1]) + 2 * (x[:, 2] - 0.5) ** 2 + x[:, 3] + 0.5 * x[:, 4]
    e = np.clip(np.sin(np.pi * x[:, 0] * x[:, 1]), 0.1, 0.9)
    tau = (x[:, 0] + x[:, 1]) / 2
    return _sample(rng, x, e, b - tau / 2, tau)


def nie_wager_b(rng, n):
    """Setup B: a randomised trial with a hard outcome."""
    x = rng.normal(size=(n, 6))
    b = np.maximum.reduce([x[:, 0] + x[:, 1], x[:, 2], np.zeros(n)]) + np.maximum(x[:, 3] + x[:, 4], 0)
    tau = x[:, 0] + np.log1p(np.exp(x[:, 1]))
    return _sample(rng, x, np.full(n, 0.5), b - tau / 2, tau)


def nie_wager_c(rng, n):
    """Setup C: an easy propensity, a hard baseline, a constant effect."""
    x = rng.normal(size=(n, 6))
    b = 2 * np.log1p(np.exp(x[:, 0] + x[:, 1] + x[:, 2]))
    return _sample(rng, x, 1 / (1 + np.exp(x[:, 1] + x[:, 2])), b - 0.5, 1.0)


def nie_wager_d(rng, n):
    """Setup D: arms that have nothing in common."""
    x = rng.normal(size=(n, 6))
    one, two = np.maximum(x[:, 0] + x[:, 1] + x[:, 2], 0), np.maximum(x[:, 3] + x[:, 4], 0)
    tau = one - two
    return _sample(rng, x, 1 / (1 + np.exp(-x[:, 0]) + np.exp(-x[:, 1])), (one + two) / 2 - tau / 2, tau)


def sparse_linear(rng, n):
    """Fifty covariates of which five matter."""
    x = rng.normal(size=(n, 50))
    b = np.array([1, 0.8, 0.6, 0.4, 0.2])
    return _sample(rng, x, expit(x[:, :5] @ b * 0.6), x[:, :5] @ b[::-1], 1.0)


def rare_outcome(rng, n):
    """A 0/1 outcome of some four in a hundred."""
    x = rng.normal(size=(n, 5))
    e = expit(0.5 * x[:, 0] - 0.5 * x[:, 1])
    means = expit(np.column_stack([-3.6 + 0.6 * x[:, 0] + 0.3 * x[:, 2] ** 2 - 0.2] * 2) + [0, 0.5])
    t = (rng.random(n) < e).astype(int)
    y = (rng.random(n) < means[np.arange(n), t]).astype(float)
    return Sample(_frame(x), t, y, means, e)


def sign_interactions(rng, n):
    """Treatment and outcome follow the sign of a product: no main effect shows the way."""
    x = rng.normal(size=(n, 6))
    s = np.sign(x[:, 0] * x[:, 1])
    return _sample(rng, x, expit(s + 0.3 * x[:, 2]), 2 * s + x[:, 3], 1.0)


def smooth_additive(rng, n):
    """Smooth functions of single covariates."""
    x = rng.uniform(-2, 2, (n, 6))
    e = expit(0.8 * np.sin(1.5 * x[:, 0]) + 0.4 * x[:, 1] ** 2 - 0.6)
    return _sample(rng, x, e, np.cos(1.5 * x[:, 0]) + np.abs(x[:, 1]) + 0.5 * x[:, 2], 1 + 0.5 * x[:, 0])


def no_confounding(rng, n):
    """A coin, and an outcome that covariates explain."""
    x = rng.normal(size=(n, 8))
    return _sample(rng, x, np.full(n, 0.5), x[:, 0] + x[:, 1] * x[:, 2], 1.0)


def poor_overlap(rng, n):
    """Propensities within .01 of 0 and 1 are common."""
    x = rng.normal(size=(n, 5))
    return _sample(rng, x, expit(1.8 * x[:, 0] + 0.8 * x[:, 1]), x[:, 0] + x[:, 1] + 0.5 * x[:, 2], 1.0)


def many_levels(rng, n):
    """A category of thirty levels that moves treatment and outcome, beside two numbers."""
    g = rng.choice(30, n, p=np.arange(1, 31) / 465)
    of_level = np.random.default_rng(5).normal(size=(30, 2))
    x = rng.normal(size=(n, 2))
    X = _frame(x).assign(site=pd.Categorical([f"site {k}" for k in g]))
    e = expit(0.7 * of_level[g, 0] + 0.5 * x[:, 0])
    return _sample(rng, X, e, of_level[g, 0] + of_level[g, 1] + x[:, 0] + x[:, 1], 1.0)


def clustered(rng, n):
    """Schools of twenty pupils whose outcomes move together; treatment is drawn pupil by pupil."""
    g = np.arange(n) // 20
    school = rng.normal(size=(g[-1] + 1, 2))
    x = np.column_stack([school[g, 0], rng.normal(size=(n, 4))])
    own = 0.5 * school[g, 1]
    e = expit(0.6 * x[:, 0] + 0.5 * x[:, 1])
    return _sample(rng, x, e, x[:, 0] + x[:, 1] ** 2 + own, 1.0, cluster=g)


def _nhefs() -> pd.DataFrame:
    """Covariates of the NHEFS, complete rows, numbers standardised."""
    import pandas_causal

    frame = pandas_causal.datasets.load_nhefs()
    names = ["sex", "race", "age", "education", "smokeintensity", "smokeyrs", "exercise", "active", "wt71"]
    frame = frame[names].dropna()
    for name in ("age", "smokeintensity", "smokeyrs", "wt71"):
        frame[name] = (frame[name] - frame[name].mean()) / frame[name].std()
    return frame.reset_index(drop=True)


def acic(rng, n):
    """As in the ACIC 2016 competition: covariates of a real study (NHEFS, with replacement), responses made up."""
    X = _nhefs().sample(n, replace=True, random_state=int(rng.integers(2**31))).reset_index(drop=True)
    age, smoke, years, weight = (X[c].to_numpy(float) for c in ("age", "smokeintensity", "smokeyrs", "wt71"))
    woman = X["sex"].astype(str).isin(["1", "female", "woman"]).to_numpy()
    heavy = (X["exercise"].astype(str) == X["exercise"].astype(str).iloc[0]).to_numpy()
    e = expit(-0.4 + 0.6 * age - 0.5 * np.maximum(weight, 0) + 0.6 * woman * smoke - 0.5 * heavy)
    mu = age + np.exp(0.4 * weight) + 0.8 * woman * (smoke > 0) - 0.5 * years * heavy
    return _sample(rng, X, e, mu, 1 + 0.5 * (age > 0) + 0.3 * woman)


DESIGNS: dict[str, Callable[..., Sample]] = {
    f.__name__: f
    for f in (
        nonlinear, kang_schafer, kang_schafer_reversed, nie_wager_a, nie_wager_b, nie_wager_c, nie_wager_d,
        sparse_linear, rare_outcome, sign_interactions, smooth_additive, no_confounding, poor_overlap, many_levels,
        clustered, acic,
    )
}  # fmt: skip


def truth(design: str, estimand: str = "ATE") -> float:
    """Effect over the population, of everyone, the treated or the controls, from 2,000,000 rows."""
    rng, total, weight = np.random.default_rng(987654321), 0.0, 0.0
    for _ in range(10):
        s = DESIGNS[design](rng, 200_000)
        h = {"ATE": np.ones(len(s.e)), "ATT": s.e, "ATC": 1 - s.e}[estimand]
        total += float(h @ (s.means[:, 1] - s.means[:, 0]))
        weight += float(h.sum())
    return total / weight
