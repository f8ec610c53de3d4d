"""Effects linear in a basis of the covariates: least squares with the contributions of every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalDataError, NotIdentifiedError, Problem
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.encoding import EveryLevel
from pandas_causal.kernels.arrays import Floats, Positions
from pandas_causal.models.linear import StandardisedMatrix, independent_columns

__all__ = ["BasisFit", "EffectBasis", "LinearEffects", "fit_on_basis", "with_factor"]


@dataclass(frozen=True, eq=False)
class EffectBasis:
    """Functions of the covariates that an effect is linear in: a constant, and covariates less their means.

    Attributes
    ----------
    at : ndarray of int
        Columns of the encoded matrix.
    design : StandardisedMatrix
        Those columns, as learned from the fitted rows.
    names : tuple of str (p,)
    levels : EveryLevel or None
        Of a penalised last step, which sees every level of a category: what adds them to the encoded matrix.
    """

    at: Positions
    design: StandardisedMatrix
    names: tuple[str, ...]
    levels: EveryLevel | None = None

    @classmethod
    def of(cls, X: Floats, names: Sequence[str], at: Positions | None = None) -> EffectBasis:
        """All columns of an encoded matrix, or those at some positions."""
        at = np.arange(X.shape[1]) if at is None else at
        design = StandardisedMatrix.of(X if len(at) == X.shape[1] else X[:, at])
        return cls(at, design, ("at the means", *(names[at[j]] for j in design.kept)))

    @classmethod
    def of_every_level(cls, X: Floats, levels: EveryLevel) -> EffectBasis:
        """All columns but those that others explain, and every level of the categories: for penalties."""
        kept = set(StandardisedMatrix.of(X).kept.tolist())
        used = [k for k, source in enumerate(levels.columns) if not isinstance(source, int) or source in kept]
        levels = EveryLevel(tuple(levels.names[k] for k in used), tuple(levels.columns[k] for k in used))
        Z = levels.on(X)
        return cls(np.arange(Z.shape[1]), StandardisedMatrix.of(Z).whole(), ("at the means", *levels.names), levels)

    @property
    def p(self) -> int:
        """Functions, the constant among them."""
        return self.design.p

    @property
    def unit(self) -> Floats:
        """Standard deviation of every function (p,), 1 of the constant."""
        return np.concatenate([[1.0], self.design.scale[self.design.kept]])

    def on(self, X: Floats) -> Floats:
        """The basis (m, p) at encoded rows."""
        design = self._design_on(X)
        whole = len(design.kept) == design.X.shape[1]
        out = np.empty((self.p, len(X)))
        out[0] = 1.0
        np.subtract((design.X if whole else design.X[:, design.kept]).T, design.centre[design.kept, None], out=out[1:])
        return out.T

    def mean(self, X: Floats, w: Floats | None = None) -> Floats:
        """Weighted mean of the basis (p,) over encoded rows."""
        total = np.zeros(self.p)
        for at, Z in self._design_on(X).blocks():
            total += Z.sum(axis=0) if w is None else w[at] @ Z
        return total / (len(X) if w is None else w.sum()) * self.unit

    def combine(self, X: Floats, coefficients: Floats) -> Floats:
        """Combinations (m, d) of the basis at encoded rows, by coefficients (d, p)."""
        out = np.empty((len(X), len(coefficients)))
        for at, Z in self._design_on(X).blocks():
            np.matmul(Z, (coefficients * self.unit).T, out=out[at])
        return out

    def _design_on(self, X: Floats) -> StandardisedMatrix:
        if self.levels is not None:
            return self.design.on(self.levels.on(X))
        return self.design.on(X if len(self.at) == X.shape[1] else X[:, self.at])


@dataclass(frozen=True, eq=False)
class BasisFit:
    """Coefficients (k,) of treatments times basis, and their contributions (n, k)."""

    values: Floats
    contributions: Floats


def fit_on_basis(
    basis: EffectBasis, slopes: Floats, target: Floats, w: Floats | None, names: Sequence[str]
) -> BasisFit:
    """Least squares of a target on every slope times every function of the basis.

    ``target_i ~ sum_j slopes_ij z_i' theta_j``: with residuals of outcome and treatments it is the last step of the
    partially linear model (Robinson 1988; Chernozhukov et al. 2018, eq. 4.4, of residuals on residuals), with slopes 1
    the projection of a score (Semenova and Chernozhukov 2021, eq. 2.4).

    Parameters
    ----------
    basis : EffectBasis (n, p)
    slopes : ndarray (n, d)
    target : ndarray (n,)
    w : ndarray (n,), optional
    names : sequence of str (d,)
        Of the slopes, for messages.

    Returns
    -------
    BasisFit
        The parameters of the first slope first.

    Raises
    ------
    CausalDataError
        More parameters than rows.
    NotIdentifiedError
        Where products are collinear.
    """
    n, d = slopes.shape
    k = d * basis.p
    if k >= n:
        raise CausalDataError(
            [Problem("X", f"gives {k} coefficients for {n:,} rows", None, "let effects vary with fewer covariates")]
        )
    gram, moment = np.zeros((k, k)), np.zeros(k)
    for at, Z in basis.design.blocks():
        R = _products(slopes[at], Z)
        weighted = R if w is None else R * w[at][:, None]
        gram += weighted.T @ R
        moment += weighted.T @ target[at]
    root = np.sqrt(np.diag(gram))
    kept = independent_columns(gram / np.outer(root, root)) if (root > 0).all() else np.flatnonzero(root > 0)
    if len(kept) < k:
        j = int(np.setdiff1d(np.arange(k), kept)[0])
        if j % basis.p == 0:
            raise NotIdentifiedError(
                f"the effect of {names[j // basis.p]} is not identified: given the covariates it does not vary by"
                " itself (another treatment, or treatments together, explain it)"
            )
        raise NotIdentifiedError(
            f"how the effect of {names[j // basis.p]} varies with {basis.names[j % basis.p]} is not identified: the"
            " treatment hardly varies there; let effects vary with fewer covariates (effect_modifiers=)"
        )
    bread = np.linalg.inv(gram / np.outer(root, root)) / np.outer(root, root)
    theta = bread @ moment
    contributions = np.empty((n, k))
    for at, Z in basis.design.blocks():
        R = _products(slopes[at], Z)
        e = target[at] - R @ theta
        contributions[at] = (R @ bread) * (e if w is None else e * w[at])[:, None]
    unit = np.tile(basis.unit, d)
    contributions /= unit
    return BasisFit(theta / unit, contributions)


def _products(slopes: Floats, Z: Floats) -> Floats:
    if slopes.shape[1] == 1:
        return Z * slopes
    return (slopes[:, :, None] * Z[:, None, :]).reshape(len(Z), -1)


def with_factor(contributions: Floats, factor: float) -> Component:
    """Variance of the contributions times a small-sample factor, under the normal law."""
    return Component(factor * (contributions.T @ contributions))


@dataclass(frozen=True, eq=False)
class LinearEffects:
    """Effects linear in a basis, of one treatment or several.

    Attributes
    ----------
    basis : EffectBasis (p functions)
    uncertainty : Influence
        Of the d * p coefficients.
    """

    basis: EffectBasis
    uncertainty: Influence

    @classmethod
    def of(
        cls,
        basis: EffectBasis,
        values: Floats,
        contributions: Floats,
        rows: RowIdentity,
        treatments: Sequence[str],
        *,
        components: tuple[Component, ...] | None = None,
        clusters: Any = None,
    ) -> LinearEffects:
        """From coefficients and contributions; HC1 unless components or clusters are given."""
        n, k = contributions.shape
        several = len(treatments) > 1
        names = [f"{t}: {name}" if several else name for t in treatments for name in basis.names]
        u = Influence.from_contributions(
            values, contributions, rows, names=pd.Index(names, name="coefficient"), clusters=clusters,
            components=(with_factor(contributions, n / (n - k)),) if components is None else components,
            clustering=None if components is None or not clusters else tuple(clusters.values()),
        )  # fmt: skip
        return cls(basis, u)

    def clustered(self, by: Sequence[object]) -> LinearEffects:
        """The same, its errors clustered."""
        return replace(self, uncertainty=self.uncertainty.cluster(by))

    def of_treatment(self, j: int, X: Floats) -> Influence:
        """Effects of one treatment at encoded rows (m, q): its own coefficients, the basis as loadings."""
        u, own = self.uncertainty, slice(j * self.basis.p, (j + 1) * self.basis.p)
        single = u.contributions is None or u.contributions.shape[1] == self.basis.p
        return replace(
            u,
            values=u.values[own],
            names=u.names[own],
            loadings=self.basis.on(X),
            components=tuple(c.with_meat(c.meat[own, own]) for c in u.components),
            contributions=u.contributions if single or u.contributions is None else u.contributions[:, own],
        )

    def predict(self, X: Floats) -> Floats:
        """Effects (m, d) at encoded rows."""
        return self.basis.combine(X, self.uncertainty.values.reshape(-1, self.basis.p))
