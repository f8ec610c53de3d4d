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

__all__ = ["Nuisance", "fit_outcome", "fit_propensity", "is_linear", "report"]

_SUBSAMPLE = 100_000
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
    fit: Callable[..., Nuisance], X: Floats, y: Floats | None, arms: Codes, n_arms: int, w: Floats | None,
    random_state: int | None, n_jobs: int | None,
) -> Nuisance:  # fmt: skip
    """Settle "auto" where no folds are given, on folds of its own, and fit what it chose to all rows.

    In sample the more flexible model always has the smaller loss. The losses told are those out of fold.
    """
    at = _subset(len(X))
    rows = slice(None) if at is None else at
    shared: dict[str, Any] = {"random_state": random_state, "n_jobs": n_jobs}
    folds = assign_folds(arms[rows], _FOLDS, np.random.default_rng(random_state))
    part = (X[rows],) if y is None else (X[rows], y[rows])
    tried = fit("auto", *part, arms[rows], n_arms, folds, w=None if w is None else w[rows], **shared)
    whole = ("auto", X, y) if y is not None else (tried.chosen[0], X)
    shared |= {} if y is None else {"chosen_before": tried.chosen}
    out = fit(*whole, arms, n_arms, None, w=w, **shared)
    return replace(out, losses=tried.losses, baselines=tried.baselines, in_sample=False)


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
    X: Floats,
    y: Floats,
    arms: Codes,
    n_arms: int,
    folds: Codes | None,
    *,
    design: StandardisedMatrix | None = None,
    w: Floats | None = None,
    columns: Sequence[str] | None = None,
    random_state: int | None = 0,
    n_jobs: int | None = None,
    chosen_before: tuple[str, ...] | None = None,
) -> Nuisance:
    """Fit the outcome in every arm and predict it for every row, out of fold.

    Without folds predictions are in sample; "auto" is settled on folds all the same. With `chosen_before`, what an
    earlier split chose for every arm, "auto" is not settled anew.
    """
    check_model(spec, "outcome_model", "predict")
    baselines = tuple(arm_baseline(y, arms, a, w) for a in range(n_arms))
    if is_linear(spec, X):
        design = StandardisedMatrix.of(X) if design is None else design
        n_folds = 0 if folds is None else int(folds.max()) + 1
        coefficients = least_squares(design, y, arms, n_arms, folds, n_folds, w)
        predictions = predict_by_fold(design, coefficients, folds)
        losses = tuple(arm_loss(y, predictions[:, a], arms, a, w) for a in range(n_arms))
        predict = (_LinearPredictor(design.on(X[:0]), coefficients[-1:], False),)
        return Nuisance(predictions, ("linear",) * n_arms, losses, baselines, predict, in_sample=folds is None)
    if folds is None and chosen_before is None and isinstance(spec, str) and spec == "auto":
        return _settled_on_folds(fit_outcome, X, y, arms, n_arms, w, random_state, n_jobs)
    binary = bool(np.isin(y, (0.0, 1.0)).all())
    names = columns if not isinstance(spec, str) else None
    fitted: list[Any] = []
    chosen: list[str] = []
    for a in range(n_arms):

        def run(name: Any, at: Any, a: int = a) -> Any:
            rows = slice(None) if at is None else at
            classify = binary and _classifies(name)
            model = make_model(name, classify=classify, random_state=random_state)
            target = y[rows].astype(int) if classify else y[rows]
            return cross_fit(
                model,
                X[rows],
                target,
                None if folds is None else folds[rows],
                use=arms[rows] == a,
                n_classes=2 if classify else 0,
                w=None if w is None else w[rows],
                columns=names,
                n_jobs=n_jobs,
            )

        def loss(predictions: Floats, at: Any, a: int = a) -> float:
            rows = slice(None) if at is None else at
            return arm_loss(y[rows], predictions[:, -1], arms[rows], a, None if w is None else w[rows])

        asked = spec if chosen_before is None else chosen_before[a]
        name, fit = _choose(asked, run, loss, len(y))
        chosen.append(name)
        fitted.append(run(name if isinstance(spec, str) else spec, None) if fit is None else fit)
    predictions = np.column_stack([f[0][:, -1] for f in fitted])
    losses = tuple(arm_loss(y, predictions[:, a], arms, a, w) for a in range(n_arms))
    by_fold = tuple(_ArmPredictors(models) for models in zip(*(f[1] for f in fitted), strict=True))
    return Nuisance(predictions, tuple(chosen), losses, baselines, by_fold, in_sample=folds is None)


