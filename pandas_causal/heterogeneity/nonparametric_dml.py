"""Double machine learning with effects of any shape: a weighted regression, or kernels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.sample import Sample
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError
from pandas_causal.heterogeneity.base import MODIFIERS, ConditionalEffects, modifier_columns, plan_of, row_scores
from pandas_causal.heterogeneity.double_ml import split_residuals, training_rows, treatment_checks, unconfounded
from pandas_causal.heterogeneity.final_models import Regressions, fit_final
from pandas_causal.heterogeneity.kernel_features import KernelRidge
from pandas_causal.heterogeneity.nuisances import NuisanceModels, Residuals
from pandas_causal.heterogeneity.projection import EffectBasis, LinearEffects, fit_on_basis
from pandas_causal.heterogeneity.scoring import r_score_of
from pandas_causal.inference.influence import Influence
from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.parameters import SHARE, Legal, at_least, number
from pandas_causal.inputs.treatments import Takes
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats, Positions
from pandas_causal.models.many_targets import fit_targets
from pandas_causal.models.training_rows import TrainingRows

__all__ = ["KernelDML", "NonparametricDML", "partially_linear_scores"]

_LEAST_VARIANCE = 0.05  # of a treatment given the covariates, as a share of its mean
_ANY_SHAPE = "effects vary with the effect modifiers in any way that the final model can follow"


def partially_linear_scores(y: Floats, d: Floats, tau: Floats, variance: Floats) -> Floats:
    """Scores (n,) whose mean is the average effect: ``tau + d (y - tau d) / variance``, of residuals.

    Right to first order whatever the effects predicted, if these are of rows they were not learned from.

    Parameters
    ----------
    y, d : ndarray (n,)
        Outcome and treatment less their means given the covariates.
    tau : ndarray (n,)
    variance : ndarray (n,)
        Of the treatment given the covariates.

    References
    ----------
    Hirshberg and Wager (2021), "Augmented minimax linear estimation", Annals of Statistics 49, eq. (5).
    """
    return np.asarray(tau + d * (y - tau * d) / variance)


class NonparametricDML(ConditionalEffects):
    r"""Effects of any shape by double machine learning: residuals on residuals by a model that takes weights.

    :math:`Y = \theta(X) D + g(X) + \varepsilon`: minimises
    :math:`\sum_i (\tilde y_i - \tilde d_i \theta(x_i))^2` over models :math:`\theta`, a regression of ``y / d`` with
    weights ``d^2``. It is the :class:`RLearner` for a treatment that may be a number. Effects of single rows have no
    standard error; averages over groups have.

    Parameters
    ----------
    outcome_model, treatment_model, cv, clip, control, formula, random_state, n_jobs, memory
        As in :class:`LinearDML`.
    final_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn regressor that takes ``sample_weight``
        Of the effect. With "linear" it is :class:`LinearDML`.
    effect_modifiers : list of covariates, optional
        What the effect may vary with; all covariates by default.

    Attributes
    ----------
    effect_ : Effect
        Average over the fitted rows, by scores of effects out of fold.
    scores_ : ndarray (n,)
    folds_ : ndarray (n,)
    residuals_ : ndarray (n, 2)

    References
    ----------
    Nie and Wager (2021), Biometrika 108, eq. (4); Foster and Syrgkanis (2023), "Orthogonal statistical learning",
    Annals of Statistics 51; averages: Hirshberg and Wager (2021), Annals of Statistics 49.
    """

    treatments: ClassVar[Takes] = "either"
    single_contrast: ClassVar[bool] = True
    legal: ClassVar[Mapping[str, Legal]] = {"clip": SHARE, "effect_modifiers": MODIFIERS}
    nested: ClassVar[dict[str, str]] = {"final_model": "boosting"}
    final_model: Model

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        treatment_model: Model = "auto",
        final_model: Model = "auto",
        effect_modifiers: Sequence[Any] | None = None,
        cv: object = 5,
        clip: float = 0.01,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
        memory: Any = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.final_model = final_model
        self.effect_modifiers = effect_modifiers
        self.cv = cv
        self.clip = clip
        self.control = control
        self.formula = formula
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.memory = memory

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        treatment: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit; the parameters are those of :meth:`DoubleML.fit`, of one contrast or one number."""
        sample = self.prepare(
            X, y, treatment=treatment, missing=missing, control=self.control, cluster=cluster,
            sample_weight=sample_weight, propensity=propensity,
        )  # fmt: skip
        plan, rng = plan_of(sample), np.random.default_rng(self.random_state)
        if len(plan.index) != 1:
            raise CausalArgumentError(
                f"{type(self).__name__} takes one contrast of a treatment, and {len(plan.index)} were given; use"
                " LinearDML, or RLearner for several arms"
            )
        rest = split_residuals(self, sample, rng)
        seed = int(rng.integers(2**31 - 1))
        at = modifier_columns(sample, self.effect_modifiers)
        step = _LastStep(sample, training_rows(sample), rest, at, self._final(), seed, self.n_jobs)
        self._effects = step.on(np.arange(len(sample)), whole=True)
        held = np.empty(len(sample))
        for fold in np.unique(rest.folds):
            own = np.flatnonzero(rest.folds == fold)
            held[own] = step.on(np.flatnonzero(rest.folds != fold)).predict(sample.X[own])[:, 0]
        variance = self._variance(sample, rest, seed)
        self.scores_ = partially_linear_scores(rest.y, rest.D[:, 0], held, variance)
        self._sample, self.folds_ = sample, rest.folds
        self.residuals_ = np.column_stack([rest.y, rest.D])
        w = np.ones(len(sample)) if sample.w is None else sample.w
        mean = np.array([w @ self.scores_ / w.sum()])
        checks, warned = treatment_checks(self, sample, rest)
        self.effect_ = self.finish(
            sample, plan, mean, (w * (self.scores_ - mean) / w.sum())[:, None],
            estimand=f"average effect of {sample.treatment} on {sample.outcome}",
            std_error_method=f"influence function, cross-fitted in {int(rest.folds.max()) + 1} folds, normal law",
            diagnostics=checks,
            warned=warned,
            assumptions=unconfounded(sample, _ANY_SHAPE),
        )  # fmt: skip
        return self

    def score(self, X: Covariates, y: Outcome, treatment: RoleLike = None, sample_weight: RoleLike = None) -> float:
        """Held-out R-score, as :meth:`LinearDML.score`."""
        check_is_fitted(self, "effect_")
        return r_score_of(self, X, y, treatment, sample_weight)

    def _final(self) -> Model:
        """Model of the effect."""
        return self.final_model

    def _variance(self, sample: Sample, rest: Residuals, seed: int) -> Floats:
        """Variance of the treatment given the covariates (n,), away from 0."""
        if rest.e is not None and isinstance(sample.treated, Arms):
            return np.asarray(rest.e[:, 1] * (1 - rest.e[:, 1]))
        square = np.square(rest.D)
        if not sample.X.shape[1]:
            return np.full(len(square), float(np.average(square[:, 0], weights=sample.w)))
        rows = replace(training_rows(sample, self.treatment_model), arms=np.zeros(len(sample), dtype=np.int8), n_arms=1)
        fit = fit_targets(
            rows, square, rest.folds, sample.inputs.index, names=[f"variance of {sample.treatment}"],
            models=[self.treatment_model if not hasattr(self.treatment_model, "predict_proba") else "ridge"],
            setting_names=["treatment_model"], random_state=seed, n_jobs=self.n_jobs,
        )  # fmt: skip
        return np.maximum(fit.predictions[:, 0], _LEAST_VARIANCE * float(square.mean()))

    def _predicted(self, X: Floats) -> Floats:
        return self._effects.predict(X)

    def _rows(self, j: int, X: Floats) -> Influence | None:
        return self._effects.of_treatment(j, X) if isinstance(self._effects, LinearEffects) else None

    def _averages(self, j: int) -> Effect | None:
        if isinstance(self._effects, LinearEffects):
            return None
        return row_scores(self._sample, self.scores_, self.effect_, self.effect_.estimand)


