"""Least squares in every arm.

A regression of the outcome on treatment, centred covariates and all their interactions (Lin 2013) is a regression in
every arm by itself. Its average predictions are the adjusted arm means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Codes, Floats, Positions
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
    if design.p == 1:
        return _means(design, y, codes, n_arms, w, names)
    grams, moments = group_grams(design, y, codes, n_arms, w)
    bread = np.stack([invert_gram(g) for g in grams])
    used = [int((np.diag(b) != 0).sum()) for b in bread]
    counts = np.bincount(codes if w is None else codes[w > 0], minlength=n_arms)  # rows of weight 0 tell nothing
    _refuse_too_few(counts, used, names)
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


def _refuse_too_few(counts: Positions, used: Sequence[int], names: Sequence[str]) -> None:
    """Refuse arms of no more rows than coefficients."""
    for a, (count, p) in enumerate(zip(counts, used, strict=True)):
        if count <= p:
            raise CausalDataError(
                f"{names[a] if names else f'arm {a}'} has {count} rows for {p} coefficients; use fewer covariates, or"
                " AIPW(outcome_model='ridge')"
            )


def _means(
    design: StandardisedMatrix, y: Floats, codes: Codes, n_arms: int, w: Floats | None, names: Sequence[str]
) -> ArmRegression:
    """The regression on an intercept alone: means by arm, without a matrix."""
    counts = np.bincount(codes if w is None else codes[w > 0], minlength=n_arms)
    _refuse_too_few(counts, [1] * n_arms, names)
    mass = np.bincount(codes, weights=w, minlength=n_arms).astype(float)
    centre = float(y.mean())
    gap = y - centre
    sums = np.bincount(codes, weights=gap if w is None else gap * w, minlength=n_arms)
    means = centre + sums / mass
    leverage = (1 / mass)[codes]
    if w is not None:
        leverage *= w
    predictions = np.broadcast_to(means, (len(y), n_arms))
    bread = (1 / mass)[:, None, None]
    df = float(counts.sum() - n_arms)
    return ArmRegression(design, means[:, None], bread, y - means[codes], leverage, predictions, df)
