"""Tilts: weights of one arm's rows that reach a population, by two duals, and how an average then varies.

Entropy balancing tilts by ``exp(lambda'z)``, stable weights by ``(1 + lambda'z)_+``; z is an intercept and the
standardised functions of the covariates. Totals are balanced, not shares: the weights of an arm add up to the sample
weight of the population, so that tilts to several populations can be added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pandas_causal.adjustment.balance_targets import unreachable
from pandas_causal.kernels.arrays import Bools, Floats, Positions
from pandas_causal.models.linear import StandardisedMatrix, invert_gram, solve_gram

__all__ = [
    "BalancingWeights",
    "balancing_contributions",
    "entropy_weights",
    "linear_predictor",
    "remaining_shift",
    "stable_weights",
]

_BLOCK = 16_384
_EDGE = 1e-10
_BALANCED = 1e-8
_COLLINEAR = 1e-5  # of a standard deviation, as solve_gram has it of a variance


@dataclass(frozen=True, eq=False)
class BalancingWeights:
    """Weights of one arm's rows that reach a population.

    Attributes
    ----------
    rows : ndarray (m,) of int
        Positions of the arm's rows.
    coefficients : ndarray (p,)
        Of the rows of the design, the intercept first; 0 where a column was not needed.
    weights, slope : ndarray (m,)
        W, and its derivative in the linear predictor: W itself under an exponential tilt.
    active : ndarray (p,) of bool
        Columns whose equation determines a coefficient.
    shift : ndarray (p,)
        Difference that the tolerance leaves, target minus weighted mean, in units of the design.
    ends : ndarray (p,)
        Value a column must have for a weight above 0, where the population lies at one end of it; else NaN.
    """

    rows: Positions
    coefficients: Floats
    weights: Floats
    slope: Floats
    active: Bools
    shift: Floats
    ends: Floats

    def admits(self, design: StandardisedMatrix) -> Bools:
        """Rows (n,) of this design that the ends leave a weight."""
        out = np.ones(len(design), dtype=bool)
        for j in np.flatnonzero(~np.isnan(self.ends)):
            column = design.kept[j - 1]
            z = (design.X[:, column] - design.centre[column]) / design.scale[column]
            out &= np.abs(z - self.ends[j]) <= _EDGE * max(1.0, abs(self.ends[j]))
        return out


def _faces(Z: Floats, base: Floats, target: Floats) -> tuple[Bools, Bools]:
    """Rows and columns left when a target is the very end of a column's range: rows away from that end have weight 0.

    A category that the population lacks is the usual case: weights that reach it vanish on the category's rows. Rows
    without base weight (draws of the bootstrap have them) are out from the start.
    """
    keep, used = base > 0, np.ones(Z.shape[1], dtype=bool)
    while True:
        inside = Z[keep] if not keep.all() else Z
        low, high = inside.min(axis=0), inside.max(axis=0)
        room = _EDGE * np.maximum(high - low, 1.0)
        at_end = used & ((np.abs(target - low) <= room) | (np.abs(target - high) <= room))
        if not at_end.any():
            return keep, used
        for j in np.flatnonzero(at_end):
            left = keep & (np.abs(Z[:, j] - target[j]) <= room[j])
            if left.any():
                keep = left
            used[j] = False


def _gram(Z: Floats, v: Floats) -> Floats:
    """``sum v z z'`` in blocks that stay in the cache; v must not be negative."""
    p = Z.shape[1]
    out = np.zeros((p, p))
    for start in range(0, len(Z), _BLOCK):
        block = Z[start : start + _BLOCK] * np.sqrt(v[start : start + _BLOCK])[:, None]
        out += block.T @ block
    return out


def _solve(gram: Floats, moment: Floats) -> Floats:
    """Solve the equations of a Gram matrix: by Cholesky, and column by column where some are collinear."""
    root = np.sqrt(np.maximum(np.diag(gram), 0.0))
    if len(root) and root.min() > 0:
        try:
            L = np.linalg.cholesky(gram / np.outer(root, root))
        except np.linalg.LinAlgError:
            return solve_gram(gram, moment)
        if np.diag(L).min() > _COLLINEAR:
            return np.asarray(np.linalg.solve(gram, moment))
    return solve_gram(gram, moment)


