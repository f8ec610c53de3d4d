"""Whether the density of the running variable jumps at the cutoff: a sign that units chose their side."""

from __future__ import annotations

from math import factorial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.polynomial import Polynomial, hermite_e

from pandas_causal.discontinuity.local_polynomial import KERNELS, Side
from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inference.reference import Student
from pandas_causal.inputs.parameters import is_word
from pandas_causal.kernels.arrays import Floats

__all__ = ["density_bandwidths", "density_curve", "density_test", "mccrary"]


class _Slope(NamedTuple):
    """A derivative of the distribution function at the cutoff, and its standard error."""

    value: float
    std_error: float


def _sides(z: Floats) -> tuple[Side, Side]:
    """Both sides with the empirical distribution function as their column; ties share the value of the last of them."""
    x = np.sort(z)
    n = len(x)
    last = np.searchsorted(x, x, side="right") - 1
    height = (last / (n - 1.0))[:, None]
    cut = int(np.searchsorted(x, 0.0))
    rows = np.arange(n)
    left = Side(-x[:cut][::-1], height[:cut][::-1], None, None, rows[:cut][::-1], -1)
    return left, Side(x[cut:], height[cut:], None, None, rows[cut:], 1)


def _slope(side: Side, h: float, order: int, power: int, n: int, kernel: str = "triangular") -> _Slope:
    """Derivative of the distribution function by a local polynomial of its empirical counterpart.

    The standard error is the jackknife's: row j adds ``sum over x_i >= x_j of l_i``, l being the estimate's weights.
    Rows that tie count in full, since each moves the distribution function at its own place; rddensity takes
    ``c (c - 1) l^2`` off for a place with c rows, of smaller order, so that on tied data its error is a little smaller.

    References
    ----------
    Cattaneo, Jansson and Ma (2020), JASA 115, "Simple local polynomial density estimators", Theorems 1 and 2.
    """
    window = side.window(h, kernel, order)
    turn = float(side.sign**power) * factorial(power)
    weights = turn * window.weights(order, power)
    value = float((weights * side.columns[: window.n, 0]).sum())
    starts = side.starts[: int(np.searchsorted(side.starts, window.n)) + 1]
    right = side.sign > 0
    reach = np.cumsum(weights[::-1])[::-1][starts[:-1]] if right else np.cumsum(weights)[starts[1:] - 1]
    total = float((np.square(reach) * np.diff(starts)).sum())
    return _Slope(value, float(np.sqrt(total)) / (n - 1))


def _kernel_moment(kernel: str, k: int) -> float:
    """Integral of ``u^k K(u)`` over [0, 1]."""
    if kernel == "triangular":
        return 1 / (k + 1) - 1 / (k + 2)
    return 1 / (k + 1) if kernel == "uniform" else 0.75 * (1 / (k + 1) - 1 / (k + 3))


def _boundary_solution(order: int, power: int, kernel: str) -> Floats:
    S = np.array([[_kernel_moment(kernel, i + j) for j in range(order + 1)] for i in range(order + 1)])
    return np.asarray(np.linalg.solve(S, np.eye(order + 1)[power]) * factorial(power))


def _bias_constant(order: int, power: int, kernel: str) -> float:
    """Leading bias of a derivative at a boundary, in units of the derivative of order ``order + 1``."""
    a = _boundary_solution(order, power, kernel)
    moments = [_kernel_moment(kernel, j + order + 1) for j in range(order + 1)]
    return float(a @ moments) / factorial(order + 1)


def _variance_constant(order: int, power: int) -> float:
    """Variance of a derivative at a boundary under the uniform kernel: ``integral of (integral from t of l)^2``."""
    area = Polynomial(_boundary_solution(order, power, "uniform")).integ()
    tail = Polynomial([area(1.0)]) - area
    return float((tail * tail).integ()(1.0))


