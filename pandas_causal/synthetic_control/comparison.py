"""Comparisons of treated units with weighted untreated ones: paths of gaps, for the actual units and for placebos.

A *run* lets some rows of a matrix of outcomes play the treated and gives weights to rows that are not excluded. The
actual comparison is a run; placebos are runs among the untreated. One function per method does many runs at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from pandas_causal.kernels.arrays import Bools, Floats, Ints
from pandas_causal.synthetic_control.simplex import check_gaps

__all__ = [
    "Block",
    "Blockwise",
    "DoubleDifference",
    "Layout",
    "Method",
    "Runs",
    "SimplexControl",
    "backdated",
    "draw_placebos",
    "jackknife",
    "kept_rows",
    "layout_of",
    "noise_level",
    "rmspe",
    "time_weights",
    "unit_weight_table",
]


@dataclass(frozen=True, eq=False)
class Block:
    """Units that are treated from one period on and compared together.

    Attributes
    ----------
    start : int
        Position of their first treated period.
    rows : ndarray (m,)
        Their rows in the matrix of outcomes.
    """

    start: int
    rows: Ints

    @property
    def size(self) -> int:
        """Units."""
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Runs:
    """What came out of some runs.

    Attributes
    ----------
    gaps : ndarray (runs, T)
        Mean outcome of the treated minus its counterfactual, every period; the baseline taken out where there is one.
    weights : ndarray (runs, N) or None
        Unit weights, zero for excluded rows.
    time_weights : ndarray (runs, start) or None
        Weights of the periods of the baseline.
    tuning : ndarray (runs, k) or None
        What a method chose by itself (a ridge, predictor weights).
    """

    gaps: Floats
    weights: Floats | None = None
    time_weights: Floats | None = None
    tuning: Floats | None = None


class Method(Protocol):
    """A way to make counterfactuals."""

    @property
    def demeaned(self) -> bool:
        """Whether gaps before treatment are judged about their mean."""
        ...

    def actual(self, Y: Floats, blocks: list[Block], donors: Ints) -> list[Runs]:
        """Run the treated blocks against the donors."""
        ...

    def placebos(self, pool: Floats, blocks: list[Block], drawn: Ints) -> list[Floats]:
        """Gaps (draws, T), block by block, of donors `drawn` (draws, all treated) that play the treated."""
        ...

    def take(self, rows: Ints) -> Method:
        """Return the same method for some rows, where it holds data by row."""
        ...


class Blockwise:
    """A method that compares every block of treated units by itself; subclasses write ``runs``."""

    def runs(self, Y: Floats, start: int, target: Ints, excluded: Ints) -> Runs:
        """Compare rows `target` (runs, m) with rows not `excluded` (runs, q); treatment starts at `start`."""
        raise NotImplementedError

    def take(self, rows: Ints) -> Any:
        """Return itself: nothing is held by row."""
        return self

    def actual(self, Y: Floats, blocks: list[Block], donors: Ints) -> list[Runs]:
        """Run the treated blocks against the donors; weights are over the rows of Y."""
        out = []
        for block in blocks:
            rows, n = np.concatenate([donors, block.rows]), len(donors)
            treated_rows = np.arange(n, len(rows))[None, :]
            run = self.take(rows).runs(Y[rows], block.start, treated_rows, treated_rows)
            weights = np.zeros((1, len(Y)))
            weights[:, donors] = run.weights[:, :n]
            out.append(replace(run, weights=weights))
        return out

    def placebos(self, pool: Floats, blocks: list[Block], drawn: Ints) -> list[Floats]:
        """Gaps (draws, T), block by block, of donors that play the treated; `drawn` (draws, all treated) says which."""
        out, first = [], 0
        for block in blocks:
            out.append(self.runs(pool, block.start, drawn[:, first : first + block.size], drawn).gaps)
            first += block.size
        return out


def rmspe(gaps: Floats, demeaned: bool) -> Floats:
    """Root mean squared gap along the last axis, about its mean where the method has an intercept."""
    centred = gaps - gaps.mean(axis=-1, keepdims=True) if demeaned else gaps
    return np.sqrt(np.square(centred).mean(axis=-1))


def noise_level(before: Floats) -> float:
    """Standard deviation of first differences of untreated outcomes (Arkhangelsky et al. 2021, eq. 2.2).

    Parameters
    ----------
    before : ndarray (N, T0)
    """
    steps = np.diff(before, axis=1)
    return float(steps.std(ddof=1)) if steps.size > 1 else 0.0


def kept_rows(n: int, excluded: Ints) -> Bools:
    """Rows (runs, n) that are not excluded."""
    kept = np.ones((len(excluded), n), dtype=bool)
    np.put_along_axis(kept, excluded, False, axis=1)
    return kept


@dataclass(frozen=True, eq=False)
class SimplexControl(Blockwise):
    """Synthetic control on outcomes before treatment (Abadie, Diamond and Hainmueller 2010, without predictors)."""

    demeaned: bool = False

    def runs(self, Y: Floats, start: int, target: Ints, excluded: Ints) -> Runs:
        """See :class:`Method`."""
        weights = unit_weight_table(Y[:, :start], target, excluded, 0.0, intercept=False)
        return Runs(Y[target].mean(axis=1) - weights @ Y, weights)


@dataclass(frozen=True, eq=False)
class DoubleDifference(Blockwise):
    """Synthetic difference in differences, and the plain one with equal weights.

    Attributes
    ----------
    reference : ndarray (n0, T)
        Outcomes of all donors: the noise level before treatment scales the regularisation, in placebos too.
    zeta : float or None
        Regularisation of the unit weights; None: ``(treated unit-periods)^(1/4)`` noise levels.
    optimal_units, optimal_times : bool
        Whether weights are fitted, or equal.
    """

    reference: Floats
    zeta: float | None = None
    optimal_units: bool = True
    optimal_times: bool = True
    demeaned: bool = True

    def ridges(self, size: int, start: int, n_periods: int, n_controls: int) -> tuple[float, float]:
        """Ridges of unit and time weights: ``zeta^2 T0`` and, a hair for uniqueness, ``(1e-6 noise)^2 N0``.

        References
        ----------
        Arkhangelsky et al. (2021), eq. (2.1) to (2.3).
        """
        noise = noise_level(self.reference[:, :start]) if start > 1 else 0.0
        zeta = (size * (n_periods - start)) ** 0.25 * noise if self.zeta is None else self.zeta
        return zeta**2 * start, (1e-6 * noise) ** 2 * n_controls

    def runs(self, Y: Floats, start: int, target: Ints, excluded: Ints) -> Runs:
        """See :class:`Method`."""
        before, controls = Y[:, :start], len(Y) - excluded.shape[1]
        ridge, hair = self.ridges(target.shape[1], start, Y.shape[1], controls)
        if self.optimal_units:
            weights = unit_weight_table(before, target, excluded, ridge, intercept=True)
        else:
            kept = kept_rows(len(Y), excluded)
            weights = kept / kept.sum(axis=1, keepdims=True)
        if self.optimal_times:
            times = time_weights(before, Y[:, start:].mean(axis=1), excluded, hair)
        else:
            times = np.full((len(target), start), 1.0 / start)
        difference = Y[target].mean(axis=1) - weights @ Y
        baseline = np.einsum("rt,rt->r", times, difference[:, :start])
        return Runs(difference - baseline[:, None], weights, times)


def unit_weight_table(before: Floats, target: Ints, excluded: Ints, ridge: float, *, intercept: bool) -> Floats:
    """Unit weights (runs, N) on the simplex; see ``simplex_kernels``."""
    from pandas_causal.synthetic_control.simplex import placebo_unit_weights

    # period means are common to both sides of the comparison, so taking them out costs nothing and saves digits
    pool = before - before.mean(axis=0)
    if intercept:
        pool = pool - pool.mean(axis=1, keepdims=True)
    weights, gaps = np.zeros((len(target), len(before))), np.zeros(len(target))
    placebo_unit_weights(np.ascontiguousarray(pool), _whole(target), _whole(excluded), float(ridge), weights, gaps)
    check_gaps(gaps)
    return weights


def time_weights(before: Floats, after: Floats, excluded: Ints, ridge: float) -> Floats:
    """Time weights (runs, T0) on the simplex: periods before treatment that look like the mean after it."""
    from pandas_causal.synthetic_control.simplex import placebo_time_weights

    weights, gaps = np.zeros((len(excluded), before.shape[1])), np.zeros(len(excluded))
    pool, goal = np.ascontiguousarray(before), np.ascontiguousarray(after)
    placebo_time_weights(pool, goal, _whole(excluded), float(ridge), weights, gaps)
    check_gaps(gaps)
    return weights


def _whole(rows: Ints) -> Ints:
    return np.ascontiguousarray(rows, dtype=np.int64)


# -- several blocks --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Layout:
    """How the gaps of blocks become the rows reported: calendar periods of one start, else periods since treatment.

    Attributes
    ----------
    starts : tuple of int
    sizes : tuple of int
        Units of every block.
    n_periods : int
    """

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    n_periods: int

    @property
    def length(self) -> int:
        """Rows: treated periods of the block that is treated longest."""
        return self.n_periods - min(self.starts)

    @property
    def counts(self) -> Floats:
        """Treated unit-periods behind every row: the weights of their average."""
        out = np.zeros(self.length)
        for start, size in zip(self.starts, self.sizes, strict=True):
            out[: self.n_periods - start] += size
        return out

    def combine(self, gaps: list[Floats]) -> Floats:
        """Rows (..., length) from one array of gaps (..., T) per block: means weighted by units."""
        total = np.zeros((*gaps[0].shape[:-1], self.length))
        for start, size, gap in zip(self.starts, self.sizes, gaps, strict=True):
            total[..., : self.n_periods - start] += size * gap[..., start:]
        return total / self.counts

    def rmspe_ratio(self, gaps: list[Floats], demeaned: bool) -> tuple[Floats, Floats]:
        """Root mean squared gaps after and before treatment, pooled over blocks by their units."""
        shares = np.array(self.sizes, dtype=float) / sum(self.sizes)
        after, before = 0.0, 0.0
        for start, share, gap in zip(self.starts, shares, gaps, strict=True):
            after = after + share * np.square(rmspe(gap[..., start:], False))
            before = before + share * np.square(rmspe(gap[..., :start], demeaned))
        return np.sqrt(np.asarray(after)), np.sqrt(np.asarray(before))


def layout_of(blocks: list[Block], n_periods: int) -> Layout:
    """Layout of these blocks."""
    return Layout(tuple(b.start for b in blocks), tuple(b.size for b in blocks), n_periods)


def draw_placebos(n_donors: int, n_treated: int, n_draws: int, rng: np.random.Generator) -> Ints:
    """Donors (draws, n_treated) that play the treated: each once where one is treated, else at random."""
    if n_treated == 1:
        return np.arange(n_donors, dtype=np.int64)[:, None]
    return np.array([rng.permutation(n_donors)[:n_treated] for _ in range(n_draws)], dtype=np.int64)


def jackknife(Y: Floats, blocks: list[Block], donors: Ints, runs: list[Runs], layout: Layout) -> tuple[Floats, Floats]:
    """Rows (n, length) without one unit each, weights kept and rescaled (Arkhangelsky et al. 2021, Algorithm 3).

    Parameters
    ----------
    Y : ndarray (N, T)
    blocks : list of Block
        Of at least two units each.
    donors : ndarray (n0,)
    runs : list of Runs
        The actual ones, with unit weights and time weights.
    layout : Layout

    Returns
    -------
    total, counts : ndarray (n0 + treated, length)
        Sums of gaps over treated units and their number, without each unit: donors first, then the blocks' units in
        order. Rows are ``total / counts``; their average over periods is that of the sums.
    """
    n0 = len(donors)
    n = n0 + sum(b.size for b in blocks)
    total, counts = np.zeros((n, layout.length)), np.zeros((n, layout.length))
    first = n0
    for block, run in zip(blocks, runs, strict=True):
        assert run.weights is not None  # noqa: S101 - the caller has runs of a double difference
        assert run.time_weights is not None  # noqa: S101
        w, times, m = run.weights[0], run.time_weights[0], block.size
        pooled, treated = w @ Y, Y[block.rows]
        path = np.tile(treated.mean(axis=0) - pooled, (n, 1))
        w0 = w[donors]
        path[:n0] = treated.mean(axis=0) - (pooled - w0[:, None] * Y[donors]) / (1 - w0)[:, None]
        of_block = slice(first, first + m)
        path[of_block] = (treated.sum(axis=0) - treated) / (m - 1) - pooled
        sizes = np.full(n, float(m))
        sizes[of_block] -= 1
        gaps = path - (path[:, : block.start] @ times)[:, None]
        length = Y.shape[1] - block.start
        total[:, :length] += sizes[:, None] * gaps[:, block.start :]
        counts[:, :length] += sizes[:, None]
        first += m
    return total, counts


def backdated(method: Method, Y: Floats, blocks: list[Block], donors: Ints, shift: int) -> tuple[Floats, list[Floats]]:
    """In-time placebo: treatment pretended `shift` periods early, periods from the actual start on left out.

    Returns
    -------
    ndarray (shift,), list of ndarray
        Effects by period since the pretended start, and the gaps of every block.
    """
    gaps = []
    for block in blocks:
        early = Block(block.start - shift, block.rows)
        gaps.append(method.actual(Y[:, : block.start], [early], donors)[0].gaps[0])
    sizes = np.array([b.size for b in blocks], dtype=float)
    effects = sum(size * gap[-shift:] for size, gap in zip(sizes, gaps, strict=True)) / sizes.sum()
    return np.asarray(effects), gaps
