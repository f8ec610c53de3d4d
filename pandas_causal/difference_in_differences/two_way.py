"""The textbook difference in differences: two groups and two periods, and two-way fixed effects."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from pandas_causal.difference_in_differences.cells import panel_checks, panel_facts, regression_component
from pandas_causal.difference_in_differences.group_means import Means, group_means, regression_hc2
from pandas_causal.difference_in_differences.two_way_checks import two_way_checks
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalDataError, NotIdentifiedError, Problem
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inference.few_treated import Treated
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Bools, Floats, Ints, Positions, Values
from pandas_causal.models.fixed_effects import Absorber, counted_parameters, singletons
from pandas_causal.models.linear import independent_columns
from pandas_causal.panels.panel import Panel
from pandas_causal.panels.reading import read_panel

__all__ = ["DifferenceInDifferences"]

_ATT = pd.Index(["ATT"], name="estimand")
_UNTESTED = "cannot be tested after treatment"
_CELLS = ("untreated group, before", "untreated group, after", "treated group, before", "treated group, after")


class DifferenceInDifferences(CausalEstimator):
    r"""Change of the treated less change of the untreated; with several periods, two-way fixed effects.

    *Two groups* (``group=`` and the setting `post`): the effect on the treated group after treatment,

    .. math:: (E[Y | G=1, after] - E[Y | G=1, before]) - (E[Y | G=0, after] - E[Y | G=0, before]).

    With ``unit=`` every unit's own change is compared, which needs no comparison of levels; without it rows are
    repeated cross-sections and four means are compared. Covariates enter by least squares.

    *Two-way fixed effects* (``treatment=`` or ``cohort=``): the coefficient of treatment beside effects of units and
    periods. Where treatment starts at different times and its effects differ or grow, units treated early serve as
    controls of those treated later, and some effects enter with negative weights: the coefficient may then have the
    wrong sign. The other designs (``CallawaySantAnna``, ``ImputationDiD``, ``SunAbraham``, ``StackedDiD``) do not have
    this problem. Treatment may switch off here; the coefficient then also assumes that its effect ends at once.

    It rests on parallel trends: untreated, the treated would have changed as the others did; and on no anticipation.

    Parameters
    ----------
    post : period, or list of periods
        With ``group=``: first treated period, coded as the time is (or all treated periods).
    level : float

    Attributes
    ----------
    effect_ : Effect
        One row.
    treatment_residual_ : Series (n,)
        Treatment less its unit and period effects (and covariates), under the caller's labels: the coefficient weighs
        outcomes by it. Only for two-way fixed effects.

    Notes
    -----
    Without covariates and clusters, two groups are compared with Welch's degrees of freedom, from units' changes or
    from four means; with covariates, cross-sections have HC2 errors and t(n - p). Two-way fixed effects, and two
    groups with ``unit=`` and covariates or units that lack periods, are clustered by unit, or by `cluster`:
    G / (G - 1) (n - 1) / (n - p), p counting coefficients and absorbed effects, those nested in the clusters once in
    all, and Student's t with G - 1 (the conventions of fixest and pyfixest). Rows that are alone in their unit or
    period are left out and counted. Without ``unit=``, ``cohort=`` absorbs cohorts in place of units, and errors are
    by row: give `cluster`, the level at which treatment was assigned (Bertrand, Duflo and Mullainathan 2004).

    References
    ----------
    Card and Krueger (1994), American Economic Review; Angrist and Pischke (2009), chapter 5; de Chaisemartin and
    D'Haultfoeuille (2020), American Economic Review, and Goodman-Bacon (2021), Journal of Econometrics, on two-way
    fixed effects.
    """

    bootstrap_refusal = "a bootstrap of the rows tears units apart; cluster= gives errors for whole units"

    def __init__(self, *, post: Hashable | Sequence[Hashable] = None, level: float = 0.95) -> None:
        self.post = post
        self.level = level

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        time: RoleLike = None,
        unit: RoleLike = None,
        group: RoleLike = None,
        treatment: RoleLike = None,
        cohort: RoleLike = None,
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
        unit : str or array-like (n,), optional
            Without it rows are repeated cross-sections.
        group : str or array-like (n,)
            Two levels, treated units marked by 1 (or the later level); with the setting `post`. Or
        treatment : str or array-like (n,)
            0/1 row by row; may switch off. Or
        cohort : str or array-like (n,)
            First treated period; NaN, 0 or inf if never.
        cluster : str or array-like (n,), or a list of up to four, optional
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            See :func:`read_panel`; a group without rows before or after.
        NotIdentifiedError
            If unit and period effects (and covariates) explain the treatment.
        """
        panel = read_panel(
            self, X, y, time=time, unit=unit, group=group, treatment=treatment, cohort=cohort, post=self.post,
            cluster=cluster, sample_weight=sample_weight, missing=missing, absorbing=False, drop_always_treated=False,
        )  # fmt: skip
        for name in [name for name in vars(self) if name == "treatment_residual_"]:
            delattr(self, name)
        if group is None:
            self.effect_ = self._two_way(panel)
        elif panel.is_panel and (panel.covariates or not panel.balanced):
            self.effect_ = self._two_way(panel, two_groups=True)
        else:
            self.effect_ = self._two_by_two(panel)
        return self

    # -- private -----------------------------------------------------------------------------------------------------

    def _two_by_two(self, panel: Panel) -> Effect:
        """Changes of units by group, or means of rows by group and period."""
        after = panel.time >= int(panel.cohort.min())
        if panel.is_panel:
            change, w = _changes(panel, after)
            assert panel.group is not None  # noqa: S101 - read with group=
            names: tuple[str, ...] = ("change, untreated", "change, treated")
            means = group_means(change, panel.group, ("untreated group", "treated group"), w)
            contrast, groups = np.array([[-1.0, 1.0]]), panel.group
            counts = np.bincount(groups, minlength=2)
        else:
            assert panel.group is not None  # noqa: S101 - read with group=
            groups = panel.group[panel.unit]
            means, names, contrast = _four_means(panel, groups, after)
            counts = np.bincount(2 * groups + after, minlength=4)
            groups = np.where(after, groups, 0)
        u = Influence.from_contributions(
            means.values, means.contributions, panel.units, names=pd.Index(names, name="mean"), loadings=contrast,
            components=means.components,
        )  # fmt: skip
        source = np.where(np.arange(len(names)) == len(names) - 1, 0, -1)
        u = replace(u, treated=_treated(source, groups, counts))
        method = "HC2" if panel.covariates else "Welch"
        kind = "changes of units" if panel.is_panel else "rows by group and period"
        method = f"{kind}, {method}"
        if panel.clusters:
            ways = panel.unit_clusters()
            u = replace(u, clusters=ways).cluster(tuple(ways.values()))
            method = f"{kind}, clustered by {' and '.join(ways)} (CR1)"
        return self._result(panel, u, float(contrast[0] @ means.values), method, two_groups=True)

    def _two_way(self, panel: Panel, two_groups: bool = False) -> Effect:
        """Treatment, outcome and covariates less their unit and period effects; then least squares."""
        unit = panel.unit if panel.is_panel else _cohort_codes(panel)
        alone = singletons([unit, panel.time])
        keep = None if not alone.any() else np.flatnonzero(~alone)
        at: Any = slice(None) if keep is None else keep
        factors = [_recode(unit[at]), _recode(panel.time[at])]
        w = None if panel.weight is None else panel.weight[at]
        columns = np.column_stack([panel.treated[at].astype(float), panel.y[at], panel.X[at]])
        regression = _partialled(columns, Absorber.of(factors, w), w)
        if regression is None:
            raise NotIdentifiedError(
                "unit and period effects (and the covariates) explain the treatment exactly, so that nothing is left to"
                " compare: some units must change their treatment while others do not"
            )
        rows = RowIdentity(panel.row_labels[at], panel.y[at])
        labels = {str(panel.units.labels.name): panel.units.labels.to_numpy()[panel.unit[at]]} if panel.is_panel else {}
        labels |= {name: np.asarray(values)[at] for name, values in panel.clusters.items()}
        u = Influence.from_contributions(
            np.array([regression.coefficient]), regression.contributions[:, None], rows, names=pd.Index(["treatment"]),
            clusters=labels,
        )  # fmt: skip
        u, clustering = _clustered(panel, u, factors, regression.n_parameters, panel.unit[at])
        self.treatment_residual_ = pd.Series(regression.residual, index=rows.labels, name="treatment_residual")
        notes = [f"{int(alone.sum()):,} rows alone in their unit or period were left out"] if keep is not None else []
        return self._result(panel, u, regression.coefficient, f"two-way fixed effects, {clustering}", two_groups, notes)

    def _result(
        self, panel: Panel, u: Influence, estimate: float, method: str, two_groups: bool, notes: list[str] | None = None
    ) -> Effect:
        """Arrange as an Effect."""
        starts = len(panel.treated_cohorts)
        warned = [*panel.notes, *(notes or [])]
        if starts > 1:
            warned.append(
                f"treatment starts at {starts} different times: where effects differ or grow, some enter this"
                " coefficient with negative weights; compare CallawaySantAnna or ImputationDiD"
            )
        conditional = ", given the covariates" if panel.covariates else ""
        assumptions = [
            f"parallel trends{conditional}: untreated, the treated would have changed as the others did ({_UNTESTED})",
            "no anticipation, and no interference between units",
        ]
        if not two_groups:
            assumptions.insert(1, "the effect is the same for all units and periods, or treatment starts at one time")
        if not panel.is_panel:
            assumptions.append("cross-sections: the make-up of the groups does not change over time")
        effect_in_words = "effect on the treated" if two_groups else "coefficient of treatment (two-way fixed effects)"
        effect = Effect(
            rows=Estimates(pd.Series([estimate], index=_ATT, name="estimate"), u),
            estimand=f"{effect_in_words} of {panel.names['outcome']}"
            if two_groups
            else f"{effect_in_words}, {panel.names['outcome']}",
            n_obs=len(panel) if u.rows is None or (panel.is_panel and two_groups) else len(u.rows),
            level=self.level,
            assumptions=tuple(assumptions),
            warnings=tuple(warned),
            std_error_method=method,
            population="treated units after treatment" if two_groups else "treated rows, at the regression's weights",
            facts=panel_facts(panel),
            diagnostics=Checks(
                {
                    "cells": partial(_cell_means, panel),
                    **({} if two_groups else two_way_checks(panel)),
                    **panel_checks(panel),
                }
            ),
        )
        return effect.explained()


