"""Nuisance models: default choices, cross-fitting, and how well they predict.

The outcome given covariates in every arm, and the probability of every arm given covariates. A model is "auto" (the
learners of :mod:`~pandas_causal.models.members` joined by out-of-fold loss), "linear" (unpenalised, from sufficient
statistics), one of those learners by name, or any scikit-learn estimator or pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Codes, Floats, Positions
from pandas_causal.models.cross_fitting import (
    check_model,
    log_loss,
    skill,
    squared_loss,
)
from pandas_causal.models.folds import assign_folds, label_order
from pandas_causal.models.linear import (
    Logistic,
    StandardisedMatrix,
    fit_logistic,
    least_squares,
    logistic_probabilities,
    predict_by_fold,
)
from pandas_causal.models.members import cross_fit_arms, cross_fit_probabilities, stacked_means, stacked_probabilities
from pandas_causal.models.stacking import Stack, calibration_slope
from pandas_causal.models.training_rows import TrainingRows

__all__ = [
    "Nuisance",
    "TrainingRows",
    "arm_loss",
    "fit_outcome",
    "fit_propensity",
    "in_label_order",
    "is_linear",
    "nuisance_table",
    "report",
]

_FOLDS = 5  # drawn to settle "auto" where none are given


@dataclass(frozen=True, eq=False)
class Nuisance:
    """Out-of-fold predictions of one kind of nuisance, and the models behind them.

    Attributes
    ----------
    predictions : ndarray (n, K)
        Outcome in every arm, or probability of every arm.
    chosen : tuple of str
        Model used for every column (outcome), or for all of them (propensity).
    losses, baselines : tuple of float
        Out-of-fold loss (unless `in_sample`), and the loss of arm means or arm shares.
    predict : tuple of callables
        For new rows ``X -> (m, K)``, one per fold; their mean is the prediction.
    logistic : Logistic or None
        The unpenalised propensity model, where that is what was fitted.
    in_sample : bool
        Whether the losses are those of rows the model was fitted to.
    calibrate : callable or None
        Predictions (n, K) to slopes of the outcome, or the log odds of the arm, on what was predicted; 1 is right.
    stacks : tuple of Stack
        What "auto" was made of, for every column (outcome) or all of them (propensity).
    plain : ndarray (n, K) or None
        What "auto" would have predicted of ridge and boosting alone.
    """

    predictions: Floats
    chosen: tuple[str, ...]
    losses: tuple[float, ...]
    baselines: tuple[float, ...]
    predict: tuple[Any, ...]
    logistic: Logistic | None = None
    in_sample: bool = False
    calibrate: Callable[[Floats], tuple[float, ...]] | None = None
    stacks: tuple[Stack, ...] = ()
    plain: Floats | None = None

    @property
    def slopes(self) -> tuple[float, ...]:
        """Calibration of every column (outcome) or all of them (propensity)."""
        return () if self.calibrate is None else self.calibrate(self.predictions)

    def without_models(self) -> Nuisance:
        """What a report reads: it is kept, and pickled, with the answer."""
        return replace(self, predict=(), logistic=None)

    def on(self, X: Floats) -> Floats:
        """Predict for new rows: the mean over the folds' models."""
        return np.mean([p(X) for p in self.predict], axis=0)


def _is_auto(spec: Model) -> bool:
    return isinstance(spec, str) and spec == "auto"


def _settled_on_folds(
    fit: Callable[..., Nuisance], rows: TrainingRows, random_state: int | None, n_jobs: int | None
) -> Nuisance:
    """Fit "auto" on folds of its own where none are given: in sample the most flexible member would always win.

    What it predicts is out of fold as well: members' weights and calibration are those of rows not seen.
    """
    rng = np.random.default_rng(random_state)
    n_groups = len(rows) if rows.groups is None else len(np.unique(rows.groups))
    folds = assign_folds(rows.arms, min(_FOLDS, n_groups), rng, cluster=rows.groups)
    return fit("auto", rows, folds, random_state=random_state, n_jobs=n_jobs)


@dataclass(frozen=True, eq=False)
class _LinearPredictor:
    """Least squares or logistic predictions on new rows, by the fit of all rows."""

    design: StandardisedMatrix
    coefficients: Floats
    logistic: bool

    def __call__(self, X: Floats) -> Floats:
        on = self.design.on(X)
        return (
            logistic_probabilities(on, self.coefficients) if self.logistic else predict_by_fold(on, self.coefficients)
        )


def is_linear(spec: Model, X: Floats) -> bool:
    """Whether the unpenalised model is asked for; without covariates every named model is that one, a mean."""
    return isinstance(spec, str) and (spec == "linear" or not X.shape[1])


