"""Identification: whether, and how, a graph determines what an intervention does."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.errors import (
    CausalArgumentError,
    GraphError,
    NotIdentifiedError,
)
from pandas_causal.graphs.graph import CausalGraph, as_graph
from pandas_causal.graphs.picture import draw_svg
from pandas_causal.graphs.reachability import ranks
from pandas_causal.identification.adjustment_sets import BackDoorSets
from pandas_causal.identification.distribution import plug_in
from pandas_causal.identification.formula import ratio, summed
from pandas_causal.identification.front_door_sets import FrontDoorSets
from pandas_causal.identification.functional import Functional, Hedge, braces
from pandas_causal.identification.id_algorithm import HedgeFound, exchange, find_hedge, identify
from pandas_causal.identification.instrument_sets import Instrument, conditional_instruments
from pandas_causal.identification.query import Query

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pandas_causal.estimator import CausalEstimator

__all__ = ["DRAWN", "Identification", "explain"]
DRAWN = (
    "the graph is right: what it leaves out, arrows and common causes (<->), is assumed and was not found in the data"
)
_MOST_NODES = 60  # in larger graphs formulas fill pages and the search for instruments takes seconds
LONGEST_FORMULA = 600


class Identification:
    """What a graph says about P(outcome | do(treatment), given); made by ``CausalGraph.identify``.

    Nothing is computed before it is read.

    Parameters
    ----------
    graph : CausalGraph, or what it reads
    treatment, outcome : node or list of nodes, optional
        By default the nodes that the graph marks.
    given : node or list of nodes, optional
    adjusted : node or list of nodes, optional
        Nodes that every adjustment set must hold; by default those that the graph marks.

    Attributes
    ----------
    graph : CausalGraph
    treatment, outcome, given, adjusted : tuple of nodes
    query : Query
        The same as integers.
    """

    def __init__(
        self,
        graph: Any,
        *,
        treatment: Hashable = None,
        outcome: Hashable = None,
        given: Hashable | Iterable[Hashable] | None = None,
        adjusted: Hashable | Iterable[Hashable] | None = None,
    ) -> None:
        self.graph = graph = as_graph(graph)
        roles: dict[Any, str] = {}
        self.treatment = _role(graph, "treatment", graph.treatment or None if treatment is None else treatment, roles)
        self.outcome = _role(graph, "outcome", graph.outcome or None if outcome is None else outcome, roles)
        self.given = () if given is None else _role(graph, "given", given, roles, empty=True)
        marked = [v for v in graph.adjusted if v not in roles]
        self.adjusted = _role(graph, "adjusted", marked if adjusted is None else adjusted, roles, empty=True)
        positions = graph.indexed.positions
        asked = (self.treatment, self.outcome, self.given, self.adjusted)
        self.query = Query(graph.indexed, *(sorted(positions[v] for v in role) for role in asked))

    @cached_property
    def backdoor(self) -> BackDoorSets:
        """Adjustment sets."""
        return BackDoorSets(self.query)

    @cached_property
    def frontdoor(self) -> FrontDoorSets:
        """Front-door sets."""
        return FrontDoorSets(self.query)

    @cached_property
    def instruments(self) -> tuple[Instrument, ...]:
        """Conditional instruments of one treatment for one outcome, each with `.instrument` and `.given`.

        Empty exactly when no conditional instrument exists. An instrument identifies an effect under assumptions beyond
        the graph (linearity, or monotonicity for those it moves), so it makes nothing `identified`.
        """
        return tuple(conditional_instruments(self.query))

    @cached_property
    def identified(self) -> bool:
        """Whether observed columns determine the effect: by a valid adjustment set, else by c-components."""
        return self.backdoor.exists or self._hedge is None

    @cached_property
    def functional(self) -> Functional | Hedge:
        """The formula of the effect (`.text`, `.latex`) by the complete ID and IDC, or the hedge that forbids one.

        Shpitser, I. and Pearl, J. (2006). Identification of joint interventional distributions in recursive
        semi-Markovian causal models. AAAI.
        """
        graph = self.graph.indexed
        rank = ranks(graph.lists)
        acting, known = self._exchanged
        together = {*self.query.outcomes, *known}
        try:
            formula = identify(graph.projected, rank, self._observed, set(acting), together)
        except HedgeFound as hedge:
            return self._named(hedge)
        if known:
            formula = ratio(formula, summed(self.query.outcomes, formula))
        return Functional(graph, formula, self.treatment, self.outcome, self.given)

    def distribution(self, df: pd.DataFrame, *, sample_weight: Any = None) -> pd.DataFrame:
        """Return P(outcome | do(treatment), given) at the frequencies of a frame of discrete columns.

        The plug-in of the functional: where the frequencies of the frame are those of the population, the result is the
        interventional distribution. Nodes that the functional names freely are averaged over their share in the frame;
        ``result.attrs["averaged_over"]`` then names them.

        Parameters
        ----------
        df : DataFrame
            With a column per node of the functional.
        sample_weight : name of a column, array or Series, optional
            How many rows a row stands for.

        Returns
        -------
        DataFrame
            A row per combination of values: columns named as treatments, outcomes and given nodes, then `probability`.

        Raises
        ------
        NotIdentifiedError
            Where a hedge forbids it, naming its nodes.
        CausalDataError
            An absent column, missing values, or a combination of values that no row has and the functional needs.
        """
        if not isinstance(df, pd.DataFrame):
            raise CausalArgumentError(f"distribution takes a DataFrame, got {type(df).__name__}")
        if "probability" in (*self.treatment, *self.outcome, *self.given):
            raise CausalArgumentError("a column named 'probability' would stand twice in the result; rename that node")
        functional = self.functional
        if isinstance(functional, Hedge):
            raise NotIdentifiedError(self._refusal(functional))
        return plug_in(
            functional.expression, self.graph.indexed, df, (self.treatment, self.outcome, self.given), sample_weight
        )

    def estimate(self, df: pd.DataFrame, estimator: CausalEstimator | str | None = None, **settings: Any) -> Effect:
        """Estimate the average effect by the first route open in the graph.

        See :func:`identification.routes.estimate_from_graph`.
        """
        from pandas_causal.identification.routes import estimate_from_graph

        return estimate_from_graph(self, df, estimator, **settings)

    @cached_property
    def affects(self) -> bool:
        """Whether a directed path leads from a treatment to an outcome; else the effect is 0."""
        return any(self.query.causal)

    def explain(self) -> str:
        """Say in words whether the effect is identified, by what, and what stands in the way."""
        return explain(self)

    def plot(self, *, adjustment: Iterable[Hashable] | None = None, ax: Axes | None = None) -> Axes:
        """Draw the graph with treatment, outcome and an adjustment set coloured.

        Parameters
        ----------
        adjustment : iterable of nodes, optional
            By default ``backdoor.optimal``, where there is one.
        ax : matplotlib Axes, optional

        Returns
        -------
        matplotlib Axes
        """
        chosen = (self.backdoor.optimal or ()) if adjustment is None else adjustment
        return self.graph.plot(treatment=self.treatment, outcome=self.outcome, adjustment=chosen, ax=ax)

    def __repr__(self) -> str:
        return self.explain()

    def _repr_html_(self) -> str:
        chosen = (self.backdoor.optimal or ()) if self.identified else ()
        picture = draw_svg(self.graph, "inherits", self.treatment, self.outcome, chosen)
        lines = "".join(f"<li>{escape(line)}</li>" for line in self.explain().split("\n"))
        formula = self._short_formula()
        typeset = "" if formula is None else f"<p>$$\\displaystyle {escape(formula.latex)}$$</p>"
        return f"<div>{picture}{typeset}<ul>{lines}</ul></div>"

    def _short_formula(self) -> Functional | None:
        """The formula where it is identified and fits a page."""
        if not self.identified or len(self.graph) > _MOST_NODES:
            return None
        formula = self.functional
        return formula if isinstance(formula, Functional) and len(formula.text) <= LONGEST_FORMULA else None

    # -- private -----------------------------------------------------------------------------------------------------

    @cached_property
    def _observed(self) -> set[int]:
        return {v for v, h in enumerate(self.graph.indexed.hidden) if not h}

    @cached_property
    def _exchanged(self) -> tuple[list[int], list[int]]:
        q = self.query
        return exchange(q.lists, q.treatments, q.outcomes, q.given)

    @cached_property
    def _hedge(self) -> Hedge | None:
        acting, known = self._exchanged
        hedge = find_hedge(self.graph.indexed.projected, self._observed, set(acting), {*self.query.outcomes, *known})
        return None if hedge is None else self._named(hedge)

    def _named(self, hedge: HedgeFound) -> Hedge:
        names = self.graph.indexed.names
        return Hedge(frozenset(names[v] for v in hedge.larger), frozenset(names[v] for v in hedge.smaller))

    def _refusal(self, hedge: Hedge) -> str:
        return (
            f"the effect of {', '.join(map(str, self.treatment))} on {', '.join(map(str, self.outcome))} is"
            f" {hedge.text}; measure a hidden cause, or a node between treatment and outcome that shares none"
        )


def _role(
    graph: CausalGraph, role: str, names: Hashable | Iterable[Hashable], roles: dict[Any, str], *, empty: bool = False
) -> tuple[Any, ...]:
    """Nodes in a role: known, observed, and in no other role."""
    if names is None:
        mark = {"treatment": "exposure"}.get(role, role)
        raise GraphError(f"{role}= needs the name of a node, or a list of them (the graph marks none as [{mark}])")
    members = graph.indexed.members(names)
    if not members and not empty:
        raise GraphError(f"{role}= is empty; it needs the name of a node, or a list of them")
    for name in members:
        graph.indexed.position(name)
        if name in graph.latent:
            raise GraphError(f"the {role} {name!r} is latent in the graph; only observed nodes can be asked about")
        if name in roles:
            raise GraphError(f"{name!r} is both {roles[name]} and {role}; a node has one role")
        roles[name] = role
    return tuple(members)


def explain(identification: Identification) -> str:
    """Write what is identified, by what, and what stands in the way, a line each."""
    lines = [f"{_question(identification)}: {'identified' if identification.identified else 'NOT identified'}."]
    if not identification.affects:
        lines.append(
            f"No directed path leads from {_listed(identification.treatment)} to"
            f" {_listed(identification.outcome)}: in this graph the effect is 0."
        )
    lines += [_back_door(identification), _front_door(identification)]
    small = len(identification.graph) <= _MOST_NODES
    if not identification.identified:
        hedge = identification._hedge
        if hedge is not None:
            lines.append(f"Why: {hedge.reason}.")
    else:
        functional = identification._short_formula()
        if functional is not None:
            lines.append(f"Functional: {functional.text}")
    lines += _instruments(identification, small)
    return "\n".join(line for line in lines if line)


def _question(identification: Identification) -> str:
    condition = f" given {_listed(identification.given)}" if identification.given else ""
    joint = "joint effect" if len(identification.treatment) > 1 else "effect"
    return f"The {joint} of {_listed(identification.treatment)} on {_listed(identification.outcome)}{condition}"


def _back_door(identification: Identification) -> str:
    sets, held = identification.backdoor, identification.adjusted
    if not sets.exists:
        why = ""
        below = identification.graph.descendants(identification.treatment)
        caused = [w for w in identification.given if w in below]
        bad = [w for w in held if w in sets.forbidden]
        if caused:
            why = f"; {_listed(caused)} is given and a consequence of the treatment"
        elif bad:
            why = f"; {_listed(bad)} lies on or below the causal paths and must not be adjusted for"
        among = f" that holds {braces(held)}" if held else ""
        return f"Back door: no set of observed covariates{among} is valid{why}."
    if not sets.optimal:
        text = "Back door: nothing has to be adjusted for."
    else:
        text = f"Back door: adjust for {braces(sets.optimal)} ({sets.optimality})."
        if sets.minimal != sets.optimal:
            text += (
                f" A minimal set: {braces(sets.minimal)}." if sets.minimal else " Adjusting for nothing is valid too."
            )
        text += f" Every set holds {braces(held)}, as asked." if held else ""
    mediators = sets.forbidden - set(identification.outcome)
    return text + (f" Never for {braces(mediators)}: on or below the causal paths." if mediators else "")


def _front_door(identification: Identification) -> str:
    if not identification.affects or identification.given:
        return ""
    minimal = identification.frontdoor.minimal
    return "Front door: none." if minimal is None else f"Front door: through {braces(minimal)}."


def _instruments(identification: Identification, small: bool) -> list[str]:
    if (
        identification.backdoor.exists
        or len(identification.treatment) > 1
        or len(identification.outcome) > 1
        or identification.given
    ):
        return []
    if not small:
        return ["Instruments: read .instruments."]
    listed = [
        _listed([i.instrument]) + (f" given {braces(i.given)}" if i.given else "")
        for i in identification.instruments[:5]
    ]
    others = f", and {len(identification.instruments) - 5} more" if len(identification.instruments) > 5 else ""
    if not listed:
        return ["Instruments: none."]
    return [f"Instruments, which need assumptions beyond the graph: {'; '.join(listed)}{others}."]


def _listed(names: Iterable[Hashable]) -> str:
    return ", ".join(map(str, names))
