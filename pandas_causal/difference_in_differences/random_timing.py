"""Effects of a treatment whose timing was random: the efficient estimator and Fisher's randomisation tests."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from pandas_causal.difference_in_differences.cells import (
    cell_index,
    panel_checks,
    panel_facts,
    require_unit,
)
from pandas_causal.difference_in_differences.cohort_contrasts import (
    Contrasts,
    Moments,
    Rollout,
    adjusted,
    average_contrasts,
    permuted_moments,
    rollout_moments,
)
from pandas_causal.difference_in_differences.group_time import Cell
from pandas_causal.difference_in_differences.pre_trends import pre_trends
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates, Weighting
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inference.draws_and_variance import Draws
from pandas_causal.inference.few_treated import Treated
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.inversion import accepted_pieces
from pandas_causal.inputs.parameters import Legal, one_of
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.panels.panel import Panel
from pandas_causal.panels.reading import read_panel

__all__ = ["RandomTiming"]

_ENOUGH = 10  # units in every cohort from which their spread is known well enough to divide by
_ATT = pd.Index(["ATT"], name="estimand")
_TIE = 1 + 1e-12  # statistics that are equal but for rounding count as equal
_BETA: Mapping[str, float | None] = {"efficient": None, "did": 1.0, "none": 0.0}


class RandomTiming(CausalEstimator):
    r"""Effect of a treatment that units start at random times: sharper than what parallel trends alone allow.

    Where the order in which units start was drawn at random (a rollout by lot), the mean outcome of a cohort before its
    treatment differs from that of the others by chance only. Cohort g in period t is compared with the units that are
    untreated then, and what the same comparison finds in g - 1, which is noise, is taken out in the amount that leaves
    the least variance:

    .. math:: \hat\theta = \hat\theta_0 - \beta \hat X, \qquad
              \beta^* = \widehat{Cov}(\hat X, \hat\theta_0) / \widehat{Var}(\hat X).

    A beta of 1 is difference in differences (Callaway and Sant'Anna with units not yet treated), one of 0 compares
    levels. The estimator needs a balanced panel and rests on random timing, which is more than parallel trends, and on
    no anticipation.

    Parameters
    ----------
    average : {"simple", "event", "cohort", "calendar"}
        What is estimated: one number, the average over cells by their cohorts' sizes, over cohorts by size, or over
        periods; "event": one row per period since treatment. Each has its own beta.
    adjustment : {"efficient", "did", "none"}
        beta of least variance, 1 or 0.
    inference : {"normal", "fisher"}
        "normal": Neyman's variance, which is conservative where effects differ. "fisher": p-values by drawing anew who
        starts when, exact for any number of units if the treatment has no effect on anyone; confidence sets invert the
        test for effects equal for all.
    post : period, optional
        With ``group=``: first treated period.
    n_draws : int
        Assignments drawn by "fisher". Two cohorts that can be assigned in no more ways are gone through completely.
    level : float
    random_state : int or None

    Attributes
    ----------
    effect_ : Effect
    beta_ : Series (rows,)
        Adjustment of every row.

    Notes
    -----
    Fisher's test divides by the standard error where every cohort has 10 units or more: it then holds in large samples
    for no *average* effect too, as the paper shows. With fewer the estimate itself is ranked. Units are what is
    assigned: where states or schools start together, average their rows first
    (``df.groupby([state, year], as_index=False).mean()``).

    The paper's second variance, which takes out what outcomes before treatment show of differing effects (``se`` beside
    ``se_neyman`` in R's staggered), is not taken: it needs many units in every cohort and changes little.

    References
    ----------
    Roth and Sant'Anna (2023), "Efficient estimation for staggered rollout designs", Journal of Political Economy
    Microeconomics 1; Fisher (1935), "The Design of Experiments".
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "average": one_of("simple", "event", "cohort", "calendar"),
        "adjustment": one_of(*_BETA),
        "inference": one_of("normal", "fisher"),
    }

    bootstrap_refusal = "a bootstrap of the rows tears units apart; inference='fisher' draws anew who starts when"

    def __init__(
        self,
        *,
        average: str = "simple",
        adjustment: str = "efficient",
        inference: str = "normal",
        post: Hashable | Sequence[Hashable] = None,
        n_draws: int = 999,
        level: float = 0.95,
        random_state: int | None = 0,
    ) -> None:
        self.average = average
        self.adjustment = adjustment
        self.inference = inference
        self.post = post
        self.n_draws = n_draws
        self.level = level
        self.random_state = random_state

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        time: RoleLike = None,
        unit: RoleLike = None,
        cohort: RoleLike = None,
        treatment: RoleLike = None,
        group: RoleLike = None,
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
            First treated period, coded as the time is; NaN, 0 or inf if never. Or
        treatment : str or array-like (n,)
            0/1 row by row, which stays on. Or
        group : str or array-like (n,)
            Two levels, treated units marked by 1 (or the later level); with the setting `post`.
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            See :func:`read_panel`; units that lack periods, a cohort of one unit where its spread is needed, or no
            untreated unit in any period from treatment on.
        """
        require_unit(self, unit)
        panel = read_panel(
            self, X, y, time=time, unit=unit, cohort=cohort, treatment=treatment, group=group, post=self.post,
            missing=missing,
        )  # fmt: skip
        self._refuse(panel)
        rollout = Rollout.of(panel.cohort, panel.n_periods)
        contrasts = average_contrasts(rollout, self.average)
        self._refuse_single(panel, rollout, contrasts)
        self.effect_ = self._estimate(panel, rollout, contrasts)
        return self

    # -- private -----------------------------------------------------------------------------------------------------

    def _refuse(self, panel: Panel) -> None:
        if panel.covariates:
            raise CausalArgumentError(
                f"RandomTiming takes no covariates, got {panel.covariates[:5]}: random timing needs none"
            )
        if not panel.balanced:
            lack = int((np.bincount(panel.unit, minlength=panel.n_units) < panel.n_periods).sum())
            message = f"{lack:,} units lack periods, and random timing is judged by the units that were assigned"
            remedy = "keep the units that are seen in every period, or the periods in which all are"
            raise CausalDataError([Problem(panel.names["unit"], message, None, remedy)])

    def _refuse_single(self, panel: Panel, rollout: Rollout, contrasts: Contrasts) -> None:
        """A cohort of one unit has no spread, which the efficient beta and Neyman's variance are made of."""
        used = (contrasts.level != 0).any(axis=(0, 2))
        alone = np.flatnonzero(used & (rollout.sizes == 1))
        if not len(alone) or (self.inference == "fisher" and self.adjustment != "efficient"):
            return
        start = rollout.starts[alone[0]]
        name = "the never treated" if start == panel.n_periods else f"the cohort of {panel.periods[start]}"
        message = f"{len(alone):,} cohorts have one unit ({name}), so that its spread is unknown"
        column = panel.names.get("cohort") or panel.names.get("treatment") or panel.names.get("group") or "cohort"
        remedy = "RandomTiming(adjustment='did', inference='fisher') does not need it"
        raise CausalDataError([Problem(column, message, None, remedy)])

    def _estimate(self, panel: Panel, rollout: Rollout, contrasts: Contrasts) -> Effect:
        """Estimates with their variance or null distribution, as an Effect."""
        Y, beta = panel.wide(), _BETA[self.adjustment]
        rows = range(len(contrasts.labels))
        actual = [rollout_moments(Y, rollout, contrasts, j) for j in rows]
        found = [adjusted(moments, beta) for moments in actual]
        values = np.array([f.estimate[0] for f in found])
        index = _ATT if self.average != "event" else pd.Index(contrasts.labels, name="event")
        self.beta_ = pd.Series([f.beta[0] for f in found], index=index, name="beta")
        inversion: _Sets | None = None
        u: Influence | Draws
        if self.inference == "normal":
            u = _neyman(panel, Y, rollout, contrasts, self.beta_.to_numpy())
            method = "Neyman's variance over the random timing (conservative), normal law"
        else:
            studentised = bool(rollout.sizes.min() >= _ENOUGH)
            rng = np.random.default_rng(self.random_state)
            null = [permuted_moments(Y, rollout, contrasts, j, self.n_draws, rng) for j in rows]
            tests = [_Test(*pair, beta, studentised) for pair in zip(actual, null, strict=True)]
            scale = [float(f.std_error[0]) for f in found]
            draws = np.column_stack([t.scaled(v) for t, v in zip(tests, values, strict=True)])
            u = Draws(draws * _TIE, np.eye(len(values)), around="null")
            inversion = _Sets(tests, values, np.array(scale), index)
            kind = "studentised estimates" if studentised else "estimates"
            method = f"Fisher's randomisation test, {kind} of {len(draws):,} other assignments"
        words = {
            "simple": "", "event": ", by periods since treatment", "cohort": ", overall average by cohort",
            "calendar": f", overall average by {panel.axis.name}",
        }[self.average]  # fmt: skip
        effect = Effect(
            rows=Estimates(pd.Series(values, index=index, name="estimate"), u),
            estimand=f"effect on the treated of {panel.names['outcome']}{words}",
            n_obs=len(panel),
            level=self.level,
            assumptions=(
                "random timing: which units start when was drawn by lot (checked before treatment: random_timing)",
                "no anticipation: outcomes do not react before treatment starts",
                "no interference between units, and treatment stays on",
            ),
            warnings=panel.notes,
            std_error_method=method,
            population="the units of this sample, over the random order in which they start",
            inversion=inversion,
            tests=None if inversion is None else inversion.of_zero(),
            facts={**panel_facts(panel), "adjustment": self.adjustment, "average": self.average},
        ).explained()
        checks = {"random_timing": partial(_random_timing, panel, rollout), **panel_checks(panel)}
        return replace(effect, diagnostics=Checks(checks))


