"""Sums over resampled rows, and kernels without a cache folder."""

import numba
import numpy as np
import pytest

from pandas_causal import kernels
from pandas_causal.kernels.resampling import resampled_sums

RNG = np.random.default_rng(0)
VALUES = np.column_stack([np.ones(500), RNG.normal(size=500)])
ALONE = np.zeros(500, dtype=np.int8)


def draw(n_draws, seed, bayesian):
    return resampled_sums(VALUES, ALONE, 1, n_draws, seed, bayesian)[:, 0, 1:]


def test_pairs_draw_n_rows_with_replacement():
    sums = draw(4_000, 1, False)
    np.testing.assert_array_equal(sums[:, 0], 500)
    # the sum of n draws with replacement: mean n * mean, variance n * variance
    assert sums[:, 1].mean() == pytest.approx(VALUES[:, 1].sum(), abs=4 * np.sqrt(500 / 4_000))
    assert sums[:, 1].var() == pytest.approx(500 * VALUES[:, 1].var(), rel=0.1)


def test_bayesian_weights_are_exponential():
    sums = draw(4_000, 1, True)
    assert sums[:, 0].mean() == pytest.approx(500, abs=4 * np.sqrt(500 / 4_000))
    assert sums[:, 0].var() == pytest.approx(500, rel=0.1)  # the variance of a sum of 500 standard exponentials


def test_groups_share_the_draw():
    groups = (np.arange(500) % 3).astype(np.int8)
    by = resampled_sums(VALUES, groups, 3, 50, 1, False)
    np.testing.assert_allclose(by.sum(axis=1)[:, 1:], draw(50, 1, False))
    np.testing.assert_array_equal(by[:, :, 0], by[:, :, 1])  # the first value is 1, the first sum the number of rows


def test_every_draw_has_a_generator_of_its_own():
    few = numba.get_num_threads()
    many = draw(50, 7, False)
    numba.set_num_threads(1)
    try:
        np.testing.assert_array_equal(draw(50, 7, False), many)
    finally:
        numba.set_num_threads(few)
    assert not np.array_equal(draw(50, 8, False), many)
    assert len(np.unique(many[:, 1])) == 50


def test_kernels_work_where_no_cache_folder_is_writable(monkeypatch):
    asked = []

    def njit(cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr("numba.njit", njit)
    monkeypatch.setattr("pandas_causal.kernels.compiling.said", lambda dispatcher: dispatcher)
    assert kernels.kernel(abs)(-3) == 3
    assert asked == [True, False]
