"""Randomised experiments: the difference in means, with the adjustments that make it sharper."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.arm_regression import (
    ArmMeans,
    ArmRegression,
    cr2_residuals,
    fit_arm_regression,
    means_components,
)
from pandas_causal.arms.base import ArmComparison, Law
from pandas_causal.arms.estimands import EstimandPlan, plan_estimand
from pandas_causal.arms.sample import Sample
from pandas_causal.effect.bootstrap import SumsOverRows
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import AssumptionWarning, CausalArgumentError, CausalDataError, warn
from pandas_causal.experiments.planning import sample_ratio
from pandas_causal.inference.influence import Component, cluster_component, cluster_sums, ways_in_words
from pandas_causal.inference.multiplicity import adjust_p_values
from pandas_causal.inference.reference import Anytime, anytime_rho
from pandas_causal.inference.weighted_means import weighted_mean_law
from pandas_causal.inputs.column_rules import as_float
from pandas_causal.inputs.parameters import FLAG, Legal, at_least, one_of
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats, Values
from pandas_causal.models.linear import StandardisedMatrix

__all__ = ["DifferenceInMeans"]

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
    relative : bool
        Report lift, ``mean / control mean - 1``, by the delta method.
    alternative : {"two-sided", "greater", "less"}
    correction : {None, "holm", "benjamini_hochberg"}
        For several arms; ``diagnostics["multiplicity"]`` holds the adjusted p-values.
    allocation : mapping of level to share or sequence, optional
        Planned arm sizes, for the sample-ratio check.
    anytime_n : int, optional
        Makes p-values and intervals valid under continuous peeking, tightest near so many rows.
    level : float
        Confidence level; with `anytime_n` it also sets the boundary.
    control : level, optional
        Reference arm.

    Attributes
    ----------
    effect_ : Effect

    References
    ----------
    Welch (1938); Lin (2013), Annals of Applied Statistics; Deng, Xu, Kohavi and Walker (2013), WSDM, eq. (2) for
    CUPED; Bell and McCaffrey (2002) for clusters; Waudby-Smith et al. (2024), Annals of Statistics, for the confidence
    sequence.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "adjustment": one_of(None, "lin", "cuped"),
        "variance": one_of("welch", "pooled", "proportion"),
        "alternative": one_of("two-sided", "greater", "less"),
        "correction": one_of(None, "holm", "benjamini_hochberg"),
        "relative": FLAG,
        "anytime_n": Legal(lambda v: v is None or at_least(1).holds(v), "None or the number of rows planned for"),
    }

    def __init__(
        self,
        *,
        adjustment: str | None = None,
        variance: str = "welch",
        relative: bool = False,
        alternative: str = "two-sided",
        correction: str | None = None,
        allocation: Any = None,
        anytime_n: int | None = None,
        level: float = 0.95,
        control: Hashable = None,
    ) -> None:
        self.adjustment = adjustment
        self.variance = variance
        self.relative = relative
        self.alternative = alternative
        self.correction = correction
        self.allocation = allocation
        self.anytime_n = anytime_n
        self.level = level
        self.control = control

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
        self._check_together(strata, denominator, cluster)
        plan = plan_estimand("ATE", sample.arms, sample.treatment)
        strata_values = sample.inputs.joint("strata")
        design = StandardisedMatrix.of(_columns(sample, strata_values, adjust=self.adjustment == "lin"))
        ratio = sample.inputs.roles.get("denominator")
        if ratio is not None:
            means = _ratio_parameters(sample, as_float(ratio), design)
        elif self.adjustment == "cuped":
            means, design = _cuped(sample, plan)
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

    # -- private -----------------------------------------------------------------------------------------------------

    @property
    def uses_covariates(self) -> bool:  # type: ignore[override]
        """Only an adjustment reads covariates."""
        return self.adjustment is not None

    def _check_together(self, strata: RoleLike, denominator: RoleLike, cluster: RoleLike) -> None:
        if self.anytime_n is not None and self.alternative != "two-sided":
            raise CausalArgumentError("the anytime-valid sequence (anytime_n=) is two-sided")
        plain = self.adjustment is None and strata is None and denominator is None and cluster is None
        if self.variance != "welch" and not plain:
            raise CausalArgumentError(
                f"variance={self.variance!r} is for plain means; adjusted, clustered and ratio metrics have their own"
            )
        if denominator is not None and (self.adjustment is not None or strata is not None):
            raise CausalArgumentError("a ratio metric takes no adjustment or strata here")
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
            metric = self._finished(sample, _each_mean(plan, sample, ratio=denominator is not None), means, None)
            if denominator is not None:
                metric = _ratios(metric, sample)
            effect = _lift(metric, sample) if self.relative else metric.linear(_differences(sample), index=index)
        return effect if self.correction is None else _corrected(effect, self.correction)

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


def _each_mean(plan: EstimandPlan, sample: Sample, *, ratio: bool) -> EstimandPlan:
    """The plan whose rows are the parameters themselves: mean outcomes, and mean denominators after them."""
    names = plan.names
    if ratio:
        parts = [f"{part} | {v}" for part in ("outcome", "denominator") for v in sample.arms.levels]
        names = pd.Index(parts, name="mean")
    return EstimandPlan("ATE", plan.targets, np.eye(len(names)), names, names)


def _ratios(means: Effect, sample: Sample) -> Effect:
    """Mean outcome per mean denominator, by arm."""
    K = len(sample.arms)
    return means.transform(lambda m: m[:K] / m[K:], index=[str(v) for v in sample.arms.levels])


def _lift(means: Effect, sample: Sample) -> Effect:
    """Metric of every arm beside the control's, less 1."""
    control, *others = sample.arms.levels
    index = pd.Index([f"{v} / {control} - 1" for v in others], name=sample.treatment)
    return _stable_base(means).transform(lambda m: m[1:] / m[0] - 1, index=index)


