"""Questions to instruments: columns that move the outcome through the treatment only."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from pandas_causal.accessor.base import Questions, names, need_treatment
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect
from pandas_causal.inputs.types import RoleLike

if TYPE_CHECKING:
    from pandas_causal.accessor.types import EstimatorLike

__all__ = ["InstrumentQuestions"]


class InstrumentQuestions(Questions):
    """What a treatment does that something outside moves."""

    @question
    def iv(
        self,
        treatment: RoleLike | list[Any],
        outcome: Hashable | list[Any],
        *,
        instrument: RoleLike | list[Any],
        covariates: Sequence[Any] | None = None,
        absorb: RoleLike | list[Any] = None,
        cluster: RoleLike | list[Any] = None,
        estimator: EstimatorLike = "2sls",
        covariance: str | None = None,
        small_sample: bool | None = None,
        weak_set: str | None = None,
        sample_weight: RoleLike = None,
        level: float = 0.95,
        missing: str = "raise",
        random_state: int | None = None,
        n_jobs: int | None = None,
    ) -> Effect:
        """Effect of one treatment or several, moved by instruments that reach the outcome through them only.

        Example: ``df.causal.iv(treatment="educ", outcome="lwage", instrument="nearc4", covariates=["exper"])``. Short
        names: "2sls", "liml", "fuller", "gmm", "cue", "jive", "ujive", "hful", "interactive", "partial_linear"; see
        :class:`InstrumentalVariables` and :class:`InteractiveIV`.
        """
        from pandas_causal.estimator import choose

        need_treatment("iv", treatment)
        settings = {
            "covariance": covariance, "small_sample": small_sample, "weak_set": weak_set,
            "random_state": random_state, "n_jobs": n_jobs,
        }  # fmt: skip
        chosen = choose("iv", estimator, settings, {"level": level})
        return self._fit(
            chosen,
            treatment=treatment,
            outcome=outcome,
            covariates=names(covariates),
            instrument=instrument,
            absorb=absorb,
            cluster=cluster,
            sample_weight=sample_weight,
            level=level,
            missing=missing,
        )
