"""Questions to a cross-section whose rows are matched."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.accessor.base import Questions, names
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect
from pandas_causal.inputs.types import Model, RoleLike

if TYPE_CHECKING:
    from pandas_causal.accessor.types import GraphLike

__all__ = ["MatchingQuestions"]


class MatchingQuestions(Questions):
    """Like compared with like."""

    @question
    def match(
        self,
        treatment: RoleLike = None,
        outcome: Hashable | list[Any] = None,
        covariates: Sequence[Any] | None = None,
        *,
        formula: str | None = None,
        graph: GraphLike | None = None,
        post_treatment: Sequence[Any] = (),
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
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        control: Hashable = None,
        level: float | None = None,
        missing: str = "raise",
        propensity_model: Model | None = None,
        n_subclasses: int | None = None,
        cutpoints: Any = None,
        variance_matches: int | None = None,
        random_state: int | None = None,
    ) -> Effect:
        """Compare like with like: every treated row with control rows that resemble it; further settings by name.

        Example: ``df.causal.match(treatment="treat", outcome="re78", covariates=["age", "educ"], caliper=0.2)``; see
        :class:`Matching`, which also designs without an outcome. `graph` and `post_treatment` are as in :meth:`ate`:
        `formula` too; with a graph and no `covariates` rows are matched on those to adjust for, among them what
        `exact` names.
        """
        from pandas_causal.estimator import with_settings
        from pandas_causal.matching.estimator import Matching

        listed = isinstance(exact, list | tuple | pd.Index)
        given = None if covariates is None else names(covariates)
        besides = [name for name in exact if name not in given] if listed and given is not None else []
        chosen = Matching(
            method=method,
            estimand=estimand,
            distance=distance,
            ratio=ratio,
            replace=replace,
            caliper=caliper,
            exact=[name for name in exact if name not in besides] if besides else exact,
            order=order,
            discard=discard,
            bias_adjust=bias_adjust,
            control=control,
        )
        further = {
            "propensity_model": propensity_model, "n_subclasses": n_subclasses, "cutpoints": cutpoints,
            "variance_matches": variance_matches, "random_state": random_state,
        }  # fmt: skip
        return self._compared(
            "match",
            with_settings(chosen, further),
            treatment=treatment,
            outcome=outcome,
            covariates=covariates,
            formula=formula,
            graph=graph,
            post_treatment=post_treatment,
            always=list(exact) if listed else [],
            settings={"control": control},
            level=level,
            cluster=cluster,
            sample_weight=sample_weight,
            propensity=propensity,
            strata=besides or None,
            missing=missing,
        )
