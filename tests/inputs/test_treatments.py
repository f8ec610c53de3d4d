"""Treatments are arms or numbers; a design that takes either looks at the data."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inputs.arms import resolve_arms
from pandas_causal.inputs.roles import resolve
from pandas_causal.inputs.schemas import check_inputs
from pandas_causal.inputs.treatments import fold_strata, is_numbers, read_numbers

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(RNG.normal(size=(40, 4)), columns=["dose", "hours", "x", "z"])
FRAME["arm"] = np.arange(40) % 2
Y = pd.Series(RNG.normal(size=40), name="y")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 0, 1], False),
        ([0.0, 1.0, 0.0, 1.0], False),
        ([0.5, 2.5, 0.5, 2.5], False),
        ([0, 1, 2, 1], True),
        ([0.1, 0.2, 0.3, 0.1], True),
        ([True, False, True, True], False),
        (list("abca"), False),
        (pd.Categorical([0, 1, 2, 1]), False),
        ([np.nan, 1.0, np.nan, 0.0], False),
    ],
)
def test_a_design_that_takes_either_looks_at_the_data(values, expected):
    column = pd.Series(values, name="t")
    assert is_numbers(column, "either") is expected
    assert is_numbers(column, "numbers")
    assert not is_numbers(column, "arms")


def test_several_columns_are_numbers_with_names():
    both = FRAME[["dose", "hours"]]
    assert is_numbers(both, "either")
    numbers = read_numbers(both)
    assert numbers.names == ("dose", "hours")
    assert np.array_equal(numbers.values, both.to_numpy())
    assert len(numbers) == 2
    assert read_numbers(FRAME["dose"]).values.shape == (40, 1)


def test_folds_are_balanced_by_arms_or_by_fifths():
    assert np.array_equal(fold_strata(resolve_arms(FRAME["arm"])), FRAME["arm"])
    strata = fold_strata(read_numbers(FRAME["dose"]))
    assert np.bincount(strata).tolist() == [8] * 5
    order = FRAME["dose"].to_numpy().argsort()
    assert len(np.unique(strata[order[:8]])) == 1  # a fifth is neighbours
    pairs = fold_strata(read_numbers(FRAME[["dose", "hours"]]))
    assert pairs.max() > 4


def read(**roles):
    return resolve(FRAME, Y, roles)


@pytest.mark.parametrize(
    ("roles", "numbers", "message"),
    [
        ({"treatment": "dose"}, False, r"dose: treatment has 40 levels, .*pd.qcut\(df\['dose'\], 4\)"),
        ({"treatment": pd.Series(["a", "b"] * 20, name="arm2")}, True, "arm2: treatment is not numeric"),
        ({"treatment": pd.Series(np.ones(40), name="one")}, True, r"one: treatment is constant \(1\)"),
        ({"treatment": "dose", "instrument": 2 * FRAME["dose"] + 1}, True, r"instrument equals the treatment \(dose\)"),
        ({"treatment": "dose", "instrument": -3 * Y.rename("w")}, True, "w: instrument equals the outcome"),
        (
            {"treatment": "dose", "instrument": (5 - FRAME["x"]).rename("copy")},
            True,
            r"x: covariate equals the instrument \(copy\), possibly rescaled; leave it out",
        ),
        (
            {"treatment": "dose", "instrument": pd.Series(np.ones(40), name="k")},
            True,
            r"k: instrument is constant \(1\)",
        ),
        ({"treatment": "dose", "instrument": pd.Series(["a"] * 40, name="k")}, True, "k: instrument is constant"),
        (
            {"treatment": ["dose", "hours"], "instrument": (7 * FRAME["hours"]).rename("copy")},
            True,
            r"copy: instrument equals the treatment \(hours\), possibly rescaled",
        ),
    ],
)
def test_messages_name_the_column(roles, numbers, message):
    with pytest.raises(CausalDataError, match=message):
        check_inputs(read(**roles), numbers=numbers)


def test_numbers_pass_where_arms_do_not():
    check_inputs(read(treatment=["dose", "hours"], instrument="z"), numbers=True)
    threshold = FRAME.assign(high=(FRAME["dose"] > 0).astype(int))
    inputs = resolve(threshold, Y, {"treatment": "high"})
    with pytest.raises(CausalDataError, match="separates the arms at one threshold"):
        check_inputs(inputs)
    check_inputs(inputs, numbers=True)  # of numbers it is only a strong predictor


def test_an_outcome_that_is_one_of_several_treatments_is_told_by_name():
    with pytest.raises(CausalDataError, match="y: outcome equals the treatment hours, possibly rescaled"):
        check_inputs(resolve(FRAME, FRAME["hours"].rename("y") * 2, {"treatment": ["dose", "hours"]}), numbers=True)


def test_a_design_of_arms_takes_one_column():
    from pandas_causal import DifferenceInMeans

    with pytest.raises(CausalArgumentError, match="names 2 columns; this question takes one"):
        DifferenceInMeans().fit(FRAME, Y, treatment=["dose", "hours"])
