"""The front door: an effect whose confounders are unknown, found through the mediators that carry all of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.base import ArmComparison
from pandas_causal.arms.estimands import EstimandPlan, in_words, plan_estimand
from pandas_causal.arms.sample import Sample, collinear
from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, CausalDataError, OverlapWarning, warn
from pandas_causal.inference.influence import repeated_components
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.inputs.parameters import SHARE, Legal, at_least
from pandas_causal.inputs.plain_columns import select_columns
from pandas_causal.inputs.roles import as_frame
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Codes, Floats, Positions
from pandas_causal.mediation.front_door_scores import front_door_scores, mediator_overlap
from pandas_causal.mediation.nested_regression import Nested, fit_nested, nested_report, pairs
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.cross_fitting import check_model, log_loss, skill
from pandas_causal.models.folds import draw_folds, label_order
from pandas_causal.models.linear import StandardisedMatrix, least_squares
from pandas_causal.models.nuisance import Nuisance, TrainingRows

__all__ = ["FrontDoor"]

FRONT_DOOR = (
    "full mediation: treatment reaches the outcome only through {mediators} (cannot be tested)",
    "nothing unmeasured drives both treatment and a mediator, given the covariates (cannot be tested)",
    "nothing unmeasured drives both a mediator and the outcome, given treatment and covariates (cannot be tested)",
    "overlap: every unit could have received every arm, and the mediators of one arm occur in the others (checked)",
    "no interference between units, and one version of each arm",
)


@dataclass(frozen=True, eq=False)
class _Run:
    """One cross-fit; arrays follow the rows of the sample."""

    folds: Positions
    outcome: Nuisance
    propensity: Nuisance
    given_mediators: Nuisance
    nested: Nested
    e: Floats
    r: Floats


class FrontDoor(ArmComparison):
    """Doubly robust front-door estimator with cross-fitting, for one or several mediators of any kind.

    Estimates the mean outcome under every arm where treatment and outcome share unmeasured causes, but the whole effect
    passes through mediators that do not. Covariates, if any, are causes that mediators share with treatment or outcome;
    they must not be affected by treatment.

    Four nuisances are fitted: the arm given covariates (e), the arm given covariates and mediators (r), the outcome
    given covariates and mediators in every arm (mu), and the regression of mu on covariates across arms (nu). Ratios
    of the mediators' densities are ratios of r and e, so that no density is estimated. The estimate is consistent where
    e and r, or e and mu, or mu and nu are right, whatever the others are; its error is normal if the products of their
    errors vanish fast enough.

    Parameters
    ----------
    estimand : {"ATE", "ATT", "ATC"}
    outcome_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn regressor (classifier for 0/1 outcomes)
        mu. "auto" takes the better of ridge and boosting by out-of-fold loss; "linear" is unpenalised and fast.
    propensity_model, mediator_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn classifier
        e and r. Models of one kind agree best with each other.
    nested_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn regressor
        nu.
    cv : int, splitter or iterable of (train, test)
        Folds of the cross-fit, stratified by treatment, clusters whole.
    n_repeats : int
        Independent splits to average over; their spread enters the standard error.
    clip : float
        e and r are bounded to [clip, 1 - clip]; bounded rows are counted.
    control : level, optional
        Reference arm; else the first category, else the first level in sorted order.
    formula : str, optional
        Right-hand side that makes the covariates: see :class:`ArmComparison`.
    random_state : int or None
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
    propensity_, given_mediators_, outcome_predictions_ : ndarray (n, K)
        e, r and mu of every row, out of fold.
    nested_predictions_ : ndarray (n, K, K)
        nu: the outcome of arm t by the mediators of arm a, as ``[:, a, t]``.
    folds_ : ndarray (n,)
    mediators_ : list
    arms_ : tuple
        Levels, the control first.

    References
    ----------
    Pearl (1995), "Causal diagrams for empirical research", Biometrika, section 3.2; Fulcher, Shpitser, Marealle and
    Tchetgen Tchetgen (2020), JRSS B 82, Theorem 1; Guo, Benkeser and Nabi (2023), arXiv 2312.10234.

    Examples
    --------
    >>> FrontDoor().fit(frame, y, treatment="smoking", mediators=["tar"]).effect()  # doctest: +SKIP
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "n_repeats": at_least(1),
        "clip": SHARE,
    }

    def __init__(
        self,
        *,
        estimand: str = "ATE",
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
        self.estimand = estimand
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

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        treatment: RoleLike = None,
        mediators: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame or array-like (n, p)
            Covariates, none of them affected by treatment, and any roles given by name.
        y : array-like (n,)
            Outcome, in its own units.
        treatment : str or array-like (n,)
            Arms: 0/1, bool, strings or categories.
        mediators : str, list of str, array-like (n,) or (n, q), or DataFrame
            What carries the effect: numbers, bools, categories or strings, complete.
        cluster : str, array-like (n,) or list of up to four, optional
            Units that were sampled or treated together: folds keep them whole, errors are clustered.
        sample_weight : str or array-like (n,), optional
            Sampling weights.
        missing : {"raise", "drop"}
            Rows without outcome, treatment, mediator or another role.

        Raises
        ------
        CausalDataError
            Everything that is wrong with the data, at once.
        OverlapError
            Where arms, or their mediators, cannot be compared.
        CausalArgumentError
            For a wrong setting.
        """
        self._check_models()
        if mediators is None or (isinstance(mediators, list | tuple) and not len(mediators)):
            raise CausalArgumentError(
                "FrontDoor.fit needs mediators=, the names of columns of X or values for every row: what carries the"
                " whole effect"
            )
        if isinstance(mediators, np.ndarray) and mediators.ndim == 2 and mediators.shape[1] == 1:
            mediators = mediators.ravel()
        sample = self.prepare(
            X,
            y,
            treatment=treatment,
            mediators=mediators,
            missing=missing,
            control=self.control,
            cluster=cluster,
            sample_weight=sample_weight,
        )
        plan = plan_estimand(self.estimand, sample.arms, sample.treatment)
        M = self._encode_mediators(sample)
        rng = np.random.default_rng(self.random_state)
        runs = [self._cross_fit(sample, M, plan, rng) for _ in range(self.n_repeats)]
        scores = [
            front_door_scores(
                plan,
                sample.y,
                sample.codes,
                outcome=run.outcome.predictions,
                nested=run.nested.predictions,
                propensity=run.e,
                given_mediators=run.r,
                w=sample.w,
            )
            for run in runs
        ]
        estimates = np.array([values for values, _ in scores])
        contributions = np.mean([c for _, c in scores], axis=0)
        self._store(runs[0], sample)
        checks, warned = self._diagnose(sample, plan, runs[0])
        self.effect_ = self.finish(
            sample,
            plan,
            estimates.mean(axis=0),
            contributions,
            estimand=f"{in_words(self.estimand, sample.treatment, sample.outcome)}, by the front door through"
            f" {_listed(self.mediators_)}",
            std_error_method=f"influence function, cross-fitted in {int(runs[0].folds.max()) + 1} folds, normal law",
            components=repeated_components(estimates, contributions, sample.cluster),
            diagnostics=checks,
            warned=warned,
            assumptions=tuple(text.format(mediators=_listed(self.mediators_)) for text in FRONT_DOOR),
            facts={"mediators": [str(m) for m in self.mediators_], "n_clipped": self._n_clipped},
        )
        return self

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

    def _encode_mediators(self, sample: Sample) -> Floats:
        """Mediators as numbers (n, q); they are complete, so that nothing is imputed."""
        mediators = sample.inputs.roles["mediators"]
        frame = mediators.to_frame() if isinstance(mediators, pd.Series) else mediators
        if "mediators" not in self._taken:  # an array's columns have no names: 0, 1, ...
            frame = frame.rename(columns={c: f"mediator {c}" for c in frame.columns if not isinstance(c, str)})
        self.mediators_ = list(frame.columns)
        self._mediator_encoder = Encoder.fit(frame)
        return self._mediator_encoder.transform(frame)

    def _cross_fit(self, sample: Sample, M: Floats, plan: EstimandPlan, rng: np.random.Generator) -> _Run:
        """Draw folds and predict every row by models that did not see it, in the order of the rows' labels."""
        cluster = sample.cluster[0] if sample.cluster else None
        folds = draw_folds(self.cv, sample.inputs, sample.arms, rng, cluster)
        seed = int(rng.integers(2**31 - 1))
        order = label_order(sample.inputs.index)
        order = np.arange(len(sample)) if order is None else order
        rows = sample.training_rows().take(order)
        names = sample.columns
        both = replace(
            rows,
            X=np.hstack([rows.X, M[order]]),
            columns=None if names is None else [*names, *self._mediator_encoder.names],
            levels=sample.encoder.for_learners.beside(self._mediator_encoder.for_learners, rows.X.shape[1]),
        )
        settings: dict[str, Any] = {"random_state": seed, "n_jobs": self.n_jobs}
        by = folds[order]
        outcome = nuisances.fit_outcome(self.outcome_model, both, by, **settings)
        e = nuisances.fit_propensity(self.propensity_model, rows, by, **settings)
        r = nuisances.fit_propensity(self.mediator_model, both, by, **settings)
        inner = _inner(self.outcome_model, outcome, both, by)
        nested = fit_nested(self.nested_model, rows, inner, by, pairs(plan, rows.n_arms), **settings)
        back = np.empty(len(order), dtype=np.intp)
        back[order] = np.arange(len(order))
        outcome, e, r, nested = (_reordered(part, back) for part in (outcome, e, r, nested))
        bounded = [np.clip(p.predictions, self.clip, 1 - self.clip) if self.clip else p.predictions for p in (e, r)]
        if min(p.min() for p in bounded) <= 0:
            raise CausalDataError(
                "an estimated probability of an arm is exactly 0, and is divided by; bound them (clip=), or use"
                " smoother models"
            )
        return _Run(folds, outcome, e, r, nested, bounded[0], bounded[1])

    def _store(self, run: _Run, sample: Sample) -> None:
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

    def _diagnose(self, sample: Sample, plan: EstimandPlan, run: _Run) -> tuple[dict[str, Any], list[str]]:
        """Overlap in covariates and in mediators, how the nuisances predict, and what to warn of."""
        levels, wanted = sample.arms.levels, pairs(plan, len(sample.arms))
        checks, warned = self.overlap(
            sample, run.e, self.estimand, out_of_fold=True, augmented=True,
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


def _inner(spec: Model, outcome: Nuisance, rows: TrainingRows, folds: Codes) -> Callable[[int], Floats]:
    """Outcome in every arm at the mediators of all rows, by the models that did not see a fold."""
    if not nuisances.is_linear(spec, rows.X):
        at = {int(fold): model for fold, model in zip(np.unique(folds), outcome.predict, strict=True)}
        return lambda fold: np.asarray(at[fold](rows.X))
    design = rows.standardised()
    coefficients = least_squares(design, rows.outcome(), rows.arms, rows.n_arms, folds, int(folds.max()) + 1, rows.w)
    return lambda fold: np.vstack([Z @ coefficients[fold].T for _, Z in design.blocks()])


def _reordered(part: Any, at: Positions) -> Any:
    return replace(part, predictions=part.predictions[at])


def _listed(names: list[Any]) -> str:
    return ", ".join(map(str, names[:6])) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
