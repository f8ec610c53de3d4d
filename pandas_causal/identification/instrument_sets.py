"""Conditional instruments: nodes that move the outcome through the treatment only, once others are held fixed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pandas_causal.graphs.reachability import connected, descendants, flags, indices
from pandas_causal.graphs.separation import MoralCliques, Separation
from pandas_causal.identification.query import Query

__all__ = ["Instrument", "conditional_instruments"]


class Instrument(NamedTuple):
    """An instrument and the covariates that make it one.

    Attributes
    ----------
    instrument : node
    given : frozenset of nodes
    """

    instrument: Any
    given: frozenset[Any]


def conditional_instruments(query: Query) -> Iterator[Instrument]:
    """Yield ancestral conditional instruments of one treatment for one outcome, at most one set of covariates each.

    z is an instrument given W where z and the outcome are separated by W in the graph without the treatment's edges on
    causal paths, z and the treatment are not, and neither z nor W are consequences of the treatment. With a direct edge
    as the only causal path this is the definition of van der Zander, Textor and Liśkiewicz, but that they admit
    consequences of the treatment off the causal paths, which nothing moves the treatment through; with mediators it
    speaks of the total effect. W lies among the ancestors of z and the outcome; where a conditional instrument exists,
    such a one does (their theorem 1).

    The separator nearest to the outcome leaves the most of what moves z and the treatment together, so it alone is
    tried (their algorithm 2).

    References
    ----------
    van der Zander, B., Textor, J. and Liśkiewicz, M. (2015). Efficiently finding conditional instruments for causal
    inference. IJCAI.
    """
    if len(query.treatments) != 1 or len(query.outcomes) != 1 or query.given:
        return
    (x,), (y,) = query.treatments, query.outcomes
    names, graph = query.graph.names, query.without_effect
    caused = descendants(query.lists, [x])
    free = bytearray(not h and not c for h, c in zip(query.graph.hidden, caused, strict=True))
    free[y] = 0
    # nothing separates neighbours: most confounders of a large graph are ruled out here
    beside = flags(len(graph), [*graph.parents[y], *graph.children[y], *graph.siblings[y]])
    moral = MoralCliques(graph)
    for z in indices(free):
        if beside[z]:
            continue
        between = Separation(graph, [z], [y], free, moral=moral).minimal()
        if between is not None and connected(graph, [z], indices(between))[x]:
            yield Instrument(names[z], query.graph.named(between))
