"""pandas-causal: causal inference where the data already is, in a pandas DataFrame."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pandas as pd

from pandas_causal.accessor import CausalAccessor, causal
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.summary import compare
from pandas_causal.errors import CausalWarning

if TYPE_CHECKING:
    from pandas_causal import datasets
    from pandas_causal.effect.bootstrap import bootstrap
    from pandas_causal.estimators import (
        AIPW,
        IPW,
        TMLE,
        AugmentedSyntheticControl,
        CallawaySantAnna,
        CovariateBalancingPropensity,
        DifferenceInDifferences,
        DifferenceInMeans,
        EntropyBalancing,
        FrontDoor,
        ImputationDiD,
        LocalRandomization,
        Matching,
        MatrixCompletion,
        RegressionAdjustment,
        RegressionDiscontinuity,
        StableBalancing,
        StackedDiD,
        SunAbraham,
        SyntheticControl,
        SyntheticDiD,
        TripleDifference,
    )
    from pandas_causal.experiments.planning import power, sample_size
    from pandas_causal.graphs import CausalGraph
    from pandas_causal.models.folds import CausalKFold
    from pandas_causal.structural.interventions import Shift
    from pandas_causal.structural.mechanisms import Mechanism
    from pandas_causal.structural.model import StructuralModel

__version__ = "0.1.0"
__all__ = [
    "AIPW",
    "IPW",
    "TMLE",
    "AugmentedSyntheticControl",
    "CallawaySantAnna",
    "CausalAccessor",
    "CausalGraph",
    "CausalKFold",
    "Check",
    "CovariateBalancingPropensity",
    "DifferenceInDifferences",
    "DifferenceInMeans",
    "Effect",
    "EntropyBalancing",
    "FrontDoor",
    "ImputationDiD",
    "LocalRandomization",
    "Matching",
    "MatrixCompletion",
    "Mechanism",
    "RegressionAdjustment",
    "RegressionDiscontinuity",
    "Shift",
    "StableBalancing",
    "StackedDiD",
    "StructuralModel",
    "SunAbraham",
    "SyntheticControl",
    "SyntheticDiD",
    "TripleDifference",
    "all_estimators",
    "bootstrap",
    "causal",
    "compare",
    "datasets",
    "power",
    "sample_size",
]

_LAZY = {
    "AIPW": "estimators",
    "IPW": "estimators",
    "TMLE": "estimators",
    "AugmentedSyntheticControl": "estimators",
    "CallawaySantAnna": "estimators",
    "DifferenceInDifferences": "estimators",
    "DifferenceInMeans": "estimators",
    "ImputationDiD": "estimators",
    "FrontDoor": "estimators",
    "CovariateBalancingPropensity": "estimators",
    "EntropyBalancing": "estimators",
    "LocalRandomization": "estimators",
    "MatrixCompletion": "estimators",
    "Matching": "estimators",
    "RegressionAdjustment": "estimators",
    "RegressionDiscontinuity": "estimators",
    "StackedDiD": "estimators",
    "SunAbraham": "estimators",
    "TripleDifference": "estimators",
    "SyntheticControl": "estimators",
    "SyntheticDiD": "estimators",
    "CausalGraph": "graphs",
    "Mechanism": "structural.mechanisms",
    "Shift": "structural.interventions",
    "StructuralModel": "structural.model",
    "StableBalancing": "estimators",
    "CausalKFold": "models.folds",
    "bootstrap": "effect.bootstrap",
    "power": "experiments.planning",
    "sample_size": "experiments.planning",
}
_MODULES = ("datasets", "errors", "estimators", "plotting", "schemas")


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that importing the package stays light."""
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_MODULES})


def all_estimators() -> list[type]:
    """Return every estimator class."""
    module = import_module(f"{__name__}.estimators")
    return [getattr(module, name) for name in module.__all__]


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
