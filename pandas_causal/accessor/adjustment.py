"""Questions to a cross-section whose confounders were measured: effects, overlap, balance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pandas_causal.accessor.base import Questions, names
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inputs.types import Model, RoleLike

if TYPE_CHECKING:
    from pandas_causal.estimator import CausalEstimator

__all__ = ["AdjustmentQuestions"]


class AdjustmentQuestions(Questions):
    """Observed arms, adjusted for measured covariates."""

    def ate(
        self,
        *,
        treatment: RoleLike,
        outcome: Hashable | list[Any],
        covariates: Sequence[Any] | None = None,
        graph: Any = None,
        post_treatment: Sequence[Any] = (),
        estimand: str | None = None,
        estimator: CausalEstimator | str | None = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        control: Hashable = None,
        level: float | None = None,
        missing: str = "raise",
    ) -> Effect:
        """Average effect, adjusted for covariates by "aipw" (the default), "ipw", "regression", "tmle" or an instance.

        Example: ``df.causal.ate(treatment="medication", outcome="readmission", covariates=["age", "severity"])``; see
        :class:`AIPW`. `estimand` and `control` override an instance's own. With `graph` bad controls are refused, and
        without `covariates` it decides what is estimated, and how: see :meth:`Identification.estimate`.
        `post_treatment` names columns that treatment may have moved. A list of outcomes gives rows by outcome, with
        their joint covariance.
        """
        from pandas_causal.estimator import choose

        roles = {"cluster": cluster, "sample_weight": sample_weight, "propensity": propensity}
        if graph is not None and covariates is None:
            from pandas_causal.identification.routes import ate_from_graph

            if isinstance(outcome, list):
                raise CausalArgumentError(
                    "a graph decides how one outcome is estimated, and outcome= is a list; give covariates= too, or ask"
                    " for one outcome at a time"
                )
            self._select(treatment=treatment, covariates=[], outcome=outcome, **roles)
            settings: dict[str, Any] = {"estimand": estimand, "control": control, "level": level, "missing": missing}
            return ate_from_graph(
                self._frame,
                graph,
                post_treatment,
                treatment=treatment,
                outcome=outcome,
                estimator=estimator,
                **settings,
                **roles,
            )
        if covariates is None:
            raise CausalArgumentError(
                "ate adjusts for covariates, and none were given. If treatment was randomised ask"
                " df.causal.ab_test(...); for the unadjusted difference ask df.causal.association(...); covariates=[]"
                " says none on purpose"
            )
        chosen = choose("ate", "aipw" if estimator is None else estimator, {"estimand": estimand, "control": control})
        covariates = names(covariates)
        notes: tuple[str, ...] = ()
        if graph is not None or len(names(post_treatment)):
            from pandas_causal.identification.routes import check_controls

            for one in outcome if isinstance(outcome, list) else [outcome]:
                self._select(treatment=treatment, covariates=covariates, outcome=one)
                found = check_controls(self._frame, graph, treatment, one, covariates, names(post_treatment))
                notes = tuple(dict.fromkeys((*notes, *found)))
        effect = self._fit(
            chosen, treatment=treatment, outcome=outcome, covariates=covariates, level=level, missing=missing, **roles
        )
        return replace(effect, warnings=(*effect.warnings, *notes)) if notes else effect

    def overlap(
        self,
        *,
        treatment: RoleLike,
        covariates: Sequence[Any],
        estimand: str = "ATE",
        propensity_model: Model = "ridge",
        control: Hashable = None,
        bound: float = 0.01,
        sample_weight: RoleLike = None,
        missing: str = "raise",
    ) -> Check:
        """Check positivity: propensities by arm, the share near 0 or 1, effective sample sizes.

        Example: ``df.causal.overlap(treatment="treat", covariates=["age", "educ"])``; see
        :func:`arms.overlap.overlap_check`.
        """
        from pandas_causal.arms.assess import assess_overlap

        X = self._select(treatment=treatment, covariates=names(covariates), sample_weight=sample_weight)
        return assess_overlap(
            X,
            treatment,
            estimand=estimand,
            propensity_model=propensity_model,
            control=control,
            bound=bound,
            sample_weight=sample_weight,
            missing=missing,
        )

    def balance(
        self,
        *,
        treatment: RoleLike,
        covariates: Sequence[Any],
        weights: RoleLike = None,
        control: Hashable = None,
        missing: str = "raise",
    ) -> Check:
        """Compare covariates between arms, before and, given `weights` (a column or array), after weighting.

        Example: ``df.causal.balance(treatment="treat", covariates=["age", "educ"])``; see
        :func:`arms.balance.balance`.
        """
        from pandas_causal.arms.assess import assess_balance

        X = self._select(treatment=treatment, covariates=names(covariates), weights=weights)
        return assess_balance(X, treatment, weights=weights, control=control, missing=missing)
