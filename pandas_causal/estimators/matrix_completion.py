"""Matrix completion: untreated outcomes of the treated from a low-rank matrix with unit and period effects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.check import Check
from pandas_causal.errors import CausalDataError, Problem
from pandas_causal.estimators.synthetic_panel import UNTOUCHED, Study, SyntheticEstimator
from pandas_causal.nuclear_norm import CompletionMethod, choose_penalty, untreated_cells
from pandas_causal.panel import Panel
from pandas_causal.synthetic import Runs

__all__ = ["MatrixCompletion"]

_LOW_RANK = "untreated outcomes are unit effects, period effects, a matrix of low rank, and noise"
_UNRELATED = "which cells are treated does not depend on the noise"


class MatrixCompletion(SyntheticEstimator):
    """Matrix completion with a nuclear-norm penalty (Athey, Bayati, Doudchenko, Imbens and Khosravi 2021).

    Estimates the average effect on the treated, in their treated periods. Treated cells are taken as missing and filled
    by unit effects, period effects and a matrix of low rank, fitted to all untreated cells, of units treated later too.
    Donors may have gaps.

    Parameters
    ----------
    penalty : "cv" or float
        lambda of the paper. "cv": of the smallest error on random untreated cells left out; placebos keep it.
    folds : int
        Of the choice of the penalty.
    n_penalties : int
        Tried, down to a thousandth of the largest that matters.
    inference : {"placebo", "permutation"}
    by_period : bool
        One row per treated period in place of the average.
    n_draws : int
        Placebo draws where several units are treated.
    level : float
    random_state : int or None
        Of folds and placebo draws.

    Attributes
    ----------
    effect_ : Effect
    penalty_ : float

    References
    ----------
    Athey, Bayati, Doudchenko, Imbens and Khosravi (2021), JASA 116.
    """

    _inferences = ("placebo", "permutation")
    _allows_gaps = True
    _uses_donor_hull = False

    def __init__(
        self,
        *,
        penalty: Any = "cv",
        folds: int = 5,
        n_penalties: int = 25,
        inference: str = "placebo",
        by_period: bool = False,
        n_draws: int = 200,
        level: float = 0.95,
        random_state: int | None = 0,
    ) -> None:
        self.penalty = penalty
        self.folds = folds
        self.n_penalties = n_penalties
        self.inference = inference
        self.by_period = by_period
        self.n_draws = n_draws
        self.level = level
        self.random_state = random_state

    def _study(self, panel: Panel, X: Any) -> Study:
        study = super()._study(panel, X)
        short = study.treated[np.isnan(study.Y[study.treated]).any(axis=1)]
        if len(short):
            first = study.labels[short[0]]
            what = f"{len(short):,} treated units lack periods (the first is {first!r}); only donors may"
            remedy = "complete them, or leave these units out"
            raise CausalDataError([Problem(panel.names["unit"], what, None, remedy)])
        return study

    def _method(self, study: Study, rng: np.random.Generator) -> CompletionMethod:
        self._errors = None
        if self.penalty != "cv":
            self.penalty_ = float(self.penalty)
        else:
            seen = untreated_cells(study.Y, study.blocks)
            self.penalty_, penalties, errors = choose_penalty(study.Y, seen, rng, self.folds, self.n_penalties)
            self._errors = pd.DataFrame(
                {"error": np.sqrt(errors.mean(axis=0))}, index=pd.Index(penalties, name="penalty")
            )
        return CompletionMethod(self.penalty_)

    def _assumptions(self) -> tuple[str, ...]:
        return (_LOW_RANK, _UNRELATED, UNTOUCHED)

    def _more_checks(self, study: Study, runs: list[Runs]) -> dict[str, Any]:
        if self._errors is None:
            return {}
        error = float(self._errors["error"].min())
        text = f"penalty {self.penalty_:.3g}: cells left out are missed by {error:.3g} (root mean square)"
        return {"penalty": Check(None, self._errors, text)}
