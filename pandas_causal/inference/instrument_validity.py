"""What binary instruments and treatments leave open or contradict: bounds of effects, and a test of the assumptions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pandas_causal.kernels.arrays import Codes, Floats

__all__ = ["KitagawaTest", "balke_pearl_bounds", "kitagawa_test"]

_TRIM = 0.07


def balke_pearl_bounds(p: Floats) -> tuple[float, float]:
    """Sharp bounds of the average effect of a binary treatment on a binary outcome by a binary instrument.

    They rest on exclusion and independence only, not on monotonicity.

    Parameters
    ----------
    p : ndarray (2, 2, 2)
        Probability of outcome y and treatment d given instrument z, indexed [y, d, z].

    Returns
    -------
    low, high : float
        ``low > high`` where the data contradict the assumptions.

    References
    ----------
    Balke and Pearl (1997), "Bounds on treatment effects from studies with imperfect compliance", JASA 92, section 3.
    """
    lower, upper = [], []
    for z in (0, 1):
        a, b = p[:, :, z], p[:, :, 1 - z]
        lower += [
            a[1, 1] + b[0, 0] - 1,
            b[1, 1] - a[1, 1] - a[1, 0] - b[0, 1] - b[1, 0],
            -a[0, 1] - a[1, 0],
            a[0, 0] - a[0, 1] - a[1, 0] - b[0, 1] - b[0, 0],
        ]
        upper += [
            1 - a[0, 1] - b[1, 0],
            -b[0, 1] + a[0, 1] + a[0, 0] + b[1, 1] + b[0, 0],
            a[1, 1] + a[0, 0],
            -a[1, 0] + a[1, 1] + a[0, 0] + b[1, 1] + b[1, 0],
        ]
    return float(max(lower)), float(min(upper))


class KitagawaTest(NamedTuple):
    """Statistic, p-value, and where it is largest: the interval of the outcome, and the treatment (1 or 0)."""

    statistic: float
    p_value: float
    low: float
    high: float
    treated: int


def kitagawa_test(
    y: Floats, d: Codes, z: Codes, *, n_draws: int, rng: np.random.Generator, n_bins: int = 40
) -> KitagawaTest:
    """Test that exclusion, independence and monotonicity can hold: no density of a kind of unit is negative.

    For every interval B of the outcome, ``P(Y in B, D = 1 | Z = 1) >= P(Y in B, D = 1 | Z = 0)`` and
    ``P(Y in B, D = 0 | Z = 0) >= P(Y in B, D = 0 | Z = 1)``. The largest violation, each over its standard error (at
    least 0.07), is compared with draws from the pooled sample, where both hold with equality.

    Parameters
    ----------
    y : ndarray (n,)
    d, z : ndarray (n,) of 0 and 1
        Treatment and instrument, coded so that the instrument raises treatment.
    n_draws : int
    rng : Generator
    n_bins : int
        Intervals begin and end at so many quantiles of the outcome, or at its values where they are fewer.

    References
    ----------
    Kitagawa (2015), "A test for instrument validity", Econometrica 83, section 2.
    """
    values = np.unique(y)
    edges = values if len(values) <= n_bins else np.unique(np.quantile(y, np.linspace(0, 1, n_bins + 1)[1:]))
    bins = np.minimum(np.searchsorted(edges, y, side="left"), len(edges) - 1)
    K = len(edges)
    counts = np.zeros((2, 2, K))  # instrument, treatment, bin
    np.add.at(counts, (z, d, bins), 1.0)
    n1, n0 = float((z == 1).sum()), float((z == 0).sum())
    observed = _violations(counts[None], n1, n0)[0]
    at = np.unravel_index(int(observed.argmax()), observed.shape)
    pooled = counts.sum(axis=0).ravel() / len(y)
    draws = np.stack(
        [rng.multinomial(int(n), pooled, size=n_draws).reshape(n_draws, 2, K) for n in (n0, n1)], axis=1
    ).astype(float)
    largest = np.concatenate(
        [_violations(draws[i : i + 100], n1, n0).max(axis=(1, 2, 3)) for i in range(0, n_draws, 100)]
    )
    statistic = float(observed.max())
    p = (1 + int((largest >= statistic).sum())) / (n_draws + 1)
    low = float(edges[at[1] - 1]) if at[1] > 0 and len(values) > n_bins else float(edges[at[1]])
    return KitagawaTest(statistic, p, low, float(edges[at[2]]), 1 - int(at[0]))


def _violations(counts: Floats, n1: float, n0: float) -> Floats:
    """Studentised violations (draws, 2, K, K) over intervals from bin i to j >= i: of the treated, of the untreated."""
    share, N = n1 / (n1 + n0), n1 + n0
    p1 = np.concatenate([np.zeros((*counts.shape[:1], 2, 1)), counts[:, 1].cumsum(axis=-1)], axis=-1) / n1
    p0 = np.concatenate([np.zeros((*counts.shape[:1], 2, 1)), counts[:, 0].cumsum(axis=-1)], axis=-1) / n0
    inside1 = p1[..., None, 1:] - p1[..., :-1, None]
    inside0 = p0[..., None, 1:] - p0[..., :-1, None]
    spread = (1 - share) * inside1 * (1 - inside1) + share * inside0 * (1 - inside0)
    scale = np.maximum(np.sqrt(np.maximum(spread, 0)), _TRIM)
    gap = (inside0 - inside1) / scale * np.sqrt(share * (1 - share) * N)
    gap = np.stack([gap[:, 1], -gap[:, 0]], axis=1)
    K = counts.shape[-1]
    gap[:, :, np.tril_indices(K, -1)[0], np.tril_indices(K, -1)[1]] = -np.inf
    return np.asarray(gap, dtype=np.float64)
