"""Beside EconML."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.forests.binning import Binning
from pandas_causal.forests.growing import (
    CAUSAL,
    GrowthRules,
    Sampling,
    TreeShape,
    causal_sums,
    grow_forest,
    solve_causal,
)
from pandas_causal.forests.kernels import LEAF

grf = pytest.importorskip("econml.grf", reason="EconML is not installed")


def design(n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    t = rng.integers(0, 2, n)
    y = X[:, 0] + t * (1 + np.maximum(X[:, 1], 0)) + rng.normal(size=n)
    return X, t - 0.5, y - X[:, 0] - 0.5 * (1 + np.maximum(X[:, 1], 0)), t


def test_leaves_of_an_honest_tree_with_the_same_splits():
    """EconML's own tree is walked here: in each of its leaves our sums of the honest half give its estimate."""
    X, d, y, t = design(2000)
    theirs = grf.CausalForest(
        n_estimators=4, max_depth=3, honest=True, inference=False, max_samples=0.5, random_state=1, subforest_size=1
    ).fit(X, d[:, None], y)
    sums = causal_sums(np.ones(2000), d[:, None], y[:, None], np.column_stack([t == 0, t == 1]).astype(float))
    for tree, drawn in zip(theirs.estimators_, theirs.get_subsample_inds(), strict=True):
        estimation = tree.get_train_test_split_inds()[1]
        rows = drawn[estimation]
        leaf = tree.apply(X[rows])
        for node in np.unique(leaf):
            total = sums[rows[leaf == node], :5].sum(axis=0)
            ours = solve_causal((total / total[0])[None], 1, 1)[0][0, 0, 0]
            at = X[rows[leaf == node]][:1]
            assert ours == pytest.approx(float(tree.predict(at)[0, 0]), abs=1e-10)


def test_error_at_equal_rules():
    """The same share of rows, trees, honest halves and covariates tried; leaves hold 5 rows, or 2 of every arm."""
    errors, theirs = [], []
    for seed in range(3):
        X, d, y, t = design(2000, seed)
        new = np.random.default_rng(100 + seed).normal(size=(1000, 4))
        truth = 1 + np.maximum(new[:, 1], 0)
        frame = pd.DataFrame(X, columns=list("abcd"))
        binning = Binning.fit(frame)
        codes = binning.encode(frame, 2000)
        sums = causal_sums(np.ones(2000), d[:, None], y[:, None], np.column_stack([t == 0, t == 1]).astype(float))
        forest = grow_forest(
            codes, binning, sums, TreeShape(CAUSAL, 1, 1, 2), GrowthRules(2, tried=4.0),
            Sampling.of(2000, 0.5, 0.5, pairs=True), 200, 0, n_jobs=1,
        )  # fmt: skip
        assert (forest.flags & LEAF).any()
        found = solve_causal(forest.moments(binning.encode(pd.DataFrame(new, columns=list("abcd")), 1000))[0], 1, 1)
        errors.append(np.sqrt(np.mean(np.square(found[0][:, 0, 0] - truth))))
        peer = grf.CausalForest(
            n_estimators=200, min_samples_leaf=5, max_samples=0.5, random_state=seed, n_jobs=1, inference=False,
            subforest_size=1,
        ).fit(X, d[:, None], y)  # fmt: skip
        theirs.append(np.sqrt(np.mean(np.square(peer.predict(new)[:, 0] - truth))))
    assert np.mean(errors) < 1.05 * np.mean(theirs)  # of one design; over twelve see docs/causal_forests.md
