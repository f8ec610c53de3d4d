"""Checks of the data before anything is estimated, as pandera schemas built from the roles.

A *rule* looks at one column and returns what is wrong with it, or None. :func:`build_schema` arranges the rules as
pandera checks, validated lazily; :func:`validate` turns what failed into one :class:`CausalDataError` that lists every
problem. :func:`check_inputs`, which every fit calls, runs the same rules. A check hands pandera one bool a column, and
the count comes from the rule: pandera's own listing of rows is slow and large on a million bad rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem, suggest
from pandas_causal.inputs.column_rules import Rule, copies
from pandas_causal.inputs.plain_columns import plain_column, plain_frame
from pandas_causal.inputs.roles import COVARIATE, ROLES, Inputs, check_columns, taken_twice

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

__all__ = ["build_schema", "check_inputs", "validate"]


def build_schema(
    *, covariates: Sequence[Hashable] = (), numbers: bool = False, **columns: Hashable | Sequence[Hashable]
) -> DataFrameSchema:
    """Build a pandera schema for a frame from its roles, for use here or in a pipeline of your own.

    Parameters
    ----------
    covariates : sequence of column names
    numbers : bool
        Whether the treatment is numbers; else it is arms.
    **columns
        Name of a column for each role (``outcome="re78"``), or a list of names where a role may be several. The roles
        are those of :data:`pandas_causal.inputs.roles.ROLES`: outcome, treatment, cluster, sample_weight, propensity,
        unit, time, ...

    Raises
    ------
    CausalArgumentError
        For a role that does not exist.
    CausalDataError
        If a column is given two roles.

    Returns
    -------
    pandera.pandas.DataFrameSchema
        Validate with ``schema.validate(frame, lazy=True)``, or with :func:`validate` for messages of this package.
    """
    import pandera.pandas as pa

    rules = _Rules.of(covariates, numbers, columns)
    checked = {
        # pandera leaves missing values out unless told not to
        name: pa.Column(
            checks=[pa.Check(_Passes(rule), name=f"{role} {k}", ignore_na=False) for k, rule in enumerate(own)],
            nullable=True,
            required=True,
        )
        for name, (role, own) in rules.columns.items()
    }
    across = [pa.Check(check, name=name) for name, check in rules.across.items()]
    return pa.DataFrameSchema(checked, checks=[pa.Check(_has_rows, name="rows"), *across], strict=False)


@dataclass(frozen=True, eq=False)
class _Rules:
    """What is asked of the columns of a frame: the role and rules of each, and what is asked across them, by name."""

    columns: dict[Hashable, tuple[str, Sequence[Rule]]]
    across: dict[str, _NoCopies]

    @classmethod
    def of(cls, covariates: Sequence[Hashable], numbers: bool, columns: Mapping[str, Any]) -> _Rules:
        """Read roles; the parameters and errors are those of :func:`build_schema`."""
        unknown = [role for role in columns if role not in ROLES]
        if unknown:
            raise CausalArgumentError(
                f"{unknown[0]!r} is no role{suggest(unknown[0], ROLES)}; roles: {', '.join([*ROLES, 'covariates'])}"
            )
        named: dict[str, list[Hashable]] = {
            role: list(names)
            if isinstance(names, list) or (ROLES[role].several and isinstance(names, tuple))
            else [names]
            for role, names in columns.items()
            if names is not None
        }
        for role, names in [*named.items(), ("covariates", list(covariates))]:
            odd = [name for name in names if not pd.api.types.is_hashable(name)]
            if odd:
                raise CausalArgumentError(f"{role} takes names of columns; got a {type(odd[0]).__name__}")
        named["covariate"] = list(dict.fromkeys(covariates))
        twice = taken_twice(named)
        if twice:
            raise CausalDataError(twice)
        checked: dict[Hashable, tuple[str, Sequence[Rule]]] = {}
        for role, names in named.items():
            own = COVARIATE if role == "covariate" else _rules(role, numbers)
            checked |= dict.fromkeys(names, (role, own))
        originals = {name: role for role, names in named.items() if _is_copied(role) for name in names}
        clusters = named.get("cluster", [])
        cluster = clusters[0] if len(clusters) == 1 else None
        treatments = named.get("treatment", [])
        arms = treatments[0] if len(treatments) == 1 and not numbers else None
        across = {"copies": _NoCopies(list(covariates), originals, cluster, "covariate", arms)}
        for role, word, alone in (("mediators", "mediator", arms), ("instrument", "instrument", None)):
            if role in named:
                rivals = {name: other for name, other in originals.items() if other != role}
                across[role] = _NoCopies(named[role], rivals, cluster, word, alone)
        return cls(checked, across)

    def problems(self, frame: pd.DataFrame) -> list[Problem]:
        """What is wrong with a frame that has every column."""
        out: list[Problem] = []
        for name, (_, own) in self.columns.items():
            column = plain_column(frame[name])
            found = (rule(column) for rule in own)
            out += list(islice((problem for problem in found if problem is not None), _SHOWN))
        if not _has_rows(frame):
            return [*out, _NO_ROWS]
        return out + [problem for check in self.across.values() for problem in check.problems(frame)]


def _rules(role: str, numbers: bool) -> tuple[Rule, ...]:
    """Rules of a role's columns, where it may be numbers those of numbers."""
    as_numbers = ROLES[role].numbers if numbers else None
    return ROLES[role].rules if as_numbers is None else as_numbers


