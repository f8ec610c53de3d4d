"""Questions to a frame and a causal graph of its columns."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.accessor.base import Questions
from pandas_causal.accessor.words import question
from pandas_causal.effect.check import Check

if TYPE_CHECKING:
    from pandas_causal.accessor.types import GraphLike
    from pandas_causal.identification.identification import Identification

__all__ = ["GraphQuestions", "StructuralQuestions"]


class GraphQuestions(Questions):
    """What assumptions, drawn as a graph, say about the columns of a frame."""

    @question
    def identify(
        self,
        graph: GraphLike,
        treatment: Hashable = None,
        outcome: Hashable = None,
        *,
        given: Hashable | Iterable[Hashable] | None = None,
        adjusted: Hashable | Iterable[Hashable] | None = None,
    ) -> Identification:
        """Whether, and by which columns, a graph determines an effect; every node must be a column or latent.

        Example: ``df.causal.identify(graph=g, treatment="medication", outcome="readmission").backdoor.optimal``. See
        :class:`CausalGraph` and :class:`Identification`.
        """
        from pandas_causal.graphs.graph import as_graph
        from pandas_causal.identification.distribution import columns_of
        from pandas_causal.inputs.roles import check_columns

        check_columns(self._frame)
        drawn = as_graph(graph)
        columns_of(drawn, self._frame.columns)
        return drawn.identify(treatment=treatment, outcome=outcome, given=given, adjusted=adjusted)


class StructuralQuestions(Questions):
    """Interventions and counterfactuals by a structural model, and tests of the graph."""

    @question
    def do(
        self,
        graph: GraphLike,
        interventions: Mapping[Any, Any],
        *,
        mechanisms: Mapping[Any, Any] | None = None,
        missing: str = "raise",
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> pd.DataFrame:
        """Rung two: as many rows as this frame has, drawn from ``P(v | do(...))``.

        With ``missing="drop"`` the model is fitted without incomplete rows, and a warning counts them. Example:
        ``df.causal.do(g, {"medication": 1})``; see :meth:`StructuralModel.do`.
        """
        from pandas_causal.graphs.node_columns import warn_of_dropped
        from pandas_causal.structural.model import StructuralModel

        model = StructuralModel(graph, mechanisms, random_state=random_state, n_jobs=n_jobs)
        warn_of_dropped(model.fit(self._frame, missing=missing).n_dropped_)
        return model.do(interventions, n=len(self._frame))

    @question
    def counterfactual(
        self,
        graph: GraphLike,
        interventions: Mapping[Any, Any],
        *,
        mechanisms: Mapping[Any, Any] | None = None,
        rows: Any = None,
        coupling: str = "monotone",
        missing: str = "raise",
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> pd.DataFrame:
        """Rung three: what each of these rows, or some of them, would have been; the model is that of all.

        `rows` is a mask (one bool per row) or labels of the index: ``rows=df["medication"] == 1``.

        With ``missing="drop"`` incomplete rows are left out of the model and of the answer, and a warning counts them.
        Example: ``df.causal.counterfactual(g, {"medication": 0})``; see :meth:`StructuralModel.counterfactual`.
        """
        from pandas_causal.structural.model import StructuralModel

        model = StructuralModel(graph, mechanisms, coupling=coupling, random_state=random_state, n_jobs=n_jobs)
        fitted = model.fit(self._frame, missing=missing)
        return fitted.counterfactual(self._frame, interventions, rows=rows, missing=missing)

    @question
    def check_graph(
        self,
        graph: GraphLike,
        *,
        alpha: float = 0.05,
        correction: str | None = "holm",
        permutations: int = 0,
        test: str = "auto",
        missing: str = "raise",
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> Check:
        """Test the independences that a graph implies, one row per pair of nodes.

        Example: ``df.causal.check_graph(g)``; see :func:`graphs.check_graph.check_graph`.
        """
        from pandas_causal.graphs.check_graph import check_graph

        return check_graph(
            self._frame,
            graph,
            alpha=alpha,
            correction=correction,
            permutations=permutations,
            test=test,
            missing=missing,
            random_state=random_state,
            n_jobs=n_jobs,
        )
