"""What a regression discontinuity rests on, checked: placebo cutoffs, covariates, bandwidths, donuts, mass points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pandas_causal.discontinuity.bandwidths import Bandwidths
from pandas_causal.discontinuity.binned_means import binned_means, global_polynomial
from pandas_causal.discontinuity.cutoff import Cutoff, Part
from pandas_causal.discontinuity.density import density_curve, density_test
from pandas_causal.effect.check import Check
from pandas_causal.effect.estimates import Weighting
from pandas_causal.errors import CausalError
from pandas_causal.inference.reference import Student
from pandas_causal.kernels.arrays import Floats

if TYPE_CHECKING:
    from pandas_causal.discontinuity.running_sample import RunningSample

__all__ = [
    "bandwidth_sensitivity",
    "bandwidth_table",
    "covariate_continuity",
    "discontinuity_checks",
    "donut_sensitivity",
    "first_stage",
    "inference",
    "is_sharp",
    "local_fits",
    "mass_points",
    "outcome_jump",
    "placebo_cutoff_table",
    "pooled_weights",
    "power_at_cutoff",
]

_RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
_DONUTS = (0.0, 0.02, 0.05, 0.1, 0.2)
_SHARES = (0.25, 0.5, 0.75)


def _row(estimate: float, se: float, level: float) -> list[float]:
    """Estimate, standard error, statistic, p-value and interval under the normal law."""
    law = Student()
    infinite = np.array([np.inf])
    z = estimate / se if se > 0 else np.nan
    width = float(law.critical(level, infinite)[0]) * se
    p = float(law.p_value(np.array([z]), infinite)[0]) if np.isfinite(z) else np.nan
    return [estimate, se, z, p, estimate - width, estimate + width]


_COLUMNS = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"]


def inference(parts: Sequence[Part], level: float) -> Check:
    """The three rows people know: conventional, bias-corrected, and bias-corrected with the robust standard error."""
    rows, index = [], []
    for part in parts:
        e = part.run.estimate
        centre = e.value - e.bias
        rows += [_row(e.value, e.std_error, level), _row(centre, e.std_error, level), _row(centre, e.robust, level)]
        index += [(part.name, how) for how in ("conventional", "bias-corrected", "robust")]
    table = pd.DataFrame(
        rows, columns=_COLUMNS, index=pd.MultiIndex.from_tuples(index, names=["estimand", "inference"])
    )
    if len(parts) == 1:
        table = table.droplevel(0)
    first = parts[0].run.estimate
    plain = f"conventional {first.value:.4g} (SE {first.std_error:.4g})"
    text = f"{plain}, bias {first.bias:.3g}, robust SE {first.robust:.4g}"
    return Check(None, table, text)


def bandwidth_table(parts: Sequence[Part]) -> Check:
    """Bandwidths and the rows within them, by cutoff and side."""
    rows, index = [], []
    for part in parts:
        counts, b = part.design.counts(part.run.bandwidths), part.run.bandwidths
        for s, side in enumerate(("left", "right")):
            rows.append([b[s], b[2 + s], *counts[s, [0, 2, 3]]])
            index.append((part.name, side))
    columns = ["h", "b", "n", "n_within_h", "n_within_b"]
    table = pd.DataFrame(rows, columns=columns, index=pd.MultiIndex.from_tuples(index, names=["estimand", "side"]))
    table = table.astype(dict.fromkeys(columns[2:], int))
    if len(parts) == 1:
        table = table.droplevel(0)
    h = " / ".join(f"{v:.4g}" for v in dict.fromkeys(table["h"].iloc[:2]))
    return Check(
        None, table, f"h {h}: {table['n_within_h'].iloc[0]:,} rows left, {table['n_within_h'].iloc[1]:,} right"
    )


def mass_points(parts: Sequence[Part]) -> Check:
    """Distinct values of the running variable; failed when a fifth of the rows of a side repeat one."""
    rows = [[*part.design.counts(part.run.bandwidths)[s, :2]] for part in parts for s in (0, 1)]
    index = pd.MultiIndex.from_tuples([(p.name, side) for p in parts for side in ("left", "right")])
    table = pd.DataFrame(rows, columns=["n", "distinct"], index=index.set_names(["estimand", "side"]))
    table["share_repeated"] = 1 - table["distinct"] / table["n"]
    worst = float(table["share_repeated"].max())
    if len(parts) == 1:
        table = table.droplevel(0)
    return Check(worst < 0.2, table, f"{100 * worst:.0f}% of the rows of a side repeat a value of the running variable")


def first_stage(parts: Sequence[Part]) -> Check:
    """Jump of the treatment, bias-corrected, with its robust standard error; failed when F is under 10.

    Where the treatment is the same for all rows of a side within the bandwidths the jump has no error: the design is
    sharp.
    """
    rows, sharp = [], [is_sharp(part) for part in parts]
    for part, exact in zip(parts, sharp, strict=True):
        stage = part.run.estimate.first_stage
        if stage is not None:
            jump, se = stage
            rows.append([jump, 0.0, np.inf, 0.0, jump, jump] if exact else _row(jump, se, 0.95))
    table = pd.DataFrame(rows, columns=_COLUMNS, index=pd.Index([p.name for p in parts], name="estimand"))
    jump_text = f"jump of the treatment {table['estimate'].iloc[0]:.3g}"
    if all(sharp):
        return Check(True, table, f"{jump_text}, the same for every row within the bandwidth: the design is sharp")
    least = float(np.square(table["statistic"]).min())
    return Check(least >= 10, table, f"{jump_text}, smallest F {least:.1f}")


def outcome_jump(part: Part, level: float) -> Check:
    """Jump of the outcome of a fuzzy design, bias-corrected, with its robust standard error."""
    e = part.run.estimate
    jump, se = float(e.limits[1] - e.limits[0]), float(np.sqrt(e.meat[0, 0] + e.meat[1, 1]))
    table = pd.DataFrame([_row(jump, se, level)], columns=_COLUMNS, index=pd.Index([part.name], name="estimand"))
    return Check(None, table, f"jump of the outcome {jump:.3g}, robust SE {se:.3g}")


def local_fits(part: Part, column: int = 0, points: int = 60) -> Check:
    """The polynomials within the bandwidths whose distance at the cutoff is the conventional estimate, on a grid.

    Covariates stand at their means within the bandwidths.

    Parameters
    ----------
    part : Part
    column : {0, 1}
        Outcome, or the treatment of a fuzzy design.
    points : int
        Of the grid on each side.
    """
    setting, e, h = part.design.setting, part.run.estimate, part.run.bandwidths[:2]
    first = 1 + int(setting.fuzzy)
    adjust = np.vstack([np.eye(first), -e.gamma])[:, column]
    windows = [
        side.window(width, setting.kernel, setting.order) for side, width in zip(part.design.sides, h, strict=True)
    ]
    near = np.concatenate([w.side.columns[: w.n, first:] for w in windows])
    shift = float(near.mean(axis=0) @ e.gamma[:, column]) if near.shape[1] else 0.0
    parts = []
    for window, name, sign, width in zip(windows, ("left", "right"), (-1.0, 1.0), h, strict=True):
        distance = np.linspace(0.0, min(width, window.side.reach), points)
        powers = [float(window.coefficient(setting.order, k) @ adjust) for k in range(setting.order + 1)]
        fit = np.polynomial.polynomial.polyval(distance, powers) + shift
        parts.append(pd.DataFrame({"side": name, "x": sign * distance, "fit": fit}))
    text = f"local polynomials of order {setting.order} ({setting.kernel}) within {h[0]:.4g} left and {h[1]:.4g} right"
    return Check(None, pd.concat(parts, ignore_index=True), text)


def is_sharp(part: Part) -> bool:
    """Whether a fuzzy design's treatment is constant on each side of the cutoff, among the rows within h and b."""
    b, z, treatment = part.run.bandwidths, part.design.z, part.design.columns[:, 1]
    left = treatment[(z < 0) & (z >= -max(b.h_left, b.b_left))]
    right = treatment[(z >= 0) & (z <= max(b.h_right, b.b_right))]
    return bool(np.ptp(left) == 0 and np.ptp(right) == 0)


