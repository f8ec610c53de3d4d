"""From rows to a forest and from a forest to averages: what kernels are given, and how their answers are arranged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import joblib
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pandas_causal.forests.binning import Binning, Covariate8
from pandas_causal.forests.kernels import (
    draw_rows,
    forest_moments,
    forest_spread,
    grow_nodes,
    leaf_places,
    used_features,
)
from pandas_causal.kernels.arrays import Codes, Floats, Ints, Values

__all__ = [
    "Forest",
    "GrowthRules",
    "Sampling",
    "Spread",
    "TreeShape",
    "causal_sums",
    "grow_forest",
    "grow_tree",
    "instrumental_sums",
    "on_grid",
    "regression_sums",
    "solve_causal",
    "solve_instrumental",
    "solve_uplift",
    "uplift_sums",
]

_Out = TypeVar("_Out")
_BLOCK = 4096  # rows that one task predicts
REGRESSION, CAUSAL, INSTRUMENTAL, UPLIFT = 0, 1, 2, 3


# -- what a row carries -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TreeShape:
    """What the sums of a tree are.

    Attributes
    ----------
    kind : int
        Regression, causal, instrumental or uplift.
    n_treatments, n_outcomes : int
    n_groups : int
        Columns that count rows by group, each of which every leaf must hold.
    criterion : int
        Of uplift trees.
    normalise : bool
    """

    kind: int
    n_treatments: int
    n_outcomes: int
    n_groups: int
    criterion: int = 0
    normalise: bool = False

    @property
    def n_moments(self) -> int:
        """Columns before those of the groups."""
        K, M = self.n_treatments, self.n_outcomes
        return {
            REGRESSION: 1 + M,
            CAUSAL: 1 + K + M + K * (K + 1) // 2 + K * M,
            INSTRUMENTAL: 7,
            UPLIFT: 1 + 3 * self.n_groups,
        }[self.kind]

    @property
    def n_pseudo(self) -> int:
        """Pseudo-outcomes of a node."""
        return {REGRESSION: self.n_outcomes, CAUSAL: self.n_treatments * self.n_outcomes, INSTRUMENTAL: 1, UPLIFT: 0}[
            self.kind
        ]

    def array(self) -> Ints:
        """As the kernel reads it."""
        return np.array(
            [
                self.kind, self.n_treatments, self.n_outcomes, self.n_pseudo, self.n_moments, self.n_groups,
                self.criterion, int(self.normalise), self.n_moments,
            ],
            dtype=np.int64,
        )  # fmt: skip


def on_grid(sums: Floats) -> Floats:
    """Round every column to multiples of a power of two of which all partial sums are exact in double precision.

    Sums then do not depend on the order of rows, and a histogram by subtraction is the histogram by counting. What is
    rounded away is below ``2^-52`` of a column's sum of absolute values.
    """
    out = np.empty_like(sums)
    for q in range(sums.shape[1]):
        size = np.abs(sums[:, q]).sum()
        if size > 0:
            grid = np.ldexp(1.0, int(np.frexp(size)[1]) - 52)
            np.rint(sums[:, q] / grid, out=out[:, q])
            out[:, q] *= grid
        else:
            out[:, q] = 0.0
    return out


def _padded(columns: Sequence[Floats]) -> Floats:
    """Columns side by side, in a multiple of four."""
    width = -(-len(columns) // 4) * 4
    out = np.zeros((len(columns[0]), width))
    for q, column in enumerate(columns):
        out[:, q] = column
    return on_grid(out)


def causal_sums(w: Floats, D: Floats, Y: Floats, groups: Floats) -> Floats:
    """Weight, treatments, outcomes, products of treatments, treatments times outcomes, groups.

    Parameters
    ----------
    w : ndarray (n,)
    D : ndarray (n, K)
        Treatments less their means.
    Y : ndarray (n, M)
        Outcomes less their means.
    groups : ndarray (n, G)
        Indicators.
    """
    K = D.shape[1]
    products = [D[:, j] * D[:, k] for j in range(K) for k in range(j + 1)]
    crossed = [D[:, k] * Y[:, m] for k in range(K) for m in range(Y.shape[1])]
    return _padded([w, *(w * c for c in (*D.T, *Y.T, *products, *crossed)), *groups.T])


def instrumental_sums(w: Floats, z: Floats, d: Floats, y: Floats, groups: Floats) -> Floats:
    """Weight, instrument, treatment, outcome, products of the instrument with the others and itself, groups."""
    return _padded([w, *(w * c for c in (z, d, y, z * d, z * y, z * z)), *groups.T])


def regression_sums(w: Floats, Y: Floats) -> Floats:
    """Weight, outcomes, rows."""
    return _padded([w, *(w * c for c in Y.T), np.ones(len(w))])


def uplift_sums(w: Floats, arms: Floats, y: Floats) -> Floats:
    """Weight; weight, outcome and its square by arm; rows by arm."""
    by_arm = [part for a in arms.T for part in (w * a, w * a * y, w * a * y * y)]
    return _padded([w, *by_arm, *arms.T])


# -- who is drawn -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sampling:
    """Which rows trees see: bags of two trees on a half-sample, or trees by themselves; honest halves; whole clusters.

    Attributes
    ----------
    n : int
        Rows.
    share : float
        Of the rows (clusters), for every tree.
    honest_share : float
        Of a tree's rows, that its splits are found on; 1: its leaves are theirs too.
    pairs : bool
        Bags of two trees, for variances.
    members : ndarray (n,) or None
        Rows by cluster, one cluster after another.
    starts : ndarray (clusters + 1,) or None
    per_cluster : int
        Rows taken of every cluster; 0: all.
    """

    n: int
    share: float
    honest_share: float
    pairs: bool
    members: Ints | None = None
    starts: Ints | None = None
    per_cluster: int = 0

    @classmethod
    def of(
        cls, n: int, share: float, honest_share: float, *, pairs: bool, clusters: Codes | None = None,
        equalise: bool = False,
    ) -> Sampling:  # fmt: skip
        """From the settings and cluster codes (n,)."""
        if clusters is None:
            return cls(n, share, honest_share, pairs)
        sizes = np.bincount(clusters)
        members = np.argsort(clusters, kind="stable")
        least = int(sizes.min()) if equalise else 0
        return cls(n, share, honest_share, pairs, members, np.concatenate([[0], np.cumsum(sizes)]), least)

    @property
    def n_units(self) -> int:
        """Rows, or clusters."""
        return self.n if self.starts is None else len(self.starts) - 1

    def tree(self, seeds: NDArray[np.uint64]) -> tuple[Ints, Ints]:
        """Rows that a tree's splits are found on, and rows of its leaves.

        Parameters
        ----------
        seeds : ndarray (4,), uint64
            Of the bag, of the tree's part of it, of the honest half, of the rows in clusters.
        """
        n = self.n_units
        if self.pairs:
            half = draw_rows(n, max((n + 1) // 2, min(n, 2)), seeds[0])
            size = min(len(half), max(round(self.share * n), min(n, 2)))
            units = half if size == len(half) else half[draw_rows(len(half), size, seeds[1])]
        else:
            units = draw_rows(n, min(n, max(round(self.share * n), min(n, 2))), seeds[1])
        if self.honest_share >= 1.0 or len(units) < 2:
            rows = self._rows(units, seeds[3])
            return rows, rows
        k = min(max(round(self.honest_share * len(units)), 1), len(units) - 1)
        at = draw_rows(len(units), k, seeds[2])
        other = np.ones(len(units), dtype=bool)
        other[at] = False
        return self._rows(units[at], seeds[3]), self._rows(units[other], seeds[3])

    def _rows(self, units: Ints, seed: Any) -> Ints:
        if self.starts is None or self.members is None:
            return np.asarray(units)
        low, high = self.starts[units], self.starts[units + 1]
        if self.per_cluster:
            # the same draw of a cluster in either half: each cluster is in one of them
            at = [
                low[i] + draw_rows(high[i] - low[i], self.per_cluster, seed + np.uint64(u)) for i, u in enumerate(units)
            ]
            return np.asarray(np.sort(self.members[np.concatenate(at)]))
        sizes = high - low
        every = np.repeat(low - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes) + np.arange(sizes.sum())
        return np.asarray(np.sort(self.members[every]))


@dataclass(frozen=True)
class GrowthRules:
    """When a split is allowed.

    Attributes
    ----------
    least : int
        Rows of every group in a leaf of the splitting half.
    alpha : float
        Least share of the parent's treatment variation (sum of squared residuals) in a child.
    penalty : float
        Of children with little of it.
    tried : float
        Expected number of covariates tried at a node.
    depth : int
    cost : tuple of float
        Of every arm of an uplift tree, in units of the outcome.
    """

    least: int = 5
    alpha: float = 0.05
    penalty: float = 0.0
    tried: float = 1.0
    depth: int = 1_000_000
    cost: tuple[float, ...] = ()

    def arrays(self, n_groups: int) -> tuple[Floats, Floats]:
        """As the kernel reads them."""
        limits = np.array([self.least, self.alpha, self.penalty, self.tried, self.depth, 0.0])
        return limits, np.array(self.cost or (0.0,) * n_groups)


# -- growing ----------------------------------------------------------------------------------------------------------


def n_threads(n_jobs: int | None) -> int:
    """Threads for a setting of n_jobs; None: all cores."""
    return (os.cpu_count() or 1) if n_jobs is None else int(joblib.effective_n_jobs(n_jobs))


def in_threads(
    task: Callable[[Any], _Out], items: Iterable[Any], n_jobs: int | None, words: str = "", total: int = 0
) -> Iterator[_Out]:
    """Results of a task, in order, computed in threads; with words, a bar after two seconds. Ctrl-C ends it."""
    threads = n_threads(n_jobs)
    bar = {"total": total, "desc": words, "delay": 2, "disable": not words}
    if threads == 1:
        yield from tqdm(map(task, items), **bar)
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield from tqdm(pool.map(task, items), **bar)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class _Tree(NamedTuple):
    feature: Values
    flags: Values
    cut: Values
    child: Values
    masks: Values
    leaves: Floats
    gains: Floats


def grow_tree(
    codes: Covariate8, binning: Binning, sums: Floats, shape: TreeShape, rules: GrowthRules,
    rows: tuple[Ints, Ints], seed: Any,
) -> _Tree:  # fmt: skip
    """One tree: splits found on the first rows, leaves summed over the second; see :func:`kernels.grow_nodes`."""
    limits, cost = rules.arrays(shape.n_groups)
    grown = grow_nodes(
        codes, binning.starts, binning.kinds, sums, np.asarray(rows[0], dtype=np.int64),
        np.asarray(rows[1], dtype=np.int64), shape.array(), limits, cost, np.uint64(seed),
    )  # fmt: skip
    return _Tree(*grown)


@dataclass(frozen=True, eq=False)
class Spread:
    """What pairs of trees say of the Monte Carlo error and of the sampling error of an estimate.

    Attributes
    ----------
    variance : ndarray (n, R)
        Of the estimate over samples: little bags, corrected for the number of trees.
    excess : ndarray (n, R)
        Of the forest over seeds: the error that more trees would take away.
    """

    variance: Floats
    excess: Floats


@dataclass(frozen=True, eq=False)
class Forest:
    """A grown forest, in flat arrays: 11 bytes a node, and a leaf's averages.

    Attributes
    ----------
    binning : Binning
    shape : TreeShape
    sampling : Sampling
    seeds : ndarray (trees, 5), uint64
    starts : ndarray (trees + 1, 3), int64
        First node, leaf and mask of every tree.
    feature, flags, cut, child, masks : ndarrays
        See :func:`kernels.grow_nodes`.
    leaves : ndarray (all leaves, moments), float64
        Weight, then averages over the leaf's rows.
    pruned : float
        Share of the rows of leaves that pruned the tree, and are not in its leaves.
    """

    binning: Binning
    shape: TreeShape
    sampling: Sampling
    seeds: NDArray[np.uint64]
    starts: Ints
    feature: Values
    flags: Values
    cut: Values
    child: Values
    masks: Values
    leaves: Floats = field(repr=False)
    pruned: float = 0.0

    @property
    def n_trees(self) -> int:
        """Trees."""
        return len(self.starts) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of nodes and leaves."""
        arrays = (self.feature, self.flags, self.cut, self.child, self.masks, self.leaves, self.starts, self.seeds)
        return sum(a.nbytes for a in arrays)

    @property
    def _arrays(self) -> tuple[Values, ...]:
        return self.feature, self.flags, self.cut, self.child, self.masks

    def leaf_rows(self, tree: int) -> tuple[Ints, Ints]:
        """Rows that a tree's leaves are estimated on, and those that prune it, drawn again."""
        rows = self.sampling.tree(self.seeds[tree])[1]
        if not self.pruned:
            return rows, rows[:0]
        at = draw_rows(len(rows), max(1, round(self.pruned * len(rows))), self.seeds[tree, 4])
        kept = np.ones(len(rows), dtype=bool)
        kept[at] = False
        return rows[kept], rows[at]

    def bags(self, n_jobs: int | None = None) -> Covariate8:
        """Bits of the rows that every tree was grown on (trees, bytes), drawn again."""
        n = self.sampling.n

        def one(seeds: NDArray[np.uint64]) -> Covariate8:
            mask = np.zeros(n, dtype=bool)
            for rows in self.sampling.tree(seeds):
                mask[rows] = True
            return np.packbits(mask, bitorder="little")

        return np.array(list(in_threads(one, self.seeds, n_jobs)))

    def moments(
        self, codes: Covariate8, bags: Covariate8 | None = None, n_jobs: int | None = None
    ) -> tuple[Floats, Floats]:
        """Averages over trees of the leaves' averages (n, moments), the first 1, and the trees that counted (n,)."""
        n = len(codes)
        out, trees = np.zeros((n, self.leaves.shape[1])), np.zeros(n)
        bag = np.zeros((self.n_trees, 0), dtype=np.uint8) if bags is None else bags
        starts = self.binning.starts

        def part(low: int) -> None:
            forest_moments(
                codes, low, min(low + _BLOCK, n), bag, self.starts, starts, *self._arrays, self.leaves, out, trees
            )

        for _ in in_threads(part, range(0, n, _BLOCK), n_jobs):
            pass
        with np.errstate(invalid="ignore", divide="ignore"):
            out /= trees[:, None]
        out[:, 0] = 1.0
        return out, trees

    def spread(
        self, codes: Covariate8, influence: Floats, bags: Covariate8 | None = None, n_jobs: int | None = None
    ) -> Spread:
        """Variance of estimates whose linear functions of the averages are given (n, R, moments).

        The bootstrap of little bags: the variance between half-samples of the mean of their trees, less what the
        trees' own randomness adds to it; where noise would make that negative, the mean of a normal with this centre
        and the noise's spread, truncated at zero.

        References
        ----------
        Athey, Tibshirani and Wager (2019), "Generalized random forests", Annals of Statistics 47, section 4.1.
        """
        n, R = influence.shape[:2]
        between, total, pairs = np.zeros((n, R)), np.zeros((n, R)), np.zeros(n)
        bag = np.zeros((self.n_trees, 0), dtype=np.uint8) if bags is None else bags
        starts = self.binning.starts

        def part(low: int) -> None:
            forest_spread(
                codes, low, min(low + _BLOCK, n), bag, self.starts, starts, *self._arrays, self.leaves, influence,
                between, total, pairs,
            )  # fmt: skip

        for _ in in_threads(part, range(0, n, _BLOCK), n_jobs):
            pass
        with np.errstate(invalid="ignore", divide="ignore"):
            between /= pairs[:, None]
            within = total / (2 * pairs[:, None]) - between  # of the mean of a pair, by its trees
            return Spread(truncated_mean(between - within, between, within, pairs[:, None]), within / pairs[:, None])

    def weights(self, codes: Covariate8, train: Covariate8, w: Floats, n_jobs: int | None = None) -> Floats:
        """Weight (m, n) of every fitted row in the averages at m rows; each sums to 1."""
        out = np.zeros((len(codes), self.sampling.n))
        every = np.arange(len(codes))
        starts = self.binning.starts
        for t in range(self.n_trees):
            rows = self.leaf_rows(t)[0]
            own = leaf_places(train, rows, t, self.starts, starts, *self._arrays)
            mine = leaf_places(codes, every, t, self.starts, starts, *self._arrays)
            total = np.bincount(own, weights=w[rows], minlength=int(max(own.max(), mine.max())) + 1)
            for i, leaf in enumerate(mine):
                members = rows[own == leaf]
                out[i, members] += w[members] / total[leaf]
        return out / self.n_trees

    def splits(self, depths: int) -> Floats:
        """Number of splits by depth and covariate (depths, p)."""
        counts = np.zeros((depths, len(self.binning.columns)))
        used_features(self.starts, self.feature, self.flags, self.child, counts)
        return counts


