"""Estimators: one class per method, one file per design."""

from pandas_causal.adjustment.doubly_robust import AIPW, TMLE
from pandas_causal.adjustment.inverse_probability import (
    IPW,
    CovariateBalancingPropensity,
    EntropyBalancing,
    StableBalancing,
)
from pandas_causal.adjustment.regression import RegressionAdjustment
from pandas_causal.difference_in_differences.callaway_santanna import CallawaySantAnna
from pandas_causal.difference_in_differences.imputation_did import ImputationDiD
from pandas_causal.difference_in_differences.stacked_did import StackedDiD
from pandas_causal.difference_in_differences.sun_abraham import SunAbraham
from pandas_causal.difference_in_differences.triple_difference import TripleDifference
from pandas_causal.difference_in_differences.two_way import DifferenceInDifferences
from pandas_causal.discontinuity.local_randomization import LocalRandomization
from pandas_causal.discontinuity.regression_discontinuity import RegressionDiscontinuity
from pandas_causal.experiments.difference_in_means import DifferenceInMeans
from pandas_causal.matching.estimator import Matching
from pandas_causal.mediation.front_door import FrontDoor
from pandas_causal.synthetic_control.matrix_completion import MatrixCompletion
from pandas_causal.synthetic_control.synthetic_control import AugmentedSyntheticControl, SyntheticControl
from pandas_causal.synthetic_control.synthetic_did import SyntheticDiD

__all__ = [
    "AIPW",
    "IPW",
    "TMLE",
    "AugmentedSyntheticControl",
    "CallawaySantAnna",
    "CovariateBalancingPropensity",
    "DifferenceInDifferences",
    "DifferenceInMeans",
    "EntropyBalancing",
    "FrontDoor",
    "ImputationDiD",
    "LocalRandomization",
    "Matching",
    "MatrixCompletion",
    "RegressionAdjustment",
    "RegressionDiscontinuity",
    "StableBalancing",
    "StackedDiD",
    "SunAbraham",
    "SyntheticControl",
    "SyntheticDiD",
    "TripleDifference",
]
