"""Balancing weights: solve for weights under which the covariates of the arms agree, then compare weighted means."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.adjustment.balance_targets import Features, Infeasible
from pandas_causal.adjustment.balancing_weights import (
    BalancingWeights,
    balancing_contributions,
    entropy_weights,
    linear_predictor,
    remaining_shift,
    stable_weights,
)
from pandas_causal.adjustment.weighted_means import contrast_weights
from pandas_causal.arms.balance import balance, balance_score, largest_difference
from pandas_causal.arms.base import UNCONFOUNDED, ArmComparison
from pandas_causal.arms.estimands import EstimandPlan, in_words, plan_estimand, targets_of
from pandas_causal.arms.overlap import weight_summary
from pandas_causal.arms.positivity import refuse_separation
from pandas_causal.arms.sample import CheckPropensity, Sample, check_propensity, collinear
from pandas_causal.arms.structure import structure_of_weights
from pandas_causal.effect.check import Check, Checks
from pandas_causal.errors import CausalArgumentError, OverlapError
from pandas_causal.inputs.parameters import FLAG, NON_NEGATIVE, Legal, at_least
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Codes, Floats, Positions
from pandas_causal.models.linear import StandardisedMatrix

__all__ = ["EntropyBalancing", "StableBalancing"]

_REPEATED = 1e-10  # of a correlation: beyond it a column is another one in other units
Pair = tuple[int | None, int]  # a population (None: everyone) and the arm weighted to it


class _BalancingEstimator(ArmComparison):
    """What entropy balancing and stable weights share: tilts of arms to populations, and the means under them."""

    legal: ClassVar[Mapping[str, Legal]] = {
        "moments": Legal(lambda v: at_least(1).holds(v) and v in (1, 2, 3), "1, 2 or 3"),
        "interactions": FLAG,
    }

    estimand: str
    moments: int
    interactions: bool
    control: Any
    _based = False

    def _solve(
        self, design: StandardisedMatrix, rows: Positions, base: Floats, target: Floats, total: float, unit: Floats
    ) -> BalancingWeights:
        raise NotImplementedError

    def _standardised(self, X: Floats) -> StandardisedMatrix:
        """The balanced functions standardised: those that others explain are balanced with them."""
        return StandardisedMatrix.of(X)

    def _sources(self, pair: Pair, K: int) -> list[Pair]:
        """Tilts whose weights add up to those of an arm in a population."""
        raise NotImplementedError

    def _stands_for_itself(self, pair: Pair) -> bool:
        """Whether an arm's own rows belong to the population and keep their weights, beside the weighted rows."""
        return pair[0] == pair[1]

    def _fit_tilts(self, sample: Sample, base: Mapping[Pair, Floats] | None) -> EstimandPlan:
        """Lay out what is balanced and solve every tilt that the estimand needs."""
        plan = plan_estimand(self.estimand, sample.arms, sample.treatment)
        refuse_separation(sample.inputs.covariates, sample.codes, sample.arms.levels, self.estimand)
        K, codes = len(sample.arms), sample.codes
        levels = sample.encoder.every_level
        X = levels.on(sample.X)
        self._features = Features.of(X, levels.names, self.moments, self.interactions)
        self._design = design = self._standardised(self._features.on(X))
        s = np.ones(len(sample)) if sample.w is None else sample.w
        sums, unit = _arm_sums(design, codes, s, K)
        self._tilts: dict[Pair, BalancingWeights] = {}
        self._goals: dict[Pair, Floats] = {}
        self._unit = unit
        for pair in dict.fromkeys(p for target in plan.targets for p in self._sources(target, K)):
            population, arm = pair
            total = sums[:, 0].sum() if population is None else sums[population, 0]
            target = (sums.sum(axis=0) if population is None else sums[population]) / total
            rows = np.flatnonzero(codes == arm)
            start = s[rows] if base is None else s[rows] * base[pair][rows]
            self._goals[pair] = target
            try:
                self._tilts[pair] = self._solve(design, rows, start, target, float(total), unit)
            except Infeasible as error:
                raise self._unreachable(error, sample, pair, len(rows)) from None
        return plan

    def _unreachable(self, error: Infeasible, sample: Sample, pair: Pair, n: int) -> OverlapError:
        levels, names = sample.arms.levels, [self._features.names[self._design.kept[j]] for j in error.columns]
        whom = "of everyone" if pair[0] is None else f"of arm {levels[pair[0]]!r}"
        start = f"no weights of the {n:,} rows of arm {levels[pair[1]]!r} give them the covariate means {whom}"
        if error.gap < 1e-9:
            where = (
                f"they are reached only in the limit, by giving all weight to few rows (nearest to its end: {names[0]})"
            )
            tolerance = 0.01
        else:
            where = f"the nearest still differ by {error.gap:.3g} standard deviations, in {', '.join(names)}"
            tolerance = float(f"{1.05 * error.gap:.2g}")
        return OverlapError(
            f"{start}: {where}. Leave out or coarsen what stands in the way, balance fewer functions (moments=1,"
            f" interactions=False), let a difference stand (StableBalancing(tolerance={tolerance:g})), or ask about the"
            " rows that overlap (IPW(estimand='ATO'))"
        )

    def _means(self, sample: Sample, plan: EstimandPlan) -> tuple[Floats, Floats, Floats]:
        """Weighted means (k,), their contributions (n, k), and the weights (n, k) that add up to the population's."""
        n, k, K = len(sample), len(plan.targets), len(sample.arms)
        s = np.ones(n) if sample.w is None else sample.w
        values, contributions, weights = np.empty(k), np.empty((n, k)), np.zeros((n, k))
        for j, (population, arm) in enumerate(plan.targets):
            sources = self._sources((population, arm), K)
            if self._stands_for_itself((population, arm)):
                weights[:, j] = np.where(sample.codes == arm, s, 0.0)
            for pair in sources:
                weights[self._tilts[pair].rows, j] += self._tilts[pair].weights
            total = float(weights[:, j].sum())
            values[j] = weights[:, j] @ sample.y / total
            contributions[:, j] = weights[:, j] * (sample.y - values[j]) / total
            for pair in sources:
                tilt, t = self._tilts[pair], pair[0]
                whom = s if t is None else np.where(sample.codes == t, s, 0.0)
                residual = sample.y[tilt.rows] - values[j]
                contributions[:, j] += balancing_contributions(self._design, tilt, residual, whom, total)
        return values, contributions, weights

    def _conclude(
        self,
        sample: Sample,
        plan: EstimandPlan,
        propensity: CheckPropensity,
        method: str,
        assumption: str,
        facts: Mapping[str, Any],
    ) -> None:
        """Compute the means and keep weights, checks and the effect."""
        values, contributions, weights = self._means(sample, plan)
        self._parameters = values
        total = weights.sum(axis=1)
        self.weights_ = np.zeros(len(self.used_))
        self.weights_[self.used_] = total
        checks, warned = self.overlap(sample, propensity.values, self.estimand, weights=total, judged=True)
        warned += propensity.notes
        by_contrast = contrast_weights(weights, self.estimand, len(sample.arms))
        levels, names = sample.arms.levels, self._features.names
        checks["balance"] = partial(balance, self._design.X, names, sample.codes, levels, by_contrast)
        checks["squares"] = partial(sample.balance_of_squares, by_contrast)
        checks["weights"] = partial(weight_summary, total, sample.codes, levels)
        if not self._validated:  # a refit to drawn rows has nobody to tell
            s = np.ones(len(sample)) if sample.w is None else sample.w
            populations = [population for population, _ in plan.targets]
            targets = np.column_stack([s if t is None else np.where(sample.codes == t, s, 0.0) for t in populations])
            checks["structure"], missed = structure_of_weights(sample, plan, weights, targets, values, contributions)
            warned = [*warned, *missed]
        notes = collinear(sample, StandardisedMatrix.of(sample.X).dropped) if len(self._design.dropped) else []
        self.effect_ = self.finish(
            sample,
            plan,
            values,
            contributions,
            estimand=in_words(self.estimand, sample.treatment, sample.outcome),
            std_error_method=method,
            diagnostics=checks,
            warned=[*warned, *notes],
            assumptions=(*UNCONFOUNDED, assumption),
            facts={"n_balanced": len(self._design.kept), **facts},
        )

    def _held_out_weights(self, X: Floats, codes: Codes, w: Floats | None) -> Floats:
        """Weights (m, k) that the fitted tilts give other rows."""
        K = len(self.arms_)
        targets = targets_of(self.estimand, K)
        design = self._design.on(self._features.on(self.encoder_.every_level.on(X)))
        out = np.zeros((len(codes), len(targets)))
        for j, (population, arm) in enumerate(targets):
            each = np.full(len(codes), float(self._stands_for_itself((population, arm))))
            for pair in self._sources((population, arm), K):
                each += self._weights_on(design, self._tilts[pair])
            out[:, j] = np.where(codes == arm, each if w is None else each * w, 0.0)
        return out

    def _weights_on(self, design: StandardisedMatrix, tilt: BalancingWeights) -> Floats:
        raise NotImplementedError

    def score(
        self, X: Covariates, y: Outcome = None, treatment: RoleLike = None, sample_weight: RoleLike = None
    ) -> float:
        """Minus the largest standardised mean difference of a covariate under the weights of the held-out rows.

        The held-out rows get the weights that the fitted coefficients give them. Means of the covariates are compared,
        whatever functions were balanced, so that settings can be ranked.
        """
        check_is_fitted(self, "effect_")
        if self._based:
            raise CausalArgumentError("with base weights or known propensities held-out rows have no weights to score")
        held_out = self.held_out(X, y, treatment, sample_weight, outcome=False)
        weights = self._held_out_weights(held_out.X, held_out.codes, held_out.w)
        by_contrast = contrast_weights(weights, self.estimand, len(self.arms_))
        return balance_score(
            held_out.X, self.encoder_.every_level, lambda X: largest_difference(X, held_out.codes, by_contrast)
        )


