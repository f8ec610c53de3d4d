"""Scorers for scikit-learn's searches: they find the treatment of held-out rows by name, or are routed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sklearn.utils.metadata_routing import MetadataRequest

from pandas_causal.errors import CausalArgumentError
from pandas_causal.heterogeneity.scoring import dr_score_of, r_score_of
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike

__all__ = ["EffectScorer", "dr_score", "r_score"]


@dataclass(frozen=True, eq=False, repr=False)
class EffectScorer:
    """A score of predicted effects on held-out rows, higher is better: ``scoring=pandas_causal.metrics.r_score``.

    With metadata routing off (the default) the treatment is the column that was named at fit; with it on, arrays are
    passed on. Nuisances are fitted to the held-out rows, by the models of the estimator's settings, or by those given
    to :meth:`using`, which a search over nuisance models needs: candidates are then all judged by the same.

    Attributes
    ----------
    name : str
    compute : callable
    outcome_model, propensity_model : model or None
    """

    name: str
    compute: Callable[..., float]
    outcome_model: Model | None = None
    propensity_model: Model | None = None

    def __call__(
        self,
        estimator: Any,
        X: Covariates,
        y: Outcome = None,
        treatment: RoleLike = None,
        sample_weight: RoleLike = None,
    ) -> float:
        """Score a fitted estimator of effects, or a pipeline that ends in one.

        Raises
        ------
        CausalArgumentError
            For an estimator without effects for every row.
        """
        steps = getattr(estimator, "steps", None)
        if steps is not None:
            X, estimator = estimator[:-1].transform(X), steps[-1][1]
        if not hasattr(estimator, "held_out_rows"):
            raise CausalArgumentError(
                f"{self.name} judges effects for every row, and {type(estimator).__name__} has none; leave scoring out:"
                " its own score judges its nuisances"
            )
        return self.compute(estimator, X, y, treatment, sample_weight, self.outcome_model, self.propensity_model)

    def using(self, outcome_model: Model | None = None, propensity_model: Model | None = None) -> EffectScorer:
        """The same score with nuisances by these models, whatever the candidate's are."""
        return replace(self, outcome_model=outcome_model, propensity_model=propensity_model)

    def get_metadata_routing(self) -> MetadataRequest:
        """Ask for the treatment and the weights where scikit-learn's metadata routing is on."""
        request = MetadataRequest(owner=self.name)
        for role in ("treatment", "sample_weight"):
            request.score.add_request(param=role, alias=True)
        return request

    def __repr__(self) -> str:
        return f"pandas_causal.metrics.{self.name}"


r_score = EffectScorer("r_score", r_score_of)
dr_score = EffectScorer("dr_score", dr_score_of)
