"""Before an experiment (power, sample size) and before reading it (sample-ratio mismatch)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError
from pandas_causal.kernels.arrays import Positions

__all__ = ["minimum_detectable_effect", "power", "sample_ratio", "sample_size"]

_NORMAL = 1e9  # degrees of freedom
_ALTERNATIVES = ("two-sided", "greater", "less")


def power(
    effect: float,
    std: float,
    n: int,
    *,
    share: float = 0.5,
    alpha: float = 0.05,
    alternative: str = "two-sided",
    r_squared: float = 0.0,
    cluster_size: float = 1.0,
    icc: float = 0.0,
) -> float:
    """Power of a two-arm comparison of means by Student's t.

    Parameters
    ----------
    effect : float
        True difference, in units of the outcome.
    std : float
        Standard deviation of the outcome within arms, same units.
    n : int
        Rows in both arms together.
    share : float
        Share of them treated.
    alpha : float
        Size of the test.
    alternative : {"two-sided", "greater", "less"}
    r_squared : float
        Share of the outcome's variance that covariates explain (Lin adjustment, CUPED).
    cluster_size, icc : float
        Rows per cluster and intra-cluster correlation, when clusters are randomised: the variance grows by the design
        effect ``1 + (cluster_size - 1) icc`` and degrees of freedom count clusters.

    Returns
    -------
    float
        Probability of rejecting no effect.

    References
    ----------
    Cohen (1988), "Statistical power analysis for the behavioral sciences", section 2.2; Donner and Klar (2000) for
    clusters.

    Examples
    --------
    >>> round(power(0.5, 1.0, 128), 3)
    0.801
    """
    _check(
        effect, std, share=share, alpha=alpha, alternative=alternative, r_squared=r_squared,
        cluster_size=cluster_size, icc=icc,
    )  # fmt: skip
    from scipy import stats

    if not isinstance(n, int | float | np.number) or not n >= 4:
        raise CausalArgumentError(f"n must be at least 4, got {n}")
    variance = std**2 * (1 - r_squared) * (1 + (cluster_size - 1) * icc)
    noncentrality = effect * np.sqrt(n * share * (1 - share) / variance)
    df = max(n / cluster_size - 2, 1.0)
    signed = -noncentrality if alternative == "less" else noncentrality
    if df > _NORMAL:  # Student's law is the normal there, and scipy's noncentral one is NaN
        if alternative != "two-sided":
            return float(stats.norm.cdf(stats.norm.ppf(alpha) + signed))
        low = stats.norm.ppf(alpha / 2)
        return float(stats.norm.cdf(low + noncentrality) + stats.norm.cdf(low - noncentrality))
    # far in the tails scipy 1.12 sets the flag of a division by zero beside the right value
    with np.errstate(divide="ignore"):
        if alternative != "two-sided":
            return float(stats.nct.sf(stats.t.ppf(1 - alpha, df), df, signed))
        critical = stats.t.ppf(1 - alpha / 2, df)
        # the lower tail as an upper one: scipy's own is NaN where it is next to nothing
        return float(stats.nct.sf(critical, df, noncentrality) + stats.nct.sf(critical, df, -noncentrality))


def sample_size(
    effect: float,
    std: float,
    *,
    target: float = 0.8,
    share: float = 0.5,
    alpha: float = 0.05,
    alternative: str = "two-sided",
    r_squared: float = 0.0,
    cluster_size: float = 1.0,
    icc: float = 0.0,
) -> int:
    """Return the smallest number of rows, both arms together, that reaches the target power.

    Parameters
    ----------
    effect, std, share, alpha, alternative, r_squared, cluster_size, icc
        As in :func:`power`.
    target : float
        Power wanted.

    Examples
    --------
    >>> sample_size(0.5, 1.0)
    128
    """
    _check(
        effect, std, share=share, alpha=alpha, alternative=alternative, r_squared=r_squared,
        cluster_size=cluster_size, icc=icc,
    )  # fmt: skip
    _check_target(target, alpha)
    if effect == 0 or (alternative == "greater" and effect < 0) or (alternative == "less" and effect > 0):
        raise CausalArgumentError(
            f"no sample is large enough to find effect={effect:g} with alternative={alternative!r}"
        )

    def reached(n: int) -> bool:
        settings: dict[str, Any] = {"share": share, "alpha": alpha, "alternative": alternative, "r_squared": r_squared}
        return power(effect, std, n, cluster_size=cluster_size, icc=icc, **settings) >= target

    high = 4
    while not reached(high):
        high *= 2
        if high > 2**50:
            raise CausalArgumentError("the effect is too small beside the standard deviation for any feasible sample")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def minimum_detectable_effect(
    n: int,
    std: float,
    *,
    target: float = 0.8,
    share: float = 0.5,
    alpha: float = 0.05,
    alternative: str = "two-sided",
    r_squared: float = 0.0,
    cluster_size: float = 1.0,
    icc: float = 0.0,
) -> float:
    """Return the smallest effect that a sample of n rows, both arms together, finds with the target power.

    Parameters
    ----------
    n, std, share, alpha, alternative, r_squared, cluster_size, icc
        As in :func:`power`.
    target : float
        Power wanted.

    Returns
    -------
    float
        In units of the outcome; negative where `alternative` is "less".

    Raises
    ------
    CausalArgumentError
        For a setting out of range.

    Examples
    --------
    >>> round(minimum_detectable_effect(128, 1.0), 3)
    0.499
    """
    from scipy.optimize import brentq

    settings: dict[str, Any] = {
        "share": share, "alpha": alpha, "alternative": alternative, "r_squared": r_squared,
        "cluster_size": cluster_size, "icc": icc,
    }  # fmt: skip
    _check(0.0, std, **settings)
    _check_target(target, alpha)
    sign = -1.0 if alternative == "less" else 1.0

    def lack(size: float) -> float:
        return power(sign * size * std, std, n, **settings) - target

    high = 1.0
    while lack(high) < 0:
        high *= 2
        if high > 2**50:
            raise CausalArgumentError(f"no effect reaches a power of {target:g} with n={n} rows")
    return float(sign * std * brentq(lack, 0.0, high, xtol=1e-14, rtol=1e-12))


def _check_target(target: float, alpha: float) -> None:
    if not isinstance(target, int | float | np.number) or not alpha < target < 1:
        raise CausalArgumentError(f"target must lie between alpha and 1, got {target}")


def _check(
    effect: float,
    std: float,
    *,
    share: float,
    alpha: float,
    alternative: str,
    r_squared: float,
    cluster_size: float,
    icc: float,
) -> None:
    numbers = (effect, std, share, alpha, r_squared, cluster_size, icc)
    if not all(isinstance(v, int | float | np.number) and np.isfinite(v) for v in numbers):
        raise CausalArgumentError("effect, std, share, alpha, r_squared, cluster_size and icc must be finite numbers")
    if not np.isfinite(effect) or not std > 0:
        raise CausalArgumentError(f"effect must be finite and std positive, got {effect!r} and {std!r}")
    if alternative not in _ALTERNATIVES:
        raise CausalArgumentError(f"alternative={alternative!r} is not known; use one of {list(_ALTERNATIVES)}")
    if not (0 < share < 1 and 0 < alpha < 1 and 0 <= r_squared < 1 and cluster_size >= 1 and 0 <= icc <= 1):
        raise CausalArgumentError(
            "share and alpha lie in (0, 1), r_squared in [0, 1), icc in [0, 1], cluster_size is at least 1"
        )


def sample_ratio(counts: Positions, levels: Sequence[Any], allocation: Mapping[Any, float] | Sequence[float]) -> Check:
    """Test whether arm sizes fit the planned allocation (sample-ratio mismatch).

    Parameters
    ----------
    counts : ndarray (K,)
    levels : sequence (K,)
    allocation : mapping of level to share, or sequence in the order of `levels`
        Shares need not sum to 1.

    Returns
    -------
    Check
        Failed when the chi-squared p-value is below 0.001: such an experiment is broken somewhere between assignment
        and logging, and its effect should not be read.

    References
    ----------
    Fabijan et al. (2019), "Diagnosing sample ratio mismatch in online controlled experiments", KDD.
    """
    from scipy import special

    if isinstance(allocation, Mapping):
        if set(allocation) != set(levels):
            raise CausalArgumentError(f"allocation names {list(allocation)}, the arms are {list(levels)}")
        allocation = [allocation[level] for level in levels]
    try:
        share = np.asarray(allocation, dtype=float)
    except (TypeError, ValueError):
        share = np.empty(0)
    if share.shape != (len(levels),) or not (share > 0).all() or not np.isfinite(share).all():
        raise CausalArgumentError(f"allocation must hold {len(levels)} positive shares, one per arm: {list(levels)}")
    expected = share / share.sum() * counts.sum()
    statistic = float((np.square(counts - expected) / expected).sum())
    p = float(special.chdtrc(len(levels) - 1, statistic))
    table = pd.DataFrame(
        {"observed": counts, "expected": expected}, index=pd.Index([str(v) for v in levels], name="arm")
    )
    verdict = (
        "arm sizes fit the plan"
        if p >= 0.001
        else "arm sizes contradict the plan: find the cause before reading the effect"
    )
    return Check(p >= 0.001, table, f"{verdict} (chi-squared {statistic:.2f}, p {p:.3g})")
