"""Reference laws: the one place where a statistic becomes a p-value or a critical value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pandas_causal.kernels.arrays import Floats

__all__ = ["Anytime", "BoundedBias", "Normal", "Reference", "Student", "anytime_rho"]


class Reference(Protocol):
    """Law to which ``statistic = (estimate - bias) / std_error`` is referred."""

    def critical(self, level: float, df: Floats) -> Floats:
        """Return the two-sided critical value at confidence ``level``, one per entry of ``df``."""
        ...

    def p_value(self, statistic: Floats, df: Floats) -> Floats:
        """Return the two-sided p-value of each statistic."""
        ...


@dataclass(frozen=True)
class Student:
    """Student's t; the standard normal where the degrees of freedom are infinite."""

    def critical(self, level: float, df: Floats) -> Floats:
        """Return the two-sided critical value."""
        from scipy import special

        tail = np.full_like(np.asarray(df, dtype=float), 0.5 + level / 2)
        finite = np.isfinite(df)
        if not finite.any():
            return np.full_like(tail, special.ndtri(0.5 + level / 2))
        out = special.ndtri(tail)
        return np.where(finite, special.stdtrit(np.where(finite, df, 1.0), tail), out)

    def p_value(self, statistic: Floats, df: Floats) -> Floats:
        """Return the two-sided p-value."""
        from scipy import special

        lower = -np.abs(np.asarray(statistic, dtype=float))
        finite = np.isfinite(df)
        if not finite.any():
            return np.asarray(2 * special.ndtr(lower))
        student = special.stdtr(np.where(finite, df, 1.0), lower)
        return 2 * np.where(finite, student, special.ndtr(lower))


@dataclass(frozen=True)
class Normal:
    """The standard normal, whatever the degrees of freedom."""

    def critical(self, level: float, df: Floats) -> Floats:
        """Return the two-sided critical value."""
        return Student().critical(level, np.full_like(np.asarray(df, dtype=float), np.inf))

    def p_value(self, statistic: Floats, df: Floats) -> Floats:
        """Return the two-sided p-value."""
        return Student().p_value(statistic, np.full_like(np.asarray(df, dtype=float), np.inf))


@dataclass(frozen=True)
class Anytime:
    """Asymptotic confidence sequence: valid at every look at the data, at once.

    With ``n`` rows and mixture parameter ``rho``, the two-sided boundary in standard errors is
    ``sqrt(2 (n rho^2 + 1) / (n rho^2) * log(sqrt(n rho^2 + 1) / alpha))``.

    Parameters
    ----------
    n : int
        Rows seen so far.
    rho : float
        Mixture parameter; see :func:`anytime_rho`.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform central limit theory and asymptotic
    confidence sequences", Annals of Statistics, Theorem 2.2 and Appendix B.2.
    """

    n: int
    rho: float

    @property
    def _mixture(self) -> float:
        return self.n * self.rho**2

    def critical(self, level: float, df: Floats) -> Floats:
        """Return the boundary in standard errors."""
        m = self._mixture
        boundary = np.sqrt(2 * (m + 1) / m * np.log(np.sqrt(m + 1) / (1 - level)))
        return np.full_like(np.asarray(df, dtype=float), boundary)

    def p_value(self, statistic: Floats, df: Floats) -> Floats:
        """Return the level at which the sequence would just exclude zero (an anytime-valid p-value)."""
        m = self._mixture
        exponent = -np.square(statistic) * m / (2 * (m + 1))
        return np.minimum(1.0, np.sqrt(m + 1) * np.exp(exponent))


def anytime_rho(n: int, alpha: float) -> float:
    """Mixture parameter that makes the sequence tightest near ``n`` rows (Waudby-Smith et al. 2024, App. B.2)."""
    log = -2 * np.log(alpha)
    return float(np.sqrt((log + np.log(log) + 1) / n))


@dataclass(frozen=True, eq=False)
class BoundedBias:
    """Normal estimate with a bias of known bound: critical values of the folded normal.

    Parameters
    ----------
    ratio : float or ndarray (rows,)
        Largest absolute bias divided by the standard error.

    References
    ----------
    Armstrong and Kolesar (2018), "Optimal inference in a class of regression models", Econometrica, eq. (24).
    """

    ratio: Any

    def critical(self, level: float, df: Floats) -> Floats:
        """Return the ``level`` quantile of ``|N(ratio, 1)|``."""
        from scipy import stats

        shape = np.broadcast_to(np.square(self.ratio), np.shape(df))
        return np.sqrt(stats.ncx2.ppf(level, 1, shape))

    def p_value(self, statistic: Floats, df: Floats) -> Floats:
        """Return the largest p-value over all biases within the bound."""
        from scipy import stats

        shape = np.broadcast_to(np.square(self.ratio), np.shape(df))
        return stats.ncx2.sf(np.square(statistic), 1, shape)
