"""Matching: compare every unit with units of the other arm that are like it."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.balance import balance_score
from pandas_causal.arms.base import UNCONFOUNDED, ArmComparison
from pandas_causal.arms.estimands import in_words, plan_estimand
from pandas_causal.arms.positivity import refuse_separation
from pandas_causal.arms.sample import Sample, collinear, split_note
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.study import Study
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError
from pandas_causal.inference.influence import Component
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.column_rules import as_float
from pandas_causal.inputs.parameters import FLAG, Legal, at_least, one_of
from pandas_causal.inputs.schemas import check_inputs
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.matching.design import RowsToMatch, match_targets
from pandas_causal.matching.propensities import Propensities, fit_scores, held_out_scores, scores_without_values
from pandas_causal.matching.report import (
    balance_note,
    largest_smd,
    learner_note,
    matched_frame,
    matching_check,
    population_text,
    support_check,
    unmatched_frame,
    weighted_balance,
    weights_by_contrast,
)
from pandas_causal.matching.settings import check_against, read_settings
from pandas_causal.matching.variance import ArmMean, Noise, abadie_imbens, arm_mean, paired_meat
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.linear import StandardisedMatrix

__all__ = ["Matching"]

CLOSE = "matches are close enough that what is left between them does not matter (balance table; bias_adjust=True)"
_FAILS = (
    "the bootstrap is not valid for matching (Abadie and Imbens 2008, Econometrica: the number of times a row is used"
    " does not vary smoothly); the standard error of effect() is the one to report"
)


class Matching(ArmComparison):
    """Matching: every unit's missing outcome is the mean outcome of units of the other arm that are like it.

    Estimates the average effect on the treated (by default). Rests on no unmeasured confounding, overlap, and matches
    that are close. No outcome is looked at to match: ``fit(X, None, treatment=...)`` makes the design, and
    ``with_outcome(y)`` answers.

    Parameters
    ----------
    method : {"nearest", "pair", "full", "cem", "subclass"}
        Nearest neighbours; pairs or full-matching sets with the least sum of distances; cells of coarsened covariates;
        subclasses of the propensity. "pair" needs a table of distances (25,000,000 per exact stratum at most); "full"
        lists near pairs only (20,000,000 at most).
    estimand : {"ATT", "ATC", "ATE"}
        Pairs and nearest neighbours without replacement have no ATE. With several arms, ATT and ATC compare every arm
        with the control as if there were no others; the ATE ("nearest" only) matches everyone to every arm on its
        propensity.
    distance : {"propensity", "mahalanobis", "robust_mahalanobis", "euclidean"} or classifier
        "propensity": difference of probabilities. "euclidean" counts in standard deviations. A scikit-learn classifier
        with ``predict_proba`` is a propensity model.
    ratio : int or (int, int)
        Matches per unit; a pair asks for at least and at most so many, as many as the caliper allows.
    replace : bool
        Whether a unit may serve several. With replacement all that are equally near (to 1e-10) share.
    caliper : float or mapping of name to float, optional
        Largest difference allowed: in standard deviations of the logit of the propensity (0.2 is Austin's), or of
        the covariates named ("propensity" is the logit).
    exact : list of str, optional
        Covariates that must be equal.
    order : {"largest", "smallest", "closest", "random"}
        Without replacement: which unit chooses first, by its propensity to be in its own arm (by the distance of its
        nearest match, where no propensity is in use), or the closest pair of all. Ties never go by the order of rows,
        but by propensity, covariates in their order, and label.
    discard : {None, "treated", "control", "both"}
        Leave out units beyond the other arm's range of propensities.
    bias_adjust : bool
        Subtract what a linear regression among the matches says of the differences that are left.
    propensity_model : {"linear", "ridge", "splines", "boosting", "boosted_splines", "auto"} or classifier
        "linear" is the unpenalised logistic model, whose estimation enters the standard error. A flexible learner is
        fitted to the rows it matches, overfits, and is warned of in the effect; "auto" is settled out of fold.
    n_subclasses : int
    cutpoints : int or mapping of name to int or sequence, optional
        Bins of "cem", or where to cut; Sturges' number by default.
    variance_matches : int
        Neighbours of the same arm in the standard error.
    control : level, optional
        Reference arm.
    formula : str, optional
        Right-hand side that makes the covariates: see :class:`ArmComparison`.
    random_state : int or None
        For ``order="random"`` and models.

    Attributes
    ----------
    effect_ : Effect
    weights_ : ndarray (n,) or (n, K - 1)
        Weight of every row of X, in its order (a column per contrast with several arms); 0 where unmatched.
    matched_ : DataFrame
        One row per match, or, in sets and strata, per matched row; by the labels of X.
    unmatched_ : DataFrame
        Rows left out, by contrast, arm and reason.
    propensity_ : ndarray (n, K) or None
        None where no distance, caliper or `discard` uses one: none is fitted then, and overlap is judged by categories
        and by rows without a match.

    Notes
    -----
    Standard errors. With replacement, in strata and in full-matching sets: Abadie and Imbens (2006, 2008); nearest
    neighbours with replacement on the linear propensity model also hold its estimation (2016). Pairs and neighbours
    without replacement: clustered by pair (Abadie and Spiess 2022). Where the propensity is taken as known (see
    ``std_error_method``) errors without `bias_adjust` are conservative, 15 to 30 per cent too wide for pairs and sets,
    more for subclasses. The contributions of the rows serve ``cluster`` and comparisons; they know nothing of pairs
    and are conservative, by up to a third (errors of pairs some 30 per cent wider, of nearest neighbours 17): so is
    ``effect.cluster(...)`` after the fit, while ``cluster=`` in ``fit`` keeps the pairs.

    Sample weights count in means, propensities, distances, calipers and quantiles, but a row of weight 2 is one row
    where rows are counted: as a match (`ratio`, pairs), and in Sturges' number of bins.

    References
    ----------
    Abadie and Imbens (2006, 2016), Econometrica; (2011), JBES; Rosenbaum (1989, 1991); Iacus, King and Porro (2012);
    Yang, Imbens, Cui, Faries and Kadziola (2016), Biometrics, for several arms.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "method": one_of("nearest", "pair", "full", "cem", "subclass"),
        "order": one_of("largest", "smallest", "closest", "random"),
        "discard": one_of(None, "treated", "control", "both"),
        "replace": FLAG,
        "bias_adjust": FLAG,
        "n_subclasses": at_least(2),
        "variance_matches": at_least(1),
    }

    bootstrap_refusal: ClassVar[str] = _FAILS
    effect_: Effect

    def __init__(
        self,
        *,
        method: str = "nearest",
        estimand: str = "ATT",
        distance: Any = "propensity",
        ratio: Any = 1,
        replace: bool = True,
        caliper: Any = None,
        exact: Any = None,
        order: str = "largest",
        discard: str | None = None,
        bias_adjust: bool = False,
        propensity_model: Model = "linear",
        n_subclasses: int = 6,
        cutpoints: Any = None,
        variance_matches: int = 4,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
    ) -> None:
        self.method = method
        self.estimand = estimand
        self.distance = distance
        self.ratio = ratio
        self.replace = replace
        self.caliper = caliper
        self.exact = exact
        self.order = order
        self.discard = discard
        self.bias_adjust = bias_adjust
        self.propensity_model = propensity_model
        self.n_subclasses = n_subclasses
        self.cutpoints = cutpoints
        self.variance_matches = variance_matches
        self.control = control
        self.formula = formula
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        treatment: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        strata: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Match; the parameters are those of :meth:`AIPW.fit`. Without y: the design alone.

        Parameters
        ----------
        strata : str, list of str, array-like (n,) or DataFrame, optional
            Labels that must be equal, as those of `exact`, but no covariates: no distance or model reads them.
        """
        sample = self.prepare(
            X, y, treatment=treatment, missing=missing, control=self.control, outcome=False, cluster=cluster,
            sample_weight=sample_weight, propensity=propensity, strata=strata,
        )  # fmt: skip
        plan = plan_estimand(self.estimand, sample.arms, sample.treatment)
        settings = read_settings(self)
        check_against(settings, sample.inputs.covariates, len(sample.arms), self.estimand)
        if settings.discard is None:  # one covariate that separates the arms is named before a model says so
            refuse_separation(sample.inputs.covariates, sample.codes, sample.arms.levels, self.estimand)
        propensities = self._propensities(sample, plan.targets) if settings.needs_propensity else None
        w = _unit(sample.w, len(sample))
        near = sample.encoder.for_distances
        labels = sample.inputs.ways("strata")
        data = RowsToMatch(near.on(sample.X), near.names, sample.inputs.covariates, sample.codes, w, labels)
        checks: dict[str, Any] = {}
        warned: list[str] = []
        if propensities is None:
            warned = split_note(sample)
            scores = scores_without_values(plan.targets, sample.codes, len(sample.arms))
        else:
            linear = propensities.report is None or propensities.report.logistic is not None
            known = settings.discard is None
            checks, warned = self.overlap(sample, propensities.overall, self.estimand, unpenalised=linear, judged=known)
            scores = dict(propensities.scores)
        self._targets = match_targets(plan.targets, data, scores, settings, self.random_state)
        if propensities is None:
            checks["overlap"] = support_check(self._targets)
        by_contrast = weights_by_contrast(self._targets, w, sample.codes, len(sample.arms))
        checks["balance"] = partial(weighted_balance, sample, by_contrast)
        checks["squares"] = partial(sample.balance_of_squares, by_contrast)
        if propensities is not None and propensities.report is not None:
            checks["nuisance"] = nuisances.report(None, propensities.report, sample.arms.levels)
        about, notes = population_text(self._targets)
        self._checks = {"matching": matching_check(by_contrast, sample.codes, sample.arms), **checks}
        learners = learner_note(score.model for score in scores.values()) if settings.on_propensity else []
        unbalanced = balance_note(sample, by_contrast)
        self._notes = [*warned, *notes, *learners, *unbalanced]
        self._notes += [] if propensities is None else collinear(sample, propensities.dropped)
        self._about, self._settled, self._by_contrast = about, settings, by_contrast
        self._sample, self._plan = sample, plan
        self._models = None if propensities is None else propensities.models
        self.propensity_ = None if propensities is None else propensities.overall
        self.unmatched_ = unmatched_frame(self._targets, by_contrast, sample.codes, sample.arms)
        weights = np.zeros((len(self.used_), by_contrast.shape[1]))
        weights[self.used_] = by_contrast
        self.weights_ = weights[:, 0] if weights.shape[1] == 1 else weights
        if hasattr(self, "effect_"):
            del self.effect_
        if sample.inputs.outcome is not None:
            self.effect_ = self._estimate(sample)
        return self

    def with_outcome(self, y: Outcome) -> Self:
        """Return a copy of this design, with the effect on an outcome.

        Parameters
        ----------
        y : Series or array-like (n,)
            One value per row of the X given to ``fit``; a Series must have its index.
        """
        check_is_fitted(self, "weights_")
        inputs = self._sample.inputs
        values = y if isinstance(y, pd.Series) else np.asarray(y)
        if values.ndim != 1:
            raise CausalDataError(f"outcome: has {values.ndim} dimensions; pass one value per row of the design")
        outcome = pd.Series(values)
        if len(outcome) != len(self.used_):
            raise CausalDataError(f"outcome: has {len(outcome):,} values for {len(self.used_):,} rows of the design")
        kept = outcome[self.used_]
        if isinstance(y, pd.Series) and not kept.index.equals(inputs.index):
            raise CausalDataError("y: its index has different labels than the design's rows; align it with X")
        absent = int(kept.isna().sum())
        if absent:
            raise CausalDataError(
                f"outcome is missing (NaN) in {absent:,} rows of the design, which keeps its rows; match again without"
                " these, Matching(...).fit(X[y.notna()], None, treatment=...)"
            )
        kept = kept.set_axis(inputs.index).infer_objects()
        kept.name = "outcome" if outcome.name is None else outcome.name
        inputs = replace(inputs, outcome=kept)
        check_inputs(inputs)
        assert inputs.outcome is not None  # noqa: S101 - just given
        numbers = as_float(inputs.outcome)
        out = copy.copy(self)
        out._as_fitted = Study.of(self, inputs, "raise")
        out._sample = replace(self._sample, inputs=inputs, y=numbers, rows=RowIdentity(inputs.index, numbers))
        out.effect_ = out._estimate(out._sample)
        return out

    def effect(self, X: Covariates = None) -> Effect:
        """Return the average effect, one row per arm compared with the control.

        Parameters
        ----------
        X : None
            There is no effect for new rows.
        """
        check_is_fitted(self, "weights_")
        if not hasattr(self, "effect_"):
            raise CausalError(
                "this is a design without an outcome: effect() needs one, with_outcome(y).effect(), or fit(X, y, ...)"
            )
        return super().effect(X)

    @property
    def matched_(self) -> pd.DataFrame:
        """Who is matched to whom, by the labels of X."""
        check_is_fitted(self, "weights_")
        sample, pairwise = self._sample, self._settled.method in ("nearest", "pair")
        return matched_frame(self._targets, sample.inputs.index, sample.codes, sample.arms, self._by_contrast, pairwise)

    @property
    def is_paired(self) -> bool:
        """Whether every matched row has one partner of its own."""
        check_is_fitted(self, "weights_")
        alone = self._settled.ratio == (1, 1)
        paired = self._settled.method == "pair" or (self._settled.method == "nearest" and not self._settled.replace)
        return bool(paired and alone)

    def pair_differences(self, contrast: Hashable) -> Floats:
        """Outcome of the treated less that of its partner, of every matched pair of a contrast (pairs,).

        Raises
        ------
        CausalArgumentError
            Where rows are not matched in pairs, or have sample weights.
        """
        if not self.is_paired:
            raise CausalArgumentError(
                "rows were not matched one to one, and pairs are asked for; match with method='pair', or with"
                " replace=False and ratio=1"
            )
        sample, plan = self._sample, self._plan
        if sample.w is not None:
            raise CausalArgumentError("pairs with sample weights have no signed ranks; match without sample_weight=")
        arm = list(plan.index).index(contrast) + 1
        population = arm if self.estimand == "ATT" else 0
        for target in self._targets:
            other = 0 if self.estimand == "ATT" else arm
            if target.links is not None and target.population == population and target.arm == other:
                pairs = target.links.pairs()
                gap = sample.y[pairs.left] - sample.y[pairs.right]
                return np.asarray(gap if self.estimand == "ATT" else -gap)
        raise CausalArgumentError(f"{contrast!r} has no matched pairs")

    def score(
        self, X: Covariates, y: Outcome = None, treatment: RoleLike = None, sample_weight: RoleLike = None
    ) -> float:
        """Minus the largest standardised mean difference after matching within the held-out rows, as set here.

        Propensities are those of the fitted model.
        """
        check_is_fitted(self, "weights_")
        held_out = self.held_out(X, y, treatment, sample_weight, outcome=False)
        if self._models is None:
            scores = scores_without_values(self._plan.targets, held_out.codes, len(self.arms_))
        else:
            scores = held_out_scores(self._models, held_out.X, held_out.codes)
        w = _unit(held_out.w, len(held_out.codes))
        frame = self.new_covariates(X)[self.covariates_]
        near = self.encoder_.for_distances
        data = RowsToMatch(near.on(held_out.X), near.names, frame, held_out.codes, w)
        targets = match_targets(self._plan.targets, data, scores, self._settled, self.random_state, least=1)
        weights = weights_by_contrast(targets, w, held_out.codes, len(self.arms_))
        return balance_score(
            held_out.X, self.encoder_.every_level, lambda columns: largest_smd(columns, held_out.codes, weights)
        )

    # -- private -----------------------------------------------------------------------------------------------------

    def _propensities(self, sample: Sample, targets: tuple[tuple[int | None, int], ...]) -> Propensities:
        """Propensities of every comparison."""
        is_model = not isinstance(self.distance, str)
        return fit_scores(
            targets,
            sample.training_rows(),
            spec=self.distance if is_model else self.propensity_model,
            known=sample.propensity,
            labels=sample.inputs.index,
            random_state=self.random_state,
        )

    def _estimate(self, sample: Sample) -> Effect:
        """The effect on the outcome of a sample, under this design."""
        settings, plan, targets = self._settled, self._plan, self._targets
        w = _unit(sample.w, len(sample))
        paired = settings.method == "pair" or (settings.method == "nearest" and not settings.replace)
        on_score = settings.on_propensity
        kind = "pairs" if paired else "score" if on_score and settings.method == "nearest" else "neighbours"
        every = StandardisedMatrix.of(sample.encoder.for_learners.on(sample.X)).whole() if self.bias_adjust else None
        noise = Noise(kind, self.variance_matches, every)
        means = [arm_mean(target, sample.y, w, sample.codes, noise) for target in targets]
        contributions, components, method = self._variance(sample, means, kind, on_score)
        exact = settings.method in ("cem", "subclass") or self.bias_adjust
        return self.finish(
            sample,
            plan,
            np.array([m.value for m in means]),
            contributions,
            estimand=in_words(self.estimand, sample.treatment, sample.outcome),
            std_error_method=method,
            components=components,
            diagnostics=self._checks,
            warned=self._notes,
            assumptions=UNCONFOUNDED if exact else (*UNCONFOUNDED, CLOSE),
            population=self._about,
            facts={
                "n_matched": int((self._by_contrast > 0).any(axis=1).sum()),
                "bias_adjusted": bool(self.bias_adjust),
            },
        )

    def _variance(
        self, sample: Sample, means: list[ArmMean], kind: str, on_score: bool
    ) -> tuple[Floats, tuple[Component, ...] | None, str]:
        """Contributions of the rows, terms of the variance (None: by the clusters given) and where they come from."""
        if kind == "pairs":
            if len(sample.cluster) > 1:
                raise CausalArgumentError(
                    "matched sets are clusters of their own, so that one further way can be given: cluster= takes one"
                    " column here; match with replacement for two-way clusters"
                )
            meat, contributions, df = paired_meat(means, self._targets, sample.cluster)
            further = "".join(f" and {name}" for name in sample.clusters)
            method = f"clustered by matched set{further} (CR1; Abadie and Spiess 2022), Student's t"
            method += "; propensity taken as known" if on_score else ""
            return contributions, (Component(meat, df),), method
        meat, contributions, corrected = abadie_imbens(means, self._targets, _unit(sample.w, len(sample)), sample.codes)
        if sample.cluster:
            return contributions, None, "contributions of the rows (Abadie and Imbens 2012)"
        papers = "2006, 2008, 2016: estimation of the logistic propensity included" if corrected else "2006, 2008"
        method = f"Abadie and Imbens ({papers}), {self.variance_matches} neighbours, normal law"
        if not corrected and on_score:
            method += "; propensity taken as known"
        return contributions, (Component(meat),), method


def _unit(w: Floats | None, n: int) -> Floats:
    return np.ones(n) if w is None else w
