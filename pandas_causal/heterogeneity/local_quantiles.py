"""Quantiles of the outcome among those whom an instrument moves, and what treatment does to them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pandas_causal.arms.base import ArmComparison
from pandas_causal.arms.binary_instrument import binary_instrument
from pandas_causal.arms.estimands import EstimandPlan
from pandas_causal.arms.overlap import overlap_check
from pandas_causal.arms.sample import Sample
from pandas_causal.effect.check import Check
from pandas_causal.errors import NotIdentifiedError, OverlapError, OverlapWarning, WeakInstrumentWarning, warn
from pandas_causal.heterogeneity.quantiles import QUANTILES, checked_quantiles
from pandas_causal.inference.influence import standard_error
from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.parameters import SHARE, Legal
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.models.folds import draw_folds
from pandas_causal.models.linear import StandardisedMatrix
from pandas_causal.models.nuisance import (
    Nuisance,
    fit_outcome,
    fit_propensity,
    in_label_order,
    is_linear,
    nuisance_table,
)
from pandas_causal.models.training_rows import TrainingRows

__all__ = ["LocalQuantileEffects", "signed_density", "signed_quantile"]

_WEAK = 10.0


def signed_quantile(y: Floats, weights: Floats, target: float) -> float:
    """Smallest value up to which the weights of the rows have ever reached a target sum.

    Weights that identify compliers are negative for some rows, so that their distribution function falls in places; its
    running maximum does not (Chernozhukov, Fernandez-Val and Galichon 2010, "Quantile and probability curves without
    crossing", Econometrica).

    Parameters
    ----------
    y, weights : ndarray (n,)
    target : float
    """
    order = np.argsort(y, kind="stable")
    ranked = y[order]
    ends = np.append(ranked[1:] != ranked[:-1], True)  # a value counts with all its rows
    reached = np.maximum.accumulate(np.cumsum(weights[order])[ends])
    k = int(np.searchsorted(reached, target - 1e-12 * np.abs(weights).sum()))
    return float(ranked[ends][min(k, len(reached) - 1)])


def signed_density(y: Floats, weights: Floats, at: float) -> float:
    """Density at a point of rows with weights of either sign, by a normal kernel with Silverman's bandwidth.

    At least a hundredth of one over the spread: where weights cancel there is no density to speak of, and errors are
    large.
    """
    total = float(weights.sum())
    low, high = (signed_quantile(y, weights, q * total) for q in (0.25, 0.75))
    spread = (high - low) / 1.349 or float(y.std())
    if not spread:
        return np.inf
    h = 0.9 * spread * (total**2 / np.square(weights).sum()) ** -0.2
    kernel = np.exp(-0.5 * np.square((y - at) / h)) / (h * np.sqrt(2 * np.pi))
    return max(float(weights @ kernel) / total, 0.01 / spread)


@dataclass(frozen=True, eq=False)
class _Compliers:
    """Who is moved, row by row.

    Attributes
    ----------
    z : ndarray (n,)
        Instrument, 0 or 1.
    e : ndarray (n,)
        Probability that it is 1.
    share : ndarray (n,)
        Doubly robust scores of being moved, whose mean is the share of compliers (positive), times the sample weights.
    sign : float
        -1 where the instrument lowers treatment.
    """

    z: Floats
    e: Floats
    share: Floats
    sign: float

    @property
    def contrast(self) -> Floats:
        """``z / e - (1 - z) / (1 - e)``, of the sign that makes compliers count positively."""
        return np.asarray(self.sign * (self.z / self.e - (1 - self.z) / (1 - self.e)))

    def explained(self, by_instrument: Floats) -> Floats:
        """What predictions (n, 2) by instrument add: ``m1 - m0 - z m1 / e + (1 - z) m0 / (1 - e)``."""
        m0, m1 = by_instrument.T
        return np.asarray(self.sign * (m1 - m0 - self.z * m1 / self.e + (1 - self.z) * m0 / (1 - self.e)))


class LocalQuantileEffects(ArmComparison):
    r"""What treatment does to the quantiles of the outcome among compliers, by a binary instrument, doubly robust.

    Compliers' distribution of the outcome under treatment is
    :math:`F_1(y) = E[\Delta_Z 1\{Y \le y, D = 1\}] / E[\Delta_Z D]`, with :math:`\Delta_Z` what the instrument does
    given the covariates, and without it the same with :math:`1\{D = 0\}` and both signs turned; each is a model's
    prediction corrected by inverse-probability-weighted residuals, cross-fitted at a first estimate of the quantile.
    Rests on exclusion, on an instrument that is as good as random given the covariates, and on monotonicity. A
    difference of quantiles is no quantile of differences: who stands where may change.

    Parameters
    ----------
    quantiles : array-like
        Between 0 and 1; 0.1, 0.2, ..., 0.9 by default.
    outcome_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn classifier
        Of an outcome below the quantile in one arm, where the instrument is 0 and where it is 1.
    treatment_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn classifier
        Of treatment, where the instrument is 0 and where it is 1.
    instrument_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn classifier
    cv : int, splitter or iterable of (train, test)
    clip : float
        Probabilities of the instrument are bounded to [clip, 1 - clip].
    control : level, optional
        Of the treatment.
    random_state : int or None
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
        A row per quantile. ``effect.parameters`` holds the quantiles themselves, by arm.
    folds_ : ndarray (n,)
    instrument_probability_ : ndarray (n,)

    References
    ----------
    Abadie, Angrist and Imbens (2002), "Instrumental variables estimates of the effect of subsidized training on the
    quantiles of trainee earnings", Econometrica 70; Frolich and Melly (2013), "Unconditional quantile treatment effects
    under endogeneity", JBES 31, for quantiles over all covariates; Belloni, Chernozhukov, Fernandez-Val and Hansen
    (2017), "Program evaluation and causal inference with high-dimensional data", Econometrica 85, for the score.
    """

    curve: ClassVar[bool] = True
    compares_means: ClassVar[bool] = False
    legal: ClassVar[Mapping[str, Legal]] = {"clip": SHARE}

    def __init__(
        self,
        *,
        quantiles: ArrayLike = QUANTILES,
        outcome_model: Model = "ridge",
        treatment_model: Model = "ridge",
        instrument_model: Model = "auto",
        cv: object = 5,
        clip: float = 0.01,
        control: Hashable = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.quantiles = quantiles
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.instrument_model = instrument_model
        self.cv = cv
        self.clip = clip
        self.control = control
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
            Outcome, of many values.
        treatment, instrument : str or array-like (n,)
            Two levels each.
        cluster : str, array-like (n,) or list of up to four, optional
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            Everything that is wrong with the data; a treatment or instrument of more than two levels.
        NotIdentifiedError
            Where the instrument does not move the treatment.
        """
        self.need("instrument", instrument)
        sample = self.prepare(
            X, y, treatment=treatment, instrument=instrument, cluster=cluster, sample_weight=sample_weight,
            missing=missing, control=self.control,
        )  # fmt: skip
        moved = binary_instrument(sample, type(self).__name__, "InstrumentalVariables for means")
        quantiles = checked_quantiles(self.quantiles, sample, judge=self.checks_data)
        rng = np.random.default_rng(self.random_state)
        cells = np.unique(2 * moved.codes + sample.codes, return_inverse=True)[1].astype(np.int8)
        strata = Arms(tuple(range(int(cells.max()) + 1)), cells, "instrument and treatment")
        self.folds_ = draw_folds(self.cv, sample.inputs, strata, rng, sample.cluster[0] if sample.cluster else None)
        self._settings = {"random_state": int(rng.integers(2**31 - 1)), "n_jobs": self.n_jobs}
        models = [self.outcome_model, self.treatment_model, self.instrument_model]
        design = StandardisedMatrix.of(sample.X) if any(is_linear(m, sample.X) for m in models) else None
        rows = replace(sample.training_rows(design), arms=moved.codes, n_arms=2)
        order = sample.inputs.index
        chance = in_label_order(
            fit_propensity, order, self.instrument_model, rows, self.folds_, setting="instrument_model",
            **self._settings,
        )  # fmt: skip
        taken = self._by_instrument(rows, order, (sample.codes == 1).astype(float), "treatment_model")
        raw = chance.predictions[:, 1]
        e = np.clip(raw, self.clip, 1 - self.clip) if self.clip else raw
        if ((e <= 0) | (e >= 1)).any():
            raise OverlapError(
                f"{int(((e <= 0) | (e >= 1)).sum()):,} rows have an estimated probability of the instrument of exactly"
                " 0 or 1, and cannot be compared; bound it (clip=), or use a smoother instrument_model"
            )
        self.instrument_probability_ = e
        compliers = _compliers(sample, moved, e, taken.predictions)
        first, told = _first_stage(compliers, sample)
        values, contributions = self._quantiles(sample, rows, quantiles, compliers)
        overlap = overlap_check(
            np.column_stack([1 - e, e]), moved.codes, moved.levels, estimand="ATE", w=sample.w,
            clipped=int((e != raw).sum()), out_of_fold=True,
        )  # fmt: skip
        if not overlap.passed and self.checks_data:
            told.append(f"weak overlap of the instrument: {overlap.summary}")
            warn(told[-1], OverlapWarning)
        name = str(sample.inputs.roles["instrument"].name)
        names = [f"{level}, quantile {q:g}" for level in sample.arms.levels for q in quantiles]
        loadings = np.asarray(np.kron([[-1.0, 1.0]], np.eye(len(quantiles))), dtype=np.float64)
        plan = EstimandPlan("LATE", (), loadings, pd.Index(quantiles, name="quantile"), pd.Index(names, name="arm"))
        self.effect_ = self.finish(
            sample, plan, values, contributions,
            estimand=f"effect of {sample.contrast} on quantiles of {sample.outcome} among those whom {name} moves",
            std_error_method=f"influence function, cross-fitted in {int(self.folds_.max()) + 1} folds, normal law",
            diagnostics={"first_stage": first, "overlap": overlap,
                         "nuisance": partial(_nuisance_check, taken, chance, moved.levels)},
            warned=told,
            assumptions=(
                f"exclusion: {name} moves {sample.outcome} through {sample.treatment} only (cannot be tested)",
                f"independence and overlap: given the covariates, {name} is as good as random",
                f"monotonicity: {name} moves {sample.treatment} the same way for everybody",
                "the outcome of those whom it moves has a density at every quantile asked for",
            ),
            facts={"dose": "quantile", "instrument": name},
            population=f"those whom {name} moves, of the population the rows were sampled from",
        )  # fmt: skip
        return self

    # -- private -----------------------------------------------------------------------------------------------------

    def _by_instrument(self, rows: TrainingRows, order: pd.Index, target: Floats, setting: str) -> Nuisance:
        """Predictions (n, 2) of a 0/1 column where the instrument is 0 and 1, out of fold."""
        fit = in_label_order(
            fit_outcome, order, getattr(self, setting), replace(rows, y=target), self.folds_, setting=setting,
            **self._settings,
        )  # fmt: skip
        return replace(fit, predictions=np.clip(fit.predictions, 0.0, 1.0))

    def _quantiles(
        self, sample: Sample, rows: TrainingRows, quantiles: list[float], compliers: _Compliers
    ) -> tuple[Floats, Floats]:
        """Quantiles by arm, and contributions."""
        n, Q = len(sample), len(quantiles)
        unit = np.ones(n) if sample.w is None else sample.w
        share = compliers.share
        values, contributions = np.empty(2 * Q), np.empty((n, 2 * Q))
        for a in (0, 1):
            own = (sample.codes == a).astype(float)
            towards = 1.0 if a else -1.0
            weights = towards * compliers.contrast * own * unit
            for k, q in enumerate(quantiles):
                start = signed_quantile(sample.y, weights, q * weights.sum())
                below = self._by_instrument(rows, sample.inputs.index, own * (sample.y <= start), "outcome_model")
                fixed = towards * compliers.explained(below.predictions) * unit
                theta = signed_quantile(sample.y, weights, q * share.sum() - fixed.sum())
                score = fixed + weights * (sample.y <= theta) - q * share
                score -= score.mean()
                density = signed_density(sample.y, weights, theta)
                values[a * Q + k] = theta
                contributions[:, a * Q + k] = -score / (share.sum() * density)
        return values, contributions


def _compliers(sample: Sample, moved: Arms, e: Floats, taken: Floats) -> _Compliers:
    """Scores of being moved; an instrument that lowers treatment is turned."""
    d, z = (sample.codes == 1).astype(float), moved.codes.astype(float)
    raw = taken[:, 1] - taken[:, 0] + z * (d - taken[:, 1]) / e - (1 - z) * (d - taken[:, 0]) / (1 - e)
    w = np.ones(len(d)) if sample.w is None else sample.w
    total = float(w @ raw)
    if abs(total) <= 1e-12 * len(d):
        raise NotIdentifiedError(f"the instrument does not move {sample.treatment} in these rows")
    sign = 1.0 if total > 0 else -1.0
    return _Compliers(z, e, sign * raw * w, sign)


def _first_stage(compliers: _Compliers, sample: Sample) -> tuple[Check, list[str]]:
    """Share of compliers and how well it is known."""
    score, n = compliers.share, len(compliers.share)
    value = float(score.mean())
    error = standard_error((score - value) / n, sample.cluster)
    F = np.inf if error == 0 else (value / error) ** 2
    table = pd.DataFrame({"estimate": [value], "std_error": [error], "F": [F]}, index=pd.Index(["share of compliers"]))
    check = Check(bool(F >= _WEAK), table, f"the instrument moves {value:.1%} of the rows (F {F:.1f})")
    if F >= _WEAK:
        return check, []
    text = f"the instrument moves {sample.treatment} weakly: F {F:.1f}, under 10; intervals here do not hold then"
    warn(text, WeakInstrumentWarning)
    return check, [text]


def _nuisance_check(taken: Nuisance, chance: Nuisance, levels: tuple[Any, ...]) -> Check:
    """Models and skill of treatment and instrument."""
    names = [f"treatment | instrument {level}" for level in levels]
    table = nuisance_table([(names, "squared error", taken), (["instrument"], "log loss", chance)])
    return Check(None, table, ", ".join(f"{n} {r.model} (skill {r.skill:.2f})" for n, r in table.iterrows()))
