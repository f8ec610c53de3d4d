"""Corrections of p-values for asking several questions at once."""

from __future__ import annotations

import numpy as np

from pandas_causal.errors import CausalArgumentError
from pandas_causal.kernels.arrays import Floats

__all__ = ["adjust_p_values"]


def adjust_p_values(p_values: Floats, method: str) -> Floats:
    """Adjust p-values for multiple comparisons.

    Parameters
    ----------
    p_values : ndarray (m,)
        Unadjusted.
    method : {"holm", "benjamini_hochberg"}
        Family-wise error (Holm 1979) or false discovery rate (Benjamini and Hochberg 1995).

    Returns
    -------
    ndarray (m,)
        Adjusted, in the same order.
    """
    p = np.asarray(p_values, dtype=float)
    m = len(p)
    order = np.argsort(p, kind="stable")
    out = np.empty(m)
    if method == "holm":
        out[order] = np.minimum(1.0, np.maximum.accumulate((m - np.arange(m)) * p[order]))
    elif method == "benjamini_hochberg":
        scaled = p[order] * m / np.arange(1, m + 1)
        out[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    else:
        raise CausalArgumentError(f"correction={method!r} is not known; use 'holm' or 'benjamini_hochberg'")
    return out
