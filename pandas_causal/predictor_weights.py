"""Synthetic control on predictors: unit weights inside, predictor weights by an outer search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pandas_causal.simplex import check_gaps
from pandas_causal.synthetic import Blockwise, Ints, Runs, kept_rows

__all__ = ["Predictor", "PredictorControl", "predictor_values", "search_predictor_weights", "weights_given"]

Floats = NDArray[np.float64]
_HINT = 1e-8  # weight of the outcomes, beside the predictors: decides only among weights that predictors leave open
_STARTS = 3


@dataclass(frozen=True)
class Predictor:
    """A mean over periods before treatment.

    Attributes
    ----------
    name : str
    column : int
        Position among the covariates; -1 for the outcome.
    first, last : int or None
        Periods averaged, both included; None: from the first, or up to the last before treatment.
    """

    name: str
    column: int
    first: int | None = None
    last: int | None = None


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
        first, last = p.first or 0, start - 1 if p.last is None else min(p.last, start - 1)
        if first > last:
            continue
        values = (Y if p.column < 0 else covariates[:, :, p.column])[:, first : last + 1]
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
    Abadie, Diamond and Hainmueller (2010), JASA 105, section 2.3. Where predictors are fitted perfectly by many weights
    the outcomes decide among them (the optimistic form of a problem with two levels).
    """
    from pandas_causal.kernels.simplex import min_norm_weights

    points = np.empty((len(paths), differences.shape[1] + paths.shape[1]))
    scale = np.sqrt(_HINT * np.square(differences).mean() * v.sum() / max(float(np.square(paths).mean()), 1e-300))
    np.multiply(differences, np.sqrt(v), out=points[:, : len(v)])
    np.multiply(paths, scale / np.sqrt(paths.shape[1]), out=points[:, len(v) :])
    weights = np.zeros(len(points))
    check_gaps(np.array([min_norm_weights(points, 0.0, weights)]))
    return weights, float(np.square(weights @ paths).mean())


def search_predictor_weights(differences: Floats, paths: Floats) -> tuple[Floats, Floats, float]:
    """Predictor weights v (sum one) whose unit weights follow the outcomes before treatment best.

    The outer problem is neither convex nor smooth: the best of equal, regression-based (Abadie, Diamond and Hainmueller
    2011), single-predictor and 200 seeded random starts are improved by the simplex method of Nelder and Mead. The same
    input gives the same answer.

    Returns
    -------
    ndarray (k,), ndarray (n,), float
        Predictor weights, unit weights, mean squared gap.
    """
    from scipy.optimize import minimize

    k = differences.shape[1]
    if k == 1:
        return np.ones(1), *weights_given(differences, paths, np.ones(1))
    rng = np.random.default_rng(0)
    starts = [np.full(k, 1.0 / k), _regression_based(differences, paths)]
    starts += [0.9 * row + 0.1 / k for row in np.eye(k)]
    starts += list(rng.dirichlet(np.full(k, 0.5), 200))
    losses = [weights_given(differences, paths, v)[1] for v in starts]
    scale = max(min(losses), 1e-12 * float(np.square(paths).mean()), 1e-300)

    def loss(root: Floats) -> float:
        v = np.square(root)
        return weights_given(differences, paths, v / v.sum())[1] / scale if v.sum() > 0 else np.inf

    best, value = starts[int(np.argmin(losses))], min(losses)
    options = {"maxfev": 200 * k, "xatol": 1e-6, "fatol": 1e-9, "adaptive": True}
    for at in np.argsort(losses, kind="stable")[:_STARTS]:
        found = minimize(loss, np.sqrt(starts[at]), method="Nelder-Mead", options=options)
        found = minimize(loss, found.x, method="Nelder-Mead", options=options)  # a fresh simplex leaves false corners
        if found.fun * scale < value:
            best, value = np.square(found.x) / np.square(found.x).sum(), float(found.fun) * scale
    return best, *weights_given(differences, paths, best)


def _regression_based(differences: Floats, paths: Floats) -> Floats:
    """Squared coefficients of outcomes on predictors, summed over periods and scaled to one."""
    X = np.column_stack([np.ones(len(differences)), differences])
    slopes = np.linalg.lstsq(X, paths, rcond=None)[0][1:]
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
        """See :class:`synthetic.Method`."""
        used, Z = predictor_values(self.predictors, self.covariates, Y, start)
        weights, tuning = np.zeros((len(target), len(Y))), np.zeros((len(target), len(self.predictors)))
        places = [self.predictors.index(p) for p in used]
        for k, rows in enumerate(kept_rows(len(Y), excluded)):
            own, paths = Z[target[k]].mean(axis=0), Y[rows, :start] - Y[target[k], :start].mean(axis=0)
            spread = np.vstack([Z[rows], Z[target[k]]]).std(axis=0, ddof=1)
            differences = (Z[rows] - own) / np.where(spread > 0, spread, 1.0)
            if self.given is None:
                v, w, _ = search_predictor_weights(differences, paths)
            else:
                v = np.full(len(used), 1.0 / len(used)) if isinstance(self.given, str) else self.given[places]
                w = weights_given(differences, paths, v / v.sum())[0]
            weights[k, rows], tuning[k, places] = w, v / v.sum()
        return Runs(Y[target].mean(axis=1) - weights @ Y, weights, tuning=tuning)