def pooled_weights(parts: Sequence[Part]) -> dict[str, Weighting]:
    """Rows within the bandwidth as weights: the average over cutoffs that the pooled, normalised estimate targets.

    References
    ----------
    Cattaneo, Keele, Titiunik and Vazquez-Bare (2016), Journal of Politics, eq. (3).
    """
    n = np.array([part.design.counts(part.run.bandwidths)[:, 2].sum() for part in parts], dtype=float)
    return {"pooled": Weighting(n)}


def discontinuity_checks(sample: RunningSample, part: Part, level: float) -> dict[str, Callable[[], Check]]:
    """Checks by name, computed when they are first read."""
    checks: dict[str, Callable[[], Check]] = {
        "density": partial(density_test, part.design.z),
        "placebo_cutoffs": partial(placebo_cutoff_table, part, sample.cutoff),
        "bandwidth_sensitivity": partial(bandwidth_sensitivity, part, level),
        "donut": partial(donut_sensitivity, part, level),
        "power": partial(power_at_cutoff, part),
    }
    if sample.X.shape[1]:
        kept = sample.X if part.kept is None else sample.X[part.kept]
        checks["covariates"] = partial(covariate_continuity, part, kept, sample.names)
    y = np.ascontiguousarray(part.design.columns[:, 0])
    checks["bins"] = partial(binned_means, part.design.z, y, level=level)
    checks["local_fit"] = partial(local_fits, part)
    if part.design.setting.fuzzy:
        took = np.ascontiguousarray(part.design.columns[:, 1])
        checks["first_stage_bins"] = partial(binned_means, part.design.z, took, level=level)
        checks["first_stage_fit"] = partial(local_fits, part, 1)
        checks["reduced_form"] = partial(outcome_jump, part, level)
    checks["polynomial"] = partial(global_polynomial, part.design.z, y)
    checks["density_curve"] = partial(_density_picture, part.design.z, level)
    return {name: partial(_guarded, check) for name, check in checks.items()}


