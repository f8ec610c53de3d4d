"""Tests of (conditional) independence on arrays, none of which forms a matrix of rows by rows.

Partial correlation, the G-test, and a test of residual features: functions of either variable, cleared of what
functions of the conditioning variables explain, must be uncorrelated. With random Fourier features for numbers it
approximates the kernel test of Zhang et al. (2011) in time linear in the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pandas_causal.kernels.arrays import Floats, Positions, Values

__all__ = [
    "Basis",
    "TestResult",
    "Variable",
    "feature_test",
    "fisher_z",
    "g_test",
    "joint_cells",
    "normal_scores",
    "own_features",
    "residuals",
    "weighted_chi2_sf",
]

_BLOCK = 4_096
_FIRST = 20_000
_RIDGE = 1e-6
_COLLINEAR = 1e-10
# A function of which the conditioning variables explain all but a ten-thousandth leaves rounding, and nothing to test
_NOTHING_LEFT = 0.01


class TestResult(NamedTuple):
    """A test's statistic, degrees of freedom (NaN where it has none) and p-value."""

    statistic: float
    df: float
    p_value: float


@dataclass(frozen=True, eq=False)
class Variable:
    """A column to test: numbers, or codes of `n_levels` levels (0: numeric)."""

    values: Values
    n_levels: int = 0

    def __len__(self) -> int:
        return len(self.values)

    @property
    def discrete(self) -> bool:
        """Whether it takes a few levels."""
        return self.n_levels > 0

    @cached_property
    def levels(self) -> Positions:
        """Levels that occur, but the first."""
        return np.flatnonzero(np.bincount(self.values, minlength=self.n_levels))[1:]

    @cached_property
    def scores(self) -> Floats:
        """Normal scores (n,)."""
        return normal_scores(np.asarray(self.values, dtype=float))

    def coded(self, at: slice) -> Floats:
        """Some rows as regressors: scores, or an indicator of every level but the first."""
        if not self.discrete:
            return self.scores[at, None]
        return (self.values[at, None] == self.levels).astype(float)


# -- partial correlation ---------------------------------------------------------------------------------------------


def fisher_z(x: Floats, y: Floats, Z: Floats) -> TestResult:
    """Partial correlation of x and y given Z (n, q), by Fisher's z: exact under linear Gaussian relations only.

    Directions of the standardised Z below 1e-10 of the largest are rounding: they explain nothing and cost no row.

    References
    ----------
    Fisher (1924), "The distribution of the partial correlation coefficient", Metron 3.
    """
    from scipy import special

    n = len(x)
    # centred and scaled: least squares takes a column far from 0, or much smaller than others, for a collinear one
    both, A = (_standard(np.asarray(part, dtype=float)) for part in (np.column_stack([x, y]), Z))
    coefficients, _, q, _ = np.linalg.lstsq(A, both, rcond=_COLLINEAR)
    residual = both - A @ coefficients
    scale = np.sqrt(np.square(residual).sum(axis=0))
    if n - q - 3 < 1 or (scale <= 1e-10 * np.sqrt(np.square(both).sum(axis=0))).any():
        return TestResult(np.nan, np.nan, 1.0)
    r = float(np.clip(residual[:, 0] @ residual[:, 1] / scale.prod(), -1 + 1e-15, 1 - 1e-15))
    z = np.sqrt(n - q - 3) * np.arctanh(r)
    return TestResult(float(z), np.nan, float(2 * special.ndtr(-abs(z))))


def _standard(M: Floats) -> Floats:
    """Columns of mean 0 and standard deviation 1; what varies by no more than rounding becomes 0."""
    size = np.abs(M).max(axis=0, initial=0.0)
    M = M / np.where(size > 0, size, 1.0)
    M = M - M.mean(axis=0)
    spread = M.std(axis=0)
    constant = spread <= 1e-15
    return np.where(constant, 0.0, M / np.where(constant, 1.0, spread))


# -- G-test ----------------------------------------------------------------------------------------------------------


