"""What callers may pass: names of columns, roles, covariates, models."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pandas.api.extensions import ExtensionArray

__all__ = ["ColumnLike", "Covariates", "Learner", "Level", "Model", "Outcome", "RoleLike"]

Level = Hashable  # of a treatment: what its column holds
ColumnLike = Sequence[Any] | NDArray[Any] | pd.Series | pd.Index | ExtensionArray  # one value per row
RoleLike = Hashable | ColumnLike | pd.DataFrame | None  # a column's name, or the values; None: not given
Outcome = ArrayLike | pd.Series | None
Covariates = pd.DataFrame | ArrayLike | None


class Learner(Protocol):
    """A scikit-learn estimator."""

    def fit(self, X: Any, y: Any) -> object:
        """Fit."""
        ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters."""
        ...


Model = str | Learner  # a short name ("linear", "ridge", ...) or a scikit-learn estimator
