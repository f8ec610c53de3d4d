"""The two kinds of uncertainty without contributions: replicates of the estimate, and variances row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NoReturn

import numpy as np

from pandas_causal.errors import CausalError
from pandas_causal.kernels.arrays import Floats, Positions

__all__ = ["Draws", "Variance"]


@dataclass(frozen=True, eq=False)
class Draws:
    """Replicates of the parameters: a refit bootstrap, placebo runs, or permutations.

    Attributes
    ----------
    replicates : ndarray (draws, k)
        One row per draw.
    loadings : ndarray (rows, k)
        Map from parameters to the rows reported.
    around : {"estimate", "null"}
        Whether the replicates vary around the estimate (bootstrap) or around no effect (placebo, permutation).
    """

    replicates: Floats
    loadings: Floats
    around: Literal["estimate", "null"] = "estimate"

    def linear(self, matrix: Floats) -> Draws:
        """Map the rows reported by a matrix (m, rows)."""
        return replace(self, loadings=np.asarray(matrix, dtype=float) @ self.loadings)

    transform = linear

    def take(self, positions: Positions) -> Draws:
        """Keep some of the rows reported."""
        return replace(self, loadings=self.loadings[positions])

    def values(self) -> Floats:
        """Replicates of the rows reported (draws, rows)."""
        return self.replicates @ self.loadings.T

    def std_error(self) -> Floats:
        """Standard deviation of the replicates of every row; NaN for a single replicate."""
        values = self.values()
        return values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1], np.nan)

    def covariance(self, *, joint: bool = False) -> Floats:
        """Covariance (rows, rows) of the replicates."""
        values = self.values()
        return (
            np.atleast_2d(np.cov(values, rowvar=False)) if len(values) > 1 else np.full((values.shape[1],) * 2, np.nan)
        )

    def df(self) -> Floats:
        """Infinite: replicates refer to no parametric law."""
        return np.full(len(self.loadings), np.inf)

    def draws(self, n: int, rng: np.random.Generator) -> Floats:
        """Resample n deviations of the rows reported (n, rows)."""
        values = self.values()
        picked = values[rng.integers(len(values), size=n)]
        return picked - (values.mean(axis=0) if self.around == "estimate" else 0.0)

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """Percentile interval; refused for a null distribution, whose percentiles say nothing about the estimate."""
        if self.around == "null":
            raise CausalError(
                "a null distribution (placebo or permutation) has no percentile interval for the estimate; read its "
                "p-value, or the confidence_set() of the rows as fitted: the effects that the test accepts"
            )
        low, high = np.quantile(self.values(), [0.5 - level / 2, 0.5 + level / 2], axis=0)
        return low, high

    def p_value(self, estimates: Floats) -> Floats:
        """Two-sided p-value (1 + #) / (B + 1), consistent with the percentile interval."""
        values = self.values()
        if self.around == "null":
            exceed = (np.abs(values) >= np.abs(estimates)).sum(axis=0)
            return (1 + exceed) / (len(values) + 1)
        tail = np.minimum((values <= 0).sum(axis=0), (values >= 0).sum(axis=0))
        return np.minimum(1.0, 2 * (1 + tail) / (len(values) + 1))

    def cluster(self, by: Sequence[object], *, small_sample: bool = True) -> NoReturn:
        """Refuse: clusters must be known when the replicates are drawn."""
        raise CausalError("replicates cannot be clustered afterwards; draw whole clusters: bootstrap(..., cluster=...)")

    def compact(self) -> Draws:
        """Return itself: nothing here is as long as the data."""
        return self


@dataclass(frozen=True, eq=False)
class Variance:
    """A variance for every row, and no more: covariances between rows are unknown.

    Attributes
    ----------
    pointwise : ndarray (rows,)
        Variance of every row reported.
    """

    pointwise: Floats

    def linear(self, matrix: Floats) -> Variance:
        """Scale rows; a map that mixes rows is refused, for want of their covariances."""
        matrix = np.asarray(matrix, dtype=float)
        if bool(((matrix != 0).sum(axis=1) > 1).any()):
            raise CausalError(
                "this effect has a variance for every row but no covariance between rows, so rows cannot be averaged or"
                " contrasted; use the estimator's own average (effect() without X) or an estimator with contributions"
            )
        return Variance(np.square(matrix) @ self.pointwise)

    transform = linear

    def take(self, positions: Positions) -> Variance:
        """Keep some of the rows reported."""
        return Variance(self.pointwise[positions])

    def std_error(self) -> Floats:
        """Standard error of every row."""
        return np.sqrt(self.pointwise)

    def covariance(self, *, joint: bool = False) -> Floats:
        """Variance of a single row; with several rows the covariances are unknown, and refused."""
        if len(self.pointwise) > 1:
            raise CausalError("this effect has variances row by row and no covariances; joint statements are refused")
        return self.pointwise[:, None]

    def df(self) -> Floats:
        """Infinite: a normal law."""
        return np.full(len(self.pointwise), np.inf)

    def draws(self, n: int, rng: np.random.Generator) -> Floats:
        """Refuse joint draws of several rows; draw from the normal for one."""
        return rng.standard_normal((n, 1)) * np.sqrt(self.covariance())

    def cluster(self, by: Sequence[object], *, small_sample: bool = True) -> NoReturn:
        """Refuse: there are no contributions to sum by cluster."""
        raise CausalError(
            "this effect has no contributions to sum by cluster; pass cluster= to fit, where it is allowed"
        )

    def compact(self) -> Variance:
        """Return itself."""
        return self
