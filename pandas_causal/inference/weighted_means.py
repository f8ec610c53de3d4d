"""The law of a weighted mean, whatever one weight outweighs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pandas_causal.kernels.arrays import Floats

__all__ = ["WeightedMeanLaw", "weighted_mean_law"]


class WeightedMeanLaw(NamedTuple):
    """How residuals from a weighted mean tell its variance.

    Attributes
    ----------
    effective : float
        Rows that the weights are worth, ``1 / sum h^2``.
    slack : ndarray (n,)
        Variance of a residual beside that of the noise, where the noise is even; the variance of the mean is
        ``sum h^2 e^2 / slack``.
    df : float
        Degrees of freedom of that variance.
    """

    effective: float
    slack: Floats
    df: float

    @property
    def known(self) -> bool:
        """Whether the weights are worth two rows, without which nobody knows how rows vary."""
        return self.effective >= 2 * (1 - 1e-9)

    def refusal(self, rows: str) -> str:
        """What to say of rows that are worth fewer than two."""
        return (
            f"sample_weight: the {rows} are worth {self.effective:.2f} rows, because few of them outweigh the rest; at"
            " least 2 are needed to know how they vary: check the weights, or cap them"
        )


def weighted_mean_law(h: Floats) -> WeightedMeanLaw:
    """Law of the mean at shares h (n,), which sum to one.

    With ``S = sum h^2`` a residual has variance ``sigma^2 (1 - 2 h + S)``. Equal shares give Welch's ``s^2 / n`` and
    ``n - 1``. The degrees of freedom (Satterthwaite) are ``tr(Q)^2 / tr(Q^2)``, Q the matrix of that quadratic form in
    the noise: about 1 where one row outweighs the rest.
    """
    S = float(h @ h)
    slack = np.maximum(1 - 2 * h + S, 1e-12)  # 0 where one row has all the weight, as a bootstrap may draw
    if S > 0.5 * (1 + 1e-9):
        return WeightedMeanLaw(1 / S, slack, 1.0)
    d = np.square(h) / slack
    D0, D1, D2 = float(d.sum()), float(d @ h), float(d @ np.square(h))
    own = float((np.square(d) * (1 - 4 * h + 2 * S)).sum())
    crossed = S**2 * D0**2 + 2 * D0 * D2 + 2 * D1**2 - 4 * S * D0 * D1
    return WeightedMeanLaw(1 / S, slack, S**2 / (own + crossed))
