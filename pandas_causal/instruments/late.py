"""Effects that vary, and covariates without linearity: cross-fitted estimators with instruments."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.base import RowEstimator
from pandas_causal.arms.binary_instrument import binary_instrument
from pandas_causal.arms.overlap import overlap_check
from pandas_causal.arms.sample import Sample, notes
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    CausalError,
    NotIdentifiedError,
    OverlapError,
    OverlapWarning,
    Problem,
    WeakInstrumentWarning,
    warn,
)
from pandas_causal.inference.effective_clusters import ONE_ROW, few_clusters_note
from pandas_causal.inference.influence import Influence, repeated_components
from pandas_causal.inference.omitted_variables import (
    RieszTerms,
    ShortEstimate,
    partially_linear_estimate,
    short_estimate,
)
from pandas_causal.inference.weak_instruments import is_indefinite
from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.inputs.parameters import COMMON, FLAG, SHARE, Legal, at_least, check_settings
from pandas_causal.inputs.treatments import Takes
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.instruments.plausible_exogeneity import bounds_check, validity_check
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.folds import draw_folds
from pandas_causal.models.instrument_nuisances import ByInstrument, ColumnMeans, fit_by_instrument, fit_means
from pandas_causal.models.linear import StandardisedMatrix
from pandas_causal.models.nuisance import TrainingRows, is_linear

__all__ = ["InteractiveIV", "PartialLinearIV"]

_WEAK = 10.0


def late_scores(y: Floats, d: Floats, z: Codes, outcome: Floats, treatment: Floats, e: Floats) -> Floats:
    """Doubly robust scores (n, 2) of the instrument's effect on the outcome and on the treatment.

    ``g1 - g0 + z (y - g1) / e - (1 - z)(y - g0) / (1 - e)``, and the same for the treatment; the ratio of their means
    is the effect among compliers.

    Parameters
    ----------
    y, d : ndarray (n,)
    z : ndarray (n,) of 0 and 1
    outcome, treatment : ndarray (n, 2)
        Predictions where the instrument is 0 and 1.
    e : ndarray (n,)
        Probability that it is 1.

    References
    ----------
    Tan (2006), "Regression and weighting methods for causal inference using instrumental variables", JASA 101;
    Chernozhukov et al. (2018), "Double/debiased machine learning", Econometrics Journal, section 5.2.
    """
    out = []
    for v, fit in ((y, outcome), (d, treatment)):
        out.append(fit[:, 1] - fit[:, 0] + z * (v - fit[:, 1]) / e - (1 - z) * (v - fit[:, 0]) / (1 - e))
    return np.column_stack(out)


@dataclass(frozen=True, eq=False)
class _RatioSet:
    """Values theta of a ratio a / b for which ``a - theta b`` is not told from 0 (Anderson and Rubin 1949; Fieller)."""

    values: Floats
    covariance: Floats
    index: pd.Index

    def clustered(self, labels: list[Any], uncertainty: Influence) -> _RatioSet:
        """The same with the clustered covariance."""
        return replace(self, covariance=uncertainty.meat())

    def __call__(self, level: float) -> pd.DataFrame:
        from scipy import special

        z2 = float(special.ndtri(0.5 + level / 2)) ** 2
        (a, b), V = self.values, self.covariance
        if is_indefinite(V):
            raise CausalError(
                "clustered by several ways the two means of the ratio have no covariance (it has negative variances),"
                " so that the set does not exist; cluster one way"
            )
        A, B, C = b * b - z2 * V[1, 1], -2 * (a * b - z2 * V[0, 1]), a * a - z2 * V[0, 0]
        disc = B * B - 4 * A * C
        if disc < 0:
            pieces = [(-np.inf, np.inf)]
        else:
            low, high = np.sort([(-B - np.sqrt(disc)) / (2 * A), (-B + np.sqrt(disc)) / (2 * A)])
            pieces = [(low, high)] if A > 0 else [(-np.inf, low), (high, np.inf)]
        index = self.index.repeat(len(pieces))
        return pd.DataFrame(pieces, columns=["conf_low", "conf_high"], index=index, dtype=float)


class _CrossFittedIV(RowEstimator):
    """What the two estimators share: folds, repeated splits, one ratio."""

    legal: ClassVar[Mapping[str, Legal]] = {"n_repeats": at_least(1)}
    cv: object
    n_repeats: int
    random_state: int | None
    n_jobs: int | None

    def _training_rows(self, sample: Sample, codes: Codes, n_arms: int, *models: Model) -> TrainingRows:
        linear = any(is_linear(model, sample.X) for model in models)
        design = StandardisedMatrix.of(sample.X) if linear else None
        levels = sample.encoder.for_learners
        return TrainingRows(sample.X, codes, n_arms, sample.y, sample.w, sample.columns, design, levels)

    def _ratio(
        self, sample: Sample, values: Floats, contributions: Floats, splits: Floats, names: list[str]
    ) -> tuple[Influence, _RatioSet, float]:
        """The ratio of two means, with its errors and the set that holds where the denominator is small."""
        theta = float(values[0] / values[1])
        index = pd.Index([self._label(sample)], name=sample.treatment)
        components = repeated_components(splits, contributions, sample.cluster)
        loadings = np.array([[1.0 / values[1], -theta / values[1]]])
        u = Influence.from_contributions(
            values, contributions, sample.rows, names=pd.Index(names), loadings=loadings, components=components,
            clusters=sample.clusters, clustering=None if components is None else sample.cluster,
        )  # fmt: skip
        if sample.cluster and components is None:
            u = u.cluster(sample.cluster)
        return u, _RatioSet(values, u.meat(), index), theta

    def _label(self, sample: Sample) -> str:
        return sample.treatment

    def _clustered(self, sample: Sample) -> str:
        return f", clustered by {' and '.join(sample.clusters)} (CR1)" if sample.cluster else ", normal law"


def _first_stage_f(values: Floats, u: Influence) -> float:
    """F of the instrument's effect on the treatment; infinite where it has no error, NaN where that is negative."""
    variance = float(u.meat()[1, 1])
    if variance < 0:
        return np.nan
    return float(values[1] ** 2 / variance) if variance > 0 else np.inf


