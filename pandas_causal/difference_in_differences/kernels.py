"""The lasso in its quadratic form, for a few coefficients and to the rounding of the machine."""

from __future__ import annotations

import numpy as np

from pandas_causal.kernels import serial_kernel
from pandas_causal.kernels.arrays import Values

__all__ = ["lasso"]


@serial_kernel
def lasso(H: Values, g: Values, penalty: float, k: Values) -> None:
    """Minimise ``k'Hk / 2 + g'k + penalty * sum |k|`` by cyclic coordinate descent, in place.

    Parameters
    ----------
    H : ndarray (p, p), float64
        Positive definite.
    g : ndarray (p,), float64
    penalty : float
    k : ndarray (p,), float64
        Where to start; holds the solution afterwards.
    """
    p = len(k)
    if p == 0:
        return
    gradient = np.dot(H, k) + g
    tolerance = 1e-13 * max(np.abs(g).max(), 1e-300)
    for _ in range(1_000_000):
        largest = 0.0
        for j in range(p):
            pull = H[j, j] * k[j] - gradient[j]
            new = np.sign(pull) * max(abs(pull) - penalty, 0.0) / H[j, j]
            step = new - k[j]
            if step != 0.0:
                gradient += H[:, j] * step
                k[j] = new
                largest = max(largest, abs(step) * H[j, j])
        if largest <= tolerance:
            break