@dataclass(frozen=True, eq=False)
class _LastStep:
    """What the effect is learned from, and by what."""

    sample: Sample
    rows: TrainingRows
    rest: Residuals
    columns: Positions
    model: Model
    seed: int
    n_jobs: int | None

    def on(self, at: Positions, whole: bool = False) -> LinearEffects | Regressions:
        """Effects learned from the rows at some positions; linear ones have errors where they are of the whole."""
        sample, y, d = self.sample, self.rest.y[at], self.rest.D[at, 0]
        w = None if sample.w is None else sample.w[at]
        if isinstance(self.model, str) and (self.model == "linear" or not len(self.columns)):
            basis = EffectBasis.of(sample.X[at], sample.encoder.names, self.columns)
            fit = fit_on_basis(basis, d[:, None], y, w, [sample.treatment])
            linear = LinearEffects.of(
                basis, fit.values, fit.contributions, sample.rows.take(at), [sample.treatment],
                clusters=sample.clusters if whole else None,
            )  # fmt: skip
            return linear.clustered(sample.cluster) if whole and sample.cluster else linear
        d = np.where(np.abs(d) < 1e-12, 1e-12, d)
        weights = np.square(d) if w is None else w * np.square(d)
        models = NuisanceModels(random_state=self.seed, n_jobs=self.n_jobs)
        plain = replace(self.rows, arms=np.zeros(len(sample), dtype=np.int8), n_arms=1, design=None)
        fit_of = fit_final(plain, sample.inputs.index, self.model, at, y / d, weights, self.columns, models)
        return Regressions((fit_of,), self.columns)


