"""Doubly robust estimators of average effects: AIPW and TMLE.

Both combine a model of the outcome with a model of treatment, are right in large samples if either is, and allow any
learner for both because every row is predicted by models that did not see it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.adjustment.targeting import target_arm
from pandas_causal.arms.base import ArmComparison
from pandas_causal.arms.estimands import (
    EstimandPlan,
    in_words,
    plan_estimand,
    target_density,
    target_share,
    targets_of,
)
from pandas_causal.arms.sample import Sample, collinear, supported, trimmed
from pandas_causal.arms.structure import std_errors, structure_of_residuals
from pandas_causal.effect.check import Check
from pandas_causal.errors import AssumptionWarning, CausalArgumentError, warn
from pandas_causal.inference.influence import Component, cluster_component, repeated_components
from pandas_causal.inference.omitted_variables import RieszTerms
from pandas_causal.inputs.parameters import SHARE_OR_NONE, Legal, at_least, one_of
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Bools, Codes, Floats, Positions
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.cross_fitting import log_loss, skill
from pandas_causal.models.folds import draw_folds
from pandas_causal.models.linear import StandardisedMatrix
from pandas_causal.models.nuisance import Nuisance

__all__ = ["AIPW", "TMLE"]

_CLIP = 0.01
_FAR = 3.0  # standard errors
_DISTANCE = np.sqrt(0.5)  # of the distance to the plainer answer, whose bias is more than halved


def propensity_bound(n: int) -> float:
    """Bound of estimated propensities that n rows bear, 5 / (sqrt(n) log n) and at most .1.

    Gruber, Phillips, Lee and van der Laan (2022), American Journal of Epidemiology 191, "Data-adaptive selection of the
    propensity score truncation level".
    """
    return min(0.1, 5 / (np.sqrt(n) * np.log(n)))


def aipw_scores(
    plan: EstimandPlan,
    y: Floats,
    codes: Codes,
    outcome: Floats,
    propensity: Floats,
    keep: Bools | None = None,
    w: Floats | None = None,
    leverage: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Augmented inverse-probability means and their contributions.

    For the mean under arm a in the population with membership g and tilting h,
    ``theta = sum g m_a + h / e_a 1{A = a} (y - m_a)`` over ``sum g``: membership is estimated, so ``- g theta`` is
    part of every contribution.

    Parameters
    ----------
    plan : EstimandPlan
        Parameters wanted (k of them).
    y : ndarray (n,)
    codes : ndarray (n,)
    outcome : ndarray (n, K)
        Predicted outcome in every arm.
    propensity : ndarray (n, K)
    keep : ndarray (n,) of bool, optional
        Rows left after trimming.
    w : ndarray (n,), optional
    leverage : ndarray (n,), optional
        Of the rows on a correction of the outcome model that was fitted to these very rows: the residuals in the
        contributions are divided by 1 less it, as in HC3 (MacKinnon and White 1985); they then do not sum to 0.

    Returns
    -------
    values : ndarray (k,)
    contributions : ndarray (n, k)

    References
    ----------
    Robins, Rotnitzky and Zhao (1994), JASA, "Estimation of regression coefficients when some regressors are not always
    observed"; Chernozhukov et al. (2018), "Double/debiased machine learning", Econometrics Journal, eq. (5.3) and
    (5.4).
    """
    n, k = len(y), len(plan.targets)
    values, contributions = np.empty(k), np.empty((n, k))
    unit = np.ones(n) if keep is None else keep.astype(float)
    if w is not None:
        unit = unit * w
    for j, (population, a) in enumerate(plan.targets):
        g = target_share(population, codes, propensity, plan.estimand)
        g *= unit
        # both terms carry the factor that weights and trimming put on a row
        term = target_density(plan.estimand, population, propensity)
        term /= propensity[:, a]
        term *= unit
        term[codes != a] = 0.0
        term *= y - outcome[:, a]
        predicted = g * outcome[:, a]
        total = g.sum()
        values[j] = (term.sum() + predicted.sum()) / total
        if leverage is not None:
            term /= 1 - leverage
        term += predicted
        g *= values[j]
        term -= g
        np.divide(term, total, out=contributions[:, j])
    return values, contributions


