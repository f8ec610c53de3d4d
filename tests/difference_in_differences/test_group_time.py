"""Which cells a staggered panel has, and the units they compare."""

import numpy as np
import pytest

from pandas_causal.difference_in_differences.cells import cohort_shares
from pandas_causal.difference_in_differences.group_time import (
    Cell,
    CellSettings,
    ReferenceEvent,
    estimate_cells,
    plan_cells,
)
from pandas_causal.estimator import CausalEstimator
from pandas_causal.panels.reading import read_panel
from tests.panels.designs import staggered


def cells_of(read, settings):
    return estimate_cells(read, settings, cohort_shares(read, read.treated_cohorts))


def panel(frame, **roles):
    class Design(CausalEstimator):
        pass

    names = {"unit": "unit", "time": "time", "cohort": "cohort", **roles}
    names = {k: v for k, v in names.items() if v is not None}
    return read_panel(Design(), frame[list(names.values())], frame["y"], **names)


def test_base_periods_by_hand():
    """Four periods, cohorts that start in the third and fourth (positions 2 and 3)."""
    varying = plan_cells([2, 3], 4, "varying", 0)
    assert varying == [(2, 1, 0), (2, 2, 1), (2, 3, 1), (3, 1, 0), (3, 2, 1), (3, 3, 2)]
    universal = plan_cells([2, 3], 4, "universal", 0)
    assert universal == [(2, t, 1) for t in range(4)] + [(3, t, 2) for t in range(4)]
    assert [c for c in universal if c.is_reference] == [(2, 1, 1), (3, 2, 2)]
    early = plan_cells([2, 3], 4, "varying", 1)
    assert [c for c in early if c.time >= c.cohort] == [(2, 2, 0), (2, 3, 0), (3, 3, 1)]
    earlier = plan_cells([4], 6, "varying", 2)
    assert earlier == [(4, 1, 0), (4, 2, 1), (4, 3, 1), (4, 4, 1), (4, 5, 1)]  # from 2 on treatment is anticipated
    assert plan_cells([1], 4, "varying", 1) == []  # no period before treatment and anticipation


def test_a_reference_event_is_its_number():
    event = ReferenceEvent(-1)
    assert event == -1
    assert hash(event) == hash(-1)
    assert str(event) == repr(event) == "-1 (reference)"


@pytest.mark.parametrize("control_group", ["never_treated", "not_yet_treated"])
@pytest.mark.parametrize("by_rows", [False, True])
def test_cells_are_differences_of_means(control_group, by_rows):
    frame = staggered(n=60)
    read = panel(frame)
    found = cells_of(read, CellSettings(control_group=control_group, by_rows=by_rows, base_period="universal"))
    means = frame.groupby(["cohort", "time"])["y"]
    for cell, att in zip(found.cells, found.att, strict=True):
        g, t, b = (read.periods[v] for v in cell)
        controls = frame[(frame["cohort"] == 0) | ((frame["cohort"] > max(t, b)) & (frame["cohort"] != g))]
        if control_group == "never_treated":
            controls = frame[frame["cohort"] == 0]
        other = controls.groupby("time")["y"].mean()
        expected = means.mean()[g, t] - means.mean()[g, b] - other[t] + other[b]
        assert att == pytest.approx(expected, abs=1e-10)


def test_batches_change_nothing():
    """Cells with the same units are computed at once; covariates that change make every cell its own batch."""
    frame = staggered(n=90)
    plan = CellSettings(base_period="universal")
    at_once = cells_of(panel(frame[["unit", "time", "cohort", "y", "x"]].assign(z=frame["x"])), plan)
    read = panel(frame)
    singly = [cells_of(read, plan).att[k] for k in range(len(at_once.cells))]
    np.testing.assert_allclose(singly, at_once.att)
    names = {"unit": "unit", "time": "time", "cohort": "cohort"}

    class Design(CausalEstimator):
        pass

    constant = read_panel(Design(), frame[[*names, "x"]], frame["y"], **names)
    moved = frame.assign(x=frame["x"] + np.where(frame["time"] == 6, 1e-13, 0))
    moving = read_panel(Design(), moved[[*names, "x"]], frame["y"], **names)
    first, second = cells_of(constant, plan), cells_of(moving, plan)
    np.testing.assert_allclose(first.att, second.att, rtol=1e-9)
    np.testing.assert_allclose(first.contributions, second.contributions, atol=1e-12)
    assert len(first.overlap) == 3
    assert len(second.overlap) > 3


def test_cohorts_without_a_cell_after_treatment_are_left_out():
    frame = staggered(n=60)
    treated_at_last = panel(frame[frame["cohort"] > 0])
    found = cells_of(treated_at_last, CellSettings(control_group="not_yet_treated"))
    assert {c.cohort for c in found.cells} == {2, 3}
    assert max(c.time for c in found.cells) == 3
    assert Cell(4, 4, 3) in found.left_out
