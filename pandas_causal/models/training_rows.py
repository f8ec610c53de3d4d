"""Rows that nuisances are fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pandas_causal.inputs.encoding import EveryLevel
from pandas_causal.kernels.arrays import Codes, Floats, Positions, Values
from pandas_causal.models.linear import StandardisedMatrix

__all__ = ["TrainingRows"]


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Rows that nuisances are fitted to.

    Attributes
    ----------
    X : ndarray (n, q)
        Encoded covariates.
    arms : ndarray (n,)
    n_arms : int
    y : ndarray (n,) or None
        Outcome; a propensity needs none.
    w : ndarray (n,) or None
        Sample weights.
    columns : sequence of str (q,) or None
        Names of the covariates, for learners that were given as objects.
    design : StandardisedMatrix or None
        The same covariates standardised, where that was done before.
    levels : EveryLevel or None
        What learners are given in place of X: it adds the levels that X leaves out.
    groups : ndarray (n,) or None
        Clusters, which folds that are drawn keep whole.
    """

    X: Floats
    arms: Codes
    n_arms: int
    y: Floats | None = None
    w: Floats | None = None
    columns: Sequence[str] | None = None
    design: StandardisedMatrix | None = None
    levels: EveryLevel | None = None
    groups: Values | None = None

    def __len__(self) -> int:
        return len(self.arms)

    def take(self, at: Positions | None) -> TrainingRows:
        """Some rows, in this order; None: all."""
        if at is None:
            return self
        return replace(
            self,
            X=self.X[at],
            arms=self.arms[at],
            y=None if self.y is None else self.y[at],
            w=None if self.w is None else self.w[at],
            groups=None if self.groups is None else self.groups[at],
            design=None,
        )

    def standardised(self) -> StandardisedMatrix:
        """The covariates standardised."""
        return StandardisedMatrix.of(self.X) if self.design is None else self.design

    def for_learners(self) -> tuple[Floats, Sequence[str] | None]:
        """Values and names of the covariates that learners are given."""
        if self.levels is None:
            return self.X, self.columns
        return self.levels.on(self.X), None if self.columns is None else self.levels.names

    def outcome(self) -> Floats:
        """The outcome, which a model of it cannot do without."""
        assert self.y is not None  # noqa: S101 - callers that model outcomes give one
        return self.y

    def binary(self) -> bool:
        """Whether the outcome is 0 or 1 in every row."""
        return bool(np.isin(self.outcome(), (0.0, 1.0)).all())

    def share_loss(self) -> float:
        """Log loss of the shares of the arms."""
        shares = np.bincount(self.arms, weights=self.w, minlength=self.n_arms)
        shares = shares / shares.sum()
        return float(-(shares * np.log(shares)).sum())
