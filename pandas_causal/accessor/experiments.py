"""Questions to an experiment, and the plain association."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
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
        allocation: Mapping[Any, float] | Sequence[float] | None = None,
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
        """Did an experiment change the mean, the share, the ratio? Randomised arms compared.

        It rests on the random assignment of arms. With `graph`, which must say that treatment was drawn at random, bad
        controls are refused, and without `covariates` the answer is sharpened by those of the graph.

        Parameters
        ----------
        treatment : column name or array-like
            Arms: a column of few levels.
        outcome : column name, or list of them
            A list gives rows by outcome, with their joint covariance; `correction` is then over all rows.
        covariates : list of columns, optional
            Measured before assignment; they sharpen the answer.
        formula : str, optional
            In place of `covariates`: a right-hand side of formulaic that makes them, ``"age * sex + bs(dose, df=3)"``.
            It is code: take none from strangers.
        graph : CausalGraph, or what it reads, optional
            What causes what. Nodes that it marks are the treatment and the outcome by default; bad controls are
            refused, and without `covariates` it names them.
        adjustment : {None, "lin", "cuped"}
            How covariates are used; "lin" where there are any.
        variance : {"welch", "pooled", "proportion"}
            Each arm's own, a common one, or p (1 - p) / n of 0/1 outcomes.
        relative : bool or "log"
            Report lift, mean / control mean - 1; "log": its interval from the log of the ratio.
        test : {None, "pooled_z", "fisher", "barnard", "boschloo"}
            Of equal shares, for 0/1 outcomes.
        alternative : {"two-sided", "greater", "less"}
            Side of p-values and intervals.
        correction : {None, "holm", "benjamini_hochberg"}
            Of the p-values of several rows.
        allocation : mapping of level to share or sequence, optional
            Planned arm sizes, for the sample-ratio check.
        anytime_n : int, optional
            Make p-values and intervals valid under continuous peeking, tightest near so many rows.
        cluster_inference : {"satterthwaite", "wild"}
            CR2 with degrees of freedom of its own, or the wild cluster bootstrap.
        strata : column name, array-like, or list of them, optional
            Blocks within which arms were drawn.
        denominator : column name or array-like, optional
            Makes the outcome a ratio metric: sum over sum.
        cluster : column name, array-like, or list of up to four, optional
            Rows of one cluster may depend on one another.
        sample_weight : column name or array-like, optional
            How many rows of the population each row stands for, up to a factor.
        control : level of the treatment, optional
            The arm that others are compared with; by default the first.
        level : float
            Of the intervals.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.

        Returns
        -------
        Effect
            A row per contrast with the control.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        DifferenceInMeans : The estimator.
        pandas_causal.ab_test : Two samples without a frame.

        Examples
        --------
        >>> df.causal.ab_test("variant", "revenue")  # doctest: +SKIP
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
        """How do the groups differ, as they are? Not a causal effect, and labelled so.

        Parameters
        ----------
        treatment : column name or array-like
            Arms: a column of few levels.
        outcome : column name, or list of them
            A list gives rows by outcome.
        cluster : column name, array-like, or list of up to four, optional
            Rows of one cluster may depend on one another.
        sample_weight : column name or array-like, optional
            How many rows of the population each row stands for, up to a factor.
        control : level of the treatment, optional
            The arm that others are compared with; by default the first.
        level : float
            Of the intervals.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.

        Returns
        -------
        Effect
            The difference in means, whose assumption says that it is an association.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        ab_test : Where arms were drawn at random.
        ate : Where covariates were measured.

        Examples
        --------
        >>> df.causal.association("medication", "readmission")  # doctest: +SKIP
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