def truncated_mean(centre: Floats, between: Floats, within: Floats, pairs: Floats) -> Floats:
    """Mean of a normal truncated at zero: the posterior of a variance under a flat prior on positive numbers."""
    from scipy import special

    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        spread = np.maximum(between, within) * np.sqrt(2 / pairs)
        ratio = centre / spread
        # density over distribution function, by its logarithm where both vanish
        hazard = np.exp(-0.5 * np.square(ratio) - 0.5 * np.log(2 * np.pi) - special.log_ndtr(ratio))
        out = centre + spread * hazard
    return np.where(spread > 0, np.maximum(out, 0.0), np.maximum(centre, 0.0))


def grow_forest(
    codes: Covariate8,
    binning: Binning,
    sums: Floats,
    shape: TreeShape,
    rules: GrowthRules,
    sampling: Sampling,
    n_trees: int,
    seed: int,
    *,
    n_jobs: int | None = None,
    words: str = "",
) -> Forest:
    """Grow a forest: the same for any number of threads.

    Parameters
    ----------
    codes : ndarray (n, p), uint8
    binning : Binning
    sums : ndarray (n, S)
        See :func:`causal_sums` and its like.
    shape, rules, sampling : records
    n_trees : int
        Even where trees come in pairs.
    seed : int
    n_jobs : int, optional
        Threads; all cores by default.
    words : str
        Of the bar; none without.
    """
    state = np.random.SeedSequence(seed).generate_state(5 * n_trees, dtype=np.uint64)
    drawn = state.astype(np.uint64).reshape(n_trees, 5)
    if sampling.pairs:
        drawn[1::2, 0] = drawn[0::2, 0]
    m = shape.n_moments

    def one(seeds: NDArray[np.uint64]) -> _Tree:
        tree = grow_tree(codes, binning, sums, shape, rules, sampling.tree(seeds), seeds[4])
        leaves = np.ascontiguousarray(tree.leaves[:, :m])
        leaves[:, 1:] /= np.where(leaves[:, :1] > 0, leaves[:, :1], 1.0)
        return tree._replace(leaves=leaves, gains=np.empty(0))

    trees = list(in_threads(one, drawn, n_jobs, words, n_trees))
    sizes = np.array([[len(t.feature), len(t.leaves), len(t.masks)] for t in trees])
    starts = np.vstack([np.zeros((1, 3), dtype=np.int64), np.cumsum(sizes, axis=0)])
    feature, flags, cut, child, masks, leaves, _ = (np.concatenate(arrays) for arrays in zip(*trees, strict=True))
    return Forest(binning, shape, sampling, drawn, starts, feature, flags, cut, child, masks, leaves)


