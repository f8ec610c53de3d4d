"""LinearDML with linear nuisances, five folds, 1,000,000 x 20, and the effect of every row with its interval, beside
EconML with scikit-learn's linear models: ``python benchmarks/double_ml.py ours fit`` (or ``effects``)."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from measure import job

N = 1_000_000
COVARIATES = [f"x{j}" for j in range(20)]


def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 20)), columns=COVARIATES)
    frame["t"] = (rng.random(N) < 1 / (1 + np.exp(-0.5 * frame["x0"]))).astype(int)
    frame["y"] = frame["x1"] + frame["t"] * (1 + frame["x0"]) + rng.normal(size=N)
    return frame


def fitted(side: str, frame: pd.DataFrame) -> Any:
    if side == "ours":
        from pandas_causal import LinearDML

        model = LinearDML(outcome_model="linear", treatment_model="linear")
        return model.fit(frame.drop(columns="y"), frame["y"], treatment="t")
    from econml.dml import LinearDML as Peer
    from sklearn.linear_model import LinearRegression, LogisticRegression

    warnings.simplefilter("ignore")
    model = Peer(
        model_y=LinearRegression(), model_t=LogisticRegression(C=np.inf), discrete_treatment=True, cv=5, random_state=0
    )
    return model.fit(frame["y"].to_numpy(), frame["t"].to_numpy(), X=frame[COVARIATES].to_numpy())


def effects(side: str, model: Any, frame: pd.DataFrame) -> float:
    """Effect, error and interval of every row; the second time, when memory for them was had before."""
    if side == "ours":
        return float(model.effect(frame).table["std_error"].mean())
    found = model.effect_inference(frame[COVARIATES].to_numpy())
    found.conf_int(), found.pvalue(), found.zstat()
    return float(np.mean(found.stderr))


def main(side: str, what: str) -> None:
    if what == "fit":
        run: Callable[[Any], Any] = lambda frame: fitted(side, frame) and None  # noqa: E731
        job(data, lambda frame: fitted(side, frame.iloc[:5_000]), run)
        return

    def prepare() -> tuple[Any, pd.DataFrame]:
        frame = data()
        return fitted(side, frame), frame

    job(prepare, lambda pair: effects(side, *pair), lambda pair: effects(side, *pair))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "fit")
