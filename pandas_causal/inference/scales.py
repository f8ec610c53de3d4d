"""Scales on which an estimate is nearer the normal law than on its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pandas_causal.kernels.arrays import Floats

__all__ = ["LogRatio"]


@dataclass(frozen=True)
class LogRatio:
    """A lift, ``ratio - 1``, on the scale of the log of its ratio; no lift is 0 on both.

    References
    ----------
    Katz, Baptista, Azen and Pike (1978), Biometrics 34, "Obtaining confidence intervals for the risk ratio in cohort
    studies".
    """

    def forward(self, lift: Floats) -> Floats:
        """Return the log of the ratio, ``log(1 + lift)``."""
        return np.log1p(lift)

    def backward(self, log: Floats) -> Floats:
        """Return the lift of a log of a ratio."""
        return np.expm1(log)

    def slope(self, lift: Floats) -> Floats:
        """Return the derivative of :meth:`forward`."""
        return 1 / (1 + lift)
