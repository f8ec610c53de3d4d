"""Folds that respect the design: stratified by treatment, clusters whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inputs.arms import MAX_ARMS, Arms
from pandas_causal.inputs.column_rules import is_numeric, missing
from pandas_causal.inputs.parameters import check_settings
from pandas_causal.inputs.roles import Inputs, resolve
from pandas_causal.inputs.treatments import Numbers, fold_strata, read_numbers
from pandas_causal.kernels.arrays import Codes, Floats, Positions

__all__ = ["CausalKFold", "assign_folds", "draw_folds", "folds_from_splits", "label_order"]


def label_order(labels: pd.Index) -> Positions | None:
    """Order of rows by label, None where rows already are in it, or where labels repeat (then position counts)."""
    if labels.is_monotonic_increasing or not labels.is_unique:
        return None
    try:
        return np.asarray(labels.argsort(), dtype=np.intp)
    except TypeError:
        return np.asarray(labels.astype(str).argsort(), dtype=np.intp)


def assign_folds(
    arms: Codes, n_folds: int, rng: np.random.Generator, *, labels: pd.Index | None = None, cluster: Any = None
) -> Positions:
    """Draw a fold for every row.

    Rows are dealt within arms, so that each fold has its share of every arm; with clusters, whole clusters are dealt
    within their most common arm, largest first. The draw follows the order of unique labels, not of rows, and does not
    depend on how arms are coded.

    Parameters
    ----------
    arms : ndarray (n,)
        Arm of every row.
    n_folds : int
    rng : Generator
    labels : Index (n,), optional
    cluster : array-like (n,), optional

    Returns
    -------
    ndarray (n,) of 0 .. n_folds - 1
    """
    n = len(arms)
    if cluster is None:
        order = None if labels is None else label_order(labels)
        ordered = arms if order is None else arms[order]
        dealt = _deal(pd.factorize(ordered)[0], np.ones(n), n_folds, rng)
        if order is None:
            return dealt
        out = np.empty(n, dtype=np.intp)
        out[order] = dealt
        return out
    groups, names = pd.factorize(cluster, sort=True)
    if len(names) < n_folds:
        raise CausalDataError(f"{n_folds} folds need at least {n_folds} clusters, there are {len(names)}; lower cv=")
    counts = np.zeros((len(names), int(arms.max()) + 1))
    np.add.at(counts, (groups, arms), 1)
    counts = counts[:, np.lexsort(counts[::-1])]
    return _deal(counts.argmax(axis=1), counts.sum(axis=1), n_folds, rng)[groups]


def _deal(strata: Codes, sizes: Floats, n_folds: int, rng: np.random.Generator) -> Positions:
    """Deal items to folds in turn within strata, in random order, larger items first, the turn running on."""
    out = np.empty(len(strata), dtype=np.intp)
    at = 0
    for stratum in np.unique(strata):
        items = rng.permutation(np.flatnonzero(strata == stratum))
        items = items[np.argsort(-sizes[items], kind="stable")]
        out[items] = (at + np.arange(len(items))) % n_folds
        at += len(items)
    return rng.permutation(n_folds)[out]


def draw_folds(
    cv: object, inputs: Inputs, treatment: Arms | Numbers, rng: np.random.Generator, cluster: Any = None
) -> Positions:
    """Fold of every row by a setting ``cv``: a number of folds, a splitter, or an iterable of (train, test).

    Folds are balanced by arms, or by fifths of numbers. A splitter is given all columns of X, the outcome and the
    clusters.

    Raises
    ------
    CausalArgumentError
        For anything else.
    CausalDataError
        If a fold leaves no row of an arm to learn from.
    """
    strata = fold_strata(treatment)
    if isinstance(cv, int | np.integer) and cv >= 2 and not isinstance(cv, bool):
        folds = assign_folds(strata, int(cv), rng, labels=inputs.index, cluster=cluster)
    elif hasattr(cv, "split") and not isinstance(cv, str | bytes):
        folds = folds_from_splits(cv.split(inputs.frame, inputs.outcome, cluster), len(strata))
    elif isinstance(cv, Iterable) and not isinstance(cv, str | bytes):
        # positions speak of the rows of X, of which some may have been left out
        kept = np.ones(len(strata), dtype=bool) if inputs.kept is None else inputs.kept
        folds = folds_from_splits(cv, len(kept))[kept]
    else:
        raise CausalArgumentError(
            f"cv must be a whole number of at least 2 folds, a splitter, or pairs (train, test); got {cv!r}"
        )
    if isinstance(treatment, Numbers):
        return folds
    for fold in range(int(folds.max()) + 1):
        left = np.bincount(treatment.codes[folds != fold], minlength=len(treatment))
        if left.min() < 1:
            level = treatment.levels[int(left.argmin())]
            raise CausalDataError(
                f"without fold {fold} no row of arm {level!r} is left to learn from; use fewer clusters per arm or"
                " another number of folds (cv=)"
            )
    return folds


def folds_from_splits(splits: Any, n: int) -> Positions:
    """Fold of every row from (train, test) pairs whose tests hold every row exactly once."""
    out = np.full(n, -1, dtype=np.intp)
    for k, pair in enumerate(splits):
        try:
            train, held_out = (_positions(rows, n) for rows in pair)
        except (TypeError, ValueError, IndexError):
            raise CausalArgumentError(f"cv= must give pairs (train, test) of positions below {n:,}") from None
        if (out[held_out] >= 0).any() or not np.array_equal(np.setdiff1d(np.arange(n), held_out), np.sort(train)):
            raise CausalArgumentError("cv= must give splits that test each row exactly once and train on the rest")
        out[held_out] = k
    if (out < 0).any():
        raise CausalArgumentError(f"cv= leaves {int((out < 0).sum()):,} rows in no test fold")
    return out


def _positions(rows: Any, n: int) -> Positions:
    """Positions (or a mask) as positions; IndexError for those that are none."""
    return np.arange(n)[np.asarray(rows)]


class CausalKFold:
    """Splitter for scikit-learn's searches: folds stratified by treatment (numbers by fifths), clusters whole.

    Plain ``KFold`` does not shuffle and ignores the treatment, so sorted data give folds with a single arm.

    Parameters
    ----------
    n_splits : int
        At least 2.
    treatment : str or array-like (n,), or several
        A name is read from the X being split. Numbers of more than 20 values, and several columns, are dealt by fifths.
    cluster : str or array-like (n,), optional
    random_state : int or None

    Examples
    --------
    >>> GridSearchCV(AIPW(), grid, cv=CausalKFold(5, treatment="treat"))  # doctest: +SKIP
    """

    def __init__(
        self, n_splits: int = 5, *, treatment: Any = None, cluster: Any = None, random_state: int | None = 0
    ) -> None:
        self.n_splits = n_splits
        self.treatment = treatment
        self.cluster = cluster
        self.random_state = random_state

    def __repr__(self) -> str:
        shown = {
            k: v if v is None or np.isscalar(v) else "..."
            for k, v in (("treatment", self.treatment), ("cluster", self.cluster))
        }
        return (
            f"CausalKFold({self.n_splits}, treatment={shown['treatment']!r}, cluster={shown['cluster']!r},"
            f" random_state={self.random_state})"
        )

    def get_n_splits(self, X: Floats | pd.DataFrame | None = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits."""
        return self.n_splits

    def split(
        self, X: Floats | pd.DataFrame, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[Positions, Positions]]:
        """Yield (train, test) positions."""
        if not isinstance(self.n_splits, int | np.integer) or self.n_splits < 2:
            raise CausalArgumentError(f"n_splits must be a whole number of at least 2, got {self.n_splits!r}")
        if self.treatment is None:
            raise CausalArgumentError("CausalKFold needs treatment=, a column name or an array, to stratify by")
        cluster = groups if self.cluster is None else self.cluster
        check_settings({"random_state": self.random_state})
        inputs = resolve(X, None, {"treatment": self.treatment, "cluster": cluster}, single=("cluster",), outcome=False)
        absent = [
            missing(role)(values[name])
            for role, values in ((role, pd.DataFrame(values)) for role, values in inputs.roles.items())
            for name in values
        ]
        problems = [problem for problem in absent if problem is not None]
        if problems:
            raise CausalDataError(problems)
        treatment = inputs.roles["treatment"]
        several = isinstance(treatment, pd.DataFrame) or (is_numeric(treatment) and treatment.nunique() > MAX_ARMS)
        codes = read_numbers(treatment).strata if several else pd.factorize(treatment, sort=True)[0]
        counts = np.bincount(codes)
        if not several and counts.min() < self.n_splits and cluster is None:
            raise CausalDataError(
                f"the smallest arm has {counts.min()} rows, fewer than {self.n_splits} folds; lower n_splits"
            )
        rng = np.random.default_rng(self.random_state)
        folds = assign_folds(codes, self.n_splits, rng, labels=inputs.index, cluster=inputs.roles.get("cluster"))
        for k in range(self.n_splits):
            yield np.flatnonzero(folds != k), np.flatnonzero(folds == k)


def sample_of_groups(groups: Codes, size: int) -> Positions:
    """Positions of about `size` rows, in order: the same share of every group (n,), and of a small one all rows."""
    order = np.argsort(groups, kind="stable")
    counts = np.bincount(groups)
    rng = np.random.default_rng(0)
    parts = []
    for start, count in zip(np.cumsum(counts) - counts, counts, strict=True):
        own = order[start : start + count]
        taken = min(count, max(int(np.ceil(size * count / len(groups))), _WHOLE_GROUP))
        parts.append(own if taken == count else rng.permutation(own)[:taken])
    return np.sort(np.concatenate(parts)).astype(np.intp)


_WHOLE_GROUP = 50  # rows under which a group is kept whole
