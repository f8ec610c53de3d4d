"""What estimators with mediators share: four cross-fitted nuisances, and mediators of any kind as numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.base import ArmComparison
from pandas_causal.arms.sample import Sample, collinear
from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, CausalDataError, OverlapWarning, warn
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.inputs.parameters import SHARE, Legal, at_least
from pandas_causal.inputs.plain_columns import select_columns
from pandas_causal.inputs.roles import as_frame
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Codes, Floats, Positions
from pandas_causal.mediation.front_door_scores import mediator_overlap
from pandas_causal.mediation.nested_regression import Nested, fit_nested, nested_report
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.cross_fitting import check_model, log_loss, skill
from pandas_causal.models.folds import draw_folds, label_order
from pandas_causal.models.linear import StandardisedMatrix, least_squares
from pandas_causal.models.nuisance import Nuisance, TrainingRows

__all__ = ["CrossFittedMediators", "MediatorEstimator", "inner_regression", "listed", "reordered"]


@dataclass(frozen=True, eq=False)
class CrossFittedMediators:
    """One cross-fit; arrays follow the rows of the sample.

    Attributes
    ----------
    folds : ndarray (n,)
    outcome : Nuisance
        mu: outcome given covariates and mediators, in every arm.
    propensity, given_mediators : Nuisance
        Arm given covariates; and given mediators too.
    nested : Nested
        nu: mu regressed on covariates within another arm.
    e, r : ndarray (n, K)
        The two propensities, bounded.
    """

    folds: Positions
    outcome: Nuisance
    propensity: Nuisance
    given_mediators: Nuisance
    nested: Nested
    e: Floats
    r: Floats


class MediatorEstimator(ArmComparison):
    """Base of doubly robust estimators with mediators: settings, and the cross-fit of e, r, mu and nu.

    Attributes
    ----------
    mediators_ : list
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "n_repeats": at_least(1),
        "clip": SHARE,
    }

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        propensity_model: Model = "auto",
        mediator_model: Model = "auto",
        nested_model: Model = "auto",
        cv: object = 5,
        n_repeats: int = 1,
        clip: float = 0.01,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.propensity_model = propensity_model
        self.mediator_model = mediator_model
        self.nested_model = nested_model
        self.cv = cv
        self.n_repeats = n_repeats
        self.clip = clip
        self.control = control
        self.formula = formula
        self.random_state = random_state
        self.n_jobs = n_jobs

    def score(
        self,
        X: Covariates,
        y: Outcome,
        treatment: RoleLike = None,
        mediators: RoleLike = None,
        sample_weight: RoleLike = None,
    ) -> float:
        """Held-out skill of the nuisances: 1 - loss / loss of arm means and shares, averaged.

        It ranks models of the outcome and of treatment. It says nothing of the effect.

        Parameters
        ----------
        X, y : held-out rows
        treatment, mediators : str or array-like, optional
            By default the columns named at fit.
        sample_weight : array-like (n,), optional
        """
        check_is_fitted(self, "effect_")
        held_out = self.held_out(X, y, treatment, sample_weight)
        XM = np.hstack([held_out.X, self._mediator_encoder.transform(self._held_out_mediators(X, mediators))])
        skills = held_out.skills(self._outcome.on(XM), self._arm_means)
        codes, w = held_out.codes, held_out.w
        shares = np.broadcast_to(self._arm_shares, (len(codes), len(self.arms_)))
        base = log_loss(codes, shares, w)
        for model, Z in ((self._propensity, held_out.X), (self._given_mediators, XM)):
            skills.append(skill(log_loss(codes, model.on(Z), w), base))
        return float(np.mean(skills))

    # -- private -----------------------------------------------------------------------------------------------------

    def _check_models(self) -> None:
        for setting, method in (
            ("outcome_model", "predict"),
            ("propensity_model", "predict_proba"),
            ("mediator_model", "predict_proba"),
            ("nested_model", "predict"),
        ):
            check_model(getattr(self, setting), setting, method)

    def _given_mediators_role(self, mediators: RoleLike, words: str) -> RoleLike:
        """The mediators as a role; a matrix of one column is a column."""
        if mediators is None or (isinstance(mediators, list | tuple) and not len(mediators)):
            raise CausalArgumentError(
                f"{type(self).__name__}.fit needs mediators=, the names of columns of X or values for every row:"
                f" {words}"
            )
        if isinstance(mediators, np.ndarray) and mediators.ndim == 2 and mediators.shape[1] == 1:
            return mediators.ravel()
        return mediators

    def _encode_mediators(self, sample: Sample) -> Floats:
        """Mediators as numbers (n, q); they are complete, so that nothing is imputed."""
        mediators = sample.inputs.roles["mediators"]
        frame = mediators.to_frame() if isinstance(mediators, pd.Series) else mediators
        if "mediators" not in self._taken:  # an array's columns have no names: 0, 1, ...
            frame = frame.rename(columns={c: f"mediator {c}" for c in frame.columns if not isinstance(c, str)})
        self.mediators_ = list(frame.columns)
        self._mediator_encoder = Encoder.fit(frame)
        return self._mediator_encoder.transform(frame)

    def _cross_fit(
        self, sample: Sample, M: Floats, wanted: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> CrossFittedMediators:
        """Draw folds and predict every row by models that did not see it, in the order of the rows' labels."""
        cluster = sample.cluster[0] if sample.cluster else None
        folds = draw_folds(self.cv, sample.inputs, sample.arms, rng, cluster)
        seed = int(rng.integers(2**31 - 1))
        order = label_order(sample.inputs.index)
        order = np.arange(len(sample)) if order is None else order
        rows = sample.training_rows().take(order)
        both = self._beside(rows, sample, M[order])
        settings: dict[str, Any] = {"random_state": seed, "n_jobs": self.n_jobs}
        by = folds[order]
        outcome = nuisances.fit_outcome(self.outcome_model, both, by, **settings)
        e = nuisances.fit_propensity(self.propensity_model, rows, by, **settings)
        r = nuisances.fit_propensity(self.mediator_model, both, by, **settings)
        inner = inner_regression(self.outcome_model, outcome, both, by)
        nested = fit_nested(self.nested_model, rows, inner, by, wanted, **settings)
        back = np.empty(len(order), dtype=np.intp)
        back[order] = np.arange(len(order))
        outcome, e, r, nested = (reordered(part, back) for part in (outcome, e, r, nested))
        bounded = [np.clip(p.predictions, self.clip, 1 - self.clip) if self.clip else p.predictions for p in (e, r)]
        if min(p.min() for p in bounded) <= 0:
            raise CausalDataError(
                "an estimated probability of an arm is exactly 0, and is divided by; bound them (clip=), or use"
                " smoother models"
            )
        return CrossFittedMediators(folds, outcome, e, r, nested, bounded[0], bounded[1])

    def _beside(self, rows: TrainingRows, sample: Sample, M: Floats) -> TrainingRows:
        """Rows with the mediators (n, q) beside the covariates."""
        names = sample.columns
        return replace(
            rows,
            X=np.hstack([rows.X, M]),
            design=None,
            columns=None if names is None else [*names, *self._mediator_encoder.names],
            levels=sample.encoder.for_learners.beside(self._mediator_encoder.for_learners, rows.X.shape[1]),
        )

    def _store(self, run: CrossFittedMediators, sample: Sample) -> None:
        """Keep folds, predictions and models of the first split."""
        self.folds_ = run.folds
        self.outcome_predictions_ = run.outcome.predictions
        self.nested_predictions_ = run.nested.predictions
        self.propensity_, self.given_mediators_ = run.e, run.r
        self._outcome, self._propensity, self._given_mediators = run.outcome, run.propensity, run.given_mediators
        raw = (run.propensity.predictions, run.given_mediators.predictions)
        changed = [(p != b).any(axis=1) for p, b in zip(raw, (run.e, run.r), strict=True)]
        self._n_clipped = int((changed[0] | changed[1]).sum())
        self._arm_means = sample.arm_means()
        shares = np.bincount(sample.codes, weights=sample.w)
        self._arm_shares = shares / shares.sum()

    def _diagnose(
        self, sample: Sample, wanted: Sequence[tuple[int, int]], run: CrossFittedMediators, estimand: str
    ) -> tuple[dict[str, Any], list[str]]:
        """Overlap in covariates and in mediators, how the nuisances predict, and what to warn of."""
        levels = sample.arms.levels
        checks, warned = self.overlap(
            sample, run.e, estimand, out_of_fold=True, augmented=True,
            unpenalised=nuisances.is_linear(self.propensity_model, sample.X),
        )  # fmt: skip
        mediators = mediator_overlap(run.e, run.r, sample.codes, levels, wanted, sample.w)
        checks["mediators"] = mediators
        if not mediators.passed:
            text = (
                f"weak overlap in the mediators: {mediators.summary}; the answer leans on few rows, or the models of"
                " treatment with and without mediators contradict each other"
            )
            warn(text, OverlapWarning)
            warned.append(text)
        report = nuisances.report(run.outcome, run.propensity, levels)
        by_mediators = nuisances.report(None, run.given_mediators, levels).table.rename(
            {"propensity": "arm by mediators"}
        )
        table = pd.concat([report.table, by_mediators, nested_report(run.nested, levels)])
        checks["nuisance"] = Check(None, table, report.summary)
        models = (self.outcome_model, self.propensity_model, self.mediator_model, self.nested_model)
        if sample.X.shape[1] and any(nuisances.is_linear(model, sample.X) for model in models):
            warned += collinear(sample, StandardisedMatrix.of(sample.X).dropped)
        return checks, warned

    def _held_out_mediators(self, X: Any, mediators: RoleLike) -> pd.DataFrame:
        """Mediators of held-out rows: the columns named at fit, or what is given."""
        frame, _ = as_frame(X)
        if mediators is None:
            absent = [m for m in self._taken.get("mediators", ["mediators"]) if m not in frame.columns]
            if absent:
                raise CausalArgumentError(
                    f"score needs the mediators {absent} of the held-out rows: columns of X, or mediators="
                )
            return select_columns(frame, self.mediators_)
        if isinstance(mediators, str) or (isinstance(mediators, list) and all(m in frame.columns for m in mediators)):
            return select_columns(frame, [mediators] if isinstance(mediators, str) else mediators)
        values = mediators if isinstance(mediators, pd.DataFrame) else pd.DataFrame(np.asarray(mediators))
        if values.shape != (len(frame), len(self.mediators_)):
            raise CausalDataError(
                f"mediators of held-out rows have shape {values.shape}, not {(len(frame), len(self.mediators_))}"
            )
        return values.set_axis(self.mediators_, axis=1)


def inner_regression(spec: Model, outcome: Nuisance, rows: TrainingRows, folds: Codes) -> Callable[[int], Floats]:
    """Outcome in every arm at the mediators of all rows, by the models that did not see a fold."""
    if not nuisances.is_linear(spec, rows.X):
        at = {int(fold): model for fold, model in zip(np.unique(folds), outcome.predict, strict=True)}
        return lambda fold: np.asarray(at[fold](rows.X))
    design = rows.standardised()
    coefficients = least_squares(design, rows.outcome(), rows.arms, rows.n_arms, folds, int(folds.max()) + 1, rows.w)
    return lambda fold: np.vstack([Z @ coefficients[fold].T for _, Z in design.blocks()])


def reordered(part: Any, at: Positions) -> Any:
    """The same nuisance with its predictions in another order."""
    return replace(part, predictions=part.predictions[at])


def listed(names: list[Any]) -> str:
    """Names in a sentence, at most six."""
    return ", ".join(map(str, names[:6])) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
