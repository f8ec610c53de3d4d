"""Wilcoxon's signed rank of pairs in which the odds of treatment may differ by a factor.

References
----------
Rosenbaum (2002), "Observational studies", second edition, sections 2.4.3 and 4.3.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

from pandas_causal.kernels.arrays import Floats

__all__ = ["SignedRank"]

_HALVINGS = 50
_MANY = 1_000  # pairs, from which the step that a crossing falls on is not sought to its ends


class SignedRank:
    """Differences of pairs, treated less control.

    Absolute differences are ranked with those of zero among them, ties sharing the mean of their ranks; a pair without
    a difference adds nothing, whoever was treated.

    Parameters
    ----------
    differences : ndarray (m,)
    """

    def __init__(self, differences: Floats) -> None:
        self.differences = np.asarray(differences, dtype=float)
        size = float(np.abs(self.differences).max(initial=0.0))
        self._reach = 2 * size + 1.0

    def ranks(self, shift: float) -> tuple[float, Floats]:
        """Sum of the ranks of positive differences less a shift, and the ranks of those that are not zero."""
        moved = self.differences - shift
        size = np.abs(moved)
        tiny = 1e-12 * max(self._reach, abs(shift))
        size[size < tiny] = 0.0
        # differences that are equal but for rounding share their rank
        order = np.argsort(size, kind="stable")
        gap = np.diff(size[order], prepend=size[order][:1]) > tiny
        group = np.cumsum(gap)
        first = np.searchsorted(group, group, side="left")
        last = np.searchsorted(group, group, side="right")
        rank = np.empty(len(size))
        rank[order] = (first + last + 1) / 2
        used = size > 0
        return float(rank[used & (moved > 0)].sum()), rank[used]

    def deviate(self, shift: float, odds: float) -> float:
        """Standardised T where positive differences have the given odds to be so by chance."""
        statistic, rank = self.ranks(shift)
        share = odds / (1 + odds)
        spread = np.sqrt(share * (1 - share) * np.square(rank).sum())
        return float((statistic - share * rank.sum()) / spread) if spread > 0 else 0.0

    def p_value(self, gamma: float, *, greater: bool, most: bool) -> float:
        """Largest or smallest one-sided p-value (normal law) while the odds within pairs differ by at most `gamma`."""
        odds = gamma if greater is most else 1 / gamma
        z = self.deviate(0.0, odds)
        return float(special.ndtr(-z if greater else z))

    def estimate(self, odds: float) -> float:
        """Hodges and Lehmann's shift: the one at which T is as expected where positive differences have these odds."""
        return self._crossing(lambda shift: self.deviate(shift, odds))

    def end(self, odds: float, critical: float) -> float:
        """Shift at which the deviate is a critical value."""
        return self._crossing(lambda shift: self.deviate(shift, odds) - critical)

    def _crossing(self, falling: Callable[[float], float]) -> float:
        """Middle of the shifts at which a falling step function is neither positive nor negative."""
        if len(self.differences) > _MANY:  # steps are too small to matter
            from scipy.optimize import brentq

            return float(brentq(falling, -self._reach, self._reach, xtol=1e-9 * self._reach))
        ends = []
        for sign in (1, -1):  # last shift where it is positive, first where it is negative
            low, high = -self._reach, self._reach
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                if (falling(middle) > 1e-12) if sign > 0 else (falling(middle) >= -1e-12):
                    low = middle
                else:
                    high = middle
            ends.append((low + high) / 2)
        unit = 10.0 ** (np.floor(np.log10(self._reach)) - 9)  # halving stops short of the step by rounding
        return float(np.round((ends[0] + ends[1]) / 2 / unit) * unit)
