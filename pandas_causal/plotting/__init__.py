"""Pictures, one module each: a function of the tidy table that it draws.

matplotlib is imported when something is drawn. Every function takes ``ax=None``, returns the Axes, changes no rcParams
and never calls ``show``.
"""

from __future__ import annotations

from typing import Any

from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting.forest import forest
from pandas_causal.plotting.love import love
from pandas_causal.plotting.overlap import overlap

__all__ = ["forest", "love", "overlap", "plot_effect"]

# kind of picture -> the diagnostic whose table it draws; None: the effect's own table
_SOURCES = {"forest": None, "overlap": "propensity", "love": "balance"}


def plot_effect(effect: Any, kind: str | None = None, ax: Any = None) -> Any:
    """Draw a picture of an effect; called by ``Effect.plot``.

    Parameters
    ----------
    effect : Effect
    kind : {"forest", "overlap", "love"}, optional
        "forest" by default; the others where the effect has their diagnostic.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    CausalArgumentError
        For a kind that this effect does not have, naming those it has.
    """
    kind = "forest" if kind is None else kind
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
    sided = "" if effect.alternative == "two-sided" else "one-sided "
    return forest(effect.table, ax, xlabel=effect.estimand, title=f"{n}, {sided}{100 * effect.level:g}% intervals")
