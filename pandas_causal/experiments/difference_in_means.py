"""Randomised experiments: the difference in means, with the adjustments that make it sharper."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.arm_means import (
    WILD,
    ArmMeans,
    mean_contributions,
    mean_terms,
    means_components,
    with_wild_tests,
)
from pandas_causal.arms.arm_regression import ArmRegression, fit_arm_regression
from pandas_causal.arms.base import ArmComparison, Law
from pandas_causal.arms.cluster_robust import clustered_scores, sums_by_cluster
from pandas_causal.arms.estimands import EstimandPlan, plan_estimand
from pandas_causal.arms.sample import Sample
from pandas_causal.effect.bootstrap import SumsOverRows
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.effect.warnings_of_rows import std_error_text
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    CausalDataError,
    Problem,
    StandardErrorWarning,
    warn,
)
from pandas_causal.experiments.planning import sample_ratio
from pandas_causal.experiments.shares import SHARE_TESTS, compare_shares
from pandas_causal.inference.influence import Component, cluster_component, ways_in_words
from pandas_causal.inference.multiplicity import adjust_p_values
from pandas_causal.inference.reference import Anytime, anytime_rho
from pandas_causal.inference.scales import LogRatio
from pandas_causal.inference.weighted_means import weighted_mean_law
from pandas_causal.inputs.column_rules import as_float
from pandas_causal.inputs.parameters import FLAG, Legal, at_least, one_of
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats, Values
from pandas_causal.models.linear import StandardisedMatrix

__all__ = ["DifferenceInMeans", "corrected"]

_NOTHING = 1e-12  # beside a mean or its error: what rounding leaves of 0

RANDOMISED = (
    "treatment was assigned at random, independently of everything about the units (by design)",
    "no interference between units, and one version of each arm",
)


class DifferenceInMeans(ArmComparison):
    """Difference in mean outcomes of randomised arms.

    Rests on random assignment. By default Welch's comparison; covariates measured before assignment sharpen it without
    bias (Lin, CUPED), strata and clusters follow the design. ``effect.parameters`` are the arm means.

    Parameters
    ----------
    adjustment : {None, "lin", "cuped"}
        How covariates of X are used; None ignores them. "lin": regression in every arm. "cuped": one slope for all
        arms.
    variance : {"welch", "pooled", "proportion"}
        For unadjusted means: each arm's own variance, a common one (Student's t), or p (1 - p) / n of 0/1 outcomes.
    relative : bool or "log"
        Report lift, ``mean / control mean - 1``, by the delta method. "log": its intervals and p-values come from the
        log of the ratio, whose law is nearer the normal where the ratio is imprecise; means must be positive.
    test : {None, "pooled_z", "fisher", "barnard", "boschloo"}
        Of equal shares, for plain 0/1 outcomes: p-values come from it, intervals from `variance`. None: p-values from
        the interval's standard error.
    alternative : {"two-sided", "greater", "less"}
    correction : {None, "holm", "benjamini_hochberg"}
        For several arms; ``diagnostics["multiplicity"]`` holds the adjusted p-values.
    allocation : mapping of level to share or sequence, optional
        Planned arm sizes, for the sample-ratio check.
    anytime_n : int, optional
        Makes p-values and intervals valid under continuous peeking, tightest near so many rows.
    cluster_inference : {"satterthwaite", "wild"}
        With one way of clusters: CR2 with degrees of freedom of each contrast's own; or p-values and intervals of the
        wild cluster bootstrap with the null imposed.
    level : float
        Confidence level; with `anytime_n` it also sets the boundary.
    control : level, optional
        Reference arm.
    formula : str, optional
        Right-hand side that makes the covariates: see :class:`ArmComparison`.

    Attributes
    ----------
    effect_ : Effect

    References
    ----------
    Welch (1938); Lin (2013), Annals of Applied Statistics; Deng, Xu, Kohavi and Walker (2013), WSDM, eq. (2) for
    CUPED; Budylin, Drutsa, Katsev and Tsoy (2018), WSDM, for adjusted ratio metrics; Bell and McCaffrey (2002) for
    clusters; Waudby-Smith et al. (2024), Annals of Statistics, for the confidence sequence.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "adjustment": one_of(None, "lin", "cuped"),
        "variance": one_of("welch", "pooled", "proportion"),
        "test": one_of(None, *SHARE_TESTS),
        "alternative": one_of("two-sided", "greater", "less"),
        "correction": one_of(None, "holm", "benjamini_hochberg"),
        "cluster_inference": WILD,
        "relative": Legal(lambda v: v == "log" if isinstance(v, str) else FLAG.holds(v), "True or False, or 'log'"),
        "anytime_n": Legal(lambda v: v is None or at_least(1).holds(v), "None or the number of rows planned for"),
    }

    def __init__(
        self,
        *,
        adjustment: str | None = None,
        variance: str = "welch",
        relative: bool | str = False,
        test: str | None = None,
        alternative: str = "two-sided",
        correction: str | None = None,
        allocation: Any = None,
        anytime_n: int | None = None,
        cluster_inference: str = "satterthwaite",
        level: float = 0.95,
        control: Hashable = None,
        formula: str | None = None,
    ) -> None:
        self.adjustment = adjustment
        self.variance = variance
        self.relative = relative
        self.test = test
        self.alternative = alternative
        self.correction = correction
        self.allocation = allocation
        self.anytime_n = anytime_n
        self.cluster_inference = cluster_inference
        self.level = level
        self.control = control
        self.formula = formula

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        treatment: RoleLike = None,
        strata: RoleLike = None,
        denominator: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
            Covariates for the adjustment, and any roles given by name.
        y : array-like (n,)
            Outcome.
        treatment : str or array-like (n,)
        strata : str, list of str or array-like (n,), optional
            Blocks: means are compared within and averaged by the blocks' shares. Of several columns, combinations.
        denominator : str or array-like (n,), optional
            Ratio metric: the metric of an arm is mean outcome / mean denominator.
        cluster : str or array-like (n,), optional
            Units randomised together; errors are CR2, Student's t.
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}
        """
        sample = self.prepare(
            X,
            y,
            treatment=treatment,
            missing=missing,
            control=self.control,
            cluster=cluster,
            sample_weight=sample_weight,
            strata=strata,
            denominator=denominator,
        )
        self._check_together(strata, denominator, cluster, None if self._validated else sample_weight)
        plan = plan_estimand("ATE", sample.arms, sample.treatment)
        if self.adjustment == "cuped":
            _refuse_nothing_to_adjust_by(sample)
        strata_values = sample.inputs.joint("strata")
        design = StandardisedMatrix.of(_columns(sample, strata_values, adjust=self.adjustment == "lin"))
        ratio = sample.inputs.roles.get("denominator")
        denominator = None if ratio is None else as_float(ratio)
        if self.adjustment == "cuped":
            means, design = _cuped(sample, plan, denominator)
        elif denominator is not None:
            means = _ratio_parameters(sample, plan, design, denominator)
        else:
            means = _means(sample, plan, design, self.variance)
        if strata_values is not None:
            means = replace(means, method=f"{means.method}, averaged over strata")
        self._design, self._sample = design, sample
        self.effect_ = self._arrange(sample, plan, means)
        return self

    def score(self, X: Covariates, y: Outcome, treatment: RoleLike = None, sample_weight: RoleLike = None) -> float:
        """Held-out skill of the (adjusted) arm means: 1 - loss / loss of arm means, averaged; 0 without adjustment."""
        check_is_fitted(self, "effect_")
        held_out, sample = self.held_out(X, y, treatment, sample_weight), self._sample
        means = sample.arm_means()
        if self.adjustment is None:
            predicted = np.broadcast_to(means, (len(held_out.y), len(means)))
        else:
            fit = fit_arm_regression(self._design, sample.y, sample.codes, len(sample.arms), sample.w)
            predicted = self._design.on(held_out.X).rows(slice(None)) @ fit.coefficients.T
        return float(np.mean(held_out.skills(predicted, means)))

    def sums_over_rows(self) -> SumsOverRows | None:
        """The estimate as a function of sums by arm, where it is one: a bootstrap then needs no refit."""
        sample = self._sample
        if self._design.p > 1:
            return None
        ratio = sample.inputs.roles.get("denominator")
        columns = [sample.y] if ratio is None else [sample.y, as_float(ratio)]
        if sample.w is not None:
            columns = [c * sample.w for c in columns] + ([sample.w] if ratio is None else [])
        finish = partial(_contrasts_of_sums, relative=self.relative)
        return SumsOverRows(np.column_stack(columns), sample.codes, len(sample.arms), finish)

    @property
    def bootstrap_refusal(self) -> str | None:
        """Why a bootstrap of these settings would not keep what they promise, or None."""
        if self.anytime_n is not None:
            return (
                "a bootstrap's interval holds at one look at the data, not at every look: leave anytime_n= out, or take"
                " the anytime-valid sequence without a bootstrap"
            )
        if self.test is not None:
            return f"a bootstrap has p-values of its own: leave test={self.test!r} out"
        return None

    # -- private -----------------------------------------------------------------------------------------------------

    @property
    def uses_covariates(self) -> bool:  # type: ignore[override]
        """Only an adjustment reads covariates."""
        return self.adjustment is not None

    def _check_together(
        self, strata: RoleLike, denominator: RoleLike, cluster: RoleLike, sample_weight: RoleLike
    ) -> None:
        if self.anytime_n is not None and self.alternative != "two-sided":
            raise CausalArgumentError("the anytime-valid sequence (anytime_n=) is two-sided")
        if self.anytime_n is not None and self.test is not None:
            raise CausalArgumentError(f"test={self.test!r} holds at one look; the anytime-valid sequence has its own")
        plain = self.adjustment is None and strata is None and denominator is None and cluster is None
        if self.variance != "welch" and not plain:
            raise CausalArgumentError(
                f"variance={self.variance!r} is for plain means; adjusted, clustered and ratio metrics have their own"
            )
        if self.test is not None and not (plain and sample_weight is None):
            raise CausalArgumentError(
                f"test={self.test!r} is for plain shares, without covariates, strata, denominator, cluster or weights"
            )
        if self.cluster_inference == "wild" and (
            denominator is not None or self.relative or self.adjustment == "cuped" or self.anytime_n is not None
        ):
            raise CausalArgumentError(
                "cluster_inference='wild' is for differences of means, plain or adjusted by 'lin'; leave out"
                " denominator=, relative=, adjustment='cuped' and anytime_n="
            )
        if self.adjustment == "cuped" and (strata is not None or cluster is not None):
            raise CausalArgumentError("adjustment='cuped' takes no strata or cluster; use adjustment='lin', which does")

    def _arrange(self, sample: Sample, plan: EstimandPlan, means: ArmMeans) -> Effect:
        """Contrasts of the metric between arms: differences, or lifts."""
        denominator = sample.inputs.roles.get("denominator")
        index = pd.Index(sample.arms.contrasts, name=sample.treatment)
        # a difference is a linear map of the means; a ratio and a lift go through the means themselves
        if denominator is None and not self.relative:
            effect = self._finished(sample, plan, means, index)
        else:
            with warnings.catch_warnings():  # a mean without error (of a constant) may leave a metric that has one
                warnings.simplefilter("ignore", StandardErrorWarning)
                effect = self._finished(sample, _each_mean(plan, sample, ratio=denominator is not None), means, None)
            told = tuple(w for w in effect.warnings if w != std_error_text(effect.rows))
            rows = effect.rows if denominator is None else _ratios(effect.rows, sample)
            if self.relative:
                told = (*told, *_unstable_base(rows))
                rows = _lift(rows, sample, on_log_scale=self.relative == "log")
            else:
                rows = rows.linear(_differences(sample), index=index)
            effect = replace(effect, rows=rows, warnings=told).explained()
        if self.test is not None:
            effect = _tested(effect, sample, self.test)
        if self.cluster_inference == "wild":
            fit = fit_arm_regression(self._design, sample.y, sample.codes, len(sample.arms), sample.w)
            terms = mean_terms(fit, plan, sample.codes, sample.w)
            effect = with_wild_tests(effect, fit, terms, sample.codes, plan.loadings, sample)
        return effect if self.correction is None else corrected(effect, self.correction)

    def _finished(self, sample: Sample, plan: EstimandPlan, means: ArmMeans, index: pd.Index | None) -> Effect:
        """The rows of a plan as an Effect, with its reference law and checks."""
        denominator = sample.inputs.roles.get("denominator")
        metric = f"mean {sample.outcome}" if denominator is None else f"{sample.outcome} per {denominator.name}"
        method, law = means.method, Law(self.level, self.alternative)
        if self.anytime_n is not None:
            law = replace(law, reference=Anytime(len(sample), anytime_rho(int(self.anytime_n), 1 - self.level)))
            method += "; anytime-valid sequence (Waudby-Smith et al. 2024)"
        checks: dict[str, Any] = {}
        if self.allocation is not None:
            checks["sample_ratio"] = sample_ratio(sample.arms.counts, sample.arms.levels, self.allocation)
        if sample.X.shape[1]:
            checks["balance"] = sample.balance
        return self.finish(
            sample,
            plan if index is None else replace(plan, index=index),
            means.values,
            means.contributions,
            components=means.components,
            assumptions=RANDOMISED,
            std_error_method=method,
            estimand=f"{'lift' if self.relative else 'difference'} in {metric} by {sample.treatment}",
            diagnostics=checks,
            warned=_mismatch_warning(checks),
            law=law,
        )


def _tested(effect: Effect, sample: Sample, test: str) -> Effect:
    """Statistics and p-values of a test of shares in place of the interval's."""
    if not np.isin(sample.y, (0.0, 1.0)).all():
        raise CausalArgumentError(f"test={test!r} is of shares and needs a 0/1 or bool outcome")
    successes = np.bincount(sample.codes, weights=sample.y).astype(int)
    tests = compare_shares(successes, sample.arms.counts, test, effect.alternative)
    words = f"{effect.std_error_method}; p-values: {SHARE_TESTS[test]}"
    return replace(effect, tests=tests.set_axis(effect.rows.index), std_error_method=words)