def fluctuate(y: Floats, initial: Floats, weights: Floats, *, low: float, high: float) -> Floats:
    """Targeting step: shift the initial predictions on the logit scale until ``sum weights (y - prediction) = 0``.

    Outcomes are mapped to [0, 1]; the intercept of a weighted logistic regression with the initial fit as offset is
    found by Newton.

    Parameters
    ----------
    y, initial, weights : ndarray (n,)
        Weights are ``1{A = a} h / e_a``.
    low, high : float
        Bounds of the outcome.

    Returns
    -------
    ndarray (n,)

    References
    ----------
    Gruber and van der Laan (2010), "A targeted maximum likelihood estimator of a causal effect on a bounded continuous
    outcome", International Journal of Biostatistics, section 2.
    """
    from scipy import special

    size = high - low
    target = (y - low) / size
    offset = special.logit(np.clip((initial - low) / size, 0.005, 0.995))
    used = weights > 0
    epsilon = 0.0
    for _ in range(100):
        q = special.expit(offset[used] + epsilon)
        slope = (weights[used] * q * (1 - q)).sum()
        step = (weights[used] * (target[used] - q)).sum() / slope if slope > 0 else 0.0
        epsilon += float(np.clip(step, -2, 2))
        if abs(step) < 1e-12:
            break
    return low + size * special.expit(offset + epsilon)


@dataclass(frozen=True, eq=False)
class _Run:
    """One cross-fit: folds, nuisances, propensities as predicted (or given) and as bounded."""

    folds: Positions
    outcome: Nuisance
    propensity: Nuisance | None
    raw: Floats
    e: Floats

    @property
    def bounded(self) -> Bools:
        """Rows (n,) whose propensities were bounded."""
        return (self.raw != self.e).any(axis=1)

    @property
    def plain_name(self) -> str:
        """The learners of the plainer answer: boosting needs rows."""
        fits = [fit for fit in (self.outcome, self.propensity) if fit is not None]
        boosted = any("boosting" in stack.members for fit in fits for stack in fit.stacks)
        return "ridge and boosting alone" if boosted else "ridge alone"

    @property
    def corrected(self) -> bool:
        """Whether the outcome model is to be corrected before it is averaged: where a model is "auto"."""
        return bool(self.outcome.stacks or (self.propensity is not None and self.propensity.stacks))

    def plain(self, known: Floats | None, clip: float) -> _Run | None:
        """The run that ridge and boosting alone would have made, where "auto" has more; `known` propensities."""
        if self.outcome.plain is None and (self.propensity is None or self.propensity.plain is None):
            return None
        outcome = (
            replace(self.outcome, predictions=self.outcome.plain) if self.outcome.plain is not None else self.outcome
        )
        raw = known if self.propensity is None else self.propensity.plain
        e = self.e if raw is None else raw if known is not None else np.clip(raw, clip, 1 - clip)
        return replace(self, outcome=outcome, raw=e if raw is None else raw, e=e)


