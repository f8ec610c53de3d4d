"""Double machine learning: residuals of the outcome on residuals of the treatment, average and linear in covariates."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.base import UNCONFOUNDED, ArmComparison
from pandas_causal.arms.sample import Sample
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalDataError
from pandas_causal.heterogeneity.base import (
    MODIFIERS,
    ConditionalEffects,
    modifier_columns,
    plan_of,
)
from pandas_causal.heterogeneity.nuisances import NuisanceModels, Residuals, residuals_of
from pandas_causal.heterogeneity.projection import BasisFit, EffectBasis, LinearEffects, fit_on_basis
from pandas_causal.heterogeneity.scoring import r_score_of
from pandas_causal.heterogeneity.several_outcomes import are_several, fit_outcomes
from pandas_causal.inference.influence import Component, Influence, cluster_component, repeated_components
from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.parameters import SHARE, Legal, at_least, one_of
from pandas_causal.inputs.treatments import Takes
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.models.folds import draw_folds
from pandas_causal.models.linear import StandardisedMatrix
from pandas_causal.models.nuisance import is_linear
from pandas_causal.models.training_rows import TrainingRows

__all__ = ["DoubleML", "LinearDML"]

_CONSTANT = (
    "the effect is the same for all, or the estimate is an average of effects weighted by the variance of treatment"
    " given the covariates"
)
_LINEAR = "effects are linear in the effect modifiers, or the estimate is the linear function nearest to them"


def training_rows(sample: Sample, *models: Model) -> TrainingRows:
    """The sample's rows, for nuisances of arms or of numbers."""
    linear = any(is_linear(model, sample.X) for model in models)
    design = StandardisedMatrix.of(sample.X) if linear else None
    if isinstance(sample.treated, Arms):
        return sample.training_rows(design)
    none, levels = np.zeros(len(sample), dtype=np.int8), sample.encoder.for_learners
    return TrainingRows(sample.X, none, 1, sample.y, sample.w, sample.columns, design, levels)


def split_residuals(
    estimator: ArmComparison, sample: Sample, rng: np.random.Generator, before: Residuals | None = None
) -> Residuals:
    """Draw folds and take from outcome and treatment what models that did not see the row predict."""
    params = estimator.get_params(deep=False)
    cluster = sample.cluster[0] if sample.cluster else None
    folds = draw_folds(params["cv"], sample.inputs, sample.treated, rng, cluster)
    models = NuisanceModels(
        params["outcome_model"], params["treatment_model"], params["clip"], int(rng.integers(2**31 - 1)),
        params["n_jobs"], params.get("memory"), "treatment_model",
    )  # fmt: skip
    arms = isinstance(sample.treated, Arms)
    names = [str(v) for v in sample.arms.contrasts] if arms else list(sample.numbers.names)
    return residuals_of(
        training_rows(sample, models.outcome, models.treatment), None if arms else sample.numbers.values,
        (sample.outcome, names), folds, sample.inputs.index, models, known=sample.propensity, before=before,
    )  # fmt: skip


def treatment_checks(estimator: ArmComparison, sample: Sample, first: Residuals) -> tuple[dict[str, Any], list[str]]:
    """Checks of the first split: nuisances, and the overlap of arms."""
    checks: dict[str, Any] = {}
    warned: list[str] = []
    if first.e is not None:
        unpenalised = is_linear(estimator.get_params(deep=False)["treatment_model"], sample.X)
        checks, warned = estimator.overlap(
            sample, first.e, "ATO", out_of_fold=sample.propensity is None, unpenalised=unpenalised
        )
    checks["nuisance"] = partial(first.report, sample.treatment)
    return checks, warned


