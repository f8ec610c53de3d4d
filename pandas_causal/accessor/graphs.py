"""Questions to a frame and a causal graph of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pandas_causal.accessor.base import Questions

if TYPE_CHECKING:
    from pandas_causal.graph.identification import Identification

__all__ = ["GraphQuestions"]


class GraphQuestions(Questions):
    """What assumptions, drawn as a graph, say about the columns of a frame."""

    def identify(self, *, graph: Any, treatment: Any, outcome: Any, given: Any = None) -> Identification:
        """Whether, and by which columns, a graph determines an effect; every node must be a column or latent.

        Example: ``df.causal.identify(graph=g, treatment="medication", outcome="readmission").backdoor.optimal``. See
        :class:`CausalGraph` and :class:`Identification`.
        """
        from pandas_causal.graph import CausalGraph
        from pandas_causal.graph.distribution import columns_of
        from pandas_causal.roles import check_columns

        check_columns(self._frame)
        drawn = graph if isinstance(graph, CausalGraph) else CausalGraph(graph)
        columns_of(drawn, self._frame.columns)
        return drawn.identify(treatment=treatment, outcome=outcome, given=given)
