"""The list of estimators, read from the public names of ``__init__.pyi``.

``from pandas_causal.estimators import AIPW`` works for every one. Nothing is imported before it is asked for, so that
a question loads its own chapter only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

__all__ = ["PLACES", "all_estimators"]

# Public name -> module it is imported from, as the stub has it: one import a line.
PLACES: Mapping[str, str] = {
    name: f"{module}.{name}" if module == "pandas_causal" else module
    for module, name in re.findall(
        r"^from ([\w.]+) import (\w+) as \2$",
        Path(__file__).with_name("__init__.pyi").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
}


def __getattr__(name: str) -> object:
    if PLACES.get(name, __name__).startswith(__name__):  # of this module itself, or of none
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(PLACES[name]), name)


def all_estimators() -> list[type]:
    """Return every estimator class: what keeps the contract of ``CausalEstimator`` and has ``fit``."""
    public = (getattr(import_module(place), name, None) for name, place in PLACES.items())
    return [c for c in public if isinstance(c, type) and hasattr(c, "fit") and hasattr(c, "read_inputs")]
