"""Check: the one result of a diagnostic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.errors import UnknownNameError, suggest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Check", "Checks", "DeferredCheck"]

_VERDICT = {True: "passed", False: "FAILED", None: "for information"}
_MOST_ROWS = 12


@dataclass(frozen=True, eq=False)
class Check:
    """Result of a diagnostic: it does not raise, plot or print.

    Attributes
    ----------
    passed : bool or None
        None where the diagnostic informs and does not judge.
    table : DataFrame
        What was computed.
    summary : str
        One sentence.
    drawn : callable or None
        Returns the table that :meth:`plot` draws, where that is another one.
    """

    passed: bool | None
    table: pd.DataFrame
    summary: str
    drawn: Callable[[], pd.DataFrame] | None = field(default=None, kw_only=True, repr=False)

    def settled(self) -> Check:
        """The same with its table computed: nothing as long as the data is kept."""
        return Check(self.passed, self.table, self.summary)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw what was computed, where there is a picture of it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        CausalArgumentError
            For a check without a picture.
        """
        from pandas_causal.plotting.checks import draw_check

        return draw_check(self.table if self.drawn is None else self.drawn(), ax, title=self._said())

    def _said(self) -> str:
        return f"{_VERDICT[self.passed]}: {self.summary}" if self.passed is False else self.summary

    def __repr__(self) -> str:
        return f"Check {_VERDICT[self.passed]}: {self.summary}\n{self.table.head(_MOST_ROWS).to_string()}"

    def _repr_html_(self) -> str:
        more = len(self.table) - _MOST_ROWS
        rest = f"<p>and {more:,} more rows in <code>check.table</code></p>" if more > 0 else ""
        return (
            f"<div><p><strong>{_VERDICT[self.passed]}</strong>: {escape(self.summary)}</p>"
            f"{self.table.head(_MOST_ROWS).to_html(border=0)}{rest}</div>"  # pandas escapes cells and labels
        )


class DeferredCheck(Check):
    """A check whose table costs more than its verdict: it is computed when it is first read, and kept."""

    def __init__(
        self,
        passed: bool | None,
        table: Callable[[], pd.DataFrame] | pd.DataFrame,
        summary: str,
        *,
        drawn: Callable[[], pd.DataFrame] | None = None,
    ) -> None:
        for name, value in (("passed", passed), ("_table", table), ("summary", summary), ("drawn", drawn)):
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return Check, (self.passed, self.table, self.summary)

    def __getattr__(self, name: str) -> Any:
        if name != "table" or "_table" not in self.__dict__:
            raise AttributeError(name)
        given = self.__dict__["_table"]
        table = given if isinstance(given, pd.DataFrame) else given()
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "_table", table)
        return table


class Checks(Mapping[str, Check]):
    """Checks by name; one given as a function is computed when it is first read, and kept.

    Some diagnostics (balance on a million rows) cost more than the estimate; whoever does not read them does not pay.
    """

    def __init__(self, checks: Mapping[str, Check | Callable[[], Check]]) -> None:
        self._checks = dict(checks)

    def __getitem__(self, name: str) -> Check:
        if not isinstance(name, str) or name not in self._checks:
            known = ", ".join(self._checks) or "none"
            raise UnknownNameError(f"no diagnostic is called {name!r}{suggest(name, self._checks)}; there are: {known}")
        check = self._checks[name]
        if not isinstance(check, Check):
            check = self._checks[name] = check()
        return check

    def __iter__(self) -> Iterator[str]:
        return iter(self._checks)

    def __len__(self) -> int:
        return len(self._checks)

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {check!r}" for name, check in self.items())
