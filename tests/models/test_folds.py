"""Folds: stratified by treatment, clusters whole, drawn in the order of labels, whatever the coding."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, KFold, cross_validate

from pandas_causal import CausalKFold
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inputs.arms import resolve_arms
from pandas_causal.inputs.roles import resolve
from pandas_causal.models.folds import assign_folds, draw_folds, folds_from_splits, label_order


def frame(n=90, arms=2, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"z": rng.normal(size=n), "arm": rng.choice(arms, n, p=np.arange(1, arms + 1) / (arms * (arms + 1) / 2)),
         "clinic": rng.integers(0, 15, n)}, index=pd.Index(rng.permutation(n) * 3, name="id"),
    )  # fmt: skip


def folds_of(splitter, X, **more):
    out = np.full(len(X), -1)
    for k, (train, test) in enumerate(splitter.split(X, **more)):
        assert (out[test] == -1).all()  # disjoint
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(X)))
        out[test] = k
    assert (out >= 0).all()  # every row is tested once
    return out


@pytest.mark.parametrize("n_splits", [2, 3, 5])
@pytest.mark.parametrize("arms", [2, 3])
def test_stratified_by_treatment(n_splits, arms):
    X = frame(arms=arms)
    folds = folds_of(CausalKFold(n_splits, treatment="arm"), X)
    counts = pd.crosstab(folds, X["arm"])
    assert (counts.max() - counts.min()).max() <= 1
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() <= 1
    assert CausalKFold(n_splits, treatment="arm").get_n_splits() == n_splits


def test_sorted_data_have_every_arm_in_every_fold():
    X = frame().sort_values("arm")
    folds = folds_of(CausalKFold(5, treatment="arm"), X)
    assert (pd.crosstab(folds, X["arm"]) > 0).all().all()


@pytest.mark.parametrize("way", ["setting", "array", "groups"])
def test_clusters_stay_whole(way):
    X = frame()
    if way == "groups":
        folds = folds_of(CausalKFold(3, treatment="arm"), X, groups=X["clinic"])
    else:
        cluster = "clinic" if way == "setting" else X["clinic"].to_numpy()
        folds = folds_of(CausalKFold(3, treatment="arm", cluster=cluster), X)
    assert (pd.Series(folds).groupby(X["clinic"].to_numpy()).nunique() < 2).all()
    assert set(folds) == {0, 1, 2}
    assert len({*np.bincount(folds)}) > 0
    assert np.bincount(folds).max() < 60


def test_name_and_array_and_coding_give_the_same_folds():
    X = frame()
    want = folds_of(CausalKFold(4, treatment="arm"), X)
    for treatment in (
        X["arm"], X["arm"].to_numpy(), X["arm"].tolist(), X["arm"].map({0: "b", 1: "a"}), 1 - X["arm"],
        X["arm"].astype("category"), X["arm"].astype(bool), X["arm"].astype("Int64"),
    ):  # fmt: skip
        assert np.array_equal(folds_of(CausalKFold(4, treatment=treatment), X), want)


@pytest.mark.parametrize("cluster", [None, "clinic"])
def test_folds_belong_to_labels_not_positions(cluster):
    X = frame()
    splitter = CausalKFold(4, treatment="arm", cluster=cluster)
    want = pd.Series(folds_of(splitter, X), index=X.index)
    shuffled = X.sample(frac=1, random_state=3)
    got = pd.Series(folds_of(splitter, shuffled), index=shuffled.index)
    pd.testing.assert_series_equal(got.sort_index(), want.sort_index())
    relabelled = X.set_axis(X.index.map(lambda i: f"row {i:05d}"))  # the same order
    assert np.array_equal(folds_of(splitter, relabelled), want)


def test_seeds():
    X = frame()
    one, again = (folds_of(CausalKFold(4, treatment="arm", random_state=1), X) for _ in range(2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, folds_of(CausalKFold(4, treatment="arm", random_state=2), X))
    unseeded = CausalKFold(4, treatment="arm", random_state=None)
    assert not np.array_equal(folds_of(unseeded, X), folds_of(unseeded, X))


@settings(max_examples=40, deadline=None)
@given(
    arms=st.lists(st.integers(0, 2), min_size=12, max_size=60).filter(lambda a: min(np.bincount(a, minlength=3)) >= 4),
    n_folds=st.integers(2, 4),
    seed=st.integers(0, 99),
)
def test_any_arms_are_spread_evenly(arms, n_folds, seed):
    arms = np.array(arms)
    folds = assign_folds(arms, n_folds, np.random.default_rng(seed))
    counts = pd.crosstab(folds, arms)
    assert counts.shape == (n_folds, 3)
    assert (counts.max() - counts.min()).max() <= 1
    recoded = assign_folds(np.array([2, 0, 1])[arms], n_folds, np.random.default_rng(seed))
    assert np.array_equal(recoded, folds)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 7)), min_size=30, max_size=60),
    seed=st.integers(0, 99),
)
def test_any_clusters_stay_whole_whatever_the_coding(rows, seed):
    arms, cluster = map(np.array, zip(*rows, strict=True))
    if len(set(cluster)) < 3:
        return
    folds = assign_folds(arms, 3, np.random.default_rng(seed), cluster=cluster)
    assert (pd.Series(folds).groupby(cluster).nunique() < 2).all()
    assert set(folds) == {0, 1, 2}
    assert np.array_equal(assign_folds(1 - arms, 3, np.random.default_rng(seed), cluster=cluster), folds)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"n_splits": 1}, CausalArgumentError, "n_splits must be a whole number of at least 2, got 1"),
        ({"n_splits": 2.5}, CausalArgumentError, "n_splits must be a whole number"),
        ({"n_splits": "3"}, CausalArgumentError, "n_splits must be a whole number"),
        ({"treatment": None}, CausalArgumentError, "CausalKFold needs treatment=, a column name or an array"),
        ({"treatment": "harm"}, CausalDataError, r"harm: is given as treatment.*did you mean 'arm'\?"),
        ({"treatment": [0, 1]}, CausalDataError, "treatment: has 2 values for 90 rows"),
        ({"n_splits": 60}, CausalDataError, r"the smallest arm has \d+ rows, fewer than 60 folds; lower n_splits"),
        ({"cluster": "clinic", "n_splits": 40}, CausalDataError, "40 folds need at least 40 clusters, there are 15"),
        ({"random_state": "seed"}, CausalArgumentError, "random_state must be None or a whole number"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_settings(given, error, message):
    splitter = CausalKFold(**{"treatment": "arm", **given})
    with pytest.raises(error, match=message):
        list(splitter.split(frame()))


def test_missing_treatment_or_cluster_is_no_fold():
    X = frame().astype({"arm": float, "clinic": float})
    for column in ("arm", "clinic"):
        holed = X.copy()
        holed.iloc[:3, X.columns.get_loc(column)] = np.nan
        with pytest.raises(CausalDataError, match=rf"{column}: .* is missing \(NaN\) in 3 rows"):
            list(CausalKFold(3, treatment="arm", cluster="clinic").split(holed))


def test_repr_shows_no_array():
    assert repr(CausalKFold(3, treatment="arm")) == "CausalKFold(3, treatment='arm', cluster=None, random_state=0)"
    assert "treatment='...'" in repr(CausalKFold(3, treatment=np.arange(1_000)))


def test_scikit_learn_takes_it_as_a_splitter():
    from sklearn.dummy import DummyRegressor

    X = frame()
    scores = cross_validate(DummyRegressor(), X, X["z"], cv=CausalKFold(4, treatment="arm"))["test_score"]
    assert len(scores) == 4


# -- the setting cv= ----------------------------------------------------------------------------------------------


def test_draw_folds_takes_numbers_splitters_and_pairs():
    X = frame()
    inputs = resolve(X, X["z"].rename("y"), {"treatment": "arm", "cluster": "clinic"})
    arms = resolve_arms(inputs.roles["treatment"])
    rng = np.random.default_rng
    by_number = draw_folds(3, inputs, arms, rng(0))
    assert np.array_equal(by_number, assign_folds(arms.codes, 3, rng(0), labels=X.index))
    pairs = [(np.flatnonzero(by_number != k), np.flatnonzero(by_number == k)) for k in range(3)]
    assert np.array_equal(draw_folds(pairs, inputs, arms, rng(1)), by_number)
    assert np.array_equal(draw_folds(iter(pairs), inputs, arms, rng(1)), by_number)
    assert np.array_equal(
        draw_folds(KFold(3, shuffle=True, random_state=5), inputs, arms, rng(1)),
        folds_of(KFold(3, shuffle=True, random_state=5), X),
    )
    by_group = draw_folds(GroupKFold(3), inputs, arms, rng(1), inputs.roles["cluster"])
    assert (pd.Series(by_group).groupby(X["clinic"].to_numpy()).nunique() < 2).all()
    whole = [(np.flatnonzero(arms.codes != a), np.flatnonzero(arms.codes == a)) for a in (0, 1)]
    with pytest.raises(CausalDataError, match=r"without fold 0 no row of arm 0 is left to learn from"):
        draw_folds(whole, inputs, arms, rng(0))


@pytest.mark.parametrize(
    "splits",
    [
        [(np.arange(2, 10), [0, 1])],
        [(np.arange(5), np.arange(5, 10)), (np.arange(4), np.arange(5, 10))],
        [(np.arange(10), np.arange(5)), (np.arange(5), np.arange(5, 10))],
        [(np.arange(5), np.arange(5, 12)), (np.arange(5, 10), np.arange(5))],
        [1, 2, 3],
        [("a", "b")],
        [],
    ],
    ids=["rows untested", "tested twice", "trained and tested", "beyond the end", "numbers", "letters", "empty"],
)
def test_splits_that_are_none(splits):
    with pytest.raises(CausalArgumentError, match="cv="):
        folds_from_splits(splits, 10)


def test_splits_by_mask():
    mask = np.arange(10) < 4
    assert (
        folds_from_splits([(np.flatnonzero(~mask), mask), (np.flatnonzero(mask), ~mask)], 10).tolist()
        == [0] * 4 + [1] * 6
    )


def test_label_order():
    assert label_order(pd.RangeIndex(5)) is None
    assert label_order(pd.Index([3, 1, 1])) is None
    assert label_order(pd.Index([30, 10, 20])).tolist() == [1, 2, 0]
    assert label_order(pd.Index(["b", 1, "a"], dtype=object)).tolist() == [1, 2, 0]
