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
        """What breaks if the answer is not causal: every check in one table, with verdict, evidence and what to do.

        Example: ``df.causal.audit(treatment="treat", outcome="re78", covariates=["age", "educ"])``; see
        :class:`robustness.audit.Audit`. One fit answers the question, by "aipw" or `estimator`; all further fits are
        linear and read at most 20,000 rows, drawn at random, which their line says. Verdicts that rest on p-values are
        Holm's over all of them. `negative_outcome` are columns that the treatment cannot move: they alone can show
        confounding that nobody measured. With `graph` and no `covariates` those to adjust for are taken from it.
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
