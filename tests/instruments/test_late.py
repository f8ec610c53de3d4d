"""InteractiveIV and PartialLinearIV: scores by hand, one-sided take-up, complier means, messages."""

import contextlib
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from pandas_causal import InstrumentalVariables, InteractiveIV, PartialLinearIV, causal
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    CausalError,
    OverlapError,
    WeakInstrumentWarning,
)
from pandas_causal.instruments.late import late_scores
from tests.instruments.designs import COVARIATES, take_up

FRAME = take_up(n=1_500)
CALL = {"treatment": "d", "outcome": "y", "instrument": "z", "covariates": COVARIATES}
LINEAR = {"outcome_model": "linear", "treatment_model": "ridge", "instrument_model": "linear"}


def interactive(frame=FRAME, roles=None, **settings):
    return causal(frame).iv(**{**CALL, **(roles or {})}, estimator=InteractiveIV(**{**LINEAR, **settings}))


def test_scores_by_hand():
    y, d, z = np.array([1.0, 4.0]), np.array([0.0, 1.0]), np.array([0, 1])
    g, r, e = np.array([[1.5, 2.0], [3.0, 3.5]]), np.array([[0.1, 0.6], [0.2, 0.7]]), np.array([0.4, 0.5])
    found = late_scores(y, d, z, g, r, e)
    assert found[0] == pytest.approx([0.5 - (1 - 1.5) / 0.6, 0.5 - (0 - 0.1) / 0.6])
    assert found[1] == pytest.approx([0.5 + (4 - 3.5) / 0.5, 0.5 + (1 - 0.7) / 0.5])


def test_without_covariates_it_is_walds_ratio():
    constant = {
        "outcome_model": DummyRegressor(), "treatment_model": DummyRegressor(), "instrument_model": DummyClassifier(),
    }  # fmt: skip
    flat = FRAME.assign(z=(np.arange(len(FRAME)) % 2))
    flat["d"] = np.where(np.arange(len(FRAME)) % 5 == 0, 1, flat["z"])
    n = len(flat)
    whole = [(np.arange(n)[np.arange(n) % 2 != k], np.arange(n)[np.arange(n) % 2 == k]) for k in range(2)]
    flat["z"] = np.arange(n) // 2 % 2  # the same share in both folds
    flat["d"] = np.where(np.arange(n) % 5 == 0, 1, flat["z"])
    effect = interactive(flat, **constant, cv=whole)
    by = flat.groupby("z")[["y", "d"]].mean().diff().iloc[1]
    wald = causal(flat).iv(treatment="d", outcome="y", instrument="z")
    assert wald.estimate == pytest.approx(by["y"] / by["d"], rel=1e-12)
    assert effect.estimate == pytest.approx(by["y"] / by["d"], abs=5e-3)
    assert effect.std_error == pytest.approx(wald.std_error, rel=0.02)


def test_it_finds_the_effect_of_compliers():
    big = take_up(n=20_000, seed=3)
    truth = big.loc[big["complier"], "effect"].mean()
    effect = interactive(big)
    assert abs(effect.estimate - truth) < 4 * effect.std_error
    assert effect.std_error < 0.06
    means = effect.diagnostics["complier_means"].table
    actual = big.loc[big["complier"], COVARIATES].mean()
    assert (np.abs(means["compliers"] - actual) < 4 * means["std_error"]).all()
    assert means.loc["b", "compliers"] > means.loc["b", "everyone"] + 0.05  # never-takers are low in b
    shares = effect.diagnostics["compliance"].table["share"]
    assert shares["compliers"] == pytest.approx(big["complier"].mean(), abs=0.03)
    assert shares.sum() == pytest.approx(1)
    assert effect.parameters.table["estimate"].iloc[0] / effect.parameters.table["estimate"].iloc[1] == pytest.approx(
        effect.estimate
    )


def test_one_sided_take_up_as_a_setting():
    one = take_up(n=1_500, one_sided=True)
    plain, told = interactive(one), interactive(one, always_takers=False)
    assert told.estimate == pytest.approx(plain.estimate, abs=0.05)
    shares = told.diagnostics["compliance"].table
    assert shares.loc["always-takers", "share"] == 0
    with pytest.raises(CausalDataError, match=r"d: rows are treated where the instrument is 0, .* in \d+ rows"):
        interactive(always_takers=False)
    with pytest.raises(CausalDataError, match="untreated where the instrument is 1"):
        interactive(never_takers=False)


