"""Confidence sets that hold however weak the instruments are: tests inverted, one row per piece."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalError
from pandas_causal.inference.inversion import accepted_pieces
from pandas_causal.inference.weak_instruments import (
    anderson_rubin,
    anderson_rubin_slope,
    conditional_likelihood_ratio_p,
    smallest_on_a_line,
    weak_tests,
)
from pandas_causal.instruments.design import Design, few_clusters_text
from pandas_causal.kernels.arrays import Floats

__all__ = ["LAWS", "SETS", "RobustSets"]

SETS = ("ar", "k", "clr")
LAWS = ("chi2", "f")
_ROUNDING = 1e-13
_DIRECTIONS, _STARTS = 500, 3


@dataclass(frozen=True, eq=False)
class RobustSets:
    """Sets of coefficients that a test accepts; called with a level, those of the test chosen.

    With several treatments a row's set is the projection of the joint set: the values for which some values of the
    others are accepted, so that it covers at least as often as its level says.

    Attributes
    ----------
    design : Design or None
    index : Index (d,)
    test, law : str
    centre, scale : ndarray (d,)
        Estimates and standard errors: where the search begins.
    """

    design: Design | None
    index: pd.Index
    test: str
    law: str
    centre: Floats
    scale: Floats
    moments: Any = None

    def __call__(self, level: float) -> pd.DataFrame:
        """Pieces (conf_low, conf_high), one row each: none, one or several per treatment.

        Raises
        ------
        CausalError
            Where there are no more clusters than instruments.
        """
        return self.pieces(level, self.test)

    def clustered(self, labels: list[Any], uncertainty: Any) -> RobustSets:
        """The same tests with errors clustered by labels of the rows."""
        if self.design is None:
            raise CausalError("clustered sets need the rows, which compact() dropped; refit to cluster")
        codes = tuple(np.asarray(pd.factorize(pd.Series(by))[0]) for by in labels)
        names = {f"cluster {k}": np.asarray(by) for k, by in enumerate(labels)}
        scale = np.asarray(uncertainty.std_error(), dtype=float)
        return replace(self, design=replace(self.design, clusters=codes, cluster_labels=names), scale=scale)

    def compact(self) -> RobustSets:
        """The same from the moments alone, without the rows."""
        if self.design is None or self.design.has_few_clusters:
            return self
        return replace(self, design=None, moments=self._moments)

    @property
    def _moments(self) -> _Moments:
        if self.design is None:
            kept: _Moments = self.moments
            return kept
        data = self.design.data
        return _Moments(
            data.zw, self.design.null_scores, data.ww, data.projected, data.df, data.unit, self.design.is_homoskedastic
        )

    def pieces(self, level: float, test: str) -> pd.DataFrame:
        """Pieces of the sets of one test."""
        if self.design is not None and self.design.has_few_clusters:
            raise CausalError(few_clusters_text(self.design))
        rows, labels = [], []
        for j, label in enumerate(self.index):
            for low, high in self._pieces_of(j, level, test):
                rows.append((low, high))
                labels.append(label)
        index = pd.Index(labels, name=self.index.name, dtype=self.index.dtype)
        return pd.DataFrame(rows, columns=["conf_low", "conf_high"], index=index, dtype=float)

    def _pieces_of(self, j: int, level: float, test: str) -> list[tuple[float, float]]:
        m = self._moments
        if m.homoskedastic and test == "ar" and len(self.index) == 1:
            return m.quadratic(level, self.law)
        least = 1e-9 * max(abs(self.centre[j]), float(m.unit[j]))  # below it steps from the centre are rounding
        scale = max(self.scale[j], least) if np.isfinite(self.scale[j]) else abs(self.centre[j]) + 1.0
        return accepted_pieces(lambda b: self.p_value(b, j, test), float(self.centre[j]), float(scale), 1 - level)

    def p_value(self, b: float, j: int = 0, test: str | None = None) -> float:
        """P-value of the hypothesis that coefficient j is b."""
        return self._moments.p_value(b, j, self.test if test is None else test, self.law, self.centre)

    def curve(self, level: float) -> pd.DataFrame:
        """P-values of the tests over a grid of coefficients of the first treatment, for the picture."""
        reach = 6 * self.scale[0]
        pieces = self.pieces(level, "ar")
        ends = pieces.to_numpy()[np.isfinite(pieces.to_numpy())]
        low = min([self.centre[0] - reach, *(ends - self.scale[0])])
        high = max([self.centre[0] + reach, *(ends + self.scale[0])])
        grid = np.linspace(low, high, 201)
        tests = SETS if len(self.index) == 1 and self._moments.q > 1 else ("ar",)  # with one instrument all are one
        table = {"coefficient": grid}
        for t in tests:
            with suppress(CausalError):  # of several ways of clusters
                table[t] = np.array([self.p_value(float(b), 0, t) for b in grid])
        return pd.DataFrame(table)


@dataclass(frozen=True, eq=False)
class _Moments:
    """What tests of coefficients need of the rows; coefficients are in units of outcome and treatments."""

    zw: Floats
    scores: Floats
    ww: Floats
    projected: Floats
    df: int
    unit: Floats
    homoskedastic: bool

    @property
    def q(self) -> int:
        return len(self.zw)

    def quadratic(self, level: float, law: str) -> list[tuple[float, float]]:
        """Anderson and Rubin's set of one treatment: where a quadratic in the coefficient is at most zero."""
        A = self.projected - self._critical(level, law) / self.df * (self.ww - self.projected)
        a, b, c = A[1, 1], -2 * A[0, 1], A[0, 0]
        disc, unit = b * b - 4 * a * c, float(self.unit[0])
        if a > 0 and abs(disc) <= _ROUNDING * b * b:  # an outcome fitted exactly: one value
            disc = 0.0
        if disc < 0:
            return [] if a > 0 else [(-np.inf, np.inf)]
        r = np.sort([(-b - np.sqrt(disc)) / (2 * a), (-b + np.sqrt(disc)) / (2 * a)]) * unit
        low, high = float(r[0]), float(r[1])
        return [(low, high)] if a > 0 else [(-np.inf, low), (high, np.inf)]

    def _critical(self, level: float, law: str) -> float:
        from scipy import special

        if law == "f":
            return self.q * float(special.fdtri(self.q, self.df, level))
        return float(special.chdtri(self.q, 1 - level))

    def _tail(self, statistic: float, law: str) -> float:
        from scipy import special

        if law == "f":
            return float(special.fdtrc(self.q, self.df, statistic / self.q))
        return float(special.chdtrc(self.q, statistic))

    def p_value(self, b: float, j: int, test: str, law: str, centre: Floats) -> float:
        from scipy import special

        d = len(self.unit)
        if d == 1:
            tests = weak_tests(self.zw, self.scores, np.array([b / self.unit[0]]))
            if test == "ar":
                p = self._tail(tests.ar, law)
            elif test == "k":
                p = float(special.chdtrc(1, tests.k))
            else:
                p = conditional_likelihood_ratio_p(tests, self.q)
        else:
            p = self._tail(self._projected_ar(b / self.unit[j], j, centre / self.unit), law)
        if np.isnan(p):
            raise CausalError(
                f"clustered by several ways the moments have no covariance at {b:.4g} (it has negative variances), so"
                f" that the test {test!r} does not exist; cluster one way"
            )
        return p

    def _projected_ar(self, b: float, j: int, centre: Floats) -> float:
        """Smallest Anderson-Rubin statistic over the coefficients of the other treatments."""
        others = [k for k in range(len(centre)) if k != j]
        T = np.zeros((len(centre) + 1, len(others) + 1))
        T[0, 0], T[1 + j, 0] = 1.0, -b
        for column, k in enumerate(others):
            T[1 + k, 1 + column] = 1.0
        root = np.linalg.inv(np.linalg.cholesky(T.T @ (self.ww - self.projected) @ T))
        smallest, vectors = np.linalg.eigh(root @ T.T @ self.projected @ T @ root.T)
        if self.homoskedastic:
            return self.df * float(smallest[0])
        # residuals of noise one, the first of the smallest statistic if their variance is one
        basis = T @ root.T @ vectors
        if len(others) == 1:
            return smallest_on_a_line(self.zw, self.scores, basis[:, 0], basis[:, 1])
        return self._searched(basis)

    def _searched(self, basis: Floats) -> float:
        """Smallest statistic over combinations of the columns of `basis`, searched for from the best of many."""
        from scipy import optimize

        m = basis.shape[1]
        directions = np.vstack([np.eye(m), np.random.default_rng(0).normal(size=(_DIRECTIONS, m))])
        tried = anderson_rubin(self.zw, self.scores, directions @ basis.T)
        if np.isnan(tried).any():
            return np.nan
        best = float(tried.min())
        units = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        starts: list[int] = []
        for k in np.argsort(tried):  # the best of those that are no neighbours
            if len(starts) < _STARTS and not (np.abs(units[starts] @ units[k]) > 0.9).any():
                starts.append(int(k))
        for u in directions[starts]:
            origin, free = basis @ u, np.delete(basis, np.abs(u).argmax(), axis=1)  # the size of u does not matter

            def statistic(t: Floats, origin: Floats = origin, free: Floats = free) -> tuple[float, Floats]:
                value, slope = anderson_rubin_slope(self.zw, self.scores, origin + free @ t)
                return value, slope @ free

            end = optimize.minimize(statistic, np.zeros(m - 1), jac=True, method="BFGS", options={"maxiter": 30})
            best = float(np.minimum(best, end.fun))  # NaN where one is
        return best
