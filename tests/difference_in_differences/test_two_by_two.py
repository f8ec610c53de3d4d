"""The 2x2 difference in differences of four samples."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pandas_causal
from pandas_causal.errors import CausalArgumentError, CausalDataError

RNG = np.random.default_rng(0)
CELLS = {
    "control_before": RNG.normal(0, 1, 30),
    "control_after": RNG.normal(1, 1, 40),
    "treated_before": RNG.normal(0, 2, 25),
    "treated_after": RNG.normal(3, 1, 20),
}


@pytest.mark.parametrize("kind", [np.asarray, list, pd.Series])
def test_four_samples_are_four_means(kind):
    effect = pandas_causal.did_2x2(**{name: kind(v) for name, v in CELLS.items()})
    mean, share = ({k: f(v) for k, v in CELLS.items()} for f in (np.mean, lambda v: v.var(ddof=1) / len(v)))
    expected = mean["treated_after"] - mean["treated_before"] - mean["control_after"] + mean["control_before"]
    assert effect.estimate == pytest.approx(expected)
    assert effect.std_error == pytest.approx(np.sqrt(sum(share.values())))
    df = sum(share.values()) ** 2 / sum(v**2 / (len(CELLS[k]) - 1) for k, v in share.items())
    assert effect.uncertainty.df()[0] == pytest.approx(df)


def test_pairs_are_changes_of_units():
    rng = np.random.default_rng(1)
    before, after = rng.normal(size=(2, 30)), rng.normal(size=(2, 30))
    effect = pandas_causal.did_2x2(
        control_before=before[0], control_after=after[0], treated_before=before[1], treated_after=after[1], paired=True
    )
    theirs = stats.ttest_ind(after[1] - before[1], after[0] - before[0], equal_var=False)
    assert effect.table["statistic"].iloc[0] == pytest.approx(theirs.statistic)
    assert effect.p_value == pytest.approx(theirs.pvalue)


def test_bad_cells_are_named():
    with pytest.raises(CausalDataError, match="control_before has 30 values where control_after has 40"):
        pandas_causal.did_2x2(**CELLS, paired=True)
    with pytest.raises(CausalDataError, match="treated_after: 1 of 3 outcomes are missing"):
        pandas_causal.did_2x2(**{**CELLS, "treated_after": [1.0, np.nan, 2.0]})
    for wrong in ("text", [[1.0, 2.0]], ["a", "b"], 3.0):
        with pytest.raises(CausalArgumentError, match="control_after takes the outcomes of one cell"):
            pandas_causal.did_2x2(**{**CELLS, "control_after": wrong})
