"""Weights that join the predictions of several learners.

Every member predicts rows that it did not see; the weights are learned from those predictions, pooled over the folds
(short-stacking: Ahrens, Hansen, Schaffer and Wiemann 2025, Journal of Applied Econometrics 40, section 3). Convex
weights of least squares join means; probabilities are joined on the scale of log odds, by a logistic regression whose
slopes are not negative, so that they are calibrated anew as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import log_softmax, softmax

from pandas_causal.kernels.arrays import Codes, Floats

__all__ = ["Stack", "calibration_slope", "convex_weights", "join_means", "join_probabilities"]

_NEGLIGIBLE = 0.02
_FLOOR = 1e-4  # of a member's probability, before its logarithm is taken


@dataclass(frozen=True, eq=False)
class Stack:
    """Members and what joins them.

    Attributes
    ----------
    members : tuple of str (k,)
    weights : ndarray (k,)
        Not negative; of means they sum to 1.
    intercepts : ndarray (K - 1,) or None
        Of log odds beside the first arm; None: members are means.
    """

    members: tuple[str, ...]
    weights: Floats
    intercepts: Floats | None = None

    @property
    def name(self) -> str:
        """The members with a say, the weightiest first."""
        if not self.weights.any():
            return "shares"
        order = np.argsort(-self.weights, kind="stable")
        return " + ".join(self.members[k] for k in order if self.weights[k] >= self.weights.max() * _NEGLIGIBLE)

    def told(self) -> str:
        """Members and weights, the weightiest first."""
        order = np.argsort(-self.weights, kind="stable")
        return ", ".join(f"{self.members[k]} {self.weights[k]:.2f}" for k in order if self.weights[k] > 0)

    def heard(self) -> tuple[str, ...]:
        """The members that have a say."""
        if not self.weights.any():
            return self.members[:1]
        least = self.weights.max() * _NEGLIGIBLE
        return tuple(name for name, weight in zip(self.members, self.weights, strict=True) if weight >= least)

    def join(self, predictions: Mapping[str, Floats]) -> Floats:
        """Join means (n,) or probabilities (n, K), an array a member."""
        parts = [(weight, predictions[name]) for name, weight in zip(self.members, self.weights, strict=True) if weight]
        if self.intercepts is None:
            return np.asarray(sum(weight * p for weight, p in parts))
        none = np.zeros((len(next(iter(predictions.values()))), len(self.intercepts)))
        odds = sum((weight * _log_odds(p) for weight, p in parts), start=none)
        eta = np.asarray(odds) + self.intercepts
        return np.asarray(softmax(np.hstack([np.zeros((len(eta), 1)), eta]), axis=1))


def _log_odds(probabilities: Floats) -> Floats:
    """Log odds (n, K - 1) beside the first arm."""
    logs = np.log(np.clip(probabilities, _FLOOR, 1.0))
    return logs[:, 1:] - logs[:, :1]


def join_means(predictions: Mapping[str, Floats], y: Floats, w: Floats | None) -> Stack:
    """Weights of members' predictions (n,) of an outcome (n,)."""
    return Stack(tuple(predictions), convex_weights(np.column_stack(list(predictions.values())), y, w))


def convex_weights(predictions: Floats, y: Floats, w: Floats | None) -> Floats:
    """Weights, not negative and of sum 1, with the least squared loss: the best of every set of members, exactly.

    Parameters
    ----------
    predictions : ndarray (n, k)
    y : ndarray (n,)
    w : ndarray (n,), optional
    """
    k = predictions.shape[1]
    gap = y[:, None] - predictions
    losses = gap.T @ (gap if w is None else gap * w[:, None])
    losses += np.eye(k) * (1e-10 * np.trace(losses) / k + 1e-300)
    best, chosen = np.inf, np.full(k, 1 / k)
    for size in range(1, k + 1):
        for members in combinations(range(k), size):
            at = list(members)
            share = np.linalg.solve(losses[np.ix_(at, at)], np.ones(size))
            share /= share.sum()
            loss = float(share @ losses[np.ix_(at, at)] @ share)
            if share.min() >= 0 and loss < best * (1 - 1e-12):
                best, chosen = loss, np.zeros(k)
                chosen[at] = share
    return chosen


def calibration_slope(probabilities: Floats, arms: Codes, w: Floats | None) -> float:
    """Slope of the log odds of the arms received on those predicted (n, K), 0 where it would be negative."""
    return float(join_probabilities({"": probabilities}, arms, w).weights[0])


def join_probabilities(predictions: Mapping[str, Floats], arms: Codes, w: Floats | None) -> Stack:
    """Weights and intercepts of members' probabilities (n, K), by the likelihood of the arms (n,) received.

    Newton steps among the weights that are not held at 0 (Bertsekas 1982, SIAM Journal on Control and Optimization
    20, section 2).
    """
    features = np.stack([_log_odds(p) for p in predictions.values()], axis=2)  # (n, J, k)
    n, J, k = features.shape
    A = np.concatenate([np.broadcast_to(np.eye(J), (n, J, J)), features], axis=2)
    received = (arms[:, None] == np.arange(1, J + 1)).astype(float)
    weight = np.ones(n) if w is None else w
    parameters = np.concatenate([np.zeros(J), np.full(k, 1 / k)])

    def loss(at: Floats) -> float:
        chance = log_softmax(np.hstack([np.zeros((n, 1)), A @ at]), axis=1)
        return -float(weight @ chance[np.arange(n), arms])

    now = loss(parameters)
    for _ in range(100):
        chance = softmax(np.hstack([np.zeros((n, 1)), A @ parameters]), axis=1)[:, 1:]
        gradient = np.einsum("n,nj,njp->p", weight, chance - received, A)
        spread = np.einsum("nj,njp->njp", chance, A)
        mean = spread.sum(axis=1)
        hessian = np.einsum("n,njp,njq->pq", weight, spread, A) - np.einsum("n,np,nq->pq", weight, mean, mean)
        held = (parameters <= 0) & (gradient > 0)
        held[:J] = False
        free = np.flatnonzero(~held)
        ridge = np.eye(len(free)) * (1e-9 * np.trace(hessian) / len(hessian) + 1e-12)
        step = np.zeros(J + k)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)] + ridge, gradient[free])
        for halved in range(20):
            tried = parameters - step / 2**halved
            tried[J:] = np.maximum(tried[J:], 0.0)
            new = loss(tried)
            if new <= now + 1e-12 * abs(now):
                break
        else:
            break
        moved = float(np.abs(tried - parameters).max())
        parameters, now = tried, new
        if moved < 1e-10:
            break
    return Stack(tuple(predictions), parameters[J:], parameters[:J])
