"""A role is a column name or an array; pandas objects must agree on their index."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inputs.arms import resolve_arms
from pandas_causal.inputs.roles import as_frame, resolve, spelled_column

FRAME = pd.DataFrame(
    {"age": [1.0, 2, 3, 4], "arm": [0, 1, 0, 1], "clinic": list("aabb"), "w": [1.0, 1, 2, 2], "week": [1, 2, 1, 2]},
    index=[9, 7, 5, 3],
)
Y = pd.Series([1.0, 2, 3, 5], index=FRAME.index, name="y")


# -- X ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(int(pd.__version__.split(".")[0]) < 3, reason="pandas 2 copies where pandas 3 copies on write")
def test_a_frame_is_taken_as_it_is():
    frame, named = as_frame(FRAME)
    assert named
    assert np.shares_memory(frame["age"].to_numpy(), FRAME["age"].to_numpy())


def test_arrays_get_names():
    frame, named = as_frame([[1, 2], [3, 4]])
    assert not named
    assert list(frame.columns) == ["x0", "x1"]
    mixed, _ = as_frame(np.array([[1, "a"], [2.5, "b"]], dtype=object))
    assert pd.api.types.is_float_dtype(mixed["x0"])
    assert mixed["x1"].tolist() == ["a", "b"]


def test_objects_that_hold_numbers_are_numbers():
    frame = pd.DataFrame({"a": [1, 2], "b": [1.5, None], "c": ["x", "y"], "d": [True, False]}, dtype=object)
    inferred, _ = as_frame(frame)
    assert [inferred[c].dtype.kind for c in "abd"] == ["i", "f", "b"]
    assert frame.dtypes.eq(object).all()
    y = resolve(FRAME, Y.astype(object), {}).outcome
    assert y.dtype == float


def test_no_x():
    inputs = resolve(None, Y, {"treatment": FRAME["arm"]})
    assert inputs.covariates.shape == (4, 0)
    assert inputs.index.equals(FRAME.index)
    with pytest.raises(CausalDataError, match="without X an outcome is needed"):
        resolve(None, None, {}, outcome=False)
    with pytest.raises(CausalDataError, match="requires y to be passed, but the target y is None"):
        resolve(FRAME, None, {"treatment": "arm"})


# -- names and arrays ---------------------------------------------------------------------------------------------


def test_a_name_is_taken_out_of_the_covariates():
    inputs = resolve(FRAME, Y, {"treatment": "arm", "cluster": ["clinic", "week"], "sample_weight": None})
    assert list(inputs.covariates.columns) == ["age", "w"]
    assert inputs.taken == {"treatment": ("arm",), "cluster": ("clinic", "week")}
    assert inputs.roles["treatment"].name == "arm"
    assert list(inputs.roles["cluster"].columns) == ["clinic", "week"]
    assert set(inputs.roles) == {"treatment", "cluster"}
    assert list(inputs.columns) == list(FRAME.columns)
    assert list(inputs.frame.columns) == ["age", "w", "arm", "clinic", "week"]


@pytest.mark.parametrize(
    "arm",
    [
        FRAME["arm"], FRAME["arm"].to_numpy(), [0, 1, 0, 1], (0, 1, 0, 1), pd.array([0, 1, 0, 1], dtype="Int64"),
        FRAME[["arm"]], pd.Index([0, 1, 0, 1]), pd.Series([0, 1, 0, 1], index=FRAME.index), range(0, 8, 2),
    ],
)  # fmt: skip
def test_arrays(arm):
    inputs = resolve(FRAME[["age"]], Y, {"treatment": arm})
    values = inputs.roles["treatment"]
    assert len(values) == 4
    assert values.index is inputs.covariates.index
    assert values.name in ("arm", "treatment")
    assert not inputs.taken


def test_column_vectors_warn_as_in_scikit_learn():
    from sklearn.exceptions import DataConversionWarning

    with pytest.warns(DataConversionWarning):
        inputs = resolve(FRAME[["age"]], Y, {"treatment": np.array([[0], [1], [0], [1]])})
    assert inputs.roles["treatment"].tolist() == [0, 1, 0, 1]


def test_strings_are_an_array_when_they_are_one_per_row():
    inputs = resolve(FRAME[["age"]], Y, {"treatment": ["no", "yes", "no", "yes"], "cluster": list("ccdd")})
    assert inputs.roles["treatment"].tolist() == ["no", "yes", "no", "yes"]
    assert inputs.roles["cluster"].tolist() == list("ccdd")


def test_whole_numbers_may_be_names():
    frame = FRAME.set_axis([0, 1, 2, 3, 4], axis=1)
    assert resolve(frame, Y, {"treatment": 1}).taken == {"treatment": (1,)}
    with pytest.raises(CausalArgumentError, match="treatment=7 is neither a column of X nor an array"):
        resolve(frame, Y, {"treatment": 7})


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"treatment": "amr"}, r"amr: is given as treatment but is no column of X \(did you mean 'arm'\?\)"),
        ({"treatment": "arm", "cluster": "arm"}, "arm: is both treatment and cluster; a column has one role"),
        ({"treatment": [0, 1]}, r"treatment: has 2 values for 4 rows \(inconsistent numbers of samples\); align it"),
        ({"sample_weight": np.zeros((4, 2))}, "sample_weight: has 2 columns; pass one value per row"),
        ({"treatment": np.zeros((4, 2, 2))}, "treatment: has 3 dimensions; pass one value per row"),
        ({"cluster": ["clinic", "weak"]}, "weak: is given as cluster but is no column of X"),
    ],
)
def test_wrong_roles(roles, message):
    with pytest.raises(CausalDataError, match=message):
        resolve(FRAME, Y, roles)


def test_all_wrong_names_at_once():
    with pytest.raises(CausalDataError) as error:
        resolve(FRAME, Y, {"treatment": "amr", "cluster": "clinics", "sample_weight": "weights"})
    assert [p.column for p in error.value.problems] == ["amr", "clinics", "weights"]


def test_indexes():
    other = FRAME["arm"].iloc[[1, 0, 2, 3]]
    with pytest.raises(CausalDataError, match="treatment: its index has the same labels in another order than X's"):
        resolve(FRAME[["age"]], Y, {"treatment": other})
    with pytest.raises(CausalDataError) as error:
        resolve(FRAME[["age"]], Y.reset_index(drop=True), {"treatment": other, "cluster": FRAME["clinic"]})
    assert [p.column for p in error.value.problems] == ["y", "treatment"]
    equal = FRAME["arm"].set_axis(pd.Index([9.0, 7, 5, 3]))
    assert resolve(FRAME[["age"]], Y, {"treatment": equal}).roles["treatment"].index.equals(FRAME.index)
    array_x = resolve(FRAME[["age"]].to_numpy(), Y, {"treatment": FRAME["arm"]})
    assert array_x.index.equals(FRAME.index)


def test_take_keeps_every_part():
    inputs = resolve(FRAME, Y, {"treatment": "arm", "cluster": ["clinic", "week"]}).take(np.array([1, 0, 0, 1], bool))
    assert inputs.covariates["age"].tolist() == [1, 4]
    assert inputs.outcome.tolist() == [1, 5]
    assert inputs.roles["treatment"].tolist() == [0, 1]
    assert len(inputs.roles["cluster"]) == 2


@pytest.mark.parametrize(
    ("letters", "rows", "column"),
    [
        (list("medication"), 10, "medication"),
        (list("mdc"), 3, "medication"),  # a fold takes some of the letters
        (np.array(list("noitacidem")), 10, "medication"),
        (list("medication"), 9, None),
        (list("zz"), 2, None),
        (list("mm"), 2, None),  # one m only
        (["me", "di"], 2, None),
        ([1, 2], 2, None),
        ([], 0, None),
        ("medication", 10, None),
    ],
)
def test_spelled_columns(letters, rows, column):
    frame = pd.DataFrame({"medication": [0] * rows, "x": [0] * rows, 3: [0] * rows})
    assert spelled_column(letters, frame) == column


def test_ambiguous_letters_are_refused():
    frame = pd.DataFrame({"listen": [0] * 4, "silent": [0] * 4})
    with pytest.raises(
        CausalArgumentError, match=r"these fit the columns \['listen', 'silent'\]: pass the role as an array"
    ):
        spelled_column(list("line"), frame)


# -- arms ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "levels", "codes", "how"),
    [
        ([0, 1, 0, 1], (0, 1), [0, 1, 0, 1], "the first level in sorted order"),
        ([2, 1, 2, 1], (1, 2), [1, 0, 1, 0], "the first level in sorted order"),
        ([1.0, 0.0, 1.0, 1.0], (0, 1), [1, 0, 1, 1], "the first level in sorted order"),
        ([True, False, True, True], (False, True), [1, 0, 1, 1], "the first level in sorted order"),
        (["b", "a", "c", "a"], ("a", "b", "c"), [1, 0, 2, 0], "the first level in sorted order"),
        (pd.array([1, 0, 1, 1], dtype="Int64"), (0, 1), [1, 0, 1, 1], "the first level in sorted order"),
        (pd.array([True, False] * 2, dtype="boolean"), (False, True), [1, 0, 1, 0], "the first level in sorted order"),
        (pd.Categorical(["b", "a", "b", "b"], ["b", "a", "z"]), ("b", "a"), [0, 1, 0, 0], "the first category"),
        (pd.Categorical(["b", "a", "b", "b"], ["z", "a", "b"]), ("a", "b"), [1, 0, 1, 1], "the first category"),
        (pd.Categorical([1, 0, 1, 1], [1, 0]), (1, 0), [0, 1, 0, 0], "the first category"),
        (pd.Series([1, "none", 1, "none"], dtype=object), (1, "none"), [0, 1, 0, 1], "the first level in sorted order"),
    ],
)
def test_levels_and_control(values, levels, codes, how):
    arms = resolve_arms(pd.Series(values, name="arm"))
    assert arms.levels == levels
    assert [type(v) for v in arms.levels] == [type(v) for v in levels]
    assert arms.codes.tolist() == codes
    assert arms.codes.dtype == np.int8
    assert arms.chosen_by == how
    assert len(arms) == len(levels)
    assert arms.counts.sum() == 4


@pytest.mark.parametrize("control", ["b", "a", "c"])
def test_control_goes_first_and_the_others_keep_their_order(control):
    arms = resolve_arms(pd.Series(["b", "a", "c", "a"], name="arm"), control)
    assert arms.levels[0] == control
    assert list(arms.levels[1:]) == sorted(set("abc") - {control})
    assert [arms.levels[c] for c in arms.codes] == ["b", "a", "c", "a"]
    assert arms.contrasts == [f"{level} - {control}" for level in arms.levels[1:]]
    assert arms.chosen_by == "control="


def test_control_of_another_number_type_and_an_unknown_one():
    values = pd.Series([0.0, 1.0, 1.0], name="arm")
    for control in (1, 1.0, np.int64(1), True):
        assert resolve_arms(values, control).levels == (1, 0)
    with pytest.raises(
        CausalArgumentError, match=r"control='placbo' is no level of 'arm' \(did you mean 'placebo'\?\)"
    ):
        resolve_arms(pd.Series(["placebo", "drug"], name="arm"), "placbo")


def test_several_columns_of_strata_are_their_combinations():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"t": np.arange(80) % 2, "a": np.arange(80) // 40, "b": np.arange(80) // 20 % 2})
    frame["y"] = frame["t"] + 3 * frame["a"] - frame["b"] + rng.normal(size=80)
    one = frame.assign(both=2 * frame["a"] + frame["b"]).causal.ab_test(treatment="t", outcome="y", strata="both")
    two = frame.causal.ab_test(treatment="t", outcome="y", strata=["a", "b"])
    assert two.estimate == pytest.approx(one.estimate, rel=1e-12)
    assert two.std_error == pytest.approx(one.std_error, rel=1e-12)
