"""A sharp discontinuity, 1,000,000 rows (or as many as the second argument says), beside rdrobust."""

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
    x = rng.normal(size=N)
    return pd.DataFrame({"x": x, "y": np.sin(x) + 0.5 * (x >= 0) + 0.3 * rng.normal(size=N)})


def ours(frame: pd.DataFrame) -> list[float]:
    import pandas_causal

    effect = pandas_causal.causal(frame).rdd(running="x", outcome="y")
    return [effect.estimate, effect.bias[0], effect.std_error, effect.facts["h_left"]]


def rdrobust(frame: pd.DataFrame) -> list[float]:
    from rdrobust import rdrobust as peer

    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        out = peer(frame["y"].to_numpy(), frame["x"].to_numpy())
    coef = out.coef.iloc[:, 0]
    return [coef.iloc[0], coef.iloc[0] - coef.iloc[1], out.se.iloc[2, 0], out.bws.iloc[0, 0]]


if __name__ == "__main__":
    side = {"ours": ours, "rdrobust": rdrobust}[sys.argv[1]]
    job(data, lambda frame: side(frame.iloc[:20_000]), side)
