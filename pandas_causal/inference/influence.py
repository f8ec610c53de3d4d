"""Influence: parameters with per-row contributions, and every variance that follows from them.

An estimator that is asymptotically linear has ``estimate - truth ~ sum_i contributions[i]``. Standard errors, clusters,
contrasts, comparisons of fits and averages at estimated weights are all linear algebra on these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError
from pandas_causal.inference.few_treated import Support, beside
from pandas_causal.inference.rows import RowIdentity, join_rows
from pandas_causal.kernels.arrays import Codes, Floats, Positions

__all__ = [
    "MOST_WAYS",
    "Component",
    "Influence",
    "cluster_component",
    "cluster_sums",
    "join",
    "quadratic_forms",
    "repeated_components",
    "shifts",
    "square_root",
    "standard_error",
    "ways_in_words",
]

MOST_WAYS = 4
_ROUNDING = 1e-9
_NOTHING = 1e-14  # of the standard errors that a contrast adds up
_BLOCK = 131_072


@dataclass(frozen=True, eq=False)
class Component:
    """One term of the variance of the parameters.

    Attributes
    ----------
    meat : ndarray (k, k)
        Variance contributed by this term, small-sample factors included.
    df : float
        Degrees of freedom of the term; infinite under a normal law.
    joint_scale : float
        Part of the factor that a joint test divides out again: Hotelling's scale wants G / (G - 1) alone.
    by_row : callable or None
        Degrees of freedom (rows,) of contrasts (rows, k) of the parameters, where they depend on the contrast.
    shift : ndarray (k,) or None
        Where the term is the square of a shift that all parameters make together, and not of what rows contribute: it
        stays whatever rows are clustered by.
    """

    meat: Floats
    df: float = np.inf
    joint_scale: float = 1.0
    by_row: Callable[[Floats], Floats] | None = None
    shift: Floats | None = None

    @classmethod
    def of_shift(cls, shift: Floats) -> Component:
        """The term of a shift (k,)."""
        return cls(np.outer(shift, shift), shift=shift)

    @classmethod
    def of_sums(
        cls,
        sums: Floats,
        df: float = np.inf,
        joint_scale: float = 1.0,
        by_row: Callable[[Floats], Floats] | None = None,
    ) -> Component:
        """The term ``sums' sums`` of what independent rows (r, k) contribute, squared when it is asked for."""
        return _OfSums(sums, df, joint_scale, by_row)

    def variances(self, loadings: Floats) -> Floats:
        """What the term adds to the variance (rows,) of contrasts (rows, k); clustered ways may make it negative."""
        one = _one_parameter_each(loadings)
        if one is not None:
            return np.square(one.factors) * np.diag(self.meat)[one.at]
        out = np.empty(len(loadings))
        for start in range(0, len(loadings), _BLOCK):
            block = loadings[start : start + _BLOCK]
            out[start : start + _BLOCK] = np.einsum("ij,ij->i", block @ self.meat, block)
        return out

    def between(self, loadings: Floats) -> Floats:
        """What the term adds to the covariance (rows, rows) of contrasts (rows, k)."""
        one = _one_parameter_each(loadings)
        if one is not None:
            return np.outer(one.factors, one.factors) * self.meat[np.ix_(one.at, one.at)]
        return loadings @ self.meat @ loadings.T

    def with_meat(self, meat: Floats) -> Component:
        """The same law of another variance."""
        return Component(meat, self.df, self.joint_scale, self.by_row, self.shift)

    def with_df(self, df: float) -> Component:
        """The same variance of another law."""
        return Component(self.meat, df, self.joint_scale, self.by_row, self.shift)

    def settled(self) -> Component:
        """The same of a matrix over the parameters alone: nothing as long as the data is kept."""
        return self

    def freedom(self, loadings: Floats) -> Floats:
        """Degrees of freedom (rows,) of contrasts (rows, k) of the parameters."""
        return np.full(len(loadings), self.df) if self.by_row is None else self.by_row(loadings)

    def placed(self, block: slice, size: int) -> Component:
        """The same term among more parameters (size,), its own in a block of them."""
        meat = np.zeros((size, size))
        meat[block, block] = self.meat
        if self.shift is not None:
            shift = np.zeros(size)
            shift[block] = self.shift
            return Component.of_shift(shift)
        return self.with_meat(meat).of_blocks([block])

    def of_blocks(self, blocks: Sequence[slice]) -> Component:
        """The same degrees of freedom, of contrasts over blocks of parameters alike: the fewest of any block used."""
        if self.by_row is None:
            return self
        law = _OfBlocks(self.by_row, tuple(blocks))
        return Component(self.meat, self.df, self.joint_scale, law, self.shift)


