"""Weights that join the predictions of several learners.

Every member predicts rows that it did not see; the weights are learned from those predictions, pooled over the folds
(short-stacking: Ahrens, Hansen, Schaffer and Wiemann 2025, Journal of Applied Econometrics 40, section 3). Convex
weights of least squares join means; probabilities are joined on the scale of log odds, by a logistic regression whose
slopes are not negative, so that they are calibrated anew as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import expit, log_softmax, softmax

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


class _TwoArms:
    """Minus the log-likelihood of two arms at an intercept and slopes of log odds (n, 1)."""

    def __init__(self, odds: Sequence[Floats], arms: Codes, w: Floats) -> None:
        self.A = np.column_stack([np.ones(len(arms)), *odds])
        self.treated, self.w = arms.astype(float), w

    def loss(self, at: Floats) -> float:
        eta = self.A @ at
        return float(self.w @ (np.maximum(eta, 0) + np.log1p(np.exp(-np.abs(eta))) - self.treated * eta))

    def derivatives(self, at: Floats) -> tuple[Floats, Floats]:
        chance = expit(self.A @ at)
        curved = self.w * chance * (1 - chance)
        return self.A.T @ (self.w * (chance - self.treated)), (self.A.T * curved) @ self.A


class _SeveralArms:
    """The same of several arms: an intercept for every arm but the first, and slopes of log odds (n, J)."""

    def __init__(self, odds: Sequence[Floats], arms: Codes, w: Floats) -> None:
        features = np.stack(odds, axis=2)  # (n, J, k)
        n, J, _ = features.shape
        self.A = np.concatenate([np.broadcast_to(np.eye(J), (n, J, J)), features], axis=2)
        self.received, self.arms, self.w = (arms[:, None] == np.arange(1, J + 1)).astype(float), arms, w

    def loss(self, at: Floats) -> float:
        n = len(self.w)
        chance = log_softmax(np.hstack([np.zeros((n, 1)), self.A @ at]), axis=1)
        return -float(self.w @ chance[np.arange(n), self.arms])

    def derivatives(self, at: Floats) -> tuple[Floats, Floats]:
        A, w = self.A, self.w
        chance = softmax(np.hstack([np.zeros((len(w), 1)), A @ at]), axis=1)[:, 1:]
        gradient = np.einsum("n,nj,njp->p", w, chance - self.received, A)
        spread = np.einsum("nj,njp->njp", chance, A)
        mean = spread.sum(axis=1)
        return gradient, np.einsum("n,njp,njq->pq", w, spread, A) - np.einsum("n,np,nq->pq", w, mean, mean)


def join_probabilities(predictions: Mapping[str, Floats], arms: Codes, w: Floats | None) -> Stack:
    """Weights and intercepts of members' probabilities (n, K), by the likelihood of the arms (n,) received.

    Newton steps among the weights that are not held at 0 (Bertsekas 1982, SIAM Journal on Control and Optimization
    20, section 2).
    """
    odds = [_log_odds(p) for p in predictions.values()]
    J, k = odds[0].shape[1], len(odds)
    likelihood = (_TwoArms if J == 1 else _SeveralArms)(odds, arms, np.ones(len(arms)) if w is None else w)
    parameters = np.concatenate([np.zeros(J), np.full(k, 1 / k)])
    loss = likelihood.loss
    now = loss(parameters)
    for _ in range(100):
        gradient, hessian = likelihood.derivatives(parameters)
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
