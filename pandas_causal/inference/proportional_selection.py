"""Selection on unobserved causes in proportion to that on observed ones.

References
----------
Oster (2019), "Unobservable selection and coefficient stability: theory and evidence", JBES 37, section 3 (propositions
1 to 3); Altonji, Elder and Taber (2005), JPE 113.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pandas_causal.kernels.arrays import Floats

__all__ = ["SelectionMoments"]


@dataclass(frozen=True)
class SelectionMoments:
    """A coefficient without and with covariates, and the spreads that relate the two.

    Attributes
    ----------
    short, r2_short : float
        Coefficient and R2 of the regression on treatment alone.
    long, r2_long : float
        With the covariates.
    outcome_variance, treatment_variance : float
    residual_variance : float
        Of treatment, less what the covariates explain.
    """

    short: float
    r2_short: float
    long: float
    r2_long: float
    outcome_variance: float
    treatment_variance: float
    residual_variance: float

    def _terms(self, r2_max: float) -> tuple[Floats, Floats]:
        """Coefficients in ``v = long - true`` (from v^0 to v^3) of the numerator and the denominator of delta."""
        yy, xx, t = self.outcome_variance, self.treatment_variance, self.residual_variance
        gap, room = self.short - self.long, (r2_max - self.r2_long) * yy
        cubic = t * (xx - t)
        numerator = np.array([0.0, (self.r2_long - self.r2_short) * yy * t + xx * t * gap**2, 2 * t * gap * xx, cubic])
        denominator = np.array([room * gap * xx, room * (xx - t), t * gap * xx, cubic])
        return numerator, denominator

    def delta(self, true: float, r2_max: float) -> float:
        """How strong selection on the unobserved must be, relative to the observed, for a coefficient to be true."""
        powers = (self.long - true) ** np.arange(4)
        numerator, denominator = self._terms(r2_max)
        below = float(denominator @ powers)
        return float(numerator @ powers) / below if below else float("inf")

    def adjusted(self, delta: float, r2_max: float) -> tuple[float, ...]:
        """Coefficients that are true if selection is `delta` times as strong, the nearest to the long one first."""
        numerator, denominator = self._terms(r2_max)
        polynomial = delta * denominator - numerator
        scale = np.abs(polynomial).max()
        if not scale > 0:
            return (self.long,)
        kept = np.where(np.abs(polynomial) > 1e-12 * scale, polynomial, 0.0)
        roots = np.roots(np.trim_zeros(kept[::-1], "f"))
        real = roots.real[np.abs(roots.imag) < 1e-9 * (1 + np.abs(roots.real))]
        return tuple(float(self.long - v) for v in sorted(real, key=abs))
