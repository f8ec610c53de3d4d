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
from numpy.typing import NDArray

from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.models.folds import assign_folds, label_order
from pandas_causal.models.linear import (
    Design,
    Logistic,
    fit_logistic,
    least_squares,
    logistic_probabilities,
    predict_by_fold,
)

__all__ = ["Nuisance", "cross_fit", "fit_outcome", "fit_propensity", "is_linear", "report", "weighted_fit"]

Floats = NDArray[np.float64]
Codes = NDArray[np.integer]
SHORT_NAMES = ("auto", "linear", "ridge", "boosting")
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


def check_model(spec: Any, setting: str, method: str) -> None:
    """Check that a setting names a model, or is an unfitted one that has a method.

    Raises
    ------
    CausalArgumentError
        Otherwise.
    """
    own = not isinstance(spec, str | type) and hasattr(spec, "fit") and hasattr(spec, method)
    if not own and not (isinstance(spec, str) and spec in SHORT_NAMES):
        raise CausalArgumentError(
            f"{setting} must be one of {list(SHORT_NAMES)} or a scikit-learn model with {method}(); got {spec!r}"
        )


def make_model(spec: Any, *, classify: bool, random_state: int | None) -> Any:
    """Return an unfitted scikit-learn model for a short name, or a clone of the user's own."""
    from sklearn.base import clone
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if spec == "ridge":
        model = LogisticRegression(max_iter=1_000) if classify else RidgeCV(np.logspace(-2, 4, 13))
        return make_pipeline(StandardScaler(), model)
    if spec == "boosting":
        kind = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
        return kind(max_iter=60, learning_rate=0.1, max_leaf_nodes=8, early_stopping=False, random_state=random_state)
    model = clone(spec)
    seeds = {
        k: random_state for k, v in model.get_params().items() if k.split("__")[-1] == "random_state" and v is None
    }
    return model.set_params(**seeds) if seeds else model


def weighted_fit(model: Any, X: Any, y: Any, w: Floats | None) -> Any:
    """Fit with sample weights, also where the model is a pipeline whose last step takes them.

    Raises
    ------
    CausalArgumentError
        If weights are given and the model takes none.
    CausalDataError
        If the model refuses the data.
    """
    import sklearn
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import has_fit_parameter

    weights = {}
    if w is not None:
        last = model.steps[-1][1] if isinstance(model, Pipeline) else model
        if not has_fit_parameter(last, "sample_weight"):
            raise CausalArgumentError(
                f"{type(last).__name__} takes no sample_weight; use a model that does, or leave out weights"
            )
        weights[f"{model.steps[-1][0]}__sample_weight" if isinstance(model, Pipeline) else "sample_weight"] = w
    with sklearn.config_context(enable_metadata_routing=False):
        try:
            return model.fit(X, y, **weights)
        except ValueError as error:
            raise CausalDataError(f"the nuisance model {model!r} could not be fitted: {error}") from error


@dataclass(frozen=True, eq=False)
class _Predictor:
    """A fitted scikit-learn model as a function of X: predictions, or probabilities of `n_classes` classes."""

    model: Any
    n_classes: int
    columns: tuple[str, ...] | None

    def __call__(self, X: Floats) -> Floats:
        data = X if self.columns is None else pd.DataFrame(X, columns=list(self.columns))
        if self.n_classes:
            out = np.zeros((len(X), self.n_classes))
            out[:, np.asarray(self.model.classes_, dtype=np.intp)] = self.model.predict_proba(data)
            return out
        return np.asarray(self.model.predict(data), dtype=float).reshape(-1, 1)


