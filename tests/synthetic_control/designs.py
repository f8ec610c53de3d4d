"""Panels of a factor model, for tests of synthetic comparisons."""

import numpy as np
import pandas as pd
import pytest

from tests.reference_data import REFERENCE


def factor_panel(seed=0, *, n=20, n_periods=16, starts=(10,), effect=0.0, noise=0.5, alike=True, rank=2, drift=0.0):
    """Long frame: outcome, unit, time, treated, first. One treated unit for every entry of `starts`.

    With `alike` treated units are drawn as donors are; else their loadings lie at the donors' mean.
    """
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(n, rank))
    if not alike:
        loadings[: len(starts)] = 0.3 * loadings[: len(starts)]
    factors = np.cumsum(rng.normal(size=(rank, n_periods)), axis=1) if drift else rng.normal(size=(rank, n_periods))
    y = 10 + rng.normal(size=(n, 1)) + loadings @ factors + noise * rng.normal(size=(n, n_periods))
    first = np.full(n, np.inf)
    first[: len(starts)] = starts
    time = np.arange(n_periods)
    on = time >= first[:, None]
    y = y + effect * on
    return pd.DataFrame(
        {
            "outcome": y.ravel(),
            "unit": np.repeat([f"u{i:03d}" for i in range(n)], n_periods),
            "time": np.tile(time, n),
            "treated": on.ravel().astype(int),
            "first": np.repeat(first, n_periods),
        }
    )


ROLES = {"outcome": "outcome", "unit": "unit", "time": "time", "treatment": "treated"}


def ask(frame, **settings):
    return frame.causal.synthetic_control(**{**ROLES, **settings})


def california():
    """california_prop99, which reference data hold; the test is skipped without them."""
    path = REFERENCE / "california_prop99.csv"
    if not path.exists():
        pytest.skip("the data of California are not there (PANDAS_CAUSAL_REFERENCE names their folder)")
    return pd.read_csv(path, sep=";")


CALIFORNIA = {"outcome": "PacksPerCapita", "unit": "State", "time": "Year", "treatment": "treated"}
