"""How sure a synthetic comparison is: placebos among donors, ratios of fit, the jackknife, conformal tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.inference.draws_and_variance import Draws
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.inversion import accepted_pieces
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.kernels.arrays import Floats, Ints, Positions
from pandas_causal.synthetic_control.comparison import Block, Layout, Method, Runs, draw_placebos, jackknife
from pandas_causal.synthetic_control.conformal import Proxy, block_statistics, conformal_p_value

__all__ = ["Inference", "Placebos", "SyntheticComparison", "SyntheticResult", "infer"]

Inversion = Callable[[float], pd.DataFrame]
_TIE = 1 + 1e-12  # statistics that are equal but for rounding count as equal


@dataclass(frozen=True)
class Inference:
    """What was asked for.

    Attributes
    ----------
    kind : {"placebo", "permutation", "jackknife", "conformal"}
    by_period : bool
    n_draws : int
        Placebo draws where several units are treated.
    """

    kind: str
    by_period: bool
    n_draws: int


@dataclass(frozen=True, eq=False)
class Placebos:
    """Donors that played the treated.

    Attributes
    ----------
    drawn : ndarray (draws, treated)
        Positions among the donors.
    gaps : list of ndarray (draws, T)
        One per block.
    """

    drawn: Ints
    gaps: list[Floats]


@dataclass(frozen=True, eq=False)
class SyntheticComparison:
    """The actual comparison: method, data, blocks, and what came out.

    Attributes
    ----------
    method : Method
    Y : ndarray (N, T)
    donors : ndarray (n0,)
    blocks : list of Block
    layout : Layout
    runs : list of Runs
        One per block.
    """

    method: Method
    Y: Floats
    donors: Ints
    blocks: list[Block]
    layout: Layout
    runs: list[Runs]

    @property
    def gaps(self) -> list[Floats]:
        """Gaps (T,), one per block."""
        return [run.gaps[0] for run in self.runs]

    @cached_property
    def effects(self) -> Floats:
        """Effects by row of the layout."""
        return self.layout.combine(self.gaps)

    @cached_property
    def ratio_parts(self) -> tuple[Floats, Floats]:
        """Root mean squared gap after and before treatment."""
        return self.layout.rmspe_ratio(self.gaps, self.method.demeaned)

    def average(self, effects: Floats) -> Floats:
        """Average of rows (..., length), every treated unit-period counted once."""
        counts = self.layout.counts
        return effects @ (counts / counts.sum())

    @property
    def players(self) -> Positions:
        """Positions of donors that can play the treated: seen in every period."""
        return np.flatnonzero(~np.isnan(self.Y[self.donors]).any(axis=1))

    def placebos(self, n_draws: int, rng: np.random.Generator) -> Placebos:
        """Let donors play the treated."""
        n_treated = sum(b.size for b in self.blocks)
        drawn = self.players[draw_placebos(len(self.players), n_treated, n_draws, rng)]
        method = self.method.take(self.donors)
        return Placebos(drawn, method.placebos(self.Y[self.donors], self.blocks, drawn))


@dataclass(frozen=True, eq=False)
class SyntheticResult:
    """What an Effect needs.

    Attributes
    ----------
    estimates : ndarray (rows,)
    uncertainty : Influence or Draws
    method : str
    inversion : callable or None
    placebos : Placebos or None
    """

    estimates: Floats
    uncertainty: Influence | Draws
    method: str
    inversion: Inversion | None = None
    placebos: Placebos | None = None


def infer(
    comparison: SyntheticComparison,
    settings: Inference,
    index: pd.Index,
    units: RowIdentity,
    proxy: Proxy | None,
    rng: Any,
) -> SyntheticResult:
    """Estimates with the uncertainty asked for.

    Parameters
    ----------
    comparison : SyntheticComparison
    settings : Inference
    index : Index (rows,)
        Names of the rows.
    units : RowIdentity (N,)
    proxy : Proxy or None
        For "conformal".
    rng : Generator
    """
    if settings.kind == "jackknife":
        return _jackknife(comparison, settings, units)
    if settings.kind == "conformal":
        assert proxy is not None  # noqa: S101 - the estimator has refused what it cannot refit
        return _conformal(comparison, settings, index, proxy)
    placebos = comparison.placebos(settings.n_draws, rng)
    return (_placebo if settings.kind == "placebo" else _permutation)(comparison, settings, index, placebos)


def _rows(comparison: SyntheticComparison, by_period: bool) -> Floats:
    effects = comparison.effects
    return effects if by_period else np.atleast_1d(comparison.average(effects))


def _who(placebos: Placebos) -> str:
    n, m = placebos.drawn.shape
    return f"{n:,} donors in turn" if m == 1 else f"{n:,} draws of {m:,} donors"


# -- placebos in place of the treated --------------------------------------------------------------------------------


def _placebo(
    comparison: SyntheticComparison, settings: Inference, index: pd.Index, placebos: Placebos
) -> SyntheticResult:
    """Effects of donors that play the treated (Arkhangelsky et al. 2021, Algorithm 4)."""
    estimates = _rows(comparison, settings.by_period)
    rows = comparison.layout.combine(placebos.gaps)
    null = rows if settings.by_period else comparison.average(rows)[:, None]
    method = f"placebo effects of {_who(placebos)} (their spread; p-values by rank, sets by inverting the test)"
    inversion = _Shifted(estimates, null, index)
    return SyntheticResult(
        estimates, Draws(null * _TIE, np.eye(len(estimates)), around="null"), method, inversion, placebos
    )


def _rank(n: int, level: float) -> int:
    """How many draws must reach a statistic for its p-value (1 + #) / (n + 1) to exceed 1 - level."""
    return int(np.floor((1 - level) * (n + 1) + 1e-9))


@dataclass(frozen=True, eq=False)
class _Shifted:
    """Inversion of a test of constant effects whose statistic is the distance from the estimate."""

    estimates: Floats
    null: Floats
    index: pd.Index

    def __call__(self, level: float) -> pd.DataFrame:
        rank = _rank(len(self.null), level)
        largest = -np.sort(-np.abs(self.null), axis=0)
        reach = np.full(len(self.estimates), np.inf) if rank == 0 else largest[rank - 1]
        ends = {"conf_low": self.estimates - reach, "conf_high": self.estimates + reach}
        return pd.DataFrame(ends, index=self.index)


def _permutation(
    comparison: SyntheticComparison, settings: Inference, index: pd.Index, placebos: Placebos
) -> SyntheticResult:
    """Gaps beside the fit before treatment: the ratio of root mean squares (Abadie, Diamond and Hainmueller 2010)."""
    estimates = _rows(comparison, settings.by_period)
    after, before = comparison.layout.rmspe_ratio(placebos.gaps, comparison.method.demeaned)
    own_after, own_before = comparison.ratio_parts
    rows = comparison.layout.combine(placebos.gaps)
    method = f"ratio of the gap after to before treatment, {_who(placebos)}"
    with np.errstate(divide="ignore", invalid="ignore"):
        if settings.by_period:
            null = np.nan_to_num(rows * (own_before / before)[:, None], nan=0.0, posinf=1e300, neginf=-1e300)
            return SyntheticResult(
                estimates,
                Draws(null * _TIE, np.eye(len(estimates)), around="null"),
                method,
                _Shifted(estimates, null, index),
                placebos,
            )
        ratios, actual = after / before, float(own_after / own_before)
        relative = np.nan_to_num(ratios / actual, nan=1.0, posinf=1e300)
    # put on the scale of the estimate, which keeps the p-value
    null = np.sign(comparison.average(rows)) * relative * abs(estimates[0])
    u = Draws(null[:, None] * _TIE, np.eye(1), around="null")
    return SyntheticResult(estimates, u, method, _ratio_set(comparison, ratios, index), placebos)


def _ratio_set(comparison: SyntheticComparison, ratios: Floats, index: pd.Index) -> Inversion:
    """Invert the test of the ratio for constant effects (Firpo and Possebom 2018, Journal of Causal Inference)."""
    sizes = np.array([b.size for b in comparison.blocks], dtype=float)
    parts = [gap[b.start :] for gap, b in zip(comparison.gaps, comparison.blocks, strict=True)]
    shares = sizes / sizes.sum()
    centre = float(shares @ [p.mean() for p in parts])
    spread = float(shares @ [np.square(p).mean() for p in parts]) - centre**2
    return _RatioSet(centre, spread, ratios * float(comparison.ratio_parts[1]), index)


@dataclass(frozen=True, eq=False)
class _RatioSet:
    """Constant effects whose mean squared distance from the gaps is not beyond that of placebos."""

    centre: float
    spread: float
    bounds: Floats
    index: pd.Index

    def __call__(self, level: float) -> pd.DataFrame:
        rank = _rank(len(self.bounds), level)
        largest = -np.sort(-self.bounds)
        square = np.inf if rank == 0 else largest[rank - 1] ** 2 - self.spread
        reach = np.sqrt(square) if square >= 0 else np.nan
        ends = {"conf_low": [self.centre - reach], "conf_high": [self.centre + reach]}
        return pd.DataFrame(ends, index=self.index).dropna()  # empty where no constant effect is accepted


# -- the jackknife ---------------------------------------------------------------------------------------------------


def _jackknife(comparison: SyntheticComparison, settings: Inference, units: RowIdentity) -> SyntheticResult:
    """Leave units out with weights kept: contributions of every unit."""
    total, behind = jackknife(comparison.Y, comparison.blocks, comparison.donors, comparison.runs, comparison.layout)
    # a unit left out also changes how much every start counts in the average
    out = total / behind if settings.by_period else (total.sum(axis=1) / behind.sum(axis=1))[:, None]
    n = len(out)
    contributions = (out.mean(axis=0) - out) * ((n - 1) / n)
    rows = np.concatenate([comparison.donors, *(b.rows for b in comparison.blocks)])
    effects = _rows(comparison, settings.by_period)
    meat = contributions.T @ contributions * (n / (n - 1))
    u = Influence.from_contributions(
        effects,
        contributions,
        units.take(rows),
        names=pd.RangeIndex(len(effects), name="periods since treatment"),
        loadings=np.eye(len(effects)),
        components=(Component(meat),),
    )
    method = "jackknife over units, weights kept (Arkhangelsky et al. 2021, Algorithm 3), normal law"
    return SyntheticResult(effects, u, method)


# -- conformal -------------------------------------------------------------------------------------------------------


def _conformal(comparison: SyntheticComparison, settings: Inference, index: pd.Index, proxy: Proxy) -> SyntheticResult:
    """Residuals under the hypothesis that there is no effect, after treatment beside before."""
    block = comparison.blocks[0]
    treated, donors = comparison.Y[block.rows].mean(axis=0), comparison.Y[comparison.donors]
    n_periods, start = len(treated), block.start
    estimates = _rows(comparison, settings.by_period)
    groups = [[t] for t in range(start, n_periods)] if settings.by_period else [list(range(start, n_periods))]
    before = list(range(start))
    tests = [_Test(treated[[*before, *g]], donors[:, [*before, *g]], len(g), proxy) for g in groups]
    null = np.stack([test.scaled(estimate) for test, estimate in zip(tests, estimates, strict=True)], axis=1)
    shifts = len(null) + 1
    method = (
        f"conformal (Chernozhukov, Wuthrich, Zhu 2021), {shifts:,} cyclic shifts: p-values of at least 1/{shifts:,}"
    )
    scale = max(float(comparison.ratio_parts[1]), 1e-9 * float(np.abs(treated).max()), 1e-300)
    inversion = _Pieces(tests, estimates, scale, index)
    return SyntheticResult(estimates, Draws(null * _TIE, np.eye(len(estimates)), around="null"), method, inversion)


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Constant effects that conformal tests accept, row by row."""

    tests: list[_Test]
    estimates: Floats
    scale: float
    index: pd.Index

    def __call__(self, level: float) -> pd.DataFrame:
        rows = []
        for label, test, estimate in zip(self.index, self.tests, self.estimates, strict=True):
            pieces = accepted_pieces(test.p_value, float(estimate), self.scale, 1 - level)
            rows += [(label, low, high) for low, high in pieces]
        table = pd.DataFrame(rows, columns=["label", "conf_low", "conf_high"])
        return table.set_index(pd.Index(table.pop("label"), name=self.index.name))


@dataclass(frozen=True, eq=False)
class _Test:
    """Periods before treatment and some after it."""

    treated: Floats
    donors: Floats
    n_after: int
    proxy: Proxy

    def residuals(self, effect: float) -> Floats:
        untreated = self.treated.copy()
        untreated[-self.n_after :] -= effect
        return self.proxy.residuals(untreated, self.donors)

    def p_value(self, effect: float) -> float:
        return conformal_p_value(self.residuals(effect), self.n_after)

    def scaled(self, estimate: float) -> Floats:
        """Statistics of all shifts but the observed one, on the scale of the estimate, which keeps the p-value."""
        statistics = block_statistics(self.residuals(0.0), self.n_after)
        if statistics[0] == 0:
            return np.full(len(statistics) - 1, estimate)
        return estimate * statistics[1:] / statistics[0]