def entropy_weights(
    design: StandardisedMatrix, rows: Positions, base: Floats, target: Floats, total: float, unit: Floats
) -> BalancingWeights:
    """Weights nearest to `base` in relative entropy with the target means.

    Minimises ``sum_i W_i log(W_i / b_i)`` subject to ``sum W z = total target`` through its dual, the convex
    ``log sum_i b_i exp(lambda'z_i) - lambda'target``, by Newton steps that are halved until the dual falls.

    Parameters
    ----------
    design : StandardisedMatrix
        Of all rows.
    rows : ndarray (m,) of int
        The arm's.
    base : ndarray (m,)
        Base weights times sample weights, positive.
    target : ndarray (p,)
        Means of the population, of the design's columns, the intercept's 1 first.
    total : float
        What the weights add up to.
    unit : ndarray (p - 1,)
        Units in which an error states how far an unreachable target is.

    Raises
    ------
    Infeasible
        If the target lies outside the convex hull of the rows, or on a face of it that no single column shows.

    References
    ----------
    Hainmueller (2012), Political Analysis 20, eq. (8) to (12); Zhao and Percival (2017), Journal of Causal Inference.
    """
    Z = design.rows(rows)[:, 1:]
    goal = target[1:]
    keep, used = _faces(Z, base, goal)
    z, b = Z, base / base.sum()
    if not keep.all() or not used.all():
        z, b = np.ascontiguousarray(Z[keep][:, used]), b[keep] / b[keep].sum()
    start = None
    if len(z) > 200_000:
        some = np.linspace(0, len(z) - 1, 50_000).astype(np.intp)
        start = _newton(z[some], b[some] / b[some].sum(), goal[used])
    solution = _newton(z, b, goal[used], start)
    if solution is None:
        raise unreachable(Z, goal, unit)
    w = np.zeros(len(Z))
    share, _ = _shares(z, b, solution)
    w[keep] = share
    if np.abs(w @ Z - goal).max(initial=0.0) > _BALANCED:
        raise unreachable(Z, goal, unit)
    coefficients = np.zeros(design.p)
    at = np.append(True, used)
    coefficients[1:][used] = solution
    first = int(np.argmax(share))
    coefficients[0] = np.log(total * share[first] / base[keep][first]) - z[first] @ solution
    ends = np.append(np.nan, np.where(used, np.nan, goal))
    return BalancingWeights(rows, coefficients, total * w, total * w, at, np.zeros(design.p), ends)


def _shares(z: Floats, b: Floats, coefficients: Floats) -> tuple[Floats, float]:
    """Shares proportional to ``b exp(lambda'z)`` and the log of their total."""
    eta = z @ coefficients
    high = float(eta.max())
    np.exp(eta - high, out=eta)
    eta *= b
    total = float(eta.sum())
    eta /= total
    return eta, high + float(np.log(total))


def _newton(z: Floats, b: Floats, goal: Floats, start: Floats | None = None) -> Floats | None:
    """Minimise the dual of entropy balancing; None where it has no minimum."""
    beta = np.zeros(len(goal)) if start is None else start
    worst = -float(np.log(b.min()))  # no share is further from its base than if it were everything
    share, log_total = _shares(z, b, beta)
    value = float(log_total - beta @ goal)
    for _ in range(200):
        mean = share @ z
        hessian = _gram(z, share) - np.outer(mean, mean)
        gradient = mean - goal
        step = -_solve(hessian, gradient)
        slope = float(gradient @ step)
        size = float(np.abs(step).max(initial=0.0))
        if size < 1e-7 * max(1.0, float(np.abs(beta).max(initial=0.0))):
            return beta + step
        scale: float = 1.0
        while True:
            trial = beta + scale * step
            share_there, log_total = _shares(z, b, trial)
            there = float(log_total - trial @ goal)
            if there <= value + 1e-4 * scale * slope + 1e-13 * max(1.0, abs(value)):
                break
            scale /= 2
            if scale < 1e-10:
                return None
        beta, share, value = trial, share_there, there
        if -value > worst + 1e-6 or not np.isfinite(value):
            return None
    return None


