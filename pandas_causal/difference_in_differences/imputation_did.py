"""Effects of a staggered treatment by imputation (Borusyak, Jaravel and Spiess 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from pandas_causal.difference_in_differences.cells import (
    UNTESTED,
    cell_index,
    cell_text,
    four_averages,
    known_weights,
    panel_checks,
    panel_facts,
    panel_rows,
    require_unit,
    treated_units,
)
from pandas_causal.difference_in_differences.cohort_regression import cohort_period_regression
from pandas_causal.difference_in_differences.group_time import Cell, CellCounts
from pandas_causal.difference_in_differences.imputation import Leads, impute, lead_effects
from pandas_causal.difference_in_differences.pre_trends import trend_checks
from pandas_causal.effect.check import Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inference.few_treated import Treated
from pandas_causal.inference.influence import Influence
from pandas_causal.inputs.parameters import ANTICIPATION, FLAG, Legal, at_least, or_none
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats, Ints
from pandas_causal.panels.panel import Panel
from pandas_causal.panels.reading import read_panel

__all__ = ["ImputationDiD"]


class ImputationDiD(CausalEstimator):
    r"""Effect on the treated: outcomes less what untreated rows say they would have been.

    Unit and period effects (and coefficients of covariates) are fitted to untreated rows only, those of units not yet
    treated included; every treated outcome is compared with its prediction, and the differences are averaged by cell
    (cohort and period). Among unbiased linear estimators it has the least variance when errors are uncorrelated with
    equal variances: it uses all periods before treatment, where :class:`CallawaySantAnna` uses one.

    It rests on parallel trends in *all* periods and groups, ``E[Y_it(inf)] = alpha_i + lambda_t + x_it' beta``; on no
    anticipation (or `anticipation` periods of it); and on treatment that stays on.

    Parameters
    ----------
    anticipation : int
        Periods before treatment in which units may react already: they count as treated.
    pre_periods : int or None
        Leads of treatment whose coefficients are reported and tested, from -1 (less the anticipation) backwards; None:
        all but the earliest, 0: none. They come from untreated rows alone, so that testing them does not change the
        effects, nor their distribution where the model holds.
    leave_out : bool
        Standard errors compare every treated row with the average of the *others* of its cohort and period, which
        undoes their downward bias in small cohorts.
    level : float

    Attributes
    ----------
    effect_ : Effect
        One row per cell from treatment on, index levels cohort, time, event; then one row per lead, which pools the
        cohorts: its cohort and time are missing.
    imputed_ : DataFrame
        Treated rows under the caller's labels: outcome, imputed untreated outcome, and their difference.

    Notes
    -----
    Averages weigh cells by their treated rows, which are taken as known (the paper's estimand is that of the sample).
    Standard errors are those of the paper's Theorem 3, conservative where effects differ within a cohort and period:
    ``sum_i (sum_t v_it (y_it - imputed_it - tau_it))^2`` with tau the average effect of the cohort in the period (for
    treated rows). Contributions are one per unit, without small-sample factor, under the normal law: where 40 untreated
    units carried late periods, 95% intervals covered 93% there. Clusters given to ``fit`` must hold whole units and
    bring CR1. Treated rows whose unit has no untreated row, and cells in periods
    without untreated rows, cannot be imputed; they are left out and counted.

    References
    ----------
    Borusyak, Jaravel and Spiess (2024), "Revisiting event-study designs: robust and efficient estimation", Review of
    Economic Studies 91, Theorem 3 (eq. 7) for the errors, appendices A.8 and A.9 for the average effects in them, eq.
    (9) for the pre-trends.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "anticipation": ANTICIPATION,
        "pre_periods": or_none(at_least(0, "periods")),
        "leave_out": FLAG,
    }

    bootstrap_refusal = (
        "a bootstrap of the rows tears units apart; effect.interval(simultaneous=True) draws from the contributions of"
        " whole units"
    )

    def __init__(
        self,
        *,
        anticipation: int = 0,
        pre_periods: int | None = None,
        leave_out: bool = False,
        level: float = 0.95,
    ) -> None:
        self.anticipation = anticipation
        self.pre_periods = pre_periods
        self.leave_out = leave_out
        self.level = level

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        time: RoleLike = None,
        unit: RoleLike = None,
        cohort: RoleLike = None,
        treatment: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
            Covariates that vary over time (constant ones the unit effects absorb), and any roles given by name.
        y : array-like (n,)
            Outcome.
        time, unit : str or array-like (n,)
        cohort : str or array-like (n,)
            First treated period, coded as the time is; NaN, 0 or inf if never. Or give
        treatment : str or array-like (n,)
            0/1 row by row, which stays on.
        cluster : str or array-like (n,), or a list of up to four, optional
            Clusters of whole units.
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            See :func:`read_panel`; no cell that untreated rows can impute.
        """
        require_unit(self, unit)
        panel = read_panel(
            self, X, y, time=time, unit=unit, cohort=cohort, treatment=treatment, cluster=cluster,
            sample_weight=sample_weight, missing=missing, anticipation=self.anticipation,
        )  # fmt: skip
        imputed = _impute(panel, self.anticipation, self.leave_out)
        leads = self._leads(panel)
        self.imputed_ = imputed.table
        self.effect_ = self._arrange(panel, imputed, leads)
        return self

    # -- private -----------------------------------------------------------------------------------------------------

    def _leads(self, panel: Panel) -> Leads:
        """Coefficients of the periods before treatment, among untreated rows."""
        event, last = panel.event, -1 - self.anticipation
        untreated = (event <= last) & (panel.cohort[panel.unit] < panel.n_periods)
        earliest = int(event[untreated].min()) if untreated.any() else last + 1
        count = max(last - earliest, 0) if self.pre_periods is None else self.pre_periods
        if count > last - earliest:
            raise CausalArgumentError(
                f"pre_periods={count} leaves no earlier period to compare with: the earliest is {-earliest} periods"
                f" before treatment, so that at most {max(last - earliest, 0)} leads can be estimated"
            )
        events = list(range(last, last - count, -1))
        if not events:
            return Leads([], np.zeros(0), np.zeros((panel.n_units, 0)), 0)
        rows = panel_rows(panel).take(event <= last)
        return lead_effects(rows, np.where(panel.never[panel.unit], -panel.n_periods - 1, event)[event <= last], events)

    def _arrange(self, panel: Panel, imputed: _Imputed, leads: Leads) -> Effect:
        """Cells, then leads, as one Effect."""
        index = cell_index(panel, imputed.cells, leads.events)
        counts = CellCounts(imputed.cells, imputed.n_treated, imputed.n_untreated)
        u = _uncertainty(
            panel,
            np.concatenate([imputed.effects, leads.effects]),
            np.hstack([imputed.contributions, leads.contributions]),
            index,
            treated_units(panel, counts, leads=leads.events),
        )
        method = f"imputation (Borusyak et al. 2024), one row per {panel.units.labels.name}"
        if self.leave_out:
            method += ", leave-out averages"
        if panel.clusters:
            method += f", clustered by {' and '.join(panel.clusters)} (CR1)"
        conditional = ", given the covariates" if panel.covariates else ""
        early = f" more than {self.anticipation} periods" if self.anticipation else ""
        weights = known_weights(imputed.cells, imputed.mass, len(leads.events))
        effect = Effect(
            rows=Estimates(
                pd.Series(u.values, index=index, name="estimate"),
                u,
                weightings=four_averages(panel, imputed.cells, weights, leads.events),
            ),
            estimand=f"effect on the treated of {panel.names['outcome']}, by cohort and {panel.axis.name}",
            n_obs=len(panel),
            level=self.level,
            assumptions=(
                f"parallel trends in all periods{conditional}: untreated, all units would have changed alike{UNTESTED}",
                f"no anticipation: outcomes do not react{early} before treatment starts",
                "no interference between units, and treatment stays on",
            ),
            warnings=(*panel.notes, *imputed.notes),
            std_error_method=method,
            population="treated rows of this sample that can be imputed",
            facts={**panel_facts(panel), "anticipation": self.anticipation, "n_imputed_rows": len(imputed.table)},
        ).explained()
        trends = trend_checks(effect, self.anticipation, partial(_leads_of_cohorts, panel, leads.events))
        return replace(effect, diagnostics=Checks({**trends, **panel_checks(panel)}))


def _uncertainty(panel: Panel, values: Floats, contributions: Floats, index: pd.Index, treated: Treated) -> Influence:
    """Contributions of units, clustered where clusters were given."""
    names = pd.Index([str(label) for label in index], name="parameter")
    u = Influence.from_contributions(values, contributions, panel.units, names=names)
    u = replace(u, treated=treated, factor_p=1)
    if not panel.clusters:
        return u
    ways = panel.unit_clusters()
    return replace(u, clusters=ways).cluster(tuple(ways.values()))


def _leads_of_cohorts(panel: Panel, leads: Sequence[int]) -> Estimates:
    """The leads of every cohort by itself, from the same untreated rows, beside the cohort's own earliest period.

    Without never-treated units the last cohort is the one that the others are compared with.
    """
    cohort = panel.cohort[panel.unit]
    untreated = panel.event <= max(leads, default=-1)
    compared = panel.treated_cohorts.tolist()
    cells = []
    for g in compared if panel.never.any() else compared[:-1]:
        seen = np.unique(panel.time[untreated & (cohort == g)])
        cells += [Cell(g, int(t), -1) for t in seen[1:] if t - g in leads]
    fitted = cohort_period_regression(
        panel_rows(panel).take(untreated), panel.cohort, [(c.cohort, c.time) for c in cells]
    )
    reached = np.flatnonzero(fitted.reached)
    cells = [cells[k] for k in reached]
    sides = np.zeros((2, len(cells)), dtype=np.int64)
    for k, cell in enumerate(cells):
        own = cohort[untreated & (panel.time == cell.time)] == cell.cohort
        sides[:, k] = own.sum(), (~own).sum()
    index, effects = cell_index(panel, cells), fitted.effects[reached]
    treated = treated_units(panel, CellCounts(cells, *sides))
    u = _uncertainty(panel, effects, fitted.contributions[:, reached], index, treated)
    return Estimates(pd.Series(effects, index=index, name="estimate"), u)


@dataclass(frozen=True, eq=False)
class _Imputed:
    """Cells that were imputed."""

    cells: list[Cell]
    effects: Floats
    contributions: Floats
    n_treated: Ints
    n_untreated: Ints
    mass: Floats
    table: pd.DataFrame
    notes: list[str]


def _impute(panel: Panel, anticipation: int, leave_out: bool) -> _Imputed:
    """Split the rows, impute the treated ones, keep the cells that can be imputed."""
    rows = panel_rows(panel)
    on = panel.event >= -anticipation
    has_untreated = np.bincount(panel.unit[~on], minlength=panel.n_units) > 0
    late = on & panel.never[panel.unit]  # units that react already to a treatment after the last period
    alone = on & ~late & ~has_untreated[panel.unit]
    treated = on & ~late & ~alone
    notes = []
    if late.any():
        notes.append(f"{int(late.sum()):,} rows of units that may anticipate a later treatment were left out")
    if alone.any():
        n = len(np.unique(panel.unit[alone]))
        notes.append(f"{int(alone.sum()):,} treated rows of {n:,} units without an untreated row were left out")
    key = panel.cohort[panel.unit[treated]] * panel.n_periods + panel.time[treated]
    keys, cell = np.unique(key, return_inverse=True)
    cells = [Cell(int(k // panel.n_periods), int(k % panel.n_periods), -1) for k in keys]
    if not cells or on.all():
        raise CausalDataError("no treated row belongs to a unit with untreated rows, so that nothing can be imputed")
    imputed = impute(rows.take(~on), rows.take(treated), cell, len(cells), leave_out=leave_out)
    keep = np.flatnonzero(imputed.reached)
    if not any(cells[k].time >= cells[k].cohort for k in keep):
        message = "no period from treatment on has untreated rows, so that no treated outcome can be imputed"
        remedy = "include never-treated units, or periods before the last cohort starts"
        raise CausalDataError([Problem(panel.names.get("cohort", "cohort"), message, None, remedy)])
    if len(keep) < len(cells):
        first = cells[int(np.flatnonzero(~imputed.reached)[0])]
        notes.append(
            f"{len(cells) - len(keep):,} cells have no untreated rows in their period to be imputed from and were left"
            f" out ({cell_text(panel, first)})"
        )
    shown = imputed.reached[cell]
    y = panel.y[treated][shown]
    table = pd.DataFrame(
        {"outcome": y, "imputed": y - imputed.excess[shown], "effect": imputed.excess[shown]},
        index=panel.row_labels[treated][shown],
    )
    return _Imputed(
        cells=[cells[k] for k in keep],
        effects=imputed.effects[keep],
        contributions=imputed.contributions[:, keep],
        n_treated=np.bincount(cell, minlength=len(cells))[keep],
        n_untreated=np.bincount(panel.time[~on], minlength=panel.n_periods)[[cells[k].time for k in keep]],
        mass=np.asarray(np.bincount(cell, rows.weight[treated], len(cells))[keep], dtype=np.float64),
        table=table,
        notes=notes,
    )
