"""One sample weight that outweighs all others leaves nothing to know a variance by: every design refuses it."""

import inspect

import numpy as np
import pandas as pd
import pytest

from pandas_causal import all_estimators
from pandas_causal.errors import CausalDataError
from tests.contract.data import COVARIATES, ESTIMATORS, NAMES, fitted, make

WORTH = r"sample_weight: the .* are worth 1\.0\d, because few of them outweigh the rest"
NUMBERS = [
    cls
    for cls in all_estimators()
    if getattr(cls, "treatments", "arms") != "arms" and "sample_weight" in inspect.signature(cls.fit).parameters
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=NAMES)
def test_every_estimator_on_arms(estimator):
    frame = make()
    heavy = frame.index[frame["medication"] == 1][0]
    frame["weight"] = np.where(frame.index == heavy, 1e6, 1.0)
    with pytest.raises(CausalDataError, match=WORTH):
        fitted(estimator, frame, covariates=COVARIATES, sample_weight="weight")


@pytest.mark.parametrize("estimator", ["callaway_santanna", "sun_abraham", "imputation", "two_way", "stacked"])
def test_panels(estimator):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"unit": np.repeat(np.arange(60), 5), "time": np.tile(np.arange(1, 6), 60)})
    frame["cohort"] = np.array([0, 3, 4])[frame["unit"] % 3]
    frame["y"] = rng.normal(size=300)
    frame["w"] = np.where(frame["unit"] == 1, 1e6, 1.0)
    with pytest.raises(CausalDataError, match=r"units first treated in 3 are worth"):
        frame.causal.did(unit="unit", time="time", cohort="cohort", outcome="y", sample_weight="w", estimator=estimator)


def test_discontinuity():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.uniform(-1, 1, 400), "w": 1.0})
    frame["y"] = frame["x"] + rng.normal(size=400)
    frame.loc[frame.index[frame["x"] > 0][0], "w"] = 1e6
    with pytest.raises(CausalDataError, match="rows from the cutoff on are worth 1"):
        frame.causal.rdd(outcome="y", running="x", cutoff=0.0, sample_weight="w")


@pytest.mark.parametrize("cls", NUMBERS, ids=[cls.__name__ for cls in NUMBERS])
def test_treatments_that_are_numbers(cls):
    if "running" in inspect.signature(cls.fit).parameters:
        pytest.skip("above, by side of the cutoff")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 3)), columns=["x", "z", "e"])
    frame["d"] = frame["z"] + frame["x"] + rng.normal(size=200)
    frame["y"] = frame["d"] + frame["e"]
    frame["w"] = np.where(frame.index == 3, 1e7, 1.0)
    takes = inspect.signature(cls.fit).parameters
    roles = {"instrument": "z"} if "instrument" in takes else {}
    with pytest.raises(CausalDataError, match=r"sample_weight: the 200 rows are worth 1\.00"):
        cls().fit(frame[["x", "z", "d", "w"]], frame["y"], treatment="d", sample_weight="w", **roles)
