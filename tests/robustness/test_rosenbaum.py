"""Rosenbaum bounds of matched pairs."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from pandas_causal import datasets, rosenbaum_bounds
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inference.signed_rank import SignedRank

EXPOSED = [
    38, 23, 41, 18, 37, 36, 23, 62, 31, 34, 24, 14, 21, 17, 16, 20, 15, 10, 45, 39, 22, 35, 49, 48, 44, 35, 43, 39, 34,
    13, 73, 25, 27,
]  # fmt: skip
CONTROL = [
    16, 18, 18, 24, 19, 11, 10, 15, 16, 18, 18, 13, 19, 10, 16, 16, 24, 13, 9, 14, 21, 19, 7, 18, 19, 12, 11, 22, 25,
    16, 13, 11, 13,
]  # fmt: skip


def test_lead_in_the_blood_of_children():
    """Rosenbaum (2002), tables 4.1, 4.3 and 4.4: T 527; p 0.0018 at 2, 0.0468 at 4.25; 15, then [10.25, 19.5]."""
    found = rosenbaum_bounds(EXPOSED, CONTROL, gammas=[1, 2, 3, 4.25], alternative="greater")
    assert (found.statistic, found.n_pairs) == (527.0, 33)
    assert found.table["p_high"].round(4).tolist()[1:] == [0.0018, 0.0136, 0.0468]
    assert found.table.loc[1, ["estimate_low", "estimate_high"]].tolist() == [15.0, 15.0]
    assert found.table.loc[2, ["estimate_low", "estimate_high"]].tolist() == [10.25, 19.5]
    assert found.table.loc[3, ["estimate_low", "estimate_high"]].tolist() == [8.0, 23.0]
    assert found.table["conf_low"].tolist()[:3] == [9.5, 4.5, 1.0]
    assert 4.25 < found.breakdown < 4.5


def test_without_hidden_bias_it_is_wilcoxons_test():
    from scipy import stats

    rng = np.random.default_rng(0)
    differences = rng.normal(0.3, 1, 60)
    found = rosenbaum_bounds(differences, gammas=[1]).table.iloc[0]
    theirs = stats.wilcoxon(differences, method="approx", correction=False)  # newer scipy: "asymptotic"
    assert found["p_low"] == found["p_high"] == pytest.approx(theirs.pvalue, rel=1e-10)
    walsh = (differences[:, None] + differences)[np.triu_indices(60)] / 2
    assert found["estimate_low"] == pytest.approx(np.median(walsh), abs=1e-6)


def test_bound_is_the_law_of_the_worst_confounder():
    """Every assignment of ten pairs, each treated first with odds 3 where its difference is positive."""
    differences = np.array([1.0, -2, 3, 4, -5, 6, 7, 8, 9, 10])
    test = SignedRank(differences)
    statistic, rank = test.ranks(0.0)
    signs = np.array(list(product([0, 1], repeat=10)))
    weight = np.prod(np.where(signs, 0.75, 0.25), axis=1)
    sums = signs @ rank
    mean, sd = weight @ sums, np.sqrt(weight @ np.square(sums) - (weight @ sums) ** 2)
    assert test.deviate(0.0, 3.0) == pytest.approx((statistic - mean) / sd)


def test_differences_of_zero_keep_their_ranks_and_add_nothing():
    statistic, rank = SignedRank(np.array([0.0, 1, -2, 3])).ranks(0.0)
    assert statistic == 2 + 4
    assert sorted(rank) == [2, 3, 4]


def test_bounds_widen_with_gamma_and_turn_with_the_sign():
    rng = np.random.default_rng(1)
    differences = rng.normal(0.5, 1, 80)
    one, other = (rosenbaum_bounds(s * differences, gammas=[1, 2, 4]).table for s in (1, -1))
    assert (np.diff(one["estimate_high"] - one["estimate_low"]) > 0).all()
    assert (np.diff(one["conf_high"] - one["conf_low"]) > 0).all()
    np.testing.assert_allclose(one["conf_low"], -other["conf_high"], atol=1e-8)
    np.testing.assert_allclose(one["p_high"], other["p_high"])
    side = rosenbaum_bounds(differences, gammas=[2], alternative="less").table["p_high"].iloc[0]
    assert side == pytest.approx(
        rosenbaum_bounds(-differences, gammas=[2], alternative="greater").table["p_high"].iloc[0]
    )


@pytest.mark.parametrize("settings", [{"method": "pair"}, {"replace": False, "caliper": 0.2}])
def test_of_matched_pairs(settings):
    frame = datasets.load_lalonde()
    frame.index = frame.index + 100
    covariates = ["age", "educ", "marr", "re74", "re75"]
    for estimand, sign in (("ATT", 1), ("ATC", -1)):
        data = frame if estimand == "ATT" else frame.assign(treat=1 - frame["treat"])
        effect = data.causal.match(
            treatment="treat", outcome="re78", covariates=covariates, estimand=estimand, **settings
        )
        found = effect.sensitivity(gammas=[1, 1.2])
        pairs = effect.estimator.matched_
        gaps = frame.loc[pairs["target"], "re78"].to_numpy() - frame.loc[pairs["match"], "re78"].to_numpy()
        assert found.n_pairs == len(pairs)
        assert sign * gaps.mean() == pytest.approx(effect.estimate)
        direct = rosenbaum_bounds(sign * gaps, gammas=[1, 1.2])
        pd.testing.assert_frame_equal(found.table, direct.table)


def test_what_is_not_paired_is_refused():
    frame = datasets.load_lalonde()
    roles = {"treatment": "treat", "outcome": "re78", "covariates": ["age", "educ"]}
    with pytest.raises(CausalArgumentError, match="not matched one to one"):
        frame.causal.match(**roles).sensitivity("rosenbaum")
    with pytest.raises(CausalArgumentError, match="method='pair'"):
        frame.causal.association(treatment="treat", outcome="re78").sensitivity("rosenbaum")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1, 2, 3], [1, 2]), "shapes"),
        (([1.0, np.nan, 3, 4, 5, 6],), "missing or infinite in 1 pairs"),
        (([1, 1, 1], [1, 1, 1]), "0 pairs differ"),
        ((["a", "b"],), "must be numbers"),
    ],
)
def test_bad_pairs_are_refused(arguments, words):
    with pytest.raises(CausalDataError, match=words):
        rosenbaum_bounds(*arguments)


def test_wrong_settings_are_refused():
    with pytest.raises(CausalArgumentError, match="at least 1"):
        rosenbaum_bounds(EXPOSED, CONTROL, gammas=[0.5])
    with pytest.raises(CausalArgumentError, match="alternative='up' is not known"):
        rosenbaum_bounds(EXPOSED, CONTROL, alternative="up")
