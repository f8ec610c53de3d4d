"""The law of a weighted mean, whatever one weight outweighs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Floats, Ints

__all__ = ["WeightedMeanLaw", "refuse_dominating_weights", "weighted_mean_law"]


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
            f"sample_weight: the {rows} are worth {self.effective:.2f}, because few of them outweigh the rest; at"
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


def refuse_dominating_weights(w: Floats, groups: Ints, names: Sequence[str]) -> None:
    """Refuse a group of rows whose sample weights are worth fewer than two, ``sum(w)^2 / sum(w^2) < 2``.

    Parameters
    ----------
    w : ndarray (n,)
    groups : ndarray (n,)
        Position of every row's group in `names`; -1 for none.
    names : sequence of str
        What to call the rows of each group. A group of one row is let pass: it has no error anyhow.

    Raises
    ------
    CausalDataError
        Naming the group and what its rows are worth.
    """
    for g, name in enumerate(names):
        own = w[groups == g]
        if np.count_nonzero(own) < 2:
            continue
        law = weighted_mean_law(own / own.sum())
        if not law.known:
            raise CausalDataError(law.refusal(f"{len(own):,} {name}"))
