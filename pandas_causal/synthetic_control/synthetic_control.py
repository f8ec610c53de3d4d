"""Synthetic control: on outcomes, on predictors, and augmented by a ridge regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem, suggest
from pandas_causal.inputs.parameters import CV_OR_POSITIVE, FLAG, Legal
from pandas_causal.kernels.arrays import Floats
from pandas_causal.synthetic_control.augmented import AugmentedControl
from pandas_causal.synthetic_control.base import UNTOUCHED, Demands, SyntheticEstimator
from pandas_causal.synthetic_control.comparison import Method, Runs, SimplexControl
from pandas_causal.synthetic_control.conformal import Proxy
from pandas_causal.synthetic_control.predictor_weights import Predictor, PredictorControl, predictor_values
from pandas_causal.synthetic_control.study import SyntheticStudy

__all__ = ["AugmentedSyntheticControl", "SyntheticControl"]

_HULL = "without treatment the treated would have followed the weighted donors, as they did before it"

_NO_CONFORMAL = (
    "inference='conformal' refits on all periods, after treatment too, and predictors are means from before it; use"
    " inference='placebo' or 'permutation', or leave covariates and lags out"
)


class SyntheticControl(SyntheticEstimator):
    """Synthetic control (Abadie and Gardeazabal 2003; Abadie, Diamond and Hainmueller 2010).

    Estimates the average effect on the treated, in their treated periods, against a weighted average of donors with
    weights that are not negative and sum to one. By default the weights fit the outcomes before treatment, and are
    solved to optimality. With covariates in X or with `lags` they fit predictors, whose own weights are chosen so that
    the outcomes before treatment are followed best. Every treated unit has its own synthetic control; effects are
    averaged by treated unit-periods.

    Parameters
    ----------
    lags : sequence, optional
        Outcomes before treatment as predictors: every entry a period, or a list of periods to average.
    windows : mapping of covariate to list of periods, optional
        Periods over which a covariate is averaged; by default all before treatment. Missing values are left out of the
        average.
    predictor_weights : {"outer", "equal"} or mapping of predictor to number
        "outer": searched, anew for every placebo. Names of lags are as in ``predictor_weights_``.
    pooled : bool
        One synthetic control for the mean of the units treated from the same period on, in place of one each.
    inference : {"placebo", "permutation", "conformal"}
        "placebo": donors play the treated; each once where one unit is treated. "permutation": ranks the ratio of the
        gap after to before treatment. "conformal": for one treated path, without predictors.
    by_period : bool
        One row per treated period in place of the average.
    n_draws : int
        Placebo draws where several units are treated.
    level : float
    random_state : int or None

    Attributes
    ----------
    effect_ : Effect
    unit_weights_ : DataFrame (donors, treated)
    predictor_weights_ : DataFrame (predictors, treated)

    Notes
    -----
    synthdid's ``sc_estimate`` stops its iterations early (-19.61966 on the data of California, where the optimum is
    -19.51363).

    References
    ----------
    Abadie (2021), Journal of Economic Literature 59; Abadie, Diamond and Hainmueller (2010), JASA 105; Firpo and
    Possebom (2018), Journal of Causal Inference 6, for sets by inverting the test of the ratio.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "pooled": FLAG,
    }

    def __init__(
        self,
        *,
        lags: Sequence[Any] | None = None,
        windows: Mapping[Any, Sequence[Any]] | None = None,
        predictor_weights: Any = "outer",
        pooled: bool = False,
        inference: str = "placebo",
        by_period: bool = False,
        n_draws: int = 500,
        level: float = 0.95,
        random_state: int | None = 0,
    ) -> None:
        self.lags = lags
        self.windows = windows
        self.predictor_weights = predictor_weights
        self.pooled = pooled
        self.inference = inference
        self.by_period = by_period
        self.n_draws = n_draws
        self.level = level
        self.random_state = random_state

    def check_settings(self) -> None:
        """Check the settings of the predictors too."""
        super().check_settings()
        weights = self.predictor_weights
        if not isinstance(weights, Mapping) and not (isinstance(weights, str) and weights in ("outer", "equal")):
            raise CausalArgumentError(
                f"predictor_weights={weights!r} is not known; use one of ['outer', 'equal'] or a mapping of"
                " predictor to number"
            )
        if self.lags is not None and not pd.api.types.is_list_like(self.lags):
            raise CausalArgumentError(f"lags must be a list of periods, or of lists of them; got {self.lags!r}")
        if self.windows is not None and not isinstance(self.windows, Mapping):
            raise CausalArgumentError(f"windows must map covariates to lists of periods; got {self.windows!r}")

    @property
    def demands(self) -> Demands:
        """What the method asks of a panel."""
        return Demands(pooled=self.pooled, predictors=True)

    def _method(self, study: SyntheticStudy, rng: np.random.Generator) -> Method:
        predictors = self._predictors(study)
        self._used = predictors
        if hasattr(self, "predictor_weights_"):
            del self.predictor_weights_
        if not predictors:
            return SimplexControl()
        if self.inference == "conformal":
            raise CausalArgumentError(_NO_CONFORMAL)
        weights: Any = None if self.predictor_weights == "outer" else self.predictor_weights
        if isinstance(weights, Mapping):
            weights = _given(weights, [p.name for p in predictors])
        _complete(predictors, study)
        return PredictorControl(predictors, study.covariates, weights)

    def _predictors(self, study: SyntheticStudy) -> tuple[Predictor, ...]:
        """Covariates over their windows, then lags of the outcome."""
        windows = dict(self.windows or {})
        unknown = [c for c in windows if str(c) not in study.names]
        if unknown:
            raise CausalArgumentError(
                f"windows names {unknown[0]!r}, which is no covariate{suggest(unknown[0], study.names)}; covariates:"
                f" {study.names}"
            )
        periods = {str(c): self._positions(study, values, f"windows[{c!r}]") for c, values in windows.items()}
        out = [Predictor(name, j, periods.get(name)) for j, name in enumerate(study.names)]
        outcome = study.panel.names["outcome"]
        for lag in [] if self.lags is None else list(self.lags):
            several = pd.api.types.is_list_like(lag)
            lag = list(lag) if several else lag  # noqa: PLW2901 - sets and ranges become lists
            text = f"{lag[0]} to {lag[-1]}" if several and len(lag) else str(lag)
            out.append(
                Predictor(f"{outcome} {text}", -1, self._positions(study, lag if several else [lag], f"lags: {lag!r}"))
            )
        return tuple(out)

    @staticmethod
    def _positions(study: SyntheticStudy, values: Any, where: str) -> tuple[int, ...]:
        first = min(b.start for b in study.blocks)
        at = [study.panel.axis.position(v) for v in values]
        late = [v for v, t in zip(values, at, strict=True) if not 0 <= t < first]
        if late or not at:
            axis = study.panel.axis
            message = f"holds {late[0]!r}, which is no period" if late else "is empty; give periods"
            raise CausalArgumentError(
                f"{where} {message} of {axis.name} before treatment ({axis.labels[0]} to {axis.labels[first - 1]})"
            )
        return tuple(at)

    def _proxy(self, runs: list[Runs]) -> Proxy:
        if self._used:
            raise CausalArgumentError(_NO_CONFORMAL)
        return Proxy("simplex")

    def _assumptions(self) -> tuple[str, ...]:
        return (_HULL, UNTOUCHED)

    def _more_checks(self, study: SyntheticStudy, runs: list[Runs]) -> dict[str, Any]:
        if not self._used:
            return {}
        names = [p.name for p in self._used]
        tunings = [run.tuning[0] for run in runs if run.tuning is not None]
        self.predictor_weights_ = pd.DataFrame(
            np.stack(tunings, axis=1), index=pd.Index(names, name="predictor"), columns=study.block_names()
        )
        return {"predictors": _balance(self._used, study, runs)}


