"""Questions to an experiment, and the plain association."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pandas_causal.accessor.base import Questions, names, need_treatment, one_outcome
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect
from pandas_causal.inputs.types import RoleLike

if TYPE_CHECKING:
    from pandas_causal.accessor.types import GraphLike

__all__ = ["ExperimentQuestions"]

_NOT_CAUSAL = (
    (
        "nothing: this is an association. To read it as an effect, treatment must have been assigned at random"
        " (ab_test), or the covariates that drive both treatment and outcome must be adjusted for (ate)"
    ),
)


class ExperimentQuestions(Questions):
    """Randomised arms, compared; and arms compared without a claim."""

    @question
    def ab_test(
        self,
        treatment: RoleLike = None,
        outcome: Hashable | list[Any] = None,
        covariates: Sequence[Any] | None = None,
        *,
        formula: str | None = None,
        graph: GraphLike | None = None,
        adjustment: str | None = None,
        variance: str = "welch",
        relative: bool | str = False,
        test: str | None = None,
        alternative: str = "two-sided",
        correction: str | None = None,
        allocation: Any = None,
        anytime_n: int | None = None,
        cluster_inference: str = "satterthwaite",
        strata: RoleLike = None,
        denominator: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        control: Hashable = None,
        level: float = 0.95,
        missing: str = "raise",
    ) -> Effect:
        """Compare randomised arms; covariates sharpen the answer ("lin" unless `adjustment` says otherwise).

        Example: ``df.causal.ab_test(treatment="variant", outcome="revenue")``; see :class:`DifferenceInMeans`. A list
        of outcomes gives rows by outcome, with their joint covariance; `correction` is then over all rows. With
        `graph`, which must say that treatment was drawn at random, bad controls are refused, and without `covariates`
        the answer is sharpened by those of the graph.
        """
        from pandas_causal.experiments.difference_in_means import DifferenceInMeans, corrected

        if formula is not None:
            columns = {"cluster": cluster, "strata": strata, "denominator": denominator, "sample_weight": sample_weight}
            covariates = self._of_formula(formula, covariates, treatment=treatment, outcome=outcome, **columns)
        treatment, outcome, covariates, notes = self._randomised(treatment, outcome, covariates, graph)
        estimator = DifferenceInMeans(
            adjustment="lin" if covariates and adjustment is None else adjustment,
            variance=variance,
            relative=relative,
            test=test,
            alternative=alternative,
            correction=None if isinstance(outcome, list) else correction,
            allocation=allocation,
            anytime_n=anytime_n,
            cluster_inference=cluster_inference,
            level=level,
            control=control,
            formula=formula,
        )
        effect = self._fit(
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
        effect = replace(effect, warnings=(*effect.warnings, *notes)) if notes else effect
        return corrected(effect, correction) if isinstance(outcome, list) and correction is not None else effect

    def _randomised(
        self, treatment: RoleLike, outcome: Hashable | list[Any], covariates: Sequence[Any] | None, graph: Any
    ) -> tuple[RoleLike, Hashable | list[Any], list[Any], tuple[str, ...]]:
        """Treatment, outcome and covariates, judged by a graph or taken from it, and what was warned of."""
        if graph is None:
            need_treatment("ab_test", treatment)
            return treatment, outcome, names(covariates), ()
        from pandas_causal.graphs.graph import as_graph
        from pandas_causal.identification.routes import check_controls, marked_ends, randomised_columns

        graph = as_graph(graph)
        treatment, one = marked_ends(graph, treatment, one_outcome(outcome))
        self._select(treatment=treatment, covariates=names(covariates), outcome=one)
        sharpening = randomised_columns(self._frame, graph, treatment, one)
        if covariates is None:
            return treatment, one, sharpening, ()
        notes = check_controls(self._frame, graph, treatment, one, names(covariates))
        return treatment, one, names(covariates), notes

    @question
    def association(
        self,
        treatment: RoleLike,
        outcome: Hashable | list[Any],
        *,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        control: Hashable = None,
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
        named = treatment if self._is_column(treatment) else "treatment"
        with_which = ", ".join(map(str, outcome)) if isinstance(outcome, list) else outcome
        words = f"association of {named} with {with_which} (difference in means, NOT a causal effect)"
        return replace(effect, estimand=words, assumptions=_NOT_CAUSAL)
