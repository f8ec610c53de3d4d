"""The numba functions, and only they: plain arrays in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["kernel"]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile, cached on disk where a folder for it is writable, else anew in every process."""
    options: dict[str, Any] = {"nogil": True, "parallel": True, "fastmath": True}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # numba finds no writable cache folder
        return njit(**options)(function)
