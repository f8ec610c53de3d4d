"""Bandwidths for regression discontinuities that minimise mean squared error or coverage error.

References
----------
CCT: Calonico, Cattaneo and Titiunik (2014), Econometrica 82, with its supplement S.2; CCF: Calonico, Cattaneo and
Farrell (2018, 2020), JASA 113 and Econometrics Journal 23; CCFT: Calonico, Cattaneo, Farrell and Titiunik (2019),
Review of Economics and Statistics 101, section 4, for covariates; "rdrobust: Software for regression-discontinuity
designs" (2017), Stata Journal 17, section 2, for the steps and the names of the selectors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import factorial
from typing import NamedTuple

import numpy as np

from pandas_causal.discontinuity.local_polynomial import Side, Window
from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Floats, Positions
from pandas_causal.models.linear import solve_gram

__all__ = [
    "SELECTORS",
    "Bandwidths",
    "LocalPolynomialSetting",
    "adjusted_outcome",
    "covariate_coefficients",
    "row_residuals",
    "row_sum_variance",
    "select",
    "without_treatment",
]

SELECTORS = (
    "mserd",
    "msetwo",
    "msesum",
    "msecomb1",
    "msecomb2",
    "cerrd",
    "certwo",
    "cersum",
    "cercomb1",
    "cercomb2",
)
_PILOT = {"triangular": 2.576, "epanechnikov": 2.34, "uniform": 1.843}
_BEYOND = 1 + np.sqrt(np.finfo(float).eps)  # the farthest row has a place in a window over all of a side


@dataclass(frozen=True)
class LocalPolynomialSetting:
    """Settings of one estimation.

    Attributes
    ----------
    order, bias_order : int
        p of the estimate and q > p of its bias.
    derivative : int
        0 for a jump, 1 for a kink.
    kernel : str
    vce : {"nn", "hc0", "hc1", "hc2", "hc3"}
    matches : int
        Nearest neighbours.
    fuzzy : bool
        Whether the second column is the treatment.
    clustered : bool
    """

    order: int = 1
    bias_order: int = 2
    derivative: int = 0
    kernel: str = "triangular"
    vce: str = "nn"
    matches: int = 3
    fuzzy: bool = False
    clustered: bool = False


class Bandwidths(NamedTuple):
    """Main and bias bandwidths, left and right."""

    h_left: float
    h_right: float
    b_left: float
    b_right: float


class _Terms(NamedTuple):
    """Asymptotic variance V, bias B and regularisation R of one side, and the rate of the optimal bandwidth."""

    V: float
    B: float
    R: float
    rate: float


def adjusted_outcome(jumps: Floats, gamma: Floats, fuzzy: bool) -> Floats:
    """Weights (m,) of the columns in the linearised estimate: outcome, treatment, covariates.

    Sharp: ``y - Z gamma_y``. Fuzzy: the same for the treatment, and the ratio of the two linearised at the jumps.

    Parameters
    ----------
    jumps : ndarray (m,)
        Jump (or one side's limit) of every column.
    gamma : ndarray (z, 1 or 2)
        Coefficients of covariates on outcome and treatment.
    fuzzy : bool

    References
    ----------
    CCFT (2019), eqs. (3) and (6); CCT (2014), section 3.2 for the fuzzy linearisation.
    """
    sharp = np.concatenate([[1.0], np.zeros(int(fuzzy)), -gamma[:, 0]])
    if not fuzzy:
        return sharp
    first = np.concatenate([[0.0, 1.0], -gamma[:, 1]])
    tau_y, tau_t = float(sharp @ jumps), float(first @ jumps)
    if tau_t == 0:
        raise CausalDataError(
            "within the first bandwidth the treatment does not jump at the cutoff at all, so that the outcome's jump"
            " cannot be divided by it; check the cutoff and the treatment, or give a bandwidth (bandwidth=)"
        )
    return sharp / tau_t - first * (tau_y / tau_t**2)


def covariate_coefficients(cross: Floats, n_first: int) -> Floats:
    """Coefficients gamma (z, n_first) of the covariates, from cross-products of the detrended columns.

    A covariate without variation within the sides, or that those before it explain there, gets the coefficient 0.
    """
    inside = cross[n_first:, n_first:]
    scale = np.sqrt(np.where(np.diag(inside) > 0, np.diag(inside), 1.0))
    solved = solve_gram(inside / np.outer(scale, scale), cross[n_first:, :n_first] / scale[:, None])
    return solved / scale[:, None]


def row_residuals(window: Window, order: int, s: Floats, n: int, setting: LocalPolynomialSetting) -> Floats:
    """Residuals (n,) of the combined outcome ``D s`` that stand for its errors.

    Nearest neighbours, or those of the window's polynomial of that order: raw (HC0, clusters), times
    ``sqrt(n / (n - order - 1))`` (HC1), divided by ``sqrt(1 - leverage)`` (HC2) or ``1 - leverage`` (HC3).
    """
    if setting.vce == "nn" and not setting.clustered:
        return window.side.neighbour_residuals(n, s, setting.matches)
    residual = window.side.columns[:n] @ s - window.fitted(order, window.moments @ s, n)
    cluster = window.side.cluster
    if cluster is not None and setting.clustered:
        if setting.vce not in ("hc2", "hc3"):
            return residual
        return _cluster_adjusted(window, order, residual, cluster[:n], setting.vce)
    if setting.vce == "hc0":
        return residual
    if setting.vce == "hc1":
        return residual * np.sqrt(n / _spare_rows(n, order + 1))
    slack = np.maximum(1 - window.leverage(order, n), 1e-12)
    return residual / (np.sqrt(slack) if setting.vce == "hc2" else slack)


def _spare_rows(n: int, k: int) -> int:
    """Rows beyond the coefficients fitted to them; without one there is no variance."""
    if n <= k:
        raise CausalDataError(
            f"{n} rows on one side of the cutoff carry {k} coefficients, so no variance remains; widen the bandwidth,"
            " or lower order="
        )
    return n - k


def _cluster_adjusted(window: Window, order: int, e: Floats, cluster: Positions, vce: str) -> Floats:
    """Residuals of every cluster times ``(I - H_gg)^(-1/2)`` (hc2: CR2) or its inverse (hc3: CR3).

    With ``H_gg = Q Q'W`` and ``N = Q'W Q``, any power is ``I + Q g(N) Q'W``, ``g(x) = ((1 - x)^a - 1) / x``: small
    matrices, which also serve rows outside the window, whose weight is 0.

    References
    ----------
    Bell and McCaffrey (2002), Survey Methodology 28; Pustejovsky and Tipton (2018), JBES 36, eq. (6).
    """
    Q, out = window.orthonormal(order, len(e)), e.copy()
    w = np.zeros(len(e))
    w[: window.n] = window.w
    power = -0.5 if vce == "hc2" else -1.0
    by = np.argsort(cluster, kind="stable")
    for rows in np.split(by, np.flatnonzero(np.diff(cluster[by])) + 1):
        weighted = Q[rows] * w[rows, None]
        values, vectors = np.linalg.eigh(Q[rows].T @ weighted)
        x = np.clip(values, 1e-9, 1 - 1e-12)
        g = ((1 - x) ** power - 1) / x
        out[rows] += Q[rows] @ (vectors @ (g * (vectors.T @ (weighted.T @ e[rows]))))
    return out


def row_sum_variance(
    contributions: Floats, cluster: Positions | None, k: int, setting: LocalPolynomialSetting
) -> float:
    """Sum of squared contributions of rows, or of clusters: CR1 with the factor ``G / (G - 1) (n - 1) / (n - k)``."""
    if cluster is None:
        return float(np.square(contributions).sum())
    n = len(contributions)
    codes, groups = np.unique(cluster[:n], return_inverse=True)
    sums, G = np.bincount(groups, weights=contributions), len(codes)
    if G < 2:
        raise CausalDataError(
            "there are fewer than 2 clusters within the bandwidth on one side of the cutoff; widen it"
        )
    factor = 1.0 if setting.vce in ("hc2", "hc3") else G / (G - 1) * (n - 1) / _spare_rows(n, k)
    return float(factor * (sums @ sums))


def _terms(
    pilot: Window, order: int, nu: int, bias_order: int, h_bias: float, setting: LocalPolynomialSetting, scale: float
) -> _Terms:
    """Variance at the pilot bandwidth and bias at another, of the derivative nu of an order.

    References
    ----------
    CCT (2014), supplement S.2.6: V, B and R of the direct plug-in rule ``(V / (B^2 + R))^(1 / (2 p + 3))``.
    """
    side, first = pilot.side, 1 + int(setting.fuzzy)
    gamma = np.empty((0, first))
    if side.columns.shape[1] > first:
        gamma = covariate_coefficients(pilot.residual_moments(order), first)
    turn = float(side.sign**nu)  # derivatives with respect to the distance change sign on the left
    s = adjusted_outcome(turn * factorial(nu) * pilot.coefficient(order, nu), gamma, setting.fuzzy)
    weights = pilot.weights(order, nu)
    V = row_sum_variance(weights * row_residuals(pilot, order, s, pilot.n, setting), side.cluster, order + 1, setting)
    constant = float((weights * (side.distance[: pilot.n] / pilot.h) ** (order + 1)).sum()) * pilot.h**nu
    window = side.window(h_bias, setting.kernel, bias_order)
    slope = float(window.coefficient(bias_order, order + 1) @ s)
    R = 0.0
    if scale > 0:
        lead = window.weights(bias_order, order + 1) * row_residuals(window, bias_order, s, window.n, setting)
        R = 3 * constant**2 * row_sum_variance(lead, side.cluster, bias_order + 1, setting)
    gap = 2 * (order + 1 - nu)
    return _Terms(
        V=(2 * nu + 1) * pilot.h ** (2 * nu + 1) * V,
        B=float(np.sqrt(gap)) * constant * slope * turn,
        R=scale * gap * R,
        rate=1 / (2 * order + 3),
    )


class _Limits(NamedTuple):
    """What a bandwidth of one side may not exceed, and what a preliminary one may not fall below."""

    low: float
    high: float

    def hold(self, h: float, preliminary: bool) -> float:
        return max(min(h, self.high), self.low) if preliminary else min(h, self.high)


class Pilot(NamedTuple):
    """Rule-of-thumb bandwidth of the preliminary fits, distinct values required within it, limits of each side."""

    bandwidth: float
    n_distinct: int
    left: _Limits
    right: _Limits


def pilot_bandwidth(left: Side, right: Side, kernel: str, mass_points: str) -> Pilot:
    """Bandwidth of the preliminary fits.

    ``C min(sd, IQR / 1.349) n^(-1/5)``; with mass points n counts distinct values, and where a fifth of the rows repeat
    one the bandwidth holds at least ten distinct values.
    """
    x = np.concatenate([-left.distance[::-1], right.distance])
    deviation, quartiles = float(x.std(ddof=1)), _sorted_quantile(x, 0.75) - _sorted_quantile(x, 0.25)
    spread = min(deviation, quartiles / 1.349) or deviation
    counts = (len(left.places), len(right.places))
    n = sum(counts) if mass_points == "adjust" else len(x)
    repeats = max(1 - counts[0] / len(left), 1 - counts[1] / len(right))
    check = 10 if mass_points == "adjust" and repeats >= 0.2 else 0
    least = [0.0, 0.0]
    if check:
        pairs = zip((left, right), counts, strict=True)
        least = [float(side.places[min(check, m) - 1]) + 1e-8 * deviation for side, m in pairs]
    pilot = min(_PILOT[kernel] * spread * n ** (-1 / 5), max(left.reach, right.reach))
    return Pilot(max(pilot, *least), check, _Limits(least[0], left.reach), _Limits(least[1], right.reach))


def _sorted_quantile(x: Floats, share: float) -> float:
    """Quantile of a sorted array: the inverse of its distribution function, averaged where that is flat."""
    at = share * len(x)
    low = int(np.ceil(at)) - 1
    return float((x[low] + x[min(int(at), len(x) - 1)]) / 2) if at == int(at) else float(x[low])


def _both(left: _Terms, right: _Terms, sign: float, scale: float) -> float:
    """Bandwidth for a difference (sign -1) or sum (+1) of the two sides."""
    bias = np.square(right.B + sign * left.B) + scale * (left.R + right.R)
    return float(((left.V + right.V) / bias) ** left.rate)


def _one(terms: _Terms, scale: float) -> float:
    return float(np.float64(terms.V) / np.float64(terms.B**2 + scale * terms.R)) ** terms.rate


def _three_steps(
    kind: str, windows: tuple[Window, Window], limits: tuple[_Limits, _Limits], setting: LocalPolynomialSetting
) -> Bandwidths:
    """Bandwidths of the bias's bias, of the bias, and of the estimate, each from the one before.

    References
    ----------
    CCT (2014), supplement S.2.6, steps 1 to 3; "rd", "sum" and "two" differ in how the sides are joined.
    """
    p, q = setting.order, setting.bias_order
    common = _Limits(max(side.low for side in limits), max(side.high for side in limits))

    def step(order: int, nu: int, bias_order: int, at: tuple[float, float], scale: float) -> tuple[float, float]:
        a, b = (_terms(w, order, nu, bias_order, h, setting, scale) for w, h in zip(windows, at, strict=True))
        preliminary = scale == 0
        if kind == "two":
            return limits[0].hold(_one(a, scale), preliminary), limits[1].hold(_one(b, scale), preliminary)
        h = common.hold(_both(a, b, -1.0 if kind == "rd" else 1.0, scale), preliminary)
        return h, h

    everything = (windows[0].side.reach * _BEYOND, windows[1].side.reach * _BEYOND)
    d = step(q + 1, q + 1, q + 2, everything, 0.0)
    b = step(q, p + 1, q + 1, d, 1.0)
    h = step(p, setting.derivative, q, b, 1.0)
    return Bandwidths(*h, *b)


def select(
    left: Side, right: Side, selector: str, setting: LocalPolynomialSetting, mass_points: str = "adjust"
) -> Bandwidths:
    """Choose bandwidths by one of the ten selectors.

    Parameters
    ----------
    left, right : Side
    selector : str
        ``mse`` or ``cer``, then ``rd`` (for the difference), ``two`` (each side its own), ``sum``, ``comb1`` (the
        smaller of rd and sum) or ``comb2`` (the median of the three, side by side).
    setting : LocalPolynomialSetting
    mass_points : {"adjust", "check", "off"}

    References
    ----------
    CCF (2020), eqs. (3.2) and (4.1), for the coverage-error rate ``n^(-p / ((p + 3) (2 p + 3)))``.
    """
    pilot, _, *limits = pilot_bandwidth(left, right, setting.kernel, mass_points)
    top = setting.bias_order + 1
    windows = (left.window(pilot, setting.kernel, top), right.window(pilot, setting.kernel, top))
    criterion, rule = selector[:3], selector[3:]
    kinds = {"comb1": ("rd", "sum"), "comb2": ("rd", "sum", "two")}.get(rule, (rule,))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        selected = np.array([_three_steps(kind, windows, (limits[0], limits[1]), setting) for kind in kinds])
    best = Bandwidths(*(np.min(selected, axis=0) if rule == "comb1" else np.median(selected, axis=0)))
    if not np.isfinite(best).all() or min(best) <= 0:
        raise CausalDataError(
            "no bandwidth can be chosen from the data: the outcome is (nearly) a polynomial of the running variable,"
            " or too few rows differ; give bandwidth= a number"
        )
    if criterion == "mse":
        return best
    p = setting.order
    n = len(left) + len(right)
    if left.cluster is not None and right.cluster is not None:
        n = len(np.unique(left.cluster)) + len(np.unique(right.cluster))
    shrink = n ** (-p / ((3 + p) * (3 + 2 * p)))
    return best._replace(h_left=best.h_left * shrink, h_right=best.h_right * shrink)


def without_treatment(side: Side) -> Side:
    """The same side with the treatment column taken out: bandwidths of the sharp design."""
    return replace(side, columns=np.delete(side.columns, 1, axis=1))
