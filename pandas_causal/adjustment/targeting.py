"""The last correction of an outcome model before it is averaged: what is left of it where its rows are weighted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pandas_causal.kernels.arrays import Bools, Floats

__all__ = ["Targeted", "target_arm"]

_ROWS_A_FEATURE = 20  # effective ones, under which the correction is a constant
_MOST_LEVERAGE = 0.95


class Targeted(NamedTuple):
    """An arm's corrected predictions (n,), and the leverage (n,) of its rows on the correction (0 in other arms)."""

    predictions: Floats
    leverage: Floats


def target_arm(y: Floats, own: Bools, outcome: Floats, propensity: Floats, a: int, weights: Floats) -> Targeted:
    """Regress an arm's residuals on every arm's predictions and the log odds, under the weights of its mean.

    The fit is added to the predictions of all rows. The weighted residuals are then orthogonal to all of these, as
    those of a targeted outcome model are to a constant, so that an error of either nuisance that follows them is
    balanced out.

    Parameters
    ----------
    y : ndarray (n,)
    own : ndarray (n,) of bool
        Rows of the arm.
    outcome, propensity : ndarray (n, K)
    a : int
    weights : ndarray (n,)
        ``h / e_a`` of the estimand, times sample weights; 0 where a row was trimmed.

    References
    ----------
    Scharfstein, Rotnitzky and Robins (1999), JASA 94, rejoinder, section 3.2.2; Bang and Robins (2005), Biometrics 61,
    section 3; Gruber and van der Laan (2010) for the form that is bounded.
    """
    used = own & (weights > 0)
    v = weights[used]
    odds = np.log(propensity[:, 1:]) - np.log(propensity[:, :1])
    features = np.column_stack([np.ones(len(y)), outcome, odds])
    centre = np.average(features[used], axis=0, weights=v)
    scale = np.sqrt(np.average(np.square(features[used] - centre), axis=0, weights=v))
    moving = np.flatnonzero(scale > 1e-9 * (1 + np.abs(centre)))
    if v.sum() ** 2 / np.square(v).sum() < _ROWS_A_FEATURE * (1 + len(moving)):
        moving = moving[:0]
    Z = np.column_stack([np.ones(len(y)), (features[:, moving] - centre[moving]) / scale[moving]])
    A = Z[used] * np.sqrt(v)[:, None]
    inverse = np.linalg.inv(A.T @ A + np.eye(Z.shape[1]) * (1e-8 * v.sum()))
    b = inverse @ (A.T @ (np.sqrt(v) * (y[used] - outcome[used, a])))
    leverage = np.zeros(len(y))
    leverage[used] = np.minimum(np.einsum("ij,jk,ik->i", A, inverse, A), _MOST_LEVERAGE)
    return Targeted(outcome[:, a] + Z @ b, leverage)
