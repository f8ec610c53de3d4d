"""Simultaneous band of a linear CATE over 1,000,000 rows, after the fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from measure import job

N = 1_000_000


def data(n: int = N):
    from pandas_causal import RegressionAdjustment

    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 10)), columns=[f"x{j}" for j in range(10)])
    d = rng.integers(0, 2, n)
    y = d * (1 + X["x0"]) + X.sum(axis=1) + rng.normal(size=n)
    return RegressionAdjustment().fit(X, y, treatment=d).effect(X)


def ours(effect) -> list[float]:
    band = effect.interval(simultaneous=True)
    return [float((band["conf_high"] - band["conf_low"]).mean() / 2 / effect.table["std_error"].mean())]


if __name__ == "__main__":
    job(data, lambda effect: (effect.table, ours(data(20_000))), ours)