def _each_mean(plan: EstimandPlan, sample: Sample, *, ratio: bool) -> EstimandPlan:
    """The plan whose rows are the parameters themselves: mean outcomes, and mean denominators after them."""
    names = plan.names
    if ratio:
        parts = [f"{part} | {v}" for part in ("outcome", "denominator") for v in sample.arms.levels]
        names = pd.Index(parts, name="mean")
    return EstimandPlan("ATE", plan.targets, np.eye(len(names)), names, names)


def _ratios(means: Estimates, sample: Sample) -> Estimates:
    """Mean outcome per mean denominator, by arm."""
    K = len(sample.arms)

    def slopes(m: Floats) -> Floats:
        return np.hstack([np.diag(1 / m[K:]), np.diag(-m[:K] / np.square(m[K:]))])

    return means.transform(lambda m: m[:K] / m[K:], slopes, index=[str(v) for v in sample.arms.levels])


def _lift(metric: Estimates, sample: Sample, *, on_log_scale: bool) -> Estimates:
    """Metric of every arm beside the control's, less 1.

    Raises
    ------
    CausalDataError
        If the control's metric is 0, or, on the log scale, if one is negative or 0.
    """
    control, *others = sample.arms.levels
    values, counts = metric.array, sample.arms.counts
    if abs(values[0]) <= _NOTHING * max(np.abs(values).max(), metric.std_errors.max()):
        text = f"is 0 on average in the {counts[0]:,} rows of the control {control!r}, and a lift is relative to that"
        raise CausalDataError([Problem(sample.outcome, text, None, "report the difference: relative=False")])
    if on_log_scale and values.min() <= 0:
        a = int(values.argmin())
        text = f"is {values[a]:.3g} on average in the {counts[a]:,} rows of arm {sample.arms.levels[a]!r}"
        remedy = "a log needs positive averages: use relative=True, or report the difference"
        raise CausalDataError([Problem(sample.outcome, text, None, remedy)])

    def slopes(m: Floats) -> Floats:
        return np.column_stack([-m[1:] / m[0] ** 2, np.eye(len(m) - 1) / m[0]])

    index = pd.Index([f"{v} / {control} - 1" for v in others], name=sample.treatment)
    lift = metric.transform(lambda m: m[1:] / m[0] - 1, slopes, index=index)
    return replace(lift, scale=LogRatio()) if on_log_scale else lift