def _first_stage_text(F: float, treatment: str) -> list[str]:
    if F >= _WEAK or np.isnan(F):
        return []
    text = (
        f"the instrument moves {treatment} weakly: F {F:.1f}, under 10; read effect.confidence_set(), which holds"
        " however weakly"
    )
    warn(text, WeakInstrumentWarning)
    return [text]


class InteractiveIV(_CrossFittedIV):
    r"""Effect among compliers (LATE) of a binary treatment by a binary instrument, doubly robust in the covariates.

    Those whom the instrument moves: :math:`\theta = E[\tau_Y(X)] / E[\tau_D(X)]`, the instrument's effects on outcome
    and treatment given covariates, each by a model corrected by inverse-probability-weighted residuals, cross-fitted.
    Effects may vary in any way. It rests on exclusion, on independence and overlap given the covariates, and on
    monotonicity: the instrument moves everybody's treatment the same way.

    Parameters
    ----------
    outcome_model, treatment_model : "auto", "linear", "ridge", "splines", "boosting", "boosted_splines" or
        scikit-learn model
        Outcome and treatment given covariates, fitted where the instrument is 0 and where it is 1.
    instrument_model : {"auto", "linear", "ridge", "boosting", "splines", "boosted_splines"} or scikit-learn classifier
        Probability of the instrument.
    always_takers, never_takers : bool
        Whether there are any: False says that nobody is treated where the instrument is 0 (or untreated where it is 1),
        as by design under one-sided non-compliance.
    cv : int, splitter or iterable of (train, test)
    n_repeats : int
        Independent splits to average over; their spread enters the standard error.
    clip : float
        Probabilities of the instrument are bounded to [clip, 1 - clip].
    control : level, optional
        Of the treatment.
    random_state : int or None
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
        One row. ``effect.parameters`` holds the instrument's effects on outcome and treatment.
    folds_ : ndarray (n,)
    instrument_probability_ : ndarray (n,)

    References
    ----------
    Imbens and Angrist (1994), Econometrica; Abadie (2003), Journal of Econometrics; Tan (2006), JASA; Chernozhukov et
    al. (2018), Econometrics Journal, section 5.2.
    """

    legal: ClassVar[Mapping[str, Legal]] = {"clip": SHARE, "always_takers": FLAG, "never_takers": FLAG}

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        treatment_model: Model = "auto",
        instrument_model: Model = "auto",
        always_takers: bool = True,
        never_takers: bool = True,
        cv: object = 5,
        n_repeats: int = 1,
        clip: float = 0.01,
        control: Hashable = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.instrument_model = instrument_model
        self.always_takers = always_takers
        self.never_takers = never_takers
        self.cv = cv
        self.n_repeats = n_repeats
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
            Outcome.
        treatment, instrument : str or array-like (n,)
            Two levels each; the later one in category or sorted order counts as 1.
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
        moved = binary_instrument(sample, "InteractiveIV", "InstrumentalVariables or PartialLinearIV")
        d, z = sample.codes.astype(float), moved.codes
        self._refuse_takers(sample, d, z)
        rng = np.random.default_rng(self.random_state)
        runs = [self._run(sample, moved, rng)]
        runs += [self._run(sample, moved, rng, runs[0]) for _ in range(self.n_repeats - 1)]
        w = np.ones(len(sample)) if sample.w is None else sample.w
        parts = []
        for run in runs:
            scores = late_scores(sample.y, d, z, run.nuisances.outcome.predictions, run.taken, run.e)
            means = w @ scores / w.sum()
            parts.append((means, w[:, None] * (scores - means) / w.sum()))
        splits = np.array([means for means, _ in parts])
        values, contributions = splits.mean(axis=0), np.mean([c for _, c in parts], axis=0)
        self._sample, self._moved, self._first = sample, moved, runs[0]
        self.folds_, self.instrument_probability_ = runs[0].folds, runs[0].e
        self.effect_ = self._arrange(sample, moved, runs[0], values, contributions, splits)
        return self

    def instrument_estimates(self, uncertainty: Influence, null: float) -> dict[str, ShortEstimate]:
        """The instrument's effects on outcome less `null` times treatment, and on treatment: what confounders bias.

        The effect among compliers is `null` exactly where the first of them is zero, if the second is not.

        Parameters
        ----------
        uncertainty : Influence
            Of the effect, as it was clustered.
        null : float
        """
        check_is_fitted(self, "effect_")
        sample, z, run = self._sample, self._moved.codes, self._first
        d, at = sample.codes.astype(float), np.arange(len(sample))
        on_outcome, on_treatment = sample.y - run.nuisances.outcome.predictions[at, z], d - run.taken[at, z]
        density = np.column_stack([1 / (1 - run.e), 1 / run.e])
        unit = np.ones(len(sample)) if sample.w is None else sample.w
        names = [str(name) for name in uncertainty.names]
        first = names[0] if not null else f"{names[0]} less {null:g} {sample.treatment}"
        out = {}
        for a, b, name in ((1.0, -null, first), (0.0, 1.0, names[1])):
            residual = a * on_outcome + b * on_treatment
            terms = RieszTerms(residual, z, np.array([0, 1]), density, np.ones((len(z), 2)), unit)
            row = replace(uncertainty, loadings=np.array([[a, b]]))
            out[name] = short_estimate(
                terms, np.array([-1.0, 1.0]), estimate=float(np.array([a, b]) @ row.values),
                std_error=float(row.std_error()[0]), df=float(row.df()[0]),
                contributions=np.asarray(row.contributions) @ np.array([a, b]), clustering=row.clustering or (),
            )  # fmt: skip
        return out

    def test_validity(self, n_draws: int = 500, random_state: int | None = 0) -> Check:
        """Kitagawa's (2015) test that exclusion, independence and monotonicity can hold, without covariates.

        Parameters
        ----------
        n_draws : int
        random_state : int or None
        """
        check_is_fitted(self, "effect_")
        check_settings({"n_draws": n_draws, "random_state": random_state}, COMMON)
        sample = self._sample
        return validity_check(sample.y, sample.codes, self._moved.codes, sample.outcome, n_draws, random_state)

    # -- private -----------------------------------------------------------------------------------------------------

    def _label(self, sample: Sample) -> str:
        return sample.arms.contrasts[0]

    def _refuse_takers(self, sample: Sample, d: Floats, z: Codes) -> None:
        """Refuse a setting that the rows contradict."""
        problems = []
        for setting, value, wrong, words in (
            ("always_takers", self.always_takers, (z == 0) & (d == 1), "treated where the instrument is 0"),
            ("never_takers", self.never_takers, (z == 1) & (d == 0), "untreated where the instrument is 1"),
        ):
            if not value and wrong.any():
                problems.append(
                    Problem(
                        sample.treatment,
                        f"rows are {words}, and {setting}=False says there are none",
                        int(wrong.sum()),
                        f"leave {setting}=True",
                    )
                )
        if problems:
            raise CausalDataError(problems)

    def _run(self, sample: Sample, moved: Arms, rng: np.random.Generator, first: _Run | None = None) -> _Run:
        cells = np.unique(2 * moved.codes + sample.codes, return_inverse=True)[1].astype(np.int8)
        strata = Arms(tuple(range(int(cells.max()) + 1)), cells, "instrument and treatment")
        folds = draw_folds(self.cv, sample.inputs, strata, rng, sample.cluster[0] if sample.cluster else None)
        rows = self._training_rows(
            sample, moved.codes, 2, self.outcome_model, self.treatment_model, self.instrument_model
        )
        found = fit_by_instrument(
            rows, sample.codes.astype(float), folds, sample.inputs.index,
            outcome_model=self.outcome_model, treatment_model=self.treatment_model,
            instrument_model=self.instrument_model, before=None if first is None else first.nuisances,
            random_state=int(rng.integers(2**31 - 1)), n_jobs=self.n_jobs,
        )  # fmt: skip
        taken = found.treatment.predictions.copy()
        if not self.always_takers:
            taken[:, 0] = 0.0
        if not self.never_takers:
            taken[:, 1] = 1.0
        raw = found.instrument.predictions[:, 1]
        e = np.clip(raw, self.clip, 1 - self.clip) if self.clip else raw
        certain = int(((e <= 0) | (e >= 1)).sum())
        if certain:
            raise OverlapError(
                f"{certain:,} rows have an estimated probability of the instrument of exactly 0 or 1, and cannot be"
                " compared; bound it (clip=), or use a smoother instrument_model"
            )
        return _Run(folds, found, taken, e, int((e != raw).sum()))

    def _arrange(
        self, sample: Sample, moved: Arms, run: _Run, values: Floats, contributions: Floats, splits: Floats
    ) -> Effect:
        names = [f"instrument on {sample.outcome}", f"instrument on {sample.treatment}"]
        if abs(values[1]) < 1e-12:
            raise NotIdentifiedError(f"the instrument does not move {sample.treatment} in these rows")
        u, robust, theta = self._ratio(sample, values, contributions, splits, names)
        instrument = str(sample.inputs.roles["instrument"].name)
        F = _first_stage_f(values, u)
        overlap = overlap_check(
            np.column_stack([1 - run.e, run.e]), moved.codes, moved.levels, estimand="ATE", w=sample.w,
            clipped=run.n_clipped, out_of_fold=True,
        )  # fmt: skip
        few = [] if not self.checks_data else few_clusters_note(sample.clusters, sample.w, moved.codes, remedy=ONE_ROW)
        warned = [*notes(sample), *few, *_first_stage_text(F, sample.treatment)]
        if not overlap.passed:
            text = f"weak overlap of the instrument: {overlap.summary}"
            warn(text, OverlapWarning)
            warned.append(text)
        checks: dict[str, Any] = {
            "first_stage": _take_up(values, u, F, sample.treatment),
            "compliance": partial(_compliance, sample, moved, run),
            "complier_means": partial(complier_means, sample, moved.codes, run.e),
            "overlap": overlap,
            "nuisance": run.nuisances.report,
        }
        if np.isin(sample.y, (0.0, 1.0)).all():
            checks["bounds"] = partial(bounds_check, sample.y, sample.codes, moved.codes, sample.w)
        return Effect(
            rows=Estimates(pd.Series([theta], index=robust.index, name="estimate"), u),
            estimand=f"effect of {sample.treatment} on {sample.outcome} among those whom {instrument} moves (LATE)",
            n_obs=len(sample),
            assumptions=(
                f"exclusion: {instrument} moves {sample.outcome} through {sample.treatment} only (cannot be tested)",
                f"independence and overlap: given the covariates, {instrument} is as good as random",
                f"monotonicity: {instrument} moves {sample.treatment} the same way for everybody",
            ),
            diagnostics=Checks(checks),
            warnings=tuple(warned),
            std_error_method=f"influence function, cross-fitted in {int(run.folds.max()) + 1} folds"
            + self._clustered(sample),
            inversion=robust,
            population="compliers: those whose treatment the instrument changes",
            facts={**sample.facts(), "instrument": instrument, "n_clipped": run.n_clipped},
        ).explained()


