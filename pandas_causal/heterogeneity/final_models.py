"""Last steps that learners share: a regression of any kind, a projection of scores, a test of its slopes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pandas_causal.arms.sample import Sample
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.heterogeneity.nuisances import NuisanceModels
from pandas_causal.heterogeneity.projection import EffectBasis, LinearEffects, fit_on_basis
from pandas_causal.inference.influence import Component
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Floats, Positions
from pandas_causal.models.nuisance import Nuisance, fit_outcome, in_label_order
from pandas_causal.models.training_rows import TrainingRows

__all__ = ["Regressions", "fit_final", "project_scores", "slopes_test"]


def fit_final(
    rows: TrainingRows,
    labels: pd.Index,
    spec: Model,
    at: Positions,
    target: Floats,
    w: Floats | None,
    columns: Positions,
    models: NuisanceModels,
) -> Nuisance:
    """Regression of a target (m,) on some columns of the rows at some positions (m,), weighted.

    Parameters
    ----------
    rows : TrainingRows (n,)
    labels : Index (n,)
    spec : name or scikit-learn regressor
    at : ndarray (m,) of int
    target, w : ndarray (m,)
    columns : ndarray of int
    models : NuisanceModels
        Its seed and number of jobs.
    """
    every = len(columns) == rows.X.shape[1]
    part = replace(
        rows,
        X=rows.X[at] if every else rows.X[np.ix_(at, columns)],
        arms=np.zeros(len(at), dtype=np.int8),
        n_arms=1,
        y=target,
        w=w,
        columns=rows.columns if every or rows.columns is None else [rows.columns[j] for j in columns],
        design=None,
        levels=rows.levels if every else None,
    )
    return in_label_order(
        fit_outcome, labels[at], spec, part, None, random_state=models.random_state, n_jobs=models.n_jobs,
        setting="final_model",
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Regressions:
    """A regression for the effect of every arm."""

    models: tuple[Nuisance, ...]
    columns: Positions

    def predict(self, X: Floats) -> Floats:
        """Effects (m, d) at encoded rows."""
        part = X if len(self.columns) == X.shape[1] else X[:, self.columns]
        return np.column_stack([model.on(part)[:, 0] for model in self.models])


def project_scores(basis: EffectBasis, scores: Floats, sample: Sample, names: Sequence[str]) -> LinearEffects:
    """Scores (n, d) projected on a basis, a set of coefficients each."""
    one = np.ones((len(sample), 1))
    parts = [fit_on_basis(basis, one, scores[:, j], sample.w, names) for j in range(scores.shape[1])]
    contributions = np.hstack([part.contributions for part in parts])
    n = len(sample)
    meat = n / (n - basis.p) * (contributions.T @ contributions)
    linear = LinearEffects.of(
        basis, np.concatenate([part.values for part in parts]), contributions, sample.rows, names,
        components=None if sample.cluster else (Component(meat),), clusters=sample.clusters,
    )  # fmt: skip
    return linear.clustered(sample.cluster) if sample.cluster else linear


def slopes_test(projection: Effect) -> Check:
    """Joint test of all rows but the first, the effect at the means."""
    slopes = projection[list(projection.table.index[1:])] if len(projection) > 1 else None
    if slopes is None:
        return Check(None, projection.table, "there is no covariate that the effect could vary with")
    test = slopes.test_zero()
    table = pd.DataFrame([test._asdict()], index=pd.Index(["all slopes are 0"]))
    found = "varies" if test.p_value < 0.05 else "is not seen to vary"
    return Check(None, table, f"the effect {found} with the covariates (p {test.p_value:.3g})")
