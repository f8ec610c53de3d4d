"""Pictures, one module each: a function of the tidy table that it draws.

matplotlib is imported when something is drawn. Every function takes ``ax=None``, returns the Axes, changes no rcParams
and never calls ``show``.
"""

from __future__ import annotations

import warnings
from typing import Any

from pandas_causal.errors import CausalArgumentError, CausalError, CausalWarning
from pandas_causal.plotting.discontinuity import bandwidths, density, discontinuity, placebo_cutoffs
from pandas_causal.plotting.event_study import event_study, group_time, trends
from pandas_causal.plotting.forest import forest
from pandas_causal.plotting.graph import graph
from pandas_causal.plotting.love import love
from pandas_causal.plotting.overlap import overlap
from pandas_causal.plotting.parallel_trends import bacon, honest_bounds
from pandas_causal.plotting.synthetic_control import placebo_gaps, synthetic, unit_weights

__all__ = [
    "bacon",
    "bandwidths",
    "density",
    "discontinuity",
    "event_study",
    "forest",
    "graph",
    "group_time",
    "honest_bounds",
    "love",
    "overlap",
    "placebo_cutoffs",
    "placebo_gaps",
    "plot_effect",
    "synthetic",
    "trends",
    "unit_weights",
]

# kind of picture -> the diagnostic whose table it draws; None: the effect's own table
_SOURCES = {
    "forest": None,
    "overlap": "propensity",
    "love": "balance",
    "discontinuity": "bins",
    "density": "density_curve",
    "bandwidths": "bandwidth_sensitivity",
    "placebo_cutoffs": "placebo_cutoffs",
    "bacon": "bacon",
    "trends": "trends",
    "synthetic": "gap",
    "placebo_gaps": "placebo",
    "unit_weights": "unit_weights",
}
# the picture drawn unasked -> the diagnostic that says that the effect has it
_FIRST = {"discontinuity": "bins", "synthetic": "gap"}
_CELLS = ["cohort", "time", "event"]


def plot_effect(effect: Any, kind: str | None = None, ax: Any = None) -> Any:
    """Draw a picture of an effect; called by ``Effect.plot``.

    Parameters
    ----------
    effect : Effect
    kind : str, optional
        "discontinuity" of a discontinuity, "synthetic" of a synthetic comparison, "event_study" where there are event
        times, else "forest"; others where the effect has what they draw. A wrong one is answered with those it has.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    CausalArgumentError
        For a kind that this effect does not have, naming those it has.
    """
    if kind is None:
        kind = next((name for name, source in _FIRST.items() if source in effect.diagnostics), None)
        kind = kind or ("event_study" if _has_events(effect) else "forest")
    legal = [name for name, source in _SOURCES.items() if source is None or source in effect.diagnostics]
    legal += ["event_study"] if _has_events(effect) else []
    legal += ["group_time"] if list(effect.estimates.index.names) == _CELLS else []
    if kind not in legal:
        why = "is not known"
        if kind in ("event_study", "group_time"):
            why = "needs effects by cohort and period, which this effect does not have"
        elif isinstance(kind, str) and kind in _SOURCES:
            why = f"needs the diagnostic {_SOURCES[kind]!r}, which this effect does not have"
        raise CausalArgumentError(f"kind={kind!r} {why}; of this effect, draw one of {legal}")
    n = f"n = {effect.n_obs:,}"
    if kind == "overlap":
        treatment = effect.facts.get("treatment")
        return overlap(effect.diagnostics["propensity"].table, ax, treatment=treatment, title=f"Overlap, {n}")
    if kind == "love":
        return love(effect.diagnostics["balance"].table, ax, title=f"Balance, {n}")
    if kind in _OF_PANELS:
        return _OF_PANELS[kind](effect, ax, n)
    if kind in _OF_SYNTHETIC:
        return _OF_SYNTHETIC[kind](effect, ax, n)
    if kind in _OF_DISCONTINUITIES:
        return _OF_DISCONTINUITIES[kind](effect, ax, n)
    sided = "" if effect.alternative == "two-sided" else "one-sided "
    return forest(effect.table, ax, xlabel=effect.estimand, title=f"{n}, {sided}{100 * effect.level:g}% intervals")


def _synthetic(effect: Any, ax: Any, n: str) -> Any:
    check = effect.diagnostics["gap"]
    return synthetic(check.table, ax, ylabel=str(effect.facts["outcome"]), title=f"{n}, {check.summary}")


