"""Effects linear in many covariates, few of which matter: double machine learning with a debiased lasso."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pandas_causal.arms.sample import Sample
from pandas_causal.errors import NotIdentifiedError
from pandas_causal.heterogeneity.double_ml import LinearDML
from pandas_causal.heterogeneity.nuisances import Residuals
from pandas_causal.heterogeneity.projection import BasisFit, EffectBasis, with_factor
from pandas_causal.inference.influence import Component
from pandas_causal.inputs.parameters import CV_OR_POSITIVE, Legal
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Floats
from pandas_causal.models.debiased_lasso import cross_validated_penalty, debiased_lasso

__all__ = ["SparseDML"]


class SparseDML(LinearDML):
    """Effects linear in covariates, many of them, by a debiased lasso of residuals on residuals.

    As :class:`LinearDML`, whose last step is least squares: here it is a lasso whose bias is taken out, so that
    effects may vary with more covariates than least squares bears, and still have intervals, where few of them matter.
    Products of treatment and covariate are scaled alike before they are penalised.

    Parameters
    ----------
    outcome_model, treatment_model, effect_modifiers, cv, n_repeats, clip, control, formula
        As in :class:`LinearDML`.
    random_state, n_jobs, memory
        As in :class:`LinearDML`.
    penalty : "cv" or float
        Of the lasso, in units of the outcome's residuals; by cross-validation on the folds of the nuisances.
    nodewise_penalty : "cv" or float
        Of the lassos among the products, by which bias is taken out.

    Attributes
    ----------
    effect_, coefficients_ : Effect
    lasso_ : ndarray (k,)
        Coefficients before their bias was taken out, scaled alike: zero where nothing was found.
    penalty_ : float

    References
    ----------
    van de Geer, Buhlmann, Ritov and Dezeure (2014), Annals of Statistics 42; Semenova, Goldman, Chernozhukov and Taddy
    (2023), "Inference on heterogeneous treatment effects in high-dimensional dynamic panels", Quantitative Economics.
    """

    legal: ClassVar[Mapping[str, Legal]] = {"penalty": CV_OR_POSITIVE, "nodewise_penalty": CV_OR_POSITIVE}

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        treatment_model: Model = "auto",
        effect_modifiers: Sequence[Any] | None = None,
        penalty: str | float = "cv",
        nodewise_penalty: str | float = "cv",
        cv: object = 5,
        n_repeats: int = 1,
        clip: float = 0.01,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
        memory: Any = None,
    ) -> None:
        super().__init__(
            outcome_model=outcome_model, treatment_model=treatment_model, effect_modifiers=effect_modifiers, cv=cv,
            n_repeats=n_repeats, clip=clip, control=control, formula=formula, random_state=random_state,
            n_jobs=n_jobs, memory=memory,
        )  # fmt: skip
        self.penalty = penalty
        self.nodewise_penalty = nodewise_penalty

    def _basis(self, sample: Sample) -> EffectBasis:
        if self.effect_modifiers is not None:
            return super()._basis(sample)
        return EffectBasis.of_every_level(sample.X, sample.encoder.for_learners)

    def _last_step(self, basis: EffectBasis, rest: Residuals, sample: Sample, names: list[str]) -> BasisFit:
        Z = basis.design.rows(slice(None))
        R = (rest.D[:, :, None] * Z[:, None, :]).reshape(len(Z), -1)
        w = np.ones(len(Z)) if sample.w is None else sample.w
        scale = np.sqrt(w @ np.square(R) / w.sum())
        if (scale <= 0).any():
            raise NotIdentifiedError(f"the treatment ({names[0]}) does not vary with some covariates; leave them out")
        R /= scale
        penalty = self.penalty if not isinstance(self.penalty, str) else (
            cross_validated_penalty(R, rest.y, rest.folds, sample.w)
        )  # fmt: skip
        nodewise = self.nodewise_penalty if not isinstance(self.nodewise_penalty, str) else (
            np.sqrt(2 * np.log(max(R.shape[1], 2)) / len(R))  # columns have mean square 1
        )  # fmt: skip
        fit = debiased_lasso(R, rest.y, float(penalty), float(nodewise), sample.w)
        self.penalty_, self.lasso_ = float(penalty), fit.lasso
        unit = scale * np.tile(basis.unit, rest.D.shape[1])
        return BasisFit(fit.values / unit, fit.contributions / unit)

    def _variance(self, contributions: Floats) -> tuple[Component, ...] | None:
        return (with_factor(contributions, 1.0),)

    def _error_method(self) -> str:
        return "clustered (CR1)" if self._sample.cluster else "debiased lasso, HC0, cross-fitted, normal law"
