"""Complete identification of P(y | do(x)) and P(y | do(x), z) from a graph with hidden causes.

The algorithm works on c-factors Q[S] = P(s | do(everything else)), which makes one loop of Shpitser and Pearl's ID:
the districts of what remains of the outcomes' ancestors without the treatments are each found inside a district of the
whole, or a hedge shows that they cannot be (Tian and Pearl 2002; Huang and Valtorta 2006; Shpitser and Pearl 2006).

References
----------
Tian, J. and Pearl, J. (2002). On the testable implications of causal models with hidden variables. UAI.
Huang, Y. and Valtorta, M. (2006). Identifiability in causal Bayesian networks: a sound and complete algorithm. AAAI.
Shpitser, I. and Pearl, J. (2006). Identification of joint interventional distributions in recursive semi-Markovian
causal models. AAAI; and Identification of conditional interventional distributions. UAI.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pandas_causal.graphs.projection import Projected
from pandas_causal.graphs.reachability import AdjacencyLists, connected
from pandas_causal.identification.formula import Conditional, Expression, Product, product, ratio, summed

__all__ = ["HedgeFound", "exchange", "find_hedge", "identify"]


class HedgeFound(Exception):  # noqa: N818 (it is an answer, not an error of the user's)
    """Two C-forests that stand in the way (Shpitser and Pearl 2006, definition 6): `smaller` inside `larger`."""

    def __init__(self, larger: set[int], smaller: set[int]) -> None:
        super().__init__()
        self.larger, self.smaller = larger, smaller


def exchange(
    graph: AdjacencyLists, treatments: list[int], outcomes: list[int], given: list[int]
) -> tuple[list[int], list[int]]:
    """Move given nodes to the treatments while rule 2 of the do-calculus allows it: (treatments, given) after that.

    P(y | do(x), z, w) = P(y | do(x, z), w) where z and y are separated by x and w without the edges into x and out of
    z. The conditional effect is identified exactly when the joint of the outcomes and what then is left as given is
    (Shpitser and Pearl 2006, UAI).
    """
    acting, known = list(treatments), list(given)
    moved = True
    while moved:
        moved = False
        for z in known:
            others = [w for w in known if w != z]
            cut = graph.without_into(acting).without_out_of([z])
            reached = connected(cut, [z], [*acting, *others])
            if not any(reached[y] for y in outcomes):
                acting, known, moved = [*acting, z], others, True
                break
    return sorted(acting), sorted(known)


def find_hedge(view: Projected, observed: set[int], treatments: set[int], outcomes: set[int]) -> HedgeFound | None:
    """Return the hedge that forbids P(outcomes | do(treatments)), or None where it is identified; builds no formula."""
    above = view.ancestors(outcomes, observed)
    for wanted in view.districts(view.ancestors(outcomes, above - treatments)):
        inside = view.district({min(wanted)}, above)
        while True:
            needed = view.ancestors(wanted, inside)
            if needed == wanted:
                break
            if needed == inside:
                return HedgeFound(inside, wanted)
            inside = view.district({min(wanted)}, needed)
    return None


@dataclass
class _Factors:
    """The projection, a topological rank of its nodes, and the ancestors of the outcomes."""

    view: Projected
    rank: list[int]
    above: set[int]
    found: dict[int, Expression] = field(default_factory=dict)

    def whole(self, district: set[int]) -> Expression:
        """Return Q of a district among the ancestors: a product of P(v | what precedes v and matters to it)."""
        parts: list[Expression] = []
        order = sorted(district, key=self.rank.__getitem__)
        for k, v in enumerate(order):
            so_far = self.view.district({v}, set(order[: k + 1]))
            near = so_far.union(*(self.view.parents[w] for w in so_far)) & self.above
            parts.append(Conditional(v, tuple(sorted(near - {v}, key=self.rank.__getitem__))))
        return product(parts)

    def inside(self, whole: Expression, of: set[int], district: set[int]) -> Expression:
        """Return Q of one district of `of`, from Q[of]: a product of ratios of its sums (Tian and Pearl 2002)."""
        plain = {f.left: f for f in whole.parts if isinstance(f, Conditional)} if isinstance(whole, Product) else {}
        if isinstance(whole, Product) and len(plain) == len(whole.parts) == len(of) and set(plain) == of:
            return product(plain[v] for v in sorted(district, key=self.rank.__getitem__))
        order = sorted(of, key=self.rank.__getitem__)
        upto = [whole]  # from all of them down to none
        for v in reversed(order):
            upto.append(summed([v], upto[-1]))
        upto.reverse()
        return product(ratio(upto[k + 1], upto[k]) for k, v in enumerate(order) if v in district)


def identify(
    view: Projected, rank: list[int], observed: set[int], treatments: set[int], outcomes: set[int]
) -> Expression:
    """Return the formula of P(outcomes | do(treatments)).

    Raises
    ------
    HedgeFound
        Where there is none.
    """
    above = view.ancestors(outcomes, observed)
    factors = _Factors(view, rank, above)
    remaining = view.ancestors(outcomes, above - treatments)
    formulas: list[Expression] = []
    for wanted in view.districts(remaining):
        inside = view.district({min(wanted)}, above)
        formula = factors.whole(inside)
        while True:
            needed = view.ancestors(wanted, inside)
            if needed == wanted:
                formulas.append(summed(inside - wanted, formula))
                break
            if needed == inside:
                raise HedgeFound(inside, wanted)
            formula = summed(inside - needed, formula)
            inside = view.district({min(wanted)}, needed)
            formula = factors.inside(formula, needed, inside)
    return summed(remaining - outcomes, product(formulas))
