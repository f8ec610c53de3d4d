"""Questions to a cross-section: who was treated, what came out, and what else is known of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from pandas_causal.accessor.base import Questions, names
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, suggest

__all__ = ["CrossSectionQuestions"]

_NOT_CAUSAL = (
    (
        "nothing: this is an association. To read it as an effect, treatment must have been assigned at random"
        " (ab_test), or the covariates that drive both treatment and outcome must be adjusted for (ate)"
    ),
)


class CrossSectionQuestions(Questions):
    """Randomised or observed arms, compared row by row."""

    def ab_test(
        self,
        *,
        treatment: Any,
        outcome: Any,
        covariates: Sequence[Any] = (),
        adjustment: str | None = None,
        variance: str = "welch",
        relative: bool = False,
        alternative: str = "two-sided",
        correction: str | None = None,
        allocation: Any = None,
        anytime_n: int | None = None,
        strata: Any = None,
        denominator: Any = None,
        cluster: Any = None,
        sample_weight: Any = None,
        control: Any = None,
        level: float = 0.95,
        missing: str = "raise",
    ) -> Effect:
        """Compare randomised arms; covariates sharpen the answer ("lin" unless `adjustment` says otherwise).

        Example: ``df.causal.ab_test(treatment="variant", outcome="revenue")``; see :class:`DifferenceInMeans`.
        """
        from pandas_causal.experiments.difference_in_means import DifferenceInMeans

        covariates = names(covariates)
        estimator = DifferenceInMeans(
            adjustment="lin" if covariates and adjustment is None else adjustment,
            variance=variance,
            relative=relative,
            alternative=alternative,
            correction=correction,
            allocation=allocation,
            anytime_n=anytime_n,
            level=level,
            control=control,
        )
        return self._fit(
            estimator,
            treatment=treatment,
            outcome=outcome,
            covariates=covariates,
            strata=strata,
            denominator=denominator,
            cluster=cluster,
            sample_weight=sample_weight,
            missing=missing,
        )

    def association(
        self,
        *,
        treatment: Any,
        outcome: Any,
        cluster: Any = None,
        sample_weight: Any = None,
        control: Any = None,
        level: float = 0.95,
        missing: str = "raise",
    ) -> Effect:
        """Rung one: the naive difference in means, labelled as not causal.

        Example: ``df.causal.association(treatment="medication", outcome="readmission")``; see
        :class:`DifferenceInMeans`.
        """
        from pandas_causal.experiments.difference_in_means import DifferenceInMeans

        effect = self._fit(
            DifferenceInMeans(level=level, control=control),
            treatment=treatment,
            outcome=outcome,
            covariates=[],
            cluster=cluster,
            sample_weight=sample_weight,
            missing=missing,
        )
        named = treatment if pd.api.types.is_scalar(treatment) else "treatment"
        words = f"association of {named} with {outcome} (difference in means, NOT a causal effect)"
        return replace(effect, estimand=words, assumptions=_NOT_CAUSAL)

    def ate(
        self,
        *,
        treatment: Any,
        outcome: Any,
        covariates: Sequence[Any] | None = None,
        graph: Any = None,
        post_treatment: Sequence[Any] = (),
        estimand: str | None = None,
        estimator: Any = "aipw",
        cluster: Any = None,
        sample_weight: Any = None,
        propensity: Any = None,
        control: Any = None,
        level: float | None = None,
        missing: str = "raise",
    ) -> Effect:
        """Average effect, adjusted for covariates; `estimator` is "aipw", "ipw", "regression", "tmle" or an instance.

        Example: ``df.causal.ate(treatment="medication", outcome="readmission", covariates=["age", "severity"])``; see
        :class:`AIPW`. `estimand` and `control` override an instance's own. With `graph` bad controls are refused, and
        without `covariates` it decides what is estimated, and how: see :func:`graph.estimation.estimate`.
        `post_treatment` names columns that treatment may have moved.
        """
        from pandas_causal.estimator import choose

        roles = {"cluster": cluster, "sample_weight": sample_weight, "propensity": propensity}
        if graph is not None and covariates is None:
            from pandas_causal.identification.routes import ate_from_graph

            self._select(treatment=treatment, covariates=[], outcome=outcome, **roles)
            asked: dict[str, Any] = {"estimand": estimand, "control": control, "level": level, "missing": missing}
            own = None if isinstance(estimator, str) and estimator == "aipw" else estimator
            return ate_from_graph(
                self._frame,
                graph,
                post_treatment,
                treatment=treatment,
                outcome=outcome,
                estimator=own,
                **asked,
                **roles,
            )
        if covariates is None:
            raise CausalArgumentError(
                "ate adjusts for covariates, and none were given. If treatment was randomised ask"
                " df.causal.ab_test(...); for the unadjusted difference ask df.causal.association(...); covariates=[]"
                " says none on purpose"
            )
        chosen = choose("ate", estimator, {"estimand": estimand, "control": control})
        covariates = names(covariates)
        notes: tuple[str, ...] = ()
        if graph is not None or len(names(post_treatment)):
            from pandas_causal.identification.routes import check_controls

            self._select(treatment=treatment, covariates=covariates, outcome=outcome)
            notes = check_controls(self._frame, graph, treatment, outcome, covariates, names(post_treatment))
        effect = self._fit(
            chosen, treatment=treatment, outcome=outcome, covariates=covariates, level=level, missing=missing, **roles
        )
        return replace(effect, warnings=(*effect.warnings, *notes)) if notes else effect

    def match(
        self,
        *,
        treatment: Any,
        outcome: Any,
        covariates: Sequence[Any],
        distance: Any = "propensity",
        ratio: Any = 1,
        replace: bool = True,
        caliper: Any = None,
        exact: Any = None,
        order: str = "largest",
        estimand: str = "ATT",
        bias_adjust: bool = False,
        method: str = "nearest",
        discard: str | None = None,
        cluster: Any = None,
        sample_weight: Any = None,
        propensity: Any = None,
        control: Any = None,
        level: float | None = None,
        missing: str = "raise",
        **settings: Any,
    ) -> Effect:
        """Compare like with like: every treated row with control rows that resemble it; further settings by name.

        Example: ``df.causal.match(treatment="treat", outcome="re78", covariates=["age", "educ"], caliper=0.2)``; see
        :class:`Matching`, which also designs without an outcome.
        """
        from pandas_causal.matching.estimator import Matching

        further = ("propensity_model", "n_subclasses", "cutpoints", "variance_matches", "random_state")
        unknown = [name for name in settings if name not in further]
        if unknown:
            hint = suggest(unknown[0], Matching().get_params())
            raise CausalArgumentError(f"match has no setting {unknown[0]!r}{hint}; further settings: {list(further)}")
        estimator = Matching(
            method=method,
            estimand=estimand,
            distance=distance,
            ratio=ratio,
            replace=replace,
            caliper=caliper,
            exact=exact,
            order=order,
            discard=discard,
            bias_adjust=bias_adjust,
            control=control,
            **settings,
        )
        return self._fit(
            estimator,
            treatment=treatment,
            outcome=outcome,
            covariates=names(covariates),
            level=level,
            cluster=cluster,
            sample_weight=sample_weight,
            propensity=propensity,
            missing=missing,
        )

    def overlap(
        self,
        *,
        treatment: Any,
        covariates: Sequence[Any],
        estimand: str = "ATE",
        propensity_model: Any = "ridge",
        control: Any = None,
        bound: float = 0.01,
        sample_weight: Any = None,
        missing: str = "raise",
    ) -> Check:
        """Check positivity: propensities by arm, the share near 0 or 1, effective sample sizes.

        Example: ``df.causal.overlap(treatment="treat", covariates=["age", "educ"])``; see
        :func:`diagnostics.overlap.overlap`.
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
        treatment: Any,
        covariates: Sequence[Any],
        weights: Any = None,
        control: Any = None,
        missing: str = "raise",
    ) -> Check:
        """Compare covariates between arms, before and, given `weights` (a column or array), after weighting.

        Example: ``df.causal.balance(treatment="treat", covariates=["age", "educ"])``; see
        :func:`diagnostics.balance.balance`.
        """
        from pandas_causal.arms.assess import assess_balance

        X = self._select(treatment=treatment, covariates=names(covariates), weights=weights)
        return assess_balance(X, treatment, weights=weights, control=control, missing=missing)
