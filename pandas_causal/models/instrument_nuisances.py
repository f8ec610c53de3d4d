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
from pandas_causal.models.cross_fitting import skill
from pandas_causal.models.nuisance import Nuisance, TrainingRows, fit_outcome, fit_propensity, in_label_order

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
        parts = [
            *_told("outcome", ("instrument 0", "instrument 1"), self.outcome, "squared error"),
            *_told("treatment", ("instrument 0", "instrument 1"), self.treatment, "squared error"),
            *_told("instrument", ("",), self.instrument, "log loss"),
        ]
        return _report(parts)


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
        parts = [
            part for name, fit in zip(self.names, self.fits, strict=True)
            for part in _told(name, ("",), fit, "squared error")
        ]  # fmt: skip
        return _report(parts)


def _told(name: str, where: Sequence[str], fit: Nuisance, kind: str) -> list[tuple[str, str, str, float, float]]:
    labels = [f"{name} | {place}" if place else name for place in where]
    chosen = fit.chosen if len(fit.chosen) == len(labels) else fit.chosen * len(labels)
    return [
        (label, model, kind, loss, base)
        for label, model, loss, base in zip(labels, chosen, fit.losses, fit.baselines, strict=True)
    ]


def _report(parts: list[tuple[str, str, str, float, float]]) -> Check:
    table = pd.DataFrame(parts, columns=["nuisance", "model", "loss_kind", "loss", "baseline"]).set_index("nuisance")
    table["skill"] = [skill(a, b) for a, b in zip(table["loss"], table["baseline"], strict=True)]
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

    def chosen(part: str, spec: Model) -> tuple[str, ...] | None:
        fit: Nuisance | None = None if before is None else getattr(before, part)
        return fit.chosen if fit is not None and isinstance(spec, str) else None

    outcome = in_label_order(
        fit_outcome, labels, outcome_model, rows, folds, chosen_before=chosen("outcome", outcome_model), **settings
    )
    taken = in_label_order(
        fit_outcome, labels, treatment_model, replace(rows, y=treated), folds, setting="treatment_model",
        chosen_before=chosen("treatment", treatment_model), **settings,
    )  # fmt: skip
    instrument = in_label_order(
        fit_propensity, labels, instrument_model, rows, folds, setting="instrument_model",
        chosen_before=chosen("instrument", instrument_model), **settings,
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
        chosen = before.fits[j].chosen if before is not None and isinstance(model, str) else None
        fits.append(
            in_label_order(fit_outcome, labels, model, target, folds, setting=setting, chosen_before=chosen, **settings)
        )
    predictions = np.column_stack([fit.predictions[:, 0] for fit in fits])
    return ColumnMeans(predictions, tuple(fits), tuple(names))
