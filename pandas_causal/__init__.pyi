# Every public name, once: types read it here, and __init__.py imports each name from where it says on first use.
# all_estimators() lists the estimators among them.

from pandas_causal import datasets as datasets
from pandas_causal import errors as errors
from pandas_causal import estimators as estimators
from pandas_causal import plotting as plotting
from pandas_causal import schemas as schemas
from pandas_causal.accessor import CausalAccessor as CausalAccessor
from pandas_causal.accessor import causal as causal
from pandas_causal.adjustment.balancing import EntropyBalancing as EntropyBalancing
from pandas_causal.adjustment.balancing import StableBalancing as StableBalancing
from pandas_causal.adjustment.covariate_balancing import CovariateBalancingPropensity as CovariateBalancingPropensity
from pandas_causal.adjustment.doubly_robust import AIPW as AIPW
from pandas_causal.adjustment.doubly_robust import TMLE as TMLE
from pandas_causal.adjustment.inverse_probability import IPW as IPW
from pandas_causal.adjustment.regression import RegressionAdjustment as RegressionAdjustment
from pandas_causal.arms.base import UNCONFOUNDED as UNCONFOUNDED
from pandas_causal.arms.base import ArmComparison as ArmComparison
from pandas_causal.arms.base import RowEstimator as RowEstimator
from pandas_causal.arms.estimands import plan_estimand as plan_estimand
from pandas_causal.difference_in_differences.callaway_santanna import CallawaySantAnna as CallawaySantAnna
from pandas_causal.difference_in_differences.imputation_did import ImputationDiD as ImputationDiD
from pandas_causal.difference_in_differences.pre_trends import pre_trend_power as pre_trend_power
from pandas_causal.difference_in_differences.random_timing import RandomTiming as RandomTiming
from pandas_causal.difference_in_differences.stacked_did import StackedDiD as StackedDiD
from pandas_causal.difference_in_differences.sun_abraham import SunAbraham as SunAbraham
from pandas_causal.difference_in_differences.triple_difference import TripleDifference as TripleDifference
from pandas_causal.difference_in_differences.two_by_two import did_2x2 as did_2x2
from pandas_causal.difference_in_differences.two_way import DifferenceInDifferences as DifferenceInDifferences
from pandas_causal.discontinuity.density import density_test as density_test
from pandas_causal.discontinuity.local_randomization import LocalRandomization as LocalRandomization
from pandas_causal.discontinuity.regression_discontinuity import RegressionDiscontinuity as RegressionDiscontinuity
from pandas_causal.effect.bootstrap import bootstrap as bootstrap
from pandas_causal.effect.check import Check as Check
from pandas_causal.effect.effect import Effect as Effect
from pandas_causal.effect.summary import compare as compare
from pandas_causal.estimator import CausalEstimator as CausalEstimator
from pandas_causal.estimators import all_estimators as all_estimators
from pandas_causal.experiments.difference_in_means import DifferenceInMeans as DifferenceInMeans
from pandas_causal.experiments.planning import minimum_detectable_effect as minimum_detectable_effect
from pandas_causal.experiments.planning import power as power
from pandas_causal.experiments.planning import sample_size as sample_size
from pandas_causal.experiments.two_samples import ab_test as ab_test
from pandas_causal.experiments.two_samples import ab_test_counts as ab_test_counts
from pandas_causal.graphs.graph import CausalGraph as CausalGraph
from pandas_causal.matching.estimator import Matching as Matching
from pandas_causal.mediation.front_door import FrontDoor as FrontDoor
from pandas_causal.models.folds import CausalKFold as CausalKFold
from pandas_causal.structural.interventions import Shift as Shift
from pandas_causal.structural.mechanisms import Mechanism as Mechanism
from pandas_causal.structural.model import StructuralModel as StructuralModel
from pandas_causal.synthetic_control.matrix_completion import MatrixCompletion as MatrixCompletion
from pandas_causal.synthetic_control.synthetic_control import AugmentedSyntheticControl as AugmentedSyntheticControl
from pandas_causal.synthetic_control.synthetic_control import SyntheticControl as SyntheticControl
from pandas_causal.synthetic_control.synthetic_did import SyntheticDiD as SyntheticDiD

__version__: str
