"""Two samples without a frame answer as the frame does."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pandas_causal
from pandas_causal.errors import CausalArgumentError, CausalDataError

RNG = np.random.default_rng(0)
CONTROL, TREATED = RNG.normal(2, 1, 40), RNG.normal(3, 2, 25)


@pytest.mark.parametrize("kind", [list, np.asarray, pd.Series, lambda v: pd.Series(v, index=np.arange(len(v)) * 7)])
def test_two_samples_equal_scipy_and_the_frame(kind):
    effect = pandas_causal.ab_test(kind(CONTROL), kind(TREATED))
    theirs = stats.ttest_ind(TREATED, CONTROL, equal_var=False)
    assert list(effect.table.index) == ["treated - control"]
    assert effect.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    frame = pd.DataFrame({"arm": ["control"] * 40 + ["treated"] * 25, "outcome": np.append(CONTROL, TREATED)})
    pd.testing.assert_frame_equal(effect.table, frame.causal.ab_test(treatment="arm", outcome="outcome").table)


def test_settings_and_names_reach_the_estimator():
    effect = pandas_causal.ab_test(pd.Series(CONTROL, name="euros"), pd.Series(TREATED, name="euros"), relative=True)
    assert effect.estimand == "lift in mean euros by arm"
    assert effect.estimate == pytest.approx(TREATED.mean() / CONTROL.mean() - 1)
    with pytest.raises(CausalArgumentError, match="no setting 'cluster'.*need a frame"):
        pandas_causal.ab_test(CONTROL, TREATED, cluster=np.arange(65))


def test_counts_are_the_shares_of_their_rows():
    effect = pandas_causal.ab_test_counts(control=(12, 40), treated=(15, 25), test="fisher")
    rows = pandas_causal.ab_test(np.arange(40) < 12, np.arange(25) < 15, variance="proportion", test="fisher")
    pd.testing.assert_frame_equal(effect.table, rows.table)
    assert effect.p_value == pytest.approx(stats.fisher_exact([[15, 10], [12, 28]]).pvalue)
    p = np.array([12 / 40, 15 / 25])
    assert effect.std_error == pytest.approx(np.sqrt((p * (1 - p) / [40, 25]).sum()))


@pytest.mark.parametrize(
    ("control", "treated", "error", "words"),
    [
        ("abc", TREATED, CausalArgumentError, "control takes the outcomes of an arm"),
        (CONTROL, 3.0, CausalArgumentError, "treated takes the outcomes of an arm"),
        (CONTROL.reshape(-1, 2), TREATED, CausalArgumentError, r"shape \(20, 2\)"),
        (CONTROL, [1.0, None, 3.0], CausalDataError, "treated: 1 of 3 outcomes are missing"),
        ([1.0], TREATED, CausalDataError, "'control' has fewer than 2 rows"),
        (["x", "y"], TREATED, CausalDataError, "not numeric"),
    ],
)
def test_bad_samples_are_named(control, treated, error, words):
    with pytest.raises(error, match=words):
        pandas_causal.ab_test(control, treated)


@pytest.mark.parametrize("pair", [(3, 2), (-1, 4), (1.5, 4), (1, 1), 3, (1, 2, 3), (True, 4)])
def test_bad_counts_are_named(pair):
    with pytest.raises(CausalArgumentError, match=r"treated takes \(successes, rows\)"):
        pandas_causal.ab_test_counts(control=(3, 10), treated=pair)
