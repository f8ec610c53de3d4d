"""Effects linear in covariates of a treatment that something outside moves: residuals, then instruments."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from pandas_causal.arms.estimands import EstimandPlan
from pandas_causal.arms.sample import Sample, notes
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    NotIdentifiedError,
    Problem,
    WeakInstrumentWarning,
    warn,
)
from pandas_causal.heterogeneity.base import MODIFIERS, ConditionalEffects, modifier_columns, plan_of
from pandas_causal.heterogeneity.double_ml import average_of, training_rows
from pandas_causal.heterogeneity.projection import BasisFit, EffectBasis, LinearEffects, with_factor
from pandas_causal.inference.influence import Influence, standard_error
from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.inputs.parameters import Legal
from pandas_causal.inputs.treatments import Takes
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.folds import draw_folds
from pandas_causal.models.instrument_nuisances import ColumnMeans
from pandas_causal.models.many_targets import fit_targets
from pandas_causal.models.training_rows import TrainingRows

__all__ = ["Moved", "MovedEffects", "OrthoIV", "coefficients_of", "instrumented_fit", "moved_first_stage"]

_WEAK = 10.0


def instrumented_fit(basis: EffectBasis, z: Floats, d: Floats, y: Floats, w: Floats | None) -> BasisFit:
    """Solve ``sum_i z_i phi_i (y_i - d_i phi_i' theta) = 0`` on residuals, with the contributions of every row.

    Parameters
    ----------
    basis : EffectBasis (n, p)
    z, d, y : ndarray (n,)
        Instrument, treatment and outcome less their means given the covariates.
    w : ndarray (n,), optional

    Raises
    ------
    NotIdentifiedError
        Where the instrument does not move the treatment along every function of the basis.

    References
    ----------
    Chernozhukov et al. (2018), "Double/debiased machine learning", Econometrics Journal, eq. (4.7); Syrgkanis et al.
    (2019), "Machine learning estimation of heterogeneous treatment effects with instruments", NeurIPS, section 2.
    """
    p = basis.p
    if p >= len(y):
        raise CausalDataError(
            [
                Problem(
                    "X", f"gives {p} coefficients for {len(y):,} rows", None, "let effects vary with fewer covariates"
                )
            ]
        )
    cross, moment, scale = np.zeros((p, p)), np.zeros(p), np.zeros(p)
    unit = np.ones(len(y)) if w is None else w
    for at, Z in basis.design.blocks():
        weighted = Z * (unit[at] * z[at])[:, None]
        cross += weighted.T @ (Z * d[at][:, None])
        moment += weighted.T @ y[at]
        scale += unit[at] @ np.square(Z)
    root = np.sqrt(scale)
    if np.linalg.cond(cross / np.outer(root, root)) > 1e10:
        raise NotIdentifiedError(
            "the instrument does not move the treatment along every effect modifier, given the covariates; let effects"
            " vary with fewer (effect_modifiers=)"
        )
    bread = np.linalg.inv(cross)
    theta = bread @ moment
    contributions = np.empty((len(y), p))
    for at, Z in basis.design.blocks():
        e = (y[at] - d[at] * (Z @ theta)) * z[at] * unit[at]
        contributions[at] = (Z * e[:, None]) @ bread.T
    return BasisFit(theta / basis.unit, contributions / basis.unit)


@dataclass(frozen=True, eq=False)
class Moved:
    """What estimators with an instrument learn from: outcome, treatment and instrument less their means.

    Attributes
    ----------
    sample : Sample
    plan : EstimandPlan
        One contrast, or one number.
    rows : TrainingRows
        Without arms.
    folds : ndarray (n,)
    means : ColumnMeans (n, 3)
    y, d, z : ndarray (n,)
        Residuals.
    seed : int
    """

    sample: Sample
    plan: EstimandPlan
    rows: TrainingRows
    folds: Codes
    means: ColumnMeans
    y: Floats
    d: Floats
    z: Floats
    seed: int


class MovedEffects(ConditionalEffects):
    """Base of estimators of effects for rows of a treatment that an instrument moves."""

    treatments: ClassVar[Takes] = "either"
    legal: ClassVar[Mapping[str, Legal]] = {"effect_modifiers": MODIFIERS}
    outcome_model: Model
    treatment_model: Model
    instrument_model: Model
    cv: object
    control: Hashable
    random_state: int | None
    n_jobs: int | None

    def moved(self, X: Covariates, y: Outcome, instrument: RoleLike, missing: str, **roles: Any) -> Moved:
        """Read the roles and take from outcome, treatment and instrument what models that did not see the row say."""
        self.need("instrument", instrument)
        sample = self.prepare(X, y, instrument=instrument, missing=missing, control=self.control, **roles)
        plan = plan_of(sample)
        if len(plan.index) != 1:
            raise CausalArgumentError(
                f"{type(self).__name__} takes one contrast of a treatment, and {len(plan.index)} were given"
            )
        d = sample.codes.astype(float) if isinstance(sample.treated, Arms) else sample.numbers.values[:, 0]
        columns = np.column_stack([sample.y, d, _instrument(sample, type(self).__name__)])
        rng = np.random.default_rng(self.random_state)
        folds = draw_folds(self.cv, sample.inputs, sample.treated, rng, sample.cluster[0] if sample.cluster else None)
        models = [self.outcome_model, self.treatment_model, self.instrument_model]
        rows = replace(training_rows(sample, *models), arms=np.zeros(len(sample), dtype=np.int8), n_arms=1)
        seed = int(rng.integers(2**31 - 1))
        means = fit_targets(
            rows, columns, folds, sample.inputs.index,
            names=[sample.outcome, sample.treatment, "instrument"], models=models,
            setting_names=["outcome_model", "treatment_model", "instrument_model"],
            random_state=seed, n_jobs=self.n_jobs,
        )  # fmt: skip
        y_rest, d_rest, z_rest = (columns - means.predictions).T
        return Moved(sample, plan, rows, folds, means, y_rest, d_rest, z_rest, seed)

    def arranged(
        self, moved: Moved, average: BasisFit, first: tuple[Check, list[str]], *, assumption: str,
        checks: Mapping[str, Any] | None = None, warned: Sequence[str] = (), facts: Mapping[str, Any] | None = None,
    ) -> Effect:  # fmt: skip
        """The average effect, from its value (1,) and contributions (n, 1)."""
        sample = moved.sample
        u = Influence.from_contributions(
            average.values, average.contributions, sample.rows, names=moved.plan.index, clusters=sample.clusters
        )
        if sample.cluster:
            u = u.cluster(sample.cluster)
        name = str(getattr(sample.inputs.roles["instrument"], "name", "the instrument"))
        return Effect(
            rows=Estimates(pd.Series(average.values, index=moved.plan.index, name="estimate"), u),
            estimand=f"average effect of {sample.treatment} on {sample.outcome}, moved by {name}",
            n_obs=len(sample),
            assumptions=(
                f"exclusion: {name} moves {sample.outcome} through {sample.treatment} only (cannot be tested)",
                f"independence: given the covariates, {name} is as good as random",
                assumption,
            ),
            diagnostics=Checks({"first_stage": first[0], "nuisance": moved.means.report, **(checks or {})}),
            warnings=(*notes(sample), *self.few_clusters(sample), *first[1], *warned),
            std_error_method=f"influence function, cross-fitted in {int(moved.folds.max()) + 1} folds"
            + (f", clustered by {' and '.join(sample.clusters)} (CR1)" if sample.cluster else ", normal law"),
            facts={**sample.facts(), "instrument": name, **(facts or {})},
        ).explained()


class OrthoIV(MovedEffects):
    r"""Effects linear in covariates of a treatment moved by an instrument, with an interval for every row.

    :math:`Y = \theta(X) D + g(X) + \varepsilon, E[\varepsilon | Z, X] = 0`: outcome, treatment and instrument less
    their cross-fitted means given all covariates, then instrumental variables with the residual of the instrument times
    the effect modifiers as instruments. Rests on exclusion, on an instrument that is as good as random given the
    covariates, and on effects that are linear in the modifiers.

    Parameters
    ----------
    outcome_model, treatment_model, instrument_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn regressor
        Means given the covariates.
    effect_modifiers : list of covariates, optional
        What the effect may vary with; all covariates by default.
    cv : int, splitter or iterable of (train, test)
    control : level, optional
    formula : str, optional
    random_state : int or None
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
        Average over the fitted rows.
    coefficients_ : Effect
        Effect at the covariates' means, and its change per unit of each.
    folds_ : ndarray (n,)

    References
    ----------
    Chernozhukov et al. (2018), Econometrics Journal, section 4.2; Syrgkanis et al. (2019), NeurIPS. Errors: HC0.
    """

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        treatment_model: Model = "auto",
        instrument_model: Model = "auto",
        effect_modifiers: Sequence[Any] | None = None,
        cv: object = 5,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.instrument_model = instrument_model
        self.effect_modifiers = effect_modifiers
        self.cv = cv
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
        instrument: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
            Covariates, and any roles given by name.
        y : array-like (n,)
        treatment : str or array-like (n,)
            Two arms, or a number.
        instrument : str or array-like (n,)
            One column: numbers, or two levels.
        cluster : str, array-like (n,) or list of up to four, optional
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            Everything that is wrong with the data.
        NotIdentifiedError
            Where the instrument does not move the treatment.
        """
        moved = self.moved(X, y, instrument, missing, treatment=treatment, cluster=cluster, sample_weight=sample_weight)
        sample = moved.sample
        basis = EffectBasis.of(sample.X, sample.encoder.names, modifier_columns(sample, self.effect_modifiers))
        fit = instrumented_fit(basis, moved.z, moved.d, moved.y, sample.w)
        self._sample, self.folds_ = sample, moved.folds
        linear = LinearEffects.of(
            basis, fit.values, fit.contributions, sample.rows, list(moved.plan.names), clusters=sample.clusters,
            components=(with_factor(fit.contributions, 1.0),),
        )  # fmt: skip
        self._linear = linear.clustered(sample.cluster) if sample.cluster else linear
        self.effect_ = self.arranged(
            moved, average_of(self._linear, sample, 1), moved_first_stage(moved),
            assumption="effects are linear in the effect modifiers",
        )  # fmt: skip
        self.coefficients_ = coefficients_of(self._linear, self.effect_, sample)
        return self

    def _error_method(self) -> str:
        return "clustered (CR1)" if self._sample.cluster else "HC0, cross-fitted, normal law"

    def _predicted(self, X: Floats) -> Floats:
        return self._linear.predict(X)

    def _rows(self, j: int, X: Floats) -> Influence | None:
        return self._linear.of_treatment(j, X)


def coefficients_of(linear: LinearEffects, like: Effect, sample: Sample) -> Effect:
    """Coefficients of linear effects as an effect, with the words of another."""
    u = linear.uncertainty
    words = f"coefficients of the effect of {sample.treatment} on {sample.outcome}"
    return replace(like, rows=Estimates(pd.Series(u.values, index=u.names, name="estimate"), u), estimand=words)


def _instrument(sample: Sample, taker: str) -> Floats:
    """The instrument as one column of numbers; two labels are 0 and 1."""
    given = sample.inputs.roles["instrument"]
    if isinstance(given, pd.DataFrame):
        raise CausalArgumentError(
            f"{taker} takes one instrument, and {given.shape[1]} were given; combine them, or use InstrumentalVariables"
        )
    if is_numeric(given):
        return as_float(given)
    codes, levels = pd.factorize(given, sort=True)
    if len(levels) > 2:
        raise CausalDataError(
            f"{given.name}: instrument has {len(levels)} labels, and {taker} takes numbers or two; use"
            " InstrumentalVariables"
        )
    return codes.astype(float)


def moved_first_stage(moved: Moved) -> tuple[Check, list[str]]:
    """How strongly the instrument moves the treatment, residuals on residuals."""
    z, d, sample = moved.z, moved.d, moved.sample
    w = np.ones(len(z)) if sample.w is None else sample.w
    if w @ np.square(z) <= 1e-12 * len(z):
        raise NotIdentifiedError("the covariates explain the instrument exactly, so that nothing of it is left")
    slope = float((w * z) @ d / ((w * z) @ z))
    error = standard_error(w * z * (d - slope * z) / ((w * z) @ z), sample.cluster)
    F = np.inf if error == 0 else (slope / error) ** 2
    table = pd.DataFrame(
        {"estimate": [slope], "std_error": [error], "F": [F]}, index=pd.Index([f"instrument on {sample.treatment}"])
    )
    check = Check(bool(F >= _WEAK), table, f"the instrument moves {sample.treatment} by {slope:.4g} (F {F:.1f})")
    if F >= _WEAK:
        return check, []
    text = f"the instrument moves {sample.treatment} weakly: F {F:.1f}, under 10; intervals here do not hold then"
    warn(text, WeakInstrumentWarning)
    return check, [text]
