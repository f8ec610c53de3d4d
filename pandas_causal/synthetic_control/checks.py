"""Checks of a synthetic comparison: fit before treatment, gaps, weights, placebos, donors left out."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.synthetic_control.comparison import backdated, rmspe
from pandas_causal.synthetic_control.inference import Placebos, SyntheticComparison
from pandas_causal.synthetic_control.study import SyntheticStudy, period_text

__all__ = [
    "gap",
    "in_time_placebo",
    "leave_one_out",
    "poor_fit",
    "pre_fit",
    "pre_fit_table",
    "synthetic_checks",
    "weight_checks",
]

_FAR, _NOISY = 0.25, 2.0
_MAX_DONORS = 25


def synthetic_checks(
    comparison: SyntheticComparison, study: SyntheticStudy, placebos: Placebos | None
) -> dict[str, Any]:
    """Checks by name; those that refit are computed when they are read.

    Parameters
    ----------
    comparison : SyntheticComparison
    study : SyntheticStudy
    placebos : Placebos or None
    """
    checks: dict[str, Any] = {"pre_fit": pre_fit(comparison, study), "gap": gap(comparison, study)}
    if comparison.runs[0].weights is not None:
        checks["unit_weights"] = weight_checks(comparison, study)
    if comparison.runs[0].time_weights is not None:
        checks["time_weights"] = _time_weights(comparison, study)
    if placebos is not None:
        checks["rmspe_ratio"] = partial(_ratios, comparison, study, placebos)
        checks["placebo"] = partial(_placebo_paths, comparison, study, placebos)
    checks["in_time_placebo"] = partial(in_time_placebo, comparison, study)
    if comparison.runs[0].weights is not None and len(comparison.donors) > 2:
        checks["leave_one_out"] = partial(leave_one_out, comparison, study)
    return checks


def pre_fit_table(comparison: SyntheticComparison, study: SyntheticStudy) -> pd.DataFrame:
    """Root mean squared gap before treatment, block by block, beside a scale that tells good from poor.

    Where levels are matched, the scale is the spread of the donors' outcomes before treatment. Where an intercept takes
    levels out, it is what noise alone would leave: the noise of first differences, in one treated path and in the
    weighted donors.
    """
    rows = []
    for block, run in zip(comparison.blocks, comparison.runs, strict=True):
        before = comparison.Y[comparison.donors][:, : block.start]
        if comparison.method.demeaned:
            shares = 0.0 if run.weights is None else float(np.square(run.weights).sum())
            steps = np.diff(before, axis=1)
            noise = float(np.nanstd(steps)) / np.sqrt(2) if steps.size else 0.0
            scale = noise * np.sqrt(1 / block.size + shares)
        else:
            scale = float(np.sqrt(np.nanmean(np.square(before - np.nanmean(before, axis=0)))))
        error = float(rmspe(run.gaps[0, : block.start], comparison.method.demeaned))
        ratio = error / scale if scale > 0 else (np.inf if error > 0 else 0.0)
        rows.append([block.size, block.start, error, scale, ratio])
    index = pd.Index(study.block_names(), name="treated")
    return pd.DataFrame(rows, columns=["units", "periods", "rmspe", "scale", "ratio"], index=index)


def poor_fit(demeaned: bool) -> tuple[float, str]:
    """Ratio of gap to scale from which a fit is poor, and what the scale is."""
    return (_NOISY, "of what noise leaves") if demeaned else (_FAR, "of the donors' spread")


def pre_fit(comparison: SyntheticComparison, study: SyntheticStudy) -> Check:
    """Whether the gap before treatment is small beside the donors' spread, or beside noise where levels may differ."""
    table = pre_fit_table(comparison, study)
    limit, scale = poor_fit(comparison.method.demeaned)
    error, worst = float(comparison.ratio_parts[1]), float(table["ratio"].max())
    beside = f"{worst:.0%} {scale}" if np.isfinite(worst) else "and donors do not vary"
    text = f"gap before treatment {error:.3g} (root mean square), {beside}"
    return Check(worst <= limit, table, text + (" at worst" if len(table) > 1 else ""))


