"""What an identification says, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pandas_causal.graph.functional import Functional, braces

if TYPE_CHECKING:
    from pandas_causal.graph.identification import Identification

__all__ = ["explain"]

MOST_NODES = 60  # in larger graphs formulas fill pages and the search for instruments takes seconds
LONGEST_FORMULA = 600


def explain(found: Identification) -> str:
    """Write what is identified, by what, and what stands in the way, a line each."""
    lines = [f"{_question(found)}: {'identified' if found.identified else 'NOT identified'}."]
    if not found.affects:
        lines.append(
            f"No directed path leads from {_listed(found.treatment)} to {_listed(found.outcome)}: in this graph the"
            " effect is 0."
        )
    lines += [_back_door(found), _front_door(found)]
    small = len(found.graph) <= MOST_NODES
    if not found.identified:
        hedge = found._hedge
        if hedge is not None:
            lines.append(f"Why: {hedge.reason}.")
    elif small:
        functional = found.functional
        if isinstance(functional, Functional) and len(functional.text) <= LONGEST_FORMULA:
            lines.append(f"Functional: {functional.text}")
    lines += _instruments(found, small)
    return "\n".join(line for line in lines if line)


def _question(found: Identification) -> str:
    given = f" given {_listed(found.given)}" if found.given else ""
    joint = "joint effect" if len(found.treatment) > 1 else "effect"
    return f"The {joint} of {_listed(found.treatment)} on {_listed(found.outcome)}{given}"


def _back_door(found: Identification) -> str:
    sets = found.backdoor
    if not sets.exists:
        why = ""
        below = found.graph.descendants(found.treatment)
        caused = [w for w in found.given if w in below]
        if caused:
            why = f"; {_listed(caused)} is given and a consequence of the treatment"
        return f"Back door: no set of observed covariates is valid{why}."
    if not sets.optimal:
        return "Back door: nothing has to be adjusted for."
    text = f"Back door: adjust for {braces(sets.optimal)} ({sets.optimality})."
    if sets.minimal != sets.optimal:
        text += f" A minimal set: {braces(sets.minimal)}." if sets.minimal else " Adjusting for nothing is valid too."
    if sets.forbidden:
        mediators = sets.forbidden - set(found.outcome)
        text += f" Never for {braces(mediators)}: on or below the causal paths." if mediators else ""
    return text


def _front_door(found: Identification) -> str:
    if not found.affects or found.given:
        return ""
    found_set = found.frontdoor.minimal
    return "Front door: none." if found_set is None else f"Front door: through {braces(found_set)}."


def _instruments(found: Identification, small: bool) -> list[str]:
    if found.backdoor.exists or len(found.treatment) > 1 or len(found.outcome) > 1 or found.given:
        return []
    if not small:
        return ["Instruments: read .instruments."]
    listed = [_listed([i.instrument]) + (f" given {braces(i.given)}" if i.given else "") for i in found.instruments[:5]]
    more = f", and {len(found.instruments) - 5} more" if len(found.instruments) > 5 else ""
    if not listed:
        return ["Instruments: none."]
    return [f"Instruments, which need assumptions beyond the graph: {'; '.join(listed)}{more}."]


def _listed(names: Any) -> str:
    return ", ".join(map(str, names))
