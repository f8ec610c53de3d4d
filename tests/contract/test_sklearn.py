"""scikit-learn's own checks, on every estimator."""

import pytest
import sklearn
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.contract.twins import TWINS, fast

pytestmark = [
    pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning"),  # the checks fit 10 to 50 rows
    pytest.mark.skipif(
        tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7),
        reason="the checks and the list of expected failures are those of the newest scikit-learn",
    ),
]

COPY = "in scikit-learn's data y is an exact rescaling of the second column, which we refuse as a copy of the outcome"
COPIES = {"check_sample_weights_shape": COPY, "check_sample_weights_not_overwritten": COPY}
FEW = "30 covariates for 15 rows: no weights balance them"
HULL = "5 covariates for 8 rows of an arm: no weights reach the other arm's means"
ONE_ARM = "missing values in one arm only: no weights balance their indicator"
PICKLES = {"check_estimators_pickle": ONE_ARM, "check_sample_weight_equivalence_on_dense_data": FEW}
SEPARATED = {"check_sample_weight_equivalence_on_dense_data": "30 covariates for 15 rows separate the arms, refused"}
DRAWN = {
    "check_sample_weight_equivalence_on_dense_data": "a row of weight 2 is drawn once, a row that stands twice twice"
}
FIRST = {
    "check_regressors_no_decision_function": "y is the first column of X, which we refuse as a copy of the outcome"
}
EFFECTS = ("LinearDML", "SparseDML", "SLearner", "TLearner", "XLearner", "RLearner", "DRLearner")
EFFECTS += ("NonparametricDML", "KernelDML")
FORESTS = ("CausalForest", "UpliftForest")
EXPECTED = {
    **{f"{name}Twin": COPIES | SEPARATED for name in ("AIPW", "TMLE", "IPW", "Matching")},
    "EntropyBalancingTwin": COPIES
    | PICKLES
    | {"check_estimators_dtypes": HULL, "check_n_features_in_after_fitting": HULL},
    "StableBalancingTwin": COPIES | PICKLES | {"check_estimators_dtypes": HULL},
    "CovariateBalancingPropensityTwin": COPIES | PICKLES,
    "DifferenceInMeansTwin": {},  # looks at no covariate
    "DoubleMLTwin": COPIES | SEPARATED,
    **{f"{name}Twin": COPIES | SEPARATED | FIRST for name in EFFECTS},
    "CausalStackTwin": COPIES
    | SEPARATED
    | FIRST
    | {"check_estimators_dtypes": "20 rows, in whose halves covariates separate the arms by chance, refused"},
    **{f"{name}Twin": COPIES | DRAWN | FIRST for name in FORESTS},
    "RegressionAdjustmentTwin": COPIES
    | {
        "check_sample_weight_equivalence_on_dense_data": "30 covariates for 15 rows: least squares does not exist",
    }
    | FIRST,
}


def expected_failures(estimator):
    return EXPECTED.get(type(estimator).__name__, COPIES)


@parametrize_with_checks([fast(twin) for twin in TWINS.values()], expected_failed_checks=expected_failures)
def test_scikit_learn(estimator, check):
    check(estimator)
