"""Synthetic control augmented by a ridge regression on outcomes before treatment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pandas_causal.kernels.arrays import Floats, Ints
from pandas_causal.synthetic_control.comparison import Blockwise, Runs, kept_rows, unit_weight_table
from pandas_causal.synthetic_control.simplex import simplex_weights

__all__ = ["AugmentedControl", "choose_ridge", "ridge_grid", "ridge_step"]

_GRID = 20
_LEAST = 1e-8


def ridge_step(before: Floats, imbalance: Floats, ridge: float) -> Floats:
    """Weights (n,) that a ridge regression adds: ``imbalance' (X'X + ridge I)^-1 X'``.

    X are the donors' outcomes before treatment without their means, imbalance what simplex weights leave of the
    treated unit's (Ben-Michael, Feller and Rothstein 2021, Lemma 1).

    Parameters
    ----------
    before : ndarray (n, T0)
        Centred by period.
    imbalance : ndarray (T0,)
    ridge : float
        Above zero.
    """
    u, s, vt = np.linalg.svd(before, full_matrices=False)
    return u @ (s / (s**2 + ridge) * (vt @ imbalance))


def ridge_grid(before: Floats) -> Floats:
    """20 ridges from the largest squared singular value down by a factor of 1e8, and zero excluded."""
    top = float(np.linalg.norm(before, 2)) ** 2
    return top * np.logspace(0, np.log10(_LEAST), _GRID)


def choose_ridge(before: Floats, target: Floats) -> tuple[float, Floats, Floats]:
    """Choose the ridge by leaving out one period before treatment at a time.

    The largest ridge whose mean squared error is within one standard error of the smallest.

    Parameters
    ----------
    before : ndarray (n, T0)
        Donors' outcomes.
    target : ndarray (T0,)

    Returns
    -------
    float, ndarray (20,), ndarray (T0, 20)
        The ridge, the grid, and squared errors by period left out.

    References
    ----------
    Ben-Michael, Feller and Rothstein (2021), JASA 116, section 5.3.
    """
    mean = before.mean(axis=0)
    X, y = before - mean, target - mean
    grid = ridge_grid(X)
    errors = np.empty((len(y), len(grid)))
    for t in range(len(y)):
        rest = np.delete(np.arange(len(y)), t)
        w = simplex_weights(X[:, rest], y[rest])
        u, s, vt = np.linalg.svd(X[:, rest], full_matrices=False)
        along = (vt @ (y[rest] - w @ X[:, rest]))[:, None] * (s[:, None] / (s[:, None] ** 2 + grid))
        errors[t] = np.square(y[t] - w @ X[:, t] - (X[:, t] @ u) @ along)
    means = errors.mean(axis=0)
    best = int(means.argmin())
    bound = means[best] + errors[:, best].std(ddof=1) / np.sqrt(len(y))
    return float(grid[np.flatnonzero(means <= bound)[0]]), grid, errors


@dataclass(frozen=True, eq=False)
class AugmentedControl(Blockwise):
    """Ridge-augmented synthetic control.

    Attributes
    ----------
    ridge : float or None
        None: chosen anew in every run, so that placebos are treated as the treated unit is.
    """

    ridge: float | None = None
    demeaned: bool = False

    def runs(self, Y: Floats, start: int, target: Ints, excluded: Ints) -> Runs:
        """See :class:`comparison.Method`."""
        Y = Y - Y.mean(axis=0)  # weights sum to one: common to both sides, and digits are kept
        before = Y[:, :start]
        weights = unit_weight_table(before, target, excluded, 0.0, intercept=False)
        kept = kept_rows(len(Y), excluded)
        ridges = np.empty((len(target), 1))
        for k, rows in enumerate(kept):
            donors, goal = before[rows], before[target[k]].mean(axis=0)
            centred = donors - donors.mean(axis=0)
            if not centred.any():  # one donor, or copies: a regression on nothing
                ridges[k] = np.inf
                continue
            ridges[k] = choose_ridge(donors, goal)[0] if self.ridge is None else self.ridge
            step = ridge_step(centred, goal - weights[k] @ before, float(ridges[k, 0]))
            weights[k, rows] += step - step.mean()
        return Runs(Y[target].mean(axis=1) - weights @ Y, weights, tuning=ridges)
