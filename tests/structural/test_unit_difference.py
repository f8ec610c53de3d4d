"""Two rows: closed form, swaps by hand under two models, levels."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import StructuralModel
from pandas_causal.errors import AssumptionWarning, CausalArgumentError, CausalDataError, CausalWarning, GraphError
from tests.structural.chains import CHAIN, LINEAR, MIXED, exact_chain, known_chain, mixed

A, B = {"x1": 0.0, "x2": 1.0, "x3": 2.0}, {"x1": 1.0, "x2": 2.5, "x3": 8.0}


def test_linear_in_closed_form():
    """Noises (0, 1, -1) and (1, 0.5, 0.5), total effects 6, 3, 1: 6, -1.5, 1.5."""
    df = exact_chain()
    table = known_chain(df).attribute_difference(A, B, target="x3")
    np.testing.assert_allclose(table["attribution"], [6, -1.5, 1.5], atol=1e-10)
    assert (table["std_error"] == 0).all()
    assert list(table.index) == [("x1", "cause"), ("x2", "cause"), ("x3", "cause")]
    fitted = StructuralModel(CHAIN, LINEAR).fit(df).attribute_difference(pd.Series(A), pd.DataFrame([B]), target="x3")
    np.testing.assert_allclose(fitted["attribution"], [6, -1.5, 1.5], atol=1e-9)


def test_curved_by_all_swaps():
    """y = x^2 + u: swapping x first or last is the same, and the rest is noise."""
    df = exact_chain(100)[["x1"]].rename(columns={"x1": "x"})
    df["y"] = df["x"] ** 2 + exact_chain(100, 1)["x1"]
    model = StructuralModel("x -> y", {"y": lambda p: p["x"] ** 2}).fit(df)
    table = model.attribute_difference({"x": 1.0, "y": 1.5}, {"x": 3.0, "y": 8.0}, target="y")
    np.testing.assert_allclose(table["attribution"], [8.0, -1.5], atol=1e-10)


def test_mechanisms_of_a_second_model_are_players():
    """y = 2 x + u against y = 5 x + u, rows x 1 -> 3: the product 5 * 3 - 2 * 1 split in halves, 7 and 6."""
    df = exact_chain(100)[["x1"]].rename(columns={"x1": "x"})
    df["y"] = 2 * df["x"] + exact_chain(100, 1)["x1"]
    old = StructuralModel("x -> y", {"y": lambda p: 2 * p["x"]}).fit(df)
    new = StructuralModel("x -> y", {"y": lambda p: 5 * p["x"]}).fit(df.assign(y=df["y"] + 3 * df["x"]))
    table = old.attribute_difference({"x": 1.0, "y": 2.0}, {"x": 3.0, "y": 15.5}, target="y", other=new)
    expected = {("x", "cause"): 7.0, ("y", "cause"): 0.5, ("y", "mechanism"): 6.0}
    assert table["attribution"].to_dict() == pytest.approx(expected, abs=1e-10)


def test_levels_are_averaged_over_the_noise_and_sum_to_the_difference():
    df = mixed(500)
    model = StructuralModel(MIXED, {"b": "ridge", "y": "ridge", "x": "linear"}).fit(df)
    with pytest.warns(AssumptionWarning, match="the rows do not determine the noise of the discrete b"):
        table = model.attribute_difference(df.iloc[0], df.iloc[3], target="x")
    assert table["attribution"].sum() == pytest.approx(df["x"].iloc[3] - df["x"].iloc[0], abs=1e-9)
    with pytest.warns(CausalWarning, match="identical"), pytest.warns(AssumptionWarning):
        same = model.attribute_difference(df.iloc[0], df.iloc[0], target="x")
    np.testing.assert_allclose(same["attribution"], 0, atol=1e-12)


def test_bad_input_is_named():
    df = exact_chain(100)
    model = known_chain(df)
    with pytest.raises(GraphError, match="'q' is no node"):
        model.attribute_difference(A, B, target="q")
    with pytest.raises(CausalArgumentError, match="row_b is a row"):
        model.attribute_difference(A, 3, target="x3")
    with pytest.raises(CausalDataError, match="row_a holds 2 rows; give one"):
        model.attribute_difference(df.iloc[:2], B, target="x3")
    with pytest.raises(GraphError, match=r"\['x2'\] are no columns"):
        model.attribute_difference({"x1": 0.0, "x3": 1.0}, B, target="x3")
    with pytest.raises(CausalArgumentError, match="other is a fitted StructuralModel"):
        model.attribute_difference(A, B, target="x3", other="new")
    another = StructuralModel("x1 -> x2; x1 -> x3", LINEAR).fit(df)
    with pytest.raises(CausalArgumentError, match="both models need the same graph"):
        model.attribute_difference(A, B, target="x3", other=another)
    with pytest.raises(CausalDataError, match="no mean"):
        StructuralModel(MIXED, {"b": "ridge", "y": "ridge"}).fit(mixed(200)).attribute_difference(
            mixed(200).iloc[0], mixed(200).iloc[1], target="a"
        )