class _OfSums(Component):
    """The square of what independent rows contribute.

    With thousands of parameters the k x k meat costs more than all that is asked of it: variances of the parameters
    are sums of squares, and few contrasts of many parameters are formed before they are squared.
    """

    sums: Floats

    def __init__(self, sums: Floats, df: float, joint_scale: float, by_row: Callable[[Floats], Floats] | None) -> None:
        given = {"sums": sums, "df": df, "joint_scale": joint_scale, "by_row": by_row, "shift": None}
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name != "meat" or "sums" not in self.__dict__:
            raise AttributeError(name)
        meat = self.sums.T @ self.sums
        object.__setattr__(self, "meat", meat)
        return meat

    def variances(self, loadings: Floats) -> Floats:
        one = _one_parameter_each(loadings)
        if one is not None:
            return np.square(one.factors) * np.einsum("ij,ij->j", self.sums, self.sums)[one.at]
        if len(loadings) < loadings.shape[1]:
            each = self.sums @ loadings.T
            out = np.einsum("ij,ij->j", each, each)
            size = np.abs(loadings) @ np.sqrt(np.einsum("ij,ij->j", self.sums, self.sums))
            # parameters that cancel leave rounding; what is not finite stays so
            return np.where((out <= np.square(_NOTHING * size)) & np.isfinite(out), 0.0, out)
        return super().variances(loadings)

    def between(self, loadings: Floats) -> Floats:
        if len(loadings) < loadings.shape[1]:
            each = self.sums @ loadings.T
            return each.T @ each
        return super().between(loadings)

    def with_df(self, df: float) -> Component:
        return _OfSums(self.sums, df, self.joint_scale, self.by_row)

    def settled(self) -> Component:
        # a root of the meat in place of the rows: squares of it are the same, and what cancels still does
        return _OfSums(np.asarray(np.linalg.qr(self.sums, mode="r")), self.df, self.joint_scale, self.by_row)


class _OneEach(NamedTuple):
    """Loadings that read one parameter a row: which one (rows,), and times what (rows,)."""

    at: Positions
    factors: Floats


def _one_parameter_each(loadings: Floats) -> _OneEach | None:
    """None where a row reads several parameters, or none."""
    if (np.count_nonzero(loadings[:64], axis=1) != 1).any():  # effects of a million rows are not looked through
        return None
    row, at = np.nonzero(loadings)
    if len(row) != len(loadings) or not np.array_equal(row, np.arange(len(row))):
        return None
    return _OneEach(at, loadings[row, at])


@dataclass(frozen=True, eq=False)
class _OfBlocks:
    """Degrees of freedom of contrasts over blocks of parameters."""

    law: Callable[[Floats], Floats]
    blocks: tuple[slice, ...]

    def __call__(self, loadings: Floats) -> Floats:
        out = np.full(len(loadings), np.inf)
        for block in self.blocks:
            used = (loadings[:, block] != 0).any(axis=1)
            out[used] = np.minimum(out[used], self.law(loadings[used][:, block]))
        return out


def quadratic_forms(loadings: Floats, matrix: Floats) -> Floats:
    """Return ``l' M l`` for every row of `loadings`; negative values beyond rounding are refused."""
    return _not_negative(Component(matrix).variances(loadings), loadings, lambda: matrix)


def _not_negative(out: Floats, loadings: Floats, matrix: Callable[[], Floats]) -> Floats:
    """Variances (rows,) of contrasts, with 0 where rounding left less."""
    if len(out) and out.min() < 0:
        scale = np.square(np.abs(loadings) @ np.sqrt(np.abs(np.diag(matrix()))))
        if bool((out < -_ROUNDING * np.maximum(scale, np.finfo(float).tiny)).any()):
            raise CausalError(
                f"a variance is negative ({out.min():.3g}); clustering several ways does this when one of them has few "
                "or near-identical clusters: cluster one way, by the level at which treatment was assigned"
            )
        np.maximum(out, 0.0, out=out)
    return out


