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
        """What did a policy change? Difference in differences.

        It rests on parallel trends: without treatment, treated units would have moved as those compared with.

        Parameters
        ----------
        outcome : column name
            A number in every row.
        time : column name or array-like
            The period: numbers, dates or periods.
        unit : column name or array-like, optional
            Who is seen in several periods; without it rows are a repeated cross-section.
        cohort : column name or array-like, optional
            First treated period of each unit, the same in all of its rows; missing, 0 or infinite: never. Or
            `treatment`.
        treatment : column name or array-like, optional
            1 in treated rows, in place of `cohort`.
        group : column name or array-like, optional
            With `post`: the two-by-two design; 1 in units that are treated.
        post : period or list of periods, optional
            First treated period of the two-by-two design, or all treated ones.
        covariates : list of columns, optional
            Trends are parallel given these.
        estimator : str, class or estimator, optional
            One of "callaway_santanna", "imputation", "sun_abraham", "two_way", "stacked", "triple_difference",
            "random_timing"; the first by default, "two_way" with `group`.
        control_group : {"never_treated", "not_yet_treated"}, optional
            Units compared with; the estimator's own by default.
        anticipation : int, optional
            Periods before treatment in which units may react already.
        base_period : {"varying", "universal"}, optional
            What periods before treatment are compared with: each with the one before it, or all with the last.
        partition : column name or array-like, optional
            Of the triple difference: 1 in rows that the policy is for.
        cluster : column name or array-like, optional
            Coarser than units, which are clusters already.
        sample_weight : column name or array-like, optional
            How many rows of the population each row stands for, up to a factor.
        level : float, optional
            Of the intervals; the estimator's own by default.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.
        random_state : int, optional
            Seed of what is drawn at random; the estimator's own by default.

        Returns
        -------
        Effect
            One row per cell (cohort, period), averaged by ``aggregate``; or one row.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        CallawaySantAnna : The default.
        DifferenceInDifferences : ``group="nj", post=1993``.
        event_study : By periods since treatment.

        Examples
        --------
        >>> df.causal.did(outcome="lemp", unit="county", time="year", cohort="first")  # doctest: +SKIP
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
        """How does the effect of a policy unfold? One row per period since treatment.

        Periods before and after are compared with one base period.

        Parameters
        ----------
        outcome : column name
            A number in every row.
        time : column name or array-like
            The period: numbers, dates or periods.
        unit : column name or array-like, optional
            Who is seen in several periods; without it rows are a repeated cross-section.
        cohort : column name or array-like, optional
            First treated period of each unit, the same in all of its rows; missing, 0 or infinite: never. Or
            `treatment`.
        treatment : column name or array-like, optional
            1 in treated rows, in place of `cohort`.
        covariates : list of columns, optional
            Trends are parallel given these.
        estimator : str, class or estimator
            One of "callaway_santanna", "imputation", "sun_abraham", "stacked", "random_timing": those of :meth:`did`
            that have effects by event time.
        control_group : {"never_treated", "not_yet_treated"}, optional
            Units compared with; the estimator's own by default.
        anticipation : int, optional
            Periods before treatment in which units may react already.
        base_period : {"varying", "universal"}, optional
            What periods before treatment are compared with: each with the one before it, or all with the last.
        cluster : column name or array-like, optional
            Coarser than units, which are clusters already.
        sample_weight : column name or array-like, optional
            How many rows of the population each row stands for, up to a factor.
        level : float, optional
            Of the intervals; the estimator's own by default.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.
        random_state : int, optional
            Seed of what is drawn at random; the estimator's own by default.

        Returns
        -------
        Effect
            One row per event time; ``plot()`` draws them.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        did : The average.
        CallawaySantAnna : The default.

        Examples
        --------
        >>> df.causal.event_study(outcome="lemp", unit="county", time="year", cohort="first").plot()  # doctest: +SKIP
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
