"""Simultaneous bands and joint tests."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pandas_causal.errors import CausalDataError
from pandas_causal.inference.draws_and_variance import Draws, Variance
from pandas_causal.inference.influence import Influence
from pandas_causal.kernels.arrays import Floats

__all__ = ["JointTest", "joint_test", "simultaneous_critical"]

_SMALL = 10_000_000


class JointTest(NamedTuple):
    """Test that all rows are zero.

    Attributes
    ----------
    statistic : float
        F when the degrees of freedom are finite, else chi-squared.
    df_num, df_denom : float
        Degrees of freedom; ``df_denom`` is infinite for the chi-squared law.
    p_value : float
        Probability of a larger statistic when every row is zero.
    """

    statistic: float
    df_num: int
    df_denom: float
    p_value: float


def simultaneous_critical(
    uncertainty: Influence | Draws | Variance, level: float, random_state: int | None, std_error: Floats
) -> float:
    """Critical value c such that all intervals ``estimate +- c * std_error`` cover at once with probability `level`.

    Deviations are drawn in parameter space, N(0, meat), and divided by ``sqrt(chi2_df / df)``, so the value depends on
    neither the order nor, much, the number of rows. Rows with standard error 0 are left out of the maximum.

    References
    ----------
    Montiel Olea and Plagborg-Moller (2019), "Simultaneous confidence bands", Journal of Applied Econometrics, Alg. 1.
    """
    rng = np.random.default_rng(random_state)
    use = std_error > 0
    if isinstance(uncertainty, Variance) or not use.any():
        n_rows = int(use.sum())
        if n_rows > 1:
            uncertainty.covariance()
        from pandas_causal.inference.reference import Student

        return float(Student().critical(level, np.array([np.inf]))[0])
    n_draws = int(np.clip(1e9 / use.sum(), 1_000, 20_000))
    if isinstance(uncertainty, Draws):
        maxima = np.abs(uncertainty.draws(n_draws, rng)[:, use] / std_error[use]).max(axis=1)
        return float(np.quantile(maxima, level))
    z = uncertainty.parameter_draws(n_draws, rng)
    maxima = _largest(uncertainty.loadings[use] / std_error[use][:, None], z)
    df = float(np.min(uncertainty.df()[use]))
    if np.isfinite(df):
        maxima /= np.sqrt(rng.chisquare(df, n_draws) / df)
    return float(np.quantile(maxima, level))


def _largest(directions: Floats, draws: Floats) -> Floats:
    """Largest ``|direction . draw|`` over directions, for every draw."""
    if len(directions) * len(draws) <= _SMALL:
        return np.abs(directions @ draws.T).max(axis=0)
    from pandas_causal.kernels.bands import largest_projection

    return largest_projection(directions, draws)


def joint_test(uncertainty: Influence | Draws | Variance, centre: Floats, n_independent: float = np.inf) -> JointTest:
    """Test that all rows are zero: Hotelling's T-squared when degrees of freedom are finite, else Wald's chi-squared.

    `n_independent` units that bring no factor of their own to a variance under the normal law are G clusters here. With
    G clusters ``W (G - r) / ((G - 1) r)`` is referred to F(r, G - r), W carrying the factor G / (G - 1) only.
    Without the scale the test rejects far too often when r is not small beside G. A null distribution (placebo,
    permutation) knows no such law: the largest row beside its spread is ranked among that of the replicates.

    References
    ----------
    Hotelling (1931), "The generalization of Student's ratio", Annals of Mathematical Statistics.
    """
    from scipy import special

    if isinstance(uncertainty, Draws) and uncertainty.around == "null":
        return _ranked(uncertainty.values(), centre)
    covariance = uncertainty.covariance(joint=True)
    if not len(centre):
        raise CausalDataError("there is no row to test")
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))  # rounding may leave a variance of 0 below it
    if not np.isfinite(scale).all():
        raise CausalDataError(
            f"{int((~np.isfinite(scale)).sum())} of the {len(centre)} rows have no standard error; leave them out:"
            " effect[labels].test_zero()"
        )
    correlation = covariance / np.outer(scale, scale) if (scale > 0).all() else covariance
    r = int(np.linalg.matrix_rank(correlation, hermitian=True))
    if r < len(centre):
        raise CausalDataError(
            f"the {len(centre)} rows vary in only {r} directions (some are constant or combinations of others); test "
            "fewer rows: effect[labels].test_zero()"
        )
    wald = float((centre / scale) @ np.linalg.solve(correlation, centre / scale))
    df = float(np.min(uncertainty.df()))
    if not np.isfinite(df) and np.isfinite(n_independent):
        df = n_independent - 1
        wald *= df / n_independent
    if not np.isfinite(df):
        return JointTest(wald, r, np.inf, float(special.chdtrc(r, wald)))
    if r >= df + 1:
        raise CausalDataError(
            f"a joint test of {r} rows needs more than {r} clusters, there are {df + 1:.0f}; test fewer rows: "
            "effect[labels].test_zero()"
        )
    denominator = df + 1 - r
    statistic = wald * denominator / (df * r)
    return JointTest(statistic, r, denominator, float(special.fdtrc(r, denominator, statistic)))


def _ranked(null: Floats, centre: Floats) -> JointTest:
    """Rank of the largest row among replicates; spreads count the observed rows too, so that all are treated alike."""
    if not len(centre):
        raise CausalDataError("there is no row to test")
    every = np.vstack([centre, null])
    spread = np.sqrt(np.square(every).mean(axis=0))
    largest = (np.abs(every) / np.where(spread > 0, spread, 1.0)).max(axis=1)
    p_value = float((largest >= largest[0] * (1 - 1e-12)).mean())
    return JointTest(float(largest[0]), len(centre), np.inf, p_value)