class EntropyBalancing(_BalancingEstimator):
    """Entropy balancing: the weights nearest to uniform ones that make the covariate means of the arms agree exactly.

    Controls are weighted to the means of the treated (ATT), by ``exp(lambda'z)``. For the ATE every arm is weighted to
    each other arm and stands for itself, so that its weights are ``1 + sum exp(lambda'z)``: its means are then those of
    everyone. Right where the outcome's mean is linear in what is balanced within arms, or the log odds of treatment
    are: doubly robust. Weighting every arm straight to everyone balances as well, but has only the first half of that.

    Parameters
    ----------
    estimand : {"ATE", "ATT", "ATC"}
    moments : {1, 2, 3}
        Powers of every numeric covariate whose means are balanced: 2 balances variances too, 3 skewness.
    interactions : bool
        Balance the products of all pairs of covariates.
    control : level, optional
        Reference arm.
    formula : str, optional
        Right-hand side that makes the covariates: see :class:`ArmComparison`.

    Attributes
    ----------
    effect_ : Effect
    weights_ : ndarray (n,)
        Weight of every row of X, in its order. Those of an arm add up to the sample weight of the population.
    coefficients_ : DataFrame
        The dual: one column per tilt ("0 to 1": arm 0 weighted to arm 1), per standard deviation of what is balanced.

    Notes
    -----
    The error is that of stacked estimating equations: weights, target means and weighted means are estimated together,
    and each row contributes what a weighted regression in the balanced functions makes of it.

    Without an exact solution ``fit`` raises an OverlapError that names the covariates in the way and how far the
    nearest weights stay from the target.

    References
    ----------
    Hainmueller (2012), "Entropy balancing for causal effects", Political Analysis 20, eq. (3) to (12); Zhao and
    Percival (2017), "Entropy balancing is doubly robust", Journal of Causal Inference 5.
    """

    def __init__(
        self,
        *,
        estimand: str = "ATE",
        moments: int = 1,
        interactions: bool = False,
        control: Hashable = None,
        formula: str | None = None,
    ) -> None:
        self.estimand = estimand
        self.moments = moments
        self.interactions = interactions
        self.control = control
        self.formula = formula

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        treatment: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        base_weight: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit; the parameters beside these are those of :meth:`AIPW.fit`.

        Parameters
        ----------
        base_weight : array-like (n,) or column name, optional
            Weights to stay near to, where a row is tilted to another arm; positive.
        propensity : array-like (n,) or (n, K), or column names, optional
            Known assignment probabilities: the odds that a row were in the other arm are the base weights, which are
            then calibrated to exact balance.
        """
        sample = self.prepare(
            X,
            y,
            treatment=treatment,
            missing=missing,
            control=self.control,
            cluster=cluster,
            sample_weight=sample_weight,
            propensity=propensity,
            base_weight=base_weight,
        )
        base = self._base(sample)
        self._based = base is not None
        plan = self._fit_tilts(sample, base)
        names = ["intercept", *(self._features.names[j] for j in self._design.kept)]
        levels = sample.arms.levels
        self.coefficients_ = pd.DataFrame(
            np.column_stack([tilt.coefficients for tilt in self._tilts.values()]),
            index=names,
            columns=[f"{levels[arm]} to {levels[t or 0]}" for t, arm in self._tilts],
        )
        self._conclude(
            sample,
            plan,
            CheckPropensity(self._odds(sample, base), []),
            "influence function: weights and target means estimated together, normal law",
            "means of the outcome are linear in the balanced functions, or the log odds of treatment are",
            {"moments": self.moments, "interactions": self.interactions},
        )
        return self

    def _solve(
        self, design: StandardisedMatrix, rows: Positions, base: Floats, target: Floats, total: float, unit: Floats
    ) -> BalancingWeights:
        return entropy_weights(design, rows, base, target, total, unit)

    def _sources(self, pair: Pair, K: int) -> list[Pair]:
        population, arm = pair
        if population is None:
            return [(t, arm) for t in range(K) if t != arm]
        return [] if population == arm else [pair]

    def _stands_for_itself(self, pair: Pair) -> bool:
        return pair[0] is None or pair[0] == pair[1]

    def _weights_on(self, design: StandardisedMatrix, tilt: BalancingWeights) -> Floats:
        return np.where(
            tilt.admits(design), np.exp(np.minimum(linear_predictor(design, tilt.coefficients), 300.0)), 0.0
        )

    def _base(self, sample: Sample) -> dict[Pair, Floats] | None:
        """Base weights (n,) of every arm beside every other."""
        base_weight = sample.inputs.roles.get("base_weight")
        e, K = sample.propensity, len(sample.arms)
        if base_weight is not None and e is not None:
            raise CausalArgumentError("base_weight= and propensity= both give base weights; pass one of them")
        if base_weight is None and e is None:
            return None
        pairs: list[tuple[int, int]] = [(t, a) for t in range(K) for a in range(K) if t != a]
        if e is not None:
            return {(t, a): e[:, t] / e[:, a] for t, a in pairs}
        q = base_weight.to_numpy(dtype=float, na_value=np.nan)  # type: ignore[union-attr]
        return dict.fromkeys(pairs, q / q.mean())

    def _odds(self, sample: Sample, base: Mapping[Pair, Floats] | None) -> Floats:
        """Propensities (n, K) whose odds are the tilts between the control and every arm, for the overlap check."""
        log_odds = np.zeros((len(sample), len(sample.arms)))
        for a in range(1, len(sample.arms)):
            pair: Pair = (0, a) if self.estimand == "ATC" else (a, 0)
            tilt = self._tilts[pair]
            eta = linear_predictor(self._design, tilt.coefficients)
            eta += 0.0 if base is None else np.log(base[pair])
            eta[~tilt.admits(self._design)] = -700.0
            log_odds[:, a] = -eta if self.estimand == "ATC" else eta
        log_odds -= log_odds.max(axis=1, keepdims=True)
        e = np.exp(log_odds)
        return np.asarray(e / e.sum(axis=1, keepdims=True))


class StableBalancing(_BalancingEstimator):
    """Stable balancing weights: of least variance among those that balance the covariates up to a tolerance.

    Every arm is weighted to the target (ATE: everyone; ATT: the treated; ATC: the controls). Rests on outcome means
    that are close to linear in what is balanced, within arms. Weights are never negative, and often 0.

    Parameters
    ----------
    estimand : {"ATE", "ATT", "ATC"}
    tolerance : float
        Largest difference from the target mean that may stand, in standard deviations (pooled over arms). With 0
        balance is exact.
    moments : {1, 2, 3}
        Powers of every numeric covariate that are balanced.
    interactions : bool
        Balance the products of all pairs of covariates.
    control : level, optional
        Reference arm.
    formula : str, optional
        Right-hand side that makes the covariates: see :class:`ArmComparison`.

    Attributes
    ----------
    effect_ : Effect
        ``diagnostics["tolerance"]`` says how far the differences that stand may shift the answer.
    weights_ : ndarray (n,)
        Weight of every row of X, in its order. Those of an arm add up to the sample weight of the population.

    Notes
    -----
    The error is that of the estimating equations of the constraints that bind, taken as the right ones: it holds where
    which constraints bind, and which weights are 0, settles as the sample grows. It covers the noise and not the shift
    that a tolerance leaves, which is at most the tolerance times the sum of the absolute slopes of the outcome (per
    standard deviation): choose a tolerance well under ``1 / sqrt(n)``. Under a wide one, covariates whose constraint is
    slack count as not adjusted for, which makes the error too large rather than too small.

    The dual is solved here by an active-set Newton method, exactly and without a matrix of n columns; no optional
    solver is needed.

    References
    ----------
    Zubizarreta (2015), "Stable weights that balance covariates for estimation with incomplete outcome data", JASA 110;
    Wang and Zubizarreta (2020), "Minimal dispersion approximately balancing weights", Biometrika 107.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "tolerance": Legal(NON_NEGATIVE.holds, "a number of standard deviations, 0 or more"),
    }

    def __init__(
        self,
        *,
        estimand: str = "ATE",
        tolerance: float = 0.001,
        moments: int = 1,
        interactions: bool = False,
        control: Hashable = None,
        formula: str | None = None,
    ) -> None:
        self.estimand = estimand
        self.tolerance = tolerance
        self.moments = moments
        self.interactions = interactions
        self.control = control
        self.formula = formula

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        treatment: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit; the parameters are those of :meth:`AIPW.fit` (`propensity` only serves the overlap check)."""
        sample = self.prepare(
            X,
            y,
            treatment=treatment,
            missing=missing,
            control=self.control,
            cluster=cluster,
            sample_weight=sample_weight,
            propensity=propensity,
        )
        plan = self._fit_tilts(sample, None)
        self._conclude(
            sample,
            plan,
            check_propensity(sample, StandardisedMatrix.of(sample.X)),
            "influence function given the constraints that bind, normal law",
            "means of the outcome are close to linear in the balanced functions, within arms",
            {"moments": self.moments, "interactions": self.interactions, "tolerance": self.tolerance},
        )
        checks = {**self.effect_.diagnostics, "tolerance": self._left(sample, plan)}
        self.effect_ = replace(self.effect_, diagnostics=Checks(checks))
        return self

    def _left(self, sample: Sample, plan: EstimandPlan) -> Check:
        """Bias left by the imbalance that `tolerance` allows, by the slopes of the outcome in the weighted arms."""
        shifts, largest = np.zeros(len(plan.targets)), np.zeros(len(plan.targets))
        for j, pair in enumerate(plan.targets):
            for source in self._sources(pair, len(sample.arms)):
                tilt, target = self._tilts[source], self._goals[source]
                residual = sample.y[tilt.rows] - self._parameters[j]
                shifts[j] = remaining_shift(self._design, tilt, residual, target)
                left = np.abs(target - tilt.weights @ self._design.rows(tilt.rows) / tilt.weights.sum())[1:]
                largest[j] = (left / self._unit).max(initial=0.0)
        table = pd.DataFrame(
            {"largest_difference": np.abs(plan.loadings) @ largest, "estimated_shift": -plan.loadings @ shifts},
            index=plan.index,
        )
        shift = table["estimated_shift"].to_numpy()
        worst = float(shift[np.abs(shift).argmax()])
        return Check(None, table, f"the differences that stand shift the answer by about {worst:+.2g}")

    def _solve(
        self, design: StandardisedMatrix, rows: Positions, base: Floats, target: Floats, total: float, unit: Floats
    ) -> BalancingWeights:
        return stable_weights(design, rows, base, target, total, unit, self.tolerance)

    def _standardised(self, X: Floats) -> StandardisedMatrix:
        """As ever without a tolerance; with one every function has its own, but those that another one repeats."""
        design = StandardisedMatrix.of(X)
        if self.tolerance == 0 or X.shape[1] == 0:
            return design
        whole = design.whole()
        alike = np.abs(sum(Z[:, 1:].T @ Z[:, 1:] for _, Z in whole.blocks())) / len(X) > 1 - _REPEATED
        first = alike.argmax(axis=1)  # the first column that each repeats, itself where none
        return replace(whole, kept=np.flatnonzero(first == np.arange(len(first))))

    def _sources(self, pair: Pair, K: int) -> list[Pair]:
        return [] if pair[0] == pair[1] else [pair]

    def _weights_on(self, design: StandardisedMatrix, tilt: BalancingWeights) -> Floats:
        return np.where(tilt.admits(design), np.maximum(1 + linear_predictor(design, tilt.coefficients), 0.0), 0.0)


def _arm_sums(design: StandardisedMatrix, codes: Codes, s: Floats, K: int) -> tuple[Floats, Floats]:
    """Sums of the design's rows by arm (K, p), and standard deviations pooled over the arms (p - 1,).

    Both under the sample weights; the standard deviations are in units of the design's scale.
    """
    sums, squares = np.zeros((K, design.p)), np.zeros((K, design.p))
    for at, Z in design.blocks():
        for a in range(K):
            inside = codes[at] == a
            z, weight = Z[inside], s[at][inside]
            sums[a] += weight @ z
            squares[a] += weight @ np.square(z)
    total = sums[:, :1]
    variance = (squares / total - np.square(sums / total)).mean(axis=0)[1:]
    return sums, np.sqrt(np.where(variance > 1e-14, variance, 1.0))
