"""Means given the covariates by regression forests, out of bag, on the codes that the effects' forest is grown on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pandas_causal.arms.sample import Sample
from pandas_causal.effect.check import Check
from pandas_causal.forests.binning import Binning, Covariate8
from pandas_causal.forests.growing import (
    REGRESSION,
    GrowthRules,
    Sampling,
    TreeShape,
    grow_forest,
    regression_sums,
)
from pandas_causal.heterogeneity.nuisances import NuisanceModels, cross_fit_means, fit_arm_propensity
from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Codes, Floats, Ints
from pandas_causal.models.training_rows import TrainingRows

__all__ = ["Coded", "OutOfBag", "default_tries", "forest_means", "is_forest", "means_of", "propensities_of"]

_LEAST = 5
_FEWEST_TREES = 50


def is_forest(model: Model) -> bool:
    """Whether a nuisance is left to the forest's own kernel."""
    return isinstance(model, str) and model == "forest"


def default_tries(p: int) -> float:
    """Expected number of covariates tried at a node, as in grf: ``min(ceil(sqrt(p) + 20), p)``."""
    return float(max(min(int(np.ceil(np.sqrt(p) + 20)), p), 1))


@dataclass(frozen=True, eq=False)
class Coded:
    """Rows as forests read them, in the order of their labels.

    Attributes
    ----------
    binning : Binning
    codes : ndarray (n, p), uint8
    order : ndarray (n,) or None
        Positions of the caller's rows in the order of their labels; None where they are in it.
    clusters : ndarray (n,) or None
        In the order of the labels.
    """

    binning: Binning
    codes: Covariate8
    order: Ints | None
    clusters: Codes | None

    def ordered(self, values: Floats) -> Floats:
        """Values of the caller's rows in the order of their labels."""
        return values if self.order is None else values[self.order]

    def in_rows(self, values: Floats) -> Floats:
        """Values in the order of the labels, as the caller's rows stand."""
        if self.order is None:
            return values
        out = np.empty_like(values)
        out[self.order] = values
        return out


@dataclass(frozen=True, eq=False)
class OutOfBag:
    """Means that did not see the row.

    Attributes
    ----------
    values : ndarray (n, m)
    model : str
    skill : ndarray (m,)
        1 less the squared error over that of the mean.
    """

    values: Floats
    model: str
    skill: Floats

    @classmethod
    def of(cls, values: Floats, targets: Floats, w: Floats | None, model: str) -> OutOfBag:
        """With the skill they have for the targets (n, m)."""
        base = np.average(np.square(targets - np.average(targets, axis=0, weights=w)), axis=0, weights=w)
        loss = np.average(np.square(targets - values), axis=0, weights=w)
        with np.errstate(invalid="ignore", divide="ignore"):
            return cls(values, model, np.where(base > 0, 1 - loss / base, 0.0))


def nuisance_report(parts: dict[str, OutOfBag]) -> Check:
    """Model and skill of every nuisance."""
    table = pd.DataFrame(
        [(name, p.model, float(s)) for name, p in parts.items() for s in p.skill],
        columns=["nuisance", "model", "skill"],
    ).set_index("nuisance")
    told = ", ".join(f"{name} {100 * float(p.skill.mean()):.0f}%" for name, p in parts.items())
    return Check(None, table, f"explained out of bag or out of fold: {told}")


def forest_means(
    rows: Coded, targets: Floats, w: Floats | None, n_trees: int, seed: int, n_jobs: int | None, words: str = ""
) -> Floats:
    """Out-of-bag means (n, m) of targets (n, m) given the covariates, rows in the caller's order."""
    n, p = rows.codes.shape
    weight = np.ones(n) if w is None else rows.ordered(w)
    Y = rows.ordered(targets)
    centre = np.average(Y, axis=0, weights=weight)
    spread = np.sqrt(np.average(np.square(Y - centre), axis=0, weights=weight))
    spread[spread == 0] = 1.0
    shape = TreeShape(REGRESSION, 0, Y.shape[1], 1)
    forest = grow_forest(
        rows.codes, rows.binning, regression_sums(weight, (Y - centre) / spread), shape,
        GrowthRules(_LEAST, tried=default_tries(p)),
        Sampling.of(n, 0.5, 1.0, pairs=False, clusters=rows.clusters), max(n_trees, _FEWEST_TREES), seed,
        n_jobs=n_jobs, words=words,
    )  # fmt: skip
    averages, _ = forest.moments(rows.codes, forest.bags(n_jobs), n_jobs)
    found = averages[:, 1:] * spread + centre
    return rows.in_rows(np.where(np.isnan(found), centre, found))


def means_of(
    sample: Sample, rows: Coded, targets: Floats, names: list[str], spec: Model, folds: Codes, models: NuisanceModels,
    n_trees: int, *, outcome: bool, words: str = "",
) -> OutOfBag:  # fmt: skip
    """Means of outcomes, treatments that are numbers, or an instrument, that did not see the row."""
    if is_forest(spec):
        seed = 0 if models.random_state is None else models.random_state
        found = forest_means(rows, targets, sample.w, n_trees, seed + (1 if outcome else 2), models.n_jobs, words)
        return OutOfBag.of(found, targets, sample.w, "forest")
    n = len(sample)
    plain = TrainingRows(
        sample.X, np.zeros(n, dtype=np.int8), 1, sample.y if outcome else None, sample.w, sample.columns, None,
        sample.encoder.for_learners,
    )  # fmt: skip
    fit = cross_fit_means(plain, targets, folds, sample.inputs.index, models, names=names, outcome=outcome)
    return OutOfBag.of(fit.predictions, targets, sample.w, ", ".join(f.chosen[0] for f in fit.fits))


def propensities_of(
    sample: Sample, rows: Coded, spec: Model, folds: Codes, models: NuisanceModels, n_trees: int, words: str = ""
) -> OutOfBag:
    """Probabilities of every arm (n, K), that did not see the row, not yet bounded."""
    assert isinstance(sample.treated, Arms)  # noqa: S101 - of arms only
    indicators = (sample.codes[:, None] == np.arange(len(sample.arms))).astype(float)
    if is_forest(spec):
        seed = 0 if models.random_state is None else models.random_state
        # with all arms as outcomes, none of them is set apart, and predictions sum to 1
        targets = indicators if len(sample.arms) > 2 else indicators[:, 1:]
        found = forest_means(rows, targets, sample.w, n_trees, seed + 2, models.n_jobs, words)
        e = found if found.shape[1] > 1 else np.column_stack([1 - found[:, 0], found[:, 0]])
        return OutOfBag.of(e, indicators, sample.w, "forest")
    fit = fit_arm_propensity(sample.training_rows(), folds, sample.inputs.index, models)
    return OutOfBag.of(fit.predictions, indicators, sample.w, str(fit.chosen[0]))
