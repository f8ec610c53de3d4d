"""Prepared inputs of designs with a running variable: dates to days, covariates never imputed, one cutoff or many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pandas_causal.discontinuity.bandwidths import Setting
from pandas_causal.discontinuity.cutoff import Design
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.inference.rows import Rows
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.inputs.roles import Inputs, resolve, resolve_arms
from pandas_causal.inputs.schemas import check_inputs

__all__ = ["RunningSample", "prepare_running"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class RunningSample:
    """Validated arrays of one fit.

    Attributes
    ----------
    z : ndarray (n,)
        Running variable minus cutoff.
    y : ndarray (n,)
    received : ndarray (n,) or None
        Treatment of a fuzzy design.
    X : ndarray (n, q)
        Encoded covariates.
    names : list of str (q,)
    weight : ndarray (n,) or None
    clusters : mapping of str to ndarray (n,)
    cutoffs : ndarray (n,) or None
        Every row's own cutoff.
    rows : Rows
    running, outcome : str
    treatment : str or None
    cutoff : float
        Zero where the running variable is read as days from a date.
    cutoff_text : str
    n_dropped : int
    notes : tuple of str
        What was dropped or converted, for the reader.
    """

    z: Floats
    y: Floats
    received: Floats | None
    X: Floats
    names: list[str]
    weight: Floats | None
    clusters: Mapping[str, NDArray[Any]]
    cutoffs: Floats | None
    rows: Rows
    running: str
    outcome: str
    treatment: str | None
    cutoff: float
    cutoff_text: str
    n_dropped: int
    notes: tuple[str, ...] = field(default_factory=tuple)

    def __len__(self) -> int:
        return len(self.y)

    def design(
        self,
        setting: Setting,
        bandwidth: str | tuple[float, float],
        bias_bandwidth: tuple[float, float] | None,
        mass_points: str,
    ) -> Design:
        """Arrays of all rows, covariates on one scale."""
        parts = [self.y[:, None]]
        if self.received is not None:
            parts.append(self.received[:, None])
        if self.X.shape[1]:
            centre = 0.0 if setting.fuzzy else self.X.mean(axis=0)  # a fuzzy bandwidth reads the covariates' level
            parts.append((self.X - centre) / self.X.std(axis=0))
        cluster = None
        if self.clusters:
            cluster = np.asarray(pd.factorize(next(iter(self.clusters.values())))[0], dtype=np.intp)
        columns = parts[0] if len(parts) == 1 else np.hstack(parts)
        return Design(self.z, columns, self.weight, cluster, setting, bandwidth, bias_bandwidth, mass_points)

    def range_text(self, design: Design) -> tuple[str, str]:
        """Smallest and largest value of the running variable, as text."""
        shift = self.cutoff if self.cutoffs is None else 0.0
        return f"{float(design.z.min()) + shift:g}", f"{float(design.z.max()) + shift:g}"


def prepare_running(estimator: Any, X: Any, y: Any, *, running: Any, missing: str, **roles: Any) -> RunningSample:
    """Resolve roles, drop rows if asked, read dates as days, validate, encode covariates.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_``, ``feature_names_in_`` and ``covariates_``; its ``cutoff`` is read.
    X, y, running, missing : as in ``fit``
    **roles
        treatment, cutoffs, cluster, sample_weight.
    """
    if missing not in ("raise", "drop"):
        raise CausalArgumentError(f"missing={missing!r} is not known; use 'raise' or 'drop'")
    if running is None:
        raise CausalArgumentError(
            f"{type(estimator).__name__}.fit needs running=, the name of a column of X or an array with one value per"
            " row"
        )
    inputs = resolve(X, y, {"running": running, **roles}, multi=())
    n_given = len(inputs.index)
    if missing == "drop":
        keep = _complete(inputs)
        inputs = inputs if keep.all() else inputs.take(keep)
    inputs, cutoff, text, notes = _read_running(inputs, estimator.cutoff)
    inputs = _numeric_treatment(inputs)
    if not getattr(estimator, "_validated", False):  # repeated fits see rows that were checked
        check_inputs(inputs)
    _refuse_missing_covariates(inputs)
    _remember(estimator, inputs)
    return _arrays(inputs, cutoff, text, notes, n_given)


def _complete(inputs: Inputs) -> NDArray[np.bool_]:
    """Rows with every value, covariates included."""
    keep = np.ones(len(inputs.index), dtype=bool)
    for values in [inputs.outcome, *inputs.roles.values()]:
        if values is not None:
            keep &= values.notna().to_numpy()
    if inputs.covariates.shape[1]:
        keep &= inputs.covariates.notna().all(axis=1).to_numpy()
    return keep


def _refuse_missing_covariates(inputs: Inputs) -> None:
    absent = inputs.covariates.isna().sum()
    problems = [
        Problem(
            str(name),
            "covariate is missing (NaN), and covariates are never imputed at a discontinuity",
            int(count),
            "pass missing='drop' to leave these rows out, or leave the covariate out",
        )
        for name, count in absent[absent > 0].items()
    ]
    if problems:
        raise CausalDataError(problems)


def _read_running(inputs: Inputs, cutoff: Any) -> tuple[Inputs, float, str, list[str]]:
    """Running variable minus cutoff as numbers; dates become days from the cutoff."""
    x = inputs.roles["running"]
    name = str(x.name)
    notes: list[str] = []
    if pd.api.types.is_datetime64_any_dtype(x.dtype):
        date = _date(cutoff, x)
        days = ((x - date) / pd.Timedelta(days=1)).astype(np.float64)
        notes.append(f"{name} holds dates: distances and bandwidths are in days from {date:%Y-%m-%d}")
        return _with_role(inputs, "running", days), 0.0, f"{name} = {date:%Y-%m-%d}", notes
    if not isinstance(cutoff, int | float | np.number) or not np.isfinite(float(cutoff)):
        raise CausalArgumentError(f"cutoff must be a number in units of {name}, got {cutoff!r}")
    return inputs, float(cutoff), f"{name} = {float(cutoff):g}", notes


def _date(cutoff: Any, x: pd.Series[Any]) -> pd.Timestamp:
    try:
        date = None if isinstance(cutoff, int | float | np.number) else pd.Timestamp(cutoff)
    except (ValueError, TypeError):
        date = None
    if date is None or pd.isna(date):
        raise CausalArgumentError(
            f"{x.name} holds dates, so cutoff must be one too, e.g. cutoff='2020-01-01'; got {cutoff!r}"
        )
    zone = x.dt.tz
    if zone is not None and date.tzinfo is None:
        return date.tz_localize(zone)
    return date.tz_localize(None) if zone is None and date.tzinfo is not None else date


def _with_role(inputs: Inputs, role: str, values: Any) -> Inputs:
    roles = {**inputs.roles, role: values}
    return Inputs(inputs.covariates, inputs.outcome, roles, inputs.taken, inputs.columns, inputs.named)


def _numeric_treatment(inputs: Inputs) -> Inputs:
    """The treatment received as numbers, in a role of its own: it may be a dose; two labels become 0 and 1."""
    values = inputs.roles.get("treatment")
    if values is None:
        return inputs
    roles = {k: v for k, v in inputs.roles.items() if k != "treatment"}
    if not is_numeric(values) and not values.isna().any():
        arms = resolve_arms(values)
        if len(arms) != 2:
            raise CausalDataError(
                [
                    Problem(
                        str(values.name),
                        f"treatment has {len(arms)} labels; a fuzzy discontinuity needs numbers or two labels",
                        None,
                        "code it as 0/1",
                    )
                ]
            )
        values = pd.Series(arms.codes.astype(float), index=values.index, name=values.name)
    return Inputs(
        inputs.covariates, inputs.outcome, {**roles, "received": values}, inputs.taken, inputs.columns, inputs.named
    )


def _remember(estimator: Any, inputs: Inputs) -> None:
    estimator.n_features_in_ = len(inputs.columns)
    if inputs.named and all(isinstance(c, str) for c in inputs.columns):
        estimator.feature_names_in_ = np.asarray(inputs.columns, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    estimator.covariates_ = list(inputs.covariates.columns)


def _arrays(inputs: Inputs, cutoff: float, text: str, notes: list[str], n_given: int) -> RunningSample:
    outcome, roles = inputs.outcome, inputs.roles
    assert outcome is not None  # noqa: S101 - resolve() has required it
    x, y = as_float(roles["running"]), as_float(outcome)
    own = roles.get("cutoffs")
    cutoffs = None if own is None else as_float(own)
    encoder = Encoder.fit(inputs.covariates)
    if encoder.dropped:
        notes.append(f"constant covariates were left out: {', '.join(encoder.dropped[:5])}")
    weight = roles.get("sample_weight")
    cluster, received = roles.get("cluster"), roles.get("received")
    return RunningSample(
        z=x - (cutoff if cutoffs is None else cutoffs),
        y=y,
        received=None if received is None else as_float(received),
        X=encoder.transform(inputs.covariates),
        names=encoder.names,
        weight=None if weight is None else as_float(weight),
        clusters={} if cluster is None else {str(cluster.name): cluster.to_numpy()},
        cutoffs=cutoffs,
        rows=Rows(inputs.index, y),
        running=str(roles["running"].name),
        outcome=str(outcome.name),
        treatment=None if received is None else str(received.name),
        cutoff=cutoff,
        cutoff_text=text,
        n_dropped=n_given - len(inputs.index),
        notes=tuple(notes),
    )
