"""The picture of a check: chosen by what its table holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting.attribution import draw_strengths, draw_waterfall
from pandas_causal.plotting.discontinuity import draw_bandwidths, draw_density, draw_discontinuity, draw_placebo_cutoffs
from pandas_causal.plotting.event_study import draw_trends
from pandas_causal.plotting.forest import draw_forest
from pandas_causal.plotting.heterogeneity import draw_uplift
from pandas_causal.plotting.independences import draw_independences
from pandas_causal.plotting.instruments import draw_anderson_rubin, draw_binned_instrument, draw_plausible_exogeneity
from pandas_causal.plotting.love import draw_love
from pandas_causal.plotting.overlap import draw_overlap
from pandas_causal.plotting.parallel_trends import draw_bacon
from pandas_causal.plotting.synthetic_control import draw_synthetic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_check"]

Draw = Callable[[pd.DataFrame, "Axes | None", str], "Axes"]

# The first whose columns a table has; names of the index count as columns.
_PICTURES: tuple[tuple[frozenset[str], Draw], ...] = (
    (frozenset({"contrast", "smd_before"}), lambda table, ax, title: draw_love(table, ax, title=title)),
    (
        frozenset({"arm", "propensity_of", "low", "high", "count", "share"}),
        lambda table, ax, title: draw_overlap(table, ax, title=title),
    ),
    (
        frozenset({"a", "b", "given", "p_adjusted", "rejected"}),
        lambda table, ax, title: draw_independences(table, ax, title=title),
    ),
    (
        frozenset({"actual", "synthetic", "gap", "treated"}),
        lambda table, ax, title: draw_synthetic(table, ax, title=title),
    ),
    (frozenset({"cohort", "time", "mean", "treated"}), lambda table, ax, title: draw_trends(table, ax, title=title)),
    (frozenset({"kind", "weight", "estimate"}), lambda table, ax, title: draw_bacon(table, ax, title=title)),
    (frozenset({"side", "z", "density"}), lambda table, ax, title: draw_density(table, ax, title=title)),
    (
        frozenset({"side", "x", "mean", "conf_low"}),
        lambda table, ax, title: draw_discontinuity(table, None, ax, title=title),
    ),
    (
        frozenset({"instrument", "mean", "std_error", "fit"}),
        lambda table, ax, title: draw_binned_instrument(table, ax, title=title),
    ),
    (frozenset({"coefficient", "ar"}), lambda table, ax, title: draw_anderson_rubin(table, ax, title=title)),
    (frozenset({"ratio", "estimate", "h"}), lambda table, ax, title: draw_bandwidths(table, ax, title=title)),
    (
        frozenset({"cutoff", "estimate", "conf_low"}),
        lambda table, ax, title: draw_placebo_cutoffs(table, ax, title=title),
    ),
    (frozenset({"toc", "toc_low"}), lambda table, ax, title: draw_uplift(table, ax, title=title)),
    (frozenset({"parent", "child", "share"}), lambda table, ax, title: draw_strengths(table, ax, title=title)),
    (
        frozenset({"direct", "conf_low", "conf_high"}),
        lambda table, ax, title: draw_plausible_exogeneity(table, ax, title=title),
    ),
    (frozenset({"estimate", "conf_low", "conf_high"}), lambda table, ax, title: draw_forest(table, ax, title=title)),
)


def draw_check(table: pd.DataFrame, ax: Axes | None = None, *, title: str) -> Axes:
    """Draw the table of a check; called by ``Check.plot``.

    Parameters
    ----------
    table : DataFrame
    ax : matplotlib Axes, optional
    title : str

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    CausalArgumentError
        Where no picture draws such a table.
    """
    there = {*map(str, table.columns), *map(str, table.index.names)}
    for columns, draw in _PICTURES:
        if columns <= there and len(table):
            return draw(table, ax, title)
    if len(table) and list(table.columns) == ["value"]:
        return draw_waterfall(table, ax, title=title)
    raise CausalArgumentError(
        f"this check has no picture ({title}): read check.table, with columns {list(map(str, table.columns))}"
    )
