"""One discontinuity as arrays: split at the cutoff, choose bandwidths, estimate; again with other rows or outcomes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np

from pandas_causal.discontinuity.bandwidths import Bandwidths, LocalPolynomialSetting, select, without_treatment
from pandas_causal.discontinuity.bias_correction import Estimate, robust_estimate
from pandas_causal.discontinuity.local_polynomial import Side
from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Floats, Ints, Positions, Values

__all__ = ["Cutoff", "Part", "Run"]


class Run(NamedTuple):
    """Bandwidths and the estimate within them."""

    bandwidths: Bandwidths
    estimate: Estimate


@dataclass(frozen=True, eq=False)
class Cutoff:
    """Rows around one cutoff and how to analyse them.

    Attributes
    ----------
    z : ndarray (n,)
        Running variable minus cutoff; the right side is ``z >= 0``.
    columns : ndarray (n, m)
        Outcome, the treatment of a fuzzy design, covariates.
    weight : ndarray (n,) or None
        Positive sample weights.
    cluster : ndarray (n,), int, or None
    setting : LocalPolynomialSetting
    bandwidth : str or tuple of two floats
        Selector, or h left and right.
    bias_bandwidth : tuple of two floats, or None
        b left and right; None: chosen with h, or equal to it where h is given.
    mass_points : {"adjust", "check", "off"}
    sharp_bandwidth : bool
        Choose the bandwidth of a fuzzy design as if it were sharp.
    """

    z: Floats
    columns: Floats
    weight: Floats | None
    cluster: Positions | None
    setting: LocalPolynomialSetting
    bandwidth: str | tuple[float, float]
    bias_bandwidth: tuple[float, float] | None = None
    mass_points: str = "adjust"
    sharp_bandwidth: bool = False

    def __len__(self) -> int:
        return len(self.z)

    @cached_property
    def sides(self) -> tuple[Side, Side]:
        """Left and right of the cutoff, nearest first: one sort serves both."""
        order = np.argsort(self.z)
        cut = int(np.searchsorted(self.z[order], 0.0))
        return self._side(order[:cut][::-1], -1), self._side(order[cut:], 1)

    def _side(self, rows: Positions, sign: int) -> Side:
        def picked(values: Values | None) -> Values | None:
            return None if values is None else values[rows]

        return Side(np.abs(self.z[rows]), self.columns[rows], picked(self.weight), picked(self.cluster), rows, sign)

    def take(self, keep: Values) -> Cutoff:
        """Some rows."""
        return replace(
            self,
            z=self.z[keep],
            columns=self.columns[keep],
            weight=None if self.weight is None else self.weight[keep],
            cluster=None if self.cluster is None else self.cluster[keep],
        )

    def shifted(self, by: float) -> Cutoff:
        """The cutoff moved."""
        return replace(self, z=self.z - by)

    def with_outcome(self, values: Floats) -> Self:
        """A sharp design without covariates of another outcome."""
        return replace(self, columns=values[:, None], setting=replace(self.setting, fuzzy=False))

    def at(self, h: float | tuple[float, float], b: float | tuple[float, float] | None = None) -> Cutoff:
        """Bandwidths given."""
        both = (h, h) if isinstance(h, float | int) else h
        bias = (b, b) if isinstance(b, float | int) else b
        out = replace(self, bandwidth=(float(both[0]), float(both[1])), bias_bandwidth=bias)
        if "sides" in self.__dict__:
            out.__dict__["sides"] = self.sides  # sorted once
        return out

    def bandwidths(self) -> Bandwidths:
        """Bandwidths given, or chosen from the data."""
        left, right = self.sides
        if not isinstance(self.bandwidth, str):
            h = self.bandwidth
            return Bandwidths(*h, *(self.bias_bandwidth or h))
        setting = self.setting
        perfect = setting.fuzzy and any(np.ptp(side.columns[:, 1]) == 0 for side in (left, right))
        if perfect or (setting.fuzzy and self.sharp_bandwidth):
            # where one side complies perfectly its treatment has no level to divide by
            left, right, setting = without_treatment(left), without_treatment(right), replace(setting, fuzzy=False)
        selected = select(left, right, self.bandwidth, setting, self.mass_points)
        if self.bias_bandwidth is not None:
            selected = selected._replace(b_left=self.bias_bandwidth[0], b_right=self.bias_bandwidth[1])
        return selected

    def run(self) -> Run:
        """Choose bandwidths and estimate."""
        left, right = self.sides
        if not (len(left) and len(right)):
            raise CausalDataError(f"there are {len(left):,} rows left and {len(right):,} rows right of the cutoff")
        bandwidths = self.bandwidths()
        return Run(bandwidths, robust_estimate(left, right, bandwidths, self.setting))

    def counts(self, bandwidths: Bandwidths) -> Ints:
        """Rows (2, 4): in all, distinct values, within h, within b; left and right."""
        kernel = self.setting.kernel
        pairs = zip(self.sides, bandwidths[:2], bandwidths[2:], strict=True)
        return np.array([[len(s), len(s.places), s.count(h, kernel), s.count(b, kernel)] for s, h, b in pairs])


class Part(NamedTuple):
    """One row of the effect: its name, the rows of the data behind it (None: all), the design and its estimate."""

    name: str
    kept: Positions | None
    design: Cutoff
    run: Run
