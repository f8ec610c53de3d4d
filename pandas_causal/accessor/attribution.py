"""Questions after the fact: why a metric moved, and which rows are odd."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.accessor.base import Questions
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect

if TYPE_CHECKING:
    from pandas_causal.accessor.types import GraphLike

__all__ = ["AttributionQuestions"]


class AttributionQuestions(Questions):
    """What a graph says about the causes of what happened."""

    @question
    def why(
        self,
        graph: GraphLike,
        *,
        target: Hashable,
        before: pd.DataFrame,
        of: str | float | Callable[[Any], Any] = "mean",
        by: Hashable = None,
        form: str = "simulated",
        odd: int = 10,
        mechanisms: Mapping[Any, Any] | None = None,
        missing: str = "raise",
        n_draws: int = 100,
        level: float = 0.95,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> Effect:
        """Why a metric moved from an earlier frame to this one, and which rows are odd.

        Parameters
        ----------
        graph : CausalGraph, or what it reads
            Every node a column of both frames.
        target : node
            The metric.
        before : DataFrame
            What was usual; the model is fitted to it.
        of : str, number or callable
            What of the target: see :meth:`StructuralModel.attribute_change`.
        by : column name, optional
            As there.
        form : str
            As there.
        odd : int
            How many of the oddest rows are explained; 0: none.
        mechanisms : mapping of node to mechanism, optional
            As in :class:`StructuralModel`.
        missing : {"raise", "drop"}
            Rows with a missing value: an error, or left out of both frames with a warning that counts them.
        n_draws : int
            Of the simulation and the errors.
        level : float
            Of the intervals.
        random_state : int or None
            Seed of what is drawn at random (folds, draws).
        n_jobs : int, optional
            Processes or threads; the answer is the same for any number.

        Returns
        -------
        Effect
            One row per mechanism: what its change did to the target. ``effect.estimator`` is the fitted
            :class:`StructuralModel`; its ``anomalies_`` lays the outlier scores of the oddest rows on nodes, the oddest
            row first.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        StructuralModel : The model.

        Examples
        --------
        >>> df.causal.why(graph, target="revenue", before=old)  # doctest: +SKIP
        """
        from pandas_causal.graphs.node_columns import select_nodes, warn_of_dropped
        from pandas_causal.inputs.parameters import at_least, check_settings
        from pandas_causal.structural.anomalies import oddest_rows
        from pandas_causal.structural.model import StructuralModel

        check_settings({"odd": odd}, {"odd": at_least(0)})
        model = StructuralModel(graph, mechanisms, random_state=random_state, n_jobs=n_jobs)
        warn_of_dropped(model.fit(before, missing=missing).n_dropped_)
        now = select_nodes(self._frame, model.simulator_.order, missing)
        warn_of_dropped(len(self._frame) - len(now))
        effect = model.attribute_change(None, now, target, of=of, by=by, form=form, n_draws=n_draws, level=level)
        if odd:
            model.anomalies_ = model.attribute_anomaly(now.iloc[oddest_rows(model.fitted_, now, target, odd)], target)
        return effect
