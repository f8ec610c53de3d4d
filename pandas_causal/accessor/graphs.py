"""Questions to a frame and a causal graph of its columns."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.accessor.base import Questions
from pandas_causal.accessor.words import question
from pandas_causal.effect.check import Check
from pandas_causal.inputs.types import ColumnLike

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
        """Does a graph determine the effect, and by which columns? Identification.

        Every node must be a column, or latent.

        Parameters
        ----------
        graph : CausalGraph, or what it reads
            What causes what.
        treatment : node or list of nodes, optional
            By default those that the graph marks.
        outcome : node or list of nodes, optional
            By default those that the graph marks.
        given : node or list of nodes, optional
            The effect among those with these values.
        adjusted : node or list of nodes, optional
            Nodes that every adjustment set must hold.

        Returns
        -------
        Identification
            ``.backdoor``, ``.frontdoor``, ``.instruments`` and the rest; ``.explain()`` says it in words.

        Raises
        ------
        GraphError
            A node that is neither a column nor latent; no treatment or outcome.

        See Also
        --------
        CausalGraph : How to write a graph.
        ate : ``ate(graph=...)`` estimates it.

        Examples
        --------
        >>> df.causal.identify(graph, "medication", "readmission").backdoor.optimal  # doctest: +SKIP
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
        """What would happen if it were done? Rows drawn from ``P(v | do(...))``.

        Rung two of the ladder of causation.

        Parameters
        ----------
        graph : CausalGraph, or what it reads
            Every node a column.
        interventions : mapping of node to value, callable or Shift
            What is set, to what.
        mechanisms : mapping of node to mechanism, optional
            As in :class:`StructuralModel`.
        missing : {"raise", "drop"}
            Rows with a missing value: an error, or left out of the model, with a warning that counts them.
        random_state : int or None
            Seed of what is drawn at random (folds, draws).
        n_jobs : int, optional
            Processes or threads; the answer is the same for any number.

        Returns
        -------
        DataFrame
            As many rows as this frame has.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        StructuralModel.do : With a model of your own.
        counterfactual : What these very rows would have been.

        Examples
        --------
        >>> df.causal.do(graph, {"medication": 1})  # doctest: +SKIP
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
        rows: ColumnLike | None = None,
        coupling: str = "monotone",
        missing: str = "raise",
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> pd.DataFrame:
        """What would each of these rows have been? Counterfactuals.

        Rung three of the ladder of causation; the model is fitted to all rows.

        Parameters
        ----------
        graph : CausalGraph, or what it reads
            Every node a column.
        interventions : mapping of node to value, callable or Shift
            What is set, to what.
        mechanisms : mapping of node to mechanism, optional
            As in :class:`StructuralModel`.
        rows : mask or labels, optional
            Which rows to answer for: one bool per row, or labels of the index, ``rows=df["medication"] == 1``.
        coupling : {"monotone", "gumbel"}
            What the noise of discrete nodes is taken for: see :class:`StructuralModel`.
        missing : {"raise", "drop"}
            Rows with a missing value: an error, or left out of model and answer, with a warning that counts them.
        random_state : int or None
            Seed of what is drawn at random (folds, draws).
        n_jobs : int, optional
            Processes or threads; the answer is the same for any number.

        Returns
        -------
        DataFrame
            With the index of those rows.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        StructuralModel.counterfactual : With a model of your own.

        Examples
        --------
        >>> df.causal.counterfactual(graph, {"medication": 0})  # doctest: +SKIP
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
        """Do the data contradict the graph? Tests of the independences that it implies.

        Parameters
        ----------
        graph : CausalGraph, or what it reads
            Latent nodes and ``<->`` are allowed.
        alpha : float
            Level of the tests.
        correction : {"holm", "benjamini_hochberg"} or None
            Of the p-values over the pairs.
        permutations : int
            With any, the whole graph is compared with so many of the same shape and relabelled nodes.
        test : {"auto", "partial_correlation", "g", "kernel"}
            "auto" chooses by the columns.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.
        random_state : int or None
            Seed of what is drawn at random (folds, draws).
        n_jobs : int, optional
            Processes or threads; the answer is the same for any number.

        Returns
        -------
        GraphCheck
            One row per pair of nodes.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        graphs.check_graph.check_graph : The tests, explained.

        Examples
        --------
        >>> df.causal.check_graph(graph)  # doctest: +SKIP
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