def fit_outcome(
    spec: Model,
    rows: TrainingRows,
    folds: Codes | None,
    *,
    random_state: int | None = 0,
    n_jobs: int | None = None,
    before: Nuisance | None = None,
    setting: str = "outcome_model",
) -> Nuisance:
    """Fit the outcome in every arm and predict it for every row, out of fold.

    Without folds predictions are in sample, but those of "auto", which makes folds of its own. With `before`, the fit
    of an earlier split, "auto" keeps the members that had a say there. `setting` names the model in messages.
    """
    check_model(spec, setting, "predict")
    X, arms, y, w = rows.X, rows.arms, rows.outcome(), rows.w
    baselines = tuple(arm_baseline(y, arms, a, w) for a in range(rows.n_arms))
    if is_linear(spec, X):
        design = rows.standardised()
        n_folds = 0 if folds is None else int(folds.max()) + 1
        coefficients = least_squares(design, y, arms, rows.n_arms, folds, n_folds, w)
        predictions = predict_by_fold(design, coefficients, folds)
        losses = tuple(arm_loss(y, predictions[:, a], arms, a, w) for a in range(rows.n_arms))
        by_all = (_LinearPredictor(design.on(X[:0]), coefficients[-1:], False),)
        chosen = ("linear",) * rows.n_arms
        calibrate = partial(_outcome_slopes, rows)
        return Nuisance(predictions, chosen, losses, baselines, by_all, in_sample=folds is None, calibrate=calibrate)
    if folds is None and _is_auto(spec):
        return _settled_on_folds(fit_outcome, rows, random_state, n_jobs)
    stacks: tuple[Stack, ...] = ()
    plain: Floats | None = None
    predict: tuple[Callable[[Floats], Floats], ...]
    if folds is not None and _is_auto(spec):
        made = stacked_means(rows, folds, None if before is None else before.stacks, random_state, n_jobs)
        predictions, predict, stacks, plain = made.predictions, made.by_fold, made.stacks, made.plain
        chosen = tuple(stack.name for stack in stacks)
    else:
        predictions, predict = cross_fit_arms(spec, rows, folds, random_state, n_jobs)
        chosen = (_name(spec),) * rows.n_arms
    return Nuisance(
        predictions,
        chosen,
        tuple(arm_loss(y, predictions[:, a], arms, a, w) for a in range(rows.n_arms)),
        baselines,
        predict,
        in_sample=folds is None,
        calibrate=partial(_outcome_slopes, rows),
        stacks=stacks,
        plain=plain,
    )


def _name(spec: Model) -> str:
    return spec if isinstance(spec, str) else type(spec).__name__


def arm_loss(y: Floats, prediction: Floats, arms: Codes, a: int, w: Floats | None) -> float:
    """Squared loss of predictions within one arm."""
    inside = arms == a
    return squared_loss(y[inside], prediction[inside], None if w is None else w[inside])


def arm_baseline(y: Floats, arms: Codes, a: int, w: Floats | None) -> float:
    inside = arms == a
    weight = None if w is None else w[inside]
    return squared_loss(y[inside], np.full(int(inside.sum()), np.average(y[inside], weights=weight)), weight)


def fit_propensity(
    spec: Model,
    rows: TrainingRows,
    folds: Codes | None,
    *,
    random_state: int | None = 0,
    n_jobs: int | None = None,
    before: Nuisance | None = None,
    setting: str = "propensity_model",
) -> Nuisance:
    """Fit the probability of every arm and predict it for every row, out of fold.

    Without folds predictions are in sample, but those of "auto", which makes folds of its own. With `before`, the fit
    of an earlier split, "auto" keeps the members that had a say there. `setting` names the model in messages.
    """
    check_model(spec, setting, "predict_proba")
    arms, w, baseline = rows.arms, rows.w, rows.share_loss()
    if is_linear(spec, rows.X):
        design = rows.standardised()
        fit = fit_logistic(design, arms, rows.n_arms, folds, 0 if folds is None else int(folds.max()) + 1, w)
        predictions = logistic_probabilities(design, fit.coefficients, folds)
        by_all = (_LinearPredictor(design.on(rows.X[:0]), fit.coefficients[-1:], True),)
        losses = (log_loss(arms, predictions, w),)
        calibrate = partial(_propensity_slope, rows)
        return Nuisance(predictions, ("linear",), losses, (baseline,), by_all, fit, folds is None, calibrate)
    if folds is None and _is_auto(spec):
        return _settled_on_folds(fit_propensity, rows, random_state, n_jobs)

    stacks: tuple[Stack, ...] = ()
    plain: Floats | None = None
    predict: tuple[Callable[[Floats], Floats], ...]
    if folds is not None and _is_auto(spec):
        made = stacked_probabilities(rows, folds, None if before is None else before.stacks, random_state, n_jobs)
        predictions, predict, stacks, plain = made.predictions, made.by_fold, made.stacks, made.plain
    else:
        predictions, predict = cross_fit_probabilities(spec, rows, folds, random_state, n_jobs)
    return Nuisance(
        predictions,
        (stacks[0].name if stacks else _name(spec),),
        (log_loss(arms, predictions, w),),
        (baseline,),
        predict,
        in_sample=folds is None,
        calibrate=partial(_propensity_slope, rows),
        stacks=stacks,
        plain=plain,
    )


