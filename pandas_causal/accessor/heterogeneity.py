"""Questions about who benefits: effects for every row, scores of rows, uplift of a ranking, value of a policy."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.accessor.base import Questions, names, need_treatment
from pandas_causal.effect.check import Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inputs.parameters import check_settings
from pandas_causal.inputs.types import Model, RoleLike

if TYPE_CHECKING:
    from pandas_causal.estimator import CausalEstimator

__all__ = ["HeterogeneityQuestions"]


class HeterogeneityQuestions(Questions):
    """Who benefits, and whom to treat."""

    def cate(
        self,
        *,
        treatment: RoleLike = None,
        outcome: Hashable = None,
        covariates: Sequence[Any] | None = None,
        formula: str | None = None,
        learner: CausalEstimator | str = "dr",
        effect_modifiers: Sequence[Any] | None = None,
        arm: Any = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        control: Hashable = None,
        level: float | None = None,
        missing: str = "raise",
    ) -> Effect:
        """Effect for every row, given its covariates, by a learner: "dr", "r", "x", "t", "s", "dml", "forest" or yours.

        Example: ``tau = df.causal.cate(treatment="t", outcome="y", covariates=["age", "income"])``; see
        :class:`DRLearner`, :class:`LinearDML` and :class:`CausalForest`. ``tau.table`` has one row per row of the
        frame, with its index;
        ``tau.aggregate()`` and ``tau.aggregate(by=df["region"])`` are averages with standard errors; rows have theirs
        with "dml", "forest" and ``DRLearner(final_model="linear")``. ``tau.estimator`` predicts for new rows.

        Parameters
        ----------
        treatment : column name or array-like
            Arms; with "dml" and "forest" a number too.
        outcome : column name
        covariates : list of columns
            What is adjusted for, and, unless `effect_modifiers` says less, what effects may vary with.
        formula : str, optional
            Right-hand side that makes the covariates, in their place.
        learner : {"dr", "r", "x", "t", "s", "dml", "forest"} or estimator
        effect_modifiers : list of columns, optional
        arm : level or name, optional
            Which arm to compare with the control, where there are several.
        cluster, sample_weight, propensity : column name or array-like, optional
        control : level, optional
        level : float, optional
            Of the intervals.
        missing : {"raise", "drop"}

        Returns
        -------
        Effect

        Raises
        ------
        CausalDataError, CausalArgumentError
            For columns that are not there, data that cannot answer, and wrong settings.
        """
        from pandas_causal.estimator import choose

        if formula is not None:
            covariates = self._of_formula(formula, covariates, treatment=treatment, outcome=outcome)
        if covariates is None:
            raise CausalArgumentError(
                "cate needs covariates=, a list of columns that effects may vary with, or formula="
            )
        need_treatment("cate", treatment)
        settings = {"effect_modifiers": effect_modifiers, "control": control, "formula": formula}
        fitted, X = self._fitted(
            choose("cate", learner, settings), treatment=treatment, outcome=outcome, covariates=names(covariates),
            missing=missing, cluster=cluster, sample_weight=sample_weight, propensity=propensity,
        )  # fmt: skip
        if not hasattr(fitted, "predict"):
            raise CausalArgumentError(
                f"{type(fitted).__name__} estimates an average and has no effect for every row; use learner='dr', 'dml'"
            )
        effect: Effect = fitted.effect(
            X if fitted.used_.all() else X[fitted.used_], **({} if arm is None else {"arm": arm})
        )
        return effect if level is None or level == effect.level else replace(effect, level=level)

    def scores(
        self,
        *,
        treatment: RoleLike = None,
        outcome: Hashable = None,
        covariates: Sequence[Any] | None = None,
        outcome_model: Model | None = None,
        propensity_model: Model | None = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        control: Hashable = None,
        missing: str = "raise",
    ) -> pd.DataFrame:
        """Doubly robust scores: for every row and arm what its outcome would be, on average over rows like it.

        Example: ``scores = df.causal.scores(treatment="t", outcome="y", covariates=["age"])``; a column per arm, the
        control first. ``PolicyTree().fit(X, scores)`` learns from them, ``metrics.rate(scores[1] - scores[0], rank)``
        judges a ranking. Nuisances are cross-fitted; see :class:`DRLearner`.

        Parameters
        ----------
        treatment, outcome : column names
        covariates : list of columns
            ``[]`` for an experiment without covariates.
        outcome_model, propensity_model : names or scikit-learn models, optional
        cluster, sample_weight, propensity : column name or array-like, optional
        control : level, optional
        missing : {"raise", "drop"}

        Returns
        -------
        DataFrame (n, K)
        """
        learner = self._scored(
            "scores", treatment, outcome, covariates, outcome_model, propensity_model, control, missing=missing,
            cluster=cluster, sample_weight=sample_weight, propensity=propensity,
        )  # fmt: skip
        columns = pd.Index(list(learner.arms_), name=learner.treatment_name_)
        return pd.DataFrame(learner.scores_, index=self._frame.index[learner.used_], columns=columns)

    def uplift(
        self,
        *,
        treatment: RoleLike = None,
        outcome: Hashable = None,
        score: Hashable | list[Any] = None,
        covariates: Sequence[Any] | None = (),
        outcome_model: Model | None = None,
        propensity_model: Model | None = None,
        arm: Any = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        control: Hashable = None,
        level: float = 0.95,
        random_state: int | None = 0,
        missing: str = "raise",
    ) -> Effect:
        """Judge a ranking of rows (a model's score) by what treating them in its order gains: AUTOC and Qini.

        Example: ``df.causal.uplift(treatment="t", outcome="y", score="model_score")`` of a randomised experiment; of
        observed data give `covariates`, and `propensity` where it is known. See :func:`metrics.rate`;
        ``effect.plot("toc")``, ``"qini"`` and ``"gain"`` draw the curves with their bands. The score must have been
        learned on other rows: on its own it looks better than it is.

        Parameters
        ----------
        treatment, outcome : column names
        score : column name, or list of them
            Several rankings are judged together, so that ``difference`` compares them on the same rows.
        covariates : list of columns
            Adjusted for by doubly robust scores; none by default, as in a randomised experiment.
        outcome_model, propensity_model : names or scikit-learn models, optional
        arm : level, optional
            Which arm to compare with the control, where there are several.
        cluster, sample_weight, propensity : column name or array-like, optional
        control : level, optional
        level : float
        random_state : int or None
            Of the bands.
        missing : {"raise", "drop"}

        Returns
        -------
        Effect
            Rows AUTOC and Qini, by score where there are several.
        """
        from pandas_causal.heterogeneity.ranking import rate

        wanted = list(score) if isinstance(score, list) else [score]
        if score is None or not wanted:
            raise CausalArgumentError("uplift needs score=, the name of a column that ranks rows, highest first")
        absent = [name for name in wanted if not self._is_column(name)]
        if absent:
            raise CausalArgumentError(f"score={absent[0]!r} is no column of the frame")
        check_settings({"level": level, "random_state": random_state})
        learner = self._scored(
            "uplift", treatment, outcome, covariates, outcome_model, propensity_model, control, missing=missing,
            cluster=cluster, sample_weight=sample_weight, propensity=propensity,
        )  # fmt: skip
        sizes = list(learner.arms_[1:])
        if (arm is None and len(sizes) > 1) or (arm is not None and arm not in sizes):
            raise CausalArgumentError(f"arm={arm!r}: name the arm to compare with {learner.arms_[0]!r}, one of {sizes}")
        column = 1 if arm is None else 1 + sizes.index(arm)
        index = self._frame.index[learner.used_]
        gamma = pd.Series(learner.scores_[:, column] - learner.scores_[:, 0], index=index)
        ranked = self._frame.loc[:, wanted][learner.used_]
        found = rate(gamma, ranked, sample_weight=learner.sample_weights, level=level, random_state=random_state)
        by = learner.sample_clusters
        if by:
            found = found.cluster(list(by))
        contrast = f"{learner.treatment_name_} ({learner.arms_[column]} - {learner.arms_[0]})"
        return replace(
            found,
            estimand=found.estimand.replace("effects:", f"effects of {contrast} on {outcome}:", 1),
            diagnostics=Checks(
                {
                    **{name: partial(found.diagnostics.__getitem__, name) for name in found.diagnostics},
                    **{name: learner.effect_.diagnostics[name] for name in ("overlap", "nuisance")},
                }
            ),
            warnings=(*found.warnings, *learner.effect_.warnings),
            assumptions=(*found.assumptions[:1], *learner.effect_.assumptions),
            facts=learner.effect_.facts,
        )

    def dose(
        self,
        *,
        treatment: RoleLike = None,
        outcome: Hashable = None,
        covariates: Sequence[Any] | None = None,
        points: Any = None,
        bandwidth: str | float | None = None,
        outcome_model: Model | None = None,
        treatment_model: Model | None = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        level: float | None = None,
        missing: str = "raise",
    ) -> Effect:
        """Mean outcome if everybody received so much of a treatment that is a number: a curve with a uniform band.

        Example: ``df.causal.dose(treatment="price", outcome="sales", covariates=["region"]).plot()``; see
        :class:`DoseResponse`. ``effect.interval(simultaneous=True)`` is the band, ``effect.estimator.derivative()``
        what one more unit does.

        Parameters
        ----------
        treatment, outcome : column names
        covariates : list of columns
        points : list of numbers, optional
            Doses of the curve.
        bandwidth : "rule" or float, optional
        outcome_model, treatment_model : names or scikit-learn models, optional
        cluster, sample_weight : column name or array-like, optional
        level : float, optional
        missing : {"raise", "drop"}

        Returns
        -------
        Effect
            A row per dose.
        """
        from pandas_causal.estimator import with_settings
        from pandas_causal.heterogeneity.dose import DoseResponse

        if covariates is None:
            raise CausalArgumentError("dose adjusts for covariates: give a list of columns; covariates=[] says none")
        need_treatment("dose", treatment)
        settings = {
            "points": points, "bandwidth": bandwidth, "outcome_model": outcome_model,
            "treatment_model": treatment_model,
        }  # fmt: skip
        return self._fit(
            with_settings(DoseResponse(), settings), treatment=treatment, outcome=outcome,
            covariates=names(covariates), level=level, missing=missing, cluster=cluster, sample_weight=sample_weight,
        )  # fmt: skip

    def quantiles(
        self,
        *,
        treatment: RoleLike = None,
        outcome: Hashable = None,
        covariates: Sequence[Any] | None = None,
        quantiles: Any = None,
        estimand: str | None = None,
        outcome_model: Model | None = None,
        propensity_model: Model | None = None,
        instrument: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        control: Hashable = None,
        level: float | None = None,
        missing: str = "raise",
    ) -> Effect:
        """What treatment does to the quantiles of the outcome: low, middle and high outcomes, apart.

        Example: ``df.causal.quantiles(treatment="t", outcome="wage", covariates=["age"]).plot()``; see
        :class:`QuantileEffects`. ``effect.parameters`` holds the quantiles by arm,
        ``effect.interval(simultaneous=True)`` the band over all of them. With an instrument it speaks of those whom
        that moves: :class:`LocalQuantileEffects`.

        Parameters
        ----------
        treatment, outcome : column names
        covariates : list of columns
            ``[]`` for an experiment without covariates.
        quantiles : list of numbers, optional
            Between 0 and 1.
        estimand : {"ATE", "ATT", "ATC"}, optional
        outcome_model, propensity_model : names or scikit-learn classifiers, optional
            With an instrument `propensity_model` is of the instrument.
        instrument : column name or array-like, optional
            Of two levels: quantiles of those whose treatment it moves.
        cluster, sample_weight, propensity : column name or array-like, optional
        control : level, optional
        level : float, optional
        missing : {"raise", "drop"}

        Returns
        -------
        Effect
            A row per quantile, and contrast where there are several arms.
        """
        from pandas_causal.estimator import with_settings
        from pandas_causal.heterogeneity.quantiles import QuantileEffects

        if covariates is None:
            raise CausalArgumentError(
                "quantiles adjusts for covariates: give a list of columns; covariates=[] says none"
            )
        need_treatment("quantiles", treatment)
        settings = {"quantiles": quantiles, "outcome_model": outcome_model, "control": control}
        if instrument is not None:
            from pandas_causal.heterogeneity.local_quantiles import LocalQuantileEffects

            if estimand is not None or propensity is not None:
                raise CausalArgumentError(
                    "with an instrument, quantiles are those of the rows that it moves: leave out estimand= and"
                    " propensity="
                )
            local = with_settings(LocalQuantileEffects(), {**settings, "instrument_model": propensity_model})
            return self._fit(
                local, treatment=treatment, outcome=outcome, covariates=names(covariates), level=level,
                missing=missing, instrument=instrument, cluster=cluster, sample_weight=sample_weight,
            )  # fmt: skip
        settings |= {"estimand": estimand, "propensity_model": propensity_model}
        return self._fit(
            with_settings(QuantileEffects(), settings), treatment=treatment, outcome=outcome,
            covariates=names(covariates), level=level, missing=missing, cluster=cluster,
            sample_weight=sample_weight, propensity=propensity,
        )  # fmt: skip

    def policy_value(
        self,
        policy: Any,
        *,
        treatment: RoleLike = None,
        outcome: Hashable = None,
        covariates: Sequence[Any] | None = None,
        outcome_model: Model | None = None,
        propensity_model: Model | None = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        control: Hashable = None,
        level: float = 0.95,
        missing: str = "raise",
    ) -> Effect:
        """Mean outcome under a policy, or under several on the same rows, beside giving everybody one arm.

        Example: ``df.causal.policy_value(PolicyTree(depth=2), treatment="t", outcome="y", covariates=["age"])``. An
        unfitted :class:`PolicyTree` is learned from the other folds of each row; a fitted one must have been learned
        from other rows. ``value["policy"].difference(value["all 0"])`` is what a policy gains.

        Parameters
        ----------
        policy : PolicyTree, callable, arms of the rows, one arm, or a dict of them by name
            A callable is given the frame and returns arms.
        treatment, outcome : column names
        covariates : list of columns
            Adjusted for; an unfitted tree looks at them.
        outcome_model, propensity_model : names or scikit-learn models, optional
        cluster, sample_weight, propensity : column name or array-like, optional
        control : level, optional
        level : float
        missing : {"raise", "drop"}

        Returns
        -------
        Effect
            A row per policy, and one per arm for everybody.
        """
        from pandas_causal.heterogeneity.policy import PolicyTree, policy_arms, policy_values, value_effect

        check_settings({"level": level})
        policies = dict(policy) if isinstance(policy, dict) else {"policy": policy}
        learner = self._scored(
            "policy_value", treatment, outcome, covariates, outcome_model, propensity_model, control, missing=missing,
            cluster=cluster, sample_weight=sample_weight, propensity=propensity,
        )  # fmt: skip
        frame = self._frame[learner.used_]
        given, fresh = {}, False
        for name, one in policies.items():
            unfitted = isinstance(one, PolicyTree) and not hasattr(one, "tree_")
            looked_at = frame[names(covariates)] if unfitted else frame
            given[name] = policy_arms(one, looked_at, learner.arms_, learner.scores_, learner.folds_)
            fresh = fresh or unfitted
        rows, u = policy_values(learner.scores_, given, learner.arms_, learner.row_identity, learner.sample_weights)
        if learner.sample_clusters:
            rows = replace(rows, uncertainty=u.cluster(learner.sample_clusters))
        return replace(value_effect(rows, learner.effect_, str(outcome), fresh), level=level)

    def _scored(
        self,
        question: str,
        treatment: RoleLike,
        outcome: Hashable,
        covariates: Sequence[Any] | None,
        outcome_model: Model | None,
        propensity_model: Model | None,
        control: Hashable,
        **roles: Any,
    ) -> Any:
        """A learner whose scores are wanted, not its effects."""
        from pandas_causal.estimator import with_settings
        from pandas_causal.heterogeneity.meta_learners import DRLearner

        if covariates is None:
            raise CausalArgumentError(
                f"{question} adjusts for covariates, and none were given; covariates=[] says none on purpose, as in a"
                " randomised experiment"
            )
        need_treatment(question, treatment)
        settings = {"outcome_model": outcome_model, "propensity_model": propensity_model, "control": control}
        learner = with_settings(DRLearner(final_model="linear", effect_modifiers=[]), settings)
        return self._fitted(learner, treatment=treatment, outcome=outcome, covariates=names(covariates), **roles)[0]

    def _fitted(
        self,
        estimator: Any,
        *,
        treatment: RoleLike,
        outcome: Hashable,
        covariates: list[Any],
        missing: str = "raise",
        **roles: Any,
    ) -> tuple[Any, pd.DataFrame]:
        """A fitted clone, and the columns it was fitted to."""
        from inspect import signature

        from sklearn.base import clone

        if outcome is None:
            raise CausalArgumentError("outcome= needs the name of a column")
        if isinstance(outcome, list):
            raise CausalArgumentError("effects for every row are of one outcome; ask for one at a time")
        named = {k: v for k, v in roles.items() if v is not None}
        legal = signature(estimator.fit).parameters
        unknown = [role for role in named if role not in legal]
        if unknown:
            raise CausalArgumentError(f"{type(estimator).__name__} has no role {unknown[0]!r}")
        X = self._select(treatment=treatment, covariates=covariates, outcome=outcome, **named)
        fitted = clone(estimator).fit(X, self._frame[outcome], treatment=treatment, missing=missing, **named)
        return fitted, X
