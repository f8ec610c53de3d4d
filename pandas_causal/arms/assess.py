"""Overlap and balance asked for by themselves, before any effect is estimated."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pandas_causal.arms.balance import balance
from pandas_causal.arms.estimands import ESTIMANDS
from pandas_causal.arms.overlap import overlap_check
from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inputs.arms import Arms, resolve_arms
from pandas_causal.inputs.column_rules import normalised_weights
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.inputs.parameters import check_settings, is_word
from pandas_causal.inputs.roles import Inputs, resolve
from pandas_causal.inputs.schemas import check_inputs
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Floats
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.folds import assign_folds

__all__ = ["assess_balance", "assess_overlap"]


class _Design(NamedTuple):
    """Arms and encoded covariates (n, q), without an outcome."""

    arms: Arms
    encoder: Encoder
    X: Floats
    inputs: Inputs


def _read(X: pd.DataFrame, treatment: Any, control: Hashable, missing: str, **roles: Any) -> _Design:
    inputs = resolve(X, None, {"treatment": treatment, **roles}, single=("treatment",), outcome=False).complete(missing)
    check_inputs(inputs)
    encoder = Encoder.fit(inputs.covariates)
    arms = resolve_arms(inputs.roles["treatment"], control)
    return _Design(arms, encoder, encoder.transform(inputs.covariates), inputs)


def assess_overlap(
    X: pd.DataFrame,
    treatment: Any,
    *,
    estimand: str,
    propensity_model: Model,
    control: Hashable,
    bound: float,
    sample_weight: Any,
    missing: str,
    random_state: int | None = 0,
) -> Check:
    """Cross-fit the propensity in five folds and summarise it; see :func:`overlap`."""
    if not is_word(estimand, ESTIMANDS):
        raise CausalArgumentError(f"estimand={estimand!r} is not known; use one of {list(ESTIMANDS)}")
    check_settings({"random_state": random_state})
    arms, encoder, matrix, inputs = _read(X, treatment, control, missing, sample_weight=sample_weight)
    weight = inputs.roles.get("sample_weight")
    w = normalised_weights(weight, arms)
    folds = assign_folds(arms.codes, 5, np.random.default_rng(random_state), labels=inputs.index)
    rows = nuisances.TrainingRows(
        matrix, arms.codes, len(arms), w=w, columns=encoder.names, levels=encoder.for_learners
    )
    fit = nuisances.fit_propensity(propensity_model, rows, folds)
    return overlap_check(
        fit.predictions, arms.codes, arms.levels, estimand=estimand, bound=bound, w=w, out_of_fold=True
    )


def assess_balance(X: pd.DataFrame, treatment: Any, *, weights: Any, control: Hashable, missing: str) -> Check:
    """Compare the arms, covariate by covariate; see :func:`balance`."""
    arms, encoder, matrix, inputs = _read(X, treatment, control, missing, sample_weight=weights)
    w = inputs.roles.get("sample_weight")
    levels = encoder.every_level
    return balance(levels.on(matrix), levels.names, arms.codes, arms.levels, normalised_weights(w, arms))
