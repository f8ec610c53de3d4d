"""Standard errors that rest on few units, on either side, say so; labels of time mean what they say."""

import warnings

import numpy as np
import pandas as pd
import pytest

import pandas_causal  # noqa: F401 - registers df.causal
from pandas_causal.errors import CausalDataError, CausalWarning, FewTreatedWarning, StandardErrorWarning


def panel(n_treated, n_control, T=4, seed=0, start=2):
    rng = np.random.default_rng(seed)
    n = n_treated + n_control
    frame = pd.DataFrame({"id": np.repeat(np.arange(n), T), "t": np.tile(np.arange(T), n)})
    treated = frame["id"] < n_treated
    frame["nj"] = treated.astype(int)
    frame["D"] = (treated & (frame["t"] >= start)).astype(int)
    frame["x"] = rng.normal(size=n)[frame["id"]]
    frame["y"] = frame["x"] + frame["t"] + rng.normal(size=len(frame))
    return frame


def quiet(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        effect = call()
    return effect, {w.category for w in caught if issubclass(w.category, CausalWarning)}


@pytest.mark.parametrize(("n_treated", "n_control"), [(20, 1), (1, 20)])
def test_two_way_with_one_unit_on_a_side_has_no_standard_error(n_treated, n_control):
    frame = panel(n_treated, n_control)
    effect, kinds = quiet(
        lambda: frame.causal.did(outcome="y", unit="id", time="t", treatment="D", estimator="two_way")
    )
    assert np.isnan(effect.std_error)
    assert {FewTreatedWarning, StandardErrorWarning} <= kinds


def test_two_groups_with_covariates_count_the_controls_too():
    frame = panel(20, 1)
    effect, kinds = quiet(
        lambda: frame.causal.did(outcome="y", unit="id", time="t", group="nj", post=2, covariates=["x"])
    )
    assert np.isnan(effect.std_error)
    assert FewTreatedWarning in kinds


def test_cross_sections_count_every_mean():
    """One row of the treated before treatment: its mean has no variance to speak of."""
    frame = panel(20, 20, T=2, start=1)
    frame = frame[(frame["nj"] == 0) | (frame["t"] == 1) | (frame["id"] == 3)]
    effect, kinds = quiet(lambda: frame.causal.did(outcome="y", time="t", group="nj", post=1))
    assert np.isnan(effect.std_error)
    assert FewTreatedWarning in kinds


def test_leads_of_imputation_rest_on_the_treated_units():
    frame = panel(1, 30, T=6, start=4)
    study, kinds = quiet(
        lambda: frame.causal.event_study(outcome="y", unit="id", time="t", treatment="D", estimator="imputation")
    )
    assert study.table["std_error"].isna().all()
    assert FewTreatedWarning in kinds


@pytest.mark.parametrize("estimator", ["sun_abraham", "stacked", "callaway_santanna"])
def test_a_reference_row_is_zero_however_few_are_treated(estimator):
    frame = panel(1, 30, T=5, start=3)
    study, _ = quiet(
        lambda: frame.causal.event_study(outcome="y", unit="id", time="t", treatment="D", estimator=estimator)
    )
    row = study.table.loc[[e == -1 for e in study.table.index]].iloc[0]
    assert (row["estimate"], row["std_error"]) == (0, 0)


def test_two_way_effects_of_cross_sections_and_of_always_treated_units_can_be_shown():
    frame = panel(15, 15)
    frame["g"] = np.where(frame["nj"] == 1, 2.0, np.inf)
    assert "two-way" in str(frame.causal.did(outcome="y", time="t", cohort="g", estimator="two_way"))
    always = frame.assign(D=np.where(frame["id"] < 3, 1, frame["D"]))
    effect = always.causal.did(outcome="y", unit="id", time="t", treatment="D", estimator="two_way")
    assert effect.diagnostics["trends"].table["treated"].any()
    assert "two-way" in str(effect)


@pytest.mark.parametrize(
    "labels", [["Jan 2004", "Feb 2004", "Mar 2004", "Apr 2004"], ["11/2004", "12/2004", "01/2005", "02/2005"]]
)
def test_labels_that_text_would_put_in_another_order_are_refused(labels):
    frame = panel(10, 10).assign(t=lambda f: np.array(labels)[f["t"]])
    with pytest.raises(CausalDataError, match="order is unclear"):
        frame.causal.did(outcome="y", unit="id", time="t", treatment="D")


def test_unordered_categories_out_of_order_are_refused_and_ordered_ones_read():
    frame = panel(10, 10, T=3, start=1)
    names = ["start", "middle", "end"]
    labels = pd.Series(pd.Categorical(np.array(names)[frame["t"]], categories=names), index=frame.index)
    ask = {"outcome": "y", "unit": "id", "treatment": "D"}
    with pytest.raises(CausalDataError, match="unordered categorical"):
        frame.assign(t=labels).causal.did(time="t", **ask)
    ordered = frame.assign(t=labels.cat.as_ordered()).causal.did(time="t", **ask)
    assert ordered.aggregate().estimate == pytest.approx(frame.causal.did(time="t", **ask).aggregate().estimate)


def test_years_as_text_have_the_gaps_of_years():
    frame = panel(10, 10, T=5, start=3).assign(t=lambda f: f["t"] + 2000)
    gap = frame[frame["t"] != 2002]
    for time in (gap["t"], gap["t"].astype(str)):
        with pytest.raises(CausalDataError, match="time has 1 gap"):
            gap.assign(t=time).causal.did(outcome="y", unit="id", time="t", treatment="D")


def test_honest_bounds_of_few_clusters_are_as_wide_as_the_effects_own_interval():
    frame = panel(12, 12, T=5, start=3).assign(k=lambda f: f["id"] % 12)
    study = frame.causal.event_study(outcome="y", unit="id", time="t", treatment="D", cluster="k")
    own = study.table.loc[[e == 0 for e in study.table.index], ["conf_low", "conf_high"]].to_numpy(dtype=float)[0]
    bounds = study.sensitivity("smoothness", bounds=[0.1])
    np.testing.assert_allclose(bounds.table.iloc[0].to_numpy(), own, rtol=1e-9)
