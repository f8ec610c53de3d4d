"""Questions to a cross-section whose rows are matched."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.accessor.base import Questions, names
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect
from pandas_causal.inputs.types import Model, RoleLike

if TYPE_CHECKING:
    from pandas_causal.accessor.types import GraphLike

__all__ = ["MatchingQuestions"]


class MatchingQuestions(Questions):
    """Like compared with like."""

    @question
    def match(
        self,
        treatment: RoleLike = None,
        outcome: Hashable | list[Any] = None,
        covariates: Sequence[Any] | None = None,
        *,
        formula: str | None = None,
        graph: GraphLike | None = None,
        post_treatment: Sequence[Any] = (),
        distance: Model = "propensity",
        ratio: int | tuple[int, int] = 1,
        replace: bool = True,
        caliper: float | Mapping[str, float] | None = None,
        exact: Sequence[Any] | pd.Index | None = None,
        order: str = "largest",
        estimand: str = "ATT",
        bias_adjust: bool = False,
        method: str = "nearest",
        discard: str | None = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        control: Hashable = None,
        level: float | None = None,
        missing: str = "raise",
        propensity_model: Model | None = None,
        n_subclasses: int | None = None,
        cutpoints: int | Mapping[str, int | Sequence[float]] | None = None,
        variance_matches: int | None = None,
        random_state: int | None = None,
    ) -> Effect:
        """Compare like with like: each treated row with control rows that resemble it.

        With a graph and no `covariates` rows are matched on those to adjust for, among them what `exact` names.

        Parameters
        ----------
        treatment : column name or array-like
            Arms: a column of few levels.
        outcome : column name, or list of them
            A list gives rows by outcome.
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
        distance : {"propensity", "mahalanobis", "robust_mahalanobis", "euclidean"} or classifier
            What makes rows near.
        ratio : int or (int, int)
            Matches per row; a pair: at least and at most so many.
        replace : bool
            Whether a row may serve several.
        caliper : float or mapping of name to float, optional
            Largest difference allowed, in standard deviations of the logit of the propensity, or of the covariates
            named.
        exact : list of columns, optional
            What must be equal.
        order : {"largest", "smallest", "closest", "random"}
            Without replacement: which row chooses first.
        estimand : {"ATT", "ATC", "ATE"}
            Whose average.
        bias_adjust : bool
            Subtract what a regression says of the differences that are left.
        method : {"nearest", "pair", "full", "cem", "subclass"}
            Nearest neighbours, optimal pairs or sets, coarsened cells, subclasses.
        discard : {None, "treated", "control", "both"}
            Leave out rows beyond the other arm's range of propensities.
        cluster : column name, array-like, or list of up to four, optional
            Rows of one cluster may depend on one another.
        sample_weight : column name or array-like, optional
            How many rows of the population each row stands for, up to a factor.
        propensity : column name or array-like, optional
            Known probabilities of treatment, in place of a model of them.
        control : level of the treatment, optional
            The arm that others are compared with; by default the first.
        level : float, optional
            Of the intervals; 0.95 by default.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.
        propensity_model : str or scikit-learn classifier, optional
            Of the treatment, given covariates; the estimator's own by default.
        n_subclasses : int, optional
            Of "subclass".
        cutpoints : int or mapping of name to int or sequence, optional
            Bins of "cem", or where to cut.
        variance_matches : int, optional
            Neighbours of the same arm in the standard error.
        random_state : int, optional
            For ``order="random"`` and models; 0 by default.

        Returns
        -------
        Effect
            A row per contrast; ``effect.estimator.matched_`` says who was matched with whom.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        Matching : The estimator, which also designs without an outcome.

        Examples
        --------
        >>> df.causal.match("treat", "re78", ["age", "educ"], caliper=0.2)  # doctest: +SKIP
        """
        from pandas_causal.estimator import with_settings
        from pandas_causal.matching.estimator import Matching

        listed: list[Any] = list(exact) if isinstance(exact, list | tuple | pd.Index) else []
        given = None if covariates is None else names(covariates)
        besides = [name for name in listed if name not in given] if given is not None else []
        chosen = Matching(
            method=method,
            estimand=estimand,
            distance=distance,
            ratio=ratio,
            replace=replace,
            caliper=caliper,
            exact=[name for name in listed if name not in besides] if besides else exact,
            order=order,
            discard=discard,
            bias_adjust=bias_adjust,
            control=control,
        )
        further = {
            "propensity_model": propensity_model, "n_subclasses": n_subclasses, "cutpoints": cutpoints,
            "variance_matches": variance_matches, "random_state": random_state,
        }  # fmt: skip
        return self._compared(
            "match",
            with_settings(chosen, further),
            treatment=treatment,
            outcome=outcome,
            covariates=covariates,
            formula=formula,
            graph=graph,
            post_treatment=post_treatment,
            always=listed,
            settings={"control": control},
            level=level,
            cluster=cluster,
            sample_weight=sample_weight,
            propensity=propensity,
            strata=besides or None,
            missing=missing,
        )