class KernelDML(NonparametricDML):
    """Smooth effects of any shape by double machine learning: kernel ridge regression of residuals on residuals.

    The effect lies in the space of the Gaussian kernel of Mahalanobis distances, spanned by some of the rows; its
    penalty is chosen by generalised cross-validation. Effects of single rows have no standard error; averages over
    groups have.

    Parameters
    ----------
    outcome_model, treatment_model, effect_modifiers, cv, clip, control, formula, random_state, n_jobs, memory
        As in :class:`NonparametricDML`.
    bandwidth : "median" or float
        Of the kernel, in Mahalanobis distances; by default the median distance of rows.
    n_landmarks : int
        Rows that span the space: more are nearer to the whole kernel, and slower.

    References
    ----------
    Nie and Wager (2021), Biometrika 108, section 3; Williams and Seeger (2001), "Using the Nystrom method to speed up
    kernel machines", NIPS.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "n_landmarks": at_least(1),
        "bandwidth": Legal(
            lambda v: (isinstance(v, str) and v == "median") or number(0, np.inf, "", closed_low=False).holds(v),
            "'median' or a number above 0",
        ),
    }
    nested: ClassVar[dict[str, str]] = {}

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        treatment_model: Model = "auto",
        bandwidth: str | float = "median",
        n_landmarks: int = 200,
        effect_modifiers: Sequence[Any] | None = None,
        cv: object = 5,
        clip: float = 0.01,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
        memory: Any = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.bandwidth = bandwidth
        self.n_landmarks = n_landmarks
        self.effect_modifiers = effect_modifiers
        self.cv = cv
        self.clip = clip
        self.control = control
        self.formula = formula
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.memory = memory

    def _final(self) -> Model:
        if self.effect_modifiers is not None and not len(self.effect_modifiers):
            return "linear"
        return KernelRidge(bandwidth=self.bandwidth, n_landmarks=self.n_landmarks)
