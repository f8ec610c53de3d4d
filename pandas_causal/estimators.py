"""The list of estimators, read from the public names of ``__init__.pyi``.

``from pandas_causal.estimators import AIPW`` works for every one. Nothing is imported before it is asked for, so that
a question loads its own chapter only.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

# ``__all__`` names the estimators and is made when it is read: to tell them from other names takes their imports.


def _places() -> dict[str, str]:
    stub = ast.parse(Path(__file__).with_name("__init__.pyi").read_text(encoding="utf-8"))
    return {
        alias.name: f"{node.module}.{alias.name}" if node.module == "pandas_causal" else str(node.module)
        for node in stub.body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pandas_causal")
        for alias in node.names
        if alias.name == alias.asname  # ``import X as X`` is how a stub makes a name public
    }


# Public name -> module that it is imported from.
PLACES: Mapping[str, str] = _places()


def __getattr__(name: str) -> object:
    if name == "__all__":
        return [*(c.__name__ for c in all_estimators()), "all_estimators"]
    if not PLACES.get(name, __name__).startswith(__name__):  # neither of this module itself nor unknown
        value = getattr(import_module(PLACES[name]), name)
        if _is_estimator(value):
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [c.__name__ for c in all_estimators()] + ["PLACES", "all_estimators"]


def _is_estimator(value: object) -> bool:
    return isinstance(value, type) and hasattr(value, "fit") and hasattr(value, "read_inputs")


def all_estimators() -> list[type]:
    """Return every estimator class: what keeps the contract of ``CausalEstimator`` and has ``fit``."""
    public = (getattr(import_module(place), name, None) for name, place in PLACES.items())
    return [c for c in public if isinstance(c, type) and _is_estimator(c)]