def _differences(sample: Sample) -> Floats:
    """Map (K - 1, K) from metrics to their differences with the control."""
    K = len(sample.arms)
    return np.hstack([-np.ones((K - 1, 1)), np.eye(K - 1)])


def _contrasts_of_sums(sums: Floats, relative: bool | str) -> Floats:
    """Contrasts or lifts (draws, K - 1) from sums by arm: rows, outcome, and what divides it where rows do not."""
    means = sums[:, :, 1] / (sums[:, :, 0] if sums.shape[2] == 2 else sums[:, :, 2])
    return means[:, 1:] / means[:, :1] - 1 if relative else means[:, 1:] - means[:, :1]


def _columns(sample: Sample, strata: pd.Series[Any] | None, *, adjust: bool) -> Floats:
    """Columns of the regression: dummies of the strata, then covariates."""
    parts = [sample.X] if adjust and sample.X.shape[1] else []
    if strata is not None:
        groups, names = pd.factorize(strata, sort=True)
        cells = np.zeros((len(names), len(sample.arms)), dtype=int)
        np.add.at(cells, (groups, sample.codes), 1)
        if cells.min() < 2:
            g, a = np.unravel_index(int(cells.argmin()), cells.shape)
            stratum = names.tolist()[int(g)]
            raise CausalDataError(
                f"stratum {stratum!r} has {cells.min()} rows of arm {sample.arms.levels[a]!r}; every arm needs at"
                f" least 2 in every stratum ({int((cells < 2).sum())} of {cells.size} cells have fewer): merge strata"
            )
        parts.insert(0, (groups[:, None] == np.arange(1, len(names))).astype(float))
    return np.hstack(parts) if parts else np.empty((len(sample), 0))


