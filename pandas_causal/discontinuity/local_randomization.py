"""Local randomisation: within a window around the cutoff, treatment as if assigned at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from pandas_causal.discontinuity.permutation import (
    STATISTICS,
    balance_p_values,
    inverted_interval,
    mean_differences,
    nested_windows,
    permuted_assignments,
)
from pandas_causal.discontinuity.running_sample import RunningSample, prepare_running
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inference.draws_and_variance import Draws
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inputs.parameters import (
    Legal,
    at_least,
    number,
    one_of,
)
from pandas_causal.inputs.treatments import Takes
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Bools, Floats, Positions

__all__ = ["LocalRandomization"]

_ASSUMPTIONS = (
    "within the window, which side a row lies on is as good as random (checked on the covariates given)",
    "within the window the running variable itself does not act on the outcome",
    "no interference between units",
)


class LocalRandomization(CausalEstimator):
    """Regression discontinuity as an experiment in a window around the cutoff.

    Estimates the mean effect of crossing the cutoff for the rows of the window. Rests on assignment being as good as
    random there, which is more than continuity asks; it suits running variables with few values. The window is given or
    is the widest in which covariates, and in all narrower ones, look balanced.

    Parameters
    ----------
    cutoff : float or date
    window : float or (float, float), optional
        Distance from the cutoff, left and right. None: chosen by the covariates of X.
    inference : {"fisher", "neyman"}
        "fisher": permutation test of no effect for any row; the confidence set, ``effect.confidence_set()``, inverts it
        for constant effects. "neyman": difference in means, large samples, Welch's t.
    statistic : {"difference", "ks", "rank_sum"}
        Of the permutation test; the estimate is the difference in means in any case.
    n_draws : int
        Permutations.
    min_rows, add_rows, n_windows : int
        Rows on each side of the narrowest window, rows that every next one adds, and how many are tried.
    balance_level : float
        The smallest p-value of the covariates that a window may have.
    level : float
    random_state : int or None

    Attributes
    ----------
    effect_ : Effect
    window_ : tuple of float
        Distances left and right.

    References
    ----------
    Cattaneo, Frandsen and Titiunik (2015), Journal of Causal Inference; Cattaneo, Titiunik and Vazquez-Bare (2016),
    Stata Journal.
    """

    treatments: ClassVar[Takes] = "numbers"
    legal: ClassVar[Mapping[str, Legal]] = {
        "inference": one_of("fisher", "neyman"),
        "statistic": one_of(*STATISTICS),
        "min_rows": at_least(2),
        "add_rows": at_least(1),
        "n_windows": at_least(1),
        "balance_level": number(0, 1, "a number in [0, 1)"),
    }

    bootstrap_refusal = (
        "the window holds few rows and was chosen from them: use the permutation test, inference='fisher'"
    )

    def __init__(
        self,
        *,
        cutoff: Any = 0.0,
        window: Any = None,
        inference: str = "fisher",
        statistic: str = "difference",
        n_draws: int = 1_000,
        min_rows: int = 10,
        add_rows: int = 5,
        n_windows: int = 10,
        balance_level: float = 0.15,
        level: float = 0.95,
        random_state: int | None = 0,
    ) -> None:
        self.cutoff = cutoff
        self.window = window
        self.inference = inference
        self.statistic = statistic
        self.n_draws = n_draws
        self.min_rows = min_rows
        self.add_rows = add_rows
        self.n_windows = n_windows
        self.balance_level = balance_level
        self.level = level
        self.random_state = random_state

    def fit(self, X: Covariates, y: Outcome = None, *, running: RoleLike = None, missing: str = "raise") -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
            Covariates measured before treatment, which choose and check the window; and `running` where named.
        y : array-like (n,)
        running : str or array-like (n,)
        missing : {"raise", "drop"}
        """
        sample = prepare_running(self, X, y, running=running, missing=missing)
        rng = np.random.default_rng(self.random_state)
        table = None
        if self.window is None:
            table, width = self._choose(sample, rng)
            self.window_ = (width, width)
        else:
            self.window_ = _pair(self.window)
        inside = np.flatnonzero((sample.z >= -self.window_[0]) & (sample.z <= self.window_[1]))
        above = sample.z[inside] >= 0
        if min(above.sum(), (~above).sum()) < 2:
            raise CausalDataError(
                f"{sample.running}: the window [{-self.window_[0]:g}, {self.window_[1]:g}] around the cutoff holds"
                f" {int((~above).sum())} rows left and {int(above.sum())} right; both sides need at least 2: widen it"
            )
        self.effect_ = self._arrange(sample, inside, above, table, rng)
        return self

    # -- private -----------------------------------------------------------------------------------------------------

    def check_settings(self) -> None:
        """Check the window too."""
        super().check_settings()
        if self.window is not None:
            _pair(self.window)

    def _choose(self, sample: RunningSample, rng: np.random.Generator) -> tuple[pd.DataFrame, float]:
        """Widest window up to which covariates are balanced."""
        if not sample.X.shape[1]:
            raise CausalArgumentError(
                "window=None is chosen by the balance of covariates: pass covariates, or window=, a distance from the"
                " cutoff"
            )
        widths = nested_windows(sample.z, min_rows=self.min_rows, n_windows=self.n_windows, add_rows=self.add_rows)
        rows, chosen = [], None
        balanced = True
        for width in widths:
            inside = np.abs(sample.z) <= width
            above = sample.z[inside] >= 0
            p = balance_p_values(sample.X[inside], above, self.statistic, self.n_draws, rng)
            balanced = balanced and bool(p.min() >= self.balance_level)
            chosen = width if balanced else chosen
            rows.append(
                [int((~above).sum()), int(above.sum()), float(p.min()), sample.names[int(p.argmin())], balanced]
            )
        columns = ["n_left", "n_right", "smallest_p", "covariate", "balanced"]
        table = pd.DataFrame(rows, columns=columns, index=pd.Index(widths, name="window"))
        if chosen is None:
            worst = table.iloc[0]
            raise CausalDataError(
                f"even in the narrowest window, {widths[0]:.4g} around the cutoff ({worst['n_left']} rows left,"
                f" {worst['n_right']} right), {worst['covariate']} is out of balance (p {worst['smallest_p']:.3f} under"
                f" {self.balance_level:g}); use RegressionDiscontinuity, or give window="
            )
        return table, float(chosen)

    def _arrange(self, sample: RunningSample, inside: Positions, above: Bools, windows: Any, rng: Any) -> Effect:
        """Estimate, and the law of the statistic."""
        y = sample.y[inside]
        estimate = float(mean_differences(y, above.astype(float)))
        name = f"difference around {sample.cutoff_text}"
        index = pd.Index([name], name="estimand")
        window_facts: dict[str, Any] = {}
        if self.inference == "neyman":
            uncertainty: Any = _welch(sample, inside, above)
            method = "difference in means within the window, Welch's t (Neyman)"
        else:
            assignments = permuted_assignments(above, self.n_draws, rng)
            null = STATISTICS[self.statistic](y, assignments)
            if self.statistic != "difference":  # put the test on the scale of the estimate, which keeps its p-value
                observed = float(STATISTICS[self.statistic](y, above.astype(float)))
                null = null * (estimate / observed) if observed else np.full(len(null), estimate)
            else:
                window_facts["inversion"] = _Inversion(y, above, assignments, index)
            uncertainty = Draws(null[:, None], np.eye(1), around="null")
            method = f"{self.n_draws:,} permutations of sides within the window ({self.statistic}), null law (Fisher)"
        left, right = int((~above).sum()), int(above.sum())
        return Effect(
            rows=Estimates(pd.Series([estimate], index=index, name="estimate"), uncertainty),
            estimand=f"effect on {sample.outcome} of crossing the cutoff of {sample.running}, rows of the window",
            n_obs=len(inside),
            level=self.level,
            assumptions=_ASSUMPTIONS,
            diagnostics=Checks(self._checks(sample, inside, above, windows)),
            warnings=sample.notes,
            std_error_method=method,
            population=f"rows within the window around {sample.cutoff_text}",
            facts={
                "outcome": sample.outcome,
                "running": sample.running,
                "cutoff": sample.cutoff_text,
                "window_left": self.window_[0],
                "window_right": self.window_[1],
                "n_left": left,
                "n_right": right,
                "n_dropped": sample.n_dropped,
            },
            **window_facts,
        ).explained()

    def _checks(
        self, sample: RunningSample, inside: Positions, above: Bools, windows: pd.DataFrame | None
    ) -> dict[str, Any]:
        y, left, right = sample.y[inside], int((~above).sum()), int(above.sum())
        table = pd.DataFrame({"n": [left, right], "mean": [y[~above].mean(), y[above].mean()]}, index=["left", "right"])
        text = f"{left:,} rows left and {right:,} right within [{-self.window_[0]:.4g}, {self.window_[1]:.4g}]"
        checks: dict[str, Any] = {"counts": Check(None, table, text)}
        if windows is not None:
            text = f"window {self.window_[0]:.4g} of {len(windows)} tried, up to {windows.index[-1]:.4g}"
            checks["windows"] = Check(None, windows, text)
        if sample.X.shape[1]:
            checks["covariates"] = partial(_balance, sample, inside, above, self.statistic, self.n_draws)
        return checks


