"""Regression adjustment (g-computation): predict every row under every arm, then average."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.arm_regression import ArmRegression, fit_arm_regression, means_components
from pandas_causal.arms.base import ArmComparison
from pandas_causal.arms.estimands import EstimandPlan, in_words, plan_estimand, target_share
from pandas_causal.arms.sample import Sample, check_propensity, collinear
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates, Weighting
from pandas_causal.errors import CausalArgumentError, CausalDataError, OverlapError
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.parameters import is_word
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.linear import StandardisedMatrix, fit_logistic, logistic_probabilities

__all__ = ["RegressionAdjustment"]


class RegressionAdjustment(ArmComparison):
    """Regression adjustment by a regression in every arm (g-computation; Lin's interacted regression).

    Estimates the mean outcome under every arm as the average prediction of that arm's regression over the target
    population, and, with the linear model, the effect for every row. Rests on no unmeasured confounding, overlap, and
    a right outcome model (in a randomised experiment the linear one need not be right). Learners have no valid
    standard error here: use :class:`AIPW`, which is valid with any of them.

    Parameters
    ----------
    estimand : {"ATE", "ATT", "ATC"}
    outcome_model : {"linear", "logistic"}
        "logistic" for 0/1 outcomes.
    control : level, optional
        Reference arm.

    Attributes
    ----------
    effect_ : Effect
    coefficients_ : DataFrame (K, p)
        One row per arm; covariates standardised, so that an entry is per standard deviation and the intercept is at
        the means.

    References
    ----------
    Lin (2013), "Agnostic notes on regression adjustments to experimental data", Annals of Applied Statistics, eq. (3);
    Robins (1986) for g-computation. Errors: HC2, and the sampling of the covariates averaged over.
    """

    def __init__(self, *, estimand: str = "ATE", outcome_model: str = "linear", control: Hashable = None) -> None:
        self.estimand = estimand
        self.outcome_model = outcome_model
        self.control = control

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
        """Fit; the parameters are those of :meth:`AIPW.fit` (`propensity` only serves the overlap check).

        With `cluster` errors are CR2.
        """
        if not is_word(self.outcome_model, ("linear", "logistic")):
            raise CausalArgumentError(
                f"outcome_model={self.outcome_model!r} is not available; use 'linear' or 'logistic'. A learner has no"
                " valid standard error in g-computation: AIPW(outcome_model=...) has one with any learner"
            )
        sample = self.prepare(
            X,
            y,
            treatment=treatment,
            missing=missing,
            control=self.control,
            cluster=cluster,
            sample_weight=sample_weight,
            propensity=propensity,
        )
        plan = plan_estimand(self.estimand, sample.arms, sample.treatment)
        design = StandardisedMatrix.of(sample.X)
        self._sample, self._design = sample, design
        self._fit: ArmRegression | None = None
        if self.outcome_model == "linear":
            fit = fit_arm_regression(design, sample.y, sample.codes, len(sample.arms), sample.w)
            means = means_components(fit, plan, sample.codes, sample.w, sample.cluster)
            values, contributions = means.values, means.contributions
            components, method = means.components, means.method
            self._fit, coefficients, predictions = fit, fit.coefficients, fit.predictions
        else:
            values, contributions, coefficients, predictions = _logistic_means(plan, design, sample)
            components, method = None, "influence function of the logistic regressions, normal law"
        columns = ["intercept", *(sample.encoder.names[j] for j in design.kept)]
        self.coefficients_ = pd.DataFrame(
            coefficients, index=pd.Index(sample.arms.levels, name=sample.treatment), columns=columns
        )
        propensity = check_propensity(sample, design)
        checks, warned = self.overlap(sample, propensity.values, self.estimand)
        warned += propensity.notes
        checks["nuisance"] = self._fit_report(sample, predictions)
        warned += collinear(sample, design.dropped)
        lost = 0 if self._fit is None else int((np.einsum("aii->ai", self._fit.bread) == 0).sum())
        if lost:
            warned.append(f"{lost} coefficients are not identified within their arm (constant there) and were set to 0")
        self.effect_ = self.finish(
            sample,
            plan,
            values,
            contributions,
            estimand=in_words(self.estimand, sample.treatment, sample.outcome),
            std_error_method=method,
            components=components,
            diagnostics=checks,
            warned=warned,
            facts={"collinear_dropped": len(design.dropped), "unidentified_in_arm": lost},
        )
        return self

    def effect(self, X: Covariates = None, arm: Any = None) -> Effect:
        """Return the average effect, or, given X and with the linear model, the effect for every row of X.

        Parameters
        ----------
        X : DataFrame or array-like (m, p), optional
            Covariates; role columns in it are ignored.
        arm : level, optional
            Which arm to compare with the control, where there are several.
        """
        check_is_fitted(self, "effect_")
        if X is None:
            return super().effect()
        fit, a = self._linear_fit(), self._arm(arm)
        frame = self.new_covariates(X)
        Z = self.encoder_.transform(frame)
        design = fit.design.on(Z)
        loadings = design.rows(slice(None))
        loadings[:, 1:] *= design.scale[design.kept]
        u = replace(self._cate_influence(fit, a), loadings=loadings)
        same = (
            len(Z) == len(self._sample)
            and frame.index.equals(self._sample.inputs.index)
            and np.array_equal(Z, self._sample.X)
        )
        effect = Effect(
            rows=Estimates(
                pd.Series(loadings @ u.values, index=frame.index, name="estimate"),
                u,
                units=self._sample.rows if same else RowIdentity(frame.index, Z.sum(axis=1) if len(Z) else None),
                weightings={"population": Weighting(self._sample.w)} if same and self._sample.w is not None else {},
            ),
            estimand=(
                f"effect of {self.treatment_name_} ({self.arms_[a]} - {self.arms_[0]}) on {self._sample.outcome}, given"
                " covariates"
            ),
            n_obs=len(self._sample),
            assumptions=(*self.effect_.assumptions, "effects are linear in the covariates"),
            diagnostics=self.effect_.diagnostics,
            warnings=self.effect_.warnings,
            std_error_method="clustered (CR1)" if self._sample.cluster else "HC2, Student's t",
            estimator=self,
            facts=self.effect_.facts,
        )
        return effect.explained()

    def predict(self, X: Covariates) -> Floats:
        """Effects for every row of X (m,), or (m, K - 1) with several arms."""
        check_is_fitted(self, "effect_")
        fit = self._linear_fit()
        Z = self.encoder_.transform(self.new_covariates(X))
        slopes = fit.coefficients[1:] - fit.coefficients[0]
        out = fit.design.on(Z).rows(slice(None)) @ slopes.T
        return np.asarray(out[:, 0] if out.shape[1] == 1 else out)

    def score(self, X: Covariates, y: Outcome, treatment: RoleLike = None, sample_weight: RoleLike = None) -> float:
        """Held-out skill: 1 - loss / loss of arm means, averaged over arms; it says nothing of the effect."""
        check_is_fitted(self, "effect_")
        held_out, sample = self.held_out(X, y, treatment, sample_weight), self._sample
        eta = self._design.on(held_out.X).rows(slice(None)) @ self.coefficients_.to_numpy().T
        predicted = eta if self.outcome_model == "linear" else 1 / (1 + np.exp(-eta))
        means = sample.arm_means()
        return float(np.mean(held_out.skills(predicted, means)))

    def _fit_report(self, sample: Sample, predictions: Floats) -> Check:
        """How well the regressions fit, in sample."""
        arms, y, w = range(len(sample.arms)), sample.y, sample.w
        losses = tuple(nuisances.arm_loss(y, predictions[:, a], sample.codes, a, w) for a in arms)
        base = tuple(nuisances.arm_baseline(y, sample.codes, a, w) for a in arms)
        shown = nuisances.Nuisance(predictions, (f"{self.outcome_model} (in sample)",) * len(base), losses, base, ())
        return nuisances.report(shown, None, sample.arms.levels)

    def _linear_fit(self) -> ArmRegression:
        if self._fit is None:
            raise CausalArgumentError("effects for every row need outcome_model='linear'")
        return self._fit

    def _arm(self, arm: Any) -> int:
        treated = list(self.arms_[1:])
        if arm is None and len(treated) == 1:
            return 1
        if arm not in treated:
            raise CausalArgumentError(f"arm={arm!r}: name the arm to compare with {self.arms_[0]!r}, one of {treated}")
        return 1 + treated.index(arm)

    def _cate_influence(self, fit: ArmRegression, a: int) -> Influence:
        """Coefficients of the linear effect (centred, per unit of each covariate) with their contributions."""
        sample, design = self._sample, fit.design
        scale = np.concatenate([[1.0], 1 / design.scale[design.kept]])
        contributions = np.zeros((len(sample), design.p))
        for at, Z in design.blocks():
            arm_of_row, e = sample.codes[at], fit.residuals[at]
            weighted = e if sample.w is None else e * sample.w[at]
            for arm, sign in ((a, 1.0), (0, -1.0)):
                inside = arm_of_row == arm
                contributions[at][inside] = sign * (Z[inside] @ fit.bread[arm]) * weighted[inside][:, None]
        contributions *= scale
        adjusted = contributions * np.sqrt(fit.hc2)[:, None]
        names = pd.Index(["at the means", *(sample.encoder.names[j] for j in design.kept)], name="coefficient")
        u = Influence.from_contributions(
            (fit.coefficients[a] - fit.coefficients[0]) * scale,
            contributions,
            sample.rows,
            names=names,
            components=(Component(adjusted.T @ adjusted, fit.df),),
            clusters=sample.clusters,
        )
        return u.cluster(sample.cluster) if sample.cluster else u


class _LogisticMeans(NamedTuple):
    """Average logistic predictions by arm, their contributions, coefficients (K, p) and predictions (n, K)."""

    values: Floats
    contributions: Floats
    coefficients: Floats
    predictions: Floats


def _logistic_means(plan: EstimandPlan, design: StandardisedMatrix, sample: Sample) -> _LogisticMeans:
    """Fit a logistic regression in every arm and average its predictions over each population.

    The mean of ``p(z'beta_a)`` over the population moves by ``mean p (1 - p) z`` times the influence of beta_a,
    ``information^-1 z (y - p)``, and by the sampling of the population.
    """
    y, codes, n, K = sample.y, sample.codes, len(sample), len(sample.arms)
    if not np.isin(y, (0.0, 1.0)).all():
        raise CausalArgumentError("outcome_model='logistic' needs a 0/1 or bool outcome; use 'linear'")
    unit = np.ones(n) if sample.w is None else sample.w
    Z = design.rows(slice(None))
    coefficients, inverse = np.empty((K, design.p)), []
    for a in range(K):
        inside = codes == a
        try:
            fit = fit_logistic(
                design.on(sample.X[inside]), y[inside].astype(int), 2, w=None if sample.w is None else unit[inside]
            )
        except OverlapError:
            raise CausalDataError(
                f"in arm {sample.arms.levels[a]!r} the covariates predict the outcome perfectly, so the logistic"
                " regression does not exist; use fewer covariates, outcome_model='linear', or"
                " AIPW(outcome_model='ridge')"
            ) from None
        coefficients[a] = fit.coefficients[-1, 0]
        inverse.append(np.linalg.pinv(fit.information))
    predictions = np.column_stack([logistic_probabilities(design, c[None, None])[:, 1] for c in coefficients])
    values, contributions = np.empty(len(plan.targets)), np.zeros((n, len(plan.targets)))
    for j, (population, a) in enumerate(plan.targets):
        g, p = target_share(population, codes, np.ones((n, 1)), "ATE") * unit, predictions[:, a]
        values[j] = g @ p / g.sum()
        slope = (g * p * (1 - p)) @ Z / g.sum()
        contributions[:, j] = g * (p - values[j]) / g.sum()
        contributions[:, j] += np.where(codes == a, unit * (Z @ (inverse[a] @ slope)) * (y - p), 0.0)
    return _LogisticMeans(values, contributions, coefficients, predictions)
