"""The kinds of plain arrays that formulas and kernels take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bools", "Codes", "Floats", "Ints", "Positions", "Values"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.integer[Any]]  # of arms, clusters, cells: small whole numbers of any width
Positions = NDArray[np.intp]  # of rows
Bools = NDArray[np.bool_]
Values = NDArray[Any]  # labels, or numbers of any kind
