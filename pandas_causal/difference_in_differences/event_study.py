"""An event study as numbers: estimates about one reference period, their covariance, and the effect asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inference.influence import square_root
from pandas_causal.kernels.arrays import Floats, Values

__all__ = ["EventStudy", "read_event_study"]


@dataclass(frozen=True, eq=False)
class EventStudy:
    """Estimates of an event study about one reference period.

    Attributes
    ----------
    beta : ndarray (p,)
        In order of event time, without the reference period.
    covariance : ndarray (p, p)
    n_pre : int
        Periods before the reference period.
    target : ndarray (p - n_pre,)
        Weights of the effects whose average is wanted.
    df : float
        Degrees of freedom of the target (few clusters); infinite under the normal law.
    """

    beta: Floats
    covariance: Floats
    n_pre: int
    target: Floats
    df: float = np.inf

    @property
    def n_post(self) -> int:
        """Periods after the reference period."""
        return len(self.beta) - self.n_pre

    @property
    def estimate(self) -> float:
        """Target under parallel trends."""
        return float(self.target @ self.beta[self.n_pre :])

    @property
    def std_error(self) -> float:
        """Its standard error."""
        post = self.covariance[self.n_pre :, self.n_pre :]
        return float(np.sqrt(self.target @ post @ self.target))

    @property
    def root(self) -> Floats:
        """Matrix R (p, p) with ``R R' = covariance``, which may be singular."""
        return square_root(self.covariance)

    @property
    def steps(self) -> Floats:
        """Matrix (p, p) of the differences of consecutive periods, the reference period being zero."""
        p = len(self.beta)
        with_reference = np.eye(p + 1)[1:] - np.eye(p + 1)[:-1]
        return np.delete(with_reference, self.n_pre, axis=1)

    @property
    def bends(self) -> Floats:
        """Matrix (p - 1, p) of the second differences."""
        return np.diff(self.steps, axis=0)


def read_event_study(effect: Effect, target: Any) -> EventStudy:
    """Read estimates about one reference period from an effect, and the weights of the target.

    Parameters
    ----------
    effect : Effect
        One row per integer event time, one of them a reference row.
    target : None, int, "average" or mapping of event time to weight
        None: the period in which treatment starts (0), else the first after the reference period.

    Raises
    ------
    CausalArgumentError
        For an effect that is no event study, or a target that names no period after treatment.
    CausalDataError
        Without exactly one reference period, with gaps in event time, or without a period on either side.
    """
    index = effect.estimates.index
    whole = pd.api.types.is_integer_dtype(index.dtype) or all(isinstance(label, int) for label in index)
    if index.nlevels != 1 or index.name != "event" or not whole:
        raise CausalArgumentError(
            "honest bounds read an event study, one row per integer event time: df.causal.event_study(...), or"
            " did(..., base_period='universal').aggregate('event')"
        )
    marked = effect.reference_rows
    if marked is None or int(np.sum(marked)) != 1:
        raise CausalDataError(
            "honest bounds need every period compared with one reference period; ask"
            " df.causal.event_study(...) or did(..., base_period='universal').aggregate('event')"
        )
    times = index.to_numpy().astype(np.int64)  # a marked reference period makes the labels objects
    order = np.argsort(times)
    events, reference = times[order], np.asarray(marked)[order]
    at = int(np.flatnonzero(reference)[0])
    gaps = np.flatnonzero(np.diff(events) != 1)
    if len(gaps):
        raise CausalDataError(
            f"event times jump from {events[gaps[0]]} to {events[gaps[0] + 1]}; honest bounds need consecutive ones:"
            " select them, effect[[...]]"
        )
    if at == 0 or at == len(events) - 1:
        side = "before" if at == 0 else "after"
        raise CausalDataError(f"there is no period {side} the reference period {events[at]}")
    keep = order[~reference]
    values = np.asarray(effect.estimates, dtype=np.float64)[keep]
    covariance = effect.uncertainty.covariance(joint=True)[np.ix_(keep, keep)]
    if not np.isfinite(covariance).all():
        raise CausalDataError(
            "an event time has no standard error (one treated unit?); select the others: effect[[...]]"
        )
    weights = _weights_of(target, events[at + 1 :])
    row = np.zeros((1, len(index)))
    row[0, keep[at:]] = weights
    return EventStudy(values, covariance, at, weights, float(effect.uncertainty.linear(row).df()[0]))


def _weights_of(target: Any, events: Values) -> Floats:
    """Weights over the periods after treatment."""
    weights = np.zeros(len(events))
    if target is None:  # with anticipation, periods before treatment come after the reference period
        weights[np.searchsorted(events, 0) if 0 in events else 0] = 1.0
    elif isinstance(target, str) and target == "average":
        weights[:] = 1 / len(events)
    else:
        target_weights = dict(target) if isinstance(target, Mapping) else {target: 1.0}
        unknown = [event for event in target_weights if event not in set(events.tolist())]
        if unknown or not target_weights:
            raise CausalArgumentError(
                f"target={target!r} names no period after treatment; use one of {events.tolist()}, 'average', or a"
                " mapping of these to weights"
            )
        for event, weight in target_weights.items():
            weights[events == event] = weight
    if not np.isfinite(weights).all() or not weights.any():
        raise CausalArgumentError(f"target={target!r} has no weight that is a finite number other than 0")
    return weights
