"""Legal values of the settings of estimators. Each class names those of its own settings in ``legal``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pandas_causal.errors import CausalArgumentError

__all__ = [
    "ANTICIPATION",
    "COMMON",
    "CV_OR_POSITIVE",
    "FLAG",
    "LEVEL",
    "NON_NEGATIVE",
    "N_DRAWS",
    "N_JOBS",
    "RANDOM_STATE",
    "SHARE",
    "SHARE_OR_NONE",
    "Legal",
    "at_least",
    "check_settings",
    "is_word",
    "number",
    "one_of",
    "or_none",
]


@dataclass(frozen=True)
class Legal:
    """What a setting may be: a test of a value, and the same in words."""

    holds: Callable[[object], bool]
    words: str
    choices: tuple[object, ...] = ()

    def problem(self, name: str, value: object) -> str | None:
        """What is wrong with a value of the setting called `name`, or None."""
        if self.holds(value):
            return None
        if self.choices:
            return f"{name}={value!r} is not known; {self.words}"
        return f"{name} must be {self.words}; got {value!r}"


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _in(value: object, low: float, high: float, *, closed_low: bool = True) -> bool:
    """Whether a value is a number between two bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return (float(value) >= low if closed_low else float(value) > low) and float(value) < high


def at_least(least: int, of: str = "") -> Legal:
    """Whole numbers from `least` on."""
    words = f"a whole number of at least {least}" if not of else f"a whole number of {of}, {least} or more"
    return Legal(lambda value: _whole(value) and int(value) >= least, words)  # type: ignore[call-overload]


def one_of(*choices: object) -> Legal:
    """One of a few words (or None, True, False), compared by type too: 1 is not True."""
    return Legal(
        lambda value: any(value is c or (isinstance(value, str) and value == c) for c in choices),
        f"use one of {list(choices)}",
        choices,
    )


def number(low: float, high: float, words: str, *, closed_low: bool = True) -> Legal:
    """Numbers from `low` (or above it) to below `high`."""
    return Legal(lambda value: _in(value, low, high, closed_low=closed_low), words)


def or_none(legal: Legal) -> Legal:
    """Another rule, or None."""
    return Legal(lambda value: value is None or legal.holds(value), f"None or {legal.words}")


FLAG = Legal(lambda value: isinstance(value, bool | np.bool_), "True or False")
LEVEL = number(0, 1, "a number between 0 and 1, e.g. 0.95", closed_low=False)
SHARE = number(0, 0.5, "a number in [0, 0.5)")
SHARE_OR_NONE = or_none(SHARE)
RANDOM_STATE = or_none(at_least(0))
N_JOBS = Legal(lambda value: value is None or (_whole(value) and value != 0), "None or a whole number other than 0")
N_DRAWS = at_least(10)
NON_NEGATIVE = number(0, np.inf, "a number of 0 or more")
ANTICIPATION = at_least(0, "periods")
CV_OR_POSITIVE = Legal(
    lambda value: value == "cv" if isinstance(value, str) else _in(value, 0, np.inf, closed_low=False),
    "'cv' or a number above 0",
)


# Settings that mean the same wherever they are taken, by classes and functions alike.
COMMON: Mapping[str, Legal] = {"level": LEVEL, "n_draws": N_DRAWS, "random_state": RANDOM_STATE, "n_jobs": N_JOBS}


def is_word(value: object, words: Iterable[str]) -> bool:
    """Whether a value is one of some words; arrays and frames, whose `in` is ambiguous, are none."""
    return isinstance(value, str) and value in words


def check_settings(settings: Mapping[str, object], legal: Mapping[str, Legal] = COMMON) -> None:
    """Check settings against their legal values; settings without a rule are left to the method.

    Raises
    ------
    CausalArgumentError
        For a wrong one, naming the legal ones.
    """
    for name, value in settings.items():
        problem = legal[name].problem(name, value) if name in legal else None
        if problem is not None:
            raise CausalArgumentError(problem)
