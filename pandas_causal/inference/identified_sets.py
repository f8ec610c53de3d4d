"""Intervals of a parameter of which only bounds are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from pandas_causal.inference.influence import Influence
from pandas_causal.kernels.arrays import Floats

__all__ = ["IdentifiedSets", "imbens_manski"]


def imbens_manski(low: Floats, high: Floats, errors: tuple[Floats, Floats], level: float) -> tuple[Floats, Floats]:
    """Ends of intervals that hold a parameter (not the whole set) with a confidence level, however wide the set.

    The critical value c solves ``Phi(c + width / max(errors)) - Phi(-c) = level``: 1.96 for a point, 1.645 where the
    two ends are far apart, since the parameter can be near one of them only.

    Parameters
    ----------
    low, high : ndarray (rows,)
        Estimated bounds. Where they cross the set is taken as the point between them.
    errors : pair of ndarray (rows,)
        Of each.
    level : float

    Returns
    -------
    conf_low, conf_high : ndarray (rows,)

    References
    ----------
    Imbens and Manski (2004), "Confidence intervals for partially identified parameters", Econometrica 72, eq. (6) and
    (7); Stoye (2009), Econometrica 77, for when it holds uniformly.
    """
    width = np.maximum(high - low, 0.0)
    largest = np.maximum(*errors)
    ratio = np.divide(width, largest, out=np.full_like(width, np.inf), where=largest > 0)
    bottom = np.full(len(low), float(special.ndtri(level)))
    top = np.full(len(low), float(special.ndtri(0.5 + level / 2)))
    for _ in range(60):
        middle = (bottom + top) / 2
        short = special.ndtr(middle + ratio) - special.ndtr(-middle) < level
        bottom, top = np.where(short, middle, bottom), np.where(short, top, middle)
    middle = (low + high) / 2
    from_low, from_high = np.where(low <= high, low, middle), np.where(low <= high, high, middle)
    return from_low - top * errors[0], from_high + top * errors[1]


@dataclass(frozen=True, eq=False)
class IdentifiedSets:
    """Intervals of parameters between two estimated bounds each, as an effect's ``inversion``.

    Attributes
    ----------
    uncertainty : Influence
        Its rows are the lower bounds, then the upper ones.
    index : Index (rows,)
        Labels of the parameters.
    """

    uncertainty: Influence
    index: pd.Index

    def __call__(self, level: float) -> pd.DataFrame:
        """Interval of every parameter."""
        values, errors = self.uncertainty.loadings @ self.uncertainty.values, self.uncertainty.std_error()
        m = len(self.index)
        low, high = imbens_manski(values[:m], values[m:], (errors[:m], errors[m:]), level)
        return pd.DataFrame({"conf_low": low, "conf_high": high}, index=self.index)

    def of_rows(self, rows: pd.Index) -> IdentifiedSets | None:
        """The same for the parameters both of whose bounds are among some rows; None where there are none."""
        ends = rows.droplevel(rows.nlevels - 1) if isinstance(rows, pd.MultiIndex) else rows
        whole = [k for k, label in enumerate(self.index) if int((ends == label).sum()) == 2]
        if not whole:
            return None
        both = np.array([*whole, *(len(self.index) + k for k in whole)])
        return IdentifiedSets(self.uncertainty.take(both), self.index[whole])

    def compact(self) -> IdentifiedSets:
        """Without what is as long as the data."""
        return replace(self, uncertainty=self.uncertainty.compact())

    def clustered(self, labels: list[Any], uncertainty: Influence) -> IdentifiedSets:
        """The same with clustered errors."""
        return replace(self, uncertainty=self.uncertainty.cluster(labels))
