"""``DataFrame.causal`` is ours, also beside DoWhy, which registers an accessor of that name, before or after us."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any

import pandas as pd

from pandas_causal.errors import CausalWarning

__all__ = ["register"]

_NAME = "causal"
_DOWHY = "dowhy.api.causal_data_frame"
_IMPORTING = ("pandas_causal", "dowhy", "importlib", "_frozen_importlib")


def register(accessor: type) -> None:
    """Register the accessor; where another package was first, say so, and how to reach either."""
    taken_over = _release()
    pd.api.extensions.register_dataframe_accessor(_NAME)(accessor)
    if taken_over is not None:
        _say(taken_over)
    if not any(isinstance(finder, _BesideDoWhy) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BesideDoWhy(accessor))


def _release() -> type | None:
    """Take ``DataFrame.causal`` away, and return whose it was."""
    there = getattr(pd.DataFrame, _NAME, None)
    if there is not None:
        delattr(pd.DataFrame, _NAME)
        getattr(pd.DataFrame, "_accessors", set()).discard(_NAME)
    return there


def _say(other: type) -> None:
    module = str(getattr(other, "__module__", ""))
    who = "DoWhy" if module == _DOWHY else "another package"
    theirs = f"{module}.{other.__name__}(df)" if module == _DOWHY else "its own class"
    text = (
        f"{who} has registered DataFrame.causal too: df.causal is pandas_causal's, as pandas_causal.causal(df) always"
        f" is; the other accessor is {theirs}"
    )
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] in _IMPORTING:
        frame = frame.f_back
    if frame is None:
        warnings.warn(text, CausalWarning, stacklevel=1)
    else:
        warnings.warn_explicit(text, CausalWarning, frame.f_code.co_filename, frame.f_lineno)


class _BesideDoWhy:
    """An import finder of one module, DoWhy's accessor: it runs as ever, and afterwards ours is registered again."""

    def __init__(self, accessor: type) -> None:
        self.accessor = accessor

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find that module as the other finders do."""
        if name != _DOWHY:
            return None
        others = (finder for finder in list(sys.meta_path) if finder is not self)
        spec = next((s for finder in others if (s := finder.find_spec(name, path, target)) is not None), None)
        loader: Any = None if spec is None else spec.loader
        if loader is not None:
            run = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                _release()  # without ours in its place pandas has nothing to warn of
                try:
                    run(module)
                finally:
                    register(self.accessor)

            loader.exec_module = exec_module
        return spec