def _pair(window: Any) -> tuple[float, float]:
    pair = (window, window) if np.isscalar(window) else tuple(window) if isinstance(window, list | tuple) else ()
    good = len(pair) == 2 and all(
        isinstance(v, int | float | np.number) and not isinstance(v, bool) and 0 < v < np.inf for v in pair
    )
    if not good:
        raise CausalArgumentError(f"window must be a distance from the cutoff, or two (left, right); got {window!r}")
    return float(pair[0]), float(pair[1])


def _welch(sample: RunningSample, inside: Positions, above: Bools) -> Influence:
    """Means of both sides, each with its own variance."""
    y = sample.y[inside]
    contributions, values, parts = np.zeros((len(sample), 2)), np.zeros(2), []
    for side in (0, 1):
        at = above == bool(side)
        n = int(at.sum())
        values[side] = y[at].mean()
        contributions[inside[at], side] = (y[at] - values[side]) / n
        meat = np.zeros((2, 2))
        meat[side, side] = y[at].var(ddof=1) / n
        parts.append(Component(meat, float(n - 1)))
    return Influence.from_contributions(
        values,
        contributions,
        sample.rows,
        names=pd.Index([f"{sample.outcome} | left", f"{sample.outcome} | right"], name="mean"),
        loadings=np.array([[-1.0, 1.0]]),
        components=tuple(parts),
    )


def _balance(sample: RunningSample, inside: Positions, above: Bools, statistic: str, n_draws: int) -> Check:
    """Permutation p-values of the covariates in the window used."""
    p = balance_p_values(sample.X[inside], above, statistic, n_draws, np.random.default_rng(0))
    X, d = sample.X[inside], above.astype(float)
    gaps = [float(mean_differences(x, d)) for x in X.T]
    table = pd.DataFrame({"difference": gaps, "p_value": p}, index=pd.Index(sample.names, name="covariate"))
    passed = bool(p.min() * len(p) >= 0.05)
    return Check(passed, table, f"smallest p-value of {len(p)} covariates in the window {p.min():.3f}")


@dataclass(frozen=True, eq=False)
class _Inversion:
    """The confidence set of a constant effect, by inverting the permutation test."""

    y: Floats
    above: Bools
    assignments: Floats
    index: pd.Index

    def __call__(self, level: float) -> pd.DataFrame:
        low, high = inverted_interval(self.y, self.above, self.assignments, level)
        return pd.DataFrame({"conf_low": [low], "conf_high": [high]}, index=self.index)
