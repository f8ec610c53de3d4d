"""Adjusted means of regressions by arm, with the variances that go with them: HC2, and CR2 for clusters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pandas_causal.arms.arm_regression import ArmRegression
from pandas_causal.arms.cluster_robust import clustered_scores, sums_by_cluster
from pandas_causal.arms.estimands import EstimandPlan, target_share
from pandas_causal.arms.sample import Sample
from pandas_causal.arms.wild_bootstrap import wild_tests
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inference.influence import Component, cluster_component, cluster_sums, ways_in_words
from pandas_causal.inputs.parameters import one_of
from pandas_causal.kernels.arrays import Codes, Floats, Positions

__all__ = [
    "WILD",
    "ArmMeans",
    "MeanTerms",
    "components_of",
    "mean_contributions",
    "mean_terms",
    "means_components",
    "population_centres",
    "with_wild_tests",
]

WILD = one_of("satterthwaite", "wild")


def _shares(plan: EstimandPlan, codes: Codes, unit: Floats) -> list[Floats]:
    """Weights (n,) of the population of every mean."""
    return [target_share(t, codes, np.ones((len(codes), 1)), "ATE") * unit for t, _ in plan.targets]


def population_centres(fit: ArmRegression, plan: EstimandPlan, codes: Codes, unit: Floats) -> Floats:
    """Mean covariates (k, p) of the population of every mean, the intercept first."""
    shares = _shares(plan, codes, unit)
    centres = np.zeros((len(shares), fit.design.p))
    for at, Z in fit.design.blocks():
        for j, g in enumerate(shares):
            centres[j] += g[at] @ Z
    return centres / np.array([g.sum() for g in shares])[:, None]


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
    shares = _shares(plan, codes, unit)
    centres = population_centres(fit, plan, codes, unit)
    for j, (_, a) in enumerate(plan.targets):
        g, total = shares[j], shares[j].sum()
        values[j] = g @ fit.predictions[:, a] / total
        second[:, j] = g * (fit.predictions[:, a] - values[j]) / total
        direction = fit.bread[a] @ centres[j]
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


@dataclass(frozen=True, eq=False)
class MeanTerms:
    """Means of a fit as predictions ``z' beta_a``, and what every row contributes to them.

    Attributes
    ----------
    values : ndarray (k,)
    by_coefficients, by_sampling : ndarray (n, k)
    centres : ndarray (k, p)
        The z.
    arms : ndarray (k,)
    """

    values: Floats
    by_coefficients: Floats
    by_sampling: Floats
    centres: Floats
    arms: Positions


def mean_terms(fit: ArmRegression, plan: EstimandPlan, codes: Codes, w: Floats | None) -> MeanTerms:
    """The means of a plan in regressions by arm."""
    centres = population_centres(fit, plan, codes, np.ones(len(codes)) if w is None else w)
    return MeanTerms(*mean_contributions(fit, plan, codes, w), centres, np.array([a for _, a in plan.targets]))


def means_components(
    fit: ArmRegression, plan: EstimandPlan, codes: Codes, w: Floats | None, cluster: tuple[Any, ...]
) -> ArmMeans:
    """Adjusted means of a plan, their raw contributions, and their variance."""
    return components_of(fit, mean_terms(fit, plan, codes, w), codes, w, cluster)


def components_of(
    fit: ArmRegression, terms: MeanTerms, codes: Codes, w: Floats | None, cluster: tuple[Any, ...]
) -> ArmMeans:
    """Means of a fit, their raw contributions, and their variance.

    Without clusters: HC2 for the coefficients, raw for the covariates averaged over, Student's t with n - p degrees of
    freedom. One way of clusters: CR2, with degrees of freedom of every contrast's own (those of the coefficients; the
    covariates averaged over are taken as they are). Several ways: CR1.

    References
    ----------
    Lin (2013), Annals of Applied Statistics; MacKinnon and White (1985) for HC2; Bell and McCaffrey (2002), Pustejovsky
    and Tipton (2018) for CR2.
    """
    values, first, second = terms.values, terms.by_coefficients, terms.by_sampling
    contributions = first + second
    if not cluster:
        adjusted = first * np.sqrt(fit.hc2)[:, None]
        meat = adjusted.T @ adjusted + second.T @ second + first.T @ second + second.T @ first
        return ArmMeans(values, contributions, (Component(meat, fit.df),), "HC2, Student's t")
    if len(cluster) > 1:
        component = cluster_component(contributions, cluster, p=len(values))
        return ArmMeans(values, contributions, (component,), f"clustered{ways_in_words(len(cluster))} (CR1)")
    clusters = sums_by_cluster(fit, codes, w, cluster[0])
    sums, df = clustered_scores(fit, clusters, terms.centres, terms.arms)
    sums = sums + cluster_sums(second, cluster[0]).to_numpy()
    component = Component(sums.T @ sums, float(len(sums) - 1), by_row=df)
    return ArmMeans(values, contributions, (component,), "clustered (CR2), Satterthwaite")


def with_wild_tests(
    effect: Effect, fit: ArmRegression, terms: MeanTerms, codes: Codes, loadings: Floats, sample: Sample
) -> Effect:
    """The same effect with p-values and intervals of the restricted wild cluster bootstrap.

    Raises
    ------
    CausalArgumentError
        Without one way of clusters.
    """
    if len(sample.cluster) != 1:
        raise CausalArgumentError(
            "cluster_inference='wild' needs cluster=, one column: the bootstrap redraws the signs of whole clusters"
        )
    clusters = sums_by_cluster(fit, codes, sample.w, sample.cluster[0])
    estimates, index = effect.rows.centre, effect.rows.index
    side = effect.alternative
    tests = wild_tests(clusters, terms.centres, terms.arms, loadings, estimates, index, alternative=side)
    words = f"{effect.std_error_method}; p-values and intervals: wild cluster bootstrap (Webb's weights, null imposed)"
    return replace(effect, tests=tests.of_zero(), inversion=tests, std_error_method=words)
