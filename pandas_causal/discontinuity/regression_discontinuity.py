"""Regression discontinuity: the jump, or the change of slope, of local polynomials at a cutoff."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from pandas_causal.discontinuity import checks
from pandas_causal.discontinuity.bandwidths import SELECTORS, LocalPolynomialSetting
from pandas_causal.discontinuity.cutoff import Cutoff, Part
from pandas_causal.discontinuity.local_polynomial import KERNELS
from pandas_causal.discontinuity.running_sample import RunningSample, prepare_running
from pandas_causal.effect.check import Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    CausalDataError,
    Problem,
    StandardErrorWarning,
    warn,
)
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inference.effective_clusters import clusters_text, effective_clusters
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inputs.parameters import FLAG, NON_NEGATIVE, Legal, at_least, one_of
from pandas_causal.inputs.treatments import Takes
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Positions

__all__ = ["RegressionDiscontinuity"]

CONTINUITY = (
    "without the treatment the mean outcome would be smooth through the cutoff (no test of it; see the placebo checks)",
    "units cannot place themselves precisely on one side of the cutoff (density test)",
)
MONOTONE = "crossing the cutoff moves nobody's treatment the other way, and acts on the outcome through it only"
_WEAK = 10.0


class RegressionDiscontinuity(CausalEstimator):
    """Local-polynomial regression discontinuity: sharp, fuzzy (with a treatment) or kink (``derivative=1``).

    Estimates the effect at the cutoff, for units there. Rests on the mean outcome being smooth through the cutoff. The
    estimate is the conventional one; the interval is centred on it minus its estimated bias, with the robust standard
    error that counts the bias's own noise.

    Parameters
    ----------
    cutoff : float or date
        In units of the running variable.
    kernel : {"triangular", "epanechnikov", "uniform"}
    bandwidth : str, float or (float, float)
        A selector (mserd, msetwo, msesum, msecomb1, msecomb2, or cer in place of mse), or h in units of the running
        variable (days for dates), left and right where two.
    bias_bandwidth : float or (float, float), optional
        b; by default chosen with h, and equal to h where that is given.
    order : int
        p of the local polynomial.
    bias_order : int, optional
        q of the polynomial that estimates the bias; p + 1 by default.
    derivative : {0, 1, ...}
        0: jump. 1: change of slope.
    donut : float
        Leave out rows nearer to the cutoff than this.
    vce : {"nn", "hc0", "hc1", "hc2", "hc3"}
        Nearest-neighbour or plug-in residuals. With ``fit(cluster=...)`` residuals are summed by cluster: CR2 by "hc2",
        CR3 by "hc3", else CR1.
    matches : int
        Nearest neighbours.
    mass_points : {"adjust", "check", "off"}
        "adjust": preliminary bandwidths count distinct values where a fifth of the rows repeat one.
    sharp_bandwidth : bool
        Choose the bandwidth of a fuzzy design as if it were sharp, for the jump of the outcome.
    by_cutoff : bool
        With ``fit(cutoffs=...)``: one row per cutoff in place of the pooled estimate.
    level : float

    Attributes
    ----------
    effect_ : Effect
    bandwidths_ : DataFrame
        h and b, left and right, one row per cutoff.

    Notes
    -----
    The selectors of a fuzzy design linearise the ratio at each side's own limits, as rdrobust does, so that they move a
    little with the level of the outcome (and of covariates); ``sharp_bandwidth=True`` does not. With ``bias_order``
    above ``order + 1`` rdrobust's h depends on the units of the running variable, and this one does not.

    With several cutoffs every row has its own; the running variable is normalised to the distance from it.

    References
    ----------
    Calonico, Cattaneo and Titiunik (2014), Econometrica; Calonico, Cattaneo and Farrell (2018, 2020); Calonico,
    Cattaneo, Farrell and Titiunik (2019), Review of Economics and Statistics; Cattaneo, Keele, Titiunik and
    Vazquez-Bare (2016), Journal of Politics, for several cutoffs.
    """

    treatments: ClassVar[Takes] = "numbers"
    legal: ClassVar[Mapping[str, Legal]] = {
        "kernel": one_of(*KERNELS),
        "vce": one_of("nn", "hc0", "hc1", "hc2", "hc3"),
        "mass_points": one_of("adjust", "check", "off"),
        "by_cutoff": FLAG,
        "sharp_bandwidth": FLAG,
        "donut": Legal(NON_NEGATIVE.holds, "a distance from the cutoff, 0 or more"),
        "matches": at_least(1),
    }

    bootstrap_refusal = (
        "the bootstrap of the rows is not valid for a discontinuity (its bandwidth adapts to every draw and it misses"
        " the bias); the robust standard error is the one to report"
    )

    def __init__(
        self,
        *,
        cutoff: Any = 0.0,
        kernel: str = "triangular",
        bandwidth: Any = "mserd",
        bias_bandwidth: Any = None,
        order: int = 1,
        bias_order: int | None = None,
        derivative: int = 0,
        donut: float = 0.0,
        vce: str = "nn",
        matches: int = 3,
        mass_points: str = "adjust",
        sharp_bandwidth: bool = False,
        by_cutoff: bool = False,
        level: float = 0.95,
    ) -> None:
        self.cutoff = cutoff
        self.kernel = kernel
        self.bandwidth = bandwidth
        self.bias_bandwidth = bias_bandwidth
        self.order = order
        self.bias_order = bias_order
        self.derivative = derivative
        self.donut = donut
        self.vce = vce
        self.matches = matches
        self.mass_points = mass_points
        self.sharp_bandwidth = sharp_bandwidth
        self.by_cutoff = by_cutoff
        self.level = level

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        running: RoleLike = None,
        treatment: RoleLike = None,
        cutoffs: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
            Covariates for adjustment, and any roles given by name. Covariates are never imputed here.
        y : array-like (n,)
            Outcome.
        running : str or array-like (n,)
            Numbers, dates (read in days) or a signed distance to a border.
        treatment : str or array-like (n,), optional
            Treatment received: makes the design fuzzy.
        cutoffs : str or array-like (n,), optional
            Every row's own cutoff.
        cluster, sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}
        """
        sample = prepare_running(
            self, X, y, running=running, treatment=treatment, cutoffs=cutoffs, cluster=cluster,
            sample_weight=sample_weight, missing=missing,
        )  # fmt: skip
        bandwidth = self.bandwidth if isinstance(self.bandwidth, str) else _pair(self.bandwidth, "bandwidth")
        bias = None if self.bias_bandwidth is None else _pair(self.bias_bandwidth, "bias_bandwidth")
        design = sample.design(self._setting(sample), bandwidth, bias, self.mass_points)
        design = replace(design, sharp_bandwidth=self.sharp_bandwidth)
        parts = [self._part(sample, design, name, rows) for name, rows in self._groups(sample)]
        self._parts, self._sample = parts, sample
        names = pd.Index([part.name for part in parts], name="estimand")
        self.bandwidths_ = pd.DataFrame([part.run.bandwidths for part in parts], index=names)
        self.effect_ = self._arrange(sample, parts)
        return self

    # -- private -----------------------------------------------------------------------------------------------------

    def check_settings(self) -> None:
        """Check bandwidth and orders too."""
        super().check_settings()
        if isinstance(self.bandwidth, str) and self.bandwidth not in SELECTORS:
            raise CausalArgumentError(
                f"bandwidth={self.bandwidth!r} is not known; use a number, (left, right), or one of {list(SELECTORS)}"
            )
        orders = [v for v in (self.derivative, self.order, self.bias_order) if v is not None]
        whole = all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in orders)
        q = (self.order + 1 if self.bias_order is None else self.bias_order) if whole else 0
        if not whole or not 0 <= self.derivative <= self.order < q <= 8:
            raise CausalArgumentError(
                "orders are whole numbers with derivative <= order < bias_order <= 8; got"
                f" derivative={self.derivative!r}, order={self.order!r}, bias_order={q if whole else self.bias_order!r}"
            )

    def _setting(self, sample: RunningSample) -> LocalPolynomialSetting:
        return LocalPolynomialSetting(
            order=self.order,
            bias_order=self.order + 1 if self.bias_order is None else self.bias_order,
            derivative=self.derivative,
            kernel=self.kernel,
            vce=self.vce,
            matches=self.matches,
            fuzzy=sample.treatment is not None,
            clustered=bool(sample.clusters),
        )

    def _groups(self, sample: RunningSample) -> list[tuple[str, Positions | None]]:
        """Names of the rows of the effect and the rows of the data behind each."""
        effect_in_words = (
            "change of slope" if self.derivative == 1 else "jump" if self.derivative == 0 else "derivative"
        )
        if not self.by_cutoff:
            where = "their own cutoffs" if sample.cutoffs is not None else sample.cutoff_text
            return [(f"{effect_in_words} at {where}", None)]
        if sample.cutoffs is None:
            raise CausalArgumentError("by_cutoff=True needs cutoffs=, the cutoff of every row")
        levels = np.unique(sample.cutoffs)
        return [(f"{effect_in_words} at {v:g}", np.flatnonzero(sample.cutoffs == v)) for v in levels]

    def _part(self, sample: RunningSample, design: Cutoff, name: str, rows: Positions | None) -> Part:
        """Rows with weight, outside the donut and of this cutoff; then the estimate."""
        keep = np.full(len(sample), rows is None)
        if rows is not None:
            keep[rows] = True
        if self.donut > 0:
            keep &= np.abs(design.z) >= self.donut
        if sample.weight is not None:
            keep &= sample.weight > 0
        kept = None if keep.all() else np.flatnonzero(keep)
        design = design if kept is None else design.take(kept)
        _refuse_unworkable(sample, design, name)
        run = design.run()
        if run.estimate.first_stage is not None:
            jump, se = run.estimate.first_stage
            if not abs(jump) > 1.96 * se:
                n = int(design.counts(run.bandwidths)[:, 2].sum())
                raise CausalDataError(
                    [
                        Problem(
                            str(sample.treatment),
                            f"the treatment does not jump at the cutoff ({jump:.3g}, standard error {se:.3g})",
                            n,
                            "without a jump there is nothing to divide by; check cutoff and treatment, or leave the"
                            " treatment out to estimate the jump of the outcome alone",
                        )
                    ]
                )
        return Part(name, kept, design, run)

    def _arrange(self, sample: RunningSample, parts: list[Part]) -> Effect:
        """Estimates, biases and contributions as one Effect."""
        index = pd.Index([part.name for part in parts], name="estimand")
        estimates = pd.Series([part.run.estimate.value for part in parts], index=index, name="estimate")
        effect_in_words = "local effect" if sample.treatment is not None else "effect"
        kind = "change of slope" if self.derivative == 1 else "jump"
        by = f" of {sample.treatment}" if sample.treatment is not None else ""
        few = _few_clusters(sample, parts) if self.checks_data else []
        warned = [*sample.notes, *_without_variation(sample, parts), *few, *self._weak(sample, parts)]
        effect = Effect(
            rows=Estimates(
                estimates,
                _uncertainty(sample, parts),
                bias=np.array([part.run.estimate.bias for part in parts]),
                weightings=checks.pooled_weights(parts) if len(parts) > 1 else {},
            ),
            estimand=f"{effect_in_words}{by} on {sample.outcome} at the cutoff of {sample.running} ({kind})",
            n_obs=len(sample),
            level=self.level,
            assumptions=CONTINUITY if sample.treatment is None else (*CONTINUITY, MONOTONE),
            diagnostics=Checks(self._diagnostics(sample, parts)),
            warnings=tuple(warned),
            std_error_method=self._method(sample),
            population=f"units at the cutoff of {sample.running}",
            facts=self._facts(sample, parts),
        )
        return effect.explained()

    def _method(self, sample: RunningSample) -> str:
        """Where the standard errors come from."""
        if sample.clusters:
            kind = {"hc2": "CR2", "hc3": "CR3"}.get(self.vce, "CR1, each side its own factor")
            residuals = f"residuals summed by {next(iter(sample.clusters))} ({kind})"
        elif self.vce == "nn":
            residuals = f"{self.matches} nearest neighbours"
        else:
            residuals = f"residuals ({self.vce.upper()})"
        return f"robust bias-corrected (Calonico, Cattaneo, Titiunik 2014), {residuals}, normal law"

    def _facts(self, sample: RunningSample, parts: list[Part]) -> Mapping[str, Any]:
        first = parts[0].run.bandwidths
        counts = np.sum([part.design.counts(part.run.bandwidths) for part in parts], axis=0)
        return {
            "outcome": sample.outcome,
            "running": sample.running,
            "cutoff": sample.cutoff_text,
            "cutoff_value": sample.cutoff if sample.cutoffs is None else 0.0,
            "treatment": sample.treatment,
            "h_left": float(first.h_left),
            "h_right": float(first.h_right),
            "b_left": float(first.b_left),
            "b_right": float(first.b_right),
            "n_left": int(counts[0, 0]),
            "n_right": int(counts[1, 0]),
            "n_effective_left": int(counts[0, 2]),
            "n_effective_right": int(counts[1, 2]),
            "n_dropped": sample.n_dropped,
            "n_left_out": len(sample) - sum(len(part.design) for part in parts),
        }

    def _weak(self, sample: RunningSample, parts: list[Part]) -> list[str]:
        """Warn of a jump of the treatment that is small beside its noise, and note one that has none."""
        if sample.treatment is None:
            return []
        fuzzy = [part for part in parts if not checks.is_sharp(part)]
        if not fuzzy:
            every = f"{sample.treatment} is the same for every row of a side within the bandwidth"
            return [f"{every}: the design is sharp, and treatment= sets its unit only"]
        stages = [p.run.estimate.first_stage for p in fuzzy if p.run.estimate.first_stage is not None]
        least = min(((jump / se) ** 2 for jump, se in stages), default=np.inf)
        if least >= _WEAK:
            return []
        text = f"{sample.treatment} jumps weakly at the cutoff (F {least:.1f}, under 10): the interval may be far off"
        warn(text, AssumptionWarning)
        return [text]

    def _diagnostics(self, sample: RunningSample, parts: list[Part]) -> dict[str, Any]:
        checks_by_name: dict[str, Any] = {
            "inference": checks.inference(parts, self.level),
            "bandwidths": checks.bandwidth_table(parts),
            "mass_points": partial(checks.mass_points, parts),
        }
        if sample.treatment is not None:
            checks_by_name["first_stage"] = checks.first_stage(parts)
        if len(parts) == 1:
            checks_by_name |= checks.discontinuity_checks(sample, parts[0], self.level)
        return checks_by_name


