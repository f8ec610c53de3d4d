"""Least squares in every arm, with the residual variances that go with it: HC2, and CR2 for clusters.

A regression of the outcome on treatment, centred covariates and all their interactions (Lin 2013) is a regression in
every arm by itself. Its average predictions are the adjusted arm means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.arms.estimands import EstimandPlan, target_share
from pandas_causal.errors import CausalDataError
from pandas_causal.inference.influence import Component, cluster_component, cluster_sums, square_root, ways_in_words
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.linear import StandardisedMatrix, group_grams, invert_gram

__all__ = ["ArmMeans", "ArmRegression", "components_of", "cr2_residuals", "fit_arm_regression", "means_components"]


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


def mean_contributions(
    fit: ArmRegression, plan: EstimandPlan, codes: Codes, w: Floats | None, residuals: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """Adjusted means and their two contributions: of the coefficients, and of the covariates averaged over.

    For arm a in a population with mean covariates z, ``mu = z' beta_a``: a row of arm a contributes ``z' bread_a z_i
    e_i``, a row of the population ``(z_i' beta_a - mu) / size``.

    Returns
    -------
    values : ndarray (k,)
    by_coefficients, by_sampling : ndarray (n, k)
    """
    n, k = len(codes), len(plan.targets)
    e = fit.residuals if residuals is None else residuals
    unit = np.ones(n) if w is None else w
    values, first, second = np.empty(k), np.zeros((n, k)), np.empty((n, k))
    shares = [target_share(t, codes, np.ones((n, 1)), "ATE") * unit for t, _ in plan.targets]
    centres = np.zeros((k, fit.design.p))
    for at, Z in fit.design.blocks():
        for j, g in enumerate(shares):
            centres[j] += g[at] @ Z
    for j, (_, a) in enumerate(plan.targets):
        g, total = shares[j], shares[j].sum()
        values[j] = g @ fit.predictions[:, a] / total
        second[:, j] = g * (fit.predictions[:, a] - values[j]) / total
        direction = fit.bread[a] @ (centres[j] / total)
        for at, Z in fit.design.blocks():
            inside = codes[at] == a
            first[at, j][inside] = (Z[inside] @ direction) * (e[at] * unit[at])[inside]
    return values, first, second


@dataclass(frozen=True, eq=False)
class ArmMeans:
    """Means by arm (or other parameters) as an estimator found them.

    Attributes
    ----------
    values : ndarray (k,)
    contributions : ndarray (n, k)
    components : tuple of Component
        Their variance.
    method : str
        Where the standard errors come from.
    """

    values: Floats
    contributions: Floats
    components: tuple[Component, ...]
    method: str


def means_components(
    fit: ArmRegression, plan: EstimandPlan, codes: Codes, w: Floats | None, cluster: tuple[Any, ...]
) -> ArmMeans:
    """Adjusted means, their raw contributions, and their variance.

    Without clusters: HC2 for the coefficients, raw for the covariates averaged over, Student's t with n - p degrees of
    freedom. One way of clusters: CR2 residuals, G - 1. Several ways: CR1.

    References
    ----------
    Lin (2013), Annals of Applied Statistics; MacKinnon and White (1985) for HC2; Bell and McCaffrey (2002) for CR2.
    """
    return components_of(fit, partial(mean_contributions, fit, plan, codes, w), codes, w, cluster)


def components_of(
    fit: ArmRegression,
    contributions_at: Callable[[Floats], tuple[Floats, Floats, Floats]],
    codes: Codes,
    w: Floats | None,
    cluster: tuple[Any, ...],
) -> ArmMeans:
    """The same for any means of a fit, given how residuals (n,) make values and their two contributions."""
    values, first, second = contributions_at(fit.residuals)
    contributions = first + second
    if not cluster:
        adjusted = first * np.sqrt(fit.hc2)[:, None]
        meat = adjusted.T @ adjusted + second.T @ second + first.T @ second + second.T @ first
        return ArmMeans(values, contributions, (Component(meat, fit.df),), "HC2, Student's t")
    if len(cluster) > 1:
        component = cluster_component(contributions, cluster, p=len(values))
        return ArmMeans(values, contributions, (component,), f"clustered{ways_in_words(len(cluster))} (CR1)")
    e = cr2_residuals(fit, codes, w, cluster[0])
    _, adjusted, _ = contributions_at(e)
    sums = cluster_sums(adjusted + second, cluster[0]).to_numpy()
    component = Component(sums.T @ sums, float(len(sums) - 1))
    return ArmMeans(values, contributions, (component,), "clustered (CR2)")


def cr2_residuals(fit: ArmRegression, codes: Codes, w: Floats | None, cluster: Any) -> Floats:
    """Residuals (n,) multiplied by ``(I - H_gg)^(-1/2)`` within every cluster.

    With ``H_gg = U U'``, ``U = sqrt(w) Z L``, ``bread = L L'`` and ``U'U = V diag(l) V'``, the product is
    ``e + U V diag(((1 - l)^(-1/2) - 1) / l) V' U' e``: p-by-p work however large the cluster; in a cluster of fewer
    rows than coefficients ``H_gg`` itself is decomposed. A direction that a
    cluster alone determines (l = 1) has no residual and gets the generalised inverse.

    References
    ----------
    Bell and McCaffrey (2002), Survey Methodology 28; Pustejovsky and Tipton (2018), JBES, eq. (6).
    """
    groups = pd.factorize(cluster)[0] * (int(codes.max()) + 1) + codes
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(groups[order]) != 0))
    root = np.ones(len(codes)) if w is None else np.sqrt(w)
    halves = [square_root(b) for b in fit.bread]
    out = np.empty(len(codes))
    for rows in np.split(order, starts[1:]):
        U = fit.design.rows(rows) @ halves[codes[rows[0]]] * root[rows][:, None]
        by_rows = len(rows) < U.shape[1]
        size, V = np.linalg.eigh(U @ U.T if by_rows else U.T @ U)
        size = np.clip(size, 0.0, 1.0)
        free = 1 - size
        power = np.where(free > 1e-9, 1 / np.sqrt(np.where(free > 1e-9, free, 1.0)), 0.0)
        scaled = root[rows] * fit.residuals[rows]
        if by_rows:
            adjusted = V @ (power * (V.T @ scaled))
        else:
            factor = np.where(size > 1e-9, (power - 1) / np.where(size > 1e-9, size, 1.0), 0.5)
            UV = U @ V
            adjusted = scaled + UV @ (factor * (UV.T @ scaled))
        out[rows] = np.divide(adjusted, root[rows], out=np.zeros(len(rows)), where=root[rows] > 0)
    return out