def _is_copied(role: str) -> bool:
    return role in ROLES and ROLES[role].copied


class _Passes:
    """A rule as a pandera check: one bool per column."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __call__(self, s: pd.Series[Any]) -> bool:
        return self.rule(plain_column(s)) is None


class _NoCopies:
    """The rules across columns as a pandera check; silent where a column is absent, which is reported by itself."""

    def __init__(self, covariates: list[Any], others: dict[Any, str], cluster: Any, word: str, arms: Any) -> None:
        self.covariates, self.others, self.cluster, self.word, self.arms = covariates, others, cluster, word, arms

    def problems(self, frame: pd.DataFrame) -> list[Problem]:
        """Return what is wrong."""
        here = [c for c in self.covariates if c in frame.columns]
        others = {c: r for c, r in self.others.items() if c in frame.columns}
        cluster = self.cluster if self.cluster in frame.columns else None
        arms = self.arms if self.arms in frame.columns else None
        return copies(plain_frame(frame), here, others, cluster, self.word, arms) if len(frame) else []

    def __call__(self, frame: pd.DataFrame) -> bool:
        return not self.problems(frame)


def _has_rows(frame: pd.DataFrame) -> bool:
    return len(frame) > 0


_SHOWN = 2  # problems of one column
_NO_ROWS = Problem(
    "frame",
    "has 0 rows: Found array with 0 sample(s) while a minimum of 1 is required",
    0,
    "check the filter before this call",
)


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
        problems = [check._check_fn.rule(plain_column(frame[name])) for check in column.checks]
        out += [p for p in problems if p is not None][:_SHOWN]
    for check in schema.checks:
        if isinstance(check._check_fn, _NoCopies):
            out += check._check_fn.problems(frame)
        elif not _has_rows(frame):
            out.append(_NO_ROWS)
    return out or [Problem("frame", str(error)[:500], None, "see the schema")]


def check_inputs(inputs: Inputs, *, numbers: bool = False) -> None:
    """Validate resolved inputs: the rules of the schema, on columns named by their role where names collide.

    The rules are run as they are: pandera's own work takes longer than they do on a few hundred rows.

    With `numbers` the treatment is read as numbers.
    """
    columns: dict[Any, Any] = {}
    names: dict[str, Any] = {}
    taken: set[Any] = set(inputs.covariates.columns)

    def add(role: str, values: Any) -> Any:
        name = values.name if values.name not in taken else f"{values.name} ({role})"
        taken.add(name)
        columns[name] = values.rename(name)
        return name

    if inputs.outcome is not None:
        names["outcome"] = [add("outcome", inputs.outcome)]
    for role, values in inputs.roles.items():
        if isinstance(values, pd.DataFrame):
            parts: list[Any] = list(values)  # names of columns of X, or 0, 1, ... of an array
            labels = parts if role in inputs.taken else [f"{role} {c}" for c in parts]
            names[role] = [add(role, values[c].rename(label)) for c, label in zip(parts, labels, strict=True)]
        else:
            names[role] = [add(role, values)]
    frame = pd.concat([inputs.covariates, *columns.values()], axis=1) if columns else inputs.covariates
    check_columns(frame)
    problems = _Rules.of(list(inputs.covariates.columns), numbers, names).problems(frame)
    if problems:
        raise CausalDataError(problems)
