"""The question that comes after an answer: what breaks if it is not causal."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from pandas_causal.accessor.adjustment import AdjustmentQuestions
from pandas_causal.accessor.base import names, need_treatment, one_outcome
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import BadControlError, CausalArgumentError, NotIdentifiedError, OverlapError

if TYPE_CHECKING:
    from pandas_causal.accessor.types import EstimatorLike, GraphLike
    from pandas_causal.robustness.audit import Audit

__all__ = ["AuditQuestions"]


class AuditQuestions(AdjustmentQuestions):
    """Every check of a comparison of arms at once."""

    @question
    def audit(
        self,
        treatment: Hashable = None,
        outcome: Hashable = None,
        covariates: Sequence[Any] | None = None,
        *,
        graph: GraphLike | None = None,
        negative_outcome: Hashable | Sequence[Any] = None,
        estimator: EstimatorLike | None = None,
        cluster: Hashable = None,
        sample_weight: Hashable = None,
        control: Hashable = None,
        alpha: float = 0.05,
        missing: str = "raise",
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> Audit:
        """What breaks if the answer is not causal? Every check in one table.

        One fit answers the question, by "aipw" or `estimator`; all further fits are linear and read at most 20,000
        rows, drawn at random, which their line says. Verdicts that rest on p-values are Holm's over all of them. With
        `graph` and no `covariates` those to adjust for are taken from it.

        Parameters
        ----------
        treatment : column name
            Arms: a column of few levels.
        outcome : column name
            What treatment may have changed.
        covariates : list of columns, optional
            What drives both treatment and outcome; ``[]`` says none on purpose.
        graph : CausalGraph, or what it reads, optional
            What causes what. Nodes that it marks are the treatment and the outcome by default; bad controls are
            refused, and without `covariates` it names them.
        negative_outcome : column name or list of them, optional
            What the treatment cannot move: they alone can show confounding that nobody measured.
        estimator : {"aipw", "ipw", "regression", "tmle", "entropy", "cbps", "stable"}, class or estimator, optional
            "aipw" by default.
        cluster : column name, optional
            Rows of one cluster may depend on one another.
        sample_weight : column name, optional
            How many rows of the population each row stands for, up to a factor.
        control : level of the treatment, optional
            The arm that others are compared with; by default the first.
        alpha : float
            Level of the verdicts.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.
        random_state : int
            Seed of the rows drawn, the folds and the refuters.
        n_jobs : int, optional
            Processes or threads; the answer is the same for any number.

        Returns
        -------
        Audit
            A table with verdict, evidence and what to do, one line per check.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        Effect.refute : Refuters by name.
        Effect.sensitivity : How strong a confounder would have to be.

        Examples
        --------
        >>> df.causal.audit("treat", "re78", ["age", "educ"])  # doctest: +SKIP
        """
        from pandas_causal.inputs.parameters import check_settings
        from pandas_causal.robustness.audit import AuditQuestion, audit_study

        check_settings({"random_state": random_state, "n_jobs": n_jobs})
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < 1:
            raise CausalArgumentError(f"alpha must be a number between 0 and 1, e.g. 0.05; got {alpha!r}")
        if graph is not None:
            from pandas_causal.graphs.graph import as_graph
            from pandas_causal.identification.routes import adjustment_columns, marked_ends

            graph = as_graph(graph)
            treatment, outcome = marked_ends(graph, treatment, one_outcome(outcome))
            if covariates is None:
                self._select(treatment=treatment, covariates=[], outcome=outcome)
                covariates = adjustment_columns(self._frame, graph, treatment, outcome)
        need_treatment("audit", treatment)
        if covariates is None:
            raise CausalArgumentError("audit needs covariates=, a list of columns, or graph=")
        listed = names(covariates)
        negative = names(negative_outcome) if isinstance(negative_outcome, list | tuple) else [negative_outcome]
        negative = [name for name in negative if name is not None]
        outcome = one_outcome(outcome)
        self._select(
            treatment=treatment, covariates=[*listed, *negative], outcome=outcome, cluster=cluster,
            sample_weight=sample_weight,
        )  # fmt: skip
        asked: dict[str, Any] = {
            "treatment": treatment,
            "outcome": outcome,
            "covariates": listed,
            "estimator": estimator,
            "cluster": cluster,
            "sample_weight": sample_weight,
            "control": control,
            "missing": missing,
            "random_state": random_state,
            "n_jobs": n_jobs,
        }
        effect, trouble = self._answer(graph, asked)
        question = AuditQuestion(
            treatment, outcome, tuple(listed), cluster, sample_weight, tuple(negative), graph, control, float(alpha),
            random_state,
        )  # fmt: skip
        return audit_study(self._frame, question, effect, trouble)

    def _answer(self, graph: Any, asked: dict[str, Any]) -> tuple[Effect | None, str]:
        """The default answer; a bad control is no reason to stop, nor is a lack of overlap."""
        try:
            return self.ate(**asked, graph=graph), ""
        except (BadControlError, NotIdentifiedError):
            return self._answer(None, asked)
        except OverlapError as error:
            return None, str(error)
