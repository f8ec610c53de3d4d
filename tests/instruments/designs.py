"""Samples with instruments that the tests of this chapter share."""

import numpy as np
import pandas as pd

COVARIATES = ["a", "b"]


def linear(n=400, q=3, seed=0, strength=0.6):
    """Two treatments, q instruments, two covariates; heteroskedastic errors; clusters, weights, levels to absorb."""
    rng = np.random.default_rng(seed)
    x, z, u = rng.normal(size=(n, 2)), rng.normal(size=(n, q)), rng.normal(size=n)
    frame = pd.DataFrame(x, columns=COVARIATES)
    names = [f"z{j + 1}" for j in range(q)]
    frame[names] = z + 0.3 * x[:, :1]
    pi = strength / np.arange(1, q + 1)
    frame["d"] = frame[names] @ pi + x @ [1.0, -0.5] + u + rng.normal(size=n)
    frame["d2"] = frame[names] @ (pi * np.where(np.arange(q) % 2, -1, 1)) + 0.5 * u + rng.normal(size=n)
    frame["y"] = 3 + frame["d"] - 0.5 * frame["d2"] + x @ [0.5, 1.0] + u * (1 + np.abs(x[:, 0])) + rng.normal(size=n)
    frame["g"], frame["h"] = rng.integers(0, 40, n), rng.integers(0, 25, n)
    frame["firm"], frame["year"] = rng.integers(0, 30, n), rng.integers(0, 6, n)
    frame["y"] += rng.normal(size=30)[frame["firm"]]
    frame["w"] = rng.uniform(0.5, 2, n)
    frame.index = pd.Index(np.arange(n) * 2 + 11, name="row")
    return frame


def take_up(n=1_000, seed=0, one_sided=False):
    """Binary instrument and treatment with compliers, always- and never-takers; take-up depends on a covariate."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    z = (rng.random(n) < 1 / (1 + np.exp(-0.6 * x[:, 0]))).astype(int)
    kind = rng.random(n) + 0.15 * x[:, 1]
    never, always = kind < 0.35, (kind > 1.0) & (not one_sided)
    d = np.where(never, 0, np.where(always, 1, z)).astype(int)
    frame = pd.DataFrame(x, columns=COVARIATES)
    effect = 1 + 0.5 * x[:, 1]
    frame["z"], frame["d"] = z, d
    frame["y"] = effect * d + x @ [1.0, 0.5] + 0.8 * never - 0.5 * always + rng.normal(size=n)
    frame["complier"] = ~never & ~always
    frame["effect"] = effect
    frame["site"] = rng.integers(0, 50, n)
    frame.index = pd.Index(np.arange(n) * 2 + 11, name="row")
    return frame
