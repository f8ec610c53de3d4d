"""Identification: whether, and how, a graph determines what an intervention does."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pandas_causal.errors import GraphError
from pandas_causal.graph.adjustment import BackDoor, Query
from pandas_causal.graph.frontdoor import FrontDoor
from pandas_causal.graph.instruments import Instrument, conditional_instruments

if TYPE_CHECKING:
    from pandas_causal.graph.graph import CausalGraph

__all__ = ["Identification"]


class Identification:
    """What a graph says about P(outcome | do(treatment), given); made by ``CausalGraph.identify``.

    Nothing is computed before it is read.

    Parameters
    ----------
    graph : CausalGraph
    treatment, outcome : node or list of nodes
    given : node or list of nodes, optional

    Attributes
    ----------
    graph : CausalGraph
    treatment, outcome, given : tuple of nodes
    """

    def __init__(self, graph: CausalGraph, *, treatment: Any, outcome: Any, given: Any = None) -> None:
        self.graph = graph
        roles: dict[Any, str] = {}
        self.treatment = _role(graph, "treatment", treatment, roles)
        self.outcome = _role(graph, "outcome", outcome, roles)
        self.given = () if given is None else _role(graph, "given", given, roles, empty=True)
        self._query = Query(
            graph, *(sorted(graph._place[v] for v in r) for r in (self.treatment, self.outcome, self.given))
        )

    @cached_property
    def backdoor(self) -> BackDoor:
        """Adjustment sets."""
        return BackDoor(self._query)

    @cached_property
    def frontdoor(self) -> FrontDoor:
        """Front-door sets."""
        return FrontDoor(self._query)

    @cached_property
    def instruments(self) -> tuple[Instrument, ...]:
        """Conditional instruments of one treatment for one outcome, each with `.instrument` and `.given`.

        Empty exactly when no conditional instrument exists. An instrument identifies an effect under assumptions beyond
        the graph (linearity, or monotonicity for those it moves), so it makes nothing `identified`.
        """
        return tuple(conditional_instruments(self._query))

    @cached_property
    def identified(self) -> bool:
        """Whether the graph determines the effect from observed columns."""
        return self.backdoor.exists


def _role(graph: CausalGraph, role: str, names: Any, roles: dict[Any, str], *, empty: bool = False) -> tuple[Any, ...]:
    """Nodes in a role: known, observed, and in no other role."""
    if names is None:
        raise GraphError(f"{role}= needs the name of a node, or a list of them")
    members = graph._members(names)
    if not members and not empty:
        raise GraphError(f"{role}= is empty; it needs the name of a node, or a list of them")
    for name in members:
        graph._index(name)
        if name in graph.latent:
            raise GraphError(f"the {role} {name!r} is latent in the graph; only observed nodes can be asked about")
        if name in roles:
            raise GraphError(f"{name!r} is both {roles[name]} and {role}; a node has one role")
        roles[name] = role
    return tuple(members)
