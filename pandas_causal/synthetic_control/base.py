"""What synthetic comparisons share: the matrix of outcomes, checks of it, inference and the Effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates, Weighting
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    CausalDataError,
    CausalWarning,
    FewTreatedWarning,
    Problem,
    warn,
)
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inputs.arms import plain
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.inputs.parameters import FLAG, Legal, one_of
from pandas_causal.inputs.roles import as_frame
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.panels.panel import Panel
from pandas_causal.panels.reading import read_panel
from pandas_causal.synthetic_control import checks
from pandas_causal.synthetic_control.comparison import Block, Method, Runs, layout_of
from pandas_causal.synthetic_control.conformal import Proxy
from pandas_causal.synthetic_control.inference import Inference, SyntheticComparison, infer
from pandas_causal.synthetic_control.study import SyntheticStudy, period_text

__all__ = ["UNTOUCHED", "Demands", "SyntheticEstimator"]

_EXACT = 1e-6
UNTOUCHED = "no anticipation, and no donor is touched by the treatment"


@dataclass(frozen=True)
class Demands:
    """What a method asks of a panel.

    Attributes
    ----------
    pooled : bool
        One comparison per start of treatment, not per unit.
    least_before : int
        Periods before treatment that it learns from.
    gaps : bool
        Whether donors may lack periods.
    predictors : bool
        Whether it takes covariates.
    donor_hull : bool
        Whether it stays within what weights of the donors can reach, so that a poor fit before treatment is a warning.
    """

    pooled: bool = True
    least_before: int = 2
    gaps: bool = False
    predictors: bool = False
    donor_hull: bool = True


class SyntheticEstimator(CausalEstimator):
    """Base of the synthetic comparisons; subclasses say what the counterfactual is."""

    legal: ClassVar[Mapping[str, Legal]] = {
        "inference": one_of("placebo", "permutation", "conformal"),
        "by_period": FLAG,
    }

    bootstrap_refusal = (
        "the bootstrap of rows tears panels apart, and few treated units cannot be resampled; use the inference= of the"
        " estimator: placebo, permutation, jackknife or conformal"
    )
    inference: str
    by_period: bool
    n_draws: int
    level: float
    random_state: int | None

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        unit: RoleLike = None,
        time: RoleLike = None,
        treatment: RoleLike = None,
        cohort: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
            Roles given by name; further columns are predictors, where the method takes some.
        y : array-like (n,)
            Outcome, one row per unit and period.
        unit, time : str or array-like (n,)
            Time as numbers, dates, periods or ordered labels.
        treatment : str or array-like (n,)
            0/1 row by row; once on it stays on. Never-treated units are the donors.
        cohort : str or array-like (n,)
            In place of `treatment`: every unit's first treated period; NaN, 0 or inf for donors.
        missing : {"raise", "drop"}
            "drop" leaves out rows without outcome or role.
        """
        self.need("unit", unit)
        panel = read_panel(self, X, y, time=time, unit=unit, cohort=cohort, treatment=treatment, missing=missing)
        study = self._study(panel, X)
        rng = np.random.default_rng(self.random_state)
        method = self._method(study, rng)
        runs = method.actual(study.Y, study.blocks, study.donors)
        self._remember_fit(study, runs)
        self.effect_ = self._arrange(study, method, runs, rng)
        return self

    @property
    def demands(self) -> Demands:
        """What the method asks of a panel."""
        return Demands()

    # -- what subclasses write -----------------------------------------------------------------------------------------

    def _method(self, study: SyntheticStudy, rng: np.random.Generator) -> Method:
        raise NotImplementedError

    def _proxy(self, runs: list[Runs]) -> Proxy:
        """How conformal inference refits; only where "conformal" is among the legal inferences."""
        raise CausalArgumentError(f"{type(self).__name__} has no conformal inference with these settings")

    def _assumptions(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _more_checks(self, study: SyntheticStudy, runs: list[Runs]) -> dict[str, Any]:
        return {}

    # -- private -------------------------------------------------------------------------------------------------------

    def _study(self, panel: Panel, X: Covariates) -> SyntheticStudy:
        """Outcomes as a matrix, after checks of what every method needs."""
        column = panel.names.get("treatment") or panel.names.get("cohort") or "treatment"
        donors = np.flatnonzero(panel.never)
        problems = []
        if not len(donors):
            remedy = "add untreated units, or use ImputationDiD or CallawaySantAnna, which compare with later cohorts"
            problems.append(Problem(column, "no unit is never treated, so there is no donor", None, remedy))
        if not panel.balanced and not self.demands.gaps:
            problems.append(_gaps(panel, panel.names["unit"]))
        for start in panel.treated_cohorts:
            if start < self.demands.least_before:
                n = int((panel.cohort == start).sum())
                message = f"{n:,} units are treated from {panel.periods[start]}, after {int(start)} period, and"
                message += f" {type(self).__name__} needs {self.demands.least_before} before treatment to learn from"
                remedy = "add earlier periods, leave these units out, or use estimator='did'"
                problems.append(Problem(column, message, None, remedy))
        if problems:
            raise CausalDataError(problems)
        blocks = []
        for start in panel.treated_cohorts:
            rows = np.flatnonzero(panel.cohort == start)
            blocks += [Block(int(start), r) for r in ([rows] if self.demands.pooled else rows[:, None])]
        covariates, names = _covariates(self, panel, X)
        return SyntheticStudy(
            panel=panel, Y=panel.wide(), donors=donors, blocks=blocks, covariates=covariates, names=names
        )  # fmt: skip

    def _remember_fit(self, study: SyntheticStudy, runs: list[Runs]) -> None:
        """Learned attributes: weights with the labels they belong to."""
        donors, names = study.labels[study.donors], study.block_names()
        if all(run.weights is not None for run in runs):
            values = np.stack([run.weights[0, study.donors] for run in runs if run.weights is not None], axis=1)
            self.unit_weights_ = pd.DataFrame(values, index=donors, columns=names)
        if all(run.time_weights is not None for run in runs):
            series = {
                name: pd.Series(run.time_weights[0], index=study.panel.periods[: b.start])
                for name, b, run in zip(names, study.blocks, runs, strict=True)
                if run.time_weights is not None
            }
            self.time_weights_ = pd.DataFrame(series)

    def _arrange(self, study: SyntheticStudy, method: Method, runs: list[Runs], rng: np.random.Generator) -> Effect:
        """Estimates, their uncertainty, checks and warnings as one Effect."""
        layout = layout_of(study.blocks, study.panel.n_periods)
        comparison = SyntheticComparison(method, study.Y, study.donors, study.blocks, layout, runs)
        setting = Inference(self.inference, self.by_period, self.n_draws)
        self._refuse_inference(study, len(comparison.players), runs)
        index = self._index(study)
        proxy = self._proxy(runs) if self.inference == "conformal" else None
        result = infer(comparison, setting, index, study.panel.units, proxy, rng)
        facts = self._facts(study, comparison)
        effect = Effect(
            rows=Estimates(
                pd.Series(result.estimates, index=index, name="estimate"),
                result.uncertainty,
                weightings={"average": Weighting(layout.counts)} if self.by_period else {},
            ),
            estimand=f"effect of {facts['treatment']} on {facts['outcome']} for the treated, while treated",
            n_obs=len(study.panel),
            level=self.level,
            assumptions=self._assumptions(),
            diagnostics=Checks(
                {**checks.synthetic_checks(comparison, study, result.placebos), **self._more_checks(study, runs)}
            ),
            warnings=(*study.panel.notes, *self._warned(study, comparison)),
            std_error_method=result.method,
            population=_population(study),
            inversion=result.inversion,
            facts=facts,
        )
        return effect.explained()

    def _index(self, study: SyntheticStudy) -> pd.Index:
        """Names of the rows: one average, or periods (periods since treatment where it starts at several)."""
        periods, starts = study.panel.periods, {b.start for b in study.blocks}
        first = min(starts)
        if not self.by_period:
            return pd.Index([f"average, {period_text(periods[first])} to {period_text(periods[-1])}"], name="estimand")
        if len(starts) == 1:
            return pd.Index(periods[first:], name=study.panel.axis.name)
        return pd.RangeIndex(len(periods) - first, name="event")

    def _refuse_inference(self, study: SyntheticStudy, players: int, runs: list[Runs]) -> None:
        """Refuse an inference that this design has no room for, naming one it has."""
        treated = len(study.treated)
        name, column = type(self).__name__, study.panel.names["unit"]
        if self.inference in ("placebo", "permutation") and players <= treated:
            other = self._without_placebos(study, runs)
            message = f"{players:,} donors cannot play {treated:,} treated units and be compared with further donors"
            raise CausalDataError([Problem(column, message, None, f"use {other}")])
        if self.inference == "jackknife" and min(b.size for b in study.blocks) < 2:
            message = f"{name} with inference='jackknife' needs two treated units at every start of treatment"
            raise CausalDataError([Problem(column, message, None, "use inference='placebo'")])
        if self.inference == "jackknife" and float(self.unit_weights_.to_numpy().max()) >= 1 - 1e-9:
            message = "one donor has all the weight, and the jackknife has to do without it"
            raise CausalDataError([Problem(column, message, None, "use inference='placebo'")])
        if self.inference == "conformal" and len(study.blocks) > 1:
            remedy = "use inference='placebo'" + (", or pooled=True" if hasattr(self, "pooled") else "")
            message = f"conformal inference is for one treated path, and there are {len(study.blocks)}"
            raise CausalDataError([Problem(column, message, None, remedy)])

    def _without_placebos(self, study: SyntheticStudy, runs: list[Runs]) -> str:
        """What to use where donors are too few to play the treated."""
        rules = [vars(base).get("legal", {}) for base in type(self).__mro__]
        legal = next(rule["inference"] for rule in rules if "inference" in rule).choices
        if "jackknife" in legal and min(b.size for b in study.blocks) > 1:
            return "inference='jackknife'"
        if len(study.blocks) > 1:
            return "more donors"
        own = "conformal" in legal
        if own:
            try:
                self._proxy(runs)
            except CausalArgumentError:
                own = False
        which = "inference='conformal'" if own else "SyntheticControl(inference='conformal')"
        return f"{which}, which looks along time, or more donors"

    def _warned(self, study: SyntheticStudy, comparison: SyntheticComparison) -> list[str]:
        """Warn of a poor fit before treatment, of an exact one, and of a jackknife on few units."""
        texts: list[tuple[str, type[CausalWarning]]] = []
        if self.demands.donor_hull:
            texts += self._fit_warnings(study, comparison)
        treated = len(study.treated)
        if self.inference == "jackknife" and treated < 10:
            text = f"the standard error rests on {treated} treated units and is too small; randomisation inference"
            texts.append((f"{text} (inference='placebo') does not need many", FewTreatedWarning))
        for text, kind in texts:
            warn(text, kind)
        return [text for text, _ in texts]

    def _fit_warnings(
        self, study: SyntheticStudy, comparison: SyntheticComparison
    ) -> list[tuple[str, type[CausalWarning]]]:
        """The fit before treatment, beside the spread of the donors."""
        texts: list[tuple[str, type[CausalWarning]]] = []
        table = checks.pre_fit_table(comparison, study)
        limit, scale = checks.poor_fit(comparison.method.demeaned)
        poor = table[table["ratio"] > limit]
        if len(poor):
            row = poor.iloc[int(poor["ratio"].argmax())]
            worst = row.name
            others = f" (and {len(poor) - 1} more)" if len(poor) > 1 else ""
            text = (
                f"donors cannot match {worst}{others}: before treatment the gap is {row['rmspe']:.3g}"
                f" (root mean square), {_beside(row['ratio'], scale)}; do not read gaps afterwards as effects"
            )
            texts.append((text, AssumptionWarning))
        exact = table[table["ratio"] < _EXACT]
        if len(exact):
            text = (
                f"{len(study.donors):,} donors fit {exact.index[0]} exactly before treatment"
                f" ({int(exact['periods'].iloc[0])} periods): many weights do, and those nearest to equal were taken;"
                " such a fit says nothing of the periods after"
            )
            texts.append((text, AssumptionWarning))
        return texts

    def _facts(self, study: SyntheticStudy, comparison: SyntheticComparison) -> dict[str, Any]:
        panel = study.panel
        return {
            "outcome": panel.names["outcome"],
            "treatment": panel.names.get("treatment") or panel.names.get("cohort"),
            "unit": panel.names["unit"],
            "time": panel.axis.name,
            "n_units": panel.n_units,
            "n_donors": len(study.donors),
            "n_treated": len(study.treated),
            "n_periods": panel.n_periods,
            "first_treated": panel.periods[min(b.start for b in study.blocks)],
            "pre_rmspe": float(comparison.ratio_parts[1]),
            **panel.facts,
        }


def _beside(ratio: float, scale: str) -> str:
    return f"{ratio:.0%} {scale}" if np.isfinite(ratio) else "and donors do not vary"


def _population(study: SyntheticStudy) -> str:
    treated = study.labels[study.treated]
    if len(treated) == 1:
        return f"{plain(treated[0])}, in its treated periods"
    return f"these {len(treated):,} treated units, each unit-period counted once"


def _gaps(panel: Panel, column: str) -> Problem:
    """Units that lack a period."""
    rows = np.bincount(panel.unit, minlength=panel.n_units)
    short = np.flatnonzero(rows < panel.n_periods)
    first = int(short[0])
    absent = np.setdiff1d(np.arange(panel.n_periods), panel.time[panel.unit == first])[0]
    message = f"{len(short):,} units lack periods (the first is {plain(panel.units.labels[first])!r}, no row in"
    return Problem(
        column,
        f"{message} {panel.periods[absent]}), absent",
        int(panel.n_periods * panel.n_units - len(panel)),
        "complete them, leave these units or periods out, or use MatrixCompletion, which allows donors with gaps",
    )


def _covariates(estimator: Any, panel: Panel, X: Covariates) -> tuple[Floats, list[str]]:
    """Covariates as given (N, T, q): predictors are means of what is known, so nothing is imputed."""
    names = list(estimator.covariates_)
    if names and not estimator.demands.predictors:
        raise CausalArgumentError(
            f"{type(estimator).__name__} takes no covariates, and got {names[:5]}; pass the columns of roles only, or"
            " use SyntheticControl, for which they are predictors"
        )
    if not names:
        return np.zeros((panel.n_units, panel.n_periods, 0)), []
    frame = as_frame(X)[0].iloc[panel.order]
    odd = [c for c in names if not is_numeric(frame[c])]
    if odd:
        remedy = "code it as numbers: predictors are averaged over periods"
        raise CausalDataError([Problem(str(c), "is no numeric predictor", None, remedy) for c in odd])
    values = [panel.wide(as_float(frame[c])) for c in names]
    return np.stack(values, axis=2), [str(c) for c in names]
