"""Two-stage least squares, 1,000,000 rows, 10 covariates, two instruments, robust; and with 10,000 absorbed levels.

``python benchmarks/instruments.py ours|linearmodels|pyfixest [absorbed]`` runs one side; without arguments all sides
are alternated and their ratios printed.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd
from measure import compare, job

ROWS = 1_000_000
COVARIATES = [f"x{j}" for j in range(10)]
ABSORBED = "absorbed" in sys.argv


def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(ROWS, 12)), columns=[*COVARIATES, "z1", "z2"])
    u = rng.normal(size=ROWS)
    x = frame[COVARIATES].to_numpy() @ np.linspace(-1, 1, 10)
    frame["d"] = 0.5 * frame["z1"] + 0.3 * frame["z2"] + x + u + rng.normal(size=ROWS)
    frame["y"] = frame["d"] + x + u + rng.normal(size=ROWS)
    if ABSORBED:
        frame["firm"] = rng.integers(0, 10_000, ROWS)
        frame["y"] += rng.normal(size=10_000)[frame["firm"]]
    return frame


def ours(frame: pd.DataFrame) -> list[float]:
    import pandas_causal

    effect = pandas_causal.causal(frame).iv(
        treatment="d", outcome="y", instrument=["z1", "z2"], covariates=COVARIATES, absorb="firm" if ABSORBED else None
    )
    return [effect.estimate, effect.std_error]


def linearmodels(frame: pd.DataFrame) -> list[float]:
    from linearmodels.iv import IV2SLS

    exogenous = frame[COVARIATES].assign(constant=1.0)
    fit = IV2SLS(frame["y"], exogenous, frame["d"], frame[["z1", "z2"]]).fit(cov_type="robust")
    return [float(fit.params["d"]), float(fit.std_errors["d"])]


def pyfixest(frame: pd.DataFrame) -> list[float]:
    import pyfixest as peer

    warnings.simplefilter("ignore")
    absorbed = " | firm" if ABSORBED else ""
    formula = f"y ~ {' + '.join(COVARIATES)}{absorbed} | d ~ z1 + z2"
    fit = peer.feols(formula, frame, vcov="hetero", lean=True, store_data=False)
    return [float(fit.coef()["d"]), float(fit.se()["d"])]


def report() -> None:
    for arguments, sides in (((), ("ours", "linearmodels", "pyfixest")), (("absorbed",), ("ours", "pyfixest"))):
        found = compare("instruments.py", sides, arguments=arguments)
        own = found["ours"]
        size = ROWS * (14 + bool(arguments)) * 8 / 2**20
        print(f"{' '.join(arguments) or 'no effects'}: input {size:.0f} MiB")
        for side, one in found.items():
            print(
                f"  {side}: {one['seconds']:.2f} s, {one['extra_mib']:.0f} MiB above the frame"
                f" ({one['extra_mib'] / size:.2f} of the input), {one['result']};"
                f" ours / {side} {own['seconds'] / one['seconds']:.3f}"
            )


if __name__ == "__main__":
    if len(sys.argv) == 1:
        report()
    else:
        side = {"ours": ours, "linearmodels": linearmodels, "pyfixest": pyfixest}[sys.argv[1]]
        job(data, lambda frame: side(frame.iloc[:20_000]), side)