# -- from averages to effects -----------------------------------------------------------------------------------------


def solve_causal(moments: Floats, K: int, M: int) -> tuple[Floats, Floats]:
    """Effects (n, K, M) at averages (n, moments), and their derivatives (n, K * M, moments).

    Least squares of the outcomes on the treatments with an intercept, both weighted by the forest: eq. (18) of Athey,
    Tibshirani and Wager (2019) and its influence function. Where treatments do not vary the effect is NaN.
    """
    n = len(moments)
    t, y = moments[:, 1 : 1 + K], moments[:, 1 + K : 1 + K + M]
    at = 1 + K + M
    second = np.empty((n, K, K))
    place = {}
    for j in range(K):
        for k in range(j + 1):
            second[:, j, k] = second[:, k, j] = moments[:, at]
            place[j, k] = place[k, j] = at
            at += 1
    cross = moments[:, at : at + K * M].reshape(n, K, M)
    A = second - t[:, :, None] * t[:, None, :]
    scale = np.maximum(np.sqrt(np.einsum("nkk->nk", second)), 1e-300)
    relative = A / (scale[:, :, None] * scale[:, None, :])
    sound = np.isfinite(relative).all(axis=(1, 2))
    sound[sound] = np.linalg.eigvalsh(relative[sound])[:, 0] > 1e-9
    inverse = np.full((n, K, K), np.nan)
    inverse[sound] = np.linalg.inv(A[sound])
    theta = inverse @ (cross - t[:, :, None] * y[:, None, :])
    J = np.zeros((n, K * M, moments.shape[1]))
    intercept = y - np.einsum("nk,nkm->nm", t, theta)
    for k in range(K):
        for m in range(M):
            r = k * M + m
            for j in range(K):
                unit = inverse[:, k, j]
                # psi_j = T_j Y - T_j T theta - T_j c, less mean(T_j) (Y - T theta - c)
                J[:, r, at + j * M + m] += unit
                J[:, r, 1 + j] -= unit * intercept[:, m]
                J[:, r, 1 + K + m] -= unit * t[:, j]
                J[:, r, 0] += unit * t[:, j] * intercept[:, m]
                for i in range(K):
                    J[:, r, place[j, i]] -= unit * theta[:, i, m]
                    J[:, r, 1 + i] += unit * t[:, j] * theta[:, i, m]
    return theta, J


