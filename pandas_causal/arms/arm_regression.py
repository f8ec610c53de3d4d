"""Least squares in every arm.

A regression of the outcome on treatment, centred covariates and all their interactions (Lin 2013) is a regression in
every arm by itself. Its average predictions are the adjusted arm means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.linear import StandardisedMatrix, group_grams, invert_gram

__all__ = ["ArmRegression", "fit_arm_regression"]


@dataclass(frozen=True, eq=False)
class ArmRegression:
    """Least squares of y on the standardised design in every arm.

    Attributes
    ----------
    design : StandardisedMatrix
    coefficients : ndarray (K, p)
    bread : ndarray (K, p, p)
        Inverse Gram matrix of every arm.
    residuals : ndarray (n,)
    leverage : ndarray (n,)
        ``w z' bread z`` of the own arm.
    predictions : ndarray (n, K)
    df : float
        Rows less coefficients.
    """

    design: StandardisedMatrix
    coefficients: Floats
    bread: Floats
    residuals: Floats
    leverage: Floats
    predictions: Floats
    df: float

    @property
    def hc2(self) -> Floats:
        """Factor ``1 / (1 - h)`` on squared residuals; 1 for a row that its arm's fit goes through."""
        free = 1 - self.leverage
        return np.divide(1.0, free, out=np.ones_like(free), where=free > 1e-10)


def fit_arm_regression(
    design: StandardisedMatrix,
    y: Floats,
    codes: Codes,
    n_arms: int,
    w: Floats | None = None,
    names: Sequence[str] = (),
) -> ArmRegression:
    """Fit every arm by its normal equations; `names` say which rows have too few, in place of the arm's code.

    Raises
    ------
    CausalDataError
        If an arm has no more rows than coefficients, so that no residual is left.
    """
    grams, moments = group_grams(design, y, codes, n_arms, w)
    bread = np.stack([invert_gram(g) for g in grams])
    used = [int((np.diag(b) != 0).sum()) for b in bread]
    counts = np.bincount(codes if w is None else codes[w > 0], minlength=n_arms)  # rows of weight 0 tell nothing
    for a in range(n_arms):
        if counts[a] <= used[a]:
            raise CausalDataError(
                f"{names[a] if names else f'arm {a}'} has {counts[a]} rows for {used[a]} coefficients; use fewer"
                " covariates, or AIPW(outcome_model='ridge')"
            )
    coefficients = np.einsum("aij,aj->ai", bread, moments)
    residuals, leverage = np.empty(len(y)), np.empty(len(y))
    predictions = np.empty((len(y), n_arms))
    for at, Z in design.blocks():
        arm_of_row = codes[at]
        fitted = Z @ coefficients.T
        predictions[at] = fitted
        residuals[at] = y[at] - fitted[np.arange(len(arm_of_row)), arm_of_row]
        h = np.empty(len(arm_of_row))
        for a in range(n_arms):
            inside = arm_of_row == a
            h[inside] = np.einsum("ij,ij->i", Z[inside] @ bread[a], Z[inside])
        leverage[at] = h if w is None else h * w[at]
    return ArmRegression(design, coefficients, bread, residuals, leverage, predictions, float(counts.sum() - sum(used)))
