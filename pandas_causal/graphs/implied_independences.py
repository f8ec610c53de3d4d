"""What a graph implies: one separating set for every pair of nodes that has one among the observed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pandas_causal.graphs.graph import CausalGraph

__all__ = ["Claim", "implied_independences"]


class Claim(NamedTuple):
    """An implied independence: a and b, given a set that is minimal by inclusion."""

    a: Any
    b: Any
    given: tuple[Any, ...]


def implied_independences(graph: CausalGraph) -> list[Claim]:
    """One independence for every pair of observed nodes that some set of observed nodes separates.

    If any set separates two nodes, their observed ancestors do, and within the ancestors separation is that of the
    moral graph. Of the two minimal sets that lie nearest to either node the smaller is taken.

    References
    ----------
    van der Zander and Liskiewicz (2020), "Finding minimal d-separators in linear time and applications", UAI;
    Richardson (2003), Scandinavian Journal of Statistics 30, for the augmented graph of mixed graphs.
    """
    observed = [node for node in graph.nodes if node in graph.observed]
    rank = {node: k for k, node in enumerate(observed)}
    parents = _with_explicit_causes(graph)
    claims = []
    for i, a in enumerate(observed):
        for b in observed[i + 1 :]:
            moral = _moral(parents, a, b)
            if b in moral[a]:
                continue
            near_a, near_b = _nearest(moral, a, b, rank), _nearest(moral, b, a, rank)
            if near_a is None or near_b is None:
                continue
            best = min(near_a, near_b, key=lambda found: (len(found), sorted(rank[v] for v in found)))
            claims.append(Claim(a, b, tuple(sorted(best, key=rank.__getitem__))))
    return claims


def _with_explicit_causes(graph: CausalGraph) -> dict[Any, list[Any]]:
    """Parents of every node, where ``<->`` is a node of its own."""
    parents: dict[Any, list[Any]] = {node: list(graph.parents(node)) for node in graph.nodes}
    for a, b in graph.bidirected:
        hidden = ("hidden cause of", a, b)
        parents[hidden] = []
        parents[a].append(hidden)
        parents[b].append(hidden)
    return parents


def _moral(parents: dict[Any, list[Any]], a: Any, b: Any) -> dict[Any, set[Any]]:
    """Moral graph of the ancestors of a and b: parents joined to children and to one another."""
    moral: dict[Any, set[Any]] = {a: set(), b: set()}
    stack = [a, b]
    while stack:
        node = stack.pop()
        for p in parents[node]:
            if p not in moral:
                moral[p] = set()
                stack.append(p)
    for node in list(moral):
        family = [node, *parents[node]]
        for v in family:
            moral[v].update(family)
            moral[v].discard(v)
    return moral


def _nearest(moral: dict[Any, set[Any]], start: Any, goal: Any, observed: dict[Any, int]) -> set[Any] | None:
    """Minimal separator of observed nodes nearest to `start`; None where there is none."""
    first, reached = _boundary(moral, start, {v for v in moral if v in observed and v not in (start, goal)})
    return None if goal in reached else _boundary(moral, goal, first)[0]


def _boundary(moral: dict[Any, set[Any]], start: Any, blocked: set[Any]) -> tuple[set[Any], set[Any]]:
    """Blocked nodes that are reached from `start` through nodes that are not, and those nodes."""
    seen, stack, hit = {start}, [start], set()
    while stack:
        for v in moral[stack.pop()]:
            if v in blocked:
                hit.add(v)
            elif v not in seen:
                seen.add(v)
                stack.append(v)
    return hit, seen
