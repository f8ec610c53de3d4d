"""Questions about who benefits: effects for every row, scores of rows, uplift of a ranking, value of a policy."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.accessor.base import Questions, names, need_treatment
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inputs.types import RoleLike

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
        """Effect for every row, given its covariates, by a learner: "dr", "r", "x", "t", "s", "dml" or an instance.

        Example: ``tau = df.causal.cate(treatment="t", outcome="y", covariates=["age", "income"])``; see
        :class:`DRLearner` and :class:`LinearDML`. ``tau.table`` has one row per row of the frame, with its index;
        ``tau.aggregate()`` and ``tau.aggregate(by=df["region"])`` are averages with standard errors; rows have theirs
        with "dml" and with ``DRLearner(final_model="linear")``. ``tau.estimator`` predicts for new rows.

        Parameters
        ----------
        treatment : column name or array-like
            Arms; with "dml" a number too.
        outcome : column name
        covariates : list of columns
            What is adjusted for, and, unless `effect_modifiers` says less, what effects may vary with.
        formula : str, optional
            Right-hand side that makes the covariates, in their place.
        learner : {"dr", "r", "x", "t", "s", "dml"} or estimator
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