def _reference_bandwidth(z: Floats, order: int, power: int) -> float:
    """Bandwidth that would be best for a normal density: ``h^(2 (order + 1) - 1) ~ (2 power - 1) V / (2 k B^2 n)``.

    The bias of the derivative of order `power` falls with ``h^k``, ``k = order + 1 - power``.
    """
    n, sd = len(z), float(z.std(ddof=1))
    place = float(z.mean()) / sd
    density = float(np.exp(-(place**2) / 2) / np.sqrt(2 * np.pi))
    curve = float(hermite_e.hermeval(place, np.eye(order + 1)[order]))
    k = order + 1 - power
    ratio = _variance_constant(order, power) / _bias_constant(order, power, "uniform") ** 2
    scaled = (2 * power - 1) / (2 * k) * ratio / (curve**2 * density * n)
    return float(sd * scaled ** (1 / (2 * order + 1)))


def _held(h: float, sides: tuple[Side, Side], least: int) -> float:
    """At least so many rows, and distinct values, on each side; no more than the data's reach."""
    low = max(max(s.distance[min(least, len(s)) - 1], s.places[min(least, len(s.places)) - 1]) for s in sides)
    return float(min(max(h, low), max(s.reach for s in sides)))


def density_bandwidths(z: Floats, order: int = 2, kernel: str = "triangular") -> pd.DataFrame:
    """Bandwidths that minimise the mean squared error of the density at the cutoff.

    Parameters
    ----------
    z : ndarray (n,)
        Running variable minus cutoff.
    order : int
        p of the polynomial of the distribution function.
    kernel : str

    Returns
    -------
    DataFrame
        Rows left, right, diff, sum (one side each, their difference, their sum); columns bandwidth, variance,
        bias_squared.

    References
    ----------
    Cattaneo, Jansson and Ma (2020), section 4, and (2018), Stata Journal 18, "Manipulation testing based on density
    discontinuity", section 2.4.
    """
    sides, n, p = _sides(z), len(z), order
    main = _held(_reference_bandwidth(z, p, 1), sides, 20 + p + 1)
    wide = _held(_reference_bandwidth(z, p + 2, p + 1), sides, 20 + p + 2 + 1)
    constant = _bias_constant(p, 1, kernel)
    bend = [constant * _slope(side, wide, p + 2, p + 1, n, kernel).value for side in sides]
    bend[0] *= (-1) ** p
    spread = [n * main * _slope(side, main, p, 1, n, kernel).std_error ** 2 for side in sides]
    variance = np.array([spread[0], spread[1], sum(spread), sum(spread)])
    bias = np.square([bend[0], bend[1], bend[1] - bend[0], bend[1] + bend[0]])
    h = (variance / (2 * p * bias * n)) ** (1 / (2 * p + 1))
    h[0], h[1] = _held(h[0], sides[:1] * 2, 20 + p + 1), _held(h[1], sides[1:] * 2, 20 + p + 1)
    h[2:] = [_held(v, sides, 20 + p + 1) for v in h[2:]]
    index = pd.Index(["left", "right", "diff", "sum"], name="rule")
    return pd.DataFrame({"bandwidth": h, "variance": variance, "bias_squared": bias}, index=index)


