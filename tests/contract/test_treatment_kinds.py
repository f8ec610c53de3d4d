"""Every estimator with each kind of treatment that it declares: arms, numbers, several numbers."""

import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import pandas_causal
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.models.folds import CausalKFold
from tests.contract.twins import fast

RNG = np.random.default_rng(5)
N = 240
FRAME = pd.DataFrame(RNG.normal(size=(N, 3)), columns=["x", "z", "u"])
FRAME["z01"] = (FRAME["z"] > 0).astype(int)
FRAME["arm"] = (FRAME["z"] + FRAME["u"] + RNG.normal(size=N) > 0).astype(int)
FRAME["dose"] = FRAME["z"] + FRAME["u"] + RNG.normal(size=N)
FRAME["y"] = FRAME["dose"] + FRAME["arm"] + FRAME["x"] + FRAME["u"] + RNG.normal(size=N)
FRAME.index = pd.Index(np.arange(N) * 3 + 7, name="id")

CROSS_SECTIONAL = [
    cls
    for cls in pandas_causal.all_estimators()
    if not {"running", "time", "mediators"} & set(inspect.signature(cls.fit).parameters)
]
KINDS = [
    pytest.param(cls, kind, id=f"{cls.__name__}-{kind}")
    for cls in CROSS_SECTIONAL
    for kind in ("arms", "numbers")
    if cls.treatments in (kind, "either")
]


def fit(estimator, treatment, frame=FRAME):
    roles = {}
    if "instrument" in inspect.signature(estimator.fit).parameters:
        roles["instrument"] = "z01"
    X = frame[["x", treatment, *roles.values()]]
    return clone(estimator).fit(X, frame["y"], treatment=treatment, **roles)


def test_kinds_are_declared():
    assert {cls.treatments for cls in pandas_causal.all_estimators()} <= {"arms", "numbers", "either"}
    assert any(kind == "numbers" for _, kind in (p.values for p in KINDS))


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.CausalWarning")
@pytest.mark.parametrize(("cls", "kind"), KINDS)
def test_every_class_takes_what_it_declares(cls, kind):
    treatment = {"arms": "arm", "numbers": "dose"}[kind]
    estimator = fast(cls)
    fitted = fit(estimator, treatment)
    effect = fitted.effect()
    assert fitted.treatment_name_ == treatment
    assert hasattr(fitted, "arms_") == (kind == "arms")
    assert effect.facts["treatment"] == treatment
    assert ("control" in effect.facts) == (kind == "arms")
    if not getattr(cls, "curve", False):  # a row per dose or quantile
        assert effect.table.index.tolist() == (["1 - 0"] if kind == "arms" else ["dose"])
    assert np.isfinite(effect.table.to_numpy()).all()
    again = pickle.loads(pickle.dumps(effect))
    pd.testing.assert_frame_equal(again.table, effect.table)
    shuffled = fit(estimator, treatment, FRAME.sample(frac=1, random_state=1)).effect()
    for column in ("estimate", "std_error"):
        assert shuffled.table[column].to_numpy() == pytest.approx(effect.table[column].to_numpy(), rel=1e-8)


@pytest.mark.parametrize(("cls", "kind"), [p for p in KINDS if p.values[1] == "arms"])
def test_a_number_where_arms_are_wanted_keeps_its_sentence(cls, kind):
    if cls.treatments == "either":
        pytest.skip("numbers are taken too")
    with pytest.raises(CausalDataError, match=r"too many for arms \(is it continuous\?\).*pd.qcut"):
        fit(fast(cls), "dose")


@pytest.mark.parametrize(("cls", "kind"), [p for p in KINDS if p.values[1] == "numbers"])
def test_labels_where_numbers_are_wanted_are_refused(cls, kind):
    if cls.treatments == "either":
        pytest.skip("arms are taken too")
    words = FRAME.assign(word=np.where(FRAME["arm"] == 1, "yes", "no"))
    with pytest.raises(CausalDataError, match=r"word: treatment is not numeric .*pd.to_numeric"):
        fit(fast(cls), "word", words)


WITH_INSTRUMENT = [cls for cls in CROSS_SECTIONAL if "instrument" in inspect.signature(cls.fit).parameters]


@pytest.mark.parametrize("cls", WITH_INSTRUMENT)
@pytest.mark.filterwarnings("ignore::pandas_causal.errors.CausalWarning")
def test_estimators_with_instruments_keep_scikit_learns_manners(cls):
    names = list(inspect.signature(cls.__init__).parameters)[1:]
    marks = {name: object() for name in names}
    assert all(getattr(cls(**marks), name) is mark for name, mark in marks.items())
    estimator = fast(cls)
    with pytest.raises(NotFittedError):
        estimator.effect()
    frame = FRAME.copy(deep=True)
    before = set(vars(estimator))
    fitted = estimator.fit(frame[["x", "arm", "z01"]], frame["y"], treatment="arm", instrument="z01")
    assert fitted is estimator
    pd.testing.assert_frame_equal(frame, FRAME)
    learned = set(vars(fitted)) - before
    assert not [name for name in learned if not name.endswith("_") and not name.startswith("_")]
    assert fitted.feature_names_in_.tolist() == ["x", "arm", "z01"]
    assert fitted.covariates_ == ["x"]
    assert not [name for name in vars(clone(fitted)) if name.endswith("_")]
    by_array = clone(estimator).fit(
        frame[["x"]].to_numpy(),
        frame["y"].to_numpy(),
        treatment=frame["arm"].to_numpy(),
        instrument=frame["z01"].to_numpy(),
    )
    assert by_array.effect().estimates.to_numpy() == pytest.approx(fitted.effect().estimates.to_numpy(), abs=0.2)
    with sklearn.config_context(enable_metadata_routing=True):
        requested = estimator.get_metadata_routing().fit.requests
    assert requested["instrument"] is True
    if hasattr(fitted, "predict"):
        assert fitted.effect(frame[["x"]]).table.index.equals(frame.index)
    else:
        with pytest.raises(CausalArgumentError, match="has no effect for every row of X"):
            fitted.effect(frame[["x"]])
    with pytest.raises(CausalDataError, match="instrument is missing"):
        clone(estimator).fit(
            frame[["x", "arm"]], frame["y"], treatment="arm", instrument=frame["z01"].where(frame["x"] > -1)
        )


def test_the_splitter_balances_numbers():
    folds = np.zeros(N, dtype=int)
    for k, (_, held_out) in enumerate(CausalKFold(4, treatment="dose").split(FRAME)):
        folds[held_out] = k
    fifth = pd.qcut(FRAME["dose"], 5, labels=False).to_numpy()
    counts = np.array([np.bincount(fifth[folds == k], minlength=5) for k in range(4)])
    assert counts.max() - counts.min() <= 1
    both = list(CausalKFold(4, treatment=["dose", "z"]).split(FRAME))
    assert sorted(np.concatenate([held_out for _, held_out in both])) == list(range(N))
