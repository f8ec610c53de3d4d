"""The contract every estimator keeps: roles in, validated arrays, one Effect out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import RegressorTags
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.balance import balance
from pandas_causal.arms.estimands import Plan
from pandas_causal.arms.overlap import arm_weights, overlap, propensity_histogram
from pandas_causal.arms.sample import (
    HeldOut,
    Sample,
    enough_clusters,
    known_propensity,
    notes,
)
from pandas_causal.effect.check import Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalDataError, OverlapWarning, suggest, warn
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.rows import Rows
from pandas_causal.inputs.column_rules import HELD_OUT, as_float, lonely_categories, normalised_weights
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.inputs.parameters import check_settings
from pandas_causal.inputs.roles import Inputs, as_frame, resolve, resolve_arms
from pandas_causal.inputs.schemas import check_inputs

__all__ = ["UNCONFOUNDED", "CausalEstimator"]

Floats = NDArray[np.float64]
UNCONFOUNDED = (
    "no unmeasured confounding: given the covariates, who is treated is as good as random (cannot be tested)",
    "overlap: every unit could have received every arm (checked)",
    "no interference between units, and one version of each arm",
)


class CausalEstimator(BaseEstimator):
    """Base of all estimators: scikit-learn's parameters, roles by name or array, and prepared inputs.

    Subclasses write ``fit``: it calls :meth:`_prepare`, computes parameters and their contributions, and stores
    ``effect_`` from :meth:`_finish`. Estimators of conditional effects also write ``effect(X)`` and ``predict``.
    """

    __metadata_request__fit: ClassVar[dict[str, bool]] = {
        "treatment": True,
        "cluster": True,
        "sample_weight": True,
        "propensity": True,
    }
    __metadata_request__score: ClassVar[dict[str, bool]] = {"treatment": True, "sample_weight": True}
    _uses_covariates: ClassVar[bool] = True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        if hasattr(self, "predict"):  # effects row by row are numbers; they do not predict y
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags(poor_score=True)
        return tags

    # -- fit ---------------------------------------------------------------------------------------------------------

    def _prepare(
        self,
        X: Any,
        y: Any,
        *,
        treatment: Any,
        missing: str = "raise",
        control: Any = None,
        outcome: bool = True,
        **roles: Any,
    ) -> Sample:
        """Resolve roles, drop rows if asked, validate, code the arms and encode the covariates.

        Without `outcome` none is asked for, and where none is given the sample's is NaN: a design.
        """
        check_settings(self.get_params(deep=False))
        if treatment is None:
            raise CausalArgumentError(
                f"{type(self).__name__}.fit needs treatment=, the name of a column of X or an array with one value"
                " per row"
            )
        inputs = resolve(X, y, {"treatment": treatment, **roles}, outcome=outcome)
        n_given = len(inputs.index)
        inputs = inputs.complete(missing)
        if not self._uses_covariates:
            inputs = replace(inputs, covariates=inputs.covariates.iloc[:, :0])
        if not getattr(self, "_validated", False):  # refits of the bootstrap see rows that were checked
            check_inputs(inputs)
        n_dropped = n_given - len(inputs.index)
        inputs = self._weighted_rows(inputs)
        self.used_ = np.ones(n_given, dtype=bool) if inputs.kept is None else inputs.kept
        self._remember(inputs, treatment)
        arms = resolve_arms(inputs.roles["treatment"], control)
        encoder = Encoder.fit(inputs.covariates)
        self.encoder_ = encoder
        self.arms_ = arms.levels
        values = np.full(len(inputs.index), np.nan) if inputs.outcome is None else as_float(inputs.outcome)
        cluster = inputs.roles.get("cluster")
        ways = [] if cluster is None else [cluster] if isinstance(cluster, pd.Series) else [cluster[c] for c in cluster]
        if len(ways) == 1:
            enough_clusters(ways[0], arms)
        return Sample(
            inputs=inputs,
            y=values,
            arms=arms,
            X=encoder.transform(inputs.covariates),
            encoder=encoder,
            w=normalised_weights(inputs.roles.get("sample_weight"), arms),
            clusters={str(way.name): way.to_numpy() for way in ways},
            propensity=known_propensity(inputs.roles.get("propensity"), arms),
            rows=Rows(inputs.index, None if inputs.outcome is None else values),
            n_dropped=n_dropped,
        )

    def _weighted_rows(self, inputs: Inputs) -> Inputs:
        """Leave out rows of weight 0, which tell nothing; refits of the bootstrap, mere estimates, keep them."""
        weight = inputs.roles.get("sample_weight")
        self._n_zero_weight = 0
        if weight is None or getattr(self, "_validated", False):
            return inputs
        normalised_weights(weight, resolve_arms(inputs.roles["treatment"]))  # every arm must have some
        keep = as_float(weight) > 0
        self._n_zero_weight = int((~keep).sum())
        return inputs.take(keep) if self._n_zero_weight else inputs

    def _remember(self, inputs: Inputs, treatment: Any) -> None:
        """Remember what a new X needs: names of covariates and of roles."""
        self.n_features_in_ = len(inputs.columns)
        if inputs.named and all(isinstance(c, str) for c in inputs.columns):
            self.feature_names_in_ = np.asarray(inputs.columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.covariates_ = list(inputs.covariates.columns)
        self.treatment_name_ = inputs.roles["treatment"].name
        self._taken = dict(inputs.taken)

    # -- new data ----------------------------------------------------------------------------------------------------

    def _covariates(self, X: Any) -> pd.DataFrame:
        """Covariates of a new X; role columns in it are ignored, absent ones are fine."""
        frame, named = as_frame(X)
        if not named:
            taken = {name for names in self._taken.values() for name in names}
            both = (
                [f"x{j}" for j in range(self.n_features_in_)]
                if not hasattr(self, "feature_names_in_")
                else list(self.feature_names_in_)
            )
            names = both if frame.shape[1] == len(both) else [c for c in both if c not in taken]
            if frame.shape[1] != len(names):
                raise CausalDataError(
                    f"X has {frame.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_}"
                    " features as input"
                )
            if hasattr(self, "feature_names_in_"):
                warnings.warn(
                    f"X does not have valid feature names, but {type(self).__name__} was fitted with feature names",
                    UserWarning,
                    stacklevel=3,
                )
            return frame.set_axis(names, axis=1)
        absent = [c for c in self.covariates_ if c not in frame.columns]
        if absent:
            raise CausalDataError(
                f"X lacks the covariates {absent}{suggest(absent[0], frame.columns)}; it was fitted on"
                f" {self.covariates_}"
            )
        return frame

    def _held_out(self, X: Any, y: Any, treatment: Any, sample_weight: Any, *, outcome: bool = True) -> HeldOut:
        """Validate held-out rows for ``score``: every arm must be there, the outcome complete."""
        treatment = self._held_out_treatment(X) if treatment is None else treatment
        given = {"treatment": treatment, "sample_weight": sample_weight}
        inputs = resolve(X, y, given, outcome=outcome)
        columns = {"outcome": inputs.outcome, **inputs.roles}
        found = [
            rule(columns[role]) for role, rules in HELD_OUT.items() for rule in rules if columns.get(role) is not None
        ]
        problems = [problem for problem in found if problem is not None]
        if problems:
            raise CausalDataError(problems)
        held_out = resolve_arms(inputs.roles["treatment"])
        unknown = [v for v in held_out.levels if v not in self.arms_]
        if unknown:
            raise CausalDataError(
                f"held-out rows hold arms never seen at fit: {unknown}; known arms: {list(self.arms_)}"
            )
        absent = [v for v in self.arms_ if v not in held_out.levels]
        if absent:
            raise CausalDataError(
                f"arm {absent[0]!r} has no held-out row, so nothing can be scored; use folds stratified by treatment: "
                "cv=CausalKFold(5, treatment=...)"
            )
        weight = inputs.roles.get("sample_weight")
        return HeldOut(
            codes=np.asarray([self.arms_.index(v) for v in held_out.levels], dtype=np.int8)[held_out.codes],
            X=self.encoder_.transform(self._covariates(X)),
            y=np.empty(0) if inputs.outcome is None else as_float(inputs.outcome),
            w=None if weight is None else as_float(weight),
        )

    def _held_out_treatment(self, X: Any) -> Any:
        """Name of the treatment's column, where fit was given one and this X has it."""
        names = self._taken.get("treatment")
        if names is None or names[0] not in as_frame(X)[0].columns:
            raise CausalArgumentError(
                "score needs the treatment of the held-out rows. It was given to fit as an array, which"
                " scikit-learn does not pass on to score: either name a column of X (search.fit(frame, y,"
                " treatment='arm')), or switch on metadata routing"
                " (sklearn.set_config(enable_metadata_routing=True)) and pass the array to the search"
            )
        return names[0]

    # -- the result --------------------------------------------------------------------------------------------------

    def effect(self, X: Any = None) -> Effect:
        """Return the average effect in the fitted sample, one row per arm compared with the control.

        Parameters
        ----------
        X : None
            Only estimators of conditional effects take new rows.
        """
        check_is_fitted(self, "effect_")
        if X is not None:
            raise CausalArgumentError(
                f"{type(self).__name__} estimates an average and has no effect for every row of X; call effect()"
                " without X, or fit an estimator of conditional effects"
            )
        return replace(self.effect_, estimator=self)

    def _finish(
        self,
        sample: Sample,
        plan: Plan,
        values: Floats,
        contributions: Floats,
        *,
        estimand: str,
        std_error_method: str,
        components: tuple[Component, ...] | None = None,
        diagnostics: Mapping[str, Any] | None = None,
        warned: Sequence[str] = (),
        assumptions: Sequence[str] = UNCONFOUNDED,
        facts: Mapping[str, Any] | None = None,
        population: str = "the population the rows were sampled from",
        **more: Any,
    ) -> Effect:
        """Arrange parameters and contributions as an Effect; clusters given to fit are applied (CR1)."""
        u = Influence.from_contributions(
            values,
            contributions,
            sample.rows,
            names=plan.names,
            loadings=plan.loadings,
            components=components,
            clusters=sample.clusters,
            clustering=None if components is None else sample.cluster,
        )
        if sample.cluster and components is None:
            u = u.cluster(sample.cluster)
            std_error_method += f", clustered by {' and '.join(sample.clusters)} (CR1)"
        effect = Effect(
            estimates=pd.Series(plan.loadings @ values, index=plan.index, name="estimate"),
            uncertainty=u,
            estimand=estimand,
            n_obs=len(sample),
            assumptions=tuple(assumptions),
            diagnostics=Checks(diagnostics or {}),
            warnings=(*warned, *notes(sample, self._n_zero_weight)),
            std_error_method=std_error_method,
            facts={**sample.facts(), "n_zero_weight": self._n_zero_weight, **(facts or {})},
            population=population,
            **more,
        )
        return effect.explained()

    def _overlap(
        self,
        sample: Sample,
        propensity: Floats,
        estimand: str,
        keep: NDArray[np.bool_] | None = None,
        clipped: int = 0,
        weights: Floats | None = None,
    ) -> tuple[dict[str, Any], list[str]]:
        """Overlap and balance under the weights given, or the estimand's, and a warning where positivity is weak."""
        codes = sample.codes
        used = slice(None) if keep is None else keep
        lonely_categories(sample.inputs.covariates[used], codes[used], len(sample.arms), estimand)
        w = None if sample.w is None else sample.w[used]
        levels = sample.arms.levels
        check = overlap(propensity[used], codes[used], levels, estimand=estimand, w=w, clipped=clipped, weights=weights)
        if weights is None:
            weights = arm_weights(estimand, codes[used], propensity[used], w)
        X = sample.X if keep is None else sample.X[keep]
        names = sample.encoder.names
        checks = {
            "overlap": check,
            "propensity": partial(propensity_histogram, propensity[used], codes[used], levels),
            "balance": partial(balance, X, names, codes[used], levels, weights),
        }
        if check.passed:
            return checks, []
        text = (
            f"weak overlap: {check.summary}; the answer leans on few comparable rows (see trim=, or estimand='ATO' of"
            " IPW)"
        )
        warn(text, OverlapWarning)
        return checks, [text]