def _neyman(panel: Panel, Y: Floats, rollout: Rollout, contrasts: Contrasts, beta: Floats) -> Influence:
    """Deviations of the units from their cohort's mean, and the variance without bias where effects are equal."""
    codes, sizes = rollout.codes, rollout.sizes
    A = contrasts.level - beta[:, None, None] * contrasts.before
    values, contributions = np.zeros(len(A)), np.zeros((len(Y), len(A)))
    meat = np.zeros((len(A), len(A)))
    for c, size in enumerate(sizes.tolist()):
        mine = Y[codes == c] @ A[:, c].T
        values += mine.mean(axis=0)
        part = (mine - mine.mean(axis=0)) / size
        contributions[codes == c] = part
        meat += part.T @ part * (size / max(size - 1, 1))
    ever = rollout.starts[codes] < panel.n_periods
    n_treated, n_control = int(ever.sum()), int((~ever).sum()) or int(sizes[-1])
    k = len(A)
    u = Influence.from_contributions(
        values, contributions, panel.units, names=pd.RangeIndex(k, name="parameter"), components=(Component(meat),)
    )
    source, groups = np.zeros(k, dtype=np.intp), np.where(ever, 0, -1).astype(np.intp)
    treated = Treated.of(source, groups, np.full(k, n_treated), np.full(k, n_control))
    return replace(u, treated=treated, factor_p=1)


