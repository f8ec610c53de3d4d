"""Estimators: one class per method, one file per design."""

from pandas_causal.estimators.discontinuity import RegressionDiscontinuity
from pandas_causal.estimators.doubly_robust import AIPW, TMLE
from pandas_causal.estimators.experiment import DifferenceInMeans
from pandas_causal.estimators.local_randomization import LocalRandomization
from pandas_causal.estimators.regression import RegressionAdjustment
from pandas_causal.estimators.weighting import IPW, CovariateBalancingPropensity, EntropyBalancing, StableBalancing

__all__ = [
    "AIPW",
    "IPW",
    "TMLE",
    "CovariateBalancingPropensity",
    "DifferenceInMeans",
    "EntropyBalancing",
    "LocalRandomization",
    "RegressionAdjustment",
    "RegressionDiscontinuity",
    "StableBalancing",
]
