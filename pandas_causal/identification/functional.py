"""The functional: the formula that an effect is, or the hedge that forbids one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pandas_causal.graphs.reachability import ranks
from pandas_causal.identification.formula import Expression
from pandas_causal.identification.formula_text import latex_name, write

if TYPE_CHECKING:
    from pandas_causal.graphs.indexed import IndexedGraph

__all__ = ["Functional", "Hedge", "braces"]


@dataclass(frozen=True, eq=False)
class Functional:
    """The formula of P(outcome | do(treatment), given) in probabilities of observed columns.

    Attributes
    ----------
    treatment, outcome, given : tuple of nodes
    """

    graph: IndexedGraph
    expression: Expression
    treatment: tuple[Any, ...]
    outcome: tuple[Any, ...]
    given: tuple[Any, ...]

    @cached_property
    def free(self) -> tuple[Any, ...]:
        """Nodes that the formula names and its value does not depend on: any value of theirs will do."""
        in_question = {*self.treatment, *self.outcome, *self.given}
        return tuple(
            self.graph.names[v] for v in sorted(self.expression.free) if self.graph.names[v] not in in_question
        )

    @cached_property
    def text(self) -> str:
        """The formula as text; where a name would mean two things, the one summed over has a prime."""
        do = f"do({', '.join(map(str, self.treatment))})"
        condition = ", ".join([do, *map(str, self.given)])
        anyway = f"\n  for any value of {', '.join(map(str, self.free))}" if self.free else ""
        return f"P({', '.join(map(str, self.outcome))} | {condition}) = {self._written(latex=False)}{anyway}"

    @cached_property
    def latex(self) -> str:
        """The formula in LaTeX, without dollar signs."""
        do = rf"\mathrm{{do}}({_joined(self.treatment)})"
        condition = f"{do}, {_joined(self.given)}" if self.given else do
        anyway = rf" \quad \text{{for any }} {_joined(self.free)}" if self.free else ""
        return rf"P({_joined(self.outcome)} \mid {condition}) = {self._written(latex=True)}{anyway}"

    def _written(self, *, latex: bool) -> str:
        graph = self.graph
        visible = frozenset(graph.positions[v] for v in (*self.treatment, *self.outcome, *self.given))
        return write(self.expression, graph.names, ranks(graph.lists), visible, latex=latex)

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Hedge:
    """Why there is no formula: two sets of nodes that hidden causes hold together (Shpitser and Pearl 2006).

    Two models that agree on everything observed can differ in what the intervention does to `smaller`, because the
    treatment in `larger` and `smaller` share hidden causes that no observed node separates.

    Attributes
    ----------
    larger, smaller : frozenset of nodes
        The treatment is in the first only.
    """

    larger: frozenset[Any]
    smaller: frozenset[Any]

    @property
    def nodes(self) -> frozenset[Any]:
        """Nodes of the hedge."""
        return self.larger

    @property
    def reason(self) -> str:
        """What stands in the way, in words."""
        return f"hidden causes hold {braces(self.larger)} together, and {braces(self.smaller)} within them (a hedge)"

    @property
    def text(self) -> str:
        """That there is no formula, and why."""
        return f"not identified: {self.reason}"

    @property
    def latex(self) -> str:
        """The reason in LaTeX."""
        inner, outer = _joined(sorted(self.smaller, key=str)), _joined(sorted(self.larger, key=str))
        return rf"\text{{not identified: hedge }} \langle \{{{outer}\}}, \{{{inner}\}} \rangle"

    def __repr__(self) -> str:
        return self.text


def braces(names: Iterable[Hashable], most: int = 12) -> str:
    """Return names in braces, sorted; of many, the first."""
    shown = sorted(map(str, names))
    rest = f", ... ({len(shown)} nodes)" if len(shown) > most else ""
    return "{" + ", ".join(shown[:most]) + rest + "}"


def _joined(names: Sequence[Any]) -> str:
    return ", ".join(map(latex_name, names))
