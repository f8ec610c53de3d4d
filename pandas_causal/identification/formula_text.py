"""A formula as text and as LaTeX.

Parts that are long and used inside ratios get names (Q1, Q2, ...) and are written once, after "where": a ratio repeats
what it divides, and ratios inside ratios would double the text at every level.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from pandas_causal.identification.formula import Conditional, Expression, Product, Ratio, Sum, factors, postorder

__all__ = ["latex_name", "write"]

LONGEST_INLINE = 12  # probabilities in a part of a ratio that is written where it stands


class _Style:
    """How the pieces of a formula look as plain text."""

    gap = " "

    def name(self, name: Hashable) -> str:
        return str(name)

    def conditional(self, left: str, given: Sequence[str]) -> str:
        return f"P({left} | {', '.join(given)})" if given else f"P({left})"

    def total(self, over: Sequence[str]) -> str:
        return f"Σ_{{{', '.join(over)}}} "

    def ratio(self) -> tuple[str, str, str]:
        return "[", "] / [", "]"

    def brackets(self) -> tuple[str, str]:
        return "[", "]"

    def term(self, number: int, arguments: Sequence[str]) -> str:
        return f"Q{number}({', '.join(arguments)})"

    def where(self, terms: Sequence[tuple[str, str]]) -> str:
        return "".join(f"\n  where {name} = {body}" for name, body in terms)


class _Latex(_Style):
    r"""How they look in LaTeX; names are upright, their special signs escaped."""

    gap = r"\, "

    def name(self, name: Hashable) -> str:
        return latex_name(name)

    def conditional(self, left: str, given: Sequence[str]) -> str:
        return rf"P({left} \mid {', '.join(given)})" if given else f"P({left})"

    def total(self, over: Sequence[str]) -> str:
        return rf"\sum_{{{', '.join(over)}}} "

    def ratio(self) -> tuple[str, str, str]:
        return r"\frac{", "}{", "}"

    def brackets(self) -> tuple[str, str]:
        return r"\left[", r"\right]"

    def term(self, number: int, arguments: Sequence[str]) -> str:
        return f"Q_{{{number}}}({', '.join(arguments)})"

    def where(self, terms: Sequence[tuple[str, str]]) -> str:
        return "".join(rf", \quad {name} = {body}" for name, body in terms)


def latex_name(name: Hashable) -> str:
    r"""Return a node's name for math mode: upright, with ``_ % & # $ { } ~ ^ \`` escaped and spaces kept."""
    special = {"\\": r"\backslash{}", "~": r"\sim{}", "^": r"\hat{}", " ": r"\ "}
    text = "".join(special.get(c, f"\\{c}" if c in "_%&#${}" else c) for c in str(name))
    return rf"\mathrm{{{text}}}"


def write(
    expression: Expression, names: Sequence[Any], rank: Sequence[int], visible: frozenset[int], *, latex: bool
) -> str:
    """Write a formula; bound variables that share the name of a visible one get a prime.

    Parameters
    ----------
    expression : Expression
    names : sequence
        Names of the variables.
    rank : sequence of int
        Topological ranks: effects are written before causes.
    visible : frozenset of int
        Variables that the left-hand side shows.
    latex : bool
    """
    style = _Latex() if latex else _Style()
    terms = _named(expression)
    body = _written(expression, style, names, rank, visible | expression.free, terms)
    listed = []
    for part, number in terms.values():
        arguments = [style.name(names[v]) for v in sorted(part.free, key=rank.__getitem__)]
        parts = {**terms, id(part): (part, 0)}
        listed.append((style.term(number, arguments), _written(part, style, names, rank, part.free, parts)))
    return body + style.where(listed)


def _named(expression: Expression) -> dict[int, tuple[Expression, int]]:
    """Parts of ratios that are too long to be repeated, each with its number."""
    sizes: dict[int, int] = {}
    shared: dict[int, tuple[Expression, int]] = {}
    for node in postorder(expression):
        size = 1 if isinstance(node, Conditional) else sum(sizes[id(p)] for p in node.parts)
        if isinstance(node, Ratio):
            for part in node.parts:
                if sizes[id(part)] > LONGEST_INLINE and id(part) not in shared:
                    shared[id(part)] = (part, len(shared) + 1)
            size = sum(1 if id(p) in shared else sizes[id(p)] for p in node.parts)
        sizes[id(node)] = size
    return shared


def _written(
    root: Expression,
    style: _Style,
    names: Sequence[Any],
    rank: Sequence[int],
    visible: frozenset[int],
    terms: Mapping[int, tuple[Expression, int]],
) -> str:
    """Write one formula: a stack of pieces of text and of formulas that still are to be written."""
    shown = {v: style.name(names[v]) for v in visible}
    pieces: list[str] = []
    stack: list[Any] = [(root, shown)]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            pieces.append(item)
            continue
        node, scope = item
        number = terms[id(node)][1] if id(node) in terms else 0
        if number:
            pieces.append(style.term(number, [scope[v] for v in sorted(node.free, key=rank.__getitem__)]))
        elif isinstance(node, Conditional):
            pieces.append(style.conditional(scope[node.left], [scope[v] for v in node.given]))
        elif isinstance(node, Sum):
            inner, taken = dict(scope), set(scope.values())
            for v in node.over:
                name = style.name(names[v])
                while name in taken:
                    name += "'"
                inner[v] = name
                taken.add(name)
            pieces.append(style.total([inner[v] for v in sorted(node.over, key=rank.__getitem__)]))
            stack.append((node.body, inner))
        elif isinstance(node, Ratio):
            opening, middle, closing = style.ratio()
            stack += [closing, (node.below, scope), middle, (node.above, scope), opening]
        else:
            stack += _product(node, style, rank, scope, terms)
    return "".join(pieces)


def _product(node: Product, style: _Style, rank: Sequence[int], scope: Any, terms: Any) -> list[Any]:
    """Factors, probabilities first and effects before causes, then sums, of which all but the last need brackets."""
    if not node.parts:
        return ["1"]
    plain = [f for f in factors(node) if isinstance(f, Conditional)]
    plain.sort(key=lambda f: rank[f.left], reverse=True)
    other = [f for f in factors(node) if not isinstance(f, Conditional)]
    ordered: list[Expression] = [*plain, *sorted(other, key=lambda f: isinstance(f, Sum))]
    opening, closing = style.brackets()
    pieces: list[Any] = []
    for k, f in enumerate(ordered):
        gap = style.gap if k else ""
        bracket = isinstance(f, Sum) and k < len(ordered) - 1 and not (id(f) in terms and terms[id(f)][1])
        pieces += [gap + opening, (f, scope), closing] if bracket else [gap, (f, scope)]
    return pieces[::-1]
