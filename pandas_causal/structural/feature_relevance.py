"""What a predictor's features contribute to its predictions: the engine of attributions, on ``predict``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem, suggest
from pandas_causal.kernels.arrays import Bools, Floats
from pandas_causal.structural.attribution import GROUPS, AttributionSettings, combine_errors, without
from pandas_causal.structural.shapley import shapley_arrays

__all__ = ["feature_relevance", "relevance_table"]

_BLOCK = 2**17  # rows times background rows in one run
_CELLS = 2**19  # rows that the predictor is given at once


def feature_relevance(
    predictor: Any,
    rows: pd.DataFrame,
    background: pd.DataFrame,
    *,
    n_samples: int = 500,
    method: str = "auto",
    tolerance: float = 0.02,
    max_draws: int = 500,
    random_state: int | None = 0,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Shapley values of the features of a fitted predictor, row by row.

    A feature out of a subset takes its values from rows of the background, whatever the others are: what the
    *predictor* reads is attributed, as under interventions on its inputs, and no effect in the world (Janzing, Minorics
    and Bloebaum 2020, AISTATS).

    Parameters
    ----------
    predictor : callable, or fitted model with ``predict``
        ``predict(frame) -> (n,)``; of a classifier give ``lambda X: model.predict_proba(X)[:, 1]``.
    rows : DataFrame (n, q)
        To be explained, in the columns that the predictor takes.
    background : DataFrame
        Rows that say what is usual; `n_samples` of them are drawn if there are more.
    n_samples : int
    method, tolerance, max_draws, random_state, n_jobs
        As in :func:`shapley`.

    Returns
    -------
    DataFrame
        One row per row and feature: attribution, std_error (of the subsets and the background drawn), prediction, and
        baseline, the mean prediction of the background. Attributions of a row sum to prediction less baseline.
    """
    predict = predictor.predict if hasattr(predictor, "predict") else predictor
    if not callable(predict):
        raise CausalArgumentError(f"predictor is a function of a frame, or has predict(); got {predictor!r}")
    settings = AttributionSettings(
        n_samples=n_samples, method=method, tolerance=tolerance, max_draws=max_draws, seed=random_state, n_jobs=n_jobs
    )
    return relevance_table(predict, rows, background, settings)


def relevance_table(
    predict: Callable[[pd.DataFrame], Any], rows: pd.DataFrame, background: pd.DataFrame, settings: AttributionSettings
) -> pd.DataFrame:
    """The same, with settings in one record."""
    settings.checked()
    for name, frame in (("rows", rows), ("background", background)):
        if not isinstance(frame, pd.DataFrame) or not len(frame) or not frame.shape[1]:
            raise CausalArgumentError(f"{name} must be a DataFrame of at least one row and column")
    if list(rows.columns) != list(background.columns):
        odd = next((c for c in background.columns if c not in rows.columns), None)
        hint = "" if odd is None else f": {odd!r} is missing{suggest(odd, rows.columns)}"
        raise CausalDataError(f"rows and background have different columns{hint}; give both the predictor's, in order")
    usual = _usual(background, settings)
    step = max(1, _BLOCK // len(usual))
    parts = [_of_block(predict, rows.iloc[s : s + step], usual, settings) for s in range(0, len(rows), step)]
    attribution, error, baseline, prediction = (np.concatenate([p[k] for p in parts], axis=-1) for k in range(4))
    if len(background) <= settings.size:
        error = np.zeros_like(error) if all(p[4] for p in parts) else error
    k = rows.shape[1]
    index = pd.MultiIndex.from_arrays(
        [rows.index.repeat(k), pd.Index(rows.columns.tolist() * len(rows), tupleize_cols=False)],
        names=[rows.index.name or "row", "feature"],
    )
    return pd.DataFrame(
        {
            "attribution": attribution.T.ravel(),
            "std_error": error.T.ravel(),
            "prediction": np.repeat(prediction, k),
            "baseline": np.repeat(baseline, k),
        },
        index=index,
    )


def _usual(background: pd.DataFrame, settings: AttributionSettings) -> pd.DataFrame:
    """Rows of the background: all of them, or a draw of a size that the groups of the jackknife divide."""
    n = len(background)
    if n <= settings.size:
        return background
    rng = np.random.default_rng(settings.seed)
    return background.iloc[rng.permutation(n)[: settings.size]]


def _of_block(
    predict: Callable[[pd.DataFrame], Any], rows: pd.DataFrame, usual: pd.DataFrame, settings: AttributionSettings
) -> tuple[Floats, Floats, Floats, Floats, bool]:
    """Attributions and errors (k, R), baseline and prediction (R,), and whether every subset was asked about."""
    n, m = len(rows), len(usual)
    both = pd.concat([rows, usual], ignore_index=True)
    if list(both.dtypes) != list(usual.dtypes):
        bad = next(c for c in usual.columns if both[c].dtype != usual[c].dtype)
        raise CausalDataError(
            [
                Problem(
                    str(bad), f"has dtype {rows[bad].dtype}, in the background {usual[bad].dtype}", n, "make it alike"
                )
            ]
        )
    grouped = m % GROUPS == 0 and m > GROUPS

    def value(masks: Bools) -> Floats:
        step = max(1, _CELLS // (n * m))
        return np.concatenate([_some(masks[s : s + step]) for s in range(0, len(masks), step)])

    def _some(masks: Bools) -> Floats:
        s = len(masks)
        own = np.broadcast_to(np.arange(n)[:, None], (s, n, m)).ravel()
        other = np.broadcast_to(n + np.arange(m), (s, n, m)).ravel()
        columns = {}
        for j, name in enumerate(both.columns):
            at = np.where(np.repeat(masks[:, j], n * m), own, other)
            columns[name] = both[name].take(at).reset_index(drop=True)
        given = pd.DataFrame(columns) if len(set(both.columns)) == both.shape[1] else pd.concat(columns, axis=1)
        found = np.asarray(predict(given), dtype=float)
        if found.size != s * n * m or not np.isfinite(found).all():
            raise CausalDataError(
                f"the predictor gave {found.size:,} values for {s * n * m:,} rows, or not finite ones"
            )
        grid = found.reshape(s, n, m)
        parts = without(grid) if grouped else [grid] * (1 + GROUPS)
        return np.concatenate([part.mean(axis=2) for part in parts], axis=1)

    names = pd.Index(rows.columns, tupleize_cols=False)
    found = shapley_arrays(value, names, settings.of_subsets(len(names), n * m, watched=n))
    attribution, error = combine_errors(found, n)
    return attribution, error, found.empty[:n], found.full[:n], found.exact
