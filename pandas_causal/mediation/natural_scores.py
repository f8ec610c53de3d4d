"""Scores of the means that natural and controlled effects are made of.

Notation: A the arm, M the mediators, X the covariates, Y the outcome; ``e_a(x) = P(A = a | x)``,
``r_a(m, x) = P(A = a | m, x)``, ``mu_t(m, x) = E[Y | A = t, m, x]`` and ``nu_at(x) = E[mu_t(M, x) | A = a, x]``.
"""

from __future__ import annotations

from pandas_causal.kernels.arrays import Bools, Codes, Floats

__all__ = ["arm_mean_score", "cell_mean_score", "crossed_mean_score"]


def crossed_mean_score(
    y: Floats,
    codes: Codes,
    t: int,
    a: int,
    *,
    outcome: Floats,
    nested: Floats,
    propensity: Floats,
    given_mediators: Floats,
) -> Floats:
    """Scores (n,) whose mean is ``E[Y(t, M(a))]``: the outcome under arm t, the mediators as under arm a.

    ``nu_at + 1{A = a} / e_a (mu_t - nu_at) + 1{A = t} / e_t p(M | a, X) / p(M | t, X) (Y - mu_t)``; the ratio of
    densities is ``(r_a / r_t) (e_t / e_a)``, so that no density is estimated. Consistent where e and r, or e
    and mu, or mu and nu are right.

    Parameters
    ----------
    y, codes : ndarray (n,)
    t, a : int
        Different arms.
    outcome : ndarray (n, K)
        ``mu`` at every row's own mediators.
    nested : ndarray (n, K, K)
        ``nu_at`` as ``[:, a, t]``.
    propensity, given_mediators : ndarray (n, K)
        ``e`` and ``r``.

    References
    ----------
    Tchetgen Tchetgen and Shpitser (2012), "Semiparametric theory for causal mediation analysis: efficiency bounds,
    multiple robustness, and sensitivity analysis", Annals of Statistics 40, Theorem 1.
    """
    mu, nu = outcome[:, t], nested[:, a, t]
    score = nu.copy()
    as_mediated, observed = codes == a, codes == t
    score[as_mediated] += (mu - nu)[as_mediated] / propensity[as_mediated, a]
    weight = given_mediators[observed, a] / (given_mediators[observed, t] * propensity[observed, a])
    score[observed] += weight * (y - mu)[observed]
    return score


def arm_mean_score(y: Floats, codes: Codes, a: int, regression: Floats, propensity: Floats) -> Floats:
    """Scores (n,) whose mean is ``E[Y(a)]``: augmented inverse-probability weighting (Robins et al. 1994).

    Parameters
    ----------
    y, codes : ndarray (n,)
    a : int
    regression : ndarray (n, K)
        Outcome given covariates, without mediators, in every arm.
    propensity : ndarray (n, K)
    """
    score = regression[:, a].copy()
    inside = codes == a
    score[inside] += (y - regression[:, a])[inside] / propensity[inside, a]
    return score


def cell_mean_score(y: Floats, in_cell: Bools, regression: Floats, share: Floats) -> Floats:
    """Scores (n,) whose mean is ``E[Y(a, m)]``, arm and mediators both set.

    Parameters
    ----------
    y : ndarray (n,)
    in_cell : ndarray (n,) of bool
        Rows of arm a with mediators m.
    regression : ndarray (n,)
        ``mu_a(m, X)``.
    share : ndarray (n,)
        ``P(A = a, M = m | X)``.
    """
    score = regression.copy()
    score[in_cell] += (y - regression)[in_cell] / share[in_cell]
    return score
