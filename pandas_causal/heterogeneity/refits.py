"""Learners fitted to some rows of a sample that another estimator has read."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from pandas_causal.arms.sample import Sample
from pandas_causal.kernels.arrays import Floats, Positions

__all__ = ["effects_of_rows", "fit_rows"]


def fit_rows(learner: Any, sample: Sample, at: Positions) -> Any:
    """A clone of a learner, fitted to the rows at some positions, with their weights, clusters and propensities.

    Its control is the sample's. Data are not checked again.

    Parameters
    ----------
    learner : estimator of effects for rows
    sample : Sample (n,)
    at : ndarray (m,) of int
    """
    inputs = sample.inputs
    made = clone(learner)
    if "control" in made.get_params(deep=False):
        made.set_params(control=sample.arms.levels[0])
    legal = signature(made.fit).parameters
    roles: dict[str, Any] = {}
    for name in ("treatment", "cluster", "propensity"):
        given = inputs.roles.get(name)
        if given is not None and name in legal:
            roles[name] = given.iloc[at]
    if sample.w is not None:
        roles["sample_weight"] = pd.Series(sample.w[at], index=inputs.index[at], name="weight")
    y = pd.Series(sample.y[at], index=inputs.index[at], name=sample.outcome)
    return made.trusting().fit(inputs.covariates.iloc[at], y, **roles)


def effects_of_rows(learner: Any, frame: pd.DataFrame) -> Floats:
    """Effects (m, d) of rows of covariates."""
    tau = np.asarray(learner.predict(frame), dtype=float)
    return tau[:, None] if tau.ndim == 1 else tau
