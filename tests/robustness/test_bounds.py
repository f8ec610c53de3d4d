"""Bounds by hand, by every population that the rows allow, and beside one another."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

from pandas_causal import AIPW, causal
from pandas_causal.errors import AssumptionWarning, CausalArgumentError, CausalDataError, CausalError

FRAME = pd.DataFrame({"d": [0, 0, 0, 0, 1, 1, 1, 1, 1, 1], "y": [1, 0, 0, 0, 1, 1, 1, 0, 1, 0]})
NAMES = {"treatment": "d", "outcome": "y"}
P, M0, M1 = 0.6, 0.25, 4 / 6


def ends(effect):
    return effect.estimates.tolist()


def test_worst_case_is_one_wide():
    low, high = ends(causal(FRAME).bounds(**NAMES))
    assert (low, high) == pytest.approx((M1 * P - (M0 * (1 - P) + P), M1 * P + (1 - P) - M0 * (1 - P)))
    assert high - low == pytest.approx(1.0)


def test_monotone_by_hand():
    worst = ends(causal(FRAME).bounds(**NAMES))
    assert ends(causal(FRAME).bounds("monotone_response", **NAMES)) == pytest.approx([0, worst[1]])
    assert ends(causal(FRAME).bounds("monotone_selection", **NAMES)) == pytest.approx([worst[0], M1 - M0])
    assert ends(causal(FRAME).bounds("monotone", **NAMES)) == pytest.approx([0, M1 - M0])
    assert ends(causal(FRAME).bounds("monotone_response", **NAMES, response="decreasing")) == pytest.approx(
        [worst[0], 0]
    )
    assert ends(causal(FRAME).bounds("monotone_selection", **NAMES, selection="negative")) == pytest.approx(
        [M1 - M0, worst[1]]
    )
    # nobody gains, and the treated are the better: the naive difference is too high
    assert ends(causal(FRAME).bounds("monotone", **NAMES, response="decreasing")) == pytest.approx([worst[0], 0])


def test_effect_on_the_treated_by_hand():
    settings = {"estimand": "ATT"}
    assert ends(causal(FRAME).bounds(**NAMES, **settings)) == pytest.approx([M1 - 1, M1])
    assert ends(causal(FRAME).bounds("monotone_response", **NAMES, **settings)) == pytest.approx([0, M1])
    assert ends(causal(FRAME).bounds("monotone", **NAMES, **settings)) == pytest.approx([0, M1 - M0])
    negative = causal(FRAME).bounds("monotone_selection", **NAMES, **settings, selection="negative")
    assert ends(negative) == pytest.approx([M1 - M0, M1])


@pytest.mark.parametrize("response", ["increasing", "decreasing"])
@pytest.mark.parametrize("selection", ["positive", "negative"])
@pytest.mark.parametrize("method", ["manski", "monotone_response", "monotone_selection", "monotone"])
def test_populations_that_keep_the_assumptions_lie_within(method, response, selection):
    """Three arms; potential outcomes drawn until they keep what is assumed."""
    rng = np.random.default_rng(abs(hash((method, response, selection))) % 1_000)
    kept = 0
    for _ in range(4_000):
        d = rng.integers(0, 3, 40)
        strength = rng.normal(size=40) + rng.choice([-1.5, 0, 1.5]) * d
        Y = 1 / (1 + np.exp(-(strength[:, None] + rng.normal(0, 1.0) * np.arange(3) + 0.5 * rng.normal(size=(40, 3)))))
        if method in ("monotone_response", "monotone"):
            Y = np.sort(Y, axis=1) if response == "increasing" else -np.sort(-Y, axis=1)
        if method in ("monotone_selection", "monotone"):
            means = np.array([Y[d == a].mean(axis=0) for a in range(3)])
            steps = np.diff(means, axis=0)
            if not ((steps >= 0).all() if selection == "positive" else (steps <= 0).all()):
                continue
        kept += 1
        frame = pd.DataFrame({"d": d, "y": Y[np.arange(40), d]})
        found = causal(frame).bounds(method, **NAMES, outcome_range=(0, 1), response=response, selection=selection)
        for a in (1, 2):
            low, high = found.estimates.loc[f"{a} - 0"]
            assert low - 1e-9 <= (Y[:, a] - Y[:, 0]).mean() <= high + 1e-9
        if kept == 8:
            break
    assert kept == 8


def test_bounds_that_cross_are_warned_of():
    with pytest.warns(AssumptionWarning, match="1 - 0 cross"):
        found = causal(FRAME.assign(y=1 - FRAME["y"])).bounds("monotone", **NAMES)
    assert "cross" in found.warnings[0]
    low, high = found.confidence_set().iloc[0]
    assert low < high


def test_bounds_are_of_every_fit_that_compares_arms():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=300), "d": rng.integers(0, 2, 300), "ward": np.arange(300) // 10})
    frame["y"] = frame["d"] + rng.uniform(size=300)
    estimator = AIPW(outcome_model="linear", propensity_model="linear")
    effect = frame.causal.ate(**NAMES, covariates=["x"], estimator=estimator, cluster="ward")
    found = effect.bounds("monotone_selection")
    assert ends(found) == pytest.approx(ends(causal(frame).bounds("monotone_selection", **NAMES)))
    clustered = causal(frame).bounds("monotone_selection", **NAMES, cluster="ward")
    assert found.confidence_set().iloc[0].tolist() == pytest.approx(clustered.confidence_set().iloc[0].tolist())
    again = causal(frame).bounds("monotone_selection", **NAMES).cluster(frame["ward"])
    assert again.confidence_set().iloc[0].tolist() == pytest.approx(clustered.confidence_set().iloc[0].tolist())
    assert "the range of these rows" in found.assumptions[0]
    with pytest.raises(CausalError, match="as they were"):
        effect.compact().bounds()


def test_weights_and_units():
    w = np.array([1.0, 2, 1, 1, 2, 1, 1, 1, 3, 1])
    twice = FRAME.loc[FRAME.index.repeat(w.astype(int))].reset_index(drop=True)
    for method in ("manski", "monotone"):
        one = causal(FRAME.assign(w=w)).bounds(method, **NAMES, sample_weight="w")
        assert ends(one) == pytest.approx(ends(causal(twice).bounds(method, **NAMES)))
        scaled = causal(FRAME.assign(y=10 * FRAME["y"] - 3)).bounds(method, **NAMES)
        assert ends(scaled) == pytest.approx([10 * v for v in ends(causal(FRAME).bounds(method, **NAMES))])


def test_interval_of_the_effect_lies_within_those_of_its_bounds():
    found = causal(FRAME).bounds(**NAMES)
    low, high = found.confidence_set().iloc[0]
    assert found.table["conf_low"].iloc[0] < low < found.estimates.iloc[0]
    assert found.estimates.iloc[1] < high < found.table["conf_high"].iloc[1]
    assert "Imbens and Manski" in found.summary()


def test_rows_are_sliced_with_their_interval():
    frame = FRAME.assign(d=[0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    found = causal(frame).bounds(**NAMES)
    one = found[["2 - 0"]]
    assert one.confidence_set().index.tolist() == ["2 - 0"]
    assert one.confidence_set().iloc[0].tolist() == found.confidence_set().loc["2 - 0"].tolist()
    assert found.compact().confidence_set().equals(found.confidence_set())


def test_picture():
    ax = causal(FRAME).bounds(**NAMES).plot()
    bar = ax.collections[1].get_segments()[0]
    assert bar[:, 0].tolist() == pytest.approx(ends(causal(FRAME).bounds(**NAMES)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"outcome_range": (1, 0)}, "the least first"),
        ({"outcome_range": 3}, "least and the largest"),
        ({"response": "up"}, "response='up' is not known"),
        ({"estimand": "ATC"}, "estimand='ATC' is not known"),
        ({"covariates": ["y"]}, "is for bounds\\('lee'\\)"),
    ],
)
def test_wrong_settings_are_refused(settings, words):
    with pytest.raises(CausalArgumentError, match=words):
        causal(FRAME).bounds(**NAMES, **settings)


def test_outcomes_beyond_the_range_are_counted():
    with pytest.raises(CausalDataError, match="in 5 rows"):
        causal(FRAME).bounds(**NAMES, outcome_range=(0, 0.5))
    with pytest.raises(CausalArgumentError, match=r"'manki'\) is not known \(did you mean 'manski'"):
        causal(FRAME).bounds("manki", **NAMES)
    effect = causal(FRAME).association(**NAMES)
    with pytest.raises(CausalArgumentError, match="ask the frame"):
        effect.bounds("lee")
    with pytest.raises(CausalArgumentError, match="0/1 outcome, treatment and instrument"):
        effect.bounds("balke_pearl")


def test_balke_and_pearl_are_those_of_the_instrument():
    rng = np.random.default_rng(1)
    z, u = rng.integers(0, 2, 2_000), rng.normal(size=2_000)
    d = (z + u > 0.6).astype(int)
    frame = pd.DataFrame({"z": z, "d": d, "y": (d + u + rng.normal(size=2_000) > 0.7).astype(int)})
    effect = frame.causal.iv(treatment="d", outcome="y", instrument="z", estimator="interactive")
    assert effect.bounds() is effect.diagnostics["bounds"]


# -- Lee ---------------------------------------------------------------------------------------------------------------

JOBS = pd.DataFrame(
    {
        "d": [0] * 10 + [1] * 10,
        "y": [1, 2, 3, 4, 5, *[np.nan] * 5, 1, 2, 3, 4, 5, 6, 7, 8, *[np.nan] * 2],
        "cell": ["a", "b"] * 10,
    }
)


def test_lee_by_hand():
    """Observed 8 of 10 and 5 of 10: three of the eight, 37.5%, are trimmed."""
    found = causal(JOBS).bounds("lee", **NAMES)
    assert ends(found) == pytest.approx([3 - 3, 6 - 3])
    row = found.diagnostics["selection"].table.iloc[0]
    assert row["trimmed"] == pytest.approx(0.375)
    assert row["trimmed_arm"] == "1"
    assert found.population == "the always observed"


def test_lee_trims_whichever_arm_is_seen_more():
    turned = causal(JOBS.assign(d=1 - JOBS["d"])).bounds("lee", **NAMES)
    assert ends(turned) == pytest.approx([-3, 0])
    assert turned.diagnostics["selection"].table.iloc[0]["trimmed_arm"] == "0"


def test_lee_without_selection_is_the_difference():
    frame = JOBS.assign(y=np.r_[JOBS["y"].fillna(0)[:10], np.arange(10)])
    found = causal(frame).bounds("lee", **NAMES)
    assert ends(found) == pytest.approx([frame.groupby("d")["y"].mean().diff().iloc[1]] * 2)
    t = frame.causal.ab_test(**NAMES).std_error
    assert found.table["std_error"].tolist() == pytest.approx([t * np.sqrt(0.9)] * 2)


def test_lee_selected_column_says_who_is_observed():
    frame = JOBS.assign(employed=JOBS["y"].notna().astype(int), y=JOBS["y"].fillna(999.0))
    assert ends(causal(frame).bounds("lee", **NAMES, selected="employed")) == pytest.approx([0, 3])
    with pytest.raises(CausalDataError, match="missing where employed says it is observed in 7 rows"):
        causal(frame.assign(y=JOBS["y"], employed=1)).bounds("lee", **NAMES, selected="employed")


def test_lee_cells_are_averaged_over_the_always_observed():
    rng = np.random.default_rng(0)
    n = 4_000
    d, x = rng.integers(0, 2, n), rng.integers(0, 3, n)
    seen = rng.uniform(size=n) < 0.3 + 0.15 * x + 0.2 * d
    frame = pd.DataFrame({"d": d, "x": x, "y": np.where(seen, d + 2 * x + rng.normal(size=n), np.nan)})
    wide, tight = causal(frame).bounds("lee", **NAMES), causal(frame).bounds("lee", **NAMES, covariates=["x"])
    assert wide.estimates.iloc[0] < tight.estimates.iloc[0] < tight.estimates.iloc[1] < wide.estimates.iloc[1]
    table = tight.diagnostics["selection"].table
    each = [ends(causal(part).bounds("lee", **NAMES)) for _, part in frame.groupby("x")]
    assert ends(tight) == pytest.approx((table["weight"].to_numpy() @ np.array(each)).tolist())
    control = frame[(frame["d"] == 0) & frame["y"].notna()]
    assert table["weight"].tolist() == pytest.approx(control["x"].value_counts(normalize=True).sort_index().tolist())


def test_lee_weights_are_repeated_rows():
    w = np.tile([1.0, 2.0, 1.0, 3.0], 5)
    twice = JOBS.loc[JOBS.index.repeat(w.astype(int))].reset_index(drop=True)
    one = causal(JOBS.assign(w=w)).bounds("lee", **NAMES, sample_weight="w")
    assert ends(one) == pytest.approx(ends(causal(twice).bounds("lee", **NAMES)))


def test_lee_cells_against_the_direction_are_warned_of():
    frame = JOBS.assign(cell=["a"] * 5 + ["b"] * 5 + ["a"] * 8 + ["b"] * 2, y=JOBS["y"].fillna(np.nan))
    frame.loc[[5, 18], "y"] = 3.0
    frame.loc[6, "y"] = 2.0
    with pytest.warns(AssumptionWarning, match="the other way"):
        causal(frame).bounds("lee", **NAMES, covariates=["cell"])


def test_lee_bad_input():
    with pytest.raises(CausalDataError, match="has 3 arms"):
        causal(JOBS.assign(d=np.arange(20) % 3)).bounds("lee", **NAMES)
    with pytest.raises(CausalDataError, match="is observed in no row of arm 1"):
        causal(JOBS.assign(y=JOBS["y"].where(JOBS["d"] == 0))).bounds("lee", **NAMES)
    with pytest.raises(CausalDataError, match="pd.qcut"):
        causal(pd.concat([JOBS] * 2, ignore_index=True).assign(x=np.arange(40.0))).bounds(
            "lee", **NAMES, covariates=["x"]
        )
    with pytest.raises(CausalDataError, match="has no observed row in one of the arms"):
        causal(JOBS.assign(x=np.arange(20) // 10)).bounds("lee", **NAMES, covariates=["x"])
    with pytest.raises(CausalDataError, match="is given as covariate but is no column"):
        causal(JOBS).bounds("lee", **NAMES, covariates=["z"])
    with pytest.raises(CausalArgumentError, match="no setting 'outcome_range'"):
        causal(JOBS).bounds("lee", **NAMES, outcome_range=(0, 1))
    with pytest.raises(CausalDataError, match="d: is missing in 1 row"):
        causal(JOBS.assign(d=[np.nan, *JOBS["d"][1:]])).bounds("lee", **NAMES)