def density_test(
    z: Floats,
    *,
    order: int = 2,
    kernel: str = "triangular",
    bandwidth: float | tuple[float, float] | None = None,
    method: str = "cattaneo_jansson_ma",
) -> Check:
    """Test that the density of the running variable is continuous at the cutoff.

    Parameters
    ----------
    z : ndarray (n,)
        Running variable minus cutoff.
    order : int
        p; the test is computed at order p + 1 within the bandwidths that are best for p.
    kernel : {"triangular", "epanechnikov", "uniform"}
    bandwidth : float or (float, float), optional
        Left and right; by default the median of the rules for one side, the difference and the sum.
    method : {"cattaneo_jansson_ma", "mccrary"}

    Returns
    -------
    Check
        Density left and right and their difference, with the bandwidths and rows; failed when p < 0.05.

    References
    ----------
    Cattaneo, Jansson and Ma (2020), JASA 115, section 5; McCrary (2008), Journal of Econometrics 142.
    """
    z = np.asarray(z, dtype=float)
    if not is_word(method, ("cattaneo_jansson_ma", "mccrary")) or not is_word(kernel, KERNELS):
        raise CausalArgumentError(
            f"method={method!r}, kernel={kernel!r}: use one of ['cattaneo_jansson_ma', 'mccrary'] and {list(KERNELS)}"
        )
    n_left = int((z < 0).sum())
    if min(n_left, len(z) - n_left) < order + 4:
        raise CausalDataError(
            f"the density test needs rows on both sides of the cutoff: {n_left:,} left, {len(z) - n_left:,} right"
        )
    if method == "mccrary":
        return mccrary(z, bandwidth=None if isinstance(bandwidth, tuple) else bandwidth)
    if bandwidth is None:
        rules = density_bandwidths(z, order, kernel)["bandwidth"]
        h = tuple(float(np.median(rules[[side, "diff", "sum"]])) for side in ("left", "right"))
    else:
        h = bandwidth if isinstance(bandwidth, tuple) else (float(bandwidth), float(bandwidth))
    sides, n = _sides(z), len(z)
    slopes = [_slope(side, width, order + 1, 1, n, kernel) for side, width in zip(sides, h, strict=True)]
    gap = _Slope(slopes[1].value - slopes[0].value, float(np.hypot(slopes[0].std_error, slopes[1].std_error)))
    inside = [side.count(width, kernel) for side, width in zip(sides, h, strict=True)]
    rows = [
        [slopes[0].value, slopes[0].std_error, h[0], len(sides[0]), inside[0]],
        [slopes[1].value, slopes[1].std_error, h[1], len(sides[1]), inside[1]],
        [gap.value, gap.std_error, np.nan, n, sum(inside)],
    ]
    return _verdict(rows, gap, "density")


def _verdict(rows: list[list[float]], gap: _Slope, quantity: str) -> Check:
    statistic = gap.value / gap.std_error
    p = float(Student().p_value(np.array([statistic]), np.array([np.inf]))[0])
    columns = ["estimate", "std_error", "h", "n", "n_within_h"]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index(["left", "right", "difference"], name=quantity))
    table["statistic"], table["p_value"] = [np.nan, np.nan, statistic], [np.nan, np.nan, p]
    return Check(
        p >= 0.05,
        table.astype({"n": int, "n_within_h": int}),
        f"{quantity} at the cutoff: T {statistic:.3g}, p {p:.3f}",
    )


def mccrary(z: Floats, *, bandwidth: float | None = None, bin_width: float | None = None) -> Check:
    """Test McCrary's log difference of densities: a fine histogram, smoothed on each side by local lines.

    Bins of ``2 sd n^(-1/2)``; the bandwidth averages over sides ``3.348 (s^2 range / sum f''^2)^(1/5)`` from a quartic.
    The standard error is ``sqrt(24 / (5 n h) (1 / f_left + 1 / f_right))``.

    References
    ----------
    McCrary (2008), Journal of Econometrics 142, eqs. (3) to (5) and section 3.2.
    """
    n = len(z)
    b = 2 * float(z.std(ddof=1)) / np.sqrt(n) if bin_width is None else float(bin_width)
    cell = np.floor(z / b).astype(np.int64)
    low = int(cell.min())
    counts = np.bincount(cell - low)
    middle = (np.arange(len(counts)) + low + 0.5) * b
    height = counts / (n * b)
    masks = (middle < 0, middle >= 0)
    if bandwidth is None:
        bandwidth = float(np.mean([_quartic_bandwidth(middle[m], height[m]) for m in masks]))
    h = float(bandwidth)
    limits = []
    for m in masks:
        x, y = middle[m], height[m]
        w = np.maximum(1 - np.abs(x) / h, 0.0)
        if int((w > 0).sum()) < 2:
            raise CausalDataError(
                f"the bandwidth {h:.4g} holds fewer than two bins of width {b:.4g} on a side; widen it"
            )
        R = np.column_stack([np.ones_like(x), x])
        limits.append(float(np.linalg.solve(R.T @ (w[:, None] * R), R.T @ (w * y))[0]))
    if min(limits) <= 0:
        raise CausalDataError(
            "a local line puts the density at the cutoff at zero or below; McCrary's log is undefined"
        )
    gap = _Slope(
        float(np.log(limits[1]) - np.log(limits[0])),
        float(np.sqrt(24 / 5 / (n * h) * (1 / limits[0] + 1 / limits[1]))),
    )
    errors = [float(np.sqrt(24 / 5 * f / (n * h))) for f in limits]
    sizes = [int((z < 0).sum()), int((z >= 0).sum())]
    inside = [int(((z < 0) & (z > -h)).sum()), int(((z >= 0) & (z < h)).sum())]
    rows = [[f, e, h, m, k] for f, e, m, k in zip(limits, errors, sizes, inside, strict=True)]
    return _verdict([*rows, [gap.value, gap.std_error, h, n, sum(inside)]], gap, "log density (McCrary)")


