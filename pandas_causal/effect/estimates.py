"""Maps of an effect's rows: contrasts, transformations, averages and differences of fits.

Everything here is a linear map of estimates together with their uncertainty; what is estimated in the map itself
(weights, the units averaged over) brings contributions of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    CausalError,
    FewTreatedWarning,
    StandardErrorWarning,
    suggest,
    warn,
)
from pandas_causal.inference.draws_and_variance import Draws, Variance
from pandas_causal.inference.influence import Influence, join

if TYPE_CHECKING:
    from pandas_causal.effect.effect import Effect

__all__ = ["Weighting", "aggregate", "difference", "explain_std_errors", "linear", "picked", "row_labels", "transform"]

Floats = NDArray[np.float64]
_FEW = 10
_FEW_REMEDY = "randomisation inference (permuting which units are treated)"
_NOTHING = 1e-14  # of the estimate: what rounding leaves of a standard error that is zero


@dataclass(frozen=True, eq=False)
class Weighting:
    """A named way to average the rows of an effect, attached by the estimator.

    Attributes
    ----------
    weights : ndarray (rows,) or Effect or None
        Weights of the rows; an Effect where they are estimated; None for equal weights.
    groups : Index (rows,) or None
        The averaged row that each row belongs to (missing: to none); None for a single average.
    then : mapping of str to Weighting
        The weightings that the average carries in its turn.
    labels : Index (averaged rows,) or None
        Labels of the averaged rows; `groups` then holds positions in them, negative for a row that belongs to none.
    estimand : str or None
        What the averages are, in words; the effect's own words where None.
    """

    weights: Any = None
    groups: pd.Index | None = None
    then: Mapping[str, Weighting] = field(default_factory=dict)
    labels: pd.Index | None = None
    estimand: str | None = None


def linear(effect: Effect, W: Any, index: Any = None) -> Effect:
    """Map estimates and uncertainty by a matrix (m, rows); a DataFrame may name its columns by the rows."""
    if isinstance(W, pd.DataFrame):
        index = W.index if index is None else index
        if not isinstance(W.columns, pd.RangeIndex):
            if len(W.columns) != len(effect) or not W.columns.isin(effect.estimates.index).all():
                raise CausalArgumentError(
                    f"the columns of W {list(W.columns[:5])} are not the effect's rows"
                    f" {list(effect.estimates.index[:5])}"
                )
            W = W[list(effect.estimates.index)]
    matrix = np.atleast_2d(_numbers(W, "W"))
    if matrix.shape[1] != len(effect):
        raise CausalArgumentError(f"W has {matrix.shape[1]} columns, the effect has {len(effect)} rows")
    estimates = _named(matrix @ effect.estimates.to_numpy(dtype=float), index)
    bias = None if effect.bias is None else matrix @ effect.bias
    return effect._derive(estimates, effect.uncertainty.linear(matrix), bias=bias)


def _numbers(values: Any, name: str) -> Floats:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise CausalArgumentError(f"{name} must hold numbers, got {type(values).__name__}") from None


def _named(values: Floats, index: Any) -> pd.Series[float]:
    if index is not None and len(index) != len(values):
        raise CausalArgumentError(f"index names {len(index)} rows, there are {len(values)}")
    return pd.Series(values, index=index, name="estimate")


def transform(effect: Effect, f: Callable[[Floats], Any], jac: Any = None, index: Any = None) -> Effect:
    """Transform by the delta method, the Jacobian at ``estimate - bias``; replicates one by one."""
    at, centre = np.asarray(effect.estimates, dtype=np.float64), effect._centre
    value: Floats = np.atleast_1d(_numbers(f(at), "f(estimates)"))
    if index is None and len(value) == len(at):
        index = effect.estimates.index
    estimates = _named(value, index)
    u = effect.uncertainty
    if isinstance(u, Draws):
        if u.around == "null":
            raise CausalError(
                "a null distribution cannot be transformed: it varies around no effect, not around the estimate"
            )
        replicates = np.array([np.atleast_1d(_numbers(f(row), "f(estimates)")) for row in u.values()])
        return effect._derive(estimates, Draws(replicates, np.eye(len(value))))
    if jac is None:
        jacobian = numeric_jacobian(f, centre, effect._std_errors)
    else:
        jacobian = _numbers(jac(centre) if callable(jac) else jac, "jac")
    if jacobian.size != len(value) * len(at):
        raise CausalArgumentError(f"jac must be {len(value)} x {len(at)}, got shape {jacobian.shape}")
    bias = None if effect.bias is None else value - np.atleast_1d(np.asarray(f(centre), dtype=float))
    return effect._derive(estimates, u.transform(jacobian.reshape(len(value), len(at))), bias=bias)


def numeric_jacobian(f: Callable[[Floats], Any], at: Floats, std_error: Floats) -> Floats:
    """Central differences of f (rows,) -> (m,), as (m, rows); steps are small beside estimate and error."""
    steps = np.maximum(6e-6 * np.abs(at), 1e-4 * np.nan_to_num(std_error))
    steps[steps == 0] = 6e-6
    columns = []
    for j in range(len(at)):
        step = np.zeros(len(at))
        step[j] = steps[j]
        high, low = np.asarray(f(at + step), dtype=float), np.asarray(f(at - step), dtype=float)
        columns.append(np.atleast_1d((high - low) / (2 * step[j])))
    return np.stack(columns, axis=1)


def difference(effect: Effect, other: Effect, rows: str | None = None) -> Effect:
    """Subtract another fit's effect, with the covariance of the two."""
    if not hasattr(other, "estimates"):
        raise CausalArgumentError(f"difference takes another Effect, got {type(other).__name__}")
    if len(effect) != len(other) or (len(effect) > 1 and not effect.estimates.index.equals(other.estimates.index)):
        raise CausalArgumentError(
            f"the effects have different rows ({list(effect.estimates.index[:5])} and "
            f"{list(other.estimates.index[:5])}); select the rows to compare first: effect[labels]"
        )
    if effect.reference != other.reference or effect.alternative != other.alternative:
        raise CausalArgumentError(
            f"the effects refer to different laws or sides ({effect.reference!r}, {effect.alternative!r} and"
            f" {other.reference!r}, {other.alternative!r}); fit both with the same settings"
        )
    m = len(effect)
    left, right = effect.uncertainty, other.uncertainty
    if isinstance(left, Influence) and isinstance(right, Influence):
        contrast = np.hstack([np.eye(m), -np.eye(m)])
        u: Influence | Variance = join(left, right, rows).linear(contrast)
    elif rows == "independent":
        u = Variance(np.square(left.std_error()) + np.square(right.std_error()))
    else:
        raise CausalError(
            "a comparison needs per-row contributions on both sides; these effects rest on draws or pointwise"
            " variances. Pass rows='independent' if the fits share no data, else refit with an influence-based"
            " estimator"
        )
    bias = None
    if effect.bias is not None or other.bias is not None:
        bias = (0.0 if effect.bias is None else effect.bias) - (np.zeros(m) if other.bias is None else other.bias)
    out = effect._derive(
        effect.estimates - other.estimates.to_numpy(),
        u,
        bias=bias,
        estimand=f"difference of ({effect.estimand}) and ({other.estimand})",
        reference_rows=None
        if effect.reference_rows is None or other.reference_rows is None
        else effect.reference_rows & other.reference_rows,
    )
    return replace(
        out,
        assumptions=tuple(dict.fromkeys((*effect.assumptions, *other.assumptions))),
        n_obs=max(effect.n_obs, other.n_obs),
        estimator=None,
        diagnostics={},
        std_error_method="joint contributions of the two fits",
    )


