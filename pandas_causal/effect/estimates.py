"""Rows of estimates, how they vary jointly, and the maps of both: contrasts, transformations, averages, differences.

Every map is a linear one of estimates together with their uncertainty; what is estimated in the map itself (weights,
the units averaged over) brings contributions of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError, suggest
from pandas_causal.inference.draws_and_variance import Draws, Variance
from pandas_causal.inference.influence import Influence, join
from pandas_causal.inference.reference import Reference
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inference.scales import LogRatio
from pandas_causal.inputs.types import ColumnLike
from pandas_causal.kernels.arrays import Bools, Floats, Positions

__all__ = ["Estimates", "Transformation", "Uncertainty", "Weighting", "numeric_jacobian"]

Uncertainty = Influence | Draws | Variance
Transformation = Callable[[Floats], "ArrayLike | float"]


@dataclass(frozen=True, eq=False)
class Weighting:
    """A named way to average rows, attached by the estimator.

    Attributes
    ----------
    weights : ndarray (rows,), Estimates or None
        Weights of the rows; Estimates where they are estimated; None for equal weights.
    groups : Index (rows,) or None
        The averaged row that each row belongs to (missing: to none); None for a single average.
    then : mapping of str to Weighting
        The weightings that the average carries in its turn.
    labels : Index (averaged rows,) or None
        Labels of the averaged rows; `groups` then holds positions in them, negative for a row that belongs to none.
    estimand : str or None
        What the averages are, in words; the effect's own words where None.
    """

    weights: ArrayLike | pd.Series[float] | Estimates | None = None
    groups: pd.Index | None = None
    then: Mapping[str, Weighting] = field(default_factory=dict)
    labels: pd.Index | None = None
    estimand: str | None = None

    def averaged_rows(self, n: int) -> tuple[Positions, pd.Index]:
        """Averaged row of each of n rows (negative: none), and the labels of the averaged rows."""
        if self.labels is not None:
            return np.zeros(n, dtype=np.intp) if self.groups is None else np.asarray(self.groups), self.labels
        if self.groups is None:
            return np.zeros(n, dtype=np.intp), pd.Index(["average"])
        codes, names = pd.factorize(self.groups, sort=True)
        if not len(names):
            raise CausalDataError("every group label is missing; give at least one row a group")
        return codes, names


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates, one row per estimand, and how they vary jointly. Nothing mutates: every map returns a new object.

    Attributes
    ----------
    values : Series (rows,)
        The index names the estimand of every row.
    uncertainty : Influence, Draws or Variance
        How the rows vary jointly.
    bias : ndarray (rows,) or None
        Intervals are centred on ``values - bias``.
    reference_rows : ndarray (rows,) of bool, or None
        Rows that are zero by construction (a reference period).
    units : RowIdentity or None
        Where the rows are themselves sampled units: their identity.
    weightings : mapping of str to Weighting
        Named averages.
    scale : LogRatio or None
        Where intervals and p-values are made, when not on the scale of the estimates; maps of rows lose it.
    """

    values: pd.Series[float]
    uncertainty: Uncertainty
    bias: Floats | None = None
    reference_rows: Bools | None = None
    units: RowIdentity | None = None
    weightings: Mapping[str, Weighting] = field(default_factory=dict)
    scale: LogRatio | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def index(self) -> pd.Index:
        """Labels of the rows."""
        return self.values.index

    @cached_property
    def array(self) -> Floats:
        """Estimates (rows,) as float64."""
        return np.asarray(self.values, dtype=np.float64)

    @property
    def centre(self) -> Floats:
        """Estimates without their bias (rows,)."""
        return self.array if self.bias is None else self.array - self.bias

    @cached_property
    def std_errors(self) -> Floats:
        """Standard errors (rows,)."""
        return np.asarray(self.uncertainty.std_error(), dtype=float)

    @cached_property
    def on_scale(self) -> Estimates:
        """The same rows on their `scale`; themselves without one, and with replicates, whose quantiles need none."""
        if self.scale is None or isinstance(self.uncertainty, Draws):
            return self
        slopes = np.diag(self.scale.slope(self.centre))
        values = pd.Series(self.scale.forward(self.centre), index=self.index, name="estimate")
        return Estimates(values, self.uncertainty.transform(slopes), reference_rows=self.reference_rows)

    def off_scale(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Return ends of intervals made by :attr:`on_scale` on the scale of the estimates."""
        if self.scale is None or self.on_scale is self:
            return low, high
        return self.scale.backward(low), self.scale.backward(high)

    @cached_property
    def statistics(self) -> Floats:
        """Centre divided by standard error (rows,), on the rows' scale; NaN where the error is zero."""
        if self.on_scale is not self:
            return self.on_scale.statistics
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.std_errors > 0, self.centre / self.std_errors, np.nan)

    def bounds(
        self, level: float, reference: Reference, alternative: str, *, strict: bool = False
    ) -> tuple[Floats, Floats]:
        """Ends of the pointwise intervals; NaN, or with `strict` a refusal, where a null distribution has none."""
        if self.on_scale is not self:
            return self.off_scale(*self.on_scale.bounds(level, reference, alternative, strict=strict))
        u = self.uncertainty
        sided = 2 * level - 1 if alternative != "two-sided" else level
        if isinstance(u, Draws):
            if u.around == "null" and not strict:
                return np.full(len(self), np.nan), np.full(len(self), np.nan)
            low, high = u.interval(sided)
        else:
            width = reference.critical(sided, u.df()) * self.std_errors
            low, high = self.centre - width, self.centre + width
        if alternative == "greater":
            high = np.full(len(self), np.inf)
        elif alternative == "less":
            low = np.full(len(self), -np.inf)
        return low, high

    def p_values(self, reference: Reference, alternative: str) -> Floats:
        """P-values (rows,) against zero."""
        if self.on_scale is not self:
            return self.on_scale.p_values(reference, alternative)
        u, statistics = self.uncertainty, self.statistics
        if isinstance(u, Draws):
            two_sided = u.p_value(self.array)
        else:
            two_sided = np.where(np.isnan(statistics), np.nan, reference.p_value(statistics, u.df()))
        if alternative == "two-sided":
            return two_sided
        favoured = self.centre > 0 if alternative == "greater" else self.centre < 0
        return np.where(favoured, two_sided / 2, 1 - two_sided / 2)

    def table(self, level: float, reference: Reference, alternative: str) -> pd.DataFrame:
        """Estimates with std_error, statistic, p_value, conf_low and conf_high, one row per estimand."""
        low, high = self.bounds(level, reference, alternative)
        columns = {
            "estimate": self.array,
            "std_error": self.std_errors,
            "statistic": self.statistics,
            "p_value": self.p_values(reference, alternative),
            "conf_low": low,
            "conf_high": high,
        }
        block = np.empty((len(columns), len(self)))  # one block, which a dict of columns would be copied to
        for row, column in zip(block, columns.values(), strict=True):
            row[:] = column
        return pd.DataFrame(block.T, index=self.index, columns=list(columns), copy=False)

    # -- maps --------------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> Estimates:
        """What was really estimated (arm means, coefficients), a row each."""
        u = self.uncertainty
        if not isinstance(u, Influence):
            return self
        return Estimates(_named(u.values, u.names), replace(u, loadings=np.eye(len(u.values))))

    def take(self, positions: Positions) -> Estimates:
        """Keep some rows, in this order."""
        return Estimates(
            self.values.iloc[positions],
            self.uncertainty.take(positions),
            bias=None if self.bias is None else self.bias[positions],
            reference_rows=None if self.reference_rows is None else self.reference_rows[positions],
            units=None if self.units is None else self.units.take(positions),
            scale=self.scale,
        )

    def linear(self, W: ArrayLike | pd.DataFrame, index: ColumnLike | None = None) -> Estimates:
        """Map by a matrix (m, rows); a DataFrame may name its columns by the rows."""
        if isinstance(W, pd.DataFrame):
            index = W.index if index is None else index
            if not isinstance(W.columns, pd.RangeIndex):
                if len(W.columns) != len(self) or not W.columns.isin(self.index).all():
                    raise CausalArgumentError(
                        f"the columns of W {list(W.columns[:5])} are not the effect's rows {list(self.index[:5])}"
                    )
                W = W[list(self.index)]
        matrix = np.atleast_2d(_numbers(W, "W"))
        if matrix.shape[1] != len(self):
            raise CausalArgumentError(f"W has {matrix.shape[1]} columns, the effect has {len(self)} rows")
        bias = None if self.bias is None else matrix @ self.bias
        return Estimates(_named(matrix @ self.array, index), self.uncertainty.linear(matrix), bias=bias)

    def transform(
        self,
        f: Transformation,
        jac: Transformation | ArrayLike | None = None,
        index: ColumnLike | None = None,
    ) -> Estimates:
        """Transform by the delta method, the Jacobian at ``centre``; replicates one by one."""
        value: Floats = np.atleast_1d(_numbers(f(self.array), "f(estimates)"))
        if index is None and len(value) == len(self):
            index = self.index
        estimates = _named(value, index)
        u = self.uncertainty
        if isinstance(u, Draws):
            if u.around == "null":
                raise CausalError(
                    "a null distribution cannot be transformed: it varies around no effect, not around the estimate"
                )
            replicates = np.array([np.atleast_1d(_numbers(f(row), "f(estimates)")) for row in u.values()])
            return Estimates(estimates, Draws(replicates, np.eye(len(value))))
        if jac is None:
            jacobian = numeric_jacobian(f, self.centre, self.std_errors)
        else:
            jacobian = _numbers(jac(self.centre) if callable(jac) else jac, "jac")
        if jacobian.size != len(value) * len(self):
            raise CausalArgumentError(f"jac must be {len(value)} x {len(self)}, got shape {jacobian.shape}")
        bias = None if self.bias is None else value - np.atleast_1d(np.asarray(f(self.centre), dtype=float))
        return Estimates(estimates, u.transform(jacobian.reshape(len(value), len(self))), bias=bias)

    def difference(self, other: Estimates, rows: str | None = None) -> Estimates:
        """Subtract another fit's estimates, with the covariance of the two."""
        m = len(self)
        left, right = self.uncertainty, other.uncertainty
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
        if self.bias is not None or other.bias is not None:
            bias = (0.0 if self.bias is None else self.bias) - (np.zeros(m) if other.bias is None else other.bias)
        both = None
        if self.reference_rows is not None and other.reference_rows is not None:
            both = self.reference_rows & other.reference_rows
        return Estimates(self.values - other.values.to_numpy(), u, bias=bias, reference_rows=both)

    # -- averages ----------------------------------------------------------------------------------------------------

    def weighting(
        self,
        by: str | ColumnLike | None,
        weights: ArrayLike | pd.Series[float] | Estimates | None,
    ) -> Weighting:
        """Find groups and weights; the first attached weighting supplies the default weights."""
        attached = next(iter(self.weightings.values())) if self.weightings else None
        if isinstance(by, str) and by in self.weightings:
            named = self.weightings[by]
            return named if weights is None else replace(named, weights=weights)
        single = attached is not None and attached.labels is not None and len(attached.labels) == 1
        if by is None and weights is None and attached is not None and single:
            return attached  # the estimator's own single average
        if weights is None and attached is not None:
            weights = attached.weights
        if by is None:
            return Weighting(weights)
        if isinstance(by, str):
            if by not in self.index.names:
                known = [*self.weightings, *(n for n in self.index.names if n is not None)]
                raise CausalArgumentError(f"{by!r} is no weighting or index level{suggest(by, known)}; known: {known}")
            return Weighting(weights, self.index.get_level_values(by))
        if isinstance(by, pd.Series) and not by.index.equals(self.index):
            raise CausalDataError("the index of the group labels differs from the effect's rows; align them first")
        if (
            isinstance(by, pd.DataFrame)
            or getattr(by, "ndim", 1) > 1
            or not pd.api.types.is_list_like(by, allow_sets=False)
        ):
            raise CausalArgumentError(
                "by takes the name of a weighting or of an index level, or one group label per row; got a"
                f" {type(by).__name__}"
            )
        if not hasattr(by, "__len__") or len(by) != len(self):
            by = by if hasattr(by, "__len__") else [by]
            raise CausalDataError(f"there are {len(by):,} group labels for {len(self):,} rows")
        return Weighting(weights, pd.Index(by))

    def average(self, weighting: Weighting, *, population: bool = True) -> Estimates:
        """Average the rows, all of them or by group.

        Parameters
        ----------
        weighting : Weighting
        population : bool
            With one row per unit: whether the sampling of the units counts.
        """
        codes, names = weighting.averaged_rows(len(self))
        estimated = weighting.weights if isinstance(weighting.weights, Estimates) else None
        if estimated is not None and set(estimated.index) == set(self.index):
            estimated = estimated.take(estimated.index.get_indexer(self.index))
        w = self._weight_values(weighting.weights if estimated is None else estimated)
        used = codes >= 0
        totals = _group_sums(w, codes, len(names))
        if bool((totals == 0).any()):
            raise CausalDataError(f"the weights of group {names[int(np.argmin(np.abs(totals)))]!r} sum to zero")
        safe = np.where(used, codes, 0)
        share = np.where(used, w / totals[safe], 0.0)
        mean = _group_sums(share * self.array, codes, len(names))
        distance = np.where(used, self.array - mean[safe], 0.0)
        if estimated is not None:
            u: Uncertainty = _with_estimated_weights(
                self.uncertainty, estimated.uncertainty, codes, share, distance / totals[safe], len(names)
            )
        else:
            u = _averaged(self.uncertainty, codes, share, len(names))
            if self.units is not None and population:
                u = self._with_sampled_units(u, codes, share * distance, names)
        bias = None
        if self.bias is not None:
            bias = _group_sums(share * self.bias, codes, len(names))
        marked = None
        if self.reference_rows is not None:  # an average of reference rows only is a reference row
            others = np.bincount(codes[used & ~self.reference_rows], minlength=len(names))
            marked = others == 0 if (others == 0).any() else None
        return Estimates(_named(mean, names), u, bias=bias, reference_rows=marked, weightings=weighting.then)

    def _weight_values(self, weights: ArrayLike | pd.Series[float] | Estimates | None) -> Floats:
        if weights is None:
            return np.ones(len(self))
        if isinstance(weights, Estimates):
            weights = weights.values
        if isinstance(weights, pd.Series) and not weights.index.equals(self.index):
            if len(weights) != len(self) or not weights.index.isin(self.index).all():
                raise CausalDataError(
                    "the weights are labelled otherwise than the effect's rows; give one weight per row"
                )
            weights = weights.reindex(self.index)
        out = _numbers(weights, "weights")
        if out.shape != (len(self),) or not np.isfinite(out).all():
            raise CausalDataError(f"weights must be {len(self):,} finite numbers, one per row")
        return out

    def _with_sampled_units(self, u: Uncertainty, codes: Positions, deviation: Floats, names: pd.Index) -> Influence:
        """Add the sampling of the units averaged over: ``w_i (theta_i - mean_g)`` for every unit i of group g."""
        units = self.units
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

    # -- labels ------------------------------------------------------------------------------------------------------

    def labels_of_rows(self, by: str | ColumnLike) -> ColumnLike:
        """Labels of the fitted rows from an array, a Series (aligned on labels) or the name of a column kept at fit."""
        u = self.uncertainty
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
        if not hasattr(by, "__len__"):
            raise CausalArgumentError(f"cluster labels are an array, a Series or a column's name; got {by!r}")
        if len(by) != len(labels):
            raise CausalDataError(f"there are {len(by):,} labels for {len(labels):,} fitted rows")
        return np.asarray(by)


