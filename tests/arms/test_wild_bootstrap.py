"""The restricted wild cluster bootstrap beside one that refits every draw, and its size."""

import contextlib
import io

import numpy as np
import pandas as pd
import pytest

from pandas_causal import DifferenceInMeans, RegressionAdjustment
from pandas_causal.arms.wild_bootstrap import _webb
from pandas_causal.errors import CausalArgumentError, StandardErrorWarning

pytestmark = pytest.mark.filterwarnings("ignore:the clusters of g are few or unequal")
RNG = np.random.default_rng(3)
N, G = 120, 11
FRAME = pd.DataFrame(
    {"g": np.minimum(RNG.integers(16, size=N), G - 1), "t": RNG.integers(2, size=N), "x": RNG.normal(size=N)}
)
FRAME["y"] = FRAME["x"] + 0.3 * FRAME["t"] + RNG.normal(size=G)[FRAME["g"]] + RNG.normal(size=N)
FRAME["w"] = RNG.uniform(0.5, 2, N)


def refitted(frame, value, columns, n_draws=400, w=None):
    """P-value of a coefficient's value: least squares of every draw of restricted residuals, CR1 without factor."""
    root = np.ones(len(frame)) if w is None else np.sqrt(w)
    centred = frame[columns] - np.average(frame[columns], axis=0, weights=w) if columns else frame[[]]
    d = frame["t"].to_numpy(float)[:, None]
    A = np.hstack([np.ones_like(d), d, centred, d * centred]) * root[:, None]
    y, codes = frame["y"].to_numpy() * root, pd.factorize(frame["g"])[0]
    bread = np.linalg.inv(A.T @ A)

    def fit(target):
        beta = bread @ A.T @ target
        scores = A * (target - A @ beta)[:, None]
        sums = np.array([scores[codes == g].sum(axis=0) for g in range(G)]) @ bread[:, 1]
        return beta, float(np.sqrt(np.square(sums).sum()))

    beta, error = fit(y)
    restricted = beta - bread[:, 1] / bread[1, 1] * (beta[1] - value)
    fitted, left = A @ restricted, y - A @ restricted
    draws = _webb(np.random.default_rng(0), (n_draws, G))
    count = 0
    for v in draws:
        b, se = fit(fitted + left * v[codes])
        count += abs((b[1] - value) / se) >= abs((beta[1] - value) / error) * (1 - 1e-10)
    return (1 + count) / (n_draws + 1)


@pytest.mark.parametrize("columns", [[], ["x"]])
@pytest.mark.parametrize("weights", [None, "w"])
def test_p_values_are_those_of_refits(columns, weights, monkeypatch):
    from pandas_causal.arms import arm_means

    few = lambda *args, **more: wild(*args, n_draws=400, **more)  # noqa: E731
    wild = arm_means.wild_tests
    monkeypatch.setattr(arm_means, "wild_tests", few)
    estimator = DifferenceInMeans(cluster_inference="wild", adjustment="lin" if columns else None)
    more = {} if weights is None else {"sample_weight": weights}
    X = FRAME[[*columns, "t", "g", *more.values()]]
    effect = estimator.fit(X, FRAME["y"], treatment="t", cluster="g", **more).effect()
    w = None if weights is None else FRAME["w"].to_numpy()
    assert effect.p_value == pytest.approx(refitted(FRAME, 0.0, columns, w=w), abs=1e-12)
    for value in (-0.4, 0.5, 1.0):
        expected = refitted(FRAME, value, columns, w=w)
        assert effect.inversion.tests[0].p_value(value) == pytest.approx(expected, abs=1e-12)
    low, high = effect.conf_low, effect.conf_high
    inside, outside = (effect.inversion.tests[0].p_value(v) for v in (low + 1e-6, low - 1e-6))
    assert inside > 0.05 >= outside
    assert low < effect.estimate < high
    assert "wild cluster bootstrap" in effect.std_error_method


def test_regression_and_ab_test_ask_the_same_question():
    question = {"treatment": "t", "outcome": "y", "covariates": ["x"], "cluster": "g"}
    one = FRAME.causal.ab_test(**question, cluster_inference="wild")
    two = FRAME.causal.ate(**question, estimator=RegressionAdjustment(cluster_inference="wild"))
    pd.testing.assert_frame_equal(one.table, two.table, rtol=1e-9)
    wide = one.confidence_set(0.99)
    assert wide["conf_low"].iloc[0] < one.conf_low
    assert wide["conf_high"].iloc[0] > one.conf_high
    plain = FRAME.causal.ab_test(**question)
    assert plain.std_error == one.std_error
    assert plain.conf_low != one.conf_low


