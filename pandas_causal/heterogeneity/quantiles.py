"""Quantiles of the outcome under every arm, and what treatment does to them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pandas_causal.arms.base import UNCONFOUNDED, ArmComparison
from pandas_causal.arms.estimands import ESTIMANDS, EstimandPlan, plan_estimand, target_density, target_share
from pandas_causal.arms.sample import Sample, supported
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.heterogeneity.nuisances import NuisanceModels, fit_arm_propensity
from pandas_causal.inputs.parameters import SHARE, Legal
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.folds import draw_folds
from pandas_causal.models.nuisance import fit_outcome, in_label_order, is_linear

__all__ = ["QUANTILES", "QuantileEffects", "checked_quantiles", "corrected_quantile", "weighted_density"]

QUANTILES = tuple(np.linspace(0.1, 0.9, 9).round(2))


def corrected_quantile(y: Floats, weights: Floats, target: float) -> float:
    """Smallest value below which the weights of the rows reach a target sum.

    Parameters
    ----------
    y : ndarray (n,)
    weights : ndarray (n,), not negative
    target : float
        Between 0 and the sum of the weights; beyond them the end of the rows is taken.
    """
    order = np.argsort(y, kind="stable")
    order = order[weights[order] > 0]
    reached = np.cumsum(weights[order])
    k = int(np.searchsorted(reached, target * (1 - 1e-12)))
    return float(y[order[min(k, len(order) - 1)]])


def weighted_density(y: Floats, weights: Floats, at: float) -> float:
    """Density of a weighted sample at a point, by a normal kernel with Silverman's bandwidth; of one value infinite."""
    used = weights > 0
    y, w = y[used], weights[used] / weights[used].sum()
    mean = float(w @ y)
    deviation = float(np.sqrt(w @ np.square(y - mean)))
    quarter, three = (corrected_quantile(y, w, q) for q in (0.25, 0.75))
    spread = min(deviation, (three - quarter) / 1.349) or deviation
    if not spread:
        return np.inf
    h = 0.9 * spread * (1 / np.square(w).sum()) ** -0.2
    return float(w @ np.exp(-0.5 * np.square((y - at) / h)) / (h * np.sqrt(2 * np.pi)))


def checked_quantiles(given: ArrayLike, sample: Sample, *, judge: bool) -> list[float]:
    """Quantiles as a list; with `judge`, an outcome of few values is refused.

    Raises
    ------
    CausalArgumentError
        For numbers that repeat, or not between 0 and 1.
    CausalDataError
        For an outcome of fewer than 10 values.
    """
    try:
        quantiles = np.atleast_1d(np.asarray(given, dtype=float))
    except (TypeError, ValueError):
        quantiles = np.empty(0)
    distinct = len(np.unique(quantiles)) == len(quantiles)
    if quantiles.ndim != 1 or not len(quantiles) or not distinct or not ((quantiles > 0) & (quantiles < 1)).all():
        raise CausalArgumentError(
            f"quantiles must be different numbers between 0 and 1, e.g. [0.25, 0.5, 0.75]; got {given!r}"
        )
    values = len(np.unique(sample.y))
    if values < 10 and judge:
        raise CausalDataError(
            [
                Problem(
                    sample.outcome,
                    f"has {values} values, so that its quantiles jump",
                    None,
                    "compare means, or shares at or below a value: df.causal.ate",
                )
            ]
        )
    return [float(q) for q in quantiles]


