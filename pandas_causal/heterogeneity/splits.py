"""Reading any learner honestly: grouped effects and who is in the groups, over many splits; learners side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special
from sklearn.base import clone
from tqdm import tqdm

from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.heterogeneity.cache import reuse_nuisances
from pandas_causal.heterogeneity.meta_learners import DRLearner
from pandas_causal.heterogeneity.scorers import dr_score, r_score
from pandas_causal.heterogeneity.scoring import outcome_skill
from pandas_causal.inputs.parameters import COMMON, Legal, at_least, check_settings, number
from pandas_causal.inputs.roles import common_index
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Floats
from pandas_causal.models.folds import CausalKFold

__all__ = ["GroupedEffects", "compare_learners", "grouped_effects", "median_over_splits"]

_LEGAL: Mapping[str, Legal] = {
    **COMMON,
    "n_splits": at_least(2),
    "groups": at_least(2),
    "share": number(0, 1, "a number between 0 and 1", closed_low=False),
}


@dataclass(frozen=True, eq=False)
class GroupedEffects:
    """What holds of a learner's effects over many splits of the rows: medians, with bounds that count the splitting.

    Attributes
    ----------
    groups : DataFrame
        GATES: mean effect by group of predicted effect, the least affected first, and "most less least".
    projection : DataFrame
        Best linear predictor: "average", and "heterogeneity", 0 where predictions say nothing of the effect and 1 where
        their differences are right.
    characteristics : DataFrame
        CLAN: means of the covariates among the most and the least affected, and their difference.
    n_splits : int
    level : float
    """

    groups: pd.DataFrame
    projection: pd.DataFrame
    characteristics: pd.DataFrame
    n_splits: int
    level: float

    def __repr__(self) -> str:
        parts = {
            "Mean effect by group of predicted effect": self.groups,
            "Best linear predictor": self.projection,
            "Who they are": self.characteristics,
        }
        told = f"medians over {self.n_splits} splits, {100 * self.level:g}% bounds that count the splitting"
        return "\n\n".join([told, *(f"{title}\n{table.to_string()}" for title, table in parts.items())])


def median_over_splits(estimates: Floats, std_errors: Floats, level: float) -> pd.DataFrame:
    """Medians of estimates, of bounds at twice the confidence, and of p-values, doubled.

    Parameters
    ----------
    estimates, std_errors : ndarray (splits, rows)
    level : float

    Returns
    -------
    DataFrame (rows,)
        estimate, conf_low, conf_high, p_value.

    References
    ----------
    Chernozhukov, Demirer, Duflo and Fernandez-Val (2025), Econometrica, definition 4.2 and theorem 4.3.
    """
    width = special.ndtri(1 - (1 - level) / 4)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * special.ndtr(-np.abs(estimates / std_errors))
    return pd.DataFrame(
        {
            "estimate": np.median(estimates, axis=0),
            "conf_low": np.median(estimates - width * std_errors, axis=0),
            "conf_high": np.median(estimates + width * std_errors, axis=0),
            "p_value": np.minimum(1.0, 2 * np.median(np.nan_to_num(p, nan=1.0), axis=0)),
        }
    )


def grouped_effects(
    learner: Any,
    X: pd.DataFrame,
    y: pd.Series[Any],
    *,
    treatment: str,
    n_splits: int = 20,
    share: float = 0.5,
    groups: int = 5,
    outcome_model: Model | None = None,
    propensity_model: Model | None = None,
    level: float = 0.95,
    random_state: int | None = 0,
    progress: bool = True,
) -> GroupedEffects:
    """Grouped effects (GATES), best linear predictor and characteristics (CLAN), by any learner.

    In every split the learner is fitted to one part of the rows, and its predictions group the other part, whose
    doubly robust scores say what the effect of each group is. Splits differ; what is told are medians over them.

    Parameters
    ----------
    learner : estimator of effects for rows
        ``DRLearner()``, ``LinearDML()``, ...; of two arms.
    X : DataFrame (n, p)
        Covariates and the treatment.
    y : Series (n,)
    treatment : str
        A column of X with two arms.
    n_splits : int
    share : float
        Of the rows that the learner is fitted to.
    groups : int
    outcome_model, propensity_model : names or scikit-learn models, optional
        Of the scores; the learner's settings by default where it has them.
    level : float
    random_state : int or None
    progress : bool
        Show a bar after two seconds.

    Raises
    ------
    CausalArgumentError
        For a wrong setting, or an estimator without effects for rows.
    CausalDataError
        For predictions that are all the same in every split.

    References
    ----------
    Chernozhukov, Demirer, Duflo and Fernandez-Val (2025), "Fisher-Schultz lecture: generic machine learning inference
    on heterogeneous treatment effects in randomized experiments", Econometrica.
    """
    check_settings(
        {"n_splits": n_splits, "share": share, "groups": groups, "level": level, "random_state": random_state}, _LEGAL
    )
    _refuse(learner, X, treatment)
    params = learner.get_params(deep=False)
    models: dict[str, Any] = {
        "outcome_model": params.get("outcome_model", "auto") if outcome_model is None else outcome_model,
        "propensity_model": params.get("propensity_model", "auto") if propensity_model is None else propensity_model,
    }
    y = _outcome(X, y)
    rng = np.random.default_rng(random_state)
    arms = pd.factorize(X[treatment], sort=True)[0]
    found: list[tuple[Floats, Floats]] = []
    means: list[tuple[Floats, Floats]] = []
    same = 0
    names: list[str] = []
    for _ in tqdm(range(n_splits), desc="splits", delay=2, disable=not progress):
        first = _half(arms, share, rng)
        held = len(arms) - int(first.sum())
        if held < 2 * groups:
            raise CausalArgumentError(
                f"groups={groups} of {held:,} held-out rows: a group needs 2 rows to have a standard error, and many"
                " more to say something; take fewer groups"
            )
        model = clone(learner).fit(X[first], y[first], treatment=treatment)
        predicted = np.asarray(model.predict(X[~first]), dtype=float)
        if predicted.ndim > 1:
            raise CausalArgumentError("grouped effects are of two arms, or one treatment; leave the other arms out")
        scored = DRLearner(**models, final_model="linear", effect_modifiers=[], random_state=int(rng.integers(2**31)))
        scored.fit(X[~first], y[~first], treatment=treatment)
        gamma = scored.scores_[:, 1] - scored.scores_[:, 0]
        if np.ptp(predicted) == 0:
            same += 1
            continue
        found.append(_one_split(gamma, predicted, groups))
        levels = scored.encoder_.every_level
        names = list(levels.names)
        means.append(_characteristics(levels.on(scored.encoder_.transform(X[~first])), predicted, groups))
    if not found:
        raise CausalDataError(f"the predicted effects are all the same in {same} of {n_splits} splits: no groups")
    estimates, errors = (np.array(part) for part in zip(*found, strict=True))
    table = median_over_splits(estimates, errors, level)
    labels = ["least affected", *(f"group {k}" for k in range(2, groups)), "most affected", "most less least"]
    table.index = pd.Index([*labels, "average", "heterogeneity"])
    who, spread = (np.array(part) for part in zip(*means, strict=True))
    clan = median_over_splits(who, spread, level)
    clan.index = pd.MultiIndex.from_product([names, ["most affected", "least affected", "difference"]])
    return GroupedEffects(table.iloc[: groups + 1], table.iloc[groups + 1 :], clan, len(found), level)


def _half(arms: Any, share: float, rng: np.random.Generator) -> Any:
    """Rows of the first part, a share of every arm."""
    out = np.zeros(len(arms), dtype=bool)
    for a in np.unique(arms):
        own = np.flatnonzero(arms == a)
        out[rng.permutation(own)[: max(2, round(share * len(own)))]] = True
    return out


def _group_of(predicted: Floats, groups: int) -> Any:
    """Group of every row by predicted effect, of nearly equal size; ties follow the order of the rows."""
    rank = np.argsort(np.argsort(predicted, kind="stable"), kind="stable")
    return rank * groups // len(predicted)


def _one_split(gamma: Floats, predicted: Floats, groups: int) -> tuple[Floats, Floats]:
    """Estimates and errors: of every group, of the last less the first, and of the best linear predictor."""
    code = _group_of(predicted, groups)
    mean = np.array([gamma[code == k].mean() for k in range(groups)])
    error = np.array([gamma[code == k].std(ddof=1) / np.sqrt((code == k).sum()) for k in range(groups)])
    Z = np.column_stack([np.ones(len(gamma)), predicted - predicted.mean()])
    bread = np.linalg.inv(Z.T @ Z)
    beta = bread @ (Z.T @ gamma)
    rows = (Z @ bread) * (gamma - Z @ beta)[:, None]
    gap, gap_error = mean[-1] - mean[0], np.hypot(error[-1], error[0])
    return np.r_[mean, gap, beta], np.r_[error, gap_error, np.sqrt(np.square(rows).sum(axis=0))]


def _characteristics(X: Floats, predicted: Floats, groups: int) -> tuple[Floats, Floats]:
    """Means (3 p,) of covariates among the most and least affected and their difference, and errors."""
    code = _group_of(predicted, groups)
    top, low = X[code == groups - 1], X[code == 0]
    means = [part.mean(axis=0) for part in (top, low)]
    errors = [part.std(axis=0, ddof=1) / np.sqrt(len(part)) for part in (top, low)]
    value = np.column_stack([*means, means[0] - means[1]])
    return value.ravel(), np.column_stack([*errors, np.hypot(*errors)]).ravel()


def _outcome(X: pd.DataFrame, y: Any) -> pd.Series[Any]:
    """The outcome under the index of X, which a Series must have already."""
    common_index({"X": X, "y": y})
    if np.shape(y) != (len(X),):
        raise CausalDataError(f"y must have one value for each of the {len(X):,} rows of X; got shape {np.shape(y)}")
    return y if isinstance(y, pd.Series) else pd.Series(y, index=X.index, name="outcome")


def _refuse(learner: Any, X: pd.DataFrame, treatment: str) -> None:
    if isinstance(learner, str | type) or not (hasattr(learner, "fit") and hasattr(learner, "predict")):
        raise CausalArgumentError(f"learner must estimate effects for rows, e.g. DRLearner(); got {learner!r}")
    if not isinstance(X, pd.DataFrame) or not isinstance(treatment, str) or treatment not in X.columns:
        raise CausalArgumentError(f"X must be a DataFrame that holds the treatment; treatment={treatment!r}")
    if X[treatment].nunique() != 2:
        raise CausalArgumentError(
            f"grouped effects compare two arms, and {treatment} has {X[treatment].nunique()} levels; take two of them"
        )


def compare_learners(
    learners: Mapping[str, Any] | Sequence[Any],
    X: pd.DataFrame,
    y: pd.Series[Any],
    *,
    treatment: str,
    cv: int = 5,
    outcome_model: Model = "auto",
    propensity_model: Model = "auto",
    random_state: int | None = 0,
) -> pd.DataFrame:
    """Learners side by side: by what they say of the effect of held-out rows, and by how they predict the outcome.

    Parameters
    ----------
    learners : mapping of name to estimator, or list of estimators
    X : DataFrame (n, p)
        Covariates and the treatment.
    y : Series (n,)
    treatment : str
    cv : int
        Folds.
    outcome_model, propensity_model : names or scikit-learn models
        Of the scores' nuisances: the same for all.
    random_state : int or None
        Of the folds.

    Returns
    -------
    DataFrame
        A row per learner, the best first by r_score: mean r_score and dr_score over folds, the skill of its outcome
        models on rows they did not see, which says little of the effect, and the spread of effects (their standard
        deviation). Nuisances are fitted once a fold.
    """
    named = dict(learners) if isinstance(learners, Mapping) else {type(m).__name__: m for m in learners}
    for learner in named.values():
        _refuse(learner, X, treatment)
    y = _outcome(X, y)
    folds = list(CausalKFold(cv, treatment=treatment, random_state=random_state).split(X))
    rows = {}
    with reuse_nuisances():
        for name, learner in named.items():
            scores = []
            for train, test in folds:
                fit = clone(learner).fit(X.iloc[train], y.iloc[train], treatment=treatment)
                held = X.iloc[test], y.iloc[test]
                scores.append(
                    [scorer.using(outcome_model, propensity_model)(fit, *held) for scorer in (r_score, dr_score)]
                    + [outcome_skill(fit), float(np.std(fit.predict(held[0])))]
                )
            rows[name] = np.mean(scores, axis=0)
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["r_score", "dr_score", "outcome_skill", "spread_of_effects"]
    )
    return table.rename_axis("learner").sort_values("r_score", ascending=False)