@dataclass(frozen=True, eq=False)
class _Run:
    """One cross-fit of the interactive model."""

    folds: Codes
    nuisances: ByInstrument
    taken: Floats
    e: Floats
    n_clipped: int


def _take_up(values: Floats, u: Influence, F: float, treatment: str) -> Check:
    variance = np.diag(u.meat())
    se = np.sqrt(np.where(variance >= 0, variance, np.nan))
    statistic = np.divide(values, se, out=np.full(len(se), np.nan), where=se > 0)
    table = pd.DataFrame({"estimate": values, "std_error": se, "statistic": statistic}, index=u.names)
    moves = f"the instrument moves {treatment} by {values[1]:.4g}"
    if np.isnan(F):
        return Check(None, table, f"{moves}; clustered by several ways its variance is negative: cluster one way")
    return Check(bool(F >= _WEAK), table, f"{moves} (F {F:.1f})")


def _compliance(sample: Sample, moved: Arms, run: _Run) -> Check:
    """Shares of compliers, always-takers and never-takers (monotonicity given)."""
    d, z = sample.codes.astype(float), moved.codes
    w = np.ones(len(sample)) if sample.w is None else sample.w
    low = run.taken[:, 0] + (1 - z) * (d - run.taken[:, 0]) / (1 - run.e)
    high = run.taken[:, 1] + z * (d - run.taken[:, 1]) / run.e
    if w @ high < w @ low:  # an instrument that lowers treatment
        low, high = high, low
    scores = np.column_stack([high - low, low, 1 - high])
    means = w @ scores / w.sum()
    se = np.sqrt((np.square(w[:, None] * (scores - means))).sum(axis=0)) / w.sum()
    index = pd.Index(["compliers", "always-takers", "never-takers"], name="who")
    table = pd.DataFrame({"share": means, "std_error": se}, index=index)
    return Check(None, table, ", ".join(f"{name} {share:.1%}" for name, share in table["share"].items()))


