"""Means by matching, with what every row contributes to them and the variances of Abadie and Imbens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pandas_causal.errors import CausalDataError
from pandas_causal.inference.influence import cluster_component
from pandas_causal.kernels.arrays import Bools, Codes, Floats, Positions
from pandas_causal.matching.design import Score, Target
from pandas_causal.matching.matches import Matches
from pandas_causal.matching.nearest import own_arm_means
from pandas_causal.models.linear import StandardisedMatrix, group_grams, invert_gram, solve_least_norm

__all__ = ["ArmMean", "Noise", "abadie_imbens", "arm_mean", "paired_meat", "usage"]


@dataclass(frozen=True, eq=False)
class ArmMean:
    """Mean outcome of a population under one arm.

    Attributes
    ----------
    value : float
    population : int or None
    imputed : ndarray (n,)
        Outcome under the arm of every row of the population, its own or that of its matches; 0 for other rows.
    v : ndarray (n,)
        Weight of the population's rows, divided by their sum.
    used, used_squared : ndarray (n,)
        How often every row stands for others: K and K' of :meth:`Matches.received`, divided likewise.
    residual : ndarray (n,)
        ``sqrt(J / (J + 1)) (y - mean of J neighbours)`` of the rows that are used.
    contributions : ndarray (n,)
        Add up to 0; estimate - truth is their sum.
    slope : ndarray (p,) or None
        Derivative by the coefficients of the logistic propensity.
    """

    value: float
    population: int | None
    imputed: Floats
    v: Floats
    used: Floats
    used_squared: Floats
    residual: Floats
    contributions: Floats
    slope: Floats | None = None


def usage(target: Target, w: Floats) -> tuple[Floats, Floats, Floats]:
    """Weights of one mean (n,): of the population's rows, of the rows that stand for others, and those squared (K')."""
    n = len(w)
    v, used, used_squared = np.zeros(n), np.zeros(n), np.zeros(n)
    v[target.rows] = w[target.rows]
    total = v.sum()
    v /= total
    if target.links is not None:
        K, K2 = target.links.received(v[target.links.left])
        used[target.links.right], used_squared[target.links.right] = K, K2
    return v, used, used_squared


def bias_predictions(design: StandardisedMatrix, y: Floats, rows: Positions, weight: Floats, arm: object) -> Floats:
    """Predictions (n,) of the outcome by least squares among the matched rows of an arm, weighted by their use.

    A level that no match has shares what the others say of it, whatever the levels are called: of all solutions the
    shortest is taken.

    References
    ----------
    Abadie and Imbens (2011), "Bias-corrected matching estimators for average treatment effects", JBES, section 3.
    """
    part = design.on(design.X[rows])
    grams, moments = group_grams(part, y[rows], np.zeros(len(rows), dtype=np.intp), 1, weight)
    beta, rank = solve_least_norm(grams[0], moments[0])
    if len(rows) <= rank:
        raise CausalDataError(
            f"bias_adjust fits {rank} coefficients to the {len(rows):,} rows of arm {arm} that are matches; use"
            " fewer covariates, a larger ratio=, or bias_adjust=False"
        )
    out = np.empty(len(y))
    for at, Z in design.blocks():
        out[at] = Z @ beta
    return out


@dataclass(frozen=True, eq=False)
class Noise:
    """How the outcome's variance is estimated, of the rows that stand for others.

    Attributes
    ----------
    kind : {"pairs", "neighbours", "score"}
        "pairs": from the variation of the sums of matched pairs. "neighbours": against the nearest rows of the same
        arm. "score": as "neighbours", plus the variance from estimating the propensity that rows are matched on.
    matches : int
        Neighbours.
    bias_design : StandardisedMatrix or None
        Covariates of the bias adjustment.
    """

    kind: str
    matches: int
    bias_design: StandardisedMatrix | None = None


def arm_mean(target: Target, y: Floats, w: Floats, codes: Codes, noise: Noise) -> ArmMean:
    """Estimate one mean and what every row contributes to it.

    With residuals ``r = y - m(x)`` (m the bias adjustment, or 0) a row i of the population that is not of the arm gets
    ``m(x_i) + sum_j w_ij r_j``. It contributes by its own place, ``m(x_i) + sum_j w_ij rbar_j - mean``, and a donor by
    its noise, ``K_j (r_j - rbar_j)``, where rbar_j is the mean of the donor's neighbours in its own arm. In pairs of
    their own rbar is one constant: there the sum over a pair is what varies.

    References
    ----------
    Abadie and Imbens (2012), "A martingale representation for matching estimators", JASA, section 3.
    """
    v, used, used_squared = usage(target, w)
    of_arm = target.rows[codes[target.rows] == target.arm]
    imputed, contributions, residual = np.zeros(len(y)), np.zeros(len(y)), np.zeros(len(y))
    imputed[of_arm] = y[of_arm]
    links, slope = target.links, None
    if links is None:
        value = float(v @ imputed)
        contributions[of_arm] = v[of_arm] * (y[of_arm] - value)
        return ArmMean(value, target.population, imputed, v, used, used_squared, residual, contributions)
    donors = np.flatnonzero(used[links.right] > 0)
    rows = links.right[donors]
    m = np.zeros(len(y))
    if noise.bias_design is not None:
        m = bias_predictions(noise.bias_design, y, rows, used[rows], target.arm)
    r = y - m
    imputed[links.left] = m[links.left] + links.impute(r[links.right])
    value = float(v @ imputed)
    near = np.zeros(len(links.right))
    if noise.kind == "pairs":
        near[:] = (used[rows] @ r[rows]) / used[rows].sum()
    else:
        corrected = noise.kind == "score" and target.score is not None and target.score.design is not None
        Z = target.score if corrected else None
        means, J, gaps = _neighbours(target, links, donors, r, Z, noise.matches)
        near[donors] = means
        shrink = np.sqrt(J / (J + 1))
        residual[rows] = shrink * (r[rows] - means)
        if gaps is not None and Z is not None:
            sign = -1.0 if target.arm == Z.upper else 1.0
            slope = sign * (used[rows] * np.square(shrink) * (r[rows] - means)) @ gaps
    contributions[of_arm] = v[of_arm] * (y[of_arm] - value)
    contributions[links.left] = v[links.left] * (m[links.left] + links.impute(near) - value)
    contributions[rows] += used[rows] * (r[rows] - near[donors])
    return ArmMean(value, target.population, imputed, v, used, used_squared, residual, contributions, slope)


def _neighbours(
    target: Target, links: Matches, donors: Positions, r: Floats, score: Score | None, matches: int
) -> tuple[Floats, Floats, Floats | None]:
    """Of the donors used: mean residual of their neighbours, how many those are, and ``z - zbar`` (d, p) if asked."""
    columns = [r[links.right][:, None]]
    if score is not None and score.design is not None:
        at = np.searchsorted(score.rows, links.right)
        columns.append(score.design.rows(at))
    values = np.hstack(columns)
    space = target.space
    assert space is not None  # noqa: S101 - there is one wherever there are links
    if target.strata:
        means, J = _stratum_means(links, donors, values)
        alone = J == 0
        if alone.any():
            space = space.without_groups()
            means[alone], J[alone] = own_arm_means(space, links.right, donors[alone], values, matches)
    else:
        means, J = own_arm_means(space, links.right, donors, values, matches)
    gaps = values[donors, 1:] - means[:, 1:] if values.shape[1] > 1 else None
    return means[:, 0], np.asarray(J, dtype=float), gaps


def _stratum_means(links: Matches, donors: Positions, values: Floats) -> tuple[Floats, Floats]:
    """Mean of the other rows of the arm in the same stratum, and how many they are."""
    cell = links.right_cell
    n = np.bincount(cell)[cell[donors]] - 1.0
    means = np.empty((len(donors), values.shape[1]))
    for k in range(values.shape[1]):
        total = np.bincount(cell, weights=values[:, k])[cell[donors]]
        means[:, k] = (total - values[donors, k]) / np.maximum(n, 1)
    return means, np.asarray(n, dtype=float)


def abadie_imbens(
    means: Sequence[ArmMean], targets: Sequence[Target], w: Floats, codes: Codes
) -> tuple[Floats, Floats, bool]:
    """Variance (k, k) of the means, and their contributions (n, k) with the estimation of the propensity in them.

    Within a population, with weights v that sum to 1: ``sum v_i^2 (yhat_ia - mu_a)(yhat_ib - mu_b)``, and on the
    diagonal ``sum (2 v_j K_j + K_j^2 - K'_j) s_j^2`` over the rows that stand for others. Means of different
    populations share donors: their covariance is that of the contributions.

    An estimated logistic propensity moves a mean by its slope times ``I^-1 s`` (score s, information I).

    Returns
    -------
    meat : ndarray (k, k)
    contributions : ndarray (n, k)
    corrected : bool
        Whether the propensity's estimation is in it.

    References
    ----------
    Abadie and Imbens (2006), Econometrica, Theorem 7; (2008), "Estimation of the conditional variance in paired
    experiments"; (2016), "Matching on the estimated propensity score", Econometrica, Theorem 2.
    """
    psi = np.column_stack([m.contributions for m in means])
    corrections = np.zeros_like(psi)
    blocks: dict[int | None, list[int]] = {}
    for j, m in enumerate(means):
        blocks.setdefault(m.population, []).append(j)
    replaced: dict[int | None, Floats | None] = {}
    corrected = False
    for population, members in blocks.items():
        block: Floats | None = _block([means[j] for j in members])
        extra, moved = _corrections(means, targets, members, w, codes, exact=population is None)
        if extra is not None and block is not None:
            corrected = True
            corrections[:, members] += moved
            total = block + extra
            values = np.linalg.eigvalsh(total)
            # in few rows the difference of two estimates can fail to be a variance: then the contributions' is taken
            block = total if values.min() > 1e-9 * max(values.max(), 0.0) else None
        replaced[population] = block
    contributions = psi + corrections
    meat = contributions.T @ contributions
    for population, members in blocks.items():
        variance = replaced[population]
        if variance is not None:
            meat[np.ix_(members, members)] = variance
    return np.asarray(meat, dtype=float), np.asarray(contributions, dtype=float), corrected


def _block(means: Sequence[ArmMean]) -> Floats:
    """Variance of the means of one population at known propensities."""
    deviations = np.column_stack([np.where(m.v > 0, m.v * (m.imputed - m.value), 0.0) for m in means])
    out = deviations.T @ deviations
    for j, m in enumerate(means):
        # a row's own outcome counts for itself only in the mean of its own arm, where alone it stands for others
        extra = 2 * m.v * m.used + np.square(m.used) - m.used_squared
        out[j, j] += float(extra @ np.square(m.residual))
    return out


def _corrections(
    means: Sequence[ArmMean],
    targets: Sequence[Target],
    members: Sequence[int],
    w: Floats,
    codes: Codes,
    *,
    exact: bool,
) -> tuple[Floats | None, Floats]:
    """What the estimated propensities add to the variance of one population's means (k, k) and their contributions."""
    chosen = [means[j] for j in members]
    moved = np.zeros((len(w), len(members)))
    extra = np.zeros((len(members), len(members)))
    scores: list[Score | None] = [targets[j].score if means[j].slope is not None else None for j in members]
    models = [None if score is None else score.model for score in scores]
    distinct = {id(score.model): score for score in scores if score is not None}
    for score in distinct.values():
        of_model = np.array([model is score.model for model in models])
        addition, by_row = _propensity(chosen, of_model, score, w, codes, exact=exact)
        extra += addition
        moved[score.rows] += by_row
    if len(distinct) > 1:  # several arms beside one: their models share rows
        apart = np.array([[a is not b for b in models] for a in models])
        extra += np.where(apart, moved.T @ moved, 0.0)
    return extra if distinct else None, moved


def _propensity(
    means: Sequence[ArmMean], of_model: Bools, score: Score, w: Floats, codes: Codes, *, exact: bool
) -> tuple[Floats, Floats]:
    """What the estimation of one logistic propensity adds to the variance (k, k) and to the contributions (m, k).

    With slopes G, information I and C the covariance of the means with the score:
    ``G I^-1 C' + C I^-1 G' + G I^-1 G'``. For everyone (ATE) the limit does not move with the coefficients, C = -G and
    the variance falls by ``G I^-1 G'``. With sample weights I^-1 is no variance, and sums over rows take its place.
    """
    design, model = score.design, score.model
    assert design is not None and model is not None and model.logistic is not None  # noqa: S101,PT018 - slopes exist
    inverse = invert_gram(model.logistic.information)
    rows = score.rows
    error = w[rows] * ((codes[rows] == score.upper) - score.values)
    zero = np.zeros(design.p)
    G = np.vstack([m.slope if mine and m.slope is not None else zero for m, mine in zip(means, of_model, strict=True)])
    moved, C = np.empty((len(rows), len(means))), np.zeros_like(G)
    path = inverse @ G.T
    psi = np.column_stack([m.contributions[rows] for m in means])
    for at, Z in design.blocks():
        moved[at] = (Z @ path) * error[at][:, None]
        C += (psi[at] * error[at][:, None]).T @ Z
    if bool((w != w[0]).any()):
        return psi.T @ moved + moved.T @ psi + moved.T @ moved, moved
    if exact:
        C = -G
    return G @ inverse @ C.T + C @ inverse @ G.T + G @ inverse @ G.T, moved


def paired_meat(
    means: Sequence[ArmMean], targets: Sequence[Target], clusters: Sequence[NDArray[np.generic]]
) -> tuple[Floats, Floats, float]:
    """Variance (k, k) clustered by pair (and by `clusters`), contributions (n, k) and degrees of freedom.

    Clusters that hold pairs whole take their place. Others come on top: V(pairs) + V(clusters) - V(rows), of whose
    second part, V(clusters) - V(rows), only the positive (semidefinite) part is kept. In few clusters the difference
    of two estimates can fall below 0, and no contrast may have a smaller error than its pairs alone give it.

    References
    ----------
    Abadie and Spiess (2022), "Robust post-matching inference", JASA, section 3.
    """
    contributions = np.column_stack([m.contributions for m in means])
    meat = contributions.T @ contributions
    df = np.inf
    for population in dict.fromkeys(m.population for m in means):
        members = [j for j, m in enumerate(means) if m.population == population]
        label = _set_of_rows([targets[j] for j in members], len(contributions))
        inside = np.flatnonzero(label >= 0)
        by: list[NDArray[np.generic]] = [label[inside]]
        if clusters:
            other = clusters[0][inside]
            nested = _nested(label[inside], other)
            by = [other] if nested else [label[inside], other]
        component = cluster_component(contributions[inside][:, members], by, p=len(members))
        block = component.meat
        if len(by) == 2:
            alone = cluster_component(contributions[inside][:, members], by[:1], p=len(members)).meat
            values, vectors = np.linalg.eigh(block - alone)
            block = alone + (vectors * np.maximum(values, 0.0)) @ vectors.T
        meat[np.ix_(members, members)] = block
        df = min(df, component.df)
    return meat, contributions, df


def _set_of_rows(targets: Sequence[Target], n: int) -> Positions:
    """Number of the set of every row; -1: of none."""
    label = np.full(n, -1, dtype=np.intp)
    for target in targets:
        links = target.links
        if links is not None and links.subclass is not None and links.right_subclass is not None:
            label[links.left] = links.subclass
            label[links.right] = np.where(links.right_subclass >= 0, links.right_subclass, label[links.right])
            break
    return label


def _nested(inner: NDArray[np.generic], outer: NDArray[np.generic]) -> bool:
    """Whether every set lies within one cluster."""
    pairs = set(zip(inner.tolist(), outer.tolist(), strict=True))
    return len(pairs) == len(set(inner.tolist()))
