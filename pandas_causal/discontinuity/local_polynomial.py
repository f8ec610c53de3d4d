"""Local polynomials at a boundary: weighted least squares in the distance from a cutoff, on one side of it.

Every estimate here is a weighted sum of outcomes, ``sum_i l_i y_i``, and its weights l are what others work with.
Polynomials are held in shifted Legendre polynomials of ``t = distance / h``: their Gram matrices are well conditioned
(those of powers lose eight digits at order 5), and that of a lower order is a leading block of that of a higher one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.polynomial import legendre

from pandas_causal.discontinuity.kernels import equivalent_kernel, neighbour_residuals, weighted_moments
from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Floats, Ints, Positions

__all__ = ["KERNELS", "Side", "Window"]

KERNELS = ("triangular", "epanechnikov", "uniform")
_ROUNDING = 1e-12  # of a column's sum of squares
_CHUNK = 65_536


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
    cluster: Positions | None
    rows: Positions
    sign: int

    def __len__(self) -> int:
        return len(self.distance)

    @cached_property
    def starts(self) -> Ints:
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

    @cached_property
    def weights(self) -> Floats:
        """Sample weights, an empty array where there are none."""
        return np.empty(0) if self.weight is None else self.weight

    def neighbour_residuals(self, n: int, s: Floats, matches: int) -> Floats:
        """Differences (n,) of ``columns @ s`` from the nearest neighbours among the n rows nearest to the cutoff.

        Only the last `matches` distinct distances within the n rows have other neighbours than among all rows, so
        those are done anew.
        """
        groups = int(np.searchsorted(self.starts, n))
        tail = max(groups - 2 * matches - 1, 0)
        begin = int(self.starts[tail])
        fresh = neighbour_residuals(
            self.starts[tail : groups + 1] - begin, self.places[tail:groups], self.columns[begin:n], min(matches, n - 1)
        )
        if tail == 0:
            return fresh @ s
        valid = int(self.starts[groups - matches])
        return np.concatenate([self._all_residuals(matches)[:valid] @ s, fresh[valid - begin :] @ s])

    def _all_residuals(self, matches: int) -> Floats:
        """The same differences (n, m) of every column among all rows, computed once."""
        kept: dict[int, Floats] = self.__dict__.setdefault("_kept", {})
        if matches not in kept:
            kept[matches] = neighbour_residuals(self.starts, self.places, self.columns, matches)
        return kept[matches]


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
        self._shape = KERNELS.index(kernel)
        self.gram, self.moments = weighted_moments(
            side.distance[: self.n], side.columns[: self.n], side.weights[: self.n], self.h, self._shape, order
        )

    @cached_property
    def w(self) -> Floats:
        """Kernel times sample weights (n,)."""
        return equivalent_kernel(self.side.distance[: self.n], self.side.weights, self.h, self._shape, np.ones(1))

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
        return equivalent_kernel(self.side.distance[: self.n], self.side.weights, self.h, self._shape, a)

    def residual_moments(self, order: int) -> Floats:
        """Cross-products (m, m) of the columns after the polynomial is taken out, weighted.

        Of a column that is a polynomial itself only rounding is left, which is no variation: its entries are 0.
        """
        k, D = order + 1, self.side.columns[: self.n]
        total = np.zeros((D.shape[1], D.shape[1]))
        for start in range(0, self.n, _CHUNK):
            at = slice(start, min(start + _CHUNK, self.n))
            total += (D[at] * self.w[at, None]).T @ D[at]
        left = total - self.moments[:k].T @ self.solve(order, self.moments[:k])
        explained = np.diag(left) <= _ROUNDING * np.diag(total)
        left[explained], left[:, explained] = 0.0, 0.0
        return left

    def fitted(self, order: int, values_moments: Floats, n: int | None = None) -> Floats:
        """Polynomial of an order at the n rows nearest to the cutoff, from moments P'W v (order + 1,)."""
        rows = self.side.distance[: self.n if n is None else n]
        return equivalent_kernel(rows, np.empty(0), self.h, 2, self.solve(order, values_moments[: order + 1]))

    def orthonormal(self, order: int, n: int) -> Floats:
        """Rows Q (n, order + 1) of polynomials that are orthonormal under the weights: ``Q Q'W`` is the hat matrix."""
        k = order + 1
        P = legendre.legvander(2.0 * self.side.distance[:n] / self.h - 1.0, order)
        return np.asarray(P @ np.linalg.inv(np.linalg.cholesky(self.gram[:k, :k])).T)

    def leverage(self, order: int, n: int) -> Floats:
        """Leverages (n,) of the weighted fit, zero beyond the window."""
        out = np.zeros(n)
        k = order + 1
        inverse = np.linalg.inv(self.gram[:k, :k])
        for start in range(0, self.n, _CHUNK):
            at = slice(start, min(start + _CHUNK, self.n))
            P = legendre.legvander(2.0 * self.side.distance[at] / self.h - 1.0, order)
            out[at] = np.einsum("ij,jk,ik->i", P, inverse, P) * self.w[at]
        return out


def _workable(side: Side, need: int) -> str:
    if len(side.places) < need:
        return f"none (there are {len(side.places)} distinct values on that side)"
    return f"{np.nextafter(side.places[need - 1] * (1 + 1e-9), np.inf):.6g}"
