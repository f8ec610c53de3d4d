"""The covariate balancing propensity score: a logistic propensity fitted to the balance that its weights give.

Every moment is ``k_m(A, x) z`` with a scalar k of the arm and its propensities, z an intercept and the standardised
covariates: balance of an arm with the control, and, over-identified, the scores of maximum likelihood.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.adjustment.weighted_means import contrast_weights, hajek_means, weight_slopes
from pandas_causal.arms.balance import balance_score, largest_difference
from pandas_causal.arms.base import UNCONFOUNDED, ArmComparison
from pandas_causal.arms.estimands import in_words, plan_estimand
from pandas_causal.arms.overlap import arm_weights, weight_summary
from pandas_causal.arms.positivity import refuse_separation
from pandas_causal.arms.sample import Sample, collinear, supported
from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, OverlapError
from pandas_causal.inputs.parameters import FLAG, Legal
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.linear import StandardisedMatrix, fit_logistic, logistic_probabilities, softmax

__all__ = [
    "BalancingLogistic",
    "CovariateBalancingPropensity",
    "NotBalanced",
    "balancing_influence",
    "fit_balancing_logistic",
    "moment_factors",
]

_LARGEST = 1e12  # of a weight: beyond it there is no balance to speak of, and its squares lose the others


class NotBalanced(Exception):  # noqa: N818 - caught inside the package, where it becomes an OverlapError with names
    """No logistic propensity balances the covariates.

    Attributes
    ----------
    coefficients : ndarray (J, p)
        The nearest found.
    """

    def __init__(self, coefficients: Floats) -> None:
        super().__init__(coefficients)
        self.coefficients = coefficients


@dataclass(frozen=True, eq=False)
class BalancingLogistic:
    """A fitted covariate balancing propensity.

    Attributes
    ----------
    coefficients : ndarray (J, p)
        Of the rows of the design, the intercept first.
    projection : ndarray (J p, M p)
        ``(D' V D)^-1 D' V`` with D the derivative of the moments and V their weight: minus this times a row's moments
        is its influence on the coefficients.
    statistic : float
        Hansen's J of the moments beyond those needed; 0 where there are none.
    df : int
        Their number.
    """

    coefficients: Floats
    projection: Floats
    statistic: float
    df: int


def moment_factors(estimand: str, codes: Codes, propensity: Floats, over: bool) -> tuple[Floats, Floats]:
    """Factors k (n, M) of the moments and their slopes dk / d eta (n, M, J) in the linear predictors.

    Balance of arm a = 1, ..., J with the control: ``1{A = a} / e_a - 1{A = 0} / e_0`` (ATE),
    ``1{A = a} - 1{A = 0} e_a / e_0`` (ATT), ``1{A = 0} - 1{A = a} e_0 / e_a`` (ATC). With `over` the scores
    ``1{A = b} - e_b`` follow.

    References
    ----------
    Imai and Ratkovic (2014), JRSS B 76, eq. (8) to (10), and section 4.1 for several arms.
    """
    n, K = propensity.shape
    J = K - 1
    M = 2 * J if over else J
    k, slope = np.zeros((n, M)), np.zeros((n, M, J))
    e0, control = propensity[:, 0], (codes == 0).astype(float)
    for a in range(1, K):
        in_arm, ea, at = (codes == a).astype(float), propensity[:, a], a - 1
        if estimand == "ATE":
            k[:, at] = in_arm / ea - control / e0
            slope[:, at] = k[:, at, None] * propensity[:, 1:]
            slope[:, at, at] -= in_arm / ea
        elif estimand == "ATT":
            k[:, at] = in_arm - control * ea / e0
            slope[:, at, at] = -control * ea / e0
        else:
            k[:, at] = control - in_arm * e0 / ea
            slope[:, at, at] = in_arm * e0 / ea
        if over:
            k[:, J + at] = in_arm - ea
            slope[:, J + at] = ea[:, None] * propensity[:, 1:]
            slope[:, J + at, at] -= ea
    return k, slope


def _moments(
    design: StandardisedMatrix, codes: Codes, estimand: str, beta: Floats, over: bool, w: Floats | None
) -> tuple[Floats, Floats]:
    """Sums of the moments (M p,) and of their derivatives (M p, J p) at beta."""
    J, p = beta.shape
    M = 2 * J if over else J
    total, D = np.zeros((M, p)), np.zeros((M, p, J, p))
    for at, Z in design.blocks():
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # steps that lead too far are taken back
            k, slope = moment_factors(estimand, codes[at], softmax(Z @ beta.T), over)
        if w is not None:
            k, slope = k * w[at][:, None], slope * w[at][:, None, None]
        if not (np.abs(k) < _LARGEST).all():
            return np.full(M * p, np.inf), np.full((M * p, J * p), np.nan)
        total += k.T @ Z
        for m in range(M):
            for b in range(J):
                D[m, :, b, :] += (Z * slope[:, m, b][:, None]).T @ Z
    return total.ravel(), D.reshape(M * p, J * p)


def moment_covariance(design: StandardisedMatrix, estimand: str, beta: Floats, w: Floats | None) -> Floats:
    """Sum over rows of the covariance of all moments given x (2 J p, 2 J p), the arm averaged out.

    References
    ----------
    Imai and Ratkovic (2014), eq. (12): the weight of the moments uses the model's own distribution of the arm.
    """
    J, p = beta.shape
    out = np.zeros((2 * J, p, 2 * J, p))
    for at, Z in design.blocks():
        e = softmax(Z @ beta.T)
        factor = np.zeros((len(Z), 2 * J, 2 * J))
        for c in range(J + 1):
            k, _ = moment_factors(estimand, np.full(len(Z), c), e, True)
            factor += e[:, c, None, None] * k[:, :, None] * k[:, None, :]
        if w is not None:
            factor *= w[at][:, None, None]
        for m in range(2 * J):
            for j in range(m + 1):
                out[m, :, j, :] += (Z * factor[:, m, j][:, None]).T @ Z
                out[j, :, m, :] = out[m, :, j, :].T
    return out.reshape(2 * J * p, 2 * J * p)


def fit_balancing_logistic(
    design: StandardisedMatrix, codes: Codes, estimand: str, start: Floats, over: bool = False, w: Floats | None = None
) -> BalancingLogistic:
    """Fit by the generalised method of moments.

    Just identified, the balance moments are solved by Newton steps, halved until the sum of their squares falls. Over-
    identified, ``g' V g`` is minimised with V the inverse of the moments' covariance at the same coefficients
    (continuous updating, as in the paper: fixing V at maximum likelihood leaves a bias of half a standard error at
    n = 1,000).

    Parameters
    ----------
    design : StandardisedMatrix
    codes : ndarray (n,)
    estimand : {"ATE", "ATT", "ATC"}
    start : ndarray (J, p)
        The maximum likelihood coefficients.
    over : bool
    w : ndarray (n,), optional

    Raises
    ------
    NotBalanced
        If the moments have no solution.

    References
    ----------
    Imai and Ratkovic (2014), "Covariate balancing propensity score", JRSS B 76, section 2 and 3; Hansen, Heaton and
    Yaron (1996), JBES 14, for continuous updating.
    """
    if over:
        return _continuous_updating(design, codes, estimand, start, w)
    beta = start
    g, D = _moments(design, codes, estimand, beta, False, w)
    for _ in range(100):
        if not np.isfinite(D).all() or np.abs(beta).max() > 200:
            break
        step = -(np.linalg.pinv(D, rcond=1e-14) @ g).reshape(beta.shape)
        if np.abs(step).max() < 1e-8 * max(1.0, float(np.abs(beta).max())):
            beta = beta + step
            _, D = _moments(design, codes, estimand, beta, False, w)
            return BalancingLogistic(beta, np.asarray(np.linalg.pinv(D, rcond=1e-14)), 0.0, 0)
        scale = 1.0
        while True:
            trial = _moments(design, codes, estimand, beta + scale * step, False, w)
            if np.isfinite(trial[0]).all() and trial[0] @ trial[0] < g @ g:
                break
            scale /= 2
            if scale < 1e-6:
                raise NotBalanced(beta)
        beta, (g, D) = beta + scale * step, trial
    raise NotBalanced(beta)


class _Objective(NamedTuple):
    """``g' V g / 2`` at some coefficients: its value, its gradient (J p,), V, and the moments' derivative D."""

    value: float
    gradient: Floats
    inverse_covariance: Floats
    derivative: Floats


def _objective(design: StandardisedMatrix, codes: Codes, estimand: str, beta: Floats, w: Floats | None) -> _Objective:
    """The objective of continuous updating at beta.

    With prices ``r = V g`` the gradient is ``D' r`` less half the derivative of ``r' V^-1 r``, r held fixed.
    """
    g, D = _moments(design, codes, estimand, beta, True, w)
    if not np.isfinite(g).all():
        return _Objective(np.inf, g, D, D)
    V = _inverse_covariance(moment_covariance(design, estimand, beta, w))
    J, p = beta.shape
    r = (V @ g).reshape(2 * J, p)
    moved = np.zeros((J, p))
    for at, Z in design.blocks():
        e, u = softmax(Z @ beta.T), Z @ r.T
        change = np.zeros((len(Z), J))
        for c in range(J + 1):
            k, slope = moment_factors(estimand, np.full(len(Z), c), e, True)
            price, bend = (k * u).sum(axis=1), np.einsum("nm,nmj->nj", u, slope)
            change += (e[:, c] * price)[:, None] * (price[:, None] * ((np.arange(J) + 1 == c) - e[:, 1:]) + 2 * bend)
        moved += (change if w is None else change * w[at][:, None]).T @ Z
    return _Objective(0.5 * float(g @ V @ g), D.T @ r.ravel() - 0.5 * moved.ravel(), V, D)


def _continuous_updating(
    design: StandardisedMatrix, codes: Codes, estimand: str, start: Floats, w: Floats | None
) -> BalancingLogistic:
    """Minimise by quasi-Newton steps (BFGS) that start from the curvature ``D' V D``."""
    beta = start
    value, gradient, V, D = _objective(design, codes, estimand, beta, w)
    if not np.isfinite(value):
        raise NotBalanced(start)
    inverse: Floats = np.asarray(np.linalg.pinv(D.T @ V @ D, rcond=1e-14, hermitian=True), dtype=np.float64)
    last = np.inf
    for _ in range(500):
        step = -(inverse @ gradient)
        size = float(np.abs(step).max())
        small = size < 1e-6 * max(1.0, float(np.abs(beta).max()))
        if small and (size < 1e-12 or size >= last):  # down to rounding
            # moments that others repeat add no restriction
            df = int(np.linalg.matrix_rank(_correlation(V), tol=1e-8, hermitian=True)) - beta.size
            projection = np.linalg.pinv(D.T @ V @ D, rcond=1e-14, hermitian=True) @ D.T @ V
            return BalancingLogistic(beta, np.asarray(projection), 2 * value, df)
        last = size if small else np.inf
        scale = 1.0
        while True:
            trial = _objective(design, codes, estimand, beta + scale * step.reshape(beta.shape), w)
            # so near that rounding hides the descent, a step is judged by the next one
            if small or trial[0] <= value + 1e-4 * scale * float(gradient @ step):
                break
            scale /= 2
            if scale < 1e-8:
                raise NotBalanced(beta)
        beta = beta + scale * step.reshape(beta.shape)
        inverse = _updated(inverse, scale * step, trial[1] - gradient)
        value, gradient, V, D = trial
    raise NotBalanced(beta)


def _updated(inverse: Floats, step: Floats, change: Floats) -> Floats:
    """BFGS update of an inverse curvature (Nocedal and Wright 2006, eq. 6.17); none where the slope did not rise."""
    rise = float(step @ change)
    if rise <= 1e-14 * float(np.abs(step) @ np.abs(change)):
        return inverse
    left = np.eye(len(step)) - np.outer(step, change) / rise
    return np.asarray(left @ inverse @ left.T + np.outer(step, step) / rise)


def _correlation(matrix: Floats) -> Floats:
    root = np.sqrt(np.maximum(np.diag(matrix), np.finfo(float).tiny))
    return np.asarray(matrix / np.outer(root, root))


def _inverse_covariance(covariance: Floats) -> Floats:
    """Pseudo-inverse on the scale of correlations: moments that others repeat (no covariate at all) count once."""
    root = np.sqrt(np.diag(covariance))
    scaled = np.linalg.pinv(_correlation(covariance), rcond=1e-11, hermitian=True)
    return np.asarray(scaled / np.outer(root, root))


def balancing_influence(
    design: StandardisedMatrix,
    codes: Codes,
    estimand: str,
    fit: BalancingLogistic,
    propensity: Floats,
    slopes: Floats,
    w: Floats | None = None,
) -> Floats:
    """Contributions (n, k) that the estimation of the coefficients adds to means with these slopes (k, J, p).

    References
    ----------
    Hansen (1982), Econometrica 50: the influence of a GMM estimate, its weight matrix taken as fixed.
    """
    k, J, p = slopes.shape
    path = -(slopes.reshape(k, J * p) @ fit.projection).reshape(k, -1, p)
    out = np.empty((len(codes), k))
    for at, Z in design.blocks():
        factor, _ = moment_factors(estimand, codes[at], propensity[at], path.shape[1] > J)
        if w is not None:
            factor = factor * w[at][:, None]
        out[at] = np.einsum("nm,nkm->nk", factor, np.einsum("kmp,np->nkm", path, Z))
    return out - out.mean(axis=0)  # over-identified, the moments' sum is near zero and not zero


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
    formula : str, optional
        Right-hand side that makes the covariates: see :class:`ArmComparison`.

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

    def __init__(
        self,
        *,
        estimand: str = "ATE",
        over_identified: bool = False,
        control: Hashable = None,
        formula: str | None = None,
    ) -> None:
        self.estimand = estimand
        self.over_identified = over_identified
        self.control = control
        self.formula = formula

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
        refuse_separation(sample.inputs.covariates, sample.codes, sample.arms.levels, self.estimand)
        self._design = design = StandardisedMatrix.of(sample.X)
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
        checks, warned = self.overlap(sample, e, self.estimand, judged=True)
        by_contrast = self.weights_[self.used_]
        if self.estimand == "ATT" and len(sample.arms) > 2:
            by_contrast = contrast_weights(weights, "ATT", len(sample.arms))
            checks["balance"] = partial(sample.balance, by_contrast)
        checks["squares"] = partial(sample.balance_of_squares, by_contrast)
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

    def score(
        self, X: Covariates, y: Outcome = None, treatment: RoleLike = None, sample_weight: RoleLike = None
    ) -> float:
        """Minus the largest standardised mean difference under the weights the fitted model gives the held-out rows."""
        check_is_fitted(self, "effect_")
        held_out = self.held_out(X, y, treatment, sample_weight, outcome=False)
        Z, codes = held_out.X, held_out.codes
        e = logistic_probabilities(self._design.on(Z), self._fit.coefficients[None])
        if self.estimand == "ATT" and len(self.arms_) > 2:
            arms = range(1, len(self.arms_))
            each = [np.where(codes == 0, e[:, t] / e[:, 0], 1.0) for t in arms]
            weights = np.column_stack(each) * (1.0 if held_out.w is None else held_out.w[:, None])
        else:
            weights = arm_weights(self.estimand, codes, e, held_out.w)
        return balance_score(Z, self.encoder_.every_level, lambda X: largest_difference(X, codes, weights))

    def _solve(self, sample: Sample, design: StandardisedMatrix) -> BalancingLogistic:
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
            table = sample.balance(w).table["smd_after"].abs()
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
