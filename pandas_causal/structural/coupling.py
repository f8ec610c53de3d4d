"""Discrete nodes: from an observed value to its noise and back, and what holds whatever the coupling.

A discrete node says only ``P(x | parents)``. A counterfactual needs more: how the value under other parents goes with
the value observed. That coupling is a choice which no data, experiments included, can test.
"""

from __future__ import annotations

import numpy as np

from pandas_causal.kernels.arrays import Floats, Positions

__all__ = ["argmax_values", "gumbel_posterior", "invert_cdf", "uniform_posterior"]

_LEAST = 1e-300


def invert_cdf(probability: Floats, u: Floats) -> Positions:
    """Class (n,) whose interval of the cumulated probabilities (n, K) holds u (n,): the monotone coupling.

    With one u for every unit, a unit moves up the ordered classes wherever its distribution does.
    """
    edges = np.cumsum(probability[:, :-1], axis=1)
    return (u[:, None] >= edges).sum(axis=1)


def uniform_posterior(probability: Floats, codes: Positions, rng: np.random.Generator) -> Floats:
    """Draw u (n,) uniformly from the interval of the cumulated probabilities that gives the class observed."""
    n = len(codes)
    upper = np.cumsum(probability, axis=1)
    upper[:, -1] = 1.0
    high = upper[np.arange(n), codes]
    low = np.where(codes > 0, upper[np.arange(n), codes - 1], 0.0)
    u = low + rng.random(n) * (high - low)
    # u must fall strictly below the upper edge, or the class above would be returned
    return np.clip(u, low, np.nextafter(np.maximum(high, low), -1.0))


def argmax_values(probability: Floats, gumbel: Floats) -> Positions:
    """Class (n,) of largest ``log p + g`` for Gumbel noise (n, K): the Gumbel-max coupling."""
    with np.errstate(divide="ignore"):
        return np.argmax(np.log(probability) + gumbel, axis=1)


def gumbel_posterior(probability: Floats, codes: Positions, rng: np.random.Generator) -> Floats:
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
