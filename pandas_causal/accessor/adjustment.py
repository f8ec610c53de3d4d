"""Questions to a cross-section whose confounders were measured: effects, overlap, balance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from pandas_causal.accessor.base import Questions
from pandas_causal.accessor.words import question
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.inputs.types import Model, RoleLike

if TYPE_CHECKING:
    from pandas_causal.accessor.types import EstimatorLike, GraphLike

__all__ = ["AdjustmentQuestions"]


class AdjustmentQuestions(Questions):
    """Observed arms, adjusted for measured covariates."""

    @question
    def ate(
        self,
        treatment: RoleLike = None,
        outcome: Hashable | list[Any] = None,
        covariates: Sequence[Any] | None = None,
        *,
        formula: str | None = None,
        graph: GraphLike | None = None,
        post_treatment: Sequence[Any] = (),
        estimand: str | None = None,
        estimator: EstimatorLike | None = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        control: Hashable = None,
        level: float | None = None,
        missing: str = "raise",
        random_state: int | None = None,
        n_jobs: int | None = None,
    ) -> Effect:
        """Average effect, adjusted for covariates by "aipw" (the default), "ipw", "regression", "tmle" or an instance.

        Example: ``df.causal.ate(treatment="medication", outcome="readmission", covariates=["age", "severity"])``; see
        :class:`AIPW`. `estimand` and `control` override an instance's own. With `graph` (a :class:`CausalGraph`, or
        text that makes one) bad controls are refused, and without `covariates` it decides what is estimated, and how:
        see :meth:`Identification.estimate`; nodes that it marks are the treatment and the outcome by default.
        `formula` in place of `covariates` is a right-hand side of formulaic, ``"age * sex + bs(dose, df=3)"``, which is
        code: take none from strangers. `post_treatment` names columns that treatment may have moved.
        """
        return self._compared(
            "ate",
            estimator,
            treatment=treatment,
            outcome=outcome,
            covariates=covariates,
            formula=formula,
            graph=graph,
            post_treatment=post_treatment,
            settings={"estimand": estimand, "control": control, "random_state": random_state, "n_jobs": n_jobs},
            level=level,
            missing=missing,
            cluster=cluster,
            sample_weight=sample_weight,
            propensity=propensity,
        )

    @question
    def overlap(
        self,
        treatment: RoleLike = None,
        covariates: Sequence[Any] | None = None,
        *,
        graph: GraphLike | None = None,
        outcome: Hashable = None,
        estimand: str = "ATE",
        propensity_model: Model = "ridge",
        control: Hashable = None,
        bound: float = 0.01,
        sample_weight: RoleLike = None,
        missing: str = "raise",
        random_state: int | None = 0,
    ) -> Check:
        """Check positivity: propensities by arm, the share near 0 or 1, effective sample sizes.

        Example: ``df.causal.overlap(treatment="treat", covariates=["age", "educ"])``; see
        :func:`arms.overlap.overlap_check`. With `graph` and `outcome` the covariates are those to adjust for.
        """
        from pandas_causal.arms.assess import assess_overlap

        treatment, listed = self._covariates(
            "overlap", treatment=treatment, outcome=outcome, covariates=covariates, graph=graph
        )
        X = self._select(treatment=treatment, covariates=listed, sample_weight=sample_weight)
        return assess_overlap(
            X,
            treatment,
            estimand=estimand,
            propensity_model=propensity_model,
            control=control,
            bound=bound,
            sample_weight=sample_weight,
            missing=missing,
            random_state=random_state,
        )

    @question
    def balance(
        self,
        treatment: RoleLike = None,
        covariates: Sequence[Any] | None = None,
        *,
        graph: GraphLike | None = None,
        outcome: Hashable = None,
        weights: RoleLike = None,
        control: Hashable = None,
        missing: str = "raise",
    ) -> Check:
        """Compare covariates between arms, before and, given `weights` (a column or array), after weighting.

        Example: ``df.causal.balance(treatment="treat", covariates=["age", "educ"])``; see
        :func:`arms.balance.balance`. With `graph` and `outcome` the covariates are those to adjust for.
        """
        from pandas_causal.arms.assess import assess_balance

        treatment, listed = self._covariates(
            "balance", treatment=treatment, outcome=outcome, covariates=covariates, graph=graph
        )
        X = self._select(treatment=treatment, covariates=listed, weights=weights)
        return assess_balance(X, treatment, weights=weights, control=control, missing=missing)
