"""Nuisances of a search are fitted once a fold: counted, in memory and in a folder."""

import contextlib

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeRegressor

from pandas_causal import CausalKFold, DRLearner, reuse_nuisances
from pandas_causal.errors import CausalArgumentError
from pandas_causal.heterogeneity.cache import check_memory, remembered
from tests.heterogeneity.designs import COVARIATES, confounded

FRAME = confounded(300)
X, Y = FRAME[[*COVARIATES, "t"]], FRAME["y"]


class Counting(LinearRegression):
    """Counts its fits."""

    fits = 0

    def fit(self, X, y, sample_weight=None):
        Counting.fits += 1
        return super().fit(X, y, sample_weight)


def search(how, depths=(1, 2), leaves=(5,), folds=2, **settings):
    Counting.fits = 0
    final = DecisionTreeRegressor(random_state=0)
    learner = DRLearner(outcome_model=Counting(), propensity_model="linear", final_model=final, **settings)
    grid = {"final_model__max_depth": depths, "final_model__min_samples_leaf": leaves}
    found = GridSearchCV(learner, grid, cv=CausalKFold(folds, treatment="t"))
    with how:
        found.fit(X, Y, treatment="t")
    return found.cv_results_["mean_test_score"], Counting.fits


# a cross-fit of the nuisances is 2 arms by 5 folds, one of a score's 5 folds
CROSS_FIT, SCORE = 10, 5


def test_twelve_settings_take_five_cross_fits_and_one():
    fits = search(reuse_nuisances(), [1, 2, 3, 4], [5, 10, 20], folds=5)[1]
    assert fits == 5 * CROSS_FIT + 5 * SCORE + CROSS_FIT


def test_without_it_every_candidate_fits_its_own(tmp_path):
    plain, fits = search(contextlib.nullcontext())
    assert fits == 4 * CROSS_FIT + 4 * SCORE + CROSS_FIT
    for how, settings in ((reuse_nuisances(), {}), (contextlib.nullcontext(), {"memory": tmp_path / "kept"})):
        kept, fits = search(how, **settings)
        assert fits == 2 * CROSS_FIT + 2 * SCORE + CROSS_FIT
        assert np.array_equal(kept, plain)
    assert search(contextlib.nullcontext(), memory=str(tmp_path / "kept"))[1] == 0
    assert not list((tmp_path / "kept").glob("*.part"))
    assert search(contextlib.nullcontext())[1] == 4 * CROSS_FIT + 4 * SCORE + CROSS_FIT  # off again


def test_other_rows_outcomes_or_models_are_fitted_anew():
    fits = []
    with reuse_nuisances(), reuse_nuisances():
        for frame, y, seed in (
            (X, Y, 0), (X, Y, 0), (X, Y, 1), (X, Y + 1, 0), (X.assign(a=X["a"] * 2), Y, 0),
            (X.assign(t=1 - X["t"]), Y, 0),
        ):  # fmt: skip
            Counting.fits = 0
            DRLearner(outcome_model=Counting(), propensity_model="linear", final_model="linear", random_state=seed).fit(
                frame, y, treatment="t"
            )
            fits.append(Counting.fits)
        Counting.fits = 0
        other = Counting(fit_intercept=False)
        DRLearner(outcome_model=other, propensity_model="linear", final_model="linear").fit(X, Y, treatment="t")
        fits.append(Counting.fits)
    assert fits == [10, 0, 10, 10, 10, 10, 10]


def test_what_is_remembered_is_dropped_with_the_block(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return len(calls)

    with reuse_nuisances():
        assert remembered(compute, None, {"x": 1}) == remembered(compute, None, {"x": 1}) == 1
        assert remembered(compute, None, {"x": 2}) == 2
    assert remembered(compute, None, {"x": 1}) == 3
    assert remembered(compute, tmp_path, {"x": 1}) == remembered(compute, tmp_path, {"x": 1}) == 4


def test_memory_is_a_folder():
    import joblib

    assert check_memory(None) is None
    assert str(check_memory(joblib.Memory("place", verbose=0))) == "place"
    assert check_memory(joblib.Memory(None, verbose=0)) is None
    with pytest.raises(CausalArgumentError, match="memory must be None, a folder"):
        check_memory(3)
