"""Questions to rows of which little is assumed: bounds."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from pandas_causal.accessor.base import Questions, names, need_treatment
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, suggest

__all__ = ["BoundsQuestions"]

_METHODS = ("manski", "monotone_response", "monotone_selection", "monotone", "lee")


class BoundsQuestions(Questions):
    """What can be said without assuming how treatment was chosen, or who is observed."""

    @question
    def bounds(
        self,
        method: str = "manski",
        *,
        treatment: Hashable = None,
        outcome: Hashable = None,
        selected: Hashable = None,
        covariates: Sequence[Any] | None = None,
        cluster: Hashable = None,
        sample_weight: Hashable = None,
        control: Hashable = None,
        level: float = 0.95,
        missing: str = "raise",
        outcome_range: tuple[float, float] | None = None,
        response: str | None = None,
        selection: str | None = None,
        estimand: str | None = None,
    ) -> Effect:
        """Bounds of the average effect: rows "lower" and "upper", the effect's interval in ``confidence_set()``.

        "manski" assumes that the outcome has a range, "monotone_response" that nobody is harmed, "monotone_selection"
        that those treated would have done better anyway, "monotone" both; "lee" is for randomised arms of which some
        outcomes are not seen (missing, or `selected` 0), and alone takes `covariates`, whose cells make it tighter.

        Example: ``df.causal.bounds("monotone", treatment="training", outcome="employed")``; see
        :func:`robustness.bounds.worst_case_bounds` (outcome_range, response, selection, estimand) and
        :func:`robustness.bounds.lee_bounds`.
        """
        named = {
            "outcome_range": outcome_range, "response": response, "selection": selection, "estimand": estimand,
        }  # fmt: skip
        settings: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        if not isinstance(method, str) or method not in _METHODS:
            known = list(_METHODS)
            raise CausalArgumentError(f"bounds({method!r}) is not known{suggest(method, known)}; use one of {known}")
        need_treatment("bounds", treatment)
        if outcome is None:
            raise CausalArgumentError("outcome= needs the name of a column")
        if method == "lee":
            from pandas_causal.robustness.bounds import lee_bounds

            if settings:
                raise CausalArgumentError(f"Lee bounds have no setting {next(iter(settings))!r}")
            roles = {"treatment": treatment, "selected": selected, "cluster": cluster, "sample_weight": sample_weight}
            self._select(covariates=names(covariates), outcome=outcome, **roles)
            return lee_bounds(
                self._frame, treatment=treatment, outcome=outcome, selected=selected, covariates=names(covariates),
                cluster=cluster, sample_weight=sample_weight, control=control, level=level,
            )  # fmt: skip
        given = [name for name, value in (("selected", selected), ("covariates", covariates)) if value is not None]
        if given:
            raise CausalArgumentError(f"{given[0]}= is for bounds('lee'); {method!r} reads treatment and outcome only")
        from pandas_causal.experiments.difference_in_means import DifferenceInMeans
        from pandas_causal.robustness.bounds import worst_case_bounds

        effect = self._fit(
            DifferenceInMeans(level=level, control=control), treatment=treatment, outcome=outcome, covariates=[],
            cluster=cluster, sample_weight=sample_weight, missing=missing,
        )  # fmt: skip
        return worst_case_bounds(effect, method, **settings)
