"""Weighting: inverse-probability weights that make the arms alike, then compare weighted means."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.adjustment.balancing import EntropyBalancing, StableBalancing
from pandas_causal.adjustment.covariate_balancing import (
    BalancingLogistic,
    NotBalanced,
    balancing_influence,
    fit_balancing_logistic,
)
from pandas_causal.adjustment.weighted_means import contrast_weights, hajek_means, propensity_correction, weight_slopes
from pandas_causal.arms.balance import balance, largest_difference
from pandas_causal.arms.base import UNCONFOUNDED, ArmComparison
from pandas_causal.arms.estimands import BOUNDED, ESTIMANDS, in_words, plan_estimand
from pandas_causal.arms.overlap import arm_weights, weight_summary
from pandas_causal.arms.sample import Sample, collinear, supported, trimmed
from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, OverlapError
from pandas_causal.inputs.column_rules import lonely_categories
from pandas_causal.inputs.parameters import FLAG, SHARE_OR_NONE, Legal
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.folds import draw_folds
from pandas_causal.models.linear import Design, fit_logistic, logistic_probabilities
from pandas_causal.models.nuisance import Nuisance

__all__ = ["IPW", "CovariateBalancingPropensity", "EntropyBalancing", "StableBalancing"]


class IPW(ArmComparison):
    """Inverse-probability weighting with normalised (Hajek) weights.

    Estimates the propensity of every arm, weights every row by ``h(x) / e(x)`` and compares weighted means. Rests on no
    unmeasured confounding, overlap, and a right propensity model.

    Parameters
    ----------
    estimand : {"ATE", "ATT", "ATC", "ATO", "ATM"}
        ATO: overlap weights ``h = e (1 - e)``, the population in which the arms are most alike; never extreme. ATM:
        matching weights ``h = min(e, 1 - e)``, the population that pairs of treated and controls would make up.
    propensity_model : {"linear", "ridge", "boosting", "auto"} or scikit-learn classifier
        "linear" is the unpenalised logistic model.
    cv : int, splitter or iterable of (train, test), optional
        Cross-fit in these folds; by default the model is fitted once on all rows, and with "linear" its estimation
        enters the standard error (which makes it smaller for the ATE). In all other cases propensities are taken as
        known; ``effect.std_error_method`` says which.
    trim : float, optional
        Leave out rows whose propensity is nearer than this to what the estimand cannot bear; counted.
    control : level, optional
        Reference arm.
    random_state : int or None
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
    propensity_ : ndarray (n, K)
    weights_ : ndarray (n,)
        Weight of every row of X, in its order; zero where trimmed.

    References
    ----------
    Hajek (1971); Lunceford and Davidian (2004), Statistics in Medicine; Li, Morgan and Zaslavsky (2018), JASA; Li and
    Greene (2013), International Journal of Biostatistics, for the matching weights.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "trim": SHARE_OR_NONE,
    }

    def __init__(
        self,
        *,
        estimand: str = "ATE",
        propensity_model: Any = "linear",
        cv: Any = None,
        trim: float | None = None,
        control: Any = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.estimand = estimand
        self.propensity_model = propensity_model
        self.cv = cv
        self.trim = trim
        self.control = control
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        treatment: Any = None,
        cluster: Any = None,
        sample_weight: Any = None,
        propensity: Any = None,
        missing: str = "raise",
    ) -> IPW:
        """Fit; the parameters are those of :meth:`AIPW.fit`."""
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
        plan = plan_estimand(self.estimand, sample.arms, sample.treatment, tuple(ESTIMANDS))
        design = Design.of(sample.X)
        model = None if sample.propensity is not None else self._propensity_model(sample, design)
        e = sample.propensity if model is None else model.predictions
        assert e is not None  # noqa: S101 - one of the two is there
        self.propensity_, self._model = e, model
        keep, e = supported(self.estimand, e, sample.codes, self.trim, sample.arms.levels)
        unit = (np.ones(len(sample)) if sample.w is None else sample.w) * (1.0 if keep is None else keep)
        values, contributions, _ = hajek_means(plan, sample.y, sample.codes, e, unit)
        how = "influence function, propensity taken as known (cross-fitted, penalised or given), normal law"
        fitted_linear = model is not None and model.logistic is not None
        if model is not None and model.logistic is not None and self.cv is None:
            contributions += propensity_correction(
                plan, contributions, sample.codes, e, design, model.logistic, sample.w
            )
            how = "influence function, estimation of the logistic propensity included, normal law"
        self.weights_ = np.zeros(len(self.used_))
        self.weights_[self.used_] = arm_weights(self.estimand, sample.codes, e, unit)
        checks, warned = self.overlap(sample, e, self.estimand, keep)
        if model is not None:
            checks["nuisance"] = nuisances.report(None, model, sample.arms.levels)
        n_trimmed, about, notes = trimmed(len(sample), keep, self.trim)
        if self.estimand in BOUNDED and not n_trimmed:
            about = BOUNDED[self.estimand]
        self.effect_ = self.finish(
            sample,
            plan,
            values,
            contributions,
            estimand=in_words(self.estimand, sample.treatment, sample.outcome),
            std_error_method=how,
            diagnostics=checks,
            warned=[*warned, *notes, *(collinear(sample, design.dropped) if fitted_linear else [])],
            population=about,
            facts={"n_trimmed": n_trimmed},
        )
        return self

    def score(self, X: Any, y: Any = None, treatment: Any = None, sample_weight: Any = None) -> float:
        """Minus the largest standardised mean difference under the weights the fitted model gives the held-out rows."""
        check_is_fitted(self, "effect_")
        held_out = self.held_out(X, y, treatment, sample_weight, outcome=False)
        if self._model is None:
            raise CausalArgumentError("with known propensities there is no model to score")
        Z, codes = held_out.X, held_out.codes
        return -largest_difference(Z, codes, arm_weights(self.estimand, codes, self._model.on(Z), held_out.w))

    def _propensity_model(self, sample: Sample, design: Design) -> Nuisance:
        """Fit the propensity on all rows, or cross-fit it."""
        K = len(sample.arms)
        rng = np.random.default_rng(self.random_state)
        folds = None
        if self.cv is not None:
            folds = draw_folds(self.cv, sample.inputs, sample.arms, rng, sample.cluster[0] if sample.cluster else None)
        seed = int(rng.integers(2**31 - 1))
        return nuisances.in_label_order(
            nuisances.fit_propensity,
            sample.inputs.index,
            self.propensity_model,
            sample.X,
            None,
            sample.codes,
            K,
            folds,
            design=design,
            w=sample.w,
            columns=sample.columns,
            random_state=seed,
            n_jobs=self.n_jobs,
        )


