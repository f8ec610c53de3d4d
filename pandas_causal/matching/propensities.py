"""The propensities that a match needs: one model per pair of arms, and one of all arms for the overlap check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError
from pandas_causal.kernels.arrays import Codes, Floats, Positions
from pandas_causal.matching.design import Score
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.linear import StandardisedMatrix
from pandas_causal.models.nuisance import Nuisance, TrainingRows

__all__ = ["Propensities", "ScoreModel", "fit_scores", "held_out_scores", "scores_without_values"]

Key = tuple[int | None, int]


@dataclass(frozen=True, eq=False)
class ScoreModel:
    """How the propensity of one comparison is found for any rows.

    Attributes
    ----------
    arms : tuple of int or None
        The two arms compared; None: all of them.
    upper : int
        Arm whose probability it is.
    column : int
        Of the model's predictions.
    model : Nuisance or None
        None where propensities are known.
    """

    arms: tuple[int, ...] | None
    upper: int
    column: int
    model: Nuisance | None


@dataclass(frozen=True, eq=False)
class Propensities:
    """Propensities of one fit.

    Attributes
    ----------
    overall : ndarray (n, K)
    scores : mapping of (population, arm) to Score
    models : mapping of (population, arm) to ScoreModel
    report : Nuisance or None
        The model of all arms.
    dropped : ndarray of int
        Collinear covariates that a linear model left out.
    """

    overall: Floats
    scores: Mapping[Key, Score]
    models: Mapping[Key, ScoreModel]
    report: Nuisance | None
    dropped: Positions


@dataclass(frozen=True, eq=False)
class _Fitter:
    """Fits the propensity of some arms on their rows."""

    rows: TrainingRows
    spec: Any
    labels: pd.Index
    seed: int

    def __call__(self, rows: Positions, arms: Sequence[int]) -> tuple[Nuisance, StandardisedMatrix]:
        every = len(rows) == len(self.rows)
        own = self.rows.take(None if every else rows)
        design = StandardisedMatrix.of(own.X)
        part = replace(own, arms=np.searchsorted(np.asarray(arms), own.arms), n_arms=len(arms), design=design)
        labels = self.labels if every else self.labels[rows]
        fit = nuisances.in_label_order(nuisances.fit_propensity, labels, self.spec, part, None, random_state=self.seed)
        return fit, design


def fit_scores(
    targets: Sequence[Key],
    rows: TrainingRows,
    *,
    spec: Any,
    known: Floats | None,
    labels: pd.Index,
    random_state: int | None,
) -> Propensities:
    """Fit the propensity of every comparison of a plan: what is matched on, or what the overlap check needs.

    Parameters
    ----------
    targets : sequence of (population, arm)
    rows : TrainingRows (n,)
    spec : as ``propensity_model`` of :class:`IPW`
    known : ndarray (n, K) or None
    labels : Index (n,)

    Raises
    ------
    OverlapError
        Where the covariates separate the arms, whatever is matched on: nobody can be compared.
    """
    seed = int(np.random.default_rng(random_state).integers(2**31 - 1))
    fit, codes, n_arms = _Fitter(rows, spec, labels, seed), rows.arms, rows.n_arms
    everyone = np.arange(len(codes))
    whole, design = (None, None) if known is not None else fit(everyone, range(n_arms))
    overall = known if whole is None else whole.predictions
    assert overall is not None  # noqa: S101 - one of the two is there
    scores: dict[Key, Score] = {}
    models: dict[Key, ScoreModel] = {}
    pairs: dict[tuple[int, ...], tuple[Nuisance | None, StandardisedMatrix | None]] = {}
    for population, arm in targets:
        if population == arm:
            continue
        if population is None and n_arms > 2:
            scores[None, arm] = Score(everyone, arm, overall[:, arm], whole)
            models[None, arm] = ScoreModel(None, arm, arm, whole)
            continue
        arms = (0, 1) if population is None else (min(population, arm), max(population, arm))
        at = everyone if n_arms == 2 else np.flatnonzero(np.isin(codes, arms))
        if known is not None:
            both = overall[at][:, list(arms)]
            scores[population, arm] = Score(at, arms[1], both[:, 1] / both.sum(axis=1))
            models[population, arm] = ScoreModel(arms, arms[1], 1, None)
            continue
        if arms not in pairs:
            pairs[arms] = (whole, design) if n_arms == 2 else fit(at, arms)
        model, pair_design = pairs[arms]
        assert model is not None  # noqa: S101 - fitted above
        linear = pair_design if model.logistic is not None else None
        scores[population, arm] = Score(at, arms[1], model.predictions[:, 1], model, linear)
        models[population, arm] = ScoreModel(arms, arms[1], 1, model)
    unpenalised = design is not None and whole is not None and whole.logistic is not None
    dropped = design.dropped if design is not None and unpenalised else np.empty(0, dtype=np.intp)
    return Propensities(overall, scores, models, whole, dropped)


def scores_without_values(targets: Sequence[Key], codes: Codes, n_arms: int) -> dict[Key, Score]:
    """The rows of every comparison of a plan, where nothing asks for their propensities."""
    out: dict[Key, Score] = {}
    for population, arm in targets:
        if population == arm:
            continue
        if population is None and n_arms > 2:
            out[population, arm] = Score(np.arange(len(codes)), arm, None)
            continue
        low, high = (0, 1) if population is None else (min(population, arm), max(population, arm))
        out[population, arm] = Score(np.flatnonzero((codes == low) | (codes == high)), high, None)
    return out


def held_out_scores(models: Mapping[Key, ScoreModel], X: Floats, codes: Codes) -> dict[Key, Score]:
    """Propensities of new rows by the fitted models.

    Raises
    ------
    CausalArgumentError
        Where propensities were given.
    """
    out = {}
    for key, how in models.items():
        if how.model is None:
            raise CausalArgumentError("with known propensities there is no model to score")
        rows = np.arange(len(codes)) if how.arms is None else np.flatnonzero(np.isin(codes, how.arms))
        out[key] = Score(rows, how.upper, how.model.on(X[rows])[:, how.column])
    return out