class _CrossFitted(ArmComparison):
    """What AIPW and TMLE share: cross-fitted nuisances, repeated splits, held-out skill as score."""

    legal: ClassVar[Mapping[str, Legal]] = {
        "n_repeats": at_least(1),
        "clip": SHARE_OR_NONE,
        "std_error": one_of(None, "influence", "honest"),
        "trim": SHARE_OR_NONE,
    }

    def __init__(
        self,
        *,
        estimand: str = "ATE",
        outcome_model: Model = "auto",
        propensity_model: Model = "auto",
        cv: object = 5,
        n_repeats: int = 1,
        clip: float | None = None,
        trim: float | None = None,
        std_error: str | None = None,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.estimand = estimand
        self.outcome_model = outcome_model
        self.propensity_model = propensity_model
        self.cv = cv
        self.n_repeats = n_repeats
        self.clip = clip
        self.trim = trim
        self.std_error = std_error
        self.control = control
        self.formula = formula
        self.random_state = random_state
        self.n_jobs = n_jobs

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
        X : DataFrame or array-like (n, p)
            Covariates, and any roles given by name.
        y : array-like (n,)
            Outcome, in its own units.
        treatment : str or array-like (n,)
            Arms: 0/1, bool, strings or categories.
        cluster : str, array-like (n,) or list of up to four, optional
            Units that were sampled or treated together: folds keep them whole, errors are clustered.
        sample_weight : str or array-like (n,), optional
            Sampling weights.
        propensity : str, array-like (n,) or (n, K), optional
            Known assignment probabilities; no propensity model is fitted.
        missing : {"raise", "drop"}
            Rows without outcome, treatment or another role.

        Raises
        ------
        CausalDataError
            Everything that is wrong with the data, at once.
        OverlapError
            Where arms cannot be compared.
        CausalArgumentError
            For a wrong setting.
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
        )
        plan = plan_estimand(self.estimand, sample.arms, sample.treatment)
        linear = any(nuisances.is_linear(model, sample.X) for model in (self.outcome_model, self.propensity_model))
        design = StandardisedMatrix.of(sample.X) if linear else None
        rng = np.random.default_rng(self.random_state)
        runs = [self._cross_fit(sample, design, rng)]
        runs += [self._cross_fit(sample, design, rng, runs[0]) for _ in range(self.n_repeats - 1)]
        levels = sample.arms.levels
        parts = [supported(self.estimand, r.e, sample.codes, self.trim, levels, decisive=r.raw) for r in runs]
        keeps, safe = [keep for keep, _ in parts], [replace(r, e=e) for r, (_, e) in zip(runs, parts, strict=True)]
        scores = [self._scores(plan, sample, r, keep) for r, keep in zip(safe, keeps, strict=True)]
        values = np.mean([s[0] for s in scores], axis=0)
        contributions = scores[0][1] if len(scores) == 1 else np.mean([s[1] for s in scores], axis=0)
        components = repeated_components(np.array([s[0] for s in scores]), contributions, sample.cluster)
        plain = self._plain_values(plan, sample, safe, keeps)
        honest = self.std_error == "honest" or (self.std_error is None and plain is not None)
        if honest:
            components = self._widened(sample, values, plain, contributions, components)
        self._store(runs, sample, keeps[0])
        clipped = int((runs[0].bounded if keeps[0] is None else runs[0].bounded & keeps[0]).sum())
        checks, warned = self.overlap(
            sample,
            runs[0].e,
            self.estimand,
            keeps[0],
            clipped,
            out_of_fold=runs[0].propensity is not None,
            augmented=True,
            unpenalised=nuisances.is_linear(self.propensity_model, sample.X),
        )
        outcome, model = runs[0].outcome.without_models(), runs[0].propensity
        model = None if model is None else model.without_models()
        checks["nuisance"] = partial(nuisances.report, outcome, model, levels)
        if not self._validated:  # a refit to drawn rows has nobody to tell
            checks["structure"], missed = structure_of_residuals(
                sample, plan, runs[0].outcome.predictions, safe[0].e, *scores[0], keeps[0]
            )
            warned = [*warned, *missed]
        if plain is not None:
            checks["learners"], told = _learners_check(plan, sample, values, plain, contributions, runs[0].plain_name)
            warned = [*warned, *told]
        n_trimmed, about, notes = trimmed(len(sample), keeps[0], self.trim)
        self.effect_ = self.finish(
            sample,
            plan,
            values,
            contributions,
            estimand=in_words(self.estimand, sample.treatment, sample.outcome),
            std_error_method=f"influence function, cross-fitted in {int(runs[0].folds.max()) + 1} folds, "
            + ("widened by the choice of learners, normal law" if honest else "normal law"),
            components=components,
            diagnostics=checks,
            warned=[*warned, *notes, *([] if design is None else collinear(sample, design.dropped))],
            population=about,
            facts={"n_trimmed": n_trimmed, "n_clipped": clipped},
        )
        return self

    def score(self, X: Covariates, y: Outcome, treatment: RoleLike = None, sample_weight: RoleLike = None) -> float:
        """Held-out skill of the nuisances: 1 - loss / loss of arm means and shares, averaged.

        It ranks nuisance models. It says nothing of the effect.

        Parameters
        ----------
        X, y : held-out rows
        treatment : str or array-like (n,), optional
            By default the column named at fit.
        sample_weight : array-like (n,), optional
        """
        check_is_fitted(self, "effect_")
        held_out = self.held_out(X, y, treatment, sample_weight)
        skills = held_out.skills(self._outcome.on(held_out.X), self._arm_means)
        if self._propensity is not None:
            e, codes, w = self._propensity.on(held_out.X), held_out.codes, held_out.w
            shares = np.broadcast_to(self._arm_shares, e.shape)
            skills.append(skill(log_loss(codes, e, w), log_loss(codes, shares, w)))
        return float(np.mean(skills))

    def _plain_values(
        self, plan: EstimandPlan, sample: Sample, runs: Sequence[_Run], keeps: Sequence[Bools | None]
    ) -> Floats | None:
        """The parameters by ridge and boosting alone, uncorrected; None where that is what was asked for."""
        values = []
        for run, keep in zip(runs, keeps, strict=True):
            plain = run.plain(sample.propensity, _CLIP if self.clip is None else self.clip)
            if plain is None:
                return None
            e = plain.e if keep is None else np.where(keep[:, None], plain.e, 1 / len(sample.arms))
            means = aipw_scores(plan, sample.y, sample.codes, plain.outcome.predictions, e, keep, sample.w)
            values.append(means[0])
        return np.mean(values, axis=0)

    def _widened(
        self,
        sample: Sample,
        values: Floats,
        plain: Floats | None,
        contributions: Floats,
        components: tuple[Component, ...] | None,
    ) -> tuple[Component, ...]:
        """Variance with half the squared distance to a second answer, of plainer learners: what their choice is worth.

        If the plainer answer's bias is B and this one's a share r of it, they are (1 - r) B apart: 95% intervals that
        are so widened cover at least .95 for any B where r is at most .4, and .91 where it is .5.

        Raises
        ------
        CausalArgumentError
            Where no model is "auto", so that there is no second answer.
        """
        if plain is None and not sample.X.shape[1]:
            raise CausalArgumentError(
                "std_error='honest' compares learners, and without covariates there is none: every model is a mean by"
                " arm; use std_error='influence'"
            )
        if plain is None:
            raise CausalArgumentError(
                "std_error='honest' compares \"auto\" with plainer learners; set outcome_model or propensity_model to"
                " 'auto', or use std_error='influence'"
            )
        if components is None:
            k = contributions.shape[1]
            by = sample.cluster
            components = (
                cluster_component(contributions, by, p=k) if by else Component(contributions.T @ contributions),
            )
        return (*components, Component.of_shift((values - plain) * _DISTANCE))

    def riesz_terms(self, y: Floats) -> RieszTerms:
        """Residuals of the outcome model and representers of the means, of the first split: what a confounder acts on.

        Parameters
        ----------
        y : ndarray (n,)
            Outcome of the rows used.
        """
        check_is_fitted(self, "effect_")
        codes, n, K = self.arm_codes_, len(self.arm_codes_), len(self.arms_)
        keep, e = self._kept, self.propensity_
        if keep is not None:
            e = np.where(keep[:, None], e, 1 / K)
        unit = np.ones(n) if self.row_weights_ is None else self.row_weights_
        unit = unit if keep is None else unit * keep
        unit = unit * (n / unit.sum())
        targets = targets_of(self.estimand, K)
        density, membership = np.empty((n, len(targets))), np.empty((n, len(targets)))
        for j, (population, a) in enumerate(targets):
            share = target_share(population, codes, e, self.estimand)
            size = unit @ share / n
            membership[:, j] = share / size
            density[:, j] = target_density(self.estimand, population, e) / e[:, a] / size
        residual = y - self.outcome_predictions_[np.arange(n), codes]
        return RieszTerms(residual, codes, np.array([a for _, a in targets]), density, membership, unit)

    def _scores(self, plan: EstimandPlan, sample: Sample, run: _Run, keep: Bools | None) -> tuple[Floats, Floats]:
        raise CausalArgumentError(f"{type(self).__name__} has no score of its own; use AIPW or TMLE")

    def _cross_fit(
        self, sample: Sample, design: StandardisedMatrix | None, rng: np.random.Generator, first: _Run | None = None
    ) -> _Run:
        """Draw folds and predict every row by models that did not see it; "auto" stays what the first split chose."""
        folds = draw_folds(self.cv, sample.inputs, sample.arms, rng, sample.cluster[0] if sample.cluster else None)
        settings: dict[str, Any] = {"random_state": int(rng.integers(2**31 - 1)), "n_jobs": self.n_jobs}
        labels, rows = sample.inputs.index, sample.training_rows(design)
        outcome = nuisances.in_label_order(
            nuisances.fit_outcome,
            labels,
            self.outcome_model,
            rows,
            folds,
            before=None if first is None else first.outcome,
            **settings,
        )
        model = None
        if sample.propensity is None:
            model = nuisances.in_label_order(
                nuisances.fit_propensity,
                labels,
                self.propensity_model,
                rows,
                folds,
                before=None if first is None else first.propensity,
                **settings,
            )
        raw = sample.propensity if model is None else model.predictions
        assert raw is not None  # noqa: S101 - one of the two is there
        e = np.clip(raw, *self._bounds(sample)) if model is not None else raw
        return _Run(folds, outcome, model, raw, e)

    def _bounds(self, sample: Sample) -> tuple[Floats, Floats]:
        """Least and largest propensity (K,) of every arm."""
        K = len(sample.arms)
        automatic = isinstance(self.propensity_model, str) and self.propensity_model == "auto"
        if self.clip is not None or not automatic:
            clip = _CLIP if self.clip is None else self.clip
            return np.full(K, clip), np.full(K, 1 - clip)
        # a rare arm's propensities are small without being extreme: its bound is smaller by as much
        shares = np.bincount(sample.codes, weights=sample.w, minlength=K)
        low = propensity_bound(len(sample)) * np.minimum(K * shares / shares.sum(), 1.0)
        return low, 1 - (low.sum() - low)

    def _store(self, runs: list[_Run], sample: Sample, keep: Bools | None) -> None:
        """Keep folds, predictions, propensities and rows of the first split, and the models for held-out scores."""
        first = runs[0]
        self._kept = keep
        self.folds_ = first.folds
        self.outcome_predictions_ = first.outcome.predictions
        self.propensity_ = first.e
        self._outcome, self._propensity = first.outcome, first.propensity
        self._arm_means = sample.arm_means()
        shares = np.bincount(sample.codes, weights=sample.w)
        self._arm_shares = shares / shares.sum()


