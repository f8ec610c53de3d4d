"""Synthetic difference in differences, and the plain one as its special case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pandas_causal.errors import CausalArgumentError
from pandas_causal.inputs.parameters import NON_NEGATIVE, Legal, one_of, or_none
from pandas_causal.synthetic_control.base import UNTOUCHED, Demands, SyntheticEstimator
from pandas_causal.synthetic_control.comparison import DoubleDifference, Runs, noise_level
from pandas_causal.synthetic_control.conformal import Proxy
from pandas_causal.synthetic_control.study import SyntheticStudy

__all__ = ["SyntheticDiD"]

_PARALLEL = "without treatment the treated would have moved in parallel to the weighted donors"


class SyntheticDiD(SyntheticEstimator):
    """Synthetic difference in differences (Arkhangelsky, Athey, Hirshberg, Imbens and Wager 2021).

    Estimates the average effect on the treated, in their treated periods: a double difference with unit weights that
    make donors parallel to the treated before treatment, and time weights that make earlier periods like the later
    ones. Levels may differ. Weights are solved to optimality. Units treated from the same period on are compared as one
    group; groups are averaged by their treated unit-periods.

    Parameters
    ----------
    unit_weights, time_weights : {"optimal", "equal"}
        Both "equal": the plain difference in differences. Optimal units and equal times: difference in differences with
        synthetic controls and an intercept.
    zeta : float, optional
        Regularisation of the unit weights, in units of the outcome; by default ``(treated unit-periods)^(1/4)`` times
        the noise level (eq. 2.2).
    inference : {"placebo", "permutation", "jackknife", "conformal"}
        "placebo": donors play the treated; each once where one unit is treated. "permutation": ranks the ratio of the
        gap after to before treatment. "jackknife": standard errors from leaving out units, for several treated units.
        "conformal": for equal weights only.
    by_period : bool
        One row per treated period in place of the average.
    n_draws : int
        Placebo draws where several units are treated.
    level : float
    random_state : int or None

    Attributes
    ----------
    effect_ : Effect
    unit_weights_ : DataFrame (donors, groups)
    time_weights_ : DataFrame (periods, groups)
    noise_ : float
        Standard deviation of first differences of the donors' outcomes before the first treatment.

    Notes
    -----
    synthdid stops its Frank-Wolfe iterations early, so that its numbers differ from the optimum in the third to fifth
    digit (-15.60383 in place of -15.60540 on the data of California).

    References
    ----------
    Arkhangelsky, Athey, Hirshberg, Imbens and Wager (2021), American Economic Review 111; Clarke, Pailanir, Athey and
    Imbens (2023) for several starts of treatment.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "inference": one_of("placebo", "permutation", "jackknife", "conformal"),
        "unit_weights": one_of("optimal", "equal"),
        "time_weights": one_of("optimal", "equal"),
        "zeta": or_none(NON_NEGATIVE),
    }

    def __init__(
        self,
        *,
        unit_weights: str = "optimal",
        time_weights: str = "optimal",
        zeta: float | None = None,
        inference: str = "placebo",
        by_period: bool = False,
        n_draws: int = 500,
        level: float = 0.95,
        random_state: int | None = 0,
    ) -> None:
        self.unit_weights = unit_weights
        self.time_weights = time_weights
        self.zeta = zeta
        self.inference = inference
        self.by_period = by_period
        self.n_draws = n_draws
        self.level = level
        self.random_state = random_state

    @property
    def _plain(self) -> bool:
        return self.unit_weights == "equal" and self.time_weights == "equal"

    @property
    def demands(self) -> Demands:
        """What the method asks of a panel."""
        return Demands(least_before=1 if self._plain else 2, donor_hull=not self._plain)

    def _method(self, study: SyntheticStudy, rng: np.random.Generator) -> DoubleDifference:
        reference = study.Y[study.donors]
        self.noise_ = noise_level(reference[:, : min(b.start for b in study.blocks)])
        zeta = None if self.zeta is None else float(self.zeta)
        return DoubleDifference(reference, zeta, self.unit_weights == "optimal", self.time_weights == "optimal")

    def _proxy(self, runs: list[Runs]) -> Proxy:
        if not self._plain:
            raise CausalArgumentError(
                "inference='conformal' needs a counterfactual that is refitted on all periods, which time weights"
                " are not made for; use 'placebo', 'permutation' or 'jackknife', or equal weights"
            )
        return Proxy("difference")

    def _assumptions(self) -> tuple[str, ...]:
        return (_PARALLEL, UNTOUCHED)
