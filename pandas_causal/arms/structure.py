"""What a model misses: its residuals, or its weights, against the squares and products of the covariates.

Balance of means says little about either: a model that is linear in a covariate balances its mean, whatever its square
does. The largest of many t statistics, with Bonferroni's bound, is a test that can fail and rarely does without cause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from pandas_causal.arms.covariate_terms import LOOKED_AT, PAIRED, Case, CovariateTerms
from pandas_causal.arms.estimands import EstimandPlan, target_density, target_share
from pandas_causal.arms.sample import Sample
from pandas_causal.effect.check import Check
from pandas_causal.errors import AssumptionWarning, warn
from pandas_causal.kernels.arrays import Bools, Floats, Values
from pandas_causal.models.nuisance import fit_outcome

__all__ = [
    "TermTest",
    "std_errors",
    "structure_of_residuals",
    "structure_of_weights",
    "worst_terms",
]

_SHOWN = 5
_RECOUNTED = 20
_MOVED = 1 / 3  # standard errors
REJECTED = 0.001  # of the test, over all terms and arms


class TermTest(NamedTuple):
    """The terms with the largest t statistics, worst first, and the p-value of the largest among all."""

    table: pd.DataFrame
    p_value: float


def worst_terms(terms: CovariateTerms, cases: Sequence[Case], cluster: Values | None = None) -> TermTest:
    """Test every column, square and product in every case at once.

    Parameters
    ----------
    terms : CovariateTerms
    cases : sequence of Case
        An arm each, of the rows that the terms are of.
    cluster : ndarray (n,), optional
        The statistics of the twenty worst terms are computed anew from sums by cluster, with G - 1 degrees of freedom.

    Returns
    -------
    TermTest
        With Bonferroni's bound over all terms of all cases, by Student's law with one degree of freedom less than the
        effective number of rows (clusters).
    """
    q, at = terms.Z.shape[1], terms.at
    if at is not None and cluster is not None:
        cluster = cluster[at]
    if q > PAIRED:
        terms = terms.likeliest(cases, PAIRED)
    labels = None if cluster is None else np.unique(cluster, return_inverse=True)[1]
    upper = np.triu_indices(terms.Z.shape[1])
    rows = []
    tested = len(cases) * q * (q + 3) // 2  # those left unseen count as well
    for case in cases:
        target = case.target / case.target.sum()
        linear, products = terms.statistics(case.values, target)
        t = np.concatenate([linear, products[upper]])
        size = np.abs(case.values)
        df = max(size.sum() ** 2 / max(float(size @ size), 1e-300) if labels is None else labels.max() + 1.0, 2.0) - 1
        for i in np.argsort(-np.abs(t), kind="stable")[:_RECOUNTED]:
            one = i < len(linear)
            j, k = (int(i), None) if one else (int(upper[0][i - len(linear)]), int(upper[1][i - len(linear)]))
            exact = t[i] if labels is None else terms.by_cluster(j, k, case.values, target, labels)
            rows.append((terms.name(j, k), case.arm, float(exact), df))
    table = pd.DataFrame(rows, columns=["term", "arm", "t", "df"]).astype({"t": float, "df": float})
    table = table.iloc[np.argsort(-table["t"].abs().to_numpy(), kind="stable")[:_SHOWN]].reset_index(drop=True)
    table["p_value"] = np.minimum(1.0, 2 * stats.t.sf(table["t"].abs(), table["df"]) * tested)
    return TermTest(table, float(table["p_value"].min()) if len(table) else 1.0)


@dataclass(frozen=True, eq=False)
class AugmentedMeans:
    """How an answer's k means are made: ``target' m_a + own' (y - m_a)`` of an outcome model m.

    Attributes
    ----------
    target : ndarray (n, k)
        Weights of the rows of the population, of sum 1.
    own : ndarray (n, k)
        Weights of the arm's own rows; 0 where the model is only averaged.
    outcome : ndarray (n, K)
        The model; 0 where there is none.
    """

    target: Floats
    own: Floats
    outcome: Floats

    def corrected(self, sample: Sample, plan: EstimandPlan) -> Floats:
        """The means (k,) once what the model leaves is regressed on splines and products, arm by arm."""
        left = sample.y - self.outcome[np.arange(len(sample)), sample.codes]
        found = fit_outcome("splines", replace(sample.training_rows(), y=left), None).predictions
        values = []
        for j, (_, a) in enumerate(plan.targets):
            m = self.outcome[:, a] + found[:, a]
            values.append(self.target[:, j] @ m + self.own[:, j] @ (sample.y - m))
        return np.array(values)


def structure_of_residuals(
    sample: Sample,
    plan: EstimandPlan,
    outcome: Floats,
    propensity: Floats | None,
    values: Floats,
    contributions: Floats,
    keep: Bools | None = None,
) -> tuple[Check, list[str]]:
    """The check of an outcome model: its residuals, arm by arm, against columns, squares and products.

    Parameters
    ----------
    sample : Sample
    plan : EstimandPlan
        With k means.
    outcome, propensity : ndarray (n, K)
        Without a propensity the outcome model is only averaged.
    values : ndarray (k,)
        The answer's means.
    contributions : ndarray (n, k)
    keep : ndarray (n,) of bool, optional
        Rows left after trimming.

    Warns
    -----
    AssumptionWarning
        As :func:`structure_of_weights`.
    """
    unit = _unit(sample, keep)
    terms = _terms_of(sample)
    at = slice(None) if terms.at is None else terms.at
    codes = sample.codes[at]
    cases = []
    for a, level in enumerate(sample.arms.levels):
        own = np.where(codes == a, unit[at], 0.0)
        cases.append(Case(str(level), own * (sample.y[at] - outcome[at, a]), own))

    def means() -> AugmentedMeans:
        targets, weights = np.empty_like(contributions), np.zeros_like(contributions)
        for j, (population, a) in enumerate(plan.targets):
            e = outcome if propensity is None else propensity  # of a population that is no weighted one it is not read
            targets[:, j] = target_share(population, sample.codes, e, plan.estimand) * unit
            if propensity is not None:
                density = target_density(plan.estimand, population, propensity) / propensity[:, a]
                weights[:, j] = np.where(sample.codes == a, density, 0.0) * unit
        total = targets.sum(axis=0)
        return AugmentedMeans(targets / total, weights / total, outcome)

    what = "the outcome model misses structure"
    return _conclude(sample, plan, terms, cases, what, means, values, contributions)


def structure_of_weights(
    sample: Sample, plan: EstimandPlan, weights: Floats, targets: Floats, values: Floats, contributions: Floats
) -> tuple[Check, list[str]]:
    """The check of weights: what they leave between an arm and its population in columns, squares and products.

    Parameters
    ----------
    sample : Sample
    plan : EstimandPlan
        With k means.
    weights, targets : ndarray (n, k)
        Weights of the arm's rows, and of the rows of the population, mean by mean.
    values : ndarray (k,)
        The answer's means.
    contributions : ndarray (n, k)

    Warns
    -----
    AssumptionWarning
        Where the test rejects at .001 and the answer moves by over a third of its standard error once the model, or
        the outcome that is weighted, is regressed on splines and products.
    """
    own, target = weights / weights.sum(axis=0), targets / targets.sum(axis=0)
    terms = _terms_of(sample)
    at = slice(None) if terms.at is None else terms.at
    cases = [
        Case(str(sample.arms.levels[a]), own[at, j] - target[at, j], target[at, j])
        for j, (population, a) in enumerate(plan.targets)
        if population != a
    ]

    def means() -> AugmentedMeans:
        return AugmentedMeans(target, own, np.zeros((len(sample), len(sample.arms))))

    return _conclude(sample, plan, terms, cases, "the weights leave structure", means, values, contributions)


def _terms_of(sample: Sample) -> CovariateTerms:
    """Of some rows, where there are many: what is worth a warning shows in so many."""
    return CovariateTerms.of(sample.X, sample.encoder.names, LOOKED_AT)


def _unit(sample: Sample, keep: Bools | None) -> Floats:
    unit = np.ones(len(sample)) if sample.w is None else sample.w
    return unit if keep is None else unit * keep


def _conclude(
    sample: Sample,
    plan: EstimandPlan,
    terms: CovariateTerms,
    cases: Sequence[Case],
    what: str,
    means: Callable[[], AugmentedMeans],
    values: Floats,
    contributions: Floats,
) -> tuple[Check, list[str]]:
    """Test, and where the test rejects, see how far a correction moves the answer."""
    test = worst_terms(terms, cases, sample.cluster[0] if sample.cluster else None)
    if not len(test.table):
        return Check(True, test.table, "there is no covariate to test"), []
    worst = test.table.iloc[0]
    found = f"{worst['term']} in arm {worst['arm']} (t = {worst['t']:.1f})"
    if test.p_value >= REJECTED:
        return Check(True, test.table, f"no column, square or product stands out; largest: {found}"), []
    shift = np.abs(plan.loadings @ (means().corrected(sample, plan) - values))
    std_error = std_errors(contributions @ plan.loadings.T, sample.cluster)
    moved = float(np.max(np.divide(shift, std_error, out=np.zeros_like(shift), where=std_error > 0)))
    text = f"{what} that the covariates show: {found}; corrected for it the answer moves by {moved:.1f} standard errors"
    if moved <= _MOVED:
        return Check(True, test.table, text), []
    warn(text, AssumptionWarning)
    return Check(False, test.table, text), [text]


def std_errors(contributions: Floats, cluster: Sequence[Values]) -> Floats:
    """Of contributions (n, rows), by the first way of clusters."""
    for labels in cluster[:1]:
        codes = np.unique(labels, return_inverse=True)[1]
        contributions = np.column_stack([np.bincount(codes, column) for column in contributions.T])
    return np.sqrt(np.square(contributions).sum(axis=0))
