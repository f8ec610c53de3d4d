"""Empirical Bayes: many noisy estimates, each pulled towards their common mean."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Floats

__all__ = ["Shrunk", "empirical_bayes"]


class Shrunk(NamedTuple):
    """Posterior means and variances, the estimated common mean and the estimated variance of true effects."""

    mean: Floats
    variance: Floats
    centre: float
    spread: float


def empirical_bayes(estimates: Floats, variances: Floats, *, tolerance: float = 1e-12) -> Shrunk:
    """Shrink independent normal estimates towards their mean.

    Model: ``Y_i ~ N(theta_i, V_i)``, ``theta_i ~ N(mu, A)``. Morris's iteration estimates mu and A; the weight of the
    common mean is ``B_i = (m - 3) / (m - 1) * V_i / (V_i + A)`` and the variance allows for mu and A being estimated.

    Parameters
    ----------
    estimates, variances : ndarray (m,)
        At least four, with positive variances.

    References
    ----------
    Morris (1983), "Parametric empirical Bayes inference: theory and applications", JASA, section 5.
    """
    y, v = np.asarray(estimates, dtype=float), np.asarray(variances, dtype=float)
    m = len(y)
    if m < 4:
        raise CausalDataError(f"shrinkage needs at least 4 rows with a standard error, there are {m}")
    spread = max(float(np.var(y, ddof=1) - v.mean()), 0.0)
    for _ in range(1_000):
        weights = 1 / (v + spread)
        centre = float((weights * y).sum() / weights.sum())
        update = (weights * (m / (m - 1) * np.square(y - centre) - v)).sum() / weights.sum()
        previous, spread = spread, max(float(update), 0.0)
        if abs(spread - previous) <= tolerance * (spread + v.mean()):
            break
    weights = 1 / (v + spread)
    centre = float((weights * y).sum() / weights.sum())
    pull = (m - 3) / (m - 1) * v * weights
    mean_variance = (weights * v).sum() / weights.sum()
    leverage = m * weights / weights.sum()
    extra = 2 / (m - 3) * np.square(pull) * (mean_variance + spread) * weights
    variance = v * (1 - (m - leverage) / m * pull) + extra * np.square(y - centre)
    return Shrunk((1 - pull) * y + pull * centre, variance, centre, spread)
