"""Questions to what carries an effect."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pandas_causal.accessor.base import Questions, names, need_treatment, one_outcome
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inputs.types import RoleLike

if TYPE_CHECKING:
    from pandas_causal.accessor.types import EstimatorLike, GraphLike

__all__ = ["MediationQuestions"]


class MediationQuestions(Questions):
    """How much of an effect passes through mediators."""

    @question
    def mediate(
        self,
        treatment: Hashable = None,
        outcome: Hashable = None,
        *,
        mediators: Hashable | Sequence[Hashable] = None,
        covariates: Sequence[Any] | None = None,
        formula: str | None = None,
        graph: GraphLike | None = None,
        estimator: EstimatorLike | None = None,
        controlled: Mapping[Any, Any] | Sequence[Mapping[Any, Any]] | None = None,
        interactions: bool | None = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        control: Hashable = None,
        level: float | None = None,
        missing: str = "raise",
        random_state: int | None = None,
        n_jobs: int | None = None,
    ) -> Effect:
        """How much of the effect passes through it? Direct and indirect effects.

        With `graph` the effects are identified first, and without `covariates` it names them.

        Parameters
        ----------
        treatment : column name
            Arms: a column of few levels.
        outcome : column name
            What treatment may have changed.
        mediators : column name or list of them
            What part of the effect may pass through; several are taken jointly.
        covariates : list of columns, optional
            What drives treatment, mediators or outcome; ``[]`` says none on purpose.
        formula : str, optional
            In place of `covariates`: a right-hand side of formulaic that makes them, ``"age * sex + bs(dose, df=3)"``.
            It is code: take none from strangers.
        graph : CausalGraph, or what it reads, optional
            What causes what. Nodes that it marks are the treatment and the outcome by default; bad controls are
            refused, and without `covariates` it names them.
        estimator : {"doubly_robust", "simulation"}, class or estimator, optional
            "doubly_robust" by default.
        controlled : mapping of mediator to value, or list of them, optional
            Also the direct effect at values of the mediators, ``{"skill": 1}``.
        interactions : bool, optional
            Of "simulation"; the other lets everything interact.
        cluster : column name, array-like, or list of up to four, optional
            Rows of one cluster may depend on one another.
        sample_weight : column name or array-like, optional
            How many rows of the population each row stands for, up to a factor.
        control : level of the treatment, optional
            The arm that others are compared with; by default the first.
        level : float, optional
            Of the intervals; the estimator's own by default.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.
        random_state : int, optional
            Seed of folds and draws; the estimator's own by default.
        n_jobs : int, optional
            Processes or threads; the answer is the same for any number.

        Returns
        -------
        Effect
            Rows "total", "natural direct", "natural indirect", "total direct", "pure indirect", and those of
            `controlled`.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        NaturalEffects : Several mediators of any kind, jointly.
        SimulatedMediation : One, by simulation.

        Examples
        --------
        >>> df.causal.mediate("training", "wage", mediators=["skill"], covariates=["age"])  # doctest: +SKIP
        """
        from pandas_causal.estimator import choose

        one = isinstance(mediators, str) or self._is_column(mediators) or not isinstance(mediators, list | tuple)
        several: list[Any] = [mediators] if one else list(mediators)  # type: ignore[arg-type]
        if mediators is None or not several:
            raise CausalArgumentError(
                "mediate needs mediators=, the names of columns: what part of the effect may pass through"
            )
        roles: dict[str, Any] = {"cluster": cluster, "sample_weight": sample_weight}
        settings = {
            "controlled": controlled, "interactions": interactions, "control": control, "formula": formula,
            "random_state": random_state, "n_jobs": n_jobs,
        }  # fmt: skip
        if formula is not None:
            columns = {**roles, "mediators": several}
            covariates = self._of_formula(formula, covariates, treatment=treatment, outcome=outcome, **columns)
        if graph is not None:
            treatment, outcome, covariates = self._identified(graph, treatment, several, outcome, covariates)
        need_treatment("mediate", treatment)
        if covariates is None:
            raise CausalArgumentError(
                "mediate adjusts for covariates, and none were given: mediators are not randomised, even where"
                " treatment is. covariates=[] says none on purpose, and graph= takes them from a causal graph"
            )
        chosen = choose("mediate", "doubly_robust" if estimator is None else estimator, settings)
        return self._fit(
            chosen, treatment=treatment, outcome=one_outcome(outcome), covariates=names(covariates), level=level,
            missing=missing, mediators=several, **roles,
        )  # fmt: skip

    def _identified(
        self, graph: Any, treatment: Any, mediators: list[Any], outcome: Any, covariates: Sequence[Any] | None
    ) -> tuple[Any, Any, list[Any]]:
        """Treatment, outcome and covariates, judged by a graph or taken from it."""
        from pandas_causal.graphs.graph import as_graph
        from pandas_causal.identification.distribution import columns_of
        from pandas_causal.identification.mediation_sets import mediation_covariates
        from pandas_causal.identification.routes import marked_ends

        drawn = as_graph(graph)
        treatment, outcome = marked_ends(drawn, treatment, one_outcome(outcome))
        self._select(treatment=treatment, covariates=names(covariates), outcome=outcome, mediators=mediators)
        columns_of(drawn, self._frame.columns)
        given = None if covariates is None else names(covariates)
        held = mediation_covariates(drawn, treatment, mediators, outcome, given)
        return treatment, outcome, [c for c in self._frame.columns if c in held]
