"""Bad controls: covariates that adjusting for makes the answer wrong, and those that do no good.

A set of covariates is judged by the adjustment criterion (Shpitser, VanderWeele and Robins 2010), member by member:

- *mediator*: lies on a causal path, so that holding it fixed takes part of the effect away;
- *descendant*: caused by a mediator or by the outcome, so that it does the same by proxy;
- *collider*: it is, or is caused by, a node at which two arrows of a path meet that is open given the set, though no
  causal path; M-bias is the case where treatment and outcome are caused by neither end of it;
- *instrument* and *harmless descendant*: in a valid set, and not needed there (Cinelli, Forney and Pearl 2022).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pandas_causal.errors import BadControlError, BadControlWarning, GraphError, NotIdentifiedError, warn
from pandas_causal.graphs.reachability import AdjacencyLists, ancestors, descendants, indices
from pandas_causal.graphs.separation import Separation
from pandas_causal.identification.open_paths import (
    Walk,
    WalkText,
    directed_walk,
    is_open,
    nearest_above,
    open_walk_through,
    shortest_open_walk,
    turning_points,
)

if TYPE_CHECKING:
    from pandas_causal.graphs.graph import CausalGraph
    from pandas_causal.identification.query import Query

__all__ = ["Judgement", "classify_controls", "refuse_bad_controls", "refuse_post_treatment"]


@dataclass(frozen=True)
class Judgement:
    """What is wrong with a set of covariates, in names of nodes.

    Attributes
    ----------
    valid : bool
        Whether adjusting for the set gives the effect.
    controls : dict of name to (kind, path)
        Members that make it invalid: "mediator", "descendant" or "collider", and the path from treatment to outcome.
    reasons : dict of name to str
        A sentence for each member named in `controls` or in `useless`.
    useless : dict of name to str
        Members of a valid set that only cost precision: "instrument" or "descendant".
    open_path : tuple of nodes, or None
        A path that stays open once the bad members are left out.
    open_text : str
        The same with its arrows.
    """

    valid: bool
    controls: dict[Any, tuple[str, tuple[Any, ...]]]
    reasons: dict[Any, str]
    useless: dict[Any, str]
    open_path: tuple[Any, ...] | None
    open_text: str


def classify_controls(
    graph: CausalGraph, treatment: Hashable, outcome: Hashable, covariates: Iterable[Any]
) -> Judgement:
    """Classify every covariate.

    A covariate is a collider if a simple path from treatment to outcome, not a causal one, is open given the covariates
    (mediators and descendants apart) and passes a collider that is the covariate or causes it. Shortest paths are found
    by a walk over edges; where the shortest walk crosses itself, simple paths are searched, at most 20,000 steps;
    beyond them a covariate is blamed if it alone opens a path once those that cause neither treatment nor outcome are
    left out.

    Parameters
    ----------
    graph : CausalGraph
    treatment, outcome : node
    covariates : iterable of nodes

    Raises
    ------
    GraphError
        For a covariate that is no node, is latent, or is treatment or outcome.

    References
    ----------
    Shpitser, I., VanderWeele, T. and Robins, J. (2010). On the validity of covariate adjustment for estimating causal
    effects. UAI. Cinelli, C., Forney, A. and Pearl, J. (2022). A crash course in good and bad controls. Sociological
    Methods & Research.
    """
    q, held = _resolve(graph, treatment, outcome, covariates)
    (a,), (y,) = q.treatments, q.outcomes
    speak = WalkText(graph.indexed)
    controls: dict[Any, tuple[str, tuple[Any, ...]]] = {}
    reasons: dict[Any, str] = {}
    for z in (z for z in held if q.forbidden[z]):
        kind, walk, reason = _forbidden(q, z, speak)
        controls[graph.indexed.names[z]], reasons[graph.indexed.names[z]] = (kind, speak.nodes(walk)), reason
    allowed = [z for z in held if not q.forbidden[z]]
    back = q.without_effect
    if not is_open(back, a, y, allowed):
        useless = {} if controls else _useless(q, allowed, speak, reasons)
        return Judgement(not controls, controls, reasons, useless, None, "")
    for z, walk in _colliders(back, a, y, allowed).items():
        at = next(v for v in turning_points(walk) if ancestors(back, [z])[v])
        by = "" if at == z else f"caused by {graph.indexed.names[at]!r}, where two arrows meet; "
        controls[graph.indexed.names[z]] = ("collider", speak.nodes(walk))
        reasons[graph.indexed.names[z]] = f"{by}adjusting for it opens {speak.text(walk)}"
    rest = [z for z in allowed if graph.indexed.names[z] not in controls]
    left = shortest_open_walk(back, a, y, rest)
    return Judgement(
        False,
        controls,
        reasons,
        {},
        None if left is None else speak.nodes(left),
        "" if left is None else speak.text(left),
    )


def refuse_bad_controls(
    graph: CausalGraph, treatment: Hashable, outcome: Hashable, covariates: Sequence[Any]
) -> tuple[str, ...]:
    """Refuse covariates that make the answer wrong; warn of those that do no good, and return what was said.

    Raises
    ------
    BadControlError
        A mediator, a descendant of one or of the outcome, or a collider is among them.
    NotIdentifiedError
        They leave a path open, for want of others.

    Warns
    -----
    BadControlWarning
        An instrument, or a consequence of treatment, in a set that is valid without it.
    """
    judgement = classify_controls(graph, treatment, outcome, covariates)
    if judgement.controls:
        lines = [f"  - {name} ({kind}): {judgement.reasons[name]}" for name, (kind, _) in judgement.controls.items()]
        rest = [c for c in covariates if c not in judgement.controls]
        count = len(dict.fromkeys(covariates))
        text = (
            f"{len(lines)} of {count} covariates must not be adjusted for, where the effect of {treatment!r} on"
            f" {outcome!r} is asked:\n" + "\n".join(lines) + "\n"
        )
        if judgement.open_path is None:
            raise BadControlError(
                f"{text}Without {_them(lines)} the set is valid: covariates={rest}", judgement.controls
            )
        text += (
            f"Without {_them(lines)} {judgement.open_text} stays open; {_what_closes(graph, treatment, outcome, rest)}"
        )
        raise BadControlError(text, judgement.controls)
    if not judgement.valid:
        raise NotIdentifiedError(
            f"covariates={list(covariates)} leave open {judgement.open_text}, so that {treatment!r} and {outcome!r} are"
            f" related beyond the effect; {_what_closes(graph, treatment, outcome, covariates)}"
        )
    if not judgement.useless:
        return ()
    same: dict[tuple[str, str], list[str]] = {}
    for name, kind in judgement.useless.items():
        same.setdefault((kind, judgement.reasons[name]), []).append(str(name))
    parts = "; ".join(f"{', '.join(who)} ({kind}): {reason}" for (kind, reason), who in same.items())
    message = f"covariates that do no good: {parts}; leave {_them(judgement.useless)} out"
    warn(message, BadControlWarning)
    return (message,)


def refuse_post_treatment(treatment: Hashable, covariates: Sequence[Any], marked: Sequence[Any]) -> None:
    """Refuse covariates that the caller marked as measured after, and so perhaps moved by, treatment.

    Raises
    ------
    BadControlError
        Naming them; without a graph the path is not known, and (treatment, covariate) stands for it.
    """
    bad = [c for c in covariates if c in set(marked)]
    if bad:
        raise BadControlError(
            f"{bad} {'is' if len(bad) == 1 else 'are'} marked as post_treatment and must not be adjusted for: what"
            f" {treatment!r} may have moved carries part of its effect, or opens a path that was closed. Leave"
            f" {_them(bad)} out: covariates={[c for c in covariates if c not in bad]}",
            {c: ("descendant", (treatment, c)) for c in bad},
        )


def _them(members: Collection[Hashable]) -> str:
    return "it" if len(members) == 1 else "them"


def _what_closes(graph: CausalGraph, treatment: Hashable, outcome: Hashable, covariates: Sequence[Any]) -> str:
    """Which further covariates close every path that is not causal, in words."""
    q, held = _resolve(graph, treatment, outcome, covariates)
    further = Separation(q.without_effect, q.treatments, q.outcomes, q.adjustable, held).minimal()
    if further is not None:
        names = sorted((graph.indexed.names[v] for v in indices(further)), key=lambda v: graph.indexed.positions[v])
        also = " too" if covariates else ""
        return f"adjusting for {names}{also} closes every such path: covariates={[*covariates, *names]}"
    identification = graph.identify(treatment=treatment, outcome=outcome, adjusted=[])
    if identification.backdoor.exists:
        chosen = sorted(identification.backdoor.minimal or (), key=lambda v: graph.indexed.positions[v])
        return f"with these no further covariate closes it, while covariates={chosen} leaves nothing open"
    if identification.identified:
        return (
            "no observed covariates close it, yet the graph determines the effect otherwise: ate(graph=...) without"
            " covariates"
        )
    return "no observed covariates close it: measure what lies on it, or look for another design"


# -- one kind after the other ----------------------------------------------------------------------------------------


def _resolve(
    graph: CausalGraph, treatment: Hashable, outcome: Hashable, covariates: Iterable[Any]
) -> tuple[Query, list[int]]:
    q = graph.identify(treatment=treatment, outcome=outcome, adjusted=[]).query  # the covariates are named here
    if len(q.treatments) != 1 or len(q.outcomes) != 1:
        raise GraphError("covariates are judged for one treatment and one outcome")
    held = []
    for name in dict.fromkeys(covariates):
        z = graph.indexed.position(name)
        if graph.indexed.hidden[z]:
            raise GraphError(f"{name!r} is latent in the graph, so nothing can be adjusted for it")
        if z in q.treatments or z in q.outcomes:
            raise GraphError(f"{name!r} is treatment or outcome, and no covariate")
        held.append(z)
    return q, held


def _forbidden(q: Query, z: int, speak: WalkText) -> tuple[str, Walk, str]:
    """Classify z as mediator or descendant, with the causal path that shows it, through z or its ancestor."""
    (a,), (y,) = q.treatments, q.outcomes
    lists = q.lists
    if q.causal[z]:
        walk = [*directed_walk(lists, a, z), *directed_walk(lists, z, y)[1:]]
        return "mediator", walk, f"it carries part of the effect, {speak.text(walk)}"
    source = nearest_above(lists, z, q.causal)
    walk = (
        directed_walk(lists, a, y)
        if source == y
        else [*directed_walk(lists, a, source), *directed_walk(lists, source, y)[1:]]
    )
    word = "the outcome" if source == y else "what carries the effect"
    below = speak.text(directed_walk(lists, source, z))
    return "descendant", walk, f"it is caused by {word}, {below}; the effect runs {speak.text(walk)}"


def _useless(q: Query, held: list[int], speak: WalkText, reasons: dict[Any, str]) -> dict[Any, str]:
    """Members of a valid set that treatment causes, or that, given the rest, are related to treatment alone."""
    (a,), (y,) = q.treatments, q.outcomes
    below = descendants(q.lists, [a])
    out: dict[Any, str] = {}
    for z in held:
        name, rest = speak.name(z), [w for w in held if w != z]
        if below[z]:
            out[name] = "descendant"
            reasons[name] = (
                f"treatment causes it, {speak.text(directed_walk(q.lists, a, z))}, and it carries no effect, so that"
                " adjusting for it costs precision"
            )
        elif not is_open(q.without_effect, z, y, rest) and is_open(q.without_effect, z, a, rest):
            out[name] = "instrument"
            reasons[name] = (
                "given the other covariates it is related to treatment alone, so that adjusting for it costs precision"
                " and amplifies the bias of anything unmeasured"
            )
    return out


def _colliders(lists: AdjacencyLists, a: int, y: int, held: list[int]) -> dict[int, Walk]:
    """Members that open a path, each with a shortest simple one where the search ends in time."""
    out: dict[int, Walk] = {}
    unsure = []
    for z in held:
        walk, settled = open_walk_through(lists, a, y, held, z)
        if walk is not None:
            out[z] = walk
        elif not settled:
            unsure.append(z)
    if unsure:
        inside = ancestors(lists, [a, y])
        core = [z for z in held if inside[z]]
        if not is_open(lists, a, y, core):
            alone = {z: shortest_open_walk(lists, a, y, [*core, z]) for z in unsure if not inside[z]}
            out |= {z: walk for z, walk in alone.items() if walk is not None}
    return out


# -- paths -----------------------------------------------------------------------------------------------------------
