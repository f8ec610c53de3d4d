"""Everything a graph can be given as, read into a :class:`GraphBuilder`.

Text is bounded in size before anything looks at it; nothing is printed, evaluated, or read as a path.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from pandas_causal.errors import GraphError, MissingDependencyError
from pandas_causal.graphs.reading.builder import GraphBuilder, bounded, direct, hidden, line_and_column
from pandas_causal.graphs.reading.dagitty import is_dagitty, read_dagitty
from pandas_causal.graphs.reading.dot import read_dot

__all__ = ["MOST_TEXT", "read"]

MOST_TEXT = 1_000_000  # bytes

_KINDS = 'text such as "a -> b; a <-> c", dagitty, DOT, a dict of children, a list of (parent, child), networkx, GML'
_DOT = re.compile(r"(?>\s+|//[^\n]*\n|/\*.*?\*/|#[^\n]*\n)*+(strict\s+)?(di)?graph\b", re.IGNORECASE | re.DOTALL)
_R_CALL = re.compile(r"\s*+(?:[\w.]+\s*(?:<-|=)\s*)?(?:dagitty::)?dagitty\s*\(")
_OLD_DAGITTY = re.compile(r"^\s*\S+\s+[EOAU1]\s+@-?[\d.]+,", re.MULTILINE)
_GML = re.compile(r"\s*+(?>(?:Creator|Version|Comment)\s[^\n]*\n\s*|#[^\n]*\n\s*)*+graph\s*\[", re.IGNORECASE)
_TOKEN = re.compile(
    r"""(?P<space>[^\S\n]+)
    |(?P<end>[\n,;])
    |(?P<arrow><->|->|<-)
    |(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<name>[^\s,;"'<>\-{}\[\]=→←↔]+)""",
    re.VERBOSE | re.DOTALL,
)


def read(edges: Any) -> GraphBuilder:
    """Read text, dagitty, DOT, GML, a dict of children, an edge list, a networkx graph or a pydot graph.

    Raises
    ------
    GraphError
        For anything else, and for what is malformed, with line and column where there are lines.
    """
    if isinstance(edges, str):
        return _read_text(edges)
    if isinstance(edges, bytes | bytearray):
        raise GraphError("the graph is given as bytes; decode them to text first")
    if _is_of("networkx", "Graph", edges):
        return _read_networkx(edges)
    if _is_of("pydot", "Dot", edges):
        return _read_text(edges.to_string())
    if isinstance(edges, Mapping):
        return _read_children(edges)
    if type(edges).__module__.partition(".")[0] == "pandas" or not isinstance(edges, Iterable):
        raise GraphError(f"a graph is given as {_KINDS}; got {type(edges).__name__}")
    return _read_pairs(edges)


def _read_text(text: str) -> GraphBuilder:
    """Decide which language a text is in."""
    if len(text) > MOST_TEXT or len(text.encode("utf-8", "replace")) > MOST_TEXT:
        raise GraphError(f"the text of the graph has {len(text):,} characters; at most {MOST_TEXT:,} bytes are read")
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise GraphError("the text of the graph is empty; write for example a -> b")
    if _GML.match(text):
        return _read_gml(text)
    if _DOT.match(text):
        return read_dot(text)
    if is_dagitty(text):
        return read_dagitty(text)
    if _R_CALL.match(text):
        raise GraphError("this is a call in R; give the text between its quotes, from 'dag {' to '}'")
    if _OLD_DAGITTY.search(text):
        raise GraphError("this is dagitty's old language; dagitty.net shows the model as 'dag { ... }', which is read")
    return _read_statements(text)


def _read_statements(text: str) -> GraphBuilder:
    """Read our own language: statements separated by commas, semicolons or new lines, each a chain of arrows."""
    drawing = GraphBuilder()
    last: str | None = None  # the name before
    arrow: str | None = None
    at, end = 0, len(text)
    while at < end:
        token = _TOKEN.match(text, at)
        if token is None:
            raise GraphError(f"{line_and_column(text, at)}: {_unexpected(text, at)}")
        kind, word, start, at = token.lastgroup, token[0], at, token.end()
        if kind == "space" or (kind == "end" and word == "\n" and arrow is not None):
            continue
        if kind == "end":
            if arrow is not None:
                raise GraphError(
                    f"{line_and_column(text, start)}: {arrow!r} leads nowhere; a name is missing before {word!r}"
                )
            last = None
        elif kind == "arrow":
            if last is None or arrow is not None:
                raise GraphError(f"{line_and_column(text, start)}: {word!r} has no name before it")
            arrow = word
        else:
            name = word if kind == "name" else re.sub(r"\\(.)", r"\1", word[1:-1], flags=re.DOTALL)
            if last is not None and arrow is None:
                raise GraphError(
                    f"{line_and_column(text, start)}: two names, {last!r} and {name!r}, without an arrow between them;"
                    " separate statements by commas, semicolons or new lines, and put a name that holds spaces"
                    " in quotes"
                )
            if not name.strip():
                raise GraphError(f"{line_and_column(text, start)}: an empty name")
            _link(drawing, last, arrow, name)
            last, arrow = name, None
    if arrow is not None:
        raise GraphError(f"{line_and_column(text, end)}: {arrow!r} leads nowhere; the text ends after it")
    return drawing


def _link(drawing: GraphBuilder, last: str | None, arrow: str | None, name: str) -> None:
    if last is None or arrow is None:
        drawing.node(name)
    elif arrow == "->":
        drawing.edge(last, name)
    elif arrow == "<-":
        drawing.node(last)
        drawing.edge(name, last)
    else:
        drawing.pair(last, name)


def _unexpected(text: str, at: int) -> str:
    if text[at] in "{[":
        return f"unexpected {text[at]!r}; sets in braces and marks in brackets stand in dagitty's dag {{ ... }}"
    if text[at] in "\"'":
        return f"the quote {text[at]} is never closed"
    return f"unexpected {text[at]!r}; arrows are ->, <- and <->, and a name that holds other signs goes in quotes"


def _read_children(children: Mapping[Any, Any]) -> GraphBuilder:
    drawing = GraphBuilder()
    for parent, below in bounded(children.items()):
        drawing.node(parent)
        if isinstance(below, str):
            drawing.edge(parent, below)
            continue
        if not isinstance(below, Iterable):
            raise GraphError(f"a dict maps a node to its children: {{{parent!r}: ['b', 'c']}}; got {below!r}")
        ordered = sorted(below, key=str) if isinstance(below, set | frozenset) else below
        for child in bounded(ordered):
            drawing.edge(parent, child)
    if not drawing.nodes:
        raise GraphError("the dict of children is empty, so there is no graph")
    return drawing


def _read_pairs(pairs: Iterable[Any]) -> GraphBuilder:
    drawing = GraphBuilder()
    listed = sorted(pairs, key=str) if isinstance(pairs, set | frozenset) else pairs
    for item in bounded(listed):
        if isinstance(item, str):
            raise GraphError(
                f"an edge list holds pairs (parent, child); got the text {item!r}: join texts with '; ' into one"
            )
        if not isinstance(item, Iterable):
            raise GraphError(f"an edge list holds pairs (parent, child); got {item!r}")
        pair = tuple(item.tolist()) if hasattr(item, "tolist") else tuple(item)
        if len(pair) != 2:
            raise GraphError(f"an edge list holds pairs (parent, child); got {pair!r}")
        drawing.edge(*pair)
    return drawing


def _is_of(package: str, name: str, value: object) -> bool:
    """Whether a value is of a class of a package, which is not imported for that."""
    module = sys.modules.get(package)
    return module is not None and isinstance(value, getattr(module, name, ()))


def _read_networkx(graph: Any) -> GraphBuilder:
    if not graph.is_directed():
        raise GraphError("the networkx graph is undirected; causes have a direction: give a DiGraph")
    drawing = GraphBuilder()
    for name, attributes in graph.nodes(data=True):
        drawing.node(name)
        if hidden(attributes):
            drawing.latent[name] = None
    for parent, child, attributes in graph.edges(data=True):
        direct(drawing, parent, child, str(attributes.get("dir", "forward")).strip('"'))
    return drawing


def _read_gml(text: str) -> GraphBuilder:
    try:
        import networkx
    except ImportError:
        raise MissingDependencyError("networkx", "networkx") from None

    def parsed(label: str) -> Any:
        return networkx.parse_gml(text, label=label)

    try:
        try:
            graph = parsed("label")
        except networkx.NetworkXError as error:
            if "label" not in str(error):
                raise
            graph = parsed("id")
    except (networkx.NetworkXException, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise GraphError(f"malformed GML: {error}") from None
    except RecursionError:
        raise GraphError("malformed GML: lists inside lists without end") from None
    return _read_networkx(graph)
