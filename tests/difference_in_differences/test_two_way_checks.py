"""What two-way fixed effects averages: decompositions against the regression they decompose."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from pandas_causal.difference_in_differences.two_way_checks import _least_spread, bacon_decomposition, two_way_weights
from pandas_causal.errors import CausalDataError
from pandas_causal.estimator import CausalEstimator
from pandas_causal.panels.reading import read_panel


class Reader(CausalEstimator):
    """Stands for an estimator: what the reading of a panel remembers goes here."""


def staggered(n=60, T=6, seed=0, weights=False):
    rng = np.random.default_rng(seed)
    start = np.array([np.inf, 2, 4])[np.arange(n) % 3]
    frame = pd.DataFrame({"unit": np.repeat(np.arange(n), T), "time": np.tile(np.arange(T), n)})
    frame["cohort"] = start[frame["unit"]]
    since = frame["time"] - frame["cohort"]
    frame["y"] = rng.normal(size=n)[frame["unit"]] + 0.3 * frame["time"] + np.where(since >= 0, 1 + since, 0)
    frame["y"] += rng.normal(size=len(frame))
    if weights:
        frame["w"] = rng.uniform(0.5, 2, n)[frame["unit"]]
    return frame


def panel_of(frame, **roles):
    given = [c for c in ("unit", "time", "cohort", "treatment", "w") if c in frame]
    X = frame[given]
    how = {"treatment": "treatment"} if "treatment" in frame else {"cohort": "cohort"}
    weight = {"sample_weight": "w"} if "w" in frame else {}
    return read_panel(Reader(), X, frame["y"], unit="unit", time="time", **how, **weight, **roles)


def two_way_by_dummies(frame):
    """Weighted least squares on unit, period and treatment dummies."""
    D = (frame["time"] >= frame["cohort"]).to_numpy(float) if "cohort" in frame else frame["treatment"].to_numpy(float)
    units, times = pd.get_dummies(frame["unit"], dtype=float), pd.get_dummies(frame["time"], dtype=float)
    Z = np.column_stack([D, units, times.iloc[:, 1:]])
    w = np.sqrt(frame["w"].to_numpy()) if "w" in frame else np.ones(len(frame))
    return np.linalg.lstsq(Z * w[:, None], frame["y"].to_numpy() * w, rcond=None)[0][0]


@pytest.mark.parametrize("weights", [False, True])
def test_comparisons_average_to_the_two_way_coefficient(weights):
    frame = staggered(weights=weights)
    check = bacon_decomposition(panel_of(frame))
    table = check.table
    assert table["weight"].sum() == pytest.approx(1)
    assert table["weight"] @ table["estimate"] == pytest.approx(two_way_by_dummies(frame), abs=1e-10)
    assert len(table) == 4  # two cohorts against never treated, and against each other
    assert not check.passed
    already = table[table["kind"] == "already treated"]
    assert already[["treated", "control"]].to_numpy().tolist() == [[4, 2]]
    assert f"{already['weight'].sum():.0%} of the weight compares with already treated" in check.summary


def test_one_comparison_by_hand():
    """Cohort 2 against never treated: the difference of differences of means, whatever the others do."""
    frame = staggered()
    table = bacon_decomposition(panel_of(frame)).table.set_index(["treated", "control"])
    means = frame.groupby([frame["cohort"] == 2, frame["cohort"] == np.inf, frame["time"] >= 2])["y"].mean()
    by_hand = (means[True, False, True] - means[True, False, False]) - (
        means[False, True, True] - means[False, True, False]
    )
    assert table.loc[(2, "never"), "estimate"] == pytest.approx(by_hand)


def test_one_cohort_compares_with_never_treated_only():
    frame = staggered()
    check = bacon_decomposition(panel_of(frame[frame["cohort"] != 4]))
    assert check.passed
    assert check.table["kind"].tolist() == ["never treated"]


@pytest.mark.published
def test_bacon_equals_a_peer():
    peer = pytest.importorskip("diff_diff", reason="a peer that may be absent")
    frame = staggered()
    theirs = (
        peer.BaconDecomposition(weights="exact")
        .fit(
            frame.assign(cohort=frame["cohort"].replace(np.inf, 0)),
            outcome="y",
            unit="unit",
            time="time",
            first_treat="cohort",
        )
        .to_dataframe()
    )
    table = bacon_decomposition(panel_of(frame)).table
    np.testing.assert_allclose(
        np.sort(theirs["estimate"].to_numpy(dtype=float)), np.sort(table["estimate"].to_numpy()), atol=1e-9
    )
    np.testing.assert_allclose(
        np.sort(theirs["weight"].to_numpy(dtype=float)), np.sort(table["weight"].to_numpy()), atol=1e-9
    )


def test_what_cannot_be_decomposed():
    frame = staggered()
    with pytest.raises(CausalDataError, match="lacks 1 unit-period rows"):
        bacon_decomposition(panel_of(frame.drop(index=[7])))
    changing = frame.assign(w=np.arange(len(frame)) + 1.0)
    with pytest.raises(CausalDataError, match="weights change within units"):
        bacon_decomposition(panel_of(changing))
    off = frame.assign(treatment=((frame["time"] == 2) & (frame["cohort"] == 2)).astype(int)).drop(columns="cohort")
    with pytest.raises(CausalDataError, match="switches off"):
        bacon_decomposition(panel_of(off, absorbing=False))


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("drop", [0, 17])
def test_weights_recover_the_coefficient_from_the_cells_effects(weights, drop):
    """With no noise and parallel trends, the coefficient is exactly the weighted sum of the cells' effects."""
    frame = staggered(weights=weights)
    frame = frame.drop(index=frame.index[3 : 3 + drop])
    since = (frame["time"] - frame["cohort"]).to_numpy()
    on = since >= 0
    effects = np.where(on, 1 + np.where(on, since, 0) ** 2 + (frame["cohort"] == 4), 0.0)
    frame["y"] = 0.1 * frame["unit"] + 0.5 * frame["time"] + effects
    check = two_way_weights(panel_of(frame))
    table = check.table
    assert table["weight"].sum() == pytest.approx(1)
    cell_effects = 1 + (table["period"] - table["cohort"]) ** 2 + (table["cohort"] == 4)
    assert table["weight"] @ cell_effects == pytest.approx(two_way_by_dummies(frame), abs=1e-9)
    assert table["rows"].sum() == on.sum()
    assert check.passed == (table["weight"] >= 0).all()