def g_test(x: Positions, y: Positions, strata: Positions) -> TestResult:
    """Likelihood-ratio test of independence within strata.

    ``G = 2 sum O log(O / E)``, with the degrees of freedom ``(rows - 1)(columns - 1)`` of every stratum counted over
    the levels that occur in it.

    References
    ----------
    Wilks (1935), Annals of Mathematical Statistics 6; Tsamardinos, Brown and Aliferis (2006), Machine Learning 65, for
    the degrees of freedom of sparse strata.
    """
    from scipy import special

    kx, ky, ks = int(x.max()) + 1, int(y.max()) + 1, int(strata.max()) + 1
    cells = np.bincount((strata * kx + x) * ky + y, minlength=ks * kx * ky).reshape(ks, kx, ky).astype(float)
    rows, columns, total = cells.sum(axis=2), cells.sum(axis=1), cells.sum(axis=(1, 2))
    inside = cells > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = cells * total[:, None, None] / (rows[:, :, None] * columns[:, None, :])
    statistic = 2 * float((cells[inside] * np.log(ratio[inside])).sum())
    df = float((((rows > 0).sum(axis=1) - 1).clip(0) * ((columns > 0).sum(axis=1) - 1).clip(0)).sum())
    statistic = max(statistic, 0.0)
    return TestResult(statistic, df, float(special.gammaincc(df / 2, statistic / 2)) if df else 1.0)


# -- residual features -----------------------------------------------------------------------------------------------


def normal_scores(x: Floats) -> Floats:
    """Normal quantiles of mid-ranks: independence does not depend on units, and outliers lose their weight."""
    from scipy import special, stats

    return special.ndtri((stats.rankdata(x) - 0.5) / len(x))


def own_features(v: Variable, n_random: int, rng: np.random.Generator) -> Floats:
    """Functions (n, d) of one variable: level indicators, or normal scores and random Fourier features of them.

    The random features share the weight of one linear feature, so that the test keeps most of the power of a
    correlation test against a monotone dependence.
    """
    if v.discrete:
        out = v.coded(slice(None))
    else:
        w = 1.5 * rng.normal(size=n_random)
        b = rng.uniform(0, 2 * np.pi, n_random)
        out = np.column_stack([v.scores, np.cos(v.scores[:, None] * w + b)])
    out -= out.mean(axis=0)
    scale = out.std(axis=0)
    out /= np.where(scale > 0, scale, 1.0)
    if not v.discrete:
        out[:, 1:] /= np.sqrt(max(n_random, 1))
    return out


@dataclass(frozen=True, eq=False)
class Basis:
    """Functions of the conditioning variables, made block by block: no matrix as long as the data is kept.

    Either one indicator per combination of levels, or the variables, their squares and products, and hinges
    ``max(0, w'z - b)``: random features whose kernel is the arc-cosine kernel of order 1.

    Attributes
    ----------
    variables : tuple of Variable
    cells : ndarray (n,) or None
        Combination of levels of every row, where all variables are discrete and combinations are few.
    n_cells : int
    directions : ndarray (q, k)
    bends : ndarray (k,)
    products : bool
        Whether the products of all pairs are among the functions.

    References
    ----------
    Cho and Saul (2009), "Kernel methods for deep learning", NeurIPS, eq. (3).
    """

    variables: tuple[Variable, ...]
    cells: Positions | None
    n_cells: int
    directions: Floats
    bends: Floats
    products: bool

    @classmethod
    def draw(cls, variables: Sequence[Variable], n_random: int, rng: np.random.Generator) -> Basis:
        """Draw the hinges: half along one variable each, since most regressions are nearly additive."""
        empty = np.zeros((0, 0))
        n = len(variables[0])
        if all(v.discrete for v in variables):
            cells = joint_cells(variables)
            n_cells = int(cells.max()) + 1
            if n_cells <= max(n_random, 2):
                return cls(tuple(variables), cells, n_cells, empty, np.zeros(0), False)
        if len(variables) == 1 and not variables[0].discrete:
            n_random = 3 * n_random // 2
        sample = np.hstack([v.coded(slice(None))[rng.integers(n, size=n_random)] for v in variables])
        q = sample.shape[1]
        alone = n_random if q == 1 else n_random // 2
        w = rng.normal(size=(q, n_random))
        w[:, :alone] = np.sign(w[:, :alone]) * (np.arange(q)[:, None] == np.arange(alone) % q)
        w /= np.maximum(np.sqrt(np.square(w).sum(axis=0)), 1e-12)
        if len(variables) == 1 and not variables[0].discrete:
            # of one variable evenly spread bends follow a wave that random ones, near each other by chance, would miss
            bends = np.quantile(variables[0].scores, (np.arange(n_random) + 0.5) / n_random) * np.sign(w[0])
        else:
            bends = np.einsum("kq,qk->k", sample, w)  # at rows of the data, so that bends are where rows are
        few = q * (q - 1) // 2 <= max(n_random // 2, 3)
        return cls(tuple(variables), None, 0, w, bends, few)

    def __len__(self) -> int:
        return len(self.variables[0])

    def rows(self, at: slice) -> Floats:
        """Functions of some rows (b, m), the constant first."""
        if self.cells is not None:
            out = (self.cells[at, None] == np.arange(self.n_cells)).astype(float)
            out[:, 0] = 1.0
            return out
        z = np.hstack([v.coded(at) for v in self.variables])
        b, q = z.shape
        k = len(self.bends)
        pairs = q * (q - 1) // 2 if self.products else 0
        out = np.empty((b, 1 + 2 * q + pairs + k))
        out[:, 0] = 1.0
        out[:, 1 : 1 + q] = z
        np.square(z, out=out[:, 1 + q : 1 + 2 * q])
        start = 1 + 2 * q
        if pairs:
            for j in range(q - 1):
                np.multiply(z[:, [j]], z[:, j + 1 :], out=out[:, start : start + q - 1 - j])
                start += q - 1 - j
        hinge = z @ self.directions
        hinge -= self.bends
        np.maximum(hinge, 0.0, out=out[:, start:])
        return out

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        """Blocks of rows."""
        for start in range(0, len(self), _BLOCK):
            at = slice(start, min(start + _BLOCK, len(self)))
            yield at, self.rows(at)


