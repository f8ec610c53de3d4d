"""The numba functions, and only they: plain arrays in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["kernel", "serial_kernel"]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for all cores, cached on disk where a folder for it is writable, else anew in every process."""
    return _compiled(function, parallel=True)


def serial_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for one core: what a parallel kernel calls for a part, and all there is for few rows.

    To wake the other threads takes longer than a few thousand rows do.
    """
    return _compiled(function, parallel=False)


def _compiled(function: Callable[..., Any], *, parallel: bool) -> Callable[..., Any]:
    from numba import njit

    options: dict[str, Any] = {"nogil": True, "parallel": parallel, "fastmath": True}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # numba finds no writable cache folder
        return njit(**options)(function)
