"""Entropy balancing, 1,000,000 x 20, beside one logistic regression on the same data and beside ebal.

The solvers alone ("tilt", "logistic": arrays in, coefficients out) and the whole fits ("ours", "ipw": checks, errors,
overlap). ebal is given 100,000 rows (second argument), since it takes several matrices of all rows.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings

import numpy as np
import pandas as pd
from measure import job

N = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000


def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 20)), columns=[f"x{j}" for j in range(20)])
    push = 0.5 * frame["x0"] - 0.3 * frame["x1"] + 0.2 * frame["x2"] * frame["x3"]
    frame["d"] = (rng.random(N) < 1 / (1 + np.exp(-push))).astype(int)
    frame["y"] = frame.iloc[:, :20].sum(axis=1) + frame["d"] + rng.normal(size=N)
    return frame


def ours(frame: pd.DataFrame) -> list[float]:
    from pandas_causal import EntropyBalancing

    effect = EntropyBalancing(estimand="ATT").fit(frame.drop(columns="y"), frame["y"], treatment="d").effect()
    return [effect.estimate, effect.std_error]


def ipw(frame: pd.DataFrame) -> list[float]:
    from pandas_causal import IPW

    effect = IPW(estimand="ATT").fit(frame.drop(columns="y"), frame["y"], treatment="d").effect()
    return [effect.estimate, effect.std_error]


def tilt(frame: pd.DataFrame) -> list[float]:
    from pandas_causal.adjustment.balancing_weights import entropy_weights
    from pandas_causal.models.linear import StandardisedMatrix

    d = frame["d"].to_numpy()
    design = StandardisedMatrix.of(frame.iloc[:, :20].to_numpy())
    treated, controls = np.flatnonzero(d == 1), np.flatnonzero(d == 0)
    target = np.mean([z.mean(axis=0) for z in np.array_split(design.rows(treated), 100)], axis=0)
    found = entropy_weights(design, controls, np.ones(len(controls)), target, float(len(treated)), np.ones(20))
    return found.coefficients[:3].tolist()


def logistic(frame: pd.DataFrame) -> list[float]:
    from pandas_causal.models.linear import StandardisedMatrix, fit_logistic

    fit = fit_logistic(StandardisedMatrix.of(frame.iloc[:, :20].to_numpy()), frame["d"].to_numpy(), 2)
    return fit.coefficients[-1, 0, :3].tolist()


def ebal(frame: pd.DataFrame) -> list[float]:
    from ebal import ebal_bin

    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        out = ebal_bin(effect="ATT", constraint_tolerance=1e-8).ebalance(
            frame["d"].to_numpy(), frame.iloc[:, :20].to_numpy(), frame["y"].to_numpy()
        )
    return [float(out["wls"].params[1])]


if __name__ == "__main__":
    side = {"ours": ours, "ipw": ipw, "tilt": tilt, "logistic": logistic, "ebal": ebal}[sys.argv[1]]
    job(data, lambda frame: side(frame.iloc[:20_000]), side)
