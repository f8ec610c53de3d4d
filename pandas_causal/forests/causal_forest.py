"""Causal forest: effects that vary with covariates in any way, with an interval for every row."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.base import UNCONFOUNDED
from pandas_causal.arms.sample import Sample, supported
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, NotIdentifiedError
from pandas_causal.forests.base import EffectForest, encoded_rows, refuse_events
from pandas_causal.forests.growing import CAUSAL, TreeShape, causal_sums, solve_causal
from pandas_causal.forests.nuisances import forest_means, means_of, propensities_of
from pandas_causal.heterogeneity.base import plan_of
from pandas_causal.heterogeneity.projection import EffectBasis, fit_on_basis
from pandas_causal.heterogeneity.scoring import arm_scores
from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.parameters import Legal
from pandas_causal.inputs.treatments import Takes
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.models.folds import draw_folds

__all__ = ["CausalForest", "refuse_explained"]

_NOTHING = 1e-10
_SLOPE = (
    "no unmeasured confounding: given the covariates, how much is received is as good as random (cannot be tested)",
    "the outcome is linear in the treatment, given the covariates",
    "no interference between units",
)
_ESTIMANDS = ("ATE", "ATT", "ATC", "overlap")


def refuse_explained(left: Floats, had: Floats, names: list[str], w: Floats | None) -> None:
    """Refuse treatments of which the covariates leave nothing."""
    rest = np.average(np.square(left), axis=0, weights=w)
    spread = np.average(np.square(had - np.average(had, axis=0, weights=w)), axis=0, weights=w)
    gone = np.flatnonzero(rest <= _NOTHING * spread)
    if len(gone):
        raise NotIdentifiedError(
            f"the covariates explain the treatment {names[gone[0]]} exactly, so that nothing is left to learn an effect"
            " from; leave out the covariates that decide it"
        )


class CausalForest(EffectForest):
    r"""Causal forest: honest trees that split where effects differ, and a local regression with the forest's weights.

    Outcome and treatment less their means given the covariates (out of bag), trees that split on the gradient of the
    effect, and at every x a regression of residual on residual, rows weighted by how often they share a leaf with x.
    Effects of rows have pointwise intervals, averages are doubly robust. A treatment is arms, a number or several
    numbers.

    Parameters
    ----------
    n_estimators : int
        Trees, in bags of two; an odd number is rounded up.
    min_samples_leaf : int or "auto"
        Least rows of every arm (of numbers: above and below the mean) in a leaf, counted in the half that splits are
        found on. "auto" takes the best of 2, 5, 10, 20 and 40 by the out-of-bag loss of residuals, which has the
        smaller error, but intervals that cover less where it takes large leaves.
    max_depth : int, optional
    max_features : int or float, optional
        Expected number (or share) of covariates tried at a node, a Poisson number being tried; by default
        ``min(ceil(sqrt(p) + 20), p)``.
    max_samples : float
        Share of the rows (clusters) that a tree sees, at most 0.5: both trees of a bag see parts of one half-sample.
    honesty : bool
        Whether leaves are estimated on other rows than those that chose the splits. Intervals hold with it only.
    honesty_fraction : float
        Share of a tree's rows that choose splits.
    alpha : float
        Least share of a node's treatment variation in each child.
    imbalance_penalty : float
        Of splits with little treatment variation on one side.
    equalize_clusters : bool
        Take as many rows of every cluster as the smallest has; else large clusters count more.
    outcome_model : {"forest", "auto", "linear", "ridge", "boosting"} or scikit-learn regressor
        Mean outcome given the covariates; "forest" is this kernel's regression forest, out of bag.
    propensity_model : {"forest", "auto", "linear", "ridge", "boosting"} or scikit-learn model
        Of arms the propensity, of numbers their mean.
    cv : int, splitter or iterable of (train, test)
        Folds of nuisances that are no forests.
    clip : float
        Estimated propensities are bounded to [clip, 1 - clip].
    control : level, optional
    formula : str, optional
        Right-hand side that makes the covariates.
    random_state : int or None
    n_jobs : int, optional
        Threads; all cores by default. The forest is the same for any number.
    progress : bool
        Show a bar after two seconds.

    Attributes
    ----------
    effect_ : Effect
        Average effects, doubly robust.
    oob_effects_ : ndarray (n,) or (n, d)
        Effects of the fitted rows by the trees that did not see them.
    scores_ : ndarray (n, K)
        Of arms: doubly robust scores of the mean outcome in every arm.
    scores_of_effects_ : ndarray (n, d)
        Doubly robust scores of the effects.
    propensity_ : ndarray (n, K)
        Of arms.
    folds_ : ndarray (n,)
    min_samples_leaf_ : int
        Chosen.
    tuning_ : DataFrame or None
        Loss by least rows, where it was chosen.
    variable_importance_ : Series

    References
    ----------
    Athey, Tibshirani and Wager (2019), "Generalized random forests", Annals of Statistics 47; Athey and Wager (2019),
    "Estimating treatment effects with causal forests: an application", Observational Studies 5.

    Examples
    --------
    >>> CausalForest().fit(frame, y, treatment="t").effect(frame)  # doctest: +SKIP
    """

    treatments: ClassVar[Takes] = "either"
    legal: ClassVar[Mapping[str, Legal]] = {}

    def __init__(
        self,
        *,
        n_estimators: int = 2000,
        min_samples_leaf: int | str = 5,
        max_depth: int | None = None,
        max_features: float | None = None,
        max_samples: float = 0.5,
        honesty: bool = True,
        honesty_fraction: float = 0.5,
        alpha: float = 0.05,
        imbalance_penalty: float = 0.0,
        equalize_clusters: bool = False,
        outcome_model: Model = "forest",
        propensity_model: Model = "forest",
        cv: object = 5,
        clip: float = 0.01,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
        progress: bool = True,
    ) -> None:
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.max_depth = max_depth
        self.max_features = max_features
        self.max_samples = max_samples
        self.honesty = honesty
        self.honesty_fraction = honesty_fraction
        self.alpha = alpha
        self.imbalance_penalty = imbalance_penalty
        self.equalize_clusters = equalize_clusters
        self.outcome_model = outcome_model
        self.propensity_model = propensity_model
        self.cv = cv
        self.clip = clip
        self.control = control
        self.formula = formula
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.progress = progress

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
        """Fit.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
            Covariates, and any roles given by name. Missing values are told apart by the trees; categories have at
            most 255 levels.
        y : array-like (n,)
            Outcome, in its own units. A time with an event indicator is no outcome of a forest.
        treatment : str, list of str, or array-like (n,) or (n, d)
            Labels, bools and two values are arms; other numbers, and several columns, are numbers.
        cluster : str, array-like (n,) or list of up to four, optional
            Trees draw whole clusters of the first way; errors of averages are clustered.
        sample_weight : str or array-like (n,), optional
        propensity : str, array-like (n,) or (n, K), optional
            Known assignment probabilities of arms; no propensity is fitted.
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            Everything that is wrong with the data, at once.
        NotIdentifiedError
            Where the covariates explain a treatment.
        OverlapError
            Where arms cannot be compared.
        """
        refuse_events(y)
        sample = self.prepare(
            X, y, treatment=treatment, missing=missing, control=self.control, cluster=cluster,
            sample_weight=sample_weight, propensity=propensity,
        )  # fmt: skip
        self._sample = sample
        plan, rng = plan_of(sample), np.random.default_rng(self.random_state)
        self.folds_ = draw_folds(
            self.cv, sample.inputs, sample.treated, rng, sample.cluster[0] if sample.cluster else None
        )
        rows = self._coded = encoded_rows(sample, self.formula)
        models = self._models(self.outcome_model, self.propensity_model, rng, "propensity_model")
        seed, trees = int(rng.integers(2**31 - 1)), self.n_estimators // 4
        words = "nuisances" if self.progress else ""
        outcome = means_of(
            sample, rows, sample.y[:, None], [sample.outcome], self.outcome_model, self.folds_, models, trees,
            outcome=True, words=words,
        )  # fmt: skip
        parts, names = {sample.outcome: outcome}, [str(v) for v in plan.names]
        arms = isinstance(sample.treated, Arms)
        clipped = 0
        if arms:
            indicators = (sample.codes[:, None] == np.arange(len(sample.arms))).astype(float)
            raw = sample.propensity
            if raw is None:
                treated = propensities_of(sample, rows, self.propensity_model, self.folds_, models, trees, words)
                parts[sample.treatment], raw = treated, treated.values
            e = np.clip(raw, self.clip, 1 - self.clip) if sample.propensity is None and self.clip else raw
            clipped = int((e != raw).any(axis=1).sum())
            _, e = supported("ATE", e, sample.codes, None, sample.arms.levels)
            D, had, groups = indicators[:, 1:] - e[:, 1:], indicators[:, 1:], indicators
        else:
            had = sample.numbers.values
            treated = means_of(
                sample, rows, had, list(sample.numbers.names), self.propensity_model, self.folds_, models, trees,
                outcome=False, words=words,
            )  # fmt: skip
            parts[sample.treatment], D = treated, had - treated.values
            groups = np.hstack([D > 0, D <= 0]).astype(float)
            e = None
        refuse_explained(D, had, names, sample.w)
        r = sample.y - outcome.values[:, 0]
        w = np.ones(len(sample)) if sample.w is None else sample.w
        # numbers in units of their residuals' spread, so that those of several treatments can be compared
        self._unit = np.ones(D.shape[1]) if arms else np.sqrt(np.average(np.square(D), axis=0, weights=w))
        self._residuals = (D, D, r)
        shape = TreeShape(CAUSAL, D.shape[1], 1, groups.shape[1])
        sums = causal_sums(
            rows.ordered(w), rows.ordered(D / self._unit), rows.ordered(r)[:, None], rows.ordered(groups)
        )
        self._grown = self._grow(sample, rows, sums, shape, seed, self._unit)
        self.min_samples_leaf_, self.tuning_ = self._grown.leaf, self._grown.tuning
        checks: dict[str, Any] = {}
        warned: list[str] = []
        if e is not None:
            self._score_arms(outcome.values[:, 0], e)
            checks, warned = self.overlap(
                sample, e, "ATE", clipped=clipped, out_of_fold=sample.propensity is None, unpenalised=False
            )
        else:
            tau = self._grown.effects
            self.scores_of_effects_ = tau + self._debiasing(D, seed) * (r - (D * tau).sum(axis=1))[:, None]
        checks["nuisance"] = self._report(parts)
        means = w @ self.scores_of_effects_ / w.sum()
        self.effect_ = self.finish(
            sample, plan, means, w[:, None] * (self.scores_of_effects_ - means) / w.sum(),
            estimand=_in_words(sample, arms),
            std_error_method="doubly robust scores, out of bag, normal law",
            diagnostics=checks,
            warned=[*warned, *self._grown.notes],
            assumptions=UNCONFOUNDED if arms else _SLOPE,
            facts={"n_clipped": clipped, "n_trees": self._grown.forest.n_trees, "min_samples_leaf": self._grown.leaf},
        )  # fmt: skip
        return self

    def average_effect(self, estimand: str = "ATE", rows: Any = None, arm: Any = None) -> Effect:
        """Average effect over all fitted rows or some, over the treated, the untreated, or where arms overlap.

        Parameters
        ----------
        estimand : {"ATE", "ATT", "ATC", "overlap"}
            "overlap" weighs rows by the variance of their treatment given the covariates, which no propensity near 0
            or 1 inflates; of treatments that are numbers it and "ATE" exist.
        rows : array-like of bool (n,), optional
            Of the fitted rows.
        arm : level or name, optional

        Returns
        -------
        Effect

        References
        ----------
        Athey and Wager (2019), Observational Studies 5, section 2; Crump, Hotz, Imbens and Mitnik (2009), for overlap.
        """
        check_is_fitted(self, "effect_")
        sample, j = self._sample, self._position(arm)
        arms = isinstance(sample.treated, Arms)
        if estimand not in _ESTIMANDS or (not arms and estimand in ("ATT", "ATC")):
            legal = list(_ESTIMANDS) if arms else ["ATE", "overlap"]
            raise CausalArgumentError(f"estimand={estimand!r} is not known; use one of {legal}")
        w = self._mask(rows)
        among = "" if rows is None else " among some rows"
        words = f"average effect of {self._contrast(j)} on {sample.outcome} ({estimand}){among}"
        index = self.effect_.table.index[[j]]
        if estimand == "overlap":
            D, y = self._residuals[0], self._residuals[2]
            used = w > 0
            basis = EffectBasis.of(sample.X[used][:, :0], [])
            part = fit_on_basis(basis, D[used], y[used], w[used], [str(v) for v in self.effect_.table.index])
            contributions = np.zeros(len(sample))
            contributions[used] = part.contributions[:, j]
            return self._arranged(part.values[[j]], contributions[:, None], words, index, "residuals on residuals")
        if estimand == "ATE":
            scores, total = self.scores_of_effects_[:, j], w
        else:
            e, a = self.propensity_, j + 1
            tau = self._grown.effects
            base = self._outcome_mean() - (e[:, 1:] * tau).sum(axis=1)
            receives, spared = sample.codes == a, sample.codes == 0
            if estimand == "ATT":
                scores = np.where(receives, 1.0, -1.0 * spared * e[:, a] / e[:, 0]) * (sample.y - base)
                total = w * receives
            else:
                scores = np.where(spared, -1.0, receives * e[:, 0] / e[:, a]) * (sample.y - base - tau[:, j])
                total = w * spared
        value = float(w @ scores / total.sum())
        contributions = (w * scores - total * value) / total.sum()
        return self._arranged(
            np.array([value]), contributions[:, None], words, index, "doubly robust scores, out of bag, normal law"
        )

    def test_calibration(self, arm: Any = None) -> Effect:
        """Whether the forest's effects are right on average, and in how they vary: both coefficients then are 1.

        Residuals of the outcome are regressed on those of the treatment times the mean of the out-of-bag effects, and
        times their differences from it. P-values are one-sided: "heterogeneity" above 0 says that effects vary as
        predicted.

        References
        ----------
        Chernozhukov, Demirer, Duflo and Fernandez-Val (2025), Econometrica, the best linear predictor.
        """
        check_is_fitted(self, "effect_")
        j, sample = self._position(arm), self._sample
        D, y = self._residuals[0], self._residuals[2]
        tau = self._grown.effects
        mean = float(np.average(tau[:, j], weights=sample.w))
        others = (D * tau).sum(axis=1) - D[:, j] * tau[:, j]
        slopes = np.column_stack([D[:, j] * mean, D[:, j] * (tau[:, j] - mean)])
        scale = float(np.sqrt(np.mean(np.square(slopes[:, 1])))) if np.ptp(tau[:, j]) else 0.0
        if scale <= _NOTHING * max(float(np.sqrt(np.mean(np.square(slopes[:, 0])))), 1e-300):
            raise NotIdentifiedError("the forest's effects do not vary, so that there is nothing to calibrate")
        return self._regressed(
            EffectBasis.of(sample.X[:, :0], []), slopes, y - others, ["mean", "heterogeneity"],
            f"calibration of the effects of {self._contrast(j)} on {sample.outcome} (1: right)",
            "residuals on residuals, HC1", one_sided=True,
        )  # fmt: skip

    # -- inside ------------------------------------------------------------------------------------------------------

    def _score_arms(self, mean: Floats, e: Floats) -> None:
        """Doubly robust scores of arms from the outcome's mean, the effects and the propensities."""
        sample, tau = self._sample, self._grown.effects
        base = mean - (e[:, 1:] * tau).sum(axis=1)
        self.scores_ = arm_scores(sample.y, sample.codes, np.column_stack([base, base[:, None] + tau]), e)
        self.scores_of_effects_ = self.scores_[:, 1:] - self.scores_[:, [0]]
        self.propensity_ = e

    def _outcome_mean(self) -> Floats:
        return self._sample.y - self._residuals[2]

    def _debiasing(self, D: Floats, seed: int) -> Floats:
        """Residuals of treatments that are numbers over their variance given the covariates (n, d)."""
        sample, rows, d = self._sample, self._coded, D.shape[1]
        U = D / self._unit
        products = np.column_stack([U[:, j] * U[:, k] for j in range(d) for k in range(j + 1)])
        found = forest_means(rows, products, sample.w, self.n_estimators // 4, seed + 7, self.n_jobs)
        V = np.empty((len(D), d, d))
        at = 0
        for j in range(d):
            for k in range(j + 1):
                V[:, j, k] = V[:, k, j] = found[:, at]
                at += 1
        values, vectors = np.linalg.eigh(V)
        values = np.maximum(values, 0.01)  # of the residuals' own variance, which is 1
        inverse = np.einsum("nij,nj,nkj->nik", vectors, 1 / values, vectors)
        return np.einsum("nij,nj->ni", inverse, U) / self._unit

    def _solved(self, moments: Floats) -> tuple[Floats, Floats]:
        return solve_causal(moments, self._residuals[0].shape[1], 1)

    def _loss(self, sums: Floats, shape: TreeShape, effects: Floats, excess: Floats) -> float:
        K = shape.n_treatments
        at = 2 + K
        square = {}
        for j in range(K):
            for k in range(j + 1):
                square[j, k] = square[k, j] = sums[:, at]
                at += 1
        loss = np.zeros(len(sums))
        for j in range(K):
            loss += square[j, j] * (np.square(effects[:, j]) - excess[:, j]) - 2 * sums[:, at + j] * effects[:, j]
            for k in range(j):
                loss += 2 * square[j, k] * effects[:, j] * effects[:, k]
        there = np.isfinite(loss)
        return float(loss[there].sum() / sums[there, 0].sum()) if there.any() else np.nan


def _in_words(sample: Sample, arms: bool) -> str:
    if arms:
        return f"average treatment effect (ATE) of {sample.treatment} on {sample.outcome}"
    return f"average effect of one more {sample.treatment} on {sample.outcome}"