def square_root(covariance: Floats) -> Floats:
    """Matrix R (k, k) with ``R R' = covariance``, which may be singular: the symmetric one of the correlations.

    Draws are made of it, so it is the one root that does not depend on which eigenvectors a processor happens to find
    (their signs, and any basis where eigenvalues repeat). Eigenvalues below 0, which are rounding, count as 0.
    """
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    return np.asarray(scale[:, None] * ((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T))


def cluster_sums(contributions: Floats, labels: object) -> pd.DataFrame:
    """Sum contributions by cluster; labels are kept, so that chunks of one frame merge before squaring."""
    codes, names = pd.factorize(_as_key(labels), sort=False)
    if (codes < 0).any():
        raise CausalDataError(f"{int((codes < 0).sum()):,} rows have no cluster label; give each row a label")
    sums = np.empty((len(names), contributions.shape[1]))
    for j in range(contributions.shape[1]):
        sums[:, j] = np.bincount(codes, weights=contributions[:, j], minlength=len(names))
    return pd.DataFrame(sums, index=pd.Index(names))


def _as_key(labels: Any) -> Any:
    return labels if isinstance(labels, pd.Index | pd.Series | np.ndarray) else pd.Series(labels, copy=False)


def _one_way(contributions: Floats, labels: object, p: int, small_sample: bool) -> tuple[Floats, int, float]:
    sums = cluster_sums(contributions, labels).to_numpy()
    groups, n = len(sums), len(contributions)
    if groups < 2:
        raise CausalDataError(
            "there are fewer than 2 clusters; clustered errors need at least two, and many to be right"
        )
    extra = (n - 1) / (n - p) if small_sample and n > p else 1.0
    factor = groups / (groups - 1) * extra if small_sample else 1.0
    return np.sqrt(factor) * sums, groups, extra


def cluster_component(contributions: Floats, by: Sequence[object], *, p: int, small_sample: bool = True) -> Component:
    """Clustered variance, one way or several ways.

    Parameters
    ----------
    contributions : ndarray (n, k)
        Raw contributions, without small-sample factors.
    by : sequence of one to four arrays (n,)
        Cluster labels, an array a way.
    p : int
        Number of parameters in the factor (n - 1) / (n - p).
    small_sample : bool
        CR1 factor G / (G - 1) * (n - 1) / (n - p) and G - 1 degrees of freedom; otherwise the raw sum and a normal law.

    References
    ----------
    Cameron, Gelbach and Miller (2011), "Robust inference with multiway clustering", JBES, eq. (2.11) and (2.13): each
    term carries its own factor, and the degrees of freedom are those of the way with the fewest clusters.
    """
    if not 1 <= len(by) <= MOST_WAYS:
        raise CausalArgumentError(f"cluster takes one set of labels or a list of up to {MOST_WAYS}; got {len(by)}")
    single = [_one_way(contributions, labels, p, small_sample) for labels in by]
    groups, extra = min(groups for _, groups, _ in single), max(extra for _, _, extra in single)
    df = float(groups - 1) if small_sample else np.inf
    if len(by) == 1:
        return Component.of_sums(single[0][0], df, extra)
    k = contributions.shape[1]
    meat = sum((sums.T @ sums for sums, _, _ in single), np.zeros((k, k)))
    codes = [pd.factorize(_as_key(labels))[0] for labels in by]
    for size in range(2, len(by) + 1):
        sign = 1.0 if size % 2 else -1.0
        for ways in combinations(codes, size):
            crossed, _, _ = _one_way(contributions, _crossed(ways), p, small_sample)
            meat = meat + sign * (crossed.T @ crossed)
    return Component(meat, df, extra)


def standard_error(contributions: Floats, by: Sequence[object]) -> float:
    """Of one parameter from its contributions (n,), clustered (CR1) where labels are given; NaN if the ways differ."""
    if not len(by):
        return float(np.sqrt(np.square(contributions).sum()))
    variance = float(cluster_component(contributions[:, None], by, p=1).meat[0, 0])
    return float(np.sqrt(variance)) if variance >= 0 else np.nan


def _crossed(ways: Sequence[Codes]) -> Codes:
    """Codes of the combinations of labels that occur."""
    out = np.asarray(ways[0], dtype=np.int64)
    for codes in ways[1:]:
        out = pd.factorize(out * (int(codes.max(initial=0)) + 1) + codes)[0]
    return out


def ways_in_words(n: int) -> str:
    """How many ways errors are clustered, for the words that name their method; one way goes without saying."""
    return "" if n == 1 else f" {('two', 'three', 'four')[n - 2]} ways"


def repeated_components(estimates: Floats, contributions: Floats, by: Sequence[object]) -> tuple[Component, ...] | None:
    """Variance of an average over M random splits of one sample; None (the plain variance) where there is one split.

    The variance of the mean contributions, clustered where labels are given, plus ``(1 + 1 / M) B`` with M - 1 degrees
    of freedom, B the variance between splits.

    Parameters
    ----------
    estimates : ndarray (M, k)
        Of every split.
    contributions : ndarray (n, k)
        Their mean over the splits.
    by : sequence of arrays (n,), none to four
        Cluster labels.
    """
    M, k = estimates.shape
    if M == 1:
        return None
    within = cluster_component(contributions, by, p=k) if by else Component.of_sums(contributions)
    B = np.atleast_2d(np.cov(estimates, rowvar=False))
    return within, Component((1 + 1 / M) * B, float(M - 1))


@dataclass(frozen=True, eq=False)
class Influence:
    """Parameters, the loadings that map them to the rows reported, and the contributions behind them.

    Attributes
    ----------
    values : ndarray (k,)
        The parameters: what was really estimated.
    names : Index (k,)
        Their names.
    loadings : ndarray (rows, k)
        Map from parameters to the rows reported (a Jacobian after a transformation).
    components : tuple of Component
        Terms whose sum is the variance of the parameters.
    contributions : ndarray (n, k) or None
        Divided by n already, each column summing to zero.
    rows : RowIdentity or None
        Identity of the n rows.
    clusters : mapping of str to ndarray (n,)
        Labels kept at fit, by column name.
    clustering : tuple of ndarray (n,), or None
        The labels the components are clustered by.
    treated : Support or None
        Units behind the parameters, treated and compared with, where they may be few: a row that rests on one has no
        standard error.
    factor_p : int or None
        Parameters counted in the factor (n - 1) / (n - p) of clustered errors; all of them by default. Cells of a
        panel are each a difference of means over the same units, so their number says nothing of the fit to a unit.
    unknown : str
        Why there is no variance (it is NaN), and what to do; empty where there is one.
    """

    values: Floats
    names: pd.Index
    loadings: Floats
    components: tuple[Component, ...]
    contributions: Floats | None = None
    rows: RowIdentity | None = None
    clusters: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    clustering: tuple[NDArray[np.generic], ...] | None = None
    treated: Support | None = None
    factor_p: int | None = None
    unknown: str = ""

    @classmethod
    def from_contributions(
        cls,
        values: Floats,
        contributions: Floats,
        rows: RowIdentity,
        *,
        names: pd.Index | None = None,
        loadings: Floats | None = None,
        components: tuple[Component, ...] | None = None,
        clusters: Mapping[str, NDArray[np.generic]] | None = None,
        clustering: tuple[NDArray[np.generic], ...] | None = None,
    ) -> Influence:
        """Build from estimates and contributions; the variance is their outer product unless given."""
        values = np.asarray(values, dtype=float)
        contributions = np.asarray(contributions, dtype=float).reshape(len(rows), len(values))
        return cls(
            values=values,
            names=pd.RangeIndex(len(values)) if names is None else names,
            loadings=np.eye(len(values)) if loadings is None else np.asarray(loadings, dtype=float),
            components=(Component.of_sums(contributions),) if components is None else components,
            contributions=contributions,
            rows=rows,
            clusters={} if clusters is None else clusters,
            clustering=clustering or None,
        )

    def without_contributions(self, reason: str) -> Influence:
        """The same parameters, of whose variance nothing is known, for the reason given."""
        k = len(self.values)
        return replace(
            self, contributions=None, components=(Component(np.full((k, k), np.nan)),), clustering=None, unknown=reason
        )

    def linear(self, matrix: Floats) -> Influence:
        """Map the rows reported by a matrix (m, rows)."""
        return replace(self, loadings=np.asarray(matrix, dtype=float) @ self.loadings)

    transform = linear

    def take(self, positions: Positions) -> Influence:
        """Keep some of the rows reported."""
        return replace(self, loadings=self.loadings[positions])

    def meat(self, *, joint: bool = False) -> Floats:
        """Variance of the parameters (k, k); ``joint`` leaves out the part that Hotelling's scale does not want."""
        total = np.zeros((len(self.values), len(self.values)))
        for component in self.components:
            total += component.meat / (component.joint_scale if joint else 1.0)
        return total

    def std_error(self) -> Floats:
        """Standard error of every row reported; NaN where one side of the comparison is a single unit."""
        total = sum((c.variances(self.loadings) for c in self.components), np.zeros(len(self.loadings)))
        out = np.sqrt(_not_negative(total, self.loadings, self.meat))
        out[self.n_treated() == 1] = np.nan
        return out

    def n_treated(self) -> Floats:
        """Independent units behind every row, treated or compared with; infinite where they are not counted."""
        if self.treated is None:
            return np.full(len(self.loadings), np.inf)
        return self.treated.behind(self.loadings)

    def covariance(self, *, joint: bool = False) -> Floats:
        """Covariance (rows, rows) of the rows reported."""
        out = np.zeros((len(self.loadings), len(self.loadings)))
        for component in self.components:
            out += component.between(self.loadings) / (component.joint_scale if joint else 1.0)
        single = self.n_treated() == 1
        out[single, :] = out[:, single] = np.nan
        return out

    def df(self) -> Floats:
        """Satterthwaite degrees of freedom of every row: ``(sum_b v_bj)^2 / sum_b (v_bj^2 / df_b)``."""
        if len(self.components) <= 1:
            return self.components[0].freedom(self.loadings) if self.components else np.full(len(self.loadings), np.inf)
        terms = np.stack([c.variances(self.loadings) for c in self.components])
        weights = np.stack([1.0 / c.freedom(self.loadings) for c in self.components])
        denominator = (np.square(terms) * weights).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            df = np.square(terms.sum(axis=0)) / denominator
        return np.where(denominator > 0, df, np.inf)

    def parameter_draws(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw n deviations of the parameters (n, k) from N(0, meat), in parameter space."""
        if self.unknown:
            raise CausalError(self.unknown)
        root = square_root(self.meat())
        return rng.standard_normal((n, len(root))) @ root.T

    def draws(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw n deviations of the rows reported (n, rows), heavier-tailed where degrees of freedom are few."""
        df = float(np.min(self.df())) if len(self.loadings) else np.inf
        z = self.parameter_draws(n, rng)
        if np.isfinite(df):
            z /= np.sqrt(rng.chisquare(df, n) / df)[:, None]
        return z @ self.loadings.T

    def cluster(self, by: Sequence[object], *, small_sample: bool = True) -> Influence:
        """Cluster the variance by one set of labels or several (CR1)."""
        contributions = self._need_contributions("cluster")
        p = len(self.values) if self.factor_p is None else self.factor_p
        component = cluster_component(contributions, by, p=p, small_sample=small_sample)
        treated = None if self.treated is None else self.treated.clustered(by)
        components = (component, *shifts([self]))
        return replace(self, components=components, clustering=tuple(np.asarray(b) for b in by), treated=treated)

    def collapse(self, unit: object, name: object) -> Influence:
        """Sum contributions to a coarser row."""
        contributions = self._need_contributions("collapse")
        sums = cluster_sums(contributions, unit)
        labels = sums.index.rename(name)
        out = Influence.from_contributions(
            self.values, sums.to_numpy(), RowIdentity(labels), names=self.names, loadings=self.loadings
        )
        out = replace(out, components=(*out.components, *shifts([self])))
        treated = None if self.treated is None else self.treated.clustered([unit]).compact()
        return replace(out, treated=treated, factor_p=self.factor_p)

    def compact(self) -> Influence:
        """Drop what is as long as the data."""
        treated = None if self.treated is None else self.treated.compact()
        components = tuple(component.settled() for component in self.components)
        return replace(
            self, contributions=None, rows=None, clusters={}, clustering=None, treated=treated, components=components
        )

    def _need_contributions(self, what: str) -> Floats:
        if self.unknown:
            raise CausalError(self.unknown)
        if self.contributions is None:
            raise CausalError(f"{what} needs the contributions of the rows, which compact() dropped; refit to {what}")
        return self.contributions


def join(left: Influence, right: Influence, how: str | None = None, *, keep_factors: bool = False) -> Influence:
    """Put the parameters of two fits in one, with how they vary jointly.

    The rows reported are those of `left`, then those of `right`. Contributions of the same row are placed on one line;
    a row absent from one fit contributes 0 there. Fits declared independent keep their own variances, factors included;
    otherwise the variance is the raw outer product, so that a fit minus itself is exactly zero. With `keep_factors`
    each side keeps its own variance and only the covariance of the two is raw.
    """
    k, m = len(left.values), len(right.values)
    shared = left.contributions is not None and left.contributions is right.contributions
    if shared and left.components is right.components and how is None:
        return replace(left, loadings=np.vstack([left.loadings, right.loadings]))
    stacked: dict[str, Any] = {
        "values": np.concatenate([left.values, right.values]),
        "names": pd.Index([("left", n) for n in left.names] + [("right", n) for n in right.names], tupleize_cols=False),
        "loadings": _block_diagonal(left.loadings, right.loadings),
        "treated": beside(left.treated, right.treated, k),
        "factor_p": None if left.factor_p is None or right.factor_p is None else max(left.factor_p, right.factor_p),
    }
    if how == "independent" and (left.rows is None or right.rows is None):
        return Influence(components=_independent_components(left, right), **stacked)
    if left.rows is None or right.rows is None:
        raise CausalError("comparing fits needs the contributions of both, which compact() dropped; refit them")
    joined = join_rows(left.rows, right.rows, how)
    first, second = left._need_contributions("join"), right._need_contributions("join")
    if joined.left is None or joined.right is None:
        contributions = np.hstack([first, second])
    else:
        contributions = np.zeros((len(joined.rows), k + m))
        contributions[joined.left, :k] = first
        contributions[joined.right, k:] = second
    if how == "independent":
        components = _independent_components(left, right)
        return Influence(components=components, contributions=contributions, rows=joined.rows, **stacked)
    out = Influence.from_contributions(stacked["values"], contributions, joined.rows, names=stacked["names"])
    both = (*out.components, *shifts([left, right]))
    out = replace(out, components=both, **{key: stacked[key] for key in ("loadings", "treated", "factor_p")})
    labels = _joint_clustering(left, right, len(joined.rows), joined.left, joined.right)
    if labels is not None:
        out = out.cluster(labels, small_sample=all(np.isfinite(c.df) for c in left.components))
    if keep_factors:
        meat = out.meat()
        meat[:k, :k], meat[k:, k:] = left.meat(), right.meat()
        df = min(c.df for c in (*left.components, *right.components))
        moved = shifts([left, right])
        out = replace(out, components=(Component(meat - sum(c.meat for c in moved), df), *moved))
    return out


def shifts(parts: Sequence[Influence]) -> tuple[Component, ...]:
    """The shifts of the parameters of several fits, made together, so that a fit less itself does not move; or none."""
    if len(parts) == 1:
        return tuple(c for c in parts[0].components if c.shift is not None)
    each = [next((c.shift for c in part.components if c.shift is not None), None) for part in parts]
    if all(shift is None for shift in each):
        return ()
    zeros = [np.zeros(len(part.values)) if shift is None else shift for part, shift in zip(parts, each, strict=True)]
    return (Component.of_shift(np.concatenate(zeros)),)


def _block_diagonal(a: Floats, b: Floats) -> Floats:
    out = np.zeros((len(a) + len(b), a.shape[1] + b.shape[1]))
    out[: len(a), : a.shape[1]] = a
    out[len(a) :, a.shape[1] :] = b
    return out


def _independent_components(left: Influence, right: Influence) -> tuple[Component, ...]:
    k, size = len(left.values), len(left.values) + len(right.values)
    first = (c.placed(slice(0, k), size) for c in left.components)
    second = (c.placed(slice(k, size), size) for c in right.components)
    return (*first, *second)


def _joint_clustering(
    left: Influence, right: Influence, n: int, at_left: Positions | None, at_right: Positions | None
) -> list[NDArray[np.generic]] | None:
    """Cluster labels of the joined rows; both fits must agree on them."""
    if left.clustering is None and right.clustering is None:
        return None
    if left.clustering is None or right.clustering is None or len(left.clustering) != len(right.clustering):
        raise CausalArgumentError("one effect is clustered and the other is not alike; cluster both by the same labels")
    out = []
    for a, b in zip(left.clustering, right.clustering, strict=True):
        if at_left is None or at_right is None:
            merged: NDArray[np.generic] = a
            conflict = np.asarray(a != b)
        else:
            merged = np.empty(n, dtype=object)
            merged[at_left] = a
            both = np.isin(at_right, at_left)
            conflict = np.asarray(merged[at_right[both]] != b[both])
            merged[at_right] = b
        if bool(np.any(conflict)):
            raise CausalDataError(
                f"{int(np.sum(conflict)):,} shared rows have different cluster labels in the two effects"
            )
        out.append(merged)
    return out
