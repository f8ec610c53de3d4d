"""From a graph to an effect: which of its routes is taken, and what the answer then rests on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    GraphError,
    NotIdentifiedError,
    Problem,
    StandardErrorWarning,
    suggest,
    warn,
)
from pandas_causal.graphs.graph import CausalGraph, as_graph
from pandas_causal.identification.bad_controls import refuse_bad_controls, refuse_post_treatment
from pandas_causal.identification.distribution import columns_of
from pandas_causal.identification.front_door_sets import conditional_front_door
from pandas_causal.identification.identification import DRAWN
from pandas_causal.inference.draws_and_variance import Variance

if TYPE_CHECKING:
    from pandas_causal.estimator import CausalEstimator
    from pandas_causal.identification.identification import Identification

__all__ = [
    "adjustment_columns",
    "ate_from_graph",
    "check_controls",
    "estimate_from_graph",
    "marked_ends",
    "randomised_columns",
]


def marked_ends(graph: CausalGraph, treatment: Any, outcome: Hashable) -> tuple[Any, Any]:
    """Treatment and outcome: those given, else the one node each that a graph marks.

    Raises
    ------
    GraphError
        None is given and none or several are marked.
    """
    ends = []
    for role, given, marked in (("treatment", treatment, graph.treatment), ("outcome", outcome, graph.outcome)):
        if given is None and len(marked) != 1:
            found = f"{len(marked)}: {', '.join(map(str, marked))}" if marked else "none"
            raise GraphError(f"{role}= needs the name of a node; the graph marks {found}")
        ends.append(marked[0] if given is None else given)
    return ends[0], ends[1]


def adjustment_columns(
    frame: pd.DataFrame, graph: Any, treatment: Any, outcome: Hashable, always: Sequence[Any] = ()
) -> list[Any]:
    """Columns of the adjustment set with the smallest variance, in the order of the frame.

    Parameters
    ----------
    frame : DataFrame
        Every node that is not latent is a column of it.
    graph : CausalGraph, or what it reads
    treatment, outcome : node
    always : sequence of nodes
        Members of every set, beside those that the graph marks.

    Raises
    ------
    NotIdentifiedError
        No set of observed covariates is valid.
    GraphError
        A node that is neither a column nor latent.
    """
    identification = _identified(frame, graph, treatment, outcome, always)
    best = identification.backdoor.optimal
    if best is None:
        raise NotIdentifiedError(
            f"no covariates of the graph make {treatment!r} comparable where {outcome!r} is asked:"
            f" {_no_set(identification)}; df.causal.ate(graph=...) knows other routes"
        )
    return [c for c in frame.columns if c in best]


def randomised_columns(frame: pd.DataFrame, graph: Any, treatment: Any, outcome: Hashable) -> list[Any]:
    """Columns that sharpen the comparison of arms which the graph says were drawn at random, in the order of the frame.

    Raises
    ------
    NotIdentifiedError
        In the graph something moves both treatment and outcome.
    """
    identification = _identified(frame, graph, treatment, outcome)
    if not identification.query.is_valid([]):
        raise NotIdentifiedError(
            f"in this graph {treatment!r} was not drawn at random: more than its effect ties it to {outcome!r}, so that"
            " arms cannot be compared as they are; ask df.causal.ate(graph=...)"
        )
    best = identification.backdoor.optimal
    if best is None:
        raise NotIdentifiedError(_no_set(identification))
    return [c for c in frame.columns if c in best]


def check_controls(
    frame: pd.DataFrame,
    graph: Any,
    treatment: Any,
    outcome: Hashable,
    covariates: Sequence[Any],
    post_treatment: Sequence[Any] = (),
) -> tuple[str, ...]:
    """Refuse bad controls, by a graph or by the caller's own marks, and return what was warned of.

    Raises
    ------
    CausalDataError
        A mark on what is no column.
    CausalArgumentError
        Marks beside a graph.
    BadControlError, NotIdentifiedError, GraphError
        As :func:`refuse_bad_controls`.
    """
    if graph is None:
        absent = [c for c in post_treatment if c not in frame.columns]
        if absent:
            near = suggest(absent[0], frame.columns)
            message = f"is given as post_treatment but is no column of the frame{near}"
            raise CausalDataError([Problem(str(absent[0]), message, None, "give names of columns")])
        named = treatment if pd.api.types.is_hashable(treatment) else "treatment"
        refuse_post_treatment(named, covariates, post_treatment)
        return ()
    _refuse_marks(post_treatment)
    drawn = as_graph(graph)
    columns_of(drawn, frame.columns)
    _names_only(treatment, outcome)
    return refuse_bad_controls(drawn, treatment, outcome, covariates)


def ate_from_graph(
    frame: pd.DataFrame,
    graph: Any,
    post_treatment: Sequence[Any] = (),
    *,
    treatment: Any,
    outcome: Hashable,
    always: Sequence[Any] = (),
    **settings: Any,
) -> Effect:
    """Identify in a graph, or what :class:`CausalGraph` reads, and estimate as :func:`estimate_from_graph` does.

    `always` are members of every adjustment set, beside those that the graph marks.
    """
    _refuse_marks(post_treatment)
    return estimate_from_graph(_identified(frame, graph, treatment, outcome, always), frame, **settings)


def estimate_from_graph(
    identification: Identification,
    frame: pd.DataFrame,
    estimator: str | type[CausalEstimator] | CausalEstimator | None = None,
    *,
    estimand: str | None = None,
    control: Hashable = None,
    level: float | None = None,
    missing: str = "raise",
    n_draws: int = 500,
    random_state: int | None = None,
    n_jobs: int | None = None,
    **roles: Any,
) -> Effect:
    """Estimate an average effect by the first of these routes that the graph opens.

    1. The outcome is not below the treatment: 0, with a warning.
    2. Back door: adjustment for ``identification.backdoor.optimal``, by AIPW unless `estimator` says otherwise.
    3. Front door: :class:`FrontDoor` through ``identification.frontdoor.minimal``, or through mediators that are one
       given covariates.
    4. Columns that are discrete: the contrast of the outcome's means in ``identification.distribution``, with bootstrap
       draws.

    An instrument identifies an effect only under assumptions that no graph holds: it is never used here.

    Parameters
    ----------
    identification : Identification
        Of one treatment and one outcome, nothing given.
    frame : DataFrame
        Every node that is not latent is a column of it.
    estimator : str, class or estimator, optional
        Of the back door; a :class:`FrontDoor` asks for the front door, also where the back door is open.
    estimand, control, level, missing
        As for ``df.causal.ate``.
    n_draws : int
        Bootstrap draws of route 4.
    random_state, n_jobs : int, optional
        Of the estimator, by default its own; the draws of route 4 begin from 0 by default.
    **roles
        cluster, sample_weight and propensity, where the route takes them.

    Returns
    -------
    Effect
        Its `estimand` and its assumptions say which route was taken and why.

    Raises
    ------
    NotIdentifiedError
        Where no route is open; instruments are named.
    GraphError
        A node that is neither a column nor latent.
    """
    if len(identification.treatment) != 1 or len(identification.outcome) != 1 or identification.given:
        raise CausalArgumentError(
            "an average effect is that of one treatment on one outcome, without given=; for several use"
            " distribution(df)"
        )
    chosen = _check_asked(frame, estimator, level, missing, n_draws, random_state)
    graph, (a,), (y,) = identification.graph, identification.treatment, identification.outcome
    columns_of(graph, frame.columns)
    roles = {role: value for role, value in roles.items() if value is not None}
    own = {"estimand": estimand, "control": control, "random_state": random_state, "n_jobs": n_jobs}
    settings: dict[str, Any] = {"settings": own, "level": level, "missing": missing}
    if not identification.affects:
        return _no_effect(identification, frame, control, level)
    if not _is_front_door(chosen) and identification.backdoor.optimal is not None:
        return _back_door(identification, frame, chosen, roles, **settings)
    if identification.adjusted:
        raise NotIdentifiedError(f"{_no_set(identification)}; ask with adjusted=[], and every route is open")
    sets = _front_door_sets(identification)
    if sets is not None and (chosen is None or _is_front_door(chosen)):
        through = None if isinstance(chosen, str) else chosen
        return _front_door(identification, frame, through, *sets, roles, **settings)
    if chosen is not None:
        raise CausalArgumentError(
            f"{type(chosen).__name__ if not isinstance(chosen, str) else chosen!r} does not fit: the graph has"
            f" no {'front-door' if _is_front_door(chosen) else 'adjustment'} set for the effect of {a!r} on {y!r};"
            " df.causal.ate(graph=...) without estimator lets the graph decide"
        )
    if not identification.identified:
        raise NotIdentifiedError(_why_not(identification))
    from pandas_causal.identification.functional_effect import plug_in_effect

    seed = 0 if random_state is None else random_state
    return plug_in_effect(
        identification, frame, roles, n_draws=n_draws, random_state=seed, estimand=estimand, control=control,
        level=level, missing=missing,
    )  # fmt: skip


def _check_asked(
    frame: object,
    estimator: str | type[CausalEstimator] | CausalEstimator | None,
    level: object,
    missing: object,
    n_draws: object,
    random_state: object,
) -> CausalEstimator | str | None:
    """Refuse what no route takes, whichever is open; return the estimator, made where its class is given or named."""
    from pandas_causal.estimator import SHORT_NAMES, choose
    from pandas_causal.inputs.parameters import check_settings
    from pandas_causal.inputs.roles import check_columns

    if not isinstance(frame, pd.DataFrame):
        raise CausalArgumentError(f"estimate takes a pandas DataFrame; got {type(frame).__name__}")
    check_columns(frame)
    check_settings({"n_draws": n_draws, "random_state": random_state} | ({} if level is None else {"level": level}))
    if missing not in ("raise", "drop"):
        raise CausalArgumentError(f"missing={missing!r} is not known; use 'raise' or 'drop'")
    if estimator is None or (isinstance(estimator, str) and estimator in SHORT_NAMES["ate"]):
        return estimator
    return choose("ate", estimator, {})


# -- routes ----------------------------------------------------------------------------------------------------------


def _no_effect(identification: Identification, frame: pd.DataFrame, control: Hashable, level: float | None) -> Effect:
    """Zero by the graph, not by the data: rows marked as zero by construction, and a warning that says so."""
    from pandas_causal.inputs.arms import MAX_ARMS, resolve_arms

    (a,), (y,) = identification.treatment, identification.outcome
    values = frame[a].dropna()
    index = pd.Index([str(a)], name=a)
    if 1 < values.nunique() <= MAX_ARMS:
        index = pd.Index(resolve_arms(values, control).contrasts, name=a)
    text = (
        f"no directed path leads from {a} to {y} in this graph, so the effect is 0 by assumption: nothing was"
        " estimated, and the standard error of 0 says nothing of the data"
    )
    warn(text, StandardErrorWarning)
    return Effect(
        rows=Estimates(
            pd.Series(np.zeros(len(index)), index=index, name="estimate"),
            Variance(np.zeros(len(index))),
            reference_rows=np.ones(len(index), dtype=bool),
        ),
        estimand=f"average treatment effect (ATE) of {a} on {y}: 0, because {y} is no descendant of {a} in the graph",
        n_obs=len(frame),
        level=0.95 if level is None else level,
        assumptions=(DRAWN,),
        warnings=(text,),
        std_error_method="none: the graph alone makes the effect 0",
        facts={"treatment": str(a), "outcome": str(y), "route": "no causal path"},
    )


def _back_door(
    identification: Identification,
    frame: pd.DataFrame,
    estimator: CausalEstimator | str | None,
    roles: Mapping[str, Any],
    *,
    settings: Mapping[str, object],
    level: float | None,
    missing: str,
) -> Effect:
    from pandas_causal.estimator import choose

    (a,), (y,) = identification.treatment, identification.outcome
    chosen = choose("ate", "aipw" if estimator is None else estimator, settings)
    covariates = [c for c in frame.columns if c in (identification.backdoor.optimal or ())]
    graph = identification.graph
    effect = _fitted(chosen, frame, a, y, covariates, graph=graph, roles=roles, level=level, missing=missing)
    named = ", ".join(map(str, covariates))
    why = (
        f"adjusting for {named} closes every path of the graph from {a} to {y} that is not causal; of such sets this"
        f" one: {identification.backdoor.optimality}"
        if covariates
        else f"no path of the graph but the causal ones is open between {a} and {y}, so nothing is adjusted for"
    )
    if identification.adjusted:
        why += f"; every set was to hold {', '.join(map(str, identification.adjusted))}"
    done = f"adjusted for {named}" if covariates else "nothing to adjust"
    return replace(
        effect,
        estimand=f"{effect.estimand}, by the back door: {done}",
        assumptions=(DRAWN, why, *effect.assumptions[1:]),  # the first says that nothing is unmeasured: the graph does
        facts={**effect.facts, "route": "back door", "adjusted_for": [str(c) for c in covariates]},
    )


def _front_door(
    identification: Identification,
    frame: pd.DataFrame,
    estimator: CausalEstimator | None,
    mediators: frozenset[Any],
    covariates: frozenset[Any],
    roles: Mapping[str, Any],
    *,
    settings: Mapping[str, object],
    level: float | None,
    missing: str,
) -> Effect:
    from pandas_causal.estimator import with_settings
    from pandas_causal.mediation.front_door import FrontDoor

    (a,), (y,) = identification.treatment, identification.outcome
    chosen = with_settings(FrontDoor() if estimator is None else estimator, settings)
    through, conditioning = ([c for c in frame.columns if c in part] for part in (mediators, covariates))
    asked = {**roles, "mediators": through}
    graph = identification.graph
    effect = _fitted(chosen, frame, a, y, conditioning, graph=graph, roles=asked, level=level, missing=missing)
    why = (
        f"no observed set closes the paths of the graph from {a} to {y} that are not causal"
        if identification.backdoor.optimal is None
        else "the front door was asked for (estimator=)"
    )
    reason = f"{', '.join(map(str, through))} is a front-door set of it"
    if conditioning:
        reason += f" given {', '.join(map(str, conditioning))}"
    return replace(
        effect,
        estimand=effect.estimand + (f", given {', '.join(map(str, conditioning))}" if conditioning else ""),
        assumptions=(DRAWN, f"{why}; {reason}", *effect.assumptions),
        facts={**effect.facts, "route": "front door", "adjusted_for": [str(c) for c in conditioning]},
    )


def _fitted(
    estimator: CausalEstimator,
    frame: pd.DataFrame,
    treatment: Hashable,
    outcome: Hashable,
    covariates: list[Any],
    *,
    graph: CausalGraph,
    roles: Mapping[str, Any],
    level: float | None,
    missing: str,
) -> Effect:
    """Fit on named columns; each route's roles are those of its estimator."""
    from pandas_causal.estimator import fit_columns
    from pandas_causal.inputs.plain_columns import select_columns

    named = [n for value in roles.values() for n in (value if isinstance(value, list) else [value])]
    columns = [*covariates, treatment, *(n for n in named if pd.api.types.is_hashable(n) and n in frame.columns)]
    X = select_columns(frame, dict.fromkeys(columns))
    asked = {"treatment": treatment, **roles}
    effect = fit_columns(estimator, X, frame[outcome], asked, level=level, missing=missing, frame=frame)
    return effect if effect.study is None else replace(effect, study=replace(effect.study, graph=graph))


