"""Coding, dtypes, names, row order and units never change a number."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import pandas_causal
from tests.contract.data import COVARIATES, CROSS_FITTED, DETERMINISTIC, ESTIMATORS, NAMES, fitted, make, numbers

ADJUSTED = [clone(e).set_params(adjustment="lin") if "adjustment" in e.get_params() else clone(e) for e in ESTIMATORS]
every = pytest.mark.parametrize("estimator", ADJUSTED, ids=NAMES)
deterministic = pytest.mark.parametrize("estimator", DETERMINISTIC, ids=[type(e).__name__ for e in DETERMINISTIC])


def with_models(estimator, model):
    """A clone whose nuisances are all of one kind."""
    known = estimator.get_params()
    nuisances = [name for name in ("outcome_model", "propensity_model", "treatment_model") if name in known]
    return clone(estimator).set_params(**dict.fromkeys(nuisances, model), cv=2)


# settings that see rows one by one, so that an order could matter
LEARNERS = [
    pytest.param(with_models(e, m), id=f"{type(e).__name__}-{m}")
    for e in CROSS_FITTED
    for m in ("linear", "ridge", "boosting")
    if m != "boosting" or type(e).__name__ == "AIPW"
]


def frame_of_every_kind():
    frame = make()
    frame["dose"] = np.random.default_rng(5).integers(0, 5, len(frame))
    frame["smoker"] = np.random.default_rng(6).random(len(frame)) < 0.4
    return frame


KINDS = [*COVARIATES, "dose", "smoker"]
ARROW = {
    "age": "double[pyarrow]",
    "severity": "double[pyarrow]",
    "region": "string[pyarrow]",
    "medication": "int64[pyarrow]",
    "site": "int64[pyarrow]",
    "weight": "double[pyarrow]",
    "recovery": "double[pyarrow]",
    "dose": "int8[pyarrow]",
    "smoker": "bool[pyarrow]",
}
NULLABLE = {
    "age": "Float64",
    "severity": "Float64",
    "region": "string",
    "medication": "Int64",
    "site": "Int64",
    "weight": "Float64",
    "recovery": "Float64",
    "dose": "UInt8",
    "smoker": "boolean",
}
CODINGS = {
    "nullable": lambda f: f.astype(NULLABLE),
    "arrow": lambda f: f.astype(ARROW),
    "object": lambda f: f.astype(object),
    "object strings": lambda f: f.astype({"region": object}),
    "categories": lambda f: f.astype({"region": "category"}),
    "unused categories": lambda f: f.assign(
        region=pd.Categorical(f["region"], categories=["east", "north", "nowhere", "south", "west", "z"])
    ),
    "small integers": lambda f: f.astype({"medication": "int8", "dose": "int8", "site": "int16"}),
    "unsigned": lambda f: f.astype({"medication": "uint8", "dose": "uint8"}),
    "bool as 0/1": lambda f: f.astype({"smoker": int}),
    "reversed labels": lambda f: f.assign(medication=f["medication"].map({0: "none", 1: "a drug"})),
    "float treatment": lambda f: f.astype({"medication": float}),
    "bool treatment": lambda f: f.astype({"medication": bool}),
    "nullable bool treatment": lambda f: f.astype({"medication": "boolean"}),
    "arrow bool treatment": lambda f: f.astype({"medication": "bool[pyarrow]"}),
    "1/2 treatment": lambda f: f.assign(medication=f["medication"] + 1),
    "string treatment": lambda f: f.assign(medication=f["medication"].map({0: "control", 1: "drug"})),
    "arrow string treatment": lambda f: f.assign(
        medication=f["medication"].map({0: "control", 1: "drug"}).astype("string[pyarrow]")
    ),
    "categorical treatment": lambda f: f.assign(
        medication=pd.Categorical(f["medication"].map({0: "placebo", 1: "drug"}), categories=["placebo", "drug"])
    ),
    "categorical treatment, unused levels": lambda f: f.assign(
        medication=pd.Categorical(
            f["medication"].map({0: "placebo", 1: "drug"}), categories=["x", "placebo", "y", "drug", "z"]
        )
    ),
    "ordered treatment": lambda f: f.assign(medication=pd.Categorical(f["medication"], [0, 1], ordered=True)),
    "clusters as strings": lambda f: f.assign(site=f["site"].map("site {:02d}".format)),
    "clusters as categories": lambda f: f.astype({"site": "category"}),
    "fortran order": lambda f: pd.DataFrame({c: f[c].to_numpy().copy() for c in f}, index=f.index),
}


@every
@pytest.mark.parametrize("coding", CODINGS.values(), ids=CODINGS.keys())
def test_coding_and_dtypes(estimator, coding):
    frame = frame_of_every_kind()
    roles = {"covariates": KINDS, "cluster": "site", "sample_weight": "weight"}
    plain = numbers(estimator, frame, **roles)
    changed = coding(frame)
    first = "none" if changed["medication"].iloc[0] in ("none", "a drug") else None  # else the control would be another
    coded = numbers(clone(estimator).set_params(control=first), changed, **roles)
    np.testing.assert_allclose(coded, plain, rtol=1e-12)


@every
@pytest.mark.parametrize("dtype", ["nullable", "arrow"])
def test_dtypes_with_missing_covariates(estimator, dtype):
    frame = frame_of_every_kind().astype({"dose": float})
    for column, start in (("age", 0), ("region", 1), ("dose", 2)):
        frame.loc[frame.index[start::9], column] = np.nan
    coded = frame.astype({**(NULLABLE if dtype == "nullable" else ARROW), "smoker": "boolean"})
    assert coded["age"].isna().sum() == 14
    np.testing.assert_allclose(
        numbers(estimator, coded, covariates=KINDS), numbers(estimator, frame, covariates=KINDS), rtol=1e-12
    )


@every
def test_boolean_and_integer_outcomes(estimator):
    frame = make().assign(recovery=lambda f: f["recovery"] > f["recovery"].median())
    plain = numbers(estimator, frame.astype({"recovery": float}))
    for dtype in (bool, "boolean", "bool[pyarrow]", "int8", "UInt8"):
        np.testing.assert_allclose(numbers(estimator, frame.astype({"recovery": dtype})), plain, rtol=1e-12)


@every
def test_small_integers_do_not_overflow(estimator):
    frame = make()
    frame["recovery"] = (frame["recovery"] * 10 + 60).round().clip(0, 127)
    wide, narrow = frame.astype({"recovery": "int64"}), frame.astype({"recovery": "int8"})
    np.testing.assert_allclose(numbers(estimator, narrow), numbers(estimator, wide), rtol=1e-12)


@every
def test_column_names(estimator):
    frame = make()
    plain = numbers(estimator, frame)
    names = {"age": "z", "severity": "intercept", "region": "x0", "medication": "a b (c)", "recovery": 'say "y" {%s}'}
    renamed = frame.rename(columns=names)
    other = numbers(estimator, renamed, 'say "y" {%s}', ["z", "intercept", "x0"], "a b (c)")
    np.testing.assert_allclose(other, plain, rtol=1e-12)
    whole = frame.rename(columns={"age": 1, "severity": 2, "region": 3, "medication": 0, "recovery": 4})
    np.testing.assert_allclose(numbers(estimator, whole, 4, [1, 2, 3], 0), plain, rtol=1e-12)


RENAMED = [
    *(pytest.param(e, id=n) for e, n in zip(ADJUSTED, NAMES, strict=True)),
    *LEARNERS,
    *(pytest.param(pandas_causal.StableBalancing(tolerance=t), id=f"StableBalancing-{t}") for t in (0.05, 0.2)),
    *(
        pytest.param(pandas_causal.Matching(distance=d, **more), id=f"Matching-{d}-{more}")
        for d in ("mahalanobis", "robust_mahalanobis", "euclidean")
        for more in ({}, {"replace": False}, {"method": "full"}, {"bias_adjust": True})
    ),
    *(pytest.param(pandas_causal.Matching(method=m), id=f"Matching-{m}") for m in ("cem", "subclass")),
]


@pytest.mark.parametrize("estimator", RENAMED)
@pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning")  # of two folds
def test_names_of_levels(estimator):
    frame = make()
    frame["sex"] = np.where(np.random.default_rng(9).random(len(frame)) < 0.4, "f", "m")
    frame.loc[frame.index[:3], "sex"] = None
    frame["half"] = np.where(np.arange(len(frame)) % 2, "odd", "even")
    columns = [*COVARIATES, "sex", "half"]
    other = frame.assign(
        region=frame["region"].map({"north": "zz", "south": "c", "west": "a"}),
        sex=frame["sex"].map({"f": "2", "m": "1"}),
        half=frame["half"].map({"odd": "x", "even": "y"}) if "boosting" not in str(estimator) else frame["half"],
    )
    one, two = (fitted(estimator, f, covariates=columns).effect() for f in (frame, other))
    np.testing.assert_allclose(two.table[["estimate", "std_error"]], one.table[["estimate", "std_error"]], rtol=1e-8)
    if "balance" in one.diagnostics:
        a, b = (e.diagnostics["balance"].table for e in (one, two))
        assert [str(c).startswith("region_") for c in a.index].count(True) == 3
        assert [str(c).startswith("sex_") for c in a.index].count(True) == 3
        for column in a.columns.drop("contrast"):
            np.testing.assert_allclose(np.sort(b[column]), np.sort(a[column]), rtol=1e-6, atol=1e-8)


FORMULAS = [
    "severity * region + age",
    "severity * region * half",
    "severity:region + half:region",
    "bs(age, df=3) * region",
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize(
    "estimator",
    [
        *(e for e in LEARNERS if "boosting" not in e.id and "formula" in e.values[0].get_params()),
        pytest.param(pandas_causal.StableBalancing(tolerance=0.3), id="StableBalancing"),
        pytest.param(pandas_causal.Matching(distance="euclidean"), id="Matching-euclidean"),
    ],
)
@pytest.mark.filterwarnings("ignore::pandas_causal.errors.CausalWarning")  # of two folds, and of small cells
def test_names_of_levels_in_a_formula(estimator, formula):
    pytest.importorskip("formulaic")
    if "n_estimators" in estimator.get_params():
        pytest.skip("trees try columns at random by their position, and those of a formula stand in the order of names")
    frame = make(n=240)
    frame["half"] = np.where(np.random.default_rng(2).random(len(frame)) < 0.5, "odd", "even")
    other = frame.assign(
        region=frame["region"].map({"north": "zz", "south": "c", "west": "a"}),
        half=frame["half"].map({"odd": "x", "even": "y"}),
    )
    asked = clone(estimator).set_params(formula=formula)
    one, two = (fitted(asked, f, covariates=[*COVARIATES, "half"]).effect() for f in (frame, other))
    columns = ["estimate", "std_error"]
    np.testing.assert_allclose(two.table[columns], one.table[columns], rtol=1e-6)


@every
def test_names_and_arrays_are_the_same_question(estimator):
    frame = make()
    named = numbers(estimator, frame, cluster="site", sample_weight="weight")
    fit = clone(estimator).fit(
        frame[COVARIATES], frame["recovery"], treatment=frame["medication"], cluster=frame["site"],
        sample_weight=frame["weight"],
    )  # fmt: skip
    assert np.array_equal(fit.effect().table[["estimate", "std_error"]].to_numpy(), named)
    lists = clone(estimator).fit(
        frame[COVARIATES], frame["recovery"].tolist(), treatment=frame["medication"].tolist(),
        cluster=frame["site"].tolist(), sample_weight=frame["weight"].tolist(),
    )  # fmt: skip
    assert np.array_equal(lists.effect().table[["estimate", "std_error"]].to_numpy(), named)


# -- rows ---------------------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("roles", [{}, {"cluster": "site", "sample_weight": "weight"}], ids=["plain", "clustered"])
def test_row_order(estimator, roles):
    frame = make()
    shuffled = frame.sample(frac=1, random_state=1)
    np.testing.assert_allclose(numbers(estimator, shuffled, **roles), numbers(estimator, frame, **roles), rtol=1e-10)


@pytest.mark.parametrize("estimator", LEARNERS)
def test_row_order_of_learners(estimator):
    frame = make()
    shuffled = frame.sample(frac=1, random_state=1)
    np.testing.assert_allclose(numbers(estimator, shuffled), numbers(estimator, frame), rtol=1e-10)


@pytest.mark.parametrize(
    "labels",
    [lambda i: i * 3.5 - 1e4, lambda i: [f"p{v:06d}" for v in i], pd.to_datetime],
    ids=["float", "string", "date"],
)
@pytest.mark.parametrize("estimator", LEARNERS[:2])
def test_order_preserving_labels(estimator, labels):
    frame = make()
    relabelled = frame.set_axis(pd.Index(labels(frame.index)))
    np.testing.assert_allclose(
        numbers(estimator, relabelled.sample(frac=1, random_state=2)), numbers(estimator, frame), rtol=1e-10
    )


def test_another_order_of_labels_is_another_split():
    frame = make()
    estimator = LEARNERS[1].values[0]
    assert numbers(estimator, frame.set_axis(frame.index[::-1]))[0, 0] != numbers(estimator, frame)[0, 0]


@every
def test_row_order_without_labels_is_position(estimator):
    """Duplicated labels: folds follow position, so only what draws no folds is unmoved by shuffling."""
    frame = make().set_axis(np.zeros(120, dtype=int))
    shuffled = frame.sample(frac=1, random_state=1)
    same = np.allclose(numbers(estimator, shuffled), numbers(estimator, frame), rtol=1e-10, atol=0)
    draws = {"cv", "n_estimators"} & set(estimator.get_params())
    assert same == (not draws or estimator.get_params().get("cv", 1) is None)


# -- units --------------------------------------------------------------------------------------------------------


@deterministic
def test_shift_of_a_covariate(estimator):
    frame = make(n=400)
    plain = numbers(estimator, frame)
    shifted = numbers(estimator, frame.assign(age=frame["age"] + 1e9))
    np.testing.assert_allclose(shifted[:, 0], plain[:, 0], rtol=1e-6)
    assert not np.array_equal(frame["age"] + 1e9, frame["age"])


@deterministic
@pytest.mark.parametrize("factor", [1e-9, 1e9, -3.0])
def test_scale_of_a_covariate(estimator, factor):
    frame = make(n=400)
    np.testing.assert_allclose(
        numbers(estimator, frame.assign(age=frame["age"] * factor)), numbers(estimator, frame), rtol=1e-10
    )


@every
@pytest.mark.parametrize("roles", [{}, {"cluster": "site", "sample_weight": "weight"}], ids=["plain", "clustered"])
def test_swapping_the_control_flips_the_sign(estimator, roles):
    if "estimand" in estimator.get_params():
        estimator = clone(estimator).set_params(estimand="ATE")  # that of one arm's rows becomes another arm's
    swapped = numbers(clone(estimator).set_params(control=1), **roles)
    np.testing.assert_allclose(swapped * [-1, 1], numbers(estimator, **roles), rtol=1e-9)
    effect = fitted(clone(estimator).set_params(control=1)).effect()
    assert effect.table.index.tolist() == ["0 - 1"]
    assert effect.facts["control_chosen_by"] == "control="


@deterministic
@settings(max_examples=8, deadline=None)
@given(shift=st.floats(-1e3, 1e3), scale=st.floats(1e-3, 1e3), sign=st.sampled_from([-1, 1]))
def test_affine_outcomes(estimator, shift, scale, sign):
    frame = make()
    plain = numbers(estimator, frame)
    moved = numbers(estimator, frame.assign(recovery=shift + sign * scale * frame["recovery"]))
    # TMLE works on the logit scale between the extremes of the outcome, which move with it
    np.testing.assert_allclose(moved, plain * [sign * scale, scale], rtol=1e-6, atol=1e-9 * abs(shift))


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning")  # some of the draws have little of it
@deterministic
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_integer_weights_equal_repeated_rows(estimator, seed):
    if estimator.get_params().get("cv") is not None:
        estimator = clone(estimator).set_params(cv=SplitByCode())
    frame = make(seed=seed, n=150).reset_index(drop=True)
    frame["code"] = np.arange(150) % 3
    columns = [*COVARIATES, "code"] if estimator.get_params().get("cv") is not None else COVARIATES
    repeated = frame.loc[frame.index.repeat(frame["weight"].astype(int))].reset_index(drop=True)
    one = numbers(estimator, frame, covariates=columns, sample_weight="weight")[:, 0]
    np.testing.assert_allclose(one, numbers(estimator, repeated, covariates=columns)[:, 0], rtol=1e-8)


class SplitByCode:
    """Folds told by a column, so that a repeated row stays in its fold."""

    def split(self, X, y=None, groups=None):
        for k in range(3):
            yield np.flatnonzero(X["code"] != k), np.flatnonzero(X["code"] == k)


@every
@settings(max_examples=5, deadline=None)
@given(order=st.permutations(range(60)))
def test_any_permutation(estimator, order):
    frame = make(n=60, seed=8)
    columns = ["age", "severity"]
    np.testing.assert_allclose(
        numbers(estimator, frame.iloc[order], covariates=columns),
        numbers(estimator, frame, covariates=columns),
        rtol=1e-10,
    )


@every
def test_collinear_covariates_change_nothing(estimator):
    if "n_estimators" in estimator.get_params():
        pytest.skip("trees try covariates at random, and a copy is one more of them")
    frame = make()
    twice = frame.assign(months=frame["age"] * 12 + 5)
    models = {name: "linear" for name in estimator.get_params() if name.endswith("_model")}
    estimator = clone(estimator).set_params(**models)  # a penalty shrinks two copies less than one
    plain = numbers(estimator, frame)
    doubled = numbers(estimator, twice, covariates=[*COVARIATES, "months"])
    # stable weights hold their tolerance for the copy too, in units of the pooled standard deviation
    np.testing.assert_allclose(
        doubled, plain, rtol=1e-3 if isinstance(estimator, pandas_causal.StableBalancing) else 1e-9
    )
