"""scikit-learn's own checks on FrontDoor, with a treatment and a mediator made row by row from X."""

import numpy as np
import pytest
import sklearn
from sklearn.utils.estimator_checks import parametrize_with_checks

from pandas_causal import FrontDoor
from tests.contract.test_sklearn import COPIES, SEPARATED
from tests.contract.twins import arm_of_rows, fast

pytestmark = [
    pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning"),  # the checks fit 10 to 50 rows
    pytest.mark.skipif(
        tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7),
        reason="the checks and the list of expected failures are those of the newest scikit-learn",
    ),
]


def roles(X):
    """An arm and a mediator for every row, the same wherever the row stands."""
    try:
        arm = arm_of_rows(X)
        other = arm_of_rows(np.column_stack([np.asarray(X), np.ones(len(arm))]))
    except (TypeError, ValueError, IndexError):  # the estimator must say what is wrong with this X, not we
        arm, other = np.zeros(1, dtype=int), np.zeros(1, dtype=int)
    return {"treatment": arm, "mediators": other}


class FrontDoorTwin(FrontDoor):
    """FrontDoor as the checks want it: ``fit(X, y)``."""

    def fit(self, X, y=None, sample_weight=None):
        return super().fit(X, y, **roles(X), sample_weight=sample_weight)

    def score(self, X, y=None, sample_weight=None):
        return super().score(X, y, **roles(X), sample_weight=sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # With this tag scikit-learn rounds X and takes its first column as y, a copy that we refuse.
        tags.input_tags.categorical = False
        return tags


@parametrize_with_checks([fast(FrontDoorTwin)], expected_failed_checks=lambda _: COPIES | SEPARATED)
def test_scikit_learn(estimator, check):
    check(estimator)
