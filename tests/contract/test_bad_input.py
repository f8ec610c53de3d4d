"""What bad data gets, from every estimator and the accessor: one CausalError with column, count and remedy."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone

import pandas_causal
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError, OverlapError, OverlapWarning
from tests.contract.data import COVARIATES, ESTIMATORS, NAMES, make

N = 120
# DifferenceInMeans looks at covariates only when it adjusts for them.
ADJUSTED = [clone(e).set_params(adjustment="lin") if "adjustment" in e.get_params() else clone(e) for e in ESTIMATORS]
every = pytest.mark.parametrize("estimator", ADJUSTED, ids=NAMES)


def with_column(name, values):
    return lambda frame: frame.assign(**{name: values(frame) if callable(values) else values})


def set_rows(name, rows, value):
    def change(frame):
        frame = frame.astype({name: object if isinstance(value, str) else float})
        frame.loc[frame.index[:rows], name] = value
        return frame

    return change


def arms_of(frame, *levels):
    return np.asarray(levels, dtype=object)[frame["medication"]]


def group(frame):
    """Six labels, each with one arm and at least five rows."""
    turn = frame.groupby("medication").cumcount() % 3
    return [f"{a}{t}" for a, t in zip(frame["medication"], turn, strict=True)]


# name: (change of the frame, message)
COLUMNS = {
    # treatment
    "treatment missing": (
        set_rows("medication", 3, np.nan),
        r"medication: treatment is missing \(NaN\) in 3 rows; .*missing='drop'",
    ),
    "treatment all missing": (with_column("medication", np.nan), r"treatment is missing \(NaN\) in 120 rows"),
    "treatment constant": (with_column("medication", 1), r"medication: treatment has one level only \(1\)"),
    "treatment one level of a categorical": (
        with_column("medication", pd.Categorical(["a"] * N, categories=["a", "b"])),
        r"treatment has one level only \('a'\)",
    ),
    "treatment continuous": (
        with_column("medication", lambda f: f["age"] + f["severity"]),
        r"medication: treatment has 120 levels, too many for arms .*continuous.*qcut\(df\['medication'\], 4\)$",
    ),
    "treatment many labels": (
        with_column("medication", [f"drug {i}" for i in range(N)]),
        r"treatment has 120 levels, too many for arms \(is it many-valued\?\); group them into at most 20 arms$",
    ),
    "treatment 21 arms": (with_column("medication", np.arange(N) % 21), "treatment has 21 levels"),
    "treatment scaled": (
        with_column("medication", lambda f: (f["medication"] - 0.5) / 0.49),
        r"treatment has the levels \[.*1\.02.*whole numbers: if a scaler in a pipeline transformed it",
    ),
    "treatment infinite": (set_rows("medication", 2, np.inf), r"treatment is infinite \(inf\) in 2 rows"),
    "treatment dates": (
        with_column("medication", pd.date_range("2020", periods=N)),
        "medication: treatment",
    ),
    "treatment two dates": (
        with_column("medication", lambda f: pd.to_datetime(arms_of(f, "2020-01-01", "2021-01-01"))),
        "medication: treatment",
    ),
    "treatment complex": (with_column("medication", lambda f: f["medication"] * 1j), "medication: treatment"),
    "treatment lists": (with_column("medication", [[i % 2] for i in range(N)]), "medication: treatment"),
    "arm with one row": (
        lambda f: f.assign(medication=np.where(np.arange(N) == 4, 2, f["medication"])),
        r"medication: arm 2 has fewer than 2 rows in 1 row; merge or drop this arm",
    ),
    # outcome
    "outcome missing": (
        set_rows("recovery", 1, np.nan),
        r"recovery: outcome is missing \(NaN\) in 1 row; the outcome must be known; pass missing='drop'",
    ),
    "outcome infinite": (set_rows("recovery", 4, -np.inf), r"recovery: outcome is infinite \(inf\) in 4 rows"),
    "outcome too large": (with_column("recovery", lambda f: f["recovery"] * 1e200), r"outcome is beyond 1e\+150"),
    "outcome constant": (with_column("recovery", 3.5), r"recovery: outcome is constant \(3.5\)"),
    "outcome all missing": (with_column("recovery", np.nan), r"outcome is missing \(NaN\) in 120 rows"),
    "outcome strings": (
        with_column("recovery", ["yes", "no"] * (N // 2)),
        r"recovery: outcome is not numeric \(dtype str|object\) in 120 rows; convert it",
    ),
    "outcome categorical": (
        with_column("recovery", pd.Categorical([1, 2] * (N // 2))),
        r"recovery: outcome is not numeric \(dtype category\)",
    ),
    "outcome dates": (
        with_column("recovery", pd.date_range("2020", periods=N)),
        r"recovery: outcome is not numeric \(dtype datetime64",
    ),
    "outcome complex": (with_column("recovery", lambda f: f["recovery"] + 1j), "recovery: outcome holds complex"),
    "outcome lists": (with_column("recovery", [[1.0]] * N), "recovery: outcome is not numeric"),
    "outcome is the treatment": (
        with_column("recovery", lambda f: 3 - 2 * f["medication"]),
        "recovery: outcome equals the treatment, possibly rescaled",
    ),
    # covariates
    "covariate infinite": (set_rows("age", 2, np.inf), r"age: covariate is infinite \(inf\) in 2 rows; replace"),
    "covariate too large": (
        with_column("age", lambda f: f["age"] * 1e200),
        r"age: covariate is beyond 1e\+150.*120 rows",
    ),
    "covariate all missing": (with_column("age", np.nan), r"age: covariate is missing \(NaN\) in every row"),
    "covariate all None": (with_column("age", None), r"age: covariate is missing \(NaN\) in every row"),
    "covariate all NA strings": (
        with_column("age", pd.array([pd.NA] * N, dtype="string")),
        r"age: covariate is missing \(NaN\) in every row",
    ),
    "covariate dates": (
        with_column("age", pd.date_range("2020", periods=N)),
        r"age: covariate is a date or duration \(datetime64.* in 120 rows; convert it, e.g. \(s - s.min\(\)\).dt.days",
    ),
    "covariate time zones": (
        with_column("age", pd.date_range("2020", periods=N, tz="UTC")),
        "age: covariate is a date or duration",
    ),
    "covariate durations": (
        with_column("age", pd.timedelta_range("1D", periods=N)),
        "age: covariate is a date or duration",
    ),
    "covariate periods": (
        with_column("age", pd.period_range("2020-01", periods=N, freq="M")),
        "age: covariate is a date or duration",
    ),
    "covariate fractions": (
        with_column("age", lambda f: [Fraction(f"{v:.2f}") for v in f["age"]]),
        "age: covariate holds objects of type Fraction in 120 rows; .*extract numbers",
    ),
    "covariate complex": (with_column("age", lambda f: f["age"] + 1j), "age: covariate holds complex numbers"),
    "covariate lists": (with_column("age", [[1]] * N), "age: covariate holds objects"),
    "covariate dicts": (with_column("age", [{"a": 1}] * N), "age: covariate holds objects"),
    "covariate sets": (with_column("age", [{1, 2}] * N), "age: covariate holds objects"),
    "covariate tuples": (with_column("age", [(1, i) for i in range(N)]), "age: covariate holds objects of type tuple"),
    "covariate names": (
        with_column("region", [f"person {i}" for i in range(N)]),
        r"region: covariate has 120 different labels for 120 rows; group rare labels, or pass it as cluster=",
    ),
    "covariate names, categorical": (
        with_column("region", pd.Categorical([f"person {i}" for i in range(N)])),
        r"region: covariate has 120 different labels for 120 rows",
    ),
    "covariate copies the outcome": (
        with_column("age", lambda f: 5 - 1e-3 * f["recovery"]),
        r"age: covariate equals the outcome \(recovery\), possibly rescaled; leave it out",
    ),
    "covariate copies the treatment": (
        with_column("age", lambda f: 10.0 - 3 * f["medication"]),
        r"age: covariate equals the treatment \(medication\), possibly rescaled; leave it out",
    ),
    "covariate names the treatment": (
        with_column("region", lambda f: arms_of(f, "placebo", "drug")),
        "region: covariate determines the treatment: each of its 2 values has one arm",
    ),
    "covariate decides by threshold": (
        with_column("age", lambda f: f["medication"] + 0.9 * np.abs(np.sin(np.arange(N)))),
        r"age: covariate separates the arms at one threshold \(0\.89",
    ),
    "covariate decides by group": (
        with_column("region", group),
        "region: covariate determines the treatment: each of its 6 values has one arm",
    ),
    "numeric covariate decides by group": (
        with_column("age", lambda f: f["medication"] + 2 * (f.groupby("medication").cumcount() % 3)),
        "age: covariate determines the treatment: each of its 6 values has one arm",
    ),
}


def ask(estimator, frame, **roles):
    """The columns of this frame through fit, by name."""
    extra = [v for v in roles.values() if isinstance(v, str) and v in frame and v != "medication"]
    given = {"treatment": "medication", **roles}
    return clone(estimator).fit(frame[[*COVARIATES, "medication", *extra]], frame["recovery"], **given)


def ask_accessor(estimator, frame, **roles):
    """The same question, asked of the frame."""
    return frame.causal.fit(estimator, treatment="medication", outcome="recovery", covariates=COVARIATES, **roles)


TOO_MANY_ARMS = ("continuous.*qcut", "treatment has 21 levels", "arm 2 has fewer")


@every
@pytest.mark.parametrize(("change", "message"), COLUMNS.values(), ids=COLUMNS.keys())
def test_bad_column(estimator, change, message):
    frame = change(make())
    if estimator.treatments == "either" and any(words in message for words in TOO_MANY_ARMS):
        pytest.skip("numbers, to it")
    with pytest.raises(CausalDataError, match=message) as error:
        ask(estimator, frame)
    assert error.value.problems
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None
    assert all(p.remedy and p.what for p in error.value.problems)
    with pytest.raises(CausalDataError, match=message):
        frame.causal.fit(estimator, treatment="medication", outcome="recovery", covariates=COVARIATES)


@pytest.mark.parametrize(("change", "message"), COLUMNS.values(), ids=COLUMNS.keys())
@pytest.mark.parametrize("question", ["ate", "validate"])
def test_bad_column_by_question(question, change, message):
    with pytest.raises(CausalDataError, match=message):
        getattr(change(make()).causal, question)(treatment="medication", outcome="recovery", covariates=COVARIATES)


@pytest.mark.parametrize(("change", "message"), COLUMNS.values(), ids=COLUMNS.keys())
@pytest.mark.parametrize("question", ["overlap", "balance"])
def test_bad_column_before_an_outcome(question, change, message):
    frame = change(make())
    call = getattr(frame.causal, question)
    if "outcome" in message:
        pytest.skip("no outcome is looked at")
    with pytest.raises(CausalDataError, match=message):
        call(treatment="medication", covariates=COVARIATES)


# -- other roles --------------------------------------------------------------------------------------------------

ROLES = {
    "one cluster": ("cluster", 1, r"extra: cluster has 1 level; at least 2 clusters are needed"),
    "cluster missing": ("cluster", [np.nan, *range(N - 1)], r"extra: cluster is missing \(NaN\) in 1 row"),
    "cluster of lists": ("cluster", [[1], [2]] * (N // 2), "extra: cluster"),
    "weights negative": ("sample_weight", [-1.0] * 5 + [1.0] * (N - 5), "sample_weight is negative in 5 rows"),
    "weights missing": ("sample_weight", [np.nan] * 2 + [1.0] * (N - 2), r"sample_weight is missing \(NaN\) in 2 rows"),
    "weights infinite": ("sample_weight", [np.inf] + [1.0] * (N - 1), r"sample_weight is infinite \(inf\) in 1 row"),
    "weights zero": ("sample_weight", 0.0, "sample_weight is zero everywhere in 120 rows"),
    "weights of strings": ("sample_weight", "a", "sample_weight is not numeric"),
    "weights complex": ("sample_weight", 1j, "sample_weight holds complex"),
    "propensity 0": ("propensity", [0.0] * 3 + [0.5] * (N - 3), r"not strictly between 0 and 1 in 3 rows"),
    "propensity 1": ("propensity", [1.0] + [0.5] * (N - 1), r"not strictly between 0 and 1 in 1 row"),
    "propensity 7": ("propensity", 7, r"not strictly between 0 and 1 in 120 rows"),
    "propensity missing": ("propensity", [np.nan] + [0.5] * (N - 1), r"propensity is missing \(NaN\) in 1 row"),
    "propensity of strings": ("propensity", "likely", "propensity is not numeric"),
}


@every
@pytest.mark.parametrize(("role", "values", "message"), ROLES.values(), ids=ROLES.keys())
@pytest.mark.parametrize("by", ["name", "array", "accessor"])
def test_bad_role(estimator, role, values, message, by):
    if role == "propensity" and type(estimator).__name__ == "DifferenceInMeans":
        pytest.skip("takes no propensity")
    frame = make()
    frame["extra"] = values
    given = "extra" if by != "array" else frame["extra"].to_numpy()
    with pytest.raises(CausalDataError, match=message if by != "array" else message.replace("extra", role)):
        (ask if by != "accessor" else ask_accessor)(estimator, frame, **{role: given})


@every
def test_weights_that_leave_an_arm_without_weight(estimator):
    frame = make()
    with pytest.raises(CausalDataError, match=r"sample_weight is zero for every row of arm 1"):
        ask(estimator, frame.assign(weight=1.0 - frame["medication"]), sample_weight="weight")


# -- names and shapes ---------------------------------------------------------------------------------------------


@every
def test_misspelled_role(estimator):
    frame = make()
    with pytest.raises(CausalDataError, match=r"medicaton: .*treatment.*did you mean 'medication'\?"):
        ask(estimator, frame, treatment="medicaton")


@every
def test_doubled_column(estimator):
    frame = make()
    doubled = pd.concat([frame, frame[["age"]]], axis=1)
    with pytest.raises(CausalDataError, match="age: stands more than once among the columns; rename one"):
        clone(estimator).fit(doubled, frame["recovery"], treatment="medication")
    with pytest.raises(CausalDataError, match="age: stands more than once among the columns; rename one"):
        doubled.causal.fit(estimator, treatment="medication", outcome="recovery", covariates=["severity"])


@every
def test_multiindex_columns(estimator):
    frame = make()
    deep = frame.set_axis(pd.MultiIndex.from_product([["a"], frame.columns]), axis=1)
    for call in (
        lambda: clone(estimator).fit(deep, frame["recovery"], treatment=frame["medication"]),
        lambda: deep.causal.fit(estimator, treatment="medication", outcome="recovery"),
    ):
        with pytest.raises(CausalDataError, match="the columns are a MultiIndex; flatten them"):
            call()


@every
def test_empty_frame(estimator):
    frame = make().iloc[:0]
    with pytest.raises(CausalDataError, match="0 sample|has 0 rows"):
        ask(estimator, frame)
    with pytest.raises(CausalDataError, match="has 0 rows"):
        frame.causal.fit(estimator, treatment="medication", outcome="recovery", covariates=COVARIATES)


@every
def test_missing_everywhere_leaves_no_row_to_drop_to(estimator):
    with pytest.raises(CausalDataError, match="has 0 rows"):
        ask(estimator, make().assign(recovery=np.nan), missing="drop")


@every
@pytest.mark.parametrize("role", ["y", "treatment", "cluster", "sample_weight"])
def test_indexes_that_differ_are_refused(estimator, role):
    frame = make()
    given = {"y": "recovery", "treatment": "medication", "cluster": "site", "sample_weight": "weight"}
    good = {name: frame[column] for name, column in given.items()}
    wrong = {
        "the same labels in another order": good[role].iloc[::-1],
        "different labels": good[role].reset_index(drop=True),
    }
    for how, values in wrong.items():
        with pytest.raises(CausalDataError, match=rf"{role}: its index has {how}.*reindex\(X.index\)") as error:
            clone(estimator).fit(frame[COVARIATES], **{**good, role: values})
        assert ".to_numpy()" in str(error.value)
        with pytest.raises(CausalDataError, match="its index has"):  # also without a frame to compare with
            clone(estimator).fit(frame[["age"]].to_numpy(), **{**good, role: values})


@every
@pytest.mark.parametrize("role", ["y", "treatment", "cluster", "sample_weight"])
def test_lengths_that_differ(estimator, role):
    frame = make()
    given = {"y": "recovery", "treatment": "medication", "cluster": "site", "sample_weight": "weight"}
    good = {name: frame[column].to_numpy() for name, column in given.items()}
    word = "outcome" if role == "y" else role
    with pytest.raises(CausalDataError, match=f"{word}: has 119 values for 120 rows"):
        clone(estimator).fit(frame[COVARIATES], **{**good, role: good[role][:-1]})
    several = role == "cluster" or (role == "treatment" and estimator.treatments == "either")
    deep = np.zeros((N, 2, 2)) if several else np.column_stack([good[role]] * 3)
    with pytest.raises(CausalDataError, match=f"{word}: has 3 (columns|dimensions)"):
        clone(estimator).fit(frame[COVARIATES], **{**good, role: deep})


@every
def test_no_cluster_column_is_left_out_in_silence(estimator):
    frame = make().assign(ward=lambda d: np.arange(len(d)) * 5 % 23, block=lambda d: np.arange(len(d)) * 3 % 17)
    one, three = ["site"], ["site", "ward", "block"]
    question = {"treatment": "medication", "outcome": "recovery", "covariates": COVARIATES}
    by_one = frame.causal.fit(estimator, **question, cluster=one).std_error
    assert frame.causal.fit(estimator, **question, cluster=three).std_error != by_one


@every
def test_one_column_has_one_role(estimator):
    frame = make()
    with pytest.raises(CausalDataError, match="medication: is both treatment and cluster; a column has one role"):
        ask(estimator, frame, cluster="medication")
    for question in ("fit", "ate"):
        first = (estimator,) if question == "fit" else ()
        with pytest.raises(CausalDataError, match="is both outcome and covariate; a column has one role"):
            getattr(frame.causal, question)(
                *first, treatment="medication", outcome="recovery", covariates=[*COVARIATES, "recovery"]
            )


@every
@pytest.mark.parametrize("given", [3.5, None, 0, object, "no such", ["age", "severity"]], ids=str)
def test_treatment_that_is_neither_name_nor_array(estimator, given):
    frame = make()
    if estimator.treatments == "either" and isinstance(given, list):
        pytest.skip("several treatments, to it")
    with pytest.raises(CausalError):
        clone(estimator).fit(frame[COVARIATES], frame["recovery"], treatment=given)


@every
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (pd.Series(range(N)), "must be two-dimensional, got a Series.*to_frame"),
        (np.arange(N), "Expected 2D array, got 1D array instead"),
        (np.zeros((N, 2, 2)), "3"),
        ("age", "Expected 2D array, got scalar"),
        (5, "Expected 2D array, got scalar"),
        ([[1, 2], [3]], "inhomogeneous"),
        ({"a": range(N)}, "Expected 2D array, got scalar"),
    ],
    ids=["series", "vector", "cube", "string", "number", "ragged", "dict"],
)
def test_x_of_a_wrong_shape(estimator, X, message):
    with pytest.raises(CausalError, match=message):
        clone(estimator).fit(X, make()["recovery"].to_numpy(), treatment=make()["medication"].to_numpy())


@every
def test_sparse_input_is_a_type_error_as_in_scikit_learn(estimator):
    frame = make()
    X = sparse.csr_matrix(frame[["age", "severity"]].to_numpy())
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        clone(estimator).fit(X, frame["recovery"].to_numpy(), treatment=frame["medication"].to_numpy())


# -- all at once --------------------------------------------------------------------------------------------------


@every
def test_every_problem_is_listed_at_once(estimator):
    frame = make()
    frame["age"] = pd.date_range("2020", periods=N)
    frame["severity"] = np.where(np.arange(N) < 7, np.inf, frame["severity"])
    frame["region"] = [[1]] * N
    frame["medication"] = frame["medication"].where(np.arange(N) > 10)
    frame["recovery"] = frame["recovery"].where(np.arange(N) > 2)
    frame["weight"] = -1.0
    frame["site"] = 0
    with pytest.raises(CausalDataError) as error:
        ask(estimator, frame, cluster="site", sample_weight="weight")
    found = {(p.column, p.count) for p in error.value.problems}
    assert found >= {
        ("age", N), ("severity", 7), ("region", N), ("medication", 11), ("recovery", 3), ("weight", N), ("site", None)
    }  # fmt: skip
    text = str(error.value)
    assert text.startswith(f"{len(error.value.problems)} problems with the data:\n  - ")
    assert all(f"\n  - {p}" in text for p in error.value.problems)


def test_accessor_lists_every_absent_name_at_once():
    frame = make()
    with pytest.raises(CausalDataError) as error:
        frame.causal.ate(treatment="medicine", outcome="recoverey", covariates=["aged", "severity", "nothing like it"])
    assert [p.column for p in error.value.problems] == ["recoverey", "medicine", "aged", "nothing like it"]
    assert "did you mean 'recovery'?" in str(error.value)
    assert "did you mean 'age'?" in str(error.value)
    assert str(error.value).count("did you mean") == 3 - ("medicine" not in str(error.value))


# -- what is allowed, and counted ---------------------------------------------------------------------------------


@every
def test_duplicated_labels_are_allowed_and_kept(estimator):
    frame = make()
    twice = frame.set_axis(frame.index // 14)
    assert not twice.index.is_unique
    effect = ask(estimator, twice).effect()
    assert np.isfinite(effect.estimate)
    if hasattr(estimator, "predict"):
        assert ask(estimator, twice).effect(twice[COVARIATES]).table.index.equals(twice.index)


@every
def test_constant_covariates_are_dropped_and_counted(estimator):
    frame = make()
    plain = ask(estimator, frame).effect()
    constant = frame.assign(c=7.0, d="same", e=True)
    fit = clone(estimator).fit(
        constant[[*COVARIATES, "c", "d", "e", "medication"]], frame["recovery"], treatment="medication"
    )
    assert fit.effect().facts["covariates_dropped"] == ["c", "d", "e"]
    assert "constant covariates were left out: c, d, e" in fit.effect().warnings
    assert fit.effect().estimate == pytest.approx(plain.estimate, rel=1e-12)
    assert fit.effect().std_error == pytest.approx(plain.std_error, rel=1e-12)


@every
def test_missing_covariates_are_imputed_with_indicators_and_counted(estimator):
    frame = make()
    frame.loc[frame.index[::10], "age"] = np.nan
    frame.loc[frame.index[3::20], "region"] = None
    effect = ask(estimator, frame).effect()
    assert effect.n_obs == N
    assert effect.facts["n_imputed"] == 12 + 6
    assert "missing covariates were imputed by the mean, with indicators: age 12, region 6" in effect.warnings
    if "n_estimators" in estimator.get_params():
        return  # trees have a bin of its own for missing values
    by_hand = frame.assign(
        age=frame["age"].fillna(frame["age"].mean()),
        age_missing=frame["age"].isna().astype(float),
        region=frame["region"].fillna("z unknown"),
    )
    columns = ["age", "age_missing", "severity", "region", "medication"]
    same = clone(estimator).fit(by_hand[columns], frame["recovery"], treatment="medication").effect()
    assert effect.estimate == pytest.approx(same.estimate, rel=1e-9)
    assert effect.std_error == pytest.approx(same.std_error, rel=1e-9)


@every
def test_missing_drop_counts_the_rows(estimator):
    frame = make().astype({"medication": "Int64"})
    frame.iloc[[0, 1], frame.columns.get_loc("recovery")] = np.nan
    frame.iloc[[1, 2], frame.columns.get_loc("medication")] = pd.NA
    frame.iloc[3, frame.columns.get_loc("weight")] = np.nan
    other = 5 + int((frame["medication"].iloc[5:] != frame["medication"].iloc[4]).to_numpy().argmax())
    frame.iloc[[4, other], frame.columns.get_loc("age")] = np.nan  # a covariate: imputed, not dropped; in both arms
    effect = ask(estimator, frame, sample_weight="weight", missing="drop").effect()
    assert effect.n_obs == N - 4
    assert effect.facts["n_dropped"] == 4
    assert any("4 rows" in text and "missing" in text for text in effect.warnings)
    same = ask(estimator, frame.iloc[4:], sample_weight="weight").effect()
    assert effect.estimate == pytest.approx(same.estimate, rel=1e-12)
    assert same.facts["n_dropped"] == 0


@every
def test_a_category_with_one_arm_is_an_overlap_error(estimator):
    if type(estimator).__name__ == "DifferenceInMeans":
        pytest.skip("randomised: no overlap to check")
    if "estimand" in estimator.get_params():
        estimator = clone(estimator).set_params(estimand="ATE")  # the treated alone do not need these controls
    frame = make()
    frame.loc[frame["medication"].eq(0) & (np.arange(N) % 2 == 0), "region"] = "control only"
    n = int((frame["region"] == "control only").sum())
    assert n >= 20
    with pytest.raises(
        OverlapError,
        match=rf"region: category 'control only' in {n} rows and never in arm 1, which they are compared with",
    ):
        ask(estimator, frame)


@every
def test_no_covariates_is_a_legal_request(estimator):
    frame = make()
    plain = frame.groupby("medication")["recovery"].mean().diff().iloc[-1]
    effect = clone(estimator).fit(frame[["medication"]], frame["recovery"], treatment="medication").effect()
    exact = not {"cv", "n_estimators"} & set(estimator.get_params()) or type(estimator).__name__ == "IPW"
    assert effect.estimate == pytest.approx(plain, rel=1e-12 if exact else 0.05)
    without = clone(estimator).fit(None, frame["recovery"], treatment=frame["medication"]).effect()
    assert without.estimate == effect.estimate


def test_a_known_error_class_for_everything():
    assert issubclass(CausalError, ValueError)
    assert issubclass(OverlapError, CausalDataError)
    assert issubclass(OverlapWarning, UserWarning)
    assert not issubclass(CausalArgumentError, CausalDataError)
    assert pandas_causal.errors.CausalError is CausalError
