"""Designs whose truth is known, and estimators with a fault that a refuter should find."""

from dataclasses import replace

import numpy as np
import pandas as pd

import pandas_causal
from pandas_causal.inference.draws_and_variance import Variance

COVARIATES = ["a", "b", "c"]
ASKED = {"treatment": "t", "outcome": "y", "covariates": COVARIATES}


def rows(n=400, seed=0, hidden=0.0, bend=0.0):
    """Confounded arms, an effect of 1; `hidden` confounding nobody measured, `bend` a confounder that is not linear."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=COVARIATES)
    u = rng.normal(size=n)
    curved = np.square(frame["a"]) - 1
    frame["t"] = (rng.random(n) < 1 / (1 + np.exp(-0.8 * frame["a"] - hidden * u - bend * curved))).astype(int)
    frame["y"] = frame["t"] + frame["a"] + frame["b"] + hidden * u + bend * curved + rng.normal(size=n)
    frame["other_outcome"] = frame["a"] + hidden * u + rng.normal(size=n)
    frame["other_exposure"] = (frame["a"] + hidden * u + rng.logistic(size=n) > 0).astype(int)
    return frame


def panel(units=100, periods=8, seed=0, drift=0.0, serial=False):
    """Units treated in period 4 or 6, or never; `drift` parts the trends, `serial` makes shocks last."""
    rng = np.random.default_rng(seed)
    unit, time = np.repeat(np.arange(units), periods), np.tile(np.arange(periods), units)
    cohort = rng.choice([4.0, 6.0, np.nan], units, p=[0.3, 0.2, 0.5])
    shocks = rng.normal(size=(units, periods))
    shocks = shocks.cumsum(axis=1) if serial else shocks
    y = rng.normal(size=units)[unit] + 0.3 * time + shocks.ravel() + (time >= cohort[unit])
    y = y + drift * time * ~np.isnan(cohort[unit])
    return pd.DataFrame({"unit": unit, "time": time, "cohort": cohort[unit], "y": y})


def instrument(n=500, seed=0):
    """A treatment moved by z and by what moves the outcome."""
    rng = np.random.default_rng(seed)
    z, u, a = rng.normal(size=(3, n))
    t = z + u + rng.normal(size=n)
    return pd.DataFrame({"z": z, "a": a, "t": t, "y": t + u + a + rng.normal(size=n)})


def jump(n=800, seed=0, bumps=0.0):
    """A jump of 1 at 0; `bumps` is a step in the middle of the right side."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-1, 1, n)
    elsewhere = x >= np.quantile(x[x >= 0], 0.5)
    y = x + (x >= 0) + bumps * elsewhere + rng.normal(scale=0.5, size=n)
    return pd.DataFrame({"x": x, "y": y})


class TooSure(pandas_causal.RegressionAdjustment):
    """Standard errors half as large as they are."""

    def fit(self, X, y=None, *, treatment=None, cluster=None, sample_weight=None, propensity=None, missing="raise"):
        super().fit(
            X, y, treatment=treatment, cluster=cluster, sample_weight=sample_weight, propensity=propensity,
            missing=missing,
        )  # fmt: skip
        held = self.effect_.rows
        self.effect_ = replace(self.effect_, rows=replace(held, uncertainty=Variance(np.square(held.std_errors / 2))))
        return self

    def shared_refits(self):
        return None


class MakesUp(pandas_causal.RegressionAdjustment):
    """A quarter is added to every effect."""

    def fit(self, X, y=None, *, treatment=None, cluster=None, sample_weight=None, propensity=None, missing="raise"):
        super().fit(
            X, y, treatment=treatment, cluster=cluster, sample_weight=sample_weight, propensity=propensity,
            missing=missing,
        )  # fmt: skip
        held = self.effect_.rows
        self.effect_ = replace(self.effect_, rows=replace(held, values=held.values + 0.25))
        return self

    def shared_refits(self):
        return None


class Bends(pandas_causal.RegressionAdjustment):
    """The outcome is cut at its quartiles, so that estimates are not linear in it."""

    def fit(self, X, y=None, *, treatment=None, cluster=None, sample_weight=None, propensity=None, missing="raise"):
        low, high = np.quantile(y, [0.25, 0.75])
        return super().fit(
            X, y.clip(low, high), treatment=treatment, cluster=cluster, sample_weight=sample_weight,
            propensity=propensity, missing=missing,
        )  # fmt: skip

    def shared_refits(self):
        return None
