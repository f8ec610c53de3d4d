"""Check: the one result of a diagnostic."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

__all__ = ["Check"]


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
    """

    passed: bool | None
    table: pd.DataFrame
    summary: str

    def __repr__(self) -> str:
        verdict = {True: "passed", False: "FAILED", None: "for information"}[self.passed]
        return f"Check {verdict}: {self.summary}\n{self.table.head(12).to_string()}"