class AIPW(_CrossFitted):
    """Augmented inverse-probability weighting with cross-fitting (double machine learning for average effects).

    Estimates the mean outcome under every arm by predictions of an outcome model, corrected by inverse-probability
    weighted residuals; consistent if either nuisance model is, with normal errors if both converge fast enough. Rests
    on no unmeasured confounding and overlap.

    Parameters
    ----------
    estimand : {"ATE", "ATT", "ATC"}
        Everyone, the treated, or the controls. With several arms ATT compares each arm's own rows with control.
    outcome_model : {"auto", "linear", "ridge", "boosting", "splines", "boosted_splines"} or scikit-learn regressor
        (a classifier for 0/1 outcomes). "auto" joins ridge, splines with products, boosting, and both over all arms at
        once, by weights that minimise the out-of-fold loss (see Notes); "linear" is unpenalised and fast.
    propensity_model : {"auto", "linear", "ridge", "boosting", "splines", "boosted_splines"} or scikit-learn classifier
    cv : int, splitter or iterable of (train, test)
        Folds of the cross-fit, stratified by treatment, clusters whole.
    n_repeats : int
        Independent splits to average over; their spread enters the standard error.
    clip : float, optional
        Estimated propensities are bounded to [clip, 1 - clip]; bounded rows are counted. By default 0.01, and what the
        number of rows bears, 5 / (sqrt(n) log n) and at most .1 (Gruber et al. 2022), where the propensity is "auto".
    trim : float, optional
        Leave out rows whose propensity is nearer than this to the 0 or 1 at which the estimand's weights are infinite;
        counted, and the answer then speaks of the rows left.
    std_error : {None, "influence", "honest"}
        "influence" is the influence function's. "honest" widens its variance by half the squared distance to the
        answer of ridge and boosting alone, which is what the choice of learners is worth. None: honest where a model
        is "auto".
    control : level, optional
        Reference arm; else the first category, else the first level in sorted order.
    formula : str, optional
        Right-hand side that makes the covariates: see :class:`ArmComparison`.
    random_state : int or None
        Seed of folds and models.
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
    propensity_ : ndarray (n, K)
    outcome_predictions_ : ndarray (n, K)
    folds_ : ndarray (n,)
    arms_ : tuple
        Levels, the control first.

    Notes
    -----
    Where a model is "auto", the outcome model is corrected before it is averaged: an arm's residuals are regressed on
    every arm's predictions and the log odds, under the weights of its mean, and the fit is added for all rows. What it
    fitted is told by the leverages, by which the residuals are inflated. Models that are named are averaged as they
    are, so that the answer equals that of other software with the same models and folds.

    References
    ----------
    Robins, Rotnitzky and Zhao (1994), JASA; Chernozhukov et al. (2018), Econometrics Journal, eq. (5.3) and (5.4);
    van der Laan, Polley and Hubbard (2007), "Super learner", and Ahrens et al. (2025), "Model averaging and double
    machine learning", for "auto"; Scharfstein, Rotnitzky and Robins (1999), JASA 94, for the correction.

    Examples
    --------
    >>> AIPW().fit(frame, y, treatment="medication").effect()  # doctest: +SKIP
    """

    def _scores(self, plan: EstimandPlan, sample: Sample, run: _Run, keep: Bools | None) -> tuple[Floats, Floats]:
        if run.corrected:
            return corrected_scores(plan, sample, run.outcome.predictions, run.e, keep)
        return aipw_scores(plan, sample.y, sample.codes, run.outcome.predictions, run.e, keep, sample.w)


