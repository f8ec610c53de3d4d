"""Several targets in one pass: the same numbers as one after another."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from pandas_causal.models.linear import StandardisedMatrix, predict_by_fold
from pandas_causal.models.many_targets import fit_targets, least_squares_targets
from pandas_causal.models.training_rows import TrainingRows

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(90, 3)), RNG.normal(size=(90, 2))
FOLDS, W = np.arange(90) % 3, RNG.uniform(0.5, 2, 90)


@pytest.mark.parametrize("w", [None, W])
def test_every_fold_is_left_out(w):
    design = StandardisedMatrix.of(X)
    found = predict_by_fold(design, least_squares_targets(design, T, FOLDS, 3, w), FOLDS)
    for fold in range(3):
        rest, own = fold != FOLDS, fold == FOLDS
        fit = LinearRegression().fit(X[rest], T[rest], None if w is None else w[rest])
        assert found[own] == pytest.approx(fit.predict(X[own]), rel=1e-8)


@pytest.mark.parametrize("models", [["linear", "linear"], ["linear", "ridge"]])
def test_targets_with_their_models(models):
    rows = TrainingRows(X, np.zeros(90, dtype=np.int8), 1, None, W)
    labels = pd.RangeIndex(90)
    settings = {"names": ["u", "v"], "setting_names": ["outcome_model"] * 2, "random_state": 0, "n_jobs": None}
    found = fit_targets(rows, T, FOLDS, labels, models=models, **settings)
    assert found.predictions.shape == (90, 2)
    assert found.report().table["model"].tolist() == models
    single = fit_targets(rows, T[:, :1], FOLDS, labels, models=["linear"], **{**settings, "names": ["u"]})
    assert found.predictions[:, 0] == pytest.approx(single.predictions[:, 0], rel=1e-9)
    new = found.fits[0].on(X[:5])
    whole = LinearRegression().fit(X, T[:, 0], W).predict(X[:5])
    if models == ["linear", "linear"]:
        assert new[:, 0] == pytest.approx(whole, rel=1e-8)
