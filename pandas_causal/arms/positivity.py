"""Whether one covariate by itself tells that some rows can have no counterpart in an arm they are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pandas_causal.errors import OverlapError, Problem
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.kernels.arrays import Bools, Codes, Floats, Positions

__all__ = ["refuse_separation"]

_RARE = 20  # rows below which a value without an arm may be chance
_FIRST = 1_000  # rows in which most covariates show that they separate nothing
_REMEDY = "leave these rows out, or "


class _Pair(NamedTuple):
    """An arm whose rows (or everyone's: None) are to find counterparts in another."""

    population: int | None
    arm: int


def refuse_separation(covariates: pd.DataFrame, codes: Codes, levels: Sequence[Any], estimand: str) -> None:
    """Refuse a comparison that one covariate alone rules out.

    A category (a two-valued number is one, and so is being missing) none of whose rows are in an arm they are compared
    with; a number that is constant in such an arm and differs elsewhere; a threshold that splits two arms. Only rows of
    the target count: everyone (ATE, ATO, ATM), each treated arm beside the control (ATT), the controls beside every arm
    (ATC). Fewer than 20 rows may be chance, unless they are half of the target.

    Parameters
    ----------
    covariates : DataFrame (n, p)
    codes : ndarray (n,)
    levels : sequence (K,)
        Of the treatment, the control first.
    estimand : {"ATE", "ATT", "ATC", "ATO", "ATM"}

    Raises
    ------
    OverlapError
        Every column that does, with rows, arm and remedy.
    """
    K = len(levels)
    pairs = [_Pair(a, 0) for a in range(1, K)] if estimand == "ATT" else [_Pair(None, a) for a in range(K)]
    if estimand == "ATC":
        pairs = [_Pair(0, a) for a in range(1, K)]
    sizes = np.bincount(codes, minlength=K)
    problems = []
    for name in covariates.columns:
        x = covariates[name]
        found = next(_separations(x, codes, pairs, sizes, levels), None)
        if found is not None:
            problems.append(Problem(str(name), found[0], None, found[1]))
    if problems:
        raise OverlapError(problems)


def _separations(
    x: pd.Series[Any], codes: Codes, pairs: Sequence[_Pair], sizes: Positions, levels: Sequence[Any]
) -> Iterator[tuple[str, str]]:
    """What is wrong, and the remedy."""
    categorical = not is_numeric(x) or pd.api.types.is_bool_dtype(x.dtype) or _two_valued(x)
    absent = x.isna()
    if categorical or absent.any():
        groups, values = pd.factorize(
            x if categorical else absent.map({True: np.nan, False: 0.0}), use_na_sentinel=False
        )
        names = list(values)
        cells = np.bincount(groups * len(levels) + codes, minlength=len(names) * len(levels)).reshape(-1, len(levels))
        for pair in pairs:
            rows = cells.sum(axis=1) if pair.population is None else cells[:, pair.population]
            for k in np.flatnonzero((cells[:, pair.arm] == 0) & (rows >= _enough(pair, sizes))):
                if len(names) == 1:
                    continue
                lacking = bool(pd.isna(names[k]))
                what = "is missing" if lacking else f"category {names[k]!r}" if categorical else "has a value"
                yield (
                    f"{what} in {rows[k]:,} rows and never in arm {levels[pair.arm]!r}, which they are compared with",
                    _REMEDY + ("merge the category" if categorical and not lacking else "leave the covariate out"),
                )
    if not categorical:
        yield from _splits(as_float(x), codes, pairs, sizes, levels)


def _splits(
    x: Floats, codes: Codes, pairs: Sequence[_Pair], sizes: Positions, levels: Sequence[Any]
) -> Iterator[tuple[str, str]]:
    """Arms in which a number is constant, and thresholds between arms."""
    if not _may_split(x[:_FIRST], codes[:_FIRST], len(levels)):
        return
    known = ~np.isnan(x)
    ranges = [_range(x[known & (codes == a)]) for a in range(len(levels))]
    for population, arm in pairs:
        low, high = ranges[arm]
        of_target: Bools = known if population is None else known & (codes == population)
        other = int((of_target & (x != low)).sum())
        if low == high and other >= _enough(_Pair(population, arm), sizes):
            yield (
                f"is {low:g} in every row of arm {levels[arm]!r}, and differs in {other:,} rows compared with it",
                _REMEDY + "leave the covariate out",
            )
        for b in range(len(levels)) if population is None else [population]:
            if b != arm and (ranges[b][0] > high or ranges[b][1] < low):
                first, second = (arm, b) if ranges[b][0] > high else (b, arm)
                ends = f"at most {ranges[first][1]:g} in arm {levels[first]!r}, at least {ranges[second][0]:g} in"
                yield (
                    f"separates the arms: {ends} arm {levels[second]!r}",
                    "leave out what decides treatment; where it is a running variable with a cutoff, use df.causal.rdd",
                )


def _enough(pair: _Pair, sizes: Positions) -> int:
    """Rows without a counterpart that are no chance."""
    target = int(sizes.sum() if pair.population is None else sizes[pair.population])
    return min(_RARE, max(2, -(-target // 2)))


def _range(x: Floats) -> tuple[float, float]:
    """Smallest and largest value; without values one that holds everything."""
    return (float(x.min()), float(x.max())) if len(x) else (-np.inf, np.inf)


def _may_split(x: Floats, codes: Codes, K: int) -> bool:
    """Whether these rows leave open that an arm is constant or apart from another."""
    ranges = [_range(x[(codes == a) & ~np.isnan(x)]) for a in range(K)]
    if any(not np.isfinite(low) or low == high for low, high in ranges):
        return True
    return max(low for low, _ in ranges) > min(high for _, high in ranges)


def _two_valued(x: pd.Series[Any]) -> bool:
    values = as_float(x)
    if np.isnan(values).all():
        return False
    low, high = np.nanmin(values), np.nanmax(values)
    return bool(((values == low) | (values == high) | np.isnan(values)).all())
