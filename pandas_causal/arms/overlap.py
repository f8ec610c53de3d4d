"""Whether every unit could have received every arm (positivity)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.arms.estimands import BOUNDED, common_support, target_density
from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, OverlapError
from pandas_causal.kernels.arrays import Bools, Codes, Floats

__all__ = [
    "arm_weights",
    "effective_sample_size",
    "overlap_check",
    "propensity_histogram",
    "tail_of",
    "weight_summary",
]

BOUND = 0.01
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def effective_sample_size(weights: Floats) -> float:
    """Kish's effective sample size, ``(sum w)^2 / sum w^2``."""
    total = np.square(weights).sum()
    return float(np.square(weights.sum()) / total) if total > 0 else 0.0


def arm_weights(estimand: str, codes: Codes, propensity: Floats, w: Floats | None = None) -> Floats:
    """Weights (n,) that make every arm resemble the target: ``h(x) / e_a(x)`` for the arm received.

    With several arms and ATT, controls are weighted to all treated together.
    """
    received = propensity[np.arange(len(codes)), codes]
    if estimand == "ATT":
        h = np.where(codes == 0, 1 - propensity[:, 0], received)
    else:
        h = target_density(estimand, 0 if estimand == "ATC" else None, propensity)
    out = h / received
    return out if w is None else out * w


def tail_of(weights: Floats) -> tuple[float, float]:
    """Hill's estimate of the tail of weights, from the largest of them, and its standard error.

    The mean of the logarithms of the k largest over the next one, ``P(W > w) ~ w^(-1 / tail)``. k is 5% of the rows and
    at most 500; from under 20 of them nothing is estimated (0).

    References
    ----------
    Hill (1975), "A simple general approach to inference about the tail of a distribution", Annals of Statistics 3.
    """
    k = min(int(0.05 * len(weights)), 500)
    if k < 20:
        return 0.0, 0.0
    largest = -np.sort(np.partition(-weights, k)[: k + 1])
    if largest[k] <= 0:
        return 0.0, 0.0
    tail = float(np.mean(np.log(largest[:k] / largest[k])))
    return tail, tail / np.sqrt(k)


def overlap_check(
    propensity: Floats,
    codes: Codes,
    levels: Sequence[Any],
    *,
    estimand: str = "ATE",
    bound: float = BOUND,
    w: Floats | None = None,
    clipped: int = 0,
    weights: Floats | None = None,
    out_of_fold: bool = False,
) -> Check:
    """Summarise propensities by arm: quantiles, share beyond the bound, effective sample size under the weights.

    Parameters
    ----------
    propensity : ndarray (n, K)
        Probability of every arm.
    codes : ndarray (n,)
        Arm received.
    levels : sequence of length K
    estimand : {"ATE", "ATT", "ATC", "ATO", "ATM"}
        Which tails matter: ATT only e near 1, ATC only e near 0.
    bound : float
        Propensities nearer than this to 0 or 1 are counted.
    w : ndarray (n,), optional
        Sample weights.
    clipped : int
        Propensities an estimator bounded, for the record.
    weights : ndarray (n,), optional
        Weights really used, sample weights included; by default those of the propensities.
    out_of_fold : bool
        Whether propensities are of models that did not see the row: then they separate the arms where they classify
        every row rightly; else only where every one exceeds 0.99.

    Returns
    -------
    Check
        Failed when over 5% of the target's rows lie beyond the bound, an arm's effective share is under 10%, or its
        weights look like a law without a variance: ``tail`` is Hill's estimate, and the variance is infinite where it
        is .5 or more; it fails where it is above .5 by 1.64 of its standard errors.

    Raises
    ------
    OverlapError
        Under perfect separation.
    """
    if not isinstance(bound, int | float | np.number) or not 0 < bound < 0.5:
        raise CausalArgumentError(f"the bound must lie between 0 and 0.5, got {bound}")
    received = propensity[np.arange(len(codes)), codes]
    right = out_of_fold and bool((propensity.argmax(axis=1) == codes).all())
    if right or (len(levels) == 2 and float(received.min()) > 0.99):
        raise OverlapError(
            "perfect separation: the covariates predict the treatment of every row with certainty, so no row has a "
            "comparable one in the other arm; leave out what decides treatment, or restrict the data with trim="
        )
    weights = arm_weights(estimand, codes, propensity, w) if weights is None else weights
    target = _target_rows(estimand, codes)
    beyond = ~common_support(estimand, propensity, bound)
    rows, heaviest = [], 0.0
    for a in range(len(levels)):
        inside = codes == a
        shown = propensity[inside][:, 1] if len(levels) == 2 else propensity[inside][:, a]
        quantiles = np.quantile(shown, _QUANTILES)
        ess = effective_sample_size(weights[inside])
        tail, tail_error = tail_of(weights[inside])
        if tail - 1.64 * tail_error > 0.5:
            heaviest = max(heaviest, tail)
        rows.append([int(inside.sum()), *quantiles, float(beyond[inside].mean()), ess, ess / inside.sum(), tail])
    names = ["min", "q01", "q05", "q25", "median", "q75", "q95", "q99", "max"]
    columns = ["n", *names, "share_beyond", "effective_n", "effective_share", "tail"]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index([str(v) for v in levels], name="arm"))
    share = float(beyond[target].mean())
    least = float(table["effective_share"].min())
    # overlap and matching weights vanish where a propensity is extreme, so extremes do no harm there
    passed = (share <= 0.05 or estimand in BOUNDED) and least >= 0.10 and not heaviest
    text = (
        f"{100 * share:.1f}% of target rows have a propensity within {bound:g} of 0 or 1; "
        f"smallest effective share of an arm {100 * least:.0f}%"
    )
    if heaviest:
        text += f"; the weights may have no variance (tail {heaviest:.2f}, infinite from 0.5)"
    text += f"; {clipped:,} propensities bounded" if clipped else ""
    return Check(passed, table, text, drawn=partial(_histogram_table, propensity, codes, levels))


