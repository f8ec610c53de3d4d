"""Discrete nodes: from an observed value to its noise and back, and what holds whatever the coupling.

A discrete node says only ``P(x | parents)``. A counterfactual needs more: how the value under other parents goes with
the value observed. That coupling is a choice which no data, experiments included, can test.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "argmax_values",
    "gumbel_posterior",
    "invert_cdf",
    "tian_pearl_bounds",
    "uniform_posterior",
]

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
_LEAST = 1e-300


def invert_cdf(probability: Floats, u: Floats) -> Codes:
    """Class (n,) whose interval of the cumulated probabilities (n, K) holds u (n,): the monotone coupling.

    With one u for every unit, a unit moves up the ordered classes wherever its distribution does.
    """
    edges = np.cumsum(probability[:, :-1], axis=1)
    return (u[:, None] >= edges).sum(axis=1)


def uniform_posterior(probability: Floats, codes: Codes, rng: np.random.Generator) -> Floats:
    """Draw u (n,) uniformly from the interval of the cumulated probabilities that gives the class observed."""
    n = len(codes)
    upper = np.cumsum(probability, axis=1)
    upper[:, -1] = 1.0
    high = upper[np.arange(n), codes]
    low = np.where(codes > 0, upper[np.arange(n), codes - 1], 0.0)
    u = low + rng.random(n) * (high - low)
    # u must fall strictly below the upper edge, or the class above would be returned
    return np.clip(u, low, np.nextafter(np.maximum(high, low), -1.0))


def argmax_values(probability: Floats, gumbel: Floats) -> Codes:
    """Class (n,) of largest ``log p + g`` for Gumbel noise (n, K): the Gumbel-max coupling."""
    with np.errstate(divide="ignore"):
        return np.argmax(np.log(probability) + gumbel, axis=1)


def gumbel_posterior(probability: Floats, codes: Codes, rng: np.random.Generator) -> Floats:
    """Draw Gumbel noise (n, K) given that the class observed was the largest.

    The largest of ``log p_k + g_k`` is a standard Gumbel T whichever class wins; the others are Gumbels truncated at T:
    ``-log(exp(-T) + E_k / p_k)`` with E_k standard exponential.

    References
    ----------
    Oberst and Sontag (2019), "Counterfactual off-policy evaluation with Gumbel-max structural causal models", ICML,
    section 3.3; Maddison, Tarlow and Minka (2014), "A* sampling", NeurIPS, for the truncated Gumbel.
    """
    n, K = probability.shape
    p = np.maximum(probability, _LEAST)
    top = rng.gumbel(size=n)
    shifted = -np.log(np.exp(-top)[:, None] + rng.standard_exponential((n, K)) / p)
    shifted[np.arange(n), codes] = top
    return shifted - np.log(p)


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
