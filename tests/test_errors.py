"""Errors: one base, problems listed, pickled whole."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

import pandas_causal  # noqa: F401 - registers df.causal
from pandas_causal import errors
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    CausalError,
    CausalWarning,
    MissingDependencyError,
    OverlapError,
    Problem,
    suggest,
)

ONE = Problem("age", "is infinite", 1, "replace it")
MANY = Problem("dose", "is missing", 12_345, "drop these rows")
NONE = Problem("arm", "is constant", None, "check the filter")


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (ONE, "age: is infinite in 1 row; replace it"),
        (MANY, "dose: is missing in 12,345 rows; drop these rows"),
        (NONE, "arm: is constant; check the filter"),
    ],
)
def test_a_problem_says_column_count_and_remedy(problem, text):
    assert str(problem) == text
    assert str(CausalDataError([problem])) == text


def test_all_problems_in_one_error():
    error = CausalDataError([ONE, MANY, NONE])
    assert error.problems == (ONE, MANY, NONE)
    assert str(error) == f"3 problems with the data:\n  - {ONE}\n  - {MANY}\n  - {NONE}"
    assert CausalDataError("no rows").problems == ()
    assert str(CausalDataError("no rows")) == "no rows"


@pytest.mark.parametrize(
    "error",
    [
        CausalDataError([ONE, MANY]),
        CausalDataError("text"),
        OverlapError([NONE]),
        OverlapError("perfect separation"),
        MissingDependencyError("matplotlib", "plot"),
        CausalArgumentError("wrong"),
    ],
    ids=repr,
)
def test_pickle(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_hierarchy():
    classes = [getattr(errors, name) for name in errors.__all__]
    raised = [c for c in classes if isinstance(c, type) and issubclass(c, Exception) and not issubclass(c, Warning)]
    assert all(issubclass(c, CausalError) for c in raised)
    assert issubclass(CausalError, ValueError)
    assert issubclass(OverlapError, CausalDataError)
    assert issubclass(MissingDependencyError, ImportError)
    warned = [c for c in classes if isinstance(c, type) and issubclass(c, Warning)]
    assert len(warned) >= 4
    assert all(issubclass(c, CausalWarning) for c in warned)
    assert issubclass(CausalWarning, UserWarning)


def test_missing_dependency_holds_the_command():
    assert str(MissingDependencyError("matplotlib", "plot")) == (
        "matplotlib is needed for this: pip install 'pandas-causal[plot]'"
    )


@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        ("medicaton", ["age", "medication"], " (did you mean 'medication'?)"),
        ("age1", ["age2", "age3"], " (did you mean 'age3' or 'age2'?)"),
        ("zzz", ["age"], ""),
        (3, [33, "x"], " (did you mean '33'?)"),
        ("0", [0, 1], " (did you mean 0 of type int? '0' is of type str)"),
        (1, ["1", "2"], " (did you mean '1' of type str? 1 is of type int)"),
        ("a", [], ""),
    ],
)
def test_suggest(name, known, text):
    assert suggest(name, known) == text


def test_warnings_point_at_the_users_line():
    """A reader who sees a warning is shown the call that led to it, not a line of ours."""
    frame = pd.DataFrame({"t": [0, 1] * 30, "y": np.arange(60.0)})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame.causal.ab_test(treatment="t", outcome="y", allocation={0: 0.9, 1: 0.1})
    assert [w.filename for w in caught] == [__file__]
    assert "sample-ratio mismatch" in str(caught[0].message)


def test_a_diagnostic_that_does_not_exist_is_an_error_of_ours_and_a_key_error():
    frame = pd.DataFrame({"t": [0, 1] * 30, "y": np.arange(60.0) % 7})
    diagnostics = frame.causal.ate(treatment="t", outcome="y", covariates=[], estimator="regression").diagnostics
    with pytest.raises(
        CausalError, match=r"^no diagnostic is called 'ballance' \(did you mean 'balance'\?\); there are: "
    ):
        diagnostics["ballance"]
    for key in ("ballance", 3, None, {}, ["balance"]):
        with pytest.raises(KeyError):
            diagnostics[key]
    assert diagnostics.get("ballance") is None
    assert "ballance" not in diagnostics