# -- what stands in the way ------------------------------------------------------------------------------------------


def _identified(
    frame: pd.DataFrame, graph: Any, treatment: Hashable, outcome: Hashable, always: Sequence[Any] = ()
) -> Identification:
    """The question about named columns, every node that is not latent being one."""
    _names_only(treatment, outcome)
    drawn = as_graph(graph)
    columns_of(drawn, frame.columns)
    asked = drawn.identify(treatment=treatment, outcome=outcome)
    more = [name for name in always if name not in asked.adjusted]
    return drawn.identify(treatment=treatment, outcome=outcome, adjusted=[*asked.adjusted, *more]) if more else asked


def _no_set(identification: Identification) -> str:
    """Say that no adjustment set is valid, and whether that is because of what every set has to hold."""
    held = identification.adjusted
    if not held:
        return "no set of observed covariates is valid"
    named = ", ".join(map(str, held))
    text = f"no valid set of observed covariates holds {named}, which every set is to hold"
    bad = [str(v) for v in held if v in identification.backdoor.forbidden]
    return f"{text}: {', '.join(bad)} must not be adjusted for, on or below the causal paths" if bad else text


def _is_front_door(estimator: CausalEstimator | str | None) -> bool:
    return type(estimator).__name__ == "FrontDoor"


def _front_door_sets(identification: Identification) -> tuple[frozenset[Any], frozenset[Any]] | None:
    """Mediators and covariates of a front door, if one is open."""
    plain = identification.frontdoor.minimal
    return conditional_front_door(identification.query) if not plain else (plain, frozenset())


