"""Schemas: public, lazy, and no slower or larger than looking at the columns once."""

import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from pandas_causal.errors import CausalDataError
from pandas_causal.inputs.column_rules import determines, is_rescaled
from pandas_causal.inputs.schemas import build_schema, validate
from tests.contract.data import COVARIATES, make

ROLES = {"outcome": "recovery", "treatment": "medication", "covariates": COVARIATES}


def test_the_schema_is_a_pandera_schema_for_pipelines_of_the_users_own():
    import pandera.pandas as pa

    schema = build_schema(**ROLES, cluster="site", sample_weight="weight")
    assert isinstance(schema, pa.DataFrameSchema)
    assert set(schema.columns) == {"recovery", "medication", *COVARIATES, "site", "weight"}
    frame = make()
    pd.testing.assert_frame_equal(schema.validate(frame, lazy=True), frame)
    for column, value in (("recovery", np.nan), ("medication", np.nan), ("age", np.inf), ("weight", -1.0)):
        bad = frame.astype({"medication": float})
        bad.loc[bad.index[0], column] = value
        with pytest.raises(pa.errors.SchemaErrors, match=column):
            schema.validate(bad, lazy=True)


def test_validate_lists_everything():
    frame = make().drop(columns="severity")
    frame.loc[frame.index[:3], "age"] = -np.inf
    frame["recovery"] = 1.0
    with pytest.raises(CausalDataError) as error:
        validate(frame, build_schema(**ROLES, cluster=["site", "cite"]))
    found = [(p.column, p.count) for p in error.value.problems]
    assert sorted(found, key=str) == sorted(
        [("age", 3), ("cite", None), ("recovery", None), ("severity", None)], key=str
    )
    assert error.value.__cause__ is None


def test_validate_leaves_the_frame_alone():
    frame = make()
    copy = frame.copy(deep=True)
    assert validate(frame, build_schema(**ROLES)) is None
    pd.testing.assert_frame_equal(frame, copy)


def test_a_column_has_one_role():
    with pytest.raises(CausalDataError, match="age: is both treatment and covariate; a column has one role"):
        build_schema(treatment="age", covariates=COVARIATES)
    assert len(build_schema(treatment="medication", covariates=["age", "age"]).columns) == 2


def test_no_rows():
    with pytest.raises(CausalDataError, match="has 0 rows"):
        validate(make().iloc[:0], build_schema(**ROLES))


def test_a_million_bad_rows_take_seconds_and_little_memory():
    """A check hands pandera one bool per column; its own listing of rows took 18 s and three times the memory."""
    n = 1_000_000
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 5)), columns=list("abcde"))
    frame["arm"] = rng.integers(0, 2, n).astype(float)
    frame.loc[:, "a"] = np.inf
    frame.loc[::2, "b"] = np.inf
    frame.loc[::3, "arm"] = np.nan
    frame.loc[1::2, "e"] = np.nan
    schema = build_schema(outcome="e", treatment="arm", covariates=list("abcd"))
    with pytest.raises(CausalDataError):
        validate(frame.iloc[:100], schema)  # imports
    size = int(frame.memory_usage().sum())
    start = time.process_time()
    with pytest.raises(CausalDataError) as error:
        validate(frame, schema)
    assert time.process_time() - start < 5
    counts = {p.column: p.count for p in error.value.problems}
    assert counts == {"a": n, "b": n // 2, "arm": (n + 2) // 3, "e": n // 2}
    tracemalloc.start()
    with pytest.raises(CausalDataError):
        validate(frame, schema)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * size


# -- rules across columns -----------------------------------------------------------------------------------------

T = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1] * 3)


@pytest.mark.parametrize(
    ("x", "how"),
    [
        (np.arange(30) * 1e-3 + T, "separates the arms at one threshold"),
        (-np.arange(30) * 1e-3 - T * 5, "separates the arms at one threshold"),
        (np.where(T == 1, 5.0, 4.0), "separates the arms at one threshold"),
        (np.where(T == 1, "x", "y"), "each of its 2 values has one arm"),
        (T + 2 * (np.arange(30) // 10 % 2), "each of its 4 values has one arm"),
        (np.arange(30) % 5, None),
        (np.where(np.arange(30) == 3, 9.0, T + 0.0), None),  # one row breaks it
        ([f"p{i}" for i in range(30)], None),  # a name for every row groups nothing
        (np.where(T == 1, np.nan, np.arange(30)), None),
        ([None] * 30, None),
    ],
)
def test_determines(x, how):
    found = determines(pd.Series(x), T)
    assert (how is None) == (found is None)
    assert how is None or how in found


def test_determines_finds_it_among_many_rows():
    n = 50_000
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, n)
    groups = codes * 1_000 + rng.integers(0, 1_000, n)
    assert "each of its 2,000 values has one arm" in determines(pd.Series(groups % 1_000 * 2 + codes), codes)
    broken = pd.Series(groups % 1_000 * 2 + codes)
    broken.iloc[-1] = broken.iloc[-1] ^ 1
    assert determines(broken, codes) is None


@pytest.mark.parametrize(
    ("f", "same"),
    [
        (lambda v: v, True),
        (lambda v: 3 - 1e-6 * v, True),
        (lambda v: 1e9 * v + 5, True),
        (lambda v: v + 1e9, True),
        (lambda v: v**3, False),
        (lambda v: v + 1e-3 * np.sin(np.arange(len(v))), False),
        (lambda v: v * 0, False),
        (lambda v: np.where(np.arange(len(v)) == 1_500, 0, v), False),  # beyond the rows looked at first
        (lambda v: np.where(np.arange(len(v)) % 7 == 0, np.nan, v), True),
    ],
)
def test_is_rescaled(f, same):
    v = np.random.default_rng(0).normal(size=2_000)
    assert is_rescaled(f(v), v) == same


@pytest.mark.parametrize("sort", [True, False])
def test_thresholds_are_found_beyond_the_rows_that_are_looked_at_first(sort):
    """Sorted by arm, the first rows hold one arm only; unsorted, one row far down lies across the threshold."""
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1], 1_500) if sort else rng.integers(0, 2, 3_000)
    values = pd.Series(codes + 0.5 * rng.random(3_000))
    assert "separates the arms at one threshold" in determines(values, codes)
    values[2_900] = 5.0 if codes[2_900] == 0 else -5.0
    assert determines(values, codes) is None


def test_thresholds_are_looked_for_by_position_whatever_the_labels():
    codes = np.arange(3_000) % 2
    values = pd.Series(np.where(codes == 1, 5.0, 4.0) + np.linspace(0, 0.5, 3_000), index=np.arange(3_000)[::-1] + 0.5)
    assert "separates the arms at one threshold" in determines(values, codes)