class QuantileEffects(ArmComparison):
    r"""What treatment does to the quantiles of the outcome: their differences between arms, doubly robust.

    The quantile :math:`\theta` of the outcome under an arm solves
    :math:`E[1\{A = a\} (1\{Y \le \theta\} - F_a(\theta|X)) / e_a(X) + F_a(\theta|X)] = q`, with the probability F of
    an outcome that low learned out of fold at a first estimate of the quantile. Right if the propensity is, or F. A
    difference of quantiles is no quantile of differences: who stands where may change.

    Parameters
    ----------
    quantiles : array-like
        Between 0 and 1; 0.1, 0.2, ..., 0.9 by default.
    estimand : {"ATE", "ATT", "ATC"}
        Quantiles of everyone, of the treated, or of the controls.
    outcome_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn classifier
        Of an outcome below the quantile, in every arm.
    propensity_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn classifier
    cv : int, splitter or iterable of (train, test)
    clip : float
        Estimated propensities are bounded to [clip, 1 - clip].
    control : level, optional
    random_state : int or None
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
        A row per quantile (and contrast). ``effect.parameters`` holds the quantiles themselves, by arm.
    folds_ : ndarray (n,)
    propensity_ : ndarray (n, K)

    References
    ----------
    Firpo (2007), "Efficient semiparametric estimation of quantile treatment effects", Econometrica 75, eq. (5) and
    theorem 1; Kallus, Mao and Uehara (2024), "Localized debiased machine learning", JMLR 25, for the first estimate.
    """

    curve: ClassVar[bool] = True
    compares_means: ClassVar[bool] = False  # not the means of two arms, which E-values are of
    legal: ClassVar[Mapping[str, Legal]] = {"clip": SHARE}

    def __init__(
        self,
        *,
        quantiles: ArrayLike = QUANTILES,
        estimand: str = "ATE",
        outcome_model: Model = "ridge",
        propensity_model: Model = "auto",
        cv: object = 5,
        clip: float = 0.01,
        control: Hashable = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.quantiles = quantiles
        self.estimand = estimand
        self.outcome_model = outcome_model
        self.propensity_model = propensity_model
        self.cv = cv
        self.clip = clip
        self.control = control
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
        """Fit; the parameters are those of :meth:`AIPW.fit`."""
        sample = self.prepare(
            X, y, treatment=treatment, missing=missing, control=self.control, cluster=cluster,
            sample_weight=sample_weight, propensity=propensity,
        )  # fmt: skip
        quantiles = checked_quantiles(self.quantiles, sample, judge=self.checks_data)
        plan = plan_estimand(self.estimand, sample.arms, sample.treatment)
        rng = np.random.default_rng(self.random_state)
        folds = draw_folds(self.cv, sample.inputs, sample.arms, rng, sample.cluster[0] if sample.cluster else None)
        models = NuisanceModels(
            self.outcome_model, self.propensity_model, self.clip, int(rng.integers(2**31 - 1)), self.n_jobs
        )
        rows = sample.training_rows()
        fit = None if sample.propensity is not None else fit_arm_propensity(rows, folds, sample.inputs.index, models)
        raw = fit.predictions if fit is not None else sample.propensity
        assert raw is not None  # noqa: S101 - one of the two is there
        e = np.clip(raw, self.clip, 1 - self.clip) if fit is not None and self.clip else raw
        _, e = supported(self.estimand, e, sample.codes, None, sample.arms.levels)
        values, contributions = self._quantiles(sample, plan, quantiles, folds, e, models)
        checks, warned = self.overlap(
            sample, e, self.estimand, clipped=int((e != raw).any(axis=1).sum()), out_of_fold=fit is not None,
            unpenalised=is_linear(self.propensity_model, sample.X),
        )  # fmt: skip
        self.folds_, self.propensity_ = folds, e
        several = len(plan.index) > 1
        index: pd.Index = pd.Index(quantiles, name="quantile")
        if several:
            index = pd.MultiIndex.from_product([plan.index, quantiles], names=[sample.treatment, "quantile"])
        names = pd.Index([f"{name}, quantile {q:g}" for name in plan.names for q in quantiles], name="arm")
        whole = EstimandPlan(
            self.estimand, (), np.asarray(np.kron(plan.loadings, np.eye(len(quantiles))), dtype=np.float64),
            index, names,
        )  # fmt: skip
        who = ESTIMANDS[self.estimand].removeprefix("average treatment effect").strip()
        self.effect_ = self.finish(
            sample, whole, values, contributions,
            estimand=f"effect of {sample.contrast} on quantiles of {sample.outcome} {who}".strip(),
            std_error_method=f"influence function, cross-fitted in {int(folds.max()) + 1} folds, normal law",
            diagnostics=checks,
            warned=warned,
            assumptions=(*UNCONFOUNDED, "the outcome has a density at every quantile asked for"),
            facts={} if several else {"dose": "quantile"},
        )  # fmt: skip
        return self

    # -- private -----------------------------------------------------------------------------------------------------

    def _quantiles(
        self, sample: Sample, plan: EstimandPlan, quantiles: Sequence[float], folds: Codes, e: Floats,
        models: NuisanceModels,
    ) -> tuple[Floats, Floats]:  # fmt: skip
        """Quantiles of every mean of the plan, quantile by quantile, and contributions."""
        n, Q = len(sample), len(quantiles)
        w = np.ones(n) if sample.w is None else sample.w
        values, contributions = np.empty(len(plan.targets) * Q), np.empty((n, len(plan.targets) * Q))
        for population in dict.fromkeys(population for population, _ in plan.targets):
            own = [(j, a) for j, (of, a) in enumerate(plan.targets) if of == population]
            g = target_share(population, sample.codes, e, plan.estimand) * w
            h = target_density(plan.estimand, population, e) * w
            weights = {a: np.where(sample.codes == a, h / e[:, a], 0.0) for _, a in own}
            for k, q in enumerate(quantiles):
                first = {a: corrected_quantile(sample.y, v, q * v.sum()) for a, v in weights.items()}
                predicted = _at_or_below(sample, first, folds, models)
                for j, a in own:
                    weight, below = weights[a], predicted[:, a]
                    target = q * g.sum() - g @ below + weight @ below
                    theta = corrected_quantile(sample.y, weight, float(np.clip(target, 0.0, weight.sum())))
                    score = g * (below - q) + weight * ((sample.y <= theta) - below)
                    score -= score.mean()
                    values[j * Q + k] = theta
                    density = weighted_density(sample.y, weight, theta)
                    contributions[:, j * Q + k] = -score / (g.sum() * density)
        return values, contributions


def _at_or_below(sample: Sample, at: Mapping[int, float], folds: Codes, models: NuisanceModels) -> Floats:
    """Probability, in every arm, of an outcome at or below the arm's value (n, K), out of fold."""
    bound = np.array([at.get(a, np.inf) for a in range(len(sample.arms))])
    rows = replace(sample.training_rows(), y=(sample.y <= bound[sample.codes]).astype(float))
    fit = in_label_order(
        fit_outcome, sample.inputs.index, models.outcome, rows, folds, random_state=models.random_state,
        n_jobs=models.n_jobs,
    )  # fmt: skip
    return np.clip(fit.predictions, 0.0, 1.0)