class _Partialled(NamedTuple):
    """Coefficient of the first column on the second, everything else partialled out."""

    coefficient: float
    contributions: Floats
    residual: Floats
    n_parameters: int


def _partialled(columns: Floats, absorber: Absorber, w: Floats | None) -> _Partialled | None:
    """Treatment on outcome after covariates and absorbed effects (Frisch, Waugh, Lovell); None if nothing is left."""
    size = float(np.square(columns[:, 0] - columns[:, 0].mean()).sum())
    within = absorber.residuals(columns)
    d, y, X = within[:, 0], within[:, 1], within[:, 2:]
    n_parameters = 1
    if X.shape[1]:
        raw = columns[:, 2:].var(axis=0) * len(X)
        weighted = X if w is None else X * w[:, None]
        gram = weighted.T @ X
        gram[np.diag(gram) < 1e-10 * raw, :] = 0.0  # constant within units or periods: rounding is all that is left
        kept = independent_columns(gram)
        n_parameters += len(kept)
        X, weighted = X[:, kept], weighted[:, kept]
        both = np.column_stack([d, y])
        if len(kept):
            both = both - X @ np.linalg.solve(gram[np.ix_(kept, kept)], weighted.T @ both)
        d, y = both[:, 0], both[:, 1]
    weighted_treatment = d if w is None else w * d
    square = float(weighted_treatment @ d)
    if square <= 1e-10 * max(size, 1e-300):
        return None
    coefficient = float(weighted_treatment @ y) / square
    residual = y - coefficient * d
    return _Partialled(coefficient, weighted_treatment * residual / square, d, n_parameters)


