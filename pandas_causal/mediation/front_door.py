"""The front door: an effect whose confounders are unknown, found through the mediators that carry all of it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Self

import numpy as np

from pandas_causal.arms.estimands import in_words, plan_estimand
from pandas_causal.inference.influence import repeated_components
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.mediation.front_door_scores import front_door_scores
from pandas_causal.mediation.mediator_models import MediatorEstimator, listed
from pandas_causal.mediation.nested_regression import pairs

__all__ = ["FrontDoor"]

FRONT_DOOR = (
    "full mediation: treatment reaches the outcome only through {mediators} (cannot be tested)",
    "nothing unmeasured drives both treatment and a mediator, given the covariates (cannot be tested)",
    "nothing unmeasured drives both a mediator and the outcome, given treatment and covariates (cannot be tested)",
    "overlap: every unit could have received every arm, and the mediators of one arm occur in the others (checked)",
    "no interference between units, and one version of each arm",
)


class FrontDoor(MediatorEstimator):
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
    outcome_model : {"auto", "linear", "ridge", "boosting", "splines", "boosted_splines"} or scikit-learn regressor
        (classifier for 0/1 outcomes)
        mu. "auto" joins learners by out-of-fold loss; "linear" is unpenalised and fast.
    propensity_model, mediator_model : "auto", "linear", "ridge", "splines", "boosting", "boosted_splines" or
        scikit-learn classifier
        e and r. Models of one kind agree best with each other.
    nested_model : {"auto", "linear", "ridge", "boosting", "splines", "boosted_splines"} or scikit-learn regressor
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
        super().__init__(
            outcome_model=outcome_model,
            propensity_model=propensity_model,
            mediator_model=mediator_model,
            nested_model=nested_model,
            cv=cv,
            n_repeats=n_repeats,
            clip=clip,
            control=control,
            formula=formula,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        self.estimand = estimand

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
        mediators = self._given_mediators_role(mediators, "what carries the whole effect")
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
        wanted = pairs(plan, len(sample.arms))
        M = self._encode_mediators(sample)
        rng = np.random.default_rng(self.random_state)
        runs = [self._cross_fit(sample, M, wanted, rng) for _ in range(self.n_repeats)]
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
        checks, warned = self._diagnose(sample, wanted, runs[0], self.estimand)
        self.effect_ = self.finish(
            sample,
            plan,
            estimates.mean(axis=0),
            contributions,
            estimand=f"{in_words(self.estimand, sample.treatment, sample.outcome)}, by the front door through"
            f" {listed(self.mediators_)}",
            std_error_method=f"influence function, cross-fitted in {int(runs[0].folds.max()) + 1} folds, normal law",
            components=repeated_components(estimates, contributions, sample.cluster),
            diagnostics=checks,
            warned=warned,
            assumptions=tuple(text.format(mediators=listed(self.mediators_)) for text in FRONT_DOOR),
            facts={"mediators": [str(m) for m in self.mediators_], "n_clipped": self._n_clipped},
        )
        return self