@dataclass(frozen=True, eq=False)
class _Test:
    """Fisher's test of one row.

    Attributes
    ----------
    actual, null : Moments
        Of the assignment as it was, and of others.
    beta : float or None
    studentised : bool
    """

    actual: Moments
    null: Moments
    beta: float | None
    studentised: bool

    @cached_property
    def rounding(self) -> float:
        """What counts as zero: outcomes without noise leave it of an estimate and of its standard error."""
        spread = float(np.sqrt(self.null.variance[:, 0, 0].max(initial=0.0)))
        return max(1e-10 * max(abs(float(self.actual.mean[0, 0])), spread), 1e-300)

    def statistics(self, moments: Moments, effect: float) -> Floats:
        """Estimates of what an effect, the same for all, leaves; divided by their standard errors if asked."""
        found = adjusted(moments, self.beta, effect)
        estimate = np.where(np.abs(found.estimate) <= self.rounding, 0.0, found.estimate)
        return estimate / np.maximum(found.std_error, self.rounding) if self.studentised else estimate

    def p_value(self, effect: float) -> float:
        """Share of assignments, the actual one included, whose statistic is at least as large."""
        observed = abs(float(self.statistics(self.actual, effect)[0]))
        null = np.abs(self.statistics(self.null, effect)) * _TIE
        return float((1 + (null >= observed).sum()) / (len(null) + 1))

    def scaled(self, estimate: float) -> Floats:
        """Statistics of the other assignments on the scale of the estimate, which keeps the p-value."""
        null = self.statistics(self.null, 0.0)
        if not self.studentised:
            return null
        observed = float(self.statistics(self.actual, 0.0)[0])
        return null * (estimate / observed) if observed != 0 else np.full(len(null), estimate)


