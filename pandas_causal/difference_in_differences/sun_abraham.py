"""Interaction-weighted event study of a staggered treatment (Sun and Abraham 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from pandas_causal.difference_in_differences.cells import (
    UNTESTED,
    cell_index,
    cell_text,
    cell_uncertainty,
    cohort_shares,
    four_averages,
    panel_checks,
    panel_facts,
    panel_rows,
    reference_cells,
    regression_component,
    require_unit,
    share_weights,
    treated_units,
    without_singletons,
)
from pandas_causal.difference_in_differences.cohort_regression import Saturated, cohort_period_regression
from pandas_causal.difference_in_differences.group_time import Cell, GroupTime
from pandas_causal.difference_in_differences.pre_trends import trend_checks
from pandas_causal.effect.check import Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalDataError, Problem
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inference.influence import Influence
from pandas_causal.inputs.parameters import ANTICIPATION, Legal
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Positions
from pandas_causal.panels.panel import Panel
from pandas_causal.panels.reading import read_panel

__all__ = ["SunAbraham"]


class SunAbraham(CausalEstimator):
    """Effects by cohort and period from one regression, averaged by event time at cohort shares.

    The outcome is regressed on unit and period effects and an indicator of every cohort in every period but the one
    before treatment (the reference row). Each coefficient is the effect on one cohort; in the usual event-study
    regression, with one coefficient per event time, effects of other event times and cohorts leak into each. Averages
    over cohorts use the cohorts' shares, whose own estimation enters the standard errors.

    It rests on parallel trends of all cohorts in all periods, on no anticipation, and on treatment that stays on.
    The comparison group is the never treated; where there are none, the cohort treated last, its periods from
    treatment on left out.

    Parameters
    ----------
    anticipation : int
        Periods before treatment in which units may react already: the reference moves back by as many.
    level : float

    Attributes
    ----------
    effect_ : Effect
        One row per cell, index levels cohort, time, event; period -1 (less the anticipation) is the reference.

    Notes
    -----
    Standard errors are clustered by unit, or by `cluster` (whole units): G / (G - 1) (n - 1) / (n - p) with n rows, p
    all coefficients and period effects (unit effects are nested in the clusters and count one), Student's t with
    G - 1: the conventions of fixest and pyfixest. Without covariates and with a balanced panel the cells equal those
    of ``CallawaySantAnna(base_period="universal")``; with unbalanced ones the regression uses all rows.
    Units with a single row are left out and counted.

    References
    ----------
    Sun and Abraham (2021), "Estimating dynamic treatment effects in event studies with heterogeneous treatment
    effects", Journal of Econometrics 225, section 4.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "anticipation": ANTICIPATION,
    }

    bootstrap_refusal = (
        "a bootstrap of the rows tears units apart; effect.interval(simultaneous=True) draws from the contributions of"
        " whole units"
    )

    def __init__(self, *, anticipation: int = 0, level: float = 0.95) -> None:
        self.anticipation = anticipation
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
        cluster : str or array-like (n,), optional
            Clusters of whole units; units by default.
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            See :func:`read_panel`; one cohort only and nobody never treated.
        """
        require_unit(self, unit)
        panel = read_panel(
            self, X, y, time=time, unit=unit, cohort=cohort, treatment=treatment, cluster=cluster,
            sample_weight=sample_weight, missing=missing, anticipation=self.anticipation,
        )  # fmt: skip
        panel = without_singletons(_comparable(panel, self.anticipation))
        cells = [
            Cell(int(g), t, int(g) - 1 - self.anticipation)
            for g in panel.treated_cohorts
            for t in range(panel.n_periods)
            if g - 1 - self.anticipation >= 0
        ]
        cells = _seen(panel, cells)
        free = [k for k, c in enumerate(cells) if not c.is_reference]
        fitted = cohort_period_regression(
            panel_rows(panel), panel.cohort, [(cells[k].cohort, cells[k].time) for k in free]
        )
        group_time = _cells(panel, cells, np.array(free, dtype=np.intp), fitted)
        self.effect_ = self._arrange(panel, group_time, fitted)
        return self

    # -- private -----------------------------------------------------------------------------------------------------

    def _arrange(self, panel: Panel, group_time: GroupTime, fitted: Saturated) -> Effect:
        """Cells and cohort shares as parameters of one Effect."""
        index = cell_index(panel, group_time.cells)
        u = cell_uncertainty(panel, group_time, index)
        n_shares = len(group_time.shares)
        u = replace(u, treated=treated_units(panel, group_time.counts, n_shares=n_shares), factor_p=1)
        u, clustering = _clustered(panel, u, n_shares, fitted.n_parameters)
        early = f" more than {self.anticipation} periods" if self.anticipation else ""
        conditional = ", given the covariates" if panel.covariates else ""
        notes = list(panel.notes)
        if group_time.left_out:
            text = f"{len(group_time.left_out):,} cells have no rows to be compared with and were left out"
            notes.append(f"{text} ({cell_text(panel, group_time.left_out[0])})")
        values = pd.Series(group_time.att, index=index, name="estimate")
        rows = Estimates(values, u, reference_rows=reference_cells(group_time.cells))
        weights = share_weights(rows, group_time.cells, group_time.shares)
        effect = Effect(
            rows=replace(rows, weightings=four_averages(panel, group_time.cells, weights)),
            estimand=f"effect on the treated of {panel.names['outcome']}, by cohort and {panel.axis.name}",
            n_obs=len(panel),
            level=self.level,
            assumptions=(
                f"parallel trends of all cohorts in all periods{conditional}{UNTESTED}",
                f"no anticipation: outcomes do not react{early} before treatment starts",
                "no interference between units, and treatment stays on",
            ),
            warnings=tuple(notes),
            std_error_method=f"least squares on cohort and period cells, {clustering}",
            population="units treated within the periods seen",
            facts={
                **panel_facts(panel),
                "anticipation": self.anticipation,
                "cells_left_out": len(group_time.left_out),
            },
        ).explained()
        diagnostics = {**trend_checks(effect, self.anticipation), **panel_checks(panel)}
        return replace(effect, diagnostics=Checks(diagnostics))


def _comparable(panel: Panel, anticipation: int) -> Panel:
    """Without never-treated units the last cohort serves, its periods from treatment (and anticipation) on left out."""
    panel = _without_late(panel, anticipation)
    if panel.never.any():
        return panel
    cohorts = panel.treated_cohorts
    if len(cohorts) < 2:
        panel.require_never_treated()
    g = int(cohorts[-1])
    stop = g - anticipation
    if stop < 2 or not (cohorts[:-1] < stop).any():
        message = (
            "there is no never-treated unit, and no period in which the last cohort is untreated and another treated"
        )
        raise CausalDataError(
            [Problem(panel.names.get("cohort", "cohort"), message, None, "include never-treated units")]
        )
    rows = panel.time < stop
    text = (
        f"there is no never-treated unit: the cohort of {panel.periods[g]}, treated last, serves as the comparison, and"
        f" {int((~rows).sum()):,} rows from {panel.periods[stop]} on were left out"
    )
    return _without_late(panel.until(stop, text), anticipation)


def _without_late(panel: Panel, anticipation: int) -> Panel:
    """Leave out units that may react within the periods seen to a treatment after them."""
    late = panel.never & (panel.cohort - anticipation < panel.n_periods)
    if not late.any():
        return panel
    return panel.take_units(~late, f"{int(late.sum()):,} units that may anticipate a later treatment were left out")


def _seen(panel: Panel, cells: list[Cell]) -> list[Cell]:
    """Cells that have rows, of cohorts that are seen in their reference period."""
    T = panel.n_periods
    inside = panel.cohort[panel.unit] < T
    present = set(np.unique(panel.cohort[panel.unit][inside] * T + panel.time[inside]).tolist())
    return [c for c in cells if c.cohort * T + c.time in present and c.cohort * T + c.base in present]


def _cells(panel: Panel, cells: list[Cell], free: Positions, fitted: Saturated) -> GroupTime:
    """Coefficients that the regression determines, and the reference cells."""
    known = np.ones(len(cells), dtype=bool)
    known[free[~fitted.reached]] = False
    alive = {c.cohort for c, ok in zip(cells, known, strict=True) if ok and c.time >= c.cohort}
    keep = np.array([ok and c.cohort in alive for c, ok in zip(cells, known, strict=True)])
    if not keep.any():
        raise CausalDataError("no cell from treatment on has rows to be compared with; include never-treated units")
    left_out = [c for c, ok in zip(cells, keep, strict=True) if not ok]
    coefficient = np.full(len(cells), -1)  # position of a cell among the coefficients; reference cells have none
    coefficient[free] = np.arange(len(free))
    rows = np.bincount(
        np.minimum(panel.cohort[panel.unit], panel.n_periods) * panel.n_periods + panel.time,
        minlength=(panel.n_periods + 1) * panel.n_periods,
    ).reshape(-1, panel.n_periods)
    kept = np.flatnonzero(keep)
    shares = cohort_shares(panel, panel.treated_cohorts)
    group_time = GroupTime.of(panel, [cells[k] for k in kept], shares, left_out)
    cohort, time, base = np.array(group_time.cells).T
    estimated = np.flatnonzero(coefficient[kept] >= 0)
    own = coefficient[kept][estimated]
    group_time.att[estimated] = fitted.effects[own]
    group_time.contributions[:, estimated] = fitted.contributions[:, own]
    group_time.n_control[:] = rows[-1, time]
    group_time.n_treated[:] = np.where(time == base, 0, np.minimum(rows[cohort, time], rows[cohort, base]))
    return group_time


def _clustered(panel: Panel, u: Influence, n_shares: int, n_parameters: int) -> tuple[Influence, str]:
    """Cluster by unit, or by the labels given, with the factor of a regression on the panel's rows."""
    ways = panel.unit_clusters()
    if len(ways) > 1:
        u = replace(u, clusters=ways).cluster(tuple(ways.values()))
        return u, f"clustered by {' and '.join(ways)} (CR1)"
    labels = tuple(ways.values())
    coefficients = np.arange(len(u.values)) < len(u.values) - n_shares
    assert u.contributions is not None  # noqa: S101 - built with them
    p = n_parameters + len(np.unique(panel.time))  # unit effects lie within the clusters and count one, periods T - 1
    component = regression_component(u.contributions, labels, len(panel), p, coefficients)
    treated = u.treated
    if labels and treated is not None:
        treated = treated.clustered(labels)
    u = replace(u, components=(component,), clusters=ways, clustering=labels or None, treated=treated)
    return u, f"clustered by {next(iter(ways), panel.units.labels.name)} (CR1)"