def _positive(v: Any) -> bool:
    return isinstance(v, int | float | np.number) and not isinstance(v, bool) and 0 < float(v) < np.inf


def _pair(value: object, name: str) -> tuple[float, float]:
    """One positive number for both sides, or two."""
    pair = (value, value) if np.isscalar(value) else tuple(value) if isinstance(value, list | tuple) else ()
    good = len(pair) == 2 and all(_positive(v) for v in pair)
    if not good:
        raise CausalArgumentError(f"{name} must be a positive number, or two (left, right); got {value!r}")
    return float(pair[0]), float(pair[1])


def _refuse_unworkable(sample: RunningSample, design: Cutoff, name: str) -> None:
    """Refuse an empty side, and running variables with too few values for polynomials."""
    left, right = design.sides
    low, high = sample.range_text(design)
    if not (len(left) and len(right)):
        raise CausalDataError(
            [
                Problem(
                    sample.running,
                    f"all rows are on one side ({name}: {len(left):,} left, {len(right):,} right; it runs from {low} to"
                    f" {high})",
                    len(design),
                    "give a cutoff= inside the data, or a smaller donut=",
                )
            ]
        )
    chosen = isinstance(design.bandwidth, str)
    need = design.setting.bias_order + (3 if chosen else 1)
    places = (len(left.places), len(right.places))
    if min(places) < need:
        raise CausalDataError(
            [
                Problem(
                    sample.running,
                    f"has {sum(places):,} distinct values ({places[0]} left, {places[1]} right of the cutoff), and"
                    f" {'choosing a bandwidth' if chosen else 'the polynomials'} of order {design.setting.order} takes"
                    f" {need} on each side",
                    len(design),
                    "use LocalRandomization, which compares values next to the cutoff"
                    + (", or give bandwidth= a number" if chosen else ", or lower the order"),
                )
            ]
        )


