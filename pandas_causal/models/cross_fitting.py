"""Models of any kind, fitted on some folds and predicted on the others."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inputs.encoding import EveryLevel
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Bools, Codes, Floats, Values

__all__ = [
    "MODEL_NAMES",
    "PredictFunction",
    "check_model",
    "cross_fit",
    "fit_by_fold",
    "log_loss",
    "make_model",
    "out_of_fold",
    "skill",
    "squared_loss",
    "weighted_fit",
]


def check_model(spec: Model, setting: str, method: str) -> None:
    """Check that a setting names a model, or is an unfitted one that has a method.

    Raises
    ------
    CausalArgumentError
        Otherwise.
    """
    is_model = not isinstance(spec, str | type) and hasattr(spec, "fit") and hasattr(spec, method)
    if not is_model and not (isinstance(spec, str) and spec in MODEL_NAMES):
        raise CausalArgumentError(
            f"{setting} must be one of {list(MODEL_NAMES)} or a scikit-learn model with {method}(); got {spec!r}"
        )


_NEWTON = 200  # columns up to which Newton's method is the fast way to an exact logistic fit


def make_model(spec: Model, *, classify: bool, random_state: int | None, width: int = 0) -> Any:
    """Return an unfitted scikit-learn model for a short name, or a clone of the user's own; `width`: its columns."""
    from sklearn.base import clone
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from pandas_causal.models.basis import (
        BoostedBasisClassifier,
        BoostedBasisRegressor,
        LogisticAIC,
        RidgeGCV,
        SplineBasis,
    )

    if spec == "ridge":
        # solved until the order of columns shows in no digit that is printed
        solver = "newton-cholesky" if width <= _NEWTON else "lbfgs"
        if not classify:
            return RidgeGCV()
        return make_pipeline(StandardScaler(), LogisticRegression(solver=solver, tol=1e-8, max_iter=1_000))
    if spec == "boosting":
        kind = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
        return kind(max_iter=60, learning_rate=0.1, max_leaf_nodes=8, early_stopping=False, random_state=random_state)
    if spec == "splines":
        return make_pipeline(SplineBasis(), LogisticAIC() if classify else RidgeGCV())
    if spec == "boosted_splines":
        return (
            BoostedBasisClassifier(random_state=random_state)
            if classify
            else BoostedBasisRegressor(random_state=random_state)
        )
    model = clone(spec)
    seeds = {
        k: random_state for k, v in model.get_params().items() if k.split("__")[-1] == "random_state" and v is None
    }
    return model.set_params(**seeds) if seeds else model


_WORTH_THREADS = 1_000_000  # rows x columns from which a learner's own threads finish sooner than one


@lru_cache(maxsize=1)
def _thread_pools(_n_modules: int) -> Any:
    """The thread pools of BLAS and OpenMP that are loaded; a module imported since may have brought one."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _threads_for(X: Floats | pd.DataFrame) -> AbstractContextManager[Any]:
    """One thread for few rows, all of them for many: threads that wait for each other cost more than they save.

    On a busy machine boosting's threads on 600 rows wait many times as long as one thread works.
    """
    if X.shape[0] * X.shape[1] >= _WORTH_THREADS:
        return nullcontext()
    return _thread_pools(len(sys.modules)).limit(limits=1)


def weighted_fit(model: Any, X: Floats | pd.DataFrame, y: Any, w: Floats | None) -> Any:
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
    with sklearn.config_context(enable_metadata_routing=False), _threads_for(X), warnings.catch_warnings():
        # asks whether few rows of many categories are a regression; the skill that is reported says what was learned
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
        # Newton's steps gave way to L-BFGS, which then converges or says that it does not
        warnings.filterwarnings("ignore", message="Line search of Newton solver")
        try:
            with np.errstate(divide="ignore", invalid="ignore"):  # ridge divides 0 by 0 where two rows choose a penalty
                return model.fit(X, y, **weights)
        except ValueError as error:
            raise CausalDataError(f"the nuisance model {model!r} could not be fitted: {error}") from error


@dataclass(frozen=True, eq=False)
class PredictFunction:
    """A fitted scikit-learn model as a function of X: predictions, or probabilities of `n_classes` classes.

    `levels` adds to X what the model was fitted to beside it.
    """

    model: Any
    n_classes: int
    columns: tuple[str, ...] | None
    levels: EveryLevel | None = None

    def part(self, name: str) -> PredictFunction:
        """A part of the model by itself; the whole where it has none, since it saw one class only."""
        return replace(self, model=self.model.part(name)) if hasattr(self.model, "part") else self

    def __call__(self, X: Floats) -> Floats:
        """Predictions (n, 1), or probabilities (n, n_classes)."""
        return self.on_levels(X if self.levels is None else self.levels.on(X))

    def on_levels(self, X: Floats) -> Floats:
        """The same, of a matrix that has every level already."""
        data = X if self.columns is None else pd.DataFrame(X, columns=list(self.columns))
        with _threads_for(data):
            if self.n_classes:
                out = np.zeros((len(X), self.n_classes))
                out[:, np.asarray(self.model.classes_, dtype=np.intp)] = self.model.predict_proba(data)
                return out
            return np.asarray(self.model.predict(data), dtype=float).reshape(-1, 1)


def cross_fit(
    model: Any,
    X: Floats,
    y: Values,
    folds: Codes | None,
    *,
    use: Bools | None = None,
    n_classes: int = 0,
    w: Floats | None = None,
    columns: Sequence[str] | None = None,
    levels: EveryLevel | None = None,
    n_jobs: int | None = None,
) -> tuple[Floats, tuple[PredictFunction, ...]]:
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
        Give the model a DataFrame with these names (those of `levels`, where there are some).
    levels : EveryLevel, optional
        Give the model every level of the categories in X.
    n_jobs : int, optional

    Returns
    -------
    predictions : ndarray (n, 1) or (n, K)
    predictors : tuple, one per fold
    """
    X = X if levels is None else levels.on(X)
    names = None if columns is None else tuple(columns) if levels is None else levels.names
    predictors = fit_by_fold(
        model, X, y, folds, use=use, n_classes=n_classes, w=w, names=names, levels=levels, n_jobs=n_jobs
    )
    out = np.empty((len(X), max(n_classes, 1)))
    labels = [None] if folds is None else list(np.unique(folds))
    for fold, predictor in zip(labels, predictors, strict=True):
        rows = slice(None) if fold is None else folds == fold
        out[rows] = predictor.on_levels(X[rows])
    return out, predictors


