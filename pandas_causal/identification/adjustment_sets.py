"""Adjustment sets: covariates that, held fixed, leave only what treatment does to outcome.

The criterion is that of Shpitser, VanderWeele and Robins (2010) for sets of treatments and outcomes: Z holds no
descendant of a node on a proper causal path, and blocks every proper path that is not causal. The second half is
m-separation in the proper back-door graph, without the first edges of proper causal paths (van der Zander, Liśkiewicz
and Textor 2014, theorem 4.6), so that finding sets is finding separators.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import Any

from pandas_causal.errors import GraphError
from pandas_causal.graphs.separation import Separation
from pandas_causal.identification.query import Query

__all__ = ["MOST_SETS", "BackDoorSets"]

MOST_SETS = 100


class BackDoorSets:
    """Valid adjustment sets, each a frozenset of observed nodes; read from ``Identification.backdoor``.

    With `given`, every set holds the given nodes, and nothing below the treatment is used: then
    P(y | do(x), w) = sum over z of P(y | x, w, z) P(z | w). Nodes to be adjusted for in any case are in every set too,
    and sets are judged among those that hold them.

    References
    ----------
    Shpitser, I., VanderWeele, T. and Robins, J. (2010). On the validity of covariate adjustment for estimating causal
    effects. UAI.
    """

    def __init__(self, query: Query) -> None:
        self._query = query

    @cached_property
    def _separation(self) -> Separation:
        q = self._query
        return Separation(q.without_effect, q.treatments, q.outcomes, q.adjustable, q.forced)

    @cached_property
    def _possible(self) -> bool:
        return all(self._query.adjustable[v] for v in self._query.forced)

    @cached_property
    def exists(self) -> bool:
        """Whether any observed set is valid."""
        return self._possible and self._separation.nearest() is not None

    @cached_property
    def forbidden(self) -> frozenset[Any]:
        """Nodes on causal paths from treatment to outcome and everything below them: no valid set holds one."""
        return self._query.graph.named(self._query.forbidden)

    def is_valid(self, covariates: Hashable | Iterable[Hashable]) -> bool:
        """Whether adjusting for `covariates` (and what every set must hold) gives the effect.

        Parameters
        ----------
        covariates : node or iterable of nodes

        Raises
        ------
        GraphError
            A name that is no node, or a latent node.
        """
        q = self._query
        graph = q.graph
        held = sorted({*graph.positions_of(covariates), *q.forced})
        for v in held:
            if graph.hidden[v]:
                raise GraphError(f"{graph.names[v]!r} is latent, so nothing can be adjusted for it")
        return q.is_valid(held)

    @cached_property
    def minimal(self) -> frozenset[Any] | None:
        """A valid set of which no member can be left out; of these the one nearest to the outcome.

        None if no set is valid.

        van der Zander, B. and Liśkiewicz, M. (2019). Finding minimal d-separators in linear time and applications. UAI.
        """
        separator = self._separation.minimal() if self._possible else None
        return None if separator is None else self._query.names(separator)

    @cached_property
    def minimum(self) -> frozenset[Any] | None:
        """A valid set with the fewest members, by a maximum flow; None where there is none."""
        separator = self._separation.minimum() if self._possible else None
        return None if separator is None else self._query.names(separator)

    @cached_property
    def optimal(self) -> frozenset[Any] | None:
        """The valid set with the smallest asymptotic variance that theory offers here; `optimality` says which it is.

        Everything observed: the parents of the nodes on causal paths that are not themselves below the treatment
        (Henckel, Perković and Maathuis 2022). With latent nodes, the allowed nodes next to the outcome where all
        allowed ones are ancestors of treatment or outcome, which is optimal too; else the best among the minimal sets
        (Smucler, Sapienza and Rotnitzky 2022).
        """
        if not self.exists:
            return None
        best = self._separation.nearest() if self._globally else self._separation.minimal()
        return None if best is None else self._query.names(best)

    @property
    def optimality(self) -> str:
        """In which sense `optimal` is optimal, in words."""
        if not self.exists:
            return "no valid set exists"
        if self._all_observed:
            return "smallest asymptotic variance of all valid sets, Henckel et al. 2022"
        if self._globally:
            return "smallest asymptotic variance of all observed valid sets, Smucler et al. 2022"
        if self._one_of_each:
            return (
                "smallest asymptotic variance of the minimal sets, Smucler et al. 2022; with these latent nodes no set"
                " is known to be best"
            )
        return (
            "nearest to the outcomes; with latent nodes and several treatments or outcomes no set is known to be best"
        )

    def iter_sets(self) -> Iterator[frozenset[Any]]:
        """Yield every inclusion-minimal valid set once, with polynomial delay, those nearest to the outcome first."""
        if self._possible:
            for found in self._separation.every_minimal():
                yield self._query.names(found)

    @cached_property
    def sets(self) -> tuple[frozenset[Any], ...]:
        """`minimum` and the first other minimal sets, at most 100, by size."""
        smallest = self.minimum
        if smallest is None:
            return ()
        others = (s for s in self.iter_sets() if s != smallest)
        listed = [smallest, *islice(others, MOST_SETS - 1)]
        return tuple(sorted(listed, key=lambda s: (len(s), s != smallest, sorted(map(str, s)))))

    @cached_property
    def _all_observed(self) -> bool:
        lists = self._query.lists
        return not any(self._query.graph.hidden) and not any(map(len, lists.siblings))

    @cached_property
    def _one_of_each(self) -> bool:
        return len(self._query.treatments) == len(self._query.outcomes) == 1

    @cached_property
    def _globally(self) -> bool:
        if self._all_observed:
            return True
        inside = self._separation.inside
        return self._one_of_each and all(i for i, u in zip(inside, self._query.adjustable, strict=True) if u)

    def __repr__(self) -> str:
        if not self.exists:
            return "<no valid adjustment set>"
        return f"<adjustment sets, optimal: {_braces(self.optimal)}; minimal: {_braces(self.minimal)}>"


def _braces(names: Iterable[Hashable] | None) -> str:
    return "{" + ", ".join(sorted(map(str, names or ()))) + "}"
