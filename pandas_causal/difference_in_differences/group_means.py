"""Means of groups with Welch's law, and least squares with HC2 errors: two-by-two designs are contrasts of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pandas_causal.errors import CausalDataError
from pandas_causal.inference.influence import Component
from pandas_causal.inference.weighted_means import weighted_mean_law
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.linear import independent_columns

__all__ = ["Means", "group_means", "regression_hc2"]


class Means(NamedTuple):
    """Parameters with their contributions.

    Attributes
    ----------
    values : ndarray (k,)
    contributions : ndarray (n, k)
    components : tuple of Component
    """

    values: Floats
    contributions: Floats
    components: tuple[Component, ...]


def group_means(y: Floats, group: Codes, names: Sequence[str], w: Floats | None = None) -> Means:
    """Weighted means of groups, each with a variance and degrees of freedom of its own (Welch 1947).

    The variance is that of :func:`weighted_mean_law`, without weights ``s^2 / n``; of a group with one row it is 0, and
    whoever counts treated units says that it is unknown.

    Parameters
    ----------
    y : ndarray (n,)
    group : ndarray (n,)
        Positions in `names`; every group has rows.
    names : sequence of str
        Of the groups, for messages.
    w : ndarray (n,), optional

    Raises
    ------
    CausalDataError
        A group of several rows whose weights are worth fewer than two.
    """
    n_groups = len(names)
    weight = np.ones(len(y)) if w is None else w
    n = np.bincount(group, minlength=n_groups)
    total = np.bincount(group, weight, n_groups)
    centre = y.mean()  # sums of deviations keep digits that sums of large values lose
    values = centre + np.bincount(group, weight * (y - centre), n_groups) / total
    residual = weight * (y - values[group]) / total[group]
    contributions = np.zeros((len(y), n_groups))
    contributions[np.arange(len(y)), group] = residual
    components = []
    for k, name in enumerate(names):
        inside, meat = group == k, np.zeros((n_groups, n_groups))
        law = weighted_mean_law(weight[inside] / total[k])
        if n[k] > 1:
            if not law.known:
                raise CausalDataError(law.refusal(f"{n[k]:,} rows of the {name}"))
            meat[k, k] = (np.square(residual[inside]) / law.slack).sum()
        components.append(Component(meat, law.df))
    return Means(values, contributions, tuple(components))


def regression_hc2(y: Floats, Z: Floats, X: Floats, w: Floats | None = None) -> Means:
    """Coefficients of the columns of Z after covariates X, with HC2 contributions (MacKinnon and White 1985).

    Parameters
    ----------
    y : ndarray (n,)
    Z : ndarray (n, k)
        Columns of interest, an intercept among them; never collinear.
    X : ndarray (n, q)
        Covariates; one that the columns before it explain is left out.
    w : ndarray (n,), optional
    """
    k = Z.shape[1]
    weight = np.ones(len(y)) if w is None else w / w.mean()
    scale = X.std(axis=0)
    A = np.hstack([Z, (X - X.mean(axis=0)) / np.where(scale > 0, scale, 1.0)])
    gram = (A * weight[:, None]).T @ A
    kept = independent_columns(gram, first=k)
    A = A[:, kept]
    inverse = np.linalg.inv(gram[np.ix_(kept, kept)])
    residual = y - y.mean()
    coefficients = inverse @ (A.T @ (weight * residual))
    residual = residual - A @ coefficients
    coefficients[0] += y.mean()
    leverage = weight * np.einsum("ij,jk,ik->i", A, inverse, A)
    scores = A * (weight * residual / np.sqrt(np.maximum(1 - leverage, 1e-12)))[:, None]
    contributions = scores @ inverse[:, :k]
    df = float(len(y) - len(kept))
    return Means(coefficients[:k], contributions, (Component(contributions.T @ contributions, df),))