def gap(comparison: SyntheticComparison, study: SyntheticStudy) -> Check:
    """Actual and synthetic outcome, period by period; periods since treatment where it starts at several."""
    n = study.panel.n_periods
    starts = [b.start for b in comparison.blocks]
    single = len(set(starts)) == 1
    first = max(starts)
    total, actual, counts = np.zeros(n + first), np.zeros(n + first), np.zeros(n + first)
    for block, path in zip(comparison.blocks, comparison.gaps, strict=True):
        at = slice(first - block.start, first - block.start + n)
        total[at] += block.size * path
        actual[at] += comparison.Y[block.rows].sum(axis=0)
        counts[at] += block.size
    some = counts > 0
    labels = study.panel.periods if single else pd.RangeIndex(-first, n)[some]
    index = pd.Index(labels, name=study.panel.axis.name if single else "event")
    actual, difference = actual[some] / counts[some], total[some] / counts[some]
    table = pd.DataFrame(
        {
            "actual": actual,
            "synthetic": actual - difference,
            "gap": difference,
            "treated": np.arange(len(index)) >= first,
            "units": counts[some].astype(int),
        },
        index=index,
    )
    last = (
        f"{difference[-1]:.3g} in {period_text(index[-1])}"
        if single
        else f"{difference[-1]:.3g}, {index[-1]} periods in"
    )
    return Check(None, table, f"last gap {last}")


def weight_checks(comparison: SyntheticComparison, study: SyntheticStudy) -> Check:
    """Unit weights of the donors, largest first."""
    columns = [run.weights[0, comparison.donors] for run in comparison.runs if run.weights is not None]
    index = pd.Index(study.labels[comparison.donors], name=study.labels.name)
    table = pd.DataFrame(np.stack(columns, axis=1), index=index, columns=study.block_names())
    order = np.argsort(-np.abs(table.to_numpy()).max(axis=1), kind="stable")
    table = table.iloc[order]
    carry = int((table.abs().to_numpy().max(axis=1) > 1e-6).sum())
    top = ", ".join(f"{k} {v:.3f}" for k, v in table.iloc[:3, 0].items()) if table.shape[1] == 1 else ""
    return Check(None, table, f"{carry:,} of {len(table):,} donors carry weight" + (f": {top}" if top else ""))


def _time_weights(comparison: SyntheticComparison, study: SyntheticStudy) -> Check:
    """Weights of the periods of the baseline."""
    periods = study.panel.periods
    parts = {
        name: pd.Series(run.time_weights[0], index=periods[: b.start])
        for name, b, run in zip(study.block_names(), comparison.blocks, comparison.runs, strict=True)
        if run.time_weights is not None
    }
    table = pd.DataFrame(parts)
    table.index.name = study.panel.axis.name
    carry = int((table.max(axis=1) > 1e-6).sum())
    return Check(None, table, f"{carry:,} of {len(table):,} periods before treatment carry weight")


def _placebo_index(study: SyntheticStudy, placebos: Placebos, donors: Any) -> pd.Index:
    if placebos.drawn.shape[1] == 1:
        return pd.Index(study.labels[donors][placebos.drawn[:, 0]], name=study.labels.name)
    return pd.RangeIndex(len(placebos.drawn), name="draw")


def _placebo_paths(comparison: SyntheticComparison, study: SyntheticStudy, placebos: Placebos) -> Check:
    """Gaps of donors that play the treated, one row each; the first row holds the actual gaps."""
    table = gap(comparison, study).table
    single = len({b.start for b in comparison.blocks}) == 1
    if single:
        sizes = np.array([b.size for b in comparison.blocks], dtype=float)
        paths = sum(s * g for s, g in zip(sizes, placebos.gaps, strict=True)) / sizes.sum()
        treated, columns = table["gap"].to_numpy(), table.index
    else:
        paths = comparison.layout.combine(placebos.gaps)
        treated, columns = comparison.effects, pd.RangeIndex(len(comparison.effects), name="event")
    index = pd.Index(["(treated)", *_placebo_index(study, placebos, comparison.donors)], name="played by")
    out = pd.DataFrame(np.vstack([treated, paths]), index=index, columns=columns)
    averages = np.abs(comparison.average(comparison.layout.combine(placebos.gaps)))
    actual = abs(float(comparison.average(comparison.effects)))
    reach = int((averages >= actual * (1 - 1e-12)).sum())
    p = (1 + reach) / (len(averages) + 1)
    return Check(None, out, f"{reach} of {len(averages)} placebo effects are as large, p {p:.3f}")


