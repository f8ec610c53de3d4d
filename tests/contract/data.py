"""One small frame with confounding, good overlap and every kind of column, and the fits the contract tests share."""

import warnings

import numpy as np
import pandas as pd

import pandas_causal
from tests.contract.twins import cross_sectional, fast

ESTIMATORS = [fast(cls) for cls in cross_sectional()]
NAMES = [type(estimator).__name__ for estimator in ESTIMATORS]
COVARIATES = ["age", "severity", "region"]
# these draw folds; the others are the same whatever the seed
CROSS_FITTED = [estimator for estimator in ESTIMATORS if estimator.get_params().get("cv") is not None]
# closed-form, to the rounding of the machine
DETERMINISTIC = [
    cls()
    for cls in (
        pandas_causal.IPW,
        pandas_causal.RegressionAdjustment,
        pandas_causal.EntropyBalancing,
        pandas_causal.CovariateBalancingPropensity,
        pandas_causal.StableBalancing,
    )
] + [cls(outcome_model="linear", propensity_model="linear") for cls in (pandas_causal.AIPW, pandas_causal.TMLE)]
DETERMINISTIC += [
    pandas_causal.RegressionAdjustment(interactions=False),
    pandas_causal.RegressionAdjustment(interactions=["age"]),
    pandas_causal.RegressionAdjustment(interactions=False, formula="age + severity * region"),
]
TABLE = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"]


def make(n=120, seed=3, arms=2):
    """Rows in random order of treatment, unique labels that are not positions."""
    rng = np.random.default_rng(seed)
    age, severity = rng.normal(50, 10, n), rng.normal(size=n)
    region = rng.choice(["north", "south", "west"], n)
    push = 0.03 * (age - 50) + 0.4 * severity
    medication = (push + rng.logistic(size=n) > 0).astype(int)
    if arms > 2:
        medication = np.where(rng.random(n) < 1 / 3, 2, medication)
    recovery = 2.0 * medication + 0.05 * age - severity + (region == "west") + rng.normal(size=n)
    return pd.DataFrame(
        {
            "age": age,
            "severity": severity,
            "region": region,
            "medication": medication,
            "site": np.arange(n) % 12,
            "weight": rng.integers(1, 4, n).astype(float),
            "recovery": recovery,
        },
        index=pd.Index(np.arange(n) * 7 + 100, name="patient"),
    )


def fitted(estimator, frame=None, outcome="recovery", covariates=COVARIATES, treatment="medication", **roles):
    """A fitted clone, on names."""
    from sklearn.base import clone

    frame = make() if frame is None else frame
    taken = [name for name in roles.values() if isinstance(name, str) and name in frame]
    with warnings.catch_warnings():
        # the small samples of this folder have curved outcomes and linear models
        warnings.filterwarnings("ignore", ".*corrected for it the answer moves")
        return clone(estimator).fit(
            frame[[*covariates, treatment, *taken]], frame[outcome], treatment=treatment, **roles
        )


def numbers(estimator, *args, **roles):
    """Estimates and standard errors of one fit."""
    return fitted(estimator, *args, **roles).effect().table[["estimate", "std_error"]].to_numpy()
