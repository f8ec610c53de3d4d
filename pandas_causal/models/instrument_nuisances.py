"""Nuisances of designs with an instrument: of the instrument, and of outcome and treatment by it, all cross-fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.nuisance import (
    Nuisance,
    TrainingRows,
    fit_outcome,
    fit_propensity,
    in_label_order,
    nuisance_table,
)

__all__ = ["ByInstrument", "ColumnMeans", "fit_by_instrument", "fit_means"]


@dataclass(frozen=True, eq=False)
class ByInstrument:
    """Out-of-fold predictions given a binary instrument and the covariates.

    Attributes
    ----------
    outcome : Nuisance
        Predictions (n, 2): the mean outcome where the instrument is 0 and 1.
    treatment : Nuisance
        Predictions (n, 2): the probability of treatment there.
    instrument : Nuisance
        Predictions (n, 2): the probability of either value of the instrument.
    """

    outcome: Nuisance
    treatment: Nuisance
    instrument: Nuisance

    def report(self) -> Check:
        """Model chosen and skill of each nuisance."""
        by_value = ("instrument 0", "instrument 1")
        return _report([
            ([f"outcome | {where}" for where in by_value], "squared error", self.outcome),
            ([f"treatment | {where}" for where in by_value], "squared error", self.treatment),
            (["instrument"], "log loss", self.instrument),
        ])  # fmt: skip


@dataclass(frozen=True, eq=False)
class ColumnMeans:
    """Out-of-fold means of several columns given covariates.

    Attributes
    ----------
    predictions : ndarray (n, m)
    fits : tuple of Nuisance (m,)
    names : tuple of str (m,)
    """

    predictions: Floats
    fits: tuple[Nuisance, ...]
    names: tuple[str, ...]

    def report(self) -> Check:
        """Model chosen and skill of each nuisance."""
        return _report([([name], "squared error", fit) for name, fit in zip(self.names, self.fits, strict=True)])


def _report(parts: Sequence[tuple[Sequence[str], str, Nuisance]]) -> Check:
    table = nuisance_table(parts)
    return Check(None, table, ", ".join(f"{n} {r.model} (skill {r.skill:.2f})" for n, r in table.iterrows()))


def fit_by_instrument(
    rows: TrainingRows,
    treated: Floats,
    folds: Codes,
    labels: pd.Index,
    *,
    outcome_model: Model,
    treatment_model: Model,
    instrument_model: Model,
    before: ByInstrument | None = None,
    **settings: Any,
) -> ByInstrument:
    """Fit outcome and treatment in either group of the instrument, and the instrument.

    Parameters
    ----------
    rows : TrainingRows
        Whose arms are the values of the instrument, 0 and 1.
    treated : ndarray (n,)
        0 or 1.
    folds : ndarray (n,)
    labels : Index (n,)
        Of the rows: learners see them in this order.
    outcome_model, treatment_model, instrument_model : names or scikit-learn models
    before : ByInstrument, optional
        An earlier split, whose choices hold.
    **settings
        random_state, n_jobs.
    """
    outcome = in_label_order(
        fit_outcome, labels, outcome_model, rows, folds, before=before and before.outcome, **settings
    )
    taken = in_label_order(
        fit_outcome, labels, treatment_model, replace(rows, y=treated), folds, setting="treatment_model",
        before=before and before.treatment, **settings,
    )  # fmt: skip
    instrument = in_label_order(
        fit_propensity, labels, instrument_model, rows, folds, setting="instrument_model",
        before=before and before.instrument, **settings,
    )  # fmt: skip
    return ByInstrument(outcome, taken, instrument)


def fit_means(
    rows: TrainingRows,
    columns: Floats,
    folds: Codes,
    labels: pd.Index,
    *,
    names: Sequence[str],
    models: Sequence[Model],
    setting_names: Sequence[str],
    before: ColumnMeans | None = None,
    **settings: Any,
) -> ColumnMeans:
    """Fit the mean of every column (n, m) given the covariates."""
    fits = []
    for j, (model, setting) in enumerate(zip(models, setting_names, strict=True)):
        target = replace(rows, arms=np.zeros(len(rows), dtype=np.int8), n_arms=1, y=np.ascontiguousarray(columns[:, j]))
        earlier = None if before is None else before.fits[j]
        fits.append(
            in_label_order(fit_outcome, labels, model, target, folds, setting=setting, before=earlier, **settings)
        )
    predictions = np.column_stack([fit.predictions[:, 0] for fit in fits])
    return ColumnMeans(predictions, tuple(fits), tuple(names))
