"""pandas-causal: causal inference where the data already is, in a pandas DataFrame."""

from __future__ import annotations

import warnings
from importlib import import_module

import pandas as pd

from pandas_causal.accessor import CausalAccessor
from pandas_causal.errors import CausalWarning
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


def _register() -> None:
    """Register ``df.causal``; where another package was first, say so and how to reach ours."""
    if hasattr(pd.DataFrame, "causal"):
        warnings.warn(
            "another package has registered DataFrame.causal; it is now pandas_causal's. pandas_causal.causal(df) is"
            " the same accessor and cannot be taken over",
            CausalWarning,
            stacklevel=3,
        )
        delattr(pd.DataFrame, "causal")
        getattr(pd.DataFrame, "_accessors", set()).discard("causal")
    pd.api.extensions.register_dataframe_accessor("causal")(CausalAccessor)


_register()
