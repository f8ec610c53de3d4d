"""Group-time average effects of a treatment that starts at different times (Callaway and Sant'Anna 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import clone

from pandas_causal.difference_in_differences.cells import (
    cell_index,
    cell_uncertainty,
    cohort_shares,
    four_averages,
    panel_checks,
    panel_facts,
    reference_cells,
    share_weights,
    treated_units,
)
from pandas_causal.difference_in_differences.checks import cell_overlap
from pandas_causal.difference_in_differences.doubly_robust import METHODS
from pandas_causal.difference_in_differences.group_time import CellSettings, GroupTime, estimate_cells
from pandas_causal.difference_in_differences.pre_trends import trend_checks
from pandas_causal.effect.check import Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, OverlapWarning, warn
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inputs.parameters import ANTICIPATION, Legal, one_of
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.panels.panel import Panel
from pandas_causal.panels.reading import read_panel

__all__ = ["CallawaySantAnna"]


class CallawaySantAnna(CausalEstimator):
    r"""Effect on every cohort in every period, each from its own comparison with untreated units.

    For the units first treated in period g (a cohort) and a period t from then on,

    .. math:: ATT(g, t) = E[Y_t(g) - Y_t(\infty) \mid G = g]

    is the change of their outcome since g - 1 less the change of units that are still untreated. No treated unit ever
    serves as a control, which is what biases two-way fixed effects where effects differ. Averages over cells are linear
    maps of these, at estimated cohort shares: ``effect.aggregate("simple" | "event" | "cohort" | "calendar")``; all but
    the first carry the average ``overall``: ``effect.aggregate("event").aggregate("overall")`` (events from 0 on;
    cohorts by their shares; periods alike).

    It rests on parallel trends (given covariates, if any): without treatment each cohort would have changed as its
    comparison units did; on no anticipation; and on treatment that stays on.

    Parameters
    ----------
    method : {"dr", "dr_improved", "ipw", "regression"}
        How covariates enter. "dr": logistic propensity by maximum likelihood and least squares, right if either is
        (R's did and DRDID call it "dr" and "trad"); "dr_improved": propensity by calibration, weighted least squares
        (DRDID's "imp"; not for cross-sections); "ipw": weighting alone, weights summing to one; "regression": the
        outcome model alone. Without covariates all are the difference of mean changes.
    control_group : {"never_treated", "not_yet_treated"}
        Units compared with: those never treated, or all that are untreated in both periods (and for `anticipation`
        more).
    base_period : {"varying", "universal"}
        What periods before treatment are compared with: each with the one before it, or all with g - 1, the reference
        row. From treatment on both are g - 1. Pictures of event times compare all with g - 1 whichever is chosen.
    anticipation : int
        Periods before treatment in which units may react already; base periods move back by as many.
    unbalanced : {"pairs", "rows", "balance"}
        Units that lack periods: "pairs" uses the units seen in both periods of each comparison; "rows" compares means
        of all rows (R's ``allow_unbalanced_panel=TRUE``); "balance" leaves incomplete units out (R's default).
    level : float

    Attributes
    ----------
    effect_ : Effect
        One row per cell; index levels cohort, time, event.
    cells_ : DataFrame
        Base period and units compared, one row per cell.

    Notes
    -----
    Standard errors come from influence functions, one contribution per unit, without a small-sample factor, under the
    normal law; clusters given to ``fit`` must hold whole units, and bring G / (G - 1) and Student's t with G - 1.
    A cohort of one unit has no standard error (NaN, with a warning). Covariates and weights of a comparison are those
    of its earlier period. Propensities of untreated units beyond 0.995 are trimmed, with a count.

    Without ``unit=`` rows are repeated cross-sections: contributions are one per row, and the composition of the
    cohorts must not change over time (see ``diagnostics["composition"]``).

    References
    ----------
    Callaway and Sant'Anna (2021), "Difference-in-differences with multiple time periods", Journal of Econometrics 225,
    Theorems 1 to 3, eq. (3.2) to (3.11) for the averages; Sant'Anna and Zhao (2020), "Doubly robust
    difference-in-differences estimators", Journal of Econometrics 219.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "method": one_of(*METHODS),
        "control_group": one_of("never_treated", "not_yet_treated"),
        "base_period": one_of("varying", "universal"),
        "unbalanced": one_of("pairs", "rows", "balance"),
        "anticipation": ANTICIPATION,
    }

    bootstrap_refusal = (
        "a bootstrap of the rows tears units apart; effect.interval(simultaneous=True) draws from the contributions of"
        " whole units, which is the multiplier bootstrap of Callaway and Sant'Anna"
    )

    def __init__(
        self,
        *,
        method: str = "dr",
        control_group: str = "never_treated",
        base_period: str = "varying",
        anticipation: int = 0,
        unbalanced: str = "pairs",
        level: float = 0.95,
    ) -> None:
        self.method = method
        self.control_group = control_group
        self.base_period = base_period
        self.anticipation = anticipation
        self.unbalanced = unbalanced
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
            Covariates, and any roles given by name. Missing covariates are imputed with indicators, and counted.
        y : array-like (n,)
            Outcome.
        time : str or array-like (n,)
            Period: numbers, dates, pandas periods or labels in sorted order.
        unit : str or array-like (n,), optional
            Without it rows are repeated cross-sections.
        cohort : str or array-like (n,)
            Period in which the unit is first treated, coded as the time is; NaN, 0 or inf if never. Or give
        treatment : str or array-like (n,)
            0/1 row by row, which stays on.
        cluster : str or array-like (n,), or a list of up to four, optional
            Clusters of whole units.
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}
            Rows without outcome or another role; a missing cohort means never treated.

        Raises
        ------
        CausalDataError
            See :func:`read_panel`; no never-treated unit with ``control_group="never_treated"``.
        OverlapError
            Covariates that separate a cohort from its comparison units.
        """
        panel = read_panel(
            self, X, y, time=time, unit=unit, cohort=cohort, treatment=treatment, cluster=cluster,
            sample_weight=sample_weight, missing=missing, anticipation=self.anticipation,
        )  # fmt: skip
        if self.control_group == "never_treated":
            panel.require_never_treated()
        panel = self._balance(panel)
        group_time = self._cells(panel, self.base_period)
        self.cells_ = _describe(panel, group_time)
        effect = self._arrange(panel, group_time, self.base_period)
        twin = None if self.base_period == "universal" else partial(_from_one_base, clone(self), panel)
        self.effect_ = replace(effect, pictured=twin)
        return self

    # -- private -----------------------------------------------------------------------------------------------------

    def _cells(self, panel: Panel, base_period: str) -> GroupTime:
        by_rows = not panel.is_panel or (not panel.balanced and self.unbalanced == "rows")
        if by_rows and self.method == "dr_improved":
            raise CausalArgumentError("method='dr_improved' compares changes of units; for rows use 'dr'")
        settings = CellSettings(
            control_group=self.control_group, base_period=base_period, anticipation=self.anticipation,
            method=self.method, by_rows=by_rows,
        )  # fmt: skip
        return estimate_cells(panel, settings, cohort_shares(panel, panel.treated_cohorts))

    def _balance(self, panel: Panel) -> Panel:
        """Leave out units that lack periods, where asked."""
        if not panel.is_panel or panel.balanced or self.unbalanced != "balance":
            return panel
        whole = np.bincount(panel.unit, minlength=panel.n_units) == panel.n_periods
        text = f"{int((~whole).sum()):,} units that lack periods were left out (unbalanced='balance')"
        if not whole.any():
            raise CausalArgumentError("no unit is seen in every period; use unbalanced='pairs' or 'rows'")
        kept = panel.take_units(whole, text)
        if self.control_group == "never_treated":
            kept.require_never_treated()
        return kept

    def _arrange(self, panel: Panel, group_time: GroupTime, base_period: str) -> Effect:
        """Cells and cohort shares as parameters of one Effect."""
        index = cell_index(panel, group_time.cells)
        u = cell_uncertainty(panel, group_time, index)
        only = self.control_group == "never_treated"
        treated = treated_units(panel, group_time.counts, n_shares=len(group_time.shares), untreated_only=only)
        u = replace(u, treated=treated, factor_p=1)
        method = f"influence function, one row per {panel.units.labels.name or 'row'}"
        if panel.clusters:
            ways = panel.unit_clusters()
            u = replace(u, clusters=ways).cluster(tuple(ways.values()))
            method += f", clustered by {' and '.join(ways)} (CR1)"
        overlap = cell_overlap(panel, group_time) if group_time.overlap else {}
        warned = [*panel.notes, *_left_out(panel, group_time), *self._weak(group_time, overlap)]
        values = pd.Series(group_time.att, index=index, name="estimate")
        rows = Estimates(values, u, reference_rows=reference_cells(group_time.cells))
        weights = share_weights(rows, group_time.cells, group_time.shares)
        effect = Effect(
            rows=replace(rows, weightings=four_averages(panel, group_time.cells, weights)),
            estimand=f"effect on the treated of {panel.names['outcome']}, by cohort and {panel.axis.name}",
            n_obs=len(panel),
            level=self.level,
            assumptions=self._assumptions(panel),
            warnings=tuple(warned),
            std_error_method=method,
            population="units treated within the periods seen" if panel.is_panel else "rows of treated cohorts",
            facts={**self._facts(panel, group_time), "base_period": base_period},
        ).explained()
        return replace(effect, diagnostics=Checks(self._diagnostics(panel, effect, overlap)))

    def _diagnostics(self, panel: Panel, effect: Effect, overlap: dict[str, Any]) -> dict[str, Any]:
        return {**trend_checks(effect, self.anticipation), **panel_checks(panel), **overlap}

    def _weak(self, group_time: GroupTime, overlap: dict[str, Any]) -> list[str]:
        """Say what was trimmed, and warn of weak overlap."""
        out = []
        trimmed = sum(n for _, n, _ in group_time.overlap)
        if trimmed:
            out.append(f"{trimmed:,} untreated units with a propensity beyond 0.995 were trimmed, over all comparisons")
        if overlap and overlap["overlap"].passed is False:
            text = f"weak overlap: {overlap['overlap'].summary}; method='regression' does not weight, it extrapolates"
            warn(text, OverlapWarning)
            out.append(text)
        return out

    def _assumptions(self, panel: Panel) -> tuple[str, ...]:
        controls = "never-treated units" if self.control_group == "never_treated" else "units not treated yet"
        conditional = ", given the covariates" if panel.covariates else ""
        early = f" more than {self.anticipation} periods" if self.anticipation else ""
        parallel = f"parallel trends{conditional}: untreated, each cohort would have changed as {controls} did"
        out = [
            f"{parallel} (cannot be tested from treatment on; before it: diagnostics['pre_trends'])",
            f"no anticipation: outcomes do not react{early} before treatment starts",
            "no interference between units, and treatment stays on",
        ]
        if panel.covariates:
            out.append("overlap: every kind of treated unit has untreated ones like it (checked)")
        if not panel.is_panel:
            out.append("cross-sections: the make-up of each cohort does not change over time (see composition)")
        return tuple(out)

    def _facts(self, panel: Panel, group_time: GroupTime) -> dict[str, Any]:
        return {
            **panel_facts(panel),
            "control_group": self.control_group,
            "anticipation": self.anticipation,
            "method": self.method,
            "cells_left_out": len(group_time.left_out),
        }


def _from_one_base(estimator: CallawaySantAnna, panel: Panel) -> Effect:
    """The study with every period compared with the last one before treatment, as pictures of event times want it."""
    return estimator._arrange(panel, estimator._cells(panel, "universal"), "universal")


def _describe(panel: Panel, group_time: GroupTime) -> pd.DataFrame:
    index = cell_index(panel, group_time.cells)
    base = panel.periods[[c.base for c in group_time.cells]]
    counts = {"base": base, "n_treated": group_time.n_treated, "n_control": group_time.n_control}
    return pd.DataFrame(counts, index=index)


def _left_out(panel: Panel, group_time: GroupTime) -> list[str]:
    if not group_time.left_out:
        return []
    first = group_time.left_out[0]
    example = f"cohort {panel.periods[first.cohort]} in {panel.periods[first.time]}"
    return [f"{len(group_time.left_out):,} cells have no untreated units to compare with and were left out ({example})"]