class TMLE(_CrossFitted):
    """Targeted maximum likelihood: the outcome model is shifted until it solves the efficient score, then averaged.

    Like AIPW it is doubly robust and efficient; being a plug-in it stays within the range of the outcome. Predictions
    are cross-fitted, the shift is found on all rows, on the logit scale of the outcome mapped to [0, 1].

    Parameters
    ----------
    estimand, outcome_model, propensity_model, cv, n_repeats, clip, trim, std_error, control, random_state, n_jobs
        As in :class:`AIPW`.

    References
    ----------
    van der Laan and Rubin (2006), International Journal of Biostatistics; Gruber and van der Laan (2010), section 2;
    Zheng and van der Laan (2011) for the cross-validated form.
    """

    def _scores(self, plan: EstimandPlan, sample: Sample, run: _Run, keep: Bools | None) -> tuple[Floats, Floats]:
        y, low, high = sample.y, float(sample.y.min()), float(sample.y.max())

        def shifted(one: EstimandPlan, weights: Floats) -> tuple[Floats, Floats]:
            a = one.targets[0][1]
            outcome = run.outcome.predictions.copy()
            outcome[:, a] = fluctuate(y, outcome[:, a], np.where(sample.codes == a, weights, 0.0), low=low, high=high)
            return aipw_scores(one, y, sample.codes, outcome, run.e, keep, sample.w)

        return _by_target(plan, sample, run.e, keep, shifted)


