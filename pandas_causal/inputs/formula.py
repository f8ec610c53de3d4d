"""A right-hand side in place of a list of covariates: splines, interactions, categories, by formulaic."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    CausalWarning,
    MissingDependencyError,
    Problem,
    suggest,
)
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.inputs.encoding import Encoder, EveryLevel
from pandas_causal.inputs.formula_levels import LevelColumn, every_level_of
from pandas_causal.inputs.parameters import Legal
from pandas_causal.inputs.plain_columns import select_columns
from pandas_causal.kernels.arrays import Floats

if TYPE_CHECKING:
    from formulaic import ModelSpec, SimpleFormula

__all__ = ["FORMULA", "AnyEncoder", "FormulaEncoder", "formula_covariates"]

FORMULA = Legal(
    lambda value: value is None or (isinstance(value, str) and bool(value.strip())),
    "None or the right-hand side of a formula, e.g. 'age * sex + bs(dose, df=3) + C(site)'",
)
_QUOTED = re.compile(r"`([^`]*)`")


def formula_covariates(formula: str, columns: Sequence[Any], roles: Mapping[Any, str]) -> list[Any]:
    """Columns that a formula reads, in the order in which it names them.

    Parameters
    ----------
    formula : str
        A right-hand side.
    columns : sequence
        Of the frame.
    roles : mapping of column name to role
        Columns that are no covariates, and what they are instead.

    Raises
    ------
    CausalArgumentError
        For a formula that cannot be read, or one that names a column with a role.
    CausalDataError
        For a name that is no column.
    """
    known, taken = {str(c): c for c in columns}, {str(c): role for c, role in roles.items()}
    transforms = _transforms()
    found: dict[Any, None] = {}
    for name in _names_in(_parsed(formula)):
        if name in taken:
            raise CausalArgumentError(
                f"formula={formula!r}: {name!r} is the {taken[name]}; a formula holds the covariates only"
            )
        if name in known:
            found[known[name]] = None
        elif name not in transforms:
            shown = ", ".join(list(known)[:8]) + (", ..." if len(known) > 8 else "")
            what = f"is in the formula but is no column{suggest(name, known)}, and no transform of formulaic"
            raise CausalDataError([Problem(name, what, None, f"columns: {shown}")])
    return list(found)


def _parsed(formula: str) -> SimpleFormula:
    """The terms of a right-hand side."""
    problem = FORMULA.problem("formula", formula)
    if problem is not None:
        raise CausalArgumentError(problem)
    try:
        from formulaic import Formula, SimpleFormula
    except ImportError:
        raise MissingDependencyError("formulaic", "formula") from None
    try:
        parsed = Formula(formula.strip().removeprefix("~"))
    except Exception as error:  # noqa: BLE001 - whatever the parser says of a text of the user's
        said = re.sub(r"⧛[^⧚]*\[[0-9;]*m|\x1b\[[0-9;]*m", "", str(error)).split("\n")[0]
        raise CausalArgumentError(f"formula={formula!r} cannot be read: {said[:200]}") from None
    if not isinstance(parsed, SimpleFormula):
        raise CausalArgumentError(
            f"formula={formula!r} has sides; give the right-hand side alone, e.g. 'age + sex': treatment= and outcome="
            " name the rest"
        )
    return parsed


def _transforms() -> set[str]:
    import builtins

    from formulaic.transforms import TRANSFORMS

    return {*TRANSFORMS, *dir(builtins)}


def _names_in(parsed: SimpleFormula) -> list[str]:
    """Names of columns and of functions, in the order of the terms."""
    from formulaic.parser.types.factor import Factor

    out: dict[str, None] = {}
    for term in parsed:
        for factor in term.factors:
            if factor.eval_method is Factor.EvalMethod.LOOKUP:
                out[str(factor.expr)] = None
            elif factor.eval_method is Factor.EvalMethod.PYTHON:
                quoted: list[str] = []

                def stand_in(match: re.Match[str], quoted: list[str] = quoted) -> str:
                    quoted.append(match[1])
                    return f"quoted_{len(quoted) - 1}_"

                tree = ast.parse(_QUOTED.sub(stand_in, factor.expr), mode="eval")
                constants = [name for name in quoted if name in ("True", "False", "None")]
                if constants:  # formulaic strikes the quotes
                    raise CausalArgumentError(
                        f"formula: inside {factor.expr!r}, {constants[0]} is Python's constant and no column; rename it"
                    )
                names = {f"quoted_{k}_": name for k, name in enumerate(quoted)}
                called = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
                out |= dict.fromkeys(names.get(name, name) for name in called)
    return list(out)


@dataclass(frozen=True, eq=False)
class FormulaEncoder:
    """A formula with what its transforms learned (knots, levels, means) from one frame, so that new rows become alike.

    The intercept is left out, since every model has its own, and so are constant columns.

    Attributes
    ----------
    formula : str
    spec : formulaic.ModelSpec
    variables : tuple
        Columns that it reads.
    all_names : tuple of str
        Columns that it makes.
    kept : tuple of int
        Positions among them of those used.
    dropped : tuple of str
        Constant columns.
    levels : tuple of LevelColumn
        The columns used, and those that every level has, alone and in products, and the matrix lacks.
    """

    formula: str
    spec: ModelSpec
    variables: tuple[Any, ...]
    all_names: tuple[str, ...]
    kept: tuple[int, ...]
    dropped: tuple[str, ...]
    levels: tuple[LevelColumn, ...]
    imputed: dict[str, int] = field(default_factory=dict)

    @classmethod
    def fit(cls, formula: str, frame: pd.DataFrame) -> Self:
        """Learn the transforms.

        Raises
        ------
        CausalDataError
            For missing values, which a formula cannot impute, and transforms that fail on these rows.
        """
        parsed = _parsed(formula)
        _refuse_missing(frame, "pass missing='drop' to leave these rows out")
        data = _readable(frame)
        matrix = _materialised(formula, lambda: parsed.get_model_matrix(data, na_action="ignore", context=None))
        values = matrix.to_numpy(dtype=np.float64)
        names = tuple(str(c) for c in matrix.columns)
        _refuse_infinite(formula, names, values)
        constant = (values == values[:1]).all(axis=0)
        intercept = [k for k, name in enumerate(names) if name == "Intercept"]
        kept = tuple(int(k) for k in np.flatnonzero(~constant))
        dropped = tuple(names[k] for k in np.flatnonzero(constant) if k not in intercept)
        levels = every_level_of(matrix.model_spec, values, kept)
        return cls(formula, matrix.model_spec, tuple(frame.columns), names, kept, dropped, levels)

    @property
    def names(self) -> list[str]:
        """Names of the columns of the matrix."""
        return [self.all_names[k] for k in self.kept]

    @cached_property
    def every_level(self) -> EveryLevel:
        """The columns, and the level of a category that has none of its own."""
        return self._with_references()

    @cached_property
    def for_learners(self) -> EveryLevel:
        """The same, for penalised models and trees."""
        return self._with_references()

    @cached_property
    def for_distances(self) -> EveryLevel:
        """As for learners, but a category of two levels is one column."""
        return self._with_references(pairs=False)

    def _with_references(self, *, pairs: bool = True) -> EveryLevel:
        used = [c for c in self.levels if pairs or not c.other_of_two]
        return EveryLevel(tuple(c.name for c in used), tuple(c.source for c in used))

    def positions(self, name: object) -> list[int] | None:
        """Columns of the matrix that a term, or one of its columns, became; None for another name."""
        place = {k: at for at, k in enumerate(self.kept)}
        terms = {_squeezed(term): columns for term, columns in self.spec.term_indices.items()}
        if _squeezed(name) in terms:
            return [place[k] for k in terms[_squeezed(name)] if k in place]
        return [self.names.index(str(name))] if str(name) in self.names else None

    def transform(self, frame: pd.DataFrame) -> Floats:
        """The matrix (n, q) of a frame that holds the columns of the formula.

        Raises
        ------
        CausalDataError
            For absent columns, missing values, and values that the transforms do not reach (a spline's knots).

        Warns
        -----
        CausalWarning
            Levels never seen at fit: they are read as the level without a column.
        """
        absent = [c for c in self.variables if c not in frame.columns]
        if absent:
            raise CausalDataError(f"covariates {absent} are missing from this X; it needs {list(self.variables)}")
        used = select_columns(frame, self.variables)
        _refuse_missing(used, "drop these rows")
        data = _readable(used)
        if not len(data):
            return np.empty((0, len(self.kept)))
        matrix = _materialised(self.formula, lambda: self.spec.get_model_matrix(data, na_action="ignore", context=None))
        values = matrix.to_numpy(dtype=np.float64)
        _refuse_infinite(self.formula, self.all_names, values)
        return np.asfortranarray(values[:, list(self.kept)])


AnyEncoder = Encoder | FormulaEncoder


def _squeezed(term: object) -> str:
    """A term without blanks, which formulaic sets as it likes."""
    return re.sub(r"\s+", "", str(term))


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The same values by names that are text, as a formula has them, in dtypes of numpy.

    What formulaic takes for numbers must not depend on how they are stored.
    """
    out = {}
    for k, name in enumerate(map(str, frame.columns)):
        x = frame.iloc[:, k]
        if isinstance(x.dtype, pd.CategoricalDtype):
            out[name] = x.cat.remove_unused_categories()
        elif is_numeric(x):
            kind = pd.api.types.is_integer_dtype(x.dtype) or pd.api.types.is_bool_dtype(x.dtype)
            out[name] = pd.Series(x.to_numpy(dtype=np.int64) if kind else as_float(x), index=x.index)
        else:
            out[name] = x.astype(object)
    return pd.DataFrame(out, index=frame.index)


def _materialised(formula: str, make: Any) -> Any:
    """The model matrix, with what formulaic says in words of ours."""
    from formulaic.errors import DataMismatchWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            matrix = make()
        except Exception as error:  # noqa: BLE001 - a formula is code, which may raise anything
            said = re.sub(r"\s+", " ", str(error))[:300]
            raise CausalDataError(f"formula={formula!r} fails on these rows: {said}") from None
    for one in caught:
        if issubclass(one.category, DataMismatchWarning):
            levels = re.search(r"\{(.*?)\}", str(one.message))
            which = f" ({levels[1]})" if levels else ""
            text = f"formula: levels never seen at fit{which} are read as the reference level"
            warnings.warn(text, CausalWarning, stacklevel=4)
        elif not issubclass(one.category, DeprecationWarning | FutureWarning | RuntimeWarning):
            # of its own code; and of logarithms and quotients, whose results are judged by what they are
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return matrix


def _refuse_missing(frame: pd.DataFrame, remedy: str) -> None:
    counts = frame.isna().sum()
    if counts.any():
        what = "is missing (NaN), and inside a formula nothing is imputed"
        raise CausalDataError([Problem(str(c), what, int(k), remedy) for c, k in counts.items() if k][:20])


def _refuse_infinite(formula: str, names: Sequence[str], values: Floats) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        told = ", ".join(f"{names[k]} in {int(bad[:, k].sum()):,} rows" for k in np.flatnonzero(bad.any(axis=0))[:5])
        raise CausalDataError(f"formula={formula!r} is missing (NaN) or infinite (inf): {told}; use another transform")
