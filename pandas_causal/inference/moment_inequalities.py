"""Tests of linear moment inequalities with nuisance parameters, and the confidence sets that invert them.

The hypothesis is that some tau makes ``E[y] - theta a - C tau <= 0`` row by row, y normal with a known covariance. The
statistic is the smallest excess, in standard errors, that has to be allowed,

    eta = min e  subject to  y - theta a - C tau <= e sigma  (over e and tau),

whose dual is a linear programme over the vertices of ``{x >= 0: C'x = 0, sigma'x = 1}``.

References
----------
Andrews, Roth and Pakes (2023), "Inference for linear conditional moment inequalities", Review of Economic Studies.
Rambachan and Roth (2023), "A more credible approach to parallel trends", Review of Economic Studies, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pandas_causal.errors import CausalError
from pandas_causal.kernels.arrays import Bools, Floats

__all__ = ["Inequalities", "confidence_set", "least_favourable", "rejects", "union"]

_FIRST_STAGE = 0.1  # share of alpha spent on the least favourable test
_REACH = 100.0  # standard deviations from the statistic beyond which a truncation point is infinite


@dataclass(frozen=True, eq=False)
class Inequalities:
    """Moments ``y - theta a - C tau <= 0``.

    Attributes
    ----------
    y : ndarray (m,)
    a : ndarray (m,)
        What a unit of the target parameter does to the moments.
    columns : ndarray (m, 1 + q)
        Standard deviations of the moments, then C.
    root : ndarray (m, p)
        The covariance of y is ``root @ root.T``.
    """

    y: Floats
    a: Floats
    columns: Floats
    root: Floats

    @classmethod
    def of(cls, A: Floats, bound: Floats, beta: Floats, root: Floats, loadings: Floats) -> Inequalities:
        """Moments of ``A delta <= bound`` with ``beta = delta + L tau``, tau the effects.

        Parameters
        ----------
        A : ndarray (m, p)
        bound : ndarray (m,)
        beta : ndarray (p,)
            Estimates, deviations plus effects.
        root : ndarray (p, p)
            Root of their covariance.
        loadings : ndarray (p, 1 + q)
            How target and nuisance parameters enter beta.
        """
        moments = A @ loadings
        through = A @ root
        sd = np.sqrt((through**2).sum(axis=1))
        if not (sd > 0).all():
            raise CausalError("a moment has no variance: the estimates' covariance is singular along it")
        columns = np.ascontiguousarray(np.column_stack([sd, moments[:, 1:]]))
        return cls(A @ beta - bound, moments[:, 0], columns, through)


def least_favourable(inequalities: Inequalities, draws: Floats, size: float) -> float:
    """Critical value of size `size` when every inequality binds: quantile of the statistic of N(0, covariance).

    Parameters
    ----------
    inequalities : Inequalities
    draws : ndarray (n_draws, p)
        Standard normal.
    size : float
    """
    from pandas_causal.kernels.linear_programs import largest_values

    values = np.empty(len(draws))
    _solved(largest_values(draws @ inequalities.root.T, inequalities.columns, values))
    return float(np.quantile(values, 1 - size))


def rejects(inequalities: Inequalities, theta: Floats, critical: float, alpha: float) -> Bools:
    """Whether the hybrid of the least favourable and the conditional test rejects each theta.

    First stage: eta above its least favourable critical value of size ``alpha / 10``. Second: given the vertex at which
    the dual is solved, eta is a normal truncated to the values for which it stays the solution and to what the first
    stage accepts, whose upper tail is compared with ``(alpha - alpha / 10) / (1 - alpha / 10)``; never rejects a
    statistic of at most zero, at which every inequality holds.

    Parameters
    ----------
    inequalities : Inequalities
    theta : ndarray (k,)
    critical : float
        From :func:`least_favourable`, of size ``alpha / 10``.
    alpha : float

    References
    ----------
    Andrews, Roth and Pakes (2023), sections 3.2, 5 and Appendix on the least favourable hybrid.
    """
    from pandas_causal.kernels.linear_programs import truncation_points, vertex

    m = inequalities
    costs = m.y - np.multiply.outer(theta, m.a)
    eta, vertices = np.empty(len(theta)), np.empty_like(costs)
    _solved(vertex(costs, m.columns, eta, vertices))
    through = vertices @ m.root
    variance = (through**2).sum(axis=1)
    slopes = through @ m.root.T / variance[:, None]
    fixed = costs - slopes * eta[:, None]
    sd = np.sqrt(variance)
    low, high = np.empty_like(eta), np.empty_like(eta)
    _solved(truncation_points(fixed, slopes, m.columns, eta, _REACH * sd, low, high))
    first = _FIRST_STAGE * alpha
    tail = upper_tail(eta / sd, low / sd, np.minimum(high, critical) / sd)
    conditional = (eta > 0) & (tail < (alpha - first) / (1 - first))
    return np.asarray((eta > critical) | conditional)


def upper_tail(z: Floats, low: Floats, high: Floats) -> Floats:
    """``P(Z > z)`` of a standard normal truncated to [low, high], accurate far from zero."""
    from scipy.special import ndtr

    # on the side where both probabilities are small, so that their difference keeps its digits
    flip = np.where(low > 0, -1.0, 1.0)
    top, end, point = ndtr(flip * high), ndtr(flip * low), ndtr(flip * np.clip(z, low, high))
    with np.errstate(invalid="ignore", divide="ignore"):
        tail = (top - point) / (top - end)
    return np.where(np.isfinite(tail), tail, np.where(z >= high, 0.0, 1.0))


def confidence_set(
    accepts: Callable[[Floats], Bools], low: float, high: float, *, points: int = 201, doublings: int = 20
) -> tuple[float, float]:
    """Ends of the set of accepted values: a scan of [low, high], widened while an end is accepted, then bisection.

    Parameters
    ----------
    accepts : callable
        ndarray (k,) -> bool (k,).
    low, high : float
        Where to look at first.
    points : int
        Of the scan.
    doublings : int
        How often the range may be doubled; an end still accepted then is infinite.

    Returns
    -------
    tuple of float
        NaN, NaN where nothing is accepted.
    """
    grid = np.linspace(low, high, points)
    inside = accepts(grid)
    for _ in range(doublings):
        if not inside[0] and not inside[-1]:
            break
        width = high - low
        low, high = low - width * inside[0], high + width * inside[-1]
        grid = np.linspace(low, high, points)
        inside = accepts(grid)
    infinite = inside[0], inside[-1]
    if not inside.any():
        return np.nan, np.nan
    first, last = np.flatnonzero(inside)[[0, -1]]
    left = -np.inf if infinite[0] else _edge(accepts, grid[first], grid[first - 1])
    right = np.inf if infinite[1] else _edge(accepts, grid[last], grid[last + 1])
    return float(left), float(right)


def _edge(accepts: Callable[[Floats], Bools], inside: float, outside: float) -> float:
    """Where acceptance ends between two values: each step tries 15 points between them."""
    tolerance = 1e-7 * max(abs(inside - outside), 1e-300)
    while abs(outside - inside) > tolerance:
        grid = np.linspace(inside, outside, 17)
        accepted = accepts(grid[1:-1])
        first = int(np.argmin(accepted)) if not accepted.all() else len(accepted)
        inside, outside = grid[first], grid[first + 1]
    return inside


def union(tests: Sequence[Callable[[Floats], Bools]]) -> Callable[[Floats], Bools]:
    """Accept what any of the tests accepts; a value accepted once is not asked about again."""

    def accepts(theta: Floats) -> Bools:
        theta = np.asarray(theta, dtype=float)
        accepted = np.zeros(len(theta), dtype=bool)
        for test in tests:
            rest = np.flatnonzero(~accepted)
            if not len(rest):
                break
            accepted[rest] = test(theta[rest])
        return accepted

    return accepts


def _solved(ok: bool) -> None:
    if not ok:
        raise CausalError("the inequalities do not bound the target: no confidence set exists under this restriction")
