"""Which rows trees see, know of, and set aside."""

import numpy as np
import pytest

from pandas_causal.forests.growing import Sampling

CLUSTERS = np.repeat(np.arange(30), np.arange(5, 35))
SEEDS = np.array([1, 2, 3, 4, 5], dtype=np.uint64)


def test_a_tree_knows_all_rows_of_the_clusters_it_drew():
    sampling = Sampling.of(len(CLUSTERS), 0.5, 0.5, pairs=True, clusters=CLUSTERS, equalise=True)
    taken = np.concatenate(sampling.tree(SEEDS))
    seen = sampling.seen(SEEDS)
    assert len(taken) < len(seen)
    np.testing.assert_array_equal(np.sort(seen), np.flatnonzero(np.isin(CLUSTERS, CLUSTERS[taken])))


@pytest.mark.parametrize("honest_share", [0.5, 1.0])
@pytest.mark.parametrize("clusters", [None, CLUSTERS])
def test_rows_that_prune_chose_no_split_and_are_whole_clusters(honest_share, clusters):
    sampling = Sampling.of(len(CLUSTERS), 0.5, honest_share, pairs=True, clusters=clusters, held_share=0.3)
    split, leaf = sampling.tree(SEEDS)
    held = sampling.held_out(SEEDS)
    units = np.arange(len(CLUSTERS)) if clusters is None else clusters
    assert len(held)
    assert not set(units[held]) & set(units[np.concatenate([split, leaf])])
    assert set(np.concatenate([split, leaf, held])) == set(sampling.seen(SEEDS))
