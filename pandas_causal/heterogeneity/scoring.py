"""Losses that rank estimators of effects on rows they did not see: the R-loss, and the squared error of a score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalDataError
from pandas_causal.heterogeneity.nuisances import (
    ArmNuisances,
    NuisanceModels,
    Residuals,
    fit_arm_nuisances,
    residuals_of,
)
from pandas_causal.inputs.parameters import is_word
from pandas_causal.inputs.treatments import Numbers
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.folds import assign_folds
from pandas_causal.models.linear import solve_gram
from pandas_causal.models.training_rows import TrainingRows

if TYPE_CHECKING:
    from pandas_causal.heterogeneity.base import ConditionalEffects

__all__ = ["arm_scores", "dr_loss_skill", "dr_score_of", "outcome_skill", "r_loss_skill", "r_score_of"]

_FOLDS = 5


def arm_scores(y: Floats, codes: Codes, outcome: Floats, e: Floats) -> Floats:
    """Doubly robust scores of the mean outcome in every arm (n, K): ``m_a + 1{A = a} (y - m_a) / e_a``.

    References
    ----------
    Robins, Rotnitzky and Zhao (1994), JASA.
    """
    out = outcome.copy()
    at = np.arange(len(y)), codes
    out[at] += (y - outcome[at]) / e[at]
    return out


def r_loss_skill(y: Floats, D: Floats, tau: Floats, w: Floats | None) -> float:
    """R-score: 1 - R-loss of effects / R-loss of the best constant effects, on residuals.

    Parameters
    ----------
    y : ndarray (n,)
        Outcome less its mean given covariates.
    D, tau : ndarray (n, d)
        Treatments less their means, and the effects to be judged.
    w : ndarray (n,), optional

    References
    ----------
    Nie and Wager (2021), "Quasi-oracle estimation of heterogeneous treatment effects", Biometrika 108, eq. (4);
    Schuler et al. (2018), "A comparison of methods for model selection when estimating individual treatment effects".
    """
    unit = np.ones(len(y)) if w is None else w
    constant = solve_gram((D * unit[:, None]).T @ D, D.T @ (unit * y))
    base = unit @ np.square(y - D @ constant)
    loss = unit @ np.square(y - (D * tau).sum(axis=1))
    return float(1 - loss / base)


def dr_loss_skill(scores: Floats, tau: Floats, w: Floats | None) -> float:
    """1 - squared distance of effects from doubly robust scores / that of the scores' means, over arms (n, d)."""
    unit = np.ones(len(tau)) if w is None else w
    base = unit @ np.square(scores - unit @ scores / unit.sum()).sum(axis=1)
    return float(1 - unit @ np.square(scores - tau).sum(axis=1) / base)


def outcome_skill(estimator: Any) -> float:
    """How well a fitted estimator's outcome models predict rows they did not see: 1 - loss / that of means, averaged.

    NaN where it says nothing of them.
    """
    checks = estimator.effect_.diagnostics
    if "nuisance" not in checks:
        return float("nan")
    table = checks["nuisance"].table
    outcome = str(estimator.effect_.facts.get("outcome", "outcome"))
    own = [str(name).startswith("outcome |") or str(name) in (outcome, "outcome") for name in table.index]
    return float(table.loc[own, "skill"].mean())


def scorer_folds(rows: TrainingRows, D: Floats | None, labels: pd.Index) -> Codes:
    """Folds of held-out rows: 5, or as many as the smallest arm has rows.

    Raises
    ------
    CausalDataError
        If an arm has fewer than 2 rows.
    """
    if D is None:
        strata, least = rows.arms, int(np.bincount(rows.arms, minlength=rows.n_arms).min())
    else:
        strata, least = Numbers(D, ("",) * D.shape[1]).strata, len(D)
    if least < 2:
        raise CausalDataError(
            "an arm has fewer than 2 held-out rows, and nuisances of the score are fitted to them; use fewer or larger"
            " folds: cv=CausalKFold(3, treatment=...)"
        )
    return assign_folds(strata, min(_FOLDS, least), np.random.default_rng(0), labels=labels)


def _models(estimator: ConditionalEffects, outcome: Model | None, treatment: Model | None) -> NuisanceModels:
    """Models of the score's nuisances: those given, else what the estimator's settings say."""
    params = estimator.get_params(deep=False)
    setting = "treatment_model" if "treatment_model" in params else "propensity_model"
    # a forest's own nuisances are out of bag, and held-out rows have no bags
    own = {name: params.get(name, "auto") for name in ("outcome_model", setting)}
    own |= {name: "auto" for name, model in own.items() if is_word(model, ("forest",))}
    return NuisanceModels(
        own["outcome_model"] if outcome is None else outcome,
        own[setting] if treatment is None else treatment,
        params.get("clip", 0.01), 0, params.get("n_jobs"), params.get("memory"), setting,
    )  # fmt: skip


def _residuals(rows: TrainingRows, D: Floats | None, labels: pd.Index,
               models: NuisanceModels) -> Residuals:  # fmt: skip
    d = rows.n_arms - 1 if D is None else D.shape[1]
    names = ("outcome", [f"treatment {j}" for j in range(d)])
    return residuals_of(rows, D, names, scorer_folds(rows, D, labels), labels, models)


def _predicted(estimator: ConditionalEffects, X: Covariates) -> Floats:
    tau = np.asarray(estimator.predict(X), dtype=float)
    return tau[:, None] if tau.ndim == 1 else tau


def r_score_of(
    estimator: ConditionalEffects,
    X: Covariates,
    y: Outcome,
    treatment: RoleLike = None,
    sample_weight: RoleLike = None,
    outcome_model: Model | None = None,
    propensity_model: Model | None = None,
) -> float:
    """R-score of a fitted estimator on held-out rows, nuisances cross-fitted there: see :func:`r_loss_skill`."""
    rows, D, labels = estimator.held_out_rows(X, y, treatment, sample_weight)
    found = _residuals(rows, D, labels, _models(estimator, outcome_model, propensity_model))
    return r_loss_skill(found.y, found.D, _predicted(estimator, X), rows.w)


def dr_score_of(
    estimator: ConditionalEffects,
    X: Covariates,
    y: Outcome,
    treatment: RoleLike = None,
    sample_weight: RoleLike = None,
    outcome_model: Model | None = None,
    propensity_model: Model | None = None,
) -> float:
    """Doubly robust score of a fitted estimator on held-out rows: see :func:`dr_loss_skill`.

    Raises
    ------
    CausalDataError
        Where the treatment is numbers, which have no scores of arms.
    """
    rows, D, labels = estimator.held_out_rows(X, y, treatment, sample_weight)
    if D is not None:
        raise CausalDataError("dr_score compares arms, and the treatment is numbers; use r_score")
    found: ArmNuisances = fit_arm_nuisances(
        rows, scorer_folds(rows, None, labels), labels, _models(estimator, outcome_model, propensity_model)
    )
    scores = arm_scores(rows.outcome(), rows.arms, found.outcome.predictions, found.e)
    return dr_loss_skill(scores[:, 1:] - scores[:, [0]], _predicted(estimator, X), rows.w)