def _quartic_bandwidth(x: Floats, y: Floats) -> float:
    """Rule of thumb from a quartic fitted to one side's bins."""
    fit = Polynomial.fit(x, y, min(4, len(x) - 2))
    spread = float(np.square(y - fit(x)).sum()) / max(len(x) - 5, 1)
    bend = np.square(fit.deriv(2)(x)).sum()
    reach = float(np.abs(x).max())
    if not bend > 0:
        return reach
    return float(min(3.348 * (spread * reach / bend) ** 0.2, reach))


def density_curve(
    z: Floats, *, h: tuple[float, float], order: int = 2, points: int = 25, level: float = 0.95, reach: float = 1.0
) -> pd.DataFrame:
    """Density on a grid on each side, with a bias-corrected pointwise band: the table behind the picture.

    At every point the distribution function is a local polynomial in the rows of its own side within h; the band is
    centred on the fit of order p + 1.

    References
    ----------
    Cattaneo, Jansson and Ma (2020), section 3.
    """
    width = float(Student().critical(level, np.array([np.inf]))[0])
    n, parts = len(z), []
    for s, side in enumerate(_sides(z)):
        x, height = side.distance, side.columns[:, 0]
        rows = []
        for at in np.linspace(0, min(reach * h[s], side.reach), points):
            inside = slice(*np.searchsorted(x, [at - h[s], at + h[s]]))
            value, centre, se = _density_at(x[inside] - at, height[inside], h[s], order, n, side.sign)
            rows.append([side.sign * at, value, se, centre - width * se, centre + width * se])
        part = pd.DataFrame(rows, columns=["z", "density", "std_error", "conf_low", "conf_high"])
        part.insert(0, "side", ("left", "right")[s])
        parts.append(part.sort_values("z"))
    return pd.concat(parts, ignore_index=True)


def _density_at(u: Floats, height: Floats, h: float, order: int, n: int, sign: int) -> tuple[float, float, float]:
    """Density by the order asked for; that of one order more, with its standard error. Rows are sorted by distance."""
    if int(np.count_nonzero(np.diff(u))) < order + 2:
        return np.nan, np.nan, np.nan
    t = u / h
    w = np.maximum(1 - np.abs(t), 0.0)
    R = np.vander(t, order + 2, increasing=True)
    weighted = R * w[:, None]
    gram, moments = R.T @ weighted, weighted.T @ height
    k = order + 1
    value = sign * float(np.linalg.solve(gram[:k, :k], moments[:k])[1]) / h
    a = np.linalg.solve(gram, np.eye(order + 2)[1]) / h
    tail = np.cumsum((sign * (weighted @ a))[::-1])[::-1]
    return value, sign * float(a @ moments), float(np.sqrt(np.square(tail).sum())) / (n - 1)
