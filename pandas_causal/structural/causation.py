"""Probabilities of causation: of necessity, of sufficiency, and both."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pandas_causal.kernels.arrays import Floats

__all__ = ["tian_pearl_bounds"]


def tian_pearl_bounds(joint: Floats, treated: float, untreated: float) -> pd.DataFrame:
    """Bounds on the probabilities of causation for binary treatment and outcome, whatever the coupling.

    Parameters
    ----------
    joint : ndarray (2, 2)
        ``joint[x, y] = P(X = x, Y = y)``, 1 meaning treated and event.
    treated, untreated : float
        ``P(Y = 1 | do(X = 1))`` and ``P(Y = 1 | do(X = 0))``.

    Returns
    -------
    DataFrame
        Rows PN (the event would not have happened without treatment, among treated with the event), PS (the event would
        have happened with treatment, among untreated without it) and PNS (both, of all); columns low, high.

    References
    ----------
    Tian and Pearl (2000), "Probabilities of causation: bounds and identification", Annals of Mathematics and Artificial
    Intelligence 28: the bounds from experimental and observational quantities together.
    """
    p_y = joint[:, 1].sum()
    both, neither = joint[1, 1], joint[0, 0]
    pns = (
        max(0.0, treated - untreated, p_y - untreated, treated - p_y),
        min(treated, 1 - untreated, both + neither, treated - untreated + joint[1, 0] + joint[0, 1]),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        pn = np.divide([p_y - untreated, 1 - untreated - neither], both)
        ps = np.divide([treated - p_y, treated - both], neither)
    rows = [np.clip(pn, 0.0, 1.0), np.clip(ps, 0.0, 1.0), np.clip(pns, 0.0, 1.0)]
    return pd.DataFrame(rows, index=pd.Index(["PN", "PS", "PNS"], name="probability"), columns=["low", "high"])