def _outcome_slopes(rows: TrainingRows, predictions: Floats) -> tuple[float, ...]:
    """Slope of the outcome on its prediction, arm by arm: under 1 where predictions vary too much."""
    slopes = []
    for a in range(rows.n_arms):
        own = rows.arms == a
        w = np.ones(int(own.sum())) if rows.w is None else rows.w[own]
        p, y = predictions[own, a], rows.outcome()[own]
        p = p - np.average(p, weights=w)
        spread = float(w @ np.square(p))
        slopes.append(float(w @ (p * y)) / spread if spread > 1e-12 * float(w @ np.square(y)) else np.nan)
    return tuple(slopes)


def _propensity_slope(rows: TrainingRows, probabilities: Floats) -> tuple[float]:
    """Slope of the log odds of the arm received on those predicted."""
    if np.ptp(probabilities, axis=0).max() < 1e-12:
        return (np.nan,)
    return (calibration_slope(probabilities, rows.arms, rows.w),)


def in_label_order(
    fit: Callable[..., Nuisance],
    labels: pd.Index,
    spec: Model,
    rows: TrainingRows,
    folds: Codes | None,
    **settings: Any,
) -> Nuisance:
    """Fit nuisances on rows in the order of their labels, so that the order of rows changes nothing a learner sees.

    Parameters
    ----------
    fit : fit_outcome or fit_propensity
    labels : Index (n,)
        Of the rows. Unpenalised models are sums over rows, to which their order is immaterial.
    spec, rows, folds, **settings : as for `fit`
    """
    order = None if is_linear(spec, rows.X) else label_order(labels)
    if order is None:
        return fit(spec, rows, folds, **settings)
    ordered = fit(spec, rows.take(order), None if folds is None else folds[order], **settings)
    inverse = np.empty(len(order), dtype=np.intp)
    inverse[order] = np.arange(len(order))
    plain = None if ordered.plain is None else ordered.plain[inverse]
    calibrate = None if ordered.calibrate is None else partial(_in_order, ordered.calibrate, order)
    return replace(ordered, predictions=ordered.predictions[inverse], plain=plain, calibrate=calibrate)


def _in_order(
    calibrate: Callable[[Floats], tuple[float, ...]], order: Positions, predictions: Floats
) -> tuple[float, ...]:
    return calibrate(predictions[order])


_COLUMNS = ["nuisance", "model", "weights", "loss_kind", "loss", "baseline", "skill", "calibration"]


def _told(names: Sequence[str], kind: str, fit: Nuisance) -> list[tuple[Any, ...]]:
    """A row of the report for every column of a nuisance."""
    n = len(names)
    slopes = fit.slopes or (np.nan,) * n
    weights = [stack.told() for stack in fit.stacks] or [""] * n
    chosen = fit.chosen if len(fit.chosen) == n else fit.chosen * n
    skills = [skill(loss, base) for loss, base in zip(fit.losses, fit.baselines, strict=True)]
    columns = (names, chosen, weights, [kind] * n, fit.losses, fit.baselines, skills, slopes)
    return list(zip(*columns, strict=True))


def nuisance_table(parts: Sequence[tuple[Sequence[str], str, Nuisance]]) -> pd.DataFrame:
    """The table of a report: names of the columns, kind of loss and fit of every nuisance."""
    rows = [row for names, kind, fit in parts for row in _told(names, kind, fit)]
    return pd.DataFrame(rows, columns=_COLUMNS).set_index("nuisance")


def report(outcome: Nuisance | None, propensity: Nuisance | None, levels: Sequence[Any]) -> Check:
    """Tell how nuisances predict.

    A table of the model (of "auto": its members), the members' weights, loss, skill (1 - loss / loss of arm means or
    shares) and calibration (slope of the outcome, or of the log odds of the arm, on what was predicted: 1 is right).
    Losses are out of fold; where they are not, skill is said to be in-sample.
    """
    parts: list[tuple[Sequence[str], str, Nuisance]] = []
    if outcome is not None:
        parts.append(([f"outcome | {level}" for level in levels], "squared error", outcome))
    if propensity is not None:
        parts.append((["propensity"], "log loss", propensity))
    table = nuisance_table(parts)
    where = [] if outcome is None else ["in-sample " if outcome.in_sample else ""] * len(levels)
    where += [] if propensity is None else ["in-sample " if propensity.in_sample else ""]
    shown = zip(table.iterrows(), where, strict=True)
    return Check(None, table, ", ".join(f"{n} {r.model} ({how}skill {r.skill:.2f})" for (n, r), how in shown))
