"""What can be wrong with a column, and with columns together: rules that return a Problem or None."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalDataError, Problem
from pandas_causal.inputs.arms import MAX_ARMS, Arms, plain
from pandas_causal.kernels.arrays import Codes, Floats, Positions

__all__ = [
    "Rule",
    "all_missing",
    "as_float",
    "constant",
    "copies",
    "determines",
    "enough_arms",
    "few_clusters",
    "few_repeats",
    "infinite",
    "is_numeric",
    "is_rescaled",
    "labels",
    "missing",
    "non_negative",
    "normalised_weights",
    "numeric",
    "one_value",
    "positive",
    "probability",
    "rounded",
]

Rule = Callable[["pd.Series[Any]"], Problem | None]
_MAX_LEVELS = 1_000
_FIRST = 1_000  # rows that are looked at before all are
_LARGEST = 1e150
_SPREAD = 1e-12  # of the size: below it, means and residuals are rounding
_MEASURED = ("outcome", "covariate", "running", "mediator", "treatment", "instrument")
_SCALED = (
    "treatment levels must be labels or whole numbers: if a scaler in a pipeline transformed it, let it pass through "
    "untouched; if it is a dose meant as arms, convert it with .astype('category')"
)


# -- rules for one column --------------------------------------------------------------------------------------------


def _named(s: pd.Series[Any], message: str, count: int | None, remedy: str) -> Problem:
    return Problem(str(s.name), message, count, remedy)


def is_numeric(s: pd.Series[Any]) -> bool:
    """Whether a column holds numbers or bools (object columns of numbers do not count)."""
    dtype = s.dtype
    return (pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype)) and not is_complex(s)


def is_complex(s: pd.Series[Any]) -> bool:
    """Whether a column holds complex numbers."""
    return bool(pd.api.types.is_complex_dtype(s.dtype))


def as_float(s: pd.Series[Any]) -> Floats:
    """Values as float64 with NaN for missing ones, whatever the dtype."""
    return s.to_numpy(dtype=np.float64, na_value=np.nan)


def missing(role: str) -> Rule:
    """Rows without a value, which are never dropped unasked."""

    def rule(s: pd.Series[Any]) -> Problem | None:
        n = int(s.isna().sum())
        remedy = f"the {role} must be known; pass missing='drop' to leave these rows out"
        return _named(s, f"{role} is missing (NaN)", n, remedy) if n else None

    return rule


def numeric(role: str) -> Rule:
    """Values that are no numbers."""

    def rule(s: pd.Series[Any]) -> Problem | None:
        if is_numeric(s):
            return None
        if is_complex(s):
            return _named(s, f"{role} holds complex numbers: Complex data not supported", len(s), "take the real part")
        return _named(
            s,
            f"{role} is not numeric (dtype {s.dtype})",
            len(s),
            "convert it: pd.to_numeric(...), or (s == 'yes').astype(int)",
        )

    return rule


def infinite(role: str) -> Rule:
    """Infinite numbers, and finite ones too large to be squared."""

    def rule(s: pd.Series[Any]) -> Problem | None:
        if not is_numeric(s) or pd.api.types.is_bool_dtype(s.dtype) or pd.api.types.is_integer_dtype(s.dtype):
            return None
        values = np.abs(as_float(s))
        n = int(np.isinf(values).sum())
        if n:
            return _named(s, f"{role} is infinite (inf)", n, "replace by a finite value or by NaN")
        n = int((values > _LARGEST).sum())
        return _named(s, f"{role} is beyond {_LARGEST:g}, its square overflows", n, "use larger units") if n else None

    return rule


def rounded(role: str) -> Rule:
    """Whole numbers that floats would merge or move, and numbers that differ by no more than their rounding."""

    def rule(s: pd.Series[Any]) -> Problem | None:
        if not is_numeric(s) or pd.api.types.is_bool_dtype(s.dtype):
            return None
        values = as_float(s)
        finite = values[np.isfinite(values)]
        if not len(finite):
            return None
        size = np.abs(finite).max()
        if pd.api.types.is_integer_dtype(s.dtype) and size > 2**53:
            moved = sum(int(v) != int(float(v)) for v in s.dropna().astype(object))
            if moved:
                message = f"{role} holds whole numbers beyond 2**53, which computing in float64 would round"
                ids = {
                    "covariate": "; labels, as ids are, fit as cluster= or .astype(str)",
                    "instrument": "; labels, as ids are, .astype(str)",
                }.get(role, "")
                return _named(s, message, moved, f"subtract the smallest first: s - s.min(){ids}")
        spread = float(finite.max() - finite.min())
        if role in _MEASURED and 0 < spread < _SPREAD * size:
            return _named(
                s,
                f"{role} differs by no more than rounding: by {spread:g} at a size of {size:g}",
                None,
                "subtract a constant first, in exact numbers; if it is constant in truth, leave it out",
            )
        return None

    return rule


def constant(role: str) -> Rule:
    """A role that has one value only."""

    def rule(s: pd.Series[Any]) -> Problem | None:
        if not is_numeric(s) or len(s) == 0:
            return None
        values = as_float(s)
        if np.isnan(values).all() or np.nanmin(values) != np.nanmax(values):
            return None
        return _named(
            s,
            f"{role} is constant ({values[~np.isnan(values)][0]:g})",
            None,
            "nothing can be learned from it; check the column",
        )

    return rule


def labels(role: str, *, dates: bool = False) -> Rule:
    """Values that are neither numbers nor labels (dates may be labels of a group)."""

    def rule(s: pd.Series[Any]) -> Problem | None:
        if is_complex(s):
            return _named(
                s, f"{role} holds complex numbers: Complex data not supported", len(s), "use real and imaginary part"
            )
        if _is_date(s.dtype) and not dates:
            return _named(
                s, f"{role} is a date or duration ({s.dtype})", len(s), "convert it, e.g. (s - s.min()).dt.days"
            )
        if s.dtype != object:
            return None
        odd = s.dropna().map(lambda v: not isinstance(v, str | bool | int | float | np.number))
        if not odd.any():
            return None
        kind = type(s.dropna()[odd.to_numpy(dtype=bool)].iloc[0]).__name__
        message = f"{role} holds objects of type {kind}"
        remedy = "the argument must be a string or a number: extract numbers or labels from them"
        return _named(s, message, int(odd.sum()), remedy)

    return rule


def _is_date(dtype: Any) -> bool:
    return (
        pd.api.types.is_datetime64_any_dtype(dtype)
        or pd.api.types.is_timedelta64_dtype(dtype)
        or isinstance(dtype, pd.PeriodDtype)
    )


def _levels(s: pd.Series[Any]) -> pd.Series[Any] | None:
    """Rows of every level that occurs; None where values cannot be compared, which :func:`labels` reports."""
    try:
        counts = s.value_counts(dropna=True)
    except (TypeError, NotImplementedError):  # Arrow's lists are not implemented
        return None
    return counts[counts > 0]


def enough_arms(s: pd.Series[Any]) -> Problem | None:
    """A treatment that has one level, one level with a single row, or too many levels to be arms."""
    counts = _levels(s)
    if counts is None or len(counts) == 0:
        return None
    levels = [plain(v) for v in counts.index]
    if len(levels) == 1:
        return _named(
            s,
            f"treatment has one level only ({levels[0]!r}), so there is nothing to compare (1 class)",
            None,
            "include untreated rows",
        )
    if len(levels) > MAX_ARMS:
        kind, remedy = "many-valued", f"group them into at most {MAX_ARMS} arms"
        if is_numeric(s):
            kind = "continuous"
            remedy = f"cut it into at most {MAX_ARMS} arms, e.g. pd.qcut(df[{s.name!r}], 4)"
        message = f"treatment has {len(levels):,} levels, too many for arms (is it {kind}?)"
        return _named(s, message, None, remedy)
    if is_numeric(s) and any(isinstance(v, float) and np.isfinite(v) for v in levels):
        return _named(s, f"treatment has the levels {[float(f'{v:.4g}') for v in levels[:4]]}", None, _SCALED)
    small = np.flatnonzero(counts.to_numpy() < 2)
    if len(small):
        message = f"arm {levels[small[0]]!r} has fewer than 2 rows"
        return _named(s, message, int(counts.iloc[small[0]]), "merge or drop this arm")
    return None


def few_repeats(s: pd.Series[Any]) -> Problem | None:
    """Labels that hardly repeat: names of rows rather than groups."""
    counts = None if is_numeric(s) or is_complex(s) or _is_date(s.dtype) else _levels(s)
    if counts is None or len(counts) <= min(_MAX_LEVELS, max(20, len(s) // 2)):
        return None
    return _named(
        s,
        f"covariate has {len(counts):,} different labels for {len(s):,} rows",
        None,
        "group rare labels, or pass it as cluster=",
    )


def all_missing(s: pd.Series[Any]) -> Problem | None:
    """A covariate without a single value."""
    return (
        _named(s, "covariate is missing (NaN) in every row", len(s), "leave it out")
        if len(s) and s.isna().all()
        else None
    )


def one_value(role: str) -> Rule:
    """A mediator or an instrument, labels or numbers, that is the same in every row."""

    def rule(s: pd.Series[Any]) -> Problem | None:
        if is_numeric(s):
            values = as_float(s)
            values = values[~np.isnan(values)]
            if len(values) and values.min() != values.max():
                return None
        counts = _levels(s)
        if counts is None or len(counts) != 1:
            return None
        return _named(s, f"{role} is constant ({plain(counts.index[0])!r})", None, "it carries no effect; leave it out")

    return rule


def few_clusters(s: pd.Series[Any]) -> Problem | None:
    """Fewer than two clusters."""
    counts = _levels(s)
    if counts is None or len(counts) > 1:
        return None
    message = f"cluster has {len(counts)} level{'s' if len(counts) != 1 else ''}"
    return _named(s, message, None, "at least 2 clusters are needed")


def non_negative(s: pd.Series[Any]) -> Problem | None:
    """Negative or all-zero weights."""
    if not is_numeric(s):
        return None
    values = as_float(s)
    negative = int((values < 0).sum())
    if negative:
        return _named(s, "sample_weight is negative", negative, "weights must be zero or more")
    return (
        _named(s, "sample_weight is zero everywhere", len(s), "give some rows weight")
        if not np.nansum(values) > 0
        else None
    )


def positive(role: str) -> Rule:
    """Values of zero or less."""

    def rule(s: pd.Series[Any]) -> Problem | None:
        n = int((as_float(s) <= 0).sum()) if is_numeric(s) else 0
        return _named(s, f"{role} is not positive", n, "give every row a value above 0") if n else None

    return rule


def probability(s: pd.Series[Any]) -> Problem | None:
    """Propensities outside (0, 1)."""
    if not is_numeric(s):
        return None
    values = as_float(s)
    n = int(((values <= 0) | (values >= 1)).sum())
    return (
        _named(
            s, "propensity is not strictly between 0 and 1", n, "rows that could have one arm only cannot be compared"
        )
        if n
        else None
    )


# -- rules across columns --------------------------------------------------------------------------------------------


def is_rescaled(x: Floats, role: Floats) -> bool:
    """Whether x is an exact affine copy of role, judged on 1,000 rows first."""
    if len(x) < 4:
        return False
    if len(x) > 1_000 and not is_rescaled(x[:1_000], role[:1_000]):
        return False
    keep = np.isfinite(x) & np.isfinite(role)
    x, role = x[keep], role[keep]
    if len(x) < 4:
        return False
    size = np.abs(x).max()
    with np.errstate(over="ignore", invalid="ignore"):  # too large to be squared: reported by itself
        centred, basis = x - x.mean(), role - role.mean()
        norm = basis @ basis
        if norm == 0 or not np.isfinite(norm) or not centred.any():
            return False
        residual = centred - (basis @ centred) / norm * basis
        spread, rounding = np.abs(centred).max(), 4 * np.finfo(float).eps * size
        return bool(spread > 1e3 * rounding and np.abs(residual).max() <= 1e-9 * spread + rounding)


def determines(x: pd.Series[Any], codes: Codes, cluster: Codes | None = None) -> str | None:
    """How a covariate reproduces the treatment exactly: by a threshold, or by groups of at least 5 rows."""
    two = int(codes.max()) == 1
    if two and is_numeric(x):
        threshold = _threshold(as_float(x.iloc[:_FIRST]), codes[:_FIRST])
        if threshold is not None and len(x) > _FIRST:
            threshold = _threshold(as_float(x), codes)
        if threshold is not None and not np.isnan(threshold):
            return f"separates the arms at one threshold ({threshold:.6g})"
    if not _may_group(x, codes):
        return None
    groups, names = pd.factorize(x)
    keep = groups >= 0
    first = np.full(len(names), -1)
    first[groups[keep][::-1]] = codes[keep][::-1]
    if bool((codes[keep] != first[groups[keep]]).any()):
        return None
    units = pd.DataFrame({"group": groups[keep], "unit": np.flatnonzero(keep) if cluster is None else cluster[keep]})
    sizes = np.bincount(units.drop_duplicates()["group"], minlength=len(names))  # whole clusters got one arm by design
    if len(names) == int(codes.max()) + 1 or (sizes.min() >= 5 and len(names) > 1):
        return f"determines the treatment: each of its {len(names):,} values has one arm"
    return None


def _threshold(values: Floats, codes: Codes) -> float | None:
    """The value that splits two arms; NaN where one has no row yet; None where there is none or a value is missing."""
    low, high = values[codes == 0], values[codes == 1]
    if not len(low) or not len(high):
        return np.nan
    if np.isnan(values).any() or not (low.max() < high.min() or high.max() < low.min()):
        return None
    return float(max(min(low.max(), high.max()), min(low.min(), high.min())))


def _may_group(x: pd.Series[Any], codes: Codes) -> bool:
    """Cheap necessary condition: a value in two arms, or (birthday bound) no value twice in a sample, ends it."""
    n = len(x)
    m = min(n, max(2_000, int(3 * np.sqrt(n))))
    at = np.linspace(0, n - 1, m).astype(np.intp)
    groups, names = pd.factorize(x.iloc[at])
    if not len(names) or (m < n and len(names) == m):
        return False
    low, high = np.full(len(names), 127), np.full(len(names), -1)
    keep = groups >= 0
    np.minimum.at(low, groups[keep], codes[at][keep])
    np.maximum.at(high, groups[keep], codes[at][keep])
    return bool((low >= high).all())


def _factorized(s: pd.Series[Any]) -> Positions | None:
    """Codes of the values, -1 for missing ones; None where they cannot be compared."""
    try:
        return np.asarray(pd.factorize(s)[0])
    except (TypeError, NotImplementedError):
        return None


def copies(
    frame: pd.DataFrame,
    covariates: Sequence[Any],
    others: Mapping[Any, str],
    cluster_name: Any = None,
    word: str = "covariate",
    arms: Any = None,
) -> list[Problem]:
    """Covariates (or mediators, instruments: `word`) that are another role under another name, or determine the arm.

    With a cluster, a covariate of whole clusters determines nothing unless many clusters share its values.

    Parameters
    ----------
    frame : DataFrame
    covariates : sequence of column names
    others : mapping of column name to role
        Columns that they are compared with.
    cluster_name : column name, optional
    word : str
        What the columns are.
    arms : column name, optional
        The treatment, where it is arms, which a covariate may determine without equalling it.
    """
    problems = []
    numbers = {c: as_float(frame[c]) for c in others if is_numeric(frame[c])}
    outcome = next((c for c, role in others.items() if role == "outcome" and c in numbers), None)
    treatments = [c for c, role in others.items() if role == "treatment" and c in numbers]
    if outcome is not None and word == "covariate":
        for c in (c for c in treatments if is_rescaled(numbers[outcome], numbers[c])):
            text = f"outcome equals the treatment{'' if len(treatments) == 1 else f' {c}'}, possibly rescaled"
            problems.append(_named(frame[outcome], text, None, "check the names"))
    codes = None
    if arms is not None:
        codes = _factorized(frame[arms])
        codes = None if codes is None or (codes < 0).any() or not 0 < codes.max() < MAX_ARMS else codes
    cluster = None if cluster_name is None else _factorized(frame[cluster_name])
    for name in covariates:
        x = frame[name]
        if not is_numeric(x) and not isinstance(x.dtype, pd.CategoricalDtype | pd.StringDtype) and x.dtype != object:
            continue
        values = as_float(x) if is_numeric(x) else None
        copied = [c for c, v in numbers.items() if values is not None and c != name and is_rescaled(values, v)]
        if copied:
            text = f"{word} equals the {others[copied[0]]} ({copied[0]}), possibly rescaled"
            problems.append(_named(x, text, None, "leave it out"))
        elif codes is not None and _factorized(x.iloc[:1_000]) is not None:
            reproduction = determines(x, codes, cluster)
            if reproduction:
                problems.append(
                    _named(x, f"{word} {reproduction}", None, "leave it out: no comparison remains within its values")
                )
    return problems


def normalised_weights(values: pd.Series[Any] | None, arms: Arms | None) -> Floats | None:
    """Sample weights with mean 1; every arm must have some (None: the treatment is no arms)."""
    if values is None:
        return None
    w = as_float(values)
    if arms is None:
        return w / w.mean()
    empty = np.flatnonzero(np.bincount(arms.codes, weights=w, minlength=len(arms)) == 0)
    if len(empty):
        message = f"sample_weight is zero for every row of arm {arms.levels[empty[0]]!r}"
        raise CausalDataError(
            [
                Problem(
                    str(values.name),
                    message,
                    int(arms.counts[empty[0]]),
                    "give these rows weight, or leave the arm out",
                )
            ]
        )
    return w / w.mean()
