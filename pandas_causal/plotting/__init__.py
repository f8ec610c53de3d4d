"""Pictures, one module each: a function of the tidy table that it draws.

matplotlib is imported when something is drawn. Every function takes ``ax=None``, returns the Axes, changes no rcParams
and never calls ``show``.
"""

from __future__ import annotations

from typing import Any

from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting.discontinuity import bandwidths, density, discontinuity, placebo_cutoffs
from pandas_causal.plotting.forest import forest
from pandas_causal.plotting.graph import graph
from pandas_causal.plotting.love import love
from pandas_causal.plotting.overlap import overlap

__all__ = [
    "bandwidths",
    "density",
    "discontinuity",
    "forest",
    "graph",
    "love",
    "overlap",
    "placebo_cutoffs",
    "plot_effect",
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
}


def plot_effect(effect: Any, kind: str | None = None, ax: Any = None) -> Any:
    """Draw a picture of an effect; called by ``Effect.plot``.

    Parameters
    ----------
    effect : Effect
    kind : {"forest", "overlap", "love", "discontinuity", "density", "bandwidths", "placebo_cutoffs"}, optional
        "discontinuity" of a discontinuity, else "forest"; the others where the effect has their diagnostic.
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
        kind = "discontinuity" if "bins" in effect.diagnostics else "forest"
    legal = [name for name, source in _SOURCES.items() if source is None or source in effect.diagnostics]
    if kind not in legal:
        why = "is not known"
        if isinstance(kind, str) and kind in _SOURCES:
            why = f"needs the diagnostic {_SOURCES[kind]!r}, which this effect does not have"
        raise CausalArgumentError(f"kind={kind!r} {why}; of this effect, draw one of {legal}")
    n = f"n = {effect.n_obs:,}"
    if kind == "overlap":
        treatment = effect.facts.get("treatment")
        return overlap(effect.diagnostics["propensity"].table, ax, treatment=treatment, title=f"Overlap, {n}")
    if kind == "love":
        return love(effect.diagnostics["balance"].table, ax, title=f"Balance, {n}")
    if kind in _OF_DISCONTINUITIES:
        return _OF_DISCONTINUITIES[kind](effect, ax, n)
    sided = "" if effect.alternative == "two-sided" else "one-sided "
    return forest(effect.table, ax, xlabel=effect.estimand, title=f"{n}, {sided}{100 * effect.level:g}% intervals")


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


_OF_DISCONTINUITIES = {
    "discontinuity": _discontinuity,
    "density": _density,
    "bandwidths": _bandwidths,
    "placebo_cutoffs": _placebo,
}