def _without_variation(sample: RunningSample, parts: list[Part]) -> list[str]:
    """A note on covariates that adjust nothing near the cutoff."""
    unused = sorted({j for part in parts for j in np.flatnonzero((part.run.estimate.gamma == 0).all(axis=1))})
    if not unused:
        return []
    listed = ", ".join(sample.names[j] for j in unused[:5]) + (", ..." if len(unused) > 5 else "")
    text = f"{len(unused)} of {len(sample.names)} covariates were left out: within the bandwidth they do not vary on"
    return [f"{text} either side, or other covariates explain them there ({listed})"]


def _few_clusters(sample: RunningSample, parts: list[Part]) -> list[str]:
    """What is to be said of few or unequal clusters, of the rows used on either side of each cutoff."""
    if not sample.clusters:
        return []
    name, labels = next(iter(sample.clusters.items()))
    least: tuple[str, int, float] = (name, 0, np.inf)
    for part in parts:
        used = [
            side.rows[: len(own)] for side, own in zip(part.design.sides, part.run.estimate.contributions, strict=True)
        ]
        side = np.repeat([0, 1], [len(rows) for rows in used])
        at = np.concatenate(used)
        counted = effective_clusters(labels[at if part.kept is None else part.kept[at]], codes=side)
        least = min(least, (name, *counted), key=lambda way: way[2])
    text = clusters_text([least], remedy="vce='hc3' (CR3), or one row a cluster, serve better")
    if text is None:
        return []
    warn(text, StandardErrorWarning)
    return [text]