def numeric_jacobian(f: Transformation, at: Floats, std_error: Floats) -> Floats:
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


def _numbers(values: object, name: str) -> Floats:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise CausalArgumentError(f"{name} must hold numbers, got {type(values).__name__}") from None


def _named(values: Floats, index: ColumnLike | None) -> pd.Series[float]:
    if index is not None and len(index) != len(values):
        raise CausalArgumentError(f"index names {len(index)} rows, there are {len(values)}")
    return pd.Series(values, index=index, name="estimate")  # type: ignore[arg-type]


def _group_sums(values: Floats, codes: Positions, n_groups: int) -> Floats:
    """Sums (n_groups,) of values (rows,) by group; rows with a negative code are in none."""
    used = codes >= 0
    return np.bincount(codes[used], weights=values[used], minlength=n_groups).astype(np.float64)


def _averaged(u: Uncertainty, codes: Positions, share: Floats, n_groups: int) -> Uncertainty:
    """Average the loadings by group, without a (groups, rows) matrix."""
    if isinstance(u, Variance):
        used = codes >= 0
        if int(np.bincount(codes[used & (share != 0)], minlength=n_groups).max(initial=0)) > 1:
            u.linear(np.ones((1, 2)))  # refuses
        return Variance(_group_sums(np.square(share) * u.pointwise, codes, n_groups))
    columns = [_group_sums(share * u.loadings[:, j], codes, n_groups) for j in range(u.loadings.shape[1])]
    return replace(u, loadings=np.stack(columns, axis=1))


def _with_estimated_weights(
    u: Uncertainty, v: Uncertainty, codes: Positions, share: Floats, slope: Floats, n_groups: int
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
