"""Discontinuities to test on, and rdrobust's answer to the same question."""

import contextlib
import io
import warnings

import numpy as np
import pandas as pd
import pytest

from tests.reference_data import REFERENCE


def senate():
    path = REFERENCE / "senate.csv"
    if not path.exists():
        pytest.skip("the Senate data are not there (PANDAS_CAUSAL_REFERENCE names their folder)")
    return pd.read_csv(path)


def make(n=800, seed=0, grid=None, one_sided=False):
    """A fuzzy design with covariates, weights and clusters; the outcome itself jumps too."""
    rng = np.random.default_rng(seed)
    x = 2 * rng.beta(2, 4, n) - 1
    if grid:
        x = np.round(x * grid) / grid
    z = rng.normal(size=(n, 2)) * [1, 0.5]
    z[:, 1] += 0.3 * x
    right = (x >= 0) * (rng.random(n) < (0.8 if one_sided else 0.5))
    treated = right + (x < 0) * (rng.random(n) < 0.1) * (not one_sided)
    y = 0.5 + 1.2 * x - 2 * x**2 + 0.8 * treated + z @ [0.5, -0.3] + rng.normal(size=n) * 0.3 * (1 + x**2)
    return pd.DataFrame(
        {
            "x": x,
            "y": y,
            "took": treated.astype(float),
            "dose": 0.3 + 0.5 * x + (x >= 0) * (0.6 + 6 * x) + rng.normal(size=n) * 0.1,
            "z1": z[:, 0],
            "z2": z[:, 1],
            "group": rng.integers(0, 60, n),
            "weight": rng.uniform(0.2, 2, n),
        }
    )


def rdrobust(
    frame, *, treatment=None, covariates=(), cluster=None, sample_weight=None, cutoff=0.0, bandwidth="mserd", **k
):
    """Conventional and bias-corrected estimate, conventional and robust error, h and b left and right."""
    peer = pytest.importorskip("rdrobust", reason="rdrobust, the peer, is not installed")
    names = {
        "order": "p",
        "bias_order": "q",
        "derivative": "deriv",
        "mass_points": "masspoints",
        "sharp_bandwidth": "sharpbw",
    }
    settings = {names.get(name, name): v for name, v in k.items() if name not in ("kernel", "bias_bandwidth")}
    if isinstance(bandwidth, str):
        settings["bwselect"] = bandwidth
    else:
        settings |= {"h": bandwidth, "b": k.get("bias_bandwidth")}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        out = peer.rdrobust(
            frame["y"].to_numpy(),
            frame["x"].to_numpy(),
            c=cutoff,
            fuzzy=None if treatment is None else frame[treatment].to_numpy(),
            covs=frame[list(covariates)].to_numpy() if len(covariates) else None,
            cluster=None if cluster is None else frame[cluster].to_numpy(),
            weights=None if sample_weight is None else frame[sample_weight].to_numpy(),
            kernel=k.get("kernel", "triangular")[:3],
            **settings,
        )
    coef, se = out.coef.iloc[:, 0], out.se.iloc[:, 0]
    return np.array([coef.iloc[0], coef.iloc[1], se.iloc[0], se.iloc[2], *out.bws.to_numpy().ravel()], dtype=float)


def ours(frame, **k):
    """The same eight numbers from ``df.causal.rdd``."""
    effect = frame.causal.rdd(running="x", outcome="y", **k)
    table = effect.diagnostics["inference"].table
    bands = effect.estimator.bandwidths_.iloc[0]
    return np.array(
        [
            effect.estimate,
            table.loc["robust", "estimate"],
            table.loc["conventional", "std_error"],
            effect.std_error,
            *bands[["h_left", "h_right", "b_left", "b_right"]],
        ]
    )
