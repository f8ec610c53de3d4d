"""Rows whose effects are known."""

import numpy as np
import pandas as pd

COVARIATES = ["a", "b", "c"]


def confounded(n=600, seed=0, noise=1.0, effect=lambda f: 1 + f["a"]):
    """Propensity and outcome move with a and b; the effect is a function of the frame."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=COVARIATES)
    e = 1 / (1 + np.exp(-0.7 * frame["a"] - 0.3 * frame["b"]))
    frame["t"] = (rng.random(n) < e).astype(int)
    frame["effect"] = effect(frame) * np.ones(n)
    frame["y"] = frame["a"] + frame["b"] + frame["t"] * frame["effect"] + noise * rng.normal(size=n)
    frame.index = pd.Index(np.arange(n) * 3 + 11, name="id")
    return frame


def dosed(n=600, seed=0):
    """A treatment that is a number, with an effect linear in a."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=COVARIATES)
    frame["price"] = 0.5 * frame["a"] + rng.normal(size=n)
    frame["effect"] = 1 + 0.5 * frame["a"]
    frame["y"] = frame["price"] * frame["effect"] + frame["b"] + rng.normal(size=n)
    return frame
