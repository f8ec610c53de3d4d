"""The bootstrap of estimators that cannot be refitted; its distribution is tested beside the estimators."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import RegressionAdjustment, bootstrap
from pandas_causal.errors import CausalArgumentError


class WithoutWeights(RegressionAdjustment):
    def fit(self, X, y=None, *, treatment=None):
        return super().fit(X, y, treatment=treatment)


def test_an_estimator_without_weights_is_refused_by_name():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=40), "arm": np.arange(40) % 2})
    with pytest.raises(CausalArgumentError, match=r"WithoutWeights\.fit takes no sample_weight"):
        bootstrap(WithoutWeights(), X, X["x"] + rng.normal(size=40), treatment="arm", n_draws=10, progress=False)
