"""What a confounder that nobody measured does to an estimate, by how much it explains of treatment and of outcome.

For a regression coefficient the strengths are partial R2 (Cinelli and Hazlett 2020). In the debiased-ML form the same
bound holds of any estimate that is linear in a regression: its size is that of the outcome's residual times that of the
Riesz representer, the weight function that the estimate gives the outcomes (Chernozhukov et al. 2022).

References
----------
Cinelli and Hazlett (2020), "Making sense of sensitivity: extending omitted variable bias", JRSS B 82. Chernozhukov,
Cinelli, Newey, Sharma and Syrgkanis (2022), "Long story short: omitted variable bias in causal machine learning",
NBER working paper 30302.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pandas_causal.errors import CausalError
from pandas_causal.inference.influence import cluster_component
from pandas_causal.inference.reference import Student
from pandas_causal.inference.weak_instruments import is_indefinite
from pandas_causal.kernels.arrays import Codes, Floats, Positions

__all__ = [
    "BiasBounds",
    "ConfounderStrength",
    "LinearCoefficient",
    "RieszTerms",
    "ShortEstimate",
    "benchmark_strength",
    "group_partial_r2",
    "partially_linear_estimate",
    "robustness_from_ratio",
    "short_estimate",
]


class ConfounderStrength(NamedTuple):
    """What a confounder explains: of the treatment given the covariates, of the outcome given these and treatment."""

    r2_treatment: float
    r2_outcome: float


@dataclass(frozen=True)
class BiasBounds:
    """An estimate under a confounder: both ends of what it may be, their standard errors, and their law.

    Attributes
    ----------
    low, high : float
    std_error_low, std_error_high : float
    df : float
    """

    low: float
    high: float
    std_error_low: float
    std_error_high: float
    df: float

    def interval(self, level: float) -> tuple[float, float]:
        """Ends (low, high) that hold with the confidence level at either end."""
        critical = _critical(level, self.df)
        return self.low - critical * self.std_error_low, self.high + critical * self.std_error_high


def _critical(level: float, df: float) -> float:
    return float(Student().critical(level, np.array([df]))[0])


def robustness_from_ratio(ratio: float) -> float:
    """Strength r at which ``r / sqrt(1 - r)`` is a ratio; 0 where that is not positive.

    Cinelli and Hazlett (2020), eq. (20): ``r = (sqrt(ratio^4 + 4 ratio^2) - ratio^2) / 2``.
    """
    if not ratio > 0:
        return 0.0
    square = ratio * ratio
    # the same without the difference of two numbers that are nearly equal where the ratio is large
    return float(2 * square / (np.sqrt(square * square + 4 * square) + square))


@dataclass(frozen=True)
class LinearCoefficient:
    """A coefficient of least squares, its classical standard error and residual degrees of freedom.

    The bias of a confounder is ``se sqrt(df) sqrt(r2_outcome r2_treatment / (1 - r2_treatment))`` (eq. 14), the
    standard error with it ``se sqrt((1 - r2_outcome) / (1 - r2_treatment)) sqrt(df / (df - 1))`` (eq. 15).
    """

    estimate: float
    std_error: float
    df: float

    @property
    def statistic(self) -> float:
        """The t statistic."""
        return self.estimate / self.std_error

    def partial_r2(self) -> float:
        """Partial R2 of treatment with outcome: ``t^2 / (t^2 + df)``."""
        square = self.statistic**2
        return square / (square + self.df)

    def bounds(self, strength: ConfounderStrength, rho: float = 1.0) -> BiasBounds:
        """The coefficient and its error with a confounder of this strength, in either direction."""
        d, y = strength
        bias = abs(rho) * self.std_error * np.sqrt(self.df * y * d / (1 - d))
        error = self.std_error * np.sqrt((1 - y) / (1 - d) * self.df / (self.df - 1))
        return BiasBounds(self.estimate - bias, self.estimate + bias, error, error, self.df - 1)

    def _ratio(self, null: float) -> float:
        return abs(self.estimate - null) / self.std_error / float(np.sqrt(self.df))

    def robustness(self, null: float = 0.0, level: float | None = None, rho: float = 1.0) -> float:
        """Strength that moves the estimate to `null`, or, with a level, makes its interval reach it.

        Where the strongest pull on t needs less of the outcome than of the treatment, that is the one counted (Cinelli
        and Hazlett 2025, "An omitted variable bias framework for sensitivity analysis of instrumental variables",
        Biometrika, appendix).
        """
        ratio, margin, rho = self._ratio(null), 0.0 if level is None else self._margin(level), abs(rho)
        if ratio <= margin:
            return 0.0
        if ratio * margin > rho**2:
            return self.extreme_robustness(null, level, rho)
        return robustness_from_ratio((ratio - margin) / rho)

    def extreme_robustness(self, null: float = 0.0, level: float | None = None, rho: float = 1.0) -> float:
        """Share of the treatment that suffices, explained by a confounder that may explain all of the outcome."""
        ratio, margin = self._ratio(null), 0.0 if level is None else self._margin(level)
        return float(max(ratio**2 - margin**2, 0.0) / (rho**2 + ratio**2))

    def _margin(self, level: float) -> float:
        return _critical(level, self.df - 1) / float(np.sqrt(self.df - 1))


@dataclass(frozen=True, eq=False)
class RieszTerms:
    """What bounds the bias of a debiased estimate: outcome residuals and Riesz representers of its parameters.

    The representer of a mean under arm a is ``h(x) / e_a(x)`` in rows of that arm and 0 in others, over the size of the
    population; that of a contrast the same contrast of these.

    Attributes
    ----------
    residual : ndarray (n,)
        Outcome less its regression, in the row's own arm.
    arms : ndarray (n,)
    arm_of : ndarray (k,)
        Arm of every parameter.
    density : ndarray (n, k)
        Representer that a row would have in the parameter's arm.
    membership : ndarray (n, k)
        Weight of a row in the parameter's population, with mean 1.
    weight : ndarray (n,)
        Weights of the rows, with mean 1; 0 for those that are trimmed.
    """

    residual: Floats
    arms: Codes
    arm_of: Positions
    density: Floats
    membership: Floats
    weight: Floats

    def of(self, loadings: Floats) -> tuple[Floats, Floats]:
        """Scores (n,) whose means are ``E[residual^2]`` and ``E[alpha^2]`` of a contrast (k,) of the parameters.

        ``E[alpha^2] = E[2 m(alpha) - alpha^2]``, m the contrast applied to alpha as a function of arm and covariates:
        the mistake of an estimated alpha enters squared only.
        """
        second = np.zeros(len(self.density))
        for arm in np.unique(self.arm_of):
            own = np.flatnonzero(self.arm_of == arm)
            alpha = self.density[:, own] @ loadings[own]
            wanted = self.membership[:, own] @ loadings[own]
            second += 2 * wanted * alpha
            inside = self.arms == arm
            second[inside] -= np.square(alpha[inside])
        return np.square(self.residual), second


@dataclass(frozen=True, eq=False)
class ShortEstimate:
    """An estimate without the confounder, and the size ``S`` that bounds its bias: ``|bias| <= S sqrt(strength)``.

    Attributes
    ----------
    estimate, std_error, df : float
    size : float
        ``S = sqrt(E[residual^2] E[alpha^2])``.
    outcome_variance, representer_variance : float
        The two under the root.
    size_variance, covariance : float
        Variance of S, and its covariance with the estimate.
    """

    estimate: float
    std_error: float
    df: float
    size: float
    outcome_variance: float
    representer_variance: float
    size_variance: float
    covariance: float

    def _ends(self, factor: float) -> BiasBounds:
        spread = self.std_error**2 + factor**2 * self.size_variance
        low, high = (np.sqrt(max(spread + sign * 2 * factor * self.covariance, 0.0)) for sign in (-1, 1))
        bias = factor * self.size
        return BiasBounds(self.estimate - bias, self.estimate + bias, float(low), float(high), self.df)

    def bounds(self, strength: ConfounderStrength, rho: float = 1.0) -> BiasBounds:
        """The estimate with a confounder: ``estimate -+ |rho| S sqrt(r2_outcome r2_treatment / (1 - r2_treatment))``.

        `r2_outcome` is the share of the residual outcome that the confounder explains, `r2_treatment` the share by
        which it raises the variance of the representer, one less the ratio of without to with.
        """
        d, y = strength
        return self._ends(abs(rho) * float(np.sqrt(y * d / (1 - d))))

    def robustness(self, null: float = 0.0, level: float | None = None, rho: float = 1.0) -> float:
        """Strength that moves the estimate to `null`, or, with a level, makes its interval reach it."""
        distance = abs(self.estimate - null)
        if level is None:
            return robustness_from_ratio(distance / self.size / abs(rho))
        critical = _critical(level, self.df)
        above = self.estimate > null

        def margin(factor: float) -> float:
            at = self._ends(factor)
            error = at.std_error_low if above else at.std_error_high
            return distance - factor * self.size - critical * error

        if margin(0.0) <= 0:
            return 0.0
        from scipy.optimize import brentq

        factor = brentq(margin, 0.0, distance / self.size, xtol=1e-14, rtol=1e-14)
        return robustness_from_ratio(float(factor) / abs(rho))

    def extreme_robustness(self, null: float = 0.0, level: float | None = None, rho: float = 1.0) -> float:
        """Strength of the treatment that suffices where the confounder explains all that is left of the outcome."""
        r = self.robustness(null, level, rho)
        square = r * r / (1 - r) if r < 1 else np.inf  # the squared ratio
        return float(square / (1 + square)) if np.isfinite(square) else 1.0


def short_estimate(
    terms: RieszTerms,
    loadings: Floats,
    *,
    estimate: float,
    std_error: float,
    df: float,
    contributions: Floats,
    clustering: Sequence[NDArray[np.generic]] = (),
) -> ShortEstimate:
    """The size that bounds the bias of one contrast of parameters, with how it varies beside the estimate.

    Parameters
    ----------
    terms : RieszTerms
    loadings : ndarray (k,)
        The contrast.
    estimate, std_error, df : float
    contributions : ndarray (n,)
        Of the estimate.
    clustering : sequence of arrays (n,)
        Labels that the estimate's error is clustered by.
    """
    first, second = terms.of(loadings)
    w, n = terms.weight, len(terms.weight)
    sigma2, nu2 = float(w @ first) / n, float(w @ second) / n
    # populations whose size is estimated: alpha is divided by it, and by its square nu2
    share = np.abs(loadings) / np.abs(loadings).sum()
    size_of_population = terms.membership @ share - 1
    by_outcome = w * (first - sigma2) / n
    by_representer = w * (second - nu2 - 2 * nu2 * size_of_population) / n
    S = float(np.sqrt(sigma2 * nu2)) if sigma2 > 0 and nu2 > 0 else np.nan
    of_size = (sigma2 * by_representer + nu2 * by_outcome) / (2 * S)
    both = np.column_stack([contributions, of_size])
    meat = cluster_component(both, clustering, p=1).meat if len(clustering) else both.T @ both
    _refuse_indefinite(meat)
    return ShortEstimate(estimate, std_error, df, S, sigma2, nu2, float(meat[1, 1]), float(meat[0, 1]))


def partially_linear_estimate(
    y: Floats, d: Floats, w: Floats | None = None, clustering: Sequence[NDArray[np.generic]] = ()
) -> ShortEstimate:
    """The coefficient of a partially linear model, of outcome and treatment less their cross-fitted means.

    ``theta = E[d y] / E[d^2]``, whose representer is ``d / E[d^2]``.

    Parameters
    ----------
    y, d : ndarray (n,)
        Residuals of outcome and treatment.
    w : ndarray (n,), optional
    clustering : sequence of arrays (n,)
    """
    n = len(y)
    unit = np.ones(n) if w is None else w * (n / w.sum())
    square = float(unit @ np.square(d)) / n
    theta = float(unit @ (d * y)) / n / square
    residual, nu2 = y - theta * d, 1 / square
    sigma2 = float(unit @ np.square(residual)) / n
    S = float(np.sqrt(sigma2 * nu2))
    of_theta = unit * d * residual * nu2 / n
    by_outcome, by_representer = np.square(residual) - sigma2, nu2 - np.square(d) * nu2**2
    of_size = unit * (sigma2 * by_representer + nu2 * by_outcome) / (2 * S) / n
    both = np.column_stack([of_theta, of_size])
    component = cluster_component(both, clustering, p=1) if len(clustering) else None
    meat, df = (both.T @ both, np.inf) if component is None else (component.meat, component.df)
    _refuse_indefinite(meat)
    error = float(np.sqrt(meat[0, 0]))
    return ShortEstimate(theta, error, df, S, sigma2, nu2, float(meat[1, 1]), float(meat[0, 1]))


def _refuse_indefinite(meat: Floats) -> None:
    """Refuse a covariance of estimate and size with negative variances, as several ways of clusters may leave."""
    if is_indefinite(meat):
        raise CausalError(
            "clustered by several ways the estimate and what bounds its bias have no covariance (it has negative"
            " variances): cluster one way, by the level at which treatment was assigned"
        )


# -- benchmarks --------------------------------------------------------------------------------------------------------


def group_partial_r2(
    bread: Floats, coefficients: Floats, rss: float, group: Positions, treatment: int
) -> ConfounderStrength:
    """Partial R2 of a group of covariates with treatment and with outcome, given all other columns of a regression.

    Without the group the residual sum of squares grows by ``b' B_gg^-1 b``, and the variance of treatment given the
    rest by what the block of the inverse Gram matrix B says.

    Parameters
    ----------
    bread : ndarray (p, p)
        Inverse Gram matrix of the columns, treatment among them.
    coefficients : ndarray (p,)
    rss : float
    group : ndarray of int
    treatment : int
    """
    inverse = np.linalg.inv(bread[np.ix_(group, group)])
    gain = float(coefficients[group] @ inverse @ coefficients[group])
    with_treatment = float(bread[group, treatment] @ inverse @ bread[group, treatment]) / bread[treatment, treatment]
    return ConfounderStrength(float(with_treatment), gain / (gain + rss))


def benchmark_strength(
    observed: ConfounderStrength, times: float, times_outcome: float | None = None
) -> ConfounderStrength:
    """Strength of a confounder that is so many times as strong as an observed covariate.

    Parameters
    ----------
    observed : ConfounderStrength
        Partial R2 of the covariate with treatment and outcome, given the others.
    times, times_outcome : float
        Multiples for treatment and for outcome (by default the same).

    Returns
    -------
    ConfounderStrength
        Strengths that no confounder reaches are 1 (outcome), or NaN (treatment): nothing so strong can be left.

    References
    ----------
    Cinelli and Hazlett (2020), section 4.4 and appendix B.1: the confounder is orthogonal to the covariates.
    """
    d, y = observed
    k_d, k_y = times, times if times_outcome is None else times_outcome
    r2_treatment = k_d * d / (1 - d)
    crossed = k_d * d * d / ((1 - k_d * d) * (1 - d)) if k_d * d < 1 else np.inf
    if not (r2_treatment < 1 and crossed < 1):
        return ConfounderStrength(np.nan, np.nan)
    eta = (np.sqrt(k_y) + np.sqrt(crossed)) / np.sqrt(1 - crossed)
    return ConfounderStrength(float(r2_treatment), float(min(eta**2 * y / (1 - y), 1.0)))
