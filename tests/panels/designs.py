"""Panels for tests: simulated staggered treatment, and mpdta where the reference data are at hand."""

import numpy as np
import pandas as pd
import pytest

from tests.reference_data import REFERENCE

ROLES = {"outcome": "y", "unit": "unit", "time": "time", "cohort": "cohort"}
MPDTA = {"outcome": "lemp", "unit": "countyreal", "time": "year", "cohort": "first.treat"}


def staggered(n=120, periods=6, seed=0, cohorts=(0, 3, 4, 5), effect=1.0, noise=1.0):
    """Units of several cohorts (0: never) in random order of rows, labels that are not positions.

    The effect is ``effect * (1 + event / 2) * (1 + [first cohort])``: it grows, and differs between cohorts. `site`
    holds five units each, `x` moves with cohort and trend.
    """
    rng = np.random.default_rng(seed)
    cohort = rng.permutation(np.resize(cohorts, n))
    x = rng.normal(size=n) + 0.3 * (cohort > 0)
    level, weight = rng.normal(size=n), rng.uniform(0.5, 2, n)
    unit, time = np.repeat(np.arange(n), periods), np.tile(np.arange(1, periods + 1), n)
    own = cohort[unit]
    event = time - own
    tau = np.where((own > 0) & (event >= 0), effect * (1 + event / 2) * (1 + (own == min(c for c in cohorts if c))), 0)
    y = level[unit] + 0.2 * time + 0.3 * x[unit] * time + tau + noise * rng.normal(size=len(unit))
    frame = pd.DataFrame(
        {
            "unit": [f"u{k:05d}" for k in unit],
            "time": time,
            "cohort": own.astype(float),
            "y": y,
            "x": x[unit],
            "site": unit // 5,
            "weight": weight[unit],
            "treated": ((own > 0) & (event >= 0)).astype(int),
            "tau": tau,
        },
        index=pd.Index(np.arange(len(unit)) * 3 + 7, name="row"),
    )
    return frame.sample(frac=1, random_state=seed)


def mpdta():
    """Teen employment of counties (Callaway and Sant'Anna 2021), or a skip with the reason."""
    path = REFERENCE / "mpdta.csv"
    if not path.exists():
        pytest.skip("mpdta.csv is not there (PANDAS_CAUSAL_REFERENCE names its folder)")
    return pd.read_csv(path)