def _differences(sample: Sample) -> Floats:
    """Map (K - 1, K) from metrics to their differences with the control."""
    K = len(sample.arms)
    return np.hstack([-np.ones((K - 1, 1)), np.eye(K - 1)])


def _contrasts_of_sums(sums: Floats, relative: bool) -> Floats:
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
            raise CausalDataError(
                f"stratum {names[int(g)]!r} has {cells.min()} rows of arm {sample.arms.levels[a]!r}; every arm needs at"
                f" least 2 in every stratum ({int((cells < 2).sum())} of {cells.size} cells have fewer): merge strata"
            )
        parts.insert(0, (groups[:, None] == np.arange(1, len(names))).astype(float))
    return np.hstack(parts) if parts else np.empty((len(sample), 0))


def _means(sample: Sample, plan: EstimandPlan, design: StandardisedMatrix, variance: str) -> ArmMeans:
    """Arm means, plain or adjusted by least squares in every arm."""
    K = len(sample.arms)
    fit = fit_arm_regression(design, sample.y, sample.codes, K, sample.w)
    if design.p > 1:
        return means_components(fit, plan, sample.codes, sample.w, sample.cluster)
    weights = _mean_weights(sample)
    contributions = weights * fit.residuals[:, None]
    values = fit.coefficients[:, 0]
    if sample.cluster:
        return ArmMeans(values, contributions, *_clustered(sample, fit, weights))
    if variance == "proportion":
        if not np.isin(sample.y, (0.0, 1.0)).all():
            raise CausalArgumentError("variance='proportion' needs a 0/1 or bool outcome")
        return ArmMeans(values, contributions, (Component(contributions.T @ contributions),), "proportions, normal law")
    counts = sample.arms.counts
    if variance == "pooled":
        freedom = float(len(sample) - K)
        common = np.square(fit.residuals).sum() / freedom
        meat = common * np.diag(np.square(weights).sum(axis=0))  # common / n_a without sample weights
        return ArmMeans(values, contributions, (Component(meat, freedom),), "pooled variance, Student's t")
    if sample.w is not None:
        return ArmMeans(values, contributions, _weighted_welch(sample, contributions, weights), "Welch, weighted")
    welch = _by_arm(contributions * np.sqrt(fit.hc2)[:, None], sample.codes, counts)
    return ArmMeans(values, contributions, welch, "Welch")


def _weighted_welch(sample: Sample, contributions: Floats, weights: Floats) -> tuple[Component, ...]:
    """One variance term per arm of weighted means, unbiased whatever the weights where the noise is even.

    Raises
    ------
    CausalDataError
        An arm whose weights are worth fewer than two rows, ``1 / S < 2``.
    """
    out = []
    for a, level in enumerate(sample.arms.levels):
        inside = sample.codes == a
        law = weighted_mean_law(weights[inside, a])
        if not law.known:
            raise CausalDataError(law.refusal(f"{int(inside.sum()):,} rows of arm {level!r}"))
        part = contributions[inside] / np.sqrt(law.slack)[:, None]
        out.append(Component(part.T @ part, law.df))
    return tuple(out)


def _mean_weights(sample: Sample) -> Floats:
    """Weights (n, K) that give arm means."""
    w = np.ones(len(sample)) if sample.w is None else sample.w
    out = np.zeros((len(sample), len(sample.arms)))
    out[np.arange(len(sample)), sample.codes] = w / np.bincount(sample.codes, weights=w)[sample.codes]
    return out


def _by_arm(adjusted: Floats, codes: Values, counts: Values) -> tuple[Component, ...]:
    """One variance term per arm, n_a - 1 degrees of freedom each: Welch and Satterthwaite."""
    out = []
    for a, n in enumerate(counts):
        part = adjusted[codes == a]
        out.append(Component(part.T @ part, float(n - 1)))
    return tuple(out)


