"""``df.causal.did`` and ``df.causal.event_study``: names in, an Effect out."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import CallawaySantAnna
from pandas_causal.errors import CausalArgumentError, CausalDataError
from tests.panels.designs import ROLES, staggered


@pytest.fixture(scope="module")
def frame():
    return staggered(n=80)


def test_did_is_callaway_santanna(frame):
    effect = frame.causal.did(**ROLES, covariates=["x"], control_group="not_yet_treated", level=0.9)
    assert isinstance(effect.estimator, CallawaySantAnna)
    assert effect.level == 0.9
    assert effect.facts["control_group"] == "not_yet_treated"
    named = frame.causal.did(**ROLES, covariates=["x"], estimator="callaway_santanna", control_group="not_yet_treated")
    pd.testing.assert_series_equal(named.estimates, effect.estimates)


def test_an_instance_keeps_its_settings_unless_the_call_says_otherwise(frame):
    instance = CallawaySantAnna(method="ipw", anticipation=1)
    effect = frame.causal.did(**ROLES, covariates=["x"], estimator=instance)
    assert effect.facts["method"] == "ipw"
    assert effect.facts["anticipation"] == 1
    assert frame.causal.did(**ROLES, estimator=instance, anticipation=0).facts["anticipation"] == 0
    assert instance.anticipation == 1
    assert frame.causal.event_study(**ROLES, estimator=CallawaySantAnna()).reference_rows is None


def test_event_study_is_the_average_by_event_from_a_universal_base(frame):
    effect = frame.causal.event_study(**ROLES)
    cells = frame.causal.did(**ROLES, base_period="universal")
    pd.testing.assert_frame_equal(effect.table, cells.aggregate("event").table)
    assert effect.facts["base_period"] == "universal"
    assert frame.causal.event_study(**ROLES, base_period="varying").reference_rows is None
    assert effect.estimand == "effect on the treated of y, by periods since treatment"
    overall = effect.aggregate("overall")
    assert overall.estimate == pytest.approx(np.mean([v for e, v in effect.estimates.items() if e >= 0]))


def test_reached_through_fit(frame):
    effect = frame.causal.fit(CallawaySantAnna(), outcome="y", unit="unit", time="time", cohort="cohort")
    pd.testing.assert_series_equal(effect.estimates, frame.causal.did(**ROLES).estimates)


def test_wrong_arguments(frame):
    with pytest.raises(CausalArgumentError, match="'callaway_santanna', 'imputation'"):
        frame.causal.did(**ROLES, estimator="callaway")
    with pytest.raises(CausalArgumentError, match="has no setting 'post'"):
        frame.causal.did(**ROLES, post=3)
    with pytest.raises(CausalArgumentError, match="exactly one of cohort="):
        frame.causal.did(outcome="y", unit="unit", time="time")
    with pytest.raises(CausalDataError, match="'units' .*|units: is given as unit but is no column"):
        frame.causal.did(**{**ROLES, "unit": "units"})
    for question in (frame.causal.did, frame.causal.event_study):
        with pytest.raises(CausalArgumentError, match="clustered by it already"):
            question(**ROLES, cluster="unit")
    with pytest.raises(CausalDataError, match="is both unit and time"):
        frame.causal.did(**{**ROLES, "unit": "time"})


@pytest.mark.parametrize("name", ["w", "wy", "n", "mean", "group", "y"])
@pytest.mark.parametrize("periods", [(2001, 2002), ("before", "later")])
def test_no_name_of_the_time_column_changes_the_means_of_cells(name, periods):
    y = np.random.default_rng(0).normal(size=80)
    time = np.tile(periods, 40).astype(object)
    frame = pd.DataFrame({"outcome": y, name: time, "arm": np.repeat([0, 1], 40)}).infer_objects()
    effect = frame.causal.did(outcome="outcome", time=name, group="arm", post=periods[1])
    table = effect.diagnostics["cells"].table
    assert table.index.names == ["group", name]
    expected = [y[40::2].mean(), y[41::2].mean(), y[:40:2].mean(), y[1:40:2].mean()]
    np.testing.assert_allclose(table["mean"], expected)
    assert table["n"].tolist() == [20] * 4
    assert [group for group, _ in table.index] == ["treated"] * 2 + ["untreated"] * 2
    assert str(effect)
