"""Nuisances fitted once for all candidates of a search: kept in memory within a block, or in a folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from pandas_causal.errors import CausalArgumentError

__all__ = ["check_memory", "remembered", "reuse_nuisances"]

Kept = TypeVar("Kept")
_KEPT: ContextVar[dict[str, Any] | None] = ContextVar("nuisances kept by reuse_nuisances()", default=None)


@contextmanager
def reuse_nuisances() -> Iterator[None]:
    """Within this block no nuisance is fitted twice to the same rows.

    Candidates of a search that differ in their final model share outcome and treatment models: they are fitted once a
    fold. What is kept is found by a hash of rows, outcome, treatment, weights, folds, model and its parameters, and
    dropped at the end of the block. It works in this process; with ``n_jobs`` give the estimator a folder instead:
    ``DRLearner(memory="folder")``. Blocks within a block share its memory.

    Examples
    --------
    >>> with pandas_causal.reuse_nuisances():  # doctest: +SKIP
    ...     search.fit(frame, y, treatment="t")
    """
    if _KEPT.get() is not None:
        yield
        return
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def check_memory(memory: object) -> Path | None:
    """Folder of a setting ``memory``: a path, or a ``joblib.Memory``, whose location is used; None: none.

    Raises
    ------
    CausalArgumentError
        For anything else.
    """
    location = getattr(memory, "location", memory)
    if location is None:
        return None
    if not isinstance(location, str | os.PathLike):
        raise CausalArgumentError(f"memory must be None, a folder or a joblib.Memory; got {memory!r}")
    return Path(location)


def remembered(compute: Callable[[], Kept], memory: object, parts: Mapping[str, object]) -> Kept:
    """What `compute` returns, or returned before for the same `parts`, where anything is kept.

    Parameters
    ----------
    compute : callable
    memory : path, joblib.Memory or None
    parts : mapping of str to object
        Everything that the result depends on.
    """
    folder, kept = check_memory(memory), _KEPT.get()
    if folder is None and kept is None:
        return compute()
    import joblib

    key = str(joblib.hash(dict(parts)))
    if kept is not None:
        if key not in kept:
            kept[key] = compute() if folder is None else _from_folder(folder, key, compute)
        found: Kept = kept[key]
        return found
    assert folder is not None  # noqa: S101 - one of the two is there
    return _from_folder(folder, key, compute)


def _from_folder(folder: Path, key: str, compute: Callable[[], Kept]) -> Kept:
    """Read a result, or compute and write it; a file is moved into place whole, so that workers may race."""
    import joblib

    path = folder / f"nuisance-{key}.joblib"
    if path.exists():
        read: Kept = joblib.load(path)
        return read
    result = compute()
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    os.close(handle)
    joblib.dump(result, name)
    Path(name).replace(path)
    return result
