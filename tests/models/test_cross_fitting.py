"""Models fitted on folds: how many threads they get."""

import os

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from threadpoolctl import threadpool_info, threadpool_limits

from pandas_causal.models import cross_fitting
from pandas_causal.models.cross_fitting import cross_fit

SEEN = []


def threads():
    return max(pool["num_threads"] for pool in threadpool_info())


class Spy(RegressorMixin, BaseEstimator):
    """Notes the threads it is given."""

    def fit(self, X, y):
        SEEN.append(("fit", threads()))
        self.mean_ = y.mean()
        return self

    def predict(self, X):
        SEEN.append(("predict", threads()))
        return np.full(len(X), self.mean_)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has one thread")
def test_few_rows_get_one_thread_and_many_get_all(monkeypatch):
    X, y, folds = np.ones((60, 3)), np.arange(60.0), np.arange(60) % 3
    with threadpool_limits(limits=2):
        SEEN.clear()
        cross_fit(Spy(), X, y, folds)
        assert SEEN == [("fit", 1)] * 3 + [("predict", 1)] * 3
        assert threads() == 2  # as it was
        monkeypatch.setattr(cross_fitting, "_WORTH_THREADS", 60)
        SEEN.clear()
        _, (predict, *_) = cross_fit(Spy(), X, y, folds)
        assert SEEN == [("fit", 2)] * 3 + [("predict", 2)] * 3
        predict(X[:5])
        assert SEEN[-1] == ("predict", 1)
