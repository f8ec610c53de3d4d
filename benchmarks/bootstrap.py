"""1,000 bootstrap draws of a difference in means on 1,000,000 rows, beside a loop of 10 refits."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from measure import job

N = 1_000_000


def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    d = rng.integers(0, 2, N)
    return pd.DataFrame({"d": d, "y": d + rng.normal(size=N)})


def ours(frame: pd.DataFrame) -> list[float]:
    from pandas_causal import DifferenceInMeans, bootstrap

    effect = bootstrap(DifferenceInMeans(), frame[["d"]], frame["y"], treatment="d", n_draws=1_000)
    return [effect.estimate, effect.std_error]


def loop_of_10(frame: pd.DataFrame) -> list[float]:
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(10):
        means = frame.iloc[rng.integers(len(frame), size=len(frame))].groupby("d")["y"].mean()
        draws.append(means[1] - means[0])
    return [float(np.mean(draws)), float(np.std(draws))]


if __name__ == "__main__":
    side = {"ours": ours, "loop_of_10": loop_of_10}[sys.argv[1]]
    job(data, lambda frame: side(frame.iloc[:2_000]), side)
