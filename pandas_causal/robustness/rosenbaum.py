"""Rosenbaum bounds: matched pairs whose partners had unequal odds of treatment, by at most a factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inference.reference import Normal
from pandas_causal.inference.signed_rank import SignedRank
from pandas_causal.inputs.parameters import LEVEL, check_settings, one_of

__all__ = ["RosenbaumBounds", "rosenbaum_bounds", "rosenbaum_of"]

_FEWEST = 5
_LARGEST = 1e6
_RULES = {"level": LEVEL, "alternative": one_of("two-sided", "greater", "less")}


@dataclass(frozen=True, eq=False, repr=False)
class RosenbaumBounds(Check):
    """P-values, estimates and intervals of matched pairs under hidden bias of bounded size.

    Attributes
    ----------
    table : DataFrame
        A row per ``gamma``, by how much the odds of treatment of two matched units may differ: ``p_low`` and
        ``p_high`` (smallest and largest p-value), ``estimate_low`` and ``estimate_high`` (Hodges and Lehmann),
        ``conf_low`` and ``conf_high``.
    breakdown : float
        Largest gamma at which no effect is still rejected at the level; 1 if it is not without hidden bias, infinite if
        no gamma ends it.
    statistic : float
        Wilcoxon's signed rank T, the sum of the ranks of positive differences.
    n_pairs : int
    """

    breakdown: float = np.nan
    statistic: float = np.nan
    n_pairs: int = 0


def rosenbaum_bounds(
    treated: ArrayLike,
    control: ArrayLike | None = None,
    *,
    gammas: Sequence[float] = (1, 1.5, 2, 3, 4),
    alternative: str = "two-sided",
    level: float = 0.95,
) -> RosenbaumBounds:
    """Wilcoxon's signed rank test of matched pairs, its estimate and interval, under hidden bias.

    Matched units look alike. Where something unmeasured makes one of them up to `gamma` times as likely (in odds) to be
    treated, p-values, estimates and intervals lie within the bounds.

    Parameters
    ----------
    treated : array-like (m,)
        Outcomes of the treated, or, without `control`, the differences.
    control : array-like (m,), optional
        Outcomes of their partners, in the same order.
    gammas : sequence of float
        At least 1.
    alternative : {"two-sided", "greater", "less"}
        Of the p-values; "greater": treatment raises the outcome.
    level : float
        Of the two-sided intervals; one less it is the size at which `breakdown` is judged.

    Returns
    -------
    RosenbaumBounds

    Raises
    ------
    CausalDataError
        For values that are missing, or fewer than 5 pairs with a difference.

    References
    ----------
    Rosenbaum (2002), "Observational studies", sections 4.3.2 to 4.3.5: normal law, ties by mean ranks, differences of
    zero ranked; Hodges and Lehmann (1963).

    Examples
    --------
    >>> rosenbaum_bounds([6, 5, 9, 4, 7, 8, 3, 9], [1, 2, 3, 4, 1, 2, 2, 1], gammas=[2]).n_pairs
    8
    """
    check_settings({"level": level, "alternative": alternative}, _RULES)
    factors = np.atleast_1d(np.asarray(gammas, dtype=float))
    if factors.ndim != 1 or not len(factors) or not np.isfinite(factors).all() or (factors < 1).any():
        raise CausalArgumentError(f"gammas={gammas!r}: give one or more numbers of at least 1")
    test = SignedRank(_differences(treated, control))
    critical = float(Normal().critical(level, np.array([np.inf]))[0])
    rows = [
        (
            _p_value(test, gamma, alternative, most=False),
            _p_value(test, gamma, alternative, most=True),
            test.estimate(gamma),
            test.estimate(1 / gamma),
            test.end(gamma, critical),
            test.end(1 / gamma, -critical),
        )
        for gamma in factors
    ]
    columns = ["p_low", "p_high", "estimate_low", "estimate_high", "conf_low", "conf_high"]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index(factors, name="gamma"))
    breakdown = _breakdown(test, alternative, 1 - level)
    words = (
        f"no effect is rejected at {1 - level:.3g} while matched units differ in their odds of treatment by a factor of"
        f" {breakdown:.2f} at most"
        if breakdown > 1
        else f"no effect is not rejected at {1 - level:.3g} even without hidden bias"
    )
    statistic = test.ranks(0.0)[0]
    return RosenbaumBounds(
        None, table, f"{words} (T = {statistic:g}, {len(test.differences):,} pairs)", breakdown=breakdown,
        statistic=statistic, n_pairs=len(test.differences),
    )  # fmt: skip


def _differences(treated: Any, control: Any) -> Any:
    """Finite differences of pairs, enough of them other than zero."""
    try:
        first = np.asarray(treated, dtype=float)
        second = np.zeros_like(first) if control is None else np.asarray(control, dtype=float)
    except (TypeError, ValueError):
        raise CausalDataError("outcomes of pairs must be numbers") from None
    if first.ndim != 1 or first.shape != second.shape:
        raise CausalDataError(
            f"treated and control have shapes {first.shape} and {second.shape}; give one value per pair, in one order"
        )
    bad = int((~np.isfinite(first) | ~np.isfinite(second)).sum())
    if bad:
        raise CausalDataError(f"outcomes are missing or infinite in {bad:,} pairs; leave these pairs out")
    differences = first - second
    used = int((differences != 0).sum())
    if used < _FEWEST:
        raise CausalDataError(f"{used} pairs differ in the outcome, and {_FEWEST} are needed for the normal law")
    return differences


def _p_value(test: SignedRank, gamma: float, alternative: str, *, most: bool) -> float:
    """One-sided, or twice the smaller of both sides."""
    if alternative != "two-sided":
        return test.p_value(gamma, greater=alternative == "greater", most=most)
    return min(1.0, 2 * min(test.p_value(gamma, greater=side, most=most) for side in (True, False)))


def _breakdown(test: SignedRank, alternative: str, alpha: float) -> float:
    """Largest factor at which the largest p-value stays below alpha, by halving; 1 where it never is."""

    def rejects(gamma: float) -> bool:
        return _p_value(test, gamma, alternative, most=True) < alpha

    if not rejects(1.0):
        return 1.0
    if rejects(_LARGEST):
        return float("inf")
    low, high = 0.0, float(np.log(_LARGEST))
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rejects(float(np.exp(middle))) else (low, middle)
    return float(np.exp(low))


def rosenbaum_of(effect: Effect, *, contrast: Any = None, **settings: Any) -> RosenbaumBounds:
    """Rosenbaum bounds of the pairs that were matched: see :func:`rosenbaum_bounds`.

    Parameters
    ----------
    effect : Effect
        Of ``Matching`` in pairs, one control each, without replacement.
    contrast : label, optional
        Row of the effect, where there are several.
    **settings
        gammas, alternative, level (the effect's own by default).
    """
    ask = getattr(effect.estimator, "pair_differences", None)
    if ask is None:
        raise CausalArgumentError(
            "Rosenbaum bounds are for matched pairs: df.causal.match(..., method='pair'), or replace=False; of other"
            " pairs use pandas_causal.rosenbaum_bounds(treated, control)"
        )
    labels = list(effect.estimates.index)
    if (contrast is None and len(labels) > 1) or (contrast is not None and contrast not in labels):
        raise CausalArgumentError(f"contrast={contrast!r}: there are {labels[:10]}")
    differences = ask(labels[0] if contrast is None else contrast)
    return rosenbaum_bounds(differences, **{"level": effect.level} | settings)