def _means(sample: Sample, plan: EstimandPlan, design: StandardisedMatrix, variance: str) -> ArmMeans:
    """Arm means, plain or adjusted by least squares in every arm."""
    K = len(sample.arms)
    fit = fit_arm_regression(design, sample.y, sample.codes, K, sample.w, sample.arm_names)
    if design.p > 1:
        return means_components(fit, plan, sample.codes, sample.w, sample.cluster)
    weights = _mean_weights(sample)
    contributions = weights * fit.residuals[:, None]
    values = fit.coefficients[:, 0]
    if sample.cluster:
        return ArmMeans(values, contributions, *_clustered(sample, fit, weights))
    unbiased = _mean_components(sample, fit, contributions)
    weighted = "" if sample.w is None else ", weighted"
    if variance == "proportion":
        if not np.isin(sample.y, (0.0, 1.0)).all():
            raise CausalArgumentError("variance='proportion' needs a 0/1 or bool outcome")
        counts = sample.arms.counts
        terms = tuple(Component(c.meat * (n - 1) / n) for c, n in zip(unbiased, counts, strict=True))
        return ArmMeans(values, contributions, terms, f"proportions{weighted}, normal law")
    if variance == "pooled":
        common = _pooled(sample, fit, weights)
        return ArmMeans(values, contributions, (common,), f"pooled variance{weighted}, Student's t")
    return ArmMeans(values, contributions, unbiased, f"Welch{weighted}")


