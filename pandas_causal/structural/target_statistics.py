"""What of a target is attributed: a statistic of draws of it, split over levels of a dimension where that adds up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pandas_causal.errors import CausalArgumentError
from pandas_causal.inputs.parameters import is_word
from pandas_causal.kernels.arrays import Floats, Positions, Values

__all__ = ["ADDITIVE", "TARGET_STATISTICS", "TargetStatistic", "check_statistic", "gaussian_divergence"]

ADDITIVE = ("mean", "variance")
TARGET_STATISTICS = (*ADDITIVE, "std", "median", "kl", "gaussian_kl")
_CLASSES = 20


def gaussian_divergence(mean: Floats, variance: Floats, old_mean: float, old_variance: float) -> Floats:
    """Kullback-Leibler divergence (m,) in nats of normal laws from an old one: D(new || old)."""
    ratio = variance / old_variance
    return np.asarray(0.5 * (ratio - 1 - np.log(ratio) + np.square(mean - old_mean) / old_variance))


def check_statistic(of: Any) -> None:
    """Refuse what is no statistic, naming those that are."""
    if not callable(of) and not is_word(of, TARGET_STATISTICS):
        known = list(TARGET_STATISTICS)
        raise CausalArgumentError(
            f"of={of!r} is not known; use one of {known}, or a function of the target's values (n,)"
        )


@dataclass(frozen=True, eq=False)
class TargetStatistic:
    """A statistic of draws of the target.

    Attributes
    ----------
    of : str or callable
        "kl" is D(new || old) over 20 classes, quantiles of the old draws (over the levels, for a discrete target), less
        than the divergence of the densities; "gaussian_kl" is that of normal laws of the same means and variances.
    reference : ndarray (m,)
        Draws of the target as it was.
    n_levels : int
        Levels of a discrete target; 0: numeric.
    """

    of: str | Callable[[Floats], Any]
    reference: Floats
    n_levels: int

    def __call__(self, x: Floats) -> float:
        """Statistic of draws (m,)."""
        of = self.of
        if callable(of):
            out = np.asarray(of(x), dtype=float)
            if out.size != 1 or not np.isfinite(out).all():
                raise CausalArgumentError("the function given as of= must give one finite number")
            return float(out.reshape(()))
        if of == "kl":
            return self._divergence(x)
        if of == "gaussian_kl":
            old = self.reference
            variance = np.maximum(np.array([x.var()]), 1e-300)
            return float(gaussian_divergence(np.array([x.mean()]), variance, float(old.mean()), float(old.var()))[0])
        simple: dict[str, Callable[[Floats], Any]] = {
            "mean": np.mean,
            "variance": np.var,
            "std": np.std,
            "median": np.median,
        }
        return float(simple[of](x))

    def split(self, x: Floats, level: Positions, n_levels: int) -> Floats:
        """Parts (n_levels,) of a mean or variance, which sum to it (to the change of the mean since `reference`)."""
        centre = float(self.reference.mean()) if self.of == "mean" else float(x.mean())
        part = x - centre if self.of == "mean" else np.square(x - centre)
        return np.asarray(np.bincount(level, weights=part, minlength=n_levels) / len(x))

    def _divergence(self, x: Floats) -> float:
        """Half a draw is added to every class, so that a class new to the target has a finite divergence."""
        edges: Values
        if self.n_levels:
            edges = np.arange(1, self.n_levels)
        else:
            edges = np.unique(np.quantile(self.reference, np.arange(1, _CLASSES) / _CLASSES))
        new, old = (
            np.bincount(np.searchsorted(edges, part, side="right"), minlength=len(edges) + 1) + 0.5
            for part in (x, self.reference)
        )
        p, q = new / new.sum(), old / old.sum()
        return float((p * np.log(p / q)).sum())