def _clustered(panel: Panel, u: Influence, factors: list[Ints], n_parameters: int, unit: Ints) -> tuple[Influence, str]:
    """Cluster by unit, by the labels given, or (cross-sections) leave rows by themselves."""
    contributions, rows = u.contributions, u.rows
    assert contributions is not None and rows is not None  # noqa: S101, PT018 - built with them
    n, every = len(contributions), np.ones(1, dtype=bool)
    labels = [u.clusters[name] for name in panel.clusters]
    ever = np.bincount(panel.unit, panel.treated, panel.n_units) > 0
    groups = np.where(ever[unit], 0, -1)
    source = np.zeros(1, dtype=np.intp)
    behind = np.bincount(unit, minlength=len(ever)) > 0
    sides: tuple[Any, ...] = ()
    if len(panel.treated_cohorts) == 1 and not ever.all():  # the never treated are the only controls
        sides = (np.array([int((ever & behind).sum())]), np.array([int((~ever & behind).sum())]))
    if len(labels) > 1:
        u = replace(
            u, treated=Treated.of(source, groups, *sides), factor_p=counted_parameters(n_parameters, factors[1:])
        )
        return u.cluster(labels), f"clustered by {' and '.join(panel.clusters)} (CR1)"
    if labels:
        codes = np.asarray(pd.factorize(pd.Series(labels[0]))[0])
        p = counted_parameters(n_parameters, factors, codes)
        sums = _by_cluster(codes, contributions)
        treated = Treated.of(source, groups, *sides).clustered([codes])
        name, clustering = next(iter(panel.clusters)), (labels[0],)
    elif panel.is_panel:
        p = counted_parameters(n_parameters, factors, factors[0])
        sums = _by_cluster(factors[0], contributions)
        units = np.unique(unit) if len(np.unique(factors[0])) < len(ever) else slice(None)
        treated = Treated(source, np.ones((1, 1), dtype=bool), np.array([int(ever[units].sum())]), groups, *sides)
        name = str(panel.units.labels.name)
        clustering = (u.clusters[name],)
    else:
        p = counted_parameters(n_parameters, factors)
        component = regression_component(contributions, (), n, p, every)
        treated = Treated.of(source, groups)
        u = replace(u, components=(component.with_df(float(n - p)),), factor_p=p, treated=treated)
        return u, "by row (HC1); see cluster="
    component = regression_component(sums, (), n, p, every)
    u = replace(u, components=(component,), clustering=clustering, treated=treated, factor_p=p)
    return u, f"clustered by {name} (CR1)"