def aggregate(effect: Effect, by: Any, weights: Any, population: bool) -> Effect:
    """Average the rows, all of them or by group; see :meth:`Effect.aggregate`."""
    named, weights = _resolve_weighting(effect, by, weights)
    codes, names = _grouped(named, len(effect))
    if hasattr(weights, "uncertainty") and set(weights.estimates.index) == set(effect.estimates.index):
        with warnings.catch_warnings():  # a weight may be known exactly: shares that every cluster has alike
            warnings.simplefilter("ignore", StandardErrorWarning)
            weights = weights[list(effect.estimates.index)]
    w = _weight_values(weights, effect)
    used = codes >= 0
    totals = np.bincount(codes[used], weights=w[used], minlength=len(names))
    if bool((totals == 0).any()):
        raise CausalDataError(f"the weights of group {names[int(np.argmin(np.abs(totals)))]!r} sum to zero")
    share = np.where(used, w / totals[np.where(used, codes, 0)], 0.0)
    theta = effect.estimates.to_numpy(dtype=float)
    mean = np.bincount(codes[used], weights=(share * theta)[used], minlength=len(names))
    bias: Any = None if effect.bias is None else np.bincount(codes[used], (share * effect.bias)[used], len(names))
    u = _averaged(effect.uncertainty, codes, share, len(names))
    safe = np.where(used, codes, 0)
    distance = np.where(used, theta - mean[safe], 0.0)
    if hasattr(weights, "uncertainty"):
        slope = distance / totals[safe]
        u = _with_estimated_weights(effect.uncertainty, weights.uncertainty, codes, share, slope, len(names))
    elif effect.units is not None and population:
        u = _with_sampled_units(effect, u, codes, share * distance, names)
    marked = None
    if effect.reference_rows is not None:  # an average of nothing but reference rows is one
        others = np.bincount(codes[used & ~effect.reference_rows], minlength=len(names))
        marked = others == 0 if (others == 0).any() else None
    out = effect._derive(pd.Series(mean, index=names, name="estimate"), u, bias=bias, reference_rows=marked)
    about = effect.population
    if effect.units is not None and not population:
        about = "these very units: their covariates are taken as fixed"
    words = out.estimand if named.estimand is None else named.estimand
    return replace(out, weightings=named.then, population=about, estimand=words)


