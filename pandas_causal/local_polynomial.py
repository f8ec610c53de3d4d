"""Local polynomials at a boundary: weighted least squares in the distance from a cutoff, on one side of it.

Every estimate here is a weighted sum of outcomes, ``sum_i l_i y_i``; its weights l are what the other modules work with.
Polynomials are held in shifted Legendre polynomials of ``t = distance / h``: their Gram matrices are well conditioned
(those of powers lose eight digits at order 5), and that of a lower order is a leading block of that of a higher one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.neighbours import neighbour_residuals

__all__ = ["KERNELS", "Side", "Window", "kernel_weights"]

Floats = NDArray[np.float64]
KERNELS = ("triangular", "epanechnikov", "uniform")
_CHUNK = 65_536


def kernel_weights(t: Floats, kernel: str) -> Floats:
    """Kernel at distances t in [0, 1] of the bandwidth, up to a factor."""
    if kernel == "triangular":
        return np.maximum(1.0 - t, 0.0)
    if kernel == "epanechnikov":
        return np.maximum(1.0 - t * t, 0.0)
    return np.ones_like(t)


@lru_cache(maxsize=32)
def _powers(order: int) -> Floats:
    """Coefficients (order + 1, order + 1): row k holds the powers of t in the Legendre polynomial P_k(2 t - 1)."""
    out = np.zeros((order + 1, order + 1))
    for k in range(order + 1):
        series = legendre.Legendre.basis(k, domain=[0, 1]).convert(
            kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1]
        )
        out[k, : k + 1] = series.coef
    return out


@dataclass(frozen=True, eq=False)
class Side:
    """Rows on one side of the cutoff, nearest first.

    Attributes
    ----------
    distance : ndarray (n,), ascending
        From the cutoff, never negative.
    columns : ndarray (n, m)
        Outcome, then the treatment of a fuzzy design, then covariates.
    weight : ndarray (n,) or None
        Sample weights, positive.
    cluster : ndarray (n,), int, or None
        Cluster codes.
    rows : ndarray (n,), int
        Position of every row in the caller's data.
    sign : {-1, 1}
        -1 left of the cutoff.
    """

    distance: Floats
    columns: Floats
    weight: Floats | None
    cluster: NDArray[np.intp] | None
    rows: NDArray[np.intp]
    sign: int

    def __len__(self) -> int:
        return len(self.distance)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First row of every distinct distance, and n."""
        change = np.flatnonzero(self.distance[1:] != self.distance[:-1]) + 1
        return np.concatenate([[0], change, [len(self)]]).astype(np.int64)

    @cached_property
    def places(self) -> Floats:
        """Distinct distances."""
        return self.distance[self.starts[:-1]]

    @property
    def reach(self) -> float:
        """Distance of the farthest row."""
        return float(self.distance[-1])

    def count(self, h: float, kernel: str) -> int:
        """Rows with positive kernel weight at bandwidth h."""
        return int(np.searchsorted(self.distance, h, side="right" if kernel == "uniform" else "left"))

    def window(self, h: float, kernel: str, order: int) -> Window:
        """Weighted moments up to an order within h of the cutoff."""
        return Window(self, float(h), kernel, order)

    def neighbour_residuals(self, n: int, values: Floats, matches: int) -> Floats:
        """Differences (n, k) from the nearest neighbours among the n rows nearest to the cutoff."""
        groups = int(np.searchsorted(self.starts, n))
        return neighbour_residuals(self.starts[: groups + 1], self.places[:groups], values[:n], matches)


class Window:
    """Weighted moments of one side within a bandwidth, and the polynomials fitted from them.

    Parameters
    ----------
    side : Side
    h : float
    kernel : str
    order : int
        Highest order that will be asked for.
    """

    def __init__(self, side: Side, h: float, kernel: str, order: int) -> None:
        self.side, self.h, self.kernel, self.order = side, h, kernel, order
        self.n = side.count(h, kernel)
        need = order + 1
        distinct = int(np.searchsorted(side.starts, self.n))
        if distinct < need:
            where = "left" if side.sign < 0 else "right"
            raise CausalDataError(
                f"within {h:.6g} {where} of the cutoff the running variable has {distinct} distinct values, and a"
                f" polynomial of order {order} needs {need}; the smallest workable bandwidth there is"
                f" {_workable(side, need)}, or lower the order"
            )
        self.t = side.distance[: self.n] / h
        self.w = kernel_weights(self.t, kernel)
        if side.weight is not None:
            self.w = self.w * side.weight[: self.n]
        self.gram, self.moments = self._accumulate()

    def _blocks(self, order: int) -> Iterator[tuple[slice, Floats]]:
        for start in range(0, self.n, _CHUNK):
            at = slice(start, min(start + _CHUNK, self.n))
            yield at, legendre.legvander(2.0 * self.t[at] - 1.0, order)

    def _accumulate(self) -> tuple[Floats, Floats]:
        """Gram matrix P'WP and moments P'WD, chunk by chunk."""
        gram = np.zeros((self.order + 1, self.order + 1))
        moments = np.zeros((self.order + 1, self.side.columns.shape[1]))
        for at, P in self._blocks(self.order):
            weighted = P * self.w[at, None]
            gram += P.T @ weighted
            moments += weighted.T @ self.side.columns[at]
        return gram, moments

    def solve(self, order: int, right: Floats) -> Floats:
        """Solve the normal equations of an order."""
        k = order + 1
        return np.linalg.solve(self.gram[:k, :k], right)

    def coefficient(self, order: int, power: int) -> Floats:
        """Coefficients (m,) of ``distance ** power`` of every column, in the polynomial of that order."""
        a = self.solve(order, self.moments[: order + 1])
        return _powers(order)[:, power] @ a / self.h**power

    def weights(self, order: int, power: int) -> Floats:
        """Weights l (n,) with ``sum l_i y_i`` the coefficient of ``distance ** power``: the equivalent kernel."""
        a = self.solve(order, _powers(order)[:, power]) / self.h**power
        return self.w * legendre.legval(2.0 * self.t - 1.0, a)

    def residual_moments(self, order: int) -> Floats:
        """Cross-products (m, m) of the columns after the polynomial is taken out, weighted."""
        k, D = order + 1, self.side.columns[: self.n]
        total = np.zeros((D.shape[1], D.shape[1]))
        for start in range(0, self.n, _CHUNK):
            at = slice(start, min(start + _CHUNK, self.n))
            total += (D[at] * self.w[at, None]).T @ D[at]
        return total - self.moments[:k].T @ self.solve(order, self.moments[:k])

    def fitted(self, order: int, values_moments: Floats, n: int | None = None) -> Floats:
        """Polynomial of an order at the n rows nearest to the cutoff, from moments P'W v (order + 1,)."""
        t = self.t if n is None or n == self.n else self.side.distance[:n] / self.h
        return legendre.legval(2.0 * t - 1.0, self.solve(order, values_moments[: order + 1]))

    def leverage(self, order: int, n: int) -> Floats:
        """Leverages (n,) of the weighted fit, zero beyond the window."""
        out = np.zeros(n)
        k = order + 1
        inverse = np.linalg.inv(self.gram[:k, :k])
        for at, P in self._blocks(order):
            out[at] = np.einsum("ij,jk,ik->i", P, inverse, P) * self.w[at]
        return out


def _workable(side: Side, need: int) -> str:
    if len(side.places) < need:
        return f"none (there are {len(side.places)} distinct values on that side)"
    return f"{np.nextafter(side.places[need - 1] * (1 + 1e-9), np.inf):.6g}"