@dataclass(frozen=True, eq=False)
class _Sets:
    """Effects equal for all that Fisher's tests accept, row by row."""

    tests: list[_Test]
    estimates: Floats
    scales: Floats
    index: pd.Index

    def __call__(self, level: float) -> pd.DataFrame:
        rows = []
        for label, test, estimate, scale in zip(self.index, self.tests, self.estimates, self.scales, strict=True):
            spread = float(np.std(test.statistics(test.null, float(estimate)))) if not test.studentised else scale
            width = max(spread, 1e-9 * abs(float(estimate)), 1e-300)
            pieces = accepted_pieces(test.p_value, float(estimate), width, 1 - level + 1e-12)
            rows += [(label, low, high) for low, high in pieces]
        table = pd.DataFrame(rows, columns=["label", "conf_low", "conf_high"])
        return table.set_index(pd.Index(table.pop("label").to_numpy(), name=self.index.name))

    def of_zero(self) -> pd.DataFrame:
        """``statistic`` and ``p_value`` of no effect, by row."""
        statistics = [float(t.statistics(t.actual, 0.0)[0]) for t in self.tests]
        return pd.DataFrame({"statistic": statistics, "p_value": [t.p_value(0.0) for t in self.tests]}, self.index)


def _random_timing(panel: Panel, rollout: Rollout) -> Check:
    """Whether cohorts differ before they start by more than chance: in every period beside the last to start."""
    Y, codes, sizes = panel.wide(), rollout.codes, rollout.sizes
    last = len(sizes) - 1
    pairs = [(c, t) for c in range(last) for t in range(int(rollout.starts[c]))]
    cells = [Cell(int(rollout.starts[c]), t, -1) for c, t in pairs]
    means = np.array([Y[codes == c].mean(axis=0) for c in range(last + 1)])
    deviations = (Y - means[codes]) / sizes[codes][:, None]
    contributions = np.zeros((len(Y), len(cells)), order="F")
    for k, (c, t) in enumerate(pairs):
        own, other = codes == c, codes == last
        contributions[own, k], contributions[other, k] = deviations[own, t], -deviations[other, t]
    values = np.array([means[c, t] - means[last, t] for c, t in pairs])
    index = cell_index(panel, cells)
    names = pd.Index([str(label) for label in index], name="parameter")
    unbiased = contributions * np.sqrt(sizes / np.maximum(sizes - 1, 1))[codes][:, None]
    u = Influence.from_contributions(
        values, contributions, panel.units, names=names, components=(Component(unbiased.T @ unbiased),)
    )
    source = np.array([c for c, _ in pairs], dtype=np.intp)
    groups = np.where(codes == last, -1, codes).astype(np.intp)
    own_sizes = sizes[source]
    u = replace(u, treated=Treated.of(source, groups, own_sizes, np.full(len(pairs), sizes[last])))
    events, group = np.unique([cell.time - cell.cohort for cell in cells], return_inverse=True)
    weighting = Weighting(own_sizes.astype(float), pd.Index(group), {}, pd.Index(events, name="event"), "")
    rows = Estimates(pd.Series(values, index=index, name="estimate"), u, weightings={"event": weighting})
    check = pre_trends(Effect(rows=rows, estimand="", n_obs=len(panel)))
    return replace(check, summary=f"cohorts beside the last, {check.summary}")