def _resolve_weighting(effect: Effect, by: Any, weights: Any) -> tuple[Weighting, Any]:
    """Find groups and weights; the first attached weighting supplies the default weights."""
    attached = next(iter(effect.weightings.values())).weights if effect.weightings else None
    if isinstance(by, str) and by in effect.weightings:
        named = effect.weightings[by]
        return named, named.weights if weights is None else weights
    if by is None and weights is None and effect.weightings:
        first = next(iter(effect.weightings.values()))
        if first.labels is not None and len(first.labels) == 1:  # the estimator's own single average
            return first, first.weights
    weights = attached if weights is None else weights
    if by is None:
        return Weighting(), weights
    if isinstance(by, str):
        index = effect.estimates.index
        if by not in index.names:
            known = [*effect.weightings, *(n for n in index.names if n is not None)]
            raise CausalArgumentError(f"{by!r} is no weighting or index level{suggest(by, known)}; known: {known}")
        return Weighting(groups=index.get_level_values(by)), weights
    if isinstance(by, pd.Series) and not by.index.equals(effect.estimates.index):
        raise CausalDataError("the index of the group labels differs from the effect's rows; align them first")
    if not hasattr(by, "__len__") or len(by) != len(effect):
        by = by if hasattr(by, "__len__") else [by]
        raise CausalDataError(f"there are {len(by):,} group labels for {len(effect):,} rows")
    return Weighting(groups=pd.Index(by)), weights


def _grouped(named: Weighting, n: int) -> tuple[NDArray[np.intp], pd.Index]:
    """Averaged row of every row (negative: none), and the labels of the averaged rows."""
    if named.labels is not None:
        return np.zeros(n, dtype=np.intp) if named.groups is None else np.asarray(named.groups), named.labels
    if named.groups is None:
        return np.zeros(n, dtype=np.intp), pd.Index(["average"])
    codes, names = pd.factorize(named.groups, sort=True)
    if not len(names):
        raise CausalDataError("every group label is missing; give at least one row a group")
    return codes, names


