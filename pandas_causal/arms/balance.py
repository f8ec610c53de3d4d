"""How alike the arms are, before and after weighting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pandas_causal.arms.covariate_terms import CovariateTerms
from pandas_causal.effect.check import Check, DeferredCheck
from pandas_causal.errors import OverlapError
from pandas_causal.inputs.encoding import EveryLevel
from pandas_causal.kernels.arrays import Bools, Codes, Floats

__all__ = [
    "BALANCE_LIMIT",
    "balance",
    "balance_of_squares",
    "balance_score",
    "difference_in_words",
    "largest_difference",
    "standardized_differences",
]

BALANCE_LIMIT = 0.1
_ROUNDING = 1e-12  # of a covariate's scale
_SPREAD = 1e-13  # of the mean square about the unweighted mean
_BLOCK = 16_384  # rows
_TERMS = 5  # squares and products shown for every contrast


@dataclass(frozen=True, eq=False)
class ArmMoments:
    """Means and variances (K, q) of columns by arm; variances with the correction for the degree of freedom."""

    means: Floats
    variances: Floats

    @classmethod
    def of(cls, X: Floats, codes: Codes, weights: Floats | None = None) -> ArmMoments:
        """Of rows (n, q), their arms and weights (n,); two passes, since variances are taken about an arm's mean."""
        K, (n, q) = int(codes.max(initial=0)) + 1, X.shape
        w = np.ones(n) if weights is None else weights
        sizes, counts = np.bincount(codes, weights=w, minlength=K), np.bincount(codes, minlength=K)
        arms = np.arange(K)
        centres, first, second = np.zeros((K, q)), np.zeros((K, q)), np.zeros((K, q))
        for start in range(0, n, _BLOCK):
            at = slice(start, start + _BLOCK)
            centres += (codes[at, None] == arms).astype(float).T @ X[at]
        centres /= np.maximum(counts, 1)[:, None]
        for start in range(0, n, _BLOCK):
            at = slice(start, start + _BLOCK)
            Z = X[at] - centres[codes[at]]
            own = (codes[at, None] == arms) * w[at, None]
            first += own.T @ Z
            second += own.T @ np.square(Z)
        share = np.where(sizes > 0, sizes, 1.0)[:, None]
        gap = first / share
        squares = np.bincount(codes, weights=np.square(w), minlength=K)[:, None] / np.square(share)
        freedom = 1 - squares
        # of a column that is constant where there is weight rounding is left, beside the square of its distance
        spread = second / share - np.square(gap)
        spread[spread <= _SPREAD * second / share] = 0.0
        variances = np.divide(spread, freedom, out=np.zeros((K, q)), where=freedom > 1e-15)
        return cls(centres + gap, variances)


def standardized_differences(X: Floats, codes: Codes, a: int, b: int = 0, weights: Floats | None = None) -> Floats:
    """Difference in means of arms a and b in units of the unweighted pooled standard deviation (q,).

    The denominator ``sqrt((s_a^2 + s_b^2) / 2)`` is unweighted before and after, so that weighting cannot improve the
    figure by inflating it. Where a covariate varies in neither arm, a difference is infinite: its sign times inf.
    Differences below 1e-12 of the covariate's scale are rounding, and 0. Of one row an arm the unit is the standard
    deviation of the two.

    References
    ----------
    Austin (2009), "Balance diagnostics for comparing the distribution of baseline covariates", Statistics in Medicine,
    eq. (1).
    """
    plain = ArmMoments.of(X, codes)
    return _differences(X, codes, a, b, plain, plain if weights is None else ArmMoments.of(X, codes, weights))


def _differences(X: Floats, codes: Codes, a: int, b: int, plain: ArmMoments, weighted: ArmMoments) -> Floats:
    """Standardised differences (q,) from moments without weights and with them."""
    both = (codes == a) | (codes == b)
    spread = np.sqrt((plain.variances[a] + plain.variances[b]) / 2)
    if both.sum() == 2:  # one row an arm: their spread can only be that of the two
        spread = X[both].std(axis=0, ddof=1)
    gap = weighted.means[a] - weighted.means[b]
    rounding = _ROUNDING * np.maximum(X.max(axis=0, initial=0.0), -X.min(axis=0, initial=0.0))
    gap[np.abs(gap) <= rounding] = 0.0
    # the variance of a constant is the rounding of its mean, squared: it must not serve as a scale
    varies = spread > rounding
    return np.divide(gap, spread, out=np.where(gap == 0, 0.0, np.copysign(np.inf, gap)), where=varies)


