"""Conformal tests of an effect: refit under the hypothesis, compare residuals after treatment with those before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pandas_causal.kernels.arrays import Floats
from pandas_causal.synthetic_control.augmented import ridge_step
from pandas_causal.synthetic_control.simplex import simplex_weights

__all__ = ["Proxy", "block_statistics", "conformal_p_value"]


@dataclass(frozen=True)
class Proxy:
    """How the counterfactual is refitted on all periods under the hypothesis.

    Attributes
    ----------
    kind : {"simplex", "difference", "ridge"}
        Simplex weights on outcomes, the donors' mean with an intercept, or ridge-augmented simplex weights.
    ridge : float
        Of "ridge", fixed.
    """

    kind: str
    ridge: float = 0.0

    def residuals(self, treated: Floats, donors: Floats) -> Floats:
        """Residuals (T,) of the treated path, its hypothesised effect taken out, beside donors (n, T)."""
        if self.kind == "difference":
            gap = treated - donors.mean(axis=0)
            return gap - gap.mean()
        mean = donors.mean(axis=0)
        X, y = donors - mean, treated - mean
        residual = y - simplex_weights(X, y) @ X
        return residual - ridge_step(X, residual, self.ridge) @ X if self.kind == "ridge" else residual


def block_statistics(residuals: Floats, n_after: int) -> Floats:
    """Mean absolute residual of the last `n_after` periods under every cyclic shift in time; the first is as observed.

    References
    ----------
    Chernozhukov, Wuthrich and Zhu (2021), JASA 116, eq. (6) with q = 1 and moving-block permutations.
    """
    size = np.abs(residuals)
    doubled = np.concatenate([size, size])
    sums = np.convolve(doubled, np.ones(n_after), "valid")[: len(size)]
    first = len(size) - n_after
    return np.roll(sums, -first) / n_after


def conformal_p_value(residuals: Floats, n_after: int) -> float:
    """Share of cyclic shifts whose statistic is at least the observed one, itself included."""
    statistics = block_statistics(residuals, n_after)
    return float((statistics >= statistics[0] * (1 - 1e-12)).mean())
