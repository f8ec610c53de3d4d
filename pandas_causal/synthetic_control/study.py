"""A panel as a synthetic comparison reads it: outcomes as a matrix, donors, and blocks of treated units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pandas_causal.inputs.arms import plain
from pandas_causal.kernels.arrays import Floats, Ints
from pandas_causal.panels.panel import Panel
from pandas_causal.synthetic_control.comparison import Block

__all__ = ["SyntheticStudy", "period_text"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SyntheticStudy:
    """A panel as a matrix, with its donors and its blocks of treated units.

    Attributes
    ----------
    panel : Panel
    Y : ndarray (N, T)
    donors : ndarray (n0,)
        Rows of never-treated units.
    blocks : list of Block
    covariates : ndarray (N, T, q)
        As given, NaN where missing.
    names : list of str (q,)
    """

    panel: Panel
    Y: Floats
    donors: Ints
    blocks: list[Block]
    covariates: Floats
    names: list[str]

    @property
    def labels(self) -> pd.Index:
        """Labels of the units (N,)."""
        return self.panel.units.labels

    @property
    def treated(self) -> Ints:
        """Rows of treated units, block by block."""
        return np.concatenate([b.rows for b in self.blocks])

    def block_names(self) -> list[str]:
        """Name every block by its unit, or by its first period and how many units it has."""
        names = []
        for b in self.blocks:
            since = period_text(self.panel.periods[b.start])
            one = str(plain(self.labels[b.rows[0]]))
            names.append(f"{one}, from {since}" if b.size == 1 else f"{b.size} units, from {since}")
        return names


def period_text(value: object) -> str:
    """Period as text; dates without a time of day that is zero."""
    return f"{value:%Y-%m-%d}" if isinstance(value, pd.Timestamp) and value == value.normalize() else str(value)