def _by_cluster(codes: Values, contributions: Floats) -> Floats:
    return np.asarray(np.bincount(codes, contributions[:, 0])[:, None], dtype=np.float64)


def _treated(source: Positions, groups: Ints, counts: Ints) -> Treated:
    """Treated and comparison units behind the last parameter: of several means, the one of fewest rows."""
    return Treated.of(source, groups - 1, np.full(len(source), counts[-1]), np.full(len(source), counts[:-1].min()))


def _recode(codes: Ints) -> Ints:
    """Codes without gaps."""
    counts = np.bincount(codes)
    return codes if counts.all() else (np.cumsum(counts > 0) - 1)[codes]


def _cohort_codes(panel: Panel) -> Ints:
    return np.unique(panel.cohort, return_inverse=True)[1].astype(np.int64)


def _changes(panel: Panel, after: Bools) -> tuple[Floats, Floats | None]:
    """Mean outcome after treatment less before, unit by unit, and weights of the units."""
    w = np.ones(len(panel)) if panel.weight is None else panel.weight
    means = []
    for rows in (after, ~after):
        total = np.bincount(panel.unit[rows], w[rows], panel.n_units)
        if not (total > 0).all():
            n = int((total <= 0).sum())
            message = f"the weights of {n:,} units are zero before or after treatment"
            raise CausalDataError([Problem("sample_weight", message, None, "leave these units out")])
        means.append(np.bincount(panel.unit[rows], (w * panel.y)[rows], panel.n_units) / total)
    return means[0] - means[1], panel.unit_weights()


def _four_means(panel: Panel, group: Ints, after: Bools) -> tuple[Means, tuple[str, ...], Floats]:
    """Means of rows by group and period, or a regression on them and covariates; names and the contrast."""
    code = 2 * group + after
    counts = np.bincount(code, minlength=4)
    if not counts.all():
        empty = _CELLS[int(np.argmin(counts))]
        column = panel.names.get("group", "group")
        raise CausalDataError(
            [
                Problem(
                    column, f"there is no row of the {empty} treatment", None, "both groups are needed in both periods"
                )
            ]
        )
    if panel.covariates:
        Z = np.column_stack([np.ones(len(panel)), group, after, group * after]).astype(float)
        means = regression_hc2(panel.y, Z, panel.X, panel.weight)
        return means, ("intercept", "group", "after", "group x after"), np.array([[0.0, 0.0, 0.0, 1.0]])
    return group_means(panel.y, code, _CELLS, panel.weight), _CELLS, np.array([[1.0, -1.0, -1.0, 1.0]])


def _cell_means(panel: Panel) -> Check:
    """Mean outcome by treatment status (ever or never) and period: the picture behind the number."""
    w = np.ones(len(panel)) if panel.weight is None else panel.weight
    ever = np.bincount(panel.unit, panel.treated, panel.n_units) > 0
    if panel.group is not None:
        ever = panel.group == 1
    T = panel.n_periods
    code = np.where(ever, 0, T)[panel.unit] + panel.time
    n = np.bincount(code, minlength=2 * T)
    total, outcome = np.bincount(code, w, 2 * T), np.bincount(code, w * panel.y, 2 * T)
    seen = np.flatnonzero(n)
    names, periods = np.array(["treated", "untreated"])[seen // T], panel.periods.take(seen % T)
    index = pd.MultiIndex.from_arrays([names, periods], names=["group", panel.axis.name])
    with np.errstate(invalid="ignore"):  # a cell whose weights are all zero has no mean
        table = pd.DataFrame({"mean": outcome[seen] / total[seen], "n": n[seen]}, index=index)
    return Check(None, table, "mean outcome of the ever and the never treated by period")