def _weight_values(weights: Any, effect: Effect) -> Floats:
    if weights is None:
        return np.ones(len(effect))
    if hasattr(weights, "uncertainty"):
        weights = weights.estimates
    if isinstance(weights, pd.Series) and not weights.index.equals(effect.estimates.index):
        if len(weights) != len(effect) or not weights.index.isin(effect.estimates.index).all():
            raise CausalDataError("the weights are labelled otherwise than the effect's rows; give one weight per row")
        weights = weights.reindex(effect.estimates.index)
    out = _numbers(weights, "weights")
    if out.shape != (len(effect),) or not np.isfinite(out).all():
        raise CausalDataError(f"weights must be {len(effect):,} finite numbers, one per row")
    return out


def _averaged(u: Any, codes: NDArray[np.intp], share: Floats, n_groups: int) -> Any:
    """Average the loadings by group, without a (groups, rows) matrix."""
    if isinstance(u, Variance):
        matrix = np.zeros((n_groups, len(share)))
        used = codes >= 0
        matrix[codes[used], np.flatnonzero(used)] = share[used]
        return u.linear(matrix)
    used = codes >= 0
    columns = [
        np.bincount(codes[used], weights=(share * u.loadings[:, j])[used], minlength=n_groups)
        for j in range(u.loadings.shape[1])
    ]
    return replace(u, loadings=np.stack(columns, axis=1))


def _with_estimated_weights(
    u: Any, v: Any, codes: NDArray[np.intp], share: Floats, slope: Floats, n_groups: int
) -> Influence:
    """Add the weights' own contributions: ``d mean / d w_j = (theta_j - mean) / sum w``."""
    if not (isinstance(u, Influence) and isinstance(v, Influence)):
        raise CausalError("estimated weights need contributions on both sides; pass known weights as an array")
    used = np.flatnonzero(codes >= 0)
    jacobian = np.zeros((n_groups, 2 * len(share)))
    jacobian[codes[used], used] = share[used]
    jacobian[codes[used], len(share) + used] = slope[used]
    if u.values is v.values:  # weights and rows are maps of the same parameters, whatever was clustered since
        return replace(u, loadings=np.vstack([u.loadings, v.loadings])).linear(jacobian)
    return join(u, v).linear(jacobian)


def _with_sampled_units(effect: Effect, u: Any, codes: NDArray[np.intp], deviation: Floats, names: pd.Index) -> Any:
    """Add the sampling of the units averaged over: ``w_i (theta_i - mean_g)`` for every unit i of group g."""
    units = effect.units
    if not isinstance(u, Influence):
        raise CausalError(
            "the average over the population needs contributions, which this estimator does not give; "
            "aggregate(population=False) speaks of these very units"
        )
    if units is None or u.rows is None:
        raise CausalError("the rows were dropped by compact(); aggregate(population=False) or refit")
    used = np.flatnonzero(codes >= 0)
    both = np.hstack([np.eye(len(names)), np.eye(len(names))])
    at = units.positions_in(u.rows)
    if at is None and u.clustering is not None:
        raise CausalError(
            "the clusters of these units are unknown: they are not the fitted rows, and the fit is clustered; "
            "aggregate(population=False) speaks of these very units"
        )
    contributions = np.zeros((len(units if at is None else u.rows), len(names)))
    np.add.at(contributions, (used if at is None else at[used], codes[used]), deviation[used])
    rows = units if at is None else u.rows
    sampling = Influence.from_contributions(np.zeros(len(names)), contributions, rows, names=names)
    if u.clustering is not None:
        sampling = sampling.cluster(u.clustering)
    apart = at is None and (units.is_default or u.rows.is_default or not units.labels.is_unique)
    return join(u, sampling, "independent" if apart else None, keep_factors=True).linear(both)


