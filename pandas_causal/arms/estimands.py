"""Which average is asked for: the parameters behind ATE, ATT, ATC, ATO and ATM, and the weights that reach them.

A parameter is the mean outcome under one arm in one population: ``E[Y(a)]``, ``E[Y(a) | A = t]``. Every estimand is a
linear map of such means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError
from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.parameters import is_word
from pandas_causal.kernels.arrays import Bools, Codes, Floats

__all__ = [
    "BOUNDED",
    "ESTIMANDS",
    "EstimandPlan",
    "common_support",
    "in_words",
    "plan_estimand",
    "target_density",
    "target_density_slopes",
    "target_share",
    "targets_of",
]

ESTIMANDS = {
    "ATE": "average treatment effect",
    "ATT": "average treatment effect on the treated",
    "ATC": "average treatment effect on the controls",
    "ATO": "average treatment effect in the overlap population",
    "ATM": "average treatment effect in the matched population",
}
# Tilted populations, whose weights stay bounded where a propensity is extreme, and whom they speak of.
BOUNDED = {
    "ATO": "the overlap population: rows weighted by how undecided their treatment was",
    "ATM": "the matched population: rows weighted by the chance of the arm they were least likely to have",
}
_KINK = 0.002
PopulationArm = tuple[int | None, int]  # a population (None: everyone) and the arm whose mean outcome it is asked for


@dataclass(frozen=True, eq=False)
class EstimandPlan:
    """Parameters of an estimand and the map to the rows reported.

    Attributes
    ----------
    estimand : str
    targets : tuple of (int or None, int)
        Population (code of the arm it is made of; None: everyone, or the overlap population) and arm, per parameter.
    loadings : ndarray (rows, k)
    index : Index (rows,)
        Names of the contrasts.
    names : Index (k,)
        Names of the parameters.
    """

    estimand: str
    targets: tuple[PopulationArm, ...]
    loadings: Floats
    index: pd.Index
    names: pd.Index


def targets_of(estimand: str, n_arms: int) -> tuple[PopulationArm, ...]:
    """Population and arm of every mean of an estimand: see :func:`plan_estimand`."""
    if estimand == "ATT":
        return tuple(pair for t in range(1, n_arms) for pair in ((t, 0), (t, t)))
    return tuple((0 if estimand == "ATC" else None, a) for a in range(n_arms))


def plan_estimand(
    estimand: str, arms: Arms, treatment: str, legal: tuple[str, ...] = ("ATE", "ATT", "ATC")
) -> EstimandPlan:
    """Lay out the parameters of an estimand.

    ATE, ATO and ATM take one mean per arm; ATT two per treated arm (that arm's own rows under it and under control);
    ATC the controls under every arm.

    Raises
    ------
    CausalArgumentError
        For an estimand not in `legal`.
    """
    if not is_word(estimand, legal):
        raise CausalArgumentError(f"estimand={estimand!r} is not available here; use one of {list(legal)}")
    K = len(arms)
    targets = targets_of(estimand, K)
    index = pd.Index(arms.contrasts, name=treatment)
    loadings_all = np.hstack([-np.ones((K - 1, 1)), np.eye(K - 1)])
    if estimand in ("ATE", *BOUNDED):
        return EstimandPlan(estimand, targets, loadings_all, index, pd.Index([str(v) for v in arms.levels], name="arm"))
    if estimand == "ATC":
        names = [f"{arms.levels[a]} among {arms.levels[0]}" for a in range(K)]
        return EstimandPlan(estimand, targets, loadings_all, index, pd.Index(names, name="arm"))
    names = [f"{arms.levels[a]} among {arms.levels[t]}" for t in range(1, K) for a in (0, t)]
    loadings = np.zeros((K - 1, len(targets)))
    for t in range(K - 1):
        loadings[t, 2 * t : 2 * t + 2] = (-1, 1)
    return EstimandPlan(estimand, targets, loadings, index, pd.Index(names, name="arm"))


def in_words(estimand: str, treatment: object, outcome: object) -> str:
    """Name the estimand for a person."""
    return f"{ESTIMANDS[estimand]} ({estimand}) of {treatment} on {outcome}"


def target_density(estimand: str, population: int | None, propensity: Floats) -> Floats:
    """Tilting function h(x) (n,): the target population's density is proportional to h(x) f(x).

    References
    ----------
    Li, Morgan and Zaslavsky (2018), "Balancing covariates via propensity score weighting", JASA, Table 1; Li and Li
    (2019) for several arms: h = 1 / sum_a 1 / e_a. Li and Greene (2013), "A weighting analogue to pair matching", and
    Yoshida et al. (2017), Epidemiology, for several arms: h = min_a e_a.
    """
    if population is not None:
        return propensity[:, population].copy()  # callers may work in place
    if estimand == "ATO":
        return np.asarray(1 / (1 / propensity).sum(axis=1))
    if estimand == "ATM":
        return np.asarray(propensity.min(axis=1))
    return np.ones(len(propensity))


def target_density_slopes(estimand: str, population: int | None, propensity: Floats) -> Floats:
    """Slopes ``d log h / d eta_b`` (n, J) in the linear predictors of a multinomial logistic propensity.

    ``d log e_c / d eta_b = 1{c = b} - e_b``, which gives the slope of every h made of propensities. The minimum of the
    matching weights has a kink where the two smallest propensities are equal; within 0.002 of it (two arms: of 1/2)
    the slopes of both sides are blended linearly, as Li and Greene (2013) blend the two branches of h by a polynomial.
    """
    e = propensity[:, 1:]
    if population is not None:
        return np.asarray((np.arange(1, propensity.shape[1]) == population) - e)
    if estimand == "ATO":
        return np.asarray(target_density("ATO", None, propensity)[:, None] / e - e)
    if estimand == "ATM":
        gap = (propensity - propensity.min(axis=1, keepdims=True)) / (2 * _KINK)
        share = np.maximum((1 - gap) / (1 + gap), 0.0)  # two arms: from 1/2 each at the kink to 0 and 1, linearly
        return np.asarray((share / share.sum(axis=1, keepdims=True))[:, 1:] - e)
    return np.zeros_like(e)


def target_share(population: int | None, codes: Codes, propensity: Floats, estimand: str) -> Floats:
    """Membership g (n,) of the target population: an indicator, or h(x) in the overlap population."""
    if population is not None:
        return (codes == population).astype(float)
    return target_density(estimand, None, propensity)


def common_support(estimand: str, propensity: Floats, bound: float) -> Bools:
    """Rows whose propensities are at least `bound` away from the 0 or 1 at which the estimand's weights are infinite.

    ATE, ATO, ATM: every arm; ATT: the control arm (e near 1); ATC: the other arms (e near 0). A propensity at the bound
    itself (bounded there by an estimator) counts as beyond.
    """
    needed = {"ATT": slice(0, 1), "ATC": slice(1, None)}.get(estimand, slice(None))
    return np.asarray(propensity[:, needed].min(axis=1) > bound)
