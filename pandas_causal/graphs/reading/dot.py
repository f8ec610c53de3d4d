"""DOT, the language of Graphviz, as far as it says which node points to which.

The reader is ours: pydot prints what it dislikes and returns None, reads ``a <-> b`` as three nodes and ``node [...]``
as one, keeps quotes in names, needs seconds for 5,000 edges and a frame of the stack for every brace. The tests compare
the two on texts that pydot reads rightly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pandas_causal.errors import GraphError
from pandas_causal.graphs.reading.builder import GraphBuilder, direct, hidden, line_and_column

__all__ = ["DotReader", "Token", "read_dot"]

_MOST_EDGES = 1_000_000  # {a ...} -> {b ...} multiplies, so a short text can mean any number

_TOKEN = re.compile(
    r"""(?P<space>\s*(?:\n|\A)[^\S\n]*\#[^\n]*|\s+|//[^\n]*|/\*.*?\*/)
    |(?P<arrow><->|->|--|<-)
    |(?P<quoted>"(?:[^"\\]|\\.)*")
    |(?P<name>[^\W\d]\w*|-?(?:\.\d+|\d+(?:\.\d*)?))
    |(?P<sign>[{}\[\];,=:+])""",
    re.VERBOSE | re.DOTALL,
)


@dataclass
class Token:
    """A piece of the text, its kind (a group of the pattern) and its position."""

    kind: str
    text: str
    at: int

    @property
    def end(self) -> int:
        """Position after it."""
        return self.at + len(self.text)

    def is_word(self, *words: str) -> bool:
        """Whether it is one of some words, in any case."""
        return self.kind == "name" and self.text.lower() in words


@dataclass
class _Scope:
    """A pair of braces: the defaults inside, the nodes met inside, and the statement that is being read."""

    node: dict[str, str] = field(default_factory=dict)
    edge: dict[str, str] = field(default_factory=dict)
    members: dict[str, None] = field(default_factory=dict)
    chain: list[list[str]] = field(default_factory=list)
    arrows: list[Token] = field(default_factory=list)


def read_dot(text: str) -> GraphBuilder:
    """Read one digraph.

    Raises
    ------
    GraphError
        With line and column: malformed text, an undirected graph, two graphs.
    """
    return DotReader(text).read()


class DotReader:
    """One text on its way to a drawing: a stack of scopes instead of recursion, so that nothing is too deep.

    A language that differs in its header, its arrows and what it says of nodes overrides `header`, `refuse_arrow`,
    `link` and `describe`.
    """

    language = "DOT"
    pattern = _TOKEN

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.next = 0
        self.drawing = GraphBuilder()

    def read(self) -> GraphBuilder:
        """Read the whole text."""
        self.header()
        scopes = [_Scope()]
        while scopes:
            token = self.take()
            scope = scopes[-1]
            if token.kind == "sign" and token.text == "}":
                if scope.arrows and len(scope.chain) == len(scope.arrows):
                    raise self.error(token, f"{scope.arrows[-1].text!r} leads nowhere")
                scopes.pop()
                if scopes:
                    scopes[-1].members.update(scope.members)
                    self._endpoint(scopes[-1], list(scope.members))
            elif token.is_word("subgraph") or (token.text == "{" and token.kind == "sign"):
                if token.kind == "name":
                    if not self.peek("{"):
                        self.identifier("the name of a subgraph or '{'")
                    self.expect("{")
                scopes.append(_Scope(dict(scope.node), dict(scope.edge)))
            elif token.kind == "sign" and token.text in ";,":
                if scope.arrows or token.text == ",":
                    raise self.error(token, f"unexpected {token.text!r}")
            else:
                self._statement(scope, token)
        self._footer()
        return self.drawing

    # -- what a language may do otherwise ----------------------------------------------------------------------------

    def header(self) -> None:
        """Read up to the brace that opens the graph."""
        token = self.take()
        if token.is_word("strict"):
            token = self.take()
        undirected = token.is_word("graph")
        if not self.peek("{"):
            self.identifier("'{' (text that begins with 'graph' is read as DOT; put a node of that name in quotes)")
        self.expect("{")
        if undirected:
            raise self.error(token, "an undirected graph; causes have a direction: write digraph and ->")

    def refuse_arrow(self, arrow: Token) -> None:
        """Refuse what is no edge between a cause and its effect."""
        if arrow.text == "--":
            raise self.error(arrow, "'--' is no direction; write ->")
        if arrow.text == "<-":
            raise self.error(arrow, "DOT has no '<-'; turn the edge round and write ->")

    def link(self, tail: str, head: str, arrow: Token, attributes: dict[str, str]) -> None:
        """Add the edge of an arrow."""
        direct(self.drawing, tail, head, "both" if arrow.text == "<->" else attributes.get("dir", "forward"))

    def describe(self, names: list[str], attributes: dict[str, str], at: Token) -> None:
        """Read the attributes of nodes, the text of which begins at a token."""
        if hidden(attributes):
            self.drawing.latent.update(dict.fromkeys(names))
        elif {"observed", "latent"} & set(attributes):
            for name in names:
                self.drawing.latent.pop(name, None)

    # -- statements --------------------------------------------------------------------------------------------------

    def _footer(self) -> None:
        if self.next < len(self.tokens) - 1:
            token = self.take()
            if token.is_word("graph", "digraph", "strict"):
                raise self.error(token, "a second graph; give one graph at a time")
            raise self.error(token, f"unexpected {token.text!r} after the graph")
        if not self.drawing.nodes:
            raise GraphError(f"the {self.language} graph is empty: it has no node")

    def _statement(self, scope: _Scope, token: Token) -> None:
        """One that begins with a word: defaults, an attribute of the graph, or a node that may begin a chain."""
        if token.is_word("graph", "node", "edge") and not scope.arrows and not self.peek("="):
            attributes = self._attributes()
            if token.is_word("node"):
                scope.node.update(attributes)
            elif token.is_word("edge"):
                scope.edge.update(attributes)
            return
        name = self._name(token)
        if self.peek("=") and not scope.arrows:
            self.take()
            self.identifier("a value")
            return
        while self.peek(":"):  # ports say where on the picture of a node an edge ends
            self.take()
            self.identifier("a port")
        if name not in self.drawing.nodes:
            self.drawing.node(name)
            if hidden(scope.node):
                self.drawing.latent[name] = None
        scope.members[name] = None
        self._endpoint(scope, [name])

    def _endpoint(self, scope: _Scope, names: list[str]) -> None:
        """Add one end to the statement; without a further arrow the statement is complete."""
        scope.chain.append(names)
        token = self.tokens[self.next]
        if token.kind == "arrow":
            self.take()
            self.refuse_arrow(token)
            scope.arrows.append(token)
            return
        attributes = self._attributes() if self.peek("[") else {}
        if scope.arrows:
            self._edges(scope, {**scope.edge, **attributes})
        elif attributes:
            self.describe(names, attributes, token)
        scope.chain, scope.arrows = [], []

    def _edges(self, scope: _Scope, attributes: dict[str, str]) -> None:
        for k, arrow in enumerate(scope.arrows):
            tails, heads = scope.chain[k], scope.chain[k + 1]
            many = len(self.drawing.edges) + len(self.drawing.bidirected) + len(tails) * len(heads)
            if many > _MOST_EDGES:
                raise self.error(arrow, f"the text stands for more than {_MOST_EDGES:,} edges")
            for tail in tails:
                for head in heads:
                    self.link(tail, head, arrow, attributes)

    def _attributes(self) -> dict[str, str]:
        attributes: dict[str, str] = {}
        if not self.peek("["):
            raise self.error(self.take(), "expected '['")
        while self.peek("["):
            self.take()
            while not self.peek("]"):
                if self.peek(",") or self.peek(";"):
                    self.take()
                    continue
                key = self.identifier("an attribute or ']'")
                attributes[key] = "true"
                if self.peek("="):
                    self.take()
                    attributes[key] = self.identifier("a value")
            self.take()
        return attributes

    # -- tokens ------------------------------------------------------------------------------------------------------

    def _tokens(self) -> list[Token]:
        tokens: list[Token] = []
        at, text = 0, self.text
        while at < len(text):
            match = self.pattern.match(text, at)
            if match is not None and match.lastgroup is not None:
                if match.lastgroup == "name" and tokens and tokens[-1].kind == "name" and tokens[-1].end == at:
                    whole = tokens[-1].text + match[0]  # DOT itself reads two names in x.1 and in 1x
                    text = f'{whole} is no name in {self.language}; put it in quotes: "{whole}"'
                    raise self.error(tokens[-1], text)
                if match.lastgroup != "space":
                    tokens.append(Token(match.lastgroup, match[0], at))
                at = match.end()
            elif text[at] == "<":
                end = self._html(at)
                tokens.append(Token("html", text[at:end], at))
                at = end
            elif text[at] == '"' or text.startswith("/*", at):
                raise self.error(Token("", "", at), "a quote or comment that is never closed")
            else:
                raise self.error(Token("", "", at), f"unexpected {text[at]!r}")
        tokens.append(Token("end", "", len(text)))
        return tokens

    def _html(self, start: int) -> int:
        depth = 0
        for match in re.compile("[<>]").finditer(self.text, start):
            depth += 1 if match[0] == "<" else -1
            if depth == 0:
                return match.end()
        raise self.error(Token("", "", start), "'<' is never closed")

    def take(self) -> Token:
        """Next piece of the text."""
        token = self.tokens[self.next]
        if token.kind == "end":
            raise self.error(token, "the text ends before the graph does; a '}' is missing")
        self.next += 1
        return token

    def peek(self, sign: str) -> bool:
        """Whether a sign comes next."""
        token = self.tokens[self.next]
        return token.kind == "sign" and token.text == sign

    def expect(self, sign: str) -> None:
        """Take a sign that has to come next."""
        token = self.take()
        if token.kind != "sign" or token.text != sign:
            raise self.error(token, f"expected {sign!r}, found {token.text!r}")

    def identifier(self, expected: str) -> str:
        """Take a name or a value."""
        token = self.take()
        if token.kind not in ("name", "quoted", "html"):
            raise self.error(token, f"expected {expected}, found {token.text!r}")
        return self._value(token)

    def _name(self, token: Token) -> str:
        if token.kind not in ("name", "quoted", "html"):
            raise self.error(token, f"expected a node, found {token.text!r}")
        if token.is_word("node", "edge", "graph", "digraph", "strict"):
            raise self.error(
                token, f"{token.text!r} is a word of {self.language}; put it in quotes where it names a node"
            )
        name = self._value(token)
        if not name.strip():
            raise self.error(token, "an empty name")
        return name

    def _value(self, token: Token) -> str:
        if token.kind != "quoted":
            return token.text
        parts = [token.text[1:-1]]
        while self.peek("+"):
            self.take()
            joined = self.take()
            if joined.kind != "quoted":
                raise self.error(joined, "'+' joins quoted texts only")
            parts.append(joined.text[1:-1])
        return "".join(parts).replace("\\\n", "").replace('\\"', '"').replace("\\\\", "\\")

    def error(self, token: Token, message: str) -> GraphError:
        """An error of ours at a piece of the text."""
        return GraphError(f"malformed {self.language}, {line_and_column(self.text, token.at)}: {message}")
