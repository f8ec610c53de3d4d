"""Stacked difference in differences: one clean experiment for every cohort (Cengiz et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from pandas_causal.difference_in_differences.cells import (
    UNTESTED,
    cell_index,
    cell_uncertainty,
    four_averages,
    panel_checks,
    panel_facts,
    reference_cells,
    regression_component,
    require_unit,
    share_weights,
    treated_units,
)
from pandas_causal.difference_in_differences.doubly_robust import compare_changes
from pandas_causal.difference_in_differences.group_time import Cell, GroupTime, Shares
from pandas_causal.difference_in_differences.pre_trends import trend_checks
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inference.influence import Influence
from pandas_causal.inputs.parameters import (
    ANTICIPATION,
    Legal,
    at_least,
    one_of,
)
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats, Positions
from pandas_causal.panels.panel import Panel
from pandas_causal.panels.reading import read_panel

__all__ = ["StackedDiD"]


class StackedDiD(CausalEstimator):
    """Effects around treatment, each cohort compared with clean controls within one window.

    Around every cohort's treatment a window of `pre_periods` before and `post_periods` from treatment on (besides its
    first period) is cut out; its controls are units untreated throughout the window. Within such a stack the effect in
    an event time is the change since the period before treatment less that of the controls; stacks are averaged at
    weights that are the same in every event time, so that the profile never changes its cohorts.

    It rests on parallel trends of each cohort and its controls, no anticipation, and treatment that stays on. It
    speaks of the cohorts whose whole window is seen; others are left out and named.

    Parameters
    ----------
    pre_periods : int
        Periods before treatment in the window, 1 or more; the last of them is the reference.
    post_periods : int
        Periods after the first treated one in the window, 0 or more.
    weighting : {"treated", "variance"}
        Weights of the stacks. "treated": their treated units, the effect on the average treated unit (Wing, Freedman
        and Hollingsworth 2024, whose corrective weights make the stacked regression give this). "variance":
        ``N1 N0 / (N1 + N0)``, what the stacked regression with unit by stack and period by stack effects gives
        (Cengiz et al. 2019).
    control_group : {"not_yet_treated", "never_treated"}
    anticipation : int
        Periods before treatment in which units may react already; window and reference move back by as many.
    level : float

    Attributes
    ----------
    effect_ : Effect
        One row per stack and period, index levels cohort, time, event.
    stacks_ : DataFrame
        Treated and control units and the weight of every stack.

    Notes
    -----
    A unit belongs to a stack if it is seen in the whole window, so that stacks are balanced; and to as many stacks as
    it is a clean control in. Contributions are summed by unit, and standard errors clustered by unit or by `cluster`
    (whole units): G / (G - 1) (n - 1) / (n - p) with n rows of the stacked data and p event times and periods by
    stack, Student's t with G - 1, as fixest has it for the stacked regression. Weights of the stacks are estimates and
    enter the errors, which with "variance" are those of the stacked regression. Sample weights are those of the
    reference period. Covariates are not taken; adjust with :class:`CallawaySantAnna` or :class:`ImputationDiD`.

    References
    ----------
    Cengiz, Dube, Lindner and Zipperer (2019), "The effect of minimum wages on low-wage jobs", Quarterly Journal of
    Economics 134; Wing, Freedman and Hollingsworth (2024), "Stacked difference-in-differences", NBER
    Working Paper 32054.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "control_group": one_of("not_yet_treated", "never_treated"),
        "weighting": one_of("treated", "variance"),
        "anticipation": ANTICIPATION,
        "pre_periods": at_least(1),
        "post_periods": at_least(0, "periods"),
    }

    bootstrap_refusal = (
        "a bootstrap of the rows tears units apart; effect.interval(simultaneous=True) draws from the contributions of"
        " whole units"
    )

    def __init__(
        self,
        *,
        pre_periods: int = 1,
        post_periods: int = 1,
        weighting: str = "treated",
        control_group: str = "not_yet_treated",
        anticipation: int = 0,
        level: float = 0.95,
    ) -> None:
        self.pre_periods = pre_periods
        self.post_periods = post_periods
        self.weighting = weighting
        self.control_group = control_group
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
        X : DataFrame or None
            Roles given by name; covariates are refused.
        y : array-like (n,)
            Outcome.
        time, unit : str or array-like (n,)
        cohort : str or array-like (n,)
            First treated period, coded as the time is; NaN, 0 or inf if never. Or give
        treatment : str or array-like (n,)
            0/1 row by row, which stays on.
        cluster : str or array-like (n,), or a list of up to four, optional
            Clusters of whole units; units by default.
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            See :func:`read_panel`; no cohort whose window is seen with clean controls.
        """
        require_unit(self, unit)
        panel = read_panel(
            self, X, y, time=time, unit=unit, cohort=cohort, treatment=treatment, cluster=cluster,
            sample_weight=sample_weight, missing=missing, anticipation=self.anticipation,
        )  # fmt: skip
        if panel.covariates:
            raise CausalArgumentError(
                f"StackedDiD takes no covariates, got {panel.covariates[:5]}; adjust with CallawaySantAnna or"
                " ImputationDiD"
            )
        stacks, notes = self._stacks(panel)
        self.stacks_ = _describe(panel, stacks)
        self.effect_ = self._arrange(panel, stacks, notes)
        return self

    # -- private -----------------------------------------------------------------------------------------------------

    def _stacks(self, panel: Panel) -> tuple[list[_Stack], list[str]]:
        """Every cohort whose window is seen, with clean controls seen throughout it."""
        wide = panel.wide()
        seen = ~np.isnan(wide)
        weight = None if panel.weight is None else panel.wide(panel.weight)
        stacks, outside, alone, gaps = [], [], [], 0
        for g in panel.treated_cohorts.tolist():
            low, high = g - self.anticipation - self.pre_periods, g + self.post_periods
            if low < 0 or high >= panel.n_periods:
                outside.append(g)
                continue
            whole = seen[:, low : high + 1].all(axis=1)
            clean = panel.cohort - self.anticipation > high
            if self.control_group == "never_treated":
                clean &= panel.never
            treated, control = panel.cohort == g, clean
            gaps += int(((treated | control) & ~whole).sum())
            at = np.concatenate([np.flatnonzero(treated & whole), np.flatnonzero(control & whole)])
            n1 = int((treated & whole).sum())
            if not 0 < n1 < len(at):
                alone.append(g)
                continue
            base = g - 1 - self.anticipation
            w = None if weight is None else weight[at, base]
            stacks.append(_Stack.of(wide[at], at, n1, Cell(g, base, base), range(low, high + 1), w, self.weighting))
        return stacks, self._left_out(panel, stacks, outside, alone, gaps)

    def _left_out(
        self, panel: Panel, stacks: list[_Stack], outside: list[int], alone: list[int], gaps: int
    ) -> list[str]:
        """What the stacks do without; an error where nothing is left."""
        window = f"{self.pre_periods + self.anticipation} periods before and {self.post_periods} after"
        notes = []
        if outside:
            names = ", ".join(str(panel.periods[g]) for g in outside[:5])
            notes.append(f"{len(outside):,} cohorts whose window ({window}) is not seen were left out ({names})")
        if alone:
            names = ", ".join(str(panel.periods[g]) for g in alone[:5])
            notes.append(f"{len(alone):,} cohorts without clean controls in their window were left out ({names})")
        if gaps:
            notes.append(f"{gaps:,} units were left out of a stack because they lack periods of its window")
        if not stacks:
            message = f"no cohort has its window of {window} within the periods seen, and clean controls"
            remedy = f"narrow pre_periods= or post_periods= ({'; '.join(notes)})"
            raise CausalDataError([Problem(panel.names.get("cohort", "cohort"), message, None, remedy)])
        return notes

    def _arrange(self, panel: Panel, stacks: list[_Stack], notes: list[str]) -> Effect:
        """Cells of all stacks as one Effect."""
        group_time = _joined(panel, stacks)
        cells = group_time.cells
        index = cell_index(panel, cells)
        u, clustering = self._uncertainty(panel, stacks, group_time, index)
        values = pd.Series(group_time.att, index=index, name="estimate")
        rows = Estimates(values, u, reference_rows=reference_cells(cells))
        weights = share_weights(rows, cells, group_time.shares)
        effect = Effect(
            rows=replace(rows, weightings=four_averages(panel, cells, weights)),
            estimand=f"effect on the treated of {panel.names['outcome']}, by cohort and {panel.axis.name}",
            n_obs=sum(len(s.at) * len(s.cells) for s in stacks),
            level=self.level,
            assumptions=(
                f"parallel trends of each cohort and its clean controls{UNTESTED}",
                "no anticipation: outcomes do not react before the window's reference period",
                "no interference between units, and treatment stays on",
            ),
            warnings=(*panel.notes, *notes),
            std_error_method=f"stacked comparisons, {clustering}",
            population=f"treated units of {len(stacks)} cohorts whose window is seen",
            facts={
                **panel_facts(panel), "anticipation": self.anticipation, "n_stacks": len(stacks),
                "weighting": self.weighting, "control_group": self.control_group,
            },
        ).explained()  # fmt: skip
        diagnostics = {
            **trend_checks(effect, self.anticipation),
            "stacks": Check(None, self.stacks_, f"{len(stacks)} stacks"),
            **panel_checks(panel),
        }
        return replace(effect, diagnostics=Checks(diagnostics))

    def _uncertainty(
        self, panel: Panel, stacks: list[_Stack], group_time: GroupTime, index: pd.MultiIndex
    ) -> tuple[Influence, str]:
        """Contributions of units, summed over the stacks they are in; clustered."""
        K, S = len(group_time.cells), len(group_time.shares)
        u = cell_uncertainty(panel, group_time, index)
        u = replace(u, treated=treated_units(panel, group_time.counts, n_shares=S), factor_p=1)
        ways = panel.unit_clusters()
        if len(ways) > 1:
            u = replace(u, clusters=ways).cluster(tuple(ways.values()))
            return u, f"clustered by {' and '.join(ways)} (CR1)"
        labels = tuple(ways.values())
        n_rows = sum(len(s.at) * len(s.cells) for s in stacks)
        width = len(stacks[0].cells)
        used = np.zeros(panel.n_units, dtype=bool)
        for stack in stacks:
            used[stack.at] = True
        every = np.ones(K + S, dtype=bool)
        p = width - 1 + width * len(stacks)
        component = regression_component(group_time.contributions[used], [x[used] for x in labels], n_rows, p, every)
        treated = u.treated
        if labels and treated is not None:
            treated = treated.clustered(labels)
        u = replace(u, components=(component,), clusters=ways, clustering=labels or None, treated=treated)
        return u, f"clustered by {next(iter(ways), panel.units.labels.name)} (CR1)"


@dataclass(frozen=True, eq=False)
class _Stack:
    """One cohort and its clean controls.

    Attributes
    ----------
    cells : list of Cell (W,)
    at : ndarray (m,)
        Units, treated ones first.
    n_treated : int
    att : ndarray (W,)
    contributions : ndarray (m, W)
    shares : ndarray (m,)
        What every unit adds to the weight of the stack.
    """

    cells: list[Cell]
    at: Positions
    n_treated: int
    att: Floats
    contributions: Floats
    shares: Floats

    @property
    def weight(self) -> float:
        """Weight of the stack in averages."""
        return float(self.shares.sum())

    @classmethod
    def of(
        cls, y: Floats, at: Positions, n1: int, base: Cell, window: range, w: Floats | None, weighting: str
    ) -> _Stack:
        """Compare changes since the reference period."""
        cells = [Cell(base.cohort, t, base.base) for t in window]
        treated = np.arange(len(at)) < n1
        scores = compare_changes(y[:, list(window)] - y[:, [base.base]], treated, None, w)
        weight = np.ones(len(at)) if w is None else w
        part = weight[treated].sum() / weight.sum()
        # derivatives of N1 and of N1 N0 / (N1 + N0) in a treated and in a control unit
        slopes = {"treated": (1.0, 0.0), "variance": ((1 - part) ** 2, part**2)}[weighting]
        return cls(cells, at, n1, scores.att, scores.contributions, weight * np.where(treated, *slopes))


def _joined(panel: Panel, stacks: list[_Stack]) -> GroupTime:
    """Cells of all stacks with their contributions; a unit adds to the weights of the stacks that it is in."""
    added = np.zeros((panel.n_units, len(stacks)))
    for j, stack in enumerate(stacks):
        added[stack.at, j] = stack.shares
    values = added.mean(axis=0)
    cohorts = np.array([stack.cells[0].cohort for stack in stacks])
    shares = Shares(cohorts, values, (added - values) / panel.n_units)
    group_time = GroupTime.of(panel, [cell for stack in stacks for cell in stack.cells], shares, [])
    start = 0
    for stack in stacks:
        columns = slice(start, start + len(stack.cells))
        group_time.att[columns] = stack.att
        group_time.contributions[stack.at, columns] = stack.contributions
        group_time.n_treated[columns] = [0 if c.is_reference else stack.n_treated for c in stack.cells]
        group_time.n_control[columns] = len(stack.at) - stack.n_treated
        start = columns.stop
    return group_time


def _describe(panel: Panel, stacks: list[_Stack]) -> pd.DataFrame:
    """Sizes and weights of the stacks."""
    weight = np.array([s.weight for s in stacks])
    columns = {
        "n_treated": [s.n_treated for s in stacks],
        "n_control": [len(s.at) - s.n_treated for s in stacks],
        "weight": weight / weight.sum(),
    }
    return pd.DataFrame(columns, index=panel.periods[[s.cells[0].cohort for s in stacks]].rename("cohort"))
