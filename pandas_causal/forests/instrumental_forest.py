"""Instrumental forest: effects that vary with covariates, of a treatment that something outside moves."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from pandas_causal.arms.sample import Sample, notes
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    NotIdentifiedError,
    WeakInstrumentWarning,
    warn,
)
from pandas_causal.forests.base import EffectForest, encoded_rows, refuse_events
from pandas_causal.forests.causal_forest import refuse_explained
from pandas_causal.forests.growing import (
    CAUSAL,
    INSTRUMENTAL,
    GrowthRules,
    Sampling,
    TreeShape,
    causal_sums,
    grow_forest,
    instrumental_sums,
    solve_causal,
    solve_instrumental,
)
from pandas_causal.forests.nuisances import Coded, default_tries, forest_means, means_of
from pandas_causal.heterogeneity.base import plan_of
from pandas_causal.inference.influence import Influence
from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.inputs.parameters import Legal
from pandas_causal.inputs.treatments import Takes
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.models.folds import draw_folds

__all__ = ["InstrumentalForest"]

_WEAK = 10.0
_LEAST_MOVED = 0.01  # of a treatment by an instrument, both in units of their residuals' spread


class InstrumentalForest(EffectForest):
    r"""Instrumental forest: conditional local average effects, by a local regression with an instrument.

    Outcome, treatment and instrument less their means given the covariates, trees that split where the effect on those
    whom the instrument moves differs, and at every x the ratio of the instrument's covariances with outcome and
    treatment, rows weighted by the forest. Rests on exclusion, on an instrument that is as good as random given the
    covariates, and on monotonicity.

    Parameters
    ----------
    n_estimators, min_samples_leaf, max_depth, max_features, max_samples, honesty, honesty_fraction, alpha, \
    imbalance_penalty, equalize_clusters, cv, clip, control, formula, random_state, n_jobs, progress
        As in :class:`CausalForest`; leaves hold both values (or halves) of the instrument.
    outcome_model, treatment_model, instrument_model : {"forest", "auto", "linear", "ridge", "boosting"} or regressor
        Means given the covariates.

    Attributes
    ----------
    effect_ : Effect
        Average of the conditional local effects, doubly robust.
    oob_effects_ : ndarray (n,)
    compliance_ : ndarray (n,)
        How much the instrument moves the treatment of rows like this one, out of bag.
    scores_of_effects_ : ndarray (n, 1)
    folds_ : ndarray (n,)
    min_samples_leaf_ : int
    tuning_ : DataFrame or None

    References
    ----------
    Athey, Tibshirani and Wager (2019), "Generalized random forests", Annals of Statistics 47, section 7; Aronow and
    Carnegie (2013), for averages over compliance.
    """

    treatments: ClassVar[Takes] = "either"
    legal: ClassVar[Mapping[str, Legal]] = {}

    def __init__(
        self,
        *,
        n_estimators: int = 2000,
        min_samples_leaf: int | str = 5,
        max_depth: int | None = None,
        max_features: float | None = None,
        max_samples: float = 0.5,
        honesty: bool = True,
        honesty_fraction: float = 0.5,
        alpha: float = 0.05,
        imbalance_penalty: float = 0.0,
        equalize_clusters: bool = False,
        outcome_model: Model = "forest",
        treatment_model: Model = "forest",
        instrument_model: Model = "forest",
        cv: object = 5,
        clip: float = 0.01,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
        progress: bool = True,
    ) -> None:
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.max_depth = max_depth
        self.max_features = max_features
        self.max_samples = max_samples
        self.honesty = honesty
        self.honesty_fraction = honesty_fraction
        self.alpha = alpha
        self.imbalance_penalty = imbalance_penalty
        self.equalize_clusters = equalize_clusters
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.instrument_model = instrument_model
        self.cv = cv
        self.clip = clip
        self.control = control
        self.formula = formula
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.progress = progress

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
            Where the covariates explain the instrument or the treatment, or the one does not move the other.
        """
        self.need("instrument", instrument)
        refuse_events(y)
        sample = self.prepare(
            X, y, treatment=treatment, instrument=instrument, cluster=cluster, sample_weight=sample_weight,
            missing=missing, control=self.control,
        )  # fmt: skip
        self._sample = sample
        plan, rng = plan_of(sample), np.random.default_rng(self.random_state)
        if len(plan.index) != 1:
            raise CausalArgumentError(
                f"InstrumentalForest takes one contrast of a treatment, and {len(plan.index)} were given"
            )
        d = sample.codes.astype(float) if isinstance(sample.treated, Arms) else sample.numbers.values[:, 0]
        name = str(getattr(sample.inputs.roles["instrument"], "name", "the instrument"))
        z = _instrument(sample)
        self.folds_ = draw_folds(
            self.cv, sample.inputs, sample.treated, rng, sample.cluster[0] if sample.cluster else None
        )
        rows = self._coded = encoded_rows(sample, self.formula)
        seed, trees = int(rng.integers(2**31 - 1)), self.n_estimators // 4
        words = "nuisances" if self.progress else ""
        given = {
            sample.outcome: (sample.y, self.outcome_model),
            sample.treatment: (d, self.treatment_model),
            name: (z, self.instrument_model),
        }
        parts = {
            key: means_of(
                sample, rows, values[:, None], [key], model, self.folds_,
                self._models(model, model, np.random.default_rng(seed + k), "treatment_model"), trees,
                outcome=True, words=words,
            )
            for k, (key, (values, model)) in enumerate(given.items())
        }  # fmt: skip
        left = {key: given[key][0] - part.values[:, 0] for key, part in parts.items()}
        y_left, d_left, z_left = left[sample.outcome], left[sample.treatment], left[name]
        refuse_explained(np.column_stack([d_left, z_left]), np.column_stack([d, z]), [sample.treatment, name], sample.w)
        w = np.ones(len(sample)) if sample.w is None else sample.w
        spread = np.sqrt([np.average(np.square(v), weights=w) for v in (z_left, d_left)])
        self._unit = spread[1:]
        self._residuals = (z_left[:, None], d_left[:, None], y_left)
        levels = np.unique(z)
        above = z == levels[1] if len(levels) == 2 else z_left > 0
        groups = rows.ordered(np.column_stack([~above, above]).astype(float))
        ordered = [rows.ordered(v) for v in (w, z_left / spread[0], d_left / spread[1], y_left)]
        sums = instrumental_sums(ordered[0], ordered[1], ordered[2], ordered[3], groups)
        first, warned = _first_stage(z_left, d_left, w, name, sample.treatment)
        self._grown = self._grow(sample, rows, sums, TreeShape(INSTRUMENTAL, 1, 1, 2), seed, self._unit)
        self.min_samples_leaf_, self.tuning_ = self._grown.leaf, self._grown.tuning
        moved = self._compliance(rows, ordered, groups, seed)
        self.compliance_ = moved * spread[1] / spread[0]
        variance = np.maximum(
            forest_means(
                rows, np.square(z_left / spread[0])[:, None], sample.w, trees, seed + 7, self.n_jobs
            )[:, 0], 0.01,
        )  # fmt: skip
        tau = self._grown.effects[:, 0]
        scores = tau + z_left / spread[0] / variance / moved * (y_left - d_left * tau) / spread[1]
        self.scores_of_effects_ = scores[:, None]
        mean = w @ scores / w.sum()
        u = Influence.from_contributions(
            np.array([mean]), (w * (scores - mean) / w.sum())[:, None], sample.rows, names=plan.index,
            clusters=sample.clusters,
        )  # fmt: skip
        if sample.cluster:
            u = u.cluster(sample.cluster)
        self.effect_ = Effect(
            rows=Estimates(pd.Series([mean], index=plan.index, name="estimate"), u),
            estimand=f"average conditional local effect of {sample.treatment} on {sample.outcome}, moved by {name}",
            n_obs=len(sample),
            assumptions=(
                f"exclusion: {name} moves {sample.outcome} through {sample.treatment} only (cannot be tested)",
                f"independence: given the covariates, {name} is as good as random",
                f"monotonicity: {name} moves nobody's {sample.treatment} the other way",
            ),
            diagnostics=Checks({"first_stage": first, "nuisance": self._report(parts)}),
            warnings=(*notes(sample), *warned, *self._grown.notes),
            std_error_method="doubly robust scores, out of bag"
            + (f", clustered by {' and '.join(sample.clusters)} (CR1)" if sample.cluster else ", normal law"),
            facts={**sample.facts(), "instrument": name, "n_trees": self._grown.forest.n_trees},
        ).explained()
        return self

    # -- inside ------------------------------------------------------------------------------------------------------

    def _compliance(self, rows: Coded, ordered: list[Floats], groups: Floats, seed: int) -> Floats:
        """How much the instrument moves the treatment, in units of their spreads, out of bag and away from 0."""
        w, z, d, _ = ordered
        n, p = rows.codes.shape
        forest = grow_forest(
            rows.codes, rows.binning, causal_sums(w, z[:, None], d[:, None], groups), TreeShape(CAUSAL, 1, 1, 2),
            GrowthRules(20, tried=default_tries(p)),
            Sampling.of(n, 0.5, 0.5, pairs=False, clusters=rows.clusters), max(self.n_estimators // 4, 50), seed + 5,
            n_jobs=self.n_jobs,
        )  # fmt: skip
        moments, _ = forest.moments(rows.codes, forest.bags(self.n_jobs), self.n_jobs)
        found = solve_causal(moments, 1, 1)[0][:, 0, 0]
        overall = float((w * z) @ d / ((w * z) @ z))
        found = np.where(np.isfinite(found), found, overall)
        sign = np.where(found == 0, np.sign(overall), np.sign(found))
        return rows.in_rows(sign * np.maximum(np.abs(found), _LEAST_MOVED))

    def _solved(self, moments: Floats) -> tuple[Floats, Floats]:
        return solve_instrumental(moments)

    def _loss(self, sums: Floats, shape: TreeShape, effects: Floats, excess: Floats) -> float:
        # squared correlation of the instrument with what the effects leave: (z (y - d tau))^2, row by row
        w = sums[:, 0]
        r = sums[:, 5] - effects[:, 0] * sums[:, 4]
        loss = (np.square(r) - np.square(sums[:, 4]) * excess[:, 0]) / w
        there = np.isfinite(loss)
        return float(loss[there].sum() / w[there].sum()) if there.any() else np.nan


def _instrument(sample: Sample) -> Floats:
    """The instrument as one column of numbers; two labels are 0 and 1."""
    given = sample.inputs.roles["instrument"]
    if isinstance(given, pd.DataFrame):
        raise CausalArgumentError(
            f"InstrumentalForest takes one instrument, and {given.shape[1]} were given; combine them, or use"
            " InstrumentalVariables"
        )
    if is_numeric(given):
        return as_float(given)
    codes, levels = pd.factorize(given, sort=True)
    if len(levels) > 2:
        raise CausalDataError(
            f"{given.name}: instrument has {len(levels)} labels, and InstrumentalForest takes numbers or two; use"
            " InstrumentalVariables"
        )
    return codes.astype(float)


def _first_stage(z: Floats, d: Floats, w: Floats, name: str, treatment: str) -> tuple[Check, list[str]]:
    """How strongly the instrument moves the treatment, residuals on residuals."""
    slope = float((w * z) @ d / ((w * z) @ z))
    error = float(np.sqrt(np.square(w * z * (d - slope * z)).sum()) / ((w * z) @ z))
    F = (slope / error) ** 2 if error > 0 else np.inf
    if slope == 0:
        raise NotIdentifiedError(f"{name} does not move {treatment} at all, given the covariates")
    index = pd.Index([f"{name} on {treatment}"])
    table = pd.DataFrame({"estimate": [slope], "std_error": [error], "F": [F]}, index=index)
    check = Check(bool(F >= _WEAK), table, f"{name} moves {treatment} by {slope:.4g} (F {F:.1f})")
    if F >= _WEAK:
        return check, []
    text = f"{name} moves {treatment} weakly: F {F:.1f}, under 10; intervals here do not hold then"
    warn(text, WeakInstrumentWarning)
    return check, [text]
