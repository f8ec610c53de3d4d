"""pandas-causal: causal inference where the data already is, in a pandas DataFrame."""

from __future__ import annotations

from importlib import import_module

from pandas_causal.accessor import CausalAccessor
from pandas_causal.accessor.registration import register
from pandas_causal.estimators import PLACES

__version__ = "0.1.0"
__all__ = list(PLACES)


def __getattr__(name: str) -> object:
    """Import public names on first use, so that importing the package stays light."""
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(PLACES[name])
    return module if PLACES[name] == f"{__name__}.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*PLACES, "__version__"])


register(CausalAccessor)
