"""Front doors that open given covariates: mediators that share measured causes with treatment or outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pandas_causal.graph.walks import Lists, ancestors, connected, descendants, flags, indices, reach

if TYPE_CHECKING:
    from pandas_causal.graph.identification import Identification

__all__ = ["conditional_front_door", "opens"]


def opens(lists: Lists, a: int, y: int, mediators: list[int], covariates: list[int]) -> bool:
    """Whether mediators M are a front-door set given covariates W, none of them below the treatment a.

    (1) M meets every directed path from a to y; (2) W blocks every back-door path from a to M; (3) a and W block every
    back-door path from M to y that meets no second node of M. Then, in every stratum of W,
    P(m | do(a), w) = P(m | a, w) and P(y | do(m), w) = sum over a' of P(y | a', m, w) P(a' | w), and what treatment
    does to y it does through M.

    References
    ----------
    Pearl (1995), "Causal diagrams for empirical research", Biometrika, section 3.2, within strata; Fulcher, Shpitser,
    Marealle and Tchetgen Tchetgen (2020), JRSS B 82, who have covariates.
    """
    between = flags(len(lists), mediators)
    if reach(lists.children, [a], between)[y]:
        return False
    below = descendants(lists, [a])
    if any(below[w] for w in covariates) or set(covariates) & set(mediators):
        return False
    from_a = connected(lists.without_out_of([a]), [a], covariates)
    if any(from_a[m] for m in mediators):
        return False
    return not connected(lists.without_out_of(mediators), mediators, [a, *covariates])[y]


def conditional_front_door(found: Identification) -> tuple[frozenset[Any], frozenset[Any]] | None:
    """Mediators and covariates that are a front door, or None where the candidates hold none.

    Mediators tried: all observed nodes on causal paths, and the first or the last observed one on each. Covariates
    tried: observed nodes outside what treatment causes that cause treatment, mediators or outcome; the covariates that
    are not needed are then left out one by one. What is returned satisfies the criterion; that none is found does not
    prove that there is none.
    """
    q = found._query
    lists, hidden = q.lists, q.graph._hidden
    (a,), (y,) = q.treatments, q.outcomes
    causal = [v for v in indices(q.causal) if v != y and not hidden[v]]
    if not causal:
        return None
    below = descendants(lists, [a])
    wall = flags(len(lists), causal)
    first = _met(lists.children, a, wall)
    last = _met(lists.parents, y, wall)
    for mediators in (causal, first, last):
        for causes_of in ([a, *mediators, y], [a, *mediators], [a], mediators, [y]):
            above = ancestors(lists, causes_of)
            covariates = [v for v in indices(above) if not hidden[v] and not below[v] and v != y]
            if opens(lists, a, y, mediators, covariates):
                for w in list(covariates):
                    fewer = [v for v in covariates if v != w]
                    if opens(lists, a, y, mediators, fewer):
                        covariates = fewer
                names = q.graph._names
                return frozenset(names[v] for v in mediators), frozenset(names[v] for v in covariates)
    return None


def _met(neighbours: Any, start: int, wall: bytearray) -> list[int]:
    """Flagged nodes that walks from `start` meet first."""
    seen, stack, met = {start}, [start], set()
    while stack:
        for w in neighbours[stack.pop()]:
            if w not in seen:
                seen.add(w)
                if wall[w]:
                    met.add(w)
                else:
                    stack.append(w)
    return sorted(met)