def solve_instrumental(moments: Floats) -> tuple[Floats, Floats]:
    """Effects (n, 1, 1) of a treatment moved by an instrument, and their derivatives (n, 1, moments)."""
    z, d, y, zd, zy, zz = moments[:, 1:7].T
    A = zd - z * d
    with np.errstate(invalid="ignore", divide="ignore"):
        A = np.where(np.abs(A) > 1e-9 * np.sqrt(np.maximum(zz - z * z, 1e-300)), A, np.nan)
        theta = (zy - z * y) / A
    c = y - theta * d
    J = np.zeros((len(moments), 1, moments.shape[1]))
    J[:, 0, 5] = 1 / A
    J[:, 0, 4] = -theta / A
    J[:, 0, 1] = -c / A
    J[:, 0, 3] = -z / A
    J[:, 0, 2] = z * theta / A
    J[:, 0, 0] = z * c / A
    return theta[:, None, None], J


def solve_uplift(moments: Floats) -> tuple[Floats, Floats]:
    """Differences of the arms' means from the control's (n, K - 1, 1), and their derivatives (n, K - 1, moments)."""
    share, total = moments[:, 1::3], moments[:, 2::3]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(share > 0, share, np.nan)
        means = total / share
        effects = means[:, 1:] - means[:, [0]]
        J = np.zeros((len(moments), effects.shape[1], moments.shape[1]))
        for k in range(effects.shape[1]):
            for a, sign in ((k + 1, 1.0), (0, -1.0)):
                J[:, k, 3 * a + 2] = sign / share[:, a]
                J[:, k, 3 * a + 1] = -sign * means[:, a] / share[:, a]
    return effects[:, :, None], J
