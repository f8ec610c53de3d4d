"""Questions to a panel in which few units are treated: a comparison made of weighted untreated ones."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from pandas_causal.accessor.base import Questions, names
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect
from pandas_causal.inputs.types import RoleLike

if TYPE_CHECKING:
    from pandas_causal.accessor.types import EstimatorLike

__all__ = ["SyntheticQuestions"]


class SyntheticQuestions(Questions):
    """What treatment changed for few treated units, beside a synthetic comparison."""

    @question
    def synthetic_control(
        self,
        *,
        outcome: Hashable,
        unit: RoleLike,
        time: RoleLike,
        treatment: RoleLike = None,
        cohort: RoleLike = None,
        covariates: Sequence[Any] | None = None,
        estimator: EstimatorLike = "sdid",
        inference: str | None = None,
        by_period: bool | None = None,
        level: float | None = None,
        missing: str = "raise",
        random_state: int | None = None,
    ) -> Effect:
        """What changed for the one that was treated? A weighted comparison beside it.

        Parameters
        ----------
        outcome : column name
            A number in every row.
        unit : column name or array-like
            Who is seen in several periods.
        time : column name or array-like
            The period: numbers, dates or periods.
        treatment : column name or array-like, optional
            1 in treated rows; or `cohort`.
        cohort : column name or array-like, optional
            First treated period of each unit, the same in all of its rows; missing, 0 or infinite: never. Or
            `treatment`.
        covariates : list of columns, optional
            Predictors of "sc".
        estimator : str, class or estimator
            One of "sdid", "sc", "augmented", "mcnnm", "did".
        inference : {"placebo", "permutation", "jackknife", "conformal"}, optional
            Not every estimator has all; its own by default.
        by_period : bool, optional
            One row per treated period in place of the average.
        level : float, optional
            Of the intervals; the estimator's own by default.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.
        random_state : int, optional
            Seed of placebo draws; the estimator's own by default.

        Returns
        -------
        Effect
            The average over treated rows, or a row per period.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        SyntheticDiD, SyntheticControl, AugmentedSyntheticControl, MatrixCompletion : The estimators.

        Examples
        --------
        >>> df.causal.synthetic_control(outcome="packs", unit="state", time="year", treatment="t")  # doctest: +SKIP
        """
        from pandas_causal.estimator import choose

        settings = {
            "inference": inference, "by_period": by_period, "level": level, "random_state": random_state,
        }  # fmt: skip
        return self._fit(
            choose("synthetic_control", estimator, settings),
            treatment=treatment,
            outcome=outcome,
            covariates=names([] if covariates is None else covariates),
            unit=unit,
            time=time,
            cohort=cohort,
            missing=missing,
        )
