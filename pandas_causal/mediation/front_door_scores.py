"""The front door: scores of the means under every arm, and the regressions of a regression behind them.

Notation: A the arm, M the mediators, X the covariates, Y the outcome; ``e_a(x) = P(A = a | x)``,
``r_a(m, x) = P(A = a | m, x)``, ``mu_t(m, x) = E[Y | A = t, m, x]`` and ``nu_at(x) = E[mu_t(M, x) | A = a, x]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.arms.estimands import EstimandPlan
from pandas_causal.arms.overlap import effective_sample_size
from pandas_causal.effect.check import Check
from pandas_causal.errors import OverlapError
from pandas_causal.kernels.arrays import Codes, Floats

__all__ = ["front_door_scores", "mediator_overlap", "mediator_weights"]

_LEAST_SHARE = 0.10


def mediator_weights(propensity: Floats, given_mediators: Floats, codes: Codes, a: int) -> Floats:
    """Ratio of the mediators' densities under arm a and under the arm received, by Bayes' rule.

    ``p(m | a, x) / p(m | A, x) = (r_a / r_A) (e_A / e_a)``: two classifiers in place of a density of all mediators.

    References
    ----------
    Guo, Benkeser and Nabi (2023), "Targeted machine learning for average causal effect estimation using the front-door
    functional", arXiv 2312.10234, the estimators for continuous and multivariate mediators.
    """
    rows = np.arange(len(codes))
    return np.asarray(given_mediators[:, a] / given_mediators[rows, codes] * propensity[rows, codes] / propensity[:, a])


def front_door_scores(
    plan: EstimandPlan,
    y: Floats,
    codes: Codes,
    *,
    outcome: Floats,
    nested: Floats,
    propensity: Floats,
    given_mediators: Floats,
    w: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Front-door means and their contributions.

    ``E[Y(a)]`` is ``E[Y | A = a]`` for the rows of arm a, and for those of every other arm t the mean of
    ``nu_at(X) + p(M | a, X) / p(M | t, X) (Y - mu_t(M, X))``, to which each row of arm a adds
    ``e_t / e_a (mu_t(M, X) - nu_at(X))``. That is the efficient influence function of the front-door functional; in
    it ``nu_aa`` cancels, so that only regressions across arms are needed. Of second order are
    ``(ratio - its limit) (mu - its limit)`` and ``(e - its limit) (nu - its limit)``.

    Parameters
    ----------
    plan : EstimandPlan
        Means wanted (k of them).
    y, codes : ndarray (n,)
    outcome : ndarray (n, K)
        ``mu_t`` at every row's own mediators.
    nested : ndarray (n, K, K)
        ``nu_at``, ``[:, a, t]``; the diagonal is not read.
    propensity, given_mediators : ndarray (n, K)
        ``e`` and ``r``.
    w : ndarray (n,), optional
        Sample weights.

    Returns
    -------
    values : ndarray (k,)
    contributions : ndarray (n, k)

    References
    ----------
    Fulcher, Shpitser, Marealle and Tchetgen Tchetgen (2020), "Robust inference on population indirect causal effects:
    the generalized front door criterion", JRSS B 82, Theorem 1 (without a direct effect their ``E[Y(A, M(a))]`` is
    ``E[Y(a)]``); Guo, Benkeser and Nabi (2023), arXiv 2312.10234, for the means among the treated.
    """
    n, k, K = len(y), len(plan.targets), propensity.shape[1]
    values, contributions = np.empty(k), np.empty((n, k))
    unit = np.ones(n) if w is None else w
    for j, (population, a) in enumerate(plan.targets):
        ratio = mediator_weights(propensity, given_mediators, codes, a)
        members = range(K) if population is None else (population,)
        term = np.zeros(n)
        in_arm = codes == a
        for t in members:
            if t == a:
                term[in_arm] += y[in_arm]
                continue
            theirs, nu = codes == t, nested[:, a, t]
            term[theirs] += nu[theirs] + (ratio * (y - outcome[:, t]))[theirs]
            term[in_arm] += (propensity[in_arm, t] / propensity[in_arm, a]) * (outcome[in_arm, t] - nu[in_arm])
        member = np.isin(codes, members) * unit
        total = member.sum()
        values[j] = unit @ term / total
        contributions[:, j] = (unit * term - member * values[j]) / total
    return values, contributions


def mediator_overlap(
    propensity: Floats,
    given_mediators: Floats,
    codes: Codes,
    levels: Sequence[Any],
    wanted: Sequence[tuple[int, int]],
    w: Floats | None = None,
) -> Check:
    """Whether the mediators of one arm occur in the other: the weights that carry rows of arm t to arm a.

    Returns
    -------
    Check
        One row per pair: mean weight (1 where the two classifiers agree and are right), largest weight, effective
        number and share of rows. Failed where a share is under 10%, or a mean is off 1 by over 0.25 and over four
        standard errors.

    Raises
    ------
    OverlapError
        If mediators and covariates tell the arm of every row with certainty.
    """
    rows = np.arange(len(codes))
    if float(given_mediators[rows, codes].min()) > 0.99:
        raise OverlapError(
            "perfect separation: the mediators tell the treatment of every row with certainty, so no value of theirs"
            " occurs in two arms and the front door is shut; use mediators that treatment moves but does not decide"
        )
    table, off = [], False
    for a, t in wanted:
        inside = codes == t
        ratio = mediator_weights(propensity, given_mediators, codes, a)[inside]
        unit = np.ones(len(ratio)) if w is None else w[inside]
        n_effective = effective_sample_size(ratio * unit)
        mean = float(np.average(ratio, weights=unit))
        error = float(ratio.std()) / np.sqrt(len(ratio))
        off |= abs(mean - 1) > max(0.25, 4 * error)
        table.append([str(levels[t]), str(levels[a]), len(ratio), mean, float(ratio.max()), n_effective])
    columns = ["rows_of", "carried_to", "n", "mean_weight", "largest_weight", "effective_n"]
    frame = pd.DataFrame(table, columns=columns).set_index(["rows_of", "carried_to"])
    frame["effective_share"] = frame["effective_n"] / frame["n"]
    least, furthest = float(frame["effective_share"].min()), float(frame["mean_weight"].sub(1).abs().max())
    text = (
        f"smallest effective share of an arm carried to another's mediators {100 * least:.0f}%; mean weights within"
        f" {furthest:.2f} of 1"
    )
    return Check(bool(least >= _LEAST_SHARE and not off), frame, text)
