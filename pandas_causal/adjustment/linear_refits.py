"""Least squares fitted again with another treatment or another outcome, the covariates read and factorised once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pandas_causal.arms.arm_means import means_components
from pandas_causal.arms.arm_regression import fit_arm_regression
from pandas_causal.arms.estimands import EstimandPlan
from pandas_causal.arms.sample import Sample
from pandas_causal.effect.study import Refitted
from pandas_causal.errors import CausalDataError, OverlapError
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.linear import StandardisedMatrix

__all__ = ["ArmRefits", "CoefficientRefits", "LinearRefits"]

_NOTHING = 1e-10


class LinearRefits(Protocol):
    """Estimates of the rows of an effect with one vector replaced."""

    @property
    def codes(self) -> Codes:
        """Arms (n,) at fit."""
        ...

    def refit(self, codes: Codes | None = None, y: Floats | None = None) -> Refitted:
        """Fit with other arms (n,), coded as at fit, or another outcome (n,)."""
        ...


@dataclass(frozen=True, eq=False)
class CoefficientRefits:
    """Coefficients of treatment by partialling out the covariates (Frisch and Waugh 1933; Lovell 1963), HC2.

    The covariates are made orthonormal once; another treatment then costs one product with them for the coefficient,
    and one more for its standard error.

    Attributes
    ----------
    Q : ndarray (n, p)
        Orthonormal basis of the intercept and the covariates, times the root of the weights.
    leverage : ndarray (n,)
        Of the basis alone.
    root : ndarray (n,) or None
        Root of the weights.
    codes : ndarray (n,)
    y, y_rest : ndarray (n,)
        The outcome times the root of the weights, and what the covariates leave of it.
    n_arms : int
    """

    Q: Floats
    leverage: Floats
    root: Floats | None
    codes: Codes
    y: Floats
    y_rest: Floats
    n_arms: int

    @classmethod
    def of(cls, sample: Sample) -> CoefficientRefits:
        """Factorise the covariates of a sample."""
        design = StandardisedMatrix.of(sample.X)
        root = None if sample.w is None else np.sqrt(sample.w)
        Q = np.empty((len(sample), design.p))
        for at, Z in design.blocks():
            Q[at] = Z if root is None else Z * root[at, None]
        for _ in range(2):  # the second time removes what rounding left of the first
            factor = np.linalg.cholesky(Q.T @ Q)
            inverse = np.linalg.inv(factor).T
            for at, _Z in design.blocks():
                Q[at] = Q[at] @ inverse
        y = sample.y if root is None else sample.y * root
        y_rest = y - Q @ (Q.T @ y)
        return cls(Q, np.einsum("ij,ij->i", Q, Q), root, sample.codes, y, y_rest, len(sample.arms))

    def refit(self, codes: Codes | None = None, y: Floats | None = None) -> Refitted:
        """Coefficients of the arms with another treatment or outcome, their HC2 errors and degrees of freedom.

        Raises
        ------
        OverlapError
            The covariates explain an arm.
        """
        codes = self.codes if codes is None else codes
        y_rest = self.y_rest
        if y is not None:
            weighted = y if self.root is None else y * self.root
            y_rest = weighted - self.Q @ (self.Q.T @ weighted)
        D = (codes[:, None] == np.arange(1, self.n_arms)).astype(float)
        if self.root is not None:
            D *= self.root[:, None]
        whole = np.einsum("ij,ij->j", D, D)
        D -= self.Q @ (self.Q.T @ D)
        gram = D.T @ D
        if (np.diag(gram) <= _NOTHING * whole).any():
            raise OverlapError("the covariates explain an arm of the treatment exactly")
        bread = np.linalg.inv(gram)
        slopes = D @ bread
        coefficients = slopes.T @ y_rest
        residuals = y_rest - D @ coefficients
        free = 1 - self.leverage - np.einsum("ij,ij->i", slopes, D)
        scores = slopes * (residuals / np.sqrt(np.where(free > _NOTHING, free, 1.0)))[:, None]
        variance = np.einsum("ij,ij->j", scores, scores)
        df = len(D) - self.Q.shape[1] - D.shape[1]
        return Refitted(coefficients, np.sqrt(variance), np.full(len(variance), float(df)))


@dataclass(frozen=True, eq=False)
class ArmRefits:
    """Averages of regressions by arm, the covariates encoded, checked and standardised once.

    Attributes
    ----------
    sample : Sample
    design : StandardisedMatrix
    plan : EstimandPlan
    """

    sample: Sample
    design: StandardisedMatrix
    plan: EstimandPlan

    @property
    def codes(self) -> Codes:
        """Arms (n,) at fit."""
        return self.sample.codes

    def refit(self, codes: Codes | None = None, y: Floats | None = None) -> Refitted:
        """Contrasts of the adjusted means with another treatment or outcome.

        Raises
        ------
        CausalDataError
            An arm has too few rows.
        """
        sample, plan = self.sample, self.plan
        codes, y = sample.codes if codes is None else codes, sample.y if y is None else y
        if np.bincount(codes, minlength=len(sample.arms)).min() < 1:
            raise CausalDataError("an arm has no row")
        fit = fit_arm_regression(self.design, y, codes, len(sample.arms), sample.w, sample.arm_names)
        means = means_components(fit, plan, codes, sample.w, ())
        (component,) = means.components
        variance = np.einsum("ij,jk,ik->i", plan.loadings, component.meat, plan.loadings)
        df = np.full(len(variance), component.df)
        return Refitted(plan.loadings @ means.values, np.sqrt(np.maximum(variance, 0.0)), df)
