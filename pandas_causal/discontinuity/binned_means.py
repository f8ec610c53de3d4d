"""The raw picture of a discontinuity: binned means, their number chosen from the data, and a global polynomial."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.polynomial import Polynomial

from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inference.reference import Student
from pandas_causal.inputs.parameters import is_word
from pandas_causal.kernels.arrays import Floats, Positions

__all__ = ["BIN_RULES", "binned_means", "global_polynomial", "number_of_bins"]

BIN_RULES = ("esmv", "es", "qsmv", "qs")


class _Spread(NamedTuple):
    """Constants of one side: bias and variance of binned means, evenly spaced or by quantiles."""

    bias: float
    variance: float


def _constants(x: Floats, y: Floats, by: str, order: int, reach: float) -> _Spread:
    """Bias and variance constants from spacings; from the polynomial where a fifth of the rows share a value.

    References
    ----------
    Calonico, Cattaneo and Titiunik (2015), JASA 110, sections 3 and 4 (spacings and series estimators).
    """
    n = len(x)
    mean = Polynomial.fit(x, y, order)
    square = Polynomial.fit(x, y * y, order)
    gaps, steps, middle = np.diff(x), np.diff(y), (x[1:] + x[:-1]) / 2
    repeats = 1 - len(np.unique(x)) / n >= 0.2
    if by == "es":
        bias = reach**2 / (12 * n) * float(np.square(mean.deriv()(x)).sum())
        noise = square(middle) - np.square(mean(middle)) if repeats else np.square(steps) / 2
        return _Spread(bias, float((gaps * noise).sum()) / reach)
    bias = n / 24 * float(np.square(gaps * mean.deriv()(middle)).sum())
    total = (square(x) - np.square(mean(x))).sum() if repeats else np.square(steps).sum() / 2
    return _Spread(bias, float(total) / n)


def number_of_bins(x: Floats, y: Floats, rule: str = "esmv", order: int = 4, n_all: int | None = None) -> int:
    """Bins of one side: the best mean squared error, or the variability of the raw data.

    ``(2 B n / V)^(1/3)`` (es, qs) or ``var(y) / V N / log(N)^2`` (esmv, qsmv), rounded up; N counts both sides.

    Parameters
    ----------
    x : ndarray (n,)
        Running variable minus cutoff, on one side.
    y : ndarray (n,)
    rule : {"esmv", "es", "qsmv", "qs"}
        Evenly spaced or by quantiles; mv mimics the variance.
    order : int
        Of the global polynomial.
    n_all : int, optional
        Rows of both sides.

    References
    ----------
    Calonico, Cattaneo and Titiunik (2015), JASA 110, Theorems 1 to 4.
    """
    if not is_word(rule, BIN_RULES):
        raise CausalArgumentError(f"rule={rule!r} is not known; use one of {list(BIN_RULES)}")
    ranks = np.argsort(x, kind="stable")
    x, y, n = x[ranks], y[ranks], len(x)
    if n <= order + 1 or x[0] == x[-1]:
        return 1
    B, V = _constants(x, y, rule[:2], order, float(np.abs(x).max()))
    if not V > 0:
        return 1
    if rule.endswith("mv"):
        N = n if n_all is None else n_all
        return max(int(np.ceil(y.var(ddof=1) / V * N / np.log(N) ** 2)), 1)
    return max(int(np.ceil((2 * B / V * n) ** (1 / 3))), 1)


def binned_means(
    z: Floats,
    y: Floats,
    *,
    rule: str = "esmv",
    order: int = 4,
    bins: tuple[int, int] | None = None,
    level: float = 0.95,
) -> Check:
    """Means of the outcome in bins on each side of the cutoff: the table behind the picture.

    Parameters
    ----------
    z : ndarray (n,)
        Running variable minus cutoff.
    y : ndarray (n,)
    rule, order : see :func:`number_of_bins`
    bins : (int, int), optional
        Bins left and right.
    level : float
        Of the interval of every mean (Student).

    Returns
    -------
    Check
        One row per bin that holds rows: side, low, high, x (mean of z), mean, std_error, conf_low, conf_high, n.
    """
    parts, numbers = [], []
    for s, (side, inside) in enumerate((("left", z < 0), ("right", z >= 0))):
        x, v = z[inside], y[inside]
        J = number_of_bins(x, v, rule, order, len(z)) if bins is None else int(bins[s])
        far = float(np.abs(x).max())
        if rule.startswith("qs"):
            edges = np.quantile(x, np.linspace(0, 1, J + 1))
            edges[-1 if s == 0 else 0] = 0.0
        else:
            edges = np.linspace(-far, 0.0, J + 1) if s == 0 else np.linspace(0.0, far, J + 1)
        cell = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, J - 1)
        part = _means(x, v, cell, edges, level)
        part.insert(0, "side", side)
        parts.append(part)
        numbers.append(J)
    text = f"{numbers[0]} bins left and {numbers[1]} right ({rule if bins is None else 'given'})"
    return Check(None, pd.concat(parts, ignore_index=True), text)


def _means(x: Floats, y: Floats, cell: Positions, edges: Floats, level: float) -> pd.DataFrame:
    J = len(edges) - 1
    n = np.bincount(cell, minlength=J)
    held = n > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        at, mean = (np.bincount(cell, v, J) / n for v in (x, y))
        square = np.bincount(cell, np.square(y - mean[cell]), J) / (n - 1)
        se = np.where(n > 1, np.sqrt(square / n), np.nan)
    width = Student().critical(level, np.maximum(n - 1, 1).astype(float)) * se
    columns = {
        "low": edges[:-1],
        "high": edges[1:],
        "x": at,
        "mean": mean,
        "std_error": se,
        "conf_low": mean - width,
        "conf_high": mean + width,
        "n": n,
    }
    return pd.DataFrame(columns)[held].reset_index(drop=True)


def global_polynomial(z: Floats, y: Floats, *, order: int = 4, points: int = 200) -> Check:
    """Polynomial of the outcome in all rows of each side, on a grid: the curve of the picture, not the estimate."""
    parts = []
    for side, inside in (("left", z < 0), ("right", z >= 0)):
        x, v = z[inside], y[inside]
        fit = Polynomial.fit(x, v, min(order, max(len(np.unique(x)) - 1, 0)))
        grid = np.linspace(float(x.min()), 0.0, points) if side == "left" else np.linspace(0.0, float(x.max()), points)
        parts.append(pd.DataFrame({"side": side, "x": grid, "fit": fit(grid)}))
    return Check(None, pd.concat(parts, ignore_index=True), f"global polynomial of order {order} on each side")
