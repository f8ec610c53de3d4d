"""Several columns regressed on the same covariates: in one pass over the rows where all models are linear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.cross_fitting import squared_loss
from pandas_causal.models.instrument_nuisances import ColumnMeans, fit_means
from pandas_causal.models.linear import StandardisedMatrix, predict_by_fold, solve_gram
from pandas_causal.models.nuisance import Nuisance, is_linear
from pandas_causal.models.training_rows import TrainingRows

__all__ = ["fit_targets", "least_squares_targets"]


def least_squares_targets(
    design: StandardisedMatrix, targets: Floats, folds: Codes | None = None, n_folds: int = 0, w: Floats | None = None
) -> Floats:
    """Least squares of every target, leaving each fold out in turn.

    Parameters
    ----------
    design : StandardisedMatrix (n, p)
    targets : ndarray (n, m)
    folds : ndarray (n,), optional
    n_folds : int
    w : ndarray (n,), optional

    Returns
    -------
    ndarray (n_folds + 1, m, p)
        Coefficients without each fold; the last of all rows.
    """
    k, m = max(n_folds, 1), targets.shape[1]
    grams, moments = np.zeros((k, design.p, design.p)), np.zeros((k, design.p, m))
    for at, Z in design.blocks():
        fold_of_row, T = None if folds is None else folds[at], targets[at]
        for f in range(k):
            inside = slice(None) if fold_of_row is None else np.flatnonzero(fold_of_row == f)
            z = Z[inside]
            weighted = z if w is None else z * w[at][inside][:, None]
            grams[f] += weighted.T @ z
            moments[f] += weighted.T @ T[inside]
    gram, moment = grams.sum(axis=0), moments.sum(axis=0)
    out = np.empty((n_folds + 1, m, design.p))
    out[n_folds] = solve_gram(gram, moment).T
    for f in range(n_folds):
        out[f] = solve_gram(gram - grams[f], moment - moments[f]).T
    return out


@dataclass(frozen=True, eq=False)
class _LinearMean:
    """One target's regression on new rows, by the fit of all rows."""

    design: StandardisedMatrix
    coefficients: Floats

    def __call__(self, X: Floats) -> Floats:
        return predict_by_fold(self.design.on(X), self.coefficients[None, None])


def fit_targets(
    rows: TrainingRows,
    targets: Floats,
    folds: Codes,
    labels: pd.Index,
    *,
    names: Sequence[str],
    models: Sequence[Model],
    setting_names: Sequence[str],
    before: ColumnMeans | None = None,
    **settings: Any,
) -> ColumnMeans:
    """Fit the mean of every column (n, m) given the covariates, out of fold.

    One pass over the rows where every model is the unpenalised one, else one regression after another. The parameters
    are those of :func:`fit_means`.
    """
    if not all(is_linear(model, rows.X) for model in models):
        return fit_means(
            rows, targets, folds, labels, names=names, models=models, setting_names=setting_names, before=before,
            **settings,
        )  # fmt: skip
    design = rows.standardised()
    coefficients = least_squares_targets(design, targets, folds, int(folds.max()) + 1, rows.w)
    predictions = predict_by_fold(design, coefficients, folds)
    nothing = design.on(rows.X[:0])
    fits = []
    for j in range(targets.shape[1]):
        y, fitted = targets[:, j], predictions[:, j]
        base = np.full(len(y), np.average(y, weights=rows.w))
        losses = (squared_loss(y, fitted, rows.w),)
        predict = (_LinearMean(nothing, coefficients[-1, j]),)
        baselines = (squared_loss(y, base, rows.w),)
        fits.append(Nuisance(fitted[:, None], ("linear",), losses, baselines, predict))
    return ColumnMeans(predictions, tuple(fits), tuple(names))
