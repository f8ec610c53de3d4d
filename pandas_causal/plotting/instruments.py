"""Pictures of designs with instruments: first stage, reduced form, tests inverted, exclusion that nearly holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalError
from pandas_causal.plotting.canvas import axes, ink, number_format, require, tidy_up
from pandas_causal.plotting.colours import BLUE, GREY, ORANGE, VERMILLION
from pandas_causal.plotting.discontinuity import draw_first_stage
from pandas_causal.plotting.picture import Picture, PlottedEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PICTURES", "draw_anderson_rubin", "draw_binned_instrument", "draw_plausible_exogeneity"]

_TESTS = (("ar", "Anderson-Rubin", BLUE), ("clr", "conditional likelihood ratio", ORANGE), ("k", "K", GREY))


def draw_binned_instrument(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw means of treatment or outcome by bins of the instrument, and the regression's line.

    Parameters
    ----------
    table : DataFrame
        ``effect.diagnostics["first_stage_bins"].table`` or that of "reduced_form_bins": instrument, mean, std_error,
        fit. Bars are 1.96 standard errors of each mean.
    ax : matplotlib Axes, optional
    xlabel, ylabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    source = 'effect.diagnostics["first_stage_bins"].table'
    require(table, ("instrument", "mean", "std_error", "fit"), source)
    ax = axes(ax, 6.8, 4.0)
    half = 1.96 * table["std_error"]
    ax.vlines(table["instrument"], table["mean"] - half, table["mean"] + half, color=BLUE, linewidth=1.2, zorder=1)
    ax.plot(table["instrument"], table["mean"], "o", markersize=5, color=BLUE, zorder=2)
    line = table.sort_values("instrument")
    ax.plot(line["instrument"], line["fit"], color=ink(ax), linewidth=1.5, zorder=3)
    _finish(ax, xlabel or "instrument", ylabel or "mean by bin", title)
    return ax


def draw_anderson_rubin(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    level: float = 0.95,
    estimate: float | None = None,
    xlabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw p-values of the tests over coefficients; pieces of the Anderson-Rubin set are shaded.

    Parameters
    ----------
    table : DataFrame
        ``effect.diagnostics["anderson_rubin"].table``: coefficient, ar, and clr and k where there is one treatment.
    ax : matplotlib Axes, optional
    level : float
    estimate : float, optional
    xlabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, ("coefficient", "ar"), 'effect.diagnostics["anderson_rubin"].table')
    ax = axes(ax, 6.8, 3.8)
    x = table["coefficient"].to_numpy()
    accepted = table["ar"].to_numpy() > 1 - level
    ax.fill_between(x, 0, 1, where=accepted.tolist(), color=BLUE, alpha=0.12, linewidth=0, step="mid")
    ax.axhline(1 - level, color=GREY, linewidth=1, linestyle="--", zorder=0)
    for column, label, colour in _TESTS:
        if column in table.columns:
            ax.plot(x, table[column], color=colour, linewidth=1.8 if column == "ar" else 1.2, label=label)
    if estimate is not None:
        ax.axvline(estimate, color=VERMILLION, linewidth=1, zorder=0)
    ax.set_ylim(0, 1.02)
    ax.legend(frameon=False, fontsize="small")
    _finish(ax, xlabel or "coefficient", "p-value", title)
    return ax


def draw_plausible_exogeneity(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the band of intervals over the strength of the instruments' direct effect, of the first treatment.

    Parameters
    ----------
    table : DataFrame
        Of the check that ``plausible_exogeneity`` of a fitted :class:`InstrumentalVariables` returns: conf_low,
        conf_high, direct, by treatment and share.
    ax : matplotlib Axes, optional
    xlabel, ylabel, title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    require(table, ("conf_low", "conf_high", "direct"), "estimator.plausible_exogeneity(...).table")
    ax = axes(ax, 6.8, 3.6)
    name = table.index.get_level_values(0)[0]
    part = table.loc[name]
    ax.axhline(0, color=GREY, linewidth=1, zorder=0)
    ax.fill_between(part["direct"], part["conf_low"], part["conf_high"], color=BLUE, alpha=0.25, linewidth=0)
    for side in ("conf_low", "conf_high"):
        ax.plot(part["direct"], part[side], color=BLUE, linewidth=1.5)
    _finish(ax, xlabel or "direct effect of the instrument", ylabel or f"interval of the effect of {name}", title)
    return ax


def _finish(ax: Axes, xlabel: str, ylabel: str, title: str | None) -> None:
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    number_format(ax.xaxis)
    number_format(ax.yaxis)
    tidy_up(ax, title)


def _first_stage_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    checks, facts = effect.diagnostics, effect.facts
    if "first_stage_fit" in checks:
        return draw_first_stage(effect, ax, n)
    return draw_binned_instrument(
        checks["first_stage_bins"].table, ax, xlabel=str(facts["instruments"]),
        ylabel=f"{facts['treatment']}, less covariates", title=f"{n}, {checks['first_stage'].summary}",
    )  # fmt: skip


def _reduced_form_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    checks, facts = effect.diagnostics, effect.facts
    return draw_binned_instrument(
        checks["reduced_form_bins"].table, ax, xlabel=str(facts["instruments"]),
        ylabel=f"{facts['outcome']}, less covariates", title=f"{n}, {checks['reduced_form'].summary}",
    )  # fmt: skip


def _anderson_rubin_of(effect: PlottedEffect, ax: Axes | None, n: str) -> Axes:
    name = effect.table.index[0]
    estimate = float(np.asarray(effect.table["estimate"])[0])
    check = effect.diagnostics["anderson_rubin"]
    if not len(check.table):
        raise CausalError(f"there is no Anderson-Rubin test to draw: {check.summary}")
    title = f"{n}, {effect.diagnostics['weak_sets'].summary}"
    return draw_anderson_rubin(
        check.table, ax, level=effect.level, estimate=estimate,
        xlabel=f"effect of {name}", title=title,
    )  # fmt: skip


PICTURES = {
    "first_stage": Picture(_first_stage_of, "first_stage_bins"),
    "reduced_form": Picture(_reduced_form_of, "reduced_form_bins"),
    "anderson_rubin": Picture(_anderson_rubin_of, "anderson_rubin"),
}
