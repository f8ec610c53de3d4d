"""Nuisance models: default choices, cross-fitting, and how well they predict.

The outcome given covariates in every arm, and the probability of every arm given covariates. A model is "auto" (the
better of "ridge" and "boosting" by out-of-fold loss), "linear" (unpenalised, from sufficient statistics), "ridge",
"boosting", or any scikit-learn estimator or pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inputs.encoding import EveryLevel
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Codes, Floats, Positions
from pandas_causal.models.cross_fitting import (
    PredictFunction,
    check_model,
    cross_fit,
    log_loss,
    make_model,
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

__all__ = ["Nuisance", "TrainingRows", "arm_loss", "fit_outcome", "fit_propensity", "is_linear", "report"]

_SUBSAMPLE = 100_000
_FOLDS = 5  # drawn to settle "auto" where none are given


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Rows that nuisances are fitted to.

    Attributes
    ----------
    X : ndarray (n, q)
        Encoded covariates.
    arms : ndarray (n,)
    n_arms : int
    y : ndarray (n,) or None
        Outcome; a propensity needs none.
    w : ndarray (n,) or None
        Sample weights.
    columns : sequence of str (q,) or None
        Names of the covariates, for learners that were given as objects.
    design : StandardisedMatrix or None
        The same covariates standardised, where that was done before.
    levels : EveryLevel or None
        What learners are given in place of X: it adds the levels that X leaves out.
    """

    X: Floats
    arms: Codes
    n_arms: int
    y: Floats | None = None
    w: Floats | None = None
    columns: Sequence[str] | None = None
    design: StandardisedMatrix | None = None
    levels: EveryLevel | None = None

    def __len__(self) -> int:
        return len(self.arms)

    def take(self, at: Positions | None) -> TrainingRows:
        """Some rows, in this order; None: all."""
        if at is None:
            return self
        return replace(
            self,
            X=self.X[at],
            arms=self.arms[at],
            y=None if self.y is None else self.y[at],
            w=None if self.w is None else self.w[at],
            design=None,
        )

    def standardised(self) -> StandardisedMatrix:
        """The covariates standardised."""
        return StandardisedMatrix.of(self.X) if self.design is None else self.design

    def for_learners(self) -> tuple[Floats, Sequence[str] | None]:
        """Values and names of the covariates that learners are given."""
        if self.levels is None:
            return self.X, self.columns
        return self.levels.on(self.X), None if self.columns is None else self.levels.names

    def outcome(self) -> Floats:
        """The outcome, which a model of it cannot do without."""
        assert self.y is not None  # noqa: S101 - callers that model outcomes give one
        return self.y

    def share_loss(self) -> float:
        """Log loss of the shares of the arms."""
        shares = np.bincount(self.arms, weights=self.w, minlength=self.n_arms)
        shares = shares / shares.sum()
        return float(-(shares * np.log(shares)).sum())


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
    """

    predictions: Floats
    chosen: tuple[str, ...]
    losses: tuple[float, ...]
    baselines: tuple[float, ...]
    predict: tuple[Any, ...]
    logistic: Logistic | None = None
    in_sample: bool = False

    def on(self, X: Floats) -> Floats:
        """Predict for new rows: the mean over the folds' models."""
        return np.mean([p(X) for p in self.predict], axis=0)


def _subset(n: int) -> Positions | None:
    return None if n <= _SUBSAMPLE else np.linspace(0, n - 1, _SUBSAMPLE).astype(np.intp)


def _choose(spec: Model, run: Callable[..., Any], loss: Callable[..., float], n: int) -> tuple[str, Any]:
    """Settle "auto" by out-of-fold loss (a subsample above 100,000 rows); return the name and any full fit."""
    if not (isinstance(spec, str) and spec == "auto"):
        return spec if isinstance(spec, str) else type(spec).__name__, None
    at = _subset(n)
    fits = {name: run(name, at) for name in ("ridge", "boosting")}
    best = min(fits, key=lambda name: loss(fits[name][0], at))
    return best, fits[best] if at is None else None


