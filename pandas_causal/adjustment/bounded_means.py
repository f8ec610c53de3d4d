"""Weighted means when the odds behind the propensities may be off by a factor, with their joint uncertainty."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from pandas_causal.arms.estimands import EstimandPlan
from pandas_causal.arms.sample import Sample
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.marginal_sensitivity import WeightedArm
from pandas_causal.kernels.arrays import Floats, Positions
from pandas_causal.models.linear import Logistic, StandardisedMatrix, invert_gram

__all__ = ["BoundedMeans"]


class BoundedMeans:
    """The means of a plan, each between a smallest and a largest value.

    Parameters
    ----------
    sample : Sample
    plan : EstimandPlan
    propensity : ndarray (n, K)
    unit : ndarray (n,)
        Sample weights, zero for rows trimmed.
    logistic : Logistic or None
        The model of the propensity whose estimation is to enter the errors.
    """

    def __init__(
        self, sample: Sample, plan: EstimandPlan, propensity: Floats, unit: Floats, logistic: Logistic | None
    ) -> None:
        self.sample, self.plan, self.propensity, self.unit, self.logistic = sample, plan, propensity, unit, logistic
        self.design = StandardisedMatrix.of(sample.X)

    def within(self, factor: float, *, sharp: bool, clustered: bool = True) -> Influence:
        """Lower and upper ends of every contrast of the plan (the rows), by smallest and largest means (parameters).

        Parameters
        ----------
        factor : float
            By how much the odds may be off, 1 or more.
        sharp : bool
            Whether the weights must still balance the covariates.
        clustered : bool
            Whether the errors are by the clusters of the sample.
        """
        k, n = len(self.plan.targets), len(self.sample)
        values, contributions = np.empty(2 * k), np.zeros((n, 2 * k))
        for j in range(k):
            rows, arm, slopes = self._arm(j)
            for side, one in ((0, arm.negative()), (1, arm)):
                value, by_row, by_odds = one.sharp(factor) if sharp else one.extreme(factor)
                sign, at = (1.0, k + j) if side else (-1.0, j)
                values[at] = sign * value
                contributions[rows, at] = sign * by_row
                if self.logistic is not None:
                    contributions[:, at] += self._by_propensity(rows, sign * by_odds * arm.odds, slopes)
        plus, minus = np.maximum(self.plan.loadings, 0), np.minimum(self.plan.loadings, 0)
        loadings = np.block([[plus, minus], [minus, plus]])
        names = pd.Index([f"{end} {name}" for end in ("smallest", "largest") for name in self.plan.names])
        sample = self.sample
        u = Influence.from_contributions(
            values, contributions, sample.rows, names=names, loadings=loadings, clusters=sample.clusters
        )
        return u.cluster(sample.cluster) if sample.cluster and clustered else u

    def _arm(self, j: int) -> tuple[Positions, WeightedArm, Callable[[int], Floats]]:
        """Rows of the arm of a mean, with their odds, and the slopes of the logarithm of the odds in eta_b."""
        (population, a), e = self.plan.targets[j], self.propensity
        rows = np.flatnonzero((self.sample.codes == a) & (self.unit > 0))
        own = e[rows]
        if population is None:
            base, odds = 1.0, (1 - own[:, a]) / own[:, a]

            def slopes(b: int) -> Floats:
                return np.asarray(-(float(a == b) - own[:, b]) / (1 - own[:, a]))

        else:
            base, odds = (1.0, np.zeros(len(rows))) if population == a else (0.0, own[:, population] / own[:, a])

            def slopes(b: int) -> Floats:
                return np.full(len(rows), float(population == b) - float(a == b))

        Z = self.design.rows(rows)
        return rows, WeightedArm(self.sample.y[rows], base, odds, self.unit[rows], Z), slopes

    def _by_propensity(self, rows: Positions, moved: Floats, slopes: Callable[[int], Floats]) -> Floats:
        """What the estimation of a logistic propensity adds to the contributions (n,)."""
        assert self.logistic is not None  # noqa: S101 - asked where there is one
        J, p, codes = self.propensity.shape[1] - 1, self.design.p, self.sample.codes
        Z = self.design.rows(rows)
        G = np.stack([(moved * slopes(b)) @ Z for b in range(1, J + 1)])
        path = (G.reshape(-1) @ invert_gram(self.logistic.information)).reshape(J, p)
        out = np.empty(len(codes))
        for at, block in self.design.blocks():
            residual = (codes[at][:, None] == np.arange(1, J + 1)) - self.propensity[at, 1:]
            if self.sample.w is not None:
                residual = residual * self.sample.w[at][:, None]
            out[at] = np.einsum("nj,nj->n", block @ path.T, residual)
        return out
