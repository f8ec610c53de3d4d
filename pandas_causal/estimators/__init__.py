"""Estimators: one class per method, one file per design."""

from pandas_causal.estimators.callaway_santanna import CallawaySantAnna
from pandas_causal.estimators.discontinuity import RegressionDiscontinuity
from pandas_causal.estimators.doubly_robust import AIPW, TMLE
from pandas_causal.estimators.experiment import DifferenceInMeans
from pandas_causal.estimators.front_door import FrontDoor
from pandas_causal.estimators.local_randomization import LocalRandomization
from pandas_causal.estimators.regression import RegressionAdjustment
from pandas_causal.estimators.weighting import IPW

__all__ = [
    "AIPW",
    "IPW",
    "TMLE",
    "CallawaySantAnna",
    "DifferenceInMeans",
    "FrontDoor",
    "LocalRandomization",
    "RegressionAdjustment",
    "RegressionDiscontinuity",
]
