"""Tests of equal shares in two arms: pooled z, Fisher, Barnard, Boschloo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError
from pandas_causal.kernels.arrays import Bools, Floats, Positions

__all__ = ["SHARE_TESTS", "compare_shares"]

_MOST_TABLES = 4_000_000  # of two arms: 2,000 rows each
_TIE = 1e-9  # probabilities and z that differ by less, relatively, are equal but for rounding
_SHARES = 1_000  # of the grid on which the largest p-value is looked for
# setting -> in words
SHARE_TESTS: Mapping[str, str] = {
    "pooled_z": "pooled z test",
    "fisher": "Fisher's exact test",
    "barnard": "Barnard's exact test",
    "boschloo": "Boschloo's exact test",
}


def compare_shares(successes: Positions, counts: Positions, test: str, alternative: str) -> pd.DataFrame:
    """Test of every later arm's share against the first's.

    Parameters
    ----------
    successes, counts : ndarray (K,)
        Rows that are 1, and rows, by arm, the control first.
    test : {"pooled_z", "fisher", "barnard", "boschloo"}
        "pooled_z": the normal test at the common share. "fisher": conditional on the number of successes.
        "barnard", "boschloo": unconditional, the largest p-value over the common share, of the pooled z and of Fisher's
        p-value.
    alternative : {"two-sided", "greater", "less"}
        "greater": the later arm's share is larger. Two-sided, Boschloo's doubles the smaller one-sided one.

    Returns
    -------
    DataFrame (K - 1, 2)
        statistic (z; NaN for Fisher and Boschloo, whose statistics are probabilities) and p_value.

    Raises
    ------
    CausalArgumentError
        Where Barnard's or Boschloo's test would take minutes.

    References
    ----------
    Fisher (1935), "The design of experiments"; Barnard (1947), Biometrika 34; Boschloo (1970), Statistica Neerlandica
    24.
    """
    rows = []
    for s, n in zip(map(int, successes[1:]), map(int, counts[1:]), strict=True):
        tables = _Tables(int(successes[0]), int(counts[0]), s, n)
        z = float(tables.pooled_z(tables.s0, tables.s1))
        if test == "pooled_z":
            p = _normal(z, alternative)
        elif test == "fisher":
            p = tables.fisher(alternative)
        else:
            if n * tables.n0 > _MOST_TABLES:
                raise CausalArgumentError(
                    f"test={test!r} goes through the {n + 1:,} x {tables.n0 + 1:,} possible tables of two arms, more"
                    " than memory and patience allow; with so many rows test='pooled_z' is close, and test='fisher'"
                    " errs on the safe side"
                )
            p = tables.barnard(alternative) if test == "barnard" else tables.boschloo(alternative)
        rows.append((z if test in ("pooled_z", "barnard") else np.nan, p))
    return pd.DataFrame(rows, columns=["statistic", "p_value"])


def _normal(z: float, alternative: str) -> float:
    from scipy.special import ndtr

    if alternative == "two-sided":
        return float(2 * ndtr(-abs(z)))
    return float(ndtr(-z if alternative == "greater" else z))


@dataclass(frozen=True)
class _Tables:
    """The table seen, s0 successes of n0 rows in the control and s1 of n1 in the other arm, among all that could be."""

    s0: int
    n0: int
    s1: int
    n1: int

    def pooled_z(self, s0: Any, s1: Any) -> Floats:
        """Difference of shares by its standard error at the common share; 0 where all rows are alike."""
        common = (s0 + s1) / (self.n0 + self.n1)
        variance = np.asarray(common * (1 - common) * (1 / self.n0 + 1 / self.n1))
        gap = np.asarray(s1 / self.n1 - s0 / self.n0)
        return np.divide(gap, np.sqrt(variance), out=np.zeros_like(gap), where=variance > 0)

    def fisher(self, alternative: str) -> float:
        """Probability, given the number of successes, of tables as extreme."""
        from scipy import stats

        table = [[self.s1, self.n1 - self.s1], [self.s0, self.n0 - self.s0]]
        return float(stats.fisher_exact(table, alternative=alternative)[1])

    def barnard(self, alternative: str) -> float:
        """Largest probability, over the common share, of tables with a z as extreme."""
        z = self.pooled_z(np.arange(self.n0 + 1)[:, None], np.arange(self.n1 + 1)[None, :])
        extreme = {"two-sided": np.abs(z), "greater": z, "less": -z}[alternative]
        seen = extreme[self.s0, self.s1]
        return self._largest(extreme >= seen - _TIE * max(1.0, abs(seen)))

    def boschloo(self, alternative: str) -> float:
        """Largest probability, over the common share, of tables with a Fisher p-value as small."""
        if alternative == "two-sided":
            return min(1.0, 2 * min(self.boschloo("greater"), self.boschloo("less")))
        p = self._one_sided_fisher(alternative)
        return self._largest(p <= p[self.s0, self.s1] * (1 + _TIE))

    def _one_sided_fisher(self, alternative: str) -> Floats:
        """Fisher's p-value of every table (n0 + 1, n1 + 1): sums of hypergeometric probabilities, total by total."""
        from scipy.special import gammaln

        a, b = np.arange(self.n0 + 1), np.arange(self.n1 + 1)
        chosen0 = -gammaln(a + 1) - gammaln(self.n0 - a + 1)
        chosen1 = -gammaln(b + 1) - gammaln(self.n1 - b + 1)
        out = np.empty((self.n0 + 1, self.n1 + 1))
        for total in range(self.n0 + self.n1 + 1):
            own = np.arange(max(0, total - self.n0), min(self.n1, total) + 1)
            log = chosen0[total - own] + chosen1[own]
            chance = np.exp(log - log.max())
            chance /= chance.sum()
            tail = chance[::-1].cumsum()[::-1] if alternative == "greater" else chance.cumsum()
            out[total - own, own] = tail
        return out

    def _largest(self, extreme: Bools) -> float:
        """Largest probability, over the common share, of the tables marked: a grid, then a search around its tops."""
        from scipy.optimize import minimize_scalar
        from scipy.special import xlog1py, xlogy

        weights = extreme.astype(float)
        ways = [_log_ways(n)[:, None] for n in (self.n0, self.n1)]

        def chance(angle: Floats) -> Floats:
            share = np.square(np.sin(angle))
            arms = []
            for n, log in zip((self.n0, self.n1), ways, strict=True):
                k = np.arange(n + 1)[:, None]
                arms.append(np.exp(log + xlogy(k, share) + xlog1py(n - k, -share)))
            return np.asarray(np.einsum("ig,ig->g", arms[0], weights @ arms[1]))

        angles = np.linspace(0, np.pi / 2, _SHARES)  # the arc sine: peaks are as wide near 0 and 1 as elsewhere
        on_grid = chance(angles)
        best = float(on_grid.max())
        for top in np.argsort(on_grid)[-3:]:
            around = angles[max(top - 1, 0)], angles[min(top + 1, _SHARES - 1)]
            found = minimize_scalar(lambda v: -chance(np.array([v]))[0], bounds=around, method="bounded")
            best = max(best, -float(found.fun))
        return min(best, 1.0)


def _log_ways(n: int) -> Floats:
    """Logs of the binomial coefficients (n + 1,)."""
    from scipy.special import gammaln

    k = np.arange(n + 1)
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
