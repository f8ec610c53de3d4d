"""Refuters of panels, discontinuities and graphs: placebo times, units, cutoffs, and what the graph itself implies."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.effect.study import Refitted
from pandas_causal.errors import CausalError
from pandas_causal.inference.reference import Student
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.inputs.roles import Inputs
from pandas_causal.kernels.arrays import Floats, Ints
from pandas_causal.robustness.refits import Plan, Question, main_rows, refitted_of
from pandas_causal.robustness.refuters import Finding, Refuter, of_draws

__all__ = ["REFUTERS_OF_DESIGNS"]

_NEVER = np.iinfo(np.int64).max
_MOST_CLAIMS = 300


# -- panels ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Timing:
    """Periods of a panel as positions.

    Attributes
    ----------
    periods : Index
        In order.
    time, unit : ndarray (n,)
    first : ndarray (N,)
        Position of every unit's first treated period; a large number where there is none.
    """

    periods: pd.Index
    time: Ints
    unit: Ints
    first: Ints

    @classmethod
    def of(cls, inputs: Inputs) -> _Timing:
        """Read periods, units and first treated periods."""
        time, periods = pd.factorize(inputs.roles["time"], sort=True)
        unit = np.asarray(pd.factorize(inputs.roles["unit"])[0])
        if "cohort" in inputs.roles:
            at = _positions(inputs.roles["cohort"], pd.Index(periods))
        else:
            on = np.asarray(pd.factorize(inputs.roles["treatment"], sort=True)[0]) > 0
            at = np.where(on, time, _NEVER)
        first = np.full(int(unit.max()) + 1, _NEVER)
        np.minimum.at(first, unit, at)
        return cls(pd.Index(periods), np.asarray(time), unit, first)

    @cached_property
    def never(self) -> Ints:
        """Units that are not treated."""
        return np.flatnonzero(self.first == _NEVER)

    def cohort(self, first: Ints, rows: Any = slice(None)) -> pd.Series[Any]:
        """First treated periods of rows, missing where there is none."""
        at = first[self.unit[rows]]
        values = pd.Series(self.periods.take(np.where(at == _NEVER, 0, at)))
        return values.where(pd.Series(at != _NEVER))


def _positions(cohort: pd.Series[Any], periods: pd.Index) -> Ints:
    """Positions of first treated periods; a large number for the never treated (missing, 0, beyond the last)."""
    out = np.full(len(cohort), _NEVER)
    there = cohort.notna().to_numpy(copy=True)
    if pd.api.types.is_numeric_dtype(cohort.dtype):
        values = cohort.to_numpy(dtype=float, na_value=np.nan)
        there &= np.isfinite(values) & ~((values == 0) & (float(periods.min()) > 0))
        at = np.searchsorted(periods.to_numpy(dtype=float), np.where(there, values, 0.0))
    else:
        at = np.searchsorted(periods, cohort.where(there, periods[0]))
    there &= at < len(periods)
    out[there] = at[there]
    return out


def _panel(question: Question) -> str | None:
    if question.design != "panel":
        return f"is for panels, and this is a {question.in_words}"
    roles = question.study.roles
    if "unit" not in roles or not {"cohort", "treatment"} & set(roles):
        return "needs a panel of units with cohort= or treatment="
    if "cohort" not in inspect.signature(question.study.estimator.fit).parameters:
        return "needs an estimator that takes cohort="
    return None


def _in_time_applies(question: Question) -> str | None:
    why = _panel(question)
    if why is None:
        timing = _Timing.of(question.inputs)
        if not (timing.first[timing.first != _NEVER] >= 2).any():
            return "needs a unit with two periods before its treatment"
    return why


def _own_p_value(effect: Effect) -> tuple[float, float]:
    """Smallest p-value of an effect's rows after treatment, times their number, and the estimate of that row."""
    main = main_rows(effect)
    kept = np.ones(len(main), dtype=bool) if main.reference_rows is None else ~main.reference_rows
    if main.rows.index.name == "event":
        kept &= np.asarray(main.rows.index) >= 0
    table = main.table[kept]
    if not table["p_value"].notna().any():
        raise CausalError("the placebo has no p-value: too few units, or no inference was asked for")
    j = int(table["p_value"].argmin())
    return float(min(1.0, table["p_value"].iloc[j] * len(table))), float(table["estimate"].iloc[j])


def _rows_of(timing: _Timing, first: Ints, question: Question) -> pd.Series[Any]:
    return timing.cohort(first).set_axis(question.inputs.index)


