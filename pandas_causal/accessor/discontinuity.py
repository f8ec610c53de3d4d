"""Questions to a running variable and its cutoff."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from pandas_causal.accessor.base import Questions, names
from pandas_causal.accessor.words import question
from pandas_causal.effect.effect import Effect
from pandas_causal.inputs.types import RoleLike

__all__ = ["DiscontinuityQuestions"]


class DiscontinuityQuestions(Questions):
    """Whether crossing a cutoff changes the outcome."""

    @question
    def rdd(
        self,
        *,
        running: RoleLike,
        outcome: Hashable,
        cutoff: Hashable = 0.0,
        treatment: RoleLike = None,
        covariates: Sequence[Any] | None = None,
        kernel: str = "triangular",
        bandwidth: str | float | tuple[float, float] = "mserd",
        bias_bandwidth: float | tuple[float, float] | None = None,
        order: int = 1,
        bias_order: int | None = None,
        derivative: int = 0,
        cluster: RoleLike = None,
        donut: float = 0.0,
        vce: str = "nn",
        mass_points: str = "adjust",
        sharp_bandwidth: bool = False,
        by_cutoff: bool = False,
        sample_weight: RoleLike = None,
        level: float = 0.95,
        missing: str = "raise",
    ) -> Effect:
        """Does crossing a cutoff change the outcome? Regression discontinuity.

        The design is fuzzy where `treatment` is given.

        Parameters
        ----------
        running : column name or array-like
            What is compared with the cutoff; numbers or dates.
        outcome : column name
            What treatment may have changed.
        cutoff : float, date or column name
            In units of the running variable; a column holds every row's own.
        treatment : column name or array-like, optional
            Of a fuzzy design: what crossing moves.
        covariates : list of columns, optional
            Sharpen the answer; they do not change what is estimated.
        kernel : {"triangular", "epanechnikov", "uniform"}
            Weight of a row by its distance.
        bandwidth : str, float or (float, float)
            A selector ("mserd", "msetwo", "msesum", "msecomb1", "msecomb2", or with cer in place of mse), or widths,
            left and right where two.
        bias_bandwidth : float or (float, float), optional
            Of the bias; by default chosen with the bandwidth.
        order : int
            Of the local polynomial.
        bias_order : int, optional
            Of the polynomial of the bias; one more by default.
        derivative : int
            0: jump. 1: change of slope.
        cluster : column name, array-like, or list of up to four, optional
            Rows of one cluster may depend on one another.
        donut : float
            Leave out rows nearer to the cutoff than this.
        vce : {"nn", "hc0", "hc1", "hc2", "hc3"}
            Residuals of nearest neighbours, or of the fit.
        mass_points : {"adjust", "check", "off"}
            What to do where values of the running variable repeat.
        sharp_bandwidth : bool
            Choose the bandwidth of a fuzzy design as if it were sharp.
        by_cutoff : bool
            One row per cutoff in place of the pooled estimate.
        sample_weight : column name or array-like, optional
            How many rows of the population each row stands for, up to a factor.
        level : float
            Of the intervals.
        missing : {"raise", "drop"}
            Rows that lack a value that must be known: an error, or left out and counted.

        Returns
        -------
        Effect
            The jump, with a robust bias-corrected interval.

        Raises
        ------
        CausalDataError
            For columns that are not there, and data that cannot answer: every problem at once.
        CausalArgumentError
            For a wrong setting, naming the legal ones.

        See Also
        --------
        RegressionDiscontinuity : The estimator.
        LocalRandomization : Few rows, or a running variable of few values.

        Examples
        --------
        >>> df.causal.rdd(running="margin", outcome="vote", cutoff=0)  # doctest: +SKIP
        """
        from pandas_causal.discontinuity.regression_discontinuity import RegressionDiscontinuity

        cutoff_column = cutoff if isinstance(cutoff, str | tuple) and cutoff in self._frame.columns else None
        estimator = RegressionDiscontinuity(
            cutoff=cutoff if cutoff_column is None else 0.0,
            kernel=kernel,
            bandwidth=bandwidth,
            bias_bandwidth=bias_bandwidth,
            order=order,
            bias_order=bias_order,
            derivative=derivative,
            donut=donut,
            vce=vce,
            mass_points=mass_points,
            sharp_bandwidth=sharp_bandwidth,
            by_cutoff=by_cutoff,
            level=level,
        )
        return self._fit(
            estimator,
            treatment=treatment,
            outcome=outcome,
            covariates=names([] if covariates is None else covariates),
            running=running,
            cutoffs=cutoff_column,
            cluster=cluster,
            sample_weight=sample_weight,
            missing=missing,
        )
