"""Effects that follow slopes: a weighted ridge regression around every row, with a forest's weights."""

from __future__ import annotations

import numpy as np

from pandas_causal.kernels.arrays import Floats

__all__ = ["local_linear"]


def local_linear(weights: Floats, own: Floats, at: Floats, z: Floats, D: Floats, y: Floats, ridge: float) -> Floats:
    """Effects at rows by a local regression of residuals, intercept and effect linear in distances from the row.

    Parameters
    ----------
    weights : ndarray (m, n)
        Of the fitted rows at every new row.
    own : ndarray (n, q)
        Covariates of the fitted rows.
    at : ndarray (m, q)
        The same of the new rows.
    z : ndarray (n, d)
        Instruments, which are the treatments where there are none.
    D : ndarray (n, d)
        Treatments less their means.
    y : ndarray (n,)
    ridge : float
        Penalty of the slopes, times the weighted second moments of what they multiply.

    Returns
    -------
    ndarray (m, d)

    References
    ----------
    Friedberg, Tibshirani, Athey and Wager (2021), "Local linear forests", JCGS 30, eq. (4) and section 2.3, with the
    penalty on slopes alone.
    """
    d, q = D.shape[1], own.shape[1]
    out = np.empty((len(weights), d))
    for i, a in enumerate(weights):
        used = np.flatnonzero(a > 0)
        w, distance = a[used], own[used] - at[i]
        level = np.column_stack([np.ones(len(used)), D[used]])
        instrument = np.column_stack([np.ones(len(used)), z[used]])
        R = np.hstack([level, *(level[:, [k]] * distance for k in range(d + 1))])
        Z = np.hstack([instrument, *(instrument[:, [k]] * distance for k in range(d + 1))])
        gram = (Z * w[:, None]).T @ R
        slopes = np.arange(d + 1, (d + 1) * (q + 1))
        gram[slopes, slopes] += ridge * np.abs(gram[slopes, slopes]) + 1e-12
        out[i] = np.linalg.solve(gram, (Z * w[:, None]).T @ y[used])[1 : d + 1]
    return out
