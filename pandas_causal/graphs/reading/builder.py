"""What a reader of graphs hands on: nodes in the order they are met, edges, and which nodes are hidden."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from pandas_causal.errors import GraphError

__all__ = ["MARKS", "MOST_EDGES", "GraphBuilder", "bounded", "direct", "hidden", "line_and_column"]

MARKS = ("treatment", "outcome", "adjusted")  # roles of nodes that a text may name

MOST_EDGES = 10_000_000  # what an iterator may give, so that one without end is answered

_NO = ("no", "false", "0", "unobserved")
_YES = ("yes", "true", "1", "latent")


class GraphBuilder:
    """Nodes and edges as they are read; names are checked here, cycles and self-loops by the graph."""

    def __init__(self) -> None:
        self.nodes: dict[Hashable, None] = {}
        self.edges: dict[tuple[Hashable, Hashable], None] = {}
        self.bidirected: dict[tuple[Hashable, Hashable], None] = {}
        self.latent: dict[Hashable, None] = {}
        self.marks: dict[str, dict[Hashable, None]] = {role: {} for role in MARKS}

    def node(self, name: Any) -> None:
        """Add a node, unless it is there."""
        try:
            known = name in self.nodes
        except TypeError:
            raise GraphError(
                f"a node needs a name (a string, a number, a tuple); got a {type(name).__name__}: {_short(name)}"
            ) from None
        if known:
            return
        if (pd.api.types.is_scalar(name) and pd.isna(name)) or (isinstance(name, str) and not name.strip()):
            raise GraphError(f"{name!r} is no name of a node")
        self.nodes[name] = None

    def edge(self, parent: Hashable, child: Hashable) -> None:
        """Add parent -> child."""
        self.node(parent)
        self.node(child)
        self.edges[parent, child] = None

    def pair(self, one: Hashable, other: Hashable) -> None:
        """Add one <-> other, once in either order."""
        self.node(one)
        self.node(other)
        if (other, one) not in self.bidirected:
            self.bidirected[one, other] = None

    def pairs(self, given: Any) -> None:
        """Add the argument `bidirected`: an iterable of pairs."""
        if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
            raise GraphError(f'bidirected takes pairs of nodes: [("a", "b")]; got {_short(given)}')
        for item in bounded(given, "bidirected"):
            if isinstance(item, str) or not hasattr(item, "__len__") or len(item) != 2:
                raise GraphError(f'bidirected takes pairs of nodes: [("a", "b")]; got {_short(item)} in it')
            one, other = item
            self.pair(one, other)


def bounded(items: Iterable[Any], what: str = "a graph") -> Iterator[Any]:
    """Items, or an error once they are more than a graph can have edges: an iterator may have no end."""
    for k, item in enumerate(items):
        if k >= MOST_EDGES:
            raise GraphError(
                f"{what} is given as an iterator of more than {MOST_EDGES:,} items; does it end? give a list"
            )
        yield item


def hidden(attributes: Mapping[Any, Any]) -> bool:
    """Whether attributes of a node (``observed="no"``, as DoWhy writes, or ``latent=true``) say that it is latent."""
    observed = str(attributes.get("observed", "yes")).strip().strip('"').lower()
    latent = str(attributes.get("latent", "no")).strip().strip('"').lower()
    return observed in _NO or latent in _YES


def line_and_column(text: str, at: int) -> str:
    """Line and column, counted from 1, of a position in a text."""
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - (text.rfind(chr(10), 0, at) + 1) + 1}"


def direct(drawing: GraphBuilder, tail: Any, head: Any, direction: str) -> None:
    """Add an edge whose attribute ``dir`` may turn it round or make it a hidden common cause."""
    if direction == "both":
        drawing.pair(tail, head)
    elif direction == "back":
        drawing.edge(head, tail)
    elif direction == "forward":
        drawing.edge(tail, head)
    else:
        raise GraphError(f"the edge between {tail!r} and {head!r} has dir={direction!r}: no direction, so no cause")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
