"""Effect: the one result, a table of estimates with how they vary jointly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pandas_causal.effect.check import Check
from pandas_causal.effect.estimates import Estimates, Transformation, Uncertainty, Weighting
from pandas_causal.effect.study import Study
from pandas_causal.effect.warnings_of_rows import few_treated_text, is_few_treated_text, std_error_text
from pandas_causal.errors import (
    CausalArgumentError,
    CausalError,
    FewTreatedWarning,
    StandardErrorWarning,
    suggest,
    warn,
)
from pandas_causal.inference.bands import JointTest, joint_test, simultaneous_critical
from pandas_causal.inference.draws_and_variance import Draws, Variance
from pandas_causal.inference.effective_clusters import clusters_text, effective_clusters
from pandas_causal.inference.influence import MOST_WAYS, Influence, ways_in_words
from pandas_causal.inference.reference import Normal, Reference, Student
from pandas_causal.inference.shrinkage import empirical_bayes
from pandas_causal.inputs.parameters import check_settings
from pandas_causal.inputs.types import ColumnLike
from pandas_causal.kernels.arrays import Bools, Floats, Positions

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from pandas_causal.robustness.audit import Audit
    from pandas_causal.robustness.refutation import Refutation

__all__ = ["Effect"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Effect:
    """Estimates, one row per estimand, with their joint uncertainty, assumptions and diagnostics.

    An estimator supplies `rows`, the estimates with their joint uncertainty; tables, clusters, contrasts, averages,
    bands, tests and comparisons are written once, here and in ``inference``. Nothing mutates: every method returns a
    new object.

    Attributes
    ----------
    rows : Estimates
        The estimates, and how they vary jointly.
    estimand : str
        What is estimated, in words.
    n_obs : int
        Rows used.
    level : float
        Confidence level of ``table``, 0.95 by default.
    assumptions : tuple of str
        What must hold for the estimate to be causal.
    diagnostics : mapping of str to Check
        What was checked.
    warnings : tuple of str
        What a reviewer would object to.
    std_error_method : str
        Where the standard errors come from.
    estimator : object
        The fitted estimator.
    reference : Reference
        Law of the statistics.
    alternative : {"two-sided", "greater", "less"}
        Side of the p-values and intervals.
    inversion : callable or None
        ``level -> DataFrame(conf_low, conf_high)``, where the confidence set comes from inverting a test. One with a
        method ``clustered(labels, uncertainty)`` follows :meth:`cluster`, one with ``compact()`` :meth:`compact`.
    tests : DataFrame or None
        ``statistic`` and ``p_value`` by row, where they come from a test of their own (Fisher's) and not from estimate
        and standard error.
    population : str
        The population the summary speaks of.
    facts : mapping of str to object
        Further facts for ``glance``: names of roles, arms, rows dropped.
    pictured : callable or None
        Returns the effect that the picture of event times draws in place of this one: the same study, all periods
        compared with one. Effects of other rows have none.
    study : Study or None
        What is needed to run the study again: the estimator unfitted, the caller's columns by reference, and what was
        done to the rows since. None for what no single fit gives (a difference of two, an effect for every row).
    averages : Effect or None
        Scores of the same rows that :meth:`aggregate` averages in place of the estimates, where these have no joint
        uncertainty (a learner's effects) and the scores' averages have.
    """

    rows: Estimates
    estimand: str
    n_obs: int
    level: float = 0.95
    assumptions: tuple[str, ...] = ()
    diagnostics: Mapping[str, Check] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    std_error_method: str = "influence function"
    estimator: Any = None
    reference: Reference = field(default_factory=Student)
    alternative: str = "two-sided"
    inversion: Callable[[float], pd.DataFrame] | None = None
    tests: pd.DataFrame | None = None
    population: str = "the population the rows were sampled from"
    facts: Mapping[str, Any] = field(default_factory=dict)
    pictured: Callable[[], Effect] | None = None
    study: Study[Effect] | None = None
    averages: Effect | None = None

    # -- the table and its one row ---------------------------------------------------------------------------------

    @property
    def table(self) -> pd.DataFrame:
        """Estimates with std_error, statistic, p_value, conf_low and conf_high, one row per estimand (a copy)."""
        return self._table.copy()

    @cached_property
    def _table(self) -> pd.DataFrame:
        table = self.rows.table(self.level, self.reference, self.alternative)
        if self.tests is not None:
            table[["statistic", "p_value"]] = self.tests[["statistic", "p_value"]].to_numpy()
            if self.inversion is not None:  # the interval is that of the same test; of several pieces their hull
                found = self.inversion(self.level)
                pieces = found.groupby(level=list(range(found.index.nlevels)), sort=False)
                hull = pd.DataFrame({"conf_low": pieces["conf_low"].min(), "conf_high": pieces["conf_high"].max()})
                table[["conf_low", "conf_high"]] = hull.reindex(table.index).to_numpy()
        return table

    @property
    def estimates(self) -> pd.Series[float]:
        """Estimates (rows,), by the name of the estimand (a copy)."""
        return self.rows.values.copy()

    @property
    def uncertainty(self) -> Uncertainty:
        """How the rows vary jointly."""
        return self.rows.uncertainty

    @property
    def weightings(self) -> Mapping[str, Weighting]:
        """Named averages for :meth:`aggregate`."""
        return self.rows.weightings

    @property
    def bias(self) -> Floats | None:
        """What intervals are centred away from: they lie around ``estimate - bias``."""
        return self.rows.bias

    @property
    def reference_rows(self) -> Bools | None:
        """Rows that are zero by construction (a reference period)."""
        return self.rows.reference_rows

    @property
    def estimate(self) -> float:
        """Estimate of the one row."""
        return self._scalar("estimate")

    @property
    def std_error(self) -> float:
        """Standard error of the one row."""
        return self._scalar("std_error")

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the one row (one-sided if `alternative` says so)."""
        return self._scalar("p_value")

    @property
    def conf_low(self) -> float:
        """Lower end of the interval of the one row."""
        return self._scalar("conf_low")

    @property
    def conf_high(self) -> float:
        """Upper end of the interval of the one row."""
        return self._scalar("conf_high")

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance of the rows (rows, rows); refused where every unit has a row."""
        if self.rows.units is not None:
            raise CausalError(
                f"there is one row per unit ({len(self):,}), and their covariance would be {len(self):,} x"
                f" {len(self):,}; use aggregate(), linear() or interval(simultaneous=True)"
            )
        index = self.rows.index
        return pd.DataFrame(self.uncertainty.covariance(), index=index, columns=index)

    @property
    def parameters(self) -> Effect:
        """What was really estimated (arm means, coefficients), as an Effect of its own."""
        if not isinstance(self.uncertainty, Influence):
            return self
        return self._with_rows(self.rows.parameters, estimand=f"parameters of: {self.estimand}")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, labels: Any) -> Effect:
        """Select rows by label: estimates and uncertainty are sliced together."""
        index = self.rows.index
        positions = pd.Series(np.arange(len(index)), index=index)
        if isinstance(labels, list) and labels and all(isinstance(v, bool | np.bool_) for v in labels):
            labels = np.array(labels)
        mask = isinstance(labels, np.ndarray | pd.Series) and pd.api.types.is_bool_dtype(labels.dtype)
        if mask and len(labels) != len(index):
            raise CausalArgumentError(f"the mask has {len(labels)} entries, the effect {len(index)} rows")
        try:
            picked = np.atleast_1d(np.asarray(positions.loc[labels]))
        except (KeyError, TypeError, ValueError, pd.errors.IndexingError, pd.errors.InvalidIndexError):
            asked = f"{labels!r}{suggest(labels, index)}"
            if isinstance(labels, pd.DataFrame | set | frozenset | dict | slice):
                asked = f"for a {type(labels).__name__}: give a label, a list of labels or a mask"
            raise CausalArgumentError(f"no row {asked}; rows: {list(index[:10])}") from None
        return self._followed(self._take(picked), "__getitem__", labels)

    # -- maps of rows ------------------------------------------------------------------------------------------------

    def linear(self, W: ArrayLike | pd.DataFrame, index: ColumnLike | None = None) -> Effect:
        """Map estimates and uncertainty by a matrix (m, rows): any contrast or average at known weights.

        Parameters
        ----------
        W : array-like (m, rows) or (rows,), or DataFrame
            A DataFrame's index names the new rows.
        index : array-like (m,), optional
            Names of the new rows.
        """
        return self._followed(self._with_rows(self.rows.linear(W, index)), "linear", W, index)

    def transform(
        self, f: Transformation, jac: Transformation | ArrayLike | None = None, index: ColumnLike | None = None
    ) -> Effect:
        """Transform smoothly (ratios, logs, lift) by the delta method.

        Parameters
        ----------
        f : callable
            Estimates (rows,) to new estimates (m,).
        jac : callable or array (m, rows), optional
            Jacobian; central differences by default.
        index : array-like (m,), optional
            Names of the new rows.
        """
        return self._followed(self._with_rows(self.rows.transform(f, jac, index)), "transform", f, jac, index)

    def aggregate(
        self,
        by: str | ColumnLike | None = None,
        weights: ArrayLike | pd.Series[float] | Effect | None = None,
        population: bool = True,
    ) -> Effect:
        """Average the rows, all of them or by group.

        Parameters
        ----------
        by : str, array-like (rows,) or None
            Name of a weighting the estimator attached (it wins over an index level), an index level, or group labels.
        weights : array-like (rows,), Series or Effect, optional
            An Effect where the weights are estimates: their own uncertainty is then added. By default the attached
            weights, else equal ones.
        population : bool
            With one row per unit: True speaks of the population the units were sampled from (the sampling of their
            covariates counts), False of these very units.
        """
        if self.averages is not None:
            if not population:
                raise CausalError(
                    "averages of these effects are averages of scores, which carry the sampling of the rows; leave"
                    " population=True"
                )
            return self.averages.aggregate(by, weights)
        weighting = self.rows.weighting(by, weights.rows if isinstance(weights, Effect) else weights)
        about = self.population
        if self.rows.units is not None and not population:
            about = "these very units: their covariates are taken as fixed"
        words = self.estimand if weighting.estimand is None else weighting.estimand
        averaged = self.rows.average(weighting, population=population)
        mapped = replace(self._with_rows(averaged, estimand=self.estimand), population=about, estimand=words)
        return self._followed(mapped, "aggregate", by, weights, population)

    def difference(self, other: Effect, rows: str | None = None) -> Effect:
        """Subtract another fit's effect, with the covariance of the two.

        Parameters
        ----------
        other : Effect
            With the same row labels, or one row each.
        rows : {"labels", "independent"}, optional
            How rows of different data relate, where their index cannot say it.
        """
        if not isinstance(other, Effect):
            raise CausalArgumentError(f"difference takes another Effect, got {type(other).__name__}")
        own, others = self.rows.index, other.rows.index
        if not own.equals(others):
            own, others = _without_constant_levels(own), _without_constant_levels(others)
        if len(self) != len(other) or (len(self) > 1 and not own.equals(others)):
            raise CausalArgumentError(
                f"the effects have different rows ({list(self.rows.index[:5])} and {list(other.rows.index[:5])});"
                " select the rows to compare first: effect[labels]"
            )
        if self.reference != other.reference or self.alternative != other.alternative:
            raise CausalArgumentError(
                f"the effects refer to different laws or sides ({self.reference!r}, {self.alternative!r} and"
                f" {other.reference!r}, {other.alternative!r}); fit both with the same settings"
            )
        words = f"difference of ({self.estimand}) and ({other.estimand})"
        if self.estimand == other.estimand and own is not self.rows.index:
            words = (
                f"{_constant_labels(self.rows.index)} less {_constant_labels(other.rows.index)}, of: {self.estimand}"
            )
        left, right = (replace(e.rows, values=e.rows.values.set_axis(own)) for e in (self, other))
        return replace(
            self._with_rows(left.difference(right, rows), estimand=words),
            assumptions=tuple(dict.fromkeys((*self.assumptions, *other.assumptions))),
            facts={name: fact for name, fact in self.facts.items() if name != "levels"},
            n_obs=max(self.n_obs, other.n_obs),
            estimator=None,
            diagnostics={},
            std_error_method="joint contributions of the two fits",
        )

    # -- uncertainty -------------------------------------------------------------------------------------------------

    def cluster(self, by: Any, small_sample: bool = True) -> Effect:
        """Cluster the standard errors (CR1; CR2 exists only through ``fit(cluster=...)``).

        Parameters
        ----------
        by : array, Series, str, DataFrame, or list of up to four
            Labels of the fitted rows; a Series is aligned on labels; a string names a column kept at fit. Several ways
            are combined by inclusion and exclusion (Cameron, Gelbach and Miller 2011).
        small_sample : bool
            Factor G / (G - 1) * (n - 1) / (n - p) and Student's t with G - 1; otherwise the raw sum and the normal.
        """
        if by is None:
            raise CausalArgumentError("cluster needs labels: an array, a Series, a list of them, or a name kept at fit")
        if isinstance(by, pd.DataFrame):
            by = [by.iloc[:, j] for j in range(by.shape[1])]
        listed = isinstance(by, list | tuple) and len(by) > 0
        named = listed and len(by) <= MOST_WAYS and all(isinstance(b, str) for b in by)  # not a label per row
        several = named or (listed and not any(np.isscalar(b) for b in by))
        ways = by if several else [by]
        labels = [self.rows.labels_of_rows(way) for way in ways]
        u = self.uncertainty.cluster(labels, small_sample=small_sample)
        correction = "CR1" if small_sample else "no small-sample factor"
        worth = [effective_clusters(np.asarray(values)) for values in labels]
        few = clusters_text([(str(_name_of(way)), *counted) for way, counted in zip(ways, worth, strict=True)])
        clustered = replace(
            self,
            warnings=self.warnings if few is None else (*self.warnings, few),
            rows=replace(self.rows, uncertainty=u),
            tests=None,
            inversion=_clustered_inversion(self.inversion, labels, u),
            std_error_method=f"clustered{ways_in_words(len(ways))} ({correction})",
            pictured=None if self.pictured is None else partial(_clustered, self.pictured, labels, small_sample),
        ).explained()
        return self._followed(clustered, "cluster", by, small_sample)

    def collapse(self, unit: str | ColumnLike) -> Effect:
        """Sum the contributions to a coarser row (unit, household), the rows of later comparisons."""
        name = unit if isinstance(unit, str) else getattr(unit, "name", None) or "unit"
        if not isinstance(self.uncertainty, Influence):
            raise CausalError("only effects with contributions can be collapsed to a coarser row")
        u = self.uncertainty.collapse(self.rows.labels_of_rows(unit), name)
        rows = replace(self.rows, uncertainty=u)
        method = f"influence function, one row per {name}"
        inversion = _clustered_inversion(self.inversion, [self.rows.labels_of_rows(unit)], u)
        collapsed = replace(
            self, rows=rows, tests=None, inversion=inversion, std_error_method=method, pictured=None
        ).explained()
        return self._followed(collapsed, "collapse", unit)

    def interval(
        self, level: float | None = None, simultaneous: bool = False, random_state: int | None = 0
    ) -> pd.DataFrame:
        """Confidence intervals (rows, 2), pointwise or jointly valid for all rows.

        Parameters
        ----------
        level : float, optional
            Confidence level; the effect's own by default.
        simultaneous : bool
            Widen the intervals so that all of them cover at once.
        random_state : int, optional
            Seed of the draws behind a simultaneous band.
        """
        level = self.level if level is None else level
        if not isinstance(level, int | float | np.number) or not 0 < level < 1:
            raise CausalArgumentError(f"level must lie between 0 and 1, e.g. 0.95; got {level}")
        check_settings({"random_state": random_state})
        if simultaneous:
            self._refuse_simultaneous()
            rows = self.rows.on_scale
            se, centre = rows.std_errors, rows.centre
            c = simultaneous_critical(rows.uncertainty, level, random_state, se)
            low, high = self.rows.off_scale(centre - c * se, centre + c * se)
        else:
            low, high = self.rows.bounds(level, self.reference, self.alternative, strict=True)
        return pd.DataFrame({"conf_low": low, "conf_high": high}, index=self.rows.index)

    def confidence_set(self, level: float | None = None) -> pd.DataFrame:
        """Return the pieces of every row's confidence set: none, one or several where a test is inverted."""
        level = self.level if level is None else level
        return self.interval(level) if self.inversion is None else self.inversion(level)

    def test_zero(self) -> JointTest:
        """Test that every row (reference rows apart) is zero."""
        if self.rows.units is not None:
            raise CausalError("a joint test of one row per unit is refused; aggregate() to groups first")
        rows = self.rows.on_scale
        if self.reference_rows is not None:
            rows = rows.take(np.flatnonzero(~self.reference_rows))
        return joint_test(rows.uncertainty, rows.centre)

    def shrink(self) -> Effect:
        """Pull noisy rows towards their common mean (empirical Bayes, Morris 1983); rows are taken as independent."""
        shrunk = empirical_bayes(self.rows.centre, np.square(self.rows.std_errors))
        means = pd.Series(shrunk.mean, index=self.rows.index, name="estimate")
        pulled = replace(
            self._with_rows(Estimates(means, Variance(shrunk.variance))),
            std_error_method="empirical Bayes posterior (Morris 1983), rows taken as independent",
            facts={**self.facts, "common_mean": shrunk.centre, "variance_of_effects": shrunk.spread},
        )
        return self._followed(pulled, "shrink")

    # -- reading -----------------------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """Return one row of facts about the fit."""
        from pandas_causal.effect.summary import glance

        return glance(self)

    def summary(self) -> str:
        """Return at most 25 lines, ending with the assumptions and the warnings a reviewer would raise."""
        from pandas_causal.effect.summary import summary

        return summary(self)

    def plot(self, kind: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw the estimand's own picture and return the Axes.

        Parameters
        ----------
        kind : str, optional
            "forest" by default, "discontinuity" of a discontinuity; others where the diagnostics hold them (a wrong one
            is answered with the legal ones).
        ax : matplotlib Axes, optional
            Where to draw.
        """
        from pandas_causal.plotting import plot_effect

        return plot_effect(self, kind, ax)

    def sensitivity(self, method: str | None = None, **settings: Any) -> Any:
        """Relax what the design rests on: by default as the design does, else by a method.

        Parameters
        ----------
        method : str, optional
            "confounder" (how strong one must be; regressions, AIPW, TMLE, instruments), "e_value" (contrasts of
            arms), "rosenbaum" (matched pairs), "marginal" (IPW), "oster" (a coefficient), "tipping_point"
            (any), "rho" (mediation), "relative_magnitudes" or "smoothness" (event studies).
        **settings
            Of the method: see :func:`robustness.confounding.confounder_sensitivity`,
            :func:`robustness.e_value.e_value_of`, :func:`robustness.rosenbaum.rosenbaum_bounds` and
            :func:`difference_in_differences.honest_bounds.honest_bounds`.

        Returns
        -------
        Check
            With what the method adds to it (benchmarks, pictures, a breakdown value).
        """
        from pandas_causal.robustness.sensitivity import sensitivity_of

        return sensitivity_of(self, method, **settings)

    def bounds(self, method: str | None = None, **settings: Any) -> Any:
        """What can be said without assuming how treatment was chosen.

        Parameters
        ----------
        method : {"manski", "monotone_response", "monotone_selection", "monotone", "balke_pearl"}, optional
            "manski" by default, "balke_pearl" of instruments.
        **settings
            outcome_range, response, selection, estimand, level: see :func:`robustness.bounds.worst_case_bounds`.

        Returns
        -------
        Effect
            Rows "lower" and "upper" of every contrast, and ``confidence_set()`` of the effect between them; a Check of
            Balke and Pearl's.
        """
        from pandas_causal.robustness.bounds import bounds_of

        return bounds_of(self, method, **settings)

    def refute(
        self,
        refuter: str | Sequence[str] | None = None,
        *,
        study: pd.DataFrame | None = None,
        n_simulations: int = 100,
        n_jobs: int | None = None,
        alpha: float = 0.05,
        random_state: int = 0,
        progress: bool = True,
        negative_outcome: ColumnLike | str | None = None,
        negative_exposure: ColumnLike | str | None = None,
        graph: object = None,
    ) -> Refutation:
        """Change the data, or the method, where it is known what should come of it, and say whether it did.

        Parameters
        ----------
        refuter : str or list of str, optional
            "placebo_treatment", "random_common_cause", "subset", "bootstrap", "zero_outcome", "dummy_outcome",
            "add_noise", "leave_one_out", "simulated_confounder", "negative_outcome", "negative_exposure", "in_time",
            "in_space", "placebo_cutoffs", "graph", "permuted_graph". All that apply by default.
        study : DataFrame, optional
            The frame that was fitted to, for an effect that was stored without it.
        n_simulations : int
            Draws of a refuter.
        n_jobs : int, optional
            The result is the same for any number.
        alpha : float
            Level of the verdicts, which are Holm's over the refuters that ran.
        random_state : int
        progress : bool
            Show a bar after two seconds; Ctrl-C keeps what is done.
        negative_outcome : column or list of columns, optional
            Outcomes that the treatment cannot move.
        negative_exposure : column or list of columns, optional
            Exposures that cannot move the outcome.
        graph : CausalGraph, or what it reads, optional
            To be tested; by default the graph that the effect was asked with.

        Returns
        -------
        Refutation
            A table: what was changed, the estimate before and after, p-value, verdict, what a failure means; and what
            each refuter can see and what not. "Not refuted" is not "true": most of them cannot see confounding.

        Raises
        ------
        CausalArgumentError
            For an unknown refuter or one that does not apply, with those that do; for a wrong setting.
        CausalDataError
            The data have changed since the fit.
        """
        from pandas_causal.robustness.refutation import refute_effect

        return refute_effect(
            self, refuter, study=study, n_simulations=n_simulations, n_jobs=n_jobs, alpha=alpha,
            random_state=random_state, progress=progress, negative_outcome=negative_outcome,
            negative_exposure=negative_exposure, graph=graph,
        )  # fmt: skip

    def report(
        self,
        path: str | Path,
        *,
        title: str | None = None,
        audit: Audit | None = None,
        refutation: Refutation | None = None,
    ) -> Path:
        """Write one page of HTML: question, graph, answer, what it rests on, what would overturn it, how to repeat it.

        The page loads nothing and runs no script, and prints on A4.

        Parameters
        ----------
        path : str or Path
            The file; one that is there is replaced.
        title : str, optional
            By default what is estimated.
        audit : Audit, optional
            Of ``df.causal.audit(...)``, to be shown.
        refutation : Refutation, optional
            Of :meth:`refute`, to be shown.

        Returns
        -------
        Path
        """
        from pandas_causal.report.page import write_report

        return write_report(self, path, title=title, audit=audit, refutation=refutation)

    def compact(self) -> Effect:
        """Drop what is as long as the data, for storing; keeps the estimator's name and settings."""
        settings = self.estimator if isinstance(self.estimator, str) or self.estimator is None else repr(self.estimator)
        return replace(
            self,
            rows=replace(self.rows, uncertainty=self.uncertainty.compact(), units=None, weightings={}),
            estimator=settings,
            diagnostics={name: check.settled() for name, check in self.diagnostics.items()},
            inversion=getattr(self.inversion, "compact", lambda: self.inversion)(),
            pictured=None,
            study=None if self.study is None else self.study.without_data(),
            averages=None,
        )

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from pandas_causal.effect.summary import to_html

        return to_html(self)

    # -- what maketables reads to typeset a result -------------------------------------------------------------------

    @property
    def __maketables_coef_table__(self) -> pd.DataFrame:
        names = {
            "estimate": "b",
            "std_error": "se",
            "statistic": "t",
            "p_value": "p",
            "conf_low": "ci95l",
            "conf_high": "ci95u",
        }
        table = (self if self.level == 0.95 else replace(self, level=0.95)).table.rename(columns=names)
        return table.set_axis(pd.Index([str(label) for label in table.index], name="Coefficient"))

    @property
    def __maketables_depvar__(self) -> str:
        return str(self.facts.get("outcome", "outcome"))

    def __maketables_stat__(self, key: str) -> Any:
        return {"N": self.n_obs, "se_type": self.std_error_method}.get(key)

    @property
    def __maketables_default_stat_keys__(self) -> list[str]:
        return ["N", "se_type"]

    def explained(self) -> Effect:
        """Return itself, after a warning of every standard error that is missing, infinite, zero or of few treated."""
        few = few_treated_text(self.rows)
        kept = tuple(w for w in self.warnings if not is_few_treated_text(w) or w == few)  # of other rows: dropped
        new = [
            (text, kind)
            for text, kind in ((few, FewTreatedWarning), (std_error_text(self.rows), StandardErrorWarning))
            if text is not None and text not in kept
        ]
        for text, kind in new:
            warn(text, kind)
        texts = (*kept, *(text for text, _ in new))
        return self if texts == self.warnings else replace(self, warnings=texts)

    # -- private -----------------------------------------------------------------------------------------------------

    def _refuse_simultaneous(self) -> None:
        """Refuse bands that would not hold under this effect's law."""
        if self.alternative != "two-sided" or not isinstance(self.reference, Student | Normal):
            raise CausalError(
                f"simultaneous bands are two-sided and asymptotic; this effect is {self.alternative} under"
                f" {self.reference!r}: adjust its p-values instead, or fit it without these settings"
            )
        if isinstance(self.uncertainty, Draws) and self.uncertainty.around == "null":
            raise CausalError("a null distribution (placebo or permutation) has no interval for the estimate")

    def _scalar(self, column: str) -> float:
        if len(self) != 1:
            raise CausalError(
                f"this effect has {len(self):,} rows; read effect.table[{column!r}], or select: effect[label]"
            )
        return float(self._table[column].iloc[0])

    def _take(self, positions: Positions) -> Effect:
        taken = self._with_rows(self.rows.take(positions))
        if self.averages is not None:
            scores = replace(self.averages, rows=self.averages.rows.take(positions))
            taken = replace(taken, averages=scores)
        if self.tests is not None:
            taken = replace(taken, tests=self.tests.iloc[positions])
        if self.inversion is None:
            return taken
        if hasattr(self.inversion, "of_rows"):
            return replace(taken, inversion=self.inversion.of_rows(taken.rows.index))
        return replace(taken, inversion=_SomeRows(self.inversion, taken.rows.index))

    def _followed(self, mapped: Effect, method: str, *args: Any) -> Effect:
        """The mapped effect, with the study and the map that made it."""
        return mapped if self.study is None else replace(mapped, study=self.study.then(method, *args))

    def _with_rows(self, rows: Estimates, estimand: str | None = None) -> Effect:
        """Return the same fit with other rows."""
        words = self.estimand if estimand is None else estimand
        # what a test of the rows said of itself does not hold for a map of them
        method = self.std_error_method if self.tests is None else self.std_error_method.partition("; p-values")[0]
        undone: dict[str, Any] = dict.fromkeys(("inversion", "tests", "pictured", "study", "averages"))
        mapped = replace(self, rows=rows, estimand=words, **undone)
        return replace(mapped, std_error_method=method).explained()


def _name_of(labels: Any) -> Any:
    """What to call cluster labels in a sentence."""
    name = labels if isinstance(labels, str) else getattr(labels, "name", None)
    return "cluster" if name is None else name


def _clustered(pictured: Callable[[], Effect], labels: list[Any], small_sample: bool) -> Effect:
    """The effect that is drawn, clustered as the one that stands for it."""
    return pictured().cluster(labels, small_sample)


def _clustered_inversion(
    inversion: Callable[[float], pd.DataFrame] | None, labels: list[Any], uncertainty: Uncertainty
) -> Callable[[float], pd.DataFrame] | None:
    """A test inversion with the errors clustered, where it knows how (``clustered``)."""
    again = getattr(inversion, "clustered", None)
    clustered: Callable[[float], pd.DataFrame] | None = inversion if again is None else again(labels, uncertainty)
    return clustered


def _without_constant_levels(index: pd.Index) -> pd.Index:
    """Labels without the levels that are the same in all rows (one outcome of several); the last level stays."""
    return index.droplevel(_constant_levels(index)) if isinstance(index, pd.MultiIndex) else index


def _constant_levels(index: pd.Index) -> list[int]:
    constant = [k for k in range(index.nlevels) if len(index.get_level_values(k).unique()) == 1]
    return constant if len(constant) < index.nlevels else constant[:-1]


def _constant_labels(index: pd.Index) -> str:
    return " ".join(str(index.get_level_values(k)[0]) for k in _constant_levels(index))


@dataclass(frozen=True, eq=False)
class _SomeRows:
    """A test inversion, for some of its rows."""

    inversion: Callable[[float], pd.DataFrame]
    index: pd.Index

    def __call__(self, level: float) -> pd.DataFrame:
        pieces = self.inversion(level)
        return pieces[pieces.index.isin(self.index)]

    def clustered(self, labels: list[Any], uncertainty: Uncertainty) -> _SomeRows:
        """The same rows of the clustered inversion."""
        inversion = _clustered_inversion(self.inversion, labels, uncertainty)
        assert inversion is not None  # noqa: S101 - there is one
        return replace(self, inversion=inversion)