def joint_cells(variables: Sequence[Variable]) -> Positions:
    """Number the combinations of levels that occur."""
    code = np.zeros(len(variables[0]), dtype=np.intp)
    for v in variables:
        code = np.unique(code * v.n_levels + v.values, return_inverse=True)[1].reshape(-1)
    return code


def _ridge(gram: Floats, moments: Sequence[Floats], n: int) -> tuple[list[Floats], float]:
    """Coefficients of every set of targets, and the degrees of freedom used.

    No rank is cut: the ridge, a millionth of a function with variance 1, is a million times the rounding of a Gram
    matrix in double precision, so that every direction is damped by a known amount, whatever the processor.
    """
    from scipy import linalg

    ridge = _RIDGE * n
    factor = linalg.cho_factor(gram + ridge * np.eye(len(gram)), lower=True)
    used = len(gram) - ridge * float(np.trace(linalg.cho_solve(factor, np.eye(len(gram)))))
    return [linalg.cho_solve(factor, m) for m in moments], used


def residuals(basis: Basis, targets: Sequence[Floats], n_index: int) -> list[tuple[Floats, float]]:
    """Each target (n, d) less its regression on the basis, and the degrees of freedom that took.

    With `n_index` a first regression, on at most 20,000 rows, predicts the first column of every target, and hinges of
    that prediction join the basis: functions of a variable that is ``f(z) + noise`` depend on z through f(z) alone, and
    no affordable number of functions of many z would stand for them.
    """
    n, indices = len(basis), _first_predictions(basis, targets, n_index) if n_index else None
    gram: Any = 0.0
    moments: list[Any] = [0.0] * len(targets)
    crosses: list[list[Any]] = [[0.0, 0.0, 0.0] for _ in targets]
    for at, F in basis.blocks():
        gram = gram + F.T @ F
        for k, t in enumerate(targets):
            moments[k] = moments[k] + F.T @ t[at]
            if indices is not None:
                H, sums = indices[k](F), crosses[k]
                sums[0], sums[1], sums[2] = sums[0] + F.T @ H, sums[1] + H.T @ H, sums[2] + H.T @ t[at]
    if indices is None:
        fits, used = _ridge(np.asarray(gram), [np.asarray(m) for m in moments], n)
        solved = [(c, used) for c in fits]
    else:
        solved = []
        for m, (cross, inner, moment) in zip(moments, crosses, strict=True):
            whole = np.block([[np.asarray(gram), np.asarray(cross)], [np.asarray(cross).T, np.asarray(inner)]])
            (c,), used = _ridge(whole, [np.vstack([m, moment])], n)
            solved.append((c, used))
    out = [np.empty_like(t) for t in targets]
    for at, F in basis.blocks():
        for k, (t, o) in enumerate(zip(targets, out, strict=True)):
            c = solved[k][0]
            o[at] = t[at] - F @ c[: F.shape[1]]
            if indices is not None:
                o[at] -= indices[k](F) @ c[F.shape[1] :]
    for t, o in zip(targets, out, strict=True):
        o[:, o.std(axis=0) < _NOTHING_LEFT * t.std(axis=0)] = 0.0
    return [(o, used) for o, (_, used) in zip(out, solved, strict=True)]