def _of_contrast(weights: Floats | None, a: int) -> Floats | None:
    """Weights (n,) of the contrast of arm a with the control."""
    return weights if weights is None or weights.ndim == 1 else weights[:, a - 1]


def largest_difference(X: Floats, codes: Codes, weights: Floats | None) -> float:
    """Largest absolute standardised difference over covariates and contrasts with the control.

    Weights (n,) serve all contrasts, weights (n, K - 1) have a column for each.
    """
    return max((float(np.abs(gaps).max(initial=0.0)) for gaps in _every_difference(X, codes, weights)), default=0.0)


def _every_difference(X: Floats, codes: Codes, weights: Floats | None) -> list[Floats]:
    """Standardised differences (q,) of every arm and the control."""
    arms = range(1, int(codes.max(initial=0)) + 1)
    plain = ArmMoments.of(X, codes)
    shared = plain if weights is None else ArmMoments.of(X, codes, weights) if weights.ndim == 1 else None
    out = []
    for a in arms:
        weighted = ArmMoments.of(X, codes, _of_contrast(weights, a)) if shared is None else shared
        out.append(_differences(X, codes, a, 0, plain, weighted))
    return out


def difference_in_words(size: float) -> str:
    """A largest difference as sentences give it."""
    return f"{size:.2f}" if np.isfinite(size) else "infinite"


def balance_score(X: Floats, levels: EveryLevel, largest: Callable[[Floats], float]) -> float:
    """Minus the largest difference of held-out rows, for searches over settings.

    Parameters
    ----------
    X : ndarray (n, q)
        Encoded covariates.
    levels : EveryLevel
        Of the encoder.
    largest : callable
        Of some columns (n, r) of every level: their largest absolute standardised difference.

    Raises
    ------
    OverlapError
        Where a covariate varies in no arm and differs between them: no setting can be ranked.
    """
    X = levels.on(X)
    worst = largest(X)
    if np.isfinite(worst):
        return -worst
    apart = [name for j, name in enumerate(levels.names) if not np.isfinite(largest(X[:, [j]]))]
    raise OverlapError(
        f"{', '.join(apart)}: constant within the arms of the held-out rows and different between them, so no weights"
        " balance it; leave it out, coarsen it, or score on more rows"
    )


def weighted_ks(x: Floats, first: Bools, second: Bools, *weights: Floats) -> list[float]:
    """Largest distances of two weighted empirical distribution functions, one for every set of weights (n,)."""
    order = np.argsort(x, kind="stable")
    x = x[order]
    last = np.append(x[1:] != x[:-1], True)
    out = []
    for w in weights:
        signed = np.where(first, w / w[first].sum(), np.where(second, -w / w[second].sum(), 0.0))[order]
        out.append(float(np.abs(np.cumsum(signed)[last]).max()))
    return out


def balance(
    X: Floats,
    names: Sequence[str],
    codes: Codes,
    levels: Sequence[Any],
    weights: Floats | None = None,
    *,
    by_chance: bool = False,
) -> Check:
    """Compare the arms covariate by covariate.

    Parameters
    ----------
    X : ndarray (n, q)
        Encoded covariates.
    names : sequence of str (q,)
    codes : ndarray (n,)
        Arm received, the control 0.
    levels : sequence
    weights : ndarray (n,) or (n, K - 1), optional
        Weights that should balance, a column for every contrast where they differ; None: only the comparison before
        weighting.
    by_chance : bool
        Let a difference pass that sampling alone explains: weights of out-of-fold propensities do not balance the very
        rows at hand, and estimators that have an outcome model beside them do not need them to.

    Returns
    -------
    Check
        One row per covariate and contrast: standardised mean difference, variance ratio and Kolmogorov-Smirnov
        distance, before and (with weights) after. Failed when the largest difference, after weighting where there is
        one, exceeds 0.1 (`by_chance`: and 5% of samples would have one as large by chance, by Bonferroni's bound from
        the effective sizes of the arms); that of a covariate constant within the arms and different between them is
        infinite.
    """
    stages: dict[str, Floats | None] = {"before": None} | ({} if weights is None else {"after": weights})
    gaps = {stage: _every_difference(X, codes, given) for stage, given in stages.items()}
    worst = {stage: max((float(np.abs(g).max(initial=0.0)) for g in each), default=0.0) for stage, each in gaps.items()}
    said = {stage: difference_in_words(size) for stage, size in worst.items()}
    limit, last, n_rows = BALANCE_LIMIT, list(stages)[-1], len(names) * (len(levels) - 1)
    if by_chance and n_rows:
        limit = max(limit, _by_chance(codes, len(levels), weights) * float(stats.norm.isf(0.025 / n_rows)))
    text = f"largest standardised difference {said['before']} before weighting"
    if weights is not None:
        text += f", {said['after']} after"
    if n_rows and worst[last] > BALANCE_LIMIT:
        name = names[int(np.argmax(np.abs(np.stack(gaps[last])))) % len(names)]
        text += f" ({name}{', by chance' if worst[last] <= limit else ''})"
    return DeferredCheck(worst[last] <= limit, partial(_table, X, names, codes, levels, stages, gaps), text)


