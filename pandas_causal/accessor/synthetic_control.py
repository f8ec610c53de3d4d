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
        """Effect on few treated units; the estimator "sdid", "sc", "augmented", "mcnnm", "did" or an instance.

        Example: ``df.causal.synthetic_control(outcome="packs", unit="state", time="year", treatment="treated")``;
        `covariates` are predictors of "sc". See :class:`SyntheticDiD`, :class:`SyntheticControl`,
        :class:`AugmentedSyntheticControl`, :class:`MatrixCompletion`.
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
