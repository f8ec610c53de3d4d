"""Why did it happen: the methods of :class:`StructuralModel` that attribute."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Floats
from pandas_causal.structural.attribution import AttributionSettings
from pandas_causal.structural.fitted import FittedModel
from pandas_causal.structural.mechanisms import Additive, Discrete

__all__ = ["Attributions"]

FORMS = ("simulated", "robust")
NO_NOISE = np.zeros(0)  # the mean of a discrete node reads none


class Attributions:
    """Attributions of a fitted model: of odd rows, of changes, of spread, of differences and of predictions."""

    fitted_: FittedModel
    anomalies_: pd.DataFrame  # set by df.causal.why
    random_state: int | None
    n_jobs: int | None

    def _fitted(self) -> FittedModel:
        if not hasattr(self, "fitted_"):
            raise CausalError("this StructuralModel is not fitted yet; call fit(df) first")
        return self.fitted_

    def _settings(self, random_state: int | None, **given: Any) -> AttributionSettings:
        seed = self.random_state if random_state is None else random_state
        return AttributionSettings(seed=seed, n_jobs=self.n_jobs, **given)

    # -- one row -----------------------------------------------------------------------------------------------------

    def attribute_anomaly(
        self,
        rows: pd.DataFrame,
        target: Hashable,
        *,
        score: Any = "median",
        n_samples: int = 2_000,
        method: str = "auto",
        tolerance: float = 0.05,
        max_draws: int = 64,
        random_state: int | None = None,
    ) -> pd.DataFrame:
        """Why is this row odd: its outlier score at the target, laid on the noise of every node above.

        The score of a row is ``-log P(T >= t)``, T a statistic that is large for odd values: the surprise, in nats, of
        a value as odd. A node's attribution is its Shapley value where the nodes of a subset keep the noise that the
        row had and the others draw fresh noise. They sum to the score; one below 0 made the row less odd.

        Parameters
        ----------
        rows : DataFrame (n, nodes)
            They need not be those fitted; only the nodes above the target are read. A Series is one row.
        target : node
        score : {"median", "quantile", "density", "upper", "lower"} or callable
            T: distance from the median of the fitted rows; distance by rank, on either side; rarity by a kernel density
            (of the level, where levels are no numbers); the value itself, up or down; or a function of the values.
        n_samples : int
            Draws of the noise, shared by all subsets.
        method, tolerance, max_draws
            As in :func:`shapley`; "auto" goes through all subsets where that is at most 1.3e8 values. The tolerance is
            a share of the row's largest attribution, or of 1 nat if that is more. A row's answer does not depend on the
            other rows.
        random_state : int, optional
            The model's own by default.

        Returns
        -------
        DataFrame
            One row per row and node: ``attribution``, ``std_error`` (of the draws and subsets; not of the fit),
            ``score``, ``score_std_error``, ``bound``: True where no draw was as odd, so that the score is at least what
            it says.

        Raises
        ------
        GraphError, CausalDataError
            For unknown nodes; for missing values, and levels that the model has not seen.

        Warns
        -----
        CausalWarning
            Of scores that are bounds; of a target without causes.
        AssumptionWarning
            Of discrete nodes, whose noise a row does not determine: the mean over it, under the model's `coupling`.

        References
        ----------
        Budhathoki, Minorics, Bloebaum and Janzing (2022), "Causal structure-based root cause analysis of outliers",
        ICML, eq. (5) to (8).
        """
        from pandas_causal.structural.anomalies import attribute_anomaly

        settings = self._settings(
            random_state, n_samples=n_samples, method=method, tolerance=tolerance, max_draws=max_draws
        )
        return attribute_anomaly(self._fitted(), rows, target, score, settings)

    def anomaly_scores(
        self,
        rows: pd.DataFrame,
        *,
        score: Any = "median",
        n_samples: int = 2_000,
        random_state: int | None = None,
    ) -> pd.DataFrame:
        """Where a row leaves the model: the outlier score of every node given its parents.

        Of a node with additive noise, the score of the row's residual among the residuals of the fit; of a discrete
        one, minus the log probability of a level as improbable; of a mechanism of your own, from `n_samples` draws.

        Returns
        -------
        DataFrame
            One row per row and node: ``score`` in nats, ``std_error`` and ``bound``, as in :meth:`attribute_anomaly`.
        """
        from pandas_causal.structural.anomalies import conditional_scores

        return conditional_scores(self._fitted(), rows, score, self._settings(random_state, n_samples=n_samples))

    def attribute_difference(
        self,
        row_a: Any,
        row_b: Any,
        *,
        target: Hashable,
        other: Attributions | None = None,
        n_samples: int = 2_000,
        method: str = "auto",
        random_state: int | None = None,
    ) -> pd.DataFrame:
        """Why do two rows differ: the target of `row_b` less that of `row_a`, laid on the noise of the nodes above.

        Exact in closed form where everything above the target is linear: the change of each noise times its total
        effect. Otherwise Shapley values over noises swapped from one row's to the other's.

        Parameters
        ----------
        row_a, row_b : Series, DataFrame of one row, or dict
        target : node
        other : StructuralModel, optional
            A fitted model of the same graph in which `row_b` arose; its mechanisms are players of their own.
        n_samples : int
            Draws where a row does not determine a noise (discrete nodes).
        method, random_state
            As in :meth:`attribute_anomaly`.

        Returns
        -------
        DataFrame
            One row per node and part ("cause": its noise; "mechanism"): attribution, which sum to the difference, and
            std_error of the draws, 0 where there are none.

        References
        ----------
        Budhathoki, Michailidis and Janzing (2022), "Explaining the root causes of unit-level changes", arXiv
        2206.12986.
        """
        from pandas_causal.structural.unit_difference import attribute_difference

        settings = self._settings(random_state, n_samples=n_samples, method=method)
        if other is not None and not isinstance(other, Attributions):
            raise CausalArgumentError(f"other is a fitted StructuralModel; got {type(other).__name__}")
        second = None if other is None else other._fitted()
        return attribute_difference(self._fitted(), (row_a, row_b), target, second, settings)

    # -- two frames --------------------------------------------------------------------------------------------------

    def attribute_change(
        self,
        old: pd.DataFrame | None,
        new: pd.DataFrame,
        target: Hashable,
        *,
        of: Any = "mean",
        by: Hashable = None,
        form: str = "simulated",
        regression_model: Model = "auto",
        ratio_model: Model = "auto",
        n_samples: int = 5_000,
        method: str = "auto",
        tolerance: float = 0.02,
        max_draws: int = 200,
        n_draws: int = 100,
        level: float = 0.95,
        random_state: int | None = None,
    ) -> Effect:
        """Why did the metric move: the change of a statistic of the target, laid on the mechanisms that changed.

        A mechanism is how a node arises from its parents (of a root, its distribution). Shapley values average what
        replacing the old mechanism by the new one does, over all orders of replacing them.

        Parameters
        ----------
        old, new : DataFrame
            Independent samples. None for `old`: the rows the model was fitted to.
        target : node
        of : {"mean", "variance", "std", "median", "kl", "gaussian_kl"} or callable
            "kl" is D(new || old) in nats, over 20 classes between quantiles of the old draws (over the levels of a
            discrete target); "gaussian_kl" that of normal laws with the same means and variances; a function maps
            values (m,) to a number. With "robust" a mean or a variance.
        by : node, optional
            A discrete node whose levels split the change of a mean or variance: parts sum to the mechanism's own. Parts
            of a mean count from the old mean, so that a level that only grew gets no more than it is off that mean.
        form : {"simulated", "robust"}
            "simulated": mechanisms of the kinds chosen at fit are fitted to either frame, and the target is simulated;
            means, variances and normal divergences of linear models need no draw. Intervals by refits on rows
            resampled within the frames. "robust": regressions and density ratios that correct one another,
            cross-fitted; an influence function for each mechanism, with their joint covariance (`n_samples` and
            `n_draws` are not read). Estimates are right if, step by step, either is; intervals take both for right. Its
            time doubles with every mechanism.
        regression_model, ratio_model : model
            Of the robust form: "auto", "linear", "ridge", "boosting", or a scikit-learn model.
        n_samples : int
            Draws of the noise; their error is in ``diagnostics["simulation"]``.
        method, tolerance, max_draws
            As in :func:`shapley`.
        n_draws : int
            Refits of the bootstrap; an interruption keeps those that are there.
        level : float
        random_state : int, optional

        Returns
        -------
        Effect
            One row per mechanism (and level). ``diagnostics["mechanism changes"]`` tests every mechanism for a change,
            with Holm's correction; estimates do not depend on these tests.

        References
        ----------
        Budhathoki, Janzing, Bloebaum and Ng (2021), "Why did the distribution change?", AISTATS; Quintas-Martinez et
        al. (2024), ICML, for the multiply robust form.
        """
        given = {"n_samples": n_samples, "method": method, "tolerance": tolerance, "max_draws": max_draws}
        settings = self._settings(random_state, **given, n_draws=n_draws, level=level)
        fitted, frames = self._fitted(), (old, new)
        if form == "robust":
            from pandas_causal.structural.robust_change import RobustModels, robust_change

            models = RobustModels(regression_model=regression_model, ratio_model=ratio_model)
            effect = robust_change(fitted, frames, target, of, by, settings, models)
        elif form == "simulated":
            from pandas_causal.structural.change import attribute_change

            effect = attribute_change(fitted, frames, target, of, by, settings)
        else:
            raise CausalArgumentError(f"form={form!r} is not known; use one of {list(FORMS)}")
        return replace(effect, estimator=self)

    # -- the model ---------------------------------------------------------------------------------------------------

    def arrow_strength(
        self,
        target: Hashable = None,
        *,
        of: str = "variance",
        n_samples: int = 2_000,
        n_draws: int = 100,
        level: float = 0.95,
        random_state: int | None = None,
    ) -> Effect:
        """How strong is each arrow: what cutting it, and feeding a copy of the cause drawn anew, does to the effect.

        Parameters
        ----------
        target : node, optional
            The arrows into it; all arrows of the graph by default.
        of : {"variance", "kl", "gaussian_kl"}
            "variance": E[Var(effect | its parents)] after the cut less before, in the square of the effect's unit; of a
            linear arrow, slope squared times the variance of the cause. "kl": E D(P(x | pa) || P_cut(x | pa)) in nats,
            the divergence of effect *and parents* from their law after the cut (Janzing et al. 2013); the other
            definition in use, between the marginal laws of the effect, is not computed. "gaussian_kl": the same if all
            laws are normal, half the log of the ratio of the conditional variances.
        n_samples : int
            Contexts simulated, where a mechanism is not linear.
        n_draws : int
            Refits of the bootstrap; the choice of mechanisms is kept.
        level, random_state

        Returns
        -------
        Effect
            One row per arrow, with the index levels cause and effect. A strength says how much of the effect's spread
            comes through the arrow in these data; it is no effect of an intervention.

        References
        ----------
        Janzing, Balduzzi, Grosse-Wentrup and Schoelkopf (2013), "Quantifying causal influences", Annals of Statistics
        41, definitions 2 and 3.
        """
        from pandas_causal.structural.arrow_strength import arrow_strength

        settings = self._settings(random_state, n_samples=n_samples, n_draws=n_draws, level=level)
        return replace(arrow_strength(self._fitted(), target, of, settings), estimator=self)

    def intrinsic_influence(
        self,
        target: Hashable,
        *,
        of: str = "variance",
        n_samples: int = 5_000,
        method: str = "auto",
        tolerance: float = 0.02,
        max_draws: int = 200,
        n_draws: int = 100,
        level: float = 0.95,
        random_state: int | None = None,
    ) -> Effect:
        """Which cause matters: what each node's own noise, beyond what it inherits, contributes to the target's spread.

        Shapley values of ``Var(E[target | noise of a subset])``, which sum to the target's variance; for a discrete
        target also of its entropy in nats. Parts that meet additively at the target are summed, and a linear model
        needs no draw.

        Parameters
        ----------
        target : node
        of : {"variance", "entropy"}
        n_samples, method, tolerance, max_draws, n_draws, level, random_state
            As in :meth:`attribute_change`.

        Returns
        -------
        Effect
            One row per node. ``diagnostics["shares"]`` holds shares and the error of the simulation.

        References
        ----------
        Janzing, Bloebaum, Mastakouri, Faller, Minorics and Budhathoki (2024), "Quantifying intrinsic causal
        contributions via structure preserving interventions", AISTATS, definition 2.
        """
        from pandas_causal.structural.intrinsic_influence import intrinsic_influence

        given = {"n_samples": n_samples, "method": method, "tolerance": tolerance, "max_draws": max_draws}
        settings = self._settings(random_state, **given, n_draws=n_draws, level=level)
        return replace(intrinsic_influence(self._fitted(), target, of, settings), estimator=self)

    def feature_relevance(
        self,
        rows: pd.DataFrame,
        target: Hashable,
        *,
        n_samples: int = 500,
        method: str = "auto",
        tolerance: float = 0.02,
        max_draws: int = 500,
        random_state: int | None = None,
    ) -> pd.DataFrame:
        """What each parent contributes to the prediction of a node, row by row; see :func:`feature_relevance`.

        The background are the rows fitted. Parents are direct causes; what comes through them is not split further,
        which :meth:`attribute_difference` does.
        """
        from pandas_causal.structural.feature_relevance import relevance_table

        fitted = self._fitted()
        simulator = fitted.simulator
        parents = list(simulator.parents[fitted.node(target)])
        if not parents:
            raise CausalArgumentError(f"{target!r} has no parents, so that nothing predicts it")
        settings = self._settings(
            random_state, n_samples=n_samples, method=method, tolerance=tolerance, max_draws=max_draws
        )
        absent = [p for p in parents if p not in rows.columns]
        if absent:
            raise CausalDataError(f"the rows lack {', '.join(map(str, absent[:5]))}, parents of {target}; add them")
        mechanism = simulator.mechanisms[target]
        if not isinstance(mechanism, Additive | Discrete):
            raise CausalArgumentError(
                f"the mechanism of {target!r} is your own, and has no mean that is known; give its prediction to"
                " pandas_causal.feature_relevance"
            )
        fitted.numbers(target, fitted.factual[target][:1])

        def predict(frame: pd.DataFrame) -> Floats:
            values = {p: fitted.columns[p].read(frame[p]) for p in parents}
            given = simulator.parents_of(target, values, len(frame))
            return mechanism.predict(given) if isinstance(mechanism, Additive) else mechanism.expected(given, NO_NOISE)

        background = simulator.frame(parents, fitted.factual, len(fitted))
        return relevance_table(predict, rows[parents], background, settings)