class DoubleML(ArmComparison):
    r"""Average effect in the partially linear model: the treatment's coefficient, covariates entering in any way.

    :math:`Y = \theta D + g(X) + \varepsilon`: outcome and treatments less their cross-fitted means given the
    covariates, then least squares of residuals on residuals. Treatments are arms, a number, or several numbers, whose
    effects then are estimated together. The interactive model, in which arms' effects vary, is :class:`AIPW`; with
    instruments the two models are :class:`PartialLinearIV` and :class:`InteractiveIV`.

    Parameters
    ----------
    outcome_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn regressor
        Mean outcome given the covariates, whatever the treatment.
    treatment_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn model
        Of arms the propensity, by a classifier (a regressor is fitted to indicators of the arms); of numbers their
        mean.
    cv : int, splitter or iterable of (train, test)
        Folds balanced by arms, or by fifths of numbers; clusters whole.
    n_repeats : int
        Independent splits.
    combine : {"median", "mean"}
        Of the splits: the median of the estimates, with the median over splits of variance plus squared distance from
        it, which one odd split does not move; or the mean, to whose variance the spread of the splits is added.
    clip : float
        Estimated propensities are bounded to [clip, 1 - clip].
    control : level, optional
    formula : str, optional
        Right-hand side that makes the covariates.
    random_state : int or None
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
        A row for every contrast of arms, or for every treatment; of several outcomes (outcome, row).
    fits_ : dict
        Of several outcomes, an estimator for each.
    folds_ : ndarray (n,)
    residuals_ : ndarray (n, 1 + d)
        Of the outcome and the treatments, from the first split.

    References
    ----------
    Robinson (1988), Econometrica; Chernozhukov et al. (2018), "Double/debiased machine learning", Econometrics
    Journal, eq. (4.3) and (4.4), and definition 3.3 for the median.

    Examples
    --------
    >>> df.causal.fit(DoubleML(), treatment="price", outcome="sales", covariates=["region"])  # doctest: +SKIP
    """

    treatments: ClassVar[Takes] = "either"
    legal: ClassVar[Mapping[str, Legal]] = {
        "n_repeats": at_least(1),
        "combine": one_of("median", "mean"),
        "clip": SHARE,
    }

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        treatment_model: Model = "auto",
        cv: object = 5,
        n_repeats: int = 1,
        combine: str = "median",
        clip: float = 0.01,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.cv = cv
        self.n_repeats = n_repeats
        self.combine = combine
        self.clip = clip
        self.control = control
        self.formula = formula
        self.random_state = random_state
        self.n_jobs = n_jobs

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
        """Fit.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
            Covariates, and any roles given by name.
        y : array-like (n,) or DataFrame (n, q)
            Outcome, in its own units; or several, whose effects are estimated on the same folds, with their covariance.
        treatment : str, list of str, or array-like (n,) or (n, d)
            Labels, bools and two values are arms; other numbers, and several columns, are numbers.
        cluster : str, array-like (n,) or list of up to four, optional
            Folds keep clusters whole, errors are clustered.
        sample_weight : str or array-like (n,), optional
        propensity : str, array-like (n,) or (n, K), optional
            Known assignment probabilities of arms; no treatment model is fitted.
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            Everything that is wrong with the data, at once.
        NotIdentifiedError
            Where the covariates explain a treatment.
        """
        if are_several(y):
            self.check_settings()
            roles = {"treatment": treatment, "cluster": cluster, "sample_weight": sample_weight}
            fitted: Self = fit_outcomes(self, X, y, missing, {**roles, "propensity": propensity})
            return fitted
        self.__dict__.pop("fits_", None)
        sample = self.prepare(
            X, y, treatment=treatment, missing=missing, control=self.control, cluster=cluster,
            sample_weight=sample_weight, propensity=propensity,
        )  # fmt: skip
        plan, rng = plan_of(sample), np.random.default_rng(self.random_state)
        first = split_residuals(self, sample, rng)
        runs = [first, *(split_residuals(self, sample, rng, first) for _ in range(self.n_repeats - 1))]
        basis = EffectBasis.of(sample.X[:, :0], [])
        parts = [fit_on_basis(basis, r.D, r.y, sample.w, list(plan.names)) for r in runs]
        values = np.array([part.values for part in parts])
        contributions = np.mean([part.contributions for part in parts], axis=0)
        estimate = np.median(values, axis=0) if self.combine == "median" else values.mean(axis=0)
        checks, warned = treatment_checks(self, sample, first)
        self.folds_, self.residuals_ = first.folds, np.column_stack([first.y, first.D])
        several = f", {self.combine} of {self.n_repeats} splits" if self.n_repeats > 1 else ""
        self.effect_ = self.finish(
            sample, plan, estimate, contributions,
            estimand=f"effect of {sample.treatment} on {sample.outcome} (partially linear)",
            std_error_method=f"influence function, cross-fitted in {int(first.folds.max()) + 1} folds{several}, normal"
            " law",
            components=self._components(values, parts, contributions, sample),
            diagnostics=checks,
            warned=warned,
            assumptions=unconfounded(sample, _CONSTANT),
            population="rows weighted by the variance of their treatment given the covariates",
        )  # fmt: skip
        return self

    def _components(
        self, values: Floats, parts: list[BasisFit], contributions: Floats, sample: Sample
    ) -> tuple[Component, ...] | None:
        if self.combine == "mean" or len(parts) == 1:
            return repeated_components(values, contributions, sample.cluster)
        return (median_component(values, [part.contributions for part in parts], sample.cluster),)


