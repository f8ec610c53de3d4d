"""Treatments by their kind: arms that rows were in, or numbers that they received.

A design says which it takes: "arms", "numbers" or "either". Of a design that takes either the data decide: labels,
bools and columns of two values are arms, other numbers and several columns are numbers (whole numbers that are meant as
arms are given as a category).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.kernels.arrays import Codes, Floats

__all__ = ["Kind", "Numbers", "Takes", "fold_strata", "is_numbers", "read_numbers"]

Kind = Literal["arms", "numbers"]
Takes = Literal["arms", "numbers", "either"]
_FIFTHS = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True, eq=False)
class Numbers:
    """Treatments that are numbers.

    Attributes
    ----------
    values : ndarray (n, d), float64
    names : tuple of str (d,)
    """

    values: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def strata(self) -> Codes:
        """Fifth of every treatment that a row is in, combined: what folds are balanced by."""
        codes = np.zeros(len(self.values), dtype=np.int64)
        for column in self.values.T:
            codes = 5 * codes + np.searchsorted(np.quantile(column, _FIFTHS), column, side="left")
        return np.asarray(pd.factorize(codes)[0])


def is_numbers(treatment: Any, takes: Takes) -> bool:
    """Whether a treatment, a Series or several columns, is numbers to a design that takes `takes`."""
    if takes != "either":
        return takes == "numbers"
    if isinstance(treatment, pd.DataFrame):
        return True
    if not is_numeric(treatment) or pd.api.types.is_bool_dtype(treatment.dtype):
        return False
    values = as_float(treatment)
    values = values[np.isfinite(values)]
    return len(values) > 0 and bool(((values != values.min()) & (values != values.max())).any())


def read_numbers(treatment: Any) -> Numbers:
    """Treatments, a Series or several columns, as a matrix with names."""
    if isinstance(treatment, pd.Series):
        return Numbers(as_float(treatment)[:, None], (str(treatment.name),))
    names = (name if isinstance(name, str) else f"treatment {name}" for name in treatment)  # an array's are 0, 1, ...
    return Numbers(np.column_stack([as_float(treatment[name]) for name in treatment]), tuple(names))


def fold_strata(treatment: Arms | Numbers) -> Codes:
    """What folds are balanced by: arms, or fifths of numbers."""
    return treatment.codes if isinstance(treatment, Arms) else treatment.strata
