"""CausalGraph: the assumptions, drawn; immutable."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from heapq import heapify, heappop, heappush
from html import escape
from typing import TYPE_CHECKING, Any, NoReturn

from pandas_causal.errors import GraphError, suggest
from pandas_causal.graphs.indexed import IndexedGraph
from pandas_causal.graphs.projection import project
from pandas_causal.graphs.reachability import AdjacencyLists, ancestors, connected, descendants, flags
from pandas_causal.graphs.reading.builder import MARKS, GraphBuilder, bounded
from pandas_causal.graphs.reading.read import read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pandas_causal.identification.identification import Identification

__all__ = ["CausalGraph", "as_graph"]


class CausalGraph:
    """Which column causes which, as an acyclic graph with directed edges and hidden common causes.

    Equal graphs are equal and hash alike however they were written. Nothing can be changed afterwards. Wherever a graph
    is taken, whatever makes one is taken too.

    Parameters
    ----------
    edges : str, mapping, iterable, networkx graph, pydot graph or CausalGraph
        - Text: statements separated by commas, semicolons or new lines, each a chain of ``->``, ``<-`` and ``<->`` in
          any mix, or one name; names that hold spaces or other signs in quotes. ``a <-> b`` is an unobserved common
          cause of the two.
        - dagitty: ``dag { D [exposure] Y [outcome] U [latent] Z [adjusted] D <- { U Z } -> Y }``, as dagitty.net and R
          write it. The marks of nodes are the defaults of :meth:`identify`.
        - DOT: text that begins with ``digraph`` or ``strict digraph``; ``a <-> b`` and ``[dir=both]`` are a common
          cause, ``[observed=no]`` and ``[latent=true]`` make a node latent.
        - GML: text whose first block is ``graph [``; it takes the extra ``networkx``.
        - A dict from node to its children; an iterable of pairs (parent, child); a networkx ``DiGraph``.
    bidirected : iterable of pairs, optional
        Further unobserved common causes.
    latent : iterable of nodes, optional
        Nodes that no column holds.
    observed : iterable of nodes, optional
        The nodes that columns hold; every other one is latent.

    Attributes
    ----------
    nodes : tuple
        In the order in which they were written.
    edges : tuple of (parent, child)
    bidirected : tuple of pairs
    latent, observed : frozenset
    treatment, outcome, adjusted : tuple
        Nodes that the text marks ``[exposure]``, ``[outcome]`` and ``[adjusted]``. They are a question and no claim:
        graphs are compared without them.

    Raises
    ------
    GraphError
        A cycle, a self-loop, malformed text (with line and column), an undirected graph, two graphs, text that is empty
        or over 1 MB, an iterator of over 10,000,000 edges, a name in `latent` or `observed` that is no node.

    Examples
    --------
    >>> g = CausalGraph("severity -> medication -> readmission <- severity")
    >>> g.parents("readmission")
    ('medication', 'severity')
    """

    __slots__ = (
        "_bidirected",
        "_edges",
        "_hash",
        "_indexed",
        "_latent",
        "_marks",
        "_nodes",
        "_order",
        "_seat",
    )

    _nodes: tuple[Any, ...]
    _edges: tuple[tuple[Any, Any], ...]
    _bidirected: tuple[tuple[Any, Any], ...]
    _latent: frozenset[Any]
    _marks: dict[str, tuple[Any, ...]]
    _indexed: IndexedGraph
    _order: list[int]
    _seat: list[int]
    _hash: int

    def __init__(
        self,
        edges: Any,
        *,
        bidirected: Iterable[Any] = (),
        latent: Iterable[Any] = (),
        observed: Iterable[Any] | None = None,
    ) -> None:
        drawing = _drawing(edges)
        drawing.pairs(bidirected)
        if not drawing.nodes:
            raise GraphError("the graph has no nodes")
        hidden = _latent_nodes(drawing, latent, observed)
        put = object.__setattr__
        put(self, "_nodes", tuple(drawing.nodes))
        put(self, "_edges", tuple(drawing.edges))
        put(self, "_bidirected", tuple(drawing.bidirected))
        put(self, "_latent", hidden)
        put(self, "_marks", {role: tuple(v for v in self._nodes if v in drawing.marks[role]) for role in MARKS})
        # Integers follow the sorted names, so that equal graphs get equal answers however they were written.
        names = tuple(sorted(drawing.nodes, key=lambda v: (str(v), type(v).__name__)))
        place = {name: k for k, name in enumerate(names)}
        written = {name: k for k, name in enumerate(self._nodes)}
        put(self, "_seat", [written[name] for name in names])
        hidden_flags = flags(len(names), (place[v] for v in hidden))
        put(self, "_indexed", IndexedGraph(names, place, self._nodes, hidden_flags, _adjacency(drawing, place)))
        put(self, "_order", self._sorted_by_causes())
        pairs = frozenset(frozenset(p) for p in self._bidirected)
        put(self, "_hash", hash((frozenset(self._nodes), frozenset(self._edges), pairs, hidden)))

    # -- what it holds -----------------------------------------------------------------------------------------------

    @property
    def indexed(self) -> IndexedGraph:
        """The graph as integers, which algorithms read."""
        return self._indexed

    @property
    def nodes(self) -> tuple[Any, ...]:
        """Every node, in the order in which they were written."""
        return self._nodes

    @property
    def edges(self) -> tuple[tuple[Any, Any], ...]:
        """Pairs (parent, child)."""
        return self._edges

    @property
    def bidirected(self) -> tuple[tuple[Any, Any], ...]:
        """Pairs with an unobserved common cause that is no node."""
        return self._bidirected

    @property
    def latent(self) -> frozenset[Any]:
        """Nodes that are not observed."""
        return self._latent

    @property
    def observed(self) -> frozenset[Any]:
        """Nodes that are observed."""
        return frozenset(self._nodes) - self._latent

    @property
    def treatment(self) -> tuple[Any, ...]:
        """Nodes marked as the treatment."""
        return self._marks["treatment"]

    @property
    def outcome(self) -> tuple[Any, ...]:
        """Nodes marked as the outcome."""
        return self._marks["outcome"]

    @property
    def adjusted(self) -> tuple[Any, ...]:
        """Nodes marked as adjusted for whatever else is."""
        return self._marks["adjusted"]

    def parents(self, node: Hashable) -> tuple[Any, ...]:
        """Direct causes of a node."""
        return self._written(self._indexed.lists.parents[self._indexed.position(node)])

    def children(self, node: Hashable) -> tuple[Any, ...]:
        """Direct effects of a node."""
        return self._written(self._indexed.lists.children[self._indexed.position(node)])

    def siblings(self, node: Hashable) -> tuple[Any, ...]:
        """Nodes joined to a node by ``<->``."""
        return self._written(self._indexed.lists.siblings[self._indexed.position(node)])

    # -- what follows ------------------------------------------------------------------------------------------------

    def ancestors(self, nodes: Hashable | Iterable[Hashable]) -> frozenset[Any]:
        """Causes of a node or of several, direct or not, and they themselves."""
        return self._indexed.named(ancestors(self._indexed.lists, self._indexed.positions_of(nodes)))

    def descendants(self, nodes: Hashable | Iterable[Hashable]) -> frozenset[Any]:
        """Effects of a node or of several, direct or not, and they themselves."""
        return self._indexed.named(descendants(self._indexed.lists, self._indexed.positions_of(nodes)))

    def topological_order(self) -> tuple[Any, ...]:
        """Every node after its causes; among free choices, in the order in which they were written."""
        return tuple(self._indexed.names[v] for v in self._order)

    def d_separated(
        self,
        a: Hashable | Iterable[Hashable],
        b: Hashable | Iterable[Hashable],
        given: Hashable | Iterable[Hashable] = (),
    ) -> bool:
        """Whether `given` separates `a` from `b`: m-separation, so ``<->`` and latent nodes count.

        Each is a node or an iterable of nodes. Independence in every distribution that the graph allows, and in no
        weaker sense.

        Raises
        ------
        GraphError
            For an unknown node, and where the three overlap.

        References
        ----------
        Richardson, T. (2003). Markov properties for acyclic directed mixed graphs. Scandinavian Journal of Statistics
        30(1), section 2.1.
        """
        ones, others, between = (
            self._indexed.positions_of(a),
            self._indexed.positions_of(b),
            self._indexed.positions_of(given),
        )
        for one, other in ((ones, others), (ones, between), (others, between)):
            both = set(one) & set(other)
            if both:
                raise GraphError(
                    f"{self._indexed.names[min(both)]!r} is on two sides of the question whether nodes are separated"
                )
        reached = connected(self._indexed.lists, ones, between)
        return not any(reached[v] for v in others)

    def districts(self) -> tuple[frozenset[Any], ...]:
        """Sets of observed nodes that hidden common causes hold together: the c-components of the latent projection."""
        projected = self._indexed.projected
        observed = {v for v, h in enumerate(self._indexed.hidden) if not h}
        label = {v: k for k, members in enumerate(projected.districts(observed)) for v in members}
        groups: dict[int, list[Any]] = {}
        for name in self._nodes:
            if name not in self._latent:
                groups.setdefault(label[self._indexed.positions[name]], []).append(name)
        return tuple(frozenset(g) for g in groups.values())

    def project(self) -> CausalGraph:
        """Return the graph on the observed nodes that makes the same claims about them (Verma and Pearl 1990).

        A directed path through latent nodes becomes an edge, a common cause that reaches two nodes through latent ones
        becomes ``<->``.
        """
        if not self._latent:
            return self
        drawing = GraphBuilder()
        for name in self._nodes:
            if name not in self._latent:
                drawing.node(name)
        if not drawing.nodes:
            raise GraphError("every node is latent, so nothing is left to project on")
        edges, pairs = project(self._indexed.lists, self._indexed.hidden)
        rank = {v: k for k, v in enumerate(self._order)}
        for a, b in sorted(edges, key=lambda e: (rank[e[0]], rank[e[1]])):
            drawing.edge(self._indexed.names[a], self._indexed.names[b])
        for a, b in sorted(pairs, key=lambda e: sorted((rank[e[0]], rank[e[1]]))):
            drawing.pair(self._indexed.names[a], self._indexed.names[b])
        for role, names in self._marks.items():
            drawing.marks[role] = dict.fromkeys(v for v in names if v not in self._latent)
        return CausalGraph(drawing)

    def identify(
        self,
        treatment: Hashable = None,
        outcome: Hashable = None,
        *,
        given: Hashable | Iterable[Hashable] | None = None,
        adjusted: Hashable | Iterable[Hashable] | None = None,
    ) -> Identification:
        """Ask whether, and how, the graph determines what an intervention does.

        Parameters
        ----------
        treatment : node, or list of nodes, optional
            Several are one joint intervention. By default the nodes that the graph marks.
        outcome : node, or list of nodes, optional
            By default the nodes that the graph marks.
        given : node, or list of nodes, optional
            The effect among those with these values.
        adjusted : node, or list of nodes, optional
            Nodes that every adjustment set must hold; the effect asked about stays that of all. By default the nodes
            that the graph marks and that have no other role here.

        Returns
        -------
        Identification

        Raises
        ------
        GraphError
            A node that is unknown or latent, or in two of the four; no treatment or outcome, marked or given.
        """
        from pandas_causal.identification.identification import Identification

        return Identification(self, treatment=treatment, outcome=outcome, given=given, adjusted=adjusted)

    def plot(
        self,
        *,
        treatment: Hashable = None,
        outcome: Hashable = None,
        adjustment: Iterable[Any] = (),
        ax: Axes | None = None,
    ) -> Axes:
        """Draw the graph in layers, causes above their effects; latent nodes and ``<->`` are dashed.

        Parameters
        ----------
        treatment, outcome : node or list of nodes, optional
            Coloured; by default those marked.
        adjustment : iterable of nodes, optional
            Coloured.
        ax : matplotlib Axes, optional

        Returns
        -------
        matplotlib Axes
        """
        from pandas_causal.graphs.picture import draw

        ends = {"treatment": treatment, "outcome": outcome}
        ends = {role: (self._marks[role] or None) if given is None else given for role, given in ends.items()}
        return draw(self, **ends, adjustment=adjustment, ax=ax)

    # -- Python ------------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a CausalGraph cannot be changed ({name}); build another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a CausalGraph cannot be changed ({name}); build another one")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CausalGraph):
            return NotImplemented
        return self._hash == other._hash and _facts(self) == _facts(other)

    def __hash__(self) -> int:
        return self._hash

    def __contains__(self, node: object) -> bool:
        return node in self._indexed

    def __len__(self) -> int:
        return len(self._nodes)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _rebuilt, (self._nodes, self._edges, self._bidirected, self._latent, self._marks)

    def __copy__(self) -> CausalGraph:
        return self

    def __deepcopy__(self, memo: object) -> CausalGraph:
        return self

    def __repr__(self) -> str:
        touched = {v for e in (*self._edges, *self._bidirected) for v in e}
        parts = [f"{a!s} -> {b!s}" for a, b in self._edges] + [f"{a!s} <-> {b!s}" for a, b in self._bidirected]
        parts += [str(v) for v in self._nodes if v not in touched]
        text = "; ".join(parts[:12]) + ("; ..." if len(parts) > 12 else "")
        latent = [str(v) for v in self._nodes if v in self._latent]
        hidden = f"; latent: {', '.join(latent[:8])}{', ...' if len(latent) > 8 else ''}" if latent else ""
        marks = "".join(f"; {role}: {', '.join(map(str, names[:8]))}" for role, names in self._marks.items() if names)
        return f"<CausalGraph of {len(self._nodes)} nodes: {text}{hidden}{marks}>"

    def _repr_html_(self) -> str:
        return f"<div>{self._drawn('inherits')}<p>{escape(repr(self))}</p></div>"

    def _repr_svg_(self) -> str | None:
        return self._drawn("alone") or None

    # -- private -----------------------------------------------------------------------------------------------------

    def _drawn(self, style: str) -> str:
        """The graph as SVG, its marks coloured; nothing where it is too large."""
        from pandas_causal.graphs.picture import draw_svg

        marks = self._marks
        return draw_svg(self, style, marks["treatment"] or None, marks["outcome"] or None, marks["adjusted"])

    def _written(self, nodes: Iterable[int]) -> tuple[Any, ...]:
        """Return names in the order in which they were written."""
        return tuple(self._indexed.names[v] for v in sorted(nodes, key=self._seat.__getitem__))

    def _sorted_by_causes(self) -> list[int]:
        """Kahn's algorithm, the node written first among those that are ready; or an error that shows a cycle."""
        written = self._seat
        place = [self._indexed.positions[v] for v in self._nodes]
        waiting = [len(p) for p in self._indexed.lists.parents]
        ready = [written[v] for v, count in enumerate(waiting) if not count]
        heapify(ready)
        order: list[int] = []
        while ready:
            v = place[heappop(ready)]
            order.append(v)
            for c in self._indexed.lists.children[v]:
                waiting[c] -= 1
                if not waiting[c]:
                    heappush(ready, written[c])
        if len(order) < len(place):
            raise GraphError(self._cycle(waiting))
        return order

    def _cycle(self, waiting: list[int]) -> str:
        """Walk from a node that never became ready to such a parent, until one comes back."""
        v = next(k for k, count in enumerate(waiting) if count)
        path: dict[int, None] = {}
        while v not in path:
            path[v] = None
            v = next(p for p in self._indexed.lists.parents[v] if waiting[p])
        walked = list(path)
        cycle = [*walked[walked.index(v) :], v][::-1]
        shown = [str(self._indexed.names[k]) for k in cycle]
        text = " -> ".join(shown if len(shown) <= 12 else [*shown[:11], "...", shown[-1]])
        return f"the graph has a cycle: {text}; causes come before effects, so give each time its own node"


def _drawing(edges: Any) -> GraphBuilder:
    if isinstance(edges, GraphBuilder):
        return edges
    return _copied(edges) if isinstance(edges, CausalGraph) else read(edges)


def _copied(graph: CausalGraph) -> GraphBuilder:
    drawing = GraphBuilder()
    drawing.nodes = dict.fromkeys(graph.nodes)
    drawing.edges = dict.fromkeys(graph.edges)
    drawing.bidirected = dict.fromkeys(graph.bidirected)
    drawing.latent = dict.fromkeys(v for v in graph.nodes if v in graph.latent)
    marked = {"treatment": graph.treatment, "outcome": graph.outcome, "adjusted": graph.adjusted}
    drawing.marks = {role: dict.fromkeys(names) for role, names in marked.items()}
    return drawing


def _rebuilt(
    nodes: Iterable[Hashable],
    edges: Iterable[tuple[Any, Any]],
    bidirected: Iterable[tuple[Any, Any]],
    latent: Iterable[Hashable],
    marks: Mapping[str, Iterable[Hashable]],
) -> CausalGraph:
    """Build a graph from its parts, for pickle."""
    drawing = GraphBuilder()
    drawing.nodes, drawing.edges = dict.fromkeys(nodes), dict.fromkeys(edges)
    drawing.bidirected, drawing.latent = dict.fromkeys(bidirected), dict.fromkeys(latent)
    drawing.marks = {role: dict.fromkeys(names) for role, names in marks.items()}
    return CausalGraph(drawing)


def as_graph(graph: Any) -> CausalGraph:
    """Return a graph as it is, and anything else that :class:`CausalGraph` reads as the graph it stands for."""
    return graph if isinstance(graph, CausalGraph) else CausalGraph(graph)


def _latent_nodes(drawing: GraphBuilder, latent: Any, observed: Any) -> frozenset[Any]:
    """Merge what `latent`, `observed` and the attributes of nodes say about which nodes are latent."""
    hidden = set(drawing.latent) | set(_known(drawing, "latent", latent))
    if observed is not None:
        seen = set(_known(drawing, "observed", observed))
        for name in drawing.nodes:
            if name in hidden and name in seen:
                raise GraphError(f"{name!r} is given as latent and as observed")
            if name not in seen:
                hidden.add(name)
    return frozenset(hidden)


def _known(drawing: GraphBuilder, argument: str, names: Any) -> list[Any]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise GraphError(f"{argument} takes a list of nodes: [{names!r}]")
    listed = list(bounded(names, argument))
    for name in listed:
        try:
            known = name in drawing.nodes
        except TypeError:
            known = False
        if not known:
            raise GraphError(f"{argument} names {name!r}, which is no node of the graph{suggest(name, drawing.nodes)}")
    return listed


def _adjacency(drawing: GraphBuilder, place: dict[Any, int]) -> AdjacencyLists:
    n = len(place)
    parents: list[list[int]] = [[] for _ in range(n)]
    children: list[list[int]] = [[] for _ in range(n)]
    siblings: list[list[int]] = [[] for _ in range(n)]
    for a, b in drawing.edges:
        if a == b:
            raise GraphError(f"{a!r} points to itself; give each time its own node")
        children[place[a]].append(place[b])
        parents[place[b]].append(place[a])
    for a, b in drawing.bidirected:
        if a == b:
            raise GraphError(f"{a!r} <-> {a!r}: a common cause is one of two nodes")
        siblings[place[a]].append(place[b])
        siblings[place[b]].append(place[a])
    for lists in (parents, children, siblings):
        for row in lists:
            row.sort()
    return AdjacencyLists(parents, children, siblings)


def _facts(graph: CausalGraph) -> tuple[Any, ...]:
    pairs = frozenset(frozenset(p) for p in graph.bidirected)
    return frozenset(graph.nodes), frozenset(graph.edges), pairs, graph.latent