def _in_time(question: Question, plan: Plan) -> Finding:  # noqa: ARG001 - one signature
    """Rows before treatment only, and treatment moved back by half of the periods there are before the earliest.

    A method that wants every unit in every period gets those before the earliest treatment.
    """
    timing = _Timing.of(question.inputs)
    treated = timing.first[(timing.first != _NEVER) & (timing.first >= 2)]
    shift = max(1, int(treated.min()) // 2)
    usable = (timing.first == _NEVER) | (timing.first >= 2)
    end = np.where(timing.first == _NEVER, int(treated.max()), timing.first)
    rows = np.flatnonzero(usable[timing.unit] & (timing.time < end[timing.unit]))
    moved = np.where(timing.first == _NEVER, _NEVER, timing.first - shift)
    try:
        effect = question.study.refit(
            rows=rows, cohort=_rows_of(timing, moved, question), treatment=None, checked=False
        )
    except CausalError:
        rows = np.flatnonzero(usable[timing.unit] & (timing.time < int(treated.min())))
        moved = np.where(timing.first == _NEVER, _NEVER, int(treated.min()) - shift)
        effect = question.study.refit(
            rows=rows, cohort=_rows_of(timing, moved, question), treatment=None, checked=False
        )
    p, estimate = _own_p_value(effect)
    back = f"treatment moved back by {shift} period{'s' if shift > 1 else ''}, {len(rows):,} rows before treatment"
    return Finding(float(question.found.estimates[question.kept][0]), estimate, p, detail=back)


def _in_space_applies(question: Question) -> str | None:
    why = _panel(question)
    if why is None and question.is_synthetic:
        return "is what a synthetic comparison's own inference is made of: see its diagnostics"
    if why is None and len(_Timing.of(question.inputs).never) < 10:
        return "needs 10 units that are never treated"
    return why


@dataclass(frozen=True, eq=False)
class _InSpace:
    plan: Plan
    timing: _Timing

    def __call__(self, question: Question, k: int) -> Refitted:
        rng, never = self.plan.rng("in_space", k), self.timing.never
        starts = self.timing.first[self.timing.first != _NEVER]
        share = len(starts) / len(self.timing.first)
        count = len(starts) if 2 * len(starts) <= len(never) else max(1, round(share * len(never)))
        first = np.full(len(self.timing.first), _NEVER)
        first[rng.choice(never, size=count, replace=False)] = rng.choice(starts, size=count)
        rows = np.flatnonzero(np.isin(self.timing.unit, never))
        cohort = _rows_of(self.timing, first, question)
        return refitted_of(main_rows(question.study.refit(rows=rows, cohort=cohort, treatment=None)))


def _in_space(question: Question, plan: Plan) -> Finding:
    collected = question.collect(_InSpace(plan, _Timing.of(question.inputs)), "in_space", plan)
    rows = {len(d.estimates) for d in collected.draws}
    if len(rows) > 1:
        raise CausalError("draws have different rows (periods or cohorts); aggregate the effect to one row first")
    kept = question.kept if rows == {len(question.kept)} else np.ones(max(rows, default=1), dtype=bool)
    return of_draws(question, replace(collected, kept=kept), around=0.0, scale=None)


# -- discontinuities -------------------------------------------------------------------------------------------------


def _cutoffs_apply(question: Question) -> str | None:
    if question.design != "discontinuity":
        return f"is for discontinuities, and this is a {question.in_words}"
    names = [name for name in question.effect.diagnostics if name.startswith("placebo_cutoffs")]
    return None if names else "needs local polynomials, which look at other cutoffs"


def _placebo_cutoffs(question: Question, plan: Plan) -> Finding:  # noqa: ARG001 - one signature
    """Jumps at the quartiles of each side, from the rows of that side, within the bandwidth of the answer.

    A bandwidth chosen anew at every placebo would find jumps too often: on lines without one 14 in 100 times at six,
    where few rows are. For the same reason variances are HC3 (where nothing is clustered) and the law is Student's.
    """
    inputs, width = question.inputs, _bandwidth(question)
    x = inputs.roles["running"]
    if width is None or not is_numeric(x) or "cutoffs" in inputs.roles:
        return _of_placebo_table(question)
    at, values = float(question.study.estimator.cutoff), as_float(x)
    rows = []
    for side in (values < at, values >= at):
        for place in np.quantile(values[side], (0.25, 0.5, 0.75)):
            try:
                table = _jump(question, float(place), width, np.flatnonzero(side))
            except CausalError:
                continue
            row = table.iloc[0].copy()
            df = float((np.abs(values[side] - place) <= width).sum() - 2 * (_order(question) + 2))
            row["p_value"] = Student().p_value(row[["statistic"]].to_numpy(dtype=float), np.array([max(df, 1.0)]))[0]
            rows.append([float(place), *row])
    if not rows:
        raise CausalError("no placebo cutoff leaves enough rows on both of its sides")
    columns = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"]
    return _worst_cutoff(question, pd.DataFrame(rows, columns=["cutoff", *columns]).set_index("cutoff"))


def _jump(question: Question, place: float, width: float, rows: Ints) -> pd.DataFrame:
    """The jump of the outcome at another cutoff, as if the treatment jumped from 0 to 1 there."""
    from sklearn.base import clone

    estimator = clone(question.study.estimator)
    estimator.set_params(cutoff=place, bandwidth=width, bias_bandwidth=None)
    if question.clusters is None:
        estimator.set_params(vce="hc3")
    return question.study.refit(estimator=estimator, rows=rows, treatment=None).table


def _order(question: Question) -> int:
    """Order of the polynomials."""
    return int(question.study.estimator.order)


def _bandwidth(question: Question) -> float | None:
    """The wider of the two bandwidths of the answer."""
    found = getattr(question.effect.estimator, "bandwidths_", None)
    if not isinstance(found, pd.DataFrame) or not {"h_left", "h_right"} <= set(found.columns):
        return None
    return float(found[["h_left", "h_right"]].to_numpy().max())


def _of_placebo_table(question: Question) -> Finding:
    """The placebo cutoffs among the checks of the effect, with bandwidths of their own."""
    names = [name for name in question.effect.diagnostics if name.startswith("placebo_cutoffs")]
    return _worst_cutoff(question, pd.concat([question.effect.diagnostics[name].table for name in names]))


def _worst_cutoff(question: Question, table: pd.DataFrame) -> Finding:
    p: Floats = table["p_value"].to_numpy(dtype=float)
    if not np.isfinite(p).any():
        raise CausalError("no placebo cutoff leaves enough rows on both of its sides")
    tried, j = int(np.isfinite(p).sum()), int(np.nanargmin(p))
    return Finding(
        float(question.found.estimates[question.kept][0]),
        float(table["estimate"].to_numpy()[j]),
        float(min(1.0, p[j] * tried)),
        detail=f"{tried} placebo cutoffs (Bonferroni); the largest jump at {table.index[j]:.3g}",
        draws=table,
    )


# -- graphs ----------------------------------------------------------------------------------------------------------


def _graph_applies(question: Question) -> str | None:
    if question.study.graph is None and question.asked.get("graph") is None:
        return "needs a graph: ask df.causal.ate(graph=...), or give graph="
    return None if question.study.frame is not None else "needs the frame: ask df.causal, or give study=frame"


def _graph(question: Question) -> Any:
    from pandas_causal.graphs.graph import as_graph

    asked = question.asked.get("graph")
    return as_graph(question.study.graph if asked is None else asked)


def _implied(question: Question, plan: Plan) -> Finding:
    """The independences that the graph implies, tested in the data (Holm)."""
    from pandas_causal.graphs.check_graph import check_graph

    assert question.study.frame is not None  # noqa: S101 - asked before
    check = check_graph(
        question.study.frame, _graph(question), alpha=plan.alpha, missing="drop", random_state=plan.seed, n_jobs=1
    )
    if check.passed is None:
        return Finding(np.nan, np.nan, detail=check.summary)
    p = float(check.table["p_adjusted"].min())
    return Finding(np.nan, np.nan, p, detail=check.summary, draws=check.table)


def _permuted(question: Question, plan: Plan) -> Finding:
    """The same claims of graphs with relabelled nodes."""
    from pandas_causal.graphs.check_graph import check_graph

    assert question.study.frame is not None  # noqa: S101 - asked before
    count = max(plan.n_simulations, int(np.ceil(1 / plan.alpha)))
    check = check_graph(
        question.study.frame, _graph(question), alpha=plan.alpha, permutations=count, missing="drop",
        random_state=plan.seed, n_jobs=1,
    )  # fmt: skip
    share = "" if np.isnan(check.p_value) else f"; {check.p_value:.0%} of relabelled graphs fare as well"
    return Finding(np.nan, np.nan, passed=check.passed, detail=f"{check.summary}{share}", draws=check.permuted)


REFUTERS_OF_DESIGNS = (
    Refuter(
        "in_time",
        "the time: treatment starts earlier, in rows before it started",
        "the estimate is zero",
        "treated and untreated units moved apart before treatment: trends are not parallel, or it was anticipated",
        "trends that part before treatment; anticipation",
        "trends that part at the time of treatment",
        _in_time_applies,
        _in_time,
    ),
    Refuter(
        "in_space",
        "the units: untreated ones play the treated",
        "estimates lie around zero, as widely as their standard errors say",
        "standard errors are wrong (serial correlation, few units), or the method makes effects up",
        "wrong standard errors; a method that makes effects up",
        "trends that differ between treated and untreated units",
        _in_space_applies,
        _in_space,
    ),
    Refuter(
        "placebo_cutoffs",
        "the cutoff: others, within rows of one side",
        "the outcome does not jump there",
        "the outcome bends or jumps elsewhere too: the jump at the cutoff may be no effect",
        "an outcome that is not smooth in the running variable",
        "sorting around the cutoff; what else changes at it",
        _cutoffs_apply,
        _placebo_cutoffs,
    ),
    Refuter(
        "graph",
        "nothing: the independences that the graph implies are tested",
        "the data reject none of them",
        "an arrow or a hidden cause is missing, or an arrow is the wrong way",
        "missing arrows and hidden causes that leave a trace among the observed columns",
        "hidden causes of pairs that are joined; directions that imply the same",
        _graph_applies,
        _implied,
    ),
    Refuter(
        "permuted_graph",
        "the graph: its nodes, relabelled",
        "the data reject fewer claims of the graph than of relabelled ones",
        "the graph fits the data no better than one with its names shuffled",
        "a graph that says little of these data",
        "errors of single arrows",
        _graph_applies,
        _permuted,
    ),
)