def weight_summary(weights: Floats, codes: Codes, levels: Sequence[Any]) -> Check:
    """Summarise weights by arm: Kish's effective sample size, the largest share of one row, rows without weight.

    Returns
    -------
    Check
        Failed when an arm's effective share is under 10%.
    """
    rows = []
    for a in range(len(levels)):
        w = weights[codes == a]
        ess = effective_sample_size(w)
        rows.append([len(w), ess, ess / len(w), float(w.max() / w.sum()), int((w == 0).sum())])
    columns = ["n", "effective_n", "effective_share", "largest_share", "n_without_weight"]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index([str(v) for v in levels], name="arm"))
    least = int(np.argmin([row[2] for row in rows]))
    n, ess, share = rows[least][:3]
    text = f"arm {levels[least]}: {n:,} rows are worth {ess:,.0f} ({100 * share:.0f}%)"
    return Check(share >= 0.10, table, text)


def _target_rows(estimand: str, codes: Codes) -> Bools:
    if estimand == "ATT":
        return codes > 0
    return codes == 0 if estimand == "ATC" else np.ones(len(codes), dtype=bool)


def _histogram_table(propensity: Floats, codes: Codes, levels: Sequence[Any]) -> pd.DataFrame:
    return propensity_histogram(propensity, codes, levels).table


def propensity_histogram(propensity: Floats, codes: Codes, levels: Sequence[Any], bins: int = 40) -> Check:
    """Counts of propensities by arm: the tidy table behind the overlap picture.

    Returns
    -------
    Check
        Table with columns arm, propensity_of, low, high, count, share; two arms show the probability of the second.
    """
    edges = np.linspace(0, 1, bins + 1)
    shown = range(1, 2) if len(levels) == 2 else range(len(levels))
    parts = []
    for b in shown:
        for a, level in enumerate(levels):
            count, _ = np.histogram(propensity[codes == a, b], bins=edges)
            part = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "count": count})
            part.insert(0, "propensity_of", str(levels[b]))
            part.insert(0, "arm", str(level))
            part["share"] = part["count"] / max(int(count.sum()), 1)
            parts.append(part)
    ranges = []
    for a, level in enumerate(levels):
        of_arm = propensity[codes == a, shown[0] if len(levels) == 2 else a]
        ranges.append(
            f"from {of_arm.min():.2f} to {of_arm.max():.2f} in arm {level}" if len(of_arm) else f"arm {level} is empty"
        )
    of = levels[1] if len(levels) == 2 else "each row's own arm"
    return Check(None, pd.concat(parts, ignore_index=True), f"propensity of {of}: {', '.join(ranges)}")
