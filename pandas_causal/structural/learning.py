"""Learning mechanisms from data: which function of the parents, chosen by held-out loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError, OverlapError
from pandas_causal.graphs.node_columns import Column
from pandas_causal.kernels.arrays import Floats, Positions, Values
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.folds import assign_folds
from pandas_causal.models.nuisance import Nuisance
from pandas_causal.structural.mechanisms import Additive, Discrete, Empirical, Fitted, Mechanism, Own, Parents, Skill

__all__ = [
    "LearningSettings",
    "check_spec",
    "is_flexible",
    "learn",
    "refit_spec",
    "rows_to_choose_on",
    "treats_as_discrete",
]

MECHANISM_NAMES = ("auto", "linear", "ridge", "boosting", "classifier", "empirical")
_FOLDS, _FEWEST = 5, 10
_SUBSAMPLE = 100_000


@dataclass(frozen=True)
class LearningSettings:
    """What all nodes of one fit share.

    Attributes
    ----------
    coupling : {"monotone", "gumbel"}
    seed : int
    n_jobs : int or None
    choose : bool
        False in a refit, where models are settled and nothing reads their held-out losses.
    """

    coupling: str
    seed: int
    n_jobs: int | None
    choose: bool = True


def check_spec(node: Hashable, spec: Any, root: bool) -> None:
    """Refuse what is no mechanism.

    Raises
    ------
    CausalArgumentError
        Naming the node and the legal ones.
    """
    legal = (
        f"one of {list(MECHANISM_NAMES)}, a scikit-learn regressor or classifier, a function of the frame of parents"
        " (additive noise), or a Mechanism"
    )
    if isinstance(spec, Mechanism):
        return
    if isinstance(spec, type) or not (callable(spec) or hasattr(spec, "predict") or spec in MECHANISM_NAMES):
        raise CausalArgumentError(f"mechanism of {node!r} must be {legal}; got {spec!r}")
    if root and not (isinstance(spec, str) and spec in ("auto", "empirical")):
        raise CausalArgumentError(
            f"{node!r} has no parents, so that its mechanism is 'empirical' or a Mechanism; got {spec!r}"
        )
    if not root and isinstance(spec, str) and spec == "empirical":
        raise CausalArgumentError(f"{node!r} has parents; 'empirical' would ignore them")


def treats_as_discrete(spec: Any) -> bool | None:
    """Whether a spec settles that a numeric node is discrete (True) or continuous (False)."""
    if isinstance(spec, str):
        return {"classifier": True, "linear": False, "ridge": False}.get(spec)
    if isinstance(spec, Mechanism) or spec is None:
        return None
    return hasattr(spec, "predict_proba")


def learn(
    spec: Any, column: Column, parents: Parents, values: Values, names: list[str], settings: LearningSettings
) -> Fitted:
    """Fit the mechanism of one node.

    Parameters
    ----------
    spec : str, estimator, callable or Mechanism
    column : Column
        Of the node.
    parents : Parents
    values : ndarray (n,)
    names : list of str
        Of the features of the parents.
    settings : LearningSettings
    """
    if isinstance(spec, Mechanism):
        observed = column.write(values, parents.frame().index, exact=True)
        return Own(copy.deepcopy(spec).fit(parents.frame(), observed), column, column.numbers)
    if not parents.features.shape[1] and isinstance(spec, str):
        return _root(column, values)
    if callable(spec) and not hasattr(spec, "predict"):
        return _given(spec, column, parents, values)
    if column.discrete and not (hasattr(spec, "predict") and not hasattr(spec, "predict_proba")):
        return _classifier(spec, column, parents, values, names, settings)
    if column.discrete:
        raise CausalArgumentError(
            f"{column.name} takes the levels {column.plain_levels}: its mechanism is a classifier, not"
            f" {type(spec).__name__}"
        )
    return _regression(spec, parents, values, names, settings)


def _root(column: Column, values: Values) -> Empirical:
    if column.discrete:
        share = np.bincount(values, minlength=len(column.plain_levels)) / len(values)
        loss, kind = float(-(share[share > 0] * np.log(share[share > 0])).sum()), "log loss"
    else:
        loss, kind = float(np.var(values)), "squared error"
    return Empirical(values, column.numbers, Skill("empirical", kind, loss, loss))


def _given(function: Callable[[pd.DataFrame], Any], column: Column, parents: Parents, values: Values) -> Additive:
    """Read a known function, whose noise is what it leaves."""
    if column.discrete:
        raise CausalArgumentError(
            f"{column.name} takes the levels {column.plain_levels}, which a function with additive noise cannot give;"
            " use a classifier or a Mechanism"
        )

    def predict(p: Parents) -> Floats:
        out = np.asarray(function(p.frame()), dtype=float)
        if out.shape != (len(p),) or not np.isfinite(out).all():
            raise CausalDataError(f"{column.name}: its function must give {len(p):,} finite numbers, got {out.shape}")
        return out

    residual = values - predict(parents)
    skill = Skill("given function", "squared error", float(np.mean(residual**2)), float(np.var(values)))
    return Additive(predict, residual, skill, (np.arange(len(values)), residual))


def rows_to_choose_on(n: int) -> Positions:
    """Positions of at most 100,000 of n rows, evenly spread: models are chosen on them."""
    return np.arange(n) if n <= _SUBSAMPLE else np.linspace(0, n - 1, _SUBSAMPLE).astype(np.intp)


def _enough(names: list[str], n: int) -> None:
    if n < _FEWEST:
        raise CausalDataError(f"{n} rows cannot tell how a node depends on {', '.join(names)}; {_FEWEST} are needed")


def _settle(candidates: dict[str, Any], losses: dict[str, Floats]) -> str:
    """Best candidate by held-out loss; a later one must be better than the first by more than its standard error."""
    first, *others = candidates
    best, gain = first, 0.0
    for name in others:
        d = losses[first] - losses[name]
        if d.mean() > max(gain, d.std() / np.sqrt(len(d))):
            best, gain = name, float(d.mean())
    return best


def _regression(spec: Any, parents: Parents, y: Floats, names: list[str], learning: LearningSettings) -> Additive:
    """Additive noise with the regressor of least held-out squared error."""
    _enough(names, len(y))
    alone = np.zeros(len(y), dtype=np.int8)
    rows = nuisances.TrainingRows(parents.features, alone, 1, y, columns=names)
    settings: dict[str, Any] = {"random_state": learning.seed, "n_jobs": learning.n_jobs}
    wanted = "auto" if isinstance(spec, str) and spec == "classifier" else spec
    candidates = {"linear": "linear", "boosting": "boosting"} if _is(wanted, "auto") else {_name(wanted): wanted}
    chosen = next(iter(candidates))
    at = rows_to_choose_on(len(y))
    out_of_fold: dict[str, Nuisance] = {}
    if learning.choose:
        folds = assign_folds(alone[at], min(_FOLDS, len(at)), np.random.default_rng(learning.seed))
        for name, model in candidates.items():
            out_of_fold[name] = nuisances.fit_outcome(model, rows.take(at), folds, **settings)
        errors = {name: np.square(y[at] - fit.predictions[:, 0]) for name, fit in out_of_fold.items()}
        chosen = _settle(candidates, errors)
    fit = nuisances.fit_outcome(candidates[chosen], rows, None, **settings)
    if not learning.choose:
        held_out, loss = None, np.nan
        residual = y - fit.predictions[:, 0]
    else:
        residual = y[at] - out_of_fold[chosen].predictions[:, 0]
        held_out, loss = (at, residual), float(np.mean(residual**2))
    return Additive(
        _Regression(fit), residual - residual.mean(), Skill(chosen, "squared error", loss, float(np.var(y))), held_out
    )


def _classifier(
    spec: Any, column: Column, parents: Parents, codes: Values, names: list[str], learning: LearningSettings
) -> Discrete:
    """Classifier of least held-out log loss."""
    _enough(names, len(codes))
    K = len(column.plain_levels)
    auto = _is(spec, "auto") or _is(spec, "classifier")
    candidates = {"linear": "linear", "boosting": "boosting"} if auto else {_name(spec): spec}
    chosen = next(iter(candidates))
    at = rows_to_choose_on(len(codes))
    held_out, loss = None, np.nan
    if learning.choose:
        folds = assign_folds(codes[at], min(_FOLDS, len(at)), np.random.default_rng(learning.seed))
        predictions = {
            name: _probabilities(model, parents.features[at], codes[at], K, folds, names, learning)[0]
            for name, model in candidates.items()
        }
        of_class = np.arange(len(at)), codes[at]
        losses = {name: -np.log(np.clip(p[of_class], 1e-15, 1.0)) for name, p in predictions.items()}
        chosen = _settle(candidates, losses)
        held_out, loss = (at, predictions[chosen]), float(losses[chosen].mean())
    _, fit, present = _probabilities(candidates[chosen], parents.features, codes, K, None, names, learning)
    if chosen == "linear" and fit is not None and fit.chosen[0] != "linear":
        chosen = fit.chosen[0]  # a class was split off: the penalised fit stands in, and says so
    share = np.bincount(codes, minlength=K) / len(codes)
    baseline = float(-(share[share > 0] * np.log(share[share > 0])).sum())
    skill = Skill(chosen, "log loss", loss, baseline)
    return Discrete(_Classes(fit, K, present), K, column.numbers, learning.coupling, skill, held_out)


def _probabilities(
    model: Any, X: Floats, codes: Values, K: int, folds: Any, names: list[str], learning: LearningSettings
) -> tuple[Floats, Nuisance | None, Positions]:
    """Probabilities (n, K) of the rows, the fit, and the classes in the rows; one class alone has probability 1."""
    present, compressed = np.unique(codes, return_inverse=True)
    out = np.zeros((len(codes), K))
    if len(present) == 1:
        out[:, present[0]] = 1.0
        return out, None, present
    settings: dict[str, Any] = {"random_state": learning.seed, "n_jobs": learning.n_jobs}
    rows = nuisances.TrainingRows(X, compressed.reshape(-1), len(present), columns=names)
    try:
        fit = nuisances.fit_propensity(model, rows, folds, **settings)
    except OverlapError:
        # a class that a linear score splits off has no unpenalised fit
        fit = nuisances.fit_propensity("ridge", rows, folds, **settings)
    out[:, present] = fit.predictions
    return out, fit, present


@dataclass(frozen=True, eq=False)
class _Regression:
    """A fitted regressor as a function of the parents."""

    fit: Nuisance

    def __call__(self, parents: Parents) -> Floats:
        return np.ascontiguousarray(self.fit.on(parents.features)[:, 0])


@dataclass(frozen=True, eq=False)
class _Classes:
    """A fitted classifier as a function of the parents; classes it has not seen have probability 0."""

    fit: Nuisance | None
    n_classes: int
    present: Positions

    def __call__(self, parents: Parents) -> Floats:
        out = np.zeros((len(parents), self.n_classes))
        out[:, self.present] = 1.0 if self.fit is None else self.fit.on(parents.features)
        return out


def _is(spec: Any, name: str) -> bool:
    return isinstance(spec, str) and spec == name


def _name(spec: Any) -> str:
    return spec if isinstance(spec, str) else type(spec).__name__


def is_flexible(spec: Any, fitted: Fitted) -> bool:
    """Whether a mechanism was learned by what is no linear model: boosting, or a learner of the user's."""
    if not isinstance(fitted, Additive | Discrete):
        return False
    if isinstance(spec, str):
        return fitted.skill.model == "boosting"
    if not hasattr(spec, "predict"):
        return False  # a known function
    last = spec.steps[-1][1] if hasattr(spec, "steps") else spec
    return not type(last).__module__.startswith("sklearn.linear_model")


def refit_spec(spec: Any, fitted: Fitted) -> Any:
    """Spec of a refit: what the first fit chose."""
    if not isinstance(spec, str) or isinstance(fitted, Empirical):
        return spec
    if fitted.skill.model not in ("linear", "ridge", "boosting"):
        raise CausalError(f"unknown choice {fitted.skill.model!r}")
    return fitted.skill.model