def _why_not(identification: Identification) -> str:
    """Why nothing was estimated, and the instruments that could be asked about by name."""
    (a,), (y,) = identification.treatment, identification.outcome
    text = f"the graph does not determine the effect of {a!r} on {y!r}: no covariates, mediators or functional give it"
    instruments = identification.instruments
    if not instruments:
        return f"{text}; measure what causes both, or look for another design"
    one = instruments[0]
    conditioning = f", covariates={sorted(map(str, one.given))}" if one.given else ""
    call = f"df.causal.iv(treatment={a!r}, outcome={y!r}, instrument={one.instrument!r}{conditioning})"
    others = [i.instrument for i in instruments[1:6]]
    so_do = f" (so do {others})" if others else ""
    return (
        f"{text}. {one.instrument!r} qualifies as an instrument{so_do}, which answers another question, under"
        " assumptions that no graph holds (everyone is moved the same way, or effects are linear), and so is never used"
        f" unasked. If they are plausible, ask by name: {call}"
    )


def _refuse_marks(post_treatment: Sequence[Any]) -> None:
    if len(post_treatment):
        raise CausalArgumentError(
            "post_treatment= is for questions without a graph; the graph already says what lies below the treatment"
        )


def _names_only(treatment: Hashable, outcome: Hashable) -> None:
    for role, name in (("treatment", treatment), ("outcome", outcome)):
        if not pd.api.types.is_hashable(name):
            raise CausalArgumentError(f"with graph=, {role} is the name of a node; got a {type(name).__name__}")