def median_component(values: Floats, contributions: list[Floats], by: Sequence[object]) -> Component:
    """Variance of the median over splits: the median of ``v_s + (theta_s - median)^2``, with the splits' correlations.

    References
    ----------
    Chernozhukov et al. (2018), Econometrics Journal, definition 3.3 (median).
    """
    k = values.shape[1]
    meats = [cluster_component(c, by, p=k).meat if by else c.T @ c for c in contributions]
    centre = np.median(values, axis=0)
    variance = np.median([np.diag(m) + np.square(v - centre) for m, v in zip(meats, values, strict=True)], axis=0)
    mean = np.mean(meats, axis=0)
    scale = np.sqrt(variance / np.diag(mean))
    return Component(mean * np.outer(scale, scale))


def unconfounded(sample: Sample, shape: str) -> tuple[str, ...]:
    """What the partially linear model rests on, and what it says of how effects vary."""
    if isinstance(sample.treated, Arms):
        return (*UNCONFOUNDED, shape)
    return (
        "no unmeasured confounding: given the covariates, how much is received is as good as random (cannot be tested)",
        "the outcome is linear in the treatment",
        UNCONFOUNDED[2],
        shape,
    )


class LinearDML(ConditionalEffects):
    r"""Effects linear in covariates, by double machine learning: an effect with an interval for every row.

    :math:`Y = \theta(X)' D + g(X) + \varepsilon, \theta(X) = \beta' (1, X)`: outcome and treatments less their
    cross-fitted means given all covariates, then least squares of the outcome's residuals on the treatments' residuals
    times the effect modifiers. Where effects are not linear, the estimate is the linear function nearest to them,
    rows weighted by the variance of their treatment given the covariates.

    Parameters
    ----------
    outcome_model, treatment_model, cv, clip, control, formula, random_state, n_jobs
        As in :class:`DoubleML`.
    effect_modifiers : list of covariates, optional
        What the effect may vary with; all covariates by default. With a formula, its terms.
    n_repeats : int
        Independent splits to average over; their spread enters the standard errors.
    memory : path or joblib.Memory, optional
        Where fitted nuisances are kept: see :func:`reuse_nuisances`.

    Attributes
    ----------
    effect_ : Effect
        Average over the fitted rows; of several outcomes (outcome, row).
    coefficients_ : Effect
        Effect at the covariates' means, and change of the effect per unit of each.
    fits_ : dict
        Of several outcomes, an estimator for each; ``effect(X, outcome=...)`` and ``predict`` read them.
    folds_ : ndarray (n,)
    residuals_ : ndarray (n, 1 + d)

    References
    ----------
    Chernozhukov et al. (2018), Econometrics Journal, section 4.1; Semenova and Chernozhukov (2021), "Debiased machine
    learning of conditional average treatment effects", Econometrics Journal 24. Errors: HC1.

    Examples
    --------
    >>> LinearDML().fit(frame, y, treatment="t").effect(frame)  # doctest: +SKIP
    """

    treatments: ClassVar[Takes] = "either"
    legal: ClassVar[Mapping[str, Legal]] = {"n_repeats": at_least(1), "clip": SHARE, "effect_modifiers": MODIFIERS}

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        treatment_model: Model = "auto",
        effect_modifiers: Sequence[Any] | None = None,
        cv: object = 5,
        n_repeats: int = 1,
        clip: float = 0.01,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
        memory: Any = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.effect_modifiers = effect_modifiers
        self.cv = cv
        self.n_repeats = n_repeats
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
        """Fit; the parameters are those of :meth:`DoubleML.fit`."""
        if are_several(y):
            self.check_settings()
            roles = {"treatment": treatment, "cluster": cluster, "sample_weight": sample_weight}
            fitted: Self = fit_outcomes(self, X, y, missing, {**roles, "propensity": propensity})
            return fitted
        self.__dict__.pop("fits_", None)
        sample = self.prepare(
            X, y, treatment=treatment, missing=missing, control=self.control, cluster=cluster,
            sample_weight=sample_weight, propensity=propensity,
        )  # fmt: skip
        plan, rng = plan_of(sample), np.random.default_rng(self.random_state)
        first = split_residuals(self, sample, rng)
        runs = [first, *(split_residuals(self, sample, rng, first) for _ in range(self.n_repeats - 1))]
        basis = self._basis(sample)
        parts = [self._last_step(basis, r, sample, list(plan.names)) for r in runs]
        values = np.array([part.values for part in parts])
        contributions = parts[0].contributions if len(parts) == 1 else np.mean([p.contributions for p in parts], axis=0)
        self._sample = sample
        self.folds_, self.residuals_ = first.folds, np.column_stack([first.y, first.D])
        linear = LinearEffects.of(
            basis, values.mean(axis=0), contributions, sample.rows, list(plan.names),
            components=repeated_components(values, contributions, sample.cluster) or self._variance(contributions),
            clusters=sample.clusters,
        )  # fmt: skip
        self._linear = linear.clustered(sample.cluster) if sample.cluster and len(parts) == 1 else linear
        checks, warned = treatment_checks(self, sample, first)
        average = average_of(self._linear, sample, len(plan.names))
        self.effect_ = self.finish(
            sample, plan, average.values, average.contributions,
            estimand=f"average effect of {sample.treatment} on {sample.outcome}",
            std_error_method=f"influence function, cross-fitted in {int(first.folds.max()) + 1} folds, normal law",
            components=average_components(average, self._linear, sample),
            diagnostics=checks,
            warned=warned,
            assumptions=unconfounded(sample, _LINEAR),
        )  # fmt: skip
        self.coefficients_ = self._of_coefficients()
        return self

    def score(self, X: Covariates, y: Outcome, treatment: RoleLike = None, sample_weight: RoleLike = None) -> float:
        """Held-out R-score: how much of the outcome's residuals the effects explain, beyond a constant effect.

        Of several outcomes their mean.

        Parameters
        ----------
        X, y : held-out rows
        treatment : str or array-like, optional
            By default the column named at fit.
        sample_weight : array-like (m,), optional
        """
        check_is_fitted(self, "effect_")
        fits = getattr(self, "fits_", None)
        if fits is not None:
            if not isinstance(y, pd.DataFrame) or list(y.columns) != list(fits):
                raise CausalDataError(
                    f"the estimator was fitted to several outcomes; score takes them all: {list(fits)}"
                )
            return float(np.mean([r_score_of(fit, X, y[name], treatment, sample_weight) for name, fit in fits.items()]))
        return r_score_of(self, X, y, treatment, sample_weight)

    def _basis(self, sample: Sample) -> EffectBasis:
        """Functions that the effect is linear in."""
        return EffectBasis.of(sample.X, sample.encoder.names, modifier_columns(sample, self.effect_modifiers))

    def _last_step(self, basis: EffectBasis, rest: Residuals, sample: Sample, names: list[str]) -> BasisFit:
        """Coefficients of the effect from residuals."""
        return fit_on_basis(basis, rest.D, rest.y, sample.w, names)

    def _variance(self, contributions: Floats) -> tuple[Component, ...] | None:
        """Variance of the coefficients of one split; None: HC1."""
        return None

    def _of_coefficients(self) -> Effect:
        u = self._linear.uncertainty
        words = f"coefficients of the effect of {self._sample.treatment} on {self._sample.outcome}"
        return replace(self.effect_, rows=Estimates(_named(u), u), estimand=words)

    def _predicted(self, X: Floats) -> Floats:
        return self._linear.predict(X)

    def _rows(self, j: int, X: Floats) -> Influence | None:
        return self._linear.of_treatment(j, X)


