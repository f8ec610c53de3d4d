"""Effects for rows of a treatment that an instrument moves, doubly robust: any model of the effect, any compliance."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.heterogeneity.base import modifier_columns, row_scores
from pandas_causal.heterogeneity.final_models import Regressions, fit_final, project_scores
from pandas_causal.heterogeneity.nuisances import NuisanceModels
from pandas_causal.heterogeneity.ortho_iv import (
    Moved,
    MovedEffects,
    coefficients_of,
    instrumented_fit,
    moved_first_stage,
)
from pandas_causal.heterogeneity.projection import BasisFit, EffectBasis, LinearEffects
from pandas_causal.inference.influence import Influence
from pandas_causal.inputs.parameters import Legal, number
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.models.many_targets import fit_targets

__all__ = ["DRIV", "bounded_compliance", "moved_scores"]


def bounded_compliance(compliance: Floats, least: float) -> tuple[Floats, int]:
    """Compliance (n,) away from 0 by a share of its mean, of the mean's sign, and how many rows were bounded.

    Parameters
    ----------
    compliance : ndarray (n,)
        Covariance of instrument and treatment given the covariates.
    least : float
        Share of the mean.
    """
    mean = float(compliance.mean())
    sign = 1.0 if mean >= 0 else -1.0
    bound = least * abs(mean)
    short = sign * compliance < bound
    return np.where(short, sign * bound, compliance), int(short.sum())


def moved_scores(y: Floats, d: Floats, z: Floats, compliance: Floats, first: Floats) -> Floats:
    """Doubly robust scores of the effect (n,): ``first + (y - first d) z / compliance``, of residuals.

    Their mean given the covariates is the effect if the first estimate is right, or the compliance.

    References
    ----------
    Syrgkanis et al. (2019), "Machine learning estimation of heterogeneous treatment effects with instruments", NeurIPS,
    eq. (6).
    """
    return np.asarray(first + (y - first * d) * z / compliance)


class DRIV(MovedEffects):
    r"""Doubly robust effects for rows of a treatment moved by an instrument: a regression of scores on covariates.

    With residuals of outcome, treatment and instrument, compliance :math:`\beta(x) = E[\tilde D \tilde Z | x]` and a
    first estimate :math:`\theta_0(x)` of the effect that is linear in the modifiers, both out of fold, the score
    :math:`\theta_0 + (\tilde Y - \theta_0 \tilde D) \tilde Z / \beta` has the effect as its mean given the covariates
    if either is right. Unlike :class:`OrthoIV`, any model of the effect serves, and effects need not be linear. Where
    effects differ among rows with the same covariates, it speaks of those whom the instrument moves. Rests on
    exclusion, and on an instrument that is as good as random given the covariates and moves treatment everywhere.

    Parameters
    ----------
    outcome_model, treatment_model, instrument_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn regressor
        Means given the covariates.
    compliance_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn regressor
        Of the product of the residuals of treatment and instrument.
    final_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn regressor
        Of the scores. With "linear" effects of single rows have standard errors.
    effect_modifiers : list of covariates, optional
        What the effect may vary with; all covariates by default.
    clip : float
        Compliance is bounded away from 0 at this share of its mean; bounded rows are counted.
    cv : int, splitter or iterable of (train, test)
    control : level, optional
    formula : str, optional
    random_state : int or None
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
        Average over the fitted rows: the mean score.
    coefficients_ : Effect
        With ``final_model="linear"``: effect at the covariates' means, and its change per unit of each.
    scores_, compliance_ : ndarray (n,)
    folds_ : ndarray (n,)

    References
    ----------
    Syrgkanis, Lei, Oprescu, Hei, Battocchi and Lewis (2019), "Machine learning estimation of heterogeneous treatment
    effects with instruments", NeurIPS, section 3. Errors of the linear one: HC1 (Semenova and Chernozhukov 2021).
    """

    legal: ClassVar[Mapping[str, Legal]] = {"clip": number(0, 1, "a number above 0 and below 1", closed_low=False)}
    nested: ClassVar[dict[str, str]] = {"final_model": "boosting"}

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        treatment_model: Model = "auto",
        instrument_model: Model = "auto",
        compliance_model: Model = "auto",
        final_model: Model = "linear",
        effect_modifiers: Sequence[Any] | None = None,
        clip: float = 0.05,
        cv: object = 5,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.instrument_model = instrument_model
        self.compliance_model = compliance_model
        self.final_model = final_model
        self.effect_modifiers = effect_modifiers
        self.clip = clip
        self.cv = cv
        self.control = control
        self.formula = formula
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        treatment: RoleLike = None,
        instrument: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit; the parameters are those of :meth:`OrthoIV.fit`."""
        moved = self.moved(X, y, instrument, missing, treatment=treatment, cluster=cluster, sample_weight=sample_weight)
        sample, w = moved.sample, moved.sample.w
        columns = modifier_columns(sample, self.effect_modifiers)
        first = moved_first_stage(moved)
        product = fit_targets(
            moved.rows, (moved.d * moved.z)[:, None], moved.folds, sample.inputs.index, names=["compliance"],
            models=[self.compliance_model], setting_names=["compliance_model"], random_state=moved.seed,
            n_jobs=self.n_jobs,
        )  # fmt: skip
        self.compliance_, n_bounded = bounded_compliance(product.predictions[:, 0], self.clip)
        started = self._first_estimate(moved, EffectBasis.of(sample.X, sample.encoder.names, columns))
        self.scores_ = moved_scores(moved.y, moved.d, moved.z, self.compliance_, started)
        self._sample, self.folds_ = sample, moved.folds
        unit = np.ones(len(sample)) if w is None else w
        mean = np.array([unit @ self.scores_ / unit.sum()])
        average = BasisFit(mean, (unit * (self.scores_ - mean) / unit.sum())[:, None])
        self.effect_ = self.arranged(
            moved, average, first,
            assumption="the instrument moves the treatment wherever covariates are, and everybody's the same way",
            checks={"compliance": partial(_compliance_check, product.predictions[:, 0], n_bounded),
                    "nuisance of compliance": product.report},
            facts={"n_bounded": n_bounded},
        )  # fmt: skip
        self._effects: LinearEffects | Regressions
        if isinstance(self.final_model, str) and (self.final_model == "linear" or not len(columns)):
            basis = EffectBasis.of(sample.X, sample.encoder.names, columns)
            self._effects = project_scores(basis, self.scores_[:, None], sample, list(moved.plan.names))
            self.coefficients_ = coefficients_of(self._effects, self.effect_, sample)
        else:
            models = NuisanceModels(random_state=moved.seed, n_jobs=self.n_jobs)
            every = np.arange(len(sample))
            fit = fit_final(moved.rows, sample.inputs.index, self.final_model, every, self.scores_, w, columns, models)
            self._effects = Regressions((fit,), columns)
        return self

    def _first_estimate(self, moved: Moved, basis: EffectBasis) -> Floats:
        """Effects (n,) by instrumental variables with effects linear in the modifiers, from the other folds."""
        sample, out = moved.sample, np.empty(len(moved.sample))
        for fold in np.unique(moved.folds):
            rest, own = np.flatnonzero(moved.folds != fold), np.flatnonzero(moved.folds == fold)
            part = EffectBasis(np.arange(len(basis.at)), basis.design.on(sample.X[np.ix_(rest, basis.at)]), basis.names)
            w = None if sample.w is None else sample.w[rest]
            fit = instrumented_fit(part, moved.z[rest], moved.d[rest], moved.y[rest], w)
            out[own] = basis.combine(sample.X[own], fit.values[None])[:, 0]
        return out

    def _error_method(self) -> str:
        return "clustered (CR1)" if self._sample.cluster else "doubly robust scores, HC1, normal law"

    def _predicted(self, X: Floats) -> Floats:
        return self._effects.predict(X)

    def _rows(self, j: int, X: Floats) -> Influence | None:
        return self._effects.of_treatment(j, X) if isinstance(self._effects, LinearEffects) else None

    def _averages(self, j: int) -> Effect | None:
        if isinstance(self._effects, LinearEffects):
            return None
        return row_scores(self._sample, self.scores_, self.effect_, self.effect_.estimand)


def _compliance_check(compliance: Floats, n_bounded: int) -> Check:
    """How strongly the instrument moves the treatment, by tenths of that."""
    tenth = pd.Series(pd.qcut(compliance, 10, labels=False, duplicates="drop"), name="tenth")
    table = pd.Series(compliance).groupby(tenth).agg(["size", "mean"]).set_axis(["n", "compliance"], axis=1)
    share = n_bounded / len(compliance)
    words = f"{n_bounded:,} rows ({share:.0%}) whom the instrument hardly moves, or the other way, were bounded"
    return Check(bool(share <= 0.05), table, words)