def cross_fit(
    model: Any,
    X: Floats,
    y: NDArray[Any],
    folds: Codes | None,
    *,
    use: NDArray[np.bool_] | None = None,
    n_classes: int = 0,
    w: Floats | None = None,
    columns: Sequence[str] | None = None,
    n_jobs: int | None = None,
) -> tuple[Floats, tuple[_Predictor, ...]]:
    """Predict every row by a model that did not see its fold.

    Parameters
    ----------
    model : scikit-learn estimator
        Cloned for every fold.
    X : ndarray (n, q)
    y : ndarray (n,)
    folds : ndarray (n,) or None
        None: one fit on all rows, predictions in sample.
    use : ndarray (n,) of bool, optional
        Rows to learn from (one arm); all rows are predicted.
    n_classes : int
        Predict the probabilities of so many classes, coded from 0; 0: predict a number. Where the rows to learn from
        hold one class only, its probability is 1.
    w : ndarray (n,), optional
    columns : sequence of str, optional
        Give the model a DataFrame with these names.
    n_jobs : int, optional

    Returns
    -------
    predictions : ndarray (n, 1) or (n, K)
    predictors : tuple, one per fold
    """
    from sklearn.base import clone
    from sklearn.dummy import DummyClassifier
    from sklearn.utils.parallel import Parallel, delayed

    names = None if columns is None else tuple(columns)
    learn = np.ones(len(X), dtype=bool) if use is None else use
    labels = [None] if folds is None else list(np.unique(folds))

    def one(fold: Any) -> _Predictor:
        rows = learn if fold is None else learn & (folds != fold)
        data = X[rows] if names is None else pd.DataFrame(X[rows], columns=list(names))
        alone = n_classes and (y[rows] == y[rows][0]).all()
        chosen = DummyClassifier(strategy="prior") if alone else clone(model)
        return _Predictor(weighted_fit(chosen, data, y[rows], None if w is None else w[rows]), n_classes, names)

    predictors = Parallel(n_jobs=n_jobs)(delayed(one)(fold) for fold in labels)
    out = np.empty((len(X), max(n_classes, 1)))
    for fold, predictor in zip(labels, predictors, strict=True):
        rows = slice(None) if fold is None else folds == fold
        out[rows] = predictor(X[rows])
    return out, tuple(predictors)


def _mean_loss(loss: Floats, w: Floats | None) -> float:
    return float(np.average(loss, weights=w))


def squared_loss(y: Floats, prediction: Floats, w: Floats | None) -> float:
    """Mean squared error."""
    return _mean_loss(np.square(y - prediction), w)


def log_loss(codes: Codes, probability: Floats, w: Floats | None) -> float:
    """Mean negative log-likelihood of the arm received."""
    return _mean_loss(-np.log(np.clip(probability[np.arange(len(codes)), codes], 1e-15, 1.0)), w)


def _subset(n: int) -> NDArray[np.intp] | None:
    return None if n <= _SUBSAMPLE else np.linspace(0, n - 1, _SUBSAMPLE).astype(np.intp)


def _choose(spec: Any, run: Callable[..., Any], loss: Callable[..., float], n: int) -> tuple[str, Any]:
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

    arms: tuple[_Predictor, ...]

    def __call__(self, X: Floats) -> Floats:
        return np.column_stack([predictor(X)[:, -1] for predictor in self.arms])


@dataclass(frozen=True, eq=False)
class _LinearPredictor:
    """Least squares or logistic predictions on new rows, by the fit of all rows."""

    design: Design
    coefficients: Floats
    logistic: bool

    def __call__(self, X: Floats) -> Floats:
        on = self.design.on(X)
        return (
            logistic_probabilities(on, self.coefficients) if self.logistic else predict_by_fold(on, self.coefficients)
        )


def is_linear(spec: Any, X: Floats) -> bool:
    """Whether the unpenalised model is asked for; without covariates every named model is that one, a mean."""
    return isinstance(spec, str) and (spec == "linear" or not X.shape[1])


def fit_outcome(
    spec: Any,
    X: Floats,
    y: Floats,
    arms: Codes,
    n_arms: int,
    folds: Codes | None,
    *,
    design: Design | None = None,
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
        design = Design.of(X) if design is None else design
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


def _classifies(spec: Any) -> bool:
    if isinstance(spec, str):
        return spec == "boosting"
    return hasattr(spec, "predict_proba")


def skill(loss: float, baseline: float) -> float:
    """Return ``1 - loss / baseline``; 0 where the baseline leaves nothing to explain."""
    return 1 - loss / baseline if baseline > 0 else 0.0


def arm_loss(y: Floats, prediction: Floats, arms: Codes, a: int, w: Floats | None) -> float:
    inside = arms == a
    return squared_loss(y[inside], prediction[inside], None if w is None else w[inside])


def arm_baseline(y: Floats, arms: Codes, a: int, w: Floats | None) -> float:
    inside = arms == a
    weight = None if w is None else w[inside]
    return squared_loss(y[inside], np.full(int(inside.sum()), np.average(y[inside], weights=weight)), weight)


def fit_propensity(
    spec: Any,
    X: Floats,
    arms: Codes,
    n_arms: int,
    folds: Codes | None,
    *,
    design: Design | None = None,
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
        design = Design.of(X) if design is None else design
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
    spec: Any,
    X: Floats,
    y: Floats | None,
    arms: Codes,
    n_arms: int,
    folds: Codes | None,
    *,
    design: Design | None,
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