def _ratios(comparison: SyntheticComparison, study: SyntheticStudy, placebos: Placebos) -> Check:
    """Root mean squared gap after treatment beside before, for the treated and for donors that play them."""
    after, before = comparison.layout.rmspe_ratio(placebos.gaps, comparison.method.demeaned)
    own_after, own_before = comparison.ratio_parts
    index = pd.Index(["(treated)", *_placebo_index(study, placebos, comparison.donors)], name="played by")
    table = pd.DataFrame({"after": np.r_[own_after, after], "before": np.r_[own_before, before]}, index=index)
    with np.errstate(divide="ignore", invalid="ignore"):
        table["ratio"] = table["after"] / table["before"]
    actual = float(table["ratio"].iloc[0])
    p = float((table["ratio"] >= actual * (1 - 1e-12)).mean())
    return Check(
        None, table, f"gap after treatment {actual:.3g} times the gap before, p {p:.3f} among {len(after)} placebos"
    )


def leave_one_out(comparison: SyntheticComparison, study: SyntheticStudy) -> Check:
    """Average effect without one donor at a time, those with most weight first (25 at most)."""
    weights = [run.weights[0, comparison.donors] for run in comparison.runs if run.weights is not None]
    largest = np.abs(np.stack(weights)).max(axis=0)
    order = np.argsort(-largest, kind="stable")
    order = order[largest[order] > 1e-6][:_MAX_DONORS]
    actual = float(comparison.average(comparison.effects))
    rows = []
    for at in order:
        donors = np.delete(comparison.donors, at)
        runs = comparison.method.actual(comparison.Y, comparison.blocks, donors)
        gaps = [run.gaps[0] for run in runs]
        before = float(comparison.layout.rmspe_ratio(gaps, comparison.method.demeaned)[1])
        rows.append([float(comparison.average(comparison.layout.combine(gaps))), before, float(largest[at])])
    index = pd.Index(study.labels[comparison.donors][order], name="without")
    table = pd.DataFrame(rows, columns=["estimate", "pre_rmspe", "weight"], index=index)
    low, high = table["estimate"].min(), table["estimate"].max()
    passed = bool(low * actual > 0 and high * actual > 0)
    text = f"average effect {low:.3g} to {high:.3g} without one donor each ({actual:.3g} with all)"
    return Check(passed, table, text)


def in_time_placebo(comparison: SyntheticComparison, study: SyntheticStudy) -> Check:
    """Average effect of a treatment pretended to start earlier, periods from the actual start on left out."""
    shortest = min(b.start for b in comparison.blocks)
    shifts = sorted({k for k in (shortest // 4, shortest // 3, shortest // 2) if k >= 1 and shortest - k >= 2})
    rows = []
    for shift in shifts:
        effects, gaps = backdated(comparison.method, comparison.Y, comparison.blocks, comparison.donors, shift)
        before = np.mean([rmspe(g[:-shift], comparison.method.demeaned) for g in gaps])
        rows.append([float(effects.mean()), float(before), shift])
    index = pd.Index([study.panel.periods[shortest - k] for k in shifts], name="pretended start")
    if len({b.start for b in comparison.blocks}) > 1:
        index = pd.Index([-k for k in shifts], name="pretended start")
    table = pd.DataFrame(rows, columns=["estimate", "pre_rmspe", "periods"], index=index)
    actual = float(comparison.average(comparison.effects))
    if not rows:
        return Check(None, table, f"{shortest} periods before treatment are too few to pretend an earlier start")
    largest = float(table["estimate"].abs().max())
    text = f"largest effect of an earlier pretended start {largest:.3g} (actual {actual:.3g})"
    return Check(largest <= abs(actual) / 2, table, text)
