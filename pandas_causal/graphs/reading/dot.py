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

__all__ = ["read_dot"]

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
class _Token:
    kind: str
    text: str
    at: int

    @property
    def end(self) -> int:
        return self.at + len(self.text)

    def is_word(self, *words: str) -> bool:
        return self.kind == "name" and self.text.lower() in words


@dataclass
class _Scope:
    """A pair of braces: the defaults inside, the nodes met inside, and the statement that is being read."""

    node: dict[str, str] = field(default_factory=dict)
    edge: dict[str, str] = field(default_factory=dict)
    members: dict[str, None] = field(default_factory=dict)
    chain: list[list[str]] = field(default_factory=list)
    arrows: list[_Token] = field(default_factory=list)


def read_dot(text: str) -> GraphBuilder:
    """Read one digraph.

    Raises
    ------
    GraphError
        With line and column: malformed text, an undirected graph, two graphs.
    """
    return _Reader(text).read()


class _Reader:
    """One text on its way to a drawing: a stack of scopes instead of recursion, so that nothing is too deep."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.next = 0
        self.drawing = GraphBuilder()

    def read(self) -> GraphBuilder:
        self._header()
        scopes = [_Scope()]
        while scopes:
            token = self._take()
            scope = scopes[-1]
            if token.kind == "sign" and token.text == "}":
                if scope.arrows and len(scope.chain) == len(scope.arrows):
                    raise self._error(token, f"{scope.arrows[-1].text!r} leads nowhere")
                scopes.pop()
                if scopes:
                    scopes[-1].members.update(scope.members)
                    self._endpoint(scopes[-1], list(scope.members))
            elif token.is_word("subgraph") or (token.text == "{" and token.kind == "sign"):
                if token.kind == "name":
                    if not self._peek("{"):
                        self._identifier("the name of a subgraph or '{'")
                    self._expect("{")
                scopes.append(_Scope(dict(scope.node), dict(scope.edge)))
            elif token.kind == "sign" and token.text in ";,":
                if scope.arrows or token.text == ",":
                    raise self._error(token, f"unexpected {token.text!r}")
            else:
                self._statement(scope, token)
        self._footer()
        return self.drawing

    # -- statements --------------------------------------------------------------------------------------------------

    def _header(self) -> None:
        token = self._take()
        if token.is_word("strict"):
            token = self._take()
        undirected = token.is_word("graph")
        if not self._peek("{"):
            self._identifier("'{' (text that begins with 'graph' is read as DOT; put a node of that name in quotes)")
        self._expect("{")
        if undirected:
            raise self._error(token, "an undirected graph; causes have a direction: write digraph and ->")

    def _footer(self) -> None:
        if self.next < len(self.tokens) - 1:
            token = self._take()
            if token.is_word("graph", "digraph", "strict"):
                raise self._error(token, "a second graph; give one graph at a time")
            raise self._error(token, f"unexpected {token.text!r} after the graph")
        if not self.drawing.nodes:
            raise GraphError("the DOT graph is empty: it has no node")

    def _statement(self, scope: _Scope, token: _Token) -> None:
        """One that begins with a word: defaults, an attribute of the graph, or a node that may begin a chain."""
        if token.is_word("graph", "node", "edge") and not scope.arrows and not self._peek("="):
            attributes = self._attributes()
            if token.is_word("node"):
                scope.node.update(attributes)
            elif token.is_word("edge"):
                scope.edge.update(attributes)
            return
        name = self._name(token)
        if self._peek("=") and not scope.arrows:
            self._take()
            self._identifier("a value")
            return
        while self._peek(":"):  # ports say where on the picture of a node an edge ends
            self._take()
            self._identifier("a port")
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
            self._take()
            if token.text == "--":
                raise self._error(token, "'--' is no direction; write ->")
            if token.text == "<-":
                raise self._error(token, "DOT has no '<-'; turn the edge round and write ->")
            scope.arrows.append(token)
            return
        attributes = self._attributes() if self._peek("[") else {}
        if scope.arrows:
            self._edges(scope, {**scope.edge, **attributes})
        elif hidden(attributes):
            self.drawing.latent.update(dict.fromkeys(names))
        elif {"observed", "latent"} & set(attributes):
            for name in names:
                self.drawing.latent.pop(name, None)
        scope.chain, scope.arrows = [], []

    def _edges(self, scope: _Scope, attributes: dict[str, str]) -> None:
        for k, arrow in enumerate(scope.arrows):
            tails, heads = scope.chain[k], scope.chain[k + 1]
            many = len(self.drawing.edges) + len(self.drawing.bidirected) + len(tails) * len(heads)
            if many > _MOST_EDGES:
                raise self._error(arrow, f"the text stands for more than {_MOST_EDGES:,} edges")
            direction = "both" if arrow.text == "<->" else attributes.get("dir", "forward")
            for tail in tails:
                for head in heads:
                    direct(self.drawing, tail, head, direction)

    def _attributes(self) -> dict[str, str]:
        attributes: dict[str, str] = {}
        if not self._peek("["):
            raise self._error(self._take(), "expected '['")
        while self._peek("["):
            self._take()
            while not self._peek("]"):
                if self._peek(",") or self._peek(";"):
                    self._take()
                    continue
                key = self._identifier("an attribute or ']'")
                attributes[key] = "true"
                if self._peek("="):
                    self._take()
                    attributes[key] = self._identifier("a value")
            self._take()
        return attributes

    # -- tokens ------------------------------------------------------------------------------------------------------

    def _tokens(self) -> list[_Token]:
        tokens: list[_Token] = []
        at, text = 0, self.text
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is not None and match.lastgroup is not None:
                if match.lastgroup == "name" and tokens and tokens[-1].kind == "name" and tokens[-1].end == at:
                    whole = tokens[-1].text + match[0]  # DOT itself reads two names in x.1 and in 1x
                    raise self._error(tokens[-1], f'{whole} is no name in DOT; put it in quotes: "{whole}"')
                if match.lastgroup != "space":
                    tokens.append(_Token(match.lastgroup, match[0], at))
                at = match.end()
            elif text[at] == "<":
                end = self._html(at)
                tokens.append(_Token("html", text[at:end], at))
                at = end
            elif text[at] == '"' or text.startswith("/*", at):
                raise self._error(_Token("", "", at), "a quote or comment that is never closed")
            else:
                raise self._error(_Token("", "", at), f"unexpected {text[at]!r}")
        tokens.append(_Token("end", "", len(text)))
        return tokens

    def _html(self, start: int) -> int:
        depth = 0
        for match in re.compile("[<>]").finditer(self.text, start):
            depth += 1 if match[0] == "<" else -1
            if depth == 0:
                return match.end()
        raise self._error(_Token("", "", start), "'<' is never closed")

    def _take(self) -> _Token:
        token = self.tokens[self.next]
        if token.kind == "end":
            raise self._error(token, "the text ends before the graph does; a '}' is missing")
        self.next += 1
        return token

    def _peek(self, sign: str) -> bool:
        token = self.tokens[self.next]
        return token.kind == "sign" and token.text == sign

    def _expect(self, sign: str) -> None:
        token = self._take()
        if token.kind != "sign" or token.text != sign:
            raise self._error(token, f"expected {sign!r}, found {token.text!r}")

    def _identifier(self, expected: str) -> str:
        token = self._take()
        if token.kind not in ("name", "quoted", "html"):
            raise self._error(token, f"expected {expected}, found {token.text!r}")
        return self._value(token)

    def _name(self, token: _Token) -> str:
        if token.kind not in ("name", "quoted", "html"):
            raise self._error(token, f"expected a node, found {token.text!r}")
        if token.is_word("node", "edge", "graph", "digraph", "strict"):
            raise self._error(token, f"{token.text!r} is a word of DOT; put it in quotes where it names a node")
        name = self._value(token)
        if not name.strip():
            raise self._error(token, "an empty name")
        return name

    def _value(self, token: _Token) -> str:
        if token.kind != "quoted":
            return token.text
        parts = [token.text[1:-1]]
        while self._peek("+"):
            self._take()
            joined = self._take()
            if joined.kind != "quoted":
                raise self._error(joined, "'+' joins quoted texts only")
            parts.append(joined.text[1:-1])
        return "".join(parts).replace("\\\n", "").replace('\\"', '"').replace("\\\\", "\\")

    def _error(self, token: _Token, message: str) -> GraphError:
        return GraphError(f"malformed DOT, {line_and_column(self.text, token.at)}: {message}")