def _refuse_nothing_to_adjust_by(sample: Sample) -> None:
    """Refuse CUPED without covariates, or by covariates that are the same in every row."""
    if sample.X.shape[1]:
        return
    given = list(sample.inputs.covariates.columns)
    if not given:
        raise CausalArgumentError("adjustment='cuped' needs covariates measured before assignment")
    named = ", ".join(map(repr, given[:5])) + (", ..." if len(given) > 5 else "")
    raise CausalDataError(
        f"adjustment='cuped' has nothing to adjust by: the covariates ({named}) hold the same value in all"
        f" {len(sample):,} rows; give others, or leave covariates= out"
    )


def _mean_components(sample: Sample, fit: ArmRegression, contributions: Floats) -> tuple[Component, ...]:
    """One variance term per arm of means, plain or weighted, of one column or several."""
    K = len(sample.arms)
    if sample.w is None and contributions.shape[1] == K:  # a row counts for the mean of its own arm alone
        n = sample.arms.counts
        squares = np.bincount(sample.codes, weights=np.square(fit.residuals) * fit.hc2, minlength=K) / np.square(n)
        return tuple(Component(np.diag(np.where(np.arange(K) == a, squares, 0.0)), float(n[a] - 1)) for a in range(K))
    if sample.w is None:
        return _by_arm(contributions * np.sqrt(fit.hc2)[:, None], sample.codes, sample.arms.counts)
    return _weighted_welch(sample, contributions)


def _pooled(sample: Sample, fit: ArmRegression, weights: Floats) -> Component:
    """One variance for the rows of all arms, unbiased whatever the weights.

    With shares ``h = w / sum w`` and ``S = sum h^2`` the squared residuals of an arm sum to ``sigma^2 (n - 2 + n S)``
    on average, a quadratic form whose matrix has n - 2 eigenvalues of 1 and one of ``n S`` (n - 1 of 1 where weights
    are equal); Satterthwaite's degrees of freedom follow.
    """
    n, S = sample.arms.counts, np.square(weights).sum(axis=0)
    trace = float((n - 2 + n * S).sum())
    common = np.square(fit.residuals).sum() / trace
    return Component(common * np.diag(S), trace**2 / float((n - 2 + np.square(n * S)).sum()))


