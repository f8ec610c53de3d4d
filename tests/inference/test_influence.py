import numpy as np
import pandas as pd
import pytest

from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError
from pandas_causal.inference.influence import (
    Component,
    Influence,
    cluster_component,
    cluster_sums,
    join,
    quadratic_forms,
)
from pandas_causal.inference.rows import RowIdentity, join_rows

RNG = np.random.default_rng(3)
PSI = RNG.normal(size=(60, 3))
PSI -= PSI.mean(axis=0)
LABELS = np.repeat(np.arange(12), 5)


def influence(**more):
    return Influence.from_contributions(np.arange(3.0), PSI / 60, RowIdentity(pd.RangeIndex(60)), **more)


def test_cluster_sums_keep_labels_and_merge_across_chunks():
    whole = cluster_sums(PSI, LABELS)
    chunks = [cluster_sums(PSI[:33], LABELS[:33]), cluster_sums(PSI[33:], LABELS[33:])]
    merged = pd.concat(chunks).groupby(level=0).sum()
    pd.testing.assert_frame_equal(merged, whole.sort_index())
    assert len(pd.concat(chunks)) == 13  # one cluster lies across the chunks


def test_one_way_factor():
    component = cluster_component(PSI, [LABELS], p=3)
    sums = PSI.reshape(12, 5, 3).sum(axis=1)
    np.testing.assert_allclose(component.meat, 12 / 11 * 59 / 57 * sums.T @ sums)
    assert (component.df, component.joint_scale) == (11, pytest.approx(59 / 57))


def test_two_way_is_a_plus_b_minus_both_each_with_its_factor():
    other = np.tile(np.arange(10), 6)
    component = cluster_component(PSI, [LABELS, other], p=3)
    pair = LABELS * 100 + other
    parts = [cluster_component(PSI, [v], p=3).meat for v in (LABELS, other, pair)]
    np.testing.assert_allclose(component.meat, parts[0] + parts[1] - parts[2])
    assert component.df == 9


def test_satterthwaite_is_recomputed_after_a_linear_map():
    a, b = np.diag([1.0, 0.0, 0.0]), np.diag([0.0, 4.0, 0.0])
    u = influence(components=(Component(a, 3.0), Component(b, 7.0)))
    mapped = u.linear([[1, 1, 0], [2, 0, 0], [0, 0, 1]])
    df = mapped.df()
    assert df[0] == pytest.approx(25 / (1 / 3 + 16 / 7))
    assert df[1] == pytest.approx(3)
    assert np.isinf(df[2])  # nothing varies there
    assert influence(components=(Component(a + b, 5.0),)).df()[0] == 5


def test_a_large_map_never_forms_rows_by_rows():
    loadings = RNG.normal(size=(300_000, 3))
    u = influence(loadings=loadings)
    se = u.std_error()
    assert se.shape == (300_000,)
    np.testing.assert_allclose(se[:5], np.sqrt(np.diag(loadings[:5] @ u.meat() @ loadings[:5].T)))


def test_rounding_is_clipped_and_real_negatives_are_refused():
    assert quadratic_forms(np.array([[1.0, -1.0]]), np.full((2, 2), 0.1) - 1e-19 * np.eye(2))[0] == 0
    with pytest.raises(CausalError, match="negative"):
        quadratic_forms(np.array([[1.0, 0.0]]), -np.eye(2))


def test_draws_have_the_covariance_and_the_tails():
    u = influence(components=(Component(PSI.T @ PSI / 3600, np.inf),))
    draws = u.draws(200_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.cov(draws, rowvar=False), u.covariance(), atol=0.02 * u.covariance().max())
    heavy = influence(components=(Component(np.eye(3), 4.0),)).draws(200_000, np.random.default_rng(0))
    assert (np.abs(heavy[:, 0]) > 2.776).mean() == pytest.approx(0.05, abs=0.003)  # t(4)


def test_join_shares_parameters_of_one_fit():
    u = influence()
    both = join(u.linear([[1, 0, 0]]), u.linear([[0, 1, 0]]))
    assert len(both.values) == 3
    np.testing.assert_allclose(both.covariance(), u.covariance()[:2, :2])


