"""Print public numbers at full precision, as JSON: what `test_processors.py` runs under several processors' kernels."""

import json
import sys
import warnings

import numpy as np
import pandas as pd

import pandas_causal
from pandas_causal.inference.influence import square_root
from tests.contract.data import COVARIATES, ESTIMATORS, fitted, make


def graph_checks():
    """Nearly collinear features: squares, hinges and the scores that they are made of."""
    rng = np.random.default_rng(0)
    n = 2_000
    severity = rng.normal(size=n)
    site = rng.choice(["north", "south", "west"], n)
    medication = (rng.random(n) < 1 / (1 + np.exp(-severity))).astype(int)
    pressure = severity**2 - medication + (site == "west") + rng.normal(size=n)
    readmission = (rng.random(n) < 1 / (1 + np.exp(1 - pressure))).astype(int)
    columns = {"severity": severity, "site": site, "medication": medication, "pressure": pressure}
    df = pd.DataFrame({**columns, "readmission": readmission, "stay": 3 + readmission + rng.exponential(size=n)})
    graph = "severity -> medication -> pressure -> readmission -> stay; {} site -> pressure"
    right, wrong = (df.causal.check_graph(graph.format(arrow)) for arrow in ("severity -> pressure;", ""))
    linear = df[["severity", "medication", "pressure", "stay"]].assign(twin=2 * severity + 1)
    text = "severity -> medication -> pressure -> stay; twin -> medication; severity -> pressure; twin -> pressure"
    by_lines = linear.causal.check_graph(text, test="partial_correlation")
    return [p for check in (right, wrong, by_lines) for p in check.table["p_value"]]


def effects():
    """Estimates, errors and bands of every estimator on a cross-section, with columns that nearly repeat others."""
    frame = make(n=240, arms=3)
    frame["age_in_months"] = 12 * frame["age"] + 1e-6 * frame["severity"]
    out = {}
    for estimator in ESTIMATORS:
        effect = fitted(estimator, frame, covariates=[*COVARIATES, "age_in_months"]).effect()
        numbers = (
            effect.table[["estimate", "std_error", "p_value", "conf_low", "conf_high"]].to_numpy().ravel().tolist()
        )
        try:
            bands = effect.interval(simultaneous=True).to_numpy(dtype=float).ravel().tolist()
        except pandas_causal.errors.CausalError:
            bands = []
        out[type(estimator).__name__] = numbers + bands
    return out


def draws():
    """Critical values of rows that are all alike, whose covariance has eigenvalues that repeat."""
    out = []
    for k in (12, 33):
        root = square_root(np.eye(k) + 0.5)
        deviations = np.random.default_rng(0).standard_normal((1_000, k)) @ root.T
        out.append(float(np.quantile(np.abs(deviations).max(axis=1), 0.95)))
    return out


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found = {"check_graph": graph_checks()}
    if "all" in sys.argv:
        found |= {"draws": draws(), **effects()}
    print(json.dumps(found))
