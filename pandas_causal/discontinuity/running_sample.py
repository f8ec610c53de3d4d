"""Prepared inputs of designs with a running variable: dates to days, covariates never imputed, one cutoff or many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.discontinuity.bandwidths import LocalPolynomialSetting
from pandas_causal.discontinuity.cutoff import Cutoff
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inference.weighted_means import refuse_dominating_weights
from pandas_causal.inputs.arms import resolve_arms
from pandas_causal.inputs.column_rules import as_float, is_numeric, is_rescaled, labels
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.inputs.roles import Inputs
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats, Values

__all__ = ["RunningSample", "prepare_running"]


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
    rows : RowIdentity
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
    clusters: Mapping[str, Values]
    cutoffs: Floats | None
    rows: RowIdentity
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
        setting: LocalPolynomialSetting,
        bandwidth: str | tuple[float, float],
        bias_bandwidth: tuple[float, float] | None,
        mass_points: str,
    ) -> Cutoff:
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
        return Cutoff(self.z, columns, self.weight, cluster, setting, bandwidth, bias_bandwidth, mass_points)

    def range_text(self, design: Cutoff) -> tuple[str, str]:
        """Smallest and largest value of the running variable, as text; of all rows where a donut leaves none."""
        shift, z = self.cutoff if self.cutoffs is None else 0.0, design.z if len(design.z) else self.z
        return f"{float(z.min()) + shift:g}", f"{float(z.max()) + shift:g}"


def prepare_running(
    estimator: CausalEstimator, X: Covariates, y: Outcome, *, running: RoleLike, missing: str, **roles: Any
) -> RunningSample:
    """Resolve roles, drop rows if asked, read dates as days, validate, encode covariates.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_``, ``feature_names_in_`` and ``covariates_``; its ``cutoff`` is read.
    X, y, running, missing : as in ``fit``
    **roles
        treatment, cutoffs, cluster, sample_weight.
    """
    estimator.need("running", running)
    cutoff = _Cutoff(estimator.cutoff)
    inputs = estimator.read_inputs(
        X,
        y,
        {"running": running, **roles},
        missing=missing,
        single=("cluster", "treatment"),
        whole_covariates=True,
        convert=cutoff.read,
    )
    _refuse_missing_covariates(inputs)
    sample = _arrays(inputs, cutoff)
    if sample.weight is not None and estimator.checks_data:
        sides = ["rows below the cutoff", "rows from the cutoff on"]
        refuse_dominating_weights(sample.weight, (sample.z >= 0).astype(np.int64), sides)
    return sample


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


@dataclass
class _Cutoff:
    """The cutoff as given; once roles were read, as a number, with the words for it."""

    given: float | str | pd.Timestamp
    value: float = 0.0
    text: str = ""
    notes: list[str] = field(default_factory=list)

    def read(self, inputs: Inputs) -> Inputs:
        """Dates become days from the cutoff, two labels of the treatment received 0 and 1."""
        x = inputs.roles["running"]
        name = str(x.name)
        roles = {**inputs.roles}
        if pd.api.types.is_datetime64_any_dtype(x.dtype):
            date = _date(self.given, x)
            roles["running"] = ((x - date) / pd.Timedelta(days=1)).astype(np.float64)
            self.text = f"{name} = {date:%Y-%m-%d}"
            self.notes.append(f"{name} holds dates: distances and bandwidths are in days from {date:%Y-%m-%d}")
        elif not isinstance(self.given, int | float | np.number) or not np.isfinite(float(self.given)):
            raise CausalArgumentError(f"cutoff must be a number in units of {name}, got {self.given!r}")
        else:
            self.value = float(self.given)
            self.text = f"{name} = {self.value:g}"
        if "treatment" in roles:
            roles["treatment"] = _numbers(roles["treatment"])
        return replace(inputs, roles=roles)


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


def _numbers(treatment: pd.Series[Any]) -> pd.Series[Any]:
    """The treatment received as numbers, which may be a dose; two labels become 0 and 1."""
    if is_numeric(treatment) or treatment.isna().any() or labels("treatment")(treatment) is not None:
        return treatment
    arms = resolve_arms(treatment)
    if len(arms) != 2:
        message = f"treatment has {len(arms)} labels; a fuzzy discontinuity needs numbers or two labels"
        raise CausalDataError([Problem(str(treatment.name), message, None, "code it as 0/1")])
    return pd.Series(arms.codes.astype(float), index=treatment.index, name=treatment.name)


def _refuse_sides(z: Floats, X: Floats, names: list[str]) -> None:
    """Refuse covariates that tell the sides of the cutoff apart and nothing else: they would take the jump."""
    side = (z >= 0).astype(float)
    problems = [
        Problem(name, "covariate equals the side of the cutoff, possibly rescaled", None, "leave it out")
        for j, name in enumerate(names)
        if is_rescaled(X[:, j], side)
    ]
    if problems:
        raise CausalDataError(problems)


def _arrays(inputs: Inputs, cutoff: _Cutoff) -> RunningSample:
    outcome, roles = inputs.outcome, inputs.roles
    assert outcome is not None  # noqa: S101 - resolve() has required it
    x, y = as_float(roles["running"]), as_float(outcome)
    cutoff_of_row = roles.get("cutoffs")
    cutoffs = None if cutoff_of_row is None else as_float(cutoff_of_row)
    encoder = Encoder.fit(inputs.covariates)
    if encoder.dropped:
        cutoff.notes.append(f"constant covariates were left out: {', '.join(encoder.dropped[:5])}")
    z, matrix = x - (cutoff.value if cutoffs is None else cutoffs), encoder.transform(inputs.covariates)
    _refuse_sides(z, matrix, encoder.names)
    weight = roles.get("sample_weight")
    received = roles.get("treatment")
    return RunningSample(
        z=z,
        y=y,
        received=None if received is None else as_float(received),
        X=matrix,
        names=encoder.names,
        weight=None if weight is None else as_float(weight),
        clusters=inputs.ways("cluster"),
        cutoffs=cutoffs,
        rows=RowIdentity(inputs.index, y),
        running=str(roles["running"].name),
        outcome=str(outcome.name),
        treatment=None if received is None else str(received.name),
        cutoff=cutoff.value,
        cutoff_text=cutoff.text,
        n_dropped=inputs.n_dropped,
        notes=tuple(cutoff.notes),
    )
