"""Questions to a panel: units seen before and after some of them are treated."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from pandas_causal.accessor.base import Questions, names
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inputs.arms import plain
from pandas_causal.inputs.types import RoleLike

if TYPE_CHECKING:
    from pandas_causal.accessor.types import EstimatorLike

__all__ = ["PanelQuestions"]


class PanelQuestions(Questions):
    """What treatment changed, from periods before and after it."""

    @question
    def did(
        self,
        *,
        outcome: Hashable,
        time: RoleLike,
        unit: RoleLike = None,
        cohort: RoleLike = None,
        treatment: RoleLike = None,
        group: RoleLike = None,
        post: Hashable | Sequence[Hashable] = None,
        covariates: Sequence[Any] | None = None,
        estimator: EstimatorLike | None = None,
        control_group: str | None = None,
        anticipation: int | None = None,
        base_period: str | None = None,
        partition: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        level: float | None = None,
        missing: str = "raise",
        random_state: int | None = None,
    ) -> Effect:
        """Difference in differences: "callaway_santanna" unless `estimator` says otherwise; the 2x2 with `group`.

        Example: ``df.causal.did(outcome="lemp", unit="countyreal", time="year", cohort="first.treat")``; `estimator`
        is also "imputation", "sun_abraham", "two_way", "stacked", "triple_difference", "random_timing" or an instance.
        See :class:`CallawaySantAnna` and, for ``group="nj", post=1993``, :class:`DifferenceInDifferences`.
        """
        from pandas_causal.estimator import choose

        _refuse_own_cluster(unit, cluster)
        self._refuse_flag(post, time)
        chosen = ("callaway_santanna" if group is None else "two_way") if estimator is None else estimator
        settings = {
            "control_group": control_group, "anticipation": anticipation, "base_period": base_period,
            "random_state": random_state,
        }  # fmt: skip
        return self._fit(
            choose("did", chosen, {**settings, "post": post}),
            treatment=treatment,
            outcome=outcome,
            covariates=names([] if covariates is None else covariates),
            level=level,
            unit=unit,
            time=time,
            cohort=cohort,
            group=group,
            partition=partition,
            cluster=cluster,
            sample_weight=sample_weight,
            missing=missing,
        )

    @question
    def event_study(
        self,
        *,
        outcome: Hashable,
        time: RoleLike,
        unit: RoleLike = None,
        cohort: RoleLike = None,
        treatment: RoleLike = None,
        covariates: Sequence[Any] | None = None,
        estimator: EstimatorLike = "callaway_santanna",
        control_group: str | None = None,
        anticipation: int | None = None,
        base_period: str | None = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        level: float | None = None,
        missing: str = "raise",
        random_state: int | None = None,
    ) -> Effect:
        """Effects by periods since treatment, one row per event time, from a universal base period.

        Example: ``df.causal.event_study(outcome="lemp", unit="countyreal", time="year", cohort="first.treat").plot()``;
        takes what :meth:`did` takes. See :class:`CallawaySantAnna`.
        """
        from pandas_causal.estimator import SHORT_NAMES, choose

        _refuse_own_cluster(unit, cluster)
        settings = {
            "control_group": control_group, "anticipation": anticipation, "base_period": base_period,
            "random_state": random_state,
        }  # fmt: skip
        effect = self._fit(
            choose("did", estimator, settings, {"base_period": "universal", "average": "event"}),
            treatment=treatment,
            outcome=outcome,
            covariates=names([] if covariates is None else covariates),
            level=level,
            unit=unit,
            time=time,
            cohort=cohort,
            cluster=cluster,
            sample_weight=sample_weight,
            missing=missing,
        )
        if effect.estimates.index.name == "event":
            return effect
        if "event" not in effect.weightings:
            raise CausalArgumentError(
                f"{type(effect.estimator).__name__} gives no effects by event time with these settings; use one of"
                f" {[name for name in SHORT_NAMES['did'] if name not in ('two_way', 'triple_difference')]}"
            )
        return effect.aggregate("event")

    def _refuse_flag(self, post: Any, time: RoleLike) -> None:
        """Refuse the name of a column of flags where a period is wanted, naming the period that the flags begin in."""
        frame = self._frame
        if not isinstance(post, str) or not isinstance(time, str) or not {post, time} <= set(frame.columns):
            return
        flags, periods = frame[post], frame[time]
        if bool((periods.astype(str) == post).any()) or not flags.dropna().isin([0, 1]).all():
            return
        marked = periods[flags.fillna(0).astype(bool)]
        first = f"post={plain(marked.min())!r}, the first that it marks" if len(marked) else f"a value of {time}"
        raise CausalArgumentError(
            f"post= takes the first treated period, and {post!r} is a column of flags: give {first}, or treatment= row"
            " by row"
        )


def _refuse_own_cluster(unit: RoleLike, cluster: RoleLike) -> None:
    if isinstance(cluster, str) and isinstance(unit, str) and cluster == unit:
        raise CausalArgumentError(
            f"every {unit} is one contribution, so errors are clustered by it already; leave cluster= out, or give a"
            " coarser one"
        )
