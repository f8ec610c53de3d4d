"""Feature relevance: linear predictors by hand, trees by all orders, frames as given."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from pandas_causal import StructuralModel, feature_relevance
from pandas_causal.errors import CausalArgumentError, CausalDataError
from tests.structural.chains import MIXED, exact_chain, known_chain, mixed, wide


def test_a_linear_predictor_by_hand():
    """Slope times the distance from the background's mean, with no error where the whole background is read."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
    model = LinearRegression().fit(X, X @ [1.0, -2.0, 0.5])
    rows = X.iloc[:4].set_axis(list("wxyz"))
    table = feature_relevance(model, rows, X)
    expected = (rows - X.mean()) * [1.0, -2.0, 0.5]
    np.testing.assert_allclose(wide(table["attribution"]), expected, atol=1e-10)
    assert (table["std_error"] == 0).all()
    total = table.groupby(level="row")["attribution"].sum()
    np.testing.assert_allclose(total, model.predict(rows) - model.predict(X).mean(), atol=1e-10)
    drawn = feature_relevance(model, rows, X, n_samples=100)
    z = (drawn["attribution"] - table["attribution"]) / drawn["std_error"]
    assert np.abs(z).max() < 5
    assert drawn["std_error"].min() > 0


def test_columns_reach_the_predictor_as_they_are():
    frame = pd.DataFrame({"site": pd.Categorical(["n", "s", "n", "s"]), "x": np.array([1, 2, 3, 4], dtype=np.int16)})

    def predict(given):
        assert list(given.dtypes) == list(frame.dtypes)
        return (given["site"] == "s").to_numpy() * 10.0 + given["x"].to_numpy()

    table = feature_relevance(predict, frame.iloc[[1]], frame)
    assert table["attribution"].to_dict() == pytest.approx({(1, "site"): 5.0, (1, "x"): -0.5})


def test_parents_of_a_node():
    model = known_chain(exact_chain())
    table = model.feature_relevance(pd.DataFrame({"x2": [2.0]}), "x3")
    assert table["attribution"].iloc[0] == pytest.approx(6.0, abs=1e-9)
    df = mixed(400)
    mixture = StructuralModel(MIXED, {"b": "ridge", "y": "ridge", "x": "linear"}).fit(df)
    table = mixture.feature_relevance(df.iloc[:3], "y")
    assert (table["prediction"] - table["baseline"]).to_numpy() == pytest.approx(table["attribution"].to_numpy())


def test_bad_input_is_named():
    X = exact_chain(50)
    with pytest.raises(CausalArgumentError, match=r"predictor is a function of a frame, or has predict\(\)"):
        feature_relevance(3, X, X)
    with pytest.raises(CausalArgumentError, match="background must be a DataFrame"):
        feature_relevance(np.sum, X, X.iloc[:0])
    with pytest.raises(CausalDataError, match=r"different columns: 'x2' is missing"):
        feature_relevance(np.sum, X[["x1", "x3"]], X)
    with pytest.raises(CausalDataError, match=r"the predictor gave 1 values for"):
        feature_relevance(lambda _: 1.0, X.iloc[:1], X)
    with pytest.raises(CausalDataError, match="x1: has dtype"):
        feature_relevance(lambda f: f["x3"], X.assign(x1="a").iloc[:1], X)
    model = known_chain(X)
    with pytest.raises(CausalArgumentError, match="'x1' has no parents"):
        model.feature_relevance(X, "x1")
    with pytest.raises(CausalDataError, match="the rows lack x2, parents of x3"):
        model.feature_relevance(X[["x1"]], "x3")