def _weighted_welch(sample: Sample, contributions: Floats) -> tuple[Component, ...]:
    """One variance term per arm of weighted means, unbiased whatever the weights where the noise is even."""
    out = []
    shares = _mean_weights(sample)
    for a in range(len(sample.arms)):
        inside = sample.codes == a
        law = weighted_mean_law(shares[inside, a])
        part = contributions[inside] / np.sqrt(law.slack)[:, None]
        out.append(Component(part.T @ part, law.df))
    return tuple(out)


def _mean_weights(sample: Sample) -> Floats:
    """Weights (n, K) that give arm means."""
    codes, w = sample.codes, sample.w
    share = (1 / np.bincount(codes, weights=w))[codes]
    if w is not None:
        share *= w
    return np.where(codes[:, None] == np.arange(len(sample.arms)), share[:, None], 0.0)


def _by_arm(adjusted: Floats, codes: Values, counts: Values) -> tuple[Component, ...]:
    """One variance term per arm, n_a - 1 degrees of freedom each: Welch and Satterthwaite."""
    out = []
    for a, n in enumerate(counts):
        own = adjusted.T * (codes == a)
        out.append(Component(own @ adjusted, float(n - 1)))
    return tuple(out)


def _clustered(sample: Sample, fit: ArmRegression, weights: Floats) -> tuple[tuple[Component, ...], str]:
    """CR2 by one set of clusters, by arm where every cluster lies in one arm; CR1 by several."""
    if len(sample.cluster) > 1:
        component = cluster_component(weights * fit.residuals[:, None], sample.cluster, p=weights.shape[1])
        return (component,), f"clustered{ways_in_words(len(sample.cluster))} (CR1)"
    K = len(sample.arms)
    clusters = sums_by_cluster(fit, sample.codes, sample.w, sample.cluster[0])
    sums, df = clustered_scores(fit, clusters, np.ones((K, 1)), np.arange(K))
    if not clusters.nested:
        return (Component(sums.T @ sums, float(len(sums) - 1), by_row=df),), "clustered (CR2), Satterthwaite"
    per_arm = np.bincount(clusters.arm, minlength=K)
    if per_arm.min() < 2:
        level = sample.arms.levels[int(per_arm.argmin())]
        raise CausalDataError(
            f"arm {level!r} has one cluster only, so its variance cannot be estimated; at least 2 per arm are needed"
        )
    # a term for every arm, which may vary differently, each with the degrees of freedom of its own clusters
    terms = [np.outer(column, column) for column in np.eye(K)]
    freedom = df(np.eye(K))
    squares = np.square(sums).sum(axis=0)
    components = tuple(Component(term * squares[a], float(freedom[a])) for a, term in enumerate(terms))
    return components, "clustered (CR2), Satterthwaite"


def _ratio_parameters(sample: Sample, plan: EstimandPlan, design: StandardisedMatrix, denominator: Floats) -> ArmMeans:
    """Means of outcome and denominator by arm (2 K parameters), each adjusted by the design.

    Their ratios follow by the delta method. Least squares is linear in the outcome, so the adjusted ratio R is the one
    at which the linearised metric ``outcome - R denominator`` has an adjusted mean of 0, and its variance is that
    metric's (Budylin et al. 2018).
    """
    K = len(sample.arms)
    fits = [fit_arm_regression(design, v, sample.codes, K, sample.w, sample.arm_names) for v in (sample.y, denominator)]
    means, by_coefficients, by_sampling = zip(
        *(mean_contributions(f, plan, sample.codes, sample.w) for f in fits), strict=True
    )
    values = np.concatenate(means)
    first, second = (_without_rounding(np.hstack(part), values) for part in (by_coefficients, by_sampling))
    if (values[K:] <= 0).any():
        a = int(values[K:].argmin())
        name = sample.inputs.roles["denominator"].name
        raise CausalDataError(
            f"{name}: the denominator's mean must be positive in every arm; it is {values[K + a]:.3g} in the"
            f" {sample.arms.counts[a]:,} rows of arm {sample.arms.levels[a]!r}"
        )
    contributions = first + second
    if sample.cluster:
        component = cluster_component(contributions, sample.cluster, p=2 * K)
        method = f"delta method, clustered{ways_in_words(len(sample.cluster))} (CR1)"
        return ArmMeans(values, contributions, (component,), method)
    if design.p == 1:
        weighted = "" if sample.w is None else ", weighted"
        return ArmMeans(
            values, contributions, _mean_components(sample, fits[0], first), f"delta method, Welch{weighted}"
        )
    adjusted = first * np.sqrt(fits[0].hc2)[:, None]  # leverage is the design's, the same for both columns
    meat = adjusted.T @ adjusted + second.T @ second + first.T @ second + second.T @ first
    return ArmMeans(values, contributions, (Component(meat, fits[0].df),), "delta method, HC2, Student's t")


