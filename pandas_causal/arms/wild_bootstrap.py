"""The wild cluster bootstrap of regressions by arm, with the null imposed, from sums by cluster.

Everything is in the coordinates of :mod:`cluster_robust`, where the inverse Gram matrix is the identity. Beside a
hypothetical value the restricted residuals move along one direction, so that the numerator of every draw is linear in
the value and its variance quadratic: p-values of all values follow from one pass over the draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pandas_causal.arms.cluster_robust import ArmClusters
from pandas_causal.inference.inversion import accepted_pieces
from pandas_causal.kernels.arrays import Floats, Positions

__all__ = ["WildTest", "WildTests", "wild_tests"]

_WEBB = np.sqrt(np.array([0.5, 1.0, 1.5]))
_BLOCK = 4_000_000  # weights drawn at once
_TIE = 1 - 1e-10


@dataclass(frozen=True, eq=False)
class WildTest:
    """P-values of one contrast, by the value that it may have.

    Attributes
    ----------
    estimate, std_error : float
        The contrast and its CR1 standard error without factor, the scale of its statistic.
    numerator : ndarray (2, draws)
        Constant and slope in ``delta = (estimate - value) / length``.
    square : ndarray (3, draws)
        Of the variance: constant, slope and curvature in delta.
    length : float
    alternative : {"two-sided", "greater", "less"}
    """

    estimate: float
    std_error: float
    numerator: Floats
    square: Floats
    length: float
    alternative: str

    def statistic(self, value: float) -> float:
        """The studentised distance of the estimate from a value."""
        return (self.estimate - value) / self.std_error

    def p_value(self, value: float) -> float:
        """Share of draws, the estimate itself among them, that lie at least as far from a value as the estimate."""
        delta = (self.estimate - value) / self.length
        top = self.numerator[0] + delta * self.numerator[1]
        variance = self.square[0] + delta * (self.square[1] + delta * self.square[2])
        draws = top / np.sqrt(np.maximum(variance, np.finfo(float).tiny))
        observed = self.statistic(value)
        if self.alternative == "two-sided":
            beyond = np.abs(draws) >= abs(observed) * _TIE
        elif self.alternative == "greater":
            beyond = draws >= observed - 1e-10 * abs(observed)
        else:
            beyond = draws <= observed + 1e-10 * abs(observed)
        return float((1 + beyond.sum()) / (len(draws) + 1))


@dataclass(frozen=True, eq=False)
class WildTests:
    """The tests of several contrasts, and the values that they accept."""

    tests: tuple[WildTest, ...]
    index: pd.Index

    def __call__(self, level: float) -> pd.DataFrame:
        """Pieces of every confidence set."""
        rows = []
        for label, test in zip(self.index, self.tests, strict=True):
            pieces = accepted_pieces(test.p_value, test.estimate, test.std_error, 1 - level)
            if test.alternative == "greater":
                pieces = [(min(low for low, _ in pieces), np.inf)]
            elif test.alternative == "less":
                pieces = [(-np.inf, max(high for _, high in pieces))]
            rows += [(label, low, high) for low, high in pieces]
        table = pd.DataFrame(rows, columns=["label", "conf_low", "conf_high"])
        return table.set_index(pd.Index(table.pop("label").to_numpy(), name=self.index.name))

    def of_zero(self) -> pd.DataFrame:
        """``statistic`` and ``p_value`` of no effect, by row."""
        rows = {"statistic": [t.statistic(0.0) for t in self.tests], "p_value": [t.p_value(0.0) for t in self.tests]}
        return pd.DataFrame(rows, index=self.index)


def wild_tests(
    clusters: ArmClusters,
    centres: Floats,
    arms: Positions,
    loadings: Floats,
    estimates: Floats,
    index: pd.Index,
    *,
    n_draws: int = 9_999,
    alternative: str = "two-sided",
    random_state: int | None = 0,
) -> WildTests:
    """Test contrasts of means ``z' beta_a`` by the wild cluster bootstrap with Webb's six-point weights.

    Parameters
    ----------
    clusters : ArmClusters
    centres : ndarray (k, p)
    arms : ndarray (k,)
    loadings : ndarray (rows, k)
    estimates : ndarray (rows,)
    index : Index (rows,)
    n_draws : int
    alternative : {"two-sided", "greater", "less"}
    random_state : int or None

    References
    ----------
    Cameron, Gelbach and Miller (2008), Review of Economics and Statistics 90; Webb (2023), Canadian Journal of
    Economics, for the weights; Roodman, MacKinnon, Nielsen and Webb (2019), Stata Journal 19, for the algebra.
    """
    K, p, G = len(clusters.roots), centres.shape[1], clusters.n_clusters
    scores = np.zeros((G, K, p))
    scores[clusters.cluster, clusters.arm] = clusters.scores
    T = scores.reshape(G, K * p)
    directions = np.zeros((len(loadings), K, p))
    for j, a in enumerate(arms):
        directions[:, a] += loadings[:, [j]] * (clusters.roots[a].T @ centres[j])
    rng = np.random.default_rng(random_state)
    rows: list[tuple[Floats, Floats]] = [(np.empty((2, n_draws)), np.empty((3, n_draws))) for _ in loadings]
    along = [_along(clusters, R) for R in directions]
    step = max(1, _BLOCK // G)
    for start in range(0, n_draws, step):
        at = slice(start, min(start + step, n_draws))
        V = _webb(rng, (at.stop - at.start, G))
        first = V @ T
        for (numerator, square), R, SR in zip(rows, directions, along, strict=True):
            r, second = R.ravel(), V @ SR
            numerator[0, at], numerator[1, at] = first @ r, second @ r
            fixed, moving = V * (T @ r) - first @ SR.T, V * (SR @ r) - second @ SR.T
            square[0, at] = np.einsum("bg,bg->b", fixed, fixed)
            square[1, at] = 2 * np.einsum("bg,bg->b", fixed, moving)
            square[2, at] = np.einsum("bg,bg->b", moving, moving)
    tests = []
    for estimate, R, (numerator, square) in zip(estimates, directions, rows, strict=True):
        error, length = float(np.linalg.norm(T @ R.ravel())), float(np.square(R).sum())
        tests.append(WildTest(float(estimate), error, numerator, square, length, alternative))
    return WildTests(tuple(tests), index)


def _along(clusters: ArmClusters, R: Floats) -> Floats:
    """How the scores (G, K p) of every cluster move with the restricted coefficients."""
    out = np.zeros((clusters.n_clusters, *R.shape))
    out[clusters.cluster, clusters.arm] = clusters.along(R)
    return out.reshape(clusters.n_clusters, -1)


def _webb(rng: np.random.Generator, shape: Sequence[int]) -> Floats:
    draw = rng.integers(6, size=shape)
    return np.where(draw < 3, -1.0, 1.0) * _WEBB[draw % 3]
