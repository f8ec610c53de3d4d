"""AIPW with linear nuisances, five folds, 1,000,000 x 10, beside DoubleML's IRM with scikit-learn's linear models."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd
from measure import job

N = 1_000_000


def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 10)), columns=[f"x{j}" for j in range(10)])
    frame["d"] = (rng.random(N) < 1 / (1 + np.exp(-0.5 * frame["x0"]))).astype(float)
    frame["y"] = frame.iloc[:, :10].sum(axis=1) + frame["d"] + rng.normal(size=N)
    return frame


def ours(frame: pd.DataFrame) -> list[float]:
    from pandas_causal import AIPW

    model = AIPW(outcome_model="linear", propensity_model="linear")
    effect = model.fit(frame.drop(columns="y"), frame["y"], treatment="d").effect()
    return [effect.estimate, effect.std_error]


def doubleml(frame: pd.DataFrame) -> list[float]:
    from doubleml import DoubleMLData, DoubleMLIRM
    from sklearn.linear_model import LinearRegression, LogisticRegression

    warnings.simplefilter("ignore")
    model = DoubleMLIRM(DoubleMLData(frame, "y", "d"), LinearRegression(), LogisticRegression(), n_folds=5).fit()
    return [float(model.coef[0]), float(model.se[0])]


if __name__ == "__main__":
    side = {"ours": ours, "doubleml": doubleml}[sys.argv[1]]
    job(data, lambda frame: side(frame.iloc[:2_000]), side)
