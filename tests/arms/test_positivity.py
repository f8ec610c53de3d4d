"""One covariate that tells that rows have no counterpart is an error of every estimator that adjusts."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from pandas_causal import AIPW, IPW, TMLE, Matching, RegressionAdjustment
from pandas_causal.arms.positivity import refuse_separation
from pandas_causal.errors import OverlapError, OverlapWarning
from tests.contract.data import COVARIATES, ESTIMATORS, make

ADJUSTING = [e for e in ESTIMATORS if type(e).__name__ != "DifferenceInMeans"]
every = pytest.mark.parametrize("estimator", ADJUSTING, ids=[type(e).__name__ for e in ADJUSTING])
CODES = np.repeat([0, 1], 50)
LEVELS = ("no", "yes")
ONE = np.random.default_rng(0).normal(size=100)
SPLIT = r"x: separates the arms: at most -0\.\d+ in arm 'no', at least 1\.\d+ in arm 'yes'"
CONSTANT = r"x: is 0.3 in every row of arm '{}', and differs in 50 rows"
HALF = r"x: is missing in 25 rows and never in arm 'yes'"
VALUE = r"x: has a value in 50 rows and never in arm '{}'"
# values of a covariate, and what is said of it for the ATE, the ATT and the ATC; None: it stands
CASES = {
    "missing for every control": (np.where(CODES == 0, np.nan, ONE), VALUE.format("no"), VALUE.format("no"), "missing"),
    "missing for every treated": (np.where(CODES == 1, np.nan, ONE), "missing", "missing", VALUE.format("yes")),
    "missing for half the controls": (
        np.where((CODES == 0) & (np.arange(100) % 2 == 0), np.nan, ONE), HALF, None, HALF,
    ),
    "constant among controls": (np.where(CODES == 0, 0.3, ONE), CONSTANT.format("no"), CONSTANT.format("no"), None),
    "constant among treated": (np.where(CODES == 1, 0.3, ONE), CONSTANT.format("yes"), None, CONSTANT.format("yes")),
    "a threshold": (np.where(CODES == 1, 1 + np.abs(ONE), -np.abs(ONE)), SPLIT, SPLIT, SPLIT),
    "a rare value may be chance": (np.where(np.arange(100) < 5, 7.0, ONE), None, None, None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
def test_rules(case, estimand):
    x, *messages = CASES[case]
    frame = pd.DataFrame({"x": x, "z": ONE})
    message = messages[["ATE", "ATT", "ATC"].index(estimand)]
    for column in (frame, frame.astype({"x": "Float64"}), frame.astype({"x": object}).astype({"x": float})):
        if message is None:
            refuse_separation(column, CODES, LEVELS, estimand)
            continue
        with pytest.raises(OverlapError, match=message):
            refuse_separation(column, CODES, LEVELS, estimand)


def test_an_arm_beside_others():
    codes = np.repeat([0, 1, 2], 40)
    x = np.where(codes == 2, 1.0, np.arange(120) % 7)
    with pytest.raises(OverlapError, match=r"x: is 1 in every row of arm 'c', and differs in 68 rows compared with it"):
        refuse_separation(pd.DataFrame({"x": x}), codes, ("a", "b", "c"), "ATE")
    refuse_separation(pd.DataFrame({"x": x}), codes, ("a", "b", "c"), "ATT")
    with pytest.raises(OverlapError, match="title: category 'sir' in 40 rows and never in arm 'b'"):
        refuse_separation(pd.DataFrame({"title": np.where(codes == 0, "sir", "madam")}), codes, ("a", "b", "c"), "ATC")


@every
@pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning")
def test_every_estimator_refuses(estimator):
    frame = make()
    one = clone(estimator)
    if "estimand" in one.get_params():
        one.set_params(estimand="ATE")
    changes = {
        "income: .*never in arm": np.where(frame["medication"] == 0, np.nan, frame["severity"] ** 2),
        "income: is 0.1 in every row of arm 0": np.where(frame["medication"] == 0, 0.1, frame["severity"]),
    }
    for message, values in changes.items():
        bad = frame.assign(income=values)[[*COVARIATES, "income", "medication"]]
        with pytest.raises(OverlapError, match=message):
            clone(one).fit(bad, frame["recovery"], treatment="medication")


@pytest.mark.filterwarnings("ignore:weak overlap")
def test_cross_fitted_propensities_that_are_always_right():
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc"))
    X = X[np.abs(X["a"] + X["b"]) > 1.0].reset_index(drop=True)
    t = (X["a"] + X["b"] > 0).astype(int).rename("t")
    frame = X.assign(t=t, y=X["c"] + t + rng.normal(size=len(X)))
    question = {"treatment": "t", "outcome": "y", "covariates": list("abc")}
    boosted = {"outcome_model": "linear", "propensity_model": "ridge"}
    for name in (AIPW(**boosted), TMLE(**boosted), IPW(propensity_model="ridge", cv=5)):
        with pytest.raises(OverlapError, match="perfect separation"):
            frame.causal.ate(**question, estimator=name)
    with pytest.raises(OverlapError, match="perfect separation"):
        frame.causal.overlap(treatment="t", covariates=list("abc"))
    with pytest.warns(OverlapWarning, match="a linear score of the covariates splits the arms"):
        effect = frame.causal.ate(**question, estimator="regression")
    assert any("splits the arms" in text for text in effect.warnings)


def test_lonely_categories():
    codes = np.tile([0, 1], 30)
    frame = pd.DataFrame({"c": np.where((codes == 0) & (np.arange(60) < 40), "only 0", "both"), "z": np.arange(60.0)})
    with pytest.raises(
        OverlapError, match="c: category 'only 0' in 20 rows and never in arm 1, which they are compared with; leave"
    ):
        refuse_separation(frame, codes, (0, 1), "ATE")
    refuse_separation(frame, codes, (0, 1), "ATT")  # no treated row stands in it
    refuse_separation(frame.iloc[1:], codes[1:], (0, 1), "ATE")  # 19 rows
    refuse_separation(frame.assign(c="both"), codes, (0, 1), "ATE")
    numbers = frame.assign(c=(frame["c"] == "both").astype(int))  # two-valued numbers are categories too
    with pytest.raises(OverlapError, match="category 0 in 20 rows"):
        refuse_separation(numbers, codes, (0, 1), "ATC")


def test_lonely_categories_of_several_arms_look_at_the_arms_compared():
    """Category "a" holds controls and arm 1 only: enough for ATT, not for ATE."""
    codes = np.repeat([0, 1, 0, 1, 2], 25)
    frame = pd.DataFrame({"c": np.repeat(["a", "b"], [50, 75])})
    refuse_separation(frame, codes, (0, 1, 2), "ATT")
    with pytest.raises(OverlapError, match="category 'a' in 50 rows and never in arm 2"):
        refuse_separation(frame, codes, (0, 1, 2), "ATE")


SPLIT_BY_A_SCORE = {
    "AIPW": AIPW(outcome_model="ridge", propensity_model="ridge"),
    "TMLE": TMLE(outcome_model="ridge", propensity_model="ridge"),
    "IPW": IPW(propensity_model="ridge"),
    "matching by distance": Matching(distance="mahalanobis"),
    "coefficient": RegressionAdjustment(interactions=False),
    "regression": RegressionAdjustment(),
}


@pytest.mark.filterwarnings("ignore:.*corrected for it the answer moves")
@pytest.mark.parametrize("estimator", SPLIT_BY_A_SCORE.values(), ids=SPLIT_BY_A_SCORE.keys())
@pytest.mark.filterwarnings("ignore:weak overlap")
def test_a_linear_split_is_said(estimator):
    rng = np.random.default_rng(4)
    one = rng.normal(size=400)
    two = rng.choice([-1, 1], 400) * rng.uniform(0.01, 1, 400) - one
    frame = pd.DataFrame({"one": one, "two": two, "t": (one + two > 0).astype(int)})
    frame["y"] = one + two + frame["t"] + rng.normal(size=400)
    with pytest.warns(OverlapWarning, match="a linear score of the covariates splits the arms"):
        effect = frame.causal.ate(treatment="t", outcome="y", covariates=["one", "two"], estimator=estimator)
    assert any("splits the arms" in text for text in effect.warnings)


@pytest.mark.parametrize("estimator", [IPW(), Matching(), RegressionAdjustment()])
def test_the_column_is_named_before_a_model_says_so(estimator):
    frame = make()
    frame["m"] = np.where(frame["medication"] == 1, np.nan, frame["severity"] ** 2)
    with pytest.raises(OverlapError, match="^m: "):
        clone(estimator).fit(frame[[*COVARIATES, "m", "medication"]], frame["recovery"], treatment="medication")
