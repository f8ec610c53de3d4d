"""Formulas in probabilities of observed columns: P( | ), products, sums and ratios.

Variables are integers. A sum binds its variables; the same integer outside is another variable, and is written with a
prime when both are in sight. Parts may be shared, so a formula is a graph, and everything that walks it does so without
recursion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = [
    "Conditional",
    "Expression",
    "Product",
    "Ratio",
    "Sum",
    "factors",
    "postorder",
    "product",
    "ratio",
    "summed",
]


@dataclass(frozen=True)
class Conditional:
    """P(left | given)."""

    left: int
    given: tuple[int, ...]

    @property
    def free(self) -> frozenset[int]:
        """Variables that are not bound by a sum."""
        return frozenset((self.left, *self.given))

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The formulas that it is made of."""
        return ()


@dataclass(frozen=True, eq=False)
class Product:
    """The product of formulas; of none, it is 1."""

    parts: tuple[Expression, ...]
    free: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "free", frozenset[int]().union(*(p.free for p in self.parts)))


@dataclass(frozen=True, eq=False)
class Sum:
    """The sum of a formula over every value of some variables."""

    over: tuple[int, ...]
    body: Expression
    free: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "free", self.body.free.difference(self.over))

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The formulas that it is made of."""
        return (self.body,)


@dataclass(frozen=True, eq=False)
class Ratio:
    """One formula divided by another."""

    above: Expression
    below: Expression
    free: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "free", self.above.free | self.below.free)

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The formulas that it is made of."""
        return (self.above, self.below)


Expression = Conditional | Product | Sum | Ratio


def factors(expression: Expression) -> tuple[Expression, ...]:
    """Return the factors of a product, or the formula alone."""
    return expression.parts if isinstance(expression, Product) else (expression,)


def product(parts: Iterable[Expression]) -> Expression:
    """Multiply; products inside are opened, a single factor stays as it is."""
    flat = tuple(f for p in parts for f in factors(p))
    return flat[0] if len(flat) == 1 else Product(flat)


def summed(over: Iterable[int], expression: Expression) -> Expression:
    """Sum out variables that are free in a formula.

    P(v | ...) that no other factor shares v with sums to 1, a sum moves into the one factor that has its variable, and
    factors without the variables move out.
    """
    wanted = set(over)
    if not wanted:
        return expression
    if isinstance(expression, Sum) and not wanted & set(expression.over):
        return summed(wanted.union(expression.over), expression.body)
    left = _without_those_that_sum_to_one(list(factors(expression)), wanted)
    if any(isinstance(f, Sum) for f in left) and len(left) > 1:
        shared = Counter(v for f in left for v in f.free if v in wanted)
        for k, f in enumerate(left):
            removable = {v for v in f.free if v in wanted and shared[v] == 1} if isinstance(f, Sum) else set()
            if removable:
                left[k] = summed(removable, f)
                wanted -= removable
    outside = [f for f in left if not f.free & wanted]
    inside = [f for f in left if f.free & wanted]
    return product([*outside, Sum(tuple(sorted(wanted)), product(inside))] if wanted else outside)


def _without_those_that_sum_to_one(left: list[Expression], wanted: set[int]) -> list[Expression]:
    """Drop P(v | ...) of variables that nothing else shares; `wanted` loses these variables."""
    shared = Counter(v for f in left for v in f.free if v in wanted)
    conditionals = {f.left: f for f in left if isinstance(f, Conditional) and f.left in wanted}
    gone: set[int] = set()
    ready = [v for v in conditionals if shared[v] == 1]
    while ready:
        v = ready.pop()
        gone.add(id(conditionals[v]))
        wanted.discard(v)
        for w in conditionals[v].given:
            if w in wanted:
                shared[w] -= 1
                if shared[w] == 1 and w in conditionals:
                    ready.append(w)
    return [f for f in left if id(f) not in gone]


def ratio(above: Expression, below: Expression) -> Expression:
    """Divide; factors that both share cancel."""
    up, down = list(factors(above)), []
    for f in factors(below):
        same = next((k for k, g in enumerate(up) if g is f or (isinstance(f, Conditional) and g == f)), None)
        if same is None:
            down.append(f)
        else:
            del up[same]
    return product(up) if not down else Ratio(product(up), product(down))


def postorder(root: Expression) -> Sequence[Expression]:
    """Every distinct part, each after the parts that it is made of."""
    order: list[Expression] = []
    done: set[int] = set()
    stack: list[tuple[Expression, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if id(node) in done:
            continue
        if ready:
            done.add(id(node))
            order.append(node)
        else:
            stack.append((node, True))
            stack += [(p, False) for p in node.parts]
    return order
