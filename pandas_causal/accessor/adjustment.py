"""Questions to a cross-section whose confounders were measured: effects, overlap, balance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from pandas_causal.accessor.base import Questions
from pandas_causal.accessor.words import question
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.inputs.types import Model, RoleLike

if TYPE_CHECKING:
    from pandas_causal.accessor.types import EstimatorLike, GraphLike

__all__ = ["AdjustmentQuestions"]


class AdjustmentQuestions(Questions):
    """Observed arms, adjusted for measured covariates."""

    @question
    def ate(
        self,
        treatment: RoleLike = None,
        outcome: Hashable | list[Any] = None,
        covariates: Sequence[Any] | None = None,
        *,
        formula: str | None = None,
        graph: GraphLike | None = None,
        post_treatment: Sequence[Any] = (),
        estimand: str | None = None,
        estimator: EstimatorLike | None = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        control: Hashable = None,
        level: float | None = None,
        missing: str = "raise",
        random_state: int | None = None,
        n_jobs: int | None = None,
    ) -> Effect:
        """Average effect of a treatment, adjusted for measured covariates.

        It rests on no unmeasured confounding: given the covariates, who is treated is as good as random. With `graph`
        and without `covariates` the graph decides what is estimated, and how: see :meth:`Identification.estimate`.

        Parameters
        ----------
        treatment : column name or array-like
            Arms: a column of few levels.
        outcome : column name, or list of them
            A list gives rows by outcome, with their joint covariance.
        covariates : list of columns, optional
            What drives both treatment and outcome; ``[]`` says none on purpose.
        formula : str, optional
            In place of `covariates`: a right-hand side of formulaic that makes them, ``"age * sex + bs(dose, df=3)"``.
            It is code: take none from strangers.
        graph : CausalGraph, or what it reads, optional
            What causes what. Nodes that it marks are the treatment and the outcome by default; bad controls are
            refused, and without `covariates` it names them.
        post_treatment : list of columns
            Columns that treatment may have moved: refused among the covariates.
        estimand : {"ATE", "ATT", "ATC", "ATO", "ATM"}, optional
            Whose average: everyone's, the treated's, the controls', those in overlap, matched pairs; not every
            estimator has all. An instance's own by default, which is everyone's.
        estimator : {"aipw", "ipw", "regression", "tmle", "entropy", "cbps", "stable"}, class or estimator, optional
            "aipw" by default: doubly robust, cross-fitted. With `graph` and without `covariates` it asks for the back
            door (a :class:`FrontDoor` for that).
        cluster : column name, array-like, or list of up to four, optional
            Rows of one cluster may depend on one another.
        sample_weight : column name or array-like, optional
            How many rows of the population each row stands for, up to a factor.
        propensity : column name or array-like, optional
            Known probabilities of treatment, in place of a model of them.
        control : level of the treatment, optional
            The arm that others are compared with; by default the first. It overrides an instance's own.
        level : float, optional
            Of the intervals; the estimator's own by default.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.
        random_state : int, optional
            Seed of folds and draws; the estimator's own by default.
        n_jobs : int, optional
            Processes or threads; the answer is the same for any number.

        Returns
        -------
        Effect
            A row per contrast with the control.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.
        OverlapError
            Rows that could never have received the other arm.
        BadControlError, NotIdentifiedError
            What the graph says of the covariates, or of the effect.

        See Also
        --------
        AIPW : The default.
        IPW, RegressionAdjustment, TMLE, EntropyBalancing : Others by short name.
        audit : What breaks if it is not causal.

        Examples
        --------
        >>> df.causal.ate("medication", "readmission", ["age", "severity"])  # doctest: +SKIP
        """
        return self._compared(
            "ate",
            estimator,
            treatment=treatment,
            outcome=outcome,
            covariates=covariates,
            formula=formula,
            graph=graph,
            post_treatment=post_treatment,
            settings={"estimand": estimand, "control": control, "random_state": random_state, "n_jobs": n_jobs},
            level=level,
            missing=missing,
            cluster=cluster,
            sample_weight=sample_weight,
            propensity=propensity,
        )

    @question
    def overlap(
        self,
        treatment: RoleLike = None,
        covariates: Sequence[Any] | None = None,
        *,
        graph: GraphLike | None = None,
        outcome: Hashable = None,
        estimand: str = "ATE",
        propensity_model: Model = "ridge",
        control: Hashable = None,
        bound: float = 0.01,
        sample_weight: RoleLike = None,
        missing: str = "raise",
        random_state: int | None = 0,
    ) -> Check:
        """Could every row have received every arm? Propensities by arm.

        With `graph` and `outcome` the covariates are those to adjust for.

        Parameters
        ----------
        treatment : column name or array-like
            Arms: a column of few levels.
        covariates : list of columns, optional
            What drives both treatment and outcome; ``[]`` says none on purpose.
        graph : CausalGraph, or what it reads, optional
            What causes what. Nodes that it marks are the treatment and the outcome by default; bad controls are
            refused, and without `covariates` it names them.
        outcome : column name, optional
            Read with `graph` only.
        estimand : {"ATE", "ATT", "ATC", "ATO", "ATM"}
            Whose rows have to find others.
        propensity_model : str or scikit-learn classifier
            Cross-fitted in five folds.
        control : level of the treatment, optional
            The arm that others are compared with; by default the first.
        bound : float
            Propensities within it of 0 or 1 are counted.
        sample_weight : column name or array-like, optional
            How many rows of the population each row stands for, up to a factor.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.
        random_state : int or None
            Seed of what is drawn at random (folds, draws).

        Returns
        -------
        Check
            A row per arm: range of propensities, share beyond the bound, effective sample size.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        balance : How alike the arms are.

        Examples
        --------
        >>> df.causal.overlap("treat", ["age", "educ"])  # doctest: +SKIP
        """
        from pandas_causal.arms.assess import assess_overlap

        treatment, listed = self._covariates(
            "overlap", treatment=treatment, outcome=outcome, covariates=covariates, graph=graph
        )
        X = self._select(treatment=treatment, covariates=listed, sample_weight=sample_weight)
        return assess_overlap(
            X,
            treatment,
            estimand=estimand,
            propensity_model=propensity_model,
            control=control,
            bound=bound,
            sample_weight=sample_weight,
            missing=missing,
            random_state=random_state,
        )

    @question
    def balance(
        self,
        treatment: RoleLike = None,
        covariates: Sequence[Any] | None = None,
        *,
        graph: GraphLike | None = None,
        outcome: Hashable = None,
        weights: RoleLike = None,
        control: Hashable = None,
        missing: str = "raise",
    ) -> Check:
        """How alike the arms are, before and after weighting.

        With `graph` and `outcome` the covariates are those to adjust for.

        Parameters
        ----------
        treatment : column name or array-like
            Arms: a column of few levels.
        covariates : list of columns, optional
            What drives both treatment and outcome; ``[]`` says none on purpose.
        graph : CausalGraph, or what it reads, optional
            What causes what. Nodes that it marks are the treatment and the outcome by default; bad controls are
            refused, and without `covariates` it names them.
        outcome : column name, optional
            Read with `graph` only.
        weights : column name or array-like, optional
            Compare after weighting with these, too.
        control : level of the treatment, optional
            The arm that others are compared with; by default the first.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.

        Returns
        -------
        Check
            A row per covariate (and level): means and standardised differences.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        overlap : Whether every row could have received every arm.

        Examples
        --------
        >>> df.causal.balance("treat", ["age", "educ"])  # doctest: +SKIP
        """
        from pandas_causal.arms.assess import assess_balance

        treatment, listed = self._covariates(
            "balance", treatment=treatment, outcome=outcome, covariates=covariates, graph=graph
        )
        X = self._select(treatment=treatment, covariates=listed, weights=weights)
        return assess_balance(X, treatment, weights=weights, control=control, missing=missing)