def _density_picture(z: Floats, level: float) -> Check:
    """Density on a grid within the test's bandwidths."""
    h = density_test(z).table["h"].iloc[:2]
    curve = density_curve(z, h=(float(h.iloc[0]), float(h.iloc[1])), level=level)
    return Check(None, curve, f"density within {h.iloc[0]:.4g} left and {h.iloc[1]:.4g} right")


def _guarded(check: Callable[[], Check]) -> Check:
    """A check that cannot be computed says why."""
    try:
        return check()
    except CausalError as error:
        return Check(None, pd.DataFrame(), f"could not be computed: {error}")


def _bias_corrected(design: Cutoff, level: float = 0.95) -> list[float]:
    """Bias-corrected estimate with robust inference, bandwidth and rows; NaN where it cannot be computed."""
    try:
        run = design.run()
    except CausalError:
        return [np.nan] * 8
    e = run.estimate
    n = int(design.counts(run.bandwidths)[:, 2].sum())
    return [*_row(e.value - e.bias, e.robust, level), run.bandwidths.h_left, n]


def covariate_continuity(part: Part, X: Floats, names: Sequence[str]) -> Check:
    """Jump of every covariate at the cutoff, its bandwidth its own; failed when one is significant (Bonferroni)."""
    design = replace(part.design, bandwidth=_selector(part.design), bias_bandwidth=None)
    rows = [_bias_corrected(design.with_outcome(np.ascontiguousarray(column))) for column in X.T]
    table = pd.DataFrame(rows, columns=[*_COLUMNS, "h", "n"], index=pd.Index(list(names), name="covariate"))
    tested = table["p_value"].dropna()
    if not len(tested):
        return Check(None, table, f"none of {len(table)} covariates has a jump that can be tested")
    least = float(tested.min())
    passed = bool(least * len(tested) >= 0.05)
    return Check(passed, table, f"smallest p-value of {len(tested)} covariates {least:.3f} ({tested.idxmin()})")


def _selector(design: Cutoff) -> str:
    return design.bandwidth if isinstance(design.bandwidth, str) else "mserd"


