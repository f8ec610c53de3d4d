"""Covariates that identify natural direct and indirect effects in a graph, or what stands in the way."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from pandas_causal.errors import GraphError, NotIdentifiedError
from pandas_causal.graphs.graph import CausalGraph
from pandas_causal.graphs.reachability import AdjacencyLists, ancestors, connected, descendants, flags, indices
from pandas_causal.identification.open_paths import WalkText, shortest_open_walk

__all__ = ["mediation_covariates"]


def mediation_covariates(
    graph: CausalGraph,
    treatment: Hashable,
    mediators: Hashable | Iterable[Hashable],
    outcome: Hashable,
    covariates: Sequence[Any] | None = None,
) -> frozenset[Any]:
    """Covariates W under which natural effects through mediators are identified.

    1. No member of W is a consequence of treatment or of a mediator.
    2. W closes every path between treatment and mediators or outcome that is not causal.
    3. W and treatment close every path between mediators and outcome that is not causal.

    The third fails where something that treatment moves confounds mediators and outcome: no covariates help then.

    Parameters
    ----------
    graph : CausalGraph
    treatment, outcome : node
    mediators : node or several
    covariates : sequence of nodes, optional
        W. By default the observed causes of treatment, mediators and outcome that 1 allows, less those that cause
        treatment alone: if any W will do, this one does.

    Raises
    ------
    NotIdentifiedError
        Naming the condition that fails, and a path that stays open.
    GraphError
        For a node that is not known, is latent, or has two roles.

    References
    ----------
    Pearl (2001), UAI, theorem 4; Pearl (2014), "Interpretation and identification of causal mediation", Psychological
    Methods 19, assumption set A; Shpitser and VanderWeele (2011), International Journal of Biostatistics 7.
    """
    indexed, lists = graph.indexed, graph.indexed.lists
    a, y = indexed.position(treatment), indexed.position(outcome)
    through = sorted(indexed.positions_of(mediators))
    roles = [a, y, *through]
    if len(set(roles)) < len(roles) or not through:
        raise GraphError("treatment, outcome and mediators are different nodes, at least one mediator among them")
    hidden = [indexed.names[v] for v in roles if indexed.hidden[v]]
    if hidden:
        raise GraphError(f"{hidden[0]!r} is latent in the graph; only observed nodes can be asked about")
    below = descendants(lists, [a, *through])
    if covariates is None:
        above = ancestors(lists, roles)
        held = [v for v in indices(above) if not (indexed.hidden[v] or below[v] or v in roles)]
    else:
        held = sorted(indexed.positions_of(list(covariates)))
        doubled = [indexed.names[v] for v in held if v in roles]
        if doubled:
            raise GraphError(f"{doubled[0]!r} is a covariate and has another role; a node has one role")
        _refuse_consequences(graph, held, below)
    problem = _open_path(graph, a, y, through, held)
    if problem is not None:
        raise NotIdentifiedError(problem)
    if covariates is None:  # causes of treatment alone cost precision
        causes = ancestors(lists.without_out_of([a]), [y, *through])
        for v in [v for v in held if not causes[v]]:
            rest = [w for w in held if w != v]
            if _open_path(graph, a, y, through, rest) is None:
                held = rest
    return frozenset(indexed.names[v] for v in held)


def _refuse_consequences(graph: CausalGraph, held: list[int], below: bytearray) -> None:
    bad = [graph.indexed.names[v] for v in held if below[v]]
    if bad:
        raise NotIdentifiedError(
            f"{', '.join(map(str, bad))} is a consequence of treatment or of a mediator, and must not be adjusted for:"
            " natural effects are not identified by covariates that treatment moves"
        )


def _open_path(graph: CausalGraph, a: int, y: int, through: list[int], held: list[int]) -> str | None:
    """What is not closed, in a sentence; None where all is."""
    lists, names = graph.indexed.lists, graph.indexed.names
    for target, words in [*((m, "treatment and a mediator") for m in through), (y, "treatment and outcome")]:
        cut = lists.without_out_of([a])
        if connected(cut, [a], held)[target]:
            return _sentence(graph, cut, (a, target), held, words, held)
    cut = lists.without_out_of(through)
    for m in through:
        if connected(cut, [m], [*held, a])[y]:
            shared = _moved(lists, a, m, y)
            text = _sentence(graph, cut, (m, y), [*held, a], "a mediator and the outcome", held)
            if shared is not None:
                text += (
                    f"; {names[shared]} lies on the way from treatment and causes both, so that no covariates identify"
                    " natural effects through these mediators: count it among the mediators"
                )
            return text
    return None


def _moved(lists: AdjacencyLists, a: int, m: int, y: int) -> int | None:
    """A node below the treatment that causes the mediator, and the outcome by another way."""
    blocked = flags(len(lists), [m])
    for v in indices(descendants(lists, [a])):
        if v in (a, m, y):
            continue
        if descendants(lists, [v])[m] and descendants(lists, [v], blocked)[y]:
            return v
    return None


def _sentence(
    graph: CausalGraph, cut: AdjacencyLists, ends: tuple[int, int], given: list[int], words: str, held: list[int]
) -> str:
    walk = shortest_open_walk(cut, ends[0], ends[1], given)
    path = " a path" if walk is None else f" {WalkText(graph.indexed).text(walk)}"
    named = ", ".join(str(graph.indexed.names[v]) for v in held)
    adjusted = f"given {named}" if named else "without covariates"
    return f"{words} are tied by more than the effects asked for: {adjusted},{path} stays open"