def _placebo_gaps(effect: Any, ax: Any, n: str) -> Any:
    check, facts = effect.diagnostics["placebo"], effect.facts
    start = facts["first_treated"] if facts["first_treated"] in check.table.columns else None
    ylabel = f"gap in {facts['outcome']}"
    return placebo_gaps(check.table, ax, start=start, ylabel=ylabel, title=f"{n}, {check.summary}")


def _unit_weights(effect: Any, ax: Any, n: str) -> Any:  # noqa: ARG001 - called as the others are
    check = effect.diagnostics["unit_weights"]
    return unit_weights(check.table, ax, title=check.summary.partition(":")[0])


_OF_SYNTHETIC = {"synthetic": _synthetic, "placebo_gaps": _placebo_gaps, "unit_weights": _unit_weights}


def _discontinuity(effect: Any, ax: Any, n: str) -> Any:
    checks, facts = effect.diagnostics, effect.facts
    return discontinuity(
        checks["bins"].table,
        checks["polynomial"].table,
        ax,
        cutoff=facts["cutoff_value"],
        xlabel=str(facts["running"]),
        ylabel=f"mean {facts['outcome']} by bin",
        title=f"{n}, {checks['bins'].summary}",
    )


def _density(effect: Any, ax: Any, n: str) -> Any:
    checks, facts = effect.diagnostics, effect.facts
    title = f"{n}, {checks['density'].summary}"
    at = facts["cutoff_value"]
    return density(checks["density_curve"].table, ax, cutoff=at, xlabel=str(facts["running"]), title=title)


def _bandwidths(effect: Any, ax: Any, n: str) -> Any:
    title = f"{n}, {100 * effect.level:g}% robust intervals"
    ylabel = f"bias-corrected effect on {effect.facts['outcome']}"
    return bandwidths(effect.diagnostics["bandwidth_sensitivity"].table, ax, ylabel=ylabel, title=title)


def _placebo(effect: Any, ax: Any, n: str) -> Any:
    facts = effect.facts
    actual = None
    if facts["treatment"] is None:
        row = effect.diagnostics["inference"].table.loc["robust"]
        actual = (float(row["estimate"]), float(row["conf_low"]), float(row["conf_high"]))
    return placebo_cutoffs(
        effect.diagnostics["placebo_cutoffs"].table,
        ax,
        cutoff=facts["cutoff_value"],
        actual=actual,
        xlabel=f"cutoff of {facts['running']}",
        ylabel=f"bias-corrected jump of {facts['outcome']}",
        title=f"{n}, robust intervals",
    )


def _has_events(effect: Any) -> bool:
    return "event" in effect.weightings or effect.estimates.index.name == "event"


def _event_study(effect: Any, ax: Any, n: str) -> Any:
    with warnings.catch_warnings():  # said when the effect was estimated
        warnings.simplefilter("ignore", CausalWarning)
        events = effect.aggregate("event") if "event" in effect.weightings else effect
    level, band = f"{100 * effect.level:g}%", None
    title = f"{n}, thick: {level} pointwise"
    try:
        band = events.interval(simultaneous=True)
        title += f", thin: {level} for all at once"
    except CausalError:  # a law without bands: the pointwise intervals are all there is
        band = None
    return event_study(events.table, ax, band=band, ylabel=f"effect on {effect.facts.get('outcome', '')}", title=title)


def _group_time(effect: Any, ax: Any, n: str) -> Any:
    title = f"{n}, bold: {100 * effect.level:g}% interval without 0"
    label = f"effect on {effect.facts.get('outcome', '')}"
    return group_time(effect.table, ax, xlabel=effect.facts.get("time"), label=label, title=title)


def _trends(effect: Any, ax: Any, n: str) -> Any:
    facts = effect.facts
    labels = {"xlabel": facts.get("time"), "ylabel": f"mean {facts.get('outcome', 'outcome')}"}
    return trends(effect.diagnostics["trends"].table, ax, **labels, title=f"{n}, filled: treated")


def _bacon(effect: Any, ax: Any, n: str) -> Any:
    return bacon(effect.diagnostics["bacon"].table, ax, title=f"Comparisons of cohorts, {n}")


_OF_PANELS = {"event_study": _event_study, "group_time": _group_time, "trends": _trends, "bacon": _bacon}
_OF_DISCONTINUITIES = {
    "discontinuity": _discontinuity,
    "density": _density,
    "bandwidths": _bandwidths,
    "placebo_cutoffs": _placebo,
}
