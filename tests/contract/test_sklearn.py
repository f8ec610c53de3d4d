"""scikit-learn's own checks, on every estimator."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.contract.twins import TWINS, fast

pytestmark = pytest.mark.filterwarnings(
    "ignore::pandas_causal.errors.OverlapWarning"  # the checks fit 10 to 50 rows
)

EXPECTED = {}


def expected_failures(estimator):
    return EXPECTED


@parametrize_with_checks([fast(twin) for twin in TWINS.values()], expected_failed_checks=expected_failures)
def test_scikit_learn(estimator, check):
    check(estimator)
