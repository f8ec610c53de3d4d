"""scikit-learn's own checks, on every estimator."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.contract.twins import TWINS, fast

pytestmark = pytest.mark.filterwarnings(
    "ignore::pandas_causal.errors.OverlapWarning"  # the checks fit 10 to 50 rows
)

COPY = "in scikit-learn's data y is an exact rescaling of the second column, which we refuse as a copy of the outcome"
EVERYONE = {"check_sample_weights_shape": COPY, "check_sample_weights_not_overwritten": COPY}
OWN = {
    "DifferenceInMeansTwin": {
        "check_sample_weight_equivalence_on_dense_data": "one of 30 covariates splits its 15 rows by chance: refused"
    },
    "RegressionAdjustmentTwin": {
        "check_sample_weight_equivalence_on_dense_data": "30 covariates for 15 rows: least squares does not exist"
    }
}


def expected_failures(estimator):
    return EVERYONE | OWN.get(type(estimator).__name__, {})


@parametrize_with_checks([fast(twin) for twin in TWINS.values()], expected_failed_checks=expected_failures)
def test_scikit_learn(estimator, check):
    check(estimator)