def _named(u: Influence) -> pd.Series[float]:
    return pd.Series(u.values, index=u.names, name="estimate")


def average_of(linear: LinearEffects, sample: Sample, d: int) -> BasisFit:
    """Average effects (d,) over the fitted rows: the coefficients' contributions, and the sampling of the rows."""
    u, p, n = linear.uncertainty, linear.basis.p, len(sample)
    w = np.ones(n) if sample.w is None else sample.w
    tau = linear.predict(sample.X)
    values = w @ tau / w.sum()
    centre = linear.basis.mean(sample.X, sample.w)
    assert u.contributions is not None  # noqa: S101 - just fitted
    moved = np.column_stack([u.contributions[:, j * p : (j + 1) * p] @ centre for j in range(d)])
    return BasisFit(values, moved + w[:, None] * (tau - values) / w.sum())


def average_components(average: BasisFit, linear: LinearEffects, sample: Sample) -> tuple[Component, ...] | None:
    """Variance of the averages with what the coefficients' variance has beyond their contributions; None if clustered.

    The coefficients' part keeps its factor (HC1), and the spread of repeated splits.
    """
    if sample.cluster:
        return None
    u, d = linear.uncertainty, len(average.values)
    centre = linear.basis.mean(sample.X, sample.w)
    J = np.kron(np.eye(d), centre)
    assert u.contributions is not None  # noqa: S101 - just fitted
    beyond = J @ (u.meat() - u.contributions.T @ u.contributions) @ J.T
    return (Component(average.contributions.T @ average.contributions + beyond),)