def _cuped(
    sample: Sample, plan: EstimandPlan, denominator: Floats | None = None
) -> tuple[ArmMeans, StandardisedMatrix]:
    """Means of ``y - theta'(x - mean x)`` with one theta for all arms (Deng et al. 2013, eq. 2).

    The mean of x in the formula is estimated from all rows; it cancels from differences, and enters the level of an arm
    (hence a lift or a ratio) as a term of its own. A denominator has a theta of its own.
    """
    n, K = len(sample), len(sample.arms)
    design, none = StandardisedMatrix.of(sample.X), StandardisedMatrix.of(np.empty((n, 0)))
    columns = [sample.y] if denominator is None else [sample.y, denominator]
    shifts = [_explained(design, v, sample.w) for v in columns]
    adjusted = replace(sample, y=sample.y - shifts[0])
    if denominator is None:
        plain = _means(adjusted, plan, none, "welch")
    else:
        plain = _ratio_parameters(adjusted, plan, none, denominator - shifts[1])
    w = np.ones(n) if sample.w is None else sample.w
    level = np.repeat(np.column_stack(shifts) * (w / w.sum())[:, None], K, axis=1)
    level = _without_rounding(level, plain.values)
    between = level.T @ plain.contributions
    extra = Component(level.T @ level + between + between.T, float(n - 1))
    return ArmMeans(
        plain.values, plain.contributions + level, (*plain.components, extra), f"CUPED, {plain.method}"
    ), design


def _without_rounding(contributions: Floats, values: Floats) -> Floats:
    """Contributions (n, k), exactly 0 where they are what rounding leaves of a constant column's."""
    size = np.sqrt(np.square(contributions).sum(axis=0))
    return np.where(size > _NOTHING * np.abs(values), contributions, 0.0)


def _explained(design: StandardisedMatrix, v: Floats, w: Floats | None) -> Floats:
    """What covariates explain of a column in all rows (n,), less its mean."""
    pooled = fit_arm_regression(design, v, np.zeros(len(v), dtype=np.int8), 1, w, ["the regression of all arms"])
    fitted = pooled.predictions[:, 0]
    return np.asarray(fitted - np.average(fitted, weights=w))


def _mismatch_warning(checks: dict[str, Any]) -> list[str]:
    check = checks.get("sample_ratio")
    if not isinstance(check, Check) or check.passed:
        return []
    warn(f"sample-ratio mismatch: {check.summary}", AssumptionWarning)
    return [f"sample-ratio mismatch: {check.summary}"]


def _unstable_base(metric: Estimates) -> list[str]:
    """Warn where the control mean is within three standard errors of zero: a ratio to it has no normal law."""
    if abs(metric.array[0]) > 3 * metric.std_errors[0]:
        return []
    text = "the control mean is close to zero beside its standard error; read the difference, not the lift"
    warn(text, AssumptionWarning)
    return [text]


def corrected(effect: Effect, correction: str) -> Effect:
    """Attach p-values adjusted for several arms."""
    p = effect.table["p_value"].to_numpy()
    table = pd.DataFrame({"p_value": p, "p_adjusted": adjust_p_values(p, correction)}, index=effect.estimates.index)
    n_different = int((table["p_adjusted"] < 1 - effect.level).sum())
    name = {"holm": "Holm", "benjamini_hochberg": "Benjamini-Hochberg"}[correction]
    text = (
        f"{n_different} of {len(table)} contrasts differ from zero at {1 - effect.level:.3g} after {name}'s correction"
    )
    return replace(effect, diagnostics=Checks({**effect.diagnostics, "multiplicity": Check(None, table, text)}))
