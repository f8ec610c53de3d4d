"""Strata: cells of coarsened covariates, and subclasses of the propensity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, suggest
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.kernels.arrays import Bools, Floats, Positions
from pandas_causal.matching.distances import strata_of

__all__ = ["coarsened", "subclasses"]


def coarsened(frame: pd.DataFrame, cutpoints: Any) -> Positions:
    """Cell of every row when numbers are cut into bins and everything else is matched exactly.

    Parameters
    ----------
    frame : DataFrame (n, p)
        Covariates as given. Missing is a value of its own.
    cutpoints : None, int or mapping of name to int or sequence of float
        Bins of equal width (None: Sturges' ``ceil(log2(n)) + 1``), or the points to cut at: a value equal to one lies
        above it. 0 bins: exactly equal.

    References
    ----------
    Iacus, King and Porro (2012), "Causal inference without balance checking: coarsened exact matching", Political
    Analysis; Sturges (1926), JASA.
    """
    named = cutpoints if isinstance(cutpoints, Mapping) else {}
    unknown = [name for name in named if name not in frame.columns]
    if unknown:
        raise CausalArgumentError(
            f"cutpoints names {unknown[0]!r}, which is no covariate{suggest(unknown[0], frame.columns)}; covariates:"
            f" {list(frame.columns)[:8]}"
        )
    sturges = int(np.ceil(np.log2(max(len(frame), 1)))) + 1
    columns: list[Any] = []
    for name in frame.columns:
        x = frame[name]
        if not is_numeric(x) or pd.api.types.is_bool_dtype(x.dtype):
            columns.append(x)
            continue
        bins = named.get(name, sturges if cutpoints is None or named else cutpoints)
        columns.append(_bins(as_float(x), bins))
    return strata_of(columns, len(frame))


def _bins(values: Floats, bins: Any) -> Floats:
    """Number of the bin of every value; NaN stays."""
    if np.ndim(bins):
        cuts = np.sort(np.asarray(bins, dtype=float))
    elif bins == 0:
        return values
    else:
        low, high = np.nanmin(values), np.nanmax(values)
        if high == low:
            return np.where(np.isnan(values), np.nan, 0.0)
        # shares of the range, with room for rounding: a value on an edge lies above it in any unit
        return np.asarray(np.minimum(np.floor((values - low) / (high - low) * bins + 1e-9), bins - 1))
    return np.where(np.isnan(values), np.nan, np.searchsorted(cuts, values, side="right").astype(float))


def subclasses(score: Floats, target: Bools, n: int, group: Positions, w: Floats | None) -> Positions:
    """Subclass of every row: quantiles of the score among the rows the effect is for, within exact strata.

    Parameters
    ----------
    score : ndarray (n,)
    target : ndarray (n,) of bool
        Rows whose quantiles divide the line into `n` classes of equal size.
    n : int
    group : ndarray (n,)
    w : ndarray (n,), optional

    Notes
    -----
    The k-th value stands at the middle of its mass, from 0 at the first to 1 at the last, and quantiles lie on the line
    between: numpy's rule where weights are equal, and no other where they hardly differ. A row of weight 2 is near, and
    not exactly, two rows.

    References
    ----------
    Rosenbaum and Rubin (1984), "Reducing bias in observational studies using subclassification", JASA.
    """
    if int(target.sum()) < n:
        raise CausalDataError(f"{n} subclasses need as many rows, and there are {int(target.sum())}; use fewer")
    values, probabilities = score[target], np.arange(1, n) / n
    unit = np.ones(len(values)) if w is None else w[target]
    order = np.lexsort((unit, values))
    mass = unit[order]
    middle = np.cumsum(mass) - mass / 2
    cuts = np.interp(probabilities, (middle - middle[0]) / max(middle[-1] - middle[0], 1e-300), values[order])
    inside = np.searchsorted(cuts - 1e-10, score, side="right")  # a score equal to a quantile lies above it
    return strata_of([group, inside], len(group))
