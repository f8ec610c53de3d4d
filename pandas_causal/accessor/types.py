"""What a question takes, for those who read or check signatures; nothing of it is loaded at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from typing import Protocol, TypeAlias

    from pandas_causal.estimator import CausalEstimator
    from pandas_causal.graphs.graph import CausalGraph

    class PydotGraph(Protocol):
        """A graph of pydot."""

        def to_string(self) -> str:
            """Return its DOT."""
            ...

    # a short name, the name of the class, the class, or an instance
    EstimatorLike: TypeAlias = "str | type[CausalEstimator] | CausalEstimator"
    # a graph, or what makes one: text, node -> children, pairs (parent, child), a graph of networkx or pydot
    GraphLike: TypeAlias = "CausalGraph | str | Mapping[Hashable, Iterable[Hashable]] | Iterable[Hashable] | PydotGraph"