def _uncertainty(sample: RunningSample, parts: list[Part]) -> Influence:
    """Contributions of every row to the bias-corrected limits at each cutoff."""
    k, m = len(parts[0].run.estimate.loadings), len(parts)
    contributions = np.zeros((len(sample), k * m))
    loadings, meat, values, names = np.zeros((m, k * m)), np.zeros((k * m, k * m)), np.zeros(k * m), []
    columns = [sample.outcome] if sample.treatment is None else [sample.outcome, sample.treatment]
    for j, part in enumerate(parts):
        block, e = slice(j * k, (j + 1) * k), part.run.estimate
        loadings[j, block], meat[block, block], values[block] = e.loadings, e.meat, e.limits
        for s, (side, own) in enumerate(zip(part.design.sides, e.contributions, strict=True)):
            rows = side.rows[: len(own)]
            contributions[rows if part.kept is None else part.kept[rows], j * k + s : (j + 1) * k : 2] = own
        suffix = "" if m == 1 else f", {part.name}"
        names += [f"{name} | {side}{suffix}" for name in columns for side in ("left", "right")]
    u = Influence.from_contributions(
        values,
        contributions,
        sample.rows,
        names=pd.Index(names, name="limit at the cutoff"),
        loadings=loadings,
        components=(Component(meat),),
        clusters=sample.clusters,
    )
    return replace(u, clustering=tuple(sample.clusters.values())) if sample.clusters else u
