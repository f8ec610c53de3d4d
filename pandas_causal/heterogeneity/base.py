"""What estimators of conditional effects share: effects for rows, averages of the fitted rows, nested models."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.base import ArmComparison
from pandas_causal.arms.estimands import EstimandPlan, plan_estimand
from pandas_causal.arms.sample import Sample
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates, Weighting
from pandas_causal.errors import CausalArgumentError, CausalDataError, suggest
from pandas_causal.estimator import refuse_outcome_scorer
from pandas_causal.heterogeneity.nuisances import NuisanceModels
from pandas_causal.heterogeneity.several_outcomes import of_outcome
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.column_rules import as_float
from pandas_causal.inputs.parameters import Legal, check_settings
from pandas_causal.inputs.roles import as_frame, resolve
from pandas_causal.inputs.treatments import read_numbers
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats, Positions
from pandas_causal.models.training_rows import TrainingRows

__all__ = ["MODIFIERS", "ConditionalEffects", "modifier_columns", "plan_of"]

MODIFIERS: Legal = Legal(
    lambda value: value is None or (isinstance(value, list | tuple) and not isinstance(value, str)),
    "None (all covariates) or a list of covariates",
)


def plan_of(sample: Sample) -> EstimandPlan:
    """A row for every contrast of arms, or for every treatment that is a number, each a parameter of its own."""
    if isinstance(sample.treated, Arms):
        index = plan_estimand("ATE", sample.arms, sample.treatment).index
    else:
        index = pd.Index(list(sample.numbers.names), name="treatment" if len(sample.numbers) > 1 else sample.treatment)
    return EstimandPlan("ATE", (), np.eye(len(index)), index, index)


def modifier_columns(sample: Sample, modifiers: Sequence[Any] | None, setting: str = "effect_modifiers") -> Positions:
    """Columns of the encoded matrix that effects may vary with; None: all. `setting` names them in messages.

    Raises
    ------
    CausalArgumentError
        For a name that is no covariate, or what is no list of names.
    """
    check_settings({setting: modifiers}, {setting: MODIFIERS})
    if modifiers is None:
        return np.arange(sample.X.shape[1])
    out: list[int] = []
    for name in modifiers:
        at = sample.encoder.positions(name)
        if at is None:
            known = sample.encoder.names
            raise CausalArgumentError(
                f"{setting}={list(modifiers)!r}: {name!r} is no covariate{suggest(name, known)}; covariates:"
                f" {known[:8]}{'...' if len(known) > 8 else ''}"
            )
        out += at
    return np.array(list(dict.fromkeys(out)), dtype=np.intp)


class ConditionalEffects(ArmComparison):
    """Base of estimators of an effect for every row.

    A subclass's ``fit`` stores ``effect_`` (the average) and ``_sample``, and writes :meth:`_predicted` and, where its
    effects have standard errors, :meth:`_rows`.
    """

    _sample: Sample
    nested: ClassVar[dict[str, str]] = {}  # setting -> the model that a name stands for when its parameters are set

    # -- effects -----------------------------------------------------------------------------------------------------

    def effect(self, X: Covariates = None, arm: Any = None, outcome: Hashable = None) -> Effect:
        """Return the average effect, or, given X, the effect for every row of X.

        Parameters
        ----------
        X : DataFrame or array-like (m, p), optional
            Covariates; role columns in it are ignored.
        arm : level or name, optional
            Which arm to compare with the control, or which treatment, where there are several.
        outcome : name, optional
            Which outcome, where the fit was given several.

        Returns
        -------
        Effect
            Given X, one row per row of X, with its index.
        """
        check_is_fitted(self, "effect_")
        if X is None:
            return super().effect()
        fits = getattr(self, "fits_", None)
        if fits is not None:
            return of_outcome(fits, outcome, X, arm)
        j, sample = self._position(arm), self._sample
        frame = self.new_covariates(X)
        Z = self.encoder_.transform(frame)
        same = len(Z) == len(sample) and frame.index.equals(sample.inputs.index) and _equal(Z, sample.X)
        u = self._rows(j, Z)
        reason = ""
        if u is None:
            reason = self._no_errors()
            nothing = np.zeros((len(Z), 1))
            blank = Influence(np.zeros(1), pd.Index(["effects"]), nothing, (Component(np.full((1, 1), np.nan)),))
            u, estimates = blank.without_contributions(reason), self._predicted_of(frame, Z)[:, j]
        else:
            estimates = u.loadings @ u.values
        averages = self._averages(j) if same else None
        effect = Effect(
            rows=Estimates(
                pd.Series(estimates, index=frame.index, name="estimate"),
                u,
                units=sample.rows if same else RowIdentity(frame.index, Z.sum(axis=1) if len(Z) else None),
                weightings={"population": Weighting(sample.w)} if same and sample.w is not None else {},
            ),
            estimand=f"effect of {self._contrast(j)} on {sample.outcome}, given covariates",
            n_obs=len(sample),
            assumptions=(*self.effect_.assumptions, *self._shape()),
            diagnostics=self.effect_.diagnostics,
            warnings=(*self.effect_.warnings, *([reason] if reason else [])),
            std_error_method=self._error_method() if not reason else "none for single rows",
            estimator=self,
            facts={**self.effect_.facts, "effects_of_rows": True},
            averages=averages,
        )
        return effect.explained()

    def predict(self, X: Covariates) -> Floats:
        """Effects for every row of X (m,), or (m, d) with several arms or treatments, outcome after outcome."""
        check_is_fitted(self, "effect_")
        refuse_outcome_scorer(self)
        fits = getattr(self, "fits_", None)
        if fits is not None:
            return np.column_stack([fit.predict(X) for fit in fits.values()])
        frame = self.new_covariates(X)
        out = self._predicted_of(frame, self.encoder_.transform(frame))
        return np.asarray(out[:, 0] if out.shape[1] == 1 else out)

    def held_out_rows(
        self, X: Covariates, y: Outcome, treatment: RoleLike, sample_weight: RoleLike
    ) -> tuple[TrainingRows, Floats | None, pd.Index]:
        """Validated held-out rows, treatments (m, d) where they are numbers, and labels."""
        index = as_frame(X)[0].index
        levels = self.encoder_.for_learners
        columns = self.encoder_.names if hasattr(self, "feature_names_in_") else None
        if isinstance(self._sample.treated, Arms):
            held = self.held_out(X, y, treatment, sample_weight)
            w = None if held.w is None else held.w / held.w.mean()
            rows = TrainingRows(held.X, held.codes, len(self.arms_), held.y, w, columns, None, levels)
            return rows, None, index
        treatment = self._held_out_treatments(X) if treatment is None else treatment
        inputs = resolve(X, y, {"treatment": treatment, "sample_weight": sample_weight})
        problems = inputs.held_out_problems()
        if problems:
            raise CausalDataError(problems)
        D = read_numbers(inputs.roles["treatment"]).values
        weight = inputs.roles.get("sample_weight")
        Z = self.encoder_.transform(self.new_covariates(X))
        w = None if weight is None else as_float(weight) / as_float(weight).mean()
        none = np.zeros(len(Z), dtype=np.int8)
        outcome = np.empty(0) if inputs.outcome is None else as_float(inputs.outcome)
        return TrainingRows(Z, none, 1, outcome, w, columns, None, levels), D, index

    def _held_out_treatments(self, X: Covariates) -> Any:
        names = self._taken.get("treatment")
        if names is None or len(names) == 1:
            return self._held_out_treatment(X)
        return list(names)

    # -- settings ----------------------------------------------------------------------------------------------------

    def set_params(self, **params: Any) -> Self:
        """Set parameters; those of a model that is still a name are set on the model that the name stands for.

        ``final_model__max_depth=2`` on ``final_model="boosting"`` (or on "auto") makes it a gradient boosting model.
        """
        from pandas_causal.models.cross_fitting import make_model

        for key in params:
            setting, nested, _ = key.partition("__")
            if nested and setting in self.nested and setting not in params:
                value = getattr(self, setting)
                if isinstance(value, str):
                    name = self.nested[setting] if value == "auto" else value
                    made = make_model(name, classify=setting == "propensity_model", random_state=None)
                    setattr(self, setting, made)
        return super().set_params(**params)

    # -- for subclasses ----------------------------------------------------------------------------------------------

    def _predicted(self, X: Floats) -> Floats:
        """Effects (m, d) at encoded rows."""
        raise NotImplementedError

    def _predicted_of(self, frame: pd.DataFrame, X: Floats) -> Floats:
        """Effects (m, d) of rows of covariates, which are given encoded as well."""
        return self._predicted(X)

    def _rows(self, j: int, X: Floats) -> Influence | None:
        """Effects of one contrast at encoded rows with their uncertainty; None where there is none."""
        return None

    def _averages(self, j: int) -> Effect | None:
        """Scores of the fitted rows whose averages have standard errors; None where the effects' own have."""
        return None

    def _no_errors(self) -> str:
        return (
            f"{type(self).__name__} has no standard errors for single rows with these models: averages over groups have"
            " (aggregate), LinearDML and DRLearner(final_model='linear') have; bootstrap(..., at=rows) tells how refits"
            " vary"
        )

    def _error_method(self) -> str:
        return "clustered (CR1)" if self._sample.cluster else "HC1, cross-fitted, normal law"

    def _shape(self) -> tuple[str, ...]:
        """What is assumed of how effects vary."""
        return ()

    def _models(self, outcome: Model, treatment: Model, rng: np.random.Generator, setting: str) -> NuisanceModels:
        """The nuisances' models, with a seed of their own."""
        params = self.get_params(deep=False)
        return NuisanceModels(
            outcome, treatment, params.get("clip", 0.01), int(rng.integers(2**31 - 1)), params.get("n_jobs"),
            params.get("memory"), setting,
        )  # fmt: skip

    def _contrast(self, j: int) -> str:
        sample = self._sample
        if isinstance(sample.treated, Arms):
            return f"{sample.treatment} ({sample.arms.contrasts[j]})"
        return sample.numbers.names[j]

    def _position(self, arm: Any) -> int:
        """Which contrast, or treatment, is meant."""
        treated = self._sample.treated
        known = list(treated.levels[1:]) if isinstance(treated, Arms) else list(treated.names)
        if arm is None and len(known) == 1:
            return 0
        if not pd.api.types.is_hashable(arm) or arm not in known:
            against = f" to compare with {treated.levels[0]!r}" if isinstance(treated, Arms) else ""
            raise CausalArgumentError(f"arm={arm!r}: name the one{against}, one of {known}")
        return known.index(arm)


def _equal(A: Floats, B: Floats) -> bool:
    """Whether two matrices are equal; the same memory needs no look."""
    where = [(M.__array_interface__["data"], M.strides, M.shape) for M in (A, B)]
    return where[0] == where[1] or np.array_equal(A, B)


def row_scores(sample: Sample, scores: Floats, like: Effect, name: str) -> Effect:
    """Scores (n,) of the fitted rows as an effect whose averages carry their sampling, and nothing else."""
    nothing = Influence.from_contributions(
        np.zeros(1), np.zeros((len(sample), 1)), sample.rows, loadings=np.zeros((len(sample), 1)),
        clusters=sample.clusters,
    )  # fmt: skip
    if sample.cluster:
        nothing = nothing.cluster(sample.cluster)
    rows = Estimates(
        pd.Series(scores, index=sample.inputs.index, name="estimate"),
        nothing,
        units=sample.rows,
        weightings={} if sample.w is None else {"population": Weighting(sample.w)},
    )
    return replace(like, rows=rows, estimand=name, std_error_method="doubly robust scores, normal law", averages=None)
