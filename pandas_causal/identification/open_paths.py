"""Walks that are open given what is held fixed: the shortest, those through a node, and how to write them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pandas_causal.errors import GraphError
from pandas_causal.graphs.reachability import AdjacencyLists, Flags, ancestors, connected, flags

if TYPE_CHECKING:
    from pandas_causal.graphs.indexed import IndexedGraph

__all__ = [
    "OpenWalkSearch",
    "Walk",
    "WalkText",
    "directed_walk",
    "is_open",
    "nearest_above",
    "open_walk_through",
    "shortest_open_walk",
    "turning_points",
]


_MOST_STEPS = 20_000


Walk = list[tuple[int, str]]  # nodes, each with the edge by which it is reached


_State = tuple[int, bool, bool]  # node, arrived at an arrow's head, passed the collider that is asked for


def is_open(lists: AdjacencyLists, a: int, y: int, held: list[int]) -> bool:
    """Whether an open walk leads from a to y, given what is held fixed."""
    return bool(connected(lists, [a], held)[y])


def steps_from(lists: AdjacencyLists, v: int) -> Iterator[tuple[int, str, bool, bool]]:
    """Edges at v: the other end, how the edge is drawn, whether an arrow's head is at v, and at the other end."""
    for w in lists.parents[v]:
        yield w, "<-", True, False
    for w in lists.children[v]:
        yield w, "->", False, True
    for w in lists.siblings[v]:
        yield w, "<->", True, True


@dataclass(frozen=True)
class OpenWalkSearch:
    """Open walks from a to y given `held`; with `asked`, those that pass a collider flagged there."""

    lists: AdjacencyLists
    a: int
    y: int
    held: Flags
    opens: Flags
    asked: Flags | None

    def moves(self, state: _State) -> Iterator[tuple[_State, str]]:
        """States that one more edge leads to; y ends a walk, a is not met again."""
        v, head, passed = state
        for w, mark, head_here, head_there in steps_from(self.lists, v):
            if w == self.a:
                continue
            if v == self.a:
                yield (w, head_there, passed), mark
                continue
            turning = head and head_here
            if self.opens[v] if turning else not self.held[v]:
                yield (w, head_there, passed or (turning and bool(self.asked and self.asked[v]))), mark

    def shortest(self) -> Walk | None:
        """Return the shortest walk; without `asked` it is a simple path, since any loop in it can be cut out."""
        start: _State = (self.a, False, self.asked is None)
        came: dict[_State, tuple[_State, str] | None] = {start: None}
        queue = deque([start])
        while queue:
            state = queue.popleft()
            if state[0] == self.y:
                if state[2]:
                    return _unwound(came, state)
                continue
            for then, mark in self.moves(state):
                if then not in came:
                    came[then] = (state, mark)
                    queue.append(then)
        return None

    def simple(self) -> tuple[Walk | None, bool]:
        """Return a simple path by depth first, and whether the search was exhausted or successful."""
        alive = self._alive()
        start: _State = (self.a, False, False)
        path: Walk = [(self.a, "")]
        on = {self.a}
        stack = [iter([m for m in self.moves(start) if m[0] in alive])]
        for _ in range(_MOST_STEPS):
            step = next(stack[-1], None)
            if step is None:
                stack.pop()
                if not stack:
                    return None, True
                on.discard(path.pop()[0])
                continue
            state, mark = step
            if state[0] == self.y and state[2]:
                return [*path, (self.y, mark)], True
            if state[0] in on or state[0] == self.y:
                continue
            path.append((state[0], mark))
            on.add(state[0])
            stack.append(iter([m for m in self.moves(state) if m[0] in alive]))
        return None, False

    def _alive(self) -> set[_State]:
        """States from which a walk, crossing itself or not, reaches y as asked."""
        start: _State = (self.a, False, False)
        before: dict[_State, list[_State]] = {start: []}
        stack = [start]
        while stack:
            state = stack.pop()
            if state[0] == self.y:
                continue
            for then, _ in self.moves(state):
                if then not in before:
                    before[then] = []
                    stack.append(then)
                before[then].append(state)
        alive = {s for s in before if s[0] == self.y and s[2]}
        stack = list(alive)
        while stack:
            for state in before[stack.pop()]:
                if state not in alive:
                    alive.add(state)
                    stack.append(state)
        return alive


def _unwound(came: dict[_State, tuple[_State, str] | None], state: _State) -> Walk:
    out: Walk = []
    at: _State | None = state
    while at is not None:
        link = came[at]
        out.append((at[0], "" if link is None else link[1]))
        at = None if link is None else link[0]
    return out[::-1]


def search_open_walks(
    lists: AdjacencyLists, a: int, y: int, held: list[int], colliders: Flags | None = None
) -> OpenWalkSearch:
    return OpenWalkSearch(lists, a, y, flags(len(lists), held), ancestors(lists, held), colliders)


def shortest_open_walk(lists: AdjacencyLists, a: int, y: int, held: list[int]) -> Walk | None:
    """The shortest open walk from a to y; None where there is none."""
    return search_open_walks(lists, a, y, held).shortest()


def open_walk_through(lists: AdjacencyLists, a: int, y: int, held: list[int], z: int) -> tuple[Walk | None, bool]:
    """Return a simple open path with a collider that is z or causes it, and whether the answer is certain."""
    search = search_open_walks(lists, a, y, held, ancestors(lists, [z]))
    walk = search.shortest()
    if walk is None or len({v for v, _ in walk}) == len(walk):
        return walk, True
    return search.simple()


def turning_points(walk: Walk) -> list[int]:
    """Colliders of a walk: nodes with an arrow's head on either side."""
    return [v for (v, before), (_, after) in pairwise(walk[1:]) if before in ("->", "<->") and after in ("<-", "<->")]


def directed_walk(lists: AdjacencyLists, a: int, y: int) -> Walk:
    """Return a shortest directed path from a to y."""
    came: dict[int, int] = {a: a}
    queue = deque([a])
    while queue and y not in came:
        v = queue.popleft()
        for w in lists.children[v]:
            if w not in came:
                came[w] = v
                queue.append(w)
    out = [y]
    while out[-1] != a:
        out.append(came[out[-1]])
    return [(v, "" if k == 0 else "->") for k, v in enumerate(out[::-1])]


def nearest_above(lists: AdjacencyLists, z: int, wanted: Flags) -> int:
    """Return the flagged ancestor of z that is fewest edges away."""
    seen = {z}
    queue = deque([z])
    while queue:
        v = queue.popleft()
        if wanted[v]:
            return v
        for p in lists.parents[v]:
            if p not in seen:
                seen.add(p)
                queue.append(p)
    raise GraphError("no ancestor lies on a causal path")


@dataclass(frozen=True)
class WalkText:
    """Walks in names."""

    graph: IndexedGraph

    def name(self, v: int) -> Any:
        """Name of a node."""
        return self.graph.names[v]

    def nodes(self, walk: Walk) -> tuple[Any, ...]:
        """Names of the nodes, in order."""
        return tuple(self.graph.names[v] for v, _ in walk)

    def text(self, walk: Walk) -> str:
        """The walk with its edges drawn: ``a -> b <- c``."""
        return "".join(f" {mark} {self.graph.names[v]}" if mark else str(self.graph.names[v]) for v, mark in walk)