class AugmentedSyntheticControl(SyntheticEstimator):
    """Ridge-augmented synthetic control (Ben-Michael, Feller and Rothstein 2021).

    Where no weighted average of donors follows the treated unit, a ridge regression on the outcomes before treatment
    takes out the rest. Weights sum to one and may be negative: it extrapolates, no further than the ridge allows.

    Parameters
    ----------
    ridge : "cv" or float
        Penalty, in squared units of the outcome. "cv": the largest within one standard error of the smallest
        error when one period before treatment is left out, chosen anew for every placebo.
    pooled : bool
        One comparison for the mean of the units treated from the same period on, in place of one each.
    inference : {"placebo", "permutation", "conformal"}
    by_period : bool
        One row per treated period in place of the average.
    n_draws : int
        Placebo draws where several units are treated.
    level : float
    random_state : int or None

    Attributes
    ----------
    effect_ : Effect
    unit_weights_ : DataFrame (donors, treated)
    ridge_ : ndarray (treated,)

    References
    ----------
    Ben-Michael, Feller and Rothstein (2021), JASA 116.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "pooled": FLAG,
        "ridge": CV_OR_POSITIVE,
    }

    def __init__(
        self,
        *,
        ridge: Any = "cv",
        pooled: bool = False,
        inference: str = "placebo",
        by_period: bool = False,
        n_draws: int = 500,
        level: float = 0.95,
        random_state: int | None = 0,
    ) -> None:
        self.ridge = ridge
        self.pooled = pooled
        self.inference = inference
        self.by_period = by_period
        self.n_draws = n_draws
        self.level = level
        self.random_state = random_state

    @property
    def demands(self) -> Demands:
        """What the method asks of a panel."""
        return Demands(pooled=self.pooled, least_before=3, donor_hull=False)

    def _method(self, study: SyntheticStudy, rng: np.random.Generator) -> AugmentedControl:
        return AugmentedControl(None if self.ridge == "cv" else float(self.ridge))

    def _proxy(self, runs: list[Runs]) -> Proxy:
        tuning = runs[0].tuning
        assert tuning is not None  # noqa: S101 - runs of this method hold their ridge
        return Proxy("ridge", float(tuning[0, 0]))

    def _assumptions(self) -> tuple[str, ...]:
        return ("outcomes before treatment predict later ones linearly, alike for donors and treated", _HULL, UNTOUCHED)

    def _more_checks(self, study: SyntheticStudy, runs: list[Runs]) -> dict[str, Any]:
        self.ridge_ = np.array([run.tuning[0, 0] for run in runs if run.tuning is not None])
        values = self.unit_weights_.to_numpy()
        table = pd.DataFrame(
            {"ridge": self.ridge_, "negative": np.minimum(values, 0).sum(axis=0)},
            index=pd.Index(study.block_names(), name="treated"),
        )
        text = f"ridge {self.ridge_[0]:.3g}; negative weights sum to {table['negative'].min():.3f}"
        return {"extrapolation": Check(None, table, text)}


def _given(weights: Mapping[Any, Any], names: list[str]) -> Floats:
    """Predictor weights by name; those not named get none."""
    unknown = [k for k in weights if str(k) not in names]
    if unknown:
        raise CausalArgumentError(
            f"predictor_weights names {unknown[0]!r}, which is no predictor{suggest(unknown[0], names)}; predictors:"
            f" {names}"
        )
    values = {str(k): v for k, v in weights.items()}
    wrong = [v for v in values.values() if not isinstance(v, int | float | np.number) or not 0 <= float(v) < np.inf]
    if wrong or not sum(float(v) for v in values.values()) > 0:
        raise CausalArgumentError("predictor_weights must be numbers of 0 or more, one of them above 0")
    return np.array([float(values.get(name, 0.0)) for name in names])


def _complete(predictors: tuple[Predictor, ...], study: SyntheticStudy) -> None:
    """Refuse predictors that some unit lacks in all its periods, and predictors that are the same for all."""
    problems = []
    rows = np.concatenate([study.donors, study.treated])
    _, Z = predictor_values(predictors, study.covariates, study.Y, min(b.start for b in study.blocks))
    for p, z in zip(predictors, Z[rows].T, strict=True):
        absent = np.flatnonzero(np.isnan(z))
        if len(absent):
            message = f"has no value in its periods before treatment for {len(absent):,} units (the first is"
            message += f" {study.labels[rows][absent[0]]!r})"
            problems.append(
                Problem(p.name, message, None, "widen its window (windows=), or leave predictor or units out")
            )
        elif np.ptp(z) == 0:
            problems.append(Problem(p.name, "is the same for every unit", None, "leave it out"))
    if problems:
        raise CausalDataError(problems)


def _balance(predictors: tuple[Predictor, ...], study: SyntheticStudy, runs: list[Runs]) -> Check:
    """Predictors of the treated, of their synthetic controls and of the donors' mean, with their weights."""
    rows = []
    for name, block, run in zip(study.block_names(), study.blocks, runs, strict=True):
        used, Z = predictor_values(predictors, study.covariates, study.Y, block.start)
        assert run.weights is not None  # noqa: S101 - runs of this method hold both
        assert run.tuning is not None  # noqa: S101
        synthetic, treated = run.weights[0] @ Z, Z[block.rows].mean(axis=0)
        mean = Z[study.donors].mean(axis=0)
        v = run.tuning[0, [predictors.index(p) for p in used]]
        rows += [(name, p.name, *values) for p, *values in zip(used, treated, synthetic, mean, v, strict=True)]
    table = pd.DataFrame(rows, columns=["unit", "predictor", "treated", "synthetic", "donors", "weight"])
    table = table.set_index("predictor") if len(runs) == 1 else table.set_index(["unit", "predictor"])
    first = table.sort_values("weight", ascending=False).index[0]
    top = first if isinstance(first, str) else first[-1]
    return Check(
        None, table.drop(columns="unit", errors="ignore"), f"{len(predictors)} predictors, most weight on {top}"
    )