def stable_weights(
    design: StandardisedMatrix,
    rows: Positions,
    base: Floats,
    target: Floats,
    total: float,
    unit: Floats,
    tolerance: float = 0.0,
) -> BalancingWeights:
    """Weights of least variance whose means are within a tolerance of the target.

    Minimises ``sum_i p_i w_i^2`` over w >= 0 with ``sum p w = 1`` and ``|sum p w z_j - target_j| <= delta_j``, p the
    shares of `base` and ``delta = tolerance unit``. By its dual the weights are ``w = (1 + lambda'z)_+`` and lambda
    minimises

        1/2 sum_i p_i (1 + lambda'z_i)_+^2 - lambda'target + sum_j delta_j |lambda_j|,

    piecewise quadratic in as many unknowns as there are functions. Proximal Newton steps, each solved over the signs of
    lambda, end exactly: once the rows of positive weight and the signs are right, a step is the solution.

    Parameters
    ----------
    design, rows, base, target, total, unit : as for :func:`entropy_weights`
    tolerance : float
        Largest difference left, in units of `unit`.

    Raises
    ------
    Infeasible
        If no weights come within the tolerance.

    References
    ----------
    Zubizarreta (2015), Journal of the American Statistical Association 110, eq. (2); Wang and Zubizarreta (2020),
    Biometrika 107, for the dual.
    """
    Z, delta = design.rows(rows), np.append(0.0, tolerance * unit)
    keep, used = base > 0, np.ones(design.p, dtype=bool)
    if tolerance == 0:
        keep, used[1:] = _faces(Z[:, 1:], base, target[1:])
    z, p = np.ascontiguousarray(Z[keep][:, used]), base[keep] / base[keep].sum()
    solution = _stable_newton(z, p, target[used], delta[used])
    share, slope, beta = np.zeros(len(Z)), np.zeros(len(Z)), np.zeros(design.p)
    share[keep] = p * np.maximum(1 + z @ solution, 0.0)
    slope[keep] = p
    beta[used] = solution
    if (np.abs(target - share @ Z) > delta + _BALANCED).any():
        raise unreachable(Z[:, 1:], target[1:], unit, tolerance)
    active = used & ((beta != 0) | (delta == 0))
    ends = np.where(used, np.nan, target)
    return BalancingWeights(rows, beta, total * share, total * slope * (share > 0), active, delta * np.sign(beta), ends)


def _stable_newton(z: Floats, p: Floats, target: Floats, delta: Floats) -> Floats:
    """Minimise the dual of stable weights; where it has no minimum, the last step.

    Where few rows have weight the quadratic is flat in some directions; a small pull to the last step makes it round,
    and is gone at the minimum, where two steps agree.
    """
    beta = np.zeros(z.shape[1])
    most = 0.5 / float(p.min())  # no weights vary more than all on one row, so no dual of a solution lies beyond
    value = _stable_dual(z, p, target, delta, beta)
    for _ in range(200):
        positive = 1 + z @ beta > 0
        H, linear = _gram(z, p * positive), target - (p * positive) @ z
        pull = 0.0
        if positive.sum() < 2 * len(beta) or np.linalg.eigvalsh(H)[0] < 1e-8:
            pull = 1e-7 * max(float(np.trace(H)) / len(beta), 1e-8)
            H[np.diag_indices_from(H)] += pull
            linear = linear + pull * beta
        new = _signed_quadratic(H, linear, delta, beta)
        there = _stable_dual(z, p, target, delta, new)
        if not np.isfinite(there) or -there > most:
            return beta
        move = float(np.abs(new - beta).max()) / max(1.0, float(np.abs(new).max()))
        if (not pull or move < 1e-11) and np.array_equal(1 + z @ new > 0, positive):
            return new
        scale = 1.0
        # so near that rounding hides the descent, a step is judged by the next one
        while move > 1e-6 and there > value - 1e-13 * max(1.0, abs(value)) and scale > 1e-8:
            scale /= 2
            there = _stable_dual(z, p, target, delta, beta + scale * (new - beta))
        beta, value = beta + scale * (new - beta), there
    return beta


def _stable_dual(z: Floats, p: Floats, target: Floats, delta: Floats, beta: Floats) -> float:
    """Value of the dual of stable weights."""
    w = np.maximum(1 + z @ beta, 0.0)
    return float(0.5 * p @ np.square(w) - beta @ target + delta @ np.abs(beta))


