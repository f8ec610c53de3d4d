"""The 2x2 difference in differences of four samples, without a frame."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pandas_causal.difference_in_differences.two_way import DifferenceInDifferences
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.inputs.plain_columns import select_columns
from pandas_causal.inputs.types import ColumnLike

__all__ = ["did_2x2"]


def did_2x2(
    *,
    control_before: ColumnLike,
    control_after: ColumnLike,
    treated_before: ColumnLike,
    treated_after: ColumnLike,
    paired: bool = False,
    level: float = 0.95,
) -> Effect:
    """Change of the treated less change of the untreated, from the outcomes of the four cells.

    Parameters
    ----------
    control_before, control_after, treated_before, treated_after : array-like
        Outcomes; numbers without missing values.
    paired : bool
        Whether before and after are the same units in the same order, so that units' changes are compared; otherwise
        they are different units (repeated cross-sections), and four means are.
    level : float

    Returns
    -------
    Effect
        One row, the effect on the treated; see :class:`DifferenceInDifferences`.

    Raises
    ------
    CausalArgumentError
        For cells that are no arrays.
    CausalDataError
        For missing outcomes; with `paired`, for cells of different lengths.

    Examples
    --------
    >>> did_2x2(control_before=[1, 2], control_after=[2, 4], treated_before=[1, 3], treated_after=[4, 8]).estimate
    2.5
    """
    given = {
        (0, 0): ("control_before", control_before),
        (0, 1): ("control_after", control_after),
        (1, 0): ("treated_before", treated_before),
        (1, 1): ("treated_after", treated_after),
    }
    cells = {cell: _outcomes(values, name) for cell, (name, values) in given.items()}
    parts, first = [], 0
    for group in (0, 1):
        before, after = cells[group, 0], cells[group, 1]
        if paired and len(before) != len(after):
            raise CausalDataError(
                f"paired=True compares each unit with itself, and {given[group, 0][0]} has {len(before):,} values where"
                f" {given[group, 1][0]} has {len(after):,}; give the same units in the same order, or paired=False"
            )
        for period, values in ((0, before), (1, after)):
            unit = np.arange(first, first + len(values))
            parts.append(pd.DataFrame({"outcome": values, "group": group, "time": period, "unit": unit}))
        first += len(before)
    frame = pd.concat(parts, ignore_index=True)
    roles = {"group": "group", "time": "time", **({"unit": "unit"} if paired else {})}
    X = select_columns(frame, roles)
    return DifferenceInDifferences(post=1, level=level).fit(X, frame["outcome"], **roles).effect()


def _outcomes(values: ColumnLike, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """One cell's outcomes."""
    try:
        out = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        out = np.empty((0, 0))
    if out.ndim != 1:
        raise CausalArgumentError(f"{name} takes the outcomes of one cell, an array of numbers; got {values!r}")
    missing = int(np.isnan(out).sum())
    if missing:
        text = f"{missing:,} of {len(out):,} outcomes are missing"
        raise CausalDataError([Problem(name, text, None, "leave them out, counted")])
    return out
