"""What an answer becomes when an assumption it rests on is relaxed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError

if TYPE_CHECKING:
    from pandas_causal.difference_in_differences.honest_bounds import HonestBounds

__all__ = ["sensitivity_of"]


def sensitivity_of(effect: Effect, restriction: str | None = None, **settings: Any) -> HonestBounds:
    """Relax the assumption of an effect; called by ``Effect.sensitivity``.

    Raises
    ------
    CausalArgumentError
        For a design whose sensitivity analysis does not exist.
    """
    if effect.estimates.index.nlevels == 1 and effect.estimates.index.name == "event":
        from pandas_causal.difference_in_differences.honest_bounds import honest_bounds

        return honest_bounds(effect, *([] if restriction is None else [restriction]), **settings)
    raise CausalArgumentError(
        "sensitivity analysis exists for event studies: df.causal.event_study(...).sensitivity(), or"
        " did(..., base_period='universal').aggregate('event').sensitivity()"
    )
