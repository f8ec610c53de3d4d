"""Estimators: one class per method, one file per design."""

from pandas_causal.estimators.callaway_santanna import CallawaySantAnna
from pandas_causal.estimators.difference_in_differences import DifferenceInDifferences
from pandas_causal.estimators.discontinuity import RegressionDiscontinuity
from pandas_causal.estimators.doubly_robust import AIPW, TMLE
from pandas_causal.estimators.experiment import DifferenceInMeans
from pandas_causal.estimators.front_door import FrontDoor
from pandas_causal.estimators.imputation_did import ImputationDiD
from pandas_causal.estimators.local_randomization import LocalRandomization
from pandas_causal.estimators.matching import Matching
from pandas_causal.estimators.matrix_completion import MatrixCompletion
from pandas_causal.estimators.regression import RegressionAdjustment
from pandas_causal.estimators.stacked_did import StackedDiD
from pandas_causal.estimators.sun_abraham import SunAbraham
from pandas_causal.estimators.synthetic_control import AugmentedSyntheticControl, SyntheticControl
from pandas_causal.estimators.synthetic_did import SyntheticDiD
from pandas_causal.estimators.triple_difference import TripleDifference
from pandas_causal.estimators.weighting import IPW, CovariateBalancingPropensity, EntropyBalancing, StableBalancing

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