@dataclass(frozen=True, eq=False)
class _Index:
    """Hinges of a linear combination of the basis, which bend at its quantiles."""

    coefficients: Floats
    bends: Floats
    scale: float

    def __call__(self, F: Floats) -> Floats:
        out = ((F @ self.coefficients)[:, None] - self.bends) / self.scale
        return np.maximum(out, 0.0, out=out)


def _first_predictions(basis: Basis, targets: Sequence[Floats], n_index: int) -> list[_Index]:
    """Predict the first column of every target on a spread of rows, and say where the hinges of that bend."""
    n = len(basis)
    size = min(n, _FIRST)
    n_blocks = -(-size // 2_048)
    starts = np.linspace(0, max(n - size // n_blocks, 0), n_blocks).astype(int)
    parts = [slice(start, min(start + size // n_blocks, n)) for start in starts]
    F = np.concatenate([basis.rows(at) for at in parts])
    seen = [np.concatenate([t[at, :1] for at in parts]) for t in targets]
    fits, _ = _ridge(F.T @ F, [F.T @ t for t in seen], len(F))
    out = []
    for c in fits:
        index = F @ c[:, 0]
        bends = np.quantile(index, (np.arange(n_index) + 0.5) / n_index)
        out.append(_Index(c[:, 0], bends, max(float(index.std()), 1e-6)))
    return out


def feature_test(rx: Floats, ry: Floats, used: float = 1.0) -> TestResult:
    """Test that residual features rx (n, d) and ry (n, e) are uncorrelated.

    ``S = n |rx' ry / n|^2`` is, without dependence, a sum of squared normals weighted by the eigenvalues of the
    covariance of the products. `used` is the degrees of freedom of the regressions, for which the products are too
    small.

    References
    ----------
    Strobl, Zhang and Visweswaran (2019), "Approximate kernel-based conditional independence tests for fast
    non-parametric causal discovery", Journal of Causal Inference 7, for the random features; Shah and Peters (2020),
    "The hardness of conditional independence testing and the generalised covariance measure", Annals of Statistics 48,
    section 3, for the law of products of residuals.
    """
    n, d, e = len(rx), rx.shape[1], ry.shape[1]
    if not d or not e:
        return TestResult(0.0, np.nan, 1.0)
    sums, second = np.zeros(d * e), np.zeros((d * e, d * e))
    for start in range(0, n, _BLOCK):
        at = slice(start, start + _BLOCK)
        product = (rx[at][:, :, None] * ry[at][:, None, :]).reshape(-1, d * e)
        sums += product.sum(axis=0)
        second += product.T @ product
    statistic = float(sums @ sums) / n
    covariance = (second - np.outer(sums, sums) / n) / max(n - used, 1.0)
    weights: Floats = np.asarray(np.linalg.eigvalsh(covariance), dtype=float)
    return TestResult(statistic, np.nan, weighted_chi2_sf(statistic, weights))


def weighted_chi2_sf(q: float, weights: Floats) -> float:
    """Return P(sum_k weights_k Z_k^2 > q) by the three-moment gamma approximation.

    References
    ----------
    Buckley and Eagleson (1988), "An approximation to the distribution of quadratic forms in normal random variables",
    Australian Journal of Statistics 30, after Hall (1983).
    """
    from scipy import special

    w = weights[weights > 1e-12 * max(weights.max(), 0.0)]
    if not len(w) or w.max() <= 0:
        return 1.0
    mean, variance, third = w.sum(), 2 * np.square(w).sum(), 8 * (w**3).sum()
    df = 8 * variance**3 / third**2
    standard = df + np.sqrt(2 * df) * (q - mean) / np.sqrt(variance)
    return float(special.gammaincc(df / 2, max(standard, 0.0) / 2))