def test_three_ways_by_the_signed_sum_over_pairs_of_rows():
    """Two rows count once if they share any label (Cameron, Gelbach and Miller 2011, eq. 2.13)."""
    ways = [LABELS, np.tile(np.arange(10), 6), RNG.integers(0, 7, 60)]
    shares = np.any([a[:, None] == a[None, :] for a in ways], axis=0)
    raw = cluster_component(PSI, ways, p=3, small_sample=False)
    assert raw.meat == pytest.approx(PSI.T @ shares @ PSI)
    named = [np.array([f"c{v}" for v in way]) for way in ways]
    corrected = cluster_component(PSI, ways, p=3)
    assert cluster_component(PSI, named[::-1], p=3).meat == pytest.approx(corrected.meat)
    assert corrected.df == min(len(np.unique(way)) for way in ways) - 1


def test_more_than_four_ways_are_refused():
    with pytest.raises(CausalArgumentError, match="up to 4; got 5"):
        cluster_component(PSI, [LABELS] * 5, p=3)


def test_join_of_one_fit_clustered_two_ways_is_not_taken_for_shared():
    u = influence()
    with pytest.raises(CausalArgumentError, match="cluster both"):
        join(u.cluster([LABELS]), u)


def test_clusters_that_disagree_on_shared_rows_are_refused():
    a = influence().cluster([LABELS])
    b = Influence.from_contributions(np.zeros(1), PSI[:, :1] / 60, a.rows).cluster([np.roll(LABELS, 1)])
    with pytest.raises(CausalDataError, match="different cluster labels"):
        join(a, b)


def test_joined_clusters_follow_labels():
    left = Influence.from_contributions([0.0], PSI[:40, :1], RowIdentity(pd.Index(range(100, 140)))).cluster(
        [LABELS[:40]]
    )
    right = Influence.from_contributions([0.0], PSI[20:, 1:2], RowIdentity(pd.Index(range(120, 160)))).cluster(
        [LABELS[20:]]
    )
    both = join(left, right)
    stacked = np.zeros((60, 2))
    stacked[:40, 0], stacked[20:, 1] = PSI[:40, 0], PSI[20:, 1]
    np.testing.assert_allclose(both.covariance(), cluster_component(stacked, [LABELS], p=2).meat)


def test_rows_know_order_and_content():
    y = np.arange(5.0)
    a, b = RowIdentity(pd.RangeIndex(5), y), RowIdentity(pd.Index([4, 3, 2, 1, 0]), y[::-1].copy())
    assert a.same_set(b)
    assert not a.same_order(b)
    assert not a.same_set(RowIdentity(pd.RangeIndex(5), y + 1))
    assert a.is_default
    assert not b.is_default
    assert not RowIdentity(pd.RangeIndex(5, name="unit"), y).is_default
    joined = join_rows(a, b)
    np.testing.assert_array_equal(joined.left, range(5))
    np.testing.assert_array_equal(joined.right, [4, 3, 2, 1, 0])


def test_rows_with_repeated_labels_in_another_order_are_refused():
    labels, alike = pd.Index(["a", "a", "b"]), np.array([1.0, 1.0, 2.0])
    with pytest.raises(CausalDataError, match="repeat"):
        join_rows(RowIdentity(labels, alike), RowIdentity(labels[::-1], alike[::-1].copy()))
    same = RowIdentity(labels, np.arange(3.0))
    assert join_rows(same, RowIdentity(labels, np.arange(3.0))).left is None


def test_rows_with_repeated_labels_and_different_content_are_told_apart():
    labels, y = pd.Index(["a", "a", "b", "a"]), np.array([3.0, 1.0, 2.0, 4.0])
    order = np.array([2, 3, 0, 1])
    joined = join_rows(RowIdentity(labels, y), RowIdentity(labels[order], y[order]))
    np.testing.assert_array_equal(joined.left, range(4))
    np.testing.assert_array_equal(joined.right, order)