def test_an_instrument_that_lowers_treatment():
    turned = interactive(FRAME.assign(z=1 - FRAME["z"]), instrument_model=LogisticRegression(C=1e8, tol=1e-9))
    plain = interactive(instrument_model=LogisticRegression(C=1e8, tol=1e-9))
    assert turned.estimate == pytest.approx(plain.estimate, rel=0.05)
    a, b = (e.diagnostics["compliance"].table["share"] for e in (turned, plain))
    assert a.to_numpy() == pytest.approx(b.to_numpy(), abs=0.02)
    a, b = (e.diagnostics["complier_means"].table["compliers"] for e in (turned, plain))
    assert a.to_numpy() == pytest.approx(b.to_numpy(), abs=0.05)
    flipped = interactive(control=1)
    assert flipped.table.index.tolist() == ["0 - 1"]
    assert flipped.estimate == pytest.approx(-plain.estimate, rel=0.1)


def test_repeated_splits_clusters_weights_and_the_set():
    several = interactive(n_repeats=3)
    assert several.estimate == pytest.approx(interactive().estimate, abs=0.05)
    assert len(several.uncertainty.components) == 2
    clustered = interactive(roles={"cluster": "site"})
    assert "clustered by site" in clustered.std_error_method
    assert np.isfinite(clustered.std_error)
    weighted = interactive(FRAME.assign(w=np.where(FRAME["a"] > 0, 2.0, 1.0)), roles={"sample_weight": "w"})
    assert weighted.estimate != several.estimate
    effect = interactive()
    pieces = effect.confidence_set()
    a, b = effect.parameters.estimates
    V = effect.parameters.vcov.to_numpy()
    for end in pieces.to_numpy().ravel():
        t = (a - end * b) / np.sqrt(V[0, 0] - 2 * end * V[0, 1] + end**2 * V[1, 1])
        assert abs(t) == pytest.approx(1.959963984540054, rel=1e-8)
    by_site = effect.cluster(FRAME["site"])
    W = by_site.parameters.vcov.to_numpy()
    for end in by_site.confidence_set().to_numpy().ravel():
        t = (a - end * b) / np.sqrt(W[0, 0] - 2 * end * W[0, 1] + end**2 * W[1, 1])
        assert abs(t) == pytest.approx(1.959963984540054, rel=1e-8)
    again = pickle.loads(pickle.dumps(effect))
    pd.testing.assert_frame_equal(again.confidence_set(), pieces)
    shuffled = interactive(FRAME.sample(frac=1, random_state=1))
    assert shuffled.estimate == pytest.approx(effect.estimate, rel=1e-10)


def test_a_weak_instrument_is_said():
    noise = FRAME.assign(z=np.random.default_rng(0).integers(0, 2, len(FRAME)))
    with pytest.warns(WeakInstrumentWarning, match="moves d weakly"):
        effect = interactive(noise)
    assert not np.isfinite(effect.confidence_set().to_numpy()).all()


def test_messages():
    with pytest.raises(CausalDataError, match="z: has 3 levels, and InteractiveIV takes two"):
        interactive(FRAME.assign(z=np.arange(len(FRAME)) % 3))
    with pytest.raises(CausalDataError, match="d: has 3 levels, and InteractiveIV takes two"):
        interactive(FRAME.assign(d=np.arange(len(FRAME)) % 3))
    with pytest.raises(CausalArgumentError, match="takes one binary instrument"):
        interactive(FRAME.assign(z2=1 - FRAME["z"] * (FRAME["a"] > 0)), roles={"instrument": ["z", "z2"]})
    with pytest.raises(CausalArgumentError, match="instrument_model must be one of"):
        interactive(instrument_model="forest")
    with pytest.raises(CausalArgumentError, match="treatment_model must be one of"):
        interactive(treatment_model="forest")
    with pytest.raises(CausalArgumentError, match="InteractiveIV has no role 'absorb'"):
        interactive(roles={"absorb": "site"})