def _signed_quadratic(H: Floats, linear: Floats, delta: Floats, start: Floats) -> Floats:
    """Minimise ``b'Hb / 2 - b'linear + sum_j delta_j |b_j|`` by the search over signs.

    With the signs of b fixed it is a quadratic; a step to its minimum stops where a sign would change for the worse,
    and a zero whose gradient exceeds its delta enters. Every step lowers the value, so no set of signs comes twice.

    References
    ----------
    Lee, Battle, Raina and Ng (2007), "Efficient sparse coding algorithms", algorithm 1.
    """
    free = delta == 0
    if free.all():
        return _solve(H, linear)
    b = start.copy()

    def value(x: Floats) -> float:
        return float(0.5 * x @ H @ x - x @ linear + delta @ np.abs(x))

    sign = np.sign(b)
    for _ in range(50 + 4 * len(b)):
        used = np.flatnonzero(free | (sign != 0))
        new = np.zeros_like(b)
        new[used] = _solve(H[np.ix_(used, used)], linear[used] - delta[used] * sign[used])
        crossing = np.flatnonzero(~free & (b * new < 0))
        stops = np.append(1.0, b[crossing] / (b[crossing] - new[crossing]))
        points: list[Floats] = [b + s * (new - b) for s in stops]
        for point, c in zip(points[1:], crossing, strict=True):
            point[c] = 0.0
        entering = ~free & (b == 0) & (sign != 0) & (new * sign < 0)
        if entering.any():  # a column that enters with one sign and leaves with the other: rounding, so it stays out
            sign[entering] = 0.0
            continue
        b = points[int(np.argmin([value(point) for point in points]))]
        sign = np.sign(b)
        gradient = H @ b - linear
        off = np.abs(gradient + delta * sign) > 1e-12 * (1 + np.abs(linear))
        if (off & (free | (sign != 0))).any():
            continue
        over = np.where(~free & (sign == 0), np.abs(gradient) - delta, -np.inf)
        j = int(over.argmax())
        if over[j] <= 1e-12 * (1 + abs(linear[j])):
            return b
        sign[j] = -np.sign(gradient[j])
    return b


# -- what the average then is ------------------------------------------------------------------------------------------


def balancing_contributions(
    design: StandardisedMatrix, tilt: BalancingWeights, residual: Floats, population: Floats, total: float
) -> Floats:
    """Contributions (n,) that the estimation of a tilt adds to those of the weighted mean at known weights.

    The tilt solves ``sum_i [W_i z_i - s_i (z_i - shift)] = 0``, the arm's rows in the first term and the population's
    (weights s) in the second. Through it the mean moves by ``-b'`` times that sum over `total`, with
    ``b = (sum v z z')^-1 sum v z (y - mu)`` and v the slope of the weights. So the rows of the population contribute
    what a weighted regression fits to them, as in a doubly robust estimate.

    Parameters
    ----------
    design : StandardisedMatrix
    tilt : BalancingWeights
    residual : ndarray (m,)
        ``y - mu`` of the arm's rows.
    population : ndarray (n,)
        Sample weight of every row of the population, 0 elsewhere.
    total : float
        Sum of all weights behind the mean.

    References
    ----------
    Stefanski and Boos (2002), The American Statistician 56; Zhao and Percival (2017), Theorem 1 and 2.
    """
    z = design.rows(tilt.rows)[:, tilt.active]
    b = invert_gram(_gram(z, tilt.slope)) @ ((tilt.slope * residual) @ z)
    out = np.zeros(len(design))
    out[tilt.rows] = -tilt.weights * (z @ b)
    full = np.zeros(design.p)
    full[tilt.active] = b
    constant = tilt.shift @ full
    for at, block in design.blocks():
        s = population[at]
        if s.any():
            out[at] += s * (block @ full - constant)
    return out / total


def remaining_shift(design: StandardisedMatrix, tilt: BalancingWeights, residual: Floats, target: Floats) -> float:
    """What the differences that a tolerance leaves would add to a weighted mean.

    The slopes of a regression of the outcome in the balanced functions, over the arm's rows of positive weight, times
    the target means less the weighted ones.
    """
    z = design.rows(tilt.rows)
    slopes = invert_gram(_gram(z, tilt.slope)) @ ((tilt.slope * residual) @ z)
    return float(slopes @ (target - tilt.weights @ z / tilt.weights.sum()))


def linear_predictor(design: StandardisedMatrix, coefficients: Floats) -> Floats:
    """``lambda'z`` of every row (n,)."""
    out = np.empty(len(design))
    for at, z in design.blocks():
        out[at] = z @ coefficients
    return out