def test_sides():
    question = {"treatment": "t", "outcome": "y", "cluster": "g", "cluster_inference": "wild"}
    up, down = (FRAME.causal.ab_test(**question, alternative=side) for side in ("greater", "less"))
    assert up.p_value + down.p_value == pytest.approx(1.0, abs=2e-4)
    assert (up.conf_high, down.conf_low) == (np.inf, -np.inf)
    assert up.conf_low < up.estimate < down.conf_high


@pytest.mark.parametrize("more", [{}, {"cluster": ["g", "h"]}])
def test_it_needs_one_way_of_clusters(more):
    frame = FRAME.assign(h=np.arange(N) % 15)
    with pytest.raises(CausalArgumentError, match="needs cluster=, one column"):
        frame.causal.ab_test(treatment="t", outcome="y", cluster_inference="wild", **more)


@pytest.mark.parametrize("more", [{"relative": True}, {"anytime_n": 100}, {"denominator": "w"}])
def test_it_is_for_differences_of_means(more):
    with pytest.raises(CausalArgumentError, match="is for differences of means"):
        FRAME.causal.ab_test(treatment="t", outcome="y", cluster="g", cluster_inference="wild", **more)


def test_few_or_unequal_clusters_are_said():
    question = {"treatment": "t", "outcome": "y", "covariates": ["x"]}
    equal = FRAME.assign(h=np.arange(N) // 6, few=np.arange(N) // 20)
    assert not equal.causal.ate(**question, estimator="regression", cluster="h").warnings
    assert not equal.causal.ate(**question, estimator="regression", cluster="few").warnings  # CR2, Satterthwaite
    with pytest.warns(
        StandardErrorWarning, match=r"the clusters of few are few \(6\), so that clustered errors may be"
    ):
        equal.causal.ate(**question, estimator="ipw", cluster="few")
    big = equal.assign(h=np.where(np.arange(N) < 80, 0, equal["h"]))
    with pytest.warns(
        StandardErrorWarning, match=r"the clusters of h are few or unequal \(8, worth 1\.\d of equal size\)"
    ):
        big.causal.ate(**question, estimator="regression", cluster="h")
    moved = equal.causal.ate(**question, estimator="regression").cluster(big["h"])
    assert any("worth 1" in text for text in moved.warnings)


def test_a_plain_coefficient_has_one_too():
    """One least squares for all arms: without covariates the same question as the means by arm."""
    question = {"treatment": "t", "outcome": "y", "cluster": "g"}
    plain = RegressionAdjustment(interactions=False, cluster_inference="wild")
    one = FRAME.causal.ate(**question, covariates=[], estimator=plain)
    two = FRAME.causal.ab_test(**question, cluster_inference="wild")
    assert one.estimate == pytest.approx(two.estimate, rel=1e-9)
    assert one.p_value == pytest.approx(two.p_value, abs=0.02)
    adjusted = FRAME.causal.ate(**question, covariates=["x"], estimator=plain)
    assert adjusted.conf_low < adjusted.estimate < adjusted.conf_high
    with pytest.raises(CausalArgumentError, match="is for least squares"):
        FRAME.assign(y=FRAME["y"] > 0).causal.ate(
            **question,
            covariates=["x"],
            estimator=RegressionAdjustment(outcome_model="logistic", cluster_inference="wild"),
        )


@pytest.mark.published
@pytest.mark.parametrize("columns", [[], ["x"]])
def test_beside_wildboottest(columns):
    """The Python port of Roodman's boottest, on the plain coefficient: the same p-value but for the draws."""
    peer = pytest.importorskip("wildboottest.wildboottest", reason="wildboottest is a peer for comparison")
    import statsmodels.formula.api as smf

    model = smf.ols("y ~ " + " + ".join(["t", *columns]), data=FRAME)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = peer.wildboottest(
            model,
            param="t",
            cluster=FRAME["g"],
            B=9_999,
            weights_type="webb",
            impose_null=True,
            bootstrap_type="11",
            seed=1,
        )
    estimator = RegressionAdjustment(interactions=False, cluster_inference="wild")
    ours = FRAME.causal.ate(treatment="t", outcome="y", covariates=columns, cluster="g", estimator=estimator)
    assert ours.p_value == pytest.approx(float(theirs["p-value"].iloc[0]), abs=0.02)
