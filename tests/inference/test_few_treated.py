"""How many units stand behind a row: by hand."""

from dataclasses import replace

import numpy as np
import pytest

from pandas_causal.inference.few_treated import Treated, beside
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.rows import RowIdentity


def counted(**more):
    """Cohorts of 3, 1 and 2 units; parameters: two cells of the first, one of each other, one of none."""
    groups = np.array([0, 0, 0, 1, 2, 2, -1, -1])
    return Treated.of(np.array([0, 0, 1, 2, -1]), groups, **more)


def test_units_are_counted_once():
    rows = np.array([[1, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0], [0, 0, 1, 0, 3], [0.2, 0, 0.3, 0.5, 0], [0, 0, 0, 0, 1.0]])
    assert counted().behind(rows).tolist() == [3, 3, 1, 6, np.inf]


def test_a_cell_that_saw_fewer_units():
    most = np.array([2, 1, 1, 2, 0])
    rows = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0.0]])
    assert counted(most=most).behind(rows).tolist() == [2, 1, 3, 6]
    controls = np.array([2, 1, 2, 1, 0])
    assert counted(controls=controls).behind(rows).tolist() == [2, 1, 2, 2]


def test_clusters():
    """The first two cohorts share cluster p, the third has q and r."""
    treated = counted().clustered([np.array(["p", "p", "p", "p", "q", "r", "s", "p"])])
    rows = np.eye(5)[[0, 2, 3]]
    assert treated.behind(rows).tolist() == [1, 1, 2]
    assert treated.behind(np.array([[1.0, 0, 1, 0, 0], [1, 0, 1, 1, 0]])).tolist() == [1, 3]
    assert treated.compact().behind(rows).tolist() == [1, 1, 2]


def test_clusters_of_comparison_units():
    """The untreated lie in cluster s alone; the other cohorts in p, q and r too."""
    labels = np.array(["p", "p", "o", "p", "q", "r", "s", "s"])
    controls = np.array([2, 5, 5, 5, 0])
    rows = np.eye(5)[[0, 1]]
    strict = counted(controls=controls, untreated_only=True).clustered([labels])
    assert strict.behind(rows).tolist() == [1, 1]
    wide = counted(controls=controls).clustered([labels])
    assert wide.controls.tolist()[:2] == [2, 4]
    assert wide.behind(rows).tolist() == [2, 2]  # the first cohort lies in p and o


def test_two_ways_count_by_the_coarser():
    coarse, fine = np.array(list("ppppqqss")), np.arange(8)
    assert counted().clustered([fine, coarse]).behind(np.eye(5)[[0, 3]]).tolist() == [1, 1]


def test_a_difference_rests_on_the_side_with_fewer():
    joint = beside(counted(), None, 5)
    rows = np.hstack([np.eye(5)[[0, 2, 4]], -np.eye(5)[[0, 2, 4]]])
    assert joint.behind(rows).tolist() == [3, 1, np.inf]
    assert beside(counted(), counted(most=np.full(5, 2)), 5).compact().behind(rows).tolist() == [2, 1, np.inf]
    assert beside(None, None, 5) is None


@pytest.mark.parametrize("n_groups", [3, 70])
def test_many_groups_are_counted_alike(n_groups):
    rng = np.random.default_rng(0)
    groups, labels = rng.integers(-1, n_groups, 400), rng.integers(0, 90, 400)
    treated = Treated.of(np.arange(n_groups), groups).clustered([labels])
    rows = rng.random((20, n_groups)) * (rng.random((20, n_groups)) < 0.1)
    expected = [len(set(labels[np.isin(groups, np.flatnonzero(row))])) or np.inf for row in rows]
    assert treated.behind(rows).tolist() == expected


def test_one_unit_has_no_standard_error():
    rng = np.random.default_rng(1)
    contributions = rng.normal(size=(8, 5))
    contributions -= contributions.mean(axis=0)
    u = Influence.from_contributions(np.arange(5.0), contributions, RowIdentity(np.arange(8)))
    counted_u = replace(u, treated=counted())
    assert np.isnan(counted_u.std_error()).tolist() == [False, False, True, False, False]
    assert np.isnan(counted_u.covariance()).sum() == 9
    np.testing.assert_allclose(counted_u.std_error()[[0, 1, 3, 4]], u.std_error()[[0, 1, 3, 4]])
    averaged = counted_u.linear(np.full((1, 5), 0.2))
    assert np.isfinite(averaged.std_error()).all()