def _classifies(spec: Model) -> bool:
    if isinstance(spec, str):
        return spec == "boosting"
    return hasattr(spec, "predict_proba")


def arm_loss(y: Floats, prediction: Floats, arms: Codes, a: int, w: Floats | None) -> float:
    inside = arms == a
    return squared_loss(y[inside], prediction[inside], None if w is None else w[inside])


def arm_baseline(y: Floats, arms: Codes, a: int, w: Floats | None) -> float:
    inside = arms == a
    weight = None if w is None else w[inside]
    return squared_loss(y[inside], np.full(int(inside.sum()), np.average(y[inside], weights=weight)), weight)


def fit_propensity(
    spec: Model,
    X: Floats,
    arms: Codes,
    n_arms: int,
    folds: Codes | None,
    *,
    design: StandardisedMatrix | None = None,
    w: Floats | None = None,
    columns: Sequence[str] | None = None,
    random_state: int | None = 0,
    n_jobs: int | None = None,
) -> Nuisance:
    """Fit the probability of every arm and predict it for every row, out of fold.

    Without folds predictions are in sample; "auto" is settled on folds all the same.
    """
    check_model(spec, "propensity_model", "predict_proba")
    shares = np.bincount(arms, weights=w, minlength=n_arms)
    shares = shares / shares.sum()
    baseline = float(-(shares * np.log(shares)).sum())
    if is_linear(spec, X):
        design = StandardisedMatrix.of(X) if design is None else design
        fit = fit_logistic(design, arms, n_arms, folds, 0 if folds is None else int(folds.max()) + 1, w)
        predictions = logistic_probabilities(design, fit.coefficients, folds)
        predict = (_LinearPredictor(design.on(X[:0]), fit.coefficients[-1:], True),)
        loss_of = (log_loss(arms, predictions, w),)
        return Nuisance(predictions, ("linear",), loss_of, (baseline,), predict, fit, in_sample=folds is None)
    if folds is None and isinstance(spec, str) and spec == "auto":
        return _settled_on_folds(fit_propensity, X, None, arms, n_arms, w, random_state, n_jobs)

    def run(name: Any, at: Any) -> Any:
        rows = slice(None) if at is None else at
        return cross_fit(
            make_model(name, classify=True, random_state=random_state),
            X[rows],
            arms[rows].astype(int),
            None if folds is None else folds[rows],
            n_classes=n_arms,
            w=None if w is None else w[rows],
            columns=None if isinstance(spec, str) else columns,
            n_jobs=n_jobs,
        )

    def loss(predictions: Floats, at: Any) -> float:
        rows = slice(None) if at is None else at
        return log_loss(arms[rows], predictions, None if w is None else w[rows])

    if not isinstance(spec, str) and not hasattr(spec, "predict_proba"):
        raise CausalArgumentError(
            f"the propensity model must be a classifier with predict_proba, got {type(spec).__name__}"
        )
    name, fit = _choose(spec, run, loss, len(arms))
    predictions, predict = run(name if isinstance(spec, str) else spec, None) if fit is None else fit
    if predictions.shape[1] != n_arms:
        raise CausalDataError("a fold lacks one of the arms; use fewer folds (cv=) or merge small arms")
    losses = (log_loss(arms, predictions, w),)
    return Nuisance(predictions, (name,), losses, (baseline,), predict, in_sample=folds is None)


def in_label_order(
    fit: Callable[..., Nuisance],
    labels: pd.Index,
    spec: Model,
    X: Floats,
    y: Floats | None,
    arms: Codes,
    n_arms: int,
    folds: Codes | None,
    *,
    design: StandardisedMatrix | None,
    w: Floats | None,
    **settings: Any,
) -> Nuisance:
    """Fit nuisances on rows in the order of their labels, so that the order of rows changes nothing a learner sees.

    Parameters
    ----------
    fit : fit_outcome or fit_propensity
    labels : Index (n,)
        Of the rows. Unpenalised models are sums over rows, to which their order is immaterial.
    """
    order = None if is_linear(spec, X) else label_order(labels)
    first = (spec, X) if y is None else (spec, X, y)
    if order is None:
        return fit(*first, arms, n_arms, folds, design=design, w=w, **settings)
    first = (spec, X[order]) if y is None else (spec, X[order], y[order])
    out = fit(
        *first,
        arms[order],
        n_arms,
        None if folds is None else folds[order],
        design=None,
        w=None if w is None else w[order],
        **settings,
    )
    inverse = np.empty(len(order), dtype=np.intp)
    inverse[order] = np.arange(len(order))
    return replace(out, predictions=out.predictions[inverse])


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
