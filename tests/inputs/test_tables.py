"""Tables that are not pandas' keep their names."""

import sys

import numpy as np
import pandas as pd
import pytest

from pandas_causal import DRLearner, RegressionAdjustment, causal
from pandas_causal.errors import CausalArgumentError, MissingDependencyError
from pandas_causal.inputs.tables import is_table, to_pandas

FRAME = pd.DataFrame({"t": np.arange(60) % 2, "x": np.random.default_rng(0).normal(size=60), "g": ["a", "b", "c"] * 20})
Y = FRAME["x"] + FRAME["t"] + np.random.default_rng(1).normal(size=60)


def tables():
    pa = pytest.importorskip("pyarrow", reason="the extra arrow")
    pytest.importorskip("narwhals", reason="the extra arrow")
    found = {"arrow": pa.Table.from_pandas(FRAME, preserve_index=False)}
    try:
        import polars as pl
    except ImportError:
        return found
    return {**found, "polars": pl.from_pandas(FRAME)}


def test_only_tables_of_others_are_tables():
    assert all(map(is_table, tables().values()))
    assert not any(map(is_table, (FRAME, FRAME["t"], FRAME.to_numpy(), {"t": [1]}, None, [[1]])))
    with pytest.raises(CausalArgumentError, match="expected a table .* got dict"):
        to_pandas({"t": [1]})


def test_estimators_read_names_of_other_tables():
    want = RegressionAdjustment().fit(FRAME, Y, treatment="t")
    for table in tables().values():
        fitted = RegressionAdjustment().fit(table, Y, treatment="t")
        assert fitted.feature_names_in_.tolist() == ["t", "x", "g"]
        assert fitted.effect().estimate == pytest.approx(want.effect().estimate, rel=1e-12)
        assert causal(table).validate("t") is not None


def test_new_rows_may_be_another_table():
    learner = DRLearner(outcome_model="linear", propensity_model="linear", final_model="linear")
    fitted = learner.fit(FRAME, Y, treatment="t")
    for table in tables().values():
        assert np.allclose(fitted.predict(table), fitted.predict(FRAME))


def test_rows_of_a_fold_take_the_labels_of_the_outcome():
    rows = np.arange(0, 60, 2)[::-1] + (np.arange(30) % 2)
    for table in tables().values():
        taken = table.take(rows) if hasattr(table, "take") else table[rows]
        fitted = RegressionAdjustment().fit(taken, Y.iloc[rows], treatment="t")
        want = RegressionAdjustment().fit(FRAME.iloc[rows], Y.iloc[rows], treatment="t")
        assert fitted.effect().estimate == pytest.approx(want.effect().estimate, rel=1e-12)


def test_without_narwhals_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    for table in tables_without_narwhals():
        with pytest.raises(MissingDependencyError, match=r"pandas-causal\[arrow\]"):
            RegressionAdjustment().fit(table, Y, treatment="t")


def tables_without_narwhals():
    pa = pytest.importorskip("pyarrow", reason="the extra arrow")
    return [pa.Table.from_pandas(FRAME, preserve_index=False)]


def test_a_pipeline_that_hands_on_polars_keeps_names():
    pytest.importorskip("polars", reason="polars is no dependency")
    pytest.importorskip("narwhals", reason="the extra arrow")
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    estimates = {}
    for how in ("pandas", "polars"):
        scaled = make_column_transformer(
            (StandardScaler(), ["x"]), remainder="passthrough", verbose_feature_names_out=False
        ).set_output(transform=how)
        pipeline = make_pipeline(scaled, RegressionAdjustment()).fit(FRAME, Y, regressionadjustment__treatment="t")
        assert pipeline[-1].feature_names_in_.tolist() == ["x", "t", "g"]
        estimates[how] = pipeline[-1].effect().estimate
    assert estimates["pandas"] == pytest.approx(estimates["polars"], rel=1e-12)