def explain_std_errors(effect: Effect) -> Effect:
    """Warn of rows whose standard error is NaN, infinite or zero, or rests on few treated units (references apart)."""
    effect = _explain_few_treated(effect)
    se = effect._std_errors
    bad = ~np.isfinite(se) | (se <= _NOTHING * np.abs(effect.estimates.to_numpy(dtype=float)))
    if effect.reference_rows is not None:
        bad &= ~effect.reference_rows
    if not bad.any():
        return effect
    zero, which = int(np.isfinite(se[bad]).sum()), list(effect.estimates.index[bad][:3])
    reason = (
        "zero: the rows used leave nothing uncertain (an outcome fitted exactly, or quantities taken as known)"
        if zero == bad.sum()
        else "missing or infinite: too few rows stand behind them"
    )
    text = f"{int(bad.sum()):,} of {len(se):,} standard errors are {reason}; rows: {which}"
    if text in effect.warnings:
        return effect
    warn(text, StandardErrorWarning)
    return replace(effect, warnings=(*effect.warnings, text))


def _explain_few_treated(effect: Effect) -> Effect:
    """Warn of rows that rest on fewer than 10 units or clusters on a side; what was said of other rows is dropped."""
    u = effect.uncertainty
    if not isinstance(u, Influence) or u.treated is None:
        return effect
    behind = u.n_treated()
    few = behind < _FEW
    if effect.reference_rows is not None:
        few &= ~effect.reference_rows
    others = tuple(text for text in effect.warnings if _FEW_REMEDY not in text)
    if not few.any():
        return effect if len(others) == len(effect.warnings) else replace(effect, warnings=others)
    least = int(np.argmin(np.where(few, behind, np.inf)))
    kind = "units" if u.clustering is None else "clusters"
    text = (
        f"{int(few.sum()):,} of {len(few):,} rows rest on fewer than {_FEW} treated (or untreated) {kind} (the fewest,"
        f" {int(behind[least])}: {list(effect.estimates.index)[least]!r}), so that standard errors are too small;"
        f" {_FEW_REMEDY} does not need many"
    )
    if text in effect.warnings:
        return effect
    warn(text, FewTreatedWarning)
    return replace(effect, warnings=(*others, text))


def row_labels(effect: Effect, by: Any) -> Any:
    """Labels of the fitted rows from an array, a Series (aligned on labels) or the name of a column kept at fit."""
    u = effect.uncertainty
    if not isinstance(u, Influence):
        return by
    if isinstance(by, str):
        if by not in u.clusters:
            kept = f"kept: {list(u.clusters)}" if u.clusters else "none was kept"
            raise CausalArgumentError(f"{by!r} is no column kept at fit through cluster= ({kept}); pass the labels")
        return u.clusters[by]
    if u.rows is None:
        raise CausalError("the rows were dropped by compact(); refit to cluster")
    labels = u.rows.labels
    if isinstance(by, pd.Series):
        if by.index.equals(labels):
            return by.array
        if not by.index.is_unique:
            raise CausalDataError("the index of the labels repeats and differs from the fitted rows; pass an array")
        positions = by.index.get_indexer(labels)
        if (positions < 0).any():
            raise CausalDataError(f"{int((positions < 0).sum()):,} fitted rows have no label in the Series given")
        return by.array[positions]
    if len(by) != len(labels):
        raise CausalDataError(f"there are {len(by):,} labels for {len(labels):,} fitted rows")
    return np.asarray(by)


def picked(
    inversion: Callable[[float], pd.DataFrame] | None, index: pd.Index
) -> Callable[[float], pd.DataFrame] | None:
    """Keep the pieces of some rows of a test inversion."""
    return None if inversion is None else _Picked(inversion, index)


@dataclass(frozen=True, eq=False)
class _Picked:
    """A test inversion, for some of its rows."""

    inversion: Callable[[float], pd.DataFrame]
    index: pd.Index

    def __call__(self, level: float) -> pd.DataFrame:
        pieces = self.inversion(level)
        return pieces[pieces.index.isin(self.index)]
