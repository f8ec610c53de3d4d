"""Checks of the data before anything is estimated, as pandera schemas built from the roles.

A *rule* looks at one column and returns what is wrong with it, or None. :func:`build_schema` arranges the rules as
pandera checks, validated lazily; :func:`validate` turns what failed into one :class:`CausalDataError` that lists every
problem. A check hands pandera one bool per column, and the count comes from the rule: pandera's own listing of rows is
slow and large on a million bad rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.errors import CausalDataError, Problem, suggest
from pandas_causal.inputs.column_rules import RULES, Rule, copies
from pandas_causal.inputs.roles import Inputs, check_columns, taken_twice

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

__all__ = ["build_schema", "check_inputs", "validate"]


def build_schema(
    *,
    outcome: Any = None,
    treatment: Any = None,
    covariates: Sequence[Any] = (),
    cluster: Any = None,
    sample_weight: Any = None,
    propensity: Any = None,
    strata: Any = None,
    denominator: Any = None,
    running: Any = None,
    cutoffs: Any = None,
    received: Any = None,
    mediators: Any = None,
    unit: Any = None,
    time: Any = None,
    cohort: Any = None,
    group: Any = None,
    partition: Any = None,
    base_weight: Any = None,
) -> DataFrameSchema:
    """Build a pandera schema for a frame from its roles, for use here or in a pipeline of your own.

    Parameters
    ----------
    outcome, treatment, cluster, sample_weight, propensity, strata, denominator, running, cutoffs, received : optional
    base_weight, unit, time, cohort, group, partition : optional
        Column names. `received` is the treatment of a fuzzy discontinuity: numbers, which may be a dose.
        `cluster` and `propensity` may be lists of names.
    mediators : optional
        Column name, or a list of them.
    covariates : sequence of column names

    Raises
    ------
    CausalDataError
        If a column is given two roles.

    Returns
    -------
    pandera.pandas.DataFrameSchema
        Validate with ``schema.validate(frame, lazy=True)``, or with :func:`validate` for messages of this package.
    """
    import pandera.pandas as pa

    given = {
        "outcome": outcome,
        "treatment": treatment,
        "cluster": cluster,
        "sample_weight": sample_weight,
        "propensity": propensity,
        "strata": strata,
        "denominator": denominator,
        "running": running,
        "cutoffs": cutoffs,
        "received": received,
        "mediators": mediators,
        "unit": unit,
        "time": time,
        "cohort": cohort,
        "group": group,
        "partition": partition,
        "base_weight": base_weight,
        "covariate": list(dict.fromkeys(covariates)),
    }
    named = {
        r: names if isinstance(names, list | tuple) else [names] for r, names in given.items() if names is not None
    }
    twice = taken_twice(named)
    if twice:
        raise CausalDataError(twice)
    columns: dict[Any, Any] = {}
    for role, names in named.items():
        # pandera leaves missing values out unless told not to
        checks = [pa.Check(_Passes(rule), name=f"{role} {k}", ignore_na=False) for k, rule in enumerate(RULES[role])]
        columns |= {name: pa.Column(checks=checks, nullable=True, required=True) for name in names}
    one = ("outcome", "treatment", "received", "running", "cluster")
    others = {r: given[r] for r in one if given[r] is not None and not isinstance(given[r], list | tuple)}
    across = [pa.Check(_NoCopies(list(covariates), others, "covariate"), name="copies")]
    if mediators is not None:
        across.append(pa.Check(_NoCopies(list(named["mediators"]), others, "mediator"), name="mediators"))
    rows = [pa.Check(_has_rows, name="rows")]
    return pa.DataFrameSchema(columns, checks=rows + across, strict=False)


class _Passes:
    """A rule as a pandera check: one bool per column."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __call__(self, s: pd.Series[Any]) -> bool:
        return self.rule(s) is None


class _NoCopies:
    """The rules across columns as a pandera check; silent where a column is absent, which is reported by itself."""

    def __init__(self, covariates: list[Any], others: dict[str, Any], word: str) -> None:
        self.covariates, self.others, self.word = covariates, others, word

    def problems(self, frame: pd.DataFrame) -> list[Problem]:
        """Return what is wrong."""
        here = [c for c in self.covariates if c in frame.columns]
        others = {r: c for r, c in self.others.items() if c in frame.columns}
        return copies(frame, here, others, self.word) if len(frame) else []

    def __call__(self, frame: pd.DataFrame) -> bool:
        return not self.problems(frame)


def _has_rows(frame: pd.DataFrame) -> bool:
    return len(frame) > 0


def validate(frame: pd.DataFrame, schema: DataFrameSchema) -> None:
    """Validate lazily and raise one CausalDataError that lists every problem.

    Raises
    ------
    CausalDataError
        Column, what is wrong, how many rows, what to do, for every problem at once.
    """
    import pandera.pandas as pa

    check_columns(frame)
    try:
        schema.validate(frame, lazy=True, inplace=True)
    except pa.errors.SchemaErrors as error:
        raise CausalDataError(_problems(frame, schema, error)) from None


def _problems(frame: pd.DataFrame, schema: DataFrameSchema, error: Any) -> list[Problem]:
    out: list[Problem] = []
    for name, column in schema.columns.items():
        if name not in frame.columns:
            hint = suggest(name, frame.columns)
            out.append(
                Problem(
                    str(name),
                    f"is no column of the frame{hint}",
                    None,
                    f"columns: {', '.join(map(str, frame.columns[:8]))}",
                )
            )
            continue
        found = [check._check_fn.rule(frame[name]) for check in column.checks]
        out += [p for p in found if p is not None][:2]
    for check in schema.checks:
        if isinstance(check._check_fn, _NoCopies):
            out += check._check_fn.problems(frame)
        elif not _has_rows(frame):
            out.append(
                Problem(
                    "frame",
                    "has 0 rows: Found array with 0 sample(s) while a minimum of 1 is required",
                    0,
                    "check the filter before this call",
                )
            )
    return out or [Problem("frame", str(error)[:500], None, "see the schema")]


def check_inputs(inputs: Inputs) -> None:
    """Validate resolved inputs: the same schema, on columns named by their role where names collide."""
    columns: dict[Any, Any] = {}
    names: dict[str, Any] = {}
    taken: set[Any] = set(inputs.covariates.columns)

    def add(role: str, values: Any) -> Any:
        name = values.name if values.name not in taken else f"{values.name} ({role})"
        taken.add(name)
        columns[name] = values.rename(name)
        return name

    if inputs.outcome is not None:
        names["outcome"] = add("outcome", inputs.outcome)
    for role, values in inputs.roles.items():
        if isinstance(values, pd.DataFrame):
            given: list[Any] = list(values)  # names of columns of X, or 0, 1, ... of an array
            labels = given if role in inputs.taken else [f"{role} {c}" for c in given]
            names[role] = [add(role, values[c].rename(label)) for c, label in zip(given, labels, strict=True)]
        else:
            names[role] = add(role, values)
    frame = pd.concat([inputs.covariates, *columns.values()], axis=1) if columns else inputs.covariates
    schema = build_schema(covariates=list(inputs.covariates.columns), **names)
    validate(frame, schema)