def placebo_cutoff_table(part: Part, cutoff: float = 0.0, at: Sequence[float] | None = None) -> Check:
    """Jumps at cutoffs where none is, each from the rows of one side; failed when one is significant (Bonferroni).

    Parameters
    ----------
    part : Part
    cutoff : float
        Added to the distances in the table.
    at : sequence of float, optional
        Cutoffs, in units of the running variable; the quartiles of each side by default.
    """
    design = part.design
    if design.setting.fuzzy:  # the outcome must not jump where treatment does not
        keep = np.arange(design.columns.shape[1]) != 1
        design = replace(design, columns=design.columns[:, keep], setting=replace(design.setting, fuzzy=False))
    design = replace(design, bandwidth=_selector(design), bias_bandwidth=None)
    left, right = design.z[design.z < 0], design.z[design.z >= 0]
    if at is None:
        places = [*np.quantile(left, _SHARES), *np.quantile(right, _SHARES)]
    else:
        places = [value - cutoff for value in at]
    rows = []
    for place in places:
        same = (design.z < 0) if place < 0 else (design.z >= 0)
        rows.append(_bias_corrected(design.take(same).shifted(float(place))))
    index = pd.Index([place + cutoff for place in places], name="cutoff")
    table = pd.DataFrame(rows, columns=[*_COLUMNS, "h", "n"], index=index)
    least, tried = float(table["p_value"].min()), int(table["p_value"].notna().sum())
    if tried == 0:
        return Check(None, table, "no placebo cutoff leaves enough rows on both of its sides")
    passed = bool(least * tried >= 0.05)
    return Check(passed, table, f"smallest p-value at {tried} placebo cutoffs {least:.3f}")


def bandwidth_sensitivity(part: Part, level: float = 0.95, ratios: Sequence[float] = _RATIOS) -> Check:
    """The bias-corrected estimate at multiples of the bandwidths; failed when an interval excludes the one used."""
    b = part.run.bandwidths
    rows = [_bias_corrected(_at(part.design, b, ratio), level) for ratio in ratios]
    table = pd.DataFrame(rows, columns=[*_COLUMNS, "h", "n"], index=pd.Index(list(ratios), name="ratio"))
    return _stable(table, part, "bandwidths")


def donut_sensitivity(part: Part, level: float = 0.95, shares: Sequence[float] = _DONUTS) -> Check:
    """The estimate without the rows nearest to the cutoff, at the same bandwidths."""
    b = part.run.bandwidths
    rows, radii = [], []
    for share in shares:
        radius = share * min(b.h_left, b.h_right)
        design = part.design.take(np.abs(part.design.z) >= radius) if radius > 0 else part.design
        rows.append(_bias_corrected(_at(design, b), level))
        radii.append(radius)
    table = pd.DataFrame(rows, columns=[*_COLUMNS, "h", "n"], index=pd.Index(radii, name="donut"))
    return _stable(table, part, "donuts")


def _at(design: Cutoff, b: Bandwidths, ratio: float = 1.0) -> Cutoff:
    return design.at((b.h_left * ratio, b.h_right * ratio), (b.b_left * ratio, b.b_right * ratio))


def _stable(table: pd.DataFrame, part: Part, setting: str) -> Check:
    centre = part.run.estimate.value - part.run.estimate.bias
    done = table.dropna()
    if not len(done):
        return Check(None, table, f"none of {len(table)} {setting} leaves enough rows on both sides")
    inside = bool(((done["conf_low"] <= centre) & (done["conf_high"] >= centre)).all())
    span = f"{done['estimate'].min():.3g} to {done['estimate'].max():.3g}"
    return Check(inside, table, f"bias-corrected estimate {span} over {len(done)} {setting}")


def power_at_cutoff(part: Part, effects: Sequence[float] | None = None, alpha: float = 0.05) -> Check:
    """Power of the robust test against effects of these sizes, by default 0.5 to 4 robust standard errors.

    References
    ----------
    Cattaneo, Titiunik and Vazquez-Bare (2019), Stata Journal 19, "Power calculations for regression-discontinuity
    designs", eq. (2).
    """
    from scipy.stats import norm

    se = part.run.estimate.robust
    sizes = np.asarray([0.5, 1, 2, 2.8, 3, 4] if effects is None else effects, dtype=float)
    sizes = sizes * se if effects is None else sizes
    z = float(Student().critical(1 - alpha, np.array([np.inf]))[0])
    chance = norm.sf(z - sizes / se) + norm.cdf(-z - sizes / se)
    table = pd.DataFrame({"power": chance}, index=pd.Index(sizes, name="effect"))
    least = (z + float(norm.ppf(0.8))) * se
    return Check(None, table, f"an effect of {least:.3g} would be found with 80% power")