def _table(
    X: Floats,
    names: Sequence[str],
    codes: Codes,
    levels: Sequence[Any],
    stages: Mapping[str, Floats | None],
    gaps: Mapping[str, Sequence[Floats]],
) -> pd.DataFrame:
    """The table of balance, with what costs more than its verdict: variances and distribution functions."""
    parts = []
    # the variance of a constant is the rounding of its mean, squared
    least = np.square(_ROUNDING * np.abs(X).max(axis=0, initial=0.0))
    for a in range(1, len(levels)):
        first, second = codes == a, codes == 0
        used = {stage: _of_contrast(given, a) for stage, given in stages.items()}
        units = [np.ones(len(X)) if w is None else w for w in used.values()]
        distances = np.array([weighted_ks(X[:, j], first, second, *units) for j in range(X.shape[1])])
        distances = distances.reshape(X.shape[1], len(units))
        part = pd.DataFrame({"contrast": f"{levels[a]} - {levels[0]}"}, index=pd.Index(list(names), name="covariate"))
        for k, (stage, w) in enumerate(used.items()):
            v = ArmMoments.of(X, codes, w).variances
            ratio = np.divide(v[a], v[0], out=np.full(len(v[0]), np.nan), where=v[0] > least)
            part[f"smd_{stage}"] = gaps[stage][a - 1]
            part[f"variance_ratio_{stage}"] = np.where(v[a] > least, ratio, ratio * 0)
            part[f"ks_{stage}"] = distances[:, k]
        parts.append(part)
    return pd.concat(parts)


def balance_of_squares(X: Floats, names: Sequence[str], codes: Codes, levels: Sequence[Any], weights: Floats) -> Check:
    """Compare squares and products of covariates: weights that balance a mean may leave its square apart.

    Parameters
    ----------
    X, names, codes, levels : as in :func:`balance`
    weights : ndarray (n,) or (n, K - 1)

    Returns
    -------
    Check
        For information. The five squares and products, of standardised columns cut off at 3.5 standard deviations, that
        are farthest apart in every contrast under the weights, before and after.
    """
    terms, parts = CovariateTerms.of(X, names), []
    for a in range(1, len(levels)):
        w = _of_contrast(weights, a)
        assert w is not None  # noqa: S101 - weights were given
        found = terms.farthest(codes == a, codes == 0, w, _TERMS)
        F = np.column_stack([np.empty((len(X), 0)), *(terms.column(j, k) for j, k in found)])
        part = pd.DataFrame(index=pd.Index([terms.name(j, k) for j, k in found], name="term", dtype=object))
        part["contrast"] = f"{levels[a]} - {levels[0]}"
        part["smd_before"] = standardized_differences(F, codes, a)
        part["smd_after"] = standardized_differences(F, codes, a, 0, w)
        parts.append(part)
    table = pd.concat(parts)
    if not len(table):
        return Check(None, table, "the covariates have no squares or products of their own")
    at = int(np.argmax(table["smd_after"].abs().to_numpy()))
    before, after = (difference_in_words(abs(float(table[f"smd_{stage}"].iloc[at]))) for stage in ("before", "after"))
    text = f"of squares and products {table.index[at]} is farthest apart: {before} before weighting, {after} after"
    return Check(None, table, text)


def _by_chance(codes: Codes, K: int, weights: Floats | None) -> float:
    """The largest standard error of a standardised difference between an arm and the control."""
    largest = 0.0
    for a in range(1, K):
        w = _of_contrast(weights, a)
        w = np.ones(len(codes)) if w is None else w
        sizes = [w[codes == arm].sum() ** 2 / np.square(w[codes == arm]).sum() for arm in (0, a)]
        largest = max(largest, float(np.sqrt(sum(1 / size for size in sizes))))
    return largest
