"""Synthetic control on predictors: unit weights inside, predictor weights by an outer search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pandas_causal.kernels.arrays import Floats, Ints
from pandas_causal.synthetic_control.comparison import Blockwise, Runs, kept_rows
from pandas_causal.synthetic_control.simplex import check_gaps

__all__ = ["Predictor", "PredictorControl", "predictor_values", "search_predictor_weights", "weights_given"]

_STARTS = 6
_RANDOM = 400
_FLOOR = 1e-8  # least weight beside the largest: at zero many weights would be equally good, and which is taken decides


@dataclass(frozen=True)
class Predictor:
    """A mean over periods before treatment.

    Attributes
    ----------
    name : str
    column : int
        Position among the covariates; -1 for the outcome.
    periods : tuple of int or None
        Positions of the periods averaged; None: all before treatment.
    """

    name: str
    column: int
    periods: tuple[int, ...] | None = None


def predictor_values(
    predictors: tuple[Predictor, ...], covariates: Floats, Y: Floats, start: int
) -> tuple[tuple[Predictor, ...], Floats]:
    """Means (N, k) of the values seen, periods from `start` on left out, and the predictors that remain.

    Parameters
    ----------
    predictors : tuple of Predictor
    covariates : ndarray (N, T, q)
        NaN where missing.
    Y : ndarray (N, T)
    start : int
    """
    used, columns = [], []
    for p in predictors:
        periods = [t for t in (range(start) if p.periods is None else p.periods) if t < start]
        if not periods:
            continue
        values = (Y if p.column < 0 else covariates[:, :, p.column])[:, periods]
        known = ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            columns.append(np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1))
        used.append(p)
    return tuple(used), np.stack(columns, axis=1) if columns else np.zeros((len(Y), 0))


def weights_given(differences: Floats, paths: Floats, v: Floats) -> tuple[Floats, float]:
    """Unit weights that fit the predictors best under predictor weights v, and their mean squared gap before treatment.

    Parameters
    ----------
    differences : ndarray (n, k)
        Donors' predictors minus the treated unit's, on one scale.
    paths : ndarray (n, T0)
        Donors' outcomes minus the treated unit's.
    v : ndarray (k,)
        Zero or more.

    References
    ----------
    Abadie, Diamond and Hainmueller (2010), JASA 105, section 2.3. Every predictor keeps 1e-8 of the largest weight:
    where a few predictors have it all and donors match them exactly, many unit weights are equally good, and the outer
    search would live off the choice among them (Malo, Eskelinen, Zhou and Kuosmanen 2024, Computational Economics).
    """
    from pandas_causal.synthetic_control.simplex_kernels import min_norm_weights

    points = np.ascontiguousarray(differences * np.sqrt(np.maximum(v, _FLOOR * v.max())))
    weights = np.zeros(len(points))
    check_gaps(np.array([min_norm_weights(points, 0.0, weights)]))
    return weights, float(np.square(weights @ paths).mean())


def search_predictor_weights(differences: Floats, paths: Floats) -> tuple[Floats, Floats, float]:
    """Predictor weights v (sum one) whose unit weights follow the outcomes before treatment best.

    The outer problem is neither convex nor smooth, and weights matter over many orders of magnitude: logarithms are
    searched, from equal weights, from those of a regression (Abadie, Diamond and Hainmueller 2011) and from 400 seeded
    random starts, the best six of which are improved by Nelder and Mead's simplex. The same input, the same answer.

    Returns
    -------
    ndarray (k,), ndarray (n,), float
        Predictor weights, unit weights, mean squared gap.
    """
    from pandas_causal.synthetic_control.predictor_kernels import search

    k = differences.shape[1]
    v = np.ones(k)
    if k > 1:
        lowest = float(np.log(_FLOOR))
        regression = np.log(np.maximum(_regression_based(differences, paths), _FLOOR))
        random = np.random.default_rng(0).uniform(lowest, 0, (_RANDOM, k))
        starts = np.vstack([np.zeros(k), regression, random])
        best = np.zeros(k)
        search(np.ascontiguousarray(differences), np.ascontiguousarray(paths), starts, _STARTS, lowest, best)
        v = np.exp(np.maximum(best - best.max(), lowest))
    return v / v.sum(), *weights_given(differences, paths, v)


def _regression_based(differences: Floats, paths: Floats) -> Floats:
    """Squared coefficients of outcomes on predictors, summed over periods and scaled to one."""
    X = np.column_stack([np.ones(len(differences)), differences])
    slopes = np.linalg.lstsq(X, paths, rcond=1e-10)[0][1:]  # with few donors X has more columns than rows
    total = np.square(slopes).sum(axis=1)
    return total / total.sum() if total.sum() > 0 else np.full(len(total), 1.0 / len(total))


@dataclass(frozen=True, eq=False)
class PredictorControl(Blockwise):
    """Synthetic control on predictors.

    Attributes
    ----------
    predictors : tuple of Predictor
    covariates : ndarray (N, T, q)
    given : ndarray (k,), "equal" or None
        Predictor weights; None: searched, anew in every run.
    """

    predictors: tuple[Predictor, ...]
    covariates: Floats
    given: Any = None
    demeaned: bool = False

    def take(self, rows: Ints) -> PredictorControl:
        """Keep some rows of the covariates."""
        return replace(self, covariates=self.covariates[rows])

    def runs(self, Y: Floats, start: int, target: Ints, excluded: Ints) -> Runs:
        """See :class:`comparison.Method`."""
        used, Z = predictor_values(self.predictors, self.covariates, Y, start)
        weights, tuning = np.zeros((len(target), len(Y))), np.zeros((len(target), len(self.predictors)))
        places = [self.predictors.index(p) for p in used]
        for k, rows in enumerate(kept_rows(len(Y), excluded)):
            target_predictors, paths = Z[target[k]].mean(axis=0), Y[rows, :start] - Y[target[k], :start].mean(axis=0)
            spread = np.vstack([Z[rows], Z[target[k]]]).std(axis=0, ddof=1)
            differences = (Z[rows] - target_predictors) / np.where(spread > 0, spread, 1.0)
            if self.given is None:
                v, w, _ = search_predictor_weights(differences, paths)
            else:
                v = np.full(len(used), 1.0 / len(used)) if isinstance(self.given, str) else self.given[places]
                w = weights_given(differences, paths, v / v.sum())[0]
            weights[k, rows], tuning[k, places] = w, v / v.sum()
        return Runs(Y[target].mean(axis=1) - weights @ Y, weights, tuning=tuning)