def _settled_on_folds(
    fit: Callable[..., Nuisance], rows: TrainingRows, random_state: int | None, n_jobs: int | None
) -> Nuisance:
    """Settle "auto" where no folds are given, on folds of its own, and fit what it chose to all rows.

    In sample the more flexible model always has the smaller loss. The losses told are those out of fold.
    """
    part = rows.take(_subset(len(rows)))
    folds = assign_folds(part.arms, _FOLDS, np.random.default_rng(random_state))
    tried = fit("auto", part, folds, random_state=random_state, n_jobs=n_jobs)
    whole = fit("auto", rows, None, random_state=random_state, n_jobs=n_jobs, chosen_before=tried.chosen)
    return replace(whole, losses=tried.losses, baselines=tried.baselines, in_sample=False)


@dataclass(frozen=True, eq=False)
class _ArmPredictors:
    """The models of every arm, of one fold, as one function X -> (m, K)."""

    arms: tuple[PredictFunction, ...]

    def __call__(self, X: Floats) -> Floats:
        return np.column_stack([predictor(X)[:, -1] for predictor in self.arms])


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
    chosen_before: tuple[str, ...] | None = None,
    setting: str = "outcome_model",
) -> Nuisance:
    """Fit the outcome in every arm and predict it for every row, out of fold.

    Without folds predictions are in sample; "auto" is settled on folds all the same. With `chosen_before`, what an
    earlier split chose for every arm, "auto" is not settled anew. `setting` names the model in messages.
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
        predict = (_LinearPredictor(design.on(X[:0]), coefficients[-1:], False),)
        chosen = ("linear",) * rows.n_arms
        return Nuisance(predictions, chosen, losses, baselines, predict, in_sample=folds is None)
    if folds is None and chosen_before is None and isinstance(spec, str) and spec == "auto":
        return _settled_on_folds(fit_outcome, rows, random_state, n_jobs)
    binary = bool(np.isin(y, (0.0, 1.0)).all())
    fits: list[tuple[Floats, tuple[PredictFunction, ...]]] = []
    names: list[str] = []
    for a in range(rows.n_arms):

        def run(name: Model, at: Positions | None, a: int = a) -> tuple[Floats, tuple[PredictFunction, ...]]:
            part = rows.take(at)
            classify = binary and _classifies(name)
            return cross_fit(
                make_model(name, classify=classify, random_state=random_state, width=part.X.shape[1]),
                part.X,
                part.outcome().astype(int) if classify else part.outcome(),
                folds if folds is None or at is None else folds[at],
                use=part.arms == a,
                n_classes=2 if classify else 0,
                w=part.w,
                columns=None if isinstance(spec, str) else rows.columns,
                levels=rows.levels,
                n_jobs=n_jobs,
            )

        def loss(predictions: Floats, at: Positions | None, a: int = a) -> float:
            part = rows.take(at)
            return arm_loss(part.outcome(), predictions[:, -1], part.arms, a, part.w)

        name, fit = _choose(spec if chosen_before is None else chosen_before[a], run, loss, len(rows))
        names.append(name)
        fits.append(run(name if isinstance(spec, str) else spec, None) if fit is None else fit)
    predictions = np.column_stack([predicted[:, -1] for predicted, _ in fits])
    losses = tuple(arm_loss(y, predictions[:, a], arms, a, w) for a in range(rows.n_arms))
    by_fold = tuple(_ArmPredictors(models) for models in zip(*(models for _, models in fits), strict=True))
    return Nuisance(predictions, tuple(names), losses, baselines, by_fold, in_sample=folds is None)


def _classifies(spec: Model) -> bool:
    if isinstance(spec, str):
        return spec == "boosting"
    return hasattr(spec, "predict_proba")


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
    chosen_before: tuple[str, ...] | None = None,
    setting: str = "propensity_model",
) -> Nuisance:
    """Fit the probability of every arm and predict it for every row, out of fold.

    Without folds predictions are in sample; "auto" is settled on folds all the same. With `chosen_before`, what an
    earlier split chose, "auto" is not settled anew. `setting` names the model in messages.
    """
    check_model(spec, setting, "predict_proba")
    arms, w, baseline = rows.arms, rows.w, rows.share_loss()
    if is_linear(spec, rows.X):
        design = rows.standardised()
        fit = fit_logistic(design, arms, rows.n_arms, folds, 0 if folds is None else int(folds.max()) + 1, w)
        predictions = logistic_probabilities(design, fit.coefficients, folds)
        predict = (_LinearPredictor(design.on(rows.X[:0]), fit.coefficients[-1:], True),)
        losses = (log_loss(arms, predictions, w),)
        return Nuisance(predictions, ("linear",), losses, (baseline,), predict, fit, in_sample=folds is None)
    if folds is None and chosen_before is None and isinstance(spec, str) and spec == "auto":
        return _settled_on_folds(fit_propensity, rows, random_state, n_jobs)

    def run(name: Model, at: Positions | None) -> tuple[Floats, tuple[PredictFunction, ...]]:
        part = rows.take(at)
        return cross_fit(
            make_model(name, classify=True, random_state=random_state, width=part.X.shape[1]),
            part.X,
            part.arms.astype(int),
            folds if folds is None or at is None else folds[at],
            n_classes=rows.n_arms,
            w=part.w,
            columns=None if isinstance(spec, str) else rows.columns,
            levels=rows.levels,
            n_jobs=n_jobs,
        )

    def loss(predictions: Floats, at: Positions | None) -> float:
        part = rows.take(at)
        return log_loss(part.arms, predictions, part.w)

    if not isinstance(spec, str) and not hasattr(spec, "predict_proba"):
        raise CausalArgumentError(
            f"the propensity model must be a classifier with predict_proba, got {type(spec).__name__}"
        )
    name, whole = _choose(spec if chosen_before is None else chosen_before[0], run, loss, len(rows))
    predictions, models = run(name if isinstance(spec, str) else spec, None) if whole is None else whole
    if predictions.shape[1] != rows.n_arms:
        raise CausalDataError("a fold lacks one of the arms; use fewer folds (cv=) or merge small arms")
    losses = (log_loss(arms, predictions, w),)
    return Nuisance(predictions, (name,), losses, (baseline,), models, in_sample=folds is None)


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
    return replace(ordered, predictions=ordered.predictions[inverse])


def report(outcome: Nuisance | None, propensity: Nuisance | None, levels: Sequence[Any]) -> Check:
    """Tell how nuisances predict: model chosen, loss, skill (1 - loss / loss of arm means or shares).

    Losses are out of fold; where they are not, skill is said to be in-sample.
    """
    rows = []
    if outcome is not None:
        parts = zip(levels, outcome.chosen, outcome.losses, outcome.baselines, strict=True)
        rows += [(f"outcome | {level}", m, "squared error", loss, base) for level, m, loss, base in parts]
    if propensity is not None:
        rows.append(("propensity", propensity.chosen[0], "log loss", propensity.losses[0], propensity.baselines[0]))
    table = pd.DataFrame(rows, columns=["nuisance", "model", "loss_kind", "loss", "baseline"]).set_index("nuisance")
    table["skill"] = [skill(a, b) for a, b in zip(table["loss"], table["baseline"], strict=True)]
    where = [] if outcome is None else ["in-sample " if outcome.in_sample else ""] * len(levels)
    where += [] if propensity is None else ["in-sample " if propensity.in_sample else ""]
    shown = zip(table.iterrows(), where, strict=True)
    return Check(None, table, ", ".join(f"{n} {r.model} ({how}skill {r.skill:.2f})" for (n, r), how in shown))
