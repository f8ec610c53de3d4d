"""From a graph to the tables that its picture draws."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.errors import GraphError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pandas_causal.graphs.graph import CausalGraph

_MOST_NODES = 60

__all__ = ["draw", "draw_svg", "tables"]


def tables(
    graph: CausalGraph, treatment: Hashable = None, outcome: Hashable = None, adjustment: Iterable[Any] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return nodes (node, kind) in topological order and edges (parent, child, kind)."""
    kinds: dict[Any, str] = dict.fromkeys(graph.topological_order(), "observed")
    kinds.update(dict.fromkeys(graph.latent, "latent"))
    coloured = (("adjustment", adjustment), ("treatment", treatment), ("outcome", outcome))
    for kind, names in coloured:
        for name in [] if names is None else graph.indexed.members(names):
            graph.indexed.position(name)
            if kinds[name] == "latent":
                raise GraphError(f"{name!r} is latent, so it is no {kind}")
            kinds[name] = kind
    nodes = pd.DataFrame({"node": pd.Series(list(kinds), dtype=object), "kind": list(kinds.values())})
    rows = [(a, b, "directed") for a, b in graph.edges] + [(a, b, "bidirected") for a, b in graph.bidirected]
    edges = {name: pd.Series([r[k] for r in rows], dtype=object) for k, name in enumerate(("parent", "child", "kind"))}
    return nodes, pd.DataFrame(edges)


def draw_svg(
    graph: CausalGraph,
    style: str,
    treatment: Hashable = None,
    outcome: Hashable = None,
    adjustment: Iterable[Any] = (),
) -> str:
    """Draw a graph as SVG; one of over 60 nodes is left as words."""
    if len(graph) > _MOST_NODES:
        return ""
    from pandas_causal.plotting.graph_svg import graph_svg

    nodes, edges = tables(graph, treatment, outcome, adjustment)
    return graph_svg(nodes, edges, title=f"causal graph of {len(graph)} nodes", style=style)


def draw(
    graph: CausalGraph, *, treatment: Hashable, outcome: Hashable, adjustment: Iterable[Any], ax: Axes | None
) -> Axes:
    """Draw a graph; see :func:`pandas_causal.plotting.graph`."""
    from pandas_causal.plotting.graph import draw_graph as picture

    return picture(*tables(graph, treatment, outcome, adjustment), ax)
