"""Attributions beside DoWhy's gcm on mechanisms fitted to the same rows: within three standard errors."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import StructuralModel
from tests.structural.chains import chain, wide

pytest.importorskip("dowhy.gcm", reason="the peer is not installed")

GRAPH = "x1 -> x2 -> x3; x1 -> x3"


def world(n, seed, **moved):
    df = chain(n, np.random.default_rng(seed), **moved)
    return df.assign(x3=df["x3"] - df["x1"])


def fitted_peer(df):
    import networkx as nx
    from dowhy import gcm

    theirs = gcm.InvertibleStructuralCausalModel(nx.DiGraph([("x1", "x2"), ("x2", "x3"), ("x1", "x3")]))
    theirs.set_causal_mechanism("x1", gcm.EmpiricalDistribution())
    for node in ("x2", "x3"):
        theirs.set_causal_mechanism(node, gcm.AdditiveNoiseModel(gcm.ml.create_linear_regressor()))
    gcm.fit(theirs, df)
    return theirs


@pytest.fixture(scope="module")
def both():
    from dowhy import gcm

    gcm.config.disable_progress_bars()
    gcm.util.general.set_random_seed(0)
    df = world(4_000, 0)
    return StructuralModel(GRAPH, {"x2": "linear", "x3": "linear"}).fit(df), fitted_peer(df), df


def repeated(run, times=6):
    """Mean and standard error of what the peer gives, which tells no error of its own."""
    found = pd.DataFrame([run() for _ in range(times)])
    return found.mean(), found.std(ddof=1) / np.sqrt(times)


@pytest.mark.filterwarnings("ignore")
def test_anomalies(both):
    from dowhy import gcm

    model, theirs, _ = both
    rows = pd.DataFrame({"x1": [1.8, 0.0, 0.5], "x2": [4.0, 2.4, 0.8], "x3": [10.5, 7.0, 4.4]})
    ours = model.attribute_anomaly(rows, "x3", score="quantile", n_samples=20_000)
    found = [pd.DataFrame(gcm.attribute_anomalies(theirs, "x3", rows)) for _ in range(6)]
    mean = np.mean(found, axis=0)
    error = np.std(found, axis=0, ddof=1) / np.sqrt(6)
    columns = list(found[0].columns)
    difference = wide(ours["attribution"])[columns].to_numpy() - mean
    bound = (
        3 * np.hypot(wide(ours["std_error"])[columns].to_numpy(), error) + 0.06
    )  # their scorer is learned from draws
    assert (np.abs(difference) < bound).all(), (difference, bound)


@pytest.mark.filterwarnings("ignore")
def test_change_of_the_mean(both):
    from dowhy import gcm

    model, theirs, df = both
    new = world(4_000, 1, mean=1.0, intercept=2.0, slope=4.0)
    ours = model.attribute_change(df, new, "x3", n_draws=20)

    changed = fitted_peer(new)
    difference = lambda a, b: float(np.mean(b) - np.mean(a))  # noqa: E731

    def run():
        return gcm.distribution_change_of_graphs(theirs, changed, "x3", 4_000, difference)

    mean, error = repeated(run)
    assert (np.abs(ours.estimates - mean[ours.table.index]) < 3 * error[ours.table.index] + 0.05).all()


@pytest.mark.filterwarnings("ignore")
def test_arrow_strength(both):
    from dowhy import gcm

    model, theirs, _ = both
    ours = model.arrow_strength("x3", n_draws=20).estimates
    mean, error = repeated(lambda: {a: v for (a, _), v in gcm.arrow_strength(theirs, "x3", n_jobs=1).items()})
    for cause in ("x1", "x2"):
        assert ours[cause, "x3"] == pytest.approx(mean[cause], abs=3 * error[cause] + 0.02 * mean[cause])


@pytest.mark.filterwarnings("ignore")
def test_intrinsic_influence(both):
    from dowhy import gcm

    model, theirs, _ = both
    ours = model.intrinsic_influence("x3", n_draws=20).estimates

    def run():
        return gcm.intrinsic_causal_influence(theirs, "x3", "exact", num_samples_randomization=500)

    mean, error = repeated(run)
    assert (np.abs(ours - mean[ours.index]) < 3 * error[ours.index] + 0.03 * ours.sum()).all()


@pytest.mark.filterwarnings("ignore")
def test_unit_change(both):
    """Theirs lays a node's change on parents and mechanism, ours on noises: of one arrow they are the same."""
    from dowhy.gcm.unit_change import SklearnLinearRegressionModel, unit_change_linear_input_only
    from sklearn.linear_model import LinearRegression

    model, _, df = both
    a, b = df.iloc[[0]], df.iloc[[7]]
    mechanism = SklearnLinearRegressionModel(LinearRegression())
    mechanism.fit(df[["x1"]].to_numpy(), df["x2"].to_numpy())
    found = unit_change_linear_input_only(mechanism, a[["x1"]], b[["x1"]], ["x1"])
    ours = model.attribute_difference(a, b, target="x2")["attribution"]
    assert ours["x1", "cause"] == pytest.approx(float(np.asarray(found["x1"]).reshape(-1)[0]), abs=1e-8)
