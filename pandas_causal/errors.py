"""Every exception and warning class of the package."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import FrameType
from typing import Any

__all__ = [
    "AssumptionWarning",
    "BadControlError",
    "BadControlWarning",
    "CausalArgumentError",
    "CausalDataError",
    "CausalError",
    "CausalWarning",
    "FewTreatedWarning",
    "GraphError",
    "MissingDependencyError",
    "NotIdentifiedError",
    "OverlapError",
    "OverlapWarning",
    "Problem",
    "StandardErrorWarning",
    "UnknownNameError",
    "WeakInstrumentWarning",
    "suggest",
    "warn",
]


def __dir__() -> list[str]:
    return __all__


class CausalError(ValueError):
    """Base of every error this package raises on purpose."""


class CausalArgumentError(CausalError):
    """A wrong setting; the message names the legal ones."""


class UnknownNameError(CausalArgumentError, KeyError):
    """A name that a mapping of results does not hold, with those that it does; a KeyError too, as mappings promise."""

    __str__ = Exception.__str__  # a KeyError shows its message quoted


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the data.

    Attributes
    ----------
    column : str
        The column, or the role of an array that has no name.
    what : str
        What is wrong, in a few words.
    count : int or None
        How many rows are affected; None where rows are not the point.
    remedy : str
        What the user can do.
    """

    column: str
    what: str
    count: int | None
    remedy: str

    def __str__(self) -> str:
        rows = "" if self.count is None else f" in {self.count:,} row{'s' if self.count != 1 else ''}"
        return f"{self.column}: {self.what}{rows}; {self.remedy}"


class CausalDataError(CausalError):
    """The data cannot answer the question; lists every problem at once.

    Parameters
    ----------
    problems : sequence of Problem, or str
        What was found.
    """

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        self.problems: tuple[Problem, ...] = () if isinstance(problems, str) else tuple(problems)
        if isinstance(problems, str):
            text = problems
        elif len(problems) == 1:
            text = str(problems[0])
        else:
            text = f"{len(problems)} problems with the data:\n" + "\n".join(f"  - {p}" for p in problems)
        super().__init__(text)

    def __reduce__(self) -> tuple[type, tuple[Sequence[Problem] | str]]:
        return type(self), (self.problems or str(self),)


class OverlapError(CausalDataError):
    """Positivity fails: some units could never have received the other arm."""


class GraphError(CausalError):
    """What was given is not a graph: a cycle, a self-loop, malformed text, a node nobody knows."""


class NotIdentifiedError(CausalError):
    """The graph, or the design, does not determine the effect; the message says what stands in the way."""


class BadControlError(CausalError):
    """A covariate must not be adjusted for.

    Parameters
    ----------
    message : str
    controls : mapping of name to (kind, path)
        Kind is "mediator", "descendant" or "collider"; path holds the nodes from treatment to outcome.
    """

    def __init__(self, message: str, controls: Mapping[Any, tuple[str, tuple[Any, ...]]]) -> None:
        self.controls = dict(controls)
        super().__init__(message)

    def __reduce__(self) -> tuple[type, tuple[str, dict[Any, tuple[str, tuple[Any, ...]]]]]:
        return type(self), (str(self), self.controls)


class MissingDependencyError(CausalError, ImportError):
    """An optional dependency is absent; the message holds the exact pip command."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"{package} is needed for this: pip install 'pandas-causal[{extra}]'")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.package, self.extra)


class CausalWarning(UserWarning):
    """Base of every warning of this package."""


class OverlapWarning(CausalWarning):
    """Positivity is weak: the answer leans on few comparable units."""


class StandardErrorWarning(CausalWarning):
    """A standard error is missing, infinite or zero, and why."""


class AssumptionWarning(CausalWarning):
    """The data contradict something the answer rests on."""


class BadControlWarning(CausalWarning):
    """A covariate that does no good: it costs precision or amplifies bias."""


class FewTreatedWarning(CausalWarning):
    """An answer rests on so few treated units or clusters that its standard error is too small."""


class WeakInstrumentWarning(CausalWarning):
    """Instruments move a treatment so little that estimates are biased and usual intervals do not cover."""


def warn(message: str, category: type[CausalWarning]) -> None:
    """Warn at the line of the first caller outside this package, which is the user's."""
    level = 2  # 1 is this function
    frame: FrameType | None = sys._getframe(1)
    package = __name__.partition(".")[0]
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def suggest(name: object, known: Iterable[object]) -> str:
    """Return ``" (did you mean 'age'?)"`` for the closest known names, or an empty string."""
    known = list(known)
    for k in known:  # alike but for the type
        if str(k) == str(name):
            right, given = (v.item() if hasattr(v, "item") and getattr(v, "size", 0) == 1 else v for v in (k, name))
            kinds = type(right).__name__, type(given).__name__
            return f" (did you mean {right!r} of type {kinds[0]}? {given!r} is of type {kinds[1]})"
    close = get_close_matches(str(name), [str(k) for k in known], n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(repr(c) for c in close)}?)" if close else ""