def complier_means(sample: Sample, z: Codes, e: Floats) -> Check:
    """Means of the covariates among compliers and in all rows.

    Compliers are found by weights ``1 - d (1 - z) / (1 - e) - (1 - d) z / e``, whose mean is their share; errors take
    the probabilities of the instrument as known.

    References
    ----------
    Abadie (2003), "Semiparametric instrumental variable estimation of treatment response models", Journal of
    Econometrics, theorem 3.1.
    """
    d = sample.codes.astype(float)
    kappa = 1 - d * (1 - z) / (1 - e) - (1 - d) * z / e
    if d[z == 1].mean() < d[z == 0].mean():  # an instrument that lowers treatment
        kappa = 1 - d * z / e - (1 - d) * (1 - z) / (1 - e)
    w = np.ones(len(sample)) if sample.w is None else sample.w
    every = sample.encoder.every_level
    X = every.on(sample.X)
    total = float(w @ kappa)
    means = (w * kappa) @ X / total
    errors = np.sqrt(np.square((w * kappa)[:, None] * (X - means)).sum(axis=0)) / abs(total)
    everyone = w @ X / w.sum()
    spread = np.sqrt(w @ np.square(X - everyone) / w.sum())
    table = pd.DataFrame(
        {"compliers": means, "std_error": errors, "everyone": everyone, "standardised_difference":
         (means - everyone) / np.where(spread > 0, spread, 1.0)},
        index=pd.Index(every.names, name="covariate"),
    )  # fmt: skip
    if not len(table):
        return Check(None, table, "there are no covariates")
    gaps = table["standardised_difference"].abs()
    return Check(None, table, f"compliers differ most from everyone in {gaps.idxmax()} ({gaps.max():.2f} deviations)")


