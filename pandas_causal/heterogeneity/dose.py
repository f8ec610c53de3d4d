"""Dose and response: the mean outcome if everybody received so much, as a curve with a uniform band."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.base import ArmComparison
from pandas_causal.arms.estimands import EstimandPlan
from pandas_causal.arms.sample import Sample
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    OverlapError,
    Problem,
    StandardErrorWarning,
    warn,
)
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.local_curves import local_curve, rule_of_thumb_bandwidth
from pandas_causal.inputs.encoding import EveryLevel
from pandas_causal.inputs.parameters import Legal, number
from pandas_causal.inputs.treatments import Takes
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Codes, Floats, Positions
from pandas_causal.models.folds import draw_folds
from pandas_causal.models.many_targets import fit_targets
from pandas_causal.models.nuisance import Nuisance, fit_outcome, in_label_order, nuisance_table
from pandas_causal.models.training_rows import TrainingRows

__all__ = ["DoseResponse"]

_POINTS = 40
_FEW = 20  # rows within the bandwidth, of which a local polynomial of degree 2 uses up three
_NODES = 60  # doses at which means over the covariates are computed, and between which they are interpolated
_BANDWIDTH = Legal(
    lambda v: (isinstance(v, str) and v == "rule") or number(0, np.inf, "", closed_low=False).holds(v),
    "'rule' or a number above 0, in units of the treatment",
)


def residual_density(u: Floats, at: Floats) -> Floats:
    """Density of standardised residuals u (n,) at points, by a normal kernel with Silverman's bandwidth."""
    n = len(u)
    spread = min(float(u.std()), float(np.subtract(*np.quantile(u, [0.75, 0.25]))) / 1.349) or 1.0
    h = 0.9 * spread * n**-0.2
    edges = np.linspace(u.min() - 4 * h, u.max() + 4 * h, 1_025)
    centre, step = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    mass = np.histogram(u, edges)[0] / n
    reach = int(np.ceil(4 * h / step))
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) * step / h))
    smooth = np.convolve(mass, kernel / kernel.sum(), mode="same") / step
    return np.interp(at, centre, smooth, left=0.0, right=0.0)


