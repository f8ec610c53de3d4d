"""Questions to instruments: columns that move the outcome through the treatment only."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from pandas_causal.accessor.base import Questions, names, need_treatment
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect
from pandas_causal.inputs.types import RoleLike

if TYPE_CHECKING:
    from pandas_causal.accessor.types import EstimatorLike

__all__ = ["InstrumentQuestions"]


class InstrumentQuestions(Questions):
    """What a treatment does that something outside moves."""

    @question
    def iv(
        self,
        treatment: RoleLike | list[Any],
        outcome: Hashable | list[Any],
        *,
        instrument: RoleLike | list[Any],
        covariates: Sequence[Any] | None = None,
        absorb: RoleLike | list[Any] = None,
        cluster: RoleLike | list[Any] = None,
        estimator: EstimatorLike = "2sls",
        covariance: str | None = None,
        small_sample: bool | None = None,
        weak_set: str | None = None,
        sample_weight: RoleLike = None,
        level: float = 0.95,
        missing: str = "raise",
        random_state: int | None = None,
        n_jobs: int | None = None,
    ) -> Effect:
        """What does a treatment do that something outside moves? Instruments.

        It rests on instruments that reach the outcome through the treatment only, and are as good as random given
        covariates.

        Parameters
        ----------
        treatment : column name, array-like, or list of columns
            Numbers; several are estimated together.
        outcome : column name, or list of them
            A list gives rows by outcome.
        instrument : column name, array-like, or list of columns
            As many as treatments, or more.
        covariates : list of columns, optional
            In both stages.
        absorb : column name, array-like, or list of them, optional
            Labels whose effects are taken out (firm, year).
        cluster : column name, array-like, or list of up to four, optional
            Rows of one cluster may depend on one another.
        estimator : str, class or estimator
            One of "2sls", "liml", "fuller", "gmm", "cue", "jive", "ujive", "hful", "interactive", "partial_linear".
        covariance : {"robust", "unadjusted"}, optional
            Without clusters; robust by default.
        small_sample : bool, optional
            Degrees of freedom and Student's t; with clusters only by default.
        weak_set : {"ar", "k", "clr"}, optional
            Test that ``confidence_set()`` inverts: it holds however weak the instruments are.
        sample_weight : column name or array-like, optional
            How many rows of the population each row stands for, up to a factor.
        level : float
            Of the intervals.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.
        random_state : int, optional
            Seed of the folds, where there are any; the estimator's own by default.
        n_jobs : int, optional
            Processes or threads; the answer is the same for any number.

        Returns
        -------
        Effect
            A row per treatment.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        InstrumentalVariables : The default.
        InteractiveIV : A local effect, with covariates by any model.

        Examples
        --------
        >>> df.causal.iv("educ", "lwage", instrument="nearc4", covariates=["exper"])  # doctest: +SKIP
        """
        from pandas_causal.estimator import choose

        need_treatment("iv", treatment)
        settings = {
            "covariance": covariance, "small_sample": small_sample, "weak_set": weak_set,
            "random_state": random_state, "n_jobs": n_jobs,
        }  # fmt: skip
        chosen = choose("iv", estimator, settings, {"level": level})
        return self._fit(
            chosen,
            treatment=treatment,
            outcome=outcome,
            covariates=names(covariates),
            instrument=instrument,
            absorb=absorb,
            cluster=cluster,
            sample_weight=sample_weight,
            level=level,
            missing=missing,
        )
