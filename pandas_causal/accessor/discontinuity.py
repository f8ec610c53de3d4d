"""Questions to a running variable and its cutoff."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from pandas_causal.accessor.base import Questions, names
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect
from pandas_causal.inputs.types import RoleLike

__all__ = ["DiscontinuityQuestions"]


class DiscontinuityQuestions(Questions):
    """Whether crossing a cutoff changes the outcome."""

    @question
    def rdd(
        self,
        *,
        running: RoleLike,
        outcome: Hashable,
        cutoff: Any = 0.0,
        treatment: RoleLike = None,
        covariates: Sequence[Any] | None = None,
        kernel: str = "triangular",
        bandwidth: Any = "mserd",
        bias_bandwidth: Any = None,
        order: int = 1,
        bias_order: int | None = None,
        derivative: int = 0,
        cluster: RoleLike = None,
        donut: float = 0.0,
        vce: str = "nn",
        mass_points: str = "adjust",
        sharp_bandwidth: bool = False,
        by_cutoff: bool = False,
        sample_weight: RoleLike = None,
        level: float = 0.95,
        missing: str = "raise",
    ) -> Effect:
        """Jump of the outcome where a running variable crosses a cutoff; fuzzy when `treatment` is given.

        Example: ``df.causal.rdd(running="margin", outcome="vote", cutoff=0)``; `cutoff` may name a column that holds
        every row's own. See :class:`RegressionDiscontinuity`.
        """
        from pandas_causal.discontinuity.regression_discontinuity import RegressionDiscontinuity

        cutoff_column = cutoff if isinstance(cutoff, str | tuple) and cutoff in self._frame.columns else None
        estimator = RegressionDiscontinuity(
            cutoff=cutoff if cutoff_column is None else 0.0,
            kernel=kernel,
            bandwidth=bandwidth,
            bias_bandwidth=bias_bandwidth,
            order=order,
            bias_order=bias_order,
            derivative=derivative,
            donut=donut,
            vce=vce,
            mass_points=mass_points,
            sharp_bandwidth=sharp_bandwidth,
            by_cutoff=by_cutoff,
            level=level,
        )
        return self._fit(
            estimator,
            treatment=treatment,
            outcome=outcome,
            covariates=names([] if covariates is None else covariates),
            running=running,
            cutoffs=cutoff_column,
            cluster=cluster,
            sample_weight=sample_weight,
            missing=missing,
        )
