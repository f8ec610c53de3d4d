"""Quantile effects: pieces by hand, the truth, DoubleML beside them, bad input."""

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression

from pandas_causal import QuantileEffects
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.heterogeneity.quantiles import corrected_quantile, weighted_density

QUANTILES = [0.1, 0.25, 0.5, 0.75, 0.9]


def spread_out(n=1_500, seed=0):
    """Treatment raises the outcome by 1 and widens it."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    frame["t"] = (rng.random(n) < 1 / (1 + np.exp(-frame["a"]))).astype(int)
    frame["y"] = frame["a"] + (1 + 0.5 * frame["t"]) * rng.normal(size=n) + frame["t"]
    z = np.array([NormalDist().inv_cdf(q) for q in QUANTILES])
    return frame, 1 + z * (np.sqrt(1 + 2.25) - np.sqrt(2))


FRAME, TRUTH = spread_out()
CALL = {"treatment": "t", "outcome": "y", "covariates": ["a", "b"], "propensity_model": "ridge"}


def test_pieces_by_hand():
    y, w = np.array([3.0, 1.0, 2.0, 9.0]), np.array([1.0, 2.0, 1.0, 0.0])
    assert [corrected_quantile(y, w, t) for t in (0.0, 2.0, 2.5, 3.5, 99.0)] == [1, 1, 2, 3, 3]
    normal = np.random.default_rng(0).normal(size=20_000)
    assert weighted_density(normal, np.ones(20_000), 0.0) == pytest.approx(0.3989, abs=0.02)
    doubled = weighted_density(normal[:100], np.ones(100), 0.5)
    assert weighted_density(normal[:100], np.full(100, 7.0), 0.5) == pytest.approx(doubled)


def test_without_covariates_it_compares_quantiles_of_the_arms():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"t": np.arange(400) % 2, "y": rng.normal(size=400)})
    constant = {"outcome_model": DummyRegressor(), "propensity_model": DummyClassifier()}
    effect = QuantileEffects(quantiles=[0.25, 0.5], **constant).fit(frame[["t"]], frame["y"], treatment="t").effect()
    arms = [np.sort(frame.loc[frame["t"] == a, "y"]) for a in (0, 1)]
    by_hand = [arms[1][k] - arms[0][k] for k in (49, 99)]
    gaps = [np.diff(arm).max() for arm in arms]
    assert effect.estimates.to_numpy() == pytest.approx(by_hand, abs=max(gaps))
    density = [weighted_density(arm, np.ones(200), arm[99]) for arm in arms]
    error = np.sqrt(sum(0.25 / 200 / d**2 for d in density))
    assert effect.table["std_error"].iloc[1] == pytest.approx(error, rel=0.05)


def test_the_truth_is_found():
    effect = FRAME.causal.quantiles(**CALL, quantiles=QUANTILES)
    assert effect.table.index.tolist() == QUANTILES
    assert (np.abs(effect.estimates - TRUTH) < 4 * effect.table["std_error"]).all()
    assert len(effect.parameters) == 10
    band = effect.interval(simultaneous=True)
    assert (band["conf_high"] > effect.table["conf_high"]).all()
    treated = FRAME.causal.quantiles(**CALL, quantiles=[0.5], estimand="ATT")
    assert abs(treated.estimate - 1) < 4 * treated.std_error
    assert len(FRAME.causal.quantiles(**CALL)) == 9


def test_several_arms_weights_and_clusters():
    frame = FRAME.assign(t=np.where(np.arange(1_500) % 3 == 0, 2, FRAME["t"]), w=1.0 + np.arange(1_500) % 2,
                         site=np.arange(1_500) // 10)  # fmt: skip
    effect = frame.causal.quantiles(**CALL, quantiles=[0.3, 0.6], sample_weight="w", cluster="site")
    assert effect.table.index.tolist() == [("1 - 0", 0.3), ("1 - 0", 0.6), ("2 - 0", 0.3), ("2 - 0", 0.6)]
    assert (effect.table["std_error"] > 0).all()
    assert "clustered by site" in effect.std_error_method


@pytest.mark.published
@pytest.mark.filterwarnings("ignore")
def test_beside_doubleml():
    dml = pytest.importorskip("doubleml")
    frame, _ = spread_out(3_000)
    data = dml.DoubleMLData(frame[["a", "b", "y", "t"]], "y", "t", x_cols=["a", "b"])
    np.random.seed(1)  # noqa: NPY002 - the peer's folds
    peer = dml.DoubleMLQTE(data, LogisticRegression(), LogisticRegression(), quantiles=QUANTILES, n_folds=5)
    peer.fit()
    effect = frame.causal.quantiles(**CALL, quantiles=QUANTILES, outcome_model=LogisticRegression())
    # other folds, and a first estimate on rows of its own there
    assert (np.abs(effect.estimates.to_numpy() - peer.coef) < 0.6 * peer.se).all()
    assert effect.table["std_error"].to_numpy() == pytest.approx(peer.se, rel=0.1)


def test_bad_input():
    for wrong in ([0, 0.5], [1.0], ["median"], [0.5, 0.5], []):
        with pytest.raises(CausalArgumentError, match="quantiles must be different numbers between 0 and 1"):
            FRAME.causal.quantiles(**CALL, quantiles=wrong)
    with pytest.raises(CausalDataError, match="y: has 3 values, so that its quantiles jump"):
        FRAME.assign(y=np.arange(1_500) % 3).causal.quantiles(**CALL)
    with pytest.raises(CausalArgumentError, match="says none"):
        FRAME.causal.quantiles(treatment="t", outcome="y")


def test_one_value_has_no_finite_density():
    assert weighted_density(np.zeros(5), np.ones(5), 0.0) == np.inf


def test_the_contrast_is_told_by_name_and_no_outcome_moves_no_quantile():
    frame = FRAME.assign(t=np.where(FRAME["t"] == 1, "placebo", "drug"))
    effect = frame.causal.quantiles(**CALL, quantiles=[0.5])
    assert effect.estimand.startswith("effect of t (placebo - drug) on quantiles of y")
    assert effect.refute("zero_outcome").table["passed"].all()
