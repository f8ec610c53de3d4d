"""Which picture of an effect is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting.attribution import PICTURES as ATTRIBUTION
from pandas_causal.plotting.bounds import PICTURES as BOUNDS
from pandas_causal.plotting.discontinuity import PICTURES as DISCONTINUITY
from pandas_causal.plotting.event_study import PICTURES as EVENT_STUDY
from pandas_causal.plotting.forest import PICTURES as FOREST
from pandas_causal.plotting.heterogeneity import PICTURES as HETEROGENEITY
from pandas_causal.plotting.instruments import PICTURES as INSTRUMENTS
from pandas_causal.plotting.love import PICTURES as LOVE
from pandas_causal.plotting.overlap import PICTURES as OVERLAP
from pandas_causal.plotting.parallel_trends import PICTURES as PARALLEL_TRENDS
from pandas_causal.plotting.picture import Picture, PlottedEffect
from pandas_causal.plotting.synthetic_control import PICTURES as SYNTHETIC_CONTROL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_effect"]

_PICTURES: Mapping[str, Picture] = {
    **BOUNDS,
    **FOREST,
    **ATTRIBUTION,
    **OVERLAP,
    **LOVE,
    **DISCONTINUITY,
    **HETEROGENEITY,
    **INSTRUMENTS,
    **PARALLEL_TRENDS,
    **SYNTHETIC_CONTROL,
    **EVENT_STUDY,
}


def plot_effect(effect: PlottedEffect, kind: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw a picture of an effect; called by ``Effect.plot``.

    Parameters
    ----------
    effect : Effect
    kind : str, optional
        "discontinuity" of a discontinuity, "synthetic" of a synthetic comparison, "event_study" where there are event
        times, "bars" of an attribution, else "forest"; others where the effect has what they draw. A wrong one is
        answered with those it has.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    CausalArgumentError
        For a kind that this effect does not have, naming those it has.
    """
    legal = [name for name, picture in _PICTURES.items() if picture.is_of(effect)]
    if kind is None:
        kind = next((name for name in legal if _PICTURES[name].first), "forest")
    if kind not in legal:
        why = "is not known"
        if isinstance(kind, str) and kind in _PICTURES:
            source = _PICTURES[kind].source
            needed = "effects by cohort and period" if source is None else f"the diagnostic {source!r}"
            why = f"needs {needed}, which this effect does not have"
        raise CausalArgumentError(f"kind={kind!r} {why}; of this effect, draw one of {legal}")
    return _PICTURES[kind].draw(effect, ax, f"n = {effect.n_obs:,}")
