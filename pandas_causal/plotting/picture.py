"""What turns an effect into a picture: each module of pictures lists its own in ``PICTURES``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Picture", "PlottedCheck", "PlottedEffect"]


class PlottedCheck(Protocol):
    """What a picture reads of a diagnostic."""

    @property
    def table(self) -> pd.DataFrame:
        """Rows that are drawn."""
        ...

    @property
    def summary(self) -> str:
        """The finding in words."""
        ...


class PlottedEffect(Protocol):
    """What a picture reads of an effect."""

    @property
    def table(self) -> pd.DataFrame:
        """Rows that are drawn."""
        ...

    @property
    def diagnostics(self) -> Mapping[str, PlottedCheck]:
        """Checks by name."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a reader is told of the fit."""
        ...

    @property
    def weightings(self) -> Mapping[str, object]:
        """Averages that exist, by name."""
        ...

    @property
    def estimand(self) -> str:
        """What was estimated, in words."""
        ...

    @property
    def alternative(self) -> str:
        """Of the tests: "two-sided" or a direction."""
        ...

    @property
    def level(self) -> float:
        """Of the intervals."""
        ...

    @property
    def n_obs(self) -> int:
        """Rows used."""
        ...

    @property
    def pictured(self) -> Callable[[], PlottedEffect] | None:
        """Returns the effect that a picture of event times draws in its place."""
        ...

    def aggregate(self, by: str) -> PlottedEffect:
        """Average by a weighting."""
        ...

    def interval(self, *, simultaneous: bool) -> pd.DataFrame:
        """Intervals for all rows at once."""
        ...


@dataclass(frozen=True)
class Picture:
    """One kind of picture of an effect.

    Attributes
    ----------
    draw : callable
        ``draw(effect, ax, n)``; `n` is the number of rows in words, for the title.
    source : str or None
        The diagnostic whose table it draws; None: the effect's own table.
    available : callable, optional
        Whether an effect has it, where a source does not say so.
    first : bool
        Drawn when no kind is asked for, where the effect has it.
    """

    draw: Callable[[PlottedEffect, Axes | None, str], Axes]
    source: str | None = None
    available: Callable[[PlottedEffect], bool] | None = None
    first: bool = False

    def is_of(self, effect: PlottedEffect) -> bool:
        """Whether the effect has what this picture draws."""
        if self.available is not None:
            return self.available(effect)
        return self.source is None or self.source in effect.diagnostics
