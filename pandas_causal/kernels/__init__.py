"""The numba functions, and only they: plain arrays in and out.

Bodies are loops over elements. An assignment between array slices, or an operator on whole arrays, makes numba compile
its broadcasting with it, error messages included: four seconds of a first call, for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["inlined_kernel", "inner_kernel", "kernel", "serial_kernel"]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for all cores, cached on disk where a folder for it is writable, else anew in every process."""
    return _compiled(function, parallel=True)


def serial_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for one core: what a parallel kernel calls for a part, and all there is for few rows.

    To wake the other threads takes longer than a few thousand rows do.
    """
    return _compiled(function, parallel=False)


def inner_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for one core what only kernels call: without the wrappers that Python would need, in half the time."""
    return _compiled(function, parallel=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inlined_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Put into its callers, statement by statement: for a few sums, which a call with arrays would cost more than."""
    return _compiled(function, parallel=False, inline="always")


def _compiled(function: Callable[..., Any], *, parallel: bool, **further: bool | str) -> Callable[..., Any]:
    from numba import njit

    from pandas_causal.kernels.compiling import said

    # error_model="numpy": a division by zero gives inf as in numpy, and no branch for an exception is compiled
    options: dict[str, Any] = {"nogil": True, "parallel": parallel, "fastmath": True, "error_model": "numpy"}
    options |= further
    try:
        return said(njit(cache=True, **options)(function))
    except RuntimeError:  # numba finds no writable cache folder
        return said(njit(**options)(function))
