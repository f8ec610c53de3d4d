"""The multiply robust form: its arithmetic by hand, contributions, and the two ways of being right."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression

from pandas_causal import StructuralModel
from pandas_causal.errors import CausalArgumentError, CausalDataError, OverlapError, OverlapWarning
from tests.structural.chains import CHAIN, LINEAR, MIXED, chain, mixed


def frames(n=300, seed=0):
    rng = np.random.default_rng(seed)
    return chain(n, rng), chain(n, rng, mean=0.4, intercept=0.5, slope=3.4)


@pytest.fixture(scope="module")
def model():
    return StructuralModel(CHAIN, LINEAR).fit(frames()[0])


def test_the_sum_is_the_difference_of_means_and_its_welch_error(model):
    """All mechanisms together are the plain difference, whatever the nuisances."""
    old, new = frames()
    for models in ({"ratio_model": "linear"}, {"regression_model": DummyRegressor(), "ratio_model": DummyClassifier()}):
        effect = model.attribute_change(old, new, "x3", form="robust", **models)
        total = effect.linear(np.ones((1, 3)), ["total"])
        assert total.estimate == pytest.approx(new["x3"].mean() - old["x3"].mean(), rel=1e-10)
        welch = np.sqrt(old["x3"].var(ddof=0) / len(old) + new["x3"].var(ddof=0) / len(new))
        assert total.std_error == pytest.approx(welch, rel=1e-10)


def test_contributions_stand_for_the_rows_of_both_frames(model):
    old, new = frames()
    effect = model.attribute_change(old, new, "x3", form="robust", ratio_model="linear")
    contributions = effect.uncertainty.contributions
    assert contributions.shape == (600, 3)
    np.testing.assert_allclose(contributions[:300].sum(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(contributions[300:].sum(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(effect.vcov, contributions.T @ contributions, rtol=1e-12)
    assert effect.uncertainty.rows.labels.name == "independent rows"
    labels = np.arange(600) // 2
    assert effect.cluster(labels).table["std_error"].notna().all()
    simulated = model.attribute_change(old, new, "x3", n_draws=100)
    assert (np.abs(effect.estimates - simulated.estimates) < 3 * effect.table["std_error"]).all()
    np.testing.assert_allclose(effect.table["std_error"], simulated.table["std_error"], rtol=0.35)


def test_one_arrow_by_hand():
    """x -> y with both mechanisms moved: Shapley values from the four means, two of which are AIPW of one fold less."""
    rng = np.random.default_rng(1)
    old = pd.DataFrame({"x": (rng.random(400) < 0.3).astype(int)})
    new = pd.DataFrame({"x": (rng.random(300) < 0.6).astype(int)})
    old["y"], new["y"] = old["x"] + rng.normal(size=400), 2 * new["x"] + 1 + rng.normal(size=300)
    model = StructuralModel("x -> y", {"y": "linear"}).fit(old)
    effect = model.attribute_change(old, new, "y", form="robust", ratio_model=LogisticRegression(C=1e9))
    # saturated: every combination is a standardised mean of cells
    share, cell = (
        {k: f["x"].mean() for k, f in (("o", old), ("n", new))},
        {k: f.groupby("x")["y"].mean() for k, f in (("o", old), ("n", new))},
    )
    mean = {(a, b): share[a] * cell[b][1] + (1 - share[a]) * cell[b][0] for a in "on" for b in "on"}
    x = 0.5 * (mean["n", "o"] - mean["o", "o"] + mean["n", "n"] - mean["o", "n"])
    assert effect.estimates["x"] == pytest.approx(x, abs=0.005)
    assert effect.estimates["y"] == pytest.approx(mean["n", "n"] - mean["o", "o"] - x, abs=0.005)


def test_variance_and_levels():
    old, new = frames(500, 3)
    model = StructuralModel(CHAIN, LINEAR).fit(old)
    effect = model.attribute_change(old, new, "x3", of="variance", form="robust")
    assert effect.estimates.sum() == pytest.approx(new["x3"].var(ddof=0) - old["x3"].var(ddof=0), rel=1e-9)
    closed = model.attribute_change(old, new, "x3", of="variance", n_draws=10)
    assert (np.abs(effect.estimates - closed.estimates) < 4 * effect.table["std_error"]).all()
    old, new = mixed(400, 0), mixed(400, 1, shift=0.5)
    model = StructuralModel(MIXED, {"b": "ridge", "y": "ridge", "x": "linear"}).fit(old)
    whole = model.attribute_change(old, new, "x", form="robust", ratio_model="ridge")
    parts = model.attribute_change(old, new, "x", form="robust", by="a", ratio_model="ridge")
    sums = parts.estimates.groupby(level="mechanism", sort=False).sum()
    np.testing.assert_allclose(sums[whole.table.index], whole.estimates, atol=0.02)
    assert parts.estimates.sum() == pytest.approx(whole.estimates.sum(), abs=1e-9)
    simulated = model.attribute_change(old, new, "x", by="a", n_draws=60)
    ratio = parts.table["std_error"] / simulated.table["std_error"]
    assert (np.abs(np.log(ratio)) < 0.6).all()  # the old mean, from which levels count, is estimated in both


def test_a_wrong_regression_or_a_wrong_ratio_is_corrected_and_both_are_not():
    """y = x^2: a constant regression, or a constant ratio, leaves the answer where it is; together they do not."""
    rng = np.random.default_rng(2)
    n = 3_000
    old, new = (pd.DataFrame({"x": rng.normal(size=n) + shift}) for shift in (0.0, 0.7))
    old["y"] = old["x"] ** 2 + rng.normal(size=n)
    new["y"] = 2 * new["x"] ** 2 + rng.normal(size=n)
    model = StructuralModel("x -> y", {"y": lambda p: p["x"] ** 2}).fit(old)
    # E[y] under (x, y): old-old 1, new-old 1.49, old-new 2, new-new 2.98
    truth = {"x": 0.5 * (0.49 + 0.98), "y": 0.5 * (1 + 1.49)}
    wrong = {"regression_model": DummyRegressor()}, {"ratio_model": DummyClassifier(), "regression_model": "boosting"}
    for models in wrong:
        effect = model.attribute_change(old, new, "y", form="robust", **models)
        assert (np.abs(effect.estimates - pd.Series(truth)) < 3.5 * effect.table["std_error"]).all()
    both = {"regression_model": DummyRegressor(), "ratio_model": DummyClassifier()}
    effect = model.attribute_change(old, new, "y", form="robust", **both)
    assert (np.abs(effect.estimates - pd.Series(truth)) > 5 * effect.table["std_error"]).all()


def test_frames_that_hardly_overlap_are_warned_of_and_those_that_do_not_refused(model):
    rng = np.random.default_rng(4)
    old = chain(300, rng)
    with pytest.warns(OverlapWarning, match="weak overlap of the frames"):
        model.attribute_change(old, chain(300, rng, mean=2.5), "x3", form="robust")
    far = chain(300, rng, mean=40.0)
    with pytest.raises(OverlapError, match="tell the old frame from the new one without error"):
        model.attribute_change(old, far, "x3", form="robust", ratio_model="linear")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"of": "median"}, CausalArgumentError, "form='robust' attributes mean and variance"),
        ({"of": np.mean}, CausalArgumentError, "form='robust' attributes mean and variance"),
        ({"regression_model": "forest"}, CausalArgumentError, "regression_model must be one of"),
        ({"ratio_model": DummyRegressor()}, CausalArgumentError, r"ratio_model must be .*predict_proba\(\)"),
    ],
)
def test_bad_input_is_named(model, given, error, words):
    old, new = frames(60)
    with pytest.raises(error, match=words):
        model.attribute_change(old, new, "x3", form="robust", **given)


def test_few_rows_and_split_variances_are_refused(model):
    old, new = frames(60)
    with pytest.raises(CausalDataError, match="the new frame has 12 rows; form='robust' needs 20"):
        model.attribute_change(old, new.iloc[:12], "x3", form="robust")
    levels = mixed(100)
    mixture = StructuralModel(MIXED, {"b": "ridge", "y": "ridge", "x": "linear"}).fit(levels)
    with pytest.raises(CausalArgumentError, match="use form='simulated' for a variance"):
        mixture.attribute_change(levels, mixed(100, 1), "x", form="robust", of="variance", by="a")
