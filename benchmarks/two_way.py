"""Two-way fixed effects, 10,000,000 rows (1,000,000 units, 10 periods; or as many units as asked), beside pyfixest."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd
from measure import job

UNITS = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
PERIODS = 10


def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    unit, time = np.repeat(np.arange(UNITS), PERIODS), np.tile(np.arange(PERIODS), UNITS)
    start = np.repeat(rng.choice([3, 5, 7, 99], UNITS), PERIODS)
    frame = pd.DataFrame({"unit": unit, "time": time, "d": (time >= start).astype(int)})
    frame["y"] = rng.normal(size=UNITS)[unit] + 0.1 * time + 0.5 * frame["d"] + rng.normal(size=len(frame))
    return frame


def ours(frame: pd.DataFrame) -> list[float]:
    import pandas_causal

    effect = pandas_causal.causal(frame).did(outcome="y", unit="unit", time="time", treatment="d", estimator="two_way")
    return [effect.estimate, effect.std_error]


def pyfixest(frame: pd.DataFrame) -> list[float]:
    import pyfixest as peer

    warnings.simplefilter("ignore")
    fit = peer.feols("y ~ d | unit + time", frame, vcov={"CRV1": "unit"}, lean=True, store_data=False)
    return [float(fit.coef()["d"]), float(fit.se()["d"])]


if __name__ == "__main__":
    side = {"ours": ours, "pyfixest": pyfixest}[sys.argv[1]]
    job(data, lambda frame: side(frame.iloc[:20_000]), side)
