"""Weighting: inverse-probability weights that make the arms alike, then compare weighted means."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from typing import ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from pandas_causal.adjustment.bounded_means import BoundedMeans
from pandas_causal.adjustment.weighted_means import hajek_means, propensity_correction
from pandas_causal.arms.balance import balance_score, largest_difference
from pandas_causal.arms.base import ArmComparison
from pandas_causal.arms.estimands import (
    BOUNDED,
    ESTIMANDS,
    EstimandPlan,
    in_words,
    plan_estimand,
    target_density,
    target_share,
)
from pandas_causal.arms.overlap import arm_weights
from pandas_causal.arms.positivity import refuse_separation
from pandas_causal.arms.sample import Sample, collinear, supported, trimmed
from pandas_causal.arms.structure import structure_of_weights
from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inputs.parameters import SHARE_OR_NONE, Legal
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.folds import draw_folds
from pandas_causal.models.linear import StandardisedMatrix
from pandas_causal.models.nuisance import Nuisance

__all__ = ["IPW"]


class IPW(ArmComparison):
    """Inverse-probability weighting with normalised (Hajek) weights.

    Estimates the propensity of every arm, weights every row by ``h(x) / e(x)`` and compares weighted means. Rests on no
    unmeasured confounding, overlap, and a right propensity model.

    Parameters
    ----------
    estimand : {"ATE", "ATT", "ATC", "ATO", "ATM"}
        ATO: overlap weights ``h = e (1 - e)``, the population in which the arms are most alike; never extreme. ATM:
        matching weights ``h = min(e, 1 - e)``, the population that pairs of treated and controls would make up.
    propensity_model : {"linear", "ridge", "splines", "boosting", "boosted_splines", "auto"} or scikit-learn classifier
        "linear" is the unpenalised logistic model.
    cv : int, splitter or iterable of (train, test), optional
        Cross-fit in these folds; by default the model is fitted once on all rows, and with "linear" its estimation
        enters the standard error (which makes it smaller for the ATE). In all other cases propensities are taken as
        known; ``effect.std_error_method`` says which.
    trim : float, optional
        Leave out rows whose propensity is nearer than this to the 0 or 1 at which the estimand's weights are infinite;
        counted.
    control : level, optional
        Reference arm.
    formula : str, optional
        Right-hand side that makes the covariates: see :class:`ArmComparison`.
    random_state : int or None
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
    propensity_ : ndarray (n, K)
    weights_ : ndarray (n,)
        Weight of every row of X, in its order; zero where trimmed.

    References
    ----------
    Hajek (1971); Lunceford and Davidian (2004), Statistics in Medicine; Li, Morgan and Zaslavsky (2018), JASA; Li and
    Greene (2013), International Journal of Biostatistics, for the matching weights.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "trim": SHARE_OR_NONE,
    }

    def __init__(
        self,
        *,
        estimand: str = "ATE",
        propensity_model: Model = "linear",
        cv: object = None,
        trim: float | None = None,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.estimand = estimand
        self.propensity_model = propensity_model
        self.cv = cv
        self.trim = trim
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
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit; the parameters are those of :meth:`AIPW.fit`."""
        sample = self.prepare(
            X,
            y,
            treatment=treatment,
            missing=missing,
            control=self.control,
            cluster=cluster,
            sample_weight=sample_weight,
            propensity=propensity,
        )
        plan = plan_estimand(self.estimand, sample.arms, sample.treatment, tuple(ESTIMANDS))
        design = StandardisedMatrix.of(sample.X)
        if self.trim is None:  # one covariate that separates the arms is named before a model says that something does
            refuse_separation(sample.inputs.covariates, sample.codes, sample.arms.levels, self.estimand)
        model = None if sample.propensity is not None else self._propensity_model(sample, design)
        e = sample.propensity if model is None else model.predictions
        assert e is not None  # noqa: S101 - one of the two is there
        self.propensity_, self._model, self._sample = e, model, sample
        keep, e = supported(self.estimand, e, sample.codes, self.trim, sample.arms.levels)
        unit = (np.ones(len(sample)) if sample.w is None else sample.w) * (1.0 if keep is None else keep)
        values, contributions, _ = hajek_means(plan, sample.y, sample.codes, e, unit)
        method = "influence function, propensity taken as known (cross-fitted, penalised or given), normal law"
        fitted_linear = model is not None and model.logistic is not None
        if model is not None and model.logistic is not None and self.cv is None:
            contributions += propensity_correction(
                plan, contributions, sample.codes, e, design, model.logistic, sample.w
            )
            method = "influence function, estimation of the logistic propensity included, normal law"
        self.weights_ = np.zeros(len(self.used_))
        self.weights_[self.used_] = arm_weights(self.estimand, sample.codes, e, unit)
        checks, warned = self.overlap(
            sample,
            e,
            self.estimand,
            keep,
            out_of_fold=model is not None and not model.in_sample,
            unpenalised=fitted_linear,
            judged=self.trim is None,
        )
        own = self.weights_[self.used_]
        checks["squares"] = partial(sample.balance_of_squares, own if keep is None else own[keep], keep)
        if model is not None:
            checks["nuisance"] = partial(nuisances.report, None, model.without_models(), sample.arms.levels)
        if not self._validated:  # a refit to drawn rows has nobody to tell
            checks["structure"], missed = self._structure(sample, plan, e, unit, values, contributions)
            warned = [*warned, *missed]
        n_trimmed, about, notes = trimmed(len(sample), keep, self.trim)
        if self.estimand in BOUNDED and not n_trimmed:
            about = BOUNDED[self.estimand]
        self.effect_ = self.finish(
            sample,
            plan,
            values,
            contributions,
            estimand=in_words(self.estimand, sample.treatment, sample.outcome),
            std_error_method=method,
            diagnostics=checks,
            warned=[*warned, *notes, *(collinear(sample, design.dropped) if fitted_linear else [])],
            population=about,
            facts={"n_trimmed": n_trimmed},
        )
        return self

    def bounded_means(self) -> BoundedMeans:
        """The means compared, when propensities may be off: what a marginal sensitivity model asks.

        Raises
        ------
        CausalArgumentError
            For tilted populations, which move with the propensity.
        """
        check_is_fitted(self, "effect_")
        if self.estimand in BOUNDED:
            raise CausalArgumentError(
                f"the population of estimand={self.estimand!r} is made of propensities and moves with them; ask of"
                " 'ATE', 'ATT' or 'ATC'"
            )
        sample, model = self._sample, self._model
        plan = plan_estimand(self.estimand, sample.arms, sample.treatment)
        keep, e = supported(self.estimand, self.propensity_, sample.codes, self.trim, sample.arms.levels)
        unit = (np.ones(len(sample)) if sample.w is None else sample.w) * (1.0 if keep is None else keep)
        estimated = model is not None and self.cv is None
        return BoundedMeans(sample, plan, e, unit, model.logistic if estimated and model is not None else None)

    def score(
        self, X: Covariates, y: Outcome = None, treatment: RoleLike = None, sample_weight: RoleLike = None
    ) -> float:
        """Minus the largest standardised mean difference under the weights the fitted model gives the held-out rows."""
        check_is_fitted(self, "effect_")
        held_out = self.held_out(X, y, treatment, sample_weight, outcome=False)
        if self._model is None:
            raise CausalArgumentError("with known propensities there is no model to score")
        Z, codes = held_out.X, held_out.codes
        weights = arm_weights(self.estimand, codes, self._model.on(Z), held_out.w)
        return balance_score(Z, self.encoder_.every_level, lambda X: largest_difference(X, codes, weights))

    def _structure(
        self, sample: Sample, plan: EstimandPlan, e: Floats, unit: Floats, values: Floats, contributions: Floats
    ) -> tuple[Check, list[str]]:
        """What the weights leave between the arms and the population, in squares and products too."""
        weights = np.empty((len(sample), len(plan.targets)))
        targets = np.empty_like(weights)
        for j, (population, a) in enumerate(plan.targets):
            density = target_density(plan.estimand, population, e)
            weights[:, j] = np.where(sample.codes == a, density / e[:, a], 0.0) * unit
            targets[:, j] = target_share(population, sample.codes, e, plan.estimand) * unit
        return structure_of_weights(sample, plan, weights, targets, values, contributions)

    def _propensity_model(self, sample: Sample, design: StandardisedMatrix) -> Nuisance:
        """Fit the propensity on all rows, or cross-fit it."""
        rng = np.random.default_rng(self.random_state)
        folds = None
        if self.cv is not None:
            folds = draw_folds(self.cv, sample.inputs, sample.arms, rng, sample.cluster[0] if sample.cluster else None)
        seed = int(rng.integers(2**31 - 1))
        return nuisances.in_label_order(
            nuisances.fit_propensity,
            sample.inputs.index,
            self.propensity_model,
            sample.training_rows(design),
            folds,
            random_state=seed,
            n_jobs=self.n_jobs,
        )
