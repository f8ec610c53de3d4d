"""The language of dagitty (dagitty.net, and R's dagitty and ggdag): DOT with mixed arrows, and roles of nodes.

Textor, J., van der Zander, B., Gilthorpe, M., Liśkiewicz, M. and Ellison, G. (2016). Robust causal inference using
directed acyclic graphs: the R package 'dagitty'. International Journal of Epidemiology 45(6).
"""

from __future__ import annotations

import re

from pandas_causal.errors import suggest
from pandas_causal.graphs.reading.builder import GraphBuilder
from pandas_causal.graphs.reading.dot import DotReader, Token

__all__ = ["is_dagitty", "read_dagitty"]

_HEADER = re.compile(r'\s*+(dag|pdag|mag|pag|admg)\b\s*(?:\w+|"[^"]*")?\s*\{', re.IGNORECASE)
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<arrow>@->|<-@|--@|@--|@-@|<->|->|--|<-)
    |(?P<quoted>"(?:[^"\\]|\\.)*")
    |(?P<name>-?[\w.]+)
    |(?P<sign>[{}\[\];,=:+])""",
    re.VERBOSE | re.DOTALL,
)
# What dagitty calls a role, and what it is in a question to a graph.
_ROLES = {
    "exposure": "treatment",
    "source": "treatment",
    "e": "treatment",
    "outcome": "outcome",
    "target": "outcome",
    "o": "outcome",
    "adjusted": "adjusted",
    "a": "adjusted",
}
_LATENT = ("latent", "unobserved", "l", "u")
_SELECTED = ("selected", "s")
_OTHERS = {
    "pdag": "directions that are not known",
    "mag": "ancestors and selection instead of causes",
    "pag": "ends of edges that are not known",
}


def is_dagitty(text: str) -> bool:
    """Whether a text begins as dagitty's do: a kind of graph and a brace."""
    return _HEADER.match(text) is not None


def read_dagitty(text: str) -> GraphBuilder:
    """Read ``dag { ... }``; positions, labels and other attributes with a value say nothing of causes.

    Raises
    ------
    GraphError
        With line and column: malformed text, a graph of another kind than dag, an edge without direction, a node marked
        as selected, and marks that are none of dagitty's.
    """
    return _Reader(text).read()


class _Reader(DotReader):
    """DOT, but for what is below."""

    language = "dagitty"
    pattern = _TOKEN

    def header(self) -> None:
        """Read ``dag {`` or ``dag "name" {``."""
        kind = self.take()
        if not self.peek("{"):
            self.identifier("'{'")
        self.expect("{")
        if not kind.is_word("dag"):
            other = _OTHERS.get(kind.text.lower())
            why = f", which has {other}" if other else ""
            raise self.error(kind, f"a {kind.text}{why}; only a dag says what causes what: write dag {{ ... }}")

    def refuse_arrow(self, arrow: Token) -> None:
        """Refuse edges without direction."""
        if arrow.text not in ("->", "<-", "<->"):
            raise self.error(arrow, f"{arrow.text!r} is no direction; a dag has ->, <- and <->")

    def link(self, tail: str, head: str, arrow: Token, attributes: dict[str, str]) -> None:
        """Add the edge of an arrow; what stands in brackets after it belongs to the edge."""
        marked = [key for key in attributes if key in _ROLES or key in (*_LATENT, *_SELECTED)]
        if marked:
            text = (
                f"[{marked[0]}] stands after an edge; a node is marked in a statement of its own: {head} [{marked[0]}]"
            )
            raise self.error(arrow, text)
        if arrow.text == "<->":
            self.drawing.pair(tail, head)
        else:
            self.drawing.edge(*((tail, head) if arrow.text == "->" else (head, tail)))

    def describe(self, names: list[str], attributes: dict[str, str], at: Token) -> None:
        """Read the roles of nodes."""
        for key, value in attributes.items():
            if key in _ROLES:
                self.drawing.marks[_ROLES[key]].update(dict.fromkeys(names))
            elif key in _LATENT:
                self.drawing.latent.update(dict.fromkeys(names))
            elif key in _SELECTED:
                text = f"{names[0]} is [{key}]: that rows are there because of a node is nothing a CausalGraph can say"
                raise self.error(at, f"{text}; leave it out, and read effects as those among the rows selected")
            elif value == "true":  # alone, without "="
                known = ["exposure", "outcome", "adjusted", "latent"]
                raise self.error(at, f"[{key}] is no mark of a node{suggest(key, known)}; use one of {known}")
