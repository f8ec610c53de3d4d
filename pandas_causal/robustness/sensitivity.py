"""Which sensitivity analysis an effect has: ``Effect.sensitivity`` asks here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, suggest

__all__ = ["sensitivity_of"]

_PANEL = ("relative_magnitudes", "smoothness")


def _honest_bounds(effect: Effect, method: str | None = None, **settings: Any) -> Check:
    from pandas_causal.difference_in_differences.honest_bounds import honest_bounds

    return honest_bounds(effect, *([] if method is None else [method]), **settings)


def _asked(method: str, analysis: Callable[..., Check], effect: Effect, settings: Mapping[str, Any]) -> Check:
    """Ask an analysis, once its settings are known to be its own."""
    taken = inspect.signature(analysis).parameters
    own = [name for name in taken if name != "effect"]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    for name in () if open_ended else settings:
        if name not in own:
            close = suggest(name, own)
            raise CausalArgumentError(f"sensitivity({method!r}) has no setting {name!r}{close}; it has {own}")
    return analysis(effect, **settings)


def _confounder(effect: Effect, **settings: Any) -> Check:
    from pandas_causal.robustness.confounding import confounder_sensitivity

    return _asked("confounder", confounder_sensitivity, effect, settings)


def _e_value(effect: Effect, **settings: Any) -> Check:
    from pandas_causal.robustness.e_value import e_value_of

    return _asked("e_value", e_value_of, effect, settings)


def _rosenbaum(effect: Effect, **settings: Any) -> Check:
    from pandas_causal.robustness.rosenbaum import rosenbaum_of

    return _asked("rosenbaum", rosenbaum_of, effect, settings)


def _marginal(effect: Effect, **settings: Any) -> Check:
    from pandas_causal.robustness.marginal import marginal_sensitivity

    return _asked("marginal", marginal_sensitivity, effect, settings)


def _oster(effect: Effect, **settings: Any) -> Check:
    from pandas_causal.robustness.coefficient_stability import coefficient_stability

    return _asked("oster", coefficient_stability, effect, settings)


def _tipping_point(effect: Effect, **settings: Any) -> Check:
    from pandas_causal.robustness.coefficient_stability import tipping_points

    return _asked("tipping_point", tipping_points, effect, settings)


def _rho(effect: Effect, **settings: Any) -> Check:
    ask = getattr(effect.estimator, "sensitivity_rho", None)
    if ask is None:
        raise CausalArgumentError(
            "rho, the correlation of the errors of mediator and outcome, is of two linear models:"
            " df.causal.mediate(..., estimator='simulation').sensitivity()"
        )
    found: Check = ask(**{"level": effect.level} | settings)
    return found


# By name; an event study's own two stand beside these.
ANALYSES: Mapping[str, Callable[..., Check]] = {
    "confounder": _confounder,
    "e_value": _e_value,
    "rosenbaum": _rosenbaum,
    "marginal": _marginal,
    "oster": _oster,
    "tipping_point": _tipping_point,
    "rho": _rho,
}


def sensitivity_of(effect: Effect, method: str | None = None, **settings: Any) -> Check:
    """Relax the assumption of an effect; called by ``Effect.sensitivity``.

    Raises
    ------
    CausalArgumentError
        For a method that is not known, or that this design does not have.
    """
    if _is_event_study(effect) and (method is None or method not in ANALYSES):
        return _honest_bounds(effect, method, **settings)
    if method is None:
        return ANALYSES[_own(effect)](effect, **settings)
    if not isinstance(method, str) or method not in ANALYSES:
        known = [*ANALYSES, *_PANEL]
        if method in _PANEL:
            raise CausalArgumentError(f"sensitivity({method!r}) is for event studies: {_EVENTS}")
        raise CausalArgumentError(f"sensitivity({method!r}) is not known{suggest(method, known)}; use one of {known}")
    return ANALYSES[method](effect, **settings)


_EVENTS = (
    "df.causal.event_study(...).sensitivity(), or did(..., base_period='universal').aggregate('event').sensitivity()"
)


def _is_event_study(effect: Effect) -> bool:
    return effect.estimates.index.nlevels == 1 and effect.estimates.index.name == "event"


# what an estimator has whose answer a confounder of some strength can be held against
_JUDGED = ("riesz_terms", "instrument_estimates", "instrument_coefficients")


def _own(effect: Effect) -> str:
    """The method of a design."""
    if any(hasattr(effect.estimator, name) for name in _JUDGED):
        return "confounder"
    if getattr(effect.estimator, "is_paired", False):
        return "rosenbaum"
    if hasattr(effect.estimator, "bounded_means"):
        return "marginal"
    if hasattr(effect.estimator, "sensitivity_rho"):
        return "rho"
    raise CausalArgumentError(
        "this effect has no sensitivity analysis of its own. RegressionAdjustment, AIPW, TMLE and doubly robust"
        " instruments have one (how strong a confounder must be), IPW (odds of treatment that are off), matched pairs"
        f" (Rosenbaum bounds), and event studies: {_EVENTS}. sensitivity('e_value') and ('tipping_point') are for all"
        " that compare arms"
    )