def fit_by_fold(
    model: Any,
    X: Floats,
    y: Values,
    folds: Codes | None,
    *,
    use: Bools | None = None,
    n_classes: int = 0,
    w: Floats | None = None,
    names: tuple[str, ...] | None = None,
    levels: EveryLevel | None = None,
    n_jobs: int | None = None,
) -> tuple[PredictFunction, ...]:
    """The models of :func:`cross_fit` by themselves.

    X (n, m) has every level already, under `names` where the model is given a DataFrame; `levels` is what the models
    add to other rows.
    """
    from sklearn.base import clone
    from sklearn.dummy import DummyClassifier
    from sklearn.utils.parallel import Parallel, delayed

    learn = np.ones(len(X), dtype=bool) if use is None else use

    def one(fold: Any) -> PredictFunction:
        rows = learn if fold is None else learn & (folds != fold)
        data = X[rows] if names is None else pd.DataFrame(X[rows], columns=list(names))
        alone = n_classes and (y[rows] == y[rows][0]).all()
        chosen = DummyClassifier(strategy="prior") if alone else clone(model)
        return PredictFunction(
            weighted_fit(chosen, data, y[rows], None if w is None else w[rows]), n_classes, names, levels
        )

    labels = [None] if folds is None else list(np.unique(folds))
    return tuple(Parallel(n_jobs=n_jobs)(delayed(one)(fold) for fold in labels))


def out_of_fold(
    by_fold: Sequence[Callable[[Floats], Floats]], X: Floats, folds: Codes | None, n_columns: int
) -> Floats:
    """Predict every row (n, n_columns) by the function of its fold; without folds there is one function."""
    if folds is None:
        return by_fold[0](X)
    out = np.empty((len(X), n_columns))
    for fold, function in zip(np.unique(folds), by_fold, strict=True):
        rows = folds == fold
        out[rows] = function(X[rows])
    return out


def skill(loss: float, baseline: float) -> float:
    """Return ``1 - loss / baseline``; 0 where the baseline leaves nothing to explain."""
    return 1 - loss / baseline if baseline > 0 else 0.0


MODEL_NAMES = ("auto", "linear", "ridge", "boosting", "splines", "boosted_splines")


def _mean_loss(loss: Floats, w: Floats | None) -> float:
    return float(np.average(loss, weights=w))


def squared_loss(y: Floats, prediction: Floats, w: Floats | None) -> float:
    """Mean squared error."""
    return _mean_loss(np.square(y - prediction), w)


def log_loss(codes: Codes, probability: Floats, w: Floats | None) -> float:
    """Mean negative log-likelihood of the arm received."""
    return _mean_loss(-np.log(np.clip(probability[np.arange(len(codes)), codes], 1e-15, 1.0)), w)