class PartialLinearIV(_CrossFittedIV):
    r"""Effect of a treatment by an instrument, covariates entering in any way (partially linear model).

    :math:`Y = \theta D + g(X) + \varepsilon, E[\varepsilon | Z, X] = 0`: outcome, treatment and instruments less their
    cross-fitted means given the covariates; then two-stage least squares. With effects that vary it is an average
    weighted by how strongly the instrument moves each.

    Parameters
    ----------
    outcome_model, treatment_model, instrument_model : "auto", "linear", "ridge", "splines", "boosting" or
        "boosted_splines", or a scikit-learn regressor
    cv : int, splitter or iterable of (train, test)
        Folds are balanced by fifths of the treatment.
    n_repeats : int
    random_state : int or None
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
    folds_ : ndarray (n,)

    References
    ----------
    Chernozhukov et al. (2018), "Double/debiased machine learning", Econometrics Journal, section 4.2.
    """

    treatments: ClassVar[Takes] = "numbers"

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        treatment_model: Model = "auto",
        instrument_model: Model = "auto",
        cv: object = 5,
        n_repeats: int = 1,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.instrument_model = instrument_model
        self.cv = cv
        self.n_repeats = n_repeats
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
            Outcome.
        treatment : str or array-like (n,)
            Numbers.
        instrument : str, list of str, or array-like (n,) or (n, q)
        cluster : str, array-like (n,) or list of up to four, optional
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}
        """
        self.need("instrument", instrument)
        sample = self.prepare(
            X, y, treatment=treatment, instrument=instrument, cluster=cluster, sample_weight=sample_weight,
            missing=missing,
        )  # fmt: skip
        if len(sample.numbers) != 1:
            raise CausalArgumentError(
                f"PartialLinearIV takes one treatment, and {len(sample.numbers)} were given; use InstrumentalVariables"
            )
        given = sample.inputs.roles["instrument"]
        frame = given.to_frame() if isinstance(given, pd.Series) else given
        encoder = Encoder.fit(frame)
        Z = encoder.transform(frame)
        if not Z.shape[1]:
            raise CausalDataError(
                [Problem(str(name), "instrument is constant, as numbers go", None, "leave it out") for name in frame]
            )
        rng = np.random.default_rng(self.random_state)
        w = np.ones(len(sample)) if sample.w is None else sample.w
        parts, first = [], None
        for _ in range(self.n_repeats):
            folds, means = self._means(sample, Z, encoder.names, rng, None if first is None else first[1])
            first = (folds, means) if first is None else first
            parts.append(_partialled_out(sample, Z, means, w))
        assert first is not None  # noqa: S101 - n_repeats is at least 1
        splits = np.array([values for values, _ in parts])
        values, contributions = splits.mean(axis=0), np.mean([c for _, c in parts], axis=0)
        self.folds_ = first[0]
        self._residuals = _residuals(sample, Z, first[1], w)
        self._weights = sample.w
        self.effect_ = self._arrange(sample, first, values, contributions, splits, list(map(str, frame.columns)))
        return self

    def instrument_estimates(self, uncertainty: Influence, null: float) -> dict[str, ShortEstimate]:
        """Coefficients of outcome less `null` times treatment, and of treatment, on the instruments less their means.

        The effect is `null` exactly where the first is zero, if the second is not.

        Parameters
        ----------
        uncertainty : Influence
            Of the effect, as it was clustered.
        null : float
        """
        check_is_fitted(self, "effect_")
        y, d, v = self._residuals.T
        names, by = [str(name) for name in uncertainty.names], uncertainty.clustering or ()
        first = names[0] if not null else f"{names[0]} less {null:g} {self.treatment_name_}"
        return {
            first: partially_linear_estimate(y - null * d, v, self._weights, by),
            names[1]: partially_linear_estimate(d, v, self._weights, by),
        }

    def _means(
        self, sample: Sample, Z: Floats, names: list[str], rng: np.random.Generator, before: ColumnMeans | None
    ) -> tuple[Codes, ColumnMeans]:
        folds = draw_folds(self.cv, sample.inputs, sample.numbers, rng, sample.cluster[0] if sample.cluster else None)
        models = [self.outcome_model, self.treatment_model, *[self.instrument_model] * Z.shape[1]]
        rows = self._training_rows(sample, np.zeros(len(sample), dtype=np.int8), 1, *models)
        columns = np.column_stack([sample.y, sample.numbers.values[:, 0], Z])
        settings = ["outcome_model", "treatment_model", *["instrument_model"] * Z.shape[1]]
        found = fit_means(
            rows, columns, folds, sample.inputs.index, names=[sample.outcome, sample.treatment, *names],
            models=models, setting_names=settings, before=before, random_state=int(rng.integers(2**31 - 1)),
            n_jobs=self.n_jobs,
        )  # fmt: skip
        return folds, found

    def _arrange(
        self, sample: Sample, first: tuple[Codes, ColumnMeans], values: Floats, contributions: Floats, splits: Floats,
        instruments: list[str],
    ) -> Effect:  # fmt: skip
        names = [f"moved {sample.outcome}", f"moved {sample.treatment}"]
        few = few_clusters_note(sample.clusters, sample.w, remedy=ONE_ROW) if self.checks_data else []
        u, robust, theta = self._ratio(sample, values, contributions, splits, names)
        F = _first_stage_f(values, u)
        listed = ", ".join(instruments[:5])
        return Effect(
            rows=Estimates(pd.Series([theta], index=robust.index, name="estimate"), u),
            estimand=f"effect of {sample.treatment} on {sample.outcome}, moved by {listed} (partially linear)",
            n_obs=len(sample),
            assumptions=(
                (
                    f"exclusion: {listed} move{'s' if len(instruments) == 1 else ''} {sample.outcome} through"
                    f" {sample.treatment} only (cannot be tested)"
                ),
                "independence: given the covariates, the instruments are as good as random",
                "the effect is the same for all, or the estimate is an average weighted by how strongly each is moved",
            ),
            diagnostics=Checks({"first_stage": _take_up(values, u, F, sample.treatment), "nuisance": first[1].report}),
            warnings=(*notes(sample), *few, *_first_stage_text(F, sample.treatment)),
            std_error_method=f"influence function, cross-fitted in {int(first[0].max()) + 1} folds"
            + self._clustered(sample),
            inversion=robust,
            population="those whom the instruments move, weighted by how strongly",
            facts={**sample.facts(), "instruments": listed},
        ).explained()


def _residuals(sample: Sample, Z: Floats, means: ColumnMeans, w: Floats) -> Floats:
    """Outcome, treatment and instrument (n, 3) less their means; several instruments combined by the first stage."""
    y, d = sample.y - means.predictions[:, 0], sample.numbers.values[:, 0] - means.predictions[:, 1]
    v = Z - means.predictions[:, 2:]
    pi = np.linalg.lstsq((v * w[:, None]).T @ v, v.T @ (w * d), rcond=None)[0]
    return np.column_stack([y, d, v @ pi if v.shape[1] > 1 else v[:, 0]])


def _partialled_out(sample: Sample, Z: Floats, means: ColumnMeans, w: Floats) -> tuple[Floats, Floats]:
    """Means of (instrument times outcome, instrument times treatment), all less their means, and contributions.

    Several instruments are combined by the first stage of the residuals.
    """
    y, d, combined = _residuals(sample, Z, means, w).T
    scores = np.column_stack([combined * y, combined * d])
    values = w @ scores / w.sum()
    return values, w[:, None] * (scores - values) / w.sum()