def test_negative_weights_are_found_and_told():
    frame = staggered(T=8)
    frame = frame[frame["cohort"] != np.inf].assign(cohort=lambda f: f["cohort"].where(f["cohort"] != 4, 5))
    check = two_way_weights(panel_of(frame))
    assert not check.passed
    worst = check.table.sort_values("weight").iloc[0]
    assert worst["cohort"] == 2  # the early cohort's late periods
    assert worst["period"] >= 5
    assert "for all of the other sign" in check.summary


def test_least_spread_equals_a_quadratic_programme():
    rng = np.random.default_rng(0)
    found_opposite = 0
    for _ in range(4):
        share = rng.dirichlet(np.ones(5))
        ratio = rng.normal(1, 1.2, 5)
        ratio /= share @ ratio
        zero, opposite = _least_spread(0.7, ratio, share)

        def variance(d, share=share):
            return share @ d**2 - (share @ d) ** 2

        coefficient = {"type": "eq", "fun": lambda d, s=share, r=ratio: (s * r) @ d - 0.7}
        average = {"type": "eq", "fun": lambda d, s=share: s @ d}

        def least(constraints, bounds=None, variance=variance):
            starts = -np.abs(rng.normal(size=(10, 5)))
            options = {"ftol": 1e-14, "maxiter": 500}
            runs = [
                minimize(variance, x, constraints=constraints, bounds=bounds, method="SLSQP", options=options)
                for x in starts
            ]
            return np.sqrt(min(run.fun for run in runs if run.success))

        assert zero == pytest.approx(least([coefficient, average]), rel=1e-5)
        if opposite is not None:
            found_opposite += 1
            assert opposite == pytest.approx(least([coefficient], [(None, 0)] * 5), rel=1e-4)
    assert found_opposite
