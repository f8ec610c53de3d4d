"""Triple difference: the difference in differences of those eligible less that of those who are not."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from pandas_causal.difference_in_differences.cells import panel_facts
from pandas_causal.difference_in_differences.doubly_robust import (
    compare_changes,
    compare_rows,
    propensity,
    separating_column,
)
from pandas_causal.difference_in_differences.group_means import group_means
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, CausalDataError, OverlapError, Problem
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inference.few_treated import Treated
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inputs.parameters import Legal, one_of
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Bools, Floats, Ints
from pandas_causal.models.linear import StandardisedMatrix
from pandas_causal.panels.first_treatment import two_levels
from pandas_causal.panels.panel import Panel
from pandas_causal.panels.periods import NEVER
from pandas_causal.panels.reading import read_panel

__all__ = ["TripleDifference"]

_ATT = pd.Index(["ATT"], name="estimand")
_UNTESTED = "cannot be tested after treatment"
_GROUPS = ("untreated group, ineligible", "untreated group, eligible", "treated group, ineligible", "treated, eligible")


class TripleDifference(CausalEstimator):
    r"""Effect on those eligible in the treated group: one difference in differences less another.

    A policy reaches the eligible (`partition`) of one group from some period on. The difference in differences of the
    eligible, treated against untreated group, is biased if the groups' trends differ; that of the ineligible shows by
    how much, and is subtracted.

    It rests on this bias being the same for the eligible and the ineligible (Olden and Moen 2022): neither difference
    in differences needs parallel trends by itself. And on no anticipation, and no effect on the ineligible.

    Parameters
    ----------
    post : period, or list of periods
        First treated period of the group, coded as the time is (or all treated periods).
    method : {"dr", "ipw", "regression"}
        How covariates enter: the eligible of the treated group are compared with each of the three other groups, each
        time given the covariates, doubly robust, by weighting or by regression, ``DiD(vs ineligible) + DiD(vs
        untreated group) - DiD(vs both)``. Covariates that only enter a regression with all interactions do not
        identify the effect where their distribution differs between groups (Ortiz-Villavicencio and Sant'Anna 2025).
        Without covariates all are the same contrast of means, the three-way interaction of the regression.
    level : float

    Attributes
    ----------
    effect_ : Effect
        One row.

    Notes
    -----
    With ``unit=`` changes of units are compared, else rows of repeated cross-sections. Without covariates and clusters,
    the four (eight) means have Welch's degrees of freedom; with covariates, errors come from influence functions under
    the normal law; clusters bring CR1. Units that lack rows before or after treatment are left out, with a count.

    References
    ----------
    Olden and Moen (2022), "The triple difference estimator", Econometrics Journal 25;
    Ortiz-Villavicencio and Sant'Anna (2025), "Better understanding triple differences estimators"; Gruber
    (1994), American Economic Review.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "method": one_of("dr", "ipw", "regression"),
    }

    __metadata_request__fit: ClassVar[dict[str, bool]] = {
        "unit": True, "time": True, "group": True, "partition": True,
    }  # fmt: skip
    bootstrap_refusal = "a bootstrap of the rows tears units apart; cluster= gives errors for whole units"

    def __init__(self, *, post: Hashable | Sequence[Hashable] = None, method: str = "dr", level: float = 0.95) -> None:
        self.post = post
        self.method = method
        self.level = level

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        time: RoleLike = None,
        group: RoleLike = None,
        partition: RoleLike = None,
        unit: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
            Covariates, and any roles given by name.
        y : array-like (n,)
            Outcome.
        time : str or array-like (n,)
        group : str or array-like (n,)
            Two levels: whether the unit belongs to the group that the policy reaches (1, or the later level).
        partition : str or array-like (n,)
            Two levels: whether it is eligible (1, or the later level).
        unit : str or array-like (n,), optional
            Without it rows are repeated cross-sections.
        cluster : str or array-like (n,), or a list of up to four, optional
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            See :func:`read_panel`; a partition that changes within units; an empty group.
        OverlapError
            Covariates that separate the treated from a group they are compared with.
        """
        if partition is None or group is None:
            raise CausalArgumentError(
                "TripleDifference.fit needs group= (whom the policy reaches), partition= (who is eligible) and the"
                " setting post (the first treated period)"
            )
        panel = read_panel(
            self, X, y, time=time, unit=unit, group=group, post=self.post, cluster=cluster, sample_weight=sample_weight,
            missing=missing, drop_always_treated=False, extra={"partition": partition},
        )  # fmt: skip
        panel = _seen_twice(panel) if panel.is_panel else panel
        eligible, notes = _eligible(panel)
        data = _Data.of(panel, eligible)
        self.effect_ = self._arrange(panel, data, notes)
        return self

    # -- private -----------------------------------------------------------------------------------------------------

    def _arrange(self, panel: Panel, data: _Data, notes: tuple[str, ...]) -> Effect:
        """Means or comparisons as one Effect."""
        if panel.covariates:
            values, contributions = self._adjusted(data, panel.covariates)
            components: tuple[Component, ...] = (Component(contributions.T @ contributions),)
            contrast = np.array([[1.0, 1.0, -1.0]])
            names, law = ["vs ineligible", "vs untreated group", "vs both"], f"influence function, {self.method}"
            source = np.zeros(3, dtype=np.intp)
        else:
            contrast = np.array([[1.0, -1.0, -1.0, 1.0]])
            names, law = list(_GROUPS), "Welch"
            if data.n_means == 8:
                contrast = np.hstack([-contrast, contrast])
                names = [f"{name}, {when}" for when in ("before", "after") for name in _GROUPS]
            values, contributions, components = group_means(data.y, data.code, names, data.w)
            source = np.where(np.arange(len(names)) == len(names) - 1, 0, -1)
        u = Influence.from_contributions(
            values, contributions, panel.units, names=pd.Index(names, name="parameter"), loadings=contrast,
            components=components,
        )  # fmt: skip
        counts = np.bincount(data.code, minlength=data.n_means)
        most, controls = np.full(len(names), counts[-1]), np.full(len(names), counts[:-1].min())
        u = replace(u, treated=Treated.of(source, np.where(data.code == data.n_means - 1, 0, -1), most, controls))
        method = f"{'changes of units' if panel.is_panel else 'rows'}, {law}"
        if panel.clusters:
            ways = panel.unit_clusters()
            u = replace(u, clusters=ways).cluster(tuple(ways.values()))
            method = f"{'changes of units' if panel.is_panel else 'rows'}, clustered by {' and '.join(ways)} (CR1)"
        conditional = ", given the covariates" if panel.covariates else ""
        return Effect(
            rows=Estimates(pd.Series(contrast @ values, index=_ATT, name="estimate"), u),
            estimand=f"effect on the eligible of the treated group of {panel.names['outcome']}",
            n_obs=len(panel),
            level=self.level,
            assumptions=(
                f"untreated, the groups' gap in trends would be the same for the ineligible{conditional} ({_UNTESTED})",
                "no anticipation, no effect on the ineligible, and no interference between units",
            ),
            warnings=(*panel.notes, *notes),
            std_error_method=method,
            population="eligible units of the treated group after treatment",
            facts={**panel_facts(panel), "partition": panel.names.get("partition"), "method": self.method},
            diagnostics=Checks({"cells": partial(_cell_means, data)}),
        ).explained()

    def _adjusted(self, data: _Data, covariates: list[str]) -> tuple[Floats, Floats]:
        """Three comparisons of the eligible treated, each given the covariates."""
        values, contributions = np.zeros(3), np.zeros((len(data.y), 3))
        for j, other in enumerate((2, 1, 0)):  # treated group ineligible, untreated group eligible, neither
            at = np.flatnonzero((data.group == 3) | (data.group == other))
            treated = data.group[at] == 3
            w = None if data.w is None else data.w[at]
            design = StandardisedMatrix.of(data.X[at])
            if min(treated.sum(), (~treated).sum()) <= design.p:
                raise CausalDataError(
                    f"{design.p - 1} covariates are too many for {int((~treated).sum()):,} rows of the"
                    f" {_GROUPS[other]} and {int(treated.sum()):,} treated; give fewer"
                )
            try:
                fitted = None if self.method == "regression" else propensity(design, treated, w)
            except OverlapError:
                why = separating_column(data.X[at], treated, covariates) or "leave out the covariate that does"
                raise OverlapError(
                    f"the covariates separate the treated from the {_GROUPS[other]}: no weights make them alike; {why},"
                    " or use method='regression', which extrapolates"
                ) from None
            if data.after is None:
                scores = compare_changes(data.y[at, None], treated, design, w, method=self.method, fitted=fitted)
            else:
                scores = compare_rows(data.y[at], treated, data.after[at], design, w, method=self.method, fitted=fitted)
            values[j], contributions[at, j] = scores.att[0], scores.contributions[:, 0]
        return values, contributions


@dataclass(frozen=True, eq=False)
class _Data:
    """One row per unit (changes) or per row of cross-sections.

    Attributes
    ----------
    y : ndarray (m,)
    group : ndarray (m,)
        Twice the group plus the partition: 3 are the eligible of the treated group.
    after : ndarray (m,) of bool or None
        None for changes.
    code : ndarray (m,)
        Mean that the row belongs to: the group, of cross-sections before or after.
    n_means : int
    X : ndarray (m, q)
    w : ndarray (m,) or None
    """

    y: Floats
    group: Ints
    after: Bools | None
    code: Ints
    n_means: int
    X: Floats
    w: Floats | None

    @classmethod
    def of(cls, panel: Panel, eligible: Ints) -> _Data:
        """Changes of units from before to after, covariates of their first row; or the rows."""
        assert panel.group is not None  # noqa: S101 - read with group=
        group = 2 * panel.group + eligible
        after = panel.time >= int(panel.cohort.min())
        if not panel.is_panel:
            code = np.where(after, 4, 0) + group
            data = cls(panel.y, group, after, code, 8, panel.X, panel.weight)
        else:
            w = np.ones(len(panel)) if panel.weight is None else panel.weight
            mean = [
                np.bincount(panel.unit[rows], (w * panel.y)[rows], panel.n_units)
                / np.bincount(panel.unit[rows], w[rows], panel.n_units)
                for rows in (after, ~after)
            ]
            data = cls(mean[0] - mean[1], group, None, group, 4, panel.X[panel.starts], panel.unit_weights())
        counts = np.bincount(data.code, minlength=data.n_means)
        if not counts.all():
            empty = int(np.argmin(counts))
            when = "" if data.n_means == 4 else " before treatment" if empty < 4 else " after treatment"
            raise CausalDataError(
                [
                    Problem(
                        f"{panel.names['group']}, {panel.names['partition']}",
                        f"nobody is in the {_GROUPS[empty % 4]}{when}",
                        None,
                        "a triple difference needs eligible and ineligible units in both groups, before and after",
                    )
                ]
            )
        return data


def _seen_twice(panel: Panel) -> Panel:
    """Leave out units that lack rows before or after treatment."""
    after = panel.time >= int(panel.cohort.min())
    w = np.ones(len(panel)) if panel.weight is None else panel.weight
    both = np.bincount(panel.unit[after], w[after], panel.n_units) > 0
    both &= np.bincount(panel.unit[~after], w[~after], panel.n_units) > 0
    if both.all():
        return panel
    if not both.any():
        raise CausalDataError("no unit is seen both before and after treatment; leave unit= out for cross-sections")
    if not (panel.cohort[both] < NEVER).any():
        raise CausalDataError(
            "no treated unit is seen both before and after treatment; leave unit= out for cross-sections"
        )
    return panel.take_units(both, f"{int((~both).sum()):,} units without rows before or after treatment were left out")


def _eligible(panel: Panel) -> tuple[Ints, tuple[str, ...]]:
    """Eligibility of every unit, which must not change."""
    values = panel.roles["partition"]
    codes, _, notes = two_levels(values, "partition")
    code_of_unit = codes[panel.starts]
    moved = np.unique(panel.unit[codes != code_of_unit[panel.unit]])
    if len(moved):
        raise CausalDataError(
            [
                Problem(
                    str(values.name),
                    f"partition changes within {len(moved):,} units (the first is {panel.units.labels[moved[0]]!r})",
                    None,
                    "give every row of a unit the same eligibility: the one before treatment",
                )
            ]
        )
    return code_of_unit, tuple(
        note.replace("treated", "eligible").replace("uneligible", "ineligible") for note in notes
    )


def _cell_means(data: _Data) -> Check:
    """Mean outcome (or change) of every group."""
    w = np.ones(len(data.y)) if data.w is None else data.w
    names = list(_GROUPS) if data.n_means == 4 else [f"{g}, {t}" for t in ("before", "after") for g in _GROUPS]
    mean = np.bincount(data.code, w * data.y, data.n_means) / np.bincount(data.code, w, data.n_means)
    table = pd.DataFrame({"mean": mean, "n": np.bincount(data.code, minlength=data.n_means)}, index=names)
    return Check(None, table, "mean change by group" if data.n_means == 4 else "mean outcome by group and period")
