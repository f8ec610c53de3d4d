"""Nuisances of conditional effects, cross-fitted: outcome by arm, propensity, and means of outcome and treatments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.errors import NotIdentifiedError
from pandas_causal.heterogeneity.cache import remembered
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.instrument_nuisances import ColumnMeans
from pandas_causal.models.many_targets import fit_targets
from pandas_causal.models.nuisance import Nuisance, fit_outcome, fit_propensity, in_label_order, report
from pandas_causal.models.training_rows import TrainingRows

__all__ = [
    "ArmNuisances",
    "NuisanceModels",
    "Residuals",
    "cross_fit_means",
    "fit_arm_nuisances",
    "fit_arm_propensity",
    "residuals_of",
]

_Fit = TypeVar("_Fit")
_NOTHING = 1e-10  # of a treatment's variance: what rounding leaves of one that covariates explain


@dataclass(frozen=True, eq=False)
class NuisanceModels:
    """Which models nuisances are, and how they are fitted.

    Attributes
    ----------
    outcome : name or scikit-learn model
    treatment : name or scikit-learn model
        Of the propensity, or of treatments that are numbers.
    clip : float
        Estimated propensities are bounded to [clip, 1 - clip].
    random_state : int or None
    n_jobs : int or None
    memory : path, joblib.Memory or None
    treatment_setting : str
        What messages call the treatment's model.
    """

    outcome: Model = "auto"
    treatment: Model = "auto"
    clip: float = 0.01
    random_state: int | None = 0
    n_jobs: int | None = None
    memory: object = None
    treatment_setting: str = "propensity_model"

    def remembered(
        self, compute: Callable[[], _Fit], what: str, spec: object, rows: TrainingRows, *more: object
    ) -> _Fit:
        """A fit, or the same one found again."""
        parts = {
            "what": what, "model": spec, "seed": self.random_state, "X": rows.X, "arms": rows.arms, "y": rows.y,
            "w": rows.w, "columns": None if rows.columns is None else tuple(rows.columns), "more": more,
        }  # fmt: skip
        return remembered(compute, self.memory, parts)


@dataclass(frozen=True, eq=False)
class ArmNuisances:
    """Out-of-fold predictions for arms.

    Attributes
    ----------
    folds : ndarray (n,)
    outcome : Nuisance
        Predictions (n, K).
    propensity : Nuisance or None
        None where it is known.
    e : ndarray (n, K)
        Propensities, bounded.
    n_clipped : int
    """

    folds: Codes
    outcome: Nuisance
    propensity: Nuisance | None
    e: Floats
    n_clipped: int = 0

    def report(self, levels: tuple[Any, ...]) -> Check:
        """Model chosen and skill of each nuisance."""
        return report(self.outcome, self.propensity, levels)


def fit_arm_nuisances(
    rows: TrainingRows,
    folds: Codes,
    labels: pd.Index,
    models: NuisanceModels,
    *,
    known: Floats | None = None,
    before: ArmNuisances | None = None,
) -> ArmNuisances:
    """Predict the outcome in every arm and the probability of every arm by models that did not see the row.

    Parameters
    ----------
    rows : TrainingRows (n,)
    folds : ndarray (n,)
    labels : Index (n,)
    models : NuisanceModels
    known : ndarray (n, K), optional
        Known assignment probabilities: no propensity is fitted.
    before : ArmNuisances, optional
        An earlier split, whose choice of models holds.
    """
    settings: dict[str, Any] = {"random_state": models.random_state, "n_jobs": models.n_jobs}
    earlier = None if before is None else before.outcome
    outcome = models.remembered(
        lambda: in_label_order(fit_outcome, labels, models.outcome, rows, folds, before=earlier, **settings),
        "outcome by arm", models.outcome, rows, folds, earlier and earlier.chosen,
    )  # fmt: skip
    propensity = None
    if known is None:
        propensity = fit_arm_propensity(rows, folds, labels, models, None if before is None else before.propensity)
    raw = propensity.predictions if propensity is not None else known
    assert raw is not None  # noqa: S101 - one of the two is there
    e = np.clip(raw, models.clip, 1 - models.clip) if propensity is not None and models.clip else raw
    return ArmNuisances(folds, outcome, propensity, e, int((e != raw).any(axis=1).sum()))


def fit_arm_propensity(
    rows: TrainingRows, folds: Codes, labels: pd.Index, models: NuisanceModels, before: Nuisance | None = None
) -> Nuisance:
    """Predict the probability of every arm by models that did not see the row."""
    without = replace(rows, y=None)
    return models.remembered(
        lambda: in_label_order(
            fit_propensity, labels, models.treatment, without, folds, before=before,
            setting=models.treatment_setting, random_state=models.random_state, n_jobs=models.n_jobs,
        ),
        "propensity", models.treatment, without, folds, before and before.chosen,
    )  # fmt: skip


def cross_fit_means(
    rows: TrainingRows,
    targets: Floats,
    folds: Codes,
    labels: pd.Index,
    models: NuisanceModels,
    *,
    names: list[str],
    outcome: bool,
    before: ColumnMeans | None = None,
) -> ColumnMeans:
    """Predict columns (n, m), outcomes or treatments that are numbers, by models that did not see the row."""
    spec = models.outcome if outcome else models.treatment
    setting = "outcome_model" if outcome else models.treatment_setting
    chosen = None if before is None else tuple(fit.chosen for fit in before.fits)
    return models.remembered(
        lambda: fit_targets(
            rows, targets, folds, labels, names=names, models=[spec] * len(names),
            setting_names=[setting] * len(names), before=before, random_state=models.random_state,
            n_jobs=models.n_jobs,
        ),
        f"means of {names}", spec, rows, folds, targets, chosen,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Residuals:
    """Outcome and treatments less their out-of-fold means given the covariates.

    Attributes
    ----------
    folds : ndarray (n,)
    y : ndarray (n,)
    D : ndarray (n, d)
        Numbers, or indicators of the arms but the control.
    e : ndarray (n, K) or None
        Propensities, where the treatment is arms.
    outcome : ColumnMeans
    treatment : ColumnMeans or Nuisance
    """

    folds: Codes
    y: Floats
    D: Floats
    e: Floats | None
    outcome: ColumnMeans
    treatment: ColumnMeans | Nuisance | None

    def report(self, name: str) -> Check:
        """Model chosen and skill of each nuisance."""
        first = self.outcome.report()
        if self.treatment is None:
            return first
        if isinstance(self.treatment, ColumnMeans):
            second = self.treatment.report()
        else:
            second = report(None, self.treatment, ())
        table = pd.concat([first.table, second.table])
        return Check(None, table, f"{first.summary}, {second.summary}".replace("propensity", f"propensity of {name}"))


def residuals_of(
    rows: TrainingRows,
    D: Floats | None,
    names: tuple[str, list[str]],
    folds: Codes,
    labels: pd.Index,
    models: NuisanceModels,
    *,
    known: Floats | None = None,
    before: Residuals | None = None,
) -> Residuals:
    """Residuals of the partially linear model.

    Parameters
    ----------
    rows : TrainingRows (n,)
        Its arms are the treatment where `D` is None.
    D : ndarray (n, d) or None
        Treatments that are numbers.
    names : (str, list of str (d,))
        Of the outcome and of the treatments.
    folds : ndarray (n,)
    labels : Index (n,)
    models : NuisanceModels
    known : ndarray (n, K), optional
        Known propensities.
    before : Residuals, optional
        An earlier split, whose choice of models holds.

    Raises
    ------
    NotIdentifiedError
        Where the covariates explain a treatment.
    """
    y = rows.outcome()
    outcome_name, treatment_names = names
    plain = replace(rows, arms=np.zeros(len(rows), dtype=np.int8), n_arms=1)
    if D is not None and models.outcome == models.treatment == "linear":  # one pass for outcome and treatments
        both = cross_fit_means(
            plain, np.column_stack([y, D]), folds, labels, models, names=[outcome_name, *treatment_names], outcome=True
        )
        return _checked(Residuals(folds, y - both.predictions[:, 0], D - both.predictions[:, 1:], None, both, None), D,
                        treatment_names, rows.w)  # fmt: skip
    outcome = cross_fit_means(
        plain, y[:, None], folds, labels, models, names=[outcome_name], outcome=True,
        before=None if before is None else before.outcome,
    )  # fmt: skip
    r = y - outcome.predictions[:, 0]
    if D is None:
        D = (rows.arms[:, None] == np.arange(1, rows.n_arms)).astype(float)
        regression = not isinstance(models.treatment, str) and not hasattr(models.treatment, "predict_proba")
        if known is not None:
            return _checked(Residuals(folds, r, D - known[:, 1:], known, outcome, None), D, treatment_names, rows.w)
        if not regression:
            first = before.treatment if before is not None and isinstance(before.treatment, Nuisance) else None
            fit = fit_arm_propensity(rows, folds, labels, models, first)
            e = np.clip(fit.predictions, models.clip, 1 - models.clip) if models.clip else fit.predictions
            return _checked(Residuals(folds, r, D - e[:, 1:], e, outcome, fit), D, treatment_names, rows.w)
    previous = before.treatment if before is not None and isinstance(before.treatment, ColumnMeans) else None
    means = cross_fit_means(
        replace(plain, y=None), D, folds, labels, models, names=treatment_names, outcome=False, before=previous
    )
    return _checked(Residuals(folds, r, D - means.predictions, None, outcome, means), D, treatment_names, rows.w)


def _checked(residuals: Residuals, D: Floats, names: list[str], w: Floats | None) -> Residuals:
    """Refuse treatments of which the covariates leave nothing."""
    left = np.average(np.square(residuals.D), axis=0, weights=w)
    had = np.average(np.square(D - np.average(D, axis=0, weights=w)), axis=0, weights=w)
    gone = np.flatnonzero(left <= _NOTHING * had)
    if len(gone):
        raise NotIdentifiedError(
            f"the covariates explain the treatment {names[gone[0]]} exactly, so that nothing is left to learn an effect"
            " from; leave out the covariates that decide it"
        )
    return residuals
