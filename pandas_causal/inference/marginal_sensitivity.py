"""The marginal sensitivity model: propensities are off by at most a factor in their odds.

Given covariates x the odds of an arm are ``e(x) / (1 - e(x))``; given x and what was not measured they lie within a
factor ``L`` of that (Tan 2006). The mean outcome of an arm is then bounded by moving weights within limits.

References
----------
Tan (2006), JASA 101, "A distributional approach for causal inference using propensity scores". ZSB: Zhao, Small and
Bhattacharya (2019), "Sensitivity analysis for inverse probability weighting estimators via the percentile bootstrap",
JRSS B 81. DG: Dorn and Guo (2023), "Sharp sensitivity analysis for inverse propensity weighting via quantile
balancing", JASA 118.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from pandas_causal.kernels.arrays import Floats

__all__ = ["WeightedArm", "quantile_regression"]

_STEPS = 8
_BANDWIDTHS = 5
_COARSE = 20_000  # rows that the wide bandwidths look at


@dataclass(frozen=True, eq=False)
class WeightedArm:
    """Rows of one arm, whose mean outcome in a population is their weighted mean.

    A row's weight is ``base + odds q``: q is 1 without hidden confounding, and anything from 1 / L to L with it.

    Attributes
    ----------
    y : ndarray (m,)
    base : float
        1 where the population is everyone, 0 where it is the other arm.
    odds : ndarray (m,)
        Odds of the other arms, ``(1 - e) / e``.
    w : ndarray (m,)
        Sample weights.
    Z : ndarray (m, p)
        What quantiles of the outcome are linear in, a constant first.
    """

    y: Floats
    base: float
    odds: Floats
    w: Floats
    Z: Floats

    def mean(self, weight: Floats) -> tuple[float, Floats, Floats]:
        """Mean under weights q; what every row adds to it; and its slope in the row's odds."""
        whole = self.w * (self.base + self.odds * weight)
        total = float(whole.sum())
        value = float(whole @ self.y) / total
        apart = self.y - value
        return value, whole * apart / total, self.w * weight * apart / total

    def extreme(self, factor: float) -> tuple[float, Floats, Floats]:
        """Largest mean with weights within a factor (ZSB, proposition 2), with the two terms of :meth:`mean`.

        Rows above a cut-off get the largest weight, those below it the smallest.
        """
        order = np.argsort(-self.y, kind="stable")
        u, y = (self.w * self.odds)[order], self.y[order]
        fixed = self.base * self.w
        # weights if the first k rows are raised, for every k
        raised, lowered = np.concatenate([[0.0], np.cumsum(u)]), np.concatenate([np.cumsum(u[::-1])[::-1], [0.0]])
        raised_y = np.concatenate([[0.0], np.cumsum(u * y)])
        lowered_y = np.concatenate([np.cumsum((u * y)[::-1])[::-1], [0.0]])
        means = (fixed @ self.y + factor * raised_y + lowered_y / factor) / (
            fixed.sum() + factor * raised + lowered / factor
        )
        weight = np.full(len(y), 1 / factor)
        weight[order[: int(np.argmax(means))]] = factor
        return self.mean(weight)

    def sharp(self, factor: float) -> tuple[float, Floats, Floats]:
        """Largest mean with weights within a factor that still balance the columns of Z (DG, section 3).

        By linear duality it is the plain mean plus the least sum of ``odds ((L - 1) u+ + (1 - 1 / L) u-)``, u the
        residual of a line: a regression for the quantile ``L / (1 + L)``. Any line bounds the mean; the best one gives
        the sharp bound where the quantile is linear in Z. By the envelope theorem its estimation adds no error of
        first order.
        """
        if factor == 1 or not (self.w * self.odds).any():
            return self.mean(np.ones(len(self.y)))
        line = self.Z @ quantile_regression(self.Z, self.y, self.w * self.odds, factor / (1 + factor))
        u = self.y - line
        lifted = self.y + np.where(u > 0, (factor - 1) * u, (1 / factor - 1) * u)
        whole = self.w * (self.base + self.odds)
        total = float(whole.sum())
        value = float(self.w @ (self.base * self.y + self.odds * lifted)) / total
        by_row = self.w * (self.base * (self.y - value) + self.odds * (lifted - value)) / total
        return value, by_row, self.w * (lifted - value) / total

    def negative(self) -> WeightedArm:
        """The same with the sign of the outcome turned: its largest mean is minus the smallest of this."""
        return WeightedArm(-self.y, self.base, self.odds, self.w, self.Z)


def quantile_regression(Z: Floats, y: Floats, w: Floats, tau: float) -> Floats:
    """Coefficients (p,) of a weighted linear regression for the quantile tau, the constant first.

    Newton's method on a smoothed loss whose bandwidth shrinks; the constant is then exact: the quantile of residuals.

    Parameters
    ----------
    Z : ndarray (n, p)
    y, w : ndarray (n,)
    tau : float

    References
    ----------
    Koenker and Bassett (1978); Fernandes, Guerre and Horta (2021), JBES 39, for the smoothed loss.
    """
    n, p = Z.shape
    total = w.sum()
    root = np.sqrt(w)
    coefficients: Floats = np.asarray(np.linalg.lstsq(Z * root[:, None], y * root, rcond=None)[0], dtype=float)
    spread = float(np.sqrt(w @ np.square(y - Z @ coefficients) / total))
    if not spread > 0:
        return np.asarray(coefficients)
    least = spread * min(max(2 * (p + np.log(n)) / n, 1e-4), 0.3)
    coefficients[0] += _quantile(y - Z @ coefficients, w, tau)
    part = slice(None) if n <= _COARSE else np.linspace(0, n - 1, _COARSE).astype(np.intp)
    rough = (Z[part], y[part], w[part])  # where the bandwidth is wide, some rows show the way
    for h in np.geomspace(0.5 * spread, least, _BANDWIDTHS)[:-1]:
        coefficients = _descend(*rough, tau, float(h), coefficients)
    coefficients = _descend(Z, y, w, tau, least, coefficients)
    coefficients[0] += _quantile(y - Z @ coefficients, w, tau)
    return np.asarray(coefficients)


def _descend(Z: Floats, y: Floats, w: Floats, tau: float, h: float, coefficients: Floats) -> Floats:
    """Newton steps on the loss smoothed with bandwidth h."""
    p, value = Z.shape[1], _smoothed(y - Z @ coefficients, w, tau, h)
    for _ in range(_STEPS):
        u = y - Z @ coefficients
        below = special.expit(-u / h)
        gradient = Z.T @ (w * (tau - below))
        curvature = (Z * (w * below * (1 - below) / h)[:, None]).T @ Z
        curvature[np.diag_indices(p)] += 1e-10 * np.trace(curvature) / p + 1e-300
        step = np.linalg.solve(curvature, gradient)
        for _ in range(30):
            tried = _smoothed(y - Z @ (coefficients + step), w, tau, h)
            if tried <= value:
                break
            step /= 2
        else:
            return coefficients
        coefficients, gain, value = coefficients + step, value - tried, tried
        if gain <= 1e-8 * abs(value):
            break
    return coefficients


def _smoothed(u: Floats, w: Floats, tau: float, h: float) -> float:
    return float(w @ (tau * u + h * np.logaddexp(0.0, -u / h)))


def _quantile(values: Floats, w: Floats, tau: float) -> float:
    """Weighted quantile: the least value with a share of at least tau at or below it."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(w[order])
    return float(values[order][min(int(np.searchsorted(reached, tau * reached[-1])), len(values) - 1)])
