"""Regression adjustment (g-computation): predict every row under every arm, then average; and the plain coefficient."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.adjustment.linear_refits import ArmRefits, CoefficientRefits, LinearRefits
from pandas_causal.adjustment.pooled_regression import (
    LearnedOutcome,
    PooledColumns,
    PooledRegression,
    classical_coefficient,
    coefficient_overlap,
    covariate_strength,
    implied_target,
    implied_weights,
    learned_means,
    linear_means,
    logistic_means,
    pooled_terms,
    stability_moments,
    weights_check,
)
from pandas_causal.arms.arm_means import WILD, mean_terms, means_components, with_wild_tests
from pandas_causal.arms.arm_regression import ArmRegression, fit_arm_regression
from pandas_causal.arms.base import UNCONFOUNDED, ArmComparison
from pandas_causal.arms.estimands import EstimandPlan, in_words, plan_estimand, target_share
from pandas_causal.arms.positivity import refuse_separation
from pandas_causal.arms.sample import Sample, check_propensity, collinear, split_note
from pandas_causal.arms.structure import structure_of_residuals
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates, Weighting
from pandas_causal.errors import CausalArgumentError, CausalDataError, OverlapError, suggest
from pandas_causal.estimator import refuse_outcome_scorer
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.omitted_variables import ConfounderStrength, LinearCoefficient, RieszTerms
from pandas_causal.inference.proportional_selection import SelectionMoments
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.parameters import Legal
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats, Positions
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.linear import StandardisedMatrix, fit_logistic, invert_gram, logistic_probabilities

__all__ = ["RegressionAdjustment"]

_LINEAR = (
    "the outcome without treatment, or the share of the treated, is linear in the covariates as they stand (cannot be"
    " tested)"
)
_AVERAGE = (
    "the coefficient is an average of effects weighted by the variance of treatment given the covariates (Angrist 1998;"
    " Aronow and Samii 2016); it is the average effect of no other population unless effects are constant"
)
_COEFFICIENT = (UNCONFOUNDED[0], _LINEAR, _AVERAGE, UNCONFOUNDED[2])
_WEIGHTED = "rows weighted by the variance of their treatment given the covariates (see diagnostics['target'])"
_NO_ERROR = (
    "a learner in g-computation has no standard error of its own: use pandas_causal.bootstrap(...), which refits it, or"
    " AIPW(outcome_model=...), which has one with any learner"
)


class RegressionAdjustment(ArmComparison):
    """Regression adjustment: predict every row under every arm, and average (g-computation, the parametric g-formula).

    Estimates the mean outcome under every arm as the average prediction over the target population, and, with a linear
    model, the effect for every row. By default a regression in every arm (Lin's interacted regression). Rests on no
    unmeasured confounding, overlap, and a right outcome model (in a randomised experiment Lin's need not be right).

    With ``interactions=False`` and the linear model the effect is the plain regression coefficient: least squares of
    the outcome on indicators of the arms and the covariates. It is an average of effects, weighted by the variance of
    treatment given the covariates (where that is linear in them; Angrist 1998): the ATE only where effects are
    constant. ``diagnostics["weights"]`` counts its negative weights, ``diagnostics["target"]`` shows whom it speaks of.

    Parameters
    ----------
    estimand : {"ATE", "ATT", "ATC"}
        The coefficient has a population of its own, and takes the default only.
    outcome_model : {"linear", "logistic", "ridge", "boosting"} or scikit-learn model
        "logistic" for 0/1 outcomes. Learners need ``interactions=False``, and have no standard error here but that of
        :func:`bootstrap`, which holds for smooth models; :class:`AIPW` has one with any of them.
    interactions : bool or list of covariates
        True: a regression in every arm. False: one model for all arms, in which treatment is one more column (a learner
        may find interactions by itself). A list: one regression in which treatment is multiplied with these covariates,
        given by their names or, with a formula, by its terms.
    cluster_inference : {"satterthwaite", "wild"}
        With one way of clusters: CR2 with degrees of freedom of each contrast's own; or p-values and intervals of the
        wild cluster bootstrap with the null imposed ("linear" only), the better one where clusters are few and unequal.
    control : level, optional
        Reference arm.
    formula : str, optional
        Right-hand side that makes the covariates: see :class:`ArmComparison`.
    random_state : int or None
        For the learner.

    Attributes
    ----------
    effect_ : Effect
    coefficients_ : DataFrame (K, p), or (1, p)
        A regression in every arm: one row per arm; covariates standardised, so that an entry is per standard deviation
        and the intercept is at the means. One for all arms: one row, in the columns' own units; the products are with
        centred covariates. None for a learner.
    weights_ : ndarray (n,) or (n, K - 1)
        Of a plain coefficient: the weights whose weighted means differ by it, a column for every contrast.

    References
    ----------
    Lin (2013), "Agnostic notes on regression adjustments to experimental data", Annals of Applied Statistics, eq. (3);
    Robins (1986) for g-computation; Hernan and Robins (2020), "Causal inference: what if", chapters 13 and 15. Angrist
    (1998), Econometrica 66; Aronow and Samii (2016), "Does regression produce representative estimates of causal
    effects?", AJPS; Chattopadhyay and Zubizarreta (2023), Biometrika 110, for the weights; Goldsmith-Pinkham, Hull and
    Kolesar (2024), AER, for several arms. Errors: HC2, and the sampling of the covariates averaged over.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "interactions": Legal(
            lambda value: isinstance(value, bool | np.bool_ | list | tuple), "True or False, or a list of covariates"
        ),
        "cluster_inference": WILD,
    }

    def __init__(
        self,
        *,
        estimand: str = "ATE",
        outcome_model: Model = "linear",
        interactions: bool | Sequence[Hashable] = True,
        cluster_inference: str = "satterthwaite",
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
    ) -> None:
        self.estimand = estimand
        self.outcome_model = outcome_model
        self.interactions = interactions
        self.cluster_inference = cluster_inference
        self.control = control
        self.formula = formula
        self.random_state = random_state

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
        self._check_model()
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
        self._sample = sample
        self._predicted: ArmPredictions | PooledRegression | LearnedOutcome | None = None
        self._fit: ArmRegression | None = None
        self._pooled: PooledRegression | None = None
        if self._in_every_arm:
            result = self._by_arm(sample, plan)
        elif _is_named(self.outcome_model):
            result = self._pooled_fit(sample, plan)
        else:
            result = self._learned(sample, plan)
        self.coefficients_ = result.coefficients
        is_coefficient = self._is_coefficient
        if is_coefficient:
            checks, warned = self._coefficient_checks(sample)
        else:
            refuse_separation(sample.inputs.covariates, sample.codes, sample.arms.levels, self.estimand)
            design = self._fit.design if self._fit is not None else StandardisedMatrix.of(sample.X)
            propensity_check = check_propensity(sample, design)
            checks, warned = self.overlap(sample, propensity_check.values, self.estimand, judged=True)
            warned += propensity_check.notes
            if np.isfinite(result.contributions).all() and not self._validated:
                checks["structure"], missed = structure_of_residuals(
                    sample, plan, result.predictions, None, result.values, result.contributions
                )
                warned = [*warned, *missed]
        if self.checks_data:
            checks["nuisance"] = partial(self._fit_report, sample, result.predictions)
        named = in_words(self.estimand, sample.treatment, sample.outcome)
        self.effect_ = self.finish(
            sample,
            plan,
            result.values,
            result.contributions,
            estimand=f"regression coefficient of {sample.treatment} on {sample.outcome}" if is_coefficient else named,
            std_error_method=result.method,
            components=result.components,
            diagnostics=checks,
            warned=[*warned, *result.notes],
            assumptions=_COEFFICIENT if is_coefficient else UNCONFOUNDED,
            facts=result.facts,
            population=_WEIGHTED if is_coefficient else "the population the rows were sampled from",
            unknown=result.unknown,
        )
        if self.cluster_inference == "wild":
            self.effect_ = self._with_wild_tests(sample, plan, result.predictions)
        return self

    def shared_refits(self) -> LinearRefits | None:
        """Refits with another treatment or outcome on the covariates of this fit; None where each needs a fit."""
        check_is_fitted(self, "effect_")
        if self.outcome_model != "linear" or self._sample.cluster or self.cluster_inference == "wild":
            return None
        if self._is_coefficient:
            return CoefficientRefits.of(self._sample)
        if self._fit is None:
            return None
        plan = plan_estimand(self.estimand, self._sample.arms, self._sample.treatment)
        return ArmRefits(self._sample, self._fit.design, plan)

    def _with_wild_tests(self, sample: Sample, plan: EstimandPlan, predictions: Floats) -> Effect:
        """The effect with p-values and intervals of the wild cluster bootstrap."""
        fit, codes = self._fit, sample.codes
        if fit is not None:
            terms = mean_terms(fit, plan, codes, sample.w)
        elif self._pooled is not None and self._pooled.fit is not None:
            fit, codes = self._pooled.fit, np.zeros(len(sample), dtype=np.int8)
            terms = pooled_terms(self._pooled, sample, plan, predictions)
        else:
            raise CausalArgumentError("cluster_inference='wild' is for least squares: outcome_model='linear'")
        return with_wild_tests(self.effect_, fit, terms, codes, plan.loadings, sample)

    @property
    def _in_every_arm(self) -> bool:
        return isinstance(self.interactions, bool | np.bool_) and bool(self.interactions)

    @property
    def _is_coefficient(self) -> bool:
        return self._pooled is not None and self._pooled.fit is not None and not len(self._pooled.columns.interacted)

    def _check_model(self) -> None:
        """Refuse models without the inference, or the form, that the settings need."""
        self.check_settings()
        model, pooled = self.outcome_model, not self._in_every_arm
        if _is_named(model):
            if model == "linear" and pooled and not len(_listed(self.interactions)) and self.estimand != "ATE":
                raise CausalArgumentError(
                    f"estimand={self.estimand!r}: a coefficient without interactions averages effects by weights of its"
                    " own, whatever the estimand; use interactions=True, or a list of covariates"
                )
            return
        if not pooled:
            raise CausalArgumentError(
                f"outcome_model={model!r} is not available; use 'linear' or 'logistic'. A learner has no valid standard"
                " error in g-computation: AIPW(outcome_model=...) has one with any learner. One learner for all arms"
                " (interactions=False) is bootstrapped"
            )
        legal = isinstance(model, str) and model in ("ridge", "boosting")
        if not legal and (isinstance(model, str | type) or not (hasattr(model, "fit") and hasattr(model, "predict"))):
            raise CausalArgumentError(
                f"outcome_model={model!r} is not available; use 'linear', 'logistic', 'ridge', 'boosting' or a"
                " scikit-learn model"
            )
        if len(_listed(self.interactions)):
            raise CausalArgumentError("a learner finds interactions by itself; use interactions=False with it")

    def _by_arm(self, sample: Sample, plan: EstimandPlan) -> _Result:
        """A regression in every arm."""
        design = StandardisedMatrix.of(sample.X)
        lost = 0
        if self.outcome_model == "linear":
            fit = fit_arm_regression(design, sample.y, sample.codes, len(sample.arms), sample.w, sample.arm_names)
            means = means_components(fit, plan, sample.codes, sample.w, sample.cluster)
            values, contributions = means.values, means.contributions
            components: tuple[Component, ...] | None
            components, method = means.components, means.method
            self._fit, coefficients, predictions = fit, fit.coefficients, fit.predictions
            lost = int((np.einsum("aii->ai", fit.bread) == 0).sum())
        else:
            values, contributions, coefficients, predictions = _logistic_means(plan, design, sample)
            components, method = None, "influence function of the logistic regressions, normal law"
        self._predicted = ArmPredictions(design, coefficients, self.outcome_model == "logistic")
        columns = ["intercept", *(sample.encoder.names[j] for j in design.kept)]
        index = pd.Index(sample.arms.levels, name=sample.treatment)
        notes = collinear(sample, design.dropped)
        if lost:
            notes.append(f"{lost} coefficients are not identified within their arm (constant there) and were set to 0")
        return _Result(
            values,
            contributions,
            components,
            method,
            predictions,
            pd.DataFrame(coefficients, index=index, columns=columns),
            notes,
            {"collinear_dropped": len(design.dropped), "unidentified_in_arm": lost},
        )

    def _pooled_fit(self, sample: Sample, plan: EstimandPlan) -> _Result:
        """One regression for all arms."""
        columns = PooledColumns.of(sample, self._interacted(sample))
        components: tuple[Component, ...] | None
        if self.outcome_model == "linear":
            pooled, means, predictions = linear_means(sample, columns, plan)
            values, contributions = means.values, means.contributions
            components, method = means.components, means.method
        else:
            pooled, values, contributions, predictions = logistic_means(sample, columns, plan)
            components, method = None, "influence function of the logistic regression, normal law"
        self._pooled = self._predicted = pooled
        q, kept = sample.X.shape[1], pooled.design.kept
        names = list(sample.encoder.names)
        for level in sample.arms.levels[1:]:
            arm = f"{sample.treatment}[{level}]"
            names += [arm, *(f"{arm}:{sample.encoder.names[j]}" for j in columns.interacted)]
        dropped = pooled.design.dropped
        notes = collinear(sample, dropped[dropped < q])
        if (dropped >= q).any():
            left_out = ", ".join([names[j] for j in dropped[dropped >= q]][:5])
            notes.append(f"products with treatment were left out (explained by others): {left_out}")
        table = pd.DataFrame(
            [pooled.in_raw_units], index=pd.Index(["all arms"]), columns=["intercept", *(names[j] for j in kept)]
        )
        facts = {"collinear_dropped": len(dropped), "unidentified_in_arm": 0}
        return _Result(values, contributions, components, method, predictions, table, notes, facts)

    def _learned(self, sample: Sample, plan: EstimandPlan) -> _Result:
        """One learner for all arms, whose uncertainty only a bootstrap tells."""
        learned, values, predictions = learned_means(sample, self.outcome_model, plan, self.random_state)
        self._predicted = learned
        facts = {"collinear_dropped": 0, "unidentified_in_arm": 0}
        none = np.full((len(sample), len(values)), np.nan)
        return _Result(values, none, None, "none: a learner", predictions, None, [], facts, _NO_ERROR)

    def _interacted(self, sample: Sample) -> Positions:
        """Columns of the covariates that are multiplied with treatment."""
        out: list[int] = []
        for name in _listed(self.interactions):
            at = sample.encoder.positions(name)
            if at is None:
                known = sample.encoder.names
                raise CausalArgumentError(
                    f"interactions={self.interactions!r}: {name!r} is no covariate{suggest(name, known)}; covariates:"
                    f" {known[:8]}{'...' if len(known) > 8 else ''}"
                )
            out += at
        return np.array(list(dict.fromkeys(out)), dtype=np.intp)

    def _coefficient_checks(self, sample: Sample) -> tuple[dict[str, Any], list[str]]:
        """Who is weighted how, and whether anyone can be compared."""
        assert self._pooled is not None  # noqa: S101 - of a coefficient
        weights = implied_weights(self._pooled, sample)
        self.weights_ = weights[:, 0] if weights.shape[1] == 1 else weights
        warned = [] if self._validated else [*coefficient_overlap(sample), *split_note(sample)]
        checks: dict[str, Any] = {
            "weights": partial(weights_check, weights, sample.codes, sample.arms.levels),
            "target": partial(implied_target, weights, sample),
            "balance": partial(sample.balance, weights),
        }
        return checks, warned

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
        a = self._linear_arm(arm)
        frame = self.new_covariates(X)
        Z = self.encoder_.transform(frame)
        u = self._pooled_cate(self._pooled, a, Z) if self._pooled else self._cate_by_arm(a, Z)
        loadings = u.loadings
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
            assumptions=(
                *self.effect_.assumptions,
                "effects are the same for every row (the regression has no interactions)"
                if self._is_coefficient
                else "effects are linear in the covariates",
            ),
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
        refuse_outcome_scorer(self)
        self._refuse_not_linear()
        assert self._predicted is not None  # noqa: S101 - fitted
        levels = self._predicted.predictions(self.encoder_.transform(self.new_covariates(X)))
        out = levels[:, 1:] - levels[:, [0]]
        return np.asarray(out[:, 0] if out.shape[1] == 1 else out)

    def score(self, X: Covariates, y: Outcome, treatment: RoleLike = None, sample_weight: RoleLike = None) -> float:
        """Held-out skill: 1 - loss / loss of arm means, averaged over arms; it says nothing of the effect."""
        check_is_fitted(self, "effect_")
        held_out, sample = self.held_out(X, y, treatment, sample_weight), self._sample
        assert self._predicted is not None  # noqa: S101 - fitted
        return float(np.mean(held_out.skills(self._predicted.predictions(held_out.X), sample.arm_means())))

    def linear_coefficient(self, arm: int) -> LinearCoefficient | None:
        """Coefficient of an arm (its position, 1 or more) with its classical error; None where there is none."""
        check_is_fitted(self, "effect_")
        if not self._is_coefficient or self._pooled is None:
            return None
        return classical_coefficient(self._pooled, self._sample, arm)

    def covariate_strength(self, names: Sequence[Hashable], arm: int) -> ConfounderStrength | None:
        """Partial R2 of some covariates together with an arm's indicator and with the outcome, given all the others.

        None where nothing is left of them, constant or explained by those before them.

        Raises
        ------
        CausalArgumentError
            For a name that is no covariate.
        """
        pooled, columns = self._pooled, []
        assert pooled is not None  # noqa: S101 - asked of a coefficient
        for name in names:
            at = self.encoder_.positions(name)
            if at is None:
                known = self.covariates_
                raise CausalArgumentError(f"{name!r} is no covariate{suggest(name, known)}; covariates: {known[:10]}")
            columns += at
        return covariate_strength(pooled, self._sample, arm, columns)

    def selection_moments(self) -> SelectionMoments | None:
        """The coefficient without and with covariates, for two arms; None where it is none, or has no covariates."""
        check_is_fitted(self, "effect_")
        if not self._is_coefficient or self._pooled is None or len(self.arms_) != 2 or not self._sample.X.shape[1]:
            return None
        return stability_moments(self._pooled, self._sample)

    def riesz_terms(self, y: Floats) -> RieszTerms | None:
        """Residuals, and what weights outcomes in the means of a linear regression in every arm; None for other models.

        Parameters
        ----------
        y : ndarray (n,)
            Outcome of the rows used.
        """
        check_is_fitted(self, "effect_")
        fit, sample = self._fit, self._sample
        if fit is None:
            return None
        plan, n = plan_estimand(self.estimand, sample.arms, sample.treatment), len(sample)
        terms, unit = mean_terms(fit, plan, sample.codes, sample.w), np.ones(n) if sample.w is None else sample.w
        directions = np.stack([fit.bread[a] @ z for a, z in zip(terms.arms, terms.centres, strict=True)], axis=1)
        density, membership = np.empty((n, len(plan.targets))), np.empty((n, len(plan.targets)))
        for at, Z in fit.design.blocks():
            density[at] = n * (Z @ directions)
        for j, (population, _) in enumerate(plan.targets):
            share = target_share(population, sample.codes, np.ones((n, 1)), "ATE")
            membership[:, j] = share * n / (unit @ share)
        residual = y - fit.predictions[np.arange(n), sample.codes]
        return RieszTerms(residual, sample.codes, terms.arms, density, membership, unit)

    def _fit_report(self, sample: Sample, predictions: Floats) -> Check:
        """How well the regressions fit, in sample."""
        arms, y, w = range(len(sample.arms)), sample.y, sample.w
        losses = tuple(nuisances.arm_loss(y, predictions[:, a], sample.codes, a, w) for a in arms)
        base = tuple(nuisances.arm_baseline(y, sample.codes, a, w) for a in arms)
        name = self.outcome_model if isinstance(self.outcome_model, str) else type(self.outcome_model).__name__
        shown = nuisances.Nuisance(predictions, (f"{name} (in sample)",) * len(base), losses, base, ())
        return nuisances.report(shown, None, sample.arms.levels)

    def _refuse_not_linear(self) -> None:
        if self.outcome_model != "linear":
            raise CausalArgumentError("effects for every row need outcome_model='linear'")

    def _linear_arm(self, arm: Any) -> int:
        self._refuse_not_linear()
        return self._arm(arm)

    def _arm(self, arm: Any) -> int:
        treated = list(self.arms_[1:])
        if arm is None and len(treated) == 1:
            return 1
        if arm not in treated:
            raise CausalArgumentError(f"arm={arm!r}: name the arm to compare with {self.arms_[0]!r}, one of {treated}")
        return 1 + treated.index(arm)

    def _cate_by_arm(self, a: int, X: Floats) -> Influence:
        """Coefficients of the linear effect (centred, per unit of each covariate), and their loadings at rows X."""
        sample, fit = self._sample, self._fit
        assert fit is not None  # noqa: S101 - least squares in every arm
        design = fit.design
        scale = np.concatenate([[1.0], 1 / design.scale[design.kept]])
        contributions = np.zeros((len(sample), design.p))
        for at, Z in design.blocks():
            arm_of_row, e = sample.codes[at], fit.residuals[at]
            weighted = e if sample.w is None else e * sample.w[at]
            for arm, sign in ((a, 1.0), (0, -1.0)):
                inside = arm_of_row == arm
                contributions[at][inside] = sign * (Z[inside] @ fit.bread[arm]) * weighted[inside][:, None]
        contributions *= scale
        loadings = design.on(X).rows(slice(None))
        loadings[:, 1:] *= design.scale[design.kept]
        names = ["at the means", *(sample.encoder.names[j] for j in design.kept)]
        return self._cate(fit, (fit.coefficients[a] - fit.coefficients[0]) * scale, contributions, names, loadings)

    def _pooled_cate(self, pooled: PooledRegression, a: int, X: Floats) -> Influence:
        """The arm's coefficients in the regression of all arms, and their loadings at rows X."""
        sample, fit = self._sample, pooled.fit
        assert fit is not None  # noqa: S101 - least squares
        at = pooled.own(a)
        contributions = pooled.contributions(a, sample.w, fit.residuals, sample.codes)
        used = pooled.design.kept[at - 1] - pooled.columns.block(pooled.q, a)[0]
        names = ["at the means", *(sample.encoder.names[j] for j in pooled.columns.interacted)]
        loadings = pooled.columns.slopes(X)[:, used]
        return self._cate(fit, pooled.in_raw_units[at], contributions, [names[k] for k in used], loadings)

    def _cate(
        self, fit: ArmRegression, values: Floats, contributions: Floats, names: list[str], loadings: Floats
    ) -> Influence:
        sample = self._sample
        adjusted = contributions * np.sqrt(fit.hc2)[:, None]
        u = Influence.from_contributions(
            values,
            contributions,
            sample.rows,
            names=pd.Index(names, name="coefficient"),
            loadings=loadings,
            components=(Component(adjusted.T @ adjusted, fit.df),),
            clusters=sample.clusters,
        )
        return u.cluster(sample.cluster) if sample.cluster else u


@dataclass(frozen=True, eq=False)
class ArmPredictions:
    """Regressions by arm as a function of rows: coefficients (K, p) of the standardised covariates."""

    design: StandardisedMatrix
    coefficients: Floats
    logistic: bool

    def predictions(self, X: Floats) -> Floats:
        """Outcome of rows X (m, q) under every arm (m, K)."""
        eta = self.design.on(X).rows(slice(None)) @ self.coefficients.T
        return np.asarray(1 / (1 + np.exp(-eta)) if self.logistic else eta)


@dataclass(frozen=True, eq=False)
class _Result:
    """What any of the models gives: average predictions (k,), their contributions, and words about them."""

    values: Floats
    contributions: Floats
    components: tuple[Component, ...] | None
    method: str
    predictions: Floats
    coefficients: pd.DataFrame | None
    notes: list[str]
    facts: dict[str, Any]
    unknown: str = ""


def _is_named(model: Model) -> bool:
    return isinstance(model, str) and model in ("linear", "logistic")


def _listed(interactions: Any) -> list[Any]:
    """Names among the interactions; none where it is True or False."""
    return list(interactions) if isinstance(interactions, list | tuple) else []


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
        inverse.append(invert_gram(fit.information))
    predictions = np.column_stack([logistic_probabilities(design, c[None, None])[:, 1] for c in coefficients])
    values, contributions = np.empty(len(plan.targets)), np.zeros((n, len(plan.targets)))
    for j, (population, a) in enumerate(plan.targets):
        g, p = target_share(population, codes, np.ones((n, 1)), "ATE") * unit, predictions[:, a]
        values[j] = g @ p / g.sum()
        slope = (g * p * (1 - p)) @ Z / g.sum()
        contributions[:, j] = g * (p - values[j]) / g.sum()
        contributions[:, j] += np.where(codes == a, unit * (Z @ (inverse[a] @ slope)) * (y - p), 0.0)
    return _LogisticMeans(values, contributions, coefficients, predictions)
