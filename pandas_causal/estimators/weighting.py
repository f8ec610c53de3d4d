"""Weighting: inverse-probability weights that make the arms alike, then compare weighted means."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from pandas_causal import nuisance as nuisances
from pandas_causal.diagnostics.balance import largest_difference
from pandas_causal.diagnostics.overlap import arm_weights
from pandas_causal.errors import CausalArgumentError
from pandas_causal.estimands import ESTIMANDS, Plan, in_words, plan_estimand, tilt
from pandas_causal.estimators.base import CausalEstimator
from pandas_causal.estimators.sample import Sample, collinear, supported, trimmed
from pandas_causal.linear_models import Design, Logistic, invert_gram
from pandas_causal.model_selection import draw_folds
from pandas_causal.nuisance import Nuisance

__all__ = ["IPW"]

Floats = NDArray[np.float64]


def hajek_means(
    plan: Plan, y: Floats, codes: NDArray[np.integer[Any]], propensity: Floats, unit: Floats
) -> tuple[Floats, Floats, Floats]:
    """Normalised weighted means with their contributions at known propensities.

    ``mu = sum W y / sum W`` with ``W = unit 1{A = a} h(x) / e_a(x)``.

    Parameters
    ----------
    plan : Plan
    y : ndarray (n,)
    codes : ndarray (n,)
    propensity : ndarray (n, K)
    unit : ndarray (n,)
        Sample weight, zero for rows trimmed.

    Returns
    -------
    values : ndarray (k,)
    contributions : ndarray (n, k)
        ``W (y - mu) / sum W``.
    weights : ndarray (n, k)
        ``W / sum W``.

    References
    ----------
    Hajek (1971); Lunceford and Davidian (2004), Statistics in Medicine, eq. (5) and (18).
    """
    k = len(plan.targets)
    values, weights = np.empty(k), np.empty((len(y), k))
    for j, (population, a) in enumerate(plan.targets):
        w = np.where(codes == a, unit * tilt(plan.estimand, population, propensity) / propensity[:, a], 0.0)
        weights[:, j] = w / w.sum()
        values[j] = weights[:, j] @ y
    return values, weights * (y[:, None] - values), weights


def propensity_correction(
    plan: Plan,
    contributions: Floats,
    codes: NDArray[np.integer[Any]],
    propensity: Floats,
    design: Design,
    fit: Logistic,
    w: Floats | None,
) -> Floats:
    """Contributions (n, k) that the estimation of a logistic propensity adds.

    With linear predictors eta_b, ``d log W / d eta_b`` is ``e_b - 1{a = b}`` (ATE), ``1{t = b} - 1{a = b}``
    (population t) or ``h / e_b - 1{a = b}`` (overlap). The mean moves by ``G = sum contributions d log W / d eta x'``
    times the influence of the coefficients, ``information^-1 x (1{A = b} - e_b)``.

    References
    ----------
    Lunceford and Davidian (2004), Statistics in Medicine, eq. (19): M-estimation of weights and means together.
    """
    k, J = len(plan.targets), propensity.shape[1] - 1
    G = np.zeros((k, J, design.p))
    for at, Z in design.blocks():
        e = propensity[at]
        for j, (population, a) in enumerate(plan.targets):
            for b in range(1, J + 1):
                if population is not None:
                    slope = np.full(len(Z), float(population == b) - float(a == b))
                elif plan.estimand == "ATO":
                    slope = tilt("ATO", None, e) / e[:, b] - float(a == b)
                else:
                    slope = e[:, b] - float(a == b)
                G[j, b - 1] += (contributions[at, j] * slope) @ Z
    path = G.reshape(k, -1) @ invert_gram(fit.information)
    out = np.empty((len(codes), k))
    for at, Z in design.blocks():
        residual = (codes[at][:, None] == np.arange(1, J + 1)) - propensity[at, 1:]
        if w is not None:
            residual *= w[at][:, None]
        projected = np.einsum("jbp,np->njb", path.reshape(k, J, design.p), Z)
        out[at] = np.einsum("njb,nb->nj", projected, residual)
    return out


class IPW(CausalEstimator):
    """Inverse-probability weighting with normalised (Hajek) weights.

    Estimates the propensity of every arm, weights every row by ``h(x) / e(x)`` and compares weighted means. Rests on no
    unmeasured confounding, overlap, and a right propensity model.

    Parameters
    ----------
    estimand : {"ATE", "ATT", "ATC", "ATO"}
        ATO: overlap weights, the population in which the arms are most alike; never extreme.
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
    Hajek (1971); Lunceford and Davidian (2004), Statistics in Medicine; Li, Morgan and Zaslavsky (2018), JASA.
    """

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
        sample = self._prepare(
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
        checks, warned = self._overlap(sample, e, self.estimand, keep)
        if model is not None:
            checks["nuisance"] = nuisances.report(None, model, sample.arms.levels)
        n_trimmed, about, notes = trimmed(len(sample), keep, self.trim)
        if self.estimand == "ATO" and not n_trimmed:
            about = "the overlap population: rows weighted by how undecided their treatment was"
        self.effect_ = self._finish(
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
        held_out = self._held_out(X, y, treatment, sample_weight, outcome=False)
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