def _clustered(sample: Sample, fit: ArmRegression, weights: Floats) -> tuple[tuple[Component, ...], str]:
    """CR2 by one set of clusters, by arm where every cluster lies in one arm; CR1 by several."""
    if len(sample.cluster) > 1:
        component = cluster_component(weights * fit.residuals[:, None], sample.cluster, p=weights.shape[1])
        return (component,), f"clustered{ways_in_words(len(sample.cluster))} (CR1)"
    adjusted = weights * cr2_residuals(fit, sample.codes, sample.w, sample.cluster[0])[:, None]
    sums = cluster_sums(adjusted, sample.cluster[0]).to_numpy()
    touched = cluster_sums((weights > 0).astype(float), sample.cluster[0]).to_numpy() > 0
    per_arm = touched.sum(axis=0)
    if (touched.sum(axis=1) == 1).all():
        if per_arm.min() < 2:
            level = sample.arms.levels[int(per_arm.argmin())]
            raise CausalDataError(
                f"arm {level!r} has one cluster only, so its variance cannot be estimated; at least 2 per arm are"
                " needed"
            )
        return _by_arm(sums, touched.argmax(axis=1), per_arm), "clustered (CR2), Satterthwaite"
    return (Component(sums.T @ sums, float(len(sums) - 1)),), "clustered (CR2)"


def _ratio_parameters(sample: Sample, denominator: Floats, design: StandardisedMatrix) -> ArmMeans:
    """Means of outcome and denominator by arm (2 K parameters); their ratios follow by the delta method."""
    K, weights = len(sample.arms), _mean_weights(sample)
    fits = [fit_arm_regression(design, v, sample.codes, K, sample.w) for v in (sample.y, denominator)]
    values = np.concatenate([f.coefficients[:, 0] for f in fits])
    if (values[K:] <= 0).any():
        raise CausalDataError("the denominator's mean must be positive in every arm")
    contributions = np.hstack([weights * f.residuals[:, None] for f in fits])
    if sample.cluster:
        component = cluster_component(contributions, sample.cluster, p=2 * K)
        return ArmMeans(values, contributions, (component,), "delta method, clustered (CR1)")
    adjusted = contributions * np.sqrt(fits[0].hc2)[:, None]
    by_arm = _by_arm(adjusted, sample.codes, sample.arms.counts)
    return ArmMeans(values, contributions, by_arm, "delta method, Welch")


def _cuped(sample: Sample, plan: EstimandPlan) -> tuple[ArmMeans, StandardisedMatrix]:
    """Means of ``y - theta'(x - mean x)`` with one theta for all arms (Deng et al. 2013, eq. 2).

    The mean of x in the formula is estimated from all rows; it cancels from differences, and enters the level of an arm
    (hence a lift) as a term of its own.
    """
    if not sample.X.shape[1]:
        raise CausalArgumentError("adjustment='cuped' needs covariates measured before assignment")
    design = StandardisedMatrix.of(sample.X)
    n = len(sample)
    pooled = fit_arm_regression(design, sample.y, np.zeros(n, dtype=np.int8), 1, sample.w)
    shift = pooled.predictions[:, 0] - np.average(pooled.predictions[:, 0], weights=sample.w)
    adjusted = replace(sample, y=sample.y - shift)
    plain = _means(adjusted, plan, StandardisedMatrix.of(np.empty((n, 0))), "welch")
    contributions = plain.contributions
    w = np.ones(n) if sample.w is None else sample.w
    level = np.repeat((w * shift / w.sum())[:, None], len(plain.values), axis=1)
    extra = Component(level.T @ level + level.T @ contributions + contributions.T @ level, float(n - 1))
    return ArmMeans(plain.values, contributions + level, (*plain.components, extra), "CUPED, Welch"), design


def _mismatch_warning(checks: dict[str, Any]) -> list[str]:
    check = checks.get("sample_ratio")
    if not isinstance(check, Check) or check.passed:
        return []
    warn(f"sample-ratio mismatch: {check.summary}", AssumptionWarning)
    return [f"sample-ratio mismatch: {check.summary}"]


def _stable_base(means: Effect) -> Effect:
    """Warn where the control mean is within three standard errors of zero: a ratio to it has no normal law."""
    base = means.table.iloc[0]
    if abs(base["estimate"]) > 3 * base["std_error"]:
        return means
    text = "the control mean is close to zero beside its standard error; read the difference, not the lift"
    warn(text, AssumptionWarning)
    return replace(means, warnings=(*means.warnings, text))


def _corrected(effect: Effect, correction: str) -> Effect:
    """Attach p-values adjusted for several arms."""
    p = effect.table["p_value"].to_numpy()
    table = pd.DataFrame({"p_value": p, "p_adjusted": adjust_p_values(p, correction)}, index=effect.estimates.index)
    n_different = int((table["p_adjusted"] < 1 - effect.level).sum())
    name = {"holm": "Holm", "benjamini_hochberg": "Benjamini-Hochberg"}[correction]
    text = (
        f"{n_different} of {len(table)} contrasts differ from zero at {1 - effect.level:.3g} after {name}'s correction"
    )
    return replace(effect, diagnostics=Checks({**effect.diagnostics, "multiplicity": Check(None, table, text)}))