class CovariateBalancingPropensity(ArmComparison):
    """Covariate balancing propensity score: a logistic propensity chosen so that its weights balance the covariates.

    Just identified, the coefficients solve the balance of the weighted means of every arm with the control's, exactly;
    over-identified, the scores of maximum likelihood are added and both are met as well as they can be (generalised
    method of moments), with Hansen's J in ``diagnostics["specification"]``. Rests on a propensity that is logistic in
    the covariates.

    Parameters
    ----------
    estimand : {"ATE", "ATT", "ATC"}
        For ATT and ATC the just identified weights are those of entropy balancing.
    over_identified : bool
    control : level, optional
        Reference arm.

    Attributes
    ----------
    effect_ : Effect
    propensity_ : ndarray (n, K)
    weights_ : ndarray (n,)
        Weight of every row of X, in its order.

    Notes
    -----
    The arms are balanced with each other, not with everyone: where the propensity is not logistic, the ATE is still
    right if the outcome is linear in the covariates with the same slopes in all arms. :class:`EntropyBalancing` does
    not need the same slopes.

    The error includes the estimation of the coefficients (their GMM influence). Over-identified, the moments are
    weighted by the model's own covariance at the same coefficients (continuous updating, as in the paper); fixed at
    maximum likelihood, as the reference implementation does by default, it left a bias of half a standard error at
    n = 1,000.

    References
    ----------
    Imai and Ratkovic (2014), "Covariate balancing propensity score", JRSS B 76, eq. (8) to (12), and section 4.1 for
    several arms.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "over_identified": FLAG,
    }

    def __init__(self, *, estimand: str = "ATE", over_identified: bool = False, control: Any = None) -> None:
        self.estimand = estimand
        self.over_identified = over_identified
        self.control = control

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        treatment: Any = None,
        cluster: Any = None,
        sample_weight: Any = None,
        propensity: Any = None,
        missing: str = "raise",
    ) -> CovariateBalancingPropensity:
        """Fit; the parameters are those of :meth:`AIPW.fit`. Known propensities are refused: nothing is left to fit."""
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
        if sample.propensity is not None:
            raise CausalArgumentError(
                "CovariateBalancingPropensity estimates the propensity; with known ones use IPW(), or"
                " EntropyBalancing(), which calibrates them to balance"
            )
        plan = plan_estimand(self.estimand, sample.arms, sample.treatment)
        lonely_categories(sample.inputs.covariates, sample.codes, len(sample.arms), self.estimand)
        self._design = design = Design.of(sample.X)
        fit = self._solve(sample, design)
        self._fit, codes = fit, sample.codes
        self.propensity_ = e = logistic_probabilities(design, fit.coefficients[None])
        supported(self.estimand, e, codes, None, sample.arms.levels)
        unit = np.ones(len(sample)) if sample.w is None else sample.w
        values, contributions, weights = hajek_means(plan, sample.y, codes, e, unit)
        slopes = weight_slopes(plan, contributions, e, design)
        contributions += balancing_influence(design, codes, self.estimand, fit, e, slopes, sample.w)
        self.weights_ = np.zeros(len(self.used_))
        self.weights_[self.used_] = arm_weights(self.estimand, codes, e, sample.w)
        checks, warned = self.overlap(sample, e, self.estimand)
        if self.estimand == "ATT" and len(sample.arms) > 2:
            by_contrast = contrast_weights(weights, "ATT", len(sample.arms))
            names, levels = sample.encoder.names, sample.arms.levels
            checks["balance"] = partial(balance, sample.X, names, codes, levels, by_contrast)
        checks["weights"] = partial(weight_summary, self.weights_[self.used_], codes, sample.arms.levels)
        if self.over_identified:
            checks["specification"] = _specification(fit)
        self.effect_ = self.finish(
            sample,
            plan,
            values,
            contributions,
            estimand=in_words(self.estimand, sample.treatment, sample.outcome),
            std_error_method="influence function, estimation of the balancing propensity included, normal law",
            diagnostics=checks,
            warned=[*warned, *collinear(sample, design.dropped)],
            assumptions=(*UNCONFOUNDED, "the log odds of treatment are linear in the covariates"),
            facts={"over_identified": self.over_identified},
        )
        return self

    def score(self, X: Any, y: Any = None, treatment: Any = None, sample_weight: Any = None) -> float:
        """Minus the largest standardised mean difference under the weights the fitted model gives the held-out rows."""
        check_is_fitted(self, "effect_")
        held_out = self.held_out(X, y, treatment, sample_weight, outcome=False)
        Z, codes = held_out.X, held_out.codes
        e = logistic_probabilities(self._design.on(Z), self._fit.coefficients[None])
        if self.estimand == "ATT" and len(self.arms_) > 2:
            arms = range(1, len(self.arms_))
            each = [np.where(codes == 0, e[:, t] / e[:, 0], 1.0) for t in arms]
            weights = np.column_stack(each) * (1.0 if held_out.w is None else held_out.w[:, None])
            return -largest_difference(Z, codes, weights)
        return -largest_difference(Z, codes, arm_weights(self.estimand, codes, e, held_out.w))

    def _solve(self, sample: Sample, design: Design) -> BalancingLogistic:
        """Fit the coefficients, from maximum likelihood on."""
        codes, levels = sample.codes, sample.arms.levels
        try:
            start = fit_logistic(design, codes, len(levels), w=sample.w).coefficients[-1]
        except OverlapError:
            raise OverlapError(
                "perfect separation: a linear score of the covariates splits the arms (or one category has one arm"
                " only), so no logistic propensity exists; leave out what decides treatment, or ask about the rows that"
                " overlap (IPW(estimand='ATO', propensity_model='ridge'))"
            ) from None
        try:
            return fit_balancing_logistic(design, codes, self.estimand, start, self.over_identified, sample.w)
        except NotBalanced as error:
            e = logistic_probabilities(design, error.coefficients[None])
            w = arm_weights(self.estimand, codes, np.maximum(e, 1e-12), sample.w)
            table = balance(sample.X, sample.encoder.names, codes, levels, w).table["smd_after"].abs()
            raise OverlapError(
                f"no logistic propensity balances the covariates: the nearest leaves {table.max():.2g} standard"
                f" deviations in {table.idxmax()}; leave out or coarsen what stands in the way, let a difference stand"
                " (StableBalancing(tolerance=0.1)), or ask about the rows that overlap (IPW(estimand='ATO'))"
            ) from None


def _specification(fit: BalancingLogistic) -> Check:
    """Hansen's test that the scores and the balance hold together."""
    from scipy.stats import chi2

    p = float(chi2.sf(fit.statistic, fit.df)) if fit.df > 0 else np.nan
    table = pd.DataFrame({"statistic": [fit.statistic], "df": [fit.df], "p_value": [p]}, index=["J"])
    return Check(
        None if np.isnan(p) else p > 0.05, table, f"likelihood and balance together: J {fit.statistic:.2f}, p {p:.3f}"
    )
