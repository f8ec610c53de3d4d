"""Front-door sets: measured nodes on every way from treatment to outcome.

For sets X and Y, Z is a front-door set where (1) it intercepts every directed path from X to Y, (2) no back-door path
leads from X to Z, (3) every back-door path from Z to Y that meets no second node of Z is blocked by X (Pearl 1995; for
sets Jeong, Tian and Bareinboim 2022). Then

    P(y | do(x)) = sum over z of P(z | x) sum over x' of P(y | x', z) P(x').
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import Any

from pandas_causal.graphs.reachability import (
    AdjacencyLists,
    Flags,
    ancestors,
    connected,
    descendants,
    flags,
    indices,
    reach,
)
from pandas_causal.identification.adjustment_sets import MOST_SETS
from pandas_causal.identification.query import Query

__all__ = ["FrontDoorSets", "conditional_front_door", "opens"]

_UP, _DOWN = 1, 2


class FrontDoorSets:
    """Front-door sets, each a frozenset of observed nodes; read from ``Identification.frontdoor``.

    There are none where something is given: the criterion speaks of the whole population.

    References
    ----------
    Jeong, H., Tian, J. and Bareinboim, E. (2022). Finding and listing front-door adjustment sets. NeurIPS.
    Wienöbst, M., van der Zander, B. and Liśkiewicz, M. (2024). Linear-time algorithms for front-door adjustment in
    causal graphs. AAAI.
    """

    def __init__(self, query: Query) -> None:
        self._query = query

    @cached_property
    def exists(self) -> bool:
        """Whether any set satisfies the criterion."""
        return self._largest is not None

    @cached_property
    def minimal(self) -> frozenset[Any] | None:
        """A minimal front-door set, in linear time; None where there is none."""
        largest = self._largest
        return None if largest is None else self._query.graph.named(self._reduced(largest))

    def is_valid(self, nodes: Hashable | Iterable[Hashable]) -> bool:
        """Whether `nodes`, a node or several, satisfy the criterion."""
        graph = self._query.graph
        positions = graph.positions_of(nodes)
        if self._query.given or not all(self._candidates[v] for v in positions):
            return False
        wanted = flags(len(graph), positions)
        return self._within(wanted) == wanted

    def iter_sets(self) -> Iterator[frozenset[Any]]:
        """Yield every front-door set once, with polynomial delay, small ones first on each branch."""
        largest = self._largest
        if largest is None:
            return
        stack = [(bytearray(len(largest)), largest)]  # sets that hold the first and lie in the second
        while stack:
            held, allowed = stack.pop()
            free = next((v for v in indices(allowed) if not held[v]), None)
            if free is None:
                yield self._query.graph.named(held)
                continue
            fewer, larger = bytearray(allowed), bytearray(held)
            fewer[free] = 0
            larger[free] = 1
            stack.append((larger, allowed))  # the largest set in `allowed` is `allowed`, so there is one
            left = self._within(fewer)
            if left is not None and all(k for h, k in zip(held, left, strict=True) if h):
                stack.append((held, left))

    @cached_property
    def sets(self) -> tuple[frozenset[Any], ...]:
        """`minimal` and the first other sets, at most 100, by size."""
        first = self.minimal
        if first is None:
            return ()
        listed = [first, *islice((s for s in self.iter_sets() if s != first), MOST_SETS - 1)]
        return tuple(sorted(listed, key=lambda s: (len(s), sorted(map(str, s)))))

    # -- private -----------------------------------------------------------------------------------------------------

    @cached_property
    def _candidates(self) -> Flags:
        """Observed nodes to which no back-door path leads from the treatments: condition (2)."""
        q = self._query
        reached = connected(q.lists.without_out_of(q.treatments), q.treatments)
        free = bytearray(not h and not r for h, r in zip(q.graph.hidden, reached, strict=True))
        for v in (*q.treatments, *q.outcomes):
            free[v] = 0
        return free

    @cached_property
    def _largest(self) -> Flags | None:
        return None if self._query.given else self._within(self._candidates)

    @cached_property
    def _treated(self) -> Flags:
        return flags(len(self._query.lists), self._query.treatments)

    @cached_property
    def _above_treatments(self) -> Flags:
        return ancestors(self._query.lists, self._query.treatments)

    def _within(self, candidates: Flags) -> Flags | None:
        """Return the largest front-door set among candidates, which satisfy (2); None where it fails (1).

        Condition (3): one walk from the outcomes finds the nodes with an open back-door path to them. A candidate stops
        the walk that comes from its children, until a walk arrives at an arrow's head there; then it is none, and walks
        pass it.
        """
        lists, treated, opens = self._query.lists, self._treated, self._above_treatments
        left = bytearray(candidates)
        seen = bytearray(len(left))
        held_up: set[int] = set()
        stack = [(y, _UP) for y in self._query.outcomes]
        while stack:
            v, way = stack.pop()
            if seen[v] & way:
                continue
            seen[v] |= way
            if left[v]:
                if way == _UP:
                    held_up.add(v)
                    continue
                left[v] = 0
                if v in held_up:
                    seen[v] &= ~_UP
                    stack.append((v, _UP))
            if not treated[v]:
                stack += [(c, _DOWN) for c in lists.children[v]]
            if opens[v] if way == _DOWN else not treated[v]:
                stack += [(p, _UP) for p in lists.parents[v]]
                stack += [(s, _DOWN) for s in lists.siblings[v]]
        missed = descendants(lists, self._query.treatments, left)
        return None if any(missed[y] for y in self._query.outcomes) else left

    def _reduced(self, largest: Flags) -> Flags:
        """Reduce the largest set to a minimal one (Wienöbst et al. 2024, section 4).

        Last: members with a directed path to an outcome that meets no other member. First: those of them that a
        directed path from a treatment meets first; they intercept everything. To these come the last ones that a
        back-door path from one in the set leads to, since such a path would go on to an outcome.
        """
        lists, n = self._query.lists, len(largest)
        stops = bytearray(m or t for m, t in zip(largest, self._treated, strict=True))
        to_outcome = reach(lists.parents, self._query.outcomes, stops)
        last = bytearray(
            m and any(to_outcome[c] for c in children) for m, children in zip(largest, lists.children, strict=True)
        )
        from_treatment = reach(lists.children, self._query.treatments, last)
        kept = bytearray(
            k and any(from_treatment[p] for p in parents) for k, parents in zip(last, lists.parents, strict=True)
        )
        seen = bytearray(n)
        stack: list[tuple[int, int]] = [(v, _DOWN) for v in indices(kept)]
        while stack:
            v, way = stack.pop()
            if seen[v] & way or self._treated[v]:
                continue
            seen[v] |= way
            if last[v]:
                kept[v] = 1
            elif way == _DOWN:
                stack += [(c, _DOWN) for c in lists.children[v]]
                continue
            else:
                stack += [(c, _DOWN) for c in lists.children[v]]
            stack += [(p, _UP) for p in lists.parents[v]]
            stack += [(s, _DOWN) for s in lists.siblings[v]]
        return kept

    def __repr__(self) -> str:
        if self.minimal is None:
            return "<no front-door set>"
        return f"<front-door sets, minimal: {{{', '.join(sorted(map(str, self.minimal)))}}}>"


def opens(lists: AdjacencyLists, a: int, y: int, mediators: list[int], covariates: list[int]) -> bool:
    """Whether mediators M are a front-door set given covariates W, none of them below the treatment a.

    (1) M meets every directed path from a to y; (2) W blocks every back-door path from a to M; (3) a and W block every
    back-door path from M to y that meets no second node of M. Then, in every stratum of W,
    P(m | do(a), w) = P(m | a, w) and P(y | do(m), w) = sum over a' of P(y | a', m, w) P(a' | w), and what treatment
    does to y it does through M.

    References
    ----------
    Pearl (1995), "Causal diagrams for empirical research", Biometrika, section 3.2, within strata; Fulcher, Shpitser,
    Marealle and Tchetgen Tchetgen (2020), JRSS B 82, who have covariates.
    """
    between = flags(len(lists), mediators)
    if reach(lists.children, [a], between)[y]:
        return False
    below = descendants(lists, [a])
    if any(below[w] for w in covariates) or set(covariates) & set(mediators):
        return False
    from_a = connected(lists.without_out_of([a]), [a], covariates)
    if any(from_a[m] for m in mediators):
        return False
    return not connected(lists.without_out_of(mediators), mediators, [a, *covariates])[y]


def conditional_front_door(query: Query) -> tuple[frozenset[Any], frozenset[Any]] | None:
    """Mediators and covariates that are a front door, or None where the candidates hold none.

    Mediators tried: all observed nodes on causal paths, and the first or the last observed one on each. Covariates
    tried: observed nodes outside what treatment causes that cause treatment, mediators or outcome; the covariates that
    are not needed are then left out one by one. What is returned satisfies the criterion; that none is found does not
    prove that there is none.
    """
    q, lists, hidden = query, query.lists, query.graph.hidden
    (a,), (y,) = q.treatments, q.outcomes
    causal = [v for v in indices(q.causal) if v != y and not hidden[v]]
    if not causal:
        return None
    below = descendants(lists, [a])
    wall = flags(len(lists), causal)
    first = _met(lists.children, a, wall)
    last = _met(lists.parents, y, wall)
    for mediators in (causal, first, last):
        for causes_of in ([a, *mediators, y], [a, *mediators], [a], mediators, [y]):
            above = ancestors(lists, causes_of)
            covariates = [v for v in indices(above) if not hidden[v] and not below[v] and v != y]
            if opens(lists, a, y, mediators, covariates):
                for w in list(covariates):
                    fewer = [v for v in covariates if v != w]
                    if opens(lists, a, y, mediators, fewer):
                        covariates = fewer
                names = q.graph.names
                return frozenset(names[v] for v in mediators), frozenset(names[v] for v in covariates)
    return None


def _met(neighbours: Any, start: int, wall: bytearray) -> list[int]:
    """Flagged nodes that walks from `start` meet first."""
    seen, stack, met = {start}, [start], set()
    while stack:
        for w in neighbours[stack.pop()]:
            if w not in seen:
                seen.add(w)
                if wall[w]:
                    met.add(w)
                else:
                    stack.append(w)
    return sorted(met)
