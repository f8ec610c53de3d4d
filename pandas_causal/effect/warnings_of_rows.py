"""What a reader is warned of: standard errors that are missing, infinite, zero, or rest on few treated units."""

from __future__ import annotations

import numpy as np

from pandas_causal.effect.estimates import Estimates
from pandas_causal.inference.influence import Influence

__all__ = ["few_treated_text", "is_few_treated_text", "std_error_text"]

_FEW = 10
_FEW_REMEDY = "RandomTiming(adjustment='did', inference='fisher')"
_NOTHING = 1e-14  # of the estimate: what rounding leaves of a standard error that is zero


def std_error_text(rows: Estimates) -> str | None:
    """Say which standard errors are NaN, infinite or zero (reference rows apart), or None."""
    if isinstance(rows.uncertainty, Influence) and rows.uncertainty.unknown:
        return rows.uncertainty.unknown
    se = rows.std_errors
    bad = ~np.isfinite(se) | (se <= _NOTHING * np.abs(rows.array))
    if rows.reference_rows is not None:
        bad &= ~rows.reference_rows
    if not bad.any():
        return None
    zero, which = int(np.isfinite(se[bad]).sum()), list(rows.index[bad][:3])
    if zero == bad.sum():
        reason = "zero: the rows used leave nothing uncertain (an outcome fitted exactly, or quantities taken as known)"
    elif np.isinf(se[bad]).any():
        reason = "missing or infinite: too few rows stand behind them, or what they were mapped by has no slope there"
    else:
        reason = "missing: too few rows stand behind them"
    return f"{int(bad.sum()):,} of {len(se):,} standard errors are {reason}; rows: {which}"


def few_treated_text(rows: Estimates) -> str | None:
    """Say which rows rest on fewer than 10 units or clusters on a side (reference rows apart), or None."""
    u = rows.uncertainty
    if not isinstance(u, Influence) or u.treated is None:
        return None
    behind = u.n_treated()
    few = behind < _FEW
    if rows.reference_rows is not None:
        few &= ~rows.reference_rows
    if not few.any():
        return None
    least = int(np.argmin(np.where(few, behind, np.inf)))
    kind = "units" if u.clustering is None else "clusters"
    return (
        f"{int(few.sum()):,} of {len(few):,} rows rest on fewer than {_FEW} treated (or untreated) {kind} (the fewest,"
        f" {int(behind[least])}: {list(rows.index)[least]!r}), so that standard errors are too small; randomisation"
        f" inference on a panel of the units assigned, {_FEW_REMEDY}, does not need many"
    )


def is_few_treated_text(text: str) -> bool:
    """Whether a warning is that of few treated units, which applies only to the rows it names."""
    return _FEW_REMEDY in text