def test_certain_instruments_are_refused():
    from sklearn.tree import DecisionTreeClassifier

    with pytest.raises(OverlapError, match="probability of the instrument of exactly 0 or 1"):
        interactive(instrument_model=DecisionTreeClassifier(random_state=0), clip=0.0)


def test_bounds_and_validity():
    binary = FRAME.assign(y=(FRAME["y"] > 0.5).astype(int))
    effect = interactive(binary)
    table = effect.diagnostics["bounds"].table
    assert table["low"].iloc[0] < effect.estimate
    assert "bounds" not in interactive().diagnostics
    check = effect.estimator.test_validity(n_draws=100)
    assert check.passed
    broken = interactive(FRAME.assign(y=FRAME["y"] + 4 * FRAME["z"])).estimator.test_validity(n_draws=100)
    assert not broken.passed
    assert "contradicted by the" in broken.summary
    with pytest.raises(CausalArgumentError, match="n_draws must be"):
        effect.estimator.test_validity(n_draws=0)


def test_partially_linear_with_linear_models_is_two_stage_least_squares():
    estimator = PartialLinearIV(outcome_model="linear", treatment_model="linear", instrument_model="linear", cv=10)
    effect = causal(FRAME).iv(**CALL, estimator=estimator)
    two = causal(FRAME).iv(**CALL, estimator=InstrumentalVariables())
    assert effect.estimate == pytest.approx(two.estimate, abs=0.03)
    assert effect.std_error == pytest.approx(two.std_error, rel=0.05)
    assert effect.table.index.tolist() == ["d"]


def test_partially_linear_takes_several_instruments_and_one_treatment():
    rng = np.random.default_rng(1)
    frame = FRAME.assign(z2=rng.normal(size=len(FRAME)))
    frame["d"] = frame["d"] + 0.5 * frame["z2"]
    frame["y"] = frame["y"] + 0.5 * frame["z2"]
    line = LinearRegression()
    estimator = PartialLinearIV(outcome_model=line, treatment_model=line, instrument_model=line)
    both = causal(frame).iv(**{**CALL, "instrument": ["z", "z2"]}, estimator=estimator)
    two = causal(frame).iv(**{**CALL, "instrument": ["z", "z2"]})
    assert both.estimate == pytest.approx(two.estimate, abs=0.03)
    assert both.std_error == pytest.approx(two.std_error, rel=0.05)
    with pytest.raises(CausalArgumentError, match="takes one treatment, and 2 were given"):
        causal(frame).iv(**{**CALL, "treatment": ["d", "a"], "covariates": ["b"]}, estimator=estimator)


def test_short_names():
    ask = causal(FRAME)
    assert isinstance(ask.iv(**CALL, estimator="interactive").estimator, InteractiveIV)
    assert isinstance(ask.iv(**CALL, estimator="partial_linear").estimator, PartialLinearIV)
    with pytest.raises(CausalArgumentError, match="InteractiveIV has no setting 'covariance'"):
        ask.iv(**CALL, estimator="interactive", covariance="unadjusted")


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.CausalWarning")
def test_two_ways_of_clusters_that_leave_negative_variances():
    """No number of numpy's, and no strong instrument (F was infinite), where a variance is below zero."""
    rng = np.random.default_rng(0)
    estimator = PartialLinearIV(outcome_model="linear", treatment_model="linear", instrument_model="linear", cv=2)
    said = []
    for _ in range(12):
        small = FRAME.iloc[:60].assign(g=np.arange(60) // 2, h=rng.permutation(60) % 3)
        with contextlib.suppress(CausalError):  # of the estimate itself
            effect = causal(small).iv(**CALL, cluster=["g", "h"], estimator=estimator)
            check = effect.diagnostics["first_stage"]
            said += [check.summary] if check.table["std_error"].isna().any() else []
            said += [refusal(ask) for ask in (effect.confidence_set, effect.sensitivity)]
    assert sum("negative" in text for text in said) > 2


def refusal(ask):
    """What our error says; nothing where there is none."""
    try:
        ask()
    except CausalError as error:
        return str(error)
    return ""