def _learners_check(
    plan: EstimandPlan, sample: Sample, values: Floats, plain: Floats, contributions: Floats, plain_name: str
) -> tuple[Check, list[str]]:
    """The answer beside that of ridge and boosting alone, in standard errors of the influence function.

    Warns
    -----
    AssumptionWarning
        Where they are over three apart: then no learner may be right.
    """
    scale = std_errors(contributions @ plan.loadings.T, sample.cluster)
    table = pd.DataFrame({"estimate": plan.loadings @ values, "plain": plan.loadings @ plain}, index=plan.index)
    gap = table["estimate"] - table["plain"]
    table["distance"] = np.divide(gap, scale, out=np.zeros(len(gap)), where=scale > 0)
    most = float(table["distance"].abs().max())
    text = f"{plain_name} would give an answer {most:.1f} standard errors away"
    if most <= _FAR:
        return Check(True, table, text), []
    text += "; the answer rests on what the other learners see, and the error says so"
    warn(text, AssumptionWarning)
    return Check(False, table, text), [text]


def corrected_scores(
    plan: EstimandPlan, sample: Sample, outcome: Floats, propensity: Floats, keep: Bools | None
) -> tuple[Floats, Floats]:
    """AIPW scores of an outcome model that was corrected by its own rows: see :func:`target_arm`.

    The parameters are those of :func:`aipw_scores`.
    """

    def corrected(one: EstimandPlan, weights: Floats) -> tuple[Floats, Floats]:
        a = one.targets[0][1]
        shifted = outcome.copy()
        shifted[:, a], leverage = target_arm(sample.y, sample.codes == a, outcome, propensity, a, weights)
        return aipw_scores(one, sample.y, sample.codes, shifted, propensity, keep, sample.w, leverage)

    return _by_target(plan, sample, propensity, keep, corrected)


def _by_target(
    plan: EstimandPlan,
    sample: Sample,
    e: Floats,
    keep: Bools | None,
    score: Callable[[EstimandPlan, Floats], tuple[Floats, Floats]],
) -> tuple[Floats, Floats]:
    """Values (k,) and contributions (n, k) where every mean has an outcome model of its own, made by its weights."""
    values, contributions = [], []
    for target in plan.targets:
        population, a = target
        weights = target_density(plan.estimand, population, e) / e[:, a]
        if sample.w is not None:
            weights = weights * sample.w
        if keep is not None:
            weights = weights * keep
        value, contribution = score(replace(plan, targets=(target,)), weights)
        values.append(value[0])
        contributions.append(contribution[:, 0])
    return np.array(values), np.column_stack(contributions)