class DoseResponse(ArmComparison):
    r"""Mean outcome as a function of a treatment that is a number, doubly robust, and its derivative.

    The pseudo-outcome :math:`\frac{Y - \mu(X, A)}{\pi(A|X)} \int \pi(A|x) dP(x) + \int \mu(x, A) dP(x)` has the curve
    :math:`E[Y(a)]` as its mean at a if either the outcome model or the density of the treatment is right; it is
    regressed on the treatment by local polynomials, whose bias is estimated and taken out. The density is that of
    residuals of the treatment, scaled by a model of their spread. Rests on no unmeasured confounding and on overlap at
    every dose.

    Parameters
    ----------
    outcome_model : {"auto", "ridge", "boosting"} or scikit-learn regressor
        Outcome given covariates and dose; of the linear ones the dose enters with its square and cube.
    treatment_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn regressor
        Mean of the treatment given covariates, and spread of its residuals.
    points : array-like, optional
        Doses of the curve; 40 from the 5% to the 95% quantile by default.
    bandwidth : "rule" or float
        Of the local polynomials, in units of the treatment; by a rule of thumb from the curvature of the curve.
    clip : float
        Densities are bounded below by this share of their mean at the dose; bounded rows are counted.
    cv : int, splitter or iterable of (train, test)
    random_state : int or None
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
        A row per dose: the mean outcome there.
    bandwidth_ : float
    folds_ : ndarray (n,)
    pseudo_outcome_ : ndarray (n,)

    References
    ----------
    Kennedy, Ma, McHugh and Small (2017), "Non-parametric methods for doubly robust estimation of continuous treatment
    effects", JRSS B 79, eq. (1) and section 3; Colangelo and Lee (2020) for cross-fitting; Calonico, Cattaneo and
    Farrell (2018), JASA, for the bias correction.

    Examples
    --------
    >>> df.causal.dose(treatment="price", outcome="sales", covariates=["region"]).plot()  # doctest: +SKIP
    """

    curve: ClassVar[bool] = True
    treatments: ClassVar[Takes] = "numbers"
    estimates_levels: ClassVar[bool] = True  # means under doses: 0 is no absence of an effect
    legal: ClassVar[Mapping[str, Legal]] = {
        "bandwidth": _BANDWIDTH,
        "clip": number(0, 1, "a number in [0, 1)"),
    }

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        treatment_model: Model = "auto",
        points: ArrayLike | None = None,
        bandwidth: str | float = "rule",
        clip: float = 0.05,
        cv: object = 5,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.points = points
        self.bandwidth = bandwidth
        self.clip = clip
        self.cv = cv
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        treatment: RoleLike = None,
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
            One column of numbers.
        cluster : str, array-like (n,) or list of up to four, optional
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            Everything that is wrong with the data; a treatment with few values.
        OverlapError
            Where no dose of the curve is near enough to rows.
        """
        sample = self.prepare(X, y, treatment=treatment, missing=missing, cluster=cluster, sample_weight=sample_weight)
        dose = _one_dose(sample)
        points = self._points(dose)
        rng = np.random.default_rng(self.random_state)
        folds = draw_folds(self.cv, sample.inputs, sample.numbers, rng, sample.cluster[0] if sample.cluster else None)
        seed = int(rng.integers(2**31 - 1))
        nodes = np.linspace(dose.min(), dose.max(), _NODES)
        at_dose, at_nodes, outcome = self._outcome(sample, dose, nodes, folds, seed)
        density, mean_density, treated = self._density(sample, dose, nodes, folds, seed)
        w = np.ones(len(sample)) if sample.w is None else sample.w
        # a dose that no covariates explain has the density 0: an infinite ratio, which is bounded
        ratio = np.full(len(dose), np.inf)
        np.divide(np.interp(dose, nodes, mean_density), density, out=ratio, where=density > 0)
        if not self.clip and not np.isfinite(ratio).all():
            raise OverlapError(
                f"{int((~np.isfinite(ratio)).sum()):,} rows have a dose whose density given the covariates is 0; bound"
                " the ratio (clip=), or leave such rows out"
            )
        bounded = np.minimum(ratio, 1 / self.clip) if self.clip else ratio
        mean = np.interp(dose, nodes, w @ at_nodes / w.sum())
        pseudo = bounded * (sample.y - at_dose) + mean
        h = self._bandwidth(dose, pseudo, sample.w)
        curve = local_curve(dose, pseudo, points, h, sample.w)
        seen = np.isfinite(curve.level)
        if not seen.any():
            raise OverlapError(f"no dose of the curve has enough rows within {h:.4g} of it; give a larger bandwidth=")
        near = np.array([int((np.abs(dose - p) < h).sum()) for p in points[seen]])
        points = points[seen]
        warned = _few_rows(near, points, h, sample) if self.checks_data else []
        # the covariates averaged over are a sample too
        nearby = np.column_stack([_between(at_nodes, nodes, p) for p in points])
        sampled = w[:, None] * (nearby - w @ nearby / w.sum()) / w.sum()
        index = pd.Index(points, name=sample.treatment)
        plan = EstimandPlan("ATE", (), np.eye(len(points)), index, index)
        self.folds_, self.bandwidth_, self.pseudo_outcome_ = folds, h, pseudo
        self.effect_ = self.finish(
            sample, plan, curve.level[seen], curve.by_level[:, seen] + sampled,
            estimand=f"mean {sample.outcome} if everybody's {sample.treatment} were so much",
            std_error_method=f"doubly robust local polynomial, bandwidth {h:.4g}, bias-corrected, normal law",
            diagnostics={
                "density": partial(_density_check, ratio, dose, self.clip),
                "nuisance": partial(_nuisance_check, outcome, treated),
            },
            warned=warned,
            assumptions=(
                (
                    f"no unmeasured confounding: given the covariates, {sample.treatment} is as good as random (cannot"
                    " be tested)"
                ),
                f"overlap: every unit could have received every {sample.treatment} of the curve",
                "no interference between units",
            ),
            facts={"dose": sample.treatment, "n_clipped": int((bounded < ratio).sum()), "bandwidth": h},
        )  # fmt: skip
        rises = _slopes(nearby, points)
        rises = w[:, None] * (rises - w @ rises / w.sum()) / w.sum()
        self._slope = (curve.slope[seen], curve.by_slope[:, seen] + rises, sample)
        return self

    def derivative(self) -> Effect:
        """What one more unit of the treatment does, at every dose of the curve."""
        check_is_fitted(self, "effect_")
        values, contributions, sample = self._slope
        u = Influence.from_contributions(
            values, contributions, sample.rows, names=self.effect_.table.index, clusters=sample.clusters
        )
        if sample.cluster:
            u = u.cluster(sample.cluster)
        rows = replace(
            self.effect_.rows, values=pd.Series(values, index=self.effect_.table.index, name="estimate"), uncertainty=u
        )
        words = f"change of mean {sample.outcome} per unit of {sample.treatment}"
        return replace(self.effect(), rows=rows, estimand=words)

    # -- private -----------------------------------------------------------------------------------------------------

    def _points(self, dose: Floats) -> Floats:
        if self.points is None:
            low, high = np.quantile(dose, [0.05, 0.95])
            return np.linspace(low, high, _POINTS)
        try:
            points = np.asarray(self.points, dtype=float)
        except (TypeError, ValueError):
            points = np.empty(0)
        if points.ndim != 1 or not len(points) or not np.isfinite(points).all():
            raise CausalArgumentError(f"points must be a list of doses, e.g. [1, 2, 3]; got {self.points!r}")
        if points.min() < dose.min() or points.max() > dose.max():
            raise CausalArgumentError(f"points must lie within the doses received, {dose.min():g} to {dose.max():g}")
        return points

    def _bandwidth(self, dose: Floats, pseudo: Floats, w: Floats | None) -> float:
        if not isinstance(self.bandwidth, str):
            return float(self.bandwidth)
        return rule_of_thumb_bandwidth(dose, pseudo, w)

    def _outcome(
        self, sample: Sample, dose: Floats, nodes: Floats, folds: Codes, seed: int
    ) -> tuple[Floats, Floats, Nuisance]:
        """Outcome at the dose received (n,) and at nodes (n, m), by models that did not see the row."""
        unit = (dose.mean(), dose.std())

        def joined(X: Floats, a: Floats) -> Floats:
            z = (a - unit[0]) / unit[1]
            return np.column_stack([X, z, z**2, z**3])

        own = EveryLevel(tuple(f"{sample.treatment}^{k}" for k in (1, 2, 3)), (0, 1, 2))
        columns = None if sample.columns is None else [*sample.columns, *own.names]
        levels = sample.encoder.for_learners.beside(own, sample.X.shape[1])
        none = np.zeros(len(sample), dtype=np.int8)
        rows = TrainingRows(joined(sample.X, dose), none, 1, sample.y, sample.w, columns, None, levels)
        fit = in_label_order(
            fit_outcome, sample.inputs.index, self.outcome_model, rows, folds, random_state=seed, n_jobs=self.n_jobs
        )
        at_nodes = np.empty((len(sample), len(nodes)))
        for fold in np.unique(folds):
            inside = np.flatnonzero(folds == fold)
            model = fit.predict[fold] if len(fit.predict) > 1 else fit.predict[0]
            for k, node in enumerate(nodes):
                at_nodes[inside, k] = model(joined(sample.X[inside], np.full(len(inside), node)))[:, 0]
        return fit.predictions[:, 0], at_nodes, fit

    def _density(
        self, sample: Sample, dose: Floats, nodes: Floats, folds: Codes, seed: int
    ) -> tuple[Floats, Floats, Check]:
        """Density of the dose received (n,), and its mean over the covariates at nodes (m,)."""
        none = np.zeros(len(sample), dtype=np.int8)
        rows = TrainingRows(sample.X, none, 1, sample.y, sample.w, sample.columns, None, sample.encoder.for_learners)
        settings: dict[str, Any] = {"random_state": seed, "n_jobs": self.n_jobs}
        call: dict[str, Any] = {"models": [self.treatment_model], "setting_names": ["treatment_model"], **settings}
        mean = fit_targets(rows, dose[:, None], folds, sample.inputs.index, names=[sample.treatment], **call)
        rest = dose - mean.predictions[:, 0]
        size = fit_targets(
            rows, np.abs(rest)[:, None], folds, sample.inputs.index, names=[f"spread of {sample.treatment}"], **call
        )
        typical = float(np.abs(rest).mean())
        if typical <= 1e-10 * dose.std():
            raise CausalDataError(
                [Problem(sample.treatment, "is explained exactly by the covariates", None, "leave out what decides it")]
            )
        scale = np.clip(size.predictions[:, 0], 0.2 * typical, 5 * typical)
        u = rest / scale
        density = residual_density(u, u) / scale
        grid = (nodes[None, :] - mean.predictions) / scale[:, None]
        w = np.ones(len(dose)) if sample.w is None else sample.w
        average = w @ (residual_density(u, grid.ravel()).reshape(grid.shape) / scale[:, None]) / w.sum()
        return density, average, mean.report()


def _one_dose(sample: Sample) -> Floats:
    """The treatment as one column of many values."""
    if len(sample.numbers) != 1:
        raise CausalArgumentError(
            f"a curve is of one treatment, and {len(sample.numbers)} were given; use DoubleML for several"
        )
    dose = sample.numbers.values[:, 0]
    values = len(np.unique(dose))
    if values < 10:
        raise CausalDataError(
            [
                Problem(
                    sample.treatment,
                    f"has {values} values, too few for a curve",
                    None,
                    "compare them as arms: df.causal.ate, with .astype('category')",
                )
            ]
        )
    return dose


def _few_rows(near: Positions, points: Floats, bandwidth: float, sample: Sample) -> list[str]:
    """What is to be said of doses that few rows are near to."""
    few = int((near < _FEW).sum())
    if not few:
        return []
    least = int(near.argmin())
    text = (
        f"{few} of {len(points)} doses of the curve have fewer than {_FEW} rows within the bandwidth ({bandwidth:.3g}):"
        f" {near[least]} near {sample.treatment} {points[least]:.3g}; intervals there are too narrow, since their law"
        " is that of many rows"
    )
    warn(text, StandardErrorWarning)
    return [text]


def _between(values: Floats, nodes: Floats, at: float) -> Floats:
    """Values (n, m) at nodes, interpolated to one point (n,)."""
    k = int(np.clip(np.searchsorted(nodes, at) - 1, 0, len(nodes) - 2))
    share = (at - nodes[k]) / (nodes[k + 1] - nodes[k])
    return (1 - share) * values[:, k] + share * values[:, k + 1]


def _slopes(values: Floats, points: Floats) -> Floats:
    """Slopes of values (n, g) along points."""
    return np.gradient(values, points, axis=1) if len(points) > 1 else np.zeros_like(values)


def _density_check(ratio: Floats, dose: Floats, clip: float) -> Check:
    """Weights of the rows: mean density at their dose over their own density, by tenths of the dose."""
    tenth = pd.qcut(dose, 10, duplicates="drop")
    table = pd.DataFrame({"weight": ratio, "dose": tenth}).groupby("dose", observed=True)["weight"]
    summary = pd.DataFrame({"n": table.size(), "mean": table.mean(), "largest": table.max()})
    summary["effective_share"] = table.mean() ** 2 / table.agg(lambda v: float(np.square(v).mean()))
    summary.index = summary.index.astype(str)
    worst = float(summary["effective_share"].min())
    bounded = int((ratio > 1 / clip).sum()) if clip else 0
    words = f"{bounded:,} weights were bounded; the least effective share of a tenth of the doses is {worst:.0%}"
    return Check(bool(worst >= 0.1 and bounded <= 0.05 * len(ratio)), summary, words)


def _nuisance_check(outcome: Nuisance, treated: Check) -> Check:
    """Models and skill of the nuisances."""
    own = nuisance_table([(["outcome"], "squared error", outcome)])
    words = f"outcome {outcome.chosen[0]} (skill {own['skill'].iloc[0]:.2f}), {treated.summary}"
    return Check(None, pd.concat([own, treated.table]), words)
