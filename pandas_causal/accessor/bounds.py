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
        """What can be said of an average effect with few assumptions, or none.

        "manski" assumes that the outcome has a range, "monotone_response" that nobody is harmed, "monotone_selection"
        that those treated would have done better anyway, "monotone" both; "lee" is for randomised arms of which some
        outcomes are not seen.

        Parameters
        ----------
        method : {"manski", "monotone_response", "monotone_selection", "monotone", "lee"}
            What is assumed.
        treatment : column name
            Arms: a column of few levels.
        outcome : column name
            What treatment may have changed.
        selected : column name, optional
            1 where the outcome is seen, for "lee"; by default where it is not missing.
        covariates : list of columns, optional
            For "lee", whose cells make the bounds tighter.
        cluster : column name, optional
            Rows of one cluster may depend on one another.
        sample_weight : column name, optional
            How many rows of the population each row stands for, up to a factor.
        control : level of the treatment, optional
            The arm that others are compared with; by default the first.
        level : float
            Of the intervals.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.
        outcome_range : (float, float), optional
            Least and largest outcome that is possible; that of the data by default.
        response : {"increasing", "decreasing"}, optional
            Direction of the response; increasing by default.
        selection : {"positive", "negative"}, optional
            Whether those in later arms have higher outcomes; positive by default.
        estimand : {"ATE", "ATT"}, optional
            Everyone's by default.

        Returns
        -------
        Effect
            Rows "lower" and "upper"; the interval of the effect itself is in ``confidence_set()``.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        Effect.bounds : The same from an effect.
        robustness.bounds.lee_bounds : Randomised arms with outcomes not seen.

        Examples
        --------
        >>> df.causal.bounds("monotone", treatment="training", outcome="employed")  # doctest: +SKIP
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
