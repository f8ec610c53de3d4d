"""Levels of a discrete treatment: which there are, which is the control, and the arm of every row."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem, suggest
from pandas_causal.kernels.arrays import Codes, Positions

__all__ = ["MAX_ARMS", "Arms", "plain", "resolve_arms"]


MAX_ARMS = 20


@dataclass(frozen=True, eq=False)
class Arms:
    """Levels of a discrete treatment, the control first.

    Attributes
    ----------
    levels : tuple
        Level of every arm.
    codes : ndarray (n,), int8
        Position in `levels`, row by row.
    chosen_by : str
        How the control was chosen.
    natural : tuple
        The levels in category or sorted order, whichever is the control: known propensities follow it.
    """

    levels: tuple[Any, ...]
    codes: Codes
    chosen_by: str
    natural: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def counts(self) -> Positions:
        """Rows in each arm."""
        return np.bincount(self.codes, minlength=len(self.levels))

    @property
    def contrasts(self) -> list[str]:
        """Names of the contrasts with the control."""
        return [f"{level} - {self.levels[0]}" for level in self.levels[1:]]


def _refuse_levels_alike(treatment: pd.Series[Any], levels: list[Any], codes: Positions) -> None:
    """Refuse two levels that print alike, as 0 and "0" do: no table could tell them apart."""
    of_text: dict[str, list[int]] = {}
    for i, level in enumerate(levels):
        of_text.setdefault(str(level), []).append(i)
    problems = [
        Problem(
            str(treatment.name),
            f"holds {text} as {' and as '.join(type(levels[i]).__name__ for i in alike)}, which print alike",
            int(np.isin(codes, alike).sum()),
            "give the column one type, e.g. .astype(str)",
        )
        for text, alike in of_text.items()
        if len(alike) > 1
    ]
    if problems:
        raise CausalDataError(problems)


def resolve_arms(treatment: pd.Series[Any], control: Hashable = None) -> Arms:
    """Code a discrete treatment, the control as 0.

    The control is `control`, else the first category of a categorical, else the first level in sorted order.

    Raises
    ------
    CausalArgumentError
        If `control` is no level.
    """
    if isinstance(treatment.dtype, pd.CategoricalDtype):
        raw = treatment.cat.codes.to_numpy()
        used = np.unique(raw)
        levels = [plain(treatment.cat.categories[u]) for u in used]
        codes = np.searchsorted(used, raw)
        chosen_by = "the first category"
    else:
        codes, uniques = pd.factorize(treatment, sort=False)
        levels = [plain(u) for u in uniques]
        try:
            order = sorted(range(len(levels)), key=lambda i: levels[i])
        except TypeError:
            order = sorted(range(len(levels)), key=lambda i: str(levels[i]))
        rank = np.empty(len(levels), dtype=np.intp)
        rank[order] = np.arange(len(levels))
        codes, levels = rank[codes], [levels[i] for i in order]
        chosen_by = "the first level in sorted order"
    _refuse_levels_alike(treatment, levels, codes)
    natural = tuple(levels)
    if control is not None:
        named = pd.api.types.is_hashable(control)
        matches = [i for i, level in enumerate(levels) if named and level == plain(control)]
        if not matches:
            raise CausalArgumentError(
                f"control={control!r} is no level of {treatment.name!r}{suggest(control, levels)}; levels: {levels}"
            )
        order = [matches[0], *(i for i in range(len(levels)) if i != matches[0])]
        rank = np.empty(len(levels), dtype=np.intp)
        rank[order] = np.arange(len(levels))
        codes, levels, chosen_by = rank[codes], [levels[i] for i in order], "control="
    return Arms(tuple(levels), codes.astype(np.int8), chosen_by, natural)


def plain(level: Any) -> Any:
    """Level as a Python scalar, so that a dtype never changes a name: 1.0 and np.int64(1) are 1."""
    value = level.item() if hasattr(level, "item") else level
    return int(value) if isinstance(value, float) and value.is_integer() else value
